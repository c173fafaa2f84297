//! Continuation: branches of fixed points and cycles in a parameter, and where they bifurcate.
//!
//! A branch is a curve R(x, mu) = 0 in (x, mu), with R = F of a flow and f - x of a map. It is followed by
//! pseudo-arclength: from (x, mu) along the tangent t by a length, then Newton for R = 0 on the plane across
//! t. Steps are chosen by the turn of the tangent.
//!
//! | point | of the eigenvalues of F_x (flow) or f_x (map) | seen by |
//! |---|---|---|
//! | fold | one is 0, 1 | the tangent's part along mu changes sign |
//! | transcritical, pitchfork | one is 0, 1, and two branches cross | det \[R_x R_mu; t\] changes sign |
//! | flip | one is -1 | det (f_x + I) changes sign |
//! | Hopf, Neimark-Sacker | i omega, exp(i theta) | the index changes by two |
//!
//! Each is then located by Newton on a minimally augmented system. The index is counted from all eigenvalues
//! at a few points, more where eigenvalues are near the boundary of stability; between them it follows from
//! the special points.
//!
//! Source: Govaerts 2000, Numerical methods for bifurcations of dynamical equilibria; Kuznetsov 2004,
//! Elements of applied bifurcation theory, chapter 10.

mod cycle;
mod field;
mod folds;
mod locate;
mod normal;
mod plane;
mod search;
mod special;
mod starts;
mod trace;

use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::ProgressBar;
use serde::Serialize;

pub use cycle::Iterate;
pub use folds::{Codimension, FoldCurve, FoldPoint, fold_curves};
pub use plane::{Parametric, Plane, Slice};
pub use starts::starts;

use self::field::{Field, One, Units};
use self::search::Search;
use self::trace::{Node, turned};
use super::Family;
use super::vector::scaled;
use crate::error::require;
use crate::{Error, Result};

/// How branches are followed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Least and greatest mu.
    pub range: (f64, f64),
    /// A branch ends where max |x_i| is above this times the largest |x_i| of all starts, at least the size of states.
    pub bound: f64,
    /// Length of the first step; the length of (x, mu) is sqrt(mean (x / size)² + (mu / width of the range)²) with the
    /// size of states, [`Family::size`].
    pub first_step: f64,
    /// Length of the longest step.
    pub largest_step: f64,
    /// A branch ends where steps of this length fail.
    pub least_step: f64,
    /// Most points of a branch on each side of its start.
    pub points: usize,
    /// Largest turn of the tangent in a step, in radians.
    pub turn: f64,
    /// Newton ends below this max |R_i|, by the larger of the size of states and the largest |x_i|.
    pub tolerance: f64,
    /// How many leading eigenvalues are kept.
    pub eigenvalues: usize,
    /// Whether to follow the other branches through branch points.
    pub switch: bool,
    /// Most branches.
    pub branches: usize,
    /// Moved by 1 as the branches of a start are followed.
    pub bar: ProgressBar,
}

impl Settings {
    /// The usual settings for a range of mu.
    #[must_use]
    pub fn new(low: f64, high: f64) -> Self {
        Self {
            range: (low, high),
            bound: 1e3,
            first_step: 1e-2,
            largest_step: 0.2,
            least_step: 1e-8,
            points: 2000,
            turn: 0.45,
            tolerance: 1e-11,
            eigenvalues: 4,
            switch: true,
            branches: 200,
            bar: ProgressBar::hidden(),
        }
    }

    fn check(&self) -> Result<()> {
        let (low, high) = self.range;
        let found = format!("{low}, {high}");
        require(
            low < high && (high - low).is_finite(),
            "range of mu",
            "two finite numbers, the lower first",
            found,
        )?;
        let steps = [self.least_step, self.first_step, self.largest_step];
        let ordered = steps[0] > 0.0 && steps.is_sorted() && steps[2].is_finite();
        require(ordered, "steps", "0 < least <= first <= largest", format!("{steps:?}"))?;
        require(self.turn > 0.0 && self.turn < 1.5, "turn", "above 0 and below 1.5 radians", self.turn)?;
        require(self.tolerance > 0.0, "tolerance", "above 0", self.tolerance)?;
        require(self.points > 0 && self.branches > 0, "points and branches", "at least 1", "0")
    }
}

