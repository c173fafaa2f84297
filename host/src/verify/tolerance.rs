//! Every tolerance of `verify`, with its reason.

use tinyfold_core::fixed::Rates;

use super::Case;
use crate::network::{Activation, Variant};

/// The largest allowed error against f64, relative to the largest value of the run.
///
/// | network | tolerance | reason |
/// |---|---|---|
/// | linear, ReLU, clipped ReLU; tanh, sigmoid by `libm` or rational | 1e-4 | one step errs by some units of 2^-24 = 6e-8; an integrator of decay gamma sums the errors of 1 / (1 - gamma) steps, 200 at gamma = 0.995 |
/// | tanh, sigmoid by `micromath` | 1e-1 | the function itself errs by up to 3e-3, and feedback adds it up |
/// | reduced models | 1e-3 | rounding of the state by 2^-24 at each step, which saddles between choices stretch |
/// | fixed point, low rank, linear, ReLU, clipped ReLU | 1e-4 | latent and rates have 32 bits |
/// | fixed point, low rank, tanh, sigmoid | 1e-2 | the table errs by 4e-5, and feedback adds it up |
/// | fixed point, dense, rates of 16 bits | 1e-2 | rates are rounded to 2^-15 of full scale, of which a network uses a part |
/// | fixed point, dense, rates of 8 bits | 3e-1 | likewise to 2^-7 |
///
/// A network that amplifies rounding (chaotic, or without decay) exceeds any fixed tolerance after
/// enough steps: the verdict then says so, while bit-equality still holds.
#[must_use]
pub fn tolerance(case: &Case) -> f64 {
    let Some(exported) = case.network() else { return 1e-3 };
    let transcendental = matches!(exported.activation, Activation::Tanh | Activation::Sigmoid { .. });
    match case.fixed() {
        Some(network) if network.shape.is_dense() => match network.settings.rates {
            Rates::I16 => 1e-2,
            Rates::I8 => 3e-1,
        },
        Some(_) if transcendental => 1e-2,
        None if transcendental && exported.variant == Variant::Micromath => 1e-1,
        _ => 1e-4,
    }
}
