//! The table of docs/activations.md: errors computed here, instructions from the baseline.

use tinyfold_core::{Activation, Variant};

use super::baseline::Baseline;
use super::case::ELEMENTS;
use crate::Result;

const SIGMOID: Activation<f32> = Activation::Sigmoid { slope: 1.0, threshold: 0.0 };
const CLIPPED: Activation<f32> = Activation::Clipped { lo: 0.0, hi: 2.0 };

type Row = (&'static str, &'static str, Activation<f32>, Variant, fn(f64) -> f64);

const ROWS: &[Row] = &[
    ("linear", "", Activation::Linear, Variant::Libm, |p| p),
    ("relu", "", Activation::Relu, Variant::Libm, |p| p.max(0.0)),
    ("clipped", "", CLIPPED, Variant::Libm, |p| p.clamp(0.0, 2.0)),
    ("tanh", "rational", Activation::Tanh, Variant::Rational, f64::tanh),
    ("tanh", "libm", Activation::Tanh, Variant::Libm, f64::tanh),
    ("tanh", "micromath", Activation::Tanh, Variant::Micromath, f64::tanh),
    ("sigmoid", "rational", SIGMOID, Variant::Rational, logistic),
    ("sigmoid", "libm", SIGMOID, Variant::Libm, logistic),
    ("sigmoid", "micromath", SIGMOID, Variant::Micromath, logistic),
];

fn logistic(p: f64) -> f64 {
    1.0 / (1.0 + (-p).exp())
}

/// The rows as Markdown: instructions an element on three chips, largest error on \[-8, 8\].
///
/// # Errors
/// A baseline without one of them.
pub fn table(baseline: &Baseline) -> Result<String> {
    let mut table =
        String::from("| function | variant | M4F | M3 | M0 | largest error |\n|---|---|---|---|---|---|\n");
    for &(name, variant, phi, by, truth) in ROWS {
        let kernel =
            if matches!(variant, "" | "rational") { name.to_owned() } else { format!("{name}-{variant}") };
        let error = (-32768..=32768)
            .map(|k| k as f32 / 4096.0)
            .map(|p| (f64::from(phi.value(p, by)) - truth(p.into())).abs())
            .fold(0.0, f64::max);
        let error = if error == 0.0 { "0".to_owned() } else { format!("{error:.1e}") };
        table += &format!("| {name} | {variant} |");
        for on in ["qemu-m4f", "qemu-m3", "qemu-m0"] {
            let count = baseline.instructions([on, &kernel, &ELEMENTS.to_string(), "0", "f32"])?;
            table += &format!(" {:.1} |", count as f64 / ELEMENTS as f64);
        }
        table += &format!(" {error} |\n");
    }
    Ok(table)
}
