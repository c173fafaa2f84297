//! The dimension of a cloud of points as its neighbourhoods show it: local principal components.

use faer::{Mat, Side};
use serde::{Deserialize, Serialize};

use super::spectrum::unconverged;
use crate::Result;

/// Neighbours of a centre, itself included, that are usual.
pub const NEIGHBOURS: usize = 30;
/// Part of the largest local variance that is taken for noise or curvature, usual.
pub const NOISE: f64 = 0.05;
/// At most this many centres are looked at.
const CENTRES: usize = 100;

/// What the neighbourhoods say.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LocalDimension {
    /// Mean over the centres of the number of directions above the noise.
    pub mean: f64,
    /// The median.
    pub median: usize,
    /// Points in a neighbourhood.
    pub neighbours: usize,
    /// Part of the largest local variance that counts as noise.
    pub noise: f64,
}

/// Local dimension of the columns of p (n × T), `None` with fewer points than neighbours.
///
/// Around each of up to 100 evenly spaced centres: the variances lambda_1 >= lambda_2 ... of its k nearest points
/// along their principal axes; the dimension there is the number of lambda_i > noise · lambda_1.
///
/// neighbours: k, well above the dimension, [`NEIGHBOURS`] is usual; noise: in (0, 1), [`NOISE`] is usual.
///
/// # Errors
/// The decomposition does not converge.
///
/// ```
/// use faer::Mat;
/// use tinyfold::manifold::dimension::{NEIGHBOURS, NOISE, local};
/// // A circle in space.
/// let circle = Mat::from_fn(3, 500, |i, t| (0.0126 * t as f64 + [0.0, 1.57, 0.5][i]).sin());
/// assert_eq!(local(&circle, NEIGHBOURS, NOISE)?.map(|found| found.median), Some(1));
/// # Ok::<(), tinyfold::Error>(())
/// ```
pub fn local(p: &Mat<f64>, neighbours: usize, noise: f64) -> Result<Option<LocalDimension>> {
    let (n, count) = p.shape();
    if count < neighbours || neighbours < 2 {
        return Ok(None);
    }
    let size = p.norm_max().max(f64::MIN_POSITIVE);
    let squared_distance = |a: usize, b: usize| -> f64 {
        let (a, b) = (p.col_as_slice(a), p.col_as_slice(b));
        a.iter().zip(b).map(|(a, b)| ((a - b) / size).powi(2)).sum()
    };
    let mut found = Vec::new();
    for centre in (0..count).step_by(count.div_ceil(CENTRES)) {
        let mut order: Vec<(f64, usize)> = (0..count).map(|t| (squared_distance(centre, t), t)).collect();
        order.select_nth_unstable_by(neighbours - 1, |a, b| a.0.total_cmp(&b.0));
        let near = Mat::from_fn(n, neighbours, |i, k| p[(i, order[k].1)] / size);
        let mean: Vec<f64> = (0..n).map(|i| near.row(i).iter().sum::<f64>() / neighbours as f64).collect();
        let centred = Mat::from_fn(n, neighbours, |i, k| near[(i, k)] - mean[i]);
        // The same variances as those of the n × n covariance, but k × k.
        let gram = centred.transpose() * &centred;
        let values = gram
            .self_adjoint_eigenvalues(Side::Lower)
            .map_err(|_| unconverged("local principal axes of the pre-activations"))?;
        let largest = values.last().copied().unwrap_or(0.0);
        found.push(values.iter().filter(|&&value| largest > 0.0 && value > noise * largest).count());
    }
    found.sort_unstable();
    let mean = found.iter().sum::<usize>() as f64 / found.len() as f64;
    Ok(Some(LocalDimension { mean, median: found[found.len() / 2], neighbours, noise }))
}
