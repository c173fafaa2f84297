//! Dumps of a chip's flash banks: what was learned on the chip, and what it is to begin with.

use std::path::Path;

use tinyfold_core::bank::{Banks, Image};
use tinyfold_core::wire::{self, learned};

use super::model::{self, ModelBytes};
use crate::network::Network;
use crate::{Error, Result};

/// The flash of every board of tinyfold: words of 4 bytes, erase blocks of 4096.
pub type Flash<'a> = Banks<Image<'a, 4, 4096>>;
/// Bytes of an erase block.
pub const BLOCK: usize = 4096;

/// Two banks that fill `flash`.
///
/// # Errors
/// Flash that is not two halves of whole erase blocks; `place` names it in the message.
pub fn open<'a>(flash: &'a mut [u8], place: &str) -> Result<Flash<'a>> {
    let length = flash.len();
    let half = (length / 2) as u32;
    let expected = || format!("a multiple of {} bytes, twice the erase block, up to 4 GB", 2 * BLOCK);
    if length == 0 || !length.is_multiple_of(2 * BLOCK) {
        return Err(Error::input(place, expected(), format!("{length} bytes")));
    }
    Flash::new(Image::new(flash), 0..half, half..2 * half)
        .map_err(|_| Error::input(place, expected(), format!("{length} bytes")))
}

/// What a dump holds.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The network as it was learned.
    pub network: Network,
    /// Number of the record.
    pub sequence: u32,
    /// Steps that it was learned in; none when the record holds a model alone.
    pub steps: Option<u64>,
}

/// The newest record of a dump.
///
/// # Errors
/// Not a dump of banks; banks without a whole record of a network in f32.
pub fn fetch(dump: &[u8], place: &str) -> Result<Fetched> {
    let mut flash = dump.to_vec();
    let mut banks = open(&mut flash, place)?;
    let failed = |error: String| Error::CheckFailed(format!("{place}: {error}"));
    let record = banks.latest().map_err(|error| failed(error.to_string()))?;
    let record = record.ok_or_else(|| Error::input(place, "a whole record in one of the banks", "none"))?;
    // Read at multiples of 16, wherever the dump lies.
    let payload = ModelBytes::new(banks.payload(&record));
    let place = format!("{place}: record {}", record.sequence);
    let learned = learned::read::<f32>(payload.bytes()).map_err(|error| model::refused(&place, error))?;
    let network = model::import(&learned.model, &place)?;
    Ok(Fetched {
        network,
        sequence: record.sequence,
        steps: learned.progress.map(|progress| progress.memory.steps),
    })
}

/// Banks of `size` bytes with one record: the network that a chip is to begin with.
///
/// # Errors
/// A size that is no banks; a network that cannot be exported, or is too large for a bank.
pub fn image(network: &Network, size: usize) -> Result<Vec<u8>> {
    let model = model::export::<f32>(network)?;
    let read = wire::read::<f32>(model.bytes()).map_err(|error| model::refused("export", error))?;
    let pieces =
        learned::pieces(&read.view, read.metadata, None).map_err(|error| model::refused("export", error))?;
    let mut flash = vec![0xff; size];
    let mut banks = open(&mut flash, "--bank")?;
    banks
        .store(pieces.iter())
        .map_err(|error| Error::CheckFailed(format!("banks of {size} bytes: {error}")))?;
    Ok(flash)
}

/// Reads a dump from a file.
///
/// # Errors
/// As [`fetch`]; a file that cannot be read.
pub fn load(path: &Path) -> Result<Fetched> {
    let dump = std::fs::read(path).map_err(Error::file(path, "read"))?;
    fetch(&dump, &path.display().to_string())
}
