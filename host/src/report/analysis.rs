//! The figures of one analysis: spectrum, alignments, coordinates, tuning maps, selectivity, time, and
//! ablation.

use std::iter::zip;
use std::sync::Arc;

use kuva::plot::heatmap::{ColorMap, Heatmap};
use kuva::plot::{LegendPosition, ScatterPlot};
use kuva::render::annotations::ReferenceLine;
use kuva::render::layout::{Layout, TickFormat};
use kuva::render::plots::Plot;

use super::figures::{
    Figure, GREY, colour, diverging, grid, layout, line, log_y, ranked, round_step, with_powers_of_ten,
};
use super::text::{DIVERGED, grouped, percent, scientific};
use crate::manifold::Analysis;

/// Singular values drawn at most.
const VALUES: usize = 300;

/// All figures that the analysis has data for.
#[must_use]
pub fn figures(analysis: &Analysis) -> Vec<Figure> {
    let all = [
        spectrum(analysis),
        alignments(analysis),
        coordinates(analysis),
        tuning(analysis),
        selectivity(analysis),
        time(analysis),
        ablation(analysis),
    ];
    all.into_iter().flatten().collect()
}

/// What the integral of a channel is called.
fn integral(analysis: &Analysis, c: usize) -> String {
    analysis
        .channels
        .get(c)
        .map_or(format!("integral {}", c + 1), |channel| format!("integral of {}", channel.name))
}

fn marks(points: Vec<(f64, f64)>, k: usize, size: f64) -> Plot {
    Plot::Scatter(ScatterPlot::new().with_data(points).with_color(colour(k)).with_size(size))
}

fn spectrum(analysis: &Analysis) -> Option<Figure> {
    let modes = &analysis.modes;
    let first = *analysis.singular_values.first().filter(|&&first| first > 0.0)?;
    // Below this it is rounding, and would stretch the axis to 1e-17.
    let points: Vec<(f64, f64)> = zip(1.., &analysis.singular_values)
        .filter(|&(_, &s)| s > 1e-9 * first)
        .map(|(k, &s)| (f64::from(k), s))
        .take(VALUES)
        .collect();
    let split = |points: Vec<(f64, f64)>| {
        let (large, bulk): (Vec<_>, Vec<_>) = points.into_iter().partition(|p| p.0 <= modes.count as f64);
        [(large, 1, 5.0), (bulk, 0, 3.5)]
            .into_iter()
            .filter(|part| !part.0.is_empty())
            .map(|(points, k, size)| marks(points, k, size))
            .collect::<Vec<Plot>>()
    };
    let panel = |plots: &[Plot], y: &str, last: usize| {
        layout(plots, "index", y)
            .with_x_axis_min(0.0)
            .with_x_axis_max(last as f64 + 1.0)
            .with_x_tick_step(round_step(last as f64 / 6.0))
            .with_reference_line(ReferenceLine::vertical(modes.count as f64 + 0.5).with_color(GREY))
    };
    let logs = log_y(points.iter().copied());
    let exponents: Vec<f64> = logs.iter().map(|&(_, y)| y).collect();
    let few: Vec<(f64, f64)> = points.iter().copied().take(modes.count + 10).collect();
    let (shown, last) = (few.len(), points.len());
    let (linear, whole) = (split(few), split(logs));
    let left = panel(&linear, "singular value of W", shown).with_y_axis_min(0.0).with_title("the largest");
    let right = panel(&whole, "", last).with_title("all, logarithmic");
    let caption = format!(
        "Singular values of W, the {} modes told from the bulk in orange (largest gap between sigma + f of neighbours, f = sigma_1 / 3, under Dale's law 2 sigma_2 / 3: a factor of {:.2}). D = {}. Largest of the bulk {}, its median {}.",
        modes.count,
        modes.gap,
        analysis.dimension,
        scientific(modes.bulk),
        scientific(modes.median_of_bulk)
    );
    let cells = vec![(linear, left), (whole, with_powers_of_ten(right, exponents.into_iter()))];
    Some(Figure { name: "spectrum", caption, scene: grid(cells, 320.0) })
}

fn heat(rows: Vec<Vec<f64>>, map: ColorMap) -> Heatmap {
    Heatmap::new().with_data(rows).with_color_map(map)
}

