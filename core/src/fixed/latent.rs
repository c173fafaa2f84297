//! Low-rank networks of fixed point: one pass over the records, then the correction.

#[cfg(any(tinyfold_dsp, tinyfold_thumb2))]
use super::kernel;
use super::network::{Settings, State, View};
use super::{Weight, mul, mulh, mulw, nearest, saturate};
use crate::activation::Activation;
use crate::shape::{Form, Shape};

impl<W: Weight> View<'_, W> {
    pub(super) fn latent_step(&self, state: &mut State<'_>) {
        match self.settings.form {
            Form::Rate => self.rate_step(state),
            Form::Current => self.current_step(state),
        }
    }

    fn rate_step(&self, state: &mut State<'_>) {
        let State { input, output, carried, scratch, .. } = state;
        match self.square() {
            Some(1) => self.square_step::<1, 2>(input, output, carried),
            Some(2) => self.square_step::<2, 4>(input, output, carried),
            Some(3) => self.square_step::<3, 6>(input, output, carried),
            _ => {
                let (sums, new) = halves(scratch);
                let z = carried.get(..self.shape.rank).unwrap_or_default();
                self.sums(z, input, sums);
                correct(self.readout, sums, 0, new);
                carry(&self.settings, self.shape.rank, new, carried, output);
            }
        }
    }

    /// A step of R = I = O = `D` and ReLU with arrays for slices; `E` is 2 `D`.
    #[inline(always)]
    fn square_step<const D: usize, const E: usize>(
        &self,
        input: &[i32],
        output: &mut [i32],
        carried: &mut [i32],
    ) {
        let (Some(z), Some(x), Some(y)) =
            (carried.first_chunk::<D>(), input.first_chunk::<D>(), output.first_chunk_mut::<D>())
        else {
            return;
        };
        let (mut sums, mut new) = ([0; E], [0; E]);
        self.square_sums(z, x, &mut sums);
        correct(self.readout, &sums, 0, &mut new);
        match (carried.first_chunk_mut::<D>(), new.first_chunk::<D>(), new.last_chunk::<D>()) {
            (Some(z), Some(new_z), Some(new_y)) if !self.settings.leaky() => (*z, *y) = (*new_z, *new_y),
            _ => self.leaky_square::<D, E>(&new, carried, y),
        }
    }

    /// The carried z and y of a leaky network of R = I = O = `D`, and its output.
    #[inline(always)]
    fn leaky_square<const D: usize, const E: usize>(
        &self,
        new: &[i32; E],
        carried: &mut [i32],
        y: &mut [i32; D],
    ) {
        let Some(words) = carried.first_chunk_mut::<E>() else { return };
        for (word, &new) in words.iter_mut().zip(new) {
            *word = self.settings.leak(*word, new);
        }
        if let Some(last) = words.last_chunk::<D>() {
            *y = *last;
        }
    }

    /// The sums of R = I = O = `D` and ReLU; `E` is 2 `D`.
    #[inline(always)]
    fn square_sums<const D: usize, const E: usize>(&self, z: &[i32; D], x: &[i32; D], sums: &mut [i32; E]) {
        #[cfg(tinyfold_dsp)]
        if kernel::pass::<W, D, E>(self.layer, self.shape.neurons, z, x, sums) {
            return;
        }
        self.small_sums::<E, E>(z, x, sums);
    }

    fn current_step(&self, state: &mut State<'_>) {
        let rank = self.shape.rank;
        let (sums, new) = halves(state.scratch);
        let new = new.get_mut(..rank).unwrap_or_default();
        correct(self.readout, sums, 0, new);
        let (kappa, nu) = state.carried.split_at_mut_checked(rank).unwrap_or_default();
        leak(&self.settings, kappa, new);
        leak(&self.settings, nu, state.input);
        self.sums(kappa, nu, sums);
        correct(self.readout, sums, rank, state.output);
    }

    /// Current form: the sums of Vᵀ phi(a) and C phi(a), which the next step needs.
    pub(super) fn latent_sums(&self, state: &mut State<'_>) {
        let (kappa, nu) = state.carried.split_at_checked(self.shape.rank).unwrap_or_default();
        self.sums(kappa, nu, halves(state.scratch).0);
    }

    /// D of a ReLU network of R = I = O = D.
    #[inline(always)]
    fn square(&self) -> Option<usize> {
        let Shape { rank, inputs, outputs, .. } = self.shape;
        let relu = self.settings.activation == Activation::Relu;
        (relu && rank == inputs && rank == outputs).then_some(rank)
    }

    /// sums = [V | C]ᵀ phi(b + r (U z + B x)).
    fn sums(&self, z: &[i32], x: &[i32], sums: &mut [i32]) {
        #[cfg(tinyfold_dsp)]
        if let (Some(z), Some(x), Some(sums), Some(2)) =
            (z.first_chunk(), x.first_chunk(), sums.first_chunk_mut(), self.square())
        {
            return self.square_sums::<2, 4>(z, x, sums);
        }
        let Shape { rank, inputs, outputs, .. } = self.shape;
        match (rank + inputs, rank + outputs) {
            (2, 2) => self.small_sums::<2, 2>(z, x, sums),
            (2, 3) => self.small_sums::<2, 3>(z, x, sums),
            (2, 4) => self.small_sums::<2, 4>(z, x, sums),
            (3, 2) => self.small_sums::<3, 2>(z, x, sums),
            (3, 3) => self.small_sums::<3, 3>(z, x, sums),
            (3, 4) => self.small_sums::<3, 4>(z, x, sums),
            (4, 2) => self.small_sums::<4, 2>(z, x, sums),
            (4, 3) => self.small_sums::<4, 3>(z, x, sums),
            (4, 4) => self.small_sums::<4, 4>(z, x, sums),
            (6, 6) => self.small_sums::<6, 6>(z, x, sums),
            (8, 8) => self.small_sums::<8, 8>(z, x, sums),
            _ => self.any_sums(z, x, sums),
        }
    }

    /// The same for `K` = R + I and `S` = R + O.
    fn small_sums<const K: usize, const S: usize>(&self, z: &[i32], x: &[i32], sums: &mut [i32]) {
        let Some(sums) = sums.first_chunk_mut::<S>() else { return };
        let mut zx = [0; K];
        let (low, high) = zx.split_at_mut_checked(z.len()).unwrap_or_default();
        low.iter_mut().zip(z).for_each(|(to, from)| *to = *from);
        high.iter_mut().zip(x).for_each(|(to, from)| *to = *from);
        let relu = self.settings.activation == Activation::Relu;
        let mut new = [0; S];
        self.units(
            |weights| dot(0, &zx, weights),
            |p| if relu { p.max(0) } else { self.phi(p) },
            K,
            &mut new,
        );
        *sums = new;
    }

    /// phi(p), once in memory.
    #[inline(never)]
    fn phi(&self, p: i32) -> i32 {
        self.settings.activate(p)
    }

    fn any_sums(&self, z: &[i32], x: &[i32], sums: &mut [i32]) {
        sums.fill(0);
        let rank = self.shape.rank;
        self.units(
            |weights| dot(dot(0, z, weights), x, weights.get(rank..).unwrap_or_default()),
            |p| self.phi(p),
            rank + self.shape.inputs,
            sums,
        );
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

/// From the corrected sums, the carried z and, with a leak, y; then the output.
#[inline(never)]
fn carry(settings: &Settings, rank: usize, new: &[i32], carried: &mut [i32], output: &mut [i32]) {
    leak(settings, carried, new);
    let y = if settings.leaky() { carried } else { new };
    output.iter_mut().zip(y.iter().skip(rank)).for_each(|(output, &y)| *output = y);
}

#[inline(never)]
fn leak(settings: &Settings, words: &mut [i32], new: &[i32]) {
    words.iter_mut().zip(new).for_each(|(word, &new)| *word = settings.leak(*word, new));
}

/// Rows of the correction, from `first` on, as many as fill `out`: bias_j + sum_k M_jk s_k / 2^shift_j.
#[inline(always)]
fn correct(readout: &[i32], sums: &[i32], first: usize, out: &mut [i32]) {
    #[cfg(any(tinyfold_dsp, tinyfold_thumb2))]
    if kernel::correct(readout, sums, first, out) {
        return;
    }
    rows(readout, sums, first, out);
}

#[inline(never)]
fn rows(readout: &[i32], sums: &[i32], first: usize, out: &mut [i32]) {
    let (bias, rest) = readout.split_at_checked(sums.len()).unwrap_or_default();
    let (shift, matrix) = rest.split_at_checked(sums.len()).unwrap_or_default();
    let rows = matrix.chunks_exact(sums.len().max(1));
    for (out, ((&bias, &shift), row)) in out.iter_mut().zip(bias.iter().zip(shift).zip(rows).skip(first)) {
        let total = row.iter().zip(sums).fold(0_i64, |total, (&m, &s)| total.wrapping_add(mul(m, s)));
        *out = saturate(nearest(total, shift as u32).saturating_add(i64::from(bias)));
    }
}

#[inline(always)]
fn dot<W: Weight>(acc: i32, x: &[i32], weights: &[W]) -> i32 {
    x.iter().zip(weights).fold(acc, |acc, (&x, w)| acc.wrapping_add(mulw(x, w.wide())))
}
