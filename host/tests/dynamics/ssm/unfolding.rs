//! Bifurcations that two coordinates and the parameter predict, against those of the full system.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use faer::mat;
use tinyfold::dynamics::continuation::{Bifurcation, Settings, Special, Start, continuation};
use tinyfold::dynamics::ssm::{Polynomial, Spectrum, Style};
use tinyfold::dynamics::{Family, Kind, Parameter, Path, Rnn, ssm};
use tinyfold::network::{Activation, Form};

use super::polished;

/// Four neurons of which two turn round each other; the factor of the weights moves.
fn spiral(kind: Kind, form: Form) -> Path {
    let (s, c) = 0.7_f64.sin_cos();
    let w = mat![[c, -s, 0.2, 0.0], [s, c, 0.0, 0.1], [0.3, -0.2, 0.4, 0.1], [0.1, 0.3, -0.2, 0.3]];
    let drive = vec![0.1, -0.2, 0.15, 0.05];
    let rnn = Rnn { kind, form, alpha: 0.5, activation: Activation::Tanh, w: Arc::new(w), drive };
    Path { rnn, parameter: Parameter::weights(4) }
}

fn special(family: &dyn Family, from: f64, x: &[f64], range: (f64, f64)) -> Vec<Special> {
    let starts = [Start { mu: from, x: x.to_vec() }];
    let settings = Settings::new(range.0, range.1);
    let found = continuation(family, &starts, &settings, &AtomicBool::new(false)).unwrap();
    found.branches.into_iter().flat_map(|branch| branch.special).collect()
}

#[test]
fn hopf_and_neimark_sacker_points_of_a_network_are_predicted() {
    for (kind, wanted) in [(Kind::Flow, Bifurcation::Hopf), (Kind::Map, Bifurcation::NeimarkSacker)] {
        for form in [Form::Rate, Form::Current] {
            let path = spiral(kind, form);
            let start = polished(&path, &[0.0; 4], 0.6).unwrap();
            let full = special(&path, 0.6, &start, (0.5, 1.8));
            let full = full.iter().find(|special| special.kind == wanted).expect("one");
            let from = full.mu - 0.1;
            let x = polished(&path, &[0.0; 4], from).unwrap();
            let spectrum = Spectrum::new(&path, &x, from).unwrap();
            assert!(spectrum.eigenvalues[0].im != 0.0);
            let (mut last, mut rest) = (f64::MAX, f64::MAX);
            for order in [3, 5, 7] {
                let found = ssm::pair_with_parameter(&path, &spectrum, 0, Style::Graph, order).unwrap();
                let predicted = found.bifurcations(&path, 1.0, 0.2).unwrap().bifurcations;
                let predicted = predicted.iter().find(|found| found.kind == wanted).expect("one");
                let error = (predicted.mu - full.mu).abs();
                let residual = found.residual(&path, &[0.03, 0.015, 0.03]);
                println!(
                    "{kind:?} {form:?} order {order}: {} {:.10}, error {error:.1e}, estimate {:.1e}; residual {residual:.1e}",
                    wanted.name(),
                    predicted.mu,
                    predicted.change.unwrap_or(f64::NAN)
                );
                assert!(error < 0.5 * last && residual < 0.5 * rest, "{error:.1e} {residual:.1e}");
                (last, rest) = (error, residual);
                if order == 7 {
                    assert!((predicted.angle.unwrap() - full.angle.unwrap()).abs() < 1e-6);
                    assert_eq!(predicted.supercritical, Some(full.cubic.unwrap() < 0.0));
                    assert!(error < 3.0 * predicted.change.unwrap());
                    let off = predicted.x.iter().zip(&full.x).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                    assert!(off < 1e-6, "{off:.1e}");
                }
            }
            assert!(last < 1e-7, "{last:.1e}");
            // In normal form z = 0 is the branch of fixed points.
            let normal = ssm::pair_with_parameter(&path, &spectrum, 0, Style::NormalForm, 7).unwrap();
            let there = polished(&path, &x, from + 0.05).unwrap();
            let state = normal.state(&[0.0, 0.0, 0.05]);
            let off = state.iter().zip(&there).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(off < 1e-7 && normal.reduced(&[0.0, 0.0, 0.05])[..2] == [0.0, 0.0], "{off:.1e}");
        }
    }
}

/// x' = mu - x² + 0.3 x y + 0.4 w, y' = -0.6 y + 0.2 x², w' = -40 w + 10 x y: a fold at mu = 0, from mu = 0.2; and the same as a map.
#[test]
fn a_fold_of_two_real_directions_is_predicted() {
    for kind in [Kind::Flow, Kind::Map] {
        // w is fast: no small multiple of the other rates is near its own.
        let (by, keep) = if kind == Kind::Flow { (1.0, 0.0) } else { (0.02, 1.0) };
        let system = (0..3).fold(Polynomial::new(3, kind), |system, k| system.term(k, keep, &[k]));
        let system = system
            .term(0, by, &[3])
            .term(0, -by, &[0, 0])
            .term(0, 0.3 * by, &[0, 1])
            .term(0, 0.4 * by, &[2])
            .term(1, -0.6 * by, &[1])
            .term(1, 0.2 * by, &[0, 0])
            .term(2, -40.0 * by, &[2])
            .term(2, 10.0 * by, &[0, 1]);
        let x = polished(&system, &[0.45, 0.07, 0.01], 0.2).unwrap();
        let spectrum = Spectrum::new(&system, &x, 0.2).unwrap();
        let (mut last, mut rest) = (f64::MAX, f64::MAX);
        for order in [3, 5, 7] {
            let found = ssm::plane_with_parameter(&system, &spectrum, [0, 1], order).unwrap();
            let predicted = found.bifurcations(&system, 1.0, 0.3).unwrap();
            let nearest = predicted.bifurcations.iter().find(|found| found.kind == Bifurcation::Fold);
            let error = nearest.expect("a fold").mu.abs();
            let residual = found.residual(&system, &[0.1, 0.05, 0.05]);
            println!("{kind:?} order {order}: fold, error {error:.1e}; residual {residual:.1e}");
            assert!(error < last && residual < 0.5 * rest + 2e-15);
            (last, rest) = (error, residual);
        }
        assert!(last < 1e-6, "{last:.1e}");
    }
}
