//! The search for branches: each is followed once, both ways.

use std::sync::atomic::{AtomicBool, Ordering};

use super::field::{Field, derivative};
use super::trace::{Curve, FixedPoints, Node, across, at_value, passes, product, resolve, turned, walk};
use super::{Branch, End, Settings, special};
use crate::dynamics::linear::singular_vectors;
use crate::dynamics::vector::{largest, moved};

/// Part of the range within which the parameter of a continuum of fixed points stays, twice: nu is 2 wide.
const FLAT: f64 = 2e-9;

/// Branches as they are found, in the units of the field.
pub(super) struct Search<'a> {
    pub(super) field: Field<'a>,
    pub(super) settings: &'a Settings,
    pub(super) stop: &'a AtomicBool,
    /// Of branches and of continua; the last of a closed curve is its first again.
    pub(super) nodes: Vec<Vec<Node>>,
    pub(super) branches: Vec<Branch>,
    /// nu of curves of fixed points along which it stays.
    pub(super) continua: Vec<f64>,
    /// Whether there were more branches than there may be.
    pub(super) truncated: bool,
}

impl Search<'_> {
    fn curve(&self) -> FixedPoints<'_> {
        FixedPoints::new(&self.field)
    }

    /// Whether no branch is to be added any more.
    pub(super) fn over(&self) -> bool {
        self.truncated || self.stop.load(Ordering::Relaxed)
    }

    /// The point of a branch at or, at a fold, near `y`.
    pub(super) fn first(&self, y: &[f64]) -> Option<Node> {
        let (curve, tolerance) = (self.curve(), self.settings.tolerance);
        at_value(&curve, y, y.len() - 1, tolerance).or_else(|| {
            let (_, right) = singular_vectors(derivative(&self.field, y).as_ref())?;
            let (node, _) = across(&curve, y, right.col_as_slice(y.len() - 1), tolerance)?;
            let near = largest(&moved(&node.y, -1.0, y)) < 1e-3;
            (near && node.y[y.len() - 1].abs() <= 1.0).then_some(node)
        })
    }

    /// Whether a branch goes through `y`.
    fn known(&self, y: &[f64]) -> bool {
        let curve = self.curve();
        let mut pairs = self.nodes.iter().flat_map(|nodes| nodes.windows(2));
        pairs.any(|pair| passes(&curve, &pair[0], &pair[1], y, self.settings.tolerance))
    }

    /// Both ways from a point; `back` walks away from `forth`. The two may be the same point.
    pub(super) fn follow(&mut self, [back, forth]: [Node; 2], start: Option<usize>) {
        if self.over() || self.known(&forth.y) {
            return;
        }
        if self.branches.len() >= self.settings.branches {
            self.truncated = true;
            return;
        }
        // A change of the index that nothing explains is a jump to another branch: again with shorter steps.
        let mut settings = self.settings.clone();
        let (mut nodes, mut ends) = self.both(&back, &forth, &settings);
        let parameters = || nodes.iter().map(|node| node.y[self.field.states()]);
        let (least, most) = (parameters().fold(1.0, f64::min), parameters().fold(-1.0, f64::max));
        if nodes.len() > 2 && most - least <= FLAT {
            self.continua.push(f64::midpoint(least, most));
            self.nodes.push(nodes);
            return;
        }
        let judged = |nodes: &[Node], ends: [End; 2], settings: &Settings| {
            special::branch(&self.curve(), nodes, ends, start, settings)
        };
        let mut branch = judged(&nodes, ends, &settings);
        for _ in 0..2 {
            if branch.special.iter().all(|special| special.residual < 1e-6) {
                break;
            }
            settings.turn *= 0.5;
            settings.largest_step = (0.25 * settings.largest_step).max(settings.least_step);
            settings.first_step = settings.first_step.min(settings.largest_step);
            settings.points *= 2;
            (nodes, ends) = self.both(&back, &forth, &settings);
            branch = judged(&nodes, ends, &settings);
        }
        self.branches.push(branch);
        self.nodes.push(nodes);
    }

    fn both(&self, back: &Node, forth: &Node, settings: &Settings) -> (Vec<Node>, [End; 2]) {
        let closed = AtomicBool::new(false);
        let run = |node: &Node, stop: &[&AtomicBool]| {
            walk(&mut self.curve(), node, self.field.states(), settings, stop)
        };
        let ((ahead, end), (behind, begin)) = rayon::join(
            || {
                let done = run(forth, &[self.stop]);
                closed.store(done.1 == End::Closed, Ordering::Relaxed);
                done
            },
            // Of no use, whatever it found, if the branch is closed.
            || run(back, &[self.stop, &closed]),
        );
        let mut nodes: Vec<Node> = Vec::new();
        if end != End::Closed {
            nodes.extend(behind.into_iter().rev().map(|node| turned(node, -1.0)));
            if back.y != forth.y {
                nodes.push(turned(back.clone(), -1.0));
            }
        }
        nodes.push(forth.clone());
        nodes.extend(ahead);
        let begin = if end == End::Closed { End::Closed } else { begin };
        resolve(&self.curve(), &mut nodes, self.field.states(), settings);
        if end == End::Closed {
            nodes.push(nodes[0].clone());
        }
        (nodes, [begin, end])
    }

    /// The branch along `tangent` through the branch point `y`.
    pub(super) fn switch(&mut self, y: &[f64], tangent: &[f64]) {
        let curve = self.curve();
        let length = product(curve.weights(), tangent, tangent).sqrt();
        let side = |direction: f64| {
            let along: Vec<f64> = tangent.iter().map(|t| direction * t / length).collect();
            let guess = moved(y, self.settings.first_step, &along);
            let node = across(&curve, &guess, &along, self.settings.tolerance)?.0;
            let nu = node.y[y.len() - 1];
            // Not the branch that is known: as near to the guess as a smooth curve is.
            let off = moved(&node.y, -1.0, &guess);
            let near = product(curve.weights(), &off, &off).sqrt();
            (near < 0.5 * self.settings.first_step && nu.abs() <= 1.0).then_some(node)
        };
        if let (Some(back), Some(forth)) = (side(-1.0), side(1.0)) {
            self.follow([back, forth], None);
        }
    }
}
