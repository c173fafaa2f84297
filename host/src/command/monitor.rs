//! `tinyfold monitor`.

use std::path::{Path, PathBuf};

use clap::builder::RangedU64ValueParser;
use clap::value_parser;
use serde::Serialize;
use tinyfold_core::wire::{self, ALIGNMENT};

use super::analyse::signal;
use super::design::chosen;
use super::{INPUT_HELP, PARTIAL, dynamics, say, trials_of};
use crate::dynamics::monitor::study::{self, ENOUGH, Flipped, MATTERS, Normal, WARM, WINDOW};
use crate::dynamics::monitor::{Learnt, Settings, Thresholds, learn};
use crate::error::require;
use crate::format::model::{self, check_ending, refused};
use crate::format::{network, write_atomic};
use crate::network::Network;
use crate::report::build::raw_samples;
use crate::report::{self, figures};
use crate::task::recording::RecordingArgs;
use crate::task::synthetic;
use crate::{Error, Result};

/// Learns the monitor of a network from normal activity: an alarm when a weight, a state or an input is not as trained.
#[derive(clap::Args)]
#[command(
    after_help = "Example: tinyfold design --dense --out runs/dense.safetensors\n         tinyfold monitor runs/dense.safetensors --export runs/dense.tfmn",
    mut_arg("input", |input| input.help(INPUT_HELP))
)]
pub struct Args {
    /// The network: .safetensors or .npz.
    network: PathBuf,
    /// Steps that thresholds are learnt from, 1000 to 10 million.
    #[arg(long, default_value_t = 20_000)]
    steps: usize,
    /// Other steps, to count false alarms, at most 10 million.
    #[arg(long, default_value_t = 100_000)]
    held_out: usize,
    /// Bits to flip in recurrent and input weights, one at a time, to see which are found: 1 to 1 million.
    #[arg(long, default_value_t = 500, value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    flips: usize,
    /// The lowest bit that is flipped: 0 to 31, the sign.
    #[arg(long, default_value_t = 16, value_parser = value_parser!(u32).range(0..32))]
    lowest_bit: u32,
    /// Dimensions K of the manifold of a dense network, 1 to 8; default: as few as leave 1e-6 of the variance.
    #[arg(long, value_name = "K")]
    dimensions: Option<usize>,
    /// Steps from one look at the manifold (at low rank: at anything) to the next; default: 16 (32 below n = 32), at
    /// low rank 8 (16 below n = 64).
    #[arg(long, value_name = "STEPS", value_parser = value_parser!(u16).range(1..))]
    every: Option<u16>,
    /// Steps from one check of the weights of a dense network to the next; default: 4 (5 below n = 32).
    #[arg(long, value_name = "STEPS", value_parser = value_parser!(u16).range(1..))]
    check: Option<u16>,
    /// Thresholds are the largest normal values times this, above 1 and finite.
    #[arg(long, default_value_t = 2.0)]
    factor: f64,
    /// Seed of the inputs, of the check and of the flips.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Standard deviation of Gaussian inputs, in network units.
    #[arg(long, default_value_t = 1.0)]
    size: f64,
    /// The recording that is normal.
    #[command(flatten)]
    recording: RecordingArgs,
    /// Write the monitor for a chip: it goes behind the model that `tinyfold export` writes.
    #[arg(long, value_name = "FILE.tfmn")]
    export: Option<PathBuf>,
    /// Draw the figure `monitor` into this folder, as SVG and PNG.
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Most steps of a stretch.
const MOST: usize = 10_000_000;

#[derive(Serialize)]
struct Output<'a> {
    schema: u32,
    complete: bool,
    learnt: &'a Learnt,
    thresholds: &'a Thresholds,
    normal: &'a Normal,
    flipped: &'a Flipped,
    /// Bytes of the monitor.
    bytes: usize,
    exported: Option<&'a Path>,
}

