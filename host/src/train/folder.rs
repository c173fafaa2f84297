//! The folder of a run: what training writes while it goes on, each file whole or not at all.
//!
//! | file | what |
//! |---|---|
//! | run.json | version, machine, inputs |
//! | settings.toml | every setting, documented |
//! | metrics.jsonl | one line an interval |
//! | resume.safetensors | what the run goes on from, to the same bits |
//! | checkpoint.safetensors | the latest network that is [stable](Metrics::stable) over long roll-outs |
//! | network.safetensors | the best network, once training has ended |
//! | figures/curves.svg, .png | loss and error against updates (the command, once training has ended) |
//! | figures/trials.svg, .png | trials with the outputs of the best network (the command; not of integrators) |
//! | dynamics.json, figures/dynamics.svg, .png | fixed points and multipliers (the command; not of integrators, nor after Ctrl-C) |
//! | lock | held while the run goes on |
//!
//! With `--rule` it has rules.json, learning-curves.svg, .png, alignment.svg, .png and `NAME.safetensors` of every rule
//! instead.

use std::fmt::Write as _;
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;

use clap::ValueEnum as _;
use serde::Serialize;

use super::online::Rule;
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
const CHECKPOINT: &str = "checkpoint.safetensors";
const PROVENANCE: &str = "run.json";
const LOCK: &str = "lock";
/// Files of a run, in the order in which a new run removes those of the one before: first what that one goes on from,
/// so that whatever is left after a kill is of one run, and no run goes on as another.
const FILES: [&str; 6] = [RESUME, SETTINGS, PROVENANCE, METRICS, CHECKPOINT, NETWORK];
/// What the command says about [`NETWORK`].
const SHOWN: [&str; 7] = [
    "dynamics.json",
    "figures/curves.svg",
    "figures/curves.png",
    "figures/trials.svg",
    "figures/trials.png",
    "figures/dynamics.svg",
    "figures/dynamics.png",
];

/// What the command says about rules, beside a network of each.
const OF_RULES: [&str; 5] =
    ["rules.json", "learning-curves.svg", "learning-curves.png", "alignment.svg", "alignment.png"];

#[derive(Serialize)]
struct Provenance<'a> {
    tinyfold: &'static str,
    machine: String,
    inputs: Option<&'a [Channel]>,
}

/// Trains into a run folder; from a snapshot if there is one, else what a run before left there is removed first.
///
/// # Errors
/// As [`train`]; a file that cannot be written or removed; another run that goes on there.
pub fn train_into_folder(
    settings: &Settings,
    data: Option<&Dataset>,
    folder: &Path,
    from: Option<&Snapshot>,
    watch: &mut dyn FnMut(&Progress<'_>) -> Control,
) -> Result<Trained> {
    // Nothing is written for settings that are refused.
    settings.check(data)?;
    Held::now(folder)?.train(settings, data, from, watch)
}

/// A run folder that no other run writes into while this is there, unless the file system has no locks.
#[derive(Debug)]
pub struct Held<'a> {
    folder: &'a Path,
    _lock: File,
}

