//! `tinyfold fetch`.

use std::path::PathBuf;

use super::say;
use crate::Result;
use crate::format::{self, banks, model, network};

/// Gets what a chip learned out of a dump of its flash banks.
#[derive(clap::Args)]
#[command(
    after_help = "Example, nRF52840: probe-rs read --chip nRF52840_xxAA --output banks.bin --format binary b32 0xF0000 16384\n                   tinyfold fetch banks.bin --out learned.safetensors"
)]
pub struct Args {
    /// The dump: the bytes of both banks.
    dump: PathBuf,
    /// What to write: a network (.safetensors, .npz) or a chip model (.tfld).
    #[arg(long)]
    out: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// Not a dump of banks, no whole record in it, a file that cannot be written.
pub fn run(args: &Args) -> Result<()> {
    let fetched = banks::load(&args.dump)?;
    if args.out.extension().is_some_and(|ending| ending == "tfld") {
        format::write_atomic(&args.out, model::export::<f32>(&fetched.network)?.bytes())?;
    } else {
        network::save(&args.out, &fetched.network)?;
    }
    let steps = fetched.steps.map_or(String::new(), |steps| format!(", learned in {steps} steps"));
    say!(
        "{}: record {} of {}{steps}; n = {}, rank {}",
        args.out.display(),
        fetched.sequence,
        args.dump.display(),
        fetched.network.neurons(),
        fetched.network.rank()
    );
    Ok(())
}
