//! One table of a sweep: a row a combination, with mean and standard deviation over seeds.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::folder;
use super::plan::{Plan, show};
use super::worker::{Outcome, outcome};
use crate::manifold::growth::{self, PowerLaw};
use crate::train::End;
use crate::{Error, Result, format};

/// Mean and standard deviation (n - 1) of those that have a value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Standard deviation; 0 of one.
    pub deviation: f64,
}

impl Spread {
    /// Of these values; none of none.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|x| (x - mean) * (x - mean)).sum();
        (!values.is_empty()).then(|| Self { mean, deviation: (squares / (count - 1.0).max(1.0)).sqrt() })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2e} ± {:.0e}", self.mean, self.deviation)
    }
}

/// One combination.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its values, one a swept setting.
    pub values: Vec<String>,
    /// Complete runs.
    pub runs: usize,
    /// Those that diverged; without a stable network they have no error.
    pub diverged: usize,
    /// Those whose last network fails over long roll-outs, whatever its loss; the best one may be good.
    pub unstable: usize,
    /// Batch loss at the end.
    pub loss: Option<Spread>,
    /// Roll-out error of the best network.
    pub error: Option<Spread>,
    /// Wall time.
    pub seconds: Option<Spread>,
}

/// What a sweep gave: results.json.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    /// Version of this structure.
    pub schema: u32,
    /// Names of the swept settings.
    pub settings: Vec<String>,
    /// One a combination.
    pub rows: Vec<Row>,
    /// What became of every run, by the name of its folder; none when it is not complete.
    pub runs: Vec<(String, Option<Outcome>)>,
    /// The power law of the error of all runs against the number of neurons; none unless `neurons` is swept.
    pub error_with_neurons: Option<PowerLaw>,
}

impl Table {
    /// Gathers what the runs left in their folders.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn gather(out: &Path, plan: &Plan) -> Result<Self> {
        let runs: Vec<(String, Option<Outcome>)> = plan
            .runs
            .iter()
            .map(|run| Ok((run.name.clone(), outcome(&folder(out, run))?)))
            .collect::<Result<_>>()?;
        let row = |(k, values): (usize, &Vec<toml::Value>)| {
            let of = plan.runs.iter().zip(&runs).filter(|(run, _)| run.combination == k);
            let outcomes: Vec<&Outcome> = of.filter_map(|(_, (_, outcome))| outcome.as_ref()).collect();
            let spread = |value: &dyn Fn(&Outcome) -> Option<f64>| {
                Spread::of(&outcomes.iter().filter_map(|outcome| value(outcome)).collect::<Vec<f64>>())
            };
            Row {
                values: values.iter().map(show).collect(),
                runs: outcomes.len(),
                diverged: outcomes.iter().filter(|outcome| outcome.end == End::Diverged).count(),
                unstable: outcomes.iter().filter(|outcome| outcome.unstable).count(),
                loss: spread(&|outcome| outcome.loss),
                error: spread(&|outcome| outcome.error),
                seconds: spread(&|outcome| Some(outcome.seconds)),
            }
        };
        let rows = plan.combinations.iter().enumerate().map(row).collect();
        let settings: Vec<String> = plan.axes.iter().map(|axis| axis.name.clone()).collect();
        let swept = settings.iter().any(|name| name == "neurons");
        let errors = plan.runs.iter().zip(&runs).filter(|_| swept);
        let errors = errors
            .filter_map(|(run, (_, outcome))| Some((run.settings.neurons as f64, outcome.as_ref()?.error?)));
        let error_with_neurons = growth::power_law(errors);
        Ok(Self { schema: 2, settings, rows, runs, error_with_neurons })
    }

    /// Runs that are not complete.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.runs.iter().filter(|(_, outcome)| outcome.is_none()).count()
    }

    /// Writes results.json and table.csv.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, out: &Path) -> Result<()> {
        format::write_json(&out.join("results.json"), self)?;
        let path = out.join("table.csv");
        let mut writer = csv::Writer::from_writer(Vec::new());
        let columns =
            ["runs", "diverged", "unstable", "loss", "loss sd", "error", "error sd", "seconds", "seconds sd"];
        let mut lines = vec![[self.settings.clone(), columns.map(str::to_owned).to_vec()].concat()];
        for row in &self.rows {
            let mut line = row.values.clone();
            line.extend([row.runs, row.diverged, row.unstable].map(|count| count.to_string()));
            for spread in [row.loss, row.error, row.seconds] {
                let text =
                    |x: fn(Spread) -> f64| spread.map_or(String::new(), |spread| x(spread).to_string());
                line.extend([text(|spread| spread.mean), text(|spread| spread.deviation)]);
            }
            lines.push(line);
        }
        let refuse = |error: String| Error::input(path.display().to_string(), "a table", error);
        for line in lines {
            writer.write_record(line).map_err(|error| refuse(error.to_string()))?;
        }
        format::write_atomic(&path, &writer.into_inner().map_err(|error| refuse(error.to_string()))?)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![self.settings.clone()];
        lines[0].extend(
            ["runs", "diverged", "unstable", "final loss", "relative RMSE", "seconds"].map(str::to_owned),
        );
        for row in &self.rows {
            let mut line = row.values.clone();
            line.extend([row.runs, row.diverged, row.unstable].map(|count| count.to_string()));
            line.extend([row.loss, row.error].map(|x| x.map_or("-".into(), |spread| spread.to_string())));
            line.push(row.seconds.map_or("-".into(), |x| format!("{:.1} ± {:.1}", x.mean, x.deviation)));
            lines.push(line);
        }
        let width = |k: usize| lines.iter().map(|line| line[k].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
        for (k, line) in lines.iter().enumerate() {
            let cells: Vec<String> =
                line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:>width$}")).collect();
            write!(f, "{}{}", if k > 0 { "\n" } else { "" }, cells.join("  "))?;
        }
        if let Some(law) = self.error_with_neurons {
            let PowerLaw { exponent, r_squared, .. } = law;
            write!(f, "\nrelative RMSE grows as n^{exponent:.2} (R² {r_squared:.2})")?;
        }
        Ok(())
    }
}
