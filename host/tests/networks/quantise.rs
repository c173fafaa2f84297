//! Rounded networks in the chip's own integers: errors over many seeds, every form and activation, ranges, refusals.

use std::path::Path;
use std::process::{Command, Output};

use rayon::prelude::*;
use tinyfold::design::compress::to_rank;
use tinyfold::design::exact::{Spec, exact, paired};
use tinyfold::design::quantise::{Comparison, Method, Options, Quantised, compare, quantise, ranges};
use tinyfold::design::random_frozen;
use tinyfold::format::fixed::{self, Layers};
use tinyfold::network::{Activation, Form, Network, Recurrence};
use tinyfold::task::Integration;
use tinyfold::task::recording::{GYROSCOPE, bundled};
use tinyfold::train::{Control, Settings, train};
use tinyfold_core::Number;
use tinyfold_core::fixed::Rates;

const STEPS: usize = 10_000;
const BOTH: [(Number, f64); 2] = [(Number::I16, 1e-4), (Number::I8, 1e-2)];

fn spec(channels: usize, neurons: usize, seed: u64) -> Spec {
    let decay = |c: usize| 0.99 + 0.005 * c as f64 / (channels - 1).max(1) as f64;
    let task = Integration { decays: (0..channels).map(decay).collect(), scales: vec![1.0; channels] };
    Spec { neurons, task, activation: Activation::Relu, seed, encoder: None, decoder: None }
}

/// The gyroscope in network units, row-major.
fn recording(channels: usize) -> Vec<f64> {
    bundled(&GYROSCOPE[..channels]).expect("the bundled file is good").joined(STEPS)
}

/// Rounds and compares on Gaussian inputs and on these.
fn rounded(network: &Network, number: Number, rates: Rates, inputs: &[f64]) -> (Quantised, Comparison) {
    let options = Options { number, rates, inputs: inputs.to_vec() };
    let quantised = quantise(network, &options).expect("can be rounded");
    let errors = compare(network, &quantised.network, inputs).expect("fits a model");
    (quantised, errors)
}

/// Rounds designs of 100 seeds to both sizes; prints and bounds the worst.
fn a_hundred_seeds(name: &str, design: impl Fn(u64) -> Network + Sync, inputs: &[f64]) {
    let results: Vec<[(f64, Comparison); 2]> = (0..100)
        .into_par_iter()
        .map(|seed| {
            let network = design(seed);
            BOTH.map(|(number, _)| {
                let (quantised, errors) = rounded(&network, number, Rates::I16, inputs);
                let drift = quantised.drift.expect("an integrator");
                assert!(quantised.stable, "{name}, {number:?}, seed {seed}: {drift:?}");
                assert!(quantised.ranges.room >= 1.0, "{name}, {number:?}, seed {seed}");
                assert_eq!(quantised.method, Method::Integrator, "{name}");
                (drift.quantised, errors)
            })
        })
        .collect();
    for (place, (number, bound)) in BOTH.into_iter().enumerate() {
        let worst = |pick: &dyn Fn(&(f64, Comparison)) -> f64| {
            results.iter().map(|both| pick(&both[place])).fold(0.0, f64::max)
        };
        let (gaussian, inputs) = (worst(&|r| r.1.quantised.gaussian), worst(&|r| r.1.quantised.inputs));
        println!(
            "{name}, {number:?}, worst of 100 seeds: Gaussian {gaussian:.1e}, recording {inputs:.1e}, drift {:.1e}; naive rounding {:.1e}, {:.1e}",
            worst(&|r| r.0),
            worst(&|r| r.1.naive.gaussian),
            worst(&|r| r.1.naive.inputs),
        );
        assert!(gaussian <= bound && inputs <= bound, "{name}, {number:?}");
        assert!(worst(&|r| r.1.naive.gaussian) > 100.0 * gaussian, "naive rounding does as well");
    }
}

#[test]
fn exact_integrators_stay_integrators() {
    for channels in [2, 3] {
        let design = |seed| exact(&spec(channels, 64, seed)).expect("enough neurons").network;
        a_hundred_seeds(&format!("frozen, D = {channels}"), design, &recording(channels));
    }
}

#[test]
fn pairs_stay_integrators_with_a_quarter_of_the_neurons() {
    for channels in [2, 3] {
        let design = |seed| paired(&spec(channels, 16, seed)).expect("enough neurons").network;
        a_hundred_seeds(&format!("pairs, n = 16, D = {channels}"), design, &recording(channels));
    }
}

