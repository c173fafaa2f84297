//! Stored trajectories of a file, compared with those of the network.

use std::iter::zip;

use super::{Imported, Reader};
use crate::format::arrays::{Array, ArrayFile};
use crate::format::compare::{Comparison, Outputs, Whole, follow, follow_outputs};
use crate::network::{Network, Recurrence};
use crate::{Error, Result};

/// An array of one trial, steps × width, as one of several.
fn with_trials(mut array: Array) -> Array {
    if array.shape.len() == 2 {
        array.shape.insert(0, 1);
    }
    array
}

/// The rounding of what made the stored trajectories; numbers that f32 holds may have been made in f32.
fn unit_of(file: &ArrayFile, (theirs, states): &(String, Array)) -> Result<f64> {
    let single = states.values.iter().all(|&x| f64::from(x as f32) == x);
    let of_f32 = if single { f64::from(f32::EPSILON) / 2.0 } else { 0.0 };
    Ok(file.unit_roundoff(theirs)?.max(of_f32))
}

/// Outputs `y` of `place` that are those of the network on `u`.
fn followed(network: &Network, u: &Array, y: &Array, unit: f64, place: String) -> Result<Outputs> {
    let (outputs, follows) = follow_outputs(network, u, y, unit);
    if follows {
        return Ok(outputs);
    }
    let mut turned = network.clone();
    turned.recurrence = Recurrence::Dense(network.weights().transpose().to_owned());
    let hint = if follow_outputs(&turned, u, y, unit).1 {
        "they are those of the transposed W: give --map NAME.T=W"
    } else {
        "are W, C, form, alpha, activation and the initial state right?"
    };
    let expected = format!("outputs of the network, to {:.1e} of rounding", outputs.bound);
    Err(Error::input(place, expected, format!("an output off by {:.1e}; {hint}", outputs.off)))
}

impl Reader {
    /// A stored trajectory by our name, with their name; without trials, it is one trial.
    pub(super) fn stored(&self, ours: &str) -> Result<Option<(String, Array)>> {
        let Some((theirs, _)) = self.name(ours)? else { return Ok(None) };
        let array = with_trials(self.file.array(&theirs)?);
        Ok(Some((theirs, array)))
    }

    /// A stored trajectory of trials × steps × width, where 0 stands for any size but 0.
    pub(super) fn fitted(&self, (theirs, array): (String, Array), shape: [usize; 3]) -> Result<Array> {
        let mut sizes = zip(&array.shape, shape);
        if array.shape.len() == 3 && sizes.all(|(&f, s)| f > 0 && (s == 0 || f == s)) {
            return Ok(array);
        }
        let size = |size: usize| if size == 0 { "any".into() } else { size.to_string() };
        let expected = format!("shape [{}] (trials, steps, width)", shape.map(size).join(", "));
        Err(Error::input(self.file.place(&format!("array {theirs}")), expected, format!("{:?}", array.shape)))
    }

    pub(super) fn compared(self, network: Network, whole: Whole<'_>) -> Result<Imported> {
        let comparison = self.compare(&network, whole)?;
        let outputs = if comparison.is_none() { self.compare_outputs(&network)? } else { None };
        let known = self.runs.is_some();
        Ok(Imported { network, sources: self.sources, comparison, outputs, known })
    }

    /// Compares the outputs of the network with stored ones, where the states are not stored.
    pub(super) fn compare_outputs(&self, network: &Network) -> Result<Option<Outputs>> {
        let (Some(u), Some(y)) = (self.stored("traj_u")?, self.stored("traj_y")?) else {
            return self.compare_runs(network);
        };
        let (unit, place) = (unit_of(&self.file, &y)?, self.file.place(&format!("array {}", y.0)));
        let u = self.fitted(u, [0, 0, network.input.ncols()])?;
        let y = self.fitted(y, [u.shape[0], u.shape[1], network.readout.nrows()])?;
        followed(network, &u, &y, unit, place).map(Some)
    }

    /// The same with the runs that a known tool stored, if they have this shape.
    fn compare_runs(&self, network: &Network) -> Result<Option<Outputs>> {
        let Some(file) = &self.runs else { return Ok(None) };
        let first = |names: &[&str]| {
            let name = names.iter().find(|name| file.has(name));
            name.map(|&name| Ok((name.to_owned(), with_trials(file.array(name)?)))).transpose()
        };
        let inputs = first(&["inputs", "test_inputs"])?;
        let outputs = first(&["outputs_f64", "outputs", "test_outputs"])?;
        let (Some((_, mut u)), Some(y)) = (inputs, outputs) else { return Ok(None) };
        let (&[stored, steps, width], &[trials, length, outputs]) =
            (u.shape.as_slice(), y.1.shape.as_slice())
        else {
            return Ok(None);
        };
        let fits = trials > 0 && trials <= stored && steps > 0 && steps == length;
        if !(fits && width == network.input.ncols() && outputs == network.readout.nrows()) {
            return Ok(None);
        }
        // The outputs of the first trials may be all that is stored.
        u.shape[0] = trials;
        u.values.truncate(trials * steps * width);
        let (unit, place) = (unit_of(file, &y)?, file.place(&format!("array {}", y.0)));
        followed(network, &u, &y.1, unit, place).map(Some)
    }

    /// Compares the network with stored trajectories, where state t is the one after input t; `whole`: the network's
    /// state of a stored one, which is its first part.
    pub(super) fn compare(&self, network: &Network, whole: Whole<'_>) -> Result<Option<Comparison>> {
        let (Some(states), Some(u)) = (self.stored("traj")?, self.stored("traj_u")?) else { return Ok(None) };
        let unit = unit_of(&self.file, &states)?;
        let (neurons, inputs) = (network.neurons(), network.input.ncols());
        let n = states.1.shape.last().copied().unwrap_or(0);
        let n = if whole(&vec![0.0; n]).len() == neurons { n } else { neurons };
        let states = self.fitted(states, [0, 0, n])?;
        let [trials, steps] = [states.shape[0], states.shape[1]];
        let u = self.fitted(u, [trials, steps, inputs])?;
        let y = match self.stored("traj_y")? {
            Some((theirs, array)) => {
                let shape = [trials, steps, network.readout.nrows()];
                let array = self.fitted((theirs.clone(), array), shape)?;
                Some((theirs, array))
            }
            None => None,
        };
        let comparison = follow(network, &states, &u, y.as_ref().map(|y| &y.1), unit, whole);
        if let (Some([off, bound]), Some((theirs, _))) = (comparison.output, &y)
            && off > bound
            && comparison.step <= comparison.bound
        {
            let expected = format!("outputs of the network, to {bound:.1e} of rounding");
            let found = format!("an output off by {off:.1e}; are C and c right?");
            return Err(Error::input(self.file.place(&format!("array {theirs}")), expected, found));
        }
        if comparison.step <= comparison.bound {
            return Ok(Some(comparison));
        }
        let mut turned = network.clone();
        turned.recurrence = Recurrence::Dense(network.weights().transpose().to_owned());
        let other = follow(&turned, &states, &u, None, unit, whole);
        let hint = if n == neurons && other.step <= other.bound {
            "; they are those of the transposed W: give --map NAME.T=W"
        } else {
            "; are form, alpha and activation right?"
        };
        let found = format!("a step off by {:.1e}{hint}", comparison.step);
        let expected =
            format!("states that the network goes through, to {:.1e} of rounding", comparison.bound);
        Err(Error::input(self.file.place("arrays traj, traj_u"), expected, found))
    }
}
