//! What trajectories end on: points, cycles, and sets that an orbit fills.

use std::iter::zip;

use faer::Mat;
use serde::Serialize;

use super::Watch;
use super::run::run;
use crate::Result;
use crate::dynamics::stepper::Stepper;
use crate::dynamics::vector::{distance, dot, is_finite, largest, moved};
use crate::dynamics::{Kind, System};
use crate::error::require;

/// Part of the least distance between two attractors that counts as having reached one.
const NEAR: f64 = 0.2;
/// States of an orbit that a set is sampled by; as many again are compared with them.
const SAMPLE: usize = 2048;
/// Of those, how many are compared.
const COMPARED: usize = 256;
/// A map's orbit that comes back as near as this, relative to its size, is a cycle.
const CYCLE: f64 = 1e-7;
/// A flow's orbit that comes back as near as this, in parts of its extent, is a cycle: the error of its
/// interpolation.
const CLOSED: f64 = 1e-3;
/// Part of its extent that an orbit misses its sample by at most, if the sample is that of a recurrent set.
const FILLED: f64 = 0.25;
/// Part of its extent that a sample of a set misses another one of the same set by at most.
const SAME: f64 = 0.05;
/// Orbits without an end in sight after which no more are looked at.
const HOPELESS: usize = 8;

/// What an attractor is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Recurrence {
    /// A fixed point.
    Point,
    /// A cycle of a map, a closed orbit of a flow.
    Cycle {
        /// Time until it repeats: steps · dt of a map.
        period: f64,
    },
    /// Another set to which an orbit on it returns: an invariant circle, a torus, chaos;
    /// [`super::spectrum()`] tells.
    Set,
}

/// A set that trajectories come to and stay on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AttractingSet {
    /// What it is.
    #[serde(flatten)]
    pub recurrence: Recurrence,
    /// Its states, n each: the point, the points of a cycle of a map, or a sample of a curve or another set.
    pub states: Vec<Vec<f64>>,
    /// A state whose coordinates all differ by at most this from those of one of them is on it.
    pub reach: f64,
}

impl AttractingSet {
    /// A stable fixed point x, n.
    #[must_use]
    pub fn point(x: Vec<f64>, reach: f64) -> Self {
        Self { recurrence: Recurrence::Point, states: vec![x], reach }
    }

    /// A stable cycle of a map, n numbers a state.
    #[must_use]
    pub fn cycle(states: Vec<Vec<f64>>, reach: f64) -> Self {
        Self { recurrence: Recurrence::Cycle { period: states.len() as f64 }, states, reach }
    }

    /// Whether a state is on it.
    #[must_use]
    pub fn holds(&self, x: &[f64]) -> bool {
        self.states.iter().any(|state| zip(x, state).all(|(x, a)| (x - a).abs() <= self.reach))
    }
}

/// The attractors that trajectories from `starts` (n × m) come to, in the order in which the starts find
/// them, points first.
///
/// Lengths are in parts of [`System::size`]. At rest at a point: no coordinate moves by more than `tolerance` in a unit of
/// time, within `steps` steps of time `dt`; states whose coordinates differ by at most sqrt(tolerance) count as one. An orbit that is
/// not at rest then goes on for 4096 steps: it is on a cycle if it comes back to where it was, or on a set if
/// its second half stays near the states of its first. Orbits that do neither, as slow approaches and chaos
/// of many dimensions do, belong to no attractor. The reach of points and cycles of a map is a fifth of the
/// least distance between two attractors, at most 0.2; of other sets it is twice what their sample misses.
///
/// # Errors
/// Starts of another n, no steps, a tolerance or dt that is not above 0; ended early.
pub fn attractors<S: System + ?Sized>(
    system: &S,
    starts: &Mat<f64>,
    steps: usize,
    dt: f64,
    tolerance: f64,
    watch: &Watch,
) -> Result<Vec<AttractingSet>> {
    let n = system.dimension();
    require(starts.nrows() == n, "starts", format!("{n} numbers each"), starts.nrows())?;
    require(steps > 0, "steps", "at least 1", 0)?;
    require(tolerance > 0.0, "tolerance", "above 0", tolerance)?;
    let size = system.size();
    let (moves, same) = (tolerance * size, tolerance.sqrt() * size);
    let at_rest = |_: usize, x: &[f64], before: &[f64]| {
        zip(x, before).all(|(x, before)| (x - before).abs() <= moves * dt).then_some(())
    };
    let start = |k: usize| starts.col_as_slice(k).to_vec();
    let (mut found, mut restless): (Vec<AttractingSet>, Vec<Vec<f64>>) = (Vec::new(), Vec::new());
    for (rest, state) in run(system, starts.ncols(), start, steps, dt, watch, at_rest)? {
        let known = |known: &AttractingSet| distance(&known.states[0], &state) <= same;
        match rest {
            Some(()) if found.iter().any(known) => {}
            Some(()) => found.push(AttractingSet::point(state, 0.0)),
            None => restless.extend(is_finite(&state).then_some(state)),
        }
    }
    let mut hopeless = 0;
    for state in restless {
        if hopeless >= HOPELESS || watch.stopped() {
            break;
        }
        if !found.iter().any(|known| known.holds(&state)) {
            let Some(set) = recurrent(system, &state, dt) else {
                hopeless += 1;
                continue;
            };
            match found.iter_mut().find(|known| known.is_same(&set)) {
                // Another sample of a set that is known: an orbit may miss what another one fills.
                Some(known) => {
                    let off = missed(&known.states, &set.states);
                    if off <= SAME * extent(&known.states) {
                        known.reach = known.reach.max(2.0 * off);
                    }
                }
                None => found.push(set),
            }
        }
    }
    let exact = |set: &AttractingSet| match set.recurrence {
        Recurrence::Point => true,
        Recurrence::Cycle { .. } => system.kind() == Kind::Map,
        Recurrence::Set => false,
    };
    let apart = |a: &AttractingSet, b: &AttractingSet| {
        let pairs = a.states.iter().flat_map(|a| b.states.iter().map(move |b| distance(a, b)));
        pairs.fold(f64::INFINITY, f64::min)
    };
    let pairs = (0..found.len()).flat_map(|k| (0..k).map(move |j| (j, k)));
    let pairs = pairs.map(|(j, k)| (&found[j], &found[k])).filter(|(a, b)| exact(a) || exact(b));
    let least = pairs.map(|(a, b)| apart(a, b)).fold(size, f64::min);
    for set in found.iter_mut().filter(|set| exact(set)) {
        set.reach = (NEAR * least).max(same);
    }
    Ok(found)
}

