//! Networks that a parameter moves, and what it moves.

use std::iter::zip;
use std::sync::Arc;

use faer::MatMut;
use tinyfold_core::Form;

use super::linear::add_product;
use super::{Family, Kind, Rnn, System};
use crate::Result;
use crate::network::Network;

/// What a parameter mu of a network moves: its drive, g + (mu - origin) d, and its weights, (1 + (mu - origin) s) W.
///
/// ```
/// use tinyfold::dynamics::{Family, Kind, Parameter, Path, Rnn};
/// use tinyfold::network::{Activation, Network, Recurrence};
/// let square = || faer::Mat::from_fn(1, 1, |_, _| 0.5);
/// let network = Network::plain(Activation::Tanh, Recurrence::Dense(square()), square(), square());
/// // The factor of the weights at 3, where h = 0.1 becomes tanh(3 · 0.5 · 0.1).
/// let path = Path { rnn: Rnn::new(&network, &[0.0], Kind::Map)?, parameter: Parameter::weights(1) };
/// let mut h = [0.0];
/// path.value(&[0.1], 3.0, &mut h);
/// assert!((h[0] - 0.15_f64.tanh()).abs() < 1e-15);
/// # Ok::<(), tinyfold::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Parameter {
    /// What it is called in tables and figures.
    pub name: String,
    /// mu of the network as it is.
    pub origin: f64,
    /// d, n: a column of B for an input, a difference of inputs B (v - u) for a context, a unit vector for a bias.
    pub direction: Vec<f64>,
    /// s; 0 leaves the weights.
    pub weight_scale: f64,
}

impl Parameter {
    /// The drive along d, n numbers: g + mu d.
    #[must_use]
    pub fn along(direction: Vec<f64>) -> Self {
        Self { name: "mu".into(), origin: 0.0, direction, weight_scale: 0.0 }
    }

    /// The value of input k, from 0, of a network under the input `u`.
    ///
    /// # Panics
    /// The network has no input k, or `u` no number k.
    #[must_use]
    pub fn input(network: &Network, u: &[f64], k: usize) -> Self {
        let name = network.inputs[k].name.clone();
        Self { name, origin: u[k], ..Self::along(network.input.col_as_slice(k).to_vec()) }
    }

    /// The way from input `u` (0) to input `v` (1), I numbers each.
    ///
    /// # Errors
    /// As [`Rnn::new`].
    pub fn towards(network: &Network, u: &[f64], v: &[f64]) -> Result<Self> {
        let [from, to] = [u, v].map(|input| Rnn::new(network, input, Kind::Map).map(|rnn| rnn.drive));
        let direction = zip(to?, from?).map(|(to, from)| to - from).collect();
        let shown: Vec<String> = v.iter().map(f64::to_string).collect();
        Ok(Self { name: format!("way to input {}", shown.join(",")), ..Self::along(direction) })
    }

    /// The bias of neuron k, from 0.
    ///
    /// # Panics
    /// The network has no neuron k.
    #[must_use]
    pub fn bias(network: &Network, k: usize) -> Self {
        let direction = (0..network.neurons()).map(|i| f64::from(u8::from(i == k))).collect();
        let name = format!("bias of neuron {}", k + 1);
        Self { name, origin: network.bias[k], ..Self::along(direction) }
    }

    /// What is added to the bias of each of n neurons.
    #[must_use]
    pub fn common_bias(n: usize) -> Self {
        Self { name: "common bias".into(), ..Self::along(vec![1.0; n]) }
    }

    /// The factor of the recurrent weights of n neurons, 1 as they are: mu W.
    #[must_use]
    pub fn weights(n: usize) -> Self {
        let along = Self::along(vec![0.0; n]);
        Self { name: "factor of the weights".into(), origin: 1.0, weight_scale: 1.0, ..along }
    }
}

/// A network that a parameter moves.
#[derive(Clone, Debug)]
pub struct Path {
    /// The network as it is, at mu = origin.
    pub rnn: Rnn,
    /// What moves.
    pub parameter: Parameter,
}

impl Path {
    /// From input `from` (mu = 0) to input `to` (mu = 1), in network units.
    ///
    /// # Errors
    /// As [`Rnn::new`].
    pub fn between(network: &Network, from: &[f64], to: &[f64], kind: Kind) -> Result<Self> {
        let parameter = Parameter::towards(network, from, to)?;
        Ok(Self { rnn: Rnn::new(network, from, kind)?, parameter })
    }

    /// The network at mu.
    #[must_use]
    pub fn at(&self, mu: f64) -> Rnn {
        let Parameter { origin, direction, weight_scale, .. } = &self.parameter;
        let by = mu - origin;
        let mut rnn = self.rnn.clone();
        zip(&mut rnn.drive, direction).for_each(|(g, d)| *g += by * d);
        if *weight_scale != 0.0 {
            rnn.w = Arc::new(faer::Scale(1.0 + by * weight_scale) * &*rnn.w);
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

    fn size(&self) -> f64 {
        self.rnn.size()
    }

    fn value(&self, x: &[f64], mu: f64, out: &mut [f64]) {
        self.at(mu).value(x, out);
    }

    fn jacobian(&self, x: &[f64], mu: f64, out: MatMut<'_, f64>) {
        self.at(mu).jacobian(x, out);
    }

    fn derivative(&self, x: &[f64], mu: f64, out: &mut [f64]) {
        let Parameter { direction, weight_scale, .. } = &self.parameter;
        let rnn = self.at(mu);
        let (_, gain) = rnn.factors();
        // d/dmu of the sum that the weights and the drive make.
        let mut sum = direction.clone();
        if *weight_scale != 0.0 {
            let mut recurrent = vec![0.0; x.len()];
            add_product(&mut recurrent, &self.rnn.w, &rnn.rates(x));
            zip(&mut sum, recurrent).for_each(|(sum, r)| *sum += weight_scale * r);
        }
        if rnn.form == Form::Rate {
            zip(&mut sum, rnn.slopes(x)).for_each(|(sum, slope)| *sum *= slope);
        }
        zip(out, sum).for_each(|(out, sum)| *out = gain * sum);
    }
}

#[cfg(test)]
mod tests {
    use faer::Mat;
    use tinyfold_core::Activation;

    use super::*;
    use crate::dynamics::System;

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
                    let along = Parameter::along(direction.clone());
                    let path =
                        Path { rnn, parameter: Parameter { origin: -0.3, weight_scale: 0.4, ..along } };
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
