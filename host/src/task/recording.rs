//! Recordings from files: CSV with a header, and npz.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Dataset, Recording};
use crate::format::network::{Array, read_arrays};
use crate::network::Channel;
use crate::{Error, Result};

/// What one unit of an input becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// As it is in the file.
    None,
    /// Divided by the standard deviation over the whole file.
    #[default]
    Unit,
    /// Divided by the largest absolute value over the whole file.
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
    /// A straight line in every recording. A chip cannot: it would need the whole recording first.
    Linear,
}

/// How to read a recording.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize)]
pub struct ReadOptions {
    /// Input columns of a CSV file, in order; default: every numeric column that is not named otherwise.
    #[arg(long, value_delimiter = ',')]
    pub columns: Vec<String>,
    /// Target columns of a CSV file, when you bring your own.
    #[arg(long, value_delimiter = ',')]
    pub targets: Vec<String>,
    /// Column of times in seconds; default: `t_s`, `time` or `t`, if there is one.
    #[arg(long)]
    pub time: Option<String>,
    /// Columns that tell several recordings of one file apart; default: `recording`, if there is one.
    #[arg(long, value_delimiter = ',')]
    pub group: Vec<String>,
    /// Seconds between samples, if the file does not say.
    #[arg(long)]
    pub dt: Option<f64>,
    /// What one unit becomes.
    #[arg(long, value_enum, default_value_t)]
    pub scale: Scale,
    /// What is subtracted first.
    #[arg(long, value_enum, default_value_t)]
    pub detrend: Detrend,
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
    /// The recording asked for, or the bundled one.
    ///
    /// # Errors
    /// As [`read`].
    pub fn load(&self) -> Result<Dataset> {
        match &self.input {
            Some(path) => read(path, &self.options),
            None if self.options.columns.is_empty() => bundled(&GYROSCOPE),
            None => parse_csv(BUNDLED_NAME, BUNDLED, &self.options),
        }
    }
}

const BUNDLED: &str = include_str!("../../data/basic_motions.csv");
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
/// # Errors
/// Whatever is wrong with file or options: the message names file, line, column or array, what was
/// expected and what was found.
pub fn read(path: &Path, options: &ReadOptions) -> Result<Dataset> {
    let place = path.display().to_string();
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("csv") => {
            let bytes = std::fs::read(path).map_err(Error::file(path, "read"))?;
            let text = String::from_utf8(bytes).map_err(|error| {
                let at = error.utf8_error().valid_up_to();
                Error::input(&place, "UTF-8 text", format!("another byte at offset {at}"))
            })?;
            parse_csv(&place, &text, options)
        }
        Some("npz") => read_npz(path, options),
        other => {
            let found = other.map_or("no ending".into(), |ending| format!(".{ending}"));
            Err(Error::input(place, "a recording ending in .csv or .npz", found))
        }
    }
}

/// The columns of a CSV file by number.
struct Columns {
    inputs: Vec<usize>,
    targets: Vec<usize>,
    time: Option<usize>,
    group: Vec<usize>,
}

/// Rows of one recording before scaling.
struct Rows {
    name: String,
    x: Vec<f64>,
    targets: Vec<f64>,
    /// Time of every row and its line in the file.
    times: Vec<(f64, u64)>,
}

