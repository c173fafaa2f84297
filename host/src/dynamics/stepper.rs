//! Many states moved at once, and one.

use std::iter::zip;
use std::sync::atomic::{AtomicBool, Ordering};

use faer::Mat;

use super::vector::moved;
use super::{Kind, System};

/// Steps of many states with their tangent vectors: of a map, or RK4 of a flow, whose tangent vectors obey
/// dt/dt = J t.
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

    pub(super) fn step<S: System + ?Sized>(&mut self, system: &S) {
        let Some(h) = self.flow else {
            system.lift(self.states, &self.z, &mut self.out, &mut self.scratch);
            std::mem::swap(&mut self.z, &mut self.out);
            return;
        };
        self.sums.copy_from(&self.z);
        for (k, (weight, next)) in
            [(h / 6.0, h / 2.0), (h / 3.0, h / 2.0), (h / 3.0, h), (h / 6.0, 0.0)].into_iter().enumerate()
        {
            let from = if k == 0 { &self.z } else { &self.stage };
            system.lift(self.states, from, &mut self.out, &mut self.scratch);
            for j in 0..self.z.ncols() {
                let rate = self.out.col_as_slice(j);
                zip(self.sums.col_as_slice_mut(j), rate).for_each(|(sum, rate)| *sum += weight * rate);
                if next > 0.0 {
                    let moved = zip(self.z.col_as_slice(j), rate).map(|(z, rate)| z + next * rate);
                    zip(self.stage.col_as_slice_mut(j), moved).for_each(|(stage, moved)| *stage = moved);
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
        let (all, tangents) = (self.states, self.z.ncols() / self.states.max(1) - 1);
        let of = |&j: &usize| (0..tangents).map(move |k| all + j * tangents + k);
        let columns: Vec<usize> = states.iter().copied().chain(states.iter().flat_map(of)).collect();
        let z = Mat::from_fn(self.z.nrows(), columns.len(), |i, k| self.z[(i, columns[k])]);
        *self = Self::new(states.len(), z, self.flow);
    }
}

/// Moves every column: a flow by `time` in RK4 steps no longer than `step`, a map by `time` iterates
/// (rounded, at least 1).
///
/// time and step: above 0 and finite.
pub fn advance<S: System + ?Sized>(system: &S, x: &mut Mat<f64>, time: f64, step: f64) {
    advance_until(system, x, time, step, &AtomicBool::new(false));
}

/// The same until a true `stop`, which leaves the columns on their way.
pub fn advance_until<S: System + ?Sized>(
    system: &S,
    x: &mut Mat<f64>,
    time: f64,
    step: f64,
    stop: &AtomicBool,
) {
    let (steps, flow) = match system.kind() {
        Kind::Map => (time.round().max(1.0), None),
        Kind::Flow => {
            let steps = (time / step).ceil().max(1.0);
            (steps, Some(time / steps))
        }
    };
    let mut stepper = Stepper::new(x.ncols(), std::mem::replace(x, Mat::new()), flow);
    for _ in 0..steps as usize {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        stepper.step(system);
    }
    *x = stepper.z;
}

/// The state after a step of a map, or of RK4 of a flow in time h.
pub(super) fn advanced(kind: Kind, value: impl Fn(&[f64]) -> Vec<f64>, x: &[f64], h: f64) -> Vec<f64> {
    let a = value(x);
    if kind == Kind::Map {
        return a;
    }
    let b = value(&moved(x, h / 2.0, &a));
    let c = value(&moved(x, h / 2.0, &b));
    let d = value(&moved(x, h, &c));
    (0..x.len()).map(|i| x[i] + h / 6.0 * (a[i] + 2.0 * (b[i] + c[i]) + d[i])).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tinyfold_core::{Activation, Form};

    use super::*;
    use crate::dynamics::Rnn;

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
