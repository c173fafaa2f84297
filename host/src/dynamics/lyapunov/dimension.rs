//! How many directions a cloud of states has.

use faer::Mat;
use serde::Serialize;

use crate::Result;
use crate::manifold::dimension::{LocalDimension, NEIGHBOURS, NOISE, local};
use crate::manifold::spectrum::principal_axes;

/// Dimension of a cloud of states.
#[derive(Clone, Debug, Serialize)]
pub struct Intrinsic {
    /// (sum v)² / sum v² of the variances v along the principal axes; 0 of a point.
    pub participation_ratio: f64,
    /// Of neighbourhoods; `None` with fewer states than neighbours.
    pub local: Option<LocalDimension>,
    /// v, largest first, n.
    pub variances: Vec<f64>,
}

/// Participation ratio and local dimension of states, the columns of an n × m matrix.
///
/// Both are robust on states that crowd at fixed points, where estimates by nearest neighbours fail.
///
/// # Errors
/// A decomposition does not converge.
///
/// ```
/// use faer::Mat;
/// use tinyfold::dynamics::lyapunov::intrinsic;
/// // A circle: two directions in all, one in every neighbourhood.
/// let turn = std::f64::consts::TAU / 500.0;
/// let circle = Mat::from_fn(3, 500, |i, t| (turn * t as f64 + [0.0, 1.0, 2.0][i] * 2.1).sin());
/// let found = intrinsic(&circle)?;
/// assert!((found.participation_ratio - 2.0).abs() < 0.01);
/// assert_eq!(found.local.map(|local| local.median), Some(1));
/// # Ok::<(), tinyfold::Error>(())
/// ```
pub fn intrinsic(states: &Mat<f64>) -> Result<Intrinsic> {
    let (variances, _) = principal_axes(states.as_ref())?;
    let (sum, squares) = variances.iter().fold((0.0, 0.0), |(sum, squares), v| (sum + v, squares + v * v));
    let participation_ratio = if squares > 0.0 { sum * sum / squares } else { 0.0 };
    Ok(Intrinsic { participation_ratio, local: local(states, NEIGHBOURS, NOISE)?, variances })
}
