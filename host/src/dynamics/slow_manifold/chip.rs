//! A decision network on its slow manifold as a reduced model for a chip.

use std::iter::zip;

use std::sync::atomic::{AtomicBool, Ordering};

use faer::Mat;
use faer::linalg::solvers::Solve;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;
use serde::Serialize;
use tinyfold_core::Arithmetic;
use tinyfold_core::reduced::Shape;

use super::chebyshev::{self, Interval};
use super::decision::{Driven, Trials, push_of};
use crate::dynamics::continuation::{Settings, Start, continuation};
use crate::dynamics::vector::dot;
use crate::dynamics::{Path, Rnn, System};
use crate::error::require;
use crate::format::reduced::Reduced;
use crate::network::Network;
use crate::{Error, Result, simulate};

/// A fixed point under evidence beyond the ends of the slow manifold.
#[derive(Clone, Debug)]
pub struct Beyond {
    /// Evidence added to the held input.
    pub mu: f64,
    /// x, n.
    pub x: Vec<f64>,
}

/// Degrees of the series of a reduced model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Degrees {
    /// Of f.
    pub drift: usize,
    /// Of g.
    pub gain: usize,
    /// Of c.
    pub output: usize,
}

impl Default for Degrees {
    fn default() -> Self {
        Self { drift: 11, gain: 4, output: 7 }
    }
}

/// A reduced model beside its network on trials that it was not fitted to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// Trials.
    pub trials: usize,
    /// Part of them in which the first outputs of both end with the same sign.
    pub agreement: f64,
    /// Mean over the trials of mean |y - y'| / max |y|, first outputs of the network and of the model.
    pub nmte: f64,
}

/// What is known at a place: p, r, s of the inputs, y.
struct Place {
    p: f64,
    speed: f64,
    inputs: Vec<f64>,
    outputs: Vec<f64>,
}

impl Driven {
    /// The reduced model of a decision task, made for a chip: [`Driven::reduce`] over evidence and distractor, with the
    /// fixed points under evidence up to twice the largest strength beyond the ends, its output fitted by
    /// [`fit_output`] to trials of the network; and how it does on as many others.
    ///
    /// The model's inputs are changes of the held input, evidence and distractor in the order of the network's inputs,
    /// its numbers those of f32. on_line: fixed points on the slow manifold. Trials are drawn by `trials.seed`.
    ///
    /// # Errors
    /// Inputs that the network does not have, no trials, a state that goes to nowhere; stopped.
    pub fn for_trials(
        &self,
        network: &Network,
        on_line: &[Vec<f64>],
        trials: &Trials,
        degrees: &Degrees,
        stop: &AtomicBool,
    ) -> Result<(Reduced, Compared)> {
        trials.check(network.input.ncols())?;
        let ended = || {
            let reason = "stopped before it was fitted".into();
            let stopped = stop.load(Ordering::Relaxed);
            if stopped { Err(Error::Numeric { what: "reduced model".into(), reason }) } else { Ok(()) }
        };
        let mut kept: Vec<usize> = [Some(trials.channel), trials.distractor].into_iter().flatten().collect();
        kept.sort_unstable();
        let mut end = self.held.clone();
        end[trials.channel] += 1.0;
        let path = Path::between(network, &self.held, &end, self.line.kind)?;
        let starts: Vec<Start> = on_line.iter().map(|x| Start { mu: 0.0, x: x.clone() }).collect();
        let far = 2.0 * trials.strengths.iter().fold(0.0_f64, |most, strength| most.max(strength.abs()));
        let settings = Settings { largest_step: 0.05, ..Settings::new(-far, far) };
        let diagram = continuation(&path, &starts, &settings, stop)?;
        // Of a branch that was cut short the model would know no end.
        ended()?;
        let points = diagram.branches.into_iter().flat_map(|branch| branch.points);
        let beyond: Vec<Beyond> = points.map(|point| Beyond { mu: point.mu, x: point.x }).collect();
        let rnn = Rnn::new(network, &self.held, self.line.kind)?;
        let start = self.phase(&rnn, &network.first_state(), 30.0);
        let mut model = self.reduce(network, &kept, trials.channel, &beyond, start, degrees)?;
        let run = |seed: u64| -> Vec<(Vec<f64>, Vec<f64>)> {
            let inputs = draw(trials, &kept, seed);
            let outputs = |u: Vec<f64>| {
                let whole: Vec<f64> = u.chunks(kept.len()).flat_map(|u| self.whole(&kept, u)).collect();
                let outputs = simulate::run(network, &whole, false).outputs;
                (u, outputs)
            };
            inputs.into_par_iter().map(outputs).collect()
        };
        fit_output(&mut model, &run(trials.seed))?;
        ended()?;
        let model = model.rounded::<f32>();
        let compared = compare(&model, &run(trials.seed.wrapping_add(1)))?;
        Ok((model, compared))
    }

