//! What a network is asked to compute, and the signals it computes it on.

pub mod context;
pub mod delayed_match;
pub mod flip_flop;
pub mod integration;
mod kind;
pub mod recording;
pub mod ring;
pub mod sine;
pub mod switch;
pub mod synthetic;
pub mod trial;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

pub use self::integration::Integration;
pub use self::kind::Task;
use crate::{Error, Result, format};

/// One stretch of signal: T samples of I inputs, and of O targets when the user brought them.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// Label, for example the value of the grouping column ("0 standing").
    pub name: String,
    /// Row-major T × I.
    pub x: Vec<f64>,
    /// Row-major T × O.
    pub target: Option<Vec<f64>>,
}

/// Recordings with common channels and sampling rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// I input channels; `center` and `gain` say how raw values became `x`.
    pub inputs: Vec<crate::network::Channel>,
    /// O target channels, empty when the file has none.
    pub targets: Vec<crate::network::Channel>,
    /// Seconds between samples, when known.
    pub dt: Option<f64>,
    /// The stretches.
    pub recordings: Vec<Recording>,
}

impl Dataset {
    /// All recordings joined end to end, repeated until `steps` samples are there: row-major steps × I.
    #[must_use]
    pub fn joined(&self, steps: usize) -> Vec<f64> {
        let width = self.inputs.len();
        self.recordings.iter().flat_map(|r| &r.x).cycle().take(steps * width).copied().collect()
    }

    /// Samples of all recordings together.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.recordings.iter().map(|recording| recording.x.len() / self.inputs.len()).sum()
    }

    /// All samples of input `c`.
    pub fn channel(&self, c: usize) -> impl Iterator<Item = f64> + '_ {
        self.recordings.iter().flat_map(move |r| r.x.iter().skip(c).step_by(self.inputs.len())).copied()
    }

    /// A hash of all that training sees: the inputs with their units, the lengths and the samples.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let inputs = serde_json::to_string(&self.inputs).expect("plain data becomes JSON");
        let recordings = self.recordings.iter().flat_map(|recording| {
            let samples = recording.x.iter().flat_map(|x| x.to_le_bytes());
            (recording.x.len() as u64).to_le_bytes().into_iter().chain(samples)
        });
        format::hash(inputs.bytes().chain(recordings))
    }

    /// Mean and standard deviation of input `c` over all recordings.
    #[must_use]
    pub fn moments(&self, c: usize) -> (f64, f64) {
        let count = self.samples() as f64;
        let mean = self.channel(c).sum::<f64>() / count;
        let variance = self.channel(c).map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
        (mean, variance.sqrt())
    }

    /// The first `count` inputs, for a task of as many channels.
    ///
    /// # Errors
    /// `count` is 0 or more than there are.
    pub fn first_inputs(&self, count: usize) -> Result<Self> {
        let width = self.inputs.len();
        if count == 0 || count > width {
            let names: Vec<&str> = self.inputs.iter().map(|channel| channel.name.as_str()).collect();
            let expected = format!("1 to {width}, the inputs of the recording ({})", names.join(", "));
            return Err(Error::input("channels D", expected, count.to_string()));
        }
        Ok(self.select(&(0..count).collect::<Vec<usize>>()))
    }

    /// The inputs numbered `columns`, in that order; targets stay.
    #[must_use]
    pub fn select(&self, columns: &[usize]) -> Self {
        let width = self.inputs.len();
        let mut selected = self.clone();
        selected.inputs = columns.iter().map(|&c| self.inputs[c].clone()).collect();
        for recording in &mut selected.recordings {
            let samples = recording.x.chunks_exact(width);
            recording.x = samples.flat_map(|sample| columns.iter().map(move |&c| sample[c])).collect();
        }
        selected
    }

    /// Every recording cut into stretches of `steps` samples; a shorter rest is left out.
    ///
    /// # Errors
    /// `steps` is 0 or longer than every recording.
    ///
    /// ```
    /// let data = tinyfold::task::recording::bundled(&["gyro_x"])?;
    /// assert_eq!(data.windows(30)?.recordings.len(), 40 * 3);
    /// # Ok::<(), tinyfold::Error>(())
    /// ```
    pub fn windows(&self, steps: usize) -> Result<Self> {
        let (inputs, targets) = (self.inputs.len(), self.targets.len());
        let longest = self.recordings.iter().map(|recording| recording.x.len() / inputs).max().unwrap_or(0);
        if steps == 0 || steps > longest {
            let expected = format!("1 to {longest} samples, the longest recording");
            return Err(Error::input("window", expected, steps.to_string()));
        }
        let cut = |recording: &Recording| {
            let windows = recording.x.chunks_exact(steps * inputs).enumerate();
            windows
                .map(|(k, x)| Recording {
                    name: format!("{} [{}..{}]", recording.name, k * steps, (k + 1) * steps),
                    x: x.to_vec(),
                    target: recording
                        .target
                        .as_ref()
                        .map(|y| y[k * steps * targets..(k + 1) * steps * targets].to_vec()),
                })
                .collect::<Vec<Recording>>()
        };
        Ok(Self { recordings: self.recordings.iter().flat_map(cut).collect(), ..self.clone() })
    }

    /// Whole recordings divided at random into (training, test), each in the order of the file.
    ///
    /// test: share of recordings to test on, in (0, 1); both parts get at least one.
    ///
    /// # Errors
    /// Fewer than two recordings, or a share outside (0, 1).
    pub fn split(&self, test: f64, seed: u64) -> Result<(Self, Self)> {
        let count = self.recordings.len();
        if count < 2 {
            let expected = "at least 2, to train on some and test on others";
            return Err(Error::input("recordings", expected, count.to_string()));
        }
        if !(test > 0.0 && test < 1.0) {
            return Err(Error::input("share of test recordings", "between 0 and 1", test.to_string()));
        }
        let mut order: Vec<usize> = (0..count).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let tested = &order[..((test * count as f64).round() as usize).clamp(1, count - 1)];
        let part = |wanted: bool| {
            let kept = (0..count).filter(|k| tested.contains(k) == wanted);
            Self { recordings: kept.map(|k| self.recordings[k].clone()).collect(), ..self.clone() }
        };
        Ok((part(false), part(true)))
    }
}

/// Relative RMSE of the worst channel: max over c of sqrt(sum_t (y - y*)² / sum_t y*²).
///
/// y, target: row-major T × channels. A channel whose target is zero throughout counts its absolute
/// RMS instead. Any non-finite y gives infinity.
#[must_use]
pub fn relative_rmse(y: &[f64], target: &[f64], channels: usize) -> f64 {
    assert_eq!(y.len(), target.len(), "as many outputs as targets");
    (0..channels)
        .map(|c| {
            let (mut error, mut power) = (0.0, 0.0);
            for (y, t) in y.iter().zip(target).skip(c).step_by(channels) {
                error += (y - t) * (y - t);
                power += t * t;
            }
            let relative =
                if power > 0.0 { error / power } else { error * channels as f64 / y.len().max(1) as f64 };
            if relative.is_finite() { relative.sqrt() } else { f64::INFINITY }
        })
        .fold(0.0, f64::max)
}
