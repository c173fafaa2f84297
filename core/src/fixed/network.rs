//! A network of fixed point: parameters, state, step.

use core::marker::PhantomData;

use super::dense::{Accumulator, Product, ROWS, Rates, Vector, panel_len};
use super::{Weight, leak, mul, round_shift};
use crate::activation::Activation;
use crate::error::{Error, Expected, Field, exactly};
use crate::network::{Status, check_shape, cut};
use crate::shape::{Form, Shape};

/// What a network of fixed point computes besides its weights.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Settings {
    /// Rate or current form.
    pub form: Form,
    /// What a dense network multiplies its weights with; [`Rates::I16`] at low rank, which has none.
    pub rates: Rates,
    /// A rate is phi / 2^rate_shift, 0 to 31: less than the 16 or 24 that use all of phi, where
    /// pre-activations need more room than rates. Ignored at low rank.
    pub rate_shift: u8,
    /// Where dense products are summed; [`Accumulator::I32`] at low rank.
    pub accumulator: Accumulator,
    /// phi; the units of its parameters are those of the pre-activation, and of a sigmoid's slope, half of
    /// the true one in units of 2^(exponent - 44).
    pub activation: Activation<i32>,
    /// A pre-activation of 1 is 2^exponent, 0 to 28 (tanh and sigmoid need it).
    pub exponent: u8,
    /// alpha in units of 2^-31, in (0, 2^31].
    pub alpha: u32,
}

/// alpha = 1.
pub(super) const ONE: u32 = 1 << 31;

impl Settings {
    /// Rate form without leak, rates of 16 bits, sums of 32 bits, exponent 28.
    #[must_use]
    pub const fn new(activation: Activation<i32>) -> Self {
        Self {
            form: Form::Rate,
            rates: Rates::I16,
            rate_shift: 16,
            accumulator: Accumulator::I32,
            activation,
            exponent: 28,
            alpha: ONE,
        }
    }

    /// Whether anything of the old state is kept.
    #[must_use]
    pub const fn leaky(&self) -> bool {
        self.alpha != ONE
    }

    /// Words of memory that the [`State`] of a network of these sizes needs.
    #[must_use]
    pub const fn state_len(&self, shape: &Shape) -> usize {
        let carried = shape.carried_len(self.form, self.leaky());
        shape.inputs + shape.outputs + carried + Self::scratch_len(shape)
    }

    /// Rates and inputs when dense, else the R + O sums before and after their correction.
    const fn scratch_len(shape: &Shape) -> usize {
        let Shape { neurons, rank, inputs, outputs } = *shape;
        if shape.is_dense() { Vector::words(neurons + inputs) } else { 2 * (rank + outputs) }
    }

    #[inline(always)]
    pub(super) fn leak(&self, old: i32, new: i32) -> i32 {
        leak(ONE.wrapping_sub(self.alpha), self.alpha, old, new)
    }

    #[inline(always)]
    pub(super) fn activate(&self, p: i32) -> i32 {
        self.activation.fixed(p, self.exponent.into())
    }

    fn check<W: Weight>(&self, shape: &Shape) -> Result<(), Error> {
        let refuse = |field, found: u64| Err(Error::new(field, Expected::Finite, found));
        if self.alpha == 0 || self.alpha > ONE {
            return refuse(Field::Leak, self.alpha.into());
        }
        let ordered = !matches!(self.activation, Activation::Clipped { lo, hi } if lo > hi);
        if self.exponent > 28 || !ordered {
            return refuse(Field::ActivationParameters, self.exponent.into());
        }
        let fits = match self.accumulator {
            Accumulator::I32 => true,
            Accumulator::I64 { shift } => shift < 32 && shape.is_dense(),
        };
        if self.rate_shift > 31 {
            return refuse(Field::Arithmetic, self.rate_shift.into());
        }
        let narrow = self.rates == Rates::I16 || (W::IN_A_WORD == 4 && shape.is_dense());
        if fits && narrow { Ok(()) } else { refuse(Field::Arithmetic, self.rates as u64) }
    }
}

/// Largest shift of a product of 64 bits.
const MOST_SHIFT: i32 = 62;

/// Words of an input's scaling: center, multiplier, shift, value of one unit of x (the bits of an f32).
pub(super) const INPUT_SCALING: usize = 4;

