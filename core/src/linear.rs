//! Matrix-vector kernels over packed weights. The order of every sum is fixed, so every target and
//! every way of vectorising gives the same bits.

use crate::scalar::{MultiplyAdd, Scalar};

/// Rows of a panel: weights are stored as `[block of 8 rows][column][8]`, so that a chip streams
/// them with load-multiple and a host computes eight rows at once. Missing rows are zero.
pub const PANEL_ROWS: usize = 8;

/// Number of panels that hold `rows` rows.
#[must_use]
pub const fn panels(rows: usize) -> usize {
    rows.div_ceil(PANEL_ROWS)
}

/// Pre-activations of one panel: p = b + sum_j W_j h_j + sum_k B_k x_k, both sums ascending.
///
/// `panel`: columns b, W_1 .. W_n, B_1 .. B_I, each of eight rows.
#[inline(always)]
pub(crate) fn panel<T: Scalar, A: MultiplyAdd>(
    panel: &[[T; PANEL_ROWS]],
    h: &[T],
    x: &[T],
) -> [T; PANEL_ROWS] {
    let Some((bias, columns)) = panel.split_first() else { return [T::ZERO; PANEL_ROWS] };
    let (recurrent, input) = columns.split_at_checked(h.len()).unwrap_or((columns, &[]));
    let mut p = *bias;
    for (column, &h) in recurrent.iter().zip(h).chain(input.iter().zip(x)) {
        for (p, &w) in p.iter_mut().zip(column) {
            *p = A::mac(*p, w, h);
        }
    }
    p
}

/// Adds `column` · `phi` to `sums`. A unit with phi = 0 adds nothing and is skipped: no sum here
/// starts at −0, so the bits are the same.
#[inline(always)]
pub(crate) fn add_column<T: Scalar, A: MultiplyAdd>(sums: &mut [T], column: &[T], phi: T) {
    if !phi.is_zero() {
        for (sum, &weight) in sums.iter_mut().zip(column) {
            *sum = A::mac(*sum, weight, phi);
        }
    }
}

/// p + sum_k row_k x_k, ascending.
#[inline(always)]
pub(crate) fn add_dot<T: Scalar, A: MultiplyAdd>(p: T, row: &[T], x: &[T]) -> T {
    row.iter().zip(x).fold(p, |p, (&w, &x)| A::mac(p, w, x))
}

/// y += C phi by the columns of C, the O sums in registers.
#[inline(always)]
pub(crate) fn readout<T: Scalar, A: MultiplyAdd, const O: usize>(y: &mut [T], columns: &[T], phi: &[T]) {
    let Some(y) = y.first_chunk_mut::<O>() else { return };
    let mut sums = *y;
    for (column, &phi) in columns.as_chunks::<O>().0.iter().zip(phi) {
        add_column::<T, A>(&mut sums, column, phi);
    }
    *y = sums;
}
