//! Fixed and slow points: against the references, against closed forms, and what they say of themselves.

use std::sync::atomic::AtomicBool;

use faer::{Mat, MatMut, c64};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tinyfold::dynamics::fixed_points::{self, FixedPoints, Options, starts};
use tinyfold::dynamics::{Kind, Rnn, System};
use tinyfold::network::{Activation, Form, Network, Recurrence};

use crate::references;

/// Processor time of this thread, in milliseconds; 0 where it is not known.
fn processor_ms() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e6
}

fn search(network: &Network, u: &[f64], kind: Kind, seed: u64) -> FixedPoints {
    let options = Options { seed, ..Options::default() };
    fixed_points::of_network(network, u, kind, &options, &AtomicBool::new(false)).unwrap()
}

/// The least processor time of three searches, on the one thread of a pool of its own.
fn timed(network: &Network, u: &[f64], kind: Kind, seed: u64) -> (FixedPoints, f64) {
    timed_with(network, u, kind, &Options { seed, ..Options::default() })
}

fn timed_with(network: &Network, u: &[f64], kind: Kind, options: &Options) -> (FixedPoints, f64) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let run = || {
        let before = processor_ms();
        let found = fixed_points::of_network(network, u, kind, options, &AtomicBool::new(false)).unwrap();
        (found, processor_ms() - before)
    };
    let runs: Vec<(FixedPoints, f64)> = (0..3).map(|_| pool.install(run)).collect();
    runs.into_iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap()
}

fn worst(found: &FixedPoints) -> f64 {
    found.points.iter().map(|point| point.residual).fold(0.0, f64::max)
}

#[test]
fn all_27_points_of_the_flip_flop_from_every_seed() {
    let network = references::network("flipflop_tanh_n64");
    for seed in 0..10 {
        let (found, ms) = timed(&network, &[0.0; 3], Kind::Map, seed);
        let options = Options { seed, vectors: false, ..Options::default() };
        let (values, values_ms) = timed_with(&network, &[0.0; 3], Kind::Map, &options);
        let (counts, residual) = (found.histogram(), worst(&found));
        println!(
            "flip-flop, seed {seed}: {counts:?}, residual {residual:.1e}, {} starts, {values_ms:.1} ms, with eigenvectors {ms:.1} ms",
            found.starts
        );
        assert_eq!(values.histogram(), counts);
        assert_eq!(values.points[0].spectrum.right.shape(), (64, 0));
        assert_eq!(counts, [8, 12, 6, 1], "seed {seed}");
        assert!(residual <= 1e-13);
        assert_eq!((found.index_sum, found.complete()), (1, Some(true)));
        assert!(found.slow.is_empty() && found.continuum.is_none());
        assert!(found.points.iter().all(|point| point.stable == (point.index == 0) && !point.corner));
    }
}

/// Every value of `expected` has its own among `found`; the largest difference.
fn matched(found: &[c64], expected: &[c64]) -> f64 {
    let mut left = found.to_vec();
    let mut worst = 0.0_f64;
    for value in expected {
        let far = |at: &usize| (left[*at] - value).norm();
        let nearest = (0..left.len()).min_by(|a, b| far(a).total_cmp(&far(b))).unwrap();
        worst = worst.max(far(&nearest));
        left.swap_remove(nearest);
    }
    worst
}

