//! `tinyfold dynamics continue`.

use std::path::{Path as FilePath, PathBuf};

use rayon::prelude::*;
use serde::Serialize;
use serde_json::json;

use super::parameter::{self, Moved};
use super::{Given, Held, PARTIAL, Save, given, watch};
use crate::Result;
use crate::command::say;
use crate::dynamics::continuation::{
    Diagram, End, FoldCurve, Iterate, Plane, Settings, Special, Start, continuation, fold_curves, starts,
};
use crate::dynamics::fixed_points::nearest;
use crate::dynamics::lyapunov::Watch;
use crate::dynamics::{At, Family, Kind, Parameter, Path};
use crate::error::require;
use crate::network::Network;
use crate::report::{self, figures};

/// Most values of the parameter.
const VALUES: usize = 1_000_000;

/// Follows fixed points and cycles of a network in a parameter and finds where they bifurcate.
#[derive(clap::Args)]
#[command(
    after_help = "Examples: tinyfold dynamics continue net.safetensors --input 0,0,1,0 --parameter motion --range=-0.1,0.1 --figures runs/folds\n          tinyfold dynamics continue net.safetensors --parameter bias:3 --second weights --second-range 0.5,1.5"
)]
pub struct Args {
    #[command(flatten)]
    held: Held,
    #[command(flatten)]
    moved: Moved,
    /// Least and greatest parameter; default: 1 to either side of where the network is.
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true, num_args = 1, value_name = "LO,HI")]
    range: Vec<f64>,
    /// Fixed points to start from: JSON of `tinyfold dynamics fixed-points --json`; default: a search.
    #[arg(long, value_name = "FILE")]
    points: Option<PathBuf>,
    /// The parameter at which those of --points are fixed points; default: where the network is.
    #[arg(long, requires = "points", allow_hyphen_values = true, value_name = "MU")]
    at: Option<f64>,
    /// Follow cycles of this period: fixed points of the iterated map.
    #[arg(long, default_value_t = 1)]
    period: usize,
    /// A second parameter, said as the first: follow all folds in both, and find cusps.
    #[arg(long, value_name = "WHAT")]
    second: Option<String>,
    /// Least and greatest second parameter; default: 1 to either side of where the network is.
    #[arg(
        long,
        requires = "second",
        value_delimiter = ',',
        allow_hyphen_values = true,
        num_args = 1,
        value_name = "LO,HI"
    )]
    second_range: Vec<f64>,
    /// Values of the parameter at which the search looks for fixed points.
    #[arg(long, default_value_t = 9, conflicts_with = "points")]
    values: usize,
    /// Seed of the search.
    #[arg(long, default_value_t = 0, conflicts_with = "points")]
    seed: u64,
    /// Draw figures into this folder, as SVG and PNG: bifurcations, fold-curves.
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,
    #[command(flatten)]
    save: Save,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Output<'a> {
    schema: u32,
    /// Whether every branch and curve of folds was followed to its end; not after Ctrl-C.
    complete: bool,
    network: String,
    parameter: &'a str,
    kind: Kind,
    period: usize,
    range: (f64, f64),
    #[serde(flatten)]
    diagram: &'a Diagram,
    second: Option<&'a str>,
    fold_curves: &'a [FoldCurve],
    /// The first parameter at folds that are not found again in both.
    failed_folds: &'a [f64],
}

