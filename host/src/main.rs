//! The `tinyfold` command.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tinyfold::command;
use tinyfold::memory::LargePages;

#[global_allocator]
static MEMORY: LargePages = LargePages;

/// Trains or designs a recurrent network that integrates signals, shows why it works, and proves
/// that a microcontroller computes the same bits.
#[derive(Parser)]
#[command(
    version,
    after_help = "Start with: tinyfold quickstart\nExit codes: 0 done, 1 a check failed, 2 bad input"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Quickstart(command::quickstart::Args),
    Design(command::design::Args),
    Train(Box<command::train::Args>),
    Task(command::task::Args),
    Sweep(command::sweep::Args),
    Compress(command::compress::Args),
    Analyse(command::analyse::Args),
    Theory(command::theory::Args),
    Dynamics(Box<command::dynamics::Args>),
    Import(command::import::Args),
    Export(command::export::Args),
    Monitor(Box<command::monitor::Args>),
    Verify(command::verify::Args),
    Adapt(Box<command::adapt::Args>),
    Fetch(command::fetch::Args),
    Bench(command::bench::Args),
    Report(command::report::Args),
    Reproduce(command::reproduce::Args),
    Inspect(command::inspect::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Quickstart(args) => command::quickstart::run(&args),
        Command::Design(args) => command::design::run(&args),
        Command::Train(args) => command::train::run(&args),
        Command::Task(args) => command::task::run(&args),
        Command::Sweep(args) => command::sweep::run(&args),
        Command::Compress(args) => command::compress::run(&args),
        Command::Analyse(args) => command::analyse::run(&args),
        Command::Theory(args) => command::theory::run(&args),
        Command::Dynamics(args) => command::dynamics::run(&args),
        Command::Import(args) => command::import::run(&args),
        Command::Export(args) => command::export::run(&args),
        Command::Monitor(args) => command::monitor::run(&args),
        Command::Verify(args) => command::verify::run(&args),
        Command::Adapt(args) => command::adapt::run(&args),
        Command::Fetch(args) => command::fetch::run(&args),
        Command::Bench(args) => command::bench::run(&args),
        Command::Report(args) => command::report::run(&args),
        Command::Reproduce(args) => command::reproduce::run(&args),
        Command::Inspect(args) => command::inspect::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tinyfold: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
