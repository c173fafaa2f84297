//! The bytes of a monitor: written into a caller's buffer, read in place.
//!
//! Little-endian: a 32-byte header, the words of [`Monitor::new`], CRC-32 of all before it.
//!
//! | offset | bytes | header field |
//! |---|---|---|
//! | 0 | 4 | magic `TFMN` |
//! | 4 | 2 | version |
//! | 6 | 1 | number type |
//! | 7 | 1 | K |
//! | 8 | 2 × 4 | n, R, I, O |
//! | 16 | 4 | checksum of the model that it watches |
//! | 20 | 2 | steps from one look at the manifold to the next |
//! | 22 | 2 | words of the readout that a check, at low rank a look, adds to its checksum |
//! | 24 | 4 | checksum of the readout, see [`crate::monitor`] |
//! | 28 | 2 | steps from one check of the identity to the next |
//! | 30 | 2 | zero |

use bytemuck::cast_slice;

use super::{CHECKSUM, CHECKSUM_LEN, Model, check_kind, checked_body, one_of, section, take_u16, take_u32};
use crate::error::{Error, Expected, Field, exactly};
use crate::monitor::{Monitor, Plan, Shape};
use crate::scalar::{Number, Scalar};

/// Version of the format that this code writes and reads.
pub const VERSION: u16 = 3;
/// Bytes before the words.
pub const HEADER_LEN: usize = 32;

pub(super) const MAGIC: u32 = u32::from_le_bytes(*b"TFMN");

/// A monitor read in place.
#[derive(Clone, Copy, Debug)]
pub struct Watcher<'a, T> {
    /// The monitor.
    pub monitor: Monitor<'a, T>,
    /// [`Model::checksum`] of the model that it was learnt from.
    pub model: u32,
    /// Bytes of the monitor, checksum included.
    pub length: usize,
}

impl<T: Scalar> Watcher<'_, T> {
    /// Whether it was learnt from this very model.
    #[must_use]
    pub fn watches(&self, model: &Model<'_, T>) -> bool {
        self.model == model.checksum && self.monitor.shape().network == model.view.shape()
    }
}

/// Bytes of a monitor of these sizes.
#[must_use]
pub const fn length(shape: &Shape, number: Number) -> usize {
    HEADER_LEN + number.size() * shape.parameter_len() + CHECKSUM_LEN
}

/// Writes the monitor of the model with the checksum `model` into `out`, which has [`length`] bytes.
///
/// # Errors
/// [`Field::Buffer`]: `out` has another length.
pub fn write<T: Scalar>(monitor: &Monitor<'_, T>, model: u32, out: &mut [u8]) -> Result<(), Error> {
    let (shape, plan) = (monitor.shape(), monitor.plan());
    exactly(Field::Buffer, length(&shape, T::NUMBER), out.len())?;
    let crate::Shape { neurons, rank, inputs, outputs } = shape.network;
    let mut bytes = out.iter_mut();
    let mut put = |values: &[u8]| values.iter().zip(bytes.by_ref()).for_each(|(&value, byte)| *byte = value);
    put(&MAGIC.to_le_bytes());
    put(&VERSION.to_le_bytes());
    put(&[T::NUMBER as u8, shape.dimensions as u8]);
    for size in [neurons, rank, inputs, outputs] {
        put(&(size as u16).to_le_bytes());
    }
    put(&model.to_le_bytes());
    put(&plan.every.to_le_bytes());
    put(&plan.scrub.to_le_bytes());
    put(&plan.readout.to_le_bytes());
    put(&plan.check.to_le_bytes());
    put(&[0; 2]);
    monitor.sections().into_iter().for_each(|part| put(cast_slice(part)));
    if let Some((body, checksum)) = out.split_last_chunk_mut() {
        *checksum = CHECKSUM.checksum(body).to_le_bytes();
    }
    Ok(())
}

/// Reads the monitor that fills `bytes`, in place.
///
/// # Errors
/// Whatever differs from what [`write()`] writes; memory that is not aligned for T.
pub fn read<T: Scalar>(bytes: &[u8]) -> Result<Watcher<'_, T>, Error> {
    let watcher = read_prefix(bytes)?;
    exactly(Field::Length, watcher.length, bytes.len())?;
    Ok(watcher)
}

/// Reads the monitor at the start of a longer region, for example of flash.
///
/// # Errors
/// As [`read`]; bytes after the monitor are not looked at.
pub fn read_prefix<T: Scalar>(bytes: &[u8]) -> Result<Watcher<'_, T>, Error> {
    check_kind(bytes, MAGIC, VERSION)?;
    let short = Error::new(Field::Length, Expected::AtLeast(HEADER_LEN as u64), bytes.len() as u64);
    let header: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(short)?;
    let byte = |at: usize| header.get(at).copied().unwrap_or(0);
    let size = |at| usize::from(take_u16(header, at).unwrap_or(0));
    let word = |at| take_u32(header, at).unwrap_or(0);
    // Sizes come first here, because they say where the checksum is.
    let number = *one_of(Field::Number, &[Number::F32, Number::F64], byte(6))?;
    let network = crate::Shape { neurons: size(8), rank: size(10), inputs: size(12), outputs: size(14) };
    let shape = Shape { network, dimensions: byte(7).into() };
    shape.check()?;
    let length = length(&shape, number);
    let body = checked_body(bytes, length)?;
    exactly(Field::Number, T::NUMBER as usize, number as usize)?;
    exactly(Field::Reserved, 0, size(30))?;
    let [every, scrub, check] = [20, 22, 28].map(|at| size(at) as u16);
    let plan = Plan { every, check, scrub, readout: word(24) };
    let words = section(body, Field::Manifold, HEADER_LEN, shape.parameter_len())?;
    Ok(Watcher { monitor: Monitor::new(shape, plan, words)?, model: word(16), length })
}
