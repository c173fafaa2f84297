//! Sine generation: a constant input sets the frequency.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::trial::{Trial, Trials};
use crate::Result;
use crate::error::require;
use crate::format::settings::settings;

settings! {
    /// A sine wave of the frequency that is asked for.
    ///
    /// x_t = omega / omega_max; target y*_t = sin(omega t), t = 1, 2 ...
    ///
    /// omega: radians a step, drawn uniformly from [omega_min, omega_max] for every trial.
    ///
    /// Source: Sussillo & Barak 2013, whose input is a static code of the frequency too.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    Sine {
        /// omega_min, radians a step.
        slowest: f64 = 0.1,
        /// omega_max, radians a step, below pi.
        fastest: f64 = 0.4,
    }
}

impl Trials for Sine {
    fn inputs(&self) -> Vec<String> {
        vec!["frequency".into()]
    }

    fn outputs(&self) -> Vec<String> {
        vec!["sine".into()]
    }

    fn steps(&self) -> usize {
        60
    }

    fn check(&self, _: usize) -> Result<()> {
        require(self.slowest > 0.0, "slowest", "a positive number of radians a step", self.slowest)?;
        let fits = self.fastest >= self.slowest && self.fastest < std::f64::consts::PI;
        require(fits, "fastest", format!("from slowest = {} to below pi", self.slowest), self.fastest)
    }

    fn trial(&self, steps: usize, rng: &mut ChaCha8Rng) -> Trial {
        let omega = rng.random_range(self.slowest..=self.fastest);
        let target = (1..=steps).map(|t| (omega * t as f64).sin()).collect();
        Trial::judged(vec![omega / self.fastest; steps], target)
    }
}
