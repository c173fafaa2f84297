//! What the rules of dense networks share: the forward step, the error at the neurons, the readout's gradient.
//!
//! With â = (1, h, x) of the step before and D = alpha phi'(p), a change of the weights \[b | W | B\] of neuron i
//! along â_j changes h'_i by D_i â_j; J = keep I + diag(D) W carries a change of h on; q = Cᵀ dL/dy is the error
//! at h'.

use core::ops::Range;

use crate::activation::Activation;
use crate::error::Error;
use crate::kernel::{read_out, rows};
use crate::linear::{PANEL_ROWS, panels};
use crate::network::{CopyChecked, Settings, State, Status, View};
use crate::scalar::{Arithmetic, Fused, MultiplyAdd, Scalar, Separate};
use crate::shape::Shape;

use super::memory::{Memory, dense, dot, squares};
use super::optimiser::Optimiser;
use super::params::{Groups, Params};

/// Rows of all panels: n rounded up to whole panels.
pub(crate) const fn padded(shape: &Shape) -> usize {
    panels(shape.neurons) * PANEL_ROWS
}

/// Columns of a panel, rounded up to what [`squares`] takes at once.
pub(crate) const fn whole(shape: &Shape) -> usize {
    shape.columns().next_multiple_of(4)
}

/// Error, slopes and inputs of one step of a dense network. Rows beyond n stay 0.
#[derive(Debug)]
pub(crate) struct Cell<'m, T> {
    pub groups: Groups,
    /// dL/dy.
    pub error: &'m mut [T],
    /// D.
    pub slope: &'m mut [T],
    /// q, or D q.
    pub q: &'m mut [T],
    /// (1, h, x) in the order of a panel's columns, and zeros.
    pub presynaptic: &'m mut [T],
    /// ‖(1, h, x)‖².
    pub drive: T,
}

impl<'m, T: Scalar> Cell<'m, T> {
    /// Words of memory.
    pub(crate) const fn memory_len(shape: &Shape) -> usize {
        shape.outputs + 2 * padded(shape) + whole(shape)
    }

    /// A cell in memory of the length above, and the rest of `words`.
    pub(crate) fn new(
        params: &Params<'_, T>,
        groups: Groups,
        memory: &'m mut [T],
        words: usize,
    ) -> Result<(Self, Memory<'m, T>), Error> {
        dense(&params.view())?;
        let shape = params.shape();
        let mut memory = Memory::new(memory, words)?;
        let error = memory.cut(shape.outputs);
        let [slope, q] = [memory.cut(padded(&shape)), memory.cut(padded(&shape))];
        let presynaptic = memory.cut(whole(&shape));
        Ok((Self { groups, error, slope, q, presynaptic, drive: T::ZERO }, memory))
    }

    /// The forward step, with the bits of [`View::step`].
    pub(crate) fn forward(&mut self, view: &View<'_, T>, state: &mut State<'_, T>, x: &[T]) -> Status {
        let status = view.take_input(state, x);
        let neurons = view.shape.neurons;
        if let Some((one, rest)) = self.presynaptic.split_first_mut() {
            *one = T::ONE;
            rest.copy_from_slice_checked(state.carried);
            rest.get_mut(neurons..).unwrap_or_default().copy_from_slice_checked(state.input);
        }
        self.drive = squares(self.presynaptic);
        match view.settings.arithmetic {
            Arithmetic::Separate => dense_step::<T, Separate>(view, state, self.slope),
            Arithmetic::Fused => dense_step::<T, Fused>(view, state, self.slope),
        }
        status
    }

    /// q = Cᵀ dL/dy.
    pub(crate) fn back(&mut self, view: &View<'_, T>) {
        self.weigh(view, |q, _| q);
    }

    /// D q in the place of q; its squared norm.
    pub(crate) fn back_through(&mut self, view: &View<'_, T>) -> T {
        let mut sum = T::ZERO;
        self.weigh(view, |q, slope| {
            let f = q * slope;
            sum = sum + f * f;
            f
        });
        sum
    }

    /// Fills q with what `of` makes of each neuron's error and slope.
    #[inline(always)]
    fn weigh(&mut self, view: &View<'_, T>, mut of: impl FnMut(T, T) -> T) {
        let rows = self.q.iter_mut().zip(self.slope.iter());
        match *self.error {
            [a] => {
                let columns = view.readout.as_chunks().0;
                rows.zip(columns).for_each(|((q, &slope), &[c])| *q = of(c * a, slope));
            }
            [a, b] => {
                let columns = view.readout.as_chunks().0;
                rows.zip(columns).for_each(|((q, &slope), &[c, d])| *q = of(c * a + d * b, slope));
            }
            _ => {
                let columns = view.readout.chunks_exact(self.error.len().max(1));
                rows.zip(columns).for_each(|((q, &slope), column)| *q = of(dot(column, self.error), slope));
            }
        }
    }

