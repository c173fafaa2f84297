//! `tinyfold analyse`.

use crate::Result;

/// Shows the manifold of a network and how well it integrates.
#[derive(clap::Args)]
pub struct Args {}

/// Runs the command.
///
/// # Errors
/// Bad input, or a check that failed.
pub fn run(_args: &Args) -> Result<()> {
    unimplemented!()
}
