//! The command as a user meets it: bad input gives one clear message and exit code 2, nothing half-written.

use std::path::Path;
use std::process::{Command, Output};

fn tinyfold(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tinyfold")).args(args).current_dir(folder).output().expect("runs")
}

/// Writes files, runs, expects exit code 2 and exactly this message.
fn refused(files: &[(&str, &[u8])], args: &[&str], message: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).expect("writable");
    }
    let output = tinyfold(folder.path(), args);
    let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    assert_eq!(text, format!("tinyfold: {message}"), "{args:?}");
    assert_eq!(output.status.code(), Some(2), "{args:?}");
    let left = std::fs::read_dir(folder.path()).expect("readable").count();
    assert_eq!(left, files.len(), "{args:?} left something behind");
}

fn design(csv: &[u8], more: &[&str], message: &str) {
    let args = [&["design", "--input", "walk.csv", "--out", "x.safetensors"], more].concat();
    refused(&[("walk.csv", csv)], &args, message);
}

#[test]
fn a_missing_column() {
    let message = "walk.csv: --columns: expected columns of the file (a, b), found c";
    design(b"a,b\n1,2\n", &["--columns", "a,c"], message);
}

#[test]
fn nan_in_line_17() {
    let rows: String = (2..40).map(|line| if line == 17 { "NaN,1\n" } else { "1,2\n" }).collect();
    let message = "walk.csv: line 17, column a: expected a finite number, found \"NaN\"";
    design(format!("a,b\n{rows}").as_bytes(), &[], message);
}

#[test]
fn a_ragged_row() {
    design(b"a,b\n1,2\n3\n", &[], "walk.csv: line 3: expected 2 fields, as the header has, found 1");
}

#[test]
fn an_empty_file() {
    design(b"", &[], "walk.csv: expected a header line and rows, found an empty file");
}

#[test]
fn more_channels_than_the_file_has() {
    let message = "D (number of --decays): expected at most 2, the inputs of the recording, found 3";
    design(b"a,b\n1,2\n", &["--decays", "0.9,0.95,0.99"], message);
}

#[test]
fn too_few_neurons() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = |n: &str| tinyfold(folder.path(), &["design", "--neurons", n, "--out", "x.safetensors"]);
    let output = run("8");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    let least =
        text.split("at least ").nth(1).and_then(|rest| rest.split(' ').next()).expect("names the least n");
    assert!(text.contains("found n = 8"), "{text}");
    assert!(run(least).status.success(), "n = {least} was said to work");
    let below = (least.parse::<usize>().expect("a number") - 1).to_string();
    assert_eq!(run(&below).status.code(), Some(2), "n = {below} was said not to work");
}

/// The neurons whose weights are negative are those that `train` would make inhibitory.
#[test]
fn a_design_under_dales_law() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = |share: &str| {
        let dale =
            ["design", "--decays", "0.9,0.8", "--seed", "3", "--dale", share, "--json", "--out", "x.npz"];
        tinyfold(folder.path(), &dale)
    };
    let output = run("0.25");
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&summary["inhibitory"], &summary["rank"]), (&16.into(), &3.into()), "{summary}");
    let w = tinyfold::format::network::load(&folder.path().join("x.npz")).expect("a network").weights();
    let settings = tinyfold::train::Settings { neurons: 64, dale: 0.25, seed: 3, ..Default::default() };
    let signs = tinyfold::train::vectors::signs(&settings).expect("Dale's law");
    assert!((0..64).all(|j| w.col(j).iter().all(|w| signs[j] * w > 0.0)));
    for share in ["0", "1", "nan", "x"] {
        let output = run(share);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && text.contains("above 0 and below 1"), "{share}: {text}");
    }
}

#[test]
fn a_wrong_number_type() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("walk.npz");
    let mut file = ndarray_npy::NpzWriter::new(std::fs::File::create(&path).expect("writable"));
    file.add_array("x", &ndarray::arr2(&[[1_i64, 2], [3, 4]])).expect("writable");
    file.finish().expect("writable");
    let bytes = std::fs::read(&path).expect("readable");
    let output = {
        std::fs::write(folder.path().join("walk.npz"), bytes).expect("writable");
        tinyfold(folder.path(), &["design", "--input", "walk.npz", "--out", "x.safetensors"])
    };
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert!(text.starts_with("tinyfold: walk.npz: array x: expected") && text.contains("<i8"), "{text}");
}

