//! Line, ring and plane attractors, defined by the reduced dynamics.
//!
//! A curve that attracts is an attractor of its own points where the reduced speed is 0 everywhere: a
//! continuum of fixed points. In numbers: no place moves faster than a bound near rounding. Where the speed
//! is below a looser bound over most of the length, the curve is *slow*: a memory for a stated time, made of
//! separate fixed points, nodes and saddles in turn. Else it is a chain of nodes and saddles. The same is said
//! of a surface, whose length is its diameter. The bounds are part of the verdict.

use std::f64::consts::TAU;
use std::iter::zip;

use faer::{Mat, c64};
use rayon::prelude::*;
use serde::Serialize;

use super::chebyshev::Interval;
use super::curve::{SlowManifold, follow};
use super::ring::Ring;
use super::surface::{Surface, rim};
use crate::Result;
use crate::dynamics::fixed_points::nearest;
use crate::dynamics::spectrum::{eigenvalues, index, normal_rate, of_matrix};
use crate::dynamics::stepper::advanced;
use crate::dynamics::vector::{distance, moved, norm, square_distance};
use crate::dynamics::{Kind, System};

/// A curve with two ends or closed, or a surface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// Between two fixed points.
    Line,
    /// Closed.
    Ring,
    /// A surface around a fixed point.
    Plane,
}

impl Shape {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Ring => "ring",
            Self::Plane => "plane",
        }
    }
}

/// What a curve is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// A continuum of fixed points: a line, ring or plane attractor.
    Attractor,
    /// Slow over the stated part of its length or area, with separate fixed points.
    Slow,
    /// Nodes and saddles with fast flow between them.
    Chain,
    /// A closed curve without fixed points that is not slow.
    Cycle,
    /// States leave it sideways.
    Repelling,
    /// States beside the curve neither come nor go, as on a plane of fixed points.
    Neutral,
}

/// The bounds that a verdict is by. Lengths are parts of the whole curve or of the diameter of a plane, times those of
/// the system.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bounds {
    /// Lengths per time below which nothing moves.
    pub exact: f64,
    /// Lengths per time below which it is slow.
    pub slow: f64,
    /// Part of the length or area that has to be slow.
    pub range: f64,
    /// Part of the length that counts as drifted.
    pub drift: f64,
    /// Longest time looked at.
    pub horizon: f64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { exact: 1e-9, slow: 0.01, range: 0.8, drift: 0.1, horizon: 1000.0 }
    }
}

/// A true fixed point on a curve or surface.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    /// p of a line, the angle of a ring, |p| on a plane.
    pub place: f64,
    /// "node" without growing directions, else "saddle".
    pub name: &'static str,
    /// Growing directions.
    pub index: usize,
    /// The leading eigenvalue of the network and the next, real and imaginary part; on a plane those of dr/dp.
    pub eigenvalues: Vec<(f64, f64)>,
    /// Largest entry of F(x), of f(x) - x for a map.
    pub residual: f64,
    /// Distance in the largest entry from the curve's or surface's own state at the place.
    pub distance: f64,
    /// The state, n.
    pub x: Vec<f64>,
}

/// Time until a state has drifted by the stated part of the length; `None` where it does not within the
/// horizon.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Drift {
    /// Over starts evenly along the curve or the surface: the least time.
    pub shortest: Option<f64>,
    /// That of the middle start in order of time.
    pub median: Option<f64>,
    /// Part of the starts that never drift so far within the horizon.
    pub stay: f64,
}

