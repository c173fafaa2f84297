//! Exact RTRL in the latent against backpropagation through the unrolled network and against finite differences.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tinyfold_core::learn::{Groups, LatentRtrl, Learner, Loss, Online, Params, Tape, Tie};
use tinyfold_core::pack::{Matrices, Weights, pack};
use tinyfold_core::{Activation, Scalar, Settings, Shape, Variant};

#[path = "common/places.rs"]
mod places;

use places::places;

/// A network of rank R as plain lists, its inputs and targets.
#[derive(Clone, Debug)]
struct Problem {
    shape: Shape,
    settings: Settings<f64>,
    tie: Tied,
    encoder: Vec<f64>,
    /// u, v, input, bias, readout (row-major), output bias.
    parts: [Vec<f64>; 6],
    initial: Vec<f64>,
    x: Vec<Vec<f64>>,
    /// In network units; NaN where there is no target.
    target: Vec<Vec<f64>>,
    /// Center and gain of the outputs.
    scaling: Vec<[f64; 2]>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Tied {
    No,
    Recurrent,
    Encoder,
}

/// Uniform in [-1, 1], from a seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    fn list(&mut self, count: usize, scale: f64) -> Vec<f64> {
        (0..count).map(|_| scale * self.next()).collect()
    }
}

impl Problem {
    fn new(
        shape: Shape,
        activation: Activation<f64>,
        alpha: f64,
        tie: Tied,
        steps: usize,
        seed: u64,
    ) -> Self {
        let Shape { neurons: n, rank, inputs, outputs } = shape;
        let mut random = Random(seed);
        let encoder = random.list(n * inputs, 0.6);
        let scale = 1.6 / (n as f64).sqrt();
        let parts = [
            random.list(n * rank, 1.2),
            random.list(n * rank, scale),
            random.list(n * inputs, 1.0),
            random.list(n, 0.5),
            random.list(outputs * n, scale),
            random.list(outputs, 0.5),
        ];
        let initial = random.list(rank + if alpha < 1.0 { outputs } else { 0 }, 1.0);
        let x = (0..steps).map(|_| random.list(inputs, 1.5)).collect();
        let target = (0..steps)
            .map(|t| {
                let missing = |o: usize| t % 4 == 2 || outputs > 1 && (t + o) % 3 == 1;
                let list = random.list(outputs, 1.0).into_iter().enumerate();
                list.map(|(o, y)| if missing(o) { f64::NAN } else { y }).collect()
            })
            .collect();
        let scaling = (0..outputs).map(|_| [random.next(), 1.5 + random.next()]).collect();
        let keep = 1.0 - alpha;
        let settings = Settings { alpha, keep, variant: Variant::Libm, ..Settings::new(activation) };
        let mut problem = Self { shape, settings, tie, encoder, parts, initial, x, target, scaling };
        problem.follow_tie();
        problem
    }

    /// Sets B to what the tie says.
    fn follow_tie(&mut self) {
        let Shape { neurons: n, rank, inputs, .. } = self.shape;
        let [u, v, input, ..] = &mut self.parts;
        match self.tie {
            Tied::No => {}
            Tied::Recurrent => input.copy_from_slice(u),
            Tied::Encoder => {
                for i in 0..n {
                    for l in 0..inputs {
                        input[i * inputs + l] = (0..rank)
                            .map(|r| {
                                let mix: f64 =
                                    (0..n).map(|k| v[k * rank + r] * self.encoder[k * inputs + l]).sum();
                                u[i * rank + r] * mix
                            })
                            .sum();
                    }
                }
            }
        }
    }

    fn phi(&self, p: f64) -> (f64, f64) {
        let Settings { activation, variant, .. } = self.settings;
        (activation.value(p, variant), activation.derivative(p, variant))
    }

