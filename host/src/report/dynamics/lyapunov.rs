//! The figures of Lyapunov exponents and of fields of finite-time exponents.

use std::iter::zip;
use std::sync::Arc;

use kuva::plot::heatmap::{ColorMap, Heatmap};
use kuva::plot::{BandPlot, LegendPosition, ScatterPlot};
use kuva::render::annotations::{ReferenceLine, TextAnnotation};
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;

use super::STATE;
use crate::dynamics::lyapunov::{AttractingSet, Basins, Field, Plane, Spectrum};
use crate::format::results::{Numbers, Results};
use crate::report::figures::{Figure, GREY, colour, grid, layout, line};

/// Exponents whose convergence is drawn.
const SHOWN: usize = 4;

/// The running means of the largest exponents with their errors, and all exponents.
///
/// unit: of time, in words.
#[must_use]
pub fn convergence(found: &Spectrum, unit: &str) -> Figure {
    let mut plots = Vec::new();
    let shown = found.exponents.iter().take(SHOWN).take_while(|value| value.is_finite()).count();
    // The first points are far off and would make the rest a line.
    let from = found.time / 20.0;
    let points: Vec<&(f64, Vec<f64>)> = found.convergence.iter().filter(|point| point.0 >= from).collect();
    for k in 0..shown {
        let error = |time: f64| found.errors[k] * (found.time / time).sqrt();
        let (times, means): (Vec<f64>, Vec<f64>) =
            points.iter().map(|(time, means)| (*time, means[k])).unzip();
        let ends = |sign: f64| {
            zip(&times, &means).map(|(&time, mean)| mean + sign * error(time)).collect::<Vec<f64>>()
        };
        plots.push(Plot::Band(
            BandPlot::new(times.clone(), ends(-1.0), ends(1.0)).with_color(colour(k)).with_opacity(0.2),
        ));
        let curve = line(zip(times, means).collect(), colour(k), 2.0);
        plots.push(Plot::Line(curve.with_legend(format!("lambda {}", k + 1))));
    }
    let left = layout(&plots, &format!("time ({unit}s)"), &format!("exponent (1 / {unit})"))
        .with_ticks(5)
        .with_reference_line(ReferenceLine::horizontal(0.0).with_color(GREY))
        .with_legend_position(LegendPosition::OutsideRightTop);
    let finite = found.exponents.iter().enumerate().filter(|(_, value)| value.is_finite());
    let all: Vec<(f64, f64)> = finite.map(|(k, &value)| (k as f64 + 1.0, value)).collect();
    let last = all.len();
    let marks = ScatterPlot::new().with_data(all).with_color(colour(0)).with_size(3.0);
    let marks = marks.with_y_err(found.errors[..last].to_vec());
    let plots_of_all = vec![Plot::Scatter(marks)];
    let right = layout(&plots_of_all, "number of the exponent", &format!("exponent (1 / {unit})"))
        .with_ticks(5)
        .with_x_axis_min(0.0)
        .with_x_axis_max(last as f64 + 1.0)
        .with_x_tick_step((last as f64 / 5.0).ceil())
        .with_reference_line(ReferenceLine::horizontal(0.0).with_color(GREY));
    let dimension = found.kaplan_yorke.map_or_else(
        || "above the number of exponents computed".to_owned(),
        |dimension| format!("{dimension:.2}"),
    );
    let largest = match (found.exponents[0], found.errors[0]) {
        (value, error) if value.is_finite() => format!("{value:.4} ± {error:.4}"),
        _ => "minus infinity, what differs is gone at once".into(),
    };
    let caption = format!(
        "Lyapunov exponents along one trajectory of {:.0} {unit}s. Left: the largest, as mean over the time so far; shaded: one standard error, that of the end by batch means times sqrt(end / time). Right: all computed, with standard errors. Largest: {largest}. Kaplan-Yorke dimension: {dimension}.",
        found.time
    );
    Figure { name: "lyapunov", caption, scene: grid(vec![(plots, left), (plots_of_all, right)], 340.0) }
}

