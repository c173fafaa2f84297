//! The manifold monitor on an exact integrator: what it says by hand, which flipped bits it finds and how soon, and
//! that it is silent in normal activity.

mod common;

use common::{Case, case};
use proptest::prelude::*;
use tinyfold_core::monitor::{Monitor, Plan, Shape, Verdict, readout_checksum};
use tinyfold_core::pack::{Matrices, Weights, pack};
use tinyfold_core::wire::monitor as wire;
use tinyfold_core::{Activation, Arithmetic, Field, Form, Settings, View};

/// A small generator of numbers, the same everywhere.
struct Random(u64);

impl Random {
    fn word(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    fn below(&mut self, most: usize) -> usize {
        self.word() as usize % most
    }

    /// On [-1, 1].
    fn number(&mut self) -> f32 {
        self.word() as f32 / (1_u32 << 30) as f32 - 1.0
    }
}

const N: usize = 64;
const D: usize = 2;
const DECAY: [f32; D] = [0.9, 0.95];

/// z' = diag(DECAY) (z + x), y = z' by N ReLU neurons whose preferred directions share the circle.
struct Integrator {
    shape: tinyfold_core::Shape,
    words: Vec<f32>,
    settings: Settings<f32>,
    /// Directions, N × D, columns of length sqrt(N / 2).
    e: Vec<f32>,
}

impl Integrator {
    fn new(rank: usize, form: Form, arithmetic: Arithmetic) -> Self {
        let angle = |i: usize| std::f32::consts::TAU * i as f32 / N as f32 + 0.01;
        let e: Vec<f32> = (0..N).flat_map(|i| [angle(i).cos(), angle(i).sin()]).collect();
        // Of two opposite neurons one is active: the sum over all of e relu(e q) is N / 4 q.
        let v: Vec<f32> = e.chunks(D).flat_map(|e| [DECAY[0] * e[0], DECAY[1] * e[1]]).collect();
        let v: Vec<f32> = v.iter().map(|v| v * 4.0 / N as f32).collect();
        let shape = tinyfold_core::Shape { neurons: N, rank, inputs: D, outputs: D };
        let w: Vec<f32> = (0..N * N)
            .map(|k| {
                let (i, j) = (k / N, k % N);
                e[D * i] * v[D * j] + e[D * i + 1] * v[D * j + 1]
            })
            .collect();
        let readout: Vec<f32> = (0..D * N).map(|k| v[D * (k % N) + k / N]).collect();
        let matrices = Matrices {
            weights: if rank == 0 { Weights::Dense(&w) } else { Weights::LowRank { u: &e, v: &v } },
            input: &e,
            bias: &[0.0; N],
            readout: &readout,
            output_bias: &[0.0; D],
            scaling: &[[0.0, 1.0]; 2 * D],
            initial: &[],
        };
        let mut words = vec![0.0; shape.parameter_len()];
        pack(&shape, &matrices, &mut words).expect("sizes fit");
        let mut settings = Settings { form, arithmetic, ..Settings::new(Activation::Relu) };
        if form == Form::Current {
            (settings.alpha, settings.keep) = (0.25, 0.75);
        }
        Self { shape, words, settings, e }
    }

    fn view(&self) -> View<'_, f32> {
        View::from_words(self.shape, self.settings, &self.words).expect("valid")
    }

    fn monitored(&self) -> Shape {
        let dimensions = if self.shape.is_dense() { D } else { 0 };
        Shape { network: self.shape, dimensions }
    }

