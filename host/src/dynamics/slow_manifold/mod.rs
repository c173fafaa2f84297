//! Slow manifolds: the curve that everything falls on, what is slow along it, and whether it is an attractor.
//!
//! [`SlowManifold`] is the curve between fixed points of a network whose equations are known.

mod batch;
pub mod chebyshev;
mod curve;
pub mod spectrum;

pub use batch::{Batch, advance};
pub use curve::{Frame, Options, SlowManifold};
