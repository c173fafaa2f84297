//! Backpropagation through time.
//!
//! Forward, for t = 1 .. T from h_0 = 0: p_t = W h_{t-1} + B x_t + b, h_t = (1 - alpha) h_{t-1} +
//! alpha phi(p_t), y_t = C h_t + c, with B = W E unless it is trained by itself.
//!
//! Batch loss: L = sum_c (1 / (s_c² T²)) mean over batch and time of (y_c - y*_c)²
//! (Fanthomme & Monasson 2021, equation of the batch loss).
//!
//! Backward: dh_t = Cᵀ dy_t + (1 - alpha) dh_{t+1} + Wᵀ dp_{t+1}, dp_t = alpha phi'(p_t) dh_t. With
//! dB = sum_t dp_t x_tᵀ, the gradient of W is sum_t dp_t h_{t-1}ᵀ, one product over all steps of all
//! samples, plus dB Eᵀ when B = W E. The first step needs no product with W, since h_0 = 0.

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
    /// E, n × I; used unless B is trained by itself.
    pub encoder: Mat<T>,
    /// C, O × n; used unless the readout is trained.
    pub decoder: Mat<T>,
    /// 1 / s_c², one an output.
    pub weight: Vec<T>,
}

/// Sequences: column t · count + k holds sample k at step t.
#[derive(Clone, Debug)]
pub struct Batch<T> {
    /// I × (T · count).
    pub x: Mat<T>,
    /// O × (T · count).
    pub target: Mat<T>,
    /// T.
    pub steps: usize,
}

impl<T> Batch<T> {
    /// Number of sequences.
    #[must_use]
    pub fn count(&self) -> usize {
        self.x.ncols() / self.steps.max(1)
    }
}

/// Buffers of a pass, n × (T · count), kept from one pass to the next of the same shape.
#[derive(Clone, Debug)]
pub struct Workspace<T> {
    /// p, and dp on the way back.
    p: Mat<T>,
    h: Mat<T>,
    dh: Mat<T>,
}

impl<T: Real> Default for Workspace<T> {
    fn default() -> Self {
        Self { p: Mat::new(), h: Mat::new(), dh: Mat::new() }
    }
}

impl<T: Real> Workspace<T> {
    fn fit(&mut self, n: usize, columns: usize) {
        if self.p.shape() != (n, columns) {
            *self = Self { p: Mat::zeros(n, columns), h: Mat::zeros(n, columns), dh: Mat::zeros(n, columns) };
        }
    }
}

