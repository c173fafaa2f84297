//! The bytes of a lesson (what a chip is to learn, and how) and of what comes back beside the result.
//!
//! Both are little-endian.
//!
//! | offset | bytes | lesson |
//! |---|---|---|
//! | 0 | 4 | magic `TFLS` |
//! | 4 | 2, 2, 2 | version, inputs I, outputs O |
//! | 10 | 1 | [`Kind`](crate::learn::Kind) of rule |
//! | 11 | 1 | groups that learn, bits from the lowest: W or U, V, B, b, C, c |
//! | 12 | 4 | rows T |
//! | 16 | 4, 4 | passes; first steps that are left out of the result |
//! | 24 | 4, 4 | steps of an episode; steps between two stores of what was learned, 0: it is not kept |
//! | 32 | 4 × 4 | rate, trust region at start and end, forget (f32) |
//! | 48 | 4, 3 × 4 | guard: steps between copies; limits of state, loss and growth (f32) |
//! | 64 | 1, 1 | loss: 1 square, 2 cross-entropy; normalised: 0 or 1 |
//! | 66 | 14 | zero |
//! | 80 | T (I + O) × 4 | rows: samples, targets (NaN: none), f32 |
//! | | 4 | CRC-32 of all before |
//!
//! The result of a lesson is that of a trial ([`ResultHeader`](super::trial::ResultHeader)), the first word of a step
//! being `held` + 2^16 × [`code`] of its update, followed by
//!
//! | bytes | taught |
//! |---|---|
//! | 4 | magic `TFLD` |
//! | 4 | number w of packed words |
//! | 7 × 4 | [`Counts`]: held, bad targets, updates, rejected, resets, restarts, restored |
//! | 4 | sequence number of the record that learning began with; 0: none |
//! | 4 | sequence number of the last record stored; 0: none |
//! | w × 4 | the packed words after the last step |

use bytemuck::{cast_slice, try_cast_slice};

use super::{CHECKSUM, CHECKSUM_LEN, check_kind, checked_body, one_of, take_u16, take_u32};
use crate::error::{Error, Expected, Field, between, exactly};
use crate::learn::{Counts, Groups, KINDS, Limits, Loss, Plan, Update};
use crate::shape::Shape;

/// Version of both formats.
pub const VERSION: u16 = 1;
/// Bytes before the rows.
pub const HEADER_LEN: usize = 80;
/// Most rows.
pub const MOST_ROWS: usize = 1 << 24;
/// Words of what was taught before the packed ones.
pub const TAUGHT_LEN: usize = 11;

const LESSON: u32 = u32::from_le_bytes(*b"TFLS");
const TAUGHT: u32 = u32::from_le_bytes(*b"TFLD");

/// A plan, and rows to carry it out on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lesson<'a> {
    /// I.
    pub inputs: usize,
    /// O.
    pub outputs: usize,
    /// Rule, rate, passes.
    pub plan: Plan<f32>,
    /// First steps that are left out of the result.
    pub silent: u32,
    /// Steps between two stores of what was learned; after the last one, too. 0: nothing is kept.
    ///
    /// A store takes time (on an nRF52840, whose core stands still, up to 85 ms for every 4096 bytes erased) and wears
    /// the flash out: 20 000 stores in two banks of 10 000 erasures are 55 hours at 100 steps a second and a store
    /// every 1000 steps, and 231 days at one every 100 000.
    pub store: u32,
    /// Row-major T × (I + O): samples, targets.
    pub rows: &'a [f32],
}

impl Lesson<'_> {
    /// Steps in all: rows × passes.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        match self.rows.len().checked_div(self.inputs + self.outputs) {
            Some(rows) => rows as u64 * self.plan.passes as u64,
            None => 0,
        }
    }

    /// Whether what was learned is stored after a step that so many were before.
    #[must_use]
    pub fn stores_after(&self, step: u32) -> bool {
        let done = u64::from(step) + 1;
        self.store > 0 && (done.is_multiple_of(self.store.into()) || done == self.steps())
    }

    /// Steps in the result.
    #[must_use]
    pub const fn told(&self) -> u64 {
        self.steps().saturating_sub(self.silent as u64)
    }
}

