//! Newton for special points: minimally augmented systems.
//!
//! Let A = R_x - s I, with the wanted eigenvalue s of R_x: 0 at folds, -2 at flips, i omega or exp(i theta) -
//! 1 of pairs. The bordered systems \[A b; cᴴ 0\] (v, g) = (0, 1) and its adjoint, solved by w, give a number
//! g that is 0 where A is singular, with dg = -wᴴ dA v. Newton solves R = 0 and g = 0 for (x, mu), or (x, mu,
//! omega). At the solution A v = 0 and wᴴ A = 0. Source: Govaerts 2000, Numerical methods for bifurcations of
//! dynamical equilibria, chapters 3 and 4.

use faer::traits::ComplexField;
use faer::{Mat, c64};

use super::field::{Field, derivative, second};
use crate::dynamics::Kind;
use crate::dynamics::linear::{Lu, column, singular_vectors};
use crate::dynamics::vector::{dot, largest, moved};

const STEPS: usize = 15;
/// Newton ends at this residual, or at one below the second that does not fall any more.
const SMALL: f64 = 1e-14;
const ACCEPTED: f64 = 1e-10;

/// The eigenvalue that R_x is to have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wanted {
    /// 0.
    Zero,
    /// -2: multiplier -1 of a map.
    MinusTwo,
    /// i omega of a flow, exp(i theta) - 1 of a map: the angle is an unknown.
    Pair(f64),
}

impl Wanted {
    fn value(self, kind: Kind) -> c64 {
        match (self, kind) {
            (Self::Zero, _) => c64::new(0.0, 0.0),
            (Self::MinusTwo, _) => c64::new(-2.0, 0.0),
            (Self::Pair(omega), Kind::Flow) => c64::new(0.0, omega),
            (Self::Pair(theta), Kind::Map) => c64::new(theta.cos() - 1.0, theta.sin()),
        }
    }

    /// d value / d angle.
    fn slope(self, kind: Kind) -> c64 {
        match (self, kind) {
            (Self::Pair(_), Kind::Flow) => c64::new(0.0, 1.0),
            (Self::Pair(theta), Kind::Map) => c64::new(-theta.sin(), theta.cos()),
            _ => c64::new(0.0, 0.0),
        }
    }
}

/// Borders, then the nearly null vectors: real and imaginary parts.
#[derive(Clone)]
pub(super) struct Null {
    pub(super) v: [Vec<f64>; 2],
    pub(super) w: [Vec<f64>; 2],
    pub(super) g: c64,
}

/// (v, w, g) of one bordered matrix.
fn bordered<T: ComplexField>(a: &Mat<T>, b: &[T], c: &[T]) -> (Mat<T>, Mat<T>, T) {
    let n = a.nrows();
    let mut m = Mat::<T>::zeros(n + 1, n + 1);
    m.as_mut().submatrix_mut(0, 0, n, n).copy_from(a);
    for i in 0..n {
        m[(i, n)] = b[i].clone();
        m[(n, i)] = T::conj_impl(&c[i]);
    }
    let lu = Lu::new(m);
    let mut last = Mat::<T>::zeros(n + 1, 1);
    last[(n, 0)] = T::one_impl();
    let (v, w) = (lu.solve(last.clone()), lu.solve_adjoint(last));
    let g = v[(n, 0)].clone();
    (v, w, g)
}

impl Null {
    /// Borders for a start, the same for both sides.
    pub(super) fn start(v: Vec<f64>) -> Self {
        let zero = vec![0.0; v.len()];
        Self { v: [v.clone(), zero.clone()], w: [v, zero], g: c64::new(0.0, 0.0) }
    }

    /// The null vectors of `jacobian` - s I with `self` as borders.
    pub(super) fn of(&self, jacobian: &Mat<f64>, s: c64) -> Self {
        let n = self.v[0].len();
        let length = |v: &[Vec<f64>; 2]| (dot(&v[0], &v[0]) + dot(&v[1], &v[1])).sqrt();
        let (b, c) = (1.0 / length(&self.w), 1.0 / length(&self.v));
        if s.im == 0.0 {
            let mut a = jacobian.submatrix(0, 0, n, n).to_owned();
            (0..n).for_each(|i| a[(i, i)] -= s.re);
            let scaled = |v: &[f64], by: f64| v.iter().map(|v| v * by).collect::<Vec<f64>>();
            let (v, w, g) = bordered(&a, &scaled(&self.w[0], b), &scaled(&self.v[0], c));
            let part = |m: &Mat<f64>| [m.col_as_slice(0)[..n].to_vec(), vec![0.0; n]];
            return Self { v: part(&v), w: part(&w), g: c64::new(g, 0.0) };
        }
        let shift = |i: usize, j: usize| if i == j { s } else { c64::new(0.0, 0.0) };
        let a = Mat::from_fn(n, n, |i, j| c64::new(jacobian[(i, j)], 0.0) - shift(i, j));
        let scaled = |v: &[Vec<f64>; 2], by: f64| {
            std::iter::zip(&v[0], &v[1]).map(|(re, im)| c64::new(re * by, im * by)).collect::<Vec<c64>>()
        };
        let (v, w, g) = bordered(&a, &scaled(&self.w, b), &scaled(&self.v, c));
        let part = |m: &Mat<c64>| {
            let values = &m.col_as_slice(0)[..n];
            [values.iter().map(|x| x.re).collect(), values.iter().map(|x| x.im).collect()]
        };
        Self { v: part(&v), w: part(&w), g }
    }