/// Words of the sections of a model: layer, readout, scaling, initial state.
#[must_use]
pub const fn section_lens<W: Weight>(shape: &Shape) -> [usize; 4] {
    let Shape { neurons, rank, inputs, outputs } = *shape;
    let sums = rank + outputs;
    let (layer, readout) = if shape.is_dense() {
        (
            neurons.div_ceil(ROWS) * panel_len::<W>(neurons + inputs),
            outputs.div_ceil(ROWS) * panel_len::<W>(neurons),
        )
    } else {
        (neurons * record_len::<W>(shape), sums * (sums + 2))
    };
    [layer, readout, INPUT_SCALING * inputs + outputs, shape.initial_len()]
}

/// Words of a neuron's record in a low-rank layer: r_i, b_i, then U_i, B_i, V_i, C_i, padded.
pub(super) const fn record_len<W: Weight>(shape: &Shape) -> usize {
    2 + (2 * shape.rank + shape.inputs + shape.outputs).div_ceil(W::IN_A_WORD)
}

/// The parameters of a network of fixed point, borrowed and checked once, so that a step cannot fail.
#[derive(Clone, Copy, Debug)]
pub struct View<'a, W> {
    pub(super) shape: Shape,
    pub(super) settings: Settings,
    pub(super) layer: &'a [i32],
    pub(super) readout: &'a [i32],
    scaling: &'a [i32],
    initial: &'a [i32],
    weights: PhantomData<W>,
}

/// All that a step changes.
#[derive(Debug)]
pub struct State<'m> {
    pub(super) input: &'m mut [i32],
    pub(super) output: &'m mut [i32],
    pub(super) carried: &'m mut [i32],
    pub(super) scratch: &'m mut [i32],
    held: u32,
}

impl<'a, W: Weight> View<'a, W> {
    /// The view of packed sections (see [`pack`](super::pack)).
    ///
    /// # Errors
    /// A size out of range, a section of the wrong length, a setting out of its range, a shift of more
    /// than 62.
    pub fn new(
        shape: Shape,
        settings: Settings,
        [layer, readout, scaling, initial]: [&'a [i32]; 4],
    ) -> Result<Self, Error> {
        check_shape(&shape)?;
        settings.check::<W>(&shape)?;
        let [layer_len, readout_len, scaling_len, initial_len] = section_lens::<W>(&shape);
        exactly(Field::Layer, layer_len, layer.len())?;
        exactly(Field::Readout, readout_len, readout.len())?;
        exactly(Field::Scaling, scaling_len, scaling.len())?;
        exactly(Field::Initial, initial_len, initial.len())?;
        let view = Self { shape, settings, layer, readout, scaling, initial, weights: PhantomData };
        let too_far = |shift: &i32| !(0..=MOST_SHIFT).contains(shift);
        let refuse = |field, index| Err(Error::new(field, Expected::Finite, index as u64));
        if let Some(index) = view.input_scaling().iter().position(|[_, _, shift, _]| too_far(shift)) {
            return refuse(Field::Scaling, index);
        }
        let sums = shape.rank + shape.outputs;
        let shifts = readout.iter().skip(sums).take(if shape.is_dense() { 0 } else { sums });
        if let Some(index) = shifts.enumerate().find_map(|(index, shift)| too_far(shift).then_some(index)) {
            return refuse(Field::Readout, index);
        }
        Ok(view)
    }

    /// Sizes.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// Form, activation and leak.
    #[must_use]
    pub const fn settings(&self) -> Settings {
        self.settings
    }

    /// Layer, readout, scaling and initial state, as packed.
    #[must_use]
    pub const fn sections(&self) -> [&'a [i32]; 4] {
        [self.layer, self.readout, self.scaling, self.initial]
    }

    /// (center, multiplier, shift, value of one unit as the bits of an f32) of every input.
    #[must_use]
    pub fn input_scaling(&self) -> &'a [[i32; INPUT_SCALING]] {
        let (inputs, _) =
            self.scaling.split_at_checked(INPUT_SCALING * self.shape.inputs).unwrap_or_default();
        inputs.as_chunks().0
    }

