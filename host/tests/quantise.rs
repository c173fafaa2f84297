//! Quantised integrators: errors over many seeds in the chip's own integers, ranges, refusals.

use rayon::prelude::*;
use tinyfold::design::exact::{Spec, exact};
use tinyfold::design::quantise::{naive, quantise};
use tinyfold::format::fixed;
use tinyfold::network::{Activation, Network};
use tinyfold::simulate;
use tinyfold::task::recording::{GYROSCOPE, bundled};
use tinyfold::task::{Integration, relative_rmse, synthetic};
use tinyfold_core::Number;

const STEPS: usize = 10_000;

/// Errors on Gaussian inputs and on the recording of the chip's integers and of naive rounding; drift.
type Errors = ([f64; 2], [f64; 2], f64);

fn task(channels: usize) -> Integration {
    let decay = |c: usize| 0.99 + 0.005 * c as f64 / (channels - 1).max(1) as f64;
    Integration { decays: (0..channels).map(decay).collect(), scales: vec![1.0; channels] }
}

fn design(channels: usize, seed: u64) -> Network {
    let spec = Spec {
        neurons: 64,
        task: task(channels),
        activation: Activation::Relu,
        seed,
        encoder: None,
        decoder: None,
    };
    exact(&spec).expect("enough neurons").network
}

/// Inputs in network units, row-major.
fn signals(channels: usize, seed: u64) -> [Vec<f64>; 2] {
    let data = bundled(&GYROSCOPE[..channels]).expect("the bundled file is good");
    [synthetic::gaussian(STEPS, channels, seed), data.joined(STEPS)]
}

fn range(task: &Integration, signals: &[Vec<f64>]) -> f64 {
    let largest = |x: &Vec<f64>| task.integrals(x).iter().fold(0.0_f64, |most, u| most.max(u.abs()));
    2.0 * signals.iter().map(largest).fold(0.0, f64::max)
}

/// Relative RMSE of the chip's integers on inputs in network units.
fn error(network: &tinyfold::format::fixed::FixedNetwork, x: &[f64], task: &Integration) -> f64 {
    let bytes = network.export().expect("exports");
    let raw = network.raw(&x.iter().map(|&x| x as f32).collect::<Vec<f32>>());
    let trace = fixed::run(&bytes, &raw, "test").expect("runs");
    let units = network.output_units.iter().cycle();
    let y: Vec<f64> =
        trace.outputs.iter().zip(units).map(|(&y, &unit)| f64::from(y) * f64::from(unit)).collect();
    relative_rmse(&y, &task.targets(x), task.channels())
}

#[test]
fn integrators_of_16_and_8_bits_integrate() {
    for channels in [2, 3] {
        for (number, bound) in [(Number::I16, 1e-4), (Number::I8, 1e-2)] {
            let results: Vec<Errors> = (0..100_u64)
                .into_par_iter()
                .map(|seed| {
                    let (network, task) = (design(channels, seed), task(channels));
                    let signals = signals(channels, 1000 + seed);
                    let quantised =
                        quantise(&network, number, range(&task, &signals)).expect("an integrator");
                    assert!(quantised.stable, "D = {channels}, {number:?}, seed {seed}: {}", quantised.drift);
                    let rounded = naive(&network, number);
                    let naive = |x: &Vec<f64>| {
                        let y = simulate::run(&rounded, x, false).outputs;
                        relative_rmse(&y, &task.targets(x), channels)
                    };
                    let ours = |x: &Vec<f64>| error(&quantised.network, x, &task);
                    let [gaussian, recording] = &signals;
                    ([ours(gaussian), ours(recording)], [naive(gaussian), naive(recording)], quantised.drift)
                })
                .collect();
            let worst = |pick: &dyn Fn(&Errors) -> f64| results.iter().map(pick).fold(0.0, f64::max);
            let (gaussian, recording) = (worst(&|r| r.0[0]), worst(&|r| r.0[1]));
            println!(
                "D = {channels}, {number:?}, worst of 100 seeds: Gaussian {gaussian:.1e}, recording {recording:.1e}, drift {:.1e}; naive rounding {:.1e}, {:.1e}",
                worst(&|r| r.2),
                worst(&|r| r.1[0]),
                worst(&|r| r.1[1]),
            );
            assert!(gaussian <= bound && recording <= bound, "D = {channels}, {number:?}");
        }
    }
}
