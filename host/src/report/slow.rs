//! What moves slowly under a held input: the slow curve with its verdict, Lyapunov exponents, a reduced model.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use indicatif::ProgressBar;
use kuva::plot::{LegendPosition, ScatterPlot};
use kuva::render::annotations::ReferenceLine;
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use serde::{Deserialize, Serialize};

use super::figures::{Figure, GREY, INK, colour, columns, layout, line};
use super::linearised::Linearised;
use super::page::table;
use super::text::{escape, percent, scientific};
use crate::dynamics::fixed_points::{FixedPoints, nearest};
use crate::dynamics::lyapunov::{Settings, Watch, spectrum};
use crate::dynamics::slow_manifold::{
    Attractor, Bounds, Learning, Learnt, Options, Ring, RingOptions, Shape, Simulated, SlowManifold, Verdict,
};
use crate::dynamics::{Kind, Rnn};
use crate::network::Network;
use crate::task::Task;
use crate::{Error, Result};

/// Networks of more neurons are left to `tinyfold dynamics`: a report must not wait for them.
pub const LARGEST: usize = 128;
/// Exponents, steps that are thrown away, and steps that count.
const EXPONENTS: (usize, usize, usize) = (6, 500, 4000);
/// Transforms of a slow curve at each degree.
const TRANSFORMS: usize = 100;
/// Places that are kept of a speed profile.
const KEPT: usize = 128;
/// Trajectories of the reduced model, samples of each.
const TRAJECTORIES: (usize, usize) = (30, 200);

/// What was found, or why there is nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome<T> {
    /// It.
    Found(T),
    /// The reason.
    Skipped(String),
}

impl<T> Outcome<T> {
    /// What was found.
    pub const fn found(&self) -> Option<&T> {
        match self {
            Self::Found(found) => Some(found),
            Self::Skipped(_) => None,
        }
    }

    fn of(result: Result<T>) -> Self {
        result.map_or_else(|error| Self::Skipped(error.to_string()), Self::Found)
    }
}

/// The slow dynamics of a network as a map under a held input; times in steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slow {
    /// The slow curve.
    pub curve: Outcome<Curve>,
    /// Lyapunov exponents along a trajectory.
    pub lyapunov: Outcome<Exponents>,
    /// A model of the slow curve learnt from trajectories.
    pub reduced: Outcome<Reduced>,
}

/// A curve that states fall on and move along slowly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// "line" or "ring".
    pub shape: String,
    /// Whether it is an attractor: a continuum of fixed points.
    pub attractor: bool,
    /// The verdict in words, with its bounds.
    pub sentence: String,
    /// Length in state space.
    pub length: f64,
    /// Fastest place, in lengths a step.
    pub largest_speed: f64,
    /// (place, signed speed along the curve in lengths a step); the place is p of a line, the angle of a ring.
    pub profile: Vec<(f64, f64)>,
    /// Fixed points on it: place, whether it is a node.
    pub points: Vec<(f64, bool)>,
    /// Steps until the middle one of the starts has drifted by a tenth of the length; none within 1000.
    pub drift: Option<f64>,
}

/// Lyapunov exponents, per step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exponents {
    /// The largest, with their standard errors; what is minus infinity is left out.
    pub exponents: Vec<(f64, f64)>,
    /// Kaplan-Yorke dimension; none if more exponents would be needed.
    pub kaplan_yorke: Option<f64>,
    /// Steps that counted.
    pub steps: usize,
}

/// A reduced model that was learnt from trajectories.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reduced {
    /// Coordinates.
    pub dimension: usize,
    /// Degree.
    pub degree: usize,
    /// Normalised mean trajectory error on trajectories held out.
    pub nmte: f64,
    /// How many these are.
    pub held_out: usize,
}

