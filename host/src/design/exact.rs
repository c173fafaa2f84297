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
use rand::seq::SliceRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

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
    /// The network, of rank D, with B = W E = U.
    pub network: Network,
    /// Largest violation of any condition, absolute.
    pub residual: f64,
    /// sqrt(sum_i |U_i|² (|V_i|² + |C_i|²)): how much one step amplifies rounding.
    pub noise_gain: f64,
}

/// Arrangements of groups and signs that are tried.
const ARRANGEMENTS: usize = 48;
/// Largest n that the search for the least n looks at, as a multiple of what counting equations gives.
const SEARCH: usize = 20;
/// kappa within a group is at least this, where its mean is 1: smaller ones waste a neuron.
const LEAST_KAPPA: f64 = 0.1;
/// Arrangements tried for a single n while searching the least n.
const RESIDUAL: f64 = 1e-9;

/// The exact integrator of `spec`.
///
/// # Errors
/// An activation other than linear or ReLU, a decay outside (0, 1), a scale that is zero or not
/// finite, encoders or decoders of the wrong shape; [`Error::TooFewNeurons`] with the least n that
/// works for encoders and decoders drawn from this seed.
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
    let channels = spec.task.channels();
    match solve(spec, spec.neurons, ARRANGEMENTS) {
        Some(design) => Ok(design),
        None => Err(Error::TooFewNeurons { n: spec.neurons, channels, least: least_neurons(spec) }),
    }
}

fn check(spec: &Spec) -> Result<()> {
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
        _ => Ok(()),
    };
    shape("encoders E", &spec.encoder, *neurons, task.channels())?;
    shape("decoders C", &spec.decoder, task.channels(), *neurons)
}

/// The least n at which a design of this seed's random encoders and decoders succeeds, tried one by one.
fn least_neurons(spec: &Spec) -> usize {
    let random = Spec { encoder: None, decoder: None, ..spec.clone() };
    let channels = spec.task.channels();
    let above = if spec.encoder.is_some() || spec.decoder.is_some() { spec.neurons + 1 } else { 1 };
    let first = (2 * channels).max(above);
    (first..first + SEARCH * channels * (channels + 1))
        .find(|&n| solve(&random, n, ARRANGEMENTS).is_some())
        .unwrap_or(first + SEARCH * channels * (channels + 1))
}

