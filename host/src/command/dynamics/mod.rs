//! `tinyfold dynamics`: a command for every question about a network as a dynamical system.

use crate::Result;

pub mod attractor;
pub mod continuation;
pub mod cycles;
pub mod fixed_points;
pub mod ftle;
pub mod lyapunov;
pub mod slow_manifold;
pub mod ssm;

/// Fixed points, cycles, slow manifolds, bifurcations and Lyapunov exponents of a network under a held input.
#[derive(clap::Args)]
#[command(
    after_help = "Example: tinyfold dynamics fixed-points runs/dense/network.safetensors --figures runs/dynamics"
)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    FixedPoints(fixed_points::Args),
    Cycles(cycles::Args),
    Ssm(ssm::Args),
    SlowManifold(slow_manifold::Args),
    Continue(continuation::Args),
    Lyapunov(lyapunov::Args),
    Ftle(ftle::Args),
    Attractor(attractor::Args),
}

/// Runs the command.
///
/// # Errors
/// Those of the question.
pub fn run(args: &Args) -> Result<()> {
    match &args.what {
        What::FixedPoints(args) => fixed_points::run(args),
        What::Cycles(args) => cycles::run(args),
        What::Ssm(args) => ssm::run(args),
        What::SlowManifold(args) => slow_manifold::run(args),
        What::Continue(args) => continuation::run(args),
        What::Lyapunov(args) => lyapunov::run(args),
        What::Ftle(args) => ftle::run(args),
        What::Attractor(args) => attractor::run(args),
    }
}
