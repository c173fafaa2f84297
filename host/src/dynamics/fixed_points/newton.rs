//! Newton's method from one start to a fixed point, to the basin of a known one, or to where it is stuck.

use std::iter::zip;

use faer::Mat;

use super::slow::Trough;
use crate::dynamics::System;
use crate::dynamics::linear::{Lu, gram, transposed_times};
use crate::dynamics::vector::{distance, largest, moved, norm, square, square_distance};

/// Largest residual entry of an accepted point, by the larger of 1 and the largest entry of its state: rounding grows
/// with that.
const ACCEPTED: f64 = 1e-12;
/// Least part of a step that backtracking tries.
const LEAST_PART: f64 = 1.0 / 16.0;
/// Factor of the residual below which an old factorisation is used again.
const CONTRACTION: f64 = 0.2;
/// Least singular value that counts as singular, by the larger of 1 and the norm of the residual's Jacobian.
pub(super) const SINGULAR: f64 = 1e-9;
/// The same where Newton's method converges slowly besides: by less than this factor a step, above this residual.
const NEARLY: f64 = 1e-6;
const SLOWLY: (f64, f64) = (0.2, 1e-15);
/// Part of the distance to a known point that a step with its Jacobian may miss it by, in its basin.
const BASIN: f64 = 0.3;
/// Factorisations within which |r|² must halve.
const PATIENCE: usize = 7;
/// Damped steps of one run.
const DAMPED: usize = 20;
/// Factorisations of one run.
const FACTORISATIONS: usize = 60;

/// The derivative of the residual at x.
pub(super) fn residual_jacobian(system: &dyn System, x: &[f64]) -> Mat<f64> {
    let n = x.len();
    let mut jacobian = Mat::zeros(n, n);
    system.residual_jacobian(x, jacobian.as_mut());
    jacobian
}

/// A fixed point that was found.
pub(super) struct Known {
    pub(super) state: Vec<f64>,
    /// Largest entry of the residual.
    pub(super) residual: f64,
    /// Of the residual's Jacobian at the state.
    pub(super) lu: Lu,
    /// Its right singular vector of the least singular value.
    pub(super) null: Vec<f64>,
    /// Whether that Jacobian is singular to rounding.
    pub(super) degenerate: bool,
}

/// As [`Lu::least_singular`] of a Jacobian that elimination finds singular.
fn exact_null(system: &dyn System, x: &[f64]) -> (Vec<f64>, f64) {
    let n = x.len();
    let direction = |v: faer::MatRef<'_, f64>| (0..n).map(|i| v[(i, n - 1)]).collect();
    residual_jacobian(system, x).svd().map_or((vec![0.0; n], 0.0), |svd| (direction(svd.V()), svd.S()[n - 1]))
}

/// Whether the step of Newton's method on the gradient of q, with the Hessian at a slow point, leads from x
/// there.
pub(super) fn in_trough(troughs: &[Trough], x: &[f64], jacobian: &Mat<f64>, r: &[f64]) -> bool {
    let far = |trough: &&Trough| distance(&trough.point.state, x);
    let nearest = troughs.iter().min_by(|a, b| far(a).total_cmp(&far(b)));
    nearest.is_some_and(|trough| {
        let step = trough.lu.step(&transposed_times(jacobian, r));
        missed(x, &step, &trough.point.state) <= BASIN * far(&trough)
    })
}

/// Largest entry of x + d - y.
fn missed(x: &[f64], step: &[f64], y: &[f64]) -> f64 {
    zip(zip(x, step), y).fold(0.0, |most, ((x, d), y)| most.max((x + d - y).abs()))
}

/// How a run ended.
pub(super) enum End {
    /// At a fixed point.
    Fixed(Box<Known>),
    /// In the basin of a known one, or of a known slow point.
    Known,
    /// No step makes the residual smaller, or there were too many of them.
    Stalled(Vec<f64>),
    /// Not a finite number.
    Lost,
}

/// A state and its residual.
pub(super) struct Iterate<'a> {
    system: &'a dyn System,
    pub(super) x: Vec<f64>,
    pub(super) r: Vec<f64>,
}

impl<'a> Iterate<'a> {
    pub(super) fn new(system: &'a dyn System, x: Vec<f64>) -> Self {
        let mut r = vec![0.0; x.len()];
        system.residual(&x, &mut r);
        Self { system, x, r }
    }

    /// Whether the residual is that of a fixed point.
    pub(super) fn rests(&self) -> bool {
        largest(&self.r) <= ACCEPTED * self.size()
    }

    /// The larger of 1 and the largest entry of x.
    pub(super) fn size(&self) -> f64 {
        largest(&self.x).max(1.0)
    }

    fn moved(&self, step: &[f64], part: f64) -> Self {
        Self::new(self.system, moved(&self.x, part, step))
    }

