//! `tinyfold import` and `tinyfold dynamics` as a user meets them: one network from file to verdicts, and bad input.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tinyfold::format::results::About;
use tinyfold::network::{Activation, Network, Recurrence};

#[cfg(target_os = "linux")]
use crate::interrupt;
use crate::references;

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
    let file = references::path(&format!("{name}.safetensors"));
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
        "--parameter: expected one of the inputs x0, x1, x2, or its number, 1 to 3; or bias, bias:K, weights or to:V, found x9",
    );
    refused(&["ssm", "net.safetensors", "--order", "999"], "order: expected 1 to 60, found 999");
    refused(
        &["cycles", "net.safetensors"],
        "net.safetensors: activation: expected linear, relu or clipped, which are piecewise linear, found tanh",
    );
    refused(&["lyapunov", "net.safetensors", "--steps", "0"], "steps: expected at least 1, found 0");
    refused(
        &["slow-manifold", "net.safetensors", "--points", "none.json"],
        "none.json: cannot read: No such file or directory (os error 2)",
    );
}

/// A linear network of uncoupled neurons, an input to the last of them, as many outputs as neurons.
fn uncoupled(folder: &Path, name: &str, values: &[f64]) {
    let n = values.len();
    let w = faer::Mat::from_fn(n, n, |i, j| if i == j { values[i] } else { 0.0 });
    let input = faer::Mat::from_fn(n, 1, |i, _| f64::from(u8::from(i + 1 == n)));
    let network = Network::plain(Activation::Linear, Recurrence::Dense(w), input, faer::Mat::identity(n, n));
    tinyfold::format::network::save(&folder.join(name), &network).expect("writable");
}

