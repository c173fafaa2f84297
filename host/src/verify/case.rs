//! Cases: a model, the samples it is run on, and the truth in f64.

use faer::Mat;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::format::model::{self, ModelBytes};
use crate::network::{Activation, Arithmetic, Channel, Form, Network, Recurrence, Variant};
use crate::{Result, simulate};

/// A model and the raw samples it is run on.
pub struct Case {
    /// What is special about it.
    pub name: String,
    /// The exported bytes: what every backend gets.
    pub model: ModelBytes,
    /// Raw samples in physical units, row-major T × I.
    pub samples: Vec<f32>,
    /// I.
    pub inputs: usize,
    /// The exported weights, widened to f64.
    pub exported: Network,
    /// The weights before they were rounded to f32, when known.
    pub original: Option<Network>,
}

/// What the independent f64 host computes for a case.
pub struct Truth {
    /// Outputs in physical units, row-major T × O.
    pub outputs: Vec<f64>,
    /// Carried words, row-major T × carried.
    pub carried: Vec<f64>,
}

impl Case {
    /// The case of a network: exports it and keeps the original beside.
    ///
    /// # Errors
    /// The network cannot be exported.
    pub fn of_network(name: impl Into<String>, network: Network, samples: Vec<f32>) -> Result<Self> {
        let model = model::export::<f32>(&network)?;
        let mut case = Self::of_model(name, model, samples, "export")?;
        case.original = Some(network);
        Ok(case)
    }

    /// The case of model bytes; `place` names the file in messages.
    ///
    /// # Errors
    /// The bytes are not an f32 model of this version.
    pub fn of_model(
        name: impl Into<String>,
        model: ModelBytes,
        samples: Vec<f32>,
        place: &str,
    ) -> Result<Self> {
        let exported = model::import(&model::read::<f32>(&model, place)?, place)?;
        let inputs = exported.input.ncols();
        Ok(Self { name: name.into(), model, samples, inputs, exported, original: None })
    }

    /// Number of samples.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.samples.len() / self.inputs.max(1)
    }

    /// The same samples through `network` in f64: scaled, held where not finite, simulated.
    #[must_use]
    pub fn truth(&self, network: &Network) -> Truth {
        let mut held = vec![0.0; self.inputs];
        let mut x = Vec::with_capacity(self.samples.len());
        for sample in self.samples.chunks_exact(self.inputs.max(1)) {
            for ((held, &raw), channel) in held.iter_mut().zip(sample).zip(&network.inputs) {
                let scaled = (f64::from(raw) - channel.center) * channel.gain;
                if scaled.is_finite() {
                    *held = scaled;
                }
                x.push(*held);
            }
        }
        let trajectory = simulate::run(network, &x, false);
        let outputs = trajectory
            .outputs
            .iter()
            .zip(network.outputs.iter().cycle())
            .map(|(y, channel)| y * channel.gain + channel.center)
            .collect();
        Truth { outputs, carried: trajectory.carried }
    }
}

/// Neurons of a suite network: not a multiple of the panel height.
const NEURONS: usize = 12;
const RANK: usize = 2;
const INPUTS: usize = 3;
const OUTPUTS: usize = 2;

