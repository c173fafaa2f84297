//! `tinyfold dynamics slow-manifold`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use serde::Serialize;

use super::export::{self, Exported};
use super::{Found, Held, PARTIAL, Save, input_number, points_alone, spinner, states};
use crate::command::say;
use crate::dynamics::lyapunov::Watch;
use crate::dynamics::slow_manifold::chebyshev::Interval;
use crate::dynamics::slow_manifold::{
    Attractor, Bounds, Compared, Degrees, Driven, Options, Psychometric, SlowManifold, Trials, psychometric,
};
use crate::dynamics::{Kind, Rnn};
use crate::error::require;
use crate::format::results::Results;
use crate::network::Network;
use crate::report::dynamics::{inputs as of_inputs, slow_manifold as of_slow};
use crate::report::figures;
use crate::{Error, Result};

/// The curve that everything falls on: its states, the slow speed along it, how inputs move it.
#[derive(clap::Args)]
#[command(
    after_help = "Example: tinyfold dynamics slow-manifold net.safetensors --input 0,0,0,1 --figures runs/slow\n         tinyfold dynamics slow-manifold net.safetensors --contexts ctx_motion,ctx_colour --figures runs/contexts"
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
    /// The fixed point, from 1, whose slow direction is the coordinate; default: that with the widest gap. Of two or more.
    #[arg(long)]
    anchor: Option<usize>,
    /// Time constants a transform flows, iterates of a map; default: 2 time constants.
    #[arg(long)]
    time: Option<f64>,
    /// Inputs that are held at 1 in turn, the others of them at 0: the slow manifold of each context, side by side.
    #[arg(long, value_delimiter = ',', value_name = "INPUT,..", conflicts_with_all = ["points", "anchor", "export"])]
    contexts: Vec<String>,
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
    #[arg(long, requires = "evidence", value_delimiter = ',', default_value = "0.02,0.06,0.2")]
    strengths: Vec<f64>,
    /// Standard deviation of the noise on both inputs, anew each step.
    #[arg(long, requires = "evidence", default_value_t = 0.5)]
    noise: f64,
    /// Trials for each strength and sign.
    #[arg(long, requires = "evidence", default_value_t = 100)]
    trials: usize,
    /// Steps of a trial.
    #[arg(long, requires = "evidence", default_value_t = 250)]
    steps: usize,
    /// Seed of the trials.
    #[arg(long, requires = "evidence", default_value_t = 0)]
    seed: u64,
    /// Write the reduced model for a chip, its inputs evidence and distractor, its output fitted to trials.
    #[arg(long, value_name = "FILE.tfrm", requires = "evidence")]
    export: Option<PathBuf>,
    /// Draw figures into this folder, as SVG and PNG: slow-manifold, slow-manifold-inputs; of contexts these in a folder
    /// each, and slow-manifold-contexts.
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,
    #[command(flatten)]
    save: Save,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The slow manifold of the fixed points, `anchor` the number of one of them from 1.
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
        let state = k.checked_sub(1).and_then(|k| found.points.get(k)).map(Vec::as_slice);
        state
            .ok_or_else(|| Error::input("--anchor", format!("1 to {given}, the fixed points"), k.to_string()))
    });
    let (anchor, continuum) = (anchor.transpose()?, found.continuum.as_ref());
    SlowManifold::through(rnn, &found.points, continuum, anchor, reach, options, stop)
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

/// The slow manifold under one held input.
#[derive(Serialize)]
struct Under {
    /// The context, if it is one of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<String>,
    /// The held input.
    input: Vec<f64>,
    manifold: SlowManifold,
    verdict: Attractor,
    /// Of a network with inputs.
    inputs: Option<Driven>,
    psychometric: Option<Psychometric>,
}

#[derive(Serialize)]
struct Output<'a> {
    schema: u32,
    /// Whether all that was asked for is here; not after Ctrl-C.
    complete: bool,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    one: Option<&'a Under>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contexts: Option<&'a [Under]>,
    /// The contexts of which there is none, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    failed: BTreeMap<&'a str, String>,
    exported: Option<&'a Exported<'a, Compared>>,
}

