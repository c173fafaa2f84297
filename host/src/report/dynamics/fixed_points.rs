//! The figure of fixed points: where they are, and their eigenvalues.

use faer::Mat;
use kuva::plot::{LegendPosition, ScatterPlot};
use kuva::render::annotations::ReferenceLine;
use kuva::render::plots::Plot;

use super::super::figures::{Figure, GREY, TARGET, colour, grid, layout, line};
use super::{STATE, rate_unit, time_unit};
use crate::Result;
use crate::dynamics::fixed_points::{FixedPoint, FixedPoints, starts};
use crate::dynamics::{Kind, System, spectrum};
use crate::format::results::{Numbers, Results, rows};

/// Figures of what was found; none if nothing was.
///
/// seed: of the trajectories that are drawn.
#[must_use]
pub fn figures(system: &dyn System, found: &FixedPoints, seed: u64) -> Vec<Figure> {
    plane(system, found, seed).into_iter().collect()
}

/// All that is known of the points, as arrays: states, Jacobians, eigenvalues, left and right eigenvectors.
///
/// input: the held one.
///
/// # Errors
/// Eigenvalues at a slow point that do not converge.
pub fn arrays(system: &dyn System, found: &FixedPoints, input: &[f64]) -> Result<Results> {
    let (n, unit) = (system.dimension(), time_unit(system.kind()));
    let rate = rate_unit(system.kind());
    let points = &found.points;
    let (point, neuron, mode) = (("point", points.len()), ("neuron", n), ("mode", n));
    let mut all = Results::new("dynamics fixed-points", found.finished);
    let each = |value: &dyn Fn(&FixedPoint) -> f64| -> Numbers { points.iter().map(value).collect() };
    all.add("input", &[("input", input.len())], STATE, "held input u", input.iter().copied().collect());
    let states = points.iter().flat_map(|point| point.state.iter().copied());
    all.add("states", &[point, neuron], STATE, "fixed points x", states.collect());
    let half_square = |x: &[f64]| {
        let mut residual = vec![0.0; n];
        system.residual(x, &mut residual);
        0.5 * residual.iter().map(|r| r * r).sum::<f64>()
    };
    let (map, flow) = ("half the squared length of f(x) - x", "half the squared length of dx/dt");
    let q = if system.kind() == Kind::Map { map } else { flow };
    all.add("q", &[point], "-", q, each(&|point| half_square(&point.state)));
    all.add("residual", &[point], "-", "largest entry of the residual", each(&|point| point.residual));
    let jacobians = points.iter().flat_map(|point| rows(&point.spectrum.jacobian));
    let of = if system.kind() == Kind::Map { "df_i/dx_j" } else { "d(dx_i/dt)/dx_j" };
    let by = [point, ("neuron i", n), ("neuron j", n)];
    all.add("jacobian", &by, rate, &format!("Jacobian, {of}"), jacobians.collect());
    let values = points.iter().flat_map(|point| point.spectrum.values.iter().copied());
    all.add(
        "eigenvalues",
        &[point, mode],
        rate,
        "eigenvalues, the leading one first: that which grows fastest, else the slowest",
        values.collect(),
    );
    let right = points.iter().flat_map(|point| rows(&point.spectrum.right));
    let by = [point, neuron, mode];
    all.add("right", &by, "-", "right eigenvectors r_k, columns of length 1", right.collect());
    let left = points.iter().flat_map(|point| rows(&point.spectrum.left));
    let meaning = "left eigenvectors l_k, columns; sum over neurons of conj(l_k) r_k is 1";
    all.add("left", &by, "-", meaning, left.collect());
    let constants = points.iter().flat_map(|point| point.spectrum.time_constants.iter().copied());
    let meaning = "time constants of the eigenvalues; below 0: grows";
    all.add("time_constants", &[point, mode], &format!("{unit}s"), meaning, constants.collect());
    let index = points.iter().map(|point| point.index).collect();
    all.add("index", &[point], "-", "number of unstable directions", index);
    let stable = points.iter().map(|point| point.stable).collect();
    all.add("stable", &[point], "-", "whether all directions are stable", stable);
    let signs = points.iter().map(|point| i64::from(point.sign)).collect();
    all.add("sign", &[point], "-", "sign of det(-dr/dx), whose sum tells what is missing", signs);
    let corners = points.iter().map(|point| point.corner).collect();
    all.add("corner", &[point], "-", "whether the Jacobian jumps there: it is that of one side", corners);
    let singular = points.iter().map(|point| point.degenerate).collect();
    all.add("singular", &[point], "-", "whether the residual's Jacobian is singular", singular);
    slow(&mut all, system, found)?;
    if let Some(continuum) = &found.continuum {
        let states = continuum.states.iter().flatten().copied().collect();
        let by = [("place", continuum.states.len()), neuron];
        all.add("continuum_states", &by, STATE, "states of a line or surface of fixed points", states);
    }
    Ok(all)
}

