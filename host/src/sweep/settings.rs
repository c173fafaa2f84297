//! The file of a sweep: `seeds`, `[base]`, `[grid]`, `[recording]`, `[slurm]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::format::settings::settings;
use crate::task::Dataset;
use crate::task::recording::{Detrend, ReadOptions, RecordingArgs, Scale};
use crate::train::Settings;
use crate::{Result, format};

/// All that decides a sweep, as the file has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sweep {
    /// Seeds of every combination.
    pub seeds: Seeds,
    /// Values of the settings that are swept.
    pub grid: toml::Table,
    /// What all runs have in common.
    pub base: Settings,
    /// The recording, as in `tinyfold train`.
    pub recording: Option<Recording>,
    /// How Slurm is asked.
    pub slurm: Slurm,
}

/// Seeds of every combination.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "seeds: expected how many there are, or a list of them")]
pub enum Seeds {
    /// So many, from the seed of `[base]` on.
    Count(u64),
    /// These.
    List(Vec<u64>),
}

impl Default for Seeds {
    fn default() -> Self {
        Self::Count(1)
    }
}

impl Seeds {
    /// The seeds; `first` is that of `[base]`.
    #[must_use]
    pub fn all(&self, first: u64) -> Vec<u64> {
        match self {
            Self::Count(count) => (0..*count).map(|k| first.wrapping_add(k)).collect(),
            Self::List(seeds) => seeds.clone(),
        }
    }
}

settings! {
    /// The recording that batches and roll-outs are taken from.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    Recording {
        /// CSV or npz; the bundled recording without it. A relative path starts where the command runs.
        input: Option<PathBuf> = None,
        /// Input columns, in order; all numeric ones (bundled: the gyroscope) without them.
        columns: Vec<String> = Vec::new(),
        /// Columns that tell several recordings of one file apart.
        group: Vec<String> = Vec::new(),
        /// Column of times in seconds.
        time: Option<String> = None,
        /// Seconds between samples.
        dt: Option<f64> = None,
        /// What inputs are multiplied by: none, unit (1 / standard deviation) or max (1 / largest).
        scale: Scale = Scale::default(),
        /// What is subtracted first: none, mean or linear.
        detrend: Detrend = Detrend::default(),
    }
}

settings! {
    /// How Slurm is asked for a job array.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    Slurm {
        /// Partition; the cluster's default when empty.
        partition: String = String::new(),
        /// Time limit of a task, as sbatch has it ("2:00:00"); the partition's when empty.
        time: String = String::new(),
        /// Memory of a task, as sbatch has it ("2G"); the partition's when empty.
        memory: String = String::new(),
        /// Cores of a task: so many of its runs go on at once.
        cores: usize = 1,
        /// Most tasks of the array; each does an equal share of the runs. Clusters often allow 1000.
        tasks: usize = 1000,
        /// Most tasks that go on at once; 0 for no limit.
        at_once: usize = 0,
        /// Seconds between two looks at the queue.
        poll: f64 = 5.0,
        /// More arguments of sbatch, such as "--account=mine".
        arguments: Vec<String> = Vec::new(),
    }
}

impl Recording {
    /// Reads it.
    ///
    /// # Errors
    /// As [`RecordingArgs::load`].
    pub fn load(&self) -> Result<Dataset> {
        let Self { input, columns, group, time, dt, scale, detrend } = self.clone();
        let options = ReadOptions { columns, targets: Vec::new(), time, group, dt, scale, detrend };
        RecordingArgs { input, options }.load()
    }
}

/// A file of a sweep with everything at its default, each field below its documentation.
#[must_use]
pub fn documented() -> String {
    let commented = |text: String| text.lines().map(|line| format!("# {line}\n")).collect::<String>();
    let recording = format::settings::documented(&Recording::default(), Recording::FIELDS);
    let slurm = format::settings::documented(&Slurm::default(), Slurm::FIELDS);
    format!(
        "# Seeds of every combination: how many, from base.seed on, or a list of them.\nseeds = 1\n\n\
        # Settings that are swept, each with its values: every value of one with every value of the others.\n\
        # Names are those of [base]; what is inside a setting has a dot.\n[grid]\n\
        # neurons = [32, 64]\n# rank = [0, 3]\n# method.sgd.momentum = [0.0, 0.9]\n\n\
        # What all runs have in common.\n[base]\n{}\n\
        # The recording that batches and roll-outs are taken from; Gaussian signals alone without this table.\n\
        # [recording]\n{}\n\
        # How Slurm is asked for a job array, with --slurm.\n[slurm]\n{slurm}",
        Settings::default().documented(),
        commented(recording),
    )
}
