//! The matrix-vector product of fixed point: rows in panels of four, columns in words.

use super::{Weight, mulh};

/// Rows of a panel.
pub(crate) const ROWS: usize = 4;
/// Words before the columns of a panel: four scales r, four biases b.
pub(crate) const PANEL_HEAD: usize = 2 * ROWS;
/// Columns are padded with zeros to a multiple of this.
const COLUMNS: usize = 4;

/// What a dense network multiplies its weights with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Rates {
    /// Rates of 16 bits.
    I16 = 1,
    /// Rates of 8 bits, with weights of 8 bits only; acc counts 256 times.
    I8 = 2,
}

impl Rates {
    /// Bits of a rate.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::I16 => 16,
            Self::I8 => 8,
        }
    }

    /// Words of 32 bits that hold `count` rates, padded.
    pub(crate) const fn words(self, count: usize) -> usize {
        padded(count) * self.bits() as usize / 32
    }
}

/// Where a dense product is summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Accumulator {
    /// 32 bits: a model must keep every sum within them.
    I32,
    /// 64 bits, then acc = floor(sum / 2^shift): no sum can leave them.
    I64 {
        /// 0 to 31.
        shift: u8,
    },
}

/// Columns with their padding.
pub(crate) const fn padded(columns: usize) -> usize {
    columns.next_multiple_of(COLUMNS)
}

/// Words of a panel.
pub(crate) const fn panel_len<W: Weight>(columns: usize) -> usize {
    PANEL_HEAD + ROWS * padded(columns) / W::IN_A_WORD
}

/// The rates of a step, as a kernel reads them.
#[derive(Clone, Copy)]
pub(crate) enum Vector<'a> {
    I16(&'a [i16]),
    I8(&'a [i8]),
}

/// Gives p = b + mulh(acc, r) of every row of `panels` to `row`, in order, padding rows included.
#[inline(always)]
pub(crate) fn product<W: Weight>(
    panels: &[i32],
    columns: usize,
    vector: Vector<'_>,
    accumulator: Accumulator,
    mut row: impl FnMut(i32),
) {
    let mut rest = panels;
    while let Some((panel, next)) = rest.split_at_checked(panel_len::<W>(columns)) {
        let Some((head, words)) = panel.split_first_chunk::<PANEL_HEAD>() else { break };
        let weights: &[W] = bytemuck::try_cast_slice(words).unwrap_or_default();
        let sums = match (vector, accumulator) {
            (Vector::I16(h), Accumulator::I32) => narrow_sums(weights, h, i32::from, |w: W| w.raw()),
            (Vector::I8(h), Accumulator::I32) => narrow_sums(weights, h, i32::from, |w: W| w.raw() << 8),
            (Vector::I16(h), Accumulator::I64 { shift }) => wide_sums(weights, h, i32::from, shift),
            (Vector::I8(h), Accumulator::I64 { shift }) => {
                wide_sums(weights, h, |h| i32::from(h) << 8, shift)
            }
        };
        let [r0, r1, r2, r3, b0, b1, b2, b3] = *head;
        for (acc, (r, b)) in sums.into_iter().zip([(r0, b0), (r1, b1), (r2, b2), (r3, b3)]) {
            row(b.wrapping_add(mulh(acc, r)));
        }
        rest = next;
    }
}

#[inline(always)]
fn narrow_sums<W: Weight, H: Copy>(
    weights: &[W],
    rates: &[H],
    rate: impl Fn(H) -> i32,
    weight: impl Fn(W) -> i32,
) -> [i32; ROWS] {
    let mut sums = [0_i32; ROWS];
    for (block, rates) in weights.chunks_exact(ROWS * W::IN_A_WORD).zip(rates.chunks_exact(W::IN_A_WORD)) {
        for (sum, weights) in sums.iter_mut().zip(block.chunks_exact(W::IN_A_WORD)) {
            for (&w, &h) in weights.iter().zip(rates) {
                *sum = sum.wrapping_add(weight(w).wrapping_mul(rate(h)));
            }
        }
    }
    sums
}

#[inline(always)]
fn wide_sums<W: Weight, H: Copy>(
    weights: &[W],
    rates: &[H],
    rate: impl Fn(H) -> i32,
    shift: u8,
) -> [i32; ROWS] {
    let mut sums = [0_i64; ROWS];
    for (block, rates) in weights.chunks_exact(ROWS * W::IN_A_WORD).zip(rates.chunks_exact(W::IN_A_WORD)) {
        for (sum, weights) in sums.iter_mut().zip(block.chunks_exact(W::IN_A_WORD)) {
            for (&w, &h) in weights.iter().zip(rates) {
                *sum = sum.wrapping_add(i64::from(w.raw()) * i64::from(rate(h)));
            }
        }
    }
    sums.map(|sum| (sum >> (shift & 31)) as i32)
}
