//! A closed slow curve around a fixed point, by a Fourier graph transform over the angle.

use std::f64::consts::TAU;
use std::iter::zip;
use std::sync::atomic::{AtomicBool, Ordering};

use faer::Mat;
use faer::linalg::solvers::Solve;
use serde::Serialize;

use super::chebyshev::sign_changes;
use super::curve::check_times;
use crate::dynamics::spectrum::{Spectrum, index, jacobian, of_matrix};
use crate::dynamics::stepper::advance_until;
use crate::dynamics::vector::dot;
use crate::dynamics::{Kind, System};
use crate::error::require;
use crate::{Error, Result};

/// How a ring is found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RingOptions {
    /// H, the highest multiple of the angle in the series; 2 H + 1 states are moved.
    pub harmonics: usize,
    /// Time that states near the centre have to reach the ring; iterates of a map.
    pub settle: f64,
    /// Time that a transform flows; iterates of a map.
    pub time: f64,
    /// Longest Runge-Kutta step of a flow.
    pub step: f64,
    /// Done when no state changes by more than this in a transform, in parts of the size of states.
    pub tolerance: f64,
    /// Most transforms.
    pub most: usize,
}

impl Default for RingOptions {
    fn default() -> Self {
        Self { harmonics: 40, settle: 40.0, time: 2.0, step: 0.25, tolerance: 1e-13, most: 200 }
    }
}

impl RingOptions {
    /// The defaults with times that suit a system of `kind`: for a map of leak alpha, iterates instead of
    /// time constants.
    #[must_use]
    pub fn of(kind: Kind, alpha: f64) -> Self {
        let plain = Self::default();
        let iterates = |time: f64| if kind == Kind::Map { (time / alpha).round() } else { time };
        Self { settle: iterates(plain.settle), time: iterates(plain.time), ..plain }
    }
}

/// A closed curve of slow states over the angle in a plane, and the speed along it.
///
/// theta = atan2(b · (x - x0), a · (x - x0)), 0 .. 2 pi; every series is c_0 + sum_h (c_{2h-1} cos h theta +
/// c_{2h} sin h theta).
#[derive(Clone, Debug, Serialize)]
pub struct Ring {
    /// Map or flow.
    pub kind: Kind,
    /// x0, n: the fixed point inside.
    pub center: Vec<f64>,
    /// a and b, n each, at right angles and of length 1: the plane of the two leading eigenvectors at x0.
    pub plane: [Vec<f64>; 2],
    /// Series of the states, 2 H + 1 rows of n.
    pub curve: Vec<Vec<f64>>,
    /// Series of the radius in the plane.
    pub radius: Vec<f64>,
    /// Series of d theta / dt of a flow, of the angle moved in a step of a map.
    pub speed: Vec<f64>,
    /// Mean radius times sqrt(2 / n): the amplitude of a cosine over n neurons.
    pub amplitude: f64,
    /// Transforms done.
    pub transforms: usize,
    /// Largest change of a state in the last transform.
    pub change: f64,
}

/// 1, cos theta, sin theta, cos 2 theta, .. as many as there is room for.
fn fill(theta: f64, values: &mut [f64]) {
    let (sine, cosine) = theta.sin_cos();
    let (mut c, mut s) = (1.0, 0.0);
    for (k, value) in values.iter_mut().enumerate() {
        if k % 2 == 1 {
            (c, s) = (c * cosine - s * sine, s * cosine + c * sine);
        }
        *value = if k % 2 == 0 && k > 0 { s } else { c };
    }
}

/// Basis at angles, a column an angle.
fn basis(count: usize, angles: &[f64]) -> Mat<f64> {
    let mut basis = Mat::zeros(count, angles.len());
    angles.iter().enumerate().for_each(|(j, &theta)| fill(theta, basis.col_as_slice_mut(j)));
    basis
}

