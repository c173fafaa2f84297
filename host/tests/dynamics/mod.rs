//! Reference networks of tests of dynamics.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

use tinyfold::network::{Activation, Form, Network, Recurrence};

/// A file of `tests/dynamics`.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dynamics").join(name)
}

/// A reference network: W or J, Win or B, b or c, Wout, bout.
pub fn network(name: &str) -> Network {
    let file = tinyfold::format::arrays::ArrayFile::open(&path(&format!("{name}.safetensors"))).unwrap();
    let either = |a: &'static str, b: &'static str| if file.has(a) { a } else { b };
    let current = file.has("J");
    let w = file.matrix(either("W", "J"), 0, 0).unwrap();
    let n = w.nrows();
    let input = file.matrix(either("Win", "B"), n, 0).unwrap();
    let readout = if file.has("Wout") { file.matrix("Wout", 0, n).unwrap() } else { faer::Mat::zeros(0, n) };
    let activation = if name.starts_with("relu") { Activation::Relu } else { Activation::Tanh };
    let outputs = readout.nrows();
    let mut network = Network::plain(activation, Recurrence::Dense(w), input, readout);
    network.bias = file.vector(either("b", "c"), n).unwrap();
    if file.has("bout") {
        network.output_bias = file.vector("bout", outputs).unwrap();
    }
    if current {
        network.form = Form::Current;
        network.alpha = if name.starts_with("ring") { 0.1 } else { 0.2 };
        network.initial = network.rest();
    }
    network
}

/// Numbers of a JSON value, whatever its nesting, in order.
pub fn numbers(value: &serde_json::Value) -> Vec<f64> {
    match value {
        serde_json::Value::Array(values) => values.iter().flat_map(numbers).collect(),
        value => value.as_f64().into_iter().collect(),
    }
}
