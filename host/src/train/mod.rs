//! Backpropagation through time: losses, optimisers, checkpoints.

pub mod bptt;
pub mod optimiser;
pub mod parameters;

use std::time::Instant;

use faer::Mat;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::design::random_frozen;
use crate::network::{Activation, Network, Recurrence};
use crate::task::{Dataset, Integration, relative_rmse, synthetic};
use crate::{Error, Result, simulate};
use bptt::{Batch, Fixed, loss_and_gradient};
use optimiser::{Method, Optimiser};
use parameters::{Parameters, Real, Weights};

/// All that decides a training run: the same settings and data give the same bits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// n.
    pub neurons: usize,
    /// Decays and scales of the channels.
    pub task: Integration,
    /// Name of phi: linear, relu, clipped, tanh, sigmoid.
    pub activation: String,
    /// lo and hi of `clipped`; slope and threshold of `sigmoid`.
    pub activation_parameters: Vec<f64>,
    /// Leak alpha in (0, 1].
    pub alpha: f64,
    /// R of W = U Vᵀ, 0 for a dense W.
    pub rank: usize,
    /// Whether B is trained by itself instead of being W E.
    pub free_input: bool,
    /// Whether b is trained; it is 0 otherwise.
    pub train_bias: bool,
    /// Whether C is trained; it is random and frozen otherwise.
    pub train_readout: bool,
    /// T, time steps of a training sequence.
    pub sequence: usize,
    /// Sequences of a batch.
    pub batch: usize,
    /// Updates.
    pub steps: usize,
    /// SGD or Adam.
    pub method: Method,
    /// First learning rate; it falls along a cosine to a hundredth of this.
    pub learning_rate: f64,
    /// Largest norm of a gradient.
    pub clip: f64,
    /// Decoupled weight decay: keeps the bulk of W small beside its D large singular values.
    pub weight_decay: f64,
    /// Fraction of a batch that comes from the recording instead of Gaussian noise.
    pub from_recording: f64,
    /// Updates between two long roll-outs and checkpoints.
    pub interval: usize,
    /// Seed of everything random.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            neurons: 64,
            task: Integration { decays: vec![0.99, 0.9925, 0.995], scales: vec![1.0; 3] },
            activation: "relu".into(),
            activation_parameters: Vec::new(),
            alpha: 1.0,
            rank: 0,
            free_input: false,
            train_bias: false,
            train_readout: false,
            sequence: 10,
            batch: 256,
            steps: 12_000,
            method: Method::Adam,
            learning_rate: 2e-2,
            clip: 1.0,
            weight_decay: 0.05,
            from_recording: 0.0,
            interval: 500,
            seed: 0,
        }
    }
}

/// One line of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Updates done.
    pub step: usize,
    /// Batch loss of the last batch.
    pub loss: f64,
    /// Relative RMSE of a long roll-out, worst channel.
    pub rollout: f64,
    /// Learning rate of the last update.
    pub learning_rate: f64,
    /// Wall time since the start.
    pub seconds: f64,
}

/// What training tells while it goes on.
pub enum Progress<'a> {
    /// After every update.
    Step {
        /// Updates done.
        step: usize,
        /// Batch loss.
        loss: f64,
    },
    /// After every interval.
    Interval {
        /// The new line of metrics.
        metrics: Metrics,
        /// The network as it is now.
        network: &'a Network,
    },
}

/// What the watcher wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Go on.
    Continue,
    /// Stop and keep the best network so far.
    Stop,
}

/// What training made.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The network whose long roll-out was best.
    pub network: Network,
    /// One entry an interval.
    pub history: Vec<Metrics>,
    /// Relative RMSE of the long roll-out of `network`.
    pub rollout: f64,
    /// Whether the watcher stopped it.
    pub stopped: bool,
}

/// Steps of the long roll-out that tells a good network from one that only has a low training loss.
const ROLLOUT: usize = 2000;
/// A batch is always split into this many parts, whatever the number of threads.
const PARTS: usize = 4;

