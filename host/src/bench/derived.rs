//! What follows from several counts: the cost of a monitor, and what a reduced model saves.

use super::case::REPLACED;
use super::{Counts, Row};
use crate::dynamics::monitor::Settings;

/// What a monitor costs on average, with the periods of [`Settings::of`].
#[derive(Clone, Debug, PartialEq)]
pub struct Watched<'a> {
    /// The step that is watched.
    pub step: &'a Row,
    /// Instructions of the monitor per step on average.
    pub instructions: f64,
    /// The same, in units of the step.
    pub part: f64,
}

/// The cost of every monitor whose step is among the counts, watched with and without what it does now and then.
#[must_use]
pub fn monitors(counts: &Counts) -> Vec<Watched<'_>> {
    let watched = |step: &'_ Row, ending: &str| -> Option<f64> {
        let kernel = format!("watched-{}{ending}", step.kernel);
        let row = counts.rows.iter().find(|row| {
            (&row.on, &row.kernel, row.n, row.rank, &row.number)
                == (&step.on, &kernel, step.n, step.rank, &step.number)
        });
        row.map(|row| row.instructions as f64)
    };
    let of = |step| {
        let (always, look) = (watched(step, "")?, watched(step, "-look")?);
        let Settings { every, check, .. } = Settings::of(step.n, step.rank);
        let before = step.instructions as f64;
        let mut instructions = always - before + (look - always) / f64::from(every);
        if step.rank == 0 {
            instructions += (watched(step, "-check")? - always) / f64::from(check);
        }
        Some(Watched { step, instructions, part: instructions / before })
    };
    counts.rows.iter().filter_map(of).collect()
}

/// The step of the whole network on a chip that reduced models are compared with.
#[must_use]
pub fn replaced<'a>(rows: impl IntoIterator<Item = &'a Row>, on: &str) -> Option<&'a Row> {
    let wanted = |row: &&Row| {
        (row.on.as_str(), row.kernel.as_str(), row.n, row.number.as_str())
            == (on, REPLACED.0, REPLACED.1, "f32")
    };
    rows.into_iter().find(wanted)
}

/// How many times fewer instructions a reduced model takes than the whole network, if both were counted.
#[must_use]
pub fn saved(counts: &Counts, row: &Row) -> Option<f64> {
    let whole = replaced(&counts.rows, &row.on).filter(|_| row.operation == "coefficient")?;
    Some(whole.instructions as f64 / row.instructions as f64)
}
