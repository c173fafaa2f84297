//! Questions of dynamics beside what others do for them: times, and what each finds.
//!
//! Every row is checked before its time is shown: points, cycles, coefficients, folds and exponents against the
//! references in `host/tests/dynamics`. The other methods are in `benches/dynamics/methods.py`.

mod branches;
mod cycles;
mod exponents;
mod fixed_points;
#[path = "../../../host/tests/dynamics/references.rs"]
mod known;
mod manifolds;

use serde_json::{Value, json};
use std::fmt::Write as _;
use tempfile::TempDir;

use crate::measure::{Python, cpu_ms, median};

/// Most rounds that a median is taken over.
const ROUNDS: usize = 7;
/// Milliseconds of processor time of a row after which no further round begins.
const BUDGET_MS: f64 = 6e3;
/// Calls are repeated for so many milliseconds of processor time: one of the shortest takes a thousandth of it.
const LEAST_MS: f64 = 50.0;

/// A row of the table.
pub struct Row {
    /// What is computed.
    pub quantity: String,
    /// The most that it may take, in the unit of the quantity.
    pub limit: Option<f64>,
    /// What it takes.
    pub ours: f64,
    /// What the other method takes.
    pub theirs: Option<f64>,
}

/// What was measured of one quantity.
struct Timed<T> {
    /// What ours found.
    found: T,
    /// Milliseconds of a call.
    ours: f64,
    /// Milliseconds of a call of the other and what it found.
    theirs: Option<(f64, Value)>,
}

/// A run of all comparisons.
struct Bench {
    /// Few steps, starts and rounds: whether everything works, no times to quote.
    quick: bool,
    python: Option<Python>,
    /// What is too long for a line to Python.
    folder: TempDir,
    rows: Vec<Row>,
}

/// Runs all comparisons, printing rows as they come; without an interpreter only ours.
///
/// quick: few steps, starts and rounds, to see that all of it works.
///
/// # Panics
/// Something found is not what the reference has; the interpreter fails.
#[must_use]
pub fn run(quick: bool, interpreter: Option<&str>) -> Vec<Row> {
    let python = interpreter.map(|interpreter| Python::new(interpreter, "dynamics/methods.py"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut bench = Bench { quick, python, folder, rows: Vec::new() };
    println!("{:<50} {:>8} {:>9} {:>9} {:>7}", "", "limit", "tinyfold", "other", "ratio");
    fixed_points::rows(&mut bench);
    cycles::rows(&mut bench);
    manifolds::rows(&mut bench);
    branches::rows(&mut bench);
    exponents::rows(&mut bench);
    bench.rows
}

impl Bench {
    /// Rounds of ours and then the other, each on so many threads: processor time of them all.
    fn time<T: Send>(&mut self, threads: usize, ours: impl Fn() -> T + Sync, mut request: Value) -> Timed<T> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        faer::set_global_parallelism(if threads == 1 { faer::Par::Seq } else { faer::Par::rayon(0) });
        let least = if self.quick { 0.0 } else { LEAST_MS };
        request["least_ms"] = json!(least);
        let request = request.to_string();
        let (mut times, mut answer) = ([Vec::new(), Vec::new()], None);
        let mut found = pool.install(&ours);
        let (most, mut spent) = (if self.quick { 1 } else { ROUNDS }, 0.0);
        while times[0].len() < most && spent < BUDGET_MS {
            let began = cpu_ms();
            let ms;
            (found, ms) = pool.install(|| repeated(&ours, least));
            times[0].push(ms);
            spent += cpu_ms() - began;
            if let Some(python) = &mut self.python {
                let line = python.ask(&request);
                let value: Value = serde_json::from_str(&line).expect("an answer in JSON");
                times[1].push(number(&value, "ms"));
                spent += number(&value, "spent");
                answer = Some(value["found"].clone());
            }
        }
        let [ours, theirs] = times;
        Timed { found, ours: median(ours), theirs: answer.map(|answer| (median(theirs), answer)) }
    }

    /// Names what the next rows are and what they are compared with.
    fn head(&self, what: &str, other: &str) {
        let beside = if self.python.is_some() { format!("; other: {other}") } else { String::new() };
        println!("\n{what}{beside}");
    }

    /// Prints a row; times are those of `timed` divided by `unit`.
    fn row<T>(
        &mut self,
        quantity: &str,
        limit: Option<f64>,
        unit: f64,
        timed: &Timed<T>,
        found: &str,
        theirs: impl Fn(&Value) -> String,
    ) {
        let row = Row {
            quantity: quantity.into(),
            limit,
            ours: timed.ours / unit,
            theirs: timed.theirs.as_ref().map(|(ms, _)| ms / unit),
        };
        let optional = |value: Option<String>| value.unwrap_or_else(|| "-".into());
        println!(
            "  {:<48} {:>8} {:>9} {:>9} {:>7}",
            row.quantity,
            optional(limit.map(|limit| limit.to_string())),
            three(row.ours),
            optional(row.theirs.map(three)),
            optional(row.theirs.map(|theirs| times(theirs / row.ours)))
        );
        let mut lines = format!("      tinyfold: {found}\n");
        if let Some((_, answer)) = &timed.theirs {
            let _ = writeln!(lines, "      other:    {}", theirs(answer));
        }
        print!("{lines}");
        self.rows.push(row);
    }
}

/// The last result of calls for at least so many milliseconds, and those of one call.
fn repeated<T>(work: impl Fn() -> T, least: f64) -> (T, f64) {
    let (began, mut count) = (cpu_ms(), 0.0);
    loop {
        let found = work();
        count += 1.0;
        let spent = cpu_ms() - began;
        if spent >= least {
            return (found, spent / count);
        }
    }
}

/// Three significant digits.
fn three(value: f64) -> String {
    let digits = (2 - value.abs().max(1e-3).log10().floor() as i32).max(0);
    format!("{value:.*}", digits as usize)
}

/// A ratio.
fn times(ratio: f64) -> String {
    if ratio < 10.0 { format!("{ratio:.1}") } else { format!("{ratio:.0}") }
}

/// A number of an answer.
fn number(answer: &Value, field: &str) -> f64 {
    answer[field].as_f64().unwrap_or(f64::NAN)
}
