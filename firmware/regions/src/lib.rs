//! The stretches of memory that memory.x reserves for a model, a trial, and what is learned.
#![no_std]

use core::hint::black_box;
use core::ptr::addr_of;

unsafe extern "C" {
    static __tinyfold_model_start: u8;
    static __tinyfold_model_end: u8;
    static __tinyfold_trial_start: u8;
    static __tinyfold_trial_end: u8;
}

/// The region of the model.
#[must_use]
pub fn model() -> &'static [u8] {
    region(addr_of!(__tinyfold_model_start), addr_of!(__tinyfold_model_end))
}

/// The region of the trial.
#[must_use]
pub fn trial() -> &'static [u8] {
    region(addr_of!(__tinyfold_trial_start), addr_of!(__tinyfold_trial_end))
}

/// Address of the first byte and number of bytes of the two banks for what is learned.
#[must_use]
pub fn banks() -> (usize, usize) {
    unsafe extern "C" {
        static __tinyfold_banks_start: u8;
        static __tinyfold_banks_end: u8;
    }
    let (start, end) = (addr_of!(__tinyfold_banks_start), addr_of!(__tinyfold_banks_end));
    (start as usize, end as usize - start as usize)
}

/// The bytes between two symbols of memory.x.
fn region(start: *const u8, end: *const u8) -> &'static [u8] {
    // SAFETY: memory.x reserves the range in flash, nothing is linked into it and nothing writes it
    // while the program runs; black_box keeps the compiler from assuming what it holds.
    unsafe { core::slice::from_raw_parts(black_box(start), end as usize - start as usize) }
}