/// Runs the command.
///
/// # Errors
/// A network that cannot be read, options that do not fit it, no fixed point to start from.
pub fn run(args: &Args) -> Result<()> {
    args.save.check()?;
    require((1..=VALUES).contains(&args.values), "--values", format!("1 to {VALUES}"), args.values)?;
    let (network, input, rnn) = args.held.load_as((args.period > 1).then_some(Kind::Map))?;
    let kind = rnn.kind;
    let first = parameter::required(&network, &input, &args.moved)?;
    let range = parameter::range("--range", &args.range, &first)?;
    let second = args.second.as_ref().map(|text| second(args, &network, &input, &first, text)).transpose()?;
    let (name, origin) = (first.name.clone(), first.origin);
    let path = Path { rnn, parameter: first };
    let watch = watch(args.values as u64, "values of the parameter searched for fixed points")?;
    let settings = Settings { bar: watch.bar.clone(), ..Settings::new(range.0, range.1) };
    let follow = |family: &dyn Family| -> Result<(Vec<Start>, Diagram, Vec<f64>)> {
        let (starts, mut continua) = if let Some(file) = &args.points {
            (from_file(file, args.at.unwrap_or(origin), family)?, Vec::new())
        } else {
            let values = args.values;
            let at = |k: usize| range.0 + (range.1 - range.0) * (k as f64 + 0.5) / values as f64;
            let mus: Vec<f64> = (0..values).map(at).collect();
            searched(family, &mus, args, &watch)?
        };
        if watch.stopped() {
            return Ok((starts, Diagram::default(), continua));
        }
        let (expected, none) = if continua.is_empty() {
            ("a fixed point at some parameter in the range; more --values?", "none".to_owned())
        } else {
            ("an isolated fixed point at some parameter in the range", along(&continua))
        };
        require(!starts.is_empty(), "starts", expected, none)?;
        watch.bar.set_position(0);
        watch.bar.set_length(starts.len() as u64);
        watch.bar.set_message("fixed points whose branches are followed");
        let diagram = continuation(family, &starts, &settings, &watch.stop)?;
        continua.extend(&diagram.continua);
        continua.sort_by(f64::total_cmp);
        continua.dedup_by(|a, b| (*a - *b).abs() <= 1e-9 * (range.1 - range.0));
        Ok((starts, diagram, continua))
    };
    let (starts, diagram, continua) =
        if args.period == 1 { follow(&path)? } else { follow(&Iterate::new(path.clone(), args.period)?)? };
    if diagram.branches.is_empty() && watch.stopped() {
        watch.bar.finish_and_clear();
        return starts_alone(&starts, &name, args);
    }
    let folds: Vec<&Special> = diagram.folds().collect();
    let (curves, failed) = match &second {
        Some((second, second_range)) if !watch.stopped() => {
            watch.bar.set_message("fixed points; following curves of folds");
            let parameters = [path.parameter.clone(), second.clone()];
            let plane = Plane { rnn: path.rnn.clone(), parameters };
            let ranges = [range, *second_range];
            fold_curves(&plane, &folds, second.origin, ranges, &settings, &watch.stop)?
        }
        _ => (Vec::new(), Vec::new()),
    };
    let failed_folds: Vec<f64> = failed.into_iter().map(|k| folds[k].mu).collect();
    let second = second.as_ref().map(|(second, _)| second.name.as_str());
    watch.bar.finish_and_clear();
    let followed = diagram.is_complete() && curves.iter().flat_map(|curve| curve.ends).all(End::is_complete);
    let complete = followed && failed_folds.is_empty() && !watch.stopped();
    let reader = |y: &[f64]| read(&network, &path, y);
    let outputs = network.outputs.iter().map(|output| output.name.clone()).collect();
    let readout = report::dynamics::continuation::Readout { names: outputs, of: &reader };
    args.save.write(|| {
        let mut arrays = report::dynamics::continuation::arrays(&diagram, &curves, &readout, complete);
        arrays.names("parameter", [name.as_str()].into_iter().chain(second));
        Ok(arrays)
    })?;
    if let Some(folder) = &args.figures {
        let mut drawn = match diagram.branches[..] {
            [] => Vec::new(),
            _ => report::dynamics::continuation::figures(&diagram, &name, &readout),
        };
        if let Some(second) = second {
            drawn.extend(report::dynamics::continuation::fold_curves(&curves, &name, second));
        }
        figures::write(folder, &drawn)?;
    }
    if args.json {
        let output = Output {
            schema: 1,
            complete,
            network: args.held.network.display().to_string(),
            parameter: &name,
            kind,
            period: args.period,
            range,
            diagram: &diagram,
            second,
            fold_curves: &curves,
            failed_folds: &failed_folds,
        };
        say!("{}", serde_json::to_string_pretty(&output).expect("plain data becomes JSON"));
        return Ok(());
    }
    if watch.stopped() {
        say!("{PARTIAL}");
    }
    if diagram.truncated {
        say!(
            "there are more branches: no more than {} are followed; a shorter --range has fewer",
            settings.branches
        );
    }
    if !continua.is_empty() {
        say!("not followed: {}; `tinyfold dynamics attractor` judges it", along(&continua));
    }
    print(&diagram, &name, &curves, |special| read(&network, &path, &state(special)));
    for mu in failed_folds {
        say!("the fold at {name} = {mu:.10} is not followed: Newton does not find it again");
    }
    if let Some(folder) = &args.figures {
        say!("figures in {}", folder.display());
    }
    args.save.say();
    Ok(())
}

