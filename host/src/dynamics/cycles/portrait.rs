//! Basins of attraction and manifolds of saddles of a piecewise-linear map, on a plane of its state space.

use faer::Mat;

use super::{Found, Manifold, OfCycle, Piecewise, Reach, manifolds};
use crate::dynamics::lyapunov::{AttractingSet, Basins, Plane, Watch, basins};
use crate::error::require;
use crate::{Error, Result};

/// Cells of the raster along x and y.
const CELLS: [usize; 2] = [300, 200];
/// Segments of a manifold.
const SEGMENTS: usize = 4000;
/// Saddles whose manifolds are followed.
const SADDLES: usize = 4;
/// Steps within which an attractor is reached.
const STEPS: usize = 3000;

/// Basins and manifolds.
#[derive(Clone, Debug)]
pub struct Portrait {
    /// Its points are the middles of the cells.
    pub plane: Plane,
    /// The edges of the cells at the ends.
    pub ranges: [(f64, f64); 2],
    /// The stable cycles, in the order that basins count them.
    pub attractors: Vec<AttractingSet>,
    /// None where they were not finished.
    pub basins: Option<Basins>,
    /// Manifolds of the first saddles, each with the number of its cycle.
    pub manifolds: Vec<(usize, Manifold)>,
}

impl Portrait {
    /// Computes basins and manifolds on the plane of the two coordinates, or for n > 2 of the first two principal
    /// components of the points of the cycles. Ended early, it keeps the manifolds that are done.
    ///
    /// known: the manifolds of saddles, where they are.
    ///
    /// # Errors
    /// Fewer than two dimensions; no cycle.
    pub fn new(map: &Piecewise, found: &Found, known: Option<&[OfCycle]>, watch: &Watch) -> Result<Self> {
        let n = map.n();
        require(n > 1, "basins and manifolds", "n of at least 2", n)?;
        require(!found.cycles.is_empty(), "basins and manifolds", "a cycle", "none")?;
        let points: Vec<&Vec<f64>> = found.cycles.iter().flat_map(|cycle| &cycle.orbit).collect();
        let (origin, axes) =
            if n == 2 { (vec![0.0; 2], [vec![1.0, 0.0], vec![0.0, 1.0]]) } else { principal_plane(&points)? };
        let plane = Plane::new(origin, axes, [(0.0, 1.0); 2], CELLS)?;
        let places: Vec<[f64; 2]> = points.iter().map(|z| plane.coordinates(z)).collect();
        let range = |k: usize| {
            let ends = places.iter().fold((f64::MAX, f64::MIN), |(a, b), x| (a.min(x[k]), b.max(x[k])));
            let (low, high) = ends;
            let room = (0.35 * (high - low)).max(0.1 * (1.0 + low.abs().max(high.abs())));
            (low - room, high + room)
        };
        let ranges = [range(0), range(1)];
        let half = |k: usize| 0.5 * (ranges[k].1 - ranges[k].0) / CELLS[k] as f64;
        let middles = [0, 1].map(|k| (ranges[k].0 + half(k), ranges[k].1 - half(k)));
        let plane = Plane::new(plane.origin, plane.axes, middles, CELLS)?;
        let size = points.iter().flat_map(|z| z.iter()).fold(1.0_f64, |most, z| most.max(z.abs()));
        let corner = ranges.iter().flat_map(|(low, high)| [low.abs(), high.abs()]).fold(0.0, f64::max);
        let reach = Reach { radius: 2.0 * (size + corner), segments: SEGMENTS };
        let saddles = found.cycles.iter().enumerate().filter(|(_, cycle)| cycle.index > 0 && cycle.index < n);
        let mut of_saddles = Vec::new();
        for (k, cycle) in saddles.take(SADDLES).take_while(|_| !watch.stopped()) {
            let of_saddle = match known {
                Some(known) => {
                    known.iter().filter(|of| of.cycle == k).map(|of| of.manifold.clone()).collect()
                }
                None => manifolds(map, cycle, &reach)?,
            };
            of_saddles.extend(of_saddle.into_iter().map(|manifold| (k, manifold)));
        }
        let stable = found.cycles.iter().filter(|cycle| cycle.stable);
        let attractors: Vec<AttractingSet> =
            stable.map(|cycle| AttractingSet::cycle(cycle.orbit.clone(), 1e-6 * size)).collect();
        let bound = 1e4 * (size + corner);
        let reached = basins(map, &plane, &attractors, STEPS, 1.0, bound, watch);
        let basins = if watch.stopped() { None } else { Some(reached?) };
        Ok(Self { plane, ranges, attractors, basins, manifolds: of_saddles })
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
