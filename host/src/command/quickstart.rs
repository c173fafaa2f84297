//! `tinyfold quickstart`.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use super::{EVALUATION_STEPS, TaskArgs, say, train::train_into, verify::table};
use crate::adapt::{drift, zero};
use crate::design::compress::to_rank;
use crate::design::exact::{Spec, exact};
use crate::format::model::export;
use crate::format::{self, network};
use crate::network::{Activation, Network};
use crate::report::build::{TRACE, by_channel, describe, first_shown, raw_samples, source};
use crate::report::learning::{Learning, Zero};
use crate::report::{self, ChipReport, Report, SCHEMA};
use crate::task::Dataset;
use crate::task::recording::RecordingArgs;
use crate::train::Settings;
use crate::verify::qemu::{CHIPS, Qemu};
use crate::verify::{Backend, Case, Core, verify};
use crate::{Error, Result};

/// Does everything on the bundled recording: exact, trained and compressed integrators, their models,
/// emulated chips running them, the proof that chip and host agree, and the report.
#[derive(clap::Args)]
#[command(after_help = "Example: tinyfold quickstart --out runs/quickstart")]
pub struct Args {
    /// Folder of the run.
    #[arg(long, default_value = "runs/quickstart")]
    out: PathBuf,
    /// Number of neurons n.
    #[arg(long, default_value_t = 64)]
    neurons: usize,
    #[command(flatten)]
    task: TaskArgs,
    /// Seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Updates of the training.
    #[arg(long, default_value_t = Settings::default().steps)]
    steps: usize,
    /// The recording.
    #[command(flatten)]
    recording: RecordingArgs,
}

/// Samples that every network is verified on, on every chip.
const VERIFIED_STEPS: usize = 1000;

