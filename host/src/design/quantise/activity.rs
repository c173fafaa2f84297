//! Integers for any network, judged by the activity that it has on Gaussian and on given inputs.

use faer::Mat;
use faer::linalg::solvers::SolveLstsq;
use tinyfold_core::fixed::pack::Input;

use super::{
    Drift, MARGIN, Method, Options, Quantised, dense, input_scaling, latent, outputs, ranges, signals,
    stability,
};
use crate::design::probe::{Errors, Probe};
use crate::format::fixed::FixedNetwork;
use crate::network::{Activation, Form, Network, Recurrence};
use crate::simulate::{self, activate};
use crate::{Error, Result};

/// Dampings of the feedback that are tried; infinite is rounding to nearest.
const DAMPING: [f64; 5] = [f64::INFINITY, 1e-1, 1e-2, 1e-3, 1e-5];
/// Steps of each signal that are looked at.
const SAMPLES: usize = 1500;

/// The best of all dampings.
pub(super) fn quantise(network: &Network, options: &Options) -> Result<Quantised> {
    let seen = Seen::of(network, &options.inputs)?;
    let probe = Probe::new(network, &options.inputs);
    let mut best: Option<(Errors, FixedNetwork)> = None;
    let dense = network.rank() == 0;
    let ways = DAMPING.iter().flat_map(|&damping| [(damping, false), (damping, true)]);
    for (damping, keep_modes) in ways.filter(|(_, keep_modes)| dense || !keep_modes) {
        let candidate = match &network.recurrence {
            Recurrence::Dense(w) => dense::round(network, w, options, &seen, (damping, keep_modes)),
            Recurrence::LowRank { u, v } => latent::round(network, (u, v), options, &seen, damping),
        };
        let Some(candidate) = candidate else { continue };
        let bytes = candidate.export()?;
        let errors = probe.errors_of(|x| outputs(&candidate, &bytes, x));
        if best.as_ref().is_none_or(|(least, _)| errors.worst() < least.worst()) {
            best = Some((errors, candidate));
        }
    }
    let (errors, rounded) = best.ok_or_else(|| Error::Numeric {
        what: "rounding".into(),
        reason: "the integers cannot hold this network; are its weights and biases of very different sizes?"
            .into(),
    })?;
    let (drift, stable) = match network.integration() {
        Some(task) => {
            let largest = seen.outputs.iter().fold(0.0, |most: f64, y| most.max(*y));
            let bytes = rounded.export()?;
            let integers = |x: &[f64]| outputs(&rounded, &bytes, x);
            let original = |x: &[f64]| simulate::run(network, x, false).outputs;
            let drift = Drift {
                original: stability::drift(original, task, largest),
                quantised: stability::drift(integers, task, largest),
            };
            (Some(drift), stability::decays(integers, task, largest))
        }
        None => (None, errors.worst() < 1.0),
    };
    Ok(Quantised { ranges: ranges(&rounded), network: rounded, method: Method::Activity, drift, stable })
}

/// What a network does on Gaussian and on given inputs, T samples of it.
pub(super) struct Seen {
    /// (n or R) + I × T: what W or U, then B, is multiplied with.
    pub(super) drive: Mat<f64>,
    /// n × T.
    pub(super) pre_activations: Mat<f64>,
    /// Largest size of every carried word; of a leaky latent, before the leak as well.
    pub(super) carried: Vec<f64>,
    /// Largest size of every input.
    pub(super) inputs: Vec<f64>,
    /// Largest size of every output.
    pub(super) outputs: Vec<f64>,
}

