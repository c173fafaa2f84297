//! Which regions there are, and which can follow which.
//!
//! A region, or a region whose image meets another, is a set of inequalities G z >= h. The point of it that
//! is nearest to the origin comes from non-negative least squares, and so does the proof that there is none:
//! weights u >= 0 with Gᵀ u = 0 and h · u = 1. In rounded arithmetic Gᵀ u is small instead of 0, and the
//! proof holds for |z| < h · u / |Gᵀ u|. Only what is proved up to [`RADIUS`] is left out.
//!
//! Source: Lawson & Hanson 1974, Solving Least Squares Problems, chapter 23 (least distance programming).

use std::collections::HashMap;
use std::iter::zip;

use faer::Mat;
use rayon::prelude::*;

use super::{Piece, Piecewise, Region};
use crate::dynamics::vector::{dot, norm};

/// Cycles are sought within this distance of the origin: what is pruned is pruned by a proof that holds
/// there.
pub const RADIUS: f64 = 1e6;
/// Regions that are listed at most.
const LISTED: usize = 4096;
/// Tests of transitions times n²: beyond its share of them a region keeps all its transitions.
const TESTS: usize = 16_000_000;
/// Dimension up to which regions are tested for being empty.
const DIMENSION: usize = 12;

/// Regions and the transitions between them.
#[derive(Clone, Debug)]
pub(super) struct Graph {
    /// The regions that words are made of.
    pub(super) regions: Vec<Region>,
    /// Region j may follow region i, at i · (number of regions) + j; empty if all transitions are allowed.
    allowed: Vec<bool>,
    /// Regions that may follow each, in order; empty if all transitions are allowed.
    following: Vec<Vec<u32>>,
    all: Vec<u32>,
}

impl Graph {
    fn new(regions: Vec<Region>) -> Self {
        let all = (0..regions.len() as u32).collect();
        Self { regions, allowed: Vec::new(), following: Vec::new(), all }
    }

    /// The regions from `least` on that may follow `region`.
    pub(super) fn after(&self, region: usize, least: usize) -> impl Iterator<Item = usize> + use<'_> {
        let list = self.following.get(region).unwrap_or(&self.all);
        list[list.partition_point(|&next| (next as usize) < least)..].iter().map(|&next| next as usize)
    }

    #[inline(always)]
    pub(super) fn allows(&self, from: u32, to: u32) -> bool {
        self.allowed.is_empty() || self.allowed[from as usize * self.regions.len() + to as usize]
    }

    /// Number of transitions.
    pub(super) fn transitions(&self) -> usize {
        if self.following.is_empty() {
            self.regions.len().pow(2)
        } else {
            self.following.iter().map(Vec::len).sum()
        }
    }

    /// Walks through k regions by k: words of length k are fewer, about a k-th of it.
    pub(super) fn words(&self, k: usize) -> f64 {
        let mut walks = vec![1.0; self.regions.len()];
        for _ in 1..k {
            let total: f64 = walks.iter().sum();
            let sum = |next: &Vec<u32>| next.iter().map(|&j| walks[j as usize]).sum();
            walks = if self.following.is_empty() {
                vec![total; walks.len()]
            } else {
                self.following.iter().map(sum).collect()
            };
        }
        walks.iter().sum::<f64>() / k as f64
    }

    /// Whether all regions, empty ones too, can be listed.
    pub(super) fn listable(map: &Piecewise) -> bool {
        (map.pieces.len() as f64).powi(map.r.len() as i32) <= LISTED as f64
    }

    /// All regions with all transitions, `None` if they are too many to list.
    pub(super) fn whole(map: &Piecewise) -> Option<Self> {
        if !Self::listable(map) {
            return None;
        }
        let (gates, pieces) = (map.r.len(), map.pieces.len());
        let digits = |index: usize| {
            let digit = |gate: usize| (index / pieces.pow(gate as u32) % pieces) as u8;
            Region((0..gates).map(digit).collect())
        };
        Some(Self::new((0..pieces.pow(gates as u32)).map(digits).collect()))
    }

    /// The regions that are not empty, `None` if they are too many to list.
    pub(super) fn nonempty(map: &Piecewise) -> Option<Self> {
        if map.n() > DIMENSION {
            return Self::whole(map);
        }
        let mut regions: Vec<Region> = split(map, walls(map), &gate_rows(map), usize::MAX)?
            .into_iter()
            .map(|(region, _)| region)
            .collect();
        // Gate 0 counts least, as in the bits of a mask.
        regions.sort_by(|a, b| a.0.iter().rev().cmp(b.0.iter().rev()));
        Some(Self::new(regions))
    }

    /// The same without transitions that no point makes, and without regions that no cycle can pass.
    pub(super) fn pruned(self, map: &Piecewise) -> Self {
        let count = self.regions.len();
        if map.n() > DIMENSION {
            return self;
        }
        let index: HashMap<&Region, u32> = zip(&self.regions, 0..).collect();
        let mut following: Vec<Vec<u32>> =
            self.regions.par_iter().map(|region| successors(map, region, &index)).collect();
        let mut alive = vec![true; count];
        loop {
            let mut entered = vec![false; count];
            for (_, next) in zip(&alive, &mut following).filter(|(alive, _)| **alive) {
                next.retain(|&j| alive[j as usize]);
                for &j in next.iter() {
                    entered[j as usize] = true;
                }
            }
            let lasting: Vec<bool> = (0..count).map(|i| entered[i] && !following[i].is_empty()).collect();
            let changed = zip(&lasting, &alive).any(|(now, before)| *before && !now);
            zip(&mut alive, lasting).for_each(|(alive, lasting)| *alive &= lasting);
            if !changed {
                break;
            }
        }
        let kept: Vec<usize> = (0..count).filter(|&i| alive[i]).collect();
        let mut place = vec![0; count];
        zip(&kept, 0..).for_each(|(&old, new)| place[old] = new);
        let mut graph = Self::new(kept.iter().map(|&i| self.regions[i].clone()).collect());
        graph.following =
            kept.iter().map(|&i| following[i].iter().map(|&j| place[j as usize]).collect()).collect();
        graph.allowed = vec![false; kept.len() * kept.len()];
        for (i, next) in graph.following.iter().enumerate() {
            for &j in next {
                graph.allowed[i * kept.len() + j as usize] = true;
            }
        }
        graph
    }
}

