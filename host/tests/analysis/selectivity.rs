//! Modes, alignments, coordinates, selectivity, dimension and growth: known answers, and the numbers of networks that
//! the code of the paper trained.

use std::path::PathBuf;

use faer::Mat;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use tinyfold::design::exact::{Spec, exact};
use tinyfold::design::random_frozen;
use tinyfold::format::arrays::ArrayFile;
use tinyfold::format::network::load;
use tinyfold::manifold::dimension::{NEIGHBOURS, NOISE, local};
use tinyfold::manifold::growth::{BySize, exponential, power_law, with_neurons};
use tinyfold::manifold::selectivity::{of_rates, tuning};
use tinyfold::manifold::{Analysis, Window, analyse, growth, modes};
use tinyfold::network::{Activation, Recurrence};
use tinyfold::task::{Integration, synthetic};

/// Numbers of the stored analysis of a network: `metrics` of its JSON in the same set of references.
struct Reference {
    name: &'static str,
    modes: usize,
    median: f64,
    coordinate_fit: f64,
    pca_residual: [f64; 2],
    /// |u_k · 1 / sqrt(n)| and d_c · u_k up to the signs of u_k.
    ones: &'static [f64],
    decoders: &'static [&'static [f64]],
}

const REFERENCES: [Reference; 3] = [
    Reference {
        name: "paper_c_relu_D2_T3_sgd_fast_n256",
        modes: 2,
        median: 3.609_976e-6,
        coordinate_fit: 0.003_708_477,
        pca_residual: [0.020_935_796, 0.007_501_807],
        ones: &[],
        decoders: &[],
    },
    Reference {
        name: "paper_d2_dale_D2_T3_sgd_fast_n256",
        modes: 3,
        median: 0.003_177_172,
        coordinate_fit: 0.014_331_740,
        pca_residual: [0.097_923_219, 0.038_330_499],
        ones: &[0.873_517_3, 0.110_578_7, 0.018_870_9],
        decoders: &[&[0.060_211_9, 0.910_009_9, -0.157_425_2], &[0.098_379_2, 0.141_263_3, 0.832_015_9]],
    },
    Reference {
        name: "paper_g_sigmoid_D1_avg_train_d_n256",
        modes: 1,
        median: 8.140_104e-8,
        coordinate_fit: 0.038_141_430,
        pca_residual: [0.006_448_326, 0.003_522_655],
        ones: &[],
        decoders: &[],
    },
];

const STEPS: usize = 200;

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(format!("{name}.safetensors"))
}

fn gaussian(rows: usize, columns: usize, seed: u64) -> Mat<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Mat::from_fn(rows, columns, |_, _| StandardNormal.sample(&mut rng))
}

#[test]
fn modes_are_told_from_the_bulk_as_the_paper_counts_them() {
    for reference in &REFERENCES {
        let network = load(&file(reference.name)).expect("a network");
        let x = synthetic::gaussian(STEPS, network.input.ncols(), 5);
        let analysis = analyse(&network, &x, STEPS).expect("analyses");
        let (found, values) = (analysis.modes, &analysis.singular_values);
        println!("{}: {found:?}", reference.name);
        assert_eq!(found.count, reference.modes, "{}", reference.name);
        assert_eq!(found.bulk, values[reference.modes]);
        // The stored median is the lower of the two middle ones of all 256 values, in f32 by another decomposition: it
        // has rounding of sigma_1 2^-24 sqrt(n) = 1e-6 sigma_1 at most.
        let median = values[128];
        assert!((median - reference.median).abs() < 1e-6 * values[0] + 1e-4 * median, "{median:e}");
        assert!(found.median_of_bulk <= median && found.median_of_bulk > 0.0);
    }
    // Nothing stands out of a random matrix, and nothing at all is in an empty one.
    for seed in 0..5 {
        let values = gaussian(60, 60, seed).singular_values().expect("converges");
        assert_eq!(
            modes::of_values(&values, 60, false).count,
            0,
            "{:?}",
            modes::of_values(&values, 60, false)
        );
    }
    assert_eq!(modes::of_values(&[0.0; 4], 4, false).count, 0);
    // A second value that is small, but larger than all after it, is bulk.
    assert_eq!(modes::of_values(&[1.37, 0.1, 1e-3], 256, false).count, 1);
    // Nor are the values that the signs of Dale's law leave, of three seeds of `reproduce fanthomme2021`: dale.
    for values in [
        [3.419, 2.423, 2.25, 1.038, 0.906, 0.201, 0.194],
        [3.185, 2.411, 2.135, 0.997, 0.863, 0.175, 0.169],
        [3.117, 2.298, 2.176, 0.969, 0.86, 0.17, 0.158],
    ] {
        assert_eq!(modes::of_values(&values, 256, true).count, 3);
    }
}

