//! Linear algebra at the fixed point: eigenvalues, eigenvectors of the chosen ones, and solves beside them.

use std::cmp::Ordering;

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::hessenberg::{hessenberg_in_place, hessenberg_in_place_scratch};
use faer::linalg::householder::{
    apply_block_householder_sequence_on_the_right_in_place_scratch as apply_scratch,
    apply_block_householder_sequence_on_the_right_in_place_with_conj as apply_on_the_right,
};
use faer::linalg::matmul::matmul;
use faer::linalg::qr::no_pivoting::factor::recommended_block_size;
use faer::linalg::solvers::Solve;
use faer::{Accum, Conj, Mat, MatMut, MatRef, Par, c64};

use super::series::{Scalar, dot};
use crate::dynamics::vector::largest;
use crate::dynamics::{At, Family, Kind, System, spectrum};
use crate::{Error, Result};

/// The largest residual that counts as a fixed point, by the size of the state.
const FIXED: f64 = 1e-8;

/// A fixed point with its derivative and eigenvalues.
#[derive(Clone, Debug)]
pub struct Spectrum {
    /// Map or flow.
    pub kind: Kind,
    /// x0, n.
    pub x: Vec<f64>,
    /// The parameter there.
    pub mu: f64,
    /// A = d value / d x, n × n.
    pub jacobian: Mat<f64>,
    /// All n, the slowest or most unstable first: by real part of a flow, by modulus of a map.
    pub eigenvalues: Vec<c64>,
}

impl Spectrum {
    /// The spectrum at the fixed point x for the parameter mu.
    ///
    /// # Errors
    /// x is not a fixed point to 1e-8 of the size of states; eigenvalues do not converge.
    pub fn new(family: &impl Family, x: &[f64], mu: f64) -> Result<Self> {
        let (n, kind) = (family.dimension(), family.kind());
        if x.len() != n {
            return Err(Error::input("fixed point", format!("{n} numbers"), x.len().to_string()));
        }
        let mut rest = vec![0.0; n];
        At { family, mu }.residual(x, &mut rest);
        let residual = largest(&rest);
        let most = FIXED * family.size().max(largest(x));
        if residual.is_nan() || residual > most {
            let found = format!("a residual of {residual:.1e}");
            return Err(Error::input("fixed point", format!("a residual below {most:.0e}"), found));
        }
        let mut jacobian = Mat::zeros(n, n);
        family.jacobian(x, mu, jacobian.as_mut());
        let eigenvalues = spectrum::of_matrix(kind, jacobian.as_ref())?;
        Ok(Self { kind, x: x.to_vec(), mu, jacobian, eigenvalues })
    }

    /// Eigenvalues above stability: real part above 0 of a flow, modulus above 1 of a map.
    #[must_use]
    pub fn unstable(&self) -> usize {
        spectrum::index(self.kind, &self.eigenvalues)
    }

    pub(super) fn eigenvalue(&self, index: usize) -> Result<c64> {
        let found = || format!("{index}");
        let expected = || format!("below {}", self.eigenvalues.len());
        self.eigenvalues.get(index).copied().ok_or_else(|| Error::input("eigenvalue", expected(), found()))
    }
}

/// An eigenvalue with its right and left eigenvector: |v| = 1, l · v = 1.
#[derive(Clone, Debug)]
pub(super) struct Master<S> {
    pub value: S,
    pub right: Vec<f64>,
    pub left: Vec<f64>,
}

/// Inverse iterations.
const ITERATIONS: usize = 4;

