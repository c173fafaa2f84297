//! All fixed points of a map with more regions than can be listed: branch and bound over the pieces of its gates.
//!
//! At a fixed point p = T sigma(p) + t with T = Q (I - A)⁻¹ P, t = Q (I - A)⁻¹ s + r. A gate whose piece is
//! chosen gives an equation and inequalities in the values of sigma; one whose piece is open gives what holds
//! on all its pieces, as sigma >= 0 and sigma >= p of a ReLU. Choices that these exclude, by the proof of [`nearest`],
//! are left out with all that extend them. For a ReLU this is the enumeration of all solutions of the linear
//! complementarity problem sigma >= 0, sigma - p >= 0, sigma (sigma - p) = 0.
//!
//! Before that: sigma has slopes in \[0, 1\], so that there is at most one fixed point where I - (T + Tᵀ) / 2
//! is positive definite, and no other cycle either where |A| + |P| |Q| has a spectral radius below 1, for then
//! the map contracts in some norm.
//!
//! Source: Cottle, Pang & Stone 1992, The Linear Complementarity Problem, chapter 3 (uniqueness).

use std::sync::atomic::{AtomicBool, Ordering};

use faer::prelude::Solve;
use faer::{Mat, Side};
use indicatif::ProgressBar;
use rayon::prelude::*;

use super::regions::nearest;
use super::{Piece, Piecewise, Region};
use crate::dynamics::linear::add_product;

/// Tests times g⁴ at most: a test is a least-squares problem of g unknowns, solved for up to g sets of rows.
const WORK: f64 = 2e9;
/// Nodes that are tested in parallel.
const BATCH: usize = 64;
/// How far below 1, or above 0, a proof in rounded numbers must be.
const CLEAR: f64 = 1e-9;

/// What the search found.
#[derive(Debug, Default)]
pub(super) struct Bounded {
    /// Regions that no bound excludes.
    pub(super) regions: Vec<Region>,
    /// Whether all others are excluded.
    pub(super) complete: bool,
}

/// Fixed points as p = T sigma(p) + t.
pub(super) struct Gates<'a> {
    pieces: &'a [Piece],
    t: Mat<f64>,
    constant: Vec<f64>,
    /// Whether sigma(c p) = c sigma(p), c > 0, and t = 0: then p = 0 is a fixed point, and all others come as rays.
    rays: bool,
    convex: bool,
    concave: bool,
}

/// Chosen pieces.
type Choice = Vec<Option<u8>>;

/// What a test says of a choice.
enum Visit {
    Empty,
    Whole(Region),
    Split(Vec<Choice>),
}

/// Whether the map contracts in some norm: it has one fixed point and no other cycle.
pub(super) fn contracts(map: &Piecewise) -> bool {
    if !gentle(&map.pieces) {
        return false;
    }
    let size = |m: &Mat<f64>| Mat::from_fn(m.nrows(), m.ncols(), |i, j| m[(i, j)].abs());
    let all = size(&map.a) + size(&map.p) * size(&map.q);
    // max_i (M x)_i / x_i bounds the spectral radius for every x > 0 (Collatz & Wielandt).
    let mut x = vec![1.0; map.n()];
    for _ in 0..100 {
        let mut next = vec![0.0; x.len()];
        add_product(&mut next, &all, &x);
        let most = next.iter().zip(&x).map(|(next, x)| next / x).fold(0.0, f64::max);
        if most < 1.0 - CLEAR {
            return true;
        }
        let size = next.iter().fold(1e-300, |most: f64, x| most.max(*x));
        x = x.iter().zip(&next).map(|(x, next)| 0.5 * x + 0.5 * next / size + 1e-12).collect();
    }
    false
}

/// Whether all slopes are in \[0, 1\].
fn gentle(pieces: &[Piece]) -> bool {
    pieces.iter().all(|piece| (0.0..=1.0).contains(&piece.slope))
}

impl<'a> Gates<'a> {
    /// `None` if I - A is singular.
    pub(super) fn of(map: &'a Piecewise) -> Option<Self> {
        let (n, g) = (map.n(), map.r.len());
        let both = Mat::from_fn(n, g + 1, |i, j| if j < g { map.p[(i, j)] } else { map.s[i] });
        let mut reached = &map.q * (Mat::<f64>::identity(n, n) - &map.a).partial_piv_lu().solve(both);
        if !reached.is_all_finite() {
            return None;
        }
        let constant: Vec<f64> = (0..g).map(|i| reached[(i, g)] + map.r[i]).collect();
        reached.truncate(g, g);
        let homogeneous = |piece: &Piece| piece.offset == 0.0;
        let ends = map.pieces[1..].iter().all(|piece| piece.from == 0.0);
        let rays = ends && map.pieces.iter().all(homogeneous) && constant.iter().all(|t| *t == 0.0);
        let slopes = || map.pieces.windows(2).map(|pair| pair[1].slope - pair[0].slope);
        let (convex, concave) = (slopes().all(|change| change >= 0.0), slopes().all(|change| change <= 0.0));
        Some(Self { pieces: &map.pieces, t: reached, constant, rays, convex, concave })
    }

    /// Whether I - (T + Tᵀ) / 2 is positive definite: there is at most one fixed point.
    pub(super) fn monotone(&self) -> bool {
        let g = self.constant.len();
        let entry = |i: usize, j: usize| {
            let unit = if i == j { 1.0 - CLEAR } else { 0.0 };
            unit - 0.5 * (self.t[(i, j)] + self.t[(j, i)])
        };
        gentle(self.pieces) && Mat::from_fn(g, g, entry).llt(Side::Lower).is_ok()
    }