/// A fixed point from which a branch is followed.
#[derive(Clone, Debug, Serialize)]
pub struct Start {
    /// mu.
    pub mu: f64,
    /// x or near it, n.
    pub x: Vec<f64>,
}

/// What happens at a special point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bifurcation {
    /// Two fixed points meet and vanish: saddle-node.
    Fold,
    /// Two branches cross, and both go on in mu.
    Transcritical,
    /// Two branches cross, and one of them turns round in mu, as symmetry makes it do.
    Pitchfork,
    /// A pair i omega of a flow: a limit cycle is born.
    Hopf,
    /// A multiplier -1 of a map: period doubling.
    Flip,
    /// A pair exp(i theta) of a map: an invariant circle is born.
    NeimarkSacker,
    /// More than one real eigenvalue crosses at once, as symmetry makes them do; located by bisection.
    Multiple,
}

impl Bifurcation {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fold => "fold",
            Self::Transcritical => "transcritical",
            Self::Pitchfork => "pitchfork",
            Self::Hopf => "Hopf",
            Self::Flip => "flip",
            Self::NeimarkSacker => "Neimark-Sacker",
            Self::Multiple => "multiple",
        }
    }
}

/// A bifurcation on a branch.
#[derive(Clone, Debug, Serialize)]
pub struct Special {
    /// What it is.
    pub kind: Bifurcation,
    /// mu.
    pub mu: f64,
    /// x, n.
    pub x: Vec<f64>,
    /// It lies between points `after` and `after + 1` of its branch.
    pub after: usize,
    /// How much the index changes there along the branch.
    pub change: i32,
    /// omega of Hopf, theta in (0, pi) of Neimark-Sacker.
    pub angle: Option<f64>,
    /// Of a fold, (a, b) in dz/dt = b (mu - mu_0) + a z² (map: z' - z), z along the unit null vector, b > 0.
    ///
    /// a < 0: the two fixed points are on the side of larger mu.
    pub coefficients: Option<[f64; 2]>,
    /// Cubic coefficient of the normal form of a pitchfork, flip, Hopf or Neimark-Sacker point, of unit
    /// vectors; of Hopf the first Lyapunov coefficient.
    ///
    /// Negative: supercritical, what is born is stable but for other unstable directions. About seven digits.
    pub cubic: Option<f64>,
    /// Largest absolute value of the equations that were solved, by the size of states.
    pub residual: f64,
    /// Of a transcritical or pitchfork point: tangent of the other branch, (x, mu).
    #[serde(skip)]
    pub other: Option<Vec<f64>>,
}

/// A point of a branch.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// mu.
    pub mu: f64,
    /// x, n.
    pub x: Vec<f64>,
    /// How many eigenvalues are unstable.
    pub index: usize,
    /// Leading eigenvalues as (real, imaginary), least stable first; empty where the index needed none.
    pub eigenvalues: Vec<[f64; 2]>,
    /// Tangent of the branch, (x, mu), of length 1 in its metric.
    #[serde(skip)]
    pub tangent: Vec<f64>,
}

impl End {
    /// Why, in words; none where it is at a limit of mu or closed.
    #[must_use]
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::Range | Self::Closed => None,
            Self::Singular => Some("a singular point at the limit"),
            Self::Bound => Some("states grow beyond all bounds"),
            Self::Points => Some("as many points as there may be"),
            Self::Step => Some("the shortest step fails"),
            Self::Stopped => Some("stopped"),
        }
    }

    /// Whether there is no more of it within the limits.
    #[must_use]
    pub fn is_complete(self) -> bool {
        !matches!(self, Self::Points | Self::Step | Self::Stopped)
    }
}