/// White for 0 to a blue for 1 on which numbers can still be read; the map is asked for places from the least value of
/// `rows` to the greatest.
fn light_blues(rows: &[Vec<f64>]) -> ColorMap {
    let ends = |(least, most): (f64, f64), &x: &f64| (least.min(x), most.max(x));
    let (least, most) = rows.iter().flatten().fold((f64::MAX, f64::MIN), ends);
    ColorMap::Custom(Arc::new(move |at: f64| {
        let value = (least + at * (most - least)).clamp(0.0, 1.0);
        let mix = |full: f64| (255.0 + value * (full - 255.0)) as u8;
        format!("#{:02x}{:02x}{:02x}", mix(96.0), mix(171.0), mix(222.0))
    }))
}

fn alignments(analysis: &Analysis) -> Option<Figure> {
    let a = &analysis.alignments;
    let (vectors, channels) = (a.left_encoders.len(), a.left_encoders.first()?.len());
    let outputs = a.left_decoders[0].len();
    let columns: Vec<String> = (1..=channels)
        .map(|c| format!("e{c}"))
        .chain((1..=outputs).map(|c| format!("d{c}")))
        .chain(["ones".into()])
        .collect();
    let none = vec![f64::NAN; vectors];
    let sides = [
        ("left vectors", &a.left_encoders, &a.left_decoders, &a.left_ones),
        ("right vectors", &a.right_encoders, &a.right_decoders, &none),
    ];
    let cells = sides
        .into_iter()
        .map(|(title, encoders, decoders, ones)| {
            // Rounded as they are printed; the right vectors have no column of ones.
            let row = |k: usize| {
                let all = encoders[k].iter().chain(&decoders[k]).chain([&ones[k]]);
                all.filter(|x| !x.is_nan()).map(|x| (x.abs() * 100.0).round() / 100.0).collect::<Vec<f64>>()
            };
            // The first row is drawn lowest.
            let rows: Vec<Vec<f64>> = (0..vectors).rev().map(row).collect();
            let names: Vec<String> = (1..=vectors).rev().map(|k| format!("mode {k}")).collect();
            let shown = columns[..rows[0].len()].to_vec();
            let blues = light_blues(&rows);
            let plots = vec![Plot::Heatmap(heat(rows, blues).with_values())];
            let layout = layout(&plots, "", "")
                .with_x_categories(shown)
                .with_y_categories(names)
                .with_title(format!("{title}: |cosine|"));
            (plots, layout)
        })
        .collect();
    let caption = "Absolute cosines between the leading singular vectors of W (left: where it writes, right: what it reads) and encoders e, decoders d and the all-ones direction, which Dale's law makes a mode of its own.".into();
    Some(Figure { name: "alignments", caption, scene: grid(cells, 90.0 + 46.0 * vectors.max(3) as f64) })
}

fn coordinates(analysis: &Analysis) -> Option<Figure> {
    let cloud = &analysis.cloud;
    let fit = analysis.coordinate_fit?;
    let fits = |q: &Vec<f64>| q.iter().all(|q| q.abs() < 1e9);
    let kept: Vec<usize> = (0..cloud.times.len()).filter(|&t| fits(&cloud.coordinates[t])).collect();
    let (dimension, channels) = (cloud.coordinates.first()?.len().min(3), cloud.integrals.first()?.len());
    let other = usize::from(channels > 1);
    let colours: Vec<String> = ranked(&kept.iter().map(|&t| cloud.integrals[t][other]).collect::<Vec<f64>>())
        .into_iter()
        .map(diverging)
        .collect();
    let cells = (0..dimension)
        .map(|k| {
            let points: Vec<(f64, f64)> =
                kept.iter().map(|&t| (cloud.integrals[t][0], cloud.coordinates[t][k])).collect();
            let marks = ScatterPlot::new().with_data(points).with_colors(colours.clone()).with_size(2.0);
            let plots = vec![Plot::Scatter(marks)];
            let layout = layout(&plots, &integral(analysis, 0), &format!("manifold coordinate {}", k + 1))
                .with_ticks(4);
            (plots, layout)
        })
        .collect();
    let caption = format!(
        "Coordinates on the manifold against the {}, coloured by the {} (blue low, orange high). Part of the coordinates that is no linear function of the integrals: {}; that is no cubic one: {}.",
        integral(analysis, 0),
        integral(analysis, other),
        percent(fit.linear),
        percent(fit.cubic)
    );
    Some(Figure { name: "coordinates", caption, scene: grid(cells, 300.0) })
}

