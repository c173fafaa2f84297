//! Dense linear algebra on one thread: what calls it runs in parallel itself.

use std::iter::zip;

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::lu::partial_pivoting::{factor, solve};
use faer::linalg::matmul::matmul;
use faer::linalg::svd;
use faer::perm::PermRef;
use faer::traits::ComplexField;
use faer::{Accum, Conj, Mat, MatMut, MatRef, Par, Spec};
use pulp::{Arch, NullaryFnOnce};

use super::vector::{is_finite, normalise};

/// P A = L U with partial pivoting.
pub(super) struct Lu<T = f64> {
    /// L below the diagonal of ones, U from it upwards.
    factors: Mat<T>,
    forward: Vec<usize>,
    backward: Vec<usize>,
    transpositions: usize,
}

impl<T: ComplexField> Lu<T> {
    /// Factors a square matrix; of a singular one, solutions are not finite.
    pub(super) fn new(mut a: Mat<T>) -> Self {
        let n = a.nrows();
        let (mut forward, mut backward) = (vec![0; n], vec![0; n]);
        let scratch = factor::lu_in_place_scratch::<usize, T>(n, n, Par::Seq, Spec::default());
        let (info, _) = factor::lu_in_place(
            a.as_mut(),
            &mut forward,
            &mut backward,
            Par::Seq,
            MemStack::new(&mut MemBuffer::new(scratch)),
            Spec::default(),
        );
        Self { factors: a, forward, backward, transpositions: info.transposition_count }
    }

    /// b = A⁻¹ b.
    pub(super) fn solve_in_place(&self, b: MatMut<'_, T>) {
        let (n, k) = (b.nrows(), b.ncols());
        let scratch = solve::solve_in_place_scratch::<usize, T>(n, k, Par::Seq);
        solve::solve_in_place_with_conj(
            self.factors.as_ref(),
            self.factors.as_ref(),
            PermRef::new_checked(&self.forward, &self.backward, n),
            Conj::No,
            b,
            Par::Seq,
            MemStack::new(&mut MemBuffer::new(scratch)),
        );
    }

    /// b = A⁻ᴴ b.
    pub(super) fn solve_adjoint_in_place(&self, b: MatMut<'_, T>) {
        let (n, k) = (b.nrows(), b.ncols());
        let scratch = solve::solve_transpose_in_place_scratch::<usize, T>(n, k, Par::Seq);
        solve::solve_transpose_in_place_with_conj(
            self.factors.as_ref(),
            self.factors.as_ref(),
            PermRef::new_checked(&self.forward, &self.backward, n),
            Conj::Yes,
            b,
            Par::Seq,
            MemStack::new(&mut MemBuffer::new(scratch)),
        );
    }

    /// A⁻¹ b.
    pub(super) fn solve(&self, mut b: Mat<T>) -> Mat<T> {
        self.solve_in_place(b.as_mut());
        b
    }

    /// A⁻ᴴ b.
    pub(super) fn solve_adjoint(&self, mut b: Mat<T>) -> Mat<T> {
        self.solve_adjoint_in_place(b.as_mut());
        b
    }
}

/// A vector as a column.
pub(super) fn as_column(b: &mut [f64]) -> MatMut<'_, f64> {
    let n = b.len();
    MatMut::from_column_major_slice_mut(b, n, 1)
}

impl Lu {
    /// A⁻¹ b of a vector.
    pub(super) fn solve_vector(&self, b: &[f64]) -> Vec<f64> {
        let mut b = b.to_vec();
        self.solve_in_place(as_column(&mut b));
        b
    }

    /// -A⁻¹ b of a vector.
    pub(super) fn step(&self, b: &[f64]) -> Vec<f64> {
        let mut step: Vec<f64> = b.iter().map(|b| -b).collect();
        self.solve_in_place(as_column(&mut step));
        step
    }

    fn pivots(&self) -> impl Iterator<Item = f64> {
        (0..self.forward.len()).map(|i| self.factors[(i, i)])
    }

    fn turn(&self) -> f64 {
        if self.transpositions.is_multiple_of(2) { 1.0 } else { -1.0 }
    }

    /// The sign of det A, 1 or -1: a pivot of 0 counts as positive.
    pub(super) fn sign(&self) -> f64 {
        self.pivots().fold(self.turn(), |sign, pivot| sign * pivot.signum())
    }

    /// The sign of det(-A): -1, 0 or 1.
    pub(super) fn sign_of_negative(&self) -> i8 {
        let turn = if self.turn() > 0.0 { 1 } else { -1 };
        self.pivots().fold(turn, |sign, pivot| match pivot {
            pivot if pivot < 0.0 => sign,
            pivot if pivot > 0.0 => -sign,
            _ => 0,
        })
    }

    /// About the right singular vector of the least singular value, and that value, by inverse iteration;
    /// `None` if a pivot is 0.
    pub(super) fn least_singular(&self) -> Option<(Vec<f64>, f64)> {
        // Any vector that is not orthogonal to the one sought.
        let mut right: Vec<f64> =
            (0..self.forward.len()).map(|i| 1.0 + 0.5 * (3.0 * i as f64).sin()).collect();
        normalise(&mut right);
        let mut value = 0.0;
        for _ in 0..2 {
            self.solve_adjoint_in_place(as_column(&mut right));
            normalise(&mut right);
            self.solve_in_place(as_column(&mut right));
            value = 1.0 / normalise(&mut right);
        }
        is_finite(&right).then_some((right, value))
    }
}

/// The first column.
pub(super) fn column(m: &Mat<f64>) -> Vec<f64> {
    m.col_as_slice(0).to_vec()
}

/// Aᵀ r.
pub(super) fn transposed_times(a: &Mat<f64>, r: &[f64]) -> Vec<f64> {
    (0..a.ncols()).map(|j| zip(a.col_as_slice(j), r).map(|(a, r)| a * r).sum()).collect()
}

/// Aᵀ A.
pub(super) fn gram(a: &Mat<f64>) -> Mat<f64> {
    let n = a.ncols();
    let mut square = Mat::zeros(n, n);
    matmul(square.as_mut(), Accum::Replace, a.transpose(), a.as_ref(), 1.0, Par::Seq);
    square
}

/// sums += M x.
pub(super) fn add_product(sums: &mut [f64], m: &Mat<f64>, x: &[f64]) {
    Arch::new().dispatch(AddProduct { sums, m, x });
}

struct AddProduct<'a> {
    sums: &'a mut [f64],
    m: &'a Mat<f64>,
    x: &'a [f64],
}

impl NullaryFnOnce for AddProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { sums, m, x } = self;
        for (j, &x) in x.iter().enumerate() {
            if x != 0.0 {
                zip(&mut *sums, m.col_as_slice(j)).for_each(|(sum, m)| *sum += m * x);
            }
        }
    }
}

/// All left and right singular vectors, those of the least values last; `None` without convergence.
pub(super) fn singular_vectors(a: MatRef<'_, f64>) -> Option<(Mat<f64>, Mat<f64>)> {
    let (m, n) = a.shape();
    let (mut u, mut v) = (Mat::zeros(m, m), Mat::zeros(n, n));
    let mut values = faer::diag::Diag::<f64>::zeros(m.min(n));
    let full = svd::ComputeSvdVectors::Full;
    let scratch = svd::svd_scratch::<f64>(m, n, full, full, Par::Seq, Spec::default());
    svd::svd(
        a,
        values.as_mut(),
        Some(u.as_mut()),
        Some(v.as_mut()),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Spec::default(),
    )
    .ok()?;
    Some((u, v))
}
