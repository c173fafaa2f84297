//! The exact integrator under Dale's law.
//!
//! All weights that leave a neuron j have its sign s_j, so that column j of W has. Columns of W = U Vᵀ of the
//! [exact design](super::exact) have entries of both signs. With one mode more along the all-ones direction,
//!
//! W = U Vᵀ + 1 aᵀ, s_j a_j >= max_i |u_i · v_j|,
//!
//! they have not, and nothing else changes where nothing is ever read along a: aᵀ E = 0 and aᵀ phi(U zeta) = 0 for every
//! zeta, which the odd part asks as Uᵀ a = 0, the even part as sum_k kappa_k a_k = 0 in every group. Then B = W E = U as
//! before.
//!
//! What rounding leaves along a is multiplied by the sum of a_k over the active neurons at every step. These are the
//! neurons of one sign sigma_k in every group, whatever zeta is: with sum_k sigma_k a_k = 0 in every group and
//! sum_k a_k = 0 that factor is 0, and one step forgets it.
//!
//! Source: Fanthomme & Monasson 2021 find one mode more in networks trained under Dale's law; that one suffices for an
//! exact one, and which, is worked out here.

use faer::Mat;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::exact::{Design, RESIDUAL, Spec, Wanted, check, largest};
use super::groups::{Groups, nearest};
use crate::network::Activation;
use crate::{Error, Result};

/// Neurons of a group, or 3 D if that is more: every group adds two equations for a, few large ones make a large U.
const SIZES: [usize; 4] = [12, 16, 24, 32];
/// Arrangements of groups and signs that are tried for each size, and again while none fits.
const ARRANGEMENTS: usize = 6;
/// How often they are tried.
const ROUNDS: usize = 8;
/// |a_j| is larger than it has to be by this factor, so that rounding turns no sign.
const MARGIN: f64 = 1.01;
/// What a starts from, in multiples of its bounds.
const START: f64 = 1.2;

/// The exact ReLU integrator of `spec` whose neurons obey Dale's law: W = U Vᵀ + 1 aᵀ of rank D + 1.
///
/// signs: +1 for an excitatory, -1 for an inhibitory neuron, n of them.
///
/// # Errors
/// Another activation than ReLU; signs that are not n times +1 or -1; encoders and decoders that no arrangement fits, as
/// with too few neurons of one sign; decays, scales and shapes as [`exact`](super::exact::exact).
///
/// Source: see the module.
///
/// ```
/// use tinyfold::design::dale::dale;
/// use tinyfold::design::exact::Spec;
/// use tinyfold::network::Activation;
/// use tinyfold::task::Integration;
///
/// let task = Integration { decays: vec![0.99], scales: vec![1.0] };
/// let spec = Spec { neurons: 48, task, activation: Activation::Relu, seed: 0, encoder: None, decoder: None };
/// let signs: Vec<f64> = (0..48).map(|j| if j % 4 == 0 { -1.0 } else { 1.0 }).collect();
/// let network = dale(&spec, &signs)?.network;
/// assert_eq!(network.rank(), 2);
/// let w = network.weights();
/// assert!((0..48).all(|j| (0..48).all(|i| signs[j] * w[(i, j)] > 0.0)));
/// # Ok::<(), tinyfold::Error>(())
/// ```
pub fn dale(spec: &Spec, signs: &[f64]) -> Result<Design> {
    if spec.activation != Activation::Relu {
        let found = crate::format::network::names::activation(spec.activation).0;
        return Err(Error::input("activation", "relu (the exact design under Dale's law is for it)", found));
    }
    check(spec)?;
    if let Some(sign) = signs.iter().find(|sign| sign.abs() != 1.0) {
        return Err(Error::input("signs", "+1 or -1 for every neuron", sign.to_string()));
    }
    if signs.len() != spec.neurons {
        return Err(Error::input(
            "signs",
            format!("{}, one a neuron", spec.neurons),
            signs.len().to_string(),
        ));
    }
    let wanted = Wanted::new(spec, spec.neurons);
    let mut rng = ChaCha8Rng::seed_from_u64(spec.seed.wrapping_add(1));
    let mut attempt = |size: usize| {
        let groups = Groups::mixed(&wanted.c, signs, size.max(3 * wanted.c.nrows()), &mut rng)?;
        let (u, v, residual) = wanted.arranged(&groups)?;
        let (a, violation) = structural(&u, &v, &wanted.e, &groups, signs)?;
        let residual = residual.max(violation);
        let beside = |m: &Mat<f64>, last: &dyn Fn(usize) -> f64| {
            Mat::from_fn(m.nrows(), m.ncols() + 1, |i, r| if r < m.ncols() { m[(i, r)] } else { last(i) })
        };
        let factors = [beside(&u, &|_| 1.0), beside(&v, &|j| a[j])];
        (residual < RESIDUAL).then(|| wanted.design(spec, factors, u, residual))
    };
    let mut best = || {
        let tried = SIZES.iter().flat_map(|&size| [size; ARRANGEMENTS]);
        tried.filter_map(&mut attempt).min_by(|a, b| a.noise_gain.total_cmp(&b.noise_gain))
    };
    (0..ROUNDS).find_map(|_| best()).ok_or_else(|| {
        let inhibitory = signs.iter().filter(|sign| **sign < 0.0).count();
        Error::Numeric {
            what: format!(
                "exact design under Dale's law with n = {}, {inhibitory} of them inhibitory, D = {}",
                spec.neurons,
                spec.task.channels()
            ),
            reason:
                "no arrangement of neurons of both signs fits these encoders and decoders; try more neurons, \
                     more of the rarer sign, fewer channels, or another seed"
                    .into(),
        }
    })
}

