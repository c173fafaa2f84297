//! What moves in `tinyfold dynamics continue` and `ssm`.

use super::input_number;
use crate::dynamics::Parameter;
use crate::error::require;
use crate::network::Network;
use crate::{Error, Result};

/// What the commands have in common that move something.
#[derive(clap::Args)]
pub struct Moved {
    /// The parameter: an input, by name or number from 1, which is its value; `bias`, added to every bias; `bias:3`, the
    /// bias of neuron 3; `weights`, the factor of all recurrent weights, 1 as they are; `to:V`, the way from --input (0)
    /// to the input V (1), as to:0,0,1,0.
    #[arg(long, value_name = "WHAT")]
    pub parameter: Option<String>,
}

/// The forms beside an input.
const FORMS: &str = "bias, bias:K, weights or to:V";

/// The parameter of a network under an input that `text` says.
///
/// # Errors
/// None that the network has; not I numbers for the end of a way.
pub(super) fn parameter(network: &Network, input: &[f64], option: &str, text: &str) -> Result<Parameter> {
    let n = network.neurons();
    let named = network.inputs.iter().any(|input| input.name == text);
    match text.split_once(':') {
        _ if named => {}
        None if text == "bias" => return Ok(Parameter::common_bias(n)),
        None if text == "weights" => return Ok(Parameter::weights(n)),
        Some(("bias", neuron)) => {
            let number = neuron.parse::<usize>().ok().filter(|k| (1..=n).contains(k));
            let expected = || format!("bias:K with K a neuron, 1 to {n}");
            let k = number.ok_or_else(|| Error::input(option, expected(), text))?;
            return Ok(Parameter::bias(network, k - 1));
        }
        Some(("to", numbers)) => {
            let numbers: std::result::Result<Vec<f64>, _> = numbers.split(',').map(str::parse).collect();
            let expected = || format!("to:V with V {} numbers, one an input", input.len());
            let end = numbers.map_err(|_| Error::input(option, expected(), text))?;
            require(end.len() == input.len(), option, expected(), text)?;
            let moves = end.as_slice() != input;
            require(moves, option, "to:V with V another input than --input", text)?;
            return Parameter::towards(network, input, &end);
        }
        _ => {}
    }
    let k = input_number(network, option, text).map_err(|error| match error {
        Error::Input { place, expected, found } => {
            Error::Input { place, expected: format!("{expected}; or {FORMS}"), found }
        }
        other => other,
    })?;
    Ok(Parameter::input(network, input, k))
}

/// The parameter where one has to be.
///
/// # Errors
/// As [`parameter`]; none.
pub(super) fn required(network: &Network, input: &[f64], moved: &Moved) -> Result<Parameter> {
    let option = "--parameter";
    let text = moved.parameter.as_ref();
    let text = text.ok_or_else(|| Error::input(option, format!("an input, {FORMS}"), "none"))?;
    parameter(network, input, option, text)
}

/// Least and greatest value of a parameter: `given`, else 1 to either side of where the network is.
///
/// # Errors
/// Not two numbers, the lower first.
pub(super) fn range(option: &str, given: &[f64], parameter: &Parameter) -> Result<(f64, f64)> {
    match *given {
        [] => Ok((parameter.origin - 1.0, parameter.origin + 1.0)),
        [low, high] if low < high && (high - low).is_finite() => Ok((low, high)),
        _ => Err(Error::input(option, "two finite numbers, the lower first", format!("{given:?}"))),
    }
}
