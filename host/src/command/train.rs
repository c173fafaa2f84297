//! `tinyfold train`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::design::chosen;
use super::{EVALUATION_STEPS, Errors, PARTIAL, TaskArgs, evaluate_on, interrupted, say};
use crate::error::require;
use crate::format::network;
use crate::report::rules::{self, Comparison};
use crate::report::{curves, linearised, trials};
use crate::task::context::Choices;
use crate::task::recording::RecordingArgs;
use crate::task::trial::{LARGEST, Score, of_stream};
use crate::task::{Dataset, Integration, Task};
use crate::train::folder::{Held, of_rule, snapshot_of, train_into_folder};
use crate::train::online::{Rule, Run, check, learn};
use crate::train::optimiser::Method;
use crate::train::settings::{Loss, Supports};
use crate::train::{
    Control, End, HELD_OUT, Precision, Progress, Settings, Snapshot, Trained, judged, remedies,
};
use crate::{Error, Result, format};

/// Trains a recurrent network to integrate, or for another task, by backpropagation through time.
///
/// Settings come from a file (--settings), from options, or both: an option wins. Writes settings.toml, run.json,
/// metrics.jsonl, checkpoint.safetensors (the latest network that is stable over a long roll-out),
/// resume.safetensors (what --resume goes on from, to the same bits) and network.safetensors (the best one).
/// Ctrl-C stops after the current step, keeps the best network so far and exits with code 0.
#[derive(clap::Args)]
#[command(
    after_help = "Examples: tinyfold train --steps 500 --out runs/trained\n          tinyfold train --print-defaults > train.toml\n          tinyfold train --settings train.toml --out runs/mine\n          tinyfold train --resume runs/mine\n          tinyfold train --task flip-flop --out runs/flip-flop\n          tinyfold train --rule rtrl,snap1,kf-rtrl,tbptt --neurons 32 --decays 0.9 --sequence 20 --out runs/rules"
)]
pub struct Args {
    /// Settings in TOML; --print-defaults shows all of them.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Print every setting with its documentation and default, as a file for --settings: of integration or --task, with
    /// the values of the other options and of --settings.
    #[arg(long)]
    print_defaults: bool,
    /// Go on with the interrupted run of this folder, to the same bits; --input as the run had it.
    #[arg(long, value_name = "FOLDER")]
    resume: Option<PathBuf>,
    #[command(flatten)]
    channels: TaskArgs,
    #[command(flatten)]
    options: Options,
    /// The recording that the result is evaluated on.
    #[command(flatten)]
    recording: RecordingArgs,
    /// Time steps of the trials that the result is judged by at the end, for tasks other than integration [default: those
    /// of training].
    #[arg(long, value_name = "STEPS", conflicts_with = "rule")]
    trial_steps: Option<usize>,
    /// Folder of the run; files of a run before are removed first.
    #[arg(long, default_value = "runs/train", conflicts_with = "resume")]
    out: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// What decides a run, which keeps it to the end: --resume takes none of it.
#[derive(clap::Args)]
// The arguments until here, those before the flattened ones as well.
#[command(mut_args(|arg| if arg.get_id() == "resume" { arg } else { arg.conflicts_with("resume") }))]
struct Options {
    /// Number of neurons n [default: 64].
    #[arg(long)]
    neurons: Option<usize>,
    /// Another task than integration, with its default parameters and settings; `tinyfold task` shows it.
    #[arg(long, value_name = "TASK", value_parser = Task::NAMES.to_vec(), conflicts_with_all = ["settings", "decays", "scales"])]
    task: Option<String>,
    /// Activation: linear, relu, clipped, tanh, sigmoid [default: relu].
    #[arg(long)]
    activation: Option<String>,
    /// Parameters of the activation: lo,hi of clipped; slope,threshold of sigmoid.
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true)]
    activation_parameters: Option<Vec<f64>>,
    /// Leak alpha in (0, 1] [default: 1].
    #[arg(long)]
    alpha: Option<f64>,
    /// Rank R of W = U Vᵀ [default: 0, a dense W].
    #[arg(long)]
    rank: Option<usize>,
    /// Dale's law with this fraction of inhibitory neurons.
    #[arg(long, value_name = "FRACTION", num_args = 0..=1, default_missing_value = "0.25")]
    dale: Option<f64>,
    /// Where encoders and decoders have their entries [default: random].
    #[arg(long, value_enum)]
    supports: Option<Supports>,
    /// Train B by itself instead of B = W E.
    #[arg(long)]
    free_input: bool,
    /// Train the encoders E while B = W E.
    #[arg(long, conflicts_with = "free_input")]
    train_encoder: bool,
    /// Train the biases b and c.
    #[arg(long)]
    train_bias: bool,
    /// Train the readout C.
    #[arg(long)]
    train_readout: bool,
    /// Learn online, sample by sample, by these rules one after the other instead; B is then free. The run folder gets
    /// rules.json, one network a rule, and figures of learning curves and of alignment with the exact gradient.
    #[arg(long, value_enum, value_delimiter = ',', conflicts_with_all = ["batch", "free_input", "train_encoder", "weight_decay", "from_recording", "precision", "loss"])]
    rule: Vec<Rule>,
    /// What is minimised [default: batch].
    #[arg(long, value_enum)]
    loss: Option<Loss>,
    /// Time steps T of a training sequence [default: 10].
    #[arg(long)]
    sequence: Option<usize>,
    /// Sequences of a batch [default: 64].
    #[arg(long)]
    batch: Option<usize>,
    /// Number of updates [default: 40000].
    #[arg(long)]
    steps: Option<usize>,
    /// Use stochastic gradient descent with this momentum instead of Adam.
    #[arg(long, value_name = "MOMENTUM", num_args = 0..=1, default_missing_value = "0")]
    sgd: Option<f64>,
    /// First learning rate, which falls along a cosine; default: 0.01, with --sgd 1. With --rule it stays, a tenth of that.
    #[arg(long)]
    learning_rate: Option<f64>,
    /// Largest norm of a gradient [default: 1].
    #[arg(long)]
    clip: Option<f64>,
    /// Decoupled weight decay, which keeps the bulk of W small; default: 0.02, with --sgd 0.
    #[arg(long)]
    weight_decay: Option<f64>,
    /// Fraction of a batch that comes from the recording; the rest is Gaussian [default: 0].
    #[arg(long)]
    from_recording: Option<f64>,
    /// Updates between two checkpoints [default: 1000].
    #[arg(long)]
    interval: Option<usize>,
    /// Number type of training [default: f32].
    #[arg(long, value_enum)]
    precision: Option<Precision>,
    /// Seed [default: 0].
    #[arg(long)]
    seed: Option<u64>,
}

