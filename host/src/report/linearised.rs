//! The chapter on dynamics: fixed points under held inputs, and the derivative of the steps that a run takes.

use std::collections::BTreeSet;
use std::iter::zip;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use faer::{Mat, c64};
use kuva::plot::{LineStyle, MarkerShape, ScatterPlot};
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use serde::{Deserialize, Serialize};

use super::figures::{self, Figure, GREY, INK, colour, columns, layout, line, log_y, with_powers_of_ten};
use super::page::table;
use super::text::{escape, scientific};
use crate::dynamics::fixed_points::{self, FixedPoints, Options};
use crate::dynamics::system::slope;
use crate::dynamics::{Kind, Rnn, System};
use crate::network::{Activation, Form, Network, Recurrence};
use crate::task::Task;
use crate::task::trial::held_out;
use crate::{Error, Result, format, simulate};

/// Networks of more neurons are left to `tinyfold dynamics`: a report must not wait for them.
pub const LARGEST: usize = 256;
/// Steps of a run whose derivative is taken, fewer of large networks.
const SAMPLED: usize = 48;
/// Multipliers kept of each step.
const KEPT: usize = 16;
/// Fixed points that are listed.
const LISTED: usize = 16;
/// States that are left alone, and at most how many steps.
const ALONE: (usize, usize) = (8, 4000);

/// A network as a map x' = f(x, u), near its fixed points and along a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Linearised {
    /// Channels D that the network integrates; 0 of other tasks.
    pub channels: usize,
    /// Decays asked for, slowest first; none of other tasks.
    pub wanted: Vec<f64>,
    /// Fixed points, one entry a held input.
    pub held: Vec<Held>,
    /// Steps of the run at which the derivative was taken.
    pub steps: usize,
    /// Linear regions among these steps: of ReLU and linear networks, whose step is exactly linear in each.
    pub regions: Option<usize>,
    /// The largest |lambda| of df/dx at each of these steps, as (Re, Im), slowest first.
    pub multipliers: Vec<Vec<(f64, f64)>>,
}

/// The fixed points under a held input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// What is held, in words.
    pub name: String,
    /// The input, in network units.
    pub input: Vec<f64>,
    /// Number of fixed points.
    pub found: usize,
    /// How many of them are stable by their multipliers; corners and singular ones are not counted.
    pub stable: usize,
    /// Dimension of a continuum of fixed points, of which `points` holds none.
    pub continuum: Option<usize>,
    /// Whether nothing speaks against completeness; unknown of unbounded networks.
    pub complete: Option<bool>,
    /// The points, by index; at most 16.
    pub points: Vec<Point>,
    /// q = |f(x) - x|² / 2 of slow points, which are not fixed, slowest first.
    pub slow: Vec<f64>,
    /// States of the run that were left alone with this input, and how many of them came to a fixed point.
    pub left_alone: usize,
    /// How many of them came to one of the points, to 1 % of their first distance.
    pub settled: usize,
    /// For how many steps.
    pub steps: usize,
}

/// A fixed point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// |x|.
    pub norm: f64,
    /// Number of unstable directions; none at a corner or a singular point, where multipliers do not decide it.
    pub index: Option<usize>,
    /// Largest multipliers as (Re, Im), slowest first; none at a corner, where they jump.
    pub multipliers: Vec<(f64, f64)>,
}

/// The time constant of a multiplier, -1 / ln |lambda| steps; negative: grows.
#[must_use]
pub fn time_constant(modulus: f64) -> f64 {
    -1.0 / modulus.ln()
}

