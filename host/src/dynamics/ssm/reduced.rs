//! The reduced model: its fixed points and trajectories, against the full system.

use std::iter::zip;

use faer::{Mat, c64};
use serde::Serialize;

use super::Ssm;
use super::series::Scalar;
use crate::dynamics::fixed_points::nearest;
use crate::dynamics::stepper::advanced;
use crate::dynamics::vector::{norm, square_distance};
use crate::dynamics::{At, Family, Kind};
use crate::error::require;
use crate::{Error, Result};

/// A fixed point that the reduced model predicts.
#[derive(Clone, Debug, Serialize)]
pub struct Root {
    /// Coordinates.
    pub p: Vec<f64>,
    /// W(p), n.
    pub x: Vec<f64>,
    /// Eigenvalues of the reduced dynamics there, real and imaginary parts.
    pub eigenvalues: Vec<[f64; 2]>,
    /// Residual of the invariance equation there: what to trust it by.
    pub residual: f64,
    /// Distance from W(p) to the fixed point of the full system that Newton's method finds from there.
    pub distance: Option<f64>,
}

/// A trajectory of the reduced model against one of the full system from the same start.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Times.
    pub t: Vec<f64>,
    /// Coordinates of the reduced trajectory.
    pub p: Vec<Vec<f64>>,
    /// |W(p(t)) - x(t)|.
    pub error: Vec<f64>,
    /// Mean error over the largest |x(t) - x0|: NMTE.
    pub nmte: f64,
}

/// Real roots of sum c_k p^k, by eigenvalues of the companion matrix and two Newton steps; ascending.
pub(super) fn real_roots(coefficients: &[f64]) -> Vec<f64> {
    let largest = coefficients.iter().fold(0.0_f64, |most, c| most.max(c.abs()));
    let Some(degree) = coefficients.iter().rposition(|c| c.abs() > 1e-15 * largest) else {
        return Vec::new();
    };
    let zeros = coefficients.iter().take_while(|&&c| c == 0.0).count();
    let (c, degree) = (&coefficients[zeros..=degree], degree - zeros);
    let mut roots = if zeros > 0 { vec![0.0] } else { Vec::new() };
    if degree == 0 {
        return roots;
    }
    // Scaled so that the outer coefficients are alike.
    let scale = (c[0] / c[degree]).abs().powf(1.0 / degree as f64);
    let scaled: Vec<f64> = c.iter().enumerate().map(|(k, c)| c * scale.powi(k as i32)).collect();
    let companion = Mat::from_fn(degree, degree, |i, j| {
        if j + 1 == degree { -scaled[i] / scaled[degree] } else { f64::from(u8::from(i == j + 1)) }
    });
    let values = companion.is_all_finite().then(|| companion.eigenvalues());
    let Some(Ok(values)) = values else { return roots };
    let value = |p: f64, c: &[f64]| c.iter().rev().fold(0.0, |sum, c| sum * p + c);
    let slope: Vec<f64> = scaled.iter().enumerate().skip(1).map(|(k, c)| k as f64 * c).collect();
    for root in values.into_iter().filter(|value: &c64| value.im.abs() < 1e-7 * value.norm().max(1e-3)) {
        let mut p = root.re;
        for _ in 0..2 {
            let next = p - value(p, &scaled) / value(p, &slope);
            p = if next.is_finite() { next } else { p };
        }
        roots.push(p * scale);
    }
    roots.sort_by(f64::total_cmp);
    roots
}

impl<S: Scalar> Ssm<S> {
    /// d R / d p at real coordinates of the state, by rows.
    pub(super) fn slope(&self, p: &[f64]) -> [[f64; 2]; 2] {
        let variables = S::variables(p);
        let along = |e: usize, k: usize| S::get(&self.rates[e].slope(variables, k), 0);
        if self.chart.states() == 1 {
            return [[along(0, 0).part(), 0.0], [0.0, 0.0]];
        }
        if S::PARTS == 1 {
            return [0, 1].map(|e| [along(e, 0).part(), along(e, 1).part()]);
        }
        // z = p1 + i p2: d/dp1 = d/dz + d/dz*, d/dp2 = i (d/dz - d/dz*).
        let (z, conjugate) = (along(0, 0).complex(), along(0, 1).complex());
        let (one, two) = (z + conjugate, c64::new(0.0, 1.0) * (z - conjugate));
        [[one.re, two.re], [one.im, two.im]]
    }

    /// d R / d mu at real coordinates, of an SSM over the parameter: one number for each coordinate of the state.
    pub(super) fn moved(&self, p: &[f64]) -> Vec<f64> {
        let (variables, states) = (S::variables(p), self.chart.states());
        let slopes = self.rates.iter().map(|rate| S::get(&rate.slope(variables, states), 0));
        let mut moved = S::coordinates(&slopes.collect::<Vec<S>>());
        moved.truncate(states);
        moved
    }

    /// What is 0 at fixed points of the reduced model.
    fn rest(&self, p: &[f64]) -> Vec<f64> {
        let mut rest = self.reduced(p);
        if self.kind == Kind::Map {
            zip(&mut rest, p).for_each(|(rest, p)| *rest -= p);
        }
        rest
    }

