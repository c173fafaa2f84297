//! `tinyfold verify`.

use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};

use super::analyse::signal;
use super::{INPUT_HELP, say, trials_of};
use crate::error::require;
use crate::format::model::ModelBytes;
use crate::format::network::names;
use crate::format::{ending, network};
use crate::network::Network;
use crate::report::build::raw_samples;
use crate::task::recording::RecordingArgs;
use crate::task::synthetic;
use crate::verify::{self, Backend, Case, Verdict, Verification};
use crate::{Error, Result};

/// Proves that every backend computes the same bits, and how far they are from f64.
#[derive(clap::Args)]
#[command(
    after_help = "Example: tinyfold verify --suite --on core,qemu-m4f --steps 200",
    mut_arg("input", |input| input.help(INPUT_HELP))
)]
pub struct Args {
    /// A model (.tfld), a reduced model (.tfrm) or a network (.safetensors, .npz), which is exported first.
    #[arg(required_unless_present = "suite", conflicts_with = "suite")]
    model: Option<PathBuf>,
    /// The original network of a model, to tell the error of rounding its weights.
    #[arg(long, requires = "model")]
    original: Option<PathBuf>,
    /// The model's monitor (.tfmn), to be verified with it.
    #[arg(long, requires = "model", value_name = "FILE.tfmn")]
    monitor: Option<PathBuf>,
    /// Verify the suite: both forms, dense and low-rank, all activations, both arithmetics, fixed point,
    /// reduced models, monitors.
    #[arg(long)]
    suite: bool,
    /// Backends: core, qemu-m0, qemu-m3, qemu-m4f, qemu-m7, qemu-m33.
    #[arg(long, value_delimiter = ',', default_value = "core")]
    on: Vec<String>,
    /// Steps of every case, 1 to 10 million.
    #[arg(long, default_value_t = 1000)]
    steps: usize,
    /// Seed of the samples that a model is run on.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The recording that a model is run on.
    #[command(flatten)]
    recording: RecordingArgs,
    /// Print JSON: {schema, backends: [{name, bit_equal, max_abs, rms, verdict, ...}]}.
    #[arg(long)]
    json: bool,
}

/// Most steps of a case.
const MOST: usize = 10_000_000;

/// Runs the command.
///
/// # Errors
/// Bad input, a missing backend, or a verification that failed.
pub fn run(args: &Args) -> Result<()> {
    require((1..=MOST).contains(&args.steps), "--steps", format!("from 1 to {MOST}"), args.steps)?;
    let cases = match &args.model {
        None => verify::case::suite(args.steps)?,
        Some(path) => vec![case_of_file(path, args)?],
    };
    let backends = verify::backends(&args.on)?;
    let bar = ProgressBar::new(0).with_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len} cases {elapsed}").expect("a valid template"),
    );
    let backends: Vec<&dyn Backend> = backends.iter().map(AsRef::as_ref).collect();
    let verification = verify::verify(&cases, &backends, &bar)?;
    if args.json {
        say!("{}", serde_json::to_string_pretty(&verification).expect("plain data becomes JSON"));
    } else {
        say!("{}", table(&verification).trim_end());
    }
    if verification.passed() {
        Ok(())
    } else {
        let failed = verification.backends.iter().filter(|row| row.verdict == Verdict::Fail);
        let names: Vec<&str> = failed.map(|row| row.name.as_str()).collect();
        Err(Error::CheckFailed(format!("verification failed on {}", names.join(", "))))
    }
}

fn case_of_file(path: &Path, args: &Args) -> Result<Case> {
    let name = path.display().to_string();
    let original = args.original.as_deref().map(network::load).transpose()?;
    let samples = |network: &Network| {
        let gaussian = || synthetic::gaussian(args.steps, network.input.ncols(), args.seed);
        let x = match args.recording.input {
            Some(_) => signal(&args.recording, network, args.steps)?,
            None => trials_of(network, args.steps, args.seed).unwrap_or_else(gaussian),
        };
        Ok(raw_samples(network, &x))
    };
    let mut case = match ending(path).as_str() {
        ".tfld" | ".tfrm" => {
            let mut case = Case::of_model(&name, ModelBytes::load(path)?, Vec::new(), &name)?;
            case.samples = match case.network() {
                Some(network) => samples(network)?,
                None => narrow(&synthetic::gaussian(args.steps, case.inputs, args.seed)),
            };
            case
        }
        ".tfmn" => {
            let expected = "a model; its monitor comes behind --monitor";
            return Err(Error::input(name, expected, "a monitor, .tfmn"));
        }
        _ => {
            let network = network::load(path)?;
            let samples = samples(&network)?;
            Case::of_network(name, network, samples)?
        }
    };
    if let Some(original) = original {
        let none = || Error::input("--original", "the model of a network beside it", "a reduced model");
        let (expected, found) = (sizes(case.network().ok_or_else(none)?), sizes(&original));
        require(expected == found, "--original", format!("{expected} as the model"), found)?;
        case.original = Some(original);
    }
    match &args.monitor {
        Some(monitor) => case.watched(ModelBytes::load(monitor)?, &monitor.display().to_string()),
        None => Ok(case),
    }
}

/// What a model and the network that it was made of have in common.
fn sizes(network: &Network) -> String {
    let (inputs, outputs) = (network.input.ncols(), network.readout.nrows());
    let form = names::form(network.form);
    format!("n = {}, I = {inputs}, O = {outputs}, {form} form", network.neurons())
}

fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&x| x as f32).collect()
}

/// The rows as text.
#[must_use]
pub fn table(verification: &Verification) -> String {
    let mut text = format!(
        "{:<10} {:>5} {:>9} {:>10}  {:<9} {:>12} {:>9} {:>16} {:>14}  {}\n",
        "backend",
        "cases",
        "steps",
        "words",
        "bit-equal",
        "largest err.",
        "RMS",
        "relative, worst",
        "err. original",
        "verdict"
    );
    for row in &verification.backends {
        let bits = match row.bit_equal {
            None => "truth",
            Some(true) => "yes",
            Some(false) => "NO",
        };
        let original = row.max_abs_original.map_or("-".into(), |error| format!("{error:.1e}"));
        let verdict = if row.verdict == Verdict::Pass { "pass" } else { "FAIL" };
        text += &format!(
            "{:<10} {:>5} {:>9} {:>10}  {:<9} {:>12.1e} {:>9.1e} {:>16.1e} {:>14}  {}\n",
            row.name,
            row.cases,
            row.steps,
            row.words,
            bits,
            row.max_abs,
            row.rms,
            row.max_relative,
            original,
            verdict
        );
        for failure in row.failures.iter().take(5) {
            text += &format!("           {failure}\n");
        }
        if let Some(first) = row.left_out.first() {
            text += &format!("           left out: {first}");
            let more = row.left_out.len() - 1;
            text += &if more > 0 { format!(" (and {more} more)\n") } else { "\n".into() };
        }
        if row.failures.len() > 5 {
            text += &format!("           and {} more\n", row.failures.len() - 5);
        }
    }
    text
}
