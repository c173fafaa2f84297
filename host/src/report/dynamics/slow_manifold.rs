//! Figures of slow manifolds and of attractors.

use std::f64::consts::TAU;

use faer::Mat;
use kuva::plot::scatter::MarkerShape;
use kuva::plot::{LegendPosition, ScatterPlot};
use kuva::render::annotations::ReferenceLine;
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;

use super::{STATE, time_unit};
use crate::dynamics::slow_manifold::{Attractor, Ring, SlowManifold, Surface, Verdict};
use crate::dynamics::{Kind, System};
use crate::format::results::Results;
use crate::report::figures::{COLOURS, Figure, GREY, diverging, grid, layout, line, ranked};
use crate::report::text::{percent, scientific};

/// Points that are drawn of a curve.
pub(super) const DRAWN: usize = 400;
type Points = Vec<(f64, f64)>;
type Panel = (Vec<Plot>, Layout);

/// States in the plane of their two principal components, turned so that the first grows along the curve; and the
/// same plane for other states.
fn principal(states: &[Vec<f64>], others: &[Vec<f64>]) -> (Points, Points, f64) {
    let (n, count) = (states.first().map_or(0, Vec::len), states.len());
    let mean: Vec<f64> = (0..n).map(|i| states.iter().map(|x| x[i]).sum::<f64>() / count as f64).collect();
    let centred = Mat::from_fn(n, count, |i, j| states[j][i] - mean[i]);
    let Ok(svd) = centred.thin_svd() else { return (Vec::new(), Vec::new(), 0.0) };
    let total: f64 = centred.squared_norm_l2();
    let part = (0..2.min(n)).map(|k| svd.S()[k] * svd.S()[k]).sum::<f64>() / total.max(f64::MIN_POSITIVE);
    let along = |x: &[f64], k: usize| (0..n).map(|i| svd.U()[(i, k)] * (x[i] - mean[i])).sum::<f64>();
    let sign = match states {
        [first, .., last] if along(last, 0) < along(first, 0) => -1.0,
        _ => 1.0,
    };
    let place = |x: &Vec<f64>| (sign * along(x, 0), if n > 1 { along(x, 1) } else { 0.0 });
    (states.iter().map(place).collect(), others.iter().map(place).collect(), part)
}

/// A panel of a curve coloured by speed, its nodes as full and its saddles as open marks.
fn coloured(points: Points, speeds: &[f64], marks: &[(Points, &str)], x: &str, y: &str) -> Panel {
    let colours: Vec<String> = ranked(speeds).into_iter().map(diverging).collect();
    let mut plots =
        vec![Plot::Scatter(ScatterPlot::new().with_data(points).with_colors(colours).with_size(2.5))];
    plots.extend(marked(marks));
    let layout =
        layout(&plots, x, y).with_ticks(5).with_legend_position(LegendPosition::OutsideBottomColumns);
    (plots, layout)
}

fn marked(marks: &[(Points, &str)]) -> Vec<Plot> {
    marks
        .iter()
        .filter(|(points, _)| !points.is_empty())
        .map(|(points, name)| {
            let (shape, colour) = if *name == "node" {
                (MarkerShape::Circle, "#1f2328")
            } else {
                (MarkerShape::Diamond, COLOURS[3])
            };
            Plot::Scatter(
                ScatterPlot::new()
                    .with_data(points.clone())
                    .with_marker(shape)
                    .with_color(colour)
                    .with_size(5.0)
                    .with_legend(*name),
            )
        })
        .collect()
}

/// A panel of the speed over the place, with the fixed points on the axis.
pub(super) fn speeds(points: Points, marks: &[(Points, &str)], x: &str, y: &str) -> Panel {
    let mut plots = vec![Plot::Line(line(points, COLOURS[0], 2.0))];
    plots.extend(marked(marks));
    let layout = layout(&plots, x, y)
        .with_ticks(5)
        .with_reference_line(ReferenceLine::horizontal(0.0).with_color(GREY))
        .with_legend_position(LegendPosition::OutsideBottomColumns);
    (plots, layout)
}

/// Places of the named fixed points by a function of them.
pub(super) fn marks(verdict: &Attractor, at: impl Fn(usize) -> (f64, f64)) -> Vec<(Points, &'static str)> {
    ["node", "saddle"]
        .into_iter()
        .map(|name| {
            let chosen = (0..verdict.points.len()).filter(|&k| verdict.points[k].name == name);
            (chosen.map(&at).collect(), name)
        })
        .collect()
}

