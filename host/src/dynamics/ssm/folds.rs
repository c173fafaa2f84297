//! Folds that an SSM over the parameter predicts.

use serde::Serialize;

use super::{Chart, Ssm};
use crate::Result;
use crate::dynamics::{Family, Kind};
use crate::error::require;

/// A saddle-node: R(p, mu) = 0 (map: p) and dR/dp = 0 (map: 1).
#[derive(Clone, Debug, Serialize)]
pub struct Fold {
    /// The parameter.
    pub mu: f64,
    /// Coordinate.
    pub p: f64,
    /// W(p, mu), n.
    pub x: Vec<f64>,
    /// a of the normal form q' = b (mu - mu_fold) + a q² along the SSM.
    pub a: f64,
    /// b of the normal form.
    pub b: f64,
    /// Residual of the invariance equation there.
    pub residual: f64,
    /// By how much mu moves from two orders lower: an estimate of its error.
    pub change: f64,
}

/// R (map: R - p) and its derivatives at (p, mu).
struct Local {
    value: f64,
    p: f64,
    mu: f64,
    pp: f64,
    pm: f64,
}

/// Places along the branch in each direction.
const PLACES: usize = 400;

impl Ssm<f64> {
    fn local(&self, p: f64, mu: f64) -> Local {
        let rate = &self.rates[0];
        let mut local = Local { value: 0.0, p: 0.0, mu: 0.0, pp: 0.0, pm: 0.0 };
        let fall = |k: usize, x: f64, times: usize| -> f64 {
            if k < times {
                return 0.0;
            }
            (0..times).map(|t| (k - t) as f64).product::<f64>() * x.powi((k - times) as i32)
        };
        for k in 0..=rate.order {
            for i in 0..=k {
                let c = rate.get(k, i, 0);
                let a = k - i;
                local.value += c * fall(a, p, 0) * fall(i, mu, 0);
                local.p += c * fall(a, p, 1) * fall(i, mu, 0);
                local.mu += c * fall(a, p, 0) * fall(i, mu, 1);
                local.pp += c * fall(a, p, 2) * fall(i, mu, 0);
                local.pm += c * fall(a, p, 1) * fall(i, mu, 1);
            }
        }
        if self.kind == Kind::Map {
            local.value -= p;
            local.p -= 1.0;
        }
        local
    }

    /// mu with R(p, mu) = 0 near a guess.
    fn branch(&self, p: f64, guess: f64) -> Option<f64> {
        let mut mu = guess;
        for _ in 0..20 {
            let local = self.local(p, mu);
            let step = local.value / local.mu;
            mu -= step;
            if !mu.is_finite() {
                return None;
            }
            if step.abs() <= 1e-14 * (1e-6 + mu.abs()) {
                return Some(mu);
            }
        }
        (self.local(p, mu).value.abs() < 1e-12).then_some(mu)
    }

    /// Fixed points (p, mu) that the reduced model predicts, along the branch through the anchor, by p.
    ///
    /// # Errors
    /// As [`Ssm::folds`].
    pub fn branch_points(&self, within: f64) -> Result<Vec<(f64, f64)>> {
        self.has_branch(within)?;
        let mut points = vec![(0.0, self.mu)];
        for sign in [-1.0, 1.0] {
            let mut mu = 0.0;
            for k in 1..=PLACES {
                let p = sign * within * k as f64 / PLACES as f64;
                let Some(next) = self.branch(p, mu) else { break };
                mu = next;
                points.push((p, self.mu + mu));
            }
        }
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Ok(points)
    }

    fn has_branch(&self, within: f64) -> Result<()> {
        let chart = format!("{:?}", self.chart);
        require(self.chart == Chart::Parameter, "chart", "one with the parameter", chart)?;
        require(within > 0.0 && within.is_finite(), "within", "a number above 0", within)
    }

    /// Newton's method for R = dR/dp = 0.
    fn fold(&self, mut p: f64, mut mu: f64) -> Option<(f64, f64)> {
        for _ in 0..30 {
            let local = self.local(p, mu);
            let determinant = local.p * local.pm - local.mu * local.pp;
            let steps = [
                (local.pm * local.value - local.mu * local.p) / determinant,
                (local.p * local.p - local.pp * local.value) / determinant,
            ];
            p -= steps[0];
            mu -= steps[1];
            if !(p.is_finite() && mu.is_finite()) {
                return None;
            }
            if steps[0].abs() <= 1e-13 * (1e-3 + p.abs()) && steps[1].abs() <= 1e-13 * (1e-3 + mu.abs()) {
                return Some((p, mu));
            }
        }
        None
    }

    /// Folds along the branch of fixed points through the anchor, |p| <= `within`, nearest first.
    ///
    /// The branch is followed as mu(p) in both directions, which passes through folds.
    ///
    /// # Errors
    /// The SSM has no parameter; `within` is not a number above 0.
    pub fn folds(&self, family: &impl Family, within: f64) -> Result<Vec<Fold>> {
        self.has_branch(within)?;
        let lower = self.truncated(self.order().saturating_sub(2).max(2));
        let mut folds: Vec<Fold> = Vec::new();
        for sign in [-1.0, 1.0] {
            let (mut mu, mut before) = (0.0, self.local(0.0, 0.0).p);
            for k in 1..=PLACES {
                let p = sign * within * k as f64 / PLACES as f64;
                let Some(next) = self.branch(p, mu) else { break };
                let slope = self.local(p, next).p;
                if slope.signum() != before.signum() || before == 0.0 {
                    folds.extend(self.fold(p, next).map(|(p, mu)| {
                        let local = self.local(p, mu);
                        let x = self.state(&[p, mu]);
                        let residual = self.residual(family, &[p, mu]);
                        let change = lower.fold(p, mu).map_or(f64::INFINITY, |other| (other.1 - mu).abs());
                        Fold { mu: self.mu + mu, p, x, a: 0.5 * local.pp, b: local.mu, residual, change }
                    }));
                }
                (mu, before) = (next, slope);
            }
        }
        folds.sort_by(|a, b| a.p.abs().total_cmp(&b.p.abs()));
        folds.dedup_by(|a, b| (a.p - b.p).abs() < 1e-9 * within && (a.mu - b.mu).abs() < 1e-9);
        folds.retain(|fold| fold.p.abs() <= within);
        Ok(folds)
    }
}
