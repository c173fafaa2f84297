//! Pseudo-arclength: a curve of N - 1 equations for N unknowns, a step at a time.

use std::iter::zip;
use std::sync::atomic::{AtomicBool, Ordering};

use faer::Mat;

use super::field::{Field, metric};
use super::{End, Settings};
use crate::dynamics::linear::Lu;
use crate::dynamics::vector::{dot, largest, moved};

/// N - 1 equations for N unknowns y; the last unknowns are parameters.
pub(super) trait Curve {
    /// The diagonal of the metric, N.
    fn weights(&self) -> &[f64];
    /// The equations, N - 1.
    fn equations(&self, y: &[f64]) -> Vec<f64>;
    /// Their derivative as the first N - 1 rows of an N × N matrix.
    fn matrix(&self, y: &[f64]) -> Mat<f64>;
    /// Told of every accepted point.
    fn settle(&mut self, _y: &[f64]) {}
}

/// Fixed points: R(y) = 0 of one parameter.
pub(super) struct FixedPoints<'a> {
    pub(super) field: &'a Field<'a>,
    weights: Vec<f64>,
}

impl<'a> FixedPoints<'a> {
    pub(super) fn new(field: &'a Field<'a>) -> Self {
        Self { field, weights: metric(field.states(), 1) }
    }
}

impl Curve for FixedPoints<'_> {
    fn weights(&self) -> &[f64] {
        &self.weights
    }

    fn equations(&self, y: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.field.states()];
        self.field.residual(y, &mut out);
        out
    }

    fn matrix(&self, y: &[f64]) -> Mat<f64> {
        let mut out = Mat::zeros(y.len(), y.len());
        self.field.derivative(y, out.as_mut().subrows_mut(0, y.len() - 1));
        out
    }
}

/// A point of a curve.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) y: Vec<f64>,
    /// Of length 1 in the metric.
    pub(super) tangent: Vec<f64>,
    /// The sign of the determinant of the derivative above the tangent: it changes at branch points.
    pub(super) sign: f64,
}

/// Sum of weights a b.
pub(super) fn product(weights: &[f64], a: &[f64], b: &[f64]) -> f64 {
    zip(weights, zip(a, b)).map(|(w, (a, b))| w * a * b).sum()
}

/// `a` as the row that multiplies by it in the metric.
fn row(weights: &[f64], a: &[f64]) -> Vec<f64> {
    zip(weights, a).map(|(w, a)| w * a).collect()
}

/// Newton for the curve's equations and row · y = that of `y` at the start; the point and how many steps it
/// took.
pub(super) fn correct(curve: &impl Curve, y: &[f64], row: &[f64], tolerance: f64) -> Option<(Node, usize)> {
    const STEPS: usize = 10;
    let mut y = y.to_vec();
    let target = dot(row, &y);
    let size = y.len();
    let mut last = f64::INFINITY;
    for step in 1..=STEPS {
        let mut rest = curve.equations(&y);
        rest.push(dot(row, &y) - target);
        let before = largest(&rest);
        // Neither far away nor stuck.
        if !before.is_finite() || (step > 3 && before > last) {
            return None;
        }
        last = before;
        let mut matrix = curve.matrix(&y);
        (0..size).for_each(|j| matrix[(size - 1, j)] = row[j]);
        let lu = Lu::new(matrix);
        let by = lu.solve_vector(&rest);
        y = moved(&y, -1.0, &by);
        // Steps are squared: after one below 1e-6 the rest is rounding, and the last factors are those of the
        // point.
        let small = largest(&by) <= 1e-6 * (1.0 + largest(&y));
        if small && largest(&curve.equations(&y)) <= tolerance * largest(&y).max(1.0) {
            let mut end = vec![0.0; size];
            end[size - 1] = 1.0;
            let tangent = lu.solve_vector(&end);
            let length = product(curve.weights(), &tangent, &tangent).sqrt();
            let tangent: Vec<f64> = tangent.iter().map(|t| t / length).collect();
            return tangent
                .iter()
                .all(|t| t.is_finite())
                .then(|| (Node { y, tangent, sign: lu.sign() }, step));
        }
    }
    None
}

/// The curve's point on the plane through `y` across `tangent`.
pub(super) fn across(
    curve: &impl Curve,
    y: &[f64],
    tangent: &[f64],
    tolerance: f64,
) -> Option<(Node, usize)> {
    correct(curve, y, &row(curve.weights(), tangent), tolerance)
}

