//! Rules of dense networks against the network unrolled by hand, and optimisers against steps by hand.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tinyfold_core::learn::{
    Adam, Groups, Learner, Lms, Loss, Momentum, Online, Optimiser, Params, Rtrl, Rule, Sgd, Tape, Tbptt,
};
use tinyfold_core::pack::{Matrices, Weights, pack};
use tinyfold_core::{Activation, Settings, Shape, Variant};

#[path = "common/learners.rs"]
mod learners;
#[path = "common/places.rs"]
mod places;

use learners::{Random, lend, settings, words};
use places::places;

/// A dense network as row-major lists, its scaling, raw samples and physical targets.
#[derive(Clone, Debug)]
struct Problem {
    shape: Shape,
    settings: Settings<f64>,
    /// W, B, b, C, c.
    parts: [Vec<f64>; 5],
    /// Center and gain of inputs and outputs.
    scaling: Vec<[f64; 2]>,
    x: Vec<Vec<f64>>,
    /// NaN where there is no target.
    target: Vec<Vec<f64>>,
}

const STEPS: usize = 14;

impl Problem {
    fn new(shape: Shape, activation: Activation<f64>, alpha: f64, seed: u64) -> Self {
        let Shape { neurons: n, inputs, outputs, .. } = shape;
        let mut random = Random(seed);
        let scale = 1.3 / (n as f64).sqrt();
        let parts = [
            random.list(n * n, scale),
            random.list(n * inputs, 1.0),
            random.list(n, 0.5),
            random.list(outputs * n, scale),
            random.list(outputs, 0.5),
        ];
        let scaling = (0..inputs + outputs)
            .map(|_| [f64::from(random.next()), 1.5 + f64::from(random.next())])
            .collect();
        let x = (0..STEPS).map(|_| random.list(inputs, 1.5)).collect();
        // Some steps have no target, some channels of others neither.
        let missing = |t: usize, o: usize| t % 5 == 3 || outputs > 1 && (t + o) % 3 == 1;
        let target = (0..STEPS)
            .map(|t| {
                let list = random.list::<f64>(outputs, 1.0).into_iter().enumerate();
                list.map(|(o, y)| if missing(t, o) { f64::NAN } else { y }).collect()
            })
            .collect();
        let settings =
            Settings { alpha, keep: 1.0 - alpha, variant: Variant::Libm, ..Settings::new(activation) };
        Self { shape, settings, parts, scaling, x, target }
    }

    fn pack(&self, parts: &[Vec<f64>; 5]) -> Vec<f64> {
        let [w, input, bias, readout, output_bias] = parts;
        let matrices = Matrices {
            weights: Weights::Dense(w),
            input,
            bias,
            readout,
            output_bias,
            scaling: &self.scaling,
            initial: &[],
        };
        let mut words = vec![0.0; self.shape.parameter_len()];
        pack(&self.shape, &matrices, &mut words).expect("right sizes");
        words
    }

    /// Packed places of the words of `parts`, in their order.
    fn places(&self) -> [Vec<usize>; 5] {
        places(&self.parts, |marks| self.pack(marks))
    }

