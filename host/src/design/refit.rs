//! Refit of a low-rank recurrence against the conditions of an exact integrator.

use faer::linalg::solvers::Solve;
use faer::{Mat, Scale, Side};

use crate::network::{Activation, Network};
use crate::simulate::activate;
use crate::task::Integration;

/// Alternations of V and U.
const ROUNDS: usize = 40;

/// U and V near `u`, `v` that minimise the violation of the integrator's conditions on samples.
///
/// With Vᵀ E = [I; 0] held exactly, the least sum over samples alpha of
///
/// |Vᵀ phi(b + U zeta) - (Gamma alpha, 0)|²_w + |C phi(b + U zeta) + c - S Gamma alpha|²,
/// zeta = (alpha, 0),
///
/// latent channel c weighted with w_c = s_c / (1 - gamma_c), what a steady error grows to. V follows
/// from linear equations; U from damped Gauss-Newton steps, in turn.
///
/// u, v: n × R with R >= D; samples: row-major, D numbers each; damping: how strongly V is held
/// small, in units of its mean equation. `None` if Vᵀ E has rank below D or equations are singular.
///
/// Source: proxy loss of Fanthomme & Monasson 2021, section 3.
pub(super) fn refit(
    network: &Network,
    task: &Integration,
    encoder: &Mat<f64>,
    (u, v): (&Mat<f64>, &Mat<f64>),
    samples: &[f64],
    damping: f64,
) -> Option<(Mat<f64>, Mat<f64>)> {
    let mut u = aligned(u, v, encoder)?;
    let conditions = Conditions::new(network, task, encoder, u.ncols(), samples);
    let mut step = 1e-2;
    let mut phi = conditions.rates(&u);
    for _ in 0..ROUNDS {
        let v = conditions.latent_readout(&phi, damping)?;
        let cost = conditions.residual(&v, &phi).squared_norm_l2();
        let (curvature, gradient) = conditions.quadratic(&u, &v, &phi);
        let mut improved = false;
        for _ in 0..6 {
            let trial = &u + damped_change(&curvature, &gradient, u.nrows(), step)?;
            let rates = conditions.rates(&trial);
            improved = conditions.residual(&v, &rates).squared_norm_l2() < cost;
            if improved {
                (u, phi) = (trial, rates);
                step = (step * 0.3).max(1e-9);
                break;
            }
            step *= 10.0;
        }
        if !improved {
            break;
        }
    }
    let v = conditions.latent_readout(&phi, damping)?;
    Some((u, v))
}

/// U in latent coordinates in which Vᵀ E = [I; 0] for the same U Vᵀ.
fn aligned(u: &Mat<f64>, v: &Mat<f64>, encoder: &Mat<f64>) -> Option<Mat<f64>> {
    let (rank, channels) = (u.ncols(), encoder.ncols());
    let written = v.transpose() * encoder;
    // Columns: the D directions that inputs write to, then a basis of the rest.
    let basis = written.svd().ok()?;
    let least = (0..channels).map(|k| basis.S()[k]).fold(f64::INFINITY, f64::min);
    if least <= 1e-9 * basis.S()[0] {
        return None;
    }
    let frame =
        Mat::from_fn(rank, rank, |i, k| if k < channels { written[(i, k)] } else { basis.U()[(i, k)] });
    Some(u * frame)
}

/// The samples and what is asked of them.
struct Conditions<'a> {
    network: &'a Network,
    encoder: &'a Mat<f64>,
    /// R × S: zeta of every sample.
    zeta: Mat<f64>,
    /// R × S: (Gamma alpha, 0).
    latent: Mat<f64>,
    /// O × S: S Gamma alpha - c.
    output: Mat<f64>,
    /// Square roots of the weights of the R latent residuals.
    weight: Vec<f64>,
}

impl<'a> Conditions<'a> {
    fn new(
        network: &'a Network,
        task: &Integration,
        encoder: &'a Mat<f64>,
        rank: usize,
        samples: &[f64],
    ) -> Self {
        let channels = task.channels();
        let count = samples.len() / channels;
        let alpha = |c: usize, s: usize| samples[s * channels + c];
        let on_channels = |factor: &dyn Fn(usize) -> f64| {
            Mat::from_fn(rank, count, |r, s| if r < channels { factor(r) * alpha(r, s) } else { 0.0 })
        };
        let growth = |c: usize| (task.scales[c] / (1.0 - task.decays[c])).abs();
        Self {
            network,
            encoder,
            zeta: on_channels(&|_| 1.0),
            latent: on_channels(&|c| task.decays[c]),
            output: Mat::from_fn(channels, count, |c, s| {
                task.scales[c] * task.decays[c] * alpha(c, s) - network.output_bias[c]
            }),
            weight: (0..rank).map(|r| growth(r.min(channels - 1))).collect(),
        }
    }

