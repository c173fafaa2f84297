//! Planes around fixed points.

use std::sync::Arc;

use tinyfold::design::exact::{Spec, exact};
use tinyfold::dynamics::slow_manifold::{Attractor, Bounds, Surface, Verdict};
use tinyfold::dynamics::{Kind, Rnn, advance};
use tinyfold::network::{Activation, Form};
use tinyfold::task::Integration;

fn judged(rnn: &Rnn, reach: f64) -> (Surface, Attractor) {
    let surface = Surface::around(rnn, &vec![0.0; rnn.drive.len()], reach).unwrap();
    let verdict = Attractor::of_surface(rnn, &surface, &Bounds::default()).unwrap();
    println!("{} ({}): {}", verdict.verdict as u8, surface.description, verdict.sentence);
    (surface, verdict)
}

/// Uncoupled neurons of rate form without leak.
fn uncoupled(activation: Activation<f64>, values: &[f64]) -> Rnn {
    let n = values.len();
    let w = Arc::new(faer::Mat::from_fn(n, n, |i, j| if i == j { values[i] } else { 0.0 }));
    Rnn { kind: Kind::Map, form: Form::Rate, alpha: 1.0, activation, w, drive: vec![0.0; n] }
}

#[test]
fn a_plane_of_fixed_points_is_an_attractor() {
    let (surface, found) = judged(&uncoupled(Activation::Linear, &[1.0, 1.0, 0.5]), 2.0);
    assert_eq!((found.verdict, found.points.len(), surface.reach), (Verdict::Attractor, 0, 2.0));
    assert!((found.length - 4.0).abs() < 1e-9 && (found.normal_rate - 0.5_f64.ln()).abs() < 1e-9);
    assert_eq!((found.drift.shortest, found.drift.stay, found.slow_part), (None, 1.0, 1.0));
    assert!(found.sentence.starts_with("plane attractor: nowhere faster than 1e-9"));
    // Beside it nothing comes or goes; from it states go.
    let (_, found) = judged(&uncoupled(Activation::Linear, &[1.0, 1.0, 1.0 - 1e-13]), 1.0);
    assert_eq!(found.verdict, Verdict::Neutral, "{}", found.sentence);
    // The two slowest directions are the growing one and one of the others.
    let (_, found) = judged(&uncoupled(Activation::Linear, &[1.2, 1.1, 1.05]), 1.0);
    assert_eq!(found.verdict, Verdict::Repelling, "{}", found.sentence);
}

/// p = (0.9995^t p1, 0.999^t p2): errors over the disc of radius 1, by its diameter of 2, are known.
#[test]
fn a_leaky_plane_is_slow_and_forgets_as_its_decays_say() {
    let (_, found) = judged(&uncoupled(Activation::Linear, &[0.9995, 0.999, 0.3]), 1.0);
    assert_eq!((found.verdict, found.points.len(), found.points[0].name), (Verdict::Slow, 1, "node"));
    assert!((found.largest_speed - 0.0005).abs() < 1e-12, "{}", found.largest_speed);
    assert!((found.tangential_rate - 0.001).abs() < 1e-9 && (found.normal_rate - 0.3_f64.ln()).abs() < 1e-9);
    for &(t, error) in found.memory.iter().filter(|point| point.0 >= 1.0) {
        let [a, b] = [0.9995_f64, 0.999].map(|decay| 1.0 - decay.powf(t));
        // The mean of p1² over a disc is 1/4.
        let expected = ((a * a + b * b) / 16.0).sqrt();
        assert!((error - expected).abs() < 0.03 * expected, "{t}: {error} {expected}");
    }
    // At |p| = 1 along p2, 0.2 is gone when 0.999^t = 0.8.
    let shortest = found.drift.shortest.unwrap();
    assert!(
        (0.8_f64.ln() / 0.999_f64.ln()..1.2 * 0.8_f64.ln() / 0.999_f64.ln()).contains(&shortest),
        "{shortest}"
    );
    // Fast rotation is no memory, however slowly it decays.
    let (s, c) = 0.5_f64.sin_cos();
    let mut turning = uncoupled(Activation::Tanh, &[0.0, 0.0, 0.3]);
    turning.w =
        Arc::new(faer::mat![[0.999 * c, -0.999 * s, 0.0], [0.999 * s, 0.999 * c, 0.0], [0.0, 0.0, 0.3]]);
    let (surface, found) = judged(&turning, 0.5);
    assert_eq!((found.verdict, found.points.len()), (Verdict::Chain, 1), "{}", found.sentence);
    assert!(surface.residual < 1e-4 * surface.reach);
    // tanh is slow near 0 and not far from it.
    let near = judged(&uncoupled(Activation::Tanh, &[0.9999, 0.9998, 0.3]), 0.2).1;
    assert_eq!(near.verdict, Verdict::Slow, "{}", near.sentence);
    let (surface, far) = judged(&uncoupled(Activation::Tanh, &[0.9999, 0.9998, 0.3]), 1.0);
    assert!(far.largest_speed > 5.0 * near.largest_speed && surface.reach > 0.2, "{}", surface.reach);
}

