//! Maps and flows, and networks as either.

use std::iter::zip;
use std::sync::Arc;

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, Par};
use tinyfold_core::{Activation, Form};

use crate::error::require;
use crate::network::Network;
use crate::simulate::activate;
use crate::{Error, Result};

/// Whether time goes in steps or flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// x' = f(x), a step at a time.
    Map,
    /// dx/dt = F(x).
    Flow,
}

/// A map x' = f(x) or a flow dx/dt = F(x) with its derivative.
pub trait System: Sync {
    /// Length n of a state.
    fn dimension(&self) -> usize;

    /// Map or flow.
    fn kind(&self) -> Kind;

    /// out = f(x) of a map, F(x) of a flow; both of length n.
    fn value(&self, x: &[f64], out: &mut [f64]);

    /// out = the n × n matrix of derivatives of [`System::value`], out\[(i, j)\] = d value_i / d x_j.
    fn jacobian(&self, x: &[f64], out: MatMut<'_, f64>);

    /// out = J(x) t for n × k tangent vectors t.
    fn push(&self, x: &[f64], t: &Mat<f64>, out: &mut Mat<f64>) {
        let n = self.dimension();
        let mut jacobian = Mat::zeros(n, n);
        self.jacobian(x, jacobian.as_mut());
        matmul(out.as_mut(), Accum::Replace, jacobian.as_ref(), t.as_ref(), 1.0, Par::Seq);
    }

    /// What is 0 at fixed points: f(x) - x of a map, F(x) of a flow.
    fn residual(&self, x: &[f64], out: &mut [f64]) {
        self.value(x, out);
        if self.kind() == Kind::Map {
            zip(out, x).for_each(|(out, x)| *out -= x);
        }
    }

    /// The derivative of [`System::residual`].
    fn residual_jacobian(&self, x: &[f64], mut out: MatMut<'_, f64>) {
        self.jacobian(x, out.as_mut());
        if self.kind() == Kind::Map {
            (0..self.dimension()).for_each(|i| out[(i, i)] -= 1.0);
        }
    }
}

/// A system with one real parameter mu.
pub trait Family: Sync {
    /// Length n of a state.
    fn dimension(&self) -> usize;

    /// Map or flow.
    fn kind(&self) -> Kind;

    /// As [`System::value`] at mu.
    fn value(&self, x: &[f64], mu: f64, out: &mut [f64]);

    /// As [`System::jacobian`] at mu.
    fn jacobian(&self, x: &[f64], mu: f64, out: MatMut<'_, f64>);

    /// out = d value / d mu.
    fn derivative(&self, x: &[f64], mu: f64, out: &mut [f64]);
}

/// A network under a held input, as a map or as a flow whose time is in units of its time constant.
///
/// | form | map | flow |
/// |---|---|---|
/// | rate | h' = (1 - alpha) h + alpha phi(W h + g) | dh/dt = -h + phi(W h + g) |
/// | current | a' = (1 - alpha) a + alpha (W phi(a) + g) | da/dt = -a + W phi(a) + g |
///
/// g = B u + b. A step of the map is an Euler step alpha of the flow: both have the same fixed points.
#[derive(Clone, Debug)]
pub struct Rnn {
    /// Map or flow.
    pub kind: Kind,
    /// Rate or current.
    pub form: Form,
    /// Leak in (0, 1].
    pub alpha: f64,
    /// phi.
    pub activation: Activation<f64>,
    /// W, n × n; shared, since a network is cloned for every value of a parameter.
    pub w: Arc<Mat<f64>>,
    /// g = B u + b, n.
    pub drive: Vec<f64>,
}

/// phi'(p); at a corner that of the side on which phi grows.
#[must_use]
pub fn slope(activation: Activation<f64>, p: f64) -> f64 {
    match activation {
        Activation::Linear => 1.0,
        Activation::Relu => f64::from(u8::from(p >= 0.0)),
        Activation::Clipped { lo, hi } => f64::from(u8::from((lo..=hi).contains(&p))),
        Activation::Tanh => 1.0 - p.tanh().powi(2),
        Activation::Sigmoid { slope, .. } => {
            let value = activate(activation, p);
            slope * value * (1.0 - value)
        }
    }
}

impl Rnn {
    /// A network under the input `u` in network units, I numbers.
    ///
    /// # Errors
    /// Another number of inputs than the network has; inputs that are not finite.
    pub fn new(network: &Network, u: &[f64], kind: Kind) -> Result<Self> {
        let names: Vec<&str> = network.inputs.iter().map(|input| input.name.as_str()).collect();
        let inputs = network.input.ncols();
        let expected = || format!("{inputs} numbers, one an input ({})", names.join(", "));
        if u.len() != inputs {
            return Err(Error::input("input", expected(), format!("{}", u.len())));
        }
        require(u.iter().all(|u| u.is_finite()), "input", "finite numbers", "one that is not")?;
        let mut drive = network.bias.clone();
        for (k, u) in u.iter().enumerate() {
            zip(&mut drive, network.input.col_as_slice(k)).for_each(|(g, b)| *g += b * u);
        }
        Ok(Self {
            kind,
            form: network.form,
            alpha: network.alpha,
            activation: network.activation,
            w: Arc::new(network.weights()),
            drive,
        })
    }

