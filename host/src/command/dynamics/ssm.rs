//! `tinyfold dynamics ssm`.

use std::iter::zip;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::export::{self, Exported};
use super::parameter::{Moved, parameter};
use super::{Held, Save, input_number, points_alone, spinner, unless_stopped};
use crate::command::say;
use crate::dynamics::fixed_points::{self, FixedPoint, Options, of_network};
use crate::dynamics::slow_manifold::Degrees;
use crate::dynamics::spectrum;
use crate::dynamics::ssm::{
    Anchor, Chart, Choice, Direction, Followed, NormalForm, Spectrum, Study, for_chip, held,
};
use crate::dynamics::{Kind, Path as Line};
use crate::error::require;
use crate::network::Network;
use crate::report::dynamics::{ssm as figures_of, time_unit};
use crate::report::figures;
use crate::{Error, Result};

/// The spectral submanifold of a fixed point: reduced dynamics, domain, predicted fixed points and folds.
#[derive(clap::Args)]
#[command(
    after_help = "Examples: tinyfold dynamics ssm decision.safetensors --input 0,0,0,1 --parameter colour --figures runs/ssm\n          tinyfold dynamics ssm spiral.safetensors --dimension 2 --parameter weights"
)]
pub struct Args {
    #[command(flatten)]
    held: Held,
    /// The fixed point to expand at: its number in the list of `tinyfold dynamics fixed-points`, or that nearest to a
    /// state: n numbers, or a JSON file with a field x; default: the fastest saddle of index 1, else the first point.
    #[arg(long, value_name = "K|STATE", allow_hyphen_values = true)]
    near: Option<String>,
    /// State coordinates, 1 or 2; 2 over a complex eigenvalue is it and its conjugate. With --parameter it is a further
    /// coordinate: 1 predicts folds, 2 also Hopf, flip and Neimark-Sacker points.
    #[arg(long, default_value_t = 1)]
    dimension: usize,
    /// Number of the (first) eigenvalue, 0 the slowest or most unstable.
    #[arg(long, default_value_t = 0)]
    eigenvalue: usize,
    /// Order, at most 60, with two coordinates and a parameter 30; default: 9, with one and a parameter 13.
    #[arg(long)]
    order: Option<usize>,
    #[command(flatten)]
    moved: Moved,
    /// Residual of the invariance equation that bounds the domain.
    #[arg(long, default_value_t = 1e-6)]
    tolerance: f64,
    /// Write the reduced model for a chip, on a box inside the domain of the network's own step.
    #[arg(long, value_name = "FILE.tfrm", conflicts_with = "parameter")]
    export: Option<PathBuf>,
    /// Degrees of its series: of the motion (at most the order), of the effect of inputs, of the outputs.
    #[arg(long, value_delimiter = ',', default_value = "7,4,5", value_name = "F,G,C", requires = "export")]
    degrees: Vec<usize>,
    /// Its inputs, by name or number, as changes of the held input; default: all. Each costs time.
    #[arg(long, value_delimiter = ',', requires = "export", value_name = "INPUT,..")]
    inputs: Option<Vec<String>>,
    /// Seed of the search for fixed points and of the trials that compare a model for a chip.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Draw the figure into this folder, as SVG and PNG: ssm.
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,
    #[command(flatten)]
    save: Save,
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
    exported: Option<&'a Exported<'a, Followed>>,
}

