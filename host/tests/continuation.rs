//! Continuation of fixed points and cycles against closed forms and against reference folds of trained networks.

mod dynamics;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use faer::MatMut;
use faer::prelude::Solve;
use proptest::test_runner::RngSeed;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use tinyfold::dynamics::continuation::{
    Bifurcation, Codimension, Diagram, End, Iterate, Plane, Settings, Slice, Special, Start, continuation,
    fold_curves, starts,
};
use tinyfold::dynamics::{Family, Kind, Path, Rnn};
use tinyfold::network::{Activation, Form, Network};

type Values = fn(&[f64], f64) -> Vec<f64>;

/// A family by closed forms: value, Jacobian by rows, derivative by mu.
#[derive(Debug)]
struct Formula {
    kind: Kind,
    n: usize,
    value: Values,
    jacobian: Values,
    derivative: Values,
}

impl Family for Formula {
    fn dimension(&self) -> usize {
        self.n
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn value(&self, x: &[f64], mu: f64, out: &mut [f64]) {
        out.copy_from_slice(&(self.value)(x, mu));
    }

    fn jacobian(&self, x: &[f64], mu: f64, mut out: MatMut<'_, f64>) {
        let values = (self.jacobian)(x, mu);
        (0..self.n * self.n).for_each(|k| out[(k / self.n, k % self.n)] = values[k]);
    }

    fn derivative(&self, x: &[f64], mu: f64, out: &mut [f64]) {
        out.copy_from_slice(&(self.derivative)(x, mu));
    }
}

fn family(kind: Kind, n: usize, value: Values, jacobian: Values, derivative: Values) -> Formula {
    Formula { kind, n, value, jacobian, derivative }
}

/// r x (1 - x).
const LOGISTIC: Formula = Formula {
    kind: Kind::Map,
    n: 1,
    value: |x, r| vec![r * x[0] * (1.0 - x[0])],
    jacobian: |x, r| vec![r * (1.0 - 2.0 * x[0])],
    derivative: |x, _| vec![x[0] * (1.0 - x[0])],
};

/// (1 - a x² + y, 0.3 x).
const HENON: Formula = Formula {
    kind: Kind::Map,
    n: 2,
    value: |x, a| vec![1.0 - a * x[0] * x[0] + x[1], 0.3 * x[0]],
    jacobian: |x, a| vec![-2.0 * a * x[0], 1.0, 0.3, 0.0],
    derivative: |x, _| vec![-x[0] * x[0], 0.0],
};

fn run<F: Family>(family: &F, starts: &[(f64, &[f64])], low: f64, high: f64) -> Diagram {
    let starts: Vec<Start> = starts.iter().map(|(mu, x)| Start { mu: *mu, x: x.to_vec() }).collect();
    continuation(family, &starts, &Settings::new(low, high), &AtomicBool::new(false)).unwrap()
}

fn all(diagram: &Diagram, kind: Bifurcation) -> Vec<&Special> {
    diagram
        .branches
        .iter()
        .flat_map(|branch| &branch.special)
        .filter(|special| special.kind == kind)
        .collect()
}

/// The only bifurcation of a diagram's branches of that kind.
fn only(diagram: &Diagram, kind: Bifurcation) -> &Special {
    let found = all(diagram, kind);
    assert_eq!(found.len(), 1, "{kind:?}: {:?}", found.iter().map(|s| s.mu).collect::<Vec<f64>>());
    found[0]
}

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-8, "{found} instead of {expected}");
}

/// The index of every point is that of the eigenvalues where they are known, and of branches of a small system all are.
fn check_index(family: &impl Family, diagram: &Diagram) {
    for point in diagram.branches.iter().flat_map(|branch| &branch.points) {
        let n = family.dimension();
        let mut jacobian = faer::Mat::zeros(n, n);
        family.jacobian(&point.x, point.mu, jacobian.as_mut());
        let unstable = jacobian.eigenvalues().unwrap().into_iter().filter(|value| match family.kind() {
            Kind::Flow => value.re > 0.0,
            Kind::Map => value.norm() > 1.0,
        });
        assert_eq!(point.index, unstable.count(), "mu = {}", point.mu);
    }
}

fn textbook() -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(dynamics::path("textbook_bifurcations.json")).unwrap()).unwrap()
}

#[test]
fn folds_of_one_dimension() {
    let reference = textbook();
    let flow =
        family(Kind::Flow, 1, |x, m| vec![m - x[0] * x[0]], |x, _| vec![-2.0 * x[0]], |_, _| vec![1.0]);
    let map = family(
        Kind::Map,
        1,
        |x, m| vec![x[0] + m - x[0] * x[0]],
        |x, _| vec![1.0 - 2.0 * x[0]],
        |_, _| vec![1.0],
    );
    for (family, name) in [(&flow, "saddle_node_flow"), (&map, "fold_map")] {
        let diagram = run(family, &[(0.7, &[0.8]), (0.5, &[-0.7])], -1.0, 1.0);
        assert_eq!(diagram.branches.len(), 1);
        let branch = &diagram.branches[0];
        assert_eq!(branch.ends, [End::Range; 2]);
        near(branch.points[0].mu, 1.0);
        let fold = &branch.special[0];
        let expected = &reference[name]["fold"];
        near(fold.mu, expected["mu"].as_f64().unwrap());
        near(fold.x[0], expected["x"].as_f64().unwrap());
        let [a, b] = fold.coefficients.unwrap();
        near(a, -1.0);
        near(b, 1.0);
        assert_eq!(all(&diagram, Bifurcation::Fold).len(), 1);
        check_index(family, &diagram);
    }
}