impl Ring {
    /// The ring around the fixed point `center`.
    ///
    /// States a little away from the centre settle at all angles of the plane; then states at even angles
    /// flow a short time, the Fourier series through them is evaluated at the even angles again, until they
    /// stay. center: n, with at least two leading eigenvalues that grow.
    ///
    /// # Errors
    /// Nothing grows from the centre in two directions; the angle is not a coordinate of the curve; no
    /// convergence; stopped.
    pub fn find(
        system: &dyn System,
        center: &[f64],
        options: &RingOptions,
        stop: &AtomicBool,
    ) -> Result<Self> {
        let n = system.dimension();
        require(center.len() == n, "centre", format!("{n} numbers"), center.len())?;
        require(options.harmonics >= 2, "harmonics", "at least 2", options.harmonics)?;
        check_times(&[options.settle, options.time, options.step])?;
        let plane = leading_plane(system, center)?;
        let count = 2 * options.harmonics + 1;
        let angles: Vec<f64> = (0..count).map(|j| TAU * j as f64 / count as f64).collect();
        let place = |x: &[f64]| {
            let [a, b] = [0, 1].map(|k| {
                plane.col_as_slice(k).iter().zip(zip(x, center)).map(|(q, (x, c))| q * (x - c)).sum::<f64>()
            });
            (b.atan2(a), a.hypot(b))
        };
        // The inverse of the even basis: coefficients = values · weights.
        let weights = Mat::from_fn(count, count, |j, k| {
            let mut values = vec![0.0; k + 1];
            fill(angles[j], &mut values);
            values[k] * if k == 0 { 1.0 } else { 2.0 } / count as f64
        });
        let even = basis(count, &angles);
        let size = system.size();
        let start = 0.1 * size * (n as f64).sqrt();
        let mut x = Mat::from_fn(n, count, |i, j| {
            center[i] + start * (angles[j].cos() * plane[(i, 0)] + angles[j].sin() * plane[(i, 1)])
        });
        advance_until(system, &mut x, options.settle, options.step, stop);
        let (mut transforms, mut change, mut least, mut since) = (0, f64::MAX, f64::MAX, 0);
        while change > options.tolerance * size && !(since >= 10 && change < 1e-9 * size) {
            if stop.load(Ordering::Relaxed) {
                return Err(failed("stopped before it converged".into()));
            }
            if transforms >= options.most {
                return Err(failed(format!(
                    "a state still changes by {change:.1e} after {transforms} transforms; more harmonics than {}, or is it no closed curve?",
                    options.harmonics
                )));
            }
            let mut moved = x.clone();
            // The first transform only takes the settled states to even angles.
            if transforms > 0 {
                advance_until(system, &mut moved, options.time, options.step, stop);
                if stop.load(Ordering::Relaxed) {
                    continue;
                }
            }
            let places: Vec<(f64, f64)> = (0..count).map(|j| place(moved.col_as_slice(j))).collect();
            let (smallest, largest) = places
                .iter()
                .fold((f64::MAX, 0.0_f64), |(least, most), place| (least.min(place.1), most.max(place.1)));
            if !largest.is_finite() || smallest < 0.2 * start.min(largest) {
                return Err(failed(format!(
                    "states fall back to the centre or escape (radius {smallest:.1e} to {largest:.1e}): is there a ring around it?"
                )));
            }
            let mut turned = Vec::with_capacity(count);
            let mut last = places[0].0;
            for (theta, _) in &places {
                last += (theta - last + TAU / 2.0).rem_euclid(TAU) - TAU / 2.0;
                turned.push(last);
            }
            if !turned.is_sorted_by(|a, b| a < b) || last - turned[0] >= TAU {
                return Err(failed(
                    "the angle around the centre is not monotone along the curve, which turns back".into(),
                ));
            }
            let mut mixing = even.clone();
            basis(count, &turned).partial_piv_lu().solve_in_place(mixing.as_mut());
            let next = moved * mixing;
            if transforms > 0 {
                change = (&next - &x).norm_max();
            }
            x = next;
            transforms += 1;
            (least, since) = if change < least { (change, 0) } else { (least, since + 1) };
        }
        let mut slopes = x.clone();
        system.lift(count, &x, &mut slopes, &mut x.clone());
        let per_node = |f: &dyn Fn(usize) -> f64| {
            let values = Mat::from_fn(1, count, |_, j| f(j));
            let series = values * &weights;
            (0..count).map(|k| series[(0, k)]).collect::<Vec<f64>>()
        };
        let speed = per_node(&|j| {
            let (x, slope) = (x.col_as_slice(j), slopes.col_as_slice(j));
            match system.kind() {
                Kind::Flow => dot(&covector_of(&plane, x, center), slope),
                Kind::Map => (place(slope).0 - angles[j] + TAU / 2.0).rem_euclid(TAU) - TAU / 2.0,
            }
        });
        let radius = per_node(&|j| place(x.col_as_slice(j)).1);
        let series = &x * &weights;
        Ok(Self {
            kind: system.kind(),
            center: center.to_vec(),
            plane: [0, 1].map(|k| plane.col_as_slice(k).to_vec()),
            curve: (0..count).map(|k| series.col_as_slice(k).to_vec()).collect(),
            amplitude: radius[0] * (2.0 / n as f64).sqrt(),
            radius,
            speed,
            transforms,
            change,
        })
    }

    fn weights(&self, theta: f64) -> Vec<f64> {
        let mut weights = vec![0.0; self.speed.len()];
        fill(theta, &mut weights);
        weights
    }

