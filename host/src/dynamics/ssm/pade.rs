//! Padé approximants: an SSM beyond its radius of convergence.

use std::iter::zip;

use faer::Mat;

use super::{Chart, Ssm};
use crate::dynamics::{Family, Kind};
use crate::error::require;
use crate::{Error, Result};

/// Singular values below this share of the largest are rounding.
const ROUNDING: f64 = 1e-12;

/// A quotient of polynomials whose power series is a given one.
///
/// ```text
/// (sum_(k = 0..L) a_k p^k) / (sum_(k = 0..M) b_k p^k) = sum c_k p^k + O(p^(L + M + 1))
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Pade {
    /// a over powers of p / scale.
    pub numerator: Vec<f64>,
    /// b over powers of p / scale.
    pub denominator: Vec<f64>,
    /// What p is divided by, so that coefficients are alike.
    pub scale: f64,
}

/// sum c_k p^k and its derivative.
fn polynomial(c: &[f64], p: f64) -> (f64, f64) {
    c.iter().rev().fold((0.0, 0.0), |(value, slope), c| (value * p + c, slope * p + value))
}

impl Pade {
    /// The approximant [L / M] of a series of at least L + M + 1 coefficients.
    ///
    /// scale: near the radius of convergence, above 0. Where the series is that of a quotient of lower degree, this
    /// one is found (Gonnet, Guettel & Trefethen 2013).
    ///
    /// # Errors
    /// Too few coefficients; a singular value decomposition that does not converge.
    ///
    /// ```
    /// use tinyfold::dynamics::ssm::Pade;
    /// // log(1 + p), far beyond its radius of convergence 1.
    /// let c: Vec<f64> = (0..25).map(|k| if k == 0 { 0.0 } else { -(-1.0_f64).powi(k) / f64::from(k) }).collect();
    /// let pade = Pade::new(&c, 12, 12, 1.0)?;
    /// assert!((pade.at(5.0).0 - 6.0_f64.ln()).abs() < 1e-8);
    /// # Ok::<(), tinyfold::Error>(())
    /// ```
    pub fn new(coefficients: &[f64], l: usize, m: usize, scale: f64) -> Result<Self> {
        let found = coefficients.len();
        require(found > l + m, "coefficients of the series", format!("at least {}", l + m + 1), found)?;
        let c: Vec<f64> =
            coefficients.iter().take(l + m + 1).enumerate().map(|(k, c)| c * scale.powi(k as i32)).collect();
        if c.iter().all(|&c| c == 0.0) {
            return Ok(Self { numerator: vec![0.0], denominator: vec![1.0], scale });
        }
        let (mut l, mut m) = (l, m);
        let denominator = loop {
            if m == 0 {
                break vec![1.0];
            }
            let toeplitz = Mat::from_fn(m, m + 1, |i, j| if l + 1 + i >= j { c[l + 1 + i - j] } else { 0.0 });
            let failed = |_| Error::Numeric {
                what: format!("Padé approximant [{l}/{m}]"),
                reason: "its singular value decomposition does not converge; take a lower order".into(),
            };
            let svd = toeplitz.svd().map_err(failed)?;
            let values = svd.S().column_vector();
            let largest = c.iter().fold(0.0_f64, |most, c| most.max(c.abs()));
            let rank = (0..m).filter(|&k| values[k] > ROUNDING * largest).count();
            if rank == m {
                break svd.V().col(m).iter().copied().collect();
            }
            l = l.saturating_sub(m - rank);
            m = rank;
        };
        let numerator =
            (0..=l).map(|i| (0..=m.min(i)).map(|j| denominator[j] * c[i - j]).sum::<f64>()).collect();
        Ok(Self { numerator, denominator, scale })
    }

    /// Value and derivative.
    #[must_use]
    pub fn at(&self, p: f64) -> (f64, f64) {
        let (a, a_slope) = polynomial(&self.numerator, p / self.scale);
        let (b, b_slope) = polynomial(&self.denominator, p / self.scale);
        (a / b, (a_slope - a / b * b_slope) / b / self.scale)
    }
}

/// The Padé approximants of W and R of a line.
#[derive(Clone, Debug)]
pub struct PadeLine {
    /// Map or flow.
    pub kind: Kind,
    /// The parameter.
    pub mu: f64,
    /// W, n.
    pub manifold: Vec<Pade>,
    /// R.
    pub rate: Pade,
}

impl Ssm<f64> {
    /// The approximants [L / M] of W and R along the line; L + M at most the order.
    ///
    /// # Errors
    /// Not a line; an order below L + M.
    pub fn pade(&self, l: usize, m: usize) -> Result<PadeLine> {
        require(self.chart == Chart::Line, "chart", "a line", format!("{:?}", self.chart))?;
        let radius = self.radius();
        let scale = if radius.is_finite() && radius > 0.0 { radius } else { 1.0 };
        let numbers = |series: &super::Series<f64>, u: usize| -> Vec<f64> {
            (0..=self.order()).map(|k| series.get(k, 0, u)).collect()
        };
        let manifold = (0..self.manifold.n)
            .map(|u| Pade::new(&numbers(&self.manifold, u), l, m, scale))
            .collect::<Result<Vec<Pade>>>()?;
        let rate = Pade::new(&numbers(&self.rates[0], 0), l, m, scale)?;
        Ok(PadeLine { kind: self.kind, mu: self.mu, manifold, rate })
    }
}

impl PadeLine {
    /// W(p).
    #[must_use]
    pub fn state(&self, p: f64) -> Vec<f64> {
        self.manifold.iter().map(|pade| pade.at(p).0).collect()
    }

    /// R(p).
    #[must_use]
    pub fn reduced(&self, p: f64) -> f64 {
        self.rate.at(p).0
    }

    /// As [`Ssm::residual`].
    #[must_use]
    pub fn residual(&self, family: &impl Family, p: f64) -> f64 {
        let rate = self.reduced(p);
        let expected: Vec<f64> = match self.kind {
            Kind::Map => self.state(rate),
            Kind::Flow => self.manifold.iter().map(|pade| pade.at(p).1 * rate).collect(),
        };
        let mut value = vec![0.0; expected.len()];
        family.value(&self.state(p), self.mu, &mut value);
        zip(value, expected).map(|(value, expected)| (value - expected).abs()).fold(0.0, |most, rest| {
            if rest.is_nan() { f64::INFINITY } else { rest.max(most) }
        })
    }
}
