//! Reduced models: a network's slow motion in one or two coordinates, as Chebyshev series with inputs.
//!
//! z' = z + f(z) + sum_i g_i(z) u_i, clamped to the interval \[lo, hi\] of each coordinate; y = c(z').
//!
//! | letter | meaning | shape |
//! |---|---|---|
//! | D | coordinates, 1 or 2 | |
//! | z | reduced state, in \[lo, hi\] | D |
//! | s | (z - center) / half-width of its interval, in \[-1, 1\] | D |
//! | f, K | change of z in one step without input, its degree | D series |
//! | g, G | change of z in one step by one unit of an input, its degree, at most K | D × I series |
//! | c, C | output, its degree | O series |
//! | u, y | input, output of one step, in physical units | I, O |
//!
//! A series of degree K is sum_k a_k T_k(s) for one coordinate and sum_{j + k <= K} a_jk T_j(s_1) T_k(s_2) for
//! two. The order of every operation is fixed, so the bits are the same on every target:
//!
//! - center = lo / 2 + hi / 2, inverse = 1 / (hi / 2 - lo / 2), rounded once, before the first step;
//! - s = (z - center) · inverse;
//! - a_k = f_k, to which g_ki u_i is added for i ascending, with the [`Arithmetic`] of the model;
//! - Clenshaw, k descending: b_k = (a_k - b_{k+2}) + (s + s) b_{k+1}, the product added as the arithmetic says;
//!   the series is b_0 - s b_1, which is b_0 + (-s) b_1 by the same arithmetic. For two coordinates each a_j is
//!   the series in s_2 of the terms with T_j(s_1);
//! - z' = z + the series.
//!
//! A z' below lo becomes lo, one above hi becomes hi, NaN becomes z, or center if z is not in its interval either: the
//! state is finite and in its interval whatever happens. [`Status::outside`] says when: the model means nothing there.
//!
//! ```
//! use tinyfold_core::reduced::{Series, Shape, View, pack};
//! use tinyfold_core::Arithmetic;
//!
//! // z' = z + (z - z³) / 8 + u / 4 on [-2, 2]: with s = z / 2, z³ = 8 s³ = 2 T_3(s) + 6 T_1(s).
//! let shape = Shape { dimensions: 1, inputs: 1, outputs: 1, drift: 3, gain: 0, output: 1 };
//! let series = Series {
//!     interval: &[[-2.0, 2.0]],
//!     initial: &[0.0],
//!     drift: &[0.0, -0.5, 0.0, -0.25],
//!     gain: &[0.25],
//!     output: &[0.0, 2.0],
//! };
//! let mut words = [0.0_f32; 10];
//! pack(&shape, &series, &mut words)?;
//! let view = View::from_words(shape, Arithmetic::Separate, &words)?;
//!
//! let mut memory = [0.0; 3];
//! let mut state = view.state(&mut memory)?;
//! view.step(&mut state, &[1.0]);
//! for _ in 0..100 {
//!     view.step(&mut state, &[0.0]);
//! }
//! assert!((state.output()[0] - 1.0).abs() < 1e-6);
//! # Ok::<(), tinyfold_core::Error>(())
//! ```

mod clenshaw;
mod pack;
mod shape;

pub use pack::{Part, Series, pack, packed};
pub use shape::Shape;

use crate::error::{Error, Expected, Field, exactly};
use crate::network::cut;
use crate::scalar::{Arithmetic, Fused, MultiplyAdd, Scalar, Separate};
use clenshaw::{line, series};

/// The parameters of a reduced model, borrowed: checked once, so that a step cannot fail.
#[derive(Clone, Copy, Debug)]
pub struct View<'a, T> {
    shape: Shape,
    arithmetic: Arithmetic,
    axes: [Axis<T>; 2],
    /// With one coordinate and at most four inputs: their number, 5 more in fused arithmetic.
    kind: u8,
    /// Rows of f alone and of f and g, for one coordinate.
    rows: [u8; 2],
    /// Terms of c.
    terms: u8,
    domain: &'a [T],
    drive: &'a [T],
    output: &'a [T],
}