/// The field on its plane with the basin boundary on it, and the basins with the attractors.
#[must_use]
pub fn field(
    plane: &Plane,
    field: &Field,
    basins: Option<(&Basins, &[AttractingSet])>,
    unit: &str,
) -> Figure {
    let [columns, _] = plane.size;
    let cells = |value: &dyn Fn(usize) -> f64| -> Vec<Vec<f64>> {
        let rows: Vec<usize> = (0..plane.count()).collect();
        rows.chunks(columns).map(|row| row.iter().map(|&k| value(k)).collect()).collect()
    };
    // Half a cell more on all sides: cells lie around their points.
    let [x, y] = [0, 1].map(|k| {
        let (low, high) = plane.ranges[k];
        let half = 0.5 * (high - low) / (plane.size[k] - 1) as f64;
        (low - half, high + half)
    });
    let heat = |rows: Vec<Vec<f64>>, map: ColorMap| {
        let map = Heatmap::new().with_data(rows).with_color_map(map).with_cell_size(1.02);
        Plot::Heatmap(map.with_x_range(x.0, x.1).with_y_range(y.0, y.1))
    };
    let framed = |plots: &[Plot], title: &str| -> Layout {
        layout(plots, "along e1", "along e2")
            .with_ticks(5)
            .with_title(title)
            .with_x_axis_min(x.0)
            .with_x_axis_max(x.1)
            .with_y_axis_min(y.0)
            .with_y_axis_max(y.1)
    };
    let least = field.values.iter().copied().filter(|value| value.is_finite()).fold(f64::MAX, f64::min);
    let most = field.values.iter().copied().filter(|value| value.is_finite()).fold(least, f64::max);
    let partial = field.computed < plane.count();
    // A tenth of the scale, below the least value, is left for what was not computed.
    let missing = if partial { least - (most - least).max(1e-9) / 9.0 } else { least };
    let value = |k: usize| if field.values[k].is_finite() { field.values[k] } else { missing };
    let mut left = vec![heat(cells(&value), if partial { with_missing() } else { ColorMap::Viridis })];
    let mut caption = format!(
        "Finite-time Lyapunov exponents over {:.3} {unit}s (1 / {unit}) of the points of a plane through state space.",
        field.time
    );
    if partial {
        caption +=
            &format!(" Grey: not computed, {} of {} points.", plane.count() - field.computed, plane.count());
    }
    let mut panels = Vec::new();
    if let Some((basins, attractors)) = basins {
        let edges = ScatterPlot::new().with_data(edges(plane, basins)).with_color("#ffffff").with_size(0.8);
        left.push(Plot::Scatter(edges));
        let count = attractors.len().max(1);
        let label = |k: usize| basins.labels[k].map_or(-1.0, |label| label as f64);
        let reached = basins.labels.iter().flatten().count();
        let none = reached < basins.labels.len();
        let mut right = vec![heat(cells(&label), of_basins(basins, none))];
        let inside =
            |place: &[f64; 2]| (0..2).all(|k| plane.ranges[k].0 <= place[k] && place[k] <= plane.ranges[k].1);
        let places = attractors.iter().flat_map(|attractor| &attractor.states);
        let places = places.map(|state| plane.coordinates(state)).filter(inside);
        let marks = ScatterPlot::new().with_data(places.map(|[a, b]| (a, b)).collect::<Vec<_>>());
        right.push(Plot::Scatter(marks.with_color("#000000").with_size(4.0)));
        let mut frame = framed(&right, "basins, numbers of the attractors");
        // Beside the dot, which stays to be seen.
        let beside = 0.02 * (plane.ranges[0].1 - plane.ranges[0].0);
        for (k, attractor) in attractors.iter().enumerate() {
            if let Some([a, b]) = attractor.states.first().map(|x| plane.coordinates(x)).filter(inside) {
                let number = TextAnnotation::new((k + 1).to_string(), a + beside, b).with_color("#1f2328");
                frame = frame.with_annotation(number);
            }
        }
        frame.show_colorbar = false;
        panels.push((right, frame));
        let share = basins.boundary_in_top(field, 0.05).map_or_else(
            || "There is no basin boundary on it.".to_owned(),
            |share| {
                format!(
                    "{:.0} % of the points at the basin boundary (white) are in the top 5 % of the field.",
                    100.0 * share
                )
            },
        );
        caption += &format!(
            " {share} Right: which of {count} attractors is reached; dots with their numbers: the feet of attractors on the plane{}.",
            if none { "; grey: none within the steps" } else { "" }
        );
    }
    let edges = if basins.is_some() { "; white: basin boundary" } else { "" };
    let frame = framed(&left, &format!("finite-time exponent (1 / {unit}){edges}"));
    panels.insert(0, (left, frame));
    Figure { name: "ftle", caption, scene: grid(panels, 380.0) }
}

/// The middles between neighbours that reach different attractors.
fn edges(plane: &Plane, basins: &Basins) -> Vec<(f64, f64)> {
    let [columns, rows] = plane.size;
    let at = |axis: usize, index: f64| {
        let (low, high) = plane.ranges[axis];
        low + (high - low) * index / (plane.size[axis] - 1) as f64
    };
    let differ =
        |a: usize, b: usize| matches!((basins.labels[a], basins.labels[b]), (Some(a), Some(b)) if a != b);
    let mut edges = Vec::new();
    for k in 0..columns * rows {
        let (i, j) = (k % columns, k / columns);
        if i + 1 < columns && differ(k, k + 1) {
            edges.push((at(0, i as f64 + 0.5), at(1, j as f64)));
        }
        if j + 1 < rows && differ(k, k + columns) {
            edges.push((at(0, i as f64), at(1, j as f64 + 0.5)));
        }
    }
    edges
}

/// Viridis over the upper nine tenths of the scale, grey below.
fn with_missing() -> ColorMap {
    ColorMap::Custom(Arc::new(|at: f64| {
        if at < 0.05 { "#8c9199".into() } else { ColorMap::Viridis.map(((at - 0.1) / 0.9).clamp(0.0, 1.0)) }
    }))
}

