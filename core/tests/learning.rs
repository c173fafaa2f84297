//! Learners that meet anything: noise, spikes, NaN, infinities, laws, limits.

use tinyfold_core::learn::{
    Adam, Counts, Dale, Diagonal, Eprop, Groups, Guard, KfRtrl, LatentRls, LatentRtrl, Learner, Limits, Lms,
    Loss, Momentum, Online, Optimiser, Outcome, Params, Rls, Rtrl, Rule, Sgd, Tape, Tbptt, Tie, Uoro, Update,
};
use tinyfold_core::pack::{Matrices, Weights, pack};
use tinyfold_core::wire::learned::{Memory, Optimiser as Kind};
use tinyfold_core::{Activation, Error, PANEL_ROWS, Shape, State};

#[path = "common/learners.rs"]
mod learners;

use learners::{Random, lend, settings, words};

/// Noise, now and then a spike or no number at all.
fn rough(random: &mut Random) -> f32 {
    let x = random.next();
    match (random.0 >> 20) % 300 {
        0 => f32::NAN,
        1 => f32::INFINITY,
        2 => f32::NEG_INFINITY,
        3 => 1e30 * x,
        4 => 1e6 * x,
        5 => f32::MAX * x,
        _ => x,
    }
}

const DENSE: Shape = Shape { neurons: 10, rank: 0, inputs: 2, outputs: 3 };
const LATENT: Shape = Shape { neurons: 10, rank: 2, inputs: 2, outputs: 2 };

/// Steps a learner on rough signals; every word stays finite.
fn survives<L: Learner<f32>>(name: &str, learner: &mut L, shape: Shape, leaky: bool, steps: usize) {
    let start = words::<f32>(shape, 3);
    let mut words = start.clone();
    let settings = settings(Activation::Relu, leaky);
    let mut params = Params::new(shape, settings, &mut words).expect("good numbers");
    let mut memory = vec![0.0; shape.state_len()];
    let mut state = params.view().state(&mut memory).expect("enough");
    let mut random = Random(17);
    for step in 0..steps {
        let x: Vec<f32> = (0..shape.inputs).map(|_| rough(&mut random)).collect();
        let target: Vec<f32> = (0..shape.outputs).map(|_| rough(&mut random)).collect();
        let outcome = learner.step(&mut params, &mut state, &x, (step % 3 != 0).then_some(&target));
        if outcome.update == Update::Done {
            assert!(outcome.loss.is_finite(), "{name}, step {step}");
        }
        assert!(params.words().iter().all(|word| word.is_finite()), "{name}, step {step}");
    }
    assert_ne!(params.words(), start, "{name}");
    let counts = learner.counts();
    assert!(counts.held > 0 && counts.bad_targets > 0 && counts.updates > 0, "{name}: {counts:?}");
    println!("{name}: {counts:?}");
}

