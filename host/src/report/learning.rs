//! The chapter on learning: an integrator that adapts, and integrators that learned from nothing.

use std::fmt;
use std::path::Path;

use kuva::plot::{LegendPosition, LineStyle};
use kuva::render::annotations::ReferenceLine;
use kuva::render::plots::Plot;
use serde::{Deserialize, Serialize};

use super::figures::{Figure, GREY, colour, grid, layout, line, log_y, with_powers_of_ten};
use super::text::{DIVERGED, escape, grouped, list, percent};
use crate::adapt::drift::{Findings, Settings, WINDOW, WITHIN};
use crate::adapt::{Course, Proof, Taught, prove, zero};
use crate::format;
use crate::format::model::ModelBytes;
use crate::task::Dataset;
use crate::verify::qemu::Qemu;
use crate::verify::{Backend, Core};
use crate::{Error, Result};

/// What was learned where, and how well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Learning {
    /// Name of the chip; "core" for this host alone.
    pub on: String,
    /// What drifted.
    pub drift: Settings,
    /// What it did.
    pub findings: Findings,
    /// What it cost.
    pub cost: Cost,
    /// Integrators that learned from nothing.
    pub zero: Vec<Zero>,
}

/// What learning costs, and what was compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Bytes of memory for parameters, state and rule.
    pub memory: usize,
    /// Words in which chip and host agree; 0 without a chip.
    pub words: usize,
    /// Bytes of the image's static RAM, that memory included; 0 without a chip.
    pub static_ram: u64,
    /// Most bytes of stack used so far; 0 without a chip.
    pub stack: u32,
}

/// An integrator that learned from nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Zero {
    /// What it was to learn.
    pub settings: zero::Settings,
    /// Relative RMSE over [`zero::FREE`] new steps.
    pub error: f64,
    /// What it cost.
    pub cost: Cost,
}

/// What a board is flashed with, and what it kept.
pub struct Flashed {
    /// The network to begin with.
    pub model: ModelBytes,
    /// The lesson, in the place of a trial.
    pub lesson: Vec<u8>,
    /// The flash banks afterwards.
    pub banks: Vec<u8>,
}

impl Learning {
    /// The drift, on this host and, if there is one, on a chip.
    ///
    /// # Errors
    /// Settings out of range; a chip that differs from the host in any bit.
    pub fn of_drift(settings: &Settings, data: &Dataset, chip: Option<&Qemu>) -> Result<(Self, Flashed)> {
        let drift = settings.prepare(data)?;
        let Proof { taught, flash } = prove(&drift.course, chip)?;
        let frozen = drift.run_frozen(backend(chip))?;
        let learning = Self {
            on: chip.map_or("core", |qemu| qemu.chip.name).into(),
            drift: settings.clone(),
            findings: drift.findings(&taught, &frozen),
            cost: cost(&drift.course, &taught, chip)?,
            zero: Vec::new(),
        };
        let lesson = drift.course.bytes()?;
        Ok((learning, Flashed { model: drift.course.model, lesson, banks: flash }))
    }
}

impl Zero {
    /// An integrator that learns from nothing, on this host and, if there is one, on a chip; with the network.
    ///
    /// # Errors
    /// As [`Learning::of_drift`].
    pub fn of(settings: &zero::Settings, chip: Option<&Qemu>) -> Result<(Self, crate::Network)> {
        let course = settings.course()?;
        let taught = prove(&course, chip)?.taught;
        let error = zero::generalises(settings, &course, &taught, backend(chip))?;
        let cost = cost(&course, &taught, chip)?;
        Ok((Self { settings: settings.clone(), error, cost }, course.network(&taught)?))
    }
}

fn backend(chip: Option<&Qemu>) -> &dyn Backend {
    chip.map_or(&Core, |qemu| qemu)
}

