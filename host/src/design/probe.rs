//! Roll-outs on which ways to compress and to quantise are compared.

use serde::Serialize;

use crate::network::Network;
use crate::simulate;
use crate::task::{relative_rmse, synthetic};

/// Steps of every roll-out.
pub(super) const STEPS: usize = 10_000;

/// Relative RMSE against the targets of the task; against the original network when it has none.
/// Infinite, in JSON null, when the network diverges.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Errors {
    /// On 10 000 steps of N(0, 1) inputs that the fit has not seen.
    pub gaussian: f64,
    /// On the inputs given; as `gaussian` when there are none.
    pub inputs: f64,
}

impl Errors {
    /// The larger one.
    #[must_use]
    pub fn worst(self) -> f64 {
        self.gaussian.max(self.inputs)
    }
}

/// Inputs with the outputs that are wanted for them.
pub(super) struct Probe {
    outputs: usize,
    runs: Vec<(Vec<f64>, Vec<f64>)>,
}

impl Probe {
    /// Gaussian inputs and, unless they are empty, `inputs` (row-major T × I, in network units) repeated.
    pub(super) fn new(network: &Network, inputs: &[f64]) -> Self {
        let width = network.input.ncols();
        let mut signals = vec![synthetic::gaussian(STEPS, width, 13)];
        if !inputs.is_empty() {
            signals.push(inputs.iter().copied().cycle().take(STEPS * width).collect());
        }
        let wanted = |x: Vec<f64>| {
            let y = match network.integration() {
                Some(task) => task.targets(&x),
                None => simulate::run(network, &x, false).outputs,
            };
            (x, y)
        };
        Self { outputs: network.readout.nrows(), runs: signals.into_iter().map(wanted).collect() }
    }

    pub(super) fn errors(&self, network: &Network) -> Errors {
        self.errors_of(|x| simulate::run(network, x, false).outputs)
    }

    /// Errors of what gives these outputs for inputs, both row-major and in network units.
    pub(super) fn errors_of(&self, outputs: impl Fn(&[f64]) -> Vec<f64>) -> Errors {
        let rmse: Vec<f64> =
            self.runs.iter().map(|(x, y)| relative_rmse(&outputs(x), y, self.outputs)).collect();
        Errors { gaussian: rmse[0], inputs: *rmse.last().expect("one run at least") }
    }
}