impl Slow {
    /// Looks at a network under a held input; `found` its fixed points there, `start` a state of a run.
    #[must_use]
    pub fn of(
        network: &Network,
        rnn: &Rnn,
        input: &[f64],
        found: &FixedPoints,
        start: &[f64],
        stop: &AtomicBool,
    ) -> Self {
        let n = network.neurons();
        if n > LARGEST {
            let reason = |command: &str| {
                format!(
                    "{n} neurons, more than the {LARGEST} that a report waits for: `tinyfold dynamics {command}`"
                )
            };
            return Self {
                curve: Outcome::Skipped(reason("attractor")),
                lyapunov: Outcome::Skipped(reason("lyapunov")),
                reduced: Outcome::Skipped(reason("fit")),
            };
        }
        let ring = matches!(network.task, Some(Task::Ring(_)));
        let curve = Outcome::of(if ring { Curve::ring(rnn, stop) } else { Curve::line(rnn, found, stop) });
        let reduced = match curve.found() {
            Some(curve) => Outcome::of(Reduced::of(network, rnn, input, curve)),
            None => Outcome::Skipped("no slow curve to reduce it to".into()),
        };
        Self { curve, lyapunov: Outcome::of(Exponents::of(rnn, start)), reduced }
    }
}

impl Curve {
    /// The line between the fixed points.
    fn line(rnn: &Rnn, found: &FixedPoints, stop: &AtomicBool) -> Result<Self> {
        let none = |reason: String| Error::Numeric { what: "no slow line".into(), reason };
        if !found.points.is_empty() && found.points.iter().all(|point| point.corner) {
            let reason = "it would go through corners, where the derivative of the step jumps";
            return Err(none(reason.into()));
        }
        let on_it = found.points.iter().filter(|point| point.index <= 1);
        let states: Vec<Vec<f64>> = on_it.map(|point| point.state.clone()).collect();
        if found.continuum.is_none() && states.len() < 2 {
            return Err(none(format!(
                "it goes between fixed points that grow in at most one direction, of which there {}",
                if states.is_empty() { "is none" } else { "is one" }
            )));
        }
        let options = Options { most: TRANSFORMS, ..Options::of(rnn.kind, rnn.alpha) };
        let line = SlowManifold::through(rnn, &states, found.continuum.as_ref(), None, 1.0, &options, stop)?;
        Ok(Self::judged(&Attractor::of_line(rnn, &line, &Bounds::default())?))
    }

    /// The ring around the fixed point near 0.
    fn ring(rnn: &Rnn, stop: &AtomicBool) -> Result<Self> {
        let (center, _) = nearest(rnn, &vec![0.0; rnn.drive.len()]).ok_or_else(|| Error::Numeric {
            what: "no ring".into(),
            reason: "no fixed point near the zero state for it to go around".into(),
        })?;
        let options = RingOptions { most: TRANSFORMS, ..RingOptions::of(rnn.kind, rnn.alpha) };
        let ring = Ring::find(rnn, &center, &options, stop)?;
        Ok(Self::judged(&Attractor::of_ring(rnn, &ring, &Bounds::default())?))
    }

    fn judged(found: &Attractor) -> Self {
        let stride = found.profile.len().div_ceil(KEPT).max(1);
        let kept = found.profile.iter().step_by(stride);
        Self {
            shape: if found.shape == Shape::Line { "line" } else { "ring" }.into(),
            attractor: found.verdict == Verdict::Attractor,
            sentence: found.sentence.clone(),
            length: found.length,
            largest_speed: found.largest_speed,
            profile: kept.map(|&(place, speed)| (place, speed / found.length)).collect(),
            points: found.points.iter().map(|point| (point.place, point.index == 0)).collect(),
            drift: found.drift.median,
        }
    }
}

impl Exponents {
    fn of(rnn: &Rnn, start: &[f64]) -> Result<Self> {
        let (most, transient, steps) = EXPONENTS;
        let exponents = Some(most.min(rnn.drive.len()));
        let settings = Settings { exponents, transient, steps, ..Settings::default() };
        let found = spectrum(rnn, start, &settings, &nobody())?;
        let pairs = std::iter::zip(found.exponents, found.errors).filter(|pair| pair.0.is_finite());
        Ok(Self { exponents: pairs.collect(), kaplan_yorke: found.kaplan_yorke, steps: found.steps })
    }
}

fn nobody() -> Watch {
    Watch { bar: ProgressBar::hidden(), stop: Arc::default() }
}