/// Runs the command. Ctrl-C ends it with what it has, once the monitor is learnt.
///
/// # Errors
/// Files that cannot be read or written, activity that a monitor cannot be learnt from.
pub fn run(args: &Args) -> Result<()> {
    if let Some(path) = &args.export {
        check_ending("--export", path, "tfmn")?;
    }
    for (option, steps) in [("--steps", args.steps), ("--held-out", args.held_out)] {
        require((1..=MOST).contains(&steps), option, format!("1 to {MOST} steps"), steps)?;
    }
    let network = network::load(&args.network)?;
    let model = model::export::<f32>(&network)?;
    let rank = network.rank();
    for (option, given) in [("--check", args.check.is_some()), ("--dimensions", args.dimensions.is_some())] {
        require(rank == 0 || !given, option, "a dense network", format!("one of rank {rank}"))?;
    }
    let plain = Settings::of(network.neurons(), rank);
    let settings = Settings {
        dimensions: args.dimensions,
        every: args.every.unwrap_or(plain.every),
        check: args.check.unwrap_or(plain.check),
        factor: args.factor,
        seed: args.seed,
        ..plain
    };
    // One stretch for each purpose: a recording is gone through once.
    let [learning, held_out, flipping] = samples(args, &network, [args.steps, args.held_out, WARM + WINDOW])?;
    let progress = dynamics::watch(0, "")?;
    let (monitor, learnt) = learn(&model, &learning, &settings)?;
    progress.bar.set_message("other normal steps");
    let normal = study::normal(&model, &monitor, &held_out, &progress)?;
    progress.bar.set_message("flipped bits");
    let bits = (args.flips, args.lowest_bit);
    let flipped = study::flipped(&model, &monitor, &flipping, bits, args.seed, &progress)?;
    progress.bar.finish_and_clear();
    let complete = !progress.stopped();
    let read = wire::monitor::read::<f32>(monitor.bytes()).map_err(|error| refused("monitor", error))?;
    let thresholds = Thresholds::of(&read.monitor);
    if let Some(path) = &args.export {
        write_atomic(path, monitor.bytes())?;
    }
    let figures = args.figures.as_ref().filter(|_| normal.steps > 0 && flipped.flips > 0);
    if let Some(folder) = figures {
        figures::write(folder, &[report::dynamics::monitor::figure(&normal, &flipped)])?;
    }
    let bytes = monitor.bytes().len();
    if let Some(part) = flipped.part()
        && part < ENOUGH
    {
        eprintln!(
            "warning: the monitor misses {} of {} flipped bits that matter ({:.1} % found, at least {} % are wanted): smaller \
             --every, --check or --factor find more",
            flipped.matter - flipped.found,
            flipped.matter,
            100.0 * part,
            100.0 * ENOUGH
        );
    }
    if args.json {
        let exported = args.export.as_deref();
        let output = Output {
            schema: 1,
            complete,
            learnt: &learnt,
            thresholds: &thresholds,
            normal: &normal,
            flipped: &flipped,
            bytes,
            exported,
        };
        say!("{}", serde_json::to_string_pretty(&output).expect("plain data becomes JSON"));
        return Ok(());
    }
    if !complete {
        say!("{PARTIAL}");
    }
    print(&learnt, &settings, &thresholds, &normal, &flipped);
    if let Some(path) = &args.export {
        let behind = model.bytes().len().next_multiple_of(ALIGNMENT);
        say!("{}: {bytes} bytes; in flash {behind} bytes behind the start of the model", path.display());
    }
    if let Some(folder) = figures {
        say!("figure in {}", folder.display());
    }
    Ok(())
}

/// Raw samples of several stretches of normal activity.
fn samples(args: &Args, network: &Network, steps: [usize; 3]) -> Result<[Vec<f32>; 3]> {
    let width = network.input.ncols();
    let all: usize = steps.iter().sum();
    let gaussian = || -> Vec<f64> {
        synthetic::gaussian(all, width, args.seed).into_iter().map(|x| args.size * x).collect()
    };
    let x = if chosen(&args.recording) {
        signal(&args.recording, network, all)?
    } else {
        trials_of(network, all, args.seed).unwrap_or_else(gaussian)
    };
    let found = x.len();
    if found != all * width {
        return Err(Error::input("samples", format!("{all} steps of {width} inputs"), found.to_string()));
    }
    let mut rest = &x[..];
    Ok(steps.map(|steps| {
        let (part, after) = rest.split_at(steps * width);
        rest = after;
        raw_samples(network, part)
    }))
}

/// Thresholds as people read them.
pub(super) fn ranges(thresholds: &Thresholds) -> String {
    let one = |of: &crate::dynamics::monitor::Range| {
        let [lo, hi] = of.range;
        format!("{} from {lo:.3} to {hi:.3}", of.name)
    };
    thresholds.ranges.iter().map(one).collect::<Vec<String>>().join(", ")
}

fn print(learnt: &Learnt, settings: &Settings, thresholds: &Thresholds, normal: &Normal, flipped: &Flipped) {
    let list = |values: &[f64]| values.iter().map(|t| format!("{t:.1e}")).collect::<Vec<String>>().join(", ");
    say!("thresholds, {} times the largest normal values", settings.factor);
    if let Some([least, most]) = thresholds.distance {
        say!(
            "  weights     |r p - (r b + (r W) h + (r B) x)| at most {}, every {} steps",
            list(&thresholds.residual),
            settings.check
        );
        say!(
            "  manifold    {} dimensions, which leave {:.1e} of the variance; distance of a neuron at most {least:.1e} \
             to {most:.1e}, every {} steps",
            learnt.dimensions,
            learnt.outside,
            settings.every
        );
    } else {
        say!(
            "  weights     z' - (e + Γ z + E x), y - (s + S z') at most {}, every {} steps",
            list(&thresholds.residual),
            settings.every
        );
    }
    say!("  range       {}", ranges(thresholds));
    if learnt.round > 0 {
        let what =
            if thresholds.distance.is_some() { "its checksum" } else { "checksum of the whole network" };
        say!("  readout     {what}, once in {} steps", learnt.round);
    }
    let [residual, distance, range] = normal.most;
    say!(
        "{} other normal steps: {} false alarms; largest residual {residual:.2}, distance {distance:.2}, range {range:.2} \
         of the threshold",
        normal.steps,
        normal.alarms
    );
    let part = flipped.part().map_or_else(|| "-".into(), |part| format!("{:.1} %", 100.0 * part));
    let slowest = flipped.slowest.map_or_else(String::new, |steps| format!(", the last after {steps} steps"));
    say!(
        "{} flipped bits: {} change the outputs of the next {WINDOW} steps by more than {} %; found {} of them \
         ({part}){slowest}",
        flipped.flips,
        flipped.matter,
        100.0 * MATTERS,
        flipped.found
    );
    say!(
        "cost: {:.1} % of the multiply-adds of a step; `tinyfold bench` counts instructions",
        100.0 * learnt.cost
    );
}
