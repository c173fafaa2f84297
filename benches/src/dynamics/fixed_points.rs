//! All fixed points of trained networks.

use std::sync::atomic::AtomicBool;

use serde_json::json;
use tinyfold::dynamics::Kind;
use tinyfold::dynamics::fixed_points::{FixedPoints, Options, of_network};

use super::{Bench, known, number};

/// Searches, each of another seed, that a time is the mean of.
const SEEDS: u64 = 10;

/// A row: quantity, network, held input, limit, how many points there are.
type Case<'a> = (&'a str, &'a str, &'a [f64], Option<f64>, usize);

pub(super) fn rows(bench: &mut Bench) {
    bench.head(
        "Fixed points with all eigenvalues, ms a search",
        "Adam on q in PyTorch, f32, the method of FixedPointFinder and not the package",
    );
    let (starts, most) = if bench.quick { (64, 100) } else { (1024, 5000) };
    let decisions = "mante_tanh_n100_graded";
    let cases: [Case<'_>; 5] = [
        ("flip-flop, n = 64", "flipflop_tanh_n64", &[0.0; 3], Some(60.0), 27),
        ("decisions, n = 100, motion counts", decisions, &[0.0, 0.0, 1.0, 0.0], Some(250.0), 3),
        ("decisions, colour counts", decisions, &[0.0, 0.0, 0.0, 1.0], Some(250.0), 5),
        ("decisions, motion 0.0014", decisions, &[0.0014, 0.0, 1.0, 0.0], Some(250.0), 7),
        ("ReLU integrator, n = 64", "relu_integrator_n64", &[0.0; 2], None, 1),
    ];
    for (quantity, name, u, limit, expected) in cases {
        let network = known::network(name);
        let seeds = if bench.quick { 1 } else { SEEDS };
        let search = |seed| {
            let options = Options { seed, vectors: false, ..Options::default() };
            of_network(&network, u, Kind::Map, &options, &AtomicBool::new(false)).expect("a search")
        };
        let starts = if name.starts_with("relu") { starts / 2 } else { starts };
        let request = json!({
            "method": "adam_fixed_points", "network": name, "u": u, "starts": starts, "most": most,
        });
        let mut timed = bench.time(1, || (0..seeds).map(search).collect::<Vec<FixedPoints>>(), request);
        timed.ours /= seeds as f64;
        // At a corner of a ReLU the eigenvalues, and so the index, are those of either side.
        let corner = timed.found[0].points.iter().any(|point| point.corner);
        let indices = timed.found[0].histogram();
        for found in &timed.found {
            assert_eq!(found.points.len(), expected, "{quantity}");
            assert!(corner || found.histogram() == indices, "{quantity}: {:?}", found.histogram());
            assert_ne!(found.complete(), Some(false), "{quantity}");
        }
        if expected == 27 {
            assert_eq!(indices, [8, 12, 6, 1], "{quantity}");
        }
        let residuals = timed.found.iter().flat_map(|found| &found.points).map(|point| point.residual);
        let worst = residuals.fold(0.0, f64::max);
        assert!(worst <= 1e-13, "{quantity}: residual {worst}");
        let indices: Vec<String> = indices.iter().map(usize::to_string).collect();
        let indices = if corner {
            "at a corner of the ReLU".into()
        } else {
            format!("of index 0, 1, ..: {}", indices.join(" "))
        };
        let text =
            format!("{expected} from {seeds} of {seeds} seeds; {indices}; residual at most {worst:.0e}");
        bench.row(quantity, limit, 1.0, &timed, &text, |answer| {
            format!(
                "{} of {expected}; reports {}; {starts} starts, {} iterations",
                number(answer, "real"),
                number(answer, "reported"),
                number(answer, "iterations")
            )
        });
    }
}