    /// Losses of all steps, from their definition, and phi' of all pre-activations where phi has kinks.
    fn losses(&self) -> (Vec<f64>, Vec<f64>) {
        let Shape { neurons: n, rank, inputs, outputs } = self.shape;
        let [u, v, input, bias, readout, output_bias] = &self.parts;
        let Settings { alpha, keep, activation, .. } = self.settings;
        let (mut z, mut y) = (self.initial[..rank].to_vec(), self.initial[rank..].to_vec());
        y.resize(outputs, 0.0);
        let mut pattern = Vec::new();
        let mut losses = Vec::new();
        for (x, target) in self.x.iter().zip(&self.target) {
            let p: Vec<f64> = (0..n)
                .map(|i| {
                    let recurrent: f64 = (0..rank).map(|r| u[i * rank + r] * z[r]).sum();
                    let driven: f64 = (0..inputs).map(|l| input[i * inputs + l] * x[l]).sum();
                    bias[i] + recurrent + driven
                })
                .collect();
            if matches!(activation, Activation::Relu | Activation::Clipped { .. }) {
                pattern.extend(p.iter().map(|&p| self.phi(p).1));
            }
            let phi: Vec<f64> = p.iter().map(|&p| self.phi(p).0).collect();
            for (r, z) in z.iter_mut().enumerate() {
                *z = keep * *z + alpha * (0..n).map(|i| v[i * rank + r] * phi[i]).sum::<f64>();
            }
            for (o, y) in y.iter_mut().enumerate() {
                let new = output_bias[o] + (0..n).map(|i| readout[o * n + i] * phi[i]).sum::<f64>();
                *y = keep * *y + alpha * new;
            }
            let errors = y.iter().zip(target).map(|(y, t)| if t.is_finite() { (y - t).powi(2) } else { 0.0 });
            losses.push(0.5 * errors.sum::<f64>());
        }
        (losses, pattern)
    }

    /// Gradient of the loss of step `last` by backpropagation through all steps before it, in the order of `parts`.
    fn backpropagated(&self, last: usize) -> [Vec<f64>; 6] {
        let Shape { neurons: n, rank, inputs, outputs } = self.shape;
        let [u, v, input, bias, readout, output_bias] = &self.parts;
        let Settings { alpha, keep, .. } = self.settings;
        let (mut z, mut y) = (vec![self.initial[..rank].to_vec()], self.initial[rank..].to_vec());
        y.resize(outputs, 0.0);
        let mut pre = Vec::new();
        for x in &self.x[..=last] {
            let now = z.last().expect("one at least");
            let p: Vec<f64> = (0..n)
                .map(|i| {
                    bias[i]
                        + (0..rank).map(|r| u[i * rank + r] * now[r]).sum::<f64>()
                        + (0..inputs).map(|l| input[i * inputs + l] * x[l]).sum::<f64>()
                })
                .collect();
            let phi: Vec<f64> = p.iter().map(|&p| self.phi(p).0).collect();
            let next = (0..rank)
                .map(|r| keep * now[r] + alpha * (0..n).map(|i| v[i * rank + r] * phi[i]).sum::<f64>())
                .collect();
            for (o, y) in y.iter_mut().enumerate() {
                let new = output_bias[o] + (0..n).map(|i| readout[o * n + i] * phi[i]).sum::<f64>();
                *y = keep * *y + alpha * new;
            }
            z.push(next);
            pre.push(p);
        }
        let mut g = self.parts.clone().map(|part| vec![0.0; part.len()]);
        let error: Vec<f64> = (y.iter().zip(&self.target[last]))
            .map(|(y, t)| if t.is_finite() { y - t } else { 0.0 })
            .collect();
        let mut dy = error;
        let mut dz = vec![0.0; rank];
        for t in (0..=last).rev() {
            let mut dz_before: Vec<f64> = dz.iter().map(|d| keep * d).collect();
            for i in 0..n {
                let (phi, slope) = self.phi(pre[t][i]);
                let mut dphi = 0.0;
                for r in 0..rank {
                    g[1][i * rank + r] += alpha * dz[r] * phi;
                    dphi += alpha * dz[r] * v[i * rank + r];
                }
                for o in 0..outputs {
                    g[4][o * n + i] += alpha * dy[o] * phi;
                    dphi += alpha * dy[o] * readout[o * n + i];
                }
                let dp = dphi * slope;
                g[3][i] += dp;
                for r in 0..rank {
                    g[0][i * rank + r] += dp * z[t][r];
                    dz_before[r] += dp * u[i * rank + r];
                }
                for l in 0..inputs {
                    g[2][i * inputs + l] += dp * self.x[t][l];
                }
            }
            for o in 0..outputs {
                g[5][o] += alpha * dy[o];
                dy[o] *= keep;
            }
            dz = dz_before;
        }
        // Through the tie, from B to U and V.
        if self.tie == Tied::Recurrent {
            let [u, _, b, ..] = &mut g;
            u.iter_mut().zip(b).for_each(|(u, b)| *u += *b);
        }
        if self.tie == Tied::Encoder {
            for r in 0..rank {
                for l in 0..inputs {
                    let mix: f64 = (0..n).map(|k| v[k * rank + r] * self.encoder[k * inputs + l]).sum();
                    let down: f64 = (0..n).map(|i| u[i * rank + r] * g[2][i * inputs + l]).sum();
                    for i in 0..n {
                        g[0][i * rank + r] += mix * g[2][i * inputs + l];
                        g[1][i * rank + r] += down * self.encoder[i * inputs + l];
                    }
                }
            }
        }
        g
    }