/// An exact ReLU integrator of two signals: a plane of its latent though every neuron has a corner in its middle.
#[test]
fn an_exact_integrator_has_a_plane_and_keeps_what_the_verdict_says() {
    for activation in [Activation::Relu, Activation::Linear] {
        let task = Integration { decays: vec![0.9995, 0.999], scales: vec![1.0; 2] };
        let spec = Spec { neurons: 32, task, activation, seed: 1, encoder: None, decoder: None };
        let network = exact(&spec).unwrap().network;
        let rnn = Rnn::new(&network, &[0.0; 2], Kind::Map).unwrap();
        let (surface, found) = judged(&rnn, 1.0);
        assert_eq!(surface.description, "the latent of weights of rank 2");
        assert!(surface.residual < 1e-12, "{}", surface.residual);
        assert_eq!((found.verdict, found.points.len()), (Verdict::Slow, 1), "{}", found.sentence);
        let values: Vec<f64> = found.points[0].eigenvalues.iter().map(|value| value.0).collect();
        assert!((values[0] - 0.9995).abs() < 1e-8 && (values[1] - 0.999).abs() < 1e-8, "{values:?}");
        assert_eq!(found.points[0].name, "node");
        // The rates of the task: 1 - 0.9995 and 1 - 0.999, in coordinates that are not orthogonal.
        assert!((0.0009..0.01).contains(&found.tangential_rate), "{}", found.tangential_rate);
        // The network itself goes where the plane says.
        let p = vec![0.4, -0.3];
        let mut x = faer::Mat::from_fn(32, 1, |i, _| surface.state(&p)[i]);
        advance(&rnn, &mut x, 200.0, 1.0);
        let predicted = (0..200).fold(p, |p, _| {
            let by = surface.speed(&p);
            vec![p[0] + by[0], p[1] + by[1]]
        });
        let off = surface.state(&predicted).into_iter().zip(x.col_as_slice(0)).map(|(a, b)| (a - b).abs());
        assert!(off.fold(0.0, f64::max) < 1e-12);
    }
}

#[test]
fn what_has_no_plane_is_said() {
    let refused = |rnn: &Rnn, reach: f64| {
        Surface::around(rnn, &vec![0.0; rnn.drive.len()], reach).unwrap_err().to_string()
    };
    let linear = |values: &[f64]| uncoupled(Activation::Linear, values);
    assert_eq!(refused(&linear(&[1.0; 3]), f64::NAN), "reach: expected above 0 and finite, found NaN");
    assert_eq!(refused(&linear(&[1.0]), 1.0), "neurons of a plane: expected at least 2, found 1");
    let corner = refused(&uncoupled(Activation::Relu, &[0.9, 0.8, 0.7]), 1.0);
    assert!(corner.contains("a neuron is 0.0e0 from a corner of its activation"), "{corner}");
}