    /// Fixed points of the reduced model at the parameter of the fixed point, |p| <= `within`, nearest first.
    ///
    /// Of a line all real roots, by the eigenvalues of a companion matrix; of two coordinates what Newton's
    /// method finds from 21 × 21 places.
    ///
    /// # Errors
    /// `within` is not a number above 0.
    pub fn roots(&self, family: &impl Family, within: f64) -> Result<Vec<Root>> {
        require(within > 0.0 && within.is_finite(), "within", "a number above 0", within)?;
        let states = self.chart.states();
        let whole = |mut p: Vec<f64>| {
            p.resize(self.dimension(), 0.0);
            p
        };
        let places: Vec<Vec<f64>> = if states == 1 {
            let number = |k: usize| self.rates[0].get(k, 0, 0).part();
            let mut c: Vec<f64> = (0..=self.order()).map(number).collect();
            if self.kind == Kind::Map {
                c[1] -= 1.0;
            }
            real_roots(&c).into_iter().map(|p| whole(vec![p])).collect()
        } else {
            self.search(within)
        };
        let mut places: Vec<Vec<f64>> = places.into_iter().filter(|p| norm(p) <= within).collect();
        places.sort_by(|a, b| norm(a).total_cmp(&norm(b)));
        let root = |p: Vec<f64>| {
            let x = self.state(&p);
            let full = nearest(&At { family, mu: self.parameter(&p) }, &x);
            let distance = full.map(|(full, _)| square_distance(&full, &x).sqrt());
            let [[a, b], [c, d]] = self.slope(&p);
            let eigenvalues = if states == 1 {
                vec![[a, 0.0]]
            } else {
                let (half, gap) = (0.5 * (a + d), 0.25 * (a - d).powi(2) + b * c);
                let width = gap.abs().sqrt();
                if gap < 0.0 {
                    vec![[half, width], [half, -width]]
                } else {
                    vec![[half + width, 0.0], [half - width, 0.0]]
                }
            };
            Root { residual: self.residual(family, &p), p, x, eigenvalues, distance }
        };
        Ok(places.into_iter().map(root).collect())
    }

    /// Fixed points of two coordinates.
    fn search(&self, within: f64) -> Vec<Vec<f64>> {
        let mut found: Vec<Vec<f64>> = Vec::new();
        for start in 0..21 * 21 {
            let place = |k: usize| within * (k as f64 / 10.0 - 1.0);
            let mut p = vec![place(start % 21), place(start / 21)];
            p.resize(self.dimension(), 0.0);
            for _ in 0..50 {
                let rest = self.rest(&p);
                let [[mut a, b], [c, mut d]] = self.slope(&p);
                if self.kind == Kind::Map {
                    (a, d) = (a - 1.0, d - 1.0);
                }
                let determinant = a * d - b * c;
                let step =
                    [(d * rest[0] - b * rest[1]) / determinant, (a * rest[1] - c * rest[0]) / determinant];
                let length = step[0].hypot(step[1]);
                if !length.is_finite() {
                    break;
                }
                let part = (0.3 * within / length).min(1.0);
                (0..2).for_each(|k| p[k] -= part * step[k]);
                if length < 1e-13 * within {
                    break;
                }
            }
            let rest = self.rest(&p);
            let near = |other: &Vec<f64>| (other[0] - p[0]).hypot(other[1] - p[1]) < 1e-6 * within;
            if rest[0].hypot(rest[1]) < 1e-12 * within && !found.iter().any(near) {
                found.push(p);
            }
        }
        found
    }

    /// The reduced trajectory from p: coordinates at 0, dt, 2 dt, ... `steps` dt; of a map dt is a step.
    ///
    /// Flows by the classical Runge-Kutta method, four steps a dt.
    #[must_use]
    pub fn trajectory(&self, p: &[f64], dt: f64, steps: usize) -> Vec<Vec<f64>> {
        integrate(self.kind, |p| self.reduced(p), p, dt, steps)
    }

    /// The reduced trajectory from p against that of the full system from W(p).
    ///
    /// # Errors
    /// A trajectory leaves the finite numbers: start nearer.
    pub fn compare(&self, family: &impl Family, p: &[f64], dt: f64, steps: usize) -> Result<Comparison> {
        let mu = self.parameter(p);
        let reduced = self.trajectory(p, dt, steps);
        let value = |x: &[f64]| {
            let mut out = vec![0.0; x.len()];
            family.value(x, mu, &mut out);
            out
        };
        let full = integrate(self.kind, value, &self.state(p), dt, steps);
        let distance = |a: &[f64], b: &[f64]| square_distance(a, b).sqrt();
        let error: Vec<f64> = zip(&reduced, &full).map(|(p, x)| distance(&self.state(p), x)).collect();
        let start = &self.manifold.column(0, 0)[..self.manifold.n];
        let largest = full.iter().map(|x| distance(x, start)).fold(0.0, f64::max);
        let nmte = error.iter().sum::<f64>() / error.len() as f64 / largest;
        if !nmte.is_finite() {
            let what = "comparison of trajectories".into();
            let reason = "one leaves the finite numbers; start inside the domain".into();
            return Err(Error::Numeric { what, reason });
        }
        let t = (0..=steps).map(|k| k as f64 * dt).collect();
        Ok(Comparison { t, p: reduced, error, nmte })
    }
}

/// Runge-Kutta steps in a dt.
const SUBSTEPS: usize = 4;

/// States at 0, dt, ... of a flow, or after 0, 1, ... steps of a map.
fn integrate(
    kind: Kind,
    value: impl Fn(&[f64]) -> Vec<f64>,
    start: &[f64],
    dt: f64,
    steps: usize,
) -> Vec<Vec<f64>> {
    let h = dt / SUBSTEPS as f64;
    let next = |x: &Vec<f64>| {
        let parts = if kind == Kind::Map { 1 } else { SUBSTEPS };
        Some((0..parts).fold(x.clone(), |x, _| advanced(kind, &value, &x, h)))
    };
    std::iter::successors(Some(start.to_vec()), next).take(steps + 1).collect()
}
