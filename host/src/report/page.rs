//! The report page: one HTML file that needs nothing else.

use std::fmt::Write as _;

use serde_json::json;

use super::Report;
use super::figures::{Figure, colour, drawable, ranked, shown};
use super::learning::{self, Learning};
use super::multipliers;
use super::text::{escape, grouped, list, percent, scientific};
use crate::adapt::zero::FREE;
use crate::verify::Verdict;

const STYLE: &str = include_str!("style.css");
const VIEWER: &str = include_str!("viewer.js");

/// The page of a report with its figures.
#[must_use]
pub fn render(report: &Report, figures: &[Figure]) -> String {
    let title = escape(&report.title);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<header>\n<h1>{title}</h1>\n<p class=\"lead\">{}</p>\n{}</header>\n",
        escape(&verdict(report)),
        cards(report)
    );
    let figure =
        |name: &str| figures.iter().find(|figure| figure.name == name).map(embed).unwrap_or_default();
    section(&mut page, "What the networks compute", &figure("traces"));
    section(&mut page, "Error against time", &(figure("errors") + &networks(report)));
    section(&mut page, "How many dimensions the weights use", &figure("singular-values"));
    section(&mut page, "The manifold", &(viewer(report) + &figure("manifold") + &figure("coordinates")));
    section(&mut page, "Decays", &decays(report));
    section(&mut page, "Dynamics", &dynamics(report, &figure("dynamics"), &figure("slow-dynamics")));
    section(&mut page, "The same bits on every chip", &verification(report));
    section(&mut page, "What a chip pays", &chips(report));
    if let Some(learning) = &report.learning {
        section(&mut page, "Learning on the chip", &(figure("drift") + &from_zero(learning)));
    }
    section(&mut page, "Make it again", &reproduce(report));
    page += "</main>\n</body>\n</html>\n";
    page
}

fn section(page: &mut String, title: &str, body: &str) {
    let _ = writeln!(page, "<section>\n<h2>{title}</h2>\n{body}</section>");
}

fn embed(figure: &Figure) -> String {
    let (name, caption) = (figure.name, escape(&figure.caption));
    // kuva numbers the ids of a figure from 0: two figures on one page must not share them.
    let svg = figure
        .inline()
        .replace("id=\"", &format!("id=\"{name}-"))
        .replace("url(#", &format!("url(#{name}-"))
        .replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{caption}\" "), 1);
    format!(
        "<figure>\n<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"Figure {name}\">{svg}</div>\n<figcaption>{caption}</figcaption>\n</figure>\n"
    )
}

fn equal_chips(report: &Report) -> (usize, usize) {
    let chips: Vec<bool> = report
        .verification
        .backends
        .iter()
        .filter(|row| row.name.starts_with("qemu"))
        .map(|row| row.bit_equal == Some(true))
        .collect();
    (chips.iter().filter(|equal| **equal).count(), chips.len())
}

fn verdict(report: &Report) -> String {
    let errors: Vec<String> = report
        .networks
        .iter()
        .map(|network| format!("{} {}", network.name, percent(network.recording)))
        .collect();
    let decays: Vec<String> = report.task.decays.iter().map(f64::to_string).collect();
    let channels = report.task.channels();
    let signals = if channels == 1 { "1 signal, integrated" } else { "signals, integrated at once" };
    let mut text = format!(
        "{}: {}{signals} with decay{} {}. Relative error over {} steps: {}. ",
        report.recording.name,
        if channels == 1 { String::new() } else { format!("{channels} ") },
        if channels == 1 { "" } else { "s" },
        list(&decays),
        grouped(report.steps as u64),
        list(&errors)
    );
    match equal_chips(report) {
        (_, 0) => text += "No chip was emulated on this machine.",
        (equal, all) if equal == all => {
            let _ = write!(text, "All {all} emulated chips compute the same bits as this host.");
        }
        (equal, all) => {
            let _ = write!(text, "Only {equal} of {all} emulated chips compute the same bits as this host.");
        }
    }
    text
}

