//! Readouts that learn by themselves: LMS and recursive least squares.

use crate::error::{Error, Expected, Field};
use crate::network::{State, Status, View};
use crate::scalar::Scalar;
use crate::shape::Shape;
use crate::wire::learned::{self, Optimiser as Kind};

use super::LARGEST;
use super::dense::readout;
use super::memory::{Memory, dense, dot, recall_inverse, squares, trace};
use super::online::Rule;
use super::optimiser::Optimiser;
use super::params::{Groups, Params};

/// Least mean squares: dL/dC = dL/dy hᵀ, dL/dc = dL/dy. The network itself does not learn.
///
/// Memory: O words. Multiply-adds a step beyond the forward one: O n, and n for the norm of h. Source: Widrow &
/// Hoff 1960. (A readout of a network of low rank learns by [`LatentRtrl`](super::LatentRtrl) with
/// [`Groups::READOUT`].)
#[derive(Debug)]
pub struct Lms<'m, T> {
    groups: Groups,
    error: &'m mut [T],
    size: T,
}

impl<'m, T: Scalar> Lms<'m, T> {
    /// Words of memory for a network of this shape.
    #[must_use]
    pub const fn memory_len(shape: &Shape) -> usize {
        shape.outputs
    }

    /// A rule in `memory`.
    ///
    /// # Errors
    /// A network of low rank, memory too short.
    pub fn new(params: &Params<'_, T>, groups: Groups, memory: &'m mut [T]) -> Result<Self, Error> {
        dense(&params.view())?;
        let words = Self::memory_len(&params.shape());
        let error = Memory::new(memory, words)?.cut(words);
        Ok(Self { groups, error, size: T::ZERO })
    }
}

impl<T: Scalar> Rule<T> for Lms<'_, T> {
    fn forward(&mut self, view: &View<'_, T>, state: &mut State<'_, T>, x: &[T]) -> Status {
        let status = view.step(state, x);
        self.size = squares(state.carried);
        status
    }

    fn error(&mut self) -> &mut [T] {
        self.error
    }

    fn prepare(&mut self, _: &View<'_, T>, _: &State<'_, T>) -> T {
        squares(self.error) * (self.size + T::ONE)
    }

    #[inline(always)]
    fn visit<O: Optimiser<T>>(
        &mut self,
        params: &mut Params<'_, T>,
        state: &State<'_, T>,
        optimiser: &mut O,
        scale: T,
        _: bool,
    ) {
        readout(params, self.groups, (self.error, scale), state.carried, optimiser);
    }

    fn advance(&mut self, _: &mut Params<'_, T>, _: &State<'_, T>) {}

    fn size(&self) -> T {
        self.size
    }

    fn reset(&mut self) {
        self.size = T::ZERO;
    }
}

/// Recursive least squares, as FORCE uses it: of all readouts the one with the least Σ_t ‖y_t − y\*_t‖² +
/// ridge ‖(C, c) − (C, c)_0‖², over the steps t with a target, at every step.
///
/// One P serves all outputs, as in FORCE. At a step where some of them have a target and others none, P shrinks for all,
/// while only the first learn: those without a target count as if they had met theirs. Outputs that are missing at
/// different steps are therefore no longer the least squares ones, but learn slower; they need a rule each.
///
/// With r = (h, 1): k = P r, g = k / (forget + r·k), P' = (P − g kᵀ) / forget; the direction handed out is
/// dL/dy gᵀ, so that [`Sgd`](super::Sgd) with a rate of 1 gives RLS.
///
/// P starts at I / ridge and outlives [`Rule::reset`] and every rejected step. forget = 1 remembers everything; less
/// than 1 forgets with this factor a step, and P grows without end where the network is not excited: it is set to its
/// start when its trace exceeds 2^32, or when rounding has made it indefinite.
///
/// Memory: [`Rls::memory_len`] words: (n + 1)² for P, n + 1 for k, O. Multiply-adds a step beyond the forward one:
/// 2 (n + 1)² + O (n + 1). Source: Sussillo & Abbott 2009, eq. 3 to 5; Haykin, Adaptive Filter Theory, ch. 10.
#[derive(Debug)]
pub struct Rls<'m, T> {
    groups: Groups,
    error: &'m mut [T],
    inverse: &'m mut [T],
    k: &'m mut [T],
    /// 1 / (forget + r·k).
    factor: T,
    ridge: T,
    forget: T,
    /// Of P.
    trace: T,
    /// ‖h‖².
    drive: T,
}

impl<'m, T: Scalar> Rls<'m, T> {
    /// Words of memory for a network of this shape.
    #[must_use]
    pub const fn memory_len(shape: &Shape) -> usize {
        let regressors = shape.neurons + 1;
        shape.outputs + regressors * regressors + regressors
    }

