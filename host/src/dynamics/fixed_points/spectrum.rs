//! Eigenvalues and eigenvectors at a fixed point.

use std::iter::zip;

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd;
use faer::{Mat, Par, Spec, c64};

use crate::dynamics::{Kind, System};
use crate::{Error, Result};

/// The linearisation at a point: J R = R diag(lambda), Lᴴ J = diag(lambda) Lᴴ, Lᴴ R = 1.
#[derive(Clone, Debug)]
pub struct Spectrum {
    /// J, n × n: the derivative of the map, or of the flow.
    pub jacobian: Mat<f64>,
    /// lambda, slowest first: by falling |lambda| of a map, by falling real part of a flow.
    pub values: Vec<c64>,
    /// R: column k is the right eigenvector of value k, of length 1.
    pub right: Mat<c64>,
    /// L: column k is the left eigenvector of value k, with l_kᴴ r_k = 1 (of length 1 where l_kᴴ r_k = 0, at
    /// eigenvalues without enough eigenvectors).
    pub left: Mat<c64>,
    /// -1 / ln |lambda| steps of a map, -1 / Re lambda of a flow in units of its time; negative: grows.
    pub time_constants: Vec<f64>,
    /// Number of values with |lambda| > 1 of a map, Re lambda > 0 of a flow.
    pub unstable: usize,
}

impl Spectrum {
    /// The spectrum of a system at x, with its eigenvectors.
    ///
    /// # Errors
    /// The eigenvalues do not converge, or the Jacobian is not finite.
    pub fn new(system: &dyn System, x: &[f64]) -> Result<Self> {
        Self::with(system, x, true)
    }

    /// The eigenvalues alone, in two thirds of the time; R and L are n × 0.
    ///
    /// # Errors
    /// As [`Spectrum::new`].
    pub fn values_alone(system: &dyn System, x: &[f64]) -> Result<Self> {
        Self::with(system, x, false)
    }

    fn with(system: &dyn System, x: &[f64], vectors: bool) -> Result<Self> {
        let n = x.len();
        let mut jacobian = Mat::zeros(n, n);
        system.jacobian(x, jacobian.as_mut());
        let refuse = || Error::Numeric {
            what: "eigenvalues at a fixed point".into(),
            reason: "no convergence; are all weights finite?".into(),
        };
        if !(0..n).all(|j| jacobian.col_as_slice(j).iter().all(|x| x.is_finite())) {
            return Err(refuse());
        }
        let asked = if vectors { evd::ComputeEigenvectors::Yes } else { evd::ComputeEigenvectors::No };
        let columns = if vectors { n } else { 0 };
        let (mut re, mut im) = (Diag::zeros(n), Diag::zeros(n));
        let (mut left, mut right) = (Mat::zeros(n, columns), Mat::zeros(n, columns));
        let scratch = evd::evd_scratch::<f64>(n, asked, asked, Par::Seq, Spec::default());
        evd::evd_real(
            jacobian.as_ref(),
            re.as_mut(),
            im.as_mut(),
            vectors.then(|| left.as_mut()),
            vectors.then(|| right.as_mut()),
            Par::Seq,
            MemStack::new(&mut MemBuffer::new(scratch)),
            Spec::default(),
        )
        .map_err(|_| refuse())?;
        let kind = system.kind();
        let all: Vec<c64> = (0..n).map(|k| c64::new(re[k], im[k])).collect();
        let sizes: Vec<f64> = all.iter().map(|&value| growth(kind, value)).collect();
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| sizes[b].total_cmp(&sizes[a]).then(im[b].total_cmp(&im[a])));
        let (mut l, mut r) = (Mat::zeros(n, columns), Mat::zeros(n, columns));
        for (to, &k) in order[..columns].iter().enumerate() {
            vector(&right, k, im[k], r.col_as_slice_mut(to));
            vector(&left, k, im[k], l.col_as_slice_mut(to));
            scale(l.col_as_slice_mut(to), r.col_as_slice_mut(to));
        }
        let values: Vec<c64> = order.iter().map(|&k| all[k]).collect();
        let rates: Vec<f64> = values.iter().map(|&value| rate(kind, value)).collect();
        let time_constants = rates.iter().map(|rate| -1.0 / rate).collect();
        let unstable = rates.iter().filter(|&&rate| rate > 0.0).count();
        Ok(Self { jacobian, values, right: r, left: l, time_constants, unstable })
    }
}

/// What orders eigenvalues from slow to fast, or from growing to decaying.
fn growth(kind: Kind, value: c64) -> f64 {
    match kind {
        Kind::Map => value.norm(),
        Kind::Flow => value.re,
    }
}

/// Rate at which a perturbation grows, a step or a unit of time.
fn rate(kind: Kind, value: c64) -> f64 {
    match kind {
        Kind::Map => value.norm().ln(),
        Kind::Flow => value.re,
    }
}

/// Eigenvector k from columns that hold real and imaginary part of that of a pair: first the one with im > 0.
fn vector(columns: &Mat<f64>, k: usize, im: f64, out: &mut [c64]) {
    let (re, of, sign) = match im {
        im if im > 0.0 => (k, k + 1, 1.0),
        im if im < 0.0 => (k - 1, k, -1.0),
        _ => (k, k, 0.0),
    };
    let parts = zip(columns.col_as_slice(re), columns.col_as_slice(of));
    zip(out, parts).for_each(|(out, (re, im))| *out = c64::new(*re, sign * im));
}

/// Scales r to length 1 and l to lᴴ r = 1.
fn scale(l: &mut [c64], r: &mut [c64]) {
    let length = |v: &[c64]| v.iter().map(c64::norm_sqr).sum::<f64>().sqrt();
    let (by_l, by_r) = (1.0 / length(l), 1.0 / length(r));
    let product = zip(&*l, &*r).map(|(l, r)| l.conj() * r).sum::<c64>() * by_l * by_r;
    let turned = if product.norm() > 1e-14 { product.conj().inv() } else { c64::new(1.0, 0.0) };
    for (l, r) in zip(l, r) {
        *l = *l * turned * by_l;
        *r *= by_r;
    }
}
