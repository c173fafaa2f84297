//! What decides a training run, and what is refused before it starts.

use std::f64::consts::PI;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::optimiser::Method;
use crate::error::require;
use crate::format::settings::settings;
use crate::network::Activation;
use crate::task::{Dataset, Integration, Task};
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
    /// As `Same`, every block reaching a quarter into the next one.
    Overlapping,
    /// d_c in block c of D, e_c everywhere.
    RandomEncoder,
}

/// What training minimises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Loss {
    /// Squared error over random sequences: [`bptt`](super::bptt).
    #[default]
    Batch,
    /// Its expectation over Gaussian inputs, for linear networks: [`average`](super::average).
    Average,
    /// Conditions of an integrator on random states: [`proxy`](super::proxy).
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
        /// n.
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
        /// g: W starts with entries N(0, g²/n), at rank R so U, and V N(0, 1/n). At 0, right for integration, W starts at
        /// 0; a network that is to oscillate or remember by itself needs about 1.
        start_gain: f64 = 0.0,
        /// Dale's law: this fraction of the neurons is inhibitory, the others are excitatory; 0 for free signs. At rank R
        /// rows of V have the signs and U is not negative.
        dale: f64 = 0.0,
        /// Where encoders E and decoders C have their entries: random (everywhere), orthonormal (everywhere, orthogonal
        /// to each other), same (block c of the neurons for both of channel c), disjoint (a block each),
        /// overlapping (as same, each block reaching into the next one), random-encoder (blocks for decoders only).
        supports: Supports = Supports::Random,
        /// Cosine between encoder and decoder of the only channel, D = 1 and supports = "random"; both have length 1 then.
        overlap: Option<f64> = None,
        /// Factor of the encoders E, which have length 1 on average otherwise.
        encoder_scale: f64 = 1.0,
        /// Factor of the decoders C.
        decoder_scale: f64 = 1.0,
        /// Whether outputs are y = phi(C h + c) instead of C h + c. Chip models have linear readouts alone.
        nonlinear_decoder: bool = false,
        /// Random currents beta, uniform in [0, this], that are added to the rates: h = beta + phi(p); 0 for none.
        bias_current: f64 = 0.0,
        /// Standard deviation of the random thresholds of the neurons, b = -threshold; 0 for none.
        threshold_spread: f64 = 0.0,
        /// Whether B is trained by itself, from E, instead of being W E.
        free_input: bool = false,
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
        /// "adam" or { sgd = { momentum = 0.0 } }.
        method: Method = Method::Adam,
        /// First learning rate.
        learning_rate: f64 = Method::Adam.learning_rate(),
        /// How the learning rate goes on: cosine (falls to a thousandth at the last update), constant, or
        /// { halving = { every = 1000 } }.
        schedule: Schedule = Schedule::Cosine,
        /// Largest norm of a gradient; a longer one is scaled down.
        clip: f64 = 1.0,
        /// Decoupled weight decay: keeps the bulk of W small beside its D large singular values, so that W
        /// can be compressed.
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
        let settings: Self = format::settings::parse(text, place)?;
        settings.completed(|| format::settings::parse(text, place), place)
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

    /// What was read, with the defaults of its task for all that was not said.
    pub(crate) fn completed(self, said: impl FnOnce() -> Result<toml::Table>, place: &str) -> Result<Self> {
        if self.task.integration().is_some() {
            return Ok(self);
        }
        let mut table = toml::Table::try_from(Self::of(self.task)).expect("settings are a table");
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
        let text = std::fs::read_to_string(path).map_err(Error::file(path, "read"))?;
        Self::parse(&text, &path.display().to_string())
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

    /// phi.
    ///
    /// # Errors
    /// A field out of range, or one that does not fit the recording: the message names it.
    pub fn check(&self, data: Option<&Dataset>) -> Result<Activation<f64>> {
        let activation =
            format::network::names::parse_activation(&self.activation, &self.activation_parameters);
        let activation = activation.ok_or_else(|| {
            let expected = "linear, relu, tanh, clipped lo,hi or sigmoid slope,threshold";
            let found = format!("{} {:?}", self.activation, self.activation_parameters);
            Error::input("activation", expected, found)
        })?;
        for (field, value) in [
            ("neurons", self.neurons),
            ("sequence", self.sequence),
            ("batch", self.batch),
            ("steps", self.steps),
            ("interval", self.interval),
        ] {
            require(value > 0, field, "at least 1", value)?;
        }
        require(self.rank <= self.neurons, "rank", format!("at most n = {}", self.neurons), self.rank)?;
        self.task.trials().check(self.sequence)?;
        require(self.alpha > 0.0 && self.alpha <= 1.0, "alpha", "a leak above 0 and at most 1", self.alpha)?;
        for (field, value) in [("learning rate", self.learning_rate), ("clip", self.clip)] {
            require(value > 0.0 && value.is_finite(), field, "a positive number", value)?;
        }
        self.check_constraints(activation)?;
        let decay = self.weight_decay;
        require(decay >= 0.0 && decay.is_finite(), "weight decay", "0 or a positive number", decay)?;
        if let Method::Sgd { momentum } = self.method {
            require((0.0..1.0).contains(&momentum), "momentum", "at least 0 and below 1", momentum)?;
        }
        let fraction = self.from_recording;
        let place = "fraction from the recording";
        require((0.0..=1.0).contains(&fraction), place, "a number from 0 to 1", fraction)?;
        let Some(data) = data else {
            require(fraction == 0.0, place, "0 without a recording", fraction)?;
            return Ok(activation);
        };
        let channels = self.integration("a recording")?.channels();
        let width = data.inputs.len();
        require(width == channels, "recording", format!("{channels} input columns, one a decay"), width)?;
        let longest = data.recordings.iter().map(|r| r.x.len() / width).max().unwrap_or(0);
        let expected = format!("at least {} samples in a row, as many as a sequence has", self.sequence);
        require(fraction == 0.0 || longest >= self.sequence, "recording", expected, longest)?;
        Ok(activation)
    }
}

