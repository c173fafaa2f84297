//! Exact designs: relative RMSE over 10 000 steps, in f64 and in core's f32.

use faer::Mat;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use tinyfold::design::dale::dale;
use tinyfold::design::exact::{Spec, exact};
use tinyfold::design::random_frozen;
use tinyfold::network::{Activation, Recurrence};
use tinyfold::task::{Integration, relative_rmse};
use tinyfold::verify::{Case, Core};
use tinyfold::{Error, Network, simulate};

const STEPS: usize = 10_000;

fn spec(neurons: usize, channels: usize, activation: Activation<f64>, seed: u64) -> Spec {
    let decay = |c: usize| 0.99 + 0.005 * c as f64 / (channels - 1).max(1) as f64;
    let decays = if channels == 1 { vec![0.995] } else { (0..channels).map(decay).collect() };
    let task = Integration { decays, scales: vec![1.0; channels] };
    Spec { neurons, task, activation, seed, encoder: None, decoder: None }
}

fn gaussian(count: usize, seed: u64) -> Vec<f64> {
    // Rounded to f32, so that f64 and f32 integrate the same numbers.
    StandardNormal
        .sample_iter(ChaCha8Rng::seed_from_u64(seed))
        .take(count)
        .map(|x: f64| f64::from(x as f32))
        .collect()
}

/// Relative RMSE in f64 and in core f32.
fn errors(network: &Network, x: &[f64]) -> (f64, f64) {
    let task = network.integration().expect("a design knows its task");
    let target = task.targets(x);
    let wide = simulate::run(network, x, false).outputs;
    let samples = x.iter().map(|&x| x as f32).collect();
    let case = Case::of_network("design", network.clone(), samples).expect("exports");
    let (narrow, _) = Core::values(&case).expect("runs");
    let rmse = |y: &[f64]| relative_rmse(y, &target, task.channels());
    (rmse(&wide), rmse(&narrow))
}

/// Columns of the bundled recording joined end to end, whole-file mean removed, unit variance, repeated.
fn recording(columns: &[&str]) -> Vec<f64> {
    let mut reader = csv::Reader::from_reader(include_str!("../../data/basic_motions.csv").as_bytes());
    let header = reader.headers().expect("a header").clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.expect("a row")).collect();
    let signals: Vec<Vec<f64>> = columns
        .iter()
        .map(|name| {
            let column = header.iter().position(|found| found == *name).expect("a column");
            let raw: Vec<f64> = rows.iter().map(|row| row[column].parse().expect("a number")).collect();
            let mean = raw.iter().sum::<f64>() / raw.len() as f64;
            let deviation = (raw.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / raw.len() as f64).sqrt();
            raw.iter().map(|x| f64::from(((x - mean) / deviation) as f32)).collect()
        })
        .collect();
    (0..STEPS).flat_map(|t| signals.iter().map(move |signal| signal[t % signal.len()])).collect()
}

/// The worst of 20 seeds: f64, core f32 in low-rank form; of 4 seeds: core f32 in dense form.
fn worst(neurons: usize, channels: usize, input: impl Fn(u64) -> Vec<f64> + Sync) -> [f64; 3] {
    (0..20_u64)
        .into_par_iter()
        .map(|seed| {
            let design = exact(&spec(neurons, channels, Activation::Relu, seed)).expect("enough neurons");
            let x = input(seed);
            let (wide, narrow) = errors(&design.network, &x);
            // The dense form costs n / 2 R times as much.
            let dense = if seed < 4 { errors(&design.dense(), &x).1 } else { 0.0 };
            [wide, narrow, dense]
        })
        .reduce(|| [0.0; 3], |a, b| std::array::from_fn(|k| a[k].max(b[k])))
}

fn assert_exact(what: &str, neurons: usize, channels: usize, [wide, narrow, dense]: [f64; 3]) {
    let name = format!("{what}, n = {neurons}, D = {channels}");
    println!("{name}: worst of 20 seeds f64 {wide:.1e}, core f32 {narrow:.1e} (dense form {dense:.1e})");
    assert!(wide <= 1e-10, "{name}: f64 {wide:e}");
    assert!(narrow <= 1e-4, "{name}: core f32 {narrow:e}");
    assert!(dense <= 1e-4, "{name}: core f32, dense {dense:e}");
}

#[test]
fn relu_designs_integrate_gaussian_inputs() {
    for (neurons, channels) in [(64, 1), (64, 2), (64, 3), (128, 5)] {
        let errors = worst(neurons, channels, |seed| gaussian(STEPS * channels, 1000 + seed));
        assert_exact("Gaussian", neurons, channels, errors);
    }
}

