//! Where an SSM holds: residual of the invariance equation, radius of convergence, resonances.

use std::iter::zip;

use faer::c64;
use serde::Serialize;

use super::series::{Scalar, monomial, power};
use super::{Chart, Spectrum, Ssm};
use crate::dynamics::vector::norm;
use crate::dynamics::{Family, Kind};

/// A whole-number combination of the chosen eigenvalues near another one.
#[derive(Clone, Debug, Serialize)]
pub struct Resonance {
    /// How often the first and the second eigenvalue enter, m.
    pub powers: [usize; 2],
    /// Number of the other eigenvalue.
    pub eigenvalue: usize,
    /// Its real and imaginary part.
    pub value: [f64; 2],
    /// |m · lambda - other| / |other| of a flow, |lambda^m - other| / |1 - other| of a map.
    pub distance: f64,
}

/// Resonances that are reported.
const REPORTED: usize = 10;

/// How far the SSM holds in one direction.
#[derive(Clone, Debug, Serialize)]
pub struct Direction {
    /// Unit vector of coordinates.
    pub direction: Vec<f64>,
    /// The largest distance up to which the residual stays below the tolerance.
    pub distance: f64,
}

/// Distances that are looked at: from 1e-4 in steps of 5 percent over ten decades.
const LOOKED_AT: i32 = 472;

fn looked_at(k: i32) -> f64 {
    1e-4 * 1.05_f64.powi(k)
}

impl Direction {
    /// Whether it holds as far as is looked at.
    #[must_use]
    pub fn endless(&self) -> bool {
        self.distance >= looked_at(LOOKED_AT - 1)
    }
}