/// Trains a network to integrate.
///
/// W starts at 0 when dense, with U = 0 and V random at rank R; the derivative of ReLU at 0 counts as 1.
/// Encoders and decoders are random, N(0, 1/n). A long roll-out guards the result: the network with the
/// least error over it is returned, not the last one.
///
/// # Errors
/// Settings out of range; a loss that is no longer finite before the first interval.
pub fn train(
    settings: &Settings,
    data: Option<&Dataset>,
    watch: &mut dyn FnMut(Progress<'_>) -> Control,
) -> Result<Trained> {
    let activation = check(settings, data)?;
    let channels = settings.task.channels();
    let (encoder, decoder) = random_frozen(settings.neurons, channels, settings.seed);
    let fixed = Fixed::<f32> {
        activation: activation.cast(),
        alpha: settings.alpha as f32,
        encoder: narrow(&encoder),
        decoder: narrow(&decoder),
        weight: settings.task.scales.iter().map(|s| (1.0 / (s * s)) as f32).collect(),
    };
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed.wrapping_add(1));
    let mut parameters = start(settings, &fixed, &mut rng);
    let mut optimiser = Optimiser::new(settings.method, &parameters);
    let probe = synthetic::gaussian(ROLLOUT, channels, settings.seed.wrapping_add(2));
    let probe_target = settings.task.targets(&probe);

    let began = Instant::now();
    let mut best: Option<(f64, Network)> = None;
    let mut history = Vec::new();
    let mut stopped = false;
    for step in 1..=settings.steps {
        let batch = sequences(settings, data, &mut rng);
        let (loss, gradient) = gradient_of_batch(&fixed, &parameters, &settings.task, &batch);
        let finite = loss.is_finite() && gradient.norm().is_finite();
        let phase = (step - 1) as f64 / settings.steps.max(2) as f64 * std::f64::consts::PI;
        let rate = settings.learning_rate * (0.01 + 0.99 * 0.5 * (1.0 + phase.cos()));
        if finite {
            optimiser.update(&mut parameters, &gradient, rate, settings.clip, settings.weight_decay);
        }
        stopped = watch(Progress::Step { step, loss }) == Control::Stop;
        if !finite || stopped || step % settings.interval == 0 || step == settings.steps {
            let network = host_network(settings, activation, &parameters, &encoder, &decoder, data);
            let y = simulate::run(&network, &probe, false).outputs;
            let rollout = relative_rmse(&y, &probe_target, channels);
            let seconds = began.elapsed().as_secs_f64();
            let metrics = Metrics { step, loss, rollout, learning_rate: rate, seconds };
            history.push(metrics);
            stopped |= watch(Progress::Interval { metrics, network: &network }) == Control::Stop;
            if rollout.is_finite() && best.as_ref().is_none_or(|(least, _)| rollout < *least) {
                best = Some((rollout, network));
            }
        }
        if !finite || stopped {
            break;
        }
    }
    let (rollout, network) = best.ok_or_else(|| Error::Numeric {
        what: "training".into(),
        reason: format!(
            "diverged: no network was stable over {ROLLOUT} steps; try a smaller learning rate than {}, or longer sequences than {}",
            settings.learning_rate, settings.sequence
        ),
    })?;
    Ok(Trained { network, history, rollout, stopped })
}

fn check(settings: &Settings, data: Option<&Dataset>) -> Result<Activation<f64>> {
    let refuse = |field: &str, expected: &str, found: String| Err(Error::input(field, expected, found));
    let activation = crate::format::network::names::parse_activation(
        &settings.activation,
        &settings.activation_parameters,
    );
    let Some(activation) = activation else {
        let found = format!("{} {:?}", settings.activation, settings.activation_parameters);
        return refuse("activation", "linear, relu, tanh, clipped lo,hi or sigmoid slope,threshold", found);
    };
    for (field, value) in [
        ("neurons", settings.neurons),
        ("channels", settings.task.channels()),
        ("sequence", settings.sequence),
        ("batch", settings.batch),
        ("steps", settings.steps),
        ("interval", settings.interval),
    ] {
        if value == 0 {
            return refuse(field, "at least 1", "0".into());
        }
    }
    if settings.rank > settings.neurons {
        return refuse("rank", &format!("at most n = {}", settings.neurons), settings.rank.to_string());
    }
    if settings.task.scales.len() != settings.task.channels() {
        let expected = format!("{} (one a decay)", settings.task.channels());
        return refuse("scales", &expected, settings.task.scales.len().to_string());
    }
    if !(settings.alpha > 0.0 && settings.alpha <= 1.0) {
        return refuse("alpha", "a leak above 0 and at most 1", settings.alpha.to_string());
    }
    if !(settings.learning_rate > 0.0 && settings.learning_rate.is_finite()) {
        return refuse("learning rate", "a positive number", settings.learning_rate.to_string());
    }
    match data {
        Some(data) if data.inputs.len() != settings.task.channels() => {
            let expected = format!("{} input columns, one a decay", settings.task.channels());
            refuse("recording", &expected, data.inputs.len().to_string())
        }
        Some(data) if settings.from_recording > 0.0 => {
            let width = data.inputs.len();
            match data.recordings.iter().map(|r| r.x.len() / width).max() {
                Some(longest) if longest >= settings.sequence => Ok(activation),
                longest => refuse(
                    "recording",
                    &format!("at least {} samples in a row", settings.sequence),
                    longest.unwrap_or(0).to_string(),
                ),
            }
        }
        None if settings.from_recording > 0.0 => refuse(
            "fraction from the recording",
            "0 without a recording",
            settings.from_recording.to_string(),
        ),
        _ => Ok(activation),
    }
}

