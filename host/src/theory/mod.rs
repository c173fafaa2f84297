//! The linear network with one channel, exactly: its training is that of a 2 × 2 matrix.
//!
//! The average loss L(W) = sum_{k = 1..T} omega_k (d · Wᵏ e - s gamma^k)², omega_k = (T + 1 - k) / (s² T²), has the
//! gradient sum_k 2 omega_k r_k sum_{j < k} (Wᵀ)ʲ d (W^{k-1-j} e)ᵀ. Let Q (n × 2) be an orthonormal basis of the span
//! of e and d. If Q Qᵀ W = W Q Qᵀ, all these vectors are in the span, so the gradient is Q G Qᵀ: gradient descent and
//! flow change only A = Qᵀ W Q, by G = dL/dA of the same loss with Qᵀ e and Qᵀ d, and never what W does outside the
//! span. W = 0 is such a start, and so is W = Q A Qᵀ with a Gaussian A. A Gaussian W is not: it mixes the span with
//! what is outside.
//!
//! Solutions: m_k = d · Aᵏ e obeys m_{k+2} = tr A m_{k+1} - det A m_k with m_0 = d · e, so the first three conditions
//! give det A (s - d · e) = 0 and tr A = gamma + det A d · e / (s gamma). Hence for s ≠ d · e *three steps are enough*:
//! a zero loss at T = 3 is a zero loss at every T, A has rank 1, and the solutions are the one-parameter isoscale
//! family of [`Reduced::isoscale`]. At the dot scale s = d · e the determinant is free: the solutions are the planes
//! A e = gamma e and Aᵀ d = gamma d. A null start treats e and d alike, so it goes to where the planes cross. There
//! the loss is quartic in the direction between them, x' ~ -x³, and falls as t⁻²; every other start ends on one plane,
//! where the loss is quadratic, and falls exponentially.
//!
//! Source: Fanthomme & Monasson 2021, section on the linear network with one channel; the derivations are our own.

mod study;

use faer::Mat;
use serde::{Deserialize, Serialize};

pub use study::{Curve, Isoscale, Study, gaussian};

use crate::task::Integration;
use crate::train::vectors::joint_basis;
use crate::{Error, Result};

/// A 2 × 2 matrix by rows.
pub type Two = [[f64; 2]; 2];

/// What the 2 × 2 matrix is trained for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reduced {
    /// gamma.
    pub decay: f64,
    /// s, not 0.
    pub scale: f64,
    /// T.
    pub steps: usize,
    /// Qᵀ e.
    pub encoder: [f64; 2],
    /// Qᵀ d.
    pub decoder: [f64; 2],
}

fn dot(a: [f64; 2], b: [f64; 2]) -> f64 {
    a[0] * b[0] + a[1] * b[1]
}

/// A v, or Aᵀ v.
fn times(a: &Two, v: [f64; 2], transposed: bool) -> [f64; 2] {
    if transposed {
        [dot([a[0][0], a[1][0]], v), dot([a[0][1], a[1][1]], v)]
    } else {
        a.map(|row| dot(row, v))
    }
}

impl Reduced {
    /// The problem of encoders and decoders of length 1.
    ///
    /// overlap: e · d, in (-1, 1); scale: not 0; steps: at least 1.
    ///
    /// # Errors
    /// One of these is out of its range.
    ///
    /// ```
    /// use tinyfold::theory::Reduced;
    /// let problem = Reduced::new(0.995, 1.0, 3, 0.4)?;
    /// let solution = problem.isoscale(0.5).expect("not along e");
    /// assert!(problem.loss(&solution) < 1e-28);
    /// // A zero loss at T = 3 holds for all times.
    /// assert!(Reduced::new(0.995, 1.0, 500, 0.4)?.loss(&solution) < 1e-24);
    /// # Ok::<(), tinyfold::Error>(())
    /// ```
    pub fn new(decay: f64, scale: f64, steps: usize, overlap: f64) -> Result<Self> {
        let out_of =
            |place: &str, expected: &str, found: f64| Err(Error::input(place, expected, found.to_string()));
        if !(overlap > -1.0 && overlap < 1.0) {
            return out_of("overlap", "above -1 and below 1", overlap);
        }
        if !(decay > 0.0 && decay < 1.0) {
            return out_of("decay", "above 0 and below 1", decay);
        }
        if scale == 0.0 || !scale.is_finite() {
            return out_of("scale", "a number that is not 0", scale);
        }
        if steps == 0 {
            return out_of("steps", "at least 1", 0.0);
        }
        let decoder = [overlap, (1.0 - overlap * overlap).sqrt()];
        Ok(Self { decay, scale, steps, encoder: [1.0, 0.0], decoder })
    }