/// What a curve or surface of slow states is, and how well it keeps a place.
#[derive(Clone, Debug, Serialize)]
pub struct Attractor {
    /// Line, ring or plane.
    pub shape: Shape,
    /// The verdict.
    pub verdict: Verdict,
    /// The verdict in words, with bounds and points.
    pub sentence: String,
    /// What it is by.
    pub bounds: Bounds,
    /// Length in state space; of a plane its diameter, the largest distance across.
    pub length: f64,
    /// Fastest place, in lengths per time.
    pub largest_speed: f64,
    /// Part of the length, of a plane of the area, that is slow.
    pub slow_part: f64,
    /// (place, signed speed in state space per time), evenly in the place; of a plane the largest speed at a distance
    /// |p| from its fixed point.
    pub profile: Vec<(f64, f64)>,
    /// Growth rate of the slowest direction across the curve or surface; negative if it attracts.
    pub normal_rate: f64,
    /// Fastest growth or decay along it, |dr/dp|.
    pub tangential_rate: f64,
    /// Fixed points on it, by place; none are listed of a continuum, also of a line of them on a plane.
    pub points: Vec<Point>,
    /// Time to drift.
    pub drift: Drift,
    /// (time, root mean square of the distance from the start, along a curve or straight on a plane, in lengths).
    pub memory: Vec<(f64, f64)>,
}

/// Either curve as a speed over a place.
struct Curve<'a> {
    shape: Shape,
    kind: Kind,
    range: Interval,
    speed: &'a (dyn Fn(f64) -> f64 + Sync),
    state: &'a dyn Fn(f64) -> Vec<f64>,
    tangent: &'a dyn Fn(f64) -> Vec<f64>,
    covector: &'a dyn Fn(&[f64]) -> Vec<f64>,
    place: &'a dyn Fn(&[f64]) -> f64,
    roots: Vec<f64>,
}

/// Growth rate across a curve that is 0 up to rounding.
const NEUTRAL: f64 = 1e-9;
/// Distance of an eigenvalue from that of a direction in which fixed points go on.
const ON_LINE: f64 = 1e-6;
/// Samples of a profile.
const SAMPLES: usize = 512;
/// Starts of drift and memory.
const STARTS: usize = 64;
/// Places at which attraction across the curve is measured.
const ACROSS: usize = 17;
/// Rings of places on a surface, and half of the angles on each.
const RINGS: usize = 24;
const ANGLES: usize = 16;

impl Attractor {
    /// The verdict on a slow manifold between fixed points.
    ///
    /// # Errors
    /// Eigenvalues that do not converge.
    pub fn of_line(system: &dyn System, line: &SlowManifold, bounds: &Bounds) -> Result<Self> {
        Self::of_curve(
            system,
            &Curve {
                shape: Shape::Line,
                kind: line.kind,
                range: line.range,
                speed: &|p| line.speed(p),
                state: &|p| line.state(p),
                tangent: &|p| line.tangent(p),
                covector: &|_| line.frame.left.clone(),
                place: &|x| line.frame.coordinate(x),
                roots: line.roots(),
            },
            bounds,
        )
    }

    /// The verdict on a closed curve.
    ///
    /// # Errors
    /// Eigenvalues that do not converge.
    pub fn of_ring(system: &dyn System, ring: &Ring, bounds: &Bounds) -> Result<Self> {
        Self::of_curve(
            system,
            &Curve {
                shape: Shape::Ring,
                kind: ring.kind,
                range: Interval { low: 0.0, high: TAU },
                speed: &|theta| ring.speed(theta),
                state: &|theta| ring.state(theta),
                tangent: &|theta| ring.tangent(theta),
                covector: &|x| ring.covector(x),
                place: &|x| ring.angle(x),
                roots: ring.roots(),
            },
            bounds,
        )
    }

