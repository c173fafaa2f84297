//! Gradients of the batch loss against finite differences.

use faer::Mat;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestCaseError};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use tinyfold::network::Activation;
use tinyfold::simulate;
use tinyfold::train::bptt::{Batch, Fixed, Workspace, loss_and_gradient};
use tinyfold::train::parameters::{Parameters, Weights};

/// A problem with everything random and nothing zero.
struct Problem {
    fixed: Fixed<f64>,
    parameters: Parameters<f64>,
    batch: Batch<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    n: usize,
    channels: usize,
    rank: usize,
    steps: usize,
    count: usize,
}

impl Problem {
    fn new(shape: Shape, activation: Activation<f64>, alpha: f64, free: [bool; 6], seed: u64) -> Self {
        let Shape { n, channels, rank, steps, count } = shape;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut random = |rows, columns, scale: f64| {
            let mut draw = |_, _| {
                let x: f64 = StandardNormal.sample(&mut rng);
                scale * x
            };
            Mat::from_fn(rows, columns, &mut draw)
        };
        let small = 0.7 / (n as f64).sqrt();
        let [free_input, encoder, biases, readout, current, nonlinear_decoder] = free;
        Self {
            fixed: Fixed {
                activation,
                alpha,
                encoder: random(n, channels, 1.0),
                decoder: random(channels, n, 1.0),
                bias: (!biases).then(|| random(n, 1, 0.5)),
                current: current.then(|| random(n, 1, 0.5)),
                nonlinear_decoder,
                signs: None,
                weight: (0..channels).map(|c| 1.0 / (1.0 + c as f64).powi(2)).collect(),
            },
            parameters: Parameters {
                weights: if rank == 0 {
                    Weights::Dense(random(n, n, small))
                } else {
                    Weights::LowRank(random(n, rank, small), random(n, rank, small))
                },
                input: free_input.then(|| random(n, channels, 1.0)),
                encoder: (encoder && !free_input).then(|| random(n, channels, 1.0)),
                bias: biases.then(|| random(n, 1, 0.5)),
                readout: readout.then(|| random(channels, n, 1.0)),
                output_bias: biases.then(|| random(channels, 1, 0.5)),
            },
            batch: Batch {
                x: random(channels, steps * count, 1.0),
                target: random(channels, steps * count, 1.0),
                weight: None,
                steps,
            },
        }
    }

    fn gradient(&self) -> (f64, Parameters<f64>) {
        loss_and_gradient(
            &self.fixed,
            &self.parameters,
            &self.batch,
            self.batch.count(),
            &mut Workspace::default(),
        )
    }

    /// W, B, b, C, c as plain matrices.
    fn plain(&self) -> [Mat<f64>; 5] {
        let Self { fixed, parameters: p, .. } = self;
        let w = match &p.weights {
            Weights::Dense(w) => w.clone(),
            Weights::LowRank(u, v) => u * v.transpose(),
        };
        let encoder = p.encoder.as_ref().unwrap_or(&fixed.encoder);
        let input = p.input.clone().unwrap_or_else(|| &w * encoder);
        let (n, outputs) = (w.nrows(), fixed.decoder.nrows());
        let bias = p.bias.clone().or_else(|| fixed.bias.clone()).unwrap_or_else(|| Mat::zeros(n, 1));
        let readout = p.readout.clone().unwrap_or_else(|| fixed.decoder.clone());
        let output_bias = p.output_bias.clone().unwrap_or_else(|| Mat::zeros(outputs, 1));
        [w, input, bias, readout, output_bias]
    }

    /// The batch loss from its definition, one sample after the other; and the least distance of a
    /// pre-activation from a kink of phi.
    fn loss(&self) -> (f64, f64) {
        let [w, input, bias, readout, output_bias] = self.plain();
        let Self { fixed, batch, .. } = self;
        let kinks = match fixed.activation {
            Activation::Relu => vec![0.0],
            Activation::Clipped { lo, hi } => vec![lo, hi],
            _ => Vec::new(),
        };
        let (mut loss, mut distance) = (0.0, f64::INFINITY);
        for k in 0..batch.count() {
            let mut h = Mat::<f64>::zeros(w.nrows(), 1);
            for t in 0..batch.steps {
                let column = t * batch.count() + k;
                let p = &w * &h + &input * batch.x.subcols(column, 1) + &bias;
                for i in 0..w.nrows() {
                    let phi = simulate::activate(fixed.activation, p[(i, 0)]);
                    let beta = fixed.current.as_ref().map_or(0.0, |beta| beta[(i, 0)]);
                    h[(i, 0)] = (1.0 - fixed.alpha) * h[(i, 0)] + fixed.alpha * (beta + phi);
                    let gaps = kinks.iter().map(|kink| (p[(i, 0)] - kink).abs());
                    distance = gaps.fold(distance, f64::min);
                }
                let y = &readout * &h + &output_bias;
                for c in 0..y.nrows() {
                    let mut y = y[(c, 0)];
                    if fixed.nonlinear_decoder {
                        distance = kinks.iter().map(|kink| (y - kink).abs()).fold(distance, f64::min);
                        y = simulate::activate(fixed.activation, y);
                    }
                    loss += fixed.weight[c] * (y - batch.target[(c, column)]).powi(2);
                }
            }
        }
        let steps = batch.steps as f64;
        (loss / (steps * steps * steps * batch.count() as f64), distance)
    }
}

