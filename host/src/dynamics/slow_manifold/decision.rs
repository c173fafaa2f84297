//! Decision networks on their slow manifold: how inputs move the state, and the choices that the reduced
//! model predicts.

use std::iter::zip;
use std::sync::atomic::{AtomicBool, Ordering};

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;
use serde::Serialize;
use tinyfold_core::Form;

use super::chebyshev;
use super::curve::SlowManifold;
use crate::dynamics::spectrum::{eigenvector, jacobian};
use crate::dynamics::stepper::advance;
use crate::dynamics::vector::{dot, norm};
use crate::dynamics::{Kind, Rnn, wide};
use crate::error::require;
use crate::network::Network;
use crate::{Error, Result};

/// A slow manifold with inputs and outputs: dp/dt = r(p) + s(p) · (u - u0) of a flow, p' = p + r(p) + s(p) · (u - u0) of
/// a map, y = y(p).
///
/// s_k(p) = w(p) · dF/du_k, of a map w(p) · df/du_k, with the selection vector w(p): the left eigenvector of the
/// Jacobian at x(p) that belongs to the direction along the curve, w · x'(p) = 1. Exact at fixed points and to first
/// order in the input.
///
/// Source: selection vector and line attractor of Mante et al., Nature 503 (2013) 78.
#[derive(Clone, Debug, Serialize)]
pub struct Driven {
    /// The manifold under the held input u0.
    pub line: SlowManifold,
    /// u0, I.
    pub held: Vec<f64>,
    /// Chebyshev series of s_k, a row an input.
    pub inputs: Vec<Vec<f64>>,
    /// Chebyshev series of the outputs, a row an output.
    pub outputs: Vec<Vec<f64>>,
    /// Places at which the selection vector was computed.
    pub places: Vec<f64>,
    /// w at the places, n each.
    pub selection: Vec<Vec<f64>>,
    /// Cosine of the angle of w and dF/du_k (of a map df/du_k) at the places, a row an input.
    pub alignment: Vec<Vec<f64>>,
}

/// Degree of the series of inputs and outputs.
const DEGREE: usize = 32;

impl Driven {
    /// Inputs and outputs of a network along its slow manifold under the held input `held`.
    ///
    /// # Errors
    /// Other numbers of inputs; eigenvectors that do not converge.
    pub fn new(network: &Network, line: &SlowManifold, held: &[f64]) -> Result<Self> {
        let rnn = Rnn::new(network, held, line.kind)?;
        let places = line.range.nodes(DEGREE);
        let (inputs, outputs) = (network.input.ncols(), network.readout.nrows());
        let mut selection = Vec::new();
        let mut along = Mat::zeros(inputs, places.len());
        let mut read = Mat::zeros(outputs, places.len());
        let mut alignment = vec![Vec::new(); inputs];
        let step = 1e-4 * (line.range.high - line.range.low);
        for (j, &p) in places.iter().enumerate() {
            let x = line.state(p);
            let tangent = line.tangent(p);
            // r'(p), of a map 1 + r'(p), is the eigenvalue along the curve at fixed points, and near it elsewhere.
            let (low, high) = ((p - step).max(line.range.low), (p + step).min(line.range.high));
            let slope = (line.speed(high) - line.speed(low)) / (high - low);
            let value = if line.kind == Kind::Map { 1.0 + slope } else { slope };
            let mut w = eigenvector(&jacobian(&rnn, &x), value, &line.frame.left, true)?;
            let overlap = dot(&w, &tangent);
            if overlap.abs() < 1e-9 * norm(&tangent) {
                return Err(Error::Numeric {
                    what: "selection vector".into(),
                    reason: format!(
                        "at p = {p:.3} it is at a right angle to the curve: no gap between slow and fast there"
                    ),
                });
            }
            for w in &mut w {
                *w /= overlap;
            }
            let slopes = rnn.slopes(&x);
            for k in 0..inputs {
                let b = push_of(network, &rnn, &slopes, k);
                along[(k, j)] = dot(&w, &b);
                alignment[k].push(along[(k, j)] / (norm(&w) * norm(&b)).max(f64::MIN_POSITIVE));
            }
            let rates = rnn.rates(&x);
            for o in 0..outputs {
                let sum: f64 = rates.iter().enumerate().map(|(i, rate)| network.readout[(o, i)] * rate).sum();
                read[(o, j)] = sum + network.output_bias[o];
            }
            selection.push(w);
        }
        let series = |values: Mat<f64>| -> Vec<Vec<f64>> {
            let series = chebyshev::transform(DEGREE) * values.transpose();
            (0..series.ncols()).map(|k| series.col_as_slice(k).to_vec()).collect()
        };
        Ok(Self {
            line: line.clone(),
            held: held.to_vec(),
            inputs: series(along),
            outputs: series(read),
            places,
            selection,
            alignment,
        })
    }

