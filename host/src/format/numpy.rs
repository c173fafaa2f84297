//! Elements of numpy's arrays that ndarray has no type for: float16 and text.

use std::io::Read;

use ndarray_npy::{ReadDataError, ReadableElement};
use py_literal::Value;

/// A number of `<f2` or `>f2`, widened.
pub(super) struct Half(pub(super) f64);

/// A text of `<U..`, `>U..` (UCS-4) or `|S..` (bytes), without the zeros that fill it up.
pub(super) struct Text(pub(super) String);

/// The value of an IEEE half: sign, 5 bits of exponent, 10 of fraction.
pub(super) fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 0.5_f64.powi(24),
        31 if fraction > 0.0 => f64::NAN,
        31 => f64::INFINITY,
        _ => (1.0 + fraction / 1024.0) * 2.0_f64.powi(exponent - 15),
    }
}

/// All of `len` elements of `width` bytes.
fn bytes(mut reader: impl Read, width: usize, len: usize) -> Result<Vec<u8>, ReadDataError> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes)?;
    match bytes.len().checked_sub(width.saturating_mul(len)) {
        Some(0) => Ok(bytes),
        Some(more) => Err(ReadDataError::ExtraBytes(more)),
        None => Err(ReadDataError::MissingData),
    }
}

impl ReadableElement for Half {
    fn read_to_end_exact_vec<R: Read>(
        reader: R,
        descriptor: &Value,
        len: usize,
    ) -> Result<Vec<Self>, ReadDataError> {
        let of: fn([u8; 2]) -> u16 = match descriptor {
            Value::String(code) if code == "<f2" => u16::from_le_bytes,
            Value::String(code) if code == ">f2" => u16::from_be_bytes,
            other => return Err(ReadDataError::WrongDescriptor(other.clone())),
        };
        let bytes = bytes(reader, 2, len)?;
        Ok(bytes.as_chunks().0.iter().map(|&pair| Self(half(of(pair)))).collect())
    }
}

impl ReadableElement for Text {
    fn read_to_end_exact_vec<R: Read>(
        reader: R,
        descriptor: &Value,
        len: usize,
    ) -> Result<Vec<Self>, ReadDataError> {
        let wrong = || ReadDataError::WrongDescriptor(descriptor.clone());
        let Value::String(code) = descriptor else { return Err(wrong()) };
        let (kind, size) = code.split_at_checked(2).ok_or_else(wrong)?;
        let size: usize = size.parse().map_err(|_| wrong())?;
        let unit: fn([u8; 4]) -> u32 = match kind {
            "<U" => u32::from_le_bytes,
            ">U" => u32::from_be_bytes,
            "|S" => {
                let bytes = bytes(reader, size, len)?;
                let text = |k: usize| String::from_utf8_lossy(&bytes[k * size..][..size]).into_owned();
                return Ok((0..len).map(|k| Self(text(k).trim_end_matches('\0').to_owned())).collect());
            }
            _ => return Err(wrong()),
        };
        let bytes = bytes(reader, size.saturating_mul(4), len)?;
        let letters: Vec<char> = bytes
            .as_chunks()
            .0
            .iter()
            .map(|&letter| char::from_u32(unit(letter)).unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect();
        let text = |k: usize| letters[k * size..][..size].iter().collect::<String>();
        Ok((0..len).map(|k| Self(text(k).trim_end_matches('\0').to_owned())).collect())
    }
}