fn cards(report: &Report) -> String {
    let mut cards = Vec::new();
    if let Some(exact) = report.networks.first() {
        cards.push((percent(exact.recording), format!("error of the {} network, f64", exact.name)));
        cards.push((percent(exact.recording_f32), "the same in core f32, as on a chip".into()));
    }
    for network in report.networks.iter().skip(1) {
        cards.push((percent(network.recording), format!("error of the {} network", network.name)));
    }
    let (equal, all) = equal_chips(report);
    if all > 0 {
        cards.push((format!("{equal} / {all}"), "emulated chips bit-equal to the host".into()));
    }
    let costs = |dense: bool| {
        let networks = report.networks.iter().filter(move |network| (network.rank == 0) == dense);
        networks.map(|network| network.multiply_adds).min()
    };
    if let (Some(latent), Some(dense)) = (costs(false), costs(true)) {
        cards.push((
            format!("{:.1}\u{202f}×", dense as f64 / latent.max(1) as f64),
            "fewer multiply-adds a step in the latent than dense".into(),
        ));
    }
    let items = cards
        .iter()
        .map(|(value, what)| format!("<li><b>{}</b><span>{}</span></li>\n", escape(value), escape(what)));
    format!("<ul class=\"cards\">\n{}</ul>\n", items.collect::<String>())
}

/// A table; cells are HTML already. The first column names its row.
pub(super) fn table(what: &str, head: &[&str], rows: &[Vec<String>]) -> String {
    let head: String = head.iter().map(|cell| format!("<th scope=\"col\">{cell}</th>")).collect();
    let rows: String = rows
        .iter()
        .map(|row| {
            let cells = row.iter().enumerate().map(|(k, cell)| match k {
                0 => format!("<th scope=\"row\">{cell}</th>"),
                _ => format!("<td>{cell}</td>"),
            });
            format!("<tr>{}</tr>\n", cells.collect::<String>())
        })
        .collect();
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"Table: {what}\"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n"
    )
}

fn name_of(k: usize, name: &str) -> String {
    format!("<span class=\"key\" style=\"background:{}\"></span>{}", colour(k), escape(name))
}

fn networks(report: &Report) -> String {
    let rows: Vec<Vec<String>> = report
        .networks
        .iter()
        .enumerate()
        .map(|(k, network)| {
            let rank = if network.rank == 0 { "dense".into() } else { network.rank.to_string() };
            vec![
                format!("{}<small>{}</small>", name_of(k, &network.name), escape(&network.origin)),
                network.neurons.to_string(),
                rank,
                percent(network.gaussian),
                percent(network.recording),
                percent(network.recording_f32),
            ]
        })
        .collect();
    table(
        "errors of the networks",
        &["network", "n", "rank", "Gaussian, f64", "recording, f64", "recording, core f32"],
        &rows,
    )
}

fn decays(report: &Report) -> String {
    let mut head = vec!["channel".to_owned(), "wanted".into()];
    head.extend(report.networks.iter().map(|network| escape(&network.name)));
    let rows: Vec<Vec<String>> = (0..report.task.channels())
        .map(|c| {
            let mut row =
                vec![escape(&report.recording.channels[c]), format!("{:.6}", report.task.decays[c])];
            row.extend(report.networks.iter().map(|network| match network.decays[c] {
                decay if decay.abs() < 100.0 => format!("{decay:.6}"),
                _ => "diverged".into(),
            }));
            row
        })
        .collect();
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    format!(
        "<p>How much of an integral is left after a step: wanted, and as each network does it.</p>\n{}",
        table("decays", &head, &rows)
    )
}

fn dynamics(report: &Report, figure: &str, slow: &str) -> String {
    let networks = report.networks.iter().enumerate();
    let named: Vec<_> = networks.map(|(k, n)| (name_of(k, &n.name), n.dynamics.as_ref())).collect();
    multipliers::chapter(&named, figure, slow)
}

