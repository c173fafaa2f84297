//! What is refused, and what stops.

use faer::Mat;
use tinyfold::dynamics::lyapunov::{
    AttractingSet, Plane, Settings, Watch, attractors, basins, field, kaplan_yorke, spectrum,
};
use tinyfold::dynamics::{Kind, System};

use super::systems::{HENON, LOGISTIC};

#[test]
fn bad_input_is_named() {
    let with = |settings: Settings| spectrum(&HENON, &[0.1, 0.1], &settings, &Watch::default());
    let base = Settings::default;
    for settings in [
        Settings { exponents: Some(3), ..base() },
        Settings { exponents: Some(0), ..base() },
        Settings { steps: 0, ..base() },
        Settings { batches: 1, ..base() },
        Settings { every: Some(0), ..base() },
        Settings { dt: f64::NAN, ..base() },
    ] {
        assert!(with(settings).unwrap_err().to_string().contains("expected"));
    }
    assert!(spectrum(&HENON, &[0.1], &base(), &Watch::default()).is_err());
    let away = spectrum(&HENON, &[9.0, 9.0], &base(), &Watch::default()).unwrap_err();
    assert!(away.to_string().contains("not finite"), "{away}");
    let watch = Watch::default();
    watch.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(spectrum(&HENON, &[0.1, 0.1], &base(), &watch).unwrap_err().to_string().contains("ended"));
    let line = [vec![1.0, 1.0], vec![2.0, 2.0]];
    let plane = |along, ranges, size| Plane::new(vec![0.0; 2], along, ranges, size);
    let good = [vec![1.0, 0.0], vec![1.0, 1.0]];
    assert!(plane(line, [(0.0, 1.0); 2], [5, 5]).is_err());
    assert!(plane(good.clone(), [(0.0, 0.0); 2], [5, 5]).is_err());
    assert!(plane(good.clone(), [(0.0, 1.0); 2], [1, 5]).is_err());
    let plane = plane(good, [(-0.5, 0.5), (-0.5, 0.5)], [4, 4]).unwrap();
    assert!(field(&HENON, &plane, 0, 1.0, &Watch::default()).is_err());
    assert!(field(&LOGISTIC, &plane, 5, 1.0, &Watch::default()).is_err());
    let none = field(&HENON, &plane, 5, 1.0, &watch).unwrap();
    assert!(none.computed == 0 && none.values.len() == 16 && none.values.iter().all(|value| value.is_nan()));
    let basins_of =
        |known: &[AttractingSet], dt: f64| basins(&HENON, &plane, known, 5, dt, 1e6, &Watch::default());
    assert!(basins_of(&[AttractingSet::point(vec![0.0], 0.1)], 1.0).is_err());
    assert!(basins_of(&[AttractingSet::point(vec![0.0; 2], 0.0)], 1.0).is_err());
    assert!(basins_of(&[], 0.0).is_err());
    let search =
        |starts: &Mat<f64>, steps: usize| attractors(&HENON, starts, steps, 1.0, 1e-8, &Watch::default());
    assert!(search(&Mat::zeros(3, 2), 5).is_err() && search(&Mat::zeros(2, 2), 0).is_err());
    assert!(search(&Mat::zeros(2, 0), 5).unwrap().is_empty());
    // A trajectory that leaves to infinity has no exponent.
    let far = Plane { ranges: [(50.0, 60.0); 2], ..plane };
    assert!(
        field(&HENON, &far, 30, 1.0, &Watch::default()).unwrap().values.iter().all(|value| value.is_nan())
    );
    assert_eq!(kaplan_yorke(&[], 0), Some(0.0));
}

/// x' = 1 - 2 x², exponent ln 2; stops whoever asks for the value too often.
struct Stopping {
    left: std::sync::atomic::AtomicUsize,
    watch: Watch,
}

impl System for Stopping {
    fn dimension(&self) -> usize {
        1
    }
    fn kind(&self) -> Kind {
        Kind::Map
    }
    fn value(&self, x: &[f64], out: &mut [f64]) {
        use std::sync::atomic::Ordering::Relaxed;
        if self.left.fetch_sub(1, Relaxed) == 1 {
            self.watch.stop.store(true, Relaxed);
        }
        out[0] = 1.0 - 2.0 * x[0] * x[0];
    }
    fn jacobian(&self, x: &[f64], mut out: faer::MatMut<'_, f64>) {
        out[(0, 0)] = -4.0 * x[0];
    }
}

#[test]
fn stopped_exponents_are_those_of_the_steps_done() {
    let run = |steps: usize, stop_after: usize| {
        let system = Stopping { left: stop_after.into(), watch: Watch::default() };
        let settings = Settings { transient: 0, steps, every: Some(1), ..Settings::default() };
        spectrum(&system, &[0.3], &settings, &system.watch)
    };
    for done in [2, 7, 399, 401, 12_345] {
        let found = run(1_000_000, done).unwrap();
        assert_eq!((found.steps, found.complete), (done, false));
        assert!(found.errors[0].is_finite() && found.convergence.len() <= 401, "{}", found.convergence.len());
        // The same sum as of a run that ends there by itself, which ends at a multiple of its 20 batches.
        let last = found.convergence.last().unwrap();
        assert!((last.1[0] - found.exponents[0]).abs() < 1e-12 && last.0 == done as f64);
    }
    let (stopped, whole) = (run(1_000_000, 20_000).unwrap(), run(20_000, 1_000_000).unwrap());
    assert!(whole.complete && !stopped.complete);
    assert_eq!((&stopped.exponents, &stopped.errors), (&whole.exponents, &whole.errors));
    assert!((whole.exponents[0] - 2.0_f64.ln()).abs() < 4.0 * whole.errors[0]);
    assert!(run(1_000_000, 1).unwrap_err().to_string().contains("ended too early"));
}