    /// An upper bound of the squared norm of the readout's gradient: ‖dL/dy‖² (‖h‖² + 1).
    pub(crate) fn readout_bound(&self, state: &State<'_, T>) -> T {
        if self.groups.readout || self.groups.output_bias {
            squares(self.error) * (squares(state.carried) + T::ONE)
        } else {
            T::ZERO
        }
    }

    /// Hands out the readout's gradient.
    pub(crate) fn visit_readout<O: Optimiser<T>>(
        &self,
        params: &mut Params<'_, T>,
        state: &State<'_, T>,
        optimiser: &mut O,
        scale: T,
    ) {
        readout(params, self.groups, (self.error, scale), state.carried, optimiser);
    }

    /// The columns of a panel that learn, in up to three runs.
    pub(crate) fn runs(&self, shape: &Shape) -> [Range<usize>; 3] {
        let (one, n, all) = (1, 1 + shape.neurons, shape.columns());
        let Groups { bias, recurrent, input, .. } = self.groups;
        match (bias, recurrent, input) {
            (true, true, true) => [0..all, 0..0, 0..0],
            (true, true, false) => [0..n, 0..0, 0..0],
            (false, true, true) => [one..all, 0..0, 0..0],
            _ => [0..usize::from(bias), one..if recurrent { n } else { one }, n..if input { all } else { n }],
        }
    }

    /// Hands out the gradient scale · f_i a_j of [b | W | B], f by rows and a by columns.
    pub(crate) fn visit_outer<O: Optimiser<T>>(
        &self,
        params: &mut Params<'_, T>,
        (f, a): (&[T], &[T]),
        optimiser: &mut O,
        scale: T,
    ) {
        let shape = params.shape();
        let (runs, columns) = (self.runs(&shape), shape.columns());
        let mut done = 0;
        if O::SUBTRACTS {
            for run in &runs {
                // The same panels of every run that is not empty.
                done = T::rank_one(params.layer_mut(), columns, run, (f, a), scale).max(done);
            }
        }
        if done < panels(shape.neurons) {
            outer_panels(params.layer_mut(), (columns, &runs), (f, a), optimiser, (scale, done));
        }
    }
}

/// The gradient scale · f_i a_j of the columns `runs` of panels of `columns` columns, but for the first `done`.
#[inline(never)]
fn outer_panels<T: Scalar, O: Optimiser<T>>(
    layer: &mut [T],
    (columns, runs): (usize, &[Range<usize>]),
    (f, a): (&[T], &[T]),
    optimiser: &mut O,
    (scale, done): (T, usize),
) {
    let panels = layer.chunks_exact_mut((PANEL_ROWS * columns).max(1));
    for ((panel, f), number) in panels.zip(f.as_chunks::<PANEL_ROWS>().0).zip(0..).skip(done) {
        let f = f.map(|f| f * scale);
        for run in runs {
            let first = number * columns + run.start;
            let a = a.get(run.clone()).unwrap_or_default();
            let columns = panel.as_chunks_mut::<PANEL_ROWS>().0.get_mut(run.clone()).unwrap_or_default();
            outer_panel(columns, f, a, optimiser, first);
        }
    }
}

/// The gradient f_i a_j of consecutive columns of a panel, the first of which is number `first` of all.
#[inline(never)]
fn outer_panel<T: Scalar, O: Optimiser<T>>(
    columns: &mut [[T; PANEL_ROWS]],
    f: [T; PANEL_ROWS],
    a: &[T],
    optimiser: &mut O,
    first: usize,
) {
    for ((column, &a), at) in columns.iter_mut().zip(a).zip((PANEL_ROWS * first..).step_by(PANEL_ROWS)) {
        if O::SPARSE && a.is_zero() {
            continue;
        }
        let mut new = *column;
        for ((word, f), at) in new.iter_mut().zip(f).zip(at..) {
            *word = optimiser.word(at, *word, f * a);
        }
        *column = new;
    }
}

