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
