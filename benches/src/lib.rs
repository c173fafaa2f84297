//! One step of a recurrent ReLU network, by tinyfold and by other crates, on this host.
//!
//! h' = max(b + W h + B x, 0), y = C h' + c with two inputs and two outputs: the network `dense-relu` (or
//! `low-rank-relu`, R = 2) of `tinyfold bench`, so that host and chips do the same work. Every contender is
//! checked before it is timed or counted: those of f32 against a plain loop, those of 8 bits against the
//! same network in f32 or, ours, against its own integers.
//!
//! ```sh
//! cargo bench -p tinyfold-benches                               # times, by criterion
//! cargo run --release -p tinyfold-benches --example callgrind   # instructions, by valgrind
//! ```
//!
//! Beside that whole programs are timed together with those of others: `benches/training/compare` steps of training,
//! `benches/dynamics/compare` questions of dynamics ([`dynamics`]).

pub mod dynamics;
mod eight_bits;
mod float;
pub mod measure;
mod ours;

use tinyfold::Network;
use tinyfold::bench::case::{Case, Number, cases};
use tinyfold::format::model;
use tinyfold::network::Recurrence;

/// Inputs and outputs.
pub const CHANNELS: usize = 2;
/// Steps of a check.
const STEPS: usize = 8;

/// One step: takes x, gives y.
pub type Step = Box<dyn FnMut(&[f32; CHANNELS]) -> [f32; CHANNELS]>;

/// Something that steps a network.
pub struct Contender {
    /// Crate, shape and number type.
    pub name: &'static str,
    /// Its step.
    pub step: Step,
}

/// The contenders at size N, checked; M is N + 2, which the compiler cannot work out.
///
/// # Panics
/// A contender computes something else.
#[must_use]
pub fn contenders<const N: usize, const M: usize>() -> Vec<Contender> {
    let network = float_network(&case("dense-relu", N, Number::F32));
    let mut all = vec![
        ours::float("tinyfold dense f32", case("dense-relu", N, Number::F32)),
        ours::float("tinyfold rank 2 f32", case("low-rank-relu", N, Number::F32)),
        ours::fixed::<i16>("tinyfold dense i16", case("dense-relu", N, Number::I16)),
        ours::fixed::<i8>("tinyfold dense i8", case("dense-relu", N, Number::I8)),
        ours::fixed::<i16>("tinyfold rank 2 i16", case("low-rank-relu", N, Number::I16)),
    ];
    let mut others = vec![
        (float::naive(&network), 1e-6),
        (float::nalgebra_static::<N>(&network), 1e-6),
        (float::nalgebra_dynamic(&network), 1e-6),
        (float::embedded_nn(&network), 1e-6),
        (eight_bits::microflow::<N, M>(&network), 0.02),
        (eight_bits::embedded_nn(&network), 0.02),
    ];
    // tinyfold's dense step was compared with its own integers and bits: it is the measure of the others.
    let x = |t: usize| [0.5, -0.25].map(|scale| scale * (t as f32 + 1.0).sin());
    let truth: Vec<[f32; CHANNELS]> = (0..STEPS).map(|t| (all[0].step)(&x(t))).collect();
    for (contender, tolerance) in &mut others {
        for (t, truth) in truth.iter().enumerate() {
            let found = (contender.step)(&x(t));
            let error = found.iter().zip(truth).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(error <= *tolerance, "{}, step {t}: {found:?}, expected {truth:?}", contender.name);
        }
    }
    all.extend(others.into_iter().map(|(contender, _)| contender));
    all
}

/// The case of the list; of those of low rank the one of rank 2.
fn case(kernel: &str, n: usize, number: Number) -> Case {
    let cases = cases(&[kernel.into()], &[n]).expect("in the list");
    let wanted = |case: &Case| case.number == number && [0, 2].contains(&case.rank);
    cases.into_iter().find(wanted).expect("in the list")
}

fn float_network(case: &Case) -> Network {
    let model = model::read(&case.model, case.kernel).expect("exported");
    model::import::<f32>(&model, case.kernel).expect("exported")
}

/// W of a dense network.
fn dense(network: &Network) -> &faer::Mat<f64> {
    match &network.recurrence {
        Recurrence::Dense(w) => w,
        Recurrence::LowRank { .. } => unreachable!("the case is dense"),
    }
}
