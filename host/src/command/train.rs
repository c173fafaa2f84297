//! `tinyfold train`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{EVALUATION_STEPS, Errors, TaskArgs, evaluate_on, say};
use crate::format::{self, network};
use crate::network::Channel;
use crate::report::rules::{self, Comparison};
use crate::task::recording::RecordingArgs;
use crate::train::online::{Rule, Run, learn};
use crate::train::optimiser::Method;
use crate::train::{Control, End, Metrics, Precision, Progress, Settings, Trained, train};
use crate::{Error, Result};

/// Trains a recurrent network to integrate, by backpropagation through time.
///
/// Writes settings.json, metrics.jsonl, checkpoint.safetensors (the latest network that is stable over a
/// long roll-out) and network.safetensors (the best one). Ctrl-C stops after the current step, keeps the
/// best network so far and exits with code 0.
#[derive(clap::Args)]
#[command(
    after_help = "Examples: tinyfold train --steps 500 --out runs/trained\n          tinyfold train --rule rtrl,snap1,kf-rtrl,tbptt --neurons 32 --decays 0.9 --sequence 20 --out runs/rules"
)]
pub struct Args {
    /// Number of neurons n.
    #[arg(long, default_value_t = Settings::default().neurons)]
    neurons: usize,
    #[command(flatten)]
    task: TaskArgs,
    /// Activation: linear, relu, clipped, tanh, sigmoid.
    #[arg(long, default_value = "relu")]
    activation: String,
    /// Parameters of the activation: lo,hi of clipped; slope,threshold of sigmoid.
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true)]
    activation_parameters: Vec<f64>,
    /// Leak alpha in (0, 1].
    #[arg(long, default_value_t = 1.0)]
    alpha: f64,
    /// Rank R of W = U Vᵀ; 0 for a dense W.
    #[arg(long, default_value_t = 0)]
    rank: usize,
    /// Train B by itself instead of B = W E.
    #[arg(long)]
    free_input: bool,
    /// Train the biases b and c.
    #[arg(long)]
    train_bias: bool,
    /// Train the readout C.
    #[arg(long)]
    train_readout: bool,
    /// Learn online, sample by sample, by these rules one after the other instead; B is then free. The run folder gets
    /// rules.json, one network a rule, and figures of learning curves and of alignment with the exact gradient.
    #[arg(long, value_enum, value_delimiter = ',', conflicts_with_all = ["batch", "free_input", "weight_decay", "from_recording", "precision"])]
    rule: Vec<Rule>,
    /// With --rule: keep to Dale's law, every fifth neuron inhibiting and the others exciting.
    #[arg(long, requires = "rule")]
    dale: bool,
    /// Time steps T of a training sequence.
    #[arg(long, default_value_t = Settings::default().sequence)]
    sequence: usize,
    /// Sequences of a batch.
    #[arg(long, default_value_t = Settings::default().batch)]
    batch: usize,
    /// Number of updates.
    #[arg(long, default_value_t = Settings::default().steps)]
    steps: usize,
    /// Use stochastic gradient descent with this momentum instead of Adam.
    #[arg(long, value_name = "MOMENTUM", num_args = 0..=1, default_missing_value = "0")]
    sgd: Option<f64>,
    /// First learning rate, which falls along a cosine; default: 0.01, with --sgd 1. With --rule it stays, a tenth of that.
    #[arg(long)]
    learning_rate: Option<f64>,
    /// Largest norm of a gradient.
    #[arg(long, default_value_t = Settings::default().clip)]
    clip: f64,
    /// Decoupled weight decay, which keeps the bulk of W small; default: 0.02, with --sgd 0.
    #[arg(long)]
    weight_decay: Option<f64>,
    /// Fraction of a batch that comes from the recording; the rest is Gaussian.
    #[arg(long, default_value_t = Settings::default().from_recording)]
    from_recording: f64,
    /// Updates between two checkpoints.
    #[arg(long, default_value_t = Settings::default().interval)]
    interval: usize,
    /// Number type of training.
    #[arg(long, value_enum, default_value_t)]
    precision: Precision,
    /// Seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The recording that the result is evaluated on.
    #[command(flatten)]
    recording: RecordingArgs,
    /// Folder of the run.
    #[arg(long, default_value = "runs/train")]
    out: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Provenance<'a> {
    tinyfold: &'static str,
    machine: String,
    settings: &'a Settings,
    inputs: Option<&'a [Channel]>,
}