/// Every form × dense / low-rank × activation × arithmetic, with and without leak, libm and
/// micromath: random stable networks (seeded) on random samples, some of which are not finite.
///
/// # Errors
/// None in practice: the networks are exportable by construction.
pub fn suite(steps: usize) -> Result<Vec<Case>> {
    let activations = [
        ("linear", Activation::Linear),
        ("relu", Activation::Relu),
        ("clipped", Activation::Clipped { lo: 0.0, hi: 0.5 }),
        ("tanh", Activation::Tanh),
        ("sigmoid", Activation::Sigmoid { slope: 2.0, threshold: 0.25 }),
    ];
    let mut cases = Vec::new();
    for (form, form_name) in [(Form::Rate, "rate"), (Form::Current, "current")] {
        for (rank, rank_name) in [(0, "dense"), (RANK, "rank 2")] {
            for (activation_name, activation) in activations {
                for (arithmetic, arithmetic_name) in
                    [(Arithmetic::Separate, "separate"), (Arithmetic::Fused, "fused")]
                {
                    for alpha in [1.0, 0.3] {
                        let transcendental =
                            matches!(activation, Activation::Tanh | Activation::Sigmoid { .. });
                        // The fast variant once for each function, form and rank: the rest is the same code.
                        let fast = transcendental && arithmetic == Arithmetic::Separate && alpha < 1.0;
                        for variant in
                            [Some(Variant::Libm), fast.then_some(Variant::Micromath)].into_iter().flatten()
                        {
                            let mut rng = ChaCha8Rng::seed_from_u64(cases.len() as u64);
                            let mut network = random_network(activation, rank, &mut rng);
                            network.form = form;
                            network.alpha = alpha;
                            network.arithmetic = arithmetic;
                            network.variant = variant;
                            network.initial = normal(network.carried(), 0.5, &mut rng);
                            let fast = if variant == Variant::Micromath { " micromath" } else { "" };
                            let name = format!(
                                "{form_name}, {rank_name}, {activation_name}{fast}, {arithmetic_name}, alpha {alpha}"
                            );
                            cases.push(Case::of_network(name, network, samples(steps, &mut rng))?);
                        }
                    }
                }
            }
        }
    }
    Ok(cases)
}

fn normal(count: usize, scale: f64, rng: &mut ChaCha8Rng) -> Vec<f64> {
    StandardNormal.sample_iter(rng).take(count).map(|x: f64| x * scale).collect()
}

fn matrix(rows: usize, columns: usize, scale: f64, rng: &mut ChaCha8Rng) -> Mat<f64> {
    let entries = normal(rows * columns, scale, rng);
    Mat::from_fn(rows, columns, |i, j| entries[i * columns + j])
}

/// Random weights whose W has Frobenius norm at most 0.8, so that rounding errors die out.
fn random_network(activation: Activation<f64>, rank: usize, rng: &mut ChaCha8Rng) -> Network {
    let shrink = |w: Mat<f64>, norm: f64| {
        let factor = 0.8 / norm;
        faer::Scale(factor) * w
    };
    let recurrence = if rank == 0 {
        let w = matrix(NEURONS, NEURONS, 1.0, rng);
        let norm = w.norm_l2();
        Recurrence::Dense(shrink(w, norm))
    } else {
        let (u, v) = (matrix(NEURONS, rank, 0.5, rng), matrix(NEURONS, rank, 0.5, rng));
        let norm = (&u * v.transpose()).norm_l2();
        Recurrence::LowRank { u: shrink(u, norm), v }
    };
    let (input, readout) = (matrix(NEURONS, INPUTS, 0.5, rng), matrix(OUTPUTS, NEURONS, 0.5, rng));
    let mut network = Network::plain(activation, recurrence, input, readout);
    network.bias = normal(NEURONS, 0.2, rng);
    network.output_bias = normal(OUTPUTS, 0.2, rng);
    let channel = |kind: &str, k: usize, rng: &mut ChaCha8Rng| Channel {
        center: rng.random_range(-0.5..0.5),
        gain: rng.random_range(0.5..2.0),
        ..Channel::plain(format!("{kind}{k}"))
    };
    network.inputs = (0..INPUTS).map(|k| channel("x", k, rng)).collect();
    network.outputs = (0..OUTPUTS).map(|k| channel("y", k, rng)).collect();
    network
}

/// Gaussian samples; now and then a sensor fails.
fn samples(steps: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    (0..steps * INPUTS)
        .map(|k| match k % 97 {
            17 => f32::NAN,
            59 => f32::INFINITY,
            _ => StandardNormal.sample(rng),
        })
        .collect()
}
