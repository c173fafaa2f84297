//! The order of residuals of random networks, and what is refused.

use std::sync::Arc;

use faer::Mat;
use proptest::prelude::*;
use tinyfold::dynamics::ssm::{Polynomial, Spectrum, Style};
use tinyfold::dynamics::{Kind, Parameter, Path, Rnn, ssm};
use tinyfold::network::{Activation, Form};

use super::polished;

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
    Path { rnn, parameter: Parameter { origin: -0.1, weight_scale, ..Parameter::along(direction) } }
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
        let x = polished(&family, &[0.1; 5], 0.2);
        prop_assume!(x.is_some());
        let x = x.unwrap();
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
            if spectrum.eigenvalues[1].im == 0.0 {
                let moving = ssm::plane_with_parameter(&family, &spectrum, [0, 1], order as usize).unwrap();
                if fine(moving.resonances(&spectrum, 0.05)) {
                    falls(&|p| moving.residual(&family, &[0.6 * p, 0.5 * p, 0.6 * p]), "plane and parameter")?;
                }
            }
        } else {
            for style in [Style::Graph, Style::NormalForm] {
                let pair = ssm::pair(&family, &spectrum, 0, style, order as usize).unwrap();
                if fine(pair.resonances(&spectrum, 0.05)) {
                    falls(&|p| pair.residual(&family, &[0.8 * p, 0.6 * p]), "pair")?;
                    let moving = ssm::pair_with_parameter(&family, &spectrum, 0, style, order as usize).unwrap();
                    falls(&|p| moving.residual(&family, &[0.6 * p, 0.5 * p, 0.6 * p]), "pair and parameter")?;
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
    let at = |family: &Path, x: f64| Spectrum::new(family, &[x; 5], family.parameter.origin).unwrap();
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
