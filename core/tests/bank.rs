//! Banks under power cuts at every byte and block, under flipped bits, and under sequences of both.

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tinyfold_core::bank::{Bank, Banks, Failure, Image, RECORD_LEN, Record};
use tinyfold_core::wire::Model;
use tinyfold_core::wire::learned::{self, Learned, Memory, Optimiser, Progress};
use tinyfold_core::{Activation, Expected, Field, Settings, Shape, View};

const ERASE: usize = 64;
/// Bytes of a bank.
const BANK: usize = 16 * ERASE;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Flash(NorFlashErrorKind),
    PowerCut,
}

impl NorFlashError for Fault {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

/// Flash whose power fails after `left` more units of work: a byte written, or a block erased. The unit that is
/// interrupted is left as garbage.
#[derive(Clone, Debug)]
struct Chip<const WRITE: usize> {
    bytes: Vec<u8>,
    left: usize,
    garbage: u64,
    spent: usize,
}

impl<const WRITE: usize> Chip<WRITE> {
    fn new() -> Self {
        Self { bytes: vec![0xff; 2 * BANK], left: usize::MAX, garbage: 1, spent: 0 }
    }

    fn noise(&mut self) -> u8 {
        self.garbage = self.garbage.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.garbage >> 56) as u8
    }

    /// Whether there is power for one more unit.
    fn unit(&mut self) -> bool {
        self.spent += 1;
        let powered = self.left > 0;
        self.left = self.left.saturating_sub(1);
        powered
    }
}

impl<const WRITE: usize> ErrorType for Chip<WRITE> {
    type Error = Fault;
}

