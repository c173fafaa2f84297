//! Exact designs: relative RMSE over 10 000 steps, in f64 and in core's f32.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use tinyfold::design::exact::{Spec, exact};
use tinyfold::network::Activation;
use tinyfold::task::{Integration, relative_rmse};
use tinyfold::verify::{Backend, Case, Core};
use tinyfold::{Error, Network, simulate};

const STEPS: usize = 10_000;

fn spec(neurons: usize, channels: usize, activation: Activation<f64>, seed: u64) -> Spec {
    let decay = |c: usize| 0.99 + 0.005 * c as f64 / (channels - 1).max(1) as f64;
    let decays = if channels == 1 { vec![0.995] } else { (0..channels).map(decay).collect() };
    let task = Integration { decays, scales: vec![1.0; channels] };
    Spec { neurons, task, activation, seed, encoder: None, decoder: None }
}

fn gaussian(count: usize, seed: u64) -> Vec<f64> {
    // Rounded to f32, so that f64 and f32 integrate the same numbers.
    StandardNormal
        .sample_iter(ChaCha8Rng::seed_from_u64(seed))
        .take(count)
        .map(|x: f64| f64::from(x as f32))
        .collect()
}

/// Relative RMSE in f64 and in core f32.
fn errors(network: &Network, x: &[f64]) -> (f64, f64) {
    let task = network.task.as_ref().expect("a design knows its task");
    let target = task.targets(x);
    let wide = simulate::run(network, x, false).outputs;
    let samples = x.iter().map(|&x| x as f32).collect();
    let case = Case::of_network("design", network.clone(), samples).expect("exports");
    let narrow: Vec<f64> = Core.run(&case).expect("runs").outputs.into_iter().map(f64::from).collect();
    let rmse = |y: &[f64]| relative_rmse(y, &target, task.channels());
    (rmse(&wide), rmse(&narrow))
}

#[test]
fn relu_designs_are_exact_for_frozen_random_encoders_and_decoders() {
    for (neurons, channels) in [(64, 1), (64, 2), (64, 3), (128, 5)] {
        let worst = (0..20_u64)
            .into_par_iter()
            .map(|seed| {
                let design = exact(&spec(neurons, channels, Activation::Relu, seed)).expect("enough neurons");
                let (wide, narrow) = errors(&design.network, &gaussian(STEPS * channels, 1000 + seed));
                (wide, narrow, design.noise_gain)
            })
            .reduce(|| (0.0, 0.0, 0.0), |a, b| (a.0.max(b.0), a.1.max(b.1), a.2.max(b.2)));
        println!(
            "n = {neurons}, D = {channels}: worst of 20 seeds f64 {:.1e}, core f32 {:.1e}, noise gain {:.1}",
            worst.0, worst.1, worst.2
        );
        assert!(worst.0 <= 1e-10, "n = {neurons}, D = {channels}: f64 {:e}", worst.0);
        assert!(worst.1 <= 1e-4, "n = {neurons}, D = {channels}: core f32 {:e}", worst.1);
    }
}
