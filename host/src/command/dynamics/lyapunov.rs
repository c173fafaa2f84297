//! `tinyfold dynamics lyapunov`.

use std::path::PathBuf;

use serde_json::json;

use super::{Held, PARTIAL, Save, watch};
use crate::Result;
use crate::command::say;
use crate::dynamics::lyapunov::{Intrinsic, Settings, Spectrum, intrinsic, spectrum, spread, visited};
use crate::dynamics::spectrum::eigenvalues;
use crate::dynamics::vector::largest;
use crate::dynamics::{Kind, Rnn, System as _};
use crate::error::require;
use crate::network::Network;
use crate::report::dynamics::{self, time_unit};
use crate::report::figures;

/// Starts of the trajectories whose states have an intrinsic dimension.
const STARTS: usize = 40;
/// Exponents, unless told otherwise.
const EXPONENTS: usize = 10;
/// Step of a flow, unless told otherwise.
const STEP: f64 = 0.1;
/// RK4 is stable for steps of at most this over the size of a stable eigenvalue; beyond, it makes chaos of rest.
const STABLE: f64 = 2.7;
/// A state that moves by less, relative to its size, in a step or time constant is at rest.
const REST: f64 = 1e-9;
/// So many steps of them are thrown away, then every fifth state of as many counts.
const SEEN: usize = 100;

/// A network under a held input, and where its trajectories start.
#[derive(clap::Args)]
pub struct Started {
    #[command(flatten)]
    held: Held,
    /// RK4 step of a flow, in time constants, at most 1; default: 0.1. A map has its own.
    #[arg(long)]
    dt: Option<f64>,
    /// Standard deviation of random starts about the initial state.
    #[arg(long, default_value_t = 1.0)]
    spread: f64,
    /// Seed of random starts and tangent vectors.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

impl Started {
    /// The network, as a system, and the time of a step: of a flow in time constants, of a map 1.
    ///
    /// # Errors
    /// As [`Held::load`]; a step that is longer than RK4 is stable for at the initial state, or any of a map.
    pub fn load(&self) -> Result<(Network, Rnn, f64)> {
        let (network, _, rnn) = self.held.load()?;
        if rnn.kind == Kind::Map {
            require(
                self.dt.is_none(),
                "--dt",
                "none of a map, whose step is its own",
                self.dt.unwrap_or(0.0),
            )?;
            return Ok((network, rnn, 1.0));
        }
        let dt = self.dt.unwrap_or(STEP);
        require(dt > 0.0 && dt <= 1.0, "--dt", "above 0, at most 1 time constant", dt)?;
        let falling = eigenvalues(&rnn, &network.first_state())?.into_iter().filter(|value| value.re < 0.0);
        let fastest = falling.map(faer::c64::norm).fold(0.0, f64::max);
        let most = STABLE / fastest;
        let expected = || {
            format!(
                "at most {most:.2} time constants, for an eigenvalue of size {fastest:.1} at the first state"
            )
        };
        require(dt <= most, "--dt", expected(), dt)?;
        Ok((network, rnn, dt))
    }

