//! What is 0 at fixed points, with one or two parameters, and its derivatives.

use faer::{Mat, MatMut};

use crate::dynamics::vector::{largest, moved};
use crate::dynamics::{Family, Kind};

/// R(y) = F(x, mu) of a flow, f(x, mu) - x of a map, y = (x, mu) or (x, mu_1, mu_2).
pub(super) trait Field: Sync {
    /// n.
    fn states(&self) -> usize;
    fn kind(&self) -> Kind;
    fn residual(&self, y: &[f64], out: &mut [f64]);
    /// n × (n + parameters).
    fn derivative(&self, y: &[f64], out: MatMut<'_, f64>);
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

    fn residual(&self, y: &[f64], out: &mut [f64]) {
        let n = self.states();
        self.0.value(&y[..n], y[n], out);
        if self.kind() == Kind::Map {
            std::iter::zip(out, y).for_each(|(out, x)| *out -= x);
        }
    }

    fn derivative(&self, y: &[f64], mut out: MatMut<'_, f64>) {
        let n = self.states();
        self.0.jacobian(&y[..n], y[n], out.as_mut().subcols_mut(0, n));
        if self.kind() == Kind::Map {
            (0..n).for_each(|i| out[(i, i)] -= 1.0);
        }
        let mut parameter = vec![0.0; n];
        self.0.derivative(&y[..n], y[n], &mut parameter);
        (0..n).for_each(|i| out[(i, n)] = parameter[i]);
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