    fn of_curve(system: &dyn System, curve: &Curve<'_>, bounds: &Bounds) -> Result<Self> {
        let places: Vec<f64> = curve.range.even(SAMPLES + 1).collect();
        let stretch: Vec<f64> = places.iter().map(|&p| norm(&(curve.tangent)(p))).collect();
        let profile: Vec<(f64, f64)> =
            zip(&places, &stretch).map(|(&p, stretch)| (p, (curve.speed)(p) * stretch)).collect();
        let width = (curve.range.high - curve.range.low) / SAMPLES as f64;
        let pieces: Vec<f64> =
            stretch.windows(2).map(|ends| width * f64::midpoint(ends[0], ends[1])).collect();
        let length: f64 = pieces.iter().sum();
        let relative = |at: usize| (profile[at].1 / length).abs();
        let largest_speed = (0..=SAMPLES).map(relative).fold(0.0, f64::max);
        let slow: f64 = (0..SAMPLES)
            .filter(|&k| relative(k).max(relative(k + 1)) <= bounds.slow)
            .map(|k| pieces[k])
            .sum();
        let mut normal = f64::NEG_INFINITY;
        for p in curve.range.even(ACROSS) {
            let x = (curve.state)(p);
            normal = normal.max(normal_rate(system, &x, &[(curve.tangent)(p)], &[(curve.covector)(&x)])?);
        }
        let tangential_rate = places
            .windows(2)
            .map(|ends| ((curve.speed)(ends[1]) - (curve.speed)(ends[0])).abs() / width)
            .fold(0.0, f64::max);
        let exact = largest_speed <= bounds.exact;
        let mut points = Vec::new();
        for &root in curve.roots.iter().filter(|_| !exact) {
            points.extend(point(system, curve, root, 0.1 * length)?);
        }
        let (drift, memory) = kept(curve, &pieces, bounds);
        let mut found = Self {
            shape: curve.shape,
            verdict: verdict(normal, exact, slow >= bounds.range * length, curve.roots.is_empty()),
            sentence: String::new(),
            bounds: *bounds,
            length,
            largest_speed,
            slow_part: slow / length,
            profile,
            normal_rate: normal,
            tangential_rate,
            points,
            drift,
            memory,
        };
        found.sentence = found.words(false);
        Ok(found)
    }

    /// The verdict on a surface.
    ///
    /// Its speed is that of the network on it, |F(x(p))| of a flow, |f(x(p)) - x(p)| of a map; the part of the area that
    /// is slow is by places evenly in the disc of p.
    ///
    /// # Errors
    /// Eigenvalues that do not converge.
    pub fn of_surface(system: &dyn System, surface: &Surface, bounds: &Bounds) -> Result<Self> {
        let outer: Vec<Vec<f64>> = rim(2 * ANGLES, surface.reach).iter().map(|p| surface.state(p)).collect();
        let across = |k: usize| square_distance(&outer[k], &outer[k + ANGLES]).sqrt();
        let length = (0..ANGLES).map(across).fold(0.0, f64::max);
        let mut rest = vec![0.0; system.dimension()];
        let mut speed = |p: &[f64]| {
            system.residual(&surface.state(p), &mut rest);
            norm(&rest)
        };
        let (mut profile, mut slow, mut whole) = (Vec::new(), 0.0, 0.0);
        for ring in 0..=RINGS {
            let distance = surface.reach * ring as f64 / RINGS as f64;
            let speeds: Vec<f64> = rim(2 * ANGLES, distance).iter().map(|p| speed(p)).collect();
            let share = speeds.iter().filter(|speed| **speed <= bounds.slow * length).count() as f64;
            // The area that belongs to a ring grows with its distance.
            slow += distance * share / speeds.len() as f64;
            whole += distance;
            profile.push((distance, speeds.into_iter().fold(0.0, f64::max)));
        }
        let largest_speed = profile.iter().map(|point| point.1).fold(0.0, f64::max) / length;
        let exact = largest_speed <= bounds.exact;
        let places: Vec<Vec<f64>> = [0.0, 0.5, 1.0]
            .into_iter()
            .flat_map(|part| rim(if part == 0.0 { 1 } else { 8 }, part * surface.reach))
            .collect();
        let (mut normal, mut tangential) = (f64::NEG_INFINITY, 0.0_f64);
        for p in &places {
            let x = surface.state(p);
            normal = normal.max(normal_rate(system, &x, &surface.tangents(p), &surface.covectors())?);
            let fastest = slope(surface, p).singular_values().map_or(f64::NAN, |values| values[0]);
            tangential = tangential.max(fastest);
        }
        let mut points = if exact { Vec::new() } else { rests(system, surface, &places, 0.1 * length)? };
        // Newton's method ends on a line of fixed points wherever it comes to it.
        let line = points.iter().filter(|point| point.is_neutral(surface.kind)).count() > 1;
        if line {
            points.clear();
        }
        let slow_part = slow / whole;
        let (drift, memory) = stays(surface, length, bounds);
        let mut found = Self {
            shape: Shape::Plane,
            verdict: verdict(normal, exact, slow_part >= bounds.range, false),
            sentence: String::new(),
            bounds: *bounds,
            length,
            largest_speed,
            slow_part,
            profile,
            normal_rate: normal,
            tangential_rate: tangential,
            points,
            drift,
            memory,
        };
        found.sentence = found.words(line);
        Ok(found)
    }

