//! The command.

use crate::references::network;

#[derive(clap::Parser)]
struct Command {
    #[command(flatten)]
    args: tinyfold::command::dynamics::ssm::Args,
}

/// Saved as a network of tinyfold, given to the command with every kind of option.
#[test]
fn the_command_runs() {
    use clap::Parser;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("decision.safetensors");
    let mut net = network("mante_tanh_n100_graded");
    for (input, name) in net.inputs.iter_mut().zip(["motion", "colour", "ctx_motion", "ctx_colour"]) {
        input.name = name.into();
    }
    tinyfold::format::network::save(&file, &net).unwrap();
    let figures = std::env::var_os("SSM_FIGURES").map_or(folder.path().to_owned(), Into::into);
    let run = |options: &[&str], name: &str| {
        let figures = figures.join(name);
        let start =
            ["ssm", file.to_str().unwrap(), "--input", "0,0,0,1", "--figures", figures.to_str().unwrap()];
        let command = Command::try_parse_from(start.iter().chain(options)).unwrap();
        tinyfold::command::dynamics::ssm::run(&command.args).unwrap();
        assert!(figures.join("ssm.png").metadata().unwrap().len() > 10_000);
    };
    run(&[], "line");
    run(&["--order", "25", "--as", "map"], "map");
    run(&["--order", "25", "--near", "2"], "flow25");
    run(&["--parameter", "colour"], "parameter");
    run(&["--dimension", "2", "--eigenvalue", "1", "--order", "5"], "pair");
    run(&["--parameter", "colour", "--json", "--order", "5"], "json");
    let wrong = Command::parse_from(["ssm", file.to_str().unwrap(), "--parameter", "sound"]);
    let error = tinyfold::command::dynamics::ssm::run(&wrong.args).unwrap_err().to_string();
    assert!(error.contains("ctx_colour"), "{error}");
}
