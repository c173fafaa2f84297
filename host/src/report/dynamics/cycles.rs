//! The figure of a piecewise-linear map: cycles, manifolds of saddles and basins on a plane of its state
//! space.

use faer::c64;
use kuva::plot::scatter::MarkerShape;
use kuva::plot::{LegendPosition, ScatterPlot};
use kuva::render::plots::Plot;

use super::STATE;
use super::lyapunov::{basin_arrays, plane_arrays};
use crate::dynamics::cycles::{Cycle, Found, Manifold, Piecewise, Portrait};
use crate::dynamics::lyapunov::Plane;
use crate::format::results::Results;
use crate::report::figures::{COLOURS, Figure, grid, layout, line};

/// Basins of the attractors, each the light of its colour; those beyond the last share it.
const LIGHTS: [&str; 4] = ["#b9d8ec", "#f6cdb0", "#b4e2d2", "#ecd0e0"];
/// What stays but reaches none of the stable cycles.
const BOUNDED: &str = "#dfe2e6";
const INK: &str = "#1f2328";
const STABLE: &str = "#0072b2";
const UNSTABLE: &str = "#d55e00";
/// Height of the plot, in pixels; a row of the raster is a line a little wider than its share of it.
const HEIGHT: f64 = 560.0;
/// Segments of a stable manifold without end that are drawn: more would cover the rest.
const STABLE_SEGMENTS: usize = 40;

/// What is drawn.
struct Drawing<'a> {
    portrait: &'a Portrait,
    cycles: &'a [Cycle],
    dimension: usize,
}

/// The figure of what was found on the plane of its portrait.
#[must_use]
pub fn figure(found: &Found, portrait: &Portrait) -> Figure {
    let dimension = portrait.plane.origin.len();
    Drawing { portrait, cycles: &found.cycles, dimension }.figure()
}