/// The states of points that are all that was found before Ctrl-C.
#[must_use]
pub fn states_alone(states: &[Vec<f64>]) -> Results {
    let mut all = Results::new("dynamics", false);
    let n = states.first().map_or(0, Vec::len);
    let by = [("point", states.len()), ("neuron", n)];
    all.add("states", &by, STATE, "fixed points x", states.iter().flatten().copied().collect());
    all
}

/// Slow points, with the linear dynamics there.
fn slow(all: &mut Results, system: &dyn System, found: &FixedPoints) -> Result<()> {
    let (n, rate) = (system.dimension(), rate_unit(system.kind()));
    let (point, neuron) = (("slow point", found.slow.len()), ("neuron", n));
    let states = found.slow.iter().flat_map(|slow| slow.state.iter().copied()).collect();
    all.add("slow_states", &[point, neuron], STATE, "slow points: local minima of q, not fixed", states);
    let q = found.slow.iter().map(|slow| slow.q).collect();
    all.add("slow_q", &[point], "-", "q there", q);
    let (mut jacobians, mut values) = (Vec::new(), Vec::new());
    for slow in &found.slow {
        let jacobian = spectrum::jacobian(system, &slow.state);
        values.extend(spectrum::of_matrix(system.kind(), jacobian.as_ref())?);
        jacobians.extend(rows(&jacobian));
    }
    let by = [point, ("neuron i", n), ("neuron j", n)];
    all.add("slow_jacobian", &by, rate, "Jacobian there", Numbers::Real(jacobians));
    let by = [point, ("mode", n)];
    all.add("slow_eigenvalues", &by, rate, "its eigenvalues, slowest first", Numbers::Complex(values));
    Ok(())
}

/// States projected to two directions.
struct Plane {
    mean: Vec<f64>,
    /// n × 2.
    axes: Mat<f64>,
    /// Part of the variance along each.
    parts: [f64; 2],
}

impl Plane {
    /// The first two principal components of states.
    fn of(states: &[&[f64]]) -> Option<Self> {
        let n = states.first()?.len();
        let mean: Vec<f64> =
            (0..n).map(|i| states.iter().map(|x| x[i]).sum::<f64>() / states.len() as f64).collect();
        let rows = Mat::from_fn(states.len().max(2), n.max(2), |k, i| {
            if i < n { states.get(k).map_or(0.0, |x| x[i] - mean[i]) } else { 0.0 }
        });
        let svd = rows.svd().ok()?;
        let (v, s) = (svd.V(), svd.S());
        let axes = Mat::from_fn(n, 2, |i, k| v[(i, k)]);
        let all: f64 = (0..rows.nrows().min(rows.ncols())).map(|k| s[k] * s[k]).sum();
        Some(Self { mean, axes, parts: [0, 1].map(|k| s[k] * s[k] / all.max(f64::MIN_POSITIVE)) })
    }

    fn place(&self, x: &[f64]) -> (f64, f64) {
        let along = |k: usize| (0..x.len()).map(|i| (x[i] - self.mean[i]) * self.axes[(i, k)]).sum();
        (along(0), along(1))
    }
}

/// Colour of an index; stable points are blue.
fn of_index(index: usize) -> &'static str {
    if index < 4 { colour(index) } else { GREY }
}

fn name(index: usize) -> String {
    if index == 0 { "stable".into() } else { format!("index {index}") }
}

/// Scatters of the points of each index, with their legend.
fn by_index(
    found: &FixedPoints,
    legend: bool,
    places: impl Fn(&FixedPoint) -> Vec<(f64, f64)>,
    size: f64,
) -> Vec<Plot> {
    let indices = (0..found.histogram().len()).rev();
    let scatter = |index: usize| {
        let points: Vec<(f64, f64)> =
            found.points.iter().filter(|point| point.index == index).flat_map(&places).collect();
        let plot = ScatterPlot::new().with_data(points.clone()).with_color(of_index(index)).with_size(size);
        let plot = if legend { plot.with_legend(name(index)) } else { plot };
        (!points.is_empty()).then_some(Plot::Scatter(plot))
    };
    indices.filter_map(scatter).collect()
}

