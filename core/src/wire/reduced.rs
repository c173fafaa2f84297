//! The bytes of a reduced model: written into a caller's buffer, read in place.
//!
//! Little-endian. A 32-byte header, then domain, f and g, c, metadata, each at a 16-byte boundary and packed as
//! [`pack`](crate::reduced::pack) does, then CRC-32 of all before it.
//!
//! | offset | bytes | header field |
//! |---|---|---|
//! | 0 | 4 | magic `TFRM` |
//! | 4 | 2 | version |
//! | 6 | 1 | number type |
//! | 7 | 1 | arithmetic |
//! | 8 | 3 | D, I, O |
//! | 11 | 3 | degrees of f, g, c |
//! | 14 | 2 | zero |
//! | 16 | 4 | length of all, CRC included |
//! | 20 | 4 | bytes of metadata |
//! | 24 | 8 | zero |
//!
//! [`VERSION`] rises when the meaning of any byte changes, the order of a sum included. Readers refuse every
//! other version.

use bytemuck::cast_slice;

use super::{ALIGNMENT, CHECKSUM, CHECKSUM_LEN, check_kind, checked_body, one_of, section, take_u32};
use crate::error::{Error, Expected, Field, exactly};
use crate::reduced::{Shape, View};
use crate::scalar::{Arithmetic, Number, Scalar};

/// Version of the format that this code writes and reads.
pub const VERSION: u16 = 1;
/// Bytes before the first section.
pub const HEADER_LEN: usize = 32;

pub(super) const MAGIC: u32 = u32::from_le_bytes(*b"TFRM");

/// A reduced model read in place.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a, T> {
    /// The model.
    pub view: View<'a, T>,
    /// Names, units and origin, as text.
    pub metadata: &'a str,
    /// Bytes of the model, checksum included.
    pub length: usize,
}

/// Offsets of domain, f and g, c, metadata, checksum.
fn layout(shape: &Shape, number: Number, metadata: usize) -> [usize; 5] {
    let mut next = HEADER_LEN;
    let bytes =
        [shape.domain_len(), shape.drive_len(), shape.output_len()].map(|words| words * number.size());
    let [domain, drive, output] = bytes;
    [domain, drive, output, metadata, 0].map(|bytes| {
        let at = next;
        next = next.saturating_add(bytes).next_multiple_of(ALIGNMENT);
        at
    })
}

/// Bytes of a model of these sizes.
#[must_use]
pub fn length(shape: &Shape, number: Number, metadata: &str) -> usize {
    let [.., checksum] = layout(shape, number, metadata.len());
    checksum + CHECKSUM_LEN
}

/// Writes a model into `out` and says how many bytes it took: [`length`].
///
/// # Errors
/// [`Field::Buffer`]: `out` is too short.
pub fn write<T: Scalar>(view: &View<'_, T>, metadata: &str, out: &mut [u8]) -> Result<usize, Error> {
    let (shape, need, found) = (view.shape(), length(&view.shape(), T::NUMBER, metadata), out.len());
    let out =
        out.get_mut(..need).ok_or(Error::new(Field::Buffer, Expected::AtLeast(need as u64), found as u64))?;
    out.fill(0);
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(place) = out.get_mut(at..).and_then(|rest| rest.get_mut(..bytes.len())) {
            place.copy_from_slice(bytes);
        }
    };
    let Shape { dimensions, inputs, outputs, drift, gain, output } = shape;
    let sizes = [dimensions, inputs, outputs, drift, gain, output].map(|size| size as u8);
    put(0, &MAGIC.to_le_bytes());
    put(4, &VERSION.to_le_bytes());
    put(6, &[T::NUMBER as u8, view.arithmetic() as u8]);
    put(8, &sizes);
    put(16, &(need as u32).to_le_bytes());
    put(20, &(metadata.len() as u32).to_le_bytes());
    let [sections @ .., metadata_at, _] = layout(&shape, T::NUMBER, metadata.len());
    sections.into_iter().zip(view.sections()).for_each(|(at, words)| put(at, cast_slice(words)));
    put(metadata_at, metadata.as_bytes());
    if let Some((body, checksum)) = out.split_last_chunk_mut() {
        *checksum = CHECKSUM.checksum(body).to_le_bytes();
    }
    Ok(need)
}

/// Reads the model that fills `bytes`, in place.
///
/// `bytes` must be aligned for T; everything is checked here, so that the view cannot fail later.
///
/// # Errors
/// Whatever differs from what [`write()`] writes: see [`Field`] for the list.
pub fn read<T: Scalar>(bytes: &[u8]) -> Result<Model<'_, T>, Error> {
    let model = read_prefix(bytes)?;
    exactly(Field::Length, model.length, bytes.len())?;
    Ok(model)
}

/// Reads the model at the start of a longer region, for example of flash.
///
/// # Errors
/// As [`read`]; bytes after the model are not looked at.
pub fn read_prefix<T: Scalar>(bytes: &[u8]) -> Result<Model<'_, T>, Error> {
    check_kind(bytes, MAGIC, VERSION)?;
    let short = Error::new(Field::Length, Expected::AtLeast(HEADER_LEN as u64), bytes.len() as u64);
    let header: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(short)?;
    let length = take_u32(header, 16).unwrap_or(0) as usize;
    // The checksum comes first: a damaged byte is damage, not a strange size.
    let body = checked_body(bytes, length)?;
    let byte = |at: usize| header.get(at).copied().unwrap_or(0);
    let number = *one_of(Field::Number, &[Number::F32, Number::F64], byte(6))?;
    exactly(Field::Number, T::NUMBER as usize, number as usize)?;
    let arithmetic = *one_of(Field::Arithmetic, &[Arithmetic::Separate, Arithmetic::Fused], byte(7))?;
    let reserved =
        header.get(24..).unwrap_or_default().iter().fold(byte(14) | byte(15), |all, byte| all | byte);
    exactly(Field::Reserved, 0, reserved.into())?;
    let [dimensions, inputs, outputs, drift, gain, output] = [8, 9, 10, 11, 12, 13].map(|at| byte(at).into());
    let shape = Shape { dimensions, inputs, outputs, drift, gain, output };
    shape.check()?;
    let metadata = (take_u32(header, 20).unwrap_or(0) as usize).min(length);
    let [domain, drive, readout, metadata_at, checksum] = layout(&shape, number, metadata);
    exactly(Field::Length, checksum.saturating_add(CHECKSUM_LEN), length)?;
    let view = View::new(
        shape,
        arithmetic,
        [
            section(body, Field::Interval, domain, shape.domain_len())?,
            section(body, Field::Series, drive, shape.drive_len())?,
            section(body, Field::Readout, readout, shape.output_len())?,
        ],
    )?;
    let text = body.get(metadata_at..).and_then(|rest| rest.get(..metadata)).unwrap_or_default();
    let metadata = core::str::from_utf8(text)
        .map_err(|error| Error::new(Field::Metadata, Expected::Utf8, error.valid_up_to() as u64))?;
    Ok(Model { view, metadata, length })
}