    /// A monitor with thresholds twice the largest values of `steps` normal steps.
    fn monitor(&self, steps: usize, [every, check]: [u16; 2], scrub: u16) -> (Plan, Vec<f32>) {
        let (view, mut random) = (self.view(), Random(7));
        let mut memory = vec![0.0; self.shape.state_len()];
        let mut state = view.state(&mut memory).expect("long enough");
        let limit = |most: f32, floor: f32| 0.5 / most.max(floor);
        let plan = Plan { every, check, scrub, readout: readout_checksum(&view) };
        if !self.shape.is_dense() {
            let rows = [0, 1].map(|r| {
                let mut row = vec![0.0; 6];
                (row[1 + r], row[3 + r], row[5]) = (DECAY[r], DECAY[r], 1.0);
                row
            });
            let outputs = [0, 1].map(|o| [0.0, f32::from(o == 0), f32::from(o == 1), 1.0]);
            let (mut most, mut widest) = ([0.0_f32; 4], [0.0_f32; 4]);
            for _ in 0..steps {
                let before = state.carried().to_vec();
                let x = input(&mut random);
                view.step(&mut state, &x);
                for r in 0..D {
                    let z = state.carried()[r];
                    most[r] = most[r].max((z - DECAY[r] * (before[r] + x[r])).abs());
                    most[2 + r] = most[2 + r].max((state.output()[r] - z).abs());
                    widest[r] = widest[r].max(z.abs());
                    widest[2 + r] = widest[2 + r].max(x[r].abs());
                }
            }
            let mut words = Vec::new();
            let rows = rows.iter().map(Vec::as_slice).chain(outputs.iter().map(|row| &row[..]));
            for (row, most) in rows.zip(most) {
                words.extend_from_slice(row);
                *words.last_mut().expect("not empty") = limit(most, 1e-6);
            }
            words.extend(widest.iter().flat_map(|&most| [0.0, limit(most, 1e-6)]));
            return (plan, words);
        }
        // Q = E / |column|; r = ±1.
        let q: Vec<f32> = self.e.iter().map(|e| e / (N as f32 / 2.0).sqrt()).collect();
        let row: Vec<f32> = (0..N).map(|_| if random.word() & 1 == 0 { 1.0 } else { -1.0 }).collect();
        let of = |entry: &dyn Fn(usize) -> f32| {
            (0..N).map(|i| f64::from(row[i]) * f64::from(entry(i))).sum::<f64>() as f32
        };
        let of_h: Vec<f32> = (0..N).map(|j| of(&|i| view.recurrent(i, j).expect("in range"))).collect();
        let of_x: Vec<f32> = (0..D).map(|j| of(&|i| self.e[D * i + j])).collect();
        let (mut most, mut widest, mut worst, mut before) = ([0.0_f32; N], [0.0_f32; D], 0.0_f32, None);
        for _ in 0..steps {
            view.step_seen(&mut state, &input(&mut random), |seen| {
                let c = |k: usize| (0..N).map(|i| q[D * i + k] * seen.p[i]).sum::<f32>();
                let c = [c(0), c(1)];
                for i in 0..N {
                    most[i] = most[i].max((seen.p[i] - q[D * i] * c[0] - q[D * i + 1] * c[1]).abs());
                }
                (0..D).for_each(|k| widest[k] = widest[k].max(c[k].abs()));
                let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
                let (left, right) = (dot(&row, seen.p), dot(&of_h, seen.h) + dot(&of_x, seen.x));
                let expected = match (self.settings.form, before) {
                    (Form::Rate, _) => right,
                    (Form::Current, Some(before)) => 0.75_f32 * before + 0.25 * right,
                    (Form::Current, None) => left,
                };
                worst = worst.max((left - expected).abs());
                before = Some(left);
            });
        }
        let mut words = vec![0.0; D];
        for i in 0..N {
            words.extend([0.0, q[D * i], q[D * i + 1], limit(most[i], 1e-6)]);
        }
        words.extend([0.0, limit(worst, 1e-6)]);
        words.extend(row.iter().chain(&of_h).chain(&of_x));
        words.extend(widest.iter().flat_map(|&most| [0.0, limit(most, 1e-6)]));
        (plan, words)
    }
}

fn input(random: &mut Random) -> [f32; D] {
    [random.number(), random.number()]
}

/// What the monitor said of every step.
fn run(
    integrator: &Integrator,
    monitor: &Monitor<'_, f32>,
    seed: u64,
    steps: usize,
) -> (Vec<f32>, Vec<Verdict<f32>>) {
    let view = integrator.view();
    let (mut memory, mut room) = (vec![0.0; integrator.shape.state_len()], [0.0; D]);
    let mut state = view.state(&mut memory).expect("long enough");
    let mut watch = monitor.watch(&view, &mut room).expect("same sizes");
    let mut random = Random(seed);
    let (mut outputs, mut verdicts) = (Vec::new(), Vec::new());
    for _ in 0..steps {
        verdicts.push(monitor.step(&view, &mut state, &input(&mut random), &mut watch).1);
        outputs.extend_from_slice(state.output());
    }
    let alarms = verdicts.iter().filter(|verdict| verdict.alarm.any()).count();
    assert_eq!(watch.alarms() as usize, alarms);
    (outputs, verdicts)
}

fn change(normal: &[f32], other: &[f32]) -> f32 {
    let square = |x: f32| f64::from(x) * f64::from(x);
    let (sum, all): (f64, f64) = normal
        .iter()
        .zip(other)
        .fold((0.0, 0.0), |(sum, all), (&a, &b)| (sum + square(a - b), all + square(a)));
    (sum / all).sqrt() as f32
}

