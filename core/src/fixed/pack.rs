//! From integer matrices as one writes them to the packed words that a chip streams.

use super::dense::{PANEL_TAIL, ROWS, padded, panel_len, weight, word};
use super::network::{record_len, section_lens};
use super::{View, Weight};
use crate::error::{Error, Field, exactly};
use crate::network::check_shape;
use crate::pack::Weights;
use crate::shape::Shape;

/// Scaling of one input: x = (raw - center) multiplier / 2^shift.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Input {
    /// Raw value of 0.
    pub center: i32,
    /// Multiplier.
    pub multiplier: i32,
    /// 0 to 62.
    pub shift: u8,
    /// The physical value of one raw unit.
    pub unit: f32,
}

/// What follows the sums of a layer.
#[derive(Clone, Copy, Debug)]
pub enum Readout<'a, W> {
    /// Dense: C (O × n, row-major), with a scale r and a bias of each output.
    Dense {
        /// C, O × n.
        weights: &'a [W],
        /// r, O.
        scale: &'a [i32],
        /// b, O.
        bias: &'a [i32],
    },
    /// Low rank: C (O × n, row-major) and the correction of the R + O sums.
    LowRank {
        /// C, O × n.
        weights: &'a [W],
        /// M, (R + O) × (R + O), row-major.
        matrix: &'a [i32],
        /// Shift of every row, 0 to 62.
        shift: &'a [i32],
        /// Bias of every row.
        bias: &'a [i32],
    },
}

/// The parameters of a network of fixed point as integer matrices, all row-major.
#[derive(Clone, Copy, Debug)]
pub struct Matrices<'a, W> {
    /// W, or U and V.
    pub weights: Weights<'a, W>,
    /// B, n × I.
    pub input: &'a [W],
    /// r, n.
    pub scale: &'a [i32],
    /// b, n.
    pub bias: &'a [i32],
    /// C and what belongs to it.
    pub readout: Readout<'a, W>,
    /// Scaling of the inputs, I.
    pub inputs: &'a [Input],
    /// The physical value of one unit of each output, O.
    pub output_units: &'a [f32],
    /// Initial carried words; missing ones are 0.
    pub initial: &'a [i32],
}

/// Packs `matrices` into `words`: as many as the [`section_lens`] together.
///
/// # Errors
/// A matrix or `words` of the wrong size, a readout that does not go with the weights.
pub fn pack<W: Weight>(shape: &Shape, matrices: &Matrices<'_, W>, words: &mut [i32]) -> Result<(), Error> {
    let Shape { neurons, rank, inputs, outputs } = *shape;
    let sums = rank + outputs;
    check_shape(shape)?;
    exactly(Field::Buffer, section_lens::<W>(shape).iter().sum(), words.len())?;
    exactly(Field::Inputs, neurons * inputs, matrices.input.len())?;
    exactly(Field::Layer, neurons, matrices.scale.len())?;
    exactly(Field::Layer, neurons, matrices.bias.len())?;
    exactly(Field::Scaling, inputs, matrices.inputs.len())?;
    exactly(Field::Scaling, outputs, matrices.output_units.len())?;
    if matrices.initial.len() > shape.initial_len() {
        exactly(Field::Initial, shape.initial_len(), matrices.initial.len())?;
    }
    words.fill(0);
    let mut words = Writer { words: words.iter_mut() };
    match (matrices.weights, matrices.readout) {
        (Weights::Dense(w), Readout::Dense { weights: c, scale, bias }) if shape.is_dense() => {
            exactly(Field::Layer, neurons * neurons, w.len())?;
            exactly(Field::Readout, outputs * neurons, c.len())?;
            exactly(Field::Readout, outputs, scale.len())?;
            exactly(Field::Readout, outputs, bias.len())?;
            words.panels(neurons, neurons + inputs, [matrices.scale, matrices.bias], |i, j| {
                match j.checked_sub(neurons) {
                    None => w.get(i * neurons + j),
                    Some(k) => matrices.input.get(i * inputs + k),
                }
            });
            words.panels(outputs, neurons, [scale, bias], |o, j| c.get(o * neurons + j));
        }
        (Weights::LowRank { u, v }, Readout::LowRank { weights: c, matrix, shift, bias })
            if !shape.is_dense() =>
        {
            exactly(Field::Rank, neurons * rank, u.len())?;
            exactly(Field::Rank, neurons * rank, v.len())?;
            exactly(Field::Readout, outputs * neurons, c.len())?;
            exactly(Field::Readout, sums * sums, matrix.len())?;
            exactly(Field::Readout, sums, shift.len())?;
            exactly(Field::Readout, sums, bias.len())?;
            for i in 0..neurons {
                words.put([matrices.scale.get(i), matrices.bias.get(i)]);
                let row = |matrix: &'_ [W], columns: usize, k: usize| matrix.get(i * columns + k).copied();
                let record = (0..rank)
                    .map(|j| row(u, rank, j))
                    .chain((0..inputs).map(|k| row(matrices.input, inputs, k)))
                    .chain((0..rank).map(|j| row(v, rank, j)))
                    .chain((0..outputs).map(|o| c.get(o * neurons + i).copied()));
                words.weights(record, (record_len::<W>(shape) - 2) * W::IN_A_WORD);
            }
            words.put(bias.iter().chain(shift).chain(matrix).map(Some));
        }
        _ => return Err(Error::new(Field::Rank, crate::Expected::Exactly(rank as u64), 0)),
    }
    for input in matrices.inputs {
        let (shift, unit) = (i32::from(input.shift), input.unit.to_bits() as i32);
        words.put([input.center, input.multiplier, shift, unit].iter().map(Some));
    }
    for unit in matrices.output_units {
        words.put([Some(&(unit.to_bits() as i32))]);
    }
    words.put(matrices.initial.iter().map(Some));
    Ok(())
}

