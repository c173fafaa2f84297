//! Neurons that are mirror images of others.

use std::iter::zip;

use faer::Mat;

use super::{Piecewise, RELU};
use crate::Result;

/// a' = W relu(a) + g without its mirror neurons: those whose rows of W and g are minus the rows of another neuron.
///
/// After a step a_m = -a_i, where relu(a_m) = relu(a_i) - a_i: of W relu(a), the columns i and m come to
/// (W_i + W_m) relu(a_i) - W_m a_i. All cycles are there, so the smaller map has the same. Gates with W_i + W_m = 0, on
/// which nothing depends, are left out.
pub(super) fn folded(w: &Mat<f64>, g: &[f64]) -> Result<Piecewise> {
    let n = g.len();
    let minus = |i: usize, m: usize| {
        let mut rows = zip(w.row(i).iter(), w.row(m).iter()).chain([(&g[i], &g[m])]);
        rows.all(|(a, b)| *a == -*b)
    };
    let mut mirror: Vec<Option<usize>> = vec![None; n];
    let mut kept = Vec::new();
    for i in 0..n {
        let image_of = kept.iter().copied().find(|&of: &usize| mirror[of].is_none() && minus(of, i));
        match image_of {
            Some(of) => mirror[of] = Some(i),
            None => kept.push(i),
        }
    }
    let slope = |i: usize, k: usize| w[(i, kept[k])] + mirror[kept[k]].map_or(0.0, |m| w[(i, m)]);
    let used = |k: &usize| mirror[kept[*k]].is_none() || kept.iter().any(|&i| slope(i, *k) != 0.0);
    let gates: Vec<usize> = (0..kept.len()).filter(used).collect();
    let count = kept.len();
    let a = Mat::from_fn(count, count, |i, k| mirror[kept[k]].map_or(0.0, |m| -w[(kept[i], m)]));
    let p = Mat::from_fn(count, gates.len(), |i, k| slope(kept[i], gates[k]));
    let q = Mat::from_fn(gates.len(), count, |k, j| if gates[k] == j { 1.0 } else { 0.0 });
    let s = kept.iter().map(|&i| g[i]).collect();
    let neurons = kept.iter().map(|&i| (i, mirror[i])).collect();
    Ok(Piecewise { neurons, ..Piecewise::new(a, p, q, vec![0.0; gates.len()], s, RELU.to_vec())? })
}