    /// The problem of one encoder (n × 1) and one decoder (1 × n), and the basis Q (n × 2).
    ///
    /// # Errors
    /// A task of more than one channel; e and d along each other.
    pub fn of_vectors(
        encoder: &Mat<f64>,
        decoder: &Mat<f64>,
        task: &Integration,
        steps: usize,
    ) -> Result<(Self, Mat<f64>)> {
        let (n, channels) = (encoder.nrows(), task.channels());
        if channels != 1 || encoder.ncols() != 1 || decoder.shape() != (1, n) {
            let found = format!("{channels} channels");
            return Err(Error::input(
                "task of the 2 × 2 reduction",
                "1 channel, one encoder, one decoder",
                found,
            ));
        }
        let cosine = (decoder * encoder)[(0, 0)] / (encoder.norm_l2() * decoder.norm_l2());
        let basis = joint_basis(encoder, decoder);
        let (e, d) = (basis.transpose() * encoder, basis.transpose() * decoder.transpose());
        let place = |m: &Mat<f64>| [m[(0, 0)], m[(1, 0)]];
        let unit = Self::new(task.decays[0], task.scales[0], steps, cosine)?;
        Ok((Self { encoder: place(&e), decoder: place(&d), ..unit }, basis))
    }

    /// e · d.
    #[must_use]
    pub fn overlap(&self) -> f64 {
        dot(self.encoder, self.decoder)
    }

    /// omega_k and r_k = d · Aᵏ e - s gamma^k for k = 1 .. T.
    fn residuals(&self, a: &Two) -> Vec<(f64, f64)> {
        let mut power = self.encoder;
        let norm = (self.scale * self.steps as f64).powi(2);
        (1..=self.steps)
            .map(|k| {
                power = times(a, power, false);
                let wanted = self.scale * self.decay.powi(k as i32);
                ((self.steps + 1 - k) as f64 / norm, dot(self.decoder, power) - wanted)
            })
            .collect()
    }

    /// The average loss.
    #[must_use]
    pub fn loss(&self, a: &Two) -> f64 {
        self.residuals(a).iter().map(|(share, rest)| share * rest * rest).sum()
    }

    /// d(d · Aᵏ e) / dA for k = 1 .. T.
    fn sensitivities(&self, a: &Two) -> Vec<Two> {
        let powers = |start: [f64; 2], transposed: bool| {
            let next = |v: &[f64; 2]| Some(times(a, *v, transposed));
            std::iter::successors(Some(start), next).take(self.steps).collect::<Vec<[f64; 2]>>()
        };
        let (right, left) = (powers(self.encoder, false), powers(self.decoder, true));
        (1..=self.steps)
            .map(|k| {
                let mut sum = Two::default();
                for j in 0..k {
                    for (row, left) in sum.iter_mut().zip(left[j]) {
                        for (entry, right) in row.iter_mut().zip(right[k - 1 - j]) {
                            *entry += left * right;
                        }
                    }
                }
                sum
            })
            .collect()
    }

    /// dL / dA.
    #[must_use]
    pub fn gradient(&self, a: &Two) -> Two {
        let mut gradient = Two::default();
        for ((share, rest), slope) in self.residuals(a).into_iter().zip(self.sensitivities(a)) {
            for (entry, slope) in gradient.as_flattened_mut().iter_mut().zip(slope.as_flattened()) {
                *entry += 2.0 * share * rest * slope;
            }
        }
        gradient
    }

    /// Eigenvalues of the Hessian at a solution, largest first: H = 2 sum_k omega_k g_k g_kᵀ, g_k = d(d · Aᵏ e) / dA.
    ///
    /// At a solution these are all eigenvalues of the n² × n² Hessian of L(W) but zeros; elsewhere terms with r_k
    /// would be missing. For s ≠ d · e and T >= 3 one is 0: the direction of the isoscale family.
    ///
    /// # Errors
    /// The decomposition does not converge.
    pub fn hessian_eigenvalues(&self, a: &Two) -> Result<[f64; 4]> {
        // As singular values of the rows sqrt(2 omega_k) g_k: small ones keep their digits.
        let (residuals, slopes) = (self.residuals(a), self.sensitivities(a));
        let rows = Mat::from_fn(self.steps.max(4), 4, |k, at| match slopes.get(k) {
            Some(slope) => (2.0 * residuals[k].0).sqrt() * slope.as_flattened()[at],
            None => 0.0,
        });
        let values = rows.singular_values().map_err(|_| Error::Numeric {
            what: "Hessian of the 2 × 2 reduction".into(),
            reason: "no convergence; is the matrix finite?".into(),
        })?;
        Ok(std::array::from_fn(|k| values[k] * values[k]))
    }

