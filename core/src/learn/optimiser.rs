//! From gradients to steps: SGD, momentum, Adam.

use crate::error::{Error, Expected, Field};
use crate::scalar::Scalar;
use crate::wire::learned::{Memory, Optimiser as Kind};

use super::LARGEST;
use super::memory::{recall, room};

/// Takes the gradient of every learning parameter exactly once a step, in ascending packed order, and gives the
/// new word. No buffer holds a gradient.
///
/// Gradients are linear in the error dL/dy; what multiplies all of them alike is multiplied into the error
/// once, as [`Optimiser::begin`] says.
pub trait Optimiser<T: Scalar> {
    /// Whether a gradient of 0 changes neither the word nor the optimiser: a rule may then leave it out.
    const SPARSE: bool;

    /// Whether [`Optimiser::word`] is `word − gradient` and does nothing else: kernels may then do the same.
    const SUBTRACTS: bool = false;

    /// A step begins. What the error is to be multiplied by.
    fn begin(&mut self) -> T {
        T::ONE
    }

    /// The word at index `at` of all packed words, after a step along `gradient`.
    fn word(&mut self, at: usize, word: T, gradient: T) -> T;

    /// Largest Euclidean norm of the whole gradient; larger ones are scaled down to it. The norm is exact and
    /// costs a second pass over the gradients.
    fn clip(&self) -> Option<T> {
        None
    }

    /// Length of the longest step that gradients of norm 1 can make, if it grows with them.
    fn reach(&self) -> Option<T> {
        None
    }

    /// Forgets the gradients of the past.
    fn reset(&mut self) {}

    /// What it remembers of the gradients of the past, to be stored. [`Memory::steps`] is 0 but for [`Adam`].
    fn memory(&self) -> Memory<'_, T> {
        Memory { optimiser: Kind::Sgd, steps: 0, words: &[] }
    }

    /// Goes on with what was stored, as if it had never stopped.
    ///
    /// # Errors
    /// [`Field::Optimiser`]: the memory of another optimiser or of another number of words, or words that it cannot
    /// have had. Nothing is changed then.
    fn resume(&mut self, memory: &Memory<'_, T>) -> Result<(), Error> {
        recall(Kind::Sgd, &mut [], memory, T::ZERO)
    }
}

/// Stochastic gradient descent: w' = w − rate · g, computed as w − (rate · dL/dy) · dy/dw.
///
/// Memory: none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd<T> {
    rate: T,
    clip: Option<T>,
}

/// SGD with momentum: m' = beta m + g, w' = w − rate m' (Polyak 1964 as Sutskever et al. 2013, eq. 1-2, with
/// the rate outside).
///
/// Memory: one word a parameter, [`Shape::parameter_len`](crate::Shape::parameter_len) of them.
#[derive(Debug)]
pub struct Momentum<'m, T> {
    rate: T,
    beta: T,
    clip: Option<T>,
    mean: &'m mut [T],
}

/// Adam: m' = beta1 m + (1 − beta1) g, v' = beta2 v + (1 − beta2) g²,
/// w' = w − rate m' / (1 − beta1^t) / (sqrt(v' / (1 − beta2^t)) + epsilon) (Kingma & Ba 2015, algorithm 1).
///
/// Memory: two words a parameter, 2 [`Shape::parameter_len`](crate::Shape::parameter_len) of them.
#[derive(Debug)]
pub struct Adam<'m, T> {
    rate: T,
    beta: [T; 2],
    epsilon: T,
    clip: Option<T>,
    /// t.
    steps: u64,
    /// rate / (1 − beta1^t), 1 / (1 − beta2^t).
    correction: [T; 2],
    moments: &'m mut [[T; 2]],
}

/// In `(0, most]`, and so finite.
fn positive<T: Scalar>(x: T, most: f64) -> Result<T, Error> {
    let good = T::ZERO < x && x <= T::from_f64(most);
    if good { Ok(x) } else { Err(Error::new(Field::Rate, Expected::Finite, 0)) }
}

/// 2^-20: 1 minus the largest beta.
const LEAST_DECAY: f64 = 1.0 / 1_048_576.0;