    /// Keep and gain of x in value = keep · x + gain · (...): of a map 1 - alpha and alpha, of a flow -1 and 1.
    #[must_use]
    pub fn factors(&self) -> (f64, f64) {
        match self.kind {
            Kind::Map => (1.0 - self.alpha, self.alpha),
            Kind::Flow => (-1.0, 1.0),
        }
    }

    /// p = W h + g of rate form, or a itself of current form: what phi is applied to.
    #[must_use]
    pub fn pre_activations(&self, x: &[f64]) -> Vec<f64> {
        match self.form {
            Form::Rate => {
                let mut p = self.drive.clone();
                add_product(&mut p, &self.w, x);
                p
            }
            Form::Current => x.to_vec(),
        }
    }

    /// phi' of every neuron at x.
    #[must_use]
    pub fn slopes(&self, x: &[f64]) -> Vec<f64> {
        self.pre_activations(x).into_iter().map(|p| slope(self.activation, p)).collect()
    }

    /// The rates at x: h of rate form, phi(a) of current form: what a readout C is applied to.
    #[must_use]
    pub fn rates(&self, x: &[f64]) -> Vec<f64> {
        match self.form {
            Form::Rate => x.to_vec(),
            Form::Current => x.iter().map(|&a| activate(self.activation, a)).collect(),
        }
    }
}

/// sums += M x.
fn add_product(sums: &mut [f64], m: &Mat<f64>, x: &[f64]) {
    for (j, &x) in x.iter().enumerate() {
        if x != 0.0 {
            zip(&mut *sums, m.col_as_slice(j)).for_each(|(sum, m)| *sum += m * x);
        }
    }
}

impl System for Rnn {
    fn dimension(&self) -> usize {
        self.drive.len()
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn value(&self, x: &[f64], out: &mut [f64]) {
        let (keep, gain) = self.factors();
        out.copy_from_slice(&self.drive);
        match self.form {
            Form::Rate => {
                add_product(out, &self.w, x);
                for p in out.iter_mut() {
                    *p = activate(self.activation, *p);
                }
            }
            Form::Current => add_product(out, &self.w, &self.rates(x)),
        }
        zip(out, x).for_each(|(out, x)| *out = keep * x + gain * *out);
    }

    fn jacobian(&self, x: &[f64], mut out: MatMut<'_, f64>) {
        let (keep, gain) = self.factors();
        let slopes = self.slopes(x);
        for j in 0..self.dimension() {
            let w = self.w.col_as_slice(j);
            for (i, w) in w.iter().enumerate() {
                let slope = if self.form == Form::Rate { slopes[i] } else { slopes[j] };
                out[(i, j)] = gain * slope * w;
            }
            out[(j, j)] += keep;
        }
    }

    fn push(&self, x: &[f64], t: &Mat<f64>, out: &mut Mat<f64>) {
        let (keep, gain) = self.factors();
        let slopes = self.slopes(x);
        let scaled = |m: &mut Mat<f64>| {
            for k in 0..m.ncols() {
                zip(m.col_as_slice_mut(k), &slopes).for_each(|(m, slope)| *m *= slope);
            }
        };
        match self.form {
            Form::Rate => {
                matmul(out.as_mut(), Accum::Replace, self.w.as_ref(), t.as_ref(), gain, Par::Seq);
                scaled(out);
            }
            Form::Current => {
                let mut rates = t.clone();
                scaled(&mut rates);
                matmul(out.as_mut(), Accum::Replace, self.w.as_ref(), rates.as_ref(), gain, Par::Seq);
            }
        }
        for k in 0..t.ncols() {
            zip(out.col_as_slice_mut(k), t.col_as_slice(k)).for_each(|(out, t)| *out += keep * t);
        }
    }
}

/// A network whose drive moves along a line, g + mu d, and whose weights may be scaled, (1 + mu s) W.
#[derive(Clone, Debug)]
pub struct Path {
    /// The network at mu = 0.
    pub rnn: Rnn,
    /// d, n: a column of B for an input, a difference of inputs B (u_1 - u_0) for a context, a vector for a bias.
    pub direction: Vec<f64>,
    /// s; 0 leaves the weights.
    pub weight_scale: f64,
}

impl Path {
    /// From input `from` (mu = 0) to input `to` (mu = 1), in network units.
    ///
    /// # Errors
    /// As [`Rnn::new`].
    pub fn between(network: &Network, from: &[f64], to: &[f64], kind: Kind) -> Result<Self> {
        let rnn = Rnn::new(network, from, kind)?;
        let end = Rnn::new(network, to, kind)?;
        let direction = zip(&end.drive, &rnn.drive).map(|(end, start)| end - start).collect();
        Ok(Self { rnn, direction, weight_scale: 0.0 })
    }

