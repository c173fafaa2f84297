//! Slow manifolds from trajectories alone: Chebyshev regression of the graph and of the reduced dynamics.

use std::iter::zip;

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use serde::Serialize;

use super::chebyshev::{self, Interval};
use super::projection::{Projection, check};
use crate::dynamics::Kind;
use crate::error::require;
use crate::{Error, Result};

/// What the reduced dynamics is learnt from.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// The next sample: p' = p + r(p).
    Map,
    /// The derivative dx/dt at every sample, shaped as the trajectories: dp/dt = r(p).
    Derivatives(&'a [Mat<f64>]),
    /// The derivative by central differences of fourth order of the coordinates: dp/dt = r(p).
    Differences,
}

/// How a manifold is learnt.
#[derive(Clone, Copy, Debug)]
pub struct Fit<'a> {
    /// Degree of the graph and of the reduced dynamics.
    pub degree: usize,
    /// Samples at the start of every trajectory that are not used: until what is fast has died out.
    pub cut: usize,
    /// Time between samples.
    pub interval: f64,
    /// Where the reduced dynamics comes from.
    pub target: Target<'a>,
}

/// A slow manifold learnt from trajectories.
///
/// x(p) = sum c_ab T_a(s_1) T_b(s_2) over a + b <= degree, p' = p + r(p) or dp/dt = r(p) with a like sum; s
/// is p scaled from the range of the data to \[-1, 1\]. p never leaves the domain of the data, so no
/// prediction diverges.
#[derive(Clone, Debug, Serialize)]
pub struct DataManifold {
    /// A map from sample to sample, or a flow.
    pub kind: Kind,
    /// Time between samples.
    pub interval: f64,
    /// The coordinates.
    pub projection: Projection,
    /// Where the coordinates are known.
    pub domain: Domain,
    /// (a, b) of every coefficient; b = 0 in one dimension.
    pub exponents: Vec<[usize; 2]>,
    /// n × coefficients.
    #[serde(skip)]
    pub graph: Mat<f64>,
    /// Coefficients of the reduced dynamics, one row a coordinate.
    pub dynamics: Vec<Vec<f64>>,
}

pub(super) fn failed(reason: String) -> Error {
    Error::Numeric { what: "slow manifold from data".into(), reason }
}

/// Where a manifold is known: the range of every coordinate, and of two the disc around its middle.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Domain {
    /// Range of every coordinate.
    pub ranges: Vec<Interval>,
    /// Largest distance from the middle in scaled coordinates.
    pub radius: f64,
}

impl Domain {
    /// The scaled place in \[-1, 1\] of a point; one outside is moved to the border.
    fn scaled(&self, p: &[f64]) -> [f64; 2] {
        let mut s = [0.0; 2];
        zip(&mut s, zip(&self.ranges, p)).for_each(|(s, (range, p))| *s = range.scaled(*p));
        let size = s[0].hypot(s[1]);
        if size > self.radius { s.map(|s| s * self.radius / size) } else { s }
    }

    /// A point moved into the domain.
    fn within(&self, p: &[f64]) -> Vec<f64> {
        zip(&self.ranges, self.scaled(p)).map(|(range, s)| range.at(s)).collect()
    }

    /// The products of Chebyshev polynomials of the coordinates, a row a column of p.
    fn design(&self, exponents: &[[usize; 2]], p: MatRef<'_, f64>) -> Mat<f64> {
        let degree = exponents.iter().map(|e| e[0]).max().unwrap_or(0);
        let mut design = Mat::zeros(p.ncols(), exponents.len());
        let (mut one, mut two) = (vec![0.0; degree + 1], vec![1.0; degree + 1]);
        for t in 0..p.ncols() {
            let place = [p[(0, t)], if p.nrows() > 1 { p[(1, t)] } else { 0.0 }];
            let s = self.scaled(&place[..p.nrows()]);
            chebyshev::fill(s[0], &mut one);
            if p.nrows() > 1 {
                chebyshev::fill(s[1], &mut two);
            }
            for (k, [a, b]) in exponents.iter().enumerate() {
                design[(t, k)] = one[*a] * two[*b];
            }
        }
        design
    }
}

