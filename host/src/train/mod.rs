//! Training: losses and their gradients, optimisers, constraints, roll-outs, checkpoints.
//!
//! The three losses are in [`bptt`] (batch), [`average`] and [`proxy`]; [`vectors`] makes what is frozen;
//! [`checkpoint`] keeps a run so that it goes on to the same bits.

pub mod ablation;
pub mod average;
pub mod bptt;
mod check;
pub mod checkpoint;
mod columns;
pub mod folder;
pub mod online;
pub mod optimiser;
mod order;
mod outcome;
mod parallel;
pub mod parameters;
mod patterns;
mod probe;
pub mod product;
pub mod proxy;
pub mod sequences;
pub mod settings;
pub mod vectors;

use std::time::Instant;

use faer::Mat;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use tinyfold_core::Scalar;

use crate::network::{Activation, Channel, Network, Recurrence};
use crate::task::trial::Score;
use crate::task::{Dataset, Task};
use crate::{Error, Result};
use bptt::{Fixed, Prepared, Workspace};
pub use checkpoint::Snapshot;
use optimiser::Optimiser;
pub use outcome::{Control, End, Metrics, Progress, Trained};
pub use parallel::in_parts;
use parameters::{Parameters, Real, Weights};
use probe::Probe;
pub use probe::{HELD_OUT, judged};
use product::zeros;
use sequences::Source;
use settings::Loss;
pub use settings::{Precision, Settings};

/// What can be tried when networks are not stable over long roll-outs.
#[must_use]
pub fn remedies(settings: &Settings) -> String {
    let Settings { learning_rate, sequence, loss, dale, task, .. } = settings;
    let proxy = Settings { proxy_weight: 0.01, ..settings.clone() };
    // Not what the settings would refuse; a recording is refused as well, so that none is needed to know.
    let proxied = settings.proxy_weight == 0.0 && proxy.check(None).is_ok();
    let longer = match (*loss == Loss::Batch && task.integration().is_some(), proxied) {
        (true, true) => format!(", longer sequences than {sequence}, or a proxy_weight of 0.01"),
        (true, false) => format!(" or longer sequences than {sequence}"),
        (false, _) => String::new(),
    };
    let law = if *dale > 0.0 { "; all of them keep Dale's law" } else { "" };
    format!("try a smaller learning rate than {learning_rate}{longer}{law}")
}

/// Least sequences of a part and most parts of a batch, whatever the number of threads: sums have one order. A small
/// network gains nothing from a third thread; a large W is read once for all sequences of a part.
const SMALL: (usize, usize) = (32, 2);
const LARGE: (usize, usize) = (128, 16);
/// The most neurons of a small network.
const SMALL_NEURONS: usize = 128;

/// Trains a network to integrate, or for another task.
///
/// Unless settings give a start_gain, W starts at 0 when dense, with U = 0 and V random at rank R; the derivative of ReLU at
/// 0 counts as 1, else nothing would ever be learnt. Dale's law is kept by a projection after every update: w_ij = 0 where
/// its sign is not that of neuron j; at rank R the same of V, and U >= 0. Masked neurons are not part of the network that
/// is returned. Long roll-outs guard the result: the network with the least error over them is returned, not the last one.
/// Held-out trials do so for tasks other than integration.
///
/// # Errors
/// Settings out of range; no network with a finite roll-out, that is: training diverged, or was stopped before.
///
/// Source: Fanthomme & Monasson 2021, section 3.
///
/// ```
/// use tinyfold::task::{Integration, Task};
/// use tinyfold::train::{Control, Settings, train};
/// let task = Task::Integration(Integration { decays: vec![0.8], scales: vec![1.0] });
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
    go(settings, data, None, watch)
}

