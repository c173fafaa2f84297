//! The assembly of cores with an FPU, with the bits of the portable kernels.
#![allow(unsafe_code)]

use core::ops::Range;

use super::{Kernels, WIDEST};
use crate::linear::PANEL_ROWS;
use crate::scalar::Arithmetic;

assembly!("float.s");

/// panels, h, n, x, I, p, number of panels.
type Matvec = unsafe extern "C" fn(*const f32, *const f32, usize, *const f32, usize, *mut f32, usize);
/// records, their number, z or phi, p or sums, words of a record that are used, bytes of a record.
type Part = unsafe extern "C" fn(*const f32, usize, *const f32, *mut f32, usize, usize);
/// words, rows of f alone, rows of f and g, u, s.
type Line = unsafe extern "C" fn(*const f32, usize, usize, *const f32, f32) -> f32;
/// records, their number, z, x, s, y.
type ReluPass = unsafe extern "C" fn(*const f32, usize, *const f32, *const f32, *mut f32, *mut f32);

/// Kernels of one signature.
macro_rules! kernels {
    ($arguments:tt $($name:ident)*) => {
        unsafe extern "C" { $(fn $name $arguments;)* }
    };
}

kernels! {
    (_: *const f32, _: *const f32, _: usize, _: *const f32, _: usize, _: *mut f32, _: usize)
    tinyfold_matvec_separate tinyfold_matvec_fused tinyfold_matvec_sparse
}

kernels! {
    (_: *const f32, _: usize, _: *const f32, _: *const f32, _: *mut f32, _: *mut f32)
    tinyfold_relu_pass_1_separate tinyfold_relu_pass_2_separate tinyfold_relu_pass_3_separate
    tinyfold_relu_pass_1_fused tinyfold_relu_pass_2_fused tinyfold_relu_pass_3_fused
}

kernels! {
    (_: *const f32, _: usize, _: *const f32, _: *mut f32, _: usize, _: usize)
    tinyfold_read_separate tinyfold_read_fused tinyfold_write_separate tinyfold_write_fused
}

unsafe extern "C" {
    fn tinyfold_line_0_separate(_: *const f32, _: usize, _: usize, _: *const f32, _: f32) -> f32;
    fn tinyfold_line_1_separate(_: *const f32, _: usize, _: usize, _: *const f32, _: f32) -> f32;
    fn tinyfold_line_2_separate(_: *const f32, _: usize, _: usize, _: *const f32, _: f32) -> f32;
    fn tinyfold_line_3_separate(_: *const f32, _: usize, _: usize, _: *const f32, _: f32) -> f32;
    fn tinyfold_line_4_separate(_: *const f32, _: usize, _: usize, _: *const f32, _: f32) -> f32;
    fn tinyfold_line_0_fused(_: *const f32, _: usize, _: usize, _: *const f32, _: f32) -> f32;
    fn tinyfold_line_1_fused(_: *const f32, _: usize, _: usize, _: *const f32, _: f32) -> f32;
    fn tinyfold_line_2_fused(_: *const f32, _: usize, _: usize, _: *const f32, _: f32) -> f32;
    fn tinyfold_line_3_fused(_: *const f32, _: usize, _: usize, _: *const f32, _: f32) -> f32;
    fn tinyfold_line_4_fused(_: *const f32, _: usize, _: usize, _: *const f32, _: f32) -> f32;
    /// columns, a, their number, f, bytes of a panel, bits of the scale, pairs of panels.
    fn tinyfold_rank_one(_: *mut f32, _: *const f32, _: usize, _: *const f32, _: usize, _: u32, _: usize);
    /// w, m, a, number of columns, carry, slope, q, bits of the scale, bytes of a panel, panels.
    fn tinyfold_diagonal(
        _: *mut f32,
        _: *mut f32,
        _: *const f32,
        _: usize,
        _: *const f32,
        _: *const f32,
        _: *const f32,
        _: u32,
        _: usize,
        _: usize,
    );
    fn tinyfold_fma(a: f32, b: f32, c: f32) -> f32;
}

/// a b + c, rounded once.
#[inline(always)]
pub(crate) fn fma(a: f32, b: f32, c: f32) -> f32 {
    // SAFETY: the function touches no memory and no register that a call may not.
    unsafe { tinyfold_fma(a, b, c) }
}

/// Whether `count` records of `record` words, the last one cut after `end` words, are in `records`.
fn hold(records: &[f32], count: usize, record: usize, end: usize) -> bool {
    count > 0 && end <= record && records.len() >= (count - 1) * record + end
}

