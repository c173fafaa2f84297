//! Newton's method from one start to a fixed point, to the basin of a known one, or to where it is stuck.

use std::iter::zip;

use super::lu::{Lu, distance, gram, largest, residual_jacobian, square, transposed_times};
use crate::dynamics::System;

/// Largest residual entry of an accepted point.
pub(super) const ACCEPTED: f64 = 1e-12;
/// Largest residual entry that is polished to, where rounding allows.
const POLISHED: f64 = 1e-15;
/// Least part of a step that backtracking tries.
const LEAST_PART: f64 = 1.0 / 64.0;
/// Factor of the residual below which an old factorisation is used again.
const CONTRACTION: f64 = 0.2;
/// Least singular value by the norm of a Jacobian that counts as singular.
pub(super) const SINGULAR: f64 = 1e-9;
/// Factorisations of one run.
const FACTORISATIONS: usize = 60;

/// A fixed point that was found.
pub(super) struct Known {
    pub(super) state: Vec<f64>,
    /// Largest entry of the residual.
    pub(super) residual: f64,
    /// Of the residual's Jacobian at the state.
    pub(super) lu: Lu,
    /// Whether that Jacobian is singular to rounding.
    pub(super) degenerate: bool,
}

/// How a run ended.
pub(super) enum End {
    /// At a fixed point.
    Fixed(Box<Known>),
    /// In the basin of a known one.
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

    fn moved(&self, step: &[f64], part: f64) -> Self {
        Self::new(self.system, zip(&self.x, step).map(|(x, d)| x + part * d).collect())
    }

    /// Goes along `step`, cut to length `clip` and halved until q = |r|² / 2 falls; false if it does not.
    pub(super) fn advance(&mut self, step: &[f64], clip: f64) -> bool {
        let length = square(step).sqrt();
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
            if !(new <= CONTRACTION * old) {
                return;
            }
            *self = next;
            if new <= ACCEPTED {
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
        if !(largest(&self.r) <= ACCEPTED) {
            return None;
        }
        let jacobian = residual_jacobian(self.system, &self.x);
        let size = jacobian.norm_l2();
        let lu = Lu::new(jacobian);
        let (_, _, least) = lu.least_singular();
        let degenerate = least <= SINGULAR * size;
        for _ in 0..3 {
            if degenerate || largest(&self.r) <= POLISHED {
                break;
            }
            let next = self.moved(&lu.step(&self.r), 1.0);
            if !(largest(&next.r) < largest(&self.r)) {
                break;
            }
            self = next;
        }
        Some(Known { residual: largest(&self.r), state: self.x, lu, degenerate })
    }

    /// Whether this is in the basin of a known point x*: whether the step with the Jacobian *there* leads from here to
    /// x*, to a tenth of the distance. Near another root r is small, so the step is, and leads nowhere.
    fn in_basin(&self, known: &[Known]) -> bool {
        let distances = known.iter().map(|known| distance(&known.state, &self.x));
        let Some((nearest, far)) = zip(known, distances).min_by(|a, b| a.1.total_cmp(&b.1)) else {
            return false;
        };
        if nearest.degenerate {
            return far <= super::SAME;
        }
        let step = nearest.lu.step(&self.r);
        let missed =
            zip(zip(&self.x, &step), &nearest.state).fold(0.0, |most: f64, ((x, d), y)| most.max((x + d - y).abs()));
        missed <= 0.1 * far
    }
}

/// Newton's method on the residual, with clipped and halved steps; damped ones where they fail.
pub(super) fn run(system: &dyn System, start: &[f64], clip: f64, known: &[Known]) -> End {
    let mut at = Iterate::new(system, start.to_vec());
    for _ in 0..FACTORISATIONS {
        if !largest(&at.r).is_finite() {
            return End::Lost;
        }
        if largest(&at.r) <= ACCEPTED {
            break;
        }
        if at.in_basin(known) {
            return End::Known;
        }
        let lu = Lu::at(system, &at.x);
        let before = largest(&at.r);
        if at.advance(&lu.step(&at.r), clip) {
            if largest(&at.r) <= CONTRACTION * before {
                at.chord(&lu);
            }
        } else if !at.advance(&at.damped_step(), clip) {
            return End::Stalled(at.x);
        }
    }
    let x = at.x.clone();
    at.accepted().map_or(End::Stalled(x), |known| End::Fixed(Box::new(known)))
}
