//! What the emulated boards share: regions of flash, semihosting, handlers, worst stack.
//!
//! Under QEMU the model and the trial are placed in flash by `-device loader`; the result goes to the
//! file `result.bin` of the folder QEMU runs in, and the banks with what was learned, if anything is in them, to
//! `banks.bin`, from where a loader can put them back: like flash, they outlive a reset. Messages go to its
//! standard error; the exit code is [`tinyfold_app::Failure::exit_code`], 0 when all went well.
#![no_std]

#[cfg(feature = "bench")]
mod clock;

use core::ptr::{addr_of, read_volatile};

// Provides the critical section that defmt logs in.
#[cfg(feature = "log")]
use cortex_m as _;
#[cfg(feature = "log")]
use defmt_semihosting as _;
use semihosting::eprintln;
use semihosting::fs::File;
use semihosting::io::Write;
use semihosting::process::exit;
use tinyfold_app::{FAULTED, Failure, PANICKED, Sink, run};
use tinyfold_core::bank::{Banks, Image, Mapped};
use tinyfold_regions::{model, trial};

unsafe extern "C" {
    static _stack_start: u32;
    static _stack_end: u32;
}

/// Bytes of stack that were ever used: cortex-m-rt paints all of it before main.
#[inline(never)]
fn worst_stack() -> u32 {
    let (mut word, top) = (addr_of!(_stack_end), addr_of!(_stack_start));
    // SAFETY: the words between the two symbols are RAM of the stack; unused ones hold the paint.
    while word < top && unsafe { read_volatile(word) } == cortex_m_rt::STACK_PAINT_VALUE {
        word = word.wrapping_add(1);
    }
    (top as usize - word as usize) as u32
}

struct Result(File);

impl Sink for Result {
    fn write(&mut self, bytes: &[u8]) -> core::result::Result<(), Failure> {
        self.0.write_all(bytes).map_err(|_| Failure::Sink)
    }

    fn worst_stack(&self) -> u32 {
        worst_stack()
    }
}

/// RAM in the place of flash, with its erase blocks.
type Flash = Image<'static, 4, 4096>;

/// The memory that stands for flash banks.
///
/// # Safety
/// At most one call: the second would lend the same memory again.
#[must_use]
pub unsafe fn banks() -> &'static mut [u8] {
    let (start, length) = tinyfold_regions::banks();
    // SAFETY: memory.x reserves the range in RAM, nothing is linked into it, and nobody else was lent it.
    unsafe { core::slice::from_raw_parts_mut(start as *mut u8, length) }
}

/// Runs model and trial of the flash regions with `memory` for the state and two banks in `flash` (none if it is
/// empty) for what is learned, writes the result, exits.
pub fn main(memory: &mut [u32], flash: &'static mut [u8]) -> ! {
    finish(|result| {
        let half = (flash.len() / 2) as u32;
        let mut banks = Banks::<Flash>::new(Image::new(flash), 0..half, half..2 * half).ok();
        run(model(), trial(), memory, &mut banks, result)?;
        if let Some(mut banks) = banks
            && banks.latest().is_ok_and(|latest| latest.is_some())
        {
            let written =
                File::create(c"banks.bin").and_then(|mut file| file.write_all(banks.release().bytes()));
            written.map_err(|_| (0, Failure::Sink))?;
        }
        Ok(())
    })
}

/// Counts the kernel that the flash regions ask for (see `tinyfold_bench`), writes the result, exits.
#[cfg(feature = "bench")]
pub fn bench(memory: &mut [u32]) -> ! {
    let mut clock = clock::SysTick::start();
    finish(|result| {
        tinyfold_bench::run(model(), trial(), memory, &mut clock, result).map_err(|failure| (0, failure))
    })
}

/// Lets `work` write the result, exits.
fn finish(work: impl FnOnce(&mut Result) -> core::result::Result<(), (usize, Failure)>) -> ! {
    let outcome =
        File::create(c"result.bin").map_err(|_| (0, Failure::Sink)).and_then(|file| work(&mut Result(file)));
    match outcome {
        Ok(()) => exit(0),
        Err((case, failure)) => {
            eprintln!("case {case}: {failure}");
            exit(failure.exit_code())
        }
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    eprintln!("{info}");
    exit(PANICKED)
}

#[cortex_m_rt::exception]
unsafe fn HardFault(frame: &cortex_m_rt::ExceptionFrame) -> ! {
    eprintln!("HardFault at {:#010x}", frame.pc());
    exit(FAULTED)
}
