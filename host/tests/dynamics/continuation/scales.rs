//! States of any size.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use faer::MatMut;
use tinyfold::dynamics::continuation::{
    Bifurcation, Codimension, End, Plane, Settings, Special, Start, continuation, fold_curves, starts,
};
use tinyfold::dynamics::{Family, Kind, Parameter, Path, Rnn};
use tinyfold::network::{Activation, Form};

use super::{all, family, only};

/// A family whose states are `by` times those of another, its parameter `along` times.
struct Enlarged<F> {
    family: F,
    by: f64,
    along: f64,
}

impl<F: Family> Enlarged<F> {
    fn plain(&self, x: &[f64]) -> Vec<f64> {
        x.iter().map(|x| x / self.by).collect()
    }
}

impl<F: Family> Family for Enlarged<F> {
    fn dimension(&self) -> usize {
        self.family.dimension()
    }

    fn kind(&self) -> Kind {
        self.family.kind()
    }

    fn size(&self) -> f64 {
        self.by
    }

    fn value(&self, x: &[f64], mu: f64, out: &mut [f64]) {
        self.family.value(&self.plain(x), mu / self.along, out);
        for out in out {
            *out *= self.by;
        }
    }

    fn jacobian(&self, x: &[f64], mu: f64, out: MatMut<'_, f64>) {
        self.family.jacobian(&self.plain(x), mu / self.along, out);
    }

    fn derivative(&self, x: &[f64], mu: f64, out: &mut [f64]) {
        self.family.derivative(&self.plain(x), mu / self.along, out);
        for out in out {
            *out *= self.by / self.along;
        }
    }
}

/// mu + x - x³, folds at x² = 1/3; a Hopf point and a pitchfork at mu = 0.
#[test]
fn textbook_points_are_the_same_in_any_unit() {
    let folds = || {
        family(
            Kind::Flow,
            1,
            |x, m| vec![m + x[0] - x[0].powi(3)],
            |x, _| vec![1.0 - 3.0 * x[0] * x[0]],
            |_, _| vec![1.0],
        )
    };
    let hopf = || {
        family(
            Kind::Flow,
            2,
            |x, m| {
                let square = x[0] * x[0] + x[1] * x[1];
                vec![(m - square) * x[0] - x[1], x[0] + (m - square) * x[1]]
            },
            |x, m| {
                let square = x[0] * x[0] + x[1] * x[1];
                let own = |k: usize| m - square - 2.0 * x[k] * x[k];
                vec![own(0), -1.0 - 2.0 * x[0] * x[1], 1.0 - 2.0 * x[0] * x[1], own(1)]
            },
            |x, _| x.to_vec(),
        )
    };
    let pitchfork = || {
        family(
            Kind::Map,
            1,
            |x, m| vec![(1.0 + m) * x[0] - x[0].powi(3)],
            |x, m| vec![1.0 + m - 3.0 * x[0] * x[0]],
            |x, _| vec![x[0]],
        )
    };
    for (by, along) in [(1.0, 1.0), (1e7, 1.0), (1e-7, 1.0), (1e7, 1e7), (1e-7, 1e-7), (1.0, 1e7)] {
        let place = format!("states {by}, parameter {along}");
        let run = |family: &dyn Family, x: Vec<f64>, mu: f64| {
            let starts = [Start { mu: mu * along, x: x.iter().map(|x| x * by).collect() }];
            let settings = Settings::new(-along, along);
            continuation(family, &starts, &settings, &AtomicBool::new(false)).unwrap()
        };
        let near = |found: f64, expected: f64| {
            assert!((found - expected).abs() < 1e-8, "{place}: {found} instead of {expected}");
        };
        let diagram = run(&Enlarged { family: folds(), by, along }, vec![1.2], 0.5);
        let [branch] = &diagram.branches[..] else { panic!("{place}: {} branches", diagram.branches.len()) };
        assert_eq!(branch.ends, [End::Range; 2], "{place}");
        let found = all(&diagram, Bifurcation::Fold);
        assert_eq!(found.len(), 2, "{place}");
        for fold in found {
            let x = fold.x[0] / by;
            near(x.abs(), 1.0 / 3.0_f64.sqrt());
            near(fold.mu / along, x.powi(3) - x);
            // dz/dt = b mu + a z²: the sign of b is made that of mu.
            let [a, b] = fold.coefficients.unwrap();
            near(a * by, -3.0 * x);
            near(b * along / by, 1.0);
        }
        // Between two points the curve, not the chord.
        for k in 0..branch.points.len() - 1 {
            for y in branch.between(k, 8) {
                let (x, mu) = (y[0] / by, y[1] / along);
                assert!((mu + x - x.powi(3)).abs() < 1e-3, "{place}: {x} {mu}");
            }
        }
        let diagram = run(&Enlarged { family: hopf(), by, along }, vec![0.0; 2], -0.5);
        let point = only(&diagram, Bifurcation::Hopf);
        near(point.mu / along, 0.0);
        near(point.angle.unwrap(), 1.0);
        // Of |q| = 1, |x|² = 2 |z|².
        assert!((point.cubic.unwrap() * by * by + 2.0).abs() < 1e-5, "{place}: {:?}", point.cubic);
        let diagram = run(&Enlarged { family: pitchfork(), by, along }, vec![0.0], -0.5);
        // On both of its branches.
        let point = all(&diagram, Bifurcation::Pitchfork)[0];
        near(point.mu / along, 0.0);
        assert!((point.cubic.unwrap() * by * by + 1.0).abs() < 1e-5, "{place}: {:?}", point.cubic);
        let far = diagram.branches.iter().flat_map(|branch| &branch.points).map(|point| point.x[0] / by);
        near(far.fold(0.0, f64::max), 1.0);
    }
}

