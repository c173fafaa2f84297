//! Slow points: local minima of q = |residual|² / 2 that are not fixed points.

use faer::{Mat, Side};
use serde::Serialize;

use super::lu::{Lu, gram, largest, residual_jacobian, square, transposed_times};
use super::newton::{ACCEPTED, Iterate};
use crate::dynamics::System;

/// Steps of Levenberg and Marquardt, with the curvature of q without its second part.
const ROUGH: usize = 40;
/// Steps of Newton's method on the gradient.
const FINE: usize = 20;
/// |Jᵀ r| by |J| |r| below which the gradient counts as 0.
const FLAT: f64 = 1e-8;

/// A local minimum of q that is not a fixed point: states pass it slowly where q is small.
#[derive(Clone, Debug, Serialize)]
pub struct SlowPoint {
    /// x, n.
    pub state: Vec<f64>,
    /// q = |residual|² / 2 there: half the squared distance of a step of a map, half the squared speed of a flow.
    pub q: f64,
    /// |Jᵀ r| / (|J| |r|), 0 at a minimum.
    pub gradient: f64,
    /// Least eigenvalue of the Hessian of q; above 0 at a minimum.
    pub curvature: f64,
}

/// What minimisation of q came to.
pub(super) enum Minimum {
    Slow(SlowPoint),
    /// A state with a residual as small as that of a fixed point.
    Fixed(Vec<f64>),
    None,
}

/// Goes down q from x: by Gauss and Newton with damping, then by Newton's method.
pub(super) fn minimise(system: &dyn System, x: &[f64]) -> Minimum {
    let mut at = Iterate::new(system, x.to_vec());
    let mut damping = 1e-3;
    for k in 0..ROUGH + FINE {
        if largest(&at.r) <= ACCEPTED {
            return Minimum::Fixed(at.x);
        }
        let jacobian = residual_jacobian(system, &at.x);
        let gradient = transposed_times(&jacobian, &at.r);
        let flat = flatness(&jacobian, &gradient, &at.r);
        if !flat.is_finite() {
            return Minimum::None;
        }
        if flat <= 0.01 * FLAT {
            break;
        }
        // The second part of the curvature costs 2 n Jacobians: only near the end.
        let fine = k >= ROUGH || flat < 1e-2;
        let curvature = if fine { hessian(system, &at, &jacobian) } else { gram(&jacobian) };
        if !downhill(&mut at, &curvature, &gradient, &mut damping) {
            break;
        }
    }
    slow_point(system, at)
}

/// One step -(curvature + damping)^-1 gradient that makes q smaller, with as much damping as it needs.
fn downhill(at: &mut Iterate<'_>, curvature: &Mat<f64>, gradient: &[f64], damping: &mut f64) -> bool {
    let n = gradient.len();
    let scale = (0..n).map(|i| curvature[(i, i)].abs()).fold(f64::MIN_POSITIVE, f64::max);
    for _ in 0..12 {
        let mut damped = curvature.clone();
        (0..n).for_each(|i| damped[(i, i)] += *damping * scale);
        let step = Lu::new(damped).step(gradient);
        if at.descend(&step) {
            *damping = if *damping < 1e-12 { 0.0 } else { *damping * 0.1 };
            return true;
        }
        *damping = (*damping * 10.0).max(1e-10);
    }
    false
}

/// |Jᵀ r| / (|J| |r|).
fn flatness(jacobian: &Mat<f64>, gradient: &[f64], r: &[f64]) -> f64 {
    square(gradient).sqrt() / (jacobian.norm_l2() * square(r).sqrt()).max(f64::MIN_POSITIVE)
}

/// Jᵀ J + sum_i r_i d²r_i / dx², the second by central differences of the Jacobian.
fn hessian(system: &dyn System, at: &Iterate<'_>, jacobian: &Mat<f64>) -> Mat<f64> {
    let n = at.x.len();
    let mut hessian = gram(jacobian);
    let mut x = at.x.clone();
    for j in 0..n {
        let h = 1e-5 * (1.0 + x[j].abs());
        let mut side = |by: f64| {
            x[j] = at.x[j] + by;
            transposed_times(&residual_jacobian(system, &x), &at.r)
        };
        let (high, low) = (side(h), side(-h));
        x[j] = at.x[j];
        for i in 0..n {
            let second = (high[i] - low[i]) / (4.0 * h);
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
    if !(gradient <= FLAT && largest(&at.r) > 1e3 * ACCEPTED) {
        return Minimum::None;
    }
    let Ok(values) = hessian(system, &at, &jacobian).self_adjoint_eigenvalues(Side::Lower) else {
        return Minimum::None;
    };
    let (curvature, most) = (values[0], values[values.len() - 1]);
    if !(curvature > 1e-10 * most) {
        return Minimum::None;
    }
    let q = 0.5 * square(&at.r);
    Minimum::Slow(SlowPoint { state: at.x, q, gradient, curvature })
}
