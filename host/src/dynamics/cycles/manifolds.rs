//! One-dimensional stable and unstable manifolds of saddles, as line segments.
//!
//! In its regions a cycle's manifold is a line along an eigenvector. Images of a segment of it, cut where a
//! gate changes its piece, are segments again: so the whole unstable manifold comes, exactly to rounding,
//! from one piece of the line that the map carries just beyond itself. The stable manifold comes by
//! preimages, region by region: all of them, where the map has several.

use std::iter::zip;
use std::sync::atomic::{AtomicBool, Ordering};

use faer::Mat;
use faer::prelude::Solve;
use rayon::prelude::*;
use serde::Serialize;

use super::cycle::{Cycle, product};
use super::regions::Graph;
use super::{Piecewise, Region, System};
use crate::dynamics::vector::{distance, largest, moved};
use crate::error::require;
use crate::{Error, Result};

/// How far manifolds are followed.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    /// The largest |z|: parts beyond are cut off, and what comes back from there is not found.
    pub radius: f64,
    /// Segments of one manifold.
    pub segments: usize,
}

impl Reach {
    /// Four times as far as the points of cycles, at least 1.
    #[must_use]
    pub fn around(cycles: &[Cycle], segments: usize) -> Self {
        let far = cycles.iter().flat_map(|cycle| &cycle.orbit).map(|z| largest(z)).fold(0.25, f64::max);
        Self { radius: 4.0 * far, segments }
    }
}

/// A segment: its two ends, n numbers each.
pub type Segment = [Vec<f64>; 2];

/// A one-dimensional manifold of a cycle.
#[derive(Clone, Debug, Serialize)]
pub struct Manifold {
    /// Whether it is the stable one.
    pub stable: bool,
    /// Its eigenvalue of the product of the k Jacobians.
    pub eigenvalue: f64,
    /// The manifolds of all points of the cycle.
    pub segments: Vec<Segment>,
    /// Normal (left eigenvector) of the other manifold, which has dimension n - 1: within the regions of the
    /// cycle it is the plane normal · (z - z_0) = 0.
    pub normal: Vec<f64>,
    /// False if segments ran out, or a preimage is more than a line.
    pub complete: bool,
}

/// A manifold with the number of its cycle in a list.
#[derive(Clone, Debug, Serialize)]
pub struct OfCycle {
    /// Number of the cycle, from 0.
    pub cycle: usize,
    /// Its manifold.
    #[serde(flatten)]
    pub manifold: Manifold,
}

/// The one-dimensional manifolds of all saddles, fixed points and cycles, of a list; once `stop` is true, those that
/// are done.
///
/// # Errors
/// As [`manifolds`].
pub fn of_saddles(
    map: &Piecewise,
    cycles: &[Cycle],
    reach: &Reach,
    stop: &AtomicBool,
) -> Result<Vec<OfCycle>> {
    let saddle = |cycle: &Cycle| cycle.index > 0 && cycle.index < map.n();
    if !cycles.iter().any(saddle) {
        return Ok(Vec::new());
    }
    let inverses = inverses(map)?;
    let of = |(number, cycle): (usize, &Cycle)| -> Result<Vec<OfCycle>> {
        if stop.load(Ordering::Relaxed) {
            return Ok(Vec::new());
        }
        let manifolds = of_cycle(map, cycle, reach, inverses.as_deref())?;
        Ok(manifolds.into_iter().map(|manifold| OfCycle { cycle: number, manifold }).collect())
    };
    let all: Result<Vec<Vec<OfCycle>>> = cycles.par_iter().enumerate().map(of).collect();
    Ok(all?.into_iter().flatten().collect())
}

/// The stable and the unstable manifold of a saddle, those of them that are one-dimensional.
///
/// Where a map has too many regions to take preimages in, the stable manifold is the part of the line that stays in
/// the regions of the cycle, and not complete. A cycle on a border has none that begins as a line.
///
/// # Errors
/// A radius that is not above 0; singular values that do not converge.
pub fn manifolds(map: &Piecewise, cycle: &Cycle, reach: &Reach) -> Result<Vec<Manifold>> {
    if cycle.border || cycle.index == 0 || cycle.index == map.n() {
        return Ok(Vec::new());
    }
    of_cycle(map, cycle, reach, inverses(map)?.as_deref())
}