impl Reduced {
    fn of(network: &Network, rnn: &Rnn, input: &[f64], curve: &Curve) -> Result<Self> {
        let dimension = if curve.shape == "ring" { 2 } else { 1 };
        let (count, samples) = TRAJECTORIES;
        let simulated = Simulated { count, samples, interval: 1.0, spread: 1.0, seed: 0 };
        let data = simulated.run(network, input, rnn, &nobody())?;
        let held_out = count / 3;
        let learning = Learning {
            kind: Kind::Map,
            dimension,
            interval: 1.0,
            cut: samples / 5,
            held_out,
            degrees: if dimension == 1 { (3..=15).step_by(2).collect() } else { (2..=7).collect() },
            delays: (1, 1),
        };
        let learnt = Learnt::new(&data, &[], &learning)?;
        if !learnt.nmte.is_finite() {
            let reason = "its predictions leave every range".into();
            return Err(Error::Numeric { what: "reduced model".into(), reason });
        }
        Ok(Self { dimension, degree: learnt.degree, nmte: learnt.nmte, held_out })
    }
}

/// Curves whose speed is drawn.
const CURVES: usize = 5;

/// Every held input of every network that was looked at.
fn all<'a>(named: &'a [(&'a str, usize, &'a Linearised)]) -> impl Iterator<Item = (String, usize, &'a Slow)> {
    named.iter().flat_map(|&(name, k, network)| {
        let several = network.held.len() > 1;
        network.held.iter().filter_map(move |held| {
            let title = if several { format!("{name}, {}", held.name) } else { name.to_owned() };
            Some((title, k, held.slow_dynamics.as_ref()?))
        })
    })
}

/// The speed along every slow curve with its fixed points, and all Lyapunov exponents; none without either.
///
/// named: name, number of the colour, network.
#[must_use]
pub fn figure(named: &[(&str, usize, &Linearised)]) -> Option<Figure> {
    let curves = all(named).filter_map(|(title, k, slow)| Some((title, k, slow.curve.found()?)));
    let mut cells: Vec<_> = curves.take(CURVES).map(|(title, k, curve)| speeds(&title, k, curve)).collect();
    let profiles = cells.len();
    cells.extend(exponents(named));
    if cells.is_empty() {
        return None;
    }
    let lines = "speed along the slow curve in lengths a step, nodes filled, saddles open";
    let caption = match (profiles, cells.len() - profiles) {
        (0, _) => "Lyapunov exponents per step along a trajectory, with standard errors.".to_owned(),
        (_, 0) => format!("Slow dynamics: {lines}."),
        _ => format!("Slow dynamics: {lines}; last: Lyapunov exponents per step, with standard errors."),
    };
    let width = cells.len().min(3);
    Some(Figure { name: "slow-dynamics", caption, scene: columns(cells, width, 280.0) })
}

fn speeds(title: &str, k: usize, curve: &Curve) -> (Vec<Plot>, Layout) {
    let mut plots = vec![Plot::Line(line(curve.profile.clone(), colour(k), 2.0))];
    let dots = |points: Vec<(f64, f64)>, ink: &str, size: f64| {
        Plot::Scatter(ScatterPlot::new().with_data(points).with_color(ink).with_size(size))
    };
    let places = |node: bool| -> Vec<(f64, f64)> {
        curve.points.iter().filter(|point| point.1 == node).map(|point| (point.0, 0.0)).collect()
    };
    plots.push(dots(curve.points.iter().map(|point| (point.0, 0.0)).collect(), INK, 4.5));
    plots.push(dots(places(false), "#fffffe", 2.5));
    let x = if curve.shape == "ring" { "angle (radians)" } else { "place p" };
    let layout = layout(&plots, x, "lengths a step")
        .with_ticks(4)
        .with_reference_line(ReferenceLine::horizontal(0.0).with_color(GREY))
        .with_title(title);
    (plots, layout)
}