impl Linearised {
    /// Looks at a network along the run on `x` (row-major T × I, network units) and under each held input.
    ///
    /// `None` for more than [`LARGEST`] neurons, and for a run that diverges at once.
    ///
    /// # Errors
    /// Inputs of another number than the network has; eigenvalues that do not converge.
    pub fn of_network(network: &Network, x: &[f64], held: &[(String, Vec<f64>)]) -> Result<Option<Self>> {
        let n = network.neurons();
        if n > LARGEST {
            return Ok(None);
        }
        let run = simulate::run(network, x, true);
        let usable: Vec<&[f64]> =
            run.pre_activations.chunks_exact(n).take_while(|p| p.iter().all(|p| p.abs() < 1e100)).collect();
        let count = if n <= 100 { SAMPLED } else { SAMPLED / 6 };
        let stride = usable.len().div_ceil(count).max(1);
        // Not the first step, which begins at rest.
        let sampled: Vec<&[f64]> = usable.iter().skip(stride / 2).step_by(stride).copied().collect();
        if sampled.is_empty() {
            return Ok(None);
        }
        let slopes = |p: &[f64]| p.iter().map(|&p| slope(network.activation, p)).collect::<Vec<f64>>();
        let all: Vec<Vec<f64>> = sampled.iter().map(|p| slopes(p)).collect();
        let piecewise = matches!(network.activation, Activation::Linear | Activation::Relu);
        let regions =
            || all.iter().map(|d| d.iter().map(|&d| d > 0.0).collect()).collect::<BTreeSet<Vec<_>>>();
        let multipliers: Result<Vec<_>> = all.iter().map(|d| multipliers(network, d)).collect();
        let stride = sampled.len().div_ceil(ALONE.0);
        let states: Vec<Vec<f64>> = sampled.iter().step_by(stride).map(|p| state(network, p)).collect();
        let mut wanted = network.integration().map_or(Vec::new(), |task| task.decays.clone());
        wanted.sort_by(|a, b| b.total_cmp(a));
        let slowest = wanted.first().copied().unwrap_or(0.98);
        let steps = (10.0 * time_constant(slowest)).clamp(100.0, ALONE.1 as f64) as usize;
        let held: Result<Vec<Held>> =
            held.iter().map(|(name, u)| Held::of(network, name, u, &states, steps)).collect();
        Ok(Some(Self {
            channels: wanted.len(),
            wanted,
            held: held?,
            steps: sampled.len(),
            regions: piecewise.then(|| regions().len()),
            multipliers: multipliers?,
        }))
    }

    /// The k-th largest |lambda|, from 0: its median over the run and its least and largest value.
    #[must_use]
    pub fn modulus(&self, k: usize) -> Option<[f64; 3]> {
        let of = |values: &Vec<(f64, f64)>| values.get(k).map(|&(re, im)| re.hypot(im));
        let mut all: Vec<f64> = self.multipliers.iter().filter_map(of).collect();
        all.sort_by(f64::total_cmp);
        Some([*all.get(all.len() / 2)?, *all.first()?, *all.last()?])
    }

    /// The largest distance of the D slow multipliers from the decays asked for, over the run.
    #[must_use]
    pub fn off(&self) -> Option<f64> {
        let of = |values: &Vec<(f64, f64)>| {
            let pairs = zip(values, &self.wanted);
            let far = pairs.map(|(&(re, im), wanted)| (re - wanted).hypot(im)).fold(0.0, f64::max);
            if values.len() < self.channels { 1.0 } else { far }
        };
        (self.channels > 0).then(|| self.multipliers.iter().map(of).fold(0.0, f64::max))
    }
}

/// The state h (rate form) or a (current form) in which a step with these pre-activations ends; exact for alpha = 1 and in
/// current form.
fn state(network: &Network, p: &[f64]) -> Vec<f64> {
    match network.form {
        Form::Rate => p.iter().map(|&p| simulate::activate(network.activation, p)).collect(),
        Form::Current => p.to_vec(),
    }
}