/// The interval of a coordinate.
#[derive(Clone, Copy, Debug)]
struct Axis<T> {
    lo: T,
    hi: T,
    center: T,
    inverse: T,
}

/// All that a step changes.
#[derive(Debug)]
pub struct State<'m, T> {
    z: &'m mut [T],
    input: &'m mut [T],
    output: &'m mut [T],
    held: u32,
    outside: u32,
}

/// What a step has to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Status {
    /// Input channels of this step that were not finite, or not supplied, and kept their last good value.
    pub held: u32,
    /// z' was outside its interval, or not a number, and was clamped.
    pub outside: bool,
}

impl<T: Scalar> Axis<T> {
    /// `None` unless lo < hi, both finite, with a width that has an inverse.
    fn new([lo, hi]: [T; 2]) -> Option<Self> {
        let half = T::ONE / (T::ONE + T::ONE);
        let (low, high) = (half * lo, half * hi);
        let axis = Self { lo, hi, center: low + high, inverse: T::ONE / (high - low) };
        let finite = lo.is_finite() && hi.is_finite() && axis.inverse.is_finite();
        (finite && lo < hi && axis.inverse > T::ZERO).then_some(axis)
    }

    #[inline(always)]
    fn scaled(&self, z: T) -> T {
        (z - self.center) * self.inverse
    }

    /// `next` in the interval, NaN as `z` or, if that is outside too, the center; whether that is another number.
    #[inline(always)]
    fn clamped(&self, next: T, z: T) -> (T, bool) {
        if self.lo <= next && next <= self.hi {
            (next, false)
        } else if next < self.lo {
            (self.lo, true)
        } else if next > self.hi {
            (self.hi, true)
        } else if self.lo <= z && z <= self.hi {
            (z, true)
        } else {
            (self.center, true)
        }
    }
}

