//! Monitors learnt from normal activity: see [`tinyfold_core::monitor`] for what they compare.

pub mod flips;
pub mod study;
mod thresholds;

pub use thresholds::{Range, Thresholds};

use faer::Mat;
use faer::linalg::solvers::SolveLstsq;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use tinyfold_core::monitor::{Monitor, Plan, Shape, readout_checksum};
use tinyfold_core::wire::{self, Model};
use tinyfold_core::{Form, Number, View};

use crate::error::require;
use crate::format::model::{ModelBytes, refused};
use crate::{Error, Result};

/// How a monitor is learnt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// K, the dimensions of the manifold, 1 to 8; `None`: as few as leave 1e-6 of the variance of p, at most
    /// 8.
    pub dimensions: Option<usize>,
    /// Steps from one look at the manifold (at low rank: at anything) to the next.
    pub every: u16,
    /// Steps from one check of the algebraic identity of a dense network to the next.
    pub check: u16,
    /// Thresholds are the largest values of normal activity times this, above 1.
    pub factor: f64,
    /// Steps in which the whole readout is to be scrubbed, at least a check or a look; 0: never, but see
    /// [`Learnt::round`].
    pub round: usize,
    /// Seed of the row r of the algebraic check.
    pub seed: u64,
}

/// Steps in which the whole readout is scrubbed.
pub const ROUND: usize = 40;
/// Steps in which the whole network of low rank is scrubbed: a bit that flips behind the scrub is found by the next
/// round, within twice as many.
pub const ROUND_OF_LAYER: usize = 25;
/// A relation of low rank is loose if its threshold is above this part of the largest value.
const LOOSE: f64 = 1e-3;

impl Settings {
    /// Twice the normal values; dense: a look every 16 steps, a check every 4, the readout within 40 steps; at low rank
    /// everything every 8 and the whole network within 24, since a wrong weight of a neuron that is silent whenever
    /// something is compared changes no residual. The steps of a small network cost little, so it is watched less
    /// often: dense below 32 neurons, at low rank below 64, there the whole network every 16 steps.
    ///
    /// rank: R, 0 of a dense network.
    #[must_use]
    pub const fn of(neurons: usize, rank: usize) -> Self {
        let (every, check, round) = match (rank, neurons) {
            (0, ..32) => (32, 5, ROUND),
            (0, _) => (16, 4, ROUND),
            (_, ..64) => (16, 4, ROUND_OF_LAYER),
            _ => (8, 4, ROUND_OF_LAYER),
        };
        Self { dimensions: None, every, check, factor: 2.0, round, seed: 1 }
    }

    /// Words of the readout, and of the layer at low rank, that a check, at low rank a look, scrubs to be through in
    /// `round` steps; 0 if `round` is.
    #[must_use]
    pub fn scrub(&self, shape: &tinyfold_core::Shape, round: usize) -> u16 {
        let (layer, period) =
            if shape.is_dense() { (0, self.check) } else { (shape.layer_len(), self.every) };
        let times = (round / usize::from(period.max(1))).max(1);
        let words = if round == 0 { 0 } else { (layer + shape.readout_len()).div_ceil(times) };
        words.min(u16::MAX.into()) as u16
    }
}

/// What was learnt, for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Learnt {
    /// K; 0 at low rank.
    pub dimensions: usize,
    /// Part of the variance of p outside the K dimensions; 0 at low rank.
    pub outside: f64,
    /// Largest residual of the algebraic check in normal activity, in units of the largest left side.
    pub residual: f64,
    /// Steps in which the readout, at low rank the whole network, is scrubbed; 0: never. As the settings say, but at low
    /// rank [`ROUND_OF_LAYER`] instead of never if z' or y is no linear function to 1e-3: a wrong weight could hide there.
    pub round: usize,
    /// Multiply-adds of the monitor per step on average, a scrubbed word as one, in units of those of the step.
    pub cost: f64,
}

/// Fewest steps to learn from.
const FEWEST: usize = 1000;
/// Most pre-activations that enter the covariance.
const MOST: usize = 8192;
/// Variance of p that may stay outside its manifold.
const OUTSIDE: f64 = 1e-6;
/// Activity is constant if it varies by no more than this part of its size.
const CONSTANT: f64 = 1e-6;
/// Roundings of f32, in units of the largest number, that every threshold allows for.
const ROUNDINGS: f64 = 16.0;

