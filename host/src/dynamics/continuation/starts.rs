//! Fixed points to start from.

use std::sync::atomic::AtomicBool;

use super::Start;
use crate::Result;
use crate::dynamics::fixed_points::{self, Options};
use crate::dynamics::{At, Family};

/// All fixed points that a search finds at every mu; one point of a continuum.
///
/// `stop` ends the search early: what was found is kept.
///
/// # Errors
/// As [`fixed_points::find`].
pub fn starts<F: Family + ?Sized>(
    family: &F,
    mus: &[f64],
    seed: u64,
    stop: &AtomicBool,
) -> Result<Vec<Start>> {
    let options = Options { seed, vectors: false, most_slow: 0, ..Options::default() };
    let mut starts = Vec::new();
    for &mu in mus {
        let system = At { family, mu };
        let from = fixed_points::starts::of_system(&system, options.spread, seed);
        let found = fixed_points::find(&system, &from, None, &options, stop)?;
        let continuum = found.continuum.into_iter().filter_map(|line| line.states.into_iter().next());
        let states = found.points.into_iter().map(|point| point.state).chain(continuum);
        starts.extend(states.map(|x| Start { mu, x }));
    }
    Ok(starts)
}
