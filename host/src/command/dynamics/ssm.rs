//! `tinyfold dynamics ssm`.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Held;
use crate::command::say;
use crate::dynamics::ssm::{Anchor, Choice, NormalForm, Spectrum, Study, anchors, held};
use crate::dynamics::{Kind, Path as Line, Rnn};
use crate::error::require;
use crate::network::Network;
use crate::report::{dynamics::ssm as figures_of, figures};
use crate::{Error, Result};

/// The spectral submanifold of a fixed point: reduced dynamics, domain, predicted fixed points and folds.
#[derive(clap::Args)]
#[command(
    after_help = "Example: tinyfold dynamics ssm decision.safetensors --input 0,0,0,1 --parameter colour --figures runs/ssm"
)]
pub struct Args {
    #[command(flatten)]
    held: Held,
    /// The fixed point: its number in the list that this command finds (saddles of index 1 first), or a JSON file with
    /// a field x.
    #[arg(long, default_value = "0", value_name = "K|FILE")]
    at: String,
    /// State coordinates, 1 or 2; 2 over a complex eigenvalue is it and its conjugate.
    #[arg(long, default_value_t = 1)]
    dimension: usize,
    /// Number of the (first) eigenvalue, 0 the slowest or most unstable.
    #[arg(long, default_value_t = 0)]
    eigenvalue: usize,
    /// Order; default: 9, with a parameter 13.
    #[arg(long)]
    order: Option<usize>,
    /// An input as a further coordinate: folds are predicted.
    #[arg(long, value_name = "INPUT")]
    parameter: Option<String>,
    /// Residual of the invariance equation that bounds the domain.
    #[arg(long, default_value_t = 1e-6)]
    tolerance: f64,
    /// Seed of the trajectories that fixed points are searched from.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Draw the figure into this folder, as SVG and PNG: ssm.
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Output<'a> {
    schema: u32,
    network: String,
    input: &'a [f64],
    parameter: Option<&'a str>,
    fixed_points: &'a [Anchor],
    at: usize,
    #[serde(flatten)]
    study: &'a Study,
}

/// Runs the command.
///
/// # Errors
/// A network that cannot be read, inputs that it does not have, a fixed point that is not one, a resonance.
pub fn run(args: &Args) -> Result<()> {
    let (network, input, rnn) = args.held.load()?;
    let family = family(&network, &input, args.parameter.as_deref(), rnn.kind)?;
    let (points, at) = anchor(&family, &args.at, args.seed)?;
    let spectrum = Spectrum::new(&family, &points[at].x, 0.0)?;
    let moving = args.parameter.is_some();
    let choice = Choice {
        dimension: args.dimension,
        eigenvalue: args.eigenvalue,
        order: args.order.unwrap_or(if moving { 13 } else { 9 }),
        moving,
        tolerance: args.tolerance,
    };
    let study = Study::new(&family, &spectrum, &choice)?;
    if let Some(folder) = &args.figures {
        figures::write(folder, &[figures_of::figure(&study)])?;
    }
    if args.json {
        let output = Output {
            schema: 1,
            network: args.held.network.display().to_string(),
            input: &input,
            parameter: args.parameter.as_deref(),
            fixed_points: &points,
            at,
            study: &study,
        };
        say!("{}", serde_json::to_string_pretty(&output).expect("plain data becomes JSON"));
        return Ok(());
    }
    print(&study, &points, at);
    if let Some(folder) = &args.figures {
        say!("figure in {}", folder.display());
    }
    Ok(())
}

/// The network at the input, mu the distance of the named input from it.
fn family(network: &Network, input: &[f64], parameter: Option<&str>, kind: Kind) -> Result<Line> {
    let Some(name) = parameter else { return Ok(held(Rnn::new(network, input, kind)?)) };
    let names: Vec<&str> = network.inputs.iter().map(|input| input.name.as_str()).collect();
    let index = names.iter().position(|known| *known == name);
    let index =
        index.ok_or_else(|| Error::input("--parameter", format!("one of {}", names.join(", ")), name))?;
    let mut end = input.to_vec();
    if let Some(end) = end.get_mut(index) {
        *end += 1.0;
    }
    Line::between(network, input, &end, kind)
}

/// The fixed points found or given, and the number of the chosen one.
fn anchor(family: &Line, at: &str, seed: u64) -> Result<(Vec<Anchor>, usize)> {
    if let Ok(number) = at.parse::<usize>() {
        let points = anchors(family, seed)?;
        require(number < points.len(), "--at", format!("below {}, the points found", points.len()), number)?;
        return Ok((points, number));
    }
    let text = std::fs::read_to_string(at).map_err(Error::file(Path::new(at), "read"))?;
    let refuse = |found: String| Error::input(at, "a JSON object with a field x of numbers", found);
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| refuse(error.to_string()))?;
    let numbers = value["x"].as_array().ok_or_else(|| refuse("no field x".into()))?;
    let x: Option<Vec<f64>> = numbers.iter().map(serde_json::Value::as_f64).collect();
    let x = x.ok_or_else(|| refuse("an element that is not a number".into()))?;
    let spectrum = Spectrum::new(family, &x, 0.0)?;
    let leading = [spectrum.eigenvalues[0].re, spectrum.eigenvalues[0].im];
    Ok((vec![Anchor { x, unstable: spectrum.unstable(), leading }], 0))
}

