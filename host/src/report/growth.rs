//! How errors grow: against time, and against n.

use std::sync::Arc;

use kuva::plot::{LegendPosition, LineStyle, ScatterPlot};
use kuva::render::layout::TickFormat;
use kuva::render::plots::Plot;

use super::figures::{Figure, colour, columns, grid, layout, line, log_y, with_powers_of_ten};
use super::text::{DIVERGED, grouped};
use crate::reproduce::fanthomme2021::growth::{Growth, WithNeurons};

/// The most curves of a panel: of more, some have the same colour and dashes.
const CURVES: usize = 12;

/// The figures that there is something to draw for.
#[must_use]
pub fn figures(growth: &Growth) -> Vec<Figure> {
    [with_time(growth), with_neurons(growth)].into_iter().flatten().collect()
}

/// Four colours solid, then the same ones dashed, dotted, dash-dotted.
fn style(k: usize) -> LineStyle {
    [LineStyle::Solid, LineStyle::Dashed, LineStyle::Dotted, LineStyle::DashDot][k / 4 % 4].clone()
}

/// A name and points.
type Curve<'a> = (&'a str, Vec<(f64, f64)>);

fn with_time(growth: &Growth) -> Option<Figure> {
    let all = &growth.with_time;
    let last = all.iter().filter_map(|one| one.errors.last()).map(|window| window.to).max()?;
    let curves: Vec<Curve<'_>> = all
        .iter()
        .map(|one| {
            let errors = one.errors.iter().map(|w| (w.to as f64, w.relative_rmse.min(DIVERGED)));
            (one.name.as_str(), log_y(errors))
        })
        .collect();
    let exponents = || curves.iter().flat_map(|(_, points)| points).map(|&(_, y)| y);
    let panel = |curves: &[Curve<'_>]| {
        let mut plots = Vec::new();
        for (k, (name, points)) in curves.iter().enumerate() {
            let curve = line(points.clone(), colour(k), 2.0).with_line_style(style(k));
            plots.push(Plot::Line(curve.with_legend(*name)));
        }
        let layout = layout(&plots, "steps since reset", "relative RMSE")
            .with_log_x()
            .with_x_axis_max(last as f64)
            .with_x_tick_format(TickFormat::Custom(Arc::new(|step| grouped(step.max(0.0) as u64))))
            .with_legend_position(LegendPosition::OutsideRightTop);
        (plots, with_powers_of_ten(layout, exponents()))
    };
    let each = curves.len().div_ceil(curves.len().div_ceil(CURVES));
    let panels = curves.chunks(each).map(panel).collect();
    let caption = "Relative RMSE of the worst channel of every network against time since reset, in windows. An error of the decay adds up over 1 / (1 - gamma) steps and then stays.".into();
    Some(Figure { name: "error-time", caption, scene: columns(panels, 1, 400.0) })
}

fn with_neurons(growth: &Growth) -> Option<Figure> {
    growth.with_neurons.first()?;
    let (mut plots, mut exponents) = (Vec::new(), Vec::new());
    for (k, one) in growth.with_neurons.iter().enumerate() {
        let errors = one.errors.errors.iter().map(|&(n, error)| (n as f64, error.min(DIVERGED)));
        let points = log_y(errors);
        exponents.extend(points.iter().map(|&(_, y)| y));
        if let Some(law) = one.errors.law {
            let [least, most] = [f64::min, f64::max]
                .map(|pick| points.iter().map(|point| point.0).reduce(pick).unwrap_or(1.0));
            let on_law = [least, most].map(|n| (n, law.factor * n.powf(law.exponent)));
            let law = log_y(on_law.into_iter());
            exponents.extend(law.iter().map(|&(_, y)| y));
            plots.push(Plot::Line(line(law, colour(k), 1.2).with_line_style(LineStyle::Dashed)));
        }
        let marks = ScatterPlot::new().with_data(points).with_color(colour(k)).with_size(5.0);
        plots.push(Plot::Scatter(marks.with_legend(&one.name)));
    }
    let layout = layout(&plots, "number of neurons n", "relative RMSE")
        .with_log_x()
        .with_x_tick_format(TickFormat::Custom(Arc::new(|n| grouped(n.max(0.0) as u64))))
        .with_legend_position(LegendPosition::OutsideRightTop);
    let layout = with_powers_of_ten(layout, exponents.into_iter());
    let law = |one: &WithNeurons| {
        let law = one.errors.law?;
        Some(format!("{}: n to the power of {:.2} (R² {:.2})", one.name, law.exponent, law.r_squared))
    };
    let laws: Vec<String> = growth.with_neurons.iter().filter_map(law).collect();
    let caption = format!(
        "Relative RMSE of the worst channel over 2000 steps against n, one point a network, all else the same. Dashed: power laws; {}.",
        laws.join("; ")
    );
    Some(Figure { name: "error-neurons", caption, scene: grid(vec![(plots, layout)], 340.0) })
}
