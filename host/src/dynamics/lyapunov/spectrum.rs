//! Lyapunov exponents by QR.

use std::iter::zip;

use serde::Serialize;

use super::Watch;
use super::large::Large;
use super::small::Small;
use crate::dynamics::{Kind, System};
use crate::error::require;
use crate::{Error, Result};

/// Least number of points of the convergence curve of a long run; at most twice as many.
const POINTS: usize = 200;
/// The bar moves after so many QR.
const SHOWN: usize = 16;
/// Most steps between two QR.
const MOST_STEPS: usize = 64;
/// Tangent vectors may differ by about this factor (its logarithm) in growth before the next QR: more loses
/// digits.
const SPREAD: f64 = 9.2;

/// How exponents are computed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many of the largest exponents; `None`: all n.
    pub exponents: Option<usize>,
    /// Steps thrown away first: the state comes to the attractor, the tangent vectors to their directions.
    pub transient: usize,
    /// Least number of steps that count.
    pub steps: usize,
    /// Steps between two QR; `None`: as many as keep growth factors within 1e4 of each other, found in the
    /// transient.
    pub every: Option<usize>,
    /// Time of a step, above 0: the RK4 step of a flow; of a map any unit, 1 for exponents per step.
    pub dt: f64,
    /// Batches for the standard errors, at least 2.
    pub batches: usize,
    /// Seed of the first tangent vectors.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { exponents: None, transient: 1000, steps: 20_000, every: None, dt: 1.0, batches: 20, seed: 0 }
    }
}

/// Lyapunov exponents of one trajectory, largest first.
#[derive(Clone, Debug, Serialize)]
pub struct Spectrum {
    /// lambda_1 >= lambda_2 ..., in 1 / time. Minus infinity where J is singular to rounding: a ReLU network
    /// at rest.
    pub exponents: Vec<f64>,
    /// Their standard errors, by batch means; not a number where the exponent is minus infinity.
    pub errors: Vec<f64>,
    /// lambda_1 of the later half of the batches less that of the earlier, by the error of such a difference,
    /// twice that of lambda_1; of size 3 or more: not stationary, such as chaos that ends on a cycle, or too
    /// short a transient.
    pub drift: f64,
    /// Kaplan-Yorke dimension, where exponents within two standard errors of 0 are 0; `None`: too few
    /// exponents.
    pub kaplan_yorke: Option<f64>,
    /// Whether all steps asked for were done; not after Ctrl-C.
    pub complete: bool,
    /// Steps that counted.
    pub steps: usize,
    /// Their time, steps · dt.
    pub time: f64,
    /// Steps between two QR.
    pub every: usize,
    /// (time, the exponents up to then), in the order of `exponents`.
    pub convergence: Vec<(f64, Vec<f64>)>,
    /// The last state.
    pub state: Vec<f64>,
}

impl Spectrum {
    /// The sum of all exponents: the mean rate at which volumes grow. Of fewer exponents, of volumes of that
    /// many dimensions.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.exponents.iter().sum()
    }
}

/// A state with orthonormal tangent vectors.
pub(super) trait Frame {
    /// One step of both.
    fn step(&mut self);
    /// Makes the tangent vectors orthonormal again; logs: by how much each had grown, ln r_ii of their QR.
    fn orthonormalise(&mut self, logs: &mut [f64]);
    /// The state.
    fn state(&self) -> &[f64];
}