fn cost(course: &Course, taught: &Taught, chip: Option<&Qemu>) -> Result<Cost> {
    let memory = size_of::<f32>() * course.memory_len()?;
    Ok(match chip {
        None => Cost { memory, words: 0, static_ram: 0, stack: 0 },
        Some(qemu) => Cost {
            memory,
            words: taught.words(),
            static_ram: qemu.image.static_ram,
            stack: qemu.worst_stack(),
        },
    })
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory, words, static_ram, stack } = *self;
        write!(f, "memory: {} bytes for parameters, state and rule", grouped(memory as u64))?;
        if words == 0 {
            return Ok(());
        }
        let [words, ram, stack] = [words as u64, static_ram, stack.into()].map(grouped);
        write!(
            f,
            ", within {ram} bytes of static RAM; worst stack {stack} bytes\nbit-equal to the host: all of {words} words"
        )
    }
}

impl fmt::Display for Zero {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { settings, error, cost } = self;
        let zero::Settings { neurons, decays, samples, passes, .. } = settings;
        let steps = grouped(*samples as u64 * u64::from(*passes));
        writeln!(
            f,
            "from zero: n = {neurons}, D = {}, decays {decays:?}, {steps} learning steps",
            decays.len()
        )?;
        let free = grouped(zero::FREE as u64);
        writeln!(f, "relative RMSE over {free} new steps without targets: {}", percent(*error))?;
        cost.fmt(f)
    }
}

fn recovery(samples: Option<usize>) -> String {
    samples.map_or("never".into(), |samples| format!("after {} samples", grouped(samples as u64)))
}

impl fmt::Display for Learning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { on, drift, findings, cost, zero } = self;
        let Findings { samples, adapting, frozen, .. } = findings;
        writeln!(
            f,
            "drift after {} of {} samples on {on}: gain \u{d7} {}, decays {:+}; n = {}, D = {}",
            grouped(*samples as u64 / 2),
            grouped(*samples as u64),
            drift.gain,
            drift.decay,
            drift.neurons,
            drift.decays.len()
        )?;
        writeln!(
            f,
            "{:<10} {:>14} {:>14}  within {WITHIN} \u{d7} of it again",
            "integrator", "error before", "at the end"
        )?;
        for (name, errors) in [("adapting", adapting), ("frozen", frozen)] {
            let [before, after] = [errors.before, errors.after].map(percent);
            writeln!(f, "{name:<10} {before:>14} {after:>14}  {}", recovery(errors.recovered))?;
        }
        cost.fmt(f)?;
        zero.iter().try_for_each(|zero| write!(f, "\n{zero}"))
    }
}

/// The error of both integrators against time.
#[must_use]
pub fn figure(learning: &Learning) -> Figure {
    let Findings { samples, adapting, frozen, .. } = &learning.findings;
    let mut exponents = Vec::new();
    let mut plots = Vec::new();
    for (k, (name, errors)) in [("adapting", adapting), ("frozen", frozen)].into_iter().enumerate() {
        let middle = |window: usize| (window as f64 + 0.5) * WINDOW as f64;
        let points = errors.windows.iter().enumerate();
        let curve = log_y(points.map(|(window, &error)| (middle(window), error.min(DIVERGED))));
        exponents.extend(curve.iter().map(|&(_, y)| y));
        plots.push(Plot::Line(line(curve, colour(k), 2.0).with_legend(name)));
    }
    let within = WITHIN * adapting.before;
    if within > 0.0 {
        let y = within.log10();
        let level = line(vec![(0.0, y), (*samples as f64, y)], GREY, 1.2).with_line_style(LineStyle::Dashed);
        plots.push(Plot::Line(level.with_legend(format!("{WITHIN} \u{d7} before"))));
        exponents.push(y);
    }
    let layout = layout(&plots, "sample", "relative RMSE")
        .with_x_axis_max(*samples as f64)
        .with_reference_line(ReferenceLine::vertical(*samples as f64 / 2.0).with_color(GREY))
        .with_legend_position(LegendPosition::OutsideRightTop);
    let layout = with_powers_of_ten(layout, exponents.into_iter());
    Figure { name: "drift", caption: caption(learning), scene: grid(vec![(plots, layout)], 380.0) }
}

