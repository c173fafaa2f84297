//! Low-rank networks of fixed point: one pass over the records, then the correction.

#[cfg(tinyfold_dsp)]
use super::kernel;
use super::network::{State, View};
use super::{Weight, mul, mulh, mulw, saturate};
use crate::activation::Activation;
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
    fn pass(&self, z: &[i32], x: &[i32], sums: &mut [i32]) {
        let relu = self.settings.activation == Activation::Relu;
        let Shape { rank, inputs, outputs, .. } = self.shape;
        match (relu, rank, inputs, outputs) {
            (true, 1, 1, 1) => self.relu_pass::<1, 2>(z, x, sums),
            (true, 2, 2, 2) => self.relu_pass::<2, 4>(z, x, sums),
            (true, 3, 3, 3) => self.relu_pass::<3, 6>(z, x, sums),
            _ => self.units(
                |weights| dot(dot(0, z, weights), x, weights.get(rank..).unwrap_or_default()),
                |p| self.settings.activate(p),
                rank + inputs,
                sums,
            ),
        }
    }

    /// The pass of a ReLU network of R = I = O = `D`; `E` is 2 `D`.
    fn relu_pass<const D: usize, const E: usize>(&self, z: &[i32], x: &[i32], sums: &mut [i32]) {
        let (Some(sums), Some(z), Some(x)) =
            (sums.first_chunk_mut::<E>(), z.first_chunk::<D>(), x.first_chunk::<D>())
        else {
            return;
        };
        #[cfg(tinyfold_dsp)]
        if kernel::pass::<W, D, E>(self.layer, self.shape.neurons, z, x, sums) {
            return;
        }
        let (z, x, mut new) = (*z, *x, *sums);
        self.units(
            |weights| dot(dot(0, &z, weights), &x, weights.get(D..).unwrap_or_default()),
            |p| p.max(0),
            E,
            &mut new,
        );
        *sums = new;
    }

    /// A pass by what a unit's first weights give, its activation and the number of these weights.
    #[inline(always)]
    fn units(
        &self,
        acc: impl Fn(&[W]) -> i32,
        activate: impl Fn(i32) -> i32,
        first: usize,
        sums: &mut [i32],
    ) {
        let length = 2 + (first + sums.len()).div_ceil(W::IN_A_WORD);
        let mut records = self.layer;
        while let Some((record, rest)) = records.split_at_checked(length) {
            let Some((&[r, b], words)) = record.split_first_chunk() else { break };
            let weights: &[W] = bytemuck::try_cast_slice(words).unwrap_or_default();
            let phi = activate(b.wrapping_add(mulh(acc(weights), r)));
            // A unit with phi = 0 adds nothing.
            if phi != 0 {
                for (sum, weight) in sums.iter_mut().zip(weights.get(first..).unwrap_or_default()) {
                    *sum = sum.wrapping_add(mulw(phi, weight.wide()));
                }
            }
            records = rest;
        }
    }

    /// Row j of the correction: bias_j + sum_k M_jk s_k / 2^shift_j.
    #[inline(always)]
    fn correct(&self, sums: &[i32], j: usize) -> i32 {
        let count = sums.len();
        let (head, matrix) = self.readout.split_at_checked(2 * count).unwrap_or_default();
        let (Some(&bias), Some(&shift)) = (head.get(j), head.get(count + j)) else { return 0 };
        let row = matrix.get(j * count..).unwrap_or_default();
        let total = row.iter().zip(sums).fold(0_i64, |total, (&m, &s)| total.wrapping_add(mul(m, s)));
        let half = (1_i64 << (shift & 63)) >> 1;
        saturate((total.wrapping_add(half) >> (shift & 63)) + i64::from(bias))
    }
}

#[inline(always)]
fn dot<W: Weight>(acc: i32, x: &[i32], weights: &[W]) -> i32 {
    x.iter().zip(weights).fold(acc, |acc, (&x, w)| acc.wrapping_add(mulw(x, w.wide())))
}