/// Bytes of a lesson whose rows have `words` words in all.
#[must_use]
pub const fn length(words: usize) -> usize {
    HEADER_LEN + size_of::<u32>() * words + CHECKSUM_LEN
}

/// Whether bytes begin like a lesson.
#[must_use]
pub fn is_lesson(bytes: &[u8]) -> bool {
    take_u32(bytes, 0) == Some(LESSON)
}

/// The number of an update in the result.
#[must_use]
pub const fn code(update: Update) -> u32 {
    match update {
        Update::Done => 0,
        Update::Untaught => 1,
        Update::Rejected => 2,
        Update::Restored => 3,
    }
}

/// Writes a lesson into `out`, which has [`length`] bytes.
///
/// # Errors
/// What a reader would refuse; `out` of another length.
pub fn write(lesson: &Lesson<'_>, out: &mut [u8]) -> Result<(), Error> {
    let Lesson { inputs, outputs, plan, silent, store, rows } = *lesson;
    between(Field::Inputs, 1, Shape::MOST, inputs)?;
    between(Field::Outputs, 1, Shape::MOST, outputs)?;
    let count = rows.len() / (inputs + outputs);
    exactly(Field::Samples, count * (inputs + outputs), rows.len())?;
    exactly(Field::Buffer, length(rows.len()), out.len())?;
    let (groups, limits) = (plan.groups, plan.limits);
    let bits = [groups.recurrent, groups.back, groups.input, groups.bias, groups.readout, groups.output_bias];
    let bits = bits.iter().rev().fold(0_u8, |bits, &learns| bits << 1 | u8::from(learns));
    let [start, end] = plan.trust;
    let loss = match plan.loss {
        Loss::Square => 1,
        Loss::CrossEntropy => 2,
    };
    let mut bytes = out.iter_mut();
    let mut put = |values: &[u8]| values.iter().zip(bytes.by_ref()).for_each(|(&value, byte)| *byte = value);
    put(&LESSON.to_le_bytes());
    for half in [VERSION, inputs as u16, outputs as u16, u16::from(bits) << 8 | plan.kind as u16] {
        put(&half.to_le_bytes());
    }
    for word in [count as u32, plan.passes, silent, plan.episode, store] {
        put(&word.to_le_bytes());
    }
    for number in [plan.rate, start, end, plan.forget] {
        put(&number.to_le_bytes());
    }
    put(&limits.every.to_le_bytes());
    for number in [limits.state, limits.loss, limits.growth] {
        put(&number.to_le_bytes());
    }
    put(&[loss, u8::from(plan.normalised)]);
    put(&[0; 14]);
    put(cast_slice(rows));
    if let Some((body, checksum)) = out.split_last_chunk_mut() {
        *checksum = CHECKSUM.checksum(body).to_le_bytes();
    }
    read_prefix(out).map(|_| ())
}

