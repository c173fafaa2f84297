//! Products of matrices, and matrices that are quick to multiply.
#![allow(unsafe_code)] // The quicker library for large products has no safe function.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use gemm::{Parallelism, gemm};
use tinyfold_core::Scalar;

use super::parameters::Real;

/// Multiply-adds from which on gemm is used: on AVX2 it gained on faer at n = 1024, and lost on it at n = 64; with
/// AVX-512 faer won at every size.
fn large() -> usize {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        return usize::MAX;
    }
    1 << 26
}

/// dst = a b, or dst += a b, on this thread: the same bits for any number of threads.
///
/// # Panics
/// If the shapes do not fit.
pub(super) fn product<T: Real>(dst: MatMut<'_, T>, accum: Accum, a: MatRef<'_, T>, b: MatRef<'_, T>) {
    let (m, k, n) = (a.nrows(), a.ncols(), b.ncols());
    if m * k * n < large() {
        return matmul(dst, accum, a, b, <T as Scalar>::ONE, Par::Seq);
    }
    assert_eq!((dst.nrows(), dst.ncols(), b.nrows()), (m, n, k), "shapes of a product");
    let (one, add) = (<T as Scalar>::ONE, accum == Accum::Add);
    // SAFETY: the shapes fit, so that all three pointers with their strides stay within their matrices; dst is
    // borrowed mutably, so that it overlaps neither a nor b.
    unsafe {
        gemm(
            m,
            n,
            k,
            dst.as_ptr_mut(),
            dst.col_stride(),
            dst.row_stride(),
            add,
            a.as_ptr(),
            a.col_stride(),
            a.row_stride(),
            b.as_ptr(),
            b.col_stride(),
            b.row_stride(),
            one,
            one,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// Zeros, with columns at distances that are no multiple of 256 bytes: those of a power of two all want the same
/// few lines of the cache.
#[must_use]
pub fn zeros<T: Real>(rows: usize, columns: usize) -> Mat<T> {
    let apart = if rows > 0 && rows.is_multiple_of(64) { rows + 16 } else { rows };
    let mut matrix = Mat::with_capacity(apart, columns);
    matrix.resize_with(rows, columns, |_, _| <T as Scalar>::ZERO);
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both libraries, all orientations, both ways to add, on integers: exact.
    #[test]
    fn products_are_exact_on_small_integers() {
        for (m, k, n) in [(7, 5, 3), (512, 300, 500)] {
            assert_eq!(m * k * n >= 1 << 26, m == 512);
            let a = Mat::from_fn(m, k, |i, j| ((7 * i + 3 * j) % 11) as f64 - 5.0);
            let b = Mat::from_fn(k, n, |i, j| ((5 * i + 2 * j) % 13) as f64 - 6.0);
            let expected = |i: usize, j: usize| (0..k).map(|l| a[(i, l)] * b[(l, j)]).sum::<f64>();
            let (across, along) = (a.transpose().to_owned(), b.transpose().to_owned());
            for (a, b) in
                [(a.as_ref(), b.as_ref()), (across.transpose(), b.as_ref()), (a.as_ref(), along.transpose())]
            {
                let mut sums = zeros::<f64>(m, n);
                product(sums.as_mut(), Accum::Replace, a, b);
                product(sums.as_mut(), Accum::Add, a, b);
                for (i, j) in [(0, 0), (m - 1, n - 1), (m / 2, n / 3), (m - 1, 0)] {
                    assert_eq!(sums[(i, j)], 2.0 * expected(i, j), "{i}, {j} of {m} x {k} x {n}");
                }
            }
        }
    }
}
