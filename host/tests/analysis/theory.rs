//! The linear network with one channel: the reduction against training of all weights, solutions, Hessian, convergence.

use faer::Mat;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tinyfold::design::random_frozen;
use tinyfold::manifold::growth::exponential;
use tinyfold::network::{Activation, Recurrence};
use tinyfold::task::Integration;
use tinyfold::theory::{Reduced, Study, Two, gaussian};
use tinyfold::train::average;
use tinyfold::train::bptt::Fixed;
use tinyfold::train::optimiser::Method;
use tinyfold::train::parameters::{Parameters, Weights};
use tinyfold::train::settings::{Loss, Schedule};
use tinyfold::train::vectors::vectors;
use tinyfold::train::{Control, Precision, Settings, train};

const NULL: Two = [[0.0; 2]; 2];

fn task(decay: f64, scale: f64) -> Integration {
    Integration { decays: vec![decay], scales: vec![scale] }
}

fn fixed(encoder: &Mat<f64>, decoder: &Mat<f64>, scale: f64) -> Fixed<f64> {
    Fixed {
        activation: Activation::Linear,
        alpha: 1.0,
        encoder: encoder.clone(),
        decoder: decoder.clone(),
        bias: None,
        current: None,
        nonlinear_decoder: false,
        signs: None,
        weight: vec![1.0 / (scale * scale)],
    }
}

/// The average loss of all n² weights and its gradient.
fn full(w: &Mat<f64>, fixed: &Fixed<f64>, task: &Integration, steps: usize) -> (f64, Mat<f64>) {
    let weights = Weights::Dense(w.clone());
    let parameters =
        Parameters { weights, input: None, encoder: None, bias: None, readout: None, output_bias: None };
    let (loss, gradient) = average::loss_and_gradient(fixed, &parameters, task, steps);
    let Weights::Dense(gradient) = gradient.weights else { panic!("dense") };
    (loss, gradient)
}

fn matrix(a: &Two) -> Mat<f64> {
    Mat::from_fn(2, 2, |i, j| a[i][j])
}

/// 400 epochs of a contracting map from numbers of size 1: rounding of some 1e-15 a step, at most added up 4e-13.
#[test]
fn the_reduced_descent_is_that_of_all_weights() {
    let (n, steps, rate) = (40, 4, 0.3);
    let (e, d) = random_frozen(n, 1, 3);
    let task = task(0.9, 0.7);
    let (problem, q) = Reduced::of_vectors(&e, &d, &task, steps).expect("one channel");
    let fixed = fixed(&e, &d, 0.7);
    // What W does outside the span of e and d, from outside to outside.
    let (noise, _) = random_frozen(n, n, 5);
    let out = Mat::<f64>::identity(n, n) - &q * q.transpose();
    let outside = &out * &noise * &out;
    for (start, outside) in [(NULL, Mat::zeros(n, n)), (gaussian(0.3, 1), outside)] {
        let mut w = &q * matrix(&start) * q.transpose() + &outside;
        for _ in 0..400 {
            let (_, gradient) = full(&w, &fixed, &task, steps);
            w -= faer::Scale(rate) * gradient;
        }
        let (a, losses) = problem.descend(&start, rate, 400).expect("converges");
        let expected = &q * matrix(&a) * q.transpose() + &outside;
        assert!(
            (&w - expected).norm_max() < 4e-13,
            "{:e}",
            (&w - &q * matrix(&a) * q.transpose()).norm_max()
        );
        let (loss, _) = full(&w, &fixed, &task, steps);
        let &(epoch, last) = losses.last().expect("losses");
        assert!(epoch == 400 && (loss - last).abs() < 4e-13 && last < 0.01 * losses[0].1);
    }
    // A Gaussian W mixes: then W leaves the family.
    let mixed = random_frozen(n, n, 5).0;
    let (_, gradient) = full(&mixed, &fixed, &task, steps);
    assert!((&out * gradient).norm_l2() > 1e-3);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_gradient_is_that_of_finite_differences(
        entries in prop::array::uniform4(-1.0..1.0_f64),
        overlap in -0.9..0.9_f64,
        steps in 1..8_usize,
        scale in 0.2..3.0_f64,
    ) {
        let problem = Reduced::new(0.9, scale, steps, overlap).expect("in range");
        let a = [[entries[0], entries[1]], [entries[2], entries[3]]];
        let gradient = problem.gradient(&a);
        // Central differences: h² / 6 times a third derivative, and rounding 1e-16 / h, both of the loss and larger.
        let size = 1.0 + problem.loss(&a) + gradient.as_flattened().iter().fold(0.0, |m: f64, g| m.max(g.abs()));
        for k in 0..4 {
            let shifted = |h: f64| {
                let mut a = a;
                a.as_flattened_mut()[k] += h;
                problem.loss(&a)
            };
            let slope = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
            prop_assert!((slope - gradient.as_flattened()[k]).abs() < 1e-6 * size);
        }
    }

    /// A(t) has d · l = 1, r · e = s and one eigenvalue gamma; entries of size |A| lose |A|⁴ of rounding at worst.
    #[test]
    fn every_point_of_the_isoscale_family_solves_for_all_times(
        t in -3.0..3.0_f64,
        overlap in -0.9..0.9_f64,
        scale in 0.2..3.0_f64,
    ) {
        let problem = Reduced::new(0.95, scale, 3, overlap).expect("in range");
        let a = problem.isoscale(t).expect("no such t hits the pole");
        let size = a.as_flattened().iter().fold(1.0, |m: f64, x| m.max(x.abs()));
        let bound = (1e-15 * size.powi(4)).powi(2).max(1e-28);
        prop_assert!(problem.loss(&a) < bound, "{:e} {bound:e}", problem.loss(&a));
        let long = Reduced { steps: 300, ..problem };
        prop_assert!(long.loss(&a) < 1e4 * bound, "{:e} {bound:e}", long.loss(&a));
        // Rank 1 with eigenvalue gamma.
        let [first, second] = tinyfold::theory::eigenvalues(&a);
        prop_assert!((first.0 - 0.95).abs() < 1e-13 * size * size && second.0.abs() < 1e-13 * size * size);
    }
}

