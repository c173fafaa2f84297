//! Error against time since reset.

use std::iter::zip;
use std::ops::Range;

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
    let mut parts = Parts::new(steps, channels);
    for range in starts(steps) {
        let x = &x[range.start * channels..range.end * channels];
        let y = run(x);
        assert_eq!(y.len(), x.len(), "as many outputs as targets");
        parts.add_errors(&y, &task.targets(x));
    }
    parts.windows(|from, to, relative_rmse| Window { from, to, relative_rmse })
}

/// Samples of the runs that a curve is taken over: all of them, then 15 sixteenths.
pub(super) fn starts(steps: usize) -> impl Iterator<Item = Range<usize>> {
    let short = steps / STARTS;
    let later = (1..STARTS).map(move |start| start * short..(start + 1) * short);
    std::iter::once(0..steps).chain(later.filter(|range| !range.is_empty()))
}

/// Sums of squares of a part and of the whole, for every window and channel.
pub(super) struct Parts {
    edges: Vec<usize>,
    channels: usize,
    /// Window × channel.
    sums: Vec<(f64, f64)>,
}

impl Parts {
    /// Nothing yet, for runs of at most `steps` steps.
    pub(super) fn new(steps: usize, channels: usize) -> Self {
        let edges = edges(steps);
        Self { sums: vec![(0.0, 0.0); edges.len() * channels], edges, channels }
    }

    /// Adds one run: squares of part and whole, step by step and channel by channel.
    pub(super) fn add(&mut self, squares: impl Iterator<Item = (f64, f64)>) {
        let mut window = 0;
        for (k, (part, whole)) in squares.enumerate() {
            let (t, c) = (k / self.channels, k % self.channels);
            window += usize::from(t + 1 > self.edges[window]);
            let sums = &mut self.sums[window * self.channels + c];
            sums.0 += part;
            sums.1 += whole;
        }
    }

    /// Adds the errors of one run, row-major T × channels.
    pub(super) fn add_errors(&mut self, y: &[f64], target: &[f64]) {
        self.add(zip(y, target).map(|(y, target)| ((y - target).powi(2), target.powi(2))));
    }

    /// One of every window: first step, last step, root of the largest ratio of a channel.
    pub(super) fn windows<W>(&self, window: impl Fn(usize, usize, f64) -> W) -> Vec<W> {
        let ratio =
            |&(part, whole): &(f64, f64)| if whole > 0.0 { capped((part / whole).sqrt()) } else { 0.0 };
        let first = std::iter::once(1).chain(self.edges.iter().map(|edge| edge + 1));
        zip(first, zip(&self.edges, self.sums.chunks_exact(self.channels)))
            .map(|(from, (&to, sums))| window(from, to, sums.iter().map(ratio).fold(0.0, f64::max)))
            .collect()
    }
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
