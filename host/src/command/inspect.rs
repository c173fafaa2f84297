//! `tinyfold inspect`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tinyfold_core::{Number, wire};

use super::say;
use crate::format::model::{self, ModelBytes};
use crate::format::network::{self, names};
use crate::network::{Channel, Network};
use crate::task::recording::{Detrend, ReadOptions, Scale, read};
use crate::{Error, Result};

/// Prints what any tinyfold file holds: networks, models, recordings, settings and results.
#[derive(clap::Args)]
#[command(after_help = "Example: tinyfold inspect runs/quickstart/exact.tfld")]
pub struct Args {
    /// The file.
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

/// What a file holds.
///
/// # Errors
/// As [`run`].
pub fn describe(path: &Path) -> Result<Value> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("tfld") => describe_model(path),
        Some("csv") => describe_recording(path),
        Some("npz") if network::read_arrays(path)?.0.contains_key("x") => describe_recording(path),
        Some("safetensors" | "npz") => Ok(describe_network(&network::load(path)?, "network")),
        Some("json") => crate::format::read_json(path),
        other => {
            let found = other.map_or("no ending".into(), |ending| format!(".{ending}"));
            let expected = "a file ending in .tfld, .safetensors, .npz, .csv or .json";
            Err(Error::input(path.display().to_string(), expected, found))
        }
    }
}

fn describe_model(path: &Path) -> Result<Value> {
    let place = path.display().to_string();
    let bytes = ModelBytes::load(path)?;
    let number = bytes.number().map_err(|error| model::refused(&place, error))?;
    let (network, shape) = match number {
        Number::F32 => {
            let model = model::read::<f32>(&bytes, &place)?;
            (model::import(&model, &place)?, model.view.shape())
        }
        Number::F64 => {
            let model = model::read::<f64>(&bytes, &place)?;
            (model::import(&model, &place)?, model.view.shape())
        }
    };
    let mut description = describe_network(&network, "chip model");
    description["format version"] = json!(wire::VERSION);
    description["number type"] = json!(if number == Number::F32 { "f32" } else { "f64" });
    description["bytes"] = json!(bytes.bytes().len());
    description["multiply-adds a step"] = json!(shape.multiply_adds());
    description["state memory in bytes"] = json!(shape.state_len() * number.size());
    Ok(description)
}

fn describe_network(network: &Network, kind: &str) -> Value {
    let (activation, parameters) = names::activation(network.activation);
    let largest = |matrix: &faer::Mat<f64>| matrix.norm_max();
    let mut description = json!({
        "holds": kind,
        "form": names::form(network.form),
        "activation": activation,
        "neurons n": network.neurons(),
        "rank R": if network.rank() == 0 { json!("dense") } else { json!(network.rank()) },
        "inputs": channels(&network.inputs),
        "outputs": channels(&network.outputs),
        "leak alpha": network.alpha,
        "arithmetic": names::arithmetic(network.arithmetic),
        "activation variant": names::variant(network.variant),
        "largest weight": {
            "W": largest(&network.weights()), "B": largest(&network.input), "C": largest(&network.readout),
        },
    });
    if !parameters.is_empty() {
        description["activation parameters"] = json!(parameters);
    }
    if let Some(task) = &network.task {
        description["task"] = json!({ "decays": task.decays, "scales": task.scales });
    }
    description
}

fn channels(channels: &[Channel]) -> Value {
    let one = |channel: &Channel| {
        let unit = if channel.unit.is_empty() { String::new() } else { format!(" [{}]", channel.unit) };
        let scaled = channel.center != 0.0 || channel.gain != 1.0;
        let scaling = format!(", center {:.6}, gain {:.6}", channel.center, channel.gain);
        format!("{}{unit}{}", channel.name, if scaled { scaling } else { String::new() })
    };
    json!(channels.iter().map(one).collect::<Vec<String>>())
}

fn describe_recording(path: &Path) -> Result<Value> {
    let raw = ReadOptions { scale: Scale::None, detrend: Detrend::None, ..ReadOptions::default() };
    let data = read(path, &raw)?;
    let width = data.inputs.len();
    let columns = data.inputs.iter().enumerate().map(|(c, channel)| {
        let values: Vec<f64> =
            data.recordings.iter().flat_map(|r| r.x.iter().skip(c).step_by(width)).copied().collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / values.len() as f64;
        format!("{}: mean {mean:.4}, standard deviation {:.4}", channel.name, variance.sqrt())
    });
    let samples: usize = data.recordings.iter().map(|r| r.x.len() / width).sum();
    Ok(json!({
        "holds": "recording",
        "recordings": data.recordings.len(),
        "samples": samples,
        "seconds between samples": data.dt,
        "columns": columns.collect::<Vec<String>>(),
        "targets": channels(&data.targets),
    }))
}

/// JSON as indented lines of `name: value`.
fn text(value: &Value, indent: usize) -> String {
    let mut out = String::new();
    let pad = " ".repeat(indent);
    let plain = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::Object(_) => {
                        let _ = write!(out, "{pad}{name}:\n{}", text(field, indent + 2));
                    }
                    Value::Array(items) if items.iter().any(|item| !item.is_number()) => {
                        let _ = writeln!(out, "{pad}{name}:");
                        for item in items {
                            out += &if item.is_object() {
                                format!("{pad}  -\n{}", text(item, indent + 4))
                            } else {
                                format!("{pad}  {}\n", plain(item))
                            };
                        }
                    }
                    _ => {
                        let _ = writeln!(out, "{pad}{name}: {}", plain(field));
                    }
                }
            }
        }
        other => {
            let _ = writeln!(out, "{pad}{}", plain(other));
        }
    }
    out
}
