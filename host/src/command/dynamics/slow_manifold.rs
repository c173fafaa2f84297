//! `tinyfold dynamics slow-manifold`.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::command::say;
use crate::dynamics::slow_manifold::{
    Attractor, Bounds, Driven, Frame, Options, Psychometric, SlowManifold, Trials, psychometric, spectrum,
};
use crate::dynamics::{Kind, Rnn};
use crate::error::require;
use crate::network::Network;
use crate::report::{self, figures};
use crate::{Error, Result, format};

/// The curve that everything falls on: its states, the slow speed along it, how inputs move it.
#[derive(clap::Args)]
#[command(
    after_help = "Example: tinyfold dynamics fixed-points net.safetensors --json > points.json\n         tinyfold dynamics slow-manifold net.safetensors --points points.json --figures runs/slow"
)]
pub struct Args {
    #[command(flatten)]
    pub(super) system: SystemArgs,
    /// Degree of the Chebyshev series, at least 8.
    #[arg(long, default_value_t = 64)]
    degree: usize,
    /// The fixed point, from 0, whose slow direction is the coordinate; default: that with the widest gap.
    #[arg(long)]
    anchor: Option<usize>,
    /// Time constants a transform flows, iterates of a map; default: 2 time constants.
    #[arg(long)]
    time: Option<f64>,
    /// The input, from 0, whose strength decides: compares choices of the network and of the reduced model.
    #[arg(long)]
    evidence: Option<usize>,
    /// The input, from 0, that is to be ignored in these trials.
    #[arg(long, requires = "evidence")]
    distractor: Option<usize>,
    /// Strengths of the evidence, each with both signs.
    #[arg(long, value_delimiter = ',', default_value = "0.02,0.06,0.2")]
    strengths: Vec<f64>,
    /// Standard deviation of the noise on both inputs, anew each step.
    #[arg(long, default_value_t = 0.5)]
    noise: f64,
    /// Trials for each strength and sign.
    #[arg(long, default_value_t = 100)]
    trials: usize,
    /// Steps of a trial.
    #[arg(long, default_value_t = 250)]
    steps: usize,
    /// Seed of the trials.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Draw figures into this folder, as SVG and PNG: slow-manifold, slow-manifold-inputs.
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A network under a held input.
#[derive(clap::Args)]
pub(super) struct SystemArgs {
    /// The network.
    pub(super) network: PathBuf,
    /// Its fixed points: what `tinyfold dynamics fixed-points --json` prints.
    #[arg(long, value_name = "FILE.json")]
    pub(super) points: Option<PathBuf>,
    /// Held input in network units; default: all 0.
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true)]
    pub(super) input: Vec<f64>,
    /// Map or flow; default: a flow if alpha is below 1.
    #[arg(long = "as", value_enum)]
    pub(super) kind: Option<Kind>,
}

impl SystemArgs {
    /// The network, the held input, the system.
    pub(super) fn load(&self) -> Result<(Network, Vec<f64>, Rnn)> {
        let network = format::network::load(&self.network)?;
        let held = if self.input.is_empty() { vec![0.0; network.input.ncols()] } else { self.input.clone() };
        let kind = self.kind.unwrap_or(if network.alpha < 1.0 { Kind::Flow } else { Kind::Map });
        let rnn = Rnn::new(&network, &held, kind)?;
        Ok((network, held, rnn))
    }

    /// The states of the file of fixed points, n numbers each.
    pub(super) fn states(&self, n: usize) -> Result<Vec<Vec<f64>>> {
        let path = self.points.as_deref().ok_or_else(|| {
            Error::input(
                "--points",
                "a file of fixed points (`tinyfold dynamics fixed-points --json`)",
                "none",
            )
        })?;
        states(path, n)
    }
}

#[derive(serde::Deserialize)]
struct PointsFile {
    points: Vec<State>,
}

#[derive(serde::Deserialize)]
struct State {
    x: Vec<f64>,
}

fn states(path: &Path, n: usize) -> Result<Vec<Vec<f64>>> {
    let text = std::fs::read_to_string(path).map_err(Error::file(path, "read"))?;
    let file: PointsFile = serde_json::from_str(&text).map_err(|error| {
        Error::input(path.display().to_string(), "{\"points\": [{\"x\": [...]}, ...]}", error.to_string())
    })?;
    let states: Vec<Vec<f64>> = file.points.into_iter().map(|point| point.x).collect();
    let other = states.iter().find(|x| x.len() != n).map(Vec::len);
    let place = format!("{}, field points", path.display());
    require(
        other.is_none(),
        &place,
        format!("states of {n} numbers, as the network has neurons"),
        other.unwrap_or(n),
    )?;
    Ok(states)
}

