//! The second step of linear and rectified networks, at the cost of I dimensions instead of n.
//!
//! Without biases h_1 = alpha S B x_1, where the activation pattern S = diag(phi'(p_1)) says which neurons are active. So
//! W h_1 = alpha M x_1 with M = W S B, n × I, and from one sample to the next M changes by w_j b_jᵀ for each neuron j that
//! becomes active or silent (w_j: column j of W, b_j: row j of B). With I <= 2 and samples sorted by the direction of x_1
//! it does so about twice: a few sums of columns instead of one for each sample.
//!
//! Backward the same holds for Q_j = sum over the samples in which j is active of dp_2 x_1ᵀ, n × I: with P the sum over
//! all samples so far, Q_j = sum of P where j becomes silent minus sum of P where it becomes active. Then the second step adds
//! alpha Q_j b_j to column j of the gradient of W, and alpha Q_jᵀ w_j to row j of that of B.

use std::array::from_fn;
use std::iter::zip;

use faer::{Mat, MatMut, MatRef};
use pulp::Arch;
use tinyfold_core::{Activation, Scalar};

use super::columns::{Inlined, VARIANT, add_columns, slice, slice_mut, transposed_product, vectorised};
use super::parameters::Real;
use super::product::{fetch, zeros};

/// Neurons that are compared at once.
const CHUNK: usize = 16;
/// Rows that are done together: those of M or P of all samples stay in the second cache.
const ROWS: usize = 512;
/// A sum of columns takes as long as about this many terms of a product.
const COST: usize = 8;

/// Columns of W that are fetched before they are needed.
const AHEAD: usize = 2;

/// A neuron becomes active or silent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Change {
    /// Samples before it.
    position: usize,
    active: bool,
}

/// Activation patterns of the first step.
pub(super) struct Patterns<'a, T> {
    /// W.
    weights: &'a Mat<T>,
    /// B.
    input: &'a Mat<T>,
    /// Inputs of the first step, I × count.
    x: MatRef<'a, T>,
    alpha: T,
    /// Samples whose x is not 0, in order of its direction.
    order: Vec<usize>,
    /// Of all neurons one after the other, from silent to silent.
    changes: Vec<Change>,
    /// Changes of each neuron and of those before it.
    ends: Vec<usize>,
}

