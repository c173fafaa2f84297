//! Words whose linear system is singular: lines and surfaces of cycles, or nothing.

use std::iter::zip;

use faer::Mat;
use serde::Serialize;

use super::cycle::{BORDER, Cycle, whole_orbit};
use super::regions::nearest;
use super::{Piecewise, Region, System};
use crate::dynamics::vector::{distance, dot, largest, norm};
use crate::{Error, Result};

/// A set of solutions that is shorter than this in a direction, by its size, has no extent in it.
const EXTENT: f64 = 1e-7;

/// A word whose linear system is singular.
#[derive(Clone, Debug, Serialize)]
pub struct Degenerate {
    /// k, the length of the word; it may be a shorter word repeated.
    pub period: usize,
    /// The word.
    pub regions: Vec<Region>,
    /// Dimension of the set of points that solve the system in the regions of the word: 0 for a single point
    /// on their border, and where there is none.
    pub dimension: usize,
    /// A point inside that set; `None` if there is none, and no cycle.
    pub point: Option<Vec<f64>>,
}

/// What a word with a singular system holds; `None` if it is not singular after all.
pub(super) fn degenerate(map: &Piecewise, word: &[Region]) -> Result<Option<Degenerate>> {
    let (n, k) = (map.n(), word.len());
    let (system, right) = whole_orbit(map, word);
    let svd = system.svd().map_err(|_| Error::Numeric {
        what: "a singular word".into(),
        reason: "no convergence of its singular values; are the weights of reasonable size?".into(),
    })?;
    let values = svd.S().column_vector();
    let rank = (0..n * k).filter(|&i| values[i] > 1e-10 * values[0].max(1.0)).count();
    if rank == n * k {
        return Ok(None);
    }
    let along = svd.U().transpose() * &right;
    let scaled = Mat::from_fn(rank, 1, |i, _| along[(i, 0)] / values[i]);
    let base = svd.V().subcols(0, rank) * &scaled;
    let missed = (&system * &base - &right).norm_max();
    let free = n * k - rank;
    let kernel = svd.V().subcols(rank, free);
    let consistent = missed <= 1e-9 * (1.0 + right.norm_max());
    // Coordinates y of the solutions base + kernel y; every gate of every point must be on its piece.
    let mut rows = Vec::new();
    for (t, region) in word.iter().enumerate() {
        let gates = &map.q * base.subrows(t * n, n);
        let slopes = &map.q * kernel.subrows(t * n, n);
        for (i, &piece) in region.0.iter().enumerate() {
            let piece = map.pieces[usize::from(piece)];
            for (border, sign) in [(piece.from, 1.0), (piece.to, -1.0)] {
                if border.is_finite() {
                    let mut row: Vec<f64> = (0..free).map(|j| sign * slopes[(i, j)]).collect();
                    row.push(sign * (gates[(i, 0)] + map.r[i] - border));
                    rows.push(row);
                }
            }
        }
    }
    let inside = if consistent { extent(free, &rows) } else { None };
    let dimension = inside.as_ref().map_or(0, |inside| inside.0);
    let point = inside.map(|(_, y)| {
        let place = |i: usize| base[(i, 0)] + (0..free).map(|j| kernel[(i, j)] * y[j]).sum::<f64>();
        (0..n).map(place).collect()
    });
    Ok(Some(Degenerate { period: k, regions: word.to_vec(), dimension, point }))
}

/// Dimension of the set of y with row · (y, 1) >= 0 for all rows, and a point that is inside it; `None` if it is
/// empty.
fn extent(n: usize, rows: &[Vec<f64>]) -> Option<(usize, Vec<f64>)> {
    let first = nearest(n, rows)?;
    let far = EXTENT * (1.0 + largest(&first));
    let lengths: Vec<f64> = rows.iter().map(|row| norm(&row[..n])).collect();
    let beyond = |i: usize, y: &[f64]| dot(&rows[i][..n], y) + rows[i][n] > 0.5 * far * lengths[i];
    // A row is an equation unless some point is clearly on its good side.
    let moves = |i: &usize| lengths[*i] > 1e-12;
    let mut open: Vec<usize> = (0..rows.len()).filter(|i| moves(i) && !beyond(*i, &first)).collect();
    let mut inside = vec![first];
    let mut equations: Vec<Vec<f64>> = Vec::new();
    while let Some(i) = open.pop() {
        let mut further = rows.to_vec();
        further[i][n] -= far * lengths[i];
        if let Some(y) = nearest(n, &further) {
            open.retain(|&j| !beyond(j, &y));
            inside.push(y);
            continue;
        }
        let mut normal: Vec<f64> = rows[i][..n].iter().map(|x| x / lengths[i]).collect();
        for known in &equations {
            let along = dot(&normal, known);
            zip(&mut normal, known).for_each(|(x, known)| *x -= along * known);
        }
        let length = norm(&normal);
        if length > 1e-6 {
            equations.push(normal.iter().map(|x| x / length).collect());
        }
        if equations.len() == n {
            break;
        }
    }
    let count = inside.len() as f64;
    let mean = (0..n).map(|j| inside.iter().map(|y| y[j]).sum::<f64>() / count).collect();
    Some((n - equations.len(), mean))
}

/// Without the single points that belong to a continuum or a cycle, or are there twice; all with a point, and
/// those that hold none.
pub(super) fn sorted_out(map: &Piecewise, words: Vec<Degenerate>, cycles: &[Cycle]) -> Vec<Degenerate> {
    let (mut kept, points): (Vec<Degenerate>, Vec<Degenerate>) =
        words.into_iter().partition(|word| word.dimension > 0 || word.point.is_none());
    for word in points {
        let Some(z) = &word.point else { continue };
        let near = BORDER * (1.0 + largest(z));
        let same = |other: &[f64]| distance(other, z) < near;
        let known = kept.iter().any(|other| match &other.point {
            Some(_) if other.dimension > 0 => passes(map, z, &other.regions),
            Some(point) => same(point),
            None => false,
        });
        if !known && !cycles.iter().any(|cycle| cycle.orbit.iter().any(|other| same(other))) {
            kept.push(word);
        }
    }
    kept
}

/// Whether the orbit of z passes the closed regions of a word, but for rounding.
fn passes(map: &Piecewise, z: &[f64], word: &[Region]) -> bool {
    let mut z = z.to_vec();
    let mut next = z.clone();
    word.iter().all(|region| {
        let slack = BORDER * (1.0 + largest(&z));
        let within = zip(map.gates(&z), &region.0).all(|(p, &piece)| {
            let piece = map.pieces[usize::from(piece)];
            piece.from - slack <= p && p <= piece.to + slack
        });
        map.value(&z, &mut next);
        std::mem::swap(&mut z, &mut next);
        within
    })
}
