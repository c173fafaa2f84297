//! Trains the networks, tests and analyses them.

use std::cmp::Reverse;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use faer::Mat;
use tinyfold_core::Form;

use super::{Exact, Experiment, Found, Trained, largest};
use crate::design::dale::dale;
use crate::design::exact::{Spec, exact};
use crate::dynamics::lyapunov::Watch;
use crate::format::network;
use crate::manifold;
use crate::network::{Activation, Network, Recurrence};
use crate::report::{analysis, figures};
use crate::simulate::{self, activate};
use crate::task::{Integration, synthetic};
use crate::train::folder::{RESUME, train_into_folder};
use crate::train::settings::Loss;
use crate::train::vectors::{signs, vectors};
use crate::train::{Control, End, Progress, Settings, Snapshot};
use crate::{Error, Result};

/// Sequences and steps of the test of the paper.
const TEST: (usize, usize) = (128, 200);
/// Steps of the analysis.
const STEPS: usize = 8000;

/// What an update costs, about: as far as the bar moves.
fn cost(settings: &Settings) -> u64 {
    let Settings { neurons, batch, sequence, loss, .. } = *settings;
    let steps = if loss == Loss::Proxy { 1 } else { sequence };
    (neurons * neurons * batch * steps).div_ceil(1 << 16) as u64
}

/// How far the bar of [`run_all`] moves in all.
#[must_use]
pub fn work(experiments: &[Experiment], seeds: usize) -> u64 {
    let of = |job: &Job| cost(&job.experiment.settings) * job.experiment.settings.steps as u64;
    jobs(experiments, seeds).iter().map(of).sum()
}

/// Outputs on many sequences of one length; a dense network goes through all of them at once.
fn outputs(network: &Network, x: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let w = match &network.recurrence {
        Recurrence::Dense(w)
            if network.form == Form::Rate && network.alpha == 1.0 && !network.nonlinear_decoder =>
        {
            w
        }
        _ => return x.iter().map(|x| simulate::run(network, x, false).outputs).collect(),
    };
    let (n, inputs) = (network.neurons(), network.input.ncols());
    let mut h = Mat::from_fn(n, x.len(), |i, _| network.initial[i]);
    let mut y: Vec<Vec<f64>> = vec![Vec::new(); x.len()];
    for t in 0..x[0].len() / inputs {
        let p = w * &h + &network.input * Mat::from_fn(inputs, x.len(), |c, k| x[k][t * inputs + c]);
        h = Mat::from_fn(n, x.len(), |i, k| activate(network.activation, p[(i, k)] + network.bias[i]));
        let read = &network.readout * &h;
        for (k, y) in y.iter_mut().enumerate() {
            y.extend(network.output_bias.iter().enumerate().map(|(c, bias)| read[(c, k)] + bias));
        }
    }
    y
}

/// Relative RMSE of every channel over `sequences` Gaussian sequences of `steps` steps, each from rest; infinite where the
/// network diverges.
#[must_use]
pub fn test_errors(
    network: &Network,
    task: &Integration,
    (sequences, steps): (usize, usize),
    seed: u64,
) -> Vec<f64> {
    let channels = task.channels();
    let x: Vec<Vec<f64>> =
        (0..sequences).map(|k| synthetic::gaussian(steps, channels, seed + k as u64)).collect();
    let mut sums = vec![(0.0, 0.0); channels];
    for (x, y) in x.iter().zip(outputs(network, &x)) {
        for (k, (y, target)) in y.iter().zip(task.targets(x)).enumerate() {
            let (error, power) = &mut sums[k % channels];
            *error += (y - target) * (y - target);
            *power += target * target;
        }
    }
    let relative = |(error, power): (f64, f64)| (error / power).sqrt();
    sums.into_iter().map(relative).map(|error| if error.is_nan() { f64::INFINITY } else { error }).collect()
}

/// What an earlier run with the same settings left to go on from.
fn left(settings: &Settings, folder: &Path) -> Result<Option<Snapshot>> {
    let path = folder.join(RESUME);
    let snapshot = if path.exists() { Some(Snapshot::load(&path)?) } else { None };
    Ok(snapshot.filter(|snapshot| snapshot.header.settings == *settings))
}

