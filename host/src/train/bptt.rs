//! Backpropagation through time.
//!
//! Forward, for t = 1 .. T from h_0 = 0: p_t = W h_{t-1} + B x_t + b, h_t = (1 - alpha) h_{t-1} +
//! alpha phi(p_t), y_t = C h_t + c, with B = W E unless it is trained by itself.
//!
//! Batch loss: L = sum_c (1 / (s_c² T²)) mean over batch and time of (y_c - y*_c)²
//! (Fanthomme & Monasson 2021, equation of the batch loss); a weight of a batch multiplies every square.
//!
//! Currents beta make h_t = (1 - alpha) h_{t-1} + alpha (beta + phi(p_t)); a nonlinear decoder y_t = phi(C h_t + c), and
//! dy below its derivative with respect to C h_t + c.
//!
//! Backward: dh_t = Cᵀ dy_t + (1 - alpha) dh_{t+1} + Wᵀ dp_{t+1}, dp_t = alpha phi'(p_t) dh_t. With
//! dB = sum_t dp_t x_tᵀ, the gradient of W is sum_t dp_t h_{t-1}ᵀ, one product over all steps of all
//! samples, plus dB Eᵀ when B = W E; the gradient of E is then Wᵀ dB. The first step needs no product with W, since h_0 = 0,
//! and the second often none either (patterns.rs); the others pass over neurons that are silent (order.rs).

use std::iter::zip;
use std::mem::swap;

use faer::reborrow::ReborrowMut;
use faer::{Accum, Mat, MatRef};
use tinyfold_core::{Activation, Scalar};

use super::columns::{VARIANT, add_products, slice, slice_mut, transposed_products, vectorised};
use super::order::alike;
use super::parameters::{Factors, Parameters, Real, Weights};
use super::patterns::Patterns;
use super::product::{product, zeros};

/// Columns that stay in cache from one pass over them to the next.
const BLOCK: usize = 16;

/// What training does not change.
#[derive(Clone, Debug)]
pub struct Fixed<T> {
    /// phi.
    pub activation: Activation<T>,
    /// Leak.
    pub alpha: T,
    /// E, n × I; used unless B is trained by itself or E is.
    pub encoder: Mat<T>,
    /// C, O × n; used unless the readout is trained.
    pub decoder: Mat<T>,
    /// b, n × 1; used unless biases are trained.
    pub bias: Option<Mat<T>>,
    /// beta, n × 1, added to the rates.
    pub current: Option<Mat<T>>,
    /// Whether y = phi(C h + c).
    pub nonlinear_decoder: bool,
    /// Dale's law: +1 or -1 a neuron, the sign of its column of W.
    pub signs: Option<Vec<T>>,
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
    /// O × (T · count): factor of every squared error, 0 where an output is not judged; `None` for 1 everywhere.
    pub weight: Option<Mat<T>>,
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

/// Memory of passes and of a gradient, kept from one pass to the next of the same shape.
#[derive(Clone, Debug)]
pub struct Workspace<T> {
    buffers: Buffers<T>,
    /// Where the gradient of the weights goes.
    spare: Option<Weights<T>>,
}

/// What a pass fills and nobody needs after it.
#[derive(Clone, Debug)]
struct Buffers<T> {
    /// p, and dp on the way back, n × (T · count).
    p: Mat<T>,
    /// n × (T · count).
    h: Mat<T>,
    /// Of a step and of the one after it, each n × count.
    dh: [Mat<T>; 2],
    /// O × (T · count).
    dy: Mat<T>,
}

impl<T> Default for Buffers<T> {
    fn default() -> Self {
        Self { p: Mat::new(), h: Mat::new(), dh: [Mat::new(), Mat::new()], dy: Mat::new() }
    }
}

impl<T> Default for Workspace<T> {
    fn default() -> Self {
        Self { buffers: Buffers::default(), spare: None }
    }
}

impl<T: Real> Buffers<T> {
    /// Parts of a batch may differ by a sequence: memory is kept where it is enough.
    fn fit(&mut self, n: usize, outputs: usize, steps: usize, count: usize) {
        let columns = steps * count;
        let [dh, next] = &mut self.dh;
        for (matrix, columns) in [(&mut self.p, columns), (&mut self.h, columns), (dh, count), (next, count)]
        {
            if matrix.nrows() == n {
                matrix.resize_with(n, columns, |_, _| <T as Scalar>::ZERO);
            } else {
                *matrix = zeros(n, columns);
            }
        }
        self.dy.resize_with(outputs, columns, |_, _| <T as Scalar>::ZERO);
    }
}

impl<T> Workspace<T> {
    /// Keeps the memory of a gradient that has been used for the next pass: fresh pages of a large one take a twentieth of a
    /// pass.
    pub fn recycle(&mut self, gradient: Parameters<T>) {
        self.spare = Some(gradient.weights);
    }

