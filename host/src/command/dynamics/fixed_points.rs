//! `tinyfold dynamics fixed-points`.

use std::iter::zip;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Held, PARTIAL, Save, spinner};
use crate::command::say;
use crate::dynamics::Kind;
use crate::dynamics::fixed_points::{self, FixedPoints, Options};
use crate::error::require;
use crate::network::Network;
use crate::report::{self, figures};
use crate::{Error, Result};

/// Most rounds that must bring nothing.
const MOST: usize = 10_000;
/// Held inputs that are printed.
const INPUTS: usize = 8;

/// All fixed points of a network under a held input, with their stability; slow points apart.
#[derive(clap::Args)]
#[command(
    after_help = "Example: tinyfold dynamics fixed-points network.safetensors --input 0,0,1,0 --save points.npz"
)]
pub struct Args {
    #[command(flatten)]
    held: Held,
    /// Seed of the search.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Standard deviation of random inputs and states of the trajectories that the search starts from.
    #[arg(long, default_value_t = 1.0)]
    spread: f64,
    /// Rounds in a row that must bring nothing, at most 10000.
    #[arg(long, default_value_t = 8)]
    rounds: usize,
    /// Left and right eigenvectors in the JSON: of so many eigenvalues, slowest first.
    #[arg(long, default_value_t = 0)]
    vectors: usize,
    /// Write figures into this folder.
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,
    #[command(flatten)]
    save: Save,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// A network that cannot be read, another number of inputs than it has, a file that cannot be written.
pub fn run(args: &Args) -> Result<()> {
    args.save.check()?;
    let (network, u, rnn) = args.held.load()?;
    require(args.spread > 0.0 && args.spread.is_finite(), "--spread", "above 0", args.spread)?;
    require((1..=MOST).contains(&args.rounds), "--rounds", format!("1 to {MOST}"), args.rounds)?;
    let usual = Options::default();
    let options = Options {
        seed: args.seed,
        spread: args.spread,
        quiet_rounds: args.rounds,
        // A wrong index sum asks for five times as many.
        most_rounds: usual.most_rounds.max(10 * args.rounds),
        ..usual
    };
    let watch = spinner("searching for fixed points")?;
    let found = fixed_points::of_network(&network, &u, rnn.kind, &options, &watch.stop);
    watch.bar.finish_and_clear();
    let found = found?;
    args.save.write(|| {
        let mut arrays = report::dynamics::fixed_points::arrays(&rnn, &found, &u)?;
        arrays.names("input", network.inputs.iter().map(|input| input.name.as_str()));
        Ok(arrays)
    })?;
    let mut drawn = false;
    if let Some(folder) = &args.figures {
        let figures = report::dynamics::fixed_points::figures(&rnn, &found, args.seed);
        drawn = !figures.is_empty();
        figures::write(folder, &figures)?;
    }
    // Said after all that was found.
    let nothing = args.figures.is_some() && !drawn && !watch.stopped();
    let seen = || require(!nothing, "--figures", "a fixed or slow point to draw", "none");
    if args.json {
        let value = described(&found, &u, args.vectors)?;
        say!("{}", serde_json::to_string_pretty(&value).expect("plain data becomes JSON"));
        return seen();
    }
    print(&network, &found, &u, watch.stopped());
    if let Some(folder) = args.figures.as_ref().filter(|_| drawn) {
        say!("figures in {}", folder.display());
    }
    args.save.say();
    seen()
}

/// The result as JSON, with the first `vectors` eigenvectors of each point as lists of real and imaginary parts.
fn described(found: &FixedPoints, u: &[f64], vectors: usize) -> Result<Value> {
    // Whether it is complete may be unknown, but not of a search that was cut short.
    let complete = if found.finished { found.complete() } else { Some(false) };
    let mut value = json!({ "schema": 1, "input": u, "complete": complete, "histogram": found.histogram() });
    let refuse =
        |error: serde_json::Error| Error::input("result", "numbers that JSON can hold", error.to_string());
    let Value::Object(fields) = serde_json::to_value(found).map_err(refuse)? else { return Ok(value) };
    for (name, field) in fields {
        value[name] = field;
    }
    if vectors > 0 {
        for (k, point) in found.points.iter().enumerate() {
            for (name, m) in [("right", &point.spectrum.right), ("left", &point.spectrum.left)] {
                let column =
                    |k: usize| m.col_as_slice(k).iter().map(|x| [x.re, x.im]).collect::<Vec<[f64; 2]>>();
                let columns: Vec<Vec<[f64; 2]>> = (0..vectors.min(m.ncols())).map(column).collect();
                value["points"][k]["spectrum"][name] = json!(columns);
            }
        }
    }
    Ok(value)
}

fn print(network: &Network, found: &FixedPoints, u: &[f64], stopped: bool) {
    let (as_what, unit) = match found.kind {
        Kind::Map => ("map", "steps"),
        Kind::Flow => ("flow", "time constants of a neuron"),
    };
    if stopped {
        say!("{PARTIAL}");
    }
    let inputs = zip(&network.inputs, u).take(INPUTS).map(|(input, u)| format!("{} = {u}", input.name));
    let inputs = match inputs.collect::<Vec<String>>().join(", ") {
        none if none.is_empty() => "no inputs".into(),
        some if u.len() > INPUTS => format!("held input {some}, ..."),
        some => format!("held input {some}"),
    };
    say!("{} neurons as a {as_what}, {inputs}", network.neurons());
    let histogram = found.histogram();
    let counts = histogram.iter().enumerate().filter(|(_, count)| **count > 0);
    let by_index: Vec<String> = counts.map(|(index, count)| format!("{count} of index {index}")).collect();
    let by_index = if by_index.is_empty() { String::new() } else { format!(": {}", by_index.join(", ")) };
    say!("{} isolated fixed points{by_index}", found.points.len());
    if !found.points.is_empty() {
        say!("  point  index  residual  leading eigenvalue       its time constant ({unit}; below 0: grows)");
        for (k, point) in found.points.iter().enumerate() {
            let value = point.spectrum.values[0];
            let note = match (point.corner, point.degenerate) {
                (true, _) => "  at a corner: eigenvalues of one side",
                (_, true) => "  singular: stability not decided",
                _ => "",
            };
            say!(
                "  {:<7}{:<7}{:<10.0e}{:<25}{:.4}{note}",
                k + 1,
                point.index,
                point.residual,
                format!("{:.6} {:+.6}i", value.re, value.im),
                point.spectrum.time_constants[0]
            );
        }
    }
    if let Some(continuum) = &found.continuum {
        let what = if continuum.dimension == 1 { "a line or ring" } else { "a surface" };
        say!(
            "a continuum of fixed points: {what} on which the Jacobian is singular in {} direction{}; {} starts ended on it, each elsewhere",
            continuum.dimension,
            if continuum.dimension == 1 { "" } else { "s" },
            continuum.reached
        );
    }
    for (k, slow) in found.slow.iter().enumerate() {
        say!("slow point {}: q = {:.3e}, not a fixed point", k + 1, slow.q);
    }
    let sum = found.index_sum;
    let verdict = match (found.expected_index_sum, found.complete()) {
        (Some(1), Some(true)) => ", as of a bounded network: nothing speaks against completeness".into(),
        (Some(expected), _) if sum != expected => {
            format!(" instead of {expected}: points are missing; try more --rounds")
        }
        (Some(_), _) => ", but the search was cut short".into(),
        (None, _) if found.points.iter().any(|point| point.sign == 0) => {
            "; not decided: a point is singular or at a corner".to_owned()
        }
        (None, _) => "; what it should be is not known here".to_owned(),
    };
    say!("index sum {sum}{verdict}");
    say!(
        "{} starts, {} rounds of mixtures{}",
        found.starts,
        found.rounds,
        if found.finished { "" } else { ", not finished" }
    );
}
