//! Compression to low rank: what trained networks lose, and what must not be lost.

use faer::Mat;
use tinyfold::design::compress::{Attempt, Compression, Method, to_rank};
use tinyfold::design::{exact, random_frozen};
use tinyfold::network::{Activation, Form, Recurrence};
use tinyfold::task::recording::{GYROSCOPE, bundled};
use tinyfold::task::synthetic;
use tinyfold::train::{Control, Settings, train};
use tinyfold::{Network, simulate};

fn attempt(compression: &Compression, method: Method) -> Attempt {
    *compression.attempts.iter().find(|attempt| attempt.method == method).expect("was tried")
}

#[test]
fn a_trained_network_loses_less_than_a_factor_two_at_rank_d() {
    let settings = Settings { steps: 4000, ..Settings::default() };
    let trained = train(&settings, None, &mut |_| Control::Continue).expect("trains").network;
    let x = bundled(&GYROSCOPE).expect("bundled").joined(10_000);
    let compression = to_rank(&trained, 3, &x).expect("compresses");
    let (before, after) = (compression.original, compression.best.errors);
    for attempt in &compression.attempts {
        println!("{}: {:.1e} {:.1e}", attempt.method, attempt.errors.gaussian, attempt.errors.inputs);
    }
    println!("original {:.1e} {:.1e}", before.gaussian, before.inputs);
    assert!(after.gaussian < 2.0 * before.gaussian && after.inputs < 2.0 * before.inputs);
    assert!(after.gaussian < 0.03 && after.inputs < 0.03, "{after:?}");

    assert_eq!(compression.best.method, Method::Refit);
    assert_eq!(compression.network.rank(), 3);
    assert_eq!(compression.network.readout, trained.readout);
    assert_eq!(compression.network.encoder, trained.encoder);
    let e = trained.encoder.expect("frozen encoders");
    let tied = compression.network.weights() * e;
    assert!(compression.best.tied_input && (tied - &compression.network.input).norm_max() < 1e-12);
}

/// A network without a task whose W has rank 2, started away from rest.
fn rank_two(form: Form, alpha: f64, activation: Activation<f64>) -> Network {
    let (u, read) = random_frozen(30, 2, 4);
    let (input, readout) = random_frozen(30, 3, 6);
    let w = faer::Scale(1.2) * &u * &read;
    let mut network = Network::plain(activation, Recurrence::Dense(w), input.clone(), readout);
    (network.form, network.alpha) = (form, alpha);
    network.bias = (0..30).map(|i| 0.02 * f64::from(i % 5)).collect();
    network.output_bias = vec![0.1, -0.2, 0.3];
    network.initial = match form {
        Form::Rate => (0..30).map(|i| 0.1 * f64::from(i % 3)).collect(),
        Form::Current => (0..30).map(|i| network.bias[i] + 0.5 * u[(i, 0)] - 0.2 * input[(i, 1)]).collect(),
    };
    network
}

#[test]
fn a_w_of_low_rank_is_kept_exactly_in_every_form() {
    let sigmoid = Activation::Sigmoid { slope: 2.0, threshold: 0.3 };
    for activation in [
        Activation::Linear,
        Activation::Relu,
        Activation::Clipped { lo: 0.0, hi: 0.4 },
        Activation::Tanh,
        sigmoid,
    ] {
        for (form, alpha) in
            [(Form::Rate, 1.0), (Form::Rate, 0.3), (Form::Current, 1.0), (Form::Current, 0.2)]
        {
            let network = rank_two(form, alpha, activation);
            let x = synthetic::gaussian(500, 3, 8);
            let compression = to_rank(&network, 2, &x).expect("compresses");
            assert_eq!(compression.original.inputs, 0.0);
            let low = &compression.network;
            assert_eq!((low.rank(), low.initial.len()), (2, low.carried()));
            let (y, wanted) =
                (simulate::run(low, &x, false).outputs, simulate::run(&network, &x, false).outputs);
            let worst = y.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-9, "{activation:?} {form:?} {alpha}: {worst:e}");
        }
    }
}

#[test]
fn weights_on_activity_that_never_occurs_are_given_up_first() {
    // W maps a visited direction weakly and one that inputs never reach strongly.
    let unit = |k: usize| Mat::from_fn(10, 1, |i, _| f64::from(u8::from(i == k)));
    let w =
        faer::Scale(0.5) * unit(0) * unit(0).transpose() + faer::Scale(3.0) * unit(2) * unit(1).transpose();
    let network =
        Network::plain(Activation::Tanh, Recurrence::Dense(w), unit(0), unit(0).transpose().to_owned());
    let compression = to_rank(&network, 1, &synthetic::gaussian(1000, 1, 3)).expect("compresses");
    assert!(attempt(&compression, Method::Truncated).errors.gaussian > 0.1);
    assert!(attempt(&compression, Method::Weighted).errors.gaussian < 1e-6);
    assert_eq!(compression.best.method, Method::Weighted);
}

#[test]
fn bad_calls_are_refused() {
    let network = rank_two(Form::Rate, 1.0, Activation::Tanh);
    let message = |rank, inputs: &[f64]| to_rank(&network, rank, inputs).expect_err("refused").to_string();
    assert_eq!(message(0, &[]), "rank: expected 1 to 29, found 0");
    assert_eq!(message(30, &[]), "rank: expected 1 to 29, found 30");
    assert_eq!(message(2, &[1.0; 4]), "inputs: expected a multiple of 3 numbers, found 4");
    let task = tinyfold::task::Integration { decays: vec![0.9], scales: vec![1.0] };
    let spec = exact::Spec {
        neurons: 16,
        task,
        activation: Activation::Relu,
        seed: 0,
        encoder: None,
        decoder: None,
    };
    let exact = exact::exact(&spec).expect("enough neurons").network;
    assert!(to_rank(&exact, 1, &[]).is_err(), "it is of rank 1 already");
}
