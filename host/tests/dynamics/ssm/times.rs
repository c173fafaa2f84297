//! What is timed is right; the times are printed.

use std::time::Instant;

use crate::references::{network, numbers};
use tinyfold::dynamics::ssm::{Spectrum, Style};
use tinyfold::dynamics::{Kind, Path, ssm};

use super::{polished, reference};

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
        let x = polished(&family, &numbers(&case.unwrap()["W"][0]), 0.0).unwrap();
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