impl Seen {
    fn of(network: &Network, inputs: &[f64]) -> Result<Self> {
        let (n, width, words) = (network.neurons(), network.input.ncols(), network.carried());
        let states = if network.rank() > 0 { network.rank() } else { n };
        let mut columns: Vec<Vec<f64>> = Vec::new();
        let mut pre_activations: Vec<Vec<f64>> = Vec::new();
        let largest_of = |sizes: &mut [f64], values: &[f64]| {
            for chunk in values.chunks_exact(sizes.len().max(1)) {
                sizes.iter_mut().zip(chunk).for_each(|(size, x)| *size = size.max(x.abs()));
            }
        };
        let mut carried: Vec<f64> = network.initial.iter().map(|x| x.abs()).collect();
        let (mut x_sizes, mut y_sizes) = (vec![0.0; width], vec![0.0; network.readout.nrows()]);
        for x in signals(network, inputs) {
            let run = simulate::run(network, &x, true);
            if run.carried.iter().chain(&run.outputs).any(|x| !x.is_finite() || x.abs() > 1e12) {
                return Err(Error::Numeric {
                    what: "network to quantise".into(),
                    reason: "it diverges before it is rounded".into(),
                });
            }
            largest_of(&mut carried, &run.carried);
            largest_of(&mut x_sizes, &x);
            largest_of(&mut y_sizes, &run.outputs);
            if network.alpha < 1.0 && network.rank() > 0 {
                // What the leak has not yet made smaller is a word as well.
                let earlier = network.initial.iter().chain(&run.carried);
                let fresh: Vec<f64> = std::iter::zip(&run.carried, earlier)
                    .map(|(after, before)| (after - (1.0 - network.alpha) * before) / network.alpha)
                    .collect();
                largest_of(&mut carried, &fresh);
                if network.form == Form::Rate {
                    std::iter::zip(&mut y_sizes, &carried[states..]).for_each(|(y, size)| *y = y.max(*size));
                }
            }
            let steps = x.len() / width.max(1);
            for t in (0..steps).step_by(steps.div_ceil(SAMPLES).max(1)) {
                let after = &run.carried[t * words..(t + 1) * words];
                let before =
                    if t == 0 { &network.initial[..] } else { &run.carried[(t - 1) * words..t * words] };
                let x = &x[t * width..(t + 1) * width];
                columns.push(match (&network.recurrence, network.form) {
                    (Recurrence::Dense(_), Form::Current) => before
                        .iter()
                        .map(|&a| activate(network.activation, a))
                        .chain(x.iter().copied())
                        .collect(),
                    (Recurrence::LowRank { .. }, Form::Current) => after.to_vec(),
                    _ => before[..states].iter().chain(x).copied().collect(),
                });
                let from = columns.last().expect("pushed just now");
                pre_activations.push(match &network.recurrence {
                    // The current a_t is leaky: p is what enters it.
                    Recurrence::Dense(w) if network.form == Form::Current => (0..n)
                        .map(|i| {
                            let recurrent: f64 = (0..n).map(|j| w[(i, j)] * from[j]).sum();
                            let input: f64 = (0..width).map(|k| network.input[(i, k)] * x[k]).sum();
                            network.bias[i] + recurrent + input
                        })
                        .collect(),
                    _ => run.pre_activations[t * n..(t + 1) * n].to_vec(),
                });
            }
        }
        let matrix = |columns: &[Vec<f64>]| {
            Mat::from_fn(columns.first().map_or(0, Vec::len), columns.len(), |i, t| columns[t][i])
        };
        Ok(Self {
            drive: matrix(&columns),
            pre_activations: matrix(&pre_activations),
            carried,
            inputs: x_sizes,
            outputs: y_sizes,
        })
    }

    /// T.
    pub(super) fn samples(&self) -> usize {
        self.drive.ncols()
    }
}

/// The unit of a word of 32 bits that is to hold this size with a margin.
pub(super) fn unit(size: f64) -> f64 {
    let size = if size > 0.0 { size } else { 1.0 };
    MARGIN * size * (-31.0_f64).exp2()
}

/// Scaling of the inputs, and the unit of each in network units.
pub(super) fn inputs(network: &Network, seen: &Seen) -> (Vec<Input>, Vec<f64>) {
    std::iter::zip(&network.inputs, &seen.inputs)
        .map(|(channel, &size)| {
            let input = input_scaling(channel, unit(size));
            (input, f64::from(input.unit) * channel.gain / f64::from(input.multiplier))
        })
        .unzip()
}

/// Physical units of the outputs, and the same in network units; each at least `least`.
pub(super) fn output_units(network: &Network, seen: &Seen, least: &[f64]) -> (Vec<f32>, Vec<f64>) {
    (0..network.readout.nrows())
        .map(|o| {
            let gain = network.outputs[o].gain;
            let physical = (unit(seen.outputs[o]).max(least[o]) * gain) as f32;
            (physical, f64::from(physical) / gain)
        })
        .unzip()
}

