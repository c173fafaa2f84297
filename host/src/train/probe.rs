//! What networks are judged by while they are trained.

use rayon::prelude::*;

use super::Settings;
use crate::network::Network;
use crate::simulate;
use crate::task::trial::{Score, Trial, held_out, of_stream, score};
use crate::task::{Dataset, Integration, Task, relative_rmse, synthetic};

/// Steps of the Gaussian roll-out that tells a good network from one that only has a low training loss.
const ROLLOUT: usize = 2000;
/// Trials, of the length of training sequences but never trained on, that a task other than integration is judged by.
pub const HELD_OUT: usize = 128;
/// Trials that tell whether a network stays, each so many times as long as a training sequence.
const LONG: usize = 32;
const TIMES: usize = 4;
/// Their stream of random numbers: the first ones are of [`HELD_OUT`], and of the command.
const STREAM: u64 = 3;
/// Steps of the roll-out on the recording.
const RECORDING: usize = 10_000;

/// What a network is judged by while it is trained.
pub(super) enum Probe<'a> {
    /// Long roll-outs of integration.
    Rollouts { task: &'a Integration, gaussian: Vec<f64>, recording: Option<Vec<f64>> },
    /// Trials of another task.
    Trials { task: &'a Task, trials: Vec<Trial>, long: Vec<Trial> },
}

impl<'a> Probe<'a> {
    pub(super) fn new(settings: &'a Settings, data: Option<&Dataset>) -> Self {
        // Not the noise that encoders and decoders were drawn from.
        let seed = !settings.seed;
        match &settings.task {
            Task::Integration(task) => Self::Rollouts {
                task,
                gaussian: synthetic::gaussian(ROLLOUT, task.channels(), seed),
                recording: data.map(|data| data.joined(RECORDING)),
            },
            task => Self::Trials {
                task,
                trials: held_out(task.trials(), settings.sequence, HELD_OUT, seed),
                long: of_stream(task.trials(), TIMES * settings.sequence, LONG, seed, STREAM),
            },
        }
    }

    /// What that is, in words.
    pub(super) fn length(&self) -> String {
        match self {
            Self::Rollouts { .. } => format!("{ROLLOUT} steps"),
            Self::Trials { .. } => format!("{HELD_OUT} trials"),
        }
    }

    /// The score, the error on the recording and that of long trials.
    pub(super) fn errors(&self, network: &Network) -> (Score, [Option<f64>; 2]) {
        let run = |x: &[f64]| simulate::run(network, x, false).outputs;
        match self {
            Self::Rollouts { task, gaussian, recording } => {
                let error = |x: &Vec<f64>| relative_rmse(&run(x), &task.targets(x), task.channels());
                let (error, recording) = rayon::join(|| error(gaussian), || recording.as_ref().map(error));
                (Score { error, correct: None }, [recording, None])
            }
            Self::Trials { task, trials, long } => {
                (judged(network, task, trials), [None, Some(judged(network, task, long).error)])
            }
        }
    }
}

/// The score of a network on trials.
#[must_use]
pub fn judged(network: &Network, task: &Task, trials: &[Trial]) -> Score {
    let run = |trial: &Trial| simulate::run(network, &trial.x, false).outputs;
    let outputs: Vec<Vec<f64>> = trials.par_iter().map(run).collect();
    score(task.trials(), trials, &outputs)
}