/// Runs the command.
///
/// # Errors
/// Bad input, a file that cannot be written, or a training that diverged.
pub fn run(args: &Args) -> Result<()> {
    let data = args.recording.load()?;
    let task = args.task.resolve(data.inputs.len())?;
    let data = data.first_inputs(task.channels())?;
    let method = args.sgd.map_or(Method::Adam, |momentum| Method::Sgd { momentum });
    let settings = Settings {
        neurons: args.neurons,
        task,
        activation: args.activation.clone(),
        activation_parameters: args.activation_parameters.clone(),
        alpha: args.alpha,
        rank: args.rank,
        free_input: args.free_input,
        train_bias: args.train_bias,
        train_readout: args.train_readout,
        sequence: args.sequence,
        batch: args.batch,
        steps: args.steps,
        method,
        // One sample at a time is a noisier gradient than a batch.
        learning_rate: args
            .learning_rate
            .unwrap_or_else(|| method.learning_rate() * if args.rule.is_empty() { 1.0 } else { 0.1 }),
        clip: args.clip,
        weight_decay: args.weight_decay.unwrap_or(method.weight_decay()),
        from_recording: args.from_recording,
        interval: args.interval,
        precision: args.precision,
        seed: args.seed,
    };
    let interrupted = interrupted()?;
    if !args.rule.is_empty() {
        return online(&settings, args, &interrupted);
    }
    let trained = train_into(&settings, Some(&data), &args.out, &interrupted)?;
    let errors = evaluate_on(&trained.network, &data)?;
    if args.json {
        let Trained { best, end, .. } = &trained;
        let Errors { gaussian, recording } = errors;
        let summary = serde_json::json!({
            "end": end, "best": best, "steps": EVALUATION_STEPS, "gaussian": gaussian, "recording": recording,
        });
        say!("{summary:#}");
        return Ok(());
    }
    let (last, kept) = (trained.history.last().map_or(0, |metrics| metrics.step), trained.best.step);
    match trained.end {
        End::Done => {}
        End::Stopped => {
            say!("stopped by Ctrl-C after update {last}; kept the best network, of update {kept}");
        }
        End::Diverged => say!(
            "diverged at update {last}: the loss is no longer finite; kept the best network, of update {kept}"
        ),
    }
    say!("{errors}");
    if trained.best.error() >= 1.0 {
        say!("this is no better than an output of 0: try more steps or another learning rate");
    }
    say!("written to {}", args.out.join("network.safetensors").display());
    Ok(())
}

/// Becomes true at Ctrl-C.
fn interrupted() -> Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let seen = interrupted.clone();
    ctrlc::set_handler(move || seen.store(true, Ordering::Relaxed)).map_err(|error| Error::Numeric {
        what: "Ctrl-C".into(),
        reason: format!("cannot be caught: {error}"),
    })?;
    Ok(interrupted)
}

/// Learns by every rule asked for, into the run folder.
fn online(settings: &Settings, args: &Args, interrupted: &AtomicBool) -> Result<()> {
    let mut runs: Vec<Run> = Vec::new();
    for &rule in &args.rule {
        let bar = ProgressBar::new(settings.steps as u64).with_style(
            ProgressStyle::with_template("{prefix:8} {bar:40} {pos}/{len} {msg} {eta}")
                .expect("a valid template"),
        );
        bar.set_prefix(rule.name());
        let run = learn(settings, rule, args.dale, &mut |point| {
            bar.set_position(point.step as u64);
            bar.set_message(format!("loss {:.1e}, roll-out {:.1e}", point.loss, point.rollout));
            if interrupted.load(Ordering::Relaxed) { Control::Stop } else { Control::Continue }
        });
        bar.finish_and_clear();
        runs.push(run?);
    }
    let comparison = Comparison::new(settings, args.dale, &runs);
    rules::write(&args.out, &comparison)?;
    for run in &runs {
        network::save(&args.out.join(format!("{}.safetensors", run.rule.name())), &run.network)?;
    }
    if args.json {
        say!("{}", serde_json::to_string_pretty(&comparison).expect("plain data becomes JSON"));
    } else {
        say!("{comparison}");
        say!("written to {}", args.out.display());
    }
    Ok(())
}

/// Trains with a progress bar, into a run folder.
///
/// # Errors
/// As [`train`]; a file that cannot be written.
pub fn train_into(
    settings: &Settings,
    data: Option<&crate::task::Dataset>,
    folder: &std::path::Path,
    interrupted: &AtomicBool,
) -> Result<Trained> {
    let provenance = Provenance {
        tinyfold: env!("CARGO_PKG_VERSION"),
        machine: format!("{} {}", std::env::consts::ARCH, std::env::consts::OS),
        settings,
        inputs: data.map(|data| data.inputs.as_slice()),
    };
    format::write_json(&folder.join("settings.json"), &provenance)?;
    let template = "training {bar:40} {pos}/{len} {msg} {eta}";
    let bar = ProgressBar::new(settings.steps as u64)
        .with_style(ProgressStyle::with_template(template).expect("a valid template"));
    let mut lines = String::new();
    let mut failed = None;
    let mut last: Option<Metrics> = None;
    let trained = train(settings, data, &mut |progress| {
        match progress {
            Progress::Step { step, loss } => {
                bar.set_position(step as u64);
                let rollout = last.map_or(String::new(), |m| format!(", roll-out {:.1e}", m.error()));
                bar.set_message(format!("loss {loss:.1e}{rollout}"));
            }
            Progress::Interval { metrics, network: now } => {
                last = Some(metrics);
                let line = serde_json::to_string(&metrics).expect("numbers become JSON");
                writeln!(lines, "{line}").expect("a String takes everything");
                let write = || {
                    format::write_atomic(&folder.join("metrics.jsonl"), lines.as_bytes())?;
                    if metrics.error().is_finite() {
                        network::save(&folder.join("checkpoint.safetensors"), now)?;
                    }
                    Ok(())
                };
                if let Err(error) = write() {
                    failed = Some(error);
                    return Control::Stop;
                }
            }
        }
        if interrupted.load(Ordering::Relaxed) { Control::Stop } else { Control::Continue }
    });
    bar.finish_and_clear();
    if let Some(error) = failed {
        return Err(error);
    }
    let trained = trained?;
    network::save(&folder.join("network.safetensors"), &trained.network)?;
    Ok(trained)
}
