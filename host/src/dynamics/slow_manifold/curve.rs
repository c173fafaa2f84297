//! The 1-D slow manifold between fixed points, by the Chebyshev graph transform.

use std::iter::zip;
use std::sync::atomic::{AtomicBool, Ordering};

use faer::Mat;
use serde::Serialize;

use super::chebyshev::{self, Interval};
use crate::dynamics::spectrum::{eigenvalues, eigenvector, growth, jacobian, of_matrix};
use crate::dynamics::stepper::advance_until;
use crate::dynamics::vector::{dot, largest};
use crate::dynamics::{Kind, System};
use crate::error::require;
use crate::{Error, Result};

/// The coordinate p = l · (x - x0) of a slow manifold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Frame {
    /// x0, n: a fixed point.
    pub anchor: Vec<f64>,
    /// l, n: the left eigenvector of the slow eigenvalue, with l · v = 1.
    pub left: Vec<f64>,
    /// v, n: the right one, of length 1, its largest entry positive.
    pub right: Vec<f64>,
}

impl Frame {
    /// The coordinate along the slow direction at a fixed point.
    ///
    /// # Errors
    /// The slowest eigenvalue is not real; no convergence.
    pub fn at(system: &dyn System, x: &[f64]) -> Result<Self> {
        let jacobian = jacobian(system, x);
        let values = of_matrix(system.kind(), jacobian.as_ref())?;
        let slow = values.first().filter(|value| value.im == 0.0).ok_or_else(|| Error::Numeric {
            what: "slow direction".into(),
            reason:
                "the slowest eigenvalue at the anchor is complex: a line cannot start here; choose another"
                    .into(),
        })?;
        let start = vec![1.0 / (x.len() as f64).sqrt(); x.len()];
        let mut right = eigenvector(&jacobian, slow.re, &start, false)?;
        let largest = right.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(1.0);
        for v in &mut right {
            *v *= largest.signum();
        }
        let mut left = eigenvector(&jacobian, slow.re, &right, true)?;
        let overlap = dot(&left, &right);
        for l in &mut left {
            *l /= overlap;
        }
        Ok(Self { anchor: x.to_vec(), left, right })
    }

    /// The frame at that of `points` whose slow eigenvalue is best separated: the largest ratio of the next
    /// growth rate to it, both in size.
    ///
    /// # Errors
    /// No point has a real slowest eigenvalue; no convergence.
    pub fn choose(system: &dyn System, points: &[Vec<f64>]) -> Result<Self> {
        let mut best: Option<(f64, &Vec<f64>)> = None;
        for x in points {
            let values = eigenvalues(system, x)?;
            let [first, second] =
                [0, 1].map(|k| values.get(k).map_or(-1.0, |value| growth(system.kind(), *value)));
            let separation = -second / first.abs().max(1e-12);
            let real = values.first().is_some_and(|value| value.im == 0.0);
            if real && best.is_none_or(|(most, _)| separation > most) {
                best = Some((separation, x));
            }
        }
        let (_, x) = best.ok_or_else(|| {
            Error::input(
                "fixed points",
                "one with a real slowest eigenvalue",
                format!("{} without", points.len()),
            )
        })?;
        Self::at(system, x)
    }

    /// p of a state.
    #[must_use]
    pub fn coordinate(&self, x: &[f64]) -> f64 {
        self.left.iter().zip(zip(x, &self.anchor)).map(|(l, (x, a))| l * (x - a)).sum()
    }
}

/// What a fixed point may move by, in parts of the size of states.
const STAYS: f64 = 1e-6;

/// How the graph transform is done.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Options {
    /// K, the degree of the Chebyshev series; at least 8.
    pub degree: usize,
    /// Time constants that a transform flows, iterates of a map. Above 2 time constants the nodes crowd and
    /// the fit becomes singular.
    pub time: f64,
    /// Longest Runge-Kutta step of a flow. Its error is that of the slow speed: (step · rate)⁴.
    pub step: f64,
    /// Done when no state changes by more than this in a transform, in parts of the size of states.
    pub tolerance: f64,
    /// Most transforms a level of refinement.
    pub most: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { degree: 64, time: 2.0, step: 0.25, tolerance: 2e-9, most: 400 }
    }
}

impl Options {
    /// The defaults with a `time` that suits a system of `kind`: for a map of leak alpha, iterates of 2 time
    /// constants.
    #[must_use]
    pub fn of(kind: Kind, alpha: f64) -> Self {
        let time = if kind == Kind::Map { (2.0 / alpha).round() } else { 2.0 };
        Self { time, ..Self::default() }
    }
}