impl Settings {
    /// What only integration has.
    fn check_task(&self) -> Result<()> {
        if self.loss != Loss::Batch {
            self.integration("loss average or proxy")?;
        }
        if self.proxy_weight > 0.0 {
            self.integration("proxy_weight")?;
        }
        if self.supports != Supports::Random {
            self.integration("supports other than random")?;
        }
        if self.overlap.is_some() {
            self.integration("overlap")?;
        }
        Ok(())
    }

    /// What only some losses, parametrisations and activations can do.
    fn check_constraints(&self, activation: Activation<f64>) -> Result<()> {
        self.check_task()?;
        let channels = self.task.trials().inputs().len();
        require((0.0..1.0).contains(&self.dale), "dale", "a fraction of at least 0 and below 1", self.dale)?;
        let blocks = match self.supports {
            Supports::Random => 1,
            Supports::Disjoint => 2 * channels,
            _ => channels,
        };
        let place = "neurons";
        require(
            self.neurons >= blocks,
            place,
            format!("at least {blocks}, one a block of the supports"),
            self.neurons,
        )?;
        if self.supports == Supports::Orthonormal {
            let least = 2 * channels;
            require(
                self.neurons >= least,
                place,
                format!("at least 2 D = {least} for orthonormal vectors"),
                self.neurons,
            )?;
        }
        if let Some(overlap) = self.overlap {
            let place = "overlap";
            require((-1.0..=1.0).contains(&overlap), place, "a cosine from -1 to 1", overlap)?;
            let fits = channels == 1 && self.supports == Supports::Random;
            require(
                fits,
                place,
                "one channel and random supports",
                format!("D = {channels}, {:?}", self.supports),
            )?;
        }
        for (field, value) in [
            ("threshold_spread", self.threshold_spread),
            ("bias_current", self.bias_current),
            ("start_gain", self.start_gain),
            ("proxy_weight", self.proxy_weight),
            ("stop_loss", self.stop_loss),
        ] {
            require(value >= 0.0 && value.is_finite(), field, "0 or a positive number", value)?;
        }
        for (field, value) in [("encoder_scale", self.encoder_scale), ("decoder_scale", self.decoder_scale)] {
            require(value != 0.0 && value.is_finite(), field, "a number other than 0", value)?;
        }
        let range = self.proxy_range;
        require(range > 0.0 && range.is_finite(), "proxy_range", "a positive number", range)?;
        if let Schedule::Halving { every } = self.schedule {
            require(every > 0, "schedule.halving.every", "at least 1", every)?;
        }
        let conditions = self.loss != Loss::Batch || self.proxy_weight > 0.0;
        if conditions {
            let place = "loss";
            for (asked, found) in
                [(self.nonlinear_decoder, "nonlinear_decoder"), (self.bias_current > 0.0, "bias_current")]
            {
                require(!asked, place, format!("batch with {found}"), found)?;
            }
            require(
                self.alpha == 1.0,
                place,
                "batch with a leak: the conditions are those of alpha = 1",
                self.alpha,
            )?;
            require(
                !self.free_input,
                place,
                "batch where B is trained by itself: the conditions have B = W E",
                "free_input",
            )?;
            require(
                self.from_recording == 0.0,
                place,
                "batch with windows of a recording",
                self.from_recording,
            )?;
        }
        if self.loss == Loss::Average {
            let free = activation == Activation::Linear && !self.train_bias && self.threshold_spread == 0.0;
            let found = &self.activation;
            require(free, "loss average", "a linear network without biases", found)?;
        }
        Ok(())
    }
}
