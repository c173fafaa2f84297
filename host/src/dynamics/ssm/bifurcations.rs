//! Bifurcations that an SSM of two coordinates and the parameter predicts.

use std::sync::atomic::AtomicBool;

use faer::MatMut;
use serde::Serialize;

use super::series::Scalar;
use super::{Chart, Ssm};
use crate::Result;
use crate::dynamics::continuation::{Bifurcation, Diagram, Settings, Special, Start, continuation};
use crate::dynamics::{Family, Kind};
use crate::error::require;

/// A bifurcation of the reduced dynamics.
#[derive(Clone, Debug, Serialize)]
pub struct Predicted {
    /// What it is.
    pub kind: Bifurcation,
    /// The parameter.
    pub mu: f64,
    /// Coordinates of the state, 2.
    pub p: Vec<f64>,
    /// W(p, mu), n.
    pub x: Vec<f64>,
    /// omega of Hopf, theta of Neimark-Sacker.
    pub angle: Option<f64>,
    /// Whether what is born is stable on the SSM, where that is a question: as [`Special::cubic`] is negative.
    pub supercritical: Option<bool>,
    /// Residual of the invariance equation there.
    pub residual: f64,
    /// By how much mu moves from two orders lower, an estimate of its error; none where those predict none.
    pub change: Option<f64>,
}

/// What the reduced dynamics predicts.
#[derive(Clone, Debug, Serialize)]
pub struct Predictions {
    /// All bifurcations, by the distance of mu from that of the fixed point.
    pub bifurcations: Vec<Predicted>,
    /// The branches of fixed points of the reduced dynamics: their x is p.
    pub diagram: Diagram,
}

/// The reduced dynamics as a family: dp/dt = R(p, mu), of a map p' = R(p, mu).
struct Reduced<'a, S> {
    ssm: &'a Ssm<S>,
    /// How large p is.
    within: f64,
}

impl<S> Reduced<'_, S> {
    fn at(&self, p: &[f64], mu: f64) -> [f64; 3] {
        [p[0], p[1], mu - self.ssm.mu]
    }
}

impl<S: Scalar> Family for Reduced<'_, S> {
    fn dimension(&self) -> usize {
        2
    }

    fn kind(&self) -> Kind {
        self.ssm.kind
    }

    fn size(&self) -> f64 {
        self.within
    }

    fn value(&self, p: &[f64], mu: f64, out: &mut [f64]) {
        out.copy_from_slice(&self.ssm.reduced(&self.at(p, mu))[..2]);
    }

    fn jacobian(&self, p: &[f64], mu: f64, mut out: MatMut<'_, f64>) {
        for (i, row) in self.ssm.slope(&self.at(p, mu)).into_iter().enumerate() {
            row.into_iter().enumerate().for_each(|(j, slope)| out[(i, j)] = slope);
        }
    }

    fn derivative(&self, p: &[f64], mu: f64, out: &mut [f64]) {
        out.copy_from_slice(&self.ssm.moved(&self.at(p, mu)));
    }
}

impl<S: Scalar> Ssm<S> {
    /// Bifurcations of the reduced dynamics for |p_i| <= `within` and mu at most `far` from that of the fixed point, on
    /// the branches through the fixed points that it has there.
    ///
    /// Its fixed points are followed as those of any other family ([`continuation`]): folds, branch points, Hopf, flip
    /// and Neimark-Sacker points.
    ///
    /// # Errors
    /// Not two coordinates and the parameter; `within` or `far` not above 0.
    ///
    /// ```
    /// use tinyfold::dynamics::continuation::Bifurcation;
    /// use tinyfold::dynamics::ssm::{Polynomial, Spectrum, Style, pair_with_parameter};
    /// use tinyfold::dynamics::{Kind, ssm};
    /// // x' = mu x - y - x³, y' = x + mu y, w' = -3 w + x²: a cycle is born at mu = 0; from mu = -0.2.
    /// let system = Polynomial::new(3, Kind::Flow)
    ///     .term(0, 1.0, &[3, 0])
    ///     .term(0, -1.0, &[1])
    ///     .term(0, -1.0, &[0, 0, 0])
    ///     .term(1, 1.0, &[0])
    ///     .term(1, 1.0, &[3, 1])
    ///     .term(2, -3.0, &[2])
    ///     .term(2, 1.0, &[0, 0]);
    /// let spectrum = Spectrum::new(&system, &[0.0; 3], -0.2)?;
    /// let ssm = pair_with_parameter(&system, &spectrum, 0, Style::Graph, 5)?;
    /// let found = ssm.bifurcations(&system, 1.0, 0.5)?.bifurcations;
    /// assert_eq!(found[0].kind, Bifurcation::Hopf);
    /// assert!(found[0].mu.abs() < 1e-9 && (found[0].angle.unwrap() - 1.0).abs() < 1e-9);
    /// # Ok::<(), tinyfold::Error>(())
    /// ```
    pub fn bifurcations(&self, family: &impl Family, within: f64, far: f64) -> Result<Predictions> {
        let chart = format!("{:?}", self.chart);
        require(self.chart == Chart::PlaneParameter, "chart", "two coordinates and the parameter", chart)?;
        require(far > 0.0 && far.is_finite(), "far", "a number above 0", far)?;
        let roots = self.roots(family, within)?;
        let starts: Vec<Start> =
            roots.into_iter().map(|root| Start { mu: self.mu, x: root.p[..2].to_vec() }).collect();
        let diagram = self.diagram(&starts, within, far)?;
        let lower = self.truncated(self.order().saturating_sub(2).max(1)).diagram(&starts, within, far);
        let lower = lower.unwrap_or_default();
        let all = |diagram: &Diagram| -> Vec<Special> {
            diagram.branches.iter().flat_map(|branch| branch.special.clone()).collect()
        };
        let below = all(&lower);
        let predicted = |special: Special| {
            let Special { kind, mu, x: p, angle, cubic, .. } = special;
            let at = [p[0], p[1], mu - self.mu];
            let same = below.iter().filter(|other| other.kind == kind);
            let change = same.map(|other| (other.mu - mu).abs()).min_by(f64::total_cmp);
            let (x, residual) = (self.state(&at), self.residual(family, &at));
            Predicted { kind, mu, p, x, angle, supercritical: cubic.map(|c| c < 0.0), residual, change }
        };
        let mut bifurcations: Vec<Predicted> = all(&diagram).into_iter().map(predicted).collect();
        bifurcations.sort_by(|a, b| (a.mu - self.mu).abs().total_cmp(&(b.mu - self.mu).abs()));
        Ok(Predictions { bifurcations, diagram })
    }

    /// The branches of the reduced dynamics.
    fn diagram(&self, starts: &[Start], within: f64, far: f64) -> Result<Diagram> {
        let settings = Settings { bound: 1.0, ..Settings::new(self.mu - far, self.mu + far) };
        continuation(&Reduced { ssm: self, within }, starts, &settings, &AtomicBool::new(false))
    }
}
