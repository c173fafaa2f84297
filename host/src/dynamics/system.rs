//! Maps and flows, one or with a parameter.

use std::iter::zip;

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, Par};

use super::vector::scaled;

/// Whether time goes in steps or flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// x' = f(x), a step at a time.
    Map,
    /// dx/dt = F(x).
    Flow,
}

/// A map x' = f(x) or a flow dx/dt = F(x) with its derivative.
pub trait System: Sync {
    /// Length n of a state.
    fn dimension(&self) -> usize;

    /// Map or flow.
    fn kind(&self) -> Kind;

    /// Of what size the entries of a state are: what counts as near and as small is by it.
    fn size(&self) -> f64 {
        1.0
    }

    /// out = f(x) of a map, F(x) of a flow; both of length n.
    fn value(&self, x: &[f64], out: &mut [f64]);

    /// out = the n × n matrix of derivatives of [`System::value`], out\[(i, j)\] = d value_i / d x_j.
    fn jacobian(&self, x: &[f64], out: MatMut<'_, f64>);

    /// out = J(x) t for n × k tangent vectors t.
    fn push(&self, x: &[f64], t: &Mat<f64>, out: &mut Mat<f64>) {
        let n = self.dimension();
        let mut jacobian = Mat::zeros(n, n);
        self.jacobian(x, jacobian.as_mut());
        matmul(out.as_mut(), Accum::Replace, jacobian.as_ref(), t.as_ref(), 1.0, Par::Seq);
    }

    /// out = the values f(x_j) or F(x_j) of many states, and J(x_j) t for the tangent vectors t of each.
    ///
    /// m states with p tangent vectors each are the columns of an n × (m + m p) matrix: x_1 .. x_m, then p of
    /// x_1, p of x_2, ... z, out, scratch: of the same shape; scratch is overwritten.
    fn lift(&self, states: usize, z: &Mat<f64>, out: &mut Mat<f64>, scratch: &mut Mat<f64>) {
        let _ = scratch;
        let tangents = z.ncols() / states.max(1) - usize::from(states > 0);
        let (mut t, mut pushed) = (Mat::zeros(z.nrows(), tangents), Mat::zeros(z.nrows(), tangents));
        for j in 0..states {
            self.value(z.col_as_slice(j), out.col_as_slice_mut(j));
            if tangents > 0 {
                let first = states + j * tangents;
                t.copy_from(z.subcols(first, tangents));
                self.push(z.col_as_slice(j), &t, &mut pushed);
                out.subcols_mut(first, tangents).copy_from(&pushed);
            }
        }
    }

    /// What is 0 at fixed points: f(x) - x of a map, F(x) of a flow.
    fn residual(&self, x: &[f64], out: &mut [f64]) {
        self.value(x, out);
        if self.kind() == Kind::Map {
            zip(out, x).for_each(|(out, x)| *out -= x);
        }
    }

    /// The derivative of [`System::residual`].
    fn residual_jacobian(&self, x: &[f64], mut out: MatMut<'_, f64>) {
        self.jacobian(x, out.as_mut());
        if self.kind() == Kind::Map {
            (0..self.dimension()).for_each(|i| out[(i, i)] -= 1.0);
        }
    }
}

/// A system with one real parameter mu.
pub trait Family: Sync {
    /// Length n of a state.
    fn dimension(&self) -> usize;

    /// Map or flow.
    fn kind(&self) -> Kind;

    /// As [`System::size`].
    fn size(&self) -> f64 {
        1.0
    }

    /// As [`System::value`] at mu.
    fn value(&self, x: &[f64], mu: f64, out: &mut [f64]);

    /// As [`System::jacobian`] at mu.
    fn jacobian(&self, x: &[f64], mu: f64, out: MatMut<'_, f64>);

    /// out = d value / d mu.
    fn derivative(&self, x: &[f64], mu: f64, out: &mut [f64]);
}

/// A family at one value of its parameter.
#[derive(Clone, Copy, Debug)]
pub struct At<'a, F: ?Sized> {
    /// The family.
    pub family: &'a F,
    /// mu.
    pub mu: f64,
}

impl<F: Family + ?Sized> System for At<'_, F> {
    fn dimension(&self) -> usize {
        self.family.dimension()
    }

    fn kind(&self) -> Kind {
        self.family.kind()
    }

    fn size(&self) -> f64 {
        self.family.size()
    }

    fn value(&self, x: &[f64], out: &mut [f64]) {
        self.family.value(x, self.mu, out);
    }

    fn jacobian(&self, x: &[f64], out: MatMut<'_, f64>) {
        self.family.jacobian(x, self.mu, out);
    }
}

/// A system with states of size 1: z = x / [`System::size`].
pub(super) struct Scaled<'a> {
    system: &'a dyn System,
    pub(super) size: f64,
}

impl<'a> Scaled<'a> {
    pub(super) fn new(system: &'a dyn System) -> Self {
        Self { system, size: system.size() }
    }
}

impl System for Scaled<'_> {
    fn dimension(&self) -> usize {
        self.system.dimension()
    }

    fn kind(&self) -> Kind {
        self.system.kind()
    }

    fn value(&self, z: &[f64], out: &mut [f64]) {
        self.system.value(&scaled(z, self.size), out);
        for out in out.iter_mut() {
            *out /= self.size;
        }
    }

    fn jacobian(&self, z: &[f64], out: MatMut<'_, f64>) {
        self.system.jacobian(&scaled(z, self.size), out);
    }
}
