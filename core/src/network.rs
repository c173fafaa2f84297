//! A network split in two: the [`View`] of its parameters, which a step cannot change, and the
//! [`State`], which is all that changes.

use crate::activation::Activation;
use crate::error::{Error, Expected, Field, between, exactly};
use crate::kernel::{read_out, rows};
use crate::linear::PANEL_ROWS;
use crate::scalar::{Arithmetic, Fused, MultiplyAdd, Scalar, Separate, Variant};
use crate::shape::{Form, Shape};

/// What a network computes besides its weights.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Settings<T> {
    /// Rate or current form.
    pub form: Form,
    /// How products are added.
    pub arithmetic: Arithmetic,
    /// Implementation of tanh and sigmoid.
    pub variant: Variant,
    /// phi.
    pub activation: Activation<T>,
    /// Leak alpha, in (0, 1].
    pub alpha: T,
    /// 1 - alpha, in [0, 1): stored, so that it is rounded once and the same everywhere. Exactly 0
    /// when alpha is 1.
    pub keep: T,
    /// Whether outputs are y = phi(C h + c) instead of C h + c; what a network carries is C h + c all the same.
    pub nonlinear_decoder: bool,
}

impl<T: Scalar> Settings<T> {
    /// Rate form without leak, separate arithmetic, rational tanh and sigmoid, linear outputs.
    #[must_use]
    pub const fn new(activation: Activation<T>) -> Self {
        Self {
            form: Form::Rate,
            arithmetic: Arithmetic::Separate,
            variant: Variant::Rational,
            activation,
            alpha: T::ONE,
            keep: T::ZERO,
            nonlinear_decoder: false,
        }
    }

    /// Whether phi is 0 for many units.
    #[inline(always)]
    pub(crate) fn sparse(&self) -> bool {
        matches!(self.activation, Activation::Relu | Activation::Clipped { .. })
    }

    /// Whether anything of the old state is kept.
    #[inline(always)]
    #[must_use]
    pub fn leaky(&self) -> bool {
        !self.keep.is_zero()
    }

    /// keep · old + alpha · new, in this order; `new` itself without leak.
    #[inline(always)]
    pub(crate) fn leak<A: MultiplyAdd>(&self, old: T, new: T) -> T {
        if self.leaky() { A::mac(self.keep * old, self.alpha, new) } else { new }
    }

    fn check(&self) -> Result<(), Error> {
        let refuse = |field| Err(Error::new(field, Expected::Finite, 0));
        let leak = T::ZERO < self.alpha && self.alpha <= T::ONE && T::ZERO <= self.keep && self.keep < T::ONE;
        if !leak || (self.alpha == T::ONE) == self.leaky() {
            return refuse(Field::Leak);
        }
        let parameters = match self.activation {
            Activation::Clipped { lo, hi } => lo.is_finite() && hi.is_finite() && lo <= hi,
            Activation::Sigmoid { slope, threshold } => slope.is_finite() && threshold.is_finite(),
            _ => true,
        };
        if parameters { Ok(()) } else { refuse(Field::ActivationParameters) }
    }
}

/// The parameters of a network, borrowed from flash, from checked bytes or from a
/// [`Network`](crate::Network): checked once, so that a step cannot fail.
#[derive(Clone, Copy, Debug)]
pub struct View<'a, T> {
    pub(crate) shape: Shape,
    pub(crate) settings: Settings<T>,
    pub(crate) layer: &'a [T],
    pub(crate) readout_bias: &'a [T],
    pub(crate) readout: &'a [T],
    pub(crate) input_scaling: &'a [[T; 2]],
    pub(crate) output_scaling: &'a [[T; 2]],
    pub(crate) initial: &'a [T],
}

/// All that a step changes: held inputs, outputs, carried words and scratch.
#[derive(Debug)]
pub struct State<'m, T> {
    pub(crate) input: &'m mut [T],
    pub(crate) y: &'m mut [T],
    pub(crate) output: &'m mut [T],
    pub(crate) carried: &'m mut [T],
    pub(crate) scratch: &'m mut [T],
    held: u32,
}

/// What a step has to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Status {
    /// Input channels of this step that were not finite, or not supplied, and kept their last good value.
    pub held: u32,
}

/// What a dense network works on in the midst of a step, before phi.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a, T> {
    /// Rates that W was applied to: h in rate form, phi(a) in current form (n).
    pub h: &'a [T],
    /// Inputs in network units (I).
    pub x: &'a [T],
    /// b + W h + B x in rate form, a' in current form (n).
    pub p: &'a [T],
}

