//! Small functions of vectors.

use std::iter::zip;

/// a · b.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    zip(a, b).map(|(a, b)| a * b).sum()
}

/// Sum of squares.
pub(super) fn square(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum()
}

/// Length.
pub(super) fn norm(x: &[f64]) -> f64 {
    square(x).sqrt()
}

/// Largest absolute entry; not a number where one is not.
pub(crate) fn largest(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |most: f64, x| if x.abs() > most || x.is_nan() { x.abs() } else { most })
}

/// Largest absolute difference of entries; not a number where one is not.
pub(super) fn distance(a: &[f64], b: &[f64]) -> f64 {
    zip(a, b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, |most: f64, d| if d > most || d.is_nan() { d } else { most })
}

/// Squared length of a - b, in lanes that the processor adds at once.
pub(super) fn square_distance(a: &[f64], b: &[f64]) -> f64 {
    let ((a, rest_a), (b, rest_b)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (a, b) in zip(a, b) {
        (0..8).for_each(|k| sums[k] += (a[k] - b[k]) * (a[k] - b[k]));
    }
    sums.iter().sum::<f64>() + zip(rest_a, rest_b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>()
}

/// a + s b.
pub(super) fn moved(a: &[f64], s: f64, b: &[f64]) -> Vec<f64> {
    zip(a, b).map(|(a, b)| a + s * b).collect()
}

/// s a.
pub(super) fn scaled(a: &[f64], s: f64) -> Vec<f64> {
    a.iter().map(|a| s * a).collect()
}

/// Scales to length 1; returns the length before.
pub(super) fn normalise(x: &mut [f64]) -> f64 {
    let length = norm(x);
    for x in x {
        *x /= length;
    }
    length
}

/// Whether all entries are finite.
pub(super) fn is_finite(x: &[f64]) -> bool {
    x.iter().all(|x| x.is_finite())
}
