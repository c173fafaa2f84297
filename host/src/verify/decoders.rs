//! Cases of nonlinear decoders, y = phi(C h + c).

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tinyfold_core::Shape;

use super::Case;
use super::case::{random_network, samples};
use crate::Result;
use crate::network::{Activation, Arithmetic, Form, Variant};

/// Every form × dense / low-rank, with and without leak, by every activation and variant in turn: random stable
/// networks (seeded) on random samples, some of which are not finite.
///
/// # Errors
/// None in practice: the networks are exportable by construction.
pub fn suite(steps: usize) -> Result<Vec<Case>> {
    let activations = [
        ("relu", Activation::Relu, Variant::Rational),
        ("clipped", Activation::Clipped { lo: 0.0, hi: 0.5 }, Variant::Rational),
        ("tanh", Activation::Tanh, Variant::Rational),
        ("tanh libm", Activation::Tanh, Variant::Libm),
        ("sigmoid", Activation::Sigmoid { slope: 2.0, threshold: 0.25 }, Variant::Rational),
    ];
    let mut cases = Vec::new();
    for (form, form_name) in [(Form::Rate, "rate"), (Form::Current, "current")] {
        for (rank, rank_name) in [(0, "dense"), (2, "rank 2")] {
            for (name, activation, variant) in activations {
                for alpha in [1.0, 0.3] {
                    let mut rng = ChaCha8Rng::seed_from_u64(1000 + cases.len() as u64);
                    let shape = Shape { neurons: 13, rank, inputs: 3, outputs: 2 };
                    let mut network = random_network(activation, shape, &mut rng);
                    (network.form, network.alpha, network.variant) = (form, alpha, variant);
                    network.arithmetic = [Arithmetic::Separate, Arithmetic::Fused][cases.len() % 2];
                    network.nonlinear_decoder = true;
                    network.initial = network.rest();
                    let samples = samples(steps * shape.inputs, &mut rng);
                    let name = format!("nonlinear decoder, {form_name}, {rank_name}, {name}, alpha {alpha}");
                    cases.push(Case::of_network(name, network, samples)?);
                }
            }
        }
    }
    Ok(cases)
}