/// How far places drift in time.
fn memory(verdict: &Attractor, time: &str) -> Panel {
    let exact = verdict.verdict == Verdict::Attractor;
    let points: Points = verdict
        .memory
        .iter()
        .filter(|point| point.0 > 0.0)
        .map(|&(t, e)| (t.log10(), if exact { 0.0 } else { 100.0 * e }))
        .collect();
    let plots = vec![Plot::Line(line(points, COLOURS[1], 2.0))];
    let layout = layout(&plots, &format!("log10 {time}"), "memory error (% of length)")
        .with_ticks(5)
        .with_y_axis_min(0.0);
    (plots, if exact { layout.with_y_axis_max(1.0) } else { layout })
}

fn drifted(verdict: &Attractor) -> String {
    let time = |time: Option<f64>| time.map_or("none within the horizon".into(), |time| format!("{time:.1}"));
    format!(
        "Time to drift by {} of the length: shortest {}, median {}; {} of the places never do within {}.",
        percent(verdict.bounds.drift),
        time(verdict.drift.shortest),
        time(verdict.drift.median),
        percent(verdict.drift.stay),
        verdict.bounds.horizon
    )
}

/// The curve in its plane, the reduced speed with its roots, the drift in time.
///
/// time: what times are counted in, "time constants" or "steps".
#[must_use]
pub fn of_line(slow: &SlowManifold, verdict: &Attractor, time: &str) -> Figure {
    let places: Vec<f64> = slow.range.even(DRAWN).collect();
    let states: Vec<Vec<f64>> = places.iter().map(|&p| slow.state(p)).collect();
    let fixed: Vec<Vec<f64>> = verdict.points.iter().map(|point| point.x.clone()).collect();
    let (curve, known, part) = principal(&states, &fixed);
    let size: Vec<f64> = places.iter().map(|&p| slow.speed(p).abs()).collect();
    let cells = vec![
        coloured(
            curve,
            &size,
            &marks(verdict, |k| known[k]),
            "principal component 1",
            "principal component 2",
        ),
        speeds(
            places.iter().map(|&p| (p, slow.speed(p))).collect(),
            &marks(verdict, |k| (verdict.points[k].place, 0.0)),
            "place p",
            if time == "steps" { "r(p) per step" } else { "r(p) per time constant" },
        ),
        memory(verdict, time),
    ];
    let caption = format!(
        "The slow manifold: {}. Left: the curve in the plane of its two principal components ({} of its variance), coloured by speed from 0 (blue) to {} (orange). Middle: the reduced speed; its roots are the fixed points. Right: root mean square distance from the start along the curve. {}",
        verdict.sentence,
        percent(part),
        scientific(size.iter().fold(0.0, |most: f64, s| most.max(*s))),
        drifted(verdict)
    );
    Figure { name: "slow-manifold", caption, scene: grid(cells, 330.0) }
}

/// The ring in its plane, the speed over the angle, the drift in time.
#[must_use]
pub fn of_ring(ring: &Ring, verdict: &Attractor, time: &str) -> Figure {
    let angles: Vec<f64> = (0..DRAWN).map(|k| TAU * k as f64 / DRAWN as f64).collect();
    let place = |theta: f64| {
        let radius = ring.radius(theta);
        (radius * theta.cos(), radius * theta.sin())
    };
    let size: Vec<f64> = angles.iter().map(|&theta| ring.speed(theta).abs()).collect();
    // Rounding has no colour.
    let shown: Vec<f64> = if verdict.is_attractor() { vec![0.0; DRAWN] } else { size.clone() };
    let exact = verdict.is_attractor();
    let speed = |theta: f64| if exact { 0.0 } else { ring.speed(theta) };
    let (plots, over) = speeds(
        angles.iter().map(|&theta| (theta.to_degrees(), speed(theta))).collect(),
        &marks(verdict, |k| (verdict.points[k].place.to_degrees(), 0.0)),
        "angle (degrees)",
        if time == "steps" { "radians per step" } else { "radians per time constant" },
    );
    let over = over.with_x_axis_min(0.0).with_x_axis_max(360.0).with_x_tick_step(90.0);
    let over = if exact { over.with_y_axis_min(-1e-3).with_y_axis_max(1e-3) } else { over };
    let (ring_plots, plane) = coloured(
        angles.iter().map(|&theta| place(theta)).collect(),
        &shown,
        &marks(verdict, |k| place(verdict.points[k].place)),
        "along the first axis",
        "along the second axis",
    );
    let most = 1.15 * angles.iter().map(|&theta| ring.radius(theta)).fold(0.0, f64::max);
    let plane = square(plane, most);
    let caption = format!(
        "The ring: {}. Left: the ring in the plane of the two leading eigenvectors at its centre, coloured by speed from 0 (blue) to {} (orange). Middle: the speed over the angle; its roots are the fixed points. Right: root mean square distance from the start along the ring. {}",
        verdict.sentence,
        scientific(size.iter().fold(0.0, |most: f64, s| most.max(*s))),
        drifted(verdict)
    );
    Figure {
        name: "ring",
        caption,
        scene: grid(vec![(ring_plots, plane), (plots, over), memory(verdict, time)], 330.0),
    }
}

