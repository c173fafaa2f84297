//! Every sort of parameter, as a user says it.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tinyfold::network::{Activation, Network, Recurrence};

use crate::references;

fn tinyfold(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tinyfold")).args(args).current_dir(folder).output().unwrap()
}

/// h' = tanh(2 h + 0.1 + 0.5 u), saved: folds where the sum of bias and drive is ± (sqrt 2 - atanh sqrt 1/2).
fn neuron(folder: &Path) -> f64 {
    let number = |x: f64| faer::mat![[x]];
    let mut network =
        Network::plain(Activation::Tanh, Recurrence::Dense(number(2.0)), number(0.5), number(1.0));
    network.bias = vec![0.1];
    tinyfold::format::network::save(&folder.join("net.safetensors"), &network).unwrap();
    2.0_f64.sqrt() - 0.5_f64.sqrt().atanh()
}

type Sum = fn(f64) -> f64;

#[test]
fn whatever_moves_the_sum_of_a_neuron_folds_it_at_the_same_sum() {
    let folder = tempfile::tempdir().unwrap();
    let at = neuron(folder.path());
    let run = |command: &str, what: &str, more: &[&str]| -> Value {
        let args = ["dynamics", command, "net.safetensors", "--parameter", what, "--json"];
        let output = tinyfold(folder.path(), &[&args, more].concat());
        assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let held = ["--input", "0.4"];
    // The parameter, and the sum of bias and drive as its function.
    let cases: [(&str, &str, Sum); 5] = [
        ("x0", "x0", |mu| 0.1 + 0.5 * mu),
        ("1", "x0", |mu| 0.1 + 0.5 * mu),
        ("bias:1", "bias of neuron 1", |mu| mu + 0.2),
        ("bias", "common bias", |mu| 0.1 + mu + 0.2),
        ("to:1.4", "way to input 1.4", |mu| 0.1 + 0.5 * (0.4 + mu)),
    ];
    for (what, name, sum) in cases {
        let found = run("continue", what, &[&held[..], &["--range=-2,2"]].concat());
        assert_eq!(found["parameter"], name);
        let special =
            found["branches"].as_array().unwrap().iter().flat_map(|b| b["special"].as_array().unwrap());
        let mut sums: Vec<f64> = special.map(|special| sum(special["mu"].as_f64().unwrap())).collect();
        sums.sort_by(f64::total_cmp);
        let off = sums.iter().zip([-at, at]).map(|(found, sum)| (found - sum).abs()).fold(0.0, f64::max);
        assert!(sums.len() == 2 && off < 1e-8, "{what}: {sums:?}");
        // Predicted from the saddle between the two stable points.
        let found = run("ssm", what, &held);
        assert_eq!((&found["parameter"], &found["schema"]), (&name.into(), &2.into()));
        let folds = found["folds"].as_array().unwrap().iter();
        let sums: Vec<f64> = folds.map(|fold| sum(fold["mu"].as_f64().unwrap())).collect();
        let nearest = sums.iter().map(|sum| (sum.abs() - at).abs()).fold(f64::MAX, f64::min);
        assert!(nearest < 1e-4, "{what}: {sums:?}");
    }
}

/// tanh(mu 2 h): a pitchfork at mu = 1/2; with the bias the cusp there.
#[test]
fn weights_and_biases_move_together() {
    let folder = tempfile::tempdir().unwrap();
    neuron(folder.path());
    let base = ["dynamics", "continue", "net.safetensors", "--input=-0.2", "--json", "--figures", "figures"];
    let run = |more: &[&str]| -> Value {
        let output = tinyfold(folder.path(), &[&base[..], more].concat());
        assert!(output.status.success(), "{more:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let found = run(&["--parameter", "weights"]);
    assert_eq!(found["range"], serde_json::json!([0.0, 2.0]));
    let branches = found["branches"].as_array().unwrap().iter();
    let special: Vec<&Value> = branches.flat_map(|branch| branch["special"].as_array().unwrap()).collect();
    let pitchforks = || special.iter().filter(|special| special["kind"] == "pitchfork");
    assert!(pitchforks().count() > 0, "{special:?}");
    assert!(pitchforks().all(|special| (special["mu"].as_f64().unwrap() - 0.5).abs() < 1e-8), "{special:?}");
    // At the input -0.2 the sum of bias and drive is 0: no fold to follow.
    let none = run(&["--parameter", "weights", "--second", "x0"]);
    assert_eq!(
        (none["second"].as_str(), none["fold_curves"].as_array().map(Vec::len)),
        (Some("x0"), Some(0))
    );
    let found = run(&["--parameter", "bias:1", "--second", "weights", "--second-range", "0.3,1.2"]);
    let [curve] = &found["fold_curves"].as_array().unwrap()[..] else { panic!("{}", found["fold_curves"]) };
    let [cusp] = &curve["special"].as_array().unwrap()[..] else { panic!("{}", curve["special"]) };
    assert_eq!(cusp[0], "cusp");
    for (found, expected) in references::numbers(&cusp[2]["mu"]).into_iter().zip([0.1, 0.5]) {
        assert!((found - expected).abs() < 1e-8, "{cusp}");
    }
    assert!(folder.path().join("figures/fold-curves.png").exists());
}

#[test]
fn a_parameter_that_is_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    neuron(folder.path());
    let refused = |args: &[&str], message: &str| {
        let output = tinyfold(folder.path(), &[&["dynamics", "continue", "net.safetensors"], args].concat());
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        assert_eq!((text, output.status.code()), (format!("tinyfold: {message}"), Some(2)), "{args:?}");
    };
    refused(&[], "--parameter: expected an input, bias, bias:K, weights or to:V, found none");
    refused(
        &["--parameter", "wieghts"],
        "--parameter: expected the input x0, or its number 1; or bias, bias:K, weights or to:V, found wieghts",
    );
    for text in ["bias:0", "bias:2", "bias:x"] {
        let message = format!("--parameter: expected bias:K with K a neuron, 1 to 1, found {text}");
        refused(&["--parameter", text], &message);
    }
    for text in ["to:1,2", "to:x"] {
        let message = format!("--parameter: expected to:V with V 1 numbers, one an input, found {text}");
        refused(&["--parameter", text], &message);
    }
    refused(
        &["--parameter", "to:0"],
        "--parameter: expected to:V with V another input than --input, found to:0",
    );
    refused(
        &["--parameter", "bias", "--second", "bias"],
        "--second: expected another parameter than --parameter, found common bias",
    );
    refused(
        &["--parameter", "bias", "--second", "weights", "--second-range", "2,3"],
        "--second-range: expected a range with 1, found (2.0, 3.0)",
    );
    refused(
        &["--parameter", "bias", "--range", "1,1"],
        "--range: expected two finite numbers, the lower first, found [1.0, 1.0]",
    );
    refused(
        &["--parameter", "bias", "--range=-inf,inf"],
        "--range: expected two finite numbers, the lower first, found [-inf, inf]",
    );
}
