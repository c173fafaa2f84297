//! Finite-time Lyapunov exponents on a plane.

use faer::Mat;
use serde::Serialize;

use super::blocks::in_order;
use super::{Plane, Watch};
use crate::Result;
use crate::dynamics::stepper::Stepper;
use crate::dynamics::vector::dot;
use crate::dynamics::{Kind, System};
use crate::error::require;

/// Grid points that move together: one product with W for all of them, in cache.
const BLOCK: usize = 32;
/// Tangent vectors are scaled after so many steps: they neither overflow nor become slow denormals.
const SCALED: usize = 32;

/// Finite-time Lyapunov exponents of the points of a plane.
#[derive(Clone, Debug, Serialize)]
pub struct Field {
    /// T, in the time of `dt`.
    pub time: f64,
    /// One of every point, in the order of [`Plane`], in 1 / time; not a number where the state leaves to
    /// infinity, or where none was computed.
    pub values: Vec<f64>,
    /// Points computed; fewer than there are after Ctrl-C.
    pub computed: usize,
}

impl Field {
    /// The value that a part of the points, from 0 to 1, does not reach. `None` without a finite value.
    ///
    /// ```
    /// use tinyfold::dynamics::lyapunov::Field;
    /// let field = Field { time: 1.0, values: (0..100).map(f64::from).collect(), computed: 100 };
    /// assert_eq!(field.quantile(0.95), Some(95.0));
    /// ```
    #[must_use]
    pub fn quantile(&self, part: f64) -> Option<f64> {
        let mut sorted: Vec<f64> = self.values.iter().copied().filter(|value| !value.is_nan()).collect();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        sorted.get(((part * sorted.len() as f64) as usize).min(last)).copied()
    }
}

/// The field of finite-time Lyapunov exponents on a plane, by tangent vectors.
///
/// FTLE = ln(sigma) / T, sigma the largest singular value of D (e_1 e_2), D the exact linearisation of all
/// steps along the trajectory from the point: how much a small step within the plane grows, in all of state
/// space.
///
/// steps: at least 1; dt: time of a step, the RK4 step of a flow. Grid points run in blocks, on all cores;
/// the result has the same bits for any number of them. Ended early, it keeps the blocks that are done.
///
/// # Errors
/// A plane of another n; no steps or no time.
///
/// Source: Haller 2015, section 3.
///
/// ```
/// use faer::{Mat, MatMut};
/// use tinyfold::dynamics::lyapunov::{Plane, Watch, field};
/// use tinyfold::dynamics::{Kind, System};
///
/// /// dx/dt = x - x³, dy/dt = -y: points part at x = 0.
/// struct Wells;
/// impl System for Wells {
///     fn dimension(&self) -> usize {
///         2
///     }
///     fn kind(&self) -> Kind {
///         Kind::Flow
///     }
///     fn value(&self, x: &[f64], out: &mut [f64]) {
///         (out[0], out[1]) = (x[0] - x[0].powi(3), -x[1]);
///     }
///     fn jacobian(&self, x: &[f64], mut out: MatMut<'_, f64>) {
///         (out[(0, 0)], out[(0, 1)], out[(1, 0)], out[(1, 1)]) = (1.0 - 3.0 * x[0] * x[0], 0.0, 0.0, -1.0);
///     }
/// }
///
/// let plane = Plane::new(vec![0.0; 2], [vec![1.0, 0.0], vec![0.0, 1.0]], [(-2.0, 2.0); 2], [5, 3])?;
/// let found = field(&Wells, &plane, 100, 0.05, &Watch::default())?;
/// // On x = 0: exactly 1. At x = ±1: both directions shrink, the slower at rate 1.
/// assert!((found.values[2] - 1.0).abs() < 1e-6 && (found.values[1] + 1.0).abs() < 1e-6);
/// # Ok::<(), tinyfold::Error>(())
/// ```
pub fn field<S: System + ?Sized>(
    system: &S,
    plane: &Plane,
    steps: usize,
    dt: f64,
    watch: &Watch,
) -> Result<Field> {
    let n = system.dimension();
    plane.check(n)?;
    require(steps > 0, "steps", "at least 1", "0")?;
    require(dt > 0.0 && dt.is_finite(), "dt", "a time above 0", dt.to_string())?;
    let flow = (system.kind() == Kind::Flow).then_some(dt);
    let time = steps as f64 * dt;
    let done: Vec<Option<Vec<f64>>> = in_order(plane.count().div_ceil(BLOCK), |k| {
        let points = BLOCK.min(plane.count() - k * BLOCK);
        let growth = block(system, plane, k * BLOCK, points, steps, flow, watch)?;
        watch.bar.inc(points as u64);
        Some(growth.into_iter().map(|log| log / time).collect())
    });
    let computed = done.iter().flatten().map(Vec::len).sum();
    let mut values = Vec::with_capacity(plane.count());
    for block in done {
        let missing = BLOCK.min(plane.count() - values.len());
        values.extend(block.unwrap_or_else(|| vec![f64::NAN; missing]));
    }
    Ok(Field { time, values, computed })
}

/// ln sigma of points first .. first + points; `None`: ended early.
fn block<S: System + ?Sized>(
    system: &S,
    plane: &Plane,
    first: usize,
    points: usize,
    steps: usize,
    flow: Option<f64>,
    watch: &Watch,
) -> Option<Vec<f64>> {
    let mut z = Mat::zeros(plane.origin.len(), 3 * points);
    for j in 0..points {
        z.col_as_slice_mut(j).copy_from_slice(&plane.point(first + j));
        for (k, axis) in plane.axes.iter().enumerate() {
            z.col_as_slice_mut(points + 2 * j + k).copy_from_slice(axis);
        }
    }
    let mut stepper = Stepper::new(points, z, flow);
    let mut logs = vec![0.0; points];
    for step in 1..=steps {
        stepper.step(system);
        if step % SCALED == 0 || step == steps {
            if watch.stopped() {
                return None;
            }
            for (j, log) in logs.iter_mut().enumerate() {
                let mut both = stepper.z.subcols_mut(points + 2 * j, 2);
                let size = both.norm_max();
                if size > 0.0 {
                    *log += size.ln();
                    both *= faer::Scale(1.0 / size);
                }
            }
        }
    }
    let sigma = |j: usize| {
        let (first, second) =
            (stepper.z.col_as_slice(points + 2 * j), stepper.z.col_as_slice(points + 2 * j + 1));
        let (a, b, c) = (dot(first, first), dot(first, second), dot(second, second));
        (f64::midpoint(a, c) + ((a - c) / 2.0).hypot(b)).sqrt()
    };
    let grown = |(j, log): (usize, f64)| {
        let there = stepper.z.col_as_slice(j).iter().all(|x| x.is_finite());
        if there { log + sigma(j).ln() } else { f64::NAN }
    };
    Some(logs.into_iter().enumerate().map(grown).collect())
}
