//! Dynamics of networks as maps and as flows: fixed points, piecewise-linear cycles, spectral submanifolds,
//! continuation, Lyapunov exponents.
//!
//! Everything works on a [`System`]: a network under a held input ([`Rnn`]), or any other map or flow. What depends on a
//! parameter works on a [`Family`], of which [`Path`] is a network with an input, its bias or its weights moved.

pub mod continuation;
pub mod cycles;
pub mod fixed_points;
pub mod lyapunov;
pub mod monitor;
pub mod slow_manifold;
pub mod ssm;
pub mod system;
pub mod wide;

pub use system::{Family, Kind, Path, Rnn, System};