/// Reads CSV text; `place` names it in messages.
///
/// # Errors
/// As [`read`].
pub fn parse_csv(place: &str, text: &str, options: &ReadOptions) -> Result<Dataset> {
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let malformed = |error: csv::Error| Error::input(place, "CSV", error.to_string());
    let header: Vec<String> = reader.headers().map_err(malformed)?.iter().map(str::to_owned).collect();
    if header.iter().all(String::is_empty) {
        return Err(Error::input(place, "a header line and rows", "an empty file"));
    }
    for (k, name) in header.iter().enumerate() {
        if header[..k].contains(name) {
            return Err(Error::input(format!("{place}: header"), "different names", format!("{name} twice")));
        }
    }
    let mut records = Vec::new();
    for record in reader.records() {
        let record = record.map_err(malformed)?;
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != header.len() {
            let place = format!("{place}: line {line}");
            return Err(Error::input(place, format!("{} fields", header.len()), record.len().to_string()));
        }
        records.push((line, record));
    }
    let Some((_, first)) = records.first() else {
        return Err(Error::input(place, "rows after the header", "none"));
    };
    let columns = Columns::choose(place, &header, first, options)?;

    let mut recordings: Vec<Rows> = Vec::new();
    for (line, record) in &records {
        let number = |&column: &usize| {
            let text = &record[column];
            text.parse::<f64>().ok().filter(|x| x.is_finite()).ok_or_else(|| {
                let place = format!("{place}: line {line}, column {}", header[column]);
                let found = if text.is_empty() { "nothing".into() } else { format!("\"{text}\"") };
                Error::input(place, "a finite number", found)
            })
        };
        let key = columns.group.iter().map(|&column| &record[column]).collect::<Vec<&str>>().join(" ");
        let known = recordings.iter().rposition(|rows| rows.name == key).unwrap_or_else(|| {
            recordings.push(Rows { name: key, x: Vec::new(), targets: Vec::new(), times: Vec::new() });
            recordings.len() - 1
        });
        let rows = &mut recordings[known];
        for column in &columns.inputs {
            rows.x.push(number(column)?);
        }
        for column in &columns.targets {
            rows.targets.push(number(column)?);
        }
        if let Some(column) = &columns.time {
            rows.times.push((number(column)?, *line));
        }
    }
    let dt = match options.dt {
        Some(dt) => Some(check_dt(place, dt)?),
        None => sampling_interval(place, &recordings)?,
    };
    let named = |columns: &[usize]| columns.iter().map(|&k| Channel::plain(&header[k])).collect();
    let recordings = recordings
        .into_iter()
        .map(|rows| Recording {
            name: rows.name,
            x: rows.x,
            target: (!columns.targets.is_empty()).then_some(rows.targets),
        })
        .collect();
    let mut dataset =
        Dataset { inputs: named(&columns.inputs), targets: named(&columns.targets), dt, recordings };
    prepare(&mut dataset, options);
    Ok(dataset)
}

impl Columns {
    fn choose(
        place: &str,
        header: &[String],
        first: &csv::StringRecord,
        options: &ReadOptions,
    ) -> Result<Self> {
        let find = |name: &String| {
            header.iter().position(|column| column == name).ok_or_else(|| {
                let expected = format!("one of the columns {}", header.join(", "));
                Error::input(format!("{place}: column"), expected, name.clone())
            })
        };
        let default = |names: &[&str]| header.iter().position(|column| names.contains(&column.as_str()));
        let time = match &options.time {
            Some(name) => Some(find(name)?),
            None => default(&["t_s", "time", "t"]),
        };
        let group = if options.group.is_empty() {
            default(&["recording"]).into_iter().collect()
        } else {
            options.group.iter().map(find).collect::<Result<Vec<usize>>>()?
        };
        let targets = options.targets.iter().map(find).collect::<Result<Vec<usize>>>()?;
        let inputs: Vec<usize> = if options.columns.is_empty() {
            let other = |k: &usize| Some(*k) != time && !group.contains(k) && !targets.contains(k);
            (0..header.len()).filter(other).filter(|&k| first[k].parse::<f64>().is_ok()).collect()
        } else {
            options.columns.iter().map(find).collect::<Result<Vec<usize>>>()?
        };
        if inputs.is_empty() {
            return Err(Error::input(format!("{place}: columns"), "at least one numeric column", "none"));
        }
        Ok(Self { inputs, targets, time, group })
    }
}

fn check_dt(place: &str, dt: f64) -> Result<f64> {
    if dt.is_finite() && dt > 0.0 {
        Ok(dt)
    } else {
        Err(Error::input(format!("{place}: dt"), "a positive number of seconds", dt.to_string()))
    }
}

/// The common interval of all times; every step must be within 1 % of it.
fn sampling_interval(place: &str, recordings: &[Rows]) -> Result<Option<f64>> {
    let Some(dt) = recordings.iter().find_map(|rows| Some(rows.times.get(1)?.0 - rows.times.first()?.0))
    else {
        return Ok(None);
    };
    for rows in recordings {
        for pair in rows.times.windows(2) {
            let (step, line) = (pair[1].0 - pair[0].0, pair[1].1);
            if dt.is_nan() || dt <= 0.0 || (step - dt).abs() > 0.01 * dt {
                let expected = format!("times that increase by {dt} s like the first two");
                return Err(Error::input(format!("{place}: line {line}"), expected, format!("{step} s")));
            }
        }
    }
    // Decimal times carry rounding: 0.30000000000000004 - 0.2 is meant to be 0.1.
    Ok(Some((dt * 1e9).round() / 1e9))
}

