//! What is done to one column of states at a time, with matrices of few columns: few passes over it while it is in
//! cache, the sums of every element in one order.

use std::array::from_fn;
use std::hint::black_box;
use std::iter::zip;

use faer::Mat;
use pulp::NullaryFnOnce;
use tinyfold_core::{Scalar, Variant};

use super::parameters::Real;

/// How tanh and sigmoid are computed: as networks compute them unless told otherwise, and in loops that vectorise.
pub(super) const VARIANT: Variant = Variant::Rational;

/// Evaluates an expression compiled for the widest vectors of this machine, once for every activation: a loop
/// vectorises only where the kind of phi is a constant.
macro_rules! vectorised {
    ($given:expr, $phi:ident => $body:expr) => {
        pulp::Arch::new().dispatch($crate::train::columns::Inlined(
            #[inline(always)]
            || match $given {
                $phi @ Activation::Linear => $body,
                $phi @ Activation::Relu => $body,
                $phi @ Activation::Clipped { .. } => $body,
                $phi @ Activation::Tanh => $body,
                $phi @ Activation::Sigmoid { .. } => $body,
            },
        ))
    };
}
pub(super) use vectorised;

/// A closure that is compiled into who calls it: one that could be called again is called once through a function
/// of the compiler's, which knows nothing of wide vectors.
pub(super) struct Inlined<F>(pub(super) F);

impl<R, F: FnMut() -> R> NullaryFnOnce for Inlined<F> {
    type Output = R;

    #[inline(always)]
    fn call(mut self) -> R {
        (self.0)()
    }
}

/// Sums that a product of two columns is made of.
const LANES: usize = 16;
/// Columns of a matrix that one pass takes.
const TOGETHER: usize = 4;

/// Evaluates an expression with the number of columns as a constant N, at most [`TOGETHER`].
macro_rules! constant {
    ($count:expr, $N:ident => $body:expr) => {
        match $count {
            0 => {
                const $N: usize = 0;
                $body
            }
            1 => {
                const $N: usize = 1;
                $body
            }
            2 => {
                const $N: usize = 2;
                $body
            }
            3 => {
                const $N: usize = 3;
                $body
            }
            _ => {
                const $N: usize = TOGETHER;
                $body
            }
        }
    };
}

/// s += M x, then each(r_i, s_i).
#[inline(always)]
pub(super) fn add_product<T: Real>(s: &mut [T], m: &Mat<T>, x: &[T], r: &mut [T], each: impl Fn(&mut T, T)) {
    let early = x.len().saturating_sub(1) / TOGETHER * TOGETHER;
    for first in (0..early).step_by(TOGETHER) {
        add::<T, TOGETHER>(s, m, x, first, r, |_, _| {});
    }
    constant!(x.len() - early, N => add::<T, N>(s, m, x, early, r, each));
}

/// The same for columns first .. first + N of M.
#[inline(always)]
fn add<T: Real, const N: usize>(
    s: &mut [T],
    m: &Mat<T>,
    x: &[T],
    first: usize,
    r: &mut [T],
    each: impl Fn(&mut T, T),
) {
    let rows = s.len();
    // As long as s, so that the loop needs no check.
    let r = &mut r[..rows];
    let m: [&[T]; N] = from_fn(|k| &m.col_as_slice(first + k)[..rows]);
    let x: [T; N] = from_fn(|k| x[first + k]);
    for i in 0..rows {
        let mut sum = s[i];
        for k in 0..N {
            sum += m[k][i] * x[k];
        }
        s[i] = sum;
        each(&mut r[i], sum);
    }
}

/// y = Mᵀ h.
#[inline(always)]
pub(super) fn transposed_product<T: Real>(y: &mut [T], m: &Mat<T>, h: &[T]) {
    for (k, y) in y.chunks_mut(TOGETHER).enumerate() {
        constant!(y.len(), N => dots::<T, N>(y, m, k * TOGETHER, h));
    }
}

#[inline(always)]
fn dots<T: Real, const N: usize>(y: &mut [T], m: &Mat<T>, first: usize, h: &[T]) {
    let (h, h_rest) = h.as_chunks::<LANES>();
    let m: [_; N] = from_fn(|k| m.col_as_slice(first + k).as_chunks::<LANES>());
    let m_chunks = m.map(|(chunks, _)| &chunks[..h.len()]);
    let mut sums = [[<T as Scalar>::ZERO; LANES]; N];
    for i in 0..h.len() {
        for (sums, m) in zip(&mut sums, &m_chunks) {
            for (sum, (&m, &h)) in zip(sums, zip(&m[i], &h[i])) {
                *sum += m * h;
            }
        }
    }
    for ((y, sums), (_, m_rest)) in zip(zip(y, sums), m) {
        let rest = zip(m_rest, h_rest).fold(<T as Scalar>::ZERO, |sum, (&m, &h)| sum + m * h);
        *y = rest + total(sums);
    }
}

/// The sum of all lanes.
#[inline(always)]
fn total<T: Real>(lanes: [T; LANES]) -> T {
    // Else the compiler makes the loop before out of the short vectors that are added here: 3 times slower in all.
    let lanes = black_box(lanes);
    let fours: [T; 4] = from_fn(|i| (lanes[i] + lanes[i + 4]) + (lanes[i + 8] + lanes[i + 12]));
    (fours[0] + fours[1]) + (fours[2] + fours[3])
}

/// s += M x, column by column.
#[inline(always)]
pub(super) fn add_columns<T: Real>(s: &mut [T], m: &Mat<T>, x: &[T]) {
    for (k, &x) in x.iter().enumerate() {
        zip(&mut *s, m.col_as_slice(k)).for_each(|(s, &m)| *s += m * x);
    }
}

pub(super) fn slice<T>(column: faer::ColRef<'_, T>) -> &[T] {
    column.try_as_col_major().expect("columns of a matrix are contiguous").as_slice()
}

pub(super) fn slice_mut<T>(column: faer::ColMut<'_, T>) -> &mut [T] {
    column.try_as_col_major_mut().expect("columns of a matrix are contiguous").as_slice_mut()
}