/// Eight sequences joined against 128 others from rest: the relative spread of a norm over 8 · 200 steps whose
/// correlation time is some 10 steps is about 1 / sqrt(2 · 160) = 6 %; three of these.
#[test]
fn coordinates_and_principal_components_have_the_stored_residuals() {
    for reference in &REFERENCES {
        let network = load(&file(reference.name)).expect("a network");
        let io = ArrayFile::open(&file(&format!("{}_io", reference.name))).expect("committed");
        let analysis =
            analyse(&network, &io.array("inputs").expect("committed").values, 8 * STEPS).expect("analyses");
        let fit = analysis.coordinate_fit.expect("has a task");
        assert!(fit.cubic <= fit.linear && (fit.cubic.hypot(fit.nonlinear) / fit.linear - 1.0).abs() < 1e-9);
        let [one, two] = analysis.pca_residual;
        assert!(one <= analysis.distance, "the best directions leave less than those of W");
        for (what, found, expected) in [
            ("coordinate fit", fit.linear, reference.coordinate_fit),
            ("D components", one, reference.pca_residual[0]),
            ("D + 1 components", two, reference.pca_residual[1]),
        ] {
            println!("{}: {what} {found:.5}, stored {expected:.5}", reference.name);
            assert!((found / expected - 1.0).abs() < 0.18, "{}: {what}: {found} {expected}", reference.name);
        }
    }
}

#[test]
fn the_structural_mode_of_dale_is_the_all_ones_direction_and_decoders_ignore_it() {
    let reference = &REFERENCES[1];
    let network = load(&file(reference.name)).expect("a network");
    let x = synthetic::gaussian(STEPS, 2, 5);
    let alignments = analyse(&network, &x, STEPS).expect("analyses").alignments;
    assert_eq!((alignments.left_ones.len(), alignments.left_decoders[0].len()), (3, 2));
    for (found, expected) in alignments.left_ones.iter().zip(reference.ones) {
        // f32 singular vectors: 2^-24 sigma_1 / (gap of 0.2) sqrt(n) = 2e-5.
        assert!((found.abs() - expected).abs() < 2e-5, "{found} {expected}");
    }
    for k in 0..3 {
        // One sign a vector, the same for both decoders.
        let sign = (alignments.left_decoders[k][0] * reference.decoders[0][k]).signum();
        for c in 0..2 {
            let dot = sign * alignments.left_decoders[k][c] * network.readout.row(c).norm_l2();
            assert!((dot - reference.decoders[c][k]).abs() < 3e-5, "{k} {c}: {dot}");
        }
    }
    assert!(alignments.decoders_ones.iter().all(|cosine| cosine.abs() < 0.2));
}

#[test]
fn alignments_of_a_known_matrix() {
    // W = 2 a e0ᵀ + b e1ᵀ with orthonormal a = decoder 0, b = all-ones, e the encoders.
    let n = 16;
    let unit = |at: usize| Mat::from_fn(n, 1, |i, _| if i == at { 1.0 } else { 0.0 });
    let ones = Mat::from_fn(n, 1, |i, _| if i % 2 == 0 { 0.25 } else { -0.25 });
    let flat = Mat::from_fn(n, 1, |_, _| 0.25);
    let (e0, e1) = (unit(3), unit(5));
    let w = faer::Scale(-2.0) * &ones * e0.transpose() + &flat * e1.transpose();
    let encoder = Mat::from_fn(n, 2, |i, c| 3.0 * if c == 0 { e0[(i, 0)] } else { e1[(i, 0)] });
    let readout = Mat::from_fn(2, n, |c, i| if c == 0 { 7.0 * ones[(i, 0)] } else { 0.0 });
    let input = &w * &encoder;
    let mut network = tinyfold::Network::plain(Activation::Linear, Recurrence::Dense(w), input, readout);
    network.encoder = Some(encoder);
    let a = analyse(&network, &synthetic::gaussian(200, 2, 1), 200).expect("analyses").alignments;
    let close = |found: f64, expected: f64| (found - expected).abs() < 1e-12;
    assert!(close(a.left_decoders[0][0].abs(), 1.0) && close(a.right_encoders[0][0].abs(), 1.0), "{a:?}");
    assert!(close(a.left_decoders[0][0] * a.right_encoders[0][0], -1.0), "the sign of W stays: {a:?}");
    assert!(close(a.left_ones[1], 1.0) && close(a.right_encoders[1][1], 1.0), "{a:?}");
    assert!(close(a.left_encoders[1][0], 0.25) && close(a.left_encoders[0][1].abs(), 0.25), "{a:?}");
    assert!(close(a.left_decoders[1][1], 0.0) && close(a.encoders_decoders[0][0], -0.25), "{a:?}");
    assert!(close(a.decoders_ones[0], 0.0) && close(a.right_decoders[1][0], -0.25), "{a:?}");
}

