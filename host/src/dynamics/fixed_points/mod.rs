//! Fixed and slow points of maps and flows, none of them a ghost.
//!
//! A fixed point is where the residual r(x) = f(x) - x of a map, F(x) of a flow, is 0. Newton's method, x' =
//! x - (dr/dx)^-1 r, with a clipped step and halved until |r| falls, starts at states of trajectories; then
//! at convex combinations of known points plus noise, until eight rounds in a row bring nothing: Newton's
//! method goes to the nearest root, and saddles lie between other points. A run ends early where a known
//! point takes it: where the step with the Jacobian *at the known point* leads to it. A point is accepted if
//! the largest entry of r is at most 1e-12 max(size, |x|), with size that of states ([`System::size`]), by which all
//! lengths here are. Where runs are stuck, q = |r|² / 2 is minimised: local minima
//! that are not fixed points are slow points, apart.
//!
//! The sum of sign det(-dr/dx) over all fixed points is 1 if f maps a ball into itself (Poincaré & Hopf), as
//! of networks of a bounded activation. Another sum proves that points are missing; the right one does not
//! prove that none is, as they may be missing in pairs.
//!
//! Sources: Sussillo & Barak 2013, Opening the black box, for q and slow points; the enrichment by mixtures
//! is our own.

mod continuum;
mod newton;
mod slow;
pub mod starts;

use std::sync::atomic::{AtomicBool, Ordering};

use faer::c64;
use rayon::prelude::*;
use serde::Serialize;
use tinyfold_core::Activation;

pub use super::spectrum::Spectrum;
pub use continuum::Continuum;
pub use slow::SlowPoint;

use crate::Result;
use crate::dynamics::spectrum::beyond;
use crate::dynamics::system::Scaled;
use crate::dynamics::vector::{distance, largest, scaled};
use crate::dynamics::{Kind, Rnn, System};
use crate::error::require;
use crate::network::Network;
use newton::{End, Known};
use slow::{Minimum, Trough};

/// Points whose entries differ by at most this are one.
const SAME: f64 = 1e-5;
/// The same of singular points, by 1 + |x|: a residual of 1e-12 leaves 1e-4 of them open.
const SAME_SINGULAR: f64 = 1e-3;

/// How to search for fixed points.
#[derive(Clone, Debug)]
pub struct Options {
    /// Seed of starts and mixtures.
    pub seed: u64,
    /// Standard deviation of random inputs of the starts, and of their states by the size of states.
    pub spread: f64,
    /// Rounds in a row that must bring nothing; five times as many while the index sum is wrong.
    pub quiet_rounds: usize,
    /// Starts a round.
    pub batch: usize,
    /// Most rounds in all.
    pub most_rounds: usize,
    /// Most points; the search ends there, and says so.
    pub most_points: usize,
    /// Mean standard deviation of the noise on mixtures, by the size of states; each has its own, exponentially
    /// distributed.
    pub noise: f64,
    /// Longest Newton step, by the size of states.
    pub clip: f64,
    /// Most minimisations of q, from stuck runs, that bring nothing new; 0: no slow points.
    pub most_slow: usize,
    /// Whether eigenvectors are wanted beside the eigenvalues.
    pub vectors: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 0,
            spread: 1.0,
            quiet_rounds: 8,
            batch: 16,
            most_rounds: 500,
            most_points: 2000,
            noise: 0.3,
            clip: 2.0,
            most_slow: 8,
            vectors: true,
        }
    }
}

/// A fixed point.
#[derive(Clone, Debug, Serialize)]
pub struct FixedPoint {
    /// x, n.
    #[serde(rename = "x")]
    pub state: Vec<f64>,
    /// Largest entry of |r(x)|.
    pub residual: f64,
    /// Number of unstable directions.
    pub index: usize,
    /// Whether all are stable: |lambda| < 1 of a map, Re lambda < 0 of a flow.
    pub stable: bool,
    /// sign det(-dr/dx); 0 at a corner and where dr/dx is singular.
    pub sign: i8,
    /// Whether dr/dx jumps there, as where a pre-activation of a ReLU is 0: the eigenvalues are those of one
    /// side.
    pub corner: bool,
    /// Whether dr/dx is singular to rounding, as at a fold: its stability is not decided by the eigenvalues.
    pub degenerate: bool,
    /// Eigenvalues and eigenvectors.
    #[serde(serialize_with = "values_alone")]
    pub spectrum: Spectrum,
}

