//! Training: gradients against finite differences, reproducibility, and that it gets where it should.

use std::process::Command;

use faer::Mat;
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use tinyfold::format::network;
use tinyfold::network::{Activation, Recurrence};
use tinyfold::report::rules::Comparison;
use tinyfold::simulate;
use tinyfold::task::recording::{GYROSCOPE, bundled};
use tinyfold::task::{Integration, Task};
use tinyfold::train::bptt::{Batch, Fixed, Workspace, loss_and_gradient};
use tinyfold::train::online::{Rule, learn};
use tinyfold::train::optimiser::Method;
use tinyfold::train::parameters::{Parameters, Weights};
use tinyfold::train::settings::{Loss, Schedule};
use tinyfold::train::{
    Control, End, Precision, Progress, Settings, Snapshot, Trained, resume, train, vectors,
};
use tinyfold::{Error, Network};

fn quiet(settings: &Settings) -> tinyfold::Result<Trained> {
    train(settings, None, &mut |_| Control::Continue)
}

fn small() -> Settings {
    let task = Integration { decays: vec![0.8, 0.9], scales: vec![1.0, -2.0] }.into();
    Settings { neurons: 24, task, batch: 48, steps: 60, interval: 20, ..Settings::default() }
}

/// As `small`, at a rate with which 60 updates of Adam cannot reach a spectral radius of 1: stable on any machine,
/// however it rounds.
fn slow() -> Settings {
    Settings { learning_rate: 1e-3, ..small() }
}

/// A problem with everything random and nothing zero.
struct Problem {
    fixed: Fixed<f64>,
    parameters: Parameters<f64>,
    batch: Batch<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    n: usize,
    channels: usize,
    rank: usize,
    steps: usize,
    count: usize,
}

impl Problem {
    fn new(shape: Shape, activation: Activation<f64>, alpha: f64, free: [bool; 5], seed: u64) -> Self {
        let Shape { n, channels, rank, steps, count } = shape;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut random = |rows, columns, scale: f64| {
            let mut draw = |_, _| {
                let x: f64 = StandardNormal.sample(&mut rng);
                scale * x
            };
            Mat::from_fn(rows, columns, &mut draw)
        };
        let small = 0.7 / (n as f64).sqrt();
        let [free_input, biases, readout, current, nonlinear_decoder] = free;
        Self {
            fixed: Fixed {
                activation,
                alpha,
                encoder: random(n, channels, 1.0),
                decoder: random(channels, n, 1.0),
                bias: (!biases).then(|| random(n, 1, 0.5)),
                current: current.then(|| random(n, 1, 0.5)),
                nonlinear_decoder,
                signs: None,
                weight: (0..channels).map(|c| 1.0 / (1.0 + c as f64).powi(2)).collect(),
            },
            parameters: Parameters {
                weights: if rank == 0 {
                    Weights::Dense(random(n, n, small))
                } else {
                    Weights::LowRank(random(n, rank, small), random(n, rank, small))
                },
                input: free_input.then(|| random(n, channels, 1.0)),
                bias: biases.then(|| random(n, 1, 0.5)),
                readout: readout.then(|| random(channels, n, 1.0)),
                output_bias: biases.then(|| random(channels, 1, 0.5)),
            },
            batch: Batch {
                x: random(channels, steps * count, 1.0),
                target: random(channels, steps * count, 1.0),
                weight: None,
                steps,
            },
        }
    }

    fn gradient(&self) -> (f64, Parameters<f64>) {
        loss_and_gradient(
            &self.fixed,
            &self.parameters,
            &self.batch,
            self.batch.count(),
            &mut Workspace::default(),
        )
    }