fn plane(system: &dyn System, found: &FixedPoints, seed: u64) -> Option<Figure> {
    let mut states: Vec<&[f64]> = found.points.iter().map(|point| point.state.as_slice()).collect();
    states.extend(found.slow.iter().map(|point| point.state.as_slice()));
    states.extend(found.continuum.iter().flat_map(|line| line.states.iter().map(Vec::as_slice)));
    let trajectories = starts::paths(system, 1.0, 24, 120, seed);
    // Principal components of the trajectories where the points alone do not span a plane.
    let spanning: Vec<&[f64]> =
        trajectories.iter().flat_map(|path| path.iter().skip(10).map(Vec::as_slice)).collect();
    let few = states.len() < 3 && !spanning.is_empty();
    let plane = Plane::of(if few { &spanning } else { &states })?;
    let whose = if few { "the trajectories'" } else { "their" };
    if states.is_empty() {
        return None;
    }
    let mut plots: Vec<Plot> = trajectories
        .iter()
        .map(|path| Plot::Line(line(path.iter().map(|x| plane.place(x)).collect(), TARGET, 0.7)))
        .collect();
    let marks = |points: Vec<(f64, f64)>, colour: &str, size: f64, legend: &str| {
        Plot::Scatter(
            ScatterPlot::new().with_data(points).with_color(colour).with_size(size).with_legend(legend),
        )
    };
    if let Some(continuum) = &found.continuum {
        let points = continuum.states.iter().map(|x| plane.place(x)).collect();
        plots.push(marks(points, GREY, 2.5, "continuum"));
    }
    if !found.slow.is_empty() {
        plots.push(marks(
            found.slow.iter().map(|x| plane.place(&x.state)).collect(),
            "#000000",
            3.0,
            "slow, not fixed",
        ));
    }
    plots.extend(by_index(found, true, |point| vec![plane.place(&point.state)], 5.0));
    let label = |k: usize| format!("principal component {} ({:.0} %)", k + 1, 100.0 * plane.parts[k]);
    let first = layout(&plots, &label(0), &label(1))
        .with_ticks(5)
        .with_legend_position(LegendPosition::OutsideRightTop);

    let values =
        |point: &FixedPoint| point.spectrum.values.iter().map(|value| (value.re, value.im)).collect();
    let mut spectra = Vec::new();
    if found.kind == Kind::Map {
        let angle = |k: i32| std::f64::consts::TAU * f64::from(k) / 200.0;
        spectra.push(Plot::Line(line(
            (0..=200).map(|k| (angle(k).cos(), angle(k).sin())).collect(),
            GREY,
            1.0,
        )));
    }
    spectra.extend(by_index(found, false, values, 2.2));
    let mut second = layout(&spectra, "Re lambda", "Im lambda").with_ticks(5);
    second = match found.kind {
        Kind::Flow => second.with_reference_line(ReferenceLine::vertical(0.0).with_color(GREY)),
        Kind::Map => second.with_equal_aspect(),
    };
    let mut cells = vec![(plots, first)];
    if !found.points.is_empty() {
        cells.push((spectra, second));
    }
    let border = if found.kind == Kind::Map { "the unit circle" } else { "the imaginary axis" };
    let histogram = found.histogram();
    let counts = histogram.iter().enumerate().filter(|(_, count)| **count > 0);
    let counts: Vec<String> = counts.map(|(index, count)| format!("{count} {}", name(index))).collect();
    let more = match (&found.continuum, found.slow.len()) {
        (Some(continuum), _) => format!(" A continuum of fixed points of dimension {}.", continuum.dimension),
        (None, 0) => String::new(),
        (None, slow) => format!(" {slow} slow points, local minima of the speed that are not fixed points."),
    };
    let caption = format!(
        "Fixed points ({}) in the plane of {whose} first two principal components, with trajectories from random states in grey; their eigenvalues against {border}.{more}",
        counts.join(", ")
    );
    Some(Figure { name: "fixed-points", caption, scene: grid(cells, 360.0) })
}
