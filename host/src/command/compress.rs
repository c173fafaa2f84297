//! `tinyfold compress`.

use crate::Result;

/// Reduces the recurrent weights of a trained network to rank R.
#[derive(clap::Args)]
pub struct Args {}

/// Runs the command.
///
/// # Errors
/// Bad input, or a check that failed.
pub fn run(_args: &Args) -> Result<()> {
    unimplemented!()
}
