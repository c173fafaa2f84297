//! Cycles of maps as fixed points of an iterate.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, Par};

use crate::Result;
use crate::dynamics::{Family, Kind};
use crate::error::require;

/// The p-th iterate of a family of maps: its fixed points are the cycles whose period divides p.
///
/// A flip of a cycle whose period is p / 2 is a pitchfork of the iterate.
///
/// Derivatives by the chain rule: J = J_p ... J_1, and d_k = J_k d_{k-1} + df/dmu for the parameter.
#[derive(Clone, Debug)]
pub struct Iterate<F> {
    family: F,
    period: usize,
}

impl<F: Family> Iterate<F> {
    /// The iterate of a family of maps; period p at least 1.
    ///
    /// # Errors
    /// A flow; a period of 0.
    pub fn new(family: F, period: usize) -> Result<Self> {
        require(family.kind() == Kind::Map, "cycles", "a map", "a flow")?;
        require(period > 0, "period", "at least 1", period)?;
        Ok(Self { family, period })
    }

    /// The p points of the cycle from x, one after the other.
    #[must_use]
    pub fn orbit(&self, x: &[f64], mu: f64) -> Vec<Vec<f64>> {
        let next = |x: &Vec<f64>| {
            let mut out = vec![0.0; x.len()];
            self.family.value(x, mu, &mut out);
            Some(out)
        };
        std::iter::successors(Some(x.to_vec()), next).take(self.period).collect()
    }
}

impl<F: Family> Family for Iterate<F> {
    fn dimension(&self) -> usize {
        self.family.dimension()
    }

    fn kind(&self) -> Kind {
        Kind::Map
    }

    fn size(&self) -> f64 {
        self.family.size()
    }

    fn value(&self, x: &[f64], mu: f64, out: &mut [f64]) {
        let mut x = x.to_vec();
        for _ in 0..self.period {
            self.family.value(&x, mu, out);
            x.copy_from_slice(out);
        }
    }

    fn jacobian(&self, x: &[f64], mu: f64, mut out: MatMut<'_, f64>) {
        let n = self.dimension();
        let mut step = Mat::zeros(n, n);
        for (k, x) in self.orbit(x, mu).iter().enumerate() {
            if k == 0 {
                self.family.jacobian(x, mu, out.as_mut());
                continue;
            }
            self.family.jacobian(x, mu, step.as_mut());
            let before = out.to_owned();
            matmul(out.as_mut(), Accum::Replace, step.as_ref(), before.as_ref(), 1.0, Par::Seq);
        }
    }

    fn derivative(&self, x: &[f64], mu: f64, out: &mut [f64]) {
        let n = self.dimension();
        let mut step = Mat::zeros(n, n);
        let (mut sum, mut moved) = (Mat::zeros(n, 1), Mat::zeros(n, 1));
        for x in self.orbit(x, mu) {
            self.family.jacobian(&x, mu, step.as_mut());
            matmul(moved.as_mut(), Accum::Replace, step.as_ref(), sum.as_ref(), 1.0, Par::Seq);
            self.family.derivative(&x, mu, out);
            (0..n).for_each(|i| sum[(i, 0)] = moved[(i, 0)] + out[i]);
        }
        (0..n).for_each(|i| out[i] = sum[(i, 0)]);
    }
}
