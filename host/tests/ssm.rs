//! Spectral submanifolds against references, textbook cases and the full systems.

mod dynamics;

use std::sync::Arc;
use std::time::Instant;

use dynamics::{network, numbers, path};
use faer::Mat;
use proptest::prelude::*;
use serde_json::Value;
use tinyfold::dynamics::ssm::{self, NormalForm, Polynomial, Spectrum, Style, c64, held};
use tinyfold::dynamics::{Family, Kind, Path, Rnn};
use tinyfold::network::{Activation, Form};

fn reference(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path(name)).unwrap()).unwrap()
}

fn kind(value: &Value) -> Kind {
    if value == "map" { Kind::Map } else { Kind::Flow }
}

/// Newton's method for a fixed point.
fn polished(family: &impl Family, mut x: Vec<f64>, mu: f64) -> Vec<f64> {
    use faer::linalg::solvers::Solve;
    let n = x.len();
    for _ in 0..20 {
        let (mut value, mut jacobian) = (vec![0.0; n], Mat::zeros(n, n));
        family.value(&x, mu, &mut value);
        family.jacobian(&x, mu, jacobian.as_mut());
        if family.kind() == Kind::Map {
            (0..n).for_each(|i| {
                value[i] -= x[i];
                jacobian[(i, i)] -= 1.0;
            });
        }
        let step = jacobian.partial_piv_lu().solve(Mat::from_fn(n, 1, |i, _| value[i]));
        (0..n).for_each(|i| x[i] -= step[(i, 0)]);
        if step.norm_max() < 1e-14 {
            break;
        }
    }
    x
}

