//! One list of cases, many backends, every word of every step compared.
//!
//! The truth is an independent f64 simulation of the exported weights ([`Case::truth`]); `core` is
//! `tinyfold-core` on this host, in f32 or in the integers of fixed point; every other backend must give the
//! same bits as `core`. Networks, reduced models and networks under a monitor are cases alike.

pub mod case;
pub mod decoders;
pub mod firmware;
pub mod qemu;
pub mod suite;
pub mod tolerance;

use indicatif::ProgressBar;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use case::{Case, Subject, Truth};
use tinyfold_core::wire;
use tinyfold_core::wire::trial::ResultHeader;
use tolerance::tolerance;

use crate::format::model::ModelBytes;
use crate::format::{fixed, model};
use crate::{Error, Result};

/// What a backend computed for a case: words of 32 bits, f32 or integers as the model's numbers are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Held input channels of every step.
    pub held: Vec<u32>,
    /// Outputs, row-major T × O.
    pub outputs: Vec<u32>,
    /// Carried words, row-major T × carried.
    pub carried: Vec<u32>,
}

impl Record {
    /// Words that two records must agree on.
    #[must_use]
    pub const fn words(&self) -> usize {
        self.held.len() + self.outputs.len() + self.carried.len()
    }

    /// The steps of a result as a chip writes them.
    pub(crate) fn of_words(header: &ResultHeader, words: &[[u8; 4]]) -> Self {
        let mut record = Self::default();
        for step in words.chunks_exact(header.step_len()) {
            record.held.push(u32::from_le_bytes(step[0]));
            let (outputs, carried) = step[1..].split_at(header.outputs);
            record.outputs.extend(outputs.iter().map(|&word| u32::from_le_bytes(word)));
            record.carried.extend(carried.iter().map(|&word| u32::from_le_bytes(word)));
        }
        record
    }

    /// Adds a step.
    fn add(&mut self, held: u32, outputs: &[f32], carried: &[f32]) {
        self.held.push(held);
        self.outputs.extend(outputs.iter().map(|word| word.to_bits()));
        self.carried.extend(carried.iter().map(|word| word.to_bits()));
    }

    /// The words of one step.
    fn step(&self, t: usize) -> impl Iterator<Item = u32> + '_ {
        let steps = self.held.len().max(1);
        let slice = |words: &'_ [u32]| {
            let width = words.len() / steps;
            t * width..(t + 1) * width
        };
        std::iter::once(self.held[t])
            .chain(self.outputs[slice(&self.outputs)].iter().copied())
            .chain(self.carried[slice(&self.carried)].iter().copied())
    }
}

/// Cases that a backend gets at once.
const BATCH: usize = 16;

/// Something that runs models on samples.
pub trait Backend: Sync {
    /// Name, as in `--on`.
    fn name(&self) -> String;

    /// Runs every case from reset to its last sample.
    ///
    /// # Errors
    /// The backend cannot run one: too large, crashed, timed out.
    fn run(&self, cases: &[&Case]) -> Result<Vec<Record>>;

    /// Why it is not asked to run a case, if it is not.
    fn left_out(&self, _: &Case) -> Option<String> {
        None
    }
}

/// `tinyfold-core` on this host.
pub struct Core;

impl Backend for Core {
    fn name(&self) -> String {
        "core".into()
    }

    fn run(&self, cases: &[&Case]) -> Result<Vec<Record>> {
        cases.iter().map(|case| Self::record(case)).collect()
    }
}

impl Core {
    /// Outputs in physical units and carried words in network units of one case.
    ///
    /// # Errors
    /// As [`Backend::run`].
    pub fn values(case: &Case) -> Result<(Vec<f64>, Vec<f64>)> {
        Ok(case.values(&Self::record(case)?))
    }

    fn record(case: &Case) -> Result<Record> {
        match (&case.subject, &case.monitor) {
            (Subject::Fixed(network, _), _) => {
                let trace = fixed::run(&case.model, &network.raw(&case.samples), &case.name)?;
                let words = |values: &[i32]| values.iter().map(|&word| word as u32).collect();
                Ok(Record {
                    held: vec![0; case.steps()],
                    outputs: words(&trace.outputs),
                    carried: words(&trace.carried),
                })
            }
            (Subject::Float(_), None) => Self::float(case),
            (Subject::Float(_), Some(monitor)) => Self::watched(case, monitor),
            (Subject::Reduced(_), _) => Self::reduced(case),
        }
    }

