//! The figure of a manifold learnt from trajectories.

use faer::Mat;
use kuva::plot::{LegendPosition, ScatterPlot};
use kuva::render::annotations::ReferenceLine;
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;

use super::STATE;
use crate::dynamics::slow_manifold::Learnt;
use crate::format::results::{Numbers, Results, rows};
use crate::report::figures::{COLOURS, Figure, GREY, colour, grid, layout, line, log_y, with_powers_of_ten};
use crate::report::text::scientific;

/// Held-out trajectories that are drawn.
const SHOWN: usize = 12;
/// Places of a curve.
const PLACES: usize = 400;
type Panel = (Vec<Plot>, Layout);

/// The reduced dynamics with its roots or, of two coordinates, the paths in their plane; paths against time; the error of
/// every degree.
///
/// unit: of time, in words.
#[must_use]
pub fn figure(learnt: &Learnt, unit: &str) -> Figure {
    let line = learnt.manifold.domain.ranges.len() == 1;
    let first = if line { speeds(learnt, unit) } else { plane(learnt) };
    let left = if line {
        "Left: the reduced dynamics with its roots (filled stable, open unstable) and the places of the network's fixed \
         points (grey lines)."
    } else {
        "Left: trajectories held out (grey) and predicted (colour) in the plane of the two coordinates; black: fixed points \
         of the network."
    };
    let caption = format!(
        "A slow manifold learnt from trajectories, of degree {}. {left} Middle: the first coordinate of trajectories held out (grey) and as predicted from their first sample (colour). Right: error on the trajectories held out, by degree; the chosen one filled: NMTE {}.",
        learnt.degree,
        scientific(learnt.nmte)
    );
    Figure { name: "fit", caption, scene: grid(vec![first, paths(learnt, unit), errors(learnt)], 330.0) }
}

fn dots(points: Vec<(f64, f64)>, colour: &str, size: f64) -> Plot {
    Plot::Scatter(ScatterPlot::new().with_data(points).with_color(colour).with_size(size))
}

fn speeds(learnt: &Learnt, unit: &str) -> Panel {
    let range = learnt.manifold.domain.ranges[0];
    let curve = range.even(PLACES).map(|p| (p, learnt.manifold.speed(&[p])[0])).collect();
    let mut plots = vec![Plot::Line(line(curve, colour(0), 2.0))];
    for (stable, ink) in [(true, COLOURS[2]), (false, COLOURS[1])] {
        let places: Vec<(f64, f64)> =
            learnt.roots.iter().filter(|root| root.stable == stable).map(|root| (root.p, 0.0)).collect();
        if places.is_empty() {
            continue;
        }
        plots.push(dots(places.clone(), ink, 4.5));
        if !stable {
            plots.push(dots(places, "#fffffe", 2.5));
        }
    }
    let mut layout = layout(&plots, "p", &format!("r(p) per {unit}"))
        .with_ticks(5)
        .with_reference_line(ReferenceLine::horizontal(0.0).with_color(GREY));
    for known in learnt.known.iter().filter(|known| known.inside) {
        layout = layout.with_reference_line(ReferenceLine::vertical(known.p[0]).with_color("#b8c0c9"));
    }
    (plots, layout)
}

/// The rows of p as points.
fn points(x: &Mat<f64>, y: &Mat<f64>, row: usize) -> Vec<(f64, f64)> {
    (0..y.ncols()).map(|t| (x[(0, t)], y[(row, t)])).collect()
}

fn plane(learnt: &Learnt) -> Panel {
    let shown = || learnt.paths.iter().take(SHOWN);
    let mut plots: Vec<Plot> = Vec::new();
    plots.extend(shown().map(|(data, _)| Plot::Line(line(points(data, data, 1), "#b8c0c9", 3.0))));
    plots.extend(
        shown()
            .enumerate()
            .map(|(k, (_, p))| Plot::Line(line(points(p, p, 1), colour(k % COLOURS.len()), 1.2))),
    );
    let known: Vec<(f64, f64)> =
        learnt.known.iter().filter(|known| known.inside).map(|known| (known.p[0], known.p[1])).collect();
    if !known.is_empty() {
        plots.push(dots(known, "#1f2328", 4.0));
    }
    let layout = layout(&plots, "p1", "p2").with_ticks(5);
    (plots, layout)
}

