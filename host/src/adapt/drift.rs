//! A sensor's gain and what is to be integrated drift half-way; one integrator adapts, a frozen one does not.
//!
//! First half: raw samples s_t = x_t and truth u_t = gamma (u_{t-1} + x_t). Second half: s_t = g x_t with the
//! sensor's new gain g, and decays gamma + d. The adapting integrator starts as the exact one of the first half
//! and gets the truth, with noise on it, as its target.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};
use tinyfold_core::learn::{Groups, Kind, Plan};

use super::{Course, Taught};
use crate::design::exact::{Spec, exact};
use crate::format::model::export;
use crate::network::Activation;
use crate::task::{Dataset, Integration};
use crate::verify::{Backend, Case};
use crate::{Error, Result};

/// What drifts, and who adapts how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// n.
    pub neurons: usize,
    /// Decays gamma_c before the drift.
    pub decays: Vec<f64>,
    /// Samples; the drift comes after half of them.
    pub samples: usize,
    /// The sensor's gain g after the drift.
    pub gain: f64,
    /// d: what the drift adds to every decay.
    pub decay: f64,
    /// Standard deviation of the noise of the targets, as a part of the truth's RMS.
    pub noise: f64,
    /// Every how many samples there is a target.
    pub every: usize,
    /// What recursive least squares keep of the past from step to step.
    pub forget: f64,
    /// Samples between two stores of what was learned in flash; 0: never.
    pub store: u32,
    /// Seed of encoders, decoders and noise.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            neurons: 64,
            decays: vec![0.95, 0.96, 0.97],
            samples: 16_000,
            gain: 1.1,
            decay: -0.02,
            noise: 0.01,
            every: 1,
            forget: 0.99,
            store: 1000,
            seed: 0,
        }
    }
}

/// Input gain: with it, integrals of samples of unit variance are of order 1.
const INPUT_GAIN: f64 = 0.05;
/// Samples of a window of the curves, and between two times when recovery is looked at.
pub const WINDOW: usize = 250;
/// Recovered: within this factor of the error before.
pub const WITHIN: f64 = 2.0;

/// The course, the frozen integrator beside it, and the truth.
pub struct Drift {
    /// The adapting integrator's.
    pub course: Course,
    /// The frozen one: the same model on the same samples.
    pub frozen: Case,
    /// u, row-major T × D.
    pub truth: Vec<f64>,
}

/// What a drift did to an integrator. Errors are relative RMSE, of the worst channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Errors {
    /// Over the last quarter before the drift.
    pub before: f64,
    /// Over the last quarter of all.
    pub after: f64,
    /// Samples after the drift from which on the error over a quarter is within [`WITHIN`] × that of the adapting
    /// integrator before; none if it never is.
    pub recovered: Option<usize>,
    /// Over windows of [`WINDOW`] samples.
    pub windows: Vec<f64>,
}

/// Both integrators.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// Samples; the drift came after half of them.
    pub samples: usize,
    /// Updates that the adapting one made.
    pub updates: u32,
    /// It.
    pub adapting: Errors,
    /// The frozen one.
    pub frozen: Errors,
}

impl Settings {
    /// Prepares both integrators for the inputs of `data`, repeated as often as it takes.
    ///
    /// # Errors
    /// Settings out of range; no exact design of this size.
    pub fn prepare(&self, data: &Dataset) -> Result<Drift> {
        self.check()?;
        let channels = self.decays.len();
        let data = data.first_inputs(channels)?;
        let task = Integration { decays: self.decays.clone(), scales: vec![1.0; channels] };
        let spec = Spec {
            neurons: self.neurons,
            task: task.clone(),
            activation: Activation::Relu,
            seed: self.seed,
            encoder: None,
            decoder: None,
        };
        let mut network = exact(&spec)?.network;
        network.inputs.clone_from(&data.inputs);
        network.inputs.iter_mut().for_each(|channel| channel.gain *= INPUT_GAIN);

        let x: Vec<f64> = data.joined(self.samples).iter().map(|x| INPUT_GAIN * x).collect();
        let half = self.samples / 2 * channels;
        let mut state = vec![0.0; channels];
        let mut truth = Vec::with_capacity(x.len());
        for (t, sample) in x.chunks_exact(channels).enumerate() {
            let drift = if t < self.samples / 2 { 0.0 } else { self.decay };
            for ((u, x), gamma) in state.iter_mut().zip(sample).zip(&self.decays) {
                *u = (gamma + drift) * (*u + x);
                truth.push(*u);
            }
        }
        let samples: Vec<f32> = x
            .iter()
            .enumerate()
            .zip(network.inputs.iter().cycle())
            .map(|((at, x), channel)| {
                let gain = if at < half { 1.0 } else { self.gain };
                (gain * x / channel.gain + channel.center) as f32
            })
            .collect();
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let level = (truth.iter().map(|u| u * u).sum::<f64>() / truth.len() as f64).sqrt();
        let mut rows = Vec::with_capacity(2 * truth.len());
        for (t, (sample, truth)) in
            samples.chunks_exact(channels).zip(truth.chunks_exact(channels)).enumerate()
        {
            rows.extend_from_slice(sample);
            for u in truth {
                let noise: f64 = StandardNormal.sample(&mut random);
                let target = u + self.noise * level * noise;
                rows.push(if t.is_multiple_of(self.every) { target as f32 } else { f32::NAN });
            }
        }
        let groups = Groups { back: true, readout: true, ..Groups::NONE };
        let plan = Plan { rate: 1.0, forget: self.forget as f32, ..Plan::new(Kind::LatentRls, groups) };
        let model = export::<f32>(&network)?;
        let course = Course { name: "drift".into(), model, plan, silent: 0, store: self.store, rows };
        Ok(Drift { course, frozen: Case::of_network("frozen", network, samples)?, truth })
    }

