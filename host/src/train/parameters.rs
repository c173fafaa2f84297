//! What is trained, and the gradient of it: the same matrices.

use std::ops::{AddAssign, SubAssign};

use faer::traits::RealField;
use faer::{Accum, Mat, MatMut, MatRef};
use pulp::Arch;
use tinyfold_core::Scalar;

use super::columns::{Inlined, transposed_products};
use super::product::{Factor, product};

/// A number type to train in: f32, or f64 to check gradients.
pub trait Real: Scalar + RealField + AddAssign + SubAssign {
    /// The square root, one instruction.
    #[must_use]
    fn root(self) -> Self;

    /// The matrix, if its numbers are f32.
    #[must_use]
    fn single(_: MatRef<'_, Self>) -> Option<MatRef<'_, f32>> {
        None
    }

    /// The matrix, to be changed, if its numbers are f32.
    #[must_use]
    fn single_mut(_: MatMut<'_, Self>) -> Option<MatMut<'_, f32>> {
        None
    }
}

impl Real for f32 {
    #[inline(always)]
    fn root(self) -> Self {
        self.sqrt()
    }

    fn single(matrix: MatRef<'_, Self>) -> Option<MatRef<'_, f32>> {
        Some(matrix)
    }

    fn single_mut(matrix: MatMut<'_, Self>) -> Option<MatMut<'_, f32>> {
        Some(matrix)
    }
}

impl Real for f64 {
    #[inline(always)]
    fn root(self) -> Self {
        self.sqrt()
    }
}

/// a b.
fn of<T: Real>(a: MatRef<'_, T>, b: MatRef<'_, T>) -> Mat<T> {
    let mut out = Mat::zeros(a.nrows(), b.ncols());
    product(out.as_mut(), Accum::Replace, a, b);
    out
}

/// Ranks from which on a product of Vᵀ is a library's: below, most of the rows that it does together are missing.
const MANY: usize = 9;

/// Vᵀ s.
fn projected<T: Real>(v: &Mat<T>, s: MatRef<'_, T>) -> Mat<T> {
    if v.ncols() >= MANY {
        return of(v.transpose(), s);
    }
    let mut out = Mat::zeros(v.ncols(), s.ncols());
    Arch::new().dispatch(Inlined(
        #[inline(always)]
        || transposed_products(out.as_mut(), v, s),
    ));
    out
}

/// Recurrent weights: W (n × n), or U and V (n × R) of W = U Vᵀ, whose products cost O(n R).
#[derive(Clone, Debug)]
pub enum Weights<T> {
    /// W.
    Dense(Mat<T>),
    /// U, V.
    LowRank(Mat<T>, Mat<T>),
}

/// Weights as the left factor of the products of a pass.
pub(super) struct Factors<'a, T> {
    weights: &'a Weights<T>,
    /// W and Wᵀ, if dense.
    dense: Option<[Factor<'a, T>; 2]>,
}

impl<T: Real> Factors<'_, T> {
    /// Whether an order of columns makes products with them quicker.
    pub(super) fn pass_over_zeros(&self) -> bool {
        self.dense.as_ref().is_some_and(|[w, _]| w.passes_over_zeros())
    }

    /// out = W s; see [`Factor::times`] for the order.
    pub(super) fn apply(&self, out: MatMut<'_, T>, s: MatRef<'_, T>, order: Option<&[usize]>) {
        match &self.dense {
            Some([w, _]) => w.times(out, Accum::Replace, s, order),
            None => self.weights.apply(out, Accum::Replace, s),
        }
    }

    /// out = Wᵀ dp.
    pub(super) fn apply_transposed(&self, out: MatMut<'_, T>, dp: MatRef<'_, T>, order: Option<&[usize]>) {
        match &self.dense {
            Some([_, w]) => w.times(out, Accum::Replace, dp, order),
            None => self.weights.apply_transposed(out, Accum::Replace, dp),
        }
    }
}

impl<T: Real> Weights<T> {
    /// Laid out for many products with matrices of so many columns.
    pub(super) fn factors(&self, columns: usize) -> Factors<'_, T> {
        let dense = match self {
            Self::Dense(w) => Some([w.as_ref(), w.transpose()].map(|w| Factor::new(w, columns))),
            Self::LowRank(..) => None,
        };
        Factors { weights: self, dense }
    }

    /// W m.
    pub(super) fn times(&self, m: &Mat<T>) -> Mat<T> {
        let mut out = Mat::zeros(m.nrows(), m.ncols());
        self.apply(out.as_mut(), Accum::Replace, m.as_ref());
        out
    }

    /// Wᵀ m.
    pub(super) fn transposed_times(&self, m: &Mat<T>) -> Mat<T> {
        let mut out = Mat::zeros(m.nrows(), m.ncols());
        self.apply_transposed(out.as_mut(), Accum::Replace, m.as_ref());
        out
    }

    /// out = W s, or out += W s.
    pub(super) fn apply(&self, out: MatMut<'_, T>, accum: Accum, s: MatRef<'_, T>) {
        match self {
            Self::Dense(w) => product(out, accum, w.as_ref(), s),
            Self::LowRank(u, v) => product(out, accum, u.as_ref(), projected(v, s).as_ref()),
        }
    }

    /// out = Wᵀ dp, or out += Wᵀ dp.
    pub(super) fn apply_transposed(&self, out: MatMut<'_, T>, accum: Accum, dp: MatRef<'_, T>) {
        match self {
            Self::Dense(w) => product(out, accum, w.transpose(), dp),
            Self::LowRank(u, v) => product(out, accum, v.as_ref(), projected(u, dp).as_ref()),
        }
    }

    /// The gradient of the sum over all columns of dpᵀ (W s): one product over all steps at once.
    pub(super) fn gradient(&self, dp: MatRef<'_, T>, s: MatRef<'_, T>) -> Self {
        match self {
            Self::Dense(_) => Self::Dense(of(dp, s.transpose())),
            Self::LowRank(u, v) => {
                Self::LowRank(of(dp, projected(v, s).transpose()), of(s, projected(u, dp).transpose()))
            }
        }
    }

    /// As [`Weights::gradient`], in the memory of `spare` where that fits; order: of the neurons, see [`Factor::times`].
    pub(super) fn gradient_in(
        &self,
        spare: Option<Self>,
        dp: MatRef<'_, T>,
        s: MatRef<'_, T>,
        order: Option<&[usize]>,
    ) -> Self {
        let Self::Dense(w) = self else { return self.gradient(dp, s) };
        let mut sum = match spare {
            Some(Self::Dense(sum)) if sum.shape() == w.shape() => sum,
            _ => Mat::zeros(w.nrows(), w.ncols()),
        };
        Factor::new(dp, w.ncols()).times(sum.as_mut(), Accum::Replace, s.transpose(), order);
        Self::Dense(sum)
    }

    /// Adds the gradient of dpᵀ (W s) for a few columns.
    pub(super) fn add_gradient(&self, sum: &mut Self, dp: MatRef<'_, T>, s: MatRef<'_, T>) {
        match sum {
            Self::Dense(sum) => product(sum.as_mut(), Accum::Add, dp, s.transpose()),
            Self::LowRank(..) => sum.add(&self.gradient(dp, s)),
        }
    }

    /// Dale's law: the nearest W whose columns have the signs of their neurons, +1 or -1; at rank R rows of V have them
    /// and U is not negative.
    pub fn keep_signs(&mut self, signs: &[T]) {
        let zero = <T as Scalar>::ZERO;
        let kept = |w: T, sign: T| if w * sign > zero { w } else { zero };
        match self {
            Self::Dense(w) => {
                for (j, &sign) in signs.iter().enumerate() {
                    w.col_as_slice_mut(j).iter_mut().for_each(|w| *w = kept(*w, sign));
                }
            }
            Self::LowRank(u, v) => {
                for r in 0..u.ncols() {
                    u.col_as_slice_mut(r).iter_mut().for_each(|u| *u = kept(*u, <T as Scalar>::ONE));
                    std::iter::zip(v.col_as_slice_mut(r), signs).for_each(|(v, &sign)| *v = kept(*v, sign));
                }
            }
        }
    }

    /// Zeros.
    pub(super) fn clear(&mut self) {
        let zero = <T as Scalar>::ZERO;
        match self {
            Self::Dense(w) => w.fill(zero),
            Self::LowRank(u, v) => {
                u.fill(zero);
                v.fill(zero);
            }
        }
    }

    /// self += other.
    pub(super) fn add(&mut self, other: &Self) {
        match (self, other) {
            (Self::Dense(w), Self::Dense(other)) => *w += other,
            (Self::LowRank(u, v), Self::LowRank(other_u, other_v)) => {
                *u += other_u;
                *v += other_v;
            }
            _ => unreachable!("a gradient has the form of its weights"),
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
    /// E, n × I, when it is trained while B = W E.
    pub encoder: Option<Mat<T>>,
    /// b, n × 1, when trained.
    pub bias: Option<Mat<T>>,
    /// C, O × n, when trained.
    pub readout: Option<Mat<T>>,
    /// c, O × 1, when trained.
    pub output_bias: Option<Mat<T>>,
}

impl<T: Real> Parameters<T> {
    /// The matrices, in a fixed order.
    #[must_use]
    pub fn matrices(&self) -> Vec<&Mat<T>> {
        let weights: Vec<&Mat<T>> = match &self.weights {
            Weights::Dense(w) => vec![w],
            Weights::LowRank(u, v) => vec![u, v],
        };
        weights
            .into_iter()
            .chain(&self.input)
            .chain(&self.encoder)
            .chain(&self.bias)
            .chain(&self.readout)
            .chain(&self.output_bias)
            .collect()
    }

    /// The matrices, to be changed, in the same order.
    pub fn matrices_mut(&mut self) -> Vec<&mut Mat<T>> {
        let weights: Vec<&mut Mat<T>> = match &mut self.weights {
            Weights::Dense(w) => vec![w],
            Weights::LowRank(u, v) => vec![u, v],
        };
        weights
            .into_iter()
            .chain(&mut self.input)
            .chain(&mut self.encoder)
            .chain(&mut self.bias)
            .chain(&mut self.readout)
            .chain(&mut self.output_bias)
            .collect()
    }

    /// self += other, matrix by matrix.
    pub(super) fn add(&mut self, other: &Self) {
        for (sum, term) in self.matrices_mut().into_iter().zip(other.matrices()) {
            *sum += term;
        }
    }

    /// self += factor other.
    pub(super) fn add_scaled(&mut self, factor: T, other: &Self) {
        for (sum, term) in self.matrices_mut().into_iter().zip(other.matrices()) {
            faer::zip!(sum, term).for_each(|faer::unzip!(sum, term)| *sum += factor * *term);
        }
    }

    /// Square root of the sum of all squares; not finite only if an entry is not, or if it is beyond f64 itself.
    #[must_use]
    pub fn norm(&self) -> f64 {
        let squares: f64 = self.matrices().iter().map(|m| m.squared_norm_l2().to_f64()).sum();
        if squares.is_finite() {
            return squares.sqrt();
        }
        // Squares leave the number type long before their entries do.
        let largest = self.entries().map(|x| x.to_f64().abs()).fold(0.0, f64::max);
        largest * self.entries().map(|x| (x.to_f64() / largest).powi(2)).sum::<f64>().sqrt()
    }

    /// Whether all entries are finite.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.entries().all(|x| x.to_f64().is_finite())
    }

    /// All entries, matrix by matrix.
    fn entries(&self) -> impl Iterator<Item = T> {
        let of = self.matrices().into_iter();
        of.flat_map(|m| (0..m.ncols()).flat_map(move |j| m.col_as_slice(j))).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<T: Real>(entries: [f64; 4]) -> Parameters<T> {
        let weights = Weights::Dense(Mat::from_fn(1, 3, |_, j| T::from_f64(entries[j])));
        let bias = Some(Mat::from_fn(1, 1, |_, _| T::from_f64(entries[3])));
        Parameters { weights, input: None, encoder: None, bias, readout: None, output_bias: None }
    }

    #[test]
    fn a_norm_is_finite_where_squares_are_not() {
        let near = |norm: f64, known: f64| assert!((norm / known - 1.0).abs() < 1e-6, "{norm}, not {known}");
        let entries = |scale: f64| [1.0, -2.0, 2.0, 4.0].map(|x| x * scale);
        near(of::<f32>(entries(1.0)).norm(), 5.0);
        near(of::<f32>(entries(5e37)).norm(), 2.5e38);
        near(of::<f64>(entries(1e300)).norm(), 5e300);
        for bad in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            assert!(!of::<f32>([1.0, bad, 2.0, 3.0]).norm().is_finite());
            assert!(!of::<f32>([1.0, 1e30, bad, 3.0]).norm().is_finite());
        }
    }
}