#[test]
fn relu_designs_integrate_the_recording() {
    let axes = ["gyro_x", "gyro_y", "gyro_z", "accel_x", "accel_y"];
    for (neurons, channels) in [(64, 1), (64, 2), (64, 3), (128, 5)] {
        let x = recording(&axes[..channels]);
        assert_exact("recording", neurons, channels, worst(neurons, channels, |_| x.clone()));
    }
}

/// Columns of one sign, in f64 and f32; exact for 10 000 steps; nothing along the structural mode, and what is put there is
/// forgotten after a step, wherever the state is; one mode more, along the all-ones direction.
#[test]
fn designs_under_dales_law_are_exact() {
    for (neurons, channels, inhibitory) in
        [(48, 1, 12), (96, 2, 24), (128, 2, 64), (256, 2, 64), (256, 5, 64), (256, 5, 192)]
    {
        let spec = spec(neurons, channels, Activation::Relu, 3);
        let signs: Vec<f64> =
            (0..neurons).map(|j| if j * inhibitory % neurons < inhibitory { -1.0 } else { 1.0 }).collect();
        let design = dale(&spec, &signs).expect("enough neurons");
        let name = format!("n = {neurons}, {inhibitory} inhibitory, D = {channels}");
        let w = design.network.weights();
        for j in 0..neurons {
            assert!(
                (0..neurons).all(|i| signs[j] * w[(i, j)] > 0.0 && signs[j] * w[(i, j)] as f32 as f64 > 0.0)
            );
        }
        let (wide, narrow) = errors(&design.network, &gaussian(STEPS * channels, 5));
        let (_, dense) = errors(&design.dense(), &gaussian(STEPS * channels, 5));
        println!("Dale, {name}: f64 {wide:.1e}, core f32 {narrow:.1e} (dense form {dense:.1e})");
        assert!(design.residual < 1e-12 && wide <= 1e-12 && narrow <= 1e-4 && dense <= 2e-4, "{name}");
        let Recurrence::LowRank { u, v } = &design.network.recurrence else { panic!("low rank") };
        assert_eq!(u.ncols(), channels + 1, "{name}");
        for seed in 0..50 {
            let zeta = gaussian(channels, seed);
            let at = |more: f64| {
                let p = |i: usize| (0..channels).map(|r| u[(i, r)] * zeta[r]).sum::<f64>() + more;
                (0..neurons).map(|i| v[(i, channels)] * p(i).max(0.0)).sum::<f64>()
            };
            // So little that no neuron passes its kink.
            let little = 1e-7 * u.norm_max();
            assert!(
                at(0.0).abs() < 1e-12 && at(little).abs() < 1e-6 * little + 1e-12,
                "{name}: {:e}",
                at(little)
            );
        }
        let values = w.svd().expect("converges");
        let ones = (0..neurons).map(|i| values.U()[(i, 0)]).sum::<f64>().abs() / (neurons as f64).sqrt();
        assert!(ones > 0.9 && values.S()[channels + 1] < 1e-12 * values.S()[0], "{name}: {ones}");
    }
}

#[test]
fn what_has_no_design_under_dales_law_is_told() {
    let relu = spec(48, 1, Activation::Relu, 0);
    let half: Vec<f64> = (0..48).map(|j| if j % 2 == 0 { 1.0 } else { -1.0 }).collect();
    let refused = |spec: &Spec, signs: &[f64]| dale(spec, signs).expect_err("refused").to_string();
    assert!(refused(&spec(48, 1, Activation::Linear, 0), &half).contains("relu"));
    assert!(refused(&relu, &half[..47]).contains("48, one a neuron"));
    assert!(refused(&relu, &[0.5; 48]).contains("+1 or -1"));
    for one_sign in [[1.0; 48], [-1.0; 48]] {
        assert!(refused(&relu, &one_sign).contains("more of the rarer sign"));
    }
    assert!(
        refused(&spec(8, 2, Activation::Relu, 0), &half[..8]).contains("n = 8, 4 of them inhibitory, D = 2")
    );
}

#[test]
fn linear_designs_are_exact() {
    for (neurons, channels) in [(2, 1), (16, 3), (64, 10)] {
        let mut spec = spec(neurons, channels, Activation::Linear, 3);
        for (c, scale) in spec.task.scales.iter_mut().enumerate() {
            *scale = if c % 2 == 0 { 2.5 } else { -0.3 };
        }
        let design = exact(&spec).expect("enough neurons");
        let (wide, narrow) = errors(&design.network, &gaussian(STEPS * channels, 5));
        assert!(design.residual < 1e-12 && wide <= 1e-10 && narrow <= 1e-4, "{neurons}: {wide:e} {narrow:e}");
    }
}

