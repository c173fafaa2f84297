//! Emulated chips: the same bits as core on this host, refusals with numbers, no panic path.
//!
//! These tests need a compiler for Cortex-M and QEMU: scripts/embedded-toolchain gets both.

use std::path::Path;
use std::process::{Command, Output};

use faer::Mat;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tinyfold::adapt::drift;
use tinyfold::design::exact::{Spec, exact, paired};
use tinyfold::design::quantise::{Options, quantise};
use tinyfold::format::fixed::Layers;
use tinyfold::format::model;
use tinyfold::network::{Activation, Arithmetic, Form, Network, Recurrence, Variant};
use tinyfold::task::recording::{GYROSCOPE, bundled};
use tinyfold::task::{Integration, synthetic};
use tinyfold::verify::firmware::Image;
use tinyfold::verify::qemu::{CHIPS, Qemu};
use tinyfold::verify::{Backend, Case, Core, Record, Subject, Verdict, backends, case, verify};
use tinyfold_core::fixed::{Accumulator, Rates, Settings};
use tinyfold_core::{Number, Shape};

fn all() -> Vec<String> {
    std::iter::once("core").chain(CHIPS.map(|chip| chip.name)).map(str::to_owned).collect()
}

fn run(backend: &dyn Backend, case: &Case) -> tinyfold::Result<Record> {
    Ok(backend.run(&[case])?.remove(0))
}

#[test]
fn every_suite_case_is_bit_equal_on_every_chip() {
    let cases = case::suite(40).expect("the suite exports");
    let backends = backends(&all()).expect("toolchain and QEMU are there");
    let backends: Vec<&dyn Backend> = backends.iter().map(AsRef::as_ref).collect();
    let verification = verify(&cases, &backends, &indicatif::ProgressBar::hidden()).expect("all run");
    assert_eq!(verification.backends.len(), 1 + 6);
    for row in &verification.backends {
        assert_eq!(row.verdict, Verdict::Pass, "{}: {:?}", row.name, row.failures);
        assert_ne!(row.bit_equal, Some(false), "{}", row.name);
        assert_eq!(row.cases + row.left_out.len(), cases.len());
        let more = |case: &&Case| case.monitor.is_some() || matches!(case.subject, Subject::Reduced(_));
        let left_out = if row.name == "qemu-m0" { cases.iter().filter(more).count() } else { 0 };
        assert_eq!(row.left_out.len(), left_out, "{}", row.name);
    }
}

/// Weights at the ends of the number range: 1 makes sums subnormal, 2 makes the state overflow to infinity and
/// NaN, 3 puts −0 and the smallest subnormal among the weights, 4 lets sums underflow to +0 and −0; 0 changes
/// nothing.
fn extreme(network: &mut Network, kind: usize) {
    let change = |k: usize, w: f64| match (kind, k % 5) {
        (1, _) => w * 1e-21,
        (2, _) => w * 1e12,
        (4, _) => w * 1e-24,
        (3, 1) => -0.0,
        (3, 3) => 2_f64.powi(-149),
        _ => w,
    };
    let all = |m: &Mat<f64>| Mat::from_fn(m.nrows(), m.ncols(), |i, j| change(i + 3 * j, m[(i, j)]));
    network.recurrence = match &network.recurrence {
        Recurrence::Dense(w) => Recurrence::Dense(all(w)),
        Recurrence::LowRank { u, v } => Recurrence::LowRank { u: all(u), v: all(v) },
    };
    (network.input, network.readout) = (all(&network.input), all(&network.readout));
    network.bias.iter_mut().enumerate().for_each(|(k, b)| *b = change(k, *b));
}

