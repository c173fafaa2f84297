//! `tinyfold export`.

use std::path::PathBuf;

use super::say;
use crate::Result;
use crate::format::{self, banks, model, network};
use crate::network::{Arithmetic, Variant};

/// Writes a network as the bytes of a chip model (.tfld).
#[derive(clap::Args)]
#[command(
    after_help = "Example: tinyfold design --out runs/exact.safetensors\n         tinyfold export runs/exact.safetensors --out runs/exact.tfld"
)]
pub struct Args {
    /// The network: .safetensors or .npz.
    network: PathBuf,
    /// The model to write; default: beside the network, ending in .tfld.
    #[arg(long)]
    out: Option<PathBuf>,
    /// How the chip adds products; default: as the network says.
    #[arg(long, value_parser = ["separate", "fused"])]
    arithmetic: Option<String>,
    /// How the chip computes tanh and sigmoid; default: as the network says.
    #[arg(long, value_parser = ["libm", "micromath", "rational"])]
    variant: Option<String>,
    /// Number type of the model.
    #[arg(long, default_value = "f32", value_parser = ["f32", "f64"])]
    number: String,
    /// Write two flash banks of so many bytes in all instead, with the network in one of them: what a chip that
    /// learns is to begin with. 131072 for the emulated boards, 65536 for the nRF52840.
    #[arg(long, value_name = "BYTES", conflicts_with = "number", requires = "out")]
    bank: Option<usize>,
}

/// Runs the command.
///
/// # Errors
/// A network that cannot be read or exported, a file that cannot be written.
pub fn run(args: &Args) -> Result<()> {
    let mut network = network::load(&args.network)?;
    match args.arithmetic.as_deref() {
        Some("fused") => network.arithmetic = Arithmetic::Fused,
        Some(_) => network.arithmetic = Arithmetic::Separate,
        None => {}
    }
    match args.variant.as_deref() {
        Some("micromath") => network.variant = Variant::Micromath,
        Some("libm") => network.variant = Variant::Libm,
        Some(_) => network.variant = Variant::Rational,
        None => {}
    }
    if let (Some(size), Some(out)) = (args.bank, &args.out) {
        let flash = banks::image(&network, size)?;
        format::write_atomic(out, &flash)?;
        say!("{}: {} bytes of flash, 1 record", out.display(), flash.len());
        return Ok(());
    }
    let bytes =
        if args.number == "f64" { model::export::<f64>(&network)? } else { model::export::<f32>(&network)? };
    let out = args.out.clone().unwrap_or_else(|| args.network.with_extension("tfld"));
    model::check_name(&out)?;
    format::write_atomic(&out, bytes.bytes())?;
    say!("{}: {} bytes", out.display(), bytes.bytes().len());
    Ok(())
}