/// Whether the columns `run` are in `a` and in panels of `columns` columns, and `panels` of these in `w`.
fn inside(run: &Range<usize>, a: &[f32], columns: usize, w: &[f32], panels: usize) -> bool {
    run.end <= columns && run.end <= a.len() && w.len() >= panels * PANEL_ROWS * columns
}

impl Kernels for f32 {
    const PARTS: bool = true;

    #[inline(always)]
    fn matvec(arithmetic: Arithmetic, panels: &[f32], h: &[f32], x: &[f32], p: &mut [f32]) -> bool {
        let count = p.len() / PANEL_ROWS;
        if count == 0 || panels.len() < count * PANEL_ROWS * (1 + h.len() + x.len()) {
            return false;
        }
        let kernel: Matvec = match arithmetic {
            Arithmetic::Separate => tinyfold_matvec_separate,
            Arithmetic::Fused => tinyfold_matvec_fused,
        };
        // SAFETY: `panels` holds `count` panels of 1 + n + I columns, `p` eight words for each of them; the
        // kernel reads n words of `h` and I of `x` and writes nothing but `p`.
        unsafe { kernel(panels.as_ptr(), h.as_ptr(), h.len(), x.as_ptr(), x.len(), p.as_mut_ptr(), count) };
        true
    }

    #[inline(always)]
    fn matvec_sparse(panels: &[f32], h: &[f32], x: &[f32], p: &mut [f32]) -> usize {
        let pairs = p.len() / (2 * PANEL_ROWS);
        if pairs == 0 || panels.len() < 2 * pairs * PANEL_ROWS * (1 + h.len() + x.len()) {
            return 0;
        }
        let (n, inputs) = (h.len(), x.len());
        // SAFETY: as for `matvec`, with twice as many panels as `pairs`.
        unsafe {
            tinyfold_matvec_sparse(panels.as_ptr(), h.as_ptr(), n, x.as_ptr(), inputs, p.as_mut_ptr(), pairs);
        }
        2 * pairs
    }

    #[inline(always)]
    fn rank_one(
        w: &mut [f32],
        columns: usize,
        run: &Range<usize>,
        (f, a): (&[f32], &[f32]),
        scale: f32,
    ) -> usize {
        let pairs = f.len() / (2 * PANEL_ROWS);
        if pairs == 0 || run.is_empty() || !inside(run, a, columns, w, 2 * pairs) {
            return 0;
        }
        // SAFETY: `w` holds `pairs` pairs of panels of `columns` columns, `f` sixteen words for each of them,
        // `a` a word for each column of the run, which is not empty and ends within a panel.
        unsafe {
            let first = w.as_mut_ptr().add(PANEL_ROWS * run.start);
            let (a, bytes) = (a.as_ptr().add(run.start), 4 * PANEL_ROWS * columns);
            tinyfold_rank_one(first, a, run.len(), f.as_ptr(), bytes, scale.to_bits(), pairs);
        }
        2 * pairs
    }

    #[inline(always)]
    fn diagonal(
        [w, m]: [&mut [f32]; 2],
        columns: usize,
        run: &Range<usize>,
        [carry, slope, q]: [&[f32]; 3],
        a: &[f32],
        scale: f32,
    ) -> bool {
        let rows = q.len().min(slope.len()).min(carry.len());
        let panels = rows / PANEL_ROWS;
        if panels == 0 || !inside(run, a, columns, w, panels) || !inside(run, a, columns, m, panels) {
            return false;
        }
        let bytes = 4 * PANEL_ROWS * columns;
        for half in [0, PANEL_ROWS / 2] {
            if run.is_empty() {
                break;
            }
            // SAFETY: `w` and `m` hold `panels` panels of `columns` columns, of which the kernel takes the
            // columns of the run, which is not empty and ends within a panel and `a`, and four rows of eight;
            // carry, slope and q hold eight words for every panel.
            unsafe {
                let first = PANEL_ROWS * run.start + half;
                let [w, m] = [w.as_mut_ptr().add(first), m.as_mut_ptr().add(first)];
                let rows = [carry, slope, q].map(|rows| rows.as_ptr().add(half));
                let [carry, slope, q] = rows;
                let a = a.as_ptr().add(run.start);
                tinyfold_diagonal(w, m, a, run.len(), carry, slope, q, scale.to_bits(), bytes, panels);
            }
        }
        true
    }