impl<S: Scalar> Ssm<S> {
    /// Real coordinates, the parameter among them: 1 to 3.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.chart.states() + usize::from(self.chart.moves())
    }

    /// The highest order.
    #[must_use]
    pub fn order(&self) -> usize {
        self.manifold.order
    }

    /// The SSM up to a lower order.
    #[must_use]
    pub fn truncated(&self, order: usize) -> Self {
        let rates = self.rates.iter().map(|rate| rate.truncated(order)).collect();
        Self { manifold: self.manifold.truncated(order), rates, ..self.clone() }
    }

    /// W(p), n, at real coordinates p.
    #[must_use]
    pub fn state(&self, p: &[f64]) -> Vec<f64> {
        self.states_of(S::variables(p))
    }

    fn states_of(&self, variables: [S; 3]) -> Vec<f64> {
        let mut state = self.manifold.at(variables);
        state.truncate(self.manifold.n);
        state
    }

    pub(super) fn rates_at(&self, variables: [S; 3]) -> [S; 3] {
        let mut rates = [S::from(0.0); 3];
        zip(&mut rates, &self.rates).for_each(|(rate, series)| *rate = S::get(&series.at(variables), 0));
        rates
    }

    /// R(p) at real coordinates: the velocity of a flow, the next place of a map.
    #[must_use]
    pub fn reduced(&self, p: &[f64]) -> Vec<f64> {
        S::coordinates(&self.rates_at(S::variables(p))[..self.rates.len()])
    }

    /// The parameter at coordinates p.
    #[must_use]
    pub fn parameter(&self, p: &[f64]) -> f64 {
        if self.chart.moves() { self.mu + p[self.chart.states()] } else { self.mu }
    }

    /// |F(W(p)) - DW(p) R(p)| of a flow, |f(W(p)) - W(R(p))| of a map: the largest of the n numbers.
    #[must_use]
    pub fn residual(&self, family: &impl Family, p: &[f64]) -> f64 {
        let variables = S::variables(p);
        let rates = self.rates_at(variables);
        let expected = match self.kind {
            Kind::Map => self.states_of(rates),
            Kind::Flow => self.manifold.sum(|powers| {
                (0..self.rates.len()).filter(|&k| powers[k] > 0).fold(S::from(0.0), |sum, k| {
                    let mut lower = powers;
                    lower[k] -= 1;
                    sum + S::from(powers[k] as f64) * monomial(&variables, lower) * rates[k]
                })
            }),
        };
        let mut value = vec![0.0; self.manifold.n];
        family.value(&self.states_of(variables), self.parameter(p), &mut value);
        zip(value, expected).map(|(value, expected)| (value - expected).abs()).fold(0.0, |most, rest| {
            // A residual that is not a number is the largest.
            if rest.is_nan() { f64::INFINITY } else { rest.max(most) }
        })
    }

    /// The size of every order k >= 1 of W and R: the largest coefficient, with a parameter of those of p alone.
    fn sizes(&self) -> Vec<f64> {
        // Those without the parameter come first.
        let width = |k: usize| if self.chart.states() == 1 { 1 } else { k + 1 };
        (1..=self.order()).map(|k| (0..width(k)).map(|i| self.size(k, i)).fold(0.0, f64::max)).collect()
    }

    /// The size of coefficient (k, i) of W and R.
    fn size(&self, k: usize, i: usize) -> f64 {
        let rates = self.rates.iter().map(|rate| norm(rate.column(k, i)));
        rates.fold(norm(self.manifold.column(k, i)), f64::max)
    }

    /// An estimate of the radius of convergence, with a parameter at that of the fixed point: exp(-slope) of log |c_k|
    /// against k over the upper half of the orders, c_k the largest coefficient of W and R; infinite where fewer than
    /// two are not 0.
    #[must_use]
    pub fn radius(&self) -> f64 {
        radius(&self.sizes())
    }

    /// The same in the parameter alone, where the coordinates of the state are 0; infinite without one.
    #[must_use]
    pub fn parameter_radius(&self) -> f64 {
        if !self.chart.moves() {
            return f64::INFINITY;
        }
        // mu^k is the last monomial of order k.
        let last = |k: usize| self.size(k, self.manifold.width(k) - 1);
        radius(&(1..=self.order()).map(last).collect::<Vec<f64>>())
    }

    /// How far the residual stays below `tolerance`: of a line in both directions, of two coordinates in 16, of two and
    /// the parameter in 16 of those two and both of the parameter.
    #[must_use]
    pub fn domain(&self, family: &impl Family, tolerance: f64) -> Vec<Direction> {
        let directions: Vec<Vec<f64>> = if self.chart == Chart::Line {
            vec![vec![-1.0], vec![1.0]]
        } else {
            let angle = |k: usize| k as f64 * std::f64::consts::TAU / 16.0;
            let mut all: Vec<Vec<f64>> = (0..16).map(|k| vec![angle(k).cos(), angle(k).sin()]).collect();
            if self.dimension() == 3 {
                for direction in &mut all {
                    direction.push(0.0);
                }
                all.extend([-1.0, 1.0].map(|mu| vec![0.0, 0.0, mu]));
            }
            all
        };
        let far = |direction: Vec<f64>| {
            let mut distance = 0.0;
            for k in 0..LOOKED_AT {
                let next = looked_at(k);
                let p: Vec<f64> = direction.iter().map(|d| d * next).collect();
                if self.residual(family, &p) > tolerance {
                    break;
                }
                distance = next;
            }
            Direction { direction, distance }
        };
        directions.into_iter().map(far).collect()
    }

    /// Combinations m of the chosen eigenvalues, up to the order, that come within `within` of another
    /// eigenvalue, the nearest first, at most 10.
    #[must_use]
    pub fn resonances(&self, spectrum: &Spectrum, within: f64) -> Vec<Resonance> {
        let chosen: Vec<c64> = self.eigenvalues.iter().map(|value| value.complex()).collect();
        let mut others: Vec<(usize, c64)> = spectrum.eigenvalues.iter().copied().enumerate().collect();
        for value in &chosen {
            let nearest =
                |a: &&(usize, c64), b: &&(usize, c64)| (a.1 - value).norm().total_cmp(&(b.1 - value).norm());
            if let Some(&(index, _)) = others.iter().min_by(nearest) {
                others.retain(|other| other.0 != index);
            }
        }
        let second = chosen.get(1).copied();
        let mut found = Vec::new();
        for k in 2..=self.order() {
            for i in 0..=if second.is_some() { k } else { 0 } {
                let other = second.unwrap_or_default();
                let combined = match self.kind {
                    Kind::Flow => chosen[0] * (k - i) as f64 + other * i as f64,
                    Kind::Map => power(chosen[0], k - i) * power(other, i),
                };
                for &(eigenvalue, value) in &others {
                    let rate = if self.kind == Kind::Flow { value } else { 1.0 - value };
                    let distance = (combined - value).norm() / rate.norm();
                    if distance < within {
                        let value = [value.re, value.im];
                        found.push(Resonance { powers: [k - i, i], eigenvalue, value, distance });
                    }
                }
            }
        }
        found.sort_by(|a, b| a.distance.total_cmp(&b.distance));
        found.truncate(REPORTED);
        found
    }
}

/// exp(-slope) of the logarithms of sizes of orders 1, 2, .. over the upper half of the orders.
fn radius(sizes: &[f64]) -> f64 {
    let upper = || sizes.iter().enumerate().skip(sizes.len() / 2).map(|(k, &size)| (k as f64 + 1.0, size));
    let scale = upper().map(|(k, size)| size.powf(1.0 / k)).fold(0.0, f64::max);
    // What is so much smaller than the geometric series around is rounding: odd functions have even
    // orders of 0.
    let kept = |&(k, size): &(f64, f64)| size.ln() - k * scale.ln() > -18.0;
    let points: Vec<(f64, f64)> = upper().filter(kept).map(|(k, size)| (k, size.ln())).collect();
    if points.len() < 2 {
        return f64::INFINITY;
    }
    let count = points.len() as f64;
    let mean = |f: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(f).sum::<f64>() / count;
    let (k, log) = (mean(&|point| point.0), mean(&|point| point.1));
    let slope = points.iter().map(|point| (point.0 - k) * (point.1 - log)).sum::<f64>()
        / points.iter().map(|point| (point.0 - k).powi(2)).sum::<f64>();
    (-slope).exp()
}
