//! Coordinates on the manifold, and the integrals they stand for.

use faer::Mat;
use faer::linalg::solvers::SolveLstsq;
use serde::{Deserialize, Serialize};

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
    /// The cloud of coordinates q (D × T) and pre-activations p (n × T), with row-major integrals.
    pub(super) fn new(q: &Mat<f64>, p: &Mat<f64>, integrals: Option<&[f64]>) -> Result<Self> {
        let times: Vec<usize> = (0..p.ncols()).step_by(p.ncols().div_ceil(POINTS).max(1)).collect();
        let at = |values: &Mat<f64>| -> Vec<Vec<f64>> {
            times.iter().map(|&t| (0..values.nrows()).map(|k| values[(k, t)]).collect()).collect()
        };
        let (_, turn) = principal_axes(q.as_ref())?;
        let (_, axes) = principal_axes(p.as_ref())?;
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
    let rest = &u - &a * a.col_piv_qr().solve_lstsq(&u);
    (0..channels)
        .map(|c| {
            let mean = u.col(c).iter().sum::<f64>() / steps as f64;
            let power: f64 = u.col(c).iter().map(|u| (u - mean).powi(2)).sum();
            if power > 0.0 { 1.0 - rest.col(c).squared_norm_l2() / power } else { 0.0 }
        })
        .collect()
}
