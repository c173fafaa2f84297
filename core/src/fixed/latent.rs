//! Low-rank networks of fixed point: one pass over the records, then the correction.

#[cfg(any(tinyfold_dsp, tinyfold_thumb2))]
use super::kernel;
use super::network::{State, View};
use super::{Weight, mul, mulh, mulw, nearest, saturate};
use crate::activation::Activation;
use crate::shape::{Form, Shape};

impl<W: Weight> View<'_, W> {
    pub(super) fn latent_step(&self, state: &mut State<'_>) {
        let rank = self.shape.rank;
        let leak = |words: &mut [i32], new: &[i32]| {
            words.iter_mut().zip(new).for_each(|(word, &new)| *word = self.settings.leak(*word, new));
        };
        match self.settings.form {
            Form::Rate => {
                let z = state.carried.get(..rank).unwrap_or_default();
                let new = self.sums(z, state.input, state.scratch);
                correct(self.readout, new.0, 0, new.1);
                leak(state.carried, new.1);
                let y = if self.settings.leaky() { &*state.carried } else { &*new.1 };
                state.output.iter_mut().zip(y.iter().skip(rank)).for_each(|(output, &y)| *output = y);
            }
            Form::Current => {
                let (sums, new) = halves(state.scratch);
                let new = new.get_mut(..rank).unwrap_or_default();
                correct(self.readout, sums, 0, new);
                let (kappa, nu) = state.carried.split_at_mut_checked(rank).unwrap_or_default();
                leak(kappa, new);
                leak(nu, state.input);
                let (sums, _) = self.sums(kappa, nu, state.scratch);
                correct(self.readout, sums, rank, state.output);
            }
        }
    }

    /// Current form: the sums of Vᵀ phi(a) and C phi(a), which the next step needs.
    pub(super) fn latent_sums(&self, state: &mut State<'_>) {
        let (kappa, nu) = state.carried.split_at_checked(self.shape.rank).unwrap_or_default();
        self.sums(kappa, nu, state.scratch);
    }

    /// sums = [V | C]ᵀ phi(b + r (U z + B x)) in the first half of `scratch`; gives both halves.
    #[inline(always)]
    fn sums<'s>(&self, z: &[i32], x: &[i32], scratch: &'s mut [i32]) -> (&'s mut [i32], &'s mut [i32]) {
        let (sums, rest) = halves(scratch);
        let relu = self.settings.activation == Activation::Relu;
        let Shape { rank, inputs, outputs, .. } = self.shape;
        match (relu, rank, inputs, outputs) {
            (true, 1, 1, 1) => self.relu_pass::<1, 2>(z, x, sums),
            (true, 2, 2, 2) => self.relu_pass::<2, 4>(z, x, sums),
            (true, 3, 3, 3) => self.relu_pass::<3, 6>(z, x, sums),
            _ => {
                sums.fill(0);
                self.units(
                    |weights| dot(dot(0, z, weights), x, weights.get(rank..).unwrap_or_default()),
                    |p| self.settings.activate(p),
                    rank + inputs,
                    sums,
                );
            }
        }
        (sums, rest)
    }

    /// The sums of a ReLU network of R = I = O = `D`; `E` is 2 `D`.
    fn relu_pass<const D: usize, const E: usize>(&self, z: &[i32], x: &[i32], sums: &mut [i32]) {
        let Some(sums) = sums.first_chunk_mut::<E>() else { return };
        let mut zx = [0; E];
        zx.iter_mut().zip(z.iter().take(D).chain(x)).for_each(|(to, from)| *to = *from);
        #[cfg(tinyfold_dsp)]
        if kernel::pass::<W, D, E>(self.layer, self.shape.neurons, &zx, sums) {
            return;
        }
        let mut new = [0; E];
        self.units(|weights| dot(0, &zx, weights), |p| p.max(0), E, &mut new);
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
}

#[inline(always)]
fn halves(scratch: &mut [i32]) -> (&mut [i32], &mut [i32]) {
    scratch.split_at_mut_checked(scratch.len() / 2).unwrap_or_default()
}

/// Rows of the correction, from `first` on, as many as fill `out`: bias_j + sum_k M_jk s_k / 2^shift_j.
fn correct(readout: &[i32], sums: &[i32], first: usize, out: &mut [i32]) {
    #[cfg(any(tinyfold_dsp, tinyfold_thumb2))]
    if kernel::correct(readout, sums, first, out) {
        return;
    }
    let (bias, rest) = readout.split_at_checked(sums.len()).unwrap_or_default();
    let (shift, matrix) = rest.split_at_checked(sums.len()).unwrap_or_default();
    let rows = matrix.chunks_exact(sums.len().max(1));
    for (out, ((&bias, &shift), row)) in out.iter_mut().zip(bias.iter().zip(shift).zip(rows).skip(first)) {
        let total = row.iter().zip(sums).fold(0_i64, |total, (&m, &s)| total.wrapping_add(mul(m, s)));
        *out = saturate(nearest(total, shift as u32).wrapping_add(i64::from(bias)));
    }
}

#[inline(always)]
fn dot<W: Weight>(acc: i32, x: &[i32], weights: &[W]) -> i32 {
    x.iter().zip(weights).fold(acc, |acc, (&x, w)| acc.wrapping_add(mulw(x, w.wide())))
}
