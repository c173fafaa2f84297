//! Dale's law: a neuron excites or inhibits.

use crate::error::{Error, Expected, Field, exactly};
use crate::linear::PANEL_ROWS;
use crate::scalar::Scalar;
use crate::shape::Shape;
use crate::wire::learned::Memory;

use super::optimiser::Optimiser;
use super::params::Params;

/// Dale's law: all weights from neuron j have its sign.
///
/// Dense: sign_j W_ij ≥ 0. Low rank: U_ir ≥ 0 and sign_j V_jr ≥ 0, which is enough for W = U Vᵀ to keep the
/// signs, not necessary. Input weights that are [tied](super::Tie) follow U and V and have no sign of their own.
///
/// Memory: n signs. Source: the projection of Fanthomme & Monasson 2021 for W = |W| diag(signs).
///
/// ```
/// use tinyfold_core::Shape;
/// use tinyfold_core::learn::{Dale, Optimiser, Sgd};
///
/// let shape = Shape { neurons: 1, rank: 1, inputs: 1, outputs: 1 };
/// let dale = Dale::new(&shape, &[-1.0])?;
/// let mut sgd = dale.projected(Sgd::new(0.5)?);
/// // b, U, B, V: a step that would take V beyond 0 ends there.
/// assert_eq!(sgd.word(3, -0.25, -1.0), 0.0);
/// assert_eq!(sgd.word(2, -0.25, -1.0), 0.75);
/// # Ok::<(), tinyfold_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Dale<'a, T> {
    shape: Shape,
    signs: &'a [T],
}

/// An optimiser whose steps end where [`Dale`]'s law does: projected gradient descent, if it is [`Sgd`](super::Sgd).
///
/// The words must be within the law before ([`Dale::project`]); a step is then never longer than without it.
#[derive(Debug)]
pub struct Projected<'a, O, T> {
    optimiser: O,
    dale: Dale<'a, T>,
}

impl<'a, T: Scalar> Dale<'a, T> {
    /// `signs` (n): 1 where a neuron excites, −1 where it inhibits.
    ///
    /// # Errors
    /// A length other than n, a number other than ±1.
    pub fn new(shape: &Shape, signs: &'a [T]) -> Result<Self, Error> {
        exactly(Field::Neurons, shape.neurons, signs.len())?;
        match signs.iter().position(|&sign| sign != T::ONE && sign != -T::ONE) {
            Some(index) => Err(Error::new(Field::Neurons, Expected::Finite, index as u64)),
            None => Ok(Self { shape: *shape, signs }),
        }
    }

    /// Sets recurrent weights of the wrong sign to 0. Before a rule with a [`Tie`](super::Tie) is made: that sets B.
    pub fn project(&self, params: &mut Params<'_, T>) {
        for (word, at) in params.layer_mut().iter_mut().zip(0..) {
            *word = self.word(at, *word);
        }
    }

    /// `optimiser` within the law.
    pub const fn projected<O>(self, optimiser: O) -> Projected<'a, O, T> {
        Projected { optimiser, dale: self }
    }

    /// The word at index `at` of all packed words, or 0 if it has the wrong sign.
    fn word(&self, at: usize, word: T) -> T {
        if word * self.sign(at) < T::ZERO { T::ZERO } else { word }
    }

    /// The sign of the word at index `at` of all packed words; 0 where it may have any.
    fn sign(&self, at: usize) -> T {
        let Shape { rank, inputs, .. } = self.shape;
        let of = |neuron: Option<usize>| neuron.and_then(|neuron| self.signs.get(neuron).copied());
        let sign = if at >= self.shape.layer_len() {
            None
        } else if self.shape.is_dense() {
            of((at / PANEL_ROWS % self.shape.columns().max(1)).checked_sub(1))
        } else {
            let record = self.shape.record().max(1);
            let (neuron, place) = (at / record, at % record);
            let v = 1 + rank + inputs;
            match place {
                _ if (1..=rank).contains(&place) => Some(T::ONE),
                _ if (v..v + rank).contains(&place) => of(Some(neuron)),
                _ => None,
            }
        };
        sign.unwrap_or(T::ZERO)
    }
}

impl<T: Scalar, O: Optimiser<T>> Optimiser<T> for Projected<'_, O, T> {
    const SPARSE: bool = O::SPARSE;

    fn begin(&mut self) -> T {
        self.optimiser.begin()
    }

    fn word(&mut self, at: usize, word: T, gradient: T) -> T {
        self.dale.word(at, self.optimiser.word(at, word, gradient))
    }

    fn clip(&self) -> Option<T> {
        self.optimiser.clip()
    }

    fn reach(&self) -> Option<T> {
        self.optimiser.reach()
    }

    fn reset(&mut self) {
        self.optimiser.reset();
    }

    fn memory(&self) -> Memory<'_, T> {
        self.optimiser.memory()
    }

    fn resume(&mut self, memory: &Memory<'_, T>) -> Result<(), Error> {
        self.optimiser.resume(memory)
    }
}