#[test]
fn an_exact_line_and_a_leaky_integrator_are_judged() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ask = |args: &[&str]| json(folder.path(), &[&["dynamics"], args, &["--json"]].concat());
    let net = "net.safetensors";
    uncoupled(folder.path(), net, &[1.0, 0.5, 0.3]);
    let points = ask(&["fixed-points", net]);
    assert_eq!(points["continuum"]["dimension"], 1);
    std::fs::write(folder.path().join("points.json"), points.to_string()).expect("writable");
    for more in [&[][..], &["--points", "points.json"]] {
        let found = ask(&[&["attractor", net], more].concat());
        assert_eq!(found["verdict"]["verdict"], "attractor", "{}", found["verdict"]["sentence"]);
        assert!((found["verdict"]["normal_rate"].as_f64().expect("a number") - 0.5_f64.ln()).abs() < 1e-9);
    }
    uncoupled(folder.path(), net, &[0.9995, 0.99, 0.3]);
    let found = ask(&["attractor", net, "--reach", "0.5"]);
    assert_eq!(found["verdict"]["verdict"], "slow");
    assert_eq!(references::numbers(&found["line"]["speed"]).len(), 65);
    let output = tinyfold(folder.path(), &["dynamics", "attractor", net]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.starts_with("the slow spectral submanifold of a lone fixed point, p from -1.0000 to 1.0000"),
        "{text}"
    );
    assert!(text.contains("but a slow line: below 0.01 lengths per time over 100 %"), "{text}");
    assert!(text.contains("1 fixed point on it, a node"), "{text}");
    // Two directions that rest, and none that does.
    uncoupled(folder.path(), net, &[1.0, 1.0, 0.3]);
    let refused = |args: &[&str]| {
        let output = tinyfold(folder.path(), &[&["dynamics"], args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        String::from_utf8_lossy(&output.stderr).trim().to_owned()
    };
    let text = refused(&["attractor", net]);
    assert!(text.contains("found a surface of 2 dimensions, each of its states at rest"), "{text}");
    let found = ask(&["attractor", net, "--shape", "plane", "--figures", "figures"]);
    assert_eq!(found["verdict"]["verdict"], "attractor", "{}", found["verdict"]["sentence"]);
    assert_eq!((&found["verdict"]["shape"], &found["plane"]["reach"]), (&"plane".into(), &1.0.into()));
    assert!(folder.path().join("figures/plane.png").exists());
    // A line of them in a plane that is no continuum otherwise.
    uncoupled(folder.path(), net, &[1.0, 0.5, 0.5]);
    let found = ask(&["attractor", net, "--shape", "plane"]);
    let text = found["verdict"]["sentence"].as_str().expect("a sentence");
    assert!(text.ends_with("a line of fixed points in the plane"), "{text}");
    assert_eq!(found["verdict"]["points"].as_array().map(Vec::len), Some(0));
    let output = tinyfold(folder.path(), &["dynamics", "attractor", net, "--shape", "plane"]);
    assert!(!String::from_utf8_lossy(&output.stdout).contains("nodes"));
    uncoupled(folder.path(), net, &[1.0, 1.0, 0.3]);
    // What moves along a continuum is followed nowhere, so that no folds are made up.
    let text = refused(&["continue", net, "--parameter", "1", "--values", "5"]);
    assert!(
        text.ends_with("found a continuum of fixed points at the parameter -0.8000, -0.4000, 0.0000, .."),
        "{text}"
    );
    let ends = tinyfold(folder.path(), &["dynamics", "attractor", net, "--shape", "ring"]);
    assert!(!ends.status.success());
}

#[test]
fn numbers_out_of_range_are_refused_at_once() {
    let folder = imported("flipflop_tanh_n64");
    for (args, message) in [
        ("fit net.safetensors --count 18446744073709551615", "--count: expected 2 to 1000000"),
        ("fit net.safetensors --count 1000000 --samples 1000", "--count and --samples: expected at most"),
        ("fit net.safetensors --interval 1e7", "--interval: expected above 0, at most 10000, found 10000000"),
        ("fit net.safetensors --degrees 3,200", "--degrees: expected 1 to 100, found 200"),
        ("continue net.safetensors --parameter x0 --values 1000000000000", "--values: expected 1 to 1000000"),
        ("continue net.safetensors --parameter x0 --values 0", "--values: expected 1 to 1000000, found 0"),
        ("ftle net.safetensors --size 200000", "--size: expected 2 to 5000, found 200000"),
        ("slow-manifold net.safetensors --time 1e9", "--time: expected above 0, at most 100000"),
        ("slow-manifold net.safetensors --time nan", "--time: expected above 0"),
        ("slow-manifold net.safetensors --degree 100000", "--degree: expected 8 to 1024"),
        ("fixed-points net.safetensors --rounds 10001", "--rounds: expected 1 to 10000, found 10001"),
        ("cycles net.safetensors --period 100000000", "--period: expected 1 to 1000, found 100000000"),
        ("cycles net.safetensors --starts 18446744073709551615", "--starts: expected 1 to 1000000"),
        ("lyapunov net.safetensors --exponents 65", "--exponents: expected 1 to 64, the neurons, found 65"),
        (
            "lyapunov net.safetensors --dt 0.1",
            "--dt: expected none of a map, whose step is its own, found 0.1",
        ),
        (
            "lyapunov net.safetensors --as flow --dt 3",
            "--dt: expected above 0, at most 1 time constant, found 3",
        ),
        ("fit net.safetensors --delays 0", "--delays: expected at least 1, found 0"),
        ("fit net.safetensors --lag 0", "--lag: expected at least 1, found 0"),
    ] {
        refused_with(folder.path(), args, message);
    }
    let folder = imported("mante_tanh_n100_graded");
    // Without the points that the search would take seconds to find.
    let trials = "slow-manifold net.safetensors --points none.json --input 0,0,0,1 --evidence colour";
    for (option, message) in [
        ("--strengths nan", "--strengths: expected finite numbers, found NaN"),
        ("--steps 0", "--steps: expected 1 to 100000, found 0"),
        ("--trials 0", "--trials: expected 1 to 100000, found 0"),
        ("--noise=-1", "--noise: expected 0 or more, found -1"),
    ] {
        refused_with(folder.path(), &format!("{trials} {option}"), message);
    }
}

/// What a command prints.
fn printed(folder: &Path, args: &[&str]) -> String {
    let output = tinyfold(folder, &[&["dynamics"], args].concat());
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("letters")
}

#[test]
fn what_a_table_says_is_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    let save = |name: &str, network: &Network| {
        tinyfold::format::network::save(&folder.join(name), network).expect("writable");
    };
    let one = faer::Mat::from_fn(2, 1, |_, _| 1.0);
    let tanh = |values: [[f64; 2]; 2]| {
        let w = Recurrence::Dense(faer::Mat::from_fn(2, 2, |i, j| values[i][j]));
        Network { alpha: 0.2, ..Network::plain(Activation::Tanh, w, one.clone(), one.transpose().to_owned()) }
    };
    // A saddle at 0, between two nodes.
    save("net.safetensors", &tanh([[2.0, 0.0], [0.5, 0.2]]));
    let text = printed(folder, &["fixed-points", "net.safetensors"]);
    assert!(text.contains("2 neurons as a flow, held input x0 = 0"), "{text}");
    assert!(text.contains("leading eigenvalue") && text.contains("below 0: grows"), "{text}");
    let at_rest = printed(folder, &["lyapunov", "net.safetensors", "--spread", "0", "--steps", "200"]);
    assert!(at_rest.contains("at an unstable fixed point") && !at_rest.contains("chaos"), "{at_rest}");
    let map = ["lyapunov", "net.safetensors", "--as", "map", "--steps", "200", "--transient", "500"];
    let text = printed(folder, &map);
    assert!(text.contains("1 / step") && text.contains("at a stable fixed point"), "{text}");
    // RK4 would make chaos of the stable point of a fast network.
    save("fast.safetensors", &tanh([[-8.0, 0.0], [0.0, -8.0]]));
    refused_with(
        folder,
        "lyapunov fast.safetensors --dt 0.5",
        "--dt: expected at most 0.30 time constants, for an eigenvalue of size 9.0 at the first state, found 0.5",
    );
    let text =
        printed(folder, &["ftle", "net.safetensors", "--size", "8", "--steps", "5", "--basin-steps", "1"]);
    assert!(text.contains("no attractor is reached within 1 steps"), "{text}");
    let text = printed(folder, &["ftle", "net.safetensors", "--size", "8", "--steps", "5"]);
    assert!(text.contains("attractor 1 ") && !text.contains("attractor 0"), "{text}");
    // What a step loses at once.
    uncoupled(folder, "exact.safetensors", &[0.9, 0.0]);
    let text = printed(folder, &["lyapunov", "exact.safetensors", "--steps", "200"]);
    assert!(text.contains("at once") && !text.contains("NaN") && !text.contains("inf "), "{text}");
    // An SSM where it holds and where it does not.
    let of = ["ssm", "net.safetensors", "--order", "9"];
    let text = printed(folder, &of);
    assert!(text.contains("): p from -") && text.contains("powers [1]"), "{text}");
    assert!(text.contains("time constants, reduced against full"), "{text}");
    uncoupled(folder, "one.safetensors", &[0.9]);
    refused_with(
        folder,
        "ssm one.safetensors --dimension 2",
        "dimension: expected 2 coordinates: at least 2 neurons, found 1",
    );
    refused_with(folder, "ssm net.safetensors --eigenvalue 9", "eigenvalue: expected 0 to 1, found 9");
    refused_with(
        folder,
        "ssm net.safetensors --dimension 2 --parameter weights --order 31",
        "order: expected 1 to 30 of two coordinates and a parameter, found 31",
    );
    // One dimension has no plane to draw: what was found is printed all the same.
    let output = tinyfold(folder, &["dynamics", "cycles", "one.safetensors", "--figures", "figures"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("period 1:"), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("--figures: expected a cycle in 2 dimensions"));
}

/// Rounding puts the fixed point of an exact integrator on the side where all neurons are silent.
#[test]
fn a_fixed_point_on_a_border_has_the_eigenvalues_of_its_slowest_side() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    let design =
        tinyfold(folder, &["design", "--neurons", "16", "--decays", "0.999", "--out", "net.safetensors"]);
    assert!(design.status.success(), "{}", String::from_utf8_lossy(&design.stderr));
    let found = json(folder, &["dynamics", "cycles", "net.safetensors", "--period", "1", "--json"]);
    let cycle = &found["cycles"][0];
    assert_eq!((&cycle["border"], &cycle["stable"]), (&true.into(), &true.into()));
    assert!(cycle["spectral_radius"].as_f64().is_some_and(|radius| (radius - 0.999).abs() < 1e-9), "{cycle}");
    let text = printed(folder, &["cycles", "net.safetensors", "--period", "1"]);
    assert!(text.contains("on a border: index, stability and radius are of one side"), "{text}");
}

