//! From matrices as one writes them to the packed words that a chip streams.

use crate::error::{Error, Field, exactly};
use crate::linear::PANEL_ROWS;
use crate::network::{View, check_shape};
use crate::scalar::Scalar;
use crate::shape::Shape;

/// The recurrent weights, row-major.
#[derive(Clone, Copy, Debug)]
pub enum Weights<'a, T> {
    /// W, n × n; row i holds the weights to neuron i.
    Dense(&'a [T]),
    /// W = U Vᵀ.
    LowRank {
        /// U, n × R.
        u: &'a [T],
        /// V, n × R.
        v: &'a [T],
    },
}

/// The parameters of a network as matrices, all row-major.
#[derive(Clone, Copy, Debug)]
pub struct Matrices<'a, T> {
    /// W, or U and V.
    pub weights: Weights<'a, T>,
    /// B, n × I.
    pub input: &'a [T],
    /// b, n.
    pub bias: &'a [T],
    /// C, O × n.
    pub readout: &'a [T],
    /// c, O.
    pub output_bias: &'a [T],
    /// (center, gain) of every input, then of every output.
    pub scaling: &'a [[T; 2]],
    /// Initial carried words; missing ones are 0.
    pub initial: &'a [T],
}

/// Packs `matrices` into `words` ([`Shape::parameter_len`] of them): layer, readout, scaling,
/// initial state. A bias of −0 becomes +0.
///
/// # Errors
/// A matrix or `words` of the wrong size.
///
/// ```
/// use tinyfold_core::pack::{Matrices, Weights, pack};
/// use tinyfold_core::{Activation, Settings, Shape, View};
/// let shape = Shape { neurons: 1, rank: 1, inputs: 1, outputs: 1 };
/// let mut words = [0.0_f32; 12];
/// let matrices = Matrices {
///     weights: Weights::LowRank { u: &[0.5], v: &[1.0] },
///     input: &[1.0],
///     bias: &[0.0],
///     readout: &[2.0],
///     output_bias: &[0.0],
///     scaling: &[[0.0, 1.0], [0.0, 1.0]],
///     initial: &[],
/// };
/// pack(&shape, &matrices, &mut words[..shape.parameter_len()])?;
/// let view = View::from_words(shape, Settings::new(Activation::Linear), &words[..shape.parameter_len()])?;
/// let mut memory = [0.0; 8];
/// let mut state = view.state(&mut memory)?;
/// view.step(&mut state, &[3.0]);
/// assert_eq!(state.output(), [6.0]);
/// # Ok::<(), tinyfold_core::Error>(())
/// ```
pub fn pack<T: Scalar>(shape: &Shape, matrices: &Matrices<'_, T>, words: &mut [T]) -> Result<(), Error> {
    let Shape { neurons, rank, inputs, outputs } = *shape;
    check_shape(shape)?;
    exactly(Field::Buffer, shape.parameter_len(), words.len())?;
    exactly(Field::Inputs, neurons * inputs, matrices.input.len())?;
    exactly(Field::Layer, neurons, matrices.bias.len())?;
    exactly(Field::Readout, outputs * neurons, matrices.readout.len())?;
    exactly(Field::Readout, outputs, matrices.output_bias.len())?;
    exactly(Field::Scaling, inputs + outputs, matrices.scaling.len())?;
    if matrices.initial.len() > shape.initial_len() {
        exactly(Field::Initial, shape.initial_len(), matrices.initial.len())?;
    }
    match matrices.weights {
        Weights::Dense(w) => {
            exactly(Field::Rank, 0, rank)?;
            exactly(Field::Layer, neurons * neurons, w.len())?;
        }
        Weights::LowRank { u, v } => {
            exactly(Field::Rank, neurons * rank, u.len())?;
            exactly(Field::Rank, neurons * rank, v.len())?;
        }
    }

    let entry = |matrix: &[T], columns: usize, i: usize, j: usize| {
        matrix.get(i * columns + j).copied().unwrap_or(T::ZERO)
    };
    let bias = |i: usize| positive_zero(matrices.bias.get(i).copied().unwrap_or(T::ZERO));
    let mut words = words.iter_mut();
    let mut put = |x: T| {
        if let Some(word) = words.next() {
            *word = x;
        }
    };
    match matrices.weights {
        Weights::Dense(w) => {
            for first in (0..neurons).step_by(PANEL_ROWS) {
                for column in 0..shape.columns() {
                    for i in first..first + PANEL_ROWS {
                        put(if i >= neurons {
                            T::ZERO
                        } else if column == 0 {
                            bias(i)
                        } else if column <= neurons {
                            entry(w, neurons, i, column - 1)
                        } else {
                            entry(matrices.input, inputs, i, column - 1 - neurons)
                        });
                    }
                }
            }
        }
        Weights::LowRank { u, v } => {
            for i in 0..neurons {
                put(bias(i));
                (0..rank).for_each(|r| put(entry(u, rank, i, r)));
                (0..inputs).for_each(|k| put(entry(matrices.input, inputs, i, k)));
                (0..rank).for_each(|r| put(entry(v, rank, i, r)));
                (0..outputs).for_each(|o| put(entry(matrices.readout, neurons, o, i)));
            }
        }
    }
    matrices.output_bias.iter().for_each(|&c| put(positive_zero(c)));
    if shape.is_dense() {
        for i in 0..neurons {
            (0..outputs).for_each(|o| put(entry(matrices.readout, neurons, o, i)));
        }
    }
    matrices.scaling.iter().flatten().for_each(|&x| put(x));
    matrices.initial.iter().for_each(|&x| put(x));
    (matrices.initial.len()..shape.initial_len()).for_each(|_| put(T::ZERO));
    Ok(())
}