fn values_alone<S: serde::Serializer>(
    spectrum: &Spectrum,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Values {
        eigenvalues: Vec<[f64; 2]>,
        time_constants: Vec<f64>,
    }
    let pair = |value: &c64| [value.re, value.im];
    let eigenvalues = spectrum.values.iter().map(pair).collect();
    Values { eigenvalues, time_constants: spectrum.time_constants.clone() }.serialize(serializer)
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct FixedPoints {
    /// Map or flow.
    pub kind: Kind,
    /// Isolated fixed points, by index.
    pub points: Vec<FixedPoint>,
    /// Slow points, slowest first.
    pub slow: Vec<SlowPoint>,
    /// A line or surface of fixed points, of which `points` holds none.
    pub continuum: Option<Continuum>,
    /// Sum of the points' signs.
    pub index_sum: i64,
    /// What the sum is when all points are known; `None` where it is not known: unbounded systems, a
    /// continuum, a point without a sign.
    pub expected_index_sum: Option<i64>,
    /// Rounds of mixtures.
    pub rounds: usize,
    /// Starts in all.
    pub starts: usize,
    /// Whether the search ended by itself: not by a limit or an interruption.
    pub finished: bool,
}

impl FixedPoints {
    /// Whether the search ended by itself and the index sum is right; `None` where the right one is not
    /// known.
    #[must_use]
    pub fn complete(&self) -> Option<bool> {
        self.expected_index_sum.map(|expected| self.finished && self.index_sum == expected)
    }

    /// Number of points of index 0, 1, ...
    #[must_use]
    pub fn histogram(&self) -> Vec<usize> {
        let most = self.points.iter().map(|point| point.index + 1).max().unwrap_or(0);
        let mut counts = vec![0; most];
        self.points.iter().for_each(|point| counts[point.index] += 1);
        counts
    }
}

/// All fixed points of a network under a held input.
///
/// u: I numbers in network units, held. Starts are states of the network under random inputs around u.
///
/// # Errors
/// As [`Rnn::new`] and [`find`].
///
/// ```
/// use std::sync::atomic::AtomicBool;
/// use tinyfold::dynamics::{Kind, fixed_points};
/// use tinyfold::network::{Activation, Network, Recurrence};
/// // h' = tanh(2 h): two stable points, and 0 between them.
/// let w = faer::Mat::from_fn(1, 1, |_, _| 2.0);
/// let none = || faer::Mat::zeros(1, 0);
/// let network = Network::plain(Activation::Tanh, Recurrence::Dense(w), none(), none().transpose().to_owned());
/// let found = fixed_points::of_network(&network, &[], Kind::Map, &Default::default(), &AtomicBool::new(false))?;
/// assert_eq!(found.histogram(), [2, 1]);
/// assert_eq!(found.complete(), Some(true));
/// # Ok::<(), tinyfold::Error>(())
/// ```
pub fn of_network(
    network: &Network,
    u: &[f64],
    kind: Kind,
    options: &Options,
    stop: &AtomicBool,
) -> Result<FixedPoints> {
    let rnn = Rnn::new(network, u, kind)?;
    let starts = starts::of_network(network, u, options.spread, options.seed)?;
    let bounded = matches!(
        network.activation,
        Activation::Tanh | Activation::Sigmoid { .. } | Activation::Clipped { .. }
    );
    find(&rnn, &starts, bounded.then_some(1), options, stop)
}

/// All fixed points that Newton's method finds from `starts` and from mixtures of what it found.
///
/// `index_sum`: the sum of sign det(-dr/dx) over all fixed points, where it is known. A true `stop` ends the
/// search, which keeps what was found. The same for any number of threads.
///
/// # Errors
/// No start; starts of another length than a state; eigenvalues that do not converge.
pub fn find(
    system: &dyn System,
    starts: &[Vec<f64>],
    index_sum: Option<i64>,
    options: &Options,
    stop: &AtomicBool,
) -> Result<FixedPoints> {
    require(system.dimension() > 0, "dimension", "at least 1", 0)?;
    starts::check(starts, system.dimension())?;
    require(!starts.is_empty(), "starts", "at least one finite state", "none")?;
    // The search is in states of size 1: its steps and tolerances are absolute.
    let system = Scaled::new(system);
    let starts: Vec<Vec<f64>> = starts.iter().map(|start| scaled(start, 1.0 / system.size)).collect();
    let mut search = Search {
        system: &system,
        options,
        stop,
        known: vec![],
        troughs: vec![],
        tried: 0,
        continuum: None,
        starts: 0,
    };
    for batch in starts.chunks(options.batch.max(1)) {
        search.run(batch);
    }
    let (rounds, finished) = search.enrich(&starts, index_sum);
    let Search { known, troughs, mut continuum, starts, .. } = search;
    let mut slow: Vec<SlowPoint> = troughs.into_iter().map(|trough| trough.point).collect();
    slow.sort_by(|a, b| a.q.total_cmp(&b.q));
    let points: Result<Vec<FixedPoint>> =
        known.into_par_iter().map(|known| described(&system, known, options.vectors)).collect();
    let mut points = points?;
    let unscale = |x: &mut Vec<f64>| *x = scaled(x, system.size);
    for point in &mut points {
        unscale(&mut point.state);
        point.residual *= system.size;
    }
    for point in &mut slow {
        unscale(&mut point.state);
        point.q *= system.size.powi(2);
    }
    continuum.iter_mut().flat_map(|continuum| &mut continuum.states).for_each(unscale);
    points.sort_by(|a, b| {
        a.index.cmp(&b.index).then(a.state.partial_cmp(&b.state).unwrap_or(std::cmp::Ordering::Equal))
    });
    Ok(FixedPoints {
        kind: system.kind(),
        index_sum: points.iter().map(|point| i64::from(point.sign)).sum(),
        expected_index_sum: index_sum
            .filter(|_| continuum.is_none() && points.iter().all(|point| point.sign != 0)),
        points,
        slow,
        continuum,
        rounds,
        starts,
        finished: finished && !stop.load(Ordering::Relaxed),
    })
}

/// The fixed point that Newton's method finds from one start, and the largest entry of its residual; `None`
/// where it is stuck or leaves the finite numbers.
#[must_use]
pub fn nearest(system: &dyn System, start: &[f64]) -> Option<(Vec<f64>, f64)> {
    let system = Scaled::new(system);
    match newton::run(&system, &scaled(start, 1.0 / system.size), Options::default().clip, &[], &[]) {
        End::Fixed(found) => Some((scaled(&found.state, system.size), system.size * found.residual)),
        _ => None,
    }
}

fn described(system: &dyn System, known: Known, vectors: bool) -> Result<FixedPoint> {
    let spectrum = if vectors {
        Spectrum::new(system, &known.state)?
    } else {
        Spectrum::values_alone(system, &known.state)?
    };
    let stable = spectrum.values.iter().all(|value| beyond(system.kind(), *value) < 0.0);
    let corner = is_corner(system, &known.state);
    Ok(FixedPoint {
        residual: known.residual,
        index: spectrum.unstable,
        stable,
        sign: if corner || known.degenerate { 0 } else { known.lu.sign_of_negative() },
        corner,
        degenerate: known.degenerate,
        spectrum,
        state: known.state,
    })
}

/// Whether the Jacobian is another one a hair away, in one of two opposite directions.
fn is_corner(system: &dyn System, x: &[f64]) -> bool {
    let side = |by: f64| {
        let jump = |(i, x): (usize, &f64)| x + by * (1.0 + x.abs()) * (1.0 + i as f64).sin();
        newton::residual_jacobian(system, &x.iter().enumerate().map(jump).collect::<Vec<f64>>())
    };
    let (one, other) = (side(1e-8), side(-1e-8));
    (&one - &other).norm_max() > 1e-4 * one.norm_max().max(other.norm_max()).max(1.0)
}

/// A search under way.
struct Search<'a> {
    system: &'a dyn System,
    options: &'a Options,
    stop: &'a AtomicBool,
    known: Vec<Known>,
    troughs: Vec<Trough>,
    /// Minimisations of q.
    tried: usize,
    continuum: Option<Continuum>,
    starts: usize,
}

