//! Bifurcations along a branch, and its index.

use faer::{Mat, c64};

use super::field::{Field, derivative, second};
use super::locate::{Crossing, Located, Null, Wanted, crossing, fold_coefficients, left, singular};
use super::normal::cubic;
use super::trace::{Curve, FixedPoints, Node, between, inner, product};
use super::{Bifurcation, Branch, End, Point, Settings, Special};
use crate::dynamics::Kind;
use crate::dynamics::linear::Lu;
use crate::dynamics::spectrum::{beyond, index, of_matrix};
use crate::dynamics::vector::{dot, largest, moved};

/// Most halvings of an interval before Newton is given up.
const HALVINGS: usize = 12;
/// Most halvings where several eigenvalues cross at once.
const DEPTH: usize = 40;
/// Up to this dimension eigenvalues cost little: they are computed at every point.
const SMALL: usize = 16;
/// Most points between two at which eigenvalues are computed.
const STRIDE: usize = 5;

/// A branch with its bifurcations and its index; the last node of a closed one is its first again.
pub(super) fn branch(
    curve: &FixedPoints<'_>,
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
        let y = special.y();
        let (p, q) = (&nodes[special.after], &nodes[special.after + 1]);
        let chord = moved(&q.y, -1.0, &p.y);
        special.after as f64
            + product(curve.weights(), &chord, &moved(&y, -1.0, &p.y))
                / product(curve.weights(), &chord, &chord)
    };
    special.sort_by(|a, b| a.after.cmp(&b.after).then(place(a).total_cmp(&place(b))));
    let points = std::iter::zip(nodes, std::iter::zip(index, spectra)).map(|(node, (index, spectrum))| {
        let leading = spectrum.unwrap_or_default().into_iter().take(settings.eigenvalues);
        Point {
            tangent: node.tangent.clone(),
            mu: node.y[search.n],
            x: node.y[..search.n].to_vec(),
            index: index.max(0) as usize,
            eigenvalues: leading.map(|value| [value.re, value.im]).collect(),
        }
    });
    let count = nodes.len() - usize::from(ends[1] == End::Closed);
    Branch { points: points.take(count).collect(), special, ends, start, metric: curve.weights().to_vec() }
}

impl Special {
    fn new(kind: Bifurcation, y: &[f64], after: usize, change: i32, residual: f64) -> Self {
        let (mu, x) = (y[y.len() - 1], y[..y.len() - 1].to_vec());
        Self {
            kind,
            mu,
            x,
            after,
            change,
            angle: None,
            coefficients: None,
            cubic: None,
            residual,
            other: None,
        }
    }

    /// (x, mu).
    pub(super) fn y(&self) -> Vec<f64> {
        let mut y = self.x.clone();
        y.push(self.mu);
        y
    }
}

/// What was located, and where.
fn located(found: Option<Located>) -> Option<(Located, Vec<f64>)> {
    found.map(|found| {
        let y = found.y.clone();
        (found, y)
    })
}

struct Along<'a> {
    curve: &'a FixedPoints<'a>,
    field: &'a Field<'a>,
    n: usize,
    settings: &'a Settings,
}