impl<'a, T: Scalar> View<'a, T> {
    /// The view of packed parameters (see [`pack`](crate::pack::pack)).
    ///
    /// # Errors
    /// A size out of range, a section of the wrong length, a number that is not finite, a bias of
    /// −0 (it would make the bits depend on whether zero terms are skipped), a leak outside (0, 1].
    pub fn new(
        shape: Shape,
        settings: Settings<T>,
        [layer, readout, scaling, initial]: [&'a [T]; 4],
    ) -> Result<Self, Error> {
        check_shape(&shape)?;
        settings.check()?;
        for (field, section, words) in [
            (Field::Layer, layer, shape.layer_len()),
            (Field::Readout, readout, shape.readout_len()),
            (Field::Scaling, scaling, shape.scaling_len()),
            (Field::Initial, initial, shape.initial_len()),
        ] {
            exactly(field, words, section.len())?;
            if let Some(index) = section.iter().position(|x| !x.is_finite()) {
                return Err(Error::new(field, Expected::Finite, index as u64));
            }
        }
        let view = Self::lend(shape, settings, [layer, readout, scaling, initial]);
        view.check_biases()?;
        Ok(view)
    }

    /// That no b and no c is −0; the number of the first that is.
    pub(crate) fn check_biases(&self) -> Result<(), Error> {
        let b = (0..self.shape.neurons).position(|i| self.bias(i).is_some_and(T::is_negative_zero));
        let c = self.readout_bias.iter().position(|c| c.is_negative_zero());
        for (field, found) in [(Field::Layer, b), (Field::Readout, c)] {
            if let Some(index) = found {
                return Err(Error::new(field, Expected::Finite, index as u64));
            }
        }
        Ok(())
    }

    /// The view of one slice that holds layer, readout, scaling and initial state in this order.
    ///
    /// # Errors
    /// As [`View::new`].
    pub fn from_words(shape: Shape, settings: Settings<T>, words: &'a [T]) -> Result<Self, Error> {
        check_shape(&shape)?;
        exactly(Field::Layer, shape.parameter_len(), words.len())?;
        Self::new(shape, settings, split(&shape, words))
    }

    /// As [`View::from_words`], but the numbers may be any: a network whose memory was damaged after they were checked.
    ///
    /// # Errors
    /// A size out of range, words of the wrong number, a leak outside (0, 1].
    pub fn damaged(shape: Shape, settings: Settings<T>, words: &'a [T]) -> Result<Self, Error> {
        check_shape(&shape)?;
        settings.check()?;
        exactly(Field::Layer, shape.parameter_len(), words.len())?;
        Ok(Self::lend(shape, settings, split(&shape, words)))
    }

    /// As [`View::new`] for sections whose lengths are known to be right.
    pub(crate) fn lend(
        shape: Shape,
        settings: Settings<T>,
        [layer, readout, scaling, initial]: [&'a [T]; 4],
    ) -> Self {
        let (readout_bias, readout) = readout.split_at_checked(shape.outputs).unwrap_or_default();
        let (input_scaling, output_scaling) =
            scaling.as_chunks().0.split_at_checked(shape.inputs).unwrap_or_default();
        Self { shape, settings, layer, readout_bias, readout, input_scaling, output_scaling, initial }
    }

    /// Sizes.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// Form, arithmetic, activation and leak.
    #[must_use]
    pub const fn settings(&self) -> Settings<T> {
        self.settings
    }

    /// Layer, c, the columns of C, scaling of inputs and of outputs, initial state: as packed.
    pub(crate) fn sections(&self) -> [&'a [T]; 6] {
        [
            self.layer,
            self.readout_bias,
            self.readout,
            self.input_scaling.as_flattened(),
            self.output_scaling.as_flattened(),
            self.initial,
        ]
    }

    /// A state in `memory`, reset. Of the memory, the first [`Shape::state_len`] words are used.
    ///
    /// # Errors
    /// Memory too short.
    pub fn state<'m>(&self, memory: &'m mut [T]) -> Result<State<'m, T>, Error> {
        let Shape { inputs, outputs, .. } = self.shape;
        let carried = self.shape.carried_len(self.settings.form, self.settings.leaky());
        let (need, found) = (self.shape.state_len(), memory.len());
        let too_short = Error::new(Field::State, Expected::AtLeast(need as u64), found as u64);
        if found < need {
            return Err(too_short);
        }
        let (input, rest) = cut(memory, inputs, too_short)?;
        let (y, rest) = cut(rest, outputs, too_short)?;
        let (output, rest) = cut(rest, outputs, too_short)?;
        let (carried, rest) = cut(rest, carried, too_short)?;
        let (scratch, _) = cut(rest, self.shape.scratch_len(), too_short)?;
        let mut state = State { input, y, output, carried, scratch, held: 0 };
        self.reset(&mut state);
        Ok(state)
    }

