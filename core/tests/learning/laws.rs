//! What every rule keeps: frozen parts, Dale's law, clipping, a trust region.

use tinyfold_core::learn::{
    Dale, Diagonal, Eprop, Groups, LatentRtrl, Learner, Loss, Online, Params, Sgd, Tie,
};
use tinyfold_core::pack::{Matrices, Weights, pack};
use tinyfold_core::{Activation, PANEL_ROWS, Shape};

use crate::LATENT;
use crate::learners::{Random, lend, settings, words};

/// Parts that do not learn keep their bits, under every rule.
#[test]
fn frozen_parts_keep_their_bits() {
    for rank in [0, 2] {
        let shape = Shape { rank, ..LATENT };
        let names = ["recurrent", "back", "input", "bias", "readout", "output bias"];
        for frozen in 0..6 {
            let mut chosen = [true; 6];
            chosen[frozen] = false;
            let [recurrent, back, input, bias, readout, output_bias] = chosen;
            let groups = Groups { recurrent, back, input, bias, readout, output_bias };
            let before = words::<f32>(shape, 8);
            let mut after = before.clone();
            let mut params = Params::new(shape, settings(Activation::Tanh, false), &mut after).expect("good");
            let mut memory = vec![0.0; shape.state_len()];
            let mut state = params.view().state(&mut memory).expect("enough");
            let mut random = Random(4);
            let sgd = Sgd::new(0.05).expect("in range");
            if rank == 0 {
                let rule =
                    Diagonal::snap1(&params, groups, lend(Diagonal::<f32>::memory_len(&shape))).unwrap();
                let mut learner = Online::new(rule, sgd, Loss::Square);
                for _ in 0..50 {
                    learner.step(&mut params, &mut state, &random.list(2, 1.0), Some(&random.list(2, 1.0)));
                }
            } else {
                let words = LatentRtrl::<f32>::memory_len(&shape, groups, false);
                let mut learner =
                    Online::new(LatentRtrl::new(&params, groups, lend(words)).unwrap(), sgd, Loss::Square);
                for _ in 0..50 {
                    learner.step(&mut params, &mut state, &random.list(2, 1.0), Some(&random.list(2, 1.0)));
                }
            }
            // Which words changed: those of a network packed with 1 in the frozen part and 0 elsewhere are the same.
            let of = |part: usize| {
                let n = shape.neurons;
                let one = |at: usize, count: usize| vec![if at == part { 1.0_f32 } else { 0.0 }; count];
                let (u, v) = (one(0, n * rank.max(n * usize::from(rank == 0))), one(1, n * rank));
                let matrices = Matrices {
                    weights: if rank == 0 { Weights::Dense(&u) } else { Weights::LowRank { u: &u, v: &v } },
                    input: &one(2, n * 2),
                    bias: &one(3, n),
                    readout: &one(4, n * 2),
                    output_bias: &one(5, 2),
                    scaling: &[[0.0, 1.0]; 4],
                    initial: &[],
                };
                let mut marks = vec![0.0; shape.parameter_len()];
                pack(&shape, &matrices, &mut marks).expect("right sizes");
                marks
            };
            let learned = params.words();
            for part in 0..6 {
                let changed = of(part)
                    .iter()
                    .zip(learned.iter().zip(&before))
                    .take(shape.layer_len() + shape.readout_len())
                    .any(|(&mark, (a, b))| mark == 1.0 && a.to_bits() != b.to_bits());
                let expected = part != frozen && !(part == 1 && rank == 0);
                assert_eq!(changed, expected, "rank {rank}, {} frozen: {}", names[frozen], names[part]);
            }
        }
    }
}

/// W[i, j] of packed words.
fn weight(shape: &Shape, words: &[f32], i: usize, j: usize) -> f32 {
    if shape.is_dense() {
        let columns = 1 + shape.neurons + shape.inputs;
        return words[(i / PANEL_ROWS * columns + 1 + j) * PANEL_ROWS + i % PANEL_ROWS];
    }
    let record = shape.layer_len() / shape.neurons;
    let (u, v) = (i * record + 1, j * record + 1 + shape.rank + shape.inputs);
    (0..shape.rank).map(|r| words[u + r] * words[v + r]).sum()
}