/// The largest eigenvalues of (1 - alpha) + alpha D W, D the slopes of phi: those of df/dx in either form.
fn multipliers(network: &Network, slopes: &[f64]) -> Result<Vec<(f64, f64)>> {
    let n = network.neurons();
    let scaled = |m: &Mat<f64>| Mat::from_fn(n, m.ncols(), |i, j| slopes[i] * m[(i, j)]);
    let core = match &network.recurrence {
        Recurrence::Dense(w) => scaled(w),
        Recurrence::LowRank { u, v } => v.transpose() * scaled(u),
    };
    let refuse = |_| Error::Numeric {
        what: "multipliers of a step".into(),
        reason: "the eigenvalues did not converge; are all weights finite?".into(),
    };
    let alpha = network.alpha;
    let step = |value: &c64| (1.0 - alpha + alpha * value.re, alpha * value.im);
    let mut values: Vec<(f64, f64)> = core.eigenvalues().map_err(refuse)?.iter().map(step).collect();
    // The other directions of a low rank keep 1 - alpha of themselves.
    let rest = (n - core.nrows()).min(KEPT);
    values.extend(std::iter::repeat_n((1.0 - alpha, 0.0), rest));
    let size = |(re, im): &(f64, f64)| re.hypot(*im);
    values.sort_by(|a, b| size(b).total_cmp(&size(a)).then(b.1.total_cmp(&a.1)));
    values.truncate(KEPT);
    Ok(values)
}

impl Held {
    fn of(network: &Network, name: &str, u: &[f64], states: &[Vec<f64>], steps: usize) -> Result<Self> {
        let options = Options { quiet_rounds: 4, most_slow: 4, vectors: false, ..Options::default() };
        let found = fixed_points::of_network(network, u, Kind::Map, &options, &AtomicBool::new(false))?;
        let decided = |point: &fixed_points::FixedPoint| !point.corner && !point.degenerate;
        let listed = found.points.iter().take(LISTED).map(|point| Point {
            norm: point.state.iter().map(|x| x * x).sum::<f64>().sqrt(),
            index: decided(point).then_some(point.index),
            multipliers: if point.corner {
                Vec::new()
            } else {
                point.spectrum.values.iter().take(KEPT).map(|value| (value.re, value.im)).collect()
            },
        });
        let rnn = Rnn::new(network, u, Kind::Map)?;
        Ok(Self {
            name: name.into(),
            input: u.to_vec(),
            found: found.points.len(),
            stable: found.points.iter().filter(|point| decided(point) && point.stable).count(),
            continuum: found.continuum.as_ref().map(|continuum| continuum.dimension),
            complete: found.complete(),
            points: listed.collect(),
            slow: found.slow.iter().map(|point| point.q).collect(),
            left_alone: states.len(),
            settled: states.iter().filter(|x| settles(&rnn, &found, x, steps)).count(),
            steps,
        })
    }
}

