//! The matrix-vector product of fixed point: rows in panels of four, columns in words.
//!
//! A panel is its columns, four at a time, then four scales r and four biases b. Four columns are, for each
//! row in turn, words of weights that a core with 16-bit multiplies uses as they are: columns 0 1 and, for
//! all rows again, 2 3 of 16 bits; one word of columns 0 2 1 3 of 8 bits (from its low byte on), with 128
//! added to columns 0 and 1.

use core::marker::PhantomData;

use super::activation::narrow;
#[cfg(not(tinyfold_portable))]
use super::kernel::Prepared;
use super::{Weight, mulh};
use crate::error::{Error, Expected, Field, exactly};

/// Rows of a panel.
pub(crate) const ROWS: usize = 4;
/// Words after the columns of a panel: four scales r, four biases b.
pub(crate) const PANEL_TAIL: usize = 2 * ROWS;
/// Columns are padded with zeros to a multiple of this.
pub(crate) const COLUMNS: usize = 4;
/// Panels that a kernel computes at a time.
const PANELS: usize = 8;

/// What a dense network multiplies its weights with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Rates {
    /// Rates of 16 bits.
    I16 = 1,
    /// Rates of 8 bits, -127 to 127, with weights of 8 bits only; acc counts 256 times.
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
#[must_use]
pub const fn panel_len<W: Weight>(columns: usize) -> usize {
    ROWS * padded(columns) / W::IN_A_WORD + PANEL_TAIL
}

/// Place in its word of column `j` of the columns in a word, in bits, and what is added to it.
const fn stored<W: Weight>(j: usize) -> (u32, u32) {
    match (W::IN_A_WORD, j) {
        (2, j) => (16 * j as u32, 0),
        (_, 0 | 1) => (16 * j as u32, 0x80),
        (_, j) => (16 * j as u32 - 24, 0),
    }
}

/// Weight `j` of a word.
#[inline(always)]
pub(crate) fn weight<W: Weight>(word: i32, j: usize) -> i32 {
    let (bits, (place, added)) = (32 / W::IN_A_WORD as u32, stored::<W>(j));
    ((word as u32 >> (place & 31)) ^ added).wrapping_shl(32 - bits).cast_signed() >> (32 - bits)
}

/// The word of such weights.
pub(crate) fn word<W: Weight>(weight: impl Fn(usize) -> i32) -> i32 {
    let most = u32::MAX >> (32 - 32 / W::IN_A_WORD as u32);
    let place = |j| {
        let (place, added) = stored::<W>(j);
        ((weight(j) as u32 ^ added) & most) << place
    };
    (0..W::IN_A_WORD).fold(0, |word, j| word | place(j)) as i32
}

/// A rate as the target's multiply instruction takes it.
#[cfg(any(tinyfold_thumb1, tinyfold_thumb2))]
pub(crate) type Rate = i32;
/// A rate as the target's multiply instruction takes it.
#[cfg(not(any(tinyfold_thumb1, tinyfold_thumb2)))]
pub(crate) type Rate = i16;

/// The rates and inputs that a dense product multiplies its weights with, as the target likes them.
#[derive(Debug)]
pub struct Vector<'m> {
    kind: Rates,
    rates: &'m mut [Rate],
    /// Where a kernel may mix rates of 8 bits.
    #[cfg(tinyfold_dsp)]
    room: &'m mut [Rate],
}

impl<'m> Vector<'m> {
    /// Words of memory for this many columns.
    #[must_use]
    pub const fn words(columns: usize) -> usize {
        padded(columns)
    }

    /// The vector in `words`: all zero, or what an earlier vector of this kind left there.
    #[inline(always)]
    #[must_use]
    pub fn new(kind: Rates, words: &'m mut [i32]) -> Self {
        // Rates of 16 bits take half of the words.
        #[cfg(not(any(tinyfold_thumb1, tinyfold_thumb2)))]
        let (words, _room) = words.split_at_mut_checked(words.len() / 2).unwrap_or_default();
        Self {
            kind,
            rates: bytemuck::try_cast_slice_mut(words).unwrap_or_default(),
            #[cfg(tinyfold_dsp)]
            room: bytemuck::try_cast_slice_mut(_room).unwrap_or_default(),
        }
    }

