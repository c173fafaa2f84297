//! Fixed points to start from: Newton from states of trajectories.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;

use super::Start;
use super::field::{Field, One, derivative};
use super::linear::{Lu, largest, moved};
use crate::dynamics::{Family, Kind};

/// Newton for a fixed point at mu, with steps of at most 2 and halved until the residual falls.
///
/// `None` if max |R_i| does not fall below 1e-12 (1 + max |x_i|).
#[must_use]
pub fn newton<F: Family + ?Sized>(family: &F, x: &[f64], mu: f64) -> Option<Vec<f64>> {
    let (field, n) = (One(family), family.dimension());
    let mut y = x.to_vec();
    y.push(mu);
    let rest = |y: &[f64]| {
        let mut rest = vec![0.0; n];
        field.residual(y, &mut rest);
        rest
    };
    let mut now = rest(&y);
    for _ in 0..60 {
        let size = largest(&now);
        if size <= 1e-12 * (1.0 + largest(&y[..n])) {
            y.truncate(n);
            return Some(y);
        }
        let jacobian = derivative(&field, &y).submatrix(0, 0, n, n).to_owned();
        let mut by = Lu::new(jacobian).solve_vector(&now);
        by.push(0.0);
        let length = largest(&by);
        if !length.is_finite() {
            return None;
        }
        let mut share = (2.0 / length).min(1.0);
        let next = (0..12).find_map(|_| {
            let tried = moved(&y, -share, &by);
            let left = rest(&tried);
            share *= 0.5;
            (largest(&left) < size).then_some((tried, left))
        });
        (y, now) = next?;
    }
    None
}

/// Adds a fixed point that is not known.
fn add(found: &mut Vec<Start>, x: Option<Vec<f64>>, mu: f64) {
    let new = |x: &Vec<f64>| found.iter().all(|known| largest(&moved(&known.x, -1.0, x)) > 1e-6);
    if let Some(x) = x.filter(new) {
        found.push(Start { mu, x });
    }
}

/// Distinct fixed points at every mu, by [`newton`] from states of random trajectories and from middles of those found.
///
/// The trajectories start at standard normal states; states are taken at times 0 to 200 (steps of a map, units of time
/// of a flow), more of them early. Not every fixed point is found so; give those of a thorough search where you can.
#[must_use]
pub fn starts<F: Family + ?Sized>(family: &F, mus: &[f64], trajectories: usize, seed: u64) -> Vec<Start> {
    let n = family.dimension();
    let at = |k: usize| {
        let mu = mus[k];
        let mut found: Vec<Start> = Vec::new();
        for trajectory in 0..trajectories {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream((k * trajectories + trajectory) as u64);
            let mut x: Vec<f64> = (0..n).map(|_| random.sample(StandardNormal)).collect();
            let mut out = vec![0.0; n];
            let steps = if family.kind() == Kind::Map { 200 } else { 1000 };
            let mut next = 1;
            for step in 1..=steps {
                family.value(&x, mu, &mut out);
                match family.kind() {
                    Kind::Map => x.copy_from_slice(&out),
                    Kind::Flow => x = moved(&x, 0.2, &out),
                }
                if !largest(&x).is_finite() {
                    break;
                }
                if step == next || step == steps {
                    next *= 3;
                    add(&mut found, newton(family, &x, mu), mu);
                }
            }
        }
        // Saddles lie between what trajectories find.
        for _ in 0..2 {
            let known: Vec<Vec<f64>> = found.iter().take(16).map(|start| start.x.clone()).collect();
            for (i, a) in known.iter().enumerate() {
                for b in &known[..i] {
                    let middle: Vec<f64> = std::iter::zip(a, b).map(|(a, b)| f64::midpoint(*a, *b)).collect();
                    add(&mut found, newton(family, &middle, mu), mu);
                }
            }
        }
        found
    };
    (0..mus.len()).into_par_iter().flat_map_iter(at).collect()
}
