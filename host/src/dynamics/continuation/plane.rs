//! Systems with several parameters.

use faer::MatMut;

use crate::dynamics::{Family, Kind, Parameter, Path, Rnn};

/// A system with one or more real parameters mu_1, mu_2, ..
pub trait Parametric: Sync {
    /// Length n of a state.
    fn dimension(&self) -> usize;

    /// Map or flow.
    fn kind(&self) -> Kind;

    /// As [`System::size`](crate::dynamics::System::size).
    fn size(&self) -> f64 {
        1.0
    }

    /// f(x) of a map, F(x) of a flow.
    fn value(&self, x: &[f64], mu: &[f64], out: &mut [f64]);

    /// n × n derivatives by x.
    fn jacobian(&self, x: &[f64], mu: &[f64], out: MatMut<'_, f64>);

    /// out = d value / d mu of parameter k, from 0.
    fn derivative(&self, x: &[f64], mu: &[f64], k: usize, out: &mut [f64]);
}

/// A network that two parameters move: both on its drive and its weights at once.
#[derive(Clone, Debug)]
pub struct Plane {
    /// The network as it is, where both parameters are at their origins.
    pub rnn: Rnn,
    /// What moves; their factors of the weights are multiplied.
    pub parameters: [Parameter; 2],
}

impl Plane {
    /// The network where parameter k alone moves, as a path.
    fn path(&self, mu: &[f64], k: usize) -> Path {
        let other = 1 - k;
        let rnn = Path { rnn: self.rnn.clone(), parameter: self.parameters[other].clone() }.at(mu[other]);
        Path { rnn, parameter: self.parameters[k].clone() }
    }
}

impl Parametric for Plane {
    fn dimension(&self) -> usize {
        self.rnn.drive.len()
    }

    fn kind(&self) -> Kind {
        self.rnn.kind
    }

    fn size(&self) -> f64 {
        crate::dynamics::System::size(&self.rnn)
    }

    fn value(&self, x: &[f64], mu: &[f64], out: &mut [f64]) {
        self.path(mu, 0).value(x, mu[0], out);
    }

    fn jacobian(&self, x: &[f64], mu: &[f64], out: MatMut<'_, f64>) {
        self.path(mu, 0).jacobian(x, mu[0], out);
    }

    fn derivative(&self, x: &[f64], mu: &[f64], k: usize, out: &mut [f64]) {
        self.path(mu, k).derivative(x, mu[k], out);
    }
}

/// The family of the first parameter at a value of the second.
pub struct Slice<'a, P: ?Sized> {
    /// The system.
    pub plane: &'a P,
    /// mu_2.
    pub second: f64,
}

impl<P: Parametric + ?Sized> Family for Slice<'_, P> {
    fn dimension(&self) -> usize {
        self.plane.dimension()
    }

    fn kind(&self) -> Kind {
        self.plane.kind()
    }

    fn size(&self) -> f64 {
        self.plane.size()
    }

    fn value(&self, x: &[f64], mu: f64, out: &mut [f64]) {
        self.plane.value(x, &[mu, self.second], out);
    }

    fn jacobian(&self, x: &[f64], mu: f64, out: MatMut<'_, f64>) {
        self.plane.jacobian(x, &[mu, self.second], out);
    }

    fn derivative(&self, x: &[f64], mu: f64, out: &mut [f64]) {
        self.plane.derivative(x, &[mu, self.second], 0, out);
    }
}
