//! What a learner makes small.

use crate::network::View;
use crate::scalar::Scalar;

/// The loss of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Loss {
    /// L = ½ Σ_o (y_o − y\*_o)², dL/dy = y − y\*.
    ///
    /// The target is a physical value like the output: y\*_o = (target_o − center_o) / gain_o. A channel whose
    /// target is missing or not finite adds nothing.
    Square,
    /// L = ln Σ_o e^(y_o) − Σ_o t_o y_o, dL/dy = softmax(y) − t.
    ///
    /// The target t, a distribution over the outputs, is not scaled, and all of it is finite or the step has none.
    CrossEntropy,
}

/// A loss and whether anything can be learned from it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Judged<T> {
    pub loss: T,
    /// Channels with a target.
    pub channels: u32,
    /// Channels whose target was infinite: an error of the sender, while NaN says that there is none.
    pub bad: u32,
}

impl Loss {
    /// Fills `error` with dL/dy for the outputs `y` in network units.
    pub(crate) fn judge<T: Scalar>(
        self,
        view: &View<'_, T>,
        y: &[T],
        target: &[T],
        error: &mut [T],
    ) -> Judged<T> {
        error.fill(T::ZERO);
        match self {
            Self::Square => square(view, y, target, error),
            Self::CrossEntropy => cross_entropy(y, target, error),
        }
    }
}

#[inline(always)]
fn square<T: Scalar>(view: &View<'_, T>, y: &[T], target: &[T], error: &mut [T]) -> Judged<T> {
    let mut judged = Judged { loss: T::ZERO, channels: 0, bad: 0 };
    let channels = y.iter().zip(target).zip(view.output_scaling());
    for (error, ((&y, &target), &[center, gain])) in error.iter_mut().zip(channels) {
        let wanted = (target - center) / gain;
        if wanted.is_finite() {
            *error = y - wanted;
            judged.loss = judged.loss + *error * *error;
            judged.channels += 1;
        } else if is_infinite(target) {
            judged.bad += 1;
        }
    }
    judged.loss = judged.loss * T::from_f64(0.5);
    judged
}

fn cross_entropy<T: Scalar>(y: &[T], target: &[T], error: &mut [T]) -> Judged<T> {
    let bad = target.iter().filter(|&&t| is_infinite(t)).count() as u32;
    if target.len() < y.len() || target.iter().any(|t| !t.is_finite()) {
        return Judged { loss: T::ZERO, channels: 0, bad };
    }
    let Some(&first) = y.first() else { return Judged { loss: T::ZERO, channels: 0, bad } };
    let most = y.iter().fold(first, |most, &y| if y > most { y } else { most });
    let (mut sum, mut fit, mut whole) = (T::ZERO, T::ZERO, T::ZERO);
    for ((error, &y), &t) in error.iter_mut().zip(y).zip(target) {
        *error = (y - most).exp();
        sum = sum + *error;
        fit = fit + t * (y - most);
        whole = whole + t;
    }
    for (error, &t) in error.iter_mut().zip(target) {
        *error = *error / sum - t;
    }
    // t may be no distribution: Σ t y = Σ t (y − most) + most Σ t.
    Judged { loss: sum.ln() - fit + most * (T::ONE - whole), channels: y.len() as u32, bad }
}

/// Infinite, not NaN.
fn is_infinite<T: Scalar>(x: T) -> bool {
    !x.is_finite() && x.partial_cmp(&x).is_some()
}