#[test]
fn a_model_of_another_version() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = |args: &[&str]| tinyfold(folder.path(), args);
    assert!(run(&["design", "--neurons", "24", "--out", "x.safetensors"]).status.success());
    assert!(run(&["export", "x.safetensors", "--out", "x.tfld"]).status.success());
    let path = folder.path().join("x.tfld");
    let mut bytes = std::fs::read(&path).expect("readable");
    bytes[4] = 7;
    std::fs::write(&path, &bytes).expect("writable");
    for command in ["verify", "inspect"] {
        let output = run(&[command, "x.tfld"]);
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        assert_eq!(text, "tinyfold: x.tfld: format version: expected 2, found 7");
        assert_eq!(output.status.code(), Some(2));
    }
    bytes[4] = 2;
    bytes[100] ^= 1;
    std::fs::write(&path, &bytes).expect("writable");
    let output = run(&["verify", "x.tfld"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.starts_with("tinyfold: x.tfld: checksum: expected 0x"), "{text}");
}

#[test]
fn an_unknown_backend() {
    let output = tinyfold(Path::new("."), &["verify", "--suite", "--steps", "1", "--on", "core,qemu-m9"]);
    let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        text,
        "tinyfold: --on: expected backends among core, qemu-m0, qemu-m3, qemu-m4f, qemu-m7, qemu-m33, found qemu-m9"
    );
}

#[test]
fn verify_prints_stable_json() {
    let output = tinyfold(Path::new("."), &["verify", "--suite", "--steps", "3", "--json"]);
    assert!(output.status.success());
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["schema"], 1);
    let core = &json["backends"][1];
    assert_eq!((core["name"].as_str(), core["bit_equal"].as_bool()), (Some("core"), Some(true)));
    assert_eq!(core["verdict"], "pass");
    assert!(core["max_abs"].is_f64() && core["rms"].is_f64());
}

