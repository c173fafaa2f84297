//! What the chapter on dynamics shows: fixed points under held inputs, and the derivative of the steps that a run takes.

use std::collections::BTreeSet;
use std::iter::zip;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use faer::{Mat, c64};
use serde::{Deserialize, Serialize};

use super::figures::{self, Figure};
use super::multipliers;
use super::slow::{self, Slow};
use crate::dynamics::fixed_points::{self, FixedPoints, Options};
use crate::dynamics::slope;
use crate::dynamics::{Kind, Rnn, System};
use crate::network::{Activation, Form, Network, Recurrence};
use crate::task::Task;
use crate::task::trial::held_out;
use crate::{Error, Result, format, simulate};

/// Networks of more neurons are left to `tinyfold dynamics`: a report must not wait for them.
pub const LARGEST: usize = 256;
/// Steps of a run whose derivative is taken, fewer of large networks.
const SAMPLED: usize = 48;
/// Multipliers kept of each step.
pub(super) const KEPT: usize = 16;
/// Fixed points that are listed.
const LISTED: usize = 16;
/// States that are left alone, and at most how many steps.
const ALONE: (usize, usize) = (8, 4000);

/// A network as a map x' = f(x, u), near its fixed points and along a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Linearised {
    /// Channels D that the network integrates; 0 of other tasks.
    pub channels: usize,
    /// Decays asked for, slowest first; none of other tasks.
    pub wanted: Vec<f64>,
    /// Fixed points, one entry a held input.
    pub held: Vec<Held>,
    /// Steps of the run at which the derivative was taken.
    pub steps: usize,
    /// Linear regions among these steps: of ReLU and linear networks, whose step is exactly linear in each.
    pub regions: Option<usize>,
    /// The largest |lambda| of df/dx at each of these steps, as (Re, Im), slowest first.
    pub multipliers: Vec<Vec<(f64, f64)>>,
}

/// The fixed points under a held input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// What is held, in words.
    pub name: String,
    /// The input, in network units.
    pub input: Vec<f64>,
    /// Number of fixed points.
    pub found: usize,
    /// How many of them are stable by their multipliers; corners and singular ones are not counted.
    pub stable: usize,
    /// Dimension of a continuum of fixed points, of which `points` holds none.
    pub continuum: Option<usize>,
    /// Whether nothing speaks against completeness; unknown of unbounded networks.
    pub complete: Option<bool>,
    /// The points, by index; at most 16.
    pub points: Vec<Point>,
    /// q = |f(x) - x|² / 2 of slow points, which are not fixed, slowest first.
    pub slow: Vec<f64>,
    /// States of the run that were left alone with this input, and how many of them came to a fixed point.
    pub left_alone: usize,
    /// How many of them came to one of the points, to 1 % of their first distance.
    pub settled: usize,
    /// For how many steps.
    pub steps: usize,
    /// The slow dynamics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_dynamics: Option<Slow>,
}

/// A fixed point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// |x|.
    pub norm: f64,
    /// Number of unstable directions; none at a corner or a singular point, where multipliers do not decide it.
    pub index: Option<usize>,
    /// Largest multipliers as (Re, Im), slowest first; none at a corner, where they jump.
    pub multipliers: Vec<(f64, f64)>,
}

/// The time constant of a multiplier, -1 / ln |lambda| steps; negative: grows.
#[must_use]
pub fn time_constant(modulus: f64) -> f64 {
    -1.0 / modulus.ln()
}

