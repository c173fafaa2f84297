//! Figures of a sweep: error against every swept setting, loss curves.

use std::iter::zip;
use std::path::Path;
use std::sync::Arc;

use kuva::plot::ScatterPlot;
use kuva::render::layout::TickFormat;
use kuva::render::plots::Plot;

use super::curves::judged_on;
use super::figures::{self, Figure, colour, grid, layout, line, with_powers_of_ten};
use super::text::DIVERGED;
use crate::Result;
use crate::sweep::folder;
use crate::sweep::plan::{Plan, Run, show};
use crate::sweep::table::Table;
use crate::train::Metrics;
use crate::train::folder::read_metrics;

/// Writes figures/errors and figures/curves, as SVG and PNG.
///
/// # Errors
/// A file that cannot be read or written.
pub fn write(out: &Path, plan: &Plan, table: &Table) -> Result<()> {
    let drawn: Vec<Figure> = std::iter::once(curves(out, plan)?).chain(errors(plan, table)).collect();
    figures::write(&out.join("figures"), &drawn)
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
        let layout = layout(&plots, &axis.name, if k.is_multiple_of(3) { "relative RMSE" } else { "" })
            .with_x_axis_min(-0.5)
            .with_x_axis_max(axis.values.len() as f64 - 0.5)
            .with_x_tick_step(0.5)
            .with_x_tick_format(TickFormat::Custom(Arc::new(name)));
        (plots, with_powers_of_ten(layout, errors.iter().map(|&(_, error)| error)))
    };
    let caption = "Relative RMSE of the best network of every run against each swept setting; line: geometric mean over all runs with that value.".into();
    let cells = (0..plan.axes.len()).map(panel).collect();
    Some(Figure { name: "errors", caption, scene: grid(cells, 320.0) })
}

/// Combinations that a legend has room for.
const NAMED: usize = 8;

/// Loss and error of every run, one colour a combination.
fn curves(out: &Path, plan: &Plan) -> Result<Figure> {
    let run = |run: &Run| Ok((run.combination, read_metrics(&folder(out, run))?));
    let runs: Vec<(usize, Vec<Metrics>)> = plan.runs.iter().map(run).collect::<Result<_>>()?;
    let mut on: Vec<&str> = plan.runs.iter().map(|run| judged_on(&run.settings.task)).collect();
    on.sort_unstable();
    on.dedup();
    let on = on.join(" or ");
    let caption = format!(
        "Batch loss and relative RMSE over {on} against updates, one line a run, one colour a combination."
    );
    let name = |values: &Vec<toml::Value>| {
        let named = zip(&plan.axes, values).map(|(axis, value)| format!("{} {}", axis.name, show(value)));
        named.collect::<Vec<String>>().join(", ")
    };
    let names = plan.combinations.iter().map(name).collect::<Vec<String>>();
    let names = if names.len() > NAMED { Vec::new() } else { names };
    Ok(super::curves::figure(&runs, &on, &names, caption))
}
