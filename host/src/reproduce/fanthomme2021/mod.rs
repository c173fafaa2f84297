//! Fanthomme & Monasson 2021: the networks of the paper, trained here, beside exact ones and what the authors' code
//! reached.
//!
//! [`run`](mod@run) trains them, [`claims`](mod@claims) says what holds, [`comparison`] sets losses and errors beside those of the
//! authors' code, [`growth`] follows the error with time and n.

pub mod claims;
pub mod comparison;
pub mod growth;
pub mod run;

use serde::{Deserialize, Serialize};

pub use run::{run, run_all};

use crate::manifold::Analysis;
use crate::network::Network;
use crate::train::Settings;
use crate::train::settings::Supports;
use crate::{Result, format};

/// The file of networks, with settings and the metrics of the authors' code.
const NETWORKS: &str = include_str!("../../../data/fanthomme2021.toml");

/// A network to train.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Name of its folder.
    pub name: String,
    /// Activation, D, T, method.
    pub title: String,
    /// Why its numbers are others than those of the authors' code, where that is known.
    pub note: Option<String>,
    /// Other n to train it with: how its error depends on n.
    #[serde(default)]
    pub sizes: Vec<usize>,
    /// Smaller and shorter, for --quick; `None`: left out there.
    pub quick: Option<Quick>,
    /// What is trained.
    pub settings: Settings,
    /// What the authors' code reached with the same settings, one entry a seed.
    #[serde(default)]
    pub references: Vec<Reference>,
}

/// What --quick changes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quick {
    /// n.
    pub neurons: usize,
    /// Updates.
    pub steps: usize,
    /// As [`Experiment::sizes`].
    #[serde(default)]
    pub sizes: Vec<usize>,
}

/// Metrics of a network that the authors' code trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Its seed.
    pub seed: u64,
    /// Loss of the last batch; none of the proxy losses, which weigh their terms otherwise.
    pub loss: Option<f64>,
    /// Relative RMSE of every channel over 128 Gaussian sequences of 200 steps.
    pub error: Vec<f64>,
    /// Leading singular values of W.
    pub singular_values: Vec<f64>,
    /// Distance of the pre-activations from the span of D and, where it is known, of D + 1 left singular vectors.
    pub distance: Vec<f64>,
    /// Relative residual of the coordinates as linear functions of the integrals.
    pub coordinate_fit: f64,
}

/// What was found out about a network that was trained.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// As [`Experiment::name`].
    pub name: String,
    /// As [`Experiment::title`].
    pub title: String,
    /// As [`Experiment::note`].
    pub note: Option<String>,
    /// D.
    pub channels: usize,
    /// The network itself.
    #[serde(flatten)]
    pub trained: Trained,
    /// Relative RMSE over 2000 steps; `None` when no network of the run was stable.
    pub long: Option<f64>,
    /// Seconds of training, one thread.
    pub seconds: f64,
    /// Share of |W|² that lies in the blocks of the channels; of networks whose vectors have the same supports.
    pub in_blocks: Option<f64>,
    /// The analysis on Gaussian inputs; `None` when no network of the run was stable.
    #[serde(skip)]
    pub analysis: Option<Analysis>,
    /// The exact network of the same n, task, encoders, decoders and signs; `None` for sigmoid, for which there is none.
    pub exact: Option<Exact>,
    /// What the authors' code reached; only at full size.
    pub references: Vec<Reference>,
    /// The same network with other seeds.
    pub others: Vec<Trained>,
    /// The same with other n, all seeds.
    pub sizes: Vec<Trained>,
    /// What it was trained with.
    #[serde(skip)]
    pub settings: Settings,
}

/// One training run, in short.
#[derive(Clone, Debug, Serialize)]
pub struct Trained {
    /// n.
    pub neurons: usize,
    /// Seed of everything random.
    pub seed: u64,
    /// Updates done.
    pub steps: usize,
    /// Loss of the last batch.
    pub loss: f64,
    /// Relative RMSE of every channel over 128 Gaussian sequences of 200 steps, of the network that is kept: that of the
    /// least error over long roll-outs.
    pub error: Vec<f64>,
    /// The same of the network after the last update, which is what a trainer without roll-outs gives.
    pub last_error: Vec<f64>,
    /// Whether the last network fails over long roll-outs, whatever its loss.
    pub unstable: bool,
    /// The network that is kept.
    #[serde(skip)]
    pub network: Option<Network>,
}

impl Found {
    /// Largest error of a channel.
    #[must_use]
    pub fn worst(&self) -> f64 {
        largest(&self.trained.error)
    }

    /// All seeds at its own n, the first first.
    pub fn seeds(&self) -> impl Iterator<Item = &Trained> {
        std::iter::once(&self.trained).chain(&self.others)
    }

    /// Whether its neurons obey Dale's law.
    #[must_use]
    pub fn dale(&self) -> bool {
        self.settings.dale > 0.0
    }

    /// Whether encoders and decoders of a channel share a block of neurons of their own.
    #[must_use]
    pub fn in_supports(&self) -> bool {
        self.settings.supports == Supports::Same
    }
}

/// The largest error of a channel.
#[must_use]
pub fn largest(errors: &[f64]) -> f64 {
    errors.iter().copied().fold(0.0, f64::max)
}

/// The exact network beside a trained one.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Exact {
    /// Relative RMSE over 128 Gaussian sequences of 200 steps, worst channel.
    pub error: f64,
    /// Seconds that it took to design.
    pub seconds: f64,
}

/// The networks of the paper; at their size or the smaller one.
///
/// # Errors
/// Never, unless the file that is part of the program is wrong.
pub fn experiments(quick: bool) -> Result<Vec<Experiment>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        network: Vec<Experiment>,
    }
    let file: File = format::settings::parse(NETWORKS, "fanthomme2021.toml")?;
    if !quick {
        return Ok(file.network);
    }
    let small = |mut experiment: Experiment| {
        let Quick { neurons, steps, sizes } = experiment.quick.clone()?;
        experiment.settings = Settings { neurons, steps, interval: steps / 20, ..experiment.settings };
        experiment.sizes = sizes;
        // Not the same settings: nothing to compare with.
        experiment.references = Vec::new();
        Some(experiment)
    };
    Ok(file.network.into_iter().filter_map(small).collect())
}
