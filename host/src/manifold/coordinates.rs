//! Coordinates on the manifold, and the integrals they stand for.

use faer::Mat;
use faer::linalg::solvers::SolveLstsq;
use serde::{Deserialize, Serialize};

use super::capped;
use super::spectrum::principal_axes;
use crate::Result;

/// At most this many points are kept for plotting.
const POINTS: usize = 1500;

/// Points of a run, evenly spaced in time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cloud {
    /// Step of every point.
    pub times: Vec<usize>,
    /// D coordinates a point: pre-activations along the D leading left singular vectors of W, turned to
    /// the principal axes of the run.
    pub coordinates: Vec<Vec<f64>>,
    /// Up to 3 coordinates a point: pre-activations along their principal axes, mean removed.
    pub principal: Vec<Vec<f64>>,
    /// D integrals u a point, to colour by; empty without a task.
    pub integrals: Vec<Vec<f64>>,
}

impl Cloud {
    /// The cloud of coordinates q (D × T) and pre-activations p (n × T) with their principal axes, and row-major
    /// integrals.
    pub(super) fn new(
        q: &Mat<f64>,
        p: &Mat<f64>,
        axes: &Mat<f64>,
        integrals: Option<&[f64]>,
    ) -> Result<Self> {
        let times: Vec<usize> = (0..p.ncols()).step_by(p.ncols().div_ceil(POINTS).max(1)).collect();
        let at = |values: &Mat<f64>| -> Vec<Vec<f64>> {
            times.iter().map(|&t| (0..values.nrows()).map(|k| values[(k, t)]).collect()).collect()
        };
        let (_, turn) = principal_axes(q.as_ref())?;
        let shown = axes.ncols().min(3);
        let along = axes.subcols(0, shown).transpose() * p;
        let count = p.ncols().max(1) as f64;
        let mean: Vec<f64> = (0..shown).map(|k| along.row(k).iter().sum::<f64>() / count).collect();
        let along = Mat::from_fn(shown, p.ncols(), |k, t| along[(k, t)] - mean[k]);
        let channels = q.nrows();
        Ok(Self {
            coordinates: at(&(turn.transpose() * q)),
            principal: at(&along),
            integrals: integrals.map_or_else(Vec::new, |u| {
                times.iter().map(|t| u[t * channels..(t + 1) * channels].to_vec()).collect()
            }),
            times,
        })
    }
}

/// How well the coordinates are functions of the integrals, as parts of the size of the coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// |q - L(u)| / |q|: L the best linear function with intercept.
    pub linear: f64,
    /// The same for the best polynomial of degree 3 in all integrals; the linear one where that has more than 300
    /// terms or a quarter of the steps.
    pub cubic: f64,
    /// sqrt(linear² - cubic²): the part that is a curved function of the integrals.
    pub nonlinear: f64,
}

/// Most terms of the polynomial.
const TERMS: usize = 300;

/// How well the coordinates q (k × T) are functions of the integrals; `None` with too few steps.
///
/// integrals: row-major, at least T × `channels`. Norms are those of Frobenius, means are not removed from q.
///
/// ```
/// use faer::Mat;
/// let u: Vec<f64> = (0..300).map(|t| (0.3 * t as f64).sin()).collect();
/// let q = Mat::from_fn(2, 300, |k, t| if k == 0 { 2.0 * u[t] } else { u[t] * u[t] });
/// let fit = tinyfold::manifold::coordinates::fit(&q, &u, 1).expect("enough steps");
/// assert!(fit.linear > 0.1 && fit.cubic < 1e-12 && (fit.nonlinear - fit.linear).abs() < 1e-12);
/// ```
#[must_use]
pub fn fit(q: &Mat<f64>, integrals: &[f64], channels: usize) -> Option<Fit> {
    let (size, steps) = (q.norm_l2(), q.ncols());
    let standard = standardised(integrals, channels, steps);
    let used = changing(&standard);
    // Products of at most three integrals, as the columns they multiply; shorter ones first.
    let mut terms: Vec<Vec<usize>> = vec![Vec::new()];
    let mut last = terms.clone();
    let mut linear = 0;
    for degree in 1..=3 {
        let extended = |term: &Vec<usize>| {
            let from = term.last().copied().unwrap_or(0);
            let with = |&c: &usize| term.iter().copied().chain([c]).collect::<Vec<usize>>();
            used.iter().filter(|&&c| c >= from).map(with).collect::<Vec<Vec<usize>>>()
        };
        last = last.iter().flat_map(extended).collect();
        terms.extend(last.iter().cloned());
        if degree == 1 {
            linear = terms.len();
        }
    }
    if size <= 0.0 || steps <= linear {
        return None;
    }
    let target = q.transpose().to_owned();
    let residual = |count: usize| {
        let features =
            Mat::from_fn(steps, count, |t, k| terms[k].iter().map(|&c| standard[(t, c)]).product::<f64>());
        capped((&target - &features * features.col_piv_qr().solve_lstsq(&target)).norm_l2() / size)
    };
    let enough = terms.len() <= TERMS.min(steps / 4);
    let all = residual(linear);
    let cubic = if enough { residual(terms.len()) } else { all };
    Some(Fit { linear: all, cubic, nonlinear: (all * all - cubic * cubic).max(0.0).sqrt() })
}