#[test]
fn branch_points_are_switched_at() {
    let transcritical = family(
        Kind::Flow,
        1,
        |x, m| vec![m * x[0] - x[0] * x[0]],
        |x, m| vec![m - 2.0 * x[0]],
        |x, _| vec![x[0]],
    );
    let pitchfork = family(
        Kind::Flow,
        1,
        |x, m| vec![m * x[0] - x[0].powi(3)],
        |x, m| vec![m - 3.0 * x[0] * x[0]],
        |x, _| vec![x[0]],
    );
    for (family, kind) in [(&transcritical, Bifurcation::Transcritical), (&pitchfork, Bifurcation::Pitchfork)]
    {
        let diagram = run(family, &[(-0.8, &[0.0])], -1.0, 1.0);
        assert_eq!(diagram.branches.len(), 2);
        let points = all(&diagram, kind);
        // Once on each branch.
        assert_eq!(points.len(), 2);
        for point in points {
            near(point.mu, 0.0);
            near(point.x[0], 0.0);
        }
        assert_eq!(all(&diagram, Bifurcation::Fold).len(), 0);
        check_index(family, &diagram);
    }
    // x = +-1 at mu = 1 on the other branch.
    let diagram = run(&pitchfork, &[(-0.8, &[0.0])], -1.0, 1.0);
    let cubic = textbook()["pitchfork_flow"]["cubic"].as_f64().unwrap();
    assert!((all(&diagram, Bifurcation::Pitchfork)[0].cubic.unwrap() - cubic).abs() < 1e-5);
    let ends = [0, diagram.branches[1].points.len() - 1].map(|k| diagram.branches[1].points[k].x[0]);
    near(ends[0] * ends[1], -1.0);
}

#[test]
fn hopf_of_a_flow_and_neimark_sacker_of_maps() {
    let reference = textbook();
    let hopf = family(
        Kind::Flow,
        2,
        |x, m| {
            let r = x[0] * x[0] + x[1] * x[1];
            vec![m * x[0] - x[1] - r * x[0], x[0] + m * x[1] - r * x[1]]
        },
        |x, m| {
            let r = x[0] * x[0] + x[1] * x[1];
            vec![
                m - r - 2.0 * x[0] * x[0],
                -1.0 - 2.0 * x[0] * x[1],
                1.0 - 2.0 * x[0] * x[1],
                m - r - 2.0 * x[1] * x[1],
            ]
        },
        |x, _| x.to_vec(),
    );
    let diagram = run(&hopf, &[(-0.53, &[0.0, 0.0])], -1.0, 1.0);
    let point = only(&diagram, Bifurcation::Hopf);
    near(point.mu, 0.0);
    near(point.angle.unwrap(), reference["hopf_flow"]["hopf"]["omega"].as_f64().unwrap());
    // dz/dt = (mu + i) z - |z|² z along a unit vector: |x|² = 2 |z|².
    assert!((point.cubic.unwrap() + 2.0).abs() < 1e-5);
    check_index(&hopf, &diagram);

    // The linear part is all that counts at 0; theta = 1.1.
    let circle = family(
        Kind::Map,
        2,
        |x, m| {
            let (s, c) = 1.1_f64.sin_cos();
            let k = 1.0 + m - x[0] * x[0] - x[1] * x[1];
            vec![k * (c * x[0] - s * x[1]), k * (s * x[0] + c * x[1])]
        },
        |x, m| {
            let (s, c) = 1.1_f64.sin_cos();
            let k = 1.0 + m - x[0] * x[0] - x[1] * x[1];
            let z = [c * x[0] - s * x[1], s * x[0] + c * x[1]];
            vec![
                k * c - 2.0 * x[0] * z[0],
                -k * s - 2.0 * x[1] * z[0],
                k * s - 2.0 * x[0] * z[1],
                k * c - 2.0 * x[1] * z[1],
            ]
        },
        |x, _| {
            let (s, c) = 1.1_f64.sin_cos();
            vec![c * x[0] - s * x[1], s * x[0] + c * x[1]]
        },
    );
    let diagram = run(&circle, &[(-0.53, &[0.0, 0.0])], -0.9, 1.0);
    let point = only(&diagram, Bifurcation::NeimarkSacker);
    near(point.mu, 0.0);
    near(point.angle.unwrap(), 1.1);
    assert!((point.cubic.unwrap() + 2.0).abs() < 1e-5);
    check_index(&circle, &diagram);

    let delayed = family(
        Kind::Map,
        2,
        |x, r| vec![r * x[0] * (1.0 - x[1]), x[0]],
        |x, r| vec![r * (1.0 - x[1]), -r * x[0], 1.0, 0.0],
        |x, _| vec![x[0] * (1.0 - x[1]), 0.0],
    );
    let diagram = run(&delayed, &[(1.7, &[0.4, 0.4])], 1.2, 2.5);
    let expected = &reference["delayed_logistic"]["ns"];
    let point = only(&diagram, Bifurcation::NeimarkSacker);
    near(point.mu, expected["r"].as_f64().unwrap());
    near(point.angle.unwrap(), expected["angle_rad"].as_f64().unwrap());
    near(point.x[0], expected["x"].as_f64().unwrap());
    check_index(&delayed, &diagram);
}

