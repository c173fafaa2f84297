//! What is refused, and what stops.

use std::sync::atomic::AtomicBool;

use tinyfold::dynamics::Kind;
use tinyfold::dynamics::continuation::{End, Iterate, Settings, Start, continuation};

use super::{LOGISTIC, family};

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

/// Three roots of x³ - x at every mu, one branch allowed; and a line of fixed points at mu = 0, which is no branch.
#[test]
fn what_is_left_out_is_said() {
    let stop = AtomicBool::new(false);
    let roots = family(
        Kind::Flow,
        1,
        |x, _| vec![x[0] - x[0].powi(3)],
        |x, _| vec![1.0 - 3.0 * x[0] * x[0]],
        |_, _| vec![0.0],
    );
    let starts = [-1.0, 0.0, 1.0].map(|x| Start { mu: 0.0, x: vec![x] });
    let settings = Settings { branches: 2, ..Settings::new(-1.0, 1.0) };
    let diagram = continuation(&roots, &starts, &settings, &stop).unwrap();
    assert!(diagram.branches.len() == 2 && diagram.truncated && !diagram.is_complete());
    let all = continuation(&roots, &starts, &Settings::new(-1.0, 1.0), &stop).unwrap();
    assert!(all.branches.len() == 3 && all.is_complete());
    let few = Settings { points: 2, ..Settings::new(-1.0, 1.0) };
    assert!(!continuation(&roots, &starts, &few, &stop).unwrap().is_complete());

    let line = family(Kind::Flow, 1, |x, m| vec![m * x[0]], |_, m| vec![m], |x, _| vec![x[0]]);
    let start = [Start { mu: -0.53, x: vec![0.0] }];
    let diagram = continuation(&line, &start, &Settings::new(-1.0, 1.0), &stop).unwrap();
    assert_eq!(diagram.branches.len(), 1);
    assert!(matches!(diagram.continua[..], [mu] if mu.abs() < 1e-9), "{:?}", diagram.continua);

    // A pitchfork exactly at the limit: Newton at the limit is singular.
    let fork = family(
        Kind::Flow,
        1,
        |x, m| vec![(m - 1.0) * x[0] - x[0].powi(3)],
        |x, m| vec![m - 1.0 - 3.0 * x[0] * x[0]],
        |x, _| vec![x[0]],
    );
    let diagram = continuation(&fork, &start, &Settings::new(-1.0, 1.0), &stop).unwrap();
    let branch = &diagram.branches[0];
    let [first, last] = [&branch.points[0], &branch.points[branch.points.len() - 1]];
    assert_eq!(first.mu, -1.0);
    assert!((last.mu == 1.0 && branch.ends[1] == End::Range) || branch.ends[1] == End::Singular);
    assert!(last.mu > 0.999, "{}", last.mu);
}