/// Every optimiser with a rule that `make` makes.
fn every_optimiser<R: Rule<f32>>(
    name: &str,
    shape: Shape,
    leaky: bool,
    make: impl Fn(&Params<'_, f32>) -> R,
) {
    let mut start = words::<f32>(shape, 3);
    let count = start.len();
    let params = Params::new(shape, settings(Activation::Relu, leaky), &mut start).expect("good numbers");
    let rule = || make(&params);
    let steps = 20_000;
    let sgd = Sgd::new(1e-2).expect("in range");
    let mut learner = Online::new(rule(), sgd, Loss::Square);
    survives(&format!("{name}, SGD"), &mut learner, shape, leaky, steps);
    let mut learner = Online::new(rule(), sgd.clipped(1.0), Loss::CrossEntropy).trusting(0.1);
    survives(&format!("{name}, SGD clipped, cross-entropy"), &mut learner, shape, leaky, steps);
    let mut memory = vec![0.0; count];
    let momentum = Momentum::new(1e-2, 0.9, count, &mut memory).expect("enough");
    let mut learner = Online::new(rule(), momentum, Loss::Square).trusting(0.5);
    survives(&format!("{name}, momentum"), &mut learner, shape, leaky, steps);
    let mut memory = vec![0.0; 2 * count];
    let adam = Adam::new(1e-2, [0.9, 0.999], 1e-8, count, &mut memory).expect("enough").clipped(1.0);
    let mut learner = Online::new(rule(), adam, Loss::Square);
    survives(&format!("{name}, Adam"), &mut learner, shape, leaky, steps);
}

#[test]
fn every_rule_and_optimiser_survives_rough_signals() {
    let all = Groups::ALL;
    for leaky in [false, true] {
        every_optimiser("RTRL", DENSE, leaky, |p| {
            Rtrl::new(p, all, lend(Rtrl::<f32>::memory_len(&DENSE))).unwrap()
        });
        every_optimiser("SnAp-1", DENSE, leaky, |p| {
            Diagonal::snap1(p, all, lend(Diagonal::<f32>::memory_len(&DENSE))).unwrap()
        });
        every_optimiser("RFLO", DENSE, leaky, |p| {
            Diagonal::rflo(p, all, lend(Diagonal::<f32>::memory_len(&DENSE))).unwrap()
        });
        every_optimiser("e-prop", DENSE, leaky, |p| {
            Eprop::new(p, all, lend(Eprop::<f32>::memory_len(&DENSE))).unwrap()
        });
        every_optimiser("UORO", DENSE, leaky, |p| {
            Uoro::new(p, all, 5, lend(Uoro::<f32>::memory_len(&DENSE))).unwrap()
        });
        every_optimiser("KF-RTRL", DENSE, leaky, |p| {
            KfRtrl::new(p, all, 5, lend(KfRtrl::<f32>::memory_len(&DENSE))).unwrap()
        });
        every_optimiser("BPTT", DENSE, leaky, |p| {
            Tbptt::new(p, all, 7, lend(Tbptt::<f32>::memory_len(&DENSE, 7))).unwrap()
        });
        every_optimiser("LMS", DENSE, leaky, |p| {
            Lms::new(p, all, lend(Lms::<f32>::memory_len(&DENSE))).unwrap()
        });
        every_optimiser("RLS", DENSE, leaky, |p| {
            Rls::new(p, all, 1.0, 0.999, lend(Rls::<f32>::memory_len(&DENSE))).unwrap()
        });
        every_optimiser("latent RTRL", LATENT, leaky, |p| {
            LatentRtrl::new(p, all, lend(LatentRtrl::<f32>::memory_len(&LATENT, all, leaky))).unwrap()
        });
    }
    every_optimiser("latent RLS", LATENT, false, |p| {
        LatentRls::new(p, all, 1.0, 0.99, lend(LatentRls::<f32>::memory_len(&LATENT, all))).unwrap()
    });
}

#[test]
fn a_million_rough_steps_leave_every_weight_finite() {
    const STEPS: usize = 1_000_000;
    let all = Groups::ALL;
    let start = words::<f32>(LATENT, 3);
    let mut same = start.clone();
    let params = Params::new(LATENT, settings(Activation::Relu, false), &mut same).expect("good numbers");
    let limits = Limits { state: 1e4, loss: 1e4, growth: 1.0, every: 50 };
    let copies = || lend(Guard::<(), f32>::memory_len(&LATENT));

    let length = LatentRtrl::<f32>::memory_len(&LATENT, all, false);
    let rtrl = || {
        let rule = LatentRtrl::new(&params, all, lend(length)).expect("enough");
        Online::new(rule, Sgd::new(3e-3).expect("in range"), Loss::Square).trusting(0.05)
    };
    survives("latent RTRL", &mut rtrl(), LATENT, false, STEPS);
    let mut guard = Guard::new(rtrl(), limits, &params, copies()).expect("enough");
    survives("guarded latent RTRL", &mut guard, LATENT, false, STEPS);
    assert!(guard.counts().restored > 0 && guard.good() != start);

    let length = LatentRls::<f32>::memory_len(&LATENT, all);
    let rls = || {
        let rule = LatentRls::new(&params, all, 1.0, 0.99, lend(length)).expect("enough");
        Online::new(rule, Sgd::new(1.0).expect("in range"), Loss::Square)
    };
    survives("latent RLS", &mut rls(), LATENT, false, STEPS);
    let mut guard = Guard::new(rls(), limits, &params, copies()).expect("enough");
    survives("guarded latent RLS", &mut guard, LATENT, false, STEPS);
    assert!(guard.counts().restored > 0 && guard.good() != start);
}

/// A learner whose weights count its updates and whose losses and updates are written down before.
struct Scripted<F>(F, u32);

impl<F: Fn(u32) -> (f64, Update)> Learner<f64> for Scripted<F> {
    fn step(
        &mut self,
        params: &mut Params<'_, f64>,
        _: &mut State<'_, f64>,
        _: &[f64],
        _: Option<&[f64]>,
    ) -> Outcome<f64> {
        let (loss, update) = self.0(self.1);
        self.1 += 1;
        if update == Update::Done {
            let next: Vec<f64> = params.words().iter().map(|word| word + 1.0).collect();
            params.set(&next).expect("finite");
        }
        Outcome { loss, held: 0, update }
    }

    fn counts(&self) -> Counts {
        Counts::default()
    }

    fn reset(&mut self) {}

    fn restart(&mut self) {}

    fn trust(&mut self, _: f64) {}

    fn memory(&self) -> Memory<'_, f64> {
        Memory { optimiser: Kind::Sgd, steps: 0, words: &[] }
    }

    fn resume(&mut self, _: &Memory<'_, f64>) -> Result<(), Error> {
        Ok(())
    }
}

