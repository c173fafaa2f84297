//! What a network does inside: the manifold its state lives on, and how well it integrates there.
//!
//! [`spectrum`] looks at W and at the spread of the pre-activations, [`coordinates`] reads the integrals
//! off the manifold, [`decay`] measures the integration that is realised, [`error`] follows the error
//! over time.

pub mod coordinates;
pub mod decay;
pub mod error;
pub mod spectrum;

use faer::Mat;
use serde::{Deserialize, Serialize};

pub use coordinates::Cloud;
pub use error::Window;

use crate::network::Network;
use crate::task::relative_rmse;
use crate::{Error, Result, simulate};

/// What stands for infinity in results, because JSON has none: a network that diverges has such errors.
pub const LARGEST: f64 = 1e300;

/// Everything that is found out about a network on one input signal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// n.
    pub neurons: usize,
    /// R, 0 for a dense network.
    pub rank: usize,
    /// D, the dimension the manifold should have: channels of the task, else R, else outputs.
    pub dimension: usize,
    /// Steps of the run.
    pub steps: usize,
    /// Singular values of W, largest first; R of them for a low-rank network.
    pub singular_values: Vec<f64>,
    /// |p - P p| / |p| over the run: p the pre-activations without their biases, P the projection on the D leading
    /// left singular vectors of W.
    pub distance: f64,
    /// The same with D + 1 vectors: Dale's law adds one structural mode. Not below D + 1 neurons or rank.
    pub distance_one_more: Option<f64>,
    /// Shares of the variance of the pre-activations along their principal axes, largest first, at most 10.
    pub variance: Vec<f64>,
    /// (sum lambda)² / sum lambda² of those variances, all of them: how many dimensions are really used.
    pub participation_ratio: f64,
    /// One a channel of the task.
    pub channels: Vec<ChannelAnalysis>,
    /// Relative RMSE over the run, worst channel; `None` without a task.
    pub relative_rmse: Option<f64>,
    /// Error against time; empty without a task.
    pub error_curve: Vec<Window>,
    /// Points of the manifold to plot.
    pub cloud: Cloud,
}

/// One channel: what was wanted and what is realised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChannelAnalysis {
    /// Name of the input.
    pub name: String,
    /// gamma wanted.
    pub decay: f64,
    /// gamma of the linear map from (y_{t-1}, x_t) to y_t that fits the run best.
    pub decay_realised: f64,
    /// gamma of the exponential that fits the response to one pulse best; `None` if it does not decay
    /// from the sign it started with.
    pub decay_impulse: Option<f64>,
    /// s wanted.
    pub scale: f64,
    /// s of the fitted map.
    pub scale_realised: f64,
    /// R² of the integral as a linear function of the D coordinates on the manifold.
    pub r_squared: f64,
    /// Relative RMSE over the run.
    pub relative_rmse: f64,
}

