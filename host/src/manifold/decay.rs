//! The decay and scale that a network really has.

use faer::Mat;
use faer::linalg::solvers::SolveLstsq;

use crate::network::Network;
use crate::simulate;
use crate::task::Integration;

/// (gamma, s) of every channel from the linear map that fits a run best:
/// y_t ≈ A y_{t-1} + K x_t + k, gamma_c = A_cc, s_c = K_cc / A_cc.
///
/// outputs, x: row-major T × `channels`. A run that diverges is used as far as it is below 1e100.
#[must_use]
pub fn one_step(outputs: &[f64], x: &[f64], channels: usize) -> Vec<(f64, f64)> {
    let usable = outputs.chunks_exact(channels).take_while(|y| y.iter().all(|y| y.abs() < 1e100)).count();
    if usable < 2 * channels + 2 {
        return vec![(f64::NAN, f64::NAN); channels];
    }
    let y = |t: usize, c: usize| outputs[t * channels + c];
    let a = Mat::from_fn(usable - 1, 2 * channels + 1, |t, k| {
        if k < channels {
            y(t, k)
        } else if k < 2 * channels {
            x[(t + 1) * channels + k - channels]
        } else {
            1.0
        }
    });
    let next = Mat::from_fn(usable - 1, channels, |t, c| y(t + 1, c));
    let map = a.col_piv_qr().solve_lstsq(next);
    (0..channels).map(|c| (map[(c, c)], map[(channels + c, c)] / map[(c, c)])).collect()
}

/// gamma of channel c from the response to one pulse as large as the integral usually is: the slope of
/// log |y_c| over three time constants, half the difference of a positive and a negative pulse.
///
/// integrals: row-major T × D, for the size of the pulse. `None` when the response changes its sign or
/// vanishes.
#[must_use]
pub fn impulse(network: &Network, task: &Integration, integrals: &[f64], c: usize) -> Option<f64> {
    let channels = task.channels();
    let steps = ((3.0 / (1.0 - task.decays[c])).ceil() as usize).clamp(3, 10_000);
    let power: f64 = integrals.iter().skip(c).step_by(channels).map(|u| u * u).sum();
    let size = (power / (integrals.len() / channels).max(1) as f64).sqrt().max(1e-6);
    let response = |sign: f64| {
        let mut x = vec![0.0; steps * channels];
        x[c] = sign * size;
        simulate::run(network, &x, false).outputs
    };
    let (up, down) = (response(1.0), response(-1.0));
    let y: Vec<f64> = (0..steps).map(|t| (up[t * channels + c] - down[t * channels + c]) / 2.0).collect();
    let first = y[0];
    if !y.iter().all(|y| y.is_finite() && y * first > 0.0) {
        return None;
    }
    let middle = (steps - 1) as f64 / 2.0;
    let (mut rise, mut run) = (0.0, 0.0);
    for (t, y) in y.iter().enumerate() {
        let t = t as f64 - middle;
        rise += t * y.abs().ln();
        run += t * t;
    }
    Some((rise / run).exp())
}
