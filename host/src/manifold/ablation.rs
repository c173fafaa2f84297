//! Ablation: how a network does without some of its neurons.

use std::collections::BTreeSet;

use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::capped;
use crate::network::{Network, Recurrence};
use crate::task::relative_rmse;
use crate::{Error, Result, simulate};

/// The network with neurons silenced: their rate is 0 at all times, whatever they are told.
///
/// With m_i = 0 for the silenced neurons and 1 for the others: h = m phi(W (h + m E x) + b), y = C h + c, where B = W E;
/// a B of its own stays.
///
/// silenced: numbers of neurons, each below n.
///
/// Source: the mask of the code of Fanthomme & Monasson 2021.
///
/// # Panics
/// A number that is no neuron.
///
/// ```
/// use tinyfold::{design::exact::{Spec, exact}, manifold::ablation::without, network::Activation, task::Integration};
/// let task = Integration { decays: vec![0.9], scales: vec![1.0] };
/// let spec = Spec { neurons: 16, task, activation: Activation::Relu, seed: 0, encoder: None, decoder: None };
/// let network = exact(&spec)?.network;
/// assert_eq!(without(&network, &[]), network);
/// assert!(without(&network, &[3]).readout.col(3).iter().all(|&c| c == 0.0));
/// # Ok::<(), tinyfold::Error>(())
/// ```
#[must_use]
pub fn without(network: &Network, silenced: &[usize]) -> Network {
    let mut network = network.clone();
    for &i in silenced {
        network.readout.col_mut(i).fill(0.0);
        network.bias[i] = 0.0;
        match &mut network.recurrence {
            Recurrence::Dense(w) => {
                w.row_mut(i).fill(0.0);
                w.col_mut(i).fill(0.0);
            }
            Recurrence::LowRank { u, v } => {
                u.row_mut(i).fill(0.0);
                v.row_mut(i).fill(0.0);
            }
        }
        network.input.row_mut(i).fill(0.0);
    }
    if let Some(encoder) = network.encoder.as_ref().filter(|_| !silenced.is_empty()) {
        network.input = network.recurrence.times(encoder);
    }
    network
}

/// Errors of a network without a share of its neurons.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ablation {
    /// Neurons silenced.
    pub silenced: usize,
    /// Relative RMSE, worst channel, one for each random choice of the neurons, smallest first.
    pub errors: Vec<f64>,
}

impl Ablation {
    /// The median error.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.errors[self.errors.len() / 2]
    }
}

/// Errors on `x` without each of these shares of the neurons, chosen at random `draws` times.
///
/// x: row-major T × I; shares: in \[0, 1\]; draws: at least 1.
///
/// # Errors
/// A share out of range, no draw, a network that is no integrator.
pub fn ablations(
    network: &Network,
    x: &[f64],
    shares: &[f64],
    draws: usize,
    seed: u64,
) -> Result<Vec<Ablation>> {
    let task = network.integrator("network")?;
    let (n, targets) = (network.neurons(), task.targets(x));
    crate::error::require(draws > 0, "draws of an ablation", "at least 1", draws)?;
    if let Some(share) = shares.iter().find(|share| !(0.0..=1.0).contains(*share)) {
        return Err(Error::input("share of neurons to silence", "from 0 to 1", share.to_string()));
    }
    let counts: BTreeSet<usize> = shares.iter().map(|share| (share * n as f64).round() as usize).collect();
    let one = |silenced: usize, draw: usize| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream((silenced * draws + draw) as u64);
        let network = without(network, &sample(&mut rng, n, silenced).into_vec());
        capped(relative_rmse(&simulate::run(&network, x, false).outputs, &targets, task.channels()))
    };
    let of_count = |silenced: usize| {
        let mut errors: Vec<f64> = (0..draws).into_par_iter().map(|draw| one(silenced, draw)).collect();
        errors.sort_by(f64::total_cmp);
        Ablation { silenced, errors }
    };
    Ok(counts.into_iter().map(of_count).collect())
}