    /// Whether it is a line, ring or plane attractor: a continuum of fixed points.
    #[must_use]
    pub fn is_attractor(&self) -> bool {
        self.verdict == Verdict::Attractor
    }

    /// line: whether there is a line of fixed points on a surface.
    fn words(&self, line: bool) -> String {
        let shape = self.shape.name();
        let (extent, space) = match self.shape {
            Shape::Plane => ("area", "in a space"),
            _ => ("length", "on a plane"),
        };
        let count = |name: &str| match self.points.iter().filter(|point| point.name == name).count() {
            1 => format!("1 {name}"),
            count => format!("{count} {name}s"),
        };
        let chain = match self.points.len() {
            0 if self.largest_speed <= self.bounds.exact => "every state on it stays".into(),
            0 if line => format!("a line of fixed points in the {shape}"),
            0 if self.shape == Shape::Ring => "no fixed point on it: states go round".into(),
            0 => "no fixed point found on it".into(),
            1 => format!("1 fixed point on it, a {}", self.points[0].name),
            points => format!("{points} fixed points on it, {} and {}", count("node"), count("saddle")),
        };
        let Bounds { exact, slow, .. } = self.bounds;
        match self.verdict {
            Verdict::Attractor => {
                format!(
                    "{shape} attractor: nowhere faster than {exact:.0e} lengths per time, every state on it stays"
                )
            }
            Verdict::Slow => format!(
                "not a {shape} attractor but a slow {shape}: below {slow} lengths per time over {:.0} % of its {extent}; {chain}",
                100.0 * self.slow_part
            ),
            Verdict::Chain => format!(
                "not a {shape} attractor{}: below {slow} lengths per time over {:.0} % of its {extent}; {chain}",
                if self.points.len() < 2 { "" } else { " but a chain of nodes and saddles" },
                100.0 * self.slow_part
            ),
            Verdict::Cycle => format!("not a {shape} attractor but a cycle: no fixed point on it"),
            Verdict::Neutral => format!(
                "not a {shape} attractor but neutral across it: states beside it stay beside it, as {space} of fixed points; {chain}"
            ),
            Verdict::Repelling => format!(
                "not a {shape} attractor: states leave it sideways, at the rate {:.2e}; {chain}",
                self.normal_rate
            ),
        }
    }
}

fn verdict(normal: f64, exact: bool, slow: bool, restless: bool) -> Verdict {
    match () {
        () if normal > NEUTRAL => Verdict::Repelling,
        () if normal >= -NEUTRAL => Verdict::Neutral,
        () if exact => Verdict::Attractor,
        () if slow => Verdict::Slow,
        () if restless => Verdict::Cycle,
        () => Verdict::Chain,
    }
}

