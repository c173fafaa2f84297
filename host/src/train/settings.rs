//! What decides a training run.

use std::f64::consts::PI;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::ablation::Ablation;
use super::optimiser::Method;
use crate::format::settings::settings;
use crate::task::{Integration, Task};
use crate::{Error, Result, format};

/// The number type that training computes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// f32.
    #[default]
    F32,
    /// f64, at half the speed.
    F64,
}

/// Where encoders and decoders have their entries (Fanthomme & Monasson 2021, section 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Supports {
    /// N(0, 1/n) everywhere.
    #[default]
    Random,
    /// Orthonormal, E and C together.
    Orthonormal,
    /// e_c and d_c in block c of D.
    Same,
    /// e_c and d_c in a block each, of 2 D.
    Disjoint,
    /// As same, every block reaching a quarter into the next one.
    Overlapping,
    /// d_c in block c of D, e_c everywhere.
    RandomEncoder,
}

impl Supports {
    /// Whether vectors are 0 outside of blocks.
    #[must_use]
    pub const fn blocks(self) -> bool {
        !matches!(self, Self::Random | Self::Orthonormal)
    }
}

/// What training minimises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Loss {
    /// Squared error over random sequences.
    #[default]
    Batch,
    /// Its expectation over Gaussian inputs, for linear networks.
    Average,
    /// Conditions of an integrator on random states.
    Proxy,
}

/// How the learning rate goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// From 1 at the first update along half a cosine to a thousandth at the last.
    #[default]
    Cosine,
    /// 1 at all updates.
    Constant,
    /// Half as large after every so many updates.
    Halving {
        /// Updates.
        every: usize,
    },
}

impl Schedule {
    /// The factor of the learning rate at update `step` of `steps`, counted from 1.
    #[must_use]
    pub fn factor(self, step: usize, steps: usize) -> f64 {
        /// The last learning rate of a cosine, as a fraction of the first.
        const LAST: f64 = 0.001;
        match self {
            Self::Cosine => {
                let phase = (step - 1) as f64 / (steps - 1).max(1) as f64;
                LAST + (1.0 - LAST) * 0.5 * (1.0 + (PI * phase).cos())
            }
            Self::Constant => 1.0,
            Self::Halving { every } => 0.5_f64.powi(((step - 1) / every) as i32),
        }
    }
}

