//! The folder of a run: what training writes while it goes on, each file whole or not at all.
//!
//! | file | what |
//! |---|---|
//! | run.json | version, machine, inputs |
//! | settings.toml | every setting, documented |
//! | metrics.jsonl | one line an interval |
//! | resume.safetensors | what the run goes on from, to the same bits |
//! | checkpoint.safetensors | the latest network that is stable over a long roll-out |
//! | network.safetensors | the best network, once training has ended |
//! | figures/curves.svg, .png | loss and error against updates (the command, once training has ended) |
//! | dynamics.json, figures/dynamics.svg, .png | fixed points and multipliers (the command; not of integrators) |

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use super::{Control, Metrics, Progress, Settings, Snapshot, Trained, resume, train};
use crate::format::{self, network};
use crate::network::{Channel, Network};
use crate::task::Dataset;
use crate::{Error, Result};

/// Name of what a run goes on from.
pub const RESUME: &str = "resume.safetensors";
/// Name of the settings.
pub const SETTINGS: &str = "settings.toml";
/// Name of the best network.
pub const NETWORK: &str = "network.safetensors";
const METRICS: &str = "metrics.jsonl";

#[derive(Serialize)]
struct Provenance<'a> {
    tinyfold: &'static str,
    machine: String,
    inputs: Option<&'a [Channel]>,
}

/// Trains into a run folder; from a snapshot if there is one.
///
/// # Errors
/// As [`train`]; a file that cannot be written.
pub fn train_into_folder(
    settings: &Settings,
    data: Option<&Dataset>,
    folder: &Path,
    from: Option<&Snapshot>,
    watch: &mut dyn FnMut(&Progress<'_>) -> Control,
) -> Result<Trained> {
    // Nothing is written for settings that are refused.
    settings.check(data)?;
    let provenance = Provenance {
        tinyfold: env!("CARGO_PKG_VERSION"),
        machine: format!("{} {}", std::env::consts::ARCH, std::env::consts::OS),
        inputs: data.map(|data| data.inputs.as_slice()),
    };
    format::write_json(&folder.join("run.json"), &provenance)?;
    format::write_atomic(&folder.join(SETTINGS), settings.documented().as_bytes())?;
    let mut failed = None;
    let mut watch = |progress: Progress<'_>| {
        if let Progress::Interval { metrics, network, snapshot } = &progress
            && let Err(error) = write(folder, metrics, network, &snapshot())
        {
            failed = Some(error);
            return Control::Stop;
        }
        watch(&progress)
    };
    let trained = match from {
        Some(snapshot) => resume(snapshot, data, &mut watch),
        None => train(settings, data, &mut watch),
    };
    if let Some(error) = failed {
        return Err(error);
    }
    let trained = trained?;
    network::save(&folder.join(NETWORK), &trained.network)?;
    Ok(trained)
}

fn write(folder: &Path, metrics: &Metrics, now: &Network, snapshot: &Snapshot) -> Result<()> {
    let mut lines = String::new();
    for metrics in &snapshot.header.history {
        let line = serde_json::to_string(metrics).expect("numbers become JSON");
        writeln!(lines, "{line}").expect("a String takes everything");
    }
    format::write_atomic(&folder.join(METRICS), lines.as_bytes())?;
    if metrics.loss.is_finite() {
        snapshot.save(&folder.join(RESUME))?;
    }
    if metrics.error().is_finite() {
        network::save(&folder.join("checkpoint.safetensors"), now)?;
    }
    Ok(())
}

/// The metrics of a run so far; none before its first interval.
///
/// # Errors
/// A file that cannot be read, or a line that is not one of metrics.
pub fn read_metrics(folder: &Path) -> Result<Vec<Metrics>> {
    let path = folder.join(METRICS);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(&path).map_err(Error::file(&path, "read"))?;
    let line = |(k, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| {
            let place = format!("{}:{}", path.display(), k + 1);
            Error::input(place, "a line of metrics", error.to_string())
        })
    };
    text.lines().enumerate().map(line).collect()
}
