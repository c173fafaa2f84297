//! What was learned, as bytes: a whole model, then, if there is one, the state of the optimiser.
//!
//! The model comes first and is like any other: whatever reads models ([`read_prefix`], the
//! host, a chip's loader) reads it unchanged, and the version of its format is not touched. The state follows
//! at the next 16-byte boundary, little-endian:
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 4 | magic `TFOS` |
//! | 4 | 2 | version |
//! | 6 | 1 | number type |
//! | 7 | 1 | kind of optimiser |
//! | 8 | 8 | steps taken |
//! | 16 | 4 | number of words w |
//! | 20 | 4 | checksum of the model before it |
//! | 24 | 4 | checksum of the model that learning began with; 0: of any |
//! | 28 | 4 | zero |
//! | 32 | w words | |
//! | 32 + w words | 4 | CRC-32 of all before, from the magic on |
//!
//! ```
//! use tinyfold_core::wire::learned::{self, Memory, Optimiser, Progress};
//! use tinyfold_core::{Activation, Settings, Shape, View};
//!
//! let shape = Shape { neurons: 1, rank: 1, inputs: 1, outputs: 1 };
//! let words = [0.0_f32, 0.5, 0.5, 1.0, 2.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0];
//! let view = View::from_words(shape, Settings::new(Activation::Linear), &words)?;
//! let memory = Memory { optimiser: Optimiser::Momentum, steps: 7, words: &[0.25; 12] };
//! let progress = Progress { base: 0, memory };
//!
//! let mut bytes = Vec::new();
//! learned::pieces(&view, "", Some(progress))?.iter().for_each(|piece| bytes.extend(piece));
//!
//! let learned = learned::read::<f32>(&bytes)?;
//! assert_eq!(learned.progress, Some(progress));
//! let mut restored = [0.0; 12];
//! learned::copy_words(&learned.model.view, &mut restored)?;
//! assert_eq!(restored, words);
//! # Ok::<(), tinyfold_core::Error>(())
//! ```

use bytemuck::cast_slice;

use super::pieces::{Pieces, Tail};
use super::{
    ALIGNMENT, CHECKSUM, CHECKSUM_LEN, Model, check_kind, checked_body, one_of, read_prefix, section,
    take_u32,
};
use crate::error::{Error, Expected, Field, exactly};
use crate::network::View;
use crate::scalar::Scalar;

/// Version of the optimiser's state that this code writes and reads.
pub const VERSION: u16 = 2;
/// Bytes of the state before its words.
pub const HEADER_LEN: usize = 32;

const MAGIC: u32 = u32::from_le_bytes(*b"TFOS");
/// A model is a whole number of 16 bytes and its checksum.
const GAP: usize = ALIGNMENT - CHECKSUM_LEN;
/// Gap and header.
pub(super) const HEAD_LEN: usize = GAP + HEADER_LEN;

/// What the words of a [`Memory`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Optimiser {
    /// Stochastic gradient descent: none.
    Sgd = 1,
    /// Momentum: the mean gradient of every packed word.
    Momentum = 2,
    /// Adam: (mean, mean square) of the gradient of every packed word.
    Adam = 3,
    /// Recursive least squares: P, row-major.
    Rls = 4,
    /// Recursive least squares on the latent maps: S, row-major.
    LatentRls = 5,
}

const OPTIMISERS: [Optimiser; 5] =
    [Optimiser::Sgd, Optimiser::Momentum, Optimiser::Adam, Optimiser::Rls, Optimiser::LatentRls];

/// The state of an optimiser.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Memory<'a, T> {
    /// What the words are.
    pub optimiser: Optimiser,
    /// Steps taken; of Adam, since it last forgot.
    pub steps: u64,
    /// Its words, all finite.
    pub words: &'a [T],
}

/// How far learning came, beside the network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress<'a, T> {
    /// [`Model::checksum`] of the model that learning began with; 0: of any.
    pub base: u32,
    /// The state of the optimiser.
    pub memory: Memory<'a, T>,
}

/// What was learned, read in place.
#[derive(Clone, Copy, Debug)]
pub struct Learned<'a, T> {
    /// The network as it was learned.
    pub model: Model<'a, T>,
    /// How far learning came, if that was kept.
    pub progress: Option<Progress<'a, T>>,
}

impl<T: Scalar> Learned<'_, T> {
    /// Whether what began with `model` goes on from here: the network has its sizes and settings, and was learned
    /// from that very model, or from any. A chip that gets a new model thus begins with it, whatever it learned
    /// before.
    #[must_use]
    pub fn continues(&self, model: &Model<'_, T>) -> bool {
        let (learned, first) = (&self.model.view, &model.view);
        let base = self.progress.map_or(0, |progress| progress.base);
        (base == 0 || base == model.checksum)
            && learned.shape() == first.shape()
            && learned.settings() == first.settings()
    }
}

