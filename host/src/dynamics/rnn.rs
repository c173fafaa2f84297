//! Networks as maps and flows.

use std::iter::zip;
use std::sync::Arc;

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, Par};
use tinyfold_core::{Activation, Form};

use super::linear::add_product;
use super::vector::largest;
use super::{Kind, System, wide};
use crate::error::require;
use crate::network::Network;
use crate::simulate::activate;
use crate::{Error, Result};

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

    /// Keep and gain of x in value = keep · x + gain · (...): of a map 1 - alpha and alpha, of a flow -1 and
    /// 1.
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
        let mut p = self.pre_activations(x);
        let mut slopes = vec![0.0; p.len()];
        wide::activate(self.activation, &mut p, &mut slopes);
        slopes
    }

    /// The rates at x: h of rate form, phi(a) of current form: what a readout C is applied to.
    #[must_use]
    pub fn rates(&self, x: &[f64]) -> Vec<f64> {
        match self.form {
            Form::Rate => x.to_vec(),
            Form::Current => {
                let mut rates = x.to_vec();
                wide::values(self.activation, &mut rates);
                rates
            }
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

    /// Of bounded rates the largest rate; of current form what such rates bring to a neuron (root mean square of the
    /// neurons), at least the width of phi. Of other networks the largest |g_i|, at least 1.
    fn size(&self) -> f64 {
        let (most, width) = match self.activation {
            Activation::Tanh => (1.0, 1.0),
            Activation::Sigmoid { slope, .. } => (1.0, 1.0 / slope.abs()),
            Activation::Clipped { lo, hi } => (lo.abs().max(hi.abs()), hi - lo),
            Activation::Relu | Activation::Linear => return largest(&self.drive).max(1.0),
        };
        let size = match self.form {
            Form::Rate => most,
            Form::Current => width.max(most * self.w.norm_l2() / (self.dimension() as f64).sqrt()),
        };
        // Whatever the weights are.
        if size > 0.0 && size.is_finite() { size } else { 1.0 }
    }

    fn value(&self, x: &[f64], out: &mut [f64]) {
        let (keep, gain) = self.factors();
        out.copy_from_slice(&self.drive);
        match self.form {
            Form::Rate => {
                add_product(out, &self.w, x);
                wide::values(self.activation, out);
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

    /// One product with W for all columns.
    fn lift(&self, states: usize, z: &Mat<f64>, out: &mut Mat<f64>, scratch: &mut Mat<f64>) {
        let (keep, gain) = self.factors();
        let n = self.dimension();
        let tangents = z.ncols() / states.max(1) - usize::from(states > 0);
        let of = |j: usize| states + j * tangents..states + (j + 1) * tangents;
        let (mut slopes, ones) = (vec![0.0; n], vec![1.0; n]);
        let activate = |p: &mut [f64], slopes: &mut [f64]| match tangents {
            0 => wide::values(self.activation, p),
            _ => wide::activate(self.activation, p, slopes),
        };
        match self.form {
            Form::Rate => {
                matmul(out.as_mut(), Accum::Replace, self.w.as_ref(), z.as_ref(), 1.0, Par::Seq);
                for j in 0..states {
                    let p = out.col_as_slice_mut(j);
                    zip(&mut *p, &self.drive).for_each(|(p, g)| *p += g);
                    activate(p, &mut slopes);
                    wide::finish(p, keep, z.col_as_slice(j), gain, &ones);
                    for k in of(j) {
                        wide::finish(out.col_as_slice_mut(k), keep, z.col_as_slice(k), gain, &slopes);
                    }
                }
            }
            Form::Current => {
                for j in 0..states {
                    let rates = scratch.col_as_slice_mut(j);
                    rates.copy_from_slice(z.col_as_slice(j));
                    activate(rates, &mut slopes);
                    for k in of(j) {
                        let columns = zip(scratch.col_as_slice_mut(k), z.col_as_slice(k));
                        zip(columns, &slopes).for_each(|((scaled, t), slope)| *scaled = slope * t);
                    }
                }
                matmul(out.as_mut(), Accum::Replace, self.w.as_ref(), scratch.as_ref(), 1.0, Par::Seq);
                for k in 0..z.ncols() {
                    let out = out.col_as_slice_mut(k);
                    if k < states {
                        zip(&mut *out, &self.drive).for_each(|(p, g)| *p += g);
                    }
                    wide::finish(out, keep, z.col_as_slice(k), gain, &ones);
                }
            }
        }
    }
}