fn of_cycle(
    map: &Piecewise,
    cycle: &Cycle,
    reach: &Reach,
    inverses: Option<&[Inverse]>,
) -> Result<Vec<Manifold>> {
    require(reach.radius > 0.0 && reach.radius.is_finite(), "radius", "above 0 and finite", reach.radius)?;
    let n = map.n();
    let mut found = Vec::new();
    if cycle.border || cycle.index == 0 || cycle.index == n {
        return Ok(found);
    }
    let m = product(map, &cycle.regions);
    for stable in [false, true] {
        let mut sided = cycle
            .eigenvalues
            .iter()
            .filter(|&&(re, im)| (re.hypot(im) < 1.0) == stable && re.hypot(im) != 1.0);
        if let (Some(&(eigenvalue, 0.0)), None) = (sided.next(), sided.next()) {
            let along = null_vector(&(&m - eigenvalue * Mat::<f64>::identity(n, n)))?;
            let normal = null_vector(&(m.transpose() - eigenvalue * Mat::<f64>::identity(n, n)))?;
            let (segments, complete) = if stable {
                inward(map, cycle, eigenvalue, &along, (reach, inverses))
            } else {
                outward(map, cycle, eigenvalue, &along, reach)
            };
            found.push(Manifold { stable, eigenvalue, segments, normal, complete });
        }
    }
    Ok(found)
}

/// The direction that a singular matrix takes to 0, of length 1.
fn null_vector(m: &Mat<f64>) -> Result<Vec<f64>> {
    let n = m.nrows();
    let svd = m.svd().map_err(|_| Error::Numeric {
        what: "direction of a manifold".into(),
        reason: "no convergence of singular values; are the weights of reasonable size?".into(),
    })?;
    Ok((0..n).map(|i| svd.V()[(i, n - 1)]).collect())
}

fn image(map: &Piecewise, z: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; z.len()];
    map.value(z, &mut out);
    out
}

/// How far one may go from the first point of a cycle along `d` so that `steps` steps stay in its regions and
/// |z| within the radius.
fn straight(map: &Piecewise, cycle: &Cycle, d: &[f64], steps: usize, radius: f64) -> f64 {
    let mut far = zip(&cycle.orbit[0], d)
        .filter(|(_, d)| **d != 0.0)
        .map(|(z, d)| (radius - z * d.signum()) / d.abs())
        .fold(f64::INFINITY, f64::min);
    let mut d = d.to_vec();
    for t in 0..steps {
        let (z, region) = (&cycle.orbit[t % cycle.period], &cycle.regions[t % cycle.period]);
        let (gates, beyond) = (map.gates(z), map.gates(&moved(z, 1.0, &d)));
        for ((p, q), &piece) in zip(zip(gates, beyond), &region.0) {
            let piece = map.pieces[usize::from(piece)];
            let border = if q > p { piece.to } else { piece.from };
            if q != p && border.is_finite() {
                far = far.min(((border - p) / (q - p)).max(0.0));
            }
        }
        let affine = map.affine(region);
        d = (0..d.len()).map(|i| (0..d.len()).map(|j| affine[(i, j)] * d[j]).sum()).collect();
    }
    far.max(0.0)
}

/// The part of a segment where all of (value at its start, value at its end, least, greatest) hold; `None` if
/// none.
fn clip(segment: &Segment, bounds: impl Iterator<Item = (f64, f64, f64, f64)>) -> Option<Segment> {
    let (mut from, mut to) = (0.0_f64, 1.0_f64);
    for (start, end, least, greatest) in bounds {
        for (start, end) in [(start - least, end - least), (greatest - start, greatest - end)] {
            match (start < 0.0, end < 0.0) {
                (true, true) => return None,
                (true, false) => from = from.max(start / (start - end)),
                (false, true) => to = to.min(start / (start - end)),
                (false, false) => {}
            }
        }
    }
    let [a, b] = segment;
    let at = |s: f64| if s == 1.0 { b.clone() } else { zip(a, b).map(|(a, b)| a + s * (b - a)).collect() };
    (from < to).then(|| [at(from), at(to)])
}

/// The part within the radius, unless it is too short to matter.
fn within(segment: &Segment, radius: f64) -> Option<Segment> {
    let [a, b] = segment;
    let part = clip(segment, zip(a, b).map(|(&a, &b)| (a, b, -radius, radius)))?;
    (distance(&part[0], &part[1]) > 1e-10 * radius).then_some(part)
}