/// The bytes of what was learned, piece by piece, borrowed from the words of network and optimiser.
///
/// # Errors
/// What a reader would refuse: a number that is not finite, a bias of −0.
pub fn pieces<'a, T: Scalar>(
    view: &View<'a, T>,
    metadata: &'a str,
    progress: Option<Progress<'a, T>>,
) -> Result<Pieces<'a>, Error> {
    let [layer, readout_bias, readout, input_scaling, output_scaling, initial] = view.sections();
    for (field, words) in [
        (Field::Layer, layer),
        (Field::Readout, readout_bias),
        (Field::Readout, readout),
        (Field::Scaling, input_scaling),
        (Field::Scaling, output_scaling),
        (Field::Initial, initial),
        (Field::Optimiser, progress.map_or(&[][..], |progress| progress.memory.words)),
    ] {
        finite(field, words)?;
    }
    view.check_biases()?;
    let model = super::pieces(view, metadata);
    Ok(match progress {
        None => model,
        Some(progress) => model.followed_by(tail(&progress, model.checksum())),
    })
}

fn tail<'a, T: Scalar>(progress: &Progress<'a, T>, model: [u8; CHECKSUM_LEN]) -> Tail<'a> {
    let Progress { base, memory } = progress;
    let fields: [&[u8]; 9] = [
        &[0; GAP],
        &MAGIC.to_le_bytes(),
        &VERSION.to_le_bytes(),
        &[T::NUMBER as u8, memory.optimiser as u8],
        &memory.steps.to_le_bytes(),
        &(memory.words.len() as u32).to_le_bytes(),
        &model,
        &base.to_le_bytes(),
        &[0; 4],
    ];
    let mut head = [0; HEAD_LEN];
    head.iter_mut().zip(fields.into_iter().flatten()).for_each(|(byte, &value)| *byte = value);
    let body = cast_slice(memory.words);
    let mut digest = CHECKSUM.digest();
    digest.update(head.get(GAP..).unwrap_or_default());
    digest.update(body);
    Tail { head, body, checksum: digest.finalize().to_le_bytes() }
}

/// Reads what fills `bytes`, in place: a model, alone or followed by the state of an optimiser.
///
/// # Errors
/// Whatever differs from what [`pieces`] gives: see [`Field`] for the list.
pub fn read<T: Scalar>(bytes: &[u8]) -> Result<Learned<'_, T>, Error> {
    let model = read_prefix::<T>(bytes)?;
    if model.length == bytes.len() {
        return Ok(Learned { model, progress: None });
    }
    let (gap, state) =
        bytes.get(model.length..).and_then(|rest| rest.split_at_checked(GAP)).unwrap_or_default();
    check_kind(state, MAGIC, VERSION)?;
    let count = take_u32(state, 16).unwrap_or(0) as usize;
    let length = count
        .saturating_mul(T::NUMBER.size())
        .saturating_add(HEADER_LEN + CHECKSUM_LEN)
        .min(u32::MAX as usize);
    exactly(Field::Length, length, state.len())?;
    let body = checked_body(state, length)?;

    let byte = |at: usize| body.get(at).copied().unwrap_or(0);
    exactly(Field::Number, T::NUMBER as usize, byte(6).into())?;
    let optimiser = *one_of(Field::Optimiser, &OPTIMISERS, byte(7))?;
    let reserved =
        body.get(28..HEADER_LEN).unwrap_or_default().iter().chain(gap).fold(0, |all, byte| all | byte);
    exactly(Field::Reserved, 0, reserved.into())?;
    let word = |at| take_u32(body, at).unwrap_or(0);
    let (expected, found) = (model.checksum, word(20));
    if expected != found {
        return Err(Error::new(Field::Checksum, Expected::Exactly(expected.into()), found.into()));
    }
    let words = section(body, Field::Optimiser, HEADER_LEN, count)?;
    finite(Field::Optimiser, words)?;
    let steps = body.get(8..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
    let memory = Memory { optimiser, steps: u64::from_le_bytes(steps), words };
    Ok(Learned { model, progress: Some(Progress { base: word(24), memory }) })
}

/// Copies the packed words of a network, in the order of [`pack`](crate::pack::pack), so that learning goes on
/// with them.
///
/// # Errors
/// [`Field::Buffer`]: `words` is not [`Shape::parameter_len`](crate::Shape::parameter_len) long.
pub fn copy_words<T: Scalar>(view: &View<'_, T>, words: &mut [T]) -> Result<(), Error> {
    exactly(Field::Buffer, view.shape().parameter_len(), words.len())?;
    words.iter_mut().zip(view.sections().into_iter().flatten()).for_each(|(word, &value)| *word = value);
    Ok(())
}

fn finite<T: Scalar>(field: Field, words: &[T]) -> Result<(), Error> {
    match words.iter().position(|x| !x.is_finite()) {
        None => Ok(()),
        Some(index) => Err(Error::new(field, Expected::Finite, index as u64)),
    }
}
