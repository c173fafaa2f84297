//! `tinyfold design`.

use crate::Result;

/// Designs an exact integrator in closed form.
#[derive(clap::Args)]
pub struct Args {}

/// Runs the command.
///
/// # Errors
/// Bad input, or a check that failed.
pub fn run(_args: &Args) -> Result<()> {
    unimplemented!()
}
