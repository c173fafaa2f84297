//! An integrator that learns from nothing, where it runs.
//!
//! W = 0: U = 0, V random of variance 1/n and frozen, readout random and frozen, and B = U, so that the network is
//! h' = relu(U (Vᵀ h + x)). Exact real-time recurrent learning of U and V in the latent, in episodes that begin at
//! rest, under a trust region that shrinks.

use faer::Mat;
use serde::{Deserialize, Serialize};
use tinyfold_core::learn::{Groups, Kind, Plan};

use super::{Course, Taught};
use crate::design::random_frozen;
use crate::format::model::export;
use crate::network::{Activation, Network, Recurrence};
use crate::task::{Integration, relative_rmse, synthetic};
use crate::verify::{Backend, Case};
use crate::{Error, Result};

/// What is to be learned, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// n.
    pub neurons: usize,
    /// Decays gamma_c.
    pub decays: Vec<f64>,
    /// Learning rate.
    pub rate: f64,
    /// Steps of an episode.
    pub episode: u32,
    /// Trust region at the start and at the end.
    pub trust: [f64; 2],
    /// Gaussian samples to learn from.
    pub samples: usize,
    /// How often they are gone through.
    pub passes: u32,
    /// Seed of the network and of the samples.
    pub seed: u64,
}

/// Steps that are run after learning, without any target.
pub const FREE: usize = 2000;

impl Settings {
    /// What works for D = 1 and 2 at least: 32 neurons a channel, decays up to 0.95, 0.05 apart.
    #[must_use]
    pub fn of_channels(channels: usize) -> Self {
        // Whole hundredths, so that 0.9 is written as 0.9.
        let decay = |c: usize| (95 - 5 * (channels - 1 - c) as i32) as f64 / 100.0;
        Self {
            neurons: 32 * channels,
            decays: (0..channels).map(decay).collect(),
            rate: 0.05,
            episode: 20,
            trust: [0.2, 1e-6],
            samples: 40_000,
            passes: if channels == 1 { 1 } else { 5 },
            seed: 0,
        }
    }

    /// The task.
    #[must_use]
    pub fn task(&self) -> Integration {
        Integration { decays: self.decays.clone(), scales: vec![1.0; self.decays.len()] }
    }

    /// The network that knows nothing, and its lesson.
    ///
    /// # Errors
    /// Settings out of range.
    pub fn course(&self) -> Result<Course> {
        let (n, channels, task) = (self.neurons, self.decays.len(), self.task());
        if channels == 0 || n < channels {
            return Err(Error::input(
                "neurons",
                format!("at least D = {channels}, and D at least 1"),
                n.to_string(),
            ));
        }
        if let Some(bad) = self.decays.iter().find(|&&gamma| !(gamma > 0.0 && gamma < 1.0)) {
            return Err(Error::input("decays", "numbers in (0, 1)", bad.to_string()));
        }
        let (v, c) = random_frozen(n, channels, self.seed);
        let u = Mat::zeros(n, channels);
        let mut network = Network::plain(Activation::Relu, Recurrence::LowRank { u: u.clone(), v }, u, c);
        network.task = Some(task.clone().into());

        let x = synthetic::gaussian(self.samples, channels, self.seed);
        let mut rows = Vec::with_capacity(2 * x.len());
        let mut state = vec![0.0; channels];
        let episode = self.episode.max(1) as usize;
        for (t, sample) in x.chunks_exact(channels).enumerate() {
            if t.is_multiple_of(episode) {
                state.fill(0.0);
            }
            for ((u, x), gamma) in state.iter_mut().zip(sample).zip(&self.decays) {
                // The chip sees the sample in f32.
                *u = gamma * (*u + f64::from(*x as f32));
            }
            rows.extend(sample.iter().chain(&state).map(|&value| value as f32));
        }
        let steps = self.samples as u64 * u64::from(self.passes);
        if !self.samples.is_multiple_of(episode) || steps > u64::from(u32::MAX) {
            let expected = format!("a whole number of episodes of {episode} steps, less than 2^32 in all");
            return Err(Error::input("samples", expected, format!("{} × {}", self.samples, self.passes)));
        }
        let plan = Plan {
            rate: self.rate as f32,
            trust: self.trust.map(|trust| trust as f32),
            passes: self.passes,
            episode: self.episode,
            ..Plan::new(Kind::Tied, Groups::RECURRENT)
        };
        let silent = steps.saturating_sub(FREE as u64) as u32;
        let model = export::<f32>(&network)?;
        Ok(Course { name: "from zero".into(), model, plan, silent, store: 0, rows })
    }
}

/// Relative RMSE of what was learned over [`FREE`] new steps from rest, run by a backend.
///
/// # Errors
/// The network cannot be exported or run.
pub fn generalises(
    settings: &Settings,
    course: &Course,
    taught: &Taught,
    backend: &dyn Backend,
) -> Result<f64> {
    let (task, channels) = (settings.task(), settings.decays.len());
    let samples: Vec<f32> =
        synthetic::gaussian(FREE, channels, settings.seed + 1000).iter().map(|&x| x as f32).collect();
    let x: Vec<f64> = samples.iter().map(|&x| x.into()).collect();
    let case = Case::of_network("learned", course.network(taught)?, samples)?;
    let records = backend.run(&[&case])?;
    let y = records.first().map(|record| case.values(record).0).unwrap_or_default();
    Ok(relative_rmse(&y, &task.targets(&x), channels))
}
