//! Cubic coefficients of normal forms: whether what is born is stable.
//!
//! With the critical vectors A q = s q, pᴴ A = s pᴴ, |q| = 1, pᴴ q = 1, the second and third derivatives B
//! and C of R, and R_x h = -B(q, q̄), (R_x - s_2) k = -B(q, q) with s_2 = 2 i omega or exp(2 i theta) - 1:
//!
//! | point | coefficient |
//! |---|---|
//! | pitchfork | p (C(q, q, q) + 3 B(q, h)) / 6 |
//! | flip | the same with the sign changed |
//! | Hopf | Re pᴴ (C(q, q, q̄) + 2 B(q, h) + B(q̄, k)) / (2 omega) |
//! | Neimark-Sacker | Re exp(-i theta) pᴴ (the same) / 2 |
//!
//! Source: Kuznetsov 2004, Elements of applied bifurcation theory, section 5.4, in this notation.

use std::iter::zip;

use faer::{Mat, c64};

use super::field::{Field, derivative, second};
use super::locate::Wanted;
use crate::dynamics::Kind;
use crate::dynamics::linear::{Lu, add_product};
use crate::dynamics::vector::{dot, largest, moved};

type Complex = [Vec<f64>; 2];

/// M (a + i b).
fn times(m: &Mat<f64>, x: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; m.nrows()];
    add_product(&mut out, m, x);
    out
}

/// The second derivative of R_x along u, n × n.
fn curved(field: &Field<'_>, y: &[f64], u: &[f64]) -> Mat<f64> {
    let n = field.states();
    let h = 1e-3 * (1.0 + largest(y)) / largest(u).max(f64::MIN_POSITIVE);
    let mut along = u.to_vec();
    along.resize(y.len(), 0.0);
    let [high, here, low] = [h, 0.0, -h].map(|h| derivative(field, &moved(y, h, &along)));
    Mat::from_fn(n, n, |i, j| (high[(i, j)] - 2.0 * here[(i, j)] + low[(i, j)]) / (h * h))
}

/// The coefficient at `y`: negative where what is born is stable but for other unstable directions.
///
/// About seven digits: derivatives by differences. `None` where a system is singular or p and q are
/// orthogonal.
pub(super) fn cubic(field: &Field<'_>, y: &[f64], wanted: Wanted, v: &Complex, w: &Complex) -> Option<f64> {
    let n = field.states();
    let length = (dot(&v[0], &v[0]) + dot(&v[1], &v[1])).sqrt();
    let q = v.each_ref().map(|part| part.iter().map(|x| x / length).collect::<Vec<f64>>());
    let jacobian = derivative(field, y).submatrix(0, 0, n, n).to_owned();
    let along = |u: &[f64]| {
        let mut along = u.to_vec();
        along.resize(y.len(), 0.0);
        second(field, y, &along).submatrix(0, 0, n, n).to_owned()
    };
    // wᴴ z / wᴴ q.
    let project = |re: &[f64], im: &[f64]| {
        let with = |re: &[f64], im: &[f64]| {
            c64::new(dot(&w[0], re) + dot(&w[1], im), dot(&w[0], im) - dot(&w[1], re))
        };
        with(re, im) / with(&q[0], &q[1])
    };
    let [b_re, b_im] = q.each_ref().map(|part| along(part));
    let (aa, ab, bb) = (times(&b_re, &q[0]), times(&b_re, &q[1]), times(&b_im, &q[1]));
    let [c_re, c_im] = q.each_ref().map(|part| curved(field, y, part));
    let zero = vec![0.0; n];
    // h, on the complement of q where R_x is singular.
    let mut m = Mat::zeros(n + 1, n + 1);
    m.as_mut().submatrix_mut(0, 0, n, n).copy_from(&jacobian);
    if wanted == Wanted::Zero {
        (0..n).for_each(|i| (m[(i, n)], m[(n, i)]) = (w[0][i], w[0][i]));
    } else {
        m[(n, n)] = 1.0;
    }
    let mut right: Vec<f64> = zip(&aa, &bb).map(|(a, b)| -(a + b)).collect();
    right.push(0.0);
    let h = &Lu::new(m).solve_vector(&right)[..n];
    let bh = [times(&b_re, h), times(&b_im, h)];
    let value = match wanted {
        Wanted::Zero | Wanted::MinusTwo => {
            let sum = moved(&times(&c_re, &q[0]), 3.0, &bh[0]);
            let sign = if wanted == Wanted::Zero { 1.0 } else { -1.0 };
            sign * project(&sum, &zero).re / 6.0
        }
        Wanted::Pair(angle) => {
            let (factor, s) = match field.kind() {
                Kind::Flow => (c64::new(0.5 / angle, 0.0), c64::new(0.0, 2.0 * angle)),
                Kind::Map => {
                    (c64::new(0.0, -angle).exp() * 0.5, c64::new(0.0, 2.0 * angle).exp() - c64::new(1.0, 0.0))
                }
            };
            let shift = |i: usize, j: usize| if i == j { s } else { c64::new(0.0, 0.0) };
            let m = Mat::from_fn(n, n, |i, j| c64::new(jacobian[(i, j)], 0.0) - shift(i, j));
            // B(q, q) = B(a, a) - B(b, b) + 2 i B(a, b).
            let k = Lu::new(m).solve(Mat::from_fn(n, 1, |i, _| c64::new(bb[i] - aa[i], -2.0 * ab[i])));
            let k = [
                k.col_as_slice(0).iter().map(|k| k.re).collect(),
                k.col_as_slice(0).iter().map(|k| k.im).collect(),
            ];
            let k: Complex = k;
            // C(q, q, q̄) = C(a, a, a) + C(a, b, b) + i (C(a, a, b) + C(b, b, b)).
            let re = moved(&times(&c_re, &q[0]), 1.0, &times(&c_im, &q[0]));
            let im = moved(&times(&c_re, &q[1]), 1.0, &times(&c_im, &q[1]));
            let (re, im) = (moved(&re, 2.0, &bh[0]), moved(&im, 2.0, &bh[1]));
            // B(q̄, k) = (B(a) - i B(b)) (k_re + i k_im).
            let re = moved(&moved(&re, 1.0, &times(&b_re, &k[0])), 1.0, &times(&b_im, &k[1]));
            let im = moved(&moved(&im, 1.0, &times(&b_re, &k[1])), -1.0, &times(&b_im, &k[0]));
            (factor * project(&re, &im)).re
        }
    };
    value.is_finite().then_some(value)
}
