//! The latent of a map of low rank: all its cycles, in as few dimensions as its rank.

use std::iter::zip;

use faer::{Mat, MatRef};

use super::{Piecewise, System, diagonal};
use crate::dynamics::linear::{add_product, transposed_times};

/// A singular value below this share of the largest is 0.
const RANK: f64 = 1e-12;

/// The map of R numbers y that z' = A z + P sigma(Q z + r) + s makes of them, with the gates of z.
///
/// | where | y | y' |
/// |---|---|---|
/// | A = a I, P of rank R | z = s / (1 - a) + U y on all cycles, U: a basis of the columns of P | a y + Uᵀ P sigma |
/// | A = a I, Q of rank R | y = Vᵀ z, V: a basis of the rows of Q | a y + Vᵀ P sigma + Vᵀ s |
/// | \[A, P\] of rank R | z = s + U y after a step, U: a basis of the columns of both | Uᵀ (A (s + U y) + P sigma) |
///
/// A cycle of z is one of y with the same regions, and the other way round.
pub(super) struct Latent {
    /// The map of y.
    pub(super) map: Piecewise,
    back: Back,
}

/// How z comes from y.
enum Back {
    /// z = center + U y.
    Affine { center: Vec<f64>, basis: Mat<f64> },
    /// z' = a z + P sigma(gates of y) + s, on the orbit that repeats.
    Driven { keep: f64 },
}

/// An orthonormal basis of the columns of m, n × R; `None` without convergence.
fn columns(m: MatRef<'_, f64>) -> Option<Mat<f64>> {
    let svd = m.thin_svd().ok()?;
    let values = svd.S().column_vector();
    let rank = (0..values.nrows()).filter(|&i| values[i] > RANK * values[0]).count();
    Some(svd.U().subcols(0, rank).to_owned())
}

impl Latent {
    /// The latent of a map, if it has fewer dimensions than the map.
    pub(super) fn of(map: &Piecewise) -> Option<Self> {
        let n = map.n();
        let keep = map.a[(0, 0)];
        let latent = if map.a == diagonal(&vec![keep; n]) && keep.abs() != 1.0 {
            let (u, v) = (columns(map.p.as_ref())?, columns(map.q.transpose())?);
            if u.ncols() <= v.ncols() {
                let center = map.s.iter().map(|s| s / (1.0 - keep)).collect();
                Self::affine(map, center, u)
            } else {
                let a = diagonal(&vec![keep; v.ncols()]);
                let s = transposed_times(&v, &map.s);
                Self::new(
                    a,
                    v.transpose() * &map.p,
                    &map.q * &v,
                    map.r.clone(),
                    s,
                    map,
                    Back::Driven { keep },
                )
            }
        } else {
            let both =
                Mat::from_fn(
                    n,
                    n + map.r.len(),
                    |i, j| if j < n { map.a[(i, j)] } else { map.p[(i, j - n)] },
                );
            Self::affine(map, map.s.clone(), columns(both.as_ref())?)
        };
        latent.filter(|latent| latent.map.n() < n)
    }

    /// z = center + U y.
    fn affine(map: &Piecewise, center: Vec<f64>, basis: Mat<f64>) -> Option<Self> {
        let (a, p) = (basis.transpose() * &map.a * &basis, basis.transpose() * &map.p);
        let r = map.gates(&center);
        // A center + s - center: 0 up to rounding where A = a I.
        let mut s: Vec<f64> = zip(&map.s, &center).map(|(s, center)| s - center).collect();
        add_product(&mut s, &map.a, &center);
        let s = transposed_times(&basis, &s);
        let q = &map.q * &basis;
        Self::new(a, p, q, r, s, map, Back::Affine { center, basis })
    }

    fn new(
        a: Mat<f64>,
        p: Mat<f64>,
        q: Mat<f64>,
        r: Vec<f64>,
        s: Vec<f64>,
        map: &Piecewise,
        back: Back,
    ) -> Option<Self> {
        let latent = Piecewise::new(a, p, q, r, s, map.pieces.clone()).ok()?;
        Some(Self { map: latent, back })
    }

    /// The point z of the orbit of period k that the latent point y belongs to.
    pub(super) fn lift(&self, map: &Piecewise, y: &[f64], k: usize) -> Vec<f64> {
        match &self.back {
            Back::Affine { center, basis } => {
                let mut z = center.clone();
                add_product(&mut z, basis, y);
                z
            }
            Back::Driven { keep } => {
                let mut y = y.to_vec();
                let mut next = y.clone();
                let mut z = vec![0.0; map.n()];
                for _ in 0..k {
                    zip(&mut z, &map.s).for_each(|(z, s)| *z = keep * *z + s);
                    add_product(&mut z, &map.p, &map.activated(self.map.gates(&y)));
                    self.map.value(&y, &mut next);
                    std::mem::swap(&mut y, &mut next);
                }
                let whole = 1.0 - keep.powi(k as i32);
                z.iter().map(|z| z / whole).collect()
            }
        }
    }
}
