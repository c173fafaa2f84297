//! All that is known of an SSM, to be printed and drawn.

use faer::c64;
use serde::Serialize;

use super::series::Scalar;
use super::{
    Analytic, Backbone, Chart, Comparison, Direction, Fold, NormalForm, Predictions, Resonance, Root,
    Spectrum, Ssm, Style, line, pair, pair_with_parameter, plane, plane_with_parameter, with_parameter,
};
use crate::Result;
use crate::dynamics::{Family, Kind};
use crate::error::require;

/// A fixed point that may be the anchor of an SSM.
#[derive(Clone, Debug, Serialize)]
pub struct Anchor {
    /// x, n.
    pub x: Vec<f64>,
    /// Its eigenvalues above stability.
    pub unstable: usize,
    /// Its first eigenvalue, real and imaginary part.
    pub leading: [f64; 2],
}

/// What to compute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// 1 or 2 state coordinates.
    pub dimension: usize,
    /// Number of the first eigenvalue, 0 the slowest or most unstable one.
    pub eigenvalue: usize,
    /// Order.
    pub order: usize,
    /// Whether the parameter is a coordinate besides.
    pub moving: bool,
    /// Residual that bounds the domain.
    pub tolerance: f64,
}

/// A coefficient of R.
#[derive(Clone, Debug, Serialize)]
pub struct Coefficient {
    /// Powers of the first and second coordinate, of a pair of z and its conjugate; of three those of the parameter.
    pub powers: Vec<usize>,
    /// Real and imaginary part, for each coordinate; of a pair for z.
    pub values: Vec<[f64; 2]>,
}

/// Points with a name.
#[derive(Clone, Debug, Serialize)]
pub struct Curve {
    /// What it is.
    pub name: String,
    /// Points.
    pub points: Vec<(f64, f64)>,
}

/// An SSM with all that follows from it.
#[derive(Clone, Debug, Serialize)]
pub struct Study {
    /// Map or flow.
    pub kind: Kind,
    /// Coordinates.
    pub chart: Chart,
    /// Order.
    pub order: usize,
    /// The first eigenvalues at the fixed point, at most 12, real and imaginary parts.
    pub eigenvalues: Vec<[f64; 2]>,
    /// How many are unstable.
    pub unstable: usize,
    /// Coefficients of R.
    pub coefficients: Vec<Coefficient>,
    /// x0, the fixed point: the coefficient of W of order 0, n.
    #[serde(skip)]
    pub anchor: Vec<f64>,
    /// The other coefficients of W, with the powers of `coefficients`, n each.
    #[serde(skip)]
    pub manifold: Vec<Vec<c64>>,
    /// Near-resonances, closer than 0.1.
    pub resonances: Vec<Resonance>,
    /// Estimated radius of convergence; none where the series ends.
    pub radius: Option<f64>,
    /// The residual that bounds the domain.
    pub tolerance: f64,
    /// Domain.
    pub domain: Vec<Direction>,
    /// R(p), of a map R(p) - p, along the first coordinate.
    pub reduced: Vec<(f64, f64)>,
    /// Residual against the first coordinate, for several orders.
    pub residuals: Vec<Curve>,
    /// Predicted fixed points.
    pub roots: Vec<Root>,
    /// Fixed points predicted by the Padé approximant of a line, with the residual there.
    pub beyond: Vec<(f64, f64)>,
    /// A reduced trajectory from a quarter of the domain against the full one, over one time constant at
    /// most.
    pub trajectory: Option<Comparison>,
    /// Predicted branch of fixed points, (mu, p), to both sides until the residual is above 1e-2.
    pub branch: Vec<(f64, f64)>,
    /// Predicted folds, of a residual of at most 1e-2.
    pub folds: Vec<Fold>,
    /// What two coordinates and the parameter predict.
    pub predictions: Option<Predictions>,
    /// Normal form, where the fixed point is at a bifurcation; of a pair always.
    pub normal_form: Option<NormalForm>,
    /// Backbone of a pair.
    pub backbone: Option<Backbone>,
}

/// Places of a curve.
const PLACES: usize = 241;

/// The largest residual of a predicted fold, and of a fixed point that a Padé approximant predicts: others are of a
/// series that does not hold there, or of a spurious pole.
const BEYOND: f64 = 1e-2;

/// How far a series is looked at that ends.
const ENDLESS: f64 = 10.0;

/// How near criticality the fixed point of a normal form is.
const CRITICAL: f64 = 1e-6;

