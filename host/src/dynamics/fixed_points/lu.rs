//! LU of a square matrix on one thread.

use std::iter::zip;

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::lu::partial_pivoting::{factor, solve};
use faer::linalg::matmul::matmul;
use faer::perm::PermRef;
use faer::{Accum, Mat, MatMut, Par, Spec};

use crate::dynamics::System;

/// P A = L U with partial pivoting.
pub(super) struct Lu {
    /// L below the diagonal of ones, U from it upwards.
    factors: Mat<f64>,
    forward: Vec<usize>,
    inverse: Vec<usize>,
    transpositions: usize,
}

impl Lu {
    pub(super) fn new(mut a: Mat<f64>) -> Self {
        let n = a.nrows();
        let (mut forward, mut inverse) = (vec![0; n], vec![0; n]);
        let scratch = factor::lu_in_place_scratch::<usize, f64>(n, n, Par::Seq, Spec::default());
        let (info, _) = factor::lu_in_place(
            a.as_mut(),
            &mut forward,
            &mut inverse,
            Par::Seq,
            MemStack::new(&mut MemBuffer::new(scratch)),
            Spec::default(),
        );
        Self { factors: a, forward, inverse, transpositions: info.transposition_count }
    }

    /// A^-1 b, or A^-T b, in place; not finite if A is singular.
    pub(super) fn solve(&self, b: &mut [f64], transposed: bool) {
        let n = b.len();
        let (lu, permutation) =
            (self.factors.as_ref(), PermRef::new_checked(&self.forward, &self.inverse, n));
        let b = MatMut::from_column_major_slice_mut(b, n, 1);
        let mut memory = MemBuffer::new(solve::solve_in_place_scratch::<usize, f64>(n, 1, Par::Seq));
        let stack = MemStack::new(&mut memory);
        if transposed {
            solve::solve_transpose_in_place(lu, lu, permutation, b, Par::Seq, stack);
        } else {
            solve::solve_in_place(lu, lu, permutation, b, Par::Seq, stack);
        }
    }

    /// -A^-1 b.
    pub(super) fn step(&self, b: &[f64]) -> Vec<f64> {
        let mut step: Vec<f64> = b.iter().map(|b| -b).collect();
        self.solve(&mut step, false);
        step
    }

    /// Sign of det(-A): -1, 0 or 1.
    pub(super) fn sign_of_negative(&self) -> i8 {
        let n = self.forward.len();
        let turns = if self.transpositions.is_multiple_of(2) { 1 } else { -1 };
        (0..n).map(|i| -self.factors[(i, i)]).fold(turns, |sign, pivot| match pivot {
            pivot if pivot > 0.0 => sign,
            pivot if pivot < 0.0 => -sign,
            _ => 0,
        })
    }

    /// About the right singular vector of the least singular value, and that value, by inverse iteration; `None` if a
    /// pivot is 0.
    pub(super) fn least_singular(&self) -> Option<(Vec<f64>, f64)> {
        // Any vector that is not orthogonal to the one sought.
        let mut right: Vec<f64> =
            (0..self.forward.len()).map(|i| 1.0 + 0.5 * (3.0 * i as f64).sin()).collect();
        normalise(&mut right);
        let mut value = 0.0;
        for _ in 0..2 {
            self.solve(&mut right, true);
            normalise(&mut right);
            self.solve(&mut right, false);
            value = 1.0 / normalise(&mut right);
        }
        right.iter().all(|x| x.is_finite()).then_some((right, value))
    }
}

/// The derivative of the residual at x.
pub(super) fn residual_jacobian(system: &dyn System, x: &[f64]) -> Mat<f64> {
    let n = x.len();
    let mut jacobian = Mat::zeros(n, n);
    system.residual_jacobian(x, jacobian.as_mut());
    jacobian
}

/// Jᵀ r.
pub(super) fn transposed_times(jacobian: &Mat<f64>, r: &[f64]) -> Vec<f64> {
    (0..jacobian.ncols()).map(|j| zip(jacobian.col_as_slice(j), r).map(|(a, r)| a * r).sum()).collect()
}

/// Jᵀ J.
pub(super) fn gram(jacobian: &Mat<f64>) -> Mat<f64> {
    let n = jacobian.ncols();
    let mut square = Mat::zeros(n, n);
    matmul(square.as_mut(), Accum::Replace, jacobian.transpose(), jacobian.as_ref(), 1.0, Par::Seq);
    square
}

/// Largest absolute entry; NaN where there is one.
pub(super) fn largest(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |most: f64, x| if x.abs() > most || x.is_nan() { x.abs() } else { most })
}

/// Sum of squares.
pub(super) fn square(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum()
}

/// Squared distance, in lanes that the processor adds at once.
pub(super) fn square_distance(a: &[f64], b: &[f64]) -> f64 {
    let ((a, rest_a), (b, rest_b)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (a, b) in zip(a, b) {
        (0..8).for_each(|k| sums[k] += (a[k] - b[k]) * (a[k] - b[k]));
    }
    sums.iter().sum::<f64>() + zip(rest_a, rest_b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>()
}

/// Largest absolute difference of entries.
pub(super) fn distance(a: &[f64], b: &[f64]) -> f64 {
    zip(a, b).fold(0.0, |most, (a, b)| most.max((a - b).abs()))
}

/// Scales to length 1; returns the length before.
fn normalise(x: &mut [f64]) -> f64 {
    let length = square(x).sqrt();
    for x in x {
        *x /= length;
    }
    length
}
