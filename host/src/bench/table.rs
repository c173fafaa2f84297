//! Counts as text for a terminal and as Markdown for the docs.

use std::path::Path;

use super::baseline::Baseline;
use super::case::REPLACED;
use super::{Counts, Row, activations, derived};
use crate::format::write_atomic;
use crate::{Error, Result};

/// The line of a document before the machine-made part.
pub const BEGIN: &str = "<!-- made by: tinyfold bench --write -->";
/// The line before a summary, where a document wants no more.
pub const BEGIN_SUMMARY: &str = "<!-- made by: tinyfold bench --write, in short -->";
/// The line before the table of activations.
pub const BEGIN_ACTIVATIONS: &str = "<!-- made by: tinyfold bench --accept -->";
/// The line after it.
pub const END: &str = "<!-- end of what tinyfold bench made -->";

/// All rows, then the models, the compiler and what was left out.
#[must_use]
pub fn text(counts: &Counts) -> String {
    let mut text = format!(
        "{:<21} {:>4} {:>2}  {:<20} {:<8} {:>12} {:>10} {:>12} {:>6} {:>6} {:>5} {:>6}\n",
        "kernel",
        "n",
        "R",
        "number",
        "on",
        "instructions",
        "i/mac",
        "modelled c",
        "model",
        "flash",
        "ram",
        "stack"
    );
    for row in &counts.rows {
        let cycles = row.cycles_per_mac.map_or("-".into(), |cycles| format!("{cycles:.2}"));
        let rank = if row.rank == 0 { "-".into() } else { row.rank.to_string() };
        text += &format!(
            "{:<21} {:>4} {:>2}  {:<20} {:<8} {:>12} {:>10.2} {:>12} {:>6} {:>6} {:>5} {:>6}\n",
            row.kernel,
            row.n,
            rank,
            row.number,
            row.on,
            row.instructions,
            row.instructions_per_mac,
            cycles,
            row.model,
            row.flash,
            row.ram,
            row.stack
        );
    }
    text += "i/mac, modelled c: instructions and cycles per multiply-add; per element of an activation\n";
    for watched in derived::monitors(counts) {
        let (row, part) = (watched.step, 100.0 * watched.part);
        let rank = if row.rank == 0 { String::new() } else { format!(", R = {}", row.rank) };
        text += &format!(
            "monitor of {}, n = {}{rank}, {} on {}: {:.0} instructions a step on average, {part:.1} % of it\n",
            row.kernel, row.n, row.number, row.on, watched.instructions
        );
    }
    for row in &counts.rows {
        if let Some(times) = derived::saved(counts, row) {
            let (kernel, n) = REPLACED;
            text += &format!(
                "{}, D = {}, degree {}, {} on {}: {times:.1} times fewer instructions than {kernel}, n = {n}\n",
                row.kernel, row.rank, row.n, row.number, row.on
            );
        }
    }
    for model in &counts.models {
        text += &format!("cycles of {}: {}\n", model.on, model.model);
    }
    text += &format!("compiler: {}\n", counts.compiler);
    for reason in &reasons(counts) {
        text += &format!("left out: {reason}\n");
    }
    text
}

