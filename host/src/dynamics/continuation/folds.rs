//! Fold curves in two parameters, and their cusps.

use std::iter::zip;
use std::sync::atomic::{AtomicBool, Ordering};

use faer::{Mat, c64};
use serde::Serialize;

use super::field::{Field, One, derivative, metric};
use super::locate::{Null, Wanted, singular};
use super::plane::{Parametric, Slice};
use super::trace::{self, Curve, Node, inner, turned, walk};
use super::{End, Settings, Special};
use crate::Result;
use crate::dynamics::vector::{dot, largest, moved};
use crate::error::require;

/// Folds: R = 0 and g = 0 of the bordered system, whose borders follow the curve.
struct Folds<'a> {
    field: Field<'a>,
    weights: Vec<f64>,
    borders: Null,
}

impl Folds<'_> {
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

impl Curve for Folds<'_> {
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
    /// Tangent of the curve, (x, mu_1, mu_2), of length 1 in its metric.
    #[serde(skip)]
    pub tangent: Vec<f64>,
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
    /// Points in order; of a closed curve the last comes before the first.
    pub points: Vec<FoldPoint>,
    /// Cusps and double zeros, each between the points k and k + 1 of its number k, the last and the first of a closed
    /// curve.
    pub special: Vec<(Codimension, usize, FoldPoint)>,
    /// Why it ends before the first point and after the last.
    pub ends: [End; 2],
    /// The diagonal of its metric of (x, mu_1, mu_2), n + 2: see [`Settings::first_step`].
    #[serde(skip)]
    pub metric: Vec<f64>,
}

impl FoldCurve {
    /// Whether it comes back to its first point.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.ends[1] == End::Closed
    }

    /// (mu_1, mu_2) from point k to the next, of the last of a closed curve to the first, by the cubic with their tangents: `parts` + 1 of them, ends
    /// included.
    #[must_use]
    pub fn between(&self, k: usize, parts: usize) -> Vec<[f64; 2]> {
        let node = |point: &FoldPoint| {
            let y = point.x.iter().chain(&point.mu).copied().collect();
            Node { y, tangent: point.tangent.clone(), sign: 1.0 }
        };
        let (p, q) = (node(&self.points[k]), node(&self.points[(k + 1) % self.points.len()]));
        let size = p.y.len();
        let at = |i: usize| trace::between(&self.metric, &p, &q, i as f64 / parts as f64);
        (0..=parts).map(at).map(|y| [y[size - 2], y[size - 1]]).collect()
    }
}

/// Follows folds of the [`Slice`] at mu_2 = `second` in both parameters; those on a curve already followed
/// are skipped. With the curves come the numbers of the folds that Newton does not find again: give folds that
/// continuation located in these ranges.
///
/// `ranges`: least and greatest mu_1 and mu_2; steps and bounds from `settings`, whose range is not used.
///
/// # Errors
/// Ranges or a state that are not as said.
///
/// Source: Govaerts 2000, chapter 4; Kuznetsov 2004, section 10.3.
pub fn fold_curves<P: Parametric>(
    plane: &P,
    folds: &[&Special],
    second: f64,
    ranges: [(f64, f64); 2],
    settings: &Settings,
    stop: &AtomicBool,
) -> Result<(Vec<FoldCurve>, Vec<usize>)> {
    let n = plane.dimension();
    for (low, high) in ranges {
        let found = format!("{low}, {high}");
        require(
            low < high && (high - low).is_finite(),
            "range",
            "two finite numbers, the lower first",
            found,
        )?;
    }
    Settings { range: ranges[0], ..settings.clone() }.check()?;
    let (mut curves, mut failed) = (Vec::new(), Vec::new());
    let mut known: Vec<Vec<(Node, Null)>> = Vec::new();
    for (k, fold) in folds.iter().enumerate() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        require(fold.x.len() == n, "fold", format!("a state of {n} numbers"), fold.x.len())?;
        let field = Field::new(plane, &ranges);
        let y = field.units.y(&fold.x, &[fold.mu, second]);
        let passed = |nodes: &Vec<(Node, Null)>| {
            nodes.windows(2).any(|pair| {
                let curve = Folds { field: field.clone(), weights: metric(n, 2), borders: pair[0].1.clone() };
                trace::passes(&curve, &pair[0].0, &pair[1].0, &y, settings.tolerance)
            })
        };
        if known.iter().any(passed) {
            continue;
        }
        match fold_curve(plane, fold, second, ranges, settings, stop) {
            Some((curve, nodes)) => {
                curves.push(curve);
                known.push(nodes);
            }
            None => failed.push(k),
        }
    }
    Ok((curves, failed))
}

