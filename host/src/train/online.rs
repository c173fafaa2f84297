//! Training sample by sample with the rules of `tinyfold_core::learn`, in f64: to compare them.
//!
//! Every rule starts with the same network (W = 0, B and C random; at rank R U = 0 and V random) and sees the same
//! Gaussian samples, in episodes that begin at rest. Now and then learning stands still: the gradient of some
//! episodes is found by the rule and, exactly, by backpropagation through each whole episode, which is what exact real-time
//! recurrent learning gives; their cosine is the alignment.

use std::cell::Cell;
use std::time::Instant;

use faer::Mat;
use serde::{Deserialize, Serialize};
use tinyfold_core::learn::{
    self, Adam, Dale, Diagonal, Eprop, Groups, KfRtrl, LatentRtrl, Learner, Momentum, Params, Rtrl, Sgd,
    Tbptt, Uoro,
};
use tinyfold_core::wire::{Model, learned};
use tinyfold_core::{Shape, View};

use super::optimiser::{BETA, EPSILON, Method};
use super::settings::{Loss, Schedule};
use super::{Control, Settings, vectors};
use crate::design::random_frozen;
use crate::error::require;
use crate::format::model;
use crate::network::{Network, Recurrence};
use crate::task::{Integration, relative_rmse, synthetic};
use crate::{Error, Result, simulate};

/// How gradients are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Exact real-time recurrent learning of a dense network: n⁴ multiply-adds a step.
    Rtrl,
    /// SnAp-1: what a neuron's weights do to itself.
    Snap1,
    /// RFLO: the same without the recurrent weight.
    Rflo,
    /// e-prop with a presynaptic trace.
    Eprop,
    /// Unbiased, rank one.
    Uoro,
    /// Unbiased, a Kronecker product.
    KfRtrl,
    /// Backpropagation through the last steps (a quarter of the episode).
    Tbptt,
    /// Exact real-time recurrent learning in the latent of a network of rank R.
    Latent,
}

impl Rule {
    /// Its name, as in `--rule`.
    #[must_use]
    pub fn name(self) -> String {
        clap::ValueEnum::to_possible_value(&self).map_or(String::new(), |value| value.get_name().into())
    }

    /// Words of memory.
    fn memory_len(self, shape: &Shape, groups: Groups, leaky: bool, window: usize) -> usize {
        match self {
            Self::Rtrl => Rtrl::<f64>::memory_len(shape),
            Self::Snap1 | Self::Rflo => Diagonal::<f64>::memory_len(shape),
            Self::Eprop => Eprop::<f64>::memory_len(shape),
            Self::Uoro => Uoro::<f64>::memory_len(shape),
            Self::KfRtrl => KfRtrl::<f64>::memory_len(shape),
            Self::Tbptt => Tbptt::<f64>::memory_len(shape, window),
            Self::Latent => LatentRtrl::<f64>::memory_len(shape, groups, leaky),
        }
    }
}

/// One moment of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Samples learned from.
    pub step: usize,
    /// Mean squared error since the point before, relative to that of an output of 0.
    pub loss: f64,
    /// Relative RMSE over [`FREE`] steps without targets, worst channel.
    pub rollout: f64,
    /// Cosine of the rule's gradient of 32 episodes with the exact one; none where either is 0.
    pub alignment: Option<f64>,
}

/// What a rule learned.
#[derive(Clone, Debug)]
pub struct Run {
    /// The rule.
    pub rule: Rule,
    /// One entry an interval.
    pub points: Vec<Point>,
    /// Wall time of learning.
    pub seconds: f64,
    /// The network after the last sample.
    pub network: Network,
}

/// Steps without targets.
pub const FREE: usize = 2000;
/// Episodes that gradients are summed over for an alignment.
const EPISODES: usize = 32;

