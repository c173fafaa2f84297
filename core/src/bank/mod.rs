//! Two banks of flash that keep what was learned when power fails at any write or erase.
//!
//! A bank is a region of whole erase blocks. It begins with a commit record; the payload follows, at a multiple
//! of 16 bytes so that a model is read in place. Little-endian:
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 4 | magic `TFBK` |
//! | 4 | 2 | version |
//! | 6 | 2 | zero |
//! | 8 | 4 | sequence number |
//! | 12 | 4 | length of the payload |
//! | 16 | 4 | CRC-32 of the payload |
//! | 20 | 8 | zero |
//! | 28 | 4 | CRC-32 of the 28 bytes before |
//! | 32 | length | payload |
//!
//! [`Banks::store`] erases the bank that does not hold the newest record, writes the payload, reads it back, and
//! writes the record last, with one call. Until the last bits of the record are written the bank is refused and
//! the other one counts; from then on it is the newest. The bank with the newest record is never written, so a
//! reader finds the old payload or the new one, whole, whenever power fails.
//!
//! What an interrupted write leaves in its bytes, and an interrupted erase in its blocks, is arbitrary; all else
//! is taken to be unchanged, as `embedded_storage` promises. Sums of 32 bits tell such a remainder from a record
//! with certainty up to bursts of 32 bits, and else but once in 2^32. Not covered: a cell so weakly programmed
//! that it reads differently at the next start, and the fault that flash with ECC raises when a
//! half-written word is read.
//!
//! Flash wears: 10 000 erase cycles of a block are 20 000 stores.
//!
//! ```
//! use tinyfold_core::bank::{Banks, Image};
//!
//! // 2 × 256 bytes of memory that behaves like flash; a chip has a driver here.
//! let mut memory = [0xff; 512];
//! let mut banks = Banks::<Image>::new(Image::new(&mut memory), 0..256, 256..512)?;
//! assert_eq!(banks.latest()?, None);
//! banks.store([&b"old"[..], b" weights"])?;
//! banks.store([&b"new weights"[..]])?;
//! let latest = banks.latest()?.expect("just stored");
//! assert_eq!((latest.sequence, banks.payload(&latest)), (2, &b"new weights"[..]));
//! # Ok::<(), tinyfold_core::bank::Failure<embedded_storage::nor_flash::NorFlashErrorKind>>(())
//! ```

mod image;

use core::fmt;
use core::ops::Range;

use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};

pub use self::image::Image;
use crate::error::{Error, Expected, Field, between, exactly};
use crate::wire::{CHECKSUM, check_kind, take_u32};

/// Version of the commit record that this code writes and reads.
pub const VERSION: u16 = 1;
/// Bytes of a commit record; the payload comes next.
pub const RECORD_LEN: usize = 32;
/// Bytes of the buffer that everything written or read goes through.
pub const BUFFER_LEN: usize = 256;

const MAGIC: u32 = u32::from_le_bytes(*b"TFBK");
const CHECKSUM_AT: usize = RECORD_LEN - 4;

/// One of the two banks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Bank {
    /// The first.
    A,
    /// The second.
    B,
}

impl Bank {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// What a commit record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Record {
    /// The bank that it is in.
    pub bank: Bank,
    /// Rises by one with every store; 0 follows 2^32 − 1.
    pub sequence: u32,
    /// Bytes of the payload.
    pub length: u32,
    /// CRC-32 of the payload.
    pub checksum: u32,
}

/// Why banks could not do what they were asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Failure<E> {
    /// The flash refused or failed: its own error.
    Flash(E),
    /// What is in the flash, or was to be stored, is not what it should be.
    Refused(Error),
}

