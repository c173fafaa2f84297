//! Stored trajectories against those of a network, and what rounding can make of them.

use std::iter::zip;

use faer::Mat;
use serde::Serialize;

use super::arrays::Array;
use crate::network::{Activation, Form, Network};
use crate::simulate;

/// Steps of stored trajectories against those of the network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Steps compared.
    pub steps: usize,
    /// Largest difference of a step of the network from a stored state and the stored next state.
    pub step: f64,
    /// What rounding can make of a step, in the number type of the file: gamma_{n + I + 3} of the sums of absolute values.
    pub bound: f64,
    /// Largest difference when the network runs on its own from its initial state: what steps add up to.
    pub run: f64,
    /// Largest difference of an output after a step from the stored one, and what rounding can make of it, if outputs are
    /// stored.
    pub output: Option<[f64; 2]>,
}

/// Stored outputs against those of the network, run from its initial state on the stored inputs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Outputs {
    /// Steps compared: those in which rounding, as far as it can have grown, makes less than 1 % of the largest output.
    pub steps: usize,
    /// Largest difference.
    pub off: f64,
    /// What rounding can make of an output, at most, in these steps.
    pub bound: f64,
}

/// The state of a network whose first part is stored.
pub(super) type Whole<'a> = &'a dyn Fn(&[f64]) -> Vec<f64>;

/// Compares all steps of trajectories: trials × steps × n, and their inputs.
pub(super) fn follow(
    network: &Network,
    states: &Array,
    u: &Array,
    y: Option<&Array>,
    unit: f64,
    whole: Whole<'_>,
) -> Comparison {
    let (n, inputs, length) = (states.shape[2], u.shape[2], states.shape[1]);
    let rounding = Rounding::new(network, unit);
    let apart = |a: &[f64], b: &[f64]| zip(a, b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let mut comparison =
        Comparison { steps: 0, step: 0.0, bound: 0.0, run: 0.0, output: y.map(|_| [0.0; 2]) };
    let trials = zip(states.values.chunks_exact(length * n), u.values.chunks_exact(length * inputs));
    for (states, u) in trials {
        let run = simulate::run(network, u, false).carried;
        let off = zip(run.chunks_exact(network.neurons()), states.chunks_exact(n)).map(|(a, b)| apart(a, b));
        comparison.run = comparison.run.max(off.fold(0.0, f64::max));
        let mut from = network.clone();
        for (state, u) in zip(states.chunks_exact(n), u.chunks_exact(inputs)) {
            let simulate::Trajectory { carried: next, outputs, .. } = simulate::run(&from, u, false);
            let errors = rounding.of_step(&from.initial, u, &next);
            comparison.bound = comparison.bound.max(errors[..n].iter().copied().fold(0.0, f64::max));
            if let (Some(y), Some([off, bound])) = (y, &mut comparison.output) {
                *off = off.max(apart(&outputs, &y.values[comparison.steps * outputs.len()..]));
                *bound = rounding.of_outputs(&errors, &next, &outputs).into_iter().fold(*bound, f64::max);
            }
            // The first step starts from where the network says, which the file need not share.
            comparison.step = comparison.step.max(apart(&next, state));
            comparison.steps += 1;
            from.initial = whole(state);
        }
    }
    comparison
}

/// Compares the outputs of whole runs, as long as rounding can have made no more than 1 % of the largest; whether none is
/// off by more than rounding.
///
/// A state is off by at most e; then the next one by (1 - alpha) e + alpha L |W| e and the rounding of the step.
pub(super) fn follow_outputs(network: &Network, u: &Array, y: &Array, unit: f64) -> (Outputs, bool) {
    const PART: f64 = 0.01;
    let (neurons, inputs, width) = (network.neurons(), u.shape[2], y.shape[2]);
    let rounding = Rounding::new(network, unit);
    let Rounding { w, steepness, .. } = &rounding;
    let largest = y.values.iter().fold(0.0_f64, |most, y| most.max(y.abs()));
    let (mut found, mut follows) = (Outputs { steps: 0, off: 0.0, bound: 0.0 }, true);
    let steps = u.shape[1];
    for (u, y) in zip(u.values.chunks_exact(steps * inputs), y.values.chunks_exact(steps * width)) {
        let run = simulate::run(network, u, false);
        let (mut before, mut errors) = (network.initial.as_slice(), vec![0.0; neurons]);
        let samples = zip(u.chunks_exact(inputs), run.carried.chunks_exact(neurons));
        for ((u, next), (ours, theirs)) in
            zip(samples, zip(run.outputs.chunks_exact(width), y.chunks_exact(width)))
        {
            let fresh = rounding.of_step(before, u, next);
            let grown = |(i, fresh): (usize, f64)| {
                let carried: f64 = (0..neurons).map(|j| w[(i, j)] * errors[j]).sum();
                (1.0 - network.alpha) * errors[i] + network.alpha * steepness * carried + fresh
            };
            errors = fresh.into_iter().enumerate().map(grown).collect();
            let of_rates: Vec<f64> = errors.iter().map(|error| steepness * error).collect();
            let bounds = rounding.of_outputs(&of_rates, next, ours);
            let bound = bounds.iter().copied().fold(0.0, f64::max);
            if bound > PART * largest {
                break;
            }
            for ((ours, theirs), bound) in zip(zip(ours, theirs), &bounds) {
                let off = (ours - theirs).abs();
                follows &= off <= *bound;
                found.off = found.off.max(off);
            }
            found = Outputs { steps: found.steps + 1, bound: found.bound.max(bound), ..found };
            before = next;
        }
    }
    (found, follows)
}

/// What rounding can make of a step of a network.
struct Rounding<'a> {
    network: &'a Network,
    /// |W|, |B|, |C|.
    w: Mat<f64>,
    b: Mat<f64>,
    c: Mat<f64>,
    /// gamma_{n + I + 3}: the relative rounding of a sum of so many terms.
    gamma: f64,
    /// The largest slope of phi; the logistic function may be steeper than 1.
    steepness: f64,
}

