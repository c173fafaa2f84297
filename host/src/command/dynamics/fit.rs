//! `tinyfold dynamics fit`.

use std::path::{Path, PathBuf};

use faer::Mat;
use serde::Serialize;

use super::{Held, PARTIAL, Save, states, watch};
use crate::command::say;
use crate::dynamics::slow_manifold::{Learning, Learnt, Simulated};
use crate::dynamics::{Kind, Rnn, spectrum};
use crate::error::require;
use crate::format::trajectories;
use crate::network::Network;
use crate::report::{dynamics::fit as figures_of, figures};
use crate::{Error, Result};

/// Most trajectories, and samples of each; most numbers of all.
const MOST: usize = 1_000_000;
const NUMBERS: usize = 200_000_000;
/// Longest interval of simulated trajectories.
const LONGEST: f64 = 1e4;
/// Above this NMTE nothing is told by a manifold.
const DOUBTFUL: f64 = 0.1;
/// Highest degree.
const HIGHEST: usize = 100;

/// A spectral submanifold learnt from trajectories: recorded ones, or simulated ones of the network; its fixed points
/// against those of the network.
#[derive(clap::Args)]
#[command(
    after_help = "Example: tinyfold dynamics fit net.safetensors --input 0,0,0,1 --figures runs/fit\n         tinyfold dynamics fit --trajectories states.npy --delays 3 --lag 2"
)]
pub struct Args {
    /// The network: .safetensors or .npz; recorded trajectories can do without.
    network: Option<PathBuf>,
    /// Held input in network units, one number an input; default: all 0.
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true, value_name = "U", requires = "network")]
    input: Option<Vec<f64>>,
    /// As a map, from sample to sample, or as a flow; default: as the network is, without one as a map.
    #[arg(long = "as", value_enum)]
    kind: Option<Kind>,
    /// Recorded trajectories: .npy, .npz or .safetensors, times × n or trials × times × n; default: simulated.
    #[arg(long, value_name = "FILE", required_unless_present = "network")]
    trajectories: Option<PathBuf>,
    /// The array of that file; default: all of them.
    #[arg(long, value_name = "NAME", requires = "trajectories")]
    array: Option<String>,
    /// Fixed points to compare with: JSON of `tinyfold dynamics fixed-points --json`; default: a search.
    #[arg(long, value_name = "FILE.json", requires = "network")]
    points: Option<PathBuf>,
    /// Time between samples, in time constants of a flow; default: of recorded ones a step of the network, of
    /// simulated ones 0.5 time constants, a step of a map.
    #[arg(long, value_name = "TIME")]
    interval: Option<f64>,
    /// Coordinates, 1 or 2.
    #[arg(long, default_value_t = 1)]
    dimension: usize,
    /// Samples at the start of every trajectory that are thrown away as transient; default: a fifth.
    #[arg(long, value_name = "SAMPLES")]
    cut: Option<usize>,
    /// Delayed copies that a state is made of.
    #[arg(long, default_value_t = 1, value_name = "COPIES")]
    delays: usize,
    /// Samples between two copies.
    #[arg(long, default_value_t = 1, value_name = "SAMPLES")]
    lag: usize,
    /// Degrees that are tried; default: 3,5,...,15 of one coordinate, 2 to 7 of two.
    #[arg(long, value_delimiter = ',', value_name = "K")]
    degrees: Vec<usize>,
    /// Part of the trajectories, the last ones, that the fit does not see.
    #[arg(long, default_value_t = 1.0 / 3.0, value_name = "PART")]
    held_out: f64,
    /// Simulated trajectories.
    #[arg(long, default_value_t = 60, conflicts_with = "trajectories")]
    count: usize,
    /// Samples of each.
    #[arg(long, default_value_t = 320, conflicts_with = "trajectories")]
    samples: usize,
    /// Standard deviation of the random inputs, without inputs of the random states, that simulated ones start from.
    #[arg(long, default_value_t = 1.0, conflicts_with = "trajectories")]
    spread: f64,
    /// Seed of simulated trajectories.
    #[arg(long, default_value_t = 0, conflicts_with = "trajectories")]
    seed: u64,
    /// Draw the figure fit into this folder, as SVG and PNG.
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,
    #[command(flatten)]
    save: Save,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Output<'a> {
    schema: u32,
    complete: bool,
    trajectories: usize,
    samples: usize,
    cut: usize,
    held_out: usize,
    unit: &'a str,
    #[serde(flatten)]
    learnt: &'a Learnt,
}

