//! The last good parameters, taken back when learning goes wrong.

use crate::error::Error;
use crate::network::{CopyChecked, State, View};
use crate::scalar::Scalar;
use crate::shape::Shape;
use crate::wire::learned;

use super::memory::Memory;
use super::online::{Counts, Learner, Outcome, Update, count};
use super::params::Params;

/// What a [`Guard`] tolerates.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Limits<T> {
    /// Largest size of a carried word.
    pub state: T,
    /// Largest loss, averaged over some 64 updates.
    pub loss: T,
    /// Largest growth of a small difference of states per step ([`Rule::growth`](super::Rule::growth)); above 1,
    /// a network forgets nothing.
    pub growth: T,
    /// Good updates between two copies of the parameters, 64 at least.
    pub every: u32,
}

/// A learner that goes back to its last good parameters when the state, the mean loss or the growth of differences
/// leaves its limit.
///
/// mean' = mean + (L − mean) / 64 at every update. After `every` updates within all limits the words are copied, and
/// the copy before becomes the good one. At a step beyond a limit the good words are taken back, the later copy and
/// what the rule and the optimiser remember are forgotten, and a state beyond its limit starts anew. What it guarantees:
/// mean and growth lag, but the words taken back were followed by at least 64 updates in a row within all limits, or
/// are the first ones.
///
/// Memory: [`Guard::memory_len`] words, two copies of all packed ones.
#[derive(Debug)]
pub struct Guard<'m, L, T> {
    learner: L,
    limits: Limits<T>,
    good: &'m mut [T],
    /// Becomes the good copy if the updates after it are good.
    candidate: &'m mut [T],
    mean: T,
    steps: u32,
    restored: u32,
}

/// Updates that mean and growth need to show what the words are like.
const LAG: u32 = 64;

impl<'m, L, T: Scalar> Guard<'m, L, T> {
    /// Words of memory for a network of this shape.
    #[must_use]
    pub const fn memory_len(shape: &Shape) -> usize {
        2 * shape.parameter_len()
    }

    /// Guards `learner`; the words of `params` are the first good ones.
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
        let mut memory = Memory::new(memory, Self::memory_len(&params.shape()))?;
        let [good, candidate] = [(); 2].map(|()| memory.cut(words.len()));
        good.copy_from_slice_checked(words);
        candidate.copy_from_slice_checked(words);
        Ok(Self { learner, limits, good, candidate, mean: T::ZERO, steps: 0, restored: 0 })
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
        let done = outcome.update == Update::Done;
        if done {
            self.mean = self.mean + (outcome.loss - self.mean) * T::from_f64(1.0 / 64.0);
        }
        let tame = |word: &T| *word <= self.limits.state && -self.limits.state <= *word;
        let quiet = state.carried.iter().all(tame);
        let slow = self.learner.growth().is_none_or(|growth| growth <= self.limits.growth);
        if quiet && slow && self.mean <= self.limits.loss {
            self.steps += u32::from(done);
            if self.steps >= self.limits.every.max(LAG) {
                self.steps = 0;
                self.good.copy_from_slice_checked(self.candidate);
                self.candidate.copy_from_slice_checked(params.words());
            }
            return outcome;
        }
        params.restore(self.good);
        self.candidate.copy_from_slice_checked(self.good);
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

    fn memory(&self) -> learned::Memory<'_, T> {
        self.learner.memory()
    }

    fn resume(&mut self, memory: &learned::Memory<'_, T>) -> Result<(), Error> {
        self.learner.resume(memory)
    }
}

/// The initial state.
fn start_anew<T: Scalar>(view: &View<'_, T>, state: &mut State<'_, T>) {
    state.carried.fill(T::ZERO);
    state.carried.copy_from_slice_checked(view.initial());
}
