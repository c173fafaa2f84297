//! Many states at once: a column a state, one matrix product for all of them.

use std::iter::zip;

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};
use pulp::NullaryFnOnce;
use tinyfold_core::{Activation, Form};

use crate::dynamics::{Kind, Rnn, System};
use crate::simulate::activate;

/// A [`System`] that is evaluated at the columns of a matrix.
pub trait Batch: System {
    /// out = [`System::value`] of every column of x; both n × K.
    fn values(&self, x: &Mat<f64>, out: &mut Mat<f64>) {
        (0..x.ncols()).for_each(|k| self.value(x.col_as_slice(k), out.col_as_slice_mut(k)));
    }
}

/// A loop compiled for the widest vectors of this machine.
struct Wide<'a>(&'a mut [f64]);

impl NullaryFnOnce for Wide<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.0.iter_mut().for_each(|x| *x = tanh(*x));
    }
}

/// tanh x without branches, so that a loop of it vectorises; to 3e-16 absolute, not relative near 0.
#[inline(always)]
fn tanh(x: f64) -> f64 {
    const SHIFT: f64 = 6_755_399_441_055_744.0; // 1.5 · 2⁵²: adding it rounds to an integer, in the lowest bits.
    const LN2: [f64; 2] = [0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10];
    // 1/13!, .. 1/1!, 1/0!.
    const TAYLOR: [f64; 14] = [
        1.605_904_383_682_161_3e-10,
        2.087_675_698_786_81e-9,
        2.505_210_838_544_172e-8,
        2.755_731_922_398_589e-7,
        2.755_731_922_398_589_3e-6,
        2.480_158_730_158_73e-5,
        1.984_126_984_126_984e-4,
        1.388_888_888_888_889e-3,
        8.333_333_333_333_333e-3,
        4.166_666_666_666_666_4e-2,
        1.666_666_666_666_666_6e-1,
        0.5,
        1.0,
        1.0,
    ];
    // A NaN stays one: min and max of f64 would drop it.
    let y = if x.abs() > 20.0 { -40.0 } else { -2.0 * x.abs() };
    let shifted = y * std::f64::consts::LOG2_E + SHIFT;
    let k = shifted - SHIFT;
    let rest = (y - k * LN2[0]) - k * LN2[1];
    let power = TAYLOR.iter().fold(0.0, |sum, c| sum * rest + c);
    let e = power * f64::from_bits((shifted.to_bits() << 52).wrapping_add(1023 << 52));
    ((1.0 - e) / (1.0 + e)).copysign(x)
}

/// x = phi(x), column by column.
pub(super) fn activate_all(activation: Activation<f64>, x: &mut Mat<f64>) {
    for k in 0..x.ncols() {
        let column = x.col_as_slice_mut(k);
        match activation {
            Activation::Linear => {}
            Activation::Tanh => pulp::Arch::new().dispatch(Wide(column)),
            other => column.iter_mut().for_each(|x| *x = activate(other, *x)),
        }
    }
}

impl Batch for Rnn {
    fn values(&self, x: &Mat<f64>, out: &mut Mat<f64>) {
        let (keep, gain) = self.factors();
        let weighted = |rates: &Mat<f64>, out: &mut Mat<f64>| {
            (0..out.ncols()).for_each(|k| out.col_as_slice_mut(k).copy_from_slice(&self.drive));
            matmul(out.as_mut(), Accum::Add, self.w.as_ref(), rates.as_ref(), 1.0, Par::Seq);
        };
        match self.form {
            Form::Rate => {
                weighted(x, out);
                activate_all(self.activation, out);
            }
            Form::Current => {
                let mut rates = x.clone();
                activate_all(self.activation, &mut rates);
                weighted(&rates, out);
            }
        }
        for k in 0..x.ncols() {
            zip(out.col_as_slice_mut(k), x.col_as_slice(k))
                .for_each(|(out, x)| *out = keep * x + gain * *out);
        }
    }
}

/// out = x + factor · slope.
fn shifted(x: &Mat<f64>, factor: f64, slope: &Mat<f64>, out: &mut Mat<f64>) {
    for k in 0..x.ncols() {
        let values = zip(x.col_as_slice(k), slope.col_as_slice(k));
        zip(out.col_as_slice_mut(k), values).for_each(|(out, (x, slope))| *out = x + factor * slope);
    }
}

/// Moves every column: a flow by `time` in Runge-Kutta steps of fourth order no longer than `step`, a map by `time`
/// iterates (rounded, at least 1).
pub fn advance<B: Batch + ?Sized>(system: &B, x: &mut Mat<f64>, time: f64, step: f64) {
    let mut slope = Mat::zeros(x.nrows(), x.ncols());
    if system.kind() == Kind::Map {
        for _ in 0..(time.round() as usize).max(1) {
            system.values(x, &mut slope);
            std::mem::swap(x, &mut slope);
        }
        return;
    }
    let steps = (time / step).ceil().max(1.0);
    let h = time / steps;
    let (mut stage, mut next) = (x.clone(), x.clone());
    for _ in 0..steps as usize {
        for (weight, ahead) in [(1.0, 0.5), (2.0, 0.5), (2.0, 1.0), (1.0, 0.0)] {
            system.values(&stage, &mut slope);
            for k in 0..x.ncols() {
                zip(next.col_as_slice_mut(k), slope.col_as_slice(k))
                    .for_each(|(next, slope)| *next += h / 6.0 * weight * slope);
            }
            if ahead > 0.0 {
                shifted(x, ahead * h, &slope, &mut stage);
            }
        }
        x.copy_from(&next);
        stage.copy_from(&next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tanh_is_that_of_std() {
        for k in -40_000..=40_000 {
            let x = f64::from(k) * 7.3e-4;
            assert!((tanh(x) - x.tanh()).abs() < 3.4e-16, "{x}");
        }
        assert!(tanh(f64::NAN).is_nan() && tanh(f64::INFINITY) == 1.0 && tanh(-0.0).is_sign_negative());
    }
}