struct Writer<'a> {
    words: core::slice::IterMut<'a, i32>,
}

impl Writer<'_> {
    fn put<'v>(&mut self, values: impl IntoIterator<Item = Option<&'v i32>>) {
        for value in values {
            if let (Some(word), Some(&value)) = (self.words.next(), value) {
                *word = value;
            }
        }
    }

    /// Rows in panels: the columns, as many of one row in a word as fit, then scales, biases.
    fn panels<'w, W: Weight>(
        &mut self,
        rows: usize,
        columns: usize,
        tails: [&[i32]; PANEL_TAIL / ROWS],
        entry: impl Fn(usize, usize) -> Option<&'w W>,
    ) {
        for first in (0..rows).step_by(ROWS) {
            for column in (0..padded(columns)).step_by(W::IN_A_WORD) {
                for i in first..first + ROWS {
                    let place = |j: usize| (i < rows && column + j < columns).then_some((i, column + j));
                    let word = word::<W>(|j| place(j).and_then(|(i, j)| entry(i, j)).map_or(0, |w| w.raw()));
                    self.put([Some(&word)]);
                }
            }
            for tail in tails {
                self.put((first..first + ROWS).map(|i| tail.get(i)));
            }
        }
    }

    /// `count` weights, a whole number of words; missing ones are 0.
    fn weights<W: Weight>(&mut self, values: impl Iterator<Item = Option<W>>, count: usize) {
        let mut values = values.chain(core::iter::repeat(None));
        for _ in 0..count / W::IN_A_WORD {
            let mut word = 0_u32;
            for k in 0..W::IN_A_WORD {
                let bits = 32 / W::IN_A_WORD as u32;
                let raw = values.next().flatten().map_or(0, W::raw) as u32;
                word |= (raw & (u32::MAX >> (32 - bits))) << (bits * k as u32);
            }
            self.put([Some(&(word as i32))]);
        }
    }
}

/// Single parameters, for tools that show or check a model.
impl<W: Weight> View<'_, W> {
    /// Weight `k` of the record of neuron `i`: U_i, B_i, V_i, C_i one after the other. Low rank only.
    #[must_use]
    pub fn record(&self, i: usize, k: usize) -> Option<W> {
        if self.shape.is_dense() || k >= 2 * self.shape.rank + self.shape.inputs + self.shape.outputs {
            return None;
        }
        let length = record_len::<W>(&self.shape);
        let words = self.layer.get(i * length..)?.get(2..length)?;
        bytemuck::try_cast_slice::<_, W>(words).ok()?.get(k).copied()
    }

    /// Scale r and bias b of neuron `i`.
    #[must_use]
    pub fn scale_and_bias(&self, i: usize) -> Option<[i32; 2]> {
        if self.shape.is_dense() {
            tail::<W>(self.layer, self.shape.neurons + self.shape.inputs, i)
        } else {
            self.layer.get(i * record_len::<W>(&self.shape)..)?.first_chunk().copied()
        }
    }

    /// Weight of row `i` in column `j` of the dense layer: W, then B.
    #[must_use]
    pub fn entry(&self, i: usize, j: usize) -> Option<W> {
        let columns = self.shape.neurons + self.shape.inputs;
        (self.shape.is_dense() && i < self.shape.neurons).then(|| entry(self.layer, columns, i, j))?
    }

    /// Weight of output `o` in column `j` of the dense readout.
    #[must_use]
    pub fn readout_entry(&self, o: usize, j: usize) -> Option<W> {
        (self.shape.is_dense() && o < self.shape.outputs)
            .then(|| entry(self.readout, self.shape.neurons, o, j))?
    }

    /// Scale r and bias b of output `o` of the dense readout.
    #[must_use]
    pub fn readout_scale_and_bias(&self, o: usize) -> Option<[i32; 2]> {
        self.shape.is_dense().then(|| tail::<W>(self.readout, self.shape.neurons, o))?
    }

    /// Bias, shift and row of the correction of sum `j`. Low rank only.
    #[must_use]
    pub fn correction(&self, j: usize) -> Option<(i32, i32, &[i32])> {
        let sums = self.shape.rank + self.shape.outputs;
        if self.shape.is_dense() || j >= sums {
            return None;
        }
        let row = self.readout.get((2 + j) * sums..)?.get(..sums)?;
        Some((*self.readout.get(j)?, *self.readout.get(sums + j)?, row))
    }
}

fn tail<W: Weight>(panels: &[i32], columns: usize, i: usize) -> Option<[i32; 2]> {
    let after = (i / ROWS + 1) * panel_len::<W>(columns) - PANEL_TAIL;
    let tail = panels.get(after..)?;
    Some([*tail.get(i % ROWS)?, *tail.get(ROWS + i % ROWS)?])
}

fn entry<W: Weight>(panels: &[i32], columns: usize, i: usize, j: usize) -> Option<W> {
    if j >= columns {
        return None;
    }
    let word = i / ROWS * panel_len::<W>(columns) + j / W::IN_A_WORD * ROWS + i % ROWS;
    Some(W::from_raw(weight::<W>(*panels.get(word)?, j % W::IN_A_WORD)))
}
