//! Recordings from files: CSV with a header, and npz.

mod npz;
mod scaling;
mod table;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Dataset;
use crate::format::ending;
use crate::{Error, Result};

pub use table::parse_csv;

/// What an input is multiplied by, one gain a channel: x = (raw - center) · gain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// Nothing.
    None,
    /// 1 / standard deviation over the whole file.
    #[default]
    Unit,
    /// 1 / largest absolute value over the whole file.
    Max,
}

/// What is subtracted before scaling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Detrend {
    /// Nothing.
    None,
    /// The mean over the whole file. The chip does the same to raw samples.
    #[default]
    Mean,
    /// The least-squares line of every recording. A chip cannot: it would need the whole recording
    /// first. The channels then hold the gain only.
    Linear,
}

/// How to read a recording.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize)]
pub struct ReadOptions {
    /// Input columns, in order; default: every numeric column that has no other role. The columns of an
    /// npz file are called x0, x1, ...
    #[arg(long, value_delimiter = ',')]
    pub columns: Vec<String>,
    /// Target columns, when you bring your own; default: none of CSV, all of `y` in npz.
    #[arg(long, value_delimiter = ',')]
    pub targets: Vec<String>,
    /// CSV column of times in seconds; default: `t_s`, `time` or `t`, if there is one.
    #[arg(long)]
    pub time: Option<String>,
    /// CSV columns that tell several recordings of one file apart; default: `recording`, if there is one.
    #[arg(long, value_delimiter = ',')]
    pub group: Vec<String>,
    /// Seconds between samples; the times in the file are then not looked at.
    #[arg(long)]
    pub dt: Option<f64>,
    /// What inputs are multiplied by.
    #[arg(long, value_enum, default_value_t)]
    pub scale: Scale,
    /// What is subtracted first.
    #[arg(long, value_enum, default_value_t)]
    pub detrend: Detrend,
}

impl ReadOptions {
    /// Seconds between samples as the user gave them.
    fn given_dt(&self) -> Result<Option<f64>> {
        self.dt.map(|dt| check_dt("--dt", dt)).transpose()
    }
}

fn check_dt(place: &str, dt: f64) -> Result<f64> {
    if dt.is_finite() && dt > 0.0 {
        Ok(dt)
    } else {
        Err(Error::input(place, "a positive number of seconds", dt.to_string()))
    }
}

/// The places in `known` of the columns asked for, none twice.
fn find_columns(place: &str, option: &str, known: &[String], asked: &[String]) -> Result<Vec<usize>> {
    let find = |name: &String| {
        known.iter().position(|column| column == name).ok_or_else(|| {
            let expected = format!("columns of the file ({})", known.join(", "));
            Error::input(format!("{place}: {option}"), expected, name.clone())
        })
    };
    for (k, name) in asked.iter().enumerate() {
        if asked[..k].contains(name) {
            return Err(Error::input(option, "every column once", format!("{name} twice")));
        }
    }
    asked.iter().map(find).collect()
}

/// The recording a command works on; flattened into its options.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct RecordingArgs {
    /// A recording: CSV with a header, or npz with arrays `x` (T × I or K × T × I), `y`, `dt`.
    /// Default: the bundled gyroscope recordings.
    #[arg(long)]
    pub input: Option<PathBuf>,
    /// How to read it.
    #[command(flatten)]
    pub options: ReadOptions,
}

impl RecordingArgs {
    /// The recording asked for; without `--input` the bundled one, of which the gyroscope axes are the
    /// default columns.
    ///
    /// # Errors
    /// As [`read`].
    pub fn load(&self) -> Result<Dataset> {
        let Some(path) = &self.input else {
            let mut options = self.options.clone();
            if options.columns.is_empty() {
                options.columns = GYROSCOPE.map(str::to_owned).to_vec();
            }
            return parse_csv(BUNDLED_NAME, BUNDLED, &options);
        };
        read(path, &self.options)
    }
}

const BUNDLED: &str = include_str!("../../../data/basic_motions.csv");
const BUNDLED_NAME: &str = "the bundled recording (basic_motions.csv)";

/// The three gyroscope axes of the bundled recording: the D = 3 default.
pub const GYROSCOPE: [&str; 3] = ["gyro_x", "gyro_y", "gyro_z"];
/// All six axes of the bundled recording.
pub const SIX_AXES: [&str; 6] = ["accel_x", "accel_y", "accel_z", "gyro_x", "gyro_y", "gyro_z"];

/// Columns of the bundled recording: 40 recordings of 10 s at 10 Hz, mean removed, unit variance.
///
/// # Errors
/// A column that it does not have.
///
/// ```
/// use tinyfold::task::recording::{GYROSCOPE, bundled};
/// let data = bundled(&GYROSCOPE)?;
/// assert_eq!((data.recordings.len(), data.inputs.len(), data.dt), (40, 3, Some(0.1)));
/// # Ok::<(), tinyfold::Error>(())
/// ```
pub fn bundled(columns: &[&str]) -> Result<Dataset> {
    let columns = columns.iter().map(|&name| name.to_owned()).collect();
    parse_csv(BUNDLED_NAME, BUNDLED, &ReadOptions { columns, ..ReadOptions::default() })
}

/// Reads a recording; the ending of `path` chooses the format.
///
/// Inputs become x = (raw - center) · gain, and the channels of the result hold center and gain, so
/// that a chip can do the same to raw samples; by default the mean over the whole file is removed and
/// the variance over it is 1. Targets stay as they are.
///
/// CSV: see [`parse_csv`]. npz: `x`, T × I or, for K recordings, K × T × I; optional targets `y` or
/// `target` (T × O or K × T × O) and `dt` (one number, seconds); float32 or float64.
///
/// # Errors
/// Whatever is wrong with file or options: the message names file, line, column or array, what was
/// expected and what was found.
///
/// ```
/// use tinyfold::task::recording::{ReadOptions, read};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("walk.csv");
/// # std::fs::write(&path, "t_s,speed\n0.0,1\n0.5,3\n").unwrap();
/// let data = read(&path, &ReadOptions::default())?;
/// assert_eq!((data.dt, data.recordings[0].x.as_slice()), (Some(0.5), [-1.0, 1.0].as_slice()));
/// assert_eq!((data.inputs[0].center, data.inputs[0].gain), (2.0, 1.0));
/// # Ok::<(), tinyfold::Error>(())
/// ```
pub fn read(path: &Path, options: &ReadOptions) -> Result<Dataset> {
    let place = path.display().to_string();
    match ending(path).as_str() {
        ".csv" => {
            let bytes = std::fs::read(path).map_err(Error::file(path, "read"))?;
            let text = std::str::from_utf8(&bytes).map_err(|error| {
                let at = error.valid_up_to();
                let line = bytes[..at].split(|&byte| byte == b'\n').count();
                Error::input(
                    format!("{place}: line {line}"),
                    "UTF-8 text",
                    format!("byte 0x{:02x}", bytes[at]),
                )
            })?;
            parse_csv(&place, text, options)
        }
        ".npz" => npz::read(path, options),
        other => Err(Error::input(place, "a recording ending in .csv or .npz", other)),
    }
}
