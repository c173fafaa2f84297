//! Whether a report is whole: page and figures may then rely on its shapes and numbers.

use super::{NetworkReport, Report};
use crate::manifold::LARGEST;
use crate::{Error, Result};

impl Report {
    /// Checks that every trace, decay and point has as many channels as the task.
    ///
    /// # Errors
    /// The field of `place` (the file or the run) that does not fit, expected and found.
    pub fn check(&self, place: &str) -> Result<()> {
        let same = |field: &str, expected: usize, found: usize| {
            if expected == found {
                return Ok(());
            }
            Err(Error::input(format!("{place}: {field}"), expected.to_string(), found.to_string()))
        };
        let channels = self.task.channels();
        if channels == 0 {
            return Err(Error::input(format!("{place}: task.decays"), "at least 1", "0"));
        }
        same("length of task.scales", channels, self.task.scales.len())?;
        same("length of recording.channels", channels, self.recording.channels.len())?;
        if self.networks.is_empty() {
            return Err(Error::input(format!("{place}: networks"), "at least 1", "0"));
        }
        let length = self.targets.first().map_or(0, Vec::len);
        if length == 0 {
            return Err(Error::input(format!("{place}: targets"), "traces of at least 1 step", "0 steps"));
        }
        let traces = |field: &str, traces: &[Vec<f64>]| {
            same(&format!("{field}: channels"), channels, traces.len())?;
            traces.iter().try_for_each(|trace| same(&format!("{field}: steps"), length, trace.len()))
        };
        traces("inputs", &self.inputs)?;
        traces("targets", &self.targets)?;
        for network in &self.networks {
            let field = |name: &str| format!("networks, {}, {name}", network.name);
            traces(&field("outputs"), &network.outputs)?;
            same(&field("length of decays"), channels, network.decays.len())?;
            same(&field("length of r_squared"), channels, network.r_squared.len())?;
            let dimension = network.manifold.first().map_or(0, |point| point.coordinates.len());
            for point in &network.manifold {
                same(&field("manifold, coordinates"), dimension, point.coordinates.len())?;
                same(&field("manifold, integrals"), channels, point.integrals.len())?;
                same(&field("manifold, integrals read"), channels, point.read.len())?;
            }
        }
        self.learning.as_ref().map_or(Ok(()), |learning| learning.check(place))
    }

    /// The same report with what is not finite as ±[`LARGEST`]: JSON has no infinity, so a network that
    /// diverges could not be read back.
    #[must_use]
    pub(super) fn finite(mut self) -> Self {
        self.inputs.iter_mut().chain(&mut self.targets).flatten().for_each(cap);
        self.networks.iter_mut().for_each(finite_network);
        for row in &mut self.verification.backends {
            [&mut row.max_abs, &mut row.rms, &mut row.max_relative].into_iter().for_each(cap);
            row.max_abs_original.iter_mut().for_each(cap);
        }
        self.learning.iter_mut().for_each(|learning| learning.cap(cap));
        self
    }
}

fn finite_network(network: &mut NetworkReport) {
    let errors = [
        &mut network.gaussian,
        &mut network.recording,
        &mut network.recording_f32,
        &mut network.distance,
        &mut network.tolerance,
    ];
    errors.into_iter().for_each(cap);
    network.outputs.iter_mut().flatten().for_each(cap);
    network.singular_values.iter_mut().chain(&mut network.decays).chain(&mut network.r_squared).for_each(cap);
    network.error_f64.iter_mut().chain(&mut network.error_f32).for_each(|(_, error)| cap(error));
    for point in &mut network.manifold {
        point.coordinates.iter_mut().chain(&mut point.read).chain(&mut point.integrals).for_each(cap);
    }
}

fn cap(x: &mut f64) {
    *x = if x.is_nan() { LARGEST } else { x.clamp(-LARGEST, LARGEST) };
}
