//! Rules compared: learning curves, and alignment with the exact gradient.

use std::fmt;
use std::path::Path;

use kuva::plot::{LegendPosition, LineStyle};
use kuva::render::layout::TickFormat;
use kuva::render::plots::Plot;
use serde::{Deserialize, Serialize};

use super::figures::{Figure, colour, grid, layout, line, log_y, with_powers_of_ten};
use super::text::{DIVERGED, grouped, percent};
use crate::Result;
use crate::format;
use crate::train::Settings;
use crate::train::online::{FREE, Point, Rule, Run};

/// What rules made of the same start and the same samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// What all had in common.
    pub settings: Settings,
    /// One entry a rule.
    pub rules: Vec<Curve>,
}

/// One rule's way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// The rule.
    pub rule: Rule,
    /// Its moments.
    pub points: Vec<Point>,
    /// Wall time of learning; not in the file, which is the same for the same seed.
    #[serde(skip)]
    pub seconds: f64,
}

impl Comparison {
    /// Of these runs.
    #[must_use]
    pub fn new(settings: &Settings, runs: &[Run]) -> Self {
        // JSON has no infinity.
        let finite = |x: f64| if x.is_nan() { f64::MAX } else { x.min(f64::MAX) };
        let point = |p: &Point| Point { loss: finite(p.loss), rollout: finite(p.rollout), ..*p };
        let curve = |run: &Run| Curve {
            rule: run.rule,
            points: run.points.iter().map(point).collect(),
            seconds: run.seconds,
        };
        Self { settings: settings.clone(), rules: runs.iter().map(curve).collect() }
    }
}

impl Curve {
    /// Mean alignment over the run.
    fn alignment(&self) -> Option<f64> {
        let known: Vec<f64> = self.points.iter().filter_map(|point| point.alignment).collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { neurons, task, steps, sequence, dale, .. } = &self.settings;
        writeln!(
            f,
            "n = {neurons}, decays {:?}, {} samples in episodes of {sequence}{}",
            task.integration().map_or(&[][..], |task| &task.decays),
            grouped(*steps as u64),
            if *dale > 0.0 { ", under Dale's law" } else { "" }
        )?;
        let roll = format!("over {} steps", grouped(FREE as u64));
        write!(
            f,
            "{:<8} {:>14} {:>16} {:>20} {:>16}",
            "rule", "error, episode", roll, "alignment, mean", "\u{b5}s a sample"
        )?;
        for curve in &self.rules {
            let last = curve.points.last();
            let [episode, free] =
                [last.map(|p| p.loss.sqrt()), last.map(|p| p.rollout)].map(|x| x.map_or("-".into(), percent));
            let alignment = curve.alignment().map_or("-".into(), |cosine| format!("{cosine:.3}"));
            let time = last.map_or("-".into(), |p| format!("{:.1}", 1e6 * curve.seconds / p.step as f64));
            write!(f, "\n{:<8} {episode:>14} {free:>16} {alignment:>20} {time:>16}", curve.rule.name())?;
        }
        Ok(())
    }
}

/// The curves and the alignments.
#[must_use]
pub fn figures(comparison: &Comparison) -> [Figure; 2] {
    let of = |k: usize, points: Vec<(f64, f64)>, name: String| {
        let curve = line(points, colour(k), 2.0).with_legend(name);
        // Four colours, then the same ones dashed.
        Plot::Line(if k < 4 { curve } else { curve.with_line_style(LineStyle::Dashed) })
    };
    let step = TickFormat::Custom(std::sync::Arc::new(|step: f64| grouped(step.max(0.0) as u64)));
    let (mut losses, mut cosines, mut exponents) = (Vec::new(), Vec::new(), Vec::new());
    for (k, curve) in comparison.rules.iter().enumerate() {
        let points = log_y(curve.points.iter().map(|p| (p.step as f64, p.loss.sqrt().min(DIVERGED))));
        exponents.extend(points.iter().map(|&(_, y)| y));
        losses.push(of(k, points, curve.rule.name()));
        let known = curve.points.iter().filter_map(|p| Some((p.step as f64, p.alignment?))).collect();
        cosines.push(of(k, known, curve.rule.name()));
    }
    let curves = layout(&losses, "samples", "relative RMSE while learning")
        .with_x_tick_format(step.clone())
        .with_legend_position(LegendPosition::OutsideRightTop);
    let curves = with_powers_of_ten(curves, exponents.into_iter());
    let all = comparison.rules.iter().flat_map(|curve| &curve.points).filter_map(|p| p.alignment);
    let lowest = all.fold(0.0, f64::min);
    let alignment = layout(&cosines, "samples", "cosine with the exact gradient")
        .with_x_tick_format(step)
        .with_y_axis_min((4.0 * lowest).floor() / 4.0)
        .with_y_axis_max(1.0)
        .with_legend_position(LegendPosition::OutsideRightTop);
    let common = format!(
        "n = {}, D = {}, episodes of {} steps, the same start and the same samples for all rules",
        comparison.settings.neurons,
        comparison.settings.task.trials().inputs().len(),
        comparison.settings.sequence
    );
    [
        Figure {
            name: "learning-curves",
            caption: format!("Learning curves: relative RMSE of the outputs while learning; {common}."),
            scene: grid(vec![(losses, curves)], 380.0),
        },
        Figure {
            name: "alignment",
            caption: format!(
                "Cosine of each rule's gradient of the same 32 episodes with the exact one, at the parameters that the rule had learned so far; {common}."
            ),
            scene: grid(vec![(cosines, alignment)], 380.0),
        },
    ]
}

/// Writes rules.json and both figures as SVG and PNG into `folder`.
///
/// # Errors
/// A file that cannot be written.
pub fn write(folder: &Path, comparison: &Comparison) -> Result<()> {
    super::figures::write(folder, &figures(comparison))?;
    format::write_json(&folder.join("rules.json"), comparison)
}
