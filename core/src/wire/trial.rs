//! The bytes of a trial (samples for a chip to run a model on) and of its result (every word of
//! every step).
//!
//! Both are little-endian 32-bit words.
//!
//! | trial | |
//! |---|---|
//! | 16-byte header | magic `TFTR`; version (2 bytes), inputs I (2 bytes); steps T; kind of samples: 0 f32, 1 i32 |
//! | T × I | samples, row-major |
//! | 4 bytes | CRC-32 of all before |
//!
//! | result | |
//! |---|---|
//! | 16-byte header | magic `TFRS`; version (2 bytes), outputs O (2 bytes); carried words; T |
//! | T × (1 + O + carried) | held inputs (u32), outputs, carried words (as samples) |
//! | 4 bytes | worst stack so far, in bytes |
//!
//! A region may hold several trials, for as many models, one after the other at multiples of
//! [`ALIGNMENT`](super::ALIGNMENT); their results follow each other without gaps.

use bytemuck::{cast_slice, try_cast_slice};

use super::{CHECKSUM, CHECKSUM_LEN, check_kind, checked_body, take_u16, take_u32};
use crate::error::{Error, Expected, Field, between, exactly};
use crate::shape::Shape;

/// Version of both formats.
pub const VERSION: u16 = 1;
/// Bytes of either header.
pub const HEADER_LEN: usize = 16;
/// Most steps of a trial.
pub const MOST_STEPS: usize = 1 << 24;

const TRIAL: u32 = u32::from_le_bytes(*b"TFTR");
const RESULT: u32 = u32::from_le_bytes(*b"TFRS");

/// What a trial is made of: `f32` for networks in floating point, `i32` for fixed point.
pub trait Sample: bytemuck::Pod {
    /// The kind in the header.
    const KIND: u32;
}

impl Sample for f32 {
    const KIND: u32 = 0;
}

impl Sample for i32 {
    const KIND: u32 = 1;
}

/// Samples, read in place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial<'a, T = f32> {
    /// I.
    pub inputs: usize,
    /// Row-major T × I.
    pub samples: &'a [T],
}

/// What a result begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResultHeader {
    /// O.
    pub outputs: usize,
    /// Carried words of a step.
    pub carried: usize,
    /// T.
    pub steps: usize,
}

/// Bytes of a trial of `samples` numbers in all.
#[must_use]
pub const fn length(samples: usize) -> usize {
    HEADER_LEN + size_of::<u32>() * samples + CHECKSUM_LEN
}

/// Writes a trial into `out`, which has [`length`] bytes.
///
/// # Errors
/// `inputs` 0 or too large, samples that do not make whole steps, `out` of another length.
pub fn write<T: Sample>(trial: &Trial<'_, T>, out: &mut [u8]) -> Result<(), Error> {
    let Trial { inputs, samples } = *trial;
    between(Field::Inputs, 1, Shape::MOST, inputs)?;
    let steps = samples.len().checked_div(inputs).unwrap_or(0);
    between(Field::Steps, 0, MOST_STEPS, steps)?;
    exactly(Field::Samples, steps * inputs, samples.len())?;
    exactly(Field::Buffer, length(samples.len()), out.len())?;
    let (inputs, steps) = (inputs as u16, steps as u32);
    let header = [
        &TRIAL.to_le_bytes()[..],
        &VERSION.to_le_bytes(),
        &inputs.to_le_bytes(),
        &steps.to_le_bytes(),
        &T::KIND.to_le_bytes(),
    ];
    let mut bytes = out.iter_mut();
    let mut put = |values: &[u8]| values.iter().zip(bytes.by_ref()).for_each(|(&value, byte)| *byte = value);
    header.into_iter().for_each(&mut put);
    put(cast_slice(samples));
    if let Some((body, checksum)) = out.split_last_chunk_mut() {
        *checksum = CHECKSUM.checksum(body).to_le_bytes();
    }
    Ok(())
}

/// Reads the trial at the start of `bytes`, in place.
///
/// # Errors
/// Not a whole trial of this version.
pub fn read_prefix<T: Sample>(bytes: &[u8]) -> Result<Trial<'_, T>, Error> {
    check_kind(bytes, TRIAL, VERSION)?;
    let inputs = usize::from(take_u16(bytes, 6).unwrap_or(0));
    let steps = take_u32(bytes, 8).unwrap_or(0) as usize;
    between(Field::Inputs, 1, Shape::MOST, inputs)?;
    between(Field::Steps, 0, MOST_STEPS, steps)?;
    let count = steps.saturating_mul(inputs).min(bytes.len());
    let body = checked_body(bytes, length(count))?;
    exactly(Field::Number, T::KIND as usize, take_u32(bytes, 12).unwrap_or(0) as usize)?;
    let samples = body.get(HEADER_LEN..).unwrap_or_default();
    let samples = try_cast_slice(samples).map_err(|_| {
        let remainder = samples.as_ptr() as usize % align_of::<T>();
        Error::new(Field::Samples, Expected::Aligned(align_of::<T>() as u64), remainder as u64)
    })?;
    Ok(Trial { inputs, samples })
}

impl ResultHeader {
    /// The header as bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        let version_and_outputs = u32::from(VERSION) | (self.outputs as u32) << 16;
        let mut bytes = [0; HEADER_LEN];
        for (place, word) in bytes.as_chunks_mut().0.iter_mut().zip([
            RESULT,
            version_and_outputs,
            self.carried as u32,
            self.steps as u32,
        ]) {
            *place = word.to_le_bytes();
        }
        bytes
    }

    /// Splits a whole result into its header, the words of its steps and the worst stack.
    ///
    /// # Errors
    /// Not a result of this version, or not a whole one.
    pub fn read(bytes: &[u8]) -> Result<(Self, &[[u8; 4]], u32), Error> {
        let result = Self::read_prefix(bytes)?;
        exactly(Field::Length, result.0.length(), bytes.len())?;
        Ok(result)
    }

    /// As [`ResultHeader::read`] for the first of several results.
    ///
    /// # Errors
    /// Not a result of this version, or not a whole one.
    pub fn read_prefix(bytes: &[u8]) -> Result<(Self, &[[u8; 4]], u32), Error> {
        check_kind(bytes, RESULT, VERSION)?;
        let word = |at| take_u32(bytes, at).unwrap_or(0) as usize;
        let header =
            Self { outputs: take_u16(bytes, 6).unwrap_or(0).into(), carried: word(8), steps: word(12) };
        between(Field::Steps, 0, MOST_STEPS, header.steps)?;
        between(Field::Carried, 0, 2 * Shape::MOST, header.carried)?;
        let length = header.length();
        let short = Error::new(Field::Length, Expected::AtLeast(length as u64), bytes.len() as u64);
        let words = bytes.get(HEADER_LEN..length).ok_or(short)?.as_chunks().0;
        let (stack, words) = words.split_last().unwrap_or((&[0; 4], &[]));
        Ok((header, words, u32::from_le_bytes(*stack)))
    }

    /// Bytes of the whole result.
    #[must_use]
    pub const fn length(&self) -> usize {
        HEADER_LEN + size_of::<u32>() * (self.steps * self.step_len() + 1)
    }

    /// Words of one step: held inputs, outputs, carried words.
    #[must_use]
    pub const fn step_len(&self) -> usize {
        1 + self.outputs + self.carried
    }
}
