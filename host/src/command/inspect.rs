//! `tinyfold inspect`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use tinyfold_core::learn::Plan;
use tinyfold_core::wire::lesson::{self, Lesson};
use tinyfold_core::wire::{self, trial};
use tinyfold_core::{Field, Number, Scalar, Shape};

use super::say;
use crate::dynamics::monitor::Thresholds;
use crate::format::arrays::ArrayFile;
use crate::format::banks::{self, Fetched};
use crate::format::fixed::FixedNetwork;
use crate::format::model::{self, ModelBytes};
use crate::format::network::{self, names};
use crate::format::reduced::Reduced;
use crate::format::results::{About, Told};
use crate::format::{ending, read_bytes, read_json, settings};
use crate::network::{Channel, Network, Recurrence};
use crate::task::recording::{Detrend, ReadOptions, Scale, read};
use crate::{Error, Result};

/// Prints what any tinyfold file holds: networks, models, recordings, settings, metrics and results.
#[derive(clap::Args)]
#[command(after_help = "Example: tinyfold inspect runs/quickstart/exact.tfld")]
pub struct Args {
    /// The file: .safetensors, .npz, .tfld, .tfrm, .tfmn, .csv, .json, .jsonl, .toml, or .bin (a trial, its result, a lesson, flash
    /// banks).
    file: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// A file that cannot be read, or is none of tinyfold's.
pub fn run(args: &Args) -> Result<()> {
    let description = describe(&args.file)?;
    if args.json {
        say!("{}", serde_json::to_string_pretty(&description).expect("plain data becomes JSON"));
    } else {
        say!("{}", text(&description, 0).trim_end());
    }
    Ok(())
}

/// What a file holds, as one JSON object.
///
/// # Errors
/// As [`run`].
pub fn describe(path: &Path) -> Result<Value> {
    match ending(path).as_str() {
        ".tfld" => describe_model(path),
        ".tfrm" => describe_reduced(path),
        ".tfmn" => describe_monitor(path),
        ".csv" => describe_recording(path),
        ".npz" => match About::of(path)? {
            Some(about) => Ok(describe_results(&about)),
            None if ArrayFile::open(path)?.has("x") => describe_recording(path),
            None => Ok(describe_network(&network::load(path)?, "network")),
        },
        ".safetensors" => Ok(describe_network(&network::load(path)?, "network")),
        ".json" => read_json(path),
        ".jsonl" => describe_lines(path),
        ".toml" => describe_settings(path),
        ".bin" => describe_bytes_of_chip(path),
        other => {
            // A file that is not there is told as such.
            read_bytes(path, "a file of tinyfold")?;
            let expected = "a file ending in .safetensors, .npz, .tfld, .tfrm, .tfmn, .csv, .json, .jsonl, .toml or .bin";
            Err(Error::input(path.display().to_string(), expected, other))
        }
    }
}

/// Settings of a training run or of a sweep.
fn describe_settings(path: &Path) -> Result<Value> {
    let place = path.display().to_string();
    let bytes = read_bytes(path, "settings in TOML")?;
    let refuse = |error: std::str::Utf8Error| Error::input(&place, "settings in TOML", error.to_string());
    settings::parse(std::str::from_utf8(&bytes).map_err(refuse)?, &place)
}

fn describe_model(path: &Path) -> Result<Value> {
    let place = path.display().to_string();
    let bytes = ModelBytes::load(path)?;
    match bytes.number().map_err(|error| model::refused(&place, error))? {
        Number::F32 => describe_model_of::<f32>(&bytes, &place, "f32"),
        Number::F64 => describe_model_of::<f64>(&bytes, &place, "f64"),
        Number::I16 | Number::I8 => describe_fixed(&bytes, &place),
    }
}

fn describe_model_of<T: Scalar>(bytes: &ModelBytes, place: &str, number: &str) -> Result<Value> {
    let model = model::read::<T>(bytes, place)?;
    let shape = model.view.shape();
    let mut description = describe_network(&model::import(&model, place)?, "chip model");
    describe_bytes(&mut description, bytes, number, shape, shape.state_len() * T::NUMBER.size());
    Ok(description)
}

/// The network that the integers stand for, and their sizes.
fn describe_fixed(bytes: &ModelBytes, place: &str) -> Result<Value> {
    let network = FixedNetwork::import(bytes, place)?;
    let number = if network.number == Number::I8 { "i8" } else { "i16" };
    let mut description = describe_network(&network.dequantise(), "chip model of fixed point");
    if let Some(object) = description.as_object_mut() {
        // Variants of exp and orders of float sums mean nothing here.
        object.remove("activation variant");
        object.remove("arithmetic");
    }
    describe_bytes(&mut description, bytes, number, network.shape, 4 * network.state_words());
    Ok(description)
}

fn describe_reduced(path: &Path) -> Result<Value> {
    let place = path.display().to_string();
    let bytes = ModelBytes::load(path)?;
    // Only a number type may be told otherwise by the other.
    let (model, number) = match wire::reduced::read::<f32>(bytes.bytes()) {
        Err(error) if error.field == Field::Number => (Reduced::import::<f64>(&bytes, &place)?, Number::F64),
        _ => (Reduced::import::<f32>(&bytes, &place)?, Number::F32),
    };
    let shape = model.shape;
    Ok(json!({
        "holds": "reduced model",
        "coordinates D": shape.dimensions,
        "intervals": model.interval,
        "initial state": model.initial,
        "degree of the drift": shape.drift,
        "degree of the inputs": shape.gain,
        "degree of the outputs": shape.output,
        "arithmetic": names::arithmetic(model.arithmetic),
        "input channels": model.inputs.iter().map(channel).collect::<Value>(),
        "output channels": model.outputs.iter().map(channel).collect::<Value>(),
        "format version": wire::reduced::VERSION,
        "number type": if number == Number::F64 { "f64" } else { "f32" },
        "bytes": bytes.bytes().len(),
        "multiply-adds a step": shape.multiply_adds(),
        "state memory in bytes": shape.state_len() * number.size(),
    }))
}

fn describe_monitor(path: &Path) -> Result<Value> {
    let bytes = ModelBytes::load(path)?;
    let refused = |error| model::refused(&path.display().to_string(), error);
    let read = wire::monitor::read::<f32>(bytes.bytes()).map_err(refused)?;
    let (shape, plan) = (read.monitor.shape(), read.monitor.plan());
    let Shape { neurons, rank, inputs, outputs } = shape.network;
    let thresholds = Thresholds::of(&read.monitor);
    let mut description = json!({
        "holds": "monitor",
        "watches the model of checksum": format!("{:#010x}", read.model),
        "neurons n": neurons,
        "rank R": rank,
        "inputs I": inputs,
        "outputs O": outputs,
        "largest residual": thresholds.residual,
        "ranges": thresholds.ranges,
        "words of the readout scrubbed at a time": plan.scrub,
        "format version": wire::monitor::VERSION,
        "bytes": bytes.bytes().len(),
        "state memory in bytes": 4 * shape.memory_len(),
    });
    if let Some(distance) = thresholds.distance {
        description["dimensions K"] = json!(shape.dimensions);
        description["largest distance of a neuron, least and greatest"] = json!(distance);
        description["steps from look to look at the manifold"] = json!(plan.every);
        description["steps from check to check of the weights"] = json!(plan.check);
    } else {
        description["steps from look to look"] = json!(plan.every);
    }
    Ok(description)
}

fn describe_bytes(description: &mut Value, bytes: &ModelBytes, number: &str, shape: Shape, state: usize) {
    description["format version"] = json!(wire::VERSION);
    description["number type"] = json!(number);
    description["bytes"] = json!(bytes.bytes().len());
    description["multiply-adds a step"] = json!(shape.multiply_adds());
    description["state memory in bytes"] = json!(state);
}

fn describe_network(network: &Network, kind: &str) -> Value {
    let (activation, parameters) = names::activation(network.activation);
    let mut description = json!({
        "holds": kind,
        "form": names::form(network.form),
        "neurons n": network.neurons(),
    });
    let mut largest = json!({});
    match &network.recurrence {
        Recurrence::Dense(w) => {
            description["recurrence"] = json!("dense");
            largest["W"] = json!(w.norm_max());
        }
        Recurrence::LowRank { u, v } => {
            description["recurrence"] = json!("low rank");
            description["rank R"] = json!(u.ncols());
            largest["U"] = json!(u.norm_max());
            largest["V"] = json!(v.norm_max());
        }
    }
    largest["B"] = json!(network.input.norm_max());
    largest["C"] = json!(network.readout.norm_max());
    description["inputs I"] = json!(network.inputs.len());
    description["outputs O"] = json!(network.outputs.len());
    description["leak alpha"] = json!(network.alpha);
    description["activation"] = json!(activation);
    if !parameters.is_empty() {
        description["activation parameters"] = json!(parameters);
    }
    if network.nonlinear_decoder {
        description["decoder"] = json!("nonlinear, y = phi(C h + c)");
    }
    description["activation variant"] = json!(names::variant(network.variant));
    description["arithmetic"] = json!(names::arithmetic(network.arithmetic));
    description["largest weight"] = largest;
    if let Some(kept) = &network.kept {
        description["kept of the neurons before masking"] = json!(kept);
    }
    if let Some(task) = &network.task {
        let one = |(decay, scale)| json!({ "decay": decay, "scale": scale });
        description["task"] = task
            .integration()
            .map_or_else(|| json!(task), |task| task.decays.iter().zip(&task.scales).map(one).collect());
    }
    description["input channels"] = network.inputs.iter().map(channel).collect();
    description["output channels"] = network.outputs.iter().map(channel).collect();
    description
}

fn channel(channel: &Channel) -> Value {
    let unit = if channel.unit.is_empty() { json!("-") } else { json!(channel.unit) };
    json!({ "name": channel.name, "unit": unit, "center": channel.center, "gain": channel.gain })
}

/// Arrays of a result.
fn describe_results(about: &About) -> Value {
    let told = |told: &Told| {
        let axes = std::iter::zip(&told.axes, &told.shape).map(|(axis, length)| format!("{length} {axis}"));
        let shape = axes.collect::<Vec<String>>().join(" × ");
        json!({
            "name": told.name, "type": told.number, "shape": if shape.is_empty() { "one number" } else { &shape },
            "unit": told.unit, "meaning": told.meaning,
        })
    };
    let names = about.names.iter().map(|(what, names)| (what.clone(), json!(names)));
    let names = names.collect::<Map<String, Value>>();
    let mut described = json!({ "holds": "result", "command": about.command, "complete": about.complete });
    if !names.is_empty() {
        described["names of"] = names.into();
    }
    described["arrays"] = about.arrays.iter().map(told).collect();
    described
}

fn describe_recording(path: &Path) -> Result<Value> {
    let raw = ReadOptions { scale: Scale::None, detrend: Detrend::None, ..ReadOptions::default() };
    let data = read(path, &raw)?;
    let columns = data.inputs.iter().enumerate().map(|(c, input)| {
        let (mean, deviation) = data.moments(c);
        let (least, greatest) = data
            .channel(c)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, greatest), x| (least.min(x), greatest.max(x)));
        json!({ "column": input.name, "mean": mean, "std": deviation, "min": least, "max": greatest })
    });
    Ok(json!({
        "holds": "recording",
        "recordings": data.recordings.len(),
        "samples": data.samples(),
        "seconds between samples": data.dt,
        "inputs": columns.collect::<Vec<Value>>(),
        "targets": data.targets.iter().map(|target| target.name.as_str()).collect::<Vec<&str>>(),
    }))
}

