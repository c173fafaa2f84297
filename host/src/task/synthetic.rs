//! Synthetic inputs, reproducible by seed.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::{Error, Result};

/// Independent N(0, 1) samples without end.
pub(crate) fn normal(seed: u64) -> impl Iterator<Item = f64> {
    StandardNormal.sample_iter(ChaCha8Rng::seed_from_u64(seed))
}

/// Independent N(0, 1) samples, row-major `steps` × `channels`.
///
/// ```
/// use tinyfold::task::synthetic::gaussian;
/// assert_eq!(gaussian(100, 3, 7), gaussian(100, 3, 7));
/// ```
#[must_use]
pub fn gaussian(steps: usize, channels: usize, seed: u64) -> Vec<f64> {
    normal(seed).take(steps * channels).collect()
}

/// How spike trains burst.
///
/// Source: Fanthomme & Monasson 2021: 20 bursts in 1000 steps, of 25 steps at rate 0.95, at least 10
/// steps apart, on a base rate of 0.05.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bursts {
    /// Spike probability of a step outside bursts.
    pub base_rate: f64,
    /// Spike probability of a step inside a burst.
    pub burst_rate: f64,
    /// Steps of a burst.
    pub length: usize,
    /// Least steps between two bursts of a channel.
    pub refractory: usize,
    /// Bursts in 1000 steps, both trains of a channel together.
    pub per_thousand: usize,
}

impl Default for Bursts {
    fn default() -> Self {
        Self { base_rate: 0.05, burst_rate: 0.95, length: 25, refractory: 10, per_thousand: 20 }
    }
}

/// The difference of two opposing spike trains a channel, in {-1, 0, 1}: row-major `steps` × `channels`.
///
/// Every burst belongs to one of the two trains, chosen by a fair coin; bursts never overlap and are
/// placed uniformly among the arrangements that keep them `refractory` steps apart.
///
/// # Errors
/// A rate that is no probability, or more bursts than fit into the steps.
///
/// ```
/// use tinyfold::task::synthetic::{Bursts, spike_bursts};
/// let x = spike_bursts(&Bursts::default(), 1000, 2, 0)?;
/// assert!(x.len() == 2000 && x.iter().all(|x| [-1.0, 0.0, 1.0].contains(x)));
/// # Ok::<(), tinyfold::Error>(())
/// ```
pub fn spike_bursts(bursts: &Bursts, steps: usize, channels: usize, seed: u64) -> Result<Vec<f64>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for (name, rate) in [("base rate", bursts.base_rate), ("burst rate", bursts.burst_rate)] {
        if !(0.0..=1.0).contains(&rate) {
            return Err(Error::input(name, "a probability from 0 to 1", rate.to_string()));
        }
    }
    let count = steps * bursts.per_thousand / 1000;
    let taken = count * bursts.length + count.saturating_sub(1) * bursts.refractory;
    if taken > steps {
        let expected = format!("at least {taken} steps for {count} bursts with their pauses");
        return Err(Error::input("bursts", expected, steps.to_string()));
    }
    let mut x = vec![0.0; steps * channels];
    for channel in 0..channels {
        // Choosing where among the free steps each burst goes gives a uniform arrangement.
        let mut gaps: Vec<usize> = (0..count).map(|_| rng.random_range(0..=steps - taken)).collect();
        gaps.sort_unstable();
        let mut rates = vec![[bursts.base_rate; 2]; steps];
        for (k, gap) in gaps.into_iter().enumerate() {
            let start = gap + k * (bursts.length + bursts.refractory);
            let train = usize::from(rng.random_bool(0.5));
            for rate in &mut rates[start..start + bursts.length] {
                rate[train] = bursts.burst_rate;
            }
        }
        for (t, [up, down]) in rates.into_iter().enumerate() {
            let spikes = [up, down].map(|rate| f64::from(u8::from(rng.random_bool(rate))));
            x[t * channels + channel] = spikes[0] - spikes[1];
        }
    }
    Ok(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaussian_has_its_moments_and_repeats() {
        let x = gaussian(50_000, 2, 7);
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let variance = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
        // Standard errors: 1 / sqrt(1e5) = 0.0032 and sqrt(2 / 1e5) = 0.0045; four of each.
        assert!(mean.abs() < 0.013 && (variance - 1.0).abs() < 0.018, "{mean} {variance}");
        assert_eq!(x, gaussian(50_000, 2, 7));
        assert_ne!(x, gaussian(50_000, 2, 8));
    }

    #[test]
    fn bursts_are_as_long_and_as_many_as_the_paper_says() {
        let x = spike_bursts(&Bursts { base_rate: 0.0, burst_rate: 1.0, ..Bursts::default() }, 1000, 3, 1)
            .expect("fits");
        for channel in 0..3 {
            let train: Vec<f64> = x.iter().skip(channel).step_by(3).copied().collect();
            assert_eq!(train.iter().filter(|x| **x != 0.0).count(), 20 * 25);
            let quiet = train.chunk_by(|a, b| (*a == 0.0) == (*b == 0.0)).filter(|run| run[0] == 0.0);
            let runs: Vec<usize> = quiet.map(<[f64]>::len).collect();
            // Only the first and the last quiet stretch may be shorter than the refractory time.
            assert!(runs[1..runs.len() - 1].iter().all(|&run| run >= 10), "{runs:?}");
        }
    }

    #[test]
    fn bursts_that_do_not_fit_are_refused() {
        let message = |bursts, steps| spike_bursts(&bursts, steps, 1, 0).expect_err("refused").to_string();
        let dense = Bursts { per_thousand: 40, ..Bursts::default() };
        assert_eq!(
            message(dense, 1000),
            "bursts: expected at least 1390 steps for 40 bursts with their pauses, found 1000"
        );
        let rate = Bursts { burst_rate: 1.5, ..Bursts::default() };
        assert_eq!(message(rate, 1000), "burst rate: expected a probability from 0 to 1, found 1.5");
    }

    #[test]
    fn the_rates_are_those_asked_for() {
        let x = spike_bursts(&Bursts::default(), 100_000, 1, 2).expect("fits");
        let active = x.iter().filter(|x| **x != 0.0).count() as f64 / x.len() as f64;
        // Half of all steps are in a burst: exactly one spike with probability 0.95 · 0.95 + 0.05 · 0.05
        // there, 2 · 0.05 · 0.95 elsewhere; mean 0.5, standard error below 0.002.
        assert!((active - 0.5).abs() < 0.01, "{active}");
    }
}