#[test]
fn points_and_eigenvalues_of_the_context_network_are_those_of_the_reference() {
    let network = references::network("mante_tanh_n100_graded");
    let text = std::fs::read(references::path("mante_tanh_n100_graded_fixed_points.json")).unwrap();
    let reference: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let numbers = |value: &serde_json::Value| references::numbers(value);
    let mut conditions = 0;
    for (name, condition) in reference["conditions"].as_object().unwrap() {
        let u = numbers(&condition["u"]);
        let expected = condition["fixed_points"].as_array().unwrap();
        for (kind, fields) in
            [(Kind::Map, ["map_eig_re", "map_eig_im"]), (Kind::Flow, ["flow_eig_re", "flow_eig_im"])]
        {
            for seed in 0..3 {
                let (found, ms) = timed(&network, &u, kind, seed);
                let mut far = (0.0_f64, 0.0_f64);
                assert_eq!(found.points.len(), expected.len(), "{name} {kind:?} seed {seed}");
                for point in expected {
                    let state = numbers(&point["x"]);
                    let distance =
                        |x: &[f64]| std::iter::zip(x, &state).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                    let at = |a: &&fixed_points::FixedPoint| distance(&a.state);
                    let nearest = found.points.iter().min_by(|a, b| at(a).total_cmp(&at(b))).unwrap();
                    far.0 = far.0.max(distance(&nearest.state));
                    let parts = fields.map(|field| numbers(&point[field]));
                    let values: Vec<c64> =
                        std::iter::zip(&parts[0], &parts[1]).map(|(re, im)| c64::new(*re, *im)).collect();
                    far.1 = far.1.max(matched(&nearest.spectrum.values, &values));
                    assert_eq!(point["n_unstable"], nearest.index);
                }
                let slow: Vec<f64> = found.slow.iter().map(|point| point.q).collect();
                println!(
                    "{name}, {kind:?}, seed {seed}: {} points, off by {:.1e}, eigenvalues by {:.1e}, residual {:.1e}, slow {slow:?}, {ms:.1} ms",
                    found.points.len(),
                    far.0,
                    far.1,
                    worst(&found)
                );
                // The file has eigenvalues to 12 digits.
                assert!(far.0 < 1e-11 && far.1 < 1e-10, "{far:?}");
                assert!(worst(&found) <= 1e-13);
                assert_eq!((found.index_sum, found.complete()), (1, Some(true)));
            }
        }
        conditions += 1;
    }
    assert_eq!(conditions, 6);
}

#[test]
fn the_relu_integrator_has_one_point_at_a_corner() {
    let network = references::network("relu_integrator_n64");
    for seed in 0..10 {
        let (found, ms) = timed(&network, &[0.0; 2], Kind::Map, seed);
        let residual = worst(&found);
        println!(
            "relu integrator, seed {seed}: {} point, residual {residual:.1e}, {ms:.1} ms",
            found.points.len()
        );
        assert_eq!(found.points.len(), 1);
        // At 0 every pre-activation is at the corner of its ReLU: the eigenvalues depend on the side.
        assert!(found.points[0].corner && found.points[0].state.iter().all(|x| x.abs() < 1e-14));
        assert_eq!(found.complete(), None);
    }
}

#[test]
fn a_ring_of_fixed_points_is_named_and_not_listed() {
    let network = references::network("ring_tanh_n64");
    for (seed, kind) in [(0, Kind::Map), (1, Kind::Flow), (2, Kind::Map)] {
        let (found, ms) = timed(&network, &[0.0; 2], kind, seed);
        let ring = found.continuum.as_ref().unwrap();
        println!(
            "ring, {kind:?}: continuum of dimension {}, reached {} times of {}; isolated {:?}, {ms:.1} ms",
            ring.dimension,
            ring.reached,
            found.starts,
            found.histogram()
        );
        assert_eq!(ring.dimension, 1);
        assert_eq!(found.histogram(), [0, 0, 1]);
        assert!(found.points[0].state.iter().all(|x| x.abs() < 1e-12));
        assert_eq!(found.complete(), None);
        // Neuron j of angle 2 pi j / n has A cos(angle - theta).
        for x in &ring.states {
            let part = |f: fn(f64) -> f64| {
                let angle = |j: usize| std::f64::consts::TAU * j as f64 / 64.0;
                x.iter().enumerate().map(|(j, x)| x * f(angle(j))).sum::<f64>() / 32.0
            };
            assert!((part(f64::cos).hypot(part(f64::sin)) - 2.016_928_070_158_473_3).abs() < 1e-9);
        }
    }
}