#[test]
fn three_steps_are_enough_and_two_are_not() {
    let start = gaussian(0.5, 3);
    let long = |problem: &Reduced| Reduced { steps: 200, ..problem.clone() };
    for overlap in [-0.3, 0.0, 0.2] {
        let problem = Reduced::new(0.9, 1.0, 3, overlap).expect("in range");
        let (a, losses) = problem.descend(&start, 0.2, 60_000).expect("converges");
        assert!(losses.last().expect("losses").1 < 1e-20, "{losses:?}");
        assert!(long(&problem).loss(&a) < 1e-14, "{overlap}: {:e}", long(&problem).loss(&a));
        let two = Reduced { steps: 2, ..problem };
        let (a, losses) = two.descend(&start, 0.2, 60_000).expect("converges");
        assert!(losses.last().expect("losses").1 < 1e-20);
        assert!(long(&two).loss(&a) > 1e-4, "{overlap}: {:e}", long(&two).loss(&a));
    }
}

/// Second differences of the full loss at a solution, n = 5: with h = 1e-4 the rounding of the gradient, 1e-16 / h,
/// and the third derivative times h² / 6 are below 1e-6 of the largest eigenvalue, which is a few units.
#[test]
fn the_hessian_is_that_of_all_weights() {
    let n = 5;
    let (e, d) = random_frozen(n, 1, 8);
    for steps in [3, 6] {
        let task = task(0.9, 1.3);
        let (problem, q) = Reduced::of_vectors(&e, &d, &task, steps).expect("one channel");
        let fixed = fixed(&e, &d, 1.3);
        let a = problem.least_isoscale().expect("not the dot scale");
        let w = &q * matrix(&a) * q.transpose();
        let column = |k: usize| {
            let at = |h: f64| {
                let mut w = w.clone();
                w[(k % n, k / n)] += h;
                full(&w, &fixed, &task, steps).1
            };
            faer::Scale(1.0 / 2e-4) * (at(1e-4) - at(-1e-4))
        };
        let columns: Vec<Mat<f64>> = (0..n * n).map(column).collect();
        let hessian = Mat::from_fn(n * n, n * n, |i, j| columns[j][(i % n, i / n)]);
        let symmetric = faer::Scale(0.5) * (&hessian + hessian.transpose());
        let found = symmetric.self_adjoint_eigenvalues(faer::Side::Lower).expect("converges");
        let expected = problem.hessian_eigenvalues(&a).expect("converges");
        println!("T = {steps}: {expected:?}");
        for k in 0..n * n {
            let value = found[n * n - 1 - k];
            let expected = expected.get(k).copied().unwrap_or(0.0);
            assert!((value - expected).abs() < 1e-5 * found[n * n - 1], "{k}: {value:e} {expected:e}");
        }
        // Three count, the fourth is along the family.
        assert!(expected[2] > 1e-4 * expected[0] && expected[3] < 1e-12 * expected[0]);
        assert!((problem.condition(&a).expect("converges") * expected[2] / expected[0] - 1.0).abs() < 1e-12);
    }
}