    fn pre_activations(&self, u: &Mat<f64>) -> Mat<f64> {
        let p = u * &self.zeta;
        Mat::from_fn(p.nrows(), p.ncols(), |i, s| p[(i, s)] + self.network.bias[i])
    }

    /// n × S.
    fn rates(&self, u: &Mat<f64>) -> Mat<f64> {
        let p = self.pre_activations(u);
        Mat::from_fn(p.nrows(), p.ncols(), |i, s| activate(self.network.activation, p[(i, s)]))
    }

    /// The V of least |Vᵀ phi - latent|² + damping |V|² with Vᵀ E = [I; 0].
    fn latent_readout(&self, phi: &Mat<f64>, damping: f64) -> Option<Mat<f64>> {
        let (n, rank, channels) = (phi.nrows(), self.latent.nrows(), self.encoder.ncols());
        let gram = phi * phi.transpose();
        let ridge = damping * (0..n).map(|i| gram[(i, i)]).sum::<f64>() / n as f64;
        let wanted = phi * self.latent.transpose();
        let system = Mat::from_fn(n + channels, n + channels, |i, j| match (i < n, j < n) {
            (true, true) => gram[(i, j)] + if i == j { ridge } else { 0.0 },
            (true, false) => self.encoder[(i, j - n)],
            (false, true) => self.encoder[(j, i - n)],
            (false, false) => 0.0,
        });
        let right = Mat::from_fn(n + channels, rank, |i, r| {
            if i < n { wanted[(i, r)] } else { f64::from(u8::from(i - n == r)) }
        });
        let solution = system.partial_piv_lu().solve(right);
        let v = solution.subrows(0, n).to_owned();
        v.norm_max().is_finite().then_some(v)
    }

    /// (R + O) × S: weighted latent residuals, then those of the output.
    fn residual(&self, v: &Mat<f64>, phi: &Mat<f64>) -> Mat<f64> {
        let rank = self.latent.nrows();
        let (z, y) = (v.transpose() * phi, &self.network.readout * phi);
        Mat::from_fn(rank + y.nrows(), phi.ncols(), |k, s| match k.checked_sub(rank) {
            None => self.weight[k] * (z[(k, s)] - self.latent[(k, s)]),
            Some(o) => y[(o, s)] - self.output[(o, s)],
        })
    }

    /// Half the curvature (nR × nR) and half the gradient (nR) of the sum of squared residuals in U, columns
    /// of U one after the other, at fixed V.
    ///
    /// The residuals are M phi(U zeta) with M = [w Vᵀ; C], so the curvature between (i, r) and (j, q) is
    /// (MᵀM)_ij sum_s phi'_i zeta_r phi'_j zeta_q: one product of an n R × S matrix with itself.
    fn quadratic(&self, u: &Mat<f64>, v: &Mat<f64>, phi: &Mat<f64>) -> (Mat<f64>, Mat<f64>) {
        let (n, rank, count) = (u.nrows(), u.ncols(), phi.ncols());
        let p = self.pre_activations(u);
        let outputs = self.network.readout.nrows();
        let read = Mat::from_fn(rank + outputs, n, |k, i| match k.checked_sub(rank) {
            None => self.weight[k] * v[(i, k)],
            Some(o) => self.network.readout[(o, i)],
        });
        let back = read.transpose() * self.residual(v, phi);
        let slope = Mat::from_fn(n, count, |i, s| slope(self.network.activation, p[(i, s)]));
        let influence = Mat::from_fn(n * rank, count, |k, s| slope[(k % n, s)] * self.zeta[(k / n, s)]);
        let mut gradient = Mat::zeros(n * rank, 1);
        for s in 0..count {
            for k in 0..n * rank {
                gradient[(k, 0)] += influence[(k, s)] * back[(k % n, s)];
            }
        }
        let coupling = read.transpose() * &read;
        let mut curvature = &influence * influence.transpose();
        for b in 0..n * rank {
            for a in 0..n * rank {
                curvature[(a, b)] *= coupling[(a % n, b % n)];
            }
        }
        (curvature, gradient)
    }
}

/// The Gauss-Newton change of U (n × R), damped by `step` times the mean curvature.
fn damped_change(curvature: &Mat<f64>, gradient: &Mat<f64>, n: usize, step: f64) -> Option<Mat<f64>> {
    let count = curvature.nrows();
    let damping = step * (0..count).map(|k| curvature[(k, k)]).sum::<f64>() / count as f64;
    let damped = Mat::from_fn(count, count, |a, b| curvature[(a, b)] + if a == b { damping } else { 0.0 });
    let change = Scale(-1.0) * damped.llt(Side::Lower).ok()?.solve(gradient);
    Some(Mat::from_fn(n, count / n, |i, r| change[(r * n + i, 0)]))
}

/// phi'(p), with phi'(0) = 1 of the ReLU as in training.
fn slope(activation: Activation<f64>, p: f64) -> f64 {
    activation.derivative(p, crate::network::Variant::Libm)
}