/// The largest exponent of pre-activations, 0 to 28, for which scales of `scale` 2^exponent have 31 bits and biases
/// and the parameters of phi fit; `None` if there is none.
pub(super) fn exponent(network: &Network, scale: f64) -> Option<u8> {
    let holds = |exponent: u8| {
        let one = f64::from(exponent).exp2();
        let fits = |x: f64, bits: i32| (x * one).abs() < f64::from(bits).exp2();
        let parameters = match network.activation {
            Activation::Clipped { lo, hi } => fits(lo, 30) && fits(hi, 30),
            Activation::Sigmoid { slope, threshold } => {
                fits(threshold, 30) && half_slope(slope, exponent).abs() < 31.0_f64.exp2()
            }
            _ => true,
        };
        parameters && fits(scale, 31) && network.bias.iter().all(|&b| fits(b, 30))
    };
    (0..=28).rev().find(|&exponent| holds(exponent))
}

fn half_slope(slope: f64, exponent: u8) -> f64 {
    slope / 2.0 * (44.0 - f64::from(exponent)).exp2()
}

/// phi with parameters in integers.
pub(super) fn activation(activation: Activation<f64>, exponent: u8) -> Activation<i32> {
    let one = f64::from(exponent).exp2();
    let integer = |x: f64| (x * one).round() as i32;
    match activation {
        Activation::Linear => Activation::Linear,
        Activation::Relu => Activation::Relu,
        Activation::Tanh => Activation::Tanh,
        Activation::Clipped { lo, hi } => Activation::Clipped { lo: integer(lo), hi: integer(hi) },
        Activation::Sigmoid { slope, threshold } => Activation::Sigmoid {
            slope: half_slope(slope, exponent).round() as i32,
            threshold: integer(threshold),
        },
    }
}

/// The unit of phi.
pub(super) fn rate_unit(network: &Network, exponent: u8) -> f64 {
    match network.activation {
        Activation::Tanh | Activation::Sigmoid { .. } => (-30.0_f64).exp2(),
        _ => (-f64::from(exponent)).exp2(),
    }
}

/// alpha in units of 2^-31.
pub(super) fn alpha(network: &Network) -> u32 {
    ((network.alpha * 31.0_f64.exp2()).round() as u32).max(1)
}

/// The factor by which sums over samples (columns) come nearest to the wanted ones, row by row; 1 where this is far.
pub(super) fn gains(sums: &Mat<f64>, wanted: &Mat<f64>) -> Vec<f64> {
    (0..sums.nrows())
        .map(|i| {
            let (mut both, mut own) = (0.0, 0.0);
            for t in 0..sums.ncols() {
                both += sums[(i, t)] * wanted[(i, t)];
                own += sums[(i, t)] * sums[(i, t)];
            }
            Some(both / own).filter(|gain| (0.5..2.0).contains(gain)).unwrap_or(1.0)
        })
        .collect()
}

/// The M (rows × sums) and constants of least |M s + m - wanted|² over samples (columns), held to the diagonal
/// `nominal` where samples say nothing.
pub(super) fn correction(sums: &Mat<f64>, wanted: &Mat<f64>, nominal: &[f64]) -> (Mat<f64>, Vec<f64>) {
    let (count, samples) = (sums.nrows(), sums.ncols());
    let pull = 1e-4 * sums.norm_l2() / (count as f64).sqrt();
    let system = Mat::from_fn(samples + count, count + 1, |row, k| match row.checked_sub(samples) {
        None if k == count => 1.0,
        None => sums[(k, row)],
        Some(place) if place == k => pull,
        Some(_) => 0.0,
    });
    let right = Mat::from_fn(samples + count, count, |row, j| match row.checked_sub(samples) {
        None => wanted[(j, row)],
        Some(place) if place == j => pull * nominal[j],
        Some(_) => 0.0,
    });
    let solution = system.qr().solve_lstsq(right);
    let matrix = Mat::from_fn(count, count, |j, k| solution[(k, j)]);
    (matrix, (0..count).map(|j| solution[(count, j)]).collect())
}
