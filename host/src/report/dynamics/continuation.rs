//! The figures of a continuation: bifurcation diagram and fold curves.

use kuva::plot::{LegendPosition, LineStyle, MarkerShape, ScatterPlot};
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;

use super::STATE;
use crate::dynamics::continuation::{Bifurcation, Branch, Codimension, Diagram, FoldCurve};
use crate::format::results::Results;
use crate::report::figures::{COLOURS, Figure, colour, columns, grid, layout, line};

/// What is drawn of a state.
pub struct Readout<'a> {
    /// Names of the outputs; without any the first principal component is drawn.
    pub names: Vec<String>,
    /// The outputs at (x, mu).
    pub of: &'a dyn Fn(&[f64]) -> Vec<f64>,
}

/// Pieces of a branch between its points.
const PARTS: usize = 6;
/// Most outputs that are drawn.
const OUTPUTS: usize = 2;

const KINDS: [(Bifurcation, MarkerShape, &str); 7] = [
    (Bifurcation::Fold, MarkerShape::Circle, "#d55e00"),
    (Bifurcation::Transcritical, MarkerShape::Cross, "#000000"),
    (Bifurcation::Pitchfork, MarkerShape::Plus, "#000000"),
    (Bifurcation::Hopf, MarkerShape::Diamond, "#009e73"),
    (Bifurcation::Flip, MarkerShape::Triangle, "#cc79a7"),
    (Bifurcation::NeimarkSacker, MarkerShape::Square, "#009e73"),
    (Bifurcation::Multiple, MarkerShape::Star, "#000000"),
];

/// The bifurcation diagram: every output, or the first principal component, against mu; where the bifurcations are close
/// to each other a second panel shows them near.
#[must_use]
pub fn figures(diagram: &Diagram, parameter: &str, readout: &Readout<'_>) -> Vec<Figure> {
    let component = principal(diagram);
    let mut panels = Vec::new();
    let shown = readout.names.len().min(OUTPUTS);
    let mus = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::MAX, f64::MIN), |(low, high), mu| (low.min(mu), high.max(mu)))
    };
    let (low, high) = mus(&mut diagram.branches.iter().flat_map(|b| &b.points).map(|point| point.mu));
    let (first, last) = mus(&mut diagram.branches.iter().flat_map(|b| &b.special).map(|special| special.mu));
    // Symmetric branches have the same points but for rounding.
    let near = (1e-6..0.3).contains(&((last - first) / (high - low)));
    for k in 0..shown.max(1) {
        let value = |y: &[f64]| {
            if shown == 0 { component.iter().zip(y).map(|(c, x)| c * x).sum() } else { (readout.of)(y)[k] }
        };
        let name = if shown == 0 { "principal component 1" } else { &readout.names[k] };
        panels.push(panel(diagram, parameter, name, &value, None, !near && k + 1 == shown.max(1)));
        if near {
            let margin = 0.3 * (last - first);
            let window = (first - margin, last + margin);
            panels.push(panel(diagram, parameter, name, &value, Some(window), k + 1 == shown.max(1)));
        }
    }
    let points: Vec<String> = KINDS
        .iter()
        .filter_map(|(kind, ..)| {
            let all = diagram.branches.iter().flat_map(|branch| &branch.special);
            let mus: Vec<String> = all
                .filter(|special| special.kind == *kind)
                .map(|special| format!("{:.5}", special.mu))
                .collect();
            (!mus.is_empty()).then(|| format!("{} at {parameter} = {}", kind.name(), mus.join(", ")))
        })
        .collect();
    let caption = format!(
        "Fixed points against {parameter}: stable (solid) and unstable (dashed). {} branches; {}.",
        diagram.branches.len(),
        if points.is_empty() { "no bifurcation".into() } else { points.join("; ") }
    );
    vec![Figure {
        name: "bifurcations",
        caption,
        scene: columns(panels, if near { 2 } else { shown.max(1) }, 380.0),
    }]
}