/// The largest Lyapunov exponents of the trajectory from `start`.
///
/// Q_0 random orthonormal, n × k; after m steps D the linearisation of the m steps, D Q_t = Q_{t+m} R, and
/// lambda_i = mean of ln R_ii / (m dt). A flow is integrated by RK4 together with its variational equation
/// dQ/dt = J Q, which is the exact linearisation of the RK4 step. The standard error of lambda_i is that of
/// the mean of the batches; it is too small if a batch is shorter than the slowest fluctuation.
///
/// start: n. Systems of at most four dimensions run without allocating. At Ctrl-C the steps done are the
/// result.
///
/// # Errors
/// A start of another length; k = 0 or above n; no steps, no batches, no time. A state that stops being
/// finite; ended before the second QR that counts.
///
/// Source: Benettin et al. 1980; Shimada & Nagashima 1979.
///
/// ```
/// use faer::MatMut;
/// use tinyfold::dynamics::lyapunov::{Settings, Watch, spectrum};
/// use tinyfold::dynamics::{Kind, System};
///
/// struct Henon;
/// impl System for Henon {
///     fn dimension(&self) -> usize {
///         2
///     }
///     fn kind(&self) -> Kind {
///         Kind::Map
///     }
///     fn value(&self, x: &[f64], out: &mut [f64]) {
///         (out[0], out[1]) = (1.0 - 1.4 * x[0] * x[0] + x[1], 0.3 * x[0]);
///     }
///     fn jacobian(&self, x: &[f64], mut out: MatMut<'_, f64>) {
///         (out[(0, 0)], out[(0, 1)], out[(1, 0)], out[(1, 1)]) = (-2.8 * x[0], 1.0, 0.3, 0.0);
///     }
/// }
///
/// let settings = Settings { steps: 100_000, ..Settings::default() };
/// let found = spectrum(&Henon, &[0.1, 0.1], &settings, &Watch::default())?;
/// assert!((found.exponents[0] - 0.4192).abs() < 3.0 * found.errors[0]);
/// assert!((found.sum() - 0.3_f64.ln()).abs() < 1e-12);
/// # Ok::<(), tinyfold::Error>(())
/// ```
pub fn spectrum<S: System + ?Sized>(
    system: &S,
    start: &[f64],
    settings: &Settings,
    watch: &Watch,
) -> Result<Spectrum> {
    let n = system.dimension();
    let count = settings.exponents.unwrap_or(n);
    require(start.len() == n, "start", format!("{n} numbers"), start.len().to_string())?;
    require((1..=n).contains(&count), "exponents", format!("from 1 to n = {n}"), count.to_string())?;
    require(settings.steps > 0, "steps", "at least 1", "0")?;
    require(settings.batches > 1, "batches", "at least 2", settings.batches.to_string())?;
    require(settings.every != Some(0), "steps between two QR", "at least 1", "0")?;
    let timed = settings.dt > 0.0 && settings.dt.is_finite();
    require(timed, "dt", "a time above 0", settings.dt.to_string())?;
    let flow = (system.kind() == Kind::Flow).then_some(settings.dt);
    match n {
        1 => follow(&mut Small::<S, 1>::new(system, start, flow), count, settings, watch),
        2 => follow(&mut Small::<S, 2>::new(system, start, flow), count, settings, watch),
        3 => follow(&mut Small::<S, 3>::new(system, start, flow), count, settings, watch),
        4 => follow(&mut Small::<S, 4>::new(system, start, flow), count, settings, watch),
        _ => follow(&mut Large::new(system, start, count, flow, settings.seed), count, settings, watch),
    }
}

fn follow<F: Frame>(frame: &mut F, count: usize, settings: &Settings, watch: &Watch) -> Result<Spectrum> {
    let mut logs = vec![0.0; count];
    let (mut every, mut done) = (settings.every.unwrap_or(1), 0);
    while done < settings.transient {
        advance(frame, every, &mut logs, done)?;
        done += every;
        watch.bar.inc(every as u64);
        if watch.stopped() {
            let transient = settings.transient;
            return Err(ended(format!(
                "{done} of the {transient} steps of the transient, which do not count"
            )));
        }
        if settings.every.is_none() {
            let (least, most) =
                logs.iter().fold((f64::MAX, f64::MIN), |(a, b), &log| (a.min(log), b.max(log)));
            every = match most - least {
                spread if spread > SPREAD => (every / 2).max(1),
                spread if 2.0 * spread < SPREAD => (2 * every).min(MOST_STEPS),
                _ => every,
            };
        }
    }
    let intervals = settings.steps.div_ceil(every).next_multiple_of(settings.batches);
    let mut marks = Marks { every: 1, sums: Vec::new() };
    let (mut totals, mut interval) = (vec![0.0; count], 0);
    while interval < intervals && !watch.stopped() {
        advance(frame, every, &mut logs, done)?;
        done += every;
        interval += 1;
        zip(&mut totals, &logs).for_each(|(total, log)| *total += log);
        marks.add(interval, &totals);
        if interval % SHOWN == 0 {
            watch.bar.inc((SHOWN * every) as u64);
        }
    }
    marks.end(interval, &totals);
    if marks.sums.len() < 2 {
        return Err(ended(format!("{} steps that count, of {}", interval * every, settings.steps)));
    }
    Ok(Spectrum { complete: interval == intervals, ..summary(&marks, every, settings, frame.state()) })
}

/// Sums of the logarithms of growth at even distances, as many as are drawn however long a run is.
struct Marks {
    /// Intervals between two.
    every: usize,
    /// Intervals so far, and the sums over them.
    sums: Vec<(usize, Vec<f64>)>,
}

impl Marks {
    fn add(&mut self, interval: usize, totals: &[f64]) {
        if !interval.is_multiple_of(self.every) {
            return;
        }
        self.sums.push((interval, totals.to_vec()));
        if self.sums.len() == 2 * POINTS {
            self.every *= 2;
            let every = self.every;
            self.sums.retain(|mark| mark.0.is_multiple_of(every));
        }
    }

    /// The last interval ends the last mark.
    fn end(&mut self, interval: usize, totals: &[f64]) {
        if self.sums.last().is_some_and(|mark| mark.0 < interval) {
            self.sums.push((interval, totals.to_vec()));
        }
    }

