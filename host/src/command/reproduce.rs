//! `tinyfold reproduce`.

use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};

use super::{interrupted, say};
use crate::dynamics::lyapunov::Watch;
use crate::report;
use crate::report::text::{percent, scientific};
use crate::reproduce::claims::{Claim, claims};
use crate::reproduce::fanthomme2021::{Found, experiments, run_all};
use crate::reproduce::marraffa2025;
use crate::{Error, Result, format};

/// A paper.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Paper {
    /// Fanthomme & Monasson 2021, "Low-dimensional manifolds support multiplexed integrations in recurrent neural
    /// networks".
    Fanthomme2021,
    /// Marraffa, Krause, Mante & Haller 2025, on the dynamics of networks of neuroscience on spectral submanifolds.
    Marraffa2025,
}

/// Trains or loads the networks of a paper and shows what it claims beside what is found.
#[derive(clap::Args)]
#[command(
    after_help = "Examples: tinyfold reproduce fanthomme2021 --quick\n          tinyfold reproduce marraffa2025 --quick"
)]
pub struct Args {
    /// Which paper.
    paper: Paper,
    /// fanthomme2021: smaller networks, fewer updates, fewer of them; marraffa2025: a coarser plane, fewer trials.
    #[arg(long)]
    quick: bool,
    /// fanthomme2021: seeds that every network is trained with; claims are about the first.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    seeds: u16,
    /// marraffa2025: a network of the context task in place of the bundled one; four inputs (motion, colour and their
    /// contexts) and one output.
    #[arg(long, value_name = "NETWORK")]
    network: Option<PathBuf>,
    /// Folder of results.json and of all figures; default: runs/ and the name of the paper.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// A file that cannot be written; a claim that does not hold.
pub fn run(args: &Args) -> Result<()> {
    match args.paper {
        Paper::Fanthomme2021 => fanthomme(args),
        Paper::Marraffa2025 => marraffa(args),
    }
}

fn fanthomme(args: &Args) -> Result<()> {
    let out = args.out.clone().unwrap_or_else(|| "runs/fanthomme2021".into());
    let experiments = experiments(args.quick)?;
    let template = "training {bar:40} {percent} % {msg} {eta}";
    let total: usize = experiments.iter().map(|experiment| experiment.settings.steps).sum();
    let bar = ProgressBar::new(total as u64 * u64::from(args.seeds))
        .with_style(ProgressStyle::with_template(template).expect("a valid template"));
    let networks = run_all(&experiments, usize::from(args.seeds), &out, &|name, _| {
        bar.inc(1);
        bar.set_message(name.to_owned());
    });
    bar.finish_and_clear();
    let networks = networks?;
    let claims = claims(&networks);
    let results = serde_json::json!({ "schema": 1, "networks": networks, "claims": claims });
    if !args.json {
        print(&networks);
    }
    end(args, &out, &claims, &results)
}

fn marraffa(args: &Args) -> Result<()> {
    let out = args.out.clone().unwrap_or_else(|| "runs/marraffa2025".into());
    let network = match &args.network {
        Some(path) => marraffa2025::named(format::network::load(path)?, path)?,
        None => marraffa2025::bundled()?,
    };
    let began = std::time::Instant::now();
    let bar = ProgressBar::new_spinner().with_message("fixed points, slow manifolds, folds, exponents");
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    let watch = Watch { bar: bar.clone(), stop: interrupted()? };
    let found = marraffa2025::findings(&network, &marraffa2025::Size::new(args.quick), &watch);
    bar.finish_and_clear();
    if watch.stopped() {
        return Err(Error::Numeric {
            what: "reproduce".into(),
            reason: "stopped by Ctrl-C: no claim is judged, nothing is written".into(),
        });
    }
    let found = found?;
    report::dynamics::write(&out.join("figures"), &network, &found)?;
    let claims = marraffa2025::claims(&found);
    let results = serde_json::json!({ "schema": 1, "findings": found, "claims": claims });
    if !args.json {
        say!("{} neurons, {:.1} s", network.neurons(), began.elapsed().as_secs_f64());
    }
    end(args, &out, &claims, &results)
}

/// Writes and prints what both papers have.
fn end(args: &Args, out: &Path, claims: &[Claim], results: &serde_json::Value) -> Result<()> {
    format::write_json(&out.join("results.json"), results)?;
    if args.json {
        say!("{results:#}");
    } else {
        say!("");
        for Claim { claim, criterion, found, holds } in claims {
            let verdict = if *holds { "holds" } else { "FAILS" };
            say!("{verdict} {claim}\n      asked: {criterion}\n      found: {found}");
        }
        say!("written to {}", out.display());
    }
    let failed: Vec<&str> = claims.iter().filter(|claim| !claim.holds).map(|claim| claim.claim).collect();
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Error::CheckFailed(format!("claims that do not hold: {}", failed.join("; "))))
    }
}

fn print(networks: &[Found]) {
    say!(
        "network, n                                               seconds     loss  error, T = 200   σ: D, next   distance  exact error, seconds"
    );
    for found in networks {
        let exact =
            found.exact.map_or("-".into(), |exact| format!("{:.1e}, {:.4}", exact.error, exact.seconds));
        let (values, distance) = found.analysis.as_ref().map_or(("-".into(), "-".into()), |analysis| {
            (leading(&analysis.singular_values, found.channels), format!("{:.4}", analysis.distance))
        });
        let error = |error: f64| if error < 10.0 { percent(error) } else { scientific(error) };
        let title = format!("{}, {}", found.title, found.neurons);
        say!(
            "{title:<56}{:>8.1}{:>9.1e}{:>16}{values:>13}{distance:>11}  {exact}",
            found.seconds,
            found.loss,
            if found.unstable { "unstable".into() } else { error(found.worst()) }
        );
        if let Some(reference) = &found.reference {
            let loss = reference.loss.map_or("-".into(), |loss| format!("{loss:.1e}"));
            let values = leading(&reference.singular_values, found.channels);
            let name = "  the authors' code, same settings";
            say!(
                "{name:<56}{:>8}{loss:>9}{:>16}{values:>13}{:>11.4}",
                "",
                error(reference.worst()),
                reference.distance[0]
            );
        }
        for other in &found.others {
            let name = format!("  seed {}", other.seed);
            let error = if other.unstable { "unstable".into() } else { error(other.error) };
            say!("{name:<56}{:>8}{:>9.1e}{error:>16}", "", other.loss);
        }
    }
}

/// sigma_D and sigma_{D+1}.
fn leading(values: &[f64], channels: usize) -> String {
    format!("{:.2} {:.2}", values[channels - 1], values.get(channels).copied().unwrap_or(0.0))
}
