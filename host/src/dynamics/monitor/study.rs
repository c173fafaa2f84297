//! What a monitor does: false alarms in normal activity, flipped bits that it finds.

use serde::Serialize;
use tinyfold_core::wire;

use super::flips::{Flip, flips};
use super::watch;
use crate::Result;
use crate::dynamics::lyapunov::Watch;
use crate::error::require;
use crate::format::model::{self, ModelBytes, refused};

/// A flip matters if it changes the outputs by more than this part.
pub const MATTERS: f64 = 0.05;
/// Part of the flips that matter that a monitor is to find.
pub const ENOUGH: f64 = 0.99;
/// Steps after a flip in which it is to be found.
pub const WINDOW: usize = 50;
/// Steps before a flip.
pub const WARM: usize = 100;
/// Parts of the normal steps of which the largest values are kept.
const BLOCKS: usize = 200;

/// Normal steps of a watched network. Numbers are in units of their thresholds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Normal {
    /// Steps.
    pub steps: usize,
    /// Steps with an alarm.
    pub alarms: usize,
    /// Largest residual, distance and range.
    pub most: [f64; 3],
    /// The same for each of up to 200 parts of the steps.
    #[serde(skip)]
    pub course: Vec<[f64; 3]>,
}

/// Flipped bits of recurrent and input weights.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flipped {
    /// Flips.
    pub flips: usize,
    /// Flips that change the outputs of the next [`WINDOW`] steps by more than [`MATTERS`].
    pub matter: usize,
    /// Those of them that raise an alarm within [`WINDOW`] steps.
    pub found: usize,
    /// Steps to the alarm: the longest of those found.
    pub slowest: Option<usize>,
    /// Every flip.
    pub all: Vec<Flip>,
}

impl Flipped {
    /// The part of the flips that matter that was found, if any matters.
    #[must_use]
    pub fn part(&self) -> Option<f64> {
        (self.matter > 0).then(|| self.found as f64 / self.matter as f64)
    }
}

/// Watches a network on normal raw samples, T × I, from reset on, or as many of them as `progress` lets it.
///
/// # Errors
/// A monitor of another network.
pub fn normal(bytes: &ModelBytes, monitor: &ModelBytes, samples: &[f32], progress: &Watch) -> Result<Normal> {
    let view = model::read::<f32>(bytes, "model")?.view;
    let watcher = wire::monitor::read::<f32>(monitor.bytes()).map_err(|error| refused("monitor", error))?;
    let steps = samples.len() / view.shape().inputs.max(1);
    let block = steps.div_ceil(BLOCKS).max(1);
    let (mut alarms, mut t, mut course) = (0, 0, vec![[0.0_f64; 3]; steps.div_ceil(block)]);
    progress.bar.set_length(steps as u64);
    watch(&view, &watcher.monitor, samples, |verdict, _| {
        alarms += usize::from(verdict.alarm.any());
        let found = [verdict.residual, verdict.distance, verdict.range];
        course[t / block].iter_mut().zip(found).for_each(|(most, of)| *most = most.max(of.into()));
        t += 1;
        if t.is_multiple_of(block) {
            progress.bar.set_position(t as u64);
        }
        !progress.stopped()
    })?;
    course.truncate(t.div_ceil(block));
    let most = course.iter().fold([0.0; 3], |most, part| [0, 1, 2].map(|k: usize| part[k].max(most[k])));
    Ok(Normal { steps: t, alarms, most, course })
}

/// Flips `count` random bits, none below bit `lowest`, one at a time, after [`WARM`] steps on samples of [`WARM`] +
/// [`WINDOW`] steps; fewer if `progress` ends it.
///
/// # Errors
/// As [`flips`]; a count of 0.
pub fn flipped(
    bytes: &ModelBytes,
    monitor: &ModelBytes,
    samples: &[f32],
    (count, lowest): (usize, u32),
    seed: u64,
    progress: &Watch,
) -> Result<Flipped> {
    let view = model::read::<f32>(bytes, "model")?.view;
    let watcher = wire::monitor::read::<f32>(monitor.bytes()).map_err(|error| refused("monitor", error))?;
    require(count > 0, "flips", "at least 1", count)?;
    let all = flips(&view, &watcher.monitor, samples, WARM, (count, lowest), seed, progress)?;
    let matter: Vec<&Flip> = all.iter().filter(|flip| flip.change > MATTERS).collect();
    let found: Vec<usize> = matter.iter().filter_map(|flip| flip.found).collect();
    let (matter, slowest) = (matter.len(), found.iter().copied().max());
    Ok(Flipped { flips: all.len(), matter, found: found.len(), slowest, all })
}
