//! Many states at once: a column a state, one matrix product for all of them.

use std::iter::zip;

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};
use tinyfold_core::{Activation, Form};

use crate::dynamics::{Kind, Rnn, System, wide};

/// A [`System`] that is evaluated at the columns of a matrix.
pub trait Batch: System {
    /// out = [`System::value`] of every column of x; both n × K.
    fn values(&self, x: &Mat<f64>, out: &mut Mat<f64>) {
        (0..x.ncols()).for_each(|k| self.value(x.col_as_slice(k), out.col_as_slice_mut(k)));
    }
}

/// x = phi(x), column by column.
pub(super) fn activate_all(activation: Activation<f64>, x: &mut Mat<f64>) {
    (0..x.ncols()).for_each(|k| wide::values(activation, x.col_as_slice_mut(k)));
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
