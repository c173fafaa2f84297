//! Multiplexed leaky integration.

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::trial::{Trial, Trials};
use crate::Result;
use crate::error::require;
use crate::format::settings::settings;

settings! {
    /// Multiplexed leaky integration of D channels.
    ///
    /// u_{c,t} = gamma_c (u_{c,t-1} + x_{c,t}), u_{c,0} = 0; target y*_c = s_c u_c.
    ///
    /// gamma_c: decay, in (0, 1); s_c: scale, not 0; x: N(0, 1), or a recording. Source: Fanthomme & Monasson 2021,
    /// section 2.
    ///
    /// ```
    /// let task = tinyfold::task::Integration { decays: vec![0.5], scales: vec![4.0] };
    /// assert_eq!(task.targets(&[1.0, 1.0]), [2.0, 3.0]);
    /// ```
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    Integration {
        /// gamma, one a channel.
        decays: Vec<f64> = vec![0.99, 0.9925, 0.995],
        /// s, one a channel.
        scales: Vec<f64> = vec![1.0; 3],
    }
}

impl Integration {
    /// D.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.decays.len()
    }

    /// The integrals u for inputs x, both row-major T × D.
    #[must_use]
    pub fn integrals(&self, x: &[f64]) -> Vec<f64> {
        let mut state = vec![0.0; self.channels()];
        let mut out = Vec::with_capacity(x.len());
        for sample in x.chunks_exact(self.channels()) {
            for ((u, &x), &gamma) in state.iter_mut().zip(sample).zip(&self.decays) {
                *u = gamma * (*u + x);
                out.push(*u);
            }
        }
        out
    }

    /// The targets y* for inputs x, both row-major T × D.
    #[must_use]
    pub fn targets(&self, x: &[f64]) -> Vec<f64> {
        let mut y = self.integrals(x);
        for sample in y.chunks_exact_mut(self.channels()) {
            for (y, s) in sample.iter_mut().zip(&self.scales) {
                *y *= s;
            }
        }
        y
    }
}

impl Trials for Integration {
    fn inputs(&self) -> Vec<String> {
        (0..self.channels()).map(|c| format!("x{c}")).collect()
    }

    fn outputs(&self) -> Vec<String> {
        (0..self.channels()).map(|c| format!("y{c}")).collect()
    }

    fn steps(&self) -> usize {
        10
    }

    fn check(&self, _: usize) -> Result<()> {
        check_decays(&self.decays)?;
        let (channels, scales) = (self.channels(), self.scales.len());
        require(scales == channels, "number of scales", format!("{channels}, one a decay"), scales)?;
        self.scales.iter().try_for_each(|&scale| {
            require(scale != 0.0 && scale.is_finite(), "scales", "finite numbers other than 0", scale)
        })
    }

    fn trial(&self, steps: usize, rng: &mut ChaCha8Rng) -> Trial {
        let x: Vec<f64> = StandardNormal.sample_iter(rng).take(steps * self.channels()).collect();
        let target = self.targets(&x);
        Trial::judged(x, target)
    }
}

/// Refuses decays that are none or not between 0 and 1.
pub(super) fn check_decays(decays: &[f64]) -> Result<()> {
    require(!decays.is_empty(), "channels", "at least 1", 0)?;
    decays.iter().try_for_each(|&decay| {
        require(decay > 0.0 && decay < 1.0, "decays", "numbers between 0 and 1", decay)
    })
}