fn tuning(analysis: &Analysis) -> Option<Figure> {
    let maps = &analysis.tuning;
    let found = analysis.selectivity.as_ref()?;
    let first = maps.first()?;
    let cells: Vec<(Vec<Plot>, Layout)> = maps
        .iter()
        .map(|map| {
            let row = match &analysis.kept {
                Some(kept) => kept.partition_point(|&number| number < map.neuron),
                None => map.neuron,
            };
            let title = format!("neuron {}, index {:.2}", map.neuron, found.index[row]);
            if map.second.is_empty() {
                let mean = |(&u, rate): (&f64, &Option<f64>)| rate.map(|rate| (u, rate));
                let points = zip(&map.first, &map.mean[0]).filter_map(mean).collect();
                let plots = vec![Plot::Line(line(points, colour(0), 2.0))];
                let layout =
                    layout(&plots, &integral(analysis, 0), "mean rate").with_ticks(4).with_title(title);
                return (plots, layout);
            }
            let ends = |middles: &[f64]| {
                let half = (middles[1] - middles[0]) / 2.0;
                (middles[0] - half, middles[middles.len() - 1] + half)
            };
            let (x, y) = (ends(&map.first), ends(&map.second));
            // Where the run never was: the colour of the least rate would say something.
            let values = map.mean.iter().flatten().flatten();
            let (least, most) =
                values.fold((f64::MAX, f64::MIN), |(least, most), &rate| (least.min(rate), most.max(rate)));
            let blank = least - (most - least).max(1e-12) / 50.0;
            let rows = map.mean.iter().map(|row| row.iter().map(|rate| rate.unwrap_or(blank)).collect());
            let any_blank = map.mean.iter().flatten().any(Option::is_none);
            let colours = ColorMap::Custom(Arc::new(move |at: f64| {
                if any_blank && at <= 0.0 { "#ffffff".into() } else { ColorMap::Viridis.map(at) }
            }));
            let map = heat(rows.collect(), colours).with_cell_size(1.0).with_x_range(x.0, x.1);
            let plots = vec![Plot::Heatmap(map.with_y_range(y.0, y.1))];
            let layout = layout(&plots, &integral(analysis, 0), &integral(analysis, 1))
                .with_ticks(4)
                .with_title(title);
            (plots, layout)
        })
        .collect();
    let over = if first.second.is_empty() { "the integral" } else { "two integrals" };
    let caption = format!(
        "Mean rate of single neurons over {over}, two standard deviations to both sides; from the purest to the most mixed of the selective neurons ({} are mixed).",
        percent(found.mixed)
    );
    Some(Figure { name: "tuning", caption, scene: grid(cells, 270.0) })
}

fn selectivity(analysis: &Analysis) -> Option<Figure> {
    let found = analysis.selectivity.as_ref().filter(|found| found.vectors[0].len() > 1)?;
    let points: Vec<(f64, f64)> =
        found.vectors.iter().map(|w| (w[0], w[1])).filter(|w| w.0.abs() < 1e9 && w.1.abs() < 1e9).collect();
    let mut sorted: Vec<f64> = found.index.iter().copied().filter(|&index| index > 0.0).collect();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len().max(1) as f64;
    let steps: Vec<(f64, f64)> = zip(1.., sorted).map(|(k, index)| (index, f64::from(k) / count)).collect();
    let to = |c: usize| format!("selectivity to {}", integral(analysis, c));
    let vectors = vec![marks(points, 0, 3.0)];
    let indices = vec![Plot::Line(line(steps, colour(1), 2.0))];
    let left = layout(&vectors, &to(0), &to(1)).with_ticks(5);
    let right = layout(&indices, "mixed-selectivity index", "part of the neurons below")
        .with_x_axis_min(1.0)
        .with_x_axis_max(analysis.dimension.max(2) as f64)
        .with_y_axis_min(0.0)
        .with_y_axis_max(1.0);
    let caption = format!(
        "Selectivity vectors: the change of every neuron's rate when an integral rises by its standard deviation; a pure neuron lies on an axis. Index: participation ratio of the squared entries, from 1 (pure) to D = {}; mean {:.2}, {} of the neurons mixed (no integral makes more than 95 % of the square).",
        analysis.dimension,
        found.mean_index,
        percent(found.mixed)
    );
    Some(Figure { name: "selectivity", caption, scene: grid(vec![(vectors, left), (indices, right)], 340.0) })
}