fn describe_lines(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).map_err(Error::file(path, "read"))?;
    let rows = text.lines().enumerate().map(|(k, line)| {
        let place = format!("{}: line {}", path.display(), k + 1);
        serde_json::from_str(line).map_err(|error| Error::input(place, "JSON", error.to_string()))
    });
    let rows = rows.collect::<Result<Vec<Value>>>()?;
    Ok(json!({ "holds": "metrics", "rows": rows.len(), "first": rows.first(), "last": rows.last() }))
}

/// What else goes to a chip or comes from it: a trial, its result, a lesson, flash banks.
fn describe_bytes_of_chip(path: &Path) -> Result<Value> {
    // Samples are read in place and must be aligned.
    let bytes = ModelBytes::load(path)?;
    let bytes = bytes.bytes();
    let place = path.display().to_string();
    let refused = |error| model::refused(&place, error);
    // Either bank may be the one with a record.
    let [first, second] = [0, bytes.len() / 2].map(|at| &bytes[at..]);
    if [first, second].iter().any(|bank| bank.starts_with(b"TFBK")) {
        return describe_banks(bytes, &place);
    }
    if lesson::is_lesson(bytes) {
        return Ok(describe_lesson(&lesson::read_prefix(bytes).map_err(refused)?));
    }
    if bytes.starts_with(b"TFRS") {
        let (header, _, stack) = trial::ResultHeader::read(bytes).map_err(refused)?;
        return Ok(json!({
            "holds": "result of a trial",
            "steps": header.steps,
            "outputs O": header.outputs,
            "carried words": header.carried,
            "worst stack in bytes": stack,
        }));
    }
    if !bytes.starts_with(b"TFTR") {
        let found = format!("{:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(4)]));
        let expected =
            "a trial (beginning with TFTR), its result (TFRS), a lesson (TFLS) or flash banks (TFBK)";
        return Err(Error::input(place, expected, found));
    }
    let (inputs, samples, kind) = if let Ok(trial) = trial::read_prefix::<i32>(bytes) {
        (trial.inputs, trial.samples.len(), "i32")
    } else {
        let trial = trial::read_prefix::<f32>(bytes).map_err(refused)?;
        (trial.inputs, trial.samples.len(), "f32")
    };
    Ok(json!({
        "holds": "trial",
        "steps": samples / inputs,
        "inputs I": inputs,
        "samples": kind,
    }))
}

/// The newest record of flash banks.
fn describe_banks(bytes: &[u8], place: &str) -> Result<Value> {
    let Fetched { network, sequence, steps } = banks::fetch(bytes, place)?;
    let mut description = describe_network(&network, "flash banks with what was learned");
    description["bytes"] = json!(bytes.len());
    description["record"] = json!(sequence);
    description["learned in steps"] = json!(steps);
    Ok(description)
}

fn describe_lesson(lesson: &Lesson<'_>) -> Value {
    let Plan { kind, rate, passes, episode, .. } = lesson.plan;
    let rows = lesson.rows.len() / (lesson.inputs + lesson.outputs);
    json!({
        "holds": "lesson",
        "rows": rows,
        "inputs I": lesson.inputs,
        "outputs O": lesson.outputs,
        "rule": format!("{kind:?}"),
        "rate": rate,
        "passes": passes,
        "steps of an episode": episode,
        "first steps left out of the result": lesson.silent,
        "steps between two stores": lesson.store,
    })
}

/// JSON as text: aligned `name  value` lines, lists of like objects as tables, long lists shortened.
fn text(value: &Value, indent: usize) -> String {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(fields) => {
            let inline = |field: &Value| !field.is_object() && table(field).is_none();
            let short = fields.iter().filter(|(_, field)| inline(field));
            let width = short.map(|(name, _)| name.chars().count()).max().unwrap_or(0);
            let mut out = String::new();
            for (name, field) in fields {
                if let Some(rows) = table(field) {
                    let _ = write!(out, "{pad}{name}\n{}", aligned(&rows, indent + 2));
                } else if field.is_object() {
                    let _ = write!(out, "{pad}{name}\n{}", text(field, indent + 2));
                } else {
                    let _ = writeln!(out, "{pad}{name:<width$}  {}", plain(field));
                }
            }
            out
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            let one = |item| [pad.as_str(), "-\n", &text(item, indent + 2)].concat();
            items.iter().map(one).collect()
        }
        other => format!("{pad}{}\n", plain(other)),
    }
}

