//! `tinyfold theory`.

use std::path::PathBuf;

use super::say;
use crate::Result;
use crate::format;
use crate::report::{self, figures};
use crate::theory::{Reduced, Study};

/// The linear network with one channel: isoscale family, Hessian and convergence, exactly.
#[derive(clap::Args)]
#[command(after_help = "Example: tinyfold theory --figures runs/theory")]
pub struct Args {
    /// Decay gamma, above 0 and below 1.
    #[arg(long, default_value_t = 0.995)]
    decay: f64,
    /// Scale s, not 0 and not the overlap.
    #[arg(long, default_value_t = 1.0, allow_hyphen_values = true)]
    scale: f64,
    /// T, the steps of the average loss, at least 3.
    #[arg(long, default_value_t = 3)]
    steps: usize,
    /// e · d of encoder and decoder, both of length 1; above -1 and below 1, not 0.
    #[arg(long, default_value_t = 0.4, allow_hyphen_values = true)]
    overlap: f64,
    /// Learning rate of the descents.
    #[arg(long, default_value_t = 0.02)]
    rate: f64,
    /// Epochs of the descents.
    #[arg(long, default_value_t = 1_000_000)]
    epochs: usize,
    /// Seed of the Gaussian start.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Draw figures into this folder, as SVG and PNG: isoscale, hessian, convergence.
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,
    /// Write all numbers as JSON.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// Numbers out of range, a descent that diverges, a file that cannot be written.
pub fn run(args: &Args) -> Result<()> {
    let problem = Reduced::new(args.decay, args.scale, args.steps, args.overlap)?;
    let study = Study::new(&problem, args.rate, args.epochs, args.seed)?;
    if let Some(out) = &args.out {
        format::write_json(out, &study)?;
    }
    if let Some(folder) = &args.figures {
        figures::write(folder, &report::theory::figures(&study))?;
    }
    if args.json {
        say!("{}", serde_json::to_string_pretty(&study).expect("plain data becomes JSON"));
        return Ok(());
    }
    print(&study);
    if let Some(folder) = &args.figures {
        say!("figures in {}", folder.display());
    }
    Ok(())
}

fn print(study: &Study) {
    let Reduced { decay, scale, steps, .. } = study.problem;
    say!("linear, D = 1: gamma = {decay}, s = {scale}, T = {steps}, e · d = {:.3}", study.problem.overlap());
    say!("  isoscale family       largest loss       condition number, least and most");
    for family in &study.isoscale {
        let largest = family.points.iter().map(|point| point.1).fold(0.0, f64::max);
        let conditions = family.points.iter().map(|point| point.3);
        let (least, most) = conditions.fold((f64::MAX, 0.0_f64), |(a, b), x| (a.min(x), b.max(x)));
        say!("    e · d = {:<8}{largest:>16.1e}{least:>19.2e}{most:>12.2e}", family.overlap);
    }
    say!("  Hessian at the solution of least norm");
    for (steps, values) in study.with_steps.iter().filter(|row| [3, 5, 10, 30].contains(&row.0)) {
        let [a, b, c, d] = values;
        say!(
            "    T = {steps:<3} eigenvalues {a:.2e} {b:.2e} {c:.2e} {d:.0e}, condition number {:.1e}",
            a / c
        );
    }
    say!("  descent                      s     last loss  t^exponent (1 - R²)    exp(rate t) (1 - R²)");
    for curve in &study.descents {
        let last = curve.losses.last().map_or(0.0, |point| point.1);
        let power = curve
            .power
            .map_or("-".into(), |law| format!("{:>8.3} ({:.0e})", law.exponent, 1.0 - law.r_squared));
        let exponential = curve
            .exponential
            .map_or("-".into(), |law| format!("{:>10.2e} ({:.0e})", law.rate, 1.0 - law.r_squared));
        let kind = match curve.is_algebraic() {
            Some(true) => "algebraic",
            Some(false) => "exponential",
            None => "not told yet: more --epochs",
        };
        say!("    {:<27}{:<6}{last:>9.1e}  {power:<20}  {exponential:<21} {kind}", curve.name, curve.scale);
    }
}
