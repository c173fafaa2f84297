//! Slow manifolds against those of other people's tools, attractors with known answers.

mod commands;
mod data;
mod decision;
mod line;
mod plane;
mod ring;

use std::sync::Arc;
use std::time::Instant;

use crate::references::{json, mante};
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use tinyfold::dynamics::{Kind, Rnn};

use crate::references;

/// The least time of several repeats on one thread, in ms, and the result.
fn best_of<T>(repeats: usize, mut work: impl FnMut() -> T) -> (f64, T) {
    faer::set_global_parallelism(faer::Par::Seq);
    let mut best = f64::MAX;
    let mut last = None;
    for _ in 0..repeats {
        let start = Instant::now();
        last = Some(work());
        best = best.min(start.elapsed().as_secs_f64() * 1e3);
    }
    (best, last.unwrap())
}

/// J of the ring with `size` / sqrt(n) times Gaussian numbers added.
fn perturbed(size: f64, seed: u64) -> Rnn {
    let mut rnn = Rnn::new(&references::network("ring_tanh_n64"), &[0.0, 0.0], Kind::Flow).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let n = rnn.drive.len();
    let noise = faer::Mat::from_fn(n, n, |_, _| random.sample::<f64, _>(StandardNormal));
    rnn.w = Arc::new(&*rnn.w + faer::Scale(size / (n as f64).sqrt()) * noise);
    rnn
}
