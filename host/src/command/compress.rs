//! `tinyfold compress`.

use std::path::PathBuf;

use serde::Serialize;
use tinyfold_core::Number;
use tinyfold_core::fixed::Rates;

use super::analyse::told_signal;
use super::design::chosen;
use super::{EVALUATION_STEPS, say};
use crate::design::Errors;
use crate::design::compress::{Attempt, Compression, to_rank};
use crate::design::quantise::{Comparison, Drift, Method, Options, Ranges, compare, quantise};
use crate::format::{self, model, network};
use crate::network::Network;
use crate::task::recording::RecordingArgs;
use crate::{Error, Result};

/// Makes a network cheaper: recurrent weights of rank R, weights of 16 or 8 bits, or both.
///
/// --rank (the default, unless --weights is given) tries a truncated SVD, an SVD weighted by the activity and, for an
/// integrator, a refit of U and V to the conditions of exact integration with encoders and decoders as they are; it
/// keeps the best and writes a network. --weights rounds so that the manifold stays, and writes a chip model.
#[derive(clap::Args)]
#[command(
    after_help = "Examples: tinyfold train --steps 500 --out runs/trained\n          tinyfold compress runs/trained/network.safetensors --rank 3 --out runs/compressed.safetensors\n          tinyfold compress runs/compressed.safetensors --weights i16 --out runs/compressed.tfld"
)]
pub struct Args {
    /// Network: .safetensors or .npz.
    network: PathBuf,
    /// Rank R; default: as it is with --weights, else the number of channels that the network integrates, else of its
    /// outputs.
    #[arg(long)]
    rank: Option<usize>,
    /// Round to weights of 16 or 8 bits.
    #[arg(long, value_parser = ["i16", "i8"])]
    weights: Option<String>,
    /// Rates that a dense network multiplies its weights with; default: i16.
    #[arg(long, value_parser = ["i16", "i8"], requires = "weights")]
    rates: Option<String>,
    /// Write the model even if it is unstable.
    #[arg(long, requires = "weights")]
    force: bool,
    /// The recording to compare on, beside Gaussian inputs.
    #[command(flatten)]
    recording: RecordingArgs,
    /// What to write; default: beside the network, ending in .rankR.safetensors or .i16.tfld.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Summary {
    neurons: usize,
    /// The R asked for.
    rank: Option<usize>,
    reference: &'static str,
    /// Beside Gaussian inputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<String>,
    steps: usize,
    original: Errors,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attempts: Vec<Attempt>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<Attempt>,
    multiply_adds: [usize; 2],
    #[serde(skip_serializing_if = "Option::is_none")]
    rounded: Option<Rounded>,
    written: PathBuf,
}

#[derive(Serialize)]
struct Rounded {
    weights: String,
    method: Method,
    errors: Comparison,
    drift: Option<Drift>,
    stable: bool,
    ranges: Ranges,
    bytes: [usize; 2],
    /// A rank at which rounding may cost less.
    #[serde(skip)]
    hint: Option<usize>,
}

/// Runs the command.
///
/// # Errors
/// Bad input, a file that cannot be read or written, an unstable rounded network.
pub fn run(args: &Args) -> Result<()> {
    let original = network::load(&args.network)?;
    let (signal, inputs) = match told_signal(&args.recording, &original, EVALUATION_STEPS) {
        // The bundled recording does not fit every network: Gaussian inputs alone then.
        Err(_) if !chosen(&args.recording) => (None, Vec::new()),
        told => told.map(|(signal, inputs)| (Some(signal), inputs))?,
    };
    let rank = args.rank.or_else(|| {
        let channels =
            original.integration().map_or(original.readout.nrows(), crate::task::Integration::channels);
        args.weights.is_none().then_some(channels)
    });
    let compression = rank.map(|rank| to_rank(&original, rank, &inputs)).transpose()?;
    let low = compression.as_ref().map_or(&original, |compression| &compression.network);

    let ending = |ending: String| args.network.with_extension(ending);
    let (rounded, written, stable) = match &args.weights {
        None => {
            let out = ending(format!("rank{}.safetensors", rank.unwrap_or_default()));
            let out = args.out.clone().unwrap_or(out);
            network::save(&out, low)?;
            (None, out, true)
        }
        Some(weights) => {
            let ranked = rank.map_or(String::new(), |rank| format!("rank{rank}."));
            let out = args.out.clone().unwrap_or_else(|| ending(format!("{ranked}{weights}.tfld")));
            model::check_name(&out)?;
            let (rounded, bytes) = round(args, low, weights, &inputs)?;
            let stable = rounded.stable;
            if stable || args.force {
                format::write_atomic(&out, bytes.bytes())?;
            }
            (Some(rounded), out, stable)
        }
    };
    let n = original.neurons();
    let products = |rank: usize| if rank > 0 { 2 * n * rank } else { n * n };
    let summary = Summary {
        neurons: n,
        rank,
        reference: if original.integration().is_some() {
            "targets of the task"
        } else {
            "the original network"
        },
        signal,
        steps: EVALUATION_STEPS,
        original: match (&compression, &rounded) {
            (Some(Compression { original, .. }), _) => *original,
            (None, Some(rounded)) => rounded.errors.original,
            (None, None) => unreachable!("a rank unless there are weights"),
        },
        attempts: compression.as_ref().map(|c| c.attempts.clone()).unwrap_or_default(),
        kept: compression.as_ref().map(|c| c.best),
        multiply_adds: [products(original.rank()), products(low.rank())],
        rounded,
        written,
    };
    if args.json {
        say!("{}", serde_json::to_string_pretty(&summary).expect("plain data becomes JSON"));
    } else {
        let other = original.task.is_some() && original.integration().is_none();
        let column = if other && !chosen(&args.recording) { "trials" } else { "recording" };
        print(&summary, column, original.input.ncols());
    }
    if !stable && !args.force {
        return Err(Error::CheckFailed(format!(
            "rounded network: expected integrals that decay in every direction, found some that grow; {} was not \
             written (more bits, another rank or seed may help; --force writes it all the same)",
            summary.written.display()
        )));
    }
    if !args.json {
        say!("written to {}", summary.written.display());
    }
    Ok(())
}

