//! Activation functions of fixed point.

use super::saturate;
use crate::activation::Activation;

/// Intervals of the table on [0, 8).
const INTERVALS: usize = 512;
/// Exponent of the table's argument: 8 is 2^31.
const ARGUMENT: u32 = 28;
/// Exponent of the table's result.
const RESULT: u32 = 30;

/// tanh(k / 64) in units of 2^-16; one more for the end of the last interval.
static TANH: [u16; INTERVALS + 1] = table();

impl Activation<i32> {
    /// phi(p) for a pre-activation in units of 2^-exponent (exponent 0 to 28).
    ///
    /// Linear, ReLU and clipped ReLU are exact and keep the units. Values of tanh and sigmoid are in units
    /// of 2^-30 and err by at most 4e-5. A sigmoid's `slope` is half of the true one in units of
    /// 2^(exponent - 44); `threshold`, `lo` and `hi` have the units of p.
    #[inline(always)]
    pub(crate) fn fixed(self, p: i32, exponent: u32) -> i32 {
        match self {
            Self::Linear => p,
            // No comparison: the sign, spread over all bits, clears them.
            Self::Relu => p & !(p >> 31),
            Self::Clipped { lo, hi } => {
                if p < lo {
                    lo
                } else if p > hi {
                    hi
                } else {
                    p
                }
            }
            Self::Tanh => {
                let argument = saturate((p as i64) << (ARGUMENT.saturating_sub(exponent) & 31));
                tanh(argument)
            }
            Self::Sigmoid { slope, threshold } => {
                let centered = saturate(p as i64 - threshold as i64);
                let argument = saturate((centered as i64 * slope as i64) >> 16);
                ((1 << RESULT) + tanh(argument)) >> 1
            }
        }
    }
}

/// tanh of `x` / 2^28 in units of 2^-30: linear between the values of the table, odd.
#[inline(always)]
fn tanh(x: i32) -> i32 {
    let magnitude = x.unsigned_abs().min(i32::MAX as u32);
    let place = (magnitude >> 22) as usize;
    // 15 of the 22 bits below: a difference of at most 2^10 times 2^15 fits easily.
    let between = (magnitude >> 7) & 0x7fff;
    let (low, high) = match TANH.get(place..place + 2) {
        Some(&[low, high]) => (low as u32, high as u32),
        _ => (0xffff, 0xffff),
    };
    let value = ((low << 14) + (((high - low) * between) >> 1)) as i32;
    if x < 0 { -value } else { value }
}

const fn table() -> [u16; INTERVALS + 1] {
    let mut table = [0; INTERVALS + 1];
    let mut k = 0;
    while k <= INTERVALS {
        // Between its points a chord of tanh lies below it: half of the largest gap is shared out.
        let value = tanh_f64(k as f64 / 64.0);
        let lift = value * (1.0 - value * value) / (64.0 * 64.0 * 8.0);
        let rounded = (value + lift) * 65536.0 + 0.5;
        table[k] = if rounded >= 65535.0 { 65535 } else { rounded as u16 };
        k += 1;
    }
    table
}

/// tanh by the series of exp(-2 x), for constants only.
const fn tanh_f64(x: f64) -> f64 {
    let small = -2.0 * x / 1024.0;
    let (mut term, mut sum, mut k) = (1.0, 1.0, 1);
    while k < 12 {
        term *= small / k as f64;
        sum += term;
        k += 1;
    }
    let mut squarings = 0;
    while squarings < 10 {
        sum *= sum;
        squarings += 1;
    }
    (1.0 - sum) / (1.0 + sum)
}

/// value / 2^shift to the nearest, half up, saturated to `bits` bits: what a kernel reads.
#[inline(always)]
pub(super) fn narrow(value: i32, shift: u32, bits: u32) -> i32 {
    let most = (1 << (bits - 1)) - 1;
    // Mixing two rates of 8 bits needs the range that is the same on both sides.
    let least = if bits == 8 { -most } else { -most - 1 };
    if shift == 0 {
        return value.clamp(least, most);
    }
    let doubled = value >> ((shift - 1) & 31);
    ((doubled >> 1) + (doubled & 1)).clamp(least, most)
}
