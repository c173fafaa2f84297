//! Low-rank networks run in their latent: W = U Vᵀ never appears, the cost is n (2 R + I + O).
//!
//! Rate form: p = b + U z + B x, z' = keep z + alpha Vᵀ phi(p); y = C phi(p) + c, itself carried as
//! y' = keep y + alpha (C phi(p) + c) when alpha < 1.
//!
//! Current form, started at a = b + U kappa + B nu: kappa' = keep kappa + alpha Vᵀ phi(a),
//! nu' = keep nu + alpha x, a' = b + U kappa' + B nu', y = C phi(a') + c. Vᵀ phi(a') is kept in the
//! scratch for the next step, so a step is one pass over the neurons.

use crate::activation::Activation;
use crate::kernel::WIDEST;
use crate::linear::{add_column, add_dot};
use crate::network::{CopyChecked, Settings, State, View};
use crate::scalar::{MultiplyAdd, Scalar};
use crate::shape::{Form, Shape};

impl<T: Scalar> View<'_, T> {
    #[inline(never)]
    pub(crate) fn latent_step<A: MultiplyAdd>(&self, state: &mut State<'_, T>) {
        let Shape { rank, .. } = self.shape;
        if self.settings.form == Form::Rate && self.settings.activation == Activation::Relu {
            let done = match rank {
                1 => self.relu_step::<A, 1>(state),
                2 => self.relu_step::<A, 2>(state),
                3 => self.relu_step::<A, 3>(state),
                _ => false,
            };
            if done {
                return;
            }
        }
        match self.settings.form {
            Form::Rate => {
                state.scratch.fill(T::ZERO);
                state.y.copy_from_slice_checked(self.readout_bias);
                let (z, carried_y) = state.carried.split_at_mut_checked(rank).unwrap_or_default();
                self.latent_pass::<A>(z, state.input, state.scratch, state.y);
                self.leak_all::<A>(z, state.scratch);
                if self.settings.leaky() {
                    self.leak_all::<A>(carried_y, state.y);
                    self.give_output(state.output, carried_y);
                } else {
                    self.give_output(state.output, state.y);
                }
            }
            Form::Current => {
                let (kappa, nu) = state.carried.split_at_mut_checked(rank).unwrap_or_default();
                self.leak_all::<A>(kappa, state.scratch);
                self.leak_all::<A>(nu, state.input);
                self.latent_rates::<A>(state);
                self.give_output(state.output, state.y);
            }
        }
    }

    /// A step of an integrator, of which everything but the records fits the registers; `false` if it is not
    /// one or has no kernel.
    #[inline(always)]
    fn relu_step<A: MultiplyAdd, const D: usize>(&self, state: &mut State<'_, T>) -> bool {
        let Shape { inputs, outputs, .. } = self.shape;
        let Some((z, carried_y)) = state.carried.split_first_chunk_mut::<D>() else { return false };
        let (Some(x), Some(&c)) = (state.input.first_chunk(), self.readout_bias.first_chunk()) else {
            return false;
        };
        let (mut s, mut y): ([T; D], [T; D]) = ([T::ZERO; D], c);
        let fits = inputs == D && outputs == D;
        if !(fits && T::relu_pass(A::ARITHMETIC, self.layer, (z, x), (&mut s, &mut y))) {
            return false;
        }
        self.leak_all::<A>(z, &s);
        if let Some(carried_y) = carried_y.first_chunk_mut::<D>() {
            self.leak_all::<A>(carried_y, &y);
            y = *carried_y;
        }
        self.give_output(state.output, &y);
        true
    }

    /// Current form: scratch = Vᵀ phi(a), y = C phi(a) + c for a = b + U kappa + B nu.
    #[inline(always)]
    pub(crate) fn latent_rates<A: MultiplyAdd>(&self, state: &mut State<'_, T>) {
        state.scratch.fill(T::ZERO);
        state.y.copy_from_slice_checked(self.readout_bias);
        let (kappa, nu) = state.carried.split_at_checked(self.shape.rank).unwrap_or_default();
        self.latent_pass::<A>(kappa, nu, state.scratch, state.y);
    }

    /// One pass over the records: phi = phi(b + U z + B x), then s += Vᵀ phi and y += C phi.
    #[inline(never)]
    fn latent_pass<A: MultiplyAdd>(&self, z: &[T], x: &[T], s: &mut [T], y: &mut [T]) {
        let done = match (self.settings.activation, z.len()) {
            (Activation::Relu, 1) => self.relu_pass::<A, 1>(z, x, s, y),
            (Activation::Relu, 2) => self.relu_pass::<A, 2>(z, x, s, y),
            (Activation::Relu, 3) => self.relu_pass::<A, 3>(z, x, s, y),
            _ => false,
        };
        if done || self.blocks::<A>(z, x, s, y) {
            return;
        }
        match (z.len() + x.len(), s.len() + y.len()) {
            (2, 2) if !T::PARTS => self.small_pass::<A, 2>(z, x, s, y),
            (4, 4) if !T::PARTS => self.small_pass::<A, 4>(z, x, s, y),
            (6, 6) if !T::PARTS => self.small_pass::<A, 6>(z, x, s, y),
            (8, 8) if !T::PARTS => self.small_pass::<A, 8>(z, x, s, y),
            _ => self.any_pass::<A>(z, x, s, y),
        }
    }

    /// The pass with R + I = R + O = K: what it reads and what it sums stay in registers.
    #[inline(always)]
    fn small_pass<A: MultiplyAdd, const K: usize>(&self, z: &[T], x: &[T], s: &mut [T], y: &mut [T]) {
        let Settings { activation, variant, .. } = self.settings;
        let (mut zx, mut sy) = ([T::ZERO; K], [T::ZERO; K]);
        zx.iter_mut().zip(z.iter().chain(x)).for_each(|(to, &from)| *to = from);
        sy.iter_mut().zip(s.iter().chain(y.iter())).for_each(|(to, &from)| *to = from);
        for record in self.layer.chunks_exact(2 * K + 1) {
            let Some((&bias, weights)) = record.split_first() else { break };
            let [read, write] = weights.as_chunks::<K>().0 else { break };
            let phi = activation.value(add_dot::<T, A>(bias, read, &zx), variant);
            add_column::<T, A>(&mut sy, write, phi);
        }
        s.iter_mut().chain(y).zip(sy).for_each(|(to, from)| *to = from);
    }

    #[inline(always)]
    fn any_pass<A: MultiplyAdd>(&self, z: &[T], x: &[T], s: &mut [T], y: &mut [T]) {
        let Settings { activation, variant, .. } = self.settings;
        let Shape { rank, inputs, .. } = self.shape;
        for record in self.layer.chunks_exact(self.shape.record().max(1)) {
            let Some((&bias, record)) = record.split_first() else { break };
            let (u, record) = record.split_at_checked(rank).unwrap_or_default();
            let (b, record) = record.split_at_checked(inputs).unwrap_or_default();
            let (v, c) = record.split_at_checked(rank).unwrap_or_default();
            let phi = activation.value(add_dot::<T, A>(add_dot::<T, A>(bias, u, z), b, x), variant);
            add_column::<T, A>(s, v, phi);
            add_column::<T, A>(y, c, phi);
        }
    }

    /// The pass with R = I = O = D by the target's kernel; `false` if there is none for these sizes.
    #[inline(always)]
    fn relu_pass<A: MultiplyAdd, const D: usize>(&self, z: &[T], x: &[T], s: &mut [T], y: &mut [T]) -> bool {
        match (z.try_into(), x.try_into(), s.try_into(), y.try_into()) {
            (Ok(z), Ok(x), Ok(s), Ok(y)) => T::relu_pass::<D>(A::ARITHMETIC, self.layer, (z, x), (s, y)),
            _ => false,
        }
    }

    /// The pass by the target's kernels, some units at a time; `false` if there are none for these sizes.
    #[inline(always)]
    fn blocks<A: MultiplyAdd>(&self, z: &[T], x: &[T], s: &mut [T], y: &mut [T]) -> bool {
        const UNITS: usize = 32;
        let Settings { activation, variant, .. } = self.settings;
        let (reads, writes, record) = (z.len() + x.len(), s.len() + y.len(), self.shape.record());
        if !T::PARTS || reads > WIDEST || writes > WIDEST {
            return false;
        }
        let (mut zx, mut sums) = ([T::ZERO; WIDEST], [T::ZERO; WIDEST]);
        zx.iter_mut().zip(z.iter().chain(x)).for_each(|(to, &from)| *to = from);
        sums.iter_mut().zip(s.iter().chain(y.iter())).for_each(|(to, &from)| *to = from);
        let mut p = [T::ZERO; UNITS];
        for records in self.layer.chunks((UNITS * record).max(1)) {
            let phi = p.get_mut(..records.len() / record.max(1)).unwrap_or_default();
            if !T::read(A::ARITHMETIC, (records, record), reads, &zx, phi) {
                return false;
            }
            activation.apply(phi, variant);
            let records = records.get(1 + reads..).unwrap_or_default();
            T::write(A::ARITHMETIC, (records, record), writes, phi, &mut sums);
        }
        s.iter_mut().chain(y).zip(sums).for_each(|(to, from)| *to = from);
        true
    }

    /// old = keep old + alpha new.
    #[inline(always)]
    pub(crate) fn leak_all<A: MultiplyAdd>(&self, old: &mut [T], new: &[T]) {
        for (old, &new) in old.iter_mut().zip(new) {
            *old = self.settings.leak::<A>(*old, new);
        }
    }
}