    /// W, B, b, C, c as plain matrices.
    fn plain(&self) -> [Mat<f64>; 5] {
        let Self { fixed, parameters: p, .. } = self;
        let w = match &p.weights {
            Weights::Dense(w) => w.clone(),
            Weights::LowRank(u, v) => u * v.transpose(),
        };
        let input = p.input.clone().unwrap_or_else(|| &w * &fixed.encoder);
        let (n, outputs) = (w.nrows(), fixed.decoder.nrows());
        let bias = p.bias.clone().or_else(|| fixed.bias.clone()).unwrap_or_else(|| Mat::zeros(n, 1));
        let readout = p.readout.clone().unwrap_or_else(|| fixed.decoder.clone());
        let output_bias = p.output_bias.clone().unwrap_or_else(|| Mat::zeros(outputs, 1));
        [w, input, bias, readout, output_bias]
    }

    /// The batch loss from its definition, one sample after the other; and the least distance of a
    /// pre-activation from a kink of phi.
    fn loss(&self) -> (f64, f64) {
        let [w, input, bias, readout, output_bias] = self.plain();
        let Self { fixed, batch, .. } = self;
        let kinks = match fixed.activation {
            Activation::Relu => vec![0.0],
            Activation::Clipped { lo, hi } => vec![lo, hi],
            _ => Vec::new(),
        };
        let (mut loss, mut distance) = (0.0, f64::INFINITY);
        for k in 0..batch.count() {
            let mut h = Mat::<f64>::zeros(w.nrows(), 1);
            for t in 0..batch.steps {
                let column = t * batch.count() + k;
                let p = &w * &h + &input * batch.x.subcols(column, 1) + &bias;
                for i in 0..w.nrows() {
                    let phi = simulate::activate(fixed.activation, p[(i, 0)]);
                    let beta = fixed.current.as_ref().map_or(0.0, |beta| beta[(i, 0)]);
                    h[(i, 0)] = (1.0 - fixed.alpha) * h[(i, 0)] + fixed.alpha * (beta + phi);
                    let gaps = kinks.iter().map(|kink| (p[(i, 0)] - kink).abs());
                    distance = gaps.fold(distance, f64::min);
                }
                let y = &readout * &h + &output_bias;
                for c in 0..y.nrows() {
                    let mut y = y[(c, 0)];
                    if fixed.nonlinear_decoder {
                        distance = kinks.iter().map(|kink| (y - kink).abs()).fold(distance, f64::min);
                        y = simulate::activate(fixed.activation, y);
                    }
                    loss += fixed.weight[c] * (y - batch.target[(c, column)]).powi(2);
                }
            }
        }
        let steps = batch.steps as f64;
        (loss / (steps * steps * steps * batch.count() as f64), distance)
    }
}

