//! A lesson's plan: which rule, how fast, how long. Host and chip run the same one.

use crate::error::{Error, Field, exactly};
use crate::network::State;
use crate::scalar::Scalar;
use crate::shape::Shape;
use crate::wire::learned;

use super::memory::Memory;
use super::{
    Counts, Diagonal, Eprop, Groups, Guard, LatentRls, LatentRtrl, Learner, Limits, Lms, Loss, Online,
    Outcome, Params, Rls, Rows, Rule, Sgd, Source, Tie,
};

/// The rules that a chip's image holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Kind {
    /// [`LatentRtrl`] with B a parameter of its own.
    Latent = 1,
    /// [`LatentRtrl`] with [`Tie::Recurrent`].
    Tied = 2,
    /// [`Eprop`].
    Eprop = 3,
    /// [`Diagonal::snap1`].
    Snap1 = 4,
    /// [`Diagonal::rflo`].
    Rflo = 5,
    /// [`Lms`].
    Lms = 6,
    /// [`Rls`] with a ridge of 1 and [`Plan::forget`]; its rate should be 1.
    Rls = 7,
    /// [`LatentRls`] with a ridge of 1 and [`Plan::forget`]; its rate should be 1.
    LatentRls = 8,
}

/// All of them.
pub const KINDS: [Kind; 8] =
    [Kind::Latent, Kind::Tied, Kind::Eprop, Kind::Snap1, Kind::Rflo, Kind::Lms, Kind::Rls, Kind::LatentRls];

/// A step of a plan, as its [`Follower`] sees it.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'s, T> {
    /// Steps of this run before it.
    pub step: u32,
    /// The parameters after it.
    pub params: &'s Params<'s, T>,
    /// The state after it.
    pub state: &'s State<'s, T>,
    /// What came of it.
    pub outcome: Outcome<T>,
    /// What the learner remembers, to be stored beside the parameters; its steps are those of all runs.
    pub memory: learned::Memory<'s, T>,
}

/// Who follows a plan that is carried out, and keeps what is learned. A closure follows without remembering.
pub trait Follower<T> {
    /// Why a run ends early.
    type Error: From<Error>;

    /// What was stored beside the parameters when learning stopped. A memory that the plan's learner cannot have had
    /// counts only by its steps: the learner begins with its own.
    fn recall(&mut self) -> Option<learned::Memory<'_, T>> {
        None
    }

    /// Sees a step.
    ///
    /// # Errors
    /// The run ends.
    fn step(&mut self, moment: &Moment<'_, T>) -> Result<(), Self::Error>;
}

impl<T, E: From<Error>, F: FnMut(&Moment<'_, T>) -> Result<(), E>> Follower<T> for F {
    type Error = E;

    fn step(&mut self, moment: &Moment<'_, T>) -> Result<(), E> {
        self(moment)
    }
}

/// How a network learns from rows of samples and targets, by SGD.
///
/// The trust region of step t of N is end + (start − end) (1 − t/N)², set anew every 64 steps; end where N is not
/// known.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Plan<T> {
    /// How gradients are found.
    pub kind: Kind,
    /// What learns.
    pub groups: Groups,
    /// What is small.
    pub loss: Loss,
    /// Learning rate, in (0, 1024].
    pub rate: T,
    /// What recursive least squares keep of the past from step to step, in [0.5, 1].
    pub forget: T,
    /// Whether steps are [`Online::normalised`].
    pub normalised: bool,
    /// Trust region at the start and at the end ([`Online::trusting`]); none if the first is 0.
    pub trust: [T; 2],
    /// How often rows in memory are gone through, at least once.
    pub passes: u32,
    /// Steps between two returns to the initial state; 0: never.
    pub episode: u32,
    /// When to go back to the last good weights; never if [`Limits::every`] is 0.
    pub limits: Limits<T>,
}

impl<T: Scalar> Plan<T> {
    /// A plan for one pass without trust region, episodes and limits: rate 1/64, squared error.
    #[must_use]
    pub fn new(kind: Kind, groups: Groups) -> Self {
        let limits = Limits { state: T::ZERO, loss: T::ZERO, growth: T::ZERO, every: 0 };
        Self {
            kind,
            groups,
            loss: Loss::Square,
            rate: T::from_f64(1.0 / 64.0),
            forget: T::ONE,
            normalised: false,
            trust: [T::ZERO; 2],
            passes: 1,
            episode: 0,
            limits,
        }
    }

    /// Words of memory beyond parameters and state.
    #[must_use]
    pub const fn memory_len(&self, shape: &Shape, leaky: bool) -> usize {
        let rule = match self.kind {
            Kind::Latent => LatentRtrl::<T>::memory_len(shape, self.groups, leaky),
            Kind::Tied => LatentRtrl::<T>::memory_len(shape, Groups { input: false, ..self.groups }, leaky),
            Kind::Eprop => Eprop::<T>::memory_len(shape),
            Kind::Snap1 | Kind::Rflo => Diagonal::<T>::memory_len(shape),
            Kind::Lms => Lms::<T>::memory_len(shape),
            Kind::Rls => Rls::<T>::memory_len(shape),
            Kind::LatentRls => LatentRls::<T>::memory_len(shape, self.groups),
        };
        self.guard_len(shape) + rule
    }

