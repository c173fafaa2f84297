//! Quantisation that keeps the manifold: weights of 16 or 8 bits for what a network does, not for each weight.
//!
//! Rounding each row by itself moves the slow eigenvalues of an integrator, and 1 / (1 - gamma) amplifies it:
//! with 16 bits percents are lost, with 8 most networks diverge. Here instead
//!
//! - an [integrator of low rank](Method::Integrator) gets integers for which its even part vanishes and its
//!   decays are exact;
//! - [any other network](Method::Activity) is rounded with feedback on the activity that it has on Gaussian and
//!   given inputs: errors go where nothing is active.
//!
//! Source: `tinyfold_core::fixed` defines the arithmetic; conditions of Fanthomme & Monasson 2021, section 3.

mod activity;
mod dense;
mod integrator;
mod latent;
mod ranges;
mod rounding;
mod stability;

use faer::Mat;
use serde::Serialize;
use tinyfold_core::Number;
use tinyfold_core::fixed::Rates;
use tinyfold_core::fixed::pack::Input;

pub use ranges::{Ranges, ranges};

use super::probe::{Errors, Probe, STEPS};
use crate::format::fixed::{self, FixedNetwork};
use crate::network::{Channel, Network, Recurrence};
use crate::task::synthetic;
use crate::{Error, Result};

/// Words that inputs and states must not saturate at, over the largest ones seen.
pub const MARGIN: f64 = 2.0;

/// What to round to.
#[derive(Clone, Debug)]
pub struct Options {
    /// [`Number::I16`] or [`Number::I8`] weights.
    pub number: Number,
    /// Rates that a dense network multiplies its weights with; of 8 bits with weights of 8 bits only.
    pub rates: Rates,
    /// Inputs that the network will meet, beside Gaussian ones: network units, row-major T × I; may be empty.
    pub inputs: Vec<f64>,
}

impl Options {
    /// Weights of this size, rates of 16 bits, Gaussian inputs only.
    #[must_use]
    pub const fn new(number: Number) -> Self {
        Self { number, rates: Rates::I16, inputs: Vec::new() }
    }
}

/// How the integers were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The conditions of an integrator solved again on the grid of integers.
    Integrator,
    /// Rounded with feedback on the activity.
    Activity,
}

/// Integers for a network, and what they cost.
#[derive(Clone, Debug)]
pub struct Quantised {
    /// The network in integers.
    pub network: FixedNetwork,
    /// How they were found.
    pub method: Method,
    /// `None` for networks that are no integrators.
    pub drift: Option<Drift>,
    /// Whether integrals decay, in the chip's integers, in every direction that was tried when the input ends; for
    /// networks that are no integrators, whether the integers stay within the size of the outputs that are wanted.
    pub stable: bool,
    /// Sums that cannot wrap, and by how much.
    pub ranges: Ranges,
}

/// How far the integral of a constant goes astray, relative: the largest of a dense set of directions.
///
/// [`Method::Integrator`]: max |f(z) - Gamma z| / ((1 - gamma) |z|) with f one step without input, in f64 with the
/// rounded weights, and gamma the largest; other integrators: measured, in the chip's integers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Drift {
    /// Of the network before rounding.
    pub original: f64,
    /// Of the integers.
    pub quantised: f64,
}

/// Relative RMSE over 10 000 steps.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Comparison {
    /// The network before rounding, in f64.
    pub original: Errors,
    /// [`naive`] rounding, in f64.
    pub naive: Errors,
    /// The integers, as every chip computes them.
    pub quantised: Errors,
}

/// Rounds a network to weights of 16 or 8 bits.
///
/// # Errors
/// A number type that is not fixed point, rates of 8 bits with weights of 16, inputs that are not rows of I numbers,
/// a network that diverges before it is rounded or that the integers cannot hold.
///
/// ```
/// use tinyfold::design::exact::{Spec, exact};
/// use tinyfold::design::quantise::{Options, compare, quantise};
/// use tinyfold::network::Activation;
/// use tinyfold::task::Integration;
/// use tinyfold_core::Number;
///
/// let task = Integration { decays: vec![0.99, 0.995], scales: vec![1.0, 2.0] };
/// let spec = Spec { neurons: 32, task, activation: Activation::Relu, seed: 0, encoder: None, decoder: None };
/// let network = exact(&spec)?.network;
/// let rounded = quantise(&network, &Options::new(Number::I8))?;
/// let errors = compare(&network, &rounded.network, &[])?;
/// assert!(rounded.stable && errors.quantised.worst() < 1e-4);
/// assert!(errors.naive.worst() > 1e-2);
/// # Ok::<(), tinyfold::Error>(())
/// ```
pub fn quantise(network: &Network, options: &Options) -> Result<Quantised> {
    network.linear_readout("compress")?;
    check(network, options)?;
    if let (Some(integrator), Some(task)) = (integrator::Integrator::of(network), network.integration()) {
        let largest = signals(network, &options.inputs)
            .iter()
            .flat_map(|x| [task.integrals(x), x.clone()].concat())
            .fold(0.0_f64, |most, u| most.max(u.abs()));
        let (rounded, deviation) = integrator.round(options.number, MARGIN * largest)?;
        let room = 1.0 - task.decays.iter().copied().fold(0.0, f64::max);
        let bytes = rounded.export()?;
        let stable = stability::decays(|x| outputs(&rounded, &bytes, x), task, largest);
        return Ok(Quantised {
            ranges: ranges(&rounded),
            network: rounded,
            method: Method::Integrator,
            drift: Some(Drift { original: integrator.deviation() / room, quantised: deviation / room }),
            stable,
        });
    }
    activity::quantise(network, options)
}

