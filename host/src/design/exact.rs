//! The exact closed-form integrator.
//!
//! With W = U Vᵀ, B = W E, z_t = Vᵀ h_t and zeta = z + x, the network h' = phi(U zeta), y = C h'
//! integrates exactly and for ever if
//!
//! Vᵀ E = I, Vᵀ phi(U zeta) = Gamma zeta, C phi(U zeta) = S Gamma zeta for every zeta.
//!
//! Linear: Vᵀ U = Gamma and C U = S Gamma. ReLU: phi(U zeta) = (U zeta + |U zeta|) / 2, so the odd part
//! asks Vᵀ U = 2 Gamma and C U = 2 S Gamma, and the even part must vanish. It does when the neurons
//! fall into groups in which all rows of U are parallel, U_k = sigma_k kappa_k u_g with kappa_k > 0,
//! and sum_k kappa_k C_k = 0, sum_k kappa_k V_k = 0.
//!
//! Rounding the weights to f32 changes Gamma by about 2^-24 sqrt(sum_i |U_i|² |V_i|²), and an
//! integrator multiplies that by 1 / (1 - gamma). Groups and signs are free, so several are tried and
//! the one with the least [`noise gain`](Design::noise_gain) is kept.
//!
//! Source: conditions of Fanthomme & Monasson 2021, section 3, extended to ReLU by the even part.

use faer::Mat;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::groups::Groups;
use super::{least_norm, random_frozen};
use crate::network::{Activation, Network, Recurrence};
use crate::task::Integration;
use crate::{Error, Result};

/// What to design.
#[derive(Clone, Debug)]
pub struct Spec {
    /// n.
    pub neurons: usize,
    /// Decays gamma_c in (0, 1) and scales s_c of the D channels.
    pub task: Integration,
    /// Linear or ReLU.
    pub activation: Activation<f64>,
    /// Seed of random encoders and decoders and of the search for groups.
    pub seed: u64,
    /// E, n × D; random when not given.
    pub encoder: Option<Mat<f64>>,
    /// C, D × n; random when not given.
    pub decoder: Option<Mat<f64>>,
}

/// An exact integrator.
#[derive(Clone, Debug)]
pub struct Design {
    /// The network, of rank D, or D + 1 under Dale's law; B = W E is the first D columns of U.
    pub network: Network,
    /// Largest violation of any condition, absolute.
    pub residual: f64,
    /// sqrt(sum_i |U_i|² (|V_i|² + |C_i|²)): how much one step amplifies rounding.
    pub noise_gain: f64,
}

impl Design {
    /// The same integrator with W = U Vᵀ as one n × n matrix: h is carried instead of z.
    #[must_use]
    pub fn dense(&self) -> Network {
        let mut network = self.network.clone();
        network.recurrence = Recurrence::Dense(network.weights());
        network.initial = network.rest();
        network
    }
}

/// Arrangements of groups and signs that are tried.
const ARRANGEMENTS: usize = 48;
/// Largest n that the search for the least n looks at, as a multiple of what counting equations gives.
const SEARCH: usize = 8;
/// An arrangement that violates a condition by more is dropped: the drift is this over 1 - gamma.
pub(super) const RESIDUAL: f64 = 1e-12;