/// One curve, and its points with the borders there.
fn fold_curve<P: Parametric>(
    plane: &P,
    fold: &Special,
    second: f64,
    ranges: [(f64, f64); 2],
    settings: &Settings,
    stop: &AtomicBool,
) -> Option<(FoldCurve, Vec<(Node, Null)>)> {
    let n = plane.dimension();
    let v = (0..n).map(|i| 1.0 + 0.1 * (i as f64).sin()).collect();
    let slice = Slice { plane, second };
    let one = One(&slice);
    let field = Field::new(plane, &ranges);
    let units = field.units.clone();
    let mut y = units.y(&fold.x, &[fold.mu, second]);
    let nu = y.pop()?;
    let located = singular(&Field::new(&one, &ranges[..1]), &y, Wanted::Zero, Null::start(v))?;
    y = located.y;
    y.push(nu);
    let mut curve = Folds { field, weights: metric(n, 2), borders: located.null };
    // The curve is transversal to the slice, or else to a line of equal mu_1.
    let start = trace::at_value(&curve, &y, n + 1, settings.tolerance)
        .or_else(|| trace::at_value(&curve, &y, n, settings.tolerance))?;
    let borders = curve.borders.clone();
    let (ahead, end) = walk(&mut curve, &start, n, settings, &[stop]);
    let mut nodes = Vec::new();
    let mut begin = End::Closed;
    if end != End::Closed {
        curve.borders = borders.clone();
        let behind;
        (behind, begin) = walk(&mut curve, &turned(start.clone(), -1.0), n, settings, &[stop]);
        nodes.extend(behind.into_iter().rev().map(|node| turned(node, -1.0)));
    }
    let at_start = nodes.len();
    nodes.push(start);
    nodes.extend(ahead);
    let count = nodes.len();
    if end == End::Closed {
        nodes.push(nodes[0].clone());
    }
    curve.borders = borders;
    let (coefficients, borders) = along(&mut curve, &nodes, at_start);
    let point = |node: &Node, a: f64| FoldPoint {
        mu: [units.mu(0, node.y[n]), units.mu(1, node.y[n + 1])],
        x: units.x(&node.y),
        a: a / units.size,
        tangent: units.along(&node.tangent),
    };
    let mut special = Vec::new();
    for k in 0..nodes.len() - 1 {
        for (which, name) in [(0, Codimension::Cusp), (1, Codimension::DoubleZero)] {
            let ends = [coefficients[k][which], coefficients[k + 1][which]];
            if ends[0] * ends[1] < 0.0 {
                curve.borders = borders[k].clone();
                if let Some(node) = root(&curve, &nodes[k], &nodes[k + 1], settings.tolerance, which) {
                    let a = curve.coefficients(&node.y)[0];
                    special.push((name, k, point(&node, a)));
                }
            }
        }
    }
    let points = zip(&nodes, &coefficients).take(count).map(|(node, [a, _])| point(node, *a)).collect();
    let curve = FoldCurve { points, special, ends: [begin, end], metric: units.metric(n) };
    Some((curve, zip(nodes, borders).collect()))
}

/// (a, w v) and null vectors at every node; the vectors turn with the curve.
fn along(curve: &mut Folds<'_>, nodes: &[Node], start: usize) -> (Vec<[f64; 2]>, Vec<Null>) {
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
fn root(curve: &Folds<'_>, p: &Node, q: &Node, tolerance: f64, which: usize) -> Option<Node> {
    let value = |at: f64| {
        let node = inner(curve, p, q, at, tolerance)?;
        let value = curve.coefficients(&node.y)[which];
        Some((node, value))
    };
    let (mut low, mut high) = (0.0, 1.0);
    let (mut a, mut b) = (curve.coefficients(&p.y)[which], curve.coefficients(&q.y)[which]);
    let mut side = 0;
    let mut best: Option<(Node, f64)> = None;
    for _ in 0..60 {
        let at = (low * b - high * a) / (b - a);
        let (node, new) = value(at)?;
        let step = best.as_ref().map_or(f64::INFINITY, |(known, _)| largest(&moved(&known.y, -1.0, &node.y)));
        if best.as_ref().is_none_or(|(_, known)| new.abs() <= known.abs()) {
            best = Some((node, new));
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
    best.map(|(node, _)| node)
}