impl Args {
    /// The error with the file of settings and the line, if that file is refused by itself.
    fn in_file(&self, error: Error, data: Option<&Dataset>) -> Error {
        let Some(path) = &self.settings else { return error };
        match (Settings::load(path), std::fs::read_to_string(path)) {
            (Ok(settings), Ok(text)) if settings.check(data).is_err() => {
                format::settings::located(error, &text, &path.display().to_string())
            }
            _ => error,
        }
    }

    /// The settings of the file, or the defaults, with what options change.
    fn resolve(&self, data: &Dataset) -> Result<Settings> {
        let options = &self.options;
        // The bundled recording limits nobody.
        let more = if chosen(&self.recording) { 0 } else { self.channels.decays.len() };
        let inputs = data.inputs.len().max(more);
        let (mut settings, said) = if let Some(path) = &self.settings {
            Settings::load_said(path)?
        } else {
            let task = match options.task.as_deref().and_then(Task::named) {
                Some(task) if task.integration().is_none() => task,
                _ => self.channels.resolve(inputs)?.into(),
            };
            (Settings::of(task), toml::Table::new())
        };
        if self.channels.chosen() {
            settings.task = self.channels.resolve(inputs)?.into();
        }
        if let Some(momentum) = options.sgd {
            settings.method = Method::Sgd { momentum };
        }
        let unsaid = Settings::of(settings.task.clone()).learnt_by(settings.method);
        if !said.contains_key("learning_rate") {
            // One sample at a time is a noisier gradient than a batch.
            let noisy = if options.rule.is_empty() { 1.0 } else { 0.1 };
            settings.learning_rate = unsaid.learning_rate * noisy;
        }
        if !said.contains_key("weight_decay") {
            settings.weight_decay = unsaid.weight_decay;
        }
        options.put_into(&mut settings);
        Ok(settings)
    }
}