/// A table for every chip: a line a kernel, a column a size.
#[must_use]
pub fn markdown(counts: &Counts) -> String {
    let mut text = format!("Compiler of the images: {}.\n", counts.compiler);
    let mut chips: Vec<&str> = counts.rows.iter().map(|row| row.on.as_str()).collect();
    chips.dedup();
    for chip in chips {
        let rows: Vec<&Row> = counts.rows.iter().filter(|row| row.on == chip).collect();
        let steps = rows.iter().filter(|row| row.operation == "multiply-add" && row.n != REPLACED.1);
        let mut sizes: Vec<usize> = steps.map(|row| row.n).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let cycles = counts.models.iter().find(|model| model.on == chip).map_or_else(
            || "no model of its cycles".into(),
            |model| format!("c: modelled cycles per multiply-add ({})", model.model),
        );
        let flash = rows[0].flash;
        let ram = |fold: fn(u64, u64) -> u64| rows.iter().map(|row| row.ram).reduce(fold).unwrap_or(0);
        let (least, most) = (ram(u64::min), ram(u64::max));
        let stack = rows.iter().map(|row| row.stack).max().unwrap_or(0);
        text += &format!(
            "\n### {chip}\n\nInstructions of a step (i: per multiply-add; {cycles}). Image {flash} bytes of flash, \
             {least} to {most} of static RAM by the case, worst stack {stack}; models come on top.\n\n"
        );
        let head: Vec<String> = sizes.iter().map(|n| format!("n = {n}")).collect();
        text += &format!("| kernel | R | number | {} |\n", head.join(" | "));
        text += &format!("|---|---|---|{}\n", "---|".repeat(sizes.len()));
        for first in step_rows(&rows) {
            let cells: Vec<String> = sizes
                .iter()
                .map(|&n| {
                    rows.iter()
                        .find(|row| same_line(row, first) && row.n == n)
                        .map_or("-".into(), |row| cell(row))
                })
                .collect();
            let rank = if first.rank == 0 { "-".into() } else { first.rank.to_string() };
            text += &format!("| {} | {rank} | {} | {} |\n", first.kernel, first.number, cells.join(" | "));
        }
        let activations: Vec<&&Row> = rows.iter().filter(|row| row.operation == "element").collect();
        if !activations.is_empty() {
            text += "\n| activation | instructions an element | modelled cycles |\n|---|---|---|\n";
        }
        for row in activations {
            let cycles = row.cycles_per_mac.map_or("-".into(), |cycles| format!("{cycles:.1}"));
            text += &format!("| {} | {:.1} | {cycles} |\n", row.kernel, row.instructions_per_mac);
        }
        let watched: Vec<derived::Watched<'_>> =
            derived::monitors(counts).into_iter().filter(|watched| watched.step.on == chip).collect();
        if !watched.is_empty() {
            text += "\n| monitor of | n | R | number | instructions a step on average | part of the step |\n";
            text += "|---|---|---|---|---|---|\n";
        }
        for derived::Watched { step, instructions, part } in watched {
            let rank = if step.rank == 0 { "-".into() } else { step.rank.to_string() };
            let (kernel, n, number, part) = (&step.kernel, step.n, &step.number, 100.0 * part);
            text += &format!("| {kernel} | {n} | {rank} | {number} | {instructions:.0} | {part:.1} % |\n");
        }
        let reduced: Vec<&&Row> = rows.iter().filter(|row| row.operation == "coefficient").collect();
        if !reduced.is_empty() {
            text += "\n| reduced model | D | degree | number | coefficients | instructions a step | modelled cycles | times fewer |\n";
            text += "|---|---|---|---|---|---|---|---|\n";
            if let Some(whole) = derived::replaced(rows.iter().copied(), chip) {
                let cycles = whole.cycles.map_or("-".into(), |cycles| cycles.to_string());
                text += &format!(
                    "| whole: {}, n = {} | - | - | {} | - | {} | {cycles} | 1 |\n",
                    whole.kernel, whole.n, whole.number, whole.instructions
                );
            }
        }
        for row in reduced {
            let cycles = row.cycles.map_or("-".into(), |cycles| cycles.to_string());
            let times = derived::saved(counts, row).map_or("-".into(), |times| format!("{times:.1}"));
            text += &format!(
                "| {} | {} | {} | {} | {} | {} | {cycles} | {times} |\n",
                row.kernel, row.rank, row.n, row.number, row.operations, row.instructions
            );
        }
    }
    let reasons = reasons(counts);
    if !reasons.is_empty() {
        text += &format!("\nLeft out: {}.\n", reasons.join("; "));
    }
    text
}

