//! `tinyfold dynamics attractor`.

use std::path::PathBuf;

use serde::Serialize;

use super::slow_manifold::{find, over, unit};
use super::{Found, Held, Save, points_alone, spinner, states};
use crate::command::say;
use crate::dynamics::slow_manifold::{
    Attractor, Bounds, Options, Ring, RingOptions, Shape, SlowManifold, Surface,
};
use crate::dynamics::{Kind, Rnn, fixed_points, spectrum};
use crate::error::require;
use crate::format::results::Results;
use crate::report::{self, figures};
use crate::{Error, Result};

/// Is there a line, ring or plane attractor? By the reduced speed on the slow curve or plane, with stated bounds.
#[derive(clap::Args)]
#[command(
    after_help = "Example: tinyfold dynamics attractor net.safetensors --input 0,0,0,1\n         tinyfold dynamics attractor ring.safetensors --shape ring --figures runs/ring\n         tinyfold dynamics attractor runs/exact.safetensors --shape plane --figures runs/plane"
)]
pub struct Args {
    #[command(flatten)]
    held: Held,
    /// Its fixed points: what `tinyfold dynamics fixed-points --json` prints; default: a search.
    #[arg(long, value_name = "FILE.json")]
    points: Option<PathBuf>,
    /// A line between fixed points, a ring around one, or a plane around one.
    #[arg(long, value_enum, default_value = "line")]
    shape: ShapeArg,
    /// Most p to either side of a lone fixed point: the line is then its slow spectral submanifold, |p| the distance
    /// from it along its slow direction. Of a plane, to all sides. Default: 1.
    #[arg(long)]
    reach: Option<f64>,
    /// Lengths per time below which nothing moves: an attractor everywhere.
    #[arg(long, default_value_t = Bounds::default().exact)]
    exact: f64,
    /// Lengths per time below which a place is slow.
    #[arg(long, default_value_t = Bounds::default().slow)]
    slow: f64,
    /// Part of the length, of a plane of the area, that has to be slow.
    #[arg(long, default_value_t = Bounds::default().range)]
    range: f64,
    /// Part of the length, of a plane of the diameter, that counts as drifted.
    #[arg(long, default_value_t = Bounds::default().drift)]
    drift: f64,
    /// Longest time looked at: time constants, steps of a map.
    #[arg(long, default_value_t = Bounds::default().horizon)]
    horizon: f64,
    /// Draw a figure into this folder, as SVG and PNG: slow-manifold, ring or plane.
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,
    #[command(flatten)]
    save: Save,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum ShapeArg {
    Line,
    Ring,
    Plane,
}

#[derive(Serialize)]
struct Output<'a> {
    schema: u32,
    verdict: &'a Attractor,
    line: Option<&'a SlowManifold>,
    ring: Option<&'a Ring>,
    plane: Option<&'a Surface>,
}

/// Runs the command.
///
/// # Errors
/// Files that cannot be read or written, bounds out of range, no curve of that shape.
pub fn run(args: &Args) -> Result<()> {
    args.save.check()?;
    let reach = args.reach.unwrap_or(1.0);
    require(reach > 0.0 && reach.is_finite(), "--reach", "above 0 and finite", reach)?;
    let fits = args.reach.is_none() || args.shape != ShapeArg::Ring;
    require(fits, "--reach", "--shape line or plane", "--shape ring, which has its own size")?;
    let bounds = Bounds {
        exact: args.exact,
        slow: args.slow,
        range: args.range,
        drift: args.drift,
        horizon: args.horizon,
    };
    for (name, value) in [
        ("--exact", bounds.exact),
        ("--slow", bounds.slow),
        ("--range", bounds.range),
        ("--drift", bounds.drift),
    ] {
        if !(value > 0.0 && value <= 1.0) {
            return Err(Error::input(name, "above 0, at most 1", value.to_string()));
        }
    }
    if !(bounds.horizon >= 1.0 && bounds.horizon <= 1e5) {
        return Err(Error::input("--horizon", "1 to 100000", bounds.horizon.to_string()));
    }
    let (network, held, rnn) = args.held.load()?;
    let n = network.bias.len();
    let (mut line, mut ring, mut plane) = (None, None, None);
    let watch = spinner("slow states")?;
    let verdict = if args.shape == ShapeArg::Plane {
        let states = states(args.points.as_deref(), &network, &held, rnn.kind)?;
        watch.bar.finish_and_clear();
        if watch.stopped() {
            return points_alone(&states.points, args.json, &args.save);
        }
        let found = Surface::around(&rnn, &centre(&rnn, states)?, reach)?;
        let verdict = Attractor::of_surface(&rnn, &found, &bounds)?;
        plane = Some(found);
        verdict
    } else if args.shape == ShapeArg::Line {
        let states = states(args.points.as_deref(), &network, &held, rnn.kind)?;
        let options = Options::of(rnn.kind, rnn.alpha);
        let found = find(&rnn, &states, None, reach, &options, &watch.stop);
        watch.bar.finish_and_clear();
        if watch.stopped() {
            return points_alone(&states.points, args.json, &args.save);
        }
        let found = found?;
        let verdict = Attractor::of_line(&rnn, &found, &bounds)?;
        line = Some(found);
        verdict
    } else {
        let center = if args.points.is_some() {
            // The fixed point that grows in most directions.
            let mut best = (0, None);
            for x in states(args.points.as_deref(), &network, &held, rnn.kind)?.points {
                let index = spectrum::index(rnn.kind, &spectrum::eigenvalues(&rnn, &x)?);
                if index > best.0 {
                    best = (index, Some(x));
                }
            }
            best.1.ok_or_else(|| Error::input("--points", "one that grows in 2 directions", "none"))?
        } else {
            let found = fixed_points::nearest(&rnn, &vec![0.0; n]).ok_or_else(|| Error::Numeric {
                what: "centre of the ring".into(),
                reason: "no fixed point near the zero state; give --points".into(),
            })?;
            found.0
        };
        let found = Ring::find(&rnn, &center, &RingOptions::of(rnn.kind, rnn.alpha), &watch.stop);
        watch.bar.finish_and_clear();
        if watch.stopped() {
            return points_alone(&[center], args.json, &args.save);
        }
        let found = found?;
        let verdict = Attractor::of_ring(&rnn, &found, &bounds)?;
        ring = Some(found);
        verdict
    };
    args.save.write(|| {
        let mut all = Results::new("dynamics attractor", true);
        if let Some(line) = &line {
            report::dynamics::slow_manifold::line_arrays(&mut all, line, &verdict);
        }
        if let Some(ring) = &ring {
            report::dynamics::slow_manifold::ring_arrays(&mut all, ring, &verdict);
        }
        if let Some(plane) = &plane {
            report::dynamics::slow_manifold::surface_arrays(&mut all, &rnn, plane, &verdict);
        }
        Ok(all)
    })?;
    if let Some(folder) = &args.figures {
        let drawn = line
            .iter()
            .map(|line| report::dynamics::slow_manifold::of_line(line, &verdict, unit(rnn.kind)))
            .chain(
                ring.iter()
                    .map(|ring| report::dynamics::slow_manifold::of_ring(ring, &verdict, unit(rnn.kind))),
            )
            .chain(plane.iter().map(|plane| {
                report::dynamics::slow_manifold::of_surface(&rnn, plane, &verdict, unit(rnn.kind))
            }));
        figures::write(folder, &drawn.collect::<Vec<_>>())?;
    }
    if args.json {
        let (line, ring, plane) = (line.as_ref(), ring.as_ref(), plane.as_ref());
        let output = Output { schema: 1, verdict: &verdict, line, ring, plane };
        say!("{}", serde_json::to_string_pretty(&output).expect("plain data becomes JSON"));
        return Ok(());
    }
    if let Some(ring) = &ring {
        say!("ring: amplitude {:.12}, {} transforms", ring.amplitude, ring.transforms);
    }
    if let Some(line) = &line {
        say!("{}", over(line));
    }
    if let Some(Surface { description, reach, residual, .. }) = &plane {
        say!("{description}, |p| up to {reach:.4}, residual {residual:.1e}");
    }
    print(&verdict, rnn.kind);
    if let Some(folder) = &args.figures {
        say!("figures in {}", folder.display());
    }
    args.save.say();
    Ok(())
}