/// Weights grow bad at some update, the mean loss says so later: what is taken back is older than the lag, however often
/// copies are made, and no older than two periods of copies.
#[test]
fn the_guard_takes_back_words_that_proved_good() {
    for every in [1, 50, 64, 100, 333] {
        for bad in [10, 63, 64, 65, 500, 999] {
            // From update `bad` on, a loss of 4 with a limit of 3: seen 88 updates later.
            let script = |step| (if step < bad { 0.0 } else { 4.0 }, Update::Done);
            let mut start = words::<f64>(LATENT, 3);
            let first = start[0];
            let mut params =
                Params::new(LATENT, settings(Activation::Linear, false), &mut start).expect("good");
            let limits = Limits { state: 1e9, loss: 3.0, growth: 1.0, every };
            let mut copies = vec![0.0; Guard::<(), f64>::memory_len(&LATENT)];
            let mut guard = Guard::new(Scripted(script, 0), limits, &params, &mut copies).expect("enough");
            let mut memory = vec![0.0; LATENT.state_len()];
            let mut state = params.view().state(&mut memory).expect("enough");
            for step in 0.. {
                if guard.step(&mut params, &mut state, &[], None).update == Update::Restored {
                    // mean = 4 (1 − (63/64)^k) > 3 from k = ln 4 / ln (64/63) = 88.03 on.
                    assert_eq!(step, bad + 88);
                    let (updates, period) = (params.words()[0] - first, f64::from(every.max(64)));
                    let age = f64::from(step + 1) - updates.round();
                    assert!(
                        age > 64.0 && (age <= 2.0 * period || updates.round() == 0.0),
                        "{every}, {bad}: {age}"
                    );
                    break;
                }
            }
        }
    }
}

/// The loss of a step that changed nothing does not count, however large.
#[test]
fn the_guard_ignores_rejected_steps() {
    let script = |step| if step % 3 == 1 { (f64::INFINITY, Update::Rejected) } else { (1.0, Update::Done) };
    let mut start = words::<f64>(LATENT, 3);
    let mut params = Params::new(LATENT, settings(Activation::Linear, false), &mut start).expect("good");
    let limits = Limits { state: 1e9, loss: 3.0, growth: 1.0, every: 1 };
    let mut copies = vec![0.0; Guard::<(), f64>::memory_len(&LATENT)];
    let mut guard = Guard::new(Scripted(script, 0), limits, &params, &mut copies).expect("enough");
    let mut memory = vec![0.0; LATENT.state_len()];
    let mut state = params.view().state(&mut memory).expect("enough");
    for step in 0..1000 {
        let update = guard.step(&mut params, &mut state, &[], None).update;
        assert_eq!(update, script(step).1, "step {step}");
    }
    assert_eq!(guard.counts().restored, 0);
}

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

