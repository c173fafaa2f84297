//! A plane through state space, and the grid on it.

use std::iter::zip;

use faer::Mat;
use serde::Serialize;

use crate::Result;
use crate::dynamics::vector::{dot, norm, normalise};
use crate::error::require;
use crate::manifold::spectrum::principal_axes;

/// Part of the extent of the states that [`Plane::through`] adds on every side.
const MARGIN: f64 = 0.15;

/// A grid of points origin + a e_1 + b e_2 with orthonormal e_1, e_2.
///
/// Point k = j · size_1 + i has the i-th a and the j-th b.
#[derive(Clone, Debug, Serialize)]
pub struct Plane {
    /// n.
    pub origin: Vec<f64>,
    /// e_1, e_2, n each.
    pub axes: [Vec<f64>; 2],
    /// First and last a, first and last b.
    pub ranges: [(f64, f64); 2],
    /// Points along e_1 and e_2.
    pub size: [usize; 2],
}

impl Plane {
    /// The plane through `origin` along two vectors, which are made orthonormal: e_1 along the first.
    ///
    /// origin, along: n; ranges: along e_1 and e_2; size: at least 2 each.
    ///
    /// # Errors
    /// Vectors of other lengths, along each other or zero; empty ranges; a smaller size.
    ///
    /// ```
    /// use tinyfold::dynamics::lyapunov::Plane;
    /// let plane = Plane::new(vec![0.0; 3], [vec![2.0, 0.0, 0.0], vec![5.0, 3.0, 0.0]], [(-1.0, 1.0); 2], [5, 5])?;
    /// assert_eq!(plane.point(7), [0.0, -0.5, 0.0]);
    /// assert_eq!(plane.coordinates(&[0.5, -1.0, 9.0]), [0.5, -1.0]);
    /// # Ok::<(), tinyfold::Error>(())
    /// ```
    pub fn new(
        origin: Vec<f64>,
        along: [Vec<f64>; 2],
        ranges: [(f64, f64); 2],
        size: [usize; 2],
    ) -> Result<Self> {
        let n = origin.len();
        for vector in &along {
            require(
                vector.len() == n,
                "vectors of the plane",
                format!("{n} numbers"),
                vector.len().to_string(),
            )?;
        }
        for (low, high) in ranges {
            let found = format!("{low} to {high}");
            require(
                low < high && (high - low).is_finite(),
                "range of the plane",
                "two ends, the lower first",
                &found,
            )?;
        }
        require(size.iter().all(|&size| size > 1), "size of the grid", "at least 2", format!("{size:?}"))?;
        let [mut first, mut second] = along;
        let length = norm(&second);
        normalise(&mut first);
        for _ in 0..2 {
            let part = dot(&first, &second);
            zip(&mut second, &first).for_each(|(second, first)| *second -= part * first);
        }
        let left = norm(&second);
        // Written so that not-a-number fails.
        let apart = left > 1e-10 * length && left.is_finite();
        require(apart, "vectors of the plane", "two that are not along each other", "a line")?;
        normalise(&mut second);
        Ok(Self { origin, axes: [first, second], ranges, size })
    }

    /// The plane of the first two principal components of states (n × m) through their mean, and a margin
    /// around them.
    ///
    /// # Errors
    /// The states lie on a line; n = 1; the decomposition does not converge.
    pub fn through(states: &Mat<f64>, size: [usize; 2]) -> Result<Self> {
        let (n, count) = states.shape();
        require(
            n > 1 && count > 2,
            "states for a plane",
            "at least 3 of dimension 2",
            format!("{count} of {n}"),
        )?;
        let (variances, axes) = principal_axes(states.as_ref())?;
        let apart = variances[1] > 1e-20 * variances[0];
        require(
            apart,
            "states for a plane",
            "two directions; give the vectors of the plane",
            "a line or a point",
        )?;
        let mean = (0..n).map(|i| states.row(i).iter().sum::<f64>() / count as f64).collect();
        let axes = [0, 1].map(|k| axes.col_as_slice(k).to_vec());
        Self::new(mean, axes, [(0.0, 1.0); 2], size)?.around(states)
    }

    /// The same plane with the ranges of states (n × m) and a margin around them.
    ///
    /// # Errors
    /// The states differ in no coordinate along e_1, or along e_2.
    pub fn around(self, states: &Mat<f64>) -> Result<Self> {
        let places: Vec<[f64; 2]> =
            (0..states.ncols()).map(|t| self.coordinates(states.col_as_slice(t))).collect();
        let ranges = [0, 1].map(|k| {
            let ends =
                places.iter().fold((f64::MAX, f64::MIN), |(a, b), place| (a.min(place[k]), b.max(place[k])));
            let margin = MARGIN * (ends.1 - ends.0);
            (ends.0 - margin, ends.1 + margin)
        });
        Self::new(self.origin, self.axes, ranges, self.size)
    }

    /// Refuses a plane that is not in n dimensions.
    pub(super) fn check(&self, n: usize) -> Result<()> {
        let lengths = [&self.origin, &self.axes[0], &self.axes[1]].map(Vec::len);
        require(
            lengths == [n; 3],
            "plane",
            format!("in {n} dimensions"),
            format!("vectors of {lengths:?} numbers"),
        )
    }

    /// Number of points.
    #[must_use]
    pub fn count(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// The k-th point, n.
    #[must_use]
    pub fn point(&self, k: usize) -> Vec<f64> {
        let at = |axis: usize, index: usize| {
            let (low, high) = self.ranges[axis];
            low + (high - low) * index as f64 / (self.size[axis] - 1) as f64
        };
        let (a, b) = (at(0, k % self.size[0]), at(1, k / self.size[0]));
        zip(&self.origin, zip(&self.axes[0], &self.axes[1])).map(|(o, (e, f))| o + a * e + b * f).collect()
    }

    /// a and b of the foot of a state, n, on the plane.
    #[must_use]
    pub fn coordinates(&self, x: &[f64]) -> [f64; 2] {
        let from: Vec<f64> = zip(x, &self.origin).map(|(x, o)| x - o).collect();
        [0, 1].map(|k| dot(&from, &self.axes[k]))
    }
}
