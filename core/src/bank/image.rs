//! Memory that behaves like flash.

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};

use super::Mapped;

/// Memory that behaves like flash: erased to ones in blocks of `ERASE` bytes, written to zeros in units of
/// `WRITE`. For dumps on the host, and for boards with RAM where others have flash.
#[derive(Debug)]
pub struct Image<'a, const WRITE: usize = 1, const ERASE: usize = 32> {
    bytes: &'a mut [u8],
}

impl<'a, const WRITE: usize, const ERASE: usize> Image<'a, WRITE, ERASE> {
    /// The flash that `bytes` are; they keep what they hold.
    pub const fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes }
    }

    fn range(&mut self, from: u32, length: usize) -> &mut [u8] {
        self.bytes.get_mut(from as usize..).and_then(|rest| rest.get_mut(..length)).unwrap_or_default()
    }
}

impl<const WRITE: usize, const ERASE: usize> ErrorType for Image<'_, WRITE, ERASE> {
    type Error = NorFlashErrorKind;
}

impl<const WRITE: usize, const ERASE: usize> ReadNorFlash for Image<'_, WRITE, ERASE> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        let held = self.range(offset, bytes.len());
        bytes.iter_mut().zip(held).for_each(|(byte, held)| *byte = *held);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl<const WRITE: usize, const ERASE: usize> NorFlash for Image<'_, WRITE, ERASE> {
    const WRITE_SIZE: usize = WRITE;
    const ERASE_SIZE: usize = ERASE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        self.range(from, (to - from) as usize).fill(0xff);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        self.range(offset, bytes.len()).iter_mut().zip(bytes).for_each(|(held, byte)| *held &= byte);
        Ok(())
    }
}

impl<const WRITE: usize, const ERASE: usize> Mapped for Image<'_, WRITE, ERASE> {
    fn bytes(&self) -> &[u8] {
        self.bytes
    }
}
