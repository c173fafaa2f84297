//! Figures of what inputs do along slow manifolds: their effect, the selection vector, choices, contexts side by side.

use std::ops::Range;

use kuva::plot::{LegendPosition, LineStyle, ScatterPlot};
use kuva::render::annotations::ReferenceLine;
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;

use super::slow_manifold::{DRAWN, marks, speeds};
use super::{STATE, time_unit};
use crate::dynamics::slow_manifold::{Attractor, Choices, Driven, Psychometric};
use crate::format::results::{Numbers, Results};
use crate::report::figures::{COLOURS, Figure, GREY, colour, columns, grid, layout, line};
use crate::report::text::percent;

type Points = Vec<(f64, f64)>;
type Panel = (Vec<Plot>, Layout);

/// A curve for every input over the place; `named`: those that the legend has.
fn curves(
    driven: &Driven,
    names: &[String],
    named: &Range<usize>,
    value: &dyn Fn(f64) -> Vec<f64>,
) -> Vec<Plot> {
    let values: Vec<(f64, Vec<f64>)> = driven.line.range.even(200).map(|p| (p, value(p))).collect();
    let curve = |(k, name): (usize, &String)| {
        let style = if k < COLOURS.len() { LineStyle::Solid } else { LineStyle::Dashed };
        let points = values.iter().map(|(p, value)| (*p, value[k])).collect();
        let line = line(points, colour(k), 2.0).with_line_style(style);
        Plot::Line(if named.contains(&k) { line.with_legend(name) } else { line })
    };
    names.iter().enumerate().map(curve).collect()
}

fn zero() -> ReferenceLine {
    ReferenceLine::horizontal(0.0).with_color(GREY)
}

/// How fast a unit of each input moves p.
fn effects(driven: &Driven, names: &[String], named: &Range<usize>) -> Panel {
    let plots = curves(driven, names, named, &|p| driven.input(p));
    let layout = layout(&plots, "place p", "effect s(p) of an input")
        .with_ticks(5)
        .with_reference_line(zero())
        .with_legend_position(LegendPosition::OutsideBottomColumns);
    (plots, layout)
}

/// The cosine of the angle of the selection vector and the direction of each input.
fn alignments(driven: &Driven, names: &[String], named: &Range<usize>) -> Panel {
    let plots = curves(driven, names, named, &|p| driven.alignment(p));
    let largest = driven.alignment.iter().flatten().fold(0.0, |most: f64, cosine| most.max(cosine.abs()));
    let limit = if largest < 0.45 { 0.5 } else { 1.0 };
    let layout = layout(&plots, "place p", "cosine to selection vector")
        .with_ticks(5)
        .with_y_axis_min(-limit)
        .with_y_axis_max(limit)
        .with_reference_line(zero())
        .with_legend_position(LegendPosition::OutsideBottomColumns);
    (plots, layout)
}

/// Choices of the network as dots, of the reduced model as a line.
fn choices_of(choices: &Psychometric) -> Panel {
    let points = |value: fn(&Choices) -> f64| -> Points {
        let mut points: Points = choices.rows.iter().map(|row| (row.strength, 100.0 * value(row))).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    };
    let network =
        ScatterPlot::new().with_data(points(|row| row.network)).with_color(COLOURS[1]).with_size(4.0);
    let reduced = line(points(|row| row.reduced), COLOURS[0], 2.0);
    let plots =
        vec![Plot::Line(reduced.with_legend("reduced")), Plot::Scatter(network.with_legend("network"))];
    let layout = layout(&plots, "strength of the evidence", "choices above 0 (%)")
        .with_ticks(5)
        .with_y_axis_min(0.0)
        .with_y_axis_max(100.0)
        .with_legend_position(LegendPosition::OutsideBottomColumns);
    (plots, layout)
}

/// How inputs move the place, how they are aligned with the selection vector, and the choices.
#[must_use]
pub fn figure(driven: &Driven, names: &[String], choices: Option<&Psychometric>) -> Figure {
    let mut cells = vec![effects(driven, names, &(0..names.len())), alignments(driven, names, &(0..0))];
    let mut text = String::new();
    if let Some(choices) = choices {
        cells.push(choices_of(choices));
        text = format!(
            " Right: choices of the network (dots) and of the reduced model (line); the same in {} of the trials.",
            percent(choices.agreement)
        );
    }
    let caption = format!(
        "Inputs along the slow manifold. Left: how fast a unit of each input moves p. Second: the cosine of its direction and the selection vector.{text}"
    );
    Figure { name: "slow-manifold-inputs", caption, scene: grid(cells, 330.0) }
}