/// A segment cut where a gate changes its piece.
fn cut(map: &Piecewise, [a, b]: &Segment) -> Vec<Segment> {
    let mut places = vec![0.0, 1.0];
    for (p, q) in zip(map.gates(a), map.gates(b)) {
        let crossed = map.pieces[1..].iter().filter(|piece| (p - piece.from) * (q - piece.from) < 0.0);
        places.extend(crossed.map(|piece| (piece.from - p) / (q - p)));
    }
    places.sort_by(f64::total_cmp);
    let at = |s: f64| zip(a, b).map(|(a, b)| (1.0 - s) * a + s * b).collect();
    places.windows(2).map(|pair| [at(pair[0]), at(pair[1])]).collect()
}

/// Steps of a manifold's return to its side of the point, and the factor by which it stretches.
fn turn(cycle: &Cycle, eigenvalue: f64) -> (usize, f64) {
    if eigenvalue < 0.0 { (2 * cycle.period, eigenvalue * eigenvalue) } else { (cycle.period, eigenvalue) }
}

/// Follows segments generation by generation: `next` gives what comes of one, and false if it is not all.
fn grow(
    start: Vec<Segment>,
    found: &mut Vec<Segment>,
    reach: &Reach,
    next: impl Fn(&Segment) -> (Vec<Segment>, bool),
) -> bool {
    let mut complete = true;
    let mut front = start;
    while !front.is_empty() {
        let mut later = Vec::new();
        for segment in &front {
            let (segments, whole) = next(segment);
            complete &= whole;
            later.extend(segments.iter().filter_map(|segment| within(segment, reach.radius)));
            if found.len() + front.len() + later.len() > reach.segments {
                found.append(&mut front);
                found.extend(later);
                found.truncate(reach.segments);
                return false;
            }
        }
        found.append(&mut front);
        front = later;
    }
    complete
}

/// The unstable manifold.
fn outward(
    map: &Piecewise,
    cycle: &Cycle,
    eigenvalue: f64,
    v: &[f64],
    reach: &Reach,
) -> (Vec<Segment>, bool) {
    let (steps, stretch) = turn(cycle, eigenvalue);
    let z = &cycle.orbit[0];
    let [low, high] = [-1.0, 1.0].map(|side| {
        let d: Vec<f64> = v.iter().map(|v| side * v).collect();
        side * straight(map, cycle, &d, steps, reach.radius)
    });
    let mut local = vec![[moved(z, low / stretch, v), moved(z, high / stretch, v)]];
    for t in 1..cycle.period {
        let [a, b] = &local[t - 1];
        local.push([image(map, a), image(map, b)]);
    }
    // What the map carries just beyond itself.
    let ends = [low, high].map(|end| [moved(z, end / stretch, v), moved(z, end, v)]);
    let start = ends.iter().filter_map(|segment| within(segment, reach.radius)).collect();
    let next = |segment: &Segment| {
        let parts = cut(map, segment);
        (parts.iter().map(|[a, b]| [image(map, a), image(map, b)]).collect(), true)
    };
    let complete = grow(start, &mut local, reach, next);
    (local, complete)
}

/// A region with what its preimages need.
struct Inverse {
    region: Region,
    affine: Mat<f64>,
    kind: Preimage,
}

enum Preimage {
    /// A⁻¹.
    Point(Mat<f64>),
    /// A = sigma u wᵀ in two dimensions: sigma, u, w.
    Line(f64, [f64; 2], [f64; 2]),
    /// More than a line.
    More,
}

impl Inverse {
    fn new(map: &Piecewise, region: Region) -> Result<Self> {
        let n = map.n();
        let affine = map.affine(&region);
        let a = affine.subcols(0, n).to_owned();
        let svd = a.svd().map_err(|_| Error::Numeric {
            what: "preimages of a manifold".into(),
            reason: "no convergence of singular values; are the weights of reasonable size?".into(),
        })?;
        let values = svd.S().column_vector();
        let singular = |i: usize| values[i] <= 1e-12 * values[0].max(1e-300);
        let kind = if !singular(n - 1) {
            Preimage::Point(a.partial_piv_lu().solve(Mat::<f64>::identity(n, n)))
        } else if n == 2 && values[0] > 1e-12 {
            let column = |m: faer::MatRef<'_, f64>| [m[(0, 0)], m[(1, 0)]];
            Preimage::Line(values[0], column(svd.U()), column(svd.V()))
        } else {
            Preimage::More
        };
        Ok(Self { region, affine, kind })
    }

