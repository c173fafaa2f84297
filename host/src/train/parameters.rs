//! What is trained, and the gradient of it: the same matrices.

use std::ops::{AddAssign, SubAssign};

use faer::linalg::matmul::matmul;
use faer::traits::RealField;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use tinyfold_core::Scalar;

/// A number type to train in: f32, or f64 to check gradients.
pub trait Real: Scalar + RealField + AddAssign + SubAssign {}

impl Real for f32 {}
impl Real for f64 {}

/// dst = a b, or dst += a b.
pub(super) fn product<T: Real>(dst: MatMut<'_, T>, accum: Accum, a: MatRef<'_, T>, b: MatRef<'_, T>) {
    matmul(dst, accum, a, b, <T as Scalar>::ONE, Par::Seq);
}

/// Recurrent weights: W (n × n), or U and V (n × R) of W = U Vᵀ, whose products cost O(n R).
#[derive(Clone, Debug)]
pub enum Weights<T> {
    /// W.
    Dense(Mat<T>),
    /// U, V.
    LowRank(Mat<T>, Mat<T>),
}

impl<T: Real> Weights<T> {
    /// W s.
    pub(super) fn apply(&self, out: MatMut<'_, T>, s: MatRef<'_, T>) {
        match self {
            Self::Dense(w) => product(out, Accum::Replace, w.as_ref(), s),
            Self::LowRank(u, v) => {
                let mut latent = Mat::zeros(v.ncols(), s.ncols());
                product(latent.as_mut(), Accum::Replace, v.transpose(), s);
                product(out, Accum::Replace, u.as_ref(), latent.as_ref());
            }
        }
    }

    /// Wᵀ dp.
    pub(super) fn apply_transposed(&self, out: MatMut<'_, T>, dp: MatRef<'_, T>) {
        match self {
            Self::Dense(w) => product(out, Accum::Replace, w.transpose(), dp),
            Self::LowRank(u, v) => {
                let mut latent = Mat::zeros(u.ncols(), dp.ncols());
                product(latent.as_mut(), Accum::Replace, u.transpose(), dp);
                product(out, Accum::Replace, v.as_ref(), latent.as_ref());
            }
        }
    }

    /// The gradient of the sum over all columns of dpᵀ (W s): one product over all steps at once.
    pub(super) fn gradient(&self, dp: MatRef<'_, T>, s: MatRef<'_, T>) -> Self {
        match self {
            Self::Dense(w) => {
                let mut dw = Mat::zeros(w.nrows(), w.ncols());
                product(dw.as_mut(), Accum::Replace, dp, s.transpose());
                Self::Dense(dw)
            }
            Self::LowRank(u, v) => {
                let (n, rank, columns) = (u.nrows(), u.ncols(), s.ncols());
                let (mut latent, mut dlatent) = (Mat::zeros(rank, columns), Mat::zeros(rank, columns));
                product(latent.as_mut(), Accum::Replace, v.transpose(), s);
                product(dlatent.as_mut(), Accum::Replace, u.transpose(), dp);
                let (mut du, mut dv) = (Mat::zeros(n, rank), Mat::zeros(n, rank));
                product(du.as_mut(), Accum::Replace, dp, latent.transpose());
                product(dv.as_mut(), Accum::Replace, s, dlatent.transpose());
                Self::LowRank(du, dv)
            }
        }
    }
}

/// Everything that can be trained; frozen parts have no gradient.
#[derive(Clone, Debug)]
pub struct Parameters<T> {
    /// W.
    pub weights: Weights<T>,
    /// B, n × I, when it is trained by itself; `None` when B = W E.
    pub input: Option<Mat<T>>,
    /// b, n × 1, when trained.
    pub bias: Option<Mat<T>>,
    /// C, O × n, when trained.
    pub readout: Option<Mat<T>>,
}

impl<T: Real> Parameters<T> {
    /// The matrices, in a fixed order.
    #[must_use]
    pub fn matrices(&self) -> Vec<&Mat<T>> {
        let weights: Vec<&Mat<T>> = match &self.weights {
            Weights::Dense(w) => vec![w],
            Weights::LowRank(u, v) => vec![u, v],
        };
        weights.into_iter().chain(&self.input).chain(&self.bias).chain(&self.readout).collect()
    }

    /// The matrices, to be changed, in the same order.
    pub fn matrices_mut(&mut self) -> Vec<&mut Mat<T>> {
        let weights: Vec<&mut Mat<T>> = match &mut self.weights {
            Weights::Dense(w) => vec![w],
            Weights::LowRank(u, v) => vec![u, v],
        };
        weights.into_iter().chain(&mut self.input).chain(&mut self.bias).chain(&mut self.readout).collect()
    }

    /// self += other, matrix by matrix.
    pub(super) fn add(&mut self, other: &Self) {
        for (sum, term) in self.matrices_mut().into_iter().zip(other.matrices()) {
            *sum += term;
        }
    }

    /// Square root of the sum of all squares.
    #[must_use]
    pub fn norm(&self) -> f64 {
        self.matrices().iter().map(|m| m.squared_norm_l2().to_f64()).sum::<f64>().sqrt()
    }
}
