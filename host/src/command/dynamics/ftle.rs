//! `tinyfold dynamics ftle`.

use std::path::{Path, PathBuf};

use faer::Mat;
use serde_json::json;

use super::lyapunov::Started;
use super::{PARTIAL, Save, watch};
use crate::command::say;
use crate::dynamics::lyapunov::{Plane, Recurrence, attractors, basins, field, visited};
use crate::error::require;
use crate::format::arrays::ArrayFile;
use crate::report::dynamics::{self, time_unit};
use crate::report::figures;
use crate::{Error, Result};

/// Starts and steps of the trajectories that lay the plane; of which every fifth state counts.
const SEEN: (usize, usize, usize) = (40, 200, 5);
/// Speed that is rest, in 1 / time.
const REST: f64 = 1e-8;
/// Starts of that search, and points of the plane along either axis.
const SEARCHED: (usize, usize) = (100, 15);

/// Most grid points along an axis.
const LARGEST: usize = 5000;

/// Finite-time Lyapunov exponents on a plane through state space, with basins of attraction.
#[derive(clap::Args)]
#[command(after_help = "Example: tinyfold dynamics ftle runs/net.safetensors --steps 20 --figures runs/ftle")]
pub struct Args {
    #[command(flatten)]
    started: Started,
    /// Steps whose growth is measured.
    #[arg(long, default_value_t = 100)]
    steps: usize,
    /// Grid points along both axes.
    #[arg(long, default_value_t = 200)]
    size: usize,
    /// The plane: .safetensors or .npz with origin, e1, e2, n numbers each; default: the first two principal components
    /// of simulated trajectories.
    #[arg(long, value_name = "FILE")]
    plane: Option<PathBuf>,
    /// First and last coordinate along e1, then e2; two numbers hold for both; default: around the trajectories.
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true)]
    range: Option<Vec<f64>>,
    /// Steps within which attractors are found, and reached; 0: no basins.
    #[arg(long, default_value_t = 20_000)]
    basin_steps: usize,
    /// Draw the figure ftle into this folder, as SVG and PNG.
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,
    #[command(flatten)]
    save: Save,
    /// Print JSON: the field row by row, the basins, the attractors.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// As [`Started::load`] and [`field()`]; a file without a plane, or that cannot be written.
