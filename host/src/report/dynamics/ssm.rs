//! The figure of a spectral submanifold: its reduced dynamics and where they hold.

use faer::c64;
use kuva::plot::{LegendPosition, ScatterPlot};
use kuva::render::annotations::{ReferenceLine, ShadedRegion};
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;

use super::{STATE, time_unit};
use crate::dynamics::Kind;
use crate::dynamics::ssm::{BackbonePoint, Chart, Predictions, Study};
use crate::format::results::{Numbers, Results};
use crate::report::dynamics::continuation::panel;
use crate::report::figures::{
    COLOURS, Figure, GREY, TARGET, colour, grid, layout, line, log_y, with_powers_of_ten,
};

/// The figure: R(p) with its roots, residual against p for several orders; of a parameter the branches with their
/// bifurcations; of a pair the backbone. parameter: its name.
#[must_use]
pub fn figure(study: &Study, parameter: Option<&str>) -> Figure {
    let mut cells = vec![reduced(study)];
    if !study.branch.is_empty() {
        cells.push(branch(study, parameter));
    }
    if let Some(predictions) = &study.predictions {
        let first = |y: &[f64]| y[0];
        cells.push(panel(
            &predictions.diagram,
            parameter.unwrap_or("mu"),
            "p1 of fixed points",
            &first,
            None,
            true,
        ));
    }
    if study.backbone.is_some() {
        cells.extend([backbone(study, true), backbone(study, false)]);
        cells.remove(0);
    }
    cells.push(residuals(study, cells.len() < 2));
    let radius = study.radius.map_or("the series ends".into(), |radius| format!("{radius:.3}"));
    let first = match study.chart {
        _ if study.backbone.is_some() => {
            "Left and middle: frequency and damping of the oscillation against its amplitude (the largest \
             distance from the fixed point)."
        }
        Chart::PlaneParameter => {
            "Left: the reduced dynamics along the first coordinate at the parameter of the anchor. Middle: predicted fixed points against \
             the parameter, stable (solid) and unstable (dashed), with the predicted bifurcations."
        }
        Chart::Parameter => {
            "Left: the reduced dynamics at the parameter of the anchor, with predicted fixed points (filled stable, open \
             unstable along p, grey outside the domain, which is shaded). Middle: predicted fixed points against the \
             parameter, folds marked, in grey outside the domain."
        }
        _ => {
            "Left: the reduced dynamics with predicted fixed points (filled stable, open unstable along p, grey outside \
             the domain, which is shaded)."
        }
    };
    let caption = format!(
        "Spectral submanifold of order {}. {first} Right: the residual of the invariance equation against the (first) coordinate, by order; dashed the tolerance {:.0e}. Estimated radius of convergence: {radius}.",
        study.order, study.tolerance
    );
    Figure { name: "ssm", caption, scene: grid(cells, 340.0) }
}

fn dots(points: Vec<(f64, f64)>, colour: &str) -> Plot {
    Plot::Scatter(ScatterPlot::new().with_data(points).with_color(colour).with_size(4.5))
}

