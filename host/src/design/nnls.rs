//! Non-negative least squares.

use faer::Mat;
use faer::linalg::solvers::SolveLstsq;

/// The x >= 0 of least |A x - b|, and that least distance; at most as many entries of x as A has rows
/// are not 0.
///
/// A: m × n; b: m. Source: Lawson & Hanson, Solving least squares problems, chapter 23.
pub(super) fn nnls(a: &Mat<f64>, b: &[f64]) -> (Vec<f64>, f64) {
    let (rows, columns) = (a.nrows(), a.ncols());
    let mut x = vec![0.0; columns];
    let mut passive: Vec<usize> = Vec::new();
    let rest = |x: &[f64]| -> Vec<f64> {
        (0..rows).map(|i| b[i] - (0..columns).map(|j| a[(i, j)] * x[j]).sum::<f64>()).collect()
    };
    let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let tolerance = 1e-12 * norm(b) * a.norm_max();
    // A column that is expelled must not come back in the same corner, or rounding could cycle.
    let mut barred: Vec<usize> = Vec::new();
    while passive.len() < rows.min(columns) {
        let left = rest(&x);
        let slope = |j: usize| (0..rows).map(|i| a[(i, j)] * left[i]).sum::<f64>();
        let entering = (0..columns)
            .filter(|j| !passive.contains(j) && !barred.contains(j))
            .map(|j| (j, slope(j)))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        let Some((entering, slope)) = entering else { break };
        if slope <= tolerance {
            break;
        }
        passive.push(entering);
        loop {
            let part = Mat::from_fn(rows, passive.len(), |i, k| a[(i, passive[k])]);
            let wanted = part.qr().solve_lstsq(Mat::from_fn(rows, 1, |i, _| b[i]));
            let wanted = |k: usize| wanted[(k, 0)];
            let blocking = (0..passive.len())
                .filter(|&k| wanted(k) <= 0.0)
                .map(|k| (passive[k], x[passive[k]] / (x[passive[k]] - wanted(k))))
                .min_by(|a, b| a.1.total_cmp(&b.1));
            let step = blocking.map_or(1.0, |(_, step)| step);
            for (k, &j) in passive.iter().enumerate() {
                x[j] += step * (wanted(k) - x[j]);
            }
            let Some((blocking, _)) = blocking else {
                barred.clear();
                break;
            };
            x[blocking] = 0.0;
            barred.push(blocking);
            passive.retain(|&j| j != blocking);
            if passive.is_empty() {
                break;
            }
        }
    }
    let distance = norm(&rest(&x));
    (x, distance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::design::random_frozen;

    #[test]
    fn the_optimum_satisfies_its_conditions() {
        for seed in 0..50 {
            let (a, _) = random_frozen(5, 9, seed);
            let b: Vec<f64> = (0..5).map(|i| a[(i, 0)] - 2.0 * a[(i, 3)] + 0.1).collect();
            let (x, distance) = nnls(&a, &b);
            let rest: Vec<f64> =
                (0..5).map(|i| b[i] - (0..9).map(|j| a[(i, j)] * x[j]).sum::<f64>()).collect();
            assert!((rest.iter().map(|r| r * r).sum::<f64>().sqrt() - distance).abs() < 1e-12);
            // Karush-Kuhn-Tucker: no slope along a used column, none that helps along an unused one.
            for (j, &x) in x.iter().enumerate() {
                let slope: f64 = (0..5).map(|i| a[(i, j)] * rest[i]).sum();
                assert!(
                    x >= 0.0 && slope < 1e-10 && (x == 0.0 || slope > -1e-10),
                    "seed {seed}: {x} {slope}"
                );
            }
        }
    }

    #[test]
    fn a_cone_that_holds_b_reaches_it() {
        let a = Mat::from_fn(2, 3, |i, j| [[1.0, 0.0, -1.0], [0.0, 1.0, -1.0]][i][j]);
        let (x, distance) = nnls(&a, &[-1.0, -0.5]);
        assert!(distance < 1e-14 && (x[2] - 1.0).abs() < 1e-14 && (x[1] - 0.5).abs() < 1e-14);
        assert!((nnls(&Mat::from_fn(1, 1, |_, _| 1.0), &[-1.0]).1 - 1.0).abs() < 1e-15);
    }
}
