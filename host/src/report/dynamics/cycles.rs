//! The figure of a piecewise-linear map: cycles, manifolds of saddles and basins on a plane of its state
//! space.

use faer::Mat;
use kuva::plot::scatter::MarkerShape;
use kuva::plot::{LegendPosition, ScatterPlot};
use kuva::render::plots::Plot;

use crate::dynamics::cycles::{Cycle, Found, Manifold, Piecewise, Reach, manifolds};
use crate::dynamics::lyapunov::{AttractingSet, Basins, Plane, Watch, basins};
use crate::error::require;
use crate::report::figures::{COLOURS, Figure, grid, layout, line};
use crate::{Error, Result};

/// Basins of the attractors, each the light of its colour; those beyond the last share it.
const LIGHTS: [&str; 4] = ["#b9d8ec", "#f6cdb0", "#b4e2d2", "#ecd0e0"];
/// What stays but reaches none of the stable cycles.
const BOUNDED: &str = "#dfe2e6";
const INK: &str = "#1f2328";
const STABLE: &str = "#0072b2";
const UNSTABLE: &str = "#d55e00";
/// Cells of the raster along x and y.
const CELLS: [usize; 2] = [300, 200];
/// Height of the plot, in pixels; a row of the raster is a line a little wider than its share of it.
const HEIGHT: f64 = 560.0;
/// Segments of a manifold that are drawn.
const SEGMENTS: usize = 4000;
/// Segments of a stable manifold without end that are drawn: more would cover the rest.
const STABLE_SEGMENTS: usize = 40;
/// Saddles whose manifolds are drawn.
const SADDLES: usize = 4;

/// What is drawn.
pub struct Portrait {
    /// Its points are the middles of the cells.
    plane: Plane,
    /// The edges of the cells at the ends.
    ranges: [(f64, f64); 2],
    basins: Basins,
    manifolds: Vec<Manifold>,
    /// Points of each cycle on the plane.
    cycles: Vec<(Cycle, Vec<(f64, f64)>)>,
    axes: [String; 2],
    dimension: usize,
}

