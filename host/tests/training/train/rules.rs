//! Learning sample by sample.

use std::process::Command;

use tinyfold::format::network;
use tinyfold::report::rules::Comparison;
use tinyfold::task::Integration;
use tinyfold::train::online::{Rule, learn};
use tinyfold::train::settings::{Loss, Schedule, Supports};
use tinyfold::train::vectors::{biases, vectors};
use tinyfold::train::{Control, Settings};

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

#[test]
fn settings_that_a_rule_does_not_follow_are_refused() {
    let plain = online(Rule::Snap1, 0);
    for (settings, expected) in [
        (
            Settings { loss: Loss::Proxy, ..plain.clone() },
            "loss: expected batch with a rule, found another one",
        ),
        (
            Settings { supports: Supports::Same, train_readout: true, ..plain.clone() },
            "supports: expected random or orthonormal with a rule that trains C: it would leave its blocks, found blocks",
        ),
        (Settings { proxy_weight: 0.1, ..plain.clone() }, "proxy_weight: expected 0 with a rule, found 0.1"),
        (Settings { patience: 2, ..plain.clone() }, "patience: expected 0 with a rule, found 2"),
        (Settings { stop_loss: 1e-3, ..plain.clone() }, "stop_loss: expected 0 with a rule, found 0.001"),
        (
            Settings { schedule: Schedule::Halving { every: 9 }, ..plain },
            "schedule: expected constant with a rule, found halving",
        ),
    ] {
        let error = learn(&settings, Rule::Snap1, &mut |_| Control::Continue).expect_err("refused");
        assert_eq!(error.to_string(), expected);
    }
}

/// What a rule does not train is as in other training: C, of its supports and scale, and thresholds.
#[test]
fn a_rule_starts_with_the_vectors_of_other_training() {
    let settings = Settings {
        supports: Supports::Same,
        encoder_scale: 2.0,
        decoder_scale: 0.5,
        threshold_spread: 0.3,
        steps: 20,
        interval: 20,
        ..online(Rule::Snap1, 0)
    };
    let learnt = |settings: &Settings| {
        learn(settings, Rule::Snap1, &mut |_| Control::Continue).expect("learns").network
    };
    let network = learnt(&settings);
    let (encoder, decoder) = vectors(&settings);
    assert_eq!((&network.readout, &network.bias), (&decoder, &biases(&settings).expect("a spread")));
    // B starts at E, and 20 updates of Adam at 1e-3 move no entry by more than about 0.02.
    assert!((&network.input - &encoder).norm_max() < 0.03);
    let one = Integration { decays: vec![0.9], scales: vec![1.0] };
    let overlapping = Settings { task: one.into(), overlap: Some(0.5), ..online(Rule::Snap1, 0) };
    let overlapping = Settings { steps: 20, interval: 20, ..overlapping };
    assert_eq!(learnt(&overlapping).readout, vectors(&overlapping).1);
}