/// Runs the command.
///
/// # Errors
/// Files that cannot be read or written, fixed points of another network, no line between them.
pub fn run(args: &Args) -> Result<()> {
    args.save.check()?;
    args.export.as_deref().map_or(Ok(()), export::check)?;
    let (network, held, rnn) = args.held.load()?;
    let trials = args.evidence.as_ref().map(|evidence| trials(args, &network, evidence)).transpose()?;
    let fine = args.time.is_none_or(|time| time > 0.0 && time <= LONGEST);
    require(args.reach > 0.0 && args.reach.is_finite(), "--reach", "above 0 and finite", args.reach)?;
    require(fine, "--time", format!("above 0, at most {LONGEST}"), args.time.unwrap_or(0.0))?;
    require((8..=HIGHEST).contains(&args.degree), "--degree", format!("8 to {HIGHEST}"), args.degree)?;
    let watch = spinner("slow manifold")?;
    let (mut found, mut failed) = (Vec::new(), Vec::new());
    for (context, input) in contexts(args, &network, &held)? {
        match look(args, &network, input, rnn.kind, trials.as_ref(), &watch) {
            Ok(Looked::Line(line)) => found.push(Under { context, ..*line }),
            // A context without a line leaves those of the others.
            Err(error) => match context {
                Some(context) => failed.push((context, error)),
                None => return Err(error),
            },
            Ok(Looked::Points(points)) if found.is_empty() => {
                watch.bar.finish_and_clear();
                return points_alone(&points, args.json, &args.save);
            }
            Ok(Looked::Points(_)) => {}
        }
        if watch.stopped() {
            break;
        }
    }
    watch.bar.finish_and_clear();
    if found.is_empty() && !failed.is_empty() {
        let (context, error) = failed.swap_remove(0);
        return Err(error.within(&format!("context {context}")));
    }
    let complete = !watch.stopped() && failed.is_empty();
    let names: Vec<String> = network.inputs.iter().map(|input| input.name.clone()).collect();
    args.save.write(|| Ok(arrays(&network, &found, complete)))?;
    if let Some(folder) = &args.figures {
        draw(folder, &found, &names, rnn.kind)?;
    }
    if !args.json {
        if watch.stopped() {
            say!("{PARTIAL}");
        }
        for under in &found {
            print(under, &names);
        }
        for (context, error) in &failed {
            say!("context {context}: {error}");
        }
        if let Some(folder) = &args.figures {
            say!("figures in {}", folder.display());
        }
        args.save.say();
    }
    // Last: what is found is not lost with it.
    let exported = match (&args.export, &trials, &found[..]) {
        (Some(path), Some(trials), [Under { inputs: Some(driven), verdict, .. }]) if !watch.stopped() => {
            match export(path, &network, driven, verdict, trials, &watch.stop) {
                Err(_) if watch.stopped() => Ok(None),
                exported => exported.map(Some),
            }
        }
        _ => Ok(None),
    };
    if args.json {
        let several = !args.contexts.is_empty();
        let output = Output {
            schema: 1,
            complete: complete && !watch.stopped(),
            one: found.first().filter(|_| !several),
            contexts: several.then_some(&found[..]),
            failed: failed.iter().map(|(context, error)| (context.as_str(), error.to_string())).collect(),
            exported: exported.as_ref().ok().and_then(Option::as_ref),
        };
        say!("{}", serde_json::to_string_pretty(&output).expect("plain data becomes JSON"));
        return exported.map(drop);
    }
    match exported? {
        Some(exported) => print_exported(&exported),
        None if args.export.is_some() => say!("no reduced model: stopped by Ctrl-C"),
        None => {}
    }
    Ok(())
}

/// Where the reduced model is, and how it does.
fn print_exported(exported: &Exported<'_, Compared>) {
    exported.print();
    let held_out = &exported.held_out;
    say!(
        "  beside the network on {} other trials: the same choice in {:.1} %, NMTE {:.2} %",
        held_out.trials,
        100.0 * held_out.agreement,
        100.0 * held_out.nmte
    );
}
/// The held inputs, each with its name if there are contexts: one of them at 1, the others at 0, all else as held.
fn contexts(args: &Args, network: &Network, held: &[f64]) -> Result<Vec<(Option<String>, Vec<f64>)>> {
    if args.contexts.is_empty() {
        return Ok(vec![(None, held.to_vec())]);
    }
    let numbers = args.contexts.iter().map(|name| input_number(network, "--contexts", name));
    let numbers = numbers.collect::<Result<Vec<usize>>>()?;
    let distinct: BTreeSet<usize> = numbers.iter().copied().collect();
    let twice = numbers.len() - distinct.len();
    require(twice == 0, "--contexts", "each input once", format!("{twice} again"))?;
    let context = |&k: &usize| {
        let mut input = held.to_vec();
        for &other in &numbers {
            input[other] = f64::from(u8::from(other == k));
        }
        (Some(network.inputs[k].name.clone()), input)
    };
    Ok(numbers.iter().map(context).collect())
}

/// What became of a held input.
enum Looked {
    Line(Box<Under>),
    /// Ctrl-C came when there were fixed points alone.
    Points(Vec<Vec<f64>>),
}

