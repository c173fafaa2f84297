//! `tinyfold dynamics cycles`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Held, PARTIAL, Save, spinner, watch};
use crate::Result;
use crate::command::say;
use crate::dynamics::Kind;
use crate::dynamics::cycles::{
    Found, OfCycle, Options, Piecewise, Portrait, Reach, counted, find, of_saddles,
};
use crate::error::require;
use crate::format::arrays::ArrayFile;
use crate::report::{dynamics, figures};

/// All fixed points and cycles of a linear, ReLU or clipped-ReLU network, or of a PLRNN, as a map.
#[derive(clap::Args)]
#[command(
    after_help = "Example: tinyfold dynamics cycles network.safetensors --period 4 --figures runs/cycles"
)]
pub struct Args {
    #[command(flatten)]
    held: Held,
    /// The file holds the arrays of a piecewise-linear map, PREFIX + W, b (ReLU), A, W, h (PLRNN) or A, W1,
    /// W2, h1, h2 (shallow PLRNN), rather than a network.
    #[arg(long, value_name = "PREFIX", num_args = 0..=1, default_missing_value = "")]
    arrays: Option<String>,
    /// Largest period, at most 1000.
    #[arg(long, default_value_t = 3)]
    period: usize,
    /// A period with more words than this is searched from random starts alone.
    #[arg(long, default_value_t = 1e8)]
    most_words: f64,
    /// Random starts of such a period.
    #[arg(long, default_value_t = 200)]
    starts: usize,
    /// Seed of the starts.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Follow the one-dimensional stable and unstable manifolds of all saddles, to at most so many segments each; their
    /// ends are in the JSON.
    #[arg(long, value_name = "SEGMENTS", num_args = 0..=1, default_missing_value = "1000")]
    manifolds: Option<usize>,
    /// Draw cycles, manifolds of saddles and basins into this folder, as SVG and PNG.
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,
    #[command(flatten)]
    save: Save,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Output<'a> {
    schema: u32,
    /// Whether no cycle of these periods can be missing.
    complete: bool,
    n: usize,
    gates: usize,
    /// Neurons of the network that the n numbers of a state are, from 0, where mirror neurons are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    neurons: Option<Vec<usize>>,
    /// The mirror neuron of each, whose state is minus it; null: it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    mirrors: Option<Vec<Option<usize>>>,
    #[serde(flatten)]
    found: &'a Found,
    /// Those of saddles, if asked for: the number of the cycle in `cycles`, from 0, and the segments.
    #[serde(skip_serializing_if = "Option::is_none")]
    manifolds: Option<&'a [OfCycle]>,
}

/// Longest period.
const LONGEST: usize = 1000;
/// Most random starts of a period.
const STARTS: usize = 1_000_000;
/// Cycles that are printed.
const SHOWN: usize = 40;

/// Runs the command.
///
/// # Errors
/// A file that cannot be read; a network that is not piecewise linear; inputs that do not match; a figure
/// that cannot be drawn.
pub fn run(args: &Args) -> Result<()> {
    args.save.check()?;
    require((1..=LONGEST).contains(&args.period), "--period", format!("1 to {LONGEST}"), args.period)?;
    require((1..=STARTS).contains(&args.starts), "--starts", format!("1 to {STARTS}"), args.starts)?;
    let map = load(args)?;
    let watch = watch(0, "regions")?;
    let options = Options {
        bar: watch.bar.clone(),
        period: args.period,
        most_words: args.most_words,
        starts: args.starts,
        seed: args.seed,
        ..Options::default()
    };
    let found = find(&map, &options, &watch.stop);
    watch.bar.finish_and_clear();
    let found = found?;
    let lines = match args.manifolds {
        Some(segments) => {
            let following = spinner("manifolds")?;
            let reach = Reach::around(&found.cycles, segments);
            let lines = of_saddles(&map, &found.cycles, &reach, &following.stop);
            following.bar.finish_and_clear();
            Some(lines?)
        }
        None => None,
    };
    // Of a map of one dimension there is no plane, and without a cycle nothing on it.
    let seen = map.n() > 1 && !found.cycles.is_empty();
    let portrait = if seen && (args.figures.is_some() || args.save.save.is_some()) {
        let drawing = spinner("basins and manifolds")?;
        let portrait = Portrait::new(&map, &found, lines.as_deref(), &drawing);
        drawing.bar.finish_and_clear();
        Some(portrait?)
    } else {
        None
    };
    let all = found.coverage.len() == args.period && found.coverage.iter().all(|period| period.complete);
    args.save.write(|| Ok(dynamics::cycles::arrays(&map, &found, portrait.as_ref(), all)))?;
    if let (Some(folder), Some(portrait)) = (&args.figures, &portrait) {
        figures::write(folder, &[dynamics::cycles::figure(&found, portrait)])?;
    }
    tell(args, &map, (&found, all), (lines.as_deref(), portrait.as_ref()), watch.stopped());
    let what = || format!("{} cycles, n = {}", found.cycles.len(), map.n());
    let drawn = args.figures.is_none() || portrait.is_some() || watch.stopped();
    require(drawn, "--figures", "a cycle in 2 dimensions or more to draw", what())
}

