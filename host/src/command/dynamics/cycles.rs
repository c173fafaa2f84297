//! `tinyfold dynamics cycles`.

use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::command::interrupted;
use crate::dynamics::cycles::{Found, Options, Piecewise, find};
use crate::dynamics::{Kind, Rnn};
use crate::format::arrays::ArrayFile;
use crate::report::dynamics::cycles::Portrait;
use crate::report::figures;
use crate::{Error, Result, format};

/// All fixed points and cycles of a linear, ReLU or clipped-ReLU network, or of a PLRNN, as a map; Ctrl-C
/// keeps what was found.
#[derive(clap::Args)]
#[command(
    after_help = "Example: tinyfold dynamics cycles network.safetensors --period 4 --figures runs/cycles"
)]
pub struct Args {
    /// Network.
    network: PathBuf,
    /// The file holds the arrays of a piecewise-linear map, PREFIX + W, b (ReLU), A, W, h (PLRNN) or A, W1,
    /// W2, h1, h2 (shallow PLRNN), rather than a network.
    #[arg(long, value_name = "PREFIX", num_args = 0..=1, default_missing_value = "")]
    arrays: Option<String>,
    /// Largest period.
    #[arg(long, default_value_t = 3)]
    period: usize,
    /// Held input in network units, one number an input; default: all 0.
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true)]
    input: Vec<f64>,
    /// A period with more words than this is searched from random starts alone.
    #[arg(long, default_value_t = 1e8)]
    most_words: f64,
    /// Random starts of such a period.
    #[arg(long, default_value_t = 200)]
    starts: usize,
    /// Seed of the starts.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Draw cycles, manifolds of saddles and basins into this folder, as SVG and PNG.
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Output<'a> {
    schema: u32,
    n: usize,
    gates: usize,
    #[serde(flatten)]
    found: &'a Found,
}

/// Cycles that are printed.
const SHOWN: usize = 40;

/// Runs the command.
///
/// # Errors
/// A file that cannot be read; a network that is not piecewise linear; inputs that do not match; a figure
/// that cannot be drawn.
pub fn run(args: &Args) -> Result<()> {
    let map = load(args)?;
    let options = Options {
        period: args.period,
        most_words: args.most_words,
        starts: args.starts,
        seed: args.seed,
        ..Options::default()
    };
    let stop = interrupted()?;
    let bar = ProgressBar::new_spinner()
        .with_style(ProgressStyle::with_template("{spinner} {msg} {elapsed}").expect("a valid template"));
    bar.set_message("searching words of regions");
    bar.enable_steady_tick(Duration::from_millis(200));
    let found = find(&map, &options, &stop);
    bar.set_message("basins and manifolds");
    let drawn = found.and_then(|found| {
        let drawn = args
            .figures
            .as_ref()
            .map(|folder| figures::write(folder, &[Portrait::new(&map, &found)?.figure()]));
        drawn.transpose().map(|_| found)
    });
    bar.finish_and_clear();
    let found = drawn?;
    if args.json {
        let output = Output { schema: 1, n: map.n(), gates: map.r.len(), found: &found };
        crate::command::say!("{}", serde_json::to_string_pretty(&output).expect("plain data becomes JSON"));
        return Ok(());
    }
    print(&map, &found);
    if let Some(folder) = &args.figures {
        crate::command::say!("figure in {}", folder.display());
    }
    Ok(())
}

fn load(args: &Args) -> Result<Piecewise> {
    if let Some(prefix) = &args.arrays {
        let held = args.input.is_empty();
        if !held {
            return Err(Error::input("--input", "none with --arrays, which have no inputs", "some"));
        }
        return Piecewise::of_arrays(&ArrayFile::open(&args.network)?, prefix);
    }
    let network = format::network::load(&args.network)?;
    let input = if args.input.is_empty() { vec![0.0; network.input.ncols()] } else { args.input.clone() };
    Piecewise::of_rnn(&Rnn::new(&network, &input, Kind::Map)?)
}

fn print(map: &Piecewise, found: &Found) {
    let regions = match (found.regions_used, found.transitions) {
        (Some(used), Some(transitions)) => format!("{used} used, {transitions} transitions"),
        _ => "too many to list".into(),
    };
    crate::command::say!("n = {}, {} gates, {} regions: {regions}", map.n(), map.r.len(), found.regions);
    for coverage in &found.coverage {
        crate::command::say!(
            "  {}; {} found",
            coverage.statement(),
            found.of_period(coverage.period).count()
        );
    }
    let holding = found.degenerate.iter().filter(|word| word.point.is_some());
    for word in holding.take(SHOWN) {
        let period = word.period;
        crate::command::say!(
            "  a continuum of dimension {} of points of period {period} or a divisor of it",
            word.dimension
        );
    }
    crate::command::say!("  period  index  stable  spectral radius  from a border  residual  first point");
    for cycle in found.cycles.iter().take(SHOWN) {
        let point =
            cycle.orbit[0].iter().take(4).map(|z| format!("{z:.6}")).collect::<Vec<String>>().join(", ");
        let more = if map.n() > 4 { ", ..." } else { "" };
        crate::command::say!(
            "  {:>6}  {:>5}  {:<6}  {:>15.6}  {:>13.1e}  {:>8.0e}  {point}{more}",
            cycle.period,
            cycle.index,
            if cycle.stable { "yes" } else { "no" },
            cycle.spectral_radius,
            cycle.margin,
            cycle.residual,
        );
    }
    if found.cycles.len() > SHOWN {
        crate::command::say!("  and {} more: --json", found.cycles.len() - SHOWN);
    }
}
