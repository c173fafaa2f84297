//! Figures of a sweep: error against every swept setting, loss curves.

use std::path::Path;
use std::sync::Arc;

use kuva::plot::ScatterPlot;
use kuva::render::layout::TickFormat;
use kuva::render::plots::Plot;

use super::figures::{Figure, colour, grid, layout, line, log_y, with_powers_of_ten};
use super::text::{DIVERGED, grouped};
use crate::sweep::folder;
use crate::sweep::plan::{Plan, show};
use crate::sweep::table::Table;
use crate::train::Metrics;
use crate::train::folder::read_metrics;
use crate::{Result, format};

/// Writes figures/errors and figures/curves, as SVG and PNG.
///
/// # Errors
/// A file that cannot be read or written.
pub fn write(out: &Path, plan: &Plan, table: &Table) -> Result<()> {
    let mut figures = vec![curves(out, plan)?];
    figures.extend(errors(plan, table));
    for figure in figures {
        let file = |ending: &str| out.join("figures").join(format!("{}.{ending}", figure.name));
        format::write_atomic(&file("svg"), figure.svg().as_bytes())?;
        format::write_atomic(&file("png"), &figure.png()?)?;
    }
    Ok(())
}

/// One panel a setting: every run a point above its value, the geometric mean of all runs of a value as a line.
fn errors(plan: &Plan, table: &Table) -> Option<Figure> {
    let errors = plan.runs.iter().zip(&table.runs).filter_map(|(run, (_, outcome))| {
        Some((run.combination, outcome.as_ref()?.error.filter(|&error| error > 0.0)?.min(DIVERGED).log10()))
    });
    let errors: Vec<(usize, f64)> = errors.collect();
    if errors.is_empty() || plan.axes.is_empty() {
        return None;
    }
    let panel = |k: usize| {
        let axis = &plan.axes[k];
        let at = |combination: usize| {
            axis.values.iter().position(|value| *value == plan.combinations[combination][k]).unwrap_or(0)
        };
        let points: Vec<(f64, f64)> = errors.iter().map(|&(c, error)| (at(c) as f64, error)).collect();
        let mean = |place: usize| {
            let of: Vec<f64> = points.iter().filter(|&&(x, _)| x == place as f64).map(|p| p.1).collect();
            (!of.is_empty()).then(|| (place as f64, of.iter().sum::<f64>() / of.len() as f64))
        };
        let means = (0..axis.values.len()).filter_map(mean).collect();
        let plots = vec![
            Plot::Line(line(means, colour(1), 2.0)),
            Plot::Scatter(ScatterPlot::new().with_data(points).with_color(colour(0)).with_size(3.5)),
        ];
        let names: Vec<String> = axis.values.iter().map(show).collect();
        let name = move |x: f64| {
            let whole = (x - x.round()).abs() < 1e-9 && x >= 0.0;
            names.get(x.round() as usize).filter(|_| whole).cloned().unwrap_or_default()
        };
        let layout = layout(&plots, &axis.name, if k.is_multiple_of(3) { "roll-out error" } else { "" })
            .with_x_axis_min(-0.5)
            .with_x_axis_max(axis.values.len() as f64 - 0.5)
            .with_x_tick_step(0.5)
            .with_x_tick_format(TickFormat::Custom(Arc::new(name)));
        (plots, with_powers_of_ten(layout, errors.iter().map(|&(_, error)| error)))
    };
    let caption = "Roll-out error of the best network of every run against each swept setting; line: geometric mean over all runs with that value.".into();
    let cells = (0..plan.axes.len()).map(panel).collect();
    Some(Figure { name: "errors", caption, scene: grid(cells, 320.0) })
}

/// Loss and roll-out error of every run against updates, one colour a combination.
fn curves(out: &Path, plan: &Plan) -> Result<Figure> {
    let metrics: Vec<Vec<Metrics>> =
        plan.runs.iter().map(|run| read_metrics(&folder(out, run))).collect::<Result<_>>()?;
    let panel = |name: &str, value: &dyn Fn(&Metrics) -> f64| {
        let mut exponents = Vec::new();
        let plots: Vec<Plot> = plan
            .runs
            .iter()
            .zip(&metrics)
            .map(|(run, history)| {
                let points = history.iter().map(|m| (m.step as f64, value(m).min(DIVERGED)));
                let points = log_y(points.filter(|(_, y)| y.is_finite()));
                exponents.extend(points.iter().map(|&(_, y)| y));
                Plot::Line(line(points, colour(run.combination), 1.2))
            })
            .collect();
        let layout = layout(&plots, "updates", name)
            .with_ticks(4)
            .with_x_tick_format(TickFormat::Custom(Arc::new(|step: f64| grouped(step.max(0.0) as u64))));
        (plots, with_powers_of_ten(layout, exponents.into_iter()))
    };
    let cells = vec![panel("batch loss", &|m| m.loss), panel("roll-out error", &Metrics::error)];
    let caption =
        "Batch loss and roll-out error against updates, one line a run, one colour a combination.".into();
    Ok(Figure { name: "curves", caption, scene: grid(cells, 340.0) })
}
