//! Fixed points to start from.

use std::sync::atomic::AtomicBool;

use super::Start;
use crate::Result;
use crate::dynamics::fixed_points::{self, Options};
use crate::dynamics::{At, Family};

/// All isolated fixed points that a search finds at every mu, and the values of mu at which there is a continuum: it is
/// no branch, and no point of it is a start.
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
) -> Result<(Vec<Start>, Vec<f64>)> {
    let options = Options { seed, vectors: false, most_slow: 0, ..Options::default() };
    let (mut starts, mut continua) = (Vec::new(), Vec::new());
    for &mu in mus {
        let system = At { family, mu };
        let from = fixed_points::starts::of_system(&system, options.spread, seed);
        let found = fixed_points::find(&system, &from, None, &options, stop)?;
        starts.extend(found.points.into_iter().map(|point| Start { mu, x: point.state }));
        continua.extend(found.continuum.map(|_| mu));
    }
    Ok((starts, continua))
}
