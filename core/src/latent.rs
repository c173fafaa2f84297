//! Low-rank networks run in their latent: W = U Vᵀ never appears, the cost is n (2 R + I + O).
//!
//! Rate form: p = b + U z + B x, z' = keep z + alpha Vᵀ phi(p); y = C phi(p) + c, itself carried as
//! y' = keep y + alpha (C phi(p) + c) when alpha < 1.
//!
//! Current form, started at a = b + U kappa + B nu: kappa' = keep kappa + alpha Vᵀ phi(a),
//! nu' = keep nu + alpha x, a' = b + U kappa' + B nu', y = C phi(a') + c. Vᵀ phi(a') is kept in the
//! scratch for the next step, so a step is one pass over the neurons.

use crate::linear::{add_column, add_dot};
use crate::network::{CopyChecked, Settings, State, View};
use crate::scalar::{MultiplyAdd, Scalar};
use crate::shape::{Form, Shape};

impl<T: Scalar> View<'_, T> {
    #[inline(always)]
    pub(crate) fn latent_step<A: MultiplyAdd>(&self, state: &mut State<'_, T>) {
        let Shape { rank, .. } = self.shape;
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

    /// Current form: scratch = Vᵀ phi(a), y = C phi(a) + c for a = b + U kappa + B nu.
    #[inline(always)]
    pub(crate) fn latent_rates<A: MultiplyAdd>(&self, state: &mut State<'_, T>) {
        state.scratch.fill(T::ZERO);
        state.y.copy_from_slice_checked(self.readout_bias);
        let (kappa, nu) = state.carried.split_at_checked(self.shape.rank).unwrap_or_default();
        self.latent_pass::<A>(kappa, nu, state.scratch, state.y);
    }

    /// One pass over the records: phi = phi(b + U z + B x), then s += Vᵀ phi and y += C phi.
    #[inline(always)]
    fn latent_pass<A: MultiplyAdd>(&self, z: &[T], x: &[T], s: &mut [T], y: &mut [T]) {
        let Settings { activation, variant, .. } = self.settings;
        let Shape { rank, inputs, .. } = self.shape;
        let mut records = self.layer;
        while let Some((record, rest)) = records.split_at_checked(self.shape.record()) {
            let Some((&bias, record)) = record.split_first() else { break };
            let (u, record) = record.split_at_checked(rank).unwrap_or_default();
            let (b, record) = record.split_at_checked(inputs).unwrap_or_default();
            let (v, c) = record.split_at_checked(rank).unwrap_or_default();
            let p = add_dot::<T, A>(add_dot::<T, A>(bias, u, z), b, x);
            let phi = activation.value(p, variant);
            add_column::<T, A>(s, v, phi);
            add_column::<T, A>(y, c, phi);
            records = rest;
        }
    }

    #[inline(always)]
    fn leak_all<A: MultiplyAdd>(&self, old: &mut [T], new: &[T]) {
        for (old, &new) in old.iter_mut().zip(new) {
            *old = self.settings.leak::<A>(*old, new);
        }
    }
}
