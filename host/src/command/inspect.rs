//! `tinyfold inspect`.

use crate::Result;

/// Prints what any tinyfold file holds.
#[derive(clap::Args)]
pub struct Args {}

/// Runs the command.
///
/// # Errors
/// Bad input, or a check that failed.
pub fn run(_args: &Args) -> Result<()> {
    unimplemented!()
}