/// Trains, tests and analyses one network into a folder; `None` when it was stopped before training had ended. `resume`:
/// goes on, to the same bits, with what is there of the same settings.
///
/// # Errors
/// A file that cannot be read or written; a network that cannot be analysed. That training diverges is a result.
pub fn run(experiment: &Experiment, folder: &Path, resume: bool, watch: &Watch) -> Result<Option<Found>> {
    let settings = &experiment.settings;
    let task = settings.integration(&experiment.name)?;
    let from = if resume { left(settings, folder)? } else { None };
    let before = from.as_ref().and_then(|snapshot| snapshot.header.history.last());
    let (mut loss, mut steps) = before.map_or((f64::INFINITY, 0), |last| (last.loss, last.step));
    watch.bar.inc(cost(settings) * steps as u64);
    let mut last = None;
    let began = Instant::now();
    let trained = train_into_folder(settings, None, folder, from.as_ref(), &mut |progress| {
        match progress {
            Progress::Step { step, loss: now } => {
                (loss, steps) = (*now, *step);
                watch.bar.inc(cost(settings));
            }
            Progress::Interval { network, .. } => last = Some((*network).clone()),
        }
        if watch.stopped() { Control::Stop } else { Control::Continue }
    });
    let seconds = before.map_or(0.0, |last| last.seconds) + began.elapsed().as_secs_f64();
    watch.bar.inc(cost(settings) * (settings.steps - steps) as u64);
    let (network, long, unstable) = match trained {
        // Stopped before there was a network that is stable.
        Err(Error::Stopped { .. }) => return Ok(None),
        // The last network is what a trainer without long roll-outs gives: its error is told when none was stable.
        Err(Error::Numeric { .. }) => (last.clone(), None, true),
        Err(error) => return Err(error),
        Ok(trained) if trained.end == End::Stopped => return Ok(None),
        Ok(trained) => {
            let unstable = trained.unstable();
            last = Some(trained.last);
            (Some(trained.network), Some(trained.best.rollout), unstable)
        }
    };
    let seed = settings.seed + 1000;
    let error = |network: &Option<Network>| {
        network.as_ref().map_or(vec![f64::INFINITY], |network| test_errors(network, task, TEST, seed))
    };
    let analysis = match (&network, long) {
        (Some(network), Some(_)) => {
            let x = synthetic::gaussian(STEPS, task.channels(), seed);
            let found = manifold::analyse(network, &x, STEPS)?;
            figures::write(&folder.join("figures"), &analysis::figures(&found))?;
            Some(found)
        }
        _ => None,
    };
    let mut found = Found {
        name: experiment.name.clone(),
        title: experiment.title.clone(),
        note: experiment.note.clone(),
        channels: task.channels(),
        trained: Trained {
            neurons: settings.neurons,
            seed: settings.seed,
            steps,
            loss,
            error: error(&network),
            last_error: error(&last),
            unstable,
            network,
        },
        long,
        seconds,
        in_blocks: None,
        analysis,
        exact: beside(experiment, &folder.join("exact.safetensors"), seed)?,
        references: experiment.references.clone(),
        others: Vec::new(),
        sizes: Vec::new(),
        settings: settings.clone(),
    };
    found.in_blocks = found.trained.network.as_ref().filter(|_| found.in_supports()).map(in_blocks);
    Ok(Some(found))
}

/// Share of |W|² between neurons whose encoders and decoders serve one and the same channel.
fn in_blocks(network: &Network) -> f64 {
    let (w, c) = (network.weights(), &network.readout);
    let channel = |i: usize| (0..c.nrows()).find(|&row| c[(row, i)] != 0.0);
    let (mut within, mut all) = (0.0, 0.0);
    for j in 0..w.ncols() {
        for i in 0..w.nrows() {
            let square = w[(i, j)] * w[(i, j)];
            all += square;
            within += if channel(i) == channel(j) { square } else { 0.0 };
        }
    }
    within / all
}

/// The exact network of the same n, task, encoders and decoders, where there is one.
fn beside(experiment: &Experiment, path: &Path, seed: u64) -> Result<Option<Exact>> {
    let settings = &experiment.settings;
    let task = settings.integration(&experiment.name)?;
    let activation = settings.check(None)?;
    if !matches!(activation, Activation::Linear | Activation::Relu) {
        return Ok(None);
    }
    let began = Instant::now();
    let (encoder, decoder) = vectors(settings);
    let spec = Spec {
        neurons: settings.neurons,
        task: task.clone(),
        activation,
        seed: settings.seed,
        encoder: Some(encoder),
        decoder: Some(decoder),
    };
    let designed = match signs(settings) {
        Some(signs) => dale(&spec, &signs)?.network,
        None => exact(&spec)?.network,
    };
    let seconds = began.elapsed().as_secs_f64();
    network::save(path, &designed)?;
    let error = largest(&test_errors(&designed, task, TEST, seed));
    Ok(Some(Exact { error, seconds }))
}

/// One training run of [`run_all`].
struct Job {
    /// Of which experiment.
    of: usize,
    /// Seeds after the first.
    seed: u64,
    /// With the name of its folder.
    experiment: Experiment,
}

/// First seeds before others, so that what is stopped has some of all; long ones before short ones, so that no thread waits
/// long for another.
fn jobs(experiments: &[Experiment], seeds: usize) -> Vec<Job> {
    let mut jobs = Vec::new();
    for seed in 0..seeds as u64 {
        for (of, experiment) in experiments.iter().enumerate() {
            let own = experiment.settings.neurons;
            for &neurons in std::iter::once(&own).chain(&experiment.sizes) {
                let mut one = experiment.clone();
                one.settings = Settings { neurons, seed: one.settings.seed + seed, ..one.settings };
                if neurons != own {
                    one.name += &format!("-n{neurons}");
                }
                if seed > 0 {
                    one.name += &format!("-seed{seed}");
                }
                jobs.push(Job { of, seed, experiment: one });
            }
        }
    }
    jobs.sort_by_key(|job| {
        let settings = &job.experiment.settings;
        (job.seed, Reverse(cost(settings) * settings.steps as u64))
    });
    jobs
}