fn verification(report: &Report) -> String {
    let mark = |good: bool, text: &str| {
        format!("<span class=\"{}\">{text}</span>", if good { "pass" } else { "fail" })
    };
    let backends = &report.verification.backends;
    let rows: Vec<Vec<String>> = backends
        .iter()
        .map(|row| {
            vec![
                escape(&row.name),
                row.cases.to_string(),
                grouped(row.words as u64),
                row.bit_equal.map_or("truth".into(), |equal| mark(equal, if equal { "yes" } else { "no" })),
                scientific(row.max_abs),
                scientific(row.rms),
                scientific(row.max_relative),
                row.max_abs_original.map_or("–".into(), scientific),
                match row.verdict {
                    Verdict::Pass => mark(true, "pass"),
                    Verdict::Fail => mark(false, "fail"),
                },
            ]
        })
        .collect();
    let tolerance = report.networks.iter().map(|network| network.tolerance).fold(0.0, f64::max);
    let head = [
        "backend",
        "cases",
        "words",
        "bit-equal",
        "largest error",
        "RMS error",
        "relative",
        "original weights",
        "verdict",
    ];
    let mut body = format!(
        "<p>Every output and every carried word of every step: compared bit for bit with <code>tinyfold-core</code> on this host, and in size with an independent simulation in f64 of the exported weights. A backend passes if it has the same bits and its largest error, relative to the largest value of the run, is at most {}. In the column of the original weights the truth is the network before it was rounded to f32.</p>\n{}",
        scientific(tolerance),
        table("verification", &head, &rows)
    );
    for failure in backends.iter().flat_map(|row| row.failures.iter().map(move |why| (&row.name, why))) {
        let _ = writeln!(body, "<p class=\"note bad\">{}: {}</p>", escape(failure.0), escape(failure.1));
    }
    if equal_chips(report).1 == 0 {
        body += &no_chips(report);
    }
    body
}

/// What is missing and how to get it, and the command that then adds the chips.
fn no_chips(report: &Report) -> String {
    match &report.missing {
        Some(missing) => format!(
            "<p class=\"note\">No emulated chip ran: {}; then <code>{}</code> again.</p>\n",
            escape(missing),
            escape(&report.command)
        ),
        None => "<p class=\"note\">No emulated chip ran: none was asked for.</p>\n".into(),
    }
}

fn chips(report: &Report) -> String {
    let networks: Vec<Vec<String>> = report
        .networks
        .iter()
        .enumerate()
        .map(|(k, network)| {
            vec![
                name_of(k, &network.name),
                if network.rank == 0 { "dense".into() } else { format!("rank {}", network.rank) },
                grouped(network.multiply_adds as u64),
                grouped(network.model_bytes as u64),
            ]
        })
        .collect();
    let head = ["network", "recurrence", "multiply-adds a step", "model, bytes"];
    let mut body = table("cost of the networks", &head, &networks);
    if report.chips.is_empty() {
        return body + &no_chips(report);
    }
    let rows: Vec<Vec<String>> = report
        .chips
        .iter()
        .map(|chip| {
            let mut row = vec![
                format!("{}<small>{}</small>", escape(&chip.name), escape(&chip.core)),
                grouped(chip.flash),
            ];
            let models = report.networks.iter().map(|network| network.model_bytes as u64);
            row.extend(models.map(|bytes| grouped(chip.flash + bytes)));
            row.extend([grouped(chip.static_ram), grouped(chip.stack.into())]);
            row
        })
        .collect();
    let with = report.networks.iter().map(|network| format!("with {}", escape(&network.name)));
    let head: Vec<String> = ["chip".to_owned(), "flash, code".into()]
        .into_iter()
        .chain(with)
        .chain(["static RAM".to_owned(), "worst stack".into()])
        .collect();
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    body += "<p>Bytes of the image that runs any model: flash of code and constants alone and with each model, static RAM (with the buffers for state and samples, which the board sizes), and the deepest stack seen.</p>\n";
    body + &table("cost on the chips", &head, &rows)
}

fn from_zero(learning: &Learning) -> String {
    if learning.zero.is_empty() {
        return String::new();
    }
    let head = [
        "network",
        "decays",
        "learning steps",
        "error afterwards",
        "memory, bytes",
        "words equal to the host's",
    ];
    format!(
        "<p>From nothing: U starts at zero, V and the readout are random, and exact real-time recurrent learning in the latent finds the rest on {}, sample by sample. The error is taken over {} new steps without targets.</p>\n{}",
        escape(if learning.on == "core" { "this host" } else { &learning.on }),
        grouped(FREE as u64),
        table("learning from nothing", &head, &learning::rows(learning))
    )
}