    /// The physical value of one unit of every output.
    pub fn output_units(&self) -> impl Iterator<Item = f32> + 'a {
        self.scaling.iter().skip(INPUT_SCALING * self.shape.inputs).map(|&bits| f32::from_bits(bits as u32))
    }

    /// Words of memory a [`State`] needs.
    #[must_use]
    pub const fn state_len(&self) -> usize {
        self.settings.state_len(&self.shape)
    }

    /// Words that a step carries to the next one: see [`Shape::carried_len`].
    #[must_use]
    pub const fn carried_len(&self) -> usize {
        self.shape.carried_len(self.settings.form, self.settings.leaky())
    }

    /// A state in `memory`, reset. Of the memory, the first [`View::state_len`] words are used.
    ///
    /// # Errors
    /// Memory too short.
    pub fn state<'m>(&self, memory: &'m mut [i32]) -> Result<State<'m>, Error> {
        let need = self.state_len();
        let too_short = Error::new(Field::State, Expected::AtLeast(need as u64), memory.len() as u64);
        let (input, rest) = cut(memory, self.shape.inputs, too_short)?;
        let (output, rest) = cut(rest, self.shape.outputs, too_short)?;
        let (carried, rest) = cut(rest, self.carried_len(), too_short)?;
        let (scratch, _) = cut(rest, Settings::scratch_len(&self.shape), too_short)?;
        let mut state = State { input, output, carried, scratch, held: 0 };
        self.reset(&mut state);
        Ok(state)
    }

    /// Sets the carried words to the initial state, inputs and outputs to 0, the count of held inputs to 0.
    pub fn reset(&self, state: &mut State<'_>) {
        state.held = 0;
        state.input.fill(0);
        state.output.fill(0);
        state.scratch.fill(0);
        for (word, &initial) in state.carried.iter_mut().zip(self.initial) {
            *word = initial;
        }
        if self.shape.is_dense() {
            self.fill_rates(state);
        } else if self.settings.form == Form::Current {
            self.latent_sums(state);
        }
    }

    /// One time step: reads the raw sample `x` (I integers), updates `state`.
    ///
    /// x_k = (raw_k - center_k) m_k / 2^shift_k; the equations of the [module](super).
    ///
    /// A channel that is not supplied holds its last value and is counted. `state` must come from
    /// [`View::state`] of this view; with a state of another shape the result is meaningless, but nothing
    /// panics.
    pub fn step(&self, state: &mut State<'_>, x: &[i32]) -> Status {
        let mut held = 0;
        let mut raw = x.iter();
        for (x, &[center, multiplier, shift, _]) in state.input.iter_mut().zip(self.input_scaling()) {
            match raw.next() {
                Some(&raw) => {
                    let centered = raw.saturating_sub(center);
                    *x = round_shift(mul(centered, multiplier), shift as u32);
                }
                None => held += 1,
            }
        }
        state.held = state.held.saturating_add(held);
        if self.shape.is_dense() {
            self.dense_step(state);
        } else {
            self.latent_step(state);
        }
        Status { held }
    }

    fn dense_step(&self, state: &mut State<'_>) {
        let Shape { neurons, inputs, .. } = self.shape;
        let Settings { form, rates, accumulator, .. } = self.settings;
        let mut vector = Vector::new(rates, state.scratch);
        vector.fill(neurons, 32 - rates.bits(), state.input.iter().copied());
        let mut carried = state.carried.iter_mut();
        Product::<W>::new(neurons + inputs, vector, accumulator).chunks(self.layer, neurons, |p| {
            for (&p, word) in p.iter().zip(carried.by_ref()) {
                let new = if form == Form::Rate { self.settings.activate(p) } else { p };
                *word = self.settings.leak(*word, new);
            }
        });
        self.fill_rates(state);
        let vector = Vector::new(rates, state.scratch);
        Product::<W>::new(neurons, vector, accumulator).rows(self.readout, state.output);
    }

    /// The rates of the carried h or a, where the next product reads them.
    fn fill_rates(&self, state: &mut State<'_>) {
        let Settings { form, rates, rate_shift, .. } = self.settings;
        let phi = |&word: &i32| if form == Form::Rate { word } else { self.settings.activate(word) };
        let mut vector = Vector::new(rates, state.scratch);
        vector.fill(0, rate_shift.into(), state.carried.iter().map(phi));
    }
}

impl State<'_> {
    /// The last outputs (O), in units of [`View::output_units`].
    #[must_use]
    pub fn output(&self) -> &[i32] {
        self.output
    }

    /// The carried words (see [`View::carried_len`]).
    #[must_use]
    pub fn carried(&self) -> &[i32] {
        self.carried
    }

    /// The carried words, to set a state by hand.
    #[must_use]
    pub fn carried_mut(&mut self) -> &mut [i32] {
        self.carried
    }

    /// The inputs of the last step, scaled (I).
    #[must_use]
    pub fn input(&self) -> &[i32] {
        self.input
    }

    /// Input samples held since the reset; stays at the largest u32.
    #[must_use]
    pub const fn held(&self) -> u32 {
        self.held
    }
}