    /// s(p): how each input moves p, I.
    #[must_use]
    pub fn input(&self, p: f64) -> Vec<f64> {
        let s = self.line.range.scaled(p);
        self.inputs.iter().map(|series| chebyshev::sum(series, s)).collect()
    }

    /// y(p), O.
    #[must_use]
    pub fn output(&self, p: f64) -> Vec<f64> {
        let s = self.line.range.scaled(p);
        self.outputs.iter().map(|series| chebyshev::sum(series, s)).collect()
    }

    /// Cosine of the angle of w(p) and the direction of each input, I; between the places on a straight line.
    #[must_use]
    pub fn alignment(&self, p: f64) -> Vec<f64> {
        let k = self.places.partition_point(|place| *place <= p).clamp(1, self.places.len() - 1);
        let (low, high) = (self.places[k - 1], self.places[k]);
        let part = ((p - low) / (high - low)).clamp(0.0, 1.0);
        self.alignment.iter().map(|row| row[k - 1] + part * (row[k] - row[k - 1])).collect()
    }

    /// The part of r and s that a step of a network of leak `alpha` takes: alpha of a flow, all of a map.
    pub(super) fn per_step(&self, alpha: f64) -> f64 {
        if self.line.kind == Kind::Map { 1.0 } else { alpha }
    }

    /// p after a step of a network of leak `alpha` under u = u0 + `change`: a step of the map, an Euler step of a flow.
    #[must_use]
    pub fn step(&self, p: f64, change: &[f64], alpha: f64) -> f64 {
        let alpha = self.per_step(alpha);
        let driven = zip(&self.inputs, change).filter(|(_, u)| **u != 0.0);
        let s = self.line.range.scaled(p);
        let sum: f64 = driven.map(|(series, u)| chebyshev::sum(series, s) * u).sum();
        (p + alpha * (self.line.speed(p) + sum)).clamp(self.line.range.low, self.line.range.high)
    }

    /// The place that a state off the manifold belongs to: where it will be after `settle` time constants, followed
    /// back along the manifold.
    #[must_use]
    pub fn phase(&self, rnn: &Rnn, x: &[f64], settle: f64) -> f64 {
        let kind = self.line.kind;
        let a_unit = if kind == Kind::Map { 1.0 / rnn.alpha } else { 4.0 };
        let steps = (a_unit * settle).ceil().max(1.0) as usize;
        let time = if kind == Kind::Map { steps as f64 } else { settle };
        let mut state = Mat::from_fn(x.len(), 1, |i, _| x[i]);
        advance(&Rnn { kind, ..rnn.clone() }, &mut state, time, 0.25);
        let end = self.line.frame.coordinate(state.col_as_slice(0));
        if kind == Kind::Map {
            return (0..steps).fold(end, |p, _| self.before(p));
        }
        let back = |p: f64| -self.line.speed(p);
        let steps = (4.0 * settle).ceil().max(1.0) as usize;
        let path = super::curve::follow(Kind::Flow, self.line.range, back, end, settle, steps);
        path[steps]
    }

