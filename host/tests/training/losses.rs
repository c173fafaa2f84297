//! The average and the proxy loss: by definition, by finite differences, and where they must vanish.

use faer::Mat;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use tinyfold::design::exact::{Spec, exact};
use tinyfold::network::{Activation, Recurrence};
use tinyfold::simulate;
use tinyfold::task::Integration;
use tinyfold::train::bptt::{Batch, Fixed, Workspace};
use tinyfold::train::parameters::{Parameters, Weights};
use tinyfold::train::sequences::Source;
use tinyfold::train::{average, bptt, proxy};

/// Weights, vectors and biases drawn at random; of rank R unless it is 0.
struct Problem {
    fixed: Fixed<f64>,
    parameters: Parameters<f64>,
    task: Integration,
}

impl Problem {
    fn new(
        n: usize,
        channels: usize,
        rank: usize,
        activation: Activation<f64>,
        [free, encoder]: [bool; 2],
        seed: u64,
    ) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut random = |rows, columns, scale: f64| {
            Mat::from_fn(rows, columns, |_, _| {
                let x: f64 = StandardNormal.sample(&mut rng);
                scale * x
            })
        };
        let size = 0.7 / (n as f64).sqrt();
        let task = Integration {
            decays: (0..channels).map(|c| 0.7 + 0.1 * c as f64).collect(),
            scales: (0..channels).map(|c| 1.0 + c as f64).collect(),
        };
        let fixed = Fixed {
            activation,
            alpha: 1.0,
            encoder: random(n, channels, 0.8),
            decoder: random(channels, n, 0.8),
            bias: None,
            current: None,
            nonlinear_decoder: false,
            signs: None,
            weight: task.scales.iter().map(|s| 1.0 / (s * s)).collect(),
        };
        let biases = free && activation != Activation::Linear;
        let parameters = Parameters {
            weights: match rank {
                0 => Weights::Dense(random(n, n, size)),
                rank => Weights::LowRank(random(n, rank, size), random(n, rank, 1.0)),
            },
            input: None,
            encoder: encoder.then(|| random(n, channels, 0.8)),
            bias: biases.then(|| random(n, 1, 0.5)),
            readout: free.then(|| random(channels, n, 0.8)),
            output_bias: biases.then(|| random(channels, 1, 0.5)),
        };
        Self { fixed, parameters, task }
    }

    fn weights(&self) -> Mat<f64> {
        match &self.parameters.weights {
            Weights::Dense(w) => w.clone(),
            Weights::LowRank(u, v) => u * v.transpose(),
        }
    }

    fn encoder(&self) -> &Mat<f64> {
        self.parameters.encoder.as_ref().unwrap_or(&self.fixed.encoder)
    }

    fn readout(&self) -> &Mat<f64> {
        self.parameters.readout.as_ref().unwrap_or(&self.fixed.decoder)
    }

    /// sum_c 1 / (s_c² T²) sum_k (T + 1 - k) sum_c' (d_c · Wᵏ e_c' - s_c gamma_c^k delta_cc')².
    fn average(&self, steps: usize) -> f64 {
        let (w, channels) = (self.weights(), self.task.channels());
        let mut power = self.encoder().clone();
        let mut loss = 0.0;
        for k in 1..=steps {
            power = &w * power;
            let read = self.readout() * &power;
            for c in 0..channels {
                let Integration { decays, scales } = &self.task;
                let share = (steps + 1 - k) as f64 / (scales[c] * steps as f64).powi(2);
                for other in 0..channels {
                    let wanted = if c == other { scales[c] * decays[c].powi(k as i32) } else { 0.0 };
                    loss += share * (read[(c, other)] - wanted).powi(2);
                }
            }
        }
        loss
    }

    /// The mean over states, one after the other.
    fn proxy(&self, alpha: &Mat<f64>) -> f64 {
        let (w, channels) = (self.weights(), self.task.channels());
        let Integration { decays, scales } = &self.task;
        let mut loss = 0.0;
        for k in 0..alpha.ncols() {
            let state = alpha.subcols(k, 1).to_owned();
            let mut p = &w * (self.encoder() * &state);
            if let Some(bias) = &self.parameters.bias {
                p += bias;
            }
            let phi = Mat::from_fn(p.nrows(), 1, |i, _| simulate::activate(self.fixed.activation, p[(i, 0)]));
            let next = Mat::from_fn(channels, 1, |c, _| decays[c] * state[(c, 0)]);
            loss += (&w * &phi - &w * (self.encoder() * &next)).squared_norm_l2();
            let y = self.readout() * &phi;
            for c in 0..channels {
                let offset = self.parameters.output_bias.as_ref().map_or(0.0, |bias| bias[(c, 0)]);
                loss += ((y[(c, 0)] + offset) / scales[c] - next[(c, 0)]).powi(2);
            }
        }
        loss / alpha.ncols() as f64
    }

    /// The derivative along a random direction, by Richardson extrapolation, against `gradient`.
    fn check(&mut self, gradient: &Parameters<f64>, loss: &dyn Fn(&Self) -> f64, seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut random =
            |m: &&Mat<f64>| Mat::from_fn(m.nrows(), m.ncols(), |_, _| StandardNormal.sample(&mut rng));
        let direction: Vec<Mat<f64>> = gradient.matrices().iter().map(&mut random).collect();
        let length = direction.iter().map(Mat::squared_norm_l2).sum::<f64>().sqrt();
        let mut moved = |step: f64| {
            let mut go = |step: f64| {
                for (matrix, direction) in self.parameters.matrices_mut().into_iter().zip(&direction) {
                    *matrix += direction * faer::Scale(step / length);
                }
            };
            go(step);
            let value = loss(self);
            let mut back = |step: f64| {
                for (matrix, direction) in self.parameters.matrices_mut().into_iter().zip(&direction) {
                    *matrix -= direction * faer::Scale(step / length);
                }
            };
            back(step);
            value
        };
        let mut central = |step: f64| (moved(step) - moved(-step)) / (2.0 * step);
        let numeric = (4.0 * central(1e-4) - central(2e-4)) / 3.0;
        let along: f64 = gradient
            .matrices()
            .iter()
            .zip(&direction)
            .map(|(g, d)| g.col_iter().zip(d.col_iter()).map(|(g, d)| g.transpose() * d).sum::<f64>())
            .sum();
        // The loss is rounded to 1e-16 of itself, which the step of 1e-4 divides.
        let scale = gradient.norm() + 1e-5 * loss(self);
        assert!((numeric - along / length).abs() <= 1e-6 * scale, "{numeric} and {}", along / length);
    }
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(5),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(100))]

    #[test]
    fn the_average_loss_and_its_gradient((n, channels, rank, steps) in (2_usize..9, 1_usize..4, 0_usize..3, 1_usize..7), free in any::<[bool; 2]>(), seed in any::<u64>()) {
        let mut problem = Problem::new(n, channels, rank, Activation::Linear, free, seed);
        let (loss, gradient) = average::loss_and_gradient(&problem.fixed, &problem.parameters, &problem.task, steps);
        let expected = problem.average(steps);
        prop_assert!((loss - expected).abs() <= 1e-12 * expected);
        problem.check(&gradient, &|problem| problem.average(steps), !seed);
    }

    #[test]
    fn the_proxy_loss_and_its_gradient((n, channels, rank, count) in (2_usize..9, 1_usize..4, 0_usize..3, 1_usize..6), kind in 0_usize..4, free in any::<[bool; 2]>(), seed in any::<u64>()) {
        // Smooth ones, and a ReLU: random states are nowhere near a kink with these seeds, else the difference fails.
        let activation = [Activation::Linear, Activation::Relu, Activation::Tanh, Activation::Sigmoid { slope: 1.5, threshold: 0.2 }][kind];
        let mut problem = Problem::new(n, channels, rank, activation, free, seed);
        let alpha = proxy::draw(&problem.task, 2.0, count, &mut ChaCha8Rng::seed_from_u64(seed));
        let bias = problem.parameters.bias.clone().unwrap_or_else(|| Mat::zeros(n, 1));
        let p = problem.weights() * problem.encoder() * &alpha;
        let near = (0..n).any(|i| (0..count).any(|k| (p[(i, k)] + bias[(i, 0)]).abs() < 1e-2));
        prop_assume!(activation != Activation::Relu || !near);
        let (loss, gradient) = proxy::loss_and_gradient(&problem.fixed, &problem.parameters, &problem.task, &alpha, count);
        let expected = problem.proxy(&alpha);
        prop_assert!((loss - expected).abs() <= 1e-12 * expected);
        problem.check(&gradient, &|problem| problem.proxy(&alpha), !seed);
    }
}

