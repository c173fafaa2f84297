//! What networks training makes, and from which settings.

use tinyfold::task::flip_flop::FlipFlop;
use tinyfold::task::recording::{GYROSCOPE, bundled};
use tinyfold::task::{Integration, Task};
use tinyfold::train::ablation::Ablation;
use tinyfold::train::optimiser::Method;
use tinyfold::train::settings::{Loss, Schedule, Supports};
use tinyfold::train::{Control, End, Metrics, Precision, Settings, remedies, train, vectors};

use super::{quiet, slow, small};

/// With W = 0 every pre-activation is 0: only phi'(0) = 1 on the closed interval gets training started.
#[test]
fn training_starts_from_zero() {
    let clipped = vec![0.0, 50.0];
    for (activation, parameters) in
        [("relu", vec![]), ("clipped", clipped), ("linear", vec![]), ("tanh", vec![])]
    {
        for rank in [0, 2] {
            let settings = Settings {
                activation: activation.into(),
                activation_parameters: parameters.clone(),
                rank,
                steps: 400,
                interval: 1,
                ..small()
            };
            let history = quiet(&settings).expect("trains").history;
            let (first, last) = (history[0].loss, history[399].loss);
            assert!(last < 0.1 * first, "{activation}, rank {rank}: {first} to {last}");
        }
    }
}

/// A trial of few pulses may have nothing to judge: it adds nothing, instead of 0 times infinity.
#[test]
fn trials_without_anything_to_judge_are_learnt_from() {
    let task: Task = FlipFlop { bits: 1, pulses: 0.01 }.into();
    for precision in [Precision::F32, Precision::F64] {
        let settings = Settings {
            neurons: 8,
            batch: 16,
            steps: 20,
            interval: 1,
            precision,
            ..Settings::of(task.clone())
        };
        let trained = quiet(&settings).expect("trains");
        assert_eq!((trained.end, trained.history.len()), (End::Done, 20));
        assert!(trained.history.iter().all(|metrics| metrics.loss.is_finite()));
        // Long trials judge what stays, as long roll-outs do of integration.
        assert!(trained.history.iter().all(|metrics| metrics.long.is_some_and(f64::is_finite)));
        let leaving = Metrics { long: Some(f64::INFINITY), ..trained.best };
        assert!(trained.best.stable() && !leaving.stable());
    }
}