fn successors(map: &Piecewise, region: &Region, index: &HashMap<&Region, u32>) -> Vec<u32> {
    let n = map.n();
    let now = gate_rows(map);
    let affine = map.affine(region);
    let mut after = now.subcols(0, n) * &affine;
    zip(after.col_as_slice_mut(n), &map.r).for_each(|(sum, r)| *sum += r);
    let mut rows = walls(map);
    for (gate, &piece) in region.0.iter().enumerate() {
        rows.extend(inside(&now, gate, map.pieces[usize::from(piece)]));
    }
    let all = || (0..index.len() as u32).collect();
    let most = TESTS / (n * n * index.len());
    let Some(found) = split(map, rows, &after, most) else { return all() };
    let mut next: Vec<u32> = found.iter().filter_map(|(region, _)| index.get(region).copied()).collect();
    next.sort_unstable();
    next
}

/// \[Q | r\].
fn gate_rows(map: &Piecewise) -> Mat<f64> {
    let n = map.n();
    Mat::from_fn(map.r.len(), n + 1, |i, j| if j < n { map.q[(i, j)] } else { map.r[i] })
}

/// An inequality row · (z, 1) >= 0.
type Row = Vec<f64>;

/// That gate number `gate`, a linear function of z, is on a piece.
fn inside(gates: &Mat<f64>, gate: usize, piece: Piece) -> impl Iterator<Item = Row> {
    let bound = move |border: f64, sign: f64| {
        let row = border.is_finite().then(|| gates.row(gate).iter().map(|x| sign * x).collect::<Row>());
        row.map(|mut row| {
            *row.last_mut().expect("n + 1 numbers") -= sign * border;
            row
        })
    };
    let rows: Vec<Row> = [bound(piece.from, 1.0), bound(piece.to, -1.0)].into_iter().flatten().collect();
    rows.into_iter()
}

/// What all cycles of z' = keep z + gain sigma(Q z + r) + s obey: z is a mean of values of sigma.
fn walls(map: &Piecewise) -> Vec<Row> {
    let n = map.n();
    let (keep, gain) = (map.a[(0, 0)], if map.r.len() == n { map.p[(0, 0)] } else { 0.0 });
    let scaled =
        |m: &Mat<f64>, by: f64| (0..n).all(|j| (0..n).all(|i| m[(i, j)] == if i == j { by } else { 0.0 }));
    let rising = map.pieces.iter().all(|piece| piece.slope >= 0.0);
    if !(rising && (0.0..1.0).contains(&keep) && gain > 0.0 && scaled(&map.a, keep) && scaled(&map.p, gain)) {
        return Vec::new();
    }
    let [first, last] = [map.pieces[0], map.pieces[map.pieces.len() - 1]];
    let mut rows = Vec::new();
    for i in 0..n {
        for (piece, sign) in [(first, 1.0), (last, -1.0)] {
            if piece.slope == 0.0 {
                let mut row = vec![0.0; n + 1];
                row[i] = sign;
                row[n] = -sign * (map.s[i] + gain * piece.offset) / (1.0 - keep);
                rows.push(row);
            }
        }
    }
    rows
}

