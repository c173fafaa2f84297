//! `tinyfold report`.

use std::path::PathBuf;

use super::say;
use crate::report::{self, Report, SCHEMA};
use crate::{Error, Result, format};

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
    let path = args.folder.join("report.json");
    let report: Report = format::read_json(&path)?;
    if report.schema != SCHEMA {
        let place = format!("{}: schema", path.display());
        return Err(Error::input(place, SCHEMA.to_string(), report.schema.to_string()));
    }
    report::write(&args.folder, &report)?;
    say!("{}", args.folder.join("report.html").display());
    Ok(())
}
