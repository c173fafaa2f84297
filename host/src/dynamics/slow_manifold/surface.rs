//! Slow manifolds of two dimensions, around a fixed point.

use faer::{Mat, c64};
use serde::Serialize;

use crate::dynamics::linear::{add_product, singular_vectors, transposed_times};
use crate::dynamics::ssm::{self, Ssm, Style};
use crate::dynamics::vector::{distance, moved, norm};
use crate::dynamics::{Kind, Rnn, System};
use crate::error::require;
use crate::simulate::activate;
use crate::{Error, Result};
use tinyfold_core::Form;

/// Orders of the series that are tried: resonances forbid high ones.
const ORDERS: [usize; 4] = [9, 5, 3, 1];
/// Largest residual by the reach.
const WITHIN: f64 = 1e-4;
/// Halvings of the reach until the residual is small.
const HALVINGS: usize = 20;
/// Singular values of W below this part of the largest are 0.
const RANK: f64 = 1e-10;
/// Directions in which the residual is looked at.
const DIRECTIONS: usize = 16;

/// Slow states x(p) of two coordinates, |p| <= reach, and the reduced dynamics on them.
///
/// dp/dt = r(p) of a flow, p' = p + r(p) of a map.
#[derive(Clone, Debug, Serialize)]
pub struct Surface {
    /// Map or flow.
    pub kind: Kind,
    /// x(0), n: a fixed point.
    pub anchor: Vec<f64>,
    /// The largest |p|.
    pub reach: f64,
    /// The largest entry of F(x(p)) - x'(p) r(p), of a map f(x(p)) - x(p + r(p)), at |p| = reach and half of it.
    pub residual: f64,
    /// What it is.
    pub description: String,
    #[serde(skip)]
    chart: Chart,
}

/// Where x and r come from.
#[derive(Clone, Debug)]
enum Chart {
    Real(Ssm<f64>),
    Pair(Ssm<c64>),
    /// The latent of weights W = P Qᵀ of rank 2, closed in itself.
    Latent(Box<Latent>),
}

/// Of rate form without leak, z = Qᵀ h: x = phi(P z + g), z' = Qᵀ x, and p = z - z0. Of current form p = Pᵀ (a - a0).
#[derive(Clone, Debug)]
struct Latent {
    rnn: Rnn,
    /// n × 2; of current form with orthonormal columns.
    p: Mat<f64>,
    /// n × 2, orthonormal columns.
    q: Mat<f64>,
    anchor: Vec<f64>,
    /// p of the fixed point before it is taken as 0: Qᵀ h0.
    centre: Vec<f64>,
}

impl Latent {
    /// The latent of a network of rank 2, where it is closed.
    fn of(rnn: &Rnn, anchor: &[f64]) -> Option<Self> {
        let n = anchor.len();
        let closed = match rnn.form {
            Form::Rate => rnn.kind == Kind::Map && rnn.alpha == 1.0,
            Form::Current => true,
        };
        if !closed || n < 2 {
            return None;
        }
        let (left, right) = singular_vectors(rnn.w.as_ref().as_ref())?;
        let (left, q) = (left.subcols(0, 2).to_owned(), right.subcols(0, 2).to_owned());
        let image = &*rnn.w * &q;
        let missed = (&*rnn.w - &image * q.transpose()).norm_max();
        let second = image.col(1).norm_l2();
        if missed > RANK * rnn.w.norm_max() || second <= RANK * rnn.w.norm_max() {
            return None;
        }
        let p = if rnn.form == Form::Rate { image } else { left };
        let centre = transposed_times(&q, anchor);
        Some(Self { rnn: rnn.clone(), p, q, anchor: anchor.to_vec(), centre })
    }

    fn state(&self, p: &[f64]) -> Vec<f64> {
        if self.rnn.form == Form::Current {
            let mut x = self.anchor.clone();
            add_product(&mut x, &self.p, p);
            return x;
        }
        let mut a = self.rnn.drive.clone();
        add_product(&mut a, &self.p, &moved(&self.centre, 1.0, p));
        a.into_iter().map(|a| activate(self.rnn.activation, a)).collect()
    }

    /// What p is of a state, without its origin, as rows: the covectors.
    fn covectors(&self) -> &Mat<f64> {
        if self.rnn.form == Form::Current { &self.p } else { &self.q }
    }