/// What an embedded engineer asks first: the product at n = 64 (32 on the M0), and a whole step at rank 2.
#[must_use]
pub fn summary(counts: &Counts) -> String {
    let mut chips: Vec<&str> = counts.rows.iter().map(|row| row.on.as_str()).collect();
    chips.dedup();
    let size = |chip: &str| if chip == "qemu-m0" { 32 } else { 64 };
    let heads: Vec<String> = chips.iter().map(|chip| format!("{chip}, n = {}", size(chip))).collect();
    let mut text =
        format!("| kernel | number | {} |\n|---|---|{}\n", heads.join(" | "), "---|".repeat(chips.len()));
    for (kernel, rank, name) in
        [("product", 0, "matrix-vector product"), ("low-rank-relu", 2, "step at rank 2")]
    {
        let mut numbers: Vec<&str> = Vec::new();
        for row in counts.rows.iter().filter(|row| row.kernel == kernel && row.rank == rank) {
            if !numbers.contains(&row.number.as_str()) {
                numbers.push(&row.number);
            }
        }
        for number in numbers {
            let cells: Vec<String> = chips
                .iter()
                .map(|&chip| {
                    let wanted = |row: &&Row| {
                        (row.kernel.as_str(), row.rank, row.number.as_str()) == (kernel, rank, number)
                            && row.on == chip
                            && row.n == size(chip)
                    };
                    counts.rows.iter().find(wanted).map_or("-".into(), cell)
                })
                .collect();
            text += &format!("| {name} | {number} | {} |\n", cells.join(" | "));
        }
    }
    text
}

/// Writes the table of activations into a document, from the counts of a baseline.
///
/// # Errors
/// As [`read_part`]; a baseline without one of them.
pub fn write_activations(path: &Path, baseline: &Baseline) -> Result<()> {
    write_part(path, &activations::table(baseline)?)
}

/// The part of a document that these counts make: a summary where its line asks for one.
///
/// # Errors
/// The file, or a file without the two lines.
pub fn part_for(path: &Path, counts: &Counts) -> Result<String> {
    let text = std::fs::read_to_string(path).map_err(Error::file(path, "read"))?;
    Ok(if text.contains(BEGIN_SUMMARY) { summary(counts) } else { markdown(counts) })
}

/// What is between the two lines of a document.
///
/// # Errors
/// The file, or a file without the two lines.
pub fn read_part(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).map_err(Error::file(path, "read"))?;
    let [_, part, _] = split(path, &text)?;
    Ok(part.into())
}

/// Puts `part` between the two lines of a document.
///
/// # Errors
/// As [`read_part`].
pub fn write_part(path: &Path, part: &str) -> Result<()> {
    let text = std::fs::read_to_string(path).map_err(Error::file(path, "read"))?;
    let [before, _, after] = split(path, &text)?;
    write_atomic(path, format!("{before}{part}{after}").as_bytes())
}

fn split<'a>(path: &Path, text: &'a str) -> Result<[&'a str; 3]> {
    let missing = || Error::input(path.display().to_string(), format!("lines {BEGIN} and {END}"), "none");
    let begin = [BEGIN, BEGIN_SUMMARY, BEGIN_ACTIVATIONS]
        .iter()
        .find_map(|line| Some(text.find(line)? + line.len() + 1))
        .ok_or_else(missing)?;
    let end = text.find(END).filter(|&end| end >= begin).ok_or_else(missing)?;
    Ok([&text[..begin], &text[begin..end], &text[end..]])
}

/// The first row of every line.
fn step_rows<'a>(rows: &[&'a Row]) -> Vec<&'a Row> {
    let step = |row: &&Row| row.operation == "multiply-add" && row.n != REPLACED.1;
    let mut lines: Vec<&Row> = rows.iter().copied().filter(step).collect();
    lines.dedup_by(|b, a| same_line(a, b));
    lines
}

fn same_line(a: &Row, b: &Row) -> bool {
    (&a.kernel, a.rank, &a.number) == (&b.kernel, b.rank, &b.number)
}

fn cell(row: &Row) -> String {
    let cycles = row.cycles_per_mac.map_or(String::new(), |cycles| format!(", {cycles:.2} c"));
    format!("{} ({:.2} i{cycles})", row.instructions, row.instructions_per_mac)
}

/// What was left out: equal reasons in one sentence.
fn reasons(counts: &Counts) -> Vec<String> {
    let mut reasons: Vec<(&str, &str, usize, &str)> = Vec::new();
    for left in &counts.left_out {
        match reasons.iter_mut().find(|(on, reason, ..)| *on == left.on && *reason == left.reason) {
            Some((_, _, count, _)) => *count += 1,
            None => reasons.push((&left.on, &left.reason, 1, &left.case)),
        }
    }
    reasons
        .into_iter()
        .map(|(on, reason, count, case)| {
            let more = if count == 1 { String::new() } else { format!(" and {} more", count - 1) };
            format!("{case}{more} on {on}: {reason}")
        })
        .collect()
}
