//! Taylor arithmetic: what a family of maps or flows makes of a power series, order by order.

use std::iter::zip;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use tinyfold_core::{Activation, Form};

use super::series::{Scalar, Series, add_products};
use crate::dynamics::{Family, Parameter, Path, Rnn};
use crate::{Error, Result};

/// A family that maps power series to power series: an analytic one, or one that is analytic near the point.
///
/// ```
/// use tinyfold::dynamics::ssm::Polynomial;
/// use tinyfold::dynamics::{Family, Kind};
/// // dx/dt = mu - x², whose variable 1 is mu.
/// let fold = Polynomial::new(1, Kind::Flow).term(0, 1.0, &[1]).term(0, -1.0, &[0, 0]);
/// let mut out = [0.0];
/// fold.value(&[3.0], 2.0, &mut out);
/// assert_eq!(out, [-7.0]);
/// ```
pub trait Analytic: Family {
    /// What [`Analytic::expand`] makes.
    type Expansion<S: Scalar>: Expansion<S>;

    /// Begins a series at (x, mu). `moving`: the last variable is mu - `mu`.
    ///
    /// # Errors
    /// The family is not analytic at x.
    fn expand<S: Scalar>(&self, x: &[f64], mu: f64, shape: Shape) -> Result<Self::Expansion<S>>;
}

/// The shape of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// 1 to 3.
    pub variables: usize,
    /// The highest order.
    pub order: usize,
    /// Whether the last variable is the parameter.
    pub moving: bool,
}

/// The series of value(w(p)), built order by order.
pub trait Expansion<S: Scalar> {
    /// out = the independent columns of order k of value(w), k >= 1, with w's order k taken as 0.
    fn predict(&mut self, k: usize, w: &Series<S>, out: &mut [f64]);

    /// Takes in w's order k.
    fn settle(&mut self, k: usize, w: &Series<S>);
}

/// A network under a held input as a [`Family`]: mu changes nothing.
#[must_use]
pub fn held(rnn: Rnn) -> Path {
    let parameter = Parameter::along(vec![0.0; rnn.drive.len()]);
    Path { rnn, parameter }
}

/// phi' = c0 + c1 phi + c2 phi² of a smooth phi.
fn slope_by_value(activation: Activation<f64>) -> Option<[f64; 3]> {
    match activation {
        Activation::Tanh => Some([1.0, 0.0, -1.0]),
        Activation::Sigmoid { slope, .. } => Some([0.0, slope, -slope]),
        _ => None,
    }
}

/// Refuses a point near a corner of phi.
fn away_from_corners(activation: Activation<f64>, p: &[f64]) -> Result<()> {
    let corners = match activation {
        Activation::Relu => vec![0.0],
        Activation::Clipped { lo, hi } => vec![lo, hi],
        _ => return Ok(()),
    };
    let distance = |p: &f64| corners.iter().map(|corner| (p - corner).abs()).fold(f64::MAX, f64::min);
    let nearest = p.iter().map(distance).fold(f64::MAX, f64::min);
    if nearest > 1e-9 {
        return Ok(());
    }
    let reason = format!(
        "a neuron is {nearest:.1e} from a corner of its activation, where there is no power series; use \
         the exact piecewise-linear analysis (tinyfold dynamics cycles) or a smooth activation"
    );
    Err(Error::Numeric { what: "power series of the network".into(), reason })
}

/// The series inside a network: a its pre-activations, y = phi(a), s = phi'(a).
///
/// dy = s da gives k y_k = sum_(j = 1..k) j a_j s_(k - j), and s = c0 + c1 y + c2 y² its own order k.
pub struct Inside<S> {
    rnn: Rnn,
    direction: Vec<f64>,
    /// d/dmu of the weights = `scale` · the weights.
    scale: f64,
    moving: bool,
    gain: f64,
    slope_by_value: Option<[f64; 3]>,
    a: Series<S>,
    y: Series<S>,
    s: Series<S>,
    /// W w of rate form, W y of current form.
    product: Series<S>,
}

impl Analytic for Path {
    type Expansion<S: Scalar> = Inside<S>;

