//! Dale's law: a neuron excites or inhibits.

use crate::error::{Error, Expected, Field, exactly};
use crate::linear::PANEL_ROWS;
use crate::scalar::Scalar;
use crate::shape::Shape;

use super::params::Params;

/// Dale's law: all weights from neuron j have its sign.
///
/// Dense: sign_j W_ij ≥ 0. Low rank: U_ir ≥ 0 and sign_j V_jr ≥ 0, which is enough for W = U Vᵀ to keep the
/// signs, not necessary. [`Dale::project`] sets what has the wrong sign to 0: call it after a step; a step may have
/// left the law, none is left in it.
///
/// Memory: n signs. Source: the projection of Fanthomme & Monasson 2021 for W = |W| diag(signs).
#[derive(Clone, Copy, Debug)]
pub struct Dale<'a, T> {
    signs: &'a [T],
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
            None => Ok(Self { signs }),
        }
    }

    /// Sets recurrent weights of the wrong sign to 0.
    pub fn project(&self, params: &mut Params<'_, T>) {
        let shape = params.shape();
        let positive = |word: &mut T, sign: T| {
            if *word * sign < T::ZERO {
                *word = T::ZERO;
            }
        };
        if shape.is_dense() {
            for panel in params.layer_mut().chunks_exact_mut((PANEL_ROWS * shape.columns()).max(1)) {
                let columns = panel.as_chunks_mut::<PANEL_ROWS>().0.get_mut(1..).unwrap_or_default();
                for (column, &sign) in columns.iter_mut().zip(self.signs) {
                    for word in column {
                        positive(word, sign);
                    }
                }
            }
        } else {
            let Shape { rank, inputs, .. } = shape;
            for (record, &sign) in params.layer_mut().chunks_exact_mut(shape.record().max(1)).zip(self.signs)
            {
                record.iter_mut().skip(1).take(rank).for_each(|word| positive(word, T::ONE));
                record.iter_mut().skip(1 + rank + inputs).take(rank).for_each(|word| positive(word, sign));
            }
        }
    }
}
