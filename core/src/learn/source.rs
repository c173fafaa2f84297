//! Where a plan's samples and targets come from.

use crate::error::{Error, Expected, Field};
use crate::shape::Shape;

/// Gives rows of I samples and O targets (NaN: none), one a time step: a sensor, or [`Rows`] in memory.
pub trait Source<T> {
    /// The next row, waited for if need be; none when there are no more.
    fn row(&mut self) -> Option<&[T]>;

    /// Rows in all, where that is known: a trust region shrinks over so many, and has its last size where it is not.
    fn rows(&self) -> Option<u64> {
        None
    }
}

/// Rows in memory, gone through several times.
#[derive(Clone, Debug)]
pub struct Rows<'r, T> {
    all: &'r [T],
    rest: &'r [T],
    width: usize,
    passes: u32,
    /// Passes after this one.
    left: u32,
}

impl<'r, T> Rows<'r, T> {
    /// `rows` (T × (I + O)), `passes` times.
    ///
    /// # Errors
    /// [`Field::Samples`]: rows that are not whole.
    pub fn new(shape: &Shape, rows: &'r [T], passes: u32) -> Result<Self, Error> {
        let width = shape.inputs + shape.outputs;
        match rows.len().checked_rem(width) {
            Some(remainder) if remainder > 0 => {
                Err(Error::new(Field::Samples, Expected::Exactly(0), remainder as u64))
            }
            _ => Ok(Self { all: rows, rest: &[], width, passes, left: passes }),
        }
    }
}

impl<T> Source<T> for Rows<'_, T> {
    fn row(&mut self) -> Option<&[T]> {
        if self.rest.is_empty() {
            self.left = self.left.checked_sub(1)?;
            self.rest = self.all;
        }
        let (row, rest) = self.rest.split_at_checked(self.width)?;
        self.rest = rest;
        Some(row)
    }

    fn rows(&self) -> Option<u64> {
        let rows = self.all.len().checked_div(self.width).unwrap_or(0);
        Some(rows as u64 * u64::from(self.passes))
    }
}