fn reduced(study: &Study) -> (Vec<Plot>, Layout) {
    let mut plots = vec![Plot::Line(line(study.reduced.clone(), colour(0), 2.0))];
    let stable = |value: [f64; 2]| match study.kind {
        Kind::Flow => value[0] < 0.0,
        Kind::Map => value[0].hypot(value[1]) < 1.0,
    };
    // Of two coordinates the curve is a section, which passes only through roots of the first axis.
    let on_curve = study.roots.iter().filter(|root| root.p.get(1).is_none_or(|p| p.abs() < 1e-9));
    let (inside, outside): (Vec<_>, Vec<_>) = on_curve.partition(|root| study.holds(root.residual));
    let (filled, open): (Vec<_>, Vec<_>) = inside.into_iter().partition(|root| stable(root.eigenvalues[0]));
    let places = |roots: Vec<&crate::dynamics::ssm::Root>| {
        roots.iter().map(|root| (root.p[0], 0.0)).collect::<Vec<_>>()
    };
    let (filled, open) = (places(filled), places(open));
    for (points, ink) in [(places(outside), TARGET), (filled, COLOURS[2])] {
        if !points.is_empty() {
            plots.push(dots(points, ink));
        }
    }
    if !open.is_empty() {
        plots.push(dots(open.clone(), COLOURS[1]));
        let inner = ScatterPlot::new().with_data(open).with_color("#fffffe").with_size(2.5);
        plots.push(Plot::Scatter(inner));
    }
    let name = if study.kind == Kind::Map { "R(p) - p" } else { "R(p)" };
    let mut layout = layout(&plots, "p", name)
        .with_ticks(5)
        .with_reference_line(ReferenceLine::horizontal(0.0).with_color(GREY));
    let [down, up] = study.span().map(|side| side.distance.min(study.reach()));
    if down + up > 0.0 {
        let domain = ShadedRegion::vertical(-down, up).with_color(COLOURS[0]).with_opacity(0.08);
        layout = layout.with_shaded_region(domain);
    }
    (plots, layout)
}

fn branch(study: &Study, parameter: Option<&str>) -> (Vec<Plot>, Layout) {
    let mut plots = vec![Plot::Line(line(study.branch.clone(), colour(0), 2.0))];
    let places: Vec<f64> = study.branch.iter().map(|point| point.1).collect();
    let (least, most) = places.iter().fold((f64::MAX, f64::MIN), |(a, b), &p| (a.min(p), b.max(p)));
    let folds = study.folds.iter().filter(|fold| (least..=most).contains(&fold.p));
    let (inside, outside): (Vec<_>, Vec<_>) = folds.partition(|fold| study.holds(fold.residual));
    for (folds, ink) in [(outside, TARGET), (inside, COLOURS[1])] {
        if !folds.is_empty() {
            plots.push(dots(folds.iter().map(|fold| (fold.mu, fold.p)).collect(), ink));
        }
    }
    let layout = layout(&plots, parameter.unwrap_or("mu"), "p of fixed points").with_ticks(4);
    (plots, layout)
}

fn backbone(study: &Study, frequency: bool) -> (Vec<Plot>, Layout) {
    let points = study.backbone.iter().flat_map(|backbone| &backbone.points);
    let points: Vec<(f64, f64)> = points
        .filter(|point| point.residual < 1e-2)
        .map(|point| (if frequency { point.frequency } else { point.damping }, point.amplitude))
        .collect();
    let plots = vec![Plot::Line(line(points, colour(usize::from(!frequency)), 2.0))];
    let layout =
        layout(&plots, if frequency { "frequency" } else { "growth rate" }, "amplitude").with_ticks(4);
    (plots, layout)
}

fn residuals(study: &Study, wide: bool) -> (Vec<Plot>, Layout) {
    let mut exponents = vec![study.tolerance.log10()];
    let mut plots = Vec::new();
    for (k, curve) in study.residuals.iter().enumerate() {
        let shown = curve.points.iter().copied().filter(|point| point.1 < 1e2);
        // Below this it is rounding, and would stretch the axis.
        let points = log_y(shown.map(|(p, residual)| (p, residual.max(1e-17))));
        if points.is_empty() {
            continue;
        }
        exponents.extend(points.iter().map(|point| point.1));
        plots.push(Plot::Line(line(points, colour(k), 1.8).with_legend(&curve.name)));
    }
    let layout = layout(&plots, "p", "residual")
        .with_ticks(5)
        .with_legend_position(if wide {
            LegendPosition::OutsideRightTop
        } else {
            LegendPosition::InsideBottomRight
        })
        .with_reference_line(ReferenceLine::horizontal(study.tolerance.log10()).with_color(GREY));
    let layout = with_powers_of_ten(layout, exponents.into_iter());
    (plots, layout)
}

