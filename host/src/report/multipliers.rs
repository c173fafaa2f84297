//! The figure of multipliers, and the chapter on dynamics in the report page.

use kuva::plot::{LineStyle, MarkerShape, ScatterPlot};
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;

use super::figures::{Figure, GREY, INK, colour, columns, layout, line, log_y, with_powers_of_ten};
use super::linearised::{Held, KEPT, LARGEST, Linearised, time_constant};
use super::page::table;
use super::text::{escape, scientific};

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
    let [first, second] = if named.len() == 1 { ["Left", "Right"] } else { ["Top", "Bottom"] };
    let caption = format!(
        "{}: the multipliers (eigenvalues lambda of the derivative of a step) at steps of a run, as dots, with the unit circle{}{}. {}: their time constants, -1 / ln |lambda| steps, by rank: median and range over the run{}.",
        first,
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
        second,
        if named.iter().any(|(_, _, network)| network.channels > 0) {
            "; dashed: those asked for. Networks that integrate D signals have D slow ones"
        } else {
            ""
        }
    );
    let cells = planes.chain(ranks).collect();
    Some(Figure { name: "dynamics", caption, scene: columns(cells, named.len().max(2), 280.0) })
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

/// The chapter: for each network its fixed points, the slow multipliers beside those asked for, then slow dynamics.
///
/// named: name as HTML, network; none where the network was too large or diverged. slow: the figure of slow dynamics.
#[must_use]
pub(super) fn chapter(named: &[(String, Option<&Linearised>)], figure: &str, slow: &str) -> String {
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
    body += "</ul>\n";
    body + &super::slow::part(&known, slow)
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