/// A curve of slow states x(p) and the reduced dynamics on it.
///
/// x(p) = sum_k c_k T_k(s), dp/dt = r(p) = sum_k r_k T_k(s) of a flow, p' = p + r(p) of a map; s is p scaled
/// from `range` to \[-1, 1\].
#[derive(Clone, Debug, Serialize)]
pub struct SlowManifold {
    /// Map or flow.
    pub kind: Kind,
    /// The coordinate p.
    pub frame: Frame,
    /// p between the extreme fixed points; of a lone one, to either side of it.
    pub range: Interval,
    /// c_k, K + 1 rows of n.
    pub curve: Vec<Vec<f64>>,
    /// r_k, K + 1.
    pub speed: Vec<f64>,
    /// Transforms done at each degree, the lowest first; none where the curve is a spectral submanifold.
    pub transforms: Vec<(usize, usize)>,
    /// Largest change of a state in the last transform.
    pub change: f64,
    /// Largest entry of F(x(p)) - x'(p) r(p), of a map f(x(p)) - x(p + r(p)), between the nodes.
    pub residual: f64,
}

impl SlowManifold {
    /// The slow manifold through `points` between the two that are extreme along p.
    ///
    /// States at Chebyshev nodes of p flow a short time, the polynomial through them is evaluated at the
    /// nodes again, until they stay: what is fast dies out, what is slow only slides along the curve. Low
    /// degrees come first. points: fixed points with at most one growing direction, at least 2.
    ///
    /// # Errors
    /// Points that are no fixed points, fewer than two places of them along p; p is not a coordinate of the
    /// curve; no convergence; stopped.
    ///
    /// Source: the graph transform of Hadamard (1901) with a polynomial graph.
    ///
    /// ```
    /// use tinyfold::dynamics::slow_manifold::{Frame, Options, SlowManifold};
    /// use tinyfold::dynamics::{Kind, System};
    /// /// Everything falls on y = x², where dx/dt = (x - x³) / 10.
    /// struct Bent;
    /// impl System for Bent {
    ///     fn dimension(&self) -> usize { 2 }
    ///     fn kind(&self) -> Kind { Kind::Flow }
    ///     fn value(&self, x: &[f64], out: &mut [f64]) {
    ///         let slope = 0.1 * (x[0] - x[0].powi(3));
    ///         out[0] = slope;
    ///         out[1] = -(x[1] - x[0] * x[0]) + 2.0 * x[0] * slope;
    ///     }
    ///     fn jacobian(&self, x: &[f64], mut out: faer::MatMut<'_, f64>) {
    ///         out[(0, 0)] = 0.1 * (1.0 - 3.0 * x[0] * x[0]);
    ///         out[(0, 1)] = 0.0;
    ///         out[(1, 0)] = 2.0 * x[0] + 0.2 * (2.0 * x[0] - 4.0 * x[0].powi(3));
    ///         out[(1, 1)] = -1.0;
    ///     }
    /// }
    /// let points = [vec![-1.0, 1.0], vec![0.0, 0.0], vec![1.0, 1.0]];
    /// let frame = Frame::at(&Bent, &points[1])?;
    /// let options = Options { degree: 16, step: 0.05, ..Options::default() };
    /// let found = SlowManifold::find(&Bent, &points, frame, &options, &false.into())?;
    /// let x = found.state(0.5);
    /// assert!((x[1] - x[0] * x[0]).abs() < 1e-8 && (found.speed(0.5) - 0.0375).abs() < 1e-9);
    /// # Ok::<(), tinyfold::Error>(())
    /// ```
    pub fn find(
        system: &dyn System,
        points: &[Vec<f64>],
        frame: Frame,
        options: &Options,
        stop: &AtomicBool,
    ) -> Result<Self> {
        let n = system.dimension();
        require(options.degree >= 8, "degree", "at least 8", options.degree)?;
        check_times(&[options.time, options.step])?;
        let width = points.iter().find(|x| x.len() != n).map(Vec::len);
        require(width.is_none(), "fixed points", format!("{n} numbers each"), width.unwrap_or(n))?;
        let size = system.size();
        let (tolerance, stays) = (options.tolerance * size, STAYS * size);
        let mut rest = vec![0.0; n];
        for x in points {
            system.residual(x, &mut rest);
            // A NaN does not stay either.
            if !rest.iter().all(|r| r.abs() <= stays) {
                return Err(Error::input(
                    "fixed points",
                    format!("states that stay, to {stays:.0e}: those of this network under this input"),
                    format!("one that moves by {:.1e}", largest(&rest)),
                ));
            }
        }
        let mut knots: Vec<(f64, &Vec<f64>)> = points.iter().map(|x| (frame.coordinate(x), x)).collect();
        knots.sort_by(|a, b| a.0.total_cmp(&b.0));
        knots.dedup_by(|a, b| a.0 - b.0 < 1e-9 * size);
        let [first, .., last] = knots[..] else {
            return Err(Error::input(
                "fixed points",
                "two places along the line",
                format!("{}", knots.len()),
            ));
        };
        let range = Interval { low: first.0, high: last.0 };
        let (mut transforms, mut change) = (Vec::new(), f64::MAX);
        let mut curve: Option<Mat<f64>> = None;
        for degree in [options.degree / 4, options.degree / 2, options.degree].into_iter().filter(|k| *k >= 8)
        {
            let nodes = range.nodes(degree);
            let basis = range.basis(degree, &nodes);
            let mut x = match &curve {
                Some(curve) => curve * range.basis(curve.ncols() - 1, &nodes),
                None => polygon(&knots, &nodes),
            };
            let pin = |x: &mut Mat<f64>| {
                x.col_as_slice_mut(0).copy_from_slice(first.1);
                x.col_as_slice_mut(degree).copy_from_slice(last.1);
            };
            pin(&mut x);
            let to_coefficients = chebyshev::transform(degree).transpose().to_owned();
            let (mut count, mut least, mut since, mut fine) = (0, f64::MAX, 0, false);
            change = f64::MAX;
            loop {
                if stop.load(Ordering::Relaxed) {
                    return Err(failed("stopped before it converged".into()));
                }
                let mut moved = x.clone();
                // Twice the step until the last digits.
                fine |= degree == options.degree && change <= 5.0 * tolerance;
                let step = if fine { options.step } else { 2.0 * options.step };
                advance_until(system, &mut moved, options.time, step, stop);
                if stop.load(Ordering::Relaxed) {
                    continue;
                }
                pin(&mut moved);
                let mut places: Vec<f64> =
                    (0..=degree).map(|j| frame.coordinate(moved.col_as_slice(j))).collect();
                (places[0], places[degree]) = (range.low, range.high);
                if !places.is_sorted_by(|a, b| a < b) {
                    return Err(failed(format!(
                        "the coordinate p is not monotone along the curve at degree {degree}, in a time of {}; `tinyfold dynamics slow-manifold` has --anchor and --time",
                        options.time
                    )));
                }
                let mut mixing = basis.clone();
                faer::linalg::solvers::Solve::solve_in_place(
                    &range.basis(degree, &places).partial_piv_lu(),
                    mixing.as_mut(),
                );
                let mut next = moved * mixing;
                pin(&mut next);
                change = (&next - &x).norm_max();
                x = next;
                count += 1;
                if !change.is_finite() {
                    return Err(failed("the states diverge; do the fixed points lie on one curve?".into()));
                }
                (least, since) = if change < least { (change, 0) } else { (least, since + 1) };
                // A low degree need not be better than its own error, which its last coefficients tell.
                let tail = if degree < options.degree && count % 4 == 0 {
                    0.05 * (&x * &to_coefficients).subcols(degree - 2, 3).norm_max()
                } else {
                    0.0
                };
                if (change <= tolerance.max(tail) && (fine || degree < options.degree))
                    || (since >= 20 && change < 1e-6 * size)
                {
                    break;
                }
                if count >= options.most {
                    return Err(failed(format!(
                        "a state still changes by {change:.1e} after {count} transforms at degree {degree}; is there a gap between slow and fast rates?"
                    )));
                }
            }
            transforms.push((degree, count));
            curve = Some(x * to_coefficients);
        }
        let curve = curve.ok_or_else(|| failed("no degree".into()))?;
        Ok(Self::of_curve(system, frame, range, &curve, transforms, change))
    }