#[test]
fn selectivity_vectors_are_the_slopes_of_a_linear_network() {
    // Four standard deviations of a slope at 4000 steps would be 0.06; here the fit is exact.
    let task = Integration { decays: vec![0.9, 0.8, 0.5], scales: vec![1.0; 3] };
    let u = task.integrals(&synthetic::gaussian(4000, 3, 11));
    let slopes = [[2.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.5, -0.5, 0.5], [0.0, 0.0, 0.0], [1e-3, 1e-3, 0.0]];
    let deviation = |c: usize| {
        let column: Vec<f64> = u.iter().skip(c).step_by(3).copied().collect();
        let mean = column.iter().sum::<f64>() / 4000.0;
        (column.iter().map(|u| (u - mean).powi(2)).sum::<f64>() / 4000.0).sqrt()
    };
    let rates = Mat::from_fn(5, 4000, |i, t| {
        5.0 + (0..3).map(|c| slopes[i][c] * u[3 * t + c] / deviation(c)).sum::<f64>()
    });
    let found = of_rates(&rates, &u, 3).expect("enough steps");
    for (vector, slopes) in found.vectors.iter().zip(slopes) {
        for (w, slope) in vector.iter().zip(slopes) {
            assert!((w - slope).abs() < 1e-11, "{w} {slope}");
        }
    }
    for (index, expected) in found.index.iter().zip([1.0, 2.0, 3.0, 0.0, 0.0]) {
        assert!((index - expected).abs() < 1e-9, "{:?}", found.index);
    }
    assert!((found.selective - 0.6).abs() < 1e-15 && (found.mixed - 2.0 / 3.0).abs() < 1e-15);
    assert!((found.mean_index - 2.0).abs() < 1e-9 && found.r_squared[2] > 1.0 - 1e-12);
    assert_eq!(found.examples(3), [0, 1, 2]);
    assert_eq!(found.examples(2), [0, 2]);
    assert!(of_rates(&rates.subcols(0, 4).to_owned(), &u, 3).is_none());
}

/// Random directions in the plane: |w_1| makes more than 95 % or less than 5 % of |w|² with probability
/// (4 / pi) asin(sqrt(0.05)) = 0.287, so 0.713 of the neurons are mixed; four standard errors of 2000 are 0.04.
#[test]
fn most_neurons_with_random_directions_are_mixed() {
    let task = Integration { decays: vec![0.9, 0.9], scales: vec![1.0; 2] };
    let u = task.integrals(&synthetic::gaussian(500, 2, 3));
    let directions = gaussian(2000, 2, 8);
    let u = {
        // Both of the same spread.
        let size = |c: usize| u.iter().skip(c).step_by(2).map(|u| u * u).sum::<f64>().sqrt();
        let sizes = [size(0), size(1)];
        u.iter().enumerate().map(|(k, u)| u / sizes[k % 2]).collect::<Vec<f64>>()
    };
    let rates = &directions * Mat::from_fn(2, 500, |c, t| u[2 * t + c]);
    let found = of_rates(&rates, &u, 2).expect("enough steps");
    assert!((found.mixed - 0.713).abs() < 0.045, "{}", found.mixed);
}