/// Runs the command.
///
/// # Errors
/// Files that cannot be read or written; trajectories too few, too short or of another network; no degree that fits.
pub fn run(args: &Args) -> Result<()> {
    args.save.check()?;
    require(args.held_out > 0.0 && args.held_out < 1.0, "--held-out", "above 0, below 1", args.held_out)?;
    let odd = args.degrees.iter().find(|degree| !(1..=HIGHEST).contains(*degree));
    require(odd.is_none(), "--degrees", format!("1 to {HIGHEST}"), odd.copied().unwrap_or(0))?;
    require(args.delays >= 1, "--delays", "at least 1", args.delays)?;
    require(args.lag >= 1, "--lag", "at least 1", args.lag)?;
    let held = |network: &PathBuf| {
        Held { network: network.clone(), input: args.input.clone(), kind: args.kind }.load()
    };
    let loaded = args.network.as_ref().map(held).transpose()?;
    let kind = loaded.as_ref().map_or(args.kind.unwrap_or(Kind::Map), |(.., rnn)| rnn.kind);
    let watch = watch(args.count as u64, "trajectories")?;
    let (data, usual) = match (&args.trajectories, &loaded) {
        (Some(file), _) => {
            let step = loaded.as_ref().map_or(1.0, |(network, ..)| network.alpha);
            (trajectories::read(file, args.array.as_deref())?, if kind == Kind::Flow { step } else { 1.0 })
        }
        (None, Some((network, input, rnn))) => {
            let interval = args.interval.unwrap_or(if kind == Kind::Flow { 0.5 } else { 1.0 });
            let fine = interval > 0.0 && interval <= LONGEST;
            require(fine, "--interval", format!("above 0, at most {LONGEST}"), interval)?;
            (simulated(args, network, interval)?.run(network, input, rnn, &watch)?, interval)
        }
        (None, None) => return Err(Error::input("dynamics fit", "a network or --trajectories", "neither")),
    };
    watch.bar.finish_and_clear();
    let mut known = Vec::new();
    if let Some((network, input, rnn)) = loaded.as_ref().filter(|_| !watch.stopped()) {
        let n = network.neurons();
        require(data[0].nrows() == n, "trajectories", format!("{n} numbers a time"), data[0].nrows())?;
        known = slow_points(args.points.as_deref(), network, input, rnn)?;
    }
    let complete = !watch.stopped();
    if !complete {
        // Some of the points would choose another degree than all.
        known.clear();
    }
    let samples = data.iter().map(Mat::ncols).min().unwrap_or(0);
    let learning = Learning {
        kind,
        dimension: args.dimension,
        interval: args.interval.unwrap_or(usual),
        cut: args.cut.unwrap_or(samples / 5),
        held_out: ((args.held_out * data.len() as f64).round() as usize).max(1),
        degrees: match (&args.degrees[..], args.dimension) {
            ([], 1) => (3..=15).step_by(2).collect(),
            ([], _) => (2..=7).collect(),
            (given, _) => given.to_vec(),
        },
        delays: (args.delays, args.lag),
    };
    let learnt = Learnt::new(&data, &known, &learning)?;
    let unit = match (kind, &loaded) {
        (Kind::Flow, Some(_)) => "time constant",
        (Kind::Flow, None) => "unit of time",
        (Kind::Map, Some(_)) => "step",
        (Kind::Map, None) => "sample",
    };
    args.save.write(|| Ok(figures_of::arrays(&learnt, unit, complete)))?;
    if let Some(folder) = &args.figures {
        figures::write(folder, &[figures_of::figure(&learnt, unit)])?;
    }
    if args.json {
        let output = Output {
            schema: 1,
            complete,
            trajectories: data.len(),
            samples,
            cut: learning.cut,
            held_out: learning.held_out,
            unit,
            learnt: &learnt,
        };
        say!("{}", serde_json::to_string_pretty(&output).expect("plain data becomes JSON"));
        return Ok(());
    }
    if !complete && args.trajectories.is_none() && data.len() < args.count {
        say!("{PARTIAL}: {} of {} trajectories", data.len(), args.count);
    } else if !complete {
        say!("{PARTIAL}: without the fixed points of the network");
    }
    let (count, held_out) = (data.len(), learning.held_out);
    say!("{count} trajectories of {samples} samples, {held_out} of them held out",);
    say!("{} samples of each thrown away as transient", learning.cut);
    print(&learnt, unit);
    if let Some(folder) = &args.figures {
        say!("figure in {}", folder.display());
    }
    args.save.say();
    Ok(())
}