    /// The network's inputs: the held ones, changed in some channels.
    fn whole(&self, kept: &[usize], change: &[f64]) -> Vec<f64> {
        let mut whole = self.held.clone();
        zip(kept, change).for_each(|(&k, u)| whole[k] += u);
        whole
    }

    /// The reduced model of steps of the network: f = alpha r, g_k = alpha s_k of a flow, f = r, g_k = s_k of a map, c = y.
    ///
    /// Evidence drives the state beyond the last fixed points of the held input. There the curve goes on
    /// through fixed points under constant evidence mu of input `channel`: r(p) = -mu s(p) at each of them,
    /// exactly.
    ///
    /// inputs: the channels of the network that the model keeps; the others stay held. beyond: fixed points
    /// on both sides, as a continuation in that input gives them; those between the ends do not count. start:
    /// the state of the first step.
    ///
    /// # Errors
    /// Inputs that the network does not have.
    pub fn reduce(
        &self,
        network: &Network,
        inputs: &[usize],
        channel: usize,
        beyond: &[Beyond],
        start: f64,
        degrees: &Degrees,
    ) -> Result<Reduced> {
        let count = network.input.ncols();
        let known = inputs.iter().chain([&channel]).all(|k| *k < count);
        require(known, "inputs of the reduced model", format!("below {count}"), "one that is not")?;
        let range = self.line.range;
        let mut places: Vec<Place> = range
            .even(257)
            .map(|p| {
                let all = self.input(p);
                let inputs = inputs.iter().map(|k| all[*k]).collect();
                Place { p, speed: self.line.speed(p), inputs, outputs: self.output(p) }
            })
            .collect();
        for point in beyond {
            let p = self.line.frame.coordinate(&point.x);
            if p < range.low || p > range.high {
                places.push(self.beyond(network, inputs, channel, point, p)?);
            }
        }
        places.sort_by(|a, b| a.p.total_cmp(&b.p));
        let (low, high) = (places[0].p, places[places.len() - 1].p);
        let whole = Interval { low, high };
        let part = self.per_step(network.alpha);
        let series = |degree: usize, value: &dyn Fn(&Place) -> f64| series(whole, &places, degree, value);
        let drift = series(degrees.drift, &|place| part * place.speed);
        let gain = (0..inputs.len()).flat_map(|k| series(degrees.gain, &|place| part * place.inputs[k]));
        let outputs = network.readout.nrows();
        let output = (0..outputs).flat_map(|o| series(degrees.output, &|place| place.outputs[o]));
        Ok(Reduced {
            shape: Shape {
                dimensions: 1,
                inputs: inputs.len(),
                outputs,
                drift: degrees.drift,
                gain: degrees.gain,
                output: degrees.output,
            },
            arithmetic: Arithmetic::Separate,
            interval: vec![[low, high]],
            initial: vec![start.clamp(low, high)],
            drift,
            gain: gain.collect(),
            output: output.collect(),
            inputs: inputs.iter().map(|k| network.inputs[*k].clone()).collect(),
            outputs: network.outputs.clone(),
        })
    }

    /// Speed, inputs and outputs at a fixed point under evidence, whose tangent is that of the branch over
    /// mu.
    fn beyond(
        &self,
        network: &Network,
        inputs: &[usize],
        channel: usize,
        point: &Beyond,
        p: f64,
    ) -> Result<Place> {
        let mut held = self.held.clone();
        held[channel] += point.mu;
        let rnn = Rnn::new(network, &held, self.line.kind)?;
        let n = network.neurons();
        let mut jacobian = Mat::zeros(n, n);
        rnn.residual_jacobian(&point.x, jacobian.as_mut());
        let slopes = rnn.slopes(&point.x);
        let by = |k: usize| push_of(network, &rnn, &slopes, k);
        let column = by(channel);
        let moved = jacobian.partial_piv_lu().solve(Mat::from_fn(column.len(), 1, |i, _| -column[i]));
        let along = dot(&self.line.frame.left, moved.col_as_slice(0));
        let tangent: Vec<f64> = moved.col_as_slice(0).iter().map(|x| x / along).collect();
        // The selection vector of the nearer end: further out the slow direction is slow no more.
        let end = if p < self.line.range.low { self.selection.first() } else { self.selection.last() };
        let Some(end) = end else { return Err(Error::input("selection vectors", "at least one", "none")) };
        let overlap = dot(end, &tangent);
        let w: Vec<f64> = end.iter().map(|w| w / overlap).collect();
        let rates = rnn.rates(&point.x);
        let outputs = (0..network.readout.nrows()).map(|o| {
            let terms = rates.iter().enumerate().map(|(i, rate)| network.readout[(o, i)] * rate);
            network.output_bias[o] + terms.sum::<f64>()
        });
        Ok(Place {
            p,
            speed: -point.mu * dot(&w, &column),
            inputs: inputs.iter().map(|k| dot(&w, &by(*k))).collect(),
            outputs: outputs.collect(),
        })
    }
}

