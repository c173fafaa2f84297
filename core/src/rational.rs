//! tanh and the logistic function as one rational function of f32: the same bits on every target,
//! because only +, · and / are used, always in this order and never fused.

/// Numerator of tanh(x / 2) = x P(x²) / Q(x²), lowest power first. `tests/rational.rs` derives it.
pub(crate) const P: [f32; 3] = [398_646.84, 11_890.702, 46.016_838];
/// Denominator; its last coefficient, that of x⁶, is 1.
pub(crate) const Q: [f32; 3] = [797_293.7, 90_222.52, 966.485_3];
/// From here on tanh is 1 to within 1.9e-7.
pub(crate) const LIMIT: f32 = 8.1;

/// tanh(x) = 2 N Q / (N² + Q²) with N = x P: doubling the argument this way damps the rounding errors of
/// P and Q where tanh is flat, and no quotient exceeds 1.
///
/// Odd; absolute error at most 2.1e-7, relative error at most 3.1e-7. NaN stays NaN.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    const SIGN: u32 = 1 << 31;
    let bits = x.to_bits();
    if bits & !SIGN >= LIMIT.to_bits() {
        return if x.is_nan() { x } else { f32::from_bits(1_f32.to_bits() | bits & SIGN) };
    }
    let u = x * x;
    let p = (P[2] * u + P[1]) * u + P[0];
    let q = ((u + Q[2]) * u + Q[1]) * u + Q[0];
    let n = x * p;
    (n + n) * q / (n * n + q * q)
}

/// 1 / (1 + e^-x) = 1/2 + tanh(x / 2) / 2, absolute error at most 1.3e-7.
#[inline(always)]
pub(crate) fn logistic(x: f32) -> f32 {
    0.5 + 0.5 * tanh(0.5 * x)
}
