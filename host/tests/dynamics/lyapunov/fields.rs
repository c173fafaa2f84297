//! Finite-time exponents on planes.

use std::sync::Arc;

use faer::Mat;
use proptest::prelude::*;
use tinyfold::dynamics::lyapunov::{
    AttractingSet, Plane, Recurrence, Watch, attractors, basins, field, spread, visited,
};
use tinyfold::dynamics::{Kind, Rnn};
use tinyfold::format::arrays::ArrayFile;
use tinyfold::network::{Activation, Form};

use super::systems::Small;
use crate::references;

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(1), ..ProptestConfig::default() })]

    /// The field is the same for any block, and that of finite differences.
    #[test]
    fn fields_are_those_of_finite_differences(flow in any::<bool>(), current in any::<bool>(), seed in 0_u64..1000) {
        let n = 20;
        let w = spread(&vec![0.0; n], 1.5 / (n as f64).sqrt(), n, seed);
        let (kind, alpha) = if flow { (Kind::Flow, 0.1) } else { (Kind::Map, 0.5) };
        let form = if current { Form::Current } else { Form::Rate };
        let rnn = Rnn { kind, form, alpha, activation: Activation::Tanh, w: Arc::new(w), drive: vec![0.1; n] };
        let axes = spread(&vec![0.0; n], 1.0, 2, seed + 1);
        let along = [axes.col_as_slice(0).to_vec(), axes.col_as_slice(1).to_vec()];
        let plane = Plane::new(vec![0.0; n], along, [(-1.0, 1.0), (-2.0, 2.0)], [7, 6]).unwrap();
        let (steps, dt) = if flow { (40, 0.1) } else { (10, 1.0) };
        let found = field(&rnn, &plane, steps, dt, &Watch::default()).unwrap();
        let h = 1e-5;
        for k in [0, 11, 31, 32, 33, 41] {
            let point = plane.point(k);
            let mut starts = Mat::zeros(n, 4);
            for (c, axis, sign) in [(0, 0, h), (1, 0, -h), (2, 1, h), (3, 1, -h)] {
                (0..n).for_each(|i| starts[(i, c)] = point[i] + sign * plane.axes[axis][i]);
            }
            let ends = visited(&rnn, &starts, steps, steps, dt).unwrap();
            let images = Mat::from_fn(n, 2, |i, c| (ends[(i, 2 * c)] - ends[(i, 2 * c + 1)]) / (2.0 * h));
            let expected = images.singular_values().unwrap()[0].ln() / (steps as f64 * dt);
            prop_assert!((found.values[k] - expected).abs() < 1e-6, "{} {expected}", found.values[k]);
        }
    }
}

#[test]
fn the_flip_flop_field_and_basins_are_those_of_the_reference() {
    let network = references::network("flipflop_tanh_n64");
    let rnn = Rnn::new(&network, &[0.0; 3], Kind::Map).unwrap();
    let file = ArrayFile::open(&references::path("ftle_flipflop_tanh_n64.safetensors")).unwrap();
    let vector = |name: &str, length| file.vector(name, length).unwrap();
    let (a, b) = (vector("a", 50), vector("b", 50));
    let axes = [vector("e1", 64), vector("e2", 64)];
    let plane = Plane::new(vector("origin", 64), axes, [(a[0], a[49]), (b[0], b[49])], [50, 50]).unwrap();
    let expected = file.matrix("ftle", 50, 50).unwrap();
    let labels = file.matrix("basin", 50, 50).unwrap();
    let stable = file.matrix("stable", 8, 64).unwrap();
    let point = |k: usize| AttractingSet::point(stable.row(k).iter().copied().collect(), 1e-2);
    let known: Vec<AttractingSet> = (0..8).map(point).collect();
    let found = field(&rnn, &plane, 20, 1.0, &Watch::default()).unwrap();
    let reached = basins(&rnn, &plane, &known, 2000, 1.0, f64::INFINITY, &Watch::default()).unwrap();
    let (mut worst, mut other) = (0.0_f64, 0);
    for k in 0..2500 {
        let (i, j) = (k % 50, k / 50);
        worst = worst.max((found.values[k] - expected[(i, j)]).abs());
        other += usize::from(reached.labels[k] != Some(labels[(i, j)] as usize));
    }
    println!("flip-flop: FTLE differs by at most {worst:.1e}, {other} of 2500 points in another basin");
    assert!(worst < 1e-9);
    assert_eq!(other, 0);
    // The same bits on one core.
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(one.install(|| field(&rnn, &plane, 20, 1.0, &Watch::default())).unwrap().values, found.values);
    // On a finer grid, as in the notes.
    let fine = Plane { size: [200, 200], ..plane };
    let found = field(&rnn, &fine, 20, 1.0, &Watch::default()).unwrap();
    let reached = basins(&rnn, &fine, &known, 2000, 1.0, f64::INFINITY, &Watch::default()).unwrap();
    let share = reached.boundary_in_top(&found, 0.05).unwrap();
    println!("flip-flop: {:.1} % of boundary points in the top 5 % of the field", 100.0 * share);
    assert_eq!(share, 1.0);
    // The stable points are found from random states, too.
    let starts = spread(&[0.0; 64], 1.0, 200, 0);
    let found = attractors(&rnn, &starts, 20_000, 1.0, 1e-10, &Watch::default()).unwrap();
    assert_eq!(found.len(), 8);
    for set in &found {
        assert!(set.recurrence == Recurrence::Point && set.states.len() == 1);
        assert!(
            known
                .iter()
                .any(|known| { AttractingSet { reach: 1e-6, ..known.clone() }.holds(&set.states[0]) })
        );
    }
}

#[test]
fn the_field_of_a_saddle_is_highest_on_the_border_between_two_wells() {
    let wells = Small {
        kind: Kind::Flow,
        value: |[x, y]| [x - x * x * x, -y],
        jacobian: |[x, _]| [[1.0 - 3.0 * x * x, 0.0], [0.0, -1.0]],
    };
    let plane =
        Plane::new(vec![0.0; 2], [vec![1.0, 0.0], vec![0.0, 1.0]], [(-2.0, 2.0); 2], [40, 30]).unwrap();
    let found = field(&wells, &plane, 100, 0.05, &Watch::default()).unwrap();
    let known = [-1.0, 1.0].map(|x| AttractingSet::point(vec![x, 0.0], 1e-3));
    let reached = basins(&wells, &plane, &known, 1000, 0.05, f64::INFINITY, &Watch::default()).unwrap();
    for k in 0..plane.count() {
        let x = plane.point(k)[0];
        assert_eq!(reached.labels[k], Some(usize::from(x > 0.0)));
        // x(t) = x e^t / sqrt(1 + x² (e^2t - 1)), so dx(t)/dx = e^t / (1 + x² (e^2t - 1))^(3/2); dy(t)/dy =
        // e^-t.
        let growth = 5.0 - 1.5 * (x * x * 10.0_f64.exp_m1()).ln_1p();
        assert!((found.values[k] - growth.max(-5.0) / 5.0).abs() < 1e-6);
    }
    assert_eq!(reached.boundary().iter().filter(|&&on| on).count(), 60);
    assert_eq!(reached.boundary_in_top(&found, 0.05), Some(1.0));
    // Long times neither overflow nor underflow.
    let long = field(&wells, &plane, 40_000, 0.05, &Watch::default()).unwrap();
    assert!(long.values.iter().all(|value| (value + 1.0).abs() < 0.02), "{:?}", &long.values[..5]);
}