fn smooth() -> impl Strategy<Value = Activation<f64>> {
    prop_oneof![
        Just(Activation::Linear),
        Just(Activation::Tanh),
        Just(Activation::Sigmoid { slope: 1.7, threshold: 0.2 }),
    ]
}

fn activations() -> impl Strategy<Value = Activation<f64>> {
    prop_oneof![
        1 => Just(Activation::Relu),
        1 => Just(Activation::Clipped { lo: -0.3, hi: 1.2 }),
        3 => smooth(),
    ]
}

/// The loss is that of its definition; so is its derivative along a random direction through all parameters together, and
/// along one through each matrix alone, by Richardson extrapolation of central differences: error O(step⁴).
fn gradient_is_that_of_finite_differences(problem: &Problem, seed: u64) -> Result<(), TestCaseError> {
    let (loss, gradient) = problem.gradient();
    let (expected, distance) = problem.loss();
    prop_assert!((loss - expected).abs() <= 1e-12 * expected, "loss {loss}, by definition {expected}");
    // A difference across a kink is not a derivative. Parameters move by 2e-4 at most, so p does not move by 1e-2 unless
    // |h| exceeds 50.
    let has_kinks = matches!(problem.fixed.activation, Activation::Relu | Activation::Clipped { .. });
    prop_assume!(distance > 1e-2 || !has_kinks);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let matrices = gradient.matrices().len();
    for which in 0..=matrices {
        let direction: Vec<Mat<f64>> = gradient
            .matrices()
            .iter()
            .enumerate()
            .map(|(k, matrix)| {
                let on = f64::from(u8::from(which == matrices || which == k));
                Mat::from_fn(matrix.nrows(), matrix.ncols(), |_, _| {
                    let x: f64 = StandardNormal.sample(&mut rng);
                    on * x
                })
            })
            .collect();
        let length = direction.iter().map(faer::Mat::squared_norm_l2).sum::<f64>().sqrt();
        let moved = |distance: f64| {
            let mut moved = Problem {
                fixed: problem.fixed.clone(),
                parameters: problem.parameters.clone(),
                batch: problem.batch.clone(),
            };
            for (matrix, direction) in moved.parameters.matrices_mut().into_iter().zip(&direction) {
                *matrix += direction * faer::Scale(distance / length);
            }
            moved.loss().0
        };
        let central = |step: f64| (moved(step) - moved(-step)) / (2.0 * step);
        let numeric = (4.0 * central(1e-4) - central(2e-4)) / 3.0;
        let exact: f64 = gradient
            .matrices()
            .iter()
            .zip(&direction)
            .map(|(gradient, direction)| {
                (0..gradient.ncols())
                    .map(|j| {
                        gradient
                            .col_as_slice(j)
                            .iter()
                            .zip(direction.col_as_slice(j))
                            .map(|(g, d)| g * d)
                            .sum::<f64>()
                    })
                    .sum::<f64>()
            })
            .sum::<f64>()
            / length;
        // Relative to the whole gradient; rounding of the loss, 1e-16, is divided by the step.
        let scale = gradient.norm() + 1e-6 * loss;
        prop_assert!(
            (numeric - exact).abs() <= 1e-6 * scale,
            "matrix {which} of {matrices}: {exact} but {numeric}, {loss}"
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn gradients_are_those_of_finite_differences(
        activation in activations(),
        (n, channels, steps, count) in (2_usize..9, 1_usize..4, 1_usize..7, 1_usize..5),
        rank in 0_usize..4,
        alpha in prop_oneof![Just(1.0), 0.1..1.0],
        free in any::<[bool; 6]>(),
        seed in any::<u64>(),
    ) {
        let shape = Shape { n, channels, rank: rank.min(n), steps, count };
        let problem = Problem::new(shape, activation, alpha, free, seed);
        gradient_is_that_of_finite_differences(&problem, !seed)?;
    }

    /// More neurons, channels and sequences than are done together.
    #[test]
    fn gradients_of_large_networks_are_those_of_finite_differences(
        activation in smooth(),
        (n, channels, steps, count) in (14_usize..35, 1_usize..7, 1_usize..4, 14_usize..35),
        alpha in prop_oneof![Just(1.0), 0.1..1.0],
        free in any::<[bool; 6]>(),
        seed in any::<u64>(),
    ) {
        let problem = Problem::new(Shape { n, channels, rank: 0, steps, count }, activation, alpha, free, seed);
        gradient_is_that_of_finite_differences(&problem, !seed)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    /// A bias of 0 changes nothing, but with one no step is done by activation patterns; inputs of 0, with which every
    /// neuron is at its kink, and neurons without input among them.
    #[test]
    fn the_second_step_by_patterns_is_that_by_products(
        linear in any::<bool>(),
        (n, channels, steps, count) in (1_usize..40, 1_usize..4, 1_usize..5, 20_usize..90),
        alpha in prop_oneof![Just(1.0), 0.1..1.0],
        (free_input, encoder, readout, nonlinear_decoder) in any::<(bool, bool, bool, bool)>(),
        sparse in 0_usize..4,
        seed in any::<u64>(),
    ) {
        let activation = if linear { Activation::Linear } else { Activation::Relu };
        let free = [free_input, encoder, false, readout, false, nonlinear_decoder];
        let shape = Shape { n, channels, rank: 0, steps, count };
        let mut problem = Problem::new(shape, activation, alpha, free, seed);
        if let Some(input) = &mut problem.parameters.input {
            input.row_iter_mut().step_by(5).take(sparse).for_each(|mut row| row.fill(0.0));
        }
        let zeros = problem.batch.x.row_iter_mut().take(sparse);
        zeros.for_each(|row| row.iter_mut().step_by(3).for_each(|x| *x = 0.0));
        problem.fixed.bias = Some(Mat::zeros(n, 1));
        let (loss, expected) = problem.gradient();
        problem.fixed.bias = None;
        let (found, gradient) = problem.gradient();
        prop_assert!((found - loss).abs() <= 1e-12 * loss, "{found}, by products {loss}");
        let most = 1e-12 * expected.norm();
        for (gradient, expected) in gradient.matrices().into_iter().zip(expected.matrices()) {
            let distance = (gradient - expected).norm_l2();
            prop_assert!(distance <= most, "{distance:.1e} apart, norm {:.1e}", expected.norm_l2());
        }
    }
}

/// A step at rank R stores and multiplies O(n (R + T · batch)): with n = 60 000 one n × n matrix of f32
/// would be 14 GB and a product with it 4e9 multiply-adds a sample and time step.
#[test]
fn a_low_rank_step_never_makes_an_n_by_n_matrix() {
    let (n, channels, rank) = (60_000, 2, 3);
    let random = |rows, columns, seed| {
        let x = tinyfold::task::synthetic::gaussian(rows, columns, seed);
        Mat::from_fn(rows, columns, |i, j| (x[i * columns + j] / (n as f64).sqrt()) as f32)
    };
    let fixed = Fixed {
        activation: Activation::Relu,
        alpha: 0.5_f32,
        encoder: random(n, channels, 1),
        decoder: random(channels, n, 2),
        bias: None,
        current: None,
        nonlinear_decoder: false,
        signs: None,
        weight: vec![1.0; channels],
    };
    let parameters = Parameters {
        weights: Weights::LowRank(random(n, rank, 3), random(n, rank, 4)),
        input: None,
        encoder: None,
        bias: None,
        readout: None,
        output_bias: None,
    };
    let batch =
        Batch { x: random(channels, 40, 5), target: random(channels, 40, 6), weight: None, steps: 10 };
    let (loss, gradient) = loss_and_gradient(&fixed, &parameters, &batch, 4, &mut Workspace::default());
    assert!(loss.is_finite() && gradient.norm() > 0.0);
    let shapes: Vec<_> = gradient.matrices().iter().map(|m| (m.nrows(), m.ncols())).collect();
    assert_eq!(shapes, [(n, rank), (n, rank)]);
}
