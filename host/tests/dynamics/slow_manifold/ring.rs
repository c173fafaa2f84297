//! The ring attractor and perturbed ones.

use faer::MatMut;
use tinyfold::dynamics::slow_manifold::{Attractor, Bounds, Ring, RingOptions, Verdict};
use tinyfold::dynamics::{Kind, System, advance, spectrum};

use super::{best_of, perturbed};

#[test]
fn the_ring_is_an_attractor_and_a_perturbed_one_is_not() {
    let bounds = Bounds::default();
    let center = [0.0; 64];
    for kind in [Kind::Flow, Kind::Map] {
        let mut rnn = perturbed(0.0, 0);
        rnn.kind = kind;
        let options = RingOptions::of(kind, rnn.alpha);
        let (time, ring) = best_of(3, || Ring::find(&rnn, &center, &options, &false.into()).unwrap());
        let verdict = Attractor::of_ring(&rnn, &ring, &bounds).unwrap();
        println!(
            "ring as {kind:?}: {time:.1} ms, amplitude {:.16}, {} transforms, largest speed {:.1e}, normal rate {:.4}; {}",
            ring.amplitude, ring.transforms, verdict.largest_speed, verdict.normal_rate, verdict.sentence
        );
        // Radii vary by what rounding allows.
        assert!((ring.amplitude - 2.016_928_070_158_473_3).abs() < 1e-12);
        for k in 0..10 {
            let theta = 0.1 + 0.6 * f64::from(k);
            assert!((ring.radius(theta) * (2.0_f64 / 64.0).sqrt() - 2.016_928_070_158_473_3).abs() < 1e-12);
            assert!((ring.angle(&ring.state(theta)) - theta).abs() < 1e-12);
        }
        assert_eq!(verdict.verdict, Verdict::Attractor);
        // The second eigenvalue of the reference, -0.7292; of the map ln(1 + 0.1 of it).
        let rate: f64 = -0.729_208_246_985_355_8;
        let expected = if kind == Kind::Flow { rate } else { (1.0 + 0.1 * rate).ln() };
        assert!((verdict.normal_rate - expected).abs() < 1e-9);
        assert!(verdict.memory.iter().all(|point| point.1 < 1e-9) && verdict.drift.stay == 1.0);
    }
    // Seed 1 has the points of the reference, 2 nodes and 2 saddles; others have 4 and 4, or none.
    for (size, seed) in [(0.05, 1), (0.01, 1)] {
        let rnn = perturbed(size, seed);
        let ring = Ring::find(&rnn, &center, &RingOptions::default(), &false.into()).unwrap();
        let verdict = Attractor::of_ring(&rnn, &ring, &bounds).unwrap();
        println!(
            "perturbed by {size}: {} transforms, change {:.1e}, amplitude {:.6}, largest speed {:.1e} lengths per tau; {}",
            ring.transforms, ring.change, ring.amplitude, verdict.largest_speed, verdict.sentence
        );
        for point in &verdict.points {
            println!(
                "  {} at angle {:.6}, eigenvalues {:.6} {:.4}, residual {:.0e}, from the curve {:.0e}",
                point.name,
                point.place,
                point.eigenvalues[0].0,
                point.eigenvalues[1].0,
                point.residual,
                point.distance
            );
            assert!(point.residual < 1e-13 && point.distance < 1e-9);
        }
        assert!(!verdict.is_attractor());
        let names: Vec<&str> = verdict.points.iter().map(|point| point.name).collect();
        assert!(
            names == ["node", "saddle", "node", "saddle"] || names == ["saddle", "node", "saddle", "node"]
        );
        assert_eq!(spectrum::index(Kind::Flow, &spectrum::eigenvalues(&rnn, &center).unwrap()), 2);
        // x -> -x is a symmetry: equal nodes half a turn apart.
        assert!((verdict.points[2].place - verdict.points[0].place - std::f64::consts::PI).abs() < 1e-9);
        // The network itself drifts as the ring says.
        let theta = 0.3 + verdict.points[0].place;
        let mut x = faer::Mat::from_fn(64, 1, |i, _| ring.state(theta)[i]);
        advance(&rnn, &mut x, 20.0, 0.05);
        let steps = 400;
        let h = 20.0 / f64::from(steps);
        let mut angle = theta;
        for _ in 0..steps {
            let middle = angle + 0.5 * h * ring.speed(angle);
            angle += h * ring.speed(middle);
        }
        let moved = ring.angle(x.col_as_slice(0)) - angle.rem_euclid(std::f64::consts::TAU);
        assert!(moved.abs() < 1e-7, "{moved}");
    }
    for (seed, expected) in [(0, 0), (3, 8)] {
        let rnn = perturbed(0.05, seed);
        let ring = Ring::find(&rnn, &center, &RingOptions::default(), &false.into()).unwrap();
        let verdict = Attractor::of_ring(&rnn, &ring, &bounds).unwrap();
        println!("seed {seed}: {}", verdict.sentence);
        assert!(!verdict.is_attractor() && verdict.points.len() == expected);
    }
}

/// dx/dt = (1/2 - x² - y²) x - 3 y, dy/dt = 3 x + (1/2 - x² - y²) y, dz/dt = -z: eigenvalues 0.5 ± 3 i and -1 at 0.
struct Hopf;

impl System for Hopf {
    fn dimension(&self) -> usize {
        3
    }

    fn kind(&self) -> Kind {
        Kind::Flow
    }

    fn value(&self, x: &[f64], out: &mut [f64]) {
        let growth = 0.5 - x[0] * x[0] - x[1] * x[1];
        out.copy_from_slice(&[growth * x[0] - 3.0 * x[1], 3.0 * x[0] + growth * x[1], -x[2]]);
    }

    fn jacobian(&self, x: &[f64], mut out: MatMut<'_, f64>) {
        let growth = 0.5 - x[0] * x[0] - x[1] * x[1];
        let own = |k: usize| growth - 2.0 * x[k] * x[k];
        let both = -2.0 * x[0] * x[1];
        let rows = [[own(0), both - 3.0, 0.0], [both + 3.0, own(1), 0.0], [0.0, 0.0, -1.0]];
        (0..9).for_each(|k| out[(k / 3, k % 3)] = rows[k / 3][k % 3]);
    }
}

/// The third eigenvalue is nearer to the real part of the pair than the pair itself.
#[test]
fn a_cycle_around_a_focus_is_found_in_its_plane() {
    let options = RingOptions { step: 0.05, ..RingOptions::default() };
    let ring = Ring::find(&Hopf, &[0.0; 3], &options, &false.into()).unwrap();
    let verdict = Attractor::of_ring(&Hopf, &ring, &Bounds::default()).unwrap();
    println!("amplitude {:.9}, change {:.0e}; {}", ring.amplitude, ring.change, verdict.sentence);
    assert_eq!(verdict.verdict, Verdict::Cycle);
    assert_eq!(verdict.sentence, "not a ring attractor but a cycle: no fixed point on it");
    assert!(verdict.points.is_empty() && (verdict.normal_rate + 1.0).abs() < 1e-5, "{}", verdict.normal_rate);
    for k in 0..10 {
        let theta = 0.6 * f64::from(k);
        assert!((ring.radius(theta) - 0.5_f64.sqrt()).abs() < 1e-5, "{}", ring.radius(theta));
        assert!((ring.speed(theta).abs() - 3.0).abs() < 1e-5, "{}", ring.speed(theta));
    }
}