#[test]
fn rotating_networks_turn_over_together() {
    // tanh(rho R(theta) h) and -x + J tanh x with the weights scaled by mu.
    let (s, c) = 0.7_f64.sin_cos();
    let rotation = faer::mat![[c, -s], [s, c]];
    for kind in [Kind::Map, Kind::Flow] {
        let network = plain(rotation.clone());
        let rnn = Rnn::new(&network, &[0.0], kind).unwrap();
        let path = Path { rnn, direction: vec![0.0; 2], weight_scale: 1.0 };
        let diagram = run(&path, &[(-0.5, &[0.0, 0.0])], -0.9, 1.0);
        if kind == Kind::Map {
            let point = only(&diagram, Bifurcation::NeimarkSacker);
            near(point.mu, 0.0);
            near(point.angle.unwrap(), 0.7);
        } else {
            // (1 + mu) cos 0.7 = 1, omega = tan 0.7.
            let point = only(&diagram, Bifurcation::Hopf);
            near(point.mu, 1.0 / c - 1.0);
            near(point.angle.unwrap(), 0.7_f64.tan());
        }
        check_index(&path, &diagram);
    }
}

/// A network of rate form with a plain first input.
fn plain(w: faer::Mat<f64>) -> Network {
    let n = w.nrows();
    let input = faer::Mat::from_fn(n, 1, |_, _| 1.0);
    let recurrence = tinyfold::network::Recurrence::Dense(w);
    Network::plain(Activation::Tanh, recurrence, input, faer::Mat::zeros(0, n))
}

#[test]
fn flips_folds_and_cycles_of_maps() {
    let reference = textbook();
    let flip = family(
        Kind::Map,
        1,
        |x, m| vec![-(1.0 + m) * x[0] + x[0].powi(3)],
        |x, m| vec![-(1.0 + m) + 3.0 * x[0] * x[0]],
        |x, _| vec![-x[0]],
    );
    let diagram = run(&flip, &[(-0.3, &[0.0])], -1.0, 1.0);
    near(only(&diagram, Bifurcation::Flip).mu, 0.0);
    assert!((only(&diagram, Bifurcation::Flip).cubic.unwrap() + 1.0).abs() < 1e-5);

    let expected = &reference["logistic_map"];
    let number = |name: &str| expected[name].as_f64().unwrap();
    let diagram = run(&LOGISTIC, &[(2.3, &[0.55])], 1.5, 4.0);
    near(only(&diagram, Bifurcation::Flip).mu, number("flip1"));
    // f''² / 4 + f''' / 6 = 9.
    assert!((only(&diagram, Bifurcation::Flip).cubic.unwrap() + 9.0).abs() < 1e-5);
    check_index(&LOGISTIC, &diagram);
    for (period, from, name) in [(2, 3.2, "flip2"), (4, 3.5, "flip3")] {
        let map = Iterate::new(LOGISTIC, period).unwrap();
        let mut x = vec![0.4];
        for _ in 0..400 {
            let before = x.clone();
            map.value(&before, from, &mut x);
        }
        let settings = Settings { switch: false, ..Settings::new(from - 0.3, from + 0.3) };
        let starts = [Start { mu: from, x }];
        let diagram = continuation(&map, &starts, &settings, &AtomicBool::new(false)).unwrap();
        // Every point of the cycle is on the branch.
        let flips = all(&diagram, Bifurcation::Flip);
        assert!(!flips.is_empty());
        for flip in flips {
            near(flip.mu, number(name));
        }
        check_index(&map, &diagram);
    }
    // Period 3 near its fold: the stable cycle at r = 3.84.
    let map = Iterate::new(LOGISTIC, 3).unwrap();
    let mut x = vec![0.5];
    for _ in 0..400 {
        let before = x.clone();
        map.value(&before, 3.835, &mut x);
    }
    let diagram = run(&map, &[(3.835, &x)], 3.7, 3.9);
    near(all(&diagram, Bifurcation::Fold)[0].mu, number("period3_fold"));
    check_index(&map, &diagram);

    let expected = &reference["henon_b0.3"];
    let number = |name: &str| expected[name].as_f64().unwrap();
    let diagram = run(&HENON, &[(0.2, &[0.9, 0.27])], -0.5, 1.5);
    near(only(&diagram, Bifurcation::Fold).mu, number("fold_a"));
    near(only(&diagram, Bifurcation::Flip).mu, number("flip1_a"));
    check_index(&HENON, &diagram);
    // From the fixed point the second iterate switches to the cycle and finds its flip.
    let map = Iterate::new(HENON, 2).unwrap();
    let diagram = run(&map, &[(0.2, &[0.9, 0.27])], -0.5, 1.5);
    near(all(&diagram, Bifurcation::Pitchfork)[0].mu, number("flip1_a"));
    near(all(&diagram, Bifurcation::Flip)[0].mu, number("flip2_a"));
    check_index(&map, &diagram);
    let cycle = map.orbit(&all(&diagram, Bifurcation::Flip)[0].x, number("flip2_a"));
    assert!((cycle[0][0] - cycle[1][0]).abs() > 0.1);
}

#[test]
fn derivatives_of_an_iterate_are_those_of_finite_differences() {
    let map = Iterate::new(HENON, 3).unwrap();
    let (x, mu) = ([0.4, -0.2], 0.8);
    let at = |x: &[f64], mu: f64| {
        let mut out = vec![0.0; 2];
        map.value(x, mu, &mut out);
        out
    };
    let (mut jacobian, mut derivative) = (faer::Mat::zeros(2, 2), [0.0; 2]);
    map.jacobian(&x, mu, jacobian.as_mut());
    map.derivative(&x, mu, &mut derivative);
    let h = 1e-6;
    for i in 0..2 {
        near(derivative[i], (at(&x, mu + h)[i] - at(&x, mu - h)[i]) / (2.0 * h));
        for j in 0..2 {
            let moved = |by: f64| {
                let mut x = x;
                x[j] += by;
                at(&x, mu)[i]
            };
            near(jacobian[(i, j)], (moved(h) - moved(-h)) / (2.0 * h));
        }
    }
    let orbit = map.orbit(&x, mu);
    assert_eq!((orbit.len(), at(&x, mu)), (3, at_once(&orbit[2], mu)));
}

