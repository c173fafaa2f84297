//! Context-dependent integration: two noisy streams of evidence, a context that says which one counts.

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::trial::{LARGEST, Trial, Trials};
use crate::Result;
use crate::error::require;
use crate::format::settings::settings;
use crate::network::Network;
use crate::simulate;

/// What the output is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The integral, at every step.
    #[default]
    Graded,
    /// Its sign, after the stimulus.
    Choice,
}

settings! {
    /// The bounded integral of the stream of evidence that a context selects, or its sign.
    ///
    /// u_t = clamp(u_{t-1} + g e_{k,t}, -1, 1), u_0 = 0; e_{c,t} = ± coherence_c + sigma xi_{c,t}.
    ///
    /// e: evidence of motion and of colour, each with a coherence and a sign of its own drawn for the trial; k: the
    /// context of the trial, two inputs of which one is 1 and the other 0; xi: N(0, 1). The evidence is 0 in the last
    /// `response` steps. Target: u ("graded"), or sign(u) in the response ("choice").
    ///
    /// Source: Mante, Sussillo, Shenoy & Newsome 2013.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    Context {
        /// Coherences: mean evidence of a step, each with either sign.
        coherences: Vec<f64> = vec![0.02, 0.06, 0.2],
        /// sigma, standard deviation of the evidence of a step.
        noise: f64 = 0.5,
        /// g, what the integral gains by evidence 1 in a step.
        gain: f64 = 0.1,
        /// Target: graded (the integral, at every step) or choice (its sign, in the response).
        target: Target = Target::Graded,
        /// Steps after the stimulus.
        response: usize = 10,
    }
}

/// How often the last output of a trial has the sign of the attended coherence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choices {
    /// Attended coherence; that of the other stream is drawn as in all trials.
    pub coherence: f64,
    /// Fraction of the trials.
    pub correct: f64,
}

/// The stream of the first coherence: none that trials are drawn from elsewhere.
const CHOICES: u64 = 16;

impl Context {
    /// The psychometric curve of a network: [`Choices`] at every coherence above 0, each from `count` trials of a
    /// stream of its own.
    ///
    /// Noise limits what any network can reach: the mean of k steps of evidence has the sign of its coherence c in
    /// Phi(c sqrt(k) / sigma) of the trials.
    #[must_use]
    pub fn choices(&self, network: &Network, steps: usize, count: usize, seed: u64) -> Vec<Choices> {
        let rising = self.coherences.iter().copied().filter(|&c| c > 0.0);
        rising
            .zip(CHOICES..)
            .map(|(coherence, stream)| {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                rng.set_stream(stream);
                let trials: Vec<(f64, Trial)> = (0..count)
                    .map(|_| {
                        let (mut means, attended) = self.draw(&mut rng);
                        means[attended] = coherence.copysign(means[attended]);
                        (means[attended], self.of(means, attended, steps, &mut rng))
                    })
                    .collect();
                let right = |(mean, trial): &&(f64, Trial)| {
                    let outputs = simulate::run(network, &trial.x, false).outputs;
                    outputs.last().is_some_and(|y| y * mean > 0.0)
                };
                let right = trials.par_iter().filter(right).count();
                Choices { coherence, correct: right as f64 / count.max(1) as f64 }
            })
            .collect()
    }

    /// Mean evidence of both streams, and which one is attended to.
    fn draw(&self, rng: &mut ChaCha8Rng) -> ([f64; 2], usize) {
        let means = [(); 2].map(|()| {
            let coherence = *self.coherences.choose(rng).expect("at least one coherence");
            if rng.random_bool(0.5) { coherence } else { -coherence }
        });
        (means, usize::from(rng.random_bool(0.5)))
    }
}

impl Trials for Context {
    fn inputs(&self) -> Vec<String> {
        ["motion", "colour", "attend motion", "attend colour"].map(String::from).into()
    }

    fn outputs(&self) -> Vec<String> {
        vec![if self.target == Target::Graded { "integral" } else { "choice" }.into()]
    }

    fn steps(&self) -> usize {
        self.response.saturating_add(50)
    }

    fn decides(&self) -> bool {
        self.target == Target::Choice
    }

    fn check(&self, steps: usize) -> Result<()> {
        require(!self.coherences.is_empty(), "coherences", "at least one", "none")?;
        for &coherence in &self.coherences {
            require(coherence.is_finite(), "coherences", "finite numbers", coherence)?;
        }
        require(self.noise >= 0.0 && self.noise.is_finite(), "noise", "0 or a positive number", self.noise)?;
        require(self.gain > 0.0 && self.gain.is_finite(), "gain", "a positive number", self.gain)?;
        let least = usize::from(self.target == Target::Choice);
        let fits = (least..=LARGEST).contains(&self.response);
        require(fits, "response", format!("from {least} to {LARGEST} steps"), self.response)?;
        let expected = format!("more than the response of {} steps", self.response);
        require(steps > self.response, "sequence", expected, steps)
    }

    fn trial(&self, steps: usize, rng: &mut ChaCha8Rng) -> Trial {
        let (means, attended) = self.draw(rng);
        self.of(means, attended, steps, rng)
    }
}

impl Context {
    /// A trial of this mean evidence.
    fn of(&self, means: [f64; 2], attended: usize, steps: usize, rng: &mut ChaCha8Rng) -> Trial {
        let stimulus = steps - self.response;
        let (mut x, mut integrals) = (Vec::with_capacity(4 * steps), Vec::with_capacity(steps));
        let mut u: f64 = 0.0;
        for t in 0..steps {
            let evidence = means.map(|mean| {
                let noise: f64 = StandardNormal.sample(rng);
                if t < stimulus { mean + self.noise * noise } else { 0.0 }
            });
            u = (u + self.gain * evidence[attended]).clamp(-1.0, 1.0);
            x.extend(evidence);
            x.extend([0, 1].map(|c| if c == attended { 1.0 } else { 0.0 }));
            integrals.push(u);
        }
        match self.target {
            Target::Graded => Trial::judged(x, integrals),
            Target::Choice => Trial {
                x,
                target: integrals.iter().map(|u| if *u < 0.0 { -1.0 } else { 1.0 }).collect(),
                weight: (0..steps).map(|t| if t < stimulus { 0.0 } else { 1.0 }).collect(),
            },
        }
    }
}
