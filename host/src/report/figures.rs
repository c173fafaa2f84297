//! The figures of a report, by `kuva`: SVG for the page and for papers, PNG for everything else.

use std::path::Path;
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

use super::text::{DIVERGED, escape, grouped, list, percent, power_of_ten, scientific};
use super::{ManifoldPoint, NetworkReport, Report, learning, multipliers, slow, traces};
use crate::{Error, Result, format};

/// Colours of the networks, in order: told apart by the colour-blind (Okabe & Ito 2008).
pub const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];
/// Text and axes of a figure; the page replaces it by its own ink.
pub(super) const INK: &str = "#1f2328";
/// Grid lines of a figure; the page replaces it by its own.
const GRID: &str = "#e3e6ea";
/// Background of a figure; the page makes it transparent.
const PAPER: &str = "#fffffe";
/// Targets, drawn wide below the outputs.
pub(super) const TARGET: &str = "#b8c0c9";
/// Width of a figure, in pixels.
const WIDTH: f64 = 880.0;
/// Inputs and marks.
pub(super) const GREY: &str = "#6e7781";

/// A figure with its name and what it shows.
pub struct Figure {
    /// File name without ending.
    pub name: &'static str,
    /// What is seen, with the numbers.
    pub caption: String,
    pub(super) scene: Scene,
}

impl Figure {
    /// The figure as an SVG file that scales.
    #[must_use]
    pub fn svg(&self) -> String {
        let svg = renumber(&SvgBackend::default().render_scene(&self.scene));
        let (width, height) = (self.scene.width, self.scene.height);
        if svg.contains("viewBox") {
            svg
        } else {
            svg.replacen("<svg ", &format!("<svg viewBox=\"0 0 {width} {height}\" "), 1)
        }
    }

    /// The SVG with its caption as title, which viewers show or read aloud.
    #[must_use]
    pub fn captioned(&self) -> String {
        let svg = self.svg();
        let end = svg.find("<svg").and_then(|start| Some(start + svg[start..].find('>')? + 1));
        let end = end.unwrap_or(0);
        format!("{}<title>{}</title>{}", &svg[..end], escape(&self.caption), &svg[end..])
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

/// Writes every figure as name.svg and name.png into `folder`.
///
/// # Errors
/// An image cannot be drawn, a file cannot be written.
pub fn write(folder: &Path, figures: &[Figure]) -> Result<()> {
    for figure in figures {
        let file = |ending: &str| folder.join(format!("{}.{ending}", figure.name));
        format::write_atomic(&file("svg"), figure.captioned().as_bytes())?;
        format::write_atomic(&file("png"), &figure.png()?)?;
    }
    Ok(())
}

/// Numbers clip paths from 0 in every figure: kuva counts them through the whole process, and the
/// same report must give the same bytes.
fn renumber(svg: &str) -> String {
    const ID: &str = "kuva-clip-";
    let mut parts = svg.split(ID);
    let mut out = parts.next().unwrap_or_default().to_owned();
    let mut seen: Vec<&str> = Vec::new();
    for part in parts {
        let (number, rest) = part.split_at(part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len()));
        let k = seen.iter().position(|known| *known == number).unwrap_or_else(|| {
            seen.push(number);
            seen.len() - 1
        });
        out += &format!("{ID}{k}{rest}");
    }
    out
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
    let mut figures = vec![traces::figure(report), errors(report), singular_values(report)];
    figures.extend(manifold(report));
    figures.extend(coordinates(report));
    figures.extend(dynamics(report));
    figures.extend(report.learning.as_ref().map(learning::figure));
    figures
}

pub(super) fn line(points: Vec<(f64, f64)>, colour: &str, width: f64) -> LinePlot {
    LinePlot::new().with_data(points).with_color(colour).with_stroke_width(width)
}

pub(super) fn layout(plots: &[Plot], x: &str, y: &str) -> Layout {
    let mut layout = Layout::auto_from_plots(plots);
    for (range, format) in
        [(&mut layout.x_range, &mut layout.x_tick_format), (&mut layout.y_range, &mut layout.y_tick_format)]
    {
        *range = widened(*range);
        let (low, high) = *range;
        // kuva's own labels have three decimals, or all digits of what is small: they would repeat or break.
        if high - low < 0.1 {
            *format = TickFormat::Custom(Arc::new(move |tick| label(tick, high - low)));
        }
    }
    layout.data_x_range = layout.data_x_range.map(widened);
    layout
        .with_x_label(x)
        .with_y_label(y)
        .with_theme(theme())
        .with_label_size(13)
        .with_tick_size(11)
        .with_body_size(12)
        .with_title_size(13)
}

/// Panels side by side, at most three a row.
pub(super) fn grid(cells: Vec<(Vec<Plot>, Layout)>, height: f64) -> Scene {
    let width = cells.len().min(3);
    columns(cells, width, height)
}

/// Panels in rows of so many columns.
pub(super) fn columns(cells: Vec<(Vec<Plot>, Layout)>, columns: usize, height: f64) -> Scene {
    let rows = cells.len().div_ceil(columns);
    let (plots, layouts): (Vec<Vec<Plot>>, Vec<Layout>) = cells.into_iter().unzip();
    Grid::new(rows, columns)
        .with_plots(plots)
        .with_layouts(layouts)
        .with_cell_size(WIDTH / columns as f64, height)
        .with_spacing(8.0)
        .with_padding(4.0)
        .render()
}

/// A range that is rounding, of numbers that are all the same, as one around them.
fn widened((low, high): (f64, f64)) -> (f64, f64) {
    let largest = low.abs().max(high.abs());
    if high - low >= (1e-9 * largest).max(1e-12) {
        return (low, high);
    }
    let half = if largest < 1e-12 { 1.0 } else { 0.1 * largest };
    let middle = f64::midpoint(low, high);
    (middle - half, middle + half)
}

/// A tick of an axis that is `span` long, with two digits more than tell its ends apart.
fn label(tick: f64, span: f64) -> String {
    if tick.abs() < 1e-6 * span {
        return "0".into();
    }
    let last = span.log10().floor() as i32 - 2;
    let text = if tick.abs() < 1e-2 {
        let digits = (tick.abs().log10().floor() as i32 - last).clamp(0, 17);
        format!("{tick:.*e}", digits as usize)
    } else {
        format!("{tick:.*}", (-last).clamp(0, 17) as usize)
    };
    let (digits, exponent) = text
        .split_once('e')
        .map_or((text.as_str(), String::new()), |(digits, exponent)| (digits, format!("e{exponent}")));
    let digits =
        if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
    format!("{digits}{exponent}")
}

pub(super) fn colour(k: usize) -> &'static str {
    COLOURS[k % COLOURS.len()]
}