/// Any network: its sizes, what it computes, and the seed of its weights and samples.
fn any_case() -> impl Strategy<Value = Case> {
    let shape = (1..40_usize, 0..6_usize, 0..6_usize, 1..10_usize)
        .prop_map(|(neurons, rank, inputs, outputs)| Shape { neurons, rank, inputs: inputs.max(1), outputs });
    let choices = (0..5_usize, any::<bool>(), any::<bool>(), any::<bool>(), 0..7_usize, 0.05..1.0_f64);
    let float =
        (0..5_usize, prop::sample::select(&[Variant::Rational, Variant::Libm, Variant::Micromath][..]));
    (shape, choices, float, any::<u64>()).prop_map(|(shape, choices, (kind, variant), seed)| {
        let (activation, current, fused, wide, number, alpha) = choices;
        let form = if current { Form::Current } else { Form::Rate };
        // Half of the networks have no leak.
        let alpha = if alpha > 0.5 { 1.0 } else { alpha };
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let samples = case::samples(8 * shape.inputs, &mut rng);
        let name = format!("{shape:?}, activation {activation}, {form:?}, fused {fused}, wide {wide}, number {number}, alpha {alpha}, {variant:?}, extreme {kind}, seed {seed}");
        if number < 3 {
            let activations = [
                Activation::Linear,
                Activation::Relu,
                Activation::Clipped { lo: -0.25, hi: 0.5 },
                Activation::Tanh,
                Activation::Sigmoid { slope: 2.0, threshold: 0.25 },
            ];
            let mut network = case::random_network(activations[activation], shape, &mut rng);
            (network.form, network.alpha) = (form, alpha);
            network.arithmetic = if fused { Arithmetic::Fused } else { Arithmetic::Separate };
            network.variant = variant;
            extreme(&mut network, kind);
            network.initial = network.rest();
            return Case::of_network(name, network, samples).expect("exports");
        }
        let activations = [
            Activation::Linear,
            Activation::Relu,
            Activation::Clipped { lo: -(1 << 20), hi: 1 << 24 },
            Activation::Tanh,
            Activation::Sigmoid { slope: 1 << 18, threshold: 1 << 24 },
        ];
        let dense = shape.rank == 0;
        let settings = Settings {
            form,
            rates: if number == 6 && dense { Rates::I8 } else { Rates::I16 },
            rate_shift: if number == 6 && dense { 21 } else { 13 },
            accumulator: if wide && dense { Accumulator::I64 { shift: 5 } } else { Accumulator::I32 },
            exponent: 26,
            alpha: (alpha * 31.0_f64.exp2()) as u32,
            ..Settings::new(activations[activation])
        };
        let number = if number < 5 { Number::I16 } else { Number::I8 };
        let network = case::random_fixed(number, shape, settings, &mut rng);
        Case::of_model(name, network.export().expect("exports"), samples, "export").expect("is read back")
    })
}

