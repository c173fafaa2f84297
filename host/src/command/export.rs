//! `tinyfold export`.

use crate::Result;

/// Writes a network as the bytes of a chip model (.tfld).
#[derive(clap::Args)]
pub struct Args {}

/// Runs the command.
///
/// # Errors
/// Bad input, or a check that failed.
pub fn run(_args: &Args) -> Result<()> {
    unimplemented!()
}
