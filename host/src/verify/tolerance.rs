//! Every tolerance of `verify`, with its reason.

use crate::network::{Activation, Network, Variant};

/// The largest allowed error against f64, relative to the largest value of the run.
///
/// | network | tolerance | reason |
/// |---|---|---|
/// | linear, ReLU, clipped ReLU; tanh, sigmoid by `libm` | 1e-4 | one step errs by some units of 2^-24 = 6e-8; an integrator of decay gamma sums the errors of 1 / (1 - gamma) steps, 200 at gamma = 0.995 |
/// | tanh, sigmoid by `micromath` | 1e-1 | the function itself errs by up to 3e-3, and feedback adds it up |
///
/// A network that amplifies rounding (chaotic, or without decay) exceeds any fixed tolerance after
/// enough steps: the verdict then says so, while bit-equality still holds.
#[must_use]
pub fn tolerance(network: &Network) -> f64 {
    match (network.activation, network.variant) {
        (Activation::Tanh | Activation::Sigmoid { .. }, Variant::Micromath) => 1e-1,
        _ => 1e-4,
    }
}
