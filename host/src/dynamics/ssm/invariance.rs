//! The invariance equation, order by order.

use super::series::{Scalar, Series, below, dot, place, powers, product_place};
use super::spectrum::{Frame, Spectrum};
use super::taylor::{Analytic, Expansion, Shape};
use super::{Chart, Style};
use crate::dynamics::Kind;
use crate::{Error, Result};

/// Coefficients of the rate of change of a monomial (flow), or of the monomial after a step (map).
struct Transport<'a, S> {
    kind: Kind,
    variables: usize,
    /// Of a map, R^m for every monomial m, each a series of numbers.
    powers: Vec<Series<S>>,
    rates: &'a mut Vec<Series<S>>,
}

impl<S: Scalar> Transport<'_, S> {
    /// out\[i\] = coefficient (k, i) of monomial `number` of order j transported, for j <= k. Orders of R below k are
    /// known, of a map also the coefficients of this function at lower j or k.
    fn of(&mut self, (j, number): (usize, usize), k: usize, out: &mut [S]) {
        let zero = S::from(0.0);
        out.fill(zero);
        let variables = self.variables;
        let exponents = powers(variables, j, number);
        let order = k + 1 - j;
        // The monomial without one factor of variable e.
        let without = |e: usize| {
            let mut lower = exponents;
            lower[e] -= 1;
            (j - 1, place(lower))
        };
        if self.kind == Kind::Flow {
            for e in (0..variables).filter(|&e| exponents[e] > 0) {
                let (lower, rate) = (without(e), &self.rates[e]);
                for i in 0..rate.width(order) {
                    let value = rate.get(order, i, 0);
                    if value != zero {
                        out[product_place(variables, lower, (order, i))] +=
                            S::from(exponents[e] as f64) * value;
                    }
                }
            }
            return;
        }
        let first = exponents.iter().position(|&power| power > 0).unwrap_or(0);
        if j == 1 {
            let width = self.rates[first].width(k);
            (0..width).for_each(|i| out[i] = self.rates[first].get(k, i, 0));
            return;
        }
        let lower = without(first);
        for q in 1..=order {
            for a in 0..self.rates[first].width(q) {
                let factor = self.rates[first].get(q, a, 0);
                if factor == zero {
                    continue;
                }
                let other = |b: usize| match lower.0 {
                    1 => self.rates[lower.1].get(k - q, b, 0),
                    _ => self.powers[below(variables, lower.0) + lower.1].get(k - q, b, 0),
                };
                for b in 0..self.rates[first].width(k - q) {
                    out[product_place(variables, (q, a), (k - q, b))] += factor * other(b);
                }
            }
        }
        let at = below(variables, j) + number;
        (0..out.len()).for_each(|i| self.powers[at].set(k, i, 0, out[i]));
    }
}

/// W and R up to an order.
pub(super) fn solve<S: Scalar>(
    family: &impl Analytic,
    spectrum: &Spectrum,
    frame: &mut Frame<S>,
    (chart, style): (Chart, Style),
    order: usize,
) -> Result<(Series<S>, Vec<Series<S>>)> {
    let n = spectrum.x.len();
    let length = n * S::PARTS;
    let moving = chart.moves();
    let variables = chart.states() + usize::from(moving);
    let zero = S::from(0.0);
    let mut expansion = family.expand::<S>(&spectrum.x, spectrum.mu, Shape { variables, order, moving })?;
    let mut w = Series::zeros(n, variables, order);
    w.column_mut(0, 0)[..n].copy_from_slice(&spectrum.x);
    let mut rates = vec![Series::<S>::zeros(1, variables, order); variables];
    for (e, master) in frame.masters.iter().enumerate() {
        w.column_mut(1, e).copy_from_slice(&master.right);
        rates[e].set(1, e, 0, master.value);
    }
    if moving && spectrum.kind == Kind::Map {
        rates[variables - 1].set(1, variables - 1, 0, S::from(1.0));
    }
    let powers = if spectrum.kind == Kind::Map {
        vec![Series::zeros(1, variables, order); below(variables, order + 1)]
    } else {
        Vec::new()
    };
    let mut transport = Transport { kind: spectrum.kind, variables, powers, rates: &mut rates };
    let mut along = vec![zero; frame.masters.len()];
    let mut known = vec![0.0; length];
    for k in 1..=order {
        let (width, independent) = (w.width(k), w.independent(k));
        let mut coefficients = vec![zero; width];
        let mut right = vec![0.0; independent * length];
        expansion.predict(k, &w, &mut right);
        for right in &mut right {
            *right = -*right;
        }
        for j in 2..k {
            for i in 0..w.width(j) {
                transport.of((j, i), k, &mut coefficients);
                for (target, &factor) in coefficients[..independent].iter().enumerate() {
                    if factor != zero {
                        let out = &mut right[target * length..(target + 1) * length];
                        S::add_scaled(out, factor, w.column(j, i));
                    }
                }
            }
        }
        let masters = frame.masters.len();
        let first = if k == 1 { masters } else { 0 };
        for i in first..independent {
            let shift = if k == 1 {
                // Only the parameter is left, which stays what it is.
                S::from(if spectrum.kind == Kind::Map { 1.0 } else { 0.0 })
            } else {
                transport.of((k, i), k, &mut coefficients);
                coefficients[i]
            };
            known.copy_from_slice(&right[i * length..(i + 1) * length]);
            for (e, along) in along.iter_mut().enumerate() {
                let master = &frame.masters[e];
                let inner: S = dot(&master.left, &known);
                let beside = master.value - shift;
                if style == Style::NormalForm && !resonant(e, w.powers(k, i), beside) {
                    *along = inner / beside;
                } else {
                    *along = zero;
                    transport.rates[e].set(k, i, 0, -inner);
                }
            }
            if !frame.solve(shift, &known, &along, w.column_mut(k, i)) {
                let what = format!("spectral submanifold of order {k}");
                let reason = format!(
                    "resonance: another eigenvalue is {:.6}, to rounding; take a lower order, or both eigenvalues \
                     with --dimension 2",
                    shift.complex()
                );
                return Err(Error::Numeric { what, reason });
            }
            if k > 1 {
                for target in i + 1..independent {
                    if coefficients[target] != zero {
                        let out = &mut right[target * length..(target + 1) * length];
                        S::add_scaled(out, coefficients[target], w.column(k, i));
                    }
                }
            }
        }
        w.mirror(k);
        if S::PARTS == 2 && !moving && k > 1 {
            // Coefficients of the conjugate coordinate are conjugates, exchanged: (a, b) of one is (b, a) of
            // the other.
            for i in independent..width {
                let value = transport.rates[1].get(k, k - i, 0).mirrored();
                transport.rates[0].set(k, i, 0, value);
            }
            for i in 0..width {
                let value = transport.rates[0].get(k, k - i, 0).mirrored();
                transport.rates[1].set(k, i, 0, value);
            }
        }
        if spectrum.kind == Kind::Map && k > 1 {
            // Of order k, those monomials that no solve has asked for.
            for i in independent..width {
                transport.of((k, i), k, &mut coefficients);
            }
        }
        expansion.settle(k, &w);
    }
    Ok((w, rates))
}

/// Whether normal form keeps the monomial of these powers in coordinate e: z |z|^2j in that of z, with any power of the
/// parameter, or no divisor.
fn resonant<S: Scalar>(e: usize, [z, conjugate, _]: [usize; 3], beside: S) -> bool {
    let kept = if e == 0 { z == conjugate + 1 } else { conjugate == z + 1 };
    (S::PARTS == 2 && kept) || beside.modulus() < 1e-6
}
