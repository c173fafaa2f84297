//! The figures of the theory of the linear network with one channel.

use std::sync::Arc;

use kuva::plot::{LegendPosition, LineStyle};
use kuva::render::layout::{Layout, TickFormat};
use kuva::render::plots::Plot;

use super::figures::{Figure, colour, grid, layout, line, log_y, with_powers_of_ten};
use super::text::power_of_ten;
use crate::theory::Study;

/// All figures.
#[must_use]
pub fn figures(study: &Study) -> Vec<Figure> {
    vec![isoscale(study), hessian(study), convergence(study)]
}

/// One curve: points with a logarithmic y, its legend and its number.
type Named = (Vec<(f64, f64)>, String, usize);

/// A panel of curves over a logarithmic y axis.
fn panel(curves: Vec<Named>, x: &str, y: &str, legend: bool) -> (Vec<Plot>, Layout) {
    let exponents: Vec<f64> = curves.iter().flat_map(|curve| curve.0.iter().map(|point| point.1)).collect();
    let plots: Vec<Plot> = curves
        .into_iter()
        .filter(|curve| !curve.0.is_empty())
        .map(|(points, name, k)| {
            let style = if k < 4 { LineStyle::Solid } else { LineStyle::Dashed };
            let line = line(points, colour(k), 2.0).with_line_style(style);
            Plot::Line(if legend { line.with_legend(&name) } else { line })
        })
        .collect();
    let layout = layout(&plots, x, y).with_ticks(5).with_legend_position(LegendPosition::OutsideRightTop);
    (plots, with_powers_of_ten(layout, exponents.into_iter()))
}

fn isoscale(study: &Study) -> Figure {
    let curves = |value: fn(&(f64, f64, f64, f64)) -> f64, from: usize| -> Vec<Named> {
        let curve = |(k, family): (usize, &crate::theory::Isoscale)| {
            let points = family.points.iter().map(|point| (point.0, value(point)));
            (log_y(points), format!("e · d = {}", family.overlap), from + k)
        };
        study.isoscale.iter().enumerate().map(curve).collect()
    };
    let mut losses = curves(|point| point.2, 0);
    losses.extend(curves(|point| point.1, 4));
    let (losses, layout) = panel(losses, "place in the family, t", "loss", false);
    let cells = vec![
        (losses, layout.with_title("A in f32 (solid), in f64 (dashed)")),
        panel(curves(|point| point.3, 0), "place in the family, t", "condition number", true),
    ];
    let caption = format!(
        "The isoscale family A(t) of solutions, gamma = {}, s = {}, T = {}. Left: the loss along it is 0, so what is seen is the rounding of A, to f64 (dashed) and to f32 (solid). Right: the condition number of the Hessian there, largest eigenvalue by the third.",
        study.problem.decay, study.problem.scale, study.problem.steps
    );
    Figure { name: "isoscale", caption, scene: grid(cells, 340.0) }
}

fn hessian(study: &Study) -> Figure {
    let spectrum = (0..3)
        .map(|k| {
            let points = study.with_steps.iter().map(|(steps, values)| (*steps as f64, values[k]));
            (log_y(points), format!("eigenvalue {}", k + 1), k)
        })
        .collect();
    let condition = [3, 10]
        .into_iter()
        .zip(&study.with_overlap)
        .enumerate()
        .map(|(k, (steps, points))| (log_y(points.iter().copied()), format!("T = {steps}"), k))
        .collect();
    let cells = vec![
        panel(spectrum, "steps T", "eigenvalue", true),
        panel(condition, "overlap e · d", "condition number", true),
    ];
    let caption = format!(
        "The Hessian at the solution of least norm, gamma = {}, s = {}. Left: its three eigenvalues that are not 0, e · d = {:.2}; the fourth is 0, along the family. Right: condition number against the overlap.",
        study.problem.decay,
        study.problem.scale,
        study.problem.overlap()
    );
    Figure { name: "hessian", caption, scene: grid(cells, 340.0) }
}

fn convergence(study: &Study) -> Figure {
    let curves = |logarithmic: bool, last: f64| -> Vec<Named> {
        let curve = |(k, curve): (usize, &crate::theory::Curve)| {
            let points = curve.losses.iter().map(|&(t, loss)| (t as f64, loss.max(1e-30)));
            let place = |(t, loss): (f64, f64)| (if logarithmic { t.log10() } else { t / 1000.0 }, loss);
            let shown = points.filter(|point| point.0 >= 1.0 && point.0 <= last).map(place);
            (log_y(shown), curve.name.clone(), k)
        };
        study.descents.iter().enumerate().map(curve).collect()
    };
    let all = study.descents.iter().filter_map(|curve| curve.losses.last()).map(|last| last.0);
    let all = all.max().unwrap_or(0) as f64;
    // The linear axis ends where the last exponential one has reached rounding.
    let done = |curve: &crate::theory::Curve| {
        let reached = curve.losses.iter().find(|point| point.1 < 1e-24);
        reached.filter(|_| curve.is_algebraic() == Some(false)).map(|point| point.0)
    };
    let most = study.descents.iter().filter_map(done).max().map_or(all, |epoch| 1.2 * epoch as f64);
    let (decades, layout) = panel(curves(true, all), "epoch", "loss", false);
    let power = TickFormat::Custom(Arc::new(|exponent: f64| power_of_ten(exponent.round() as i32)));
    let cells = vec![
        (decades, layout.with_x_tick_step(1.0).with_x_tick_format(power)),
        panel(curves(false, most), "epoch / 1000", "loss", true),
    ];
    let ends: Vec<String> = study
        .descents
        .iter()
        .map(|curve| match (curve.is_algebraic(), curve.power, curve.exponential) {
            (Some(true), Some(law), _) => format!("{}: t^{:.2}", curve.name, law.exponent),
            (Some(false), _, Some(law)) => format!("{}: exp({:.1e} t)", curve.name, law.rate),
            _ => format!("{}: too few epochs", curve.name),
        })
        .collect();
    let caption = format!(
        "Gradient descent on the average loss, e · d = {:.2}, T = {}, against the logarithm of the epoch (a power law is straight) and against the epoch (an exponential is straight). {}.",
        study.problem.overlap(),
        study.problem.steps,
        ends.join("; ")
    );
    Figure { name: "convergence", caption, scene: grid(cells, 360.0) }
}