impl<'a, T: Scalar> View<'a, T> {
    /// The view of packed parameters (see [`pack`]): domain, f and g, c.
    ///
    /// # Errors
    /// A size out of range, a section of the wrong length, a number that is not finite, lo >= hi, an initial
    /// state outside its interval.
    pub fn new(
        shape: Shape,
        arithmetic: Arithmetic,
        [domain, drive, output]: [&'a [T]; 3],
    ) -> Result<Self, Error> {
        shape.check()?;
        for (field, section, words) in [
            (Field::Interval, domain, shape.domain_len()),
            (Field::Series, drive, shape.drive_len()),
            (Field::Readout, output, shape.output_len()),
        ] {
            exactly(field, words, section.len())?;
            if let Some(index) = section.iter().position(|x| !x.is_finite()) {
                return Err(Error::new(field, Expected::Finite, index as u64));
            }
        }
        let (intervals, initial) = domain.split_at_checked(2 * shape.dimensions).unwrap_or_default();
        let mut axes = [Axis { lo: T::ZERO, hi: T::ZERO, center: T::ZERO, inverse: T::ZERO }; 2];
        let parts = axes.iter_mut().zip(intervals.as_chunks().0).zip(initial);
        for (d, ((axis, &interval), &z)) in parts.enumerate() {
            let refused = |field| Error::new(field, Expected::Finite, d as u64);
            *axis = Axis::new(interval).ok_or(refused(Field::Interval))?;
            if axis.clamped(z, z).1 {
                return Err(refused(Field::Initial));
            }
        }
        let rows = [shape.drift.saturating_sub(shape.gain) as u8, shape.gain as u8 + 1];
        let terms = shape.output as u8 + 1;
        let kind = match (shape.dimensions, shape.inputs, arithmetic) {
            (1, inputs @ 0..=4, Arithmetic::Separate) => inputs as u8,
            (1, inputs @ 0..=4, Arithmetic::Fused) => inputs as u8 + 5,
            _ => u8::MAX,
        };
        Ok(Self { shape, arithmetic, axes, kind, rows, terms, domain, drive, output })
    }

    /// The view of one slice that holds domain, f and g, c in this order.
    ///
    /// # Errors
    /// As [`View::new`].
    pub fn from_words(shape: Shape, arithmetic: Arithmetic, words: &'a [T]) -> Result<Self, Error> {
        shape.check()?;
        exactly(Field::Series, shape.parameter_len(), words.len())?;
        let (domain, rest) = words.split_at_checked(shape.domain_len()).unwrap_or_default();
        let (drive, output) = rest.split_at_checked(shape.drive_len()).unwrap_or_default();
        Self::new(shape, arithmetic, [domain, drive, output])
    }

    /// Sizes.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// How products are added.
    #[must_use]
    pub const fn arithmetic(&self) -> Arithmetic {
        self.arithmetic
    }

    /// \[lo, hi\] of a coordinate.
    #[must_use]
    pub fn interval(&self, d: usize) -> Option<[T; 2]> {
        let axes = self.axes.get(..self.shape.dimensions).unwrap_or_default();
        axes.get(d).map(|axis| [axis.lo, axis.hi])
    }

    /// Domain, f and g, c: as packed; [`packed`] says what each word is.
    #[must_use]
    pub const fn sections(&self) -> [&'a [T]; 3] {
        [self.domain, self.drive, self.output]
    }

    /// A state in `memory`, reset. Of the memory, the first [`Shape::state_len`] words are used.
    ///
    /// # Errors
    /// Memory too short.
    pub fn state<'m>(&self, memory: &'m mut [T]) -> Result<State<'m, T>, Error> {
        let (need, found) = (self.shape.state_len(), memory.len());
        let too_short = Error::new(Field::State, Expected::AtLeast(need as u64), found as u64);
        let (z, rest) = cut(memory, self.shape.dimensions, too_short)?;
        let (input, rest) = cut(rest, self.shape.inputs, too_short)?;
        let (output, _) = cut(rest, self.shape.outputs, too_short)?;
        let mut state = State { z, input, output, held: 0, outside: 0 };
        self.reset(&mut state);
        Ok(state)
    }

    /// Sets z to the initial state, inputs, outputs and counts to 0.
    pub fn reset(&self, state: &mut State<'_, T>) {
        (state.held, state.outside) = (0, 0);
        state.input.fill(T::ZERO);
        state.output.fill(T::ZERO);
        let initial = self.domain.get(2 * self.shape.dimensions..).unwrap_or_default();
        state.z.iter_mut().zip(initial).for_each(|(z, &initial)| *z = initial);
    }

    /// One step: reads `u` (I values), updates `state` by the equation of the [module](self).
    ///
    /// An input that is not finite, or not supplied, holds its last good value (0 after a reset) and is counted.
    /// `state` must come from [`View::state`] of this view; with a state of another shape the result is
    /// meaningless, but nothing panics.
    pub fn step(&self, state: &mut State<'_, T>, u: &[T]) -> Status {
        match self.kind {
            0 => self.line_step::<Separate, 0>(state, u),
            1 => self.line_step::<Separate, 1>(state, u),
            2 => self.line_step::<Separate, 2>(state, u),
            3 => self.line_step::<Separate, 3>(state, u),
            4 => self.line_step::<Separate, 4>(state, u),
            5 => self.line_step::<Fused, 0>(state, u),
            6 => self.line_step::<Fused, 1>(state, u),
            7 => self.line_step::<Fused, 2>(state, u),
            8 => self.line_step::<Fused, 3>(state, u),
            9 => self.line_step::<Fused, 4>(state, u),
            _ => self.any_step(state, u),
        }
    }

    /// One step of a model with one coordinate and I inputs.
    // Not inlined: what one kind of model keeps in registers is none of another's business.
    #[inline(never)]
    fn line_step<A: MultiplyAdd, const I: usize>(&self, state: &mut State<'_, T>, u: &[T]) -> Status {
        let ([axis, _], [z], Some(input)) = (&self.axes, &mut *state.z, state.input.first_chunk_mut::<I>())
        else {
            return Status::default();
        };
        let mut held = 0;
        // A number times 0 is 0, except infinity and NaN.
        match u.first_chunk::<I>() {
            Some(u) if u.iter().fold(T::ZERO, |sum, &u| sum + u * T::ZERO) == T::ZERO => *input = *u,
            _ => {
                held = take(input, u);
                state.held = state.held.saturating_add(held);
            }
        }
        let change = line::<T, A>(self.drive, self.rows, input, axis.scaled(*z));
        let mut next = *z + change;
        let inside = axis.lo <= next && next <= axis.hi;
        if !inside {
            next = axis.clamped(next, *z).0;
            state.outside = state.outside.saturating_add(1);
        }
        *z = next;
        let (s, terms) = (axis.scaled(next), self.terms);
        if let [y] = &mut *state.output {
            *y = line::<T, A>(self.output, [0, terms], &[], s);
        } else {
            let outputs = self.output.chunks_exact(usize::from(terms).max(1));
            for (y, words) in state.output.iter_mut().zip(outputs) {
                *y = line::<T, A>(words, [0, terms], &[], s);
            }
        }
        Status { held, outside: !inside }
    }

    #[inline(never)]
    fn any_step(&self, state: &mut State<'_, T>, u: &[T]) -> Status {
        let held = take(state.input, u);
        let outside = match (self.arithmetic, self.shape.dimensions) {
            (Arithmetic::Separate, 1) => self.advance::<Separate, 1>(state),
            (Arithmetic::Separate, _) => self.advance::<Separate, 2>(state),
            (Arithmetic::Fused, 1) => self.advance::<Fused, 1>(state),
            (Arithmetic::Fused, _) => self.advance::<Fused, 2>(state),
        };
        state.count(held, outside)
    }

    #[inline(always)]
    fn advance<A: MultiplyAdd, const D: usize>(&self, state: &mut State<'_, T>) -> bool {
        let Shape { drift, gain, output, .. } = self.shape;
        let (Some(z), Some(axes)) = (state.z.first_chunk_mut::<D>(), self.axes.first_chunk::<D>()) else {
            return false;
        };
        let mut s = [T::ZERO; D];
        let scale = |s: &mut [T; D], z: &[T; D]| {
            s.iter_mut().zip(z).zip(axes).for_each(|((s, &z), axis)| *s = axis.scaled(z));
        };
        scale(&mut s, z);
        let mut outside = false;
        let length = self.drive.len() / D;
        let mut rest = self.drive;
        for (z, axis) in z.iter_mut().zip(axes) {
            let (words, after) = rest.split_at_checked(length).unwrap_or_default();
            let (next, clamped) =
                axis.clamped(*z + series::<T, A, D>(words, [drift, gain], state.input, s), *z);
            (*z, rest) = (next, after);
            outside |= clamped;
        }
        scale(&mut s, z);
        let mut rest = self.output;
        for y in state.output.iter_mut() {
            let (words, after) = rest.split_at_checked(self.shape.terms(output)).unwrap_or_default();
            *y = series::<T, A, D>(words, [output, 0], &[], s);
            rest = after;
        }
        outside
    }
}

