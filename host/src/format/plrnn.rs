//! Piecewise-linear networks of Durstewitz and others as networks of current form.

use faer::{Mat, concat};

use crate::network::{Activation, Form, Network, Recurrence};

/// z' = A z + W relu(z) + h + B u (PLRNN), or z' = A z + W relu(Q z + r) + h + B u (shallow PLRNN; as such also the
/// dendritic one, see [`Plrnn::dendritic`]).
///
/// Sources: Durstewitz 2017, A state space approach for piecewise-linear recurrent neural networks; Hess et al. 2023,
/// Generalized teacher forcing, for the shallow form.
#[derive(Clone, Debug, PartialEq)]
pub struct Plrnn {
    /// A, n × n; mostly diagonal.
    pub a: Mat<f64>,
    /// W, n × n; n × g of the shallow form.
    pub w: Mat<f64>,
    /// h, n × 1.
    pub h: Mat<f64>,
    /// Q (g × n) and r (g × 1) of the shallow form.
    pub hidden: Option<(Mat<f64>, Mat<f64>)>,
    /// B, n × I.
    pub input: Mat<f64>,
}

impl Plrnn {
    /// The dendritic PLRNN z' = A z + W sum_k alpha_k relu(z - h_k) + h + B u, of which this is the rest: the shallow one
    /// with g = n K, W1 = (alpha_1 W, .. alpha_K W), Q = (I, .. I) below one another and r = -(h_1, .. h_K).
    ///
    /// alphas: K; thresholds: h_k, n × K.
    ///
    /// Source: Brenner et al. 2022, Tractable dendritic RNNs for reconstructing nonlinear dynamical systems.
    #[must_use]
    pub fn dendritic(self, alphas: &[f64], thresholds: &Mat<f64>) -> Self {
        let n = self.a.nrows();
        let g = n * alphas.len();
        let w = Mat::from_fn(n, g, |i, gate| alphas[gate / n] * self.w[(i, gate % n)]);
        let q = Mat::from_fn(g, n, |gate, j| if gate % n == j { 1.0 } else { 0.0 });
        let r = Mat::from_fn(g, 1, |gate, _| -thresholds[(gate % n, gate / n)]);
        Self { w, hidden: Some((q, r)), ..self }
    }

    /// The same map as a network of current form, alpha = 1, with y = C z.
    ///
    /// z = relu(z) - relu(-z), so every z_i has a mirror image -z_i among the neurons; those of the shallow form's
    /// p = Q z + r follow: 2 n + g neurons, a = (z, -z, p), a' = M relu(a) + (h, -h, Q h + r) + (B, -B, Q B) u with
    /// M = (L, -L, Q L) below one another, L = (A + W, -A) or (A, -A, W).
    ///
    /// readout: C, O × n.
    ///
    /// ```
    /// use faer::Mat;
    /// use tinyfold::{format::plrnn::Plrnn, simulate};
    /// let one = |x: f64| Mat::from_fn(1, 1, |_, _| x);
    /// // z' = 0.5 z - 2 relu(z) + 1 + u, from z = 0.
    /// let plrnn = Plrnn { a: one(0.5), w: one(-2.0), h: one(1.0), hidden: None, input: one(1.0) };
    /// let run = simulate::run(&plrnn.network(&one(1.0)), &[0.0, 0.0, 3.0], false);
    /// assert_eq!(run.outputs, [1.0, -0.5, 3.75]);
    /// ```
    #[must_use]
    pub fn network(&self, readout: &Mat<f64>) -> Network {
        let minus = |m: &Mat<f64>| faer::Scale(-1.0) * m;
        let rows = match &self.hidden {
            None => concat![[&self.a + &self.w, minus(&self.a)]],
            Some(_) => concat![[self.a, minus(&self.a), self.w]],
        };
        let weights = self.below(&rows, false);
        let none = Mat::<f64>::zeros(readout.nrows(), weights.nrows() - 2 * readout.ncols());
        let readout = concat![[readout, minus(readout), none]];
        let input = self.below(&self.input, false);
        let mut network = Network::plain(Activation::Relu, Recurrence::Dense(weights), input, readout);
        network.form = Form::Current;
        network.bias = column(&self.below(&self.h, true));
        network.initial = self.state(&vec![0.0; self.a.nrows()]);
        network
    }

    /// The network's state (z, -z, Q z + r).
    #[must_use]
    pub fn state(&self, z: &[f64]) -> Vec<f64> {
        column(&self.below(&Mat::from_fn(z.len(), 1, |i, _| z[i]), true))
    }

    /// m, -m and Q m (+ r) below one another.
    fn below(&self, m: &Mat<f64>, shifted: bool) -> Mat<f64> {
        let mirror = faer::Scale(-1.0) * m;
        match &self.hidden {
            None => concat![[m], [mirror]],
            Some((q, r)) => {
                let p = q * m;
                let p = if shifted { p + r } else { p };
                concat![[m], [mirror], [p]]
            }
        }
    }
}

fn column(m: &Mat<f64>) -> Vec<f64> {
    m.col_as_slice(0).to_vec()
}