#[test]
fn neurons_of_an_integrator_mix_its_integrals() {
    let task = Integration { decays: vec![0.9, 0.85], scales: vec![1.0; 2] };
    let spec =
        Spec { neurons: 64, task, activation: Activation::Relu, seed: 3, encoder: None, decoder: None };
    let network = exact(&spec).expect("enough neurons").network;
    let analysis = analyse(&network, &synthetic::gaussian(3000, 2, 1), 3000).expect("analyses");
    let found = analysis.selectivity.expect("has a task");
    assert!(found.mean_index > 1.2 && found.mean_index <= 2.0 && found.mixed > 0.4, "{}", found.mean_index);
    assert_eq!((found.vectors.len(), found.vectors[0].len(), analysis.tuning.len()), (64, 2, 6));
    assert_eq!(analysis.local_dimension.expect("enough steps").median, 2);
    // Coordinates of an exact integrator are linear in the integrals.
    let fit = analysis.coordinate_fit.expect("has a task");
    assert!(fit.linear < 1e-12 && fit.nonlinear < 1e-12, "{fit:?}");
    assert!(analysis.pca_residual[0] < 1e-7 && analysis.distance_curve.iter().all(|w| w.distance < 1e-12));
    // Dense, with a bulk: the distance is that of the windows, weighted with their power.
    let trained = load(&file(REFERENCES[0].name)).expect("a network");
    let analysis = analyse(&trained, &synthetic::gaussian(1000, 2, 1), 1000).expect("analyses");
    let last = analysis.distance_curve.last().expect("windows");
    assert_eq!((last.to, analysis.distance_curve[0].from), (1000, 1));
    assert!((last.distance / analysis.distance - 1.0).abs() < 0.1, "{} {}", last.distance, analysis.distance);
    assert_eq!(analysis.manifold_dimension, 2);
    // Dale's law adds a mode: the curve is that of D + 1 vectors.
    let dale = load(&file(REFERENCES[1].name)).expect("a network");
    let analysis = analyse(&dale, &synthetic::gaussian(1000, 2, 1), 1000).expect("analyses");
    assert_eq!((analysis.dimension, analysis.manifold_dimension), (2, 3));
    let last = analysis.distance_curve.last().expect("windows").distance;
    let one_more = analysis.distance_one_more.expect("dense");
    assert!((last / one_more - 1.0).abs() < 0.1 && one_more < 0.5 * analysis.distance, "{last} {one_more}");
}

#[test]
fn a_tuning_map_is_the_mean_rate_on_a_grid() {
    let task = Integration { decays: vec![0.9, 0.8], scales: vec![1.0; 2] };
    let u = task.integrals(&synthetic::gaussian(20_000, 2, 2));
    let rates = Mat::from_fn(2, 20_000, |i, t| if i == 0 { 7.0 } else { (u[2 * t]).max(0.0) });
    let flat = tuning(&rates, &u, 2, 0);
    assert!(flat.mean.iter().flatten().flatten().all(|&mean| (mean - 7.0).abs() < 1e-12));
    let half = tuning(&rates, &u, 2, 1);
    assert_eq!((half.mean.len(), half.mean[0].len(), half.first.len(), half.second.len()), (12, 12, 12, 12));
    let width = half.first[1] - half.first[0];
    for row in &half.mean {
        for (middle, mean) in half.first.iter().zip(row) {
            let mean = mean.expect("20 000 steps reach every bin");
            assert!((mean - middle.max(0.0)).abs() <= width / 2.0 + 1e-12, "{middle} {mean}");
        }
    }
    let one = tuning(&rates, &u.iter().step_by(2).copied().collect::<Vec<f64>>(), 1, 1);
    assert_eq!((one.mean.len(), one.mean[0].len(), one.second.len()), (1, 12, 0));
    let far = tuning(&rates.subcols(0, 30).to_owned(), &u, 2, 0);
    assert!(far.mean.iter().flatten().any(Option::is_none), "where the run never was");
}

