//! Networks that the authors' own code trained: read, run and analysed as they are.

use std::path::PathBuf;

use faer::Mat;
use tinyfold::format::arrays::ArrayFile;
use tinyfold::format::network::load;
use tinyfold::manifold::analyse;
use tinyfold::network::{Activation, Network};
use tinyfold::simulate;
use tinyfold::task::relative_rmse;

const NAMES: [&str; 10] = [
    "paper_a_linear_D1_T3_sgd_n256",
    "paper_b_relu_D2_T10_adam_slow_n256_seed1",
    "paper_c2_relu_D2_T3_sgd_slow_n256",
    "paper_c_relu_D2_T3_sgd_fast_n256",
    "paper_d2_dale_D2_T3_sgd_fast_n256",
    DIVERGES,
    "paper_e_relu_D2_avg_adam_fast_n256",
    "paper_f_relu_D5_avg_adam_n256",
    "paper_g_sigmoid_D1_avg_train_d_n256",
    "paper_s_relu_D2_T5_sgd_support_same_n256",
];
/// Trained over 10 steps to a low loss, it leaves in 200.
const DIVERGES: &str = "paper_d_dale_D2_T10_adam_fast_n256";
const STEPS: usize = 200;

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(format!("{name}.safetensors"))
}

fn read(name: &str) -> (Network, ArrayFile) {
    let io = ArrayFile::open(&file(&format!("{name}_io"))).expect("committed");
    (load(&file(name)).expect("a network"), io)
}

fn array(io: &ArrayFile, name: &str) -> Vec<f64> {
    io.array(name).expect("committed").values
}

#[test]
fn outputs_are_those_of_the_stored_runs_in_f64() {
    for name in NAMES {
        let (network, io) = read(name);
        let channels = network.input.ncols();
        let x = &array(&io, "inputs")[..STEPS * channels];
        let y = simulate::run(&network, x, false).outputs;
        let error = relative_rmse(&y, &array(&io, "outputs_f64"), channels);
        println!("{name}: {error:.1e}");
        // Both are f64; sums of 256 products in another order differ by some 1e-15 a step.
        assert!(error < 1e-12, "{name}: {error:.1e}");
        let task = network.integration().expect("from the settings");
        let off = relative_rmse(&y, &task.targets(x), channels);
        println!("{name}: {off:.1e} from the targets");
        assert_eq!(off < 0.1, name != DIVERGES, "{name} integrates");
    }
}

/// One step from every stored pre-activation to the next: a sum of n products in f32, in whatever order, is within
/// n 2^-24 sum |w| |h| of the exact one, and h + E x has three roundings more.
#[test]
fn pre_activations_follow_each_other_within_rounding_of_f32() {
    for name in NAMES {
        let (network, io) = read(name);
        let (n, channels) = (network.neurons(), network.input.ncols());
        let (x, currents) = (array(&io, "inputs"), array(&io, "currents"));
        let (w, encoder) = (network.weights(), network.encoder.as_ref().expect("B = W E"));
        let mut largest: f64 = 0.0;
        for t in 0..19 {
            let p = |i: usize| currents[t * n + i] + network.bias[i];
            let h: Vec<f64> = (0..n).map(|i| simulate::activate(network.activation, p(i))).collect();
            // A sigmoid of slope s multiplies the rounding of p by s / 4, and its own arithmetic rounds a few times.
            let rounding = match network.activation {
                Activation::Sigmoid { slope, .. } => 4.0 + slope / 4.0,
                _ => 0.0,
            };
            let x = &x[(t + 1) * channels..][..channels];
            let from =
                Mat::from_fn(n, 1, |j, _| h[j] + (0..channels).map(|c| encoder[(j, c)] * x[c]).sum::<f64>());
            let sizes = Mat::from_fn(n, 1, |j, _| {
                h[j].abs() + (0..channels).map(|c| (encoder[(j, c)] * x[c]).abs()).sum::<f64>()
            });
            let next = &w * &from;
            for i in 0..n {
                let reach: f64 = (0..n).map(|j| w[(i, j)].abs() * sizes[(j, 0)]).sum();
                let unit: f64 = (0..n).map(|j| w[(i, j)].abs()).sum();
                let bound = (-24.0_f64).exp2() * ((n + 3) as f64 * reach + rounding * unit);
                let error = (next[(i, 0)] - currents[(t + 1) * n + i]).abs();
                largest = largest.max(error / bound);
                assert!(error <= bound, "{name}, step {t}, neuron {i}: {error:.1e}, bound {bound:.1e}");
            }
        }
        println!("{name}: {largest:.2} of the bound");
        assert!(largest > 1e-3, "{name}: the bound says something");
    }
}

/// Singular values to f32; distances of other sequences of the same kind, hence within 15 %.
#[test]
fn the_analysis_finds_the_numbers_of_the_stored_one() {
    for name in NAMES {
        let (network, io) = read(name);
        let channels = network.input.ncols();
        let (values, distances) = (array(&io, "singular_values"), array(&io, "distances"));
        let inputs = array(&io, "inputs");
        let analysis = analyse(&network, &inputs[..STEPS * channels], STEPS).expect("analyses");
        for (found, expected) in analysis.singular_values.iter().zip(&values) {
            assert!((found - expected).abs() < 1e-5 * values[0], "{name}: {found} and {expected}");
        }
        // Eight runs from rest.
        let mut sums = [[0.0; 2]; 2];
        for x in inputs.chunks_exact(STEPS * channels) {
            let analysis = analyse(&network, x, STEPS).expect("analyses");
            let p = simulate::run(&network, x, true).pre_activations;
            let power: f64 = p.iter().zip(network.bias.iter().cycle()).map(|(p, b)| (p - b).powi(2)).sum();
            let more = analysis.distance_one_more.expect("a dense network");
            for (sum, distance) in sums.iter_mut().zip([analysis.distance, more]) {
                sum[0] += distance * distance * power;
                sum[1] += power;
            }
        }
        for (k, sum) in sums.iter().enumerate() {
            let found = (sum[0] / sum[1]).sqrt();
            println!("{name}: distance to D + {k} dimensions {found:.4}, stored {:.4}", distances[k]);
            // The stored one is of pre-activations in f32, whose rounding alone is as far as that from any space.
            let rounding = 16.0 * f64::from(f32::EPSILON) / 2.0;
            let bound = 0.15 * distances[k] + rounding;
            assert!((found - distances[k]).abs() < bound, "{name}: {found} and {}", distances[k]);
        }
    }
}

#[test]
fn files_without_settings_are_refused_with_what_is_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("plain.safetensors");
    let io = ArrayFile::open(&file(NAMES[3])).expect("committed");
    let arrays: std::collections::BTreeMap<&str, _> =
        ["W", "encoders", "decoders"].map(|name| (name, io.array(name).expect("there"))).into();
    tinyfold::format::arrays::write(&path, &arrays, "note", "nothing").expect("written");
    let message = load(&path).expect_err("refused").to_string();
    let expected =
        "config: expected config of the paper's code: act, sat, decays, scales, found none in its metadata";
    assert!(message.contains(expected), "{message}");
    std::fs::write(
        path.with_extension("json"),
        r#"{"config": {"act": "step", "sat": [0, 1], "decays": [0.9, 0.8], "scales": [1, 1]}}"#,
    )
    .expect("written");
    let message = load(&path).expect_err("refused").to_string();
    assert!(
        message.ends_with("expected act clamp with two bounds, or sigmoid, found step [0.0, 1.0]"),
        "{message}"
    );
}