/// The slow manifold through those of the fixed points that grow in at most one direction.
pub(super) fn find(
    rnn: &Rnn,
    states: Vec<Vec<f64>>,
    anchor: Option<usize>,
    options: &Options,
) -> Result<SlowManifold> {
    let given = states.len();
    let anchor = anchor.map(|k| {
        let state = states.get(k).cloned();
        state.ok_or_else(|| {
            Error::input("--anchor", format!("below {given}, the number of points"), k.to_string())
        })
    });
    let anchor = anchor.transpose()?;
    let mut points = Vec::new();
    for x in states {
        if spectrum::index(rnn.kind, &spectrum::eigenvalues(rnn, &x)?) <= 1 {
            points.push(x);
        }
    }
    if points.len() < 2 {
        return Err(Error::input(
            "--points",
            "at least 2 fixed points with at most one growing direction: ends of a line",
            format!("{} of {given}", points.len()),
        ));
    }
    let frame = match anchor {
        Some(x) => Frame::at(rnn, &x)?,
        None => Frame::choose(rnn, &points)?,
    };
    SlowManifold::find(rnn, &points, frame, options, &false.into())
}

#[derive(Serialize)]
struct Output<'a> {
    schema: u32,
    manifold: &'a SlowManifold,
    verdict: &'a Attractor,
    /// Of a flow.
    inputs: Option<&'a Driven>,
    psychometric: Option<&'a Psychometric>,
}

/// Runs the command.
///
/// # Errors
/// Files that cannot be read or written, fixed points of another network, no line between them.
pub fn run(args: &Args) -> Result<()> {
    let (network, held, rnn) = args.system.load()?;
    let states = args.system.states(network.bias.len())?;
    let plain = Options::of(rnn.kind, rnn.alpha);
    let options = Options { degree: args.degree, time: args.time.unwrap_or(plain.time), ..plain };
    let line = find(&rnn, states, args.anchor, &options)?;
    let verdict = Attractor::of_line(&rnn, &line, &Bounds::default())?;
    let driven = match rnn.kind {
        Kind::Flow if network.input.ncols() > 0 => Some(Driven::new(&network, &line, &held)?),
        _ => None,
    };
    let choices = match (args.evidence, &driven) {
        (None, _) => None,
        (Some(_), None) => return Err(Error::input("--evidence", "--as flow", "a map")),
        (Some(channel), Some(driven)) => {
            Some(psychometric(&network, driven, &trials(args, channel), &first(&network))?)
        }
    };
    let names: Vec<String> = network.inputs.iter().map(|input| input.name.clone()).collect();
    if let Some(folder) = &args.figures {
        let mut drawn = vec![report::dynamics::slow_manifold::of_line(&line, &verdict, unit(rnn.kind))];
        drawn.extend(
            driven
                .as_ref()
                .map(|driven| report::dynamics::slow_manifold::of_inputs(driven, &names, choices.as_ref())),
        );
        figures::write(folder, &drawn)?;
    }
    if args.json {
        let output = Output {
            schema: 1,
            manifold: &line,
            verdict: &verdict,
            inputs: driven.as_ref(),
            psychometric: choices.as_ref(),
        };
        say!("{}", serde_json::to_string_pretty(&output).expect("plain data becomes JSON"));
        return Ok(());
    }
    print(&line, &verdict, driven.as_ref(), &names);
    if let Some(choices) = &choices {
        say!("  choices above 0: strength, network, reduced model, the same");
        for row in &choices.rows {
            say!("    {:>8} {:>7.3} {:>7.3} {:>7.3}", row.strength, row.network, row.reduced, row.agreement);
        }
        say!(
            "    the same in {:.1} % of all trials, outputs {:.3} apart (root mean square)",
            100.0 * choices.agreement,
            choices.output_error
        );
    }
    if let Some(folder) = &args.figures {
        say!("figures in {}", folder.display());
    }
    Ok(())
}

fn trials(args: &Args, channel: usize) -> Trials {
    let mut strengths: Vec<f64> = args.strengths.iter().flat_map(|s| [*s, -*s]).collect();
    strengths.sort_unstable_by(f64::total_cmp);
    strengths.dedup();
    Trials {
        channel,
        distractor: args.distractor,
        strengths,
        noise: args.noise,
        each: args.trials,
        steps: args.steps,
        seed: args.seed,
    }
}

/// The state a trial starts from.
fn first(network: &Network) -> Vec<f64> {
    let n = network.bias.len();
    if network.initial.len() == n { network.initial.clone() } else { vec![0.0; n] }
}

/// What times are counted in.
pub(super) fn unit(kind: Kind) -> &'static str {
    if kind == Kind::Map { "steps" } else { "time constants" }
}

fn print(line: &SlowManifold, verdict: &Attractor, driven: Option<&Driven>, names: &[String]) {
    say!("slow manifold: degree {}, residual {:.1e}", line.speed.len() - 1, line.residual);
    super::attractor::print(verdict, unit(line.kind));
    if let Some(driven) = driven {
        say!("  along it: p, reduced speed, effect of the inputs {}, outputs", names.join(", "));
        for p in line.range.even(9) {
            let row =
                |values: Vec<f64>| values.iter().map(|value| format!("{value:>9.4}")).collect::<String>();
            say!(
                "    {p:>8.3} {:>11.3e}  {}  {}",
                line.speed(p),
                row(driven.input(p)),
                row(driven.output(p))
            );
        }
    }
}
