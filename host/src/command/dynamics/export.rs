//! Reduced models written for a chip.

use std::path::Path;

use serde::Serialize;

use crate::Result;
use crate::command::say;
use crate::format::model::check_ending;
use crate::format::reduced::Reduced;
use crate::format::write_atomic;

/// A reduced model for a chip, as it was written.
#[derive(Serialize)]
pub(super) struct Exported<'a, H> {
    file: &'a Path,
    bytes: usize,
    degrees: [usize; 3],
    inputs: Vec<String>,
    multiply_adds: usize,
    /// What it does beside the network, where it was not fitted.
    pub held_out: H,
}

/// Refuses the name of a file that is not one of a reduced model.
pub(super) fn check(path: &Path) -> Result<()> {
    check_ending("--export", path, "tfrm")
}

impl<'a, H> Exported<'a, H> {
    /// Writes the model, in f32.
    pub fn write(file: &'a Path, model: &Reduced, held_out: H) -> Result<Self> {
        let bytes = model.export::<f32>()?;
        write_atomic(file, bytes.bytes())?;
        let shape = model.shape;
        Ok(Self {
            file,
            bytes: bytes.bytes().len(),
            degrees: [shape.drift, shape.gain, shape.output],
            inputs: model.inputs.iter().map(|input| input.name.clone()).collect(),
            multiply_adds: shape.multiply_adds(),
            held_out,
        })
    }

    /// Prints its size.
    pub fn print(&self) {
        let Self { file, bytes, degrees: [f, g, c], inputs, multiply_adds, .. } = self;
        let inputs = if inputs.is_empty() { "none".into() } else { inputs.join(" and ") };
        say!(
            "{}: {bytes} bytes, degree {f} (inputs {g}, outputs {c}), inputs {inputs}, {multiply_adds} multiply-adds a step",
            file.display(),
        );
    }
}