/// Fits c anew, to what the network puts out on trials that the reduced model runs beside it.
///
/// Noise that the fast directions hold lowers or lifts the mean of nonlinear outputs at a place; c of the
/// noise-free manifold does not know of it.
///
/// trials: inputs of the model (T × I) and outputs of the network (T × O) each.
///
/// # Errors
/// Trials of other lengths; fewer steps than coefficients.
pub fn fit_output(model: &mut Reduced, trials: &[(Vec<f64>, Vec<f64>)]) -> Result<()> {
    let Shape { inputs, outputs, output: degree, .. } = model.shape;
    let [low, high] = model.interval[0];
    let range = Interval { low, high };
    let (mut places, mut values) = (Vec::new(), Vec::new());
    for (u, y) in trials {
        let steps = y.len() / outputs.max(1);
        require(u.len() == steps * inputs, "trial", format!("{} inputs", steps * inputs), u.len())?;
        places.extend(model.run(u, steps)?.z);
        values.extend_from_slice(y);
    }
    let steps = places.len();
    require(steps > 4 * (degree + 1), "trials", format!("more than {} steps", 4 * (degree + 1)), steps)?;
    let basis = range.basis(degree, &places);
    let values = Mat::from_fn(steps, outputs, |t, o| values[t * outputs + o]);
    // Chebyshev polynomials of places all over the interval: well conditioned.
    let normal = &basis * basis.transpose();
    let fitted = normal.partial_piv_lu().solve(&basis * values);
    model.output = (0..outputs).flat_map(|o| fitted.col_as_slice(o).to_vec()).collect();
    let finite = model.output.iter().all(|c| c.is_finite());
    require(finite, "trials", "places all over the interval", "all at one")
}

/// Inputs of every trial, T × kept: strength and noise of the evidence and of the distractor.
fn draw(trials: &Trials, kept: &[usize], seed: u64) -> Vec<Vec<f64>> {
    let random = &mut ChaCha8Rng::seed_from_u64(seed);
    let each = |j: usize| {
        let distractor = trials.strengths[random.random_range(0..trials.strengths.len())];
        let evidence = trials.strengths[j / trials.each];
        let mut inputs = Vec::with_capacity(trials.steps * kept.len());
        for _ in 0..trials.steps {
            for &k in kept {
                let strength = if k == trials.channel { evidence } else { distractor };
                inputs.push(strength + trials.noise * random.sample::<f64, _>(StandardNormal));
            }
        }
        inputs
    };
    (0..trials.strengths.len() * trials.each).map(each).collect()
}

/// The first output of a model beside that of its network, on trials of both.
fn compare(model: &Reduced, trials: &[(Vec<f64>, Vec<f64>)]) -> Result<Compared> {
    let outputs = model.shape.outputs;
    let (mut same, mut nmte) = (0, 0.0);
    for (u, y) in trials {
        let steps = y.len() / outputs;
        let found = model.run(u, steps)?.outputs;
        let pairs = || zip(y.iter().step_by(outputs), found.iter().step_by(outputs));
        same += usize::from(pairs().next_back().is_some_and(|(a, b)| (*a > 0.0) == (*b > 0.0)));
        let largest = pairs().fold(0.0_f64, |most, (y, _)| most.max(y.abs()));
        nmte += pairs().map(|(a, b)| (a - b).abs()).sum::<f64>() / steps as f64 / largest;
    }
    let count = trials.len() as f64;
    Ok(Compared { trials: trials.len(), agreement: same as f64 / count, nmte: nmte / count })
}

/// The Chebyshev series of a value between places, straight from one to the next, cut off at a degree.
fn series(range: Interval, places: &[Place], degree: usize, value: &dyn Fn(&Place) -> f64) -> Vec<f64> {
    const FINE: usize = 256;
    let nodes = range.nodes(FINE);
    let values = Mat::from_fn(nodes.len(), 1, |j, _| {
        let p = nodes[j];
        let k = places.partition_point(|place| place.p <= p).clamp(1, places.len() - 1);
        let (a, b) = (&places[k - 1], &places[k]);
        let part = if b.p > a.p { (p - a.p) / (b.p - a.p) } else { 0.0 };
        value(a) + part * (value(b) - value(a))
    });
    let mut series = (chebyshev::transform(FINE) * values).col_as_slice(0).to_vec();
    series.truncate(degree + 1);
    series
}
