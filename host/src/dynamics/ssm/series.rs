//! Power series in one to three variables, whose coefficients are vectors.

use std::fmt::Debug;
use std::iter::zip;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub, SubAssign};

use faer::c64;
use faer::traits::ComplexField;

/// f64, or c64 for a pair of conjugate coordinates.
///
/// A vector of n coefficients is a column of n · [`Scalar::PARTS`] real numbers, all real parts before all
/// imaginary ones, so that a real matrix times many coefficients is one product of real matrices.
pub trait Scalar:
    ComplexField
    + Copy
    + Debug
    + PartialEq
    + From<f64>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
{
    /// Real numbers of a coefficient. With 2 parts the second variable is the conjugate of the first.
    const PARTS: usize;

    /// The real part.
    fn part(self) -> f64;

    /// |s|.
    fn modulus(self) -> f64;

    /// The conjugate.
    #[must_use]
    fn mirrored(self) -> Self;

    /// As a complex number.
    fn complex(self) -> c64;

    /// Element u of a column.
    fn get(column: &[f64], u: usize) -> Self;

    /// Sets element u of a column.
    fn set(column: &mut [f64], u: usize, value: Self);

    /// out += weight · a b, element by element, of columns.
    fn add_product(out: &mut [f64], weight: f64, a: &[f64], b: &[f64]);

    /// out += factor · a of columns.
    fn add_scaled(out: &mut [f64], factor: Self, a: &[f64]);

    /// The variables at real coordinates: p1, p2, p3, or z = p1 + i p2, its conjugate and p3; 0 for what is not there.
    fn variables(p: &[f64]) -> [Self; 3];

    /// The real coordinates of values of the variables.
    fn coordinates(values: &[Self]) -> Vec<f64>;
}

impl Scalar for f64 {
    const PARTS: usize = 1;

    fn part(self) -> f64 {
        self
    }

    fn modulus(self) -> f64 {
        self.abs()
    }

    fn mirrored(self) -> Self {
        self
    }

    fn complex(self) -> c64 {
        c64::new(self, 0.0)
    }

    fn get(column: &[f64], u: usize) -> Self {
        column[u]
    }

    fn set(column: &mut [f64], u: usize, value: Self) {
        column[u] = value;
    }

    fn add_product(out: &mut [f64], weight: f64, a: &[f64], b: &[f64]) {
        zip(out, zip(a, b)).for_each(|(out, (a, b))| *out += weight * a * b);
    }

    fn add_scaled(out: &mut [f64], factor: Self, a: &[f64]) {
        zip(out, a).for_each(|(out, a)| *out += factor * a);
    }

    fn variables(p: &[f64]) -> [Self; 3] {
        std::array::from_fn(|k| p.get(k).copied().unwrap_or(0.0))
    }

    fn coordinates(values: &[Self]) -> Vec<f64> {
        values.to_vec()
    }
}

impl Scalar for c64 {
    const PARTS: usize = 2;

    fn part(self) -> f64 {
        self.re
    }

    fn modulus(self) -> f64 {
        self.norm()
    }

    fn mirrored(self) -> Self {
        c64::new(self.re, -self.im)
    }

    fn complex(self) -> c64 {
        self
    }

    fn get(column: &[f64], u: usize) -> Self {
        c64::new(column[u], column[column.len() / 2 + u])
    }

    fn set(column: &mut [f64], u: usize, value: Self) {
        let n = column.len() / 2;
        column[u] = value.re;
        column[n + u] = value.im;
    }

    fn add_product(out: &mut [f64], weight: f64, a: &[f64], b: &[f64]) {
        let n = out.len() / 2;
        let ((re, im), (a_re, a_im), (b_re, b_im)) = (out.split_at_mut(n), a.split_at(n), b.split_at(n));
        for u in 0..n {
            re[u] += weight * (a_re[u] * b_re[u] - a_im[u] * b_im[u]);
            im[u] += weight * (a_re[u] * b_im[u] + a_im[u] * b_re[u]);
        }
    }

