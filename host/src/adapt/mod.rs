//! Networks that go on learning where they run: what to teach them, and what host and chip make of it.
//!
//! A [`Course`] is a model with a lesson. [`Course::on_host`] and [`Course::on_chip`] carry it out with the same
//! code of `tinyfold-core`, so what they return is the same bit for bit, the banks of flash included.

pub mod drift;
pub mod zero;

use tinyfold_core::learn::{Counts, Follower, Moment, Params, Plan};
use tinyfold_core::wire::Model;
use tinyfold_core::wire::learned::{self, Memory, Progress};
use tinyfold_core::wire::lesson::{self, Lesson, code};
use tinyfold_core::wire::trial::ResultHeader;
use tinyfold_core::{Shape, View};

use crate::format::banks::{self, Flash};
use crate::format::model::{self, ModelBytes};
use crate::network::Network;
use crate::verify::Record;
use crate::verify::qemu::Qemu;
use crate::{Error, Result};

/// A network to begin with, and what it is taught.
#[derive(Clone)]
pub struct Course {
    /// Name, for messages.
    pub name: String,
    /// The network to begin with, in f32.
    pub model: ModelBytes,
    /// Rule, rate, passes.
    pub plan: Plan<f32>,
    /// First steps that are left out of the record.
    pub silent: u32,
    /// Steps between two stores of what was learned; after the last one, too. 0: nothing is kept.
    pub store: u32,
    /// Row-major T × (I + O): raw samples, targets in physical units (NaN: none).
    pub rows: Vec<f32>,
}

/// Its name.
impl std::fmt::Debug for Course {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

/// What came of a course.
#[derive(Clone, Debug, PartialEq)]
pub struct Taught {
    /// Every step's outputs and carried words; `held` is held channels + 2^16 × the code of the update.
    pub record: Record,
    /// What happened.
    pub counts: Counts,
    /// Sequence numbers of the record that learning began with and of the last one stored; 0: none.
    pub records: [u32; 2],
    /// The packed words of the network after the last step.
    pub packed: Vec<u32>,
}

impl Course {
    /// The bytes of the lesson, as a chip gets them.
    ///
    /// # Errors
    /// Rows that are not whole, numbers out of range.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; lesson::length(self.rows.len())];
        lesson::write(&self.lesson(self.shape()?), &mut bytes).map_err(|error| self.refused(error))?;
        Ok(bytes)
    }

