//! Normal forms of bifurcations, and the backbone of an oscillation, from the reduced dynamics.

use faer::c64;
use serde::Serialize;

use super::reduced::real_roots;
use super::series::Scalar;
use super::{Chart, Ssm, Style};
use crate::dynamics::{Family, Kind};
use crate::error::require;
use crate::{Error, Result};

/// The normal form at a bifurcation; q is the coordinate of the SSM, |v| = 1.
///
/// Source: Kuznetsov 2004, chapters 3 to 5.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum NormalForm {
    /// q' = b mu + a q²; map: q + b mu + a q².
    Fold {
        /// a.
        a: f64,
        /// b; none without a parameter.
        b: Option<f64>,
    },
    /// q' = b mu q + a q²; map: q + ....
    Transcritical {
        /// a.
        a: f64,
        /// b.
        b: f64,
    },
    /// q' = b mu q + c q³; map: q + ....
    Pitchfork {
        /// c: below 0 supercritical.
        cubic: f64,
        /// b; none without a parameter.
        b: Option<f64>,
    },
    /// q' = -(1 - b mu) q + c q³ of a map: c above 0 supercritical.
    Flip {
        /// c.
        cubic: f64,
        /// b, the derivative of the multiplier along the branch; none without a parameter.
        b: Option<f64>,
    },
    /// z' = (growth + i omega) z + c z |z|².
    Hopf {
        /// Real part of the eigenvalue, 0 at the bifurcation.
        growth: f64,
        /// omega.
        frequency: f64,
        /// c, real and imaginary part.
        cubic: [f64; 2],
        /// Re c / omega: below 0 supercritical.
        first_lyapunov: f64,
    },
    /// z' = lambda z (1 + d |z|²) of a map.
    NeimarkSacker {
        /// |lambda|, 1 at the bifurcation.
        modulus: f64,
        /// arg lambda, per step.
        angle: f64,
        /// Re d: below 0 supercritical.
        cubic: f64,
        /// Im d: how the angle changes with |z|².
        twist: f64,
    },
}

/// Frequency and damping of an oscillation against its amplitude.
#[derive(Clone, Debug, Serialize)]
pub struct Backbone {
    /// By growing amplitude.
    pub points: Vec<BackbonePoint>,
    /// Where the damping is 0: limit cycles, or invariant circles of a map.
    pub cycles: Vec<BackbonePoint>,
}

/// A point of a [`Backbone`].
#[derive(Clone, Debug, Serialize)]
pub struct BackbonePoint {
    /// |z|.
    pub radius: f64,
    /// The largest |x - x0| over a period.
    pub amplitude: f64,
    /// Radians per unit of time, or per step.
    pub frequency: f64,
    /// Growth rate of |z|, below 0 where it decays; of a map, per step.
    pub damping: f64,
    /// The largest residual of the invariance equation over a period.
    pub residual: f64,
}

impl Ssm<f64> {
    /// The normal form of a line at its fixed point; none where its eigenvalue is further than `tolerance`
    /// from criticality (0 of a flow, 1 or -1 of a map).
    ///
    /// # Errors
    /// Two state coordinates; an order below 3.
    pub fn normal_form(&self, tolerance: f64) -> Result<Option<NormalForm>> {
        require(self.chart.states() == 1, "chart", "one state coordinate", "two")?;
        require(self.order() >= 3, "order", "at least 3", self.order())?;
        let r = |k: usize, i: usize| self.rates[0].get(k, i, 0);
        let value = self.eigenvalues[0];
        let moving = self.chart == Chart::Parameter;
        if self.kind == Kind::Map && (value + 1.0).abs() < tolerance {
            let cubic = r(2, 0).powi(2) + r(3, 0);
            return Ok(Some(NormalForm::Flip { cubic, b: moving.then(|| r(2, 1) + r(2, 0) * r(1, 1)) }));
        }
        let critical = if self.kind == Kind::Map { value - 1.0 } else { value };
        if critical.abs() >= tolerance {
            return Ok(None);
        }
        let (unmoved, flat) = (!moving || r(1, 1).abs() < tolerance, r(2, 0).abs() < tolerance);
        Ok(Some(match (unmoved && moving, flat) {
            (true, false) => NormalForm::Transcritical { a: r(2, 0), b: r(2, 1) },
            (_, true) if unmoved => NormalForm::Pitchfork { cubic: r(3, 0), b: moving.then(|| r(2, 1)) },
            _ => NormalForm::Fold { a: r(2, 0), b: moving.then(|| r(1, 1)) },
        }))
    }
}