#[test]
fn local_dimensions_of_known_manifolds() {
    let (n, count) = (40, 1500);
    let embed = |dimension: usize| gaussian(n, dimension, 4);
    let median =
        |p: &Mat<f64>| local(p, NEIGHBOURS, NOISE).expect("converges").expect("enough points").median;
    for dimension in 1..=5 {
        let flat = embed(dimension) * gaussian(dimension, count, 6);
        let found = local(&flat, NEIGHBOURS, NOISE).expect("converges").expect("enough points");
        assert!((found.mean - dimension as f64).abs() < 0.1, "flat of {dimension}: {found:?}");
    }
    let directions = gaussian(3, count, 7);
    let sphere = Mat::from_fn(3, count, |i, t| directions[(i, t)] / directions.col(t).norm_l2());
    assert_eq!(median(&(embed(3) * &sphere)), 2);
    // A closed curve whose 10 harmonics fill 20 dimensions.
    let curve = Mat::from_fn(20, count, |i, t| {
        let angle = std::f64::consts::TAU * t as f64 / count as f64 * (i / 2 + 1) as f64;
        (if i % 2 == 0 { angle.sin() } else { angle.cos() }) / (i / 2 + 1) as f64
    });
    assert_eq!(median(&(embed(20) * &curve)), 1);
    // Noise below the threshold does not count, noise above it does.
    let plane = embed(2) * gaussian(2, count, 6);
    assert_eq!(median(&(&plane + faer::Scale(0.01) * gaussian(n, count, 9))), 2);
    assert!(median(&(&plane + faer::Scale(2.0) * gaussian(n, count, 9))) > 5);
    assert!(local(&plane.subcols(0, 10).to_owned(), NEIGHBOURS, NOISE).expect("no failure").is_none());
}

#[test]
fn growth_is_fitted_in_logarithms() {
    let noisy = |t: f64, k: u32| if k.is_multiple_of(2) { 1.1 * t } else { t / 1.1 };
    let points = (1..200).map(|k| (f64::from(k), noisy(0.01 * f64::from(k).powf(0.7), k)));
    let law = power_law(points).expect("points");
    assert!((law.exponent - 0.7).abs() < 0.02 && (law.factor / 0.01 - 1.0).abs() < 0.05, "{law:?}");
    assert!(law.r_squared > 0.95 && law.r_squared < 1.0);
    assert!(power_law([(1.0, 1.0)]).is_none() && power_law([(1.0, 1.0), (1.0, 2.0)]).is_none());
    assert!(power_law([(0.0, 1.0), (1.0, f64::NAN), (2.0, -1.0), (3.0, 1e300)]).is_none());
    assert_eq!(exponential([(0.0, 2.0), (1.0, 2.0)]).map(|law| (law.rate, law.r_squared)), Some((0.0, 1.0)));
    let window = |from: usize, to: usize| Window { from, to, relative_rmse: 1e-3 * (from + to) as f64 };
    let curve: Vec<Window> = [(1, 1), (2, 5), (6, 10), (11, 100)].map(|(a, b)| window(a, b)).into();
    assert!((growth::with_time(&curve).expect("points").exponent - 1.0).abs() < 1e-12);
}

/// W of an exact integrator with noise of size 1 / n per entry: the error falls with n.
#[test]
fn error_against_the_number_of_neurons() {
    let task = Integration { decays: vec![0.8], scales: vec![1.0] };
    let networks: Vec<tinyfold::Network> = [16, 32, 64, 128]
        .map(|neurons| {
            let task = task.clone();
            let spec =
                Spec { neurons, task, activation: Activation::Relu, seed: 1, encoder: None, decoder: None };
            let made = exact(&spec).expect("enough neurons");
            let mut network = made.dense();
            let (noise, _) = random_frozen(neurons, neurons, 4);
            let size = faer::Scale(0.02 / (neurons as f64).sqrt());
            network.recurrence = Recurrence::Dense(network.weights() + size * noise);
            network.input = network.weights() * network.encoder.as_ref().expect("frozen encoders");
            network
        })
        .into();
    let x = synthetic::gaussian(2000, 1, 1);
    let BySize { errors: points, law } = with_neurons(&networks, &x).expect("all have tasks");
    println!("{points:?} {law:?}");
    assert_eq!(points.iter().map(|point| point.0).collect::<Vec<usize>>(), [16, 32, 64, 128]);
    for (point, network) in points.iter().zip(&networks) {
        let one = analyse(network, &x, 2000).expect("analyses").relative_rmse.expect("has a task");
        assert!((point.1 / one - 1.0).abs() < 1e-12);
    }
    assert!(law.expect("errors").exponent < -0.2);
    let mut none = networks;
    none[0].task = None;
    assert!(with_neurons(&none, &x).expect_err("refused").to_string().starts_with("network: task"));
}

