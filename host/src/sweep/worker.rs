//! One run of a sweep, from wherever it was interrupted to its result.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::plan::{Plan, Run, differences};
use super::{FILE, folder};
use crate::train::folder::{Held, RESUME, SETTINGS, read_metrics};
use crate::train::{Control, End, Progress, Settings, Snapshot};
use crate::{Error, Result, format};

/// What became of a run: result.json.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Version of tinyfold.
    pub tinyfold: String,
    /// Why training ended.
    pub end: End,
    /// Whether the last network, whatever its loss, fails over long roll-outs: see
    /// [`Metrics::stable`](crate::train::Metrics::stable).
    pub unstable: bool,
    /// Updates done.
    pub steps: usize,
    /// Batch loss at the end; none when it was not finite.
    pub loss: Option<f64>,
    /// Roll-out error of the best network; none without a stable one.
    pub error: Option<f64>,
    /// Wall time of training.
    pub seconds: f64,
    /// Why there is no network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

const RESULT: &str = "result.json";

/// What became of the run of this folder; none when it is not complete.
///
/// # Errors
/// A file that cannot be read.
pub fn outcome(folder: &Path) -> Result<Option<Outcome>> {
    let path = folder.join(RESULT);
    path.exists().then(|| format::read_json(&path)).transpose()
}

/// Does run `index` of the sweep in `out`, on one thread; prints `step loss` lines for the driver.
///
/// # Errors
/// A folder of other settings; files that cannot be read or written. Divergence is a result, not an error.
pub fn work(out: &Path, index: usize) -> Result<()> {
    let plan = Plan::load(&out.join(FILE))?;
    let count = plan.runs.len();
    let run = plan.runs.get(index);
    let run = run.ok_or_else(|| Error::input("run", format!("below {count}"), index.to_string()))?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .map_err(|error| Error::Numeric { what: "worker".into(), reason: error.to_string() })?;
    pool.install(|| one(&plan, run, &folder(out, run)))
}

/// Ends this process when the driver, which holds the other end of standard input, is gone.
pub fn end_with_driver() {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(1);
    });
}

fn one(plan: &Plan, run: &Run, folder: &Path) -> Result<()> {
    // A second worker of the same run, here or on another machine, waits and finds the result.
    let held = Held::in_turn(folder)?;
    if outcome(folder)?.is_some() {
        return Ok(());
    }
    let settings = folder.join(SETTINGS);
    if settings.exists() {
        same(&settings, run, &Settings::load(&settings)?)?;
    }
    let resume = folder.join(RESUME);
    let snapshot = resume.exists().then(|| Snapshot::load(&resume)).transpose()?;
    if let Some(snapshot) = &snapshot {
        same(&resume, run, &snapshot.header.settings)?;
    }
    let data = plan.data_for(&run.settings)?;
    let mut said = Instant::now();
    let trained = held.train(&run.settings, data.as_ref(), snapshot.as_ref(), &mut |progress| {
        if let Progress::Step { step, loss } = progress
            && said.elapsed() > Duration::from_millis(200)
        {
            said = Instant::now();
            let _ = writeln!(std::io::stdout(), "{step} {loss:.1e}");
        }
        Control::Continue
    });
    let last = read_metrics(folder)?.pop();
    let loss = last.map(|metrics| metrics.loss).filter(|loss| loss.is_finite());
    let (end, error, reason) = match trained {
        Ok(trained) => (trained.end, Some(trained.best.error()), None),
        Err(Error::Numeric { reason, .. }) => (End::Diverged, None, Some(reason)),
        Err(other) => return Err(other),
    };
    let (steps, seconds) = last.map_or((0, 0.0), |metrics| (metrics.step, metrics.seconds));
    let tinyfold = env!("CARGO_PKG_VERSION").into();
    let unstable = last.is_some_and(|metrics| !metrics.stable());
    let outcome = Outcome { tinyfold, end, unstable, steps, loss, error, seconds, reason };
    format::write_json(&folder.join(RESULT), &outcome)
}

fn same(path: &Path, run: &Run, found: &Settings) -> Result<()> {
    let differences = differences(&run.settings, found);
    if differences.is_empty() {
        return Ok(());
    }
    Err(Error::input(path.display().to_string(), "the settings of this sweep", differences.join("; ")))
}