impl Portrait {
    /// Computes basins and manifolds on the plane of the two coordinates, or for n > 2 of the first two
    /// principal components of the points of the cycles.
    ///
    /// # Errors
    /// Fewer than two dimensions; no cycle.
    pub fn new(map: &Piecewise, found: &Found) -> Result<Self> {
        let n = map.n();
        require(n > 1, "figure of the state space", "n of at least 2", n)?;
        require(!found.cycles.is_empty(), "figure of the state space", "a cycle to draw", "none")?;
        let points: Vec<&Vec<f64>> = found.cycles.iter().flat_map(|cycle| &cycle.orbit).collect();
        let (origin, axes) =
            if n == 2 { (vec![0.0; 2], [vec![1.0, 0.0], vec![0.0, 1.0]]) } else { principal_plane(&points)? };
        let plane = Plane::new(origin, axes, [(0.0, 1.0); 2], CELLS)?;
        let places: Vec<(f64, f64)> = points.iter().map(|z| place(&plane, z)).collect();
        let range = |values: Vec<f64>| {
            let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(a, b), &x| (a.min(x), b.max(x)));
            let room =
                (0.35 * (high - low)).max(0.25 * (1.0 + low.abs().max(high.abs())) * 1e-3_f64.max(0.4));
            (low - room, high + room)
        };
        let ranges = [
            range(places.iter().map(|place| place.0).collect()),
            range(places.iter().map(|place| place.1).collect()),
        ];
        let half = |k: usize| 0.5 * (ranges[k].1 - ranges[k].0) / CELLS[k] as f64;
        let middles = [0, 1].map(|k| (ranges[k].0 + half(k), ranges[k].1 - half(k)));
        let plane = Plane::new(plane.origin, plane.axes, middles, CELLS)?;
        let size = points.iter().flat_map(|z| z.iter()).fold(1.0_f64, |most, z| most.max(z.abs()));
        let corner = ranges.iter().flat_map(|(low, high)| [low.abs(), high.abs()]).fold(0.0, f64::max);
        let stable = found.cycles.iter().filter(|cycle| cycle.stable);
        let stable: Vec<AttractingSet> =
            stable.map(|cycle| AttractingSet::cycle(cycle.orbit.clone(), 1e-6 * size)).collect();
        let bound = 1e4 * (size + corner);
        let basins = basins(map, &plane, &stable, 3000, 1.0, bound, &Watch::default())?;
        let reach = Reach { radius: 2.0 * (size + corner), segments: SEGMENTS };
        let saddles = found.cycles.iter().filter(|cycle| cycle.index > 0 && cycle.index < n).take(SADDLES);
        let manifolds = saddles.map(|cycle| manifolds(map, cycle, &reach)).collect::<Result<Vec<_>>>()?;
        let cycles = found.cycles.iter().map(|cycle| {
            let places = cycle.orbit.iter().map(|z| place(&plane, z)).collect();
            (cycle.clone(), places)
        });
        let axes = match n {
            2 => ["z₁".to_owned(), "z₂".to_owned()],
            _ => ["principal component 1".to_owned(), "principal component 2".to_owned()],
        };
        Ok(Self {
            cycles: cycles.collect(),
            manifolds: manifolds.into_iter().flatten().collect(),
            plane,
            ranges,
            basins,
            axes,
            dimension: n,
        })
    }

    fn caption(&self) -> String {
        let stable = self.cycles.iter().filter(|cycle| cycle.0.stable).count();
        let plane = if self.dimension == 2 { "The state space" } else { "A plane of the state space" };
        format!(
            "{plane}: {} cycles, {stable} of them stable. Light colours: basins of the stable cycles; grey: what stays within bounds but reaches none of them; white: what leaves. Lines: one-dimensional stable (blue) and unstable (vermilion) manifolds of the first saddles{}.",
            self.cycles.len(),
            if self.dimension == 2 { "" } else { ", projected; basins are those of points of the plane" },
        )
    }

    /// The figure.
    #[must_use]
    pub fn figure(&self) -> Figure {
        let mut plots = self.basins();
        plots.extend(self.lines(true));
        plots.extend(self.lines(false));
        plots.extend(self.points());
        let [x, y] = self.ranges;
        let layout = layout(&plots, &self.axes[0], &self.axes[1])
            .with_x_axis_min(x.0)
            .with_x_axis_max(x.1)
            .with_y_axis_min(y.0)
            .with_y_axis_max(y.1)
            .with_legend_position(LegendPosition::OutsideRightTop);
        Figure { name: "cycles", caption: self.caption(), scene: grid(vec![(plots, layout)], HEIGHT) }
    }

    /// Runs of cells of one goal, as lines.
    fn basins(&self) -> Vec<Plot> {
        let ([x, y], [columns, rows]) = (self.ranges, self.plane.size);
        let at = |column: usize| x.0 + (x.1 - x.0) * column as f64 / columns as f64;
        let mut plots = Vec::new();
        let goals: Vec<(Option<usize>, bool)> =
            std::iter::zip(self.basins.labels.iter().copied(), self.basins.escaped.iter().copied()).collect();
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
        let [x, y] = self.ranges;
        let seen = |(a, b): ((f64, f64), (f64, f64))| {
            a.0.max(b.0) > x.0 && a.0.min(b.0) < x.1 && a.1.max(b.1) > y.0 && a.1.min(b.1) < y.1
        };
        for manifold in self.manifolds.iter().filter(|manifold| manifold.stable == stable) {
            let most = if stable && !manifold.complete { STABLE_SEGMENTS } else { SEGMENTS };
            for [a, b] in manifold.segments.iter().take(most) {
                let (a, b) = (place(&self.plane, a), place(&self.plane, b));
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
                    .filter(|(cycle, _)| kind(cycle) == k && (cycle.period == 1) == fixed)
                    .flat_map(|cycle| cycle.1.iter().copied())
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

/// The mean of the points and their first two principal directions; directions that the points leave open are
/// any.
fn principal_plane(points: &[&Vec<f64>]) -> Result<(Vec<f64>, [Vec<f64>; 2])> {
    let n = points[0].len();
    let mean = |i: usize| points.iter().map(|z| z[i]).sum::<f64>() / points.len() as f64;
    let origin: Vec<f64> = (0..n).map(mean).collect();
    let spread = Mat::from_fn(n, points.len(), |i, k| points[k][i] - origin[i]);
    let svd = spread.svd().map_err(|_| Error::Numeric {
        what: "principal components of the cycles".into(),
        reason: "no convergence; are the cycles of reasonable size?".into(),
    })?;
    let axis = |k: usize| (0..n).map(|i| svd.U()[(i, k)]).collect();
    Ok((origin, [axis(0), axis(1)]))
}