fn largest(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// All 17 cases; errors of coefficient k are relative to max(1, |W_k|).
#[test]
fn lines_of_trained_networks_are_those_of_the_reference() {
    let mut cases = 0;
    let mut worst = 0.0_f64;
    for file in ["ssm_taylor_flow.json", "ssm_taylor_map.json"] {
        for case in reference(file)["cases"].as_array().unwrap() {
            let net = network(case["net"].as_str().unwrap());
            let family = held(Rnn::new(&net, &numbers(&case["u"]), kind(&case["kind"])).unwrap());
            let x = polished(&family, numbers(&case["W"][0]), 0.0);
            let spectrum = Spectrum::new(&family, &x, 0.0).unwrap();
            assert!((spectrum.eigenvalues[0].re - case["lam"].as_f64().unwrap()).abs() < 1e-12);
            let found = ssm::line(&family, &spectrum, 0, 9).unwrap();
            let mut error = largest(&found.left[0], &numbers(&case["l"]));
            let rates = numbers(&case["R"]);
            for k in 0..=9 {
                let expected = numbers(&case["W"][k]);
                let size = expected.iter().fold(1.0_f64, |most, x| most.max(x.abs()));
                error = error.max(largest(found.manifold.column(k, 0), &expected) / size);
                error = error.max((found.rates[0].get(k, 0, 0) - rates[k]).abs() / rates[k].abs().max(1.0));
            }
            for (p, expected) in case["resid_at_p"].as_object().unwrap() {
                let (p, expected) = (p.parse::<f64>().unwrap(), expected.as_f64().unwrap());
                let residual = found.residual(&family, &[p]);
                assert!(residual < 3.0 * expected + 1e-14, "{p}: {residual:.2e} {expected:.2e}");
            }
            println!(
                "{} {} {} point {}: largest error of a coefficient {error:.1e}, residual at 0.1 {:.1e}",
                case["net"],
                case["cond"],
                case["kind"],
                case["fp_index"],
                found.residual(&family, &[0.1])
            );
            assert!(error < 1e-10, "{error:.2e}");
            worst = worst.max(error);
            cases += 1;
        }
    }
    println!("{cases} cases, largest error {worst:.1e}");
    assert_eq!(cases, 17);
}

#[test]
fn the_plane_of_the_perturbed_ring_is_that_of_the_reference() {
    let expected = reference("ssm_ring_2d.json");
    let net = network("ring_tanh_n64_pert0.05");
    let family = held(Rnn::new(&net, &[0.0, 0.0], Kind::Flow).unwrap());
    let n = 64;
    let spectrum = Spectrum::new(&family, &vec![0.0; n], 0.0).unwrap();
    let found = ssm::plane(&family, &spectrum, [0, 1], 7).unwrap();
    // The reference chose its own signs of the two eigenvectors.
    let column = |name: &str, e: usize| -> Vec<f64> {
        (0..n).map(|u| expected[name][u][e].as_f64().unwrap()).collect()
    };
    let signs: Vec<f64> = (0..2)
        .map(|e| {
            let v = column("V", e);
            let sign = v.iter().zip(found.manifold.column(1, e)).map(|(a, b)| a * b).sum::<f64>().signum();
            let l: Vec<f64> = column("L", e).iter().map(|l| sign * l).collect();
            assert!(largest(&found.left[e], &l) < 1e-10);
            assert!((found.eigenvalues[e] - expected["lam"][e].as_f64().unwrap()).abs() < 1e-12);
            sign
        })
        .collect();
    let mut error = 0.0_f64;
    for k in 1..=7_usize {
        for i in 0..=k {
            let sign = signs[0].powi((k - i) as i32) * signs[1].powi(i as i32);
            let w: Vec<f64> = numbers(&expected["W"][k][i]).iter().map(|w| sign * w).collect();
            error = error.max(largest(found.manifold.column(k, i), &w));
            for e in 0..2 {
                let r = expected["R"][e][k][i].as_f64().unwrap() * sign * signs[e];
                error = error.max((found.rates[e].get(k, i, 0) - r).abs());
            }
        }
    }
    println!("perturbed ring, 2-D, order 7: largest error of a coefficient {error:.1e}");
    assert!(error < 1e-10, "{error:.2e}");
}

fn shaw_pierre() -> (Polynomial, Value) {
    let value = reference("shaw_pierre_ssm.json")["shaw_pierre"].clone();
    let number = |name: &str| value[name].as_f64().unwrap();
    let (k1, k2, c1, c2) = (number("k1"), number("k2"), number("c1"), number("c2"));
    let system = Polynomial::new(4, Kind::Flow)
        .term(0, 1.0, &[2])
        .term(1, 1.0, &[3])
        .term(2, -(k1 + k2), &[0])
        .term(2, k2, &[1])
        .term(2, -(c1 + c2), &[2])
        .term(2, c2, &[3])
        .term(2, -number("alpha"), &[0, 0, 0])
        .term(3, k2, &[0])
        .term(3, -(k1 + k2), &[1])
        .term(3, c2, &[2])
        .term(3, -(c1 + c2), &[3]);
    (system, value)
}

#[test]
fn shaw_pierre_is_that_of_the_reference_to_order_11() {
    let (system, expected) = shaw_pierre();
    let spectrum = Spectrum::new(&system, &[0.0; 4], 0.0).unwrap();
    let found = ssm::pair(&system, &spectrum, 0, Style::Graph, 11).unwrap();
    assert!((found.eigenvalues[0] - c64::new(-0.025, 0.999_687_451_156_610_5)).norm() < 1e-12);
    // The reference has v's first number 1: its coordinate is c z with c = our v's first number.
    let c = found.manifold.get(1, 0, 0);
    let mut error = 0.0_f64;
    for k in 1..=11_usize {
        for i in 0..=k {
            let to_reference = (0..k - i).fold(c64::new(1.0, 0.0), |f, _| f / c);
            let to_reference = (0..i).fold(to_reference, |f, _| f / c.conj());
            let at = |part: &str, u: usize| expected[part][k][i][u].as_f64().unwrap();
            let size = (0..4).map(|u| at("W_re", u).hypot(at("W_im", u))).fold(1.0, f64::max);
            for u in 0..4 {
                let w = found.manifold.get(k, i, u) * to_reference;
                error = error.max((w - c64::new(at("W_re", u), at("W_im", u))).norm() / size);
            }
            let r = |part: &str| expected[part][k][i].as_f64().unwrap();
            let r = c64::new(r("R1_re"), r("R1_im"));
            let rate = found.rates[0].get(k, i, 0) * to_reference * c;
            error = error.max((rate - r).norm() / r.norm().max(1.0));
        }
    }
    println!("Shaw-Pierre, 2-D, order 11: largest error of a coefficient {error:.1e}");
    assert!(error < 1e-10, "{error:.2e}");
    let mut last = f64::MAX;
    for order in [3, 5, 7, 9, 11] {
        // |z| = 0.1 of the reference.
        let residual = found.truncated(order).residual(&system, &[0.1 / c.norm(), 0.0]);
        println!("  order {order}: residual {residual:.1e}");
        assert!(residual < 0.2 * last);
        last = residual;
    }
    assert!(last < 1e-9);
    let normal = ssm::pair(&system, &spectrum, 0, Style::NormalForm, 11).unwrap();
    // The resonant cubic coefficient is the same in both styles, since there are no quadratic terms.
    let cubic = normal.rates[0].get(3, 1, 0) / (c * c.conj()).re;
    let expected = numbers(&expected["cubic_gamma"]);
    assert!((cubic - c64::new(expected[0], expected[1])).norm() < 1e-12, "{cubic}");
    let backbone = normal.backbone(&system, 0.3, 6).unwrap();
    assert!(backbone.points[5].frequency > backbone.points[0].frequency);
    assert!(backbone.points.iter().all(|point| point.damping < 0.0));
    // Free decay of the full system: the reduced trajectory is the full one.
    let comparison = found.compare(&system, &[0.2, 0.0], 0.05, 400).unwrap();
    println!("  free decay from |z| = 0.2, 20 time units: NMTE {:.1e}", comparison.nmte);
    assert!(comparison.nmte < 1e-6);
}

#[test]
fn folds_of_the_full_network_are_predicted() {
    let net = network("mante_tanh_n100_graded");
    let folds: Vec<f64> = reference("ssm_folds.json")["folds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fold| fold["mu"].as_f64().unwrap())
        .collect();
    let family = Path::between(&net, &[0.0, 0.0, 0.0, 1.0], &[0.0, 1.0, 0.0, 1.0], Kind::Flow).unwrap();
    let readout = |x: &[f64]| -> f64 {
        let rates = x.iter().enumerate().map(|(u, x)| net.readout[(0, u)] * x.tanh());
        rates.sum::<f64>() + net.output_bias[0]
    };
    let mut nearest = f64::MAX;
    for case in reference("ssm_taylor_flow.json")["cases"].as_array().unwrap() {
        if case["cond"] != "ctx_colour" || case["lam"].as_f64().unwrap() < 0.0 {
            continue;
        }
        let x = polished(&family, numbers(&case["W"][0]), 0.0);
        let spectrum = Spectrum::new(&family, &x, 0.0).unwrap();
        println!("saddle z = {:.3}", readout(&x));
        for order in [5, 9, 13, 17] {
            let found = ssm::with_parameter(&family, &spectrum, 0, order).unwrap();
            for fold in found.folds(&family, 2.0 * found.radius()).unwrap() {
                let error = folds.iter().map(|mu| (mu - fold.mu).abs()).fold(f64::MAX, f64::min);
                println!(
                    "  order {order}: fold mu = {:.10}, p = {:.3}, error {error:.1e}, estimate {:.1e}",
                    fold.mu, fold.p, fold.change
                );
                if order == 13 && fold.change < 1e-5 {
                    assert!(error < 3.0 * fold.change + 1e-12);
                    nearest = nearest.min(error);
                }
            }
        }
    }
    println!("nearest fold, order 13: error {nearest:.1e}");
    assert!(nearest < 1e-10, "{nearest:.1e}");
}

/// The radial function of the ring beyond the radius of convergence pi / 2.
#[test]
fn pade_approximants_reach_the_ring() {
    let net = network("ring_tanh_n64");
    let family = held(Rnn::new(&net, &[0.0, 0.0], Kind::Flow).unwrap());
    let spectrum = Spectrum::new(&family, &[0.0; 64], 0.0).unwrap();
    let found = ssm::line(&family, &spectrum, 0, 37).unwrap();
    // |v| = 1 for cos(theta) has the length sqrt(n / 2).
    let unit = 32.0_f64.sqrt();
    let ring = 2.016_928_070_158_473_3 * unit;
    println!("radius of convergence {:.4} (pi / 2 = 1.5708)", found.radius() / unit);
    println!("Taylor order 25 at the ring: {:.1e}", found.truncated(25).reduced(&[ring])[0].abs() / unit);
    let mut errors = Vec::new();
    for (l, m) in [(9, 8), (13, 12), (19, 18)] {
        let pade = found.pade(l, m).unwrap();
        let error = pade.reduced(ring).abs() / unit;
        println!("[{l}/{m}]: {error:.1e}, residual {:.1e}", pade.residual(&family, ring));
        errors.push(error);
        if l == 19 {
            let amplitude = pade.roots().into_iter().map(|p| p / unit - 2.016_928_070_158_473_3);
            let amplitude = amplitude.fold(f64::MAX, |least, error| least.min(error.abs()));
            println!("amplitude of the ring as a root of [19/18]: error {amplitude:.1e}");
            assert!(amplitude < 1e-9);
        }
    }
    assert!(errors[0] < 2e-5 && errors[1] < 1e-7 && errors[2] < 1e-9, "{errors:?}");
    assert!((found.radius() / unit / std::f64::consts::FRAC_PI_2 - 1.0).abs() < 0.05);
}

/// x' = x - x³, y' = -2 y + 4 x² - 2 x⁴: y = x², fixed points at x = -1, 0, 1, x(t) known.
#[test]
fn an_exact_manifold_is_found_with_its_fixed_points_and_trajectories() {
    let system = Polynomial::new(2, Kind::Flow)
        .term(0, 1.0, &[0])
        .term(0, -1.0, &[0, 0, 0])
        .term(1, -2.0, &[1])
        .term(1, 4.0, &[0, 0])
        .term(1, -2.0, &[0; 4]);
    let spectrum = Spectrum::new(&system, &[0.0; 2], 0.0).unwrap();
    let found = ssm::line(&system, &spectrum, 0, 9).unwrap();
    assert!((found.manifold.get(2, 0, 1) - 1.0).abs() < 1e-14);
    let others = (3..=9).map(|k| found.manifold.get(k, 0, 1).abs()).fold(0.0, f64::max);
    assert!(others < 1e-14);
    let roots = found.roots(&system, 2.0).unwrap();
    let places: Vec<f64> = roots.iter().map(|root| root.p[0]).collect();
    assert_eq!(roots.len(), 3);
    assert!(places[0] == 0.0 && places[1..].iter().all(|p| (p.abs() - 1.0).abs() < 1e-12), "{places:?}");
    assert!(roots.iter().all(|root| root.distance.unwrap() < 1e-12));
    assert!((roots[1].eigenvalues[0][0] + 2.0).abs() < 1e-12);
    // x(t) = e^t / sqrt(e^2t + 1 / x(0)² - 1).
    let last = found.trajectory(&[0.1], 0.05, 60)[60][0];
    let e = 3.0_f64.exp();
    assert!((last - e / (e * e + 99.0).sqrt()).abs() < 1e-8);
    assert!(found.compare(&system, &[0.1], 0.05, 60).unwrap().nmte < 1e-8);
    assert!(found.domain(&system, 1e-9).iter().all(|side| side.distance > 10.0));
    // Two such lines side by side: 3 × 3 fixed points.
    let square = Polynomial::new(2, Kind::Flow)
        .term(0, 1.0, &[0])
        .term(0, -1.0, &[0, 0, 0])
        .term(1, 0.5, &[1])
        .term(1, -1.0, &[1, 1, 1]);
    let spectrum = Spectrum::new(&square, &[0.0; 2], 0.0).unwrap();
    let roots = ssm::plane(&square, &spectrum, [0, 1], 5).unwrap().roots(&square, 2.0).unwrap();
    assert_eq!(roots.len(), 9);
    // A complex pair that is unstable: its one fixed point is the origin.
    let (shaw_pierre, _) = shaw_pierre();
    let spectrum = Spectrum::new(&shaw_pierre, &[0.0; 4], 0.0).unwrap();
    let pair = ssm::pair(&shaw_pierre, &spectrum, 0, Style::Graph, 3).unwrap();
    let roots = pair.roots(&shaw_pierre, 0.2).unwrap();
    assert_eq!(roots.len(), 1);
    assert!((roots[0].eigenvalues[0][1] - 0.999_687_451_156_610_5).abs() < 1e-12);
}

fn textbook(system: &Polynomial, x: &[f64]) -> ssm::Ssm<f64> {
    let spectrum = Spectrum::new(system, x, 0.0).unwrap();
    ssm::with_parameter(system, &spectrum, 0, 5).unwrap()
}

#[test]
fn normal_forms_are_those_of_textbooks() {
    let (flow, map) = (|| Polynomial::new(1, Kind::Flow), || Polynomial::new(1, Kind::Map));
    let form = |system: &Polynomial| textbook(system, &[0.0]).normal_form(1e-9).unwrap().unwrap();
    let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    let fold = |form| match form {
        NormalForm::Fold { a, b: Some(b) } => (a, b),
        other => panic!("{other:?}"),
    };
    // mu - x²; x + mu - x².
    let (a, b) = fold(form(&flow().term(0, 1.0, &[1]).term(0, -1.0, &[0, 0])));
    near(a, -1.0);
    near(b, 1.0);
    let (a, b) = fold(form(&map().term(0, 1.0, &[0]).term(0, 1.0, &[1]).term(0, -1.0, &[0, 0])));
    near(a, -1.0);
    near(b, 1.0);
    // mu x - x².
    let NormalForm::Transcritical { a, b } = form(&flow().term(0, 1.0, &[0, 1]).term(0, -1.0, &[0, 0]))
    else {
        panic!()
    };
    near(a, -1.0);
    near(b, 1.0);
    // mu x - x³.
    let pitchfork = flow().term(0, 1.0, &[0, 1]).term(0, -1.0, &[0, 0, 0]);
    let NormalForm::Pitchfork { cubic, b: Some(b) } = form(&pitchfork) else { panic!() };
    near(cubic, -1.0);
    near(b, 1.0);
    // -(1 + mu) x + x³, and with x² besides: c = a² + 1.
    let flip = map().term(0, -1.0, &[0]).term(0, -1.0, &[0, 1]).term(0, 1.0, &[0, 0, 0]);
    let NormalForm::Flip { cubic, b: Some(b) } = form(&flip) else { panic!() };
    near(cubic, 1.0);
    near(b, -1.0);
    let NormalForm::Flip { cubic, .. } = form(&flip.term(0, 0.7, &[0, 0])) else { panic!() };
    near(cubic, 1.49);
    // The first flip of the Hénon map, a = 0.3675, and its fold, a = -0.1225 (mu = a).
    let henon = Polynomial::new(2, Kind::Map).term(0, 1.0, &[]).term(0, -1.0, &[2, 0, 0]).term(0, 1.0, &[1]);
    let henon = henon.term(1, 0.3, &[0]);
    let at = |a: f64, sign: f64| {
        let x = (-0.7 + sign * (0.49 + 4.0 * a).max(0.0).sqrt()) / (2.0 * a);
        let spectrum = Spectrum::new(&henon, &[x, 0.3 * x], a).unwrap();
        ssm::with_parameter(&henon, &spectrum, 0, 5).unwrap()
    };
    let flip = at(0.3675, 1.0);
    near(flip.eigenvalues[0], -1.0);
    assert!(matches!(flip.normal_form(1e-9).unwrap(), Some(NormalForm::Flip { cubic, .. }) if cubic > 0.0));
    // A fold is found to half of the digits by eigenvalues, and by the reduced dynamics from beside it to all.
    let beside = at(-0.11, 1.0);
    let folds = beside.truncated(5).folds(&henon, 3.0).unwrap();
    assert!(folds.iter().any(|fold| (fold.mu + 0.1225).abs() < 1e-3), "{folds:?}");
}

#[test]
fn hopf_and_neimark_sacker_give_the_limit_cycle_of_radius_sqrt_mu() {
    // z' = (mu + i) z - |z|² z: the cycle has the radius sqrt(mu).
    let cubic = |system: Polynomial, factor: [[f64; 2]; 2]| {
        (0..2).fold(system, |system, row| {
            (0..2).fold(system, |system, column| {
                let c = -factor[row][column];
                system.term(row, c, &[column, 0, 0]).term(row, c, &[column, 1, 1])
            })
        })
    };
    let mu = 0.04;
    let hopf = Polynomial::new(2, Kind::Flow).term(0, mu, &[0]).term(0, -1.0, &[1]).term(1, 1.0, &[0]).term(
        1,
        mu,
        &[1],
    );
    let hopf = cubic(hopf, [[1.0, 0.0], [0.0, 1.0]]);
    let spectrum = Spectrum::new(&hopf, &[0.0; 2], 0.0).unwrap();
    let found = ssm::pair(&hopf, &spectrum, 0, Style::NormalForm, 5).unwrap();
    let NormalForm::Hopf { growth, frequency, first_lyapunov, .. } = found.normal_form().unwrap() else {
        panic!()
    };
    // |v| = 1 makes |x|² = 2 |z|².
    assert!(
        (growth - mu).abs() < 1e-12
            && (frequency - 1.0).abs() < 1e-12
            && (first_lyapunov + 2.0).abs() < 1e-12
    );
    let cycles = found.backbone(&hopf, 1.0, 4).unwrap().cycles;
    assert!(cycles.len() == 1 && (cycles[0].amplitude - mu.sqrt()).abs() < 1e-12, "{cycles:?}");
    // The map (1 + mu) e^(i theta) z - |z|² z e^(i theta).
    let (sin, cos) = 1.0_f64.sin_cos();
    let turn = [[cos, -sin], [sin, cos]];
    let map = (0..2).fold(Polynomial::new(2, Kind::Map), |map, row| {
        (0..2).fold(map, |map, column| map.term(row, (1.0 + mu) * turn[row][column], &[column]))
    });
    let map = cubic(map, turn);
    let spectrum = Spectrum::new(&map, &[0.0; 2], 0.0).unwrap();
    let found = ssm::pair(&map, &spectrum, 0, Style::NormalForm, 5).unwrap();
    let NormalForm::NeimarkSacker { modulus, angle, cubic, twist } = found.normal_form().unwrap() else {
        panic!()
    };
    assert!((modulus - 1.0 - mu).abs() < 1e-12 && (angle - 1.0).abs() < 1e-12);
    assert!((cubic + 2.0 / (1.0 + mu)).abs() < 1e-12 && twist.abs() < 1e-12);
    let cycles = found.backbone(&map, 1.0, 4).unwrap().cycles;
    assert!((cycles[0].amplitude - mu.sqrt()).abs() < 1e-12, "{cycles:?}");
    // The delayed logistic map at r = 2: angle pi / 3, supercritical.
    let delayed = Polynomial::new(2, Kind::Map).term(0, 2.0, &[0]).term(0, -2.0, &[0, 1]).term(1, 1.0, &[0]);
    let spectrum = Spectrum::new(&delayed, &[0.5; 2], 0.0).unwrap();
    let found = ssm::pair(&delayed, &spectrum, 0, Style::NormalForm, 3).unwrap();
    let NormalForm::NeimarkSacker { modulus, angle, cubic, .. } = found.normal_form().unwrap() else {
        panic!()
    };
    assert!(
        (modulus - 1.0).abs() < 1e-12 && (angle - std::f64::consts::FRAC_PI_3).abs() < 1e-12 && cubic < 0.0
    );
}

/// Rate and current form, tanh and sigmoid, map and flow, with and without weight scale.
fn small(seed: u64, form: Form, kind: Kind, smooth: Activation<f64>, weight_scale: f64) -> Path {
    use rand::{RngExt, SeedableRng};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let n = 5;
    let mut draw = |size: f64| size * (2.0 * rng.random::<f64>() - 1.0);
    let w = Mat::from_fn(n, n, |i, j| draw(1.2) + f64::from(u8::from(i == j)));
    let drive = (0..n).map(|_| draw(0.3)).collect();
    let direction = (0..n).map(|_| draw(1.0)).collect();
    let rnn = Rnn { kind, form, alpha: 0.3, activation: smooth, w: Arc::new(w), drive };
    Path { rnn, direction, weight_scale }
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(6), cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// The residual of order K falls by 2^(K + 1) or more when p is halved: every coefficient is right.
    #[test]
    fn residuals_have_the_order_of_the_expansion(
        seed in 0_u64..1000,
        rate in any::<bool>(),
        map in any::<bool>(),
        sigmoid in any::<bool>(),
        weight_scale in prop_oneof![Just(0.0), Just(0.5)],
    ) {
        let form = if rate { Form::Rate } else { Form::Current };
        let kind = if map { Kind::Map } else { Kind::Flow };
        let smooth = if sigmoid { Activation::Sigmoid { slope: 2.0, threshold: 0.1 } } else { Activation::Tanh };
        let family = small(seed, form, kind, smooth, weight_scale);
        let x = polished(&family, vec![0.1; 5], 0.2);
        prop_assume!(x.iter().all(|x| x.is_finite()));
        let Ok(spectrum) = Spectrum::new(&family, &x, 0.2) else { return Ok(()) };
        let order = 5;
        let falls = |residual: &dyn Fn(f64) -> f64, what: &str| {
            let (far, near) = (residual(0.02), residual(0.01));
            prop_assert!(near <= far / 2.0_f64.powi(order + 1) * 1.6 + 1e-13, "{what}: {far:.2e} {near:.2e}");
            Ok(())
        };
        // A near-resonance is a small divisor: the series is right, its terms are large.
        let fine = |distance: Vec<ssm::Resonance>| distance.is_empty();
        if spectrum.eigenvalues[0].im == 0.0 {
            let line = ssm::line(&family, &spectrum, 0, order as usize).unwrap();
            if fine(line.resonances(&spectrum, 0.05)) {
                falls(&|p| line.residual(&family, &[p]), "line")?;
                let moving = ssm::with_parameter(&family, &spectrum, 0, order as usize).unwrap();
                falls(&|p| moving.residual(&family, &[0.8 * p, 0.6 * p]), "parameter")?;
            }
        } else {
            for style in [Style::Graph, Style::NormalForm] {
                let pair = ssm::pair(&family, &spectrum, 0, style, order as usize).unwrap();
                if fine(pair.resonances(&spectrum, 0.05)) {
                    falls(&|p| pair.residual(&family, &[0.8 * p, 0.6 * p]), "pair")?;
                }
            }
        }
    }
}

#[test]
fn corners_and_wrong_choices_are_refused() {
    let relu = |bias: f64| {
        let mut family = small(1, Form::Rate, Kind::Map, Activation::Relu, 0.0);
        family.rnn.drive = vec![bias; 5];
        family.rnn.w = Arc::new(Mat::from_fn(5, 5, |i, j| if i == j { 0.5 } else { 0.0 }));
        family
    };
    let at = |family: &Path, x: f64| Spectrum::new(family, &[x; 5], 0.0).unwrap();
    let corner = relu(0.0);
    let error = ssm::line(&corner, &at(&corner, 0.0), 0, 3).unwrap_err().to_string();
    assert!(error.contains("corner"), "{error}");
    // Away from corners the network is linear.
    let away = relu(0.5);
    let found = ssm::line(&away, &at(&away, 1.0), 0, 5).unwrap();
    assert!((2..=5).all(|k| found.manifold.column(k, 0).iter().all(|x| x.abs() < 1e-12)));
    let family = small(1, Form::Rate, Kind::Flow, Activation::Tanh, 0.0);
    assert!(Spectrum::new(&family, &[3.0; 5], 0.0).unwrap_err().to_string().contains("residual"));
    assert!(ssm::line(&away, &at(&away, 1.0), 9, 5).is_err());
    assert!(ssm::line(&away, &at(&away, 1.0), 0, 0).is_err());
    assert!(ssm::pair(&away, &at(&away, 1.0), 0, Style::Graph, 3).is_err());
    // 2 lambda_1 = lambda_2 exactly: x' = x, y' = 2 y + x².
    let resonant = Polynomial::new(2, Kind::Flow).term(0, 1.0, &[0]).term(1, 2.0, &[1]).term(1, 1.0, &[0, 0]);
    let spectrum = Spectrum::new(&resonant, &[0.0; 2], 0.0).unwrap();
    let error = ssm::line(&resonant, &spectrum, 1, 3).unwrap_err().to_string();
    assert!(error.contains("resonance"), "{error}");
}

fn best(repeats: usize, mut run: impl FnMut()) -> f64 {
    (0..repeats)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64() * 1e3
        })
        .fold(f64::MAX, f64::min)
}

