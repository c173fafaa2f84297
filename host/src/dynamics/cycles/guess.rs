//! Words of cycles where regions are too many to try all: solve for the word of a start, take the regions of
//! the solution as the next word, until they are the word.
//!
//! Source: Eisenmann, Monfared, Göring & Durstewitz 2023 (SCYFI); starts from trajectories and the end of a
//! start that comes back to a word are our own.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use faer::Mat;
use faer::prelude::Solve;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;

use super::{Options, Piecewise, Region, System};
use crate::dynamics::vector::largest;

/// Words whose solution is in their regions, each once as its least rotation, and how many systems were
/// solved.
pub(super) fn words(
    map: &Piecewise,
    k: usize,
    options: &Options,
    stop: &AtomicBool,
) -> (Vec<Vec<Region>>, u64) {
    let from_start = |start: usize| {
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        rng.set_stream(((k as u64) << 32) | start as u64);
        let mut word =
            if start.is_multiple_of(2) { itinerary(map, k, &mut rng) } else { scattered(map, k, &mut rng) };
        let mut seen = HashSet::new();
        for solves in 0..options.solves as u64 {
            if stop.load(Ordering::Relaxed) || !seen.insert(word.clone()) {
                return (None, solves);
            }
            let Some(next) = regions_of_solution(map, &word) else { return (None, solves + 1) };
            if next == word {
                return (Some(least_rotation(word)), solves + 1);
            }
            word = next;
        }
        (None, options.solves as u64)
    };
    let counted = |start: usize| {
        if stop.load(Ordering::Relaxed) {
            return (None, 0);
        }
        let result = from_start(start);
        options.bar.inc(1);
        result
    };
    let results: Vec<(Option<Vec<Region>>, u64)> = (0..options.starts).into_par_iter().map(counted).collect();
    let mut seen = HashSet::new();
    let solved = results.iter().map(|result| result.1).sum();
    let new = |word: &Vec<Region>| seen.insert(word.clone());
    (results.into_iter().filter_map(|result| result.0).filter(new).collect(), solved)
}

pub(super) fn least_rotation(mut word: Vec<Region>) -> Vec<Region> {
    let least = (0..word.len()).min_by_key(|&t| [&word[t..], &word[..t]].concat()).unwrap_or(0);
    word.rotate_left(least);
    word
}

/// A state of random size.
fn state(map: &Piecewise, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let size = 10_f64.powf(rng.random_range(-1.0..1.0)) * (0.1 + largest(&map.s).max(largest(&map.r)));
    (0..map.n()).map(|_| size * rng.sample::<f64, _>(StandardNormal)).collect()
}

/// The regions that a trajectory passes in k steps, after some.
fn itinerary(map: &Piecewise, k: usize, rng: &mut ChaCha8Rng) -> Vec<Region> {
    let mut z = state(map, rng);
    let mut next = z.clone();
    let before = rng.random_range(0..100);
    let mut word = Vec::new();
    for t in 0..before + k {
        if t >= before {
            word.push(map.region(&z));
        }
        map.value(&z, &mut next);
        // A trajectory that leaves says nothing; its last state within reach does.
        if next.iter().all(|z| z.abs() < 1e12) {
            std::mem::swap(&mut z, &mut next);
        }
    }
    word
}

/// The regions of k random states.
fn scattered(map: &Piecewise, k: usize, rng: &mut ChaCha8Rng) -> Vec<Region> {
    (0..k).map(|_| map.region(&state(map, rng))).collect()
}

/// The regions of the points that solve the linear system of a word, `None` if it is singular.
fn regions_of_solution(map: &Piecewise, word: &[Region]) -> Option<Vec<Region>> {
    let n = map.n();
    let maps: Vec<Mat<f64>> = word.iter().map(|region| map.affine(region)).collect();
    let mut product = Mat::<f64>::identity(n, n + 1);
    for affine in &maps {
        product = affine.subcols(0, n) * &product;
        for i in 0..n {
            product[(i, n)] += affine[(i, n)];
        }
    }
    let system = Mat::<f64>::identity(n, n) - product.subcols(0, n);
    let mut z = system.partial_piv_lu().solve(product.subcols(n, 1));
    let mut regions = Vec::with_capacity(word.len());
    for affine in &maps {
        if !z.is_all_finite() {
            return None;
        }
        regions.push(map.region(z.col_as_slice(0)));
        z = affine.subcols(0, n) * &z + affine.subcols(n, 1);
    }
    Some(regions)
}