/// The step of 1, 2, 5, 10, 20 ... that is at least `step`.
pub(super) fn round_step(step: f64) -> f64 {
    let decade = 10_f64.powf(step.max(1.0).log10().floor());
    let times = [1.0, 2.0, 5.0, 10.0].into_iter().find(|times| times * decade >= step);
    times.unwrap_or(10.0) * decade
}

/// Points with log10 y: kuva's own logarithmic axis ends at 1e-10.
pub(super) fn log_y(points: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    points.filter(|&(_, y)| y > 0.0).map(|(x, y)| (x, y.log10())).collect()
}

/// The layout with a y axis of whole powers of ten around the exponents drawn.
pub(super) fn with_powers_of_ten(layout: Layout, exponents: impl Iterator<Item = f64>) -> Layout {
    let (least, most) = exponents.fold((f64::MAX, f64::MIN), |(least, most), y| (least.min(y), most.max(y)));
    let (least, most) =
        if least > most { (-1.0, 0.0) } else { (least.floor(), most.ceil().max(least.floor() + 1.0)) };
    let step = ((most - least) / 6.0).ceil();
    layout
        .with_y_axis_min((least / step).floor() * step)
        .with_y_axis_max((most / step).ceil() * step)
        .with_y_tick_step(step)
        .with_y_tick_format(TickFormat::Custom(Arc::new(|exponent| power_of_ten(exponent.round() as i32))))
}

fn dynamics(report: &Report) -> impl Iterator<Item = Figure> {
    let networks = report.networks.iter().enumerate();
    let known: Vec<_> =
        networks.filter_map(|(k, n)| Some((n.name.as_str(), k, n.dynamics.as_ref()?))).collect();
    multipliers::figure(&known).into_iter().chain(slow::figure(&known))
}

fn errors(report: &Report) -> Figure {
    let curve = |points: &[(f64, f64)], k: usize| {
        line(log_y(points.iter().map(|&(t, error)| (t, error.min(DIVERGED)))), colour(k), 2.0)
    };
    let mut plots = Vec::new();
    let mut exponents = Vec::new();
    for (k, network) in report.networks.iter().enumerate() {
        let (wide, narrow) = (curve(&network.error_f64, k), curve(&network.error_f32, k));
        exponents.extend(wide.data.iter().chain(&narrow.data).map(|point| point.y));
        plots.push(Plot::Line(wide.with_legend(&network.name)));
        plots.push(Plot::Line(narrow.with_line_style(LineStyle::Dashed)));
    }
    let layout = layout(&plots, "steps since reset", "relative RMSE")
        .with_log_x()
        .with_x_tick_format(TickFormat::Custom(Arc::new(|step| grouped(step.max(0.0) as u64))))
        .with_legend_position(LegendPosition::OutsideRightTop);
    let layout = with_powers_of_ten(layout, exponents.into_iter());
    let last = |points: &[(f64, f64)]| points.last().map_or("unknown".into(), |&(_, error)| percent(error));
    let ends: Vec<String> = report
        .networks
        .iter()
        .map(|n| format!("{} {} in f64, {} in core f32", n.name, last(&n.error_f64), last(&n.error_f32)))
        .collect();
    let caption = format!(
        "Relative RMSE of the worst channel against time, on Gaussian input that never repeats. Solid: f64; dashed: core f32, the arithmetic of a chip. In the last window, which ends at step {}: {}.",
        grouped(report.steps as u64),
        ends.join("; ")
    );
    Figure { name: "errors", caption, scene: grid(vec![(plots, layout)], 380.0) }
}