/// Steps from look to look and from check to check; at low rank they are one.
fn periods(rank: usize) -> [u16; 2] {
    if rank == 0 { [16, 4] } else { [8, 1] }
}

/// Flips `count` bits of recurrent and input weights (and of the readout at low rank), one at a time, among the twelve
/// of sign, exponent and upper fraction: how many change the outputs of 50 steps by more than 5 %, and how many of
/// these were found.
fn flips(rank: usize, form: Form, count: usize) -> [usize; 2] {
    let mut integrator = Integrator::new(rank, form, Arithmetic::Separate);
    let (plan, words) = integrator.monitor(20_000, periods(rank), if rank == 0 { 32 } else { 0 });
    let monitor = Monitor::new(integrator.monitored(), plan, &words).expect("valid");
    let mut random = Random(11);
    let layer = integrator.shape.layer_len();
    let (mut material, mut found) = (0, 0);
    for seed in 0..count as u64 {
        let (normal, verdicts) = run(&integrator, &monitor, seed, 50);
        assert!(!verdicts.iter().any(|verdict| verdict.alarm.any()));
        let (at, bit) = loop {
            let at = random.below(layer);
            if integrator.words[at] != 0.0 {
                break (at, 20 + random.below(12));
            }
        };
        let right = integrator.words[at];
        let wrong = f32::from_bits(right.to_bits() ^ 1 << bit);
        if !wrong.is_finite() {
            // A chip refuses it at the next start; a running one computes NaN.
            continue;
        }
        integrator.words[at] = wrong;
        let (outputs, verdicts) = run(&integrator, &monitor, seed, 50);
        integrator.words[at] = right;
        let changed = change(&normal, &outputs);
        if changed > 0.05 || !changed.is_finite() {
            material += 1;
            found += usize::from(verdicts.iter().any(|verdict| verdict.alarm.any()));
        }
    }
    [material, found]
}

#[test]
fn flipped_bits_that_matter_are_found_within_fifty_steps() {
    for (rank, form) in [(0, Form::Rate), (0, Form::Current), (2, Form::Rate)] {
        let [material, found] = flips(rank, form, 600);
        println!("rank {rank}, {form:?}: {found} of {material} flips found");
        assert!(material >= 20 && found * 100 >= material * 99, "{found} of {material}");
    }
}

#[test]
fn normal_activity_raises_no_alarm() {
    for (rank, form) in [(0, Form::Rate), (0, Form::Current), (2, Form::Rate)] {
        let integrator = Integrator::new(rank, form, Arithmetic::Separate);
        let (plan, words) = integrator.monitor(20_000, periods(rank), if rank == 0 { 32 } else { 0 });
        let monitor = Monitor::new(integrator.monitored(), plan, &words).expect("valid");
        let (_, verdicts) = run(&integrator, &monitor, 99, 100_000);
        let most = |of: fn(&Verdict<f32>) -> f32| verdicts.iter().map(of).fold(0.0, f32::max);
        println!(
            "rank {rank}, {form:?}: residual {}, distance {}, range {} of the threshold",
            most(|v| v.residual),
            most(|v| v.distance),
            most(|v| v.range)
        );
        assert!(!verdicts.iter().any(|verdict| verdict.alarm.any()));
        // The thresholds are of the size of what they judge.
        assert!(most(|v| v.residual) > 0.2 && most(|v| v.range) > 0.2);
    }
}

#[test]
fn inputs_and_states_never_seen_are_out_of_range() {
    for rank in [0, 2] {
        let integrator = Integrator::new(rank, Form::Rate, Arithmetic::Separate);
        let (plan, words) = integrator.monitor(20_000, [1, 1], 0);
        let monitor = Monitor::new(integrator.monitored(), plan, &words).expect("valid");
        let view = integrator.view();
        let (mut memory, mut room) = (vec![0.0; integrator.shape.state_len()], [0.0; D]);
        let mut state = view.state(&mut memory).expect("long enough");
        let mut watch = monitor.watch(&view, &mut room).expect("same sizes");
        let (_, verdict) = monitor.step(&view, &mut state, &[0.5, -0.5], &mut watch);
        assert!(!verdict.alarm.any() && verdict.range > 0.0);
        let (_, verdict) = monitor.step(&view, &mut state, &[40.0, 0.0], &mut watch);
        assert!(verdict.alarm.range && verdict.range > 1.0);
        view.reset(&mut state);
        // One neuron of a dense network, or a number of the latent, is not a number.
        state.carried_mut()[1] = f32::NAN;
        let (_, verdict) = monitor.step(&view, &mut state, &[0.5, -0.5], &mut watch);
        assert!(verdict.alarm.weights && verdict.alarm.range && verdict.alarm.manifold == (rank == 0));
    }
}