/// What is to be simulated, every `interval`.
fn simulated(args: &Args, network: &Network, interval: f64) -> Result<Simulated> {
    require((2..=MOST).contains(&args.count), "--count", format!("2 to {MOST}"), args.count)?;
    require((11..=MOST).contains(&args.samples), "--samples", format!("11 to {MOST}"), args.samples)?;
    let numbers = args.count.saturating_mul(args.samples).saturating_mul(network.neurons());
    require(numbers <= NUMBERS, "--count and --samples", format!("at most {NUMBERS} numbers"), numbers)?;
    require(args.spread >= 0.0 && args.spread.is_finite(), "--spread", "0 or more", args.spread)?;
    let Args { count, samples, spread, seed, .. } = *args;
    Ok(Simulated { count, samples, interval, spread, seed })
}

/// Fixed points that grow in at most one direction: others are not on a slow curve.
fn slow_points(path: Option<&Path>, network: &Network, input: &[f64], rnn: &Rnn) -> Result<Vec<Vec<f64>>> {
    let mut slow = Vec::new();
    for x in states(path, network, input, rnn.kind)?.points {
        if spectrum::index(rnn.kind, &spectrum::eigenvalues(rnn, &x)?) <= 1 {
            slow.push(x);
        }
    }
    Ok(slow)
}

fn print(learnt: &Learnt, unit: &str) {
    let line = learnt.manifold.domain.ranges.len() == 1;
    say!("  degree  NMTE on held-out trajectories{}", if line { "  roots  fixed points found" } else { "" });
    for tried in &learnt.tried {
        let chosen = if tried.degree == learnt.degree { "  <- chosen" } else { "" };
        let roots = if line { format!("  {:<5}  {:<18}", tried.roots, tried.found) } else { String::new() };
        say!("  {:<6}  {:<29.2e}{roots}{chosen}", tried.degree, tried.nmte);
    }
    let roots = if !line || learnt.known.is_empty() {
        ""
    } else {
        ", of those with the roots that the network has, or most"
    };
    say!("chosen: the lowest degree with an NMTE within a fifth of the least{roots}");
    if learnt.nmte > DOUBTFUL {
        say!(
            "it does not predict the trajectories held out: NMTE {:.2}, so what follows is not to be relied on; --dimension 2, another --cut, more trajectories?",
            learnt.nmte
        );
    }
    let ranges: Vec<String> = learnt
        .manifold
        .domain
        .ranges
        .iter()
        .map(|range| format!("{:.4} to {:.4}", range.low, range.high))
        .collect();
    say!("range of the data: p {}", ranges.join(", "));
    if line {
        say!("fixed points of the reduced dynamics: p, slope of r (1 / {unit})");
        for root in &learnt.roots {
            let sort = if root.stable { "stable" } else { "unstable" };
            say!("  {:>9.5}  {:>11.4e}  {sort}", root.p, root.slope);
        }
    }
    if learnt.known.is_empty() {
        return;
    }
    let root = if line { "nearest root, " } else { "" };
    say!("fixed points of the network: p, {root}distance from the manifold, reduced speed there");
    for known in &learnt.known {
        let p: Vec<String> = known.p.iter().map(|p| format!("{p:>9.5}")).collect();
        let root = known.root.map_or_else(String::new, |root| format!("{root:>9.5}  "));
        let outside = if known.inside { "" } else { "  outside of the range" };
        say!("  {}  {root}{:.2e}  {:.2e}{outside}", p.join(" "), known.distance, known.speed);
    }
}
