//! `tinyfold sweep`.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use super::interrupted;
use super::say;
use crate::report;
use crate::sweep::plan::Plan;
use crate::sweep::table::Table;
use crate::sweep::{Shard, claim, drive, incomplete, settings, slurm, worker};
use crate::{Error, Result};

/// Trains every combination of settings, for every seed, on all cores or on Slurm.
///
/// The file has what all runs share in `[base]`, values of the settings that are swept in `[grid]`, and seeds. Each
/// run has a folder as that of `tinyfold train`. The same command again does only what is missing, and goes on with what
/// was interrupted, to the same bits. Parts run anywhere with --shard: copy their folders together and type the
/// command without it. Writes results.json, table.csv and figures.
#[derive(clap::Args)]
#[command(
    after_help = "Example: tinyfold sweep --print-defaults > sweep.toml\n         (set steps = 500 in [base], neurons = [16, 32] in [grid])\n         tinyfold sweep sweep.toml --out runs/sweep\n         tinyfold sweep sweep.toml --out runs/sweep --shard 1/3\n         tinyfold sweep sweep.toml --out runs/sweep --slurm"
)]
pub struct Args {
    /// The sweep, in TOML; --print-defaults shows all of it.
    #[arg(required_unless_present_any = ["print_defaults", "worker"])]
    file: Option<PathBuf>,
    /// Print a file with every field, its documentation and default.
    #[arg(long)]
    print_defaults: bool,
    /// Folder of the sweep.
    #[arg(long, default_value = "runs/sweep")]
    out: PathBuf,
    /// Do only part i of n.
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Runs at once [default: as many as cores].
    #[arg(long)]
    jobs: Option<usize>,
    /// Submit as a Slurm job array, wait and collect; Ctrl-C ends only the waiting.
    #[arg(long, conflicts_with_all = ["shard", "jobs"])]
    slurm: bool,
    /// Print the result as JSON.
    #[arg(long, conflicts_with = "shard")]
    json: bool,
    /// Do this run of the sweep in the folder, for a driver.
    #[arg(long, hide = true)]
    worker: Option<usize>,
}

/// Runs the command.
///
/// # Errors
/// Bad input; a run that failed; an interruption.
pub fn run(args: &Args) -> Result<()> {
    if args.print_defaults {
        say!("{}", settings::documented().trim_end());
        return Ok(());
    }
    if let Some(index) = args.worker {
        worker::end_with_driver();
        return worker::work(&args.out, index);
    }
    let Some(file) = &args.file else { return Ok(()) };
    let text = std::fs::read_to_string(file).map_err(Error::file(file, "read"))?;
    let plan = Plan::parse(&text, &file.display().to_string())?;
    claim(&args.out, &plan, &text)?;
    let executable = std::env::current_exe().map_err(Error::file(file, "find the executable for"))?;
    let stop = interrupted()?;
    let mut failures = std::collections::BTreeMap::new();
    if args.slurm {
        slurm::run(&executable, &args.out, &plan, &stop)?;
    } else {
        let mut open = incomplete(&args.out, &plan)?;
        open.retain(|run| args.shard.is_none_or(|shard| shard.has(run)));
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        failures = drive::drive(&executable, &args.out, &open, args.jobs.unwrap_or(cores), &stop)?;
    }
    let table = Table::gather(&args.out, &plan)?;
    let (all, missing) = (plan.runs.len(), table.missing());
    if args.shard.is_none() {
        table.write(&args.out)?;
        report::sweep::write(&args.out, &plan, &table)?;
        if args.json {
            say!("{}", serde_json::to_string_pretty(&table).expect("plain data becomes JSON"));
        } else {
            say!("{table}");
        }
    }
    if let Some((index, reason)) = failures.first_key_value() {
        let name = &plan.runs[*index].name;
        return Err(Error::CheckFailed(format!("{} of {all} runs failed; {name}: {reason}", failures.len())));
    }
    if stop.load(Ordering::Relaxed) {
        let jobs = if args.slurm { "; jobs go on" } else { "" };
        let done = all - missing;
        return Err(Error::CheckFailed(format!(
            "interrupted: {done} of {all} runs are complete{jobs}; the same command goes on"
        )));
    }
    if !args.json {
        say!("{} of {all} runs are complete in {}", all - missing, args.out.display());
    }
    Ok(())
}
