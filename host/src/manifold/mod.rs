//! What a network does inside: the manifold its state lives on, and how well it integrates there.
//!
//! [`spectrum`] looks at W and at the spread of the pre-activations, [`modes`] tells the large singular values from
//! the bulk, [`alignment`] compares singular vectors with encoders and decoders, [`dimension`] counts local
//! dimensions, [`coordinates`] reads the integrals off the manifold, [`selectivity`] asks what single neurons say
//! about them, [`decay`] measures the integration that is realised, [`error`] follows the error over time and
//! [`growth`] says how fast it grows, [`ablation`] how much of it is left without some neurons.

pub mod ablation;
pub mod alignment;
pub mod coordinates;
pub mod decay;
pub mod dimension;
pub mod error;
pub mod growth;
pub mod modes;
pub mod selectivity;
pub mod spectrum;

use faer::Mat;
use serde::{Deserialize, Serialize};

pub use ablation::Ablation;
pub use alignment::Alignments;
pub use coordinates::Cloud;
pub use dimension::LocalDimension;
pub use error::Window;
pub use growth::PowerLaw;
pub use modes::Modes;
pub use selectivity::{Selectivity, TuningMap};

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
    /// Numbers of the neurons, one a row of what is said of each, where some were masked in training; `None` for 0 to n - 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Vec<usize>>,
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
    /// The large singular values told from the bulk.
    #[serde(default)]
    pub modes: Modes,
    /// The D + 1 leading singular vectors (D of rank D) against encoders, decoders and the all-ones direction.
    #[serde(default)]
    pub alignments: Alignments,
    /// |p - P p| / |p| with P on the best D and D + 1 directions, whatever W: principal axes about zero.
    #[serde(default)]
    pub pca_residual: [f64; 2],
    /// Dimension that the neighbourhoods of the pre-activations show.
    #[serde(default)]
    pub local_dimension: Option<LocalDimension>,
    /// Leading left singular vectors that span the manifold: D, and D + 1 under Dale's law, whose mode of one sign is
    /// large too.
    #[serde(default)]
    pub manifold_dimension: usize,
    /// The distance to [`Analysis::manifold_dimension`] vectors against time since reset.
    #[serde(default)]
    pub distance_curve: Vec<DistanceWindow>,
    /// How well the coordinates are functions of the integrals; `None` without a task.
    #[serde(default)]
    pub coordinate_fit: Option<coordinates::Fit>,
    /// What single neurons say about the integrals; `None` without a task.
    #[serde(default)]
    pub selectivity: Option<Selectivity>,
    /// Tuning maps of neurons, by their number, from the purest to the most mixed; empty without a task.
    #[serde(default)]
    pub tuning: Vec<TuningMap>,
    /// The power law of the error against time; `None` without a task or error.
    #[serde(default)]
    pub error_growth: Option<PowerLaw>,
    /// Errors without some neurons; empty unless asked for.
    #[serde(default)]
    pub ablations: Vec<Ablation>,
}