impl<E> From<Error> for Failure<E> {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl<E: fmt::Debug> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flash(error) => write!(f, "flash: {error:?}"),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for Failure<E> {}

/// Flash that the core reads like memory.
pub trait Mapped: ReadNorFlash {
    /// All of it, from offset 0 on.
    fn bytes(&self) -> &[u8];
}

impl<F: Mapped> Mapped for &mut F {
    fn bytes(&self) -> &[u8] {
        F::bytes(self)
    }
}

/// Aligned for drivers that move words.
#[derive(Clone, Copy, Debug)]
#[repr(align(16))]
struct Buffer<const LEN: usize>([u8; LEN]);

/// Two banks in a flash.
#[derive(Clone, Debug)]
pub struct Banks<F> {
    flash: F,
    /// Offset of every bank.
    starts: [u32; 2],
    /// Bytes of the smaller bank.
    length: u32,
    buffer: Buffer<BUFFER_LEN>,
}

impl<F: NorFlash> Banks<F> {
    const SIZES: () = {
        let (read, write, erase) = (F::READ_SIZE, F::WRITE_SIZE, F::ERASE_SIZE);
        assert!(
            read > 0 && RECORD_LEN.is_multiple_of(read) && write > 0 && RECORD_LEN.is_multiple_of(write),
            "READ_SIZE and WRITE_SIZE must divide 32 bytes, the size of a commit record"
        );
        assert!(
            erase > 0 && erase.is_multiple_of(read) && erase.is_multiple_of(write) && erase < 1 << 31,
            "ERASE_SIZE must be a multiple of READ_SIZE and WRITE_SIZE"
        );
    };

    /// Banks A and B at these offsets of `flash`; nothing is read yet.
    ///
    /// A flash with words that a commit record cannot end with is refused by the compiler:
    ///
    /// ```compile_fail
    /// # use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
    /// # use core::convert::Infallible;
    /// # struct Wide;
    /// # impl ErrorType for Wide { type Error = Infallible; }
    /// # impl ReadNorFlash for Wide {
    /// #     const READ_SIZE: usize = 1;
    /// #     fn read(&mut self, _: u32, _: &mut [u8]) -> Result<(), Infallible> { Ok(()) }
    /// #     fn capacity(&self) -> usize { 1 << 20 }
    /// # }
    /// impl NorFlash for Wide {
    ///     const WRITE_SIZE: usize = 48;
    /// #   const ERASE_SIZE: usize = 4800;
    /// #   fn erase(&mut self, _: u32, _: u32) -> Result<(), Infallible> { Ok(()) }
    /// #   fn write(&mut self, _: u32, _: &[u8]) -> Result<(), Infallible> { Ok(()) }
    /// }
    /// let banks = tinyfold_core::bank::Banks::new(Wide, 0..4800, 4800..9600);
    /// ```
    ///
    /// # Errors
    /// [`Field::Bank`]: a bank that is not whole erase blocks, has no room for a payload, ends beyond the flash
    /// or overlaps the other one.
    pub fn new(flash: F, a: Range<u32>, b: Range<u32>) -> Result<Self, Error> {
        let () = Self::SIZES;
        let refuse = |expected, found: u32| Err(Error::new(Field::Bank, expected, found.into()));
        let (capacity, block) = (flash.capacity() as u64, F::ERASE_SIZE as u32);
        for bank in [&a, &b] {
            for edge in [bank.start, bank.end] {
                if !edge.is_multiple_of(block) {
                    return refuse(Expected::Aligned(block.into()), edge % block);
                }
            }
            if u64::from(bank.end) > capacity {
                return refuse(Expected::Between(0, capacity), bank.end);
            }
            let length = bank.end.saturating_sub(bank.start);
            if length <= RECORD_LEN as u32 {
                return refuse(Expected::AtLeast(RECORD_LEN as u64 + 1), length);
            }
        }
        let (first, second) = if a.start <= b.start { (&a, &b) } else { (&b, &a) };
        if second.start < first.end {
            return refuse(Expected::AtLeast(first.end.into()), second.start);
        }
        let length = (a.end - a.start).min(b.end - b.start);
        Ok(Self { flash, starts: [a.start, b.start], length, buffer: Buffer([0; BUFFER_LEN]) })
    }

    /// Most bytes of a payload.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.length as usize - RECORD_LEN
    }

    /// The flash.
    pub fn release(self) -> F {
        self.flash
    }

    /// The newest record whose payload is whole, if there is one: of two sequence numbers, the newer is less than
    /// 2^31 ahead of the other.
    ///
    /// # Errors
    /// The flash's own: a bank that could not be read might hold the newest record.
    pub fn latest(&mut self) -> Result<Option<Record>, Failure<F::Error>> {
        let mut latest: Option<Record> = None;
        for bank in [Bank::A, Bank::B] {
            match self.examine(bank) {
                Ok(record) if latest.is_none_or(|other| newer(record.sequence, other.sequence)) => {
                    latest = Some(record);
                }
                Ok(_) | Err(Failure::Refused(_)) => {}
                Err(error @ Failure::Flash(_)) => return Err(error),
            }
        }
        Ok(latest)
    }

