//! Which attractor is reached from where.

use faer::Mat;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::Serialize;

use super::run::run;
use super::{AttractingSet, Field, Plane, Watch};
use crate::Result;
use crate::dynamics::stepper::Stepper;
use crate::dynamics::vector::{is_finite, largest};
use crate::dynamics::{Kind, System};
use crate::error::require;

/// Which attractor every point of a plane reaches.
#[derive(Clone, Debug, Serialize)]
pub struct Basins {
    /// Points along both axes of the plane.
    pub size: [usize; 2],
    /// Number of the attractor, in the order of [`Plane`]; `None`: none within the steps.
    pub labels: Vec<Option<usize>>,
    /// Whether the state left the bound or the finite numbers.
    pub escaped: Vec<bool>,
}

impl Basins {
    /// Whether a point has a neighbour to the left, right, above or below that reaches another attractor.
    #[must_use]
    pub fn boundary(&self) -> Vec<bool> {
        let [columns, rows] = self.size;
        let other = |k: usize, there: bool, next: usize| {
            there && matches!((self.labels[k], self.labels[next]), (Some(a), Some(b)) if a != b)
        };
        (0..columns * rows)
            .map(|k| {
                let (i, j) = (k % columns, k / columns);
                other(k, i > 0, k.wrapping_sub(1))
                    || other(k, i + 1 < columns, (k + 1) % self.labels.len())
                    || other(k, j > 0, k.wrapping_sub(columns))
                    || other(k, j + 1 < rows, (k + columns) % self.labels.len())
            })
            .collect()
    }

    /// The share of boundary points whose finite-time Lyapunov exponent is in the top `part`, from 0 to 1, of
    /// the field on the same plane. `None` without a boundary.
    #[must_use]
    pub fn boundary_in_top(&self, field: &Field, part: f64) -> Option<f64> {
        let least = field.quantile(1.0 - part)?;
        let boundary = self.boundary();
        let on: Vec<f64> =
            field.values.iter().zip(boundary).filter(|pair| pair.1).map(|pair| *pair.0).collect();
        let high = on.iter().filter(|&&value| value >= least).count();
        (!on.is_empty()).then(|| high as f64 / on.len() as f64)
    }
}

/// States scattered about a centre: Gaussian with standard deviation `deviation` in every coordinate, n ×
/// count.
#[must_use]
pub fn spread(centre: &[f64], deviation: f64, count: usize, seed: u64) -> Mat<f64> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = || -> f64 { StandardNormal.sample(&mut random) };
    Mat::from_fn(centre.len(), count, |i, _| centre[i] + deviation * draw())
}

/// Steps between two looks at whether an attractor of many states is reached.
const BETWEEN: usize = 64;
/// More states than this are many.
const MANY: usize = 64;

/// Which of `attractors` the points of a plane reach, the first that holds the state, within `steps` steps.
///
/// attractors: those of [`super::attractors()`], or points and cycles that are known, with a reach above 0
/// and well below the distance of any two of them, so that what comes so near stays; dt: time of a step, the
/// RK4 step of a flow; bound: largest |x_i| of what counts as staying, may be infinite. Runs on all cores.
///
/// # Errors
/// A plane or attractors of another n, a reach, bound or dt that is not above 0; ended early.
pub fn basins<S: System + ?Sized>(
    system: &S,
    plane: &Plane,
    attractors: &[AttractingSet],
    steps: usize,
    dt: f64,
    bound: f64,
    watch: &Watch,
) -> Result<Basins> {
    let n = system.dimension();
    plane.check(n)?;
    let fits = attractors.iter().flat_map(|set| &set.states).all(|x| x.len() == n);
    require(fits, "attractors", format!("in {n} dimensions"), "another number of dimensions")?;
    require(attractors.iter().all(|a| a.reach > 0.0), "reach of attractors", "above 0", "one that is not")?;
    require(bound > 0.0, "bound", "above 0", bound)?;
    let away = |x: &[f64]| !is_finite(x) || largest(x) > bound;
    // Outside: no attractor.
    let end = |step: usize, x: &[f64], _: &[f64]| {
        let all = step.is_multiple_of(BETWEEN) || step == steps;
        let due = |set: &AttractingSet| all || set.states.len() <= MANY;
        let found = attractors.iter().position(|set| due(set) && set.holds(x));
        if found.is_some() {
            return Some(found);
        }
        (bound.is_finite() && largest(x) > bound).then_some(None)
    };
    let ends = run(system, plane.count(), |k| plane.point(k), steps, dt, watch, end)?;
    let escaped = ends.iter().map(|(label, x)| label.flatten().is_none() && away(x)).collect();
    let labels = ends.into_iter().map(|(label, _)| label.flatten()).collect();
    Ok(Basins { size: plane.size, labels, escaped })
}

/// The states that trajectories go through, n × (count · kept): of every start (n × count) every `every`-th
/// state.
///
/// steps: at least 1; every: at least 1. What is not finite is left out.
///
/// # Errors
/// Starts of another n; a dt that is not above 0.
pub fn visited<S: System + ?Sized>(
    system: &S,
    starts: &Mat<f64>,
    steps: usize,
    every: usize,
    dt: f64,
) -> Result<Mat<f64>> {
    let n = system.dimension();
    require(starts.nrows() == n, "starts", format!("{n} numbers each"), starts.nrows())?;
    require(every > 0, "every", "at least 1", "0")?;
    require(dt > 0.0 && dt.is_finite(), "dt", "a time above 0", dt)?;
    let flow = (system.kind() == Kind::Flow).then_some(dt);
    let mut stepper = Stepper::new(starts.ncols(), starts.clone(), flow);
    let mut states: Vec<Vec<f64>> = Vec::new();
    for step in 1..=steps {
        stepper.step(system);
        if step % every == 0 {
            let columns = (0..starts.ncols()).map(|j| stepper.z.col_as_slice(j).to_vec());
            states.extend(columns.filter(|x| is_finite(x)));
        }
    }
    Ok(Mat::from_fn(n, states.len(), |i, k| states[k][i]))
}