impl Linearised {
    /// Looks at a network along a run over `trials` (each row-major T × I, network units, from the start of the network) and
    /// under each held input.
    ///
    /// `None` for more than [`LARGEST`] neurons, for a run that diverges at once, and once `stop` is true.
    ///
    /// # Errors
    /// Inputs of another number than the network has; eigenvalues that do not converge.
    pub fn of_network(
        network: &Network,
        trials: &[&[f64]],
        held: &[(String, Vec<f64>)],
        stop: &AtomicBool,
    ) -> Result<Option<Self>> {
        let n = network.neurons();
        if n > LARGEST {
            return Ok(None);
        }
        let usable: Vec<Step> = trials.iter().flat_map(|x| steps_of(network, x)).collect();
        let count = if n <= 100 { SAMPLED } else { SAMPLED / 6 };
        let stride = usable.len().div_ceil(count).max(1);
        // Not the first step, which begins at rest.
        let sampled: Vec<&Step> = usable.iter().skip(stride / 2).step_by(stride).collect();
        if sampled.is_empty() {
            return Ok(None);
        }
        let slopes = |p: &[f64]| p.iter().map(|&p| slope(network.activation, p)).collect::<Vec<f64>>();
        let all: Vec<Vec<f64>> = sampled.iter().map(|step| slopes(&step.pre_activations)).collect();
        let piecewise = matches!(network.activation, Activation::Linear | Activation::Relu);
        let regions =
            || all.iter().map(|d| d.iter().map(|&d| d > 0.0).collect()).collect::<BTreeSet<Vec<_>>>();
        let multipliers: Result<Vec<_>> = all.iter().map(|d| multipliers(network, d)).collect();
        let stride = sampled.len().div_ceil(ALONE.0);
        let states: Vec<&[f64]> = sampled.iter().step_by(stride).map(|step| step.state.as_slice()).collect();
        let mut wanted = network.integration().map_or(Vec::new(), |task| task.decays.clone());
        wanted.sort_by(|a, b| b.total_cmp(a));
        let slowest = wanted.first().copied().unwrap_or(0.98);
        let steps = (10.0 * time_constant(slowest)).clamp(100.0, ALONE.1 as f64) as usize;
        let held: Result<Vec<Held>> =
            held.iter().map(|(name, u)| Held::of(network, name, u, &states, steps, stop)).collect();
        let held = held?;
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        Ok(Some(Self {
            channels: wanted.len(),
            wanted,
            held,
            steps: sampled.len(),
            regions: piecewise.then(|| regions().len()),
            multipliers: multipliers?,
        }))
    }

    /// The k-th largest |lambda|, from 0: its median over the run and its least and largest value.
    #[must_use]
    pub fn modulus(&self, k: usize) -> Option<[f64; 3]> {
        let of = |values: &Vec<(f64, f64)>| values.get(k).map(|&(re, im)| re.hypot(im));
        let mut all: Vec<f64> = self.multipliers.iter().filter_map(of).collect();
        all.sort_by(f64::total_cmp);
        Some([*all.get(all.len() / 2)?, *all.first()?, *all.last()?])
    }

    /// The largest distance of the D slow multipliers from the decays asked for, over the run.
    #[must_use]
    pub fn off(&self) -> Option<f64> {
        let of = |values: &Vec<(f64, f64)>| {
            let pairs = zip(values, &self.wanted);
            let far = pairs.map(|(&(re, im), wanted)| (re - wanted).hypot(im)).fold(0.0, f64::max);
            if values.len() < self.channels { 1.0 } else { far }
        };
        (self.channels > 0).then(|| self.multipliers.iter().map(of).fold(0.0, f64::max))
    }
}

/// A step of a run.
struct Step {
    /// What phi was applied to.
    pre_activations: Vec<f64>,
    /// h (rate form) or a (current form) after it.
    state: Vec<f64>,
}

/// The steps of a run over `x`, until its numbers leave every range.
///
/// h' = (1 - alpha) h + alpha phi(p): at low rank from h = 0, for what is carried there is only Vᵀ h.
fn steps_of(network: &Network, x: &[f64]) -> Vec<Step> {
    let (n, alpha) = (network.neurons(), network.alpha);
    let mut state = network.first_state();
    let after = |p: &[f64]| {
        match network.form {
            Form::Current => state.copy_from_slice(p),
            Form::Rate => {
                for (h, &p) in zip(&mut state, p) {
                    *h = (1.0 - alpha) * *h + alpha * simulate::activate(network.activation, p);
                }
            }
        }
        Step { pre_activations: p.to_vec(), state: state.clone() }
    };
    let run = simulate::run(network, x, true).pre_activations;
    run.chunks_exact(n).take_while(|p| p.iter().all(|p| p.abs() < 1e100)).map(after).collect()
}