    /// Sets the carried words to the initial state, inputs and outputs to 0, the count of held inputs to 0.
    pub fn reset(&self, state: &mut State<'_, T>) {
        state.held = 0;
        state.input.fill(T::ZERO);
        state.y.fill(T::ZERO);
        state.output.fill(T::ZERO);
        state.scratch.fill(T::ZERO);
        for (word, &initial) in state.carried.iter_mut().zip(self.initial) {
            *word = initial;
        }
        if self.settings.form == Form::Current {
            match self.settings.arithmetic {
                Arithmetic::Separate => self.rates::<Separate>(state),
                Arithmetic::Fused => self.rates::<Fused>(state),
            }
        }
    }

    /// One time step: reads the raw sample `x` (I physical values), updates `state`.
    ///
    /// x_k = (raw_k - center_k) · gain_k; the equations of [`Form`]; output_o = y_o · gain_o + center_o.
    ///
    /// A channel that is not finite after scaling, or not supplied, holds its last good value (0
    /// after a reset) and is counted. `state` must come from [`View::state`] of this view; with a
    /// state of another shape the result is meaningless, but nothing panics.
    pub fn step(&self, state: &mut State<'_, T>, x: &[T]) -> Status {
        let status = self.take_input(state, x);
        match (self.settings.arithmetic, self.shape.is_dense()) {
            (Arithmetic::Separate, true) => self.dense_step::<Separate>(state, |_| ()),
            (Arithmetic::Separate, false) => self.latent_step::<Separate>(state),
            (Arithmetic::Fused, true) => self.dense_step::<Fused>(state, |_| ()),
            (Arithmetic::Fused, false) => self.latent_step::<Fused>(state),
        }
        status
    }

    /// As [`View::step`], and `look` sees a dense network in the midst of it, before phi: see [`Seen`]. A network of
    /// low rank is stepped and not looked at.
    pub fn step_seen(&self, state: &mut State<'_, T>, x: &[T], look: impl FnMut(Seen<'_, T>)) -> Status {
        if !self.shape.is_dense() {
            return self.step(state, x);
        }
        let status = self.take_input(state, x);
        match self.settings.arithmetic {
            Arithmetic::Separate => self.dense_step::<Separate>(state, look),
            Arithmetic::Fused => self.dense_step::<Fused>(state, look),
        }
        status
    }

    pub(crate) fn take_input(&self, state: &mut State<'_, T>, x: &[T]) -> Status {
        let mut held = 0;
        let mut raw = x.iter();
        for (x, &[center, gain]) in state.input.iter_mut().zip(self.input_scaling) {
            let fresh = raw.next().map(|&raw| (raw - center) * gain);
            match fresh.filter(|x| x.is_finite()) {
                Some(good) => *x = good,
                None => held += 1,
            }
        }
        state.held = state.held.saturating_add(held);
        Status { held }
    }

    // Not inlined: what one kind of network keeps in registers is none of another's business.
    #[inline(never)]
    fn dense_step<A: MultiplyAdd>(&self, state: &mut State<'_, T>, mut look: impl FnMut(Seen<'_, T>)) {
        match self.settings.form {
            Form::Rate => self.dense_rate::<A>(state, look),
            Form::Current => {
                self.dense_current::<A>(state);
                look(Seen { h: state.scratch, x: state.input, p: state.carried });
                self.rates::<A>(state);
            }
        }
        state.y.copy_from_slice_checked(self.readout_bias);
        let phi: &[T] = if self.settings.form == Form::Rate { state.carried } else { state.scratch };
        read_out::<T, A>(self.readout, phi, state.y);
        self.give_output(state.output, state.y);
    }

    /// Outputs in physical units from y = C h + c.
    #[inline(always)]
    pub(crate) fn give_output(&self, output: &mut [T], y: &[T]) {
        if self.settings.nonlinear_decoder {
            return self.give_decoded(output, y);
        }
        for ((output, &y), &[center, gain]) in output.iter_mut().zip(y).zip(self.output_scaling) {
            *output = y * gain + center;
        }
    }

    /// Outputs in physical units of phi(y).
    #[inline(never)]
    fn give_decoded(&self, output: &mut [T], y: &[T]) {
        let Settings { activation, variant, .. } = self.settings;
        for ((output, &y), &[center, gain]) in output.iter_mut().zip(y).zip(self.output_scaling) {
            *output = activation.value(y, variant) * gain + center;
        }
    }

    /// One dense product alone: p = b + W h + B x, without state.
    ///
    /// h and p have n words, x has I.
    ///
    /// # Errors
    /// A length that does not fit; a network of low rank, which has no such product.
    pub fn pre_activations(&self, h: &[T], x: &[T], p: &mut [T]) -> Result<(), Error> {
        let Shape { neurons, rank, inputs, .. } = self.shape;
        exactly(Field::Rank, 0, rank)?;
        exactly(Field::Neurons, neurons, h.len())?;
        exactly(Field::Inputs, inputs, x.len())?;
        exactly(Field::Buffer, neurons, p.len())?;
        match self.settings.arithmetic {
            Arithmetic::Separate => rows::<T, Separate>(self.layer, h, x, p, false),
            Arithmetic::Fused => rows::<T, Fused>(self.layer, h, x, p, false),
        }
        Ok(())
    }

    /// h' = keep h + alpha phi(b + W h + B x).
    #[inline(always)]
    fn dense_rate<A: MultiplyAdd>(&self, state: &mut State<'_, T>, mut look: impl FnMut(Seen<'_, T>)) {
        let sparse = self.settings.sparse() && !self.settings.leaky();
        rows::<T, A>(self.layer, state.carried, state.input, state.scratch, sparse);
        look(Seen { h: state.carried, x: state.input, p: state.scratch });
        self.settings.activation.apply(state.scratch, self.settings.variant);
        if self.settings.leaky() {
            self.leak_all::<A>(state.carried, state.scratch);
        } else {
            core::mem::swap(&mut state.carried, &mut state.scratch);
        }
    }

    /// a' = keep a + alpha (b + W phi(a) + B x); scratch holds phi(a).
    #[inline(always)]
    fn dense_current<A: MultiplyAdd>(&self, state: &mut State<'_, T>) {
        // Some panels at a time: their pre-activations are all that there is no other place for.
        const ROWS: usize = 4 * PANEL_ROWS;
        let panels = self.layer.chunks((ROWS * self.shape.columns()).max(1));
        for (panels, a) in panels.zip(state.carried.chunks_mut(ROWS)) {
            let mut p = [T::ZERO; ROWS];
            let p_a = p.get_mut(..a.len()).unwrap_or_default();
            rows::<T, A>(panels, state.scratch, state.input, p_a, self.settings.sparse());
            self.leak_all::<A>(a, &p);
        }
    }

    /// Current form: fills the scratch with what the next step needs of phi(a).
    #[inline(never)]
    fn rates<A: MultiplyAdd>(&self, state: &mut State<'_, T>) {
        if self.shape.is_dense() {
            let Settings { activation, variant, .. } = self.settings;
            state.scratch.copy_from_slice_checked(state.carried);
            activation.apply(state.scratch, variant);
        } else {
            self.latent_rates::<A>(state);
        }
    }
}