impl DataManifold {
    /// Learns a manifold and its dynamics from trajectories, n × times each, sampled evenly in time.
    ///
    /// # Errors
    /// Trajectories too short for the cut or for the degree, of other lengths, with numbers that are not
    /// finite or that do not vary along a coordinate.
    ///
    /// Source: Cenedese et al., Nat. Commun. 13 (2022) 872, with a Chebyshev basis and QR for monomials.
    pub fn fit(trajectories: &[Mat<f64>], projection: &Projection, fit: &Fit<'_>) -> Result<Self> {
        let (n, dimension) = (projection.origin.len(), projection.rows.len());
        require((1..=2).contains(&dimension), "dimension", "1 or 2", dimension)?;
        require(fit.degree >= 1, "degree", "at least 1", fit.degree)?;
        require(fit.interval > 0.0, "interval", "above 0", fit.interval)?;
        check(trajectories, n, fit.cut)?;
        let places: Vec<Mat<f64>> = trajectories.iter().map(|x| projection.coordinates(x, fit.cut)).collect();
        let mut domain = Domain { ranges: Vec::new(), radius: f64::MAX };
        for k in 0..dimension {
            let all = places.iter().flat_map(|p| (0..p.ncols()).map(move |t| p[(k, t)]));
            let (low, high) = all.fold((f64::MAX, f64::MIN), |(low, high), p| (low.min(p), high.max(p)));
            if !(low < high && (high - low).is_finite()) {
                return Err(Error::input(
                    "coordinate",
                    "finite and not constant",
                    format!("{low} to {high}"),
                ));
            }
            domain.ranges.push(Interval { low, high });
        }
        let distance = |x: &[f64]| {
            let [a, b] = domain.scaled(x);
            a.hypot(b)
        };
        let all = places.iter().flat_map(|p| (0..p.ncols()).map(|t| distance(p.col_as_slice(t))));
        domain.radius = all.fold(0.0, f64::max);
        let second = if dimension == 2 { fit.degree } else { 0 };
        let exponents: Vec<[usize; 2]> =
            (0..=second).flat_map(|b| (0..=fit.degree - b).map(move |a| [a, b])).collect();
        // Samples that have the neighbours their speed needs.
        let (before, after) = match fit.target {
            Target::Map => (0, 1),
            Target::Derivatives(_) => (0, 0),
            Target::Differences => (2, 2),
        };
        let counts: Vec<usize> = places.iter().map(|p| p.ncols() - before - after).collect();
        let rows: usize = counts.iter().sum();
        if rows < 3 * exponents.len() {
            return Err(Error::input(
                "degree",
                format!("at most {rows} / 3 coefficients for {rows} samples"),
                format!("{} coefficients at degree {}", exponents.len(), fit.degree),
            ));
        }
        let mut design = Mat::zeros(rows, exponents.len());
        let mut at = 0;
        for (p, &count) in zip(&places, &counts) {
            let part = domain.design(&exponents, p.as_ref().subcols(before, count));
            design.as_mut().subrows_mut(at, count).copy_from(&part);
            at += count;
        }
        let (q, r) = orthogonal(&design)?;
        let speeds = speeds(trajectories, projection, fit, &places)?;
        // States as they are, one product of a trajectory after the other.
        let (mut graph, mut dynamics) = (Mat::zeros(n, q.ncols()), Mat::zeros(dimension, q.ncols()));
        at = 0;
        for ((x, speed), &count) in zip(zip(trajectories, &speeds), &counts) {
            let part = q.as_ref().subrows(at, count);
            let states = x.as_ref().subcols(fit.cut + before, count);
            matmul(graph.as_mut(), Accum::Add, states, part, 1.0, Par::Seq);
            matmul(dynamics.as_mut(), Accum::Add, speed.as_ref(), part, 1.0, Par::Seq);
            at += count;
        }
        let (graph, dynamics) = (solve_right(&graph, &r), solve_right(&dynamics, &r));
        let finite = graph.norm_max().is_finite() && dynamics.norm_max().is_finite();
        require(finite, "trajectories", "finite numbers", "one that is not")?;
        let kind = if matches!(fit.target, Target::Map) { Kind::Map } else { Kind::Flow };
        let dynamics = (0..dimension).map(|k| (0..q.ncols()).map(|c| dynamics[(k, c)]).collect()).collect();
        Ok(Self {
            kind,
            interval: fit.interval,
            projection: projection.clone(),
            domain,
            exponents,
            graph,
            dynamics,
        })
    }

    /// r(p).
    #[must_use]
    pub fn speed(&self, p: &[f64]) -> Vec<f64> {
        let place = Mat::from_fn(p.len(), 1, |k, _| p[k]);
        let weights = self.domain.design(&self.exponents, place.as_ref());
        self.dynamics
            .iter()
            .map(|row| row.iter().enumerate().map(|(k, c)| c * weights[(0, k)]).sum())
            .collect()
    }

    /// x(p) of every column of p.
    #[must_use]
    pub fn states(&self, p: &Mat<f64>) -> Mat<f64> {
        let weights = self.domain.design(&self.exponents, p.as_ref());
        let mut states = Mat::zeros(self.graph.nrows(), p.ncols());
        matmul(states.as_mut(), Accum::Replace, self.graph.as_ref(), weights.transpose(), 1.0, Par::Seq);
        states
    }

