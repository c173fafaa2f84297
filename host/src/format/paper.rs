//! Networks that the code of Fanthomme & Monasson trained.
//!
//! h_t = phi(W S (h_{t-1} + sum_c e_c x_{c,t})), y_c = d_c · h_t: arrays `W` (n × n, from column to row), `encoders` and
//! `decoders` (D × n), with Dale's law `synapse_signs` (n, the diagonal of S), for sigmoids `thresholds` (n); `config`,
//! a JSON text in the file's metadata or the field of that name in a JSON file beside it, has the rest.

use std::path::Path;

use faer::Mat;
use serde::Deserialize;

use super::arrays::ArrayFile;
use crate::network::{Activation, Network, Recurrence};
use crate::task::Integration;
use crate::{Error, Result};

/// What counts as no bound of a clipped ReLU.
const UNBOUNDED: f64 = 1e6;

/// The settings that matter for what the network computes.
#[derive(Deserialize)]
struct Config {
    act: String,
    sat: [f64; 2],
    #[serde(default = "one")]
    slope: f64,
    #[serde(default)]
    threshold: f64,
    decays: Vec<f64>,
    scales: Vec<f64>,
}

const fn one() -> f64 {
    1.0
}

/// Whether a file looks like such a network.
pub(super) fn is_paper(file: &ArrayFile) -> bool {
    ["W", "encoders", "decoders"].iter().all(|name| file.has(name))
}

/// Reads such a network: B = W S E, b = -thresholds, C the decoders, and the task.
pub(super) fn read(path: &Path, file: &ArrayFile) -> Result<Network> {
    let config = config(path, file)?;
    let channels = config.decays.len();
    let place = file.place("config");
    if channels == 0 || config.scales.len() != channels {
        let found = format!("{channels} decays, {} scales", config.scales.len());
        return Err(Error::input(place, "one decay and one scale a channel", found));
    }
    let decoder = file.matrix("decoders", channels, 0)?;
    let n = decoder.ncols();
    let encoder = file.matrix("encoders", channels, n)?.transpose().to_owned();
    let mut w = file.matrix("W", n, n)?;
    if file.has("synapse_signs") {
        let signs = file.vector("synapse_signs", n)?;
        w = Mat::from_fn(n, n, |i, j| w[(i, j)] * signs[j]);
    }
    let activation = match (config.act.as_str(), config.sat) {
        ("clamp", [lo, hi]) if lo <= -UNBOUNDED && hi >= UNBOUNDED => Activation::Linear,
        ("clamp", [0.0, hi]) if hi >= UNBOUNDED => Activation::Relu,
        ("clamp", [lo, hi]) if lo <= hi => Activation::Clipped { lo, hi },
        ("sigmoid", _) => {
            // Thresholds of the neurons are biases.
            let threshold = if file.has("thresholds") { 0.0 } else { config.threshold };
            Activation::Sigmoid { slope: config.slope, threshold }
        }
        (name, bounds) => {
            let found = format!("{name} {bounds:?}");
            return Err(Error::input(place, "act clamp with two bounds, or sigmoid", found));
        }
    };
    let input = &w * &encoder;
    let mut network = Network::plain(activation, Recurrence::Dense(w), input, decoder);
    if file.has("thresholds") {
        network.bias = file.vector("thresholds", n)?.into_iter().map(|threshold| -threshold).collect();
    }
    network.encoder = Some(encoder);
    network.task = Some(Integration { decays: config.decays, scales: config.scales }.into());
    Ok(network)
}

fn config(path: &Path, file: &ArrayFile) -> Result<Config> {
    let refuse = |place: String, found: String| {
        Error::input(place, "config of the paper's code: act, sat, decays, scales", found)
    };
    if let Some(text) = file.text("config")? {
        return serde_json::from_str(&text).map_err(|error| refuse(file.place("config"), error.to_string()));
    }
    let beside = path.with_extension("json");
    if !beside.exists() {
        let found = format!("none in its metadata, no {}", beside.display());
        return Err(refuse(file.place("config"), found));
    }
    let mut settings: serde_json::Value = super::read_json(&beside)?;
    serde_json::from_value(settings["config"].take())
        .map_err(|error| refuse(beside.display().to_string(), error.to_string()))
}