#[test]
fn a_trained_network_loses_little() {
    let settings = Settings { steps: 4000, ..Settings::default() };
    let trained = train(&settings, None, &mut |_| Control::Continue).expect("trains").network;
    let x = recording(3);
    let low = to_rank(&trained, 3, &x).expect("compresses").network;
    for (name, network, number, factor) in [
        ("rank 3", &low, Number::I16, 1.2),
        ("rank 3", &low, Number::I8, 2.0),
        ("dense", &trained, Number::I16, 1.2),
        ("dense", &trained, Number::I8, 15.0),
    ] {
        let (quantised, errors) = rounded(network, number, Rates::I16, &x);
        println!(
            "{name} {number:?}: {:.1e} -> {:.1e}, naive {:.1e}, drift {:?}",
            errors.original.worst(),
            errors.quantised.worst(),
            errors.naive.worst(),
            quantised.drift
        );
        assert!(quantised.stable && quantised.ranges.room >= 1.0, "{name} {number:?}");
        assert!(errors.quantised.worst() < factor * errors.original.worst(), "{name} {number:?}");
        assert!(number == Number::I16 || errors.quantised.worst() < 0.5 * errors.naive.worst());
    }
}

/// A network with three inputs, three outputs, biases and a W of rank 2.
fn any(activation: Activation<f64>, form: Form, alpha: f64, low_rank: bool) -> Network {
    let (u, read) = random_frozen(48, 2, 4);
    let (input, readout) = random_frozen(48, 3, 6);
    let v = faer::Scale(1.2) * read.transpose();
    let recurrence =
        if low_rank { Recurrence::LowRank { u, v } } else { Recurrence::Dense(u * v.transpose()) };
    let mut network = Network::plain(activation, recurrence, input, readout);
    (network.form, network.alpha) = (form, alpha);
    network.bias = (0..48).map(|i| 0.02 * f64::from(i % 5)).collect();
    network.output_bias = vec![0.1, -0.2, 0.3];
    network.initial = network.rest();
    network
}

#[test]
fn every_form_and_activation_can_be_rounded() {
    let activations = [
        Activation::Linear,
        Activation::Relu,
        Activation::Clipped { lo: -0.2, hi: 1.5 },
        Activation::Tanh,
        Activation::Sigmoid { slope: 2.0, threshold: 0.3 },
    ];
    let forms = [(Form::Rate, 1.0), (Form::Rate, 0.3), (Form::Current, 1.0), (Form::Current, 0.2)];
    let sizes =
        [(Number::I16, Rates::I16, 3e-4), (Number::I8, Rates::I16, 1e-2), (Number::I8, Rates::I8, 4e-2)];
    let cases: Vec<_> = activations
        .into_iter()
        .flat_map(|activation| forms.map(|form| (activation, form)))
        .flat_map(|case| [true, false].map(|low_rank| (case, low_rank)))
        .flat_map(|case| sizes.map(|size| (case, size)))
        .filter(|((_, low_rank), (_, rates, _))| !(*low_rank && *rates == Rates::I8))
        .collect();
    assert_eq!(cases.len(), 5 * 4 * (2 + 3));
    cases.into_par_iter().for_each(|(((activation, (form, alpha)), low_rank), (number, rates, bound))| {
        let name =
            format!("{activation:?} {form:?} alpha {alpha} low rank {low_rank} {number:?} rates {rates:?}");
        let (quantised, errors) = rounded(&any(activation, form, alpha, low_rank), number, rates, &[]);
        let error = errors.quantised.worst();
        assert!(error < bound, "{name}: {error:.1e}, naive {:.1e}", errors.naive.worst());
        assert!(quantised.stable && quantised.ranges.room >= 1.0, "{name}: {:?}", quantised.ranges);
        assert_eq!(quantised.method, Method::Activity, "{name}");
    });
}

