//! Folds of trained networks against the reference.

use std::sync::atomic::AtomicBool;

use tinyfold::dynamics::continuation::{Bifurcation, Diagram, Settings, continuation};
use tinyfold::dynamics::{Kind, Path};

use super::{all, check_index, cpu_seconds, found, mante};
use crate::references;

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

#[test]
fn folds_of_the_graded_network() {
    let reference: serde_json::Value = serde_json::from_slice(
        &std::fs::read(references::path("mante_tanh_n100_graded_folds.json")).unwrap(),
    )
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
        let points = found(&path, &mus);
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
            // A seventh is just outside, at -0.20035.
            "context_gain" => assert_eq!(folds.len(), 6),
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
    let network = references::network("flipflop_tanh_n64");
    let path = Path::between(&network, &[0.0; 3], &[1.0, 0.0, 0.0], Kind::Map).unwrap();
    let points = found(&path, &[0.0]);
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

/// Whatever the range, and so the metric and the steps: folds 0.001 apart in mu do not hide between two
/// points.
#[test]
fn close_folds_are_found_in_every_range() {
    let (_, path) = mante([0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 1.0, 0.0]);
    let points = found(&path, &[0.0]);
    for width in [0.05, 0.2, 1.0, 4.0] {
        for start in &points {
            let settings = Settings::new(-width, width);
            let start = std::slice::from_ref(start);
            let diagram = continuation(&path, start, &settings, &AtomicBool::new(false)).unwrap();
            assert_eq!(diagram.folds().count(), 6, "range {width}");
        }
    }
}
