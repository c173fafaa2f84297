//! The figure of inputs, integrals and what is wrong with them.

use kuva::plot::legend::{LegendEntry, LegendShape};
use kuva::render::figure::Figure as Grid;
use kuva::render::plots::Plot;

use super::Report;
use super::figures::{Figure, GREY, TARGET, colour, layout, line};
use super::text::{grouped, list, percent};

/// Width and height of a panel, in pixels: inputs, integrals, errors; the last row has the time below.
const WIDTHS: [f64; 3] = [240.0, 420.0, 250.0];
const HEIGHT: f64 = 132.0;
const TIME: f64 = 24.0;
const TITLE: f64 = 22.0;

/// Widths of the lines of the first, second ... network: on top of one another all are seen.
const STROKES: [f64; 4] = [3.4, 1.8, 0.7, 0.5];

/// Rows: channels; columns: input, target and outputs, errors.
pub fn figure(report: &Report) -> Figure {
    let channels = report.task.channels();
    let dt = report.recording.dt.unwrap_or(1.0);
    let time = if report.recording.dt.is_some() { "time (s)" } else { "step" };
    let from = report.first as f64 * dt;
    let to = from + (report.targets[0].len() - 1).max(1) as f64 * dt;
    let points = |trace: &mut dyn Iterator<Item = f64>, limit: f64| -> Vec<(f64, f64)> {
        let at = trace.enumerate().map(|(t, y)| (from + t as f64 * dt, y));
        at.filter(|(_, y)| y.abs() <= limit).collect()
    };
    let (mut plots, mut layouts) = (Vec::new(), Vec::new());
    for c in 0..channels {
        let target = &report.targets[c];
        // A network that diverges leaves the panel, not the scale of the others.
        let limit = 3.0 * target.iter().fold(f64::MIN_POSITIVE, |most, y| most.max(y.abs()));
        let mut outputs = vec![Plot::Line(line(points(&mut target.iter().copied(), f64::MAX), TARGET, 5.5))];
        let mut errors = Vec::new();
        for (k, network) in report.networks.iter().enumerate() {
            let y = points(&mut network.outputs[c].iter().copied(), limit);
            outputs.push(Plot::Line(line(y, colour(k), STROKES[k.min(STROKES.len() - 1)])));
            let error = network.outputs[c].iter().zip(target).map(|(y, target)| y - target);
            errors.push(Plot::Line(line(points(&mut { error }, limit), colour(k), 1.1)));
        }
        let input = points(&mut report.inputs[c].iter().copied(), f64::MAX);
        let row = [vec![Plot::Line(line(input, GREY, 1.0))], outputs, errors];
        let titles = ["input", "integral: target and outputs", "output − target"];
        for (k, panel) in row.into_iter().enumerate() {
            let (first, last) = (c == 0, c + 1 == channels);
            let name = if k == 0 { report.recording.channels[c].as_str() } else { "" };
            let mut layout = layout(&panel, if last { time } else { "" }, name)
                .with_x_axis_min(from)
                .with_x_axis_max(to)
                .with_ticks(4)
                .with_force_margins(if k == 0 { 58.0 } else { 48.0 }, 10.0)
                .with_force_margins_y(
                    if first { 6.0 + TITLE } else { 6.0 },
                    if last { 22.0 + TIME } else { 22.0 },
                );
            if first {
                layout = layout.with_title(titles[k]);
            }
            plots.push(panel);
            layouts.push(layout);
        }
    }
    let key = |label: &str, color: &str| LegendEntry {
        label: label.into(),
        color: color.into(),
        shape: LegendShape::Line,
        dasharray: None,
    };
    let mut keys = vec![key("target", TARGET)];
    keys.extend(report.networks.iter().enumerate().map(|(k, network)| key(&network.name, colour(k))));
    let mut grid = Grid::new(channels, 3)
        .with_plots(plots)
        .with_layouts(layouts)
        .with_cell_size(WIDTHS[1], HEIGHT)
        .with_spacing(4.0)
        .with_padding(4.0)
        .with_shared_legend_entries(keys)
        .with_shared_legend_bottom();
    for (k, width) in WIDTHS.into_iter().enumerate() {
        grid = grid.with_col_width(k, width);
    }
    // One row may be both the first and the last.
    for row in 0..channels {
        let extra = if row == 0 { TITLE } else { 0.0 } + if row + 1 == channels { TIME } else { 0.0 };
        grid = grid.with_row_height(row, HEIGHT + extra);
    }
    Figure { name: "traces", caption: caption(report), scene: grid.render() }
}

fn caption(report: &Report) -> String {
    let errors: Vec<String> =
        report.networks.iter().map(|n| format!("{} {}", n.name, percent(n.recording))).collect();
    format!(
        "{} steps of the recordings, joined end to end. Left: inputs as the networks get them. Middle: their leaky integrals, and the outputs on top, each drawn thinner than the one before. Right: what is left when the target is taken away. Relative RMSE over {} steps, worst channel: {}.",
        grouped(report.targets[0].len() as u64),
        grouped(report.steps as u64),
        list(&errors)
    )
}
