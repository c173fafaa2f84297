//! Networks whose bifurcations are known, and indices of random ones.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use faer::prelude::Solve;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use tinyfold::dynamics::continuation::{Bifurcation, End, Settings, Special, continuation};
use tinyfold::dynamics::{Kind, Parameter, Path, Rnn};
use tinyfold::network::{Activation, Form};

use super::{all, check_index, found, mante, near, only, plain, run};
use crate::references;

#[test]
fn rotating_networks_turn_over_together() {
    // tanh(rho R(theta) h) and -x + J tanh x with the weights scaled by mu.
    let (s, c) = 0.7_f64.sin_cos();
    let rotation = faer::mat![[c, -s], [s, c]];
    for kind in [Kind::Map, Kind::Flow] {
        let network = plain(rotation.clone());
        let rnn = Rnn::new(&network, &[0.0], kind).unwrap();
        let path = Path { rnn, parameter: Parameter::weights(2) };
        let diagram = run(&path, &[(0.5, &[0.0, 0.0])], 0.1, 2.0);
        if kind == Kind::Map {
            let point = only(&diagram, Bifurcation::NeimarkSacker);
            near(point.mu, 1.0);
            near(point.angle.unwrap(), 0.7);
        } else {
            // mu cos 0.7 = 1, omega = tan 0.7.
            let point = only(&diagram, Bifurcation::Hopf);
            near(point.mu, 1.0 / c);
            near(point.angle.unwrap(), 0.7_f64.tan());
        }
        check_index(&path, &diagram);
    }
}

/// A linear network is at rest at (1 - W)^-1 (drive + mu): states above 1000 are as good as those of 1.
#[test]
fn branches_of_large_states_go_to_the_ends_of_the_range() {
    let n = 30;
    let random = |i: usize, j: usize| ((((i * n + j) as f64) * 12.9898).sin() * 43758.5453).fract();
    let mut network = plain(faer::Mat::from_fn(n, n, |i, j| 0.4 / (n as f64).sqrt() * random(i, j)));
    network.activation = Activation::Linear;
    network.bias = (0..n).map(|i| 5e3 * (1.3 * i as f64).cos()).collect();
    let path = |kind: Kind| {
        let rnn = Rnn::new(&network, &[0.0], kind).unwrap();
        Path { rnn, parameter: Parameter::along(vec![20.0; n]) }
    };
    // The map and the flow rest at the same point.
    let starts = found(&path(Kind::Map), &[0.0]);
    assert_eq!(starts.len(), 1);
    for kind in [Kind::Map, Kind::Flow] {
        let path = path(kind);
        let diagram =
            continuation(&path, &starts, &Settings::new(-1.0, 1.0), &AtomicBool::new(false)).unwrap();
        let [branch] = &diagram.branches[..] else { panic!("{} branches", diagram.branches.len()) };
        assert_eq!(branch.ends, [End::Range; 2]);
        assert!(branch.ends[0].reason().is_none() && End::Bound.reason().is_some());
    }
}

/// The ring loses its rest by two eigenvalues at once.
#[test]
fn symmetry_makes_two_eigenvalues_cross() {
    let network = references::network("ring_tanh_n64");
    let rnn = Rnn::new(&network, &vec![0.0; network.inputs.len()], Kind::Flow).unwrap();
    let path = Path { rnn, parameter: Parameter::weights(64) };
    let diagram = run(&path, &[(0.2, &[0.0; 64])], 0.1, 1.5);
    // mu 1.8 = 1.
    near(only(&diagram, Bifurcation::Multiple).mu, 1.0 / 1.8);
}

