//! The bench image of every emulated board: each board's manifest names this file.
#![no_std]
#![no_main]

/// Words of memory: the largest case on the smallest chip, a dense network of n = 128.
const WORDS: usize = 512;

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut MEMORY: [f32; WORDS] = [0.0; WORDS];
    tinyfold_rt::bench(MEMORY)
}
