//! The linear dynamics at a state: eigenvalues, eigenvectors, attraction across a curve.

use std::cmp::Ordering;
use std::iter::zip;

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd;
use faer::{Mat, MatRef, Par, Spec, c64};

use super::linear::{Lu, as_column};
use super::vector::{is_finite, normalise};
use super::{Kind, System};
use crate::{Error, Result};

/// Growth of a perturbation per step or unit of time: ln |lambda| of a map, Re lambda of a flow.
#[must_use]
pub fn growth(kind: Kind, value: c64) -> f64 {
    match kind {
        Kind::Map => value.norm().ln(),
        Kind::Flow => value.re,
    }
}

/// How far an eigenvalue is beyond the boundary of stability: |lambda| - 1 of a map, Re lambda of a flow.
pub(super) fn beyond(kind: Kind, value: c64) -> f64 {
    match kind {
        Kind::Map => value.norm() - 1.0,
        Kind::Flow => value.re,
    }
}

/// How many eigenvalues grow.
#[must_use]
pub fn index(kind: Kind, values: &[c64]) -> usize {
    values.iter().filter(|value| beyond(kind, **value) > 0.0).count()
}

/// The Jacobian of a system at x, n × n.
#[must_use]
pub fn jacobian<S: System + ?Sized>(system: &S, x: &[f64]) -> Mat<f64> {
    let n = system.dimension();
    let mut jacobian = Mat::zeros(n, n);
    system.jacobian(x, jacobian.as_mut());
    jacobian
}

/// Eigenvalues of the Jacobian at x, in the order of [`of_matrix`].
///
/// # Errors
/// As [`of_matrix`].
pub fn eigenvalues<S: System + ?Sized>(system: &S, x: &[f64]) -> Result<Vec<c64>> {
    of_matrix(system.kind(), jacobian(system, x).as_ref())
}

/// Eigenvalues of a square matrix, the slowest or fastest growing first: by falling |lambda| of a map, by
/// falling real part of a flow. Conjugates follow each other, the one with positive imaginary part first.
///
/// # Errors
/// A matrix that is not finite; no convergence.
pub fn of_matrix(kind: Kind, matrix: MatRef<'_, f64>) -> Result<Vec<c64>> {
    let (values, order, _) = decomposed(kind, matrix, false)?;
    Ok(order.into_iter().map(|k| values[k]).collect())
}

/// Columns of left and right eigenvectors as the decomposition gives them.
type Columns = [Mat<f64>; 2];

/// Eigenvalues, their order, and eigenvectors if they are wanted (n × 0 if not).
fn decomposed(kind: Kind, matrix: MatRef<'_, f64>, vectors: bool) -> Result<(Vec<c64>, Vec<usize>, Columns)> {
    let n = matrix.nrows();
    let refuse = || Error::Numeric {
        what: "eigenvalues of the Jacobian".into(),
        reason: "no convergence; are the state and all weights finite?".into(),
    };
    if !matrix.is_all_finite() {
        return Err(refuse());
    }
    let asked = if vectors { evd::ComputeEigenvectors::Yes } else { evd::ComputeEigenvectors::No };
    let columns = if vectors { n } else { 0 };
    let (mut re, mut im) = (Diag::<f64>::zeros(n), Diag::<f64>::zeros(n));
    let (mut left, mut right) = (Mat::zeros(n, columns), Mat::zeros(n, columns));
    let scratch = evd::evd_scratch::<f64>(n, asked, asked, Par::Seq, Spec::default());
    evd::evd_real(
        matrix,
        re.as_mut(),
        im.as_mut(),
        vectors.then(|| left.as_mut()),
        vectors.then(|| right.as_mut()),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Spec::default(),
    )
    .map_err(|_| refuse())?;
    let values: Vec<c64> = (0..n).map(|k| c64::new(re[k], im[k])).collect();
    if !values.iter().all(|value| value.re.is_finite() && value.im.is_finite()) {
        return Err(refuse());
    }
    let size = |k: usize| if kind == Kind::Map { values[k].norm() } else { values[k].re };
    // After the size, what keeps the two of a pair together.
    let key = |k: usize| [size(k), values[k].im.abs(), values[k].re, values[k].im];
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| {
        let compared = zip(key(b), key(a)).map(|(b, a)| b.total_cmp(&a));
        compared.fold(Ordering::Equal, Ordering::then)
    });
    Ok((values, order, [left, right]))
}

/// The linearisation at a point: J R = R diag(lambda), Lᴴ J = diag(lambda) Lᴴ, Lᴴ R = 1.
#[derive(Clone, Debug)]
pub struct Spectrum {
    /// J, n × n: the derivative of the map, or of the flow.
    pub jacobian: Mat<f64>,
    /// lambda, in the order of [`of_matrix`].
    pub values: Vec<c64>,
    /// R: column k is the right eigenvector of value k, of length 1.
    pub right: Mat<c64>,
    /// L: column k is the left eigenvector of value k, with l_kᴴ r_k = 1 (of length 1 where l_kᴴ r_k = 0, at
    /// eigenvalues without enough eigenvectors).
    pub left: Mat<c64>,
    /// -1 / ln |lambda| steps of a map, -1 / Re lambda of a flow in units of its time; negative: grows.
    pub time_constants: Vec<f64>,
    /// Number of values with |lambda| > 1 of a map, Re lambda > 0 of a flow.
    pub unstable: usize,
}

