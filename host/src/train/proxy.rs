//! The proxy loss: the conditions of an integrator of any duration, on random states.
//!
//! For alpha uniform in \[-R, R\]^D, with p = W E alpha + b,
//!
//! L = mean over alpha of sum_c (d_c · phi(p) + c_c - s_c gamma_c alpha_c)² / s_c² + |W phi(p) - W E Gamma alpha|²:
//!
//! a state that stands for the integrals alpha becomes the one that stands for Gamma alpha, and is read out as
//! S Gamma alpha. One step, so no gradient vanishes, and T does not matter.
//!
//! Backward, with q = phi(p) - E Gamma alpha and r = W q: dphi = Cᵀ dy + Wᵀ dr, dp = phi'(p) dphi, and the gradient
//! of W is dr qᵀ + (dp alphaᵀ) Eᵀ, that of E is Wᵀ (dp alphaᵀ - dr (Gamma alpha)ᵀ).
//!
//! Source: Fanthomme & Monasson 2021, section 3, the proxy loss, for any activation and D.

use faer::{Accum, Mat};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tinyfold_core::Scalar;

use super::bptt::{Fixed, chain, offset, row_sums, values};
use super::parameters::{Parameters, Real};
use super::product::product;
use crate::task::Integration;

/// `count` states alpha, D × count, uniform in \[-range, range\]^D.
#[must_use]
pub fn draw<T: Real>(task: &Integration, range: f64, count: usize, rng: &mut ChaCha8Rng) -> Mat<T> {
    Mat::from_fn(task.channels(), count, |_, _| T::from_f64(rng.random_range(-range..=range)))
}

/// The loss over the states `alpha` (D × N) and its gradient.
///
/// total: number of states that the mean is over, so that parts of a batch add up.
pub fn loss_and_gradient<T: Real>(
    fixed: &Fixed<T>,
    parameters: &Parameters<T>,
    task: &Integration,
    alpha: &Mat<T>,
    total: usize,
) -> (f64, Parameters<T>) {
    let (n, channels, count) = (fixed.encoder.nrows(), task.channels(), alpha.ncols());
    let weights = &parameters.weights;
    let readout = parameters.readout.as_ref().unwrap_or(&fixed.decoder);
    let encoder = parameters.encoder.as_ref().unwrap_or(&fixed.encoder);
    let decayed = Mat::from_fn(channels, count, |c, k| T::from_f64(task.decays[c]) * alpha[(c, k)]);

    let mut p = Mat::<T>::zeros(n, count);
    let start = offset(&mut p, parameters.bias.as_ref().or(fixed.bias.as_ref()));
    product(p.as_mut(), start, weights.times(encoder).as_ref(), alpha.as_ref());
    let mut phi = Mat::<T>::zeros(n, count);
    for k in 0..count {
        values(fixed.activation, p.col_as_slice(k), phi.col_as_slice_mut(k));
    }
    let mut dy = Mat::<T>::zeros(channels, count);
    let start = offset(&mut dy, parameters.output_bias.as_ref());
    product(dy.as_mut(), start, readout.as_ref(), phi.as_ref());
    let share = T::from_f64(2.0 / total as f64);
    let mut loss = 0.0;
    for k in 0..count {
        for c in 0..channels {
            let error = dy[(c, k)] - T::from_f64(task.scales[c]) * decayed[(c, k)];
            loss += (fixed.weight[c] * error * error).to_f64();
            dy[(c, k)] = share * fixed.weight[c] * error;
        }
    }

    // q in place of phi once this has been read out.
    let d_readout = parameters.readout.is_some().then(|| {
        let mut gradient = Mat::zeros(channels, n);
        product(gradient.as_mut(), Accum::Replace, dy.as_ref(), phi.transpose());
        gradient
    });
    let mut q = phi;
    let mut written = Mat::<T>::zeros(n, count);
    product(written.as_mut(), Accum::Replace, encoder.as_ref(), decayed.as_ref());
    q -= &written;
    let mut dr = weights.times(&q);
    for k in 0..count {
        for r in dr.col_as_slice_mut(k) {
            loss += (*r * *r).to_f64();
            *r = share * *r;
        }
    }
    let mut dphi = written;
    product(dphi.as_mut(), Accum::Replace, readout.transpose(), dy.as_ref());
    weights.apply_transposed(dphi.as_mut(), Accum::Add, dr.as_ref());
    for k in 0..count {
        chain(fixed.activation, <T as Scalar>::ONE, dphi.col_as_slice(k), p.col_as_slice_mut(k));
    }
    let mut d_input = Mat::zeros(n, channels);
    product(d_input.as_mut(), Accum::Replace, p.as_ref(), alpha.transpose());
    let mut d_weights = weights.gradient(dr.as_ref(), q.as_ref());
    weights.add_gradient(&mut d_weights, d_input.as_ref(), encoder.as_ref());
    let d_encoder = parameters.encoder.is_some().then(|| {
        let mut written = Mat::zeros(n, channels);
        product(written.as_mut(), Accum::Replace, dr.as_ref(), decayed.transpose());
        weights.transposed_times(&(d_input - &written))
    });
    let gradient = Parameters {
        weights: d_weights,
        input: None,
        encoder: d_encoder,
        bias: parameters.bias.is_some().then(|| row_sums(&p)),
        readout: d_readout,
        output_bias: parameters.output_bias.is_some().then(|| row_sums(&dy)),
    };
    (loss / total as f64, gradient)
}