#[test]
fn a_line_of_fixed_points_of_a_linear_network_is_a_continuum() {
    // h' = W h with W = diag(1, 0.5): all of (h, 0).
    let w = Mat::from_fn(2, 2, |i, j| if i == j { [1.0, 0.5][i] } else { 0.0 });
    let network =
        Network::plain(Activation::Linear, Recurrence::Dense(w), Mat::zeros(2, 1), Mat::zeros(0, 2));
    let found = search(&network, &[0.0], Kind::Map, 0);
    assert_eq!(found.continuum.unwrap().dimension, 1);
    assert!(found.points.is_empty());
}

/// dx/dt = c + x², dy/dt = -y: fixed points ±sqrt(-c), or a slow point at 0 of q = c² / 2.
struct Fold(f64);

impl System for Fold {
    fn dimension(&self) -> usize {
        2
    }
    fn kind(&self) -> Kind {
        Kind::Flow
    }
    fn value(&self, x: &[f64], out: &mut [f64]) {
        out.copy_from_slice(&[self.0 + x[0] * x[0], -x[1]]);
    }
    fn jacobian(&self, x: &[f64], mut out: MatMut<'_, f64>) {
        out.fill(0.0);
        out[(0, 0)] = 2.0 * x[0];
        out[(1, 1)] = -1.0;
    }
}

#[test]
fn beside_a_fold_are_two_points_or_a_slow_one() {
    let starts = [vec![2.0, 1.0], vec![-1.0, 0.5], vec![0.3, -0.2]];
    let find = |c: f64| {
        let options = Options { most_rounds: 20, ..Options::default() };
        fixed_points::find(&Fold(c), &starts, None, &options, &AtomicBool::new(false)).unwrap()
    };
    let two = find(-0.01);
    assert_eq!((two.histogram(), two.index_sum), (vec![1, 1], 0));
    assert!((two.points[0].state[0] + 0.1).abs() < 1e-14);
    assert!((two.points[0].spectrum.time_constants[0] - 5.0).abs() < 1e-12);
    assert!((two.points[1].spectrum.time_constants[0] + 5.0).abs() < 1e-12);
    assert!(two.slow.is_empty());
    let slow = find(0.01);
    assert!(slow.points.is_empty());
    let [point] = &slow.slow[..] else { panic!("{:?}", slow.slow) };
    assert!((point.q - 0.5e-4).abs() < 1e-16, "{}", point.q);
    assert!(point.state.iter().all(|x| x.abs() < 1e-6));
    // The Hessian of q is diag(2 c, 1).
    assert!((point.curvature - 0.02).abs() < 1e-6);
    // At the fold itself there is one point, singular and not of a continuum.
    let fold = find(0.0);
    assert!(fold.continuum.is_none());
}

/// dx/dt = c + x².
struct Line(f64);

impl System for Line {
    fn dimension(&self) -> usize {
        1
    }
    fn kind(&self) -> Kind {
        Kind::Flow
    }
    fn value(&self, x: &[f64], out: &mut [f64]) {
        out[0] = self.0 + x[0] * x[0];
    }
    fn jacobian(&self, x: &[f64], mut out: MatMut<'_, f64>) {
        out[(0, 0)] = 2.0 * x[0];
    }
}

#[test]
fn slow_points_of_one_neuron_and_of_small_residuals_are_found() {
    let options = Options { most_rounds: 20, ..Options::default() };
    for c in [1e-2, 1e-7, 1e-10] {
        let starts = [vec![2.0, 1.0], vec![-1.0, 0.5], vec![0.3, -0.2]];
        let ones: Vec<Vec<f64>> = starts.iter().map(|x| x[..1].to_vec()).collect();
        for (system, starts) in [(&Fold(c) as &dyn System, &starts[..]), (&Line(c), &ones[..])] {
            let found = fixed_points::find(system, starts, None, &options, &AtomicBool::new(false)).unwrap();
            assert!(found.points.is_empty());
            let [point] = &found.slow[..] else { panic!("{c:.0e}: {:?}", found.slow) };
            assert!((point.q - 0.5 * c * c).abs() < 1e-3 * c * c, "{c:.0e}: {:.3e}", point.q);
        }
    }
}

