//! `tinyfold dynamics slow-manifold`.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use serde::Serialize;

use super::export::{self, Exported};
use super::{Found, Held, PARTIAL, input_number, points_alone, spinner, states};
use crate::command::say;
use crate::dynamics::fixed_points::Continuum;
use crate::dynamics::slow_manifold::chebyshev::Interval;
use crate::dynamics::slow_manifold::{
    Attractor, Bounds, Compared, Degrees, Driven, Frame, Options, Psychometric, SlowManifold, Trials,
    psychometric,
};
use crate::dynamics::{Kind, Rnn, spectrum};
use crate::error::require;
use crate::network::Network;
use crate::report::{self, figures};
use crate::{Error, Result};

/// The curve that everything falls on: its states, the slow speed along it, how inputs move it.
#[derive(clap::Args)]
#[command(
    after_help = "Example: tinyfold dynamics slow-manifold net.safetensors --input 0,0,0,1 --figures runs/slow"
)]
pub struct Args {
    #[command(flatten)]
    held: Held,
    /// Its fixed points: what `tinyfold dynamics fixed-points --json` prints; default: a search.
    #[arg(long, value_name = "FILE.json")]
    points: Option<PathBuf>,
    /// Degree of the Chebyshev series, at least 8.
    #[arg(long, default_value_t = 64)]
    degree: usize,
    /// The fixed point, from 1, whose slow direction is the coordinate; default: that with the widest gap.
    #[arg(long)]
    anchor: Option<usize>,
    /// Time constants a transform flows, iterates of a map; default: 2 time constants.
    #[arg(long)]
    time: Option<f64>,
    /// Most p to either side of a lone fixed point, whose slow spectral submanifold the curve then is.
    #[arg(long, default_value_t = 1.0)]
    reach: f64,
    /// The input whose strength decides, by name or number from 1: compares choices of the network and of the reduced
    /// model.
    #[arg(long, value_name = "INPUT")]
    evidence: Option<String>,
    /// The input that is to be ignored in these trials.
    #[arg(long, requires = "evidence", value_name = "INPUT")]
    distractor: Option<String>,
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
    /// Write the reduced model for a chip, its inputs evidence and distractor, its output fitted to trials.
    #[arg(long, value_name = "FILE.tfrm", requires = "evidence")]
    export: Option<PathBuf>,
    /// Draw figures into this folder, as SVG and PNG: slow-manifold, slow-manifold-inputs.
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The slow manifold through those of the fixed points that grow in at most one direction, or through the states of a
/// line of fixed points; of one fixed point its slow spectral submanifold.
pub(super) fn find(
    rnn: &Rnn,
    found: &Found,
    anchor: Option<usize>,
    reach: f64,
    options: &Options,
    stop: &AtomicBool,
) -> Result<SlowManifold> {
    let given = found.points.len();
    let anchor = anchor.map(|k| {
        let state = k.checked_sub(1).and_then(|k| found.points.get(k)).cloned();
        state
            .ok_or_else(|| Error::input("--anchor", format!("1 to {given}, the fixed points"), k.to_string()))
    });
    let anchor = anchor.transpose()?;
    if let Some(continuum) = &found.continuum {
        return through(rnn, continuum, options, stop);
    }
    let mut points = Vec::new();
    for x in &found.points {
        if spectrum::index(rnn.kind, &spectrum::eigenvalues(rnn, x)?) <= 1 {
            points.push(x.clone());
        }
    }
    if let [only] = &points[..] {
        return SlowManifold::around(rnn, only, reach, options.degree);
    }
    if points.is_empty() {
        return Err(Error::input(
            "fixed points",
            "at least 1 with at most one growing direction, for a line; `tinyfold dynamics fixed-points` lists them",
            format!("{} of {given}", points.len()),
        ));
    }
    let frame = match anchor {
        Some(x) => Frame::at(rnn, &x)?,
        None => Frame::choose(rnn, &points)?,
    };
    SlowManifold::find(rnn, &points, frame, options, stop)
}

/// Residual of a line of fixed points above which it is none.
const ON_LINE: f64 = 1e-6;

/// The line through the states of a continuum of one dimension, between the two that are extreme.
fn through(rnn: &Rnn, continuum: &Continuum, options: &Options, stop: &AtomicBool) -> Result<SlowManifold> {
    let Continuum { dimension, states, .. } = continuum;
    if *dimension != 1 {
        return Err(Error::input(
            "fixed points",
            "isolated ones or a line of them",
            format!(
                "a surface of {dimension} dimensions, each of its states at rest: `tinyfold dynamics attractor --shape plane` judges planes"
            ),
        ));
    }
    let frame = Frame::at(rnn, &states[0])?;
    match SlowManifold::find(rnn, states, frame, options, stop) {
        Ok(line) if line.residual <= ON_LINE => Ok(line),
        _ => Err(Error::input(
            "fixed points",
            "isolated ones or a straight enough line of them",
            "a curve of them that turns back or closes; `tinyfold dynamics attractor --shape ring` judges rings",
        )),
    }
}

/// What the line was taken over.
pub(super) fn over(line: &SlowManifold) -> String {
    let Interval { low, high } = line.range;
    let what = if line.transforms.is_empty() {
        "the slow spectral submanifold of a lone fixed point"
    } else {
        "the slow curve between fixed points"
    };
    format!("{what}, p from {low:.4} to {high:.4}, residual {:.1e}", line.residual)
}

#[derive(Serialize)]
struct Output<'a> {
    schema: u32,
    /// Whether all that was asked for is here; not after Ctrl-C.
    complete: bool,
    manifold: &'a SlowManifold,
    verdict: &'a Attractor,
    /// Of a flow.
    inputs: Option<&'a Driven>,
    psychometric: Option<&'a Psychometric>,
    exported: Option<&'a Exported<'a, Compared>>,
}

