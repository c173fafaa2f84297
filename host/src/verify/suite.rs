//! The cases of reduced models and of monitors.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tinyfold_core::monitor::{self, Monitor, Plan, readout_checksum};
use tinyfold_core::reduced::Shape;
use tinyfold_core::{Number, wire};

use super::Case;
use super::case::{normal, random_network, samples};
use crate::Result;
use crate::format::model::{self, ModelBytes};
use crate::format::reduced::Reduced;
use crate::network::{Activation, Arithmetic, Channel, Form};

/// Reduced models in one and two coordinates, with no, one, two and five inputs, gains of every kind of degree, both
/// arithmetics: random stable series on random samples, some of which are not finite and some beyond the interval.
///
/// # Errors
/// None in practice: the models are exportable by construction.
pub fn reduced_suite(steps: usize) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for dimensions in [1, 2] {
        for (inputs, gain) in [(0, 0), (1, 0), (2, 3), (5, 7)] {
            for (arithmetic, arithmetic_name) in
                [(Arithmetic::Separate, "separate"), (Arithmetic::Fused, "fused")]
            {
                let shape = Shape { dimensions, inputs, outputs: 1 + inputs % 2, drift: 7, gain, output: 5 };
                let rng = &mut ChaCha8Rng::seed_from_u64(2000 + cases.len() as u64);
                let model = random_reduced(shape, arithmetic, rng).export::<f32>()?;
                let name = format!("reduced, D = {dimensions}, {inputs} inputs, {arithmetic_name}");
                let samples = samples(steps * inputs.max(1), rng);
                cases.push(Case::of_model(name, model, samples, "export")?);
            }
        }
    }
    Ok(cases)
}

/// A random reduced model that decays, so that rounding errors die out.
#[must_use]
pub fn random_reduced(shape: Shape, arithmetic: Arithmetic, rng: &mut ChaCha8Rng) -> Reduced {
    let Shape { dimensions, inputs, outputs, .. } = shape;
    let mut series = |count: usize, degree: usize, size: f64| -> Vec<f64> {
        (0..count * shape.terms(degree)).map(|_| rng.random_range(-size..size)).collect()
    };
    let (mut drift, gain, output) = (
        series(dimensions, shape.drift, 0.002),
        series(dimensions * inputs, shape.gain, 0.05),
        series(outputs, shape.output, 1.0),
    );
    // T_1 along the coordinate itself: s_2 comes second, s_1 behind all terms without it.
    let terms = shape.terms(shape.drift);
    for d in 0..dimensions {
        let own = if dimensions == 2 && d == 0 { shape.drift + 1 } else { 1 };
        drift[d * terms + own] -= 0.3;
    }
    Reduced {
        shape,
        arithmetic,
        interval: vec![[-1.0, 1.5]; dimensions],
        initial: vec![0.25; dimensions],
        drift,
        gain,
        output,
        inputs: (0..inputs).map(|k| Channel::plain(format!("u{k}"))).collect(),
        outputs: (0..outputs).map(|k| Channel::plain(format!("y{k}"))).collect(),
    }
}

/// Networks under monitors whose words are random, so that alarms come and go: dense in both forms, of low rank in rate
/// form, both arithmetics.
///
/// # Errors
/// None in practice: the networks are exportable by construction.
pub fn watched_suite(steps: usize) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (form, rank, name) in [
        (Form::Rate, 0, "dense, rate"),
        (Form::Current, 0, "dense, current"),
        (Form::Rate, 2, "rank 2, rate"),
    ] {
        for (arithmetic, arithmetic_name) in
            [(Arithmetic::Separate, "separate"), (Arithmetic::Fused, "fused")]
        {
            let rng = &mut ChaCha8Rng::seed_from_u64(3000 + cases.len() as u64);
            let shape = tinyfold_core::Shape { neurons: 13, rank, inputs: 3, outputs: 2 };
            let mut network = random_network(Activation::Relu, shape, rng);
            (network.form, network.arithmetic, network.alpha) = (form, arithmetic, 0.3);
            network.initial = normal(network.carried(), 0.5, rng);
            let model = model::export::<f32>(&network)?;
            let monitor = random_monitor(&model, rng)?;
            let samples = samples(steps * shape.inputs, rng);
            let case =
                Case::of_model(format!("watched, {name}, {arithmetic_name}"), model, samples, "export")?;
            cases.push(case.watched(monitor, "monitor")?);
        }
    }
    Ok(cases)
}

/// A monitor of random words that looks and checks every few steps.
///
/// # Errors
/// None in practice.
pub fn random_monitor(model: &ModelBytes, rng: &mut ChaCha8Rng) -> Result<ModelBytes> {
    let refused = |error| model::refused("monitor", error);
    let read = model::read::<f32>(model, "model")?;
    let network = read.view.shape();
    let shape = monitor::Shape { network, dimensions: if network.is_dense() { 3 } else { 0 } };
    let mut words: Vec<f32> =
        (0..shape.parameter_len()).map(|_| rng.random_range(-0.5_f64..0.5) as f32).collect();
    shape.inverses().for_each(|at| words[at] = words[at].abs());
    // Right or wrong.
    let readout = readout_checksum(&read.view) ^ u32::from(rng.random::<bool>());
    let plan = Plan { every: 5, check: 3, scrub: 7, readout };
    let monitor = Monitor::new(shape, plan, &words).map_err(refused)?;
    let mut bytes = vec![0; wire::monitor::length(&shape, Number::F32)];
    wire::monitor::write(&monitor, read.checksum, &mut bytes).map_err(refused)?;
    Ok(ModelBytes::new(&bytes))
}