    fn add_scaled(out: &mut [f64], factor: Self, a: &[f64]) {
        let n = out.len() / 2;
        let ((re, im), (a_re, a_im)) = (out.split_at_mut(n), a.split_at(n));
        for u in 0..n {
            re[u] += factor.re * a_re[u] - factor.im * a_im[u];
            im[u] += factor.re * a_im[u] + factor.im * a_re[u];
        }
    }

    fn variables(p: &[f64]) -> [Self; 3] {
        let [x, y, third] = f64::variables(p);
        let z = c64::new(x, y);
        [z, z.mirrored(), c64::new(third, 0.0)]
    }

    fn coordinates(values: &[Self]) -> Vec<f64> {
        let others = values.iter().skip(2).map(|value| value.re);
        [values[0].re, values[0].im].into_iter().chain(others).collect()
    }
}

/// l · a of two columns, without conjugation.
pub(super) fn dot<S: Scalar>(l: &[f64], a: &[f64]) -> S {
    let n = a.len() / S::PARTS;
    (0..n).fold(S::from(0.0), |sum, u| sum + S::get(l, u) * S::get(a, u))
}

/// s^k.
pub(super) fn power<S: Scalar>(s: S, k: usize) -> S {
    (0..k).fold(S::from(1.0), |product, _| product * s)
}

/// sum over orders k and i of c_(k, i) p1^(k - i) p2^i, with c of n numbers; of one variable only i = 0.
///
/// Of three variables i numbers first the k + 1 monomials without p3, then the k with p3, the k - 1 with p3², ...: so
/// p3 times all of order k are the last of order k + 1. See `powers`.
#[derive(Clone, Debug, PartialEq)]
pub struct Series<S> {
    /// Numbers of a coefficient.
    pub n: usize,
    /// 1 to 3.
    pub variables: usize,
    /// The highest order.
    pub order: usize,
    data: Vec<f64>,
    scalar: std::marker::PhantomData<S>,
}

/// Coefficients below order k.
pub(super) fn below(variables: usize, k: usize) -> usize {
    match variables {
        1 => k,
        2 => k * (k + 1) / 2,
        _ => k * (k + 1) * (k + 2) / 6,
    }
}

/// The powers of the variables in monomial i of order k.
pub(super) fn powers(variables: usize, k: usize, i: usize) -> [usize; 3] {
    if variables < 3 {
        return [k - i, i, 0];
    }
    let (mut third, mut second) = (0, i);
    while second > k - third {
        second -= k - third + 1;
        third += 1;
    }
    [k - third - second, second, third]
}

/// The number i of a monomial within its order: the inverse of [`powers`].
pub(super) fn place([first, second, third]: [usize; 3]) -> usize {
    let k = first + second + third;
    (0..third).map(|third| k - third + 1).sum::<usize>() + second
}

/// The number of the product of two monomials, each said by order and number.
pub(super) fn product_place(variables: usize, a: (usize, usize), b: (usize, usize)) -> usize {
    if variables < 3 {
        return a.1 + b.1;
    }
    let (a, b) = (powers(3, a.0, a.1), powers(3, b.0, b.1));
    place(std::array::from_fn(|k| a[k] + b[k]))
}

/// The monomial with these powers.
pub(super) fn monomial<S: Scalar>(p: &[S; 3], powers: [usize; 3]) -> S {
    zip(p, powers).fold(S::from(1.0), |product, (&p, k)| product * power(p, k))
}

impl<S: Scalar> Series<S> {
    /// 0.
    #[must_use]
    pub fn zeros(n: usize, variables: usize, order: usize) -> Self {
        let data = vec![0.0; below(variables, order + 1) * n * S::PARTS];
        Self { n, variables, order, data, scalar: std::marker::PhantomData }
    }

    /// Coefficients of order k.
    #[must_use]
    pub fn width(&self, k: usize) -> usize {
        below(self.variables, k + 1) - below(self.variables, k)
    }

    /// Coefficients of order k that are computed: of a pair alone, the others are conjugates.
    #[must_use]
    pub fn independent(&self, k: usize) -> usize {
        if S::PARTS == 2 && self.variables == 2 { k / 2 + 1 } else { self.width(k) }
    }