    /// Sets the columns from `first` on to value / 2^shift, rounded and saturated as the table of
    /// [`fixed`](super) says; shift is 0 to 31.
    #[inline(always)]
    pub fn fill(&mut self, first: usize, shift: u32, values: impl IntoIterator<Item = i32>) {
        let bits = self.kind.bits();
        for (rate, value) in self.rates.iter_mut().skip(first).zip(values) {
            *rate = narrow(value, shift, bits) as Rate;
        }
    }
}

/// How a product is computed; all ways of a model and accumulator give the same numbers.
#[derive(Clone, Copy)]
pub(crate) enum Sums {
    /// Of 32 bits, which hold the sum or wrap as it does; acc = sum 2^left / 2^right.
    Narrow { left: u32, right: u32 },
    /// Of 64 bits; acc = sum / 2^right.
    Wide { right: u32 },
}

/// Columns whose products of an i8 weight with a rate of 16 bits, 2^22 at most, fit 32 bits.
const MOST_COLUMNS: usize = 511;

impl Sums {
    const fn of<W: Weight>(columns: usize, kind: Rates, accumulator: Accumulator) -> Self {
        match (accumulator, kind) {
            (Accumulator::I32, Rates::I16) => Self::Narrow { left: 0, right: 0 },
            (Accumulator::I32, Rates::I8) => Self::Narrow { left: 8, right: 0 },
            // Their products are 2^14 at most: no shape leaves 32 bits.
            (Accumulator::I64 { shift }, Rates::I8) => {
                let shift = shift as u32 & 31;
                Self::Narrow { left: 8_u32.saturating_sub(shift), right: shift.saturating_sub(8) }
            }
            (Accumulator::I64 { shift }, Rates::I16) => {
                let right = shift as u32 & 31;
                if W::IN_A_WORD == 4 && padded(columns) <= MOST_COLUMNS {
                    Self::Narrow { left: 0, right }
                } else {
                    Self::Wide { right }
                }
            }
        }
    }
}

/// A product that is ready to run over panels.
pub(crate) struct Product<'a, W> {
    #[cfg(not(tinyfold_portable))]
    prepared: Option<Prepared<'a>>,
    rates: &'a [Rate],
    columns: usize,
    sums: Sums,
    weights: PhantomData<W>,
}

impl<'a, W: Weight> Product<'a, W> {
    #[inline(always)]
    pub(crate) fn new(columns: usize, vector: Vector<'a>, accumulator: Accumulator) -> Self {
        let sums = Sums::of::<W>(columns, vector.kind, accumulator);
        let rates = &*vector.rates;
        Self {
            #[cfg(tinyfold_dsp)]
            prepared: Prepared::new::<W>(sums, columns, rates, (vector.kind, vector.room)),
            #[cfg(any(tinyfold_thumb1, tinyfold_thumb2))]
            prepared: Prepared::new::<W>(sums, columns, rates),
            rates,
            columns,
            sums,
            weights: PhantomData,
        }
    }

    /// p of whole panels, as many as fill `p`.
    #[inline(always)]
    fn whole(&self, panels: &[i32], p: &mut [i32]) {
        #[cfg(not(tinyfold_portable))]
        if let Some(prepared) = &self.prepared {
            return prepared.run(panels, p);
        }
        portable::<W>(panels, self.columns, self.rates, self.sums, p);
    }

    /// p = b + mulh(acc, r) of the rows of `panels`, as many as fill `p`.
    pub(crate) fn rows(&self, panels: &[i32], p: &mut [i32]) {
        let (whole, rest) = p.split_at_mut_checked(p.len() / ROWS * ROWS).unwrap_or_default();
        let words = whole.len() / ROWS * panel_len::<W>(self.columns);
        let (panels, last) = panels.split_at_checked(words).unwrap_or_default();
        self.whole(panels, whole);
        if !rest.is_empty() {
            let mut padded = [0; ROWS];
            self.whole(last, &mut padded);
            rest.iter_mut().zip(padded).for_each(|(p, value)| *p = value);
        }
    }

