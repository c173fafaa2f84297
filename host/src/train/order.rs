//! Orders of the columns of a matrix in which those next to each other are 0 in the same rows.
//!
//! A rectified neuron is silent half of the time, and states near a manifold of few dimensions (Fanthomme & Monasson 2021,
//! section 3) have few patterns of active neurons: many samples share most of theirs, and many neurons are active
//! in nearly the same samples. Products pass over what is 0 in all columns that are done together, so that such an order
//! changes what they cost, and no bit of them.

use std::iter::zip;

use faer::MatRef;
use pulp::Arch;
use tinyfold_core::Scalar;

use super::columns::{Inlined, slice};
use super::parameters::Real;

/// Columns that products do together.
pub(super) const TOGETHER: usize = 8;
/// Rows that columns are compared in, in runs evenly spread: all runs have a bit a row.
const RUNS: usize = 4;
const RUN: usize = 16;
/// The part of the rows that must be 0 in whole groups for an order to pay.
const ENOUGH: f64 = 0.15;
/// Signatures that are looked at together.
const LANES: usize = 8;
/// More than any number of columns: no column is here.
const VACANT: u64 = 1 << 60;

/// Columns in groups: each begins with the one most like the last, and grows by those most like all that it has. `None`
/// where too few rows are 0 in whole groups.
pub(super) fn alike<T: Real>(columns: MatRef<'_, T>) -> Option<Vec<usize>> {
    Arch::new().dispatch(Inlined(
        #[inline(always)]
        || {
            let (signatures, rows) = signatures(columns);
            let enough = |entries: usize, all: usize| (entries as f64) < (1.0 - ENOUGH) * all as f64;
            let all: usize = signatures.iter().map(|s| s.count_ones() as usize).sum();
            if !enough(all, rows * signatures.len()) {
                return None;
            }
            let mut left = Left::new(&signatures);
            let (mut order, mut last, mut entries) = (Vec::with_capacity(signatures.len()), 0, 0);
            while left.count > 0 {
                let mut group = last;
                for k in 0..TOGETHER.min(left.count) {
                    let column = left.take(group);
                    last = signatures[column];
                    group = if k == 0 { last } else { group | last };
                    order.push(column);
                }
                entries += group.count_ones() as usize;
            }
            enough(entries, rows * signatures.len().div_ceil(TOGETHER)).then_some(order)
        },
    ))
}

/// Where each column is not 0, a bit a row that is compared, and how many these are.
#[inline(always)]
fn signatures<T: Real>(columns: MatRef<'_, T>) -> (Vec<u64>, usize) {
    let (rows, count) = columns.shape();
    let mut signatures = vec![0; count];
    let is_entry = |x: T| u64::from(x != <T as Scalar>::ZERO);
    let runs = (0..RUNS).map(|k| k * rows / RUNS..((k + 1) * rows / RUNS).min(k * rows / RUNS + RUN));
    let mut bit = 0;
    for run in runs {
        if columns.row_stride() == 1 {
            for (signature, column) in zip(&mut signatures, columns.col_iter()) {
                let entries = slice(column)[run.clone()].iter().enumerate();
                *signature |= entries.fold(0, |bits, (k, &x)| bits | is_entry(x) << k) << bit;
            }
        } else {
            for (k, row) in run.clone().enumerate() {
                let entries = columns.row(row).iter();
                zip(&mut signatures, entries).for_each(|(s, &x)| *s |= is_entry(x) << (bit + k));
            }
        }
        bit += run.len();
    }
    (signatures, bit)
}

/// Columns that have no place yet.
struct Left {
    count: usize,
    columns: Vec<usize>,
    signatures: Vec<[u64; LANES]>,
    /// 0, 1, 2, ..., and [`VACANT`] behind the last column.
    places: Vec<[u64; LANES]>,
}

impl Left {
    #[inline(always)]
    fn new(all: &[u64]) -> Self {
        let mut left = Self {
            count: all.len(),
            columns: (0..all.len()).collect(),
            signatures: vec![[0; LANES]; all.len().div_ceil(LANES)],
            places: vec![[VACANT; LANES]; all.len().div_ceil(LANES)],
        };
        for (k, &signature) in all.iter().enumerate() {
            left.signatures[k / LANES][k % LANES] = signature;
            left.places[k / LANES][k % LANES] = k as u64;
        }
        left
    }

    /// Takes the column that differs from the group in the fewest rows.
    #[inline(always)]
    fn take(&mut self, group: u64) -> usize {
        let mut least = [u64::MAX; LANES];
        for (signatures, places) in zip(&self.signatures, &self.places).take(self.count.div_ceil(LANES)) {
            for ((least, &signature), &place) in zip(zip(&mut least, signatures), places) {
                let differences = u64::from((signature ^ group).count_ones());
                *least = (*least).min((differences << 32) + place);
            }
        }
        let place = least.into_iter().fold(u64::MAX, u64::min) as u32 as usize;
        self.count -= 1;
        let (at, end) = ((place / LANES, place % LANES), (self.count / LANES, self.count % LANES));
        self.signatures[at.0][at.1] = self.signatures[end.0][end.1];
        self.places[end.0][end.1] = VACANT;
        self.columns.swap_remove(place)
    }
}

#[cfg(test)]
mod tests {
    use faer::Mat;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    /// The part of all rows that are not 0 in whole groups.
    fn entries(columns: MatRef<'_, f64>, order: &[usize]) -> f64 {
        let any = |group: &[usize], row| group.iter().any(|&column| columns[(row, column)] != 0.0);
        let groups = order.chunks(TOGETHER);
        let count = groups.len() * columns.nrows();
        let kept = groups.map(|group| (0..columns.nrows()).filter(|&row| any(group, row)).count());
        kept.sum::<usize>() as f64 / count as f64
    }

    /// Rates of rectified neurons whose pre-activations have so many dimensions.
    fn rates(neurons: usize, samples: usize, dimensions: usize) -> Mat<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut random = |rows, columns| Mat::from_fn(rows, columns, |_, _| StandardNormal.sample(&mut rng));
        let (b, z): (Mat<f64>, Mat<f64>) = (random(neurons, dimensions), random(dimensions, samples));
        let p = b * z;
        Mat::from_fn(neurons, samples, |i, k| p[(i, k)].max(0.0))
    }

    #[test]
    fn few_dimensions_leave_whole_groups_silent() {
        for (dimensions, samples, neurons) in [(1, 0.56, 0.53), (2, 0.62, 0.55), (3, 0.72, 0.65)] {
            let h = rates(300, 128, dimensions);
            for (columns, most) in [(h.as_ref(), samples), (h.transpose(), neurons)] {
                let order = alike(columns).expect("half of the rates are 0");
                let found = entries(columns, &order);
                assert!((0.5..most).contains(&found), "{dimensions} dimensions: {found}");
                let mut all = order;
                all.sort_unstable();
                assert_eq!(all, (0..columns.ncols()).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn there_is_no_order_where_it_does_not_pay() {
        assert_eq!(alike(rates(300, 128, 100).as_ref()), None);
        assert_eq!(alike(Mat::<f32>::full(100, 20, 1.0).as_ref()), None);
        assert_eq!(alike(Mat::<f32>::zeros(0, 20).as_ref()), None);
        assert_eq!(alike(Mat::<f32>::zeros(20, 0).as_ref()), None);
        let zeros = alike(Mat::<f32>::zeros(20, 13).as_ref()).expect("all are 0");
        assert_eq!(zeros.len(), 13);
    }
}