fn at_once(x: &[f64], mu: f64) -> Vec<f64> {
    let mut out = vec![0.0; 2];
    HENON.value(x, mu, &mut out);
    out
}

/// h' = tanh(w h + b) in (b, w).
fn tanh_plane() -> Plane {
    let rnn = Rnn::new(&plain(faer::mat![[1.0]]), &[0.0], Kind::Map).unwrap();
    Plane { rnn, directions: [vec![1.0], vec![0.0]], weight_scales: [0.0, 1.0] }
}

#[test]
fn folds_and_cusp_of_one_neuron() {
    let reference = &textbook()["tanh_1d_map"];
    let plane = tanh_plane();
    // mu_2 = 1: w = 2.
    let slice = Slice { plane: &plane, second: 1.0 };
    let diagram = run(&slice, &[(-1.0, &[-1.0])], -1.5, 1.5);
    let mut folds = all(&diagram, Bifurcation::Fold);
    assert_eq!(folds.len(), 2);
    folds.sort_by(|a, b| a.mu.total_cmp(&b.mu));
    for (fold, k) in [(folds[0], 0), (folds[1], 1)] {
        near(fold.mu, reference["folds_w2"]["b"][k].as_f64().unwrap());
        near(fold.x[0], reference["folds_w2"]["h"][k].as_f64().unwrap());
    }
    check_index(&slice, &diagram);
    let settings = Settings::new(-1.0, 1.0);
    let ranges = [(-1.0, 1.0), (-0.5, 1.5)];
    // Both folds are on one curve.
    let curves = fold_curves(&plane, &folds, 1.0, ranges, &settings, &AtomicBool::new(false)).unwrap();
    assert_eq!(curves.len(), 1);
    let curve = &curves[0];
    println!("fold curve: {} points, {:?}", curve.points.len(), curve.ends);
    for point in &curve.points {
        // w (1 - h²) = 1, b = atanh h - w h.
        let (w, h) = (1.0 + point.mu[1], point.x[0]);
        assert!((w * (1.0 - h * h) - 1.0).abs() < 1e-9 && (h.atanh() - w * h - point.mu[0]).abs() < 1e-9);
    }
    let cusps: Vec<_> = curve.special.iter().filter(|special| special.0 == Codimension::Cusp).collect();
    assert_eq!(cusps.len(), 1);
    println!("cusp at w = {}, b = {}, h = {}", 1.0 + cusps[0].2.mu[1], cusps[0].2.mu[0], cusps[0].2.x[0]);
    near(1.0 + cusps[0].2.mu[1], reference["cusp"]["w"].as_f64().unwrap());
    near(cusps[0].2.mu[0], reference["cusp"]["b"].as_f64().unwrap());
    near(cusps[0].2.x[0], reference["cusp"]["h"].as_f64().unwrap());
    // Pitchfork and flip in the weight at b = 0.
    let rnn = Rnn::new(&plain(faer::mat![[1.0]]), &[0.0], Kind::Map).unwrap();
    let path = Path { rnn, direction: vec![0.0], weight_scale: 1.0 };
    let diagram = run(&path, &[(-0.7, &[0.0])], -2.5, 1.0);
    near(1.0 + all(&diagram, Bifurcation::Pitchfork)[0].mu, reference["pitchfork_w"].as_f64().unwrap());
    near(1.0 + only(&diagram, Bifurcation::Flip).mu, reference["flip_w"].as_f64().unwrap());
    check_index(&path, &diagram);
}

/// A circle in (x, mu) is a closed branch with two folds, found from either of its points.
#[test]
fn isolas_close_and_are_followed_once() {
    let circle = family(
        Kind::Flow,
        1,
        |x, m| vec![x[0] * x[0] + m * m - 0.25],
        |x, _| vec![2.0 * x[0]],
        |_, m| vec![2.0 * m],
    );
    let diagram = run(&circle, &[(0.1, &[0.5]), (0.2, &[-0.5]), (-0.3, &[0.4])], -1.0, 1.0);
    assert_eq!(diagram.branches.len(), 1);
    assert!(diagram.branches[0].is_closed());
    let folds = all(&diagram, Bifurcation::Fold);
    assert_eq!(folds.len(), 2);
    near(folds[0].mu * folds[1].mu, -0.25);
}

fn mante(from: [f64; 4], to: [f64; 4]) -> (Network, Path) {
    let network = dynamics::network("mante_tanh_n100_graded");
    let path = Path::between(&network, &from, &to, Kind::Flow).unwrap();
    (network, path)
}

/// How many fixed points the diagram has at mu: crossings of the polyline with its folds.
fn crossings(diagram: &Diagram, mu: f64) -> usize {
    let one = |branch: &tinyfold::dynamics::continuation::Branch| {
        let mut line: Vec<f64> = Vec::new();
        for (k, point) in branch.points.iter().enumerate() {
            line.push(point.mu);
            line.extend(branch.special.iter().filter(|special| special.after == k).map(|special| special.mu));
        }
        line.windows(2).filter(|pair| (pair[0] > mu) != (pair[1] > mu)).count()
    };
    diagram.branches.iter().map(one).sum()
}

