//! Reduced models and monitors as a user meets them: exported, inspected, verified, refused.

use std::path::Path;
use std::process::{Command, Output};

use faer::Mat;
use indicatif::ProgressBar;
use serde_json::Value;
use tinyfold::format::network;
use tinyfold::network::Recurrence;
use tinyfold::reproduce::marraffa2025;
use tinyfold::verify::case::watched_suite;
use tinyfold::verify::{self, Backend, Case, Core};

fn tinyfold(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tinyfold")).args(args).current_dir(folder).output().expect("runs")
}

fn json(folder: &Path, args: &[&str]) -> Value {
    let output = tinyfold(folder, &[args, &["--json"]].concat());
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The one line that a refused command says, with exit code 2.
fn refusal(folder: &Path, args: &[&str]) -> String {
    let output = tinyfold(folder, args);
    assert_eq!(output.status.code(), Some(2), "{args:?}");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(text.trim_end().lines().count(), 1, "{text}");
    text
}

/// That `core` computed `file` bit for bit, and close to f64.
fn verified(folder: &Path, args: &[&str]) {
    let found = json(folder, &[&["verify"], args, &["--steps", "300"]].concat());
    let core = &found["backends"][1];
    assert_eq!((&core["name"], &core["verdict"]), (&"core".into(), &"pass".into()), "{found}");
}

#[test]
fn a_reduced_model_goes_from_its_network_to_verify() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    let bundled = marraffa2025::bundled().expect("bundled");
    network::save(&folder.join("net.safetensors"), &bundled).expect("writable");
    let of = ["dynamics", "slow-manifold", "net.safetensors", "--input", "0,0,0,1"];
    let trials = ["--evidence", "colour", "--distractor", "motion", "--trials", "20"];
    let found = json(folder, &[&of[..], &trials, &["--export", "slow.tfrm"]].concat());
    let exported = &found["exported"];
    assert_eq!(exported["inputs"], serde_json::json!(["motion", "colour"]));
    let held_out = &exported["held_out"];
    assert!(
        held_out["agreement"].as_f64() >= Some(0.95) && held_out["nmte"].as_f64() <= Some(0.05),
        "{held_out}"
    );

    let described = json(folder, &["inspect", "slow.tfrm"]);
    assert_eq!((&described["holds"], &described["bytes"]), (&"reduced model".into(), &exported["bytes"]));
    assert_eq!(described["multiply-adds a step"], exported["multiply_adds"]);
    verified(folder, &["slow.tfrm"]);

    let error = refusal(folder, &[&of[..], &["--evidence", "9", "--export", "slow.tfrm"]].concat());
    assert!(
        error.contains("--evidence: expected one of the inputs motion, colour,") && error.contains("found 9"),
        "{error}"
    );
    let error = refusal(folder, &[&of[..], &trials, &["--export", "slow.tfld"]].concat());
    assert!(error.contains("--export: expected a file name ending in .tfrm"), "{error}");
    let mut bytes = std::fs::read(folder.join("slow.tfrm")).expect("written");
    bytes[40] ^= 1;
    std::fs::write(folder.join("damaged.tfrm"), bytes).expect("writable");
    for command in ["inspect", "verify"] {
        let error = refusal(folder, &[command, "damaged.tfrm"]);
        assert!(error.contains("damaged.tfrm: checksum"), "{error}");
    }
}