fn activations() -> impl Strategy<Value = Activation<f64>> {
    prop_oneof![
        Just(Activation::Linear),
        Just(Activation::Relu),
        Just(Activation::Clipped { lo: -0.3, hi: 1.2 }),
        Just(Activation::Tanh),
        Just(Activation::Sigmoid { slope: 1.7, threshold: 0.2 }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// The derivative of the loss along a random direction through all parameters together, and along
    /// one through each matrix alone, by Richardson extrapolation of central differences: error O(step⁴).
    #[test]
    fn gradients_are_those_of_finite_differences(
        activation in activations(),
        (n, channels, steps, count) in (2_usize..9, 1_usize..4, 1_usize..7, 1_usize..5),
        rank in 0_usize..4,
        alpha in prop_oneof![Just(1.0), 0.1..1.0],
        free in any::<[bool; 5]>(),
        seed in any::<u64>(),
    ) {
        let shape = Shape { n, channels, rank: rank.min(n), steps, count };
        let problem = Problem::new(shape, activation, alpha, free, seed);
        let (loss, gradient) = problem.gradient();
        let (expected, distance) = problem.loss();
        prop_assert!((loss - expected).abs() <= 1e-12 * expected, "loss {loss}, by definition {expected}");
        // A difference across a kink is not a derivative. Parameters move by 2e-4 at most, so p does not
        // move by 1e-2 unless |h| exceeds 50.
        prop_assume!(distance > 1e-2 || !matches!(activation, Activation::Relu | Activation::Clipped { .. }));

        let mut rng = ChaCha8Rng::seed_from_u64(!seed);
        let matrices = gradient.matrices().len();
        for which in 0..=matrices {
            let direction: Vec<Mat<f64>> = gradient.matrices().iter().enumerate().map(|(k, matrix)| {
                let on = f64::from(u8::from(which == matrices || which == k));
                Mat::from_fn(matrix.nrows(), matrix.ncols(), |_, _| {
                    let x: f64 = StandardNormal.sample(&mut rng);
                    on * x
                })
            }).collect();
            let length = direction.iter().map(faer::Mat::squared_norm_l2).sum::<f64>().sqrt();
            let moved = |distance: f64| {
                let mut moved = Problem {
                    fixed: problem.fixed.clone(),
                    parameters: problem.parameters.clone(),
                    batch: problem.batch.clone(),
                };
                for (matrix, direction) in moved.parameters.matrices_mut().into_iter().zip(&direction) {
                    *matrix += direction * faer::Scale(distance / length);
                }
                moved.loss().0
            };
            let central = |step: f64| (moved(step) - moved(-step)) / (2.0 * step);
            let numeric = (4.0 * central(1e-4) - central(2e-4)) / 3.0;
            let exact: f64 = gradient.matrices().iter().zip(&direction).map(|(gradient, direction)| {
                (0..gradient.ncols()).map(|j| {
                    gradient.col_as_slice(j).iter().zip(direction.col_as_slice(j)).map(|(g, d)| g * d)
                        .sum::<f64>()
                }).sum::<f64>()
            }).sum::<f64>() / length;
            // Relative to the whole gradient; rounding of the loss, 1e-16, is divided by the step.
            let scale = gradient.norm() + 1e-6 * loss;
            prop_assert!(
                (numeric - exact).abs() <= 1e-6 * scale,
                "matrix {which} of {matrices}: {exact} but {numeric}, {loss}"
            );
        }
    }
}

/// Weights as bits, so that NaN and -0 count as well.
fn bits(network: &Network) -> Vec<u64> {
    let recurrence = match &network.recurrence {
        Recurrence::Dense(w) => vec![w],
        Recurrence::LowRank { u, v } => vec![u, v],
    };
    let matrices = recurrence.into_iter().chain([&network.input, &network.readout]);
    let values = matrices.flat_map(|m| (0..m.ncols()).flat_map(|j| m.col_as_slice(j)));
    values.chain(&network.bias).chain(&network.output_bias).map(|x| x.to_bits()).collect()
}

#[test]
fn the_same_settings_give_the_same_bits_for_any_number_of_threads() {
    let data = bundled(&GYROSCOPE[..2]).expect("the bundled recording");
    for rank in [0, 3] {
        let base = Settings { rank, batch: 300, from_recording: 0.3, train_bias: true, ..slow() };
        let run = |threads: usize, seed: u64| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let settings = Settings { seed, ..base.clone() };
            let trained = pool.install(|| train(&settings, Some(&data), &mut |_| Control::Continue));
            let trained = trained.expect("trains");
            let losses = trained.history.iter().map(|m| (m.step, m.loss.to_bits(), m.rollout.to_bits()));
            (bits(&trained.network), losses.collect::<Vec<_>>())
        };
        let one = run(1, 5);
        assert_eq!(one.1.len(), 3, "an entry an interval");
        for threads in [2, 3, 7] {
            assert!(run(threads, 5) == one, "rank {rank}, {threads} threads");
        }
        assert!(run(1, 6) != one, "another seed");
    }
}

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

/// A step at rank R stores and multiplies O(n (R + T · batch)): with n = 60 000 one n × n matrix of f32
/// would be 14 GB and a product with it 4e9 multiply-adds a sample and time step.
#[test]
fn a_low_rank_step_never_makes_an_n_by_n_matrix() {
    let (n, channels, rank) = (60_000, 2, 3);
    let random = |rows, columns, seed| {
        let x = tinyfold::task::synthetic::gaussian(rows, columns, seed);
        Mat::from_fn(rows, columns, |i, j| (x[i * columns + j] / (n as f64).sqrt()) as f32)
    };
    let fixed = Fixed {
        activation: Activation::Relu,
        alpha: 0.5_f32,
        encoder: random(n, channels, 1),
        decoder: random(channels, n, 2),
        bias: None,
        current: None,
        nonlinear_decoder: false,
        signs: None,
        weight: vec![1.0; channels],
    };
    let parameters = Parameters {
        weights: Weights::LowRank(random(n, rank, 3), random(n, rank, 4)),
        input: None,
        bias: None,
        readout: None,
        output_bias: None,
    };
    let batch =
        Batch { x: random(channels, 40, 5), target: random(channels, 40, 6), weight: None, steps: 10 };
    let (loss, gradient) = loss_and_gradient(&fixed, &parameters, &batch, 4, &mut Workspace::default());
    assert!(loss.is_finite() && gradient.norm() > 0.0);
    let shapes: Vec<_> = gradient.matrices().iter().map(|m| (m.nrows(), m.ncols())).collect();
    assert_eq!(shapes, [(n, rank), (n, rank)]);
}

#[test]
fn divergence_is_an_error_that_says_what_to_try() {
    let settings =
        Settings { method: Method::Sgd { momentum: 0.9 }, learning_rate: 1e6, clip: 1e9, ..small() };
    let error = quiet(&settings).expect_err("diverges");
    assert!(matches!(error, Error::Numeric { .. }), "{error}");
    let text = error.to_string();
    assert!(text.starts_with("training: diverged") && text.contains("smaller learning rate"), "{text}");
}

/// Updates before the divergence are not lost.
#[test]
fn a_network_from_before_the_divergence_is_kept() {
    let mut data = bundled(&GYROSCOPE[..2]).expect("the bundled recording");
    let settings = Settings { from_recording: 0.1, interval: 2, steps: 400, ..small() };
    // One sample of a recording is beyond what f32 holds: sooner or later a window has it.
    data.recordings[7].x[60] = 1e30;
    let trained = train(&settings, Some(&data), &mut |_| Control::Continue);
    let trained = trained.expect("good before it met the sample");
    assert_eq!(trained.end, End::Diverged);
    let last = trained.history.last().expect("an entry");
    assert!(!last.loss.is_finite() && trained.best.step < last.step && trained.best.error().is_finite());
    assert!(bits(&trained.network).iter().all(|&b| f64::from_bits(b).is_finite()));
}

#[test]
fn the_watcher_sees_every_step_and_can_stop() {
    let mut steps = Vec::new();
    let trained = train(&small(), None, &mut |progress| match progress {
        Progress::Step { step, .. } => {
            steps.push(step);
            if step == 33 { Control::Stop } else { Control::Continue }
        }
        Progress::Interval { network, metrics, .. } => {
            assert_eq!((network.neurons(), metrics.recording), (24, None));
            Control::Continue
        }
    });
    let trained = trained.expect("stopped, not failed");
    assert_eq!(trained.end, End::Stopped);
    assert_eq!(steps, (1..=33).collect::<Vec<_>>());
    assert_eq!(trained.history.iter().map(|m| m.step).collect::<Vec<_>>(), [20, 33]);
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let task = |decays: Vec<f64>, scales: Vec<f64>| Integration { decays, scales }.into();
    let cases = [
        (Settings { neurons: 0, ..small() }, "neurons: expected at least 1, found 0"),
        (Settings { batch: 0, ..small() }, "batch: expected at least 1, found 0"),
        (Settings { rank: 25, ..small() }, "rank: expected at most n = 24, found 25"),
        (Settings { alpha: 1.5, ..small() }, "alpha: expected a leak above 0 and at most 1, found 1.5"),
        (
            Settings { learning_rate: f64::NAN, ..small() },
            "learning rate: expected a positive number, found NaN",
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
        (Settings { activation: "step".into(), ..small() }, "activation: expected linear, relu"),
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

/// Ctrl-C in the middle of a run of the command: code 0, and every file of the run folder is usable.
#[cfg(unix)]
#[test]
fn an_interrupted_run_leaves_usable_files() {
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = Command::new(env!("CARGO_BIN_EXE_tinyfold"))
        .args(["train", "--neurons", "16", "--steps", "100000000", "--interval", "50", "--out"])
        .arg(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let began = std::time::Instant::now();
    while !folder.path().join("checkpoint.safetensors").exists() {
        assert!(began.elapsed().as_secs() < 600, "no checkpoint after ten minutes");
        assert!(child.try_wait().expect("a child").is_none(), "ended before it was stopped");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(sent.success());
    let output = child.wait_with_output().expect("ends");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("stopped by Ctrl-C after update"), "{text}");
    for name in ["network.safetensors", "checkpoint.safetensors"] {
        let network = tinyfold::format::network::load(&folder.path().join(name)).expect("a network");
        assert_eq!((network.neurons(), network.inputs.len()), (16, 3));
    }
    let read = |name| std::fs::read_to_string(folder.path().join(name)).expect("written");
    for line in read("metrics.jsonl").lines() {
        let metrics: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert!(metrics["step"].is_u64() && metrics["loss"].is_f64() && metrics["seconds"].is_f64());
    }
    let provenance: serde_json::Value = serde_json::from_str(&read("run.json")).expect("JSON");
    assert_eq!(provenance["tinyfold"], env!("CARGO_PKG_VERSION"));
    let settings = Settings::load(&folder.path().join("settings.toml")).expect("settings");
    assert_eq!((settings.neurons, settings.steps, settings.seed), (16, 100_000_000, 0));
}

fn online(rule: Rule, rank: usize) -> Settings {
    Settings {
        neurons: 24,
        rank: if rule == Rule::Latent { rank } else { 0 },
        task: Integration { decays: vec![0.9, 0.8], scales: vec![1.0, -2.0] }.into(),
        sequence: 16,
        steps: 6000,
        interval: 1500,
        learning_rate: 1e-3,
        ..Settings::default()
    }
}

#[test]
fn rules_are_aligned_with_the_exact_gradient_as_far_as_they_are_exact() {
    for (rule, least, most) in [
        (Rule::Rtrl, 1.0 - 1e-9, 1.0 + 1e-9),
        (Rule::Latent, 1.0 - 1e-9, 1.0 + 1e-9),
        (Rule::Tbptt, 0.7, 1.0 - 1e-6),
        (Rule::Snap1, 0.3, 1.0 - 1e-3),
        (Rule::Rflo, 0.3, 1.0 - 1e-3),
        (Rule::Eprop, 0.3, 1.0 - 1e-3),
        (Rule::KfRtrl, -0.2, 1.0 - 1e-3),
        (Rule::Uoro, -0.2, 1.0 - 1e-3),
    ] {
        // With leak, a network of low rank forgets c of the steps before, a dense one does not: not the same gradient.
        for (alpha, bias) in [(1.0, true), (0.5, false)] {
            let settings = Settings { alpha, train_bias: bias, train_readout: bias, ..online(rule, 3) };
            let settings = Settings { steps: 1500, interval: 500, activation: "tanh".into(), ..settings };
            let run = learn(&settings, rule, &mut |_| Control::Continue).expect("learns");
            for point in &run.points {
                let cosine = point.alignment.expect("both have a gradient");
                assert!((least..=most).contains(&cosine), "{}: {cosine}", rule.name());
            }
        }
    }
}

#[test]
fn exact_rules_learn_online_and_repeat_themselves() {
    for rule in [Rule::Rtrl, Rule::Latent, Rule::Tbptt, Rule::KfRtrl] {
        let settings = online(rule, 2);
        let mut seen = Vec::new();
        let run = learn(&settings, rule, &mut |point| {
            seen.push(point.step);
            Control::Continue
        })
        .expect("learns");
        assert_eq!(seen, [1500, 3000, 4500, 6000]);
        let [first, .., last] = &run.points[..] else { panic!("four points") };
        assert!(last.loss < 0.5 * first.loss, "{}: {} to {}", rule.name(), first.loss, last.loss);
        let again = learn(&settings, rule, &mut |_| Control::Continue).expect("learns");
        assert_eq!(again.network.weights(), run.network.weights());
        let stopped = learn(&settings, rule, &mut |_| Control::Stop).expect("learns");
        assert_eq!(stopped.points.len(), 1);
    }
}

/// Every column of W, or row of V, has its neuron's sign, U has none below 0, and the rule learns all the same.
#[test]
fn dales_law_holds_while_a_rule_learns() {
    for rule in [Rule::Rtrl, Rule::Latent] {
        let settings = Settings { learning_rate: 1e-3, dale: 0.2, ..online(rule, 2) };
        let run = learn(&settings, rule, &mut |_| Control::Continue).expect("learns");
        let signs = tinyfold::train::vectors::signs(&settings).expect("Dale's law");
        let sign = |j: usize| signs[j];
        let w = run.network.weights();
        for j in 0..w.ncols() {
            assert!((0..w.nrows()).all(|i| w[(i, j)] * sign(j) >= 0.0), "{}: column {j}", rule.name());
        }
        assert!(w.col_iter().any(|column| column.iter().any(|&w| w != 0.0)));
        let [first, .., last] = &run.points[..] else { panic!("four points") };
        assert!(last.loss < 0.8 * first.loss, "{}: {} to {}", rule.name(), first.loss, last.loss);
    }
}

/// The run folder holds rules.json, the same bytes for the same seed, both figures and a network a rule.
#[test]
fn rules_are_compared_in_a_folder_that_repeats_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let files =
        ["rules.json", "learning-curves.svg", "learning-curves.png", "alignment.svg", "alignment.png"];
    let made = ["a", "b"].map(|name| {
        let out = folder.path().join(name);
        let steps =
            ["--steps", "400", "--interval", "200", "--neurons", "6", "--sequence", "10", "--dale", "0.2"];
        let mut command = Command::new(env!("CARGO_BIN_EXE_tinyfold"));
        command.args(["train", "--rule", "snap1,uoro", "--decays", "0.9"]).args(steps).arg("--out").arg(&out);
        assert!(command.output().expect("runs").status.success());
        for rule in ["snap1", "uoro"] {
            network::load(&out.join(format!("{rule}.safetensors"))).expect("a network");
        }
        files.map(|file| std::fs::read(out.join(file)).expect(file))
    });
    assert_eq!(made[0], made[1]);
    let [json, curves, curves_png, alignment, alignment_png] = &made[0];
    let comparison: Comparison = serde_json::from_slice(json).expect("a comparison");
    assert!(comparison.settings.dale == 0.2 && comparison.rules.len() == 2);
    assert!(comparison.rules.iter().all(|curve| curve.points.len() == 2));
    assert!([curves, alignment].iter().all(|svg| svg.starts_with(b"<svg")));
    assert!([curves_png, alignment_png].iter().all(|png| png.starts_with(b"\x89PNG")));
}

#[test]
fn rules_for_other_networks_are_refused() {
    let reason = |rank, rule| {
        let settings = Settings { rank, ..online(rule, 0) };
        learn(&settings, rule, &mut |_| Control::Continue).expect_err("refused").to_string()
    };
    assert_eq!(reason(0, Rule::Latent), "rank: expected at least 1 with the rule latent, found 0");
    assert_eq!(reason(2, Rule::KfRtrl), "rank: expected 0 (a dense W) with the rule kf-rtrl, found 2");
}

/// A run that stops at some update and goes on from its snapshot ends with the bits of one that never stopped.
#[test]
fn a_resumed_run_ends_with_the_same_bits() {
    let plain = Settings { interval: 20, steps: 100, ..slow() };
    let variants = [
        Settings { rank: 2, train_bias: true, train_readout: true, threshold_spread: 0.1, ..plain.clone() },
        Settings { method: Method::Sgd { momentum: 0.9 }, learning_rate: 0.03, batch: 300, ..plain.clone() },
        Settings { loss: Loss::Proxy, dale: 0.25, ..plain.clone() },
        Settings { proxy_weight: 0.1, free_input: false, precision: Precision::F64, ..plain },
        Settings {
            neurons: 12,
            rank: 2,
            dale: 0.25,
            interval: 20,
            steps: 100,
            ..Settings::of(Task::named("switch").expect("a task"))
        },
    ];
    // Stopped at an interval, and between two of them as by Ctrl-C.
    for (settings, stop) in variants.iter().flat_map(|settings| [(settings, 40), (settings, 47)]) {
        let whole = quiet(settings).expect("trains");
        let mut kept = None;
        train(settings, None, &mut |progress| match progress {
            Progress::Interval { snapshot, metrics, .. } if metrics.step == stop => {
                kept = Some(snapshot());
                Control::Stop
            }
            Progress::Step { step, .. } if step == stop => Control::Stop,
            _ => Control::Continue,
        })
        .expect("trains");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run.safetensors");
        kept.expect("an interval").save(&path).expect("written");
        let snapshot = Snapshot::load(&path).expect("read back");
        assert_eq!(snapshot.header.step, stop);
        let resumed = resume(&snapshot, None, &mut |_| Control::Continue).expect("trains");
        assert_eq!(bits(&resumed.network), bits(&whole.network), "{settings:?}");
        let losses = |trained: &Trained| -> Vec<(usize, u64, u64)> {
            trained.history.iter().map(|m| (m.step, m.loss.to_bits(), m.rollout.to_bits())).collect()
        };
        assert_eq!(losses(&resumed), losses(&whole), "{settings:?}");
    }
}

/// A snapshot of the update that ended a run early does not go on: the run may have been killed before it said so.
#[test]
fn a_run_that_had_ended_does_not_go_on() {
    let reached = Settings { stop_loss: 0.05, steps: 2000, interval: 1, ..small() };
    let stalled = Settings { patience: 3, steps: 2000, learning_rate: 1e-300, ..small() };
    for settings in [reached, stalled] {
        let mut last = None;
        let whole = train(&settings, None, &mut |progress| {
            if let Progress::Interval { snapshot, .. } = progress {
                last = Some(snapshot());
            }
            Control::Continue
        })
        .expect("trains");
        let resumed = resume(&last.expect("an interval"), None, &mut |_| Control::Continue).expect("trains");
        assert_eq!((resumed.end, resumed.history.len()), (whole.end, whole.history.len()));
        assert_eq!(bits(&resumed.network), bits(&whole.network));
    }
}

/// The driver is killed outright at some moment; what it wrote goes on to the file of a run that never was.
#[cfg(unix)]
#[test]
fn a_killed_run_loses_nothing_it_needs() {
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().expect("a folder");
    let tinyfold = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tinyfold"));
        command.current_dir(folder.path()).args(args).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let args =
        ["train", "--neurons", "16", "--steps", "3000", "--interval", "100", "--decays", "0.9", "--out"];
    assert!(tinyfold(&[&args[..], &["whole"]].concat()).status().expect("runs").success());
    let mut child = tinyfold(&[&args[..], &["killed"]].concat()).spawn().expect("starts");
    while !folder.path().join("killed/resume.safetensors").exists() {
        if child.try_wait().expect("a child").is_some() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    child.kill().expect("killed, or ended already");
    child.wait().expect("ended");
    assert!(tinyfold(&["train", "--resume", "killed"]).status().expect("runs").success());
    let read =
        |run: &str| std::fs::read(folder.path().join(run).join("network.safetensors")).expect("a network");
    assert_eq!(read("whole"), read("killed"));
}

#[test]
fn training_ends_where_it_was_asked_to() {
    let reached = quiet(&Settings { stop_loss: 0.05, steps: 2000, ..small() }).expect("trains");
    assert_eq!(reached.end, End::Reached);
    let last = reached.history.last().expect("an entry");
    assert!(last.loss <= 0.05 && last.step < 2000);
    // No learning rate, no better network.
    let settings = Settings { patience: 3, steps: 2000, learning_rate: 1e-300, ..small() };
    let stalled = quiet(&settings).expect("trains");
    assert_eq!((stalled.end, stalled.history.len()), (End::Stalled, 4));
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
