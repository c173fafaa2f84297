//! The figure of a task: inputs, targets and outputs of a few trials.

use std::path::Path;
use std::sync::Arc;

use kuva::render::figure::Figure as Grid;
use kuva::render::layout::{Layout, TickFormat};
use kuva::render::plots::Plot;

use super::figures::{self, Figure, GREY, TARGET, colour, layout, line};
use crate::network::Network;
use crate::task::Task;
use crate::task::trial::Trial;
use crate::{Result, simulate};

/// Trials of a figure.
pub const SHOWN: usize = 3;

/// Sizes in pixels: width of a panel, height of an input, of an output, and what the first and the last row have besides.
const WIDTH: f64 = 290.0;
const INPUT: f64 = 34.0;
const OUTPUT: f64 = 96.0;
const TITLE: f64 = 22.0;
const TIME: f64 = 24.0;

/// Columns: trials; rows: all inputs below one another, and every output with its target where it is judged.
///
/// outputs: row-major T × O, one a trial; none before training.
#[must_use]
pub fn figure(task: &Task, trials: &[Trial], outputs: Option<&[Vec<f64>]>) -> Figure {
    let (inputs, names) = (task.trials().inputs(), task.trials().outputs());
    let rows = 1 + names.len();
    // One scale for all trials, which also a network that diverges does not change.
    let targets = trials.iter().flat_map(|trial| &trial.target);
    let limit = 1.3 * targets.fold(f64::MIN_POSITIVE, |most, y| most.max(y.abs()));
    let (mut plots, mut layouts) = (Vec::new(), Vec::new());
    for row in 0..rows {
        for (k, trial) in trials.iter().enumerate() {
            let (panel, name) = match row.checked_sub(1) {
                None => (stacked(trial, trials, inputs.len()), ""),
                Some(o) => {
                    let y = outputs.map(|outputs| outputs[k].as_slice());
                    (with_target(trial, y, o, names.len(), limit), names[o].as_str())
                }
            };
            let (first, last) = (row == 0, row + 1 == rows);
            let mut layout = layout(&panel, if last { "step" } else { "" }, if k == 0 { name } else { "" })
                .with_ticks(4)
                .with_y_axis_min(-limit)
                .with_y_axis_max(limit)
                .with_x_axis_min(1.0)
                .with_x_axis_max((trial.x.len() / inputs.len()) as f64)
                .with_force_margins(if k == 0 { 100.0 } else { 30.0 }, 8.0)
                .with_force_margins_y(
                    if first { 6.0 + TITLE } else { 6.0 },
                    if last { 22.0 + TIME } else { 22.0 },
                );
            if first {
                layout = named_rows(layout, if k == 0 { &inputs } else { &[] }, inputs.len())
                    .with_title(format!("trial {}", k + 1));
            }
            plots.push(panel);
            layouts.push(layout);
        }
    }
    let mut grid = Grid::new(rows, trials.len())
        .with_plots(plots)
        .with_layouts(layouts)
        .with_cell_size(WIDTH, OUTPUT)
        .with_spacing(4.0)
        .with_padding(4.0)
        .with_col_width(0, WIDTH + 70.0)
        .with_row_height(0, 28.0 + TITLE + INPUT * inputs.len() as f64);
    grid = grid.with_row_height(rows - 1, OUTPUT + TIME);
    let seen = if outputs.is_some() { ", thin: outputs of the network" } else { "" };
    let caption = format!(
        "{}: {} Top: inputs, each on a scale of its own. Below, wide: targets where the output is judged{seen}.",
        task.name(),
        task.summary()
    );
    Figure { name: "trials", caption, scene: grid.render() }
}

/// Writes trials.svg and trials.png into `folder`, with the outputs of a network if there is one.
///
/// # Errors
/// A file that cannot be written.
pub fn write(folder: &Path, task: &Task, trials: &[Trial], network: Option<&Network>) -> Result<()> {
    let run = |network| trials.iter().map(|trial| simulate::run(network, &trial.x, false).outputs).collect();
    let outputs: Option<Vec<Vec<f64>>> = network.map(run);
    figures::write(folder, &[figure(task, trials, outputs.as_deref())])
}

/// Every input in a band of height 1 around minus its number, the largest of all trials at its edge.
fn stacked(trial: &Trial, all: &[Trial], inputs: usize) -> Vec<Plot> {
    let of = |trial: &Trial, i: usize| trial.x.iter().skip(i).step_by(inputs).copied().collect::<Vec<f64>>();
    (0..inputs)
        .map(|i| {
            let values = all.iter().flat_map(|trial| of(trial, i));
            let largest = values.fold(f64::MIN_POSITIVE, |most, x| most.max(x.abs()));
            let points = of(trial, i).into_iter().enumerate();
            let points = points.map(|(t, x)| ((t + 1) as f64, 0.45 * x / largest - i as f64));
            Plot::Line(line(points.collect(), GREY, 1.2))
        })
        .collect()
}

/// An axis whose ticks are the names of the inputs.
fn named_rows(layout: Layout, names: &[String], inputs: usize) -> Layout {
    let names = names.to_vec();
    let name = move |y: f64| {
        let of = (y.abs() < inputs as f64 && y < 0.5).then(|| names.get((-y).round() as usize));
        of.flatten().filter(|_| (y - y.round()).abs() < 0.1).cloned().unwrap_or_default()
    };
    layout
        .with_y_axis_min(-(inputs as f64))
        .with_y_axis_max(1.0)
        .with_y_tick_step(1.0)
        .with_y_tick_format(TickFormat::Custom(Arc::new(name)))
}

/// One output: the target where it is judged, and what the network says.
fn with_target(trial: &Trial, y: Option<&[f64]>, o: usize, outputs: usize, limit: f64) -> Vec<Plot> {
    let at = |values: &[f64], t: usize| values[t * outputs + o];
    let steps: Vec<usize> = (0..trial.target.len() / outputs).collect();
    let point = |values: &[f64], t: usize| ((t + 1) as f64, at(values, t));
    let judged = |t: usize| at(&trial.weight, t) > 0.0;
    let mut plots: Vec<Plot> = steps
        .chunk_by(|&a, &b| judged(a) == judged(b))
        .filter(|run| judged(run[0]))
        .map(|run| Plot::Line(line(run.iter().map(|&t| point(&trial.target, t)).collect(), TARGET, 5.0)))
        .collect();
    if let Some(y) = y {
        let points = steps.iter().map(|&t| point(y, t)).filter(|(_, y)| y.abs() <= limit);
        plots.push(Plot::Line(line(points.collect(), colour(0), 1.5)));
    }
    plots
}
