//! What a training run did over its updates: as a figure, and as lines for a terminal.

use std::path::Path;
use std::sync::Arc;

use kuva::plot::{LegendPosition, LineStyle};
use kuva::render::layout::TickFormat;
use kuva::render::plots::Plot;

use super::figures::{self, Figure, colour, grid, layout, line, log_y, with_powers_of_ten};
use super::text::{DIVERGED, grouped};
use crate::Result;
use crate::task::Task;
use crate::train::Metrics;

/// What [`Metrics::error`] is taken over, for the task that is learnt.
#[must_use]
pub fn judged_on(task: &Task) -> &'static str {
    if task.integration().is_some() { "roll-outs" } else { "held-out trials" }
}

/// Loss and error against updates, on logarithmic axes: a line a run, in the colour of its number.
///
/// on: what the error is taken over, as of [`judged_on`]; names: of the numbers, for the legend.
#[must_use]
pub fn figure(runs: &[(usize, Vec<Metrics>)], on: &str, names: &[String], caption: String) -> Figure {
    let first = |k: usize| runs[..k].iter().all(|run| run.0 != runs[k].0);
    let panel = |name: &str, value: &dyn Fn(&Metrics) -> f64, legend: bool| {
        let mut exponents = Vec::new();
        let plots: Vec<Plot> = runs
            .iter()
            .enumerate()
            .map(|(k, (number, history))| {
                let points = history.iter().map(|m| (m.step as f64, value(m).min(DIVERGED)));
                let points = log_y(points.filter(|(_, y)| y.is_finite()));
                exponents.extend(points.iter().map(|&(_, y)| y));
                let curve = line(points, colour(*number), 1.2);
                // Four colours, then the same ones dashed.
                let curve = if *number < 4 { curve } else { curve.with_line_style(LineStyle::Dashed) };
                let name = names.get(*number).filter(|_| legend && first(k));
                Plot::Line(if let Some(name) = name { curve.with_legend(name) } else { curve })
            })
            .collect();
        let layout = layout(&plots, "updates", name)
            .with_ticks(4)
            .with_legend_position(LegendPosition::OutsideRightTop)
            .with_x_tick_format(TickFormat::Custom(Arc::new(|step: f64| grouped(step.max(0.0) as u64))));
        (plots, with_powers_of_ten(layout, exponents.into_iter()))
    };
    let cells = vec![
        panel("batch loss", &|m| m.loss, false),
        panel(&format!("relative RMSE, {on}"), &Metrics::error, true),
    ];
    Figure { name: "curves", caption, scene: grid(cells, 340.0) }
}

/// Writes figures/curves of one run into its folder, as SVG and PNG.
///
/// # Errors
/// A file that cannot be written.
pub fn write(folder: &Path, task: &Task, history: &[Metrics]) -> Result<()> {
    let caption = format!("Batch loss and relative RMSE over {} against updates.", judged_on(task));
    figures::write(
        &folder.join("figures"),
        &[figure(&[(0, history.to_vec())], judged_on(task), &[], caption)],
    )
}

/// Widest curve in a terminal.
const WIDTH: usize = 60;
/// Widest curve beside a progress bar.
const BESIDE: usize = 12;

/// Positive values on a logarithmic scale, in at most `width` characters of eight heights: the lowest one stands for the
/// least value, x for one that is not finite.
///
/// ```
/// use tinyfold::report::curves::sparkline;
/// assert_eq!(sparkline(&[100.0, 10.0, f64::INFINITY, 1.0], 60), "█▅x▁");
/// ```
#[must_use]
pub fn sparkline(values: &[f64], width: usize) -> String {
    const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let log = |x: f64| if x.is_finite() { x.max(f64::MIN_POSITIVE).log10() } else { f64::INFINITY };
    let columns = values.len().min(width);
    let logs: Vec<f64> = (0..columns)
        .map(|k| {
            let of = &values[k * values.len() / columns..(k + 1) * values.len() / columns];
            of.iter().map(|&x| log(x)).sum::<f64>() / of.len() as f64
        })
        .collect();
    let finite = || logs.iter().copied().filter(|log| log.is_finite());
    let (least, most) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    let top = (HEIGHTS.len() - 1) as f64;
    let height =
        |log: f64| if most > least { (top * (log - least) / (most - least)).round() as usize } else { 0 };
    logs.iter().map(|&log| if log.is_finite() { HEIGHTS[height(log)] } else { 'x' }).collect()
}

/// The loss of the intervals so far, to stand beside a progress bar.
#[must_use]
pub fn losses(history: &[Metrics]) -> String {
    sparkline(&history.iter().map(|metrics| metrics.loss).collect::<Vec<f64>>(), BESIDE)
}

/// Two lines: loss and error, from the first interval to the last.
#[must_use]
pub fn lines(task: &Task, history: &[Metrics]) -> String {
    let (Some(first), Some(last)) = (history.first(), history.last()) else { return String::new() };
    let row = |name: &str, value: fn(&Metrics) -> f64| {
        let values: Vec<f64> = history.iter().map(value).collect();
        format!("{name:15} {}  {:.1e} to {:.1e}", sparkline(&values, WIDTH), value(first), value(last))
    };
    format!("{}\n{}", row("loss", |m| m.loss), row(judged_on(task), Metrics::error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_have_the_height_of_their_values() {
        assert_eq!(sparkline(&[], 60), "");
        assert_eq!(sparkline(&[3.0], 60), "▁");
        assert_eq!(sparkline(&[f64::NAN, 0.5, 0.5], 60), "x▁▁");
        let falling: Vec<f64> = (0..600).map(|k| 10_f64.powf(-0.01 * f64::from(k))).collect();
        let drawn: Vec<char> = sparkline(&falling, 60).chars().collect();
        assert_eq!((drawn.len(), drawn[0], drawn[59]), (60, '█', '▁'));
        assert!(drawn.is_sorted_by(|a, b| a >= b), "{drawn:?}");
    }
}