/// The layout over both coordinates from -most to most.
fn square(plane: Layout, most: f64) -> Layout {
    plane
        .with_x_axis_min(-most)
        .with_x_axis_max(most)
        .with_y_axis_min(-most)
        .with_y_axis_max(most)
        .with_equal_aspect()
}

/// Places of a plane, at most its reach from the middle, and the full system's speed there.
fn speeds_of(system: &dyn System, surface: &Surface) -> (Points, Vec<f64>) {
    const SIDE: usize = 41;
    let place = |k: usize| surface.reach * (2.0 * k as f64 / (SIDE - 1) as f64 - 1.0);
    let all = (0..SIDE * SIDE).map(|k| (place(k % SIDE), place(k / SIDE)));
    let inside: Points = all.filter(|p| p.0.hypot(p.1) <= surface.reach * (1.0 + 1e-9)).collect();
    let mut rest = vec![0.0; system.dimension()];
    let speeds = inside.iter().map(|p| {
        system.residual(&surface.state(&[p.0, p.1]), &mut rest);
        rest.iter().map(|r| r * r).sum::<f64>().sqrt()
    });
    let speeds = speeds.collect();
    (inside, speeds)
}

/// The plane coloured by speed with its fixed points, the speed over the distance, the drift in time.
#[must_use]
pub fn of_surface(system: &dyn System, surface: &Surface, verdict: &Attractor, time: &str) -> Figure {
    let (inside, size) = speeds_of(system, surface);
    // Rounding has no colour.
    let exact = verdict.verdict == Verdict::Attractor;
    let shown = if exact { vec![0.0; size.len()] } else { size.clone() };
    let fixed = |k: usize| {
        let p = surface.coordinates(&verdict.points[k].x);
        (p[0], p[1])
    };
    let (plots, plane) = coloured(inside, &shown, &marks(verdict, fixed), "p1", "p2");
    let most = 1.1 * surface.reach;
    let plane = square(plane, most);
    let profile: Points = verdict.profile.iter().map(|&(p, s)| (p, if exact { 0.0 } else { s })).collect();
    let (over, speeds) = speeds(
        profile,
        &marks(verdict, |k| (verdict.points[k].place, 0.0)),
        "distance |p|",
        if time == "steps" { "largest speed per step" } else { "largest speed per time constant" },
    );
    let speeds = if exact { speeds.with_y_axis_min(0.0).with_y_axis_max(1e-3) } else { speeds };
    let caption = format!(
        "The plane: {}. Left: its coordinates, coloured by speed from 0 (blue) to {} (orange). Middle: the largest speed at a distance from the fixed point in its middle. Right: root mean square distance from the start, in diameters. {}",
        verdict.sentence,
        scientific(size.iter().fold(0.0, |most: f64, s| most.max(*s))),
        drifted(verdict)
    );
    Figure {
        name: "plane",
        caption,
        scene: grid(vec![(plots, plane), (over, speeds), memory(verdict, time)], 330.0),
    }
}

