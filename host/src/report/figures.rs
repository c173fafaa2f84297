//! The figures of a report, by `kuva`: SVG for the page and for papers, PNG for everything else.

use std::sync::Arc;

use kuva::backend::raster::RasterBackend;
use kuva::backend::svg::SvgBackend;
use kuva::plot::{LegendPosition, LinePlot, LineStyle, ScatterPlot};
use kuva::render::annotations::ReferenceLine;
use kuva::render::figure::Figure as Grid;
use kuva::render::layout::{Layout, TickFormat};
use kuva::render::plots::Plot;
use kuva::render::render::Scene;
use kuva::render::theme::Theme;

use super::{NetworkReport, Report};
use crate::{Error, Result};

/// Colours of the networks, in order: told apart by the colour-blind (Okabe & Ito 2008).
pub const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];
/// Text and axes of a figure; the page replaces it by its own ink.
const INK: &str = "#1f2328";
/// Grid lines of a figure; the page replaces it by its own.
const GRID: &str = "#e3e6ea";
/// Background of a figure; the page makes it transparent.
const PAPER: &str = "#fffffe";
/// Targets, drawn wide below the outputs.
const TARGET: &str = "#b8c0c9";
/// Inputs and marks.
const GREY: &str = "#6e7781";

/// A figure with its name and what it shows.
pub struct Figure {
    /// File name without ending.
    pub name: &'static str,
    /// What is seen, with the numbers.
    pub caption: String,
    scene: Scene,
}

impl Figure {
    /// The figure as an SVG file that scales.
    #[must_use]
    pub fn svg(&self) -> String {
        let svg = SvgBackend::default().render_scene(&self.scene);
        let (width, height) = (self.scene.width, self.scene.height);
        if svg.contains("viewBox") {
            svg
        } else {
            svg.replacen("<svg ", &format!("<svg viewBox=\"0 0 {width} {height}\" "), 1)
        }
    }

    /// The SVG for a page with its own colours: `currentColor` for ink, `var(--grid)` for grid lines.
    #[must_use]
    pub fn inline(&self) -> String {
        let svg = self.svg();
        let svg = svg.find("<svg").map_or("", |start| &svg[start..]);
        svg.replace(INK, "currentColor").replace(GRID, "var(--grid)").replace(PAPER, "none")
    }

    /// The figure as PNG, twice the size.
    ///
    /// # Errors
    /// The image cannot be drawn.
    pub fn png(&self) -> Result<Vec<u8>> {
        RasterBackend::new()
            .with_scale(2.0)
            .render_scene(&self.scene)
            .map_err(|reason| Error::Numeric { what: format!("figure {}", self.name), reason })
    }
}

fn theme() -> Theme {
    Theme {
        background: PAPER.into(),
        axis_color: INK.into(),
        grid_color: GRID.into(),
        tick_color: INK.into(),
        text_color: INK.into(),
        legend_bg: "none".into(),
        legend_border: "none".into(),
        ..Theme::light()
    }
}

/// All figures of a report, in the order of the page.
#[must_use]
pub fn all(report: &Report) -> Vec<Figure> {
    let mut figures = vec![traces(report), errors(report), singular_values(report)];
    figures.extend(manifold(report));
    figures.extend(coordinates(report));
    figures
}

fn line(points: Vec<(f64, f64)>, colour: &str, width: f64) -> LinePlot {
    LinePlot::new().with_data(points).with_color(colour).with_stroke_width(width)
}

fn layout(plots: &[Plot], x: &str, y: &str) -> Layout {
    Layout::auto_from_plots(plots)
        .with_x_label(x)
        .with_y_label(y)
        .with_theme(theme())
        .with_label_size(13)
        .with_tick_size(11)
        .with_body_size(12)
        .with_title_size(13)
}

fn grid(
    rows: usize,
    columns: usize,
    cells: Vec<(Vec<Plot>, Layout)>,
    cell: (f64, f64),
    legend: bool,
) -> Scene {
    let (plots, layouts): (Vec<Vec<Plot>>, Vec<Layout>) = cells.into_iter().unzip();
    let mut figure = Grid::new(rows, columns)
        .with_plots(plots)
        .with_layouts(layouts)
        .with_cell_size(cell.0, cell.1)
        .with_spacing(8.0)
        .with_padding(4.0);
    if legend {
        figure = figure.with_shared_legend_bottom();
    }
    figure.render()
}

fn colour(k: usize) -> &'static str {
    COLOURS[k % COLOURS.len()]
}

