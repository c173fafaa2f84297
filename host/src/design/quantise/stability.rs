//! Whether the integrals of a network stay, and decay, in every direction.
//!
//! A network is what turns inputs into outputs, both row-major in network units: simulated in f64, or in the chip's
//! integers with all their rounding and saturation.

use super::integrator::sphere;
use crate::task::Integration;

/// Directions that are tried, both signs each.
const DIRECTIONS: usize = 24;
/// Length of a trial in time constants of the slowest channel.
const TIME_CONSTANTS: f64 = 4.0;
/// Steps of a trial at most.
const MOST_STEPS: usize = 4000;

/// Largest |y - y*| over the largest |y*| of constant inputs whose integrals become `size`.
pub(super) fn drift(run: impl Fn(&[f64]) -> Vec<f64>, task: &Integration, size: f64) -> f64 {
    trials(task, size)
        .map(|(x, steps)| {
            let rows = |y: Vec<f64>| y[..steps * task.channels()].to_vec();
            let wanted = rows(task.targets(&x));
            let error: Vec<f64> =
                std::iter::zip(rows(run(&x)), &wanted).map(|(y, wanted)| y - wanted).collect();
            largest(&error, task) / largest(&wanted, task)
        })
        .fold(0.0, |most, drift| if drift <= most { most } else { drift })
}

/// Whether the outputs after a constant input have fallen, in the end, at least half as far as the slowest channel of
/// the task does.
pub(super) fn decays(run: impl Fn(&[f64]) -> Vec<f64>, task: &Integration, size: f64) -> bool {
    let slowest = task.decays.iter().copied().fold(0.0, f64::max);
    let mut rest = Vec::new();
    trials(task, size).all(|(x, steps)| {
        if rest.is_empty() {
            rest = run(&vec![0.0; x.len()]);
        }
        let outputs = run(&x);
        let moved: Vec<f64> = std::iter::zip(&outputs, &rest).map(|(y, rest)| y - rest).collect();
        let last = &moved[moved.len() - task.channels()..];
        let kept = 0.5 + 0.5 * slowest.powi(steps as i32);
        largest(last, task) < kept * largest(&moved[..steps * task.channels()], task)
    })
}

/// A constant input of some direction for so many steps, then as many without.
fn trials(task: &Integration, size: f64) -> impl Iterator<Item = (Vec<f64>, usize)> + '_ {
    let room = 1.0 - task.decays.iter().copied().fold(0.0, f64::max);
    let steps = ((TIME_CONSTANTS / room).ceil() as usize).clamp(10, MOST_STEPS);
    let directions = sphere(task.channels(), DIRECTIONS).into_iter();
    directions
        .flat_map(|point| [1.0, -1.0].map(|sign| point.iter().map(|x| sign * x).collect::<Vec<f64>>()))
        .map(move |point| {
            let constant: Vec<f64> = std::iter::zip(&point, &task.decays)
                .map(|(x, gamma)| x * size * (1.0 - gamma) / gamma)
                .collect();
            let mut x = constant.repeat(steps);
            x.resize(2 * x.len(), 0.0);
            (x, steps)
        })
}

/// The largest length of an output, each in units of its scale.
fn largest(y: &[f64], task: &Integration) -> f64 {
    y.chunks_exact(task.channels())
        .map(|y| std::iter::zip(y, &task.scales).map(|(y, s)| (y / s) * (y / s)).sum::<f64>().sqrt())
        .fold(0.0, |most, y| if y <= most { most } else { y })
}