fn exponents(named: &[(&str, usize, &Linearised)]) -> Option<(Vec<Plot>, Layout)> {
    let mut plots = Vec::new();
    let mut most = 0;
    for (title, k, slow) in all(named) {
        let Some(found) = slow.lyapunov.found().filter(|found| !found.exponents.is_empty()) else { continue };
        most = most.max(found.exponents.len());
        let values = found.exponents.iter().enumerate().map(|(k, pair)| (k as f64 + 1.0, pair.0)).collect();
        let errors: Vec<f64> = found.exponents.iter().map(|pair| pair.1).collect();
        let size = 4.5 - 0.8 * plots.len().min(3) as f64;
        let marks = ScatterPlot::new().with_data::<f64, f64, Vec<(f64, f64)>>(values).with_color(colour(k));
        plots.push(Plot::Scatter(marks.with_size(size).with_y_err(errors).with_legend(title)));
    }
    if plots.is_empty() {
        return None;
    }
    let layout = layout(&plots, "number of the exponent", "exponent per step")
        .with_ticks(4)
        .with_x_axis_min(0.0)
        .with_x_axis_max(most as f64 + 1.0)
        .with_x_tick_step(1.0)
        .with_reference_line(ReferenceLine::horizontal(0.0).with_color(GREY))
        .with_legend_position(LegendPosition::OutsideBottomColumns);
    Some((plots, layout))
}

/// The part of the chapter on slow dynamics: a row for every network and held input.
///
/// named: name as HTML, network.
#[must_use]
pub(super) fn part(named: &[(&str, &Linearised)], figure: &str) -> String {
    let row = |name: &str, held: &str, slow: &Slow| {
        let curve = slow.curve.found().map_or("none".into(), |curve| {
            format!(
                "{}<small>{} lengths a step at most</small>",
                curve.shape,
                scientific(curve.largest_speed)
            )
        });
        let exponents = slow.lyapunov.found().map_or_else(Vec::new, |found| {
            found.exponents.iter().take(4).map(|(value, _)| format!("{value:.4}")).collect()
        });
        let dimension = slow.lyapunov.found().map_or("–".into(), |found| {
            found.kaplan_yorke.map_or("above those computed".into(), |dimension| format!("{dimension:.2}"))
        });
        let exponents = if exponents.is_empty() { "–".into() } else { exponents.join(", ") };
        let reduced = slow.reduced.found().map_or("–".into(), |found| {
            format!("{}<small>degree {}</small>", percent(found.nmte), found.degree)
        });
        vec![name.to_owned(), escape(held), curve, exponents, dimension, reduced]
    };
    let rows: Vec<Vec<String>> = named
        .iter()
        .flat_map(|(name, network)| network.held.iter().map(move |held| (name, held)))
        .filter_map(|(name, held)| Some(row(name, &held.name, held.slow_dynamics.as_ref()?)))
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let notes = named.iter().flat_map(|(name, network)| {
        network.held.iter().filter_map(move |held| {
            let said = said(held.slow_dynamics.as_ref()?);
            Some(format!("<li>{name}, {}: {}.</li>\n", escape(&held.name), escape(&said)))
        })
    });
    let head = [
        "network",
        "held input",
        "slow curve",
        "Lyapunov exponents",
        "Kaplan-Yorke dimension",
        "reduced model, NMTE",
    ];
    format!(
        "<p>What is slow under the held input, in steps: the curve that states fall on and creep along, with its verdict; the rates at which neighbouring states part (above 0) or meet; a polynomial model of the curve, learnt from simulated trajectories, and its normalised mean error on others.</p>\n{figure}{}<ul>\n{}</ul>\n",
        table("slow dynamics", &head, &rows),
        notes.collect::<String>()
    )
}

/// The verdict on the curve, and why anything is missing.
fn said(slow: &Slow) -> String {
    let mut parts = vec![match &slow.curve {
        Outcome::Found(curve) => curve.sentence.clone(),
        Outcome::Skipped(reason) => reason.clone(),
    }];
    match &slow.lyapunov {
        Outcome::Found(found) if found.exponents.is_empty() => {
            parts.push("no exponent is finite: it comes to rest in a step".into());
        }
        Outcome::Skipped(reason) => parts.push(reason.clone()),
        Outcome::Found(_) => {}
    }
    if let (Outcome::Found(_), Outcome::Skipped(reason)) = (&slow.curve, &slow.reduced) {
        parts.push(reason.clone());
    }
    parts.join("; ")
}