    /// wᴴ v.
    pub(super) fn overlap(&self) -> c64 {
        let ([v, vi], [w, wi]) = (&self.v, &self.w);
        c64::new(dot(w, v) + dot(wi, vi), dot(w, vi) - dot(wi, v))
    }

    /// wᴴ dR_x(x, mu) v for every unknown, real and imaginary parts; of real vectors the second is 0.
    pub(super) fn slopes(&self, field: &Field<'_>, y: &[f64]) -> [Vec<f64>; 2] {
        let along = |v: &[f64]| {
            let mut along = v.to_vec();
            along.resize(y.len(), 0.0);
            second(field, y, &along)
        };
        let re = along(&self.v[0]);
        let real = left(&self.w[0], &re);
        if largest(&self.v[1]) == 0.0 {
            let none = vec![0.0; real.len()];
            return [real, none];
        }
        let im = along(&self.v[1]);
        [
            moved(&real, 1.0, &left(&self.w[1], &im)),
            moved(&left(&self.w[0], &im), -1.0, &left(&self.w[1], &re)),
        ]
    }
}

/// wᵀ M.
pub(super) fn left(w: &[f64], m: &Mat<f64>) -> Vec<f64> {
    (0..m.ncols()).map(|j| dot(w, m.col_as_slice(j))).collect()
}

/// A special point by Newton.
pub(super) struct Located {
    pub(super) y: Vec<f64>,
    pub(super) wanted: Wanted,
    pub(super) null: Null,
    /// wᴴ dR_x v for every unknown.
    pub(super) slopes: [Vec<f64>; 2],
    /// Largest absolute value of the equations R and g.
    pub(super) residual: f64,
}

impl Located {
    /// ds / d(along t), s the critical eigenvalue of R_x.
    pub(super) fn rate(&self, t: &[f64]) -> c64 {
        c64::new(dot(&self.slopes[0], t), dot(&self.slopes[1], t)) / self.null.overlap()
    }

    /// Growth of Re s of a flow, of |1 + s| of a map, along t.
    pub(super) fn growth(&self, t: &[f64], kind: Kind) -> f64 {
        let multiplier = match kind {
            Kind::Flow => c64::new(1.0, 0.0),
            Kind::Map => self.wanted.value(kind) + c64::new(1.0, 0.0),
        };
        (multiplier.conj() * self.rate(t)).re
    }
}

/// Newton from `y` for R = 0 and an eigenvalue of R_x; one parameter.
pub(super) fn singular(field: &Field<'_>, y: &[f64], mut wanted: Wanted, start: Null) -> Option<Located> {
    let (n, kind) = (field.states(), field.kind());
    let angle = matches!(wanted, Wanted::Pair(_));
    let size = n + 1 + usize::from(angle);
    let mut y = y.to_vec();
    let mut null = start;
    let mut best = f64::INFINITY;
    for step in 0..STEPS {
        let jacobian = derivative(field, &y);
        let s = wanted.value(kind);
        // Borders of a first guess are far from null; two rounds of inverse iteration mend them.
        for _ in 0..if step == 0 { 3 } else { 1 } {
            null = null.of(&jacobian, s);
        }
        let slopes = null.slopes(field, &y);
        let mut rest = vec![0.0; n];
        field.residual(&y, &mut rest);
        rest.push(null.g.re);
        let mut m = Mat::zeros(size, size);
        m.as_mut().submatrix_mut(0, 0, n, n + 1).copy_from(&jacobian);
        for j in 0..=n {
            m[(n, j)] = -slopes[0][j];
        }
        if angle {
            rest.push(null.g.im);
            // A = R_x - s I: the angle moves g by + wᴴ s' v.
            let by = wanted.slope(kind) * null.overlap();
            (m[(n, n + 1)], m[(n + 1, n + 1)]) = (by.re, by.im);
            for j in 0..=n {
                m[(n + 1, j)] = -slopes[1][j];
            }
        }
        let residual = largest(&rest);
        if !residual.is_finite() {
            return None;
        }
        let by = Lu::new(m).solve_vector(&rest);
        if residual <= SMALL || (residual <= ACCEPTED && residual >= best) {
            return Some(Located { y, wanted, null, slopes, residual });
        }
        best = residual;
        y = moved(&y, -1.0, &by[..=n]);
        if let Wanted::Pair(angle) = &mut wanted {
            *angle -= by[n + 1];
        }
    }
    None
}

/// A point where two branches cross.
pub(super) struct Crossing {
    pub(super) y: Vec<f64>,
    /// Tangents of the two branches, of any length.
    pub(super) tangents: [Vec<f64>; 2],
    pub(super) psi: Vec<f64>,
    pub(super) residual: f64,
}