    /// Condition number of the Hessian at a solution of the isoscale family: largest eigenvalue by the third.
    ///
    /// # Errors
    /// The decomposition does not converge.
    pub fn condition(&self, a: &Two) -> Result<f64> {
        let [first, _, third, _] = self.hessian_eigenvalues(a)?;
        Ok(first / third)
    }

    /// The solution t of the isoscale family, `None` where there is none (l along e) and at the dot scale.
    ///
    /// A = gamma l rᵀ with l = d / |d|² + t d⊥, d⊥ a unit vector at a right angle to d, and r from r · e = s,
    /// r · l = 1: then d · l = 1 and d · Aᵏ e = s gamma^k. t runs over the real numbers and leaves out one.
    #[must_use]
    pub fn isoscale(&self, t: f64) -> Option<Two> {
        let (e, d) = (self.encoder, self.decoder);
        let length = dot(d, d).sqrt();
        let across = [-d[1] / length, d[0] / length];
        let l = [0, 1].map(|i| d[i] / (length * length) + t * across[i]);
        let cross = e[0] * l[1] - e[1] * l[0];
        if cross.abs() <= 1e-12 * dot(e, e).sqrt() * dot(l, l).sqrt() || self.scale == self.overlap() {
            return None;
        }
        let r = [(self.scale * l[1] - e[1]) / cross, (e[0] - self.scale * l[0]) / cross];
        Some(l.map(|l| r.map(|r| self.decay * l * r)))
    }

    /// The solution of the isoscale family with the least sum of squares, to a part in a thousand.
    ///
    /// # Errors
    /// The scale is the dot scale.
    pub fn least_isoscale(&self) -> Result<Two> {
        let norm = |a: &Two| a.as_flattened().iter().map(|x| x * x).sum::<f64>();
        (1..4000)
            .filter_map(|k| self.isoscale((std::f64::consts::PI * (f64::from(k) / 4000.0 - 0.5)).tan()))
            .min_by(|a, b| norm(a).total_cmp(&norm(b)))
            .ok_or_else(|| Error::input("scale", "other than the overlap of e and d", self.scale.to_string()))
    }

    /// Plain gradient descent on A, A' = A - rate dL/dA: the last A, and (epoch, loss) at about 60 epochs a factor of
    /// ten.
    ///
    /// # Errors
    /// The loss stops being finite.
    pub fn descend(&self, start: &Two, rate: f64, epochs: usize) -> Result<(Two, Vec<(usize, f64)>)> {
        let (mut a, mut losses, mut next) = (*start, Vec::new(), 0);
        for epoch in 0..=epochs {
            if epoch == next || epoch == epochs {
                let loss = self.loss(&a);
                if !loss.is_finite() {
                    let reason = format!("the loss is not finite at epoch {epoch}; a rate below {rate}?");
                    return Err(Error::Numeric { what: "descent of the 2 × 2 reduction".into(), reason });
                }
                losses.push((epoch, loss));
                next = (epoch + 1).max((epoch as f64 * 1.04) as usize);
            }
            if epoch < epochs {
                let gradient = self.gradient(&a);
                for (entry, slope) in a.as_flattened_mut().iter_mut().zip(gradient.as_flattened()) {
                    *entry -= rate * slope;
                }
            }
        }
        Ok((a, losses))
    }
}

/// Eigenvalues of A as real and imaginary part of the one with the larger real part, and the other.
#[must_use]
pub fn eigenvalues(a: &Two) -> [(f64, f64); 2] {
    let (half, determinant) = (f64::midpoint(a[0][0], a[1][1]), a[0][0] * a[1][1] - a[0][1] * a[1][0]);
    let square = half * half - determinant;
    let root = square.abs().sqrt();
    if square >= 0.0 { [(half + root, 0.0), (half - root, 0.0)] } else { [(half, root), (half, -root)] }
}