/// How many singular values the linear panel shows.
const LARGEST_SHOWN: usize = 12;

fn singular_values(report: &Report) -> Figure {
    let channels = report.task.channels();
    let most = report.networks.iter().map(|n| n.singular_values.len()).max().unwrap_or(0);
    let values = |network: &NetworkReport| -> Vec<(f64, f64)> {
        // Below this it is rounding, and would stretch the axis to 1e-17.
        let least = 1e-9 * network.singular_values.first().copied().unwrap_or(0.0);
        let values = network.singular_values.iter().enumerate().filter(|&(_, &s)| s > least);
        values.map(|(i, &s)| (i as f64 + 1.0, s)).collect()
    };
    let marks = |k: usize, points: Vec<(f64, f64)>| {
        // Larger ones below: where networks agree, all are seen.
        let size = 5.5 - 1.2 * k.min(3) as f64;
        ScatterPlot::new().with_data(points).with_color(colour(k)).with_size(size)
    };
    let (mut linear, mut whole, mut exponents) = (Vec::new(), Vec::new(), Vec::new());
    for (k, network) in report.networks.iter().enumerate() {
        let points = values(network);
        let logs = log_y(points.iter().copied());
        exponents.extend(logs.iter().map(|&(_, y)| y));
        linear.push(Plot::Scatter(marks(
            k,
            points.into_iter().take(LARGEST_SHOWN.max(channels + 3)).collect(),
        )));
        whole.push(Plot::Scatter(marks(k, logs).with_legend(&network.name)));
    }
    let panel = |plots: &[Plot], y: &str, last: usize| {
        layout(plots, "index", y)
            .with_x_axis_min(0.0)
            .with_x_axis_max(last as f64 + 1.0)
            .with_x_tick_step(round_step(last as f64 / 6.0))
            .with_reference_line(ReferenceLine::vertical(channels as f64 + 0.5).with_color(GREY))
    };
    let largest = report.networks.iter().filter_map(|n| n.singular_values.first());
    let largest = largest.fold(f64::MIN_POSITIVE, |most, &s| most.max(s));
    let first = panel(&linear, "singular value of W", most.clamp(1, LARGEST_SHOWN.max(channels + 3)))
        .with_y_axis_min(0.0)
        .with_y_axis_max(1.06 * largest)
        .with_title("the largest");
    let second = panel(&whole, "", most)
        .with_title("all, logarithmic")
        .with_legend_position(LegendPosition::OutsideRightTop);
    let cells = vec![(linear, first), (whole, with_powers_of_ten(second, exponents.into_iter()))];
    let gaps: Vec<String> = report
        .networks
        .iter()
        .map(|network| match network.singular_values[..] {
            [.., last] if network.singular_values.len() <= channels => {
                format!("{} {last:.2}, then none (rank {})", network.name, network.singular_values.len())
            }
            [] => format!("{} none", network.name),
            _ => {
                let (large, bulk) =
                    (network.singular_values[channels - 1], network.singular_values[channels]);
                format!("{} {large:.2}, then {bulk:.2}", network.name)
            }
        })
        .collect();
    let caption = format!(
        "Singular values of the recurrent weights W. A network that integrates D = {channels} signals needs {channels} large ones, left of the dashed line; what is right of it is the bulk that training leaves. Singular value {channels} and the next: {}.",
        gaps.join("; ")
    );
    Figure { name: "singular-values", caption, scene: grid(cells, 320.0) }
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
    let mut networks =
        report.networks.iter().enumerate().filter(|(_, network)| !drawable(network).is_empty());
    let first = networks.clone().next();
    networks.find(|(_, network)| network.name == "trained").or(first)
}

/// Values scaled to 0..1 between the 2nd and 98th percentile; those beyond it are 0 or 1.
///
/// # Panics
/// If there are no values.
#[must_use]
pub fn ranked(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = |part: f64| sorted[((sorted.len() - 1) as f64 * part) as usize];
    let (low, high) = (at(0.02), at(0.98));
    values.iter().map(|x| ((x - low) / (high - low).max(f64::MIN_POSITIVE)).clamp(0.0, 1.0)).collect()
}