/// Learns the monitor of a model from normal raw samples, row-major T × I, from reset on.
///
/// Thresholds are the largest values seen, times a factor.
///
/// Source: the algebraic check is the checksum row of Huang & Abraham 1984; the rest is our own.
///
/// # Errors
/// A model that is not f32, fewer than 1000 steps, a network of low rank in current form, samples in which a
/// channel was held, activity that is constant.
pub fn learn(bytes: &ModelBytes, samples: &[f32], settings: &Settings) -> Result<(ModelBytes, Learnt)> {
    let model = crate::format::model::read::<f32>(bytes, "model")?;
    let steps = samples.len() / model.view.shape().inputs.max(1);
    require(steps >= FEWEST, "samples", format!("at least {FEWEST} steps"), steps)?;
    let factor = settings.factor;
    require(factor > 1.0 && factor.is_finite(), "factor", "a finite number above 1", factor)?;
    if model.view.shape().is_dense() {
        dense(&model, samples, settings)
    } else {
        low_rank(&model, samples, settings)
    }
}

/// 1 / threshold for values whose largest is `most`, computed from numbers as large as `scale`.
fn inverse(most: f64, scale: f64, factor: f64) -> f32 {
    let rounding = ROUNDINGS * f64::from(f32::EPSILON) * scale.max(f64::from(f32::MIN_POSITIVE) / 1e-6);
    (1.0 / (factor * most + rounding)) as f32
}

/// (center, 1 / half-width) for values from `lo` to `hi`.
fn range([lo, hi]: [f64; 2], factor: f64) -> [f32; 2] {
    [(f64::midpoint(lo, hi)) as f32, inverse((hi - lo) / 2.0, lo.abs().max(hi.abs()), factor)]
}

fn widen(ranges: &mut [[f64; 2]], values: impl Iterator<Item = f64>) {
    for ([lo, hi], value) in ranges.iter_mut().zip(values) {
        (*lo, *hi) = (lo.min(value), hi.max(value));
    }
}

const NOWHERE: [f64; 2] = [f64::INFINITY, f64::NEG_INFINITY];

/// Refuses rows of numbers that do not change in their second half.
fn changing(rows: &[f64], width: usize) -> Result<()> {
    let last = &rows[rows.len() / width / 2 * width..];
    let (mut ranges, mut size) = (vec![NOWHERE; width], 0.0_f64);
    for row in last.chunks_exact(width) {
        widen(&mut ranges, row.iter().copied());
        size = row.iter().fold(size, |size, x| size.max(x.abs()));
    }
    let widest = ranges.iter().map(|[lo, hi]| hi - lo).fold(0.0, f64::max);
    if widest > CONSTANT * size {
        return Ok(());
    }
    let expected = "activity that changes: thresholds of a network at rest say nothing of it in use";
    Err(Error::input(
        "samples",
        expected,
        "constant activity; are there inputs, and do they reach the neurons?",
    ))
}

fn plan(view: &View<'_, f32>, settings: &Settings, round: usize) -> Plan {
    let shape = view.shape();
    let scrub = settings.scrub(&shape, round);
    Plan { every: settings.every, check: settings.check, scrub, readout: readout_checksum(view) }
}