    fn lesson(&self, Shape { inputs, outputs, .. }: Shape) -> Lesson<'_> {
        let Self { plan, silent, store, ref rows, .. } = *self;
        Lesson { inputs, outputs, plan, silent, store, rows }
    }

    /// The sizes of the network.
    ///
    /// # Errors
    /// The model is not one in f32.
    pub fn shape(&self) -> Result<Shape> {
        Ok(model::read::<f32>(&self.model, &self.name)?.view.shape())
    }

    /// Words of memory that a board lends: parameters, state, the rule's own.
    ///
    /// # Errors
    /// The model is not one in f32.
    pub fn memory_len(&self) -> Result<usize> {
        let view = model::read::<f32>(&self.model, &self.name)?.view;
        let shape = view.shape();
        let rule = self.plan.memory_len(&shape, view.settings().leaky());
        Ok(shape.parameter_len() + shape.state_len() + rule)
    }

    /// Carries the course out on this host; what is kept goes to the banks in `flash`, and learning begins with
    /// what is there.
    ///
    /// # Errors
    /// A rule that does not fit the network, numbers out of range, banks that are too small.
    pub fn on_host(&self, flash: &mut [u8]) -> Result<Taught> {
        let refused = |error| self.refused(error);
        let model = model::read::<f32>(&self.model, &self.name)?;
        let (shape, settings) = (model.view.shape(), model.view.settings());
        // A board without flash keeps nothing.
        let mut banks = if flash.is_empty() { None } else { Some(banks::open(flash, "flash")?) };
        let begun = banks.as_mut().filter(|_| self.store > 0).and_then(newest);
        let begun = begun.as_ref().and_then(|(sequence, payload)| {
            let learned = learned::read::<f32>(payload.bytes()).ok()?;
            learned.continues(&model).then_some((*sequence, learned))
        });
        let first = begun.map_or(model.view, |(_, learned)| learned.model.view);
        let mut words = vec![0.0; shape.parameter_len()];
        learned::copy_words(&first, &mut words).map_err(refused)?;
        let mut params = Params::new(shape, settings, &mut words).map_err(refused)?;
        let mut memory = vec![0.0; shape.state_len()];
        let mut state = params.view().state(&mut memory).map_err(refused)?;
        let mut room = vec![0.0; self.plan.memory_len(&shape, settings.leaky())];
        let mut rows = self.plan.rows(&shape, &self.rows).map_err(refused)?;
        let mut pupil = Pupil {
            lesson: self.lesson(shape),
            model: &model,
            begun: begun.and_then(|(_, learned)| learned.progress),
            banks,
            record: Record::default(),
            stored: 0,
        };
        let counts =
            self.plan.run(&mut params, &mut state, &mut room, &mut rows, &mut pupil).map_err(|failed| {
                match failed {
                    Failed::Refused(error) => refused(error),
                    Failed::Banks(reason) => Error::CheckFailed(format!("{}: {reason}", self.name)),
                }
            })?;
        let Pupil { record, stored, .. } = pupil;
        let packed = params.words().iter().map(|word| word.to_bits()).collect();
        Ok(Taught { record, counts, records: [begun.map_or(0, |(sequence, _)| sequence), stored], packed })
    }

    /// Carries the course out on an emulated chip; `flash` is what its banks hold before and after, empty when
    /// nothing was ever written.
    ///
    /// # Errors
    /// Model or lesson larger than their regions; the image's own message when it refuses, panics or faults.
    pub fn on_chip(&self, qemu: &Qemu, flash: &mut Vec<u8>) -> Result<Taught> {
        let refused = |error| self.refused(error);
        let bytes = qemu.run_kept(self.model.bytes(), &self.bytes()?, flash)?;
        let (header, words, stack) = ResultHeader::read_prefix(&bytes).map_err(refused)?;
        qemu.used_stack(stack);
        let record = Record::of_words(&header, words);
        let rest = &bytes[header.length()..];
        let (taught, packed) = lesson::Taught::read_prefix(rest).map_err(refused)?;
        let packed = packed.iter().map(|&word| u32::from_le_bytes(word)).collect();
        Ok(Taught { record, counts: taught.counts, records: taught.records, packed })
    }

    /// The network that `taught` ended with, to be used like any other.
    ///
    /// # Errors
    /// Words that make no network.
    pub fn network(&self, taught: &Taught) -> Result<Network> {
        let model = model::read::<f32>(&self.model, &self.name)?;
        let words: Vec<f32> = taught.packed.iter().map(|&word| f32::from_bits(word)).collect();
        let view = View::from_words(model.view.shape(), model.view.settings(), &words)
            .map_err(|error| self.refused(error))?;
        model::import(&Model { view, ..model }, &self.name)
    }

    fn refused(&self, error: tinyfold_core::Error) -> Error {
        model::refused(&self.name, error)
    }
}

impl Taught {
    /// The same bits everywhere; any NaN of an output or a carried word equals any NaN.
    #[must_use]
    pub fn same_bits(&self, other: &Self) -> bool {
        let plain = |record: &Record| {
            let words = |words: &[u32]| {
                let nan = |&word: &u32| if f32::from_bits(word).is_nan() { u32::MAX } else { word };
                words.iter().map(nan).collect::<Vec<u32>>()
            };
            (record.held.clone(), words(&record.outputs), words(&record.carried))
        };
        let rest = |taught: &Self| (taught.counts, taught.records);
        plain(&self.record) == plain(&other.record)
            && rest(self) == rest(other)
            && self.packed == other.packed
    }