    /// Hands the buffers over to who makes the next pass on this thread: they are in its cache.
    pub(super) fn pass_on(&mut self, next: &mut Self) {
        swap(&mut self.buffers, &mut next.buffers);
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
    Prepared::new(fixed, parameters, batch.count()).loss_and_gradient(batch, total, workspace)
}

/// A network, laid out for the passes of all parts of a batch.
pub struct Prepared<'a, T> {
    fixed: &'a Fixed<T>,
    parameters: &'a Parameters<T>,
    factors: Factors<'a, T>,
    encoder: &'a Mat<T>,
    /// W E, unless B is trained by itself.
    tied: Option<Mat<T>>,
    /// Cᵀ, n × O.
    readout: Mat<T>,
}

impl<'a, T: Real> Prepared<'a, T> {
    /// For parts of any size; from some number of `sequences` on W is laid out for many products.
    #[must_use]
    pub fn new(fixed: &'a Fixed<T>, parameters: &'a Parameters<T>, sequences: usize) -> Self {
        let encoder = parameters.encoder.as_ref().unwrap_or(&fixed.encoder);
        let readout = parameters.readout.as_ref().unwrap_or(&fixed.decoder);
        let factors = parameters.weights.factors(sequences);
        let tied = parameters.input.is_none().then(|| parameters.weights.times(encoder));
        Self { fixed, parameters, factors, encoder, tied, readout: readout.transpose().to_owned() }
    }

    /// An order of columns of states or their derivatives in which products pass over neurons that are silent.
    fn order_of(&self, columns: MatRef<'_, T>) -> Option<Vec<usize>> {
        let rectified = matches!(self.fixed.activation, Activation::Relu | Activation::Clipped { .. });
        if rectified && self.factors.pass_over_zeros() { alike(columns) } else { None }
    }

    /// As [`loss_and_gradient`].
    ///
    /// Products with W are those of a library; what has only D or O rows is done while the columns of a step are in
    /// cache, in one pass each way.
    pub fn loss_and_gradient(
        &self,
        batch: &Batch<T>,
        total: usize,
        workspace: &mut Workspace<T>,
    ) -> (f64, Parameters<T>) {
        let Self { fixed, parameters, factors, encoder, tied, readout } = self;
        let (n, steps, count) = (readout.nrows(), batch.steps, batch.count());
        let columns = steps * count;
        let Workspace { buffers, spare } = workspace;
        buffers.fit(n, readout.ncols(), steps, count);
        let Buffers { p, h, dh: [dh, dh_next], dy } = buffers;
        let weights = &parameters.weights;
        let norm = (steps * steps) as f64 * (steps * total) as f64;
        let pass = Pass {
            alpha: fixed.alpha,
            keep: <T as Scalar>::ONE - fixed.alpha,
            leaky: fixed.alpha < <T as Scalar>::ONE,
            input: parameters.input.as_ref().or(tied.as_ref()).expect("B is trained or B = W E"),
            bias: parameters.bias.as_ref().or(fixed.bias.as_ref()),
            current: fixed.current.as_ref(),
            nonlinear_decoder: fixed.nonlinear_decoder,
            readout,
            output_bias: parameters.output_bias.as_ref(),
            weight: &fixed.weight,
            gain: T::from_f64(2.0 / norm),
            batch,
        };
        let rates_have_zeros = !pass.leaky && pass.current.is_none();
        // Of the samples of each step, by their rates.
        let mut orders: Vec<Option<Vec<usize>>> = Vec::with_capacity(steps);
        let mut loss = 0.0;
        let mut second: Option<Patterns<'_, T>> = None;
        for now in (0..columns).step_by(count) {
            let present = p.as_mut().subcols_mut(now, count);
            match &second {
                Some(patterns) if now == count => patterns.product(present),
                _ if now > 0 => {
                    let past = h.as_ref().subcols(now - count, count);
                    factors.apply(present, past, orders[now / count - 1].as_deref());
                }
                _ => {}
            }
            loss += pass.forward(fixed.activation, now, p, h, dy);
            if now == 0 && steps > 1 {
                second = pass.patterns(fixed.activation, weights, p);
            }
            let is_multiplied = now > 0 || second.is_none();
            let rates = h.as_ref().subcols(now, count);
            orders.push(if rates_have_zeros && is_multiplied { self.order_of(rates) } else { None });
        }

        let mut d_input = Mat::zeros(n, batch.x.nrows());
        for now in (0..columns).step_by(count).rev() {
            vectorised!(fixed.activation, phi => pass.backward(phi, now, dy, p, dh, dh_next));
            let dp = p.as_ref().subcols(now, count);
            product(d_input.as_mut(), Accum::Add, dp, batch.x.subcols(now, count).transpose());
            if now > 0 {
                swap(dh, dh_next);
                if now == count && second.is_some() {
                    dh.fill(<T as Scalar>::ZERO);
                } else {
                    // Rates of leaky neurons are not 0 at once, but they learn nothing then.
                    let order = if rates_have_zeros { orders[now / count].take() } else { self.order_of(dp) };
                    factors.apply_transposed(dh.as_mut(), dp, order.as_deref());
                }
            }
        }

        // Steps before the first that is multiplied as others are.
        let early = if second.is_some() { count } else { 0 };
        let later = columns - count - early;
        let past = h.as_ref().subcols(early, later);
        let neurons = self.order_of(past.transpose());
        let dp = p.as_ref().subcols(count + early, later);
        let mut d_weights = weights.gradient_in(spare.take(), dp, past, neurons.as_deref());
        if let (Some(patterns), Weights::Dense(d_weights)) = (&second, &mut d_weights) {
            patterns.gradient(p.as_ref().subcols(count, count), d_weights, &mut d_input);
        }
        if tied.is_some() {
            weights.add_gradient(&mut d_weights, d_input.as_ref(), encoder.as_ref());
        }
        let gradient = Parameters {
            weights: d_weights,
            encoder: parameters.encoder.is_some().then(|| weights.transposed_times(&d_input)),
            input: parameters.input.is_some().then_some(d_input),
            bias: parameters.bias.is_some().then(|| row_sums(p)),
            readout: parameters.readout.is_some().then(|| {
                let mut gradient = Mat::zeros(readout.ncols(), n);
                product(gradient.as_mut(), Accum::Replace, dy.as_ref(), h.transpose());
                gradient
            }),
            output_bias: parameters.output_bias.is_some().then(|| row_sums(dy)),
        };
        (loss / norm, gradient)
    }
}

/// What the columns of one step need besides themselves.
struct Pass<'a, T> {
    alpha: T,
    keep: T,
    leaky: bool,
    /// B, n × I.
    input: &'a Mat<T>,
    bias: Option<&'a Mat<T>>,
    current: Option<&'a Mat<T>>,
    nonlinear_decoder: bool,
    /// Cᵀ, n × O.
    readout: &'a Mat<T>,
    output_bias: Option<&'a Mat<T>>,
    /// 1 / s_c².
    weight: &'a [T],
    /// 2 / (T² · T · total): what an error times its weight has in the derivative of the loss.
    gain: T,
    batch: &'a Batch<T>,
}

