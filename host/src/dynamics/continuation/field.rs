//! What is 0 at fixed points, with one or two parameters, and its derivatives.

use std::iter::zip;

use faer::{Mat, MatMut};

use super::plane::TwoParameter;
use crate::dynamics::vector::{largest, moved};
use crate::dynamics::{Family, Kind};

/// A system at y = (x, mu) or (x, mu_1, mu_2), and R(y) = F(x, mu) of a flow, f(x, mu) - x of a map.
pub(super) trait Field: Sync {
    /// n.
    fn states(&self) -> usize;
    fn kind(&self) -> Kind;
    fn value(&self, y: &[f64], out: &mut [f64]);
    /// n × n derivatives of the value by x.
    fn jacobian(&self, y: &[f64], out: MatMut<'_, f64>);
    /// d value / d mu_k, k from 0.
    fn by_parameter(&self, y: &[f64], k: usize, out: &mut [f64]);

    fn residual(&self, y: &[f64], out: &mut [f64]) {
        self.value(y, out);
        if self.kind() == Kind::Map {
            zip(out, y).for_each(|(out, x)| *out -= x);
        }
    }

    /// Of R, n × (n + parameters).
    fn derivative(&self, y: &[f64], mut out: MatMut<'_, f64>) {
        let n = self.states();
        self.jacobian(y, out.as_mut().subcols_mut(0, n));
        if self.kind() == Kind::Map {
            (0..n).for_each(|i| out[(i, i)] -= 1.0);
        }
        let mut column = vec![0.0; n];
        for k in 0..y.len() - n {
            self.by_parameter(y, k, &mut column);
            (0..n).for_each(|i| out[(i, n + k)] = column[i]);
        }
    }
}

/// A family as a field.
pub(super) struct One<'a, F: ?Sized>(pub(super) &'a F);

impl<F: Family + ?Sized> Field for One<'_, F> {
    fn states(&self) -> usize {
        self.0.dimension()
    }

    fn kind(&self) -> Kind {
        self.0.kind()
    }

    fn value(&self, y: &[f64], out: &mut [f64]) {
        let n = self.states();
        self.0.value(&y[..n], y[n], out);
    }

    fn jacobian(&self, y: &[f64], out: MatMut<'_, f64>) {
        let n = self.states();
        self.0.jacobian(&y[..n], y[n], out);
    }

    fn by_parameter(&self, y: &[f64], _: usize, out: &mut [f64]) {
        let n = self.states();
        self.0.derivative(&y[..n], y[n], out);
    }
}

/// A system with two parameters as a field.
pub(super) struct Two<'a, P: ?Sized>(pub(super) &'a P);

impl<P: TwoParameter + ?Sized> Field for Two<'_, P> {
    fn states(&self) -> usize {
        self.0.dimension()
    }

    fn kind(&self) -> Kind {
        self.0.kind()
    }

    fn value(&self, y: &[f64], out: &mut [f64]) {
        let n = self.states();
        self.0.value(&y[..n], [y[n], y[n + 1]], out);
    }

    fn jacobian(&self, y: &[f64], out: MatMut<'_, f64>) {
        let n = self.states();
        self.0.jacobian(&y[..n], [y[n], y[n + 1]], out);
    }

    fn by_parameter(&self, y: &[f64], k: usize, out: &mut [f64]) {
        let n = self.states();
        self.0.derivative(&y[..n], [y[n], y[n + 1]], k, out);
    }
}

/// The n × (n + parameters) derivative.
pub(super) fn derivative<F: Field + ?Sized>(field: &F, y: &[f64]) -> Mat<f64> {
    let mut out = Mat::zeros(field.states(), y.len());
    field.derivative(y, out.as_mut());
    out
}

/// The derivative of R_y along `v`, n × (n + parameters), by central differences: an error of about 1e-10.
pub(super) fn second<F: Field + ?Sized>(field: &F, y: &[f64], v: &[f64]) -> Mat<f64> {
    let h = 1e-5 * (1.0 + largest(y)) / largest(v).max(f64::MIN_POSITIVE);
    let (high, low) = (derivative(field, &moved(y, h, v)), derivative(field, &moved(y, -h, v)));
    Mat::from_fn(high.nrows(), high.ncols(), |i, j| (high[(i, j)] - low[(i, j)]) / (2.0 * h))
}