/// The exact integrator of `spec`.
///
/// # Errors
/// An activation other than linear or ReLU, a decay outside (0, 1), a scale that is zero or not
/// finite, encoders or decoders of the wrong shape or that no arrangement fits;
/// [`Error::TooFewNeurons`] with the least n that works for encoders and decoders drawn from this seed.
///
/// ```
/// use tinyfold::design::exact::{Spec, exact};
/// use tinyfold::network::Activation;
/// use tinyfold::task::{Integration, relative_rmse};
///
/// let task = Integration { decays: vec![0.99, 0.995], scales: vec![1.0, 2.0] };
/// let spec = Spec { neurons: 32, task: task.clone(), activation: Activation::Relu, seed: 0, encoder: None, decoder: None };
/// let design = exact(&spec)?;
/// let x: Vec<f64> = (0..2000).map(|t| (f64::from(t) * 0.7).sin()).collect();
/// let y = tinyfold::simulate::run(&design.network, &x, false).outputs;
/// assert!(relative_rmse(&y, &task.targets(&x), 2) < 1e-10);
/// # Ok::<(), tinyfold::Error>(())
/// ```
pub fn exact(spec: &Spec) -> Result<Design> {
    check(spec)?;
    if let Some(design) = solve(spec, spec.neurons) {
        return Ok(design);
    }
    let channels = spec.task.channels();
    let random = Spec { encoder: None, decoder: None, ..spec.clone() };
    // Counting equations: V has n unknowns a channel. Linear: 2 D equations; ReLU: one more for each of at
    // least D groups, and a group needs D + 1 neurons.
    let counted = match spec.activation {
        Activation::Linear => 2 * channels,
        _ => (channels * (channels + 1)).max(3 * channels),
    };
    match (counted..=SEARCH * counted).find(|&n| solve(&random, n).is_some()) {
        Some(least) if least > spec.neurons => Err(Error::TooFewNeurons { n: spec.neurons, channels, least }),
        _ => Err(Error::Numeric {
            what: format!("exact design with n = {}, D = {channels}", spec.neurons),
            reason: "no arrangement of neurons fits these encoders and decoders (0 must lie inside the hull \
                     of the decoder columns of each of D groups, and E must have full rank); try another \
                     seed, more neurons or other matrices"
                .into(),
        }),
    }
}

/// The exact integrator of `spec` from pairs of neurons with opposite rows, where encoders and decoders are free:
/// U = [K; -K], V = [L; -L], K random, Lᵀ K = Gamma with least |L|, C = S Vᵀ, the least E with Vᵀ E = I.
///
/// phi(p) - phi(-p) = p for a ReLU, so each pair is linear and the even part vanishes term by term: rounding a pair
/// alike keeps that. y = S z at every step.
///
/// # Errors
/// An activation other than ReLU, an odd n or one below 2 D, encoders or decoders that are given; decays and scales as
/// [`exact`].
///
/// ```
/// use tinyfold::design::exact::{Spec, paired};
/// use tinyfold::network::Activation;
/// use tinyfold::task::Integration;
///
/// let task = Integration { decays: vec![0.99], scales: vec![1.0] };
/// let spec = Spec { neurons: 2, task, activation: Activation::Relu, seed: 0, encoder: None, decoder: None };
/// assert!(paired(&spec)?.residual < 1e-12);
/// # Ok::<(), tinyfold::Error>(())
/// ```
pub fn paired(spec: &Spec) -> Result<Design> {
    check(spec)?;
    let Spec { neurons, task, activation, .. } = spec;
    let channels = task.channels();
    if *activation != Activation::Relu {
        let found = crate::format::network::names::activation(*activation).0;
        return Err(Error::input("activation", "relu (pairs are for it)", found));
    }
    if spec.encoder.is_some() || spec.decoder.is_some() {
        let expected = "none: pairs choose their own encoders and decoders";
        return Err(Error::input("encoders and decoders", expected, "some"));
    }
    if *neurons < 2 * channels || !neurons.is_multiple_of(2) {
        let expected = format!("an even number of at least {} neurons for pairs", 2 * channels);
        return Err(Error::input("n", expected, neurons.to_string()));
    }
    let half = neurons / 2;
    let (k, _) = random_frozen(half, channels, spec.seed);
    let singular = || Error::Numeric {
        what: "pairs".into(),
        reason: "directions drawn from this seed are dependent; try another".into(),
    };
    let gamma = diagonal(&task.decays);
    let l = least_norm(&k.transpose().to_owned(), &gamma).ok_or_else(singular)?;
    let mirror = |m: &Mat<f64>| {
        Mat::from_fn(*neurons, channels, |i, j| if i < half { m[(i, j)] } else { -m[(i - half, j)] })
    };
    let (u, v) = (mirror(&k), mirror(&l));
    let c = diagonal(&task.scales) * v.transpose();
    let identity = Mat::identity(channels, channels);
    let e = least_norm(&v.transpose().to_owned(), &identity).ok_or_else(singular)?;
    let residual = largest(&(v.transpose() * &u - faer::Scale(2.0) * &gamma))
        .max(largest(&(v.transpose() * &e - identity)));
    let noise_gain = noise_gain(&u, &v, &c);
    let mut network = Network::plain(*activation, Recurrence::LowRank { u: u.clone(), v }, u, c);
    network.encoder = Some(e);
    network.task = Some(task.clone().into());
    Ok(Design { network, residual, noise_gain })
}

