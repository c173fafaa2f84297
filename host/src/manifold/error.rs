//! Error against time since reset.

use serde::{Deserialize, Serialize};

use super::capped;
use crate::task::Integration;

/// Runs that are averaged over where they are short.
const STARTS: usize = 16;

/// A stretch of time since reset and the error in it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// First step, counted from 1.
    pub from: usize,
    /// Last step.
    pub to: usize,
    /// Relative RMSE of the worst channel in this stretch.
    pub relative_rmse: f64,
}

/// Relative RMSE in windows that end at 1, 2, 5, 10, 20, 50 ... steps after reset.
///
/// One run over all steps and 15 runs of a sixteenth of them, each started at reset from another place
/// of the signal: early windows are averages over 16 starts.
///
/// x: row-major, at least `steps` × D; run: outputs (row-major T × D) of a network, from reset, for
/// the inputs it is given.
///
/// # Panics
/// If `x` is shorter than that, or `run` returns fewer outputs.
///
/// ```
/// use tinyfold::{manifold::error::curve, task::{Integration, synthetic}};
/// let task = Integration { decays: vec![0.9], scales: vec![1.0] };
/// let almost = |x: &[f64]| task.targets(x).into_iter().map(|y| 1.01 * y).collect();
/// let windows = curve(&task, &synthetic::gaussian(1000, 1, 0), 1000, almost);
/// assert_eq!(windows.last().map(|window| (window.from, window.to)), Some((501, 1000)));
/// assert!(windows.iter().all(|window| (window.relative_rmse - 0.01).abs() < 1e-12));
/// ```
pub fn curve(
    task: &Integration,
    x: &[f64],
    steps: usize,
    mut run: impl FnMut(&[f64]) -> Vec<f64>,
) -> Vec<Window> {
    let channels = task.channels();
    assert!(x.len() >= steps * channels, "as many samples as steps");
    let edges = edges(steps);
    // Sums of squares of error and target, window × channel.
    let mut sums = vec![(0.0, 0.0); edges.len() * channels];
    let short = steps / STARTS;
    for start in 0..STARTS {
        let length = if start == 0 { steps } else { short };
        if length == 0 {
            continue;
        }
        let x = &x[start * short * channels..][..length * channels];
        let (y, target) = (run(x), task.targets(x));
        assert_eq!(y.len(), target.len(), "as many outputs as targets");
        let mut window = 0;
        for (t, (y, target)) in y.chunks_exact(channels).zip(target.chunks_exact(channels)).enumerate() {
            window += usize::from(t + 1 > edges[window]);
            for c in 0..channels {
                let (error, power) = &mut sums[window * channels + c];
                *error += (y[c] - target[c]).powi(2);
                *power += target[c].powi(2);
            }
        }
    }
    let worst = |window: usize| {
        sums[window * channels..][..channels]
            .iter()
            .map(|(error, power)| if *power > 0.0 { capped((error / power).sqrt()) } else { 0.0 })
            .fold(0.0, f64::max)
    };
    (0..edges.len())
        .map(|w| Window {
            from: if w == 0 { 1 } else { edges[w - 1] + 1 },
            to: edges[w],
            relative_rmse: worst(w),
        })
        .collect()
}

/// 1, 2, 5, 10, 20, 50 ... and `steps`.
fn edges(steps: usize) -> Vec<usize> {
    let mut edges: Vec<usize> = (0..18)
        .flat_map(|power| [1, 2, 5].map(|digit| digit * 10_usize.pow(power)))
        .take_while(|&edge| edge < steps)
        .collect();
    edges.push(steps);
    edges
}
