//! A manifold learnt from some of the trajectories and judged on the others and by known fixed points.

use std::iter::zip;

use faer::Mat;
use serde::Serialize;

use super::data::{DataManifold, Fit, Target};
use super::order::{Tried, choose_degree};
use super::projection::{Projection, delayed};
use crate::Result;
use crate::dynamics::Kind;
use crate::error::require;

/// How a manifold is learnt.
#[derive(Clone, Debug)]
pub struct Learning {
    /// A map from sample to sample, or a flow by differences of fourth order.
    pub kind: Kind,
    /// 1 or 2 coordinates.
    pub dimension: usize,
    /// Time between samples.
    pub interval: f64,
    /// Samples at the start of every trajectory that are not used.
    pub cut: usize,
    /// Trajectories, the last ones, that are not learnt from.
    pub held_out: usize,
    /// Degrees that are tried.
    pub degrees: Vec<usize>,
    /// Delayed copies that a state is made of, and the samples between two of them.
    pub delays: (usize, usize),
}

/// A fixed point of the network, as the learnt manifold has it.
#[derive(Clone, Debug, Serialize)]
pub struct Known {
    /// Its coordinates.
    pub p: Vec<f64>,
    /// Whether they are within the range of the data.
    pub inside: bool,
    /// |x - x(p)|: how far it is from the manifold.
    pub distance: f64,
    /// |r(p)|: 0 if the reduced dynamics rests there.
    pub speed: f64,
    /// The nearest root of the reduced dynamics of one coordinate.
    pub root: Option<f64>,
}

/// A root of the reduced dynamics of one coordinate.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LearntRoot {
    /// Where.
    pub p: f64,
    /// dr/dp there.
    pub slope: f64,
    /// Whether the reduced dynamics comes back to it.
    pub stable: bool,
}

/// What was learnt.
#[derive(Clone, Debug, Serialize)]
pub struct Learnt {
    /// The manifold of the chosen degree.
    pub manifold: DataManifold,
    /// The chosen degree.
    pub degree: usize,
    /// Its error on the trajectories held out.
    pub nmte: f64,
    /// All degrees that were tried.
    pub tried: Vec<Tried>,
    /// Roots, ascending.
    pub roots: Vec<LearntRoot>,
    /// The known fixed points, by their first coordinate.
    pub known: Vec<Known>,
    /// Coordinates of the trajectories held out, from the cut on, and as predicted from their first ones.
    #[serde(skip)]
    pub paths: Vec<(Mat<f64>, Mat<f64>)>,
}

impl Learnt {
    /// Learns the manifold of `trajectories`, n × times each, over their principal directions.
    ///
    /// known: fixed points that may lie on it, n numbers each; of one coordinate the degree is chosen by them too.
    ///
    /// # Errors
    /// Fewer than two trajectories, none held out or none left; those of [`DataManifold::fit`].
    ///
    /// Source: Cenedese et al., Nat. Commun. 13 (2022) 872.
    pub fn new(trajectories: &[Mat<f64>], known: &[Vec<f64>], learning: &Learning) -> Result<Self> {
        let count = trajectories.len();
        require(count > 1, "trajectories", "at least 2, one of them held out", count)?;
        let held_out = format!("1 to {}, of {count} trajectories", count - 1);
        require((1..count).contains(&learning.held_out), "held out", held_out, learning.held_out)?;
        let (copies, lag) = learning.delays;
        let trajectories = delayed(trajectories, copies, lag)?;
        let (train, test) = trajectories.split_at(count - learning.held_out);
        let cut = learning.cut;
        let longest = trajectories.iter().map(Mat::ncols).min().unwrap_or(0).saturating_sub(6);
        require(cut <= longest, "cut", format!("at most {longest} samples"), cut)?;
        let projection = Projection::principal(train, cut, &mean(train, cut), learning.dimension)?;
        let target = if learning.kind == Kind::Map { Target::Map } else { Target::Differences };
        let fit = Fit { degree: 1, cut, interval: learning.interval, target };
        let known: Vec<Vec<f64>> = known.iter().map(|x| x.repeat(copies)).collect();
        let place = |x: &[f64]| {
            let state = Mat::from_fn(x.len(), 1, |i, _| x[i]);
            projection.coordinates(&state, 0).col_as_slice(0).to_vec()
        };
        let places: Vec<f64> =
            if learning.dimension == 1 { known.iter().map(|x| place(x)[0]).collect() } else { Vec::new() };
        let (manifold, tried) = choose_degree(train, test, &projection, &fit, &learning.degrees, &places)?;
        let degree = manifold.exponents.iter().map(|e| e[0]).max().unwrap_or(0);
        let nmte = tried.iter().find(|tried| tried.degree == degree).map_or(f64::NAN, |tried| tried.nmte);
        let roots: Vec<LearntRoot> = manifold.roots().into_iter().map(|p| root(&manifold, p)).collect();
        let described = |x: &Vec<f64>| {
            let p = place(x);
            let on = manifold.states(&Mat::from_fn(p.len(), 1, |k, _| p[k]));
            let gap = zip(x, on.col_as_slice(0)).map(|(x, on)| (x - on) * (x - on)).sum::<f64>();
            let nearest = roots.iter().min_by(|a, b| (a.p - p[0]).abs().total_cmp(&(b.p - p[0]).abs()));
            Known {
                inside: zip(&manifold.domain.ranges, &p)
                    .all(|(range, p)| (range.low..=range.high).contains(p)),
                distance: gap.sqrt(),
                speed: manifold.speed(&p).iter().map(|r| r * r).sum::<f64>().sqrt(),
                root: nearest.map(|root| root.p),
                p,
            }
        };
        let mut known: Vec<Known> = known.iter().map(described).collect();
        known.sort_by(|a, b| a.p[0].total_cmp(&b.p[0]));
        let path = |x: &Mat<f64>| {
            let p = projection.coordinates(x, cut);
            let predicted = manifold.follow(p.col_as_slice(0), p.ncols());
            (p, predicted)
        };
        let paths = test.iter().map(path).collect();
        Ok(Self { manifold, degree, nmte, tried, roots, known, paths })
    }
}

fn mean(trajectories: &[Mat<f64>], cut: usize) -> Vec<f64> {
    let states = || trajectories.iter().flat_map(|x| (cut..x.ncols()).map(|t| x.col_as_slice(t)));
    let mut sum = vec![0.0; trajectories.first().map_or(0, Mat::nrows)];
    states().for_each(|x| zip(&mut sum, x).for_each(|(sum, x)| *sum += x));
    let count = states().count().max(1) as f64;
    sum.iter().map(|sum| sum / count).collect()
}

fn root(manifold: &DataManifold, p: f64) -> LearntRoot {
    let range = manifold.domain.ranges[0];
    // Outside of the range r does not change.
    let h = 1e-5 * (range.high - range.low);
    let (a, b) = ((p - h).max(range.low), (p + h).min(range.high));
    let slope = (manifold.speed(&[b])[0] - manifold.speed(&[a])[0]) / (b - a);
    let stable = if manifold.kind == Kind::Map { (1.0 + slope).abs() < 1.0 } else { slope < 0.0 };
    LearntRoot { p, slope, stable }
}
