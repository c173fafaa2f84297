//! CSV with a header line.

use super::{ReadOptions, check_dt, find_columns, scaling};
use crate::network::Channel;
use crate::task::{Dataset, Recording};
use crate::{Error, Result};

/// Names that a column of times has by default.
const TIMES: [&str; 3] = ["t_s", "time", "t"];
/// Name that the column which tells recordings apart has by default.
const GROUP: &str = "recording";
/// Largest deviation of one step from the median one: leaves room for times printed with few digits.
const JITTER: f64 = 0.1;

/// Roles of the columns, by number.
struct Columns {
    inputs: Vec<usize>,
    targets: Vec<usize>,
    time: Option<usize>,
    group: Vec<usize>,
    /// Columns without a single number: they describe recordings.
    text: Vec<usize>,
}

/// Rows of one recording before scaling.
struct Rows<'a> {
    /// Fields of the grouping columns.
    key: Vec<&'a str>,
    /// Fields of the text columns, as long as they stay the same.
    labels: Vec<Option<&'a str>>,
    x: Vec<f64>,
    targets: Vec<f64>,
    /// Time of every row and its line in the file.
    times: Vec<(f64, usize)>,
}

/// Reads CSV text with a header line; `place` names it in messages.
///
/// Rows with the same fields in the grouping columns are one recording, in the order of the file. Its
/// name is these fields and those of text columns that do not change within any recording ("0 standing").
/// The sampling interval is the mean step of the times, which must grow by nearly the same step
/// throughout every recording.
///
/// # Errors
/// No header or rows; a line with more or fewer fields than the header; a column twice or missing; a
/// field that is not a finite number; times that do not grow evenly.
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
            let found = format!("{name:?} twice");
            return Err(Error::input(format!("{place}: header"), "every column name once", found));
        }
    }
    let mut lines = Lines { text: text.as_bytes(), offset: 0, line: 1 };
    let mut records = Vec::new();
    for record in reader.records() {
        let record = record.map_err(malformed)?;
        let line = lines.of(record.position().map_or(0, |position| position.byte() as usize));
        if record.len() != header.len() {
            let expected = format!("{} fields, as the header has", header.len());
            return Err(Error::input(format!("{place}: line {line}"), expected, record.len().to_string()));
        }
        records.push((line, record));
    }
    if records.is_empty() {
        return Err(Error::input(place, "rows after the header", "none"));
    }
    let mut columns = Columns::choose(place, &header, &records, options)?;
    let given_dt = options.given_dt()?;
    if given_dt.is_some() {
        columns.time = None;
    }

    let mut recordings: Vec<Rows<'_>> = Vec::new();
    for (line, record) in &records {
        let number = |&column: &usize| {
            let text = &record[column];
            text.parse::<f64>().ok().filter(|x| x.is_finite()).ok_or_else(|| {
                let place = format!("{place}: line {line}, column {}", header[column]);
                let found = if text.is_empty() { "nothing".into() } else { format!("{text:?}") };
                Error::input(place, "a finite number", found)
            })
        };
        let fields = |columns: &[usize]| columns.iter().map(|&column| &record[column]).collect::<Vec<&str>>();
        let (key, labels) = (fields(&columns.group), fields(&columns.text));
        let known = recordings.iter().rposition(|rows| rows.key == key).unwrap_or_else(|| {
            let labels = labels.iter().copied().map(Some).collect();
            recordings.push(Rows { key, labels, x: vec![], targets: vec![], times: vec![] });
            recordings.len() - 1
        });
        let rows = &mut recordings[known];
        for (label, now) in rows.labels.iter_mut().zip(labels) {
            *label = label.filter(|&before| before == now);
        }
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
    let dt = match given_dt {
        Some(dt) => Some(dt),
        None => sampling_interval(place, &recordings)?,
    };
    let constant: Vec<bool> =
        (0..columns.text.len()).map(|k| recordings.iter().all(|rows| rows.labels[k].is_some())).collect();
    let recordings = recordings
        .into_iter()
        .enumerate()
        .map(|(k, rows)| {
            let labels = rows.labels.iter().zip(&constant).filter(|(_, constant)| **constant);
            let parts: Vec<&str> =
                rows.key.iter().copied().chain(labels.filter_map(|(label, _)| *label)).collect();
            Recording {
                name: if parts.is_empty() { k.to_string() } else { parts.join(" ") },
                x: rows.x,
                target: (!columns.targets.is_empty()).then_some(rows.targets),
            }
        })
        .collect();
    let named = |columns: &[usize]| columns.iter().map(|&k| Channel::plain(&header[k])).collect();
    let mut dataset =
        Dataset { inputs: named(&columns.inputs), targets: named(&columns.targets), dt, recordings };
    scaling::apply(place, &mut dataset, options)?;
    Ok(dataset)
}