fn solve(spec: &Spec, neurons: usize, arrangements: usize) -> Option<Design> {
    let channels = spec.task.channels();
    let (random_e, random_c) = random_frozen(neurons, channels, spec.seed);
    let e = spec.encoder.clone().unwrap_or(random_e);
    let c = spec.decoder.clone().unwrap_or(random_c);
    let gamma = diagonal(&spec.task.decays);
    let read: Vec<f64> = spec.task.decays.iter().zip(&spec.task.scales).map(|(g, s)| g * s).collect();
    let read = diagonal(&read);
    let finish = |u: Mat<f64>, v: Mat<f64>, residual: f64| {
        let noise_gain = noise_gain(&u, &v, &c);
        let recurrence = Recurrence::LowRank { u: u.clone(), v };
        let mut network = Network::plain(spec.activation, recurrence, u, c.clone());
        network.encoder = Some(e.clone());
        network.task = Some(spec.task.clone());
        Design { network, residual, noise_gain }
    };

    if spec.activation == Activation::Linear {
        let u = least_norm(&c, &read)?;
        let (v, residual) = latent_readout(&u, &e, &gamma, None)?;
        return Some(finish(u, v, residual));
    }
    let (gamma, read) = (faer::Scale(2.0) * gamma, faer::Scale(2.0) * read);
    let mut rng = ChaCha8Rng::seed_from_u64(spec.seed.wrapping_add(1));
    (0..arrangements)
        .filter_map(|_| {
            let groups = Groups::find(&c, &mut rng)?;
            let u = groups.directions(&c, &read)?;
            let (v, residual) = latent_readout(&u, &e, &gamma, Some(&groups))?;
            let residual =
                residual.max(largest(&(&c * &u - &read))).max(largest(&(&groups.even * c.transpose())));
            (residual < RESIDUAL).then(|| finish(u, v, residual))
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

/// Neurons in groups, each with its kappa and signs.
struct Groups {
    /// G × n: kappa_k where neuron k is in group g, else 0.
    even: Mat<f64>,
    /// G × n: sigma_k kappa_k where neuron k is in group g, else 0.
    odd: Mat<f64>,
}

impl Groups {
    /// A random partition of all neurons into groups whose decoder columns have 0 strictly inside
    /// their convex hull. Groups start from 2 D + 1 neurons (half of all random ones then work) or,
    /// when these run short, from D + 1; neurons left over join the groups.
    fn find(c: &Mat<f64>, rng: &mut ChaCha8Rng) -> Option<Self> {
        let (channels, neurons) = (c.nrows(), c.ncols());
        let mut free: Vec<usize> = (0..neurons).collect();
        let mut members: Vec<Vec<usize>> = Vec::new();
        let largest = if neurons >= channels * (2 * channels + 1) { 2 * channels + 1 } else { channels + 1 };
        for size in [largest, channels + 1] {
            let mut failures = 0;
            while free.len() >= size && failures < 200 && members.len() < most_groups(neurons, channels) {
                free.shuffle(rng);
                if kappa(c, &free[..size]).is_some() {
                    members.push(free.drain(..size).collect());
                    failures = 0;
                } else {
                    failures += 1;
                }
            }
        }
        if members.len() < channels {
            return None;
        }
        let first = rng.random_range(0..members.len());
        for (k, neuron) in free.into_iter().enumerate() {
            let group = (first + k) % members.len();
            members[group].push(neuron);
        }
        let mut even = Mat::zeros(members.len(), neurons);
        let mut odd = Mat::zeros(members.len(), neurons);
        for (g, group) in members.iter().enumerate() {
            let kappa = kappa(c, group)?;
            let toward = signs_toward(channels, rng);
            for (&k, kappa) in group.iter().zip(kappa) {
                even[(g, k)] = kappa;
                let along: f64 = (0..channels).map(|i| c[(i, k)] * toward[i]).sum();
                odd[(g, k)] = kappa.copysign(along);
            }
        }
        Some(Self { even, odd })
    }

    /// U: rows sigma_k kappa_k u_g, with the u_g of least sum of squares of U for which C U = `read`.
    fn directions(&self, c: &Mat<f64>, read: &Mat<f64>) -> Option<Mat<f64>> {
        let groups = self.odd.nrows();
        let norms: Vec<f64> = (0..groups).map(|g| self.odd.row(g).norm_l2()).collect();
        // With w_g = |kappa|_g u_g the sum of squares of U is that of w, and C U = sum_g c_g w_gᵀ / |kappa|_g.
        let scaled = c * self.odd.transpose();
        let scaled = Mat::from_fn(scaled.nrows(), groups, |i, g| scaled[(i, g)] / norms[g]);
        let w = least_norm(&scaled, read)?;
        let directions = Mat::from_fn(groups, w.ncols(), |g, r| w[(g, r)] / norms[g]);
        Some(self.odd.transpose() * directions)
    }
}

/// V has n unknowns a channel: one equation a group, and 2 D others.
const fn most_groups(neurons: usize, channels: usize) -> usize {
    neurons.saturating_sub(2 * channels)
}

/// A random direction: signs sigma_k = sign(C_k · w) make the group's sum_k sigma_k kappa_k C_k large,
/// so that small rows of U suffice.
fn signs_toward(channels: usize, rng: &mut impl Rng) -> Vec<f64> {
    (0..channels).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// kappa >= [`LEAST_KAPPA`], near 1, with sum_k kappa_k C_k = 0; `None` if 0 is not (well) inside the
/// hull of the columns.
///
/// Least change from 1 subject to the equations; a kappa that falls below its bound is fixed there
/// and the rest solved again.
fn kappa(c: &Mat<f64>, group: &[usize]) -> Option<Vec<f64>> {
    let channels = c.nrows();
    let mut bound = vec![false; group.len()];
    loop {
        let free: Vec<usize> = (0..group.len()).filter(|&k| !bound[k]).collect();
        if free.len() <= channels {
            return None;
        }
        let a = Mat::from_fn(channels, free.len(), |i, k| c[(i, group[free[k]])]);
        let start = |k: usize| if bound[k] { LEAST_KAPPA } else { 1.0 };
        let violation = Mat::from_fn(channels, 1, |i, _| {
            -group.iter().enumerate().map(|(k, &neuron)| start(k) * c[(i, neuron)]).sum::<f64>()
        });
        let change = least_norm(&a, &violation)?;
        let mut kappa = (0..group.len()).map(start).collect::<Vec<f64>>();
        for (row, &k) in free.iter().enumerate() {
            kappa[k] += change[(row, 0)];
        }
        let worst = free.iter().copied().min_by(|&a, &b| kappa[a].total_cmp(&kappa[b]))?;
        if kappa[worst] >= LEAST_KAPPA {
            return Some(kappa);
        }
        bound[worst] = true;
    }
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

fn largest(matrix: &Mat<f64>) -> f64 {
    matrix.norm_max()
}