/// A fold where the series does not hold is none.
#[test]
fn folds_are_listed_where_the_series_holds() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/mante_tanh_n100.safetensors");
    let file = file.to_str().expect("letters");
    json(folder.path(), &["import", file, "-o", "net.safetensors", "--json"]);
    let args = ["dynamics", "ssm", "net.safetensors", "--input", "0,0,0,1", "--parameter", "bias", "--json"];
    let found = json(folder.path(), &args);
    let residual = |fold: &Value| fold["residual"].as_f64();
    let folds = found["folds"].as_array().expect("folds");
    assert!(folds.iter().all(|fold| residual(fold).is_some_and(|residual| residual <= 1e-2)), "{folds:?}");
    let text = printed(folder.path(), &args[1..args.len() - 1]);
    let outside = found["roots"].as_array().expect("roots").iter().filter(|root| residual(root) > Some(1e-6));
    assert_eq!(
        text.matches("outside the domain").count(),
        outside.count() + folds.iter().filter(|fold| residual(fold) > Some(1e-6)).count(),
        "{text}"
    );
}

fn refused_with(folder: &Path, args: &str, message: &str) {
    let args: Vec<&str> = std::iter::once("dynamics").chain(args.split(' ')).collect();
    let output = tinyfold(folder, &args);
    let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    assert!(text.starts_with(&format!("tinyfold: {message}")), "{args:?}: {text}");
    assert_eq!(output.status.code(), Some(2), "{args:?}");
}