#[test]
fn the_conditions_hold_for_every_latent() {
    let spec = spec(64, 3, Activation::Relu, 4);
    let design = exact(&spec).expect("enough neurons");
    let Recurrence::LowRank { u, v } = &design.network.recurrence else { panic!("low rank") };
    let e = design.network.encoder.as_ref().expect("frozen encoders");
    assert!((v.transpose() * e - Mat::<f64>::identity(3, 3)).norm_max() < 1e-12);
    assert!((&design.network.weights() * e - &design.network.input).norm_max() < 1e-12);
    for seed in 0..50 {
        let zeta = gaussian(3, seed);
        let phi = Mat::from_fn(64, 1, |i, _| (0..3).map(|r| u[(i, r)] * zeta[r]).sum::<f64>().max(0.0));
        let (z, y) = (v.transpose() * &phi, &design.network.readout * &phi);
        for c in 0..3 {
            let wanted = spec.task.decays[c] * zeta[c];
            assert!((z[(c, 0)] - wanted).abs() < 1e-12, "z: {} {wanted}", z[(c, 0)]);
            assert!((y[(c, 0)] - spec.task.scales[c] * wanted).abs() < 1e-12, "y: {} {wanted}", y[(c, 0)]);
        }
    }
}

#[test]
fn given_matrices_are_kept_and_any_scale_and_decay_is_met() {
    let (e, c) = random_frozen(48, 2, 77);
    let task = Integration { decays: vec![0.2, 0.999], scales: vec![-3.0, 0.01] };
    let spec = Spec {
        neurons: 48,
        task,
        activation: Activation::Relu,
        seed: 1,
        encoder: Some(e.clone()),
        decoder: Some(c.clone()),
    };
    let design = exact(&spec).expect("enough neurons");
    assert_eq!(design.network.encoder, Some(e));
    assert_eq!(design.network.readout, c);
    let (wide, _) = errors(&design.network, &gaussian(2 * STEPS, 9));
    assert!(wide <= 1e-10, "{wide:e}");
}

#[test]
fn the_least_n_of_the_error_works_and_none_below_it() {
    for (channels, activation) in
        [(1, Activation::Relu), (2, Activation::Relu), (3, Activation::Relu), (4, Activation::Linear)]
    {
        for seed in 0..5 {
            let Err(Error::TooFewNeurons { n: 2, least, .. }) = exact(&spec(2, channels, activation, seed))
            else {
                panic!("two neurons cannot be enough")
            };
            let design = exact(&spec(least, channels, activation, seed)).expect("the least n works");
            let (wide, _) = errors(&design.network, &gaussian(STEPS * channels, seed));
            println!("D = {channels}, seed {seed}: least n = {least}, relative RMSE {wide:.1e}");
            assert!(wide <= 1e-9, "least n = {least}: {wide:e}");
            let below = exact(&spec(least - 1, channels, activation, seed));
            assert!(matches!(below, Err(Error::TooFewNeurons { least: again, .. }) if again == least));
        }
    }
}

#[test]
fn bad_specifications_are_refused_by_name() {
    let message = |change: &dyn Fn(&mut Spec)| {
        let mut spec = spec(32, 2, Activation::Relu, 0);
        change(&mut spec);
        let error = exact(&spec).expect_err("must be refused");
        assert_eq!(error.exit_code(), if matches!(error, Error::Numeric { .. }) { 1 } else { 2 });
        error.to_string()
    };
    let decay = message(&|spec| spec.task.decays[1] = 1.0);
    assert_eq!(decay, "decay of channel 1: expected a number between 0 and 1, both excluded, found 1");
    assert!(message(&|spec| spec.task.decays[0] = f64::NAN).contains("decay of channel 0"));
    assert!(message(&|spec| spec.task.scales[1] = 0.0).starts_with("scale of channel 1"));
    assert!(message(&|spec| spec.task.scales[1] = f64::INFINITY).ends_with("found inf"));
    assert!(message(&|spec| spec.task.scales = vec![1.0]).starts_with("scales: expected 2"));
    assert!(message(&|spec| spec.task.decays.clear()).starts_with("decays"));
    assert!(message(&|spec| spec.activation = Activation::Tanh).contains("found tanh"));
    let wrong_shape = message(&|spec| spec.encoder = Some(Mat::zeros(31, 2)));
    assert_eq!(wrong_shape, "encoders E: expected 32 × 2, found 31 × 2");
    assert!(message(&|spec| spec.decoder = Some(Mat::zeros(2, 33))).starts_with("decoders C"));
    // Positive decoders have no 0 in their hull: more neurons would not help.
    assert!(message(&|spec| spec.decoder = Some(Mat::full(2, 32, 1.0))).contains("hull"));
}
