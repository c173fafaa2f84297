//! The assembly of cores with an FPU, with the bits of the portable kernels.
#![allow(unsafe_code)]

use crate::linear::PANEL_ROWS;
use crate::scalar::Arithmetic;

assembly!("float.s");

/// panels, h, n, x, I, p, number of panels.
type Matvec = unsafe extern "C" fn(*const f32, *const f32, usize, *const f32, usize, *mut f32, usize);
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
    tinyfold_matvec_separate tinyfold_matvec_fused
}

kernels! {
    (_: *const f32, _: usize, _: *const f32, _: *const f32, _: *mut f32, _: *mut f32)
    tinyfold_relu_pass_1_separate tinyfold_relu_pass_2_separate tinyfold_relu_pass_3_separate
    tinyfold_relu_pass_1_fused tinyfold_relu_pass_2_fused tinyfold_relu_pass_3_fused
}

unsafe extern "C" {
    fn tinyfold_fma(a: f32, b: f32, c: f32) -> f32;
}

/// a b + c, rounded once.
#[inline(always)]
pub(crate) fn fma(a: f32, b: f32, c: f32) -> f32 {
    // SAFETY: the function touches no memory and no register that a call may not.
    unsafe { tinyfold_fma(a, b, c) }
}

/// p of as many whole panels as fill `p`; `false` without touching it if `panels` does not have them.
#[inline(always)]
pub(crate) fn matvec(arithmetic: Arithmetic, panels: &[f32], h: &[f32], x: &[f32], p: &mut [f32]) -> bool {
    let count = p.len() / PANEL_ROWS;
    if count == 0 || panels.len() < count * PANEL_ROWS * (1 + h.len() + x.len()) {
        return false;
    }
    let kernel: Matvec = match arithmetic {
        Arithmetic::Separate => tinyfold_matvec_separate,
        Arithmetic::Fused => tinyfold_matvec_fused,
    };
    // SAFETY: `panels` holds `count` panels of 1 + n + I columns, `p` eight words for each of them; the kernel
    // reads n words of `h` and I of `x` and writes nothing but `p`.
    unsafe { kernel(panels.as_ptr(), h.as_ptr(), h.len(), x.as_ptr(), x.len(), p.as_mut_ptr(), count) };
    true
}

/// The pass of a low-rank ReLU network with R = I = O = D; `false` unless D is 1, 2 or 3.
#[inline(always)]
pub(crate) fn relu_pass<const D: usize>(
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
    // SAFETY: `records` holds `count` records of 1 + 4 D words; z, x, s and y have D words each, of which the
    // kernel writes s and y.
    unsafe { kernel(records.as_ptr(), count, z.as_ptr(), x.as_ptr(), s.as_mut_ptr(), y.as_mut_ptr()) };
    true
}
