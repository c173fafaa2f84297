//! Many trajectories, each until it is done.

use faer::Mat;
use rayon::prelude::*;

use super::Watch;
use crate::dynamics::stepper::Stepper;
use crate::dynamics::vector::is_finite;
use crate::dynamics::{Kind, System};
use crate::error::require;
use crate::{Error, Result};

/// States that move together.
const BLOCK: usize = 64;

/// Runs all starts until `done` of the step, the state and the one before says so, or the state is not
/// finite: what it said, `None` at the last step and of what is not finite, and the state then.
pub(super) fn run<S: System + ?Sized, T: Copy + Send>(
    system: &S,
    count: usize,
    start: impl Fn(usize) -> Vec<f64> + Sync,
    steps: usize,
    dt: f64,
    watch: &Watch,
    done: impl Fn(usize, &[f64], &[f64]) -> Option<T> + Sync,
) -> Result<Vec<(Option<T>, Vec<f64>)>> {
    require(dt > 0.0 && dt.is_finite(), "dt", "a time above 0", dt)?;
    let flow = (system.kind() == Kind::Flow).then_some(dt);
    let block = |first: usize| {
        let mut z = Mat::zeros(system.dimension(), BLOCK.min(count - first));
        let many = z.ncols();
        (0..many).for_each(|j| z.col_as_slice_mut(j).copy_from_slice(&start(first + j)));
        let mut stepper = Stepper::new(many, z, flow);
        let mut ends: Vec<Option<(Option<T>, Vec<f64>)>> = vec![None; many];
        // Which start each column of the stepper is.
        let mut columns: Vec<usize> = (0..many).collect();
        for step in 1..=steps {
            stepper.step(system);
            for (j, &column) in columns.iter().enumerate() {
                let now = stepper.z.col_as_slice(j);
                if ends[column].is_none() {
                    let label = done(step, now, stepper.before(j));
                    let ended = label.is_some() || step == steps || !is_finite(now);
                    ends[column] = ended.then(|| (label, now.to_vec()));
                }
            }
            let running: Vec<usize> = (0..columns.len()).filter(|&j| ends[columns[j]].is_none()).collect();
            if running.is_empty() {
                break;
            }
            // Those that are done go on for nothing: they are dropped as soon as they are half.
            if 2 * running.len() <= columns.len() {
                stepper.keep(&running);
                columns = running.into_iter().map(|j| columns[j]).collect();
            }
            if watch.stopped() {
                return None;
            }
        }
        watch.bar.inc(many as u64);
        let unmoved = |(j, end): (usize, Option<_>)| end.unwrap_or_else(|| (None, start(first + j)));
        Some(ends.into_iter().enumerate().map(unmoved).collect::<Vec<_>>())
    };
    let blocks: Vec<usize> = (0..count).step_by(BLOCK).collect();
    let ends = blocks.into_par_iter().map(block).collect::<Option<Vec<_>>>();
    let ended = || Error::Numeric { what: "trajectories".into(), reason: "ended early".into() };
    Ok(ends.ok_or_else(ended)?.concat())
}