    /// The place from which a step of the reduced map leads to p, by bisection: p + r(p) grows where r is slow.
    fn before(&self, p: f64) -> f64 {
        const HALVINGS: usize = 60;
        let (mut low, mut high) = (self.line.range.low, self.line.range.high);
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            if middle + self.line.speed(middle) < p { low = middle } else { high = middle }
        }
        f64::midpoint(low, high)
    }
}

/// dF/du_k of a flow, df/du_k of a map, n, where the activation has these slopes.
pub(super) fn push_of(network: &Network, rnn: &Rnn, slopes: &[f64], k: usize) -> Vec<f64> {
    let (_, gain) = rnn.factors();
    let b = network.input.col_as_slice(k);
    match network.form {
        Form::Current => b.iter().map(|b| gain * b).collect(),
        Form::Rate => zip(b, slopes).map(|(b, slope)| gain * b * slope).collect(),
    }
}

/// Trials of a decision task: held evidence with noise on top, a choice by the sign of the first output at
/// the end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trials {
    /// The input whose strength is varied.
    pub channel: usize,
    /// An input that is to be ignored, with a strength drawn from the same list at random.
    pub distractor: Option<usize>,
    /// Strengths, of either sign.
    pub strengths: Vec<f64>,
    /// Standard deviation of the Gaussian noise on both inputs, anew each step.
    pub noise: f64,
    /// Trials for each strength.
    pub each: usize,
    /// Steps of a trial.
    pub steps: usize,
    /// Seed.
    pub seed: u64,
}

impl Trials {
    /// Refuses inputs that a network of so many does not have, one that is both to count and to be ignored, and no trials.
    pub(super) fn check(&self, inputs: usize) -> Result<()> {
        let most = self.distractor.unwrap_or(0).max(self.channel);
        require(most < inputs, "input of the evidence", format!("below {inputs}"), most)?;
        let other = self.distractor != Some(self.channel);
        require(other, "distractor", "another input than the evidence", self.channel)?;
        require(!self.strengths.is_empty() && self.each > 0, "trials", "at least 1", 0)
    }
}

/// Choices at one strength.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Choices {
    /// Strength of the evidence.
    pub strength: f64,
    /// Part of the trials in which the network's first output ends above 0.
    pub network: f64,
    /// That of the reduced model.
    pub reduced: f64,
    /// Part of the trials in which both choose the same.
    pub agreement: f64,
}

/// The psychometric curve of a network and of its reduced model on the same trials.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Psychometric {
    /// One row a strength.
    pub rows: Vec<Choices>,
    /// Part of all trials in which both choose the same.
    pub agreement: f64,
    /// Root mean square of the difference of the last outputs.
    pub output_error: f64,
}

/// Trials that a thread takes at once; results do not depend on the number of threads.
const BLOCK: usize = 128;

