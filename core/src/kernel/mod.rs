//! The inner loops of a step: portable Rust, and on cores with an FPU assembly that gives the same bits.

#[cfg(tinyfold_fpu)]
pub(crate) mod float;

use crate::linear::{PANEL_ROWS, add_column, panel, readout};
use crate::network::CopyChecked;
use crate::scalar::{Arithmetic, MultiplyAdd, Scalar};

/// Most words that [`Kernels::read`] and [`Kernels::write`] use of a record.
pub(crate) const WIDEST: usize = 8;

/// What the target computes in its own way. Every function is `false`, and nothing is done, where there is no
/// such kernel.
#[doc(hidden)]
pub trait Kernels: Sized {
    /// Pre-activations of whole panels: see [`rows`].
    #[inline(always)]
    fn matvec(_: Arithmetic, _panels: &[Self], _h: &[Self], _x: &[Self], _p: &mut [Self]) -> bool {
        false
    }
    /// The pass of a low-rank ReLU network with R = I = O = D: see `latent.rs`.
    #[inline(always)]
    fn relu_pass<const D: usize>(
        _: Arithmetic,
        _records: &[Self],
        _zx: (&[Self; D], &[Self; D]),
        _sy: (&mut [Self; D], &mut [Self; D]),
    ) -> bool {
        false
    }
    /// Whether [`Kernels::read`] and [`Kernels::write`] do anything.
    const PARTS: bool = false;
    /// p = b + w z of as many units as fill `p`, for the words b and w (`width` of them) of their records,
    /// which come with their length.
    #[inline(always)]
    fn read(_: Arithmetic, _: (&[Self], usize), _width: usize, _z: &[Self; WIDEST], _p: &mut [Self]) -> bool {
        false
    }
    /// sums += w phi of as many units as `phi` has, for the words w (`width` of them) at the start of the
    /// records and every record's length after.
    #[inline(always)]
    fn write(
        _: Arithmetic,
        _: (&[Self], usize),
        _width: usize,
        _phi: &[Self],
        _sums: &mut [Self; WIDEST],
    ) -> bool {
        false
    }
}

#[cfg(not(tinyfold_fpu))]
impl Kernels for f32 {}
impl Kernels for f64 {}

/// Pre-activations of as many rows as `p` has: p = b + W h + B x by `panels` of 1 + n + I columns, every sum in
/// ascending order from its bias. Rows that `panels` does not hold keep their value.
#[inline(always)]
pub(crate) fn rows<T: Scalar, A: MultiplyAdd>(panels: &[T], h: &[T], x: &[T], p: &mut [T]) {
    let columns = 1 + h.len() + x.len();
    // Whole panels go straight to their place.
    let whole = p.len() / PANEL_ROWS * PANEL_ROWS;
    let (straight, _) = p.split_at_mut_checked(whole).unwrap_or_default();
    let done = if T::matvec(A::ARITHMETIC, panels, h, x, straight) { whole } else { 0 };
    let panels = panels.get(done * columns..).unwrap_or_default().as_chunks().0;
    let (_, p) = p.split_at_mut_checked(done).unwrap_or_default();
    for (block, p) in panels.chunks_exact(columns.max(1)).zip(p.chunks_mut(PANEL_ROWS)) {
        let mut all = [T::ZERO; PANEL_ROWS];
        if !T::matvec(A::ARITHMETIC, block.as_flattened(), h, x, &mut all) {
            all = panel::<T, A>(block, h, x);
        }
        p.copy_from_slice_checked(&all);
    }
}

/// y += C phi by the columns of C.
#[inline(always)]
pub(crate) fn read_out<T: Scalar, A: MultiplyAdd>(columns: &[T], phi: &[T], y: &mut [T]) {
    let outputs = y.len();
    // In separate arithmetic the compiler does as well for few outputs, without a call.
    if T::PARTS && outputs <= WIDEST && (outputs > 3 || A::ARITHMETIC == Arithmetic::Fused) {
        let mut sums = [T::ZERO; WIDEST];
        sums.copy_from_slice_checked(y);
        if T::write(A::ARITHMETIC, (columns, outputs), outputs, phi, &mut sums) {
            y.copy_from_slice_checked(&sums);
            return;
        }
    }
    match outputs {
        1 => readout::<T, A, 1>(y, columns, phi),
        2 => readout::<T, A, 2>(y, columns, phi),
        3 => readout::<T, A, 3>(y, columns, phi),
        _ => {
            for (column, &phi) in columns.chunks_exact(outputs.max(1)).zip(phi) {
                add_column::<T, A>(y, column, phi);
            }
        }
    }
}
