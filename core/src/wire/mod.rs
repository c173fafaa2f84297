//! The bytes of a model (`.tfld`): written into a caller's buffer, read in place.
//!
//! Little-endian. A 64-byte header, then sections at 16-byte boundaries, then CRC-32 of all before it.
//!
//! | offset | bytes | header field |
//! |---|---|---|
//! | 0 | 4 | magic `TFLD` |
//! | 4 | 2 | format version |
//! | 6 | 1 | number type |
//! | 7 | 1 | form |
//! | 8 | 1 | arithmetic |
//! | 9 | 1 | activation |
//! | 10 | 1 | activation variant |
//! | 11 | 1 | 1 for a nonlinear decoder, else 0 |
//! | 12 | 2 × 4 | n, R, I, O |
//! | 20 | 4 | length of all, CRC included |
//! | 24 | 4 × 6 | offsets of settings, layer, readout, scaling, initial state, metadata |
//! | 48 | 4 | bytes of metadata |
//! | 52 | 12 | zero |
//!
//! Settings are alpha, 1 - alpha and two parameters of the activation. The other sections are the
//! packed words of [`pack`](crate::pack::pack); metadata is UTF-8 text that core does not interpret.
//!
//! A model of fixed point ([`fixed`]) says at offset 8 how dense products are summed (1: 32 bits, 2: 64
//! bits), at 10 the size of rates (1: 16 bits, 2: 8 bits) and at 11 zero; its settings are alpha, exponent, two
//! parameters of the activation, the shift of 64-bit sums and the shift of rates.
//!
//! [`VERSION`] rises when the meaning of any byte changes: a field, a section, the packing, the
//! order of a sum, an activation's arithmetic. Readers refuse every other version.

pub mod fixed;
pub mod learned;
pub mod lesson;
pub mod monitor;
mod pieces;
pub mod reduced;
pub mod trial;

pub use pieces::Pieces;

use bytemuck::{cast_slice, try_cast_slice};
use crc::{CRC_32_ISO_HDLC, Crc};

use crate::activation::Activation;
use crate::error::{Error, Expected, Field, between, exactly};
use crate::network::{Settings, View};
use crate::scalar::{Arithmetic, Number, Scalar, Variant};
use crate::shape::{Form, Shape};

#[cfg(target_endian = "big")]
compile_error!("model bytes are read in place and little-endian");

/// Version of the format that this code writes and reads.
pub const VERSION: u16 = 2;
/// Bytes before the first section.
pub const HEADER_LEN: usize = 64;
/// Sections start at multiples of this.
pub const ALIGNMENT: usize = 16;

const MAGIC: u32 = u32::from_le_bytes(*b"TFLD");
const CHECKSUM_LEN: usize = 4;
pub(crate) static CHECKSUM: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
/// alpha, 1 - alpha, two parameters of the activation.
const SETTINGS_LEN: usize = 4;

/// A model read in place.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a, T> {
    /// The network.
    pub view: View<'a, T>,
    /// Names, units and origin, as text.
    pub metadata: &'a str,
    /// Bytes of the model, checksum included.
    pub length: usize,
    /// CRC-32 of all before it: tells a model from others of its sizes.
    pub checksum: u32,
}

/// Where everything is in a model of given sizes.
struct Layout {
    /// Offsets of settings, layer, readout, scaling, initial state, metadata.
    sections: [usize; 6],
    /// Offset of the checksum.
    checksum: usize,
}

impl Layout {
    fn of(shape: &Shape, number: Number, metadata: usize) -> Self {
        let words =
            [SETTINGS_LEN, shape.layer_len(), shape.readout_len(), shape.scaling_len(), shape.initial_len()];
        Self::new(words, number, metadata)
    }

    fn new(words: [usize; 5], number: Number, metadata: usize) -> Self {
        let mut next = HEADER_LEN;
        let mut place = |bytes: usize| {
            let at = next;
            next += bytes.next_multiple_of(ALIGNMENT);
            at
        };
        let [settings, layer, readout, scaling, initial] = words.map(|words| place(words * number.size()));
        let metadata_at = place(metadata);
        Self { sections: [settings, layer, readout, scaling, initial, metadata_at], checksum: next }
    }
}

/// Bytes of a model of these sizes.
#[must_use]
pub fn length(shape: &Shape, number: Number, metadata: &str) -> usize {
    Layout::of(shape, number, metadata.len()).checksum + CHECKSUM_LEN
}

/// Writes a model into `out` and says how many bytes it took: [`length`].
///
/// # Errors
/// [`Field::Buffer`]: `out` is too short.
pub fn write<T: Scalar>(view: &View<'_, T>, metadata: &str, out: &mut [u8]) -> Result<usize, Error> {
    pieces(view, metadata).copy_to(out)
}

