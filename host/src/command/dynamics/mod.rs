//! `tinyfold dynamics`: a command for every question about a network as a dynamical system.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{PARTIAL, interrupted, say};
use crate::dynamics::fixed_points::{Continuum, Options, of_network};
use crate::dynamics::lyapunov::Watch;
use crate::dynamics::{Kind, Rnn};
use crate::error::require;
use crate::format::model::check_ending;
use crate::format::results::Results;
use crate::network::Network;
use crate::{Error, Result, format, report};

pub mod attractor;
pub mod continuation;
pub mod cycles;
mod export;
pub mod fit;
pub mod fixed_points;
pub mod ftle;
pub mod lyapunov;
mod parameter;
pub mod slow_manifold;
pub mod ssm;

/// Fixed points, cycles, slow manifolds, bifurcations and Lyapunov exponents of a network under a held input. Ctrl-C ends
/// a command, which prints what it has found and says that it is not all; a second one ends it at once.
#[derive(clap::Args)]
#[command(
    after_help = "Example: tinyfold dynamics fixed-points runs/dense/network.safetensors --figures runs/dynamics"
)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    FixedPoints(fixed_points::Args),
    Cycles(cycles::Args),
    Ssm(ssm::Args),
    Fit(fit::Args),
    SlowManifold(slow_manifold::Args),
    Continue(continuation::Args),
    Lyapunov(lyapunov::Args),
    Ftle(ftle::Args),
    Attractor(attractor::Args),
}

/// Runs the command.
///
/// # Errors
/// Those of the question.
pub fn run(args: &Args) -> Result<()> {
    match &args.what {
        What::FixedPoints(args) => fixed_points::run(args),
        What::Cycles(args) => cycles::run(args),
        What::Ssm(args) => ssm::run(args),
        What::Fit(args) => fit::run(args),
        What::SlowManifold(args) => slow_manifold::run(args),
        What::Continue(args) => continuation::run(args),
        What::Lyapunov(args) => lyapunov::run(args),
        What::Ftle(args) => ftle::run(args),
        What::Attractor(args) => attractor::run(args),
    }
}

/// A network under a held input.
#[derive(clap::Args)]
pub struct Held {
    /// The network: .safetensors or .npz.
    pub network: PathBuf,
    /// Held input in network units, one number an input; default: all 0.
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true, value_name = "U")]
    pub input: Option<Vec<f64>>,
    /// As a map or as a flow; default: flow with leak, alpha < 1, else map.
    #[arg(long = "as", value_enum)]
    pub kind: Option<Kind>,
}

impl Held {
    /// The network, the held input, and the network as a system.
    ///
    /// # Errors
    /// The file cannot be read; another number of inputs.
    pub fn load(&self) -> Result<(Network, Vec<f64>, Rnn)> {
        self.load_as(None)
    }

    /// As [`Held::load`], `usual` unless the user says otherwise.
    ///
    /// # Errors
    /// As [`Held::load`].
    pub fn load_as(&self, usual: Option<Kind>) -> Result<(Network, Vec<f64>, Rnn)> {
        let network = format::network::load(&self.network)?;
        let input = self.input.clone().unwrap_or_else(|| vec![0.0; network.input.ncols()]);
        let leaky = if network.alpha < 1.0 { Kind::Flow } else { Kind::Map };
        let rnn = Rnn::new(&network, &input, self.kind.or(usual).unwrap_or(leaky))?;
        Ok((network, input, rnn))
    }
}

/// Where the arrays of a result go.
#[derive(clap::Args)]
struct Save {
    /// Write the result as arrays, those behind the figures among them, for numpy.load; `tinyfold inspect` tells names,
    /// shapes, units and meanings.
    #[arg(long, value_name = "FILE.npz")]
    save: Option<PathBuf>,
}

impl Save {
    /// Refuses another ending, before work begins.
    fn check(&self) -> Result<()> {
        self.save.as_ref().map_or(Ok(()), |path| check_ending("--save", path, "npz"))
    }

    /// Writes what was found, also after Ctrl-C.
    fn write(&self, results: impl FnOnce() -> Result<Results>) -> Result<()> {
        self.save.as_ref().map_or(Ok(()), |path| results()?.write(path))
    }

    /// Says where it is.
    fn say(&self) {
        if let Some(path) = &self.save {
            say!("arrays in {}", path.display());
        }
    }
}

