//! What a chip's learning steps must answer: the same steps on this host.

use tinyfold_core::Shape;
use tinyfold_core::learn::{
    Diagonal, Eprop, Groups, LatentRls, LatentRtrl, Learner, Lms, Loss, Online, Optimiser, Params, Rule, Sgd,
};
use tinyfold_core::wire::learned;

use crate::Result;
use crate::format::model::{self, ModelBytes};

/// What learns: the numbers of `Learning` in `firmware/bench/src/learn.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

const RATE: f32 = 1.0 / 64.0;
const FORGET: f32 = 0.99;
const MAPS: Groups = Groups { back: true, readout: true, ..Groups::NONE };

impl Learning {
    /// Words of memory: parameters, state, rule.
    pub(super) fn memory(self, shape: &Shape) -> usize {
        shape.parameter_len() + shape.state_len() + self.rule_words(shape)
    }

    fn rule_words(self, shape: &Shape) -> usize {
        match self {
            Self::Latent => LatentRtrl::<f32>::memory_len(shape, Groups::RECURRENT, false),
            Self::Eprop => Eprop::<f32>::memory_len(shape),
            Self::Snap1 => Diagonal::<f32>::memory_len(shape),
            Self::Lms => Lms::<f32>::memory_len(shape),
            Self::LatentRls => LatentRls::<f32>::memory_len(shape, MAPS),
        }
    }

    /// Outputs of the last step and all packed words after it, for samples and targets (T × (I + O)).
    pub(super) fn answer(self, bytes: &ModelBytes, samples: &[f32], place: &str) -> Result<Vec<u32>> {
        let refused = |error| model::refused(place, error);
        let view = model::read::<f32>(bytes, place)?.view;
        let shape = view.shape();
        let mut words = vec![0.0; shape.parameter_len()];
        learned::copy_words(&view, &mut words).map_err(refused)?;
        let mut params = Params::new(shape, view.settings(), &mut words).map_err(refused)?;
        let mut memory = vec![0.0; shape.state_len()];
        let mut state = params.view().state(&mut memory).map_err(refused)?;
        let mut sgd = Sgd::new(RATE).map_err(refused)?;
        let mut room = vec![0.0; self.rule_words(&shape)];
        let mut lms = None;
        let mut learner: Option<Box<dyn Learner<f32> + '_>> = match self {
            Self::Latent => {
                let rule = LatentRtrl::new(&params, Groups::RECURRENT, &mut room).map_err(refused)?;
                Some(Box::new(Online::new(rule, sgd, Loss::Square)))
            }
            Self::Eprop => {
                let rule = Eprop::new(&params, Groups::ALL, &mut room).map_err(refused)?;
                Some(Box::new(Online::new(rule, sgd, Loss::Square)))
            }
            Self::Snap1 => {
                let rule = Diagonal::snap1(&params, Groups::ALL, &mut room).map_err(refused)?;
                Some(Box::new(Online::new(rule, sgd, Loss::Square)))
            }
            Self::LatentRls => {
                let rule = LatentRls::new(&params, MAPS, 1.0, FORGET, &mut room).map_err(refused)?;
                Some(Box::new(Online::new(rule, Sgd::new(1.0).map_err(refused)?, Loss::Square)))
            }
            Self::Lms => {
                lms = Some(Lms::new(&params, Groups::READOUT, &mut room).map_err(refused)?);
                None
            }
        };
        for sample in samples.chunks_exact(shape.inputs + shape.outputs) {
            let (x, target) = sample.split_at(shape.inputs);
            if let Some(learner) = &mut learner {
                learner.step(&mut params, &mut state, x, Some(target));
            } else if let Some(rule) = &mut lms {
                rule.forward(&params.view(), &mut state, x);
                let errors = state.output().iter().zip(target).map(|(y, target)| y - target);
                rule.error().iter_mut().zip(errors).for_each(|(to, error)| *to = error);
                let rate = sgd.begin();
                rule.visit(&mut params, &state, &mut sgd, rate, true);
            }
        }
        Ok(state.output().iter().chain(params.words()).map(|x| x.to_bits()).collect())
    }
}
