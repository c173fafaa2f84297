//! Recursive least squares on the latent maps: sensitivities against finite differences, known answers, drift.

#[path = "common/learners.rs"]
mod learners;

use learners::{Random, lend, settings, words};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tinyfold_core::learn::{Groups, LatentRls, Learner, Loss, Online, Params, Sgd, Tape};
use tinyfold_core::pack::{Matrices, Weights, pack};
use tinyfold_core::{Activation, Shape};

const LEARNING: Groups = Groups { back: true, readout: true, output_bias: true, ..Groups::NONE };

/// Words of the network with V (I + A)ᵀ, C (I + M)ᵀ and c + delta, where theta = (A, M, delta).
fn turned(shape: Shape, start: &[f64], theta: &[f64]) -> Vec<f64> {
    let Shape { neurons: n, rank, inputs, outputs } = shape;
    let mut words = start.to_vec();
    let (a, rest) = theta.split_at(rank * rank);
    let (m, delta) = rest.split_at(outputs * outputs);
    let turn = |values: &mut [f64], map: &[f64]| {
        let old = values.to_vec();
        for (value, row) in values.iter_mut().zip(map.chunks_exact(old.len())) {
            *value += row.iter().zip(&old).map(|(m, x)| m * x).sum::<f64>();
        }
    };
    let record = 1 + rank + inputs + rank + outputs;
    for words in words[..n * record].chunks_exact_mut(record) {
        let (v, c) = words[1 + rank + inputs..].split_at_mut(rank);
        turn(v, a);
        turn(c, m);
    }
    // Packed after the records: the output bias.
    words[n * record..][..outputs].iter_mut().zip(delta).for_each(|(c, delta)| *c += delta);
    words
}

/// Outputs of `steps` steps.
fn outputs(shape: Shape, activation: Activation<f64>, words: &mut [f64], x: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let params = Params::new(shape, settings(activation, false), words).expect("good numbers");
    let mut memory = vec![0.0; shape.state_len()];
    let mut state = params.view().state(&mut memory).expect("enough");
    x.iter()
        .map(|x| {
            params.view().step(&mut state, x);
            state.output().to_vec()
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(13),
        ..ProptestConfig::default()
    })]

    /// Central differences with Richardson extrapolation: 1e-16 / 1e-4 of rounding and less of truncation, as networks and
    /// steps are few.
    #[test]
    fn sensitivities_are_those_of_finite_differences(
        (neurons, rank, inputs, count) in (1_usize..9, 1_usize..4, 1_usize..4, 1_usize..4),
        tanh in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let shape = Shape { neurons, rank, inputs, outputs: count };
        let activation = if tanh { Activation::Tanh } else { Activation::Linear };
        let start = words::<f64>(shape, seed);
        let mut random = Random(seed);
        let x: Vec<Vec<f64>> = (0..6).map(|_| random.list(inputs, 1.0)).collect();
        let all = rank * rank + count * count + count;

        let mut packed = start.clone();
        let mut params = Params::new(shape, settings(activation, false), &mut packed).expect("good numbers");
        let mut memory = vec![f64::NAN; LatentRls::<f64>::memory_len(&shape, LEARNING)];
        let rule = LatentRls::new(&params, LEARNING, 1.0, 1.0, &mut memory).expect("enough");
        let mut state_memory = vec![0.0; shape.state_len()];
        let mut state = params.view().state(&mut state_memory).expect("enough");
        let mut tape = vec![0.0; shape.parameter_len()];
        let mut learner = Online::new(rule, Tape(&mut tape), Loss::Square);
        let learned: Vec<Vec<f64>> = x
            .iter()
            .map(|x| {
                learner.step(&mut params, &mut state, x, None);
                learner.rule_mut().sensitivity().to_vec()
            })
            .collect();

        for entry in 0..all {
            let at = |step: f64| {
                let mut theta = vec![0.0; all];
                theta[entry] = step;
                outputs(shape, activation, &mut turned(shape, &start, &theta), &x)
            };
            let step = 1e-4;
            let (near, far) = ([at(step), at(-step)], [at(2.0 * step), at(-2.0 * step)]);
            for (t, psi) in learned.iter().enumerate() {
                for o in 0..count {
                    let slope = |ends: &[Vec<Vec<f64>>; 2], step: f64| (ends[0][t][o] - ends[1][t][o]) / (2.0 * step);
                    let numeric = (4.0 * slope(&near, step) - slope(&far, 2.0 * step)) / 3.0;
                    let found = psi[o * all + entry];
                    prop_assert!(
                        (found - numeric).abs() <= 1e-9 * (1.0 + numeric.abs()),
                        "step {t}, output {o}, entry {entry}: {found} but {numeric}"
                    );
                }
            }
        }
    }
}