impl AttractingSet {
    /// Whether another one is a sample of the same set.
    fn is_same(&self, other: &Self) -> bool {
        let sets = self.recurrence == Recurrence::Set && other.recurrence == Recurrence::Set;
        other.states.iter().any(|x| self.holds(x))
            || (sets && missed(&self.states, &other.states) <= SAME * extent(&self.states))
    }
}

/// The largest distance of some of `others` from the nearest of the states.
fn missed(states: &[Vec<f64>], others: &[Vec<f64>]) -> f64 {
    let off = |x: &Vec<f64>| states.iter().map(|state| distance(state, x)).fold(f64::INFINITY, f64::min);
    others.iter().step_by((others.len() / COMPARED).max(1)).map(off).fold(0.0, f64::max)
}

/// The largest distance from the first state.
fn extent(states: &[Vec<f64>]) -> f64 {
    states.iter().map(|x| distance(x, &states[0])).fold(0.0, f64::max)
}

/// The set that the orbit of x stays on; `None` if it does not come back.
fn recurrent<S: System + ?Sized>(system: &S, x: &[f64], dt: f64) -> Option<AttractingSet> {
    let flow = (system.kind() == Kind::Flow).then_some(dt);
    let mut stepper = Stepper::new(1, Mat::from_fn(x.len(), 1, |i, _| x[i]), flow);
    let orbit: Vec<Vec<f64>> = (0..2 * SAMPLE)
        .map(|_| {
            stepper.step(system);
            stepper.z.col_as_slice(0).to_vec()
        })
        .collect();
    if !is_finite(&orbit[2 * SAMPLE - 1]) {
        return None;
    }
    let (first, second) = orbit.split_at(SAMPLE);
    let size = extent(first);
    if flow.is_none() {
        let unit = system.size();
        let near = |x: &[f64]| CYCLE * (unit + largest(x));
        let same = |a: &[f64], b: &[f64]| distance(a, b) <= near(a);
        let back = |k: &usize| same(&first[0], &first[*k]) && same(&first[0], &orbit[2 * k]);
        match (1..SAMPLE).find(back) {
            // Not at rest, and hardly moving: on its way to a point.
            Some(1) => return None,
            Some(k) => {
                let period = k as f64 * dt;
                return Some(AttractingSet {
                    recurrence: Recurrence::Cycle { period },
                    states: first[..k].to_vec(),
                    // By which others that end on it are told, until all are known.
                    reach: 10.0 * near(&first[0]),
                });
            }
            None => {}
        }
    }
    let closed = flow.and_then(|dt| closed(system, first, size, dt));
    let states = &first[..closed.map_or(SAMPLE, |(steps, _)| steps)];
    let missed = missed(states, second);
    // What only slows down does not move as far again.
    let stays = missed <= FILLED * size && extent(second) >= 0.5 * size && size > 0.0;
    let recurrence = closed.map_or(Recurrence::Set, |(_, period)| Recurrence::Cycle { period });
    stays.then(|| AttractingSet { recurrence, states: states.to_vec(), reach: 2.0 * missed })
}

/// Steps of a flow's orbit until it has come back to its first state, and the time.
fn closed<S: System + ?Sized>(system: &S, orbit: &[Vec<f64>], size: f64, dt: f64) -> Option<(usize, f64)> {
    let slope = |x: &[f64]| {
        let mut out = vec![0.0; x.len()];
        system.value(x, &mut out);
        out
    };
    let (start, normal) = (&orbit[0], slope(&orbit[0]));
    let ahead = |x: &[f64]| dot(&moved(x, -1.0, start), &normal);
    (1..orbit.len() - 1).find_map(|k| {
        let (a, b) = (&orbit[k], &orbit[k + 1]);
        if !(ahead(a) < 0.0 && ahead(b) >= 0.0) || distance(a, start).min(distance(b, start)) > 0.25 * size {
            return None;
        }
        // The cubic of a step, cut by the plane through the first state across its velocity.
        let (from, to) = (slope(a), slope(b));
        let at = |s: f64| -> Vec<f64> {
            let (u, v) = (s * s * (3.0 - 2.0 * s), dt * s * (1.0 - s));
            (0..a.len()).map(|i| a[i] + u * (b[i] - a[i]) + v * ((1.0 - s) * from[i] - s * to[i])).collect()
        };
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..50 {
            let middle = f64::midpoint(low, high);
            if ahead(&at(middle)) < 0.0 { low = middle } else { high = middle }
        }
        (distance(&at(low), start) <= CLOSED * size).then(|| (k + 1, (k as f64 + low) * dt))
    })
}