/// Errors of a network, of [`naive`] rounding and of its integers, on Gaussian and on given inputs (network units,
/// row-major T × I; may be empty).
///
/// # Errors
/// Integers that a model cannot hold.
pub fn compare(network: &Network, rounded: &FixedNetwork, inputs: &[f64]) -> Result<Comparison> {
    let probe = Probe::new(network, inputs);
    let bytes = rounded.export()?;
    Ok(Comparison {
        original: probe.errors(network),
        naive: probe.errors(&naive(network, rounded.number)),
        quantised: probe.errors_of(|x| outputs(rounded, &bytes, x)),
    })
}

/// Outputs of the integers in network units for inputs in network units, both row-major.
fn outputs(rounded: &FixedNetwork, bytes: &crate::format::model::ModelBytes, x: &[f64]) -> Vec<f64> {
    let physical: Vec<f32> = x
        .iter()
        .zip(rounded.inputs.iter().cycle())
        .map(|(x, channel)| (x / channel.gain + channel.center) as f32)
        .collect();
    let trace = fixed::run(bytes, &rounded.raw(&physical), "rounded network").expect("exported just now");
    let units = rounded.output_units.iter().zip(&rounded.outputs).cycle();
    trace.outputs.iter().zip(units).map(|(&y, (&u, o))| f64::from(y) * f64::from(u) / o.gain).collect()
}

fn check(network: &Network, options: &Options) -> Result<()> {
    if !matches!(options.number, Number::I16 | Number::I8) {
        return Err(Error::input("weights", "i16 or i8", format!("{:?}", options.number)));
    }
    if options.rates == Rates::I8 && (options.number == Number::I16 || network.rank() > 0) {
        let found = if network.rank() > 0 { "a network of low rank, which has none" } else { "weights i16" };
        return Err(Error::input("rates i8", "a dense network and weights i8", found));
    }
    let width = network.input.ncols().max(1);
    if !options.inputs.len().is_multiple_of(width) {
        let found = options.inputs.len().to_string();
        return Err(Error::input("inputs", format!("a multiple of {width} numbers"), found));
    }
    Ok(())
}

/// Gaussian inputs and the given ones.
fn signals(network: &Network, inputs: &[f64]) -> [Vec<f64>; 2] {
    [synthetic::gaussian(STEPS, network.input.ncols(), 12), inputs.to_vec()]
}

/// The largest integer that stands for a weight.
const fn most(number: Number) -> f64 {
    if matches!(number, Number::I8) { 127.0 } else { 32_767.0 }
}

/// How raw integers become inputs of this unit (network units): the raw unit is coarser by a power of 2 where the
/// center would not fit.
fn input_scaling(channel: &Channel, unit: f64) -> Input {
    let center = (channel.center * channel.gain / unit).abs();
    let coarser = ((center / 30.0_f64.exp2()).log2().ceil()).clamp(0.0, 30.0);
    let raw = (unit * coarser.exp2() / channel.gain) as f32;
    let multiplier = coarser.exp2() as i32;
    Input {
        center: (channel.center / f64::from(raw.abs())).round() as i32,
        multiplier: if raw < 0.0 { -multiplier } else { multiplier },
        shift: 0,
        unit: raw.abs(),
    }
}

/// Makes the centers of channels those that the integers have.
fn round_centers(network: &mut FixedNetwork) {
    for (channel, input) in network.inputs.iter_mut().zip(&network.input_scaling) {
        channel.center = f64::from(input.center) * f64::from(input.unit);
    }
}

/// The network with every row of U, of Vᵀ and of C rounded on a scale of its own, and nothing else done.
#[must_use]
pub fn naive(network: &Network, number: Number) -> Network {
    let most = if number == Number::I8 { 127.0 } else { 32_767.0 };
    let rows = |matrix: &Mat<f64>| {
        Mat::from_fn(matrix.nrows(), matrix.ncols(), |i, j| {
            let largest = matrix.row(i).norm_max();
            if largest == 0.0 { 0.0 } else { (matrix[(i, j)] / largest * most).round() * largest / most }
        })
    };
    let mut rounded = network.clone();
    if let Recurrence::LowRank { u, v } = &network.recurrence {
        let v = rows(&v.transpose().to_owned()).transpose().to_owned();
        rounded.recurrence = Recurrence::LowRank { u: rows(u), v };
    }
    if let Recurrence::Dense(w) = &network.recurrence {
        rounded.recurrence = Recurrence::Dense(rows(w));
    }
    rounded.input = rows(&network.input);
    rounded.readout = rows(&network.readout);
    rounded
}
