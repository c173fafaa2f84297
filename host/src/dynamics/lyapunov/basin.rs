//! Where trajectories come to rest, and from where.

use std::iter::zip;

use faer::Mat;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use serde::Serialize;

use super::{Field, Plane, Watch};
use crate::dynamics::stepper::Stepper;
use crate::dynamics::{Kind, System};
use crate::error::require;
use crate::{Error, Result};

/// States that move together.
const BLOCK: usize = 64;

/// Which attractor every point of a plane reaches.
#[derive(Clone, Debug, Serialize)]
pub struct Basins {
    /// Points along both axes of the plane.
    pub size: [usize; 2],
    /// Number of the attractor, in the order of [`Plane`]; `None`: none within the steps.
    pub labels: Vec<Option<usize>>,
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

    /// The share of boundary points whose finite-time Lyapunov exponent is in the top `part`, from 0 to 1, of the
    /// field on the same plane. `None` without a boundary.
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

/// States scattered about a centre: Gaussian with standard deviation `deviation` in every coordinate, n × count.
#[must_use]
pub fn spread(centre: &[f64], deviation: f64, count: usize, seed: u64) -> Mat<f64> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = || -> f64 { StandardNormal.sample(&mut random) };
    Mat::from_fn(centre.len(), count, |i, _| centre[i] + deviation * draw())
}

/// Which of `attractors` the points of a plane reach: the first to which the largest difference of a coordinate is at
/// most `tolerance`, after at most `steps` steps.
///
/// attractors: stable fixed points, n each; tolerance: above 0, well below the distance of any two attractors, so that
/// what comes so near stays; dt: time of a step, the RK4 step of a flow. Runs on all cores.
///
/// # Errors
/// A plane or attractors of another n, no attractors, a tolerance or dt that is not above 0; ended early.
pub fn basins<S: System + ?Sized>(
    system: &S,
    plane: &Plane,
    attractors: &[Vec<f64>],
    steps: usize,
    dt: f64,
    tolerance: f64,
    watch: &Watch,
) -> Result<Basins> {
    let n = system.dimension();
    let fits = plane.origin.len() == n && attractors.iter().all(|attractor| attractor.len() == n);
    require(fits, "plane and attractors", format!("in {n} dimensions"), "another number of dimensions")?;
    require(!attractors.is_empty(), "attractors", "at least one", "none")?;
    check(dt, tolerance)?;
    let reached = |x: &[f64], _: &[f64]| {
        let near = |attractor: &Vec<f64>| zip(x, attractor).all(|(x, a)| (x - a).abs() <= tolerance);
        attractors.iter().position(near)
    };
    let ends = run(system, plane.count(), |k| plane.point(k), steps, dt, watch, reached)?;
    Ok(Basins { size: plane.size, labels: ends.into_iter().map(|end| end.0).collect() })
}

/// The distinct states at which trajectories from `starts` (n × m) come to rest: stable fixed points.
///
/// At rest: no coordinate moves by more than `tolerance` in a unit of time, within `steps` steps of time `dt`. States
/// whose coordinates differ by at most sqrt(tolerance) count as one. In the order in which the starts find them.
///
/// # Errors
/// Starts of another n, a tolerance or dt that is not above 0; ended early.
pub fn settled<S: System + ?Sized>(
    system: &S,
    starts: &Mat<f64>,
    steps: usize,
    dt: f64,
    tolerance: f64,
    watch: &Watch,
) -> Result<Vec<Vec<f64>>> {
    let n = system.dimension();
    require(starts.nrows() == n, "starts", format!("{n} numbers each"), starts.nrows().to_string())?;
    check(dt, tolerance)?;
    let at_rest = |x: &[f64], before: &[f64]| {
        zip(x, before).all(|(x, before)| (x - before).abs() <= tolerance * dt).then_some(0)
    };
    let start = |k: usize| starts.col_as_slice(k).to_vec();
    let mut found: Vec<Vec<f64>> = Vec::new();
    for (label, state) in run(system, starts.ncols(), start, steps, dt, watch, at_rest)? {
        let same = |known: &Vec<f64>| zip(known, &state).all(|(a, b)| (a - b).abs() <= tolerance.sqrt());
        if label.is_some() && !found.iter().any(same) {
            found.push(state);
        }
    }
    Ok(found)
}

