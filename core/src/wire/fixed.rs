//! The bytes of a model of fixed point: the header of [`wire`](super), sections of 32-bit words.

use bytemuck::cast_slice;

use super::{Header, Layout, one_of, section, tag, untag};
use crate::error::{Error, Field, exactly};
use crate::fixed::{Accumulator, Rates, Settings, View, Weight, section_lens};
use crate::shape::Shape;

/// alpha, exponent, two parameters of the activation, shift of 64-bit sums, shift of rates.
const SETTINGS_LEN: usize = 6;

/// A model read in place.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a, W> {
    /// The network.
    pub view: View<'a, W>,
    /// Names, units and origin, as text.
    pub metadata: &'a str,
    /// Bytes of the model, checksum included.
    pub length: usize,
}

fn layout<W: Weight>(shape: &Shape, metadata: usize) -> Layout {
    let [layer, readout, scaling, initial] = section_lens::<W>(shape);
    Layout::new([SETTINGS_LEN, layer, readout, scaling, initial], W::NUMBER, metadata)
}

/// Bytes of a model of these sizes.
#[must_use]
pub fn length<W: Weight>(shape: &Shape, metadata: &str) -> usize {
    layout::<W>(shape, metadata.len()).checksum + super::CHECKSUM_LEN
}

/// Writes a model into `out` and says how many bytes it took: [`length`].
///
/// # Errors
/// [`Field::Buffer`]: `out` is too short.
pub fn write<W: Weight>(view: &View<'_, W>, metadata: &str, out: &mut [u8]) -> Result<usize, Error> {
    let (shape, settings) = (view.shape(), view.settings());
    let (sums, shift) = match settings.accumulator {
        Accumulator::I32 => (1, 0),
        Accumulator::I64 { shift } => (2, shift),
    };
    let (activation, parameters) = tag(settings.activation, 0);
    let tags = [settings.form as u8, sums, activation, settings.rates as u8, 0];
    let words = [
        settings.alpha as i32,
        settings.exponent.into(),
        parameters[0],
        parameters[1],
        shift.into(),
        settings.rate_shift.into(),
    ];
    let [layer, readout, scaling, initial] = view.sections();
    let sections = [
        [cast_slice(layer), &[]],
        [cast_slice(readout), &[]],
        [cast_slice(scaling), &[]],
        [cast_slice(initial), &[]],
        [metadata.as_bytes(), &[]],
    ];
    layout::<W>(&shape, metadata.len())
        .pieces(W::NUMBER, tags, &shape, cast_slice(&words), sections)
        .copy_to(out)
}

/// Reads the model that fills `bytes`, in place; they must be aligned for 32-bit words.
///
/// # Errors
/// Whatever differs from what [`write()`] writes.
pub fn read<W: Weight>(bytes: &[u8]) -> Result<Model<'_, W>, Error> {
    let model = read_prefix(bytes)?;
    exactly(Field::Length, model.length, bytes.len())?;
    Ok(model)
}

/// Reads the model at the start of a longer region, for example of flash.
///
/// # Errors
/// As [`read`]; bytes after the model are not looked at.
pub fn read_prefix<W: Weight>(bytes: &[u8]) -> Result<Model<'_, W>, Error> {
    let (header, body) = Header::read(bytes)?;
    exactly(Field::Number, W::NUMBER as usize, header.number as usize)?;
    exactly(Field::Decoder, 0, header.decoder.into())?;
    let shape = header.shape;
    let layout = layout::<W>(&shape, header.metadata);
    header.check(&layout)?;
    let [settings_at, layer_at, readout_at, scaling_at, initial_at, metadata_at] = layout.sections;
    let words: &[i32] = section(body, Field::Leak, settings_at, SETTINGS_LEN)?;
    let &[alpha, exponent, p0, p1, shift, rate_shift] = words else {
        return Err(Error::new(Field::Leak, crate::Expected::Exactly(SETTINGS_LEN as u64), 0));
    };
    let byte = |field, word: i32| {
        u8::try_from(word).map_err(|_| Error::new(field, crate::Expected::Between(0, 62), word as u32 as u64))
    };
    let shift = byte(Field::Arithmetic, shift)?;
    let settings = Settings {
        form: header.form,
        rates: *one_of(Field::Variant, &[Rates::I16, Rates::I8], header.variant)?,
        rate_shift: byte(Field::Arithmetic, rate_shift)?,
        accumulator: *one_of(
            Field::Arithmetic,
            &[Accumulator::I32, Accumulator::I64 { shift }],
            header.arithmetic,
        )?,
        activation: untag(header.activation, [p0, p1])?,
        exponent: byte(Field::ActivationParameters, exponent)?,
        alpha: alpha as u32,
    };
    let [layer, readout, scaling, initial] = section_lens::<W>(&shape);
    let view = View::new(
        shape,
        settings,
        [
            section(body, Field::Layer, layer_at, layer)?,
            section(body, Field::Readout, readout_at, readout)?,
            section(body, Field::Scaling, scaling_at, scaling)?,
            section(body, Field::Initial, initial_at, initial)?,
        ],
    )?;
    Ok(Model { view, metadata: header.metadata(body, metadata_at)?, length: header.length })
}
