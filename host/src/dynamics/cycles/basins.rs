//! Which attractor each point of a plane goes to.

use rayon::prelude::*;
use serde::Serialize;

use super::System;
use crate::Result;
use crate::dynamics::Kind;
use crate::dynamics::vector::{distance, largest};
use crate::error::require;

/// A rectangle of a plane in state space, cut into cells.
#[derive(Clone, Debug, Serialize)]
pub struct Plane {
    /// The point (0, 0) of the plane, n numbers.
    pub origin: Vec<f64>,
    /// The two axes, n numbers each; the point (x, y) is origin + x · first + y · second.
    pub axes: [Vec<f64>; 2],
    /// Least and greatest x.
    pub x: (f64, f64),
    /// Least and greatest y.
    pub y: (f64, f64),
    /// Cells along x and along y.
    pub cells: (usize, usize),
}

impl Plane {
    /// The state in the middle of cell (column, row).
    #[must_use]
    pub fn state(&self, column: usize, row: usize) -> Vec<f64> {
        let at = |range: (f64, f64), cell: usize, cells: usize| {
            range.0 + (range.1 - range.0) * (cell as f64 + 0.5) / cells as f64
        };
        let (x, y) = (at(self.x, column, self.cells.0), at(self.y, row, self.cells.1));
        let [first, second] = &self.axes;
        (0..self.origin.len()).map(|i| self.origin[i] + x * first[i] + y * second[i]).collect()
    }
}

/// Where a point goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// To an attractor, by its number.
    Attractor(usize),
    /// Beyond the bound.
    Away,
    /// Neither within the iterations: a slow approach, or an attractor that is not in the list, such as a
    /// chaotic one.
    Bounded,
}

/// Where the points of a plane go.
#[derive(Clone, Debug, Serialize)]
pub struct Raster {
    /// The plane.
    pub plane: Plane,
    /// Goals, row after row from the least y.
    pub goals: Vec<Goal>,
}

/// Steps between two looks at the attractors.
const BETWEEN: usize = 8;

/// Iterates a map from every cell of a plane, until it is `near` a point of an attractor, beyond `bound`, or
/// for `steps` steps.
///
/// attractors: orbits, n numbers a point, such as those of stable cycles; near and bound: largest difference
/// and largest |z|. Rows are computed in parallel; the result does not depend on it.
///
/// # Errors
/// A flow; a plane without cells or of another dimension; attractors of another dimension; a bound that is
/// not above 0.
pub fn basins<S: System + ?Sized>(
    system: &S,
    attractors: &[Vec<Vec<f64>>],
    plane: &Plane,
    near: f64,
    bound: f64,
    steps: usize,
) -> Result<Raster> {
    let n = system.dimension();
    require(system.kind() == Kind::Map, "system", "a map", "a flow")?;
    let (columns, rows) = plane.cells;
    require(
        columns > 0 && rows > 0,
        "cells of the plane",
        "at least 1 a side",
        format!("{columns} × {rows}"),
    )?;
    let shapes = plane.axes.iter().chain([&plane.origin]).chain(attractors.iter().flatten());
    let fits = shapes.into_iter().all(|vector| vector.len() == n);
    require(fits, "plane and attractors", format!("vectors of {n} numbers"), "another length")?;
    require(near > 0.0 && bound > 0.0, "near and bound", "above 0", format!("{near} and {bound}"))?;
    let goal = |z: &mut Vec<f64>, next: &mut Vec<f64>| {
        for step in 0..=steps {
            if step % BETWEEN == 0 {
                let reached = |orbit: &Vec<Vec<f64>>| orbit.iter().any(|point| distance(point, z) < near);
                if let Some(number) = attractors.iter().position(reached) {
                    return Goal::Attractor(number);
                }
            }
            if largest(z) > bound || z.iter().any(|z| z.is_nan()) {
                return Goal::Away;
            }
            system.value(z, next);
            std::mem::swap(z, next);
        }
        Goal::Bounded
    };
    let row = |row: usize| {
        let mut next = vec![0.0; n];
        (0..columns).map(|column| goal(&mut plane.state(column, row), &mut next)).collect::<Vec<Goal>>()
    };
    let goals = (0..rows).into_par_iter().flat_map_iter(row).collect();
    Ok(Raster { plane: plane.clone(), goals })
}
