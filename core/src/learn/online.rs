//! One call a time step: forward, gradient, update.

use crate::error::Error;
use crate::network::{CopyChecked, State, Status, View};
use crate::scalar::Scalar;
use crate::wire::learned::{Memory, Optimiser as Kind};

use super::LARGEST;
use super::loss::Loss;
use super::memory::{recall, squares};
use super::optimiser::{Norm, Optimiser};
use super::params::Params;

/// How the gradient of a step's loss with respect to the parameters is found.
///
/// Per step: [`Rule::forward`], then, if there is an error, [`Rule::prepare`] and [`Rule::visit`], else
/// [`Rule::advance`]. The gradient is the one of the parameters as they are, the past being what it was: exact
/// while they do not change, and that of a slow change otherwise, as in all real-time recurrent learning.
pub trait Rule<T: Scalar> {
    /// Runs the network by one step, with the bits of [`View::step`], and keeps what the gradient needs.
    fn forward(&mut self, view: &View<'_, T>, state: &mut State<'_, T>, x: &[T]) -> Status;

    /// dL/dy (O), to be filled by the loss.
    fn error(&mut self) -> &mut [T];

    /// Takes the error back to the neurons. Returns an upper bound of the squared norm of the gradient.
    fn prepare(&mut self, view: &View<'_, T>, state: &State<'_, T>) -> T;

    /// Hands the gradient, times `scale`, to `optimiser`: every learning word once, in ascending order. With
    /// `last`, what is carried from step to step is advanced too.
    fn visit<O: Optimiser<T>>(
        &mut self,
        params: &mut Params<'_, T>,
        state: &State<'_, T>,
        optimiser: &mut O,
        scale: T,
        last: bool,
    );

    /// Advances what is carried from step to step, when there is nothing to learn from.
    fn advance(&mut self, params: &mut Params<'_, T>, state: &State<'_, T>);

    /// Squared size of what is carried and of what drives it: beyond `LARGEST²`, or NaN, it is reset.
    fn size(&self) -> T;

    /// Forgets the past, not what was learned from it.
    fn reset(&mut self);

    /// Forgets what was learned from the past, too: for parameters that were replaced.
    fn restart(&mut self) {
        self.reset();
    }

    /// By how much, at most, a change of the parameters of norm 1 changes the Jacobian of the map from one state
    /// to the next, in the Frobenius norm and to first order, at a fixed phi'.
    fn lever(&self, view: &View<'_, T>) -> T {
        let _ = view;
        T::ONE
    }

    /// Growth of a small difference of states per step, averaged over some 64 steps, where the rule knows it.
    fn growth(&self) -> Option<T> {
        None
    }

    /// What a rule of second order knows of the past, to be stored; none where there is nothing to keep.
    fn memory(&self) -> Option<Memory<'_, T>> {
        None
    }

    /// Goes on with what was stored, where there is something to keep.
    ///
    /// # Errors
    /// As [`Optimiser::resume`].
    fn resume(&mut self, memory: &Memory<'_, T>) -> Result<(), Error> {
        recall(Kind::Sgd, &mut [], memory, T::ZERO)
    }
}

/// What became of a step's gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Update {
    /// The parameters made a step.
    Done,
    /// There was no target.
    Untaught,
    /// Outputs, gradient or influence were not finite or beyond [`LARGEST`]: the parameters are as before.
    Rejected,
    /// The last good parameters were taken back (by a [`Guard`](super::Guard)).
    Restored,
}

/// What a learning step has to say.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Outcome<T> {
    /// The loss before the update, over the channels that have a target; 0 if there are none.
    pub loss: T,
    /// Input channels that held their last good value.
    pub held: u32,
    /// What became of the gradient.
    pub update: Update,
}

