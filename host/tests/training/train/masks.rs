//! Masked neurons and the reduction to the span of encoders and decoders: what is left out is out.

use std::path::Path;
use std::process::Command;

use faer::Mat;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use tinyfold::command::inspect::describe;
use tinyfold::format::network::{load, save};
use tinyfold::manifold::{Analysis, analyse};
use tinyfold::network::{Activation, Network, Recurrence};
use tinyfold::report::analysis::figures;
use tinyfold::simulate::activate;
use tinyfold::task::Integration;
use tinyfold::task::synthetic::gaussian;
use tinyfold::train::ablation::Ablation;
use tinyfold::train::bptt::Batch;
use tinyfold::train::online::{Rule, learn};
use tinyfold::train::optimiser::Method;
use tinyfold::train::sequences::Source;
use tinyfold::train::settings::Loss;
use tinyfold::train::vectors::vectors;
use tinyfold::train::{Control, Precision, Settings};

use super::{quiet, slow, small};

fn random(rows: usize, columns: usize, rng: &mut ChaCha8Rng) -> Mat<f64> {
    Mat::from_fn(rows, columns, |_, _| StandardNormal.sample(rng))
}

/// W or U and V, B, b, C, c.
fn matrices(network: &Network) -> Vec<Mat<f64>> {
    let column = |values: &[f64]| Mat::from_fn(values.len(), 1, |i, _| values[i]);
    let recurrent = match &network.recurrence {
        Recurrence::Dense(w) => vec![w.clone()],
        Recurrence::LowRank { u, v } => vec![u.clone(), v.clone()],
    };
    let others =
        [network.input.clone(), column(&network.bias), network.readout.clone(), column(&network.output_bias)];
    recurrent.into_iter().chain(others).collect()
}

