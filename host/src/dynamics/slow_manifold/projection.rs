//! Linear coordinates of states, and states made of delays.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par, Side};
use serde::Serialize;

use super::curve::Frame;
use super::data::failed;
use crate::Result;
use crate::dynamics::vector::dot;
use crate::error::require;

/// The linear coordinates that a manifold is a graph over.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Projection {
    /// x0, n.
    pub origin: Vec<f64>,
    /// Rows that coordinates are taken by, one or two of n: p_k = row_k · (x - x0).
    pub rows: Vec<Vec<f64>>,
}

impl From<&Frame> for Projection {
    /// Oblique, along the fast directions: by the left eigenvector.
    fn from(frame: &Frame) -> Self {
        Self { origin: frame.anchor.clone(), rows: vec![frame.left.clone()] }
    }
}

impl Projection {
    /// The `dimension` principal directions of the states about `origin`.
    ///
    /// trajectories: n × times each, of which those from `cut` on count.
    ///
    /// # Errors
    /// A dimension other than 1 or 2, other lengths than the origin's, no convergence.
    pub fn principal(
        trajectories: &[Mat<f64>],
        cut: usize,
        origin: &[f64],
        dimension: usize,
    ) -> Result<Self> {
        let n = origin.len();
        require((1..=2).contains(&dimension) && dimension <= n, "dimension", "1 or 2", dimension)?;
        check(trajectories, n, cut)?;
        let mut moments = Mat::<f64>::zeros(n, n);
        for trajectory in trajectories {
            let shifted =
                Mat::from_fn(n, trajectory.ncols() - cut, |i, t| trajectory[(i, cut + t)] - origin[i]);
            matmul(moments.as_mut(), Accum::Add, shifted.as_ref(), shifted.transpose(), 1.0, Par::Seq);
        }
        require(moments.is_all_finite(), "trajectories", "finite numbers", "one that is not")?;
        let eigen = moments.self_adjoint_eigen(Side::Lower).map_err(|_| {
            failed("no convergence of the principal directions; are all states finite?".into())
        })?;
        let rows = (0..dimension).map(|k| (0..n).map(|i| eigen.U()[(i, n - 1 - k)]).collect()).collect();
        Ok(Self { origin: origin.to_vec(), rows })
    }

    /// Coordinates of the columns of x from `cut` on: dimension × (times - cut).
    #[must_use]
    pub fn coordinates(&self, x: &Mat<f64>, cut: usize) -> Mat<f64> {
        let rows = Mat::from_fn(self.rows.len(), self.origin.len(), |k, i| self.rows[k][i]);
        let offsets: Vec<f64> = self.rows.iter().map(|row| dot(row, &self.origin)).collect();
        let mut p = Mat::from_fn(rows.nrows(), x.ncols() - cut, |k, _| -offsets[k]);
        matmul(
            p.as_mut(),
            Accum::Add,
            rows.as_ref(),
            x.as_ref().subcols(cut, x.ncols() - cut),
            1.0,
            Par::Seq,
        );
        p
    }
}

/// Trajectories of delayed copies: column t is x_t over x_{t + lag} over ..., `copies` of them.
///
/// For a manifold of dimension d, 2 d + 1 numbers are enough (Takens).
///
/// # Errors
/// Fewer times than the copies reach over.
pub fn delayed(trajectories: &[Mat<f64>], copies: usize, lag: usize) -> Result<Vec<Mat<f64>>> {
    require(copies >= 1 && lag >= 1, "copies and lag", "at least 1", format!("{copies} and {lag}"))?;
    let reach = (copies - 1) * lag;
    trajectories
        .iter()
        .map(|x| {
            require(x.ncols() > reach, "times", format!("more than {reach}"), x.ncols())?;
            let n = x.nrows();
            Ok(Mat::from_fn(n * copies, x.ncols() - reach, |i, t| x[(i % n, t + i / n * lag)]))
        })
        .collect()
}

/// Refuses trajectories that are of another width or too short.
pub(super) fn check(trajectories: &[Mat<f64>], n: usize, cut: usize) -> Result<()> {
    require(!trajectories.is_empty(), "trajectories", "at least 1", 0)?;
    for x in trajectories {
        require(x.nrows() == n, "trajectory", format!("{n} numbers a time"), x.nrows())?;
        require(
            x.ncols() > cut + 5,
            "times of a trajectory",
            format!("more than {} (cut and 5)", cut + 5),
            x.ncols(),
        )?;
    }
    Ok(())
}
