//! `tinyfold analyse`.

use std::path::PathBuf;

use super::design::chosen;
use super::{EVALUATION_STEPS, say, trials_of};
use crate::format::{self, network};
use crate::manifold::ablation::ablations;
use crate::manifold::{self, Analysis};
use crate::network::Network;
use crate::report::text::percent;
use crate::report::{self, figures};
use crate::task::recording::RecordingArgs;
use crate::task::{Task, synthetic};
use crate::{Error, Result};

/// Shows the manifold of a network and how well it integrates.
#[derive(clap::Args)]
#[command(
    after_help = "Example: tinyfold design --out runs/exact.safetensors\n         tinyfold analyse runs/exact.safetensors --out runs/analysis.json"
)]
pub struct Args {
    /// Network: .safetensors or .npz.
    network: PathBuf,
    /// Analyse on Gaussian inputs of this seed instead of a recording.
    #[arg(long, value_name = "SEED", num_args = 0..=1, default_missing_value = "0", conflicts_with = "input")]
    gaussian: Option<u64>,
    /// The recording to analyse on, joined end to end and repeated; a network that learnt another task than integration is
    /// analysed on trials of it by default.
    #[command(flatten)]
    recording: RecordingArgs,
    /// Steps of the run.
    #[arg(long, default_value_t = EVALUATION_STEPS)]
    steps: usize,
    /// Write all results as JSON, with the points of the manifold.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Draw figures into this folder, as SVG and PNG: spectrum, alignments, coordinates, tuning, time,
    /// ablation.
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,
    /// Silence these shares of the neurons, chosen at random, and tell the error that is left.
    #[arg(long, value_name = "SHARES", value_delimiter = ',', num_args = 0..=1, default_missing_value = "0.01,0.02,0.05,0.1,0.2,0.5")]
    ablate: Vec<f64>,
    /// Random choices of the neurons to silence, for each share.
    #[arg(long, default_value_t = 20)]
    draws: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// Bad input, a file that cannot be read or written.
pub fn run(args: &Args) -> Result<()> {
    let network = network::load(&args.network)?;
    let (on, x) = match args.gaussian {
        Some(seed) => (
            format!("Gaussian noise of seed {seed}"),
            synthetic::gaussian(args.steps, network.input.ncols(), seed),
        ),
        None => told_signal(&args.recording, &network, args.steps).map_err(|error| match error {
            Error::Input { place, expected, found } if place == "channels D" => {
                Error::Input { place, expected: format!("{expected}; or --gaussian"), found }
            }
            other => other,
        })?,
    };
    let mut analysis = manifold::analyse(&network, &x, args.steps)?;
    if !args.ablate.is_empty() {
        analysis.ablations = ablations(&network, &x, &args.ablate, args.draws, 0)?;
    }
    if let Some(out) = &args.out {
        format::write_json(out, &analysis)?;
    }
    if let Some(folder) = &args.figures {
        figures::write(folder, &report::analysis::figures(&analysis))?;
    }
    if args.json {
        say!("{}", serde_json::to_string_pretty(&analysis).expect("plain data becomes JSON"));
    } else {
        say!("on: {on}");
        print(&analysis);
        if let Some(out) = &args.out {
            say!("written to {}", out.display());
        }
        if let Some(folder) = &args.figures {
            say!("figures in {}", folder.display());
        }
    }
    Ok(())
}

/// `steps` samples of the recording for the inputs of `network`: the columns of the same names, else
/// the first ones. Of a network for another task than integration they are those of its trials, one after the other,
/// unless the user asks for a recording.
///
/// # Errors
/// A recording that cannot be read, or with fewer columns than the network has inputs.
pub(super) fn signal(recording: &RecordingArgs, network: &Network, steps: usize) -> Result<Vec<f64>> {
    told_signal(recording, network, steps).map(|(_, x)| x)
}

/// The same, and in words what it is.
pub(super) fn told_signal(
    recording: &RecordingArgs,
    network: &Network,
    steps: usize,
) -> Result<(String, Vec<f64>)> {
    let width = network.input.ncols();
    if !chosen(recording)
        && let Some(x) = trials_of(network, steps, 0)
    {
        let name = network.task.as_ref().map_or("", Task::name);
        return Ok((format!("trials of the task {name}"), x));
    }
    let data = recording.load()?;
    let named: Option<Vec<usize>> = network
        .inputs
        .iter()
        .map(|input| data.inputs.iter().position(|found| found.name == input.name))
        .collect();
    let data = match named {
        Some(columns) => data.select(&columns),
        None => data.first_inputs(width)?,
    };
    let columns: Vec<&str> = data.inputs.iter().map(|input| input.name.as_str()).collect();
    let file =
        recording.input.as_ref().map_or("the bundled recording".into(), |path| path.display().to_string());
    Ok((format!("{} of {file}", columns.join(", ")), data.joined(steps)))
}

fn print(analysis: &Analysis) {
    let Analysis { neurons, rank, dimension, steps, .. } = analysis;
    let form = if *rank > 0 { format!("rank {rank}") } else { "dense".into() };
    say!("n = {neurons}, {form}, manifold of D = {dimension}, {steps} steps");
    let shown = analysis.singular_values.iter().take(dimension + 4).map(|s| format!("{s:.3}"));
    say!("  singular values of W      {}", shown.collect::<Vec<String>>().join(" "));
    let modes = &analysis.modes;
    say!(
        "  modes told from the bulk  {} (largest of the bulk {:.1e}, median {:.1e})",
        modes.count,
        modes.bulk,
        modes.median_of_bulk
    );
    let more = analysis.distance_one_more.map_or(String::new(), |d| format!(" ({d:.1e} with one more)"));
    say!("  distance to the manifold  {:.1e}{more}", analysis.distance);
    say!("  dimensions really used    {:.2} (participation ratio)", analysis.participation_ratio);
    if let Some(local) = &analysis.local_dimension {
        say!("  local dimension           {:.2} ({} neighbours)", local.mean, local.neighbours);
    }
    if let Some(fit) = &analysis.coordinate_fit {
        say!(
            "  coordinates of integrals  {:.1e} not linear, {:.1e} not cubic (parts of their size)",
            fit.linear,
            fit.cubic
        );
    }
    if let Some(found) = &analysis.selectivity {
        let index = found.mean_index;
        say!(
            "  mixed selectivity         index {index:.2} of {dimension}, {:.0} % mixed",
            100.0 * found.mixed
        );
    }
    if analysis.channels.is_empty() {
        say!("  no integrals: the network is no integrator, or does not say so");
        print_time(analysis);
        return;
    }
    say!(
        "  {:<12}{:>8}{:>11}{:>10}{:>8}{:>10}{:>13}{:>10}",
        "channel",
        "decay",
        "realised",
        "impulse",
        "scale",
        "realised",
        "1 - R²",
        "rel. RMSE"
    );
    for c in &analysis.channels {
        let impulse = c.decay_impulse.map_or("-".into(), |decay| format!("{decay:.6}"));
        say!(
            "  {:<12}{:>8}{:>11.6}{:>10}{:>8}{:>10.4}{:>13.1e}{:>10.1e}",
            c.name,
            (c.decay * 1e9).round() / 1e9,
            c.decay_realised,
            impulse,
            c.scale,
            c.scale_realised,
            1.0 - c.r_squared,
            c.relative_rmse
        );
    }
    print_time(analysis);
    if let Some(growth) = &analysis.error_growth {
        say!("  rel. RMSE grows as        t^{:.2} (R² {:.2})", growth.exponent, growth.r_squared);
    }
    for (k, ablation) in analysis.ablations.iter().enumerate() {
        if k == 0 {
            say!(
                "  relative RMSE without neurons, median (least to most) of {} choices",
                ablation.errors.len()
            );
        }
        let (least, most) = (ablation.errors[0], ablation.errors[ablation.errors.len() - 1]);
        let part = ablation.silenced as f64 / *neurons as f64;
        let (part, median) = (percent(part), ablation.median());
        say!("    {:>6} ({part}) {median:.1e} ({least:.1e} to {most:.1e})", ablation.silenced);
    }
}

/// Error, where there are integrals, and distance to the manifold against time.
fn print_time(analysis: &Analysis) {
    let Analysis { error_curve, distance_curve, .. } = analysis;
    let distance = |from| distance_curve.iter().find(|window| window.from == from).map(|w| w.distance);
    let error = |from| error_curve.iter().find(|window| window.from == from).map(|w| w.relative_rmse);
    let mut spans: Vec<(usize, usize)> = error_curve.iter().map(|window| (window.from, window.to)).collect();
    if spans.is_empty() {
        spans = distance_curve.iter().map(|window| (window.from, window.to)).collect();
    }
    let cell = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.1e}"));
    say!("  {:<24}{:>10}{:>26}", "against time", "rel. RMSE", "distance to the manifold");
    for (from, to) in spans {
        say!("    steps {from:>6} to {to:<6}{:>10}{:>26}", cell(error(from)), cell(distance(from)));
    }
}