/// Runs the command.
///
/// # Errors
/// A network that cannot be read, inputs that it does not have, a fixed point that is not one, a resonance.
pub fn run(args: &Args) -> Result<()> {
    if let Some(path) = &args.export {
        export::check(path)?;
    }
    args.save.check()?;
    let (network, input, rnn) = args.held.load()?;
    let text = args.moved.parameter.as_ref();
    let moving = text.map(|text| parameter(&network, &input, "--parameter", text)).transpose()?;
    let name = moving.as_ref().map(|parameter| parameter.name.clone());
    let family = match moving {
        Some(parameter) => Line { rnn, parameter },
        None => held(rnn),
    };
    let near = args.near.as_deref().map(|near| Near::parse(near, network.neurons())).transpose()?;
    let watch = spinner("searching for fixed points")?;
    let options = Options { seed: args.seed, vectors: false, ..Options::default() };
    let found = of_network(&network, &input, family.rnn.kind, &options, &watch.stop);
    watch.bar.finish_and_clear();
    let points: Vec<Anchor> = found?.points.into_iter().map(anchor).collect();
    let alone = |points: &[Anchor]| {
        let states: Vec<Vec<f64>> = points.iter().map(|point| point.x.clone()).collect();
        points_alone(&states, args.json, &args.save)
    };
    if watch.stopped() {
        return alone(&points);
    }
    let (points, at) = chosen(points, near.as_ref(), &family)?;
    let spectrum = Spectrum::new(&family, &points[at].x, family.parameter.origin)?;
    let (name, moving) = (name.as_deref(), name.is_some());
    let choice = Choice {
        dimension: args.dimension,
        eigenvalue: args.eigenvalue,
        order: args.order.unwrap_or(if moving && args.dimension == 1 { 13 } else { 9 }),
        moving,
        tolerance: args.tolerance,
    };
    let chip = args.export.as_ref().map(|_| Ok((args.kept(&network)?, args.degrees()?))).transpose()?;
    let (seed, held_at) = (args.seed, input.clone());
    let work = move || -> Result<(Study, _)> {
        let study = Study::new(&family, &spectrum, &choice)?;
        let made = chip
            .map(|(kept, degrees)| for_chip(&network, &held_at, &kept, (&spectrum, &choice), &degrees, seed));
        Ok((study, made.transpose()?))
    };
    let watch = spinner("coefficients, order by order")?;
    let found = unless_stopped(&watch, work);
    watch.bar.finish_and_clear();
    let Some(found) = found else {
        return alone(&points);
    };
    let (study, made) = found?;
    let exported = args.export.as_ref().zip(made);
    let exported =
        exported.map(|(path, (model, followed))| Exported::write(path, &model, followed)).transpose()?;
    args.save.write(|| Ok(figures_of::arrays(&study)))?;
    if let Some(folder) = &args.figures {
        figures::write(folder, &[figures_of::figure(&study, name)])?;
    }
    if args.json {
        let output = Output {
            schema: 2,
            network: args.held.network.display().to_string(),
            input: &input,
            parameter: name,
            fixed_points: &points,
            at,
            study: &study,
            exported: exported.as_ref(),
        };
        say!("{}", serde_json::to_string_pretty(&output).expect("plain data becomes JSON"));
        return Ok(());
    }
    print(&study, &points, at);
    if let Some(exported) = &exported {
        print_exported(exported);
        if args.eigenvalue > 0 {
            say!(
                "  directions slower than the chosen ones are left out: it holds as long as nothing moves along them"
            );
        }
    }
    if let Some(folder) = &args.figures {
        say!("figure in {}", folder.display());
    }
    args.save.say();
    Ok(())
}

impl Args {
    /// The inputs that a model for a chip keeps.
    fn kept(&self, network: &Network) -> Result<Vec<usize>> {
        let Some(names) = &self.inputs else { return Ok((0..network.input.ncols()).collect()) };
        let numbers = names.iter().map(|name| input_number(network, "--inputs", name));
        let mut kept = numbers.collect::<Result<Vec<usize>>>()?;
        kept.sort_unstable();
        kept.dedup();
        Ok(kept)
    }

    fn degrees(&self) -> Result<Degrees> {
        let [drift, gain, output] = self.degrees[..] else {
            let found = format!("{} numbers", self.degrees.len());
            return Err(Error::input("--degrees", "three numbers, F,G,C", found));
        };
        Ok(Degrees { drift, gain, output })
    }
}