impl Options {
    /// Writes what is said.
    fn put_into(&self, settings: &mut Settings) {
        fn put<T: Clone>(setting: &mut T, option: Option<&T>) {
            if let Some(value) = option {
                setting.clone_from(value);
            }
        }
        put(&mut settings.neurons, self.neurons.as_ref());
        put(&mut settings.activation, self.activation.as_ref());
        put(&mut settings.activation_parameters, self.activation_parameters.as_ref());
        put(&mut settings.alpha, self.alpha.as_ref());
        put(&mut settings.rank, self.rank.as_ref());
        put(&mut settings.dale, self.dale.as_ref());
        put(&mut settings.supports, self.supports.as_ref());
        settings.free_input |= self.free_input;
        settings.train_encoder |= self.train_encoder;
        settings.train_bias |= self.train_bias;
        settings.train_readout |= self.train_readout;
        put(&mut settings.loss, self.loss.as_ref());
        put(&mut settings.sequence, self.sequence.as_ref());
        put(&mut settings.batch, self.batch.as_ref());
        put(&mut settings.steps, self.steps.as_ref());
        put(&mut settings.learning_rate, self.learning_rate.as_ref());
        put(&mut settings.clip, self.clip.as_ref());
        put(&mut settings.weight_decay, self.weight_decay.as_ref());
        put(&mut settings.from_recording, self.from_recording.as_ref());
        put(&mut settings.interval, self.interval.as_ref());
        put(&mut settings.precision, self.precision.as_ref());
        put(&mut settings.seed, self.seed.as_ref());
    }
}

/// Runs the command.
///
/// # Errors
/// Bad input, a file that cannot be written, or a training that diverged.
pub fn run(args: &Args) -> Result<()> {
    let targets = &args.recording.options.targets;
    let expected = "none: what is learnt is the task of the settings";
    require(targets.is_empty(), "--targets", expected, targets.join(","))?;
    let data = args.recording.load()?;
    let (settings, out, snapshot) = match &args.resume {
        Some(folder) => {
            let snapshot = snapshot_of(folder)?;
            (snapshot.header.settings.clone(), folder, Some(snapshot))
        }
        None => (args.resolve(&data)?, &args.out, None),
    };
    let asked = chosen(&args.recording);
    if asked {
        settings.integration("a recording")?;
    }
    let channels = settings.task.integration().map(Integration::channels);
    // More channels than the bundled recording has are learnt without one.
    let channels = channels.filter(|&channels| asked || channels <= data.inputs.len());
    let data = channels.map(|channels| data.first_inputs(channels)).transpose()?;
    if args.print_defaults {
        settings.check(data.as_ref()).map_err(|error| args.in_file(error, data.as_ref()))?;
        say!("{}", settings.documented().trim_end());
        return Ok(());
    }
    let steps = args.trial_steps.unwrap_or(settings.sequence);
    if let Some(steps) = args.trial_steps {
        let place = "--trial-steps";
        let expected = format!("none for integration, which is judged over {EVALUATION_STEPS} steps");
        require(settings.task.integration().is_none(), place, expected, steps)?;
        require(steps <= LARGEST, place, format!("at most {LARGEST}"), steps)?;
        settings.task.trials().check(steps).map_err(|error| error.within(place))?;
    }
    let interrupted = interrupted()?;
    if !args.options.rule.is_empty() {
        return online(&settings, args, &interrupted).map_err(|error| args.in_file(error, None));
    }
    let trained = match train_into(&settings, data.as_ref(), out, snapshot.as_ref(), &interrupted) {
        Err(Error::Stopped { step }) => {
            if args.json {
                say!("{:#}", json!({ "end": End::Stopped, "best": null, "unstable": true }));
            } else {
                let out = out.display();
                say!(
                    "stopped by Ctrl-C after update {step}; no stable network yet; tinyfold train --resume {out} goes on"
                );
            }
            return Ok(());
        }
        trained => trained.map_err(|error| args.in_file(error, data.as_ref()))?,
    };
    curves::write(out, &settings.task, &trained.history)?;
    let (errors, details) = outcome(&settings, steps, &trained, data.as_ref(), out)?;
    if args.json {
        let mut summary = json!({ "end": trained.end, "best": trained.best, "unstable": trained.unstable() });
        if let (Some(summary), Value::Object(details)) = (summary.as_object_mut(), details) {
            summary.extend(details);
        }
        say!("{summary:#}");
    } else {
        tell(&settings, &trained, &errors, out);
    }
    // What takes long, or fails, comes after what was asked for.
    if settings.task.integration().is_none() {
        let Settings { task, sequence, seed, .. } = &settings;
        linearised::write(out, &trained.network, task, *sequence, !seed, &interrupted)?;
    }
    Ok(())
}

