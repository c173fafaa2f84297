//! The report page: one HTML file that needs nothing else.

use std::fmt::Write as _;

use serde_json::json;

use super::Report;
use super::figures::{COLOURS, Figure, diverging, percent, ranked, shown};
use crate::verify::Verdict;

const STYLE: &str = include_str!("style.css");
const VIEWER: &str = include_str!("viewer.js");

/// Text with the five special characters of HTML escaped.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            other => out.push(other),
        }
    }
    out
}

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
    if shown(report).is_some_and(|(_, network)| !network.manifold.is_empty()) {
        section(&mut page, "The manifold", &(viewer(report) + &figure("manifold") + &figure("coordinates")));
    }
    section(&mut page, "Decays", &decays(report));
    section(&mut page, "The same bits on every chip", &verification(report));
    section(&mut page, "What a chip pays", &chips(report));
    section(&mut page, "Make it again", &reproduce(report));
    page += "</main>\n</body>\n</html>\n";
    page
}

fn section(page: &mut String, title: &str, body: &str) {
    let _ = writeln!(page, "<section>\n<h2>{title}</h2>\n{body}</section>");
}

fn embed(figure: &Figure) -> String {
    let caption = escape(&figure.caption);
    // kuva numbers the ids of a figure from 0: two figures on one page must not share them.
    let svg = figure
        .inline()
        .replace("id=\"", &format!("id=\"{}-", figure.name))
        .replace("url(#", &format!("url(#{}-", figure.name))
        .replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{caption}\" "), 1);
    format!(
        "<figure>\n<div class=\"scroll\" tabindex=\"0\">{svg}</div>\n<figcaption>{caption}</figcaption>\n</figure>\n"
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
    let errors =
        report.networks.iter().map(|network| format!("{} {}", network.name, percent(network.recording)));
    let mut text = format!(
        "{}: {} signals, integrated at once with decays {}. Relative error over {} steps: {}. ",
        report.recording.name,
        report.task.channels(),
        report.task.decays.iter().map(f64::to_string).collect::<Vec<String>>().join(", "),
        report.steps,
        errors.collect::<Vec<String>>().join(", ")
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
        cards.push((percent(exact.recording), format!("error of the {} design, f64", exact.name)));
        cards.push((percent(exact.recording_f32), "the same in core f32, as on a chip".into()));
    }
    for network in report.networks.iter().skip(1) {
        cards.push((percent(network.recording), format!("error of the {} network", network.name)));
    }
    let (equal, all) = equal_chips(report);
    if all > 0 {
        cards.push((format!("{equal} / {all}"), "emulated chips bit-equal to the host".into()));
    }
    let costs = report.networks.iter().map(|network| network.multiply_adds);
    if let (Some(least), Some(most)) = (costs.clone().min(), costs.max()) {
        cards.push((
            format!("{:.1} ×", most as f64 / least.max(1) as f64),
            "fewer multiply-adds in the latent than dense".into(),
        ));
    }
    let items = cards
        .iter()
        .map(|(value, what)| format!("<li><b>{}</b><span>{}</span></li>\n", escape(value), escape(what)));
    format!("<ul class=\"cards\">\n{}</ul>\n", items.collect::<String>())
}

/// A table; cells are HTML already.
fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: String = head.iter().map(|cell| format!("<th scope=\"col\">{cell}</th>")).collect();
    let rows: String = rows
        .iter()
        .map(|row| {
            let cells: String = row.iter().map(|cell| format!("<td>{cell}</td>")).collect();
            format!("<tr>{cells}</tr>\n")
        })
        .collect();
    format!(
        "<div class=\"scroll\" tabindex=\"0\"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n"
    )
}

fn name_of(k: usize, name: &str) -> String {
    format!("<span class=\"key\" style=\"background:{}\"></span>{}", COLOURS[k % COLOURS.len()], escape(name))
}

fn networks(report: &Report) -> String {
    let rows: Vec<Vec<String>> = report
        .networks
        .iter()
        .enumerate()
        .map(|(k, network)| {
            let rank = if network.rank == 0 { "dense".into() } else { network.rank.to_string() };
            vec![
                name_of(k, &network.name),
                escape(&network.origin),
                network.neurons.to_string(),
                rank,
                percent(network.gaussian),
                percent(network.recording),
                percent(network.recording_f32),
            ]
        })
        .collect();
    table(
        &["network", "made by", "n", "rank", "Gaussian, f64", "recording, f64", "recording, core f32"],
        &rows,
    )
}

fn decays(report: &Report) -> String {
    let mut head = vec!["channel".to_owned(), "wanted".into()];
    head.extend(report.networks.iter().map(|network| escape(&network.name)));
    let rows: Vec<Vec<String>> = (0..report.task.channels())
        .map(|c| {
            let name = report.recording.channels.get(c).map_or(String::new(), |name| escape(name));
            let mut row = vec![name, format!("{:.6}", report.task.decays[c])];
            row.extend(report.networks.iter().map(|network| format!("{:.6}", network.decays[c])));
            row
        })
        .collect();
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    format!(
        "<p>How much of an integral is left after a step: wanted, and as each network does it.</p>\n{}",
        table(&head, &rows)
    )
}