    fn speed(&self, p: &[f64]) -> Vec<f64> {
        let x = self.state(p);
        if self.rnn.form == Form::Rate {
            return moved(&moved(&transposed_times(&self.q, &x), -1.0, &self.centre), -1.0, p);
        }
        let mut rest = vec![0.0; x.len()];
        self.rnn.residual(&x, &mut rest);
        transposed_times(&self.p, &rest)
    }
}

impl Surface {
    /// The slow surface of the fixed point x0 for |p| <= `reach`, or as far as it holds.
    ///
    /// Of weights of rank 2 whose latent is closed, as of an exact integrator of two signals, all of it: also where
    /// phi has corners. Of other networks the spectral submanifold over the two slowest eigenvalues. reach: above 0,
    /// halved until the residual is 1e-4 of it.
    ///
    /// # Errors
    /// A network of fewer than 2 neurons; a series that holds nowhere, as at a corner of phi.
    ///
    /// Source: as [`ssm::plane`] and [`ssm::pair`].
    ///
    /// ```
    /// use tinyfold::dynamics::slow_manifold::{Attractor, Bounds, Surface, Verdict};
    /// use tinyfold::dynamics::{Kind, Rnn};
    /// use tinyfold::network::{Activation, Network, Recurrence};
    /// // Two signals are kept, a third is forgotten.
    /// let kept = [1.0, 1.0, 0.2];
    /// let w = faer::Mat::from_fn(3, 3, |i, j| if i == j { kept[i] } else { 0.0 });
    /// let none = || faer::Mat::zeros(3, 0);
    /// let network = Network::plain(Activation::Linear, Recurrence::Dense(w), none(), none().transpose().to_owned());
    /// let rnn = Rnn::new(&network, &[], Kind::Map)?;
    /// let surface = Surface::around(&rnn, &[0.0; 3], 1.0)?;
    /// let found = Attractor::of_surface(&rnn, &surface, &Bounds::default())?;
    /// assert_eq!(found.verdict, Verdict::Attractor);
    /// assert!((found.normal_rate - 0.2_f64.ln()).abs() < 1e-9);
    /// # Ok::<(), tinyfold::Error>(())
    /// ```
    pub fn around(rnn: &Rnn, x: &[f64], reach: f64) -> Result<Self> {
        require(reach > 0.0 && reach.is_finite(), "reach", "above 0 and finite", reach)?;
        require(x.len() >= 2, "neurons of a plane", "at least 2", x.len())?;
        if let Some(latent) = Latent::of(rnn, x) {
            let description = "the latent of weights of rank 2".to_owned();
            return Ok(Self::measured(rnn, x, reach, Chart::Latent(Box::new(latent)), description));
        }
        let family = ssm::held(rnn.clone());
        let spectrum = ssm::Spectrum::new(&family, x, 0.0)?;
        let real = spectrum.eigenvalues[0].im == 0.0;
        let second = spectrum.eigenvalues[1];
        require(
            !real || second.im == 0.0,
            "second slowest eigenvalue",
            "a real one beside the slowest, which is real: the two span the plane",
            format!("{:.6} {:+.6}i, one of a pair", second.re, second.im),
        )?;
        let chart = |order: usize| -> Result<Chart> {
            Ok(if real {
                Chart::Real(ssm::plane(&family, &spectrum, [0, 1], order)?)
            } else {
                Chart::Pair(ssm::pair(&family, &spectrum, 0, Style::Graph, order)?)
            })
        };
        let mut why = None;
        let mut best: Option<Self> = None;
        for order in ORDERS {
            let chart = match chart(order) {
                Ok(chart) => chart,
                Err(error) => {
                    why = Some(error);
                    continue;
                }
            };
            let description =
                format!("the spectral submanifold over the two slowest eigenvalues, order {order}");
            let reaches = (0..HALVINGS).map(|k| reach * 0.5_f64.powi(k as i32));
            let found = reaches
                .map(|reach| Self::measured(rnn, x, reach, chart.clone(), description.clone()))
                .find(|surface| surface.residual <= WITHIN * surface.reach);
            // A higher order is taken first, a lower one only if it reaches further.
            best = match (best, found) {
                (Some(best), Some(found)) if found.reach <= best.reach => Some(best),
                (best, found) => found.or(best),
            };
        }
        best.ok_or_else(|| {
            why.unwrap_or_else(|| Error::Numeric {
                what: "slow plane".into(),
                reason: "the series of the spectral submanifold holds nowhere; another held --input has another fixed point"
                    .into(),
            })
        })
    }

