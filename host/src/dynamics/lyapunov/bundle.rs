//! Many states with their tangent vectors, moved at once.

use std::iter::zip;

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};
use tinyfold_core::Form;

use crate::dynamics::{Rnn, System, wide};

/// A [`System`] that moves many states and their tangent vectors at once; `impl Bundle for MySystem {}` is enough.
///
/// m states with p tangent vectors each are the columns of an n × (m + m p) matrix: x_1 .. x_m, then p of x_1, p of
/// x_2, ...
pub trait Bundle: System {
    /// out = the values f(x_j) or F(x_j), and J(x_j) t for the tangent vectors t of x_j.
    ///
    /// z, out, scratch: of the same shape; scratch is overwritten.
    fn lift(&self, states: usize, z: &Mat<f64>, out: &mut Mat<f64>, scratch: &mut Mat<f64>) {
        let _ = scratch;
        let tangents = z.ncols() / states - 1;
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
}

/// One product with W for all columns.
impl Bundle for Rnn {
    fn lift(&self, states: usize, z: &Mat<f64>, out: &mut Mat<f64>, scratch: &mut Mat<f64>) {
        let (keep, gain) = self.factors();
        let n = self.dimension();
        let tangents = z.ncols() / states - 1;
        let of = |j: usize| states + j * tangents..states + (j + 1) * tangents;
        let (mut slopes, ones) = (vec![0.0; n], vec![1.0; n]);
        match self.form {
            Form::Rate => {
                matmul(out.as_mut(), Accum::Replace, self.w.as_ref(), z.as_ref(), 1.0, Par::Seq);
                for j in 0..states {
                    let p = out.col_as_slice_mut(j);
                    zip(&mut *p, &self.drive).for_each(|(p, g)| *p += g);
                    wide::activate(self.activation, p, &mut slopes);
                    wide::finish(p, keep, z.col_as_slice(j), gain, &ones);
                    for k in of(j) {
                        wide::finish(out.col_as_slice_mut(k), keep, z.col_as_slice(k), gain, &slopes);
                    }
                }
            }
            Form::Current => {
                for j in 0..states {
                    let rates = scratch.col_as_slice_mut(j);
                    rates.copy_from_slice(z.col_as_slice(j));
                    wide::activate(self.activation, rates, &mut slopes);
                    for k in of(j) {
                        let columns = zip(scratch.col_as_slice_mut(k), z.col_as_slice(k));
                        zip(columns, &slopes).for_each(|((scaled, t), slope)| *scaled = slope * t);
                    }
                }
                matmul(out.as_mut(), Accum::Replace, self.w.as_ref(), scratch.as_ref(), 1.0, Par::Seq);
                for k in 0..z.ncols() {
                    let out = out.col_as_slice_mut(k);
                    if k < states {
                        zip(&mut *out, &self.drive).for_each(|(p, g)| *p += g);
                    }
                    wide::finish(out, keep, z.col_as_slice(k), gain, &ones);
                }
            }
        }
    }
}

/// Steps of a bundle: of a map, or RK4 of a flow, whose tangent vectors obey dt/dt = J t.
pub(super) struct Stepper {
    pub(super) states: usize,
    pub(super) z: Mat<f64>,
    /// The RK4 step of a flow.
    flow: Option<f64>,
    out: Mat<f64>,
    scratch: Mat<f64>,
    stage: Mat<f64>,
    sums: Mat<f64>,
}

impl Stepper {
    pub(super) fn new(states: usize, z: Mat<f64>, flow: Option<f64>) -> Self {
        let like = || Mat::zeros(z.nrows(), z.ncols());
        let (out, scratch, stage, sums) = (like(), like(), like(), like());
        Self { states, z, flow, out, scratch, stage, sums }
    }

    pub(super) fn step<S: Bundle + ?Sized>(&mut self, system: &S) {
        let Some(h) = self.flow else {
            system.lift(self.states, &self.z, &mut self.out, &mut self.scratch);
            std::mem::swap(&mut self.z, &mut self.out);
            return;
        };
        self.stage.copy_from(&self.z);
        self.sums.copy_from(&self.z);
        for (weight, next) in [(h / 6.0, h / 2.0), (h / 3.0, h / 2.0), (h / 3.0, h), (h / 6.0, 0.0)] {
            system.lift(self.states, &self.stage, &mut self.out, &mut self.scratch);
            for k in 0..self.z.ncols() {
                let rate = self.out.col_as_slice(k);
                zip(self.sums.col_as_slice_mut(k), rate).for_each(|(sum, rate)| *sum += weight * rate);
                for (stage, (z, rate)) in
                    zip(self.stage.col_as_slice_mut(k), zip(self.z.col_as_slice(k), rate))
                {
                    *stage = z + next * rate;
                }
            }
        }
        std::mem::swap(&mut self.z, &mut self.sums);
    }

    /// State j before the last step.
    pub(super) fn before(&self, j: usize) -> &[f64] {
        if self.flow.is_some() { self.sums.col_as_slice(j) } else { self.out.col_as_slice(j) }
    }

    /// Keeps these states alone, and their tangent vectors.
    pub(super) fn keep(&mut self, states: &[usize]) {
        let (all, tangents) = (self.states, self.z.ncols() / self.states - 1);
        let of = |&j: &usize| (0..tangents).map(move |k| all + j * tangents + k);
        let columns: Vec<usize> = states.iter().copied().chain(states.iter().flat_map(of)).collect();
        let z = Mat::from_fn(self.z.nrows(), columns.len(), |i, k| self.z[(i, columns[k])]);
        *self = Self::new(states.len(), z, self.flow);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tinyfold_core::Activation;

    use super::*;
    use crate::dynamics::Kind;

    /// The default, value by value.
    struct Plain(Rnn);

    impl System for Plain {
        fn dimension(&self) -> usize {
            self.0.dimension()
        }

        fn kind(&self) -> Kind {
            self.0.kind
        }

        fn value(&self, x: &[f64], out: &mut [f64]) {
            self.0.value(x, out);
        }

        fn jacobian(&self, x: &[f64], out: faer::MatMut<'_, f64>) {
            self.0.jacobian(x, out);
        }
    }

    impl Bundle for Plain {}

    #[test]
    fn a_network_moves_many_states_as_it_moves_one() {
        let n = 7;
        let w = Arc::new(Mat::from_fn(n, n, |i, j| ((3 * i + 5 * j) % 7) as f64 / 5.0 - 0.6));
        let z = Mat::from_fn(n, 12, |i, j| ((2 * i + 11 * j) % 13) as f64 / 6.0 - 1.0);
        for form in [Form::Rate, Form::Current] {
            for kind in [Kind::Map, Kind::Flow] {
                let drive = (0..n).map(|i| 0.1 * i as f64 - 0.3).collect();
                let rnn = Rnn { kind, form, alpha: 0.3, activation: Activation::Tanh, w: w.clone(), drive };
                let flow = (kind == Kind::Flow).then_some(0.2);
                let (mut fast, mut plain) =
                    (Stepper::new(4, z.clone(), flow), Stepper::new(4, z.clone(), flow));
                for steps in 0..6 {
                    fast.step(&rnn);
                    plain.step(&Plain(rnn.clone()));
                    if steps == 2 {
                        fast.keep(&[1, 3]);
                        plain.keep(&[1, 3]);
                        assert_eq!(fast.z.ncols(), 6);
                    }
                    assert!((&fast.z - &plain.z).norm_max() < 1e-13, "{form:?} {kind:?}");
                }
            }
        }
    }
}
