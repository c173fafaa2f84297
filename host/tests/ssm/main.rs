//! Spectral submanifolds against references, textbook cases and the full systems.

mod chip;
mod command;
#[path = "../dynamics/mod.rs"]
mod dynamics;
mod networks;
mod properties;
mod textbook;
mod times;
mod unfolding;

use dynamics::path;
use serde_json::Value;
use tinyfold::dynamics::{At, Family, System};

fn reference(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path(name)).unwrap()).unwrap()
}

/// The fixed point near x by whole Newton steps until they are rounding: small divisors magnify what is left.
fn polished(family: &impl Family, x: &[f64], mu: f64) -> Option<Vec<f64>> {
    use faer::linalg::solvers::Solve;
    let (system, n, mut x) = (At { family, mu }, x.len(), x.to_vec());
    for _ in 0..20 {
        let (mut rest, mut jacobian) = (faer::Mat::zeros(n, 1), faer::Mat::zeros(n, n));
        system.residual(&x, rest.col_as_slice_mut(0));
        system.residual_jacobian(&x, jacobian.as_mut());
        let step = jacobian.partial_piv_lu().solve(rest);
        (0..n).for_each(|i| x[i] -= step[(i, 0)]);
        if step.norm_max() < 1e-14 {
            break;
        }
    }
    x.iter().all(|x| x.is_finite()).then_some(x)
}

fn largest(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}
