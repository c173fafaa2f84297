//! `tinyfold bench`.

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};

use super::say;
use crate::bench::baseline::{self, Baseline};
use crate::bench::chip::Bench;
use crate::bench::{Counts, case, count, table};
use crate::verify::firmware::tree;
use crate::verify::qemu::CHIPS;
use crate::{Error, Result};

/// Counts instructions, models cycles and measures memory of every kernel on emulated chips.
#[derive(clap::Args)]
#[command(after_help = "Example: tinyfold bench --on qemu-m4f --kernel low-rank-relu -n 64")]
pub struct Args {
    /// Chips; default: every one.
    #[arg(long, value_delimiter = ',', default_values = CHIPS.map(|chip| chip.name), hide_default_value = true)]
    on: Vec<String>,
    /// Kernels, such as dense-relu; default: all.
    #[arg(long, value_delimiter = ',')]
    kernel: Vec<String>,
    /// Sizes n; default: all. Activations are counted over 128 elements.
    #[arg(short, value_delimiter = ',')]
    n: Vec<usize>,
    /// Build the images without assembly, from portable Rust alone.
    #[arg(long, conflicts_with_all = ["check", "accept", "write"])]
    portable: bool,
    /// Print JSON: {schema, compiler, portable, models, rows: [{kernel, n, rank, number, on, instructions, ...}], left_out}.
    #[arg(long)]
    json: bool,
    /// Fail if a count is more than 1 % above the baseline or has none there; a baseline of another
    /// compiler is compared, but fails nothing.
    #[arg(long)]
    check: bool,
    /// Make these counts the baseline, with the reason beside each that changes, and write the documents of the source
    /// tree: docs/activations.md, and docs/benchmarks.md and README.md if everything was counted.
    #[arg(long, value_name = "REASON", conflicts_with = "check")]
    accept: Option<String>,
    /// The baseline; default: that of the source tree.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Write the table into these Markdown files, between their two marker lines.
    #[arg(long, value_name = "FILE")]
    write: Vec<PathBuf>,
}

/// Writes the documents of the source tree; `complete`: every case was counted on every chip.
fn write_documents(counts: &Counts, baseline: &Baseline, complete: bool) -> Result<()> {
    let tree = tree();
    table::write_activations(&tree.join("docs/activations.md"), baseline)?;
    let of_everything = ["docs/benchmarks.md", "README.md"];
    if !complete {
        eprintln!("left as they are: {}; they take a complete bench", of_everything.join(", "));
        return Ok(());
    }
    for path in of_everything.map(|name| tree.join(name)) {
        table::write_part(&path, &table::part_for(&path, counts)?)?;
    }
    Ok(())
}

/// Runs the command.
///
/// # Errors
/// Bad input, a missing tool, a chip that computes other bits than this host, a check that failed.
pub fn run(args: &Args) -> Result<()> {
    let cases = case::cases(&args.kernel, &args.n)?;
    let complete = args.kernel.is_empty() && args.n.is_empty();
    let chips = args.on.iter().map(|name| Bench::new(name, args.portable)).collect::<Result<Vec<Bench>>>()?;
    let bar = ProgressBar::new(0).with_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len} counts {elapsed}").expect("a valid template"),
    );
    let counts = count(&cases, &chips, &bar)?;
    if args.json {
        say!("{}", serde_json::to_string_pretty(&counts).expect("plain data becomes JSON"));
    } else {
        say!("{}", table::text(&counts).trim_end());
    }
    for path in &args.write {
        table::write_part(path, &table::part_for(path, &counts)?)?;
    }
    let path = args.baseline.clone().unwrap_or_else(baseline::file);
    if let Some(reason) = &args.accept {
        let mut baseline = if path.exists() { Baseline::load(&path)? } else { Baseline::default() };
        let changed = baseline.accept(&counts, complete, reason)?;
        baseline.save(&path)?;
        eprintln!("{changed} counts of {} changed", path.display());
        if args.baseline.is_none() {
            write_documents(&counts, &baseline, complete && chips.len() == CHIPS.len())?;
        }
    }
    if args.check {
        let baseline = Baseline::load(&path)?;
        let problems = baseline.problems(&counts, complete).join("\n");
        if baseline.compiler == counts.compiler {
            if !problems.is_empty() {
                return Err(Error::CheckFailed(format!("counts differ from the baseline:\n{problems}")));
            }
            eprintln!("no count is more than 1 % above the baseline");
        } else {
            let (theirs, ours) = (&baseline.compiler, &counts.compiler);
            eprintln!(
                "the baseline was made with {theirs}, these counts with {ours}: nothing fails\n{problems}"
            );
        }
    }
    Ok(())
}