    fn float(case: &Case) -> Result<Record> {
        let view = model::read::<f32>(&case.model, &case.name)?.view;
        let mut memory = vec![0.0; view.shape().state_len()];
        let mut state = view.state(&mut memory).map_err(|error| model::refused(&case.name, error))?;
        let mut record = Record::default();
        for sample in case.samples.chunks_exact(case.inputs.max(1)) {
            let held = view.step(&mut state, sample).held;
            record.add(held, state.output(), state.carried());
        }
        Ok(record)
    }

    fn watched(case: &Case, monitor: &ModelBytes) -> Result<Record> {
        let refused = |error| model::refused(&case.name, error);
        let view = model::read::<f32>(&case.model, &case.name)?.view;
        let monitor = wire::monitor::read::<f32>(monitor.bytes()).map_err(refused)?.monitor;
        let (mut memory, mut room) =
            (vec![0.0; view.shape().state_len()], vec![0.0; monitor.shape().memory_len()]);
        let mut state = view.state(&mut memory).map_err(refused)?;
        let mut watch = monitor.watch(&view, &mut room).map_err(refused)?;
        let mut record = Record::default();
        for sample in case.samples.chunks_exact(case.inputs.max(1)) {
            let (status, verdict) = monitor.step(&view, &mut state, sample, &mut watch);
            record.add(status.held, state.output(), state.carried());
            record.carried.push(verdict.alarm.bits());
            let found = [verdict.residual, verdict.distance, verdict.range];
            record.carried.extend(found.map(f32::to_bits));
        }
        Ok(record)
    }

    fn reduced(case: &Case) -> Result<Record> {
        let refused = |error| model::refused(&case.name, error);
        let view = wire::reduced::read::<f32>(case.model.bytes()).map_err(refused)?.view;
        let mut memory = vec![0.0; view.shape().state_len()];
        let mut state = view.state(&mut memory).map_err(refused)?;
        let mut record = Record::default();
        for sample in case.samples.chunks_exact(case.inputs.max(1)) {
            let status = view.step(&mut state, sample);
            record.add(status.held, state.output(), state.z());
            record.carried.push(status.outside.into());
        }
        Ok(record)
    }
}

/// What `verify` says of one backend, over all cases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Backend.
    pub name: String,
    /// Cases run.
    pub cases: usize,
    /// Steps run, over all cases.
    pub steps: usize,
    /// Words compared, over all cases.
    pub words: usize,
    /// Every word equal to core's, bit for bit. None for the truth itself.
    pub bit_equal: Option<bool>,
    /// Largest |output or carried word - truth|.
    pub max_abs: f64,
    /// Root mean square of the same.
    pub rms: f64,
    /// Largest of error / largest value of the run, over the cases.
    pub max_relative: f64,
    /// Largest |output or carried word - truth of the original weights|, when the originals are known.
    pub max_abs_original: Option<f64>,
    /// Bit-equal, and every case within its tolerance.
    pub verdict: Verdict,
    /// The cases that failed, with the reason.
    pub failures: Vec<String>,
    /// The cases that it was not asked to run, with the reason.
    #[serde(default)]
    pub left_out: Vec<String>,
}

/// Passed or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Bit-equal to core and within tolerance of the truth.
    Pass,
    /// Not.
    Fail,
}

/// All rows of a verification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// Version of this structure.
    pub schema: u32,
    /// The truth first, then the backends in the order asked for.
    pub backends: Vec<Row>,
}

impl Verification {
    /// Whether every backend passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.backends.iter().all(|row| row.verdict == Verdict::Pass)
    }
}

/// Errors of one run against one truth.
#[derive(Clone, Copy, Debug, Default)]
struct Distance {
    max: f64,
    square_sum: f64,
    count: usize,
    /// Largest |truth|.
    scale: f64,
}

impl Distance {
    fn between(found: impl Iterator<Item = f64>, truth: &[f64]) -> Self {
        let mut distance = Self::default();
        for (found, &truth) in found.zip(truth) {
            let error = (found - truth).abs();
            // NaN fails every comparison, so it must count as infinitely far.
            let error = if error.is_nan() { f64::INFINITY } else { error };
            distance.max = distance.max.max(error);
            distance.square_sum += error * error;
            distance.count += 1;
            distance.scale = distance.scale.max(truth.abs());
        }
        distance
    }