/// Whether the state comes to a fixed point: to 1 % of its first distance from it.
fn settles(rnn: &Rnn, found: &FixedPoints, x: &[f64], steps: usize) -> bool {
    let (mut now, mut next) = (x.to_vec(), vec![0.0; x.len()]);
    for _ in 0..steps {
        rnn.value(&now, &mut next);
        std::mem::swap(&mut now, &mut next);
    }
    let apart = |a: &[f64], b: &[f64]| zip(a, b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    found.points.iter().any(|point| apart(&now, &point.state) <= 0.01 * apart(x, &point.state))
}

/// Time constants at most this many times the slowest wanted are drawn; those that grow are drawn there.
const TALLEST: f64 = 10.0;
/// Shorter ones are not drawn: what they stand for is gone after a step.
const SHORTEST: f64 = 0.1;

/// The multipliers of every network in the complex plane, and their time constants by rank.
///
/// named: name, number of the colour, network.
#[must_use]
pub fn figure(named: &[(&str, usize, &Linearised)]) -> Option<Figure> {
    if named.is_empty() {
        return None;
    }
    let planes = named.iter().map(|&(name, k, network)| plane(name, k, network));
    let ranks = named.iter().map(|&(_, k, network)| by_rank(k, network));
    let caption = format!(
        "Top: the multipliers (eigenvalues lambda of the derivative of a step) at steps of a run, as dots, with the unit circle{}{}. Bottom: their time constants, -1 / ln |lambda| steps, by rank: median and range over the run{}.",
        if named.iter().any(|(_, _, network)| network.channels > 0) {
            "; crosses: the decays asked for"
        } else {
            ""
        },
        if named.iter().any(|(_, _, network)| network.drawn().next().is_some()) {
            "; black: multipliers at the fixed points"
        } else {
            ""
        },
        if named.iter().any(|(_, _, network)| network.channels > 0) {
            "; dashed: those asked for. Networks that integrate D signals have D slow ones"
        } else {
            ""
        }
    );
    let cells = planes.chain(ranks).collect();
    Some(Figure { name: "dynamics", caption, scene: columns(cells, named.len(), 280.0) })
}

impl Linearised {
    /// Multipliers at the fixed points where they are defined.
    fn drawn(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.held.iter().flat_map(|held| &held.points).flat_map(|point| point.multipliers.iter().copied())
    }
}

fn plane(name: &str, k: usize, network: &Linearised) -> (Vec<Plot>, Layout) {
    let marks = |points: Vec<(f64, f64)>, colour: &str, size: f64| {
        ScatterPlot::new().with_data(points).with_color(colour).with_size(size)
    };
    let angle = |k: i32| std::f64::consts::TAU * f64::from(k) / 200.0;
    let circle = (0..=200).map(|k| (angle(k).cos(), angle(k).sin())).collect();
    let mut plots = vec![Plot::Line(line(circle, GREY, 1.0))];
    let visited: Vec<(f64, f64)> = network.multipliers.iter().flatten().copied().collect();
    let fixed: Vec<(f64, f64)> = network.drawn().collect();
    let far = visited.iter().chain(&fixed).fold(1.0_f64, |most, (re, im)| most.max(re.abs()).max(im.abs()));
    let limit = (1.15 * far).min(4.0);
    plots.push(Plot::Scatter(marks(visited, colour(k), 1.6)));
    if !fixed.is_empty() {
        plots.push(Plot::Scatter(marks(fixed, INK, 2.0)));
    }
    if !network.wanted.is_empty() {
        let wanted = network.wanted.iter().map(|&decay| (decay, 0.0)).collect();
        plots.push(Plot::Scatter(marks(wanted, INK, 5.0).with_marker(MarkerShape::Cross)));
    }
    let layout = layout(&plots, "Re lambda", "Im lambda")
        .with_x_axis_min(-limit)
        .with_x_axis_max(limit)
        .with_y_axis_min(-limit)
        .with_y_axis_max(limit)
        .with_ticks(5)
        .with_equal_aspect()
        .with_title(name);
    (plots, layout)
}

fn by_rank(k: usize, network: &Linearised) -> (Vec<Plot>, Layout) {
    let wanted: Vec<f64> = network.wanted.iter().map(|&decay| time_constant(decay)).collect();
    let slowest = wanted.first().copied().unwrap_or(100.0);
    // |lambda| of 1 and above grows: its time constant is drawn at the top.
    let drawn = |modulus: f64| match time_constant(modulus) {
        tau if modulus >= 1.0 || tau > TALLEST * slowest => TALLEST * slowest,
        tau => tau.max(SHORTEST),
    };
    let shown = (network.channels + 5).min(KEPT);
    let range = |k: usize| network.modulus(k).filter(|all| all[2] > (-1.0 / SHORTEST).exp());
    let ranges: Vec<(f64, [f64; 3])> =
        (0..shown).filter_map(|k| Some((k as f64 + 1.0, range(k)?.map(drawn)))).collect();
    let mut plots = Vec::new();
    for tau in &wanted {
        let level = log_y([(0.0, *tau), (shown as f64 + 1.0, *tau)].into_iter());
        plots.push(Plot::Line(line(level, GREY, 1.0).with_line_style(LineStyle::Dashed)));
    }
    for &(rank, [_, least, most]) in &ranges {
        plots.push(Plot::Line(line(log_y([(rank, least), (rank, most)].into_iter()), colour(k), 1.5)));
    }
    let medians = log_y(ranges.iter().map(|&(rank, [median, ..])| (rank, median)));
    plots.push(Plot::Scatter(ScatterPlot::new().with_data(medians).with_color(colour(k)).with_size(4.0)));
    let exponents = [SHORTEST, TALLEST * slowest].map(f64::log10);
    let layout = layout(&plots, "rank of |lambda|", "time constant (steps)")
        .with_x_axis_min(0.0)
        .with_x_axis_max(shown as f64 + 1.0)
        .with_x_tick_step(1.0);
    (plots, with_powers_of_ten(layout, exponents.into_iter()))
}

/// What is said of the fixed points of a network, a row of cells for every held input.
fn rows_of_points(network: &Linearised) -> Vec<Vec<String>> {
    let row = |held: &Held| {
        let undecided = held.points.iter().filter(|point| point.index.is_none()).count();
        let mut found = held.found.to_string();
        match held.complete {
            Some(true) => found += " <small>index sum right</small>",
            Some(false) => found += " <small>some are missing</small>",
            None => {}
        }
        if let Some(dimension) = held.continuum {
            found += &format!(" <small>and a continuum of dimension {dimension}</small>");
        }
        let stable = match undecided {
            0 => held.stable.to_string(),
            all if all == held.found => "not decided <small>at a corner</small>".into(),
            some => format!("{} <small>{some} not decided, at a corner</small>", held.stable),
        };
        let slow = match held.slow.first() {
            None => "0".into(),
            Some(&q) => format!("{} <small>least q {}</small>", held.slow.len(), scientific(q)),
        };
        let settled =
            format!("{} of {} <small>in {} steps</small>", held.settled, held.left_alone, held.steps);
        vec![escape(&held.name), found, stable, slow, settled]
    };
    network.held.iter().map(row).collect()
}

/// A time constant with its multiplier.
fn told(modulus: f64) -> String {
    let tau = time_constant(modulus);
    let steps = match modulus {
        1.0.. => "grows".into(),
        0.01.. => format!("{tau:.*} steps", usize::from(tau < 100.0)),
        _ => "gone after a step".into(),
    };
    format!("{modulus:.4}<small>{steps}</small>")
}

/// The chapter: for each network its fixed points, then the slow multipliers beside those asked for.
///
/// named: name as HTML, network; none where the network was too large or diverged.
#[must_use]
pub(super) fn chapter(named: &[(String, Option<&Linearised>)], figure: &str) -> String {
    let known: Vec<(&str, &Linearised)> =
        named.iter().filter_map(|(name, network)| Some((name.as_str(), (*network)?))).collect();
    let mut body = String::new();
    for (name, _) in named.iter().filter(|(_, network)| network.is_none()) {
        body += &format!(
            "<p class=\"note\">{name}: not analysed here, as it diverges or has more than {LARGEST} neurons; <code>tinyfold dynamics fixed-points</code> does it.</p>\n"
        );
    }
    if known.is_empty() {
        return body;
    }
    let rows: Vec<Vec<String>> = known
        .iter()
        .flat_map(|(name, network)| {
            rows_of_points(network).into_iter().map(move |mut row| {
                row.insert(0, (*name).to_owned());
                row
            })
        })
        .collect();
    let head =
        ["network", "held input", "fixed points", "stable", "slow points", "states of the run that settle"];
    body += &table("fixed points", &head, &rows);
    if known
        .iter()
        .any(|(_, network)| network.held.iter().any(|held| held.points.iter().any(|p| p.index.is_none())))
    {
        body += "<p>At a corner the derivative of the step jumps, as where pre-activations of a ReLU are 0, and has no multipliers that tell stability. What tells it is whether states of the run settle: come to a fixed point when they are left alone with the held input.</p>\n";
    }
    let most = known.iter().map(|(_, network)| network.channels).max().unwrap_or(0);
    let wanted =
        known.iter().find(|(_, network)| network.channels == most).map(|(_, network)| &network.wanted);
    let rows: Vec<Vec<String>> = (0..(most + 1).max(3))
        .map(|k| {
            let asked = wanted.and_then(|wanted| wanted.get(k)).map_or("–".into(), |&decay| told(decay));
            let mut row = vec![format!("{}", k + 1), asked];
            row.extend(
                known.iter().map(|(_, network)| network.modulus(k).map_or("–".into(), |m| told(m[0]))),
            );
            row
        })
        .collect();
    let mut head = vec!["rank of |lambda|", "wanted"];
    head.extend(known.iter().map(|(name, _)| *name));
    body += figure;
    body += "<p>Multipliers of the step along the run, median over its steps: a step leaves |lambda| of a small change of the state, and 1/e of it is left after the time constant -1 / ln |lambda|.</p>\n";
    body += &table("multipliers", &head, &rows);
    body += "<ul>\n";
    for (name, network) in &known {
        body += &format!("<li>{name}: {}</li>\n", statement(network));
    }
    body + "</ul>\n"
}

/// The D slow multipliers against the rest, and in how many linear regions that holds.
fn statement(network: &Linearised) -> String {
    let mut parts = Vec::new();
    if let Some(regions) = network.regions {
        parts.push(format!(
            "{} steps of the run lie in {regions} regions of the state space, in each of which the step is exactly linear",
            network.steps
        ));
    }
    if let (true, Some([last, ..]), Some(off)) =
        (network.channels > 0, network.modulus(network.channels.max(1) - 1), network.off())
    {
        let next = network.modulus(network.channels).map_or(0.0, |m| m[2]);
        parts.push(format!(
            "in all of these steps the {} slow multipliers are the decays asked for to {}; the least of them is {last:.3} (median), no other is above {next:.3}",
            network.channels,
            scientific(off)
        ));
    }
    parts.join("; ") + "."
}

/// What is held in a task: each context, with the evidence at 0; else no input.
#[must_use]
pub fn held_inputs(task: Option<&Task>, inputs: usize) -> Vec<(String, Vec<f64>)> {
    let none = vec![("no input".to_owned(), vec![0.0; inputs])];
    let Some(task) = task else { return none };
    let names = task.trials().inputs();
    let contexts = match task {
        Task::Context(_) => 2,
        Task::Switch(switch) => switch.decays.len(),
        _ => 0,
    };
    if contexts == 0 || names.len() != inputs || contexts > inputs {
        return none;
    }
    let context = |k: usize| {
        let mut u = vec![0.0; inputs];
        u[inputs - contexts + k] = 1.0;
        (names[inputs - contexts + k].clone(), u)
    };
    (0..contexts).map(context).collect()
}

/// Writes dynamics.json and figures/dynamics of a network trained for a task, looked at on held-out trials.
///
/// # Errors
/// As [`Linearised::of_network`]; a file that cannot be written.
pub fn write(folder: &Path, network: &Network, task: &Task, steps: usize, seed: u64) -> Result<()> {
    let trials = held_out(task.trials(), steps, 4, seed);
    let x: Vec<f64> = trials.iter().flat_map(|trial| trial.x.iter().copied()).collect();
    let held = held_inputs(Some(task), network.input.ncols());
    let Some(found) = Linearised::of_network(network, &x, &held)? else { return Ok(()) };
    format::write_json(&folder.join("dynamics.json"), &found)?;
    let drawn = figure(&[(task.name(), 0, &found)]);
    figures::write(&folder.join("figures"), &drawn.into_iter().collect::<Vec<Figure>>())
}