/// The bytes that [`write()`] writes, piece by piece.
#[must_use]
pub fn pieces<'a, T: Scalar>(view: &View<'a, T>, metadata: &'a str) -> Pieces<'a> {
    let (shape, settings) = (view.shape(), view.settings());
    let (activation, parameters) = tag(settings.activation, T::ZERO);
    let tags = [
        settings.form as u8,
        settings.arithmetic as u8,
        activation,
        settings.variant as u8,
        settings.nonlinear_decoder.into(),
    ];
    let [layer, readout_bias, readout, input_scaling, output_scaling, initial] =
        view.sections().map(cast_slice::<T, u8>);
    let settings = [settings.alpha, settings.keep, parameters[0], parameters[1]];
    let sections = [
        [layer, &[]],
        [readout_bias, readout],
        [input_scaling, output_scaling],
        [initial, &[]],
        [metadata.as_bytes(), &[]],
    ];
    Layout::of(&shape, T::NUMBER, metadata.len()).pieces(
        T::NUMBER,
        tags,
        &shape,
        cast_slice(&settings),
        sections,
    )
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
    let (header, body) = Header::read(bytes)?;
    exactly(Field::Number, T::NUMBER as usize, header.number as usize)?;

    let shape = header.shape;
    let layout = Layout::of(&shape, T::NUMBER, header.metadata);
    header.check(&layout)?;
    let section = |field, at, words| section::<T>(body, field, at, words);
    let [settings_at, layer_at, readout_at, scaling_at, initial_at, metadata_at] = layout.sections;
    let &[alpha, keep, p0, p1] = section(Field::Leak, settings_at, SETTINGS_LEN)? else {
        return Err(Error::new(Field::Leak, Expected::Exactly(SETTINGS_LEN as u64), 0));
    };
    let settings = Settings {
        form: header.form,
        arithmetic: *one_of(
            Field::Arithmetic,
            &[Arithmetic::Separate, Arithmetic::Fused],
            header.arithmetic,
        )?,
        variant: *one_of(
            Field::Variant,
            &[Variant::Libm, Variant::Micromath, Variant::Rational],
            header.variant,
        )?,
        activation: untag(header.activation, [p0, p1])?,
        alpha,
        keep,
        nonlinear_decoder: header.nonlinear_decoder()?,
    };
    let view = View::new(
        shape,
        settings,
        [
            section(Field::Layer, layer_at, shape.layer_len())?,
            section(Field::Readout, readout_at, shape.readout_len())?,
            section(Field::Scaling, scaling_at, shape.scaling_len())?,
            section(Field::Initial, initial_at, shape.initial_len())?,
        ],
    )?;
    let checksum = take_u32(bytes, layout.checksum).unwrap_or(0);
    Ok(Model { view, metadata: header.metadata(body, metadata_at)?, length: header.length, checksum })
}

/// `words` words of `body` from byte `at`.
fn section<T: bytemuck::Pod>(body: &[u8], field: Field, at: usize, words: usize) -> Result<&[T], Error> {
    let bytes = body.get(at..).and_then(|rest| rest.get(..words * size_of::<T>()));
    let bytes = bytes.ok_or(Error::new(Field::Offset, Expected::Between(0, body.len() as u64), at as u64))?;
    try_cast_slice(bytes).map_err(|_| {
        let (align, address) = (align_of::<T>(), bytes.as_ptr() as usize);
        Error::new(field, Expected::Aligned(align as u64), (address % align) as u64)
    })
}

/// What tinyfold puts into the region of a chip's models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A network, `TFLD`.
    Network,
    /// A reduced model, `TFRM`: see [`reduced`].
    Reduced,
    /// The monitor of the network before it, `TFMN`: see [`monitor`].
    Monitor,
}

/// What begins at the start of `bytes`, by its magic alone.
#[must_use]
pub fn kind(bytes: &[u8]) -> Option<Kind> {
    match take_u32(bytes, 0)? {
        MAGIC => Some(Kind::Network),
        reduced::MAGIC => Some(Kind::Reduced),
        monitor::MAGIC => Some(Kind::Monitor),
        _ => None,
    }
}

/// The number type of the model at the start of `bytes`, to choose the T of [`read`].
///
/// # Errors
/// The header is not one of this version.
pub fn number(bytes: &[u8]) -> Result<Number, Error> {
    Header::read(bytes).map(|(header, _)| header.number)
}

/// All but the checksum, which is right.
pub(crate) fn checked_body(bytes: &[u8], length: usize) -> Result<&[u8], Error> {
    let short = Error::new(Field::Length, Expected::AtLeast(length as u64), bytes.len() as u64);
    let (body, checksum) =
        bytes.get(..length).ok_or(short)?.split_last_chunk::<CHECKSUM_LEN>().ok_or(short)?;
    let (expected, found) = (CHECKSUM.checksum(body), u32::from_le_bytes(*checksum));
    if expected == found {
        Ok(body)
    } else {
        Err(Error::new(Field::Checksum, Expected::Exactly(expected.into()), found.into()))
    }
}