#[test]
fn times() {
    let net = network("mante_tanh_n100_graded");
    let cases = reference("ssm_taylor_flow.json");
    for kind in [Kind::Flow, Kind::Map] {
        let family = Path::between(&net, &[0.0, 0.0, 0.0, 1.0], &[0.0, 1.0, 0.0, 1.0], kind).unwrap();
        let case = cases["cases"].as_array().unwrap().iter().find(|case| case["lam"].as_f64().unwrap() > 0.0);
        let x = polished(&family, numbers(&case.unwrap()["W"][0]), 0.0);
        let spectrum = Spectrum::new(&family, &x, 0.0).unwrap();
        let values = |k: usize| spectrum.eigenvalues[k].im == 0.0;
        let second = (1..100).find(|&k| values(k)).unwrap();
        let complex = (1..100).find(|&k| !values(k)).unwrap();
        // What is timed is right: residuals beside the fixed point.
        let line = ssm::line(&family, &spectrum, 0, 9).unwrap().residual(&family, &[0.1]);
        let plane = ssm::plane(&family, &spectrum, [0, second], 9).unwrap().residual(&family, &[0.02, 0.01]);
        let pair = ssm::pair(&family, &spectrum, complex, Style::Graph, 9).unwrap();
        let pair = pair.residual(&family, &[0.02, 0.01]);
        let moving = ssm::with_parameter(&family, &spectrum, 0, 13).unwrap().residual(&family, &[0.1, 1e-3]);
        println!("{kind:?}: residuals {line:.1e} {plane:.1e} {pair:.1e} {moving:.1e}");
        assert!(line < 1e-12 && plane < 1e-12 && pair < 1e-12 && moving < 1e-12);
        println!("{kind:?}, n = 100, ms, best of 30:");
        println!("  faer eigen-decomposition   {:.2}", best(30, || drop(spectrum.jacobian.eigen().unwrap())));
        println!(
            "  Spectrum (eigenvalues)     {:.2}",
            best(30, || drop(Spectrum::new(&family, &x, 0.0).unwrap()))
        );
        println!(
            "  line, order 1              {:.2}",
            best(30, || drop(ssm::line(&family, &spectrum, 0, 1).unwrap()))
        );
        println!(
            "  line, order 9              {:.2}",
            best(30, || drop(ssm::line(&family, &spectrum, 0, 9).unwrap()))
        );
        println!(
            "  line, order 25             {:.2}",
            best(30, || drop(ssm::line(&family, &spectrum, 0, 25).unwrap()))
        );
        println!(
            "  plane, order 9             {:.2}",
            best(30, || drop(ssm::plane(&family, &spectrum, [0, second], 9).unwrap()))
        );
        println!(
            "  pair, order 9              {:.2}",
            best(30, || drop(ssm::pair(&family, &spectrum, complex, Style::Graph, 9).unwrap()))
        );
        println!(
            "  (p, mu), order 13          {:.2}",
            best(30, || drop(ssm::with_parameter(&family, &spectrum, 0, 13).unwrap()))
        );
    }
}