impl Along<'_> {
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
        of_matrix(kind, a.as_ref()).ok()
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
                let found = crossing(self.field, guess)?;
                let y = found.y.clone();
                Some((found, y))
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
                let flat = |t: &[f64]| t[n].abs() <= 1e-6;
                let kind =
                    if flat(a) || flat(b) { Bifurcation::Pitchfork } else { Bifurcation::Transcritical };
                let special = Special::new(kind, &crossing.y, after, change, crossing.residual);
                let cubic = (kind == Bifurcation::Pitchfork)
                    .then(|| {
                        let zero = vec![0.0; n];
                        let v = [self.null_vector(&crossing), zero.clone()];
                        cubic(self.field, &crossing.y, Wanted::Zero, &v, &[crossing.psi.clone(), zero])
                    })
                    .flatten();
                found.push(Special { other: Some(other.clone()), cubic, ..special });
            }
        }
        if fold {
            let at = |p: &Node, q: &Node| p.tangent[n] / (p.tangent[n] - q.tangent[n]);
            let newton = |p: &Node, q: &Node, guess: &[f64]| {
                let v = moved(&p.tangent[..n], 1.0, &q.tangent[..n]);
                located(singular(self.field, guess, Wanted::Zero, Null::start(v)))
            };
            if let Some(located) = self.pin(p, q, at, |p, q| bends(p, q, n), newton) {
                let mut tangent = located.null.v[0].clone();
                tangent.push(0.0);
                let coefficients = fold_coefficients(self.field, &located);
                found.push(self.special(
                    Bifurcation::Fold,
                    located,
                    &forward(&tangent, p, self.curve.weights()),
                    after,
                ));
                if let Some(fold) = found.last_mut() {
                    fold.coefficients = Some(coefficients).filter(|c| c.iter().all(|c| c.is_finite()));
                }
            }
        }
        if flip {
            let changes = |p: &Node, q: &Node| self.flip_sign(p) != self.flip_sign(q);
            let newton = |_: &Node, _: &Node, guess: &[f64]| {
                located(singular(self.field, guess, Wanted::MinusTwo, Null::start(self.plain())))
            };
            if let Some(located) = self.pin(p, q, |_, _| 0.5, changes, newton) {
                let along = moved(&p.tangent, 1.0, &q.tangent);
                found.push(self.special(Bifurcation::Flip, located, &along, after));
            }
        }
        found
    }

    /// The null vector of R_x: the combination of the tangents without mu.
    fn null_vector(&self, crossing: &Crossing) -> Vec<f64> {
        let [a, b] = &crossing.tangents;
        (0..self.n).map(|i| b[self.n] * a[i] - a[self.n] * b[i]).collect()
    }

    /// The change of the index at a branch point along its own branch.
    fn crossing_change(&self, crossing: &Crossing, own: &[f64]) -> i32 {
        let mut v = self.null_vector(crossing);
        v.push(0.0);
        let growth = dot(&left(&crossing.psi, &second(self.field, &crossing.y, &v)), own)
            / dot(&crossing.psi, &v[..self.n]);
        if growth > 0.0 { 1 } else { -1 }
    }

    fn special(&self, kind: Bifurcation, located: Located, along: &[f64], after: usize) -> Special {
        let growth = located.growth(along, self.field.kind());
        let (angle, size) = match located.wanted {
            Wanted::Pair(angle) => (Some(angle.abs()), 2),
            _ => (None, 1),
        };
        let change = if growth > 0.0 { size } else { -size };
        let null = &located.null;
        let cubic = match located.wanted {
            Wanted::Zero => None,
            wanted => cubic(self.field, &located.y, wanted, &null.v, &null.w),
        };
        Special { angle, cubic, ..Special::new(kind, &located.y, after, change, located.residual) }
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
        for special in special.iter() {
            changes[special.after] += special.change;
        }
        let distance = |k: usize| {
            let chord = moved(&nodes[k + 1].y, -1.0, &nodes[k].y);
            product(self.curve.weights(), &chord, &chord).sqrt()
        };
        spectra[0] = self.spectrum(&nodes[0]);
        let (mut at, mut reach) = (0, 0.0);
        while at < last {
            // The next node within reach at which eigenvalues are computed.
            let (mut next, mut length) = (at + 1, distance(at));
            while self.n > SMALL && next < last.min(at + STRIDE) && length + distance(next) < reach {
                length += distance(next);
                next += 1;
            }
            spectra[next] = self.spectrum(&nodes[next]);
            self.settle(nodes, (at, next), &mut changes, special, spectra);
            reach = match (&spectra[at], &spectra[next]) {
                (Some(before), Some(after)) => 0.25 * length * margin(kind, before, after),
                _ => 0.0,
            };
            at = next;
        }
        let first = spectra[0].as_ref().map_or(0, |values| count(kind, values));
        let mut index = vec![first];
        for change in changes {
            index.push(index[index.len() - 1] + change);
        }
        index
    }

    /// Makes the changes between two nodes with spectra add up, by pairs where the known points do not
    /// explain them.
    fn settle(
        &self,
        nodes: &[Node],
        (from, to): (usize, usize),
        changes: &mut [i32],
        special: &mut Vec<Special>,
        spectra: &mut [Option<Vec<c64>>],
    ) {
        let kind = self.field.kind();
        let (Some(before), Some(after)) = (spectra[from].clone(), spectra[to].clone()) else { return };
        let missing = count(kind, &after) - count(kind, &before) - changes[from..to].iter().sum::<i32>();
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
        let known: Vec<(Vec<f64>, i32)> = special
            .iter()
            .filter(|special| special.after == from)
            .map(|special| (special.y(), special.change))
            .collect();
        let ends = [(&nodes[from], before.as_slice()), (&nodes[to], after.as_slice())];
        self.pairs(ends, &known, 0, from, special);
        changes[from] += missing;
    }

    /// Adds the points between two nodes where the index changes more than the known points explain, mostly
    /// pairs.
    fn pairs(
        &self,
        [(p, before), (q, after)]: [(&Node, &[c64]); 2],
        known: &[(Vec<f64>, i32)],
        depth: usize,
        place: usize,
        out: &mut Vec<Special>,
    ) {
        let (kind, n) = (self.field.kind(), self.n);
        let explained: i32 = known.iter().map(|(_, change)| change).sum();
        let missing = count(kind, after) - count(kind, before) - explained;
        if missing == 0 {
            return;
        }
        if missing.abs() == 2
            && let Some(found) = self.pair([(p, before), (q, after)], place)
            && found.change == missing
        {
            out.push(found);
            return;
        }
        let width = (p.y[n] - q.y[n]).abs();
        let middle =
            inner(self.curve, p, q, 0.5, self.settings.tolerance).filter(|node| self.inside(p, q, &node.y));
        let spectrum = middle.as_ref().and_then(|node| self.spectrum(node));
        let fine = depth >= DEPTH || (depth >= HALVINGS && width < 1e-10 * (1.0 + p.y[n].abs()));
        if let (Some(middle), Some(spectrum), false) = (&middle, &spectrum, fine) {
            let first =
                |y: &[f64]| product(self.curve.weights(), &moved(y, -1.0, &middle.y), &middle.tangent) < 0.0;
            let (low, high): (Vec<_>, Vec<_>) = known.iter().cloned().partition(|(y, _)| first(y));
            let halves =
                [((p, before), (middle, spectrum.as_slice()), low), ((middle, spectrum), (q, after), high)];
            for (from, to, mut known) in halves {
                // Two points of one sort hide each other's change of sign.
                let flip = self.flip_sign(from.0) != self.flip_sign(to.0);
                for special in self.simple(from.0, to.0, flip, place) {
                    let y = special.y();
                    if known.iter().all(|(known, _)| largest(&moved(known, -1.0, &y)) > 1e-7) {
                        known.push((y, special.change));
                        out.push(special);
                    }
                }
                self.pairs([from, to], &known, depth + 1, place, out);
            }
            return;
        }
        let y: Vec<f64> = std::iter::zip(&p.y, &q.y).map(|(a, b)| f64::midpoint(*a, *b)).collect();
        let kind = Bifurcation::Multiple;
        out.push(Special::new(kind, &y, place, missing, width));
    }

    /// Newton for the pair that crosses between two nodes, from the pairs nearest to the boundary of
    /// stability.
    fn pair(&self, [(p, before), (q, after)]: [(&Node, &[c64]); 2], place: usize) -> Option<Special> {
        let kind = self.field.kind();
        let nearest = |values: &[c64]| {
            let pairs = values.iter().copied().filter(|value| value.im > 0.0);
            pairs.min_by(|a, b| beyond(kind, *a).abs().total_cmp(&beyond(kind, *b).abs()))
        };
        let (a, b) = (nearest(before)?, nearest(after)?);
        let (from, to) = (beyond(kind, a), beyond(kind, b));
        let at = if from * to < 0.0 { from / (from - to) } else { 0.5 };
        let value = a * (1.0 - at) + b * at;
        let angle = if kind == Kind::Flow { value.im } else { value.arg() };
        let guess = between(self.curve.weights(), p, q, at);
        let located = singular(self.field, &guess, Wanted::Pair(angle), Null::start(self.plain()))?;
        let Wanted::Pair(angle) = located.wanted else { return None };
        let name = if kind == Kind::Flow { Bifurcation::Hopf } else { Bifurcation::NeimarkSacker };
        let along = moved(&p.tangent, 1.0, &q.tangent);
        (angle.abs() > 1e-6 && self.inside(p, q, &located.y))
            .then(|| self.special(name, located, &along, place))
    }

    /// A vector that is across no eigenvector but by chance.
    fn plain(&self) -> Vec<f64> {
        (0..self.n).map(|i| 1.0 + 0.5 * (i as f64).sin()).collect()
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
    index(kind, values) as i32
}

/// After how many times their last move eigenvalues may reach the boundary of stability, but for those that
/// determinants watch: the real one nearest to 0 of a flow, those nearest to 1 and to -1 of a map.
///
/// The move of an eigenvalue is the greater of two: to the nearest one before, and that of its rank by
/// stability.
fn margin(kind: Kind, before: &[c64], after: &[c64]) -> f64 {
    let mut left: Vec<usize> = (0..after.len()).collect();
    let watched: &[f64] = if kind == Kind::Flow { &[0.0] } else { &[1.0, -1.0] };
    for at in watched {
        let real = (0..left.len()).filter(|&k| after[left[k]].im == 0.0);
        let off = |k: usize| (after[left[k]].re - at).abs();
        if let Some(k) = real.min_by(|&a, &b| off(a).total_cmp(&off(b))) {
            left.swap_remove(k);
        }
    }
    let times = left.into_iter().map(|k| {
        let nearest = before.iter().map(|old| (after[k] - old).norm()).fold(f64::INFINITY, f64::min);
        let rank = (beyond(kind, after[k]) - beyond(kind, before[k])).abs();
        beyond(kind, after[k]).abs() / nearest.max(rank).max(1e-12)
    });
    times.fold(f64::INFINITY, f64::min)
}
