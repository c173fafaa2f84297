//! What single neurons say about the integrals: selectivity vectors, mixed selectivity and tuning maps.

use faer::Mat;
use faer::linalg::solvers::SolveLstsq;
use serde::{Deserialize, Serialize};

use super::{capped, coordinates};

/// Part of the longest selectivity vector below which a neuron is not selective.
const SELECTIVE: f64 = 0.01;
/// A neuron is pure when one integral makes more than this part of its squared selectivity.
const PURE: f64 = 0.95;
/// Bins of a map along each integral.
const BINS: usize = 12;
/// A map reaches over this many standard deviations of an integral, on both sides of its mean.
const REACH: f64 = 2.0;

/// Selectivity of all neurons.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Selectivity {
    /// Selectivity vectors, n × D: what the rate changes when one integral rises by its standard deviation.
    pub vectors: Vec<Vec<f64>>,
    /// Mixed-selectivity index of every neuron, from 1 (one integral) to D (all alike); 0 if not selective.
    pub index: Vec<f64>,
    /// R² of every neuron's rate as a linear function of the integrals.
    pub r_squared: Vec<f64>,
    /// Part of the neurons that are selective: |w| at least a hundredth of the largest.
    pub selective: f64,
    /// Part of the selective neurons that are mixed: no integral makes more than 95 % of |w|².
    pub mixed: f64,
    /// Mean index of the selective neurons, 0 without any.
    pub mean_index: f64,
}

/// Selectivity of rates to integrals, or `None` with too few steps.
///
/// r_i ≈ r_i0 + sum_c w_ic (u_c - mean u_c) / sd(u_c), least squares over the run; index
/// m_i = (sum_c w_ic²)² / sum_c w_ic⁴, the participation ratio of the squared selectivities.
///
/// rates: n × T; integrals: row-major, at least T × `channels`. An integral that never changes has w = 0.
///
/// Source: the selectivity vectors of Fanthomme & Monasson 2021, section on mixed selectivity; the index is a
/// participation ratio as used for dimensions.
///
/// ```
/// use faer::Mat;
/// let u: Vec<f64> = (0..400).map(|k| (0.7 * k as f64).sin()).collect(); // 200 steps, two integrals
/// let rates = Mat::from_fn(2, 200, |i, t| if i == 0 { u[2 * t] } else { u[2 * t] + u[2 * t + 1] });
/// let found = tinyfold::manifold::selectivity::of_rates(&rates, &u, 2).expect("enough steps");
/// assert!((found.index[0] - 1.0).abs() < 1e-9 && found.index[1] > 1.99);
/// assert_eq!((found.selective, found.mixed), (1.0, 0.5));
/// ```
#[must_use]
pub fn of_rates(rates: &Mat<f64>, integrals: &[f64], channels: usize) -> Option<Selectivity> {
    let (n, steps) = rates.shape();
    let standard = coordinates::standardised(integrals, channels, steps);
    let used = coordinates::changing(&standard);
    if steps <= used.len() + 1 {
        return None;
    }
    let features =
        Mat::from_fn(steps, used.len() + 1, |t, k| if k == 0 { 1.0 } else { standard[(t, used[k - 1])] });
    let rates = rates.transpose().to_owned();
    let fit = features.col_piv_qr().solve_lstsq(&rates);
    let rest = &rates - &features * &fit;
    let vectors: Vec<Vec<f64>> = (0..n)
        .map(|i| {
            let mut vector = vec![0.0; channels];
            for (k, &c) in used.iter().enumerate() {
                vector[c] = capped(fit[(k + 1, i)]);
            }
            vector
        })
        .collect();
    let r_squared = coordinates::explained(&rates, &rest).into_iter().map(capped).collect();
    Some(Selectivity::new(vectors, r_squared))
}