/// Runs the trials on the network from the state x0 and on its reduced model.
///
/// # Errors
/// Inputs that the network does not have, one of them twice, no strengths, a state of another length; stopped.
pub fn psychometric(
    network: &Network,
    driven: &Driven,
    trials: &Trials,
    x0: &[f64],
    stop: &AtomicBool,
) -> Result<Psychometric> {
    let inputs = network.input.ncols();
    trials.check(inputs)?;
    require(
        x0.len() == network.bias.len(),
        "first state",
        format!("{} numbers", network.bias.len()),
        x0.len(),
    )?;
    require(network.readout.nrows() >= 1, "network", "at least 1 output", 0)?;
    let rnn = Rnn::new(network, &driven.held, Kind::Map)?;
    let count = trials.strengths.len() * trials.each;
    let mut random = ChaCha8Rng::seed_from_u64(trials.seed);
    let distractors: Vec<f64> =
        (0..count).map(|_| trials.strengths[random.random_range(0..trials.strengths.len())]).collect();
    let start = driven.phase(&rnn, x0, 30.0);
    let blocks = (0..count).step_by(BLOCK).map(|first| {
        let width = BLOCK.min(count - first);
        (Mat::from_fn(x0.len(), width, |i, _| x0[i]), vec![start; width])
    });
    let mut blocks: Vec<(Mat<f64>, Vec<f64>)> = blocks.collect();
    let mut change = Mat::zeros(inputs, count);
    for _ in 0..trials.steps {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Numeric { what: "trials".into(), reason: "stopped before their end".into() });
        }
        for j in 0..count {
            let mut noise = || {
                if trials.noise > 0.0 { trials.noise * random.sample::<f64, _>(StandardNormal) } else { 0.0 }
            };
            change[(trials.channel, j)] = trials.strengths[j / trials.each] + noise();
            if let Some(k) = trials.distractor {
                change[(k, j)] = distractors[j] + noise();
            }
        }
        blocks.par_iter_mut().enumerate().for_each(|(k, (x, places))| {
            let change = change.as_ref().subcols(k * BLOCK, places.len());
            for (j, place) in places.iter_mut().enumerate() {
                let change: Vec<f64> = change.col(j).iter().copied().collect();
                *place = driven.step(*place, &change, rnn.alpha);
            }
            step(&rnn, network, x, change);
        });
    }
    let readout = |x: &[f64]| -> f64 {
        let rates = rnn.rates(x);
        let sum: f64 = rates.iter().enumerate().map(|(i, rate)| network.readout[(0, i)] * rate).sum();
        sum + network.output_bias[0]
    };
    let ends = blocks.iter().flat_map(|(x, places)| {
        places.iter().enumerate().map(|(j, &p)| (readout(x.col_as_slice(j)), driven.output(p)[0]))
    });
    let ends: Vec<(f64, f64)> = ends.collect();
    let part = |ends: &[(f64, f64)], test: fn(&(f64, f64)) -> bool| {
        ends.iter().filter(|end| test(end)).count() as f64 / ends.len() as f64
    };
    let same = |end: &(f64, f64)| (end.0 > 0.0) == (end.1 > 0.0);
    let rows = zip(&trials.strengths, ends.chunks(trials.each))
        .map(|(&strength, ends)| Choices {
            strength,
            network: part(ends, |end| end.0 > 0.0),
            reduced: part(ends, |end| end.1 > 0.0),
            agreement: part(ends, same),
        })
        .collect();
    let square: f64 = ends.iter().map(|(a, b)| (a - b) * (a - b)).sum();
    Ok(Psychometric { rows, agreement: part(&ends, same), output_error: (square / count as f64).sqrt() })
}

/// x = phi(x), column by column.
fn activate_all(rnn: &Rnn, x: &mut Mat<f64>) {
    (0..x.ncols()).for_each(|k| wide::values(rnn.activation, x.col_as_slice_mut(k)));
}

/// A step of the network for every column of x under inputs u0 + change.
fn step(rnn: &Rnn, network: &Network, x: &mut Mat<f64>, change: MatRef<'_, f64>) {
    let (keep, gain) = rnn.factors();
    let mut rates = x.clone();
    if rnn.form == Form::Current {
        activate_all(rnn, &mut rates);
    }
    let mut p = Mat::from_fn(x.nrows(), x.ncols(), |i, _| rnn.drive[i]);
    matmul(p.as_mut(), Accum::Add, rnn.w.as_ref(), rates.as_ref(), 1.0, Par::Seq);
    matmul(p.as_mut(), Accum::Add, network.input.as_ref(), change, 1.0, Par::Seq);
    if rnn.form == Form::Rate {
        activate_all(rnn, &mut p);
    }
    for j in 0..x.ncols() {
        zip(x.col_as_slice_mut(j), p.col_as_slice(j)).for_each(|(x, p)| *x = keep * *x + gain * p);
    }
}
