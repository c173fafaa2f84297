//! What is refused, and what stops.

use std::sync::atomic::AtomicBool;

use tinyfold::dynamics::Kind;
use tinyfold::dynamics::continuation::{Iterate, Settings, Start, continuation};

use crate::{LOGISTIC, family};

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
