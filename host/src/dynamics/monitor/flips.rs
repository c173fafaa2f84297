//! Single flipped bits: which change the output, and how soon a monitor finds them.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use tinyfold_core::monitor::Monitor;
use tinyfold_core::wire::learned::copy_words;
use tinyfold_core::{PANEL_ROWS, Shape, View};

use crate::Result;
use crate::dynamics::lyapunov::Watch;
use crate::error::require;
use crate::format::model::refused;

/// One flipped bit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Flip {
    /// Packed word.
    pub word: usize,
    /// Bit, 31 the sign.
    pub bit: u32,
    /// The weight before.
    pub right: f32,
    /// The weight after.
    pub wrong: f32,
    /// Relative RMSE of the outputs against those of the right weight; infinite if an output or state is.
    pub change: f64,
    /// Steps from the flip to the first alarm, 1 if in the first step.
    pub found: Option<usize>,
}

/// Flips `count` random bits of the recurrent and input weights, one at a time.
///
/// Each time, the network runs from reset on the first `warm` of the samples with its right weights, watched;
/// then the bit flips and it runs on to the end of the samples. `lowest`: the lowest bit that is flipped; `progress` may
/// end it early.
///
/// # Errors
/// A monitor of other sizes; a lowest bit above 31.
pub fn flips(
    view: &View<'_, f32>,
    monitor: &Monitor<'_, f32>,
    samples: &[f32],
    warm: usize,
    (count, lowest): (usize, u32),
    seed: u64,
    progress: &Watch,
) -> Result<Vec<Flip>> {
    require(lowest < 32, "lowest bit", "below 32", lowest)?;
    let shape = view.shape();
    let mut words = vec![0.0; shape.parameter_len()];
    copy_words(view, &mut words).map_err(|error| refused("model", error))?;
    let places: Vec<usize> = (0..shape.layer_len()).filter(|&at| is_weight(&shape, at)).collect();
    let (normal, _) = run(view, view, monitor, samples, warm)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut all = Vec::new();
    progress.bar.set_length(count as u64);
    progress.bar.reset();
    for _ in 0..count {
        if progress.stopped() {
            break;
        }
        let (word, bit) = (places[rng.random_range(0..places.len())], rng.random_range(lowest..32));
        let right = words[word];
        let wrong = f32::from_bits(right.to_bits() ^ 1 << bit);
        words[word] = wrong;
        let flipped =
            View::damaged(shape, view.settings(), &words).map_err(|error| refused("model", error))?;
        let (outputs, found) = run(view, &flipped, monitor, samples, warm)?;
        words[word] = right;
        all.push(Flip { word, bit, right, wrong, change: relative(&normal, &outputs), found });
        progress.bar.inc(1);
    }
    Ok(all)
}

/// Whether a packed word is one of W and B, or U, B and V.
fn is_weight(shape: &Shape, at: usize) -> bool {
    let Shape { neurons, rank, inputs, .. } = *shape;
    if shape.is_dense() {
        let panel = PANEL_ROWS * (1 + neurons + inputs);
        let (first, within) = (at / panel * PANEL_ROWS, at % panel);
        within >= PANEL_ROWS && first + within % PANEL_ROWS < neurons
    } else {
        let place = at % (1 + 2 * rank + inputs + shape.outputs);
        (1..=2 * rank + inputs).contains(&place)
    }
}

fn run(
    right: &View<'_, f32>,
    wrong: &View<'_, f32>,
    monitor: &Monitor<'_, f32>,
    samples: &[f32],
    warm: usize,
) -> Result<(Vec<f32>, Option<usize>)> {
    let refused = |error| refused("monitor", error);
    let (mut memory, mut room) =
        (vec![0.0; right.shape().state_len()], vec![0.0; monitor.shape().memory_len()]);
    let mut state = right.state(&mut memory).map_err(refused)?;
    let mut watch = monitor.watch(right, &mut room).map_err(refused)?;
    let (mut outputs, mut found) = (Vec::new(), None);
    for (t, x) in samples.chunks_exact(right.shape().inputs.max(1)).enumerate() {
        let view = if t < warm { right } else { wrong };
        let (_, verdict) = monitor.step(view, &mut state, x, &mut watch);
        if t >= warm {
            if found.is_none() && verdict.alarm.any() {
                found = Some(t + 1 - warm);
            }
            outputs.extend_from_slice(state.output());
        }
    }
    Ok((outputs, found))
}

/// sqrt(sum (a - b)² / sum a²) over all outputs.
fn relative(normal: &[f32], other: &[f32]) -> f64 {
    let (mut error, mut size) = (0.0, 0.0);
    for (&a, &b) in normal.iter().zip(other) {
        error += (f64::from(a) - f64::from(b)).powi(2);
        size += f64::from(a).powi(2);
    }
    let change = (error / size.max(f64::MIN_POSITIVE)).sqrt();
    if change.is_nan() { f64::INFINITY } else { change }
}