/// Steps to the horizon, and the time of one.
fn steps(kind: Kind, bounds: &Bounds) -> (usize, f64) {
    let whole = if kind == Kind::Map { bounds.horizon as usize } else { 2 * bounds.horizon as usize };
    let steps = whole.clamp(1, 100_000);
    (steps, if kind == Kind::Map { 1.0 } else { bounds.horizon / steps as f64 })
}

/// dr/dp on a surface, by central differences: at a corner the mean of both sides.
fn slope(surface: &Surface, p: &[f64]) -> Mat<f64> {
    let h = 1e-5 * surface.reach;
    let column = |k: usize| {
        let beside = |by: f64| {
            let mut p = p.to_vec();
            p[k] += by;
            surface.speed(&p)
        };
        zip(beside(h), beside(-h)).map(|(high, low)| (high - low) / (2.0 * h)).collect::<Vec<f64>>()
    };
    let columns = [column(0), column(1)];
    Mat::from_fn(2, 2, |i, k| columns[k][i])
}

/// The fixed points on a surface that Newton's method finds from states on it.
fn rests(system: &dyn System, surface: &Surface, places: &[Vec<f64>], within: f64) -> Result<Vec<Point>> {
    let mut points: Vec<Point> = Vec::new();
    for p in places {
        let Some((x, residual)) = nearest(system, &surface.state(p)) else { continue };
        let at = surface.coordinates(&x);
        let off = distance(&x, &surface.state(&at));
        let known = points.iter().any(|point| distance(&point.x, &x) <= 1e-4 * within);
        if known || off > within || norm(&at) > surface.reach * (1.0 + 1e-9) {
            continue;
        }
        let mut values = slope(surface, &at);
        if surface.kind == Kind::Map {
            (0..2).for_each(|i| values[(i, i)] += 1.0);
        }
        let values = of_matrix(surface.kind, values.as_ref())?;
        points.push(Point { distance: off, ..Point::of(surface.kind, norm(&at), &values, residual, x) });
    }
    points.sort_by(|a, b| a.place.total_cmp(&b.place));
    Ok(points)
}

/// Drift and memory of places evenly on a surface.
fn stays(surface: &Surface, length: f64, bounds: &Bounds) -> (Drift, Vec<(f64, f64)>) {
    let (steps, h) = steps(surface.kind, bounds);
    // Along a spiral of golden angles, which fills the disc evenly.
    let start = |k: usize| {
        let (distance, angle) =
            (surface.reach * ((k as f64 + 0.5) / STARTS as f64).sqrt(), 2.399_963 * k as f64);
        vec![distance * angle.cos(), distance * angle.sin()]
    };
    let next = |p: Vec<f64>| {
        surface.clamped(match surface.kind {
            Kind::Map => moved(&p, 1.0, &surface.speed(&p)),
            Kind::Flow => advanced(Kind::Flow, |p| surface.speed(p), &p, h),
        })
    };
    let moves: Vec<Vec<f64>> = (0..STARTS)
        .into_par_iter()
        .map(|k| {
            let from = surface.state(&start(k));
            let path = std::iter::successors(Some(start(k)), |p| Some(next(p.clone())));
            let far = |p: Vec<f64>| square_distance(&surface.state(&p), &from).sqrt() / length;
            path.take(steps + 1).map(far).collect()
        })
        .collect();
    summed(&moves, h, bounds)
}

