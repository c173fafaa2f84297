//! `tinyfold task`.

use std::path::PathBuf;

use super::say;
use crate::format::settings::located;
use crate::report::trials;
use crate::task::Task;
use crate::task::trial::held_out;
use crate::train::Settings;
use crate::{Error, Result};

/// Tells the tasks that a network can be trained for: parameters, channels, and a figure of some trials.
#[derive(clap::Args)]
#[command(
    after_help = "Examples: tinyfold task\n          tinyfold task flip-flop --figures runs/flip-flop\n          tinyfold task --settings train.toml --figures runs/mine"
)]
pub struct Args {
    /// The task, with its default parameters; without one, all are listed.
    #[arg(value_parser = Task::NAMES.to_vec())]
    task: Option<String>,
    /// The task of these settings of `tinyfold train` instead.
    #[arg(long, value_name = "FILE", conflicts_with = "task")]
    settings: Option<PathBuf>,
    /// Draw trials into this folder: trials.svg, trials.png.
    #[arg(long, value_name = "FOLDER")]
    figures: Option<PathBuf>,
    /// Seed of the trials.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Runs the command.
///
/// # Errors
/// Settings that cannot be read or are out of range; a figure that cannot be written.
pub fn run(args: &Args) -> Result<()> {
    let settings = match (&args.settings, args.task.as_deref().and_then(Task::named)) {
        (Some(path), _) => Settings::load(path)?,
        (None, Some(task)) => Settings::of(task),
        (None, None) => {
            for task in Task::NAMES.iter().filter_map(|name| Task::named(name)) {
                say!("{:14} {}", task.name(), task.summary());
            }
            return Ok(());
        }
    };
    // Whether there is a recording is not known here.
    let alone = Settings { from_recording: 0.0, ..settings.clone() };
    if let Err(error) = alone.check(None) {
        let Some(path) = &args.settings else { return Err(error) };
        let text = std::fs::read_to_string(path).map_err(Error::file(path, "read"))?;
        return Err(located(error, &text, &path.display().to_string()));
    }
    let (task, steps) = (&settings.task, settings.sequence);
    say!("{}: {}", task.name(), task.summary());
    say!("inputs:  {}", task.trials().inputs().join(", "));
    say!("outputs: {}", task.trials().outputs().join(", "));
    say!("steps of a trial: {steps}\n\n{}", task.documented().trim_end());
    if let Some(folder) = &args.figures {
        let shown = held_out(task.trials(), steps, trials::SHOWN, args.seed);
        trials::write(folder, task, &shown, None)?;
        say!("\nwritten to {}", folder.join("trials.svg").display());
    }
    Ok(())
}