fn verification(report: &Report) -> String {
    let rows: Vec<Vec<String>> = report
        .verification
        .backends
        .iter()
        .map(|row| {
            let bits = match row.bit_equal {
                None => "truth".into(),
                Some(true) => "<span class=\"pass\">yes</span>".to_owned(),
                Some(false) => "<span class=\"fail\">no</span>".to_owned(),
            };
            let verdict = match row.verdict {
                Verdict::Pass => "<span class=\"pass\">pass</span>",
                Verdict::Fail => "<span class=\"fail\">fail</span>",
            };
            vec![
                escape(&row.name),
                row.cases.to_string(),
                row.words.to_string(),
                bits,
                format!("{:.1e}", row.max_abs),
                format!("{:.1e}", row.rms),
                row.max_abs_original.map_or("–".into(), |error| format!("{error:.1e}")),
                verdict.into(),
            ]
        })
        .collect();
    let note = report.missing.as_ref().map(|text| format!("<p class=\"note\">{}</p>\n", escape(text)));
    format!(
        "<p>Every output and every carried word of every step, compared bit for bit with <code>tinyfold-core</code> on this host, and in size with an independent simulation in f64 of the exported weights.</p>\n{}{}",
        table(
            &[
                "backend",
                "cases",
                "words",
                "bit-equal",
                "largest error",
                "RMS error",
                "against original weights",
                "verdict"
            ],
            &rows
        ),
        note.unwrap_or_default()
    )
}

fn chips(report: &Report) -> String {
    let networks: Vec<Vec<String>> = report
        .networks
        .iter()
        .enumerate()
        .map(|(k, network)| {
            vec![
                name_of(k, &network.name),
                network.multiply_adds.to_string(),
                network.model_bytes.to_string(),
            ]
        })
        .collect();
    let mut body = table(&["network", "multiply-adds a step", "bytes of the model"], &networks);
    if report.chips.is_empty() {
        let _ = writeln!(
            body,
            "<p class=\"note\">Flash, RAM and stack of the images are measured on the emulated chips; none ran here.</p>"
        );
        return body;
    }
    let rows: Vec<Vec<String>> = report
        .chips
        .iter()
        .map(|chip| {
            vec![
                format!("{} ({})", escape(&chip.name), escape(&chip.core)),
                chip.flash.to_string(),
                chip.static_ram.to_string(),
                chip.stack.to_string(),
            ]
        })
        .collect();
    body += &table(&["chip", "flash of the image, bytes", "static RAM, bytes", "worst stack, bytes"], &rows);
    body
}

fn viewer(report: &Report) -> String {
    let Some((_, network)) = shown(report) else { return String::new() };
    let dimension = network.manifold.first().map_or(0, |point| point.coordinates.len().min(3));
    let short = |x: f64| (x * 1e4).round() / 1e4;
    let points: Vec<Vec<f64>> = network
        .manifold
        .iter()
        .map(|point| point.coordinates.iter().take(3).map(|&x| short(x)).collect())
        .collect();
    let colours: Vec<Vec<String>> = (0..report.task.channels())
        .map(|c| {
            let values: Vec<f64> = network.manifold.iter().map(|point| point.integrals[c]).collect();
            ranked(&values).into_iter().map(diverging).collect()
        })
        .collect();
    // "<" cannot occur in numbers and colours, so the JSON cannot end the script element.
    let data = json!({ "dimension": dimension, "points": points, "colours": colours });
    let buttons: String = (0..report.task.channels())
        .map(|c| {
            let name = report.recording.channels.get(c).map_or(String::new(), |name| escape(name));
            format!("<button type=\"button\" data-integral=\"{c}\" aria-pressed=\"{}\">integral of {name}</button>\n", c == 0)
        })
        .collect();
    format!(
        "<div class=\"viewer\"><canvas id=\"manifold-view\" tabindex=\"0\" role=\"img\" aria-label=\"The state of the {} network in {dimension} manifold coordinates; arrow keys turn it, plus and minus zoom\"></canvas></div>\n<div class=\"controls\"><span>Colour:</span>\n{buttons}</div>\n<script type=\"application/json\" id=\"manifold-data\">{data}</script>\n<script>\n{VIEWER}</script>\n",
        escape(&network.name)
    )
}

fn reproduce(report: &Report) -> String {
    let source = &report.recording;
    let dt = source.dt.map_or("unknown sampling interval".into(), |dt| format!("{dt} s between samples"));
    format!(
        "<pre>{}</pre>\n<p>tinyfold {}, seed {}. Recording: {}, {} recordings, {} samples, {dt}.</p>\n<footer><p>The task and the low-rank picture: A. Fanthomme and R. Monasson, <a href=\"https://arxiv.org/abs/2011.10435\">Low-dimensional manifolds support multiplexed integrations in recurrent neural networks</a> (2021). The data of every figure and table is in <code>report.json</code>; the figures are in <code>figures/</code> as SVG and PNG.</p></footer>\n",
        escape(&report.command),
        escape(&report.version),
        report.seed,
        escape(&source.name),
        source.recordings,
        source.samples,
    )
}