#[test]
fn a_monitor_goes_from_its_network_to_verify() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    for (name, seed) in [("net", "1"), ("other", "2")] {
        let file = format!("{name}.safetensors");
        let size = ["--neurons", "32", "--decays", "0.9,0.95"];
        let args = [&["design", "--dense", "--seed", seed, "--out", &file], &size[..]].concat();
        let output = tinyfold(folder, &args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(tinyfold(folder, &["export", &file]).status.success());
    }
    let short = ["--steps", "5000", "--held-out", "20000", "--flips", "200"];
    let files = ["--export", "net.tfmn", "--figures", "figures"];
    let found = json(folder, &[&["monitor", "net.safetensors"], &short[..], &files].concat());
    assert_eq!((&found["normal"]["steps"], &found["normal"]["alarms"]), (&20_000.into(), &0.into()));
    assert!(found["learnt"]["cost"].as_f64() <= Some(0.25), "{}", found["learnt"]);
    let flipped = &found["flipped"];
    assert!(flipped["matter"].as_u64() >= Some(10) && flipped["found"] == flipped["matter"], "{flipped}");
    assert!(folder.join("figures/monitor.png").exists());

    let described = json(folder, &["inspect", "net.tfmn"]);
    assert_eq!((&described["holds"], &described["bytes"]), (&"monitor".into(), &found["bytes"]));
    assert_eq!(described["ranges"], found["thresholds"]["ranges"]);
    verified(folder, &["net.tfld", "--monitor", "net.tfmn"]);

    let error = refusal(folder, &["verify", "other.tfld", "--monitor", "net.tfmn"]);
    assert!(error.contains("net.tfmn: expected the monitor of other.tfld, checksum 0x"), "{error}");
    let error = refusal(folder, &["verify", "other.tfld", "--monitor", "other.tfld"]);
    assert!(error.contains("other.tfld: expected a monitor (.tfmn), found a network"), "{error}");
    let error = refusal(folder, &["verify", "net.tfmn"]);
    assert!(error.contains("expected a model; its monitor comes behind --monitor"), "{error}");
    let error = refusal(folder, &["monitor", "net.safetensors", "--steps", "10"]);
    assert!(error.contains("samples: expected at least 1000 steps, found 10"), "{error}");
    for (option, value) in [("--every", "0"), ("--check", "0"), ("--flips", "0"), ("--flips", "2000000")] {
        let output = tinyfold(folder, &["monitor", "net.safetensors", option, value]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let told = text.contains(&format!("'{value}' for '{option} <"));
        assert!(output.status.code() == Some(2) && told, "{text}");
    }
    let low_rank = ["design", "--neurons", "32", "--decays", "0.9,0.95", "--out", "low.safetensors"];
    assert!(tinyfold(folder, &low_rank).status.success());
    for option in ["--check", "--dimensions"] {
        let error = refusal(folder, &["monitor", "low.safetensors", option, "4"]);
        assert!(
            error.contains(&format!("{option}: expected a dense network, found one of rank 2")),
            "{error}"
        );
    }
}

/// Every alarm rises in some step of the suite and not in all, so that a chip that never raises it, or always, differs.
#[test]
fn every_alarm_comes_and_goes_in_the_suite() {
    let cases = watched_suite(40).expect("the suite exports");
    let records = Core.run(&cases.iter().collect::<Vec<&Case>>()).expect("runs");
    let alarms: Vec<u32> = cases
        .iter()
        .zip(&records)
        .flat_map(|(case, record)| record.carried.chunks(record.carried.len() / case.steps()))
        .map(|step| step[step.len() - 4])
        .collect();
    assert_eq!(alarms.len(), cases.len() * 40);
    for bit in 0..4 {
        let raised = alarms.iter().filter(|alarm| *alarm >> bit & 1 == 1).count();
        println!("alarm {}: in {raised} of {} steps", 1 << bit, alarms.len());
        assert!(raised > 0 && raised < alarms.len(), "alarm {}: {raised}", 1 << bit);
    }
}

/// Of what `verify` is to find nothing wrong with, something must have been compared.
#[test]
fn what_proves_nothing_does_not_pass() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    for (file, neurons) in [("net.safetensors", "24"), ("other.safetensors", "32")] {
        let args = ["design", "--neurons", neurons, "--decays", "0.9,0.95", "--out", file];
        assert!(tinyfold(folder, &args).status.success());
    }
    assert!(tinyfold(folder, &["export", "net.safetensors"]).status.success());
    let verify = |more: &[&str]| refusal(folder, &[&["verify", "net.tfld"], more].concat());
    let error = verify(&["--steps", "0"]);
    assert!(error.contains("--steps: expected from 1 to 10000000, found 0"), "{error}");
    let error = verify(&["--original", "other.safetensors"]);
    let told =
        "--original: expected n = 24, I = 2, O = 2, rate form as the model, found n = 32, I = 2, O = 2";
    assert!(error.contains(told), "{error}");
    verified(folder, &["net.tfld", "--original", "net.safetensors"]);

    let wide = ["export", "net.safetensors", "--number", "f64", "--out", "wide.tfld"];
    assert!(tinyfold(folder, &wide).status.success());
    let error = refusal(folder, &["verify", "wide.tfld"]);
    let told = "wide.tfld: expected f32 or fixed point (chips run no f64), found f64";
    assert!(error.contains(told), "{error}");

    // f64 and f32 both grow without bound: infinity is near nothing.
    let mut grows = network::load(&folder.join("net.safetensors")).expect("written");
    grows.recurrence = Recurrence::Dense(Mat::from_fn(24, 24, |i, j| if i == j { 1e30 } else { 0.0 }));
    grows.initial = vec![1.0; 24];
    let samples = vec![0.5; 2 * 40];
    let case = Case::of_network("grows", grows, samples).expect("exports");
    let found = verify::verify(&[case], &[&Core], &ProgressBar::hidden()).expect("runs");
    assert!(!found.passed() && found.backends[1].failures[0].contains("relative error inf"), "{found:?}");
}