    #[inline(always)]
    fn relu_pass<const D: usize>(
        arithmetic: Arithmetic,
        records: &[f32],
        (z, x): (&[f32; D], &[f32; D]),
        (s, y): (&mut [f32; D], &mut [f32; D]),
    ) -> bool {
        let kernel: ReluPass = match (D, arithmetic) {
            (1, Arithmetic::Separate) => tinyfold_relu_pass_1_separate,
            (1, Arithmetic::Fused) => tinyfold_relu_pass_1_fused,
            (2, Arithmetic::Separate) => tinyfold_relu_pass_2_separate,
            (2, Arithmetic::Fused) => tinyfold_relu_pass_2_fused,
            (3, Arithmetic::Separate) => tinyfold_relu_pass_3_separate,
            (3, Arithmetic::Fused) => tinyfold_relu_pass_3_fused,
            _ => return false,
        };
        let count = records.len() / (1 + 4 * D);
        if count == 0 {
            return false;
        }
        // SAFETY: `records` holds `count` records of 1 + 4 D words; z, x, s and y have D words each, of which
        // the kernel writes s and y.
        unsafe { kernel(records.as_ptr(), count, z.as_ptr(), x.as_ptr(), s.as_mut_ptr(), y.as_mut_ptr()) };
        true
    }

    #[inline(always)]
    fn read(
        arithmetic: Arithmetic,
        (records, record): (&[f32], usize),
        width: usize,
        z: &[f32; WIDEST],
        p: &mut [f32],
    ) -> bool {
        if !(1..=WIDEST).contains(&width) || !hold(records, p.len(), record, 1 + width) {
            return false;
        }
        let kernel: Part = match arithmetic {
            Arithmetic::Separate => tinyfold_read_separate,
            Arithmetic::Fused => tinyfold_read_fused,
        };
        // SAFETY: `records` holds 1 + `width` words every `record` words, as many times as `p` has words, at
        // least one; `width` is 1 to 8. The kernel writes `p` only.
        unsafe { kernel(records.as_ptr(), p.len(), z.as_ptr(), p.as_mut_ptr(), width, 4 * record) };
        true
    }

    #[inline(always)]
    fn write(
        arithmetic: Arithmetic,
        (records, record): (&[f32], usize),
        width: usize,
        phi: &[f32],
        sums: &mut [f32; WIDEST],
    ) -> bool {
        if !(1..=WIDEST).contains(&width) || !hold(records, phi.len(), record, width) {
            return false;
        }
        let kernel: Part = match arithmetic {
            Arithmetic::Separate => tinyfold_write_separate,
            Arithmetic::Fused => tinyfold_write_fused,
        };
        // SAFETY: `records` holds `width` words every `record` words, as many times as `phi` has words, at least
        // one; `width` is 1 to 8. The kernel writes the eight words of `sums` only.
        unsafe { kernel(records.as_ptr(), phi.len(), phi.as_ptr(), sums.as_mut_ptr(), width, 4 * record) };
        true
    }

    #[inline(always)]
    fn line(arithmetic: Arithmetic, words: &[f32], rows: [u8; 2], u: &[f32], s: f32) -> Option<f32> {
        let [alone, rows] = rows.map(usize::from);
        let kernel: Line = match (arithmetic, u.len()) {
            (Arithmetic::Separate, 0) => tinyfold_line_0_separate,
            (Arithmetic::Separate, 1) => tinyfold_line_1_separate,
            (Arithmetic::Separate, 2) => tinyfold_line_2_separate,
            (Arithmetic::Separate, 3) => tinyfold_line_3_separate,
            (Arithmetic::Separate, 4) => tinyfold_line_4_separate,
            (Arithmetic::Fused, 0) => tinyfold_line_0_fused,
            (Arithmetic::Fused, 1) => tinyfold_line_1_fused,
            (Arithmetic::Fused, 2) => tinyfold_line_2_fused,
            (Arithmetic::Fused, 3) => tinyfold_line_3_fused,
            (Arithmetic::Fused, 4) => tinyfold_line_4_fused,
            _ => return None,
        };
        // At most four inputs: this cannot overflow. Without inputs all rows are of one kind.
        let need = alone + rows * (1 + u.len());
        let [alone, rows] = if u.is_empty() { [0, need] } else { [alone, rows] };
        if words.len() < need {
            return None;
        }
        // SAFETY: `words` holds `alone` words and `rows` rows of 1 + I words, which is all that the kernel reads
        // besides the I words of `u`; it writes nothing.
        Some(unsafe { kernel(words.as_ptr(), alone, rows, u.as_ptr(), s) })
    }
}
