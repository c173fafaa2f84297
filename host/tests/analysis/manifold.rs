//! The analysis of networks whose answers are known.

use faer::Mat;
use tinyfold::Network;
use tinyfold::design::exact::{Spec, exact};
use tinyfold::design::random_frozen;
use tinyfold::manifold::{Analysis, LARGEST, analyse};
use tinyfold::network::{Activation, Recurrence};
use tinyfold::task::{Integration, synthetic};

fn design(
    decays: Vec<f64>,
    scales: Vec<f64>,
    activation: Activation<f64>,
) -> tinyfold::design::exact::Design {
    let task = Integration { decays, scales };
    exact(&Spec { neurons: 48, task, activation, seed: 2, encoder: None, decoder: None })
        .expect("enough neurons")
}

#[test]
fn an_exact_integrator_is_seen_as_one_in_both_forms() {
    let made = design(vec![0.97, 0.99, 0.995], vec![1.0, -2.0, 0.5], Activation::Relu);
    let x = synthetic::gaussian(4000, 3, 1);
    let low = analyse(&made.network, &x, 4000).expect("analyses");
    let dense = analyse(&made.dense(), &x, 4000).expect("analyses");
    for (analysis, values) in [(&low, 3), (&dense, 48)] {
        assert_eq!((analysis.dimension, analysis.singular_values.len()), (3, values));
        assert!(analysis.distance < 1e-12, "{:e}", analysis.distance);
        assert!(analysis.participation_ratio > 1.0 && analysis.participation_ratio <= 3.0 + 1e-9);
        assert!(analysis.variance[..3].iter().sum::<f64>() > 1.0 - 1e-12);
        assert!(analysis.relative_rmse.expect("has a task") < 1e-10);
        for channel in &analysis.channels {
            assert!((channel.decay_realised - channel.decay).abs() < 1e-9, "{channel:?}");
            assert!((channel.decay_impulse.expect("decays") - channel.decay).abs() < 1e-9, "{channel:?}");
            assert!((channel.scale_realised - channel.scale).abs() < 1e-9, "{channel:?}");
            assert!(1.0 - channel.r_squared < 1e-12, "{channel:?}");
        }
        let curve = &analysis.error_curve;
        assert!(curve.iter().all(|window| window.relative_rmse < 1e-10));
        assert_eq!((curve[0].from, curve[curve.len() - 1].to), (1, 4000));
        assert!(curve.windows(2).all(|pair| pair[1].from == pair[0].to + 1));
    }
    assert!(dense.singular_values[3] < 1e-12 * dense.singular_values[0]);
    for k in 0..3 {
        assert!((low.singular_values[k] / dense.singular_values[k] - 1.0).abs() < 1e-12);
    }
    assert_eq!((low.distance_one_more, dense.distance_one_more.is_some()), (None, true));
}

#[test]
fn a_wrong_decay_and_scale_are_told_apart_from_the_wanted_ones() {
    for activation in [Activation::Linear, Activation::Relu] {
        let mut network = design(vec![0.98, 0.95], vec![1.0, 3.0], activation).network;
        network.task = Some(Integration { decays: vec![0.99, 0.95], scales: vec![1.0, 2.0] }.into());
        let analysis = analyse(&network, &synthetic::gaussian(3000, 2, 7), 3000).expect("analyses");
        let [slow, tall] = analysis.channels.as_slice() else { panic!("two channels") };
        assert!(slow.decay == 0.99 && (slow.decay_realised - 0.98).abs() < 1e-9);
        assert!((slow.decay_impulse.expect("decays") - 0.98).abs() < 1e-9);
        assert!((tall.scale_realised - 3.0).abs() < 1e-9 && (tall.relative_rmse - 0.5).abs() < 1e-9);
        assert!(1.0 - tall.r_squared < 1e-12, "a scale changes no coordinate");
        // The first step knows nothing of decay gamma but one factor: 0.98 u instead of 0.99 u, and 3/2.
        assert!((analysis.error_curve[0].relative_rmse - 0.5).abs() < 1e-9);
    }
}