fn cpu_seconds() -> f64 {
    // utime and stime in ticks of 10 ms would be coarse: schedstat counts nanoseconds on the processor.
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse::<f64>().ok()).unwrap_or(0.0) * 1e-9
}

#[test]
fn folds_of_the_graded_network() {
    let reference: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dynamics::path("mante_tanh_n100_graded_folds.json")).unwrap())
            .unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let sweeps = [
        ("motion_in_motion_ctx", [0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 1.0, 0.0], (-0.4, 0.4)),
        ("colour_in_motion_ctx", [0.0, 0.0, 1.0, 0.0], [0.0, 1.0, 1.0, 0.0], (-0.4, 0.4)),
        ("colour_in_colour_ctx", [0.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 1.0], (-0.4, 0.4)),
        ("motion_in_colour_ctx", [0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0], (-0.4, 0.4)),
        ("context_morph", [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0], (-0.2, 1.2)),
        ("context_gain", [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], (-0.2, 1.6)),
    ];
    for (name, from, to, range) in sweeps {
        let (network, path) = mante(from, to);
        let branches = reference[name].as_array().unwrap();
        let mus: Vec<f64> = (0..8).map(|k| range.0 + (range.1 - range.0) * f64::from(k) / 8.0).collect();
        let points = starts(&path, &mus, 6, 0);
        let settings = Settings::new(range.0, range.1);
        let work = || {
            pool.install(|| {
                let before = cpu_seconds();
                let found = continuation(&path, &points, &settings, &AtomicBool::new(false)).unwrap();
                (found, cpu_seconds() - before)
            })
        };
        let (diagram, mut seconds) = work();
        for _ in 0..3 {
            seconds = seconds.min(work().1);
        }
        let folds = all(&diagram, Bifurcation::Fold);
        println!(
            "{name}: {} starts, {} branches of {:?} points, {:.0} ms in all",
            points.len(),
            diagram.branches.len(),
            diagram.branches.iter().map(|b| b.points.len()).collect::<Vec<usize>>(),
            1e3 * seconds
        );
        for special in diagram.branches.iter().flat_map(|branch| &branch.special) {
            let rates: Vec<f64> = special.x.iter().map(|a| a.tanh()).collect();
            let z: f64 =
                (0..100).map(|i| network.readout[(0, i)] * rates[i]).sum::<f64>() + network.output_bias[0];
            println!(
                "  {:14} mu = {:.14} z = {z:.5} residual {:.0e} {:?}",
                special.kind.name(),
                special.mu,
                special.residual,
                special.coefficients
            );
        }
        check_index(&path, &diagram);
        match name {
            "motion_in_motion_ctx" => {
                assert_eq!(
                    (diagram.branches.len(), folds.len(), diagram.branches[0].special.len()),
                    (1, 6, 6)
                );
                // The counts of the fixed-point reference: 3 at 0, 7 at 0.0014, 1 at 0.06.
                assert_eq!([0.0, 0.0014, 0.06].map(|mu| crossings(&diagram, mu)), [3, 7, 1]);
            }
            "colour_in_colour_ctx" => {
                assert_eq!(
                    (diagram.branches.len(), folds.len(), diagram.branches[0].special.len()),
                    (1, 4, 4)
                );
                assert_eq!([0.0, -0.06].map(|mu| crossings(&diagram, mu)), [5, 1]);
            }
            "context_morph" => assert_eq!((diagram.branches.len(), folds.len()), (1, 8)),
            "context_gain" => assert_eq!(folds.len(), 7),
            _ => {}
        }
        assert!(diagram.branches.iter().flat_map(|b| &b.special).all(|special| special.residual < 1e-13));
        // Every fold of the reference in the range is there.
        for expected in branches.iter().flat_map(|branch| branch["folds"].as_array().unwrap()) {
            let mu = expected["mu"].as_f64().unwrap();
            if mu < range.0 || mu > range.1 {
                continue;
            }
            let found = folds.iter().find(|fold| (fold.mu - mu).abs() < 1e-8);
            let [a, b] = found.unwrap_or_else(|| panic!("{name}: {mu} is missing")).coefficients.unwrap();
            let expected_a = expected["a"].as_f64().unwrap() * expected["b"].as_f64().unwrap().signum();
            assert!(
                (a - expected_a).abs() < 1e-7 && (b - expected["b"].as_f64().unwrap().abs()).abs() < 1e-7,
                "{a} {b}"
            );
        }
    }
}

#[test]
fn folds_of_the_flip_flop() {
    let network = dynamics::network("flipflop_tanh_n64");
    let path = Path::between(&network, &[0.0; 3], &[1.0, 0.0, 0.0], Kind::Map).unwrap();
    let points = starts(&path, &[0.0], 60, 0);
    let settings = Settings::new(-0.2, 0.2);
    let before = cpu_seconds();
    let diagram = continuation(&path, &points, &settings, &AtomicBool::new(false)).unwrap();
    println!(
        "flip-flop: {} starts, {} branches, {:.0} ms",
        points.len(),
        diagram.branches.len(),
        1e3 * (cpu_seconds() - before)
    );
    for branch in &diagram.branches {
        let what: Vec<String> =
            branch.special.iter().map(|s| format!("{} {:.7}", s.kind.name(), s.mu)).collect();
        println!("  {} points, {:?}: {}", branch.points.len(), branch.ends, what.join(", "));
    }
    let folds = all(&diagram, Bifurcation::Fold);
    for expected in [
        0.059_997_8,
        -0.073_040_2,
        0.064_794_6,
        -0.070_575_0,
        0.069_497_8,
        -0.066_061_7,
        0.072_048_3,
        -0.061_233_1,
    ] {
        assert!(folds.iter().any(|fold| (fold.mu - expected).abs() < 1e-7), "{expected}");
    }
}

