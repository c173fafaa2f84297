//! Tasks at the command line.

use std::path::Path;
use std::process::{Command, Output};

use tinyfold::format::network;
use tinyfold::task::Task;
use tinyfold::task::context::{Context, Target};
use tinyfold::train::Settings;

fn tinyfold(folder: &Path, command: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tinyfold"))
        .args(command.split_whitespace())
        .current_dir(folder)
        .output()
        .expect("the command runs")
}

fn ran(folder: &Path, command: &str) -> String {
    let output = tinyfold(folder, command);
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// From the command that trains to the bits of a chip, with five inputs and one output.
#[test]
fn a_network_of_a_task_goes_through_the_commands() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    std::fs::write(
        at.join("run.toml"),
        "neurons = 12\nsteps = 20\ninterval = 10\nsequence = 20\n[task.context]\ntarget = \"choice\"\n",
    )
    .expect("written");
    let told = ran(at, "train --settings run.toml --out run");
    assert!(told.contains("relative RMSE over 128 held-out trials of 20 steps: "), "{told}");
    assert!(told.contains(" % of the judged outputs have the right sign"), "{told}");
    for file in ["figures/trials.svg", "figures/trials.png", "settings.toml", "network.safetensors"] {
        assert!(at.join("run").join(file).exists(), "{file}");
    }
    let network = network::load(&at.join("run/network.safetensors")).expect("a network");
    assert_eq!(network.task, Some(Context { target: Target::Choice, ..Context::default() }.into()));
    assert_eq!((network.inputs.len(), network.outputs.len()), (4, 1));
    assert_eq!(
        (network.inputs[2].name.as_str(), network.outputs[0].name.as_str()),
        ("attend motion", "choice")
    );
    let told = ran(at, "inspect run/network.safetensors");
    assert!(told.contains("context") && told.contains("coherences"), "{told}");
    ran(at, "export run/network.safetensors");
    let told = ran(at, "verify run/network.tfld --original run/network.safetensors --steps 50 --json");
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    let core = told["backends"].as_array().expect("rows").iter().find(|row| row["bit_equal"] == true);
    assert!(core.is_some(), "{told}");
    assert!(ran(at, "inspect run/network.tfld").contains("coherences"));
    // On trials of the task, since no recording has its inputs.
    let told = ran(at, "analyse run/network.safetensors --steps 200");
    assert!(told.contains("no integrals: the network is no integrator"), "{told}");
    assert!(told.starts_with("on: trials of the task context\n"), "{told}");
    let told = ran(at, "compress run/network.safetensors --rank 8");
    assert!(told.contains("Gaussian     trials") && told.contains("against the original network"), "{told}");
    let told = ran(at, "train --task flip-flop --neurons 8 --steps 5 --out flip --json");
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    assert!(told["best"]["correct"].is_number() && told["trials"] == 128 && told["steps"] == 60, "{told}");
    // Told from other trials than those that chose the network.
    assert!(told["error"].is_number() && told["error"] != told["best"]["rollout"], "{told}");
    let told = ran(at, "train --resume flip --trial-steps 90");
    assert!(told.contains("held-out trials of 90 steps"), "{told}");

    let refused = |command: &str, expected: &str| {
        let output = tinyfold(at, command);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && told.contains(expected), "{command}: {told}");
    };
    let other = network.integrator("run").expect_err("no integrator").to_string();
    assert_eq!(other, "run: task: expected decays and scales of an integrator, found context");
    refused("train --task sine --rule rtrl", "a rule: expected integration to learn, found the task sine");
    refused("train --task sien", "invalid value 'sien'");
    refused(
        "train --trial-steps 20",
        "--trial-steps: expected none for integration, which is judged over 10000",
    );
    refused("train --targets gyro_x", "--targets: expected none: what is learnt is the task of the settings");
    refused("train --decays 0.9 --scales 1,2", "number of --scales: expected 1, one a decay, found 2");
    // Every rule is looked at before the first one runs.
    refused("train --rule rtrl,latent --out rules", "rank: expected at least 1 with the rule latent");
    assert!(!at.join("rules").exists());
}