/// The slow manifold under a held input, and what inputs do along it; the choices are left out after Ctrl-C.
fn look(
    args: &Args,
    network: &Network,
    input: Vec<f64>,
    kind: Kind,
    trials: Option<&Trials>,
    watch: &Watch,
) -> Result<Looked> {
    let rnn = Rnn::new(network, &input, kind)?;
    let states = states(args.points.as_deref(), network, &input, kind)?;
    let plain = Options::of(kind, rnn.alpha);
    let options = Options { degree: args.degree, time: args.time.unwrap_or(plain.time), ..plain };
    let manifold = find(&rnn, &states, args.anchor, args.reach, &options, &watch.stop);
    if watch.stopped() {
        return Ok(Looked::Points(states.points));
    }
    let manifold = manifold?;
    let verdict = Attractor::of_line(&rnn, &manifold, &Bounds::default())?;
    let driven = match network.input.ncols() {
        0 => None,
        _ => Some(Driven::new(network, &manifold, &input)?),
    };
    let choices = match (trials, &driven) {
        (Some(trials), Some(driven)) => {
            let found = psychometric(network, driven, trials, &network.first_state(), &watch.stop);
            if watch.stopped() { None } else { Some(found?) }
        }
        _ => None,
    };
    Ok(Looked::Line(Box::new(Under {
        context: None,
        input,
        manifold,
        verdict,
        inputs: driven,
        psychometric: choices,
    })))
}

/// All of it as arrays, those of a context under its name.
fn arrays(network: &Network, found: &[Under], complete: bool) -> Results {
    let mut all = Results::new("dynamics slow-manifold", complete);
    all.names("input", network.inputs.iter().map(|input| input.name.as_str()));
    all.names("output", network.outputs.iter().map(|output| output.name.as_str()));
    for under in found {
        let add = |all: &mut Results| {
            let held = under.input.iter().copied().collect();
            all.add("input", &[("input", under.input.len())], "network units", "held input u", held);
            of_slow::line_arrays(all, &under.manifold, &under.verdict);
            if let Some(driven) = &under.inputs {
                of_inputs::arrays(all, driven, under.psychometric.as_ref());
            }
        };
        match &under.context {
            Some(name) => all.under(name, add),
            None => add(&mut all),
        }
    }
    all
}

/// The figures of each context, in a folder of its name, and of all of them side by side.
fn draw(folder: &Path, found: &[Under], names: &[String], kind: Kind) -> Result<()> {
    let mut together = Vec::new();
    for under in found {
        let mut drawn = vec![of_slow::of_line(&under.manifold, &under.verdict, unit(kind))];
        let inputs = under.inputs.as_ref();
        drawn.extend(inputs.map(|driven| of_inputs::figure(driven, names, under.psychometric.as_ref())));
        let folder = under.context.as_ref().map_or(folder.to_owned(), |name| folder.join(name));
        figures::write(&folder, &drawn)?;
        if let (Some(name), Some(driven)) = (&under.context, inputs) {
            together.push((name.as_str(), driven, &under.verdict, under.psychometric.as_ref()));
        }
    }
    figures::write(folder, &of_inputs::contexts(&together, names).into_iter().collect::<Vec<_>>())
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
    let on_line: Vec<Vec<f64>> = verdict.points.iter().map(|point| point.x.clone()).collect();
    let (model, held_out) = driven.for_trials(network, &on_line, trials, &Degrees::default(), stop)?;
    Exported::write(path, &model, held_out)
}

/// Longest --time, highest --degree, most --trials and --steps.
const LONGEST: f64 = 1e5;
const HIGHEST: usize = 1024;
const MOST: usize = 100_000;

fn trials(args: &Args, network: &Network, evidence: &str) -> Result<Trials> {
    let channel = input_number(network, "--evidence", evidence)?;
    let distractor = args.distractor.as_ref().map(|name| input_number(network, "--distractor", name));
    let distractor = distractor.transpose()?;
    let name = &network.inputs[channel].name;
    require(distractor != Some(channel), "--distractor", "another input than --evidence", name)?;
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
        distractor,
        strengths,
        noise: args.noise,
        each: args.trials,
        steps: args.steps,
        seed: args.seed,
    })
}

/// What times are counted in.
pub(super) fn unit(kind: Kind) -> &'static str {
    if kind == Kind::Map { "steps" } else { "time constants" }
}

/// Places that are printed.
const SHOWN: usize = 9;

fn print(under: &Under, names: &[String]) {
    let line = &under.manifold;
    if let Some(name) = &under.context {
        say!("context {name}");
    }
    say!("slow manifold: degree {}; {}", line.speed.len() - 1, over(line));
    super::attractor::print(&under.verdict, line.kind);
    let Some(driven) = &under.inputs else { return };
    say!("  along it: p, reduced speed, effect of the inputs {}, outputs", names.join(", "));
    let row = |values: Vec<f64>| values.iter().map(|value| format!("{value:>9.4}")).collect::<String>();
    for p in line.range.even(SHOWN) {
        say!("    {p:>8.3} {:>11.3e}  {}  {}", line.speed(p), row(driven.input(p)), row(driven.output(p)));
    }
    say!("  selection vector: p, cosine of its angle to the direction of {}", names.join(", "));
    for p in line.range.even(SHOWN) {
        say!("    {p:>8.3} {}", row(driven.alignment(p)));
    }
    let Some(choices) = &under.psychometric else { return };
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