/// The ring loses its rest by two eigenvalues at once.
#[test]
fn symmetry_makes_two_eigenvalues_cross() {
    let network = dynamics::network("ring_tanh_n64");
    let rnn = Rnn::new(&network, &vec![0.0; network.inputs.len()], Kind::Flow).unwrap();
    let path = Path { rnn, direction: vec![0.0; 64], weight_scale: 1.0 };
    let diagram = run(&path, &[(-0.8, &[0.0; 64])], -0.9, 0.5);
    // (1 + mu) 1.8 = 1.
    near(only(&diagram, Bifurcation::Multiple).mu, 1.0 / 1.8 - 1.0);
}

/// Forty neurons, twenty pairs of eigenvalues of known place: every Hopf point, though eigenvalues are computed seldom.
#[test]
fn every_pair_of_a_larger_network_is_found() {
    let n = 40;
    let pair = |k: usize| (0.5 + 0.035 * k as f64, 0.3 + 0.1 * k as f64);
    let blocks = faer::Mat::from_fn(n, n, |i, j| {
        let (re, im) = pair(i / 2);
        if i / 2 != j / 2 {
            0.0
        } else if i == j {
            re
        } else if i < j {
            -im
        } else {
            im
        }
    });
    // A shear that leaves the eigenvalues, and makes the matrix far from normal.
    let shear = faer::Mat::from_fn(n, n, |i, j| {
        if i == j {
            1.0
        } else if j == i + 1 {
            0.7
        } else {
            0.0
        }
    });
    let w = shear.partial_piv_lu().solve(&blocks * &shear);
    for kind in [Kind::Flow, Kind::Map] {
        let mut network = plain(w.clone());
        network.alpha = 0.2;
        let rnn = Rnn::new(&network, &[0.0], kind).unwrap();
        let path = Path { rnn, direction: vec![0.0; n], weight_scale: 1.0 };
        let diagram = run(&path, &[(-0.6, &vec![0.0; n])], -0.7, 1.2);
        let wanted = if kind == Kind::Flow { Bifurcation::Hopf } else { Bifurcation::NeimarkSacker };
        let mut found: Vec<(f64, f64)> =
            all(&diagram, wanted).iter().map(|special| (special.mu, special.angle.unwrap())).collect();
        // |0.8 + 0.2 (1 + mu) (re + i im)| = 1 of the map, (1 + mu) re = 1 of the flow.
        let mut expected: Vec<(f64, f64)> = (0..20)
            .map(|k| {
                let (re, im) = pair(k);
                if kind == Kind::Flow {
                    return (1.0 / re - 1.0, im / re);
                }
                let (a, b, c) = (0.04 * (re * re + im * im), 0.32 * re, 0.64 - 1.0);
                let s = (-b + (b * b - 4.0 * a * c).sqrt()) / (2.0 * a);
                (s - 1.0, (0.2 * s * im).atan2(0.8 + 0.2 * s * re))
            })
            .filter(|(mu, _)| *mu < 1.2)
            .collect();
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        expected.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert_eq!(found.len(), expected.len(), "{kind:?}: {found:?} {expected:?}");
        for (found, expected) in found.iter().zip(&expected) {
            near(found.0, expected.0);
            near(found.1, expected.1);
        }
        check_index(&path, &diagram);
    }
}