/// More channels than the bundled recording has are learnt without one, unless it was asked for.
#[test]
fn integration_of_more_channels_than_the_bundled_recording_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let train = "train --neurons 16 --steps 4 --interval 2 --decays 0.92,0.9,0.88,0.87,0.85 --out run";
    let told = ran(folder.path(), &format!("{train} --json"));
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    assert!(told["gaussian"].is_number() && told["recording"].is_null(), "{told}");
    let told = ran(folder.path(), "train --resume run");
    assert!(
        told.contains("relative RMSE over 10000 steps: Gaussian ") && !told.contains("recording"),
        "{told}"
    );
    let output = tinyfold(folder.path(), &format!("{train} --columns gyro_x,gyro_y"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("expected at most 2, the inputs of the recording, found 5"), "{told}");
}

#[test]
fn tasks_are_told_and_drawn() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = ran(folder.path(), "task");
    assert!(Task::NAMES.iter().all(|name| told.contains(name)), "{told}");
    let told = ran(folder.path(), "task delayed-match --figures drawn");
    assert!(told.contains("# Steps after the test that are judged.\nresponse = 5"), "{told}");
    assert!(told.contains("outputs: match\nsteps of a trial: 26"), "{told}");
    let svg = std::fs::read_to_string(folder.path().join("drawn/trials.svg")).expect("a figure");
    assert!(["stimulus 0", "stimulus 1", "match", "trial 3"].iter().all(|text| svg.contains(text)));
    let settings = |text: &str| std::fs::write(folder.path().join("f.toml"), text).expect("written");
    settings("from_recording = 0.5\n");
    assert!(ran(folder.path(), "task --settings f.toml").starts_with("integration: "));
    settings("\nneurons = 0\n");
    let told = tinyfold(folder.path(), "task --settings f.toml").stderr;
    let told = String::from_utf8_lossy(&told);
    assert_eq!(told, "tinyfold: f.toml:2: neurons: expected from 1 to 1048576, found 0\n");
    let told = ran(folder.path(), "train --print-defaults --task sine");
    let task = Task::named("sine").expect("a task");
    assert_eq!(Settings::parse(&told, "printed").expect("a file"), Settings::of(task));
}

#[test]
fn settings_are_those_of_the_file_the_method_and_the_options() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let written = |text: &str| std::fs::write(at.join("f.toml"), text).expect("written");
    let printed = |options: &str| {
        let told = ran(at, &format!("train --print-defaults {options}"));
        let Settings { neurons, learning_rate, weight_decay, .. } =
            Settings::parse(&told, "printed").expect("a file");
        (neurons, learning_rate, weight_decay)
    };
    written("neurons = 8\n");
    assert_eq!(printed("--neurons 5"), (5, 0.01, 0.02));
    assert_eq!(printed("--settings f.toml"), (8, 0.01, 0.02));
    assert_eq!(printed("--settings f.toml --sgd"), (8, 1.0, 0.0));
    assert_eq!(printed("--settings f.toml --rule rtrl"), (8, 0.001, 0.02));
    assert_eq!(printed("--from-recording 0.5"), (64, 0.01, 0.02));
    written("learning_rate = 0.3\nmethod = { sgd = { momentum = 0.5 } }\n");
    assert_eq!(printed("--settings f.toml"), (64, 0.3, 0.0));
    assert_eq!(printed("--settings f.toml --weight-decay 0.1"), (64, 0.3, 0.1));

    let refused = |options: &str, expected: &str| {
        let output = tinyfold(at, &format!("train {options}"));
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(told.trim(), format!("tinyfold: {expected}"), "{options}");
        assert_eq!(output.status.code(), Some(2), "{options}");
    };
    for options in ["--seed 18446744073709551615", "--print-defaults --seed 18446744073709551615"] {
        refused(options, "seed: expected from 0 to 9223372036854775807, found 18446744073709551615");
    }
    written("rank = 2\nactivation = \"rleu\"\n");
    let names = "f.toml:2: activation: expected one of linear, relu, clipped, tanh, sigmoid, found rleu";
    for more in ["", " --rule latent", " --print-defaults"] {
        refused(&format!("--settings f.toml{more}"), &format!("{names}; did you mean relu?"));
    }
}
