//! Sweeps: every combination of values of settings, for every seed, as runs that may be killed at any moment.
//!
//! [`plan`] goes from the file to the runs; [`worker`] does one run in a process of its own, on one thread;
//! [`drive`] keeps as many workers as there are cores; [`slurm`] submits the same as a job array; [`table`]
//! gathers. Results are folders, so parts of a sweep that ran on several machines are merged by copying them
//! together. A run is complete when its folder has result.json, which is written last.

pub mod drive;
pub mod plan;
pub mod settings;
pub mod slurm;
pub mod table;
pub mod worker;

use std::path::{Path, PathBuf};

use crate::{Error, Result, format};
use plan::{Plan, Run};

/// Name of the copy of the sweep's file in its folder.
pub const FILE: &str = "sweep.toml";

/// The folder of a run.
#[must_use]
pub fn folder(out: &Path, run: &Run) -> PathBuf {
    out.join("runs").join(&run.name)
}

/// The runs of a sweep that are not complete.
///
/// # Errors
/// A file that cannot be read.
pub fn incomplete<'a>(out: &Path, plan: &'a Plan) -> Result<Vec<&'a Run>> {
    let open = |run: &'a Run| match worker::outcome(&folder(out, run)) {
        Ok(None) => Some(Ok(run)),
        Ok(Some(_)) => None,
        Err(error) => Some(Err(error)),
    };
    plan.runs.iter().filter_map(open).collect()
}

/// Makes `out` the folder of this sweep.
///
/// # Errors
/// It holds another sweep: the message names what differs. A file that cannot be read or written.
pub fn claim(out: &Path, plan: &Plan, text: &str) -> Result<()> {
    let path = out.join(FILE);
    if path.exists() {
        let differences = plan.differences(&Plan::load(&path)?);
        if !differences.is_empty() {
            return Err(Error::input(path.display().to_string(), "the same sweep", differences.join("; ")));
        }
    }
    format::write_atomic(&path, text.as_bytes())
}

/// A part of a sweep: `--shard 2/3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which, from 1.
    pub index: usize,
    /// Of how many.
    pub of: usize,
}

impl Shard {
    /// Whether a run belongs to it.
    #[must_use]
    pub fn has(&self, run: &Run) -> bool {
        run.index % self.of == self.index - 1
    }
}

impl std::str::FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        numbers
            .filter(|&(index, of)| 1 <= index && index <= of)
            .map(|(index, of)| Self { index, of })
            .ok_or_else(|| "expected i/n with 1 <= i <= n".into())
    }
}