/// The place of an input among the inputs, by its name or its number from 1.
fn input_number(network: &Network, option: &str, name: &str) -> Result<usize> {
    let names: Vec<&str> = network.inputs.iter().map(|input| input.name.as_str()).collect();
    let numbered = || name.parse::<usize>().ok().filter(|k| (1..=names.len()).contains(k)).map(|k| k - 1);
    names.iter().position(|&known| known == name).or_else(numbered).ok_or_else(|| {
        let expected = match names[..] {
            [] => "a network with inputs".to_owned(),
            [only] => format!("the input {only}, or its number 1"),
            _ => format!("one of the inputs {}, or its number, 1 to {}", names.join(", "), names.len()),
        };
        let found = if names.is_empty() { format!("none, and {name}") } else { name.to_owned() };
        Error::input(option, expected, found)
    })
}

/// A progress bar of known length, and Ctrl-C.
pub(super) fn watch(length: u64, of: &str) -> Result<Watch> {
    let style =
        ProgressStyle::with_template("{bar:40} {pos}/{len} {msg} {elapsed}").expect("a valid template");
    let bar = ProgressBar::new(length).with_style(style).with_message(of.to_owned());
    Ok(Watch { bar, stop: interrupted()? })
}

/// The same of unknown length.
fn spinner(what: &str) -> Result<Watch> {
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}").expect("a valid template");
    let bar = ProgressBar::new_spinner().with_style(style).with_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    Ok(Watch { bar, stop: interrupted()? })
}

/// Prints and saves the fixed points found when Ctrl-C came before anything that needs them.
///
/// # Errors
/// A file that cannot be written.
fn points_alone(states: &[Vec<f64>], json: bool, save: &Save) -> Result<()> {
    save.write(|| Ok(report::dynamics::fixed_points::states_alone(states)))?;
    if json {
        let points: Vec<_> = states.iter().map(|x| json!({ "x": x })).collect();
        let all = json!({ "schema": 1, "complete": false, "points": points });
        say!("{}", serde_json::to_string_pretty(&all).expect("plain data becomes JSON"));
        return Ok(());
    }
    say!("{PARTIAL}");
    say!("fixed points: {}, and nothing that follows from them; --json prints their states", states.len());
    save.say();
    Ok(())
}

/// What `work`, which never looks at Ctrl-C, comes to on a thread of its own; `None` at Ctrl-C, when it is not waited for.
fn unless_stopped<T: Send + 'static>(watch: &Watch, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, result) = mpsc::channel();
    let worker = std::thread::spawn(move || done.send(work()));
    loop {
        match result.recv_timeout(Duration::from_millis(20)) {
            Ok(found) => return Some(found),
            Err(RecvTimeoutError::Timeout) if watch.stopped() => return None,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => match worker.join() {
                Err(panic) => std::panic::resume_unwind(panic),
                Ok(_) => return None,
            },
        }
    }
}

/// A fixed point of a file, with the parameter it belongs to if the file says so.
#[derive(serde::Deserialize)]
struct Given {
    x: Vec<f64>,
    mu: Option<f64>,
}

/// The fixed points in what `tinyfold dynamics fixed-points --json` prints, n numbers each.
fn given(path: &Path, n: usize) -> Result<(Vec<Given>, Option<Continuum>)> {
    #[derive(serde::Deserialize)]
    struct File {
        points: Vec<Given>,
        continuum: Option<Continuum>,
    }
    let place = path.display().to_string();
    let text = std::fs::read(path).map_err(Error::file(path, "read"))?;
    let File { points, continuum } = serde_json::from_slice(&text)
        .map_err(|error| Error::input(&place, "JSON with points: [{x: [...]}]", error.to_string()))?;
    let on_it = continuum.iter().flat_map(|line| &line.states);
    for x in points.iter().map(|point| &point.x).chain(on_it) {
        require(x.len() == n, &format!("{place}: points"), format!("{n} numbers each"), x.len())?;
    }
    Ok((points, continuum))
}

/// States of fixed points.
struct Found {
    /// Isolated ones.
    points: Vec<Vec<f64>>,
    /// A line or surface of them.
    continuum: Option<Continuum>,
}

/// The fixed points of a file, else all that a search finds, until Ctrl-C.
fn states(path: Option<&Path>, network: &Network, input: &[f64], kind: Kind) -> Result<Found> {
    if let Some(path) = path {
        let (points, continuum) = given(path, network.neurons())?;
        return Ok(Found { points: points.into_iter().map(|point| point.x).collect(), continuum });
    }
    let options = Options { vectors: false, ..Options::default() };
    let watch = spinner("searching for fixed points")?;
    let found = of_network(network, input, kind, &options, &watch.stop);
    watch.bar.finish_and_clear();
    let found = found?;
    let points = found.points.into_iter().map(|point| point.state).collect();
    Ok(Found { points, continuum: found.continuum })
}