#[test]
fn every_flipped_bit_of_the_readout_is_found_in_one_round() {
    let mut integrator = Integrator::new(0, Form::Rate, Arithmetic::Separate);
    let (plan, words) = integrator.monitor(1000, [4, 1], 8);
    let monitor = Monitor::new(integrator.monitored(), plan, &words).expect("valid");
    let layer = integrator.shape.layer_len();
    let length = integrator.shape.readout_len();
    let round = length.div_ceil(8);
    let mut random = Random(3);
    for _ in 0..100 {
        let (at, bit) = (layer + random.below(length), random.below(32));
        let right = integrator.words[at].to_bits();
        let wrong = f32::from_bits(right ^ 1 << bit);
        if !wrong.is_finite() || wrong.to_bits() == 1 << 31 {
            continue;
        }
        integrator.words[at] = wrong;
        let (_, verdicts) = run(&integrator, &monitor, 1, 3 * round);
        integrator.words[at] = f32::from_bits(right);
        let alarms: Vec<usize> = (0..verdicts.len()).filter(|&step| verdicts[step].alarm.readout).collect();
        assert_eq!(alarms, [round - 1, 2 * round - 1, 3 * round - 1]);
    }
}

#[test]
fn looks_and_checks_come_every_few_steps() {
    for form in [Form::Rate, Form::Current] {
        let integrator = Integrator::new(0, form, Arithmetic::Separate);
        let (plan, mut words) = integrator.monitor(1000, [5, 3], 0);
        // A wrong r b, so that no residual is 0.
        let [start, neurons, ..] = integrator.monitored().parts();
        words[start + neurons] += 1e-3;
        let monitor = Monitor::new(integrator.monitored(), plan, &words).expect("valid");
        let (_, verdicts) = run(&integrator, &monitor, 1, 16);
        let steps = |of: fn(&Verdict<f32>) -> f32| -> Vec<usize> {
            (0..16).filter(|&step| of(&verdicts[step]) > 0.0).collect()
        };
        assert_eq!(steps(|verdict| verdict.range), [0, 5, 10, 15]);
        assert_eq!(steps(|verdict| verdict.residual), [1, 4, 7, 10, 13]);
    }
}

