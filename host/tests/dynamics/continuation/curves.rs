//! Fold curves and cusps in two parameters.

use std::sync::atomic::AtomicBool;

use tinyfold::dynamics::continuation::{
    Bifurcation, Codimension, Plane, Settings, Slice, Special, Start, continuation, fold_curves,
};
use tinyfold::dynamics::{Kind, Parameter, Path, Rnn};

use super::{all, check_index, cpu_seconds, found, mante, near, only, plain, run, textbook};

/// h' = tanh(w h + b) in (b, w).
fn tanh_plane() -> Plane {
    let network = plain(faer::mat![[1.0]]);
    let rnn = Rnn::new(&network, &[0.0], Kind::Map).unwrap();
    Plane { rnn, parameters: [Parameter::bias(&network, 0), Parameter::weights(1)] }
}

#[test]
fn folds_and_cusp_of_one_neuron() {
    let reference = &textbook()["tanh_1d_map"];
    let plane = tanh_plane();
    let slice = Slice { plane: &plane, second: 2.0 };
    let diagram = run(&slice, &[(-1.0, &[-1.0])], -1.5, 1.5);
    let mut folds = all(&diagram, Bifurcation::Fold);
    assert_eq!(folds.len(), 2);
    folds.sort_by(|a, b| a.mu.total_cmp(&b.mu));
    for (fold, k) in [(folds[0], 0), (folds[1], 1)] {
        near(fold.mu, reference["folds_w2"]["b"][k].as_f64().unwrap());
        near(fold.x[0], reference["folds_w2"]["h"][k].as_f64().unwrap());
    }
    check_index(&slice, &diagram);
    let settings = Settings::new(-1.0, 1.0);
    let ranges = [(-1.0, 1.0), (0.5, 2.5)];
    // Both folds are on one curve; one that is none is named, and the others are followed.
    let astray = Special { x: vec![f64::NAN], ..folds[0].clone() };
    let folds = [&astray, folds[0], folds[1]];
    let stop = AtomicBool::new(false);
    let (curves, failed) = fold_curves(&plane, &folds, 2.0, ranges, &settings, &stop).unwrap();
    assert_eq!((curves.len(), failed), (1, vec![0]));
    let curve = &curves[0];
    println!("fold curve: {} points, {:?}", curve.points.len(), curve.ends);
    for point in &curve.points {
        // w (1 - h²) = 1, b = atanh h - w h.
        let (w, h) = (point.mu[1], point.x[0]);
        assert!((w * (1.0 - h * h) - 1.0).abs() < 1e-9 && (h.atanh() - w * h - point.mu[0]).abs() < 1e-9);
    }
    let cusps: Vec<_> = curve.special.iter().filter(|special| special.0 == Codimension::Cusp).collect();
    assert_eq!(cusps.len(), 1);
    println!("cusp at w = {}, b = {}, h = {}", cusps[0].2.mu[1], cusps[0].2.mu[0], cusps[0].2.x[0]);
    near(cusps[0].2.mu[1], reference["cusp"]["w"].as_f64().unwrap());
    near(cusps[0].2.mu[0], reference["cusp"]["b"].as_f64().unwrap());
    near(cusps[0].2.x[0], reference["cusp"]["h"].as_f64().unwrap());
    // Pitchfork and flip in the weight at b = 0.
    let rnn = Rnn::new(&plain(faer::mat![[1.0]]), &[0.0], Kind::Map).unwrap();
    let path = Path { rnn, parameter: Parameter::weights(1) };
    let diagram = run(&path, &[(0.3, &[0.0])], -1.5, 2.0);
    near(all(&diagram, Bifurcation::Pitchfork)[0].mu, reference["pitchfork_w"].as_f64().unwrap());
    near(only(&diagram, Bifurcation::Flip).mu, reference["flip_w"].as_f64().unwrap());
    check_index(&path, &diagram);
}

/// Fold curves of the graded network: folds of the motion sweep meet in cusps as the context fades, and every
/// point of a curve is a fold of the sweep at its second parameter.
#[test]
fn fold_curves_of_the_graded_network() {
    let (network, path) = mante([0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 1.0, 0.0]);
    let second = Parameter::input(&network, &[0.0, 0.0, 1.0, 0.0], 2);
    let plane = Plane { rnn: path.rnn.clone(), parameters: [path.parameter.clone(), second] };
    let x = found(&path, &[0.0]);
    let settings = Settings::new(-0.1, 0.1);
    let stop = AtomicBool::new(false);
    let diagram = continuation(&path, &x, &settings, &stop).unwrap();
    let folds: Vec<&Special> = diagram.folds().collect();
    assert_eq!(folds.len(), 6);
    let before = cpu_seconds();
    let curves = fold_curves(&plane, &folds, 1.0, [(-0.1, 0.1), (0.6, 1.3)], &settings, &stop).unwrap().0;
    println!("{} curves, {:.0} ms", curves.len(), 1e3 * (cpu_seconds() - before));
    for curve in &curves {
        println!("  {} points, {:?}", curve.points.len(), curve.ends);
        for (kind, _, point) in &curve.special {
            println!("    {kind:?} at {:?}, a = {:.1e}", point.mu, point.a);
        }
    }
    let point = &curves[0].points[curves[0].points.len() / 2];
    let slice = Slice { plane: &plane, second: point.mu[1] };
    let start = [Start { mu: point.mu[0], x: point.x.clone() }];
    let there = continuation(&slice, &start, &settings, &stop).unwrap();
    assert!(there.folds().any(|fold| (fold.mu - point.mu[0]).abs() < 1e-9));
}
