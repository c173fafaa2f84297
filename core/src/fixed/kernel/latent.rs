//! Low-rank passes and corrections in assembly.

#[cfg(tinyfold_dsp)]
use crate::fixed::Weight;

#[cfg(tinyfold_dsp)]
assembly!("latent_dsp.s");
assembly!("correct_thumb2.s");

/// Sets the 2 D sums of a pass over `count` records, at least one.
#[cfg(tinyfold_dsp)]
type Pass =
    unsafe extern "C" fn(records: *const i32, count: usize, z: *const i32, x: *const i32, sums: *mut i32);

#[cfg(tinyfold_dsp)]
unsafe extern "C" {
    fn tinyfold_fixed_pass_i16_1(_: *const i32, _: usize, z: *const i32, x: *const i32, sums: *mut i32);
    fn tinyfold_fixed_pass_i16_2(_: *const i32, _: usize, z: *const i32, x: *const i32, sums: *mut i32);
    fn tinyfold_fixed_pass_i16_3(_: *const i32, _: usize, z: *const i32, x: *const i32, sums: *mut i32);
    fn tinyfold_fixed_pass_i8_1(_: *const i32, _: usize, z: *const i32, x: *const i32, sums: *mut i32);
    fn tinyfold_fixed_pass_i8_2(_: *const i32, _: usize, z: *const i32, x: *const i32, sums: *mut i32);
    fn tinyfold_fixed_pass_i8_3(_: *const i32, _: usize, z: *const i32, x: *const i32, sums: *mut i32);
}

/// sums = [V | C]ᵀ max(0, b + r (U z + B x)) of `count` records of R = I = O = `D`; `E` is 2 `D`.
///
/// False if there is no kernel for this and nothing is done.
#[cfg(tinyfold_dsp)]
#[inline(always)]
pub(in crate::fixed) fn pass<W: Weight, const D: usize, const E: usize>(
    records: &[i32],
    count: usize,
    z: &[i32; D],
    x: &[i32; D],
    sums: &mut [i32; E],
) -> bool {
    let pass: Pass = match (W::IN_A_WORD, D) {
        (2, 1) => tinyfold_fixed_pass_i16_1,
        (2, 2) => tinyfold_fixed_pass_i16_2,
        (2, 3) => tinyfold_fixed_pass_i16_3,
        (4, 1) => tinyfold_fixed_pass_i8_1,
        (4, 2) => tinyfold_fixed_pass_i8_2,
        (4, 3) => tinyfold_fixed_pass_i8_3,
        _ => return false,
    };
    if count == 0 || E != 2 * D || records.len() < count * (2 + (2 * E).div_ceil(W::IN_A_WORD)) {
        return false;
    }
    // SAFETY: there are `count` records of 2 words and 4 D weights, and at least one; z and x have D
    // words and `sums` 2 D. The kernel writes `sums` only.
    unsafe { pass(records.as_ptr(), count, z.as_ptr(), x.as_ptr(), sums.as_mut_ptr()) };
    true
}

/// Computes at least one row, up to the end of `out`, of the correction of as many sums as its name says.
type Correct =
    unsafe extern "C" fn(bias: *const i32, end: *mut i32, rows: *const i32, out: *mut i32, sums: *const i32);

unsafe extern "C" {
    fn tinyfold_fixed_correct_2(
        bias: *const i32,
        end: *mut i32,
        rows: *const i32,
        out: *mut i32,
        sums: *const i32,
    );
    fn tinyfold_fixed_correct_4(
        bias: *const i32,
        end: *mut i32,
        rows: *const i32,
        out: *mut i32,
        sums: *const i32,
    );
    fn tinyfold_fixed_correct_6(
        bias: *const i32,
        end: *mut i32,
        rows: *const i32,
        out: *mut i32,
        sums: *const i32,
    );
}

/// Rows of the correction from `first` on, as many as fill `out`; `readout` is biases, shifts, M.
///
/// False if there is no kernel for this and nothing is done.
#[inline(always)]
pub(in crate::fixed) fn correct(readout: &[i32], sums: &[i32], first: usize, out: &mut [i32]) -> bool {
    let count = sums.len();
    let correct: Correct = match count {
        2 => tinyfold_fixed_correct_2,
        4 => tinyfold_fixed_correct_4,
        6 => tinyfold_fixed_correct_6,
        _ => return false,
    };
    let inside = !out.is_empty() && out.len() <= count && first <= count - out.len();
    if !inside || readout.len() < count * (count + 2) {
        return false;
    }
    let (bias, rows) = (readout.as_ptr().wrapping_add(first), count * (first + 2));
    let (rows, out) = (readout.as_ptr().wrapping_add(rows), out.as_mut_ptr_range());
    // SAFETY: `readout` has `count` biases, shifts and rows of M, of which `first` and those that fill
    // `out`, at least one, are there; there are `count` sums. The kernel writes `out` only.
    unsafe { correct(bias, out.end, rows, out.start, sums.as_ptr()) };
    true
}