#[test]
fn the_null_direction_of_the_hessian_is_along_the_family() {
    let problem = Reduced::new(0.95, 1.0, 5, 0.3).expect("in range");
    let point = |t: f64| problem.isoscale(t).expect("no pole");
    // Second order in h along the family, and of order h across it.
    let move_by = |step: &[f64], h: f64| {
        let mut a = point(0.5);
        let length = step.iter().map(|x| x * x).sum::<f64>().sqrt();
        a.as_flattened_mut().iter_mut().zip(step).for_each(|(a, step)| *a += h * step / length);
        problem.loss(&a)
    };
    let tangent: Vec<f64> =
        (0..4).map(|k| point(0.5 + 1e-6).as_flattened()[k] - point(0.5 - 1e-6).as_flattened()[k]).collect();
    // loss = c h² across, c h⁴ along.
    let [along, less] = [1e-2, 1e-3].map(|h| move_by(&tangent, h));
    assert!((along / less).log10() > 3.5, "{along:e} {less:e}");
    let [across, less] = [1e-2, 1e-3].map(|h| move_by(&[1.0, 0.0, 0.0, 0.0], h));
    assert!(((across / less).log10() - 2.0).abs() < 0.2, "{across:e} {less:e}");
}

/// At the dot scale a null start is algebraic, L ~ t⁻² (the local exponent of 1 / (t + t_0)² is a little above -2); a
/// Gaussian start, or another scale, is exponential.
#[test]
fn algebraic_and_exponential_convergence_are_told_apart() {
    let problem = Reduced::new(0.995, 1.0, 3, 0.4).expect("in range");
    let study = Study::new(&problem, 0.02, 1_000_000, 0).expect("converges");
    let [null, random, null_other, random_other] = study.descents.as_slice() else { panic!("four") };
    for curve in &study.descents {
        println!("{}: {:?} {:?}", curve.name, curve.power, curve.exponential);
    }
    let law = null.power.expect("points");
    let worse = null.exponential.expect("points").r_squared;
    assert!(worse < 0.98, "{worse}");
    assert!(null.is_algebraic() == Some(true) && (law.exponent + 2.0).abs() < 0.05, "{law:?}");
    assert!(1.0 - law.r_squared < 1e-6 && null.losses.last().expect("losses").1 > 1e-12);
    for curve in [random, null_other, random_other] {
        let law = curve.exponential.expect("points");
        assert!(curve.power.expect("points").r_squared < 0.98, "{}", curve.name);
        assert!(
            curve.is_algebraic() == Some(false) && 1.0 - law.r_squared < 1e-6 && law.rate < 0.0,
            "{}: {law:?}",
            curve.name
        );
        assert!(curve.losses.last().expect("losses").1 < 1e-20);
    }
}

/// A descent that has hardly begun follows no law, and is not said to.
#[test]
fn too_few_epochs_tell_no_law() {
    let problem = Reduced::new(0.995, 1.0, 3, 0.4).expect("in range");
    let study = Study::new(&problem, 0.02, 1, 0).expect("converges");
    assert!(study.descents.iter().all(|curve| curve.is_algebraic().is_none()));
    let refused = |steps, rate, epochs| {
        let problem = Reduced::new(0.995, 1.0, steps, 0.4).expect("in range");
        Study::new(&problem, rate, epochs, 0).expect_err("out of range").to_string()
    };
    assert_eq!(refused(3, 0.02, 0), "epochs: expected at least 1, found 0");
    assert_eq!(refused(3, 0.0, 9), "rate: expected a positive number, found 0");
    assert!(refused(1_000_000, 0.02, 9).starts_with("steps: expected from 3, "));
}

/// Near a solution the slowest mode falls as (1 - rate lambda_3)^t, and the loss as its square.
#[test]
fn the_rate_of_convergence_is_the_third_eigenvalue() {
    let (rate, start) = (0.1, gaussian(0.3, 2));
    let problem = Reduced::new(0.9, 1.0, 5, 0.2).expect("in range");
    let (a, losses) = problem.descend(&start, rate, 20_000).expect("converges");
    let values = problem.hessian_eigenvalues(&a).expect("converges");
    let tail = losses.iter().filter(|point| point.1 < 1e-10 && point.1 > 1e-24);
    let law = exponential(tail.map(|&(t, loss)| (t as f64, loss))).expect("points");
    let expected = 2.0 * (1.0 - rate * values[2]).ln();
    assert!((law.rate / expected - 1.0).abs() < 0.01, "{} {expected}", law.rate);
}