fn dense(model: &Model<'_, f32>, samples: &[f32], settings: &Settings) -> Result<(ModelBytes, Learnt)> {
    let view = &model.view;
    let (shape, factor) = (view.shape(), settings.factor);
    let n = shape.neurons;
    let steps = samples.len() / shape.inputs.max(1);
    let apart = steps.div_ceil(MOST);
    let mut kept = Vec::new();
    let mut t = 0;
    every_step(view, samples, |p, _, _| {
        if t % apart == 0 {
            kept.extend(p.iter().map(|&p| f64::from(p)));
        }
        t += 1;
    })?;
    changing(&kept, n)?;
    let rows = kept.len() / n;
    let mean: Vec<f64> =
        (0..n).map(|i| (0..rows).map(|t| kept[t * n + i]).sum::<f64>() / rows as f64).collect();
    let centered = Mat::from_fn(n, rows, |i, t| kept[t * n + i] - mean[i]);
    let numeric = |error: faer::linalg::solvers::EvdError| Error::Numeric {
        what: "directions of the manifold".into(),
        reason: format!("{error:?}: try other samples"),
    };
    let eigen = (&centered * centered.transpose()).self_adjoint_eigen(faer::Side::Lower).map_err(numeric)?;
    // Ascending eigenvalues.
    let variance: Vec<f64> = (0..n).rev().map(|k| eigen.S()[k].max(0.0)).collect();
    let total: f64 = variance.iter().sum();
    let outside = |k: usize| variance[k..].iter().sum::<f64>() / total.max(f64::MIN_POSITIVE);
    let most = Shape::MOST_DIMENSIONS.min(n);
    let k = settings.dimensions.unwrap_or_else(|| (1..most).find(|&k| outside(k) <= OUTSIDE).unwrap_or(most));
    require((1..=most).contains(&k), "dimensions", format!("1 to {most}"), k)?;
    let q = |i: usize, d: usize| f64::from(eigen.U()[(i, n - 1 - d)] as f32);
    let back: Vec<f64> = (0..k).map(|d| (0..n).map(|i| q(i, d) * mean[i]).sum()).collect();
    let base: Vec<f32> =
        (0..n).map(|i| (mean[i] - (0..k).map(|d| q(i, d) * back[d]).sum::<f64>()) as f32).collect();

    let (mut residuals, mut ranges, mut largest) = (vec![0.0_f64; n], vec![NOWHERE; k], 0.0_f64);
    every_step(view, samples, |p, _, _| {
        let c: Vec<f64> =
            (0..k).map(|d| (0..n).map(|i| q(i, d) * f64::from(p[i])).sum::<f64>() - back[d]).collect();
        for (i, residual) in residuals.iter_mut().enumerate() {
            let on = f64::from(base[i]) + (0..k).map(|d| q(i, d) * c[d]).sum::<f64>();
            *residual = residual.max((f64::from(p[i]) - on).abs());
            largest = largest.max(f64::from(p[i]).abs());
        }
        widen(&mut ranges, c.into_iter());
    })?;

    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    let row: Vec<f64> = (0..n).map(|_| if rng.random::<bool>() { 1.0 } else { -1.0 }).collect();
    let of = |entry: &dyn Fn(usize) -> Option<f32>| {
        (0..n).map(|i| row[i] * entry(i).map_or(0.0, f64::from)).sum::<f64>() as f32
    };
    // + 0 makes a -0 into 0.
    let mut words: Vec<f32> = back.iter().map(|&c| -c as f32 + 0.0).collect();
    for i in 0..n {
        words.push(base[i]);
        words.extend((0..k).map(|d| q(i, d) as f32));
        words.push(inverse(residuals[i], largest, factor));
    }
    words.push(of(&|i| view.bias(i)));
    let place = words.len();
    // In units of 1 at first: what core itself finds is what the threshold is made of.
    words.push(1.0);
    words.extend(row.iter().map(|&r| r as f32));
    words.extend((0..n).map(|j| of(&|i| view.recurrent(i, j))));
    words.extend((0..shape.inputs).map(|j| of(&|i| view.input(i, j))));
    words.extend(ranges.iter().flat_map(|&pair| range(pair, factor)));

    let monitored = Shape { network: shape, dimensions: k };
    let plan = plan(view, settings, settings.round);
    let provisional = Monitor::new(monitored, Plan { check: 1, ..plan }, &words)
        .map_err(|error| refused("monitor", error))?;
    let mut residual = 0.0_f64;
    watch(view, &provisional, samples, |verdict, _| {
        residual = residual.max(verdict.residual.into());
        true
    })?;
    let scale = largest * (n as f64).sqrt();
    words[place] = inverse(residual, scale / ROUNDINGS, factor);
    let monitor = Monitor::new(monitored, plan, &words).map_err(|error| refused("monitor", error))?;
    let sides = if view.settings().form == Form::Current && settings.check > 1 { 3 } else { 2 };
    let cost = (sides * n + shape.inputs + usize::from(plan.scrub)) as f64 / f64::from(settings.check)
        + (n * (2 * k + 2)) as f64 / f64::from(settings.every);
    let learnt = Learnt {
        dimensions: k,
        outside: outside(k),
        residual: residual / scale.max(f64::MIN_POSITIVE),
        round: settings.round,
        cost: cost / shape.multiply_adds() as f64,
    };
    Ok((write(&monitor, model.checksum)?, learnt))
}

