//! What is 0 at fixed points, in units of its own, and its derivatives.

use std::iter::zip;

use faer::{Mat, MatMut};

use super::plane::Parametric;
use crate::dynamics::vector::{largest, moved, scaled};
use crate::dynamics::{Family, Kind};

/// A family as a system with parameters, of which there is one.
pub(super) struct One<'a, F: ?Sized>(pub(super) &'a F);

impl<F: Family + ?Sized> Parametric for One<'_, F> {
    fn dimension(&self) -> usize {
        self.0.dimension()
    }

    fn kind(&self) -> Kind {
        self.0.kind()
    }

    fn size(&self) -> f64 {
        self.0.size()
    }

    fn value(&self, x: &[f64], mu: &[f64], out: &mut [f64]) {
        self.0.value(x, mu[0], out);
    }

    fn jacobian(&self, x: &[f64], mu: &[f64], out: MatMut<'_, f64>) {
        self.0.jacobian(x, mu[0], out);
    }

    fn derivative(&self, x: &[f64], mu: &[f64], _: usize, out: &mut [f64]) {
        self.0.derivative(x, mu[0], out);
    }
}

/// The units of y = (x / size, nu_1, ..): nu runs from -1 to 1 over the range of its mu.
#[derive(Clone)]
pub(super) struct Units {
    pub(super) size: f64,
    /// Least and greatest mu of every parameter.
    pub(super) ranges: Vec<(f64, f64)>,
}

impl Units {
    /// Half the width of a range.
    pub(super) fn half(&self, k: usize) -> f64 {
        0.5 * (self.ranges[k].1 - self.ranges[k].0)
    }

    /// mu of nu, the ends exactly.
    pub(super) fn mu(&self, k: usize, nu: f64) -> f64 {
        let (low, high) = self.ranges[k];
        match nu {
            -1.0 => low,
            1.0 => high,
            _ => f64::midpoint(low, high) + self.half(k) * nu,
        }
    }

    /// y of (x, mu).
    pub(super) fn y(&self, x: &[f64], mu: &[f64]) -> Vec<f64> {
        let mut y = scaled(x, 1.0 / self.size);
        y.extend(zip(&self.ranges, mu).enumerate().map(|(k, (&(low, high), &mu))| match mu {
            mu if mu == low => -1.0,
            mu if mu == high => 1.0,
            _ => (mu - f64::midpoint(low, high)) / self.half(k),
        }));
        y
    }

    /// x of y.
    pub(super) fn x(&self, y: &[f64]) -> Vec<f64> {
        scaled(&y[..y.len() - self.ranges.len()], self.size)
    }

    /// A vector along y as one along (x, mu).
    pub(super) fn along(&self, t: &[f64]) -> Vec<f64> {
        let mut along = self.x(t);
        along.extend(zip(0.., &t[along.len()..]).map(|(k, t)| self.half(k) * t));
        along
    }

    /// The diagonal of the metric of (x, mu) for n states, which is [`metric`] of y.
    pub(super) fn metric(&self, n: usize) -> Vec<f64> {
        let mut weights = metric(n, self.ranges.len());
        weights[..n].iter_mut().for_each(|w| *w /= self.size * self.size);
        zip(0.., &mut weights[n..]).for_each(|(k, w)| *w /= self.half(k).powi(2));
        weights
    }
}

/// The diagonal of the metric of y: the mean square of x / size, and parameters by the width of their range.
pub(super) fn metric(states: usize, parameters: usize) -> Vec<f64> {
    let mut weights = vec![1.0 / states as f64; states];
    weights.resize(states + parameters, 0.25);
    weights
}

/// A system at y, and R(y) = F / size of a flow, (f - x) / size of a map.
#[derive(Clone)]
pub(super) struct Field<'a> {
    pub(super) system: &'a dyn Parametric,
    pub(super) units: Units,
}

impl<'a> Field<'a> {
    pub(super) fn new(system: &'a dyn Parametric, ranges: &[(f64, f64)]) -> Self {
        Self { system, units: Units { size: system.size(), ranges: ranges.to_vec() } }
    }

    /// n.
    pub(super) fn states(&self) -> usize {
        self.system.dimension()
    }

    pub(super) fn kind(&self) -> Kind {
        self.system.kind()
    }

    /// (x, mu).
    fn at(&self, y: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let nu = y[self.states()..].iter().enumerate();
        (self.units.x(y), nu.map(|(k, nu)| self.units.mu(k, *nu)).collect())
    }

    pub(super) fn residual(&self, y: &[f64], out: &mut [f64]) {
        let (x, mu) = self.at(y);
        self.system.value(&x, &mu, out);
        for out in out.iter_mut() {
            *out /= self.units.size;
        }
        if self.kind() == Kind::Map {
            zip(out, y).for_each(|(out, y)| *out -= y);
        }
    }

    /// Of R, n × (n + parameters).
    pub(super) fn derivative(&self, y: &[f64], mut out: MatMut<'_, f64>) {
        let n = self.states();
        let (x, mu) = self.at(y);
        self.system.jacobian(&x, &mu, out.as_mut().subcols_mut(0, n));
        if self.kind() == Kind::Map {
            (0..n).for_each(|i| out[(i, i)] -= 1.0);
        }
        let mut column = vec![0.0; n];
        for k in 0..mu.len() {
            self.system.derivative(&x, &mu, k, &mut column);
            let by = self.units.half(k) / self.units.size;
            (0..n).for_each(|i| out[(i, n + k)] = by * column[i]);
        }
    }
}

/// The n × (n + parameters) derivative.
pub(super) fn derivative(field: &Field<'_>, y: &[f64]) -> Mat<f64> {
    let mut out = Mat::zeros(field.states(), y.len());
    field.derivative(y, out.as_mut());
    out
}

/// The derivative of R_y along `v`, n × (n + parameters), by central differences: an error of about 1e-10.
pub(super) fn second(field: &Field<'_>, y: &[f64], v: &[f64]) -> Mat<f64> {
    let h = 1e-5 * (1.0 + largest(y)) / largest(v).max(f64::MIN_POSITIVE);
    let (high, low) = (derivative(field, &moved(y, h, v)), derivative(field, &moved(y, -h, v)));
    Mat::from_fn(high.nrows(), high.ncols(), |i, j| (high[(i, j)] - low[(i, j)]) / (2.0 * h))
}