/// `reduced = true` of training is this problem: plain descent on the average loss from a null start ends at the same A.
#[test]
fn training_with_the_reduction_is_its_descent() {
    let (rate, epochs) = (0.3, 2000);
    let settings = Settings {
        neurons: 100,
        task: task(0.95, 1.0).into(),
        activation: "linear".into(),
        reduced: true,
        loss: Loss::Average,
        sequence: 3,
        method: Method::Sgd { momentum: 0.0 },
        learning_rate: rate,
        schedule: Schedule::Constant,
        clip: 1e9,
        weight_decay: 0.0,
        steps: epochs,
        interval: epochs,
        precision: Precision::F64,
        ..Settings::default()
    };
    let trained = train(&settings, None, &mut |_| Control::Continue).expect("trains");
    let (e, d) = vectors(&settings);
    let (problem, q) = Reduced::of_vectors(&e, &d, &task(0.95, 1.0), 3).expect("one channel");
    let (a, losses) = problem.descend(&NULL, rate, epochs).expect("converges");
    let expected = &q * matrix(&a) * q.transpose();
    let difference = (trained.network.weights() - expected).norm_max();
    // Two thousand roundings of entries of size 1 / sqrt(n) of a contracting map.
    assert!(difference < 1e-12, "{difference:e}");
    assert!(losses.last().expect("losses").1 < 1e-3 * losses[0].1);
    let Recurrence::LowRank { u, v } = &trained.network.recurrence else { panic!("low rank") };
    assert_eq!((u.shape(), v.shape()), ((100, 2), (100, 2)));

    // By Adam from a Gaussian start, to a network that integrates.
    let quick = Settings {
        method: Method::Adam,
        learning_rate: 0.01,
        schedule: Schedule::Cosine,
        start_gain: 0.3,
        steps: 20_000,
        interval: 10_000,
        ..settings
    };
    let trained = train(&quick, None, &mut |_| Control::Continue).expect("trains");
    assert!(trained.best.rollout < 1e-6, "{:e}", trained.best.rollout);

    let two = Integration { decays: vec![0.9; 2], scales: vec![1.0; 2] };
    let message = Reduced::of_vectors(&e, &d, &two, 3).expect_err("refused").to_string();
    assert!(message.starts_with("task of the 2 × 2 reduction: expected 1 channel"), "{message}");
    let message = problem.descend(&NULL, 1e3, 100_000).expect_err("refused").to_string();
    assert!(message.contains("the loss is not finite at epoch"), "{message}");
}

#[test]
fn bad_numbers_are_refused_by_name() {
    let message = |decay, scale, steps, overlap| {
        Reduced::new(decay, scale, steps, overlap).expect_err("refused").to_string()
    };
    assert_eq!(message(0.9, 1.0, 3, 1.0), "overlap: expected above -1 and below 1, found 1");
    assert_eq!(message(1.0, 1.0, 3, 0.1), "decay: expected above 0 and below 1, found 1");
    assert_eq!(message(0.9, 0.0, 3, 0.1), "scale: expected a number that is not 0, found 0");
    assert_eq!(message(0.9, 1.0, 0, 0.1), "steps: expected at least 1, found 0");
    let two = Reduced::new(0.9, 1.0, 2, 0.5).expect("in range");
    let few = Study::new(&two, 0.1, 10, 0).expect_err("refused").to_string();
    let expected = "steps: expected from 3, fewer do not tell what holds at all times, to 10000, found 2";
    assert_eq!(few, expected);
    let dot = Reduced::new(0.9, 0.5, 3, 0.5).expect("in range");
    assert!(dot.isoscale(0.3).is_none() && dot.least_isoscale().is_err());
    assert!(Study::new(&dot, 0.1, 10, 0).is_err());
}

#[test]
fn the_command_prints_and_draws() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_tinyfold"))
        .args(["theory", "--epochs", "200000", "--figures", "figures", "--out", "theory.json"])
        .current_dir(folder.path())
        .output()
        .expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.starts_with("linear, D = 1: gamma = 0.995, s = 1, T = 3, e · d = 0.400\n"), "{text}");
    assert!(text.contains("algebraic") && text.contains("exponential"), "{text}");
    for name in ["isoscale", "hessian", "convergence"] {
        for ending in ["svg", "png"] {
            let path = folder.path().join("figures").join(format!("{name}.{ending}"));
            assert!(std::fs::metadata(&path).is_ok_and(|file| file.len() > 1000), "{name}.{ending}");
        }
    }
    let text = std::fs::read_to_string(folder.path().join("theory.json")).expect("written");
    let study: Study = serde_json::from_str(&text).expect("reads back");
    assert_eq!((study.descents.len(), study.with_steps.len()), (4, 28));
}