    /// The network at mu.
    #[must_use]
    pub fn at(&self, mu: f64) -> Rnn {
        let mut rnn = self.rnn.clone();
        zip(&mut rnn.drive, &self.direction).for_each(|(g, d)| *g += mu * d);
        if self.weight_scale != 0.0 {
            rnn.w = Arc::new(faer::Scale(1.0 + mu * self.weight_scale) * &*rnn.w);
        }
        rnn
    }
}

impl Family for Path {
    fn dimension(&self) -> usize {
        self.rnn.dimension()
    }

    fn kind(&self) -> Kind {
        self.rnn.kind
    }

    fn value(&self, x: &[f64], mu: f64, out: &mut [f64]) {
        self.at(mu).value(x, out);
    }

    fn jacobian(&self, x: &[f64], mu: f64, out: MatMut<'_, f64>) {
        self.at(mu).jacobian(x, out);
    }

    fn derivative(&self, x: &[f64], mu: f64, out: &mut [f64]) {
        let rnn = self.at(mu);
        let (_, gain) = rnn.factors();
        // d/dmu of the sum that the weights and the drive make.
        let mut sum = self.direction.clone();
        if self.weight_scale != 0.0 {
            let mut recurrent = vec![0.0; x.len()];
            add_product(&mut recurrent, &self.rnn.w, &rnn.rates(x));
            zip(&mut sum, recurrent).for_each(|(sum, r)| *sum += self.weight_scale * r);
        }
        if rnn.form == Form::Rate {
            zip(&mut sum, rnn.slopes(x)).for_each(|(sum, slope)| *sum *= slope);
        }
        zip(out, sum).for_each(|(out, sum)| *out = gain * sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every form, kind and activation: derivatives against central differences, `push` against the Jacobian.
    #[test]
    fn derivatives_are_those_of_finite_differences() {
        let n = 5;
        let w = Mat::from_fn(n, n, |i, j| ((3 * i + 5 * j) % 7) as f64 / 5.0 - 0.6);
        let direction: Vec<f64> = (0..n).map(|i| 0.3 - 0.1 * i as f64).collect();
        let x: Vec<f64> = (0..n).map(|i| 0.7 - 0.3 * i as f64).collect();
        let sigmoid = Activation::Sigmoid { slope: 2.0, threshold: 0.1 };
        for form in [Form::Rate, Form::Current] {
            for kind in [Kind::Map, Kind::Flow] {
                for activation in [Activation::Tanh, sigmoid, Activation::Relu, Activation::Linear] {
                    let rnn = Rnn {
                        kind,
                        form,
                        alpha: 0.3,
                        activation,
                        w: Arc::new(w.clone()),
                        drive: vec![0.11; n],
                    };
                    let path = Path { rnn, direction: direction.clone(), weight_scale: 0.4 };
                    let mu = 0.2;
                    let at = |x: &[f64], mu: f64| {
                        let mut out = vec![0.0; n];
                        Family::value(&path, x, mu, &mut out);
                        out
                    };
                    let near = |found: f64, high: f64, low: f64| {
                        let expected = (high - low) / 2e-6;
                        assert!(
                            (found - expected).abs() < 1e-8,
                            "{form:?} {kind:?} {activation:?}: {found} {expected}"
                        );
                    };
                    let mut jacobian = Mat::zeros(n, n);
                    Family::jacobian(&path, &x, mu, jacobian.as_mut());
                    for j in 0..n {
                        let moved = |by: f64| {
                            let mut x = x.clone();
                            x[j] += by;
                            at(&x, mu)
                        };
                        let (high, low) = (moved(1e-6), moved(-1e-6));
                        (0..n).for_each(|i| near(jacobian[(i, j)], high[i], low[i]));
                    }
                    let mut derivative = vec![0.0; n];
                    path.derivative(&x, mu, &mut derivative);
                    let (high, low) = (at(&x, mu + 1e-6), at(&x, mu - 1e-6));
                    (0..n).for_each(|i| near(derivative[i], high[i], low[i]));
                    let t = Mat::from_fn(n, 2, |i, k| (i + 2 * k) as f64 - 1.5);
                    let mut pushed = Mat::zeros(n, 2);
                    path.at(mu).push(&x, &t, &mut pushed);
                    assert!((pushed - jacobian * t).norm_max() < 1e-14);
                }
            }
        }
    }
}
