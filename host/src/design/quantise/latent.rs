//! Integers for networks of low rank of any form and activation.

use faer::Mat;
use tinyfold_core::fixed::Settings;
use tinyfold_core::{Number, Shape};

use super::activity::{
    Seen, activation, alpha, correction, exponent, gains, inputs, output_units, rate_unit, unit,
};
use super::rounding::with_feedback;
use super::{Options, most, round_centers};
use crate::format::fixed::{FixedNetwork, Layers};
use crate::network::{Activation, Network};
use crate::simulate::activate;

/// Enlargements of a step until no sum can wrap.
const ATTEMPTS: usize = 40;

/// Rounds U and B, the scale r of each row, V and C, and then M, each to what those before have become.
pub(super) fn round(
    network: &Network,
    (u, v): (&Mat<f64>, &Mat<f64>),
    options: &Options,
    seen: &Seen,
    damping: f64,
) -> Option<FixedNetwork> {
    let (n, rank, width, outputs) =
        (network.neurons(), u.ncols(), network.input.ncols(), network.readout.nrows());
    let (columns, sums, samples) = (rank + width, rank + outputs, seen.samples());
    let fine = if options.number == Number::I8 { 256.0 } else { 1.0 };
    let most = most(options.number);
    let (input_scaling, x_units) = inputs(network, seen);
    let z_units: Vec<f64> = seen.carried[..rank].iter().map(|&size| unit(size)).collect();
    let (physical, y_units) = output_units(network, seen, &vec![0.0; outputs]);

    // Weights for words at full scale, and these words.
    let full: Vec<f64> = z_units.iter().chain(&x_units).map(|unit| unit * 31.0_f64.exp2()).collect();
    let weights = Mat::from_fn(columns, n, |j, i| {
        full[j] * if j < rank { u[(i, j)] } else { network.input[(i, j - rank)] }
    });
    let drive = Mat::from_fn(columns, samples, |j, t| seen.drive[(j, t)] / full[j]);
    // acc holds sum_j |q_j| fine 2^15, and one unit of rounding each.
    let budget = (0.99 * 65_535.0 / fine - columns as f64).max(1.0);
    let steps: Vec<f64> =
        (0..n).map(|i| (weights.col(i).norm_max() / most).max(weights.col(i).norm_l1() / budget)).collect();
    let gram = &drive * drive.transpose();
    let rows = with_feedback(&weights, &gram, damping, most, |_, i| steps[i])?;
    let overfull = |i: usize| rows.integers.col(i).norm_l1() * fine > 65_535.0 - columns as f64;
    if (0..n).any(overfull) {
        return None;
    }
    let rounded = Mat::from_fn(n, columns, |i, j| rows.integers[(j, i)] * steps[i]);
    let wanted = Mat::from_fn(n, samples, |i, t| seen.pre_activations[(i, t)] - network.bias[i]);
    let gains = gains(&(&rounded * &drive), &wanted);
    let scale: Vec<f64> = (0..n).map(|i| steps[i] * gains[i] * 17.0_f64.exp2() / fine).collect();
    let exponent = exponent(network, scale.iter().copied().fold(0.0, f64::max))?;
    let one = f64::from(exponent).exp2();
    let r: Vec<i32> = scale.iter().map(|scale| (scale * one).round() as i32).collect();
    let bias: Vec<i32> = network.bias.iter().map(|b| (b * one).round() as i32).collect();

    // phi as the integers have it, and what its sums are to be.
    let phi_unit = rate_unit(network, exponent);
    let phi = Mat::from_fn(n, samples, |i, t| {
        let sum: f64 = (0..columns).map(|j| rows.integers[(j, i)] * drive[(j, t)]).sum();
        let p = f64::from(bias[i]) + f64::from(r[i]) * fine * sum * (-17.0_f64).exp2();
        activate(network.activation, p / one) / phi_unit
    });
    let read = Mat::from_fn(n, sums, |i, k| match k.checked_sub(rank) {
        None => v[(i, k)],
        Some(o) => network.readout[(o, i)],
    });
    let new = Mat::from_fn(sums, samples, |k, t| {
        let sum: f64 =
            (0..n).map(|i| read[(i, k)] * activate(network.activation, seen.pre_activations[(i, t)])).sum();
        match k.checked_sub(rank) {
            None => sum / z_units[k],
            Some(o) => (sum + network.output_bias[o]) / y_units[o],
        }
    });
    let bound: Vec<f64> = (0..n)
        .map(|i| {
            let acc = rows.integers.col(i).norm_l1() * fine * 15.0_f64.exp2() + columns as f64;
            largest_rate(
                activation(network.activation, exponent),
                acc * f64::from(r[i]) * (-32.0_f64).exp2() + f64::from(bias[i]).abs() + 1.0,
            )
        })
        .collect();
    let (v_integers, v_steps) = readout(&read, &(&phi * phi.transpose()), damping, most, &|q, k| {
        let sum: f64 = (0..n).map(|i| q[(i, k)].abs() * bound[i]).sum();
        sum * fine * (-16.0_f64).exp2() + n as f64 <= 31.0_f64.exp2() - 1.0
    })?;
    let s = v_integers.transpose() * &phi * faer::Scale(fine * (-16.0_f64).exp2());
    // mulw rounds down: half a unit a neuron on average.
    let s = Mat::from_fn(sums, samples, |k, t| s[(k, t)] - n as f64 / 2.0);
    let unit_of = |k: usize| if k < rank { z_units[k] } else { y_units[k - rank] };
    let nominal: Vec<f64> =
        (0..sums).map(|k| v_steps[k] * phi_unit * 16.0_f64.exp2() / fine / unit_of(k)).collect();
    let (matrix, constant) = correction(&s, &new, &nominal);
    let shift: Vec<i32> = (0..sums).map(|j| correction_shift(&matrix, j)).collect();

    let flat = |matrix: &Mat<f64>, first: usize, count: usize| {
        (0..n).flat_map(|i| (first..first + count).map(move |k| matrix[(i, k)] as i16)).collect::<Vec<i16>>()
    };
    let row_integers = rows.integers.transpose().to_owned();
    let mut fixed = FixedNetwork {
        number: options.number,
        shape: Shape { neurons: n, rank, inputs: width, outputs },
        settings: Settings {
            form: network.form,
            alpha: alpha(network),
            exponent,
            ..Settings::new(activation(network.activation, exponent))
        },
        layers: Layers::LowRank {
            u: flat(&row_integers, 0, rank),
            v: flat(&v_integers, 0, rank),
            matrix: (0..sums * sums)
                .map(|place| {
                    let (j, k) = (place / sums, place % sums);
                    (matrix[(j, k)] * f64::from(shift[j]).exp2()).round() as i32
                })
                .collect(),
            shift,
            bias: constant.iter().map(|m| m.round() as i32).collect(),
        },
        input: flat(&row_integers, rank, width),
        scale: r,
        bias,
        readout: (0..outputs * n).map(|place| v_integers[(place % n, rank + place / n)] as i16).collect(),
        input_scaling,
        output_units: physical,
        initial: Vec::new(),
        carried_units: Vec::new(),
        inputs: network.inputs.clone(),
        outputs: network.outputs.clone(),
        task: network.task.clone(),
    };
    round_centers(&mut fixed);
    fixed.carried_units = fixed.units_of_carried(&z_units);
    fixed.initial = network
        .initial
        .iter()
        .zip(&fixed.carried_units)
        .map(|(word, unit)| (word / unit).round() as i32)
        .collect();
    Some(fixed)
}

