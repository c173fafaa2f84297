//! Plain `torch.nn.RNN` state dicts, with or without a linear readout beside it.

use std::path::Path;

use faer::Mat;

use super::arrays::{ArrayFile, list};
use super::network::names;
use crate::network::{Activation, Network, Recurrence};
use crate::{Error, Result};

/// Whether a file looks like a state dict of a recurrent layer.
pub(super) fn is_state_dict(file: &ArrayFile) -> bool {
    file.names().iter().any(|name| name.ends_with("weight_hh_l0"))
}

/// Reads a one-layer `torch.nn.RNN` state dict.
///
/// h_t = phi(W h_{t-1} + B x_t + b), y_t = C h_t + c: rate form with alpha = 1.
///
/// `weight_hh_l0` (W, n × n), `weight_ih_l0` (B, n × I), `bias_ih_l0` + `bias_hh_l0` (b, n; optional),
/// all under one prefix such as `rnn.`; the readout is the one other `*.weight` (C, O × n) with its
/// `*.bias` (c, O; optional), `__` in place of the dot being understood. Without a readout y = h. `activation` is the layer's `nonlinearity`, which
/// a state dict does not hold.
///
/// # Errors
/// Several layers, a bidirectional one, an LSTM or GRU, several candidates for the readout; otherwise
/// as [`super::network::load`].
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.RNN.html>.
pub fn load_torch(path: &Path, activation: Activation<f64>) -> Result<Network> {
    read(&ArrayFile::open(path)?, activation)
}

pub(super) fn read(file: &ArrayFile, activation: Activation<f64>) -> Result<Network> {
    let recurrent: Vec<&str> =
        file.names().iter().map(String::as_str).filter(|name| name.contains("weight_hh_l")).collect();
    let &[weights] = recurrent.as_slice() else {
        return Err(Error::input(
            file.place("layers"),
            "one array weight_hh_l0 (a single recurrent layer of one direction)",
            list(recurrent.into_iter()),
        ));
    };
    let prefix = weights.strip_suffix("weight_hh_l0").ok_or_else(|| {
        Error::input(file.place("layers"), "a single recurrent layer, weight_hh_l0", weights)
    })?;
    let shape = file.array(weights)?.shape;
    if let &[rows, n] = shape.as_slice()
        && n > 0
        && (rows == 3 * n || rows == 4 * n)
    {
        let found = if rows == 3 * n { "torch.nn.GRU" } else { "torch.nn.LSTM" };
        let place = file.place(&format!("array {weights}"));
        return Err(Error::input(place, "a torch.nn.RNN", format!("({rows}, {n}): a {found}")));
    }
    let n = shape.last().copied().unwrap_or(0);
    let w = file.matrix(weights, n, n)?;
    let input = file.matrix(&format!("{prefix}weight_ih_l0"), n, 0)?;
    let optional = |name: &str, length: usize| {
        if file.has(name) { file.vector(name, length) } else { Ok(vec![0.0; length]) }
    };
    let bias_ih = optional(&format!("{prefix}bias_ih_l0"), n)?;
    let bias_hh = optional(&format!("{prefix}bias_hh_l0"), n)?;

    let linear = |name: &&String| name.ends_with(".weight") || name.ends_with("__weight");
    let readouts: Vec<&str> = file.names().iter().filter(linear).map(String::as_str).collect();
    let (readout, output_bias) = match readouts.as_slice() {
        [] => (Mat::identity(n, n), vec![0.0; n]),
        [name] => {
            let readout = file.matrix(name, 0, n)?;
            let bias = format!("{}bias", name.trim_end_matches("weight"));
            let output_bias = optional(&bias, readout.nrows())?;
            (readout, output_bias)
        }
        several => {
            let expected = "at most one linear layer (NAME.weight) beside the recurrent one";
            return Err(Error::input(file.place("readout"), expected, list(several.iter().copied())));
        }
    };
    let mut network = Network::plain(activation, Recurrence::Dense(w), input, readout);
    network.bias = bias_ih.iter().zip(bias_hh).map(|(a, b)| a + b).collect();
    network.output_bias = output_bias;
    Ok(network)
}

/// The nonlinearity that the file's metadata or a JSON file beside it states.
pub(super) fn stated_activation(path: &Path, file: &ArrayFile) -> Result<Activation<f64>> {
    const KEY: &str = "nonlinearity";
    let beside = path.with_extension("json");
    let (place, name) = if let Some(name) = file.text(KEY)? {
        (file.place(KEY), name)
    } else if beside.exists() {
        let settings: serde_json::Value = super::read_json(&beside)?;
        let name = settings
            .get(KEY)
            .map_or("nothing".into(), |value| value.as_str().map_or(value.to_string(), str::to_owned));
        (format!("{}: {KEY}", beside.display()), name)
    } else {
        let expected =
            format!("tanh or relu in its metadata, or {{\"{KEY}\": \"tanh\"}} in {}", beside.display());
        return Err(Error::input(file.place(KEY), expected, "neither"));
    };
    names::parse_activation(&name, &[])
        .ok_or_else(|| Error::input(place, "tanh, relu, linear or sigmoid", name))
}