/// In [0, 1 − 2^-20].
fn decay<T: Scalar>(beta: T) -> Result<T, Error> {
    let good = T::ZERO <= beta && beta <= T::from_f64(1.0 - LEAST_DECAY);
    if good { Ok(beta) } else { Err(Error::new(Field::Rate, Expected::Finite, 1)) }
}

/// x^k by squaring: a function of k alone, so that nothing but k need be stored.
fn power<T: Scalar>(x: T, mut k: u64) -> T {
    let (mut square, mut product) = (x, T::ONE);
    while k > 0 {
        if k & 1 == 1 {
            product = product * square;
        }
        square = square * square;
        k >>= 1;
    }
    product
}

/// The largest rate: with gradients below [`LARGEST`](super::LARGEST), no step reaches half a unit in the last
/// place of the largest number, so no word can leave the finite ones.
const FASTEST: f64 = 1024.0;

impl<T: Scalar> Sgd<T> {
    /// `rate` in (0, 1024].
    ///
    /// # Errors
    /// A rate out of range.
    pub fn new(rate: T) -> Result<Self, Error> {
        Ok(Self { rate: positive(rate, FASTEST)?, clip: None })
    }

    /// With gradients of norm `clip` at most.
    #[must_use]
    pub const fn clipped(self, clip: T) -> Self {
        Self { clip: Some(clip), ..self }
    }
}

impl<'m, T: Scalar> Momentum<'m, T> {
    /// `rate` in (0, 1024], `beta` in [0, 1 − 2^-20], memory of at least `words`, the number of packed words.
    ///
    /// # Errors
    /// A number out of range, memory too short.
    pub fn new(rate: T, beta: T, words: usize, memory: &'m mut [T]) -> Result<Self, Error> {
        let mean = room(memory, words)?;
        mean.fill(T::ZERO);
        Ok(Self { rate: positive(rate, FASTEST)?, beta: decay(beta)?, clip: None, mean })
    }

    /// With gradients of norm `clip` at most.
    #[must_use]
    pub const fn clipped(mut self, clip: T) -> Self {
        self.clip = Some(clip);
        self
    }
}

impl<'m, T: Scalar> Adam<'m, T> {
    /// `rate` in (0, 1024], betas in [0, 1 − 2^-20], `epsilon` in [1e-12, 1], memory of at least 2 `words`, the
    /// number of packed words.
    ///
    /// # Errors
    /// A number out of range, memory too short.
    pub fn new(rate: T, beta: [T; 2], epsilon: T, words: usize, memory: &'m mut [T]) -> Result<Self, Error> {
        let [first, second] = beta;
        let memory = room(memory, 2 * words)?;
        memory.fill(T::ZERO);
        if epsilon < T::from_f64(1e-12) {
            return Err(Error::new(Field::Rate, Expected::Finite, 2));
        }
        Ok(Self {
            rate: positive(rate, FASTEST)?,
            beta: [decay(first)?, decay(second)?],
            epsilon: positive(epsilon, 1.0)?,
            clip: None,
            steps: 0,
            correction: [T::ZERO; 2],
            moments: memory.as_chunks_mut().0,
        })
    }

    /// With gradients of norm `clip` at most.
    #[must_use]
    pub const fn clipped(mut self, clip: T) -> Self {
        self.clip = Some(clip);
        self
    }
}

impl<T: Scalar> Optimiser<T> for Sgd<T> {
    const SPARSE: bool = true;
    const SUBTRACTS: bool = true;

    #[inline(always)]
    fn begin(&mut self) -> T {
        self.rate
    }

    #[inline(always)]
    fn word(&mut self, _: usize, word: T, gradient: T) -> T {
        word - gradient
    }

    #[inline(always)]
    fn clip(&self) -> Option<T> {
        self.clip
    }

    fn reach(&self) -> Option<T> {
        Some(self.rate)
    }
}