/// Prints and saves the fixed points to start from when Ctrl-C came before there was a branch.
fn starts_alone(starts: &[Start], name: &str, args: &Args) -> Result<()> {
    args.save.write(|| {
        let states: Vec<Vec<f64>> = starts.iter().map(|start| start.x.clone()).collect();
        let mut all = report::dynamics::fixed_points::states_alone(&states);
        let mus = starts.iter().map(|start| start.mu).collect();
        all.add("mu", &[("point", starts.len())], "-", "the parameter of each", mus);
        Ok(all)
    })?;
    if args.json {
        let all = json!({ "schema": 1, "complete": false, "parameter": name, "points": starts });
        say!("{}", serde_json::to_string_pretty(&all).expect("plain data becomes JSON"));
        return Ok(());
    }
    say!("{PARTIAL}");
    say!(
        "fixed points to start from: {}, and no branch; --json prints their states and {name}, which --points reads; fewer --values make the search shorter",
        starts.len()
    );
    args.save.say();
    Ok(())
}

/// Where there is a continuum of fixed points.
fn along(continua: &[f64]) -> String {
    let mut shown: Vec<String> = continua.iter().take(3).map(|mu| format!("{mu:.4}")).collect();
    if continua.len() > shown.len() {
        shown.push("..".into());
    }
    format!("a continuum of fixed points at the parameter {}", shown.join(", "))
}

/// (x, mu).
fn state(special: &Special) -> Vec<f64> {
    let mut y = special.x.clone();
    y.push(special.mu);
    y
}

/// Fixed points at several values of the parameter, and the values with a continuum; those found when Ctrl-C comes.
fn searched(family: &dyn Family, mus: &[f64], args: &Args, watch: &Watch) -> Result<(Vec<Start>, Vec<f64>)> {
    let at = |(k, mu): (usize, &f64)| {
        if watch.stopped() {
            return Ok((Vec::new(), Vec::new()));
        }
        // Other trajectories at every value.
        let found = starts(family, &[*mu], args.seed.wrapping_add(k as u64), &watch.stop);
        watch.bar.inc(1);
        found
    };
    let found = mus.par_iter().enumerate().map(at).collect::<Result<Vec<_>>>()?;
    let (starts, continua): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    Ok((starts.concat(), continua.concat()))
}

/// The second parameter and its range.
fn second(
    args: &Args,
    network: &Network,
    input: &[f64],
    first: &Parameter,
    text: &str,
) -> Result<(Parameter, (f64, f64))> {
    require(args.period == 1, "--second", "fixed points, not cycles", format!("--period {}", args.period))?;
    let second = parameter::parameter(network, input, "--second", text)?;
    require(second.name != first.name, "--second", "another parameter than --parameter", &second.name)?;
    let range = parameter::range("--second-range", &args.second_range, &second)?;
    let (inside, origin) = ((range.0..=range.1).contains(&second.origin), second.origin);
    require(inside, "--second-range", format!("a range with {origin}"), format!("{range:?}"))?;
    Ok((second, range))
}