/// Newton from `y` for R = 0 and a derivative R_y (n × (n + 1)) of rank n - 1.
///
/// R + beta p = 0, psiᵀ R_y = 0: psi by a bordered system with two borders P, whose two numbers g are 0 at
/// the crossing. The tangents solve psiᵀ R_yy t t = 0 in the null space of R_y. `None` without convergence,
/// where beta is not 0, and where the tangents are not real.
pub(super) fn crossing(field: &Field<'_>, y: &[f64]) -> Option<Crossing> {
    let n = field.states();
    let mut y = y.to_vec();
    let (left_vectors, right) = singular_vectors(derivative(field, &y).as_ref())?;
    let p = left_vectors.col_as_slice(n - 1).to_vec();
    // The two right singular vectors of the least values.
    let mut v: [Vec<f64>; 2] = [n - 1, n].map(|k| right.col_as_slice(k).to_vec());
    let mut beta = 0.0;
    let mut best = f64::INFINITY;
    for _ in 0..STEPS {
        let jacobian = derivative(field, &y);
        let mut b = Mat::zeros(n + 2, n + 2);
        b.as_mut().submatrix_mut(0, 0, n + 1, n).copy_from(jacobian.transpose());
        for i in 0..=n {
            (b[(i, n)], b[(i, n + 1)]) = (v[0][i], v[1][i]);
        }
        (0..n).for_each(|i| b[(n + 1, i)] = p[i]);
        let lu = Lu::new(b);
        let mut last = Mat::zeros(n + 2, 1);
        last[(n + 1, 0)] = 1.0;
        let psi = column(&lu.solve(last));
        let mut ends = Mat::zeros(n + 2, 2);
        (ends[(n, 0)], ends[(n + 1, 1)]) = (1.0, 1.0);
        let null = lu.solve_adjoint(ends);
        let next: [Vec<f64>; 2] = [0, 1].map(|k| null.col_as_slice(k)[..=n].to_vec());
        let bent = [0, 1].map(|k| left(&psi[..n], &second(field, &y, &next[k])));
        let mut rest = vec![0.0; n];
        field.residual(&y, &mut rest);
        rest = moved(&rest, beta, &p);
        rest.extend([psi[n], psi[n + 1]]);
        let mut m = Mat::zeros(n + 2, n + 2);
        m.as_mut().submatrix_mut(0, 0, n, n + 1).copy_from(&jacobian);
        for i in 0..n {
            m[(i, n + 1)] = p[i];
        }
        for j in 0..=n {
            (m[(n, j)], m[(n + 1, j)]) = (-bent[0][j], -bent[1][j]);
        }
        let residual = largest(&rest);
        if !residual.is_finite() {
            return None;
        }
        let by = Lu::new(m).solve_vector(&rest);
        if residual <= SMALL || (residual <= ACCEPTED && residual >= best) {
            if beta.abs() > 1e-9 {
                return None;
            }
            // a² c11 + 2 a b c12 + b² c22 = 0.
            let (c11, c12, c22) = (dot(&bent[0], &next[0]), dot(&bent[0], &next[1]), dot(&bent[1], &next[1]));
            let root = (c12 * c12 - c11 * c22).sqrt();
            // Without cancellation: q = -(c12 + sign root), (q : c11) and (c22 : q).
            let q = -(c12 + root.copysign(c12));
            let mixed = |a: f64, b: f64| {
                let sum: Vec<f64> = std::iter::zip(&next[0], &next[1]).map(|(x, z)| a * x + b * z).collect();
                let length = dot(&sum, &sum).sqrt();
                sum.iter().map(|t| t / length).collect::<Vec<f64>>()
            };
            let tangents = [mixed(q, c11), mixed(c22, q)];
            let real = tangents.iter().flatten().all(|t| t.is_finite());
            return real.then(|| Crossing { y, tangents, psi: psi[..n].to_vec(), residual });
        }
        best = residual;
        y = moved(&y, -1.0, &by[..=n]);
        beta -= by[n + 1];
        // Orthonormal borders again.
        let unit = |a: &[f64]| moved(&vec![0.0; a.len()], 1.0 / dot(a, a).sqrt(), a);
        let first = unit(&next[0]);
        v = [first.clone(), unit(&moved(&next[1], -dot(&first, &next[1]), &first))];
    }
    None
}

/// Coefficients (a, b) of a fold: along its null vector, dz/dt = b (mu - mu_0) + a z², b > 0.
///
/// a = w R_xx v v / 2, b = w R_mu with |v| = 1, w v = 1.
pub(super) fn fold_coefficients(field: &Field<'_>, located: &Located) -> [f64; 2] {
    let n = field.states();
    let (v, w) = (&located.null.v[0], &located.null.w[0]);
    let overlap = dot(v, w);
    let length = dot(v, v).sqrt();
    let a = 0.5 * dot(&located.slopes[0][..n], v) / (overlap * length);
    let b = left(w, &derivative(field, &located.y))[n] * length / overlap;
    [a * b.signum(), b.abs()]
}
