//! Eigenvalues and eigenvectors at a fixed point.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd;
use faer::{Mat, Par, c64};

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
    /// The spectrum of a system at x.
    ///
    /// # Errors
    /// The eigenvalues do not converge, or the Jacobian is not finite.
    pub fn new(system: &dyn System, x: &[f64]) -> Result<Self> {
        let n = x.len();
        let mut jacobian = Mat::zeros(n, n);
        system.jacobian(x, jacobian.as_mut());
        let (mut re, mut im) = (Diag::zeros(n), Diag::zeros(n));
        let (mut left, mut right) = (Mat::zeros(n, n), Mat::zeros(n, n));
        let both = evd::ComputeEigenvectors::Yes;
        let scratch = evd::evd_scratch::<f64>(n, both, both, Par::Seq, Default::default());
        let refuse = || Error::Numeric {
            what: "eigenvalues at a fixed point".into(),
            reason: "no convergence; are all weights finite?".into(),
        };
        if !(0..n).all(|j| jacobian.col_as_slice(j).iter().all(|x| x.is_finite())) {
            return Err(refuse());
        }
        evd::evd_real(
            jacobian.as_ref(),
            re.as_mut(),
            im.as_mut(),
            Some(left.as_mut()),
            Some(right.as_mut()),
            Par::Seq,
            MemStack::new(&mut MemBuffer::new(scratch)),
            Default::default(),
        )
        .map_err(|_| refuse())?;
        let values: Vec<c64> = (0..n).map(|k| c64::new(re[k], im[k])).collect();
        let (left, right) = scaled(&complex(&left, &values), &complex(&right, &values));
        let kind = system.kind();
        let mut order: Vec<usize> = (0..n).collect();
        let size = |k: usize| growth(kind, values[k]);
        order.sort_by(|&a, &b| size(b).total_cmp(&size(a)).then(values[b].im.total_cmp(&values[a].im)));
        let columns = |m: &Mat<c64>| Mat::from_fn(n, n, |i, k| m[(i, order[k])]);
        let (left, right) = (columns(&left), columns(&right));
        let values: Vec<c64> = order.iter().map(|&k| values[k]).collect();
        let time_constants = values.iter().map(|&value| -1.0 / rate(kind, value)).collect();
        let unstable = values.iter().filter(|&&value| rate(kind, value) > 0.0).count();
        Ok(Self { jacobian, values, right, left, time_constants, unstable })
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

/// Eigenvectors from columns that hold real and imaginary part of those of a pair.
fn complex(vectors: &Mat<f64>, values: &[c64]) -> Mat<c64> {
    let n = values.len();
    let mut second = vec![false; n];
    for k in 0..n {
        if values[k].im != 0.0 && !second[k] && k + 1 < n {
            second[k + 1] = true;
        }
    }
    Mat::from_fn(n, n, |i, k| {
        if values[k].im == 0.0 {
            c64::new(vectors[(i, k)], 0.0)
        } else if second[k] {
            c64::new(vectors[(i, k - 1)], -vectors[(i, k)])
        } else {
            c64::new(vectors[(i, k)], vectors[(i, k + 1)])
        }
    })
}

/// Right vectors of length 1, left ones with lᴴ r = 1.
fn scaled(left: &Mat<c64>, right: &Mat<c64>) -> (Mat<c64>, Mat<c64>) {
    let n = left.nrows();
    let length = |m: &Mat<c64>, k: usize| (0..n).map(|i| m[(i, k)].norm_sqr()).sum::<f64>().sqrt();
    let (mut by_left, mut by_right) = (Vec::new(), Vec::new());
    for k in 0..n {
        let (l, r) = (length(left, k), length(right, k));
        let product: c64 = (0..n).map(|i| left[(i, k)].conj() * right[(i, k)]).sum::<c64>() / (l * r);
        by_right.push(1.0 / r);
        let turned = if product.norm() > 1e-14 { product.conj().inv() } else { c64::new(1.0, 0.0) };
        by_left.push(turned / l);
    }
    (
        Mat::from_fn(n, n, |i, k| left[(i, k)] * by_left[k]),
        Mat::from_fn(n, n, |i, k| right[(i, k)] * by_right[k]),
    )
}
