//! Centre and gain of inputs, written down so that a chip can repeat them.

use super::{Detrend, ReadOptions, Scale};
use crate::task::Dataset;
use crate::{Error, Result};

/// A spread below this share of the largest value is rounding: the channel is constant.
const CONSTANT: f64 = 1e-12;

/// Detrends and scales the inputs of `dataset`; its channels then say x = (raw - center) · gain.
pub(super) fn apply(place: &str, dataset: &mut Dataset, options: &ReadOptions) -> Result<()> {
    let width = dataset.inputs.len();
    for c in 0..width {
        let largest = dataset.channel(c).fold(0.0, |largest: f64, x| largest.max(x.abs()));
        if options.detrend == Detrend::Linear {
            for recording in &mut dataset.recordings {
                subtract_line(&mut recording.x, c, width);
            }
        }
        let (mean, deviation) = dataset.moments(c);
        let center = if options.detrend == Detrend::Mean { mean } else { 0.0 };
        let size = match options.scale {
            Scale::None => 1.0,
            Scale::Unit => deviation,
            Scale::Max => dataset.channel(c).fold(0.0, |largest: f64, x| largest.max((x - center).abs())),
        };
        // A channel that never changes keeps its unit.
        let gain = if size > CONSTANT * largest { 1.0 / size } else { 1.0 };
        if !(center.is_finite() && gain.is_finite() && gain > 0.0) {
            let place = format!("{place}: column {}", dataset.inputs[c].name);
            let expected = "values whose mean and spread fit 64-bit numbers";
            return Err(Error::input(place, expected, format!("values up to {largest:e}")));
        }
        for recording in &mut dataset.recordings {
            for x in recording.x.iter_mut().skip(c).step_by(width) {
                *x = (*x - center) * gain;
            }
        }
        dataset.inputs[c].center = center;
        dataset.inputs[c].gain = gain;
    }
    Ok(())
}

/// Subtracts the least-squares line of channel `c`.
fn subtract_line(x: &mut [f64], c: usize, width: usize) {
    let steps = x.len() / width;
    let middle = (steps as f64 - 1.0) / 2.0;
    let (mut mean, mut slope, mut spread) = (0.0, 0.0, 0.0);
    for t in 0..steps {
        let time = t as f64 - middle;
        mean += x[t * width + c] / steps as f64;
        slope += x[t * width + c] * time;
        spread += time * time;
    }
    let slope = if spread > 0.0 { slope / spread } else { 0.0 };
    for t in 0..steps {
        x[t * width + c] -= mean + slope * (t as f64 - middle);
    }
}
