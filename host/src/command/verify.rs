//! `tinyfold verify`.

use crate::Result;

/// Proves that every backend computes the same bits.
#[derive(clap::Args)]
pub struct Args {}

/// Runs the command.
///
/// # Errors
/// Bad input, or a check that failed.
pub fn run(_args: &Args) -> Result<()> {
    unimplemented!()
}
