//! Systems with two parameters.

use std::iter::zip;
use std::sync::Arc;

use faer::MatMut;

use crate::dynamics::vector::{dot, moved};
use crate::dynamics::{Family, Kind, Path, Rnn};

/// A system with two real parameters.
pub trait TwoParameter: Sync {
    /// Length n of a state.
    fn dimension(&self) -> usize;

    /// Map or flow.
    fn kind(&self) -> Kind;

    /// f(x) of a map, F(x) of a flow.
    fn value(&self, x: &[f64], mu: [f64; 2], out: &mut [f64]);

    /// n × n derivatives by x.
    fn jacobian(&self, x: &[f64], mu: [f64; 2], out: MatMut<'_, f64>);

    /// out = d value / d mu_k, k = 0 or 1.
    fn derivative(&self, x: &[f64], mu: [f64; 2], k: usize, out: &mut [f64]);
}

/// A network with drive g + mu_1 d_1 + mu_2 d_2 and weights (1 + mu_1 s_1 + mu_2 s_2) W.
#[derive(Clone, Debug)]
pub struct Plane {
    /// The network at mu = 0.
    pub rnn: Rnn,
    /// d_1 and d_2, n each.
    pub directions: [Vec<f64>; 2],
    /// s_1 and s_2; 0 leaves the weights.
    pub weight_scales: [f64; 2],
}

impl Plane {
    /// The line through mu in which parameter k moves, as a path with its origin at mu.
    fn path(&self, mu: [f64; 2], k: usize) -> Path {
        let mut rnn = self.rnn.clone();
        for (direction, mu) in zip(&self.directions, mu) {
            rnn.drive = moved(&rnn.drive, mu, direction);
        }
        let scale = 1.0 + dot(&self.weight_scales, &mu);
        if scale != 1.0 {
            rnn.w = Arc::new(faer::Scale(scale) * &*rnn.w);
        }
        // The path scales the weights that it has at its origin.
        let weight_scale = if self.weight_scales[k] == 0.0 { 0.0 } else { self.weight_scales[k] / scale };
        Path { rnn, direction: self.directions[k].clone(), weight_scale }
    }
}

impl TwoParameter for Plane {
    fn dimension(&self) -> usize {
        self.rnn.drive.len()
    }

    fn kind(&self) -> Kind {
        self.rnn.kind
    }

    fn value(&self, x: &[f64], mu: [f64; 2], out: &mut [f64]) {
        Family::value(&self.path(mu, 0), x, 0.0, out);
    }

    fn jacobian(&self, x: &[f64], mu: [f64; 2], out: MatMut<'_, f64>) {
        Family::jacobian(&self.path(mu, 0), x, 0.0, out);
    }

    fn derivative(&self, x: &[f64], mu: [f64; 2], k: usize, out: &mut [f64]) {
        Family::derivative(&self.path(mu, k), x, 0.0, out);
    }
}

/// The family of the first parameter at a value of the second.
pub struct Slice<'a, P: ?Sized> {
    /// The system.
    pub plane: &'a P,
    /// mu_2.
    pub second: f64,
}

impl<P: TwoParameter + ?Sized> Family for Slice<'_, P> {
    fn dimension(&self) -> usize {
        self.plane.dimension()
    }

    fn kind(&self) -> Kind {
        self.plane.kind()
    }

    fn value(&self, x: &[f64], mu: f64, out: &mut [f64]) {
        self.plane.value(x, [mu, self.second], out);
    }

    fn jacobian(&self, x: &[f64], mu: f64, out: MatMut<'_, f64>) {
        self.plane.jacobian(x, [mu, self.second], out);
    }

    fn derivative(&self, x: &[f64], mu: f64, out: &mut [f64]) {
        self.plane.derivative(x, [mu, self.second], 0, out);
    }
}