#[test]
fn only_what_may_change_changes() {
    let settings = slow();
    let (e, c) = tinyfold::design::random_frozen(settings.neurons, 2, settings.seed);
    let frozen = quiet(&settings).expect("trains").network;
    assert_eq!((frozen.encoder.as_ref(), &frozen.readout), (Some(&e), &c));
    assert_eq!(frozen.input, frozen.weights() * &e, "B = W E");
    assert!(frozen.bias.iter().chain(&frozen.output_bias).all(|&b| b == 0.0));
    assert_eq!((frozen.task.as_ref(), frozen.rank()), (Some(&settings.task), 0));

    let free = Settings { free_input: true, train_bias: true, train_readout: true, rank: 3, ..settings };
    let free = quiet(&free).expect("trains").network;
    assert_eq!((free.encoder.as_ref(), free.rank()), (None, 3));
    assert!(free.input != e && free.readout != c);
    assert!(free.bias.iter().chain(&free.output_bias).all(|&b| b != 0.0));
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let task = |decays: Vec<f64>, scales: Vec<f64>| Integration { decays, scales }.into();
    let cases = [
        (Settings { neurons: 0, ..small() }, "neurons: expected from 1 to 1048576, found 0"),
        (Settings { batch: 0, ..small() }, "batch: expected from 1 to 1048576, found 0"),
        (Settings { sequence: usize::MAX, ..small() }, "sequence: expected from 1 to 1048576, found 1844"),
        (Settings { seed: 1 << 63, ..small() }, "seed: expected from 0 to 9223372036854775807, found 9223"),
        (
            Settings { steps: usize::MAX, ..small() },
            "steps: expected from 1 to 9223372036854775807, found 1844",
        ),
        (
            Settings { neurons: 1, overlap: Some(0.5), task: task(vec![0.9], vec![1.0]), ..small() },
            "neurons: expected at least 2 for an encoder and a decoder with an overlap, found 1",
        ),
        (Settings { rank: 25, ..small() }, "rank: expected at most n = 24, found 25"),
        (Settings { alpha: 1.5, ..small() }, "alpha: expected a leak above 0 and at most 1, found 1.5"),
        (
            Settings { train_weights: false, train_readout: true, ..small() },
            "start_gain: expected above 0, or free_input = true, for a W that is not trained",
        ),
        (
            Settings {
                supports: Supports::Same,
                ablation: Ablation::Neurons((12..24).collect()),
                train_readout: true,
                ..small()
            },
            "ablation: expected neurons left in the support of every encoder, found none for that of x1",
        ),
        (
            Settings {
                supports: Supports::RandomEncoder,
                ablation: Ablation::Neurons((0..12).collect()),
                ..small()
            },
            "ablation: expected neurons left in the support of every decoder, found none for that of y0",
        ),
        (
            Settings { learning_rate: f64::NAN, ..small() },
            "learning_rate: expected a positive number, found NaN",
        ),
        (Settings { from_recording: 0.5, ..small() }, "expected 0 without a recording, found 0.5"),
        (
            Settings { task: task(vec![1.0], vec![1.0]), ..small() },
            "decays: expected numbers between 0 and 1",
        ),
        (
            Settings { task: task(vec![0.9], vec![0.0]), ..small() },
            "scales: expected finite numbers other than 0",
        ),
        (
            Settings { task: task(vec![0.9], vec![]), ..small() },
            "number of scales: expected 1, one a decay, found 0",
        ),
        (Settings { activation: "step".into(), ..small() }, "activation: expected one of linear, relu"),
        (
            Settings { method: Method::Sgd { momentum: 1.0 }, ..small() },
            "momentum: expected at least 0 and below 1",
        ),
    ];
    for (settings, expected) in cases {
        let error = quiet(&settings).expect_err(expected);
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
    let data = bundled(&GYROSCOPE[..2]).expect("the bundled recording");
    let little = Settings { from_recording: 0.005, ..small() };
    let error = train(&little, Some(&data), &mut |_| Control::Continue).expect_err("no window");
    let expected = "from_recording: expected 0, or at least one of the 48 sequences of a batch, found 0.005";
    assert_eq!(error.to_string(), expected);
    let data = bundled(&GYROSCOPE).expect("the bundled recording");
    let error = train(&small(), Some(&data), &mut |_| Control::Continue).expect_err("D differs");
    assert_eq!(error.to_string(), "recording: expected 2 input columns, one a decay, found 3");
    let long = Settings { sequence: 101, from_recording: 1.0, ..Settings::default() };
    let error = train(&long, Some(&data), &mut |_| Control::Continue).expect_err("too short");
    assert!(error.to_string().contains("at least 101 samples in a row"), "{error}");
}

/// The real thing, made small: D = 2, fast decays, 24 neurons, both optimisers, both precisions.
#[test]
fn training_reaches_a_good_integrator() {
    let base = Settings { steps: 3000, interval: 250, batch: 64, weight_decay: 0.0, ..small() };
    let sgd = Method::Sgd { momentum: 0.9 };
    let cases = [
        (base.clone(), 0.02),
        (Settings { precision: Precision::F64, ..base.clone() }, 0.02),
        (Settings { rank: 4, ..base.clone() }, 0.02),
        (Settings { train_readout: true, free_input: true, ..base.clone() }, 0.02),
        (Settings { alpha: 0.9, ..base.clone() }, 0.05),
        (Settings { method: sgd, learning_rate: sgd.learning_rate(), ..base }, 0.05),
    ];
    for (settings, bound) in cases {
        let trained = quiet(&settings).expect("trains");
        assert!(trained.best.rollout < bound, "{}: {settings:?}", trained.best.rollout);
        assert_eq!(trained.end, End::Done);
    }
}

/// Every column of W has one sign, of V too at rank R, and the network integrates all the same.
#[test]
fn dales_law_holds_in_training() {
    for (rank, loss, bound) in [(0, Loss::Batch, 0.1), (0, Loss::Proxy, 0.1), (4, Loss::Batch, 0.3)] {
        let settings = Settings { dale: 0.25, rank, loss, neurons: 48, steps: 3000, batch: 64, ..small() };
        let trained = quiet(&settings).expect("trains");
        let signs = vectors::signs(&settings).expect("Dale's law");
        let w = trained.network.weights();
        for (j, sign) in signs.iter().enumerate() {
            assert!((0..w.nrows()).all(|i| w[(i, j)] * sign >= 0.0), "column {j}");
        }
        assert!(trained.best.rollout < bound, "rank {rank}, {loss:?}: {}", trained.best.rollout);
    }
}

#[test]
fn schedules_by_hand() {
    assert_eq!(Schedule::Constant.factor(17, 20), 1.0);
    let halving = Schedule::Halving { every: 10 };
    assert_eq!([1, 10, 11, 20, 21].map(|step| halving.factor(step, 100)), [1.0, 1.0, 0.5, 0.5, 0.25]);
    let cosine = [1, 51, 101].map(|step| Schedule::Cosine.factor(step, 101));
    assert!(cosine[0] == 1.0 && (cosine[1] - 0.5005).abs() < 1e-12 && (cosine[2] - 0.001).abs() < 1e-12);
}

/// W keeps every bit, whatever the weight decay and the law of signs; the readout learns.
#[test]
fn a_reservoir_keeps_its_weights() {
    for (rank, dale) in [(0, 0.0), (0, 0.25), (2, 0.0)] {
        let settings = Settings {
            train_weights: false,
            train_readout: true,
            start_gain: 0.5,
            weight_decay: 0.1,
            activation: "tanh".into(),
            rank,
            dale,
            ..slow()
        };
        let first = quiet(&Settings { steps: 1, interval: 1, ..settings.clone() }).expect("trains").network;
        let last = quiet(&settings).expect("trains").network;
        assert_eq!(first.recurrence, last.recurrence, "rank {rank}, dale {dale}");
        assert!(first.readout != last.readout && last.weights().norm_l2() > 0.5);
    }
    let nothing = Settings { train_weights: false, ..small() }.check(None).expect_err("refused").to_string();
    assert_eq!(nothing, "train_weights: expected true where nothing else is trained, found false");
}

/// A proxy term is offered where the settings would take it, and only then.
#[test]
fn a_remedy_is_one_that_is_not_refused() {
    let offered = |settings: Settings| remedies(&settings).contains("proxy_weight");
    assert!(offered(small()) && offered(Settings { dale: 0.25, ..small() }));
    for settings in [
        Settings { proxy_weight: 0.01, ..small() },
        Settings { from_recording: 0.5, ..small() },
        Settings { alpha: 0.5, ..small() },
        Settings { free_input: true, ..small() },
        Settings { nonlinear_decoder: true, ..small() },
        Settings { bias_current: 0.1, ..small() },
        Settings { loss: Loss::Proxy, ..small() },
    ] {
        assert!(!offered(settings.clone()), "{settings:?}");
    }
    assert!(remedies(&Settings { alpha: 0.5, ..small() }).ends_with("0.01 or longer sequences than 10"));
}