impl Spectrum {
    /// The spectrum of a system at x, with its eigenvectors.
    ///
    /// # Errors
    /// As [`of_matrix`].
    pub fn new<S: System + ?Sized>(system: &S, x: &[f64]) -> Result<Self> {
        Self::with(system, x, true)
    }

    /// The eigenvalues alone, in two thirds of the time; R and L are n × 0.
    ///
    /// # Errors
    /// As [`of_matrix`].
    pub fn values_alone<S: System + ?Sized>(system: &S, x: &[f64]) -> Result<Self> {
        Self::with(system, x, false)
    }

    fn with<S: System + ?Sized>(system: &S, x: &[f64], vectors: bool) -> Result<Self> {
        let (n, kind, jacobian) = (x.len(), system.kind(), jacobian(system, x));
        let (values, order, [left, right]) = decomposed(kind, jacobian.as_ref(), vectors)?;
        let columns = right.ncols();
        let (mut l, mut r) = (Mat::zeros(n, columns), Mat::zeros(n, columns));
        for (to, &k) in order[..columns].iter().enumerate() {
            vector(&right, k, values[k].im, r.col_as_slice_mut(to));
            vector(&left, k, values[k].im, l.col_as_slice_mut(to));
            scale(l.col_as_slice_mut(to), r.col_as_slice_mut(to));
        }
        let values: Vec<c64> = order.into_iter().map(|k| values[k]).collect();
        let time_constants = values.iter().map(|&value| -1.0 / growth(kind, value)).collect();
        Ok(Self { jacobian, unstable: index(kind, &values), values, right: r, left: l, time_constants })
    }
}

/// Eigenvector k from columns that hold real and imaginary part of that of a pair: first the one with im > 0.
fn vector(columns: &Mat<f64>, k: usize, im: f64, out: &mut [c64]) {
    let (re, of, sign) = match im {
        im if im > 0.0 => (k, k + 1, 1.0),
        im if im < 0.0 => (k - 1, k, -1.0),
        _ => (k, k, 0.0),
    };
    let parts = zip(columns.col_as_slice(re), columns.col_as_slice(of));
    zip(out, parts).for_each(|(out, (re, im))| *out = c64::new(*re, sign * im));
}

/// Scales r to length 1 and l to lᴴ r = 1.
fn scale(l: &mut [c64], r: &mut [c64]) {
    let length = |v: &[c64]| v.iter().map(c64::norm_sqr).sum::<f64>().sqrt();
    let (by_l, by_r) = (1.0 / length(l), 1.0 / length(r));
    let product = zip(&*l, &*r).map(|(l, r)| l.conj() * r).sum::<c64>() * by_l * by_r;
    let turned = if product.norm() > 1e-14 { product.conj().inv() } else { c64::new(1.0, 0.0) };
    for (l, r) in zip(l, r) {
        *l = *l * turned * by_l;
        *r *= by_r;
    }
}

/// The eigenvectors of a real matrix whose eigenvalue is nearest `value`, left (of the transpose) or right,
/// by inverse iteration from `start`; of length 1.
///
/// # Errors
/// The iteration meets a number that is not finite.
pub(super) fn eigenvector(matrix: &Mat<f64>, value: f64, start: &[f64], left: bool) -> Result<Vec<f64>> {
    let n = matrix.nrows();
    // Off the eigenvalue by what rounding may be, so that the solution is large and finite.
    let shift = value + 1e-13 * matrix.norm_max().max(1.0);
    let mut shifted = matrix.clone();
    (0..n).for_each(|i| shifted[(i, i)] -= shift);
    let factors = Lu::new(shifted);
    let mut vector = start.to_vec();
    for _ in 0..4 {
        let column = as_column(&mut vector);
        if left {
            factors.solve_adjoint_in_place(column);
        } else {
            factors.solve_in_place(column);
        }
        normalise(&mut vector);
    }
    if is_finite(&vector) {
        return Ok(vector);
    }
    Err(Error::Numeric {
        what: "eigenvector".into(),
        reason: "inverse iteration failed; is the state finite?".into(),
    })
}

/// The growth rate of the fastest direction across a curve or surface through x: negative if it attracts.
///
/// The largest growth of P J P, P = 1 - T (G T)⁻¹ G, on the complement of the tangents. tangents: the columns of T, d of
/// n numbers; covectors: the rows of G, d of n, the gradients of the coordinates that tell places on it.
///
/// # Errors
/// As [`of_matrix`].
pub fn normal_rate<S: System + ?Sized>(
    system: &S,
    x: &[f64],
    tangents: &[Vec<f64>],
    covectors: &[Vec<f64>],
) -> Result<f64> {
    let (n, d, kind, jacobian) = (x.len(), tangents.len(), system.kind(), jacobian(system, x));
    let t = Mat::from_fn(n, d, |i, k| tangents[k][i]);
    let g = Mat::from_fn(d, n, |k, j| covectors[k][j]);
    let along = &t * Lu::new(&g * &t).solve(g);
    let projector = Mat::<f64>::identity(n, n) - &along;
    // The tangents get an eigenvalue that is never the leading one.
    let last = if kind == Kind::Flow { -1.0 - jacobian.norm_l2() } else { 0.0 };
    let across = &projector * &jacobian * &projector + faer::Scale(last) * along;
    let values = of_matrix(kind, across.as_ref())?;
    Ok(values.first().map_or(f64::NEG_INFINITY, |value| growth(kind, *value)))
}
