//! Spectral submanifolds against references, textbook cases and the full systems.

mod command;
#[path = "../dynamics/mod.rs"]
mod dynamics;
mod networks;
mod properties;
mod textbook;
mod times;

use dynamics::path;
use serde_json::Value;
use tinyfold::dynamics::fixed_points::nearest;
use tinyfold::dynamics::{At, Family};

fn reference(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path(name)).unwrap()).unwrap()
}

/// The fixed point near x.
fn polished(family: &impl Family, x: &[f64], mu: f64) -> Option<Vec<f64>> {
    nearest(&At { family, mu }, x).map(|found| found.0)
}

fn largest(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}