impl Search<'_> {
    /// Runs Newton's method from a batch of starts; the number of new points.
    fn run(&mut self, batch: &[Vec<f64>]) -> usize {
        if self.stop.load(Ordering::Relaxed) {
            return 0;
        }
        self.starts += batch.len();
        let run =
            |start: &Vec<f64>| newton::run(self.system, start, self.options.clip, &self.known, &self.troughs);
        let ends: Vec<End> = batch.par_iter().map(run).collect();
        let mut new = 0;
        for end in ends {
            match end {
                End::Fixed(found) => new += usize::from(self.add(*found)),
                End::Stalled(x) => new += usize::from(self.minimise(&x)),
                End::Known | End::Lost => {}
            }
        }
        new
    }

    /// Minimises q from where a run was stuck; whether that led to a new fixed point.
    fn minimise(&mut self, x: &[f64]) -> bool {
        if self.tried >= self.options.most_slow {
            return false;
        }
        self.tried += 1;
        match slow::minimise(self.system, x, &self.known, &self.troughs) {
            Minimum::Slow(trough) => {
                let same = |other: &Trough| distance(&other.point.state, &trough.point.state) <= 10.0 * SAME;
                if !self.troughs.iter().any(same) {
                    self.troughs.push(trough);
                    self.tried -= 1;
                }
                false
            }
            Minimum::Fixed(x) => match newton::run(self.system, &x, self.options.clip, &[], &[]) {
                End::Fixed(found) => self.add(*found),
                _ => false,
            },
            Minimum::None => false,
        }
    }

    /// Adds a point that is not known, and not of a continuum.
    fn add(&mut self, found: Known) -> bool {
        if self.known.iter().any(|known| distance(&known.state, &found.state) <= SAME) {
            return false;
        }
        if found.degenerate {
            let within = SAME_SINGULAR * (1.0 + largest(&found.state));
            let mut singular = self.known.iter().filter(|known| known.degenerate);
            if singular.any(|known| distance(&known.state, &found.state) <= within) {
                return false;
            }
            if let Some(continuum) = &mut self.continuum {
                continuum.reached += 1;
                if continuum.states.len() < continuum::KEPT {
                    continuum.states.push(found.state);
                }
                return false;
            }
            self.continuum = Continuum::from(self.system, &found);
            if self.continuum.is_some() {
                return false;
            }
        }
        self.known.push(found);
        true
    }

    /// Rounds of mixtures until enough of them bring nothing; their number, and whether that was so.
    fn enrich(&mut self, starts: &[Vec<f64>], index_sum: Option<i64>) -> (usize, bool) {
        let mut quiet = 0;
        for round in 0..self.options.most_rounds {
            let sum: i64 = self.known.iter().map(|known| i64::from(known.lu.sign_of_negative())).sum();
            let right = self.continuum.is_some() || index_sum.is_none_or(|expected| sum == expected);
            if quiet >= self.options.quiet_rounds * if right { 1 } else { 5 } {
                return (round, true);
            }
            if self.known.len() >= self.options.most_points || self.stop.load(Ordering::Relaxed) {
                return (round, false);
            }
            let mut pool: Vec<&[f64]> = self.known.iter().map(|known| known.state.as_slice()).collect();
            pool.extend(self.continuum.iter().flat_map(|line| line.states.iter().map(Vec::as_slice)));
            pool.extend(self.troughs.iter().map(|trough| trough.point.state.as_slice()));
            if pool.len() < 2 {
                pool.extend(starts.iter().map(Vec::as_slice));
            }
            let Options { batch, noise, seed, .. } = *self.options;
            let mixtures = starts::mixtures(&pool, batch.max(1), noise, seed, round as u64);
            quiet = if self.run(&mixtures) == 0 { quiet + 1 } else { 0 };
        }
        (self.options.most_rounds, false)
    }
}
