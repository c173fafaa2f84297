//! Counts of executed instructions and modelled cycles, on every emulated chip, that anyone can repeat.
//!
//! Stock QEMU ties its time to executed instructions, and SysTick on the chip reads that time around the
//! work; the reads cost the same around nothing, which is taken off. One step in a steady state is counted,
//! after the chip's words were found equal, bit for bit, to core's on this host. Where the time of a core is
//! modelled, a second run traces the same instructions, and both must count the same.

pub mod activations;
pub mod baseline;
pub mod case;
pub mod chip;
pub mod derived;
pub mod learn;
pub mod table;
pub mod thumb;
pub mod timing;
pub mod trace;

use indicatif::ProgressBar;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Result;
use case::Case;
use chip::Bench;

/// One case on one chip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Kernel.
    pub kernel: String,
    /// n; elements of an activation; degree of a reduced model.
    pub n: usize,
    /// R, 0 if dense; D of a reduced model.
    pub rank: usize,
    /// Number type.
    pub number: String,
    /// Chip.
    pub on: String,
    /// What the work is divided by: "multiply-add", for an activation "element", for a reduced model "coefficient".
    pub operation: String,
    /// How many of them.
    pub operations: usize,
    /// Executed instructions of one step, or of one pass over the elements.
    pub instructions: u64,
    /// Instructions per multiply-add or element.
    pub instructions_per_mac: f64,
    /// Modelled cycles; null on chips without a model.
    pub cycles: Option<u64>,
    /// Modelled cycles per multiply-add or element.
    pub cycles_per_mac: Option<f64>,
    /// Bytes of flash of the bench image, which holds every kernel; the model comes on top.
    pub flash: u64,
    /// Bytes of the model.
    pub model: u64,
    /// Bytes of static RAM of the bench image with as much memory as the case needs.
    pub ram: u64,
    /// Most bytes of stack of the whole image.
    pub stack: u32,
}

/// A case that a chip cannot run, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The case.
    pub case: String,
    /// Chip.
    pub on: String,
    /// The reason.
    pub reason: String,
}

/// A chip whose cycles are modelled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modelled {
    /// Chip.
    pub on: String,
    /// Name and assumptions of the model.
    pub model: String,
}

/// All that was counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Version of this structure.
    pub schema: u32,
    /// The compiler that built the images.
    pub compiler: String,
    /// Whether the images are of portable Rust alone, without assembly.
    pub portable: bool,
    /// The models of cycles.
    pub models: Vec<Modelled>,
    /// The rows, chip by chip in the order of the list of cases.
    pub rows: Vec<Row>,
    /// What was left out.
    pub left_out: Vec<LeftOut>,
}

/// Counts every case on every chip.
///
/// # Errors
/// See [`Bench::count`].
pub fn count(cases: &[Case], chips: &[Bench], progress: &ProgressBar) -> Result<Counts> {
    let mut left_out = Vec::new();
    let mut jobs = Vec::new();
    for bench in chips {
        for case in cases {
            match bench.left_out(case) {
                Some(reason) => {
                    left_out.push(LeftOut { case: case.name(), on: bench.chip.name.into(), reason });
                }
                None => jobs.push((bench, case)),
            }
        }
    }
    progress.set_length(jobs.len() as u64);
    let rows = jobs
        .par_iter()
        .with_max_len(1)
        .map(|(bench, case)| {
            let row = row(bench, case);
            progress.inc(1);
            row
        })
        .collect::<Result<Vec<Row>>>()?;
    progress.finish_and_clear();
    let models = chips.iter().filter_map(|bench| {
        let model = bench.model()?.name().into();
        Some(Modelled { on: bench.chip.name.into(), model })
    });
    let compiler = chips.first().map(|bench| bench.program.compiler.clone()).unwrap_or_default();
    let portable = chips.iter().any(|bench| bench.portable);
    Ok(Counts { schema: 1, compiler, portable, models: models.collect(), rows, left_out })
}

fn row(bench: &Bench, case: &Case) -> Result<Row> {
    let count = bench.count(case)?;
    let per = |count: u64| (1e4 * count as f64 / case.operations as f64).round() / 1e4;
    Ok(Row {
        kernel: case.kernel.into(),
        n: case.neurons,
        rank: case.rank,
        number: case.number.name().into(),
        on: bench.chip.name.into(),
        operation: case.operation().into(),
        operations: case.operations,
        instructions: count.instructions,
        instructions_per_mac: per(count.instructions),
        cycles: count.cycles,
        cycles_per_mac: count.cycles.map(per),
        flash: bench.image.flash,
        model: case.model.bytes().len() as u64,
        ram: bench.ram(case),
        stack: count.stack,
    })
}