/// Cases drawn by proptest, shipped to every chip in batches.
#[test]
fn any_network_is_bit_equal_on_every_chip() {
    let chips = CHIPS.map(|chip| Qemu::new(chip).expect("toolchain and QEMU are there"));
    let config = ProptestConfig {
        cases: 6,
        max_shrink_iters: 40,
        rng_seed: RngSeed::Fixed(7),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut runner = TestRunner::new(config);
    let result = runner.run(&vec(any_case(), 64), |cases| {
        let cases: Vec<&Case> = cases.iter().collect();
        let core = Core.run(&cases).expect("runs");
        for chip in &chips {
            let found = chip.run(&cases).expect("runs");
            for ((case, core), found) in cases.iter().zip(&core).zip(&found) {
                prop_assert!(case.same_bits(core, found), "{}: {}", chip.name(), case.name);
            }
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

/// As many latent numbers as inputs and outputs, ReLU: kernels of their own for 1, 2 and 3 of them, each with a tail
/// for what its unrolled loop leaves over.
fn pass_case(kind: &str, channels: usize, neurons: usize, seed: u64) -> Case {
    let shape = Shape { neurons, rank: channels, inputs: channels, outputs: channels };
    let name = format!("{kind}, {shape:?}, seed {seed}");
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let samples = case::samples(6 * channels, rng);
    // With and without leak in turn.
    let alpha = if seed.is_multiple_of(2) { 1.0 } else { 0.3 };
    let arithmetic = match kind {
        "f32" => Arithmetic::Separate,
        "f32 fused" => Arithmetic::Fused,
        number => {
            let number = if number == "i8" { Number::I8 } else { Number::I16 };
            let settings =
                Settings { alpha: (alpha * 31_f64.exp2()) as u32, ..Settings::new(Activation::Relu) };
            let mut network = case::random_fixed(number, shape, settings, rng);
            let Layers::LowRank { matrix, shift, .. } = &mut network.layers else { unreachable!("low rank") };
            // The whole range of M and of its shifts, so that sums saturate and wrap as well.
            matrix.fill_with(|| rng.random());
            shift.fill_with(|| rng.random_range(0..=62));
            return Case::of_model(name, network.export().expect("exports"), samples, "export")
                .expect("reads");
        }
    };
    let mut network = case::random_network(Activation::Relu, shape, rng);
    (network.alpha, network.arithmetic) = (alpha, arithmetic);
    network.initial = network.rest();
    Case::of_network(name, network, samples).expect("exports")
}

/// The same bits as core on this host, on every chip.
fn bit_equal_on_every_chip(cases: &[Case]) {
    let cases: Vec<&Case> = cases.iter().collect();
    let core = Core.run(&cases).expect("runs");
    for chip in CHIPS {
        let found = Qemu::new(chip).expect("toolchain and QEMU are there").run(&cases).expect("runs");
        for ((case, core), found) in cases.iter().zip(&core).zip(&found) {
            assert!(case.same_bits(core, found), "{}: {}", chip.name, case.name);
        }
    }
}

#[test]
fn every_pass_kernel_is_bit_equal_with_every_tail() {
    let mut cases = Vec::new();
    for kind in ["f32", "f32 fused", "i16", "i8"] {
        for channels in 1..=3 {
            // Unrolled by 4 or 8: every remainder twice, once below the first whole turn.
            for n in 1..=17 {
                cases.push(pass_case(kind, channels, n, cases.len() as u64));
            }
        }
    }
    bit_equal_on_every_chip(&cases);
}

/// What users put on a chip: integrators rounded by `compress`, of all ranks with kernels, pairs, and dense ones.
#[test]
fn rounded_integrators_are_bit_equal_on_every_chip() {
    let spec = |channels: usize| {
        let decays = (0..channels).map(|c| 0.99 + 0.002 * c as f64).collect();
        let task = Integration { decays, scales: vec![1.0; channels] };
        Spec { neurons: 32, task, activation: Activation::Relu, seed: 3, encoder: None, decoder: None }
    };
    let mut cases = Vec::new();
    let mut add = |network: &Network, number, rates| {
        let options = Options { rates, ..Options::new(number) };
        let rounded = quantise(network, &options).expect("can be rounded").network;
        let samples = synthetic::gaussian(200, rounded.shape.inputs, 5).iter().map(|&x| x as f32).collect();
        let name = format!("{:?}, {number:?} × {rates:?}", rounded.shape);
        cases.push(
            Case::of_model(name, rounded.export().expect("exports"), samples, "export").expect("reads"),
        );
    };
    for channels in 1..=3 {
        let frozen = exact(&spec(channels)).expect("enough neurons").network;
        let pairs = paired(&spec(channels)).expect("enough neurons").network;
        for number in [Number::I16, Number::I8] {
            add(&frozen, number, Rates::I16);
            add(&pairs, number, Rates::I16);
        }
        if channels == 2 {
            let dense = dense(&frozen);
            add(&dense, Number::I16, Rates::I16);
            add(&dense, Number::I8, Rates::I16);
            add(&dense, Number::I8, Rates::I8);
        }
    }
    assert_eq!(cases.len(), 3 * 4 + 3);
    bit_equal_on_every_chip(&cases);
}

/// i16 at rank 2 on the Cortex-M0, up to 654 neurons, whose model fills 16 KB.
#[test]
fn the_m0_runs_every_size_of_16_kb() {
    let sizes = [16, 64, 128, 256, 512, 654];
    let cases: Vec<Case> = sizes.map(|n| pass_case("i16", 2, n, n as u64)).into();
    let largest = cases.iter().map(|case| case.model.bytes().len()).max().expect("cases");
    assert!((16_000..=16_384).contains(&largest), "{largest} bytes");
    let cases: Vec<&Case> = cases.iter().collect();
    let m0 = Qemu::new(CHIPS[0]).expect("toolchain and QEMU are there");
    let (core, found) = (Core.run(&cases).expect("runs"), m0.run(&cases).expect("fits"));
    for ((case, core), found) in cases.iter().zip(&core).zip(&found) {
        assert!(case.same_bits(core, found), "{}", case.name);
    }
}

fn integrator(neurons: usize) -> Network {
    let task = Integration { decays: vec![0.99, 0.995], scales: vec![1.0, 1.0] };
    let spec = Spec { neurons, task, activation: Activation::Relu, seed: 1, encoder: None, decoder: None };
    exact(&spec).expect("enough neurons").network
}

/// The same network with a dense W.
fn dense(network: &Network) -> Network {
    let mut network = Network { recurrence: Recurrence::Dense(network.weights()), ..network.clone() };
    network.initial = network.rest();
    network
}

#[test]
fn the_m0_runs_a_dense_network_of_128_neurons_within_8_kb_of_ram() {
    let network = dense(&integrator(128));
    let samples = synthetic::gaussian(3, 2, 0).iter().map(|&x| x as f32).collect();
    let case = Case::of_network("dense, n = 128", network, samples).expect("exports");
    let m0 = Qemu::new(CHIPS[0]).expect("toolchain and QEMU are there");
    let record = run(&m0, &case).expect("fits");
    assert!(case.same_bits(&record, &run(&Core, &case).expect("runs")));
    let ram = m0.image.static_ram + u64::from(m0.worst_stack());
    println!(
        "image of {} bytes of flash, static RAM {}, worst stack {}",
        m0.image.flash,
        m0.image.static_ram,
        m0.worst_stack()
    );
    assert!(m0.worst_stack() > 0 && ram <= 8192, "{ram} bytes of RAM");
}

#[test]
fn a_model_too_large_for_its_chip_is_refused_with_the_numbers() {
    let m0 = Qemu::new(CHIPS[0]).expect("toolchain and QEMU are there");
    let capacity = m0.image.model.capacity;
    let error = m0.run_bytes(&vec![0; capacity as usize + 1], &[]).expect_err("too large").to_string();
    assert_eq!(
        error,
        format!("model for qemu-m0: expected at most {capacity} bytes, found {} bytes", capacity + 1)
    );

    // Small in bytes, but its state needs more memory than the board lends.
    let wide = Recurrence::LowRank { u: Mat::zeros(2, 300), v: Mat::zeros(2, 300) };
    let network = Network::plain(Activation::Relu, wide, Mat::zeros(2, 2), Mat::zeros(1, 2));
    let case = Case::of_network("rank 300", network, vec![0.0; 4]).expect("exports");
    let error = run(&m0, &case).expect_err("state too large").to_string();
    assert!(error.contains("model: state memory in words: expected at least 606, found 512"), "{error}");
}

#[test]
fn the_image_says_what_is_wrong_with_its_flash() {
    let m4 = Qemu::new(CHIPS[2]).expect("toolchain and QEMU are there");
    let error = m4.run_bytes(b"no model at all", b"").expect_err("refused").to_string();
    assert!(error.contains("model: magic: expected 0x444c4654"), "{error}");
    let model = model::export::<f32>(&integrator(32)).expect("exports");
    let error = m4.run_bytes(model.bytes(), b"no trial").expect_err("refused").to_string();
    assert!(error.contains("trial: magic: expected"), "{error}");
}

/// `cargo build` in firmware/ for all targets at once, with the toolchain that the script finds.
fn build(targets: &[&str], package: &str, profile: &str, more: &[&str]) -> Output {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    Command::new(tree.join("scripts/embedded-toolchain"))
        .args(["cargo", "build", "--profile", profile, "--locked", "-p", package])
        .args(targets.iter().flat_map(|target| ["--target", target]))
        .args(more)
        .current_dir(tree.join("firmware"))
        .output()
        .expect("the script runs")
}

#[test]
fn the_board_image_links() {
    let board = build(&["thumbv7em-none-eabihf"], "nrf52840", "release", &[]);
    assert!(board.status.success(), "{}", String::from_utf8_lossy(&board.stderr));
}

/// An image with logs says what it should, and gives the same result as one without.
#[test]
fn logs_do_not_change_the_result() {
    let chip = CHIPS[1];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware/target/log");
    let built = build(
        &[chip.target],
        chip.name,
        "release",
        &["--features", "log", "--target-dir", folder.to_str().expect("a path in UTF-8")],
    );
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let silent = Qemu::new(chip).expect("toolchain and QEMU are there");
    let image = Image::read(&folder.join(chip.target).join("release").join(chip.name)).expect("just built");
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let mut logging = Qemu::with_image(chip, image);
    logging.log = Some(file.path().into());
    // defmt ends every message with a zero, and has no other.
    let messages = || {
        let log = std::fs::read(file.path()).expect("readable");
        log.split(|&byte| byte == 0).filter(|message| !message.is_empty()).count()
    };

    let samples = synthetic::gaussian(3, 2, 0).iter().map(|&x| x as f32).collect();
    let case = Case::of_network("logs", integrator(32), samples).expect("exports");
    assert_eq!(run(&logging, &case).expect("runs"), run(&silent, &case).expect("runs"));
    assert_eq!(messages(), 1, "the model");

    let mut all = 0;
    for watched in case::watched_suite(40).expect("the suite exports") {
        let record = run(&logging, &watched).expect("runs");
        assert!(watched.same_bits(&record, &run(&silent, &watched).expect("runs")));
        let words = record.carried.len() / watched.steps();
        let alarms = record.carried.chunks(words).filter(|step| step[words - 4] != 0).count();
        assert_eq!(messages(), 1 + alarms + 1, "the model, every alarm, their number");
        all += alarms;
    }
    assert!(all > 0);

    let settings = drift::Settings { samples: 1000, store: 300, ..drift::Settings::default() };
    let course = settings.prepare(&bundled(&GYROSCOPE).expect("reads")).expect("prepares").course;
    let [mut logged, mut unlogged] = [const { Vec::new() }; 2];
    let taught = course.on_chip(&logging, &mut logged).expect("learns");
    assert!(taught.same_bits(&course.on_chip(&silent, &mut unlogged).expect("learns")));
    assert!(!logged.is_empty() && logged == unlogged);
    // What learning begins with, the model, steps 0, 256, 512 and 768, four stores, the counts.
    assert_eq!(messages(), 1 + 1 + 4 + 4 + 1);
}

/// core builds for every target, and its step, reader and writer link without a panic handler.
#[test]
fn core_has_no_panic_path_on_any_target() {
    let output = build(
        &[
            "thumbv6m-none-eabi",
            "thumbv7m-none-eabi",
            "thumbv7em-none-eabi",
            "thumbv7em-none-eabihf",
            "thumbv8m.main-none-eabihf",
        ],
        "link-probe",
        "probe",
        &[],
    );
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_link_probe_can_fail() {
    let features = ["--features", "deliberate-panic"];
    let output = build(&["thumbv7m-none-eabi"], "link-probe", "probe", &features);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("tinyfold_core_must_not_panic"), "{text}");
}
