//! `tinyfold quickstart`.

use crate::Result;

/// Does everything on the bundled recording, into runs/quickstart/.
#[derive(clap::Args)]
pub struct Args {}

/// Runs the command.
///
/// # Errors
/// Bad input, or a check that failed.
pub fn run(_args: &Args) -> Result<()> {
    unimplemented!()
}