/// The example that `--help` shows is one that runs.
#[test]
fn every_help_has_an_example() {
    for command in [
        "quickstart",
        "design",
        "train",
        "sweep",
        "compress",
        "analyse",
        "theory",
        "export",
        "verify",
        "report",
        "reproduce",
        "inspect",
    ] {
        let output = tinyfold(Path::new("."), &[command, "--help"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success() && text.contains("tinyfold ") && text.contains("Example"),
            "{command}: {text}"
        );
    }
}

#[test]
fn what_a_chip_learned_goes_there_and_back() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = |args: &str| {
        let output = tinyfold(folder.path(), &args.split_whitespace().collect::<Vec<&str>>());
        assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    run("adapt zero --samples 2000 --out learned.safetensors");
    let text = run("export learned.safetensors --bank 65536 --out banks.bin");
    assert_eq!(text, "banks.bin: 65536 bytes of flash, 1 record\n");
    let text = run("inspect banks.bin");
    assert!(text.contains("flash banks with what was learned") && text.contains("neurons n"), "{text}");
    let text = run("fetch banks.bin --out fetched.safetensors");
    assert_eq!(text, "fetched.safetensors: record 1 of banks.bin; n = 32, rank 1\n");
    run("fetch banks.bin --out fetched.tfld");
    run("export learned.safetensors --out learned.tfld");
    let read = |name: &str| std::fs::read(folder.path().join(name)).expect("was written");
    assert_eq!(read("fetched.safetensors"), read("learned.safetensors"));
    assert_eq!(read("fetched.tfld"), read("learned.tfld"));

    // A flipped bit in the only record.
    let mut flipped = read("banks.bin");
    flipped[100] ^= 4;
    let fetch = &["fetch", "banks.bin", "--out", "x.tfld"][..];
    refused(
        &[("banks.bin", &flipped)],
        fetch,
        "banks.bin: expected a whole record in one of the banks, found none",
    );
    refused(
        &[("banks.bin", &flipped[..9000])],
        fetch,
        "banks.bin: expected a multiple of 8192 bytes, twice the erase block, up to 4 GB, found 9000 bytes",
    );
    refused(
        &[("n.safetensors", &read("learned.safetensors"))],
        &["export", "n.safetensors", "--bank", "100", "--out", "b.bin"],
        "--bank: expected a multiple of 8192 bytes, twice the erase block, up to 4 GB, found 100 bytes",
    );
}

#[test]
fn a_lesson_is_inspected() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = |args: &[&str]| {
        let output = tinyfold(folder.path(), args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    run(&["adapt", "drift", "--samples", "2000", "--out", "drift"]);
    let text = run(&["inspect", "drift/lesson.bin"]);
    assert!(text.contains("lesson\n") && text.contains("2000\n") && text.contains("LatentRls\n"), "{text}");
    refused(
        &[("x.bin", b"nothing")],
        &["inspect", "x.bin"],
        "x.bin: expected a trial (beginning with TFTR), its result (TFRS), a lesson (TFLS) or flash banks (TFBK), found \
         \"noth\"",
    );
}

#[test]
fn lessons_that_cannot_be() {
    let adapt = |args: &str, message: &str| {
        let args: Vec<&str> = args.split_whitespace().collect();
        refused(&[], &[&["adapt"], &args[..]].concat(), message);
    };
    let on = "--on: expected core, qemu-m3, qemu-m4f, qemu-m7 or qemu-m33, which learn, found qemu-m0";
    adapt("zero --on qemu-m0", on);
    adapt("zero --channels 0", "--channels: expected at least 1, found 0");
    adapt("zero --decays 1.5", "decays: expected numbers in (0, 1), found 1.5");
    adapt("zero --neurons 0", "neurons: expected at least D = 1, and D at least 1, found 0");
    adapt("drift --samples 100", "samples: expected a multiple of 1000, found 100");
    adapt("drift --every 0", "every: expected at least 1, found 0");
    adapt("drift --decay 0.2", "decay after the drift: expected a number in (0, 1), found 1.15");
}

#[test]
fn what_cannot_be_read_is_told() {
    let empty = |name: &str, args: &[&str], what: &str| {
        refused(&[(name, b"")], args, &format!("{name}: expected {what}, found an empty file"));
    };
    for command in ["analyse", "import", "inspect"] {
        empty("x.safetensors", &[command, "x.safetensors"], "a safetensors file");
        empty("x.npz", &[command, "x.npz"], "an npz archive");
        let cut = "expected a safetensors file, found 40 bytes, not as many as its header says";
        let header = format!("{:64}", r#"{"W":{"dtype":"F64","shape":[8,8],"data_offsets":[0,512]}}"#);
        let whole = [&64_u64.to_le_bytes(), header.as_bytes(), &[0; 512]].concat();
        let gone = "y.npz: cannot read: No such file or directory (os error 2)";
        refused(&[], &[command, "y.npz"], gone);
        for length in [40, 72, 580] {
            let message = format!("x.safetensors: {}", cut.replace("40", &length.to_string()));
            let file = &whole[..length];
            refused(&[("x.safetensors", file)], &[command, "x.safetensors"], &message);
        }
    }
    empty("x.tfld", &["inspect", "x.tfld"], "a chip model");
    empty("x.json", &["inspect", "x.json"], "JSON of tinyfold");
    empty("x.toml", &["inspect", "x.toml"], "settings in TOML");
    let message = "./report.json: expected JSON of tinyfold, found an empty file";
    refused(&[("report.json", b"")], &["report", "."], message);
    refused(&[], &["inspect", "y"], "y: cannot read: No such file or directory (os error 2)");
    let endings = ".safetensors, .npz, .tfld, .tfrm, .tfmn, .csv, .json, .jsonl, .toml or .bin, found .doc";
    let message = format!("x.doc: expected a file ending in {endings}");
    refused(&[("x.doc", b"words")], &["inspect", "x.doc"], &message);
}

#[test]
fn settings_that_are_refused_leave_no_folder() {
    let train = |file: &str, more: &[&str], message: &str| {
        let args = [&["train", "--settings", "x.toml", "--out", "run"], more].concat();
        refused(&[("x.toml", file.as_bytes())], &args, message);
    };
    train("neurons = 0", &[], "x.toml:1: neurons: expected from 1 to 1048576, found 0");
    train("steps = 3", &["--neurons", "0"], "neurons: expected from 1 to 1048576, found 0");
    train("alpha = 2.0", &[], "x.toml:1: alpha: expected a leak above 0 and at most 1, found 2");
    refused(
        &[],
        &["train", "--steps", "0", "--out", "run"],
        "steps: expected from 1 to 9223372036854775807, found 0",
    );
    refused(
        &[],
        &["quickstart", "--steps", "0", "--out", "run"],
        "steps: expected from 1 to 9223372036854775807, found 0",
    );
}