/// Counts the lines of a text; the csv crate's own numbers are late after blank lines and CR LF.
struct Lines<'a> {
    text: &'a [u8],
    offset: usize,
    line: usize,
}

impl Lines<'_> {
    /// Line of the record that begins at or after byte `start`; `start` never falls.
    fn of(&mut self, start: usize) -> usize {
        let blank = self.text.iter().skip(start).take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let start = (start + blank).min(self.text.len());
        self.line += self.text[self.offset..start].split(|&byte| byte == b'\n').count() - 1;
        self.offset = start;
        self.line
    }
}

impl Columns {
    fn choose(
        place: &str,
        header: &[String],
        records: &[(usize, csv::StringRecord)],
        options: &ReadOptions,
    ) -> Result<Self> {
        let find = |option: &str, asked: &[String]| find_columns(place, option, header, asked);
        let targets = find("--targets", &options.targets)?;
        let mut inputs = find("--columns", &options.columns)?;
        let free = |name: &str| {
            let column = header.iter().position(|column| column == name)?;
            (!inputs.contains(&column) && !targets.contains(&column)).then_some(column)
        };
        let time = match &options.time {
            Some(name) => Some(find("--time", std::slice::from_ref(name))?[0]),
            None => TIMES.into_iter().find_map(free),
        };
        let group = match options.group.as_slice() {
            [] => free(GROUP).into_iter().collect(),
            asked => find("--group", asked)?,
        };
        let other: Vec<usize> = (0..header.len())
            .filter(|k| Some(*k) != time && ![&inputs, &targets, &group].iter().any(|role| role.contains(k)))
            .collect();
        let numeric = |k: &usize| records.iter().any(|(_, record)| record[*k].parse::<f64>().is_ok());
        let (numbers, text) = other.into_iter().partition(numeric);
        if inputs.is_empty() {
            inputs = numbers;
        }
        if inputs.is_empty() {
            let found = match header {
                [one] if one.contains([';', '\t']) => "none (are the fields separated by commas?)",
                _ => "none",
            };
            let place = format!("{place}: columns");
            return Err(Error::input(place, "at least one with numbers that is not time or group", found));
        }
        Ok(Self { inputs, targets, time, group, text })
    }
}

/// The mean step of all times; `None` without times or with one row a recording.
fn sampling_interval(place: &str, recordings: &[Rows<'_>]) -> Result<Option<f64>> {
    let steps = || {
        recordings
            .iter()
            .flat_map(|rows| rows.times.windows(2).map(|pair| (pair[1].0 - pair[0].0, pair[1].1)))
    };
    let mut sorted: Vec<f64> = steps().map(|(step, _)| step).collect();
    if sorted.is_empty() {
        return Ok(None);
    }
    sorted.sort_unstable_by(f64::total_cmp);
    let median = sorted[sorted.len() / 2];
    for (step, line) in steps() {
        let even = (step - median).abs() <= JITTER * median.abs();
        if step <= 0.0 || !even {
            let expected = if median > 0.0 {
                format!("a time {} s after the one before (or --dt)", short(median))
            } else {
                "times that grow within a recording (or --group, --dt)".into()
            };
            let found = format!("a step of {} s", short(step));
            return Err(Error::input(format!("{place}: line {line}"), expected, found));
        }
    }
    let mean = sorted.iter().sum::<f64>() / sorted.len() as f64;
    check_dt(&format!("{place}: times"), short(mean)).map(Some)
}

/// Twelve significant digits: 0.30000000000000004 - 0.2 is meant to be 0.1.
fn short(x: f64) -> f64 {
    format!("{x:.11e}").parse().unwrap_or(x)
}