    fn join(self, other: Self) -> Self {
        Self {
            max: self.max.max(other.max),
            square_sum: self.square_sum + other.square_sum,
            count: self.count + other.count,
            scale: self.scale.max(other.scale),
        }
    }

    fn of(outputs: impl Iterator<Item = f64>, carried: impl Iterator<Item = f64>, truth: &Truth) -> Self {
        Self::between(outputs, &truth.outputs).join(Self::between(carried, &truth.carried))
    }

    /// Infinite where either is: a truth that overflows proves nothing.
    fn relative(self) -> f64 {
        match self.max / self.scale {
            _ if self.max == 0.0 => 0.0,
            relative if relative.is_nan() => f64::INFINITY,
            relative => relative,
        }
    }
}

/// A case with what every backend is compared to.
struct Prepared<'a> {
    case: &'a Case,
    truth: Truth,
    truth_of_original: Option<Truth>,
    core: Record,
}

/// What one backend did on one case.
struct Comparison {
    steps: usize,
    words: usize,
    bit_equal: bool,
    distance: Distance,
    to_original: Option<f64>,
    failure: Option<String>,
}

impl Prepared<'_> {
    fn compare(&self, record: &Record) -> Comparison {
        let (outputs, carried) = self.case.values(record);
        let to = |truth: &Truth| Distance::of(outputs.iter().copied(), carried.iter().copied(), truth);
        let distance = to(&self.truth);
        let complete = record.words() == self.core.words();
        let bit_equal = self.case.same_bits(record, &self.core);
        let allowed = tolerance(self.case);
        let failure = if !complete {
            Some(format!("{} words, expected {}", record.words(), self.core.words()))
        } else if !bit_equal {
            Some(format!("not bit-equal to core, {}", self.first_difference(record)))
        } else if distance.relative() > allowed {
            Some(format!("relative error {:.1e}, tolerance {allowed:.0e}", distance.relative()))
        } else {
            None
        };
        Comparison {
            steps: record.held.len(),
            words: record.words(),
            bit_equal: bit_equal && complete,
            distance,
            to_original: self.truth_of_original.as_ref().map(|truth| to(truth).max),
            failure: failure.map(|reason| format!("{}: {reason}", self.case.name)),
        }
    }

    fn first_difference(&self, found: &Record) -> String {
        for t in 0..self.core.held.len() {
            for (k, (found, core)) in found.step(t).zip(self.core.step(t)).enumerate() {
                if !self.case.same_word(found, core) {
                    return format!("first at step {t}, word {k}: {found:#010x}, core {core:#010x}");
                }
            }
        }
        "in length".into()
    }
}

