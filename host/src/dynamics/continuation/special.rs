//! Bifurcations along a branch, and its index.

use faer::{Mat, c64};

use super::field::{Field, derivative, second};
use super::linear::{Lu, dot, eigenvalues, moved};
use super::locate::{Located, Null, Wanted, crossing, fold_coefficients, left, singular};
use super::trace::{Curve, FixedPoints, Node, between, inner, product};
use super::{Bifurcation, Branch, End, Point, Settings, Special, beyond};
use crate::dynamics::Kind;

/// Most halvings of an interval before Newton is given up.
const HALVINGS: usize = 12;
/// Up to this dimension eigenvalues cost little: they are computed at every point.
const SMALL: usize = 16;
/// Most points between two at which eigenvalues are computed.
const STRIDE: usize = 8;

/// A branch with its bifurcations and its index.
pub(super) fn branch<F: Field>(
    curve: &FixedPoints<'_, F>,
    nodes: &[Node],
    ends: [End; 2],
    start: Option<usize>,
    settings: &Settings,
) -> Branch {
    let search = Along { curve, field: curve.field, n: curve.field.states(), settings };
    let flips: Vec<f64> = nodes.iter().map(|node| search.flip_sign(node)).collect();
    let mut special: Vec<Special> = Vec::new();
    for k in 0..nodes.len() - 1 {
        special.extend(search.simple(&nodes[k], &nodes[k + 1], flips[k] != flips[k + 1], k));
    }
    let mut spectra: Vec<Option<Vec<c64>>> = vec![None; nodes.len()];
    let index = search.index(nodes, &mut special, &mut spectra);
    // In order along the branch, also between the same two points.
    let place = |special: &Special| {
        let mut y = special.x.clone();
        y.push(special.mu);
        let (p, q) = (&nodes[special.after], &nodes[special.after + 1]);
        let chord = moved(&q.y, -1.0, &p.y);
        special.after as f64
            + product(curve.weights(), &chord, &moved(&y, -1.0, &p.y)) / product(curve.weights(), &chord, &chord)
    };
    special.sort_by(|a, b| a.after.cmp(&b.after).then(place(a).total_cmp(&place(b))));
    let points = std::iter::zip(nodes, std::iter::zip(index, spectra)).map(|(node, (index, spectrum))| {
        let leading = spectrum.unwrap_or_default().into_iter().take(settings.eigenvalues);
        Point {
            mu: node.y[search.n],
            x: node.y[..search.n].to_vec(),
            index: index.max(0) as usize,
            eigenvalues: leading.map(|value| [value.re, value.im]).collect(),
        }
    });
    Branch { points: points.collect(), special, ends, start }
}

struct Along<'a, F> {
    curve: &'a FixedPoints<'a, F>,
    field: &'a F,
    n: usize,
    settings: &'a Settings,
}

