//! Continuation of a trained network.

use std::sync::atomic::AtomicBool;

use serde_json::json;
use tinyfold::dynamics::continuation::{Settings, continuation, starts};
use tinyfold::dynamics::{Kind, Path};

use super::{Bench, known, number};

pub(super) fn rows(bench: &mut Bench) {
    bench.head(
        "Branch of fixed points, n = 100, with folds and stability, ms",
        "pseudo-arclength in NumPy from one of the points",
    );
    let name = "mante_tanh_n100_graded";
    let network = known::network(name);
    let reference = known::json("mante_tanh_n100_graded_folds.json");
    let range = (-0.4, 0.4);
    for (quantity, sweep, from, parameter) in [
        ("motion where motion counts", "motion_in_motion_ctx", [0.0, 0.0, 1.0, 0.0], 0),
        ("colour where colour counts", "colour_in_colour_ctx", [0.0, 0.0, 0.0, 1.0], 1),
    ] {
        let mut to = from;
        to[parameter] = 1.0;
        let path = Path::between(&network, &from, &to, Kind::Flow).expect("a path");
        let stop = AtomicBool::new(false);
        let (points, _) = starts(&path, &[0.0], 0, &stop).expect("fixed points");
        let settings = Settings::new(range.0, range.1);
        let request = json!({
            "method": "continuation", "network": name, "u": from, "parameter": parameter,
            "start": points[0].x, "low": range.0, "high": range.1,
        });
        let follow = || continuation(&path, &points, &settings, &stop).expect("a diagram");
        let timed = bench.time(1, follow, request);
        let branches = reference[sweep].as_array().expect("branches");
        let expected: Vec<f64> = branches
            .iter()
            .flat_map(|branch| branch["folds"].as_array().expect("folds"))
            .filter_map(|fold| fold["mu"].as_f64())
            .collect();
        let off = |found: &[f64]| {
            let nearest =
                |mu: &f64| found.iter().map(|other| (mu - other).abs()).fold(f64::INFINITY, f64::min);
            expected.iter().map(nearest).fold(0.0, f64::max)
        };
        let folds: Vec<f64> = timed.found.folds().map(|fold| fold.mu).collect();
        assert_eq!((timed.found.branches.len(), folds.len()), (1, expected.len()), "{quantity}");
        assert!(off(&folds) <= 1e-8, "{quantity}: {}", off(&folds));
        let text = |folds: &[f64], points: usize| {
            format!(
                "{} folds of {}, off the reference by {:.0e}; {points} points",
                folds.len(),
                expected.len(),
                off(folds)
            )
        };
        let found = text(&folds, timed.found.branches[0].points.len());
        bench.row(quantity, Some(100.0), 1.0, &timed, &found, |answer| {
            text(&known::numbers(&answer["folds"]), number(answer, "points") as usize)
        });
    }
}