settings! {
    /// All that decides a training run: on one machine the same settings and data give the same bits, for
    /// any number of threads.
    ///
    /// ```
    /// use tinyfold::train::Settings;
    /// let settings = Settings::parse("neurons = 32\nrank = 3\n", "run.toml").unwrap();
    /// assert_eq!((settings.neurons, settings.rank, settings.alpha), (32, 3, 1.0));
    /// ```
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    Settings {
        /// Number of neurons n.
        neurons: usize = 64,
        /// What is learnt: decays gamma in (0, 1) and scales s of the channels that are integrated; or the name of another
        /// task, "switch", "context", "flip-flop", "ring", "delayed-match" or "sine", or { flip-flop = { bits = 2 } } with
        /// parameters of its own (`tinyfold task` tells them). Other defaults below are those of integration:
        /// `tinyfold train --print-defaults --task NAME` prints those of another task.
        task: Task = Integration::default().into(),
        /// Name of phi: linear, relu, clipped, tanh, sigmoid.
        activation: String = "relu".into(),
        /// lo and hi of `clipped`; slope and threshold of `sigmoid`.
        activation_parameters: Vec<f64> = Vec::new(),
        /// Leak alpha in (0, 1].
        alpha: f64 = 1.0,
        /// R of W = U Vᵀ, 0 for a dense W.
        rank: usize = 0,
        /// Masked neurons, left out of training, judging and the network that is written: "none", { fraction = 0.25 } (so
        /// many, drawn by the seed) or { neurons = [0, 5] }. All else is drawn as without a mask.
        ablation: Ablation = Ablation::None,
        /// Whether W = Q A Qᵀ with an orthonormal basis Q of encoders and decoders, and only A is trained, 2 D × 2 D numbers:
        /// linear networks, whose gradient is Q G Qᵀ. The 2 × 2 reduction of `tinyfold theory` when D = 1.
        reduced: bool = false,
        /// g: W, or A, starts with entries N(0, g²/n), at rank R so U, and V N(0, 1/n). At 0, right for integration, W starts at
        /// 0; a network that is to oscillate or remember by itself needs about 1.
        start_gain: f64 = 0.0,
        /// Dale's law: this fraction of the neurons is inhibitory, the others are excitatory; 0 for free signs. At rank R
        /// rows of V have the signs and U is not negative.
        dale: f64 = 0.0,
        /// Where encoders E and decoders C have their entries: random (everywhere), orthonormal (everywhere, orthogonal
        /// to each other), same (block c of the neurons for both of channel c), disjoint (a block each),
        /// overlapping (as same, each block reaching into the next one), random-encoder (blocks for decoders only). What
        /// is trained stays in its block.
        supports: Supports = Supports::Random,
        /// Cosine between encoder and decoder of the only channel, D = 1 and supports = "random"; both have length 1 then.
        overlap: Option<f64> = None,
        /// Factor of the encoders E, which have length 1 on average otherwise.
        encoder_scale: f64 = 1.0,
        /// Factor of the decoders C.
        decoder_scale: f64 = 1.0,
        /// Whether outputs are y = phi(C h + c) instead of C h + c. A chip runs both in f32; what is quantised or learns on the
        /// chip has a linear readout.
        nonlinear_decoder: bool = false,
        /// Random currents beta, uniform in [0, this], that are added to the rates: h = beta + phi(p); 0 for none.
        bias_current: f64 = 0.0,
        /// Standard deviation of the random thresholds of the neurons, b = -threshold; 0 for none.
        threshold_spread: f64 = 0.0,
        /// Whether W, or U and V, is trained; a reservoir stays as it starts, see start_gain.
        train_weights: bool = true,
        /// Whether B is trained by itself, from E, instead of being W E.
        free_input: bool = false,
        /// Whether E is trained, while B = W E.
        train_encoder: bool = false,
        /// Whether b and c are trained.
        train_bias: bool = false,
        /// Whether C is trained; it is random and frozen otherwise.
        train_readout: bool = false,
        /// What is minimised: batch (squared error over random sequences), average (its expectation over Gaussian
        /// inputs in closed form, linear networks), proxy (conditions of an integrator on random states).
        loss: Loss = Loss::Batch,
        /// Weight of the proxy loss that is added to the batch loss: keeps the manifold where short sequences do not reach.
        proxy_weight: f64 = 0.0,
        /// Half the width R of the cube that the states of the proxy loss are drawn from.
        proxy_range: f64 = 8.0,
        /// T, time steps of a training sequence.
        sequence: usize = 10,
        /// Sequences of a batch; states of a batch of the proxy loss.
        batch: usize = 64,
        /// Updates.
        steps: usize = 40_000,
        /// "adam" or { sgd = { momentum = 0.0 } }; learning_rate and weight_decay have other defaults with sgd.
        method: Method = Method::Adam,
        /// First learning rate. What is not said is 1 with sgd; with adam 0.01, and 0.003 for tasks other than integration.
        learning_rate: f64 = Method::Adam.learning_rate(),
        /// How the learning rate goes on: cosine (falls to a thousandth at the last update), constant, or
        /// { halving = { every = 1000 } }.
        schedule: Schedule = Schedule::Cosine,
        /// Largest norm of a gradient; a longer one is scaled down.
        clip: f64 = 1.0,
        /// Decoupled weight decay: keeps the bulk of W small beside its D large singular values, so that W
        /// can be compressed. What is not said is 0 with sgd and for tasks other than integration, else 0.02.
        weight_decay: f64 = Method::Adam.weight_decay(),
        /// Ends training at the first loss of at most this; 0 for never.
        stop_loss: f64 = 0.0,
        /// Ends training after so many intervals without a new best network; 0 for never.
        patience: usize = 0,
        /// Fraction of a batch that comes from the recording instead of Gaussian noise, in [0, 1].
        from_recording: f64 = 0.0,
        /// Updates between two roll-outs and checkpoints.
        interval: usize = 1000,
        /// Number type: f32 or f64.
        precision: Precision = Precision::F32,
        /// Seed of everything random.
        seed: u64 = 0,
    }
}

