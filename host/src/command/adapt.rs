//! `tinyfold adapt`.

use std::path::PathBuf;

use clap::Subcommand;

use super::say;
use crate::adapt::{drift, zero};
use crate::format::network;
use crate::report::learning::{self, Learning, Zero};
use crate::task::recording::RecordingArgs;
use crate::verify::qemu::{CHIPS, Qemu};
use crate::{Error, Result};

/// Lets a network learn where it runs, on this host or on an emulated chip.
#[derive(clap::Args)]
#[command(
    after_help = "Examples: tinyfold adapt drift --on qemu-m4f --out runs/drift\n          tinyfold adapt zero --channels 2 --on qemu-m4f --out runs/learned.safetensors"
)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// A sensor's gain and the decays drift half-way: an adapting integrator beside a frozen one.
    Drift(DriftArgs),
    /// An integrator that learns from nothing, then runs 2000 steps without a target.
    Zero(ZeroArgs),
}

#[derive(clap::Args)]
struct DriftArgs {
    /// Where it runs: core (this host) or an emulated chip that learns: qemu-m3, qemu-m4f, qemu-m7, qemu-m33.
    #[arg(long, default_value = "core")]
    on: String,
    /// Number of neurons n.
    #[arg(long, default_value_t = drift::Settings::default().neurons)]
    neurons: usize,
    /// Decays gamma of the channels before the drift.
    #[arg(long, value_delimiter = ',', default_values_t = drift::Settings::default().decays)]
    decays: Vec<f64>,
    /// Samples; the drift comes after half of them.
    #[arg(long, default_value_t = drift::Settings::default().samples)]
    samples: usize,
    /// What the sensor's gain is multiplied by.
    #[arg(long, default_value_t = drift::Settings::default().gain)]
    gain: f64,
    /// What is added to every decay.
    #[arg(long, default_value_t = drift::Settings::default().decay, allow_hyphen_values = true)]
    decay: f64,
    /// Noise of the targets, as a part of their RMS.
    #[arg(long, default_value_t = drift::Settings::default().noise)]
    noise: f64,
    /// Every how many samples there is a target.
    #[arg(long, default_value_t = drift::Settings::default().every)]
    every: usize,
    /// What the learner keeps of the past from step to step.
    #[arg(long, default_value_t = drift::Settings::default().forget)]
    forget: f64,
    /// Samples between two stores of what was learned in flash; 0: never.
    #[arg(long, default_value_t = drift::Settings::default().store)]
    store: u32,
    /// Seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder for learning.json, the figure, and the files that a board is flashed with.
    #[arg(long)]
    out: Option<PathBuf>,
    /// The recording.
    #[command(flatten)]
    recording: RecordingArgs,
}

#[derive(clap::Args)]
struct ZeroArgs {
    /// Where it runs: core (this host) or an emulated chip that learns: qemu-m3, qemu-m4f, qemu-m7, qemu-m33.
    #[arg(long, default_value = "core")]
    on: String,
    /// Number of channels D.
    #[arg(long, default_value_t = 1)]
    channels: usize,
    /// Number of neurons n; default: 32 a channel.
    #[arg(long)]
    neurons: Option<usize>,
    /// Decays gamma of the channels; default: up to 0.95, 0.05 apart.
    #[arg(long, value_delimiter = ',', conflicts_with = "channels")]
    decays: Vec<f64>,
    /// Learning rate.
    #[arg(long)]
    rate: Option<f64>,
    /// Steps of an episode.
    #[arg(long)]
    episode: Option<u32>,
    /// Gaussian samples to learn from.
    #[arg(long)]
    samples: Option<usize>,
    /// How often they are gone through.
    #[arg(long)]
    passes: Option<u32>,
    /// Seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// File for the network that was learned (.safetensors, .npz).
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// Bad input, a missing emulator, a chip that differs from the host in any bit.
pub fn run(args: &Args) -> Result<()> {
    match &args.what {
        What::Drift(args) => run_drift(args),
        What::Zero(args) => run_zero(args),
    }
}

fn run_drift(args: &DriftArgs) -> Result<()> {
    let qemu = chip(&args.on)?;
    let settings = drift::Settings {
        neurons: args.neurons,
        decays: args.decays.clone(),
        samples: args.samples,
        gain: args.gain,
        decay: args.decay,
        noise: args.noise,
        every: args.every,
        forget: args.forget,
        store: args.store,
        seed: args.seed,
    };
    let (learning, flashed) = Learning::of_drift(&settings, &args.recording.load()?, qemu.as_ref())?;
    say!("{learning}");
    if let Some(folder) = &args.out {
        learning::write(folder, &learning, &flashed)?;
        say!(
            "wrote {}: learning.json, drift.svg, drift.png, model.tfld, lesson.bin, banks.bin",
            folder.display()
        );
    }
    Ok(())
}

fn run_zero(args: &ZeroArgs) -> Result<()> {
    let qemu = chip(&args.on)?;
    let channels = if args.decays.is_empty() { args.channels } else { args.decays.len() };
    if channels == 0 {
        return Err(Error::input("--channels", "at least 1", "0"));
    }
    let mut settings = zero::Settings { seed: args.seed, ..zero::Settings::of_channels(channels) };
    settings.neurons = args.neurons.unwrap_or(settings.neurons);
    settings.rate = args.rate.unwrap_or(settings.rate);
    settings.episode = args.episode.unwrap_or(settings.episode);
    settings.samples = args.samples.unwrap_or(settings.samples);
    settings.passes = args.passes.unwrap_or(settings.passes);
    if !args.decays.is_empty() {
        settings.decays.clone_from(&args.decays);
    }
    let (zero, network) = Zero::of(&settings, qemu.as_ref())?;
    say!("{zero}");
    if let Some(path) = &args.out {
        network::save(path, &network)?;
        say!("wrote {}", path.display());
    }
    Ok(())
}

/// The chip of this name; none for core.
fn chip(name: &str) -> Result<Option<Qemu>> {
    if name == "core" {
        return Ok(None);
    }
    let chip =
        CHIPS.into_iter().find(|chip| chip.name == name && chip.name != "qemu-m0").ok_or_else(|| {
            Error::input("--on", "core, qemu-m3, qemu-m4f, qemu-m7 or qemu-m33, which learn", name)
        })?;
    Ok(Some(Qemu::new(chip)?))
}
