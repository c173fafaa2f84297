//! How the singular vectors of W lie to encoders, decoders and the all-ones direction.

use faer::{Mat, MatRef};
use serde::{Deserialize, Serialize};

use super::spectrum::Singular;
use crate::network::Network;

/// Cosines of angles; a vector of length 0 has cosine 0 with everything.
///
/// A pair of singular vectors has one free sign: here the largest entry of the left vector is positive.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Alignments {
    /// Left singular vectors with encoders, K × D.
    pub left_encoders: Vec<Vec<f64>>,
    /// Left singular vectors with decoders, K × O.
    pub left_decoders: Vec<Vec<f64>>,
    /// Right singular vectors with encoders, K × D.
    pub right_encoders: Vec<Vec<f64>>,
    /// Right singular vectors with decoders, K × O.
    pub right_decoders: Vec<Vec<f64>>,
    /// Encoders with decoders, D × O.
    pub encoders_decoders: Vec<Vec<f64>>,
    /// Left singular vectors with the all-ones direction, K: under Dale's law the first is near 1 or -1.
    pub left_ones: Vec<f64>,
    /// Decoders with the all-ones direction, O.
    pub decoders_ones: Vec<f64>,
}

/// The alignments of the K leading singular vectors.
///
/// Encoders are E (n × D), or B where the network has none; decoders are the rows of C.
#[must_use]
pub fn of_network(network: &Network, singular: &Singular, count: usize) -> Alignments {
    let n = network.neurons();
    let count = count.min(singular.values.len());
    let sign: Vec<f64> = (0..count)
        .map(|k| {
            let column = singular.left.col(k).iter().copied();
            column.max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(0.0).signum()
        })
        .collect();
    let turned = |vectors: &Mat<f64>| Mat::from_fn(n, count, |i, k| sign[k] * vectors[(i, k)]);
    let (left, right) = (turned(&singular.left), turned(&singular.right));
    let encoders = network.encoder.as_ref().unwrap_or(&network.input);
    let decoders = network.readout.transpose();
    let ones = Mat::from_fn(n, 1, |_, _| 1.0);
    let first = |table: Vec<Vec<f64>>| table.into_iter().flatten().collect();
    Alignments {
        left_encoders: cosines(left.as_ref(), encoders.as_ref()),
        left_decoders: cosines(left.as_ref(), decoders),
        right_encoders: cosines(right.as_ref(), encoders.as_ref()),
        right_decoders: cosines(right.as_ref(), decoders),
        encoders_decoders: cosines(encoders.as_ref(), decoders),
        left_ones: first(cosines(left.as_ref(), ones.as_ref())),
        decoders_ones: first(cosines(decoders, ones.as_ref())),
    }
}

/// Cosines of the columns of a with those of b.
fn cosines(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Vec<Vec<f64>> {
    let products = a.transpose() * b;
    let cosine = |i: usize, j: usize| {
        let lengths = a.col(i).norm_l2() * b.col(j).norm_l2();
        if lengths > 0.0 { products[(i, j)] / lengths } else { 0.0 }
    };
    (0..a.ncols()).map(|i| (0..b.ncols()).map(|j| cosine(i, j)).collect()).collect()
}