impl Settings {
    /// Reads settings in TOML; what is not said stays at the default of the task. `place` names the file in messages.
    ///
    /// # Errors
    /// Text that is not TOML, an unknown setting, a value of another type: file, line and, where a name is
    /// nearly one that is known, this name.
    pub fn parse(text: &str, place: &str) -> Result<Self> {
        Self::parse_said(text, place).map(|(settings, _)| settings)
    }

    /// The same, and what the text says by itself.
    fn parse_said(text: &str, place: &str) -> Result<(Self, toml::Table)> {
        let settings: Self = format::settings::parse(text, place)?;
        let said: toml::Table = format::settings::parse(text, place)?;
        Ok((settings.completed(|| Ok(said.clone()), place)?, said))
    }

    /// The defaults for a task.
    ///
    /// Integration is learnt as in the paper. All else is learnt by a tanh network that starts at random, with B,
    /// biases and readout trained, on trials of the length that the task says.
    #[must_use]
    pub fn of(task: Task) -> Self {
        if task.integration().is_some() {
            return Self { task, ..Self::default() };
        }
        Self {
            sequence: task.trials().steps(),
            task,
            activation: "tanh".into(),
            start_gain: 1.0,
            free_input: true,
            train_bias: true,
            train_readout: true,
            steps: 3000,
            learning_rate: 0.003,
            weight_decay: 0.0,
            interval: 100,
            ..Self::default()
        }
    }

    /// These settings with a method, and with its learning rate and weight decay where it is not Adam.
    #[must_use]
    pub fn learnt_by(self, method: Method) -> Self {
        match method {
            Method::Adam => Self { method, ..self },
            Method::Sgd { .. } => {
                let (learning_rate, weight_decay) = (method.learning_rate(), method.weight_decay());
                Self { method, learning_rate, weight_decay, ..self }
            }
        }
    }

    /// What was read, with the defaults of its task and method for all that was not said.
    pub(crate) fn completed(self, said: impl FnOnce() -> Result<toml::Table>, place: &str) -> Result<Self> {
        if self.task.integration().is_some() && self.method == Method::Adam {
            return Ok(self);
        }
        // All but the task's own parameters are defaults, and those fit.
        let too_large =
            |_| Error::input(place, format!("parameters of the task up to {}", i64::MAX), "a larger one");
        let mut table =
            toml::Table::try_from(Self::of(self.task).learnt_by(self.method)).map_err(too_large)?;
        table.extend(said()?);
        format::settings::from_table(table, place)
    }

    /// What is integrated.
    ///
    /// # Errors
    /// Another task; `place` says what cannot learn it.
    pub fn integration(&self, place: &str) -> Result<&Integration> {
        let other = || Error::input(place, "integration to learn", format!("the task {}", self.task.name()));
        self.task.integration().ok_or_else(other)
    }

    /// Reads a file of settings in TOML.
    ///
    /// # Errors
    /// As [`Settings::parse`], and a file that cannot be read.
    pub fn load(path: &Path) -> Result<Self> {
        Self::load_said(path).map(|(settings, _)| settings)
    }

    /// The same, and what the file says by itself.
    pub(crate) fn load_said(path: &Path) -> Result<(Self, toml::Table)> {
        let text = std::fs::read_to_string(path).map_err(Error::file(path, "read"))?;
        Self::parse_said(&text, &path.display().to_string())
    }

    /// These settings as TOML, each below its documentation: what [`Settings::parse`] reads.
    #[must_use]
    pub fn documented(&self) -> String {
        if self.task.integration().is_some() {
            return format::settings::documented(self, Self::FIELDS);
        }
        // Parameters below their own documentation: a table, and so the last thing of the file.
        let fields: Vec<_> = Self::FIELDS.iter().filter(|(name, _)| *name != "task").copied().collect();
        let settings = format::settings::documented(self, &fields);
        let (name, summary) = (self.task.name(), self.task.summary());
        format!("{settings}\n# {summary}\n[task.{name}]\n{}", self.task.documented())
    }
}