/// The curve's point at which unknown k has its value in `y`, with a tangent along which it grows.
pub(super) fn at_value(curve: &impl Curve, y: &[f64], k: usize, tolerance: f64) -> Option<Node> {
    let mut row = vec![0.0; y.len()];
    row[k] = 1.0;
    correct(curve, y, &row, tolerance).map(|(node, _)| node)
}

/// The cubic with the places and tangents of p and q, at a fraction of the way.
pub(super) fn between(weights: &[f64], p: &Node, q: &Node, at: f64) -> Vec<f64> {
    let chord = moved(&q.y, -1.0, &p.y);
    let length = product(weights, &chord, &chord).sqrt();
    let (a, b) = (at * at * (3.0 - 2.0 * at), at * (1.0 - at).powi(2) * length);
    let c = at * at * (at - 1.0) * length;
    (0..p.y.len()).map(|i| p.y[i] + a * chord[i] + b * p.tangent[i] + c * q.tangent[i]).collect()
}

/// The curve's point about a fraction of the way from p to q.
pub(super) fn inner(curve: &impl Curve, p: &Node, q: &Node, at: f64, tolerance: f64) -> Option<Node> {
    let guess = between(curve.weights(), p, q, at);
    across(curve, &guess, &moved(&p.tangent, 1.0, &q.tangent), tolerance).map(|(node, _)| node)
}

/// Whether the curve goes through `y` between p and q.
pub(super) fn passes(curve: &impl Curve, p: &Node, q: &Node, y: &[f64], tolerance: f64) -> bool {
    let weights = curve.weights();
    let (chord, offset) = (moved(&q.y, -1.0, &p.y), moved(y, -1.0, &p.y));
    let length = product(weights, &chord, &chord);
    let at = product(weights, &offset, &chord) / length;
    if !(-0.01..=1.01).contains(&at) {
        return false;
    }
    let near = |a: &[f64], b: &[f64], within: f64| {
        let d = moved(a, -1.0, b);
        product(weights, &d, &d).sqrt() <= within
    };
    let guess = between(weights, p, q, at);
    if !near(&guess, y, 0.3 * length.sqrt()) {
        return false;
    }
    // On the plane through y: the same point or another one.
    let start = moved(&guess, product(weights, &moved(y, -1.0, &guess), &chord) / length, &chord);
    across(curve, &start, &chord, tolerance).is_some_and(|(node, _)| near(&node.y, y, 1e-6))
}

/// Whether the chord from p to q is that of their tangents, by the trapezoidal rule: not a jump to another
/// branch.
fn smooth(weights: &[f64], p: &Node, q: &Node) -> bool {
    let chord = moved(&q.y, -1.0, &p.y);
    let length = product(weights, &chord, &chord).sqrt();
    let off = moved(&moved(&chord, -0.5 * length, &p.tangent), -0.5 * length, &q.tangent);
    product(weights, &off, &off).sqrt() <= 0.04 * length
}

/// Part of the way to a limit that is gone where the point at the limit is singular.
const BEFORE: f64 = 0.999;

/// Steps from `start` along its tangent until a limit; the points after `start`.
///
/// The unknowns after the first `states` are parameters in units of their ranges.
pub(super) fn walk(
    curve: &mut impl Curve,
    start: &Node,
    states: usize,
    settings: &Settings,
    stop: &[&AtomicBool],
) -> (Vec<Node>, End) {
    let mut nodes: Vec<Node> = Vec::new();
    let mut last = start.clone();
    let mut length = settings.first_step;
    // Every step is accepted, or its length is halved.
    for _ in 0..20 * settings.points {
        if nodes.len() >= settings.points {
            return (nodes, End::Points);
        }
        if stop.iter().any(|stop| stop.load(Ordering::Relaxed)) {
            return (nodes, End::Stopped);
        }
        let guess = moved(&last.y, length, &last.tangent);
        let next = across(curve, &guess, &last.tangent, settings.tolerance).and_then(|(node, steps)| {
            let cosine = product(curve.weights(), &node.tangent, &last.tangent);
            let turn = cosine.clamp(-1.0, 1.0).acos();
            (turn <= settings.turn && smooth(curve.weights(), &last, &node)).then_some((node, steps, turn))
        });
        let Some((node, steps, turn)) = next else {
            length *= 0.5;
            if length < settings.least_step {
                return (nodes, End::Step);
            }
            continue;
        };
        if nodes.len() > 1 && passes(curve, &last, &node, &start.y, settings.tolerance) {
            return (nodes, End::Closed);
        }
        if let Some((k, limit, at)) = leaves(curve.weights(), &last, &node, states) {
            // Ends exactly at the limit.
            if at > 1e-9 {
                let mut guess = between(curve.weights(), &last, &node, at);
                guess[k] = limit;
                let Some(end) = at_value(curve, &guess, k, settings.tolerance) else {
                    nodes.extend(inner(curve, &last, &node, BEFORE * at, settings.tolerance));
                    return (nodes, End::Singular);
                };
                let forward = product(curve.weights(), &end.tangent, &last.tangent).signum();
                nodes.push(turned(end, forward));
            }
            return (nodes, End::Range);
        }
        curve.settle(&node.y);
        let outside = largest(&node.y[..states]) > settings.bound;
        nodes.push(node.clone());
        if outside {
            return (nodes, End::Bound);
        }
        // Half of the turn allowed is aimed at; more Newton steps than four say that the step is long.
        let factor = (0.5 * settings.turn / turn.max(1e-9)).clamp(0.5, 2.0);
        length = (length * if steps > 4 { factor.min(0.7) } else { factor }).min(settings.largest_step);
        last = node;
    }
    (nodes, End::Points)
}

