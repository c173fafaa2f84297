//! Figures of dynamics, and their data as arrays.

pub mod continuation;
pub mod cycles;
pub mod fit;
pub mod fixed_points;
pub mod inputs;
pub mod lyapunov;
pub mod monitor;
pub mod slow_manifold;
pub mod ssm;

use std::path::Path;

use super::figures::write as draw;
use crate::Result;
use crate::dynamics::lyapunov::AttractingSet;
use crate::dynamics::{Kind, Rnn};
use crate::network::Network;
use crate::reproduce::marraffa2025::Findings;

/// The unit of states, inputs and outputs.
const STATE: &str = "network units";

/// The unit of time of a map or flow.
#[must_use]
pub const fn time_unit(kind: Kind) -> &'static str {
    match kind {
        Kind::Map => "step",
        Kind::Flow => "time constant",
    }
}

/// The unit of a Jacobian and its eigenvalues.
const fn rate_unit(kind: Kind) -> &'static str {
    match kind {
        Kind::Map => "-",
        Kind::Flow => "per time constant",
    }
}

/// Writes the figures of all that was found: a folder each for motion, colour, the ring, the perturbed ring.
///
/// # Errors
/// A figure that cannot be drawn or written.
pub fn write(folder: &Path, network: &Network, found: &Findings) -> Result<()> {
    let names: Vec<String> = network.inputs.iter().map(|input| input.name.clone()).collect();
    let n = network.neurons();
    let rnn = Rnn::new(network, &vec![0.0; network.input.ncols()], Kind::Flow)?;
    let output = |x: &[f64]| {
        // What follows the n states is mu.
        let rates = rnn.rates(&x[..n]).into_iter().enumerate();
        let terms = rates.map(|(i, rate)| network.readout[(0, i)] * rate);
        vec![network.output_bias[0] + terms.sum::<f64>()]
    };
    let readout = continuation::Readout { names: vec!["output".into()], of: &output };
    for context in &found.contexts {
        let mut figures = continuation::figures(&context.diagram, context.name, &readout);
        figures.push(slow_manifold::of_line(&context.driven.line, &context.verdict, "time constants"));
        figures.push(inputs::figure(&context.driven, &names, Some(&context.choices)));
        draw(&folder.join(context.name), &figures)?;
    }
    if let Some(ridges) = found.ridges.as_ref().filter(|ridges| ridges.field.computed > 0) {
        let stable = found.contexts.iter().find(|context| context.name == "colour");
        let stable: Vec<AttractingSet> = stable
            .iter()
            .flat_map(|context| &context.points.points)
            .filter(|point| point.stable)
            .map(|point| AttractingSet::point(point.state.clone(), 1e-2))
            .collect();
        let basins = ridges.basins.as_ref().map(|basins| (basins, &stable[..]));
        let field = lyapunov::field(&ridges.plane, &ridges.field, basins, "time constant");
        draw(&folder.join("colour"), &[field])?;
    }
    for (name, ringed) in ["ring", "ring-perturbed"].iter().zip(&found.rings) {
        let figure = slow_manifold::of_ring(&ringed.ring, &ringed.verdict, "time constants");
        draw(&folder.join(name), &[figure])?;
    }
    Ok(())
}