impl<'a, T: Real> Patterns<'a, T> {
    /// p: its first columns hold the pre-activations of the first step, phi' in {0, 1} for all of them; `None` where a
    /// product with W is cheaper.
    pub(super) fn new(
        phi: Activation<T>,
        weights: &'a Mat<T>,
        input: &'a Mat<T>,
        x: MatRef<'a, T>,
        alpha: T,
        p: &Mat<T>,
    ) -> Option<Self> {
        if x.nrows() > 2 || !matches!(phi, Activation::Linear | Activation::Relu) {
            return None;
        }
        let n = p.nrows();
        let order = sorted(x);
        let most = n * x.ncols() / COST;
        let found = vectorised!(phi, phi => compared(&order, p, most, #[inline(always)] |p| {
            phi.derivative(p, VARIANT) != <T as Scalar>::ZERO
        }))?;
        let mut starts = vec![0; n + 1];
        for (neuron, _) in &found {
            starts[neuron + 1] += 1;
        }
        for neuron in 0..n {
            starts[neuron + 1] += starts[neuron];
        }
        let mut changes = vec![Change::default(); found.len()];
        for (neuron, change) in found {
            changes[starts[neuron]] = change;
            starts[neuron] += 1;
        }
        // What began where a neuron's changes do has moved to where they end.
        starts.truncate(n);
        Some(Self { weights, input, x, alpha, order, changes, ends: starts })
    }

    /// Changes of a neuron.
    fn of(&self, neuron: usize) -> &[Change] {
        let start = if neuron > 0 { self.ends[neuron - 1] } else { 0 };
        &self.changes[start..self.ends[neuron]]
    }

    /// b_j is not 0: at 0 a neuron counts as active, but adds nothing to M.
    fn has_input(&self, neuron: usize) -> bool {
        (0..self.inputs()).any(|k| self.input[(neuron, k)] != <T as Scalar>::ZERO)
    }

    /// alpha b_j.
    #[inline(always)]
    fn row(&self, neuron: usize) -> [T; 2] {
        from_fn(
            |k| if k < self.inputs() { self.alpha * self.input[(neuron, k)] } else { <T as Scalar>::ZERO },
        )
    }

    /// I.
    fn inputs(&self) -> usize {
        self.input.ncols()
    }

    /// First row and number of rows of every part.
    fn parts(&self) -> impl Iterator<Item = (usize, usize)> {
        let n = self.input.nrows();
        (0..n).step_by(ROWS).map(move |first| (first, ROWS.min(n - first)))
    }

    /// out = W h_1.
    pub(super) fn product(&self, mut out: MatMut<'_, T>) {
        let inputs = self.inputs();
        out.fill(<T as Scalar>::ZERO);
        let mut more_active = vec![0_isize; self.order.len() + 1];
        for neuron in (0..self.ends.len()).filter(|&neuron| self.has_input(neuron)) {
            for &Change { position, active } in self.of(neuron) {
                more_active[position] += if active { 1 } else { -1 };
            }
        }
        Arch::new().dispatch(Inlined(
            #[inline(always)]
            || {
                for (first, rows) in self.parts() {
                    let more = self.differences(first, rows);
                    let (mut m, mut active) = (zeros::<T>(rows * inputs, 1), 0);
                    let m = m.col_as_slice_mut(0);
                    for (position, &sample) in self.order.iter().enumerate() {
                        zip(&mut *m, more.col_as_slice(position)).for_each(|(m, &more)| *m += more);
                        active += more_active[position];
                        if active == 0 {
                            // Not what rounding leaves.
                            m.fill(<T as Scalar>::ZERO);
                        }
                        let out = &mut slice_mut(out.as_mut().col_mut(sample))[first..][..rows];
                        add_columns(out, m, slice(self.x.col(sample)));
                    }
                }
            },
        ));
    }

    /// What alpha M of each sample has more than that of the one before, in these rows, its columns one below the other;
    /// changes after the last sample are of none.
    #[inline(always)]
    fn differences(&self, first: usize, rows: usize) -> Mat<T> {
        let inputs = self.inputs();
        let mut more = zeros::<T>(rows * inputs, self.order.len() + 1);
        for neuron in 0..self.ends.len() {
            fetch(self.weights, neuron + AHEAD, first, rows);
            let (column, row) = (&self.weights.col_as_slice(neuron)[first..][..rows], self.row(neuron));
            for &Change { position, active } in self.of(neuron) {
                add_outer(more.col_as_slice_mut(position), column, row.map(|b| if active { b } else { -b }));
            }
        }
        more
    }

    /// Adds the gradient of the sum over all samples of dpᵀ W h_1 with respect to W, and with respect to B through h_1.
    pub(super) fn gradient(&self, dp: MatRef<'_, T>, d_weights: &mut Mat<T>, d_input: &mut Mat<T>) {
        let inputs = self.inputs();
        Arch::new().dispatch(Inlined(
            #[inline(always)]
            || {
                for (first, rows) in self.parts() {
                    let sums = self.sums(dp, first, rows);
                    let mut q = zeros::<T>(rows * inputs, 1);
                    let q = q.col_as_slice_mut(0);
                    for neuron in 0..self.ends.len() {
                        fetch(self.weights, neuron + AHEAD, first, rows);
                        fetch(d_weights, neuron + AHEAD, first, rows);
                        self.active_sum(neuron, &sums, q);
                        let within = first..first + rows;
                        let row = &self.row(neuron)[..inputs];
                        add_columns(&mut d_weights.col_as_slice_mut(neuron)[within.clone()], q, row);
                        let mut read = [<T as Scalar>::ZERO; 2];
                        let column = &self.weights.col_as_slice(neuron)[within];
                        transposed_product(&mut read[..inputs], q, column);
                        for (k, &read) in read[..inputs].iter().enumerate() {
                            d_input[(neuron, k)] += self.alpha * read;
                        }
                    }
                }
            },
        ));
    }

    /// P before each sample, and after the last, in these rows, its columns one below the other.
    #[inline(always)]
    fn sums(&self, dp: MatRef<'_, T>, first: usize, rows: usize) -> Mat<T> {
        let inputs = self.inputs();
        let mut sums = zeros::<T>(rows * inputs, self.order.len() + 1);
        for (position, &sample) in self.order.iter().enumerate() {
            let (before, mut after) = sums.as_mut().split_at_col_mut(position + 1);
            let after = slice_mut(after.as_mut().col_mut(0));
            after.copy_from_slice(slice(before.as_ref().col(position)));
            let dp = &slice(dp.col(sample))[first..][..rows];
            add_outer(
                after,
                dp,
                from_fn(|k| if k < inputs { self.x[(k, sample)] } else { <T as Scalar>::ZERO }),
            );
        }
        sums
    }

    /// q = Q_j.
    #[inline(always)]
    fn active_sum(&self, neuron: usize, sums: &Mat<T>, q: &mut [T]) {
        q.fill(<T as Scalar>::ZERO);
        for &Change { position, active } in self.of(neuron) {
            let terms = zip(&mut *q, sums.col_as_slice(position));
            if active {
                terms.for_each(|(q, &sum)| *q -= sum);
            } else {
                terms.for_each(|(q, &sum)| *q += sum);
            }
        }
    }
}

/// M += c bᵀ, where the columns of M are one below the other.
#[inline(always)]
fn add_outer<T: Real>(m: &mut [T], column: &[T], row: [T; 2]) {
    for (m, b) in zip(m.chunks_exact_mut(column.len()), row) {
        zip(m, column).for_each(|(m, &c)| *m += b * c);
    }
}

