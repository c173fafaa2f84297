//! tinyfold on an emulated Cortex-M4F: QEMU machine `mps2-an386`.
#![no_std]
#![no_main]

/// Words of state memory: more than the largest model takes.
const WORDS: usize = 16384;

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut MEMORY: [u32; WORDS] = [0; WORDS];
    // SAFETY: the only call.
    let banks = unsafe { tinyfold_rt::banks() };
    tinyfold_rt::main(MEMORY, banks)
}