/// Fold curves of the graded network: folds of the motion sweep meet in cusps as the context fades, and every point of a
/// curve is a fold of the sweep at its second parameter.
#[test]
fn fold_curves_of_the_graded_network() {
    let (network, path) = mante([0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 1.0, 0.0]);
    let column = network.input.col_as_slice(2).to_vec();
    let mut rnn = path.rnn.clone();
    std::iter::zip(&mut rnn.drive, &column).for_each(|(g, b)| *g -= b);
    let plane = Plane { rnn, directions: [path.direction.clone(), column], weight_scales: [0.0; 2] };
    let x = starts(&path, &[0.0], 6, 0);
    let settings = Settings::new(-0.1, 0.1);
    let stop = AtomicBool::new(false);
    let diagram = continuation(&path, &x, &settings, &stop).unwrap();
    let folds: Vec<&Special> = diagram.folds().collect();
    assert_eq!(folds.len(), 6);
    let before = cpu_seconds();
    let curves = fold_curves(&plane, &folds, 1.0, [(-0.1, 0.1), (0.6, 1.3)], &settings, &stop).unwrap();
    println!("{} curves, {:.0} ms", curves.len(), 1e3 * (cpu_seconds() - before));
    for curve in &curves {
        println!("  {} points, {:?}", curve.points.len(), curve.ends);
        for (kind, _, point) in &curve.special {
            println!("    {kind:?} at {:?}, a = {:.1e}", point.mu, point.a);
        }
    }
    let point = &curves[0].points[curves[0].points.len() / 2];
    let slice = Slice { plane: &plane, second: point.mu[1] };
    let start = [Start { mu: point.mu[0], x: point.x.clone() }];
    let there = continuation(&slice, &start, &settings, &stop).unwrap();
    assert!(there.folds().any(|fold| (fold.mu - point.mu[0]).abs() < 1e-9));
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    let (_, path) = mante([0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let points = starts(&path, &[-0.1, 0.5], 4, 0);
            let diagram =
                continuation(&path, &points, &Settings::new(-0.2, 1.6), &AtomicBool::new(false)).unwrap();
            serde_json::to_string(&diagram).unwrap()
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn bad_input_is_named() {
    let stop = AtomicBool::new(false);
    let message = |starts: &[Start], settings: &Settings| {
        continuation(&LOGISTIC, starts, settings, &stop).unwrap_err().to_string()
    };
    let start = |mu: f64, x: Vec<f64>| [Start { mu, x }];
    assert!(message(&start(5.0, vec![0.1]), &Settings::new(1.0, 4.0)).contains("mu from 1 to 4"));
    assert!(message(&start(2.0, vec![0.1, 0.2]), &Settings::new(1.0, 4.0)).contains("1 numbers, found 2"));
    assert!(message(&start(2.0, vec![f64::NAN]), &Settings::new(1.0, 4.0)).contains("finite"));
    assert!(message(&start(2.0, vec![0.1]), &Settings::new(4.0, 1.0)).contains("the lower first"));
    assert!(message(&[], &Settings::new(1.0, 4.0)).contains("at least one"));
    assert!(
        message(&start(2.0, vec![1e200]), &Settings::new(1.0, 4.0)).contains("Newton converges from none")
    );
    assert!(Iterate::new(LOGISTIC, 0).is_err());
    let flow = family(Kind::Flow, 1, |x, m| vec![m - x[0]], |_, _| vec![-1.0], |_, _| vec![1.0]);
    assert!(Iterate::new(flow, 2).unwrap_err().to_string().contains("a map"));
    // Stopped at once: nothing, and no error.
    let stopped = AtomicBool::new(true);
    let diagram =
        continuation(&LOGISTIC, &start(2.0, vec![0.5]), &Settings::new(1.5, 4.0), &stopped).unwrap();
    assert!(diagram.branches.is_empty());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 24, rng_seed: RngSeed::Fixed(3), failure_persistence: None, ..Default::default() })]
    /// mu = x³ - 3 s x + c: folds at x = -+sqrt s with a = 3 x, whatever the scale.
    #[test]
    fn folds_of_cubics(s in 0.001_f64..3.0, c in -1.0_f64..1.0) {
        struct Cubic(f64, f64);
        impl Family for Cubic {
            fn dimension(&self) -> usize { 1 }
            fn kind(&self) -> Kind { Kind::Flow }
            fn value(&self, x: &[f64], mu: f64, out: &mut [f64]) {
                out[0] = mu - x[0].powi(3) + 3.0 * self.0 * x[0] - self.1;
            }
            fn jacobian(&self, x: &[f64], _: f64, mut out: MatMut<'_, f64>) {
                out[(0, 0)] = 3.0 * (self.0 - x[0] * x[0]);
            }
            fn derivative(&self, _: &[f64], _: f64, out: &mut [f64]) { out[0] = 1.0; }
        }
        let x = -3.0_f64;
        let mu = x.powi(3) - 3.0 * s * x + c;
        let diagram = run(&Cubic(s, c), &[(mu, &[x])], -40.0, 40.0);
        let mut folds = all(&diagram, Bifurcation::Fold);
        assert_eq!(folds.len(), 2);
        folds.sort_by(|a, b| a.x[0].total_cmp(&b.x[0]));
        for (fold, sign) in folds.iter().zip([-1.0, 1.0]) {
            let x = sign * s.sqrt();
            near(fold.x[0], x);
            near(fold.mu, x.powi(3) - 3.0 * s * x + c);
            near(fold.coefficients.unwrap()[0], -3.0 * x);
        }
    }
}

/// Random networks of both forms, as maps and flows: the index that special points explain is that of all eigenvalues.
#[test]
fn the_index_of_random_networks_is_explained() {
    let n = 20;
    for seed in 0..8_u64 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut normal = |size: usize, scale: f64| -> Vec<f64> {
            (0..size).map(|_| scale * random.sample::<f64, _>(StandardNormal)).collect()
        };
        let entries = normal(n * n, 1.5 / (n as f64).sqrt());
        let scaled = seed % 4 >= 2;
        let rnn = Rnn {
            kind: if seed % 2 == 0 { Kind::Map } else { Kind::Flow },
            form: if seed < 4 { Form::Rate } else { Form::Current },
            alpha: 0.5,
            activation: Activation::Tanh,
            w: Arc::new(faer::Mat::from_fn(n, n, |i, j| entries[i * n + j])),
            drive: normal(n, if scaled { 0.0 } else { 0.3 }),
        };
        let direction = normal(n, if scaled { 0.0 } else { 1.0 });
        let path = Path { rnn, direction, weight_scale: f64::from(u8::from(scaled)) };
        let (low, high) = if scaled { (-0.9, 1.0) } else { (-3.0, 3.0) };
        let points = starts(&path, &[0.7 * low, 0.1 * high, 0.6 * high], 4, 0);
        let diagram =
            continuation(&path, &points, &Settings::new(low, high), &AtomicBool::new(false)).unwrap();
        let special: Vec<&Special> = diagram.branches.iter().flat_map(|branch| &branch.special).collect();
        let kinds: Vec<&str> = special.iter().map(|special| special.kind.name()).collect();
        println!("seed {seed}: {} branches, {kinds:?}", diagram.branches.len());
        assert!(special.iter().all(|special| special.residual < 1e-12));
        check_index(&path, &diagram);
    }
}

