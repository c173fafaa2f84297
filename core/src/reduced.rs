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
//! A z' below lo becomes lo, one above hi becomes hi, NaN becomes z: the state is finite and in its interval
//! whatever happens. [`Status::outside`] says when: the model means nothing there.
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

use crate::error::{Error, Expected, Field, between, exactly};
use crate::linear::add_dot;
use crate::network::cut;
use crate::scalar::{Arithmetic, Fused, MultiplyAdd, Scalar, Separate};

/// Sizes of a reduced model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Shape {
    /// D, 1 or 2.
    pub dimensions: usize,
    /// I, at most [`Shape::MOST_CHANNELS`].
    pub inputs: usize,
    /// O, from 1 to [`Shape::MOST_CHANNELS`].
    pub outputs: usize,
    /// K, at most [`Shape::MOST_DEGREE`].
    pub drift: usize,
    /// G, at most K; 0 without inputs.
    pub gain: usize,
    /// C, at most [`Shape::MOST_DEGREE`].
    pub output: usize,
}

impl Shape {
    /// The highest degree of a series.
    pub const MOST_DEGREE: usize = 31;
    /// The most inputs, and the most outputs.
    pub const MOST_CHANNELS: usize = 16;

    /// Coefficients of a series of this degree: K + 1 for one coordinate, (K + 1) (K + 2) / 2 for two.
    #[must_use]
    pub const fn terms(&self, degree: usize) -> usize {
        terms(self.dimensions, degree + 1)
    }

    /// Words of the domain: (lo, hi) of every coordinate, then the initial state.
    #[must_use]
    pub const fn domain_len(&self) -> usize {
        3 * self.dimensions
    }

    /// Words of f and g.
    #[must_use]
    pub const fn drive_len(&self) -> usize {
        self.dimensions * (self.terms(self.drift) + self.inputs * self.terms(self.gain))
    }

    /// Words of c.
    #[must_use]
    pub const fn output_len(&self) -> usize {
        self.outputs * self.terms(self.output)
    }

    /// Words of all parameters: domain, f and g, c.
    #[must_use]
    pub const fn parameter_len(&self) -> usize {
        self.domain_len() + self.drive_len() + self.output_len()
    }

    /// Words of memory that a [`State`] needs.
    #[must_use]
    pub const fn state_len(&self) -> usize {
        self.dimensions + self.inputs + self.outputs
    }

    /// Multiply-adds of one step; one of Clenshaw's for every coefficient.
    #[must_use]
    pub const fn multiply_adds(&self) -> usize {
        self.drive_len() + self.output_len()
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        between(Field::Dimensions, 1, 2, self.dimensions)?;
        between(Field::Inputs, 0, Self::MOST_CHANNELS, self.inputs)?;
        between(Field::Outputs, 1, Self::MOST_CHANNELS, self.outputs)?;
        between(Field::Degree, 0, Self::MOST_DEGREE, self.drift)?;
        between(Field::Degree, 0, if self.inputs == 0 { 0 } else { self.drift }, self.gain)?;
        between(Field::Degree, 0, Self::MOST_DEGREE, self.output)
    }
}

/// Terms with j + k < `orders`.
const fn terms(dimensions: usize, orders: usize) -> usize {
    if dimensions == 1 { orders } else { orders * (orders + 1) / 2 }
}

/// The coefficients of a reduced model as one writes them.
///
/// The terms of a series ascend: a_0 .. a_K, or a_00 .. a_0K, a_10 .. a_1(K-1), and so on to a_K0.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a, T> {
    /// \[lo, hi\] of every coordinate (D).
    pub interval: &'a [[T; 2]],
    /// z before the first step (D).
    pub initial: &'a [T],
    /// f of every coordinate (D × terms).
    pub drift: &'a [T],
    /// g of every coordinate and input (D × I × terms).
    pub gain: &'a [T],
    /// c of every output (O × terms).
    pub output: &'a [T],
}

/// Packs `series` into `words` ([`Shape::parameter_len`] of them), in the order in which a step reads them.
///
/// # Errors
/// A part or `words` of the wrong size.
pub fn pack<T: Scalar>(shape: &Shape, series: &Series<'_, T>, words: &mut [T]) -> Result<(), Error> {
    shape.check()?;
    let Shape { dimensions, inputs, outputs, .. } = *shape;
    let [drift, gain, output] = [shape.drift, shape.gain, shape.output].map(|degree| shape.terms(degree));
    exactly(Field::Buffer, shape.parameter_len(), words.len())?;
    exactly(Field::Interval, dimensions, series.interval.len())?;
    exactly(Field::Initial, dimensions, series.initial.len())?;
    exactly(Field::Series, dimensions * drift, series.drift.len())?;
    exactly(Field::Series, dimensions * inputs * gain, series.gain.len())?;
    exactly(Field::Readout, outputs * output, series.output.len())?;
    let mut words = words.iter_mut();
    let mut put = |x: Option<&T>| {
        if let (Some(word), Some(&x)) = (words.next(), x) {
            *word = x;
        }
    };
    series.interval.as_flattened().iter().chain(series.initial).for_each(|x| put(Some(x)));
    for d in 0..dimensions {
        descend(dimensions, shape.drift, |j, k| {
            put(series.drift.get(d * drift + ascending(dimensions, shape.drift, j, k)));
            if j + k <= shape.gain {
                let at = ascending(dimensions, shape.gain, j, k);
                (0..inputs).for_each(|i| put(series.gain.get((d * inputs + i) * gain + at)));
            }
        });
    }
    for o in 0..outputs {
        descend(dimensions, shape.output, |j, k| {
            put(series.output.get(o * output + ascending(dimensions, shape.output, j, k)));
        });
    }
    Ok(())
}