    fn expand<S: Scalar>(&self, x: &[f64], mu: f64, shape: Shape) -> Result<Inside<S>> {
        let rnn = self.at(mu);
        let n = x.len();
        let p = rnn.pre_activations(x);
        away_from_corners(rnn.activation, &p)?;
        let zeros = || Series::zeros(n, shape.variables, shape.order);
        let (mut a, mut y, mut s, mut product) = (zeros(), zeros(), zeros(), zeros());
        a.column_mut(0, 0)[..n].copy_from_slice(&p);
        let values = p.iter().map(|&p| crate::simulate::activate(rnn.activation, p));
        zip(y.column_mut(0, 0), values).for_each(|(y, value)| *y = value);
        s.column_mut(0, 0)[..n].copy_from_slice(&rnn.slopes(x));
        let factor = if rnn.form == Form::Rate { x } else { &y.column(0, 0)[..n] };
        times(&rnn, factor, &mut product.column_mut(0, 0)[..n]);
        let (_, gain) = rnn.factors();
        let Parameter { origin, direction, weight_scale, .. } = &self.parameter;
        let scale = weight_scale / (1.0 + (mu - origin) * weight_scale);
        if !scale.is_finite() {
            return Err(Error::input("mu", "one that leaves weights", format!("{mu}: all weights are 0")));
        }
        let slope_by_value = slope_by_value(rnn.activation);
        let direction = direction.clone();
        Ok(Inside { rnn, direction, scale, moving: shape.moving, gain, slope_by_value, a, y, s, product })
    }
}

/// out = W block, for columns of n numbers.
fn times(rnn: &Rnn, block: &[f64], out: &mut [f64]) {
    let n = rnn.drive.len();
    let columns = block.len() / n;
    let block = MatRef::from_column_major_slice(block, n, columns);
    let out = MatMut::from_column_major_slice_mut(out, n, columns);
    matmul(out, Accum::Replace, rnn.w.as_ref(), block, 1.0, Par::Seq);
}

impl<S: Scalar> Inside<S> {
    /// out += what the parameter adds to the sums W (...) + g at order k.
    fn add_moved(&self, k: usize, out: &mut [f64]) {
        if !self.moving {
            return;
        }
        // The monomials with mu are the last ones, in the order of those of order k - 1.
        let without = self.product.width(k) - self.product.width(k - 1);
        let out = &mut out[without * self.direction.len() * S::PARTS..];
        if k == 1 {
            zip(&mut *out, &self.direction).for_each(|(out, d)| *out += d);
        }
        if self.scale != 0.0 {
            let lower = self.product.block(k - 1);
            zip(out, lower).for_each(|(out, product)| *out += self.scale * product);
        }
    }

    /// y_k = sum_(j = 1..k) (j / k) a_j s_(k - j).
    fn set_values(&mut self, k: usize) {
        let Self { a, y, s, .. } = self;
        let out = y.block_mut(k);
        out.fill(0.0);
        if self.slope_by_value.is_some() {
            add_products(out, k, 1..=k, |j| j as f64 / k as f64, (a, s));
        } else {
            add_products(out, k, k..=k, |_| 1.0, (a, s));
        }
    }

    /// s_k and all conjugates.
    fn finish(&mut self, k: usize) {
        self.a.mirror(k);
        self.y.mirror(k);
        if let Some([_, linear, square]) = self.slope_by_value {
            let out = self.s.block_mut(k);
            zip(&mut *out, self.y.block(k)).for_each(|(s, y)| *s = linear * y);
            // y_j y_(k - j) comes twice, but for j = k / 2.
            let weight = |j: usize| if 2 * j == k { square } else { 2.0 * square };
            add_products(out, k, 0..=k / 2, weight, (&self.y, &self.y));
            self.s.mirror(k);
        }
    }
}

impl<S: Scalar> Expansion<S> for Inside<S> {
    fn predict(&mut self, k: usize, _: &Series<S>, out: &mut [f64]) {
        let gain = self.gain;
        if self.rnn.form == Form::Rate {
            out.fill(0.0);
            self.add_moved(k, out);
            self.a.block_mut(k).copy_from_slice(out);
            self.set_values(k);
            zip(out, self.y.block(k)).for_each(|(out, y)| *out = gain * y);
        } else {
            self.set_values(k);
            times(&self.rnn, self.y.block(k), self.product.block_mut(k));
            out.copy_from_slice(self.product.block(k));
            self.add_moved(k, out);
            for out in out {
                *out *= gain;
            }
        }
    }

    fn settle(&mut self, k: usize, w: &Series<S>) {
        let n = self.direction.len();
        let rate = self.rnn.form == Form::Rate;
        if rate {
            times(&self.rnn, w.block(k), self.product.block_mut(k));
        }
        let added = if rate { self.product.block(k) } else { w.block(k) };
        zip(self.a.block_mut(k), added).for_each(|(a, added)| *a += added);
        let slopes = &self.s.column(0, 0)[..n];
        for (y, added) in zip(self.y.block_mut(k).chunks_exact_mut(n), added.chunks_exact(n)) {
            zip(y, zip(slopes, added)).for_each(|(y, (slope, added))| *y += slope * added);
        }
        if !rate && self.moving && self.scale != 0.0 {
            times(&self.rnn, self.y.block(k), self.product.block_mut(k));
        }
        self.finish(k);
    }
}