fn positive_zero<T: Scalar>(x: T) -> T {
    if x.is_negative_zero() { T::ZERO } else { x }
}

/// The entries of a packed network, for tools: `None` outside the shape. Not for the hot path.
impl<T: Scalar> View<'_, T> {
    /// b_i.
    #[must_use]
    pub fn bias(&self, i: usize) -> Option<T> {
        self.column_entry(i, 0)
    }

    /// W\[i, j\] of a dense network.
    #[must_use]
    pub fn recurrent(&self, i: usize, j: usize) -> Option<T> {
        (self.shape.is_dense() && j < self.shape.neurons).then(|| self.column_entry(i, 1 + j))?
    }

    /// B\[i, k\].
    #[must_use]
    pub fn input(&self, i: usize, k: usize) -> Option<T> {
        let before = if self.shape.is_dense() { self.shape.neurons } else { self.shape.rank };
        (k < self.shape.inputs).then(|| self.column_entry(i, 1 + before + k))?
    }

    /// U\[i, r\] of a low-rank network.
    #[must_use]
    pub fn u(&self, i: usize, r: usize) -> Option<T> {
        (r < self.shape.rank).then(|| self.column_entry(i, 1 + r))?
    }

    /// V\[i, r\] of a low-rank network.
    #[must_use]
    pub fn v(&self, i: usize, r: usize) -> Option<T> {
        let Shape { rank, inputs, .. } = self.shape;
        (r < rank).then(|| self.column_entry(i, 1 + rank + inputs + r))?
    }

    /// C\[o, i\].
    #[must_use]
    pub fn readout(&self, o: usize, i: usize) -> Option<T> {
        let Shape { neurons, rank, inputs, outputs } = self.shape;
        if o >= outputs || i >= neurons {
            None
        } else if self.shape.is_dense() {
            self.readout.get(i * outputs + o).copied()
        } else {
            self.column_entry(i, 1 + 2 * rank + inputs + o)
        }
    }

    /// c.
    #[must_use]
    pub const fn output_bias(&self) -> &[T] {
        self.readout_bias
    }

    /// (center, gain) of every input.
    #[must_use]
    pub const fn input_scaling(&self) -> &[[T; 2]] {
        self.input_scaling
    }

    /// (center, gain) of every output.
    #[must_use]
    pub const fn output_scaling(&self) -> &[[T; 2]] {
        self.output_scaling
    }

    /// The carried words after a reset.
    #[must_use]
    pub fn initial(&self) -> &[T] {
        let carried = self.shape.carried_len(self.settings.form, self.settings.leaky());
        self.initial.get(..carried).unwrap_or_default()
    }

    /// Entry of neuron i in a column of its panel, or in a word of its record.
    fn column_entry(&self, i: usize, column: usize) -> Option<T> {
        if i >= self.shape.neurons {
            return None;
        }
        let at = if self.shape.is_dense() {
            (i / PANEL_ROWS * self.shape.columns() + column) * PANEL_ROWS + i % PANEL_ROWS
        } else {
            i * self.shape.record() + column
        };
        self.layer.get(at).copied()
    }
}