fn viewer(report: &Report) -> String {
    let Some((_, network)) = shown(report) else {
        return "<p class=\"note\">No network has points on a manifold to show: all diverged, or <code>report.json</code> holds none. <code>tinyfold quickstart</code> adds them.</p>\n".into();
    };
    let points = drawable(network);
    let dimension = points[0].coordinates.len().min(3);
    if dimension < 2 {
        return String::new();
    }
    let largest =
        points.iter().flat_map(|p| p.coordinates.iter().take(3)).fold(0.0_f64, |m, x| m.max(x.abs()));
    // Thousandths of the whole are finer than a pixel.
    let whole = |x: f64| (x / largest.max(f64::MIN_POSITIVE) * 1000.0).round() as i32;
    let places: Vec<Vec<i32>> =
        points.iter().map(|p| p.coordinates.iter().take(3).map(|&x| whole(x)).collect()).collect();
    let levels: Vec<Vec<i32>> = (0..report.task.channels())
        .map(|c| {
            let values: Vec<f64> = points.iter().map(|point| point.integrals[c]).collect();
            ranked(&values).into_iter().map(|level| (level * 200.0).round() as i32).collect()
        })
        .collect();
    // "<" cannot occur in numbers, so the JSON cannot end the script element.
    let data = json!({ "dimension": dimension, "points": places, "levels": levels });
    let buttons: String = (0..report.task.channels())
        .map(|c| {
            let name = escape(&report.recording.channels[c]);
            format!(
                "<button type=\"button\" data-integral=\"{c}\" aria-pressed=\"{}\">{name}</button>\n",
                c == 0
            )
        })
        .collect();
    format!(
        "<div class=\"viewer\" id=\"manifold-viewer\" hidden>\n<canvas id=\"manifold-view\" tabindex=\"0\" role=\"img\" aria-label=\"The state of the {} network in {dimension} manifold coordinates. Arrow keys turn it, plus and minus zoom, 0 resets.\"></canvas>\n<div class=\"controls\" role=\"group\" aria-label=\"Manifold view\">\n<span>Colour by the integral of</span>\n{buttons}<span class=\"scale\" aria-hidden=\"true\">low<i></i>high</span>\n<span class=\"zoom\"><button type=\"button\" data-zoom=\"1.25\" aria-label=\"Zoom in\">+</button>\n<button type=\"button\" data-zoom=\"0.8\" aria-label=\"Zoom out\">−</button>\n<button type=\"button\" data-zoom=\"0\">Reset</button></span>\n</div>\n<p class=\"hint\">Drag or use the arrow keys to turn; pinch, + and − to zoom.</p>\n</div>\n<noscript><p class=\"note\">Turning the manifold needs JavaScript; the projections below show the same points.</p></noscript>\n<script type=\"application/json\" id=\"manifold-data\">{data}</script>\n<script>\n{VIEWER}</script>\n",
        escape(&network.name)
    )
}

fn reproduce(report: &Report) -> String {
    let source = &report.recording;
    let dt = source.dt.map_or("unknown sampling interval".into(), |dt| format!("{dt} s between samples"));
    let recordings = if source.recordings == 1 { "recording" } else { "recordings" };
    format!(
        "<pre tabindex=\"0\">{}</pre>\n<p>tinyfold {}, seed {}; the same seed gives the same bits. Recording: {}, {} {recordings}, {} samples, {dt}. To draw this page again: <code>tinyfold report</code> and the folder of the run.</p>\n<footer><p>The task and the low-rank picture: A. Fanthomme and R. Monasson, <a href=\"https://arxiv.org/abs/2011.10435\">Low-dimensional manifolds support multiplexed integrations in recurrent neural networks</a> (2021). The data of every figure and table is in <code>report.json</code>; the figures are in <code>figures/</code> as SVG and PNG.</p></footer>\n",
        escape(&report.command),
        escape(&report.version),
        report.seed,
        escape(&source.name),
        source.recordings,
        grouped(source.samples as u64),
    )
}