/// Which fixed point.
enum Near {
    /// Its number from 1.
    Number(usize),
    /// That nearest to a state.
    State(Vec<f64>),
}

impl Near {
    fn parse(text: &str, n: usize) -> Result<Self> {
        if let Ok(number) = text.parse() {
            return Ok(Self::Number(number));
        }
        let numbers: std::result::Result<Vec<f64>, _> = text.split(',').map(|x| x.trim().parse()).collect();
        let state = numbers.or_else(|_| state_of(Path::new(text)))?;
        require(state.len() == n, "--near", format!("a number, or {n} numbers of a state"), state.len())?;
        Ok(Self::State(state))
    }
}

/// The field x of a JSON file.
fn state_of(path: &Path) -> Result<Vec<f64>> {
    #[derive(serde::Deserialize)]
    struct File {
        x: Vec<f64>,
    }
    let place = path.display().to_string();
    let text = std::fs::read(path).map_err(Error::file(path, "read"))?;
    let file: File = serde_json::from_slice(&text).map_err(|error| {
        Error::input(&place, "a JSON object with a field x of numbers", error.to_string())
    })?;
    Ok(file.x)
}

fn anchor(point: FixedPoint) -> Anchor {
    let leading = point.spectrum.values[0];
    Anchor { x: point.state, unstable: point.index, leading: [leading.re, leading.im] }
}

/// The fixed points, and the place among them of the one to expand at; one that the search had missed is added.
fn chosen(mut points: Vec<Anchor>, near: Option<&Near>, family: &Line) -> Result<(Vec<Anchor>, usize)> {
    let none = || Error::Numeric {
        what: "fixed points".into(),
        reason: "none found to expand at; give a state near one by --near".into(),
    };
    let size = |point: &Anchor| match family.rnn.kind {
        Kind::Flow => point.leading[0],
        Kind::Map => point.leading[0].hypot(point.leading[1]),
    };
    let at = match near {
        Some(&Near::Number(number)) => {
            let count = points.len();
            let expected = format!("1 to {count}, the fixed points found");
            require((1..=count).contains(&number), "--near", expected, number)?;
            number - 1
        }
        Some(Near::State(state)) => {
            let distance = |x: &[f64]| zip(x, state).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
            let nearest = |points: &[Anchor]| {
                let by_distance =
                    |a: &usize, b: &usize| distance(&points[*a].x).total_cmp(&distance(&points[*b].x));
                (0..points.len()).min_by(by_distance)
            };
            if let Some((x, _)) = fixed_points::nearest(&family.rnn, state)
                && nearest(&points).is_none_or(|k| distance(&x) < distance(&points[k].x) - 1e-9)
            {
                let spectrum = spectrum::Spectrum::values_alone(&family.rnn, &x)?;
                let leading = [spectrum.values[0].re, spectrum.values[0].im];
                points.push(Anchor { x, unstable: spectrum.unstable, leading });
            }
            nearest(&points).ok_or_else(none)?
        }
        None => {
            let saddles = (0..points.len()).filter(|&k| points[k].unstable == 1);
            let fastest = saddles.max_by(|&a, &b| size(&points[a]).total_cmp(&size(&points[b])));
            fastest.or((!points.is_empty()).then_some(0)).ok_or_else(none)?
        }
    };
    Ok((points, at))
}

fn complex(value: [f64; 2]) -> String {
    if value[1] == 0.0 { format!("{:.6}", value[0]) } else { format!("{:.6} {:+.6}i", value[0], value[1]) }
}