impl<F: Field> Along<'_, F> {
    /// The sign of det (f_x + I) of a map; 1 of a flow.
    fn flip_sign(&self, node: &Node) -> f64 {
        if self.field.kind() == Kind::Flow {
            return 1.0;
        }
        let mut a = derivative(self.field, &node.y).submatrix(0, 0, self.n, self.n).to_owned();
        (0..self.n).for_each(|i| a[(i, i)] += 2.0);
        Lu::new(a).sign()
    }

    /// Eigenvalues of F_x or f_x, least stable first.
    fn spectrum(&self, node: &Node) -> Option<Vec<c64>> {
        let kind = self.field.kind();
        let mut a: Mat<f64> = derivative(self.field, &node.y).submatrix(0, 0, self.n, self.n).to_owned();
        if kind == Kind::Map {
            (0..self.n).for_each(|i| a[(i, i)] += 1.0);
        }
        let mut values = eigenvalues(a.as_ref())?;
        values.sort_by(|a, b| beyond(kind, *b).total_cmp(&beyond(kind, *a)).then(b.im.total_cmp(&a.im)));
        Some(values)
    }

    /// Whether `y` lies on the piece from p to q.
    fn inside(&self, p: &Node, q: &Node, y: &[f64]) -> bool {
        let weights = self.curve.weights();
        let (chord, offset) = (moved(&q.y, -1.0, &p.y), moved(y, -1.0, &p.y));
        let length = product(weights, &chord, &chord);
        let at = product(weights, &offset, &chord) / length;
        let guess = between(weights, p, q, at.clamp(0.0, 1.0));
        let off = moved(y, -1.0, &guess);
        (-1e-3..=1.001).contains(&at) && product(weights, &off, &off) <= 0.1 * length
    }

    /// Newton on the piece from p to q, halved towards the change until it converges inside.
    fn pin<T>(
        &self,
        p: &Node,
        q: &Node,
        at: impl Fn(&Node, &Node) -> f64,
        changes: impl Fn(&Node, &Node) -> bool,
        newton: impl Fn(&Node, &Node, &[f64]) -> Option<(T, Vec<f64>)>,
    ) -> Option<T> {
        let (mut p, mut q) = (p.clone(), q.clone());
        for _ in 0..HALVINGS {
            let guess = between(self.curve.weights(), &p, &q, at(&p, &q));
            if let Some((found, y)) = newton(&p, &q, &guess)
                && self.inside(&p, &q, &y)
            {
                return Some(found);
            }
            let middle = inner(self.curve, &p, &q, 0.5, self.settings.tolerance)?;
            if changes(&p, &middle) {
                q = middle;
            } else {
                p = middle;
            }
        }
        None
    }

    /// Branch points, folds and flips between p and q.
    fn simple(&self, p: &Node, q: &Node, flip: bool, after: usize) -> Vec<Special> {
        let n = self.n;
        let mut found = Vec::new();
        let mut fold = bends(p, q, n);
        if p.sign != q.sign {
            let changes = |p: &Node, q: &Node| p.sign != q.sign;
            let newton = |_: &Node, _: &Node, guess: &[f64]| {
                crossing(self.field, guess).map(|crossing| (crossing.y.clone(), crossing)).map(|(y, c)| (c, y))
            };
            if let Some(crossing) = self.pin(p, q, |_, _| 0.5, changes, newton) {
                let weights = self.curve.weights();
                let along = |t: &[f64]| {
                    let part = |node: &Node| product(weights, t, &node.tangent);
                    let both = part(p) + part(q);
                    both * both / product(weights, t, t)
                };
                let [a, b] = &crossing.tangents;
                let (own, other) = if along(a) >= along(b) { (a, b) } else { (b, a) };
                let own = forward(own, p, weights);
                // A pitchfork's own branch turns round at the branch point.
                fold &= own[n].abs() > 1e-6;
                let change = if own[n].abs() > 1e-6 { self.crossing_change(&crossing, &own) } else { 0 };
                found.push(Special {
                    kind: Bifurcation::BranchPoint,
                    mu: crossing.y[n],
                    x: crossing.y[..n].to_vec(),
                    after,
                    change,
                    angle: None,
                    coefficients: None,
                    residual: crossing.residual,
                    other: Some(other.clone()),
                });
            }
        }
        if fold {
            let at = |p: &Node, q: &Node| p.tangent[n] / (p.tangent[n] - q.tangent[n]);
            let newton = |p: &Node, q: &Node, guess: &[f64]| {
                let v = moved(&p.tangent[..n], 1.0, &q.tangent[..n]);
                singular(self.field, guess, Wanted::Zero, Null::start(v)).map(|l| (l.y.clone(), l)).map(|(y, l)| (l, y))
            };
            if let Some(located) = self.pin(p, q, at, |p, q| bends(p, q, n), newton) {
                let mut tangent = located.null.v[0].clone();
                tangent.push(0.0);
                let coefficients = fold_coefficients(self.field, &located);
                found.push(self.special(Bifurcation::Fold, located, &forward(&tangent, p, self.curve.weights()), after));
                if let Some(fold) = found.last_mut() {
                    fold.coefficients = Some(coefficients).filter(|c| c.iter().all(|c| c.is_finite()));
                }
            }
        }
        if flip {
            let changes = |p: &Node, q: &Node| self.flip_sign(p) != self.flip_sign(q);
            let newton = |_: &Node, _: &Node, guess: &[f64]| {
                let v = (0..n).map(|i| 1.0 + 0.1 * (i as f64).sin()).collect();
                singular(self.field, guess, Wanted::MinusTwo, Null::start(v)).map(|l| (l.y.clone(), l)).map(|(y, l)| (l, y))
            };
            if let Some(located) = self.pin(p, q, |_, _| 0.5, changes, newton) {
                let along = moved(&p.tangent, 1.0, &q.tangent);
                found.push(self.special(Bifurcation::Flip, located, &along, after));
            }
        }
        found
    }

    /// The change of the index at a branch point along its own branch.
    fn crossing_change(&self, crossing: &super::locate::Crossing, own: &[f64]) -> i32 {
        // The null vector of R_x is the combination of the tangents without mu.
        let [a, b] = &crossing.tangents;
        let n = self.n;
        let v: Vec<f64> = (0..=n).map(|i| b[n] * a[i] - a[n] * b[i]).collect();
        let growth = dot(&left(&crossing.psi, &second(self.field, &crossing.y, &v)), own)
            / dot(&crossing.psi, &v[..n]);
        if growth > 0.0 { 1 } else { -1 }
    }

    fn special(&self, kind: Bifurcation, located: Located, along: &[f64], after: usize) -> Special {
        let growth = located.growth(along, self.field.kind());
        let (angle, size) = match located.wanted {
            Wanted::Pair(angle) => (Some(angle.abs()), 2),
            _ => (None, 1),
        };
        Special {
            kind,
            mu: located.y[self.n],
            x: located.y[..self.n].to_vec(),
            after,
            change: if growth > 0.0 { size } else { -size },
            angle,
            coefficients: None,
            residual: located.residual,
            other: None,
        }
    }

    /// The index at every node; adds Hopf and Neimark-Sacker points.
    fn index(
        &self,
        nodes: &[Node],
        special: &mut Vec<Special>,
        spectra: &mut [Option<Vec<c64>>],
    ) -> Vec<i32> {
        let kind = self.field.kind();
        let last = nodes.len() - 1;
        let mut changes = vec![0; last];
        special.iter().for_each(|special| changes[special.after] += special.change);
        let mut at = 0;
        spectra[0] = self.spectrum(&nodes[0]);
        let mut stride = if self.n <= SMALL { 1 } else { 2 };
        let mut margin = spectra[0].as_ref().map_or(0.0, |values| margin(kind, values));
        while at < last {
            let next = (at + stride).min(last);
            spectra[next] = self.spectrum(&nodes[next]);
            self.settle(nodes, (at, next), &mut changes, special, spectra);
            let new = spectra[next].as_ref().map_or(0.0, |values| self::margin(kind, values));
            if self.n > SMALL {
                let rate = (new - margin).abs() / (next - at) as f64;
                stride = ((0.4 * new / rate.max(1e-12)) as usize).clamp(1, STRIDE);
            }
            (at, margin) = (next, new);
        }
        let first = spectra[0].as_ref().map_or(0, |values| count(kind, values));
        let mut index = vec![first];
        for change in changes {
            index.push(index[index.len() - 1] + change);
        }
        index
    }

    /// Makes the changes between two nodes with spectra add up, by pairs where the known points do not explain them.
    fn settle(
        &self,
        nodes: &[Node],
        (from, to): (usize, usize),
        changes: &mut [i32],
        special: &mut Vec<Special>,
        spectra: &mut [Option<Vec<c64>>],
    ) {
        let kind = self.field.kind();
        let (Some(before), Some(after)) = (&spectra[from], &spectra[to]) else { return };
        let missing =
            count(kind, after) - count(kind, before) - changes[from..to].iter().sum::<i32>();
        if missing == 0 {
            return;
        }
        if to - from > 1 {
            let middle = usize::midpoint(from, to);
            if spectra[middle].is_none() {
                spectra[middle] = self.spectrum(&nodes[middle]);
            }
            self.settle(nodes, (from, middle), changes, special, spectra);
            self.settle(nodes, (middle, to), changes, special, spectra);
            return;
        }
        changes[from] += missing;
        special.extend(self.pair(&nodes[from], &nodes[to], missing, from));
    }

    /// The point between p and q where the index changes by `missing`, mostly a pair.
    fn pair(&self, p: &Node, q: &Node, missing: i32, after: usize) -> Option<Special> {
        let kind = self.field.kind();
        let (mut p, mut q) = (p.clone(), q.clone());
        let mut low = count(kind, &self.spectrum(&p)?);
        for halving in 0..40 {
            // A node on either side has the pair that is nearest to the boundary.
            let nearest = |values: Vec<c64>| {
                let pairs = values.into_iter().filter(|value| value.im > 0.0);
                pairs.min_by(|a, b| beyond(kind, *a).abs().total_cmp(&beyond(kind, *b).abs()))
            };
            let (first, second) = (nearest(self.spectrum(&p)?), nearest(self.spectrum(&q)?));
            if let (Some(a), Some(b), true) = (first, second, halving < HALVINGS) {
                let (from, to) = (beyond(kind, a), beyond(kind, b));
                let at = if from * to < 0.0 { from / (from - to) } else { 0.5 };
                let value = a * (1.0 - at) + b * at;
                let angle = if kind == Kind::Flow { value.im } else { value.arg() };
                let guess = between(self.curve.weights(), &p, &q, at);
                let v = (0..self.n).map(|i| 1.0 + 0.1 * (i as f64).sin()).collect();
                if let Some(located) = singular(self.field, &guess, Wanted::Pair(angle), Null::start(v))
                    && let Wanted::Pair(angle) = located.wanted
                    && angle.abs() > 1e-6
                    && self.inside(&p, &q, &located.y)
                {
                    let name = if kind == Kind::Flow { Bifurcation::Hopf } else { Bifurcation::NeimarkSacker };
                    let along = moved(&p.tangent, 1.0, &q.tangent);
                    let found = self.special(name, located, &along, after);
                    return Some(Special { change: missing, ..found });
                }
            }
            let Some(middle) = inner(self.curve, &p, &q, 0.5, self.settings.tolerance) else { break };
            let here = count(kind, &self.spectrum(&middle)?);
            if here == low {
                (p, low) = (middle, here);
            } else {
                q = middle;
            }
            if (p.y[self.n] - q.y[self.n]).abs() < 1e-10 * (1.0 + p.y[self.n].abs()) && halving >= HALVINGS {
                break;
            }
        }
        let middle = moved(&p.y, 1.0, &q.y);
        Some(Special {
            kind: Bifurcation::Multiple,
            mu: 0.5 * middle[self.n],
            x: middle[..self.n].iter().map(|x| 0.5 * x).collect(),
            after,
            change: missing,
            angle: None,
            coefficients: None,
            residual: (p.y[self.n] - q.y[self.n]).abs(),
            other: None,
        })
    }
}

