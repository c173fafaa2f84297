//! A reduced model beside the network it comes from.

use std::iter::zip;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;
use serde::Serialize;

use super::Ssm;
use super::chip::read;
use super::series::Scalar;
use crate::Result;
use crate::dynamics::{Rnn, System};
use crate::format::reduced::Reduced;
use crate::network::Network;

/// A reduced model beside its network, both started on the SSM inside the box.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Followed {
    /// Trials without inputs, and as many with.
    pub trials: usize,
    /// Steps of a trial.
    pub steps: usize,
    /// Mean over the trials of mean |y - y'| / max |y - y0|: outputs of the network, of the model, and at rest.
    pub nmte: f64,
    /// The same under inputs; none when no input moves the model.
    pub driven: Option<f64>,
    /// Standard deviation of these inputs, anew each step, in network units.
    pub noise: f64,
    /// Trials of all in which the model left its box; they count until then.
    pub left: usize,
    /// Part of the steps of all trials that counted.
    pub compared: f64,
}

/// Trials of a comparison.
const TRIALS: usize = 40;

impl<S: Scalar> Ssm<S> {
    /// A model of [`Ssm::on_chip`] beside the network, from 40 places in the ellipse inside its box, over two time
    /// constants (20 to 1000 steps); under inputs that spread it over about a quarter of the box, but at most 1.
    ///
    /// # Errors
    /// As [`Reduced::run`].
    pub fn follow(&self, network: &Network, rnn: &Rnn, model: &Reduced, seed: u64) -> Result<Followed> {
        let modulus = self.eigenvalues.iter().map(|value| value.modulus()).fold(0.0, f64::max);
        let steps = (2.0 / modulus.ln().abs()).clamp(20.0, 1000.0) as usize;
        let noise = self.spread(network, rnn, model, modulus, steps)?;
        let run = |noise: f64| -> Result<(f64, usize, f64)> {
            let one = |k: usize| self.trial(network, rnn, model, (steps, noise), seed.wrapping_add(k as u64));
            let all: Result<Vec<(f64, usize)>> = (0..TRIALS).into_par_iter().map(one).collect();
            let all = all?;
            let lasting: Vec<f64> = all.iter().map(|trial| trial.0).filter(|nmte| !nmte.is_nan()).collect();
            let mean = lasting.iter().sum::<f64>() / lasting.len() as f64;
            let left = all.iter().filter(|trial| trial.1 < steps).count();
            let compared = all.iter().map(|trial| trial.1).sum::<usize>() as f64 / (steps * TRIALS) as f64;
            Ok((mean, left, compared))
        };
        let (nmte, left, compared) = run(0.0)?;
        let still = Followed { trials: TRIALS, steps, nmte, driven: None, noise, left, compared };
        if noise == 0.0 {
            return Ok(still);
        }
        let (driven, also, part) = run(noise)?;
        let compared = f64::midpoint(compared, part);
        Ok(Followed { driven: Some(driven), left: left + also, compared, ..still })
    }

    /// The standard deviation of inputs that spreads the model over a quarter of its box in some steps; 0 if none does.
    fn spread(
        &self,
        network: &Network,
        rnn: &Rnn,
        model: &Reduced,
        modulus: f64,
        steps: usize,
    ) -> Result<f64> {
        let inputs = network.input.ncols();
        let at_rest = self.place(network, rnn, &vec![0.0; self.dimension()], 0)?;
        let moved = zip(&model.interval, at_rest.inputs.chunks(inputs.max(1))).map(|([low, high], g)| {
            let g = zip(g, &network.inputs).map(|(g, channel)| (g / channel.gain).powi(2)).sum::<f64>();
            2.0 * g.sqrt() / (high - low)
        });
        let most = moved.fold(0.0, f64::max);
        let held: f64 = (0..steps).map(|t| modulus.powi(2 * t as i32)).sum();
        Ok(if most > 0.0 { (0.25 / (most * held.sqrt())).min(1.0) } else { 0.0 })
    }

    /// NMTE of a trial, not a number of one that leaves the box at once; and the steps before it left it.
    fn trial(
        &self,
        network: &Network,
        rnn: &Rnn,
        model: &Reduced,
        (steps, noise): (usize, f64),
        seed: u64,
    ) -> Result<(f64, usize)> {
        let (inputs, outputs) = (network.input.ncols(), network.readout.nrows());
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let (distance, angle) = (random.random::<f64>(), std::f64::consts::TAU * random.random::<f64>());
        let s = match self.dimension() {
            1 => vec![2.0 * distance - 1.0],
            _ => vec![distance.sqrt() * angle.cos(), distance.sqrt() * angle.sin()],
        };
        let start: Vec<f64> = zip(&s, &model.interval)
            .map(|(s, [low, high])| f64::midpoint(*low, *high) + 0.5 * s * (high - low))
            .collect();
        let u: Vec<f64> =
            (0..steps * inputs).map(|_| noise * random.sample::<f64, _>(StandardNormal)).collect();
        let physical: Vec<f64> =
            u.iter().enumerate().map(|(k, u)| u / network.inputs[k % inputs].gain).collect();
        let mut x = self.state(&start);
        let found = Reduced { initial: start.clone(), ..model.clone() }.run(&physical, steps)?;
        let rest = read(network, rnn, &self.manifold.column(0, 0)[..self.manifold.n]);
        let clamped = |z: &[f64]| zip(z, &model.interval).any(|(z, ends)| ends.contains(z));
        let compared = found.z.chunks(start.len()).position(clamped).unwrap_or(steps).min(steps);
        let (mut error, mut largest) = (0.0, f64::MIN_POSITIVE);
        for t in 0..compared {
            let mut now = rnn.clone();
            for (k, u) in u[t * inputs..(t + 1) * inputs].iter().enumerate() {
                zip(&mut now.drive, network.input.col_as_slice(k)).for_each(|(g, b)| *g += b * u);
            }
            let mut next = vec![0.0; x.len()];
            now.value(&x, &mut next);
            x = next;
            let y = read(network, rnn, &x);
            let model = zip(&found.outputs[t * outputs..], &network.outputs);
            let model = model.map(|(y, channel)| (y - channel.center) / channel.gain);
            let square: f64 = zip(&y, model).map(|(y, model)| (y - model).powi(2)).sum();
            error += square.sqrt();
            largest = zip(&y, &rest).map(|(y, rest)| (y - rest).powi(2)).sum::<f64>().sqrt().max(largest);
        }
        Ok((error / compared as f64 / largest, compared))
    }
}