/// Drift and memory from starts evenly along the place.
fn kept(curve: &Curve<'_>, pieces: &[f64], bounds: &Bounds) -> (Drift, Vec<(f64, f64)>) {
    let mut arcs = vec![0.0];
    for piece in pieces {
        arcs.push(arcs[arcs.len() - 1] + piece);
    }
    let length = arcs[pieces.len()];
    let width = (curve.range.high - curve.range.low) / pieces.len() as f64;
    // Length from the start of the curve; a ring counts its turns.
    let (low, shape) = (curve.range.low, curve.shape);
    let arc = |p: f64| {
        let at = (p - low) / width;
        let turns = if shape == Shape::Ring { (at / pieces.len() as f64).floor() } else { 0.0 };
        let at = (at - turns * pieces.len() as f64).clamp(0.0, pieces.len() as f64);
        let k = (at as usize).min(pieces.len() - 1);
        turns * length + arcs[k] + (at - k as f64) * pieces[k]
    };
    let range = match curve.shape {
        Shape::Line | Shape::Plane => curve.range,
        Shape::Ring => Interval { low: f64::NEG_INFINITY, high: f64::INFINITY },
    };
    let (steps, h) = steps(curve.kind, bounds);
    let ends = if curve.shape == Shape::Line { STARTS + 2 } else { STARTS + 1 };
    let starts: Vec<f64> = curve.range.even(ends).skip(1).take(STARTS).collect();
    let (kind, speed) = (curve.kind, curve.speed);
    let moves: Vec<Vec<f64>> = starts
        .par_iter()
        .map(|&start| {
            let from = arc(start);
            let path = follow(kind, range, speed, start, bounds.horizon, steps);
            path.into_iter().map(|p| (arc(p) - from).abs() / length).collect()
        })
        .collect();
    summed(&moves, h, bounds)
}

/// Drift and memory from how far every start has moved, in lengths, after 0, h, 2 h, ...
fn summed(moves: &[Vec<f64>], h: f64, bounds: &Bounds) -> (Drift, Vec<(f64, f64)>) {
    let (starts, steps) = (moves.len(), moves[0].len() - 1);
    let mut times: Vec<f64> = moves
        .iter()
        .map(|moved| moved.iter().position(|m| *m >= bounds.drift).map_or(f64::INFINITY, |k| k as f64 * h))
        .collect();
    times.sort_unstable_by(f64::total_cmp);
    let within = |time: f64| Some(time).filter(|time| time.is_finite());
    let stay = times.iter().filter(|time| time.is_infinite()).count() as f64 / starts as f64;
    let drift = Drift { shortest: within(times[0]), median: within(times[starts / 2]), stay };
    // About eight times a factor of ten.
    let mut shown: Vec<usize> =
        (0..48).map(|k| 10_f64.powf(f64::from(k) / 8.0) as usize).filter(|k| *k <= steps).collect();
    shown.dedup();
    let rms = |k: usize| (moves.iter().map(|moved| moved[k] * moved[k]).sum::<f64>() / starts as f64).sqrt();
    (drift, shown.into_iter().map(|k| (k as f64 * h, rms(k))).collect())
}

/// The true fixed point at a root of the reduced speed, by Newton's method in the whole system; none if there
/// is none `within` a distance of the curve's state.
fn point(system: &dyn System, curve: &Curve<'_>, root: f64, within: f64) -> Result<Option<Point>> {
    let start = (curve.state)(root);
    let found = nearest(system, &start).filter(|(x, _)| distance(x, &start) <= within);
    let Some((x, residual)) = found else { return Ok(None) };
    let values = eigenvalues(system, &x)?;
    let place = (curve.place)(&x);
    let off = distance(&x, &(curve.state)(place));
    Ok(Some(Point { distance: off, ..Point::of(curve.kind, place, &values, residual, x) }))
}

impl Point {
    /// Whether there may be others right beside it.
    fn is_neutral(&self, kind: Kind) -> bool {
        let at = if kind == Kind::Map { 1.0 } else { 0.0 };
        self.eigenvalues.iter().any(|(re, im)| (re - at).hypot(*im) <= ON_LINE)
    }

    /// A fixed point with its eigenvalues.
    fn of(kind: Kind, place: f64, values: &[c64], residual: f64, x: Vec<f64>) -> Self {
        let index = index(kind, values);
        Self {
            place,
            name: if index == 0 { "node" } else { "saddle" },
            index,
            eigenvalues: values.iter().take(2).map(|value| (value.re, value.im)).collect(),
            residual,
            distance: 0.0,
            x,
        }
    }
}