/// Magic and version of any tinyfold file: the first six bytes.
pub(crate) fn check_kind(bytes: &[u8], magic: u32, version: u16) -> Result<(), Error> {
    let found = take_u32(bytes, 0).unwrap_or(0);
    if found != magic {
        return Err(Error::new(Field::Magic, Expected::Exactly(magic.into()), found.into()));
    }
    exactly(Field::Version, version.into(), take_u16(bytes, 4).unwrap_or(0).into())
}

pub(crate) fn take_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk))
}

pub(crate) fn take_u16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|chunk| u16::from_le_bytes(*chunk))
}

struct Header {
    number: Number,
    form: Form,
    /// Tags of arithmetic, activation, variant and decoder, not yet looked at.
    arithmetic: u8,
    activation: u8,
    variant: u8,
    decoder: u8,
    shape: Shape,
    length: usize,
    offsets: [usize; 6],
    metadata: usize,
}

impl Header {
    /// The header, and all but the checksum, which is right.
    fn read(bytes: &[u8]) -> Result<(Self, &[u8]), Error> {
        check_kind(bytes, MAGIC, VERSION)?;
        let header: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(Error::new(
            Field::Length,
            Expected::AtLeast(HEADER_LEN as u64),
            bytes.len() as u64,
        ))?;
        let byte = |at: usize| header.get(at).copied().unwrap_or(0);
        let size = |at| usize::from(take_u16(header, at).unwrap_or(0));
        let word = |at| take_u32(header, at).unwrap_or(0) as usize;
        let length = word(20);
        // The checksum comes first: a damaged byte is damage, not a strange setting.
        let body = checked_body(bytes, length)?;

        let number = *one_of(Field::Number, &[Number::F32, Number::F64, Number::I16, Number::I8], byte(6))?;
        let form = *one_of(Field::Form, &[Form::Rate, Form::Current], byte(7))?;
        let reserved = header.get(52..).unwrap_or_default().iter().fold(0, |all, byte| all | byte);
        exactly(Field::Reserved, 0, reserved.into())?;
        let shape = Shape { neurons: size(12), rank: size(14), inputs: size(16), outputs: size(18) };
        crate::network::check_shape(&shape)?;
        let header = Self {
            number,
            form,
            arithmetic: byte(8),
            activation: byte(9),
            variant: byte(10),
            decoder: byte(11),
            shape,
            length,
            offsets: [24, 28, 32, 36, 40, 44].map(word),
            // No longer than all: the places behind it then fit 32 bits.
            metadata: word(48).min(length),
        };
        Ok((header, body))
    }

    /// That a model of this layout is what the header tells of.
    fn check(&self, layout: &Layout) -> Result<(), Error> {
        exactly(Field::Length, layout.checksum + CHECKSUM_LEN, self.length)?;
        for (expected, found) in layout.sections.into_iter().zip(self.offsets) {
            exactly(Field::Offset, expected, found)?;
        }
        Ok(())
    }

    fn nonlinear_decoder(&self) -> Result<bool, Error> {
        between(Field::Decoder, 0, 1, self.decoder.into())?;
        Ok(self.decoder == 1)
    }

    fn metadata<'a>(&self, body: &'a [u8], at: usize) -> Result<&'a str, Error> {
        let text = body.get(at..).and_then(|rest| rest.get(..self.metadata)).unwrap_or_default();
        core::str::from_utf8(text)
            .map_err(|error| Error::new(Field::Metadata, Expected::Utf8, error.valid_up_to() as u64))
    }
}

/// The choice that a tag names: the first is 1.
fn one_of<T>(field: Field, choices: &[T], tag: u8) -> Result<&T, Error> {
    let refused = Error::new(field, Expected::Between(1, choices.len() as u64), tag.into());
    usize::from(tag).checked_sub(1).and_then(|index| choices.get(index)).ok_or(refused)
}

fn tag<T: Copy>(activation: Activation<T>, zero: T) -> (u8, [T; 2]) {
    match activation {
        Activation::Linear => (1, [zero; 2]),
        Activation::Relu => (2, [zero; 2]),
        Activation::Clipped { lo, hi } => (3, [lo, hi]),
        Activation::Tanh => (4, [zero; 2]),
        Activation::Sigmoid { slope, threshold } => (5, [slope, threshold]),
    }
}

fn untag<T>(tag: u8, [p0, p1]: [T; 2]) -> Result<Activation<T>, Error> {
    Ok(match tag {
        1 => Activation::Linear,
        2 => Activation::Relu,
        3 => Activation::Clipped { lo: p0, hi: p1 },
        4 => Activation::Tanh,
        5 => Activation::Sigmoid { slope: p0, threshold: p1 },
        _ => return Err(Error::new(Field::Activation, Expected::Between(1, 5), tag.into())),
    })
}