impl Study {
    /// Computes it.
    ///
    /// # Errors
    /// As [`line()`], [`plane`], [`pair`] and those with a parameter; a dimension that is not 1 or 2.
    pub fn new(family: &impl Analytic, spectrum: &Spectrum, choice: &Choice) -> Result<Self> {
        let Choice { dimension, eigenvalue, order, moving, tolerance } = *choice;
        require((1..=2).contains(&dimension), "dimension", "1 or 2", dimension)?;
        require(tolerance > 0.0, "tolerance", "a number above 0", tolerance)?;
        let n = spectrum.x.len();
        require(
            n >= dimension,
            "dimension",
            format!("{dimension} coordinates: at least {dimension} neurons"),
            n,
        )?;
        let last = n - dimension;
        require(eigenvalue <= last, "eigenvalue", format!("0 to {last}"), eigenvalue)?;
        let real = spectrum.eigenvalues[eigenvalue].im == 0.0;
        if moving && dimension == 2 {
            if real {
                let ssm = plane_with_parameter(family, spectrum, [eigenvalue, eigenvalue + 1], order)?;
                return Self::predicted(family, spectrum, &ssm, choice);
            }
            let ssm = pair_with_parameter(family, spectrum, eigenvalue, Style::Graph, order)?;
            let mut study = Self::predicted(family, spectrum, &ssm, choice)?;
            if order >= 3 {
                let normal = pair(family, spectrum, eigenvalue, Style::NormalForm, 3)?;
                study.normal_form = normal.normal_form().ok();
            }
            return Ok(study);
        }
        if moving {
            let ssm = with_parameter(family, spectrum, eigenvalue, order)?;
            let mut study = Self::of(family, spectrum, &ssm, choice)?;
            let far = 2.0 * study.reach();
            study.folds = ssm.folds(family, far)?;
            study.folds.retain(|fold| fold.residual <= BEYOND);
            let points = ssm.branch_points(study.reach())?;
            let told = |&&(p, mu): &&(f64, f64)| ssm.residual(family, &[p, mu - ssm.mu]) <= BEYOND;
            let (before, after) = points.split_at(points.partition_point(|point| point.0 < 0.0));
            let mut branch: Vec<&(f64, f64)> = before.iter().rev().take_while(told).collect();
            branch.reverse();
            branch.extend(after.iter().take_while(told));
            study.branch = branch.into_iter().map(|&(p, mu)| (mu, p)).collect();
            study.normal_form = if order >= 3 { ssm.normal_form(CRITICAL)? } else { None };
            return Ok(study);
        }
        if dimension == 1 {
            let ssm = line(family, spectrum, eigenvalue, order)?;
            let mut study = Self::of(family, spectrum, &ssm, choice)?;
            study.normal_form = if order >= 3 { ssm.normal_form(CRITICAL)? } else { None };
            let (l, m) = (order - order / 4, order / 4);
            let approximant = ssm.pade(l, m)?;
            let places = places(1.5 * study.reach());
            let points = places.map(|p| (p, approximant.residual(family, p))).collect();
            let near = approximant.roots().into_iter().filter(|p| p.abs() < 3.0 * study.reach());
            let roots = near.map(|p| (p, approximant.residual(family, p)));
            study.beyond = roots.filter(|root| root.1 < BEYOND).collect();
            study.residuals.push(Curve { name: format!("Padé [{l}/{m}]"), points });
            return Ok(study);
        }
        if real {
            let ssm = plane(family, spectrum, [eigenvalue, eigenvalue + 1], order)?;
            return Self::of(family, spectrum, &ssm, choice);
        }
        let ssm = pair(family, spectrum, eigenvalue, Style::Graph, order)?;
        let mut study = Self::of(family, spectrum, &ssm, choice)?;
        if order >= 3 {
            let normal = pair(family, spectrum, eigenvalue, Style::NormalForm, order)?;
            study.normal_form = normal.normal_form().ok();
            study.backbone = Some(normal.backbone(family, study.reach(), 40)?);
        }
        Ok(study)
    }

    /// Of two coordinates and the parameter.
    fn predicted<S: Scalar>(
        family: &impl Family,
        spectrum: &Spectrum,
        ssm: &Ssm<S>,
        choice: &Choice,
    ) -> Result<Self> {
        let mut study = Self::of(family, spectrum, ssm, choice)?;
        let far = ssm.parameter_radius();
        let far = if far.is_finite() { far } else { ENDLESS };
        // Beyond the radii it is a guess, which its residual tells.
        study.predictions = Some(ssm.bifurcations(family, 2.0 * study.reach(), 2.0 * far)?);
        Ok(study)
    }