    fn measured(rnn: &Rnn, x: &[f64], reach: f64, chart: Chart, description: String) -> Self {
        let mut surface =
            Self { kind: rnn.kind, anchor: x.to_vec(), reach, residual: 0.0, description, chart };
        let mut rest = vec![0.0; x.len()];
        for p in rim(DIRECTIONS, reach).into_iter().chain(rim(DIRECTIONS, 0.5 * reach)) {
            let state = surface.state(&p);
            rnn.residual(&state, &mut rest);
            let speed = surface.speed(&p);
            let along = match surface.kind {
                Kind::Map => moved(&surface.state(&moved(&p, 1.0, &speed)), -1.0, &state),
                Kind::Flow => surface
                    .tangents(&p)
                    .iter()
                    .zip(&speed)
                    .fold(vec![0.0; x.len()], |sum, (t, s)| moved(&sum, *s, t)),
            };
            let off = distance(&rest, &along);
            surface.residual = if off.is_nan() { f64::INFINITY } else { surface.residual.max(off) };
        }
        surface
    }

    /// x(p), n.
    #[must_use]
    pub fn state(&self, p: &[f64]) -> Vec<f64> {
        match &self.chart {
            Chart::Real(ssm) => ssm.state(p),
            Chart::Pair(ssm) => ssm.state(p),
            Chart::Latent(latent) => latent.state(p),
        }
    }

    /// r(p), 2.
    #[must_use]
    pub fn speed(&self, p: &[f64]) -> Vec<f64> {
        let next = match &self.chart {
            Chart::Real(ssm) => ssm.reduced(p),
            Chart::Pair(ssm) => ssm.reduced(p),
            Chart::Latent(latent) => return latent.speed(p),
        };
        if self.kind == Kind::Map { moved(&next, -1.0, p) } else { next }
    }

    /// d x / d p_1 and d x / d p_2, by central differences.
    pub(super) fn tangents(&self, p: &[f64]) -> [Vec<f64>; 2] {
        let h = 1e-5 * self.reach;
        [0, 1].map(|k| {
            let beside = |by: f64| {
                let mut p = p.to_vec();
                p[k] += by;
                self.state(&p)
            };
            let (high, low) = (beside(h), beside(-h));
            moved(&high, -1.0, &low).into_iter().map(|t| t / (2.0 * h)).collect()
        })
    }

    /// The gradients of p_1 and p_2.
    pub(super) fn covectors(&self) -> [Vec<f64>; 2] {
        match &self.chart {
            Chart::Real(ssm) => [ssm.left[0].clone(), ssm.left[1].clone()],
            Chart::Pair(ssm) => {
                // z = l · x of a complex l: real and imaginary part.
                let (re, im) = ssm.left[0].split_at(self.anchor.len());
                [re.to_vec(), im.to_vec()]
            }
            Chart::Latent(latent) => [0, 1].map(|k| latent.covectors().col_as_slice(k).to_vec()),
        }
    }

    /// p of a state.
    #[must_use]
    pub fn coordinates(&self, x: &[f64]) -> Vec<f64> {
        let from = moved(x, -1.0, &self.anchor);
        self.covectors().iter().map(|l| l.iter().zip(&from).map(|(l, x)| l * x).sum()).collect()
    }

    /// p moved to the nearest place on the surface.
    pub(super) fn clamped(&self, p: Vec<f64>) -> Vec<f64> {
        let length = norm(&p);
        if length <= self.reach { p } else { p.into_iter().map(|p| p * self.reach / length).collect() }
    }
}

/// Places all around p = 0 at a distance.
pub(super) fn rim(count: usize, distance: f64) -> Vec<Vec<f64>> {
    let angle = |k: usize| k as f64 * std::f64::consts::TAU / count as f64;
    (0..count).map(|k| vec![distance * angle(k).cos(), distance * angle(k).sin()]).collect()
}