impl<'a> Rounding<'a> {
    fn new(network: &'a Network, unit: f64) -> Self {
        let terms = (network.neurons() + network.input.ncols() + 3) as f64 * unit;
        let steepness = match network.activation {
            Activation::Sigmoid { slope, .. } => (slope.abs() / 4.0).max(1.0),
            _ => 1.0,
        };
        let absolute = |m: &Mat<f64>| Mat::from_fn(m.nrows(), m.ncols(), |i, j| m[(i, j)].abs());
        let [w, b, c] = [&network.weights(), &network.input, &network.readout].map(absolute);
        Self { network, w, b, c, gamma: terms / (1.0 - terms), steepness }
    }

    /// |h| of a carried state.
    fn rate(&self, x: f64) -> f64 {
        match self.network.form {
            Form::Rate => x.abs(),
            Form::Current => simulate::activate(self.network.activation, x).abs(),
        }
    }

    /// Of every entry of the next state.
    fn of_step(&self, before: &[f64], u: &[f64], next: &[f64]) -> Vec<f64> {
        let rates: Vec<f64> = before.iter().map(|&x| self.rate(x)).collect();
        let sum = |i: usize| -> f64 {
            let recurrent: f64 = rates.iter().enumerate().map(|(j, rate)| self.w[(i, j)] * rate).sum();
            let inputs: f64 = u.iter().enumerate().map(|(k, u)| self.b[(i, k)] * u.abs()).sum();
            recurrent + inputs + self.network.bias[i].abs()
        };
        (0..rates.len())
            .map(|i| self.gamma * (self.steepness * sum(i) + before[i].abs() + next[i].abs()))
            .collect()
    }

    /// Of every output, where the rates that are read are off by `errors`.
    fn of_outputs(&self, errors: &[f64], next: &[f64], outputs: &[f64]) -> Vec<f64> {
        let read: Vec<f64> =
            zip(errors, next).map(|(error, &next)| error + self.gamma * self.rate(next)).collect();
        let of = |(o, output): (usize, &f64)| {
            let terms: f64 = read.iter().enumerate().map(|(j, read)| self.c[(o, j)] * read).sum();
            terms + self.gamma * (self.network.output_bias[o].abs() + output.abs())
        };
        outputs.iter().enumerate().map(of).collect()
    }
}