/// Whether mu turns round between p and q.
fn bends(p: &Node, q: &Node, n: usize) -> bool {
    let (a, b) = (p.tangent[n], q.tangent[n]);
    (a >= 0.0) != (b >= 0.0) && a.abs().max(b.abs()) > 1e-8
}

/// The vector in the direction in which p's tangent goes.
fn forward(t: &[f64], p: &Node, weights: &[f64]) -> Vec<f64> {
    let sign = product(weights, t, &p.tangent).signum();
    t.iter().map(|t| sign * t).collect()
}

/// How many eigenvalues are unstable.
fn count(kind: Kind, values: &[c64]) -> i32 {
    values.iter().filter(|value| beyond(kind, **value) > 0.0).count() as i32
}

/// Distance to the boundary of stability of the eigenvalues that determinants do not watch.
///
/// They watch the real one nearest to 0 of a flow, those nearest to 1 and to -1 of a map.
fn margin(kind: Kind, values: &[c64]) -> f64 {
    let mut left: Vec<c64> = values.to_vec();
    let watched: &[f64] = if kind == Kind::Flow { &[0.0] } else { &[1.0, -1.0] };
    for at in watched {
        let real = (0..left.len()).filter(|&k| left[k].im == 0.0);
        if let Some(k) = real.min_by(|&a, &b| (left[a].re - at).abs().total_cmp(&(left[b].re - at).abs())) {
            left.swap_remove(k);
        }
    }
    left.iter().map(|value| beyond(kind, *value).abs()).fold(f64::INFINITY, f64::min)
}