/// The batch loss of all n neurons, those with a mask of 0 silenced at every step, from its definition:
/// p_t = W m (h_{t-1} + E x_t) + b, or W m h_{t-1} + B x_t + b, and y_t = C m h_t + c.
///
/// What the matrices of kept neurons do not say is filled from `noise`.
fn loss(settings: &Settings, kept: &[usize], of_kept: &[Mat<f64>], batch: &Batch<f64>, noise: u64) -> f64 {
    let (n, rank) = (settings.neurons, settings.rank);
    let mut rng = ChaCha8Rng::seed_from_u64(noise);
    let place = |i: usize| kept.binary_search(&i).ok();
    let mut rows = |m: &Mat<f64>| {
        let noise = random(n, m.ncols(), &mut rng);
        Mat::from_fn(n, m.ncols(), |i, j| place(i).map_or(noise[(i, j)], |i| m[(i, j)]))
    };
    let (w, rest) = if rank == 0 {
        let columns = rows(&of_kept[0].transpose().to_owned()).transpose().to_owned();
        (rows(&columns), &of_kept[1..])
    } else {
        (rows(&of_kept[0]) * rows(&of_kept[1]).transpose(), &of_kept[2..])
    };
    let [input, bias, readout, output_bias] = rest else { panic!("B, b, C, c") };
    let (input, bias) = (rows(input), rows(bias));
    let readout = rows(&readout.transpose().to_owned()).transpose().to_owned();
    let encoder = vectors(&Settings { ablation: Ablation::None, ..settings.clone() }).0;
    let masked =
        |h: &Mat<f64>| Mat::from_fn(n, h.ncols(), |i, j| if place(i).is_some() { h[(i, j)] } else { 0.0 });
    let phi = settings.check(None).expect("settings");
    let task = settings.task.integration().expect("integration");
    let mut sum = 0.0;
    for k in 0..batch.count() {
        let mut h = Mat::<f64>::zeros(n, 1);
        for t in 0..batch.steps {
            let at = t * batch.count() + k;
            let x = batch.x.subcols(at, 1);
            let p = if settings.free_input {
                &w * masked(&h) + &input * x + &bias
            } else {
                &w * masked(&(&h + &encoder * x)) + &bias
            };
            let alpha = settings.alpha;
            h = Mat::from_fn(n, 1, |i, _| (1.0 - alpha) * h[(i, 0)] + alpha * activate(phi, p[(i, 0)]));
            let y = &readout * masked(&h) + output_bias;
            for (c, scale) in task.scales.iter().enumerate() {
                sum += ((y[(c, 0)] - batch.target[(c, at)]) / scale).powi(2);
            }
        }
    }
    sum / ((batch.steps as f64).powi(3) * batch.count() as f64)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, rng_seed: RngSeed::Fixed(3), failure_persistence: None, ..ProptestConfig::default() })]

    /// One update of a run tells its gradient, θ₁ = θ₀ - r g. It is the slope of the loss of the silenced network, of
    /// which nothing in the masked rows and columns changes a bit.
    #[test]
    fn a_masked_neuron_has_no_rate_and_no_gradient(
        activation in prop_oneof![Just("linear"), Just("tanh"), Just("sigmoid")],
        (neurons, masked, rank) in (4_usize..9, 1_usize..4, 0_usize..3),
        alpha in prop_oneof![Just(1.0), 0.2..1.0],
        [free_input, train_bias, train_readout] in any::<[bool; 3]>(),
        seed in 0_u64..1000,
    ) {
        // At rank R only what is left can carry it.
        let rank = rank.min(neurons - masked);
        let settings = Settings {
            neurons, rank, alpha, free_input, train_bias, train_readout, seed,
            task: Integration { decays: vec![0.8, 0.9], scales: vec![1.0, -2.0] }.into(),
            activation: activation.into(),
            ablation: Ablation::Neurons((0..masked).map(|k| (5 * k + 1) % neurons).collect()),
            start_gain: 0.6, threshold_spread: 0.3,
            sequence: 4, batch: 6, steps: 1, interval: 1, clip: 1e9, weight_decay: 0.0,
            method: Method::Sgd { momentum: 0.0 }, precision: Precision::F64,
            ..Settings::default()
        };
        let kept = settings.kept().expect("a mask");
        let after = |learning_rate: f64| {
            let trained = quiet(&Settings { learning_rate, ..settings.clone() }).expect("one update");
            matrices(&trained.network)
        };
        let rate = 1e-4;
        let (one, two) = (after(rate), after(2.0 * rate));
        prop_assert!(kept.len() < neurons && one[0].nrows() == kept.len());
        let start: Vec<Mat<f64>> = one.iter().zip(&two).map(|(one, two)| faer::Scale(2.0) * one - two).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut stream = ChaCha8Rng::seed_from_u64(seed);
        stream.set_stream(2);
        let batch = Source::new(&settings.task, settings.sequence, None).draw::<f64>(settings.batch, 0, &mut stream);
        let at = |parameters: &[Mat<f64>], noise| loss(&settings, &kept, parameters, &batch, noise);
        prop_assert_eq!(at(&start, 1).to_bits(), at(&start, 2).to_bits());

        // W (or U, V), B, b, C, c: those that are trained.
        let trained = if rank == 0 { vec![true] } else { vec![true; 2] };
        let trained = [trained, vec![free_input, train_bias, train_readout, train_bias]].concat();
        let direction: Vec<Mat<f64>> = start.iter().zip(&trained).map(|(m, &trained)| {
            let all = random(m.nrows(), m.ncols(), &mut rng);
            faer::Scale(f64::from(u8::from(trained))) * all
        }).collect();
        let moved = |step: f64| {
            let parameters: Vec<_> = start.iter().zip(&direction).map(|(m, d)| m + faer::Scale(step) * d).collect();
            at(&parameters, 1)
        };
        let central = |step: f64| (moved(step) - moved(-step)) / (2.0 * step);
        let numeric = (4.0 * central(1e-3) - central(2e-3)) / 3.0;
        let slopes = one.iter().zip(&two).zip(&direction).map(|((one, two), direction)| {
            let gradient = faer::Scale(1.0 / rate) * (one - two);
            (0..gradient.ncols()).flat_map(|j| (0..gradient.nrows()).map(move |i| (i, j)))
                .map(|at| gradient[at] * direction[at]).sum::<f64>()
        });
        let exact: f64 = slopes.zip(&trained).filter(|(_, trained)| **trained).map(|(slope, _)| slope).sum();
        // Rounding of numbers of size 1 over the rate, 1e-12, times 100 entries; fifth derivatives times 1e-12.
        prop_assert!((numeric - exact).abs() < 1e-8 * (1.0 + exact.abs()), "{numeric} {exact}");
    }
}

