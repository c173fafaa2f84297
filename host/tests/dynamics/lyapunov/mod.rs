//! Lyapunov exponents, finite-time exponents on planes and basins, against references and closed forms.

mod basins;
mod commands;
mod fields;
mod refusals;
mod spectra;
mod systems;

use serde_json::Value;
use tinyfold::dynamics::System;
use tinyfold::dynamics::lyapunov::{Settings, Spectrum, Watch, spectrum};

use crate::references;

fn reference(name: &str) -> Value {
    references::json("lyapunov_reference.json")[name].clone()
}

fn run<S: System>(system: &S, start: &[f64], transient: usize, steps: usize, dt: f64) -> Spectrum {
    let settings = Settings { transient, steps, dt, ..Settings::default() };
    spectrum(system, start, &settings, &Watch::default()).unwrap()
}