/// Runs the command.
///
/// # Errors
/// Files that cannot be read or written, fixed points of another network, no line between them.
pub fn run(args: &Args) -> Result<()> {
    let (network, held, rnn) = args.held.load()?;
    let trials =
        args.evidence.as_ref().map(|evidence| trials(args, &network, rnn.kind, evidence)).transpose()?;
    let fine = args.time.is_none_or(|time| time > 0.0 && time <= LONGEST);
    require(fine, "--time", format!("above 0, at most {LONGEST}"), args.time.unwrap_or(0.0))?;
    require((8..=HIGHEST).contains(&args.degree), "--degree", format!("8 to {HIGHEST}"), args.degree)?;
    let states = states(args.points.as_deref(), &network, &held, rnn.kind)?;
    let plain = Options::of(rnn.kind, rnn.alpha);
    let options = Options { degree: args.degree, time: args.time.unwrap_or(plain.time), ..plain };
    let watch = spinner("slow manifold")?;
    let line = find(&rnn, &states, args.anchor, args.reach, &options, &watch.stop);
    watch.bar.finish_and_clear();
    if watch.stopped() {
        points_alone(&states.points, args.json);
        return Ok(());
    }
    let line = line?;
    let verdict = Attractor::of_line(&rnn, &line, &Bounds::default())?;
    let driven = match rnn.kind {
        Kind::Flow if network.input.ncols() > 0 => Some(Driven::new(&network, &line, &held)?),
        _ => None,
    };
    let choices = match (&trials, &driven) {
        (Some(trials), Some(driven)) => {
            let found = psychometric(&network, driven, trials, &first(&network), &watch.stop);
            if watch.stopped() { None } else { Some(found?) }
        }
        _ => None,
    };
    let exported = match (&args.export, &trials, &driven) {
        (Some(path), Some(trials), Some(driven)) if !watch.stopped() => {
            Some(export(path, &network, driven, &verdict, trials, &watch.stop)?)
        }
        _ => None,
    };
    let complete = !watch.stopped();
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
            complete,
            manifold: &line,
            verdict: &verdict,
            inputs: driven.as_ref(),
            psychometric: choices.as_ref(),
            exported: exported.as_ref(),
        };
        say!("{}", serde_json::to_string_pretty(&output).expect("plain data becomes JSON"));
        return Ok(());
    }
    if !complete {
        say!("{PARTIAL}");
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
    if let Some(exported) = &exported {
        exported.print();
        let held_out = &exported.held_out;
        say!(
            "  beside the network on {} other trials: the same choice in {:.1} %, NMTE {:.2} %",
            held_out.trials,
            100.0 * held_out.agreement,
            100.0 * held_out.nmte
        );
    }
    if let Some(folder) = &args.figures {
        say!("figures in {}", folder.display());
    }
    Ok(())
}

/// Makes the reduced model of these trials and writes it.
fn export<'a>(
    path: &'a Path,
    network: &Network,
    driven: &Driven,
    verdict: &Attractor,
    trials: &Trials,
    stop: &AtomicBool,
) -> Result<Exported<'a, Compared>> {
    export::check(path)?;
    let on_line: Vec<Vec<f64>> = verdict.points.iter().map(|point| point.x.clone()).collect();
    let (model, held_out) = driven.for_trials(network, &on_line, trials, &Degrees::default(), stop)?;
    Exported::write(path, &model, held_out)
}

/// Longest --time, highest --degree, most --trials and --steps.
const LONGEST: f64 = 1e5;
const HIGHEST: usize = 1024;
const MOST: usize = 100_000;

fn trials(args: &Args, network: &Network, kind: Kind, evidence: &str) -> Result<Trials> {
    require(kind == Kind::Flow, "--evidence", "--as flow", "a map")?;
    let channel = input_number(network, "--evidence", evidence)?;
    let distractor = args.distractor.as_ref().map(|name| input_number(network, "--distractor", name));
    let odd = args.strengths.iter().find(|s| !s.is_finite());
    require(odd.is_none(), "--strengths", "finite numbers", odd.copied().unwrap_or(0.0))?;
    require(args.noise >= 0.0 && args.noise.is_finite(), "--noise", "0 or more", args.noise)?;
    require((1..=MOST).contains(&args.trials), "--trials", format!("1 to {MOST}"), args.trials)?;
    require((1..=MOST).contains(&args.steps), "--steps", format!("1 to {MOST}"), args.steps)?;
    let mut strengths: Vec<f64> = args.strengths.iter().flat_map(|s| [*s, -*s]).collect();
    strengths.sort_unstable_by(f64::total_cmp);
    strengths.dedup();
    Ok(Trials {
        channel,
        distractor: distractor.transpose()?,
        strengths,
        noise: args.noise,
        each: args.trials,
        steps: args.steps,
        seed: args.seed,
    })
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
    say!("slow manifold: degree {}; {}", line.speed.len() - 1, over(line));
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
