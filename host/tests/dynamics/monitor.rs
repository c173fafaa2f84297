//! Monitors of designed and trained networks: silent in normal activity, and quick to find a flipped bit that matters.

use std::path::PathBuf;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tinyfold::design::compress::to_rank;
use tinyfold::design::exact::{Spec, paired};
use tinyfold::dynamics::lyapunov::Watch;
use tinyfold::dynamics::monitor::study::{self, ENOUGH, WARM, WINDOW};
use tinyfold::dynamics::monitor::{Settings, Thresholds, learn};
use tinyfold::format::{model, network};
use tinyfold::network::{Activation, Network};
use tinyfold::task::Integration;
use tinyfold_core::wire;

use crate::references;

/// Standard normal numbers times `size`, in f32.
fn samples(count: usize, size: f64, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = || {
        let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    };
    (0..count).map(|_| (size * normal()) as f32).collect()
}

fn reference(name: &str) -> Network {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name);
    network::load(&file).expect("committed")
}

/// Name, network, standard deviation of its inputs.
fn networks() -> Vec<(&'static str, Network, f64)> {
    let task = Integration { decays: vec![0.9, 0.95], scales: vec![1.0; 2] };
    let spec =
        Spec { neurons: 64, task, activation: Activation::Relu, seed: 0, encoder: None, decoder: None };
    let design = paired(&spec).expect("fits");
    let torch = |activation, name: &str| {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name);
        tinyfold::format::torch::load_torch(&file, activation).expect("committed")
    };
    vec![
        ("design, low rank", design.network.clone(), 0.5),
        ("design, dense", design.dense(), 0.5),
        ("design, dense, n = 32", paired(&Spec { neurons: 32, ..spec.clone() }).expect("fits").dense(), 0.5),
        ("design, dense, n = 16", paired(&Spec { neurons: 16, ..spec.clone() }).expect("fits").dense(), 0.5),
        ("design, low rank, n = 16", paired(&Spec { neurons: 16, ..spec }).expect("fits").network, 0.5),
        ("torch ReLU", torch(Activation::Relu, "torch_nn_rnn_relu_h64.safetensors"), 0.51),
        ("torch tanh", torch(Activation::Tanh, "torch_nn_rnn_tanh_h64.safetensors"), 0.51),
        // Trained, and no linear integrator: z' and y are linear only roughly.
        (
            "flip-flop, rank 3",
            to_rank(&references::network("flipflop_tanh_n64"), 3, &[]).expect("fits").network,
            0.5,
        ),
        ("Mante, current form", references::network("mante_tanh_n100_graded"), 0.5),
        ("paper ReLU", reference("paper_c_relu_D2_T3_sgd_fast_n256.safetensors"), 1.0),
    ]
}

#[test]
fn a_monitor_is_silent_until_a_bit_flips() {
    let (mut material, mut found) = (0, 0);
    let watch = Watch::default();
    for (name, network, size) in networks() {
        let bytes = model::export::<f32>(&network).expect("plain");
        let settings = Settings::of(network.neurons(), network.rank());
        let inputs = network.input.ncols();
        let (monitor, learnt) = learn(&bytes, &samples(inputs * 20_000, size, 1), &settings).expect("normal");
        let watcher = wire::monitor::read::<f32>(monitor.bytes()).expect("just written");
        let read = model::read::<f32>(&bytes, name).expect("just written");
        assert!(watcher.watches(&read));
        let normal =
            study::normal(&bytes, &monitor, &samples(inputs * 100_000, size, 2), &watch).expect("same sizes");
        let count = if network.neurons() > 64 { 200 } else { 500 };
        let run = samples(inputs * (WARM + WINDOW), size, 3);
        let flipped = study::flipped(&bytes, &monitor, &run, (count, 16), 4, &watch).expect("same sizes");
        println!(
            "{name}: K = {}, variance outside {:.1e}, cost {:.1} % in multiply-adds; 1e5 normal steps: {} alarms, \
             largest {:.2?} of the thresholds; {} of {} flips matter, {} found, the last after {:?} steps",
            learnt.dimensions,
            learnt.outside,
            100.0 * learnt.cost,
            normal.alarms,
            normal.most,
            flipped.matter,
            flipped.flips,
            flipped.found,
            flipped.slowest,
        );
        assert_eq!(normal.alarms, 0, "{name}");
        assert!(learnt.cost <= 0.25, "{name}");
        // Every one finds what matters: a sum would hide one that does not.
        assert!(flipped.matter >= 5 && flipped.part() >= Some(ENOUGH), "{name}");
        (material, found) = (material + flipped.matter, found + flipped.found);
        // Most flips that do not matter stay below the threshold only if their weights are never used.
        assert!(normal.most[0] > 0.02, "{name}: a threshold far from what it judges");
        // What people read of the thresholds is what the monitor compares with.
        let thresholds = Thresholds::of(&watcher.monitor);
        assert!(thresholds.residual.iter().all(|t| *t > 0.0 && t.is_finite()), "{thresholds:?}");
        assert_eq!(thresholds.distance.is_some(), network.rank() == 0);
        assert!(thresholds.ranges.iter().all(|of| of.range[0] < 0.0 && of.range[1] > 0.0), "{thresholds:?}");
    }
    println!("{found} of {material} found");
    assert!(material >= 100 && 100 * found >= 99 * material);
}

#[test]
fn what_cannot_be_learnt_is_refused() {
    let (_, network, size) = networks().swap_remove(0);
    let bytes = model::export::<f32>(&network).expect("plain");
    let normal = samples(2 * 1000, size, 1);
    assert!(learn(&bytes, &normal, &Settings::of(64, 0)).is_ok());
    assert!(learn(&bytes, &normal[2..], &Settings::of(64, 0)).is_err());
    for factor in [1.0, f64::INFINITY, f64::NAN] {
        assert!(learn(&bytes, &normal, &Settings { factor, ..Settings::of(64, 0) }).is_err(), "{factor}");
    }
    // Thresholds of a network at rest would be those of rounding.
    let refused = |network: &Network| {
        let bytes = model::export::<f32>(network).expect("plain");
        learn(&bytes, &[0.0; 2 * 1000], &Settings::of(network.neurons(), network.rank()))
            .err()
            .expect("at rest")
            .to_string()
    };
    for network in [&network, &networks()[1].1, &networks()[3].1] {
        assert!(refused(network).contains("constant activity"), "{}", refused(network));
    }
    let (monitor, _) = learn(&bytes, &normal, &Settings::of(64, 2)).expect("normal");
    assert!(study::flipped(&bytes, &monitor, &normal[..300], (0, 16), 4, &Watch::default()).is_err());
    let none = study::Flipped { flips: 1, matter: 0, found: 0, slowest: None, all: vec![] };
    assert_eq!(none.part(), None);
    let dense = networks().swap_remove(1).1;
    let bytes = model::export::<f32>(&dense).expect("plain");
    for dimensions in [0, 9] {
        let settings = Settings { dimensions: Some(dimensions), ..Settings::of(64, 0) };
        assert!(learn(&bytes, &normal, &settings).is_err());
    }
    let mut held = normal;
    held[7] = f32::NAN;
    assert!(learn(&bytes, &held, &Settings::of(64, 0)).is_err());
}
