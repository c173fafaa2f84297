//! Products of matrices, and matrices that are quick to multiply.
#![allow(unsafe_code)] // The quicker library for large products has no safe function.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use gemm::{Parallelism, gemm};
use tinyfold_core::Scalar;

use super::parameters::Real;

#[cfg(target_arch = "x86_64")]
mod wide;

/// Products of f32 for which there is no kernel of ours.
#[cfg(not(target_arch = "x86_64"))]
mod wide {
    use faer::{Accum, MatMut, MatRef};

    /// None.
    pub enum Packed {}

    impl Packed {
        /// None.
        pub fn new(_: MatRef<'_, f32>) -> Option<Self> {
            None
        }

        /// Never called.
        pub fn times(&self, _: MatMut<'_, f32>, _: Accum, _: MatRef<'_, f32>, _: Option<&[usize]>) {
            match *self {}
        }
    }
}

/// Multiply-adds from which on gemm is used: on AVX2 it gained on faer at n = 1024, and lost on it at n = 64; with
/// AVX-512 faer won at every size.
fn large() -> usize {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        return usize::MAX;
    }
    1 << 26
}

/// Rows, columns and columns of the right factor from which on the kernel for AVX-512 gains on faer; at 64 it loses.
const WIDE: usize = 128;

/// The left factor of products, laid out for many of them where that pays.
pub(super) struct Factor<'a, T> {
    matrix: MatRef<'a, T>,
    packed: Option<wide::Packed>,
}

impl<'a, T: Real> Factor<'a, T> {
    /// a, to be multiplied by matrices of so many columns.
    pub(super) fn new(matrix: MatRef<'a, T>, columns: usize) -> Self {
        let large = matrix.nrows().min(matrix.ncols()).min(columns) >= WIDE;
        let packed = T::single(matrix).filter(|_| large).and_then(wide::Packed::new);
        Self { matrix, packed }
    }

    /// Whether zeros of the right factor are passed over.
    pub(super) fn passes_over_zeros(&self) -> bool {
        self.packed.is_some()
    }

    /// dst = a b, or dst += a b, on this thread: the same bits for any number of threads, and for any order of the columns
    /// of b; with one that has columns with zeros in the same rows next to each other it is quicker.
    ///
    /// # Panics
    /// If the shapes or the order do not fit.
    pub(super) fn times(
        &self,
        mut dst: MatMut<'_, T>,
        accum: Accum,
        b: MatRef<'_, T>,
        order: Option<&[usize]>,
    ) {
        if let (Some(packed), Some(b), Some(dst)) = (&self.packed, T::single(b), T::single_mut(dst.as_mut()))
        {
            return packed.times(dst, accum, b, order);
        }
        of_libraries(dst, accum, self.matrix, b);
    }
}

/// dst = a b, or dst += a b, on this thread: the same bits for any number of threads.
///
/// # Panics
/// If the shapes do not fit.
pub(super) fn product<T: Real>(dst: MatMut<'_, T>, accum: Accum, a: MatRef<'_, T>, b: MatRef<'_, T>) {
    Factor::new(a, b.ncols()).times(dst, accum, b, None);
}