/// Reads the lesson at the start of `bytes`, in place.
///
/// # Errors
/// Not a whole lesson of this version.
pub fn read_prefix(bytes: &[u8]) -> Result<Lesson<'_>, Error> {
    check_kind(bytes, LESSON, VERSION)?;
    let half = |at| usize::from(take_u16(bytes, at).unwrap_or(0));
    let word = |at| take_u32(bytes, at).unwrap_or(0);
    let (inputs, outputs, rows) = (half(6), half(8), word(12) as usize);
    between(Field::Inputs, 1, Shape::MOST, inputs)?;
    between(Field::Outputs, 1, Shape::MOST, outputs)?;
    between(Field::Steps, 0, MOST_ROWS, rows)?;
    let count = rows.saturating_mul(inputs + outputs).min(bytes.len());
    let body = checked_body(bytes, length(count))?;
    between(Field::Steps, 1, u32::MAX as usize, word(16) as usize)?;
    let byte = |at: usize| body.get(at).copied().unwrap_or(0);
    let (kind, bits) = (*one_of(Field::Rule, &KINDS, byte(10))?, byte(11));
    between(Field::Rule, 0, 63, usize::from(bits))?;
    let learns = |bit: u8| bits >> bit & 1 == 1;
    let groups = Groups {
        recurrent: learns(0),
        back: learns(1),
        input: learns(2),
        bias: learns(3),
        readout: learns(4),
        output_bias: learns(5),
    };
    let number = |at| f32::from_bits(word(at));
    for at in [32, 36, 40, 44, 52, 56, 60] {
        if number(at).is_nan() || number(at) < 0.0 {
            return Err(Error::new(Field::Rate, Expected::Finite, at as u64));
        }
    }
    let loss = *one_of(Field::Rule, &[Loss::Square, Loss::CrossEntropy], byte(64))?;
    between(Field::Rule, 0, 1, usize::from(byte(65)))?;
    let zero = body.get(66..HEADER_LEN).unwrap_or_default();
    exactly(Field::Reserved, 0, zero.iter().map(|&byte| usize::from(byte)).sum())?;
    let limits = Limits { every: word(48), state: number(52), loss: number(56), growth: number(60) };
    let rows = body.get(HEADER_LEN..).unwrap_or_default();
    let rows = try_cast_slice(rows).map_err(|_| {
        let remainder = rows.as_ptr() as usize % align_of::<f32>();
        Error::new(Field::Samples, Expected::Aligned(align_of::<f32>() as u64), remainder as u64)
    })?;
    let plan = Plan {
        kind,
        groups,
        loss,
        rate: number(32),
        forget: number(44),
        normalised: byte(65) == 1,
        trust: [number(36), number(40)],
        passes: word(16),
        episode: word(24),
        limits,
    };
    Ok(Lesson { inputs, outputs, plan, silent: word(20), store: word(28), rows })
}

/// What was learned, beside the result of the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taught {
    /// Packed words.
    pub words: usize,
    /// What happened.
    pub counts: Counts,
    /// Sequence numbers of the record that learning began with and of the last one stored; 0: none.
    pub records: [u32; 2],
}

impl Taught {
    /// The words before the packed ones.
    #[must_use]
    pub const fn to_words(&self) -> [u32; TAUGHT_LEN] {
        let Counts { held, bad_targets, updates, rejected, resets, restarts, restored } = self.counts;
        let [began, stored] = self.records;
        let words = self.words as u32;
        [TAUGHT, words, held, bad_targets, updates, rejected, resets, restarts, restored, began, stored]
    }

    /// Splits what begins with this into it and the packed words; more may follow.
    ///
    /// # Errors
    /// Not what was taught, or not all of it.
    pub fn read_prefix(bytes: &[u8]) -> Result<(Self, &[[u8; 4]]), Error> {
        let (words, _) = bytes.as_chunks::<4>();
        let found = bytes.len() as u64;
        let short = |need: usize| Error::new(Field::Length, Expected::AtLeast(4 * need as u64), found);
        let (head, words) = words.split_first_chunk::<TAUGHT_LEN>().ok_or(short(TAUGHT_LEN))?;
        let [magic, count, held, bad_targets, updates, rejected, resets, restarts, restored, began, stored] =
            head.map(u32::from_le_bytes);
        if magic != TAUGHT {
            return Err(Error::new(Field::Magic, Expected::Exactly(TAUGHT.into()), magic.into()));
        }
        let count = count as usize;
        let packed = words.get(..count).ok_or(short(TAUGHT_LEN.saturating_add(count)))?;
        let counts = Counts { held, bad_targets, updates, rejected, resets, restarts, restored };
        let taught = Self { words: count, counts, records: [began, stored] };
        Ok((taught, packed))
    }
}