/// Ctrl-C in the middle of a command that would not end: code 0, and JSON that says it is not complete.
#[cfg(target_os = "linux")]
fn stopped(folder: &Path, args: &[&str]) -> Value {
    let mut since = None;
    let mut command = Command::new(env!("CARGO_BIN_EXE_tinyfold"));
    command.args([&["dynamics"], args, &["--json"]].concat()).current_dir(folder);
    let output = interrupt::interrupted(&mut command, || {
        since.get_or_insert_with(std::time::Instant::now).elapsed().as_millis() > 1500
    });
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {error}");
    let value: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(value["complete"], false, "{args:?}");
    value
}

#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_keeps_what_was_found() {
    let folder = imported("flipflop_tanh_n64");
    let net = "net.safetensors";
    let steps = 1_000_000_000;
    let found = stopped(
        folder.path(),
        &["lyapunov", net, "--transient", "0", "--steps", &steps.to_string(), "--figures", "figures"],
    );
    let spectrum = &found["spectrum"];
    assert!(spectrum["steps"].as_u64().is_some_and(|done| done > 0 && done < steps));
    let exponents = references::numbers(&spectrum["exponents"]);
    assert_eq!((exponents.len(), references::numbers(&spectrum["errors"]).len()), (10, 10));
    // Of the stable point that it falls on: its eigenvalue of size 0.607.
    assert!((-0.6..-0.3).contains(&exponents[0]), "{exponents:?}");
    assert!(folder.path().join("figures/lyapunov.png").exists());

    let args = ["ftle", net, "--size", "400", "--steps", "2000", "--save", "part.npz"];
    let found = stopped(folder.path(), &args);
    let part = About::of(&folder.path().join("part.npz")).expect("readable").expect("a result");
    assert!(
        !part.complete && part.arrays.iter().any(|array| array.name == "ftle" && array.shape == [400, 400])
    );
    let values = found["field"]["values"].as_array().expect("values");
    let computed = found["field"]["computed"].as_u64().expect("a number") as usize;
    assert!(computed > 0 && computed < values.len() && values.len() == 160_000);
    assert_eq!(values.iter().filter(|value| value.is_f64()).count(), computed);
    // Rows from the first on: before the last point only the blocks of 32 that the threads were at are missing.
    let last = values.iter().rposition(Value::is_f64).expect("a number");
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    assert!(last + 1 - computed <= 32 * threads, "{computed} points, the last {last}");
    assert!(found["basins"].is_null());

    let arrays = references::path("plrnn_small.safetensors");
    let arrays = arrays.to_str().expect("a name of letters");
    let found = stopped(
        folder.path(),
        &["cycles", arrays, "--arrays", "plrnn_relu_n4_seed25/", "--period", "40", "--most-words", "1e300"],
    );
    let coverage = found["coverage"].as_array().expect("periods");
    assert!(coverage.len() < 40 && coverage[0]["complete"] == true, "{coverage:?}");
    assert!(!found["cycles"].as_array().expect("cycles").is_empty());

    let found = stopped(folder.path(), &["continue", net, "--parameter", "x0", "--values", "1000000"]);
    let found = found["points"].as_array().expect("points");
    assert!(!found.is_empty() && found.iter().all(|point| point["mu"].is_f64() && point["x"].is_array()));
    // W of random numbers, chaotic: its fixed points are beyond counting.
    let n = 150;
    let random = |i: usize, j: usize| (((i * n + j) as f64 * 12.9898).sin() * 43758.5453).fract();
    let w = faer::Mat::from_fn(n, n, |i, j| 5.0 / (n as f64).sqrt() * random(i, j));
    let one = faer::Mat::from_fn(n, 1, |i, _| random(i, n * n));
    let chaos =
        Network::plain(Activation::Tanh, Recurrence::Dense(w), one.clone(), one.transpose().to_owned());
    tinyfold::format::network::save(&folder.path().join("chaos.safetensors"), &chaos).expect("writable");
    // A search that goes on for minutes: every command that starts from fixed points gives those found.
    for command in ["fixed-points", "ssm", "slow-manifold", "attractor"] {
        let found = stopped(folder.path(), &[command, "chaos.safetensors", "--save", "points.npz"]);
        let points = found["points"].as_array().expect("points");
        let part = About::of(&folder.path().join("points.npz")).expect("readable").expect("a result");
        let states = part.arrays.iter().find(|array| array.name == "states").expect("states");
        assert!(!part.complete && states.shape[0] == points.len(), "{command}");
    }
    // The search ends within a second, the coefficients take minutes.
    let args =
        ["ssm", net, "--dimension", "2", "--eigenvalue", "1", "--parameter", "weights", "--order", "30"];
    let began = std::time::Instant::now();
    let found = stopped(folder.path(), &args);
    assert_eq!(found["points"].as_array().expect("points").len(), 27);
    assert!(began.elapsed().as_secs() < 30);
}