    fn of<S: Scalar>(
        family: &impl Family,
        spectrum: &Spectrum,
        ssm: &Ssm<S>,
        choice: &Choice,
    ) -> Result<Self> {
        let parts = |value: c64| [value.re, value.im];
        let shown = if S::PARTS == 2 { 1 } else { ssm.chart.states() };
        let variables = ssm.rates.len().max(2);
        let terms = || (1..=ssm.order()).flat_map(|k| (0..ssm.rates[0].width(k)).map(move |i| (k, i)));
        let coefficient = |(k, i)| Coefficient {
            powers: ssm.rates[0].powers(k, i)[..variables].to_vec(),
            values: ssm.rates[..shown].iter().map(|rate| parts(rate.get(k, i, 0).complex())).collect(),
        };
        let place = |(k, i)| (0..spectrum.x.len()).map(|u| ssm.manifold.get(k, i, u).complex()).collect();
        let radius = Some(ssm.radius()).filter(|radius| radius.is_finite());
        let mut study = Self {
            kind: ssm.kind,
            chart: ssm.chart,
            order: ssm.order(),
            eigenvalues: spectrum.eigenvalues.iter().take(12).map(|&value| parts(value)).collect(),
            unstable: spectrum.unstable(),
            coefficients: terms().map(coefficient).collect(),
            anchor: spectrum.x.clone(),
            manifold: terms().map(place).collect(),
            resonances: ssm.resonances(spectrum, 0.1),
            radius,
            tolerance: choice.tolerance,
            domain: ssm.domain(family, choice.tolerance),
            reduced: Vec::new(),
            residuals: Vec::new(),
            roots: Vec::new(),
            beyond: Vec::new(),
            trajectory: None,
            branch: Vec::new(),
            folds: Vec::new(),
            predictions: None,
            normal_form: None,
            backbone: None,
        };
        let reach = study.reach();
        let at = |p: f64| {
            let mut at = vec![p];
            at.resize(ssm.dimension(), 0.0);
            at
        };
        let still = |p: f64| if ssm.kind == Kind::Map { p } else { 0.0 };
        study.reduced = places(reach).map(|p| (p, ssm.reduced(&at(p))[0] - still(p))).collect();
        let mut orders: Vec<usize> = [3, 9].into_iter().filter(|&k| k < ssm.order()).collect();
        orders.push(ssm.order());
        study.residuals = orders
            .into_iter()
            .map(|order| {
                let lower = ssm.truncated(order);
                let points = places(1.5 * reach).map(|p| (p, lower.residual(family, &at(p)))).collect();
                Curve { name: format!("order {order}"), points }
            })
            .collect();
        study.roots = ssm.roots(family, reach)?;
        let quarter = 0.25 * study.domain.iter().map(|side| side.distance).fold(reach, f64::min);
        let value = spectrum.eigenvalues[choice.eigenvalue];
        let speed = if ssm.kind == Kind::Flow { value.re } else { value.norm().ln() }.abs();
        let span = speed.recip().clamp(1.0, 100.0);
        let (dt, steps) = if ssm.kind == Kind::Flow { (span / 100.0, 100) } else { (1.0, span as usize) };
        // One that leaves the domain is no comparison.
        study.trajectory = ssm.compare(family, &at(quarter), dt, steps).ok();
        Ok(study)
    }

    /// Whether a prediction with this residual is inside the domain.
    #[must_use]
    pub fn holds(&self, residual: f64) -> bool {
        residual <= self.tolerance
    }

    /// How far the domain goes down and up the first coordinate, the others 0.
    #[must_use]
    pub fn span(&self) -> [&Direction; 2] {
        let along = |sign: f64| {
            let by =
                |a: &&Direction, b: &&Direction| (sign * a.direction[0]).total_cmp(&(sign * b.direction[0]));
            self.domain.iter().max_by(by).expect("a domain has directions")
        };
        [along(-1.0), along(1.0)]
    }

    /// The largest |p| that is looked at: the radius of convergence, or 10 where the series ends, at least
    /// the domain.
    #[must_use]
    pub fn reach(&self) -> f64 {
        let domain = self.domain.iter().map(|side| side.distance).fold(0.0, f64::max);
        self.radius.unwrap_or(ENDLESS).max(if self.chart.moves() { 0.0 } else { domain.min(100.0) })
    }
}

/// Evenly spaced places from -reach to reach.
fn places(reach: f64) -> impl Iterator<Item = f64> {
    (0..PLACES).map(move |k| reach * (2.0 * k as f64 / (PLACES - 1) as f64 - 1.0))
}