/// Integers of V and C and the step of every column, as small as lets `fits` prove that its sum cannot wrap.
fn readout(
    read: &Mat<f64>,
    gram: &Mat<f64>,
    damping: f64,
    most: f64,
    fits: &dyn Fn(&Mat<f64>, usize) -> bool,
) -> Option<(Mat<f64>, Vec<f64>)> {
    let mut steps: Vec<f64> = (0..read.ncols()).map(|k| read.col(k).norm_max() / most).collect();
    for _ in 0..ATTEMPTS {
        let rounded = with_feedback(read, gram, damping, most, |_, k| steps[k])?;
        let too_large: Vec<usize> = (0..read.ncols()).filter(|&k| !fits(&rounded.integers, k)).collect();
        if too_large.is_empty() {
            return Some((rounded.integers, steps));
        }
        for k in too_large {
            steps[k] *= 1.25;
        }
    }
    None
}

/// The largest |phi(p)| in integers for |p| up to `p`.
pub(super) fn largest_rate(activation: Activation<i32>, p: f64) -> f64 {
    match activation {
        Activation::Linear | Activation::Relu => p,
        Activation::Clipped { lo, hi } => f64::from(lo).abs().max(f64::from(hi).abs()),
        Activation::Tanh | Activation::Sigmoid { .. } => 30.0_f64.exp2(),
    }
}

/// The shift with which the sum of row j of M has at most 31 bits: a product of 64 bits with words of 32 cannot
/// wrap then.
pub(super) fn correction_shift(matrix: &Mat<f64>, j: usize) -> i32 {
    let size = matrix.row(j).norm_l1();
    if size > 0.0 { (30 - size.log2().ceil() as i32).clamp(0, 62) } else { 0 }
}