fn complex(value: [f64; 2]) -> String {
    if value[1] == 0.0 { format!("{:.6}", value[0]) } else { format!("{:.6} {:+.6}i", value[0], value[1]) }
}

fn print(study: &Study, points: &[Anchor], at: usize) {
    let kind = if study.kind == Kind::Map { "map" } else { "flow" };
    say!("spectral submanifold of a {kind}, order {}", study.order);
    say!("  fixed points found     unstable  first eigenvalue");
    for (k, point) in points.iter().enumerate().filter(|&(k, _)| k < 12 || k == at) {
        let mark = if k == at { "<- anchor" } else { "" };
        say!("    {k:<21}{:<10}{:<24}{mark}", point.unstable, complex(point.leading));
    }
    let shown: Vec<String> = study.eigenvalues.iter().take(6).map(|&value| complex(value)).collect();
    say!("  eigenvalues: {}, ...", shown.join(", "));
    say!("  reduced dynamics R, coefficients of the first orders");
    for coefficient in study.coefficients.iter().take(9) {
        let values: Vec<String> = coefficient.values.iter().map(|v| scientific(*v)).collect();
        say!("    powers {:?}  {}", coefficient.powers, values.join("  "));
    }
    for near in &study.resonances {
        say!(
            "  near-resonance {:?}: eigenvalue {} = {}, distance {:.1e}",
            near.powers,
            near.eigenvalue,
            complex(near.value),
            near.distance
        );
    }
    let radius = study.radius.map_or("none, the series ends".into(), |radius| format!("{radius:.3}"));
    say!("  radius of convergence (estimate): {radius}");
    let least = study.domain.iter().map(|side| side.distance).fold(f64::MAX, f64::min);
    let most = study.domain.iter().map(|side| side.distance).fold(0.0, f64::max);
    say!(
        "  domain (residual below {:.0e}): |p| up to {least:.3} to {most:.3}, by direction",
        study.tolerance
    );
    if !study.roots.is_empty() {
        say!("  predicted fixed points: p, eigenvalue, residual, distance to that of the network");
    }
    for root in &study.roots {
        let p: Vec<String> = root.p.iter().map(|p| format!("{p:+.5}")).collect();
        let distance = root.distance.map_or("none near".into(), |distance| format!("{distance:.1e}"));
        say!("    {:<22}{:<24}{:<10.1e}{distance}", p.join(" "), complex(root.eigenvalues[0]), root.residual);
    }
    if let Some(trajectory) = &study.trajectory {
        let (start, span) = (trajectory.p[0][0], trajectory.t.last().copied().unwrap_or(0.0));
        say!(
            "  trajectory from p = {start:.3} over {span:.1}, reduced against full: NMTE {:.1e}",
            trajectory.nmte
        );
    }
    let beyond: Vec<String> = study.beyond.iter().map(|(p, rest)| format!("{p:+.5} ({rest:.1e})")).collect();
    if !beyond.is_empty() {
        say!("  by the Padé approximant, p (residual): {}", beyond.join(", "));
    }
    if !study.folds.is_empty() {
        say!("  predicted folds: mu, p, normal form a and b, residual, change from two orders lower");
    }
    for fold in &study.folds {
        say!(
            "    {:+.10}  {:+.4}  {:+.4}  {:+.4}  {:.1e}  {:.1e}",
            fold.mu,
            fold.p,
            fold.a,
            fold.b,
            fold.residual,
            fold.change
        );
    }
    match &study.normal_form {
        Some(NormalForm::Hopf { first_lyapunov, frequency, growth, .. }) => say!(
            "  normal form of the pair: growth {growth:.6}, frequency {frequency:.6}, first Lyapunov coefficient {first_lyapunov:.6}"
        ),
        Some(NormalForm::NeimarkSacker { modulus, angle, cubic, twist }) => say!(
            "  normal form of the pair: modulus {modulus:.6}, angle {angle:.6}, cubic {cubic:.6}, twist {twist:.6}"
        ),
        Some(form) => say!("  normal form: {form:?}"),
        None => {}
    }
    let Some(backbone) = &study.backbone else { return };
    say!("  backbone: amplitude, frequency, damping, residual");
    for point in backbone.points.iter().step_by(8) {
        say!(
            "    {:.4}  {:.6}  {:+.6}  {:.1e}",
            point.amplitude,
            point.frequency,
            point.damping,
            point.residual
        );
    }
    for cycle in &backbone.cycles {
        say!(
            "  cycle: amplitude {:.6}, frequency {:.6}, residual {:.1e}",
            cycle.amplitude,
            cycle.frequency,
            cycle.residual
        );
    }
}

fn scientific([re, im]: [f64; 2]) -> String {
    if im == 0.0 { format!("{re:+.10e}") } else { format!("{re:+.8e} {im:+.8e}i") }
}