    /// p at `times` samples from `start` on, a column a sample.
    #[must_use]
    pub fn follow(&self, start: &[f64], times: usize) -> Mat<f64> {
        let mut path = Mat::zeros(start.len(), times);
        if let ([range], [row]) = (&self.domain.ranges[..], &self.dynamics[..]) {
            let speed = |p: f64| chebyshev::sum(row, range.scaled(p));
            let time = self.interval * (times.max(2) - 1) as f64;
            let line = super::curve::follow(self.kind, *range, speed, start[0], time, times.max(2) - 1);
            (0..times).for_each(|t| path[(0, t)] = line[t]);
            return path;
        }
        let moved = |p: &[f64], by: f64, slope: &[f64]| -> Vec<f64> {
            self.domain.within(&zip(p, slope).map(|(p, s)| p + by * s).collect::<Vec<f64>>())
        };
        let h = self.interval;
        let mut p = self.domain.within(start);
        for t in 0..times {
            (0..p.len()).for_each(|k| path[(k, t)] = p[k]);
            let a = self.speed(&p);
            p = if self.kind == Kind::Map {
                moved(&p, 1.0, &a)
            } else {
                let b = self.speed(&moved(&p, 0.5 * h, &a));
                let c = self.speed(&moved(&p, 0.5 * h, &b));
                let d = self.speed(&moved(&p, h, &c));
                let mean: Vec<f64> =
                    (0..p.len()).map(|k| (a[k] + 2.0 * b[k] + 2.0 * c[k] + d[k]) / 6.0).collect();
                moved(&p, h, &mean)
            };
        }
        path
    }

    /// Predicts each trajectory from its sample `cut`, which it must have, on: n × (times - cut) states each.
    #[must_use]
    pub fn predict(&self, trajectories: &[Mat<f64>], cut: usize) -> Vec<Mat<f64>> {
        trajectories
            .iter()
            .map(|x| {
                let first = Mat::from_fn(x.nrows(), 1, |i, _| x[(i, cut)]);
                let start = self.projection.coordinates(&first, 0);
                self.states(&self.follow(start.col_as_slice(0), x.ncols() - cut))
            })
            .collect()
    }

    /// Fixed points of the reduced dynamics of one dimension: roots of r, ascending; none in two dimensions.
    #[must_use]
    pub fn roots(&self) -> Vec<f64> {
        match (&self.domain.ranges[..], &self.dynamics[..]) {
            ([range], [row]) => chebyshev::roots(row).into_iter().map(|s| range.at(s)).collect(),
            _ => Vec::new(),
        }
    }
}

/// Q and R of tall A = Q R.
fn orthogonal(a: &Mat<f64>) -> Result<(Mat<f64>, Mat<f64>)> {
    let qr = a.qr();
    let r = qr.thin_R().to_owned();
    let smallest = (0..r.ncols()).map(|k| r[(k, k)].abs()).fold(f64::MAX, f64::min);
    if smallest <= 1e-12 * r.norm_max() {
        return Err(failed(
            "the samples do not tell all coefficients: a lower degree, or less thrown away as transient (--cut)"
                .into(),
        ));
    }
    Ok((qr.compute_thin_Q(), r))
}

/// The speeds of the coordinates at the samples that are used, dimension × samples for each trajectory.
fn speeds(
    trajectories: &[Mat<f64>],
    projection: &Projection,
    fit: &Fit<'_>,
    places: &[Mat<f64>],
) -> Result<Vec<Mat<f64>>> {
    let Target::Derivatives(derivatives) = fit.target else {
        let one = |p: &Mat<f64>| match fit.target {
            Target::Map => Mat::from_fn(p.nrows(), p.ncols() - 1, |k, t| p[(k, t + 1)] - p[(k, t)]),
            _ => Mat::from_fn(p.nrows(), p.ncols() - 4, |k, t| {
                let sum = p[(k, t)] - 8.0 * p[(k, t + 1)] + 8.0 * p[(k, t + 3)] - p[(k, t + 4)];
                sum / (12.0 * fit.interval)
            }),
        };
        return Ok(places.iter().map(one).collect());
    };
    require(
        derivatives.len() == trajectories.len(),
        "derivatives",
        "one for each trajectory",
        derivatives.len(),
    )?;
    let linear = Projection { origin: vec![0.0; projection.origin.len()], rows: projection.rows.clone() };
    zip(derivatives, trajectories)
        .map(|(slope, x)| {
            let found = format!("{:?}", slope.shape());
            require(slope.shape() == x.shape(), "derivatives", "the shape of the trajectory", found)?;
            Ok(linear.coordinates(slope, fit.cut))
        })
        .collect()
}

/// B R^{-T}: the coefficients C of C Aᵀ ≈ Y when B = Y Q.
fn solve_right(b: &Mat<f64>, r: &Mat<f64>) -> Mat<f64> {
    let mut x = b.transpose().to_owned();
    r.as_ref().solve_upper_triangular_in_place(x.as_mut());
    x.transpose().to_owned()
}
