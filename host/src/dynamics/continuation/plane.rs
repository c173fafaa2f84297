//! Folds in two parameters: fold curves and their cusps.

use std::iter::zip;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use faer::{Mat, MatMut, c64};
use serde::Serialize;

use super::field::{Field, derivative};
use super::linear::{dot, largest, moved};
use super::locate::{Null, Wanted, singular};
use super::trace::{self, Curve, Node, inner, turned, walk};
use super::{End, Settings, Special};
use crate::dynamics::{Family, Kind, Path, Rnn};
use crate::error::require;
use crate::{Error, Result};

/// A system with two real parameters.
pub trait TwoParameter: Sync {
    /// Length n of a state.
    fn dimension(&self) -> usize;

    /// Map or flow.
    fn kind(&self) -> Kind;

    /// f(x) of a map, F(x) of a flow.
    fn value(&self, x: &[f64], mu: [f64; 2], out: &mut [f64]);

    /// n × n derivatives by x.
    fn jacobian(&self, x: &[f64], mu: [f64; 2], out: MatMut<'_, f64>);

    /// out = d value / d mu_k, k = 0 or 1.
    fn derivative(&self, x: &[f64], mu: [f64; 2], k: usize, out: &mut [f64]);
}

/// A network with drive g + mu_1 d_1 + mu_2 d_2 and weights (1 + mu_1 s_1 + mu_2 s_2) W.
#[derive(Clone, Debug)]
pub struct Plane {
    /// The network at mu = 0.
    pub rnn: Rnn,
    /// d_1 and d_2, n each.
    pub directions: [Vec<f64>; 2],
    /// s_1 and s_2; 0 leaves the weights.
    pub weight_scales: [f64; 2],
}

impl Plane {
    /// The line through mu in which parameter k moves, as a path with its origin at mu.
    fn path(&self, mu: [f64; 2], k: usize) -> Path {
        let mut rnn = self.rnn.clone();
        for (direction, mu) in zip(&self.directions, mu) {
            rnn.drive = moved(&rnn.drive, mu, direction);
        }
        let scale = 1.0 + dot(&self.weight_scales, &mu);
        if scale != 1.0 {
            rnn.w = Arc::new(faer::Scale(scale) * &*rnn.w);
        }
        // The path scales the weights that it has at its origin.
        let weight_scale = if self.weight_scales[k] == 0.0 { 0.0 } else { self.weight_scales[k] / scale };
        Path { rnn, direction: self.directions[k].clone(), weight_scale }
    }
}

impl TwoParameter for Plane {
    fn dimension(&self) -> usize {
        self.rnn.drive.len()
    }

    fn kind(&self) -> Kind {
        self.rnn.kind
    }

    fn value(&self, x: &[f64], mu: [f64; 2], out: &mut [f64]) {
        Family::value(&self.path(mu, 0), x, 0.0, out);
    }

    fn jacobian(&self, x: &[f64], mu: [f64; 2], out: MatMut<'_, f64>) {
        Family::jacobian(&self.path(mu, 0), x, 0.0, out);
    }

    fn derivative(&self, x: &[f64], mu: [f64; 2], k: usize, out: &mut [f64]) {
        Family::derivative(&self.path(mu, k), x, 0.0, out);
    }
}

/// The family of the first parameter at a value of the second.
pub struct Slice<'a, P: ?Sized> {
    /// The system.
    pub plane: &'a P,
    /// mu_2.
    pub second: f64,
}

impl<P: TwoParameter + ?Sized> Family for Slice<'_, P> {
    fn dimension(&self) -> usize {
        self.plane.dimension()
    }

    fn kind(&self) -> Kind {
        self.plane.kind()
    }

    fn value(&self, x: &[f64], mu: f64, out: &mut [f64]) {
        self.plane.value(x, [mu, self.second], out);
    }

    fn jacobian(&self, x: &[f64], mu: f64, out: MatMut<'_, f64>) {
        self.plane.jacobian(x, [mu, self.second], out);
    }

    fn derivative(&self, x: &[f64], mu: f64, out: &mut [f64]) {
        self.plane.derivative(x, [mu, self.second], 0, out);
    }
}

struct Two<'a, P: ?Sized>(&'a P);

impl<P: TwoParameter + ?Sized> Field for Two<'_, P> {
    fn states(&self) -> usize {
        self.0.dimension()
    }

    fn kind(&self) -> Kind {
        self.0.kind()
    }

    fn residual(&self, y: &[f64], out: &mut [f64]) {
        let n = self.states();
        self.0.value(&y[..n], [y[n], y[n + 1]], out);
        if self.kind() == Kind::Map {
            zip(out, y).for_each(|(out, x)| *out -= x);
        }
    }

    fn derivative(&self, y: &[f64], mut out: MatMut<'_, f64>) {
        let n = self.states();
        let mu = [y[n], y[n + 1]];
        self.0.jacobian(&y[..n], mu, out.as_mut().subcols_mut(0, n));
        if self.kind() == Kind::Map {
            (0..n).for_each(|i| out[(i, i)] -= 1.0);
        }
        let mut parameter = vec![0.0; n];
        for k in 0..2 {
            self.0.derivative(&y[..n], mu, k, &mut parameter);
            (0..n).for_each(|i| out[(i, n + k)] = parameter[i]);
        }
    }
}

