//! Fanthomme & Monasson 2021: the networks of the paper, trained here, beside exact ones and what the authors' code
//! reached.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::design::exact::{Spec, exact};
use crate::format::{self, network};
use crate::manifold::{self, Analysis};
use crate::network::{Activation, Network};
use crate::report::{analysis, figures};
use crate::task::{Integration, synthetic};
use crate::train::folder::train_into_folder;
use crate::train::{Control, Progress, Settings};
use crate::{Error, Result, simulate};

/// The file of networks, with settings and the metrics of the authors' code.
const NETWORKS: &str = include_str!("../../data/fanthomme2021.toml");

/// A network to train.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Name of its folder.
    pub name: String,
    /// Activation, D, T, method.
    pub title: String,
    /// Smaller and shorter, for --quick; `None`: left out there.
    pub quick: Option<Quick>,
    /// What is trained.
    pub settings: Settings,
    /// What the authors' code reached with the same settings.
    pub reference: Option<Reference>,
}

/// What --quick changes.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quick {
    /// n.
    pub neurons: usize,
    /// Updates.
    pub steps: usize,
}

/// Metrics of a network that the authors' code trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Loss of the last batch; the proxy losses are scaled otherwise.
    pub loss: Option<f64>,
    /// Relative RMSE of every channel over 128 Gaussian sequences of 200 steps.
    pub error: Vec<f64>,
    /// Leading singular values of W.
    pub singular_values: Vec<f64>,
    /// Distance of the pre-activations from the span of D and of D + 1 left singular vectors.
    pub distance: [f64; 2],
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
    /// n.
    pub neurons: usize,
    /// D.
    pub channels: usize,
    /// Updates done.
    pub steps: usize,
    /// Loss of the last batch.
    pub loss: f64,
    /// Relative RMSE of every channel over 128 Gaussian sequences of 200 steps.
    pub error: Vec<f64>,
    /// Relative RMSE over 2000 steps; `None` when no network of the run was stable.
    pub long: Option<f64>,
    /// Whether the last network fails over long roll-outs, whatever its loss.
    pub unstable: bool,
    /// Seconds of training, one thread.
    pub seconds: f64,
    /// The analysis on Gaussian inputs; `None` when no network of the run was stable.
    #[serde(skip)]
    pub analysis: Option<Analysis>,
    /// The exact network of the same n, task, encoders and decoders; `None` for sigmoid and Dale.
    pub exact: Option<Exact>,
    /// What the authors' code reached; only at full size.
    pub reference: Option<Reference>,
    /// The same network with other seeds.
    pub others: Vec<Other>,
}

/// A network with another seed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Other {
    /// Seed of everything random.
    pub seed: u64,
    /// Loss of the last batch.
    pub loss: f64,
    /// As [`Found::error`], worst channel.
    pub error: f64,
    /// As [`Found::unstable`].
    pub unstable: bool,
}

impl Found {
    /// Largest error of a channel.
    #[must_use]
    pub fn worst(&self) -> f64 {
        largest(&self.error)
    }
}

impl Reference {
    /// Largest error of a channel.
    #[must_use]
    pub fn worst(&self) -> f64 {
        largest(&self.error)
    }
}

fn largest(errors: &[f64]) -> f64 {
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

/// Sequences and steps of the test of the paper.
const TEST: (usize, usize) = (128, 200);
/// Steps of the analysis.
const STEPS: usize = 8000;

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
        let Quick { neurons, steps } = experiment.quick?;
        experiment.settings = Settings { neurons, steps, interval: steps / 20, ..experiment.settings };
        // Not the same settings: nothing to compare with.
        experiment.reference = None;
        Some(experiment)
    };
    Ok(file.network.into_iter().filter_map(small).collect())
}

/// Relative RMSE of every channel over `sequences` Gaussian sequences of `steps` steps, each from rest.
#[must_use]
pub fn test_errors(
    network: &Network,
    task: &Integration,
    (sequences, steps): (usize, usize),
    seed: u64,
) -> Vec<f64> {
    let channels = task.channels();
    let mut sums = vec![(0.0, 0.0); channels];
    for k in 0..sequences {
        let x = synthetic::gaussian(steps, channels, seed + k as u64);
        let y = simulate::run(network, &x, false).outputs;
        for (k, (y, target)) in y.iter().zip(task.targets(&x)).enumerate() {
            let (error, power) = &mut sums[k % channels];
            *error += (y - target) * (y - target);
            *power += target * target;
        }
    }
    sums.into_iter().map(|(error, power)| (error / power).sqrt()).collect()
}

