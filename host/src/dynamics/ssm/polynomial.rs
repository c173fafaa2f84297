//! Polynomial maps and flows.

use faer::MatMut;

use super::series::{Scalar, Series, product_place};
use super::taylor::{Analytic, Expansion, Shape};
use crate::Result;
use crate::dynamics::{Family, Kind};

/// A polynomial map or flow in n variables and mu.
#[derive(Clone, Debug, PartialEq)]
pub struct Polynomial {
    n: usize,
    kind: Kind,
    terms: Vec<Term>,
}

/// value_row += coefficient · product of factors; factor n is mu.
#[derive(Clone, Debug, PartialEq)]
struct Term {
    row: usize,
    coefficient: f64,
    factors: Vec<usize>,
}

impl Polynomial {
    /// value = 0 of n variables.
    #[must_use]
    pub fn new(n: usize, kind: Kind) -> Self {
        Self { n, kind, terms: Vec::new() }
    }

    /// value_row += coefficient · product of the variables `factors`; variable n is mu.
    ///
    /// # Panics
    /// row is not below n, or a factor is above n.
    #[must_use]
    pub fn term(mut self, row: usize, coefficient: f64, factors: &[usize]) -> Self {
        assert!(row < self.n && factors.iter().all(|&f| f <= self.n), "variables of a term are 0 to n");
        self.terms.push(Term { row, coefficient, factors: factors.to_vec() });
        self
    }

    /// Adds d value_row / d variable to `add(row, ...)` for every variable.
    fn derivatives(&self, x: &[f64], mu: f64, mut add: impl FnMut(usize, usize, f64)) {
        let number = |&f: &usize| if f == self.n { mu } else { x[f] };
        for term in &self.terms {
            for (k, &variable) in term.factors.iter().enumerate() {
                let others = term.factors.iter().enumerate().filter(|&(other, _)| other != k);
                let product: f64 = others.map(|(_, f)| number(f)).product();
                add(term.row, variable, term.coefficient * product);
            }
        }
    }
}

impl Family for Polynomial {
    fn dimension(&self) -> usize {
        self.n
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn value(&self, x: &[f64], mu: f64, out: &mut [f64]) {
        out.fill(0.0);
        for Term { row, coefficient, factors } in &self.terms {
            let product: f64 = factors.iter().map(|&f| if f == self.n { mu } else { x[f] }).product();
            out[*row] += coefficient * product;
        }
    }

    fn jacobian(&self, x: &[f64], mu: f64, mut out: MatMut<'_, f64>) {
        out.fill(0.0);
        self.derivatives(x, mu, |row, variable, value| {
            if variable < self.n {
                out[(row, variable)] += value;
            }
        });
    }

    fn derivative(&self, x: &[f64], mu: f64, out: &mut [f64]) {
        out.fill(0.0);
        self.derivatives(x, mu, |row, variable, value| {
            if variable == self.n {
                out[row] += value;
            }
        });
    }
}

/// The series of a polynomial, each order from all products anew: for few variables.
pub struct Products<S> {
    polynomial: Polynomial,
    mu: f64,
    shape: Shape,
    scalar: std::marker::PhantomData<S>,
}

impl Analytic for Polynomial {
    type Expansion<S: Scalar> = Products<S>;

    fn expand<S: Scalar>(&self, _: &[f64], mu: f64, shape: Shape) -> Result<Products<S>> {
        Ok(Products { polynomial: self.clone(), mu, shape, scalar: std::marker::PhantomData })
    }
}

impl<S: Scalar> Products<S> {
    /// a · b up to order k, where b is variable `factor` without its order k.
    fn product(&self, a: &Series<S>, factor: usize, k: usize, w: &Series<S>) -> Series<S> {
        let number = |j: usize, i: usize| match (factor == self.polynomial.n, j, i) {
            (true, 0, 0) => S::from(self.mu),
            (true, 1, i) if self.shape.moving && i + 1 == self.shape.variables => S::from(1.0),
            (true, ..) => S::from(0.0),
            _ if j == k => S::from(0.0),
            _ => w.get(j, i, factor),
        };
        let mut out = Series::zeros(1, self.shape.variables, k);
        for j in 0..=k {
            for i in 0..w.width(j) {
                let number = number(j, i);
                if number != S::from(0.0) {
                    for order in 0..=k - j {
                        for other in 0..a.width(order) {
                            let at = product_place(out.variables, (order, other), (j, i));
                            let sum = out.get(order + j, at, 0) + a.get(order, other, 0) * number;
                            out.set(order + j, at, 0, sum);
                        }
                    }
                }
            }
        }
        out
    }
}

impl<S: Scalar> Expansion<S> for Products<S> {
    fn predict(&mut self, k: usize, w: &Series<S>, out: &mut [f64]) {
        out.fill(0.0);
        let length = self.polynomial.n * S::PARTS;
        for term in &self.polynomial.terms {
            let mut product = Series::zeros(1, self.shape.variables, k);
            product.set(0, 0, 0, S::from(term.coefficient));
            for &factor in &term.factors {
                product = self.product(&product, factor, k, w);
            }
            for (i, column) in out.chunks_exact_mut(length).enumerate() {
                let sum = S::get(column, term.row) + product.get(k, i, 0);
                S::set(column, term.row, sum);
            }
        }
    }

    fn settle(&mut self, _: usize, _: &Series<S>) {}
}