fn round(
    args: &Args,
    network: &Network,
    weights: &str,
    inputs: &[f64],
) -> Result<(Rounded, model::ModelBytes)> {
    let options = Options {
        number: if weights == "i8" { Number::I8 } else { Number::I16 },
        rates: if args.rates.as_deref() == Some("i8") { Rates::I8 } else { Rates::I16 },
        inputs: inputs.to_vec(),
    };
    let rounded = quantise(network, &options)?;
    let bytes = rounded.network.export()?;
    let errors = compare(network, &rounded.network, inputs)?;
    let loses = network.rank() == 0 && errors.quantised.worst() > 2.0 * errors.original.worst();
    let summary = Rounded {
        weights: weights.to_owned(),
        method: rounded.method,
        hint: network.integration().filter(|_| loses).map(crate::task::Integration::channels),
        errors,
        drift: rounded.drift,
        stable: rounded.stable,
        ranges: rounded.ranges,
        bytes: [model::export::<f32>(network)?.bytes().len(), bytes.bytes().len()],
    };
    Ok((summary, bytes))
}

fn print(summary: &Summary, column: &str, inputs: usize) {
    if let Some(signal) = &summary.signal {
        say!("on: Gaussian noise, and {signal}");
    } else {
        say!("on: Gaussian noise in both columns: no recording with {inputs} columns was given");
    }
    say!("relative RMSE over {} steps, against {}", summary.steps, summary.reference);
    say!("  {:<34}{:<10}{:>9}{:>11}", "", "B", "Gaussian", column);
    let row = |name: &str, b: &str, errors: &Errors| {
        say!("  {name:<34}{b:<10}{:>9.1e}{:>11.1e}", errors.gaussian, errors.inputs);
    };
    row("original", "", &summary.original);
    for attempt in &summary.attempts {
        let name = format!("rank {}, {}", summary.rank.unwrap_or_default(), attempt.method);
        row(&name, if attempt.tied_input { "U VᵀE" } else { "kept" }, &attempt.errors);
    }
    if let Some(rounded) = &summary.rounded {
        row(&format!("{}, each row by itself, f64", rounded.weights), "", &rounded.errors.naive);
        row(&format!("{}, in the chip's integers", rounded.weights), "", &rounded.errors.quantised);
    }
    let [from, to] = summary.multiply_adds;
    if let Some(kept) = &summary.kept {
        say!("kept: {}; recurrent multiply-adds a step: {from} -> {to}", kept.method);
    }
    if let Some(rounded) = &summary.rounded {
        print_rounded(rounded);
    }
}

fn print_rounded(rounded: &Rounded) {
    say!(
        "rounded by: {}",
        match rounded.method {
            Method::Integrator => "the conditions of an integrator, solved again on the integers",
            Method::Activity => "feedback on the activity of the inputs above",
        }
    );
    if let Some(Drift { original, quantised }) = rounded.drift {
        let verdict = if rounded.stable { "stable" } else { "NOT stable" };
        say!(
            "worst drift of the integral of a constant, any direction: {original:.1e} -> {quantised:.1e}, {verdict}"
        );
    }
    let list = |sizes: &[f64]| {
        let least = sizes.iter().copied().fold(f64::INFINITY, f64::min);
        let most = sizes.iter().copied().fold(0.0, f64::max);
        if most - least < 1e-3 * most { format!("{most:.3}") } else { format!("{least:.3} to {most:.3}") }
    };
    let Ranges { inputs, carried, room } = &rounded.ranges;
    say!("saturates at: inputs {}, states {} (network units)", list(inputs), list(carried));
    say!(
        "sums: {}",
        if *room >= 1.0 {
            format!("none can wrap; the nearest fills {:.0} % of its bits' range", 100.0 / room)
        } else {
            format!("one may reach {:.1} times what its bits hold", 1.0 / room)
        }
    );
    if let Some(rank) = rounded.hint {
        say!("hint: --rank {rank} makes an integrator of it whose decays survive rounding");
    }
    let [from, to] = rounded.bytes;
    say!("bytes: {from} in f32 -> {to}");
}
