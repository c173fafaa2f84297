//! Recurrent networks on a microcontroller: no_std, no alloc, no panic, the same bits everywhere.
//!
//! | letter | meaning | shape |
//! |---|---|---|
//! | n, R, I, O | neurons, rank, inputs, outputs | |
//! | W = U Vᵀ | recurrent weights; `W[i, j]` is the weight from j to i | n × n, U and V n × R |
//! | B, b | input weights, bias | n × I, n |
//! | C, c | readout, output bias | O × n, O |
//! | x, y | input, output of one step | I, O |
//! | p | pre-activation | n |
//! | h, a | rate, current | n |
//! | z, kappa, nu | latent Vᵀh of rate form; recurrent and input part of a in current form | R, R, I |
//! | phi | [`Activation`] | |
//! | alpha | leak, in (0, 1] | |
//!
//! Reading order: [`Shape`], [`View`] and [`State`] (`network.rs`), `latent.rs`, `linear.rs`,
//! [`pack`], [`wire`]; then [`learn`] and [`bank`], and [`fixed`], the same networks in integers; [`reduced`],
//! a network's slow motion as a polynomial, and [`monitor`], which tells when a network leaves its manifold.
//!
//! ```
//! use tinyfold_core::pack::{Matrices, Weights, pack};
//! use tinyfold_core::{Activation, Number, Settings, Shape, View, wire};
//!
//! // z' = 0.9 (z + x) by two ReLU neurons, one for each sign.
//! let shape = Shape { neurons: 2, rank: 1, inputs: 1, outputs: 1 };
//! let matrices = Matrices {
//!     weights: Weights::LowRank { u: &[1.0, -1.0], v: &[0.9, -0.9] },
//!     input: &[1.0, -1.0],
//!     bias: &[0.0; 2],
//!     readout: &[0.9, -0.9],
//!     output_bias: &[0.0],
//!     scaling: &[[0.0, 1.0]; 2],
//!     initial: &[],
//! };
//! let mut words = [0.0_f32; 17];
//! pack(&shape, &matrices, &mut words)?;
//! let view = View::from_words(shape, Settings::new(Activation::Relu), &words)?;
//!
//! let mut file = vec![0; wire::length(&shape, Number::F32, "leaky integrator")];
//! wire::write(&view, "leaky integrator", &mut file)?;
//!
//! let mut memory = [0.0; 16];
//! let mut state = view.state(&mut memory)?;
//! for _ in 0..3 {
//!     view.step(&mut state, &[-1.0]);
//! }
//! assert_eq!(state.output(), [-0.9 * (1.0 + 0.9 * (1.0 + 0.9))]);
//! # Ok::<(), tinyfold_core::Error>(())
//! ```
#![no_std]
#![deny(unsafe_code)]

/// Assembly from a file, for the assembler's idea of the target: a generic Cortex-M4F has no FPU to it, a
/// generic v8-M neither that nor the DSP extension.
#[cfg(not(tinyfold_portable))]
macro_rules! assembly {
    ($file:literal) => {
        #[cfg(all(tinyfold_fpu, not(tinyfold_v8m)))]
        core::arch::global_asm!(".fpu fpv4-sp-d16", include_str!($file), options(raw));
        #[cfg(all(tinyfold_fpu, tinyfold_v8m))]
        core::arch::global_asm!(".cpu cortex-m33", include_str!($file), options(raw));
        #[cfg(not(tinyfold_fpu))]
        core::arch::global_asm!(include_str!($file), options(raw));
    };
}

mod activation;
pub mod bank;
mod error;
pub mod fixed;
mod kernel;
mod latent;
pub mod learn;
mod linear;
pub mod monitor;
mod network;
mod owned;
pub mod pack;
mod rational;
pub mod reduced;
mod scalar;
mod shape;
pub mod wire;

pub use activation::Activation;
pub use error::{Error, Expected, Field};
pub use linear::{PANEL_ROWS, panels};
pub use network::{Seen, Settings, State, Status, View};
pub use owned::Network;
pub use scalar::{Arithmetic, Number, Scalar, Variant};
pub use shape::{Form, Shape};