/// Learns by a rule. Of the settings, those of recording, batch, precision and weight decay do not apply, and the learning
/// rate stays; a training sequence is an episode. Encoders, decoders and thresholds are those of other training. Dale's law
/// is kept by [`Dale`].
///
/// # Errors
/// Settings out of range; a rank with a rule for dense networks, or none with [`Rule::Latent`].
pub fn learn(settings: &Settings, rule: Rule, watch: &mut dyn FnMut(&Point) -> Control) -> Result<Run> {
    let start = start(settings, rule)?;
    let model = model::export::<f64>(&start)?;
    let refused = |error| model::refused(&rule.name(), error);
    let view = model::read::<f64>(&model, &rule.name())?.view;
    let shape = view.shape();
    let mut words = vec![0.0; shape.parameter_len()];
    learned::copy_words(&view, &mut words).map_err(refused)?;
    let mut params = Params::new(shape, view.settings(), &mut words).map_err(refused)?;
    let mut memory = vec![0.0; shape.state_len()];
    let mut state = params.view().state(&mut memory).map_err(refused)?;
    let groups = groups(settings);
    let window = settings.sequence.div_ceil(4);
    let mut room = vec![0.0; rule.memory_len(&shape, groups, settings.alpha < 1.0, window)];
    let mut moments = vec![0.0; 2 * shape.parameter_len()];
    let count = shape.parameter_len();
    let (rate, seed) = (settings.learning_rate, settings.seed as u32);
    let made = Made { rule, groups, window, seed };
    let signs = vectors::signs(settings);
    let law = signs.as_ref().map(|signs| Dale::new(&shape, signs).map_err(refused)).transpose()?;
    if let Some(law) = law {
        law.project(&mut params);
    }
    let mut learner = match settings.method {
        Method::Sgd { momentum } if momentum > 0.0 => {
            let optimiser = Momentum::new(rate, momentum, count, &mut moments).map_err(refused)?;
            made.lawful(&params, optimiser.clipped(settings.clip), law, &mut room)
        }
        Method::Sgd { .. } => {
            made.lawful(&params, Sgd::new(rate).map_err(refused)?.clipped(settings.clip), law, &mut room)
        }
        Method::Adam => {
            let optimiser = Adam::new(rate, BETA, EPSILON, count, &mut moments).map_err(refused)?;
            made.lawful(&params, optimiser.clipped(settings.clip), law, &mut room)
        }
    }
    .map_err(refused)?;

    let task = settings.integration("a rule")?;
    let channels = task.channels();
    let episode = settings.sequence;
    let mut noise = synthetic::normal(settings.seed.wrapping_add(1));
    let mut x = vec![0.0; channels];
    let (mut points, mut integrals) = (Vec::new(), vec![0.0; channels]);
    let (mut loss, mut level, mut seconds, mut began) = (0.0, 0.0, 0.0, Instant::now());
    for t in 0..settings.steps {
        x.fill_with(|| noise.next().unwrap_or_default());
        if t % episode == 0 {
            params.view().reset(&mut state);
            learner.reset();
            integrals.fill(0.0);
        }
        let mut target = vec![0.0; channels];
        for (c, u) in integrals.iter_mut().enumerate() {
            *u = task.decays[c] * (*u + x[c]);
            target[c] = task.scales[c] * *u;
        }
        loss += 2.0 * learner.step(&mut params, &mut state, &x, Some(&target)).loss;
        level += target.iter().map(|y| y * y).sum::<f64>();
        let done = t + 1;
        if done % settings.interval == 0 || done == settings.steps {
            seconds += began.elapsed().as_secs_f64();
            let network = network_of(&model, params.words(), &rule.name())?;
            let alignment = made.alignment(settings, &network)?;
            let point = Point {
                step: done,
                loss: loss / level,
                rollout: rollout(task, settings.seed, &network),
                alignment,
            };
            points.push(point);
            (loss, level, began) = (0.0, 0.0, Instant::now());
            if watch(&point) == Control::Stop {
                break;
            }
        }
    }
    drop(learner);
    let network = network_of(&model, params.words(), &rule.name())?;
    Ok(Run { rule, points, seconds, network })
}

/// Refuses settings that a rule does not follow, as [`learn()`] does.
///
/// # Errors
/// As there.
pub fn check(settings: &Settings, rule: Rule) -> Result<()> {
    start(settings, rule).map(drop)
}

fn groups(settings: &Settings) -> Groups {
    Groups {
        input: true,
        bias: settings.train_bias,
        output_bias: settings.train_bias,
        readout: settings.train_readout,
        ..Groups::RECURRENT
    }
}