/// Hands out the gradient of c and C: scale · dL/dy (1, h). Public to the readout rules.
#[inline(always)]
pub(crate) fn readout<T: Scalar, O: Optimiser<T>>(
    params: &mut Params<'_, T>,
    groups: Groups,
    (error, scale): (&[T], T),
    h: &[T],
    optimiser: &mut O,
) {
    let (c, columns, first) = params.readout_mut();
    if groups.output_bias {
        for ((c, &error), at) in c.iter_mut().zip(error).zip(first..) {
            *c = optimiser.word(at, *c, scale * error);
        }
    }
    if groups.readout {
        let first = first + error.len();
        match *error {
            [a] => outer(columns, [scale * a], h, optimiser, first),
            [a, b] => outer(columns, [scale * a, scale * b], h, optimiser, first),
            [a, b, c] => outer(columns, [scale * a, scale * b, scale * c], h, optimiser, first),
            _ => {
                let columns = columns.chunks_exact_mut(error.len().max(1));
                for ((column, &h), at) in columns.zip(h).zip((first..).step_by(error.len().max(1))) {
                    for ((word, &error), at) in column.iter_mut().zip(error).zip(at..) {
                        *word = optimiser.word(at, *word, scale * error * h);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn outer<T: Scalar, O: Optimiser<T>, const N: usize>(
    columns: &mut [T],
    error: [T; N],
    h: &[T],
    optimiser: &mut O,
    first: usize,
) {
    for ((column, &h), at) in columns.as_chunks_mut::<N>().0.iter_mut().zip(h).zip(0..) {
        if O::SPARSE && h.is_zero() {
            continue;
        }
        for ((word, error), o) in column.iter_mut().zip(error).zip(0..) {
            *word = optimiser.word(first + at * N + o, *word, error * h);
        }
    }
}

/// The step of a dense network of rate form. The scratch holds the old h afterwards, `slope` D.
fn dense_step<T: Scalar, A: MultiplyAdd>(view: &View<'_, T>, state: &mut State<'_, T>, slope: &mut [T]) {
    let settings = view.settings;
    let sparse = settings.sparse() && !settings.leaky();
    rows::<T, A>(view.layer, state.carried, state.input, state.scratch, sparse);
    activate(&settings, state.scratch, slope);
    if settings.leaky() {
        for (h, phi) in state.carried.iter_mut().zip(state.scratch.iter_mut()) {
            (*h, *phi) = (settings.leak::<A>(*h, *phi), *h);
        }
        for slope in slope {
            *slope = settings.alpha * *slope;
        }
    } else {
        core::mem::swap(&mut state.carried, &mut state.scratch);
    }
    state.y.copy_from_slice_checked(view.readout_bias);
    read_out::<T, A>(view.readout, state.carried, state.y);
    view.give_output(state.output, state.y);
}

/// From pre-activations to phi in place, and phi'.
pub(crate) fn activate<T: Scalar>(settings: &Settings<T>, p: &mut [T], slope: &mut [T]) {
    let Settings { activation, variant, .. } = *settings;
    match activation {
        Activation::Relu => {
            for (p, slope) in p.iter_mut().zip(slope) {
                (*p, *slope) = relu(*p);
            }
        }
        Activation::Tanh => {
            activation.apply(p, variant);
            p.iter().zip(slope).for_each(|(&phi, slope)| *slope = T::ONE - phi * phi);
        }
        _ => {
            for (p, slope) in p.iter_mut().zip(slope) {
                (*p, *slope) = phi(settings, *p);
            }
        }
    }
}

/// phi(p) and phi'(p) of the ReLU; −0, which only a fused sum can be, counts as inactive.
#[inline(always)]
pub(crate) fn relu<T: Scalar>(p: T) -> (T, T) {
    (p.relu(), if p.active() { T::ONE } else { T::ZERO })
}

/// phi(p) and phi'(p), of smooth functions from the value.
#[inline(always)]
pub(crate) fn phi<T: Scalar>(settings: &Settings<T>, p: T) -> (T, T) {
    let Settings { activation, variant, .. } = *settings;
    let value = activation.value(p, variant);
    let slope = match activation {
        Activation::Tanh => T::ONE - value * value,
        Activation::Sigmoid { slope, .. } => slope * value * (T::ONE - value),
        Activation::Linear | Activation::Relu | Activation::Clipped { .. } => {
            activation.derivative(p, variant)
        }
    };
    (value, slope)
}

/// The largest phi', times alpha.
pub(crate) fn steepest<T: Scalar>(settings: &Settings<T>) -> T {
    let most = match settings.activation {
        Activation::Sigmoid { slope, .. } => slope * T::from_f64(0.25),
        _ => T::ONE,
    };
    settings.alpha * most.abs()
}

/// Jᵀ v: keep v_j + Σ_i W_ij D_i v_i, with `f` = D v by rows.
pub(crate) fn transposed<T: Scalar>(view: &View<'_, T>, f: &[T], v: &mut [T]) {
    let shape = view.shape;
    for v in v.iter_mut() {
        *v = view.settings.keep * *v;
    }
    let panels = view.layer.chunks_exact((PANEL_ROWS * shape.columns()).max(1));
    for (panel, f) in panels.zip(f.as_chunks::<PANEL_ROWS>().0) {
        let columns = panel.as_chunks::<PANEL_ROWS>().0.get(1..).unwrap_or_default();
        for (column, v) in columns.iter().zip(v.iter_mut().take(shape.neurons)) {
            *v = column.iter().zip(f).fold(*v, |v, (&w, &f)| v + w * f);
        }
    }
}