pub(super) fn check(spec: &Spec) -> Result<()> {
    let Spec { neurons, task, .. } = spec;
    if !matches!(spec.activation, Activation::Linear | Activation::Relu) {
        let found = crate::format::network::names::activation(spec.activation).0;
        return Err(Error::input("activation", "linear or relu (only these have an exact design)", found));
    }
    if task.channels() == 0 {
        return Err(Error::input("decays", "one decay a channel", "none"));
    }
    for (c, &gamma) in task.decays.iter().enumerate() {
        if !(gamma > 0.0 && gamma < 1.0) {
            let place = format!("decay of channel {c}");
            return Err(Error::input(place, "a number between 0 and 1, both excluded", gamma.to_string()));
        }
    }
    if task.scales.len() != task.channels() {
        let found = task.scales.len().to_string();
        return Err(Error::input("scales", format!("{} (one a channel)", task.channels()), found));
    }
    for (c, &scale) in task.scales.iter().enumerate() {
        if !scale.is_finite() || scale == 0.0 {
            let place = format!("scale of channel {c}");
            return Err(Error::input(place, "a finite number that is not 0", scale.to_string()));
        }
    }
    let shape = |place: &str, matrix: &Option<Mat<f64>>, rows: usize, columns: usize| match matrix {
        Some(m) if (m.nrows(), m.ncols()) != (rows, columns) => {
            let found = format!("{} × {}", m.nrows(), m.ncols());
            Err(Error::input(place, format!("{rows} × {columns}"), found))
        }
        Some(m) if !m.norm_max().is_finite() => {
            Err(Error::input(place, "finite numbers", "others (NaN or infinity)"))
        }
        _ => Ok(()),
    };
    shape("encoders E", &spec.encoder, *neurons, task.channels())?;
    shape("decoders C", &spec.decoder, task.channels(), *neurons)
}

/// Matrices that a design has to fit.
pub(super) struct Wanted {
    /// n × D.
    pub(super) e: Mat<f64>,
    /// D × n.
    pub(super) c: Mat<f64>,
    /// Γ, or 2 Γ for ReLU.
    gamma: Mat<f64>,
    /// S Γ, or 2 S Γ.
    read: Mat<f64>,
}

impl Wanted {
    /// Those of `spec`, or random ones.
    pub(super) fn new(spec: &Spec, neurons: usize) -> Self {
        let Integration { decays, scales } = &spec.task;
        let (random_e, random_c) = random_frozen(neurons, decays.len(), spec.seed);
        let twice = if spec.activation == Activation::Linear { 1.0 } else { 2.0 };
        let read: Vec<f64> = decays.iter().zip(scales).map(|(g, s)| g * s).collect();
        Self {
            e: spec.encoder.clone().unwrap_or(random_e),
            c: spec.decoder.clone().unwrap_or(random_c),
            gamma: faer::Scale(twice) * diagonal(decays),
            read: faer::Scale(twice) * diagonal(&read),
        }
    }