/// Where the curve first leaves the ranges of the parameters on its way from p, inside, to q: the unknown, its limit, and
/// the part of the way. A parameter that turns round between them may leave its range and come back.
fn leaves(weights: &[f64], p: &Node, q: &Node, states: usize) -> Option<(usize, f64, f64)> {
    const PARTS: usize = 16;
    let turns = (states..p.y.len()).any(|k| p.tangent[k] * q.tangent[k] < 0.0);
    let parts = if turns { PARTS } else { 1 };
    let mut before = p.y.clone();
    for part in 1..=parts {
        let y = if part == parts { q.y.clone() } else { between(weights, p, q, part as f64 / parts as f64) };
        let found = (states..y.len()).find_map(|k| {
            let limit = y[k].signum();
            let at = ((limit - before[k]) / (y[k] - before[k])).clamp(0.0, 1.0);
            (y[k].abs() > 1.0).then_some((k, limit, ((part - 1) as f64 + at) / parts as f64))
        });
        if found.is_some() {
            return found;
        }
        before = y;
    }
    None
}

/// Adds points where a cubic does not resolve how parameter k moves: there folds could hide between two
/// points.
///
/// The turn of the tangent does not see them where the branch is nearly vertical, as along a line attractor.
/// The slope at every point is compared with that of the cubic through its two neighbours.
pub(super) fn resolve(curve: &impl Curve, nodes: &mut Vec<Node>, k: usize, settings: &Settings) {
    const ROUNDS: usize = 5;
    const SHARE: f64 = 0.25;
    let weights = curve.weights();
    let distance = |p: &Node, q: &Node| {
        let chord = moved(&q.y, -1.0, &p.y);
        product(weights, &chord, &chord).sqrt()
    };
    // Whether the pieces before and after a point are resolved.
    let mut suspect = vec![true; nodes.len()];
    for _ in 0..ROUNDS {
        let mut split = vec![false; nodes.len()];
        for at in (1..nodes.len().saturating_sub(1)).filter(|&at| suspect[at]) {
            let [p, here, q] = [at - 1, at, at + 1].map(|at| &nodes[at]);
            let (before, after) = (distance(p, here), distance(here, q));
            let (length, at_share) = (before + after, before / (before + after));
            let mean = (q.y[k] - p.y[k]) / length;
            let slope = 6.0 * at_share * (1.0 - at_share) * mean
                + (1.0 - at_share) * (1.0 - 3.0 * at_share) * p.tangent[k]
                + at_share * (3.0 * at_share - 2.0) * q.tangent[k];
            let largest = [p, here, q].iter().fold(0.0, |most: f64, node| most.max(node.tangent[k].abs()));
            if (slope - here.tangent[k]).abs() > SHARE * largest && length > 10.0 * settings.least_step {
                (split[at - 1], split[at]) = (true, true);
            }
        }
        if !split.contains(&true) {
            return;
        }
        let (mut next, mut fresh) = (Vec::with_capacity(2 * nodes.len()), Vec::new());
        for at in 0..nodes.len() {
            let near = split[at] || (at > 0 && split[at - 1]);
            next.push(nodes[at].clone());
            fresh.push(near);
            if split[at]
                && let Some(node) = inner(curve, &nodes[at], &nodes[at + 1], 0.5, settings.tolerance)
            {
                next.push(node);
                fresh.push(true);
            }
        }
        (*nodes, suspect) = (next, fresh);
    }
}

/// The node, walked the other way if `direction` is -1.
pub(super) fn turned(mut node: Node, direction: f64) -> Node {
    node.tangent.iter_mut().for_each(|t| *t *= direction);
    node.sign *= direction;
    node
}