/// The choices of pieces for all `gates`, linear functions of z, that some z with rows · (z, 1) >= 0 makes,
/// each with such a z; `None` if they are too many, or need more than `tests` tests.
fn split(
    map: &Piecewise,
    rows: Vec<Row>,
    gates: &Mat<f64>,
    mut tests: usize,
) -> Option<Vec<(Region, Vec<f64>)>> {
    let n = map.n();
    let mut parts: Vec<(Region, Vec<f64>)> =
        nearest(n, &rows).map(|z| (Region(Vec::new()), z)).into_iter().collect();
    for gate in 0..gates.nrows() {
        let mut finer = Vec::new();
        for (Region(pieces), z) in parts {
            let p: f64 = gates[(gate, n)] + (0..n).map(|j| gates[(gate, j)] * z[j]).sum::<f64>();
            for (number, &piece) in zip(0_u8.., &map.pieces) {
                let mut longer = pieces.clone();
                longer.push(number);
                if piece.from <= p && p <= piece.to {
                    finer.push((Region(longer), z.clone()));
                    continue;
                }
                tests = tests.checked_sub(1)?;
                let mut all = rows.clone();
                for (gate, &piece) in longer.iter().enumerate() {
                    all.extend(inside(gates, gate, map.pieces[usize::from(piece)]));
                }
                finer.extend(nearest(n, &all).map(|z| (Region(longer), z)));
            }
        }
        if finer.len() > LISTED {
            return None;
        }
        parts = finer;
    }
    Some(parts)
}

/// About the point nearest to the origin with row · (z, 1) >= 0 for all rows; `None` if it is proved that
/// none is within [`RADIUS`].
pub(super) fn nearest(n: usize, rows: &[Row]) -> Option<Vec<f64>> {
    // Columns (g, h) of length-1 g, for g · z >= h.
    let mut columns: Vec<Row> = Vec::with_capacity(rows.len());
    for row in rows {
        let length = norm(&row[..n]);
        if length > 1e-14 * (1.0 + row[n].abs()) {
            columns.push(zip(row, 0..).map(|(x, j)| if j < n { x / length } else { -x / length }).collect());
        } else if row[n] < -1e-9 {
            return None;
        }
    }
    let mut weights = vec![0.0; columns.len()];
    let mut active: Vec<usize> = Vec::new();
    let rest = |weights: &[f64]| {
        let mut rest = vec![0.0; n + 1];
        rest[n] = 1.0;
        for (column, &weight) in zip(&columns, weights).filter(|(_, weight)| **weight != 0.0) {
            zip(&mut rest, column).for_each(|(rest, x)| *rest -= weight * x);
        }
        rest
    };
    let mut residual = rest(&weights);
    for _ in 0..4 * (columns.len() + n) {
        let gain = |i: &usize| dot(&columns[*i], &residual);
        let best = (0..columns.len())
            .filter(|i| !active.contains(i))
            .map(|i| (i, gain(&i)))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        match best {
            Some((i, gain)) if gain > 1e-13 * (1.0 + columns[i][n].abs()) && active.len() <= n => {
                active.push(i);
            }
            _ => break,
        }
        // Steps back while a weight would be negative; the last one in never leaves at once.
        for _ in 0..4 * (n + 2) {
            let Some(wanted) = least_squares(n, &columns, &active) else { break };
            let step = zip(&active, &wanted)
                .filter(|(_, wanted)| **wanted <= 0.0)
                .map(|(&i, wanted)| weights[i] / (weights[i] - wanted))
                .fold(1.0, f64::min);
            zip(&active, &wanted).for_each(|(&i, wanted)| weights[i] += step * (wanted - weights[i]));
            if step >= 1.0 {
                break;
            }
            active.retain(|&i| weights[i] > 1e-15);
            zip(&mut weights, 0..).filter(|(_, i)| !active.contains(i)).for_each(|(weight, _)| *weight = 0.0);
        }
        residual = rest(&weights);
    }
    let length = norm(&residual[..n]);
    let rounding: f64 =
        zip(&columns, &weights).map(|(column, weight)| weight * (1.0 + column[n].abs())).sum();
    let rounding = 1e-14 * rounding;
    if 1.0 - residual[n] - rounding > RADIUS * (length + rounding) {
        return None;
    }
    Some(residual[..n].iter().map(|x| -x / residual[n]).collect())
}

/// Weights of the active columns that bring their sum nearest to (0, ..., 0, 1), by orthogonalisation; `None`
/// if the columns depend on each other.
fn least_squares(n: usize, columns: &[Row], active: &[usize]) -> Option<Vec<f64>> {
    let count = active.len();
    let mut basis: Vec<Row> = active.iter().map(|&i| columns[i].clone()).collect();
    let mut target = vec![0.0; n + 1];
    target[n] = 1.0;
    let mut triangle = vec![vec![0.0; count]; count];
    let mut weights = vec![0.0; count];
    for k in 0..count {
        let before = norm(&basis[k]);
        let (done, rest) = basis.split_at_mut(k);
        for (j, known) in done.iter().enumerate() {
            let along = dot(known, &rest[0]);
            triangle[j][k] = along;
            zip(&mut rest[0], known).for_each(|(x, known)| *x -= along * known);
        }
        let length = norm(&rest[0]);
        if length <= 1e-13 * before {
            return None;
        }
        rest[0].iter_mut().for_each(|x| *x /= length);
        triangle[k][k] = length;
        weights[k] = dot(&rest[0], &target);
        zip(&mut target, &rest[0]).for_each(|(x, unit)| *x -= weights[k] * unit);
    }
    for k in (0..count).rev() {
        let sum: f64 = (k + 1..count).map(|j| triangle[k][j] * weights[j]).sum();
        weights[k] = (weights[k] - sum) / triangle[k][k];
    }
    Some(weights)
}