/// h' = tanh h has one fixed point, 0, at which f' is 1: Newton's method ends near it, anywhere.
#[test]
fn a_singular_point_is_one_and_leaves_the_sum_open() {
    let network = Network::plain(
        Activation::Tanh,
        Recurrence::Dense(Mat::from_fn(1, 1, |_, _| 1.0)),
        Mat::zeros(1, 1),
        Mat::zeros(0, 1),
    );
    for seed in 0..3 {
        let found = search(&network, &[0.0], Kind::Map, seed);
        let [point] = &found.points[..] else { panic!("{:?}", found.points) };
        assert!(point.degenerate && !point.corner && point.sign == 0 && point.state[0].abs() < 2e-4);
        assert!(found.continuum.is_none());
        assert_eq!((found.complete(), found.index_sum), (None, 0));
    }
}

/// Rounding of states of 1e7 leaves a residual of 1e-9.
#[test]
fn the_point_of_large_states_is_found() {
    let n = 50;
    let random = |i: usize, j: usize| ((((i * n + j) as f64) * 12.9898).sin() * 43758.5453).fract();
    let w = Mat::from_fn(n, n, |i, j| 0.5 / (n as f64).sqrt() * random(i, j));
    let mut network =
        Network::plain(Activation::Linear, Recurrence::Dense(w), Mat::zeros(n, 1), Mat::zeros(0, n));
    network.bias = (0..n).map(|i| 1e7 * (1.3 * i as f64).cos()).collect();
    for kind in [Kind::Map, Kind::Flow] {
        let found = search(&network, &[0.0], kind, 0);
        let [point] = &found.points[..] else { panic!("{} points", found.points.len()) };
        let largest = point.state.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        assert!(largest > 1e6 && point.residual <= 1e-12 * largest, "{:.1e}", point.residual);
    }
}

/// Beside the last fold of the context network's branch, mu = 0.01660487, the readout is slow where the
/// points met.
#[test]
fn the_ghost_of_a_fold_of_the_context_network_is_a_slow_point() {
    let network = references::network("mante_tanh_n100_graded");
    let (before, after) = (0.0165, 0.0168);
    let pair = search(&network, &[before, 0.0, 1.0, 0.0], Kind::Flow, 0);
    let ghost = search(&network, &[after, 0.0, 1.0, 0.0], Kind::Flow, 0);
    assert_eq!((pair.points.len(), ghost.points.len()), (3, 1));
    let slowest = &ghost.slow[0];
    let saddle = pair.points.iter().find(|point| point.index == 1).unwrap();
    let far = std::iter::zip(&slowest.state, &saddle.state).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    println!("slow point of q = {:.2e}, {far:.3} from where the saddle was", slowest.q);
    assert!(far < 0.3 && slowest.q < 1e-5);
    // A minimum: q is larger in every direction tried.
    let rnn = Rnn::new(&network, &[after, 0.0, 1.0, 0.0], Kind::Flow).unwrap();
    let q = |x: &[f64]| {
        let mut r = vec![0.0; x.len()];
        rnn.residual(x, &mut r);
        0.5 * r.iter().map(|r| r * r).sum::<f64>()
    };
    assert!((q(&slowest.state) - slowest.q).abs() <= 1e-12 * slowest.q);
    for k in 0..100 {
        for by in [-1e-2, 1e-2] {
            let mut x = slowest.state.clone();
            x[k] += by;
            assert!(q(&x) > slowest.q, "{k} {by}");
        }
    }
}