impl<'a, T: Real> Pass<'a, T> {
    /// Of the first step, whose pre-activations are in `p`; where the second is cheaper by them.
    fn patterns(&self, phi: Activation<T>, weights: &'a Weights<T>, p: &Mat<T>) -> Option<Patterns<'a, T>> {
        let Weights::Dense(weights) = weights else { return None };
        if self.bias.is_some() || self.current.is_some() {
            return None;
        }
        let x = self.batch.x.subcols(0, self.batch.count());
        Patterns::new(phi, weights, self.input, x, self.alpha, p)
    }

    /// Columns now .. now + count: from W h (in `p`, for now > 0) to p, h, and dL/dy; the sum of weighted squared
    /// errors.
    fn forward(
        &self,
        phi: Activation<T>,
        now: usize,
        p: &mut Mat<T>,
        h: &mut Mat<T>,
        dy: &mut Mat<T>,
    ) -> f64 {
        let end = now + self.batch.count();
        for first in (now..end).step_by(BLOCK) {
            let width = BLOCK.min(end - first);
            vectorised!(phi, phi => self.forward_columns(phi, first, width, p, h, dy));
        }
        vectorised!(phi, phi => self.errors(phi, now, dy))
    }

    #[inline(always)]
    fn forward_columns(
        &self,
        phi: Activation<T>,
        first: usize,
        width: usize,
        p: &mut Mat<T>,
        h: &mut Mat<T>,
        dy: &mut Mat<T>,
    ) {
        let count = self.batch.count();
        let mut p = p.as_mut().subcols_mut(first, width);
        let (past, h) = h.as_mut().split_at_col_mut(first);
        let mut h = h.subcols_mut(0, width);
        if first < count {
            p.fill(<T as Scalar>::ZERO);
        }
        if let Some(bias) = self.bias {
            for p in p.rb_mut().col_iter_mut() {
                zip(slice_mut(p), bias.col_as_slice(0)).for_each(|(p, &b)| *p += b);
            }
        }
        add_products(
            p,
            self.input,
            self.batch.x.subcols(first, width),
            h.rb_mut(),
            #[inline(always)]
            |h, p| *h = phi.value(p, VARIANT),
        );
        if let Some(current) = self.current {
            for h in h.rb_mut().col_iter_mut() {
                zip(slice_mut(h), current.col_as_slice(0)).for_each(|(h, &beta)| *h += beta);
            }
        }
        if self.leaky {
            for (k, h) in h.rb_mut().col_iter_mut().enumerate() {
                let h = slice_mut(h);
                for h in h.iter_mut() {
                    *h = self.alpha * *h;
                }
                if first >= count {
                    let past = slice(past.as_ref().col(first - count + k));
                    zip(h, past).for_each(|(h, &past)| *h += self.keep * past);
                }
            }
        }
        transposed_products(dy.as_mut().subcols_mut(first, width), self.readout, h.as_ref());
    }

    /// Columns now .. now + count: from C h to dL/dy; the sum of weighted squared errors.
    #[inline(always)]
    fn errors(&self, phi: Activation<T>, now: usize, dy: &mut Mat<T>) -> f64 {
        let mut loss = 0.0;
        for column in now..now + self.batch.count() {
            let targets = self.batch.target.col_as_slice(column);
            let judged = self.batch.weight.as_ref().map(|weight| weight.col_as_slice(column));
            // A sum of its own: the one of all columns is not kept in a register.
            let mut squares = 0.0;
            for (o, dy) in dy.col_as_slice_mut(column).iter_mut().enumerate() {
                let offset = self.output_bias.map_or(<T as Scalar>::ZERO, |bias| bias[(o, 0)]);
                let read = *dy + offset;
                let y = if self.nonlinear_decoder { phi.value(read, VARIANT) } else { read };
                let error = y - targets[o];
                let weight = judged.map_or(self.weight[o], |judged| self.weight[o] * judged[o]);
                squares += (weight * error * error).to_f64();
                *dy = self.gain * weight * error;
                if self.nonlinear_decoder {
                    *dy *= phi.derivative(read, VARIANT);
                }
            }
            loss += squares;
        }
        loss
    }

    /// Columns now .. now + count: from Wᵀ dp of the next step (in dh of this one, unless it is the last) to dL/dh, and dp in
    /// place of p; next: dL/dh of the next step.
    #[inline(always)]
    fn backward(
        &self,
        phi: Activation<T>,
        now: usize,
        dy: &Mat<T>,
        p: &mut Mat<T>,
        dh: &mut Mat<T>,
        next: &Mat<T>,
    ) {
        let count = self.batch.count();
        if now + count == p.ncols() {
            dh.fill(<T as Scalar>::ZERO);
        } else if self.leaky {
            for (dh, next) in zip(dh.as_mut().col_iter_mut(), next.col_iter()) {
                zip(slice_mut(dh), slice(next)).for_each(|(dh, &next)| *dh += self.keep * next);
            }
        }
        add_products(
            dh.as_mut(),
            self.readout,
            dy.subcols(now, count),
            p.as_mut().subcols_mut(now, count),
            #[inline(always)]
            |p, dh| *p = self.alpha * dh * phi.derivative(*p, VARIANT),
        );
    }
}

/// Writes a bias into every column, and says how the product that follows is to be added.
pub(super) fn offset<T: Real>(sums: &mut Mat<T>, bias: Option<&Mat<T>>) -> Accum {
    let Some(bias) = bias else { return Accum::Replace };
    for column in 0..sums.ncols() {
        sums.col_as_slice_mut(column).copy_from_slice(bias.col_as_slice(0));
    }
    Accum::Add
}

/// The sum of every row, in the order of columns.
pub(super) fn row_sums<T: Real>(rows: &Mat<T>) -> Mat<T> {
    let mut sums = Mat::zeros(rows.nrows(), 1);
    for column in rows.col_iter() {
        zip(sums.col_as_slice_mut(0), slice(column)).for_each(|(sum, &x)| *sum += x);
    }
    sums
}

/// h = phi(p).
pub(super) fn values<T: Real>(phi: Activation<T>, p: &[T], h: &mut [T]) {
    vectorised!(phi, phi => zip(&mut *h, p).for_each(
        #[inline(always)]
        |(h, &p)| *h = phi.value(p, VARIANT)
    ));
}

/// dp = alpha phi'(p) dh, in place of p.
pub(super) fn chain<T: Real>(phi: Activation<T>, alpha: T, dh: &[T], p: &mut [T]) {
    vectorised!(phi, phi => zip(&mut *p, dh).for_each(
        #[inline(always)]
        |(p, &dh)| *p = alpha * dh * phi.derivative(*p, VARIANT)
    ));
}
