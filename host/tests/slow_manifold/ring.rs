//! The ring attractor and perturbed ones.

use std::f64::consts::TAU;

use tinyfold::dynamics::slow_manifold::{Attractor, Bounds, Ring, RingOptions, Verdict};
use tinyfold::dynamics::{Kind, Rnn, advance, spectrum};
use tinyfold::network::{Activation, Form};

use crate::{best_of, perturbed};

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

/// dx/dt = -x + W tanh x with the eigenvalues 0.5 ± 3 i and -1 at 0: a cycle in the plane of the pair, to whose real part
/// the third eigenvalue is nearer than the pair itself.
#[test]
fn a_cycle_around_a_focus_is_found_in_its_plane() {
    let w = faer::mat![[1.5, -3.0, 0.0], [3.0, 1.5, 0.0], [0.3, 0.2, 0.0]];
    let rnn = Rnn {
        kind: Kind::Flow,
        form: Form::Current,
        alpha: 0.1,
        activation: Activation::Tanh,
        w: std::sync::Arc::new(w),
        drive: vec![0.0; 3],
    };
    let values = spectrum::eigenvalues(&rnn, &[0.0; 3]).unwrap();
    let off = |k: usize, re: f64, im: f64| (values[k].re - re).hypot(values[k].im - im);
    assert!(off(0, 0.5, 3.0) + off(1, 0.5, -3.0) + off(2, -1.0, 0.0) < 1e-9, "{values:?}");
    let options = RingOptions { step: 0.05, ..RingOptions::default() };
    let ring = Ring::find(&rnn, &[0.0; 3], &options, &false.into()).unwrap();
    let verdict = Attractor::of_ring(&rnn, &ring, &Bounds::default()).unwrap();
    println!("amplitude {:.6}, change {:.0e}; {}", ring.amplitude, ring.change, verdict.sentence);
    assert_eq!(verdict.verdict, Verdict::Cycle);
    assert!(verdict.points.is_empty() && verdict.normal_rate < 0.0);
    // Once around in the time of the network itself.
    let period: f64 = (0..4096).map(|k| TAU / 4096.0 / ring.speed(TAU * f64::from(k) / 4096.0)).sum();
    let mut x = faer::Mat::from_fn(3, 1, |i, _| ring.state(1.0)[i]);
    advance(&rnn, &mut x, period.abs(), 0.01);
    let missed = (0..3).map(|i| (x[(i, 0)] - ring.state(1.0)[i]).abs()).fold(0.0, f64::max);
    assert!(missed < 1e-4, "{missed}");
}