/// A stretch of time since reset and the distance to the manifold in it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DistanceWindow {
    /// First step, counted from 1.
    pub from: usize,
    /// Last step.
    pub to: usize,
    /// |p - P p| / |p|, as [`Analysis::distance`], of [`Analysis::manifold_dimension`] vectors.
    pub distance: f64,
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
    let p = usable(network, &run.pre_activations);

    let outputs = network.readout.nrows();
    let dimension = match (network.integration(), network.rank()) {
        (Some(task), _) => task.channels(),
        (None, 0) => outputs,
        (None, rank) => rank,
    };
    let singular = spectrum::of_weights(network)?;
    let left = &singular.left;
    let dimension = dimension.min(left.ncols());
    let span = left.subcols(0, dimension).to_owned();
    let distance = |k: usize| capped(spectrum::distance(&p, &left.subcols(0, k).to_owned()));
    let (variances, axes) = spectrum::principal_axes(p.as_ref())?;
    let moments = spectrum::second_moments(p.as_ref())?;
    let total: f64 = variances.iter().sum();
    let shares: Vec<f64> = variances.iter().map(|v| if total > 0.0 { v / total } else { 0.0 }).collect();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    let q = span.transpose() * &p;
    let integrals = network.integration().map(|task| task.integrals(&x));
    let cloud = Cloud::new(&q, &p, &axes, integrals.as_deref())?;

    let manifold_dimension = (dimension + usize::from(obeys_dale(network))).min(left.ncols());
    let curves = curves(network, &x, &run, &p, &left.subcols(0, manifold_dimension).to_owned());
    let rates = Mat::from_fn(n, p.ncols(), |i, t| {
        simulate::activate(network.activation, p[(i, t)] + network.bias[i])
    });
    let selectivity =
        integrals.as_ref().and_then(|u| selectivity::of_rates(&rates, u, network.input.ncols()));
    let mut channels = Vec::new();
    if let (Some(task), Some(integrals)) = (network.integration(), &integrals) {
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
        kept: network.kept.clone(),
        rank: network.rank(),
        dimension,
        steps,
        distance: distance(dimension),
        distance_one_more: (dimension < left.ncols()).then(|| distance(dimension + 1)),
        variance: shares.iter().take(10).copied().collect(),
        participation_ratio: if squares > 0.0 { 1.0 / squares } else { 0.0 },
        relative_rmse: channels.iter().map(|c| c.relative_rmse).reduce(f64::max),
        modes: modes::of_values(&singular.values, n, obeys_dale(network)),
        alignments: alignment::of_network(network, &singular, dimension + 1),
        pca_residual: [dimension, dimension + 1].map(|k| spectrum::left_over(&moments, k)),
        local_dimension: dimension::local(&thinned(&p), dimension::NEIGHBOURS, dimension::NOISE)?,
        coordinate_fit: integrals.as_ref().and_then(|u| coordinates::fit(&q, u, outputs)),
        tuning: match (&selectivity, &integrals) {
            (Some(found), Some(u)) => {
                let map =
                    |i| TuningMap { neuron: network.number(i), ..selectivity::tuning(&rates, u, outputs, i) };
                found.examples(MAPS).into_iter().map(map).collect()
            }
            _ => Vec::new(),
        },
        selectivity,
        error_growth: growth::with_time(&curves.0),
        ablations: Vec::new(),
        error_curve: curves.0,
        manifold_dimension,
        distance_curve: curves.1,
        singular_values: singular.values,
        channels,
        cloud,
    })
}

/// Whether every neuron has weights of one sign, and there are neurons of either sign.
fn obeys_dale(network: &Network) -> bool {
    let weights = network.weights();
    let signs = |j: usize| {
        let column = weights.col_as_slice(j);
        (column.iter().any(|&w| w > 0.0), column.iter().any(|&w| w < 0.0))
    };
    let all: Vec<(bool, bool)> = (0..weights.ncols()).map(signs).collect();
    all.iter().all(|sign| *sign != (true, true))
        && all.contains(&(true, false))
        && all.contains(&(false, true))
}

/// Tuning maps that an analysis holds.
const MAPS: usize = 6;

/// Pre-activations without their biases, n × T, of the steps before the network diverges.
fn usable(network: &Network, pre_activations: &[f64]) -> Mat<f64> {
    let n = network.neurons();
    // What a diverging network does near infinity says nothing about its manifold.
    let steps = pre_activations.chunks_exact(n).take_while(|p| p.iter().all(|p| p.abs() < 1e100)).count();
    // A bias is where the manifold lies, not a direction of it.
    Mat::from_fn(n, steps, |i, t| pre_activations[t * n + i] - network.bias[i])
}

/// At most 1500 columns, evenly spaced.
fn thinned(p: &Mat<f64>) -> Mat<f64> {
    let stride = p.ncols().div_ceil(1500).max(1);
    Mat::from_fn(p.nrows(), p.ncols().div_ceil(stride), |i, k| p[(i, k * stride)])
}

/// Error (empty without a task) and distance against time, over the run and later starts of it.
fn curves(
    network: &Network,
    x: &[f64],
    run: &simulate::Trajectory,
    p: &Mat<f64>,
    span: &Mat<f64>,
) -> (Vec<Window>, Vec<DistanceWindow>) {
    let width = network.input.ncols();
    let steps = x.len() / width;
    let mut errors = error::Parts::new(steps, network.readout.nrows());
    let mut distances = error::Parts::new(steps, 1);
    let mut add = |x: &[f64], outputs: &[f64], p: &Mat<f64>| {
        distances.add(spectrum::squares_outside(p, span));
        if let Some(task) = network.integration() {
            errors.add_errors(outputs, &task.targets(x));
        }
    };
    for (start, range) in error::starts(steps).enumerate() {
        if start == 0 {
            add(x, &run.outputs, p);
        } else {
            let x = &x[range.start * width..range.end * width];
            let run = simulate::run(network, x, true);
            add(x, &run.outputs, &usable(network, &run.pre_activations));
        }
    }
    let of_error = |from, to, relative_rmse| Window { from, to, relative_rmse };
    let of_distance = |from, to, distance| DistanceWindow { from, to, distance };
    let errors = if network.integration().is_some() { errors.windows(of_error) } else { Vec::new() };
    (errors, distances.windows(of_distance))
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
    match network.integration() {
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