#[test]
fn a_step_by_hand() {
    // Two neurons, K = 1, Q = (1, 0), m = (0, 3): p_2 must be 3.
    let shape = tinyfold_core::Shape { neurons: 2, rank: 0, inputs: 1, outputs: 1 };
    let mut words = vec![0.0_f32; shape.parameter_len()];
    let matrices = Matrices {
        weights: Weights::Dense(&[0.5, 0.0, 0.0, 0.25]),
        input: &[1.0, 0.0],
        bias: &[0.0, 1.0],
        readout: &[1.0, 0.0],
        output_bias: &[0.0],
        scaling: &[[0.0, 1.0]; 2],
        initial: &[0.0, 4.0],
    };
    pack(&shape, &matrices, &mut words).expect("sizes fit");
    let settings = Settings::new(Activation::Linear);
    let view = View::from_words(shape, settings, &words).expect("valid");
    let plan = Plan { every: 1, check: 1, scrub: 0, readout: 0 };
    // start; neurons; r b, 1 / t, r = (1, 2), r W = (1/2, 1/2), r B = 1; range of c: center 1, half 2.
    let parts = [0.0, 0.0, 1.0, 0.5, 3.0, 0.0, 4.0, 2.0, 8.0, 1.0, 2.0, 0.5, 0.5, 1.0, 1.0, 0.5];
    let of = Shape { network: shape, dimensions: 1 };
    let monitor = Monitor::new(of, plan, &parts).expect("valid");
    let (mut memory, mut room) = (vec![0.0; shape.state_len()], [0.0]);
    let mut state = view.state(&mut memory).expect("long enough");
    let mut watch = monitor.watch(&view, &mut room).expect("same sizes");
    let (_, verdict) = monitor.step(&view, &mut state, &[2.0], &mut watch);
    // p = (2, 2): one below the manifold, in units of 1/4; c = 2 is half of the range from its center; r p = 6 = 2 + 2 + 2.
    assert_eq!((verdict.distance, verdict.range, verdict.residual), (4.0, 0.5, 0.0));
    assert!(verdict.alarm.manifold && !verdict.alarm.weights && !verdict.alarm.range);
    // With r b wrong by 1/4, in units of 1/8.
    let mut wrong = parts;
    wrong[7] += 0.25;
    let monitor = Monitor::new(of, plan, &wrong).expect("valid");
    view.reset(&mut state);
    let (_, verdict) = monitor.step(&view, &mut state, &[2.0], &mut watch);
    assert_eq!(verdict.residual, 2.0);
    assert!(verdict.alarm.weights);
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: proptest::test_runner::RngSeed::Fixed(8),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Words of a monitor for any network: noise, which may raise any alarm.
fn noise(shape: &Shape, seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    let mut words: Vec<f32> = (0..shape.parameter_len()).map(|_| random.number()).collect();
    shape.inverses().for_each(|at| words[at] = words[at].abs() + 0.01);
    words
}

fn watched_step_is_the_step(case: &Case, seed: u64) -> Result<(), TestCaseError> {
    let shape = Shape {
        network: case.shape,
        dimensions: if case.shape.is_dense() { 1 + (seed % 8) as usize } else { 0 },
    };
    let words = noise(&shape, seed);
    let [every, check] = [3, 5].map(|most| 1 + (seed % most) as u16);
    let plan = Plan { every, check, scrub: (seed % 40) as u16, readout: seed as u32 };
    case.with_view::<f32, _>(|view| {
        let monitor = Monitor::new(shape, plan, &words).expect("finite");
        let mut bytes = vec![0xaa; wire::length(&shape, tinyfold_core::Number::F32)];
        wire::write(&monitor, 5, &mut bytes).expect("long enough");
        let mut aligned = vec![0_u128; bytes.len().div_ceil(16)];
        bytemuck::cast_slice_mut(&mut aligned)[..bytes.len()].copy_from_slice(&bytes);
        let read = wire::read::<f32>(&bytemuck::cast_slice(&aligned)[..bytes.len()]).expect("just written");
        prop_assert_eq!((read.monitor.shape(), read.monitor.plan(), read.model), (shape, plan, 5));

        let mut room = vec![0.0; shape.memory_len()];
        if !case.shape.is_dense() && case.settings.form == Form::Current {
            let error = monitor.watch(&view, &mut room).expect_err("refused");
            prop_assert_eq!(error.field, Field::Form);
            return Ok(());
        }
        let mut other_room = room.clone();
        let mut watch = monitor.watch(&view, &mut room).expect("same sizes");
        let mut other_watch = read.monitor.watch(&view, &mut other_room).expect("same sizes");
        let mut memories = [(); 3].map(|()| vec![0.0; case.shape.state_len()]);
        let [plain, watched, other] = &mut memories;
        let mut plain = view.state(plain).expect("long enough");
        let mut watched = view.state(watched).expect("long enough");
        let mut other = view.state(other).expect("long enough");
        for x in &case.samples {
            let x = common::cast::<f32>(x);
            let status = view.step(&mut plain, &x);
            let (same, verdict) = monitor.step(&view, &mut watched, &x, &mut watch);
            prop_assert_eq!(same, status);
            prop_assert_eq!(plain.output(), watched.output());
            prop_assert_eq!(plain.carried(), watched.carried());
            prop_assert_eq!(read.monitor.step(&view, &mut other, &x, &mut other_watch).1, verdict);
        }
        Ok(())
    })
}

proptest! {
    #![proptest_config(config(150))]

    #[test]
    fn a_watched_step_is_the_step(case in case(), seed in any::<u64>()) {
        watched_step_is_the_step(&case, seed)?;
    }
}

#[test]
fn wrong_monitors_are_refused() {
    let integrator = Integrator::new(0, Form::Rate, Arithmetic::Fused);
    let (plan, words) = integrator.monitor(100, [1, 1], 0);
    let shape = integrator.monitored();
    let field = |shape, plan, words: &[f32]| Monitor::new(shape, plan, words).expect_err("refused").field;
    assert_eq!(field(shape, Plan { every: 0, ..plan }, &words), Field::Steps);
    assert_eq!(field(shape, Plan { check: 0, ..plan }, &words), Field::Steps);
    assert_eq!(field(shape, plan, &words[1..]), Field::Manifold);
    for dimensions in [0, 9] {
        assert_eq!(field(Shape { dimensions, ..shape }, plan, &words), Field::Dimensions);
    }
    let low_rank = tinyfold_core::Shape { rank: 2, ..shape.network };
    assert_eq!(field(Shape { network: low_rank, dimensions: 1 }, plan, &words), Field::Dimensions);
    for wrong in [f32::NAN, f32::INFINITY, -0.0] {
        let mut words = words.clone();
        words[0] = wrong;
        assert_eq!(field(shape, plan, &words), Field::Manifold);
    }
    let monitor = Monitor::new(shape, plan, &words).expect("valid");
    let other = Integrator::new(2, Form::Rate, Arithmetic::Fused);
    assert_eq!(monitor.watch(&other.view(), &mut [0.0]).expect_err("other sizes").field, Field::Rank);
    assert_eq!(monitor.watch(&integrator.view(), &mut []).expect_err("no memory").field, Field::State);

    let mut bytes = vec![0_u32; wire::length(&shape, tinyfold_core::Number::F32).div_ceil(4)];
    wire::write(&monitor, 1, bytemuck::cast_slice_mut(&mut bytes)).expect("the right length");
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut bytes);
    assert!(wire::read::<f32>(bytes).is_ok());
    assert_eq!(wire::read::<f64>(bytes).expect_err("f32").field, Field::Number);
    for at in 0..bytes.len() {
        bytes[at] ^= 4;
        assert!(wire::read::<f32>(bytes).is_err(), "byte {at}");
        bytes[at] ^= 4;
        if at % 4 == 0 {
            assert!(wire::read::<f32>(&bytes[..at]).is_err(), "cut at {at}");
        }
    }
}