/// Columns that are not 0, by the angle of (x_1, x_2): any number that grows with it.
fn sorted<T: Real>(x: MatRef<'_, T>) -> Vec<usize> {
    let angle = |sample| {
        let entry = |k| if k < x.nrows() { x[(k, sample)].to_f64() } else { 0.0 };
        let (across, up) = (entry(0), entry(1));
        let turned = up / (across.abs() + up.abs());
        if across < 0.0 { 2.0 - turned } else { turned }
    };
    let mut samples: Vec<(f64, usize)> = (0..x.ncols()).map(|sample| (angle(sample), sample)).collect();
    samples.retain(|(angle, _)| !angle.is_nan());
    samples.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    samples.into_iter().map(|(_, sample)| sample).collect()
}

/// What changes from sample to sample, and with which neuron; `None` if that is more than `most`.
#[inline(always)]
fn compared<T: Real>(
    order: &[usize],
    p: &Mat<T>,
    most: usize,
    is_active: impl Fn(T) -> bool,
) -> Option<Vec<(usize, Change)>> {
    let mut active = vec![[false; CHUNK]; p.nrows().div_ceil(CHUNK)];
    let mut found = Vec::with_capacity(4 * p.nrows());
    for (position, &sample) in order.iter().enumerate() {
        let chunks = zip(&mut active, p.col_as_slice(sample).chunks(CHUNK));
        for (chunk, (active, p)) in chunks.enumerate() {
            let mut now = [false; CHUNK];
            zip(&mut now, p).for_each(|(now, &p)| *now = is_active(p));
            if *active != now {
                for (i, (active, now)) in zip(active, now).enumerate().filter(|(_, (a, b))| **a != *b) {
                    *active = now;
                    found.push((chunk * CHUNK + i, Change { position, active: now }));
                }
            }
        }
        if found.len() > most {
            return None;
        }
    }
    let active = active.into_iter().flatten();
    let still = active.enumerate().filter_map(|(neuron, active)| active.then_some(neuron));
    found.extend(still.map(|neuron| (neuron, Change { position: order.len(), active: false })));
    Some(found)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    fn random(rows: usize, columns: usize, seed: u64) -> Mat<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Mat::from_fn(rows, columns, |_, _| StandardNormal.sample(&mut rng))
    }

    fn patterns<'a>(
        w: &'a Mat<f64>,
        b: &'a Mat<f64>,
        x: &'a Mat<f64>,
        p: &Mat<f64>,
    ) -> Option<Patterns<'a, f64>> {
        Patterns::new(Activation::Relu, w, b, x.as_ref(), 0.5, p)
    }

    /// A neuron changes twice on the way around, and is silent before the first sample and after the last. With n = 600 rows
    /// are done in two parts.
    #[test]
    fn neurons_change_at_most_four_times_in_two_dimensions() {
        for (inputs, most) in [(1, 3), (2, 4)] {
            let (w, b, x) = (random(600, 600, 1), random(600, inputs, 2), random(inputs, 100, 3));
            let p = &b * &x;
            let patterns = patterns(&w, &b, &x, &p).expect("quicker");
            assert_eq!(patterns.ends.len(), 600);
            assert!((0..600).all(|neuron| (1..=most).contains(&patterns.of(neuron).len())));
            let active = Mat::from_fn(600, 100, |i, k| if p[(i, k)] >= 0.0 { 0.5 } else { 0.0 });
            let h = Mat::from_fn(600, 100, |i, k| active[(i, k)] * p[(i, k)]);
            let mut found = random(600, 100, 4);
            patterns.product(found.as_mut());
            assert!((found - &w * &h).norm_max() < 1e-11);
            let dp = random(600, 100, 5);
            let (mut d_weights, mut d_input) = (random(600, 600, 6), random(600, inputs, 7));
            let back = w.transpose() * &dp;
            let dp_first = Mat::from_fn(600, 100, |i, k| active[(i, k)] * back[(i, k)]);
            let expected = [&d_weights + &dp * h.transpose(), &d_input + dp_first * x.transpose()];
            patterns.gradient(dp.as_ref(), &mut d_weights, &mut d_input);
            for (found, expected) in [d_weights, d_input].iter().zip(&expected) {
                assert!((found - expected).norm_max() < 1e-10 * expected.norm_max());
            }
        }
    }

    #[test]
    fn products_are_kept_where_they_are_cheaper() {
        let w = random(64, 64, 1);
        for (inputs, count, quicker) in [(2, 128, true), (2, 8, false), (3, 128, false)] {
            let (b, x) = (random(64, inputs, 2), random(inputs, count, 3));
            let p = &b * &x;
            assert_eq!(patterns(&w, &b, &x, &p).is_some(), quicker, "{inputs} inputs, {count} samples");
            assert!(Patterns::new(Activation::Tanh, &w, &b, x.as_ref(), 0.5, &p).is_none());
        }
        // Pre-activations that do not follow the inputs.
        let (b, x) = (random(64, 2, 2), random(2, 128, 3));
        assert!(patterns(&w, &b, &x, &random(64, 128, 4)).is_none());
    }
}
