//! The same sweep as a Slurm job array: task i of n is `tinyfold sweep --shard i/n`, by the same executable.
//!
//! Nothing is kept about jobs: they are known to the queue by a name made of the sweep's folder, so a driver
//! that was killed finds its tasks again and submits only what is missing and not queued.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::plan::Plan;
use super::{FILE, Shard, incomplete};
use crate::format::hash;
use crate::{Error, Result};

/// How often a task is submitted that ends without the results of its runs.
const ROUNDS: usize = 3;
/// Looks at the queue that may fail after each other: a controller that restarts.
const LOOKS: usize = 30;

/// Submits what is missing and waits for it; a true `interrupted` ends waiting, not the jobs.
///
/// # Errors
/// No Slurm on this machine; Slurm refuses; tasks end again and again without results.
pub fn run(executable: &Path, out: &Path, plan: &Plan, interrupted: &AtomicBool) -> Result<()> {
    let out = std::fs::canonicalize(out).map_err(Error::file(out, "read"))?;
    let name = format!("tinyfold-{:016x}", hash(out.to_string_lossy().bytes()));
    let of = plan.sweep.slurm.tasks.clamp(1, plan.runs.len());
    let bar = ProgressBar::new(plan.runs.len() as u64).with_style(
        ProgressStyle::with_template("Slurm {bar:40} {pos}/{len} {msg} {elapsed}").expect("a valid template"),
    );
    let mut rounds: BTreeMap<usize, usize> = BTreeMap::new();
    let mut before: Option<BTreeSet<usize>> = None;
    while !interrupted.load(Ordering::Relaxed) {
        let queued = queued(&name)?;
        let open = incomplete(&out, plan)?;
        bar.set_position((plan.runs.len() - open.len()) as u64);
        bar.set_message(format!("{} tasks queued", queued.len()));
        if open.is_empty() {
            break;
        }
        let missing: BTreeSet<usize> =
            (1..=of).filter(|&index| open.iter().any(|run| Shard { index, of }.has(run))).collect();
        let idle: BTreeSet<usize> = missing.difference(&queued).copied().collect();
        // Results may take a moment to be seen on this machine: a task is missed when it was so twice.
        let lost: BTreeSet<usize> = before
            .as_ref()
            .map_or_else(|| idle.clone(), |before| idle.intersection(before).copied().collect());
        if !lost.is_empty() {
            for task in &lost {
                *rounds.entry(*task).or_default() += 1;
            }
            if rounds.values().any(|&round| round > ROUNDS) {
                let logs = out.join("slurm").display().to_string();
                let reason = format!("tasks ended {ROUNDS} times without results; see {logs}");
                return Err(Error::Numeric { what: "Slurm".into(), reason });
            }
            submit(executable, &out, plan, &name, &lost, of)?;
        }
        before = Some(&idle - &lost);
        let until = Instant::now() + Duration::from_secs_f64(plan.sweep.slurm.poll.clamp(0.1, 3600.0));
        while Instant::now() < until && !interrupted.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// Tasks of the array that the queue has.
fn queued(name: &str) -> Result<BTreeSet<usize>> {
    for look in 1.. {
        let mut squeue = Command::new("squeue");
        squeue.args(["--noheader", "--array", "--me", "--format=%K", "--name", name]);
        let output = started("squeue", squeue.output())?;
        if output.status.success() {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            return Ok(text.split_whitespace().filter_map(|task| task.parse().ok()).collect());
        }
        if look == LOOKS {
            return Err(refused("squeue", &output));
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    unreachable!("the loop returns")
}

fn submit(
    executable: &Path,
    out: &Path,
    plan: &Plan,
    name: &str,
    tasks: &BTreeSet<usize>,
    of: usize,
) -> Result<()> {
    let slurm = &plan.sweep.slurm;
    let logs = out.join("slurm");
    std::fs::create_dir_all(&logs).map_err(Error::file(&logs, "create folder"))?;
    let list: Vec<String> = tasks.iter().map(ToString::to_string).collect();
    let limit = if slurm.at_once > 0 { format!("%{}", slurm.at_once) } else { String::new() };
    let mut sbatch = Command::new("sbatch");
    sbatch.args(["--parsable", "--open-mode=append", "--job-name", name]);
    sbatch.arg(format!("--array={}{limit}", list.join(",")));
    sbatch.arg(format!("--output={}/%a.out", logs.display()));
    sbatch.arg(format!("--cpus-per-task={}", slurm.cores.max(1)));
    for (option, value) in [("partition", &slurm.partition), ("time", &slurm.time), ("mem", &slurm.memory)] {
        if !value.is_empty() {
            sbatch.arg(format!("--{option}={value}"));
        }
    }
    sbatch.args(&slurm.arguments);
    let script = format!(
        "#!/bin/sh\nexec {} sweep {} --out {} --shard \"$SLURM_ARRAY_TASK_ID/{of}\" --jobs {}\n",
        quoted(executable),
        quoted(&out.join(FILE)),
        quoted(out),
        slurm.cores.max(1)
    );
    sbatch.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = started("sbatch", sbatch.spawn())?;
    let written = std::io::Write::write_all(&mut child.stdin.take().expect("piped"), script.as_bytes());
    let output = started("sbatch", child.wait_with_output())?;
    if !output.status.success() || written.is_err() {
        return Err(refused("sbatch", &output));
    }
    Ok(())
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

fn started<T>(tool: &str, result: std::io::Result<T>) -> Result<T> {
    result.map_err(|error| Error::Missing {
        what: format!("{tool} ({error})"),
        remedy: "type this on a machine that submits to Slurm, or leave out --slurm to run here".into(),
    })
}

fn refused(tool: &str, output: &Output) -> Error {
    let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Error::Numeric { what: tool.into(), reason }
}