    fn check(&self) -> Result<()> {
        let range = |place: &str, expected: &str, good: bool, found: f64| {
            if good { Ok(()) } else { Err(Error::input(place, expected, found.to_string())) }
        };
        let step = 4 * WINDOW;
        let whole = self.samples > 0 && self.samples.is_multiple_of(step);
        range("samples", &format!("a multiple of {step}"), whole, self.samples as f64)?;
        range("gain", "a number above 0", self.gain.is_finite() && self.gain > 0.0, self.gain)?;
        for gamma in &self.decays {
            let sum = gamma + self.decay;
            range("decay after the drift", "a number in (0, 1)", sum > 0.0 && sum < 1.0, sum)?;
        }
        range("noise", "a number in [0, 1]", (0.0..=1.0).contains(&self.noise), self.noise)?;
        range("forget", "a number in [0.5, 1]", (0.5..=1.0).contains(&self.forget), self.forget)?;
        range("every", "at least 1", self.every > 0, self.every as f64)
    }
}

impl Drift {
    /// Runs the frozen integrator on a backend.
    ///
    /// # Errors
    /// As [`Backend::run`].
    pub fn run_frozen(&self, backend: &dyn Backend) -> Result<Vec<f64>> {
        let records = backend.run(&[&self.frozen])?;
        Ok(records.first().map(|record| self.frozen.values(record).0).unwrap_or_default())
    }

    /// Errors before and after, from what both integrators put out.
    #[must_use]
    pub fn findings(&self, taught: &Taught, frozen: &[f64]) -> Findings {
        let channels = self.frozen.inputs;
        let adapting = taught.outputs();
        let samples = self.truth.len() / channels;
        // Every window relative to the same level: a quiet one is not a bad one.
        let rms = |values: &mut dyn Iterator<Item = f64>, count: usize| {
            (values.map(|value| value * value).sum::<f64>() / count as f64).sqrt()
        };
        let channel =
            |values: &[f64], c| values.iter().skip(c).step_by(channels).copied().collect::<Vec<f64>>();
        let levels: Vec<f64> =
            (0..channels).map(|c| rms(&mut channel(&self.truth, c).into_iter(), samples)).collect();
        let error = |y: &[f64], from: usize, to: usize| {
            let range = from * channels..to * channels;
            let difference: Vec<f64> =
                y[range.clone()].iter().zip(&self.truth[range]).map(|(y, u)| y - u).collect();
            let worst = levels
                .iter()
                .enumerate()
                .map(|(c, level)| rms(&mut channel(&difference, c).into_iter(), to - from) / level);
            // NaN is the worst of all.
            worst.fold(0.0, |worst, error| if error > worst || error.is_nan() { error } else { worst })
        };
        let quarter = samples / 4;
        let half = 2 * quarter;
        let before = error(&adapting, half - quarter, half);
        let errors = |y: &[f64]| {
            let mut times = (half..=samples - quarter).step_by(WINDOW);
            let recovered = times.find(|&from| error(y, from, from + quarter) <= WITHIN * before);
            Errors {
                before: error(y, half - quarter, half),
                after: error(y, samples - quarter, samples),
                recovered: recovered.map(|from| from - half),
                windows: (0..samples / WINDOW).map(|k| error(y, k * WINDOW, (k + 1) * WINDOW)).collect(),
            }
        };
        Findings {
            samples,
            updates: taught.counts.updates,
            adapting: errors(&adapting),
            frozen: errors(frozen),
        }
    }
}