/// The eigenvectors of `value`, apart from those of `others`.
fn master<S: Scalar>(a: &Mat<f64>, value: S, others: &[Master<S>]) -> Result<Master<S>> {
    let n = a.nrows();
    // A little beside the eigenvalue: never exactly singular, and still 1e-14 from it.
    let shift = value + S::from(4.0 * f64::EPSILON * a.norm_max().max(value.modulus()).max(1e-3));
    let shifted =
        Mat::<S>::from_fn(n, n, |i, j| S::from(a[(i, j)]) - if i == j { shift } else { S::from(0.0) });
    let lu = shifted.partial_piv_lu();
    let scaled = |x: Mat<S>| -> Mat<S> {
        let length = (0..n).map(|u| x[(u, 0)].modulus().powi(2)).sum::<f64>().sqrt();
        Mat::from_fn(n, 1, |u, _| x[(u, 0)] / S::from(length))
    };
    let inner = |l: &Mat<S>, x: &Mat<S>| (0..n).fold(S::from(0.0), |sum, u| sum + l[(u, 0)] * x[(u, 0)]);
    let known: Vec<(Mat<S>, Mat<S>)> = others
        .iter()
        .map(|other| {
            let matrix = |column: &[f64]| Mat::from_fn(n, 1, |u, _| S::get(column, u));
            (matrix(&other.right), matrix(&other.left))
        })
        .collect();
    let apart = |mut x: Mat<S>, transposed: bool| {
        for (right, left) in &known {
            let (along, across) = if transposed { (left, right) } else { (right, left) };
            let share = inner(across, &x);
            (0..n).for_each(|u| x[(u, 0)] -= share * along[(u, 0)]);
        }
        x
    };
    // Golden-ratio steps: no symmetry of a network is one of this start. Another one for every vector: of a double
    // eigenvalue the first is what the start has there.
    let golden = 0.618_033_988_749_895 * (1 + others.len()) as f64;
    let start = |u: usize| S::from(0.25 + (golden * (u + 1) as f64).fract());
    let mut right = scaled(apart(Mat::from_fn(n, 1, |u, _| start(u)), false));
    for _ in 0..ITERATIONS {
        right = scaled(apart(lu.solve(&right), false));
    }
    let mut left = Mat::from_fn(n, 1, |u, _| right[(u, 0)].mirrored());
    left = scaled(apart(left, true));
    for _ in 0..ITERATIONS {
        left = scaled(apart(lu.solve_transpose(&left), true));
    }
    let largest = (0..n)
        .map(|u| right[(u, 0)])
        .fold(S::from(0.0), |most, x| if x.modulus() > most.modulus() * (1.0 + 1e-9) { x } else { most });
    let turn = largest.mirrored() / S::from(largest.modulus());
    let product = inner(&left, &right) * turn;
    if product.modulus().partial_cmp(&1e-9) != Some(Ordering::Greater) {
        let reason = "its left and right eigenvectors are orthogonal: it is defective; choose another eigenvalue \
                      or move the parameter";
        return Err(Error::Numeric { what: "eigenvectors".into(), reason: reason.into() });
    }
    let column = |x: &Mat<S>, factor: S| {
        let mut column = vec![0.0; n * S::PARTS];
        (0..n).for_each(|u| S::set(&mut column, u, x[(u, 0)] * factor));
        column
    };
    let mut found =
        Master { value, right: column(&right, turn), left: column(&left, S::from(1.0) / product) };
    // The Rayleigh quotient, exact to the square of what the vectors miss.
    let mut image = vec![0.0; n * S::PARTS];
    times(a.as_ref(), &found.right, &mut image);
    found.value = dot(&found.left, &image);
    Ok(found)
}

/// out = m block for columns.
fn times(m: MatRef<'_, f64>, block: &[f64], out: &mut [f64]) {
    if m.ncols() == 0 || m.nrows() == 0 {
        out.fill(0.0);
        return;
    }
    let columns = block.len() / m.ncols();
    let block = MatRef::from_column_major_slice(block, m.ncols(), columns);
    let out = MatMut::from_column_major_slice_mut(out, m.nrows(), columns);
    matmul(out, Accum::Replace, m, block, 1.0, Par::Seq);
}

/// The chosen eigenvectors, and A beside them.
///
/// With an orthonormal basis [Q1 Z] whose Q1 spans the right eigenvectors, Zᵀ A Z = H is made upper
/// Hessenberg once. Then (A - s) w - V r = b with l · w = 0 has r = -l · b and w = (1 - V lᵀ) Z (H - s)⁻¹ Zᵀ
/// b: each shift s costs O(n²), and that s is the eigenvalue itself, or that it is 0, does not matter.
#[derive(Clone, Debug)]
pub(super) struct Frame<S> {
    pub masters: Vec<Master<S>>,
    /// Z, n × m.
    basis: Mat<f64>,
    /// H by rows, m × m.
    hessenberg: Vec<f64>,
    rows: Vec<S>,
    inside: Vec<f64>,
    solution: Vec<S>,
}

