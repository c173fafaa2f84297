//! Learners that meet anything: noise, spikes, NaN, infinities, laws, limits.

mod guard;
mod laws;
mod rls;
mod signals;
mod sums;

use tinyfold_core::Shape;

#[path = "../common/learners.rs"]
mod learners;

use learners::Random;

/// Noise, now and then a spike or no number at all.
fn rough(random: &mut Random) -> f32 {
    let x = random.next();
    match (random.0 >> 20) % 300 {
        0 => f32::NAN,
        1 => f32::INFINITY,
        2 => f32::NEG_INFINITY,
        3 => 1e30 * x,
        4 => 1e6 * x,
        5 => f32::MAX * x,
        _ => x,
    }
}

const DENSE: Shape = Shape { neurons: 10, rank: 0, inputs: 2, outputs: 3 };

const LATENT: Shape = Shape { neurons: 10, rank: 2, inputs: 2, outputs: 2 };