fn print(study: &Study, points: &[Anchor], at: usize) {
    let kind = if study.kind == Kind::Map { "map" } else { "flow" };
    say!("spectral submanifold of a {kind}, order {}", study.order);
    say!("  fixed points found     unstable  first eigenvalue");
    for (k, point) in points.iter().enumerate().filter(|&(k, _)| k < 12 || k == at) {
        let mark = if k == at { "<- expanded at this one" } else { "" };
        say!("    {:<21}{:<10}{:<24}{mark}", k + 1, point.unstable, complex(point.leading));
    }
    let shown: Vec<String> = study.eigenvalues.iter().take(6).map(|&value| complex(value)).collect();
    say!("  eigenvalues: {}, ...", shown.join(", "));
    say!("  reduced dynamics R, coefficients of the first orders");
    let coordinates = study.chart.states() + usize::from(study.chart.moves());
    for coefficient in study.coefficients.iter().take(9) {
        let values: Vec<String> = coefficient.values.iter().map(|v| scientific(*v)).collect();
        say!("    powers {:?}  {}", &coefficient.powers[..coordinates], values.join("  "));
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
    print_domain(study);
    // Told apart from what the residual proves.
    let mark = |residual: f64| if study.holds(residual) { "" } else { "   outside the domain" };
    if !study.roots.is_empty() {
        say!("  predicted fixed points: p, eigenvalue, residual, distance to that of the network");
    }
    for root in &study.roots {
        let p: Vec<String> =
            root.p[..study.chart.states()].iter().map(|p| format!("{:+.5}", unsigned(*p))).collect();
        let distance = root.distance.map_or("none near".into(), |distance| format!("{distance:.1e}"));
        say!(
            "    {:<22}{:<24}{:<10.1e}{distance:<9}{}",
            p.join(" "),
            complex(root.eigenvalues[0]),
            root.residual,
            mark(root.residual)
        );
    }
    if let Some(trajectory) = &study.trajectory {
        let (start, span) = (trajectory.p[0][0], trajectory.t.last().copied().unwrap_or(0.0));
        say!(
            "  trajectory from p = {start:.3} over {span:.1} {}s, reduced against full: NMTE {:.1e}",
            time_unit(study.kind),
            trajectory.nmte
        );
    }
    let beyond: Vec<String> = study.beyond.iter().map(|(p, rest)| format!("{p:+.5} ({rest:.1e})")).collect();
    if !beyond.is_empty() {
        say!("  by the Padé approximant, p (residual): {}", beyond.join(", "));
    }
    if !study.folds.is_empty() {
        say!(
            "  predicted folds: parameter mu, p, normal form a and b, residual, change from two orders lower"
        );
    }
    for fold in &study.folds {
        say!(
            "    {:+.10}  {:+.4}  {:+.4}  {:+.4}  {:.1e}  {:.1e}{}",
            fold.mu,
            fold.p,
            fold.a,
            fold.b,
            fold.residual,
            fold.change,
            mark(fold.residual)
        );
    }
    if let Some(predictions) = &study.predictions {
        let none = if predictions.bifurcations.is_empty() {
            ": none within twice the radii of convergence"
        } else {
            ""
        };
        say!("  predicted bifurcations{none}");
        for found in &predictions.bifurcations {
            let p: Vec<String> = found.p.iter().map(|p| format!("{:+.4}", unsigned(*p))).collect();
            let angle = found.angle.map_or(String::new(), |angle| format!("   angle {angle:.6}"));
            let sort = found
                .supercritical
                .map_or("", |stable| if stable { "   supercritical" } else { "   subcritical" });
            let change = found.change.map_or("none".into(), |change| format!("{change:.1e}"));
            say!(
                "    {:<15}mu = {:+.10}   p {}{angle}{sort}   residual {:.1e}, change from two orders lower {change}{}",
                found.kind.name(),
                found.mu,
                p.join(" "),
                found.residual,
                mark(found.residual)
            );
        }
    }
    if let Some(form) = &study.normal_form {
        print_normal_form(form);
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

fn print_domain(study: &Study) {
    // Of three coordinates the last is the parameter.
    let (along_mu, sides): (Vec<&Direction>, Vec<&Direction>) =
        study.domain.iter().partition(|side| side.direction.get(2).is_some_and(|mu| *mu != 0.0));
    let both = |[down, up]: [&Direction; 2]| match (down.endless(), up.endless()) {
        (true, true) => "everywhere it was looked at".to_owned(),
        (true, false) => format!("up to {:.3}", up.distance),
        (false, true) => format!("from {:.3}", -down.distance),
        (false, false) => format!("from {:.3} to {:.3}", -down.distance, up.distance),
    };
    let around = |sides: &[&Direction]| {
        let distances = || sides.iter().filter(|side| !side.endless()).map(|side| side.distance);
        let (least, most) = (distances().fold(f64::MAX, f64::min), distances().fold(0.0, f64::max));
        match sides.iter().filter(|side| side.endless()).count() {
            all if all == sides.len() => "everywhere it was looked at".to_owned(),
            0 => format!("up to {least:.3} to {most:.3}, by direction"),
            _ => format!("from {least:.3} on, by direction"),
        }
    };
    let reach = match study.chart {
        Chart::Line => format!("p {}", both(study.span())),
        Chart::Parameter => format!("p {} at mu = 0, |(p, mu)| {}", both(study.span()), around(&sides)),
        Chart::Plane | Chart::PlaneParameter => format!("|p| {}", around(&sides)),
    };
    say!("  domain (residual below {:.0e}): {reach}", study.tolerance);
    if let [down, up] = along_mu[..] {
        say!("    the change of the parameter at p = 0: {}", both([down, up]));
    }
}

fn print_normal_form(form: &NormalForm) {
    let b = |b: &Option<f64>| b.map_or(String::new(), |b| format!(", b {b:+.6}"));
    match form {
        NormalForm::Fold { a, b: slope } => say!("  normal form of a fold: a {a:+.6}{}", b(slope)),
        NormalForm::Transcritical { a, b } => {
            say!("  normal form of a transcritical bifurcation: a {a:+.6}, b {b:+.6}");
        }
        NormalForm::Pitchfork { cubic, b: slope } => {
            say!("  normal form of a pitchfork: cubic {cubic:+.6}{}", b(slope));
        }
        NormalForm::Flip { cubic, b: slope } => {
            say!("  normal form of a flip: cubic {cubic:+.6}{}", b(slope));
        }
        NormalForm::Hopf { first_lyapunov, frequency, growth, .. } => say!(
            "  normal form of the pair: growth {growth:.6}, frequency {frequency:.6}, first Lyapunov coefficient {first_lyapunov:.6}"
        ),
        NormalForm::NeimarkSacker { modulus, angle, cubic, twist } => say!(
            "  normal form of the pair: modulus {modulus:.6}, angle {angle:.6}, cubic {cubic:.6}, twist {twist:.6}"
        ),
    }
}

fn print_exported(exported: &Exported<'_, Followed>) {
    exported.print();
    let Followed { trials, steps, nmte, driven, noise, left, compared } = exported.held_out;
    let all = if driven.is_some() { 2 * trials } else { trials };
    let driven = driven.map_or("no input moves it".into(), |driven| {
        format!("{:.3} % under noise of {noise:.3} on the inputs", 100.0 * driven)
    });
    say!("  beside the network in {trials} trials of {steps} steps: NMTE {:.3} %; {driven}", 100.0 * nmte);
    if left > 0 {
        say!(
            "  it left its box in {left} of {all} trials, which count until then: {:.0} % of the steps are compared",
            100.0 * compared
        );
    }
    if 2 * left > all {
        say!(
            "  most trials leave the box: this error tells little, and on a chip the model is clamped there"
        );
    }
}

/// Rounded to five digits, without the minus of a rounded 0.
fn unsigned(p: f64) -> f64 {
    (p * 1e5).round() / 1e5 + 0.0
}

fn scientific([re, im]: [f64; 2]) -> String {
    if im == 0.0 { format!("{re:+.10e}") } else { format!("{re:+.8e} {im:+.8e}i") }
}