    /// The part of the preimage of a segment that is in the region, and whether that is all: it may be more
    /// than a line.
    fn of(&self, map: &Piecewise, [a, b]: &Segment, radius: f64) -> (Option<Segment>, bool) {
        let n = a.len();
        let from_offset = |x: &[f64]| -> Vec<f64> { (0..n).map(|i| x[i] - self.affine[(i, n)]).collect() };
        let (a, b) = (from_offset(a), from_offset(b));
        let whole: Segment = match &self.kind {
            Preimage::Point(inverse) => {
                let back = |x: &[f64]| (0..n).map(|i| (0..n).map(|j| inverse[(i, j)] * x[j]).sum()).collect();
                [back(&a), back(&b)]
            }
            Preimage::Line(sigma, u, w) => {
                // The image of the region is on the line along u: the preimage of where the segment crosses
                // it.
                let off = |x: &[f64]| u[0] * x[1] - u[1] * x[0];
                let (p, q) = (off(&a), off(&b));
                if p.abs().max(q.abs()) < 1e-12 {
                    return (None, false);
                }
                let s = p / (p - q);
                // The image ends where the manifold was cut at the region's border, so at an end of a segment but for
                // rounding. Where two meet it counts for the later one.
                if !(-1e-9..1.0 - 1e-9).contains(&s) {
                    return (None, true);
                }
                let x = moved(&a, s, &[b[0] - a[0], b[1] - a[1]]);
                let along = (u[0] * x[0] + u[1] * x[1]) / sigma;
                let end = |side: f64| vec![along * w[0] - side * w[1], along * w[1] + side * w[0]];
                [end(-4.0 * radius), end(4.0 * radius)]
            }
            Preimage::More => return (None, false),
        };
        let pieces = self.region.0.iter().map(|&piece| map.pieces[usize::from(piece)]);
        let gates = zip(map.gates(&whole[0]), map.gates(&whole[1]));
        (clip(&whole, zip(gates, pieces).map(|((p, q), piece)| (p, q, piece.from, piece.to))), true)
    }
}

/// All regions with what their preimages need; `None` if they are too many to list.
fn inverses(map: &Piecewise) -> Result<Option<Vec<Inverse>>> {
    let graph = Graph::nonempty(map);
    let of = |graph: Graph| graph.regions.into_iter().map(|region| Inverse::new(map, region)).collect();
    graph.map(of).transpose()
}

/// The stable manifold.
fn inward(
    map: &Piecewise,
    cycle: &Cycle,
    eigenvalue: f64,
    v: &[f64],
    (reach, inverses): (&Reach, Option<&[Inverse]>),
) -> (Vec<Segment>, bool) {
    let (steps, shrink) = turn(cycle, eigenvalue);
    let z = &cycle.orbit[0];
    let [low, high] = [-1.0, 1.0].map(|side| {
        let d: Vec<f64> = v.iter().map(|v| side * v).collect();
        side * straight(map, cycle, &d, steps, reach.radius)
    });
    let mut local = vec![[moved(z, low, v), moved(z, high, v)]];
    for t in 1..cycle.period {
        let [a, b] = &local[t - 1];
        local.push([image(map, a), image(map, b)]);
    }
    let Some(inverses) = inverses else { return (local, false) };
    local[0] = [moved(z, shrink * low, v), moved(z, shrink * high, v)];
    // What the map brings just within what it brings there.
    let ends = [low, high].map(|end| [moved(z, shrink * end, v), moved(z, end, v)]);
    let start = ends.iter().filter_map(|segment| within(segment, reach.radius)).collect();
    let next = |segment: &Segment| {
        let parts = inverses.iter().map(|inverse| inverse.of(map, segment, reach.radius));
        let (parts, whole): (Vec<Option<Segment>>, Vec<bool>) = parts.unzip();
        (parts.into_iter().flatten().collect(), whole.into_iter().all(|whole| whole))
    };
    let complete = grow(start, &mut local, reach, next);
    (local, complete)
}
