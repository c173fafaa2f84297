//! `tinyfold report`.

use std::path::PathBuf;

use super::say;
use crate::error::require;
use crate::{Result, report};

/// Writes the report page and figures of a run again, from its report.json.
#[derive(clap::Args)]
#[command(after_help = "Example: tinyfold report runs/quickstart")]
pub struct Args {
    /// Folder of the run.
    folder: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// No report.json of this version in the folder; files that cannot be written.
pub fn run(args: &Args) -> Result<()> {
    let known = args.folder.join("report.json").exists();
    let place = args.folder.display().to_string();
    require(known, &place, "a run with a report, one of tinyfold quickstart", "no report.json")?;
    report::write(&args.folder, &report::read(&args.folder)?)?;
    say!("{}", args.folder.join("report.html").display());
    Ok(())
}