/// The fixed point that a plane is around: of a continuum one of its states, else that with the widest gap between the
/// second slowest rate and the third.
fn centre(rnn: &Rnn, found: Found) -> Result<Vec<f64>> {
    if let Some(state) = found.continuum.and_then(|continuum| continuum.states.into_iter().next()) {
        return Ok(state);
    }
    let mut best = (f64::NEG_INFINITY, None);
    for x in found.points {
        let values = spectrum::eigenvalues(rnn, &x)?;
        let rate = |k: usize| values.get(k).map_or(f64::NEG_INFINITY, |v| spectrum::growth(rnn.kind, *v));
        let gap = rate(1) - rate(2);
        if best.1.is_none() || gap > best.0 {
            best = (gap, Some(x));
        }
    }
    best.1.ok_or_else(|| Error::input("fixed points", "at least one, for a plane around it", "none"))
}

/// Rate of a map below which a multiplier is 0 up to rounding.
const AT_ONCE: f64 = -30.0;

/// The verdict as text.
pub(super) fn print(verdict: &Attractor, kind: Kind) {
    let unit = unit(kind);
    let time = |time: Option<f64>| time.map_or("none".into(), |time| format!("{time:.1}"));
    let (place, extent) = match verdict.shape {
        Shape::Line => ("p", "length"),
        Shape::Ring => ("angle", "length"),
        Shape::Plane => ("|p|", "diameter, which lengths are in,"),
    };
    say!("{}", verdict.sentence);
    say!("  {extent} {:.4}, fastest {:.2e} lengths per time ({unit})", verdict.length, verdict.largest_speed);
    let across = match verdict.normal_rate {
        rate if kind == Kind::Map && rate < AT_ONCE => "at once".to_owned(),
        rate => format!("{rate:.4}"),
    };
    say!("  attraction across it {across}, fastest rate along it {:.2e}", verdict.tangential_rate);
    say!(
        "  time to drift by {} lengths: shortest {}, median {}; {:.0} % of the places never do within {}",
        verdict.bounds.drift,
        time(verdict.drift.shortest),
        time(verdict.drift.median),
        100.0 * verdict.drift.stay,
        verdict.bounds.horizon
    );
    let shown = [1.0, 10.0, 100.0, 1000.0];
    let errors: Vec<String> = shown
        .iter()
        .filter(|t| **t <= verdict.bounds.horizon)
        .filter_map(|t| verdict.memory.iter().min_by(|a, b| (a.0 - t).abs().total_cmp(&(b.0 - t).abs())))
        .map(|(t, error)| format!("{error:.1e} at {t}"))
        .collect();
    say!("  memory error in lengths: {}", errors.join(", "));
    for point in &verdict.points {
        let values: Vec<String> = point
            .eigenvalues
            .iter()
            .map(|(re, im)| if *im == 0.0 { format!("{re:.5}") } else { format!("{re:.5}{im:+.5}i") })
            .collect();
        // No minus before a rounded 0.
        let at = (point.place * 1e5).round() / 1e5 + 0.0;
        say!("  {:<6} at {place} = {at:>9.5}, eigenvalues {}", point.name, values.join(", "));
    }
}
