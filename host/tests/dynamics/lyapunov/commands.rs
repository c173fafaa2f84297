//! The commands.

use crate::references;

#[derive(clap::Parser)]
enum Command {
    Lyapunov(tinyfold::command::dynamics::lyapunov::Args),
    Ftle(tinyfold::command::dynamics::ftle::Args),
}

fn command(arguments: &[&str]) -> tinyfold::Result<()> {
    match <Command as clap::Parser>::try_parse_from([&["tinyfold"], arguments].concat()).unwrap() {
        Command::Lyapunov(args) => tinyfold::command::dynamics::lyapunov::run(&args),
        Command::Ftle(args) => tinyfold::command::dynamics::ftle::run(&args),
    }
}

#[test]
fn commands_print_tables_and_draw_figures() {
    let folder = tempfile::tempdir().unwrap();
    let folder = std::env::var("KEEP").map_or(folder.path().to_owned(), Into::into);
    let saved = |name: &str| {
        let path = folder.join(format!("{name}.safetensors"));
        tinyfold::format::network::save(&path, &references::network(name)).unwrap();
        path.display().to_string()
    };
    let flipflop = saved("flipflop_tanh_n64");
    let to = folder.display().to_string();
    let short = ["--steps", "500", "--transient", "200", "--figures", &to];
    command(&[&["lyapunov", &flipflop], &short[..]].concat()).unwrap();
    command(&["lyapunov", &flipflop, "--steps", "20", "--exponents", "1", "--json"]).unwrap();
    command(&["ftle", &flipflop, "--steps", "20", "--size", "40", "--figures", &to]).unwrap();
    for name in ["lyapunov.png", "lyapunov.svg", "ftle.png", "ftle.svg"] {
        assert!(std::fs::metadata(folder.join(name)).unwrap().len() > 10_000, "{name}");
    }
    // The reference's network for decisions, held where colour counts: the field is high where the choice is
    // decided.
    let decision = saved("mante_tanh_n100_graded");
    let short =
        ["--as", "map", "--input", "0,0,0,1", "--size", "10", "--steps", "20", "--basin-steps", "500"];
    command(&[&["ftle", &decision], &short[..]].concat()).unwrap();
    let wrong = command(&["lyapunov", &flipflop, "--input", "1,2"]).unwrap_err().to_string();
    assert!(wrong.contains("input") && wrong.contains('3'), "{wrong}");
    let wrong = command(&["ftle", &flipflop, "--range", "1,2,3"]).unwrap_err().to_string();
    assert!(wrong.contains("--range"), "{wrong}");
}
