//! Singular values of W, and how the pre-activations spread.

use faer::{Mat, MatRef, Side};

use crate::network::{Network, Recurrence};
use crate::{Error, Result};

/// Singular vectors and values of W, largest first: k = n for a dense network, R for a low-rank one.
#[derive(Clone, Debug)]
pub struct Singular {
    /// Left singular vectors, n × k: where W writes.
    pub left: Mat<f64>,
    /// Singular values, k.
    pub values: Vec<f64>,
    /// Right singular vectors, n × k: what W reads.
    pub right: Mat<f64>,
}

/// The singular value decomposition of W, which is never formed for a low-rank network.
///
/// # Errors
/// The decomposition does not converge.
pub fn of_weights(network: &Network) -> Result<Singular> {
    let failed = |_| Error::Numeric {
        what: "singular values of W".into(),
        reason: "no convergence; are all weights finite?".into(),
    };
    let values = |s: faer::diag::DiagRef<'_, f64>, count: usize| (0..count).map(|k| s[k]).collect();
    match &network.recurrence {
        Recurrence::Dense(w) => {
            let svd = w.svd().map_err(failed)?;
            let (left, right) = (svd.U().to_owned(), svd.V().to_owned());
            Ok(Singular { left, values: values(svd.S(), w.nrows()), right })
        }
        Recurrence::LowRank { u, v } => {
            // W = Q_u (R_u R_vᵀ) Q_vᵀ.
            let (left, right) = (u.qr(), v.qr());
            let svd = (left.thin_R() * right.thin_R().transpose()).svd().map_err(failed)?;
            Ok(Singular {
                left: left.compute_thin_Q() * svd.U(),
                values: values(svd.S(), u.ncols().min(u.nrows())),
                right: right.compute_thin_Q() * svd.V(),
            })
        }
    }
}

/// |p - Q Qᵀ p| / |p|, Frobenius norms: p is n × T, Q is n × k with orthonormal columns; 0 if p is 0.
#[must_use]
pub fn distance(p: &Mat<f64>, q: &Mat<f64>) -> f64 {
    let norm = p.norm_l2();
    if norm > 0.0 { outside(p, q).norm_l2() / norm } else { 0.0 }
}

/// p - Q Qᵀ p.
fn outside(p: &Mat<f64>, q: &Mat<f64>) -> Mat<f64> {
    p - q * (q.transpose() * p)
}

/// |p_t - Q Qᵀ p_t|² and |p_t|² of every column of p.
pub(super) fn squares_outside(p: &Mat<f64>, q: &Mat<f64>) -> impl Iterator<Item = (f64, f64)> {
    let outside = outside(p, q);
    (0..p.ncols()).map(move |t| (outside.col(t).squared_norm_l2(), p.col(t).squared_norm_l2()))
}

/// Variances and principal axes (columns) of the columns of p (n × T), largest first.
///
/// # Errors
/// The decomposition does not converge.
pub fn principal_axes(p: MatRef<'_, f64>) -> Result<(Vec<f64>, Mat<f64>)> {
    let (n, count) = (p.nrows(), p.ncols().max(1) as f64);
    let mean: Vec<f64> = (0..n).map(|i| p.row(i).iter().sum::<f64>() / count).collect();
    let (moments, size) = moments(p, &mean);
    let eigen = moments.self_adjoint_eigen(Side::Lower).map_err(|_| unconverged(AXES))?;
    let values = (0..n).rev().map(|k| (eigen.S()[k] * size).max(0.0)).collect();
    Ok((values, Mat::from_fn(n, n, |i, k| eigen.U()[(i, n - 1 - k)])))
}

/// Second moments of the columns of p (n × T) about zero along their principal axes, largest first.
///
/// # Errors
/// The decomposition does not converge.
pub(super) fn second_moments(p: MatRef<'_, f64>) -> Result<Vec<f64>> {
    let (moments, size) = moments(p, &vec![0.0; p.nrows()]);
    let values = moments.self_adjoint_eigenvalues(Side::Lower).map_err(|_| unconverged(AXES))?;
    Ok(values.into_iter().rev().map(|value| (value * size).max(0.0)).collect())
}