    /// A rule in `memory` with P = I / `ridge`; `ridge` in [1e-6, 1e6], `forget` in [0.5, 1].
    ///
    /// # Errors
    /// A network of low rank, a number out of range, memory too short.
    pub fn new(
        params: &Params<'_, T>,
        groups: Groups,
        ridge: T,
        forget: T,
        memory: &'m mut [T],
    ) -> Result<Self, Error> {
        dense(&params.view())?;
        let numbers = T::from_f64(1e-6) <= ridge && ridge <= T::from_f64(1e6);
        if !(numbers && T::from_f64(0.5) <= forget && forget <= T::ONE) {
            return Err(Error::new(Field::Rate, Expected::Finite, 0));
        }
        let shape = params.shape();
        let regressors = shape.neurons + 1;
        let mut memory = Memory::new(memory, Self::memory_len(&shape))?;
        let error = memory.cut(shape.outputs);
        let (inverse, k) = (memory.cut(regressors * regressors), memory.cut(regressors));
        let (factor, trace, drive) = (T::ONE, T::ZERO, T::ZERO);
        let mut rule = Self { groups, error, inverse, k, factor, ridge, forget, trace, drive };
        rule.start();
        Ok(rule)
    }

    /// P = I / ridge.
    fn start(&mut self) {
        let regressors = self.k.len();
        self.inverse.fill(T::ZERO);
        let start = T::ONE / self.ridge;
        self.inverse.iter_mut().step_by((regressors + 1).max(1)).for_each(|p| *p = start);
        self.trace = trace(self.inverse, regressors);
    }

    /// P' = (P − g kᵀ) / forget.
    fn learn(&mut self) {
        let (regressors, back) = (self.k.len(), T::ONE / self.forget);
        for (row, &ki) in self.inverse.chunks_exact_mut(regressors.max(1)).zip(self.k.iter()) {
            // k_i k_j is the same as k_j k_i: P stays symmetric to the bit.
            row.iter_mut().zip(self.k.iter()).for_each(|(p, &kj)| *p = (*p - self.factor * (ki * kj)) * back);
        }
        self.trace = trace(self.inverse, regressors);
    }
}

impl<T: Scalar> Rule<T> for Rls<'_, T> {
    fn forward(&mut self, view: &View<'_, T>, state: &mut State<'_, T>, x: &[T]) -> Status {
        let status = view.step(state, x);
        self.drive = squares(state.carried);
        status
    }

    fn error(&mut self) -> &mut [T] {
        self.error
    }

    fn prepare(&mut self, _: &View<'_, T>, state: &State<'_, T>) -> T {
        let regressors = self.k.len();
        let mut divisor = self.forget;
        for ((k, row), i) in self.k.iter_mut().zip(self.inverse.chunks_exact(regressors.max(1))).zip(0..) {
            let Some((last, row)) = row.split_last() else { break };
            *k = dot(row, state.carried) + *last;
            divisor = divisor + *k * state.carried.get(i).copied().unwrap_or(T::ONE);
        }
        self.factor = T::ONE / divisor;
        // Rounding may have made P indefinite: then the divisor tells, unless the network itself went astray.
        if divisor < self.forget {
            self.trace = T::from_f64(f64::NAN);
        }
        squares(self.error) * (self.factor * self.factor * squares(self.k))
    }

    fn visit<O: Optimiser<T>>(
        &mut self,
        params: &mut Params<'_, T>,
        _: &State<'_, T>,
        optimiser: &mut O,
        scale: T,
        last: bool,
    ) {
        let scale = scale * self.factor;
        let Some((&of_one, k)) = self.k.split_last() else { return };
        let Groups { readout: columns, output_bias, .. } = self.groups;
        let bias = Groups { output_bias, ..Groups::NONE };
        readout(params, bias, (self.error, scale * of_one), &[], optimiser);
        readout(params, Groups { readout: columns, ..Groups::NONE }, (self.error, scale), k, optimiser);
        if last {
            self.learn();
        }
    }

    fn advance(&mut self, _: &mut Params<'_, T>, _: &State<'_, T>) {}

    fn size(&self) -> T {
        self.drive + self.trace * self.trace
    }

    fn reset(&mut self) {
        self.drive = T::ZERO;
        let known = self.trace > T::ZERO && self.trace <= T::from_f64(LARGEST);
        if !known {
            self.start();
        }
    }

    fn restart(&mut self) {
        self.start();
        self.reset();
    }

    fn memory(&self) -> Option<learned::Memory<'_, T>> {
        Some(learned::Memory { optimiser: Kind::Rls, steps: 0, words: self.inverse })
    }

    fn resume(&mut self, memory: &learned::Memory<'_, T>) -> Result<(), Error> {
        let most = T::from_f64(LARGEST);
        self.trace = recall_inverse(Kind::Rls, self.inverse, memory, self.k.len(), most)?;
        Ok(())
    }
}