/// As [`product`].
fn of_libraries<T: Real>(dst: MatMut<'_, T>, accum: Accum, a: MatRef<'_, T>, b: MatRef<'_, T>) {
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

/// Begins to bring rows first .. first + rows of a column, if there is one, into the second cache.
#[inline(always)]
pub(super) fn fetch<T>(matrix: &Mat<T>, column: usize, first: usize, rows: usize) {
    #[cfg(target_arch = "x86_64")]
    if column < matrix.ncols() {
        for line in matrix.col_as_slice(column)[first..][..rows].chunks(64 / size_of::<T>()) {
            // SAFETY: what is fetched is a part of the matrix; nothing is read.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (matrix, column, first, rows);
}

#[cfg(test)]
mod tests {
    use std::iter::zip;

    use super::*;

    /// a b twice, of small integers, so that every order of sums gives the same.
    fn exact<T: Real>(m: usize, k: usize, n: usize) {
        let a = Mat::from_fn(m, k, |i, j| T::from_f64(((7 * i + 3 * j) % 11) as f64 - 5.0));
        let b = Mat::from_fn(k, n, |i, j| T::from_f64(((5 * i + 2 * j) % 13) as f64 - 6.0));
        let (across, along) = (a.transpose().to_owned(), b.transpose().to_owned());
        let doubled = Mat::from_fn(m, n, |i, j| {
            let terms = zip(across.col_as_slice(i), b.col_as_slice(j));
            2.0 * terms.map(|(&a, &b)| (a * b).to_f64()).sum::<f64>()
        });
        for a in [a.as_ref(), across.transpose()] {
            for b in [b.as_ref(), along.transpose()] {
                // A row and a column more, which nobody may touch.
                let mut sums = zeros::<T>(m + 1, n + 1);
                sums.fill(T::from_f64(99.0));
                product(sums.as_mut().submatrix_mut(0, 0, m, n), Accum::Replace, a, b);
                product(sums.as_mut().submatrix_mut(0, 0, m, n), Accum::Add, a, b);
                for (i, j) in (0..=m).flat_map(|i| (0..=n).map(move |j| (i, j))) {
                    let expected = if i == m || j == n { 99.0 } else { doubled[(i, j)] };
                    assert_eq!(sums[(i, j)].to_f64(), expected, "{i}, {j} of {m} x {k} x {n}");
                }
            }
        }
    }

    /// Both libraries and the kernel, all orientations, both ways to add, parts of blocks and panels, right factors that are
    /// laid out and that are not.
    #[test]
    fn products_are_exact_on_small_integers() {
        exact::<f64>(7, 5, 3);
        exact::<f64>(420, 401, 402);
        exact::<f32>(7, 5, 3);
        let parts = [(128, 128, 128), (129, 257, 129), (159, 300, 135), (176, 513, 140)];
        let many = [(159, 300, 285), (515, 513, 265)];
        for (m, k, n) in parts.into_iter().chain(many) {
            exact::<f32>(m, k, n);
        }
    }

    /// Rates of which some rows are 0 in all columns, some in all but one or a few of a tile, and the others in none; parts of
    /// blocks and tiles.
    #[test]
    fn zeros_are_passed_over_to_the_same_bits() {
        let a = Mat::from_fn(159, 300, |i, j| ((7 * i + 3 * j) as f32).sin());
        let b = Mat::from_fn(300, 285, |i, j| {
            let silent = i % 5 != 0 && (7 * i + j) % 23 >= i % 4;
            if silent { 0.0 } else { ((5 * i + 2 * j) as f32).cos() }
        });
        let across = b.transpose().to_owned();
        let factor = Factor::new(a.as_ref(), b.ncols());
        let mut order: Vec<usize> = (0..b.ncols()).map(|k| 17 * k % 285).collect();
        for b in [b.as_ref(), across.transpose()] {
            for accum in [Accum::Replace, Accum::Add] {
                let products = [None, Some(&order[..])].map(|order| {
                    let mut sums = Mat::full(159, 285, 0.1);
                    factor.times(sums.as_mut(), accum, b, order);
                    sums
                });
                assert_eq!(products[0], products[1]);
            }
        }
        order[3] = 285;
        let mut sums = Mat::full(159, 285, 0.1);
        if factor.passes_over_zeros() {
            let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                factor.times(sums.as_mut(), Accum::Add, b.as_ref(), Some(&order));
            }));
            assert!(refused.is_err(), "a column that there is not");
        }
    }

    #[test]
    fn the_kernel_is_used_where_this_machine_has_it() {
        #[cfg(target_arch = "x86_64")]
        {
            let a = zeros::<f32>(WIDE, WIDE);
            assert_eq!(Factor::new(a.as_ref(), WIDE).packed.is_some(), is_x86_feature_detected!("avx512f"));
        }
        let small = zeros::<f32>(WIDE - 1, WIDE);
        assert!(Factor::new(small.as_ref(), WIDE).packed.is_none());
    }
}