/// The cubic coefficient gives the size of what is born: mean |x - x*|² = 2 growth (mu - mu_0) / -c, c = l1 omega of a
/// flow, at points with quadratic terms.
#[test]
fn cubic_coefficients_give_the_size_of_cycles() {
    // Delayed logistic: |multiplier|² = r - 1.
    let delayed = family(
        Kind::Map,
        2,
        |x, r| vec![r * x[0] * (1.0 - x[1]), x[0]],
        |x, r| vec![r * (1.0 - x[1]), -r * x[0], 1.0, 0.0],
        |x, _| vec![x[0] * (1.0 - x[1]), 0.0],
    );
    let diagram = run(&delayed, &[(1.7, &[0.4, 0.4])], 1.2, 2.5);
    let cubic = only(&diagram, Bifurcation::NeimarkSacker).cubic.unwrap();
    let by = 2e-3;
    let (mut x, mut sum) = (vec![0.52, 0.5], 0.0);
    for step in 0..200_000 {
        x = (delayed.value)(&x, 2.0 + by);
        if step >= 100_000 {
            let rest = 1.0 - 1.0 / (2.0 + by);
            sum += ((x[0] - rest).powi(2) + (x[1] - rest).powi(2)) / 1e5;
        }
    }
    println!("Neimark-Sacker: {cubic}, size {sum:.4e} of {:.4e}", by / -cubic);
    assert!((sum * -cubic / by - 1.0).abs() < 0.03);

    // Brusselator with A = 1: Hopf at B = 2, omega = 1, real part (B - 2) / 2.
    let brusselator = family(
        Kind::Flow,
        2,
        |x, b| vec![1.0 - (b + 1.0) * x[0] + x[0] * x[0] * x[1], b * x[0] - x[0] * x[0] * x[1]],
        |x, b| {
            let xy = 2.0 * x[0] * x[1];
            vec![xy - b - 1.0, x[0] * x[0], b - xy, -x[0] * x[0]]
        },
        |x, _| vec![-x[0], x[0]],
    );
    let diagram = run(&brusselator, &[(1.5, &[1.0, 1.5])], 1.0, 3.0);
    let hopf = only(&diagram, Bifurcation::Hopf);
    near(hopf.mu, 2.0);
    near(hopf.angle.unwrap(), 1.0);
    let cubic = hopf.cubic.unwrap();
    let (by, dt) = (4e-3, 0.02);
    let (mut x, mut sum) = (vec![1.05, 2.0], 0.0);
    let slope = |x: &[f64]| (brusselator.value)(x, 2.0 + by);
    let moved = |x: &[f64], s: f64, k: &[f64]| vec![x[0] + s * k[0], x[1] + s * k[1]];
    for step in 0..400_000 {
        let k1 = slope(&x);
        let k2 = slope(&moved(&x, 0.5 * dt, &k1));
        let k3 = slope(&moved(&x, 0.5 * dt, &k2));
        let k4 = slope(&moved(&x, dt, &k3));
        for i in 0..2 {
            x[i] += dt / 6.0 * (k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i]);
        }
        if step >= 200_000 {
            sum += ((x[0] - 1.0).powi(2) + (x[1] - 2.0 - by).powi(2)) / 2e5;
        }
    }
    println!("Hopf: {cubic}, size {sum:.4e} of {:.4e}", by / -cubic);
    assert!((sum * -cubic / by - 1.0).abs() < 0.03);
}

/// Whatever the range, and so the metric and the steps: folds 0.001 apart in mu do not hide between two points.
#[test]
fn close_folds_are_found_in_every_range() {
    let (_, path) = mante([0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 1.0, 0.0]);
    let points = starts(&path, &[0.0], 4, 0);
    for width in [0.05, 0.2, 1.0, 4.0] {
        for start in &points {
            let settings = Settings::new(-width, width);
            let start = std::slice::from_ref(start);
            let diagram = continuation(&path, start, &settings, &AtomicBool::new(false)).unwrap();
            assert_eq!(diagram.folds().count(), 6, "range {width}");
        }
    }
}

/// mu = 1e-4 (x + 0.2 sin 25 x): nearly vertical, so the turn of the tangent does not see its folds, 1 + 5 cos 25 x = 0.
#[test]
fn folds_of_a_nearly_vertical_branch_are_resolved() {
    let wave = family(
        Kind::Flow,
        1,
        |x, m| vec![m - 1e-4 * (x[0] + 0.2 * (25.0 * x[0]).sin())],
        |x, _| vec![-1e-4 * (1.0 + 5.0 * (25.0 * x[0]).cos())],
        |_, _| vec![1.0],
    );
    let settings = Settings { bound: 3.0, ..Settings::new(-1.0, 1.0) };
    let starts = [Start { mu: 0.0, x: vec![0.0] }];
    let diagram = continuation(&wave, &starts, &settings, &AtomicBool::new(false)).unwrap();
    let first = (-0.2_f64).acos() / 25.0;
    let period = 2.0 * std::f64::consts::PI / 25.0;
    let mut expected: Vec<f64> = (-20..20)
        .flat_map(|k| [f64::from(k) * period + first, f64::from(k) * period - first])
        .filter(|x| x.abs() < 3.0)
        .collect();
    let mut found: Vec<f64> = diagram.folds().map(|fold| fold.x[0]).filter(|x| x.abs() < 3.0).collect();
    expected.sort_by(f64::total_cmp);
    found.sort_by(f64::total_cmp);
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        near(*found, *expected);
    }
}
