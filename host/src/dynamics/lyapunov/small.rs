//! At most a few dimensions: everything on the stack, loops of constant length.

use faer::MatMut;

use super::spectrum::Frame;
use crate::dynamics::System;

/// Rows: vectors of length N.
type Square<const N: usize> = [[f64; N]; N];

pub(super) struct Small<'a, S: ?Sized, const N: usize> {
    system: &'a S,
    /// The RK4 step of a flow.
    flow: Option<f64>,
    x: [f64; N],
    /// Tangent vectors.
    q: Square<N>,
}

impl<'a, S: System + ?Sized, const N: usize> Small<'a, S, N> {
    /// `start` must be of length N.
    pub(super) fn new(system: &'a S, start: &[f64], flow: Option<f64>) -> Self {
        let mut x = [0.0; N];
        x.copy_from_slice(start);
        // The transient turns the axes as it would turn random vectors; these are in no one's invariant
        // subspace.
        let mut q: Square<N> = std::array::from_fn(|k| {
            std::array::from_fn(|i| 1.0 / (1.0 + i as f64 + k as f64) + f64::from(u8::from(i == k)))
        });
        gram_schmidt(&mut q, &mut [0.0; N]);
        Self { system, flow, x, q }
    }

    /// The value and J q at a place.
    #[inline(always)]
    fn push(&self, x: &[f64; N], q: &Square<N>) -> ([f64; N], Square<N>) {
        let mut value = [0.0; N];
        self.system.value(x, &mut value);
        let mut columns = [[0.0; N]; N];
        self.system.jacobian(x, MatMut::from_column_major_slice_mut(columns.as_flattened_mut(), N, N));
        let mut pushed = [[0.0; N]; N];
        for k in 0..N {
            for j in 0..N {
                for i in 0..N {
                    pushed[k][i] += columns[j][i] * q[k][j];
                }
            }
        }
        (value, pushed)
    }
}

/// a + s b.
#[inline(always)]
fn along<const N: usize>(a: &[f64; N], s: f64, b: &[f64; N]) -> [f64; N] {
    std::array::from_fn(|i| a[i] + s * b[i])
}

#[inline(always)]
fn all_along<const N: usize>(a: &Square<N>, s: f64, b: &Square<N>) -> Square<N> {
    std::array::from_fn(|k| along(&a[k], s, &b[k]))
}

impl<S: System + ?Sized, const N: usize> Frame for Small<'_, S, N> {
    fn step(&mut self) {
        let (x, q) = (self.x, self.q);
        let first = self.push(&x, &q);
        let Some(h) = self.flow else {
            (self.x, self.q) = first;
            return;
        };
        let second = self.push(&along(&x, h / 2.0, &first.0), &all_along(&q, h / 2.0, &first.1));
        let third = self.push(&along(&x, h / 2.0, &second.0), &all_along(&q, h / 2.0, &second.1));
        let fourth = self.push(&along(&x, h, &third.0), &all_along(&q, h, &third.1));
        let ends = along(&first.0, 1.0, &fourth.0);
        let middles = along(&second.0, 1.0, &third.0);
        self.x = along(&x, h / 6.0, &along(&ends, 2.0, &middles));
        let ends = all_along(&first.1, 1.0, &fourth.1);
        let middles = all_along(&second.1, 1.0, &third.1);
        self.q = all_along(&q, h / 6.0, &all_along(&ends, 2.0, &middles));
    }

    fn orthonormalise(&mut self, logs: &mut [f64]) {
        let mut all = [0.0; N];
        gram_schmidt(&mut self.q, &mut all);
        logs.copy_from_slice(&all[..logs.len()]);
    }

    fn state(&self) -> &[f64] {
        &self.x
    }
}

/// Twice, which is enough for orthogonality to rounding; a vector in the span of those before it is replaced.
fn gram_schmidt<const N: usize>(q: &mut Square<N>, logs: &mut [f64; N]) {
    for (k, log) in logs.iter_mut().enumerate() {
        let (before, rest) = q.split_at_mut(k);
        let size = norm(&rest[0]);
        project(&mut rest[0], before);
        let mut length = norm(&rest[0]);
        *log = length.ln();
        if length <= 16.0 * f64::EPSILON * size {
            *log = f64::NEG_INFINITY;
            // One of N axes is at least 1 / sqrt(N) outside the span of fewer than N vectors.
            for axis in 0..N {
                rest[0] = std::array::from_fn(|i| f64::from(u8::from(i == axis)));
                project(&mut rest[0], before);
                length = norm(&rest[0]);
                if length * length * N as f64 > 0.5 {
                    break;
                }
            }
        }
        rest[0].iter_mut().for_each(|v| *v /= length);
    }
}

#[inline(always)]
fn norm<const N: usize>(v: &[f64; N]) -> f64 {
    v.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// Takes away what lies along the orthonormal vectors `before`.
#[inline(always)]
fn project<const N: usize>(v: &mut [f64; N], before: &[[f64; N]]) {
    for _ in 0..2 {
        for b in before {
            let dot: f64 = (0..N).map(|i| b[i] * v[i]).sum();
            (0..N).for_each(|i| v[i] -= dot * b[i]);
        }
    }
}