/// Says why a run ended and what came of it.
fn tell(settings: &Settings, trained: &Trained, errors: &str, out: &Path) {
    let (last, kept) = (trained.history.last().map_or(0, |metrics| metrics.step), trained.best.step);
    match trained.end {
        End::Done => {}
        End::Stopped => {
            say!("stopped by Ctrl-C after update {last}; kept the best network, of update {kept}");
        }
        End::Reached => say!("reached a loss of {:.1e} at update {last}", settings.stop_loss),
        End::Stalled => say!("no better network since update {kept}; stopped at update {last}"),
        End::Diverged => say!(
            "diverged at update {last}: the loss, its gradient or a weight is no longer finite; kept the best network, of update {kept}"
        ),
    }
    if trained.history.len() > 1 {
        say!("{}", curves::lines(&settings.task, &trained.history));
    }
    if let Some(last) = trained.history.last().filter(|_| trained.unstable()) {
        let best = match kept {
            kept if kept == last.step => "none before was better".to_owned(),
            kept => format!("kept that of update {kept}"),
        };
        say!(
            "unstable: the network of update {} has a loss of {:.1e}, but an error of {:.1e} over long roll-outs; {best}; {}",
            last.step,
            last.loss,
            last.long_error(),
            remedies(settings)
        );
    }
    say!("{errors}");
    if trained.best.error() >= 1.0 {
        say!("this is no better than an output of 0: try more steps or another learning rate");
    }
    say!("written to {}", out.join("network.safetensors").display());
}

/// How well the best network does, in words and as fields; with a figure if that is on trials.
fn outcome(
    settings: &Settings,
    steps: usize,
    trained: &Trained,
    data: Option<&Dataset>,
    out: &Path,
) -> Result<(String, Value)> {
    if settings.task.integration().is_some() {
        let errors = evaluate_on(&trained.network, data)?;
        let Errors { gaussian, recording } = errors;
        let fields = json!({ "steps": EVALUATION_STEPS, "gaussian": gaussian, "recording": recording });
        return Ok((errors.to_string(), fields));
    }
    let (task, seed) = (&settings.task, !settings.seed);
    let shown = of_stream(task.trials(), steps, trials::SHOWN, seed, SHOWN);
    trials::write(&out.join("figures"), task, &shown, Some(&trained.network))?;
    let fresh = of_stream(task.trials(), steps, HELD_OUT, seed, TOLD);
    let score = judged(&trained.network, task, &fresh);
    let mut told = of_trials(score, steps);
    let mut fields =
        json!({ "trials": HELD_OUT, "steps": steps, "error": score.error, "correct": score.correct });
    if let Task::Context(task) = task {
        let choices = task.choices(&trained.network, steps, CHOICES, seed);
        for Choices { coherence, correct } in &choices {
            told += &format!("\n{:.1} % right choices at coherence {coherence}", 100.0 * correct);
        }
        fields["choices"] = json!(choices);
    }
    Ok((told, fields))
}

