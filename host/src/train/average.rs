//! The average loss: the batch loss of a linear network, times T, expected over Gaussian inputs.
//!
//! L = sum_c 1 / (s_c² T²) sum_{k = 1..T} (T + 1 - k) sum_c' (d_c · Wᵏ e_c' - s_c gamma_c^k delta_cc')²
//!
//! With v_k = Wᵏ E and residuals r_k (D × D), backward: q_k = Cᵀ g_k + Wᵀ q_{k+1}, where g_k is the derivative with
//! respect to C v_k, and the gradient of W is sum_k q_k v_{k-1}ᵀ, that of E is Wᵀ q_1: O(T D n²).
//!
//! Source: Fanthomme & Monasson 2021, section 3, the average loss, for any D.

use faer::{Accum, Mat};
use tinyfold_core::Scalar;

use super::bptt::Fixed;
use super::parameters::{Parameters, Real};
use super::product::product;
use crate::task::Integration;

/// The loss over sequences of `steps` steps and its gradient.
pub fn loss_and_gradient<T: Real>(
    fixed: &Fixed<T>,
    parameters: &Parameters<T>,
    task: &Integration,
    steps: usize,
) -> (f64, Parameters<T>) {
    let (n, channels) = (fixed.encoder.nrows(), task.channels());
    let weights = &parameters.weights;
    let readout = parameters.readout.as_ref().unwrap_or(&fixed.decoder);
    // v_0 .. v_T, one after the other.
    let mut v = Mat::<T>::zeros(n, (steps + 1) * channels);
    v.as_mut().subcols_mut(0, channels).copy_from(parameters.encoder.as_ref().unwrap_or(&fixed.encoder));
    for k in 1..=steps {
        let (past, mut present) = v.as_mut().split_at_col_mut(k * channels);
        let past = past.as_ref().subcols((k - 1) * channels, channels);
        weights.apply(present.as_mut().subcols_mut(0, channels), Accum::Replace, past);
    }
    let later = v.as_ref().subcols(channels, steps * channels);
    let mut g = Mat::<T>::zeros(channels, steps * channels);
    product(g.as_mut(), Accum::Replace, readout.as_ref(), later);
    let mut loss = 0.0;
    for k in 1..=steps {
        for c in 0..channels {
            let share = (steps + 1 - k) as f64 / (task.scales[c] * steps as f64).powi(2);
            for other in 0..channels {
                let wanted = if c == other { task.scales[c] * task.decays[c].powi(k as i32) } else { 0.0 };
                let place = (c, (k - 1) * channels + other);
                let error = g[place].to_f64() - wanted;
                loss += share * error * error;
                g[place] = T::from_f64(2.0 * share * error);
            }
        }
    }
    let mut q = Mat::<T>::zeros(n, steps * channels);
    product(q.as_mut(), Accum::Replace, readout.transpose(), g.as_ref());
    for k in (1..steps).rev() {
        let (mut present, next) = q.as_mut().split_at_col_mut(k * channels);
        let present = present.as_mut().subcols_mut((k - 1) * channels, channels);
        weights.apply_transposed(present, Accum::Add, next.as_ref().subcols(0, channels));
    }
    let earlier = v.as_ref().subcols(0, steps * channels);
    let gradient = Parameters {
        weights: weights.gradient(q.as_ref(), earlier),
        input: None,
        encoder: parameters
            .encoder
            .is_some()
            .then(|| weights.transposed_times(&q.subcols(0, channels).to_owned())),
        bias: None,
        readout: parameters.readout.is_some().then(|| {
            let mut gradient = Mat::zeros(channels, n);
            product(gradient.as_mut(), Accum::Replace, g.as_ref(), later.transpose());
            gradient
        }),
        output_bias: None,
    };
    debug_assert!(parameters.input.is_none() && <T as Scalar>::ONE == fixed.alpha);
    (loss, gradient)
}
