//! First-order optimisers.

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
    /// Adam with beta = (0.9, 0.999), epsilon = 1e-8 (Kingma & Ba 2015, algorithm 1).
    Adam,
}

const BETA: [f64; 2] = [0.9, 0.999];
const EPSILON: f64 = 1e-8;

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

    /// One update; the gradient is first scaled down to norm `clip`, if it is larger.
    ///
    /// Every parameter first shrinks by 1 - rate · decay (Loshchilov & Hutter 2019, decoupled weight decay).
    pub fn update(
        &mut self,
        parameters: &mut Parameters<T>,
        gradient: &Parameters<T>,
        rate: f64,
        clip: f64,
        decay: f64,
    ) {
        self.steps += 1;
        let norm = gradient.norm();
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
        for ((theta, gradient), (first, second)) in matrices.zip(memory) {
            for column in 0..theta.ncols() {
                let values = theta.col_as_slice_mut(column).iter_mut().zip(gradient.col_as_slice(column));
                let memory = first.col_as_slice_mut(column).iter_mut().zip(second.col_as_slice_mut(column));
                for ((theta, &g), (m, v)) in values.zip(memory) {
                    let g = g * shrink;
                    *theta = keep * *theta;
                    match self.method {
                        Method::Sgd { .. } => {
                            *m = momentum * *m + g;
                            *theta -= rate * *m;
                        }
                        Method::Adam => {
                            *m = momentum * *m + fresh[0] * g;
                            *v = beta * *v + fresh[1] * g * g;
                            *theta -= rate_adam * *m / (RealExt::root(*v) * correct + epsilon);
                        }
                    }
                }
            }
        }
    }
}

/// The square root, by the method of the type itself.
trait RealExt {
    fn root(self) -> Self;
}

impl<T: Real> RealExt for T {
    #[inline(always)]
    fn root(self) -> Self {
        faer::traits::math_utils::sqrt(&self)
    }
}