    /// Gradients of all packed words at every step with a target, none at the others.
    fn learned<R: Rule<f64>>(&self, make: impl FnOnce(&Params<'_, f64>) -> R) -> Vec<Option<Vec<f64>>> {
        let mut words = self.pack(&self.parts);
        let mut params = Params::new(self.shape, self.settings, &mut words).expect("good numbers");
        let mut memory = vec![0.0; self.shape.state_len()];
        let mut state = params.view().state(&mut memory).expect("enough");
        let mut tape = vec![0.0; self.shape.parameter_len()];
        let mut learner = Online::new(make(&params), Tape(&mut tape), Loss::Square);
        let mut step = |(x, target): (&Vec<f64>, &Vec<f64>)| {
            learner.step(&mut params, &mut state, x, Some(target));
            target.iter().any(|y| y.is_finite()).then(|| learner.optimiser().0.to_vec())
        };
        self.x.iter().zip(&self.target).map(&mut step).collect()
    }

    /// The gradient of the loss of step `last` through the `window` steps up to it, in the order of `parts`.
    fn unrolled(&self, last: usize, window: usize) -> [Vec<f64>; 5] {
        let Shape { neurons: n, inputs, outputs, .. } = self.shape;
        let [w, input, bias, readout, output_bias] = &self.parts;
        let Settings { alpha, keep, activation, variant, .. } = self.settings;
        let mut h = vec![vec![0.0; n]];
        let (mut scaled, mut pre) = (Vec::new(), Vec::new());
        for x in &self.x[..=last] {
            let x: Vec<f64> =
                x.iter().zip(&self.scaling).map(|(x, [center, gain])| (x - center) * gain).collect();
            let now = h.last().expect("one at least");
            let p: Vec<f64> = (0..n)
                .map(|i| {
                    bias[i]
                        + (0..n).map(|j| w[i * n + j] * now[j]).sum::<f64>()
                        + (0..inputs).map(|l| input[i * inputs + l] * x[l]).sum::<f64>()
                })
                .collect();
            h.push((0..n).map(|i| keep * now[i] + alpha * activation.value(p[i], variant)).collect());
            scaled.push(x);
            pre.push(p);
        }
        let mut g = self.parts.clone().map(|part| vec![0.0; part.len()]);
        let mut lambda = vec![0.0; n];
        for o in 0..outputs {
            let y = output_bias[o] + (0..n).map(|i| readout[o * n + i] * h[last + 1][i]).sum::<f64>();
            let [center, gain] = self.scaling[inputs + o];
            let target = self.target[last][o];
            let error = if target.is_finite() { y - (target - center) / gain } else { 0.0 };
            g[4][o] = error;
            for i in 0..n {
                g[3][o * n + i] = error * h[last + 1][i];
                lambda[i] += error * readout[o * n + i];
            }
        }
        for t in (0..=last).rev().take(window) {
            let mut before: Vec<f64> = lambda.iter().map(|l| keep * l).collect();
            for i in 0..n {
                let delta = alpha * activation.derivative(pre[t][i], variant) * lambda[i];
                for j in 0..n {
                    g[0][i * n + j] += delta * h[t][j];
                    before[j] += delta * w[i * n + j];
                }
                for l in 0..inputs {
                    g[1][i * inputs + l] += delta * scaled[t][l];
                }
                g[2][i] += delta;
            }
            lambda = before;
        }
        g
    }

    /// The largest difference of `learned` from what was unrolled over `window` steps, in the parts from `first` on,
    /// relative to the largest entry of a step.
    fn worst(&self, learned: &[Option<Vec<f64>>], window: usize, first: usize) -> f64 {
        let places = self.places();
        let mut worst = 0.0_f64;
        for (t, gradient) in learned.iter().enumerate() {
            let Some(gradient) = gradient else { continue };
            let truth = self.unrolled(t, window);
            let size = truth.iter().flatten().fold(1e-3_f64, |most, g| most.max(g.abs()));
            for (part, (places, truth)) in places.iter().zip(&truth).enumerate() {
                for (&at, truth) in places.iter().zip(truth) {
                    let truth = if part < first { 0.0 } else { *truth };
                    worst = worst.max((gradient[at] - truth).abs() / size);
                }
            }
        }
        worst
    }
}

fn problems() -> impl Strategy<Value = Problem> {
    let activations = prop_oneof![
        Just(Activation::Linear),
        Just(Activation::Relu),
        Just(Activation::Clipped { lo: -0.4, hi: 0.9 }),
        Just(Activation::Tanh),
        Just(Activation::Sigmoid { slope: 2.0, threshold: 0.3 }),
    ];
    let sizes = (1_usize..12, 1_usize..4, 1_usize..4);
    let alphas = prop_oneof![Just(1.0), 0.2..0.9];
    (activations, sizes, alphas, any::<u64>()).prop_map(
        |(activation, (neurons, inputs, outputs), alpha, seed)| {
            Problem::new(Shape { neurons, rank: 0, inputs, outputs }, activation, alpha, seed)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 100,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(21),
        ..ProptestConfig::default()
    })]

    /// Every window, from one step to more than there are: the ring wraps round up to 13 times.
    #[test]
    fn truncated_gradients_are_those_of_the_unrolled_window(problem in problems()) {
        for window in 1..=STEPS + 1 {
            let mut memory = vec![f64::NAN; Tbptt::<f64>::memory_len(&problem.shape, window)];
            let learned =
                problem.learned(|params| Tbptt::new(params, Groups::ALL, window, &mut memory).expect("enough"));
            let worst = problem.worst(&learned, window, 0);
            prop_assert!(worst <= 1e-12, "window {window}: {worst:e}");
        }
    }