impl Ssm<c64> {
    fn in_normal_form(&self) -> Result<()> {
        require(self.style == Style::NormalForm, "style", "normal form", "graph")
    }

    /// The normal form of a pair: Hopf of a flow, Neimark-Sacker of a map.
    ///
    /// # Errors
    /// Graph style; an order below 3; a strong resonance of a map, whose normal form has more terms.
    pub fn normal_form(&self) -> Result<NormalForm> {
        self.in_normal_form()?;
        require(self.order() >= 3, "order", "at least 3", self.order())?;
        let (value, cubic) = (self.eigenvalues[0], self.rates[0].get(3, 1, 0));
        if self.kind == Kind::Flow {
            let first_lyapunov = cubic.re / value.im;
            return Ok(NormalForm::Hopf {
                growth: value.re,
                frequency: value.im,
                cubic: [cubic.re, cubic.im],
                first_lyapunov,
            });
        }
        let others = (2..=3).flat_map(|k| (0..=k).map(move |i| (k, i))).filter(|&place| place != (3, 1));
        if others.map(|(k, i)| self.rates[0].get(k, i, 0).norm()).any(|size| size > 1e-12) {
            let what = "Neimark-Sacker normal form".into();
            let reason =
                "strong resonance: the eigenvalue is a root of 1 of order up to 4; move the parameter";
            return Err(Error::Numeric { what, reason: reason.into() });
        }
        let d = cubic / value;
        Ok(NormalForm::NeimarkSacker {
            modulus: value.norm(),
            angle: value.im.atan2(value.re),
            cubic: d.re,
            twist: d.im,
        })
    }

    /// Frequency and damping against amplitude, at `points` radii up to `largest`.
    ///
    /// R = z f(|z|²): of a flow frequency Im f and damping Re f, of a map arg f and log |f|.
    ///
    /// # Errors
    /// Graph style; `largest` not above 0.
    pub fn backbone(&self, family: &impl Family, largest: f64, points: usize) -> Result<Backbone> {
        self.in_normal_form()?;
        require(largest > 0.0 && largest.is_finite(), "largest radius", "a number above 0", largest)?;
        let c: Vec<c64> =
            (0..).map_while(|j| (2 * j < self.order()).then(|| self.rates[0].get(2 * j + 1, j, 0))).collect();
        let point = |radius: f64| {
            let f = c.iter().rev().fold(c64::new(0.0, 0.0), |sum, c| sum * (radius * radius) + c);
            let (frequency, damping) = match self.kind {
                Kind::Flow => (f.im, f.re),
                Kind::Map => (f.im.atan2(f.re), f.norm().ln()),
            };
            let (mut amplitude, mut residual) = (0.0_f64, 0.0_f64);
            let start = &self.manifold.column(0, 0)[..self.manifold.n];
            for phase in 0..64 {
                let (sin, cos) = (f64::from(phase) * std::f64::consts::TAU / 64.0).sin_cos();
                let p = [radius * cos, radius * sin];
                let state = self.state(&p);
                let size = state.iter().zip(start).map(|(x, start)| (x - start).powi(2)).sum::<f64>().sqrt();
                amplitude = amplitude.max(size);
                residual = residual.max(self.residual(family, &p));
            }
            BackbonePoint { radius, amplitude, frequency, damping, residual }
        };
        // Re f = 0 in |z|² of a flow, |f|² = 1 of a map.
        let zero: Vec<f64> = match self.kind {
            Kind::Flow => c.iter().map(|c| c.part()).collect(),
            Kind::Map => {
                let mut square = vec![0.0; 2 * c.len()];
                for (j, a) in c.iter().enumerate() {
                    c.iter().enumerate().for_each(|(k, b)| square[j + k] += (a * b.mirrored()).re);
                }
                square[0] -= 1.0;
                square
            }
        };
        let squares = real_roots(&zero).into_iter().filter(|&s| s > 0.0 && s <= largest * largest);
        let cycles = squares.map(|square| point(square.sqrt())).collect();
        let points = (1..=points).map(|k| point(largest * k as f64 / points as f64)).collect();
        Ok(Backbone { points, cycles })
    }
}
