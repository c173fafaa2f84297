//! What the figures of the theory show, as plain data.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::{Reduced, Two};
use crate::error::require;
use crate::manifold::growth::{self, Exponential, PowerLaw};
use crate::{Error, Result};

/// Overlaps of the family's curves.
const OVERLAPS: [f64; 4] = [0.0, 0.1, 0.4, 0.8];
/// Losses below this are rounding.
const ROUNDING: f64 = 1e-24;

/// R² above which a line is taken for a law.
const LAW: f64 = 0.99;
/// The most steps of the average loss: a descent takes time in proportion to their number.
const MOST_STEPS: usize = 10_000;

/// The isoscale family of one overlap: point by point the parameter t, the loss, and the condition number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Isoscale {
    /// e · d.
    pub overlap: f64,
    /// (t, loss of A, loss of A with its entries rounded to f32, condition number).
    pub points: Vec<(f64, f64, f64, f64)>,
}

/// One descent, and what its end looks like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Start and scale in words.
    pub name: String,
    /// Scale s.
    pub scale: f64,
    /// (epoch, loss).
    pub losses: Vec<(usize, f64)>,
    /// Power law through the last factor of four in time above rounding.
    pub power: Option<PowerLaw>,
    /// Exponential through the same points.
    pub exponential: Option<Exponential>,
}

impl Curve {
    /// Whether the power law is the better line; none where neither is a law: R² of more than 0.99.
    #[must_use]
    pub fn is_algebraic(&self) -> Option<bool> {
        let fits = |r: Option<f64>| r.unwrap_or(0.0);
        let power = fits(self.power.map(|law| law.r_squared));
        let exponential = fits(self.exponential.map(|law| law.r_squared));
        (power.max(exponential) > LAW).then_some(power > exponential)
    }
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Study {
    /// The problem: gamma, s, T and the overlap.
    pub problem: Reduced,
    /// One an overlap.
    pub isoscale: Vec<Isoscale>,
    /// T and the eigenvalues of the Hessian at the solution of least norm, largest first.
    pub with_steps: Vec<(usize, [f64; 4])>,
    /// Overlap and condition number there, one curve for T = 3 and one for T = 10.
    pub with_overlap: [Vec<(f64, f64)>; 2],
    /// Descents from a null and a Gaussian start, at the dot scale and at s.
    pub descents: Vec<Curve>,
}

impl Study {
    /// Computes everything.
    ///
    /// decay, scale, steps, overlap: those of [`Reduced::new`], with scale ≠ overlap ≠ 0; the dot-scale descents take
    /// the scale overlap instead. rate, epochs: of the descents; seed: of the Gaussian start.
    ///
    /// # Errors
    /// Numbers out of range, fewer than 3 steps; a rate that diverges.
    pub fn new(problem: &Reduced, rate: f64, epochs: usize, seed: u64) -> Result<Self> {
        let (decay, scale, overlap) = (problem.decay, problem.scale, problem.overlap());
        let steps = problem.steps;
        let expected = format!("from 3, fewer do not tell what holds at all times, to {MOST_STEPS}");
        require((3..=MOST_STEPS).contains(&steps), "steps", expected, steps)?;
        require(rate > 0.0 && rate.is_finite(), "rate", "a positive number", rate)?;
        require(epochs > 0, "epochs", "at least 1", epochs)?;
        if overlap == 0.0 || scale == overlap {
            let expected = "not 0, and not the scale: the dot scale has the scale of the overlap";
            return Err(Error::input("overlap", expected, overlap.to_string()));
        }
        let at = |scale, steps, overlap| Reduced::new(decay, scale, steps, overlap);
        let others = OVERLAPS.iter().filter(|&&other| other != scale);
        let isoscale = others
            .map(|&other| Isoscale::new(&at(scale, problem.steps, other)?))
            .collect::<Result<Vec<Isoscale>>>()?;
        let with_steps = (3..=30)
            .map(|steps| {
                let problem = at(scale, steps, overlap)?;
                Ok((steps, problem.hessian_eigenvalues(&problem.least_isoscale()?)?))
            })
            .collect::<Result<Vec<(usize, [f64; 4])>>>()?;
        let along = |steps: usize| {
            (-18..=18)
                .map(|k| f64::from(k) / 20.0)
                .filter(|other| (other - scale).abs() > 1e-9)
                .map(|other| {
                    let problem = at(scale, steps, other)?;
                    Ok((other, problem.condition(&problem.least_isoscale()?)?))
                })
                .collect::<Result<Vec<(f64, f64)>>>()
        };
        let gaussian = gaussian(0.1, seed);
        let descents = [
            ("null start, s = e · d", overlap, Two::default()),
            ("Gaussian start, s = e · d", overlap, gaussian),
            ("null start", scale, Two::default()),
            ("Gaussian start", scale, gaussian),
        ]
        .into_iter()
        .map(|(name, scale, start)| descent(&at(scale, problem.steps, overlap)?, name, &start, rate, epochs))
        .collect::<Result<Vec<Curve>>>()?;
        let with_overlap = [along(3)?, along(10)?];
        Ok(Self { problem: problem.clone(), isoscale, with_steps, with_overlap, descents })
    }
}

/// A Gaussian start: entries of A with standard deviation `size`.
#[must_use]
pub fn gaussian(size: f64, seed: u64) -> Two {
    let mut normal = Distribution::<f64>::sample_iter(StandardNormal, ChaCha8Rng::seed_from_u64(seed));
    let mut draw = || size * normal.next().unwrap_or_default();
    [[draw(), draw()], [draw(), draw()]]
}

impl Isoscale {
    fn new(problem: &Reduced) -> Result<Self> {
        let point = |k: i32| {
            let t = f64::from(k) / 8.0;
            problem.isoscale(t).map(|a| {
                let rounded = a.map(|row| row.map(|x| f64::from(x as f32)));
                Ok((t, problem.loss(&a), problem.loss(&rounded), problem.condition(&a)?))
            })
        };
        Ok(Self {
            overlap: problem.overlap(),
            points: (-200..=200).filter_map(point).collect::<Result<Vec<(f64, f64, f64, f64)>>>()?,
        })
    }
}

fn descent(problem: &Reduced, name: &str, start: &Two, rate: f64, epochs: usize) -> Result<Curve> {
    let (_, losses) = problem.descend(start, rate, epochs)?;
    let above: Vec<(f64, f64)> =
        losses.iter().filter(|l| l.1 > ROUNDING).map(|&(t, loss)| (t as f64, loss)).collect();
    let last = above.last().map_or(0.0, |point| point.0);
    let tail = || above.iter().copied().filter(move |point| point.0 >= last / 4.0 && point.0 > 0.0);
    Ok(Curve {
        name: name.into(),
        scale: problem.scale,
        power: growth::power_law(tail()),
        exponential: growth::exponential(tail()),
        losses,
    })
}