impl<T: Scalar> Optimiser<T> for Momentum<'_, T> {
    const SPARSE: bool = false;

    #[inline(always)]
    fn word(&mut self, at: usize, word: T, gradient: T) -> T {
        let Some(mean) = self.mean.get_mut(at) else { return word };
        *mean = self.beta * *mean + gradient;
        word - self.rate * *mean
    }

    fn clip(&self) -> Option<T> {
        self.clip
    }

    fn reach(&self) -> Option<T> {
        Some(self.rate / (T::ONE - self.beta))
    }

    fn reset(&mut self) {
        self.mean.fill(T::ZERO);
    }

    fn memory(&self) -> Memory<'_, T> {
        Memory { optimiser: Kind::Momentum, steps: 0, words: self.mean }
    }

    fn resume(&mut self, memory: &Memory<'_, T>) -> Result<(), Error> {
        // Σ beta^t of gradients below LARGEST, and as much again for rounding.
        recall(Kind::Momentum, self.mean, memory, T::from_f64(2.0 * LARGEST / LEAST_DECAY))
    }
}

impl<T: Scalar> Optimiser<T> for Adam<'_, T> {
    const SPARSE: bool = false;

    fn begin(&mut self) -> T {
        self.steps = self.steps.saturating_add(1);
        let [first, second] = self.beta.map(|beta| power(beta, self.steps));
        self.correction = [self.rate / (T::ONE - first), T::ONE / (T::ONE - second)];
        T::ONE
    }

    #[inline(always)]
    fn word(&mut self, at: usize, word: T, gradient: T) -> T {
        let Some([mean, square]) = self.moments.get_mut(at) else { return word };
        let ([first, second], [rate, correction]) = (self.beta, self.correction);
        *mean = first * *mean + (T::ONE - first) * gradient;
        *square = second * *square + (T::ONE - second) * (gradient * gradient);
        word - rate * *mean / ((*square * correction).sqrt() + self.epsilon)
    }

    fn clip(&self) -> Option<T> {
        self.clip
    }

    fn reset(&mut self) {
        self.steps = 0;
        self.moments.as_flattened_mut().fill(T::ZERO);
    }

    fn memory(&self) -> Memory<'_, T> {
        Memory { optimiser: Kind::Adam, steps: self.steps, words: self.moments.as_flattened() }
    }

    fn resume(&mut self, memory: &Memory<'_, T>) -> Result<(), Error> {
        let [means, squares] = [0, 1].map(|first| memory.words.iter().skip(first).step_by(2));
        // Means and roots of means of gradients; rounding adds less than an eighth where beta is 1 − 2^-20.
        let most = T::from_f64(1.125 * LARGEST);
        let bad = means.zip(squares).position(|(&mean, &square)| {
            !(-most <= mean && mean <= most && T::ZERO <= square && square <= most * most)
        });
        if let Some(index) = bad {
            return Err(Error::new(Field::Optimiser, Expected::Finite, index as u64));
        }
        recall(Kind::Adam, self.moments.as_flattened_mut(), memory, most * most)?;
        self.steps = memory.steps;
        Ok(())
    }
}

/// Changes no word and keeps the gradient: what a rule computes, for comparisons.
///
/// Memory: one word a parameter; those that do not learn are not written.
#[derive(Debug)]
pub struct Tape<'m, T>(pub &'m mut [T]);

impl<T: Scalar> Optimiser<T> for Tape<'_, T> {
    const SPARSE: bool = false;

    fn word(&mut self, at: usize, word: T, gradient: T) -> T {
        if let Some(kept) = self.0.get_mut(at) {
            *kept = gradient;
        }
        word
    }
}

/// Σ g².
pub(crate) struct Norm<T>(pub T);

impl<T: Scalar> Optimiser<T> for Norm<T> {
    const SPARSE: bool = true;

    #[inline(always)]
    fn word(&mut self, _: usize, word: T, gradient: T) -> T {
        self.0 = self.0 + gradient * gradient;
        word
    }
}

/// Learns nothing.
pub(crate) struct Nothing;

impl<T: Scalar> Optimiser<T> for Nothing {
    const SPARSE: bool = true;

    #[inline(always)]
    fn word(&mut self, _: usize, word: T, _: T) -> T {
        word
    }
}