/// The largest eigenvalues of (1 - alpha) + alpha D W, D the slopes of phi: those of df/dx in either form.
fn multipliers(network: &Network, slopes: &[f64]) -> Result<Vec<(f64, f64)>> {
    let n = network.neurons();
    let scaled = |m: &Mat<f64>| Mat::from_fn(n, m.ncols(), |i, j| slopes[i] * m[(i, j)]);
    let core = match &network.recurrence {
        Recurrence::Dense(w) => scaled(w),
        Recurrence::LowRank { u, v } => v.transpose() * scaled(u),
    };
    let refuse = |_| Error::Numeric {
        what: "multipliers of a step".into(),
        reason: "the eigenvalues did not converge; are all weights finite?".into(),
    };
    let alpha = network.alpha;
    let step = |value: &c64| (1.0 - alpha + alpha * value.re, alpha * value.im);
    let mut values: Vec<(f64, f64)> = core.eigenvalues().map_err(refuse)?.iter().map(step).collect();
    // The other directions of a low rank keep 1 - alpha of themselves.
    let rest = (n - core.nrows()).min(KEPT);
    values.extend(std::iter::repeat_n((1.0 - alpha, 0.0), rest));
    let size = |(re, im): &(f64, f64)| re.hypot(*im);
    values.sort_by(|a, b| size(b).total_cmp(&size(a)).then(b.1.total_cmp(&a.1)));
    values.truncate(KEPT);
    Ok(values)
}

impl Held {
    fn of(
        network: &Network,
        name: &str,
        u: &[f64],
        states: &[&[f64]],
        steps: usize,
        stop: &AtomicBool,
    ) -> Result<Self> {
        let options = Options { quiet_rounds: 4, most_slow: 4, vectors: false, ..Options::default() };
        let found = fixed_points::of_network(network, u, Kind::Map, &options, stop)?;
        let decided = |point: &fixed_points::FixedPoint| !point.corner && !point.degenerate;
        let listed = found.points.iter().take(LISTED).map(|point| Point {
            norm: point.state.iter().map(|x| x * x).sum::<f64>().sqrt(),
            index: decided(point).then_some(point.index),
            multipliers: if point.corner {
                Vec::new()
            } else {
                point.spectrum.values.iter().take(KEPT).map(|value| (value.re, value.im)).collect()
            },
        });
        let rnn = Rnn::new(network, u, Kind::Map)?;
        let slow_dynamics = states.first().map(|start| Slow::of(network, &rnn, u, &found, start, stop));
        Ok(Self {
            name: name.into(),
            input: u.to_vec(),
            found: found.points.len(),
            stable: found.points.iter().filter(|point| decided(point) && point.stable).count(),
            continuum: found.continuum.as_ref().map(|continuum| continuum.dimension),
            complete: found.complete(),
            points: listed.collect(),
            slow: found.slow.iter().map(|point| point.q).collect(),
            left_alone: states.len(),
            settled: states.iter().filter(|x| settles(&rnn, &found, x, steps)).count(),
            steps,
            slow_dynamics,
        })
    }
}