#[test]
fn inputs_and_fixed_points_are_named_in_one_way() {
    let folder = imported("mante_tanh_n100_graded");
    let ask = |args: &[&str]| json(folder.path(), &[&["dynamics"], args, &["--json"]].concat());
    let held = ["net.safetensors", "--input", "0,0,0,1"];
    let with = |command: &str, more: &[&str]| ask(&[&[command], &held[..], more].concat());
    let by_name = with("ssm", &["--parameter", "colour"]);
    assert_eq!(by_name, with("ssm", &["--parameter", "2"]));
    let trials = |evidence: &str| with("slow-manifold", &["--evidence", evidence, "--trials", "5"]);
    assert_eq!(trials("colour")["psychometric"], trials("2")["psychometric"]);

    // The numbers of fixed points are those that `fixed-points` prints.
    let points = with("fixed-points", &[]);
    let state = |k: usize| references::numbers(&points["points"][k]["x"]);
    for number in 1..=5 {
        let chosen = with("ssm", &["--near", &number.to_string(), "--order", "3"]);
        assert_eq!(chosen["at"], number - 1);
        let x = references::numbers(&chosen["fixed_points"][number - 1]["x"]);
        assert_eq!(x, state(number - 1));
        // From a state beside it, in a file and as numbers.
        let beside: Vec<f64> = x.iter().enumerate().map(|(i, x)| x + 0.01 * (i as f64).sin()).collect();
        let text: Vec<String> = beside.iter().map(f64::to_string).collect();
        std::fs::write(folder.path().join("x.json"), format!("{{\"x\": [{}]}}", text.join(",")))
            .expect("writable");
        for near in ["x.json", &text.join(",")] {
            assert_eq!(with("ssm", &["--near", near, "--order", "3"])["at"], number - 1, "{near}");
        }
    }
    let refused = |args: &[&str], message: &str| {
        let output = tinyfold(folder.path(), &[&["dynamics"], args].concat());
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        assert_eq!(text, format!("tinyfold: {message}"), "{args:?}");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
    };
    let names = "expected one of the inputs motion, colour, ctx_motion, ctx_colour, or its number, 1 to 4";
    let more = "; or bias, bias:K, weights or to:V";
    for (command, option, more) in
        [("ssm", "--parameter", more), ("continue", "--parameter", more), ("slow-manifold", "--evidence", "")]
    {
        let args = [&[command], &held[..], &[option, "color"]].concat();
        refused(&args, &format!("{option}: {names}{more}, found color"));
    }
    let near = |near: &str| [&["ssm"], &held[..], &["--near", near]].concat().join(" ");
    let near = |text: &str, message: &str| {
        refused(&near(text).split(' ').collect::<Vec<&str>>(), message);
    };
    near("0", "--near: expected 1 to 5, the fixed points found, found 0");
    near("6", "--near: expected 1 to 5, the fixed points found, found 6");
    near("0.1,0.2", "--near: expected a number, or 100 numbers of a state, found 2");
    near("none.json", "none.json: cannot read: No such file or directory (os error 2)");
    refused(
        &["continue", "net.safetensors", "--input", "0,0", "--parameter", "colour"],
        "input: expected 4 numbers, one an input (motion, colour, ctx_motion, ctx_colour), found 2",
    );
    refused(
        &["cycles", "net.safetensors", "--as", "flow"],
        "--as: expected map: cycles are those of a map, found flow",
    );
}