/// A network made to grow is found out by the growth of differences, and set back.
#[test]
fn the_guard_takes_back_what_would_blow_up() {
    let mut words = words::<f64>(LATENT, 3);
    let good = words.clone();
    let mut params = Params::new(LATENT, settings(Activation::Linear, false), &mut words).expect("good");
    let mut memory = vec![0.0; LatentRtrl::<f64>::memory_len(&LATENT, Groups::ALL, false)];
    let rule = LatentRtrl::new(&params, Groups::ALL, &mut memory).unwrap();
    let learner = Online::new(rule, Sgd::new(1e-9).unwrap(), Loss::Square);
    let limits = Limits { state: 1e3, loss: 1e6, growth: 1.0, every: 1_000_000 };
    let mut copy = vec![0.0; Guard::<(), f64>::memory_len(&LATENT)];
    let mut guard = Guard::new(learner, limits, &params, &mut copy).expect("enough");
    let mut state_memory = vec![0.0; LATENT.state_len()];
    let mut state = params.view().state(&mut state_memory).expect("enough");
    let louder: Vec<f64> =
        good.iter().enumerate().map(|(at, &w)| if at < LATENT.layer_len() { 8.0 * w } else { w }).collect();
    params.set(&louder).expect("finite");
    let mut random = Random(5);
    let mut restored = None;
    for step in 0..300 {
        let outcome = guard.step(&mut params, &mut state, &random.list(2, 1.0), Some(&random.list(2, 1.0)));
        if outcome.update == Update::Restored {
            restored = restored.or(Some(step));
        }
    }
    assert!(restored.is_some_and(|step| step < 130), "{restored:?}");
    let distance = params.words().iter().zip(&good).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(distance < 1e-3, "{distance}");
    assert!(state.carried().iter().all(|z| z.abs() < 1e3));
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

/// What the table of the module says, and one word less is too little for every rule.
#[test]
fn memory_is_what_is_said() {
    let shape = Shape { neurons: 40, rank: 0, inputs: 3, outputs: 2 };
    let low = Shape { rank: 3, ..shape };
    let (n, r, i, o) = (40, 3, 3, 2);
    let (m, k) = (1 + n + i, r * r + o * o + o);
    let all = Groups::ALL;
    let fits = |shape: Shape,
                [said, length, bytes]: [usize; 3],
                make: &dyn Fn(&Params<'_, f32>, usize) -> Option<Error>| {
        assert_eq!((length, bytes), (said, 4 * said), "{shape:?}");
        let mut words = words::<f32>(shape, 3);
        let params = Params::new(shape, settings(Activation::Relu, false), &mut words).expect("good");
        assert_eq!(make(&params, length), None);
        let error = make(&params, length - 1).expect("too little");
        assert_eq!(error.to_string(), format!("buffer: expected at least {length}, found {}", length - 1));
    };
    macro_rules! fits {
        ($shape:expr, $said:expr, $rule:ident($($argument:expr),*), $make:expr) => {
            fits(
                $shape,
                [$said, $rule::<f32>::memory_len(&$shape $(, $argument)*), $rule::<f32>::memory_bytes(&$shape $(, $argument)*)],
                &|params, length| {
                    let make: fn(&Params<'_, f32>, &'static mut [f32]) -> Option<Error> = $make;
                    make(params, lend(length))
                },
            );
        };
    }
    fits!(shape, n * n * m + 3 * n + m + o, Rtrl(), |p, memory| Rtrl::new(p, Groups::ALL, memory).err());
    fits!(shape, n * m + 4 * n + m + o, Diagonal(), |p, memory| Diagonal::snap1(p, Groups::ALL, memory)
        .err());
    fits!(shape, n * m + 4 * n + m + o, Diagonal(), |p, memory| Diagonal::rflo(p, Groups::ALL, memory).err());
    fits!(shape, 2 * m + 2 * n + o, Eprop(), |p, memory| Eprop::new(p, Groups::ALL, memory).err());
    fits!(shape, n * m + 5 * n + m + o, Uoro(), |p, memory| Uoro::new(p, Groups::ALL, 1, memory).err());
    fits!(shape, 2 * n * n + 3 * n + 2 * m + o, KfRtrl(), |p, memory| KfRtrl::new(p, Groups::ALL, 1, memory)
        .err());
    fits!(shape, 7 * (2 * n + m) + 3 * n + m + o, Tbptt(7), |p, memory| Tbptt::new(
        p,
        Groups::ALL,
        7,
        memory
    )
    .err());
    fits!(shape, o, Lms(), |p, memory| Lms::new(p, Groups::ALL, memory).err());
    fits!(shape, (n + 1) * (n + 1) + n + 1 + o, Rls(), |p, memory| Rls::new(
        p,
        Groups::ALL,
        1.0,
        1.0,
        memory
    )
    .err());
    let latent = 3 * n + r * (5 + i + r + o) + o;
    fits!(low, n * r * (1 + 2 * r + i) + latent, LatentRtrl(all, false), |p, memory| {
        LatentRtrl::new(p, Groups::ALL, memory).err()
    });
    fits!(low, k * k + k * (o + 2) + r * r * r + r + o + latent, LatentRls(all), |p, memory| {
        LatentRls::new(p, Groups::ALL, 1.0, 1.0, memory).err()
    });

    let mut words = words::<f32>(LATENT, 3);
    let params = Params::new(LATENT, settings(Activation::Relu, false), &mut words).expect("good");
    let error = Rtrl::new(&params, Groups::ALL, &mut [0.0; 9]).expect_err("of low rank");
    assert_eq!(error.to_string(), "rank R: expected 0, found 2");
    let mut tape = [0.0; 4];
    assert_eq!(Tape(&mut tape).word(1, 2.0, 3.0), 2.0);
    assert_eq!(tape[1], 3.0);
}

/// L = ln Σ e^y − Σ t y from its definition, whether t sums up to 1 or not, and for outputs whose e^y is too large.
#[test]
fn cross_entropy_is_as_defined() {
    let shape = Shape { neurons: 1, rank: 0, inputs: 1, outputs: 3 };
    for (bias, targets) in [
        ([0.3, -1.0, 2.0], [0.2, 0.3, 0.5]),
        ([0.3, 1.0, -2.0], [1.0, 1.0, 0.0]),
        ([900.0, 0.0, 899.0], [0.5, 0.0, 0.1]),
    ] {
        let matrices = Matrices {
            weights: Weights::Dense(&[0.0]),
            input: &[0.0],
            bias: &[0.0],
            readout: &[0.0; 3],
            output_bias: &bias,
            scaling: &[[0.0, 1.0]; 4],
            initial: &[],
        };
        let mut packed = vec![0.0_f64; shape.parameter_len()];
        pack(&shape, &matrices, &mut packed).expect("right sizes");
        let mut params = Params::new(shape, settings(Activation::Linear, false), &mut packed).expect("good");
        let rule = Lms::new(&params, Groups::READOUT, lend(Lms::<f64>::memory_len(&shape))).expect("enough");
        let mut learner = Online::new(rule, Sgd::new(0.1).expect("in range"), Loss::CrossEntropy);
        let mut memory = vec![0.0; shape.state_len()];
        let mut state = params.view().state(&mut memory).expect("enough");
        let found = learner.step(&mut params, &mut state, &[0.0], Some(&targets)).loss;
        // e^900 is no number: 900 is taken out of it.
        let all: f64 = bias.iter().map(|y| (y - bias[0]).exp()).sum::<f64>().ln() + bias[0];
        let expected = all - bias.iter().zip(&targets).map(|(y, t)| y * t).sum::<f64>();
        assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{found} but {expected}");
    }
}