fn read_npz(path: &Path, options: &ReadOptions) -> Result<Dataset> {
    let (arrays, _) = read_arrays(path)?;
    let place = path.display().to_string();
    let names = arrays.keys().cloned().collect::<Vec<String>>().join(", ");
    let x = arrays
        .get("x")
        .ok_or_else(|| Error::input(format!("{place}: array x"), "to be in the file", names))?;
    let (count, steps, inputs) = sizes(&place, "x", x)?;
    let target = arrays.get("y").or_else(|| arrays.get("target"));
    let outputs = match target {
        None => 0,
        Some(y) => {
            let (y_count, y_steps, outputs) = sizes(&place, "y", y)?;
            if (y_count, y_steps) != (count, steps) {
                let place = format!("{place}: array y");
                let found = format!("{y_count} × {y_steps}");
                return Err(Error::input(place, format!("{count} × {steps} samples, as x"), found));
            }
            outputs
        }
    };
    let dt = options.dt.or_else(|| arrays.get("dt")?.values.first().copied());
    let dt = dt.map(|dt| check_dt(&place, dt)).transpose()?;
    let part = |array: &Array, width: usize, k: usize| {
        array.values[k * steps * width..(k + 1) * steps * width].to_vec()
    };
    let recordings = (0..count)
        .map(|k| Recording {
            name: k.to_string(),
            x: part(x, inputs, k),
            target: target.map(|y| part(y, outputs, k)),
        })
        .collect();
    let plain = |kind: &str, count: usize| (0..count).map(|k| Channel::plain(format!("{kind}{k}"))).collect();
    let mut dataset = Dataset { inputs: plain("x", inputs), targets: plain("y", outputs), dt, recordings };
    prepare(&mut dataset, options);
    Ok(dataset)
}

/// Recordings, steps and channels of an array of two or three dimensions.
fn sizes(place: &str, name: &str, array: &Array) -> Result<(usize, usize, usize)> {
    let sizes = match *array.shape.as_slice() {
        [steps, channels] => (1, steps, channels),
        [count, steps, channels] => (count, steps, channels),
        _ => (0, 0, 0),
    };
    if sizes.0 * sizes.1 * sizes.2 == 0 {
        let place = format!("{place}: array {name}");
        return Err(Error::input(
            place,
            "T × channels or K × T × channels, none of them 0",
            format!("{:?}", array.shape),
        ));
    }
    Ok(sizes)
}

/// Detrends and scales the inputs, and writes down in the channels what the chip must do to raw samples.
fn prepare(dataset: &mut Dataset, options: &ReadOptions) {
    let width = dataset.inputs.len();
    for c in 0..width {
        if options.detrend == Detrend::Linear {
            for recording in &mut dataset.recordings {
                subtract_line(&mut recording.x, c, width);
            }
        }
        let values: Vec<f64> =
            dataset.recordings.iter().flat_map(|r| r.x.iter().skip(c).step_by(width)).copied().collect();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let center = if options.detrend == Detrend::Mean { mean } else { 0.0 };
        let size = match options.scale {
            Scale::None => 1.0,
            Scale::Unit => (values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count).sqrt(),
            Scale::Max => values.iter().map(|x| (x - center).abs()).fold(0.0, f64::max),
        };
        // A channel that never changes stays as it is.
        let gain = if size > 0.0 { 1.0 / size } else { 1.0 };
        for recording in &mut dataset.recordings {
            for x in recording.x.iter_mut().skip(c).step_by(width) {
                *x = (*x - center) * gain;
            }
        }
        dataset.inputs[c].center = center;
        dataset.inputs[c].gain = gain;
    }
}

/// Subtracts the least-squares line of channel `c`.
fn subtract_line(x: &mut [f64], c: usize, width: usize) {
    let steps = x.len() / width;
    let middle = (steps as f64 - 1.0) / 2.0;
    let (mut mean, mut slope, mut spread) = (0.0, 0.0, 0.0);
    for t in 0..steps {
        let time = t as f64 - middle;
        mean += x[t * width + c] / steps as f64;
        slope += x[t * width + c] * time;
        spread += time * time;
    }
    let slope = if spread > 0.0 { slope / spread } else { 0.0 };
    for t in 0..steps {
        x[t * width + c] -= mean + slope * (t as f64 - middle);
    }
}