/// What happened since the learner was made; every count stays at the largest u32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Counts {
    /// Input samples held.
    pub held: u32,
    /// Targets that were infinite.
    pub bad_targets: u32,
    /// Updates made.
    pub updates: u32,
    /// Gradients rejected.
    pub rejected: u32,
    /// Resets of the influence.
    pub resets: u32,
    /// States that were not finite and set to the initial one.
    pub restarts: u32,
    /// Returns to the last good parameters.
    pub restored: u32,
}

/// A network that learns while it runs.
pub trait Learner<T: Scalar> {
    /// One time step: the forward step of [`View::step`], the gradient of its loss, the update.
    ///
    /// `params`, `state` and the learner must have been made for the same shape; otherwise the result is
    /// meaningless, but nothing panics.
    fn step(
        &mut self,
        params: &mut Params<'_, T>,
        state: &mut State<'_, T>,
        x: &[T],
        target: Option<&[T]>,
    ) -> Outcome<T>;

    /// What happened so far.
    fn counts(&self) -> Counts;

    /// Forgets the past, not what was learned: for a new sequence, with [`View::reset`] of the state.
    fn reset(&mut self);

    /// Forgets the past of rule and optimiser: for parameters that were replaced.
    fn restart(&mut self);

    /// Sets the trust region from now on ([`Online::trusting`]), where there can be one.
    fn trust(&mut self, most: T);

    /// As [`Rule::growth`].
    fn growth(&self) -> Option<T> {
        None
    }

    /// What must be stored beside the parameters to go on as if learning had never stopped: the memory of the
    /// rule, if it is of second order, or that of the optimiser. Influences are not in it, as after
    /// [`Learner::reset`].
    ///
    /// [`Memory::steps`] is Adam's; the other optimisers do not count, so that the caller may.
    fn memory(&self) -> Memory<'_, T>;

    /// Goes on with what was stored, beside [`Params::set`].
    ///
    /// # Errors
    /// As [`Optimiser::resume`].
    fn resume(&mut self, memory: &Memory<'_, T>) -> Result<(), Error>;
}

/// A rule, a loss and an optimiser.
#[derive(Debug)]
pub struct Online<R, O, T> {
    rule: R,
    optimiser: O,
    loss: Loss,
    trust: Option<T>,
    normalised: bool,
    counts: Counts,
}

impl<R, O, T: Scalar> Online<R, O, T> {
    /// Joins the three.
    pub fn new(rule: R, optimiser: O, loss: Loss) -> Self {
        Self { rule, optimiser, loss, trust: None, normalised: false, counts: Counts::default() }
    }

    /// With a trust region: no step changes the Jacobian of the state's map by more than `most` in the
    /// Frobenius norm, to first order and at a fixed phi'; longer steps are scaled down. A bound of the
    /// gradient's norm is used, so that a step may be shorter than it need be. Without effect under Adam,
    /// whose steps do not grow with the gradient.
    #[must_use]
    pub fn trusting(self, most: T) -> Self {
        Self { trust: Some(most), ..self }
    }

    /// With normalised steps: the gradient is divided by 1 + ‖dy/dtheta‖² as the rule's bound of it has it, so
    /// that with a rate up to 2, SGD never overshoots the target of the step that it learns from (to first
    /// order), however strong the influences grow. Normalised LMS for any parameter (Haykin, Adaptive
    /// Filter Theory, ch. 6, with 1 in the denominator).
    #[must_use]
    pub fn normalised(self, yes: bool) -> Self {
        Self { normalised: yes, ..self }
    }

    /// The optimiser.
    pub const fn optimiser(&self) -> &O {
        &self.optimiser
    }

