//! Slow points: local minima of q = |residual|² / 2 that are not fixed points.

use faer::{Mat, Side};
use serde::Serialize;

use super::newton::{Iterate, Known, in_trough, residual_jacobian};
use crate::dynamics::System;
use crate::dynamics::linear::{Lu, gram, transposed_times};
use crate::dynamics::vector::{norm, square};

/// Steps of one minimisation.
const STEPS: usize = 60;
/// Flatness below which the Hessian's second part is worth its cost.
const NEAR: f64 = 1e-2;
/// Flatness below which the gradient counts as 0.
const FLAT: f64 = 1e-8;
/// Rounding of an entry of the residual, by the larger of 1 and the largest entry of the state.
const ROUNDING: f64 = 4.0 * f64::EPSILON;

/// A local minimum of q that is not a fixed point: states pass it slowly where q is small.
#[derive(Clone, Debug, Serialize)]
pub struct SlowPoint {
    /// x, n.
    pub state: Vec<f64>,
    /// q = |residual|² / 2 there: half the squared distance of a step of a map, half the squared speed of a
    /// flow.
    pub q: f64,
    /// Flatness |Jᵀ r| / (max(1, |J|) |r|), 0 at a minimum.
    pub gradient: f64,
    /// Least eigenvalue of the Hessian of q; above 0 at a minimum.
    pub curvature: f64,
}

/// A slow point and the factorised Hessian of q there.
pub(super) struct Trough {
    pub(super) point: SlowPoint,
    pub(super) lu: Lu,
}

/// What minimisation of q came to.
pub(super) enum Minimum {
    Slow(Trough),
    /// A state with a residual as small as that of a fixed point.
    Fixed(Vec<f64>),
    /// No minimum, or one that is known.
    None,
}

/// Goes down q from x: by Gauss and Newton with damping, near a minimum by Newton's method.
pub(super) fn minimise(system: &dyn System, x: &[f64], known: &[Known], troughs: &[Trough]) -> Minimum {
    let mut at = Iterate::new(system, x.to_vec());
    let mut damping = 1e-3;
    // The second part of the Hessian costs 2 n Jacobians: it is used again while the gradient falls fast.
    let mut old: Option<(Lu, f64)> = None;
    for _ in 0..STEPS {
        if at.rests() {
            return Minimum::Fixed(at.x);
        }
        let jacobian = residual_jacobian(system, &at.x);
        let gradient = transposed_times(&jacobian, &at.r);
        let flat = flatness(&jacobian, &gradient, &at.r);
        if !flat.is_finite() || at.in_basin(known) || in_trough(troughs, &at.x, &jacobian, &at.r) {
            return Minimum::None;
        }
        if flat <= 0.01 * FLAT {
            break;
        }
        old = old.filter(|(_, before)| flat <= 0.3 * before);
        if let Some((lu, before)) = &mut old {
            *before = flat;
            if at.descend(&lu.step(&gradient)) {
                continue;
            }
            old = None;
        }
        let near = flat < NEAR;
        let curvature = if near { hessian(system, &at, &jacobian) } else { gram(&jacobian) };
        match downhill(&mut at, &curvature, &gradient, &mut damping) {
            Some(lu) if near => old = Some((lu, flat)),
            Some(_) => {}
            None => break,
        }
    }
    slow_point(system, at)
}

/// One step -(curvature + damping)^-1 gradient that makes q smaller, with as much damping as it needs; its
/// factorisation.
fn downhill(at: &mut Iterate<'_>, curvature: &Mat<f64>, gradient: &[f64], damping: &mut f64) -> Option<Lu> {
    let n = gradient.len();
    let scale = (0..n).map(|i| curvature[(i, i)].abs()).fold(f64::MIN_POSITIVE, f64::max);
    for _ in 0..12 {
        let mut damped = curvature.clone();
        (0..n).for_each(|i| damped[(i, i)] += *damping * scale);
        let lu = Lu::new(damped);
        if at.descend(&lu.step(gradient)) {
            *damping = if *damping < 1e-12 { 0.0 } else { *damping * 0.1 };
            return Some(lu);
        }
        *damping = (*damping * 10.0).max(1e-10);
    }
    None
}

/// |Jᵀ r| / (max(1, |J|) |r|): where J is small the part of f or of the leak is not.
fn flatness(jacobian: &Mat<f64>, gradient: &[f64], r: &[f64]) -> f64 {
    norm(gradient) / (jacobian.norm_l2().max(1.0) * norm(r)).max(f64::MIN_POSITIVE)
}

/// Jᵀ J + sum_i r_i d²r_i / dx², the second by differences of the Jacobian.
fn hessian(system: &dyn System, at: &Iterate<'_>, jacobian: &Mat<f64>) -> Mat<f64> {
    let n = at.x.len();
    let here = transposed_times(jacobian, &at.r);
    let (mut hessian, mut moved, mut x) = (gram(jacobian), Mat::zeros(n, n), at.x.clone());
    for j in 0..n {
        let h = 1e-7 * (1.0 + x[j].abs());
        x[j] += h;
        system.residual_jacobian(&x, moved.as_mut());
        let there = transposed_times(&moved, &at.r);
        x[j] = at.x[j];
        for i in 0..n {
            let second = (there[i] - here[i]) / (2.0 * h);
            hessian[(i, j)] += second;
            hessian[(j, i)] += second;
        }
    }
    hessian
}

/// The point if the gradient is 0, the curvature positive, and the residual not that of a fixed point.
fn slow_point(system: &dyn System, at: Iterate<'_>) -> Minimum {
    let jacobian = residual_jacobian(system, &at.x);
    let gradient = flatness(&jacobian, &transposed_times(&jacobian, &at.r), &at.r);
    // Of a residual near rounding the gradient has few digits.
    let flat = FLAT.max(ROUNDING * at.size() * (at.x.len() as f64).sqrt() / norm(&at.r));
    if gradient.is_nan() || gradient > flat || at.rests() {
        return Minimum::None;
    }
    let hessian = hessian(system, &at, &jacobian);
    let values = hessian.is_all_finite().then(|| hessian.self_adjoint_eigenvalues(Side::Lower));
    let Some(Ok(values)) = values else { return Minimum::None };
    let (curvature, most) = (values[0], values[values.len() - 1]);
    if curvature.is_nan() || curvature <= 1e-14 * most {
        return Minimum::None;
    }
    let q = 0.5 * square(&at.r);
    Minimum::Slow(Trough { point: SlowPoint { state: at.x, q, gradient, curvature }, lu: Lu::new(hessian) })
}