/// Goes on with a run from a snapshot, to the same bits as if it had never been interrupted.
///
/// # Errors
/// As [`train`], and a snapshot of other settings or of another recording.
pub fn resume(
    snapshot: &Snapshot,
    data: Option<&Dataset>,
    watch: &mut dyn FnMut(Progress<'_>) -> Control,
) -> Result<Trained> {
    go(&snapshot.header.settings, data, Some(snapshot), watch)
}

fn go(
    settings: &Settings,
    data: Option<&Dataset>,
    from: Option<&Snapshot>,
    watch: &mut dyn FnMut(Progress<'_>) -> Control,
) -> Result<Trained> {
    let activation = settings.check(data)?;
    match settings.precision {
        Precision::F32 => Session::<f32>::new(settings, activation, data, from)?.run(watch),
        Precision::F64 => Session::<f64>::new(settings, activation, data, from)?.run(watch),
    }
}

/// A share of every batch, with its own stream of random numbers.
struct Part {
    count: usize,
    /// How many of `count` come from the recording.
    windows: usize,
    rng: ChaCha8Rng,
}

/// Sequences of every part that a batch for n neurons is split into.
#[must_use]
pub fn parts_of(batch: usize, neurons: usize) -> Vec<usize> {
    let (least, most) = if neurons <= SMALL_NEURONS { SMALL } else { LARGE };
    let parts = (batch / least).clamp(1, most);
    (0..parts).map(|k| (k + 1) * batch / parts - k * batch / parts).collect()
}

/// Sequences of a batch that come from the recording.
fn windows(settings: &Settings) -> usize {
    (settings.from_recording * settings.batch as f64).round() as usize
}

fn parts<T: Real>(settings: &Settings) -> Vec<(Part, Workspace<T>)> {
    let windows = windows(settings);
    let counts = parts_of(settings.batch, settings.neurons);
    let parts = counts.len();
    counts
        .into_iter()
        .enumerate()
        .map(|(k, count)| {
            let windows = (k + 1) * windows / parts - k * windows / parts;
            let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
            rng.set_stream(2 + k as u64);
            (Part { count, windows, rng }, Workspace::default())
        })
        .collect()
}

/// A training run.
struct Session<'a, T> {
    settings: &'a Settings,
    activation: Activation<f64>,
    data: Option<&'a Dataset>,
    /// [`Dataset::hash`] of `data`.
    recording: Option<u64>,
    /// E and C in f64, as the network has them unless they are trained.
    encoder: Mat<f64>,
    decoder: Mat<f64>,
    /// Q, when W = Q A Qᵀ: what is trained is then the network of Qᵀ E, C Q and A.
    basis: Option<Mat<f64>>,
    fixed: Fixed<T>,
    source: Source<'a>,
    probe: Probe<'a>,
    // What changes, all of it in a snapshot.
    parameters: Parameters<T>,
    optimiser: Optimiser<T>,
    parts: Vec<(Part, Workspace<T>)>,
    step: usize,
    best: Option<(Metrics, Parameters<T>)>,
    history: Vec<Metrics>,
}

impl<'a, T: Real> Session<'a, T> {
    fn new(
        settings: &'a Settings,
        activation: Activation<f64>,
        data: Option<&'a Dataset>,
        from: Option<&Snapshot>,
    ) -> Result<Self> {
        let (encoder, decoder) = vectors::vectors(settings);
        let basis = settings.reduced.then(|| vectors::joint_basis(&encoder, &decoder));
        let number = |x: &f64| T::from_f64(*x);
        let fixed = Fixed::<T> {
            activation: activation.cast(),
            alpha: T::from_f64(settings.alpha),
            encoder: basis.as_ref().map_or_else(|| cast(&encoder), |q| cast(&(q.transpose() * &encoder))),
            decoder: basis.as_ref().map_or_else(|| cast(&decoder), |q| cast(&(&decoder * q))),
            bias: vectors::biases(settings).map(|b| Mat::from_fn(b.len(), 1, |i, _| T::from_f64(b[i]))),
            current: vectors::currents(settings).map(|b| Mat::from_fn(b.len(), 1, |i, _| T::from_f64(b[i]))),
            nonlinear_decoder: settings.nonlinear_decoder,
            signs: vectors::signs(settings).map(|signs| signs.iter().map(number).collect()),
            weight: match &settings.task {
                Task::Integration(task) => task.scales.iter().map(|s| T::from_f64(1.0 / (s * s))).collect(),
                _ => vec![<T as Scalar>::ONE; decoder.nrows()],
            },
        };
        let mut parameters = start(settings, &fixed);
        if let Some(signs) = fixed.signs.as_ref().filter(|_| settings.start_gain > 0.0) {
            parameters.weights.keep_signs(signs);
        }
        let mut session = Self {
            settings,
            activation,
            data,
            recording: data.map(Dataset::hash),
            encoder,
            decoder,
            basis,
            fixed,
            source: Source::new(&settings.task, settings.sequence, data),
            probe: Probe::new(settings, data),
            optimiser: Optimiser::new(settings.method, &parameters),
            parameters,
            parts: parts(settings),
            step: 0,
            best: None,
            history: Vec::new(),
        };
        if let Some(snapshot) = from {
            session.restore(snapshot)?;
        }
        Ok(session)
    }

    fn run(mut self, watch: &mut dyn FnMut(Progress<'_>) -> Control) -> Result<Trained> {
        let settings = self.settings;
        let before = self.history.last().map_or(0.0, |metrics| metrics.seconds);
        let began = Instant::now();
        let mut end = match self.history.last() {
            // The snapshot of the last interval of a run that was interrupted before it had said so.
            Some(metrics) if self.reached(metrics.loss) => End::Reached,
            Some(_) if self.stalled() => End::Stalled,
            _ => End::Done,
        };
        while self.step < settings.steps && end == End::Done {
            self.step += 1;
            let step = self.step;
            let (loss, gradient) = self.gradient_of_trained();
            let learning_rate = settings.learning_rate * settings.schedule.factor(step, settings.steps);
            let norm = gradient.norm();
            if loss.is_finite() && norm.is_finite() {
                self.update(&gradient, norm, learning_rate);
                if self.reached(loss) {
                    end = End::Reached;
                }
            } else {
                end = End::Diverged;
            }
            if let Some((_, workspace)) = self.parts.first_mut() {
                workspace.recycle(gradient);
            }
            if watch(Progress::Step { step, loss }) == Control::Stop && end == End::Done {
                end = End::Stopped;
            }
            let due = step.is_multiple_of(settings.interval) || step == settings.steps;
            if end == End::Done && !due {
                continue;
            }
            let (first, second, _) = self.optimiser.memory();
            let finite = self.parameters.is_finite();
            if !(finite && first.is_finite() && second.is_finite()) {
                end = End::Diverged;
            }
            // A run that was never stopped has no roll-out here: one that goes on must not have it either.
            let unstopped = (end == End::Stopped && !due).then(|| self.snapshot());
            let network = self.network(&self.parameters);
            let (Score { error: rollout, correct }, [recording, long]) = if finite {
                self.probe.errors(&network)
            } else {
                (Score { error: f64::INFINITY, correct: None }, [None; 2])
            };
            let seconds = before + began.elapsed().as_secs_f64();
            let metrics = Metrics { step, loss, rollout, recording, long, correct, learning_rate, seconds };
            self.history.push(metrics);
            if metrics.error() < self.best.as_ref().map_or(f64::INFINITY, |(least, _)| least.error()) {
                self.best = Some((metrics, self.parameters.clone()));
            } else if self.stalled() && end == End::Done {
                end = End::Stalled;
            }
            let snapshot = || unstopped.clone().unwrap_or_else(|| self.snapshot());
            let snapshot = (end != End::Diverged).then_some(&snapshot as &dyn Fn() -> Snapshot);
            let history = &self.history;
            let wanted = watch(Progress::Interval { metrics, network: &network, snapshot, history });
            if wanted == Control::Stop && end == End::Done {
                end = End::Stopped;
            }
        }
        let Some((best, parameters)) = &self.best else {
            return Err(if end == End::Stopped {
                Error::Stopped { step: self.step }
            } else {
                self.diverged()
            });
        };
        let (network, last) = (self.network(parameters), self.network(&self.parameters));
        Ok(Trained { network, best: *best, last, history: self.history, end })
    }

    /// Whether a loss is as small as was asked for.
    fn reached(&self, loss: f64) -> bool {
        self.settings.stop_loss > 0.0 && loss <= self.settings.stop_loss
    }

    /// Whether the best network is older than patience allows.
    fn stalled(&self) -> bool {
        let best = self.best.as_ref().map_or(0, |(metrics, _)| metrics.step);
        let since = self.history.iter().filter(|metrics| metrics.step > best).count();
        self.settings.patience > 0 && since >= self.settings.patience
    }

    fn diverged(&self) -> Error {
        let step = self.history.last().map_or(0, |metrics| metrics.step);
        let over = self.probe.length();
        Error::Numeric {
            what: "training".into(),
            reason: format!(
                "diverged: no network was stable over {over} after {step} updates; {}",
                remedies(self.settings)
            ),
        }
    }

    /// One update of what is trained.
    fn update(&mut self, gradient: &Parameters<T>, norm: f64, rate: f64) {
        let Settings { clip, weight_decay, train_weights, .. } = *self.settings;
        // Weight decay would reach them too.
        let frozen = (!train_weights).then(|| self.parameters.weights.clone());
        self.optimiser.update(&mut self.parameters, gradient, norm, rate, clip, weight_decay);
        if let Some(weights) = frozen {
            self.parameters.weights = weights;
        } else if let Some(signs) = &self.fixed.signs {
            self.parameters.weights.keep_signs(signs);
        }
    }

    /// Loss and gradient of a fresh batch, 0 for weights that are not trained and outside of the blocks of supports.
    fn gradient_of_trained(&mut self) -> (f64, Parameters<T>) {
        let (loss, mut gradient) = self.gradient();
        if !self.settings.train_weights {
            gradient.weights.clear();
        }
        if self.settings.supports.blocks() {
            // What is 0 at the start is outside of a block.
            keep_zeros(gradient.encoder.as_mut(), &self.fixed.encoder);
            keep_zeros(gradient.readout.as_mut(), &self.fixed.decoder);
        }
        (loss, gradient)
    }

    /// Loss and gradient of a fresh batch: parts on all cores, added in a fixed order.
    fn gradient(&mut self) -> (f64, Parameters<T>) {
        let Self { settings, fixed, source, parameters, parts, .. } = self;
        let total = settings.batch;
        let most = parts.iter().map(|(part, _)| part.count).max().unwrap_or(0);
        let prepared = || Prepared::new(fixed, parameters, most);
        let Some(task) = settings.task.integration() else {
            let prepared = prepared();
            return in_parts(parts, |Part { count, rng, .. }, workspace| {
                prepared.loss_and_gradient(&source.draw(*count, 0, rng), total, workspace)
            });
        };
        if settings.loss == Loss::Average {
            return average::loss_and_gradient(fixed, parameters, task, settings.sequence);
        }
        let proxy = |count: usize, rng: &mut ChaCha8Rng| {
            let alpha = proxy::draw(task, settings.proxy_range, count, rng);
            proxy::loss_and_gradient(fixed, parameters, task, &alpha, total)
        };
        if settings.loss == Loss::Proxy {
            return in_parts(parts, |Part { count, rng, .. }, _| proxy(*count, rng));
        }
        let prepared = prepared();
        in_parts(parts, |Part { count, windows, rng }, workspace| {
            let batch = source.draw(*count, *windows, rng);
            let mut sum = prepared.loss_and_gradient(&batch, total, workspace);
            if settings.proxy_weight > 0.0 {
                let (loss, gradient) = proxy(*count, rng);
                sum.0 += settings.proxy_weight * loss;
                sum.1.add_scaled(T::from_f64(settings.proxy_weight), &gradient);
            }
            sum
        })
    }

    /// The network as the host and the chip know it: B = W E filled in.
    fn network(&self, parameters: &Parameters<T>) -> Network {
        let recurrence = match &parameters.weights {
            Weights::Dense(w) => match &self.basis {
                Some(q) => Recurrence::LowRank { u: q * cast::<T, f64>(w), v: q.clone() },
                None => Recurrence::Dense(cast(w)),
            },
            Weights::LowRank(u, v) => Recurrence::LowRank { u: cast(u), v: cast(v) },
        };
        let encoder = parameters.encoder.as_ref().map_or_else(|| self.encoder.clone(), cast);
        let input = parameters.input.as_ref().map_or_else(|| recurrence.times(&encoder), cast);
        let readout = parameters.readout.as_ref().map_or_else(|| self.decoder.clone(), cast);
        let mut network = Network::plain(self.activation, recurrence, input, readout);
        network.alpha = self.settings.alpha;
        let column = |bias: &Mat<T>| bias.col_as_slice(0).iter().map(|b| b.to_f64()).collect();
        if let Some(bias) = parameters.bias.as_ref().or(self.fixed.bias.as_ref()) {
            network.bias = column(bias);
        }
        if let Some(bias) = &parameters.output_bias {
            network.output_bias = column(bias);
        }
        network.initial = network.rest();
        network.nonlinear_decoder = self.settings.nonlinear_decoder;
        if let Some(current) = &self.fixed.current {
            network.add_current(&cast(current));
        }
        network.encoder = parameters.input.is_none().then_some(encoder);
        let named = |names: Vec<String>| names.into_iter().map(Channel::plain).collect();
        let task = self.settings.task.trials();
        (network.inputs, network.outputs) = (named(task.inputs()), named(task.outputs()));
        network.task = Some(self.settings.task.clone());
        network.kept = self.settings.kept();
        if let Some(data) = self.data {
            network.inputs.clone_from(&data.inputs);
        }
        network
    }
}

fn start<T: Real>(settings: &Settings, fixed: &Fixed<T>) -> Parameters<T> {
    // All neurons have their numbers, those that are left out as well.
    let (all, n) = (settings.neurons, fixed.encoder.nrows());
    let kept = settings.kept();
    let kept = kept.as_deref();
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    rng.set_stream(1);
    let mut random = |rows, columns, gain: f64| {
        let scale = gain / (all as f64).sqrt();
        let mut entry = |_, _| {
            let x: f64 = StandardNormal.sample(&mut rng);
            T::from_f64(x * scale)
        };
        if gain > 0.0 { Mat::from_fn(rows, columns, &mut entry) } else { zeros(rows, columns) }
    };
    Parameters {
        weights: if settings.reduced {
            Weights::Dense(random(n, n, settings.start_gain))
        } else if settings.rank == 0 {
            let w = random(all, all, settings.start_gain);
            Weights::Dense(ablation::columns(ablation::rows(w, kept), kept))
        } else {
            let v = random(all, settings.rank, 1.0);
            let u = random(all, settings.rank, settings.start_gain);
            Weights::LowRank(ablation::rows(u, kept), ablation::rows(v, kept))
        },
        input: settings.free_input.then(|| fixed.encoder.clone()),
        encoder: settings.train_encoder.then(|| fixed.encoder.clone()),
        bias: settings.train_bias.then(|| fixed.bias.clone().unwrap_or_else(|| Mat::zeros(n, 1))),
        readout: settings.train_readout.then(|| fixed.decoder.clone()),
        output_bias: settings.train_bias.then(|| Mat::zeros(fixed.decoder.nrows(), 1)),
    }
}

/// 0 wherever `frozen` is.
fn keep_zeros<T: Real>(gradient: Option<&mut Mat<T>>, frozen: &Mat<T>) {
    let zero = <T as Scalar>::ZERO;
    if let Some(gradient) = gradient {
        faer::zip!(gradient, frozen).for_each(|faer::unzip!(gradient, frozen)| {
            if *frozen == zero {
                *gradient = zero;
            }
        });
    }
}

fn cast<T: Scalar, S: Scalar>(matrix: &Mat<T>) -> Mat<S> {
    Mat::from_fn(matrix.nrows(), matrix.ncols(), |i, j| S::from_f64(matrix[(i, j)].to_f64()))
}
