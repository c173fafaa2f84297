//! Trials: what every task gives to learn from and to be judged by.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::Result;

/// One trial: T steps of I inputs and O targets, and how much every output counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Row-major T × I.
    pub x: Vec<f64>,
    /// Row-major T × O.
    pub target: Vec<f64>,
    /// Row-major T × O, at least 0: 0 where the output is not judged.
    pub weight: Vec<f64>,
}

impl Trial {
    /// A trial whose outputs are all judged alike.
    #[must_use]
    pub fn judged(x: Vec<f64>, target: Vec<f64>) -> Self {
        Self { x, weight: vec![1.0; target.len()], target }
    }
}

/// The most channels, neurons, steps of a trial and trials of a batch: products of three of them are no overflow.
pub(crate) const LARGEST: usize = 1 << 20;

/// A task that is learnt from trials.
pub trait Trials: Sync {
    /// Names of the I input channels.
    fn inputs(&self) -> Vec<String>;

    /// Names of the O output channels.
    fn outputs(&self) -> Vec<String>;

    /// T of a trial unless a user chooses another one.
    fn steps(&self) -> usize;

    /// Whether targets are decisions, of which the sign counts.
    fn decides(&self) -> bool {
        false
    }

    /// Refuses parameters out of range and trials that are too short.
    ///
    /// # Errors
    /// The first parameter that is out of range.
    fn check(&self, steps: usize) -> Result<()>;

    /// The next random trial of `steps` steps.
    ///
    /// # Panics
    /// Where [`Trials::check`] refuses.
    fn trial(&self, steps: usize, rng: &mut ChaCha8Rng) -> Trial;
}

/// Trials of a stream of random numbers that training does not draw from.
#[must_use]
pub fn held_out(task: &dyn Trials, steps: usize, count: usize, seed: u64) -> Vec<Trial> {
    of_stream(task, steps, count, seed, 0)
}

/// Trials of one of the streams of a seed: independent of those of every other stream, of which 0 is [`held_out`].
#[must_use]
pub fn of_stream(task: &dyn Trials, steps: usize, count: usize, seed: u64, stream: u64) -> Vec<Trial> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    (0..count).map(|_| task.trial(steps, &mut rng)).collect()
}

/// How well outputs fit the targets of trials.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Relative RMSE of the worst output: max over o of sqrt(sum w (y - y*)² / sum w y*²).
    pub error: f64,
    /// Fraction of the judged outputs that have the sign of their target, when targets are decisions.
    pub correct: Option<f64>,
}

/// The score of one output (row-major T × O) for each of the trials of a task.
///
/// An output whose target is zero throughout counts its absolute RMS instead. Any non-finite output gives infinity.
///
/// ```
/// use tinyfold::task::{Task, trial::{Trial, score}};
/// let trial = Trial { x: vec![], target: vec![1.0, -1.0, 1.0], weight: vec![1.0, 1.0, 0.0] };
/// let task = Task::named("delayed-match").unwrap();
/// let found = score(task.trials(), &[trial], &[vec![0.5, 0.5, 9.0]]);
/// assert_eq!((found.error, found.correct), (1.25_f64.sqrt(), Some(0.5)));
/// ```
#[must_use]
pub fn score(task: &dyn Trials, trials: &[Trial], outputs: &[Vec<f64>]) -> Score {
    let width = task.outputs().len();
    let judged = |o: usize| {
        let of = move |values: &[f64]| values.iter().skip(o).step_by(width).copied().collect::<Vec<f64>>();
        trials.iter().zip(outputs).flat_map(move |(trial, y)| {
            let (y, target, weight) = (of(y), of(&trial.target), of(&trial.weight));
            y.into_iter().zip(target).zip(weight).filter(|&(_, w)| w > 0.0)
        })
    };
    let error = |o: usize| {
        let (mut error, mut power, mut total) = (0.0, 0.0, 0.0);
        for ((y, target), weight) in judged(o) {
            error += weight * (y - target) * (y - target);
            power += weight * target * target;
            total += weight;
        }
        let relative = if power > 0.0 { error / power } else { error / f64::max(total, f64::MIN_POSITIVE) };
        if relative.is_finite() { relative.sqrt() } else { f64::INFINITY }
    };
    let correct = task.decides().then(|| {
        let (mut right, mut all) = (0_usize, 0_usize);
        for ((y, target), _) in (0..width).flat_map(judged) {
            right += usize::from(y * target > 0.0);
            all += 1;
        }
        right as f64 / all.max(1) as f64
    });
    Score { error: (0..width).map(error).fold(0.0, f64::max), correct }
}
