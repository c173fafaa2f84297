//! Flip-flop: k bits that pulses set.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::trial::{LARGEST, Trial, Trials};
use crate::Result;
use crate::error::require;
use crate::format::settings::settings;

settings! {
    /// k memories of one bit.
    ///
    /// Input b is +1 or -1 with probability p a step, each sign as often, and 0 otherwise; output b is the last pulse
    /// of input b, from the step of the pulse on. It is not judged before the first one.
    ///
    /// Source: Sussillo & Barak 2013.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    FlipFlop {
        /// k, number of bits.
        bits: usize = 3,
        /// p, probability of a pulse of a bit in a step, above 0 and at most 1.
        pulses: f64 = 0.1,
    }
}

impl Trials for FlipFlop {
    fn inputs(&self) -> Vec<String> {
        (0..self.bits).map(|b| format!("pulse {b}")).collect()
    }

    fn outputs(&self) -> Vec<String> {
        (0..self.bits).map(|b| format!("bit {b}")).collect()
    }

    fn steps(&self) -> usize {
        60
    }

    fn decides(&self) -> bool {
        true
    }

    fn check(&self, _: usize) -> Result<()> {
        let expected = format!("from 1 to {LARGEST}");
        require((1..=LARGEST).contains(&self.bits), "bits", expected, self.bits)?;
        let fits = self.pulses > 0.0 && self.pulses <= 1.0;
        require(fits, "pulses", "a probability above 0 and at most 1", self.pulses)
    }

    fn trial(&self, steps: usize, rng: &mut ChaCha8Rng) -> Trial {
        let mut held = vec![0.0; self.bits];
        let mut trial = Trial { x: Vec::new(), target: Vec::new(), weight: Vec::new() };
        for _ in 0..steps {
            for bit in &mut held {
                let mut pulse = 0.0;
                if rng.random_bool(self.pulses) {
                    pulse = if rng.random_bool(0.5) { 1.0 } else { -1.0 };
                    *bit = pulse;
                }
                trial.x.push(pulse);
            }
            trial.target.extend(&held);
            trial.weight.extend(held.iter().map(|bit: &f64| bit.abs()));
        }
        trial
    }
}
