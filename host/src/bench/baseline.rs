//! The counts that a change must not exceed: one line a case, with the reason of its last change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Counts, Row};
use crate::format::write_atomic;
use crate::verify::firmware::tree;
use crate::{Error, Result};

/// What a count may exceed its baseline by.
pub const ALLOWED: f64 = 0.01;

const COLUMNS: &str = "on\tkernel\tn\trank\tnumber\tinstructions\treason";

/// A count and why it is what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// on, kernel, n, rank, number.
    case: [String; 5],
    instructions: u64,
    reason: String,
}

/// The counts of `benches/baseline.tsv`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    /// The compiler they were made with: another one gives other counts.
    pub compiler: String,
    entries: Vec<Entry>,
}

/// Where the project keeps it.
#[must_use]
pub fn file() -> PathBuf {
    tree().join("benches/baseline.tsv")
}

fn case_of(row: &Row) -> [String; 5] {
    [row.on.clone(), row.kernel.clone(), row.n.to_string(), row.rank.to_string(), row.number.clone()]
}

impl Baseline {
    /// Reads a file.
    ///
    /// # Errors
    /// The file, or the first line that is not one of a baseline.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::file(path, "read"))?;
        let mut lines = text.lines().zip(1..);
        let refused = |line: usize, expected: &str, found: &str| {
            Err(Error::input(format!("{}:{line}", path.display()), expected, found))
        };
        let Some(compiler) = lines.next().and_then(|(line, _)| line.strip_prefix("# ")) else {
            return refused(1, "# and the compiler", text.lines().next().unwrap_or(""));
        };
        let mut baseline = Self { compiler: compiler.into(), entries: Vec::new() };
        for (line, number) in lines.skip(1) {
            let fields: Vec<&str> = line.split('\t').collect();
            let &[on, kernel, n, rank, kind, instructions, reason] = &fields[..] else {
                return refused(number, "7 fields", line);
            };
            let Ok(instructions) = instructions.parse() else {
                return refused(number, "a number of instructions", instructions);
            };
            let case = [on, kernel, n, rank, kind].map(String::from);
            baseline.entries.push(Entry { case, instructions, reason: reason.into() });
        }
        Ok(baseline)
    }

    /// Writes a file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut text = format!("# {}\n{COLUMNS}\n", self.compiler);
        for Entry { case, instructions, reason } in &self.entries {
            text += &format!("{}\t{instructions}\t{reason}\n", case.join("\t"));
        }
        write_atomic(path, text.as_bytes())
    }

    /// The count of a case: on, kernel, n, rank, number.
    ///
    /// # Errors
    /// It is not in the baseline.
    pub fn instructions(&self, case: [&str; 5]) -> Result<u64> {
        let entry = self.entries.iter().find(|entry| entry.case == case);
        let missing = || Error::input("baseline", format!("a count of {}", say(&case)), "none");
        entry.map(|entry| entry.instructions).ok_or_else(missing)
    }

    /// What is wrong with `counts`, one sentence a case: more than 1 % above the baseline, or in one of the
    /// two and not in the other. `complete`: everything was counted on the chips of `counts`.
    #[must_use]
    pub fn problems(&self, counts: &Counts, complete: bool) -> Vec<String> {
        let known: BTreeMap<&[String; 5], u64> =
            self.entries.iter().map(|entry| (&entry.case, entry.instructions)).collect();
        let counted: BTreeMap<[String; 5], u64> =
            counts.rows.iter().map(|row| (case_of(row), row.instructions)).collect();
        let mut problems = Vec::new();
        for row in &counts.rows {
            let (case, now) = (case_of(row), row.instructions);
            match known.get(&case) {
                None => problems.push(format!("{}: {now} instructions, not in the baseline", say(&case))),
                Some(&before) if now as f64 > before as f64 * (1.0 + ALLOWED) => {
                    let more = 100.0 * (now as f64 / before as f64 - 1.0);
                    problems.push(format!(
                        "{}: {now} instructions, {more:.1} % above the baseline's {before}",
                        say(&case)
                    ));
                }
                Some(_) => {}
            }
        }
        if complete {
            let chips: Vec<&String> = counts.rows.iter().map(|row| &row.on).collect();
            let gone = known
                .iter()
                .filter(|(case, _)| chips.contains(&&case[0]) && !counted.contains_key::<[String; 5]>(case));
            problems.extend(gone.map(|(case, before)| {
                format!("{}: in the baseline with {before} instructions, not counted", say(case))
            }));
        }
        problems
    }

    /// Takes over `counts`, with `reason` beside every count that changes; returns how many do.
    ///
    /// # Errors
    /// Counts of another compiler for a part of the cases only: the rest could not be compared any more.
    pub fn accept(&mut self, counts: &Counts, complete: bool, reason: &str) -> Result<usize> {
        let everywhere =
            self.entries.iter().all(|entry| counts.rows.iter().any(|row| row.on == entry.case[0]));
        if !self.entries.is_empty() && self.compiler != counts.compiler && !(complete && everywhere) {
            let expected = format!("every case on every chip, or counts of {}", self.compiler);
            return Err(Error::input("--accept", expected, &counts.compiler));
        }
        self.compiler.clone_from(&counts.compiler);
        // One line of the file.
        let reason = reason.split_whitespace().collect::<Vec<&str>>().join(" ");
        let chips: Vec<&String> = counts.rows.iter().map(|row| &row.on).collect();
        let before: BTreeMap<[String; 5], Entry> =
            self.entries.iter().map(|entry| (entry.case.clone(), entry.clone())).collect();
        let mut changed = 0;
        let mut now: BTreeMap<[String; 5], Entry> = before.clone();
        if complete {
            now.retain(|case, _| !chips.contains(&&case[0]));
            changed += before.keys().filter(|case| !now.contains_key(*case)).count();
        }
        for row in &counts.rows {
            let case = case_of(row);
            let old = before.get(&case);
            changed -= usize::from(complete && old.is_some());
            let same = old.filter(|old| old.instructions == row.instructions);
            changed += usize::from(same.is_none());
            let entry = same.cloned().unwrap_or_else(|| Entry {
                case: case.clone(),
                instructions: row.instructions,
                reason: reason.clone(),
            });
            now.insert(case, entry);
        }
        // In the order of the list, the chips one after the other; then what was not counted now.
        let order: BTreeMap<[String; 5], usize> = counts.rows.iter().map(case_of).zip(0..).collect();
        let kept: BTreeMap<&[String; 5], usize> =
            self.entries.iter().map(|entry| &entry.case).zip(0..).collect();
        let mut entries: Vec<Entry> = now.into_values().collect();
        entries.sort_by_key(|entry| {
            (order.get(&entry.case).copied().unwrap_or(usize::MAX), kept.get(&entry.case).copied())
        });
        self.entries = entries;
        Ok(changed)
    }
}

fn say<S: AsRef<str>>(case: &[S; 5]) -> String {
    let [on, kernel, n, rank, number] = case.each_ref().map(AsRef::as_ref);
    let rank = if rank == "0" { String::new() } else { format!(", R = {rank}") };
    format!("{kernel}, n = {n}{rank}, {number} on {on}")
}