/// The points of a network that can be drawn: a network that diverges has others.
#[must_use]
pub fn drawable(network: &NetworkReport) -> Vec<&ManifoldPoint> {
    let fits = |values: &[f64]| values.iter().all(|x| x.abs() < 1e9);
    network.manifold.iter().filter(|p| fits(&p.coordinates) && fits(&p.read) && fits(&p.integrals)).collect()
}

fn manifold(report: &Report) -> Option<Figure> {
    let (_, network) = shown(report)?;
    let points = drawable(network);
    let dimension = points.first()?.coordinates.len();
    let pairs: &[(usize, usize)] = match dimension {
        0 | 1 => return None,
        2 => &[(0, 1)],
        _ => &[(0, 1), (0, 2), (1, 2)],
    };
    let first: Vec<f64> = points.iter().map(|point| point.integrals[0]).collect();
    let colours: Vec<String> = ranked(&first).into_iter().map(diverging).collect();
    let cells: Vec<(Vec<Plot>, Layout)> = pairs
        .iter()
        .map(|&(a, b)| {
            let points: Vec<(f64, f64)> =
                points.iter().map(|p| (p.coordinates[a], p.coordinates[b])).collect();
            let plots = vec![Plot::Scatter(
                ScatterPlot::new().with_data(points).with_colors(colours.clone()).with_size(2.2),
            )];
            let layout = layout(&plots, &format!("coordinate {}", a + 1), &format!("coordinate {}", b + 1))
                .with_ticks(4);
            (plots, layout)
        })
        .collect();
    let which = if dimension > 3 { "the first three of its coordinates" } else { "its coordinates" };
    let caption = format!(
        "The pre-activations of the {} network along the top {} left singular vectors of W, turned to their principal axes: {which}, coloured by the integral of {} (blue low, orange high). What lies outside this space is {} of their size.",
        network.name,
        report.task.channels(),
        report.recording.channels[0],
        percent(network.distance)
    );
    Some(Figure { name: "manifold", caption, scene: grid(cells, 300.0) })
}

fn coordinates(report: &Report) -> Option<Figure> {
    let (k, network) = shown(report)?;
    let points = drawable(network);
    points.first()?;
    let cells: Vec<(Vec<Plot>, Layout)> = (0..report.task.channels())
        .map(|c| {
            let points: Vec<(f64, f64)> = points.iter().map(|p| (p.integrals[c], p.read[c])).collect();
            let plots = vec![Plot::Scatter(
                ScatterPlot::new().with_data(points).with_color(colour(k)).with_size(1.8),
            )];
            let name = format!("integral of {}", report.recording.channels[c]);
            let layout = layout(&plots, &name, if c % 3 == 0 { "read from the manifold" } else { "" })
                .with_ticks(4)
                .with_title(format!("R² = {:.4}", network.r_squared[c]));
            (plots, layout)
        })
        .collect();
    let r_squared: Vec<String> = report
        .recording
        .channels
        .iter()
        .zip(&network.r_squared)
        .map(|(name, r)| format!("{} for {name}", scientific(1.0 - r)))
        .collect();
    let caption = format!(
        "Where the {} network is on its manifold tells every integral: the best linear function of all coordinates against the true integral. Variance left unexplained, 1 − R²: {}.",
        network.name,
        list(&r_squared)
    );
    Some(Figure { name: "coordinates", caption, scene: grid(cells, 300.0) })
}

#[cfg(test)]
mod tests {
    use super::{label, widened};

    /// Labels of neighbours differ, and are short where the numbers are.
    #[test]
    fn ticks_of_narrow_axes_are_told_apart() {
        assert_eq!(
            [label(3.0 * 1e-3 + 1e-18, 0.02), label(-3e-65 * (1.0 + 1e-13), 1e-64)],
            ["3e-3", "-3e-65"]
        );
        assert_eq!([label(0.9181, 1e-3), label(0.9182, 1e-3)], ["0.9181", "0.9182"]);
        assert_eq!([label(0.05, 0.09), label(1e-20, 0.09), label(0.0075, 0.09)], ["0.05", "0", "7.5e-3"]);
        assert_eq!(widened((0.918, 0.918)), (0.918 - 0.0918, 0.918 + 0.0918));
        assert_eq!([widened((0.0, 1e-65)), widened((0.0, 0.0)), widened((-1.0, 1.0))], [(-1.0, 1.0); 3]);
        assert_eq!(widened((0.5, 0.5 + 1e-6)), (0.5, 0.5 + 1e-6));
    }
}
