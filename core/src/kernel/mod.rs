//! The inner loops of a step: portable Rust, and on cores with an FPU assembly that gives the same bits.

#[cfg(tinyfold_fpu)]
pub(crate) mod float;

use core::ops::Range;

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
    /// As [`Kernels::matvec`] in separate arithmetic, for vectors with many zeros: how many panels, from the
    /// first, were done.
    #[inline(always)]
    fn matvec_sparse(_panels: &[Self], _h: &[Self], _x: &[Self], _p: &mut [Self]) -> usize {
        0
    }
    /// W −= (scale f) aᵀ for the columns `run` of panels of `columns` columns, those with a = 0 left out; f by
    /// rows, a by columns, both of the whole matrix: how many panels, from the first, were done.
    #[inline(always)]
    fn rank_one(
        _w: &mut [Self],
        _columns: usize,
        _run: &Range<usize>,
        _fa: (&[Self], &[Self]),
        _scale: Self,
    ) -> usize {
        0
    }
    /// M = diag(carry) M + slope aᵀ, then W −= diag(scale q) M, for the columns `run` of panels of `columns`
    /// columns; carry, slope, q by rows, a by columns.
    #[inline(always)]
    fn diagonal(
        _wm: [&mut [Self]; 2],
        _columns: usize,
        _run: &Range<usize>,
        _carry_slope_q: [&[Self]; 3],
        _a: &[Self],
        _scale: Self,
    ) -> bool {
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
    /// A series at s by rows of f alone, then rows of f and g moved by u: see `reduced.rs`.
    #[inline(always)]
    fn line(_: Arithmetic, _words: &[Self], _rows: [u8; 2], _u: &[Self], _s: Self) -> Option<Self> {
        None
    }
}

#[cfg(not(tinyfold_fpu))]
impl Kernels for f32 {}
impl Kernels for f64 {}

/// Pre-activations of as many rows as `p` has: p = b + W h + B x by `panels` of 1 + n + I columns, every sum in
/// ascending order from its bias. Rows that `panels` does not hold keep their value. `sparse`: h has many zeros.
#[inline(always)]
pub(crate) fn rows<T: Scalar, A: MultiplyAdd>(panels: &[T], h: &[T], x: &[T], p: &mut [T], sparse: bool) {
    let columns = 1 + h.len() + x.len();
    // Whole panels go straight to their place.
    let whole = p.len() / PANEL_ROWS;
    let few = sparse && A::ARITHMETIC == Arithmetic::Separate;
    let mut done = if few { T::matvec_sparse(panels, h, x, p) } else { 0 };
    if done < whole {
        let rest = panels.get(done * PANEL_ROWS * columns..).unwrap_or_default();
        let straight = p.get_mut(done * PANEL_ROWS..whole * PANEL_ROWS).unwrap_or_default();
        if T::matvec(A::ARITHMETIC, rest, h, x, straight) {
            done = whole;
        }
    }
    if done * PANEL_ROWS < p.len() {
        let panels = panels.get(done * PANEL_ROWS * columns..).unwrap_or_default();
        rest::<T, A>(panels, h, x, p.get_mut(done * PANEL_ROWS..).unwrap_or_default());
    }
}

/// As [`rows`], panel by panel.
#[inline(always)]
fn rest<T: Scalar, A: MultiplyAdd>(panels: &[T], h: &[T], x: &[T], p: &mut [T]) {
    let panels = panels.as_chunks().0;
    for (block, p) in panels.chunks_exact((1 + h.len() + x.len()).max(1)).zip(p.chunks_mut(PANEL_ROWS)) {
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
