//! A trained network made low-rank: its D-dimensional manifold is kept, the rest of W is dropped.

use faer::linalg::solvers::SolveLstsq;
use faer::{Mat, Side};
use serde::Serialize;

use super::probe::{Errors, Probe, STEPS};
use super::refit::refit;
use crate::network::{Form, Network, Recurrence};
use crate::task::{Integration, synthetic};
use crate::{Error, Result, simulate};

/// How U and V were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The R leading singular triplets of W: least |W - U Vᵀ|.
    Truncated,
    /// Least |(W - U Vᵀ) s| over the activity s that W meets on the inputs.
    Weighted,
    /// Truncated or weighted, then fitted to the conditions of an exact integrator.
    Refit,
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Truncated => "truncated SVD",
            Self::Weighted => "activity-weighted SVD",
            Self::Refit => "refit",
        })
    }
}

/// One way to compress, and what it costs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Attempt {
    /// How U and V were found.
    pub method: Method,
    /// Whether B is U Vᵀ E; else it stayed as it was.
    pub tied_input: bool,
    /// Errors of the low-rank network.
    pub errors: Errors,
}

/// A network of rank R and how it compares.
#[derive(Clone, Debug)]
pub struct Compression {
    /// The best low-rank network.
    pub network: Network,
    /// How it was made.
    pub best: Attempt,
    /// The best of every method, in the order of [`Method`].
    pub attempts: Vec<Attempt>,
    /// Errors of the network that was compressed.
    pub original: Errors,
}

/// Samples of the manifold for the fit; each is used with both signs.
const SAMPLES: usize = 1500;
/// How strongly a refit holds V small; the best is kept.
const DAMPING: [f64; 3] = [1e-4, 1e-6, 1e-8];

/// The best network of rank R that is found: truncated SVD, activity-weighted SVD and, for an
/// integrator of rate form with alpha = 1, B = W E and R >= D, a refit of U and V with frozen E and C.
///
/// W ≈ U Vᵀ; B = U Vᵀ E or as it was, whichever has the smaller error.
///
/// network: dense, or of a higher rank and started at rest; rank: R from 1 to n - 1; inputs: row-major T × I
/// in network units, repeated to 10 000 steps, may be empty.
///
/// # Errors
/// A rank of 0, not below n or not below that of the network; inputs of the wrong length; a network
/// that is neither dense nor at rest.
///
/// ```
/// use tinyfold::design::{compress::to_rank, exact::{Spec, exact}};
/// use tinyfold::{network::Activation, task::Integration};
/// let task = Integration { decays: vec![0.9, 0.95], scales: vec![1.0, 1.0] };
/// let dense = exact(&Spec { neurons: 24, task, activation: Activation::Relu, seed: 0, encoder: None, decoder: None })?.dense();
/// let compression = to_rank(&dense, 2, &[])?;
/// assert!(compression.best.errors.gaussian < 1e-9); // W was of rank 2 all along
/// # Ok::<(), tinyfold::Error>(())
/// ```
pub fn to_rank(network: &Network, rank: usize, inputs: &[f64]) -> Result<Compression> {
    network.linear_readout("compress")?;
    let dense = check(network, rank, inputs)?;
    let probe = Probe::new(&dense, inputs);
    let w = dense.weights();
    let identity = Mat::identity(w.nrows(), w.nrows());
    let truncated = factors(&w, &identity, rank)?;
    let weighted = factors(&w, &activity_root(&dense, inputs)?, rank)?;

    let mut fits: Vec<(Method, Mat<f64>, Mat<f64>)> = Vec::new();
    if let (Some(task), Some(encoder)) = (dense.integration(), &dense.encoder)
        && (dense.form, dense.alpha) == (Form::Rate, 1.0)
        && rank >= task.channels()
    {
        let samples = manifold_samples(task, inputs);
        for (u, v) in [&truncated, &weighted] {
            for damping in DAMPING {
                let fit = refit(&dense, task, encoder, (u, v), &samples, damping);
                fits.extend(fit.map(|(u, v)| (Method::Refit, u, v)));
            }
        }
    }
    fits.insert(0, (Method::Weighted, weighted.0, weighted.1));
    fits.insert(0, (Method::Truncated, truncated.0, truncated.1));

    let mut found: Vec<(Attempt, Network)> = Vec::new();
    for (method, u, v) in fits {
        let tied = dense.encoder.as_ref().map(|e| &u * (v.transpose() * e));
        for (tied_input, input) in [(true, tied), (false, Some(dense.input.clone()))] {
            let Some(input) = input else { continue };
            let candidate = low_rank(&dense, u.clone(), v.clone(), input);
            let attempt = Attempt { method, tied_input, errors: probe.errors(&candidate) };
            match found.iter_mut().find(|(best, _)| best.method == method) {
                Some(best) if attempt.errors.worst() < best.0.errors.worst() => *best = (attempt, candidate),
                Some(_) => {}
                None => found.push((attempt, candidate)),
            }
        }
    }
    let attempts: Vec<Attempt> = found.iter().map(|(attempt, _)| *attempt).collect();
    let (best, network) = found
        .into_iter()
        .min_by(|a, b| a.0.errors.worst().total_cmp(&b.0.errors.worst()))
        .expect("the truncated one at least");
    Ok(Compression { network, best, attempts, original: probe.errors(&dense) })
}