/// Runs the command.
///
/// # Errors
/// Bad input, a file that cannot be written, a chip that does not agree.
pub fn run(args: &Args) -> Result<()> {
    let began = Instant::now();
    let tell = |what: &str| say!("[{:6.1} s] {what}", began.elapsed().as_secs_f64());
    let data = args.recording.load()?;
    let task = args.task.resolve(data.inputs.len())?;
    let channels = task.channels();
    let data = data.first_inputs(channels)?;
    let name = match &args.recording.input {
        Some(path) => path.display().to_string(),
        None => "Smart-watch gyroscope (bundled)".into(),
    };
    tell(&format!("recording: {name}, {} recordings, D = {channels}", data.recordings.len()));

    let spec = Spec {
        neurons: args.neurons,
        task: task.clone(),
        activation: Activation::Relu,
        seed: args.seed,
        encoder: None,
        decoder: None,
    };
    let mut designed = exact(&spec)?.network;
    designed.inputs.clone_from(&data.inputs);
    tell(&format!("designed: exact, n = {}, rank {channels}", args.neurons));

    let settings = Settings {
        neurons: args.neurons,
        task: task.clone().into(),
        steps: args.steps,
        seed: args.seed,
        ..Settings::default()
    };
    let training = Instant::now();
    let trained = train_into(&settings, Some(&data), &args.out, None, &AtomicBool::new(false))?.network;
    let trained_origin = format!(
        "BPTT, T = {}, {} updates, {:.0} s",
        settings.sequence,
        settings.steps,
        training.elapsed().as_secs_f64()
    );
    tell(&format!("trained: {trained_origin}"));
    let compression = to_rank(&trained, channels, &data.joined(EVALUATION_STEPS))?;
    let compressed_origin = format!("the trained one at rank {channels}, {}", compression.best.method);
    let compressed = compression.network;
    tell(&format!("compressed: {compressed_origin}"));

    let networks: [(&str, &str, &Network); 3] = [
        ("exact", "closed form", &designed),
        ("trained", &trained_origin, &trained),
        ("compressed", &compressed_origin, &compressed),
    ];
    let mut reports = Vec::new();
    let mut cases = Vec::new();
    for (name, origin, network) in networks {
        network::save(&args.out.join(format!("{name}.safetensors")), network)?;
        let model = export::<f32>(network)?;
        format::write_atomic(&args.out.join(format!("{name}.tfld")), model.bytes())?;
        let report = describe(name, origin, network, &data, EVALUATION_STEPS)?;
        tell(&format!(
            "{name}: relative RMSE over {EVALUATION_STEPS} steps of the recording {:.1e} in f64, {:.1e} in core f32",
            report.recording, report.recording_f32
        ));
        reports.push(report);
        let samples = raw_samples(network, &data.joined(VERIFIED_STEPS));
        cases.push(Case::of_network(name, network.clone(), samples)?);
    }

    let (chips, missing) = chips()?;
    tell(&match &missing {
        None => format!("firmware: images for {} emulated chips", chips.len()),
        Some(missing) => format!("no emulated chips: {missing}"),
    });
    let mut backends: Vec<&dyn Backend> = vec![&Core];
    backends.extend(chips.iter().map(|chip| chip as &dyn Backend));
    let template = "verifying {bar:40} {pos}/{len}";
    let bar =
        ProgressBar::new(0).with_style(ProgressStyle::with_template(template).expect("a valid template"));
    let verification = verify(&cases, &backends, &bar)?;
    tell(&format!("verified: {VERIFIED_STEPS} steps of every network, every word"));
    say!("{}", table(&verification).trim_end());

    let qemu = chips.iter().find(|qemu| qemu.chip.name == "qemu-m4f");
    let learning = learning(&data, channels, args.seed, qemu)?;
    tell("learned: drift and from zero");
    say!("{learning}");

    let source = source(&name, &data);
    let first = first_shown(source.samples);
    let recording = data.joined(first + TRACE);
    let shown = |values: &[f64]| by_channel(&values[first * channels..], channels);
    let report = Report {
        schema: SCHEMA,
        title: format!("{channels} signals, one small recurrent network"),
        command: std::iter::once("tinyfold".into())
            .chain(std::env::args().skip(1))
            .collect::<Vec<String>>()
            .join(" "),
        version: env!("CARGO_PKG_VERSION").into(),
        seed: args.seed,
        recording: source,
        first,
        inputs: shown(&recording),
        targets: shown(&task.targets(&recording)),
        task,
        steps: EVALUATION_STEPS,
        networks: reports,
        chips: chips
            .iter()
            .map(|qemu| ChipReport {
                name: qemu.chip.name.into(),
                core: qemu.chip.core.into(),
                flash: qemu.image.flash,
                static_ram: qemu.image.static_ram,
                stack: qemu.worst_stack(),
            })
            .collect(),
        missing,
        verification,
        learning: Some(learning),
    };
    report::write(&args.out, &report)?;
    tell(&format!("report: {}", args.out.join("report.html").display()));
    if report.verification.passed() {
        Ok(())
    } else {
        Err(Error::CheckFailed("verification failed; the table and the report say where".into()))
    }
}

/// An adapting integrator on the recording, and two that learn from nothing.
fn learning(data: &Dataset, channels: usize, seed: u64, chip: Option<&Qemu>) -> Result<Learning> {
    let mut settings = drift::Settings { seed, ..drift::Settings::default() };
    settings.decays.truncate(channels);
    let (mut learning, _) = Learning::of_drift(&settings, data, chip)?;
    for channels in [1, 2] {
        let settings = zero::Settings { seed, ..zero::Settings::of_channels(channels) };
        learning.zero.push(Zero::of(&settings, chip)?.0);
    }
    Ok(learning)
}

/// All emulated chips, or what one command adds them.
fn chips() -> Result<(Vec<Qemu>, Option<String>)> {
    let mut chips = Vec::new();
    for chip in CHIPS {
        match Qemu::new(chip) {
            Ok(qemu) => chips.push(qemu),
            Err(missing @ Error::Missing { .. }) => return Ok((Vec::new(), Some(missing.to_string()))),
            Err(other) => return Err(other),
        }
    }
    Ok((chips, None))
}