/// A value on one line.
fn plain(value: &Value) -> String {
    const SHOWN: usize = 6;
    match value {
        Value::Null => "unknown".into(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => significant(number.as_f64().unwrap_or(f64::NAN)),
        Value::Array(items) if items.is_empty() => "none".into(),
        Value::Array(items) => {
            let long = (items.len() > SHOWN).then(|| runs(items)).flatten();
            let items = long.as_ref().unwrap_or(items);
            let one = |item: &Value| if item.is_array() { format!("[{}]", plain(item)) } else { plain(item) };
            let shown = items.iter().take(SHOWN).map(one).collect::<Vec<String>>().join(", ");
            let rest = items.len().saturating_sub(SHOWN);
            if rest > 0 { format!("{shown}, ... ({rest} more)") } else { shown }
        }
        Value::Object(fields) => {
            let one = |(name, field)| format!("{name} {}", plain(field));
            fields.iter().map(one).collect::<Vec<String>>().join(", ")
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// Whole numbers that ascend as their runs, "3 to 9"; `None` for anything else.
fn runs(items: &[Value]) -> Option<Vec<Value>> {
    let numbers: Vec<u64> = items.iter().map(Value::as_u64).collect::<Option<_>>()?;
    let text = |run: &[u64]| match run {
        [one] => json!(one),
        _ => json!(format!("{} to {}", run[0], run[run.len() - 1])),
    };
    let ascends = numbers.is_sorted_by(|a, b| a < b);
    ascends.then(|| numbers.chunk_by(|a, b| a + 1 == *b).map(text).collect())
}

/// Six significant digits, the shortest way.
fn significant(x: f64) -> String {
    let rounded: f64 = format!("{x:.5e}").parse().unwrap_or(x);
    if rounded == 0.0 || (1e-4..1e7).contains(&rounded.abs()) {
        rounded.to_string()
    } else {
        format!("{rounded:e}")
    }
}

/// Objects with the same simple fields as rows of cells, the header first.
fn table(value: &Value) -> Option<Vec<Vec<String>>> {
    let rows: Vec<&Map<String, Value>> =
        value.as_array()?.iter().map(Value::as_object).collect::<Option<_>>()?;
    let first = rows.first()?;
    let alike = |row: &&Map<String, Value>| {
        row.keys().eq(first.keys()) && row.values().all(|field| !field.is_object() && !field.is_array())
    };
    rows.iter().all(alike).then(|| {
        let header = first.keys().cloned().collect();
        std::iter::once(header).chain(rows.iter().map(|row| row.values().map(plain).collect())).collect()
    })
}

fn aligned(rows: &[Vec<String>], indent: usize) -> String {
    const SHOWN: usize = 1 + 40;
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows.first().map_or(0, Vec::len)).map(width).collect();
    let mut out = String::new();
    let pad = " ".repeat(indent);
    for row in rows.iter().take(SHOWN) {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(out, "{pad}{}", cells.join("  ").trim_end());
    }
    if rows.len() > SHOWN {
        let _ = writeln!(out, "{pad}... ({} more)", rows.len() - SHOWN);
    }
    out
}