/// A slow curve as arrays: its states, the reduced speed, what is on it.
pub fn line_arrays(all: &mut Results, slow: &SlowManifold, verdict: &Attractor) {
    let places: Vec<f64> = slow.range.even(DRAWN).collect();
    let (n, per) = (slow.frame.anchor.len(), format!("per {}", time_unit(slow.kind)));
    let (place, neuron) = (("place", DRAWN), ("neuron", n));
    let left = slow.frame.left.iter().copied().collect();
    all.add("left", &[neuron], "-", "l of the coordinate p = l . (x - x0)", left);
    let anchor = slow.frame.anchor.iter().copied().collect();
    all.add("anchor", &[neuron], STATE, "x0 of the coordinate", anchor);
    let speed = places.iter().map(|&p| slow.speed(p)).collect();
    let states = places.iter().flat_map(|&p| slow.state(p)).collect();
    all.add("p", &[place], "-", "places along the slow manifold", places.into_iter().collect());
    all.add("states", &[place, neuron], STATE, "states x(p) there", states);
    let of = if slow.kind == Kind::Map { "p' - p" } else { "dp/dt" };
    all.add("speed", &[place], &per, &format!("reduced dynamics r(p) = {of}"), speed);
    verdict_arrays(all, verdict, "p", slow.kind);
}

/// A ring as arrays.
pub fn ring_arrays(all: &mut Results, ring: &Ring, verdict: &Attractor) {
    let angles: Vec<f64> = (0..DRAWN).map(|k| TAU * k as f64 / DRAWN as f64).collect();
    let (place, neuron) = (("place", DRAWN), ("neuron", ring.center.len()));
    let unit = format!("radians per {}", time_unit(ring.kind));
    let center = ring.center.iter().copied().collect();
    all.add("center", &[neuron], STATE, "the fixed point within the ring", center);
    let plane = ring.plane.iter().flatten().copied().collect();
    all.add("plane", &[("axis", 2), neuron], "-", "orthonormal axes of the plane of the angle", plane);
    let states = angles.iter().flat_map(|&theta| ring.state(theta)).collect();
    let radius = angles.iter().map(|&theta| ring.radius(theta)).collect();
    let speed = angles.iter().map(|&theta| ring.speed(theta)).collect();
    all.add("angle", &[place], "radians", "angles in the plane", angles.into_iter().collect());
    all.add("states", &[place, neuron], STATE, "states of the ring there", states);
    all.add("radius", &[place], STATE, "distance from the center in the plane", radius);
    all.add("speed", &[place], &unit, "speed along the ring", speed);
    verdict_arrays(all, verdict, "angle", ring.kind);
}

/// A plane as arrays.
pub fn surface_arrays(all: &mut Results, system: &dyn System, surface: &Surface, verdict: &Attractor) {
    let (places, speeds) = speeds_of(system, surface);
    let (place, neuron) = (("place", places.len()), ("neuron", surface.anchor.len()));
    let per = format!("network units per {}", time_unit(surface.kind));
    let anchor = surface.anchor.iter().copied().collect();
    all.add("anchor", &[neuron], STATE, "x(0): a fixed point", anchor);
    let states = places.iter().flat_map(|&(p, q)| surface.state(&[p, q])).collect();
    let places = places.into_iter().flat_map(|(p, q)| [p, q]).collect();
    all.add("p", &[place, ("coordinate", 2)], "-", "places on the plane", places);
    all.add("states", &[place, neuron], STATE, "states x(p) there", states);
    all.add("speed", &[place], &per, "speed of the network there", speeds.into_iter().collect());
    verdict_arrays(all, verdict, "distance", surface.kind);
}

fn verdict_arrays(all: &mut Results, verdict: &Attractor, place: &str, kind: Kind) {
    let points = &verdict.points;
    let (point, time) = (("point", points.len()), ("time", verdict.memory.len()));
    let n = points.first().map_or(0, |point| point.x.len());
    let unit = if place == "angle" { "radians" } else { "-" };
    let places = points.iter().map(|point| point.place).collect();
    all.add(&format!("fixed_{place}"), &[point], unit, "places of the fixed points on it", places);
    let states = points.iter().flat_map(|point| point.x.iter().copied()).collect();
    all.add("fixed_states", &[point, ("neuron", n)], STATE, "their states", states);
    let index = points.iter().map(|point| point.index).collect();
    all.add("fixed_index", &[point], "-", "their numbers of unstable directions; 0: a node", index);
    let times = verdict.memory.iter().map(|memory| memory.0).collect();
    all.add("memory_time", &[time], &format!("{}s", time_unit(kind)), "times since the start", times);
    let errors = verdict.memory.iter().map(|memory| memory.1).collect();
    let meaning = "root mean square of the distance from the start along it";
    all.add("memory_error", &[time], "lengths of it", meaning, errors);
}
