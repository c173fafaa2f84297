//! Training sequences: Gaussian noise, and windows of a recording.

use faer::Mat;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::bptt::Batch;
use super::parameters::Real;
use crate::task::{Dataset, Integration, Recording};

/// Where sequences of `steps` steps come from.
#[derive(Clone, Debug)]
pub struct Source<'a> {
    task: &'a Integration,
    steps: usize,
    /// Recordings of at least `steps` samples.
    recordings: Vec<&'a Recording>,
}

impl<'a> Source<'a> {
    /// Sequences for `task`; windows come from the recordings that are long enough.
    #[must_use]
    pub fn new(task: &'a Integration, steps: usize, data: Option<&'a Dataset>) -> Self {
        let all = data.map_or(&[][..], |data| &data.recordings);
        let recordings = all.iter().filter(|r| r.x.len() >= steps * task.channels()).collect();
        Self { task, steps, recordings }
    }

    /// `count` fresh sequences, the first `windows` of them from random places of the recordings, the
    /// others N(0, 1).
    ///
    /// # Panics
    /// If windows are asked for and no recording is long enough.
    #[must_use]
    pub fn draw<T: Real>(&self, count: usize, windows: usize, rng: &mut ChaCha8Rng) -> Batch<T> {
        let (steps, width) = (self.steps, self.task.channels());
        let mut batch =
            Batch { x: Mat::zeros(width, steps * count), target: Mat::zeros(width, steps * count), steps };
        let mut gaussian = vec![0.0; steps * width];
        for k in 0..count {
            let x = if k < windows {
                let x = &self.recordings[rng.random_range(0..self.recordings.len())].x;
                let first = rng.random_range(0..=x.len() / width - steps);
                &x[first * width..][..steps * width]
            } else {
                gaussian.fill_with(|| StandardNormal.sample(&mut *rng));
                &gaussian
            };
            self.place(&mut batch, x, k);
        }
        batch
    }

    /// Sequence k of a batch: x, row-major T × D, and its targets.
    fn place<T: Real>(&self, batch: &mut Batch<T>, x: &[f64], k: usize) {
        let count = batch.count();
        let Integration { decays, scales } = self.task;
        for (c, (gamma, scale)) in decays.iter().zip(scales).enumerate() {
            let mut u = 0.0;
            for (t, &x) in x.iter().skip(c).step_by(decays.len()).enumerate() {
                u = gamma * (u + x);
                batch.x[(c, t * count + k)] = T::from_f64(x);
                batch.target[(c, t * count + k)] = T::from_f64(scale * u);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::recording::{GYROSCOPE, bundled};
    use rand::SeedableRng;

    #[test]
    fn sequences_come_from_where_they_should_with_the_targets_of_the_task() {
        let data = bundled(&GYROSCOPE).expect("the bundled recording");
        let task = Integration { decays: vec![0.9, 0.95, 0.99], scales: vec![1.0, -2.0, 0.5] };
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let batch: Batch<f64> = Source::new(&task, 10, Some(&data)).draw(5, 2, &mut rng);
        for k in 0..5 {
            let read = |m: &Mat<f64>| -> Vec<f64> {
                (0..10).flat_map(|t| (0..3).map(move |c| (c, t))).map(|(c, t)| m[(c, t * 5 + k)]).collect()
            };
            let x = read(&batch.x);
            let recorded = data.recordings.iter().any(|r| r.x.windows(30).any(|window| window == x));
            assert_eq!(recorded, k < 2, "sequence {k}");
            assert_eq!(read(&batch.target), task.targets(&x));
        }
    }
}