/// Runs all networks with `seeds` seeds, one thread each, as many at once as there are threads; `resume` as in [`run`].
///
/// The first seed of a network is that of its settings; the others go into [`Found::others`], other n into [`Found::sizes`],
/// and all into folders of their own. Stopped, it returns the networks whose first seed was trained until then.
///
/// # Errors
/// As [`run`].
pub fn run_all(
    experiments: &[Experiment],
    seeds: usize,
    folder: &Path,
    resume: bool,
    watch: &Watch,
) -> Result<Vec<Found>> {
    let jobs = jobs(experiments, seeds);
    let alone = |experiment: &Experiment| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .map_err(|error| Error::Numeric { what: "threads".into(), reason: error.to_string() })?;
        watch.bar.set_message(experiment.name.clone());
        pool.install(|| run(experiment, &folder.join(&experiment.name), resume, watch))
    };
    // Not threads of rayon: one of those that waits for another pool would begin the next network meanwhile.
    let next = AtomicUsize::new(0);
    let results: Vec<OnceLock<Result<Option<Found>>>> = jobs.iter().map(|_| OnceLock::new()).collect();
    std::thread::scope(|scope| {
        for _ in 0..rayon::current_num_threads() {
            scope.spawn(|| {
                while !watch.stopped() {
                    let k = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(k) else { break };
                    let _ = results[k].set(alone(&job.experiment));
                }
            });
        }
    });
    let mut found: Vec<Option<Found>> = vec![None; experiments.len()];
    let mut more = Vec::new();
    for (job, result) in jobs.into_iter().zip(results) {
        let Some(one) = result.into_inner().transpose()?.flatten() else { continue };
        let own = job.experiment.settings.neurons == experiments[job.of].settings.neurons;
        match (job.seed, own) {
            (0, true) => found[job.of] = Some(one),
            _ => more.push((job.of, own, one.trained)),
        }
    }
    for (of, own, trained) in more {
        if let Some(found) = &mut found[of] {
            if own { &mut found.others } else { &mut found.sizes }.push(trained);
        }
    }
    Ok(found.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::experiments;
    use super::*;

    /// "dale-1" is the network of Dale's law for D = 1, not the second seed of "dale".
    #[test]
    fn every_network_has_a_folder_of_its_own() {
        let jobs = jobs(&experiments(false).expect("well-formed"), 6);
        let names: BTreeSet<&str> = jobs.iter().map(|job| job.experiment.name.as_str()).collect();
        assert_eq!(names.len(), jobs.len());
    }

    /// At full size, but for n about 1000, which only takes longer.
    #[test]
    fn networks_have_an_exact_one_with_their_own_vectors_and_signs() {
        let folder = tempfile::tempdir().expect("a folder");
        let all = experiments(false).expect("well-formed");
        for experiment in all.iter().filter(|experiment| experiment.settings.neurons == 256) {
            let path = folder.path().join("exact.safetensors");
            let (name, exact) = (experiment.name.as_str(), beside(experiment, &path, 1).expect("fits"));
            assert_eq!(exact.is_none(), experiment.settings.activation == "sigmoid", "{name}");
            let Some(exact) = exact else { continue };
            assert!(exact.error < 1e-12, "{name}: {:.1e}", exact.error);
            let network = network::load(&path).expect("a network");
            if let Some(signs) = signs(&experiment.settings) {
                let w = network.weights();
                assert!((0..w.ncols()).all(|j| w.col(j).iter().all(|w| signs[j] * w > 0.0)), "{name}");
            }
            let (encoder, decoder) = vectors(&experiment.settings);
            assert_eq!((network.encoder, network.readout), (Some(encoder), decoder), "{name}");
        }
    }

    #[test]
    fn many_sequences_at_once_are_those_one_by_one() {
        let (task, n) = (Integration { decays: vec![0.9, 0.8], scales: vec![1.0, 2.0] }, 12);
        let spec =
            Spec { neurons: n, task, activation: Activation::Relu, seed: 3, encoder: None, decoder: None };
        let mut network = exact(&spec).expect("designs").dense();
        network.bias = (0..n).map(|i| 0.01 * i as f64).collect();
        network.output_bias = vec![0.5, -0.5];
        let x: Vec<Vec<f64>> = (0..5).map(|k| synthetic::gaussian(30, 2, k)).collect();
        for (x, y) in x.iter().zip(outputs(&network, &x)) {
            let alone = simulate::run(&network, x, false).outputs;
            assert!(y.len() == 60 && y.iter().zip(alone).all(|(y, alone)| (y - alone).abs() < 1e-12));
        }
    }
}
