//! Steps of other crates with weights and rates of 8 bits: two fully connected layers, \[W | B\] on \[h; x\],
//! then C; one scale a tensor, zero points 0.

use embedded_nn::fully_connected::fully_connected_s8;
use embedded_nn::types::{Activation, Dims, FcParams, PerTensorQuantParams};
use faer::Mat;
use microflow::activation::FusedActivation;
use microflow::ops::{FullyConnectedOptions, fully_connected};
use microflow::tensor::Tensor2D;
use nalgebra_of_microflow::SMatrix;
use tinyfold::Network;

use crate::{CHANNELS, Contender, dense};

/// The matrix type of microflow's nalgebra, which is an older one than ours.
mod nalgebra_of_microflow {
    pub(super) use microflow::buffer::Buffer2D as SMatrix;
}

/// Largest rate and input: biases are 1, the rest is less.
const RATES: f32 = 2.0 / 127.0;
/// Largest output.
const OUTPUTS: f32 = 1.0 / 127.0;

/// A matrix in units of its scale.
struct Quantised {
    scale: f32,
    entries: Mat<f64>,
}

impl Quantised {
    fn new(matrix: &Mat<f64>) -> Self {
        let scale = matrix.norm_max() / 127.0;
        let entries = Mat::from_fn(matrix.nrows(), matrix.ncols(), |i, j| (matrix[(i, j)] / scale).round());
        Self { scale: scale as f32, entries }
    }

    fn at(&self, i: usize, j: usize) -> i8 {
        self.entries[(i, j)] as i8
    }

    fn rows(&self) -> Vec<i8> {
        let (rows, columns) = self.entries.shape();
        (0..rows * columns).map(|k| self.at(k / columns, k % columns)).collect()
    }
}

fn layers(network: &Network) -> [Quantised; 2] {
    let (n, w, b_in) = (network.neurons(), dense(network), &network.input);
    let joined = Mat::from_fn(n, n + CHANNELS, |i, j| match j.checked_sub(n) {
        None => w[(i, j)],
        Some(k) => b_in[(i, k)],
    });
    [Quantised::new(&joined), Quantised::new(&network.readout)]
}

fn round(x: f32, unit: f32) -> i8 {
    (x / unit).round() as i8
}

pub(crate) fn microflow<const N: usize, const M: usize>(network: &Network) -> Contender {
    let [layer, readout] = layers(network);
    let weights =
        Box::new(Tensor2D::new(SMatrix::<i8, M, N>::from_fn(|j, i| layer.at(i, j)), [layer.scale], [0]));
    let c_out =
        Tensor2D::new(SMatrix::<i8, N, CHANNELS>::from_fn(|j, o| readout.at(o, j)), [readout.scale], [0]);
    let bias = SMatrix::<f32, N, 1>::from_fn(|i, _| network.bias[i] as f32 / RATES);
    let output_bias = SMatrix::<f32, CHANNELS, 1>::from_fn(|o, _| network.output_bias[o] as f32 / OUTPUTS);
    let mut h = SMatrix::<i8, 1, N>::zeros();
    let step = move |x: &[f32; CHANNELS]| {
        let joined = SMatrix::<i8, 1, M>::from_fn(|_, j| match j.checked_sub(N) {
            None => h[j],
            Some(k) => round(x[k], RATES),
        });
        let rates = fully_connected(
            Tensor2D::new(joined, [RATES], [0]),
            &weights,
            [RATES],
            [0],
            FullyConnectedOptions { fused_activation: FusedActivation::Relu },
            (bias, layer.scale, SMatrix::zeros(), 0),
        );
        h = rates.buffer;
        let y = fully_connected(
            rates,
            &c_out,
            [OUTPUTS],
            [0],
            FullyConnectedOptions { fused_activation: FusedActivation::None },
            (output_bias, RATES * readout.scale / OUTPUTS, SMatrix::zeros(), 0),
        );
        [0, 1].map(|o| f32::from(y.buffer[o]) * OUTPUTS)
    };
    Contender { name: "microflow i8", step: Box::new(step) }
}

pub(crate) fn embedded_nn(network: &Network) -> Contender {
    let n = network.neurons();
    let [layer, readout] = layers(network);
    let (weights, c_out) = (layer.rows(), readout.rows());
    let units = |values: &[f64], unit: f32| -> Vec<i32> {
        values.iter().map(|&x| (x as f32 / unit).round() as i32).collect()
    };
    let (bias, output_bias) =
        (units(&network.bias, RATES * layer.scale), units(&network.output_bias, RATES * readout.scale));
    let parameters = |min: i32| FcParams {
        input_offset: 0,
        filter_offset: 0,
        output_offset: 0,
        activation: Activation { min, max: 127 },
    };
    let dims = |n: usize, c: usize| Dims { n: n as i32, h: 1, w: 1, c: c as i32 };
    let (hidden, to_output) = (scale(layer.scale), scale(RATES * readout.scale / OUTPUTS));
    let (mut joined, mut h, mut y) = (vec![0_i8; n + CHANNELS], vec![0_i8; n], [0_i8; CHANNELS]);
    let step = move |x: &[f32; CHANNELS]| {
        joined[..n].copy_from_slice(&h);
        joined[n..].copy_from_slice(&x.map(|x| round(x, RATES)));
        fully_connected_s8(
            &parameters(0),
            &hidden,
            &dims(1, 1),
            &joined,
            &dims(n + CHANNELS, 1),
            &weights,
            Some(&bias),
            &dims(1, n),
            &mut h,
        )
        .expect("sizes");
        fully_connected_s8(
            &parameters(-128),
            &to_output,
            &dims(1, 1),
            &h,
            &dims(n, 1),
            &c_out,
            Some(&output_bias),
            &dims(1, CHANNELS),
            &mut y,
        )
        .expect("sizes");
        y.map(|y| f32::from(y) * OUTPUTS)
    };
    Contender { name: "embedded-nn i8", step: Box::new(step) }
}

/// A factor below 1 as a multiplier in units of 2^-31 and a shift.
fn scale(factor: f32) -> PerTensorQuantParams {
    let shift = factor.log2().floor() as i32 + 1;
    let multiplier = (f64::from(factor) * (31.0 - f64::from(shift)).exp2()).round();
    PerTensorQuantParams { multiplier: multiplier as i32, shift }
}
