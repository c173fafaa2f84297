//! Low-rank networks of fixed point: one pass over the records, then the correction.

use super::network::{State, View, record_len};
use super::{Weight, mulh, mulw, saturate};
use crate::shape::{Form, Shape};

impl<W: Weight> View<'_, W> {
    #[inline(always)]
    pub(super) fn latent_step(&self, state: &mut State<'_>) {
        let Shape { rank, .. } = self.shape;
        match self.settings.form {
            Form::Rate => {
                let (z, y) = state.carried.split_at_mut_checked(rank).unwrap_or_default();
                state.scratch.fill(0);
                self.pass(z, state.input, state.scratch);
                for (j, z) in z.iter_mut().enumerate() {
                    *z = self.settings.leak(*z, self.correct(state.scratch, j));
                }
                for (o, output) in state.output.iter_mut().enumerate() {
                    let new = self.correct(state.scratch, rank + o);
                    *output = match y.get_mut(o) {
                        Some(y) => {
                            *y = self.settings.leak(*y, new);
                            *y
                        }
                        None => new,
                    };
                }
            }
            Form::Current => {
                let (kappa, nu) = state.carried.split_at_mut_checked(rank).unwrap_or_default();
                for (j, kappa) in kappa.iter_mut().enumerate() {
                    *kappa = self.settings.leak(*kappa, self.correct(state.scratch, j));
                }
                for (nu, &x) in nu.iter_mut().zip(state.input.iter()) {
                    *nu = self.settings.leak(*nu, x);
                }
                self.latent_sums(state);
                for (o, output) in state.output.iter_mut().enumerate() {
                    *output = self.correct(state.scratch, rank + o);
                }
            }
        }
    }

    /// Current form: the sums of Vᵀ phi(a) and C phi(a), which the next step needs.
    #[inline(always)]
    pub(super) fn latent_sums(&self, state: &mut State<'_>) {
        let (kappa, nu) = state.carried.split_at_checked(self.shape.rank).unwrap_or_default();
        state.scratch.fill(0);
        self.pass(kappa, nu, state.scratch);
    }

    /// sums += [V | C]ᵀ phi(b + r (U z + B x)).
    #[inline(always)]
    fn pass(&self, z: &[i32], x: &[i32], sums: &mut [i32]) {
        let Shape { rank, inputs, .. } = self.shape;
        let mut records = self.layer;
        while let Some((record, rest)) = records.split_at_checked(record_len::<W>(&self.shape)) {
            let Some((&[r, b], words)) = record.split_first_chunk() else { break };
            let weights: &[W] = bytemuck::try_cast_slice(words).unwrap_or_default();
            let (u, weights) = weights.split_at_checked(rank).unwrap_or_default();
            let (input, read) = weights.split_at_checked(inputs).unwrap_or_default();
            let acc = dot(dot(0, z, u), x, input);
            let phi = self.settings.activate(b.wrapping_add(mulh(acc, r)));
            // A unit with phi = 0 adds nothing.
            if phi != 0 {
                for (sum, weight) in sums.iter_mut().zip(read) {
                    *sum = sum.wrapping_add(mulw(phi, weight.wide()));
                }
            }
            records = rest;
        }
    }

    /// Row j of the correction: bias_j + sum_k M_jk s_k / 2^shift_j.
    #[inline(always)]
    fn correct(&self, sums: &[i32], j: usize) -> i32 {
        let count = self.shape.rank + self.shape.outputs;
        let (head, matrix) = self.readout.split_at_checked(2 * count).unwrap_or_default();
        let (Some(&bias), Some(&shift)) = (head.get(j), head.get(count + j)) else { return 0 };
        let row = matrix.get(j * count..).unwrap_or_default();
        let total = row
            .iter()
            .zip(sums)
            .fold(0_i64, |total, (&m, &s)| total.wrapping_add(i64::from(m) * i64::from(s)));
        let half = (1_i64 << (shift & 63)) >> 1;
        saturate((total.wrapping_add(half) >> (shift & 63)).saturating_add(i64::from(bias)))
    }
}

#[inline(always)]
fn dot<W: Weight>(acc: i32, x: &[i32], weights: &[W]) -> i32 {
    x.iter().zip(weights).fold(acc, |acc, (&x, w)| acc.wrapping_add(mulw(x, w.wide())))
}
