//! Integers for dense networks of any form and activation.

use std::iter::zip;

use faer::Mat;
use faer::linalg::solvers::SolveLstsq;
use tinyfold_core::Shape;
use tinyfold_core::fixed::{Accumulator, Settings};

use super::activity::{Seen, activation, alpha, exponent, gains, inputs, output_units, rate_unit};
use super::rounding::with_feedback;
use super::{MARGIN, Options, most, round_centers};
use crate::format::fixed::{FixedNetwork, Layers};
use crate::network::{Activation, Network};

/// Modes of W that are kept: at most so many, of singular values of at least this fraction of the largest.
const MODES: usize = 16;
const SLOW: f64 = 0.02;
/// Samples that they are kept on, the pull towards unchanged scales, and the largest change.
const SAMPLES: usize = 500;
const PULL: f64 = 3e-3;
const MOST_CHANGE: f64 = 0.3;

/// Rows of integers with a scale each, rounded for what they are multiplied with.
struct Rows {
    /// rows × columns.
    integers: Mat<f64>,
    /// Value of one unit times a rate of 1 (full scale: 2^(bits - 1)).
    steps: Vec<f64>,
}

impl Rows {
    /// weights: rows × columns, for rates at full scale; drive: columns × T, in full scales.
    fn round(
        weights: &Mat<f64>,
        drive: &Mat<f64>,
        wanted: &Mat<f64>,
        damping: f64,
        most: f64,
    ) -> Option<Self> {
        let steps: Vec<f64> = (0..weights.nrows()).map(|i| weights.row(i).norm_max() / most).collect();
        let gram = drive * drive.transpose();
        let rounded = with_feedback(&weights.transpose().to_owned(), &gram, damping, most, |_, i| steps[i])?;
        let integers = rounded.integers.transpose().to_owned();
        let back = Mat::from_fn(weights.nrows(), weights.ncols(), |i, j| integers[(i, j)] * steps[i]);
        let gains = gains(&(back * drive), wanted);
        Some(Self { integers, steps: steps.iter().zip(gains).map(|(step, gain)| step * gain).collect() })
    }

    /// Changes the scales, a little, so that errors of rows cancel where the next step sees them: W h depends on the
    /// leading right singular vectors V of W, hence the least |sum_i V_i sigma phi'_i (r_i q_i · drive - p_i)|² over
    /// samples.
    fn keep_modes(&mut self, network: &Network, w: &Mat<f64>, drive: &Mat<f64>, pre_activations: &Mat<f64>) {
        let Ok(svd) = w.svd() else { return };
        let n = w.nrows();
        let modes: Vec<usize> = (0..n.min(MODES)).filter(|&k| svd.S()[k] > SLOW * svd.S()[0]).collect();
        let samples: Vec<usize> =
            (0..drive.ncols()).step_by(drive.ncols().div_ceil(SAMPLES).max(1)).collect();
        let sums = Mat::from_fn(n, samples.len(), |i, s| {
            let sum: f64 = (0..drive.nrows()).map(|j| self.integers[(i, j)] * drive[(j, samples[s])]).sum();
            sum * self.steps[i]
        });
        let p = |i: usize, s: usize| pre_activations[(i, samples[s])];
        let passed = |i: usize, k: usize, s: usize| {
            svd.V()[(i, k)] * svd.S()[k] * network.activation.derivative(p(i, s), network.variant)
        };
        let equations = samples.len() * modes.len();
        let place = |row: usize| (modes[row % modes.len()], row / modes.len());
        let system = Mat::from_fn(equations, n, |row, i| {
            let (k, s) = place(row);
            passed(i, k, s) * sums[(i, s)]
        });
        let pull = PULL * system.norm_l2() / (n as f64).sqrt();
        let stacked = Mat::from_fn(equations + n, n, |row, i| match row.checked_sub(equations) {
            None => system[(row, i)],
            Some(place) => {
                if place == i {
                    pull
                } else {
                    0.0
                }
            }
        });
        let right = Mat::from_fn(equations + n, 1, |row, _| {
            if row >= equations {
                return 0.0;
            }
            let (k, s) = place(row);
            (0..n).map(|i| passed(i, k, s) * (p(i, s) - network.bias[i] - sums[(i, s)])).sum()
        });
        let change = stacked.qr().solve_lstsq(right);
        if change.norm_max() < MOST_CHANGE {
            self.steps.iter_mut().enumerate().for_each(|(i, step)| *step *= 1.0 + change[(i, 0)]);
        }
    }

    /// The largest sum of sizes of a row.
    fn largest(&self) -> f64 {
        (0..self.integers.nrows()).map(|i| self.integers.row(i).norm_l1()).fold(0.0, f64::max)
    }
}

