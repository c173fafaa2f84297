//! The slow line of a network with one fixed point: its spectral submanifold over the slowest eigenvalue.

use faer::Mat;

use super::chebyshev::{self, Interval};
use super::curve::{Frame, SlowManifold};
use crate::dynamics::{Rnn, ssm};
use crate::error::require;
use crate::{Error, Result};

/// Orders of the series that are tried: resonances forbid high ones.
const ORDERS: [usize; 4] = [15, 7, 3, 1];
/// Largest residual by the reach.
const WITHIN: f64 = 1e-4;
/// Halvings of the reach until the residual is small.
const HALVINGS: usize = 20;

impl SlowManifold {
    /// The slow spectral submanifold of the fixed point x0 for |p| <= `reach`, or as far as its series holds.
    ///
    /// x(p) = x0 + v p + W_2 p² + ..; the ends are no fixed points. reach: above 0, the distance from x0 along the
    /// slow eigenvector; halved until the largest entry of F(x(p)) - x'(p) r(p) is 1e-4 of it. degree: at least 8.
    ///
    /// # Errors
    /// The slowest eigenvalue is not real; no convergence; a series that holds nowhere.
    ///
    /// Source: as [`ssm::line`].
    pub fn around(rnn: &Rnn, x: &[f64], reach: f64, degree: usize) -> Result<Self> {
        require(reach > 0.0 && reach.is_finite(), "reach", "above 0 and finite", reach)?;
        require(degree >= 8, "degree", "at least 8", degree)?;
        let frame = Frame::at(rnn, x)?;
        let family = ssm::held(rnn.clone());
        let spectrum = ssm::Spectrum::new(&family, x, 0.0)?;
        let to_coefficients = chebyshev::transform(degree).transpose().to_owned();
        let within = |series: &ssm::Ssm<f64>| {
            let reaches = (0..HALVINGS).map(|k| reach * 0.5_f64.powi(k as i32));
            let mut lines = reaches.map(|reach| {
                let range = Interval { low: -reach, high: reach };
                let states: Vec<Vec<f64>> = range.nodes(degree).iter().map(|p| series.state(&[*p])).collect();
                let curve = Mat::from_fn(x.len(), degree + 1, |i, j| states[j][i]) * &to_coefficients;
                Self::of_curve(rnn, frame.clone(), range, &curve, Vec::new(), 0.0)
            });
            lines.find(|line| line.residual <= WITHIN * line.range.high)
        };
        let series = ORDERS.iter().filter_map(|&order| ssm::line(&family, &spectrum, 0, order).ok());
        let lines = series.filter_map(|series| within(&series));
        lines.reduce(|a, b| if b.range.high > a.range.high { b } else { a }).ok_or_else(|| Error::Numeric {
            what: "slow line".into(),
            reason: "the series of the spectral submanifold of the lone fixed point holds nowhere, as at a corner of the activation; another held --input, as --input 1, moves the point off it"
                .into(),
        })
    }
}