/// The batch loss and its gradient.
///
/// total: number of sequences that the mean is over, so that parts of a batch add up.
pub fn loss_and_gradient<T: Real>(
    fixed: &Fixed<T>,
    parameters: &Parameters<T>,
    batch: &Batch<T>,
    total: usize,
    workspace: &mut Workspace<T>,
) -> (f64, Parameters<T>) {
    let (n, steps, count) = (fixed.encoder.nrows(), batch.steps, batch.count());
    let columns = steps * count;
    workspace.fit(n, columns);
    let Workspace { p, h, dh } = workspace;
    let weights = &parameters.weights;
    let readout = parameters.readout.as_ref().unwrap_or(&fixed.decoder);
    let keep = <T as Scalar>::ONE - fixed.alpha;
    let leaky = fixed.alpha < <T as Scalar>::ONE;

    let start = offset(p, parameters.bias.as_ref());
    let tied = parameters.input.is_none().then(|| weights.times(&fixed.encoder));
    let input = parameters.input.as_ref().or(tied.as_ref()).expect("B is trained or B = W E");
    product(p.as_mut(), start, input.as_ref(), batch.x.as_ref());
    for now in (0..columns).step_by(count) {
        let (past, mut present) = h.as_mut().split_at_col_mut(now);
        let past = past.as_ref();
        if now > 0 {
            let past = past.subcols(now - count, count);
            weights.add_apply(p.as_mut().subcols_mut(now, count), past);
        }
        for k in 0..count {
            let present = slice_mut(present.as_mut().col_mut(k));
            values(fixed.activation, p.col_as_slice(now + k), present);
            if leaky && now > 0 {
                let past = slice(past.col(now - count + k));
                present.iter_mut().zip(past).for_each(|(h, &past)| *h = keep * past + fixed.alpha * *h);
            } else if leaky {
                present.iter_mut().for_each(|h| *h = fixed.alpha * *h);
            }
        }
    }

    // y, then dL/dy = 2 (y - y*) / (s² T² · T · total) in its place.
    let mut dy = Mat::<T>::zeros(readout.nrows(), columns);
    let start = offset(&mut dy, parameters.output_bias.as_ref());
    product(dy.as_mut(), start, readout.as_ref(), h.as_ref());
    let norm = (steps * steps) as f64 * (steps * total) as f64;
    let mut loss = 0.0;
    for column in 0..columns {
        let targets = batch.target.col_as_slice(column).iter().zip(&fixed.weight);
        for (dy, (&target, &weight)) in dy.col_as_slice_mut(column).iter_mut().zip(targets) {
            let error = *dy - target;
            loss += (weight * error * error).to_f64();
            *dy = T::from_f64(2.0 / norm) * weight * error;
        }
    }

    product(dh.as_mut(), Accum::Replace, readout.transpose(), dy.as_ref());
    for now in (0..columns).step_by(count).rev() {
        for k in now..now + count {
            chain(fixed.activation, fixed.alpha, dh.col_as_slice(k), p.col_as_slice_mut(k));
        }
        if now == 0 {
            break;
        }
        let (mut past, present) = dh.as_mut().split_at_col_mut(now);
        let mut past = past.as_mut().subcols_mut(now - count, count);
        if leaky {
            for k in 0..count {
                let present = slice(present.as_ref().col(k));
                let past = slice_mut(past.as_mut().col_mut(k));
                past.iter_mut().zip(present).for_each(|(past, &present)| *past += keep * present);
            }
        }
        weights.add_apply_transposed(past, p.as_ref().subcols(now, count));
    }

    let sum = |rows: &Mat<T>| {
        Mat::from_fn(rows.nrows(), 1, |i, _| {
            (0..columns).fold(<T as Scalar>::ZERO, |sum, column| sum + rows[(i, column)])
        })
    };
    let mut d_input = Mat::zeros(n, batch.x.nrows());
    product(d_input.as_mut(), Accum::Replace, p.as_ref(), batch.x.transpose());
    let later = columns - count;
    let mut d_weights = weights.gradient(p.as_ref().subcols(count, later), h.as_ref().subcols(0, later));
    if tied.is_some() {
        d_weights.add(&weights.gradient(d_input.as_ref(), fixed.encoder.as_ref()));
    }
    let gradient = Parameters {
        weights: d_weights,
        input: parameters.input.is_some().then_some(d_input),
        bias: parameters.bias.is_some().then(|| sum(p)),
        readout: parameters.readout.is_some().then(|| {
            let mut gradient = Mat::zeros(readout.nrows(), n);
            product(gradient.as_mut(), Accum::Replace, dy.as_ref(), h.transpose());
            gradient
        }),
        output_bias: parameters.output_bias.is_some().then(|| sum(&dy)),
    };
    (loss / norm, gradient)
}

/// Writes a bias into every column, and says how the product that follows is to be added.
fn offset<T: Real>(sums: &mut Mat<T>, bias: Option<&Mat<T>>) -> Accum {
    let Some(bias) = bias else { return Accum::Replace };
    for column in 0..sums.ncols() {
        sums.col_as_slice_mut(column).copy_from_slice(bias.col_as_slice(0));
    }
    Accum::Add
}

/// h = phi(p). A loop vectorises only where phi is a constant.
fn values<T: Real>(phi: Activation<T>, p: &[T], h: &mut [T]) {
    #[inline(always)]
    fn each<T: Real>(phi: Activation<T>, p: &[T], h: &mut [T]) {
        h.iter_mut().zip(p).for_each(|(h, &p)| *h = phi.value(p, Variant::Libm));
    }
    match phi {
        Activation::Linear => each(Activation::Linear, p, h),
        Activation::Relu => each(Activation::Relu, p, h),
        phi => each(phi, p, h),
    }
}

/// dp = alpha phi'(p) dh, in place of p.
fn chain<T: Real>(phi: Activation<T>, alpha: T, dh: &[T], p: &mut [T]) {
    #[inline(always)]
    fn each<T: Real>(phi: Activation<T>, alpha: T, dh: &[T], p: &mut [T]) {
        p.iter_mut().zip(dh).for_each(|(p, &dh)| *p = alpha * dh * phi.derivative(*p, Variant::Libm));
    }
    match phi {
        Activation::Linear => each(Activation::Linear, alpha, dh, p),
        Activation::Relu => each(Activation::Relu, alpha, dh, p),
        phi => each(phi, alpha, dh, p),
    }
}

fn slice<T>(column: faer::ColRef<'_, T>) -> &[T] {
    column.try_as_col_major().expect("columns of a matrix are contiguous").as_slice()
}

fn slice_mut<T>(column: faer::ColMut<'_, T>) -> &mut [T] {
    column.try_as_col_major_mut().expect("columns of a matrix are contiguous").as_slice_mut()
}