/// The pieces of a branch of one stability: points and whether they are stable.
fn pieces(branch: &Branch, value: &dyn Fn(&[f64]) -> f64) -> Vec<(Vec<(f64, f64)>, bool)> {
    let mut out: Vec<(Vec<(f64, f64)>, bool)> = Vec::new();
    let place = |y: &[f64]| (y[y.len() - 1], value(y));
    let count = branch.points.len();
    for k in 0..if branch.is_closed() { count } else { count - 1 } {
        let states = branch.between(k, PARTS);
        let mut index = branch.points[k].index as i32;
        let mut specials = branch.special.iter().filter(|special| special.after == k).peekable();
        let [from, to] = [&states[0], &states[PARTS]];
        let along = |y: &[f64]| (0..y.len()).map(|i| (to[i] - from[i]) * (y[i] - from[i])).sum::<f64>();
        let mut add = |y: &[f64], index: i32| {
            let stable = index == 0;
            match out.last_mut() {
                Some((points, same)) if *same == stable => points.push(place(y)),
                Some((points, _)) => {
                    let last = points.last().copied();
                    out.push((last.into_iter().chain([place(y)]).collect(), stable));
                }
                None => out.push((vec![place(y)], stable)),
            }
        };
        for state in &states {
            while let Some(special) = specials.next_if(|special| {
                let mut y = special.x.clone();
                y.push(special.mu);
                along(&y) <= along(state)
            }) {
                let mut y = special.x.clone();
                y.push(special.mu);
                add(&y, index);
                index += special.change;
            }
            add(state, index);
        }
    }
    out
}

/// Dashes of a line, of equal length on a panel of size `scale`: a plotter's own begin anew at every point of a line.
fn dashes(points: &[(f64, f64)], scale: (f64, f64)) -> Vec<Vec<(f64, f64)>> {
    const DASH: f64 = 0.014;
    const GAP: f64 = 0.011;
    let mut out = vec![vec![points[0]]];
    let (mut on, mut left) = (true, DASH);
    for pair in points.windows(2) {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        let length = ((x1 - x0) / scale.0).hypot((y1 - y0) / scale.1);
        let mut done = 0.0;
        while length - done > left {
            done += left;
            let at = done / length;
            let point = (x0 + at * (x1 - x0), y0 + at * (y1 - y0));
            if on {
                out.last_mut().expect("begun").push(point);
            } else {
                out.push(vec![point]);
            }
            on = !on;
            left = if on { DASH } else { GAP };
        }
        left -= length - done;
        if on {
            out.last_mut().expect("begun").push((x1, y1));
        }
    }
    out.retain(|dash| dash.len() > 1);
    out
}

/// The parts of a line between two values of x, cut there: it may leave and come back.
fn clipped(points: &[(f64, f64)], (low, high): (f64, f64)) -> Vec<Vec<(f64, f64)>> {
    let mut out: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut joined = false;
    for pair in points.windows(2) {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        let [a, b] = [low, high].map(|x| (x - x0) / (x1 - x0));
        let inside = |x: f64| (low..=high).contains(&x);
        let (from, to) =
            if inside(x0) && inside(x1) { (0.0, 1.0) } else { (a.min(b).max(0.0), a.max(b).min(1.0)) };
        if from < to {
            let place = |at: f64| (x0 + at * (x1 - x0), y0 + at * (y1 - y0));
            if !joined || from > 0.0 {
                out.push(vec![place(from)]);
            }
            out.last_mut().expect("begun").push(place(to));
        }
        joined = from < to && to == 1.0;
    }
    out
}

