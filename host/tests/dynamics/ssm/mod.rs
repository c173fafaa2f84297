//! Spectral submanifolds against references, textbook cases and the full systems.

mod chip;
mod command;
mod networks;
mod properties;
mod textbook;
mod times;
mod unfolding;

use crate::references::{json as reference, polished};

fn largest(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}