impl Drawing<'_> {
    fn caption(&self) -> String {
        let stable = self.cycles.iter().filter(|cycle| cycle.stable).count();
        let basins = match self.portrait.basins {
            Some(_) => {
                "Light colours: basins of the stable cycles; grey: what stays within bounds but reaches none of them; white: what leaves."
            }
            None => "Its basins were not finished.",
        };
        let plane = if self.dimension == 2 { "The state space" } else { "A plane of the state space" };
        format!(
            "{plane}: {} cycles, {stable} of them stable. {basins} Lines: one-dimensional stable (blue) and unstable (vermilion) manifolds of the first saddles{}.",
            self.cycles.len(),
            if self.dimension == 2 { "" } else { ", projected; basins are those of points of the plane" },
        )
    }

    fn figure(&self) -> Figure {
        let mut plots = self.basins();
        plots.extend(self.lines(true));
        plots.extend(self.lines(false));
        plots.extend(self.points());
        let [x, y] = self.portrait.ranges;
        let names = match self.dimension {
            2 => ["z₁", "z₂"],
            _ => ["principal component 1", "principal component 2"],
        };
        let layout = layout(&plots, names[0], names[1])
            .with_x_axis_min(x.0)
            .with_x_axis_max(x.1)
            .with_y_axis_min(y.0)
            .with_y_axis_max(y.1)
            .with_legend_position(LegendPosition::OutsideRightTop);
        Figure { name: "cycles", caption: self.caption(), scene: grid(vec![(plots, layout)], HEIGHT) }
    }

    /// Runs of cells of one goal, as lines.
    fn basins(&self) -> Vec<Plot> {
        let ([x, y], [columns, rows]) = (self.portrait.ranges, self.portrait.plane.size);
        let Some(basins) = &self.portrait.basins else { return Vec::new() };
        let at = |column: usize| x.0 + (x.1 - x.0) * column as f64 / columns as f64;
        let mut plots = Vec::new();
        let goals: Vec<(Option<usize>, bool)> =
            std::iter::zip(basins.labels.iter().copied(), basins.escaped.iter().copied()).collect();
        for (row, goals) in goals.chunks_exact(columns).enumerate() {
            let height = y.0 + (y.1 - y.0) * (row as f64 + 0.5) / rows as f64;
            let mut from = 0;
            for run in goals.chunk_by(|a, b| a == b) {
                let to = from + run.len();
                let colour = match run[0] {
                    (Some(k), _) => Some(LIGHTS[k.min(LIGHTS.len() - 1)]),
                    (None, false) => Some(BOUNDED),
                    (None, true) => None,
                };
                if let Some(colour) = colour {
                    let width = 1.15 * HEIGHT / rows as f64;
                    plots.push(Plot::Line(line(vec![(at(from), height), (at(to), height)], colour, width)));
                }
                from = to;
            }
        }
        plots
    }

    /// Manifolds as lines, segments that meet joined.
    fn lines(&self, stable: bool) -> Vec<Plot> {
        let mut paths: Vec<Vec<(f64, f64)>> = Vec::new();
        let [x, y] = self.portrait.ranges;
        let seen = |(a, b): ((f64, f64), (f64, f64))| {
            a.0.max(b.0) > x.0 && a.0.min(b.0) < x.1 && a.1.max(b.1) > y.0 && a.1.min(b.1) < y.1
        };
        for (_, manifold) in self.portrait.manifolds.iter().filter(|of| of.1.stable == stable) {
            let most = if stable && !manifold.complete { STABLE_SEGMENTS } else { usize::MAX };
            for [a, b] in manifold.segments.iter().take(most) {
                let (a, b) = (place(&self.portrait.plane, a), place(&self.portrait.plane, b));
                if !seen((a, b)) {
                    continue;
                }
                let (a, b) = clipped(a, b, x, y);
                match paths.last_mut() {
                    Some(path) if path.last() == Some(&a) => path.push(b),
                    _ => paths.push(vec![a, b]),
                }
            }
        }
        let (colour, name) =
            if stable { (STABLE, "stable manifold") } else { (UNSTABLE, "unstable manifold") };
        let plot = |(k, path): (usize, Vec<(f64, f64)>)| {
            let line = line(path, colour, 1.1);
            Plot::Line(if k == 0 { line.with_legend(name) } else { line })
        };
        paths.into_iter().enumerate().map(plot).collect()
    }

    fn points(&self) -> Vec<Plot> {
        let kind = |cycle: &Cycle| match (cycle.stable, cycle.index == self.dimension) {
            (true, _) => 0,
            (_, false) => 1,
            (_, true) => 2,
        };
        let mut plots = Vec::new();
        for (k, stability) in ["stable", "saddle", "source"].into_iter().enumerate() {
            for fixed in [true, false] {
                let points: Vec<(f64, f64)> = self
                    .cycles
                    .iter()
                    .filter(|cycle| kind(cycle) == k && (cycle.period == 1) == fixed)
                    .flat_map(|cycle| cycle.orbit.iter().map(|z| place(&self.portrait.plane, z)))
                    .collect();
                if points.is_empty() {
                    continue;
                }
                let name = format!("{stability} {}", if fixed { "fixed point" } else { "cycle" });
                let marker = match (stability, fixed) {
                    ("saddle", true) => MarkerShape::Diamond,
                    ("source", true) => MarkerShape::Triangle,
                    (_, true) => MarkerShape::Square,
                    _ => MarkerShape::Circle,
                };
                let size = if fixed { 6.0 } else { 2.8 };
                let colour = [INK, COLOURS[3], COLOURS[2]][k];
                let scatter = ScatterPlot::new().with_data(points).with_color(colour).with_size(size);
                plots.push(Plot::Scatter(scatter.with_marker(marker).with_legend(&name)));
            }
        }
        plots
    }
}

/// Coordinates of a state on the plane.
fn place(plane: &Plane, z: &[f64]) -> (f64, f64) {
    plane.coordinates(z).into()
}

/// The part of a line that is within the axes, or about there.
fn clipped(a: (f64, f64), b: (f64, f64), x: (f64, f64), y: (f64, f64)) -> ((f64, f64), (f64, f64)) {
    let (mut from, mut to) = (0.0_f64, 1.0_f64);
    for (a, b, range) in [(a.0, b.0, x), (a.1, b.1, y)] {
        let [low, high] = [(range.0 - a) / (b - a), (range.1 - a) / (b - a)];
        if b != a {
            from = from.max(low.min(high));
            to = to.min(low.max(high));
        }
    }
    let at = |s: f64| (a.0 + s * (b.0 - a.0), a.1 + s * (b.1 - a.1));
    match (from <= 0.0, to >= 1.0) {
        _ if from >= to => (a, a),
        (true, true) => (a, b),
        (true, false) => (a, at(to)),
        (false, true) => (at(from), b),
        (false, false) => (at(from), at(to)),
    }
}