#[test]
fn a_manifold_is_learnt_from_trajectories_of_the_network() {
    let folder = imported("mante_tanh_n100_graded");
    let args = ["dynamics", "fit", "net.safetensors", "--input", "0,0,0,1", "--figures", "figures", "--json"];
    let found = json(folder.path(), &args);
    assert!(found["nmte"].as_f64().is_some_and(|nmte| nmte < 5e-3), "{}", found["nmte"]);
    let roots = found["roots"].as_array().expect("roots");
    let stable: Vec<bool> = roots.iter().filter_map(|root| root["stable"].as_bool()).collect();
    assert_eq!(stable, [true, false, true, false, true]);
    let known = found["known"].as_array().expect("known");
    assert_eq!(known.len(), 5);
    for known in known {
        let number = |name: &str| known[name].as_f64().expect("a number");
        let p = references::numbers(&known["p"])[0];
        assert!((p - number("root")).abs() < 0.05 && number("distance") < 0.1, "{known}");
    }
    assert!(folder.path().join("figures/fit.png").exists());
}

/// ds/dt = s - s³ on the parabola (s, s²), of which the solution is known.
#[test]
fn a_manifold_is_learnt_from_a_file_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (trials, times, dt) = (40_usize, 120_usize, 0.1_f64);
    let samples = (0..trials * times).flat_map(|k| {
        let (trial, t) = (k / times, (k % times) as f64 * dt);
        let s0 = 2.6 * (trial as f64 * 0.618_034).fract() - 1.3;
        let s = s0 * t.exp() / (1.0 + s0 * s0 * ((2.0 * t).exp() - 1.0)).sqrt();
        [s, s * s]
    });
    let array = ndarray::Array::from_shape_vec((trials, times, 2), samples.collect()).expect("its shape");
    ndarray_npy::write_npy(folder.path().join("states.npy"), &array).expect("writable");
    let args = ["dynamics", "fit", "--trajectories", "states.npy", "--cut", "0"];
    let found = json(folder.path(), &[&args[..], &["--json"]].concat());
    let roots: Vec<(f64, f64, bool)> = found["roots"]
        .as_array()
        .expect("roots")
        .iter()
        .map(|root| {
            let number = |name: &str| root[name].as_f64().expect("a number");
            (number("p"), number("slope"), root["stable"] == true)
        })
        .collect();
    assert_eq!(roots.iter().map(|root| root.2).collect::<Vec<bool>>(), [true, false, true], "{roots:?}");
    // r(s) of a sample to the next: its slopes at 0 and at 1 and -1.
    assert!((roots[1].1 - (dt.exp() - 1.0)).abs() < 1e-3, "{roots:?}");
    for end in [0, 2] {
        assert!((roots[end].1 - ((-2.0 * dt).exp() - 1.0)).abs() < 5e-3, "{roots:?}");
    }
    assert!((roots[2].0 - roots[0].0 - 2.0).abs() < 0.01, "{roots:?}");
    assert!(found["nmte"].as_f64().is_some_and(|nmte| nmte < 1e-3), "{}", found["nmte"]);
    let refused = |args: &[&str], message: &str| {
        let output = tinyfold(folder.path(), args);
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        assert_eq!(text, format!("tinyfold: {message}"), "{args:?}");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
    };
    refused(&[&args[..], &["--held-out", "1"]].concat(), "--held-out: expected above 0, below 1, found 1");
    refused(
        &["dynamics", "fit", "--trajectories", "states.npy", "--cut", "400"],
        "cut: expected at most 114 samples, found 400",
    );
    refused(
        &["dynamics", "fit", "--trajectories", "none.npy"],
        "none.npy: cannot read: No such file or directory (os error 2)",
    );
}