/// Prints what was found, and whether that is all.
fn tell(
    args: &Args,
    map: &Piecewise,
    (found, all): (&Found, bool),
    (lines, portrait): (Option<&[OfCycle]>, Option<&Portrait>),
    stopped: bool,
) {
    let mirrored = map.neurons.iter().any(|of| of.1.is_some());
    if args.json {
        let output = Output {
            schema: 2,
            complete: all,
            n: map.n(),
            gates: map.r.len(),
            neurons: mirrored.then(|| map.neurons.iter().map(|of| of.0).collect()),
            mirrors: mirrored.then(|| map.neurons.iter().map(|of| of.1).collect()),
            found,
            manifolds: lines,
        };
        say!("{}", serde_json::to_string_pretty(&output).expect("plain data becomes JSON"));
        return;
    }
    if stopped {
        say!("{PARTIAL}");
    }
    print(map, found);
    if mirrored {
        let pairs = map.neurons.iter().filter_map(|of| Some(format!("{} = -{}", of.1? + 1, of.0 + 1)));
        let pairs: Vec<String> = pairs.collect();
        let more = if pairs.len() > SHOWN { ", ..." } else { "" };
        let (kept, pairs) = (map.n(), pairs[..pairs.len().min(SHOWN)].join(", "));
        say!(
            "  states are of the {kept} neurons without their mirror images, which are minus them: {pairs}{more}"
        );
    }
    if let Some(portrait) = portrait {
        print_portrait(found, portrait, lines.is_none());
    }
    for OfCycle { cycle, manifold } in lines.into_iter().flatten().take(SHOWN) {
        say!(
            "  {} manifold of cycle {}, period {}: eigenvalue {:.6}, {} segments{}",
            if manifold.stable { "stable" } else { "unstable" },
            cycle + 1,
            found.cycles[*cycle].period,
            manifold.eigenvalue,
            manifold.segments.len(),
            if manifold.complete { ", complete" } else { "" }
        );
    }
    if let Some(folder) = args.figures.as_ref().filter(|_| portrait.is_some()) {
        say!("figure in {}", folder.display());
    }
    args.save.say();
}

/// lines: whether its manifolds are printed as well.
fn print_portrait(found: &Found, portrait: &Portrait, lines: bool) {
    for (cycle, manifold) in portrait.manifolds.iter().filter(|_| lines) {
        say!(
            "  {} manifold of cycle {}: eigenvalue {:.6}, {} segments{}",
            if manifold.stable { "stable" } else { "unstable" },
            cycle + 1,
            manifold.eigenvalue,
            manifold.segments.len(),
            if manifold.complete { "" } else { ", not all of it" }
        );
    }
    let Some(basins) = &portrait.basins else {
        say!("  basins: not finished");
        return;
    };
    let count = basins.labels.len() as f64;
    let part = |holds: &dyn Fn(usize) -> bool| {
        100.0 * (0..basins.labels.len()).filter(|&k| holds(k)).count() as f64 / count
    };
    let stable = (0..found.cycles.len()).filter(|&k| found.cycles[k].stable);
    for (k, cycle) in stable.enumerate().take(SHOWN) {
        let of_all = part(&|j| basins.labels[j] == Some(k));
        say!("  basin of cycle {}: {of_all:.1} % of the plane", cycle + 1);
    }
    let [leave, none] =
        [true, false].map(|away| part(&|j| basins.labels[j].is_none() && basins.escaped[j] == away));
    say!("  of the plane {leave:.1} % leaves, {none:.1} % stays and reaches none of them");
}

fn load(args: &Args) -> Result<Piecewise> {
    require(args.held.kind != Some(Kind::Flow), "--as", "map: cycles are those of a map", "flow")?;
    if let Some(prefix) = &args.arrays {
        require(args.held.input.is_none(), "--input", "none with --arrays, which have no inputs", "some")?;
        return Piecewise::of_arrays(&ArrayFile::open(&args.held.network)?, prefix);
    }
    let file = args.held.network.display().to_string();
    Piecewise::of_rnn(&args.held.load_as(Some(Kind::Map))?.2).map_err(|error| error.within(&file))
}

fn print(map: &Piecewise, found: &Found) {
    let regions = match (found.regions_used, found.transitions, found.latent) {
        (Some(used), Some(transitions), _) => format!(": {used} used, {transitions} transitions"),
        (_, _, Some(1)) => ", in a latent of 1 dimension".into(),
        (_, _, Some(rank)) => format!(", in a latent of {rank} dimensions"),
        _ => String::new(),
    };
    say!("n = {}, {} gates, {} regions{regions}", map.n(), map.r.len(), counted(found.regions));
    for coverage in &found.coverage {
        say!("  {}; {} found", coverage.statement(), found.of_period(coverage.period).count());
    }
    let mut continua: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for word in found.degenerate.iter().filter(|word| word.point.is_some()) {
        *continua.entry((word.period, word.dimension)).or_default() += 1;
    }
    for ((period, dimension), words) in continua {
        let what = match dimension {
            0 => "single points on borders".into(),
            _ => format!("a continuum of dimension {dimension}"),
        };
        say!("  {what}, of period {period} or a divisor of it: in {words} words");
    }
    say!("  cycle  period  index  stable  spectral radius  from a border  residual  first point");
    for (k, cycle) in found.cycles.iter().enumerate().take(SHOWN) {
        let point =
            cycle.orbit[0].iter().take(4).map(|z| format!("{z:.6}")).collect::<Vec<String>>().join(", ");
        let more = if map.n() > 4 { ", ..." } else { "" };
        let border = if cycle.border { "  on a border" } else { "" };
        say!(
            "  {:>5}  {:>6}  {:>5}  {:<6}  {:>15.6}  {:>13.1e}  {:>8.0e}  {point}{more}{border}",
            k + 1,
            cycle.period,
            cycle.index,
            if cycle.stable { "yes" } else { "no" },
            cycle.spectral_radius,
            cycle.margin,
            cycle.residual,
        );
    }
    if found.cycles.iter().any(|cycle| cycle.border) {
        say!(
            "  on a border: index, stability and radius are of one side, of those looked at that with the largest radius"
        );
    }
    if found.cycles.len() > SHOWN {
        say!("  and {} more: --json", found.cycles.len() - SHOWN);
    }
}
