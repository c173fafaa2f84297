//! Trajectories of a network that a manifold is learnt from.

use faer::Mat;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;

use crate::dynamics::lyapunov::Watch;
use crate::dynamics::{Rnn, advance, advance_until};
use crate::network::Network;
use crate::{Error, Result};

/// RK4 step of a flow, in time constants.
const STEP: f64 = 0.1;
/// Longest time that a random input is held before a trajectory begins, in time constants or steps.
const BEFORE: f64 = 50.0;

/// Trajectories under a held input, from states that random inputs, without inputs random states, lead to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Simulated {
    /// How many.
    pub count: usize,
    /// Samples of each.
    pub samples: usize,
    /// Time between samples, in time constants of a flow, steps of a map; above 0.
    pub interval: f64,
    /// Standard deviation of the random inputs or states.
    pub spread: f64,
    /// Seed.
    pub seed: u64,
}

impl Simulated {
    /// Runs them, n × samples each; those done when it is ended early.
    ///
    /// input: the held one; rnn: the network under it, as a map or flow. The same for any number of threads.
    ///
    /// # Errors
    /// Another number of inputs; ended before there are two.
    pub fn run(&self, network: &Network, input: &[f64], rnn: &Rnn, watch: &Watch) -> Result<Vec<Mat<f64>>> {
        let one = |k: usize| self.one(k, network, input, rnn, watch).transpose();
        let all: Vec<Option<Result<Mat<f64>>>> = (0..self.count).into_par_iter().map(one).collect();
        let done = all.into_iter().flatten().collect::<Result<Vec<_>>>()?;
        if done.len() < 2 {
            return Err(Error::Numeric {
                what: "simulated trajectories".into(),
                reason: format!("stopped by Ctrl-C after {}; a fit needs 2", done.len()),
            });
        }
        Ok(done)
    }

    /// The k-th; none if it is ended early.
    fn one(
        &self,
        k: usize,
        network: &Network,
        input: &[f64],
        rnn: &Rnn,
        watch: &Watch,
    ) -> Result<Option<Mat<f64>>> {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(k as u64);
        let mut draw = || self.spread * random.sample::<f64, _>(StandardNormal);
        let driven: Vec<f64> = input.iter().map(|u| u + draw()).collect();
        let first = network.first_state();
        let mut x =
            Mat::from_fn(first.len(), 1, |i, _| first[i] + if input.is_empty() { draw() } else { 0.0 });
        let time = random.random_range(1.0..BEFORE);
        if !input.is_empty() {
            advance(&Rnn::new(network, &driven, rnn.kind)?, &mut x, time, STEP);
        }
        let mut path = Mat::zeros(x.nrows(), self.samples);
        for t in 0..self.samples {
            if watch.stopped() {
                return Ok(None);
            }
            path.col_as_slice_mut(t).copy_from_slice(x.col_as_slice(0));
            advance_until(rnn, &mut x, self.interval, STEP, &watch.stop);
        }
        watch.bar.inc(1);
        Ok(Some(path))
    }
}