impl<S: Scalar> Frame<S> {
    /// The frame of eigenvalues `values`: one, or two that are different or span a plane; of c64 one and its
    /// conjugate.
    pub fn new(a: &Mat<f64>, values: &[S]) -> Result<Self> {
        let n = a.nrows();
        let mut masters: Vec<Master<S>> = Vec::new();
        for &value in values {
            let next = master(a, value, &masters)?;
            masters.push(next);
        }
        if S::PARTS == 2 {
            let conjugate = |column: &[f64]| {
                let negated = column[n..].iter().map(|x| -x);
                column[..n].iter().copied().chain(negated).collect::<Vec<f64>>()
            };
            let Master { value, right, left } = &masters[0];
            let second = Master { value: value.mirrored(), right: conjugate(right), left: conjugate(left) };
            masters.push(second);
        }
        let spanning: Vec<&[f64]> = if S::PARTS == 2 {
            masters[0].right.chunks_exact(n).collect()
        } else {
            masters.iter().map(|master| &master.right[..]).collect()
        };
        let (basis, h) = complement(a, &spanning);
        let m = h.nrows();
        let hessenberg = (0..m * m).map(|k| h[(k / m, k % m)]).collect();
        let zero = S::from(0.0);
        let (rows, inside) = (vec![zero; m * m], vec![0.0; m * S::PARTS]);
        Ok(Self { masters, basis, hessenberg, rows, inside, solution: vec![zero; m] })
    }

    /// w with (A - s) w = b up to V r, and l · w = `along`; false where s is an eigenvalue of H.
    pub fn solve(&mut self, shift: S, b: &[f64], along: &[S], w: &mut [f64]) -> bool {
        times(self.basis.transpose(), b, &mut self.inside);
        let m = self.solution.len();
        (0..m).for_each(|u| self.solution[u] = S::get(&self.inside, u));
        let regular = solve_hessenberg(&self.hessenberg, shift, &mut self.solution, &mut self.rows);
        (0..m).for_each(|u| S::set(&mut self.inside, u, self.solution[u]));
        times(self.basis.as_ref(), &self.inside, w);
        for (master, &along) in self.masters.iter().zip(along) {
            let share = along - dot::<S>(&master.left, w);
            S::add_scaled(w, share, &master.right);
        }
        regular && w.iter().all(|w| w.is_finite())
    }
}

/// An orthonormal basis Z of what is orthogonal to some vectors, with Zᵀ A Z upper Hessenberg.
fn complement(a: &Mat<f64>, vectors: &[&[f64]]) -> (Mat<f64>, Mat<f64>) {
    let n = a.nrows();
    let d = vectors.len();
    let m = n - d;
    let mut rotated = a.clone();
    let mut reflections: Vec<Vec<f64>> = Vec::new();
    for (k, vector) in vectors.iter().enumerate() {
        let mut u = vector.to_vec();
        for reflection in &reflections {
            reflect(reflection, &mut u);
        }
        u[..k].fill(0.0);
        let length = u.iter().map(|u| u * u).sum::<f64>().sqrt();
        u[k] += length.copysign(u[k]);
        let length = u.iter().map(|u| u * u).sum::<f64>().sqrt();
        for u in &mut u {
            *u /= length;
        }
        for column in 0..n {
            reflect(&u, rotated.col_as_slice_mut(column));
        }
        // From the right: rotated -= 2 (rotated u) uᵀ.
        let mut image = vec![0.0; n];
        times(rotated.as_ref(), &u, &mut image);
        for (column, u) in u.iter().enumerate() {
            let out = rotated.col_as_slice_mut(column);
            out.iter_mut().zip(&image).for_each(|(out, image)| *out -= 2.0 * u * image);
        }
        reflections.push(u);
    }
    let mut h = rotated.submatrix(d, d, m, m).to_owned();
    let mut basis = Mat::zeros(n, m);
    (0..m).for_each(|k| basis[(d + k, k)] = 1.0);
    if m > 1 {
        let block = recommended_block_size::<f64>(m - 1, m - 1);
        let mut factors = Mat::zeros(block, m - 1);
        let scratch = hessenberg_in_place_scratch::<f64>(m, block, Par::Seq, faer::prelude::default())
            .or(apply_scratch::<f64>(m - 1, block, n));
        let mut memory = MemBuffer::new(scratch);
        let stack = MemStack::new(&mut memory);
        hessenberg_in_place(h.as_mut(), factors.as_mut(), Par::Seq, stack, faer::prelude::default());
        apply_on_the_right(
            h.submatrix(1, 0, m - 1, m - 1),
            factors.as_ref(),
            Conj::No,
            basis.as_mut().submatrix_mut(d + 1, 1, m - 1, m - 1),
            Par::Seq,
            stack,
        );
        for j in 0..m {
            (j + 2..m).for_each(|i| h[(i, j)] = 0.0);
        }
    }
    for u in reflections.iter().rev() {
        (0..m).for_each(|column| reflect(u, basis.col_as_slice_mut(column)));
    }
    (basis, h)
}