#[test]
fn eigenvectors_are_of_the_jacobian_and_biorthogonal() {
    let network = references::network("mante_tanh_n100_graded");
    for kind in [Kind::Map, Kind::Flow] {
        let found = search(&network, &[0.0, 0.0, 0.0, 1.0], kind, 0);
        for point in &found.points {
            let s = &point.spectrum;
            let n = s.values.len();
            let jacobian = Mat::from_fn(n, n, |i, j| c64::new(s.jacobian[(i, j)], 0.0));
            let values = Mat::from_fn(n, n, |i, j| if i == j { s.values[i] } else { c64::new(0.0, 0.0) });
            let right = (&jacobian * &s.right - &s.right * &values).norm_max();
            let left = (s.left.adjoint() * &jacobian - &values * s.left.adjoint()).norm_max();
            let product = s.left.adjoint() * &s.right;
            let identity = (&product - Mat::<c64>::identity(n, n)).norm_max();
            assert!(right < 1e-12 && left < 1e-11 && identity < 1e-10, "{right:e} {left:e} {identity:e}");
            let mut jacobian = Mat::zeros(n, n);
            Rnn::new(&network, &[0.0, 0.0, 0.0, 1.0], kind)
                .unwrap()
                .jacobian(&point.state, jacobian.as_mut());
            assert_eq!(jacobian, s.jacobian);
        }
    }
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    let network = references::network("flipflop_tanh_n64");
    let of = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| serde_json::to_string(&search(&network, &[0.0; 3], Kind::Map, 3)).unwrap())
    };
    assert!(of(1) == of(3));
}

#[test]
fn a_search_ends_when_told_and_says_so() {
    let network = references::network("flipflop_tanh_n64");
    let stop = AtomicBool::new(true);
    let found = fixed_points::of_network(&network, &[0.0; 3], Kind::Map, &Options::default(), &stop).unwrap();
    assert!(!found.finished && found.complete() == Some(false));
    let options = Options { most_points: 5, ..Options::default() };
    let found =
        fixed_points::of_network(&network, &[0.0; 3], Kind::Map, &options, &AtomicBool::new(false)).unwrap();
    assert!(!found.finished && found.points.len() >= 5);
}

#[test]
fn bad_starts_are_refused() {
    let find = |starts: &[Vec<f64>]| {
        fixed_points::find(&Fold(0.1), starts, None, &Options::default(), &AtomicBool::new(false))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(find(&[vec![0.0; 3]]), "start 0: expected 2 finite numbers, as a state has, found 3 numbers");
    assert_eq!(find(&[]), "starts: expected at least one finite state, found none");
    assert_eq!(starts::of_system(&Fold(-0.1), 0.1, 0).len(), 64);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, rng_seed: RngSeed::Fixed(6), failure_persistence: None, ..ProptestConfig::default() })]

    /// Uncoupled neurons h' = tanh(w h): 3^k points, C(k, i) 2^(k - i) of them with index i, in both forms,
    /// as map and flow.
    #[test]
    fn uncoupled_neurons_have_all_products(
        gains in prop::collection::vec(1.3..3.0_f64, 1..4),
        current: bool,
        alpha in 0.2..1.0_f64,
        seed in 0..1000_u64,
    ) {
        let k = gains.len();
        let w = Mat::from_fn(k, k, |i, j| if i == j { gains[i] } else { 0.0 });
        let mut network = Network::plain(Activation::Tanh, Recurrence::Dense(w), Mat::zeros(k, 1), Mat::zeros(0, k));
        network.alpha = alpha;
        if current {
            network.form = Form::Current;
        }
        let expected: &[usize] = [&[2, 1][..], &[4, 4, 1], &[8, 12, 6, 1]][k - 1];
        for kind in [Kind::Map, Kind::Flow] {
            let found = search(&network, &[0.0], kind, seed);
            prop_assert_eq!(found.histogram(), expected);
            prop_assert_eq!(found.complete(), Some(true));
        }
    }
}