/// Folds: R = 0 and g = 0 of the bordered system, whose borders follow the curve.
struct Folds<'a, P: ?Sized> {
    field: Two<'a, P>,
    weights: Vec<f64>,
    borders: Null,
}

impl<P: TwoParameter + ?Sized> Folds<'_, P> {
    fn null(&self, y: &[f64]) -> Null {
        self.borders.of(&derivative(&self.field, y), c64::new(0.0, 0.0))
    }

    /// (a, w v): w R_xx v v / 2 and w v with |v| = |w| = 1.
    fn coefficients(&self, y: &[f64]) -> [f64; 2] {
        let null = self.null(y);
        let n = self.field.states();
        let (v, w) = (&null.v[0], &null.w[0]);
        let (v_length, w_length) = (dot(v, v).sqrt(), dot(w, w).sqrt());
        let a = 0.5 * dot(&null.slopes(&self.field, y)[0][..n], v) / (v_length * v_length * w_length);
        [a, dot(v, w) / (v_length * w_length)]
    }
}

impl<P: TwoParameter + ?Sized> Curve for Folds<'_, P> {
    fn weights(&self) -> &[f64] {
        &self.weights
    }

    fn equations(&self, y: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.field.states()];
        self.field.residual(y, &mut out);
        out.push(self.null(y).g.re);
        out
    }

    fn matrix(&self, y: &[f64]) -> Mat<f64> {
        let (n, size) = (self.field.states(), y.len());
        let mut out = Mat::zeros(size, size);
        self.field.derivative(y, out.as_mut().subrows_mut(0, n));
        let slopes = self.null(y).slopes(&self.field, y);
        (0..size).for_each(|j| out[(n, j)] = -slopes[0][j]);
        out
    }

    fn settle(&mut self, y: &[f64]) {
        self.borders = self.null(y);
    }
}

/// A point of a fold curve.
#[derive(Clone, Debug, Serialize)]
pub struct FoldPoint {
    /// (mu_1, mu_2).
    pub mu: [f64; 2],
    /// x, n.
    pub x: Vec<f64>,
    /// w R_xx v v / 2 with null vectors of length 1: 0 at a cusp.
    pub a: f64,
}

/// What happens on a fold curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Codimension {
    /// a = 0: two folds meet and vanish.
    Cusp,
    /// w v = 0, a double eigenvalue: Bogdanov-Takens of a flow, strong resonance 1:1 of a map.
    DoubleZero,
}

impl Codimension {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cusp => "cusp",
            Self::DoubleZero => "double zero",
        }
    }
}

/// A curve of folds in two parameters.
#[derive(Clone, Debug, Serialize)]
pub struct FoldCurve {
    /// Points in order.
    pub points: Vec<FoldPoint>,
    /// Cusps and double zeros, each between the points k and k + 1 of its number k.
    pub special: Vec<(Codimension, usize, FoldPoint)>,
    /// Why it ends before the first point and after the last.
    pub ends: [End; 2],
}

/// Follows folds of the [`Slice`] at mu_2 = `second` in both parameters; those on a curve already followed are skipped.
///
/// `ranges`: least and greatest mu_1 and mu_2; steps and bounds from `settings`, whose range is not used.
///
/// # Errors
/// Ranges or a state that are not as said; no fold near the start.
///
/// Source: Govaerts 2000, chapter 4; Kuznetsov 2004, section 10.3.
pub fn fold_curves<P: TwoParameter + ?Sized>(
    plane: &P,
    folds: &[&Special],
    second: f64,
    ranges: [(f64, f64); 2],
    settings: &Settings,
    stop: &AtomicBool,
) -> Result<Vec<FoldCurve>> {
    let n = plane.dimension();
    for (low, high) in ranges {
        let found = format!("{low}, {high}");
        require(low < high && (high - low).is_finite(), "range", "two finite numbers, the lower first", found)?;
    }
    Settings { range: ranges[0], ..settings.clone() }.check()?;
    let none = || Error::Numeric {
        what: "fold curve".into(),
        reason: "Newton finds no fold near the start; give a fold that continuation located in this range".into(),
    };
    let mut curves: Vec<FoldCurve> = Vec::new();
    let mut known: Vec<Vec<(Node, Null)>> = Vec::new();
    for fold in folds {
        require(fold.x.len() == n, "fold", format!("a state of {n} numbers"), fold.x.len())?;
        let mut y = fold.y();
        y.push(second);
        let passed = |nodes: &Vec<(Node, Null)>| {
            nodes.windows(2).any(|pair| {
                let curve = Folds { field: Two(plane), weights: trace::metric(n, &ranges), borders: pair[0].1.clone() };
                trace::passes(&curve, &pair[0].0, &pair[1].0, &y, settings.tolerance)
            })
        };
        if known.iter().any(passed) {
            continue;
        }
        let (curve, nodes) = fold_curve(plane, fold, second, ranges, settings, stop).ok_or_else(none)?;
        curves.push(curve);
        known.push(nodes);
    }
    Ok(curves)
}

