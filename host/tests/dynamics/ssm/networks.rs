//! Trained networks against the reference.

use crate::references::{network, numbers};
use serde_json::Value;
use tinyfold::dynamics::ssm::{Spectrum, held};
use tinyfold::dynamics::{Kind, Path, Rnn, ssm};

use super::{largest, polished, reference};

fn kind(value: &Value) -> Kind {
    if value == "map" { Kind::Map } else { Kind::Flow }
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
            let x = polished(&family, &numbers(&case["W"][0]), 0.0).unwrap();
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
        let x = polished(&family, &numbers(&case["W"][0]), 0.0).unwrap();
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
