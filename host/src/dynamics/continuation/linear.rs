//! Dense linear algebra on one thread.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::lu::partial_pivoting::{factor, solve};
use faer::linalg::{evd, svd};
use faer::perm::PermRef;
use faer::traits::ComplexField;
use faer::{Conj, Mat, MatRef, Par, c64};

/// L U = P A.
pub(super) struct Lu<T> {
    factors: Mat<T>,
    forward: Vec<usize>,
    backward: Vec<usize>,
}

impl<T: ComplexField> Lu<T> {
    /// Factors a square matrix; of a singular one, solutions are not finite.
    pub(super) fn new(mut a: Mat<T>) -> Self {
        let n = a.nrows();
        let (mut forward, mut backward) = (vec![0; n], vec![0; n]);
        let scratch = factor::lu_in_place_scratch::<usize, T>(n, n, Par::Seq, faer::prelude::default());
        factor::lu_in_place(
            a.as_mut(),
            &mut forward,
            &mut backward,
            Par::Seq,
            MemStack::new(&mut MemBuffer::new(scratch)),
            faer::prelude::default(),
        );
        Self { factors: a, forward, backward }
    }

    /// A⁻¹ b.
    pub(super) fn solve(&self, mut b: Mat<T>) -> Mat<T> {
        let (n, k) = b.shape();
        let scratch = solve::solve_in_place_scratch::<usize, T>(n, k, Par::Seq);
        solve::solve_in_place_with_conj(
            self.factors.as_ref(),
            self.factors.as_ref(),
            PermRef::new_checked(&self.forward, &self.backward, n),
            Conj::No,
            b.as_mut(),
            Par::Seq,
            MemStack::new(&mut MemBuffer::new(scratch)),
        );
        b
    }

    /// A⁻ᴴ b.
    pub(super) fn solve_adjoint(&self, mut b: Mat<T>) -> Mat<T> {
        let (n, k) = b.shape();
        let scratch = solve::solve_transpose_in_place_scratch::<usize, T>(n, k, Par::Seq);
        solve::solve_transpose_in_place_with_conj(
            self.factors.as_ref(),
            self.factors.as_ref(),
            PermRef::new_checked(&self.forward, &self.backward, n),
            Conj::Yes,
            b.as_mut(),
            Par::Seq,
            MemStack::new(&mut MemBuffer::new(scratch)),
        );
        b
    }
}

impl Lu<f64> {
    /// A⁻¹ b of a vector.
    pub(super) fn solve_vector(&self, b: &[f64]) -> Vec<f64> {
        column(&self.solve(Mat::from_fn(b.len(), 1, |i, _| b[i])))
    }

    /// The sign of det A, 1 or -1.
    pub(super) fn sign(&self) -> f64 {
        let mut seen = vec![false; self.forward.len()];
        let mut sign = 1.0;
        for start in 0..seen.len() {
            let (mut at, mut length) = (start, 0);
            while !seen[at] {
                seen[at] = true;
                at = self.forward[at];
                length += 1;
            }
            if length > 0 && length % 2 == 0 {
                sign = -sign;
            }
            sign *= self.factors[(start, start)].signum();
        }
        sign
    }
}

/// The first column.
pub(super) fn column(m: &Mat<f64>) -> Vec<f64> {
    m.col_as_slice(0).to_vec()
}

/// Eigenvalues, in the order of the decomposition; `None` without convergence or of a matrix that is not finite.
pub(super) fn eigenvalues(a: MatRef<'_, f64>) -> Option<Vec<c64>> {
    let n = a.nrows();
    let (mut re, mut im) = (faer::diag::Diag::<f64>::zeros(n), faer::diag::Diag::<f64>::zeros(n));
    let no = evd::ComputeEigenvectors::No;
    let scratch = evd::evd_scratch::<f64>(n, no, no, Par::Seq, faer::prelude::default());
    evd::evd_real(
        a,
        re.as_mut(),
        im.as_mut(),
        None,
        None,
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        faer::prelude::default(),
    )
    .ok()?;
    let value = |k: usize| c64::new(re.column_vector()[k], im.column_vector()[k]);
    let values: Vec<c64> = (0..n).map(value).collect();
    values.iter().all(|value| value.re.is_finite() && value.im.is_finite()).then_some(values)
}

/// The left and right singular vectors of a wide matrix, those of the least values last; `None` as of eigenvalues.
pub(super) fn singular_vectors(a: MatRef<'_, f64>) -> Option<(Mat<f64>, Mat<f64>)> {
    let (m, n) = a.shape();
    let (mut u, mut v) = (Mat::zeros(m, m), Mat::zeros(n, n));
    let mut values = faer::diag::Diag::<f64>::zeros(m.min(n));
    let full = svd::ComputeSvdVectors::Full;
    let scratch = svd::svd_scratch::<f64>(m, n, full, full, Par::Seq, faer::prelude::default());
    svd::svd(
        a,
        values.as_mut(),
        Some(u.as_mut()),
        Some(v.as_mut()),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        faer::prelude::default(),
    )
    .ok()?;
    Some((u, v))
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    std::iter::zip(a, b).map(|(a, b)| a * b).sum()
}

/// Largest absolute value; not a number if one is not.
pub(super) fn largest(a: &[f64]) -> f64 {
    a.iter().fold(0.0, |largest: f64, x| if x.is_nan() { f64::NAN } else { largest.max(x.abs()) })
}

/// a + s b.
pub(super) fn moved(a: &[f64], s: f64, b: &[f64]) -> Vec<f64> {
    std::iter::zip(a, b).map(|(a, b)| a + s * b).collect()
}
