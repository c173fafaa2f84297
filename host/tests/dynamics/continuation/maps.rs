//! Flips, folds and cycles of maps.

use std::sync::atomic::AtomicBool;

use tinyfold::dynamics::continuation::{Bifurcation, Iterate, Settings, Start, continuation};
use tinyfold::dynamics::{Family, Kind};

use super::{Formula, LOGISTIC, all, check_index, family, near, only, run, textbook};

/// (1 - a x² + y, 0.3 x).
const HENON: Formula = Formula {
    kind: Kind::Map,
    n: 2,
    value: |x, a| vec![1.0 - a * x[0] * x[0] + x[1], 0.3 * x[0]],
    jacobian: |x, a| vec![-2.0 * a * x[0], 1.0, 0.3, 0.0],
    derivative: |x, _| vec![-x[0] * x[0], 0.0],
};

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