/// Why a branch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// At a limit of mu.
    Range,
    /// Just before a limit of mu, where Newton fails: there is a bifurcation at the limit.
    Singular,
    /// max |x_i| is above the bound.
    Bound,
    /// It comes back to its start: an isola.
    Closed,
    /// The number of points is used up.
    Points,
    /// The shortest step fails.
    Step,
    /// It was stopped.
    Stopped,
}

/// A branch of fixed points.
#[derive(Clone, Debug, Serialize)]
pub struct Branch {
    /// Points in order; of a closed branch the last comes before the first.
    pub points: Vec<Point>,
    /// Bifurcations in order.
    pub special: Vec<Special>,
    /// Why it ends before the first point and after the last.
    pub ends: [End; 2],
    /// The start it was followed from; `None` if it was found at a branch point.
    pub start: Option<usize>,
    /// The diagonal of its metric of (x, mu), n + 1: see [`Settings::first_step`].
    #[serde(skip)]
    pub metric: Vec<f64>,
}

impl Branch {
    /// States (x, mu) from point k to the next by the cubic with their tangents: `parts` + 1 of them, ends
    /// included.
    ///
    /// For figures: a part in 1e4 or so of the step.
    #[must_use]
    pub fn between(&self, k: usize, parts: usize) -> Vec<Vec<f64>> {
        let node = |point: &Point| {
            let mut y = point.x.clone();
            y.push(point.mu);
            Node { y, tangent: point.tangent.clone(), sign: 1.0 }
        };
        let (p, q) = (node(&self.points[k]), node(&self.points[(k + 1) % self.points.len()]));
        (0..=parts).map(|i| trace::between(&self.metric, &p, &q, i as f64 / parts as f64)).collect()
    }

    /// The branch in (x, mu) instead of y.
    fn of(self, units: &Units) -> Self {
        let place = |x: &mut Vec<f64>, mu: &mut f64| (*x, *mu) = (scaled(x, units.size), units.mu(0, *mu));
        let Self { mut points, mut special, ends, start, metric } = self;
        for point in &mut points {
            place(&mut point.x, &mut point.mu);
            point.tangent = units.along(&point.tangent);
        }
        for special in &mut special {
            place(&mut special.x, &mut special.mu);
            special.other = special.other.take().map(|other| units.along(&other));
            special.coefficients =
                special.coefficients.map(|[a, b]| [a / units.size, b * units.size / units.half(0)]);
            special.cubic = special.cubic.map(|cubic| cubic / units.size.powi(2));
        }
        Self { points, special, ends, start, metric: units.metric(metric.len() - 1) }
    }

    /// Whether it is an isola.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.ends[1] == End::Closed
    }
}

/// All branches found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Diagram {
    /// Branches, in the order of their starts, then of the branch points.
    pub branches: Vec<Branch>,
    /// Starts from which Newton does not converge.
    pub failed: Vec<usize>,
    /// mu of curves of fixed points along which it stays: they are no branches.
    pub continua: Vec<f64>,
    /// Whether there were more branches than [`Settings::branches`].
    pub truncated: bool,
}

impl Diagram {
    /// Whether every branch is there and was followed to its end.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.truncated && self.branches.iter().flat_map(|branch| branch.ends).all(End::is_complete)
    }

    /// All folds, in order.
    pub fn folds(&self) -> impl Iterator<Item = &Special> {
        let special = self.branches.iter().flat_map(|branch| &branch.special);
        special.filter(|special| special.kind == Bifurcation::Fold)
    }
}