/// Whether the state comes to a fixed point: to 1 % of its first distance from it.
fn settles(rnn: &Rnn, found: &FixedPoints, x: &[f64], steps: usize) -> bool {
    let (mut now, mut next) = (x.to_vec(), vec![0.0; x.len()]);
    for _ in 0..steps {
        rnn.value(&now, &mut next);
        std::mem::swap(&mut now, &mut next);
    }
    let apart = |a: &[f64], b: &[f64]| zip(a, b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    found.points.iter().any(|point| apart(&now, &point.state) <= 0.01 * apart(x, &point.state))
}

/// What is held in a task: each context, with the evidence at 0; else no input.
#[must_use]
pub fn held_inputs(task: Option<&Task>, inputs: usize) -> Vec<(String, Vec<f64>)> {
    let none = vec![("no input".to_owned(), vec![0.0; inputs])];
    let Some(task) = task else { return none };
    let names = task.trials().inputs();
    let contexts = match task {
        Task::Context(_) => 2,
        Task::Switch(switch) => switch.decays.len(),
        _ => 0,
    };
    if contexts == 0 || names.len() != inputs || contexts > inputs {
        return none;
    }
    let context = |k: usize| {
        let mut u = vec![0.0; inputs];
        u[inputs - contexts + k] = 1.0;
        (names[inputs - contexts + k].clone(), u)
    };
    (0..contexts).map(context).collect()
}

/// Writes dynamics.json, figures/dynamics and figures/slow-dynamics of a network trained for a task, looked at on four held-out trials; nothing
/// once `stop` is true.
///
/// # Errors
/// As [`Linearised::of_network`]; a file that cannot be written.
pub fn write(
    folder: &Path,
    network: &Network,
    task: &Task,
    steps: usize,
    seed: u64,
    stop: &AtomicBool,
) -> Result<()> {
    let trials = held_out(task.trials(), steps, 4, seed);
    let trials: Vec<&[f64]> = trials.iter().map(|trial| trial.x.as_slice()).collect();
    let held = held_inputs(Some(task), network.input.ncols());
    let Some(found) = Linearised::of_network(network, &trials, &held, stop)? else { return Ok(()) };
    format::write_json(&folder.join("dynamics.json"), &found)?;
    let named = [(task.name(), 0, &found)];
    let drawn = multipliers::figure(&named).into_iter().chain(slow::figure(&named));
    figures::write(&folder.join("figures"), &drawn.collect::<Vec<Figure>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::synthetic::gaussian;

    /// A leaky network of three neurons, dense or the same at rank 2.
    fn leaky(form: Form, dense: bool) -> Network {
        let (u, v) = (
            Mat::from_fn(3, 2, |i, k| 0.3 * (i + 2 * k) as f64),
            Mat::from_fn(3, 2, |i, k| 0.4 - (i * k) as f64),
        );
        let recurrence =
            if dense { Recurrence::Dense(&u * v.transpose()) } else { Recurrence::LowRank { u, v } };
        let (input, readout) =
            (Mat::from_fn(3, 1, |i, _| 1.0 + i as f64), Mat::from_fn(1, 3, |_, j| j as f64));
        let mut network = Network::plain(Activation::Tanh, recurrence, input, readout);
        (network.form, network.alpha, network.bias) = (form, 0.3, vec![0.1, -0.2, 0.3]);
        network.initial = network.rest();
        network
    }

    #[test]
    fn states_are_those_of_the_run() {
        let x = gaussian(50, 1, 4);
        for form in [Form::Rate, Form::Current] {
            let states = |dense| steps_of(&leaky(form, dense), &x).into_iter().flat_map(|step| step.state);
            let carried = simulate::run(&leaky(form, true), &x, false).carried;
            assert_eq!(carried.len(), 150);
            assert!(states(true).eq(carried.iter().copied()), "{form:?}");
            assert!(zip(states(false), &carried).all(|(a, b)| (a - b).abs() < 1e-12), "{form:?}");
        }
    }

    /// Every trial from the start, and nothing when it is stopped.
    #[test]
    fn trials_are_runs_of_their_own() {
        let (network, x) = (leaky(Form::Rate, true), gaussian(24, 1, 4));
        let none = [("no input".to_owned(), vec![0.0])];
        let of = |trials: &[&[f64]], stop| {
            Linearised::of_network(&network, trials, &none, &AtomicBool::new(stop)).expect("is analysed")
        };
        let [once, twice] =
            [of(&[&x], false), of(&[&x, &x], false)].map(|found| found.expect("three neurons"));
        assert_eq!(twice.multipliers, [once.multipliers.clone(), once.multipliers].concat());
        assert!(of(&[&x], true).is_none());
    }
}
