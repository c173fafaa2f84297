//! Training by backpropagation through time: losses, optimisers, roll-outs.

pub mod bptt;
pub mod online;
pub mod optimiser;
pub mod parameters;
pub mod sequences;
pub mod settings;

use std::f64::consts::PI;
use std::time::Instant;

use faer::Mat;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use serde::Serialize;
use tinyfold_core::Scalar;

use crate::design::random_frozen;
use crate::network::{Activation, Network, Recurrence};
use crate::task::{Dataset, Integration, relative_rmse, synthetic};
use crate::{Error, Result, simulate};
use bptt::{Fixed, Workspace, loss_and_gradient};
use optimiser::Optimiser;
use parameters::{Parameters, Real, Weights};
use sequences::Source;
pub use settings::{Precision, Settings};

/// One line of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Metrics {
    /// Updates done.
    pub step: usize,
    /// Batch loss of the last batch.
    pub loss: f64,
    /// Relative RMSE over 2000 Gaussian steps, worst channel; infinite (null in JSON) when it diverges.
    pub rollout: f64,
    /// Relative RMSE over the recordings joined end to end and repeated to 10 000 steps.
    pub recording: Option<f64>,
    /// Learning rate of the last update.
    pub learning_rate: f64,
    /// Wall time since the start.
    pub seconds: f64,
}

impl Metrics {
    /// The error that the best network has least of: the larger one of both roll-outs.
    #[must_use]
    pub fn error(&self) -> f64 {
        self.recording.map_or(self.rollout, |recording| recording.max(self.rollout))
    }
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
    /// After every interval, and at the end.
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

/// Why training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// All updates are done.
    Done,
    /// The watcher stopped it.
    Stopped,
    /// The loss or its gradient was no longer finite; the updates before are kept.
    Diverged,
}

/// What training made.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The network whose long roll-out was best.
    pub network: Network,
    /// The metrics of `network`.
    pub best: Metrics,
    /// One entry an interval.
    pub history: Vec<Metrics>,
    /// Why it ended.
    pub end: End,
}

/// Steps of the Gaussian roll-out that tells a good network from one that only has a low training loss.
const ROLLOUT: usize = 2000;
/// Steps of the roll-out on the recording.
const RECORDING: usize = 10_000;
/// The most parts that a batch is split into, whatever the number of threads: sums have one order.
const PARTS: usize = 4;
/// The least sequences of a part: fewer are not worth a thread.
const LEAST: usize = 32;
/// The last learning rate, as a fraction of the first.
const LAST_RATE: f64 = 0.001;

