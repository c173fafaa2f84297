//! `tinyfold import` and `tinyfold dynamics` as a user meets them: one network from file to verdicts, and bad input.

mod dynamics;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn tinyfold(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tinyfold")).args(args).current_dir(folder).output().expect("runs")
}

fn json(folder: &Path, args: &[&str]) -> Value {
    let output = tinyfold(folder, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn imported(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = dynamics::path(&format!("{name}.safetensors"));
    let file = file.to_str().expect("a name of letters");
    json(folder.path(), &["import", file, "-o", "net.safetensors", "--json"]);
    folder
}

#[test]
fn a_decision_network_from_its_file_to_its_folds() {
    let folder = imported("mante_tanh_n100_graded");
    let ask = |args: &[&str]| json(folder.path(), &[&["dynamics"], args, &["--json"]].concat());
    let held = ["net.safetensors", "--input", "0,0,0,1"];
    let found = ask(&[&["fixed-points"], &held[..]].concat());
    assert_eq!((&found["schema"], &found["complete"]), (&1.into(), &true.into()));
    assert_eq!(found["points"].as_array().map(Vec::len), Some(5));
    std::fs::write(folder.path().join("points.json"), found.to_string()).expect("writable");

    // The points go into the other commands; without them each searches by itself, to the same end.
    let given = ["--points", "points.json"];
    let verdict = ask(&[&["attractor"], &held[..], &given].concat());
    assert_eq!(verdict["verdict"]["verdict"], "slow");
    assert_eq!(verdict["verdict"]["points"].as_array().map(Vec::len), Some(5));
    let alone = ask(&[&["attractor"], &held[..]].concat());
    assert_eq!(alone["verdict"]["sentence"], verdict["verdict"]["sentence"]);
    let moved = ["--parameter", "colour", "--range=-0.1,0.1"];
    let branches = ask(&[&["continue"], &held[..], &moved, &given].concat());
    let special = |branch: &Value| branch["special"].as_array().cloned().unwrap_or_default();
    let folds: Vec<f64> = branches["branches"]
        .as_array()
        .expect("branches")
        .iter()
        .flat_map(special)
        .filter_map(|special| special["mu"].as_f64())
        .collect();
    assert_eq!(folds.len(), 4, "{folds:?}");
    // From one saddle, without the branch.
    let reduced = ask(&[&["ssm"], &held[..], &["--parameter", "colour"]].concat());
    let predicted = reduced["folds"].as_array().expect("folds").iter().filter_map(|fold| fold["mu"].as_f64());
    let nearest =
        predicted.flat_map(|mu| folds.iter().map(move |fold| (mu - fold).abs())).fold(1.0, f64::min);
    assert!(nearest < 1e-7, "{nearest:.1e}");
}

#[test]
fn bad_input_is_named() {
    let folder = imported("flipflop_tanh_n64");
    let refused = |args: &[&str], message: &str| {
        let output = tinyfold(folder.path(), &[&["dynamics"], args].concat());
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        assert_eq!(text, format!("tinyfold: {message}"), "{args:?}");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
    };
    refused(
        &["fixed-points", "net.safetensors", "--input", "0,0"],
        "input: expected 3 numbers, one an input (x0, x1, x2), found 2",
    );
    refused(
        &["continue", "net.safetensors", "--parameter", "x9"],
        "--parameter: expected one of the inputs x0, x1, x2 or its number from 1, found x9",
    );
    refused(&["ssm", "net.safetensors", "--order", "999"], "order: expected 1 to 60, found 999");
    refused(
        &["cycles", "net.safetensors"],
        "activation: expected linear, relu or clipped relu, which are piecewise linear, found Tanh",
    );
    refused(&["lyapunov", "net.safetensors", "--steps", "0"], "steps: expected at least 1, found 0");
    refused(
        &["slow-manifold", "net.safetensors", "--points", "none.json"],
        "none.json: cannot read: No such file or directory (os error 2)",
    );
}
