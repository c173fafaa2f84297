//! The linear dynamics at a state: growth rates, the slow direction, attraction across a manifold.

use faer::{Mat, c64};

use super::batch::Batch;
use crate::dynamics::{Kind, System};
use crate::{Error, Result};

/// Growth per unit of time of an eigenvalue: its real part for a flow, ln of its modulus for a map.
#[must_use]
pub fn growth(kind: Kind, value: c64) -> f64 {
    match kind {
        Kind::Flow => value.re,
        Kind::Map => value.re.hypot(value.im).ln(),
    }
}

/// The Jacobian of a system at x.
#[must_use]
pub fn jacobian<S: System + ?Sized>(system: &S, x: &[f64]) -> Mat<f64> {
    let n = system.dimension();
    let mut jacobian = Mat::zeros(n, n);
    system.jacobian(x, jacobian.as_mut());
    jacobian
}

/// Eigenvalues of a matrix, the fastest growing first.
///
/// # Errors
/// No convergence.
pub fn sorted(kind: Kind, matrix: &Mat<f64>) -> Result<Vec<c64>> {
    let mut values = matrix.eigenvalues().map_err(|_| unconverged())?;
    values.sort_by(|a, b| growth(kind, *b).total_cmp(&growth(kind, *a)).then(b.im.total_cmp(&a.im)));
    Ok(values)
}

fn unconverged() -> Error {
    Error::Numeric {
        what: "eigenvalues of the Jacobian".into(),
        reason: "no convergence; is the state finite?".into(),
    }
}

/// Eigenvalues of the Jacobian at x, the fastest growing first.
///
/// # Errors
/// No convergence.
pub fn eigenvalues<S: System + ?Sized>(system: &S, x: &[f64]) -> Result<Vec<c64>> {
    sorted(system.kind(), &jacobian(system, x))
}

/// How many eigenvalues grow.
#[must_use]
pub fn index(kind: Kind, values: &[c64]) -> usize {
    values.iter().filter(|value| growth(kind, **value) > 0.0).count()
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub(super) fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

/// The left eigenvector of `matrix` whose eigenvalue is nearest `value`, by inverse iteration from `start`; of length 1.
///
/// # Errors
/// The iteration meets a number that is not finite.
pub fn left_eigenvector(matrix: &Mat<f64>, value: f64, start: &[f64]) -> Result<Vec<f64>> {
    eigenvector(matrix.transpose().to_owned(), value, start)
}

/// As [`left_eigenvector`], the right one.
///
/// # Errors
/// The iteration meets a number that is not finite.
pub fn right_eigenvector(matrix: &Mat<f64>, value: f64, start: &[f64]) -> Result<Vec<f64>> {
    eigenvector(matrix.clone(), value, start)
}

fn eigenvector(mut matrix: Mat<f64>, value: f64, start: &[f64]) -> Result<Vec<f64>> {
    let n = matrix.nrows();
    // Off the eigenvalue by what rounding may be, so that the solution is large and finite.
    let shift = value + 1e-13 * matrix.norm_max().max(1.0);
    (0..n).for_each(|i| matrix[(i, i)] -= shift);
    let factors = matrix.partial_piv_lu();
    let mut vector = Mat::from_fn(n, 1, |i, _| start[i]);
    for _ in 0..4 {
        faer::linalg::solvers::Solve::solve_in_place(&factors, vector.as_mut());
        let length = vector.norm_l2();
        vector *= faer::Scale(1.0 / length);
    }
    let vector = vector.col_as_slice(0).to_vec();
    if vector.iter().all(|x| x.is_finite()) {
        return Ok(vector);
    }
    Err(Error::Numeric {
        what: "eigenvector".into(),
        reason: "inverse iteration failed; is the state finite?".into(),
    })
}

/// The growth rate of the fastest direction across a manifold through x: negative if the manifold attracts.
///
/// The largest growth of P J P, P = 1 - t gᵀ, on the complement of the tangent.
/// tangent: t, n; covector: g, n, with g · t = 1; for a curve that a coordinate c(x) tells places on, g = grad c.
///
/// # Errors
/// No convergence of the eigenvalues.
pub fn normal_rate<B: Batch + ?Sized>(
    system: &B,
    x: &[f64],
    tangent: &[f64],
    covector: &[f64],
) -> Result<f64> {
    let jacobian = jacobian(system, x);
    let n = x.len();
    let outer = |scale: f64| Mat::from_fn(n, n, |i, j| scale * tangent[i] * covector[j]);
    let projector = Mat::<f64>::identity(n, n) - outer(1.0);
    // The tangent gets an eigenvalue that is never the leading one.
    let last = if system.kind() == Kind::Flow { -1.0 - jacobian.norm_l2() } else { 0.0 };
    let across = &projector * &jacobian * &projector + outer(last);
    let values = sorted(system.kind(), &across)?;
    Ok(values.first().map_or(f64::NEG_INFINITY, |value| growth(system.kind(), *value)))
}
