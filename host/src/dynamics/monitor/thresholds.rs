//! What a monitor compares with, in the units of the network.

use serde::Serialize;
use tinyfold_core::monitor::Monitor;

/// A number and the range in which it raises no alarm.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Range {
    /// c0, c1, .. on the manifold of a dense network; z0, .., x0, .. at low rank.
    pub name: String,
    /// Least and greatest value.
    pub range: [f64; 2],
}

/// The thresholds of a monitor: above them is an alarm.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Thresholds {
    /// Of the residual of the identity of a dense network; at low rank of every z', then of every y.
    pub residual: Vec<f64>,
    /// Least and greatest threshold t_i of the distance of a neuron from the manifold; none at low rank.
    pub distance: Option<[f64; 2]>,
    /// Ranges of the coordinates on the manifold; at low rank of z, then of x.
    pub ranges: Vec<Range>,
}

impl Thresholds {
    /// Those of a monitor.
    #[must_use]
    pub fn of(monitor: &Monitor<'_, f32>) -> Self {
        let (shape, [first, second, check, ranges]) = (monitor.shape(), monitor.sections());
        let (rank, inputs) = (shape.network.rank, shape.network.inputs);
        // The last word of a row is 1 / threshold.
        let last = |rows: &[f32], width: usize| -> Vec<f64> {
            rows.chunks_exact(width).map(|row| 1.0 / f64::from(row[width - 1])).collect()
        };
        let (residual, distance) = if shape.network.is_dense() {
            let of_neurons = last(second, shape.dimensions + 2);
            let ends = of_neurons.iter().fold([f64::INFINITY, 0.0], |[lo, hi], &t| [t.min(lo), t.max(hi)]);
            (vec![1.0 / f64::from(check[1])], Some(ends))
        } else {
            ([last(first, rank + inputs + 2), last(second, rank + 2)].concat(), None)
        };
        let name = |k: usize| match k {
            _ if rank == 0 => format!("c{k}"),
            _ if k < rank => format!("z{k}"),
            _ => format!("x{}", k - rank),
        };
        let range = |(k, pair): (usize, &[f32])| {
            let (center, half) = (f64::from(pair[0]), 1.0 / f64::from(pair[1]));
            Range { name: name(k), range: [center - half, center + half] }
        };
        Self { residual, distance, ranges: ranges.chunks_exact(2).enumerate().map(range).collect() }
    }
}