/// The network in dense form, once everything about the call has been checked.
fn check(network: &Network, rank: usize, inputs: &[f64]) -> Result<Network> {
    let width = network.input.ncols();
    if !inputs.len().is_multiple_of(width) {
        return Err(Error::input(
            "inputs",
            format!("a multiple of {width} numbers"),
            inputs.len().to_string(),
        ));
    }
    let limit = if network.rank() > 0 { network.rank() } else { network.neurons() };
    if rank == 0 || rank >= limit {
        let expected = match limit {
            1 => "none: the network has rank 1 already".to_owned(),
            2 => "1".to_owned(),
            _ => format!("1 to {}", limit - 1),
        };
        return Err(Error::input("rank", expected, rank.to_string()));
    }
    let mut dense = network.clone();
    if network.rank() > 0 {
        if network.initial != network.rest() {
            return Err(Error::input("initial state of the low-rank network", "rest", "another state"));
        }
        dense.recurrence = Recurrence::Dense(network.weights());
        dense.initial = dense.rest();
    }
    Ok(dense)
}

/// The U, V of rank R with the least |(W - U Vᵀ) L|: with W L ≈ A Sigma Bᵀ, U = A sqrt(Sigma) and
/// Vᵀ = sqrt(Sigma) Bᵀ L⁻¹. L: n × n, lower triangular.
fn factors(w: &Mat<f64>, l: &Mat<f64>, rank: usize) -> Result<(Mat<f64>, Mat<f64>)> {
    let svd = (w * l).svd().map_err(|_| Error::Numeric {
        what: "singular values of W".into(),
        reason: "no convergence; are all weights finite?".into(),
    })?;
    let root = |k: usize| svd.S()[k].sqrt();
    let n = w.nrows();
    let u = Mat::from_fn(n, rank, |i, k| svd.U()[(i, k)] * root(k));
    let mut v = Mat::from_fn(n, rank, |i, k| svd.V()[(i, k)] * root(k));
    faer::linalg::triangular_solve::solve_upper_triangular_in_place(
        l.transpose(),
        v.as_mut(),
        faer::Par::Seq,
    );
    Ok((u, v))
}

