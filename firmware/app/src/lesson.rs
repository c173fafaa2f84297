//! A network that learns while it runs, and keeps what it learned.

use bytemuck::cast_slice;
use tinyfold_core::learn::{Follower, Moment, Params, Source};
use tinyfold_core::wire::learned::{self, Memory, Progress};
use tinyfold_core::wire::lesson::{self, Lesson, Taught, code};
use tinyfold_core::wire::{self, Model};
use tinyfold_core::{Error, Expected, Field};

use super::{Buffered, Failure, Keep};

/// Runs one lesson, over its own rows or those of a source, and says how many bytes model and lesson have.
pub(crate) fn run(
    model: &[u8],
    bytes: &[u8],
    source: Option<&mut dyn Source<f32>>,
    memory: &mut [f32],
    keep: &mut dyn Keep,
    out: &mut Buffered<'_>,
) -> Result<[usize; 2], Failure> {
    let model = wire::read_prefix::<f32>(model).map_err(Failure::Model)?;
    let lesson = lesson::read_prefix(bytes).map_err(Failure::Trial)?;
    let (shape, settings) = (model.view.shape(), model.view.settings());
    for (field, expected, found) in
        [(Field::Inputs, shape.inputs, lesson.inputs), (Field::Outputs, shape.outputs, lesson.outputs)]
    {
        if expected != found {
            let expected = Expected::Exactly(expected as u64);
            return Err(Failure::Trial(Error { field, expected, found: found as u64 }));
        }
    }
    let found = memory.len() as u64;
    let short = |need: usize| {
        Failure::Model(Error { field: Field::State, expected: Expected::AtLeast(need as u64), found })
    };
    let need = [shape.parameter_len(), shape.state_len()];
    let (words, rest) = memory.split_at_mut_checked(need[0]).ok_or(short(need[0]))?;
    let (state, room) = rest.split_at_mut_checked(need[1]).ok_or(short(need[0] + need[1]))?;
    let begun = if lesson.store > 0 { keep.recall(&model) } else { None };
    let began = begun.map_or(0, |(sequence, _)| sequence);
    #[cfg(feature = "log")]
    match begun {
        Some((sequence, _)) => defmt::info!("learning goes on from record {}", sequence),
        None => defmt::info!("learning begins with the model"),
    }
    let first = begun.map_or(model.view, |(_, learned)| learned.model.view);
    learned::copy_words(&first, words).map_err(Failure::Model)?;
    let mut params = Params::new(shape, settings, words).map_err(Failure::Model)?;
    let mut state = params.view().state(state).map_err(Failure::Model)?;
    let mut rows = lesson.plan.rows(&shape, lesson.rows).map_err(Failure::Trial)?;
    let source: &mut dyn Source<f32> = match source {
        Some(source) => source,
        None => &mut rows,
    };
    let told = source.rows().unwrap_or(0).saturating_sub(lesson.silent.into());
    out.header(shape.outputs, state.carried().len(), told as usize)?;
    let mut pupil = Pupil { lesson, model, began, keep, out, stored: 0 };
    let counts = lesson.plan.run(&mut params, &mut state, room, source, &mut pupil)?;
    let Pupil { out, stored, .. } = pupil;
    #[cfg(feature = "log")]
    defmt::info!("{}", counts);
    out.end()?;
    let words = params.words();
    let taught = Taught { words: words.len(), counts, records: [began, stored] };
    for word in taught.to_words().iter().chain(cast_slice::<f32, u32>(words)) {
        out.put(&word.to_le_bytes())?;
    }
    Ok([model.length, lesson::length(lesson.rows.len())])
}

/// Who learns, tells of it and keeps it.
struct Pupil<'a, 'b> {
    lesson: Lesson<'a>,
    model: Model<'a, f32>,
    /// Number of the record that learning began with; 0: none.
    began: u32,
    keep: &'a mut dyn Keep,
    out: &'a mut Buffered<'b>,
    /// Number of the last record stored.
    stored: u32,
}

impl Follower<f32> for Pupil<'_, '_> {
    type Error = Failure;

    fn recall(&mut self) -> Option<Memory<'_, f32>> {
        if self.began == 0 {
            return None;
        }
        let (_, learned) = self.keep.recall(&self.model)?;
        learned.progress.map(|progress| progress.memory)
    }

    fn step(&mut self, moment: &Moment<'_, f32>) -> Result<(), Failure> {
        let Moment { step, params, state, outcome, memory } = *moment;
        #[cfg(feature = "log")]
        if step % 256 == 0 {
            defmt::info!(
                "step {}: loss {}, {}, output {}",
                step,
                outcome.loss,
                outcome.update,
                state.output()
            );
        }
        if step >= self.lesson.silent {
            let first = outcome.held.min(0xffff) | code(outcome.update) << 16;
            self.out.words(first, cast_slice(state.output()), cast_slice(state.carried()))?;
        }
        if self.lesson.stores_after(step) {
            let progress = Progress { base: self.model.checksum, memory };
            let pieces = learned::pieces(&params.view(), self.model.metadata, Some(progress))
                .map_err(Failure::Model)?;
            self.stored = self.keep.store(&pieces).ok_or(Failure::Keep)?;
            #[cfg(feature = "log")]
            defmt::info!("step {}: stored record {}", step, self.stored);
        }
        Ok(())
    }
}