    /// Random states, n × count.
    #[must_use]
    pub fn starts(&self, network: &Network, count: usize) -> faer::Mat<f64> {
        spread(&network.first_state(), self.spread, count, self.seed)
    }
}

/// Lyapunov exponents with their errors, Kaplan-Yorke dimension, intrinsic dimension of the states.
#[derive(clap::Args)]
#[command(
    after_help = "Example: tinyfold dynamics lyapunov runs/net.safetensors --input 0,0,1,0 --exponents 20"
)]
pub struct Args {
    #[command(flatten)]
    started: Started,
    /// Steps that count.
    #[arg(long, default_value_t = 20_000)]
    steps: usize,
    /// Steps thrown away first.
    #[arg(long, default_value_t = 2000)]
    transient: usize,
    /// How many of the largest exponents, at most n; default: 10, or all of fewer.
    #[arg(long)]
    exponents: Option<usize>,
    /// Draw the figure lyapunov into this folder, as SVG and PNG.
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,
    #[command(flatten)]
    save: Save,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// As [`Started::load`] and [`spectrum`]; a file that cannot be written.
pub fn run(args: &Args) -> Result<()> {
    args.save.check()?;
    let (network, rnn, dt) = args.started.load()?;
    let (n, unit) = (network.neurons(), time_unit(rnn.kind));
    let exponents = args.exponents.unwrap_or(EXPONENTS.min(n));
    require((1..=n).contains(&exponents), "--exponents", format!("1 to {n}, the neurons"), exponents)?;
    let settings = Settings {
        exponents: Some(exponents),
        transient: args.transient,
        steps: args.steps,
        dt,
        seed: args.started.seed,
        ..Settings::default()
    };
    let starts = args.started.starts(&network, STARTS);
    let watch = watch((args.transient + args.steps) as u64, "steps")?;
    let found = spectrum(&rnn, starts.col_as_slice(0), &settings, &watch)?;
    watch.bar.finish_and_clear();
    let states = visited(&rnn, &visited(&rnn, &starts, SEEN, SEEN, dt)?, SEEN, 5, dt)?;
    let size = intrinsic(&states)?;
    args.save.write(|| Ok(dynamics::lyapunov::spectrum_arrays(&found, unit)))?;
    if let Some(folder) = &args.figures {
        figures::write(folder, &[dynamics::lyapunov::convergence(&found, unit)])?;
    }
    if args.json {
        let all = json!({
            "schema": 1, "complete": found.complete, "kind": rnn.kind, "unit": unit, "spectrum": found,
            "intrinsic": size,
        });
        say!("{}", serde_json::to_string_pretty(&all).expect("plain data becomes JSON"));
        return Ok(());
    }
    print(&rnn, &found, &size);
    if let Some(folder) = &args.figures {
        say!("figure in {}", folder.display());
    }
    args.save.say();
    Ok(())
}

fn print(rnn: &Rnn, found: &Spectrum, size: &Intrinsic) {
    let (n, unit) = (rnn.drive.len(), time_unit(rnn.kind));
    if !found.complete {
        say!("{PARTIAL}");
    }
    let kind = if rnn.kind == Kind::Map { "map" } else { "flow" };
    let time = if unit == "step" { String::new() } else { format!(" of {:.0} {unit}s", found.time) };
    say!("n = {n}, {kind}, {} steps{time}, QR every {} steps", found.steps, found.every);
    say!("  exponent   1 / {unit:<14} standard error");
    for (k, (value, error)) in found.exponents.iter().zip(&found.errors).enumerate() {
        if value.is_finite() {
            say!("  {:<8}{value:>12.5}          {error:>12.1e}", k + 1);
        } else {
            say!("  {:<8}{:>12}          {:>12}", k + 1, "at once", "-");
        }
    }
    if found.exponents.iter().any(|value| value.is_infinite()) {
        say!("at once: what differs in that direction is gone after a step, an exponent of minus infinity");
    }
    say!("{}", verdict(found, at_rest(rnn, &found.state)));
    if found.drift.abs() > 3.0 && 2.0 * found.errors[0] > 1e-4 {
        say!("not stationary: the first exponent changes between both halves; a longer --transient?");
    }
    if let Some(dimension) = found.kaplan_yorke {
        say!("Kaplan-Yorke dimension {dimension:.3}");
    } else {
        say!("Kaplan-Yorke dimension above {}; more --exponents?", found.exponents.len());
    }
    let local = size.local.map_or("-".into(), |local| local.median.to_string());
    let (from, to, ratio) = (SEEN, 2 * SEEN, size.participation_ratio);
    say!(
        "steps {from} to {to} of {STARTS} random starts: participation ratio {ratio:.2}, local dimension {local}"
    );
}

/// Whether a state stays what it is.
fn at_rest(rnn: &Rnn, state: &[f64]) -> bool {
    let mut residual = vec![0.0; state.len()];
    rnn.residual(state, &mut residual);
    largest(&residual) <= REST * (1.0 + largest(state))
}

/// What the largest exponent says.
fn verdict(found: &Spectrum, at_rest: bool) -> String {
    let (value, error) = (found.exponents[0], found.errors[0]);
    if at_rest && value > (3.0 * error).max(1e-4) {
        "at an unstable fixed point, which the trajectory has not left: its exponents tell of no other state; a larger --spread, or another --seed?"
            .into()
    } else if at_rest && value < -(3.0 * error).max(1e-4) {
        let rate = if value.is_finite() { format!("at rate {:.4}", -value) } else { "at once".into() };
        format!("at a stable fixed point: nearby states meet {rate}")
    } else if value.abs() <= (3.0 * error).max(1e-4) {
        "largest exponent 0 within its error: a cycle of a flow, a torus, or a line or ring of rest states"
            .into()
    } else if value > 0.0 {
        format!("largest exponent above 0 by {:.0} standard errors: chaos", value / error)
    } else {
        format!(
            "largest exponent below 0: a stable state, or a stable cycle of a map; nearby states meet at rate {:.4}",
            -value
        )
    }
}
