//! A cycle from its word: its orbit to rounding and its multipliers.

use std::collections::HashSet;
use std::iter::zip;

use faer::Mat;
use faer::prelude::Solve;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::Serialize;

use super::search::{by_rows, compose, solve};
use super::{Piecewise, Region, System};
use crate::Result;
use crate::dynamics::vector::{distance, largest, moved};
use crate::dynamics::{Kind, spectrum};

/// Residual of a cycle, relative to its size.
const RESIDUAL: f64 = 1e-12;
/// Closer to a border than this, relative to its size, a cycle may be found from both sides.
pub(super) const BORDER: f64 = 1e-9;

/// A fixed point (period 1) or a cycle.
#[derive(Clone, Debug, Serialize)]
pub struct Cycle {
    /// k, the least number of steps after which it repeats.
    pub period: usize,
    /// The region of each point.
    pub regions: Vec<Region>,
    /// The k points, each n numbers.
    pub orbit: Vec<Vec<f64>>,
    /// The largest |f(z_t) - z_{t + 1}|.
    pub residual: f64,
    /// The least distance of a gate from a border of its piece.
    pub margin: f64,
    /// Whether that is 0 but for rounding: its eigenvalues are those of one side of the border, of the sides that are
    /// looked at that where they are largest.
    pub border: bool,
    /// Eigenvalues (real, imaginary) of the product of the k Jacobians, largest first.
    pub eigenvalues: Vec<(f64, f64)>,
    /// The largest of their absolute values.
    pub spectral_radius: f64,
    /// Whether it is below 1.
    pub stable: bool,
    /// How many of them are above 1.
    pub index: usize,
}

/// The system of all k points at once, z_{t + 1} - A_t z_t = b_t: well conditioned where the product of many
/// Jacobians is not.
pub(super) fn whole_orbit(map: &Piecewise, word: &[Region]) -> (Mat<f64>, Mat<f64>) {
    let (n, k) = (map.n(), word.len());
    let mut system = Mat::zeros(n * k, n * k);
    let mut right = Mat::zeros(n * k, 1);
    for (t, region) in word.iter().enumerate() {
        let affine = map.affine(region);
        let next = (t + 1) % k * n;
        for i in 0..n {
            system[(t * n + i, next + i)] += 1.0;
            right[(t * n + i, 0)] = affine[(i, n)];
            for j in 0..n {
                system[(t * n + i, t * n + j)] -= affine[(i, j)];
            }
        }
    }
    (system, right)
}

/// \[A | b\] of the regions of a word, by rows.
fn maps(map: &Piecewise, word: &[Region]) -> Vec<Vec<f64>> {
    word.iter().map(|region| by_rows(&map.affine(region))).collect()
}

/// \[A | b\] of one way through all of them, by rows.
fn whole(n: usize, maps: &[Vec<f64>]) -> Vec<f64> {
    let mut product = maps[0].clone();
    let mut next = product.clone();
    for map in &maps[1..] {
        compose(n, map, &product, &mut next);
        std::mem::swap(&mut product, &mut next);
    }
    product
}

/// The product of the Jacobians of a word, that of its first region first applied.
pub(super) fn product(map: &Piecewise, word: &[Region]) -> Mat<f64> {
    product_of(map.n(), &maps(map, word))
}

fn product_of(n: usize, maps: &[Vec<f64>]) -> Mat<f64> {
    let whole = whole(n, maps);
    Mat::from_fn(n, n, |i, j| whole[i * (n + 1) + j])
}