    /// U and V of a ReLU network whose even part vanishes in these groups, and the largest violation of a condition.
    pub(super) fn arranged(&self, groups: &Groups) -> Option<(Mat<f64>, Mat<f64>, f64)> {
        let Self { e, c, gamma, read } = self;
        let u = groups.directions(c, read)?;
        let (v, residual) = latent_readout(&u, e, gamma, Some(groups))?;
        let residual = residual.max(largest(&(c * &u - read))).max(largest(&(&groups.even * c.transpose())));
        Some((u, v, residual))
    }

    /// The design of W = U Vᵀ and B.
    pub(super) fn design(
        &self,
        spec: &Spec,
        recurrence: [Mat<f64>; 2],
        input: Mat<f64>,
        residual: f64,
    ) -> Design {
        let [u, v] = recurrence;
        let noise_gain = noise_gain(&u, &v, &self.c);
        let recurrence = Recurrence::LowRank { u, v };
        let mut network = Network::plain(spec.activation, recurrence, input, self.c.clone());
        network.encoder = Some(self.e.clone());
        network.task = Some(spec.task.clone().into());
        Design { network, residual, noise_gain }
    }
}

/// The arrangement with the least noise gain, for the matrices of `spec` or random ones; `None` if none works.
fn solve(spec: &Spec, neurons: usize) -> Option<Design> {
    let wanted = Wanted::new(spec, neurons);
    if spec.activation == Activation::Linear {
        let u = least_norm(&wanted.c, &wanted.read)?;
        let (v, residual) = latent_readout(&u, &wanted.e, &wanted.gamma, None)?;
        return Some(wanted.design(spec, [u.clone(), v], u, residual));
    }
    let mut rng = ChaCha8Rng::seed_from_u64(spec.seed.wrapping_add(1));
    (0..ARRANGEMENTS)
        .filter_map(|_| {
            let groups = Groups::find(&wanted.c, &mut rng)?;
            let (u, v, residual) = wanted.arranged(&groups)?;
            (residual < RESIDUAL).then(|| wanted.design(spec, [u.clone(), v], u, residual))
        })
        .min_by(|a, b| a.noise_gain.total_cmp(&b.noise_gain))
}

/// The least-norm V with Vᵀ U = gamma, Vᵀ E = I and, in every group, sum_k kappa_k V_k = 0; and the
/// largest violation.
fn latent_readout(
    u: &Mat<f64>,
    e: &Mat<f64>,
    gamma: &Mat<f64>,
    groups: Option<&Groups>,
) -> Option<(Mat<f64>, f64)> {
    let (neurons, channels) = (u.nrows(), u.ncols());
    let count = groups.map_or(0, |groups| groups.even.nrows());
    let a = Mat::from_fn(count + 2 * channels, neurons, |row, k| match row.checked_sub(count) {
        None => groups.map_or(0.0, |groups| groups.even[(row, k)]),
        Some(row) if row < channels => u[(k, row)],
        Some(row) => e[(k, row - channels)],
    });
    let b = Mat::from_fn(count + 2 * channels, channels, |row, r| match row.checked_sub(count) {
        None => 0.0,
        Some(row) if row < channels => gamma[(row, r)],
        Some(row) => f64::from(row - channels == r),
    });
    let v = least_norm(&a, &b)?;
    let residual = largest(&(a * &v - b));
    Some((v, residual))
}

fn noise_gain(u: &Mat<f64>, v: &Mat<f64>, c: &Mat<f64>) -> f64 {
    let mut sum = 0.0;
    for i in 0..u.nrows() {
        let write = u.row(i).squared_norm_l2();
        sum += write * (v.row(i).squared_norm_l2() + c.col(i).squared_norm_l2());
    }
    sum.sqrt()
}

fn diagonal(values: &[f64]) -> Mat<f64> {
    Mat::from_fn(values.len(), values.len(), |i, j| if i == j { values[i] } else { 0.0 })
}

pub(super) fn largest(matrix: &Mat<f64>) -> f64 {
    matrix.norm_max()
}
