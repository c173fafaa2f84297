//! Networks that a parameter moves.

use std::iter::zip;
use std::sync::Arc;

use faer::MatMut;
use tinyfold_core::Form;

use super::linear::add_product;
use super::{Family, Kind, Rnn, System};
use crate::Result;
use crate::network::Network;

/// A network whose drive moves along a line, g + mu d, and whose weights may be scaled, (1 + mu s) W.
#[derive(Clone, Debug)]
pub struct Path {
    /// The network at mu = 0.
    pub rnn: Rnn,
    /// d, n: a column of B for an input, a difference of inputs B (u_1 - u_0) for a context, a vector for a
    /// bias.
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
