//! Learning steps: forward, gradient and update together, and an update alone.

use bytemuck::cast_slice;
use tinyfold_app::Failure;
use tinyfold_core::learn::{
    Diagonal, Eprop, Groups, LatentRls, LatentRtrl, Learner, Lms, Loss, Online, Optimiser as _, Params, Rule,
    Sgd,
};
use tinyfold_core::wire::{self, learned};
use tinyfold_core::{Error, Expected, Field, State};

use super::{Bench, Clock, Ticks, last, too_small};

/// What learns: SGD on the squared error.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(u32)]
pub enum Learning {
    /// Exact RTRL of U and V in the latent.
    Latent = 1,
    /// e-prop of W, B and b, LMS of C and c.
    Eprop = 2,
    /// SnAp-1 of W, B and b, LMS of C and c.
    Snap1 = 3,
    /// The update of C and c by LMS, alone.
    Lms = 4,
    /// Recursive least squares on the latent maps of state and readout.
    LatentRls = 5,
}

const RULES: [Learning; 5] =
    [Learning::Latent, Learning::Eprop, Learning::Snap1, Learning::Lms, Learning::LatentRls];
/// The learning rate.
const RATE: f32 = 1.0 / 64.0;
/// What the latent maps learn by, with ridge and rate 1.
const FORGET: f32 = 0.99;
const MAPS: Groups = Groups { back: true, readout: true, ..Groups::NONE };

#[inline(never)]
fn step(
    learner: &mut impl Learner<f32>,
    params: &mut Params<'_, f32>,
    state: &mut State<'_, f32>,
    sample: &[f32],
) {
    let (x, target) = sample.split_at_checked(params.shape().inputs).unwrap_or_default();
    learner.step(params, state, x, Some(target));
}

impl<C: Clock> Bench<'_, C> {
    pub(super) fn learn(&mut self, model: &[u8], words: &[u32], memory: &mut [f32]) -> Result<(), Failure> {
        let model = wire::read_prefix::<f32>(model).map_err(Failure::Model)?.view;
        let (shape, settings) = (model.shape(), model.settings());
        let Some((&rule, samples)) = words.split_first() else { return Err(too_small(1, 0)) };
        let Some(rule) = RULES.into_iter().find(|&known| known as u32 == rule) else {
            let expected = Expected::Between(1, RULES.len() as u64);
            return Err(Failure::Trial(Error { field: Field::Version, expected, found: rule.into() }));
        };
        let found = memory.len();
        let short = |need| too_small(need, found);
        let (params, rest) =
            memory.split_at_mut_checked(shape.parameter_len()).ok_or(short(shape.parameter_len()))?;
        let (state, room) = rest.split_at_mut_checked(shape.state_len()).ok_or(short(shape.state_len()))?;
        learned::copy_words(&model, params).map_err(Failure::Model)?;
        let mut params = Params::new(shape, settings, params).map_err(Failure::Model)?;
        let mut state = params.view().state(state).map_err(Failure::Model)?;
        let sgd = Sgd::new(RATE).map_err(Failure::Trial)?;
        let width = shape.inputs + shape.outputs;
        let steps = Steps { samples, width, clock: &mut *self.clock };
        let counted = match rule {
            Learning::Latent => {
                let rule = LatentRtrl::new(&params, Groups::RECURRENT, room).map_err(Failure::Trial)?;
                steps.of(rule, sgd, &mut params, &mut state)
            }
            Learning::Eprop => {
                let rule = Eprop::new(&params, Groups::ALL, room).map_err(Failure::Trial)?;
                steps.of(rule, sgd, &mut params, &mut state)
            }
            Learning::Snap1 => {
                let rule = Diagonal::snap1(&params, Groups::ALL, room).map_err(Failure::Trial)?;
                steps.of(rule, sgd, &mut params, &mut state)
            }
            Learning::LatentRls => {
                let rule = LatentRls::new(&params, MAPS, 1.0, FORGET, room).map_err(Failure::Trial)?;
                steps.of(rule, Sgd::new(1.0).map_err(Failure::Trial)?, &mut params, &mut state)
            }
            Learning::Lms => {
                let rule = Lms::new(&params, Groups::READOUT, room).map_err(Failure::Trial)?;
                steps.update_alone(rule, sgd, &mut params, &mut state)
            }
        };
        self.finish(counted, [cast_slice(state.output()), cast_slice(params.words())])
    }
}

struct Steps<'a, C> {
    samples: &'a [u32],
    width: usize,
    clock: &'a mut C,
}

impl<C: Clock> Steps<'_, C> {
    /// Whole steps.
    fn of(
        self,
        rule: impl Rule<f32>,
        sgd: Sgd<f32>,
        params: &mut Params<'_, f32>,
        state: &mut State<'_, f32>,
    ) -> Ticks {
        let mut learner = Online::new(rule, sgd, Loss::Square);
        last(self.samples, self.width, self.clock, |sample| {
            step(&mut learner, params, state, cast_slice(sample))
        })
    }

    /// The update of each step, between the errors and the next forward step.
    fn update_alone(
        self,
        mut rule: Lms<'_, f32>,
        mut sgd: Sgd<f32>,
        params: &mut Params<'_, f32>,
        state: &mut State<'_, f32>,
    ) -> Ticks {
        let mut counted = Ticks::default();
        for sample in self.samples.chunks_exact(self.width.max(1)) {
            let (x, target) = cast_slice(sample).split_at_checked(params.shape().inputs).unwrap_or_default();
            rule.forward(&params.view(), state, x);
            for (error, (&y, &target)) in rule.error().iter_mut().zip(state.output().iter().zip(target)) {
                *error = y - target;
            }
            counted = self.clock.measure(|| update(&mut rule, params, state, &mut sgd));
        }
        counted
    }
}

#[inline(never)]
fn update(rule: &mut Lms<'_, f32>, params: &mut Params<'_, f32>, state: &State<'_, f32>, sgd: &mut Sgd<f32>) {
    let rate = sgd.begin();
    rule.visit(params, state, sgd, rate, true);
}