fn paths(learnt: &Learnt, unit: &str) -> Panel {
    let interval = learnt.manifold.interval;
    let time = |p: &Mat<f64>| Mat::from_fn(1, p.ncols(), |_, t| t as f64 * interval);
    let mut plots: Vec<Plot> = Vec::new();
    for (k, (data, predicted)) in learnt.paths.iter().take(SHOWN).enumerate() {
        let grey = line(points(&time(data), data, 0), "#b8c0c9", 3.0);
        let ink = line(points(&time(predicted), predicted, 0), colour(k % COLOURS.len()), 1.2);
        plots.extend([Plot::Line(grey), Plot::Line(ink)]);
    }
    let name = if learnt.manifold.domain.ranges.len() == 1 { "p" } else { "p1" };
    let layout = layout(&plots, &format!("time after the cut ({unit}s)"), name).with_ticks(5);
    (plots, layout)
}

fn errors(learnt: &Learnt) -> Panel {
    let all = log_y(learnt.tried.iter().map(|tried| (tried.degree as f64, tried.nmte)));
    let (chosen, others): (Vec<_>, Vec<_>) = all.iter().partition(|point| point.0 == learnt.degree as f64);
    let mut plots = vec![Plot::Line(line(all.clone(), colour(1), 1.8))];
    plots.push(dots(others.clone(), COLOURS[1], 4.0));
    plots.push(dots(others, "#fffffe", 2.2));
    plots.push(dots(chosen, COLOURS[1], 5.0));
    let last = learnt.tried.iter().map(|tried| tried.degree).max().unwrap_or(1) as f64;
    let layout = layout(&plots, "degree", "NMTE on held-out trajectories")
        .with_x_axis_min(0.0)
        .with_x_axis_max(last + 1.0)
        .with_x_tick_step((last / 5.0).ceil())
        .with_legend_position(LegendPosition::OutsideRightTop);
    (plots, with_powers_of_ten(layout, all.iter().map(|point| point.1)))
}

/// The manifold and how it predicts, as arrays; trajectories that are shorter than others end with NaN.
///
/// unit: of time, in words.
#[must_use]
pub fn arrays(learnt: &Learnt, unit: &str, complete: bool) -> Results {
    let mut all = Results::new("dynamics fit", complete);
    let ranges = &learnt.manifold.domain.ranges;
    let coordinate = ("coordinate", ranges.len());
    if let [range] = ranges[..] {
        let places: Vec<f64> = range.even(PLACES).collect();
        let place = ("place", PLACES);
        let speeds = places.iter().map(|&p| learnt.manifold.speed(&[p])[0]).collect();
        let states = learnt.manifold.states(&Mat::from_fn(1, PLACES, |_, k| places[k]));
        let values = rows(&states.transpose().to_owned()).collect();
        all.add("p", &[place], "-", "places along the manifold", places.into_iter().collect());
        all.add("speed", &[place], &format!("per {unit}"), "reduced dynamics r(p)", speeds);
        let by = [place, ("delayed state", states.nrows())];
        all.add("states", &by, STATE, "states x(p) of the manifold", values);
        let root = ("root", learnt.roots.len());
        let places = learnt.roots.iter().map(|root| root.p).collect();
        all.add("root_p", &[root], "-", "places where r is 0", places);
        let slopes = learnt.roots.iter().map(|root| root.slope).collect();
        all.add("root_slope", &[root], &format!("per {unit}"), "dr/dp there", slopes);
    }
    let longest = learnt.paths.iter().map(|path| path.0.ncols()).max().unwrap_or(0);
    let by = [("trial", learnt.paths.len()), ("sample", longest), coordinate];
    let padded = |path: &Mat<f64>| -> Vec<f64> {
        let at = |t: usize, k: usize| if t < path.ncols() { path[(k, t)] } else { f64::NAN };
        (0..longest).flat_map(|t| (0..path.nrows()).map(move |k| at(t, k))).collect()
    };
    let data = learnt.paths.iter().flat_map(|path| padded(&path.0)).collect();
    all.add("held_out", &by, "-", "coordinates of the trajectories held out, from the cut on", data);
    let predicted = learnt.paths.iter().flat_map(|path| padded(&path.1)).collect();
    all.add("predicted", &by, "-", "as predicted from their first sample", predicted);
    let interval = Numbers::Real(vec![learnt.manifold.interval]);
    all.add("interval", &[], &format!("{unit}s"), "time between two samples", interval);
    let tried = ("degree", learnt.tried.len());
    let degrees = learnt.tried.iter().map(|tried| tried.degree).collect();
    all.add("degree", &[tried], "-", "degrees that were tried", degrees);
    let nmte = learnt.tried.iter().map(|tried| tried.nmte).collect();
    all.add("nmte", &[tried], "-", "normalised mean trajectory error of each on those held out", nmte);
    all
}