/// What becomes of a monitor, dense or of low rank, with `value` at byte `at` and a right checksum.
fn patched(rank: usize, at: usize, value: &[u8]) -> Result<(), Field> {
    let integrator = Integrator::new(rank, Form::Rate, Arithmetic::Separate);
    let (plan, words) = integrator.monitor(100, [1, 1], 0);
    let shape = integrator.monitored();
    let monitor = Monitor::new(shape, plan, &words).expect("valid");
    let mut aligned = vec![0_u32; wire::length(&shape, tinyfold_core::Number::F32).div_ceil(4)];
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut aligned);
    wire::write(&monitor, 1, bytes).expect("the right length");
    bytes[at..at + value.len()].copy_from_slice(value);
    let (body, checksum) = bytes.split_last_chunk_mut().expect("longer");
    *checksum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(body).to_le_bytes();
    wire::read::<f32>(bytes).map(|_| ()).map_err(|error| error.field)
}

#[test]
fn a_right_checksum_does_not_excuse_wrong_contents() {
    assert_eq!(patched(0, 0, b"TFMN"), Ok(()));
    for (at, value, field) in [
        (0, &b"TFLD"[..], Field::Magic),
        (4, &[2, 0], Field::Version),
        (6, &[3], Field::Number),
        (6, &[0], Field::Number),
        (7, &[0], Field::Dimensions),
        (7, &[9], Field::Dimensions),
        (8, &[0, 0], Field::Neurons),
        (10, &[255, 255], Field::Rank),
        (14, &[0, 0], Field::Outputs),
        // A neuron less: another length.
        (8, &[N as u8 - 1], Field::Checksum),
        (20, &[0, 0], Field::Steps),
        (28, &[0, 0], Field::Steps),
        (30, &[1], Field::Reserved),
        (31, &[1], Field::Reserved),
        (wire::HEADER_LEN + 400, &f32::NAN.to_le_bytes(), Field::Manifold),
    ] {
        assert_eq!(patched(0, at, value), Err(field), "byte {at}");
    }
    // What is multiplied by 0, or by less, raises no alarm.
    for rank in [0, 2] {
        let shape = Integrator::new(rank, Form::Rate, Arithmetic::Separate).monitored();
        let inverses: Vec<usize> = shape.inverses().collect();
        assert_eq!(inverses.len(), if rank == 0 { N + 1 + shape.dimensions } else { 2 + D + 2 + D });
        assert_eq!(inverses.last(), Some(&(shape.parameter_len() - 1)));
        for at in inverses.iter().map(|at| wire::HEADER_LEN + 4 * at) {
            for blind in [0.0_f32, -0.0, -1.0] {
                assert_eq!(patched(rank, at, &blind.to_le_bytes()), Err(Field::Manifold), "byte {at}");
            }
            assert_eq!(patched(rank, at, &1.0_f32.to_le_bytes()), Ok(()), "byte {at}");
        }
    }
}