/// Rows: channels; columns: input, target and outputs, errors.
fn traces(report: &Report) -> Figure {
    let dt = report.recording.dt.unwrap_or(1.0);
    let time = if report.recording.dt.is_some() { "time (s)" } else { "step" };
    let points = |trace: &mut dyn Iterator<Item = f64>| -> Vec<(f64, f64)> {
        trace.enumerate().map(|(t, y)| ((report.first + t) as f64 * dt, y)).collect()
    };
    let channels = report.targets.len();
    let (from, to) = (report.first as f64 * dt, (report.first + report.targets[0].len()) as f64 * dt);
    let mut cells = Vec::new();
    for c in 0..channels {
        let below = if c + 1 == channels { time } else { "" };
        let name = report.recording.channels.get(c).map_or("", String::as_str);
        let top = |text: &str| if c == 0 { text.to_owned() } else { String::new() };
        let cell = |plots: Vec<Plot>, y: &str, title: String| {
            let layout = layout(&plots, below, y).with_x_axis_min(from).with_x_axis_max(to).with_title(title);
            (plots, layout)
        };
        let input = vec![Plot::Line(line(points(&mut report.inputs[c].iter().copied()), GREY, 1.0))];
        cells.push(cell(input, name, top("input")));
        let target = &report.targets[c];
        let mut plots =
            vec![Plot::Line(line(points(&mut target.iter().copied()), TARGET, 4.0).with_legend("target"))];
        let mut errors = Vec::new();
        for (k, network) in report.networks.iter().enumerate() {
            let outputs = &network.outputs[c];
            let width = if k == 0 { 1.6 } else { 1.1 };
            plots.push(Plot::Line(
                line(points(&mut outputs.iter().copied()), colour(k), width).with_legend(&network.name),
            ));
            let error = points(&mut outputs.iter().zip(target).map(|(y, target)| y - target));
            errors.push(Plot::Line(line(error, colour(k), 1.1)));
        }
        cells.push(cell(plots, "", top("integral: target and outputs")));
        cells.push(cell(errors, "", top("output - target")));
    }
    let worst = report.networks.iter().map(|n| format!("{} {}", n.name, percent(n.recording)));
    let caption = format!(
        "A stretch from the middle of the recordings, joined end to end. Left: inputs (mean removed, unit variance). Middle: their leaky integrals and what the networks make of them. Right: what is wrong with it. Relative RMSE over all {} steps: {}.",
        report.steps,
        worst.collect::<Vec<String>>().join(", ")
    );
    Figure { name: "traces", caption, scene: grid(channels, 3, cells, (310.0, 185.0), true) }
}

/// Points with log10 y: kuva's own logarithmic axis ends at 1e-10.
fn log_y(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    points.iter().copied().filter(|&(_, y)| y > 0.0 && y.is_finite()).map(|(x, y)| (x, y.log10())).collect()
}

/// Labels of an axis of exponents.
fn powers_of_ten() -> TickFormat {
    TickFormat::Custom(Arc::new(|exponent| {
        if exponent.fract() == 0.0 { format!("1e{exponent}") } else { String::new() }
    }))
}

fn errors(report: &Report) -> Figure {
    let mut plots = Vec::new();
    for (k, network) in report.networks.iter().enumerate() {
        let named = |number: &str| format!("{}, {number}", network.name);
        plots.push(Plot::Line(line(log_y(&network.error_f64), colour(k), 2.0).with_legend(named("f64"))));
        plots.push(Plot::Line(
            line(log_y(&network.error_f32), colour(k), 2.0)
                .with_line_style(LineStyle::Dashed)
                .with_legend(named("core f32")),
        ));
    }
    let layout = layout(&plots, "time step", "relative RMSE")
        .with_log_x()
        .with_x_tick_format(TickFormat::Auto)
        .with_y_tick_format(powers_of_ten())
        .with_legend_position(LegendPosition::OutsideRightTop);
    let last = |points: &[(f64, f64)]| points.last().map_or("-".into(), |(_, error)| format!("{error:.1e}"));
    let ends = report
        .networks
        .iter()
        .map(|n| format!("{} {} in f64 and {} in core f32", n.name, last(&n.error_f64), last(&n.error_f32)));
    let caption = format!(
        "Error of the worst channel against time, on Gaussian input. After {} steps: {}.",
        report.steps,
        ends.collect::<Vec<String>>().join("; ")
    );
    Figure { name: "errors", caption, scene: grid(1, 1, vec![(plots, layout)], (880.0, 380.0), false) }
}

/// How many singular values are drawn.
const SHOWN: usize = 16;

fn singular_values(report: &Report) -> Figure {
    let channels = report.task.channels();
    let plots: Vec<Plot> = report
        .networks
        .iter()
        .enumerate()
        .map(|(k, network)| {
            let shift = 0.12 * k as f64;
            let values = network.singular_values.iter().take(SHOWN).enumerate();
            let points: Vec<(f64, f64)> = values.map(|(i, &s)| (i as f64 + 1.0 + shift, s)).collect();
            Plot::Scatter(
                ScatterPlot::new()
                    .with_data(points)
                    .with_color(colour(k))
                    .with_size(4.5)
                    .with_legend(&network.name),
            )
        })
        .collect();
    let layout = layout(&plots, "index", "singular value of W")
        .with_reference_line(ReferenceLine::vertical(channels as f64 + 0.6).with_color(GREY))
        .with_legend_position(LegendPosition::OutsideRightTop);
    let gaps = report.networks.iter().map(|network| {
        let value = |k: usize| network.singular_values.get(k).copied().unwrap_or(0.0);
        format!("{} {:.2} then {:.2}", network.name, value(channels - 1), value(channels))
    });
    let caption = format!(
        "Singular values of the recurrent weights. A network that integrates D = {channels} signals needs {channels} large ones (left of the line); singular value {channels} and {}: {}.",
        channels + 1,
        gaps.collect::<Vec<String>>().join(", ")
    );
    Figure {
        name: "singular-values",
        caption,
        scene: grid(1, 1, vec![(plots, layout)], (880.0, 320.0), false),
    }
}