    /// Intervals and mean growth an interval of at most `most` batches of about equal length.
    fn batches(&self, most: usize) -> Vec<(f64, Vec<f64>)> {
        let many = self.sums.len().min(most);
        let mut before = (0, vec![0.0; self.sums[0].1.len()]);
        (1..=many)
            .map(|k| {
                let mark = &self.sums[k * self.sums.len() / many - 1];
                let length = (mark.0 - before.0) as f64;
                // A direction that is lost, minus infinity, stays lost.
                let grown = |(&sum, &start): (&f64, &f64)| if sum.is_finite() { sum - start } else { sum };
                let mean = zip(&mark.1, &before.1).map(|pair| grown(pair) / length).collect();
                before = mark.clone();
                (length, mean)
            })
            .collect()
    }
}

/// `every` steps and a QR.
fn advance<F: Frame>(frame: &mut F, every: usize, logs: &mut [f64], done: usize) -> Result<()> {
    (0..every).for_each(|_| frame.step());
    frame.orthonormalise(logs);
    // Minus infinity is an answer; an infinite or undefined growth is none.
    if logs.iter().all(|&log| log < f64::INFINITY) && frame.state().iter().all(|x| x.is_finite()) {
        return Ok(());
    }
    Err(Error::Numeric {
        what: "Lyapunov exponents".into(),
        reason: format!("the state is not finite after step {done}; a smaller dt, or another start?"),
    })
}

fn ended(done: String) -> Error {
    Error::Numeric { what: "Lyapunov exponents".into(), reason: format!("ended too early: after {done}") }
}

/// Means and standard errors, sorted.
fn summary(marks: &Marks, every: usize, settings: &Settings, state: &[f64]) -> Spectrum {
    let batches = marks.batches(settings.batches);
    let unit = every as f64 * settings.dt;
    let (many, all) = (batches.len() as f64, batches.iter().map(|batch| batch.0).sum::<f64>());
    let moments: Vec<(f64, f64)> = (0..batches[0].1.len())
        .map(|i| {
            let mean = batches.iter().map(|(length, batch)| length * batch[i]).sum::<f64>() / all;
            let squares: f64 =
                batches.iter().map(|(length, batch)| length / all * (batch[i] - mean).powi(2)).sum();
            (mean / unit, (squares / (many - 1.0)).sqrt() / unit)
        })
        .collect();
    let mut order: Vec<usize> = (0..moments.len()).collect();
    order.sort_by(|&a, &b| moments[b].0.total_cmp(&moments[a].0));
    let mean_so_far = |(interval, sums): &(usize, Vec<f64>)| {
        let time = *interval as f64 * unit;
        (time, order.iter().map(|&i| sums[i] / time).collect())
    };
    let convergence = marks.sums.iter().map(mean_so_far).collect();
    let (exponents, errors): (Vec<f64>, Vec<f64>) = order.iter().map(|&i| moments[i]).unzip();
    let clear = |(&value, &error): (&f64, &f64)| if value.abs() <= 2.0 * error { 0.0 } else { value };
    let cleared: Vec<f64> = zip(&exponents, &errors).map(clear).collect();
    let half = batches.len() / 2;
    let mean = |batches: &[(f64, Vec<f64>)]| {
        batches.iter().map(|batch| batch.1[order[0]]).sum::<f64>() / (half as f64 * unit)
    };
    let change = mean(&batches[batches.len() - half..]) - mean(&batches[..half]);
    let drift = if errors[0] > 0.0 { change / (2.0 * errors[0]) } else { 0.0 };
    let steps = all as usize * every;
    Spectrum {
        complete: true,
        kaplan_yorke: kaplan_yorke(&cleared, state.len()),
        exponents,
        errors,
        drift,
        steps,
        time: steps as f64 * settings.dt,
        every,
        convergence,
        state: state.to_vec(),
    }
}

/// The Kaplan-Yorke dimension of an attractor in n dimensions with these exponents, largest first.
///
/// D = j + (lambda_1 + ... + lambda_j) / |lambda_{j+1}| with the largest j whose sum is not below 0; n if
/// that is n. `None` if the sum of all exponents given, fewer than n, is not below 0.
///
/// Source: Kaplan & Yorke 1979.
///
/// ```
/// use tinyfold::dynamics::lyapunov::kaplan_yorke;
/// assert_eq!(kaplan_yorke(&[0.5, 0.0, -2.0], 3), Some(2.25));
/// assert_eq!(kaplan_yorke(&[-0.1, -2.0], 2), Some(0.0));
/// assert_eq!(kaplan_yorke(&[0.5, 0.0], 3), None);
/// ```
#[must_use]
pub fn kaplan_yorke(exponents: &[f64], n: usize) -> Option<f64> {
    let mut sum = 0.0;
    for (j, &exponent) in exponents.iter().enumerate() {
        if sum + exponent < 0.0 {
            return Some(j as f64 + sum / exponent.abs());
        }
        sum += exponent;
    }
    (exponents.len() == n).then_some(n as f64)
}