/// Starts from a file of fixed points, each with its own `mu` if it has one.
fn from_file(file: &FilePath, at: f64, family: &dyn Family) -> Result<Vec<Start>> {
    let start = |point: Given| {
        let mu = point.mu.unwrap_or(at);
        // Files may hold fewer digits than Newton wants.
        Start { mu, x: nearest(&At { family, mu }, &point.x).map_or(point.x, |found| found.0) }
    };
    Ok(given(file, family.dimension())?.0.into_iter().map(start).collect())
}

/// The outputs at (x, mu).
fn read(network: &Network, path: &Path, y: &[f64]) -> Vec<f64> {
    let n = Family::dimension(path);
    let rates = path.rnn.rates(&y[..n]);
    let output = |o: usize| {
        let sum: f64 = (0..n).map(|i| network.readout[(o, i)] * rates[i]).sum();
        sum + network.output_bias[o]
    };
    (0..network.outputs.len()).map(output).collect()
}

/// Outputs that are printed of a special point.
const SHOWN: usize = 4;
/// Special points that are printed of a branch.
const LISTED: usize = 40;

fn print(diagram: &Diagram, name: &str, curves: &[FoldCurve], outputs: impl Fn(&Special) -> Vec<f64>) {
    if !diagram.failed.is_empty() {
        say!("{} starts are no fixed points: Newton does not converge from them", diagram.failed.len());
    }
    for (k, branch) in diagram.branches.iter().enumerate() {
        let mus = || branch.points.iter().map(|point| point.mu);
        let closed = if branch.is_closed() { ", closed" } else { "" };
        let most = branch.points.iter().map(|point| point.index).max().unwrap_or(0);
        let least = branch.points.iter().map(|point| point.index).min().unwrap_or(0);
        say!(
            "branch {}: {} points, {name} {:.4} to {:.4}{closed}, unstable directions {least} to {most}",
            k + 1,
            branch.points.len(),
            mus().fold(f64::INFINITY, f64::min),
            mus().fold(f64::NEG_INFINITY, f64::max)
        );
        for (end, mu) in std::iter::zip(branch.ends, [mus().next(), mus().next_back()]) {
            if let (Some(reason), Some(mu)) = (end.reason(), mu) {
                say!("  ends at {name} = {mu:.4}: {reason}");
            }
        }
        for special in branch.special.iter().take(LISTED) {
            let outputs = outputs(special);
            let mut shown: Vec<String> = outputs.iter().take(SHOWN).map(|y| format!("{y:.4}")).collect();
            if outputs.len() > SHOWN {
                shown.push(format!(".. ({} in all)", outputs.len()));
            }
            let angle = special.angle.map_or(String::new(), |angle| format!("   angle {angle:.6}"));
            let coefficients =
                special.coefficients.map_or(String::new(), |[a, b]| format!("   a {a:.4e}, b {b:.4e}"));
            let sort =
                special.cubic.map_or("", |c| if c < 0.0 { "   supercritical" } else { "   subcritical" });
            say!(
                "  {:<15}{name} = {:<20.12}outputs {:<24} index {:+}{angle}{coefficients}{sort}",
                special.kind.name(),
                special.mu,
                shown.join(" "),
                special.change
            );
        }
        if branch.special.len() > LISTED {
            say!("  and {} more: --json", branch.special.len() - LISTED);
        }
    }
    if diagram.folds().any(|fold| fold.coefficients.is_some()) {
        say!(
            "index: change of the unstable directions along the branch; a, b of a fold: dz/dt = b (mu - mu_0) + a z² along its null vector, of a map z' - z"
        );
    }
    for (k, curve) in curves.iter().enumerate() {
        say!("fold curve {}: {} points", k + 1, curve.points.len());
        for (kind, _, point) in &curve.special {
            say!("  {:<15}({:.10}, {:.10})", kind.name(), point.mu[0], point.mu[1]);
        }
    }
}