/// Cycles, and the basins and manifolds of a portrait, as arrays.
#[must_use]
pub fn arrays(map: &Piecewise, found: &Found, portrait: Option<&Portrait>, complete: bool) -> Results {
    let n = map.n();
    let mut all = Results::new("dynamics cycles", complete);
    let neurons = map.neurons.iter().map(|of| of.0).collect();
    all.add("neuron", &[("neuron", n)], "-", "number of the neuron in the network", neurons);
    let mirrors = map.neurons.iter().map(|of| of.1.map_or(-1, |mirror| mirror as i64)).collect();
    let meaning = "number of its mirror neuron, whose state is minus it and is not saved; -1: none";
    all.add("mirror", &[("neuron", n)], "-", meaning, mirrors);
    let (cycles, cycle) = (&found.cycles, ("cycle", found.cycles.len()));
    let states = || cycles.iter().enumerate().flat_map(|(k, cycle)| cycle.orbit.iter().map(move |z| (k, z)));
    let row = ("state", states().count());
    all.add("cycle", &[row], "-", "number of the cycle of a state", states().map(|row| row.0).collect());
    let values = states().flat_map(|(_, z)| z.iter().copied()).collect();
    all.add("states", &[row, ("neuron", n)], STATE, "states of the cycles in the order of time", values);
    let periods = cycles.iter().map(|cycle| cycle.period).collect();
    all.add("period", &[cycle], "steps", "period; 1: a fixed point", periods);
    let index = cycles.iter().map(|cycle| cycle.index).collect();
    all.add("index", &[cycle], "-", "number of unstable directions", index);
    let stable = cycles.iter().map(|cycle| cycle.stable).collect();
    all.add("stable", &[cycle], "-", "whether all directions are stable", stable);
    let values = cycles.iter().flat_map(|cycle| cycle.eigenvalues.iter().map(|&(re, im)| c64::new(re, im)));
    let border = cycles.iter().map(|cycle| cycle.border).collect();
    let meaning = "whether the Jacobian jumps there: index, stable and eigenvalues are those of one side";
    all.add("border", &[cycle], "-", meaning, border);
    let meaning = "eigenvalues of the product of the Jacobians along a cycle";
    all.add("eigenvalues", &[cycle, ("mode", n)], "-", meaning, values.collect());
    let residual = cycles.iter().map(|cycle| cycle.residual).collect();
    all.add("residual", &[cycle], STATE, "largest distance of a state from the image before it", residual);
    let margin = cycles.iter().map(|cycle| cycle.margin).collect();
    all.add("margin", &[cycle], "-", "distance of the gates from where their slope changes", margin);
    let Some(portrait) = portrait else { return all };
    let manifold = ("manifold", portrait.manifolds.len());
    let of = |value: fn(&(usize, Manifold)) -> i64| portrait.manifolds.iter().map(value).collect();
    all.add("manifold_cycle", &[manifold], "-", "number of the cycle of a manifold", of(|m| m.0 as i64));
    let stable = portrait.manifolds.iter().map(|of| of.1.stable).collect();
    all.add("manifold_stable", &[manifold], "-", "whether it is the stable one, else the unstable", stable);
    let whole = portrait.manifolds.iter().map(|of| of.1.complete).collect();
    all.add("manifold_complete", &[manifold], "-", "whether it is there as far as it was followed", whole);
    let values = portrait.manifolds.iter().map(|of| of.1.eigenvalue).collect();
    all.add("manifold_eigenvalue", &[manifold], "-", "its eigenvalue", values);
    let normals = portrait.manifolds.iter().flat_map(|of| of.1.normal.iter().copied()).collect();
    let meaning = "normal of the other manifold of the cycle, which has dimension n - 1, at its first state";
    all.add("manifold_normal", &[manifold, ("neuron", n)], "-", meaning, normals);
    let segments = || {
        let all = portrait.manifolds.iter().enumerate();
        all.flat_map(|(k, of)| of.1.segments.iter().map(move |ends| (k, ends)))
    };
    let segment = ("segment", segments().count());
    let numbers = segments().map(|row| row.0).collect();
    all.add("segment_manifold", &[segment], "-", "number of the manifold of a segment", numbers);
    let ends = segments().flat_map(|(_, ends)| ends.iter().flatten().copied()).collect();
    all.add("segments", &[segment, ("end", 2), ("neuron", n)], STATE, "ends of a segment", ends);
    plane_arrays(&mut all, &portrait.plane);
    if let Some(basins) = &portrait.basins {
        basin_arrays(&mut all, &portrait.plane, basins, &portrait.attractors);
        let stable = (0..cycles.len()).filter(|&k| cycles[k].stable).collect();
        let attractor = ("attractor", portrait.attractors.len());
        all.add("attractor_cycle", &[attractor], "-", "number of the cycle that an attractor is", stable);
    }
    all
}