    /// Gives p of `rows` rows of `panels`, in order and some at a time, to `each`.
    #[inline(always)]
    pub(crate) fn chunks(&self, panels: &[i32], rows: usize, mut each: impl FnMut(&[i32])) {
        let mut chunk = [0; PANELS * ROWS];
        let (mut rest, mut left) = (panels, rows);
        while left > 0 {
            let Some(p) = chunk.get_mut(..left.min(PANELS * ROWS)) else { break };
            self.rows(rest, p);
            each(p);
            rest = rest.get(PANELS * panel_len::<W>(self.columns)..).unwrap_or_default();
            left -= p.len();
        }
    }
}

/// The definition: every kernel gives the same.
#[cfg_attr(any(tinyfold_dsp, tinyfold_thumb2), cold)]
fn portable<W: Weight>(panels: &[i32], columns: usize, rates: &[Rate], sums: Sums, p: &mut [i32]) {
    let mut rest = panels;
    for p in p.as_chunks_mut::<ROWS>().0 {
        let Some((panel, next)) = rest.split_at_checked(panel_len::<W>(columns)) else { break };
        let Some((words, &[r0, r1, r2, r3, b0, b1, b2, b3])) = panel.split_last_chunk::<PANEL_TAIL>() else {
            break;
        };
        let accs = match sums {
            Sums::Narrow { left, right } => {
                let product = |w: i32, h: Rate| w.wrapping_mul(i32::from(h));
                let mut sums = [0_i32; ROWS];
                add::<W, i32>(&mut sums, words, rates, product, i32::wrapping_add);
                sums.map(|sum| (sum << (left & 31)) >> (right & 31))
            }
            Sums::Wide { right } => {
                let product = |w: i32, h: Rate| i64::from(w.wrapping_mul(i32::from(h)));
                let mut sums = [0_i64; ROWS];
                add::<W, i64>(&mut sums, words, rates, product, i64::wrapping_add);
                sums.map(|sum| (sum >> (right & 63)) as i32)
            }
        };
        for ((p, acc), (r, b)) in p.iter_mut().zip(accs).zip([(r0, b0), (r1, b1), (r2, b2), (r3, b3)]) {
            *p = b.wrapping_add(mulh(acc, r));
        }
        rest = next;
    }
}

#[inline(always)]
fn add<W: Weight, S: Copy>(
    sums: &mut [S; ROWS],
    words: &[i32],
    rates: &[Rate],
    product: impl Fn(i32, Rate) -> S,
    plus: impl Fn(S, S) -> S,
) {
    for (words, rates) in words.as_chunks::<ROWS>().0.iter().zip(rates.chunks_exact(W::IN_A_WORD)) {
        for (sum, &word) in sums.iter_mut().zip(words) {
            for (j, &rate) in rates.iter().enumerate() {
                *sum = plus(*sum, product(weight::<W>(word, j), rate));
            }
        }
    }
}

/// One dense product alone: p = b + mulh(acc, r) of all rows of `panels`, a packed layer or readout.
///
/// `panels` has [`panel_len`] words for every 4 rows, `p` one word for every row, `vector` the rates of
/// `columns` columns.
///
/// # Errors
/// A length that does not fit, rates of 8 bits with weights of 16.
pub fn dense<W: Weight>(
    panels: &[i32],
    columns: usize,
    vector: Vector<'_>,
    accumulator: Accumulator,
    p: &mut [i32],
) -> Result<(), Error> {
    let rows = p.len();
    exactly(Field::Layer, rows.div_ceil(ROWS) * panel_len::<W>(columns), panels.len())?;
    if vector.rates.len() < padded(columns) {
        let words = Expected::AtLeast(padded(columns) as u64);
        return Err(Error::new(Field::State, words, vector.rates.len() as u64));
    }
    if vector.kind == Rates::I8 && W::IN_A_WORD == 2 {
        return Err(Error::new(Field::Variant, Expected::Exactly(Rates::I16 as u64), vector.kind as u64));
    }
    Product::<W>::new(columns, vector, accumulator).rows(panels, p);
    Ok(())
}
