//! Chebyshev polynomials T_k on an interval: values, coefficients, derivatives, roots.

use std::f64::consts::PI;

use faer::Mat;

/// An interval \[low, high\] that is scaled to \[-1, 1\].
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end, above the lower.
    pub high: f64,
}

impl Interval {
    /// The place s in \[-1, 1\] of p; what is outside is moved to the nearer end.
    #[must_use]
    pub fn scaled(self, p: f64) -> f64 {
        ((2.0 * p - self.low - self.high) / (self.high - self.low)).clamp(-1.0, 1.0)
    }

    /// p of the place s in \[-1, 1\].
    #[must_use]
    pub fn at(self, s: f64) -> f64 {
        f64::midpoint(self.low, self.high) + 0.5 * s * (self.high - self.low)
    }

    /// `count` places evenly from end to end.
    pub fn even(self, count: usize) -> impl Iterator<Item = f64> {
        (0..count).map(move |k| self.at(2.0 * k as f64 / (count.max(2) - 1) as f64 - 1.0))
    }

    /// The `degree` + 1 places cos(pi j / degree), in ascending order: both ends are among them.
    #[must_use]
    pub fn nodes(self, degree: usize) -> Vec<f64> {
        let inner = (1..degree).rev().map(|j| self.at((PI * j as f64 / degree as f64).cos()));
        [self.low].into_iter().chain(inner).chain([self.high]).collect()
    }

    /// T_k at the places p, a row a degree 0..=`degree`, a column a place.
    #[must_use]
    pub fn basis(self, degree: usize, places: &[f64]) -> Mat<f64> {
        let mut basis = Mat::zeros(degree + 1, places.len());
        for (column, &p) in places.iter().enumerate() {
            fill(self.scaled(p), basis.col_as_slice_mut(column));
        }
        basis
    }
}

/// T_0 .. of s, as many as there is room for.
pub fn fill(s: f64, values: &mut [f64]) {
    let (mut before, mut now) = (s, 1.0);
    for value in values {
        *value = now;
        (before, now) = (now, 2.0 * s * now - before);
    }
}

/// sum_k c_k T_k(s) by Clenshaw's recurrence.
#[must_use]
pub fn sum(coefficients: &[f64], s: f64) -> f64 {
    let (mut later, mut now) = (0.0, 0.0);
    for &c in coefficients.iter().skip(1).rev() {
        (later, now) = (now, c + 2.0 * s * now - later);
    }
    coefficients.first().map_or(0.0, |c| c + s * now - later)
}

/// The matrix that takes values at [`Interval::nodes`] to coefficients: coefficients = matrix · values.
#[must_use]
pub fn transform(degree: usize) -> Mat<f64> {
    let last = degree as f64;
    let half = |k: usize| if k == 0 || k == degree { 0.5 } else { 1.0 };
    Mat::from_fn(degree + 1, degree + 1, |k, j| {
        // Nodes ascend: node j is at the angle pi (degree - j) / degree.
        2.0 / last * half(k) * half(j) * (PI * (k * (degree - j)) as f64 / last).cos()
    })
}

/// The matrix that takes coefficients on the interval to those of the derivative, of the same degree.
#[must_use]
pub fn derivative(degree: usize, interval: Interval) -> Mat<f64> {
    let slope = 2.0 / (interval.high - interval.low);
    Mat::from_fn(degree + 1, degree + 1, |k, j| {
        if j <= k || (j - k) % 2 == 0 {
            return 0.0;
        }
        if k == 0 { slope * j as f64 } else { 2.0 * slope * j as f64 }
    })
}

/// The roots of sum_k c_k T_k inside (-1, 1) at which the sum changes its sign, ascending, each to rounding.
///
/// Two roots nearer to each other than a sixteenth of the finest wave are taken for none.
#[must_use]
pub fn roots(coefficients: &[f64]) -> Vec<f64> {
    let samples = 16 * coefficients.len();
    let place = |k: usize| -(PI * k as f64 / samples as f64).cos();
    sign_changes(|s| sum(coefficients, s), (1..samples).map(place))
}

/// The places between ascending ones at which a function changes its sign, each by bisection to rounding.
pub fn sign_changes(f: impl Fn(f64) -> f64, places: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut found = Vec::new();
    let mut before: Option<(f64, f64)> = None;
    for s in places {
        let value = f(s);
        if let Some((mut low, at_low)) = before.filter(|(_, at)| (*at < 0.0) != (value < 0.0)) {
            let mut high = s;
            for _ in 0..80 {
                let middle = f64::midpoint(low, high);
                if (f(middle) < 0.0) == (at_low < 0.0) {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            found.push(f64::midpoint(low, high));
        }
        before = Some((s, value));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_coefficients_derivatives_and_roots_agree() {
        let (interval, degree) = (Interval { low: -0.7, high: 2.3 }, 24);
        let nodes = interval.nodes(degree);
        assert_eq!((nodes[0], nodes[degree]), (interval.low, interval.high));
        let f = |p: f64| (2.0 * p).sin() * (0.5 * p).exp();
        let values = Mat::from_fn(degree + 1, 1, |j, _| f(nodes[j]));
        let coefficients = transform(degree) * &values;
        let slopes = derivative(degree, interval) * &coefficients;
        for p in interval.even(57) {
            let s = interval.scaled(p);
            assert!((sum(coefficients.col_as_slice(0), s) - f(p)).abs() < 1e-13);
            let slope = (0.5 * p).exp() * (2.0 * (2.0 * p).cos() + 0.5 * (2.0 * p).sin());
            assert!((sum(slopes.col_as_slice(0), s) - slope).abs() < 1e-11);
        }
        let found: Vec<f64> =
            roots(coefficients.col_as_slice(0)).into_iter().map(|s| interval.at(s)).collect();
        assert_eq!(found.len(), 2);
        assert!(found[0].abs() < 1e-12 && (found[1] - PI / 2.0).abs() < 1e-12, "{found:?}");
        let basis = interval.basis(degree, &[0.3]);
        let direct: f64 = (0..=degree).map(|k| basis[(k, 0)] * coefficients[(k, 0)]).sum();
        assert!((direct - f(0.3)).abs() < 1e-13);
    }
}
