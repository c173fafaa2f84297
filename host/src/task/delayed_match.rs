//! Delayed match to sample: is the second stimulus the first one again?

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::trial::{LARGEST, Trial, Trials};
use crate::Result;
use crate::error::require;
use crate::format::settings::settings;

settings! {
    /// Sample, delay, test, response: +1 if test and sample are the same stimulus, else -1.
    ///
    /// A stimulus is an input of 1 in `pulse` steps, the others being 0. The sample comes first, the test after a delay
    /// that is drawn uniformly; half of all trials match. Only the `response` steps after the test are judged.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    DelayedMatch {
        /// Number of stimuli, an input each.
        stimuli: usize = 2,
        /// Steps of a stimulus.
        pulse: usize = 3,
        /// Least steps between sample and test.
        delay_least: usize = 5,
        /// Most steps between sample and test.
        delay_most: usize = 15,
        /// Steps after the test that are judged.
        response: usize = 5,
    }
}

impl Trials for DelayedMatch {
    fn inputs(&self) -> Vec<String> {
        (0..self.stimuli).map(|s| format!("stimulus {s}")).collect()
    }

    fn outputs(&self) -> Vec<String> {
        vec!["match".into()]
    }

    fn steps(&self) -> usize {
        let stimuli = self.pulse.saturating_mul(2);
        stimuli.saturating_add(self.delay_most).saturating_add(self.response)
    }

    fn decides(&self) -> bool {
        true
    }

    fn check(&self, steps: usize) -> Result<()> {
        for (field, value, smallest) in [
            ("stimuli", self.stimuli, 2),
            ("pulse", self.pulse, 1),
            ("response", self.response, 1),
            ("delay_least", self.delay_least, 0),
            ("delay_most", self.delay_most, 0),
        ] {
            let expected = format!("from {smallest} to {LARGEST}");
            require((smallest..=LARGEST).contains(&value), field, expected, value)?;
        }
        let ordered = self.delay_least <= self.delay_most;
        require(
            ordered,
            "delay_most",
            format!("at least delay_least = {}", self.delay_least),
            self.delay_most,
        )?;
        let least = self.steps();
        require(steps >= least, "sequence", format!("at least {least}, the longest trial"), steps)
    }

    fn trial(&self, steps: usize, rng: &mut ChaCha8Rng) -> Trial {
        let sample = rng.random_range(0..self.stimuli);
        let matches = rng.random_bool(0.5);
        let other = (sample + rng.random_range(1..self.stimuli)) % self.stimuli;
        let test = if matches { sample } else { other };
        let second = self.pulse + rng.random_range(self.delay_least..=self.delay_most);
        let end = second + self.pulse;
        let mut x = vec![0.0; steps * self.stimuli];
        for t in 0..self.pulse {
            x[t * self.stimuli + sample] = 1.0;
            x[(second + t) * self.stimuli + test] = 1.0;
        }
        let judged = |t: usize| (end..end + self.response).contains(&t);
        let answer = if matches { 1.0 } else { -1.0 };
        let within = |value: f64| (0..steps).map(|t| if judged(t) { value } else { 0.0 }).collect();
        Trial { x, target: within(answer), weight: within(1.0) }
    }
}
