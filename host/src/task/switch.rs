//! Switch: a context selects which of D integrals is the output.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::integration::check_decays;
use super::trial::{Trial, Trials};
use crate::Result;
use crate::error::require;
use crate::format::settings::settings;

settings! {
    /// The selected one of D leaky integrals.
    ///
    /// u_{c,t} = gamma_c (u_{c,t-1} + x_{c,t}), u_{c,0} = 0; target y*_t = s u_{k_t,t}.
    ///
    /// x_c: N(0, 1), independent; k_t: the selected channel, given by D more inputs of which that of k_t is 1 and the
    /// others are 0. All channels are integrated all the time, so that the output jumps when the selection does.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    Switch {
        /// Decays gamma in (0, 1), one a channel.
        decays: Vec<f64> = vec![0.8, 0.9],
        /// Scale s of the output.
        scale: f64 = 0.3,
        /// Probability that a step selects anew, in [0, 1]; 0 for one selection a trial.
        switching: f64 = 0.05,
    }
}

impl Trials for Switch {
    fn inputs(&self) -> Vec<String> {
        let named = |kind: &'static str| (0..self.decays.len()).map(move |c| format!("{kind} {c}"));
        named("signal").chain(named("select")).collect()
    }

    fn outputs(&self) -> Vec<String> {
        vec!["integral".into()]
    }

    fn steps(&self) -> usize {
        50
    }

    fn check(&self, _: usize) -> Result<()> {
        check_decays(&self.decays)?;
        require(self.scale != 0.0 && self.scale.is_finite(), "scale", "a number other than 0", self.scale)?;
        let fits = (0.0..=1.0).contains(&self.switching);
        require(fits, "switching", "a probability from 0 to 1", self.switching)
    }

    fn trial(&self, steps: usize, rng: &mut ChaCha8Rng) -> Trial {
        let channels = self.decays.len();
        let mut selected = rng.random_range(0..channels);
        let mut integrals = vec![0.0; channels];
        let (mut x, mut target) = (Vec::with_capacity(2 * channels * steps), Vec::with_capacity(steps));
        for _ in 0..steps {
            if rng.random_bool(self.switching) {
                selected = rng.random_range(0..channels);
            }
            for (u, gamma) in integrals.iter_mut().zip(&self.decays) {
                let signal: f64 = StandardNormal.sample(rng);
                *u = gamma * (*u + signal);
                x.push(signal);
            }
            x.extend((0..channels).map(|c| if c == selected { 1.0 } else { 0.0 }));
            target.push(self.scale * integrals[selected]);
        }
        Trial::judged(x, target)
    }
}
