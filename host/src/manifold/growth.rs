//! How an error grows with time and with the number of neurons: straight lines in logarithms.

use serde::{Deserialize, Serialize};

use super::{LARGEST, Window};
use crate::network::Network;
use crate::task::relative_rmse;
use crate::{Result, simulate};

/// y = factor · x^exponent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PowerLaw {
    /// Slope of log y against log x.
    pub exponent: f64,
    /// y at x = 1.
    pub factor: f64,
    /// R² of the line in logarithms; 1 for a constant.
    pub r_squared: f64,
}

/// y = factor · exp(rate · x).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exponential {
    /// Slope of log y against x.
    pub rate: f64,
    /// y at x = 0.
    pub factor: f64,
    /// R² of the line in logarithms; 1 for a constant.
    pub r_squared: f64,
}

/// The power law through points (x, y) by least squares of log y; points with x or y not above 0 or not finite are
/// left out, and `None` is what fewer than two different x give.
///
/// ```
/// use tinyfold::manifold::growth::power_law;
/// let law = power_law((1..20).map(|t| (t as f64, 3.0 / (t * t) as f64))).expect("points");
/// assert!((law.exponent + 2.0).abs() < 1e-12 && (law.factor - 3.0).abs() < 1e-12);
/// ```
#[must_use]
pub fn power_law(points: impl IntoIterator<Item = (f64, f64)>) -> Option<PowerLaw> {
    let positive = points.into_iter().filter(|point| point.0 > 0.0).map(|(x, y)| (x.ln(), y));
    let (exponent, factor, r_squared) = line(positive)?;
    Some(PowerLaw { exponent, factor, r_squared })
}

/// The exponential through points (x, y), as [`power_law`].
///
/// ```
/// use tinyfold::manifold::growth::exponential;
/// let law = exponential((0..20).map(|t| (t as f64, 3.0 * (-0.5 * t as f64).exp()))).expect("points");
/// assert!((law.rate + 0.5).abs() < 1e-12 && (law.factor - 3.0).abs() < 1e-12);
/// ```
#[must_use]
pub fn exponential(points: impl IntoIterator<Item = (f64, f64)>) -> Option<Exponential> {
    let (rate, factor, r_squared) = line(points)?;
    Some(Exponential { rate, factor, r_squared })
}

/// Slope and exp(intercept) of log y against x, and R².
fn line(points: impl IntoIterator<Item = (f64, f64)>) -> Option<(f64, f64, f64)> {
    let usable = |&(x, y): &(f64, f64)| x.is_finite() && y > 0.0 && y < LARGEST;
    let points: Vec<(f64, f64)> = points.into_iter().filter(usable).map(|(x, y)| (x, y.ln())).collect();
    let count = points.len() as f64;
    let mean = |part: fn(&(f64, f64)) -> f64| points.iter().map(part).sum::<f64>() / count;
    let (x_mean, y_mean) = (mean(|point| point.0), mean(|point| point.1));
    let product = |a: fn((f64, f64)) -> f64, b: fn((f64, f64)) -> f64| -> f64 {
        points.iter().map(|&(x, y)| (x - x_mean, y - y_mean)).map(|point| a(point) * b(point)).sum()
    };
    let (xx, xy) = (product(|p| p.0, |p| p.0), product(|p| p.0, |p| p.1));
    let yy = product(|p| p.1, |p| p.1);
    if points.len() < 2 || xx <= 0.0 {
        return None;
    }
    let slope = xy / xx;
    let r_squared = if yy > 0.0 { xy * xy / (xx * yy) } else { 1.0 };
    Some((slope, (y_mean - slope * x_mean).exp(), r_squared))
}

/// Error against time: the power law through the middles of the windows.
#[must_use]
pub fn with_time(curve: &[Window]) -> Option<PowerLaw> {
    power_law(curve.iter().map(|window| ((window.from + window.to) as f64 / 2.0, window.relative_rmse)))
}

/// Error against size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BySize {
    /// (n, relative RMSE), from the smallest n on.
    pub errors: Vec<(usize, f64)>,
    /// The power law through them; `None` where there is none.
    pub law: Option<PowerLaw>,
}

/// Error against size: relative RMSE of every network on x (row-major T × D), and the power law through (n, error).
///
/// # Errors
/// A network without a task.
pub fn with_neurons(networks: &[Network], x: &[f64]) -> Result<BySize> {
    let error = |network: &Network| {
        let task = network.integrator("network")?;
        let y = simulate::run(network, x, false).outputs;
        Ok((network.neurons(), relative_rmse(&y, &task.targets(x), task.channels())))
    };
    let mut errors = networks.iter().map(error).collect::<Result<Vec<(usize, f64)>>>()?;
    errors.sort_by_key(|&(n, _)| n);
    let law = power_law(errors.iter().map(|&(n, error)| (n as f64, error)));
    Ok(BySize { errors, law })
}