fn check(dt: f64, tolerance: f64) -> Result<()> {
    require(dt > 0.0 && dt.is_finite(), "dt", "a time above 0", dt.to_string())?;
    require(tolerance > 0.0, "tolerance", "above 0", tolerance.to_string())
}

/// The states that trajectories go through, n × (count · kept): of every start (n × count) every `every`-th state.
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
    require(starts.nrows() == n, "starts", format!("{n} numbers each"), starts.nrows().to_string())?;
    require(every > 0, "every", "at least 1", "0")?;
    check(dt, 1.0)?;
    let flow = (system.kind() == Kind::Flow).then_some(dt);
    let mut stepper = Stepper::new(starts.ncols(), starts.clone(), flow);
    let mut states: Vec<Vec<f64>> = Vec::new();
    for step in 1..=steps {
        stepper.step(system);
        if step % every == 0 {
            let columns = (0..starts.ncols()).map(|j| stepper.z.col_as_slice(j).to_vec());
            states.extend(columns.filter(|x| x.iter().all(|x| x.is_finite())));
        }
    }
    Ok(Mat::from_fn(n, states.len(), |i, k| states[k][i]))
}

/// Runs all starts until `done` of the state and the one before says so: what it said, `None` at the last step, and
/// the state then.
fn run<S: System + ?Sized>(
    system: &S,
    count: usize,
    start: impl Fn(usize) -> Vec<f64> + Sync,
    steps: usize,
    dt: f64,
    watch: &Watch,
    done: impl Fn(&[f64], &[f64]) -> Option<usize> + Sync,
) -> Result<Vec<(Option<usize>, Vec<f64>)>> {
    let flow = (system.kind() == Kind::Flow).then_some(dt);
    let block = |first: usize| {
        let mut z = Mat::zeros(system.dimension(), BLOCK.min(count - first));
        let many = z.ncols();
        (0..many).for_each(|j| z.col_as_slice_mut(j).copy_from_slice(&start(first + j)));
        let mut stepper = Stepper::new(many, z, flow);
        let mut ends: Vec<(Option<usize>, Vec<f64>)> = vec![(None, Vec::new()); many];
        // Which start each column of the stepper is.
        let mut columns: Vec<usize> = (0..many).collect();
        for step in 1..=steps {
            stepper.step(system);
            for (j, &column) in columns.iter().enumerate() {
                let now = stepper.z.col_as_slice(j);
                if ends[column].0.is_none() {
                    ends[column] = match done(now, stepper.before(j)) {
                        Some(label) => (Some(label), now.to_vec()),
                        None if step == steps => (None, now.to_vec()),
                        None => continue,
                    };
                }
            }
            let running: Vec<usize> = (0..columns.len()).filter(|&j| ends[columns[j]].0.is_none()).collect();
            if running.is_empty() {
                break;
            }
            // Those that are done go on for nothing: they are dropped as soon as they are half.
            if 2 * running.len() <= columns.len() {
                stepper.keep(&running);
                columns = running.into_iter().map(|j| columns[j]).collect();
            }
            if watch.stopped() {
                return None;
            }
        }
        watch.bar.inc(many as u64);
        Some(ends)
    };
    let blocks: Vec<usize> = (0..count).step_by(BLOCK).collect();
    let ends = blocks.into_par_iter().map(block).collect::<Option<Vec<_>>>();
    let ended = || Error::Numeric { what: "trajectories".into(), reason: "ended early".into() };
    Ok(ends.ok_or_else(ended)?.concat())
}