    /// Words of the guard, if there is one.
    const fn guard_len(&self, shape: &Shape) -> usize {
        if self.limits.every > 0 { Guard::<(), T>::memory_len(shape) } else { 0 }
    }

    /// `rows` (T × (I + O): samples, targets, NaN where there is none), [`Plan::passes`] times.
    ///
    /// # Errors
    /// As [`Rows::new`].
    pub fn rows<'r>(&self, shape: &Shape, rows: &'r [T]) -> Result<Rows<'r, T>, Error> {
        Rows::new(shape, rows, self.passes)
    }

    /// Runs the plan over the rows of `source`, with the state as it is and with what `follower` recalls; `follower`
    /// sees every step, and the run ends early when it says so.
    ///
    /// # Errors
    /// A rule that does not fit the network, numbers out of range, memory shorter than [`Plan::memory_len`], a row
    /// of another length than I + O; what `follower` says.
    pub fn run<F: Follower<T>>(
        &self,
        params: &mut Params<'_, T>,
        state: &mut State<'_, T>,
        memory: &mut [T],
        source: &mut dyn Source<T>,
        follower: &mut F,
    ) -> Result<Counts, F::Error> {
        let (shape, leaky) = (params.shape(), params.view().settings.leaky());
        let mut memory = Memory::new(memory, self.memory_len(&shape, leaky))?;
        let good = memory.cut(self.guard_len(&shape));
        let room = memory.rest();
        let groups = self.groups;
        match self.kind {
            Kind::Latent => {
                let rule = LatentRtrl::new(params, groups, room)?;
                self.guarded(rule, good, params, state, source, follower)
            }
            Kind::Tied => {
                let rule = LatentRtrl::tied(params, groups, Tie::Recurrent, room)?;
                self.guarded(rule, good, params, state, source, follower)
            }
            Kind::Eprop => {
                let rule = Eprop::new(params, groups, room)?;
                self.guarded(rule, good, params, state, source, follower)
            }
            Kind::Snap1 => {
                let rule = Diagonal::snap1(params, groups, room)?;
                self.guarded(rule, good, params, state, source, follower)
            }
            Kind::Rflo => {
                let rule = Diagonal::rflo(params, groups, room)?;
                self.guarded(rule, good, params, state, source, follower)
            }
            Kind::Lms => {
                let rule = Lms::new(params, groups, room)?;
                self.guarded(rule, good, params, state, source, follower)
            }
            Kind::Rls => {
                let rule = Rls::new(params, groups, T::ONE, self.forget, room)?;
                self.guarded(rule, good, params, state, source, follower)
            }
            Kind::LatentRls => {
                let rule = LatentRls::new(params, groups, T::ONE, self.forget, room)?;
                self.guarded(rule, good, params, state, source, follower)
            }
        }
    }

    fn guarded<F: Follower<T>, R: Rule<T>>(
        &self,
        rule: R,
        good: &mut [T],
        params: &mut Params<'_, T>,
        state: &mut State<'_, T>,
        source: &mut dyn Source<T>,
        follower: &mut F,
    ) -> Result<Counts, F::Error> {
        let mut learner = Online::new(rule, Sgd::new(self.rate)?, self.loss).normalised(self.normalised);
        if self.limits.every == 0 {
            self.steps(&mut learner, params, state, source, follower)
        } else {
            let mut learner = Guard::new(learner, self.limits, params, good)?;
            self.steps(&mut learner, params, state, source, follower)
        }
    }

    fn steps<F: Follower<T>>(
        &self,
        learner: &mut impl Learner<T>,
        params: &mut Params<'_, T>,
        state: &mut State<'_, T>,
        source: &mut dyn Source<T>,
        follower: &mut F,
    ) -> Result<Counts, F::Error> {
        let before = follower.recall().map_or(0, |memory| {
            // What does not fit leaves the learner as it is.
            learner.resume(&memory).unwrap_or_default();
            memory.steps
        });
        let Shape { inputs, outputs, .. } = params.shape();
        let [start, end] = self.trust;
        let total = source.rows().map(|rows| rows as f64);
        let (mut step, mut in_episode) = (0_u32, 0);
        while let Some(row) = source.row() {
            exactly(Field::Samples, inputs + outputs, row.len())?;
            if self.episode > 0 && in_episode == self.episode {
                params.view().reset(state);
                learner.reset();
                in_episode = 0;
            }
            if !start.is_zero() && step.is_multiple_of(64) {
                let left = T::from_f64(total.map_or(0.0, |total| 1.0 - f64::from(step) / total));
                learner.trust(end + (start - end) * (left * left));
            }
            let (x, target) = row.split_at_checked(inputs).unwrap_or_default();
            let outcome = learner.step(params, state, x, Some(target));
            let steps = before.saturating_add(u64::from(step) + 1);
            let memory = learned::Memory { steps, ..learner.memory() };
            follower.step(&Moment { step, params, state, outcome, memory })?;
            (step, in_episode) = (step.saturating_add(1), in_episode.saturating_add(1));
        }
        Ok(learner.counts())
    }
}