fn time(analysis: &Analysis) -> Option<Figure> {
    let last = analysis.distance_curve.last()?;
    let distance = analysis.distance_curve.iter().map(|w| (w.to as f64, w.distance.min(DIVERGED)));
    let error = analysis.error_curve.iter().map(|w| (w.to as f64, w.relative_rmse.min(DIVERGED)));
    let curves =
        [(log_y(distance), "distance to the manifold", 0), (log_y(error), "relative RMSE of the output", 1)];
    let exponents: Vec<f64> = curves.iter().flat_map(|curve| curve.0.iter().map(|&(_, y)| y)).collect();
    let plots: Vec<Plot> = curves
        .into_iter()
        .filter(|curve| !curve.0.is_empty())
        .map(|(points, name, k)| Plot::Line(line(points, colour(k), 2.0).with_legend(name)))
        .collect();
    if plots.is_empty() {
        return None;
    }
    let layout = layout(&plots, "steps since reset", "part of the norm")
        .with_log_x()
        .with_x_axis_max(last.to as f64)
        .with_x_tick_format(TickFormat::Custom(Arc::new(|step| grouped(step.max(0.0) as u64))))
        .with_legend_position(LegendPosition::OutsideRightTop);
    let growth = analysis.error_growth.map_or(String::new(), |law| {
        format!(" The error grows as steps to the power of {:.2} (R² {:.2}).", law.exponent, law.r_squared)
    });
    let caption = format!(
        "Part of the pre-activations outside the span of the {} leading left singular vectors of W, and error of the worst channel, in windows of time since reset; at the end the distance is {}.{growth}",
        analysis.manifold_dimension,
        percent(last.distance)
    );
    let layout = with_powers_of_ten(layout, exponents.into_iter());
    Some(Figure { name: "time", caption, scene: grid(vec![(plots, layout)], 340.0) })
}

fn ablation(analysis: &Analysis) -> Option<Figure> {
    let first = analysis.ablations.first()?;
    let share = |silenced: usize| 100.0 * silenced as f64 / analysis.neurons as f64;
    let all =
        analysis.ablations.iter().flat_map(|of| of.errors.iter().map(|&error| (share(of.silenced), error)));
    let medians = analysis.ablations.iter().map(|of| (share(of.silenced), of.median()));
    let [points, medians] =
        [log_y(all.map(|(x, y)| (x, y.min(DIVERGED)))), log_y(medians.map(|(x, y)| (x, y.min(DIVERGED))))];
    let exponents: Vec<f64> = points.iter().map(|&(_, y)| y).collect();
    let plots = vec![marks(points, 0, 3.0), Plot::Line(line(medians, colour(1), 2.0))];
    let layout = layout(&plots, "neurons silenced, %", "relative RMSE").with_x_axis_min(0.0);
    let caption = format!(
        "Error of the worst channel with neurons silenced at random: {} choices each, and their median.",
        first.errors.len()
    );
    let layout = with_powers_of_ten(layout, exponents.into_iter());
    Some(Figure { name: "ablation", caption, scene: grid(vec![(plots, layout)], 340.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cosine_has_its_colour_whatever_the_others_are() {
        let (whole, part) = (light_blues(&[vec![0.0, 1.0]]), light_blues(&[vec![0.5], vec![0.75]]));
        assert_eq!((whole.map(0.0), part.map(0.0)), ("#ffffff".into(), whole.map(0.5)));
        assert_eq!((part.map(1.0), whole.map(1.0)), (whole.map(0.75), "#60abde".into()));
    }
}
