//! What every tinyfold board does: read a model, run it on a trial or teach it a lesson, hand out every word of
//! every step.
//!
//! The board says where the bytes lie, lends memory for the state and takes the result; nothing here
//! knows of a chip.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "learn")]
mod lesson;
#[cfg(feature = "reduced")]
mod reduced;

use core::fmt;

use bytemuck::{cast_slice, cast_slice_mut};
use embedded_storage::nor_flash::NorFlash;
use heapless::Vec;
use tinyfold_core::bank::{Banks, Mapped};
use tinyfold_core::fixed::Weight;
#[cfg(feature = "learn")]
pub use tinyfold_core::learn::Source;
use tinyfold_core::wire::learned::{self, Learned};
use tinyfold_core::wire::lesson::is_lesson;
use tinyfold_core::wire::trial::{self, Sample};
use tinyfold_core::wire::{self, ALIGNMENT, Kind, Model, Pieces};
use tinyfold_core::{Error, Expected, Field, Number};

/// Where the bytes of a result go.
pub trait Sink {
    /// Takes all of `bytes`, or says that it cannot.
    ///
    /// # Errors
    /// [`Failure::Sink`].
    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure>;

    /// Most bytes of stack used so far; 0 where it is not known.
    fn worst_stack(&self) -> u32 {
        0
    }
}

/// Where what was learned outlives a reset.
pub trait Keep {
    /// The newest record, and its sequence number, if it [continues](Learned::continues) `model`.
    fn recall(&mut self, model: &Model<'_, f32>) -> Option<(u32, Learned<'_, f32>)>;

    /// Keeps a record and returns its sequence number.
    fn store(&mut self, learned: &Pieces<'_>) -> Option<u32>;
}

/// Flash banks that the processor can read in place, or nothing at all where there are none.
impl<F: NorFlash + Mapped> Keep for Option<Banks<F>> {
    fn recall(&mut self, model: &Model<'_, f32>) -> Option<(u32, Learned<'_, f32>)> {
        let banks = self.as_mut()?;
        let record = logged(banks.latest())??;
        let learned = logged(learned::read::<f32>(banks.payload(&record)))?;
        learned.continues(model).then_some((record.sequence, learned))
    }

    fn store(&mut self, learned: &Pieces<'_>) -> Option<u32> {
        Some(logged(self.as_mut()?.store(learned.iter()))?.sequence)
    }
}

/// What there is; why there is nothing goes to the log.
fn logged<T, E: fmt::Debug>(found: Result<T, E>) -> Option<T> {
    #[cfg(feature = "log")]
    if let Err(error) = &found {
        defmt::warn!("flash banks: {}", defmt::Debug2Format(error));
    }
    found.ok()
}

/// Why a run ended early; the number is the exit code of the image.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "log", derive(defmt::Format))]
pub enum Failure {
    /// The model region does not hold a model that this image can run.
    Model(Error),
    /// The trial region does not hold a trial for this model.
    Trial(Error),
    /// The sink took no more.
    Sink,
    /// What was learned could not be kept.
    Keep,
    /// What follows the model is a monitor, but not one of this model that this image can run.
    Monitor(Error),
    /// There is a reduced model or a monitor, and this image was built without the feature `reduced`.
    Reduced,
    /// The trial is a lesson, and this image was built without the feature `learn`.
    Lesson,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Trial(error)
    }
}

impl Failure {
    /// Exit code of an image that failed so.
    #[must_use]
    pub const fn exit_code(&self) -> i32 {
        match self {
            Self::Model(_) => 10,
            Self::Trial(_) => 11,
            Self::Sink => 12,
            Self::Keep => 13,
            Self::Lesson => 14,
            Self::Monitor(_) => 15,
            Self::Reduced => 16,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(error) => write!(f, "model: {error}"),
            Self::Trial(error) => write!(f, "trial: {error}"),
            Self::Monitor(error) => write!(f, "monitor: {error}"),
            Self::Sink => f.write_str("result: expected room for it, found none"),
            Self::Keep => f.write_str("flash banks: expected to keep what was learned, they did not"),
            Self::Reduced => f.write_str("model: expected a network alone, found a reduced model or a monitor (this image knows neither)"),
            Self::Lesson => f.write_str("trial: expected samples, found a lesson (this image cannot learn)"),
        }
    }
}

/// Exit code after a panic of anything but core, which has none.
pub const PANICKED: i32 = 20;
/// Exit code after a HardFault.
pub const FAULTED: i32 = 21;