    /// Words that host and chip agree on.
    #[must_use]
    pub const fn words(&self) -> usize {
        self.record.words() + self.packed.len()
    }

    /// The outputs in physical units, row-major T × O.
    #[must_use]
    pub fn outputs(&self) -> Vec<f64> {
        self.record.outputs.iter().map(|&word| f32::from_bits(word).into()).collect()
    }
}

/// What host and chip agree on.
#[derive(Clone, Debug, PartialEq)]
pub struct Proof {
    /// What came of the course.
    pub taught: Taught,
    /// The banks of flash afterwards.
    pub flash: Vec<u8>,
}

/// Bytes of flash that the host has for banks, as the emulated boards do.
const FLASH: usize = 128 * 1024;

/// Carries a course out on this host and, if there is one, on a chip, with empty banks of flash.
///
/// # Errors
/// As [`Course::on_host`] and [`Course::on_chip`]; a chip that differs from the host in any bit.
pub fn prove(course: &Course, chip: Option<&Qemu>) -> Result<Proof> {
    let banks = chip.and_then(|qemu| qemu.image.banks);
    let mut flash = vec![0; banks.map_or(FLASH, |banks| banks.capacity as usize)];
    let taught = course.on_host(&mut flash)?;
    if let Some(qemu) = chip {
        let mut kept = Vec::new();
        let same = course.on_chip(qemu, &mut kept)?.same_bits(&taught);
        if !same || (course.store > 0 && kept != flash) {
            let reason = format!("{}: {}: not the same bits as this host", qemu.chip.name, course.name);
            return Err(Error::CheckFailed(reason));
        }
    }
    Ok(Proof { taught, flash })
}

enum Failed {
    Refused(tinyfold_core::Error),
    Banks(String),
}

impl From<tinyfold_core::Error> for Failed {
    fn from(error: tinyfold_core::Error) -> Self {
        Self::Refused(error)
    }
}

/// The sequence number of the newest record, and its payload at a multiple of 16, where models are read.
fn newest(banks: &mut Flash<'_>) -> Option<(u32, ModelBytes)> {
    let record = banks.latest().ok()??;
    Some((record.sequence, ModelBytes::new(banks.payload(&record))))
}

/// Who learns on this host, as the chip does.
struct Pupil<'a> {
    lesson: Lesson<'a>,
    model: &'a Model<'a, f32>,
    /// How far learning had come.
    begun: Option<Progress<'a, f32>>,
    banks: Option<Flash<'a>>,
    record: Record,
    /// Number of the last record stored.
    stored: u32,
}

impl Follower<f32> for Pupil<'_> {
    type Error = Failed;

    fn recall(&mut self) -> Option<Memory<'_, f32>> {
        self.begun.map(|progress| progress.memory)
    }

    fn step(&mut self, moment: &Moment<'_, f32>) -> std::result::Result<(), Failed> {
        let Moment { step, params, state, outcome, memory } = *moment;
        if step >= self.lesson.silent {
            self.record.held.push(outcome.held.min(0xffff) | code(outcome.update) << 16);
            self.record.outputs.extend(state.output().iter().map(|word| word.to_bits()));
            self.record.carried.extend(state.carried().iter().map(|word| word.to_bits()));
        }
        if self.lesson.stores_after(step) {
            let missing = || Failed::Banks("expected flash for two banks, found none".into());
            let banks = self.banks.as_mut().ok_or_else(missing)?;
            let progress = Progress { base: self.model.checksum, memory };
            let pieces = learned::pieces(&params.view(), self.model.metadata, Some(progress))?;
            let record = banks.store(pieces.iter()).map_err(|error| Failed::Banks(error.to_string()))?;
            self.stored = record.sequence;
        }
        Ok(())
    }
}