#[derive(clap::Parser)]
struct Command {
    #[command(flatten)]
    args: tinyfold::command::dynamics::ssm::Args,
}

/// Saved as a network of tinyfold, given to the command with every kind of option.
#[test]
fn the_command_runs() {
    use clap::Parser;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("decision.safetensors");
    let mut net = network("mante_tanh_n100_graded");
    for (input, name) in net.inputs.iter_mut().zip(["motion", "colour", "ctx_motion", "ctx_colour"]) {
        input.name = name.into();
    }
    tinyfold::format::network::save(&file, &net).unwrap();
    let figures = std::env::var_os("SSM_FIGURES").map_or(folder.path().to_owned(), Into::into);
    let run = |options: &[&str], name: &str| {
        let figures = figures.join(name);
        let start =
            ["ssm", file.to_str().unwrap(), "--input", "0,0,0,1", "--figures", figures.to_str().unwrap()];
        let command = Command::parse_from(start.iter().chain(options));
        tinyfold::command::dynamics::ssm::run(&command.args).unwrap();
        assert!(figures.join("ssm.png").metadata().unwrap().len() > 10_000);
    };
    run(&[], "line");
    run(&["--order", "25", "--as", "map"], "map");
    run(&["--order", "25", "--at", "1"], "flow25");
    run(&["--parameter", "colour"], "parameter");
    run(&["--dimension", "2", "--eigenvalue", "1", "--order", "5"], "pair");
    run(&["--parameter", "colour", "--json", "--order", "5"], "json");
    let wrong = Command::parse_from(["ssm", file.to_str().unwrap(), "--parameter", "sound"]);
    let error = tinyfold::command::dynamics::ssm::run(&wrong.args).unwrap_err().to_string();
    assert!(error.contains("ctx_colour"), "{error}");
}