/// Runs every model in `model` on its trial or lesson in `trial`, from reset to the last sample, and writes the
/// results (see [`trial`] and [`tinyfold_core::wire::lesson`]). The first of both must be there; the last model is
/// the one that no other follows.
///
/// A model is a network, a reduced model, or a network with its monitor behind it, everything at multiples of
/// [`ALIGNMENT`]. A reduced model's carried words are z and 1 where it was clamped; a reduced model without inputs is
/// given one that it does not read. A watched network's have four more: the [bits of the alarm](tinyfold_core::monitor::Alarm::bits), residual,
/// distance and range. In a lesson a network is not watched, since it is no longer what its monitor was learnt from.
///
/// # Errors
/// The number of the case and what failed: bytes that are refused, memory that is too small for the
/// model, a sink that is full.
pub fn run(
    model: &[u8],
    trial: &[u8],
    memory: &mut [u32],
    keep: &mut dyn Keep,
    sink: &mut dyn Sink,
) -> Result<(), (usize, Failure)> {
    let mut out = Buffered { buffer: Vec::new(), sink };
    let (mut model, mut trial) = (model, trial);
    for case in 0.. {
        let lengths = run_one(model, trial, memory, keep, &mut out).map_err(|failure| (case, failure))?;
        let [next_model, next_trial] = lengths.map(|length| length.next_multiple_of(ALIGNMENT));
        model = model.get(next_model..).unwrap_or_default();
        trial = trial.get(next_trial..).unwrap_or_default();
        if !matches!(wire::kind(model), Some(Kind::Network | Kind::Reduced)) {
            break;
        }
    }
    out.flush().map_err(|failure| (0, failure))
}

/// Runs one case and says how many bytes model and trial have.
fn run_one(
    model: &[u8],
    trial: &[u8],
    memory: &mut [u32],
    keep: &mut dyn Keep,
    out: &mut Buffered<'_>,
) -> Result<[usize; 2], Failure> {
    if is_lesson(trial) {
        return lesson(model, trial, memory, keep, out);
    }
    if wire::kind(model) == Some(Kind::Reduced) {
        return reduced::run(model, trial, cast_slice_mut(memory), out);
    }
    match wire::number(model).map_err(Failure::Model)? {
        Number::I16 => run_fixed::<i16>(model, trial, cast_slice_mut(memory), out),
        Number::I8 => run_fixed::<i8>(model, trial, cast_slice_mut(memory), out),
        // A model in f64 is refused by its reader.
        Number::F32 | Number::F64 => run_float(model, trial, cast_slice_mut(memory), out),
    }
}

#[cfg(feature = "learn")]
fn lesson(
    model: &[u8],
    lesson: &[u8],
    memory: &mut [u32],
    keep: &mut dyn Keep,
    out: &mut Buffered<'_>,
) -> Result<[usize; 2], Failure> {
    let [length, lesson] = lesson::run(model, lesson, None, cast_slice_mut(memory), keep, out)?;
    let next = length.next_multiple_of(ALIGNMENT);
    let behind = model.get(next..).unwrap_or_default();
    if wire::kind(behind) != Some(Kind::Monitor) {
        return Ok([length, lesson]);
    }
    #[cfg(feature = "log")]
    defmt::warn!("a network that learns is not watched: its monitor was learnt from what it was before");
    let monitor = wire::monitor::read_prefix::<f32>(behind).map_err(Failure::Monitor)?;
    Ok([next + monitor.length, lesson])
}

/// Teaches the model the plan of a lesson with what `source` gives, a sensor for example, until it gives no more. The
/// rows of the lesson are not looked at; the header of the result says 0 steps if the source does not know how many.
///
/// # Errors
/// As [`run`].
#[cfg(feature = "learn")]
pub fn learn(
    model: &[u8],
    lesson: &[u8],
    source: &mut dyn Source<f32>,
    memory: &mut [u32],
    keep: &mut dyn Keep,
    sink: &mut dyn Sink,
) -> Result<(), Failure> {
    let mut out = Buffered { buffer: Vec::new(), sink };
    lesson::run(model, lesson, Some(source), cast_slice_mut(memory), keep, &mut out)?;
    out.flush()
}

#[cfg(not(feature = "learn"))]
fn lesson(
    _: &[u8],
    _: &[u8],
    _: &mut [u32],
    _: &mut dyn Keep,
    _: &mut Buffered<'_>,
) -> Result<[usize; 2], Failure> {
    Err(Failure::Lesson)
}

