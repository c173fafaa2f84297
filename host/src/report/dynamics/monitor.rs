//! The figure of a monitor.

use kuva::plot::{LegendPosition, ScatterPlot};
use kuva::render::annotations::ReferenceLine;
use kuva::render::plots::Plot;

use crate::dynamics::monitor::study::{Flipped, MATTERS, Normal, WINDOW};
use crate::report::figures::{COLOURS, Figure, GREY, grid, layout, line};
use crate::report::text::percent;

/// What a monitor compares in normal activity, and the flipped bits that it finds.
#[must_use]
pub fn figure(normal: &Normal, flipped: &Flipped) -> Figure {
    let block = normal.steps as f64 / normal.course.len().max(1) as f64;
    let names = ["residual", "distance", "range"];
    let drawn: Vec<Plot> = names
        .iter()
        .enumerate()
        .filter(|(k, _)| normal.most[*k] > 0.0)
        .map(|(k, name)| {
            let points = normal.course.iter().enumerate();
            let points = points.map(|(t, most)| ((t as f64 + 0.5) * block / 1000.0, most[k])).collect();
            Plot::Line(line(points, COLOURS[k], 2.0).with_legend(*name))
        })
        .collect();
    let threshold = ReferenceLine::horizontal(1.0).with_color(GREY);
    let first = layout(&drawn, "thousand normal steps", "largest value, in thresholds")
        .with_ticks(5)
        .with_y_axis_min(0.0)
        .with_y_axis_max(normal.most.iter().fold(1.1, |most: f64, of| most.max(1.1 * of)))
        .with_reference_line(threshold)
        .with_legend_position(LegendPosition::OutsideBottomColumns);
    // Changes beyond these ends, nothing and everything, stand at them.
    let places = |found: bool| -> Vec<(f64, f64)> {
        let place = |change: f64| change.clamp(1e-8, 1e4).log10();
        let chosen = flipped.all.iter().filter(|flip| flip.found.is_some() == found);
        chosen.map(|flip| (place(flip.change), flip.found.unwrap_or(0) as f64)).collect()
    };
    let found = [(true, "found", COLOURS[0]), (false, "no alarm, drawn at 0", COLOURS[1])];
    let flips: Vec<Plot> = found
        .into_iter()
        .map(|(found, name, colour)| (places(found), name, colour))
        .filter(|(points, ..)| !points.is_empty())
        .map(|(points, name, colour)| {
            let dots = ScatterPlot::new().with_data(points).with_color(colour).with_size(3.0);
            Plot::Scatter(dots.with_legend(name))
        })
        .collect();
    let matters = ReferenceLine::vertical(MATTERS.log10()).with_color(GREY);
    let second = layout(&flips, "log10 change of the outputs", "steps until the alarm")
        .with_ticks(5)
        // Room for whole dots at both ends.
        .with_y_axis_min(-0.05 * WINDOW as f64)
        .with_y_axis_max(1.05 * WINDOW as f64)
        .with_reference_line(matters)
        .with_legend_position(LegendPosition::OutsideBottomColumns);
    let caption = format!(
        "A monitor. Left: {} normal steps, {} false alarms. Right: {} flipped bits; to the right of the line ({} change of \
         the outputs) {} of {} are found.",
        normal.steps,
        normal.alarms,
        flipped.flips,
        percent(MATTERS),
        flipped.found,
        flipped.matter
    );
    let cells =
        [(drawn, first), (flips, second)].into_iter().filter(|(plots, _)| !plots.is_empty()).collect();
    Figure { name: "monitor", caption, scene: grid(cells, 330.0) }
}