/// Analyses `network` on `x`, repeated until `steps` samples are there.
///
/// x: row-major T × I in network units, T >= 1; steps: at least 100, 10 000 is usual.
///
/// # Errors
/// No input, inputs of the wrong length, too few steps; a task whose channels are not the inputs and
/// outputs of the network.
///
/// ```
/// use tinyfold::{design::exact::{Spec, exact}, network::Activation, task::{Integration, synthetic}};
/// let task = Integration { decays: vec![0.99, 0.995], scales: vec![1.0, 2.0] };
/// let spec = Spec { neurons: 32, task, activation: Activation::Relu, seed: 0, encoder: None, decoder: None };
/// let analysis = tinyfold::manifold::analyse(&exact(&spec)?.network, &synthetic::gaussian(500, 2, 1), 500)?;
/// assert_eq!((analysis.dimension, analysis.singular_values.len()), (2, 2));
/// assert!(analysis.distance < 1e-12);
/// assert!((analysis.channels[1].decay_realised - 0.995).abs() < 1e-9);
/// # Ok::<(), tinyfold::Error>(())
/// ```
pub fn analyse(network: &Network, x: &[f64], steps: usize) -> Result<Analysis> {
    check(network, x, steps)?;
    let (n, width) = (network.neurons(), network.input.ncols());
    let x: Vec<f64> = x.iter().copied().cycle().take(steps * width).collect();
    let run = simulate::run(network, &x, true);
    // What a diverging network does near infinity says nothing about its manifold.
    let usable =
        run.pre_activations.chunks_exact(n).take_while(|p| p.iter().all(|p| p.abs() < 1e100)).count();
    // A bias is where the manifold lies, not a direction of it.
    let p = Mat::from_fn(n, usable, |i, t| run.pre_activations[t * n + i] - network.bias[i]);

    let outputs = network.readout.nrows();
    let dimension = match (&network.task, network.rank()) {
        (Some(task), _) => task.channels(),
        (None, 0) => outputs,
        (None, rank) => rank,
    };
    let (left, singular_values) = spectrum::of_weights(network)?;
    let dimension = dimension.min(left.ncols());
    let distance = |k: usize| capped(spectrum::distance(&p, &left.subcols(0, k).to_owned()));
    let variances = spectrum::variances(&p)?;
    let total: f64 = variances.iter().sum();
    let shares: Vec<f64> = variances.iter().map(|v| if total > 0.0 { v / total } else { 0.0 }).collect();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    let q = left.subcols(0, dimension).transpose() * &p;
    let integrals = network.task.as_ref().map(|task| task.integrals(&x));
    let cloud = Cloud::new(&q, &p, integrals.as_deref())?;

    let mut channels = Vec::new();
    if let (Some(task), Some(integrals)) = (&network.task, &integrals) {
        let targets = task.targets(&x);
        let map = decay::one_step(&run.outputs, &x, outputs);
        let r_squared = coordinates::r_squared(&q, integrals, outputs);
        for (c, &r_squared) in r_squared.iter().enumerate() {
            let column =
                |values: &[f64]| values.iter().skip(c).step_by(outputs).copied().collect::<Vec<f64>>();
            channels.push(ChannelAnalysis {
                name: network.inputs[c].name.clone(),
                decay: task.decays[c],
                decay_realised: capped(map[c].0),
                decay_impulse: decay::impulse(network, task, integrals, c),
                scale: task.scales[c],
                scale_realised: capped(map[c].1),
                r_squared: capped(r_squared),
                relative_rmse: capped(relative_rmse(&column(&run.outputs), &column(&targets), 1)),
            });
        }
    }
    Ok(Analysis {
        neurons: n,
        rank: network.rank(),
        dimension,
        steps,
        singular_values,
        distance: distance(dimension),
        distance_one_more: (dimension < left.ncols()).then(|| distance(dimension + 1)),
        variance: shares.iter().take(10).copied().collect(),
        participation_ratio: if squares > 0.0 { 1.0 / squares } else { 0.0 },
        relative_rmse: channels.iter().map(|c| c.relative_rmse).reduce(f64::max),
        error_curve: network.task.as_ref().map_or_else(Vec::new, |task| {
            error::curve(task, &x, steps, |x| simulate::run(network, x, false).outputs)
        }),
        channels,
        cloud,
    })
}

fn check(network: &Network, x: &[f64], steps: usize) -> Result<()> {
    let width = network.input.ncols();
    if x.is_empty() || !x.len().is_multiple_of(width) {
        let expected = format!("samples of {width} inputs each");
        return Err(Error::input("inputs to analyse on", expected, format!("{} numbers", x.len())));
    }
    if steps < 100 {
        return Err(Error::input("steps", "at least 100", steps.to_string()));
    }
    match &network.task {
        Some(task) if (task.channels(), task.channels()) != (width, network.readout.nrows()) => {
            let expected = format!("{} inputs and outputs, as the task has channels", task.channels());
            let found = format!("{width} inputs and {} outputs", network.readout.nrows());
            Err(Error::input("network to analyse", expected, found))
        }
        _ => Ok(()),
    }
}

fn capped(x: f64) -> f64 {
    if x.is_nan() { LARGEST } else { x.clamp(-LARGEST, LARGEST) }
}