impl Selectivity {
    fn new(vectors: Vec<Vec<f64>>, r_squared: Vec<f64>) -> Self {
        let size = |w: &[f64]| w.iter().fold(0.0, |size: f64, w| size.max(w.abs()));
        let largest = vectors.iter().map(|w| size(w)).fold(0.0, f64::max);
        // Squares as parts of the largest one: nothing overflows.
        let squares = |w: &[f64]| -> Option<Vec<f64>> {
            let size = size(w);
            (size > 0.0 && size >= SELECTIVE * largest)
                .then(|| w.iter().map(|w| (w / size).powi(2)).collect())
        };
        let shares: Vec<Option<Vec<f64>>> = vectors.iter().map(|w| squares(w)).collect();
        let index: Vec<f64> = shares
            .iter()
            .map(|shares| {
                shares
                    .as_ref()
                    .map_or(0.0, |w| w.iter().sum::<f64>().powi(2) / w.iter().map(|w| w * w).sum::<f64>())
            })
            .collect();
        let selective: Vec<&Vec<f64>> = shares.iter().flatten().collect();
        // The largest part is 1.
        let mixed = selective.iter().filter(|w| w.iter().sum::<f64>() * PURE > 1.0).count();
        let count = selective.len();
        let part = |of: usize, all: usize| if all > 0 { of as f64 / all as f64 } else { 0.0 };
        Self {
            selective: part(count, vectors.len()),
            mixed: part(mixed, count),
            mean_index: if count > 0 { index.iter().sum::<f64>() / count as f64 } else { 0.0 },
            vectors,
            index,
            r_squared,
        }
    }

    /// `count` selective neurons, evenly spaced from the purest to the most mixed.
    #[must_use]
    pub fn examples(&self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.index.len()).filter(|&i| self.index[i] > 0.0).collect();
        order.sort_by(|&a, &b| self.index[a].total_cmp(&self.index[b]));
        let count = count.min(order.len());
        (0..count).map(|k| order[k * (order.len() - 1) / (count - 1).max(1)]).collect()
    }
}

/// Mean rate of one neuron on a grid of one or two integrals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TuningMap {
    /// The neuron.
    pub neuron: usize,
    /// Middles of the bins of the first integral.
    pub first: Vec<f64>,
    /// Middles of the bins of the second integral; empty when the task has one channel.
    pub second: Vec<f64>,
    /// Mean rate, one row a bin of the second integral (one row in all without it); `None` where the run never was.
    pub mean: Vec<Vec<Option<f64>>>,
}

/// The tuning map of one neuron over the first two integrals, others averaged over.
///
/// rates: n × T; integrals: row-major, at least T × `channels`. 12 bins an integral, over two standard deviations on
/// both sides of its mean; steps outside are left out.
///
/// # Panics
/// If `neuron` is not below n.
#[must_use]
pub fn tuning(rates: &Mat<f64>, integrals: &[f64], channels: usize, neuron: usize) -> TuningMap {
    let steps = rates.ncols();
    let shown = channels.min(2);
    let rows = if shown == 2 { BINS } else { 1 };
    let moments: Vec<(f64, f64)> =
        (0..shown).map(|c| coordinates::moments(integrals, channels, steps, c)).collect();
    let width = 2.0 * REACH / BINS as f64;
    let mut sums = vec![vec![(0.0, 0usize); BINS]; rows];
    for t in 0..steps {
        let bin = |c: usize| {
            let (mean, deviation) = moments[c];
            let place = ((integrals[t * channels + c] - mean) / deviation + REACH) / width;
            (place >= 0.0 && place < BINS as f64).then_some(place as usize)
        };
        let row = if shown == 2 { bin(1) } else { Some(0) };
        if let (Some(column), Some(row)) = (bin(0), row) {
            sums[row][column].0 += rates[(neuron, t)];
            sums[row][column].1 += 1;
        }
    }
    let middles = |c: usize| -> Vec<f64> {
        let (mean, deviation) = moments[c];
        (0..BINS).map(|k| mean + deviation * ((k as f64 + 0.5) * width - REACH)).collect()
    };
    let mean = |&(sum, count): &(f64, usize)| (count > 0).then(|| capped(sum / count as f64));
    TuningMap {
        neuron,
        first: middles(0),
        second: if shown == 2 { middles(1) } else { Vec::new() },
        mean: sums.iter().map(|row| row.iter().map(mean).collect()).collect(),
    }
}
