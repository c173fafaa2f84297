//! Recursive least squares past episodes, spikes and missing targets.

use tinyfold_core::learn::{Groups, Learner, Loss, Online, Params, Rls, Sgd, Update};
use tinyfold_core::{Activation, Shape};

use crate::learners::{Random, lend, settings, words};

/// In episodes, past spikes of input and target, the readout of recursive least squares solves the normal equations of
/// the steps that it did learn from: (Rᵀ R + ridge) w = Rᵀ y + ridge w_0, R having rows (h, 1).
#[test]
fn rls_outlives_episodes_and_spikes() {
    let (shape, ridge) = (Shape { neurons: 5, rank: 0, inputs: 2, outputs: 1 }, 0.3);
    let mut words = words::<f64>(shape, 3);
    let readout = shape.layer_len();
    // c, then C.
    let start = words[readout..][..6].to_vec();
    let mut params = Params::new(shape, settings(Activation::Linear, false), &mut words).expect("good");
    let mut memory = vec![0.0; Rls::<f64>::memory_len(&shape)];
    let rule = Rls::new(&params, Groups::READOUT, ridge, 1.0, &mut memory).expect("enough");
    let mut learner = Online::new(rule, Sgd::new(1.0).expect("in range"), Loss::Square);
    let mut state_memory = vec![0.0; shape.state_len()];
    let mut state = params.view().state(&mut state_memory).expect("enough");
    let mut random = Random(6);
    let (mut square, mut right) = ([[0.0; 6]; 6], [0.0; 6]);
    for i in 0..6 {
        square[i][i] = ridge;
        right[i] = ridge * start[i];
    }
    for step in 0..60 {
        if step % 12 == 0 {
            params.view().reset(&mut state);
            learner.reset();
        }
        let (mut x, mut y) = (random.list::<f64>(2, 1.0), random.list::<f64>(1, 1.0));
        let spike = step % 10 == 7;
        if spike {
            (if step % 20 == 7 { &mut x } else { &mut y })[0] = 1e30;
        }
        let before = learner.memory().words.to_vec();
        let outcome = learner.step(&mut params, &mut state, &x, Some(&y));
        assert_eq!(outcome.update == Update::Rejected, spike, "step {step}");
        if spike {
            assert_eq!(learner.memory().words, before, "step {step}");
            params.view().reset(&mut state);
            continue;
        }
        let row: Vec<f64> = [1.0].into_iter().chain(state.carried().iter().copied()).collect();
        for i in 0..6 {
            (0..6).for_each(|j| square[i][j] += row[i] * row[j]);
            right[i] += row[i] * y[0];
        }
        let found = &params.words()[readout..][..6];
        for (row, right) in square.iter().zip(right) {
            let left: f64 = row.iter().zip(found).map(|(a, w)| a * w).sum();
            // Entries up to some 50 by weights up to some 1, 60 steps of some 6 roundings of 1e-16: 2e-12.
            assert!((left - right).abs() < 2e-12, "step {step}: {left} but {right}");
        }
    }
    assert_eq!(learner.counts().resets, 3);
    learner.restart();
    assert_eq!(learner.memory().words[0], 1.0 / ridge);
}

/// One P for all outputs: one without a target learns as if it had met it.
#[test]
fn rls_takes_a_missing_target_for_one_that_is_met() {
    let shape = Shape { neurons: 5, rank: 0, inputs: 2, outputs: 2 };
    let settings = settings(Activation::Tanh, false);
    let mut packed = [(); 2].map(|()| words::<f64>(shape, 3));
    let [masked, met] = &mut packed;
    let make = |words| {
        let params = Params::new(shape, settings, words).expect("good numbers");
        let rule = Rls::new(&params, Groups::READOUT, 0.3, 1.0, lend(Rls::<f64>::memory_len(&shape)));
        let state = params.view().state(lend(shape.state_len())).expect("enough");
        (Online::new(rule.expect("enough"), Sgd::new(1.0).expect("in range"), Loss::Square), params, state)
    };
    let ((mut masked, mut params, mut state), (mut met, mut other, mut other_state)) =
        (make(masked), make(met));
    let mut random = Random(6);
    for step in 0..40 {
        let (x, mut y) = (random.list::<f64>(2, 1.0), random.list::<f64>(2, 1.0));
        if step % 3 == 0 {
            y[1] = f64::NAN;
        }
        masked.step(&mut params, &mut state, &x, Some(&y));
        if step % 3 == 0 {
            y[1] = state.output()[1];
        }
        met.step(&mut other, &mut other_state, &x, Some(&y));
        // 40 steps of some 10 roundings of 1e-16 of numbers up to some 10.
        for (a, b) in params.words().iter().zip(other.words()) {
            assert!((a - b).abs() < 1e-12, "step {step}: {a} but {b}");
        }
    }
}