/// Mean and standard deviation of channel c over the first `steps` steps.
pub(super) fn moments(integrals: &[f64], channels: usize, steps: usize, c: usize) -> (f64, f64) {
    let column = || integrals.iter().skip(c).step_by(channels).take(steps);
    let count = steps.max(1) as f64;
    let mean = column().sum::<f64>() / count;
    (mean, (column().map(|u| (u - mean).powi(2)).sum::<f64>() / count).sqrt())
}

/// Integrals (T × D) less their means, in units of their standard deviations; 0 for one that never changes.
pub(super) fn standardised(integrals: &[f64], channels: usize, steps: usize) -> Mat<f64> {
    let moments: Vec<(f64, f64)> = (0..channels).map(|c| moments(integrals, channels, steps, c)).collect();
    Mat::from_fn(steps, channels, |t, c| {
        let (mean, deviation) = moments[c];
        if deviation > 0.0 { (integrals[t * channels + c] - mean) / deviation } else { 0.0 }
    })
}

/// The integrals that change at all, of standardised ones.
pub(super) fn changing(standard: &Mat<f64>) -> Vec<usize> {
    (0..standard.ncols()).filter(|&c| standard.col(c).iter().any(|&u| u != 0.0)).collect()
}

/// R² of every column of `values` of which a fit leaves `rest`; 0 for one that never changes.
pub(super) fn explained(values: &Mat<f64>, rest: &Mat<f64>) -> Vec<f64> {
    (0..values.ncols())
        .map(|c| {
            let mean = values.col(c).iter().sum::<f64>() / values.nrows() as f64;
            let power: f64 = values.col(c).iter().map(|value| (value - mean).powi(2)).sum();
            if power > 0.0 { 1.0 - rest.col(c).squared_norm_l2() / power } else { 0.0 }
        })
        .collect()
}

/// R² of every integral as a linear function, with intercept, of the coordinates q (k × T).
///
/// integrals: row-major, at least T × `channels`.
///
/// ```
/// use faer::Mat;
/// let q = Mat::from_fn(2, 50, |k, t| ((k + 1) as f64 * t as f64 * 0.3).sin());
/// let u: Vec<f64> = (0..50).map(|t| 3.0 * q[(0, t)] - q[(1, t)] + 1.0).collect();
/// assert!((tinyfold::manifold::coordinates::r_squared(&q, &u, 1)[0] - 1.0).abs() < 1e-12);
/// ```
#[must_use]
pub fn r_squared(q: &Mat<f64>, integrals: &[f64], channels: usize) -> Vec<f64> {
    let (count, steps) = (q.nrows() + 1, q.ncols());
    if steps <= count {
        return vec![0.0; channels];
    }
    // In units of the largest coordinate, so that the intercept is as large as the rest.
    let size = q.norm_max().max(f64::MIN_POSITIVE);
    let a = Mat::from_fn(steps, count, |t, k| if k + 1 < count { q[(k, t)] / size } else { 1.0 });
    let u = Mat::from_fn(steps, channels, |t, c| integrals[t * channels + c]);
    explained(&u, &(&u - &a * a.col_piv_qr().solve_lstsq(&u)))
}