    /// The powers of the variables in monomial i of order k.
    #[must_use]
    pub fn powers(&self, k: usize, i: usize) -> [usize; 3] {
        powers(self.variables, k, i)
    }

    fn place(&self, k: usize, i: usize) -> std::ops::Range<usize> {
        let length = self.n * S::PARTS;
        let start = (below(self.variables, k) + i) * length;
        start..start + length
    }

    /// The column of c_(k, i).
    #[must_use]
    pub fn column(&self, k: usize, i: usize) -> &[f64] {
        &self.data[self.place(k, i)]
    }

    /// The column of c_(k, i), to be set.
    pub fn column_mut(&mut self, k: usize, i: usize) -> &mut [f64] {
        let place = self.place(k, i);
        &mut self.data[place]
    }

    /// Number u of c_(k, i).
    #[must_use]
    pub fn get(&self, k: usize, i: usize, u: usize) -> S {
        S::get(self.column(k, i), u)
    }

    /// Sets number u of c_(k, i).
    pub fn set(&mut self, k: usize, i: usize, u: usize, value: S) {
        S::set(self.column_mut(k, i), u, value);
    }

    /// The independent columns of order k, one after another.
    pub(super) fn block(&self, k: usize) -> &[f64] {
        &self.data[self.place(k, 0).start..self.place(k, self.independent(k) - 1).end]
    }

    pub(super) fn block_mut(&mut self, k: usize) -> &mut [f64] {
        let place = self.place(k, 0).start..self.place(k, self.independent(k) - 1).end;
        &mut self.data[place]
    }

    /// Fills the columns of order k that are conjugates.
    pub(super) fn mirror(&mut self, k: usize) {
        for i in self.independent(k)..self.width(k) {
            for u in 0..self.n {
                let value = self.get(k, k - i, u).mirrored();
                self.set(k, i, u, value);
            }
        }
    }

    /// The series up to `order`.
    #[must_use]
    pub fn truncated(&self, order: usize) -> Self {
        let order = order.min(self.order);
        let data = self.data[..below(self.variables, order + 1) * self.n * S::PARTS].to_vec();
        Self { order, data, scalar: self.scalar, ..*self }
    }

    /// Its value.
    #[must_use]
    pub fn at(&self, p: [S; 3]) -> Vec<f64> {
        self.sum(|powers| monomial(&p, powers))
    }

    /// d / d variable `k`.
    pub(super) fn slope(&self, p: [S; 3], k: usize) -> Vec<f64> {
        self.sum(|mut powers| {
            let times = powers[k];
            powers[k] = times.saturating_sub(1);
            S::from(times as f64) * monomial(&p, powers)
        })
    }

    /// sum of all coefficients times a weight of their powers.
    pub(super) fn sum(&self, weight: impl Fn([usize; 3]) -> S) -> Vec<f64> {
        let mut out = vec![0.0; self.n * S::PARTS];
        for k in 0..=self.order {
            for i in 0..self.width(k) {
                S::add_scaled(&mut out, weight(self.powers(k, i)), self.column(k, i));
            }
        }
        out
    }
}

/// out (the independent columns of order k) += sum over j of weight(j) a_j b_(k - j).
pub(super) fn add_products<S: Scalar>(
    out: &mut [f64],
    k: usize,
    orders: std::ops::RangeInclusive<usize>,
    weight: impl Fn(usize) -> f64,
    (a, b): (&Series<S>, &Series<S>),
) {
    let length = a.n * S::PARTS;
    let columns = out.len() / length;
    for j in orders {
        let weight = weight(j);
        for first in 0..a.width(j) {
            for second in 0..b.width(k - j) {
                let i = product_place(a.variables, (j, first), (k - j, second));
                if i < columns {
                    let out = &mut out[i * length..(i + 1) * length];
                    S::add_product(out, weight, a.column(j, first), b.column(k - j, second));
                }
            }
        }
    }
}
