//! What decides a training run, and what is refused before it starts.

use serde::{Deserialize, Serialize};

use super::optimiser::Method;
use crate::network::Activation;
use crate::task::{Dataset, Integration};
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

/// All that decides a training run: on one machine the same settings and data give the same bits, for
/// any number of threads.
///
/// ```
/// use tinyfold::train::Settings;
/// let settings: Settings = serde_json::from_str(r#"{ "neurons": 32, "rank": 3 }"#).unwrap();
/// assert_eq!((settings.neurons, settings.rank, settings.alpha), (32, 3, 1.0));
/// ```
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
    /// Whether B is trained by itself, from E, instead of being W E.
    pub free_input: bool,
    /// Whether b and c are trained, from 0; they are 0 otherwise.
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
    /// First learning rate; it falls along a cosine to a thousandth of this.
    pub learning_rate: f64,
    /// Largest norm of a gradient; a longer one is scaled down.
    pub clip: f64,
    /// Decoupled weight decay: keeps the bulk of W small beside its D large singular values, so that W
    /// can be compressed.
    pub weight_decay: f64,
    /// Fraction of a batch that comes from the recording instead of Gaussian noise, in \[0, 1\].
    pub from_recording: f64,
    /// Updates between two roll-outs and checkpoints.
    pub interval: usize,
    /// Number type.
    pub precision: Precision,
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
            batch: 64,
            steps: 40_000,
            method: Method::Adam,
            learning_rate: Method::Adam.learning_rate(),
            clip: 1.0,
            weight_decay: Method::Adam.weight_decay(),
            from_recording: 0.0,
            interval: 1000,
            precision: Precision::F32,
            seed: 0,
        }
    }
}

impl Settings {
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
        let channels = self.task.channels();
        for (field, value) in [
            ("neurons", self.neurons),
            ("channels", channels),
            ("sequence", self.sequence),
            ("batch", self.batch),
            ("steps", self.steps),
            ("interval", self.interval),
        ] {
            require(value > 0, field, "at least 1", value)?;
        }
        require(self.rank <= self.neurons, "rank", format!("at most n = {}", self.neurons), self.rank)?;
        let scales = self.task.scales.len();
        require(scales == channels, "number of scales", format!("{channels}, one a decay"), scales)?;
        for &decay in &self.task.decays {
            require(decay > 0.0 && decay < 1.0, "decays", "numbers between 0 and 1", decay)?;
        }
        for &scale in &self.task.scales {
            require(scale != 0.0 && scale.is_finite(), "scales", "finite numbers other than 0", scale)?;
        }
        require(self.alpha > 0.0 && self.alpha <= 1.0, "alpha", "a leak above 0 and at most 1", self.alpha)?;
        for (field, value) in [("learning rate", self.learning_rate), ("clip", self.clip)] {
            require(value > 0.0 && value.is_finite(), field, "a positive number", value)?;
        }
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
        let width = data.inputs.len();
        require(width == channels, "recording", format!("{channels} input columns, one a decay"), width)?;
        let longest = data.recordings.iter().map(|r| r.x.len() / width).max().unwrap_or(0);
        let expected = format!("at least {} samples in a row, as many as a sequence has", self.sequence);
        require(fraction == 0.0 || longest >= self.sequence, "recording", expected, longest)?;
        Ok(activation)
    }
}

fn require(holds: bool, field: &str, expected: impl Into<String>, found: impl ToString) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::input(field, expected, found.to_string())) }
}