/// The orbit of a word by the product of its maps and one correction of all points; `None` where the product
/// is too rounded for that.
fn short_orbit(n: usize, maps: &[Vec<f64>]) -> Option<Vec<Vec<f64>>> {
    let k = maps.len();
    let mut product = whole(n, maps);
    let mut work = product.clone();
    let step = |map: &[f64], z: &[f64], unit: f64| -> Vec<f64> {
        let row = |row: &[f64]| zip(row, z).fold(unit * row[n], |sum, (a, z)| sum + a * z);
        map.chunks_exact(n + 1).map(row).collect()
    };
    let mut first = vec![0.0; n];
    if !solve(n, &product, &mut work, &mut first) {
        return None;
    }
    let mut orbit = vec![first];
    for t in 1..k {
        orbit.push(step(&maps[t - 1], &orbit[t - 1], 1.0));
    }
    for correction in 0..3 {
        let rest: Vec<Vec<f64>> = (0..k)
            .map(|t| zip(step(&maps[t], &orbit[t], 1.0), &orbit[(t + 1) % k]).map(|(f, z)| f - z).collect())
            .collect();
        let size = 1.0 + orbit.iter().map(|z| largest(z)).fold(0.0, f64::max);
        if correction > 0 && rest.iter().all(|rest| largest(rest) <= 1e-14 * size) {
            return Some(orbit);
        }
        // delta_{t + 1} = A_t delta_t + rest_t, once around.
        let add =
            |delta: Vec<f64>, rest: &[f64]| -> Vec<f64> { zip(delta, rest).map(|(a, b)| a + b).collect() };
        let around = (0..k).fold(vec![0.0; n], |delta, t| add(step(&maps[t], &delta, 0.0), &rest[t]));
        zip(product.chunks_exact_mut(n + 1), around).for_each(|(row, sum)| row[n] = sum);
        let mut delta = vec![0.0; n];
        if !solve(n, &product, &mut work, &mut delta) {
            return None;
        }
        for t in 0..k {
            zip(&mut orbit[t], &delta).for_each(|(z, delta)| *z += delta);
            delta = add(step(&maps[t], &delta, 0.0), &rest[t]);
        }
    }
    None
}

/// The orbit of a word by the system of all its points.
fn long_orbit(map: &Piecewise, word: &[Region]) -> Option<Vec<Vec<f64>>> {
    let (system, right) = whole_orbit(map, word);
    let lu = system.partial_piv_lu();
    let mut all = lu.solve(&right);
    all += lu.solve(&right - &system * &all);
    all.is_all_finite().then(|| all.col_as_slice(0).chunks_exact(map.n()).map(<[f64]>::to_vec).collect())
}

/// The cycle of a word; `None` if its orbit is not one of the map or repeats after fewer steps.
pub(super) fn cycle(map: &Piecewise, word: &[Region]) -> Result<Option<Cycle>> {
    let (n, k) = (map.n(), word.len());
    let linear = maps(map, word);
    let Some(mut orbit) = short_orbit(n, &linear).or_else(|| long_orbit(map, word)) else { return Ok(None) };
    let size = 1.0 + orbit.iter().map(|z| largest(z)).fold(0.0, f64::max);
    let mut value = vec![0.0; n];
    let mut residual = 0.0_f64;
    for t in 0..k {
        map.value(&orbit[t], &mut value);
        residual = zip(&value, &orbit[(t + 1) % k]).fold(residual, |most, (f, z)| most.max((f - z).abs()));
    }
    let shorter = (1..k).any(|d| k.is_multiple_of(d) && distance(&orbit[0], &orbit[d]) < BORDER * size);
    if residual > RESIDUAL * size || shorter {
        return Ok(None);
    }
    let mut regions: Vec<Region> = orbit.iter().map(|z| map.region(z)).collect();
    let margin = orbit.iter().map(|z| map.margin(z)).fold(f64::INFINITY, f64::min);
    // The multipliers do not depend on where the word begins; on a border rounding chooses the side.
    let product = if regions == word { product_of(n, &linear) } else { product(map, &regions) };
    let eigenvalues = spectrum::of_matrix(Kind::Map, product.as_ref())?;
    let eigenvalues: Vec<(f64, f64)> = eigenvalues.into_iter().map(|value| (value.re, value.im)).collect();
    // The least rotation first: on a border it need not be that of the word.
    let key: Vec<Vec<u8>> = regions.iter().map(digits).collect();
    let from = |turn: usize| key.iter().cycle().skip(turn).take(k);
    let least = (0..k).min_by(|&a, &b| from(a).cmp(from(b))).unwrap_or(0);
    regions.rotate_left(least);
    orbit.rotate_left(least);
    let mut found = Cycle {
        period: k,
        regions,
        orbit,
        residual,
        margin,
        border: margin < BORDER * size,
        eigenvalues: Vec::new(),
        spectral_radius: 0.0,
        stable: true,
        index: 0,
    };
    found.judge(eigenvalues);
    Ok(Some(found))
}