/// The curves of the figure as arrays.
#[must_use]
pub fn arrays(study: &Study) -> Results {
    let mut all = Results::new("dynamics ssm", true);
    let per = format!("per {}", time_unit(study.kind));
    let pairs = |all: &mut Results, counted: &str, values: &[(f64, f64)], told: [[&str; 3]; 2]| {
        let firsts = values.iter().map(|value| value.0).collect();
        let seconds = values.iter().map(|value| value.1).collect();
        for ([name, unit, meaning], numbers) in told.into_iter().zip([firsts, seconds]) {
            all.add(name, &[(counted, values.len())], unit, meaning, numbers);
        }
    };
    let complex = |[re, im]: [f64; 2]| c64::new(re, im);
    let modes = ("mode", study.eigenvalues.len());
    let values: Numbers = study.eigenvalues.iter().map(|&value| complex(value)).collect();
    all.add(
        "eigenvalues",
        &[modes],
        &per,
        "eigenvalues at the fixed point, slowest first, at most 12",
        values,
    );
    all.add(
        "anchor",
        &[("neuron", study.anchor.len())],
        STATE,
        "fixed point x0",
        study.anchor.iter().copied().collect(),
    );
    let coordinates = study.chart.states() + usize::from(study.chart.moves());
    let (term, terms) = (("term", study.coefficients.len()), &study.coefficients);
    let powers = terms.iter().flat_map(|term| term.powers[..coordinates].iter().copied()).collect();
    let meaning = "powers of the coordinates in a term of W and R, of a complex pair z and its conjugate; with a \
                   parameter the last is its change";
    all.add("powers", &[term, ("coordinate", coordinates)], "-", meaning, powers);
    let values: Numbers = study.manifold.iter().flatten().copied().collect();
    let meaning = "coefficients of W: x = x0 + their sum, each times the coordinates to its powers";
    all.add("manifold", &[term, ("neuron", study.anchor.len())], STATE, meaning, values);
    let rates = ("rate", terms.first().map_or(0, |term| term.values.len()));
    let values: Numbers =
        terms.iter().flat_map(|term| term.values.iter().map(|&value| complex(value))).collect();
    let meaning = "coefficients of R, in the same terms: the flow dp/dt, or the next p of a map; of a complex pair that of z";
    all.add("dynamics", &[term, rates], &per, meaning, values);
    let of = if study.kind == Kind::Map { "R(p) - p" } else { "R(p)" };
    let told = [["p", "-", "places along the first coordinate"], ["speed", &per, of]];
    pairs(&mut all, "place", &study.reduced, told);
    let root = ("root", study.roots.len());
    let dimension = study.roots.first().map_or(0, |root| root.p.len());
    let n = study.roots.first().map_or(0, |root| root.x.len());
    let places = study.roots.iter().flat_map(|root| root.p.iter().copied()).collect();
    all.add("root_p", &[root, ("coordinate", dimension)], "-", "predicted fixed points", places);
    let states = study.roots.iter().flat_map(|root| root.x.iter().copied()).collect();
    all.add("root_states", &[root, ("neuron", n)], STATE, "their states W(p)", states);
    let residuals = study.roots.iter().map(|root| root.residual).collect();
    let meaning = "residual of the invariance equation there; above the tolerance: outside the domain";
    all.add("root_residual", &[root], "-", meaning, residuals);
    let residuals = || study.residuals.iter().enumerate();
    let row = ("row", residuals().map(|curve| curve.1.points.len()).sum());
    all.names("residual", study.residuals.iter().map(|curve| curve.name.as_str()));
    let curves = residuals().flat_map(|(k, curve)| curve.points.iter().map(move |_| k)).collect();
    all.add("residual_curve", &[row], "-", "number of the curve of residuals of a row", curves);
    let places = residuals().flat_map(|curve| curve.1.points.iter().map(|point| point.0)).collect();
    all.add("residual_p", &[row], "-", "place along the first coordinate", places);
    let values = residuals().flat_map(|curve| curve.1.points.iter().map(|point| point.1)).collect();
    all.add("residual", &[row], "-", "residual of the invariance equation there", values);
    if !study.branch.is_empty() {
        let told = [["branch_mu", "-", "parameter, its value"], ["branch_p", "-", "predicted fixed point"]];
        pairs(&mut all, "branch", &study.branch, told);
        let folds: Vec<(f64, f64)> = study.folds.iter().map(|fold| (fold.mu, fold.p)).collect();
        let told = [["fold_mu", "-", "parameter at a predicted fold"], ["fold_p", "-", "its place"]];
        pairs(&mut all, "fold", &folds, told);
        let residuals = study.folds.iter().map(|fold| fold.residual).collect();
        all.add(
            "fold_residual",
            &[("fold", folds.len())],
            "-",
            "residual of the invariance equation there",
            residuals,
        );
    }
    if let Some(predictions) = &study.predictions {
        predicted(&mut all, predictions, study.anchor.len());
    }
    if let Some(backbone) = &study.backbone {
        let point = ("amplitude", backbone.points.len());
        let radians = format!("radians {per}");
        let of =
            |value: fn(&BackbonePoint) -> f64| -> Numbers { backbone.points.iter().map(value).collect() };
        let amplitude = of(|point| point.amplitude);
        all.add("amplitude", &[point], STATE, "largest distance from the fixed point", amplitude);
        let frequency = of(|point| point.frequency);
        all.add("frequency", &[point], &radians, "frequency of the oscillation", frequency);
        all.add("damping", &[point], &per, "its growth rate", of(|point| point.damping));
    }
    all
}

