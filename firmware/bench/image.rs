//! The bench image of every emulated board: each board's manifest names this file.
#![no_std]
#![no_main]

/// Words of memory: the largest step, of a dense network of n = 128, where RAM is small; the largest learning step
/// else. A Cortex-M0 is told by what it cannot do.
const WORDS: usize = if cfg!(target_has_atomic = "32") { 13_824 } else { 512 };

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut MEMORY: [u32; WORDS] = [0; WORDS];
    tinyfold_rt::bench(MEMORY)
}
