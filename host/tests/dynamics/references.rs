//! Systems with known answers, for tests and for benches.
#![allow(dead_code)]

use std::iter::zip;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use faer::{Mat, MatMut};
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use tinyfold::dynamics::{At, Family, Kind, Rnn, System};
use tinyfold::format::arrays::ArrayFile;
use tinyfold::network::{Activation, Form, Network, Recurrence};

/// A file of `host/tests/dynamics`, from any package of the workspace.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/tests/dynamics").join(name)
}

/// A JSON file of the same folder.
pub fn json(name: &str) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path(name)).unwrap()).unwrap()
}

/// A reference network: W or J, Win or B, b or c, Wout, bout.
pub fn network(name: &str) -> Network {
    let file = ArrayFile::open(&path(&format!("{name}.safetensors"))).unwrap();
    let either = |a: &'static str, b: &'static str| if file.has(a) { a } else { b };
    let current = file.has("J");
    let w = file.matrix(either("W", "J"), 0, 0).unwrap();
    let n = w.nrows();
    let input = file.matrix(either("Win", "B"), n, 0).unwrap();
    let readout = if file.has("Wout") { file.matrix("Wout", 0, n).unwrap() } else { Mat::zeros(0, n) };
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

/// The network for decisions under its context input alone, and its fixed points.
pub fn mante(context: &str) -> (Rnn, Vec<Vec<f64>>) {
    let points = &json("mante_line_points.json")["conditions"][context];
    let u = numbers(&points["u"]);
    let rnn = Rnn::new(&network("mante_tanh_n100_graded"), &u, Kind::Flow).unwrap();
    let states = points["fixed_points"].as_array().unwrap().iter().map(|point| numbers(&point["x"]));
    (rnn, states.collect())
}

/// States of the network for decisions at a random time of a noisy trial that colour decides, then `steps` Euler steps
/// without motion and colour, of which each fourth is kept: n × (steps / 4 + 1) each.
pub fn relaxing(count: usize, steps: usize, seed: u64) -> Vec<Mat<f64>> {
    let network = network("mante_tanh_n100_graded");
    let file = ArrayFile::open(&path("mante_tanh_n100_graded.safetensors")).unwrap();
    let start = file.vector("x0", 100).unwrap();
    let at_rest = Rnn::new(&network, &[0.0, 0.0, 0.0, 1.0], Kind::Map).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut trajectories = Vec::new();
    for _ in 0..count {
        let coherence = [0, 1].map(|_| {
            let strength = [0.02, 0.06, 0.2][random.random_range(0..3)];
            if random.random::<bool>() { strength } else { -strength }
        });
        let mut x = start.clone();
        let mut next = x.clone();
        for _ in 0..random.random_range(1..=250) {
            let noise = [0, 1].map(|_| 0.5 * random.sample::<f64, _>(StandardNormal));
            let mut step = at_rest.clone();
            for k in 0..2 {
                let input = network.input.col_as_slice(k);
                zip(&mut step.drive, input).for_each(|(g, b)| *g += b * (coherence[k] + noise[k]));
            }
            step.value(&x, &mut next);
            std::mem::swap(&mut x, &mut next);
        }
        let mut trajectory = Mat::zeros(100, steps / 4 + 1);
        for t in 0..=steps {
            if t % 4 == 0 {
                trajectory.col_as_slice_mut(t / 4).copy_from_slice(&x);
            }
            at_rest.value(&x, &mut next);
            std::mem::swap(&mut x, &mut next);
        }
        trajectories.push(trajectory);
    }
    trajectories
}

/// The random network of gain 3, a map of alpha = 0.1.
pub fn chaotic(form: Form) -> Rnn {
    let file = ArrayFile::open(&path("chaotic_rnn_g3_n100.safetensors")).unwrap();
    let w = Arc::new(file.matrix("J", 100, 100).unwrap());
    Rnn { kind: Kind::Map, form, alpha: 0.1, activation: Activation::Tanh, w, drive: vec![0.0; 100] }
}

/// dx/dt = 10 (y - x), dy/dt = x (28 - z) - y, dz/dt = x y - 8/3 z: a struct of its own, as users write it.
pub struct Lorenz;

impl System for Lorenz {
    fn dimension(&self) -> usize {
        3
    }

    fn kind(&self) -> Kind {
        Kind::Flow
    }

    fn value(&self, x: &[f64], out: &mut [f64]) {
        out[0] = 10.0 * (x[1] - x[0]);
        out[1] = x[0] * (28.0 - x[2]) - x[1];
        out[2] = x[0] * x[1] - 8.0 / 3.0 * x[2];
    }

    fn jacobian(&self, x: &[f64], mut out: MatMut<'_, f64>) {
        let rows = [[-10.0, 10.0, 0.0], [28.0 - x[2], -1.0, -x[0]], [x[1], x[0], -8.0 / 3.0]];
        for (i, row) in rows.iter().enumerate() {
            for (j, entry) in row.iter().enumerate() {
                out[(i, j)] = *entry;
            }
        }
    }
}

/// The fixed point near x by whole Newton steps until they are rounding: small divisors magnify what is left.
pub fn polished(family: &impl Family, x: &[f64], mu: f64) -> Option<Vec<f64>> {
    use faer::linalg::solvers::Solve;
    let (system, n, mut x) = (At { family, mu }, x.len(), x.to_vec());
    for _ in 0..20 {
        let (mut rest, mut jacobian) = (Mat::zeros(n, 1), Mat::zeros(n, n));
        system.residual(&x, rest.col_as_slice_mut(0));
        system.residual_jacobian(&x, jacobian.as_mut());
        let step = jacobian.partial_piv_lu().solve(rest);
        (0..n).for_each(|i| x[i] -= step[(i, 0)]);
        if step.norm_max() < 1e-14 {
            break;
        }
    }
    x.iter().all(|x| x.is_finite()).then_some(x)
}