/// Gate 0 counts least, as in the bits of a mask.
pub(super) fn digits(region: &Region) -> Vec<u8> {
    region.0.iter().rev().copied().collect()
}

/// Directions from a cycle on a border in which its sides are looked for, and as many opposite ones.
const DIRECTIONS: u64 = 32;
/// How far they go, relative to its size: well beyond what counts as the border.
const ASIDE: f64 = 1e-6;

impl Cycle {
    /// A cycle on a border with the eigenvalues of the side where they are largest, of those that trajectories from
    /// beside its first point pass: rounding chooses the side of the cycle itself.
    pub(super) fn of_all_sides(mut self, map: &Piecewise) -> Result<Self> {
        if !self.border {
            return Ok(self);
        }
        let far = ASIDE * (1.0 + self.orbit.iter().map(|z| largest(z)).fold(0.0, f64::max));
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let mut sides: HashSet<Vec<Region>> = HashSet::new();
        for _ in 0..DIRECTIONS {
            let direction: Vec<f64> = (0..map.n()).map(|_| StandardNormal.sample(&mut random)).collect();
            for sign in [-far, far] {
                let mut z = moved(&self.orbit[0], sign, &direction);
                let mut next = z.clone();
                let mut word = Vec::with_capacity(self.period);
                for _ in 0..self.period {
                    word.push(map.region(&z));
                    map.value(&z, &mut next);
                    std::mem::swap(&mut z, &mut next);
                }
                sides.insert(word);
            }
        }
        let mut sides: Vec<Vec<Region>> = sides.into_iter().collect();
        sides.sort_unstable();
        for side in sides {
            let values = spectrum::of_matrix(Kind::Map, product(map, &side).as_ref())?;
            let values: Vec<(f64, f64)> = values.into_iter().map(|value| (value.re, value.im)).collect();
            if values.first().is_some_and(|&(re, im)| re.hypot(im) > self.spectral_radius) {
                self.judge(values);
            }
        }
        Ok(self)
    }

    /// Takes over eigenvalues, largest first.
    fn judge(&mut self, eigenvalues: Vec<(f64, f64)>) {
        let lengths = || eigenvalues.iter().map(|&(re, im)| re.hypot(im));
        self.spectral_radius = lengths().next().unwrap_or(0.0);
        self.stable = self.spectral_radius < 1.0;
        self.index = lengths().filter(|&length| length > 1.0).count();
        self.eigenvalues = eigenvalues;
    }

    /// Whether two cycles are one, up to rounding: asked for those on borders, which more than one word
    /// gives.
    pub(super) fn same(&self, other: &Self) -> bool {
        let size = 1.0 + self.orbit.iter().map(|z| largest(z)).fold(0.0, f64::max);
        let rotated = |turn: usize| {
            zip(&self.orbit, other.orbit.iter().cycle().skip(turn))
                .all(|(a, b)| distance(a, b) < BORDER * size)
        };
        self.period == other.period && (0..self.period).any(rotated)
    }
}

/// The powers m of the word of a cycle, m k <= most, for which 1 may be an eigenvalue of the product though
/// it is none of the word's own: repeated, the word may hold a continuum of longer cycles.
///
/// Only words of cycles can: the mean over the visits to a region of a longer cycle is, regions being convex,
/// an orbit of the word itself.
pub(super) fn singular_powers(cycle: &Cycle, most: usize) -> Vec<usize> {
    let from_one = |(re, im): (f64, f64)| (re - 1.0).hypot(im);
    let root = |&value: &(f64, f64), m: usize| {
        let power =
            (0..m).fold((1.0, 0.0), |p, _| (p.0 * value.0 - p.1 * value.1, p.0 * value.1 + p.1 * value.0));
        from_one(power) < 1e-6 && from_one(value) > 1e-6
    };
    (2..=most / cycle.period).filter(|&m| cycle.eigenvalues.iter().any(|value| root(value, m))).collect()
}