/// A colour for every attractor that is reached, grey for none.
fn of_basins(basins: &Basins, none: bool) -> ColorMap {
    const PALE: [&str; 8] =
        ["#9ecae9", "#f4b183", "#a6d9b8", "#e6b8d4", "#f2e394", "#b5b1e0", "#d0b49f", "#c5e0dc"];
    let labels: Vec<usize> = basins.labels.iter().flatten().copied().collect();
    let (first, last) =
        (labels.iter().min().copied().unwrap_or(0), labels.iter().max().copied().unwrap_or(0));
    // The map is given values scaled to 0 .. 1.
    let (low, high) = (if none { -1.0 } else { first as f64 }, last as f64);
    ColorMap::Custom(Arc::new(move |at: f64| {
        let label = (low + at * (high - low)).round();
        if label < 0.0 { "#8c9199".into() } else { PALE[label as usize % PALE.len()].into() }
    }))
}

/// The exponents and their convergence, as arrays.
///
/// unit: of time, in words.
#[must_use]
pub fn spectrum_arrays(found: &Spectrum, unit: &str) -> Results {
    let mut all = Results::new("dynamics lyapunov", found.complete);
    let per = format!("per {unit}");
    let (exponent, time) = (("exponent", found.exponents.len()), ("time", found.convergence.len()));
    let exponents = found.exponents.iter().copied().collect();
    all.add("exponents", &[exponent], &per, "Lyapunov exponents, largest first", exponents);
    let errors = found.errors.iter().copied().collect();
    all.add("errors", &[exponent], &per, "their standard errors, by batch means", errors);
    let times = found.convergence.iter().map(|point| point.0).collect();
    all.add("time", &[time], &format!("{unit}s"), "times along the trajectory", times);
    let means = found.convergence.iter().flat_map(|point| point.1.iter().copied()).collect();
    all.add("convergence", &[time, exponent], &per, "the exponents as means up to these times", means);
    let state = found.state.iter().copied().collect();
    all.add("state", &[("neuron", found.state.len())], STATE, "the last state", state);
    all
}

/// The field of finite-time exponents and the basins, as arrays; what was not computed is NaN.
#[must_use]
pub fn field_arrays(
    plane: &Plane,
    field: &Field,
    basins: Option<(&Basins, &[AttractingSet])>,
    unit: &str,
    complete: bool,
) -> Results {
    let mut all = Results::new("dynamics ftle", complete);
    plane_arrays(&mut all, plane);
    let values = field.values.iter().copied().collect();
    let grid = raster(plane);
    all.add("ftle", &grid, &format!("per {unit}"), "finite-time Lyapunov exponents", values);
    all.add("time", &[], &format!("{unit}s"), "time they were taken over", Numbers::Real(vec![field.time]));
    if let Some((basins, attractors)) = basins {
        basin_arrays(&mut all, plane, basins, attractors);
    }
    all
}

/// Rows are along the second axis, columns along the first.
fn raster(plane: &Plane) -> [(&'static str, usize); 2] {
    [("row", plane.size[1]), ("column", plane.size[0])]
}

/// A plane and its grid.
pub(super) fn plane_arrays(all: &mut Results, plane: &Plane) {
    let neuron = ("neuron", plane.origin.len());
    let origin = plane.origin.iter().copied().collect();
    all.add("origin", &[neuron], STATE, "a point of the plane: that of the coordinates 0, 0", origin);
    let axes = plane.axes.iter().flatten().copied().collect();
    all.add("axes", &[("axis", 2), neuron], "-", "its orthonormal vectors e1 and e2", axes);
    for (k, [name, counted, meaning]) in
        [["along_1", "column", "coordinates along e1"], ["along_2", "row", "coordinates along e2"]]
            .into_iter()
            .enumerate()
    {
        let ((low, high), size) = (plane.ranges[k], plane.size[k]);
        let values = (0..size).map(|i| low + (high - low) * i as f64 / (size - 1) as f64).collect();
        all.add(name, &[(counted, size)], STATE, meaning, values);
    }
}

/// Which attractor every point of the plane reaches, and the attractors.
pub(super) fn basin_arrays(all: &mut Results, plane: &Plane, basins: &Basins, attractors: &[AttractingSet]) {
    let labels = basins.labels.iter().map(|label| label.map_or(-1, |k| k as i64)).collect();
    all.add("basin", &raster(plane), "-", "number of the attractor that is reached; -1: none", labels);
    let escaped = basins.escaped.iter().copied().collect();
    all.add("escaped", &raster(plane), "-", "whether the state leaves every bound", escaped);
    let states = || attractors.iter().enumerate().flat_map(|(k, set)| set.states.iter().map(move |x| (k, x)));
    let state = ("state", states().count());
    let of = states().map(|(k, _)| k).collect();
    all.add("attractor", &[state], "-", "number of the attractor of a state", of);
    let values = states().flat_map(|(_, x)| x.iter().copied()).collect();
    let by = [state, ("neuron", plane.origin.len())];
    all.add("attractor_states", &by, STATE, "states on the attractors", values);
}