/// Over 40 000 Gaussian sequences the mean of T times the batch loss is the average loss within five standard errors,
/// which are sqrt(2 / 40 000) of it at most, as every squared error is one of a Gaussian.
#[test]
fn the_average_loss_is_the_expectation_of_the_batch_loss() {
    let problem = Problem::new(12, 2, 0, Activation::Linear, [false; 2], 3);
    let steps = 5;
    let batch: Batch<f64> = Source::new(&problem.task.clone().into(), steps, None).draw(
        40_000,
        0,
        &mut ChaCha8Rng::seed_from_u64(1),
    );
    let (loss, _) = bptt::loss_and_gradient(
        &problem.fixed,
        &problem.parameters,
        &batch,
        40_000,
        &mut Workspace::default(),
    );
    let expected = problem.average(steps);
    let (found, error) = (steps as f64 * loss, (2.0_f64 / 40_000.0).sqrt());
    assert!((found / expected - 1.0).abs() < 5.0 * error, "{found}, expected {expected}");
    assert!((found / expected - 1.0).abs() > 0.0);
}

/// An exact integrator meets the conditions on every state, and its average loss is 0 for every T.
#[test]
fn exact_designs_have_no_loss() {
    for (activation, channels) in [(Activation::Relu, 2), (Activation::Linear, 3)] {
        let mut problem = Problem::new(64, channels, 0, activation, [false; 2], 9);
        let encoder = Some(problem.fixed.encoder.clone());
        let decoder = Some(problem.fixed.decoder.clone());
        let spec = Spec { neurons: 64, task: problem.task.clone(), activation, seed: 2, encoder, decoder };
        let Recurrence::LowRank { u, v } = exact(&spec).expect("enough neurons").network.recurrence else {
            panic!("a design of low rank")
        };
        problem.parameters.weights = Weights::LowRank(u, v);
        let alpha = proxy::draw(&problem.task, 8.0, 200, &mut ChaCha8Rng::seed_from_u64(4));
        let proxy = proxy::loss_and_gradient(&problem.fixed, &problem.parameters, &problem.task, &alpha, 200);
        assert!(proxy.0 < 1e-20 && proxy.1.norm() < 1e-9, "{} {}", proxy.0, proxy.1.norm());
        if activation == Activation::Linear {
            let average = average::loss_and_gradient(&problem.fixed, &problem.parameters, &problem.task, 50);
            assert!(average.0 < 1e-20, "{}", average.0);
        }
    }
}
