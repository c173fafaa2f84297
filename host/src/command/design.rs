//! `tinyfold design`.

use std::path::{Path, PathBuf};

use faer::Mat;
use serde::Serialize;

use super::{EVALUATION_STEPS, TaskArgs, say};
use crate::design::dale::dale;
use crate::design::exact::{Spec, exact, paired};
use crate::error::require;
use crate::format::arrays::{ArrayFile, list};
use crate::format::network::{self, names};
use crate::network::{Channel, Network, Recurrence};
use crate::task::recording::RecordingArgs;
use crate::task::{relative_rmse, synthetic};
use crate::train::Settings;
use crate::train::vectors::signs;
use crate::verify::{Case, Core};
use crate::{Error, Result, simulate};

/// Designs an exact integrator in closed form, for random or given encoders and decoders.
#[derive(clap::Args)]
#[command(
    after_help = "Example: tinyfold design --neurons 64 --decays 0.99,0.995 --out runs/exact.safetensors"
)]
pub struct Args {
    /// Number of neurons n; default: as the encoders or decoders given, else 64.
    #[arg(long)]
    neurons: Option<usize>,
    #[command(flatten)]
    task: TaskArgs,
    /// Activation that has an exact design.
    #[arg(long, default_value = "relu", value_parser = ["relu", "linear"])]
    activation: String,
    /// Seed of random encoders and decoders and of the search for groups of neurons.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Encoders E, n × D: .npz or .safetensors with the array `E` or `encoders`, or a single one.
    #[arg(long)]
    encoders: Option<PathBuf>,
    /// Decoders C, D × n: likewise, `C` or `decoders`.
    #[arg(long)]
    decoders: Option<PathBuf>,
    /// Choose encoders and decoders, too, so that neurons form pairs with opposite rows: smaller n, and rounding
    /// to few bits costs nothing.
    #[arg(long, conflicts_with_all = ["encoders", "decoders"])]
    pairs: bool,
    /// Dale's law: the share of inhibitory neurons, above 0 and below 1; W has one mode more. Which they are is what
    /// `train` draws from the seed.
    #[arg(long, value_name = "SHARE", conflicts_with = "pairs", value_parser = share)]
    dale: Option<f64>,
    /// Write W as one n × n matrix instead of U and V.
    #[arg(long)]
    dense: bool,
    /// The recording that gives the inputs their names and scales; the design is tried on it.
    #[command(flatten)]
    recording: RecordingArgs,
    /// Network to write: .safetensors or .npz.
    #[arg(long, default_value = "runs/design/network.safetensors")]
    out: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Summary {
    activation: String,
    neurons: usize,
    rank: usize,
    /// Neurons, under Dale's law.
    inhibitory: Option<usize>,
    decays: Vec<f64>,
    scales: Vec<f64>,
    residual: f64,
    noise_gain: f64,
    steps: usize,
    gaussian: Precision,
    recording: Option<Precision>,
    written: PathBuf,
}

/// Relative RMSE in the host's f64 and in core's f32.
#[derive(Serialize)]
struct Precision {
    f64: f64,
    f32: f64,
}

/// Runs the command.
///
/// # Errors
/// Bad input, n too small, a file that cannot be read or written.
pub fn run(args: &Args) -> Result<()> {
    let data = args.recording.load()?;
    // More channels than the bundled recording has are designed without one.
    let data = (chosen(&args.recording) || args.task.decays.len() <= data.inputs.len()).then_some(data);
    let task = args.task.resolve(data.as_ref().map_or(args.task.decays.len(), |data| data.inputs.len()))?;
    let channels = task.channels();
    let data = data.map(|data| data.first_inputs(channels)).transpose()?;
    let encoder = args.encoders.as_deref().map(|path| matrix(path, ["E", "encoders"])).transpose()?;
    let decoder = args.decoders.as_deref().map(|path| matrix(path, ["C", "decoders"])).transpose()?;
    for (path, found) in [
        (&args.encoders, encoder.as_ref().map(Mat::ncols)),
        (&args.decoders, decoder.as_ref().map(Mat::nrows)),
    ] {
        if let (Some(path), Some(found)) = (path, found) {
            let expected = format!("vectors of D = {channels} channels, one of --decays each");
            require(found == channels, &path.display().to_string(), expected, found)?;
        }
    }
    let given = encoder.as_ref().map(Mat::nrows).or(decoder.as_ref().map(Mat::ncols));
    let spec = Spec {
        neurons: args.neurons.or(given).unwrap_or(64),
        activation: names::parse_activation(&args.activation, &[]).expect("one of the values allowed"),
        seed: args.seed,
        encoder,
        decoder,
        task,
    };
    let signs = args.dale.and_then(|dale| {
        signs(&Settings { neurons: spec.neurons, dale, seed: args.seed, ..Settings::default() })
    });
    let design = match &signs {
        Some(signs) => dale(&spec, signs)?,
        None if args.pairs => paired(&spec)?,
        None => exact(&spec)?,
    };
    let mut made = if args.dense { design.dense() } else { design.network.clone() };
    if let Some(data) = &data {
        made.inputs.clone_from(&data.inputs);
    }
    for (output, input) in made.outputs.iter_mut().zip(&made.inputs) {
        *output = Channel::plain(format!("integral of {}", input.name));
    }
    network::save(&args.out, &made)?;

    let summary = Summary {
        activation: args.activation.clone(),
        neurons: spec.neurons,
        rank: made.rank(),
        inhibitory: signs.map(|signs| signs.iter().filter(|sign| **sign < 0.0).count()),
        decays: spec.task.decays.clone(),
        scales: spec.task.scales.clone(),
        residual: design.residual,
        noise_gain: design.noise_gain,
        steps: EVALUATION_STEPS,
        gaussian: precision(&made, &synthetic::gaussian(EVALUATION_STEPS, channels, 12_345))?,
        recording: data.map(|data| precision(&made, &data.joined(EVALUATION_STEPS))).transpose()?,
        written: args.out.clone(),
    };
    if args.json {
        say!("{}", serde_json::to_string_pretty(&summary).expect("plain data becomes JSON"));
    } else {
        print(&summary, &made);
    }
    Ok(())
}

fn print(summary: &Summary, made: &Network) {
    let form = match &made.recurrence {
        Recurrence::Dense(_) => "dense".to_owned(),
        Recurrence::LowRank { u, .. } => format!("rank {}", u.ncols()),
    };
    say!(
        "exact integrator: {}, n = {}, D = {}, {form}",
        summary.activation,
        summary.neurons,
        summary.decays.len()
    );
    if let Some(inhibitory) = summary.inhibitory {
        say!("Dale's law: {inhibitory} neurons inhibitory, the others excitatory; one mode more");
    }
    for ((input, decay), scale) in made.inputs.iter().zip(&summary.decays).zip(&summary.scales) {
        say!("  {:<12} decay {:<7} scale {scale}", input.name, (decay * 1e9).round() / 1e9);
    }
    say!("conditions violated by at most {:.1e}, noise gain {:.2}", summary.residual, summary.noise_gain);
    say!("relative RMSE over {} steps   f64      core f32", summary.steps);
    let errors = [("Gaussian", Some(&summary.gaussian)), ("recording", summary.recording.as_ref())];
    for (name, error) in errors.into_iter().filter_map(|(name, error)| Some((name, error?))) {
        say!("  {name:<30} {:.1e}  {:.1e}", error.f64, error.f32);
    }
    say!("written to {}", summary.written.display());
}

/// A number above 0 and below 1.
fn share(text: &str) -> std::result::Result<f64, String> {
    let share = text.parse().ok().filter(|share| *share > 0.0 && *share < 1.0);
    share.ok_or_else(|| "a number above 0 and below 1".into())
}

/// Whether the user asked for a recording, rather than leaving it at the bundled one.
pub(super) fn chosen(recording: &RecordingArgs) -> bool {
    recording.input.is_some() || !recording.options.columns.is_empty()
}

/// The only matrix of a file, or the one with the first of `names` that is there.
fn matrix(path: &Path, names: [&str; 2]) -> Result<Mat<f64>> {
    let file = ArrayFile::open(path)?;
    let name = match (names.into_iter().find(|&name| file.has(name)), file.names()) {
        (Some(name), _) => name.to_owned(),
        (None, [only]) => only.clone(),
        (None, all) => {
            let found = list(all.iter().map(String::as_str));
            return Err(Error::input(
                path.display().to_string(),
                format!("an array {}", names.join(" or ")),
                found,
            ));
        }
    };
    file.matrix(&name, 0, 0)
}

/// The errors of an integrator, in network units.
fn precision(network: &Network, x: &[f64]) -> Result<Precision> {
    let task = network.integrator("network")?;
    let mut plain = network.clone();
    for channel in plain.inputs.iter_mut().chain(&mut plain.outputs) {
        *channel = Channel::plain(std::mem::take(&mut channel.name));
    }
    // Both integrate the same numbers.
    let samples: Vec<f32> = x.iter().map(|&x| x as f32).collect();
    let x: Vec<f64> = samples.iter().map(|&x| f64::from(x)).collect();
    let target = task.targets(&x);
    let error = |y: &[f64]| relative_rmse(y, &target, task.channels());
    let wide = error(&simulate::run(&plain, &x, false).outputs);
    let (narrow, _) = Core::values(&Case::of_network("design", plain, samples)?)?;
    Ok(Precision { f64: wide, f32: error(&narrow) })
}
