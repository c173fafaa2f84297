//! Steps of other crates, and of no crate, in f32.

use embedded_nn::float_ops::{fully_connected_f32, relu_f32};
use embedded_nn::types::Dims;
use faer::Mat;
use nalgebra::{DMatrix, DVector, SMatrix, SVector, Vector2};
use tinyfold::Network;

use crate::{CHANNELS, Contender, dense};

/// The entries of a matrix row by row.
fn rows(matrix: &Mat<f64>) -> Vec<f32> {
    (0..matrix.nrows()).flat_map(|i| (0..matrix.ncols()).map(move |j| matrix[(i, j)] as f32)).collect()
}

fn cast(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&x| x as f32).collect()
}

/// What one writes without a crate.
pub(crate) fn naive(network: &Network) -> Contender {
    let n = network.neurons();
    let (w, b_in, c_out) = (rows(dense(network)), rows(&network.input), rows(&network.readout));
    let (bias, output_bias) = (cast(&network.bias), cast(&network.output_bias));
    let (mut h, mut next) = (vec![0.0_f32; n], vec![0.0; n]);
    let step = move |x: &[f32; CHANNELS]| {
        for i in 0..n {
            let mut p = bias[i];
            for j in 0..n {
                p += w[i * n + j] * h[j];
            }
            for (k, x) in x.iter().enumerate() {
                p += b_in[i * CHANNELS + k] * x;
            }
            next[i] = p.max(0.0);
        }
        std::mem::swap(&mut h, &mut next);
        let mut y = [output_bias[0], output_bias[1]];
        for (o, y) in y.iter_mut().enumerate() {
            for j in 0..n {
                *y += c_out[o * n + j] * h[j];
            }
        }
        y
    };
    Contender { name: "naive loop f32", step: Box::new(step) }
}

pub(crate) fn nalgebra_static<const N: usize>(network: &Network) -> Contender {
    let w = Box::new(SMatrix::<f32, N, N>::from_row_slice(&rows(dense(network))));
    let b_in = SMatrix::<f32, N, CHANNELS>::from_row_slice(&rows(&network.input));
    let c_out = SMatrix::<f32, CHANNELS, N>::from_row_slice(&rows(&network.readout));
    let bias = SVector::<f32, N>::from_row_slice(&cast(&network.bias));
    let output_bias = Vector2::from_row_slice(&cast(&network.output_bias));
    let mut h = SVector::<f32, N>::zeros();
    let step = move |x: &[f32; CHANNELS]| {
        let p = *w * h + b_in * Vector2::from(*x) + bias;
        h = p.map(|p| p.max(0.0));
        let y = c_out * h + output_bias;
        [y[0], y[1]]
    };
    Contender { name: "nalgebra SMatrix f32", step: Box::new(step) }
}

pub(crate) fn nalgebra_dynamic(network: &Network) -> Contender {
    let n = network.neurons();
    let w = DMatrix::from_row_slice(n, n, &rows(dense(network)));
    let b_in = DMatrix::from_row_slice(n, CHANNELS, &rows(&network.input));
    let c_out = DMatrix::from_row_slice(CHANNELS, n, &rows(&network.readout));
    let bias = DVector::from_vec(cast(&network.bias));
    let output_bias = Vector2::from_row_slice(&cast(&network.output_bias));
    let (mut h, mut p) = (DVector::<f32>::zeros(n), DVector::<f32>::zeros(n));
    let step = move |x: &[f32; CHANNELS]| {
        // In place: no allocation.
        p.copy_from(&bias);
        p.gemv(1.0, &w, &h, 1.0);
        p.gemv(1.0, &b_in, &Vector2::from(*x), 1.0);
        h.zip_apply(&p, |h, p| *h = p.max(0.0));
        let mut y = output_bias;
        y.gemv(1.0, &c_out, &h, 1.0);
        [y[0], y[1]]
    };
    Contender { name: "nalgebra DMatrix f32", step: Box::new(step) }
}

/// Two fully connected layers: \[W | B\] on \[h; x\], then C.
pub(crate) fn embedded_nn(network: &Network) -> Contender {
    let n = network.neurons();
    let (w, b_in) = (dense(network), &network.input);
    let joined = Mat::from_fn(n, n + CHANNELS, |i, j| match j.checked_sub(n) {
        None => w[(i, j)],
        Some(k) => b_in[(i, k)],
    });
    let (layer, readout) = (rows(&joined), rows(&network.readout));
    let (bias, output_bias) = (cast(&network.bias), cast(&network.output_bias));
    let dims = |n: usize, c: usize| Dims { n: n as i32, h: 1, w: 1, c: c as i32 };
    let (one, columns, hidden, outputs) = (dims(1, 1), dims(n + CHANNELS, 1), dims(1, n), dims(1, CHANNELS));
    let readout_columns = dims(n, 1);
    let (mut joined, mut h, mut y) = (vec![0.0; n + CHANNELS], vec![0.0; n], [0.0; CHANNELS]);
    let step = move |x: &[f32; CHANNELS]| {
        joined[..n].copy_from_slice(&h);
        joined[n..].copy_from_slice(x);
        fully_connected_f32(&one, &joined, &columns, &layer, Some(&bias), &hidden, &mut h).expect("sizes");
        relu_f32(&mut h);
        fully_connected_f32(&one, &h, &readout_columns, &readout, Some(&output_bias), &outputs, &mut y)
            .expect("sizes");
        y
    };
    Contender { name: "embedded-nn f32", step: Box::new(step) }
}
