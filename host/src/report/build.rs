//! From a network to what the report shows of it.

use std::sync::atomic::AtomicBool;

use faer::Mat;
use faer::linalg::solvers::SolveLstsq;

use super::linearised::{Linearised, held_inputs};
use super::{ManifoldPoint, NetworkReport, Source};
use crate::manifold::{self, Cloud};
use crate::network::Network;
use crate::task::{Dataset, Integration, relative_rmse, synthetic};
use crate::verify::tolerance::tolerance;
use crate::verify::{Case, Core};
use crate::{Result, simulate};

/// Steps of the traces that are drawn.
pub const TRACE: usize = 200;

/// Latest step where the traces begin: a long recording need not be simulated to its middle.
const LATEST: usize = 5000;

/// First step of the traces: in the middle of what was recorded, but soon enough to be simulated.
///
/// ```
/// use tinyfold::report::build::{TRACE, first_shown};
/// assert_eq!(first_shown(TRACE), 0);
/// assert_eq!(first_shown(TRACE + 100), 50);
/// assert_eq!(first_shown(1_000_000), 5000);
/// ```
#[must_use]
pub const fn first_shown(samples: usize) -> usize {
    let middle = samples.saturating_sub(TRACE) / 2;
    if middle < LATEST { middle } else { LATEST }
}

/// Seed of the Gaussian input that errors are taken on.
const GAUSSIAN_SEED: u64 = 12_345;

/// Row-major T × channels as one trace a channel.
#[must_use]
pub fn by_channel(values: &[f64], channels: usize) -> Vec<Vec<f64>> {
    (0..channels).map(|c| values.iter().skip(c).step_by(channels).copied().collect()).collect()
}

/// Raw samples, as the chip gets them: x undone by the input scaling of `network`.
#[must_use]
pub fn raw_samples(network: &Network, x: &[f64]) -> Vec<f32> {
    x.iter()
        .zip(network.inputs.iter().cycle())
        .map(|(x, channel)| (x / channel.gain + channel.center) as f32)
        .collect()
}

/// Outputs of core in f32 on this host, for inputs in network units.
///
/// # Errors
/// The network cannot be exported.
pub fn run_core(network: &Network, x: &[f64]) -> Result<Vec<f64>> {
    let case = Case::of_network("report", network.clone(), raw_samples(network, x))?;
    Ok(Core::values(&case)?.0)
}

/// What a report says of a data set.
#[must_use]
pub fn source(name: &str, data: &Dataset) -> Source {
    let width = data.inputs.len();
    Source {
        name: name.into(),
        channels: data.inputs.iter().map(|channel| channel.name.clone()).collect(),
        recordings: data.recordings.len(),
        samples: data.recordings.iter().map(|recording| recording.x.len() / width).sum(),
        dt: data.dt,
    }
}

/// What a report shows of a network that integrates the recordings of `data`, over `steps` steps.
///
/// # Errors
/// A network without a task; one that cannot be exported or analysed.
pub fn describe(
    name: &str,
    origin: impl Into<String>,
    network: &Network,
    data: &Dataset,
    steps: usize,
) -> Result<NetworkReport> {
    let task = network.integrator(&format!("{name} network"))?;
    let channels = task.channels();
    let first = first_shown(source("", data).samples);
    let signal = data.joined(steps.max(first + TRACE));
    let recording = &signal[..steps * channels];
    let gaussian = synthetic::gaussian(steps, channels, GAUSSIAN_SEED);
    let wide = |x: &[f64]| simulate::run(network, x, false).outputs;
    let rmse = |y: &[f64], x: &[f64]| relative_rmse(y, &task.targets(x), channels);
    // A reader asks how the error grows: the curve is taken on input that never repeats.
    let curve = |run: &mut dyn FnMut(&[f64]) -> Vec<f64>| -> Vec<(f64, f64)> {
        manifold::error::curve(task, &gaussian, steps, run)
            .into_iter()
            .map(|window| (window.to as f64, window.relative_rmse))
            .collect()
    };
    let analysis = manifold::analyse(network, recording, steps)?;
    let outputs = wide(&signal);
    let case = Case::of_network(name, network.clone(), Vec::new())?;
    let mut failed = None;
    let error_f32 = curve(&mut |x| match run_core(network, x) {
        Ok(y) => y,
        Err(error) => {
            failed = Some(error);
            vec![0.0; x.len()]
        }
    });
    if let Some(error) = failed {
        return Err(error);
    }
    Ok(NetworkReport {
        name: name.into(),
        origin: origin.into(),
        neurons: network.neurons(),
        rank: network.rank(),
        gaussian: rmse(&wide(&gaussian), &gaussian),
        recording: rmse(&outputs[..steps * channels], recording),
        recording_f32: rmse(&run_core(network, recording)?, recording),
        outputs: by_channel(&outputs[first * channels..][..TRACE * channels], channels),
        error_f64: curve(&mut |x| wide(x)),
        error_f32,
        singular_values: analysis.singular_values,
        decays: analysis.channels.iter().map(|channel| channel.decay_realised).collect(),
        r_squared: analysis.channels.iter().map(|channel| channel.r_squared).collect(),
        distance: analysis.distance,
        manifold: points(&analysis.cloud, task),
        tolerance: tolerance(&case),
        dynamics: Linearised::of_network(
            network,
            &[recording],
            &held_inputs(network.task.as_ref(), network.input.ncols()),
            &AtomicBool::new(false),
        )?,
        model_bytes: case.model.bytes().len(),
        multiply_adds: crate::format::model::shape_of(network).multiply_adds(),
    })
}

/// The cloud with every integral as the best linear function of the coordinates reads it.
fn points(cloud: &Cloud, task: &Integration) -> Vec<ManifoldPoint> {
    let (count, channels) = (cloud.coordinates.len(), task.channels());
    let Some(dimension) = cloud.coordinates.first().map(Vec::len) else { return Vec::new() };
    let a = Mat::from_fn(count, dimension + 1, |t, k| cloud.coordinates[t].get(k).copied().unwrap_or(1.0));
    let b = Mat::from_fn(count, channels, |t, c| cloud.integrals[t][c]);
    let read = &a * a.qr().solve_lstsq(&b).subrows(0, dimension + 1);
    (0..count)
        .map(|t| ManifoldPoint {
            coordinates: cloud.coordinates[t].clone(),
            read: (0..channels).map(|c| read[(t, c)]).collect(),
            integrals: cloud.integrals[t].clone(),
        })
        .collect()
}
