//! What a network is asked to compute, and the signals it computes it on.

pub mod recording;
pub mod synthetic;

use serde::{Deserialize, Serialize};

/// Multiplexed leaky integration of D channels.
///
/// u_{c,t} = gamma_c (u_{c,t-1} + x_{c,t}), u_{c,0} = 0; target y*_c = s_c u_c.
///
/// gamma_c: decay, in (0, 1); s_c: scale, not 0. Source: Fanthomme & Monasson 2021, section 2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Integration {
    /// gamma_c, one a channel.
    pub decays: Vec<f64>,
    /// s_c, one a channel.
    pub scales: Vec<f64>,
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