/// Runs every case on every backend and compares every word.
///
/// The first row is the truth: its error is that of rounding the weights, when the originals are known.
///
/// # Errors
/// A backend that cannot run a case. Differences are not errors; they are in the rows.
pub fn verify(cases: &[Case], backends: &[&dyn Backend], progress: &ProgressBar) -> Result<Verification> {
    let prepared = cases
        .par_iter()
        .map(|case| {
            let truth = case.truth()?;
            let truth_of_original = case.original.as_ref().map(|original| {
                let mut of_original = case.truth_of(original);
                // A dense network and one of low rank carry different things: the outputs alone are alike.
                if of_original.carried.len() != truth.carried.len() {
                    of_original.carried.clear();
                }
                of_original
            });
            Ok(Prepared { truth, truth_of_original, core: Core::record(case)?, case })
        })
        .collect::<Result<Vec<Prepared<'_>>>>()?;
    // Chips differ in speed by two orders of magnitude: all batches of all backends share one queue.
    let mut jobs: Vec<(usize, Vec<&Prepared<'_>>)> = Vec::new();
    let mut left_out = vec![Vec::new(); backends.len()];
    for (k, backend) in backends.iter().enumerate() {
        let (mut own, mut last) = (Vec::new(), None);
        for prepared in &prepared {
            match backend.left_out(prepared.case) {
                None => own.push(prepared),
                Some(reason) => {
                    left_out[k].push(format!("{}: {reason}", prepared.case.name));
                    last = Some(reason);
                }
            }
        }
        if let (true, Some(reason)) = (own.is_empty(), last) {
            return Err(Error::input("--on", "a backend for it", format!("{}: {reason}", backend.name())));
        }
        jobs.extend(own.chunks(BATCH).map(|batch| (k, batch.to_vec())));
    }
    progress.set_length(jobs.iter().map(|(_, batch)| batch.len() as u64).sum());
    let done = jobs
        .par_iter()
        .with_max_len(1)
        .map(|(k, batch)| {
            let cases: Vec<&Case> = batch.iter().map(|prepared| prepared.case).collect();
            let records = backends[*k].run(&cases)?;
            progress.inc(batch.len() as u64);
            let compared = batch.iter().zip(&records).map(|(prepared, record)| prepared.compare(record));
            Ok((*k, compared.collect::<Vec<Comparison>>()))
        })
        .collect::<Result<Vec<(usize, Vec<Comparison>)>>>()?;

    let steps = cases.iter().map(Case::steps).sum();
    let mut rows = vec![truth_row(&prepared, steps)];
    for ((k, backend), left_out) in backends.iter().enumerate().zip(left_out) {
        let comparisons: Vec<&Comparison> =
            done.iter().filter(|(of, _)| *of == k).flat_map(|(_, comparisons)| comparisons).collect();
        rows.push(Row { left_out, ..row(backend.name(), &comparisons) });
    }
    progress.finish_and_clear();
    Ok(Verification { schema: 1, backends: rows })
}

fn row(name: String, comparisons: &[&Comparison]) -> Row {
    let total = comparisons.iter().fold(Distance::default(), |sum, c| sum.join(c.distance));
    let failures: Vec<String> = comparisons.iter().filter_map(|c| c.failure.clone()).collect();
    Row {
        name,
        cases: comparisons.len(),
        steps: comparisons.iter().map(|c| c.steps).sum(),
        words: comparisons.iter().map(|c| c.words).sum(),
        bit_equal: Some(comparisons.iter().all(|c| c.bit_equal)),
        max_abs: total.max,
        rms: (total.square_sum / total.count.max(1) as f64).sqrt(),
        max_relative: comparisons.iter().map(|c| c.distance.relative()).fold(0.0, f64::max),
        max_abs_original: comparisons.iter().map(|c| c.to_original).try_fold(0.0, |max, x| Some(x?.max(max))),
        verdict: if failures.is_empty() { Verdict::Pass } else { Verdict::Fail },
        failures,
        left_out: Vec::new(),
    }
}

fn truth_row(prepared: &[Prepared<'_>], steps: usize) -> Row {
    let rounding = |prepared: &Prepared<'_>| {
        let (truth, original) = (&prepared.truth, prepared.truth_of_original.as_ref()?);
        let (outputs, carried) = (truth.outputs.iter().copied(), truth.carried.iter().copied());
        Some(Distance::of(outputs, carried, original).max)
    };
    Row {
        name: "host-f64".into(),
        cases: prepared.len(),
        steps,
        words: prepared.iter().map(|p| p.truth.outputs.len() + p.truth.carried.len()).sum(),
        bit_equal: None,
        max_abs: 0.0,
        rms: 0.0,
        max_relative: 0.0,
        max_abs_original: prepared.iter().map(rounding).try_fold(0.0, |max, x| Some(x?.max(max))),
        verdict: Verdict::Pass,
        failures: Vec::new(),
        left_out: Vec::new(),
    }
}

/// The backends of names such as `core` or `qemu-m4f`; the images of chips are built now.
///
/// # Errors
/// An unknown name, with the known ones; [`Error::Missing`] when a chip's tools are not there.
pub fn backends(names: &[String]) -> Result<Vec<Box<dyn Backend>>> {
    let chip = |name: &str| qemu::CHIPS.into_iter().find(|chip| chip.name == name);
    names
        .iter()
        .map(|name| match (name.as_str(), chip(name)) {
            ("core", _) => Ok(Box::new(Core) as Box<dyn Backend>),
            (_, Some(chip)) => Ok(Box::new(qemu::Qemu::new(chip)?) as Box<dyn Backend>),
            _ => {
                let known = qemu::CHIPS.map(|chip| chip.name).join(", ");
                Err(Error::input("--on", format!("backends among core, {known}"), name.clone()))
            }
        })
        .collect()
}