/// Trains a network to integrate.
///
/// W starts at 0 when dense, with U = 0 and V random at rank R; the derivative of ReLU at 0 counts as 1,
/// else nothing would ever be learnt. Encoders and decoders are random, N(0, 1/n). Long roll-outs guard
/// the result: the network with the least error over them is returned, not the last one.
///
/// # Errors
/// Settings out of range; no network with a finite roll-out, that is: training diverged.
///
/// Source: Fanthomme & Monasson 2021, section 3.
///
/// ```
/// use tinyfold::task::Integration;
/// use tinyfold::train::{Control, Settings, train};
/// let task = Integration { decays: vec![0.8], scales: vec![1.0] };
/// let settings = Settings { neurons: 16, task, batch: 64, steps: 300, ..Settings::default() };
/// let trained = train(&settings, None, &mut |_| Control::Continue)?;
/// assert!(trained.best.rollout < 0.1);
/// # Ok::<(), tinyfold::Error>(())
/// ```
pub fn train(
    settings: &Settings,
    data: Option<&Dataset>,
    watch: &mut dyn FnMut(Progress<'_>) -> Control,
) -> Result<Trained> {
    let activation = settings.check(data)?;
    match settings.precision {
        Precision::F32 => run::<f32>(settings, activation, data, watch),
        Precision::F64 => run::<f64>(settings, activation, data, watch),
    }
}

/// A share of every batch, with its own stream of random numbers.
struct Part<T> {
    count: usize,
    /// How many of `count` come from the recording.
    windows: usize,
    rng: ChaCha8Rng,
    workspace: Workspace<T>,
}

fn parts<T: Real>(settings: &Settings) -> Vec<Part<T>> {
    let windows = (settings.from_recording * settings.batch as f64).round() as usize;
    let parts = (settings.batch / LEAST).clamp(1, PARTS);
    (0..parts)
        .map(|k| {
            let share = |total: usize| (k + 1) * total / parts - k * total / parts;
            let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
            rng.set_stream(2 + k as u64);
            let (count, windows) = (share(settings.batch), share(windows));
            Part { count, windows, rng, workspace: Workspace::default() }
        })
        .collect()
}

fn run<T: Real>(
    settings: &Settings,
    activation: Activation<f64>,
    data: Option<&Dataset>,
    watch: &mut dyn FnMut(Progress<'_>) -> Control,
) -> Result<Trained> {
    let (encoder, decoder) = random_frozen(settings.neurons, settings.task.channels(), settings.seed);
    let fixed = Fixed::<T> {
        activation: activation.cast(),
        alpha: T::from_f64(settings.alpha),
        encoder: cast(&encoder),
        decoder: cast(&decoder),
        weight: settings.task.scales.iter().map(|s| T::from_f64(1.0 / (s * s))).collect(),
    };
    let mut parameters = start(settings, &fixed);
    let mut optimiser = Optimiser::new(settings.method, &parameters);
    let source = Source::new(&settings.task, settings.sequence, data);
    let mut parts = parts(settings);
    let probe = Probe::new(settings, data);

    let began = Instant::now();
    let mut best: Option<(Metrics, Network)> = None;
    let mut history = Vec::new();
    let mut end = End::Done;
    for step in 1..=settings.steps {
        let (loss, gradient) = gradient_of_batch(&fixed, &parameters, &source, &mut parts, settings.batch);
        let learning_rate = settings.learning_rate * annealing(step, settings.steps);
        if loss.is_finite() && gradient.norm().is_finite() {
            optimiser.update(&mut parameters, &gradient, learning_rate, settings.clip, settings.weight_decay);
        } else {
            end = End::Diverged;
        }
        if watch(Progress::Step { step, loss }) == Control::Stop && end == End::Done {
            end = End::Stopped;
        }
        if end != End::Done || step % settings.interval == 0 || step == settings.steps {
            let network = host_network(settings, activation, &parameters, &encoder, &decoder, data);
            let (rollout, recording) = probe.errors(&network);
            let seconds = began.elapsed().as_secs_f64();
            let metrics = Metrics { step, loss, rollout, recording, learning_rate, seconds };
            history.push(metrics);
            if watch(Progress::Interval { metrics, network: &network }) == Control::Stop && end == End::Done {
                end = End::Stopped;
            }
            if metrics.error() < best.as_ref().map_or(f64::INFINITY, |(least, _)| least.error()) {
                best = Some((metrics, network));
            }
        }
        if end != End::Done {
            break;
        }
    }
    let (best, network) = best.ok_or_else(|| Error::Numeric {
        what: "training".into(),
        reason: format!(
            "diverged: no network was stable over {ROLLOUT} steps after {} updates; try a smaller learning rate than {}, or longer sequences than {}",
            history.last().map_or(0, |metrics: &Metrics| metrics.step), settings.learning_rate, settings.sequence
        ),
    })?;
    Ok(Trained { network, best, history, end })
}

/// A cosine from 1 at the first step to [`LAST_RATE`] at the last.
fn annealing(step: usize, steps: usize) -> f64 {
    let phase = (step - 1) as f64 / (steps - 1).max(1) as f64;
    LAST_RATE + (1.0 - LAST_RATE) * 0.5 * (1.0 + (PI * phase).cos())
}

fn start<T: Real>(settings: &Settings, fixed: &Fixed<T>) -> Parameters<T> {
    let (n, outputs) = (settings.neurons, settings.task.channels());
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    rng.set_stream(1);
    let scale = 1.0 / (n as f64).sqrt();
    let random = |_, _| {
        let x: f64 = StandardNormal.sample(&mut rng);
        T::from_f64(x * scale)
    };
    Parameters {
        weights: if settings.rank == 0 {
            Weights::Dense(Mat::zeros(n, n))
        } else {
            Weights::LowRank(Mat::zeros(n, settings.rank), Mat::from_fn(n, settings.rank, random))
        },
        input: settings.free_input.then(|| fixed.encoder.clone()),
        bias: settings.train_bias.then(|| Mat::zeros(n, 1)),
        readout: settings.train_readout.then(|| fixed.decoder.clone()),
        output_bias: settings.train_bias.then(|| Mat::zeros(outputs, 1)),
    }
}

/// Loss and gradient of a fresh batch: parts on all cores, added in a fixed order.
fn gradient_of_batch<T: Real>(
    fixed: &Fixed<T>,
    parameters: &Parameters<T>,
    source: &Source<'_>,
    parts: &mut [Part<T>],
    total: usize,
) -> (f64, Parameters<T>) {
    let sums: Vec<(f64, Parameters<T>)> = parts
        .par_iter_mut()
        .map(|part| {
            let batch = source.draw(part.count, part.windows, &mut part.rng);
            loss_and_gradient(fixed, parameters, &batch, total, &mut part.workspace)
        })
        .collect();
    let mut sums = sums.into_iter();
    let mut sum = sums.next().expect("a batch has at least one sequence");
    for (loss, gradient) in sums {
        sum.0 += loss;
        sum.1.add(&gradient);
    }
    sum
}

/// Inputs and targets of the long roll-outs.
struct Probe<'a> {
    task: &'a Integration,
    gaussian: Vec<f64>,
    recording: Option<Vec<f64>>,
}

impl<'a> Probe<'a> {
    fn new(settings: &'a Settings, data: Option<&Dataset>) -> Self {
        Self {
            task: &settings.task,
            // Not the noise that encoders and decoders were drawn from.
            gaussian: synthetic::gaussian(ROLLOUT, settings.task.channels(), !settings.seed),
            recording: data.map(|data| data.joined(RECORDING)),
        }
    }

    fn errors(&self, network: &Network) -> (f64, Option<f64>) {
        let error = |x: &Vec<f64>| {
            let y = simulate::run(network, x, false).outputs;
            relative_rmse(&y, &self.task.targets(x), self.task.channels())
        };
        rayon::join(|| error(&self.gaussian), || self.recording.as_ref().map(error))
    }
}

fn cast<T: Scalar, S: Scalar>(matrix: &Mat<T>) -> Mat<S> {
    Mat::from_fn(matrix.nrows(), matrix.ncols(), |i, j| S::from_f64(matrix[(i, j)].to_f64()))
}

/// The network as the host and the chip know it: B = W E filled in.
fn host_network<T: Real>(
    settings: &Settings,
    activation: Activation<f64>,
    parameters: &Parameters<T>,
    encoder: &Mat<f64>,
    decoder: &Mat<f64>,
    data: Option<&Dataset>,
) -> Network {
    let recurrence = match &parameters.weights {
        Weights::Dense(w) => Recurrence::Dense(cast(w)),
        Weights::LowRank(u, v) => Recurrence::LowRank { u: cast(u), v: cast(v) },
    };
    let input = match (&parameters.input, &recurrence) {
        (Some(input), _) => cast(input),
        (None, Recurrence::Dense(w)) => w * encoder,
        (None, Recurrence::LowRank { u, v }) => u * (v.transpose() * encoder),
    };
    let readout = parameters.readout.as_ref().map_or_else(|| decoder.clone(), cast);
    let mut network = Network::plain(activation, recurrence, input, readout);
    network.alpha = settings.alpha;
    let column = |bias: &Mat<T>| bias.col_as_slice(0).iter().map(|b| b.to_f64()).collect();
    if let Some(bias) = &parameters.bias {
        network.bias = column(bias);
    }
    if let Some(bias) = &parameters.output_bias {
        network.output_bias = column(bias);
    }
    network.initial = network.rest();
    network.encoder = parameters.input.is_none().then(|| encoder.clone());
    network.task = Some(settings.task.clone());
    if let Some(data) = data {
        network.inputs.clone_from(&data.inputs);
    }
    network
}