    /// The record of one bank, or what is wrong with the bank.
    ///
    /// # Errors
    /// [`Field::Magic`]: erased, or never written. [`Field::Version`], [`Field::Commit`], [`Field::Reserved`],
    /// [`Field::Length`]: its record is not one. [`Field::Payload`]: its payload is not the one it was
    /// written with. The flash's own.
    pub fn examine(&mut self, bank: Bank) -> Result<Record, Failure<F::Error>> {
        let record = self.record(bank)?;
        let found = self.checksum(bank, record.length).map_err(Failure::Flash)?;
        equal(Field::Payload, record.checksum, found)?;
        Ok(record)
    }

    /// Keeps the pieces, one after the other, as the newest payload, and returns its record.
    ///
    /// The older bank is erased as far as it is needed; the bank with the newest record is not touched. If
    /// anything fails, the newest record is the one it was before.
    ///
    /// # Errors
    /// [`Field::Length`]: no bytes, or more than [`Banks::capacity`]; nothing was erased then. [`Field::Payload`]
    /// or a part of the record: the flash does not give back what was written. The flash's own.
    pub fn store<'a, P>(&mut self, pieces: P) -> Result<Record, Failure<F::Error>>
    where
        P: IntoIterator<Item = &'a [u8], IntoIter: Clone>,
    {
        let pieces = pieces.into_iter();
        let length = pieces.clone().fold(0, |sum: usize, piece| sum.saturating_add(piece.len()));
        between(Field::Length, 1, self.capacity(), length)?;
        let (bank, sequence) = match self.latest()? {
            None => (Bank::A, 1),
            Some(newest) => (newest.bank.other(), newest.sequence.wrapping_add(1)),
        };
        let start = self.start(bank);
        let used = (RECORD_LEN + length).next_multiple_of(F::ERASE_SIZE) as u32;
        self.flash.erase(start, start + used).map_err(Failure::Flash)?;
        let checksum = self.write(start + RECORD_LEN as u32, length, pieces)?;
        let found = self.checksum(bank, length as u32).map_err(Failure::Flash)?;
        equal(Field::Payload, checksum, found)?;

        let record = Record { bank, sequence, length: length as u32, checksum };
        self.flash.write(start, &Buffer(record.to_bytes()).0).map_err(Failure::Flash)?;
        let found = self.record(bank)?;
        equal(Field::Commit, record.own_checksum(), found.own_checksum())?;
        Ok(record)
    }

    /// Reads bytes of a payload, from `offset` on, into all of `out`.
    ///
    /// # Errors
    /// [`Field::Length`]: they end beyond the payload. The flash's own.
    pub fn read(&mut self, record: &Record, offset: u32, out: &mut [u8]) -> Result<(), Failure<F::Error>> {
        let end = (offset as usize).saturating_add(out.len());
        between(Field::Length, 0, record.length as usize, end)?;
        let mut at = self.start(record.bank) + RECORD_LEN as u32 + offset;
        let mut rest = out;
        while !rest.is_empty() {
            let skip = at as usize % F::READ_SIZE;
            let take = rest.len().min(BUFFER_LEN - skip);
            let whole = (skip + take).next_multiple_of(F::READ_SIZE);
            let buffer = self.buffer.0.get_mut(..whole).unwrap_or_default();
            self.flash.read(at - skip as u32, buffer).map_err(Failure::Flash)?;
            let (place, after) = rest.split_at_mut_checked(take).unwrap_or_default();
            place.iter_mut().zip(buffer.iter().skip(skip)).for_each(|(byte, &value)| *byte = value);
            (at, rest) = (at + take as u32, after);
        }
        Ok(())
    }

    fn start(&self, bank: Bank) -> u32 {
        let [a, b] = self.starts;
        if bank == Bank::A { a } else { b }
    }

    fn record(&mut self, bank: Bank) -> Result<Record, Failure<F::Error>> {
        let start = self.start(bank);
        let mut bytes = Buffer([0; RECORD_LEN]);
        self.flash.read(start, &mut bytes.0).map_err(Failure::Flash)?;
        let record = Record::from_bytes(bank, &bytes.0)?;
        between(Field::Length, 1, self.capacity(), record.length as usize)?;
        Ok(record)
    }

