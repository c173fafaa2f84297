//! Neurons that are left out of a network while it is trained and judged.
//!
//! Everything is drawn for all n neurons first, so that a run with a mask and one without start alike. What is trained,
//! judged and written is then the network of the neurons that are kept: those that are masked have no rate, no gradient
//! and no place in the file, which says the numbers of the others.
//!
//! h = m (phi(W h + B x + b)) with m_i = 0 for a masked neuron and 1 for another has outputs and gradients of this smaller
//! network, since no weight of a masked neuron reaches an output.

use faer::Mat;
use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::settings::Settings;
use crate::Result;
use crate::error::require;

/// Which neurons are masked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ablation {
    /// None.
    #[default]
    None,
    /// This part of them, in \[0, 1), drawn by the seed.
    Fraction(f64),
    /// These, counted from 0.
    Neurons(Vec<usize>),
}

impl Settings {
    /// The neurons that are kept, ascending; `None` for all.
    #[must_use]
    pub fn kept(&self) -> Option<Vec<usize>> {
        let n = self.neurons;
        let masked = match &self.ablation {
            Ablation::None => return None,
            Ablation::Fraction(part) => {
                let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
                rng.set_stream(103);
                sample(&mut rng, n, (part * n as f64).round() as usize).into_vec()
            }
            Ablation::Neurons(masked) => masked.clone(),
        };
        Some((0..n).filter(|i| !masked.contains(i)).collect())
    }

    pub(super) fn check_ablation(&self) -> Result<()> {
        let n = self.neurons;
        match &self.ablation {
            Ablation::None => {}
            &Ablation::Fraction(part) => {
                require((0.0..1.0).contains(&part), "ablation.fraction", "at least 0 and below 1", part)?;
            }
            Ablation::Neurons(masked) => {
                let beyond = masked.iter().find(|&&i| i >= n);
                let place = "ablation.neurons";
                require(
                    beyond.is_none(),
                    place,
                    format!("neurons from 0 to {}", n - 1),
                    beyond.unwrap_or(&0),
                )?;
            }
        }
        let kept = self.kept().map_or(n, |kept| kept.len());
        let least = self.rank.max(1);
        require(kept >= least, "ablation", format!("at least {least} neurons left of {n}"), kept)
    }
}

/// The entries of the neurons that are kept.
pub(super) fn entries(all: Vec<f64>, settings: &Settings) -> Vec<f64> {
    match settings.kept() {
        Some(kept) => kept.iter().map(|&i| all[i]).collect(),
        None => all,
    }
}

/// The rows of the neurons that are kept.
pub(super) fn rows<T: Copy>(all: Mat<T>, kept: Option<&[usize]>) -> Mat<T> {
    match kept {
        Some(kept) => Mat::from_fn(kept.len(), all.ncols(), |i, j| all[(kept[i], j)]),
        None => all,
    }
}

/// The columns of the neurons that are kept.
pub(super) fn columns<T: Copy>(all: Mat<T>, kept: Option<&[usize]>) -> Mat<T> {
    match kept {
        Some(kept) => Mat::from_fn(all.nrows(), kept.len(), |i, j| all[(i, kept[j])]),
        None => all,
    }
}