#[test]
fn an_analysis_of_before_is_still_read() {
    let network = load(&file(REFERENCES[0].name)).expect("a network");
    let analysis = analyse(&network, &synthetic::gaussian(200, 2, 1), 200).expect("analyses");
    let mut value = serde_json::to_value(&analysis).expect("plain data");
    let back: Analysis = serde_json::from_value(value.clone()).expect("reads back");
    assert_eq!(back, analysis);
    let fields = value.as_object_mut().expect("an object");
    for field in [
        "modes",
        "alignments",
        "pca_residual",
        "local_dimension",
        "distance_curve",
        "coordinate_fit",
        "selectivity",
        "tuning",
        "error_growth",
    ] {
        assert!(fields.remove(field).is_some(), "{field}");
    }
    let old: Analysis = serde_json::from_value(value).expect("reads what an earlier version wrote");
    assert_eq!((old.distance, old.modes.count, old.selectivity), (analysis.distance, 0, None));
}

#[test]
fn the_command_draws_every_figure_that_has_data() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |network: &str, into: &str| {
        let path = file(network);
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_tinyfold"))
            .args([
                "analyse",
                path.to_str().expect("UTF-8"),
                "--gaussian",
                "--steps",
                "500",
                "--figures",
                into,
            ])
            .current_dir(folder.path())
            .output()
            .expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let text = run(REFERENCES[1].name, "dale");
    assert!(text.contains("modes told from the bulk  3 (largest of the bulk 1.0e0"), "{text}");
    assert!(
        text.contains("mixed selectivity         index 1.") && text.ends_with("figures in dale\n"),
        "{text}"
    );
    let rows = |text: &str| -> Vec<Vec<String>> {
        let rows = text.lines().skip_while(|line| !line.contains("against time")).skip(1);
        let rows = rows.take_while(|line| line.starts_with("    steps"));
        rows.map(|row| row.split_whitespace().skip(4).map(str::to_owned).collect()).collect()
    };
    let number = |cell: &String| cell.parse::<f64>().is_ok_and(|x| x > 0.0);
    assert!(rows(&text).len() > 6 && rows(&text).iter().all(|row| row.len() == 2 && row.iter().all(number)));
    run(REFERENCES[2].name, "sigmoid");
    // No integrals, no error.
    let text = run("torch_nn_rnn_tanh_h64", "plain");
    assert!(
        rows(&text).len() > 6 && rows(&text).iter().all(|row| row[0] == "-" && number(&row[1])),
        "{text}"
    );
    let names = |folder_name: &str| {
        let entries = std::fs::read_dir(folder.path().join(folder_name)).expect("written");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("readable"))
            .inspect(|entry| assert!(entry.metadata().expect("readable").len() > 1000))
            .map(|entry| entry.file_name().into_string().expect("UTF-8"))
            .filter_map(|name| name.strip_suffix(".png").map(str::to_owned))
            .collect();
        names.sort();
        names
    };
    assert_eq!(names("dale"), ["alignments", "coordinates", "selectivity", "spectrum", "time", "tuning"]);
    assert_eq!(names("sigmoid"), ["alignments", "coordinates", "spectrum", "time", "tuning"]);
    assert_eq!(names("plain"), ["alignments", "spectrum", "time"]);
}

/// With C = I the cosines with decoders are the entries of the left vectors.
#[test]
fn the_largest_entry_of_a_left_vector_is_positive() {
    let n = 6;
    for seed in 0..5 {
        let w = gaussian(n, n, seed);
        let readout = Mat::<f64>::identity(n, n);
        let network = tinyfold::Network::plain(
            Activation::Linear,
            Recurrence::Dense(faer::Scale(0.1) * &w),
            gaussian(n, 1, 9),
            readout,
        );
        let analysis = analyse(&network, &synthetic::gaussian(200, 1, 1), 200).expect("analyses");
        let (left, right) = (&analysis.alignments.left_decoders, &analysis.alignments.right_decoders);
        assert_eq!(left.len(), n);
        for k in 0..n {
            let largest = left[k].iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs()));
            assert!(largest.expect("entries") > 0.0, "{:?}", left[k]);
            // u_k · W v_k = sigma_k: both vectors turn together.
            let product: f64 = (0..n)
                .flat_map(|i| (0..n).map(move |j| (i, j)))
                .map(|(i, j)| left[k][i] * 0.1 * w[(i, j)] * right[k][j])
                .sum();
            assert!((product - analysis.singular_values[k]).abs() < 1e-13);
        }
    }
}