pub fn run(args: &Args) -> Result<()> {
    require((2..=LARGEST).contains(&args.size), "--size", format!("2 to {LARGEST}"), args.size)?;
    args.save.check()?;
    let (network, rnn, dt) = args.started.load()?;
    let unit = time_unit(rnn.kind);
    let states = visited(&rnn, &args.started.starts(&network, SEEN.0), SEEN.1, SEEN.2, dt)?;
    let plane = laid(args, &states)?;
    let watch = watch(plane.count() as u64, "points")?;
    let found = field(&rnn, &plane, args.steps, dt, &watch)?;
    let mut found_attractors = Vec::new();
    let mut reached = None;
    let mut look = || -> Result<()> {
        let coarse = Plane { size: [SEARCHED.1; 2], ..plane.clone() };
        let random = args.started.starts(&network, SEARCHED.0);
        let starts = Mat::from_fn(plane.origin.len(), SEARCHED.0 + coarse.count(), |_, _| 0.0);
        let starts = filled(starts, &random, &coarse);
        watch.bar.reset();
        watch.bar.set_length((starts.ncols() + plane.count()) as u64);
        found_attractors = attractors(&rnn, &starts, args.basin_steps, dt, REST, &watch)?;
        if !found_attractors.is_empty() {
            let bound = f64::INFINITY;
            reached = Some(basins(&rnn, &plane, &found_attractors, args.basin_steps, dt, bound, &watch)?);
        }
        Ok(())
    };
    let looked = if args.basin_steps > 0 && !watch.stopped() { look() } else { Ok(()) };
    let complete = !watch.stopped();
    if complete {
        looked?;
    }
    watch.bar.finish_and_clear();
    let basins = reached.as_ref().map(|basins| (basins, &found_attractors[..]));
    args.save.write(|| Ok(dynamics::lyapunov::field_arrays(&plane, &found, basins, unit, complete)))?;
    if let Some(folder) = args.figures.as_ref().filter(|_| found.computed > 0) {
        figures::write(folder, &[dynamics::lyapunov::field(&plane, &found, basins, unit)])?;
    }
    let share = reached.as_ref().and_then(|basins| basins.boundary_in_top(&found, 0.05));
    if args.json {
        let all = json!({
            "schema": 2, "complete": complete, "kind": rnn.kind, "unit": unit, "plane": plane, "field": found,
            "attractors": found_attractors, "basins": reached, "boundary_in_top_5_percent": share,
        });
        say!("{}", serde_json::to_string_pretty(&all).expect("plain data becomes JSON"));
        return Ok(());
    }
    let [a, b] = plane.ranges;
    if !complete {
        let basins = if reached.is_none() { "; no basins" } else { "" };
        say!("{PARTIAL}: {} of {} points{basins}", found.computed, plane.count());
    }
    say!("{} × {} points, e1 {:.3} to {:.3}, e2 {:.3} to {:.3}", args.size, args.size, a.0, a.1, b.0, b.1);
    if found.computed == 0 {
        args.save.say();
        return Ok(());
    }
    let shown = |part| found.quantile(part).map_or("-".into(), |value| format!("{value:.4}"));
    let time = if unit == "step" { String::new() } else { format!(", {:.3} {unit}s", found.time) };
    say!("FTLE over {} steps{time}, in 1 / {unit}", args.steps);
    say!(
        "  least {}, median {}, top 5 % from {}, largest {}",
        shown(0.0),
        shown(0.5),
        shown(0.95),
        shown(1.0)
    );
    if let Some(basins) = &reached {
        let none = basins.labels.iter().filter(|label| label.is_none()).count();
        say!("{} attractors; {none} points reach none in {} steps", found_attractors.len(), args.basin_steps);
        for (k, attractor) in found_attractors.iter().enumerate() {
            let count = basins.labels.iter().filter(|&&label| label == Some(k)).count();
            let [a, b] = plane.coordinates(&attractor.states[0]);
            let part = 100.0 * count as f64 / plane.count() as f64;
            let what = match attractor.recurrence {
                Recurrence::Point => "point".to_owned(),
                Recurrence::Cycle { period } => format!("cycle of period {period:.3}"),
                Recurrence::Set => "set that an orbit fills".to_owned(),
            };
            say!(
                "  attractor {:<3} at ({a:>7.3}, {b:>7.3}): basin {part:>5.1} % of the plane, {what}",
                k + 1
            );
        }
    } else if complete && args.basin_steps > 0 {
        say!("no attractor is reached within {} steps, and no basin; more --basin-steps?", args.basin_steps);
    }
    if let Some(share) = share {
        say!("{:.1} % of the points at the basin boundary are in the top 5 % of the field", 100.0 * share);
    }
    if let Some(folder) = &args.figures {
        say!("figure in {}", folder.display());
    }
    args.save.say();
    Ok(())
}

/// The plane that was asked for.
fn laid(args: &Args, states: &Mat<f64>) -> Result<Plane> {
    let size = [args.size; 2];
    let given = |path: &Path| {
        let file = ArrayFile::open(path)?;
        let vector = |name: &str| file.vector(name, states.nrows());
        Plane::new(vector("origin")?, [vector("e1")?, vector("e2")?], [(0.0, 1.0); 2], size)?.around(states)
    };
    let mut plane = args.plane.as_deref().map_or_else(|| Plane::through(states, size), given)?;
    match args.range.as_deref() {
        None => {}
        Some(&[low, high]) => plane.ranges = [(low, high); 2],
        Some(&[a, b, c, d]) => plane.ranges = [(a, b), (c, d)],
        Some(other) => return Err(Error::input("--range", "2 or 4 numbers", other.len().to_string())),
    }
    Plane::new(plane.origin, plane.axes, plane.ranges, size)
}

fn filled(mut starts: Mat<f64>, random: &Mat<f64>, plane: &Plane) -> Mat<f64> {
    for k in 0..starts.ncols() {
        let start = starts.col_as_slice_mut(k);
        match k.checked_sub(random.ncols()) {
            None => start.copy_from_slice(random.col_as_slice(k)),
            Some(k) => start.copy_from_slice(&plane.point(k)),
        }
    }
    starts
}