fn caption(learning: &Learning) -> String {
    let Learning { on, drift, findings, .. } = learning;
    let Findings { adapting, frozen, samples, .. } = findings;
    let decays: Vec<String> = drift.decays.iter().map(f64::to_string).collect();
    let targets = match drift.every {
        1 => "a target for every sample".into(),
        every => format!("a target for one sample in {every}"),
    };
    let recovered = match adapting.recovered {
        Some(samples) => {
            format!("is back within {WITHIN} \u{d7} of that {} samples later", grouped(samples as u64))
        }
        None => format!("does not come back within {WITHIN} \u{d7} of that"),
    };
    let forever = match frozen.recovered {
        Some(samples) => format!("does {} samples later", grouped(samples as u64)),
        None => "never does".into(),
    };
    format!(
        "Error over windows of {WINDOW} samples on {}. At sample {} (line) the sensor's gain becomes {} \u{d7} what it was and the decays to be kept change from {} by {:+}. The adapting integrator (n = {}; recursive least squares on its latent maps; {targets}, with {} of noise) has an error of {} before and {recovered}; the frozen one beside it {forever} and ends at {}.",
        if on == "core" { "this host" } else { on },
        grouped(*samples as u64 / 2),
        drift.gain,
        list(&decays),
        drift.decay,
        drift.neurons,
        percent(drift.noise),
        percent(adapting.before),
        percent(frozen.after),
    )
}

/// Rows of the page's table on learning from nothing.
pub(super) fn rows(learning: &Learning) -> Vec<Vec<String>> {
    let row = |zero: &Zero| {
        let zero::Settings { neurons, decays, samples, passes, .. } = &zero.settings;
        let decays: Vec<String> = decays.iter().map(f64::to_string).collect();
        vec![
            format!("n = {neurons}, D = {}", decays.len()),
            escape(&list(&decays)),
            grouped(*samples as u64 * u64::from(*passes)),
            percent(zero.error),
            grouped(zero.cost.memory as u64),
            if zero.cost.words == 0 { "\u{2013}".into() } else { grouped(zero.cost.words as u64) },
        ]
    };
    learning.zero.iter().map(row).collect()
}

/// Writes learning.json, drift.svg and drift.png, and what a board is flashed with, into `folder`: model.tfld,
/// lesson.bin; and banks.bin if anything was kept.
///
/// # Errors
/// A file that cannot be written.
pub fn write(folder: &Path, learning: &Learning, flashed: &Flashed) -> Result<()> {
    let figure = figure(learning);
    let write = |name: &str, bytes: &[u8]| format::write_atomic(&folder.join(name), bytes);
    write("drift.svg", figure.svg().as_bytes())?;
    write("drift.png", &figure.png()?)?;
    write("model.tfld", flashed.model.bytes())?;
    write("lesson.bin", &flashed.lesson)?;
    if learning.drift.store > 0 {
        write("banks.bin", &flashed.banks)?;
    }
    format::write_json(&folder.join("learning.json"), learning)
}

impl Learning {
    /// Checks that windows, samples and decays fit each other.
    ///
    /// # Errors
    /// The field of `place` that does not fit, expected and found.
    pub(super) fn check(&self, place: &str) -> Result<()> {
        let Findings { samples, adapting, frozen, .. } = &self.findings;
        for (name, errors) in [("adapting", adapting), ("frozen", frozen)] {
            if errors.windows.len() != samples / WINDOW {
                let place = format!("{place}: learning.findings.{name}.windows");
                return Err(Error::input(
                    place,
                    (samples / WINDOW).to_string(),
                    errors.windows.len().to_string(),
                ));
            }
        }
        Ok(())
    }

    /// What is not finite as the largest number: JSON has no infinity.
    pub(super) fn cap(&mut self, cap: fn(&mut f64)) {
        for errors in [&mut self.findings.adapting, &mut self.findings.frozen] {
            cap(&mut errors.before);
            cap(&mut errors.after);
            errors.windows.iter_mut().for_each(cap);
        }
        self.zero.iter_mut().for_each(|zero| cap(&mut zero.error));
    }
}