/// Rounds W and B, and C, to the activity that is seen; with `keep_modes`, scales then trade errors among rows.
pub(super) fn round(
    network: &Network,
    w: &Mat<f64>,
    options: &Options,
    seen: &Seen,
    (damping, keep_modes): (f64, bool),
) -> Option<FixedNetwork> {
    let (n, width, outputs) = (network.neurons(), network.input.ncols(), network.readout.nrows());
    let (samples, most, bits) = (seen.samples(), most(options.number), options.rates.bits());
    let (input_scaling, x_units) = inputs(network, seen);

    // Full scale of a rate, which shifts make a power of 2, and of every input. Rates that phi bounds need no
    // margin; those of 8 bits have none to spare.
    let rates = Mat::from_fn(n, samples, |j, t| seen.drive[(j, t)]);
    let margin = if bits == 8 { 1.0 } else { MARGIN };
    let rate_exponent = match network.activation {
        Activation::Tanh | Activation::Sigmoid { .. } => 0.0,
        _ => (margin * rates.norm_max()).max(f64::MIN_POSITIVE).log2().ceil(),
    };
    let rate_full = rate_exponent.exp2();
    let full = |j: usize| if j < n { rate_full } else { x_units[j - n] * 31.0_f64.exp2() };
    let drive = Mat::from_fn(n + width, samples, |j, t| seen.drive[(j, t)] / full(j));
    let weights = Mat::from_fn(n, n + width, |i, j| {
        full(j) * if j < n { w[(i, j)] } else { network.input[(i, j - n)] }
    });
    let wanted = Mat::from_fn(n, samples, |i, t| seen.pre_activations[(i, t)] - network.bias[i]);
    let mut layer = Rows::round(&weights, &drive, &wanted, damping, most)?;
    if keep_modes {
        layer.keep_modes(network, w, &drive, &seen.pre_activations);
    }
    let read = Mat::from_fn(outputs, n, |o, j| rate_full * network.readout[(o, j)]);
    let rates = Mat::from_fn(n, samples, |j, t| rates[(j, t)] / rate_full);
    let readout = Rows::round(&read, &rates, &(&read * &rates), damping, most)?;

    // A sum is at most its integers times 2^15, rates of 8 bits counting 256 times.
    let largest = layer.largest().max(readout.largest());
    let spare = ((largest.log2() - 16.0).floor() + 1.0).max(0.0);
    let accumulator =
        if largest < 65_535.0 { Accumulator::I32 } else { Accumulator::I64 { shift: spare as u8 } };
    let shrink = if accumulator == Accumulator::I32 { 1.0 } else { spare.exp2() };

    // At full scale acc is the sum times 2^15 / shrink, and p is acc r / 2^32.
    let scale_of = |step: f64| step * 17.0_f64.exp2() * shrink;
    let exponent = exponent(network, layer.steps.iter().map(|&step| scale_of(step)).fold(0.0, f64::max))?;
    let one = f64::from(exponent).exp2();
    let rate_shift = rate_exponent - rate_unit(network, exponent).log2() - f64::from(bits - 1);
    if !(0.0..=31.0).contains(&rate_shift) {
        return None;
    }
    let integer = |x: f64| x.round() as i32;
    // An output whose unit is smaller has a scale of more than 31 bits.
    let least: Vec<f64> = readout.steps.iter().map(|&step| scale_of(step) * (-30.9_f64).exp2()).collect();
    let (physical, y_units) = output_units(network, seen, &least);
    let flat = |matrix: &Mat<f64>, first: usize, count: usize| {
        let row = |i| (first..first + count).map(move |j| matrix[(i, j)] as i16);
        (0..matrix.nrows()).flat_map(row).collect::<Vec<i16>>()
    };
    let mut fixed = FixedNetwork {
        number: options.number,
        shape: Shape { neurons: n, rank: 0, inputs: width, outputs },
        settings: Settings {
            form: network.form,
            alpha: alpha(network),
            exponent,
            rates: options.rates,
            rate_shift: rate_shift as u8,
            accumulator,
            ..Settings::new(activation(network.activation, exponent))
        },
        layers: Layers::Dense {
            w: flat(&layer.integers, 0, n),
            output_scale: zip(&readout.steps, &y_units)
                .map(|(&step, unit)| integer(scale_of(step) / unit))
                .collect(),
            output_bias: zip(&network.output_bias, &y_units).map(|(c, unit)| integer(c / unit)).collect(),
        },
        input: flat(&layer.integers, n, width),
        scale: layer.steps.iter().map(|&step| integer(scale_of(step) * one)).collect(),
        bias: network.bias.iter().map(|b| integer(b * one)).collect(),
        readout: flat(&readout.integers, 0, n),
        input_scaling,
        output_units: physical,
        initial: Vec::new(),
        carried_units: Vec::new(),
        inputs: network.inputs.clone(),
        outputs: network.outputs.clone(),
        task: network.task.clone(),
    };
    round_centers(&mut fixed);
    fixed.carried_units = fixed.units_of_carried(&[]);
    fixed.initial =
        zip(&network.initial, &fixed.carried_units).map(|(word, unit)| integer(word / unit)).collect();
    Some(fixed)
}