    #[test]
    fn exact_gradients_are_those_of_the_unrolled_network(problem in problems()) {
        let mut memory = vec![f64::NAN; Rtrl::<f64>::memory_len(&problem.shape)];
        let learned = problem.learned(|params| Rtrl::new(params, Groups::ALL, &mut memory).expect("enough"));
        let worst = problem.worst(&learned, STEPS, 0);
        prop_assert!(worst <= 1e-12, "{worst:e}");
    }

    #[test]
    fn lms_is_the_gradient_of_the_readout(problem in problems()) {
        let mut memory = vec![f64::NAN; Lms::<f64>::memory_len(&problem.shape)];
        let learned = problem.learned(|params| Lms::new(params, Groups::ALL, &mut memory).expect("enough"));
        let worst = problem.worst(&learned, STEPS, 3);
        prop_assert!(worst <= 1e-12, "{worst:e}");
    }
}

/// A step along every gradient of `gradients`, of one word from 1 on: the word after each.
fn steps(mut optimiser: impl Optimiser<f64>, gradients: [f64; 3]) -> [f64; 3] {
    let mut word = 1.0;
    gradients.map(|gradient| {
        let scale = optimiser.begin();
        word = optimiser.word(0, word, scale * gradient);
        word
    })
}

/// m = 1, 2.5, −2.75.
#[test]
fn momentum_makes_three_steps_as_by_hand() {
    let mut memory = [f64::NAN];
    let momentum = Momentum::new(0.5, 0.5, 1, &mut memory).expect("in range");
    assert_eq!(steps(momentum, [1.0, 2.0, -4.0]), [0.5, -0.75, 0.625]);
}

/// m = 1, 0, 3/2 and v = 1, 1, 3; without bias 2, 0, 12/7 and 4, 16/7, 192/37.
#[test]
fn adam_makes_three_steps_as_by_hand() {
    let mut memory = [f64::NAN; 2];
    let epsilon = 1.0 / 1024.0;
    let adam = Adam::new(0.5, [0.5, 0.75], epsilon, 1, &mut memory).expect("in range");
    let first = 1.0 - 0.5 * 2.0 / (2.0 + epsilon);
    let third = first - 0.5 * (12.0 / 7.0) / ((192.0_f64 / 37.0).sqrt() + epsilon);
    for (found, expected) in steps(adam, [2.0, -1.0, 3.0]).into_iter().zip([first, first, third]) {
        assert!((found - expected).abs() < 4.0 * f64::EPSILON, "{found} but {expected}");
    }
}

/// Normalised LMS at rate r leaves 1 − r s / (1 + s) of an error, s = ‖h‖² + 1: at rate 2 never more than all of it.
#[test]
fn normalised_steps_never_overshoot() {
    let shape = Shape { neurons: 5, rank: 0, inputs: 2, outputs: 2 };
    let mut random = Random(4);
    for rate in [0.5, 1.0, 2.0] {
        for scale in [1e-3, 1.0, 1e3] {
            let mut packed = words::<f64>(shape, 3);
            let mut params =
                Params::new(shape, settings(Activation::Relu, false), &mut packed).expect("good");
            let rule = Lms::new(&params, Groups::READOUT, lend(Lms::<f64>::memory_len(&shape)));
            let rule = rule.expect("enough");
            let sgd = Sgd::new(rate).expect("in range");
            let mut learner = Online::new(rule, sgd, Loss::Square).normalised(true);
            let mut memory = vec![0.0; shape.state_len()];
            let mut state = params.view().state(&mut memory).expect("enough");
            for _ in 0..30 {
                params.view().reset(&mut state);
                let (x, target) = (random.list::<f64>(2, scale), random.list::<f64>(2, scale));
                learner.step(&mut params, &mut state, &x, Some(&target));
                let s = state.carried().iter().map(|h| h * h).sum::<f64>() + 1.0;
                let before: Vec<f64> = state.output().iter().zip(&target).map(|(y, t)| y - t).collect();
                params.view().reset(&mut state);
                params.view().step(&mut state, &x);
                for ((y, t), before) in state.output().iter().zip(&target).zip(before) {
                    let (after, expected) = (y - t, before * (1.0 - rate * s / (1.0 + s)));
                    // Sums of 6 products of numbers up to some scale, or 1: 1e-15 of their squares.
                    let rounding = 1e-13 * s.max(1.0);
                    assert!((after - expected).abs() <= rounding, "{after} but {expected}");
                    assert!(after.abs() <= before.abs() + rounding, "{after} after {before}");
                }
            }
        }
    }
}
