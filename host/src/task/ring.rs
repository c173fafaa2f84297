//! Ring: a heading that angular velocity turns.

use std::f64::consts::TAU;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::trial::{LARGEST, Trial, Trials};
use crate::Result;
use crate::error::require;
use crate::format::settings::settings;

settings! {
    /// Head direction from angular velocity.
    ///
    /// theta_t = theta_{t-1} + omega v_t; targets cos theta_t, sin theta_t.
    ///
    /// theta_0: uniform on the circle, given as its cosine and sine by two inputs in the first `cue` steps, which are
    /// 0 later; v_t: 0 during the cue, then an autoregressive process of variance 1, v_t = rho v_{t-1} +
    /// sqrt(1 - rho²) xi_t with xi_t ~ N(0, 1).
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    Ring {
        /// omega, standard deviation of the angular velocity in radians a step.
        speed: f64 = 0.15,
        /// rho, correlation of the velocities of successive steps, in [0, 1).
        persistence: f64 = 0.8,
        /// Steps that the direction is shown for at the beginning.
        cue: usize = 3,
    }
}

impl Trials for Ring {
    fn inputs(&self) -> Vec<String> {
        ["velocity", "cue cos", "cue sin"].map(String::from).into()
    }

    fn outputs(&self) -> Vec<String> {
        ["cos", "sin"].map(String::from).into()
    }

    fn steps(&self) -> usize {
        50
    }

    fn check(&self, steps: usize) -> Result<()> {
        require(self.speed > 0.0 && self.speed.is_finite(), "speed", "a positive number", self.speed)?;
        let fits = (0.0..1.0).contains(&self.persistence);
        require(fits, "persistence", "at least 0 and below 1", self.persistence)?;
        let expected = format!("from 1 to {LARGEST}");
        require((1..=LARGEST).contains(&self.cue), "cue", expected, self.cue)?;
        require(steps > self.cue, "sequence", format!("more than the cue of {} steps", self.cue), steps)
    }

    fn trial(&self, steps: usize, rng: &mut ChaCha8Rng) -> Trial {
        let start = rng.random_range(0.0..TAU);
        let fresh = (1.0 - self.persistence * self.persistence).sqrt();
        // The process is stationary from its first step on.
        let mut velocity: f64 = StandardNormal.sample(rng);
        let mut theta = start;
        let (mut x, mut target) = (Vec::with_capacity(3 * steps), Vec::with_capacity(2 * steps));
        for t in 0..steps {
            if t < self.cue {
                x.extend([0.0, start.cos(), start.sin()]);
            } else {
                let noise: f64 = StandardNormal.sample(rng);
                velocity = self.persistence * velocity + fresh * noise;
                theta += self.speed * velocity;
                x.extend([velocity, 0.0, 0.0]);
            }
            target.extend([theta.cos(), theta.sin()]);
        }
        Trial::judged(x, target)
    }
}