impl<'a> Held<'a> {
    /// Takes a folder, which is made if there is none.
    ///
    /// # Errors
    /// Another run holds it; a folder that cannot be written.
    pub fn now(folder: &'a Path) -> Result<Self> {
        let lock = Self::file(folder)?;
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            let place = folder.display().to_string();
            return Err(Error::input(place, "a folder without a run that goes on", "one that writes there"));
        }
        Self::cleaned(folder, lock)
    }

    /// The same, once every other run has let go of it.
    ///
    /// # Errors
    /// A folder that cannot be written or locked.
    pub fn in_turn(folder: &'a Path) -> Result<Self> {
        let lock = Self::file(folder)?;
        lock.lock().map_err(Error::file(&folder.join(LOCK), "lock"))?;
        Self::cleaned(folder, lock)
    }

    fn file(folder: &Path) -> Result<File> {
        std::fs::create_dir_all(folder).map_err(Error::file(folder, "create folder"))?;
        let lock = folder.join(LOCK);
        File::create(&lock).map_err(Error::file(&lock, "write"))
    }

    /// Without temporary files of a run that was killed while it wrote.
    fn cleaned(folder: &'a Path, lock: File) -> Result<Self> {
        let entries = std::fs::read_dir(folder).map_err(Error::file(folder, "read"))?;
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(".tmp") {
                std::fs::remove_file(entry.path()).map_err(Error::file(&entry.path(), "remove"))?;
            }
        }
        Ok(Self { folder, _lock: lock })
    }

    /// Removes what a run before left there.
    ///
    /// # Errors
    /// A file that cannot be removed.
    pub fn clear(&self) -> Result<()> {
        remove(self.folder, &FILES)?;
        remove(self.folder, &SHOWN)?;
        if !self.folder.join(OF_RULES[0]).exists() {
            // A network with the name of a rule is somebody else's.
            return Ok(());
        }
        let networks = Rule::value_variants().iter().map(|&rule| of_rule(rule)).collect::<Vec<String>>();
        remove(self.folder, &networks.iter().map(String::as_str).collect::<Vec<&str>>())?;
        remove(self.folder, &OF_RULES)
    }

    /// As [`train_into_folder`].
    ///
    /// # Errors
    /// As there.
    pub fn train(
        &self,
        settings: &Settings,
        data: Option<&Dataset>,
        from: Option<&Snapshot>,
        watch: &mut dyn FnMut(&Progress<'_>) -> Control,
    ) -> Result<Trained> {
        if from.is_none() {
            self.clear()?;
        }
        let folder = self.folder;
        let provenance = Provenance {
            tinyfold: env!("CARGO_PKG_VERSION"),
            machine: format!("{} {}", std::env::consts::ARCH, std::env::consts::OS),
            inputs: data.map(|data| data.inputs.as_slice()),
        };
        format::write_json(&folder.join(PROVENANCE), &provenance)?;
        format::write_atomic(&folder.join(SETTINGS), settings.documented().as_bytes())?;
        let mut failed = None;
        let mut watch = |progress: Progress<'_>| {
            if let Progress::Interval { metrics, network, snapshot, history } = &progress
                && let Err(error) = write(folder, metrics, network, *snapshot, history)
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
        // Of the network that this run had when it was stopped before.
        remove(folder, &SHOWN)?;
        network::save(&folder.join(NETWORK), &trained.network)?;
        Ok(trained)
    }
}

/// Name of the network that a rule made.
#[must_use]
pub fn of_rule(rule: Rule) -> String {
    format!("{}.safetensors", rule.name())
}

/// Removes files that may be there.
fn remove(folder: &Path, names: &[&str]) -> Result<()> {
    for path in names.iter().map(|name| folder.join(name)) {
        match std::fs::remove_file(&path) {
            // What is no folder is told by the first file that is written.
            Err(error) if ![ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind()) => {
                return Err(Error::file(&path, "remove")(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What the run of this folder goes on from.
///
/// # Errors
/// No run, or one without an interval to go on from; a file that cannot be read.
pub fn snapshot_of(folder: &Path) -> Result<Snapshot> {
    let (resume, settings) = (folder.join(RESUME), folder.join(SETTINGS));
    let refuse =
        |expected: &str, found: String| Err(Error::input(folder.display().to_string(), expected, found));
    if resume.exists() {
        return Snapshot::load(&resume);
    }
    if !settings.exists() {
        return refuse("the folder of a run of tinyfold train", format!("no {RESUME}"));
    }
    let interval = Settings::load(&settings)?.interval;
    let again = format!("tinyfold train --settings {} --out {}", settings.display(), folder.display());
    refuse(
        &format!("a run with an interval (of {interval} updates) to go on from"),
        format!("none yet; start it again: {again} (and the same --input, if it had one)"),
    )
}

fn write(
    folder: &Path,
    metrics: &Metrics,
    now: &Network,
    snapshot: Option<&dyn Fn() -> Snapshot>,
    history: &[Metrics],
) -> Result<()> {
    let mut lines = String::new();
    for metrics in history {
        let line = serde_json::to_string(metrics).expect("numbers become JSON");
        writeln!(lines, "{line}").expect("a String takes everything");
    }
    format::write_atomic(&folder.join(METRICS), lines.as_bytes())?;
    if let Some(snapshot) = snapshot {
        snapshot().save(&folder.join(RESUME))?;
    }
    if metrics.stable() {
        network::save(&folder.join(CHECKPOINT), now)?;
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