#[test]
fn a_masked_network_is_trained_and_smaller() {
    let base = Settings { neurons: 40, steps: 3000, interval: 500, batch: 64, weight_decay: 0.0, ..small() };
    for settings in [
        Settings { ablation: Ablation::Fraction(0.25), ..base.clone() },
        Settings { ablation: Ablation::Fraction(0.25), rank: 4, ..base.clone() },
        Settings { ablation: Ablation::Neurons(vec![0, 7, 23]), loss: Loss::Proxy, ..base.clone() },
    ] {
        let trained = quiet(&settings).expect("trains");
        let kept = settings.kept().expect("a mask");
        assert_eq!(trained.network.kept.as_ref(), Some(&kept));
        assert_eq!(trained.network.neurons(), kept.len());
        assert!(trained.best.rollout < 0.05, "{settings:?}: {}", trained.best.rollout);
        let (whole, _) = vectors(&Settings { ablation: Ablation::None, ..settings.clone() });
        let encoder = trained.network.encoder.as_ref().expect("B = W E");
        assert!(kept.iter().enumerate().all(|(place, &i)| encoder.row(place) == whole.row(i)));
    }
    let dale = Settings { ablation: Ablation::Fraction(0.5), dale: 0.25, ..base };
    let signs = tinyfold::train::vectors::signs(&dale).expect("Dale's law");
    let w = quiet(&Settings { steps: 50, learning_rate: 1e-3, ..dale }).expect("trains").network.weights();
    assert_eq!(signs.len(), 20);
    assert!(signs.iter().enumerate().all(|(j, sign)| (0..20).all(|i| w[(i, j)] * sign >= 0.0)));
}

/// Which neurons a masked network has is told by its file, by `inspect`, and wherever single neurons are told of.
#[test]
fn a_masked_network_says_which_neurons_it_has() {
    let settings = Settings { ablation: Ablation::Neurons(vec![10, 0, 2, 1]), ..slow() };
    let network = quiet(&settings).expect("trains").network;
    let kept: Vec<usize> = (3..10).chain(11..24).collect();
    assert_eq!((network.kept.as_ref(), network.number(0), network.number(7)), (Some(&kept), 3, 11));
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["network.safetensors", "network.npz"] {
        let path = folder.path().join(name);
        save(&path, &network).expect("written");
        assert_eq!(load(&path).expect("read back"), network);
        let told = describe(&path).expect("inspected");
        assert_eq!(told["kept of the neurons before masking"], serde_json::json!(kept));
        let inspected = Command::new(env!("CARGO_BIN_EXE_tinyfold")).arg("inspect").arg(&path).output();
        let text = String::from_utf8(inspected.expect("runs").stdout).expect("text");
        assert!(text.contains("\nkept of the neurons before masking  3 to 9, 11 to 23\n"), "{text}");
    }
    let wrong = Network { kept: Some((0..20).rev().collect()), ..network.clone() };
    let message = save(Path::new("network.npz"), &wrong).expect_err("refused").to_string();
    assert!(message.starts_with("network.npz: kept: expected 20 numbers of neurons, ascending, found [19,"));

    let analysed = |network: &Network| analyse(network, &gaussian(500, 2, 1), 500).expect("analyses");
    let numbered = analysed(&network);
    let rows = analysed(&Network { kept: None, ..network });
    assert!(numbered.tuning.len() == 6 && rows.kept.is_none());
    for (map, row) in numbered.tuning.iter().zip(&rows.tuning) {
        assert_eq!((map.neuron, &map.mean), (kept[row.neuron], &row.mean));
    }
    let titles = |analysis: &Analysis| -> Vec<(usize, String)> {
        let figures = figures(analysis);
        let figure = figures.iter().find(|figure| figure.name == "tuning").expect("drawn");
        let svg = figure.svg();
        let told = svg.split("neuron ").skip(1).filter_map(|text| text.split_once(", index "));
        told.map(|(number, rest)| (number.parse().expect("a number"), rest[..4].to_owned())).collect()
    };
    let (numbered, rows) = (titles(&numbered), titles(&rows));
    assert_eq!(numbered.len(), 6);
    assert_eq!(numbered, rows.into_iter().map(|(row, index)| (kept[row], index)).collect::<Vec<_>>());
}

