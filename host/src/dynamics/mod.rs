//! Dynamics of networks as maps and as flows: fixed points, piecewise-linear cycles, spectral submanifolds,
//! continuation, Lyapunov exponents.
//!
//! Everything works on a [`System`]: a network under a held input ([`Rnn`]), or any other map or flow. What
//! depends on a parameter works on a [`Family`], of which [`Path`] is a network and a [`Parameter`] what of it
//! moves: an input, a bias or the weights.

pub mod continuation;
pub mod cycles;
pub mod fixed_points;
mod linear;
pub mod lyapunov;
pub mod monitor;
mod path;
mod rnn;
pub mod slow_manifold;
pub mod spectrum;
pub mod ssm;
mod stepper;
mod system;
pub(crate) mod vector;
mod wide;

pub use path::{Parameter, Path};
pub use rnn::{Rnn, slope};
pub use stepper::{advance, advance_until};
pub use system::{At, Family, Kind, System};