    /// CRC-32 of the first `length` bytes of a bank's payload.
    fn checksum(&mut self, bank: Bank, length: u32) -> Result<u32, F::Error> {
        let mut digest = CHECKSUM.digest();
        let (mut at, mut left) = (self.start(bank) + RECORD_LEN as u32, length as usize);
        while left > 0 {
            let take = left.min(BUFFER_LEN);
            let buffer = self.buffer.0.get_mut(..take.next_multiple_of(F::READ_SIZE)).unwrap_or_default();
            self.flash.read(at, buffer)?;
            digest.update(buffer.get(..take).unwrap_or_default());
            (at, left) = (at + take as u32, left - take);
        }
        Ok(digest.finalize())
    }

    /// Writes `length` bytes of `pieces` from `at` on and says their CRC-32.
    fn write<'a>(
        &mut self,
        mut at: u32,
        length: usize,
        pieces: impl Iterator<Item = &'a [u8]>,
    ) -> Result<u32, Failure<F::Error>> {
        let mut digest = CHECKSUM.digest();
        let (mut filled, mut left) = (0, length);
        for mut piece in pieces {
            while !piece.is_empty() && left > 0 {
                let room = self.buffer.0.get_mut(filled..).unwrap_or_default();
                let take = room.len().min(piece.len()).min(left);
                let (now, later) = piece.split_at_checked(take).unwrap_or_default();
                room.iter_mut().zip(now).for_each(|(byte, &value)| *byte = value);
                digest.update(now);
                (piece, filled, left) = (later, filled + take, left - take);
                if filled == BUFFER_LEN {
                    self.flash.write(at, &self.buffer.0).map_err(Failure::Flash)?;
                    (at, filled) = (at + BUFFER_LEN as u32, 0);
                }
            }
        }
        exactly(Field::Length, length, length - left)?;
        let whole = filled.next_multiple_of(F::WRITE_SIZE);
        self.buffer.0.get_mut(filled..whole).unwrap_or_default().fill(0xff);
        let last = self.buffer.0.get(..whole).unwrap_or_default();
        if !last.is_empty() {
            self.flash.write(at, last).map_err(Failure::Flash)?;
        }
        Ok(digest.finalize())
    }
}

impl<F: NorFlash + Mapped> Banks<F> {
    /// The payload of a record, in place.
    #[must_use]
    pub fn payload(&self, record: &Record) -> &[u8] {
        let at = self.start(record.bank) as usize + RECORD_LEN;
        self.flash.bytes().get(at..).and_then(|rest| rest.get(..record.length as usize)).unwrap_or_default()
    }
}

/// Whether sequence number `a` comes after `b`.
fn newer(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

fn equal(field: Field, expected: u32, found: u32) -> Result<(), Error> {
    if expected == found {
        Ok(())
    } else {
        Err(Error::new(field, Expected::Exactly(expected.into()), found.into()))
    }
}

impl Record {
    fn to_bytes(self) -> [u8; RECORD_LEN] {
        let words = [MAGIC, VERSION.into(), self.sequence, self.length, self.checksum, 0, 0, 0];
        let mut bytes = [0; RECORD_LEN];
        for (place, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
        if let Some((body, checksum)) = bytes.split_last_chunk_mut() {
            *checksum = CHECKSUM.checksum(body).to_le_bytes();
        }
        bytes
    }

    fn own_checksum(self) -> u32 {
        take_u32(&self.to_bytes(), CHECKSUM_AT).unwrap_or(0)
    }

    fn from_bytes(bank: Bank, bytes: &[u8; RECORD_LEN]) -> Result<Self, Error> {
        let word = |at| take_u32(bytes, at).unwrap_or(0);
        check_kind(bytes, MAGIC, VERSION)?;
        let body = bytes.get(..CHECKSUM_AT).unwrap_or_default();
        equal(Field::Commit, CHECKSUM.checksum(body), word(CHECKSUM_AT))?;
        exactly(Field::Reserved, 0, (word(4) >> 16 | word(20) | word(24)) as usize)?;
        Ok(Self { bank, sequence: word(8), length: word(12), checksum: word(16) })
    }
}