/// Blue through grey to vermilion, for a value from 0 to 1.
#[must_use]
pub fn diverging(value: f64) -> String {
    let stops = [[0x00, 0x72, 0xb2], [0xc4, 0xc8, 0xcc], [0xd5, 0x5e, 0x00]];
    let at = value.clamp(0.0, 1.0) * 2.0;
    let (low, part) = if at < 1.0 { (0, at) } else { (1, at - 1.0) };
    let mix = |k: usize| f64::from(stops[low][k]) * (1.0 - part) + f64::from(stops[low + 1][k]) * part;
    format!("#{:02x}{:02x}{:02x}", mix(0) as u8, mix(1) as u8, mix(2) as u8)
}

/// The network whose manifold is drawn: the trained one, which nobody told where to live.
#[must_use]
pub fn shown(report: &Report) -> Option<(usize, &NetworkReport)> {
    report
        .networks
        .iter()
        .enumerate()
        .find(|(_, network)| network.name == "trained")
        .or_else(|| report.networks.iter().enumerate().find(|(_, network)| !network.manifold.is_empty()))
}

/// Values scaled to 0..1 between the 2nd and 98th percentile.
#[must_use]
pub fn ranked(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = |part: f64| sorted[((sorted.len() - 1) as f64 * part) as usize];
    let (low, high) = (at(0.02), at(0.98));
    values.iter().map(|x| (x - low) / (high - low).max(f64::MIN_POSITIVE)).collect()
}

fn manifold(report: &Report) -> Option<Figure> {
    let (_, network) = shown(report)?;
    let dimension = network.manifold.first()?.coordinates.len().min(3);
    let pairs: &[(usize, usize)] = match dimension {
        0 => return None,
        1 => &[],
        2 => &[(0, 1)],
        _ => &[(0, 1), (0, 2), (1, 2)],
    };
    if pairs.is_empty() {
        return None;
    }
    let first: Vec<f64> = network.manifold.iter().map(|point| point.integrals[0]).collect();
    let colours: Vec<String> = ranked(&first).into_iter().map(diverging).collect();
    let cells: Vec<(Vec<Plot>, Layout)> = pairs
        .iter()
        .map(|&(a, b)| {
            let points: Vec<(f64, f64)> =
                network.manifold.iter().map(|p| (p.coordinates[a], p.coordinates[b])).collect();
            let plots = vec![Plot::Scatter(
                ScatterPlot::new().with_data(points).with_colors(colours.clone()).with_size(2.2),
            )];
            let layout = layout(&plots, &format!("coordinate {}", a + 1), &format!("coordinate {}", b + 1));
            (plots, layout)
        })
        .collect();
    let caption = format!(
        "The state of the {} network in the span of the top {} left singular vectors of W, coloured by the first integral (blue low, orange high). The pre-activations leave this space by {} of their size.",
        network.name,
        report.task.channels(),
        percent(network.distance)
    );
    let count = cells.len();
    Some(Figure {
        name: "manifold",
        caption,
        scene: grid(1, count, cells, (880.0 / count as f64, 300.0), false),
    })
}

fn coordinates(report: &Report) -> Option<Figure> {
    let (k, network) = shown(report)?;
    network.manifold.first()?;
    let channels = report.task.channels();
    let cells: Vec<(Vec<Plot>, Layout)> = (0..channels)
        .map(|c| {
            let points: Vec<(f64, f64)> =
                network.manifold.iter().map(|point| (point.integrals[c], point.read[c])).collect();
            let plots = vec![Plot::Scatter(
                ScatterPlot::new().with_data(points).with_color(colour(k)).with_size(1.8),
            )];
            let title = format!("R² = {:.4}", network.r_squared[c]);
            let name = report.recording.channels.get(c).map_or("", String::as_str);
            let layout = layout(
                &plots,
                &format!("integral of {name}"),
                if c == 0 { "read from the manifold" } else { "" },
            );
            (plots, layout.with_title(title))
        })
        .collect();
    let caption = format!(
        "Where the {} network is on its manifold tells every integral: the best linear function of the coordinates against the true integral.",
        network.name
    );
    Some(Figure {
        name: "coordinates",
        caption,
        scene: grid(1, channels, cells, (880.0 / channels as f64, 300.0), false),
    })
}

/// 0.0123 as "1.2 %", tiny ones in powers of ten.
#[must_use]
pub fn percent(value: f64) -> String {
    if value >= 1e-3 { format!("{:.1} %", 100.0 * value) } else { format!("{value:.1e}") }
}