/// The bias alone, with ridge r and no forgetting: the sum of the targets / (steps + r).
#[test]
fn a_bias_becomes_the_mean() {
    let shape = Shape { neurons: 1, rank: 1, inputs: 1, outputs: 1 };
    let matrices = Matrices {
        weights: Weights::LowRank { u: &[0.0], v: &[0.0] },
        input: &[0.0],
        bias: &[0.0],
        readout: &[0.0],
        output_bias: &[0.0],
        scaling: &[[0.0, 1.0]; 2],
        initial: &[0.0],
    };
    let mut packed = vec![0.0; shape.parameter_len()];
    pack(&shape, &matrices, &mut packed).expect("right sizes");
    let mut params =
        Params::new(shape, settings(Activation::Relu, false), &mut packed).expect("good numbers");
    let groups = Groups { output_bias: true, ..Groups::NONE };
    let mut memory = vec![f64::NAN; LatentRls::<f64>::memory_len(&shape, groups)];
    let rule = LatentRls::new(&params, groups, 2.0, 1.0, &mut memory).expect("enough");
    let mut learner = Online::new(rule, Sgd::new(1.0).expect("in range"), Loss::Square);
    let mut state_memory = vec![0.0; shape.state_len()];
    let mut state = params.view().state(&mut state_memory).expect("enough");
    let targets = [3.0_f64, -1.0, 4.0, 1.5, -9.0, 2.6, 5.0];
    for (t, target) in targets.iter().enumerate() {
        learner.step(&mut params, &mut state, &[0.0], Some(&[*target]));
        let expected = targets[..=t].iter().sum::<f64>() / (t as f64 + 3.0);
        assert!((params.view().output_bias()[0] - expected).abs() < 1e-14, "step {t}");
    }
}

/// A linear integrator whose decay and gain are wrong learns both to the last bits, from rough inputs in f32.
#[test]
fn decay_and_gain_are_learned() {
    let shape = Shape { neurons: 2, rank: 1, inputs: 1, outputs: 1 };
    // h' = z + x twice over; z = (h1 + h2) gamma / 2, y = (h1 + h2) / 2 · gamma.
    let matrices = Matrices {
        weights: Weights::LowRank { u: &[1.0_f32, 1.0], v: &[0.45, 0.45] },
        input: &[1.0, 1.0],
        bias: &[0.0; 2],
        readout: &[0.45, 0.45],
        output_bias: &[0.0],
        scaling: &[[0.0, 1.0]; 2],
        initial: &[0.0],
    };
    let mut packed = vec![0.0; shape.parameter_len()];
    pack(&shape, &matrices, &mut packed).expect("right sizes");
    let mut params =
        Params::new(shape, settings(Activation::Linear, false), &mut packed).expect("good numbers");
    let rule =
        LatentRls::new(&params, LEARNING, 1.0, 0.98, lend(LatentRls::<f32>::memory_len(&shape, LEARNING)));
    let mut learner = Online::new(rule.expect("enough"), Sgd::new(1.0).expect("in range"), Loss::Square);
    let mut memory = vec![0.0; shape.state_len()];
    let mut state = params.view().state(&mut memory).expect("enough");
    let (mut random, mut truth, mut error) = (Random(2), 0.0_f32, 0.0_f32);
    for step in 0..800 {
        let x = random.next();
        truth = 0.8 * (truth + 1.2 * x);
        learner.step(&mut params, &mut state, &[x], Some(&[truth]));
        if step >= 750 {
            error = error.max((state.output()[0] - truth).abs());
        }
    }
    assert!(error < 3e-6, "{error}");
}

/// The rule's own refusals.
#[test]
fn what_does_not_fit_is_refused() {
    let shape = Shape { neurons: 4, rank: 2, inputs: 1, outputs: 1 };
    let mut low = words::<f32>(shape, 1);
    let refused = |shape: Shape, packed: &mut [f32], leaky, numbers: [f32; 2], short: usize| {
        let params = Params::new(shape, settings(Activation::Relu, leaky), packed).expect("good numbers");
        let length = LatentRls::<f32>::memory_len(&Shape { rank: 2, ..shape }, LEARNING);
        let mut memory = vec![0.0; length - short];
        let [ridge, forget] = numbers;
        LatentRls::new(&params, LEARNING, ridge, forget, &mut memory).map(|_| ()).map_err(|e| e.to_string())
    };
    assert_eq!(refused(shape, &mut low, false, [1.0, 0.99], 0), Ok(()));
    let reason = |result: Result<(), String>| result.expect_err("refused");
    assert_eq!(reason(refused(shape, &mut low, true, [1.0, 0.99], 0)), "leak alpha: expected 1, found less");
    for numbers in [[0.0, 0.99], [1e7, 0.99], [1.0, 0.4], [1.0, 1.1], [f32::NAN, 0.9]] {
        let text = reason(refused(shape, &mut low, false, numbers, 0));
        assert!(text.starts_with("learning rate"), "{text}");
    }
    assert!(reason(refused(shape, &mut low, false, [1.0, 0.99], 1)).starts_with("buffer: expected at least"));
    let dense = Shape { rank: 0, ..shape };
    let text = reason(refused(dense, &mut words::<f32>(dense, 1), false, [1.0, 0.99], 0));
    assert!(text.starts_with("rank R: expected"), "{text}");
}
