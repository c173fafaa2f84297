//! What is done to columns of states, with matrices of few columns: few passes over them while they are in cache, the sums
//! of every element in one order.

use std::array::from_fn;
use std::hint::black_box;
use std::iter::zip;

use faer::reborrow::ReborrowMut;
use faer::{Mat, MatMut, MatRef};
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

/// s += M x, then each(r_i, s_i), for every column of s, x and r.
#[inline(always)]
pub(super) fn add_products<T: Real>(
    mut s: MatMut<'_, T>,
    m: &Mat<T>,
    x: MatRef<'_, T>,
    mut r: MatMut<'_, T>,
    each: impl Fn(&mut T, T),
) {
    let early = m.ncols().saturating_sub(1) / TOGETHER * TOGETHER;
    for first in (0..early).step_by(TOGETHER) {
        add::<T, TOGETHER>(s.rb_mut(), m, first, x, r.rb_mut(), |_, _| {});
    }
    constant!(m.ncols() - early, N => add::<T, N>(s, m, early, x, r, each));
}

/// The same for columns first .. first + N of M.
#[inline(always)]
fn add<T: Real, const N: usize>(
    s: MatMut<'_, T>,
    m: &Mat<T>,
    first: usize,
    x: MatRef<'_, T>,
    r: MatMut<'_, T>,
    each: impl Fn(&mut T, T),
) {
    // Slices by name: those of an array the compiler does not know to be as long as s, so that it checks every element and
    // leaves the last ones to a loop without vectors.
    let rows = s.nrows();
    let column = |k| if k < N { &m.col_as_slice(first + k)[..rows] } else { &[] };
    let (m0, m1, m2, m3) = (column(0), column(1), column(2), column(3));
    for ((s, r), x) in zip(zip(s.col_iter_mut(), r.col_iter_mut()), x.col_iter()) {
        let (s, r, x) = (&mut slice_mut(s)[..rows], &mut slice_mut(r)[..rows], slice(x));
        let factor = |k| if k < N { x[first + k] } else { <T as Scalar>::ZERO };
        let (x0, x1, x2, x3) = (factor(0), factor(1), factor(2), factor(3));
        for i in 0..rows {
            let mut sum = s[i];
            if N > 0 {
                sum += m0[i] * x0;
            }
            if N > 1 {
                sum += m1[i] * x1;
            }
            if N > 2 {
                sum += m2[i] * x2;
            }
            if N > 3 {
                sum += m3[i] * x3;
            }
            s[i] = sum;
            each(&mut r[i], sum);
        }
    }
}

/// y = Mᵀ h, for every column of y and h.
#[inline(always)]
pub(super) fn transposed_products<T: Real>(mut y: MatMut<'_, T>, m: &Mat<T>, h: MatRef<'_, T>) {
    for first in (0..m.ncols()).step_by(TOGETHER) {
        constant!(m.ncols() - first, N => {
            let m = from_fn(|k| m.col_as_slice(first + k));
            for (y, h) in zip(y.rb_mut().col_iter_mut(), h.col_iter()) {
                dots::<T, N>(&mut slice_mut(y)[first..], m, slice(h));
            }
        });
    }
}

/// y = Mᵀ h, where the columns of M are one below the other.
#[inline(always)]
pub(super) fn transposed_product<T: Real>(y: &mut [T], m: &[T], h: &[T]) {
    for (y, m) in zip(y.chunks_mut(TOGETHER), m.chunks(TOGETHER * h.len())) {
        constant!(y.len(), N => dots::<T, N>(y, from_fn(|k| &m[k * h.len()..][..h.len()]), h));
    }
}

/// The first N of y = Mᵀ h, of these columns of M.
#[inline(always)]
fn dots<T: Real, const N: usize>(y: &mut [T], m: [&[T]; N], h: &[T]) {
    let (h, h_rest) = h.as_chunks::<LANES>();
    let m = m.map(|m| m.as_chunks::<LANES>());
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

/// In one line of the cache: what is written across two is read back slowly.
#[repr(align(64))]
struct Aligned<T>([T; LANES]);

/// The sum of all lanes.
#[inline(always)]
fn total<T: Real>(lanes: [T; LANES]) -> T {
    // Else the compiler makes the loop before out of the short vectors that are added here: 3 times slower in all.
    let lanes = &black_box(Aligned(lanes)).0;
    let fours: [T; 4] = from_fn(|i| (lanes[i] + lanes[i + 4]) + (lanes[i + 8] + lanes[i + 12]));
    (fours[0] + fours[1]) + (fours[2] + fours[3])
}

/// s += M x, where the columns of M are one below the other.
#[inline(always)]
pub(super) fn add_columns<T: Real>(s: &mut [T], m: &[T], x: &[T]) {
    for (m, &x) in zip(m.chunks_exact(s.len()), x) {
        zip(&mut *s, m).for_each(|(s, &m)| *s += m * x);
    }
}

pub(super) fn slice<T>(column: faer::ColRef<'_, T>) -> &[T] {
    column.try_as_col_major().expect("columns of a matrix are contiguous").as_slice()
}

pub(super) fn slice_mut<T>(column: faer::ColMut<'_, T>) -> &mut [T] {
    column.try_as_col_major_mut().expect("columns of a matrix are contiguous").as_slice_mut()
}