fn low_rank(model: &Model<'_, f32>, samples: &[f32], settings: &Settings) -> Result<(ModelBytes, Learnt)> {
    let view = &model.view;
    let (shape, factor) = (view.shape(), settings.factor);
    if view.settings().form == Form::Current {
        return Err(Error::input("monitor", "rate form at low rank", "current form"));
    }
    let (rank, inputs, outputs) = (shape.rank, shape.inputs, shape.outputs);
    let mut memory = vec![0.0; shape.state_len()];
    let mut state = view.state(&mut memory).map_err(|error| refused("model", error))?;
    let (mut before, mut after, mut y) = (Vec::new(), Vec::new(), Vec::new());
    for x in samples.chunks_exact(inputs.max(1)) {
        let z = state.carried()[..rank].to_vec();
        view.step(&mut state, x);
        before.extend(std::iter::once(1.0).chain(z.iter().chain(state.input()).map(|&x| f64::from(x))));
        after.extend(std::iter::once(1.0).chain(state.carried()[..rank].iter().map(|&z| f64::from(z))));
        y.extend(state.output().iter().map(|&y| f64::from(y)));
    }
    changing(&after, 1 + rank)?;
    let steps = before.len() / (1 + rank + inputs);
    let fit = |rows: &[f64], width: usize, target: &dyn Fn(usize) -> f64| -> (Vec<f32>, f64, f64) {
        let left = Mat::from_fn(steps, width, |t, k| rows[t * width + k]);
        let right = Mat::from_fn(steps, 1, |t, _| target(t));
        let solution = left.col_piv_qr().solve_lstsq(&right);
        let row: Vec<f32> = (0..width).map(|k| solution[(k, 0)] as f32).collect();
        let value =
            |t: usize| row.iter().zip(&rows[t * width..]).map(|(&a, b)| f64::from(a) * b).sum::<f64>();
        let most = (0..steps).map(|t| (target(t) - value(t)).abs()).fold(0.0, f64::max);
        (row, most, (0..steps).map(|t| target(t).abs()).fold(0.0, f64::max))
    };
    let (mut words, mut residual) = (Vec::new(), 0.0_f64);
    let mut put = |(row, most, scale): (Vec<f32>, f64, f64)| {
        residual = residual.max(most / scale.max(f64::MIN_POSITIVE));
        words.extend(row);
        words.push(inverse(most, scale, factor));
    };
    for r in 0..rank {
        put(fit(&before, 1 + rank + inputs, &|t| after[t * (1 + rank) + 1 + r]));
    }
    for o in 0..outputs {
        put(fit(&after, 1 + rank, &|t| y[t * outputs + o]));
    }
    let mut ranges = vec![NOWHERE; rank + inputs];
    for (before, after) in before.chunks_exact(1 + rank + inputs).zip(after.chunks_exact(1 + rank)) {
        widen(&mut ranges, after[1..].iter().chain(&before[1 + rank..]).copied());
    }
    words.extend(ranges.iter().flat_map(|&pair| range(pair, factor)));
    let monitored = Shape { network: shape, dimensions: 0 };
    let loose = factor * residual > LOOSE && settings.round == 0;
    let round = if loose { ROUND_OF_LAYER } else { settings.round };
    let plan = plan(view, settings, round);
    let monitor = Monitor::new(monitored, plan, &words).map_err(|error| refused("monitor", error))?;
    let cost = (rank * (rank + inputs + 1) + outputs * (rank + 1) + usize::from(plan.scrub)) as f64
        / f64::from(settings.every)
        / shape.multiply_adds() as f64;
    Ok((write(&monitor, model.checksum)?, Learnt { dimensions: 0, outside: 0.0, residual, round, cost }))
}

fn write(monitor: &Monitor<'_, f32>, model: u32) -> Result<ModelBytes> {
    let mut bytes = vec![0; wire::monitor::length(&monitor.shape(), Number::F32)];
    wire::monitor::write(monitor, model, &mut bytes).map_err(|error| refused("monitor", error))?;
    Ok(ModelBytes::new(&bytes))
}

/// Runs a dense network from reset and shows p, h and x of every step.
fn every_step(
    view: &View<'_, f32>,
    samples: &[f32],
    mut look: impl FnMut(&[f32], &[f32], &[f32]),
) -> Result<()> {
    let mut memory = vec![0.0; view.shape().state_len()];
    let mut state = view.state(&mut memory).map_err(|error| refused("model", error))?;
    for x in samples.chunks_exact(view.shape().inputs.max(1)) {
        let status = view.step_seen(&mut state, x, |seen| look(seen.p, seen.h, seen.x));
        require(status.held == 0, "samples", "finite numbers", "a held channel")?;
    }
    Ok(())
}

/// Runs a watched network from reset and shows verdict and outputs of every step, as long as `look` says so.
///
/// # Errors
/// A monitor of other sizes.
pub fn watch(
    view: &View<'_, f32>,
    monitor: &Monitor<'_, f32>,
    samples: &[f32],
    mut look: impl FnMut(&tinyfold_core::monitor::Verdict<f32>, &[f32]) -> bool,
) -> Result<()> {
    let refused = |error| refused("monitor", error);
    let (mut memory, mut room) =
        (vec![0.0; view.shape().state_len()], vec![0.0; monitor.shape().memory_len()]);
    let mut state = view.state(&mut memory).map_err(refused)?;
    let mut watch = monitor.watch(view, &mut room).map_err(refused)?;
    for x in samples.chunks_exact(view.shape().inputs.max(1)) {
        let (_, verdict) = monitor.step(view, &mut state, x, &mut watch);
        if !look(&verdict, state.output()) {
            break;
        }
    }
    Ok(())
}
