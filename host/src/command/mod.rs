//! The commands: each parses its options, calls the library, prints and writes files.

pub mod adapt;
pub mod analyse;
pub mod bench;
pub mod compress;
pub mod design;
pub mod dynamics;
pub mod export;
pub mod fetch;
pub mod import;
pub mod inspect;
pub mod monitor;
pub mod quickstart;
pub mod report;
pub mod reproduce;
pub mod sweep;
pub mod task;
pub mod theory;
pub mod train;
pub mod verify;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// `println!` that does not panic when nobody reads any more (`tinyfold ... | head`).
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        // Whoever closed the pipe has seen enough; the work itself goes on.
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}
pub(crate) use say;

use crate::error::require;
use crate::network::Network;
use crate::task::trial::held_out;
use crate::task::{Dataset, Integration, relative_rmse, synthetic};
use crate::{Error, Result, simulate};

/// What to integrate.
#[derive(Clone, Debug, clap::Args)]
pub struct TaskArgs {
    /// Decays gamma of the channels; default: evenly from 0.99 to 0.995, one an input.
    #[arg(long, value_delimiter = ',')]
    decays: Vec<f64>,
    /// Scales s of the channels; default: 1.
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true)]
    scales: Vec<f64>,
}

impl TaskArgs {
    /// Whether decays or scales were given.
    fn chosen(&self) -> bool {
        !self.decays.is_empty() || !self.scales.is_empty()
    }

    /// The task, for `channels` inputs unless decays say otherwise.
    ///
    /// # Errors
    /// More decays than the recording has inputs, or scales that do not match.
    pub fn resolve(&self, channels: usize) -> Result<Integration> {
        let decays = if self.decays.is_empty() { default_decays(channels) } else { self.decays.clone() };
        if decays.len() > channels {
            let expected = format!("at most {channels}, the inputs of the recording");
            return Err(Error::input("D (number of --decays)", expected, decays.len().to_string()));
        }
        let scales = match self.scales.as_slice() {
            [] => vec![1.0; decays.len()],
            [one] => vec![*one; decays.len()],
            scales if scales.len() == decays.len() => scales.to_vec(),
            scales => {
                let one_each = format!("{}, one a decay", decays.len());
                let expected = if decays.len() == 1 { one_each } else { format!("1 or {one_each}") };
                return Err(Error::input("number of --scales", expected, scales.len().to_string()));
            }
        };
        Ok(Integration { decays, scales })
    }
}

/// Decays evenly spaced from 0.99 to 0.995; 0.995 alone.
#[must_use]
pub fn default_decays(channels: usize) -> Vec<f64> {
    if channels == 1 {
        return vec![0.995];
    }
    // Rounded, so that 0.9925 is written as 0.9925.
    let decay = |c: usize| 0.99 + 0.005 * c as f64 / (channels - 1) as f64;
    (0..channels).map(|c| (decay(c) * 1e6).round() / 1e6).collect()
}

/// Steps of an evaluation.
pub const EVALUATION_STEPS: usize = 10_000;

/// How well a network integrates, in f64.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Errors {
    /// Relative RMSE over [`EVALUATION_STEPS`] Gaussian steps.
    pub gaussian: f64,
    /// Relative RMSE over the recording, if there is one, joined end to end and repeated to as many steps.
    pub recording: Option<f64>,
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { gaussian, recording } = self;
        let recording = recording.map_or(String::new(), |error| format!(", recording {error:.2e}"));
        write!(f, "relative RMSE over {EVALUATION_STEPS} steps: Gaussian {gaussian:.2e}{recording}")
    }
}

/// The errors of an integrator on Gaussian noise and, if there is one, on a recording.
///
/// # Errors
/// A network without a task, or a recording with another number of inputs.
pub fn evaluate_on(network: &Network, data: Option<&Dataset>) -> Result<Errors> {
    let task = network.integrator("network")?;
    let channels = task.channels();
    if let Some(data) = data {
        let (expected, found) =
            (format!("{channels} input columns, as the network has channels"), data.inputs.len());
        require(found == channels, "recording", expected, found)?;
    }
    let error =
        |x: &[f64]| relative_rmse(&simulate::run(network, x, false).outputs, &task.targets(x), channels);
    Ok(Errors {
        gaussian: error(&synthetic::gaussian(EVALUATION_STEPS, channels, 12_345)),
        recording: data.map(|data| error(&data.joined(EVALUATION_STEPS))),
    })
}

/// What `--input` is where a network need not run on a recording.
const INPUT_HELP: &str = "A recording: CSV with a header, or npz with arrays `x` (T × I or K × T × I), `y`, `dt`. Default: trials of \
                          the network's task, Gaussian inputs for an integrator";

/// Inputs of trials, one after the other, of a network that learnt another task than integration.
fn trials_of(network: &Network, steps: usize, seed: u64) -> Option<Vec<f64>> {
    let task = network.task.as_ref().filter(|task| task.integration().is_none())?.trials();
    let width = task.inputs().len();
    let trials = held_out(task, task.steps(), steps.div_ceil(task.steps()), seed).into_iter();
    (width == network.input.ncols()).then(|| trials.flat_map(|trial| trial.x).take(steps * width).collect())
}

/// What is said of a result that is not whole.
const PARTIAL: &str = "stopped by Ctrl-C: what follows is what was found until then";

/// Becomes true at Ctrl-C: work ends soon and keeps what it has. A second one ends the process at once.
///
/// # Errors
/// The signal cannot be caught.
pub fn interrupted() -> Result<Arc<AtomicBool>> {
    // A process has one handler.
    static FLAG: Mutex<Option<Arc<AtomicBool>>> = Mutex::new(None);
    let mut flag = FLAG.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(flag) = &*flag {
        return Ok(flag.clone());
    }
    let interrupted = Arc::new(AtomicBool::new(false));
    let seen = interrupted.clone();
    let handler = move || {
        if seen.swap(true, Ordering::Relaxed) {
            // 128 and the number of the signal, as shells count.
            std::process::exit(130);
        }
    };
    ctrlc::set_handler(handler).map_err(|error| Error::Numeric {
        what: "Ctrl-C".into(),
        reason: format!("cannot be caught: {error}"),
    })?;
    *flag = Some(interrupted.clone());
    Ok(interrupted)
}