/// The Cholesky factor of the second moments of what W is multiplied with, kept regular by a little
/// of the identity.
fn activity_root(network: &Network, inputs: &[f64]) -> Result<Mat<f64>> {
    let n = network.neurons();
    let mut moments = Mat::<f64>::zeros(n, n);
    for x in [inputs.to_vec(), synthetic::gaussian(STEPS / 4, network.input.ncols(), 11)] {
        let activity = activity(network, &x);
        let power = activity.squared_norm_l2();
        if power > 0.0 && power.is_finite() {
            moments += faer::Scale(1.0 / power) * &activity * activity.transpose();
        }
    }
    let mean = (0..n).map(|i| moments[(i, i)]).sum::<f64>() / n as f64;
    let floor = if mean > 0.0 { 1e-6 * mean } else { 1.0 };
    for i in 0..n {
        moments[(i, i)] += floor;
    }
    let root = moments.llt(Side::Lower).map_err(|_| Error::Numeric {
        what: "second moments of the activity".into(),
        reason: "not positive definite; does the network stay finite on these inputs?".into(),
    })?;
    Ok(root.L().to_owned())
}

/// n × T: h_{t-1} + E x_t when B = W E, h_{t-1} with another B, phi(a_{t-1}) in current form.
fn activity(network: &Network, x: &[f64]) -> Mat<f64> {
    let (n, width) = (network.neurons(), network.input.ncols());
    let states = simulate::run(network, x, false).carried;
    // A diverging network is sampled while it is near its manifold.
    let finite = states.chunks_exact(n).take_while(|h| h.iter().all(|h| h.abs() < 1e6)).count();
    Mat::from_fn(n, finite, |i, t| {
        let state = if t == 0 { network.initial[i] } else { states[(t - 1) * n + i] };
        match (network.form, &network.encoder) {
            (Form::Current, _) => simulate::activate(network.activation, state),
            (Form::Rate, None) => state,
            (Form::Rate, Some(e)) => state + (0..width).map(|c| e[(i, c)] * x[t * width + c]).sum::<f64>(),
        }
    })
}

/// alpha_t = u_{t-1} + x_t of Gaussian and given inputs, with both signs: the manifold as it is visited.
fn manifold_samples(task: &Integration, inputs: &[f64]) -> Vec<f64> {
    let channels = task.channels();
    let mut samples = Vec::new();
    for x in [synthetic::gaussian(STEPS, channels, 12), inputs.to_vec()] {
        let integrals = task.integrals(&x);
        let every = (x.len() / channels * 2).div_ceil(SAMPLES).max(1);
        for u in integrals.chunks_exact(channels).step_by(every) {
            for sign in [1.0, -1.0] {
                samples.extend(u.iter().zip(&task.decays).map(|(u, gamma)| sign * u / gamma));
            }
        }
    }
    samples
}

/// The network with W = U Vᵀ, started where the dense one starts: exactly in rate form, as near as
/// U kappa + B nu comes to it in current form.
fn low_rank(dense: &Network, u: Mat<f64>, v: Mat<f64>, input: Mat<f64>) -> Network {
    let mut network = dense.clone();
    let (n, rank) = (dense.neurons(), u.ncols());
    let start = Mat::from_fn(n, 1, |i, _| match dense.form {
        Form::Rate => dense.initial[i],
        Form::Current => dense.initial[i] - dense.bias[i],
    });
    let words = match dense.form {
        Form::Rate => {
            let y = &dense.readout * &start;
            let z = v.transpose() * &start;
            let leaky = (0..y.nrows()).map(|o| y[(o, 0)] + dense.output_bias[o]);
            z.col_as_slice(0).iter().copied().chain(leaky).collect::<Vec<f64>>()
        }
        Form::Current => {
            let span = Mat::from_fn(n, rank + input.ncols(), |i, k| match k.checked_sub(rank) {
                None => u[(i, k)],
                Some(j) => input[(i, j)],
            });
            span.col_piv_qr().solve_lstsq(start).col_as_slice(0).to_vec()
        }
    };
    network.input = input;
    network.recurrence = Recurrence::LowRank { u, v };
    network.initial = words[..network.carried()].to_vec();
    network
}
