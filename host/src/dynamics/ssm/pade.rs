//! Padé approximants: an SSM beyond its radius of convergence.

use std::iter::zip;

use faer::Mat;

use super::reduced::real_roots;
use super::{Chart, Ssm};
use crate::dynamics::{Family, Kind};
use crate::error::require;
use crate::{Error, Result};

/// Singular values below this share of the largest are rounding.
const ROUNDING: f64 = 1e-14;

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
    /// scale: near the radius of convergence, above 0. Where the series is that of a quotient of lower
    /// degree, this one is found (Gonnet, Guettel & Trefethen 2013).
    ///
    /// # Errors
    /// Too few coefficients; a singular value decomposition that does not converge.
    ///
    /// ```
    /// use tinyfold::dynamics::ssm::Pade;
    /// // log(1 + p), far beyond its radius of convergence 1.
    /// let c: Vec<f64> = (0..25).map(|k| if k == 0 { 0.0 } else { -(-1.0_f64).powi(k) / f64::from(k) }).collect();
    /// let pade = Pade::new(&c, 12, 12, 1.0)?;
    /// assert!((pade.at(5.0).0 - 6.0_f64.ln()).abs() < 1e-7);
    /// # Ok::<(), tinyfold::Error>(())
    /// ```
    pub fn new(coefficients: &[f64], l: usize, m: usize, scale: f64) -> Result<Self> {
        let mut all = Self::together(&[coefficients.to_vec()], l, m, scale)?;
        Ok(all.remove(0))
    }

    /// Approximants [L / M] of several series with one denominator, since all are singular at the same
    /// places: what all have in common is no rounding, so that they have no spurious poles.
    ///
    /// The denominator is the one with the least squares of orders L + 1 to L + M of all series; of one
    /// series these are 0.
    ///
    /// # Errors
    /// As [`Pade::new`].
    pub fn together(series: &[Vec<f64>], l: usize, m: usize, scale: f64) -> Result<Vec<Self>> {
        let found = series.iter().map(Vec::len).min().unwrap_or(0);
        require(found > l + m, "coefficients of the series", format!("at least {}", l + m + 1), found)?;
        let scaled: Vec<Vec<f64>> = series
            .iter()
            .map(|c| c.iter().take(l + m + 1).enumerate().map(|(k, c)| c * scale.powi(k as i32)).collect())
            .collect();
        // The constant says nothing of singularities.
        let largest = scaled.iter().flat_map(|c| &c[1..]).fold(0.0_f64, |most, c| most.max(c.abs()));
        let (mut l, mut m) = (l, m);
        let denominator = loop {
            if m == 0 {
                break vec![1.0];
            }
            // One more row, of 0, makes it tall also for one series.
            let toeplitz = Mat::from_fn(scaled.len() * m + 1, m + 1, |row, j| {
                let (which, i) = (row / m, row % m);
                let inside = which < scaled.len() && l + 1 + i >= j;
                if inside { scaled[which][l + 1 + i - j] } else { 0.0 }
            });
            let failed = |_| Error::Numeric {
                what: format!("Padé approximant [{l}/{m}]"),
                reason: "its singular value decomposition does not converge; take a lower order".into(),
            };
            let svd = toeplitz.thin_svd().map_err(failed)?;
            let values = svd.S().column_vector();
            let rank = (0..m).filter(|&k| values[k] > ROUNDING * largest).count();
            if rank == m {
                break svd.V().col(m).iter().copied().collect();
            }
            l = l.saturating_sub(m - rank);
            m = rank;
        };
        let numerator = |c: &Vec<f64>| {
            (0..=l).map(|i| (0..=m.min(i)).map(|j| denominator[j] * c[i - j]).sum::<f64>()).collect()
        };
        let one = |c| Self { numerator: numerator(c), denominator: denominator.clone(), scale };
        Ok(scaled.iter().map(one).collect())
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
        let mut series: Vec<Vec<f64>> = (0..self.manifold.n).map(|u| numbers(&self.manifold, u)).collect();
        series.push(numbers(&self.rates[0], 0));
        let mut manifold = Pade::together(&series, l, m, scale)?;
        let Some(rate) = manifold.pop() else { return Err(Error::input("series", "at least one", "none")) };
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

    /// Fixed points of the reduced model: real roots of R(p), of a map of R(p) - p; ascending.
    #[must_use]
    pub fn roots(&self) -> Vec<f64> {
        let Pade { numerator, denominator, scale } = &self.rate;
        let mut rest = numerator.clone();
        if self.kind == Kind::Map {
            rest.resize(rest.len().max(denominator.len() + 1), 0.0);
            denominator.iter().enumerate().for_each(|(k, b)| rest[k + 1] -= scale * b);
        }
        real_roots(&rest).into_iter().map(|root| root * scale).collect()
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
        zip(value, expected)
            .map(|(value, expected)| (value - expected).abs())
            .fold(0.0, |most, rest| if rest.is_nan() { f64::INFINITY } else { rest.max(most) })
    }
}
