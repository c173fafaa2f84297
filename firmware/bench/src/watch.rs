//! Steps of reduced models and of watched networks.

use bytemuck::cast_slice;
use tinyfold_app::Failure;
use tinyfold_core::monitor::{Monitor, Verdict, Watch};
use tinyfold_core::{State, View, reduced, wire};

use super::{Bench, Clock, last, too_small};

impl<C: Clock> Bench<'_, C> {
    pub(super) fn reduced(&mut self, model: &[u8], words: &[u32], memory: &mut [f32]) -> Result<(), Failure> {
        #[inline(never)]
        fn step(view: &reduced::View<'_, f32>, state: &mut reduced::State<'_, f32>, sample: &[f32]) {
            view.step(state, sample);
        }
        let view = wire::reduced::read_prefix(model).map_err(Failure::Model)?.view;
        let mut state = view.state(memory).map_err(Failure::Model)?;
        let counted = last(words, view.shape().inputs, self.clock, |sample| {
            step(&view, &mut state, cast_slice(sample));
        });
        self.finish(counted, [cast_slice(state.output()), cast_slice(state.z())])
    }

    pub(super) fn watched(&mut self, model: &[u8], words: &[u32], memory: &mut [f32]) -> Result<(), Failure> {
        #[inline(never)]
        fn step(
            (monitor, view): (&Monitor<'_, f32>, &View<'_, f32>),
            state: &mut State<'_, f32>,
            sample: &[f32],
            watch: &mut Watch<'_, f32>,
        ) -> Verdict<f32> {
            monitor.step(view, state, sample, watch).1
        }
        let view = wire::read_prefix(model).map_err(Failure::Model)?.view;
        let watcher = wire::monitor::read_prefix::<f32>(cast_slice(words)).map_err(Failure::Trial)?;
        let samples = words.get(watcher.length / 4..).unwrap_or_default();
        let (need, found) = (view.shape().state_len(), memory.len());
        let (state, room) = memory.split_at_mut_checked(need).ok_or(too_small(need, found))?;
        let mut state = view.state(state).map_err(Failure::Model)?;
        let mut watch = watcher.monitor.watch(&view, room).map_err(Failure::Trial)?;
        let mut verdict = None;
        let counted = last(samples, view.shape().inputs, self.clock, |sample| {
            verdict = Some(step((&watcher.monitor, &view), &mut state, cast_slice(sample), &mut watch));
        });
        let Some(verdict) = verdict else { return Err(too_small(1, 0)) };
        let found = [verdict.residual, verdict.distance, verdict.range];
        self.finish(counted, [cast_slice(state.output()), cast_slice(&found)])
    }
}