    fn sum(&self, weights: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; self.center.len()];
        for (weight, row) in zip(weights, &self.curve) {
            zip(&mut sums, row).for_each(|(sum, c)| *sum += weight * c);
        }
        sums
    }

    /// The state at an angle.
    #[must_use]
    pub fn state(&self, theta: f64) -> Vec<f64> {
        self.sum(&self.weights(theta))
    }

    /// dx / d theta.
    #[must_use]
    pub fn tangent(&self, theta: f64) -> Vec<f64> {
        let weights = self.weights(theta);
        let slopes: Vec<f64> = (0..weights.len())
            .map(|k| match k {
                0 => 0.0,
                k if k % 2 == 1 => -(k.div_ceil(2) as f64) * weights[k + 1],
                k => (k / 2) as f64 * weights[k - 1],
            })
            .collect();
        self.sum(&slopes)
    }

    /// grad theta at a state of the ring: its product with the tangent is 1.
    #[must_use]
    pub fn covector(&self, x: &[f64]) -> Vec<f64> {
        let plane = Mat::from_fn(x.len(), 2, |i, k| self.plane[k][i]);
        covector_of(&plane, x, &self.center)
    }

    /// d theta / dt, of a map the angle moved in a step.
    #[must_use]
    pub fn speed(&self, theta: f64) -> f64 {
        dot(&self.speed, &self.weights(theta))
    }

    /// Radius in the plane.
    #[must_use]
    pub fn radius(&self, theta: f64) -> f64 {
        dot(&self.radius, &self.weights(theta))
    }

    /// The angle of a state, 0 .. 2 pi.
    #[must_use]
    pub fn angle(&self, x: &[f64]) -> f64 {
        let [a, b] = [0, 1].map(|k| {
            self.plane[k].iter().zip(zip(x, &self.center)).map(|(q, (x, c))| q * (x - c)).sum::<f64>()
        });
        b.atan2(a).rem_euclid(TAU)
    }

    /// Angles in 0 .. 2 pi at which the speed changes its sign.
    #[must_use]
    pub fn roots(&self) -> Vec<f64> {
        let samples = 16 * self.speed.len();
        // Not from 0, where symmetric rings have roots.
        let places = (0..=samples).map(|k| TAU * (k as f64 / samples as f64 - 1e-3));
        let mut roots: Vec<f64> =
            sign_changes(|theta| self.speed(theta), places).iter().map(|t| t.rem_euclid(TAU)).collect();
        roots.sort_unstable_by(f64::total_cmp);
        roots
    }
}

fn covector_of(plane: &Mat<f64>, x: &[f64], center: &[f64]) -> Vec<f64> {
    let (one, two) = (plane.col_as_slice(0), plane.col_as_slice(1));
    let [a, b] = [one, two].map(|q| q.iter().zip(zip(x, center)).map(|(q, (x, c))| q * (x - c)).sum::<f64>());
    let square = a * a + b * b;
    zip(one, two).map(|(one, two)| (a * two - b * one) / square).collect()
}

fn failed(reason: String) -> Error {
    Error::Numeric { what: "ring".into(), reason }
}

/// The plane of the two fastest growing directions at x, n × 2 with orthonormal columns.
///
/// Turned so that the first neuron that takes a good part has angle 0, and the next of them a positive one.
fn leading_plane(system: &dyn System, x: &[f64]) -> Result<Mat<f64>> {
    let n = x.len();
    require(n >= 2, "network", "at least 2 neurons", n)?;
    let mut jacobian = jacobian(system, x);
    let values = of_matrix(system.kind(), jacobian.as_ref())?;
    if index(system.kind(), &values) < 2 {
        return Err(Error::input(
            "centre",
            "a fixed point with at least 2 growing directions",
            format!(
                "eigenvalues {:.3}{:+.3}i, {:.3}{:+.3}i",
                values[0].re, values[0].im, values[1].re, values[1].im
            ),
        ));
    }
    let plane = if values[0].im == 0.0 {
        // Inverse iteration of both together: eigenvectors of a double eigenvalue would not be told apart.
        let shift = values[0].re + 1e-3 * jacobian.norm_max().max(1e-300);
        (0..n).for_each(|i| jacobian[(i, i)] -= shift);
        let factors = jacobian.partial_piv_lu();
        let mut plane = Mat::from_fn(n, 2, |i, k| (1.0 + 0.7 * i as f64 + 1.3 * (k * (i + 1)) as f64).sin());
        for _ in 0..40 {
            factors.solve_in_place(plane.as_mut());
            plane = plane.qr().compute_thin_Q();
        }
        plane
    } else {
        // Other eigenvalues may be nearer to the real part of a pair than the pair is.
        let pair = Spectrum::new(system, x)?.right;
        let part = |i: usize, k: usize| if k == 0 { pair[(i, 0)].re } else { pair[(i, 0)].im };
        Mat::from_fn(n, 2, part).qr().compute_thin_Q()
    };
    let length = |i: usize| plane[(i, 0)].hypot(plane[(i, 1)]);
    let most = (0..n).map(length).fold(0.0, f64::max);
    let first =
        (0..n).find(|&i| length(i) >= 0.5 * most).ok_or_else(|| failed("the plane is not finite".into()))?;
    let (c, s) = (plane[(first, 0)] / length(first), plane[(first, 1)] / length(first));
    let side = |i: usize| c * plane[(i, 1)] - s * plane[(i, 0)];
    let sign = (first + 1..n).map(side).find(|b| b.abs() > 0.02 * most).map_or(1.0, f64::signum);
    Ok(Mat::from_fn(n, 2, |i, k| if k == 0 { c * plane[(i, 0)] + s * plane[(i, 1)] } else { sign * side(i) }))
}
