//! The inner loops of a step: portable Rust, and on cores with an FPU assembly that gives the same bits.

#[cfg(tinyfold_fpu)]
pub(crate) mod float;

use crate::linear::{PANEL_ROWS, panel};
use crate::network::CopyChecked;
use crate::scalar::{Arithmetic, Fused, MultiplyAdd, Scalar, Separate};

/// Most words that [`Kernels::read`] and [`Kernels::write`] use of a record.
pub(crate) const WIDEST: usize = 8;

/// What the target computes in its own way. Every function is `false`, and nothing is done, where there is no
/// such kernel.
#[doc(hidden)]
pub trait Kernels: Sized {
    /// Whole panels: see [`matvec`].
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

/// Pre-activations of a dense layer: p = b + W h + B x, every sum in ascending order from its bias.
///
/// | | |
/// |---|---|
/// | `panels` | the columns b, W, B of every eight rows, see [`PANEL_ROWS`]: ceil(n / 8) · 8 · (1 + n + I) |
/// | `h` | n |
/// | `x` | I |
/// | `p` | n; any number of leading rows |
///
/// Rows that `panels` does not hold keep their value.
///
/// ```
/// use tinyfold_core::{Arithmetic, kernel};
/// let panels = [[1.0; 8], [2.0; 8], [3.0; 8]];
/// let mut p = [0.0; 5];
/// kernel::matvec(Arithmetic::Separate, panels.as_flattened(), &[10.0], &[100.0], &mut p);
/// assert_eq!(p, [321.0; 5]);
/// ```
pub fn matvec<T: Scalar>(arithmetic: Arithmetic, panels: &[T], h: &[T], x: &[T], p: &mut [T]) {
    match arithmetic {
        Arithmetic::Separate => rows::<T, Separate>(panels, h, x, p),
        Arithmetic::Fused => rows::<T, Fused>(panels, h, x, p),
    }
}

/// [`matvec`] in one arithmetic.
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
