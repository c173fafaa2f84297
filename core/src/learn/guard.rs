//! The last good parameters, taken back when learning goes wrong.

use crate::error::Error;
use crate::network::{CopyChecked, State, View};
use crate::scalar::Scalar;
use crate::wire::learned::Memory;

use super::memory::room;
use super::online::{Counts, Learner, Outcome, Update, count};
use super::params::Params;

/// What a [`Guard`] tolerates.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Limits<T> {
    /// Largest size of a carried word.
    pub state: T,
    /// Largest loss, averaged over some 64 taught steps.
    pub loss: T,
    /// Largest growth of a small difference of states per step ([`Rule::growth`](super::Rule::growth)); above 1,
    /// a network forgets nothing.
    pub growth: T,
    /// Good steps between two copies of the parameters.
    pub every: u32,
}

/// A learner that goes back to its last good parameters when the state, the mean loss or the growth of differences
/// leaves its limit.
///
/// mean' = mean + (L − mean) / 64. Every `every` steps within all limits the words are copied; at a step beyond one
/// they are taken back, what the rule and the optimiser remember is forgotten, and a state beyond its limit starts
/// anew. What it guarantees: the words are never further from good ones than `every` steps of the optimiser.
///
/// Memory: one copy of all words, lent.
#[derive(Debug)]
pub struct Guard<'m, L, T> {
    learner: L,
    limits: Limits<T>,
    good: &'m mut [T],
    mean: T,
    steps: u32,
    restored: u32,
}

impl<'m, L, T: Scalar> Guard<'m, L, T> {
    /// Guards `learner`; `memory` of at least as many words as `params` has, which are the first good ones.
    ///
    /// # Errors
    /// Memory too short.
    pub fn new(
        learner: L,
        limits: Limits<T>,
        params: &Params<'_, T>,
        memory: &'m mut [T],
    ) -> Result<Self, Error> {
        let words = params.words();
        let good = room(memory, words.len())?;
        good.copy_from_slice_checked(words);
        Ok(Self { learner, limits, good, mean: T::ZERO, steps: 0, restored: 0 })
    }

    /// The last good words.
    #[must_use]
    pub const fn good(&self) -> &[T] {
        self.good
    }

    /// The learner that is guarded.
    pub const fn learner_mut(&mut self) -> &mut L {
        &mut self.learner
    }
}

impl<L: Learner<T>, T: Scalar> Learner<T> for Guard<'_, L, T> {
    fn step(
        &mut self,
        params: &mut Params<'_, T>,
        state: &mut State<'_, T>,
        x: &[T],
        target: Option<&[T]>,
    ) -> Outcome<T> {
        let outcome = self.learner.step(params, state, x, target);
        if outcome.update != Update::Untaught {
            self.mean = self.mean + (outcome.loss - self.mean) * T::from_f64(1.0 / 64.0);
        }
        let tame = |word: &T| *word <= self.limits.state && -self.limits.state <= *word;
        let quiet = state.carried.iter().all(tame);
        let slow = self.learner.growth().is_none_or(|growth| growth <= self.limits.growth);
        if quiet && slow && self.mean <= self.limits.loss {
            self.steps += 1;
            if self.steps >= self.limits.every {
                self.steps = 0;
                self.good.copy_from_slice_checked(params.words());
            }
            return outcome;
        }
        params.restore(self.good);
        self.learner.restart();
        if !quiet {
            start_anew(&params.view(), state);
        }
        (self.steps, self.mean) = (0, T::ZERO);
        count(&mut self.restored, 1);
        Outcome { update: Update::Restored, ..outcome }
    }

    fn counts(&self) -> Counts {
        Counts { restored: self.restored, ..self.learner.counts() }
    }

    fn reset(&mut self) {
        self.learner.reset();
    }

    fn restart(&mut self) {
        self.learner.restart();
    }

    fn trust(&mut self, most: T) {
        self.learner.trust(most);
    }

    fn growth(&self) -> Option<T> {
        self.learner.growth()
    }

    fn memory(&self) -> Memory<'_, T> {
        self.learner.memory()
    }

    fn resume(&mut self, memory: &Memory<'_, T>) -> Result<(), Error> {
        self.learner.resume(memory)
    }
}

/// The initial state.
fn start_anew<T: Scalar>(view: &View<'_, T>, state: &mut State<'_, T>) {
    state.carried.fill(T::ZERO);
    state.carried.copy_from_slice_checked(view.initial());
}