    pub(super) fn of_curve(
        system: &dyn System,
        frame: Frame,
        range: Interval,
        curve: &Mat<f64>,
        transforms: Vec<(usize, usize)>,
        change: f64,
    ) -> Self {
        let degree = curve.ncols() - 1;
        let speeds = |places: &[f64]| {
            let x = curve * range.basis(degree, places);
            let mut moved = x.clone();
            system.lift(x.ncols(), &x, &mut moved, &mut x.clone());
            if system.kind() == Kind::Map {
                moved -= &x;
            }
            let speeds = Mat::from_fn(places.len(), 1, |j, _| dot(&frame.left, moved.col_as_slice(j)));
            (x, moved, speeds)
        };
        let (_, _, at_nodes) = speeds(&range.nodes(degree));
        let speed = (chebyshev::transform(degree) * at_nodes).col_as_slice(0).to_vec();
        // Between the nodes: at those of a Chebyshev polynomial of the next degree but one.
        let between: Vec<f64> = range.nodes(2 * degree).into_iter().skip(1).step_by(2).collect();
        let (x, moved, speeds) = speeds(&between);
        let expected = if system.kind() == Kind::Map {
            let places: Vec<f64> = zip(&between, speeds.col_as_slice(0)).map(|(p, r)| p + r).collect();
            curve * range.basis(degree, &places) - x
        } else {
            let tangents =
                curve * chebyshev::derivative(degree, range).transpose() * range.basis(degree, &between);
            Mat::from_fn(curve.nrows(), between.len(), |i, j| tangents[(i, j)] * speeds[(j, 0)])
        };
        let residual = (moved - expected).norm_max();
        let rows = (0..=degree).map(|k| curve.col_as_slice(k).to_vec()).collect();
        Self { kind: system.kind(), frame, range, curve: rows, speed, transforms, change, residual }
    }

