//! Reduced models, and networks under their monitors.

use bytemuck::cast_slice;
use tinyfold_core::wire::{self, Model, trial};
use tinyfold_core::{Error, Expected, Field};

use super::{Buffered, Failure, samples};

/// Runs a network under its monitor, and says how many bytes the monitor has.
pub(super) fn watch(
    model: &Model<'_, f32>,
    monitor: &[u8],
    samples: &[f32],
    memory: &mut [f32],
    out: &mut Buffered<'_>,
) -> Result<usize, Failure> {
    let view = &model.view;
    let read = wire::monitor::read_prefix::<f32>(monitor).map_err(Failure::Monitor)?;
    if !read.watches(model) {
        return Err(Failure::Monitor(Error {
            field: Field::Checksum,
            expected: Expected::Exactly(model.checksum.into()),
            found: read.model.into(),
        }));
    }
    let (need, found) = (view.shape().state_len(), memory.len());
    let Some((words, room)) = memory.split_at_mut_checked(need) else {
        let expected = Expected::AtLeast(need as u64);
        return Err(Failure::Model(Error { field: Field::State, expected, found: found as u64 }));
    };
    let mut state = view.state(words).map_err(Failure::Model)?;
    let mut watch = read.monitor.watch(view, room).map_err(Failure::Monitor)?;
    let inputs = view.shape().inputs.max(1);
    out.header(view.shape().outputs, state.carried().len() + 4, samples.len() / inputs)?;
    for sample in samples.chunks_exact(inputs) {
        let (status, verdict) = read.monitor.step(view, &mut state, sample, &mut watch);
        out.step(status.held, cast_slice(state.output()), cast_slice(state.carried()))?;
        let found = [verdict.residual, verdict.distance, verdict.range];
        out.more(&[verdict.alarm.bits()])?;
        out.more(cast_slice(&found))?;
        #[cfg(feature = "log")]
        if verdict.alarm.any() {
            defmt::warn!("{}", verdict);
        }
    }
    #[cfg(feature = "log")]
    defmt::info!("{} steps with an alarm", watch.alarms());
    out.end()?;
    Ok(read.length)
}

/// Runs a reduced model on its trial, and says how many bytes both have.
pub(super) fn run(
    model: &[u8],
    trial: &[u8],
    memory: &mut [f32],
    out: &mut Buffered<'_>,
) -> Result<[usize; 2], Failure> {
    let wire::reduced::Model { view, length, .. } =
        wire::reduced::read_prefix::<f32>(model).map_err(Failure::Model)?;
    let shape = view.shape();
    let inputs = shape.inputs.max(1);
    let samples = samples(trial, inputs)?;
    let mut state = view.state(memory).map_err(Failure::Model)?;
    out.header(shape.outputs, shape.dimensions + 1, samples.len() / inputs)?;
    for sample in samples.chunks_exact(inputs) {
        let status = view.step(&mut state, sample);
        out.step(status.held, cast_slice(state.output()), cast_slice(state.z()))?;
        out.more(&[status.outside.into()])?;
    }
    out.end()?;
    Ok([length, trial::length(samples.len())])
}