#[test]
fn masks_are_settings() {
    let read = |text: &str| Settings::parse(text, "run.toml").expect("settings");
    assert_eq!(read("").ablation, Ablation::None);
    let fraction = read("neurons = 40\nablation = { fraction = 0.3 }");
    assert_eq!(fraction.kept().expect("a mask").len(), 28);
    assert_eq!(fraction.kept(), fraction.kept());
    assert_ne!(fraction.kept(), Settings { seed: 1, ..fraction.clone() }.kept());
    let named = read("neurons = 4\nablation = { neurons = [2, 0] }");
    assert_eq!(named.kept(), Some(vec![1, 3]));
    for settings in [fraction, named] {
        assert_eq!(read(&settings.documented()), settings);
    }
    let defaults = Settings::default().documented();
    assert!(defaults.contains("\nablation = \"none\"\n") && defaults.contains("\nreduced = false\n"));
    let typo =
        Settings::parse("\nablation = { fractoin = 0.3 }", "run.toml").expect_err("a typo").to_string();
    let expected =
        "run.toml:2: expected one of none, fraction, neurons, found fractoin; did you mean fraction?";
    assert_eq!(typo, expected);

    let refused = |settings: Settings| settings.check(None).expect_err("refused").to_string();
    let all = refused(Settings { ablation: Ablation::Neurons((0..24).collect()), ..small() });
    assert_eq!(all, "ablation: expected at least 1 neurons left of 24, found 0");
    let beyond = refused(Settings { ablation: Ablation::Neurons(vec![3, 24]), ..small() });
    assert_eq!(beyond, "ablation.neurons: expected neurons from 0 to 23, found 24");
    let part = refused(Settings { ablation: Ablation::Fraction(1.0), ..small() });
    assert_eq!(part, "ablation.fraction: expected at least 0 and below 1, found 1");
    let rule = Settings { ablation: Ablation::Fraction(0.5), ..small() };
    let rule = learn(&rule, Rule::Rtrl, &mut |_| Control::Continue).expect_err("refused").to_string();
    assert_eq!(rule, "ablation: expected none with a rule, found a mask");
}

fn linear(channels: usize) -> Settings {
    let task = Integration { decays: vec![0.9; channels], scales: vec![1.0; channels] }.into();
    Settings {
        neurons: 60,
        task,
        activation: "linear".into(),
        loss: Loss::Average,
        method: Method::Sgd { momentum: 0.0 },
        learning_rate: 0.5,
        clip: 1e9,
        weight_decay: 0.0,
        sequence: 4,
        steps: 300,
        interval: 100,
        precision: Precision::F64,
        ..Settings::default()
    }
}

/// Numbers of size 1 that 300 updates of a contracting map round by some 1e-15 each.
#[test]
fn the_reduction_is_the_training_of_all_weights() {
    for channels in [1, 2, 3] {
        for loss in [Loss::Average, Loss::Batch, Loss::Proxy] {
            let learning_rate = if loss == Loss::Proxy { 0.002 } else { 0.5 };
            let all = Settings { loss, learning_rate, ..linear(channels) };
            let reduced = Settings { reduced: true, ..all.clone() };
            let (all, reduced) = (quiet(&all).expect("trains"), quiet(&reduced).expect("trains"));
            let difference = (all.network.weights() - reduced.network.weights()).norm_max();
            assert_eq!(reduced.network.rank(), 2 * channels);
            assert!(difference < 1e-12, "D = {channels}, {loss:?}: {difference:e}");
            assert!((all.best.rollout - reduced.best.rollout).abs() < 1e-9 && all.best.rollout < 0.9);
            assert!(all.network.weights().norm_l2() > 0.3);
        }
    }
}

#[test]
fn the_reduction_is_refused_where_it_is_none() {
    let refused = |settings: Settings| {
        let settings = Settings { reduced: true, ..settings };
        settings.check(None).expect_err("refused").to_string()
    };
    assert_eq!(refused(small()), "reduced: expected a linear network and decoder, found relu");
    let leaves = refused(Settings { loss: Loss::Batch, train_readout: true, ..linear(1) });
    assert_eq!(
        leaves,
        "reduced: expected no train_readout: it leaves the span of E and C, found train_readout"
    );
    let few = refused(Settings { neurons: 3, ..linear(2) });
    assert_eq!(few, "neurons: expected at least 4 for the reduction, found 3");
    // Beside the reduction, a mask: the span is that of the neurons that are kept.
    let both = Settings { reduced: true, ablation: Ablation::Fraction(0.5), ..linear(1) };
    let network = quiet(&both).expect("trains").network;
    assert!((network.neurons(), network.rank()) == (30, 2) && network.activation == Activation::Linear);
}