/// What two coordinates and the parameter predict.
fn predicted(all: &mut Results, predictions: &Predictions, n: usize) {
    let branches = predictions.diagram.branches.iter().enumerate();
    let points: Vec<_> =
        branches.flat_map(|(k, branch)| branch.points.iter().map(move |point| (k, point))).collect();
    let (point, coordinate) = (("point", points.len()), ("coordinate", 2));
    let of = points.iter().map(|row| row.0).collect();
    all.add("branch", &[point], "-", "number of the branch of predicted fixed points of a row", of);
    let mus = points.iter().map(|row| row.1.mu).collect();
    all.add("branch_mu", &[point], "-", "parameter, its value", mus);
    let places = points.iter().flat_map(|row| row.1.x.iter().copied()).collect();
    all.add("branch_p", &[point, coordinate], "-", "predicted fixed points", places);
    let index = points.iter().map(|row| row.1.index).collect();
    all.add("branch_index", &[point], "-", "directions of the two that are unstable", index);
    let found = &predictions.bifurcations;
    let row = ("bifurcation", found.len());
    let mut names: Vec<&str> = found.iter().map(|found| found.kind.name()).collect();
    names.sort_unstable();
    names.dedup();
    let kinds = found.iter().map(|found| names.iter().position(|name| *name == found.kind.name()));
    let kinds = kinds.map(|kind| kind.map_or(-1, |kind| kind as i64)).collect();
    all.add("bifurcation_kind", &[row], "-", "number of its kind among the names of bifurcations", kinds);
    all.names("bifurcation", names.iter().copied());
    let mus = found.iter().map(|found| found.mu).collect();
    all.add("bifurcation_mu", &[row], "-", "parameter at a predicted bifurcation", mus);
    let places = found.iter().flat_map(|found| found.p.iter().copied()).collect();
    all.add("bifurcation_p", &[row, coordinate], "-", "its place", places);
    let states = found.iter().flat_map(|found| found.x.iter().copied()).collect();
    all.add("bifurcation_states", &[row, ("neuron", n)], STATE, "its state W", states);
    let residuals = found.iter().map(|found| found.residual).collect();
    all.add("bifurcation_residual", &[row], "-", "residual of the invariance equation there", residuals);
}