/// A panel of a value of (x, mu) against mu, in a window of it.
pub(super) fn panel(
    diagram: &Diagram,
    parameter: &str,
    name: &str,
    value: &dyn Fn(&[f64]) -> f64,
    window: Option<(f64, f64)>,
    legend: bool,
) -> (Vec<Plot>, Layout) {
    let (low, high) = window.unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
    let mut plots = Vec::new();
    let mut named = [!legend; 2];
    let pieces = diagram.branches.iter().flat_map(|branch| pieces(branch, value));
    let runs: Vec<(Vec<(f64, f64)>, bool)> = pieces
        .flat_map(|(points, stable)| clipped(&points, (low, high)).into_iter().map(move |run| (run, stable)))
        .collect();
    let size = |axis: fn(&(f64, f64)) -> f64| {
        let values = runs.iter().flat_map(|(run, _)| run.iter().map(axis));
        let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), at| (low.min(at), high.max(at)));
        (high - low).max(f64::MIN_POSITIVE)
    };
    let scale = (size(|point| point.0), size(|point| point.1));
    for (run, stable) in &runs {
        let lines = if *stable { vec![run.clone()] } else { dashes(run, scale) };
        for points in lines {
            let drawn = line(points, colour(0), 1.8);
            let first = !std::mem::replace(&mut named[usize::from(*stable)], true);
            // The legend shows a style, which would cut the other dashes again.
            plots.push(Plot::Line(match (first, *stable) {
                (false, _) => drawn,
                (true, true) => drawn.with_legend("stable"),
                (true, false) => drawn.with_line_style(LineStyle::Dashed).with_legend("unstable"),
            }));
        }
    }
    for (kind, marker, ink) in KINDS {
        let all = diagram.branches.iter().flat_map(|branch| &branch.special);
        let points: Vec<(f64, f64)> = all
            .filter(|special| special.kind == kind && (low..=high).contains(&special.mu))
            .map(|special| {
                let mut y = special.x.clone();
                y.push(special.mu);
                (special.mu, value(&y))
            })
            .collect();
        if !points.is_empty() {
            let marks =
                ScatterPlot::new().with_data(points).with_color(ink).with_marker(marker).with_size(3.8);
            plots.push(Plot::Scatter(if legend { marks.with_legend(kind.name()) } else { marks }));
        }
    }
    let layout =
        layout(&plots, parameter, name).with_ticks(4).with_legend_position(LegendPosition::OutsideRightTop);
    let layout = match window {
        Some(_) => layout.with_x_axis_min(low).with_x_axis_max(high).with_title("near the bifurcations"),
        None => layout,
    };
    (plots, layout)
}

/// The first principal component of all points, for (x, mu) with 0 for mu.
fn principal(diagram: &Diagram) -> Vec<f64> {
    let points: Vec<&[f64]> =
        diagram.branches.iter().flat_map(|branch| &branch.points).map(|point| point.x.as_slice()).collect();
    let n = points.first().map_or(0, |x| x.len());
    let mean: Vec<f64> =
        (0..n).map(|i| points.iter().map(|x| x[i]).sum::<f64>() / points.len() as f64).collect();
    // Power iteration on the covariance.
    let mut v: Vec<f64> = (0..n).map(|i| 1.0 + 0.5 * (i as f64).sin()).collect();
    for _ in 0..200 {
        let mut next = vec![0.0; n];
        for x in &points {
            let share: f64 = (0..n).map(|i| (x[i] - mean[i]) * v[i]).sum();
            (0..n).for_each(|i| next[i] += share * (x[i] - mean[i]));
        }
        let length = next.iter().map(|x| x * x).sum::<f64>().sqrt();
        if length == 0.0 {
            break;
        }
        v = next.into_iter().map(|x| x / length).collect();
    }
    v
}

/// The fold curves with their cusps.
#[must_use]
pub fn fold_curves(curves: &[FoldCurve], first: &str, second: &str) -> Option<Figure> {
    let mut plots = Vec::new();
    for (k, curve) in curves.iter().enumerate() {
        let pieces = curve.points.len() - usize::from(!curve.is_closed());
        let points = (0..pieces).flat_map(|k| curve.between(k, PARTS)).map(|mu| (mu[0], mu[1])).collect();
        let style = match k / COLOURS.len() {
            0 => LineStyle::Solid,
            1 => LineStyle::Dashed,
            _ => LineStyle::Dotted,
        };
        let drawn = line(points, colour(k), 1.8).with_line_style(style);
        plots.push(Plot::Line(drawn.with_legend(format!("fold curve {}", k + 1))));
    }
    for (kind, marker) in
        [(Codimension::Cusp, MarkerShape::Diamond), (Codimension::DoubleZero, MarkerShape::Square)]
    {
        let all = curves.iter().flat_map(|curve| &curve.special);
        let points: Vec<(f64, f64)> =
            all.filter(|special| special.0 == kind).map(|(.., point)| (point.mu[0], point.mu[1])).collect();
        if !points.is_empty() {
            let marks =
                ScatterPlot::new().with_data(points).with_color("#000000").with_marker(marker).with_size(5.0);
            plots.push(Plot::Scatter(marks.with_legend(kind.name())));
        }
    }
    if plots.is_empty() {
        return None;
    }
    let layout = layout(&plots, first, second).with_legend_position(LegendPosition::OutsideRightTop);
    let caption = format!(
        "Curves of folds in {first} and {second}: on crossing one, two fixed points appear or vanish; at a cusp two folds meet."
    );
    Some(Figure { name: "fold-curves", caption, scene: grid(vec![(plots, layout)], 420.0) })
}