    fn pack(&self, parts: &[Vec<f64>; 6]) -> Vec<f64> {
        let [u, v, input, bias, readout, output_bias] = parts;
        let matrices = Matrices {
            weights: Weights::LowRank { u, v },
            input,
            bias,
            readout,
            output_bias,
            scaling: &[&vec![[0.0, 1.0]; self.shape.inputs][..], &self.scaling].concat(),
            initial: &self.initial,
        };
        let mut words = vec![0.0; self.shape.parameter_len()];
        pack(&self.shape, &matrices, &mut words).expect("right sizes");
        words
    }

    /// Gradients of all packed words at every step, and losses, by the rule.
    fn learned<T: Scalar>(&self, groups: Groups) -> Vec<(Vec<f64>, f64)> {
        let cast = |list: &[f64]| list.iter().map(|&x| T::from_f64(x)).collect::<Vec<T>>();
        let wide = |list: &[T]| list.iter().map(|x| x.to_f64()).collect::<Vec<f64>>();
        let mut words = cast(&self.pack(&self.parts));
        let Settings { activation, variant, .. } = self.settings;
        let [alpha, keep] = [self.settings.alpha, self.settings.keep].map(T::from_f64);
        let settings = Settings { alpha, keep, variant, ..Settings::new(activation.cast()) };
        let mut params = Params::new(self.shape, settings, &mut words).expect("good numbers");
        let leaky = self.settings.alpha < 1.0;
        let encoder = cast(&self.encoder);
        let length = LatentRtrl::<T>::memory_len(&self.shape, groups, leaky);
        let mut memory = vec![T::from_f64(f64::NAN); length];
        let rule = match self.tie {
            Tied::No => LatentRtrl::new(&params, groups, &mut memory),
            Tied::Recurrent => LatentRtrl::tied(&mut params, groups, Tie::Recurrent, &mut memory),
            Tied::Encoder => LatentRtrl::tied(&mut params, groups, Tie::Encoder(&encoder), &mut memory),
        };
        let mut state_memory = vec![T::ZERO; self.shape.state_len()];
        let mut state = params.view().state(&mut state_memory).expect("enough");
        let mut tape = vec![T::ZERO; self.shape.parameter_len()];
        let mut learner = Online::new(rule.expect("enough"), Tape(&mut tape), Loss::Square);
        let steps = self.x.iter().zip(&self.target);
        steps
            .map(|(x, target)| {
                let physical = target.iter().zip(&self.scaling).map(|(y, [center, gain])| center + gain * y);
                let physical = cast(&physical.collect::<Vec<f64>>());
                let outcome = learner.step(&mut params, &mut state, &cast(x), Some(&physical));
                (wide(learner.optimiser().0), outcome.loss.to_f64())
            })
            .collect()
    }

