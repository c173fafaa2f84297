//! How good a learnt manifold is, and of which degree it should be.

use std::iter::zip;

use faer::Mat;
use serde::Serialize;

use super::data::{DataManifold, Fit, failed};
use super::projection::{Projection, check};
use crate::Result;

/// The normalised mean trajectory error: mean over times of |x - x*|, by the largest |x* - origin|; mean over
/// trajectories.
///
/// predicted: n × times; reference: n × (cut + times).
///
/// Source: Cenedese et al. 2022, eq. 9, with the largest norm itself (SSMLearnPy divides by its square).
#[must_use]
pub fn nmte(predicted: &[Mat<f64>], reference: &[Mat<f64>], cut: usize, origin: &[f64]) -> f64 {
    let one = |(predicted, reference): (&Mat<f64>, &Mat<f64>)| {
        let (mut sum, mut largest) = (0.0, 0.0_f64);
        for t in 0..predicted.ncols() {
            let (x, truth) = (predicted.col_as_slice(t), reference.col_as_slice(cut + t));
            sum += zip(x, truth).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
            largest = largest.max(zip(truth, origin).map(|(a, b)| (a - b) * (a - b)).sum::<f64>());
        }
        sum / predicted.ncols() as f64 / largest.sqrt()
    };
    zip(predicted, reference).map(one).sum::<f64>() / predicted.len() as f64
}

/// One degree that was tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tried {
    /// Degree.
    pub degree: usize,
    /// NMTE on held-out trajectories.
    pub nmte: f64,
    /// Fixed points of the reduced dynamics, and how many known ones inside the range have one near.
    pub roots: usize,
    /// Known fixed points with a root nearer than a hundredth of the range.
    pub found: usize,
}

/// Fits every degree and takes one by held-out NMTE and by roots: of those that have exactly the known fixed
/// points, or most of them, the lowest whose NMTE is within a fifth of the best.
///
/// A degree whose NMTE is not below 1 is never taken.
///
/// known: places of known fixed points of a one-dimensional manifold, empty if none are known.
///
/// # Errors
/// No degree can be fitted or predicts; held-out trajectories that are too short.
pub fn choose_degree(
    train: &[Mat<f64>],
    held_out: &[Mat<f64>],
    projection: &Projection,
    fit: &Fit<'_>,
    degrees: &[usize],
    known: &[f64],
) -> Result<(DataManifold, Vec<Tried>)> {
    check(held_out, projection.origin.len(), fit.cut)?;
    let (mut tried, mut models, mut last) = (Vec::new(), Vec::new(), None);
    for &degree in degrees {
        match DataManifold::fit(train, projection, &Fit { degree, ..*fit }) {
            Ok(model) => {
                let nmte = nmte(&model.predict(held_out, fit.cut), held_out, fit.cut, &projection.origin);
                let roots = model.roots();
                let inside =
                    |p: &&f64| (model.domain.ranges[0].low..=model.domain.ranges[0].high).contains(*p);
                let near = 0.01 * (model.domain.ranges[0].high - model.domain.ranges[0].low);
                let found = known
                    .iter()
                    .filter(inside)
                    .filter(|p| roots.iter().any(|r| (r - **p).abs() < near))
                    .count();
                tried.push(Tried { degree, nmte, roots: roots.len(), found });
                models.push(model);
            }
            Err(error) => last = Some(error),
        }
    }
    // Known points missed and roots that are none.
    let wrong = |t: &Tried| {
        if known.is_empty() { 0 } else { (known.len() - t.found) + (t.roots - t.found.min(t.roots)) }
    };
    // At 1 the error is as large as what is predicted.
    let usable = |t: &&Tried| t.nmte < 1.0;
    let least = tried.iter().filter(usable).map(wrong).min();
    let right = |t: &&Tried| usable(t) && Some(wrong(t)) == least;
    let best = tried.iter().filter(right).map(|t| t.nmte).fold(f64::MAX, f64::min);
    let chosen = tried.iter().position(|t| right(&t) && t.nmte <= 1.2 * best);
    match chosen {
        Some(k) => Ok((models.swap_remove(k), tried)),
        None => Err(last.filter(|_| tried.is_empty()).unwrap_or_else(|| {
            let errors = tried.iter().map(|t| format!("{:.2e} at degree {}", t.nmte, t.degree));
            failed(format!(
                "no degree predicts the held-out trajectories: NMTE {}, to be below 1; lower degrees, or more trajectories?",
                errors.collect::<Vec<String>>().join(", ")
            ))
        })),
    }
}