/// A context: its name, the inputs along its slow manifold, the verdict on it, choices.
pub type Context<'a> = (&'a str, &'a Driven, &'a Attractor, Option<&'a Psychometric>);

/// A row for each context: the vector field on its slow manifold, the effect of inputs, their alignment with the
/// selection vector, choices; none without contexts.
#[must_use]
pub fn contexts(contexts: &[Context<'_>], names: &[String]) -> Option<Figure> {
    let chosen = contexts.iter().all(|context| context.3.is_some());
    let mut cells = Vec::new();
    for &(name, driven, verdict, choices) in contexts {
        let line = &driven.line;
        let field = line.range.even(DRAWN).map(|p| (p, line.speed(p))).collect();
        let per = format!("r(p) per {}", time_unit(line.kind));
        let (plots, layout) =
            speeds(field, &marks(verdict, |k| (verdict.points[k].place, 0.0)), "place p", &per);
        cells.push((plots, layout.with_title(name)));
        // Narrow cells have room for one column of two names: half of them stand below each of the two panels.
        let half = names.len().div_ceil(2);
        for (plots, layout) in
            [effects(driven, names, &(0..half)), alignments(driven, names, &(half..names.len()))]
        {
            cells.push((plots, layout.with_legend_col_limit(1)));
        }
        cells.extend(choices.filter(|_| chosen).map(choices_of));
    }
    let same = |context: &Context<'_>| {
        context.3.map(|choices| format!("{} {}", context.0, percent(choices.agreement)))
    };
    let same: Vec<String> = contexts.iter().filter_map(same).collect();
    let text = if chosen {
        format!(
            " Right: choices of the network (dots) and of the reduced model (line); parts of the trials in which they are the same: {}.",
            same.join(", ")
        )
    } else {
        String::new()
    };
    let caption = format!(
        "A row a context. First: the vector field on its slow manifold, nodes as dots, saddles as diamonds. Second: how fast a unit of each input moves p. Third: the cosine of the angle of the selection vector and the direction of each input.{text}"
    );
    let width = if chosen { 4 } else { 3 };
    let scene = || columns(cells, width, 400.0);
    (!contexts.is_empty()).then(|| Figure { name: "slow-manifold-contexts", caption, scene: scene() })
}

/// How inputs move the place, as arrays beside those of the line.
pub fn arrays(all: &mut Results, driven: &Driven, choices: Option<&Psychometric>) {
    let places: Vec<f64> = driven.line.range.even(DRAWN).collect();
    let (inputs, outputs) = (driven.inputs.len(), driven.outputs.len());
    let per = format!("per {}", time_unit(driven.line.kind));
    let over = |count: usize, value: &dyn Fn(usize, f64) -> f64| -> Numbers {
        (0..count).flat_map(|k| places.iter().map(move |&p| value(k, p))).collect()
    };
    let effect = over(inputs, &|k, p| driven.input(p)[k]);
    let meaning = "effect s(p) of a unit of each input on p, beside r(p)";
    all.add("input_effect", &[("input", inputs), ("place", DRAWN)], &per, meaning, effect);
    let output = over(outputs, &|o, p| driven.output(p)[o]);
    all.add("outputs", &[("output", outputs), ("place", DRAWN)], STATE, "outputs y(p)", output);
    let node = ("node", driven.places.len());
    let n = driven.line.frame.anchor.len();
    let nodes = driven.places.iter().copied().collect();
    all.add("node_p", &[node], "-", "places at which the selection vector was computed", nodes);
    let selection = driven.selection.iter().flatten().copied().collect();
    let meaning = "selection vector w: left eigenvector of the direction along the manifold, w . dx/dp = 1";
    all.add("selection", &[node, ("neuron", n)], "-", meaning, selection);
    let alignment = driven.alignment.iter().flatten().copied().collect();
    let meaning = "cosine of the angle of the selection vector and the direction of each input";
    all.add("alignment", &[("input", inputs), node], "-", meaning, alignment);
    let Some(choices) = choices else { return };
    let strength = ("strength", choices.rows.len());
    let of = |value: fn(&Choices) -> f64| -> Numbers { choices.rows.iter().map(value).collect() };
    all.add("strength", &[strength], STATE, "strength of the evidence", of(|row| row.strength));
    let meaning = "part of the trials in which the first output of the network ends above 0";
    all.add("choices_network", &[strength], "-", meaning, of(|row| row.network));
    all.add("choices_reduced", &[strength], "-", "that of the reduced model", of(|row| row.reduced));
    let meaning = "part of the trials in which both choose the same";
    all.add("agreement", &[strength], "-", meaning, of(|row| row.agreement));
}