    /// Goes along `step`, cut to length `clip` and halved until q = |r|² / 2 falls; false if it does not.
    pub(super) fn advance(&mut self, step: &[f64], clip: f64) -> bool {
        let length = norm(step);
        if !length.is_finite() {
            return false;
        }
        let whole = if length > clip { clip / length } else { 1.0 };
        let (q, mut part) = (square(&self.r), 1.0);
        while part >= LEAST_PART {
            let next = self.moved(step, part * whole);
            if square(&next.r) < (1.0 - 1e-3 * part * whole) * q {
                *self = next;
                return true;
            }
            part *= 0.5;
        }
        false
    }

    /// Goes all of `step` if q falls, or stays where rounding hides whether it does; false if it rises.
    pub(super) fn descend(&mut self, step: &[f64]) -> bool {
        let next = self.moved(step, 1.0);
        let falls = square(&next.r) <= square(&self.r) * (1.0 + 1e-14);
        if falls {
            *self = next;
        }
        falls
    }

    /// Goes along -A^-1 r with an old factorisation while the residual shrinks fast.
    fn chord(&mut self, lu: &Lu) {
        for _ in 0..12 {
            let next = self.moved(&lu.step(&self.r), 1.0);
            let (new, old) = (largest(&next.r), largest(&self.r));
            if new.is_nan() || new > CONTRACTION * old {
                return;
            }
            *self = next;
            if self.rests() {
                return;
            }
        }
    }

    /// The step of Levenberg and Marquardt, -(JᵀJ + λ)^-1 Jᵀ r with λ = |r|²: also where J is singular.
    pub(super) fn damped_step(&self) -> Vec<f64> {
        let jacobian = residual_jacobian(self.system, &self.x);
        let mut normal = gram(&jacobian);
        let n = self.x.len();
        let trace: f64 = (0..n).map(|i| normal[(i, i)]).sum();
        let damping = square(&self.r).max(1e-14 * trace);
        (0..n).for_each(|i| normal[(i, i)] += damping);
        Lu::new(normal).step(&transposed_times(&jacobian, &self.r))
    }

    /// The point if the residual is small enough, polished.
    pub(super) fn accepted(mut self) -> Option<Known> {
        if !self.rests() {
            return None;
        }
        let jacobian = residual_jacobian(self.system, &self.x);
        let size = jacobian.norm_l2().max(1.0);
        let lu = Lu::new(jacobian);
        let (null, least) = lu.least_singular().unwrap_or_else(|| exact_null(self.system, &self.x));
        let mut degenerate = least <= SINGULAR * size;
        for _ in 0..3 {
            if degenerate || largest(&self.r) == 0.0 {
                break;
            }
            let next = self.moved(&lu.step(&self.r), 1.0);
            let (new, old) = (largest(&next.r), largest(&self.r));
            degenerate = least <= NEARLY * size && new > SLOWLY.0 * old && old > SLOWLY.1 * self.size();
            if new.is_nan() || new >= old {
                break;
            }
            self = next;
        }
        Some(Known { residual: largest(&self.r), state: self.x, lu, null, degenerate })
    }

    /// Whether this is in the basin of a known point x*: whether the step with the Jacobian *there* leads
    /// from here to x*, to a part of the distance. Near another root r is small, so the step is, and leads
    /// nowhere.
    pub(super) fn in_basin(&self, known: &[Known]) -> bool {
        let apart = |known: &Known| square_distance(&known.state, &self.x);
        let distances = known.iter().map(|known| (known, apart(known)));
        let Some((nearest, _)) = distances.min_by(|a, b| a.1.total_cmp(&b.1)) else {
            return false;
        };
        let far = distance(&nearest.state, &self.x);
        if nearest.degenerate {
            return far <= super::SAME;
        }
        let step = nearest.lu.step(&self.r);
        missed(&self.x, &step, &nearest.state) <= BASIN * far
    }
}

/// Newton's method on the residual, with clipped and halved steps; damped ones where they fail.
pub(super) fn run(system: &dyn System, start: &[f64], clip: f64, known: &[Known], troughs: &[Trough]) -> End {
    let mut at = Iterate::new(system, start.to_vec());
    let mut damped = 0;
    let (mut patience, mut best) = (PATIENCE, f64::INFINITY);
    for _ in 0..FACTORISATIONS {
        let before = largest(&at.r);
        if !before.is_finite() {
            return End::Lost;
        }
        if at.rests() {
            break;
        }
        patience -= 1;
        if square(&at.r) < 0.5 * best {
            (patience, best) = (PATIENCE, square(&at.r));
        }
        if patience == 0 {
            break;
        }
        if at.in_basin(known) {
            return End::Known;
        }
        let jacobian = residual_jacobian(system, &at.x);
        if in_trough(troughs, &at.x, &jacobian, &at.r) {
            return End::Known;
        }
        let lu = Lu::new(jacobian);
        if at.advance(&lu.step(&at.r), clip) {
            if largest(&at.r) <= CONTRACTION * before {
                at.chord(&lu);
            }
        } else {
            damped += 1;
            if damped > DAMPED || !at.advance(&at.damped_step(), clip) {
                break;
            }
        }
    }
    let x = at.x.clone();
    at.accepted().map_or(End::Stalled(x), |known| End::Fixed(Box::new(known)))
}
