//! Design, train, analyse and export recurrent integrators, and prove that the chip computes the same.

#![deny(unsafe_code)]

pub mod adapt;
pub mod bench;
pub mod command;
pub mod design;
pub mod dynamics;
pub mod error;
pub mod format;
pub mod manifold;
pub mod memory;
pub mod network;
pub mod report;
pub mod reproduce;
pub mod simulate;
pub mod sweep;
pub mod task;
pub mod theory;
pub mod train;
pub mod verify;

pub use error::{Error, Result};
pub use network::Network;
