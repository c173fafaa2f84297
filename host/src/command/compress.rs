//! `tinyfold compress`.

use std::path::PathBuf;

use serde::Serialize;

use super::analyse::signal;
use super::design::chosen;
use super::{EVALUATION_STEPS, say};
use crate::Result;
use crate::design::compress::{Attempt, Errors, to_rank};
use crate::format::network;
use crate::task::recording::RecordingArgs;

/// Reduces the recurrent weights of a trained network to rank R.
///
/// Tries a truncated SVD, an SVD weighted by the activity and, for an integrator, a refit of U and V to
/// the conditions of exact integration with encoders and decoders as they are; keeps the best.
#[derive(clap::Args)]
#[command(
    after_help = "Example: tinyfold train --steps 500 --out runs/trained\n         tinyfold compress runs/trained/network.safetensors --rank 3 --out runs/compressed.safetensors"
)]
pub struct Args {
    /// Network: .safetensors or .npz.
    network: PathBuf,
    /// Rank R; default: the number of channels that the network integrates, else of its outputs.
    #[arg(long)]
    rank: Option<usize>,
    /// The recording to compare on, beside Gaussian inputs.
    #[command(flatten)]
    recording: RecordingArgs,
    /// Network to write; default: beside the network, ending in .rankR.safetensors.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Summary {
    neurons: usize,
    rank: usize,
    reference: &'static str,
    steps: usize,
    original: Errors,
    attempts: Vec<Attempt>,
    kept: Attempt,
    multiply_adds: [usize; 2],
    written: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// Bad input, a file that cannot be read or written.
pub fn run(args: &Args) -> Result<()> {
    let original = network::load(&args.network)?;
    let rank = args.rank.unwrap_or_else(|| match &original.task {
        Some(task) => task.channels(),
        None => original.readout.nrows(),
    });
    let inputs = match signal(&args.recording, &original, EVALUATION_STEPS) {
        // The bundled recording does not fit every network: Gaussian inputs alone then.
        Err(_) if !chosen(&args.recording) => Vec::new(),
        signal => signal?,
    };
    let compression = to_rank(&original, rank, &inputs)?;
    let out =
        args.out.clone().unwrap_or_else(|| args.network.with_extension(format!("rank{rank}.safetensors")));
    network::save(&out, &compression.network)?;
    let (n, before) = (original.neurons(), original.rank());
    let summary = Summary {
        neurons: n,
        rank,
        reference: if original.task.is_some() { "targets of the task" } else { "the original network" },
        steps: EVALUATION_STEPS,
        original: compression.original,
        attempts: compression.attempts,
        kept: compression.best,
        multiply_adds: [if before > 0 { 2 * n * before } else { n * n }, 2 * n * rank],
        written: out,
    };
    if args.json {
        say!("{}", serde_json::to_string_pretty(&summary).expect("plain data becomes JSON"));
        return Ok(());
    }
    say!("relative RMSE over {} steps, against {}", summary.steps, summary.reference);
    say!("  {:<34}{:<10}{:>9}{:>11}", "", "B", "Gaussian", "recording");
    let row = |name: &str, b: &str, errors: &Errors| {
        say!("  {name:<34}{b:<10}{:>9.1e}{:>11.1e}", errors.gaussian, errors.inputs);
    };
    if inputs.is_empty() {
        say!("  (no recording with {} columns was given: Gaussian in both columns)", original.input.ncols());
    }
    row("original", "", &summary.original);
    for attempt in &summary.attempts {
        let name = format!("rank {rank}, {}", attempt.method);
        row(&name, if attempt.tied_input { "U VᵀE" } else { "kept" }, &attempt.errors);
    }
    let [from, to] = summary.multiply_adds;
    say!("kept: {}; recurrent multiply-adds a step: {from} -> {to}", summary.kept.method);
    say!("written to {}", summary.written.display());
    Ok(())
}
