//! tinyfold on an nRF52840: runs the model of its flash on the trial of its flash, or teaches it the lesson there
//! and keeps what it learned in two banks; logs over RTT.
//!
//! The rows of a lesson stand for a sensor: at every start they are gone through from the first one, with what was
//! learned before. A board with a sensor gives it to [`tinyfold_app::learn`] as a [`tinyfold_app::Source`].
#![no_std]
#![no_main]

mod flash;

use defmt_rtt as _;
use embedded_storage::nor_flash::ReadNorFlash;
use panic_probe as _;
use tinyfold_app::{Failure, Sink, run};
use tinyfold_core::bank::Banks;

use self::flash::Flash;

/// Words of state memory: a dense network of n = 4096 takes 2 n + I + 2 O.
const WORDS: usize = 16_384;

/// A board has no file to write to: the log holds what matters.
struct Discard;

impl Sink for Discard {
    fn write(&mut self, _: &[u8]) -> Result<(), Failure> {
        Ok(())
    }
}

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut MEMORY: [u32; WORDS] = [0; WORDS];
    // SAFETY: the only one.
    let flash = unsafe { Flash::new() };
    let half = (flash.capacity() / 2) as u32;
    let mut banks = Banks::new(flash, 0..half, half..2 * half).ok();
    match run(tinyfold_regions::model(), tinyfold_regions::trial(), MEMORY, &mut banks, &mut Discard) {
        Ok(()) => defmt::info!("all steps done"),
        Err((case, failure)) => defmt::error!("case {}: {}", case, failure),
    }
    loop {
        cortex_m::asm::wfi();
    }
}
