//! SysTick as a clock, which an emulator ties to executed instructions.

use core::arch::asm;
use core::ptr::{read_volatile, write_volatile};

use tinyfold_bench::{Clock, Ticks};

const CONTROL: *mut u32 = 0xe000_e010 as *mut u32;
const RELOAD: *mut u32 = 0xe000_e014 as *mut u32;
const CURRENT: *mut u32 = 0xe000_e018 as *mut u32;
const MOST: u32 = 0x00ff_ffff;
/// On, without interrupt, at the clock of the core.
const ON: u32 = 0b101;
/// Set when the counter reached 0 since this bit was last read.
const PASSED_ZERO: u32 = 1 << 16;

/// The SysTick counter, which counts down from 2^24 - 1.
pub struct SysTick(());

impl SysTick {
    /// Starts it.
    pub fn start() -> Self {
        // SAFETY: the three registers exist on every Cortex-M and belong to nobody else here.
        unsafe {
            write_volatile(RELOAD, MOST);
            write_volatile(CURRENT, 0);
            write_volatile(CONTROL, ON);
        }
        Self(())
    }
}

impl Clock for SysTick {
    #[inline(always)]
    fn measure(&mut self, work: impl FnOnce()) -> Ticks {
        let (began, ended): (u32, u32);
        // SAFETY: reads and writes of SysTick's registers, as in `start`. The writes restart the counter
        // and clear the bit.
        unsafe {
            write_volatile(CURRENT, 0);
            read_volatile(CONTROL);
        }
        // The reads and the marks (moves of a register to itself, which no compiler emits) are inside the
        // assembly, and so is the address, so that nothing of the compiler's comes between a read and its
        // mark: the marks cost the same around any work.
        // SAFETY: as above.
        unsafe { asm!("ldr {0}, [{1}]", "mov r10, r10", out(reg) began, in(reg) CURRENT) };
        work();
        // SAFETY: as above; 0xe000e018 is CURRENT.
        unsafe {
            asm!(
                "mov r11, r11",
                "movs {0}, #0xe0",
                "lsls {0}, {0}, #16",
                "adds {0}, {0}, #0xe0",
                "lsls {0}, {0}, #8",
                "ldr {0}, [{0}, #0x18]",
                out(reg) ended
            );
        }
        // SAFETY: as above.
        let over = unsafe { read_volatile(CONTROL) } & PASSED_ZERO != 0;
        Ticks { ticks: began.wrapping_sub(ended) & MOST, over }
    }
}
