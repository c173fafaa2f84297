//! Cutting lent memory into parts, and filling them with what was stored.

use crate::error::{Error, Expected, Field, exactly};
use crate::network::{CopyChecked, View};
use crate::scalar::Scalar;
use crate::wire::learned::{self, Optimiser};

/// Memory that was lent, cut from the front.
pub(crate) struct Memory<'m, T>(&'m mut [T]);

impl<'m, T: Scalar> Memory<'m, T> {
    /// The first `words` of `memory`, all zero.
    pub(crate) fn new(memory: &'m mut [T], words: usize) -> Result<Self, Error> {
        let memory = room(memory, words)?;
        memory.fill(T::ZERO);
        Ok(Self(memory))
    }

    /// The next `words`.
    pub(crate) fn cut(&mut self, words: usize) -> &'m mut [T] {
        let (part, rest) = core::mem::take(&mut self.0).split_at_mut_checked(words).unwrap_or_default();
        self.0 = rest;
        part
    }
}

impl<'m, T> Memory<'m, T> {
    /// All that is left.
    pub(crate) fn rest(self) -> &'m mut [T] {
        self.0
    }
}

/// The first `words` of `memory`.
pub(crate) fn room<T>(memory: &mut [T], words: usize) -> Result<&mut [T], Error> {
    let found = memory.len();
    let too_short = Error::new(Field::Buffer, Expected::AtLeast(words as u64), found as u64);
    memory.get_mut(..words).ok_or(too_short)
}

/// Fills `words` with those of `memory`, which must be of this kind and length and within ±`most`.
pub(crate) fn recall<T: Scalar>(
    kind: Optimiser,
    words: &mut [T],
    memory: &learned::Memory<'_, T>,
    most: T,
) -> Result<(), Error> {
    exactly(Field::Optimiser, kind as usize, memory.optimiser as usize)?;
    exactly(Field::Optimiser, words.len(), memory.words.len())?;
    if let Some(index) = memory.words.iter().position(|&word| !(-most <= word && word <= most)) {
        return Err(Error::new(Field::Optimiser, Expected::Finite, index as u64));
    }
    words.copy_from_slice_checked(memory.words);
    Ok(())
}

/// As [`recall`] for an inverse covariance of rows of `size` whose trace is in (0, `most`]: that trace, which no entry
/// exceeds.
pub(crate) fn recall_inverse<T: Scalar>(
    kind: Optimiser,
    inverse: &mut [T],
    memory: &learned::Memory<'_, T>,
    size: usize,
    most: T,
) -> Result<T, Error> {
    let trace = trace(memory.words, size);
    let good = T::ZERO < trace && trace <= most;
    recall(kind, inverse, memory, if good { trace } else { T::from_f64(f64::NAN) })?;
    Ok(trace)
}

/// The sum of the diagonal of a square matrix with rows of `size`.
pub(crate) fn trace<T: Scalar>(matrix: &[T], size: usize) -> T {
    let rows = matrix.chunks_exact(size.max(1)).enumerate();
    rows.filter_map(|(i, row)| row.get(i)).fold(T::ZERO, |sum, &s| sum + s)
}

/// Refuses a network of low rank.
pub(crate) fn dense<T: Scalar>(view: &View<'_, T>) -> Result<(), Error> {
    exactly(Field::Rank, 0, view.shape().rank)
}

/// Σ x².
#[inline(always)]
pub(crate) fn squares<T: Scalar>(x: &[T]) -> T {
    let (fours, rest) = x.as_chunks::<4>();
    let mut sum = T::ZERO;
    for &[a, b, c, d] in fours {
        sum = sum + a * a + b * b + c * c + d * d;
    }
    rest.iter().fold(sum, |sum, &x| sum + x * x)
}

/// Σ a_k b_k, ascending from the first product.
#[inline(always)]
pub(crate) fn dot<T: Scalar>(a: &[T], b: &[T]) -> T {
    let mut products = a.iter().zip(b);
    let first = products.next().map_or(T::ZERO, |(&a, &b)| a * b);
    products.fold(first, |sum, (&a, &b)| sum + a * b)
}
