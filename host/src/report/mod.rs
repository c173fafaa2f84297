//! Figures and the self-contained HTML report of a run.
//!
//! [`build`] goes from a network to plain data, [`figures`] from data to SVG and PNG, [`page`] to HTML.

pub mod analysis;
pub mod build;
mod check;
pub mod curves;
pub mod dynamics;
pub mod figures;
pub mod growth;
pub mod learning;
pub mod linearised;
pub mod multipliers;
pub mod page;
pub mod rules;
pub mod slow;
pub mod sweep;
pub mod text;
pub mod theory;
mod traces;
pub mod trials;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::task::Integration;
use crate::verify::Verification;
use crate::{Error, Result, format};

/// Version of report.json.
pub const SCHEMA: u32 = 2;

/// All that a report shows, as plain data: report.json holds exactly this.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Headline.
    pub title: String,
    /// The command that made the run.
    pub command: String,
    /// Version of tinyfold.
    pub version: String,
    /// Seed of the run.
    pub seed: u64,
    /// Where the signals come from.
    pub recording: Source,
    /// What was to be integrated.
    pub task: Integration,
    /// Step of the joined recordings at which the traces begin.
    pub first: usize,
    /// Inputs shown, one trace a channel.
    pub inputs: Vec<Vec<f64>>,
    /// Targets shown, one trace a channel.
    pub targets: Vec<Vec<f64>>,
    /// Steps over which the errors were taken.
    pub steps: usize,
    /// The networks, the exact one first.
    pub networks: Vec<NetworkReport>,
    /// What verification said, or why there is none for the chips.
    pub verification: Verification,
    /// What the chips cost; empty without an emulator.
    pub chips: Vec<ChipReport>,
    /// What to do when chips are missing.
    pub missing: Option<String>,
    /// What was learned on a chip, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learning: Option<learning::Learning>,
}

/// Where the signals come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// File, or what the bundled recording is.
    pub name: String,
    /// Names of the channels.
    pub channels: Vec<String>,
    /// Number of recordings.
    pub recordings: usize,
    /// Samples in all.
    pub samples: usize,
    /// Seconds between samples.
    pub dt: Option<f64>,
}

/// What the report shows of one network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkReport {
    /// Name: exact, trained, compressed.
    pub name: String,
    /// How it was made, in a few words.
    pub origin: String,
    /// n.
    pub neurons: usize,
    /// R, 0 when dense.
    pub rank: usize,
    /// Relative RMSE over Gaussian steps, f64.
    pub gaussian: f64,
    /// Relative RMSE over the recording, f64.
    pub recording: f64,
    /// Relative RMSE over the recording, core f32.
    pub recording_f32: f64,
    /// Outputs shown, one trace a channel.
    pub outputs: Vec<Vec<f64>>,
    /// Relative RMSE of the steps around t, in f64: (t, error).
    pub error_f64: Vec<(f64, f64)>,
    /// The same in core f32.
    pub error_f32: Vec<(f64, f64)>,
    /// Singular values of W, falling.
    pub singular_values: Vec<f64>,
    /// Decay actually realised, one a channel.
    pub decays: Vec<f64>,
    /// R² of each true integral as a linear function of the manifold coordinates.
    pub r_squared: Vec<f64>,
    /// Part of the pre-activations outside the D-dimensional manifold.
    pub distance: f64,
    /// Points of the state in manifold coordinates, with the true integrals there.
    pub manifold: Vec<ManifoldPoint>,
    /// Largest error of a backend that passes, relative to the largest value of the run.
    pub tolerance: f64,
    /// Fixed points and multipliers; none where the network is too large or diverges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dynamics: Option<linearised::Linearised>,
    /// Bytes of the chip model.
    pub model_bytes: usize,
    /// Multiply-adds of a step on the chip.
    pub multiply_adds: usize,
}

/// One moment on the manifold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManifoldPoint {
    /// Coordinates in the span of the top singular vectors.
    pub coordinates: Vec<f64>,
    /// The integrals as the linear fit reads them from the coordinates.
    pub read: Vec<f64>,
    /// The true integrals.
    pub integrals: Vec<f64>,
}

/// What a chip pays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChipReport {
    /// Name of the backend.
    pub name: String,
    /// The core.
    pub core: String,
    /// Bytes of flash for code and constants, without the model.
    pub flash: u64,
    /// Bytes of static RAM, state memory included.
    pub static_ram: u64,
    /// Most bytes of stack used.
    pub stack: u32,
}

/// Writes report.html, report.json and figures/*.svg, *.png into `folder`.
///
/// # Errors
/// A report whose shapes do not fit ([`Report::check`]); a file that cannot be written.
pub fn write(folder: &Path, report: &Report) -> Result<()> {
    let json = folder.join("report.json");
    report.check(&json.display().to_string())?;
    let report = report.clone().finite();
    let figures = figures::all(&report);
    figures::write(&folder.join("figures"), &figures)?;
    format::write_json(&json, &report)?;
    format::write_atomic(&folder.join("report.html"), page::render(&report, &figures).as_bytes())
}

/// Reads the report.json of a run.
///
/// # Errors
/// No such file; not a report, or one of another version: the message names the field.
pub fn read(folder: &Path) -> Result<Report> {
    /// Read first: a file of another version is refused for that, not for a field that moved.
    #[derive(Deserialize)]
    struct Version {
        schema: u32,
    }
    let path = folder.join("report.json");
    let found = format::read_json::<Version>(&path)?.schema;
    if found != SCHEMA {
        let place = format!("{}: schema", path.display());
        return Err(Error::input(place, SCHEMA.to_string(), found.to_string()));
    }
    format::read_json(&path)
}
