//! First-order optimisers.

use pulp::Arch;
use serde::{Deserialize, Serialize};
use tinyfold_core::Scalar;

use super::parameters::{Parameters, Real};

/// How a gradient changes the parameters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// v = momentum · v + g, theta -= rate · v.
    Sgd {
        /// In \[0, 1).
        momentum: f64,
    },
    /// Adam with the beta and epsilon of its source (Kingma & Ba 2015, algorithm 1).
    Adam,
}

impl Method {
    /// A first learning rate that works for n = 64, D = 3, T = 10.
    #[must_use]
    pub const fn learning_rate(self) -> f64 {
        match self {
            Self::Sgd { .. } => 1.0,
            Self::Adam => 1e-2,
        }
    }

    /// A weight decay that goes with it. SGD leaves the bulk of W small by itself
    /// (Fanthomme & Monasson 2021).
    #[must_use]
    pub const fn weight_decay(self) -> f64 {
        match self {
            Self::Sgd { .. } => 0.0,
            Self::Adam => 0.02,
        }
    }
}

/// Of Adam: how much of its means of gradients and of their squares is kept.
pub(super) const BETA: [f64; 2] = [0.9, 0.999];
/// Of Adam: what the root of the mean of squares gets added.
pub(super) const EPSILON: f64 = 1e-8;

/// A method with its memory.
#[derive(Clone, Debug)]
pub struct Optimiser<T> {
    method: Method,
    first: Parameters<T>,
    second: Parameters<T>,
    steps: i32,
}

impl<T: Real> Optimiser<T> {
    /// An optimiser for `parameters`, without memory.
    #[must_use]
    pub fn new(method: Method, parameters: &Parameters<T>) -> Self {
        let mut zero = parameters.clone();
        for matrix in zero.matrices_mut() {
            matrix.fill(<T as Scalar>::ZERO);
        }
        Self { method, first: zero.clone(), second: zero, steps: 0 }
    }

    /// Means of gradients and of their squares, and the number of updates.
    #[must_use]
    pub const fn memory(&self) -> (&Parameters<T>, &Parameters<T>, i32) {
        (&self.first, &self.second, self.steps)
    }

    /// Goes on with such a memory.
    pub fn set_memory(&mut self, first: Parameters<T>, second: Parameters<T>, updates: i32) {
        (self.first, self.second, self.steps) = (first, second, updates);
    }

    /// One update; the gradient is first scaled down from its norm, which callers know, to norm `clip`, if it is larger.
    ///
    /// Every parameter first shrinks by 1 - rate · decay (Loshchilov & Hutter 2019, decoupled weight decay).
    pub fn update(
        &mut self,
        parameters: &mut Parameters<T>,
        gradient: &Parameters<T>,
        norm: f64,
        rate: f64,
        clip: f64,
        decay: f64,
    ) {
        self.steps += 1;
        let shrink = T::from_f64(if norm > clip { clip / norm } else { 1.0 });
        let number = T::from_f64;
        let momentum = match self.method {
            Method::Sgd { momentum } => number(momentum),
            Method::Adam => number(BETA[0]),
        };
        let (beta, epsilon) = (number(BETA[1]), number(EPSILON));
        let fresh = [1.0 - BETA[0], 1.0 - BETA[1]].map(number);
        // Bias corrections, folded into rate and root.
        let rate_adam = number(rate / (1.0 - BETA[0].powi(self.steps)));
        let correct = number((1.0 - BETA[1].powi(self.steps)).sqrt().recip());
        let keep = number(1.0 - rate * decay);
        let rate = number(rate);
        let matrices = parameters.matrices_mut().into_iter().zip(gradient.matrices());
        let memory = self.first.matrices_mut().into_iter().zip(self.second.matrices_mut());
        let adam = matches!(self.method, Method::Adam);
        for ((theta, gradient), (first, second)) in matrices.zip(memory) {
            for column in 0..theta.ncols() {
                let values = theta.col_as_slice_mut(column).iter_mut().zip(gradient.col_as_slice(column));
                let memory = first.col_as_slice_mut(column).iter_mut().zip(second.col_as_slice_mut(column));
                let all = values.zip(memory);
                Arch::new().dispatch(
                    #[inline(always)]
                    || {
                        if adam {
                            all.for_each(
                                #[inline(always)]
                                |((theta, &g), (m, v))| {
                                    let g = g * shrink;
                                    *m = momentum * *m + fresh[0] * g;
                                    *v = beta * *v + fresh[1] * g * g;
                                    *theta = keep * *theta - rate_adam * *m / (v.root() * correct + epsilon);
                                },
                            );
                        } else {
                            all.for_each(
                                #[inline(always)]
                                |((theta, &g), (m, _))| {
                                    *m = momentum * *m + g * shrink;
                                    *theta = keep * *theta - rate * *m;
                                },
                            );
                        }
                    },
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::parameters::Weights;
    use faer::Mat;

    fn one(x: f64) -> Parameters<f64> {
        let weights = Weights::Dense(Mat::full(1, 1, x));
        Parameters { weights, input: None, encoder: None, bias: None, readout: None, output_bias: None }
    }

    /// theta after updates at rate 0.1 with these gradients, from 1.
    fn path(method: Method, gradients: &[f64], clip: f64, decay: f64) -> f64 {
        let mut theta = one(1.0);
        let mut optimiser = Optimiser::new(method, &theta);
        for &gradient in gradients {
            let norm = gradient.abs();
            optimiser.update(&mut theta, &one(gradient), norm, 0.1, clip, decay);
        }
        theta.matrices()[0][(0, 0)]
    }

    #[track_caller]
    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found}, expected {expected}");
    }

    #[test]
    fn sgd_by_hand() {
        let plain = Method::Sgd { momentum: 0.0 };
        near(path(plain, &[2.0, -1.0], 10.0, 0.0), 1.0 - 0.2 + 0.1);
        // v: 2, then 0.5 · 2 - 1 = 0.
        near(path(Method::Sgd { momentum: 0.5 }, &[2.0, -1.0], 10.0, 0.0), 1.0 - 0.2 - 0.0);
        near(path(plain, &[-20.0], 5.0, 0.0), 1.0 + 0.5);
        near(path(plain, &[2.0], 10.0, 0.3), (1.0 - 0.1 * 0.3) - 0.2);
    }

    #[test]
    fn adam_by_hand() {
        // With bias corrections m = g and v = g² after one step, whatever the size of g.
        near(path(Method::Adam, &[3.0], 10.0, 0.0), 1.0 - 0.1 * 3.0 / (3.0 + 1e-8));
        let m = (0.9 * 0.1 * 3.0 - 0.1) / (1.0 - 0.81);
        let v: f64 = (0.999 * 0.001 * 9.0 + 0.001 * 1.0) / (1.0 - 0.999 * 0.999);
        let first = 1.0 - 0.1 * 3.0 / (3.0 + 1e-8);
        near(path(Method::Adam, &[3.0, -1.0], 10.0, 0.0), first - 0.1 * m / (v.sqrt() + 1e-8));
    }
}