/// Under every rule that changes recurrent weights, with and without a tie of B to U, which is then followed.
#[test]
fn dales_law_is_kept() {
    let groups = Groups::ALL;
    for (rank, tied) in [(0, false), (2, false), (2, true)] {
        let shape = Shape { rank, ..LATENT };
        let mut words = words::<f32>(shape, 8);
        let mut params = Params::new(shape, settings(Activation::Relu, false), &mut words).expect("good");
        let signs: Vec<f32> = (0..shape.neurons).map(|i| if i % 4 == 3 { -1.0 } else { 1.0 }).collect();
        let dale = Dale::new(&shape, &signs).expect("signs");
        let broken = |params: &Params<'_, f32>| {
            let pairs = (0..shape.neurons * shape.neurons).map(|k| [k / shape.neurons, k % shape.neurons]);
            pairs.filter(|&[i, j]| weight(&shape, params.words(), i, j) * signs[j] < 0.0).count()
        };
        assert!(broken(&params) > 0);
        dale.project(&mut params);
        let before = params.words().to_vec();
        let sgd = dale.projected(Sgd::new(0.05).expect("in range"));
        let mut memory = vec![0.0; shape.state_len()];
        let mut state = params.view().state(&mut memory).expect("enough");
        let mut random = Random(4);
        let (mut dense, mut latent);
        let learner: &mut dyn Learner<f32> = if rank == 0 {
            dense = Online::new(Eprop::new(&params, groups, lend(500)).unwrap(), sgd, Loss::Square);
            &mut dense
        } else {
            let rule = if tied {
                LatentRtrl::tied(&mut params, groups, Tie::Recurrent, lend(500))
            } else {
                LatentRtrl::new(&params, groups, lend(500))
            };
            latent = Online::new(rule.unwrap(), sgd, Loss::Square);
            &mut latent
        };
        for step in 0..200 {
            learner.step(&mut params, &mut state, &random.list(2, 1.0), Some(&random.list(2, 1.0)));
            assert_eq!(broken(&params), 0, "rank {rank}, step {step}");
            if tied {
                let record = shape.layer_len() / shape.neurons;
                for words in params.words()[..shape.layer_len()].chunks_exact(record) {
                    assert_eq!(words[1..=rank], words[1 + rank..][..shape.inputs], "step {step}");
                }
            }
        }
        // Steps end at the law, and weights within it move.
        let changed = params.words().iter().zip(&before).filter(|(a, b)| a != b).count();
        assert!(changed > shape.layer_len() / 2, "{changed}");
    }
}

/// A step under clipping has exactly the length of rate times clip, for every rule that sweeps twice.
#[test]
fn clipping_scales_to_the_exact_norm() {
    let encoder = Random(9).list::<f64>(LATENT.neurons * LATENT.inputs, 0.5);
    for tied in [false, true] {
        for leaky in [false, true] {
            let groups = Groups { input: !tied, ..Groups::ALL };
            let length = LatentRtrl::<f64>::memory_len(&LATENT, groups, leaky);
            let step = |clip: Option<f64>| {
                let mut words = words::<f64>(LATENT, 3);
                let mut params =
                    Params::new(LATENT, settings(Activation::Tanh, leaky), &mut words).expect("good");
                let mut memory = vec![0.0; length];
                let rule = if tied {
                    LatentRtrl::tied(&mut params, groups, Tie::Encoder(&encoder), &mut memory).unwrap()
                } else {
                    LatentRtrl::new(&params, groups, &mut memory).unwrap()
                };
                let mut state_memory = vec![0.0; LATENT.state_len()];
                let mut state = params.view().state(&mut state_memory).expect("enough");
                let sgd = Sgd::new(1e-3).expect("in range");
                let mut learner = Online::new(
                    rule,
                    if let Some(clip) = clip { sgd.clipped(clip) } else { sgd },
                    Loss::Square,
                );
                let mut random = Random(5);
                for _ in 0..6 {
                    learner.step(&mut params, &mut state, &random.list(2, 1.0), None);
                }
                let before = params.words().to_vec();
                learner.step(&mut params, &mut state, &random.list(2, 1.0), Some(&random.list(2, 1.0)));
                let Shape { rank, inputs, outputs, .. } = LATENT;
                let record = 1 + 2 * rank + inputs + outputs;
                let follows = |at: usize| {
                    let inside =
                        at < LATENT.layer_len() && (1 + rank..1 + rank + inputs).contains(&(at % record));
                    tied && inside
                };
                let moved = params.words().iter().zip(&before).enumerate().filter(|(at, _)| !follows(*at));
                moved.map(|(_, (a, b))| (a - b) * (a - b)).sum::<f64>().sqrt() / 1e-3
            };
            let whole = step(None);
            let clipped = step(Some(0.1 * whole));
            assert!((clipped / whole - 0.1).abs() < 1e-9, "tied {tied}, leaky {leaky}: {clipped} of {whole}");
        }
    }
}

/// No step of a trusting learner moves the map from state to state by more than it may.
#[test]
fn a_trust_region_bounds_the_change_of_the_map() {
    let most = 1e-3;
    let mut words = words::<f64>(LATENT, 3);
    let mut params = Params::new(LATENT, settings(Activation::Linear, false), &mut words).expect("good");
    let mut memory = vec![0.0; LatentRtrl::<f64>::memory_len(&LATENT, Groups::ALL, false)];
    let rule = LatentRtrl::new(&params, Groups::ALL, &mut memory).unwrap();
    let mut learner = Online::new(rule, Sgd::new(10.0).unwrap(), Loss::Square).trusting(most);
    let mut state_memory = vec![0.0; LATENT.state_len()];
    let mut state = params.view().state(&mut state_memory).expect("enough");
    let map = |params: &Params<'_, f64>| {
        let Shape { neurons, rank, inputs, .. } = LATENT;
        let record = LATENT.layer_len() / neurons;
        let mut map = vec![0.0; rank * rank];
        for words in params.words()[..LATENT.layer_len()].chunks_exact(record) {
            let (u, v) = (&words[1..=rank], &words[1 + rank + inputs..][..rank]);
            (0..rank * rank).for_each(|k| map[k] += v[k / rank] * u[k % rank]);
        }
        map
    };
    let mut random = Random(5);
    let mut largest = 0.0_f64;
    for _ in 0..200 {
        let before = map(&params);
        learner.step(&mut params, &mut state, &random.list(2, 1.0), Some(&random.list(2, 1.0)));
        let change = map(&params).iter().zip(&before).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
        largest = largest.max(change);
    }
    // To first order: the second is (step length)² / 2.
    assert!(largest <= 1.01 * most && largest > 1e-3 * most, "{largest}");
}
