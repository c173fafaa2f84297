//! What training tells while it goes on, and what it makes.

use serde::{Deserialize, Deserializer, Serialize};

use super::Snapshot;
use crate::network::Network;

/// One line of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Updates done.
    pub step: usize,
    /// Batch loss of the last batch; null in JSON when it is not finite.
    #[serde(deserialize_with = "or_infinite")]
    pub loss: f64,
    /// Relative RMSE, worst output: of integration over 2000 Gaussian steps, of another task over [`HELD_OUT`](super::HELD_OUT) trials;
    /// infinite (null in JSON) when it diverges.
    #[serde(deserialize_with = "or_infinite")]
    pub rollout: f64,
    /// Relative RMSE over the recordings joined end to end and repeated to 10 000 steps.
    #[serde(default, deserialize_with = "some_or_infinite", skip_serializing_if = "Option::is_none")]
    pub recording: Option<f64>,
    /// Relative RMSE over trials of another task than integration that are four times as long as those of training: tells
    /// a network that stays from one that leaves.
    #[serde(default, deserialize_with = "some_or_infinite", skip_serializing_if = "Option::is_none")]
    pub long: Option<f64>,
    /// Fraction of the judged outputs of the held-out trials that have the sign of their target, where targets are
    /// decisions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correct: Option<f64>,
    /// Learning rate of the last update.
    pub learning_rate: f64,
    /// Wall time since the start.
    pub seconds: f64,
}

fn or_infinite<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::INFINITY))
}

fn some_or_infinite<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Option<f64>, D::Error> {
    or_infinite(from).map(Some)
}

impl Metrics {
    /// The error that the best network has least of: the larger one of both roll-outs.
    #[must_use]
    pub fn error(&self) -> f64 {
        self.recording.map_or(self.rollout, |recording| recording.max(self.rollout))
    }

    /// The largest error over long roll-outs, or trials.
    #[must_use]
    pub fn long_error(&self) -> f64 {
        self.long.map_or(self.error(), |long| long.max(self.error()))
    }

    /// Whether the network holds over long roll-outs: its error is at most twice the signal, while a network that does
    /// nothing has the signal itself as error.
    #[must_use]
    pub fn stable(&self) -> bool {
        self.long_error() <= 2.0
    }
}

/// What training tells while it goes on.
pub enum Progress<'a> {
    /// After every update.
    Step {
        /// Updates done.
        step: usize,
        /// Batch loss.
        loss: f64,
    },
    /// After every interval, and at the end.
    Interval {
        /// The new line of metrics.
        metrics: Metrics,
        /// The network as it is now.
        network: &'a Network,
        /// Makes what [`resume`](super::resume) goes on from, to the same bits: a copy of all that training changes. None when it
        /// diverged: nothing goes on past that.
        snapshot: Option<&'a dyn Fn() -> Snapshot>,
        /// One entry an interval, this one as well.
        history: &'a [Metrics],
    },
}

/// What the watcher wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Go on.
    Continue,
    /// Stop and keep the best network so far.
    Stop,
}

/// Why training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// All updates are done.
    Done,
    /// The watcher stopped it.
    Stopped,
    /// The loss, its gradient or an updated weight was no longer finite; the best network before is kept.
    Diverged,
    /// The loss is as small as was asked for.
    Reached,
    /// No better network for as many intervals as was asked for.
    Stalled,
}

/// What training made.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The network whose long roll-out was best.
    pub network: Network,
    /// The metrics of `network`.
    pub best: Metrics,
    /// The network after the last update.
    pub last: Network,
    /// One entry an interval.
    pub history: Vec<Metrics>,
    /// Why it ended.
    pub end: End,
}

impl Trained {
    /// Whether the last network, whatever its loss, fails over long roll-outs: it is not [`Metrics::stable`].
    #[must_use]
    pub fn unstable(&self) -> bool {
        self.history.last().is_some_and(|last| !last.stable())
    }
}