#[test]
fn the_bulk_of_w_takes_the_state_off_the_manifold() {
    let made = design(vec![0.9, 0.95], vec![1.0, 1.0], Activation::Relu);
    let x = synthetic::gaussian(1000, 2, 3);
    let mut last = 0.0;
    for bulk in [0.01, 0.02, 0.04] {
        let mut network = made.dense();
        let (noise, _) = random_frozen(48, 48, 9);
        network.recurrence = Recurrence::Dense(network.weights() + faer::Scale(bulk) * &noise);
        network.input = network.weights() * network.encoder.as_ref().expect("frozen encoders");
        let analysis = analyse(&network, &x, 1000).expect("analyses");
        assert!(analysis.distance > 1.3 * last && analysis.distance < 1.0, "{bulk}: {}", analysis.distance);
        assert!(analysis.distance_one_more.expect("dense") < analysis.distance);
        let fits: Vec<f64> = analysis.channels.iter().map(|c| c.r_squared).collect();
        assert!(fits.iter().all(|&r| r > 0.5 && r < 1.0 - 1e-9), "{bulk}: {fits:?}");
        last = analysis.distance;
    }
}

#[test]
fn results_survive_json_even_of_a_network_that_diverges() {
    let mut network = design(vec![0.9, 0.95], vec![1.0, 1.0], Activation::Relu).dense();
    let healthy = analyse(&network, &synthetic::gaussian(300, 2, 3), 300).expect("analyses");
    network.recurrence = Recurrence::Dense(faer::Scale(3.0) * network.weights());
    let wild = analyse(&network, &synthetic::gaussian(5000, 2, 3), 5000).expect("analyses");
    assert_eq!(wild.relative_rmse, Some(LARGEST));
    for analysis in [healthy, wild] {
        let text = serde_json::to_string(&analysis).expect("plain data");
        let back: Analysis = serde_json::from_str(&text).expect("reads back");
        assert_eq!(back.relative_rmse, analysis.relative_rmse);
        assert!(back.cloud.times == analysis.cloud.times && back.channels.len() == 2);
    }
}

#[test]
fn the_cloud_shows_the_manifold_with_its_integrals() {
    let made = design(vec![0.9, 0.95], vec![1.0, 1.0], Activation::Relu);
    let cloud = analyse(&made.network, &synthetic::gaussian(4000, 2, 3), 4000).expect("analyses").cloud;
    assert!(cloud.times.len() > 1000 && cloud.times.len() <= 1500);
    assert!(cloud.coordinates.len() == cloud.times.len() && cloud.integrals.len() == cloud.times.len());
    assert_eq!((cloud.coordinates[0].len(), cloud.principal[0].len(), cloud.integrals[0].len()), (2, 3, 2));
    let column = |k: usize| cloud.coordinates.iter().map(|q| q[k] * q[k]).sum::<f64>();
    assert!(column(0) > column(1), "largest first");
    // On a linear manifold the coordinates are a linear map of the integrals: the third axis is empty.
    assert!(cloud.principal.iter().all(|q| q[2].abs() < 1e-9));
    let from: Mat<f64> = Mat::from_fn(2, 2, |t, c| cloud.integrals[10 * t + 5][c]);
    let to: Mat<f64> = Mat::from_fn(2, 2, |t, k| cloud.coordinates[10 * t + 5][k]);
    let map = faer::linalg::solvers::Solve::solve(&from.partial_piv_lu(), &to);
    for (u, q) in cloud.integrals.iter().zip(&cloud.coordinates) {
        let mapped = u[0] * map[(0, 0)] + u[1] * map[(1, 0)];
        assert!((mapped - q[0]).abs() < 1e-7 * (1.0 + q[0].abs()), "{mapped} {}", q[0]);
    }
}

#[test]
fn networks_without_a_task_and_bad_calls() {
    let (input, readout) = random_frozen(12, 2, 1);
    let network = Network::plain(Activation::Tanh, Recurrence::Dense(Mat::zeros(12, 12)), input, readout);
    let x = synthetic::gaussian(200, 2, 1);
    let analysis = analyse(&network, &x, 200).expect("analyses");
    assert!(analysis.channels.is_empty() && analysis.error_curve.is_empty());
    assert_eq!((analysis.dimension, analysis.relative_rmse), (2, None));

    let message =
        |network: &Network, x: &[f64], steps| analyse(network, x, steps).expect_err("refused").to_string();
    assert!(message(&network, &[], 200).starts_with("inputs to analyse on: expected samples of 2 inputs"));
    assert!(message(&network, &[1.0; 3], 200).ends_with("3 numbers"));
    assert_eq!(message(&network, &x, 99), "steps: expected at least 100, found 99");
    let mut three = network;
    three.task = Some(Integration { decays: vec![0.9; 3], scales: vec![1.0; 3] }.into());
    assert!(message(&three, &x, 200).starts_with("network to analyse: expected 3 inputs and outputs"));
}
