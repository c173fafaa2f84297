//! What every tinyfold board does: read a model, run it on a trial, hand out every word of every step.
//!
//! The board says where the bytes lie, lends memory for the state and takes the result; nothing here
//! knows of a chip.
#![no_std]
#![forbid(unsafe_code)]

use heapless::Vec;
use tinyfold_core::wire::{self, trial};
use tinyfold_core::{Error, Expected, Field};

/// Where the bytes of a result go.
pub trait Sink {
    /// Takes all of `bytes`, or says that it cannot.
    ///
    /// # Errors
    /// [`Failure::Sink`].
    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure>;
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
}

impl Failure {
    /// Exit code of an image that failed so.
    #[must_use]
    pub const fn exit_code(&self) -> i32 {
        match self {
            Self::Model(_) => 10,
            Self::Trial(_) => 11,
            Self::Sink => 12,
        }
    }
}

impl core::fmt::Display for Failure {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Model(error) => write!(f, "model: {error}"),
            Self::Trial(error) => write!(f, "trial: {error}"),
            Self::Sink => f.write_str("result: expected room for it, found none"),
        }
    }
}

/// Exit code after a panic of anything but core, which has none.
pub const PANICKED: i32 = 20;
/// Exit code after a HardFault.
pub const FAULTED: i32 = 21;

/// Runs the model at the start of `model` on the trial at the start of `trial`, from reset to the
/// last sample, and writes header and step words of the result (see [`trial`]).
///
/// # Errors
/// Bytes that are refused, memory that is too small for the model, a sink that is full.
pub fn run(model: &[u8], trial: &[u8], memory: &mut [f32], sink: &mut dyn Sink) -> Result<(), Failure> {
    let view = wire::read_prefix::<f32>(model).map_err(Failure::Model)?.view;
    let trial = trial::read_prefix(trial).map_err(Failure::Trial)?;
    let shape = view.shape();
    if trial.inputs != shape.inputs {
        return Err(Failure::Trial(Error {
            field: Field::Inputs,
            expected: Expected::Exactly(shape.inputs as u64),
            found: trial.inputs as u64,
        }));
    }
    let mut state = view.state(memory).map_err(Failure::Model)?;
    let steps = trial.samples.len() / trial.inputs.max(1);
    #[cfg(feature = "log")]
    defmt::info!("model {}, {} steps", shape, steps);

    let mut out = Buffered { buffer: Vec::new(), sink };
    let header = trial::ResultHeader { outputs: shape.outputs, carried: state.carried().len(), steps };
    out.put(&header.to_bytes())?;
    for sample in trial.samples.chunks_exact(trial.inputs.max(1)) {
        let status = view.step(&mut state, sample);
        out.put(&status.held.to_le_bytes())?;
        out.words(state.output())?;
        out.words(state.carried())?;
        #[cfg(feature = "log")]
        defmt::debug!("output {}, {} held", state.output(), status.held);
    }
    #[cfg(feature = "log")]
    defmt::info!("done, {} input samples held", state.held());
    out.flush()
}

/// Collects small writes: a semihosting call costs far more than a copy.
struct Buffered<'a> {
    buffer: Vec<u8, 512>,
    sink: &'a mut dyn Sink,
}

impl Buffered<'_> {
    fn words(&mut self, words: &[f32]) -> Result<(), Failure> {
        words.iter().try_for_each(|word| self.put(&word.to_le_bytes()))
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