/// a, near the least that it may be, and the largest violation of its equations.
fn structural(
    u: &Mat<f64>,
    v: &Mat<f64>,
    e: &Mat<f64>,
    groups: &Groups,
    signs: &[f64],
) -> Option<(Vec<f64>, f64)> {
    let (n, channels, count) = (u.nrows(), u.ncols(), groups.even.nrows());
    let w = u * v.transpose();
    let bounds: Vec<f64> = (0..n).map(|j| MARGIN * w.col(j).norm_max()).collect();
    let equations = Mat::from_fn(2 * count + 2 * channels + 1, n, |row, j| {
        let odd = |g: usize| if groups.odd[(g, j)] == 0.0 { 0.0 } else { groups.odd[(g, j)].signum() };
        match (row / count, row.checked_sub(2 * count)) {
            (0, _) => groups.even[(row, j)],
            (1, _) => odd(row - count),
            (_, Some(row)) if row < channels => u[(j, row)],
            (_, Some(row)) if row < 2 * channels => e[(j, row - channels)],
            _ => 1.0,
        }
    });
    // In multiples of the bounds, and rows of one length.
    let norms: Vec<f64> = (0..equations.nrows()).map(|row| equations.row(row).norm_l2()).collect();
    let scaled =
        Mat::from_fn(equations.nrows(), n, |row, j| equations[(row, j)] * signs[j] * bounds[j] / norms[row]);
    // The rarer sign makes up for the other.
    let total = |sign: f64| (0..n).filter(|&j| signs[j] == sign).map(|j| bounds[j]).sum::<f64>();
    let more = total(1.0) / total(-1.0);
    let start = |sign: &f64| START * if *sign < 0.0 { more.max(1.0) } else { more.recip().max(1.0) };
    let x = nearest(&scaled, &signs.iter().map(start).collect::<Vec<f64>>(), 1.0, n)?;
    let a: Vec<f64> = (0..n).map(|j| signs[j] * bounds[j] * x[j]).collect();
    let violation = largest(&(&equations * Mat::from_fn(n, 1, |j, _| a[j])));
    Some((a, violation))
}