/// Trains, tests and analyses one network into a folder.
///
/// # Errors
/// A file that cannot be written; a network that cannot be analysed. That training diverges is a result.
pub fn run(experiment: &Experiment, folder: &Path, watch: &mut dyn FnMut(usize)) -> Result<Found> {
    let settings = &experiment.settings;
    let task = experiment.settings.integration(&experiment.name)?;
    let (mut loss, mut steps) = (f64::INFINITY, 0);
    let mut last = None;
    let began = Instant::now();
    let trained = train_into_folder(settings, None, folder, None, &mut |progress| {
        match progress {
            Progress::Step { step, loss: now } => {
                (loss, steps) = (*now, *step);
                watch(*step);
            }
            Progress::Interval { network, .. } => last = Some((*network).clone()),
        }
        Control::Continue
    });
    let seconds = began.elapsed().as_secs_f64();
    let (network, long, unstable) = match trained {
        // The last network is what a trainer without long roll-outs gives: its error is told when none was stable.
        Err(Error::Numeric { .. }) => (last, None, true),
        Err(error) => return Err(error),
        Ok(trained) => {
            let unstable = trained.unstable();
            (Some(trained.network), Some(trained.best.rollout), unstable)
        }
    };
    let seed = settings.seed + 1000;
    let error =
        network.as_ref().map_or(vec![f64::INFINITY], |network| test_errors(network, task, TEST, seed));
    let analysis = match (&network, long) {
        (Some(network), Some(_)) => {
            let x = synthetic::gaussian(STEPS, task.channels(), seed);
            let found = manifold::analyse(network, &x, STEPS)?;
            figures::write(&folder.join("figures"), &analysis::figures(&found))?;
            Some(found)
        }
        _ => None,
    };
    Ok(Found {
        name: experiment.name.clone(),
        title: experiment.title.clone(),
        neurons: settings.neurons,
        channels: task.channels(),
        steps,
        loss,
        error,
        long,
        unstable,
        seconds,
        analysis,
        exact: beside(experiment, &folder.join("exact.safetensors"), seed)?,
        reference: experiment.reference.clone(),
        others: Vec::new(),
    })
}

/// The exact network of the same n and task, where there is one.
fn beside(experiment: &Experiment, path: &Path, seed: u64) -> Result<Option<Exact>> {
    let Settings { neurons, dale, .. } = &experiment.settings;
    let task = experiment.settings.integration(&experiment.name)?;
    let activation = experiment.settings.check(None)?;
    if *dale > 0.0 || !matches!(activation, Activation::Linear | Activation::Relu) {
        return Ok(None);
    }
    let began = Instant::now();
    let spec = Spec {
        neurons: *neurons,
        task: task.clone(),
        activation,
        seed: experiment.settings.seed,
        encoder: None,
        decoder: None,
    };
    let designed = exact(&spec)?.network;
    let seconds = began.elapsed().as_secs_f64();
    network::save(path, &designed)?;
    let error = largest(&test_errors(&designed, task, TEST, seed));
    Ok(Some(Exact { error, seconds }))
}

/// Runs all networks with `seeds` seeds, one thread each, as many at once as there are threads.
///
/// The first seed of a network is that of its settings; the others go into [`Found::others`] and folders of their own.
///
/// # Errors
/// As [`run`].
pub fn run_all(
    experiments: &[Experiment],
    seeds: usize,
    folder: &Path,
    watch: &(dyn Fn(&str, usize) + Sync),
) -> Result<Vec<Found>> {
    let seeded = |(experiment, k): (&Experiment, usize)| {
        let mut experiment = experiment.clone();
        experiment.settings.seed += k as u64;
        if k > 0 {
            experiment.name = format!("{}-{k}", experiment.name);
        }
        experiment
    };
    let all: Vec<Experiment> =
        (0..seeds).flat_map(|k| experiments.iter().map(move |e| (e, k))).map(seeded).collect();
    let alone = |experiment: &Experiment| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .map_err(|error| Error::Numeric { what: "threads".into(), reason: error.to_string() })?;
        let folder = folder.join(&experiment.name);
        pool.install(|| run(experiment, &folder, &mut |step| watch(&experiment.name, step)))
    };
    // Not threads of rayon: one of those that waits for another pool would begin the next network meanwhile.
    let next = AtomicUsize::new(0);
    let results: Vec<OnceLock<Result<Found>>> = all.iter().map(|_| OnceLock::new()).collect();
    std::thread::scope(|scope| {
        for _ in 0..rayon::current_num_threads() {
            scope.spawn(|| {
                while let Some(k) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&k| k < all.len()) {
                    let _ = results[k].set(alone(&all[k]));
                }
            });
        }
    });
    let found = results.into_iter().filter_map(OnceLock::into_inner).collect::<Result<Vec<Found>>>()?;
    let (first, others) = found.split_at(experiments.len());
    let mut first = first.to_vec();
    for (k, other) in others.iter().enumerate() {
        first[k % experiments.len()].others.push(Other {
            seed: all[experiments.len() + k].settings.seed,
            loss: other.loss,
            error: other.worst(),
            unstable: other.unstable,
        });
    }
    Ok(first)
}