impl<T: Copy> State<'_, T> {
    /// The last outputs, in physical units (O).
    #[must_use]
    pub fn output(&self) -> &[T] {
        self.output
    }

    /// The carried words (see [`Shape::carried_len`]).
    #[must_use]
    pub fn carried(&self) -> &[T] {
        self.carried
    }

    /// The carried words, to set a state by hand.
    #[must_use]
    pub fn carried_mut(&mut self) -> &mut [T] {
        self.carried
    }

    /// The inputs of the last step in network units (I): the last good ones.
    #[must_use]
    pub fn input(&self) -> &[T] {
        self.input
    }

    /// Input samples held since the reset; stays at the largest u32.
    #[must_use]
    pub const fn held(&self) -> u32 {
        self.held
    }
}

pub(crate) fn check_shape(shape: &Shape) -> Result<(), Error> {
    between(Field::Neurons, 1, Shape::MOST, shape.neurons)?;
    between(Field::Rank, 0, Shape::MOST, shape.rank)?;
    between(Field::Inputs, 0, Shape::MOST, shape.inputs)?;
    between(Field::Outputs, 1, Shape::MOST, shape.outputs)
}

/// The first `at` words of a state's memory and the rest.
pub(crate) fn cut<T>(memory: &mut [T], at: usize, too_short: Error) -> Result<(&mut [T], &mut [T]), Error> {
    memory.split_at_mut_checked(at).ok_or(too_short)
}

/// Layer, readout, scaling and initial state of one slice.
pub(crate) fn split<'a, T>(shape: &Shape, words: &'a [T]) -> [&'a [T]; 4] {
    let cut = |words: &'a [T], at| words.split_at_checked(at).unwrap_or((words, &[]));
    let (layer, rest) = cut(words, shape.layer_len());
    let (readout, rest) = cut(rest, shape.readout_len());
    let (scaling, initial) = cut(rest, shape.scaling_len());
    [layer, readout, scaling, initial]
}

/// `copy_from_slice` that copies as much as both hold.
pub(crate) trait CopyChecked<T> {
    fn copy_from_slice_checked(&mut self, from: &[T]);
}

impl<T: Copy> CopyChecked<T> for [T] {
    #[inline(always)]
    fn copy_from_slice_checked(&mut self, from: &[T]) {
        for (to, &from) in self.iter_mut().zip(from) {
            *to = from;
        }
    }
}