impl<const WRITE: usize> ReadNorFlash for Chip<WRITE> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Fault> {
        check_read(self, offset, bytes.len()).map_err(Fault::Flash)?;
        bytes.copy_from_slice(&self.bytes[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl<const WRITE: usize> NorFlash for Chip<WRITE> {
    const WRITE_SIZE: usize = WRITE;
    const ERASE_SIZE: usize = ERASE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Fault> {
        check_erase(self, from, to).map_err(Fault::Flash)?;
        for block in (from as usize..to as usize).step_by(ERASE) {
            if !self.unit() {
                for at in block..block + ERASE {
                    self.bytes[at] |= self.noise();
                }
                return Err(Fault::PowerCut);
            }
            self.bytes[block..block + ERASE].fill(0xff);
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Fault> {
        check_write(self, offset, bytes.len()).map_err(Fault::Flash)?;
        for (at, byte) in (offset as usize..).zip(bytes) {
            assert_eq!(self.bytes[at], 0xff, "byte {at} is written twice without an erase");
            if !self.unit() {
                self.bytes[at] &= byte | self.noise();
                return Err(Fault::PowerCut);
            }
            self.bytes[at] &= byte;
        }
        Ok(())
    }
}

fn payload(number: usize) -> Vec<u8> {
    (0..300 + 37 * number).map(|k| (k * 7 + number * 91 + k * k / 5) as u8).collect()
}

fn open<const WRITE: usize>(chip: &mut Chip<WRITE>) -> Banks<&mut Chip<WRITE>> {
    Banks::new(chip, 0..BANK as u32, BANK as u32..2 * BANK as u32).expect("good banks")
}

/// The newest payload after a restart.
fn newest<const WRITE: usize>(chip: &mut Chip<WRITE>) -> Option<(Record, Vec<u8>)> {
    let mut banks = open(chip);
    let record = banks.latest().expect("flash works")?;
    let mut bytes = vec![0; record.length as usize];
    banks.read(&record, 0, &mut bytes).expect("just found");
    Some((record, bytes))
}

/// Cuts the power at every unit of work of the stores of eight payloads, in pieces; returns the number of cuts.
fn cut_everywhere<const WRITE: usize>() -> usize {
    let mut chip = Chip::<WRITE>::new();
    let mut cuts = 0;
    for number in 0..8 {
        let (old, new) = (newest(&mut chip), payload(number));
        let pieces = || new.chunks(23);
        let mut whole = chip.clone();
        whole.spent = 0;
        open(&mut whole).store(pieces()).expect("has power");
        for left in 0..whole.spent {
            let mut cut = Chip { left, garbage: (left * 31 + number) as u64, ..chip.clone() };
            let error = open(&mut cut).store(pieces()).expect_err("no power");
            assert_eq!(error, Failure::Flash(Fault::PowerCut));
            cut.left = usize::MAX;
            let found = newest(&mut cut);
            let is_new = found.as_ref().is_some_and(|(_, bytes)| *bytes == new);
            assert!(is_new || found == old, "write size {WRITE}, store {number}, cut after {left}: neither");
            // Only garbage that happens to be right can have finished the record.
            assert!(!is_new || left + 1 == whole.spent, "new before its last byte");
            // Life goes on.
            let next = payload(number + 1);
            let stored = open(&mut cut).store([&next[..]]).expect("has power");
            assert_eq!(newest(&mut cut), Some((stored, next)));
            cuts += 1;
        }
        chip = whole;
        assert_eq!(newest(&mut chip).map(|(_, bytes)| bytes), Some(new));
    }
    cuts
}

#[test]
fn a_power_cut_anywhere_leaves_the_old_or_the_new() {
    let cuts = [cut_everywhere::<1>(), cut_everywhere::<4>(), cut_everywhere::<8>(), cut_everywhere::<16>()];
    println!("{cuts:?} cuts, for writes of 1, 4, 8 and 16 bytes");
    assert!(cuts.iter().all(|&cuts| cuts > 3000), "{cuts:?}");
    assert_eq!(cuts.iter().sum::<usize>(), 15_108);
}

#[test]
fn every_flipped_bit_is_detected_and_the_other_bank_used() {
    let mut chip = Chip::<4>::new();
    for number in 0..2 {
        open(&mut chip).store([&payload(number)[..]]).expect("works");
    }
    let used = RECORD_LEN + payload(1).len();
    for bit in 0..8 * used {
        let mut flipped = chip.clone();
        flipped.bytes[BANK + bit / 8] ^= 1 << (bit % 8);
        let found = newest(&mut flipped).expect("the other bank is good");
        assert_eq!((found.0.bank, &found.1), (Bank::A, &payload(0)), "bit {bit}");
        assert!(matches!(open(&mut flipped).examine(Bank::B), Err(Failure::Refused(_))), "bit {bit}");
    }
}

#[test]
fn with_both_banks_bad_there_is_nothing_and_a_reason_for_each() {
    let mut chip = Chip::<4>::new();
    assert_eq!(newest(&mut chip), None);
    let magic = |found| {
        Failure::Refused(tinyfold_core::Error {
            field: Field::Magic,
            expected: Expected::Exactly(u32::from_le_bytes(*b"TFBK").into()),
            found,
        })
    };
    assert_eq!(open(&mut chip).examine(Bank::A), Err(magic(0xffff_ffff)));
    for number in 0..2 {
        open(&mut chip).store([&payload(number)[..]]).expect("works");
    }
    chip.bytes[RECORD_LEN + 5] ^= 4;
    chip.bytes[BANK + 9] ^= 1;
    assert_eq!(newest(&mut chip), None);
    let text = |bank| match open(&mut chip.clone()).examine(bank) {
        Err(error) => error.to_string(),
        Ok(record) => panic!("{record:?}"),
    };
    assert!(text(Bank::A).starts_with("checksum of the payload: expected 0x"), "{}", text(Bank::A));
    assert!(text(Bank::B).starts_with("checksum of the commit record: expected 0x"), "{}", text(Bank::B));
}

/// Ends bytes with the CRC-32 of all before.
fn seal(bytes: &mut [u8]) {
    let (body, sum) = bytes.split_last_chunk_mut().expect("room for a checksum");
    *sum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(body).to_le_bytes();
}

#[test]
fn sequence_numbers_may_wrap() {
    let mut chip = Chip::<4>::new();
    for number in 0..2 {
        open(&mut chip).store([&payload(number)[..]]).expect("works");
    }
    // The record of bank B as if 2^32 - 1 stores had been before.
    let body = &mut chip.bytes[BANK..BANK + RECORD_LEN];
    body[8..12].fill(0xff);
    seal(body);
    chip.bytes[..BANK].fill(0xff);
    for (number, sequence) in [(2, 0), (3, 1), (4, 2)] {
        let record = open(&mut chip).store([&payload(number)[..]]).expect("works");
        assert_eq!(record.sequence, sequence);
        assert_eq!(newest(&mut chip), Some((record, payload(number))));
    }
}

#[test]
fn banks_that_cannot_work_are_refused() {
    let mut memory = [0xff; 512];
    let mut refused = |a, b| match Banks::new(Image::<4, 64>::new(&mut memory), a, b) {
        Err(error) => error.to_string(),
        Ok(_) => "accepted".into(),
    };
    assert_eq!(refused(0..256, 256..512), "accepted");
    assert_eq!(
        refused(0..200, 256..512),
        "bank: expected an address that is a multiple of 64, found remainder 8"
    );
    assert_eq!(refused(0..256, 192..512), "bank: expected at least 256, found 192");
    assert_eq!(refused(0..256, 256..1024), "bank: expected 0 to 512, found 1024");
    assert_eq!(refused(0..256, 256..256), "bank: expected at least 33, found 0");
    let mut banks = Banks::new(Image::<4, 64>::new(&mut memory), 0..256, 256..512).expect("good");
    let error = banks.store([&[7_u8; 225][..]]).expect_err("too long");
    assert_eq!(error.to_string(), "length in bytes: expected 1 to 224, found 225");
}

/// A learned network and its optimiser, through a bank, to the bit.
#[test]
fn what_was_learned_comes_back() {
    let shape = Shape { neurons: 2, rank: 1, inputs: 1, outputs: 1 };
    let words: Vec<f32> = (0..shape.parameter_len()).map(|k| 0.37 * k as f32 - 1.1).collect();
    let view = View::from_words(shape, Settings::new(Activation::Relu), &words).expect("finite");
    let slow: Vec<f32> = (0..2 * words.len()).map(|k| 1e-3 * k as f32).collect();
    let memory = Memory { optimiser: Optimiser::Adam, steps: 1 << 33, words: &slow };
    let progress = Progress { base: 0xbeef_cafe, memory };
    let mut chip = Chip::<8>::new();
    let pieces = learned::pieces(&view, "{}", Some(progress)).expect("finite");
    open(&mut chip).store(pieces.iter()).expect("fits");
    let (_, bytes) = newest(&mut chip).expect("stored");
    let mut aligned = vec![0_u128; bytes.len().div_ceil(16)];
    bytemuck::cast_slice_mut(&mut aligned)[..bytes.len()].copy_from_slice(&bytes);
    let bytes = &bytemuck::cast_slice::<u128, u8>(&aligned)[..bytes.len()];
    let read = learned::read::<f32>(bytes).expect("whole");
    assert_eq!(read.progress, Some(progress));
    let mut restored = vec![0.0; words.len()];
    learned::copy_words(&read.model.view, &mut restored).expect("same shape");
    assert!(restored.iter().zip(&words).all(|(a, b)| a.to_bits() == b.to_bits()));
    // It goes on from the model that it began with, or from any of its sizes and settings.
    let from = |base: Option<u32>| Learned { progress: base.map(|base| Progress { base, memory }), ..read };
    let model = read.model;
    let tanh = View::from_words(shape, Settings::new(Activation::Tanh), &words).expect("finite");
    for (base, same) in
        [(Some(model.checksum), true), (Some(0), true), (None, true), (Some(0xbeef_cafe), false)]
    {
        assert_eq!(from(base).continues(&model), same, "{base:?}");
        assert!(!from(base).continues(&Model { view: tanh, ..model }), "{base:?}");
    }
    // The state of the version before this one, whole and with a checksum of its own.
    let mut old = aligned.clone();
    let old = &mut bytemuck::cast_slice_mut::<u128, u8>(&mut old)[..bytes.len()];
    let state = &mut old[read.model.length.next_multiple_of(16)..];
    state[4..6].copy_from_slice(&(learned::VERSION - 1).to_le_bytes());
    seal(state);
    let error = learned::read::<f32>(old).expect_err("another version").to_string();
    assert_eq!(error, "format version: expected 2, found 1");
    // Every flipped bit of it is refused, as a bank would not even let it come here.
    for bit in 0..8 * bytes.len() {
        let mut flipped = aligned.clone();
        bytemuck::cast_slice_mut::<u128, u8>(&mut flipped)[bit / 8] ^= 1 << (bit % 8);
        assert!(
            learned::read::<f32>(&bytemuck::cast_slice::<u128, u8>(&flipped)[..bytes.len()]).is_err(),
            "{bit}"
        );
    }
}

#[derive(Clone, Debug)]
enum Event {
    Store(usize),
    Cut(usize, usize),
    Flip(usize),
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens, what is found is something that was stored; without flips, the newest that was stored
    /// or the one whose store was cut.
    #[test]
    fn what_is_found_was_stored(events in proptest::collection::vec(prop_oneof![
        (0_usize..9).prop_map(Event::Store),
        (0_usize..9, 0_usize..700).prop_map(|(number, left)| Event::Cut(number, left)),
        (0_usize..16 * BANK).prop_map(Event::Flip),
    ], 1..25)) {
        let mut chip = Chip::<4>::new();
        let mut possible: Vec<Option<Vec<u8>>> = vec![None];
        let mut flipped = false;
        for event in events {
            match event {
                Event::Store(number) => {
                    open(&mut chip).store([&payload(number)[..]]).expect("has power");
                    (possible, flipped) = (vec![Some(payload(number))], false);
                }
                Event::Cut(number, left) => {
                    chip.left = left;
                    let done = open(&mut chip).store([&payload(number)[..]]).is_ok();
                    chip.left = usize::MAX;
                    if done {
                        (possible, flipped) = (vec![Some(payload(number))], false);
                    } else {
                        possible.push(Some(payload(number)));
                    }
                }
                Event::Flip(bit) => {
                    chip.bytes[bit / 8] ^= 1 << (bit % 8);
                    flipped = true;
                }
            }
            let found = newest(&mut chip).map(|(_, bytes)| bytes);
            if flipped {
                let was_stored = found.as_ref().is_none_or(|found| (0..9).any(|number| payload(number) == *found));
                prop_assert!(was_stored);
                possible.push(found);
            } else {
                prop_assert!(possible.contains(&found));
            }
        }
    }
}
