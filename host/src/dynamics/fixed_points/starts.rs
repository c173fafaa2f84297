//! Where the search for fixed points starts.

use std::iter::zip;

use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, Exp1, StandardNormal};
use rayon::prelude::*;

use crate::dynamics::stepper::advanced;
use crate::dynamics::{Kind, Rnn, System};
use crate::network::Network;
use crate::{Error, Result};

/// Trajectories of the starts.
const TRAJECTORIES: usize = 16;
/// States taken of each trajectory.
const STATES: usize = 4;
/// Steps between the states of a trajectory.
const STEPS: usize = 8;
/// Time of a step of a flow, in units of its time.
const TIME_STEP: f64 = 0.25;
/// Most points that a mixture is of.
const PARTS: usize = 6;
/// Streams of random numbers from here on are those of mixtures.
const MIXTURES: u64 = 1 << 32;

fn generator(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

fn gaussian(rng: &mut ChaCha8Rng, size: f64) -> f64 {
    let value: f64 = StandardNormal.sample(rng);
    size * value
}

/// States of 16 trajectories, 4 of each, that begin at Gaussian states of standard deviation `spread` times the size
/// of states.
///
/// A map is iterated, a flow integrated by Runge and Kutta's method in steps of 0.25. States that are not
/// finite are left out.
#[must_use]
pub fn of_system(system: &dyn System, spread: f64, seed: u64) -> Vec<Vec<f64>> {
    trajectories(spread * system.size(), seed, system.dimension(), |_, x| advance(system, x))
}

/// States of 16 trajectories of a network, 4 of each, that begin at Gaussian states of standard deviation
/// `spread` times the size of states under Gaussian inputs of that standard deviation `spread` around `u`, another one
/// after every state.
///
/// # Errors
/// As [`Rnn::new`].
pub fn of_network(network: &Network, u: &[f64], spread: f64, seed: u64) -> Result<Vec<Vec<f64>>> {
    let rnn = Rnn::new(network, u, Kind::Map)?;
    let drive = |rng: &mut ChaCha8Rng| {
        let mut driven = rnn.clone();
        for k in 0..u.len() {
            let by = gaussian(rng, spread);
            zip(&mut driven.drive, network.input.col_as_slice(k)).for_each(|(g, b)| *g += by * b);
        }
        driven
    };
    Ok(trajectories(spread * rnn.size(), seed, rnn.dimension(), |rng, x| advance(&drive(rng), x)))
}

/// Trajectories of `steps` states from Gaussian states of standard deviation `spread` times the size of states, to be
/// drawn; each ends where it is not finite.
#[must_use]
pub fn paths(system: &dyn System, spread: f64, count: usize, steps: usize, seed: u64) -> Vec<Vec<Vec<f64>>> {
    let path = |k: usize| {
        let mut rng = generator(seed, k as u64);
        let size = spread * system.size();
        let mut x: Vec<f64> = (0..system.dimension()).map(|_| gaussian(&mut rng, size)).collect();
        let next = |_: usize| {
            let now = x.clone();
            advance_once(system, &mut x);
            now
        };
        (0..steps).map(next).take_while(|x| x.iter().all(|x| x.is_finite())).collect()
    };
    (0..count).into_par_iter().map(path).collect()
}

/// Starts at Gaussian states, and what `advance` makes of them again and again.
fn trajectories(
    spread: f64,
    seed: u64,
    n: usize,
    advance: impl Fn(&mut ChaCha8Rng, &mut Vec<f64>) + Sync,
) -> Vec<Vec<f64>> {
    let of = |trajectory: usize| {
        let mut rng = generator(seed, trajectory as u64);
        let mut x: Vec<f64> = (0..n).map(|_| gaussian(&mut rng, spread)).collect();
        let next = |k: usize| {
            if k > 0 {
                advance(&mut rng, &mut x);
            }
            x.clone()
        };
        (0..STATES).map(next).collect::<Vec<Vec<f64>>>()
    };
    let all: Vec<Vec<Vec<f64>>> = (0..TRAJECTORIES).into_par_iter().map(of).collect();
    all.into_iter().flatten().filter(|x| x.iter().all(|x| x.is_finite())).collect()
}

fn advance(system: &dyn System, x: &mut Vec<f64>) {
    (0..STEPS).for_each(|_| advance_once(system, x));
}

/// A step of a map, or of RK4 of a flow.
fn advance_once(system: &dyn System, x: &mut Vec<f64>) {
    let value = |x: &[f64]| {
        let mut out = vec![0.0; x.len()];
        system.value(x, &mut out);
        out
    };
    *x = advanced(system.kind(), value, x, TIME_STEP);
}

/// Convex combinations of 2 to 6 random states (of 1 if there is no other) with Dirichlet weights, plus
/// Gaussian noise of random size.
pub(super) fn mixtures(pool: &[&[f64]], count: usize, noise: f64, seed: u64, round: u64) -> Vec<Vec<f64>> {
    let mut rng = generator(seed, MIXTURES + round);
    let mixture = |_: usize| {
        // Pairs are the most frequent: most saddles lie between two points.
        let more: f64 = Exp1.sample(&mut rng);
        let parts = (2 + (1.2 * more) as usize).min(PARTS).min(pool.len());
        let chosen = index::sample(&mut rng, pool.len(), parts);
        let weights: Vec<f64> = (0..parts).map(|_| Exp1.sample(&mut rng)).collect();
        let sum: f64 = weights.iter().sum();
        let mut x = vec![0.0; pool[0].len()];
        for (at, weight) in zip(chosen, weights) {
            zip(&mut x, pool[at]).for_each(|(x, state)| *x += weight / sum * state);
        }
        // Noise of many sizes finds points near the mixtures and away from them.
        let size: f64 = Exp1.sample(&mut rng);
        for x in &mut x {
            *x += gaussian(&mut rng, noise * size);
        }
        x
    };
    (0..count).map(mixture).collect()
}

/// Refuses starts of another length than the state.
pub(super) fn check(starts: &[Vec<f64>], n: usize) -> Result<()> {
    let wrong = starts.iter().position(|start| start.len() != n || start.iter().any(|x| !x.is_finite()));
    wrong.map_or(Ok(()), |k| {
        let found = format!("{} numbers", starts[k].len());
        Err(Error::input(format!("start {k}"), format!("{n} finite numbers, as a state has"), found))
    })
}