/// Inputs a thousand times too large saturate; the integral then decays as if nothing had been.
#[test]
fn a_network_that_saturated_recovers() {
    let network = exact(&spec(2, 64, 5)).expect("enough neurons").network;
    let (quantised, _) = rounded(&network, Number::I8, Rates::I16, &[]);
    let bytes = quantised.network.export().expect("fits");
    let largest = quantised.ranges.carried[0].max(quantised.ranges.carried[1]);
    let x: Vec<f32> = (0..4000).flat_map(|t| if t < 100 { [1e6, -1e6] } else { [0.0, 0.0] }).collect();
    let trace = fixed::run(&bytes, &quantised.network.raw(&x), "test").expect("runs");
    let units = quantised.network.output_units.iter().cycle();
    let y: Vec<f64> =
        trace.outputs.iter().zip(units).map(|(&y, &unit)| f64::from(y) * f64::from(unit)).collect();
    assert!(y.iter().all(|y| y.abs() <= 1.001 * largest), "wrapped");
    // It loses a 1 - gamma of itself a step: 0.99^3900 of what it was at most, and the grid.
    assert!(y[200].abs() > 0.2 * largest && y[7998].abs() < 1e-4 * largest, "{} {}", y[200], y[7998]);
}

#[test]
fn integers_that_can_wrap_are_told_from_those_that_cannot() {
    let network = exact(&spec(2, 64, 5)).expect("enough neurons").network;
    let (quantised, _) = rounded(&network, Number::I16, Rates::I16, &[]);
    let mut broken = quantised.network.clone();
    broken.scale.iter_mut().for_each(|r| *r = r.saturating_mul(4));
    assert!(ranges(&quantised.network).room >= 1.0 && ranges(&broken).room < 1.0);
    let mut broken = quantised.network;
    if let Layers::LowRank { u, .. } = &mut broken.layers {
        for weight in u {
            *weight = weight.saturating_mul(4);
        }
    }
    assert!(ranges(&broken).room < 1.0);
}

fn tinyfold(folder: &Path, args: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tinyfold"));
    command.args(args.split_whitespace()).current_dir(folder).output().expect("runs")
}

/// Runs; exit code, standard output and error.
fn says(folder: &Path, args: &str) -> (i32, String, String) {
    let output = tinyfold(folder, args);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    (output.status.code().expect("ended by itself"), text(&output.stdout), text(&output.stderr))
}

#[test]
fn an_unstable_network_is_written_only_if_forced() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = |args: &str| says(folder.path(), args);
    assert_eq!(run("design --neurons 32 --decays 0.9999,0.9999 --dense --out slow.safetensors").0, 0);
    let (code, printed, message) = run("compress slow.safetensors --weights i8");
    assert!(printed.contains("NOT stable"), "{printed}");
    assert_eq!(
        message,
        "tinyfold: rounded network: expected integrals that decay in every direction, found some that grow; \
         slow.i8.tfld was not written (more bits, another rank or seed may help; --force writes it all the same)"
    );
    assert_eq!(code, 1);
    assert!(!folder.path().join("slow.i8.tfld").exists());
    assert_eq!(run("compress slow.safetensors --weights i8 --force").0, 0);
    assert!(folder.path().join("slow.i8.tfld").exists());
    assert_eq!(run("compress slow.safetensors --rank 2 --weights i8").0, 0, "rank 2 helps");
    let (code, printed, _) = run("verify slow.rank2.i8.tfld --steps 300 --json");
    assert_eq!(code, 0, "{printed}");
    assert!(printed.contains("\"bit_equal\": true"), "{printed}");
}

#[test]
fn what_cannot_be_rounded_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = |args: &str| says(folder.path(), args);
    assert_eq!(run("design --neurons 32 --decays 0.99,0.995 --out low.safetensors").0, 0);
    assert_eq!(run("design --neurons 32 --decays 0.99,0.995 --dense --out dense.safetensors").0, 0);
    for (args, message) in [
        (
            "compress low.safetensors --weights i8 --rates i8",
            "rates i8: expected a dense network and weights i8, found a network of low rank, which has none",
        ),
        (
            "compress dense.safetensors --weights i16 --rates i8",
            "rates i8: expected a dense network and weights i8, found weights i16",
        ),
        (
            "compress low.safetensors --weights i16 --out low.npz",
            "--out: expected a file name ending in .tfld, found low.npz",
        ),
        (
            "design --neurons 15 --decays 0.99,0.995 --pairs",
            "n: expected an even number of at least 4 neurons for pairs, found 15",
        ),
    ] {
        let (code, _, text) = run(args);
        assert_eq!(text, format!("tinyfold: {message}"), "{args}");
        assert_eq!(code, 2, "{args}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 2, "something was left behind");
}
