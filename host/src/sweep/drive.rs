//! As many workers as cores, each a process: one that is killed is started again and goes on where it was.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::plan::Run;
use super::{folder, worker};
use crate::{Error, Result};

/// How often a killed worker is started again.
const RESTARTS: usize = 5;

/// Does these runs, `jobs` at once, by `executable sweep --worker`; says which failed and why. A true
/// `interrupted` ends all workers.
///
/// # Errors
/// A worker that cannot be started; files that cannot be read.
pub fn drive(
    executable: &Path,
    out: &Path,
    runs: &[&Run],
    jobs: usize,
    interrupted: &AtomicBool,
) -> Result<BTreeMap<usize, String>> {
    let driver = Driver { executable, out, interrupted, held: Mutex::default(), bars: MultiProgress::new() };
    let style = |template| ProgressStyle::with_template(template).expect("a valid template");
    let total = driver.bars.add(ProgressBar::new(runs.len() as u64));
    total.set_style(style("runs {bar:40} {pos}/{len} {elapsed}"));
    let (next, finished) = (AtomicUsize::new(0), AtomicBool::new(false));
    let failures = Mutex::new(BTreeMap::new());
    let results: Vec<Result<()>> = std::thread::scope(|scope| {
        let slots: Vec<_> = (0..jobs.clamp(1, runs.len().max(1)))
            .map(|_| {
                scope.spawn(|| {
                    let bar = driver.bars.add(ProgressBar::new(0));
                    bar.set_style(style("  {bar:20} {pos}/{len} {msg}"));
                    while let Some(run) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if let Some(reason) = driver.finish(run, &bar)? {
                            failures.lock().expect("no panic").insert(run.index, reason);
                        }
                        if interrupted.load(Ordering::Relaxed) {
                            break;
                        }
                        total.inc(1);
                    }
                    bar.finish_and_clear();
                    Ok(())
                })
            })
            .collect();
        scope.spawn(|| {
            while !finished.load(Ordering::Relaxed) {
                if interrupted.load(Ordering::Relaxed) {
                    // A worker ends when nobody holds its standard input.
                    driver.held.lock().expect("no panic").clear();
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let results = slots.into_iter().map(|slot| slot.join().expect("no panic")).collect();
        finished.store(true, Ordering::Relaxed);
        results
    });
    total.finish_and_clear();
    results.into_iter().collect::<Result<()>>()?;
    Ok(failures.into_inner().expect("no panic"))
}

struct Driver<'a> {
    executable: &'a Path,
    out: &'a Path,
    interrupted: &'a AtomicBool,
    /// Standard inputs of the workers that go on, by run.
    held: Mutex<BTreeMap<usize, ChildStdin>>,
    bars: MultiProgress,
}

impl Driver<'_> {
    /// Works at a run until it has a result; the reason when it cannot have one.
    fn finish(&self, run: &Run, bar: &ProgressBar) -> Result<Option<String>> {
        bar.set_length(run.settings.steps as u64);
        let mut reason = String::new();
        for _ in 0..=RESTARTS {
            if worker::outcome(&folder(self.out, run))?.is_some() || self.interrupted.load(Ordering::Relaxed)
            {
                return Ok(None);
            }
            let killed = self.attempt(run, bar, &mut reason)?;
            // A worker that ended because of an interruption has not failed.
            let interrupted = self.interrupted.load(Ordering::Relaxed);
            if !killed && !interrupted && worker::outcome(&folder(self.out, run))?.is_none() {
                return Ok(Some(reason));
            }
        }
        let done = worker::outcome(&folder(self.out, run))?.is_some();
        Ok((!done).then(|| format!("killed {} times", RESTARTS + 1)))
    }

    /// One worker; whether it was killed.
    fn attempt(&self, run: &Run, bar: &ProgressBar, reason: &mut String) -> Result<bool> {
        let mut command = Command::new(self.executable);
        command.args(["sweep", "--worker", &run.index.to_string(), "--out"]).arg(self.out);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(Error::file(self.executable, "start"))?;
        let (input, output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        self.held.lock().expect("no panic").insert(run.index, input);
        bar.reset();
        for line in BufReader::new(output).lines().map_while(std::result::Result::ok) {
            if let Some((step, loss)) = line.split_once(' ') {
                bar.set_position(step.parse().unwrap_or(0));
                bar.set_message(format!("loss {loss}  {}", run.name));
            }
        }
        let ended = child.wait_with_output().map_err(Error::file(self.executable, "wait for"))?;
        self.held.lock().expect("no panic").remove(&run.index);
        let text = String::from_utf8_lossy(&ended.stderr);
        text.trim().trim_start_matches("tinyfold: ").clone_into(reason);
        // Without a code it was a signal.
        Ok(ended.status.code().is_none())
    }
}
