//! What the target computes in assembly, with the bits of the portable code.
#![allow(unsafe_code)]

mod dense;
#[cfg(not(tinyfold_thumb1))]
mod latent;

pub(super) use dense::Prepared;
#[cfg(not(tinyfold_thumb1))]
pub(super) use latent::correct;
#[cfg(tinyfold_dsp)]
pub(super) use latent::pass;