/// Forty neurons, twenty pairs of eigenvalues of known place: every Hopf point, though eigenvalues are
/// computed seldom.
#[test]
fn every_pair_of_a_larger_network_is_found() {
    let n = 40;
    let pair = |k: usize| (0.5 + 0.035 * k as f64, 0.3 + 0.1 * k as f64);
    let blocks = faer::Mat::from_fn(n, n, |i, j| {
        let (re, im) = pair(i / 2);
        if i / 2 != j / 2 {
            0.0
        } else if i == j {
            re
        } else if i < j {
            -im
        } else {
            im
        }
    });
    // A shear that leaves the eigenvalues, and makes the matrix far from normal.
    let shear = faer::Mat::from_fn(n, n, |i, j| {
        if i == j {
            1.0
        } else if j == i + 1 {
            0.7
        } else {
            0.0
        }
    });
    let w = shear.partial_piv_lu().solve(&blocks * &shear);
    for kind in [Kind::Flow, Kind::Map] {
        let mut network = plain(w.clone());
        network.alpha = 0.2;
        let rnn = Rnn::new(&network, &[0.0], kind).unwrap();
        let path = Path { rnn, parameter: Parameter::weights(n) };
        let diagram = run(&path, &[(0.4, &vec![0.0; n])], 0.3, 2.2);
        let wanted = if kind == Kind::Flow { Bifurcation::Hopf } else { Bifurcation::NeimarkSacker };
        let mut found: Vec<(f64, f64)> =
            all(&diagram, wanted).iter().map(|special| (special.mu, special.angle.unwrap())).collect();
        // |0.8 + 0.2 mu (re + i im)| = 1 of the map, mu re = 1 of the flow.
        let mut expected: Vec<(f64, f64)> = (0..20)
            .map(|k| {
                let (re, im) = pair(k);
                if kind == Kind::Flow {
                    return (1.0 / re, im / re);
                }
                let (a, b, c) = (0.04 * (re * re + im * im), 0.32 * re, 0.64 - 1.0);
                let s = (-b + (b * b - 4.0 * a * c).sqrt()) / (2.0 * a);
                (s, (0.2 * s * im).atan2(0.8 + 0.2 * s * re))
            })
            .filter(|(mu, _)| *mu < 2.2)
            .collect();
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        expected.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert_eq!(found.len(), expected.len(), "{kind:?}: {found:?} {expected:?}");
        for (found, expected) in found.iter().zip(&expected) {
            near(found.0, expected.0);
            near(found.1, expected.1);
        }
        check_index(&path, &diagram);
    }
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    let (_, path) = mante([0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let points = found(&path, &[-0.1, 0.5]);
            let diagram =
                continuation(&path, &points, &Settings::new(-0.2, 1.6), &AtomicBool::new(false)).unwrap();
            serde_json::to_string(&diagram).unwrap()
        })
    };
    assert_eq!(run(1), run(3));
}

/// Random networks of both forms, as maps and flows: the index that special points explain is that of all
/// eigenvalues.
#[test]
fn the_index_of_random_networks_is_explained() {
    let n = 20;
    for seed in 0..8_u64 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut normal = |size: usize, scale: f64| -> Vec<f64> {
            (0..size).map(|_| scale * random.sample::<f64, _>(StandardNormal)).collect()
        };
        let entries = normal(n * n, 1.5 / (n as f64).sqrt());
        let scaled = seed % 4 >= 2;
        let rnn = Rnn {
            kind: if seed % 2 == 0 { Kind::Map } else { Kind::Flow },
            form: if seed < 4 { Form::Rate } else { Form::Current },
            alpha: 0.5,
            activation: Activation::Tanh,
            w: Arc::new(faer::Mat::from_fn(n, n, |i, j| entries[i * n + j])),
            drive: normal(n, if scaled { 0.0 } else { 0.3 }),
        };
        let direction = normal(n, if scaled { 0.0 } else { 1.0 });
        let weight_scale = f64::from(u8::from(scaled));
        let path = Path { rnn, parameter: Parameter { weight_scale, ..Parameter::along(direction) } };
        let (low, high) = if scaled { (-0.9, 1.0) } else { (-3.0, 3.0) };
        let points = found(&path, &[0.7 * low, 0.1 * high, 0.6 * high]);
        let diagram =
            continuation(&path, &points, &Settings::new(low, high), &AtomicBool::new(false)).unwrap();
        let special: Vec<&Special> = diagram.branches.iter().flat_map(|branch| &branch.special).collect();
        let kinds: Vec<&str> = special.iter().map(|special| special.kind.name()).collect();
        println!("seed {seed}: {} branches, {kinds:?}", diagram.branches.len());
        assert!(special.iter().all(|special| special.residual < 1e-12));
        check_index(&path, &diagram);
    }
}