    /// x(p); p outside the range is moved to its nearer end, here and below.
    #[must_use]
    pub fn state(&self, p: f64) -> Vec<f64> {
        let mut weights = vec![0.0; self.curve.len()];
        chebyshev::fill(self.range.scaled(p), &mut weights);
        self.weighted(&weights)
    }

    fn weighted(&self, weights: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; self.frame.anchor.len()];
        for (weight, row) in zip(weights, &self.curve) {
            zip(&mut sums, row).for_each(|(sum, c)| *sum += weight * c);
        }
        sums
    }

    /// x'(p) = dx/dp; l · x' = 1.
    #[must_use]
    pub fn tangent(&self, p: f64) -> Vec<f64> {
        // T_k' = k U_{k-1}, (2 s) U_k = U_{k+1} + U_{k-1}.
        let s = self.range.scaled(p);
        let slope = 2.0 / (self.range.high - self.range.low);
        let (mut before, mut now) = (0.0, 1.0);
        let mut weights = vec![0.0; self.curve.len()];
        for (k, weight) in weights.iter_mut().enumerate().skip(1) {
            *weight = slope * k as f64 * now;
            (before, now) = (now, 2.0 * s * now - before);
        }
        self.weighted(&weights)
    }

    /// r(p).
    #[must_use]
    pub fn speed(&self, p: f64) -> f64 {
        chebyshev::sum(&self.speed, self.range.scaled(p))
    }

    /// The fixed points of the reduced dynamics: roots of r, ascending, the two ends among them.
    #[must_use]
    pub fn roots(&self) -> Vec<f64> {
        let inner = chebyshev::roots(&self.speed).into_iter().map(|s| self.range.at(s));
        let near = 1e-6 * (self.range.high - self.range.low);
        let inner = inner.filter(|p| p - self.range.low > near && self.range.high - p > near);
        [self.range.low].into_iter().chain(inner).chain([self.range.high]).collect()
    }

    /// p after every `time` / `steps` from 0 to `time`; a map goes `steps` steps whatever `time`.
    #[must_use]
    pub fn follow(&self, start: f64, time: f64, steps: usize) -> Vec<f64> {
        follow(self.kind, self.range, |p| self.speed(p), start, time, steps)
    }
}

/// The reduced dynamics of a speed on a range: p at `steps` + 1 times; p never leaves the range.
pub(super) fn follow(
    kind: Kind,
    range: Interval,
    speed: impl Fn(f64) -> f64,
    start: f64,
    time: f64,
    steps: usize,
) -> Vec<f64> {
    let h = time / steps as f64;
    let next = |p: &f64| {
        let moved = match kind {
            Kind::Map => p + speed(*p),
            Kind::Flow => {
                let a = speed(*p);
                let b = speed(p + 0.5 * h * a);
                let c = speed(p + 0.5 * h * b);
                p + h / 6.0 * (a + 2.0 * b + 2.0 * c + speed(p + h * c))
            }
        };
        Some(moved.clamp(range.low, range.high))
    };
    std::iter::successors(Some(start.clamp(range.low, range.high)), next).take(steps + 1).collect()
}

/// Refuses times that are not above 0 and finite.
pub(super) fn check_times(times: &[f64]) -> Result<()> {
    let fine = times.iter().all(|time| *time > 0.0 && time.is_finite());
    require(fine, "times and steps", "above 0 and finite", format!("{times:?}"))
}

fn failed(reason: String) -> Error {
    Error::Numeric { what: "slow manifold".into(), reason }
}

/// States at the nodes on the straight lines between the knots.
fn polygon(knots: &[(f64, &Vec<f64>)], nodes: &[f64]) -> Mat<f64> {
    let mut x = Mat::zeros(knots[0].1.len(), nodes.len());
    for (j, &p) in nodes.iter().enumerate() {
        let k = knots.partition_point(|knot| knot.0 <= p).clamp(1, knots.len() - 1);
        let ((from, low), (to, high)) = (knots[k - 1], knots[k]);
        let part = (p - from) / (to - from);
        let states = zip(low, high).map(|(low, high)| low + part * (high - low));
        zip(x.col_as_slice_mut(j), states).for_each(|(x, state)| *x = state);
    }
    x
}