/// Every (j, k) with j + k <= degree, both descending; j is 0 for one coordinate.
fn descend(dimensions: usize, degree: usize, mut each: impl FnMut(usize, usize)) {
    let most = if dimensions == 1 { 0 } else { degree };
    for j in (0..=most).rev() {
        (0..=degree - j).rev().for_each(|k| each(j, k));
    }
}

/// Place of a_jk among ascending terms.
const fn ascending(dimensions: usize, degree: usize, j: usize, k: usize) -> usize {
    // Rows before j have degree + 1, degree, .. terms.
    if dimensions == 1 { k } else { j * (2 * degree + 3 - j) / 2 + k }
}

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

    /// `next` in the interval, NaN as `z`; whether that is another number.
    #[inline(always)]
    fn clamped(&self, next: T, z: T) -> (T, bool) {
        if self.lo <= next && next <= self.hi {
            (next, false)
        } else if next < self.lo {
            (self.lo, true)
        } else if next > self.hi {
            (self.hi, true)
        } else {
            (z, true)
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

    /// Domain, f and g, c: as packed.
    pub(crate) const fn sections(&self) -> [&'a [T]; 3] {
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

/// A series in D coordinates, its coefficients moved by the inputs.
#[inline(always)]
fn series<T: Scalar, A: MultiplyAdd, const D: usize>(
    words: &[T],
    [degree, gain]: [usize; 2],
    u: &[T],
    s: [T; D],
) -> T {
    match s[..] {
        [s] => line::<T, A>(words, [degree.saturating_sub(gain) as u8, gain as u8 + 1], u, s),
        [s1, s2] => {
            let (mut b1, mut b2, mut rest) = (T::ZERO, T::ZERO, words);
            for j in (0..=degree).rev() {
                let (terms, moved) = (degree + 1 - j, (gain + 1).saturating_sub(j));
                let (row, after) = rest.split_at_checked(terms + moved * u.len()).unwrap_or_default();
                let a = line::<T, A>(row, [terms.saturating_sub(moved) as u8, moved as u8], u, s2);
                (b1, b2, rest) = (A::mac(a - b2, s1 + s1, b1), b1, after);
            }
            A::mac(b1, -s1, b2)
        }
        _ => T::ZERO,
    }
}

/// sum_k (f_k + g_k u) T_k(s): `alone` coefficients f, then `moved` more, each followed by its g.
#[inline(always)]
fn line<T: Scalar, A: MultiplyAdd>(words: &[T], [alone, moved]: [u8; 2], u: &[T], s: T) -> T {
    match T::line(A::ARITHMETIC, words, [alone, moved], u, s) {
        Some(value) => value,
        None => portable_line::<T, A>(words, [alone, moved], u, s),
    }
}

/// As [`line`], in Rust.
#[inline(never)]
fn portable_line<T: Scalar, A: MultiplyAdd>(words: &[T], [alone, moved]: [u8; 2], u: &[T], s: T) -> T {
    let (alone, rows) = words.split_at_checked(alone.into()).unwrap_or_default();
    let rows = rows.get(..usize::from(moved) * (1 + u.len())).unwrap_or_default();
    let twice = s + s;
    let b = clenshaw::<T, A, 1>(alone, u, twice, [T::ZERO; 2]);
    let [b0, b1] = match u.len() {
        0 => clenshaw::<T, A, 1>(rows, u, twice, b),
        1 => clenshaw::<T, A, 2>(rows, u, twice, b),
        2 => clenshaw::<T, A, 3>(rows, u, twice, b),
        3 => clenshaw::<T, A, 4>(rows, u, twice, b),
        4 => clenshaw::<T, A, 5>(rows, u, twice, b),
        _ => rows.chunks_exact((1 + u.len()).max(1)).fold(b, |[b1, b2], row| {
            let Some((&f, g)) = row.split_first() else { return [b1, b2] };
            [A::mac(add_dot::<T, A>(f, g, u) - b2, twice, b1), b1]
        }),
    };
    A::mac(b0, -s, b1)
}

/// Clenshaw's b_k and b_{k+1} after rows of 1 + I = W words each, from those before.
#[inline(always)]
fn clenshaw<T: Scalar, A: MultiplyAdd, const W: usize>(
    rows: &[T],
    u: &[T],
    twice: T,
    [mut b1, mut b2]: [T; 2],
) -> [T; 2] {
    let mut held = [T::ZERO; W];
    held.iter_mut().zip(u).for_each(|(held, &u)| *held = u);
    let next = |row: &[T; W], b1: T, b2: T| match row.split_first() {
        Some((&f, g)) => A::mac(add_dot::<T, A>(f, g, &held) - b2, twice, b1),
        None => b1,
    };
    // Four rows at a time, so that nothing moves between registers and degrees 3, 7, 11 .. have no rest.
    let (odd, fours) = rows.as_chunks::<W>().0.as_rchunks::<4>();
    for row in odd {
        (b1, b2) = (next(row, b1, b2), b1);
    }
    for [first, second, third, fourth] in fours {
        b2 = next(first, b1, b2);
        b1 = next(second, b2, b1);
        b2 = next(third, b1, b2);
        b1 = next(fourth, b2, b1);
    }
    [b1, b2]
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
