//! The commands.

use tinyfold::command::dynamics::{attractor, slow_manifold};
use tinyfold::format::arrays::ArrayFile;
use tinyfold::network::{Network, Recurrence};

use super::{json, perturbed};
use crate::references;

#[derive(clap::Parser)]
enum Command {
    SlowManifold(slow_manifold::Args),
    Attractor(attractor::Args),
}

fn run(arguments: &[&str]) -> tinyfold::Result<()> {
    match <Command as clap::Parser>::parse_from([&["test"], arguments].concat()) {
        Command::SlowManifold(args) => slow_manifold::run(&args),
        Command::Attractor(args) => attractor::run(&args),
    }
}

#[test]
fn the_commands_draw_and_refuse() {
    let folder = tempfile::tempdir().unwrap();
    let figures = std::env::var("FIGURES").unwrap_or(folder.path().display().to_string());
    let at = |name: &str| folder.path().join(name).display().to_string();
    let save = |name: &str, network: &Network| {
        let path = at(&format!("{name}.safetensors"));
        tinyfold::format::network::save(std::path::Path::new(&path), network).unwrap();
        path
    };
    let file = ArrayFile::open(&references::path("mante_tanh_n100_graded.safetensors")).unwrap();
    let mut network = references::network("mante_tanh_n100_graded");
    network.initial = file.vector("x0", 100).unwrap();
    for (input, name) in network.inputs.iter_mut().zip(["motion", "colour", "ctx_motion", "ctx_colour"]) {
        input.name = name.into();
    }
    let net = save("mante", &network);
    let points = json("mante_line_points.json")["conditions"]["ctx_colour"]["fixed_points"].clone();
    let points_file = at("points.json");
    std::fs::write(&points_file, serde_json::json!({ "points": points }).to_string()).unwrap();
    let folder_of = |name: &str| format!("{figures}/{name}");
    let line = ["slow-manifold", &net, "--points", &points_file, "--input", "0,0,0,1"];
    let drawn = folder_of("line");
    run(&[&line[..], &["--evidence", "2", "--distractor", "1", "--figures", &drawn]].concat()).unwrap();
    assert!(std::path::Path::new(&format!("{drawn}/slow-manifold.png")).exists());
    assert!(std::path::Path::new(&format!("{drawn}/slow-manifold-inputs.png")).exists());
    run(&["attractor", &net, "--points", &points_file, "--input", "0,0,0,1"]).unwrap();
    // Both contexts side by side, as a map.
    let (drawn, file) = (folder_of("contexts"), at("contexts.npz"));
    let contexts = ["slow-manifold", &net, "--contexts", "ctx_motion,4", "--as", "map", "--figures", &drawn];
    run(&[&contexts[..], &["--evidence", "2", "--trials", "4", "--save", &file]].concat()).unwrap();
    assert!(std::path::Path::new(&format!("{drawn}/slow-manifold-contexts.png")).exists());
    assert!(std::path::Path::new(&format!("{drawn}/ctx_colour/slow-manifold-inputs.png")).exists());
    let saved = ArrayFile::open(std::path::Path::new(&file)).unwrap();
    let last = |context: &str, of: &str| saved.array(&format!("{context}.{of}")).unwrap();
    for (context, own, held) in [("ctx_motion", 0, [1.0, 0.0]), ("ctx_colour", 1, [0.0, 1.0])] {
        assert_eq!(last(context, "input").values[2..], held);
        // The selection vector is aligned with the input that is attended, not with the other.
        let aligned = last(context, "alignment");
        let mean = |k: usize| {
            let row = &aligned.values[k * aligned.shape[1]..][..aligned.shape[1]];
            row.iter().map(|cosine| cosine.abs()).sum::<f64>() / row.len() as f64
        };
        assert!(mean(own) > 5.0 * mean(1 - own), "{context}: {} {}", mean(own), mean(1 - own));
    }
    for (name, size) in [("ring", 0.0), ("perturbed", 0.05)] {
        let mut network = references::network("ring_tanh_n64");
        network.recurrence = Recurrence::Dense((*perturbed(size, 1).w).clone());
        // A file must have an output.
        network.readout = faer::Mat::from_fn(1, 64, |_, i| (i as f64).cos() / 64.0);
        network.output_bias = vec![0.0];
        network.outputs = references::network("mante_tanh_n100_graded").outputs;
        let net = save(name, &network);
        let drawn = folder_of(name);
        run(&["attractor", &net, "--shape", "ring", "--figures", &drawn]).unwrap();
        assert!(std::path::Path::new(&format!("{drawn}/ring.png")).exists());
    }
    let refused = |arguments: &[&str], words: &str| {
        let text = run(arguments).unwrap_err().to_string();
        assert!(text.contains(words), "{text}");
    };
    // Without a file of points they are searched.
    run(&["attractor", &net, "--input", "0,0,0,1"]).unwrap();
    refused(&["slow-manifold", &net, "--points", &points_file, "--input", "0,0,1,0"], "under this input");
    refused(&["slow-manifold", &net, "--points", &net], "mante.safetensors");
    refused(&[&line[..], &["--degree", "4"]].concat(), "degree");
    refused(&[&line[..], &["--anchor", "9"]].concat(), "--anchor");
    refused(&["slow-manifold", &net, "--contexts", "3,ctx_motion"], "--contexts: expected each input once");
    refused(&["slow-manifold", &net, "--contexts", "context"], "--contexts: expected one of the inputs");
    refused(&[&line[..], &["--evidence", "7"]].concat(), "evidence");
    let twice = ["--evidence", "2", "--distractor", "colour"];
    refused(
        &[&line[..], &twice].concat(),
        "--distractor: expected another input than --evidence, found colour",
    );
    refused(&[&line[..], &["--reach", "0"]].concat(), "--reach: expected above 0 and finite, found 0");
    refused(
        &["attractor", &net, "--shape", "ring", "--reach", "2"],
        "--reach: expected --shape line or plane",
    );
    for without in ["strengths", "noise", "trials", "steps", "seed"] {
        let option = format!("--{without}");
        let parsed = <Command as clap::Parser>::try_parse_from(
            [&["test"], &line[..], &[option.as_str(), "1"]].concat(),
        );
        let error = parsed.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("--evidence"), "{option}: {error}");
    }
    refused(&["attractor", &net, "--shape", "ring", "--input", "0,0,0,1"], "growing directions");
    refused(&["attractor", &net, "--points", &points_file, "--slow", "2"], "--slow");
}