/// The network that every rule starts with.
fn start(settings: &Settings, rule: Rule) -> Result<Network> {
    let activation = settings.check(None)?;
    settings.integration("a rule")?;
    require(settings.start_gain == 0.0, "start_gain", "0 with a rule", settings.start_gain)?;
    require(settings.bias_current == 0.0, "bias_current", "0 with a rule", settings.bias_current)?;
    require(!settings.nonlinear_decoder, "nonlinear_decoder", "false with a rule", true)?;
    require(settings.kept().is_none(), "ablation", "none with a rule", "a mask")?;
    require(!settings.reduced, "reduced", "false with a rule", true)?;
    require(settings.train_weights, "train_weights", "true with a rule", false)?;
    require(!settings.train_encoder, "train_encoder", "false with a rule: B is trained by itself", true)?;
    require(settings.loss == Loss::Batch, "loss", "batch with a rule", "another one")?;
    require(settings.proxy_weight == 0.0, "proxy_weight", "0 with a rule", settings.proxy_weight)?;
    require(settings.patience == 0, "patience", "0 with a rule", settings.patience)?;
    require(settings.stop_loss == 0.0, "stop_loss", "0 with a rule", settings.stop_loss)?;
    let leaves = settings.train_readout && settings.supports.blocks();
    let expected = "random or orthonormal with a rule that trains C: it would leave its blocks";
    require(!leaves, "supports", expected, "blocks")?;
    let halving = matches!(settings.schedule, Schedule::Halving { .. });
    require(!halving, "schedule", "constant with a rule", "halving")?;
    let (n, rank) = (settings.neurons, settings.rank);
    match (rule, rank) {
        (Rule::Latent, 0) => return Err(Error::input("rank", "at least 1 with the rule latent", "0")),
        (Rule::Latent, _) | (_, 0) => {}
        (_, _) => {
            let expected = format!("0 (a dense W) with the rule {}", rule.name());
            return Err(Error::input("rank", expected, rank.to_string()));
        }
    }
    let (encoder, decoder) = vectors::vectors(settings);
    let recurrence = if rank == 0 {
        Recurrence::Dense(Mat::zeros(n, n))
    } else {
        let (v, _) = random_frozen(n, rank, !settings.seed);
        Recurrence::LowRank { u: Mat::zeros(n, rank), v }
    };
    let mut network = Network::plain(activation, recurrence, encoder, decoder);
    network.alpha = settings.alpha;
    if let Some(biases) = vectors::biases(settings) {
        network.bias = biases;
    }
    network.task = Some(settings.task.clone());
    network.initial = network.rest();
    Ok(network)
}

/// The network with other packed words than those of `model`.
fn network_of(model: &model::ModelBytes, words: &[f64], place: &str) -> Result<Network> {
    let read = model::read::<f64>(model, place)?;
    let view = View::from_words(read.view.shape(), read.view.settings(), words);
    let view = view.map_err(|error| model::refused(place, error))?;
    model::import(&Model { view, ..read }, place)
}

fn rollout(task: &Integration, seed: u64, network: &Network) -> f64 {
    let channels = task.channels();
    let x = synthetic::gaussian(FREE, channels, !seed);
    let y = simulate::run(network, &x, false).outputs;
    relative_rmse(&y, &task.targets(&x), channels)
}

/// What a learner is made of, beside its optimiser and memory.
#[derive(Clone, Copy)]
struct Made {
    rule: Rule,
    groups: Groups,
    window: usize,
    seed: u32,
}