/// a = W s(a) + g with the sigmoid s(a / size): the same network in other units.
fn sigmoidal(n: usize, size: f64) -> Path {
    let w = faer::Mat::from_fn(n, n, |i, j| {
        size * if i == j { 8.0 } else { 0.4 * (1.7 * i as f64 + 0.9 * j as f64).sin() }
    });
    let rnn = Rnn {
        kind: Kind::Flow,
        form: Form::Current,
        alpha: 0.1,
        activation: Activation::Sigmoid { slope: 1.0 / size, threshold: 0.0 },
        w: Arc::new(w),
        drive: (0..n).map(|i| size * (0.1 * i as f64 - 4.0)).collect(),
    };
    Path { rnn, parameter: Parameter::along(vec![size; n]) }
}

/// The folds of a network, and its cusps in the weights, are found from nothing whatever the size of its states.
#[test]
fn a_network_in_other_units_has_the_same_folds_and_cusps() {
    let stop = AtomicBool::new(false);
    let found = |n: usize, size: f64| {
        let path = sigmoidal(n, size);
        let starts = starts(&path, &[-1.0, 0.0, 1.0], 0, &stop).unwrap().0;
        let settings = Settings::new(-2.0, 2.0);
        let diagram = continuation(&path, &starts, &settings, &stop).unwrap();
        let plane = Plane { rnn: path.rnn.clone(), parameters: [path.parameter, Parameter::weights(n)] };
        let folds: Vec<&Special> = diagram.folds().collect();
        let ranges = [(-2.0, 3.0), (0.3, 1.2)];
        let curves =
            fold_curves(&plane, &folds[..folds.len().min(2)], 1.0, ranges, &settings, &stop).unwrap().0;
        let cusps = curves.iter().flat_map(|curve| &curve.special);
        let cusps: Vec<[f64; 2]> =
            cusps.filter(|special| special.0 == Codimension::Cusp).map(|special| special.2.mu).collect();
        let mut folds: Vec<f64> = folds.iter().map(|fold| fold.mu).collect();
        folds.sort_by(f64::total_cmp);
        (folds, cusps)
    };
    for size in [1.0, 1e7, 1e-7] {
        // w s (1 - s) = 1, a = ln (s / (1 - s)), mu = a - w s + 4; the cusp at w = 4, s = 1/2: mu = 2.
        let (folds, cusps) = found(1, size);
        let s = [1.0, -1.0].map(|sign| 0.5 * (1.0 + sign * 0.5_f64.sqrt()));
        let expected = s.map(|s: f64| (s / (1.0 - s)).ln() - 8.0 * s + 4.0);
        assert_eq!(folds.len(), 2, "{size}: {folds:?}");
        for (found, expected) in folds.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-8, "{size}: {found} {expected}");
        }
        let [[mu, factor]] = cusps[..] else { panic!("{size}: {cusps:?}") };
        assert!((factor - 0.5).abs() < 1e-8 && (mu - 2.0).abs() < 1e-8, "{size}: {mu} {factor}");
    }
    let (plain, _) = found(4, 1.0);
    assert!(plain.len() > 4, "{plain:?}");
    for size in [1e7, 1e-7] {
        let (other, _) = found(4, size);
        assert_eq!(plain.len(), other.len(), "{size}");
        plain.iter().zip(&other).for_each(|(a, b)| assert!((a - b).abs() < 1e-8, "{size}: {a} {b}"));
    }
}
