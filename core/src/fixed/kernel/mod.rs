//! What the target computes in assembly, with the bits of the portable code.
#![allow(unsafe_code)]

/// Assembles a file that needs the DSP extension, which the generic v8-M does not know.
#[cfg(tinyfold_dsp)]
macro_rules! dsp_asm {
    ($file:literal) => {
        #[cfg(not(tinyfold_v8m))]
        core::arch::global_asm!(include_str!($file), options(raw));
        #[cfg(tinyfold_v8m)]
        core::arch::global_asm!(".cpu cortex-m33", include_str!($file), options(raw));
    };
}

mod dense;
#[cfg(not(tinyfold_thumb1))]
mod latent;

pub(super) use dense::Prepared;
#[cfg(not(tinyfold_thumb1))]
pub(super) use latent::correct;
#[cfg(tinyfold_dsp)]
pub(super) use latent::pass;
