//! Singular values of W, and how the pre-activations spread.

use faer::{Mat, MatRef, Side};

use crate::network::{Network, Recurrence};
use crate::{Error, Result};

/// Left singular vectors (n × k) and singular values of W, largest first: k = n for a dense network, R
/// for a low-rank one, whose W is never formed.
///
/// # Errors
/// The decomposition does not converge.
pub fn of_weights(network: &Network) -> Result<(Mat<f64>, Vec<f64>)> {
    let failed = |_| Error::Numeric {
        what: "singular values of W".into(),
        reason: "no convergence; are all weights finite?".into(),
    };
    let values = |s: faer::diag::DiagRef<'_, f64>, count: usize| (0..count).map(|k| s[k]).collect();
    match &network.recurrence {
        Recurrence::Dense(w) => {
            let svd = w.svd().map_err(failed)?;
            Ok((svd.U().to_owned(), values(svd.S(), w.nrows())))
        }
        Recurrence::LowRank { u, v } => {
            // W = Q_u (R_u R_vᵀ) Q_vᵀ.
            let (left, right) = (u.qr(), v.qr());
            let svd = (left.thin_R() * right.thin_R().transpose()).svd().map_err(failed)?;
            Ok((left.compute_thin_Q() * svd.U(), values(svd.S(), u.ncols().min(u.nrows()))))
        }
    }
}

/// |p - Q Qᵀ p| / |p|, Frobenius norms: p is n × T, Q is n × k with orthonormal columns; 0 if p is 0.
#[must_use]
pub fn distance(p: &Mat<f64>, q: &Mat<f64>) -> f64 {
    let outside = p - q * (q.transpose() * p);
    let norm = p.norm_l2();
    if norm > 0.0 { outside.norm_l2() / norm } else { 0.0 }
}

/// Variances of the columns of p (n × T) along their principal axes, largest first.
///
/// # Errors
/// The decomposition does not converge.
pub fn variances(p: &Mat<f64>) -> Result<Vec<f64>> {
    let (values, _) = principal_axes(p.as_ref())?;
    Ok(values.into_iter().map(|v| v.max(0.0)).collect())
}

/// Variances and principal axes (columns) of the columns of p, largest variance first.
pub(super) fn principal_axes(p: MatRef<'_, f64>) -> Result<(Vec<f64>, Mat<f64>)> {
    let (n, count) = (p.nrows(), p.ncols().max(1) as f64);
    let mean: Vec<f64> = (0..n).map(|i| p.row(i).iter().sum::<f64>() / count).collect();
    // Scaled first: a network about to diverge would overflow the squares.
    let size = p.norm_max();
    let size = if size > 0.0 { size } else { 1.0 };
    let centred = Mat::from_fn(n, p.ncols(), |i, t| (p[(i, t)] - mean[i]) / size);
    let covariance = faer::Scale(1.0 / count) * &centred * centred.transpose();
    let eigen = covariance.self_adjoint_eigen(Side::Lower).map_err(|_| Error::Numeric {
        what: "principal axes of the pre-activations".into(),
        reason: "no convergence; does the network stay finite?".into(),
    })?;
    let values = (0..n).rev().map(|k| eigen.S()[k] * size * size).collect();
    Ok((values, Mat::from_fn(n, n, |i, k| eigen.U()[(i, n - 1 - k)])))
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
        let variances = variances(&p).expect("converges");
        assert!((variances[0] - 2.0).abs() < 1e-14 && (variances[1] - 0.5).abs() < 1e-14, "{variances:?}");
    }

    #[test]
    fn low_rank_singular_values_are_those_of_the_product() {
        let (u, read) = random_frozen(20, 3, 5);
        let v = read.transpose().to_owned();
        let dense = Recurrence::Dense(&u * v.transpose());
        let low = Recurrence::LowRank { u: u.clone(), v };
        let network = |recurrence| Network::plain(Activation::Tanh, recurrence, u.clone(), read.clone());
        let (wide, narrow) = (network(dense), network(low));
        let (q, values) = of_weights(&narrow).expect("converges");
        let (_, all) = of_weights(&wide).expect("converges");
        assert_eq!(values.len(), 3);
        for k in 0..3 {
            assert!((values[k] - all[k]).abs() < 1e-14);
        }
        assert!(all[3] < 1e-14);
        assert!(distance(&wide.weights(), &q) < 1e-14, "Q spans the columns of W");
    }
}
