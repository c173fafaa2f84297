//! tinyfold on an emulated Cortex-M0: QEMU machine `microbit`.
#![no_std]
#![no_main]

/// Words of state memory: a dense network of n = 128 takes 2 n + I + 2 O.
const WORDS: usize = 512;

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut MEMORY: [u32; WORDS] = [0; WORDS];
    tinyfold_rt::main(MEMORY, &mut [])
}
