//! The coefficients as one writes them, and the order in which a step reads them.

use super::Shape;
use crate::error::{Error, Field, exactly};
use crate::scalar::Scalar;

/// The coefficients of a reduced model as one writes them.
///
/// The terms of a series ascend: a_0 .. a_K, or a_00 .. a_0K, a_10 .. a_1(K-1), and so on to a_K0.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a, T> {
    /// \[lo, hi\] of every coordinate (D).
    pub interval: &'a [[T; 2]],
    /// z before the first step (D).
    pub initial: &'a [T],
    /// f of every coordinate (D × terms).
    pub drift: &'a [T],
    /// g of every coordinate and input (D × I × terms).
    pub gain: &'a [T],
    /// c of every output (O × terms).
    pub output: &'a [T],
}

/// A part of [`Series`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// \[lo, hi\] of the coordinates, flattened.
    Interval,
    /// z before the first step.
    Initial,
    /// f.
    Drift,
    /// g.
    Gain,
    /// c.
    Output,
}

/// Packs `series` into `words` ([`Shape::parameter_len`] of them), in the order in which a step reads them.
///
/// # Errors
/// A part or `words` of the wrong size.
pub fn pack<T: Scalar>(shape: &Shape, series: &Series<'_, T>, words: &mut [T]) -> Result<(), Error> {
    shape.check()?;
    let Shape { dimensions, inputs, outputs, .. } = *shape;
    let [drift, gain, output] = [shape.drift, shape.gain, shape.output].map(|degree| shape.terms(degree));
    exactly(Field::Buffer, shape.parameter_len(), words.len())?;
    exactly(Field::Interval, dimensions, series.interval.len())?;
    exactly(Field::Initial, dimensions, series.initial.len())?;
    exactly(Field::Series, dimensions * drift, series.drift.len())?;
    exactly(Field::Series, dimensions * inputs * gain, series.gain.len())?;
    exactly(Field::Readout, outputs * output, series.output.len())?;
    let mut words = words.iter_mut();
    packed(shape, |part, index| {
        let part = match part {
            Part::Interval => series.interval.as_flattened(),
            Part::Initial => series.initial,
            Part::Drift => series.drift,
            Part::Gain => series.gain,
            Part::Output => series.output,
        };
        if let (Some(word), Some(&x)) = (words.next(), part.get(index)) {
            *word = x;
        }
    });
    Ok(())
}

/// What every packed word is, one after the other: a part of [`Series`] and the place in it.
pub fn packed(shape: &Shape, mut each: impl FnMut(Part, usize)) {
    let Shape { dimensions, inputs, outputs, .. } = *shape;
    let [drift, gain, output] = [shape.drift, shape.gain, shape.output].map(|degree| shape.terms(degree));
    (0..2 * dimensions).for_each(|k| each(Part::Interval, k));
    (0..dimensions).for_each(|d| each(Part::Initial, d));
    for d in 0..dimensions {
        descend(dimensions, shape.drift, |j, k| {
            each(Part::Drift, d * drift + ascending(dimensions, shape.drift, j, k));
            if j + k <= shape.gain {
                let at = ascending(dimensions, shape.gain, j, k);
                (0..inputs).for_each(|i| each(Part::Gain, (d * inputs + i) * gain + at));
            }
        });
    }
    for o in 0..outputs {
        descend(dimensions, shape.output, |j, k| {
            each(Part::Output, o * output + ascending(dimensions, shape.output, j, k));
        });
    }
}

/// Every (j, k) with j + k <= degree, both descending; j is 0 for one coordinate.
fn descend(dimensions: usize, degree: usize, mut each: impl FnMut(usize, usize)) {
    let most = if dimensions == 1 { 0 } else { degree };
    for j in (0..=most).rev() {
        (0..=degree - j).rev().for_each(|k| each(j, k));
    }
}

/// Place of a_jk among ascending terms.
const fn ascending(dimensions: usize, degree: usize, j: usize, k: usize) -> usize {
    // Rows before j have degree + 1, degree, .. terms.
    if dimensions == 1 { k } else { j * (2 * degree + 3 - j) / 2 + k }
}