/// x - 2 u (u · x).
fn reflect(u: &[f64], x: &mut [f64]) {
    let share = 2.0 * u.iter().zip(&*x).map(|(u, x)| u * x).sum::<f64>();
    x.iter_mut().zip(u).for_each(|(x, u)| *x -= share * u);
}

/// b = (H - s)⁻¹ b by elimination with row exchanges of an upper Hessenberg H by rows; false for a pivot of
/// 0.
fn solve_hessenberg<S: Scalar>(h: &[f64], shift: S, b: &mut [S], rows: &mut [S]) -> bool {
    let m = b.len();
    for k in 0..m {
        rows[k] = S::from(h[k]) - if k == 0 { shift } else { S::from(0.0) };
    }
    let zero = S::from(0.0);
    for i in 0..m.saturating_sub(1) {
        let (upper, lower) = rows.split_at_mut((i + 1) * m);
        let (current, rest) = (&mut upper[i * m + i..], &mut lower[i + 1..m]);
        let next = &h[(i + 1) * m + i..(i + 2) * m];
        let below = S::from(next[0]);
        if below.modulus() > current[0].modulus() {
            let factor = current[0] / below;
            current[0] = below;
            for ((rest, current), &next) in rest.iter_mut().zip(&mut current[1..]).zip(&next[1..]) {
                let next = S::from(next);
                *rest = *current - factor * next;
                *current = next;
            }
            // The shift of the next row's diagonal, which has moved up.
            current[1] -= shift;
            rest[0] += factor * shift;
            let moved = b[i];
            b[i] = b[i + 1];
            b[i + 1] = moved - factor * b[i];
        } else {
            if current[0] == zero {
                return false;
            }
            let factor = below / current[0];
            for ((rest, &current), &next) in rest.iter_mut().zip(&current[1..]).zip(&next[1..]) {
                *rest = S::from(next) - factor * current;
            }
            rest[0] -= shift;
            let share = factor * b[i];
            b[i + 1] -= share;
        }
    }
    for i in (0..m).rev() {
        let row = &rows[i * m + i..(i + 1) * m];
        if row[0] == zero {
            return false;
        }
        b[i] = (b[i] - row_times(&row[1..], &b[i + 1..])) / row[0];
    }
    true
}

/// Sums that a processor can hold side by side.
const LANES: usize = 8;

/// row · x.
fn row_times<S: Scalar>(row: &[S], x: &[S]) -> S {
    let mut sums = [S::from(0.0); LANES];
    let (rows, xs) = (row.chunks_exact(LANES), x.chunks_exact(LANES));
    let rest = rows.remainder().iter().zip(xs.remainder());
    let rest = rest.fold(S::from(0.0), |sum, (&row, &x)| sum + row * x);
    for (row, x) in rows.zip(xs) {
        for lane in 0..LANES {
            sums[lane] += row[lane] * x[lane];
        }
    }
    sums.into_iter().fold(rest, |sum, part| sum + part)
}