/// Branches, bifurcations and fold curves as arrays: a row a point, with the number of its branch or curve.
#[must_use]
pub fn arrays(diagram: &Diagram, curves: &[FoldCurve], readout: &Readout<'_>, complete: bool) -> Results {
    let mut all = Results::new("dynamics continue", complete);
    let rows = || {
        diagram.branches.iter().enumerate().flat_map(|(k, b)| b.points.iter().map(move |point| (k, point)))
    };
    let n = rows().next().map_or(0, |(_, point)| point.x.len());
    let (row, neuron) = (("row", rows().count()), ("neuron", n));
    all.add("branch", &[row], "-", "number of the branch of a row", rows().map(|row| row.0).collect());
    let mus = rows().map(|row| row.1.mu).collect();
    all.add("mu", &[row], "-", "parameter; the rows of a branch follow it", mus);
    let states = rows().flat_map(|row| row.1.x.iter().copied()).collect();
    all.add("states", &[row, neuron], STATE, "fixed points x; of cycles their first points", states);
    let index = rows().map(|row| row.1.index).collect();
    all.add("index", &[row], "-", "number of unstable directions; 0: stable", index);
    let read = |x: &[f64], mu: f64| (readout.of)(&[x, &[mu]].concat());
    let outputs = rows().flat_map(|row| read(&row.1.x, row.1.mu)).collect();
    let output = ("output", readout.names.len());
    all.add("outputs", &[row, output], STATE, "outputs at the fixed points", outputs);
    all.names("output", readout.names.iter().map(String::as_str));

    all.names("bifurcation", KINDS.iter().map(|(kind, ..)| kind.name()));
    let special = || {
        let all = diagram.branches.iter().enumerate();
        all.flat_map(|(k, branch)| branch.special.iter().map(move |special| (k, special)))
    };
    let row = ("bifurcation", special().count());
    let branches = special().map(|row| row.0).collect();
    all.add("bifurcation_branch", &[row], "-", "number of the branch of a bifurcation", branches);
    let number = |kind: Bifurcation| KINDS.iter().position(|known| known.0 == kind).unwrap_or(KINDS.len());
    let kinds = special().map(|row| number(row.1.kind)).collect();
    all.add("bifurcation_kind", &[row], "-", "number of its kind among the names of bifurcations", kinds);
    let mus = special().map(|row| row.1.mu).collect();
    all.add("bifurcation_mu", &[row], "-", "its parameter", mus);
    let states = special().flat_map(|row| row.1.x.iter().copied()).collect();
    all.add("bifurcation_states", &[row, neuron], STATE, "its state", states);

    let rows = || curves.iter().enumerate().flat_map(|(k, c)| c.points.iter().map(move |point| (k, point)));
    let row = ("fold", rows().count());
    let of = rows().map(|row| row.0).collect();
    all.add("fold_curve", &[row], "-", "number of the curve of folds of a row", of);
    let mus = rows().flat_map(|row| row.1.mu).collect();
    all.add("fold_mu", &[row, ("parameter", 2)], "-", "both parameters of a fold", mus);
    let states = rows().flat_map(|row| row.1.x.iter().copied()).collect();
    all.add("fold_states", &[row, neuron], STATE, "its state", states);
    all
}
