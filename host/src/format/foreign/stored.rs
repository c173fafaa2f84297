//! Stored trajectories of a file, compared with those of the network.

use std::iter::zip;

use super::{Imported, Reader};
use crate::format::arrays::Array;
use crate::format::compare::{Comparison, Outputs, Whole, follow, follow_outputs};
use crate::network::{Network, Recurrence};
use crate::{Error, Result};

impl Reader {
    /// A stored trajectory by our name, with their name; without trials, it is one trial.
    pub(super) fn stored(&self, ours: &str) -> Result<Option<(String, Array)>> {
        let Some((theirs, _)) = self.name(ours)? else { return Ok(None) };
        let mut array = self.file.array(&theirs)?;
        if array.shape.len() == 2 {
            array.shape.insert(0, 1);
        }
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
        Ok(Imported { network, sources: self.sources, comparison, outputs })
    }

    /// Compares the outputs of the network with stored ones, where the states are not stored.
    pub(super) fn compare_outputs(&self, network: &Network) -> Result<Option<Outputs>> {
        let (Some(u), Some(y)) = (self.stored("traj_u")?, self.stored("traj_y")?) else { return Ok(None) };
        let (unit, place) = (self.stored_unit(&y)?, self.file.place(&format!("array {}", y.0)));
        let u = self.fitted(u, [0, 0, network.input.ncols()])?;
        let y = self.fitted(y, [u.shape[0], u.shape[1], network.readout.nrows()])?;
        let (outputs, follows) = follow_outputs(network, &u, &y, unit);
        if follows {
            return Ok(Some(outputs));
        }
        let mut turned = network.clone();
        turned.recurrence = Recurrence::Dense(network.weights().transpose().to_owned());
        let hint = if follow_outputs(&turned, &u, &y, unit).1 {
            "they are those of the transposed W: give --map NAME.T=W"
        } else {
            "are W, C, form, alpha, activation and the initial state right?"
        };
        let expected = format!("outputs of the network, to {:.1e} of rounding", outputs.bound);
        Err(Error::input(place, expected, format!("an output off by {:.1e}; {hint}", outputs.off)))
    }

    /// The rounding of what made the stored trajectories; numbers that f32 holds may have been made in f32.
    pub(super) fn stored_unit(&self, (theirs, states): &(String, Array)) -> Result<f64> {
        let single = states.values.iter().all(|&x| f64::from(x as f32) == x);
        let of_f32 = if single { f64::from(f32::EPSILON) / 2.0 } else { 0.0 };
        Ok(self.file.unit_roundoff(theirs)?.max(of_f32))
    }

    /// Compares the network with stored trajectories, where state t is the one after input t; `whole`: the network's
    /// state of a stored one, which is its first part.
    pub(super) fn compare(&self, network: &Network, whole: Whole<'_>) -> Result<Option<Comparison>> {
        let (Some(states), Some(u)) = (self.stored("traj")?, self.stored("traj_u")?) else { return Ok(None) };
        let unit = self.stored_unit(&states)?;
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