fn run_float(
    model: &[u8],
    trial: &[u8],
    memory: &mut [f32],
    out: &mut Buffered<'_>,
) -> Result<[usize; 2], Failure> {
    let read = wire::read_prefix::<f32>(model).map_err(Failure::Model)?;
    let wire::Model { view, length, .. } = read;
    let samples = samples(trial, view.shape().inputs)?;
    let behind = model.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
    if wire::kind(behind) == Some(Kind::Monitor) {
        let monitor = reduced::watch(&read, behind, samples, memory, out)?;
        return Ok([length.next_multiple_of(ALIGNMENT) + monitor, trial::length(samples.len())]);
    }
    let mut state = view.state(memory).map_err(Failure::Model)?;
    let inputs = view.shape().inputs.max(1);
    out.header(view.shape().outputs, state.carried().len(), samples.len() / inputs)?;
    for sample in samples.chunks_exact(inputs) {
        let status = view.step(&mut state, sample);
        out.step(status.held, cast_slice(state.output()), cast_slice(state.carried()))?;
    }
    out.end()?;
    Ok([length, trial::length(samples.len())])
}

#[cfg(not(feature = "reduced"))]
mod reduced {
    use super::{Buffered, Failure, Model};

    pub(super) fn run(
        _: &[u8],
        _: &[u8],
        _: &mut [f32],
        _: &mut Buffered<'_>,
    ) -> Result<[usize; 2], Failure> {
        Err(Failure::Reduced)
    }

    pub(super) fn watch(
        _: &Model<'_, f32>,
        _: &[u8],
        _: &[f32],
        _: &mut [f32],
        _: &mut Buffered<'_>,
    ) -> Result<usize, Failure> {
        Err(Failure::Reduced)
    }
}

fn run_fixed<W: Weight>(
    model: &[u8],
    trial: &[u8],
    memory: &mut [i32],
    out: &mut Buffered<'_>,
) -> Result<[usize; 2], Failure> {
    let wire::fixed::Model { view, length, .. } =
        wire::fixed::read_prefix::<W>(model).map_err(Failure::Model)?;
    let samples = samples(trial, view.shape().inputs)?;
    let mut state = view.state(memory).map_err(Failure::Model)?;
    let inputs = view.shape().inputs.max(1);
    out.header(view.shape().outputs, state.carried().len(), samples.len() / inputs)?;
    for sample in samples.chunks_exact(inputs) {
        let status = view.step(&mut state, sample);
        out.step(status.held, cast_slice(state.output()), cast_slice(state.carried()))?;
    }
    out.end()?;
    Ok([length, trial::length(samples.len())])
}

/// The samples of a trial, if they have so many inputs.
fn samples<T: Sample>(trial: &[u8], inputs: usize) -> Result<&[T], Failure> {
    let trial = trial::read_prefix(trial).map_err(Failure::Trial)?;
    if trial.inputs != inputs {
        return Err(Failure::Trial(Error {
            field: Field::Inputs,
            expected: Expected::Exactly(inputs as u64),
            found: trial.inputs as u64,
        }));
    }
    Ok(trial.samples)
}

/// Collects small writes: a semihosting call costs far more than a copy.
struct Buffered<'a> {
    buffer: Vec<u8, 512>,
    sink: &'a mut dyn Sink,
}

impl Buffered<'_> {
    fn header(&mut self, outputs: usize, carried: usize, steps: usize) -> Result<(), Failure> {
        #[cfg(feature = "log")]
        defmt::info!("{} outputs, {} carried words, {} steps", outputs, carried, steps);
        self.put(&trial::ResultHeader { outputs, carried, steps }.to_bytes())
    }

    fn step(&mut self, held: u32, output: &[u32], carried: &[u32]) -> Result<(), Failure> {
        #[cfg(feature = "log")]
        defmt::debug!("output {:#010x}, {} held", output, held);
        self.words(held, output, carried)
    }

    fn words(&mut self, first: u32, output: &[u32], carried: &[u32]) -> Result<(), Failure> {
        [&[first], output, carried].into_iter().try_for_each(|words| self.more(words))
    }

    /// Further words of a step.
    fn more(&mut self, words: &[u32]) -> Result<(), Failure> {
        words.iter().try_for_each(|word| self.put(&word.to_le_bytes()))
    }

    fn end(&mut self) -> Result<(), Failure> {
        let stack = self.sink.worst_stack();
        self.put(&stack.to_le_bytes())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if self.buffer.extend_from_slice(bytes).is_err() {
            self.flush()?;
            self.buffer.extend_from_slice(bytes).map_err(|_| Failure::Sink)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.sink.write(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}