/// Streams of the trials that the result is told from and that are shown: not those, of stream 0, that chose the network.
const TOLD: u64 = 1;
const SHOWN: u64 = 2;
/// Trials of a point of a psychometric curve.
const CHOICES: usize = 400;

/// How a network does on trials that neither trained nor chose it.
fn of_trials(score: Score, steps: usize) -> String {
    let error =
        format!("relative RMSE over {HELD_OUT} held-out trials of {steps} steps: {:.2e}", score.error);
    let share = |correct| format!("; {:.1} % of the judged outputs have the right sign", 100.0 * correct);
    error + &score.correct.map_or(String::new(), share)
}

/// Learns by every rule asked for, into the run folder.
fn online(settings: &Settings, args: &Args, interrupted: &AtomicBool) -> Result<()> {
    for &rule in &args.options.rule {
        check(settings, rule)?;
    }
    let held = Held::now(&args.out)?;
    held.clear()?;
    let mut runs: Vec<Run> = Vec::new();
    for &rule in &args.options.rule {
        let bar = ProgressBar::new(settings.steps as u64).with_style(
            ProgressStyle::with_template("{prefix:8} {bar:40} {pos}/{len} {msg} {eta}")
                .expect("a valid template"),
        );
        bar.set_prefix(rule.name());
        let run = learn(settings, rule, &mut |point| {
            bar.set_position(point.step as u64);
            bar.set_message(format!("loss {:.1e}, roll-out {:.1e}", point.loss, point.rollout));
            if interrupted.load(Ordering::Relaxed) { Control::Stop } else { Control::Continue }
        });
        bar.finish_and_clear();
        let run = run?;
        network::save(&args.out.join(of_rule(rule)), &run.network)?;
        runs.push(run);
        rules::write(&args.out, &Comparison::new(settings, &runs))?;
        if interrupted.load(Ordering::Relaxed) {
            break;
        }
    }
    let comparison = Comparison::new(settings, &runs);
    let partial = interrupted.load(Ordering::Relaxed);
    if args.json {
        say!("{}", serde_json::to_string_pretty(&comparison).expect("plain data becomes JSON"));
    } else {
        if partial {
            say!("{PARTIAL}");
        }
        say!("{comparison}");
        say!("written to {}", args.out.display());
    }
    Ok(())
}

/// Trains with a progress bar, into a run folder; from a snapshot if there is one.
///
/// # Errors
/// As [`train_into_folder`].
pub fn train_into(
    settings: &Settings,
    data: Option<&Dataset>,
    folder: &Path,
    from: Option<&Snapshot>,
    interrupted: &AtomicBool,
) -> Result<Trained> {
    let template = "training {wide_bar} {pos}/{len} {prefix} {msg} {eta}";
    let bar = ProgressBar::new(settings.steps as u64)
        .with_style(ProgressStyle::with_template(template).expect("a valid template"));
    let before = from.map_or(&[][..], |snapshot| &snapshot.header.history);
    let mut last = before.last().copied();
    bar.set_prefix(curves::losses(before));
    let trained = train_into_folder(settings, data, folder, from, &mut |progress| {
        match progress {
            &Progress::Step { step, loss } => {
                bar.set_position(step as u64);
                let on = curves::judged_on(&settings.task);
                let rollout = last.map_or(String::new(), |m| format!(", {on} {:.1e}", m.error()));
                bar.set_message(format!("loss {loss:.1e}{rollout}"));
            }
            Progress::Interval { metrics, history, .. } => {
                last = Some(*metrics);
                bar.set_prefix(curves::losses(history));
            }
        }
        if interrupted.load(Ordering::Relaxed) { Control::Stop } else { Control::Continue }
    });
    bar.finish_and_clear();
    trained
}
