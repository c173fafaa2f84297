//! Backpropagation through time.
//!
//! Forward, for t = 1 .. T from h_0 = 0: s_t = h_{t-1} + E x_t, p_t = W s_t + b, h_t = (1 - alpha) h_{t-1} +
//! alpha phi(p_t), y_t = C h_t; with its own B: s_t = h_{t-1}, p_t = W s_t + B x_t + b.
//!
//! Batch loss: L = sum_c (1 / (s_c² T²)) mean over batch and time of (y_c - y*_c)²
//! (Fanthomme & Monasson 2021, equation of the batch loss).
//!
//! Backward: dh_t = Cᵀ dy_t + (1 - alpha) dh_{t+1} + Wᵀ dp_{t+1}, dp_t = alpha phi'(p_t) dh_t. The
//! gradient of W is one product over all steps of all samples, dP Sᵀ.

use faer::{Accum, Mat};
use tinyfold_core::{Activation, Scalar, Variant};

use super::parameters::{Parameters, Real, product};

/// What training does not change.
#[derive(Clone, Debug)]
pub struct Fixed<T> {
    /// phi.
    pub activation: Activation<T>,
    /// Leak.
    pub alpha: T,
    /// E, n × I.
    pub encoder: Mat<T>,
    /// C, O × n: used unless the readout is trained.
    pub decoder: Mat<T>,
    /// 1 / s_c², one an output.
    pub weight: Vec<T>,
}

/// Sequences: column t · batch + k holds sample k at step t.
#[derive(Clone, Debug)]
pub struct Batch<T> {
    /// I × (T · batch).
    pub x: Mat<T>,
    /// O × (T · batch).
    pub target: Mat<T>,
    /// T.
    pub steps: usize,
}

impl<T> Batch<T> {
    /// Sequences.
    #[must_use]
    pub fn count(&self) -> usize {
        self.x.ncols() / self.steps.max(1)
    }
}

/// The batch loss and its gradient. `total` is the number of sequences that the mean is over, so that
/// parts of a batch add up.
pub fn loss_and_gradient<T: Real>(
    fixed: &Fixed<T>,
    parameters: &Parameters<T>,
    batch: &Batch<T>,
    total: usize,
) -> (f64, Parameters<T>) {
    let (n, steps, width) = (fixed.encoder.nrows(), batch.steps, batch.count());
    let (alpha, zero) = (fixed.alpha, <T as Scalar>::ZERO);
    let keep = <T as Scalar>::ONE - alpha;
    let leaky = alpha < <T as Scalar>::ONE;
    let readout = parameters.readout.as_ref().unwrap_or(&fixed.decoder);
    let (tied, drive) = match &parameters.input {
        Some(input) => (false, input),
        None => (true, &fixed.encoder),
    };

    // s, p and h of all steps, one block of columns a step; p becomes dp on the way back.
    let columns = steps * width;
    let mut s = Mat::<T>::zeros(n, columns);
    let mut p = Mat::<T>::zeros(n, columns);
    let mut h = Mat::<T>::zeros(n, columns);
    for t in 0..steps {
        let (now, before) = (t * width, t.saturating_sub(1) * width);
        if t > 0 {
            s.as_mut().subcols_mut(now, width).copy_from(h.as_ref().subcols(before, width));
        }
        let x = batch.x.as_ref().subcols(now, width);
        if tied {
            product(s.as_mut().subcols_mut(now, width), Accum::Add, drive.as_ref(), x);
        }
        parameters.weights.apply(p.as_mut().subcols_mut(now, width), s.as_ref().subcols(now, width));
        if !tied {
            product(p.as_mut().subcols_mut(now, width), Accum::Add, drive.as_ref(), x);
        }
        for k in 0..width {
            if let Some(bias) = &parameters.bias {
                for (p, &b) in p.col_as_slice_mut(now + k).iter_mut().zip(bias.col_as_slice(0)) {
                    *p += b;
                }
            }
            let (past, mut present) = h.as_mut().split_at_col_mut(now);
            let past =
                (t > 0).then(|| past.col(before + k).try_as_col_major().expect("columns are contiguous"));
            let present = present.as_mut().col_mut(k).try_as_col_major_mut().expect("columns are contiguous");
            let present = present.as_slice_mut();
            for (h, &p) in present.iter_mut().zip(p.col_as_slice(now + k)) {
                *h = fixed.activation.value(p, Variant::Libm);
            }
            if leaky {
                for (i, h) in present.iter_mut().enumerate() {
                    let old = past.map_or(zero, |past| past.as_slice()[i]);
                    *h = keep * old + alpha * *h;
                }
            }
        }
    }

    // dy = 2 / (s² T² · T · total) (y - y*), in place of y.
    let mut dy = Mat::<T>::zeros(readout.nrows(), columns);
    product(dy.as_mut(), Accum::Replace, readout.as_ref(), h.as_ref());
    let norm = (steps * steps) as f64 * (steps * total) as f64;
    let mut loss = 0.0;
    for column in 0..columns {
        let dy = dy.col_as_slice_mut(column);
        for ((dy, &target), &weight) in
            dy.iter_mut().zip(batch.target.col_as_slice(column)).zip(&fixed.weight)
        {
            let error = *dy - target;
            loss += (weight * error * error).to_f64();
            *dy = T::from_f64(2.0 / norm) * weight * error;
        }
    }

    let mut dh = Mat::<T>::zeros(n, width);
    let mut ds = Mat::<T>::zeros(n, width);
    for t in (0..steps).rev() {
        let now = t * width;
        product(dh.as_mut(), Accum::Add, readout.transpose(), dy.as_ref().subcols(now, width));
        for k in 0..width {
            for (p, &dh) in p.col_as_slice_mut(now + k).iter_mut().zip(dh.col_as_slice(k)) {
                *p = alpha * dh * fixed.activation.derivative(*p, Variant::Libm);
            }
        }
        if t > 0 {
            parameters.weights.apply_transposed(ds.as_mut(), p.as_ref().subcols(now, width));
            for k in 0..width {
                for (dh, &ds) in dh.col_as_slice_mut(k).iter_mut().zip(ds.col_as_slice(k)) {
                    *dh = if leaky { keep * *dh + ds } else { ds };
                }
            }
        }
    }

    let gradient = Parameters {
        weights: parameters.weights.gradient(p.as_ref(), s.as_ref()),
        input: parameters.input.as_ref().map(|input| {
            let mut gradient = Mat::zeros(input.nrows(), input.ncols());
            product(gradient.as_mut(), Accum::Replace, p.as_ref(), batch.x.transpose());
            gradient
        }),
        bias: parameters.bias.as_ref().map(|_| {
            let ones = Mat::from_fn(columns, 1, |_, _| <T as Scalar>::ONE);
            let mut gradient = Mat::zeros(n, 1);
            product(gradient.as_mut(), Accum::Replace, p.as_ref(), ones.as_ref());
            gradient
        }),
        readout: parameters.readout.as_ref().map(|readout| {
            let mut gradient = Mat::zeros(readout.nrows(), readout.ncols());
            product(gradient.as_mut(), Accum::Replace, dy.as_ref(), h.transpose());
            gradient
        }),
    };
    (loss / norm, gradient)
}