impl Made {
    fn learner<'m, O: learn::Optimiser<f64> + 'm>(
        self,
        params: &Params<'_, f64>,
        optimiser: O,
        room: &'m mut [f64],
    ) -> std::result::Result<Box<dyn Learner<f64> + 'm>, tinyfold_core::Error> {
        fn online<'m, R: learn::Rule<f64> + 'm, O: learn::Optimiser<f64> + 'm>(
            rule: R,
            optimiser: O,
        ) -> Box<dyn Learner<f64> + 'm> {
            Box::new(learn::Online::new(rule, optimiser, learn::Loss::Square))
        }
        let Self { rule, groups, window, seed } = self;
        Ok(match rule {
            Rule::Rtrl => online(Rtrl::new(params, groups, room)?, optimiser),
            Rule::Snap1 => online(Diagonal::snap1(params, groups, room)?, optimiser),
            Rule::Rflo => online(Diagonal::rflo(params, groups, room)?, optimiser),
            Rule::Eprop => online(Eprop::new(params, groups, room)?, optimiser),
            Rule::Uoro => online(Uoro::new(params, groups, seed, room)?, optimiser),
            Rule::KfRtrl => online(KfRtrl::new(params, groups, seed, room)?, optimiser),
            Rule::Tbptt => online(Tbptt::new(params, groups, window, room)?, optimiser),
            Rule::Latent => online(LatentRtrl::new(params, groups, room)?, optimiser),
        })
    }

    /// A learner that keeps to `law`, if there is one.
    fn lawful<'m, O: learn::Optimiser<f64> + 'm>(
        self,
        params: &Params<'_, f64>,
        optimiser: O,
        law: Option<Dale<'m, f64>>,
        room: &'m mut [f64],
    ) -> std::result::Result<Box<dyn Learner<f64> + 'm>, tinyfold_core::Error> {
        match law {
            Some(law) => self.learner(params, law.projected(optimiser), room),
            None => self.learner(params, optimiser, room),
        }
    }

    /// Cosine of this rule's gradient of [`EPISODES`] episodes with the exact one.
    fn alignment(self, settings: &Settings, network: &Network) -> Result<Option<f64>> {
        // Backpropagation through all of an episode, of the dense network with the same W.
        let exact = Self { rule: Rule::Tbptt, window: settings.sequence, ..self };
        let mut dense = network.clone();
        dense.recurrence = Recurrence::Dense(network.weights());
        dense.initial = dense.rest();
        let exact = exact.gradient(settings, &dense)?;
        let found = self.gradient(settings, network)?;
        let exact = match &network.recurrence {
            Recurrence::Dense(_) => exact,
            // W = U Vᵀ: dL/dU = G V, dL/dV = Gᵀ U.
            Recurrence::LowRank { u, v } => {
                let Recurrence::Dense(g) = &exact.recurrence else { return Ok(None) };
                let (u, v) = (g * v, g.transpose() * u);
                Network { recurrence: Recurrence::LowRank { u, v }, ..exact }
            }
        };
        let (a, b) = (self.entries(&found), self.entries(&exact));
        let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let norms = (product(&a, &a) * product(&b, &b)).sqrt();
        Ok((norms > 0.0 && norms.is_finite()).then(|| product(&a, &b) / norms))
    }

    /// The entries of a gradient that learn.
    fn entries(self, gradient: &Network) -> Vec<f64> {
        let Groups { readout, bias, .. } = self.groups;
        let all = |m: &Mat<f64>| m.col_iter().flat_map(|c| c.iter().copied().collect::<Vec<f64>>()).collect();
        let mut parts: Vec<Vec<f64>> = match &gradient.recurrence {
            Recurrence::Dense(w) => vec![all(w)],
            Recurrence::LowRank { u, v } => vec![all(u), all(v)],
        };
        parts.push(all(&gradient.input));
        if bias {
            parts.extend([gradient.bias.clone(), gradient.output_bias.clone()]);
        }
        if readout {
            parts.push(all(&gradient.readout));
        }
        parts.concat()
    }

    /// The gradient summed over [`EPISODES`] episodes of new samples, in the form of a network.
    fn gradient(self, settings: &Settings, network: &Network) -> Result<Network> {
        let name = self.rule.name();
        let refused = |error| model::refused(&name, error);
        let model = model::export::<f64>(network)?;
        let view = model::read::<f64>(&model, &name)?.view;
        let shape = view.shape();
        let mut words = vec![0.0; shape.parameter_len()];
        learned::copy_words(&view, &mut words).map_err(refused)?;
        let mut params = Params::new(shape, view.settings(), &mut words).map_err(refused)?;
        let mut memory = vec![0.0; shape.state_len()];
        let mut state = params.view().state(&mut memory).map_err(refused)?;
        let mut room =
            vec![0.0; self.rule.memory_len(&shape, self.groups, settings.alpha < 1.0, self.window)];
        let sums = vec![Cell::new(0.0); shape.parameter_len()];
        let mut learner = self.learner(&params, Sum(&sums), &mut room).map_err(refused)?;
        let task = settings.integration("a rule")?;
        let channels = task.channels();
        for episode in 0..EPISODES {
            params.view().reset(&mut state);
            learner.reset();
            let seed = settings.seed.wrapping_add(2 + episode as u64);
            let x = synthetic::gaussian(settings.sequence, channels, seed);
            let targets = task.targets(&x);
            for (x, target) in x.chunks_exact(channels).zip(targets.chunks_exact(channels)) {
                learner.step(&mut params, &mut state, x, Some(target));
            }
        }
        drop(learner);
        // A gradient lies where the words lie that it belongs to; scaling and initial state have none.
        let mut gradient: Vec<f64> = sums.into_iter().map(Cell::into_inner).collect();
        let kept = shape.layer_len() + shape.readout_len();
        gradient[kept..].copy_from_slice(&params.words()[kept..]);
        network_of(&model, &gradient, &name)
    }
}

/// Adds up gradients and changes nothing.
struct Sum<'a>(&'a [Cell<f64>]);

impl learn::Optimiser<f64> for Sum<'_> {
    const SPARSE: bool = true;

    fn word(&mut self, at: usize, word: f64, gradient: f64) -> f64 {
        self.0[at].update(|sum| sum + gradient);
        word
    }
}