    /// The rule, to give it signs for instance.
    pub const fn rule_mut(&mut self) -> &mut R {
        &mut self.rule
    }
}

impl<T: Scalar, R: Rule<T>, O: Optimiser<T>> Learner<T> for Online<R, O, T> {
    fn step(
        &mut self,
        params: &mut Params<'_, T>,
        state: &mut State<'_, T>,
        x: &[T],
        target: Option<&[T]>,
    ) -> Outcome<T> {
        let view = params.view();
        let held = self.rule.forward(&view, state, x).held;
        let judged =
            self.loss.judge(&view, outputs(&view, state), target.unwrap_or_default(), self.rule.error());
        count(&mut self.counts.held, held);
        count(&mut self.counts.bad_targets, judged.bad);
        let update = if judged.channels == 0 {
            self.rule.advance(params, state);
            Update::Untaught
        } else {
            self.update(params, state)
        };
        let small = self.rule.size() <= T::from_f64(LARGEST * LARGEST);
        if !small {
            self.rule.reset();
            count(&mut self.counts.resets, 1);
            if restart(&params.view(), state) {
                count(&mut self.counts.restarts, 1);
            }
        }
        Outcome { loss: judged.loss, held, update }
    }

    fn counts(&self) -> Counts {
        self.counts
    }

    fn reset(&mut self) {
        self.rule.reset();
    }

    fn restart(&mut self) {
        self.rule.restart();
        self.optimiser.reset();
    }

    fn trust(&mut self, most: T) {
        self.trust = Some(most);
    }

    fn growth(&self) -> Option<T> {
        self.rule.growth()
    }

    fn memory(&self) -> Memory<'_, T> {
        self.rule.memory().unwrap_or_else(|| self.optimiser.memory())
    }

    fn resume(&mut self, memory: &Memory<'_, T>) -> Result<(), Error> {
        if self.rule.memory().is_some() { self.rule.resume(memory) } else { self.optimiser.resume(memory) }
    }
}

impl<T: Scalar, R: Rule<T>, O: Optimiser<T>> Online<R, O, T> {
    #[inline(always)]
    fn update(&mut self, params: &mut Params<'_, T>, state: &State<'_, T>) -> Update {
        let bound = self.rule.prepare(&params.view(), state);
        let most = T::from_f64(LARGEST * LARGEST);
        if !(bound <= most && self.rule.size() <= most) {
            self.rule.advance(params, state);
            count(&mut self.counts.rejected, 1);
            return Update::Rejected;
        }
        let mut scale = T::ONE;
        if let Some(clip) = self.optimiser.clip() {
            let mut norm = Norm(T::ZERO);
            self.rule.visit(params, state, &mut norm, T::ONE, false);
            scale = at_most(norm.0.sqrt(), clip);
        }
        if self.normalised {
            let error = squares(self.rule.error());
            // An error of 0 has no gradient.
            scale = scale * if error.is_zero() { T::ONE } else { error / (error + bound) };
        }
        if let (Some(trust), Some(reach)) = (self.trust, self.optimiser.reach()) {
            let length = scale * bound.sqrt() * reach * self.rule.lever(&params.view());
            scale = scale * at_most(length, trust);
        }
        let scale = scale * self.optimiser.begin();
        self.rule.visit(params, state, &mut self.optimiser, scale, true);
        count(&mut self.counts.updates, 1);
        Update::Done
    }
}

/// What brings `length` down to `most`; 1 where it is.
fn at_most<T: Scalar>(length: T, most: T) -> T {
    if length > most { most / length } else { T::ONE }
}

/// The outputs of the last step in network units.
fn outputs<'s, T: Scalar>(view: &View<'_, T>, state: &'s State<'_, T>) -> &'s [T] {
    if view.shape.is_dense() || !view.settings.leaky() {
        state.y
    } else {
        state.carried.get(view.shape.rank..).unwrap_or_default()
    }
}

/// Sets a state that is not finite to the initial one; whether it did.
pub(crate) fn restart<T: Scalar>(view: &View<'_, T>, state: &mut State<'_, T>) -> bool {
    let bad = state.carried.iter().any(|word| !word.is_finite());
    if bad {
        state.carried.fill(T::ZERO);
        state.carried.copy_from_slice_checked(view.initial());
    }
    bad
}

/// Counts up to the largest.
#[inline(always)]
pub(crate) fn count(counter: &mut u32, by: u32) {
    *counter = counter.saturating_add(by);
}