/// Follows the branches of fixed points through `starts` and, if wanted, those that cross them.
///
/// A start on a branch that is known already is skipped, and a curve along which mu stays is no branch; so isolas are found by giving all fixed points at
/// several mu. `stop` ends the work early: what was found is kept.
///
/// # Errors
/// A range, steps or starts that are not as said; no start converges.
///
/// ```
/// use std::sync::atomic::AtomicBool;
/// use faer::MatMut;
/// use tinyfold::dynamics::{Family, Kind};
/// use tinyfold::dynamics::continuation::{Bifurcation, Settings, Start, continuation};
///
/// /// dx/dt = mu - x².
/// struct Parabola;
/// impl Family for Parabola {
///     fn dimension(&self) -> usize { 1 }
///     fn kind(&self) -> Kind { Kind::Flow }
///     fn value(&self, x: &[f64], mu: f64, out: &mut [f64]) { out[0] = mu - x[0] * x[0]; }
///     fn jacobian(&self, x: &[f64], _: f64, mut out: MatMut<'_, f64>) { out[(0, 0)] = -2.0 * x[0]; }
///     fn derivative(&self, _: &[f64], _: f64, out: &mut [f64]) { out[0] = 1.0; }
/// }
///
/// let starts = [Start { mu: 0.5, x: vec![0.7] }];
/// let diagram = continuation(&Parabola, &starts, &Settings::new(-1.0, 1.0), &AtomicBool::new(false))?;
/// let fold = &diagram.branches[0].special[0];
/// assert_eq!(fold.kind, Bifurcation::Fold);
/// assert!(fold.mu.abs() < 1e-12);
/// # Ok::<(), tinyfold::Error>(())
/// ```
pub fn continuation<F: Family + ?Sized>(
    family: &F,
    starts: &[Start],
    settings: &Settings,
    stop: &AtomicBool,
) -> Result<Diagram> {
    settings.check()?;
    let (n, (low, high)) = (family.dimension(), settings.range);
    require(n > 0, "dimension", "at least 1", n)?;
    require(!starts.is_empty(), "starts", "at least one", "none")?;
    for (k, start) in starts.iter().enumerate() {
        let place = format!("start {k}");
        require(start.x.len() == n, &place, format!("{n} numbers"), start.x.len())?;
        require(start.x.iter().all(|x| x.is_finite()), &place, "finite numbers", "one that is not")?;
        require((low..=high).contains(&start.mu), &place, format!("mu from {low} to {high}"), start.mu)?;
    }
    let one = One(family);
    let field = Field::new(&one, &[settings.range]);
    let units = field.units.clone();
    // From here to the end x and mu are y.
    let starts: Vec<Vec<f64>> = starts.iter().map(|start| units.y(&start.x, &[start.mu])).collect();
    let largest = starts.iter().flat_map(|y| &y[..n]).fold(1.0, |most: f64, x| most.max(x.abs()));
    let settings = &Settings { bound: settings.bound * largest, ..settings.clone() };
    let mut search = Search {
        field,
        settings,
        stop,
        nodes: Vec::new(),
        branches: Vec::new(),
        continua: Vec::new(),
        truncated: false,
    };
    let mut failed = Vec::new();
    for (k, y) in starts.iter().enumerate() {
        if search.over() {
            break;
        }
        match search.first(y) {
            Some(node) => search.follow([turned(node.clone(), -1.0), node], Some(k)),
            None => failed.push(k),
        }
        settings.bar.inc(1);
    }
    if search.nodes.is_empty() && !stop.load(Ordering::Relaxed) {
        return Err(Error::Numeric {
            what: "continuation".into(),
            reason: "Newton converges from none of the starts; give fixed points, as of `tinyfold dynamics fixed-points`"
                .into(),
        });
    }
    let mut next = 0;
    while settings.switch && next < search.branches.len() && !search.over() {
        let crossings = search.branches[next].special.iter();
        let crossings: Vec<(Vec<f64>, Vec<f64>)> = crossings
            .filter_map(|special| special.other.clone().map(|tangent| (special.y(), tangent)))
            .collect();
        for (y, tangent) in &crossings {
            search.switch(y, tangent);
        }
        next += 1;
    }
    Ok(Diagram {
        branches: search.branches.into_iter().map(|branch| branch.of(&units)).collect(),
        failed,
        continua: search.continua.into_iter().map(|nu| units.mu(0, nu)).collect(),
        truncated: search.truncated,
    })
}