/// One curve, and its points with the borders there.
fn fold_curve<P: TwoParameter + ?Sized>(
    plane: &P,
    fold: &Special,
    second: f64,
    ranges: [(f64, f64); 2],
    settings: &Settings,
    stop: &AtomicBool,
) -> Option<(FoldCurve, Vec<(Node, Null)>)> {
    let n = plane.dimension();
    let mut y = fold.y();
    let v = (0..n).map(|i| 1.0 + 0.1 * (i as f64).sin()).collect();
    let slice = Slice { plane, second };
    let located = singular(&super::field::One(&slice), &y, Wanted::Zero, Null::start(v))?;
    y = located.y;
    y.push(second);
    let field = Two(plane);
    let mut curve = Folds { field, weights: trace::metric(n, &ranges), borders: located.null };
    // The curve is transversal to the slice, or else to a line of equal mu_1.
    let start = trace::at_value(&curve, &y, n + 1, settings.tolerance)
        .or_else(|| trace::at_value(&curve, &y, n, settings.tolerance))?;
    let borders = curve.borders.clone();
    let (ahead, end) = walk(&mut curve, &start, &ranges, settings, &[stop]);
    let mut nodes = Vec::new();
    let mut begin = End::Closed;
    if end != End::Closed {
        curve.borders = borders.clone();
        let behind;
        (behind, begin) = walk(&mut curve, &turned(start.clone(), -1.0), &ranges, settings, &[stop]);
        nodes.extend(behind.into_iter().rev().map(|node| turned(node, -1.0)));
    }
    let at_start = nodes.len();
    nodes.push(start);
    nodes.extend(ahead);
    curve.borders = borders;
    let (coefficients, borders) = along(&mut curve, &nodes, at_start);
    let point = |y: &[f64], a: f64| FoldPoint { mu: [y[n], y[n + 1]], x: y[..n].to_vec(), a };
    let mut special = Vec::new();
    for k in 0..nodes.len() - 1 {
        for (which, name) in [(0, Codimension::Cusp), (1, Codimension::DoubleZero)] {
            let ends = [coefficients[k][which], coefficients[k + 1][which]];
            if ends[0] * ends[1] < 0.0 {
                curve.borders = borders[k].clone();
                if let Some(y) = root(&curve, &nodes[k], &nodes[k + 1], settings.tolerance, which) {
                    let a = curve.coefficients(&y)[0];
                    special.push((name, k, point(&y, a)));
                }
            }
        }
    }
    let points = zip(&nodes, &coefficients).map(|(node, [a, _])| point(&node.y, *a)).collect();
    let curve = FoldCurve { points, special, ends: [begin, end] };
    Some((curve, zip(nodes, borders).collect()))
}

/// (a, w v) and null vectors at every node; the vectors turn with the curve.
fn along<P: TwoParameter + ?Sized>(
    curve: &mut Folds<'_, P>,
    nodes: &[Node],
    start: usize,
) -> (Vec<[f64; 2]>, Vec<Null>) {
    let borders = curve.borders.clone();
    let mut out = vec![[0.0; 2]; nodes.len()];
    let mut null = vec![borders.clone(); nodes.len()];
    for k in (0..=start).rev().chain(start..nodes.len()) {
        if k == start {
            curve.borders = borders.clone();
        }
        out[k] = curve.coefficients(&nodes[k].y);
        curve.settle(&nodes[k].y);
        null[k] = curve.borders.clone();
    }
    (out, null)
}

/// The point between p and q at which a coefficient is 0: Illinois, then the last chord.
fn root<P: TwoParameter + ?Sized>(
    curve: &Folds<'_, P>,
    p: &Node,
    q: &Node,
    tolerance: f64,
    which: usize,
) -> Option<Vec<f64>> {
    let value = |at: f64| {
        let node = inner(curve, p, q, at, tolerance)?;
        let value = curve.coefficients(&node.y)[which];
        Some((node.y, value))
    };
    let (mut low, mut high) = (0.0, 1.0);
    let (mut a, mut b) = (curve.coefficients(&p.y)[which], curve.coefficients(&q.y)[which]);
    let mut side = 0;
    let mut best: Option<(Vec<f64>, f64)> = None;
    for _ in 0..60 {
        let at = (low * b - high * a) / (b - a);
        let (y, new) = value(at)?;
        let step = best.as_ref().map_or(f64::INFINITY, |(known, _)| largest(&moved(known, -1.0, &y)));
        if best.as_ref().is_none_or(|(_, known)| new.abs() <= known.abs()) {
            best = Some((y, new));
        }
        if new == 0.0 || step < 1e-13 || high - low < 1e-14 {
            break;
        }
        if (new > 0.0) == (a > 0.0) {
            (low, a) = (at, new);
            if side == 1 {
                b *= 0.5;
            }
            side = 1;
        } else {
            (high, b) = (at, new);
            if side == -1 {
                a *= 0.5;
            }
            side = -1;
        }
    }
    best.map(|(y, _)| y)
}
