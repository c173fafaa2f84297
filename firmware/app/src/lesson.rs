//! A network that learns while it runs, and keeps what it learned.

use bytemuck::cast_slice;
use tinyfold_core::learn::{Outcome, Params};
use tinyfold_core::wire;
use tinyfold_core::wire::learned::{self, Memory, Optimiser};
use tinyfold_core::wire::lesson::{self, Taught, code};
use tinyfold_core::{Error, Expected, Field, State};

use super::{Buffered, Failure, Keep};

/// Runs one lesson and says how many bytes model and lesson have.
pub(crate) fn run(
    model: &[u8],
    bytes: &[u8],
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
    learned::copy_words(&model.view, words).map_err(Failure::Model)?;
    let began = if lesson.store > 0 { keep.recall(&model, words) } else { None };
    #[cfg(feature = "log")]
    match began {
        Some(sequence) => defmt::info!("learning goes on from record {}", sequence),
        None => defmt::info!("learning begins with the model"),
    }
    let mut params = Params::new(shape, settings, words).map_err(Failure::Model)?;
    let mut state = params.view().state(state).map_err(Failure::Model)?;
    let steps = lesson.steps();
    out.header_of(shape, state.carried().len(), lesson.told() as usize)?;
    let mut stored = 0;
    let mut each = |step: u32, params: &Params<'_, f32>, state: &State<'_, f32>, outcome: &Outcome<f32>| {
        let done = u64::from(step) + 1;
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
        if step >= lesson.silent {
            let first = outcome.held.min(0xffff) | code(outcome.update) << 16;
            out.words(first, cast_slice(state.output()), cast_slice(state.carried()))?;
        }
        if lesson.store > 0 && (done % u64::from(lesson.store) == 0 || done == steps) {
            let memory = Memory { optimiser: Optimiser::Sgd, steps: done, base: model.checksum, words: &[] };
            let pieces =
                learned::pieces(&params.view(), model.metadata, Some(memory)).map_err(Failure::Model)?;
            stored = keep.store(&pieces).ok_or(Failure::Keep)?;
            #[cfg(feature = "log")]
            defmt::info!("step {}: stored record {}", step, stored);
        }
        Ok::<(), Failure>(())
    };
    let counts = lesson.plan.run(&mut params, &mut state, room, lesson.rows, &mut each)?;
    #[cfg(feature = "log")]
    defmt::info!("{}", counts);
    out.end()?;
    let words = params.words();
    let taught = Taught { words: words.len(), counts, records: [began.unwrap_or(0), stored] };
    for word in taught.to_words().iter().chain(cast_slice::<f32, u32>(words)) {
        out.put(&word.to_le_bytes())?;
    }
    Ok([model.length, lesson::length(lesson.rows.len())])
}
