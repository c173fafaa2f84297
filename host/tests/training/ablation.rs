//! Networks without some of their neurons.

use faer::Mat;
use tinyfold::design::exact::{Spec, exact};
use tinyfold::manifold::ablation::{ablations, without};
use tinyfold::network::{Activation, Network, Recurrence};
use tinyfold::simulate;
use tinyfold::task::{Integration, relative_rmse, synthetic};

fn network(neurons: usize) -> Network {
    let task = Integration { decays: vec![0.9, 0.8], scales: vec![1.0; 2] };
    let spec = Spec { neurons, task, activation: Activation::Relu, seed: 3, encoder: None, decoder: None };
    exact(&spec).expect("a design").network
}

/// h = m phi(W (h + m E x)), y = C h, written out.
fn masked(w: &Mat<f64>, encoder: &Mat<f64>, decoder: &Mat<f64>, mask: &[f64], x: &[f64]) -> Vec<f64> {
    let n = w.nrows();
    let mut h = Mat::<f64>::zeros(n, 1);
    let mut y = Vec::new();
    for x in x.chunks_exact(2) {
        let into = Mat::from_fn(n, 1, |i, _| {
            h[(i, 0)] + mask[i] * (encoder[(i, 0)] * x[0] + encoder[(i, 1)] * x[1])
        });
        let p = w * into;
        h = Mat::from_fn(n, 1, |i, _| mask[i] * p[(i, 0)].max(0.0));
        y.extend((decoder * &h).col(0).iter());
    }
    y
}

#[test]
fn silenced_neurons_say_nothing() {
    let low = network(40);
    let silenced = [0, 7, 39];
    let mask: Vec<f64> = (0..40).map(|i| if silenced.contains(&i) { 0.0 } else { 1.0 }).collect();
    let x = synthetic::gaussian(30, 2, 1);
    let encoder = low.encoder.clone().expect("tied to W");
    let expected = masked(&low.weights(), &encoder, &low.readout, &mask, &x);
    let mut dense = low.clone();
    dense.recurrence = Recurrence::Dense(low.weights());
    dense.initial = dense.rest();
    for network in [&low, &dense] {
        let y = simulate::run(&without(network, &silenced), &x, false).outputs;
        // The same sums in another order.
        assert!(relative_rmse(&y, &expected, 2) < 1e-12);
    }
    let whole = simulate::run(&low, &x, false).outputs;
    assert!(relative_rmse(&whole, &expected, 2) > 1e-3);
}

#[test]
fn errors_grow_with_the_neurons_silenced() {
    let network = network(64);
    let x = synthetic::gaussian(300, 2, 2);
    let found = ablations(&network, &x, &[0.0, 0.05, 0.5, 1.0], 9, 0).expect("in range");
    assert_eq!(found, ablations(&network, &x, &[1.0, 0.5, 0.0, 0.05], 9, 0).expect("in range"));
    assert_eq!(found.iter().map(|of| of.silenced).collect::<Vec<usize>>(), [0, 3, 32, 64]);
    assert!(found.iter().all(|of| of.errors.len() == 9 && of.errors.is_sorted()));
    assert!(found[0].median() < 1e-12 && found[0].median() < found[1].median());
    assert!(found[1].median() < found[2].median());
    // Nothing is left: y = 0, and the error is the signal.
    assert!(found[3].errors.iter().all(|error| (error - 1.0).abs() < 1e-12));
}

#[test]
fn ablations_that_cannot_be_are_refused() {
    let network = network(40);
    let x = synthetic::gaussian(10, 2, 2);
    let message =
        |shares: &[f64], draws| ablations(&network, &x, shares, draws, 0).expect_err("refused").to_string();
    assert_eq!(message(&[0.1, 1.5], 3), "share of neurons to silence: expected from 0 to 1, found 1.5");
    assert_eq!(message(&[0.1], 0), "draws of an ablation: expected at least 1, found 0");
    let other = Network { task: None, ..network.clone() };
    let refused = ablations(&other, &x, &[0.1], 3, 0).expect_err("no integrator").to_string();
    assert_eq!(refused, "network: task: expected decays and scales of an integrator, found none");
}
