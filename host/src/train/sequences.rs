//! Training sequences: Gaussian noise, windows of a recording, and trials of tasks other than integration.

use faer::Mat;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::bptt::Batch;
use super::parameters::Real;
use crate::task::trial::Trial;
use crate::task::{Dataset, Integration, Recording, Task};

/// Where sequences of `steps` steps come from.
#[derive(Clone, Debug)]
pub struct Source<'a> {
    task: &'a Task,
    steps: usize,
    /// Recordings of at least `steps` samples.
    recordings: Vec<&'a Recording>,
}

impl<'a> Source<'a> {
    /// Sequences for `task`; windows come from the recordings that are long enough.
    #[must_use]
    pub fn new(task: &'a Task, steps: usize, data: Option<&'a Dataset>) -> Self {
        let all = data.map_or(&[][..], |data| &data.recordings);
        let recordings = all.iter().filter(|r| r.x.len() >= steps * task.trials().inputs().len()).collect();
        Self { task, steps, recordings }
    }

    /// `count` fresh sequences, of integration the first `windows` from random places of the recordings, the others
    /// N(0, 1).
    ///
    /// # Panics
    /// If windows are asked for and no recording is long enough.
    #[must_use]
    pub fn draw<T: Real>(&self, count: usize, windows: usize, rng: &mut ChaCha8Rng) -> Batch<T> {
        let Task::Integration(task) = self.task else { return self.trials(count, rng) };
        let (steps, width) = (self.steps, task.channels());
        let mut batch = empty([width, width], steps, count);
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
            place(task, &mut batch, x, k);
        }
        batch
    }

    /// Trials, each weighted so that its part of the loss is its weighted mean squared error.
    fn trials<T: Real>(&self, count: usize, rng: &mut ChaCha8Rng) -> Batch<T> {
        let (task, steps) = (self.task.trials(), self.steps);
        let (inputs, outputs) = (task.inputs().len(), task.outputs().len());
        let mut batch = empty([inputs, outputs], steps, count);
        let mut weights = Mat::zeros(outputs, steps * count);
        for k in 0..count {
            let Trial { x, target, weight } = task.trial(steps, rng);
            // A batch loss divides by T³, T² of which belongs to integration alone. A trial may have nothing to judge.
            let sum = weight.iter().sum::<f64>();
            let factor = if sum > 0.0 { (steps * steps * steps) as f64 / sum } else { 0.0 };
            for t in 0..steps {
                let column = t * count + k;
                for i in 0..inputs {
                    batch.x[(i, column)] = T::from_f64(x[t * inputs + i]);
                }
                for o in 0..outputs {
                    batch.target[(o, column)] = T::from_f64(target[t * outputs + o]);
                    weights[(o, column)] = T::from_f64(factor * weight[t * outputs + o]);
                }
            }
        }
        batch.weight = Some(weights);
        batch
    }
}

fn empty<T: Real>([inputs, outputs]: [usize; 2], steps: usize, count: usize) -> Batch<T> {
    let zeros = |rows| Mat::zeros(rows, steps * count);
    Batch { x: zeros(inputs), target: zeros(outputs), weight: None, steps }
}

/// Sequence k of a batch: x, row-major T × D, and its integrals.
fn place<T: Real>(task: &Integration, batch: &mut Batch<T>, x: &[f64], k: usize) {
    let count = batch.count();
    for (c, (gamma, scale)) in task.decays.iter().zip(&task.scales).enumerate() {
        let mut u = 0.0;
        for (t, &x) in x.iter().skip(c).step_by(task.channels()).enumerate() {
            u = gamma * (u + x);
            batch.x[(c, t * count + k)] = T::from_f64(x);
            batch.target[(c, t * count + k)] = T::from_f64(scale * u);
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
        let batch: Batch<f64> = Source::new(&task.clone().into(), 10, Some(&data)).draw(5, 2, &mut rng);
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
