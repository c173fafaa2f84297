//! Bifurcations of small systems with closed forms.

use std::sync::atomic::AtomicBool;

use faer::MatMut;
use proptest::test_runner::RngSeed;
use tinyfold::dynamics::continuation::{Bifurcation, End, Settings, Start, continuation};
use tinyfold::dynamics::{Family, Kind};

use super::{all, check_index, family, near, only, run, textbook};

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
    // The start may be near a fold, which is then on the piece that closes the branch.
    let apart: [(f64, &[f64]); 3] = [(0.1, &[0.5]), (0.2, &[-0.5]), (-0.3, &[0.4])];
    let x = (0.25_f64 - 0.49 * 0.49).sqrt();
    let near_fold: [(f64, &[f64]); 1] = [(-0.49, &[x])];
    for starts in [&apart[..], &near_fold[..]] {
        let diagram = run(&circle, starts, -1.0, 1.0);
        assert_eq!(diagram.branches.len(), 1);
        assert!(diagram.branches[0].is_closed() && diagram.is_complete());
        let folds = all(&diagram, Bifurcation::Fold);
        assert_eq!(folds.len(), 2);
        near(folds[0].mu * folds[1].mu, -0.25);
        let last = &diagram.branches[0].points[diagram.branches[0].points.len() - 1];
        assert!((last.mu - starts[0].0).abs() > 1e-6, "the first point is not listed again");
    }
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

/// The cubic coefficient gives the size of what is born: mean |x - x*|² = 2 growth (mu - mu_0) / -c, c = l1
/// omega of a flow, at points with quadratic terms.
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

/// mu = 1e-4 (x + 0.2 sin 25 x): nearly vertical, so the turn of the tangent does not see its folds, 1 + 5
/// cos 25 x = 0.
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
