//! Reduced models of two coordinates against the networks they come from, and on a chip.

use std::process::Command;

use faer::Mat;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use tinyfold::dynamics::slow_manifold::Degrees;
use tinyfold::dynamics::ssm::{self, Choice, Spectrum, Ssm, Style, c64, held};
use tinyfold::dynamics::{Kind, Rnn, System, fixed_points};
use tinyfold::format::model::ModelBytes;
use tinyfold::format::reduced::Reduced;
use tinyfold::network::{Activation, Form, Network, Recurrence};

use crate::references::network;

const N: usize = 30;

/// A network that turns and contracts in a plane: W = V (0.9 1 + 0.5 J) Vᵀ + 0.3 G, with two inputs, two outputs.
fn spiral(form: Form, activation: Activation<f64>) -> Network {
    let random = &mut ChaCha8Rng::seed_from_u64(11);
    let mut draw = |rows, columns, size: f64| {
        Mat::from_fn(rows, columns, |_, _| {
            let x: f64 = StandardNormal.sample(random);
            size * x / (N as f64).sqrt()
        })
    };
    let v = draw(N, 2, 1.0).qr().compute_thin_Q();
    let turn = faer::mat![[0.9, -0.5], [0.5, 0.9]];
    let w = &v * turn * v.transpose() + draw(N, N, 0.3);
    let input = &v * faer::mat![[1.0, 0.3], [0.0, 0.5]] + draw(N, 2, 0.2);
    let readout = v.transpose().to_owned() + draw(2, N, 0.1);
    let mut network = Network::plain(activation, Recurrence::Dense(w), input, readout);
    (network.form, network.alpha) = (form, 0.2);
    network.bias = draw(N, 1, 0.5).col_as_slice(0).to_vec();
    network.inputs[1].gain = 0.5;
    (network.outputs[0].gain, network.outputs[0].center) = (2.0, 0.3);
    network.initial = network.rest();
    network
}

/// Its pair, as the chip steps it.
fn pair(network: &Network, order: usize) -> (Rnn, Spectrum, Ssm<c64>) {
    let rnn = Rnn::new(network, &vec![0.0; network.input.ncols()], Kind::Map).unwrap();
    let (x, _) = fixed_points::nearest(&rnn, &[0.0; N]).unwrap();
    let family = held(rnn.clone());
    let x = super::polished(&family, &x, 0.0).unwrap();
    let spectrum = Spectrum::new(&family, &x, 0.0).unwrap();
    let found = ssm::pair(&family, &spectrum, 0, Style::Graph, order).unwrap();
    (rnn, spectrum, found)
}

#[test]
fn a_reduced_spiral_follows_its_network_the_better_the_higher_its_order() {
    for form in [Form::Rate, Form::Current] {
        let network = spiral(form, Activation::Tanh);
        let mut before = f64::MAX;
        for order in [1, 3, 5, 7] {
            let (rnn, spectrum, ssm) = pair(&network, order);
            let degrees = Degrees { drift: order, gain: order.min(4), output: order };
            let interval = [[-1.0, 1.0]; 2];
            let model = ssm.on_chip(&network, &rnn, &spectrum, &interval, &degrees).unwrap();
            let followed = ssm.follow(&network, &rnn, &model.rounded::<f32>(), 5).unwrap();
            println!("{form:?}, order {order}: {followed:?}");
            assert!(followed.nmte < 0.5 * before, "{} after {before}", followed.nmte);
            before = followed.nmte;
            assert!(order < 7 || followed.driven.unwrap() < 0.05);
        }
        assert!(before < 1e-3, "{before}");
    }
}

/// A push d off the manifold, and 150 steps later: what is left between both is of the order d².
#[test]
fn inputs_move_the_place_that_the_network_runs_together_with() {
    for form in [Form::Rate, Form::Current] {
        let network = spiral(form, Activation::Tanh);
        let (rnn, spectrum, ssm) = pair(&network, 11);
        let degrees = Degrees { drift: 11, gain: 9, output: 1 };
        let model = ssm.on_chip(&network, &rnn, &spectrum, &[[-0.8, 0.8]; 2], &degrees).unwrap();
        let model = Reduced { initial: vec![0.4, -0.3], ..model };
        let error = |push: f64| {
            let steps = 60;
            let mut u = vec![0.0; 2 * steps];
            (u[0], u[1]) = (push, -push);
            let z = model.run(&u, steps).unwrap().z;
            let mut x = ssm.state(&model.initial);
            for t in 0..steps {
                // Channels have gains of 1 and 0.5.
                let now = Rnn::new(&network, &[u[2 * t], 0.5 * u[2 * t + 1]], Kind::Map).unwrap();
                let mut next = vec![0.0; N];
                now.value(&x, &mut next);
                x = next;
            }
            let off: Vec<f64> = x.iter().zip(&spectrum.x).map(|(x, x0)| x - x0).collect();
            let along = |l: &[f64]| l.iter().zip(&off).map(|(l, x)| l * x).sum::<f64>();
            let (re, im) = ssm.left[0].split_at(N);
            (along(re) - z[2 * steps - 2]).hypot(along(im) - z[2 * steps - 1])
        };
        let errors = [0.2, 0.1, 0.05].map(error);
        println!("{form:?}: {errors:?}, without a push {:e}", error(0.0));
        for pair in errors.windows(2) {
            assert!((3.5..4.5).contains(&(pair[0] / pair[1])), "{errors:?}");
        }
    }
}

