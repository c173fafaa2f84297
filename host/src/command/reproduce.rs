//! `tinyfold reproduce`.

use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{PARTIAL, interrupted, say};
use crate::dynamics::lyapunov::Watch;
use crate::report;
use crate::report::text::{percent, scientific};
use crate::reproduce::Claim;
use crate::reproduce::fanthomme2021::comparison::compare;
use crate::reproduce::fanthomme2021::growth::Growth;
use crate::reproduce::fanthomme2021::run::work;
use crate::reproduce::fanthomme2021::{Found, Trained, claims, experiments, largest, run_all};
use crate::reproduce::marraffa2025;
use crate::{Error, Result, format};

/// A paper.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Paper {
    /// Fanthomme & Monasson 2021, "Low-dimensional manifolds support multiplexed integrations in recurrent neural
    /// networks".
    Fanthomme2021,
    /// Marraffa, Krause, Mante & Haller 2025, "Data-driven reduced modeling of recurrent neural networks": the dynamics of
    /// networks of neuroscience on spectral submanifolds.
    Marraffa2025,
}

/// Trains or loads the networks of a paper and shows claim, paper and tinyfold side by side.
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
    /// fanthomme2021: seeds that every network is trained with; claims are about the first. With more than one, final losses
    /// and errors are compared with those of the authors' code.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    seeds: u16,
    /// fanthomme2021: go on, to the same bits, with the networks that a run that was ended left in the folder.
    #[arg(long)]
    resume: bool,
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
    let seeds = usize::from(args.seeds);
    let template = "training {bar:40} {percent} % {msg} {eta}";
    let bar = ProgressBar::new(work(&experiments, seeds))
        .with_style(ProgressStyle::with_template(template).expect("a valid template"));
    let watch = Watch { bar, stop: interrupted()? };
    let networks = run_all(&experiments, seeds, &out, args.resume, &watch);
    watch.bar.finish_and_clear();
    let networks = networks?;
    let complete = !watch.stopped();
    let growth = Growth::of(&networks)?;
    report::figures::write(&out.join("figures"), &report::growth::figures(&growth))?;
    let claims = claims::claims(&networks, &growth);
    let results = json!({
        "schema": 2, "complete": complete, "networks": networks, "growth": growth, "comparison": compare(&networks),
        "claims": claims,
    });
    if !args.json {
        if !complete {
            say!("{PARTIAL}: {} of {} networks", networks.len(), experiments.len());
        }
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
    let watch = Watch { bar, stop: interrupted()? };
    let found = marraffa2025::findings(&network, &marraffa2025::Size::new(args.quick), &watch);
    watch.bar.finish_and_clear();
    let (found, complete) = (found?, !watch.stopped());
    report::dynamics::write(&out.join("figures"), &network, &found)?;
    let claims = marraffa2025::claims::claims(&found);
    let whose = marraffa2025::whose(args.network.as_deref(), &network);
    let results = json!({
        "schema": 1, "complete": complete, "networks": whose, "findings": found, "claims": claims,
    });
    if !args.json {
        say!("{whose}");
        say!("found in {:.1} s", began.elapsed().as_secs_f64());
        if !complete {
            say!("{PARTIAL}: {} of {} claims", claims.len(), marraffa2025::claims::COUNT);
        }
    }
    end(args, &out, &claims, &results)
}

/// Writes and prints what both papers have.
fn end(args: &Args, out: &Path, claims: &[Claim], results: &serde_json::Value) -> Result<()> {
    format::write_json(&out.join("results.json"), results)?;
    if args.json {
        say!("{results:#}");
    } else {
        for Claim { claim, paper, criterion, found, holds } in claims {
            let verdict = if *holds { "holds" } else { "FAILS" };
            say!("\n{verdict} {claim}");
            say!("      paper:    {paper}\n      tinyfold: {found}\n      asked:    {criterion}");
        }
        say!("\nwritten to {}", out.display());
    }
    let failed: Vec<&str> = claims.iter().filter(|claim| !claim.holds).map(|claim| claim.claim).collect();
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Error::CheckFailed(format!("claims that do not hold: {}", failed.join("; "))))
    }
}

fn print(networks: &[Found]) {
    if networks.is_empty() {
        return;
    }
    say!(
        "{:<56}{:>7} {:>8} {:>20} {:>12} {:>10}  exact error, seconds",
        "network, n",
        "seconds",
        "loss",
        "error, T = 200",
        "σ: D, next",
        "distance"
    );
    let error = |error: f64| if error < 10.0 { percent(error) } else { scientific(error) };
    for found in networks {
        let exact =
            found.exact.map_or("-".into(), |exact| format!("{:.1e}, {:.4}", exact.error, exact.seconds));
        let (values, distance) = found.analysis.as_ref().map_or(("-".into(), "-".into()), |analysis| {
            (leading(&analysis.singular_values, found.channels), format!("{:.4}", analysis.distance))
        });
        // The network that roll-outs chose, and the last one where that is another.
        let both = |one: &Trained| match [largest(&one.error), largest(&one.last_error)] {
            _ if one.unstable => "unstable".into(),
            [kept, last] if error(kept) == error(last) => error(kept),
            [kept, last] => format!("{} (last {})", error(kept), error(last)),
        };
        let title = format!("{}, {}", found.title, found.trained.neurons);
        let one = &found.trained;
        say!(
            "{title:<56}{:>7.1} {:>8.1e} {:>20} {values:>12} {distance:>10}  {exact}",
            found.seconds,
            one.loss,
            both(one)
        );
        for reference in &found.references {
            let loss = reference.loss.map_or("-".into(), |loss| format!("{loss:.1e}"));
            let values = leading(&reference.singular_values, found.channels);
            let name = format!("  the authors' code, same settings, seed {}", reference.seed);
            let worst = error(largest(&reference.error));
            let distance = reference.distance.first().map_or("-".into(), |d| format!("{d:.4}"));
            say!("{name:<56}{:>7} {loss:>8} {worst:>20} {values:>12} {distance:>10}", "");
        }
        for other in found.others.iter().chain(&found.sizes) {
            let name = match other.neurons {
                n if n == one.neurons => format!("  seed {}", other.seed),
                n => format!("  n = {n}, seed {}", other.seed),
            };
            say!("{name:<56}{:>7} {:>8.1e} {:>20}", "", other.loss, both(other));
        }
        if let Some(note) = &found.note {
            say!("  {note}");
        }
    }
}

/// sigma_D and sigma_{D+1}.
fn leading(values: &[f64], channels: usize) -> String {
    format!("{:.2} {:.2}", values[channels - 1], values.get(channels).copied().unwrap_or(0.0))
}
