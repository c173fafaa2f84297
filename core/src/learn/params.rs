//! The packed words of a network that learns: the mutable twin of [`View`].

use crate::error::{Error, Expected, Field, exactly};
use crate::network::{Settings, View, split};
use crate::scalar::Scalar;
use crate::shape::{Form, Shape};

/// The parameters of a network in words that a learner may change: layer, readout, scaling, initial state, as
/// [`pack`](crate::pack::pack) puts them.
///
/// Checked once. No learner writes a word that is not finite, so that [`Params::view`] costs nothing.
#[derive(Debug)]
pub struct Params<'a, T> {
    shape: Shape,
    settings: Settings<T>,
    words: &'a mut [T],
}

impl<'a, T: Scalar> Params<'a, T> {
    /// Borrows `words` ([`Shape::parameter_len`] of them).
    ///
    /// # Errors
    /// As [`View::new`]; the current form or a nonlinear decoder, for which there is no rule.
    pub fn new(shape: Shape, settings: Settings<T>, words: &'a mut [T]) -> Result<Self, Error> {
        View::from_words(shape, settings, words)?;
        if settings.form != Form::Rate {
            let found = settings.form as u64;
            return Err(Error::new(Field::Form, Expected::Exactly(Form::Rate as u64), found));
        }
        exactly(Field::Decoder, 0, settings.nonlinear_decoder.into())?;
        Ok(Self { shape, settings, words })
    }

    /// The view that inference takes.
    #[inline(always)]
    #[must_use]
    pub fn view(&self) -> View<'_, T> {
        View::lend(self.shape, self.settings, split(&self.shape, self.words))
    }

    /// Sizes.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// All words, to be stored.
    #[must_use]
    pub const fn words(&self) -> &[T] {
        self.words
    }

    /// Takes over words that were stored.
    ///
    /// # Errors
    /// As [`View::new`]; nothing is changed then.
    pub fn set(&mut self, words: &[T]) -> Result<(), Error> {
        exactly(Field::Layer, self.words.len(), words.len())?;
        View::from_words(self.shape, self.settings, words)?;
        self.restore(words);
        Ok(())
    }

    /// As [`Params::set`] for words that were checked.
    pub(crate) fn restore(&mut self, words: &[T]) {
        for (word, &stored) in self.words.iter_mut().zip(words) {
            *word = stored;
        }
    }

    /// The words of the layer.
    #[inline(always)]
    pub(crate) fn layer_mut(&mut self) -> &mut [T] {
        self.words.get_mut(..self.shape.layer_len()).unwrap_or_default()
    }

    /// c and the words after it that belong to the readout, and where c begins.
    #[inline(always)]
    pub(crate) fn readout_mut(&mut self) -> (&mut [T], &mut [T], usize) {
        let from = self.shape.layer_len();
        let readout = self.words.get_mut(from..from + self.shape.readout_len()).unwrap_or_default();
        let (c, columns) = readout.split_at_mut_checked(self.shape.outputs).unwrap_or_default();
        (c, columns, from)
    }
}

/// Which parameters learn; the others keep their bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Groups {
    /// W of a dense network, U of one of low rank.
    pub recurrent: bool,
    /// V.
    pub back: bool,
    /// B.
    pub input: bool,
    /// b.
    pub bias: bool,
    /// C.
    pub readout: bool,
    /// c.
    pub output_bias: bool,
}

impl Groups {
    /// Everything learns.
    pub const ALL: Self =
        Self { recurrent: true, back: true, input: true, bias: true, readout: true, output_bias: true };
    /// Nothing learns.
    pub const NONE: Self =
        Self { recurrent: false, back: false, input: false, bias: false, readout: false, output_bias: false };
    /// W, or U and V.
    pub const RECURRENT: Self = Self { recurrent: true, back: true, ..Self::NONE };
    /// C and c.
    pub const READOUT: Self = Self { readout: true, output_bias: true, ..Self::NONE };
}