/// Of a linear network the model is exact: z is l · (x - x0), whatever the inputs.
#[test]
fn a_linear_network_is_reduced_exactly() {
    let mut network = spiral(Form::Current, Activation::Linear);
    network.bias.fill(0.0);
    let (rnn, spectrum, ssm) = pair(&network, 3);
    // Outputs that read the plane alone.
    let (re, im) = ssm.left[0].split_at(N);
    network.readout = Mat::from_fn(2, N, |o, i| [re, im][o][i]);
    let degrees = Degrees { drift: 3, gain: 2, output: 2 };
    let model = ssm.on_chip(&network, &rnn, &spectrum, &[[-5.0, 5.0]; 2], &degrees).unwrap();
    let followed = ssm.follow(&network, &rnn, &model, 1).unwrap();
    println!("{followed:?}");
    assert!(followed.nmte < 1e-12 && followed.driven.unwrap() < 1e-12);
}

/// Two real eigenvalues, from the flow: eigenvalues of the model are 1 + alpha lambda.
#[test]
fn a_plane_of_two_real_eigenvalues_is_that_of_the_steps() {
    let mut network = network("ring_tanh_n64_pert0.05");
    let rates = network.weights();
    network.readout = Mat::from_fn(2, 64, |o, i| rates[(o, i)]);
    network = Network {
        outputs: spiral(Form::Rate, Activation::Tanh).outputs,
        output_bias: vec![0.0; 2],
        ..network
    };
    let family = held(Rnn::new(&network, &[0.0; 2], Kind::Flow).unwrap());
    let spectrum = Spectrum::new(&family, &[0.0; 64], 0.0).unwrap();
    let choice = Choice { dimension: 2, eigenvalue: 0, order: 7, moving: false, tolerance: 1e-4 };
    let degrees = Degrees { drift: 7, gain: 3, output: 7 };
    let (model, followed) =
        ssm::for_chip(&network, &[0.0; 2], &[0, 1], (&spectrum, &choice), &degrees, 3).unwrap();
    println!("{:?} {followed:?}", model.interval);
    assert!(followed.nmte < 1e-3 && followed.driven.unwrap() < 0.05);
    let [low, high] = model.interval[0];
    let slope = |d: usize| {
        let at = |z: f64| {
            let mut initial = vec![0.0; 2];
            initial[d] = z;
            Reduced { initial, ..model.clone() }.run(&[0.0; 2], 1).unwrap().z[d]
        };
        let h = 1e-4 * (high - low);
        (at(h) - at(-h)) / (2.0 * h)
    };
    for d in 0..2 {
        let expected = 1.0 + network.alpha * spectrum.eigenvalues[d].re;
        assert!((slope(d) - expected).abs() < 1e-3, "{} {expected}", slope(d));
    }
}

fn run(folder: &std::path::Path, args: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_tinyfold")).args(args).current_dir(folder).output().unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

#[test]
fn the_command_exports_what_core_computes_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    tinyfold::format::network::save(
        &folder.join("spiral.safetensors"),
        &spiral(Form::Current, Activation::Tanh),
    )
    .unwrap();
    let of = ["dynamics", "ssm", "spiral.safetensors", "--dimension", "2", "--tolerance", "1e-3", "--export"];
    println!("{}", run(folder, &[&of[..], &["spiral.tfrm"]].concat()));
    let text = run(folder, &[&of[..], &["spiral.tfrm", "--json", "--degrees", "9,2,4"]].concat());
    let found: serde_json::Value = serde_json::from_str(&text).expect(&text);
    let exported = &found["exported"];
    println!("{exported}");
    assert_eq!(exported["degrees"], serde_json::json!([9, 2, 4]));
    let held_out = &exported["held_out"];
    assert!(held_out["nmte"].as_f64() < Some(0.01) && held_out["driven"].as_f64() < Some(0.05));
    let bytes = ModelBytes::load(&folder.join("spiral.tfrm")).unwrap();
    assert_eq!(exported["bytes"], bytes.bytes().len());
    let model = Reduced::import::<f32>(&bytes, "spiral").unwrap();
    assert_eq!((model.shape.dimensions, model.shape.multiply_adds()), (2, 110 + 24 + 30));

    let verified = run(folder, &["verify", "spiral.tfrm", "--steps", "300", "--json"]);
    let verified: serde_json::Value = serde_json::from_str(&verified).expect(&verified);
    let core = &verified["backends"][1];
    assert_eq!((&core["name"], &core["verdict"]), (&"core".into(), &"pass".into()), "{verified}");

    let text = run(folder, &[&of[..], &["one.tfrm", "--json", "--inputs", "x1", "--as", "map"]].concat());
    let found: serde_json::Value = serde_json::from_str(&text).expect(&text);
    let exported = &found["exported"];
    assert_eq!((&exported["inputs"], &exported["multiply_adds"]), (&serde_json::json!(["x1"]), &144.into()));
    assert!(exported["held_out"]["driven"].as_f64() < Some(0.05), "{exported}");

    for (wrong, says) in [
        (&["model.bin"][..], "--export: expected a file name ending in .tfrm"),
        (&["spiral.tfrm", "--degrees", "9,2"], "--degrees: expected three numbers, F,G,C, found 2 numbers"),
        (&["spiral.tfrm", "--degrees", "9,2,40"], "degree: expected at most 31, found 40"),
        (&["spiral.tfrm", "--parameter", "x0"], "cannot be used with"),
        (&["spiral.tfrm", "--inputs", "x2"], "--inputs: expected one of the inputs x0, x1"),
    ] {
        let error = run(folder, &[&of[..], wrong].concat());
        assert!(error.contains(says), "{error}");
    }
}
