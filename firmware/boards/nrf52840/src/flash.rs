//! The nRF52840's own flash, behind its non-volatile memory controller (product specification, chapter NVMC).
//!
//! The core, which runs from the same flash, stands still meanwhile: up to 85 ms for a page that is erased, up to
//! 41 µs for a word that is written. A page lasts 10 000 erasures.

use core::ptr::{read_volatile, write_volatile};
use core::sync::atomic::{Ordering, compiler_fence};

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};
use tinyfold_core::bank::Mapped;

const READY: *const u32 = 0x4001_e400 as *const u32;
const CONFIG: *mut u32 = 0x4001_e504 as *mut u32;
const ERASE_PAGE: *mut u32 = 0x4001_e508 as *mut u32;

/// What the controller lets pass besides reads.
#[derive(Clone, Copy)]
#[repr(u32)]
enum Mode {
    Read = 0,
    Write = 1,
    Erase = 2,
}

/// The flash of the banks' region.
pub struct Flash {
    start: usize,
    length: usize,
}

impl Flash {
    /// The flash of [`tinyfold_regions::banks`].
    ///
    /// # Safety
    /// There is one at a time, and nothing else uses the controller.
    pub unsafe fn new() -> Self {
        let (start, length) = tinyfold_regions::banks();
        Self { start, length }
    }

    /// Does `work` in a mode, then goes back to reading. The core waits while the controller is busy.
    fn within(mode: Mode, work: impl FnOnce()) {
        let set = |mode: Mode| {
            // SAFETY: the controller's registers; the promise of `new` is that nobody else uses them.
            unsafe {
                while read_volatile(READY) & 1 == 0 {}
                write_volatile(CONFIG, mode as u32);
                while read_volatile(READY) & 1 == 0 {}
            }
        };
        set(mode);
        work();
        set(Mode::Read);
        // What was read before is not what is there now.
        compiler_fence(Ordering::SeqCst);
    }
}

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl Mapped for Flash {
    fn bytes(&self) -> &[u8] {
        // SAFETY: memory.x reserves the range in flash; only `self`, borrowed here, writes it.
        unsafe { core::slice::from_raw_parts(self.start as *const u8, self.length) }
    }
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        check_read(self, offset, bytes.len())?;
        bytes.copy_from_slice(&self.bytes()[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.length
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 4096;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        check_erase(self, from, to)?;
        Self::within(Mode::Erase, || {
            for page in (from..to).step_by(Self::ERASE_SIZE) {
                // SAFETY: a page of the banks' region.
                unsafe {
                    write_volatile(ERASE_PAGE, self.start as u32 + page);
                    while read_volatile(READY) & 1 == 0 {}
                }
            }
        });
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        check_write(self, offset, bytes.len())?;
        let start = (self.start + offset as usize) as *mut u32;
        Self::within(Mode::Write, || {
            for (at, &word) in bytes.as_chunks::<4>().0.iter().enumerate() {
                // SAFETY: `check_write` keeps it whole words within the region.
                unsafe {
                    write_volatile(start.add(at), u32::from_le_bytes(word));
                    while read_volatile(READY) & 1 == 0 {}
                }
            }
        });
        Ok(())
    }
}
