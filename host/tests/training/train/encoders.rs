//! Encoders that are trained while inputs pass through the recurrent weights, B = W E.

use faer::Mat;
use tinyfold::task::Integration;
use tinyfold::train::ablation::Ablation;
use tinyfold::train::online::{Rule, learn};
use tinyfold::train::settings::{Loss, Supports};
use tinyfold::train::vectors::{signs, vectors};
use tinyfold::train::{Control, Settings};

use super::{quiet, slow, small};

/// B = W E to the last bit, with an E that moved, under every constraint of W and of E.
#[test]
fn the_input_passes_through_the_weights_that_are_trained() {
    let base = Settings { train_encoder: true, steps: 800, interval: 200, weight_decay: 0.0, ..small() };
    for settings in [
        base.clone(),
        Settings { rank: 4, ..base.clone() },
        Settings { dale: 0.25, neurons: 48, ..base.clone() },
        Settings { loss: Loss::Proxy, ..base.clone() },
        Settings { loss: Loss::Average, activation: "linear".into(), ..base.clone() },
        Settings { supports: Supports::Same, train_readout: true, neurons: 48, ..base.clone() },
        Settings { ablation: Ablation::Fraction(0.25), neurons: 40, ..base },
    ] {
        let (start, decoder) = vectors(&settings);
        let trained = quiet(&settings).expect("trains");
        let network = &trained.network;
        let encoder = network.encoder.as_ref().expect("B = W E");
        assert_eq!(network.input, network.recurrence.times(encoder), "{settings:?}");
        assert!((encoder - &start).norm_l2() > 0.01, "{settings:?}");
        assert!(trained.best.rollout < 0.3, "{settings:?}: {}", trained.best.rollout);
        if let Some(signs) = signs(&settings) {
            let w = network.weights();
            assert!(signs.iter().enumerate().all(|(j, sign)| (0..48).all(|i| w[(i, j)] * sign >= 0.0)));
        }
        if settings.supports == Supports::Same {
            let outside = |now: &Mat<f64>, start: &Mat<f64>| {
                let mut at = (0..now.nrows()).flat_map(|i| (0..now.ncols()).map(move |j| (i, j)));
                at.all(|at| (now[at] == 0.0) == (start[at] == 0.0))
            };
            assert!(outside(encoder, &start) && outside(&network.readout, &decoder), "leaves its block");
            assert!((&network.readout - &decoder).norm_l2() > 0.01);
        }
    }
}

/// A reservoir with encoders that learn: W stays.
#[test]
fn an_encoder_learns_alone() {
    let settings = Settings {
        train_weights: false,
        train_encoder: true,
        start_gain: 0.5,
        activation: "tanh".into(),
        ..slow()
    };
    let first = quiet(&Settings { steps: 1, interval: 1, ..settings.clone() }).expect("trains").network;
    let last = quiet(&settings).expect("trains").network;
    assert_eq!((&first.recurrence, &first.readout), (&last.recurrence, &last.readout));
    assert!(first.encoder != last.encoder);
}

#[test]
fn an_encoder_is_refused_where_there_is_none() {
    let refused = |settings: Settings| {
        let settings = Settings { train_encoder: true, ..settings };
        settings.check(None).expect_err("refused").to_string()
    };
    assert_eq!(
        refused(Settings { free_input: true, ..small() }),
        "train_encoder: expected free_input = false beside it: an E that is trained needs B = W E, found free_input = true"
    );
    let task = Integration { decays: vec![0.9], scales: vec![1.0] }.into();
    let reduced = Settings { reduced: true, activation: "linear".into(), task, ..small() };
    assert!(refused(reduced).starts_with("reduced: expected no train_encoder"));
    let rule = Settings { train_encoder: true, ..small() };
    let rule = learn(&rule, Rule::Rtrl, &mut |_| Control::Continue).expect_err("refused").to_string();
    assert_eq!(rule, "train_encoder: expected false with a rule: B is trained by itself, found true");
}
