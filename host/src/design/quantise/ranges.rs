//! Proof that no sum of a model can leave its bits, whatever comes in.

use serde::Serialize;
use tinyfold_core::Number;
use tinyfold_core::fixed::{Accumulator, Rates, Settings};

use super::latent::largest_rate;
use crate::format::fixed::{FixedNetwork, Layers};
use crate::network::{Activation, Form};

/// What a model of fixed point holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ranges {
    /// Largest size of every input before it saturates, in network units.
    pub inputs: Vec<f64>,
    /// Largest size of every carried word before it saturates, in network units.
    pub carried: Vec<f64>,
    /// The bits of each kind of sum over the largest value it can take with any inputs and states, the least of all:
    /// above 1, none can wrap.
    pub room: f64,
}

/// 2^31.
const FULL: f64 = 2_147_483_648.0;

/// What `network` holds, and how far its sums are from wrapping.
///
/// |acc| <= sum_j |w_j| |word_j| and |p| <= |acc| |r| / 2^32 + |b| for every row; for a ReLU of low rank without
/// biases, units of parallel rows together,
/// |s| <= (|sum_i V_i p_i| + sum over parallel rows |sum_i r_i V_i| |U zeta|) / 2, else |s| <= sum_i |V_i| |phi_i|; all
/// at the corner of the box of states and inputs where they are largest, rounding included.
#[must_use]
pub fn ranges(network: &FixedNetwork) -> Ranges {
    let room = match &network.layers {
        Layers::Dense { w, output_scale, output_bias } => {
            let n = network.shape.neurons;
            let rows =
                |i: usize| size(&w[i * n..(i + 1) * n]) + size(row(&network.input, i, network.shape.inputs));
            let layer = (0..n).map(|i| dense(network, rows(i), network.scale[i], network.bias[i]));
            let read = (0..network.shape.outputs)
                .map(|o| dense(network, size(row(&network.readout, o, n)), output_scale[o], output_bias[o]));
            layer.chain(read).fold(f64::INFINITY, f64::min)
        }
        Layers::LowRank { u, v, matrix, .. } => low_rank(network, u, v, matrix),
    };
    Ranges {
        inputs: (0..network.shape.inputs).map(|k| FULL * network.input_unit(k).abs()).collect(),
        carried: carried(network),
        room,
    }
}

/// Where carried words saturate; the h of a dense network where it is multiplied with W, in fewer bits.
fn carried(network: &FixedNetwork) -> Vec<f64> {
    let multiplied = network.shape.is_dense() && network.settings.form == Form::Rate;
    let Settings { rates, rate_shift, .. } = network.settings;
    let full =
        if multiplied { f64::from(u32::from(rate_shift) + rates.bits() - 1).exp2().min(FULL) } else { FULL };
    network.carried_units.iter().map(|unit| full * unit.abs()).collect()
}

fn row(matrix: &[i16], i: usize, columns: usize) -> &[i16] {
    &matrix[i * columns..(i + 1) * columns]
}

fn size(weights: &[i16]) -> f64 {
    weights.iter().map(|&w| f64::from(w).abs()).sum()
}

/// Room of acc and p of a dense row: rates are at most 2^15, or 2^7 that count 256 times.
fn dense(network: &FixedNetwork, size: f64, r: i32, b: i32) -> f64 {
    let sum = size
        * match network.settings.rates {
            Rates::I16 => 32_768.0,
            Rates::I8 => 127.0 * 256.0,
        };
    let acc = match network.settings.accumulator {
        Accumulator::I32 => sum,
        Accumulator::I64 { shift } => sum / f64::from(shift).exp2() + 1.0,
    };
    (FULL / acc.max(1.0)).min(FULL / pre_activation(acc, r, b))
}

fn pre_activation(acc: f64, r: i32, b: i32) -> f64 {
    acc * f64::from(r).abs() / (2.0 * FULL) + f64::from(b).abs() + 1.0
}

fn low_rank(network: &FixedNetwork, u: &[i16], v: &[i16], matrix: &[i32]) -> f64 {
    let (shape, relu) = (network.shape, network.settings.activation == Activation::Relu);
    let fine = if network.number == Number::I8 { 256.0 } else { 1.0 };
    let (n, rank, columns, sums) =
        (shape.neurons, shape.rank, shape.rank + shape.inputs, shape.rank + shape.outputs);
    // p_i = r_i sum_j w_ij word_j at full scale, words from -1 to 1.
    let weights: Vec<Vec<i16>> =
        (0..n).map(|i| [row(u, i, rank), row(&network.input, i, shape.inputs)].concat()).collect();
    let per_word = |i: usize| f64::from(network.scale[i]) * fine * 15.0_f64.exp2() / (2.0 * FULL);
    let acc = |i: usize| size(&weights[i]) * fine * 32_768.0 + columns as f64;
    let p: Vec<f64> = (0..n).map(|i| pre_activation(acc(i), network.scale[i], network.bias[i])).collect();
    let mut room = (0..n)
        .map(|i| FULL / acc(i).max(1.0))
        .chain(p.iter().map(|p| FULL / p))
        .fold(f64::INFINITY, f64::min);

    let stored = |i: usize, k: usize| match k.checked_sub(rank) {
        None => f64::from(v[i * rank + k]) * fine,
        Some(o) => f64::from(network.readout[o * n + i]) * fine,
    };
    let homogeneous = relu && network.bias.iter().all(|&b| f64::from(b).abs() < 1e4);
    let groups = if homogeneous { parallel(&weights) } else { Vec::new() };
    let sizes: Vec<f64> = (0..sums)
        .map(|k| {
            let crude: f64 =
                (0..n).map(|i| stored(i, k).abs() * largest_rate(network.settings.activation, p[i])).sum();
            let split = if homogeneous {
                let odd: f64 = (0..columns)
                    .map(|j| {
                        (0..n)
                            .map(|i| stored(i, k) * per_word(i) * f64::from(weights[i][j]))
                            .sum::<f64>()
                            .abs()
                    })
                    .sum();
                let even: f64 = groups
                    .iter()
                    .map(|group| {
                        let sum: f64 = group.iter().map(|&i| stored(i, k) * per_word(i)).sum();
                        sum.abs() * size(&weights[group[0]])
                    })
                    .sum();
                // Biases and what was rounded down, on top.
                let rounding: f64 = (0..n)
                    .map(|i| stored(i, k).abs() * (f64::from(network.bias[i]).abs() + columns as f64 + 1.0))
                    .sum();
                f64::midpoint(odd, even) + rounding
            } else {
                f64::INFINITY
            };
            crude.min(split) / 65_536.0 + n as f64
        })
        .collect();
    // Sums of a correction: 63 bits. In current form R rows of them and O others are used; all are bounded.
    let corrected = (0..sums).map(|j| {
        let total: f64 = (0..sums).map(|k| f64::from(matrix[j * sums + k]).abs() * sizes[k].min(FULL)).sum();
        2.0 * FULL * FULL / total.max(1.0)
    });
    room = sizes.iter().map(|size| FULL / size).chain(corrected).fold(room, f64::min);
    room
}

/// Units whose rows are the same, up to sign.
fn parallel(weights: &[Vec<i16>]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (i, row) in weights.iter().enumerate() {
        let same = |group: &&mut Vec<usize>| {
            let first = &weights[group[0]];
            first == row || first.iter().zip(row).all(|(a, b)| i32::from(*a) == -i32::from(*b))
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(i),
            None => groups.push(vec![i]),
        }
    }
    groups
}