/// Takes the inputs that are finite, and says how many are not, or not supplied.
#[inline(never)]
fn take<T: Scalar>(input: &mut [T], u: &[T]) -> u32 {
    let mut held = 0;
    let mut fresh = u.iter();
    for input in input {
        match fresh.next() {
            Some(&u) if u.is_finite() => *input = u,
            _ => held += 1,
        }
    }
    held
}

impl<T: Copy> State<'_, T> {
    #[inline(always)]
    const fn count(&mut self, held: u32, outside: bool) -> Status {
        if held > 0 || outside {
            self.held = self.held.saturating_add(held);
            self.outside = self.outside.saturating_add(outside as u32);
        }
        Status { held, outside }
    }

    /// z (D).
    #[must_use]
    pub fn z(&self) -> &[T] {
        self.z
    }

    /// z, to set it by hand; what is outside its interval is clamped by the next step.
    #[must_use]
    pub fn z_mut(&mut self) -> &mut [T] {
        self.z
    }

    /// The last outputs (O).
    #[must_use]
    pub fn output(&self) -> &[T] {
        self.output
    }

    /// The inputs of the last step (I): the last good ones.
    #[must_use]
    pub fn input(&self) -> &[T] {
        self.input
    }

    /// Input samples held since the reset; stays at the largest u32.
    #[must_use]
    pub const fn held(&self) -> u32 {
        self.held
    }

    /// Steps since the reset that were clamped; stays at the largest u32.
    #[must_use]
    pub const fn outside(&self) -> u32 {
        self.outside
    }
}
