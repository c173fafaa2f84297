//! Many dimensions: tangent vectors as a matrix, products by blocks.

use std::iter::zip;

use faer::linalg::matmul::matmul;
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{Accum, Mat, Par};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::spectrum::Frame;
use crate::dynamics::System;

/// Columns that are made orthogonal to those before them by one product.
const BLOCK: usize = 16;

pub(super) struct Large<'a, S: ?Sized> {
    system: &'a S,
    /// The RK4 step of a flow.
    flow: Option<f64>,
    x: Vec<f64>,
    /// Tangent vectors, n × k.
    q: Mat<f64>,
    value: Vec<f64>,
    pushed: Mat<f64>,
    /// Of a stage of RK4, and the sums of all stages.
    stage: (Vec<f64>, Mat<f64>),
    sums: (Vec<f64>, Mat<f64>),
}

impl<'a, S: System + ?Sized> Large<'a, S> {
    pub(super) fn new(system: &'a S, start: &[f64], count: usize, flow: Option<f64>, seed: u64) -> Self {
        let n = start.len();
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut q = Mat::from_fn(n, count, |_, _| StandardNormal.sample(&mut random));
        gram_schmidt(&mut q, &mut vec![0.0; count]);
        let pair = || (vec![0.0; n], Mat::zeros(n, count));
        let ((value, pushed), stage, sums) = (pair(), pair(), pair());
        Self { system, flow, x: start.to_vec(), q, value, pushed, stage, sums }
    }
}

/// out = a + s b.
fn along(out: &mut [f64], a: &[f64], s: f64, b: &[f64]) {
    for (out, (a, b)) in zip(out, zip(a, b)) {
        *out = a + s * b;
    }
}

impl<S: System + ?Sized> Frame for Large<'_, S> {
    fn step(&mut self) {
        let Some(h) = self.flow else {
            self.system.value(&self.x, &mut self.value);
            self.system.push(&self.x, &self.q, &mut self.pushed);
            std::mem::swap(&mut self.x, &mut self.value);
            std::mem::swap(&mut self.q, &mut self.pushed);
            return;
        };
        self.stage.0.copy_from_slice(&self.x);
        self.stage.1.copy_from(&self.q);
        self.sums.0.copy_from_slice(&self.x);
        self.sums.1.copy_from(&self.q);
        for (weight, next) in [(h / 6.0, h / 2.0), (h / 3.0, h / 2.0), (h / 3.0, h), (h / 6.0, 0.0)] {
            self.system.value(&self.stage.0, &mut self.value);
            self.system.push(&self.stage.0, &self.stage.1, &mut self.pushed);
            zip(&mut self.sums.0, &self.value).for_each(|(sum, value)| *sum += weight * value);
            along(&mut self.stage.0, &self.x, next, &self.value);
            for k in 0..self.q.ncols() {
                let pushed = self.pushed.col_as_slice(k);
                zip(self.sums.1.col_as_slice_mut(k), pushed).for_each(|(sum, value)| *sum += weight * value);
                along(self.stage.1.col_as_slice_mut(k), self.q.col_as_slice(k), next, pushed);
            }
        }
        std::mem::swap(&mut self.x, &mut self.sums.0);
        std::mem::swap(&mut self.q, &mut self.sums.1);
    }

    fn orthonormalise(&mut self, logs: &mut [f64]) {
        gram_schmidt(&mut self.q, logs);
    }

    fn state(&self) -> &[f64] {
        &self.x
    }
}

/// Orthonormal columns with the same spans; logs: ln of what is left of each column outside those before it.
/// Blocks of columns, every projection twice; a column in the span of those before it is replaced.
fn gram_schmidt(q: &mut Mat<f64>, logs: &mut [f64]) {
    let (n, count) = q.shape();
    let mut dots = Mat::<f64>::zeros(count, BLOCK);
    for first in (0..count).step_by(BLOCK) {
        let width = BLOCK.min(count - first);
        let sizes: Vec<f64> = (first..first + width).map(|k| q.col(k).norm_l2()).collect();
        for _ in 0..2 {
            let (before, from) = q.as_mut().split_at_col_mut(first);
            let (before, mut block) = (before.rb(), from.subcols_mut(0, width));
            let mut dots = dots.as_mut().submatrix_mut(0, 0, first, width);
            matmul(dots.rb_mut(), Accum::Replace, before.transpose(), block.rb(), 1.0, Par::Seq);
            matmul(block.rb_mut(), Accum::Add, before, dots.rb(), -1.0, Par::Seq);
        }
        for k in first..first + width {
            project(q, first, k);
            let mut length = q.col(k).norm_l2();
            logs[k] = length.ln();
            if length <= 16.0 * f64::EPSILON * n as f64 * sizes[k - first] {
                logs[k] = f64::NEG_INFINITY;
                // One of n axes is at least 1 / sqrt(n) outside the span of fewer than n vectors.
                for axis in (0..n).map(|axis| (k + axis) % n) {
                    q.col_as_slice_mut(k).fill(0.0);
                    q[(axis, k)] = 1.0;
                    project(q, 0, k);
                    length = q.col(k).norm_l2();
                    if length * length * n as f64 > 0.5 {
                        break;
                    }
                }
            }
            q.col_as_slice_mut(k).iter_mut().for_each(|v| *v /= length);
        }
    }
}

/// Takes from column k what lies along columns first .. k.
fn project(q: &mut Mat<f64>, first: usize, k: usize) {
    for _ in 0..2 {
        let (before, from) = q.as_mut().split_at_col_mut(k);
        let (before, mut column) = (before.rb().subcols(first, k - first), from.col_mut(0));
        let dots = before.transpose() * column.rb();
        matmul(column.rb_mut().as_mat_mut(), Accum::Add, before, dots.as_mat(), -1.0, Par::Seq);
    }
}
