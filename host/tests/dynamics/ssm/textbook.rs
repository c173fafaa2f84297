//! Systems whose manifold or normal form is known.

use crate::references::numbers;
use serde_json::Value;
use tinyfold::dynamics::ssm::{NormalForm, Polynomial, Spectrum, Style, c64};
use tinyfold::dynamics::{Kind, ssm};

use super::reference;

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
    // A fold is found to half of the digits by eigenvalues, and by the reduced dynamics from beside it to
    // all.
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