const AXES: &str = "principal axes of the pre-activations";

/// M and s: s M is the matrix of second moments of the columns of p about a centre.
fn moments(p: MatRef<'_, f64>, centre: &[f64]) -> (Mat<f64>, f64) {
    // Scaled first: a network about to diverge would overflow the squares.
    let size = p.norm_max();
    let size = if size > 0.0 { size } else { 1.0 };
    let centred = Mat::from_fn(p.nrows(), p.ncols(), |i, t| (p[(i, t)] - centre[i]) / size);
    (faer::Scale(1.0 / p.ncols().max(1) as f64) * &centred * centred.transpose(), size * size)
}

/// sum_{i > k} lambda_i / sum_i lambda_i, under a root: what the best k directions leave of a norm.
pub(super) fn left_over(moments: &[f64], k: usize) -> f64 {
    let total: f64 = moments.iter().sum();
    if total > 0.0 { (moments.iter().skip(k).sum::<f64>() / total).sqrt() } else { 0.0 }
}

pub(super) fn unconverged(what: &str) -> Error {
    Error::Numeric { what: what.into(), reason: "no convergence; does the network stay finite?".into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::design::random_frozen;
    use crate::network::Activation;

    #[test]
    fn distance_is_the_part_outside() {
        let axis = Mat::from_fn(3, 1, |i, _| if i == 0 { 1.0 } else { 0.0 });
        let p = Mat::from_fn(3, 2, |i, t| [[3.0, 0.0], [0.0, 4.0], [0.0, 0.0]][i][t]);
        assert!((distance(&p, &axis) - 0.8).abs() < 1e-15);
        assert_eq!(distance(&Mat::zeros(3, 2), &axis), 0.0);
    }

    #[test]
    fn variances_follow_the_principal_axes() {
        // Along (1, 1) / sqrt(2) with variance 2, along (1, -1) / sqrt(2) with variance 1/2, around (5, 0).
        let p = Mat::from_fn(2, 4, |i, t| {
            let along = [2.0, -2.0, 0.0, 0.0][t];
            let across = [0.0, 0.0, 1.0, -1.0][t];
            [5.0 + (along + across) / 2f64.sqrt(), (along - across) / 2f64.sqrt()][i]
        });
        let (variances, _) = principal_axes(p.as_ref()).expect("converges");
        assert!((variances[0] - 2.0).abs() < 1e-14 && (variances[1] - 0.5).abs() < 1e-14, "{variances:?}");
        // About zero: 2 + 25/2 and 1/2 + 25/2 with a mixed term of 25/2.
        let moments = second_moments(p.as_ref()).expect("converges");
        let (middle, half) = (13.75, 0.75_f64.hypot(12.5));
        assert!((moments[0] - middle - half).abs() < 1e-13 && (moments[1] - middle + half).abs() < 1e-13);
        assert!((left_over(&[9.0, 16.0], 1) - 0.8).abs() < 1e-15 && left_over(&[0.0], 0) == 0.0);
    }

    #[test]
    fn low_rank_singular_values_are_those_of_the_product() {
        let (u, read) = random_frozen(20, 3, 5);
        let v = read.transpose().to_owned();
        let dense = Recurrence::Dense(&u * v.transpose());
        let low = Recurrence::LowRank { u: u.clone(), v };
        let network = |recurrence| Network::plain(Activation::Tanh, recurrence, u.clone(), read.clone());
        let (wide, narrow) = (network(dense), network(low));
        let low = of_weights(&narrow).expect("converges");
        let all = of_weights(&wide).expect("converges").values;
        assert_eq!(low.values.len(), 3);
        assert!(low.values.iter().zip(&all).all(|(low, all)| (low - all).abs() < 1e-14));
        assert!(all[3] < 1e-14);
        assert!(distance(&wide.weights(), &low.left) < 1e-14, "the left vectors span the columns of W");
        let rows = wide.weights().transpose().to_owned();
        assert!(distance(&rows, &low.right) < 1e-14, "the right vectors span its rows");
    }
}