    /// All regions that may hold a fixed point.
    pub(super) fn search(&self, bar: &ProgressBar, stop: &AtomicBool) -> Bounded {
        let g = self.constant.len();
        let mut found = Bounded::default();
        if self.rays {
            found.regions.push(Region(vec![0; g]));
        }
        let mut stack = vec![vec![None; g]];
        let mut tests = 0_u64;
        while !stack.is_empty() {
            if tests >= self.most_tests() || stop.load(Ordering::Relaxed) {
                return found;
            }
            let batch = stack.split_off(stack.len().saturating_sub(BATCH));
            tests += batch.len() as u64;
            bar.inc(batch.len() as u64);
            let visits: Vec<Visit> = batch.into_par_iter().map(|choice| self.visit(choice)).collect();
            for visit in visits {
                match visit {
                    Visit::Empty => {}
                    Visit::Whole(region) => found.regions.push(region),
                    Visit::Split(choices) => stack.extend(choices),
                }
            }
        }
        found.complete = true;
        found
    }

    /// The most tests that a search makes.
    pub(super) fn most_tests(&self) -> u64 {
        (WORK / (self.constant.len() as f64).powi(4)).max(1.0) as u64
    }

    fn visit(&self, choice: Choice) -> Visit {
        let fixed = |i: usize| choice[i].map(|piece| self.pieces[usize::from(piece)]);
        // A gate on a flat piece is a constant; the others are unknown.
        let flat = |i: &usize| fixed(*i).is_some_and(|piece| piece.slope == 0.0);
        let unknown: Vec<usize> = (0..choice.len()).filter(|i| !flat(i)).collect();
        let mut constant = self.constant.clone();
        for j in (0..choice.len()).filter(flat) {
            let offset = fixed(j).map_or(0.0, |piece| piece.offset);
            constant.iter_mut().enumerate().for_each(|(i, t)| *t += self.t[(i, j)] * offset);
        }
        let m = unknown.len();
        let Some(values) = nearest(m, &self.rows(&choice, &unknown, &constant)) else { return Visit::Empty };
        // The open gate that is farthest from all its pieces.
        let mut farthest: Option<(usize, f64, f64)> = None;
        for (at, &i) in unknown.iter().enumerate().filter(|(_, i)| choice[**i].is_none()) {
            let p = constant[i]
                + unknown.iter().zip(&values).map(|(&j, value)| self.t[(i, j)] * value).sum::<f64>();
            let off = (values[at] - self.value(p)).abs();
            if farthest.is_none_or(|(_, most, _)| off > most) {
                farthest = Some((i, off, p));
            }
        }
        let Some((gate, _, p)) = farthest else {
            return Visit::Whole(Region(choice.into_iter().flatten().collect()));
        };
        let mut pieces: Vec<u8> = (0..self.pieces.len() as u8).collect();
        // The piece that the point is on is looked at first: it is taken from the end.
        let away = |piece: &u8| {
            let piece = self.pieces[usize::from(*piece)];
            (piece.from - p).max(p - piece.to)
        };
        pieces.sort_by(|a, b| away(b).total_cmp(&away(a)));
        let with = |piece: u8| {
            let mut longer = choice.clone();
            longer[gate] = Some(piece);
            longer
        };
        Visit::Split(pieces.into_iter().map(with).collect())
    }

    fn value(&self, p: f64) -> f64 {
        let piece = self.pieces.iter().find(|piece| p <= piece.to).unwrap_or(&self.pieces[0]);
        piece.slope * p + piece.offset
    }

    /// Inequalities row · (sigma, 1) >= 0 in the unknown values of sigma.
    fn rows(&self, choice: &Choice, unknown: &[usize], constant: &[f64]) -> Vec<Vec<f64>> {
        let m = unknown.len();
        let mut rows = Vec::new();
        // a p + b sigma + c >= 0 of gate i.
        let mut at_least = |i: usize, a: f64, b: f64, c: f64| {
            let mut row: Vec<f64> = unknown.iter().map(|&j| a * self.t[(i, j)]).collect();
            if b != 0.0 {
                row[unknown.partition_point(|&j| j < i)] += b;
            }
            row.push(a * constant[i] + c);
            rows.push(row);
        };
        let (first, last) = (self.pieces[0], self.pieces[self.pieces.len() - 1]);
        for (i, piece) in choice.iter().enumerate() {
            let Some(piece) = piece.map(|piece| self.pieces[usize::from(piece)]) else {
                if self.convex || self.concave {
                    let sign = if self.convex { 1.0 } else { -1.0 };
                    for piece in self.pieces {
                        at_least(i, -sign * piece.slope, sign, -sign * piece.offset);
                    }
                } else if self.pieces.iter().all(|piece| piece.slope >= 0.0) {
                    for (end, sign) in [(first, 1.0), (last, -1.0)] {
                        if end.slope == 0.0 {
                            at_least(i, 0.0, sign, -sign * end.offset);
                        }
                    }
                }
                continue;
            };
            if piece.from.is_finite() {
                at_least(i, 1.0, 0.0, -piece.from);
            }
            if piece.to.is_finite() {
                at_least(i, -1.0, 0.0, piece.to);
            }
            if piece.slope != 0.0 {
                for sign in [1.0, -1.0] {
                    at_least(i, -sign * piece.slope, sign, -sign * piece.offset);
                }
            }
        }
        if self.rays {
            let mut sum = vec![1.0; m];
            sum.push(-1.0);
            rows.push(sum);
        }
        rows
    }
}