    /// Packed places of the words of `parts`, in their order; B has none when it is tied.
    fn places(&self) -> [Vec<usize>; 6] {
        places(&self.parts, |marks| self.pack(marks))
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
    let ties = prop_oneof![Just(Tied::No), Just(Tied::Recurrent), Just(Tied::Encoder)];
    let sizes = (2_usize..9, 1_usize..6, 1_usize..4, 1_usize..4, any::<bool>());
    let alphas = prop_oneof![Just(1.0), 0.2..0.9];
    (activations, ties, sizes, alphas, any::<u64>()).prop_map(
        |(activation, tie, (neurons, rank, inputs, outputs, square), alpha, seed)| {
            let rank = rank.min(neurons);
            let (inputs, outputs) = if square { (rank, rank) } else { (inputs, outputs) };
            let inputs = if tie == Tied::Recurrent { rank } else { inputs };
            let shape = Shape { neurons, rank, inputs, outputs };
            Problem::new(shape, activation, alpha, tie, 8, seed)
        },
    )
}

const LEARNING: fn(Tied) -> Vec<usize> =
    |tie| (0..6).filter(|&part| !(part == 2 && tie != Tied::No)).collect();

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(13),
        ..ProptestConfig::default()
    })]

    #[test]
    fn gradients_are_those_of_backpropagation(problem in problems()) {
        let learned = problem.learned::<f64>(Groups::ALL);
        let (losses, _) = problem.losses();
        let places = problem.places();
        for (t, (gradient, loss)) in learned.iter().enumerate() {
            prop_assert!((loss - losses[t]).abs() <= 1e-12 * losses[t].max(1.0));
            if t % 4 == 2 {
                continue;
            }
            let truth = problem.backpropagated(t);
            let size = truth.iter().flatten().fold(1e-3_f64, |most, g| most.max(g.abs()));
            for part in LEARNING(problem.tie) {
                for (&at, truth) in places[part].iter().zip(&truth[part]) {
                    let error = (gradient[at] - truth).abs() / size;
                    prop_assert!(error <= 1e-9, "step {t}, part {part}: {} but {truth}: {error:e}", gradient[at]);
                }
            }
        }
    }

    /// In f32, relative to the largest entry of any step: 8 steps, in each of which an influence goes through a product of
    /// up to R + 2 = 7 terms, and what it is made of through sums of up to n + R = 13: 160 roundings of 2^-24, if all added up.
    #[test]
    fn gradients_in_f32_are_within_their_bound(problem in problems()) {
        let (exact, single) = (problem.learned::<f64>(Groups::ALL), problem.learned::<f32>(Groups::ALL));
        let size = exact.iter().flat_map(|(g, _)| g).fold(0.0_f64, |most, g| most.max(g.abs()));
        for (t, ((exact, _), (single, _))) in exact.iter().zip(&single).enumerate() {
            for (a, b) in exact.iter().zip(single) {
                prop_assert!((a - b).abs() <= 160.0 * (-24.0_f64).exp2() * size, "step {t}: {b} but {a}");
            }
        }
    }

    /// Differences with Richardson extrapolation along a random direction, the same neurons being active at all points.
    ///
    /// With h = 1e-4: rounding, some 1e-16 / h = 1e-12 of a loss of 1, 1e-10 of the least size; truncation, 4 h⁴ / 30 of a
    /// fifth derivative, which 8 steps along a direction of length 10 let grow to some 1e6: 1e-11.
    #[test]
    fn gradients_are_those_of_finite_differences(problem in problems(), seed in any::<u64>()) {
        let (_, pattern) = problem.losses();
        let learned = problem.learned::<f64>(Groups::ALL);
        let places = problem.places();
        let mut random = Random(seed);
        let direction = problem.parts.clone().map(|part| random.list(part.len(), 1.0));
        let parts = LEARNING(problem.tie);
        let moved = |step: f64| {
            let mut moved = problem.clone();
            for &part in &parts {
                for (x, d) in moved.parts[part].iter_mut().zip(&direction[part]) {
                    *x += step * d;
                }
            }
            moved.follow_tie();
            moved.losses()
        };
        let step = 1e-4;
        let points = [step, -step, 2.0 * step, -2.0 * step].map(moved);
        prop_assume!(points.iter().all(|(_, found)| *found == pattern));
        let [near, far] = [[&points[0].0, &points[1].0], [&points[2].0, &points[3].0]];
        for (t, (gradient, _)) in learned.iter().enumerate().filter(|(t, _)| t % 4 != 2) {
            let central = |at: &[&Vec<f64>; 2], step: f64| (at[0][t] - at[1][t]) / (2.0 * step);
            let numeric = (4.0 * central(&near, step) - central(&far, 2.0 * step)) / 3.0;
            let exact: f64 = parts
                .iter()
                .flat_map(|&part| places[part].iter().zip(&direction[part]))
                .map(|(&at, d)| gradient[at] * d)
                .sum();
            let size = gradient.iter().fold(1e-2_f64, |most, g| most.max(g.abs()));
            prop_assert!((numeric - exact).abs() <= 1e-9 * size, "step {t}: {exact} but {numeric}");
        }
    }

    /// A part that is frozen has no gradient, and what the others get does not depend on it.
    #[test]
    fn frozen_parts_change_nothing_for_the_others(problem in problems(), chosen in any::<[bool; 6]>()) {
        let [recurrent, back, input, bias, readout, output_bias] = chosen;
        let groups = Groups { recurrent, back, input, bias, readout, output_bias };
        let (all, some) = (problem.learned::<f64>(Groups::ALL), problem.learned::<f64>(groups));
        let places = problem.places();
        for ((all, _), (some, _)) in all.iter().zip(&some) {
            for part in LEARNING(problem.tie) {
                for &at in &places[part] {
                    let expected = if chosen[part] { all[at] } else { 0.0 };
                    prop_assert_eq!(some[at].to_bits(), expected.to_bits());
                }
            }
        }
    }
}
