//! phi and phi' of many pre-activations, in loops that vectorise.

use std::iter::zip;

use pulp::{Arch, NullaryFnOnce};
use tinyfold_core::Activation;

/// p becomes phi(p), slopes phi'(p) at the p that was there; of the same length.
///
/// tanh and sigmoid differ from those of the standard library by a few units of 2^-53; the bits are the same
/// on every machine.
pub fn activate(activation: Activation<f64>, p: &mut [f64], slopes: &mut [f64]) {
    Arch::new().dispatch(Activate { activation, p, slopes });
}

/// out = keep · z + gain · slopes · out.
pub(crate) fn finish(out: &mut [f64], keep: f64, z: &[f64], gain: f64, slopes: &[f64]) {
    for (out, (z, slope)) in zip(out, zip(z, slopes)) {
        *out = keep * z + gain * (slope * *out);
    }
}

/// x becomes phi(x), as [`activate`] does it, without slopes.
pub fn values(activation: Activation<f64>, x: &mut [f64]) {
    Arch::new().dispatch(Values { activation, x });
}

struct Values<'a> {
    activation: Activation<f64>,
    x: &'a mut [f64],
}

impl NullaryFnOnce for Values<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { activation, x } = self;
        match activation {
            Activation::Linear => {}
            Activation::Relu => x.iter_mut().for_each(|x| *x = if *x <= 0.0 { 0.0 } else { *x }),
            Activation::Clipped { lo, hi } => x.iter_mut().for_each(|x| *x = x.clamp(lo, hi)),
            Activation::Tanh => x.iter_mut().for_each(|x| *x = tanh(*x)),
            Activation::Sigmoid { slope, threshold } => {
                for x in x.iter_mut() {
                    *x = 0.5 + 0.5 * tanh(0.5 * slope * (*x - threshold));
                }
            }
        }
    }
}

struct Activate<'a> {
    activation: Activation<f64>,
    p: &'a mut [f64],
    slopes: &'a mut [f64],
}

impl NullaryFnOnce for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { activation, p, slopes } = self;
        match activation {
            Activation::Linear => slopes.fill(1.0),
            Activation::Relu => each(p, slopes, |p| (if p <= 0.0 { 0.0 } else { p }, number(p >= 0.0))),
            Activation::Clipped { lo, hi } => {
                each(p, slopes, |p| (p.clamp(lo, hi), number(lo <= p && p <= hi)));
            }
            Activation::Tanh => each(p, slopes, |p| {
                let value = tanh(p);
                (value, 1.0 - value * value)
            }),
            Activation::Sigmoid { slope, threshold } => each(p, slopes, |p| {
                let value = 0.5 + 0.5 * tanh(0.5 * slope * (p - threshold));
                (value, slope * value * (1.0 - value))
            }),
        }
    }
}

#[inline(always)]
fn number(yes: bool) -> f64 {
    if yes { 1.0 } else { 0.0 }
}

#[inline(always)]
fn each(p: &mut [f64], slopes: &mut [f64], f: impl Fn(f64) -> (f64, f64)) {
    for (p, slope) in zip(p, slopes) {
        (*p, *slope) = f(*p);
    }
}

/// With y = 2 |x| = k ln 2 + r, |r| <= ln(2) / 2: e = exp(y) - 1 = 2^k (exp(r) - 1) + (2^k - 1), and
/// tanh |x| = e / (e + 2); exp(r) - 1 by its series to r^13. Nothing cancels: e keeps its digits at small x.
#[inline(always)]
fn tanh(x: f64) -> f64 {
    // Adding it rounds to an integer, which is then in the low bits.
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    // The high part has zeros below: k times it is exact.
    const LN_2_HIGH: f64 = 0.693_146_705_627_441_4;
    const LN_2_LOW: f64 = 4.749_325_039_031_672_6e-7;
    // 1 / 13!, 1 / 12! .. 1 / 2!.
    const SERIES: [f64; 12] = {
        let (mut series, mut k, mut factorial) = ([0.0; 12], 0, 1.0);
        while k < 12 {
            factorial *= (k + 2) as f64;
            series[11 - k] = 1.0 / factorial;
            k += 1;
        }
        series
    };
    let size = x.abs();
    // Above 20 tanh is 1 to rounding; written so that not-a-number stays.
    let y = 2.0 * if size > 20.0 { 20.0 } else { size };
    let shifted = y * std::f64::consts::LOG2_E + SHIFT;
    let k = shifted - SHIFT;
    let power = f64::from_bits((shifted.to_bits() << 52).wrapping_add(1.0_f64.to_bits()));
    let r = (y - k * LN_2_HIGH) - k * LN_2_LOW;
    let mut tail = SERIES[0];
    for term in &SERIES[1..] {
        tail = tail * r + term;
    }
    let e = power * (r + r * r * tail) + (power - 1.0);
    (e / (e + 2.0)).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dynamics::rnn::slope;
    use crate::simulate;

    #[test]
    fn values_and_slopes_are_those_of_the_standard_library() {
        let kinds = [
            Activation::Linear,
            Activation::Relu,
            Activation::Clipped { lo: -0.5, hi: 1.5 },
            Activation::Tanh,
            Activation::Sigmoid { slope: 2.0, threshold: 0.1 },
        ];
        let near = (-4000..=4000).map(|k| f64::from(k) * 7.3e-4);
        let far = (-30..=30).flat_map(|k| [1.0, -1.0].map(|sign| sign * 10_f64.powf(f64::from(k) / 2.0)));
        let p: Vec<f64> = near.chain(far).chain([0.0, -0.0, 1.5, f64::INFINITY, -f64::INFINITY]).collect();
        for kind in kinds {
            let (mut values, mut slopes) = (p.clone(), vec![f64::NAN; p.len()]);
            activate(kind, &mut values, &mut slopes);
            let mut alone = p.clone();
            super::values(kind, &mut alone);
            assert_eq!(alone, values, "{kind:?}");
            for ((&p, &value), &found) in p.iter().zip(&values).zip(&slopes) {
                let expected = simulate::activate(kind, p);
                let digits = if kind == Activation::Tanh { expected.abs() } else { 1.0 };
                let close = (value - expected).abs() <= 8e-16 * digits || value == expected;
                assert!(close, "{kind:?} at {p}: {value}, {expected}");
                if p.is_finite() {
                    assert!((found - slope(kind, p)).abs() <= 2e-15, "{kind:?}' at {p}: {found}");
                }
            }
        }
        let mut nan = [f64::NAN];
        activate(Activation::Tanh, &mut nan, &mut [0.0]);
        assert!(nan[0].is_nan());
    }
}
