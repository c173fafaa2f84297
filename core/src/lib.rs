//! Recurrent networks on a microcontroller: no_std, no alloc, no panic, the same bits everywhere.
#![no_std]
#![deny(unsafe_code)]

mod activation;
mod scalar;

pub use activation::Activation;
pub use scalar::{Arithmetic, Number, Scalar, Variant};

/// Which variable is leaky: the rate h or the current a.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Form {
    /// h' = (1 - alpha) h + alpha phi(W h + B x + b), y = C h + c.
    Rate = 1,
    /// a' = (1 - alpha) a + alpha (W phi(a) + B x + b), y = C phi(a) + c.
    Current = 2,
}