fn start(settings: &Settings, fixed: &Fixed<f32>, rng: &mut ChaCha8Rng) -> Parameters<f32> {
    let n = settings.neurons;
    let mut random = |rows, columns| {
        let scale = 1.0 / (n as f32).sqrt();
        Mat::from_fn(rows, columns, |_, _| {
            let x: f32 = StandardNormal.sample(rng);
            x * scale
        })
    };
    Parameters {
        weights: if settings.rank == 0 {
            Weights::Dense(Mat::zeros(n, n))
        } else {
            Weights::LowRank(Mat::zeros(n, settings.rank), random(n, settings.rank))
        },
        input: settings.free_input.then(|| fixed.encoder.clone()),
        bias: settings.train_bias.then(|| Mat::zeros(n, 1)),
        readout: settings.train_readout.then(|| fixed.decoder.clone()),
    }
}

/// Fresh sequences: Gaussian, or windows of the recording at random places.
fn sequences(settings: &Settings, data: Option<&Dataset>, rng: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
    let (steps, width) = (settings.sequence, settings.task.channels());
    (0..settings.batch)
        .map(|k| match data {
            Some(data) if ((k as f64) + 0.5) / (settings.batch as f64) < settings.from_recording => {
                let long = |r: &&crate::task::Recording| r.x.len() >= steps * width;
                let candidates: Vec<_> = data.recordings.iter().filter(long).collect();
                let x = &candidates[rng.random_range(0..candidates.len())].x;
                let first = rng.random_range(0..=x.len() / width - steps);
                x[first * width..(first + steps) * width].to_vec()
            }
            _ => (0..steps * width).map(|_| StandardNormal.sample(&mut *rng)).collect(),
        })
        .collect()
}

/// Columns t · batch + k, as [`Batch`] wants them.
#[must_use]
pub fn to_batch<T: Real>(task: &Integration, sequences: &[Vec<f64>]) -> Batch<T> {
    let (count, width) = (sequences.len(), task.channels());
    let steps = sequences.first().map_or(0, |x| x.len() / width);
    let targets: Vec<Vec<f64>> = sequences.iter().map(|x| task.targets(x)).collect();
    let arrange = |values: &[Vec<f64>]| {
        Mat::from_fn(width, steps * count, |c, column| {
            T::from_f64(values[column % count][column / count * width + c])
        })
    };
    Batch { x: arrange(sequences), target: arrange(&targets), steps }
}

/// Loss and gradient of a whole batch: parts on all cores, added in a fixed order.
fn gradient_of_batch(
    fixed: &Fixed<f32>,
    parameters: &Parameters<f32>,
    task: &Integration,
    sequences: &[Vec<f64>],
) -> (f64, Parameters<f32>) {
    let parts: Vec<(f64, Parameters<f32>)> = sequences
        .par_chunks(sequences.len().div_ceil(PARTS))
        .map(|part| loss_and_gradient(fixed, parameters, &to_batch(task, part), sequences.len()))
        .collect();
    let mut parts = parts.into_iter();
    let mut sum = parts.next().expect("a batch has at least one sequence");
    for (loss, gradient) in parts {
        sum.0 += loss;
        sum.1.add(&gradient);
    }
    sum
}

fn narrow(matrix: &Mat<f64>) -> Mat<f32> {
    Mat::from_fn(matrix.nrows(), matrix.ncols(), |i, j| matrix[(i, j)] as f32)
}

fn wide(matrix: &Mat<f32>) -> Mat<f64> {
    Mat::from_fn(matrix.nrows(), matrix.ncols(), |i, j| f64::from(matrix[(i, j)]))
}

/// The network as the host and the chip know it: B = W E filled in.
fn host_network(
    settings: &Settings,
    activation: Activation<f64>,
    parameters: &Parameters<f32>,
    encoder: &Mat<f64>,
    decoder: &Mat<f64>,
    data: Option<&Dataset>,
) -> Network {
    let recurrence = match &parameters.weights {
        Weights::Dense(w) => Recurrence::Dense(wide(w)),
        Weights::LowRank(u, v) => Recurrence::LowRank { u: wide(u), v: wide(v) },
    };
    let input = match (&parameters.input, &recurrence) {
        (Some(input), _) => wide(input),
        (None, Recurrence::Dense(w)) => w * encoder,
        (None, Recurrence::LowRank { u, v }) => u * (v.transpose() * encoder),
    };
    let readout = parameters.readout.as_ref().map_or_else(|| decoder.clone(), wide);
    let mut network = Network::plain(activation, recurrence, input, readout);
    network.alpha = settings.alpha;
    if let Some(bias) = &parameters.bias {
        network.bias = bias.col_as_slice(0).iter().map(|&b| f64::from(b)).collect();
    }
    network.initial = network.rest();
    network.encoder = parameters.input.is_none().then(|| encoder.clone());
    network.task = Some(settings.task.clone());
    if let Some(data) = data {
        network.inputs.clone_from(&data.inputs);
    }
    network
}
