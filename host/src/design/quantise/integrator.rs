//! Integers for an integrator of low rank whose decays stay exact.
//!
//! z' = Vᵀ phi(U (z + x)) with a ReLU is (odd part + even part) / 2. Rounding spoils both; an integrator
//! multiplies what is left by 1 / (1 - gamma).
//!
//! - Rows of U that are parallel share one direction of small integers, so they stay parallel; the scale r_i of
//!   a row has 32 bits.
//! - ReLU is positively homogeneous: a unit's V_i is rounded on a scale of its own, which joins r_i.
//! - The even part sum_i r_i V_i |U_i zeta| is linear in V and in r. V is rounded with feedback on it, and the r
//!   nearest to the unrounded ones for which it vanishes over a dense set of directions is a linear least-squares
//!   problem; where the rows fall into groups or pairs, as in an exact design, it vanishes to rounding.
//! - The odd part is a matrix. The correction M of 32 bits makes M times it exactly Gamma.
//! - y = S z' for an integrator: M reads outputs from the latent as well, and C is not stored (it is 0).
//!
//! What is minimised is the proxy loss of a trained integrator, so that rounding one may bring it nearer to its
//! task.
//!
//! Source: conditions and proxy loss of Fanthomme & Monasson 2021, section 3; rounding as
//! `tinyfold_core::fixed` defines it.

use faer::Mat;
use faer::linalg::solvers::{DenseSolveCore, Solve, SolveLstsq};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use tinyfold_core::fixed::{Settings, mulh};
use tinyfold_core::{Number, Shape};

use super::latent::correction_shift;
use super::rounding::with_feedback;
use super::{input_scaling, most};
use crate::format::fixed::{FixedNetwork, Layers};
use crate::network::{Activation, Form, Network, Recurrence};
use crate::task::Integration;
use crate::{Error, Result};

/// Directions that the even part is looked at in.
const DIRECTIONS: usize = 400;
/// Two rows are parallel if the cosine of their angle is this near to 1.
const PARALLEL: f64 = 1e-10;
/// A change of a scale by more than this fraction is too much.
const MOST_CHANGE: f64 = 0.8;
/// Dampings of the feedback that are tried where the even part does not vanish by itself.
const DAMPING: [f64; 4] = [1e-3, 1e-4, 1e-5, 1e-6];
/// A deviation, over 1 - the largest gamma, that needs no search for a better one.
const GOOD: f64 = 1e-5;

/// An integrator of low rank in the latent z in which its inputs enter as they are.
pub(super) struct Integrator<'a> {
    network: &'a Network,
    task: &'a Integration,
    /// n × D, B as well.
    u: Mat<f64>,
    /// n × D.
    v: Mat<f64>,
}

impl<'a> Integrator<'a> {
    /// `None` unless the network integrates by rate form, without leak and biases, linear or ReLU, with
    /// R = I = O = D and B in the span of U.
    pub(super) fn of(network: &'a Network) -> Option<Self> {
        let task = network.integration()?;
        let Recurrence::LowRank { u, v } = &network.recurrence else { return None };
        let d = task.channels();
        let square = [u.ncols(), network.input.ncols(), network.readout.nrows()] == [d; 3];
        let homogeneous = matches!(network.activation, Activation::Linear | Activation::Relu)
            && network.bias.iter().chain(&network.output_bias).chain(&network.initial).all(|&b| b == 0.0);
        if !square || !homogeneous || network.form != Form::Rate || network.alpha < 1.0 {
            return None;
        }
        // B = U T: in the latent T z the inputs enter as they are.
        let t = u.as_ref().qr().solve_lstsq(network.input.clone());
        if (u * &t - &network.input).norm_max() > 1e-6 * network.input.norm_max() {
            return None;
        }
        let inverse = t.as_ref().partial_piv_lu().inverse();
        (inverse.norm_max() < 1e9).then(|| Self { network, task, u: u * &t, v: v * inverse.transpose() })
    }

    fn relu(&self) -> bool {
        self.network.activation == Activation::Relu
    }

    /// The deviation before rounding.
    pub(super) fn deviation(&self) -> f64 {
        deviation(&self.u, &self.v, self.relu(), self.task)
    }

    /// Integers with the least deviation, and this: the largest |f(z) - Gamma z| / |z| over a dense set of
    /// directions z, f being one step without input. No |z| up to `range`, in network units, saturates.
    pub(super) fn round(&self, number: Number, range: f64) -> Result<(FixedNetwork, f64)> {
        let d = self.task.channels();
        // Weights in units of 2^-15 of full scale: 256 of them are one unit of 8 bits.
        let unit = if number == Number::I8 { 256.0 } else { 1.0 };
        // |U_i| + |B_i| = 2 |U_i|_1 of such units must not exceed 2^16.
        let directions = shared_directions(&self.u, 32_768.0 / unit - d as f64);
        let lengths: Vec<f64> = (0..self.network.neurons())
            .map(|i| self.u.row(i).norm_l2() / directions.row(i).norm_l2().max(f64::MIN_POSITIVE))
            .collect();
        let room = 1.0 - self.task.decays.iter().copied().fold(0.0, f64::max);
        let mut best: Option<(FixedNetwork, f64)> = None;
        for damping in std::iter::once(f64::INFINITY).chain(DAMPING) {
            if best.as_ref().is_some_and(|(_, deviation)| *deviation < GOOD * room) {
                break;
            }
            let Some((weights, scale)) = self.latent_readout(number, &directions, &lengths, damping) else {
                continue;
            };
            let candidate = self.assemble(number, range, unit, &directions, &weights, &scale)?;
            if best.as_ref().is_none_or(|(_, deviation)| candidate.1 < *deviation) {
                best = Some(candidate);
            }
        }
        best.ok_or_else(singular)
    }

    /// V in integers and a scale r for each unit; with a finite damping, V is first moved and then rounded so that
    /// its even part is small.
    fn latent_readout(
        &self,
        number: Number,
        directions: &Mat<f64>,
        lengths: &[f64],
        damping: f64,
    ) -> Option<(Mat<f64>, Vec<f64>)> {
        let (n, d, relu) = (lengths.len(), self.v.ncols(), self.relu());
        // Columns of V are first made of one size, so that none is rounded away.
        let sizes: Vec<f64> = (0..d).map(|k| self.v.col(k).norm_max().max(f64::MIN_POSITIVE)).collect();
        let mut v = Mat::from_fn(n, d, |i, k| self.v[(i, k)] / sizes[k] * lengths[i]);
        let mut gram = Mat::zeros(n, n);
        if damping.is_finite() {
            if !relu {
                return None;
            }
            let points = sphere(d, DIRECTIONS);
            let even = Mat::from_fn(n, points.len(), |i, p| along(directions, i, &points[p]).abs());
            gram = &even * even.transpose();
            let pull = damping * (0..n).map(|i| gram[(i, i)]).sum::<f64>() / n as f64;
            let mut system = gram.clone();
            (0..n).for_each(|i| system[(i, i)] += pull);
            v = system.partial_piv_lu().solve(faer::Scale(pull) * &v);
        }
        let most = most(number);
        let step = |row: &[f64], _| row.iter().fold(0.0_f64, |most, v| most.max(v.abs())) / most;
        let rounded = with_feedback(&v, &gram, damping, most, step)?;
        let scale: Vec<f64> = (0..n).map(|i| rounded.steps[(i, 0)]).collect();
        let scale = if relu { without_even_part(directions, &rounded.integers, &scale) } else { scale };
        Some((rounded.integers, scale))
    }

    fn assemble(
        &self,
        number: Number,
        range: f64,
        unit: f64,
        directions: &Mat<f64>,
        weights: &Mat<f64>,
        scale: &[f64],
    ) -> Result<(FixedNetwork, f64)> {
        let Self { network, task, .. } = self;
        let (n, d) = (network.neurons(), task.channels());
        let sums = 2 * d;
        let half = if self.relu() { 0.5 } else { 1.0 };
        // The odd part in integers, H: s = H (z + x), for scales r in units of 2^-32.
        let odd = |r: &[f64]| {
            Mat::from_fn(d, d, |k, j| {
                let sum: f64 =
                    (0..n).map(|i| r[i] * weights[(i, k)] * unit * directions[(i, j)] * unit).sum();
                half * sum * (-64.0_f64).exp2()
            })
        };
        // z and x at full scale must leave every sum within 31 bits, and r within its 31.
        let even = |k: usize| {
            let mut left: Vec<(Vec<f64>, f64)> = Vec::new();
            for i in 0..n {
                let row: Vec<f64> = (0..d).map(|j| directions[(i, j)]).collect();
                let opposite: Vec<f64> = row.iter().map(|x| -x).collect();
                let part = scale[i] * weights[(i, k)];
                match left.iter_mut().find(|(other, _)| *other == row || *other == opposite) {
                    Some((_, sum)) => *sum += part,
                    None => left.push((row, part)),
                }
            }
            let sizes = left.iter().map(|(row, sum)| sum.abs() * row.iter().map(|x| x.abs()).sum::<f64>());
            sizes.sum::<f64>() * half * unit * unit * (-64.0_f64).exp2()
        };
        let even = |k| if self.relu() { even(k) } else { 0.0 };
        let odd_part = odd(scale);
        let reach = (0..d).map(|k| 2.0 * (odd_part.row(k).norm_l1() + even(k))).fold(0.0, f64::max);
        let largest = scale.iter().copied().fold(0.0, f64::max);
        let factor = (0.9 / reach).min(2_147_483_000.0 / largest);
        let r: Vec<i32> = scale.iter().map(|r| (r * factor).round() as i32).collect();
        let h = odd(&r.iter().map(|&r| f64::from(r)).collect::<Vec<f64>>());

        let z_unit = range / 31.0_f64.exp2();
        let svd = h.svd().map_err(|_| singular())?;
        if svd.S()[d - 1] < 1e-6 * svd.S()[0] {
            return Err(singular());
        }
        let inverse = h.partial_piv_lu().inverse();
        // An output has units of scale times those of z, so that its row is the one of z.
        let correction =
            Mat::from_fn(
                sums,
                sums,
                |j, k| if k < d { task.decays[j % d] * inverse[(j % d, k)] } else { 0.0 },
            );
        let shift: Vec<i32> = (0..sums).map(|j| correction_shift(&correction, j)).collect();
        let matrix: Vec<i32> = (0..sums * sums)
            .map(|place| {
                (correction[(place / sums, place % sums)] * f64::from(shift[place / sums]).exp2()).round()
                    as i32
            })
            .collect();
        // mulw rounds down: a unit that is active, every other one, takes half a unit from every sum on average.
        let lost = if self.relu() { n as f64 / 4.0 } else { n as f64 / 2.0 };
        let bias = (0..sums)
            .map(|j| ((0..sums).map(|k| correction[(j, k)]).sum::<f64>() * lost).round() as i32)
            .collect();

        let integers = |matrix: &Mat<f64>| {
            (0..n).flat_map(|i| (0..d).map(move |k| matrix[(i, k)] as i16)).collect::<Vec<i16>>()
        };
        let shape = Shape { neurons: n, rank: d, inputs: d, outputs: d };
        let u = integers(directions);
        let mut fixed = FixedNetwork {
            number,
            shape,
            settings: Settings {
                exponent: 0,
                ..Settings::new(match network.activation {
                    Activation::Linear => Activation::Linear,
                    _ => Activation::Relu,
                })
            },
            layers: Layers::LowRank { u: u.clone(), v: integers(weights), matrix, shift, bias },
            input: u,
            // 2 D products and the scale round down as well.
            bias: r.iter().map(|&r| mulh(2 * d as i32, r) / 2 + 1).collect(),
            scale: r,
            readout: vec![0; d * n],
            input_scaling: network.inputs.iter().map(|channel| input_scaling(channel, z_unit)).collect(),
            output_units: (0..d)
                .map(|o| (z_unit * task.scales[o] * network.outputs[o].gain) as f32)
                .collect(),
            initial: vec![0; d],
            carried_units: vec![z_unit; d],
            inputs: network.inputs.clone(),
            outputs: network.outputs.clone(),
            task: Some((*task).clone().into()),
        };
        super::round_centers(&mut fixed);
        let Recurrence::LowRank { u, v } = fixed.dequantise().recurrence else { return Err(singular()) };
        let deviation = deviation(&u, &v, self.relu(), task);
        Ok((fixed, deviation))
    }
}

/// Integer rows along U, at most `budget` in sum; parallel rows of U get the same one, up to sign.
fn shared_directions(u: &Mat<f64>, budget: f64) -> Mat<f64> {
    let (n, d) = (u.nrows(), u.ncols());
    let mut found: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    let mut rows = Mat::zeros(n, d);
    for i in 0..n {
        let length = u.row(i).norm_l2();
        if length == 0.0 {
            continue;
        }
        let row: Vec<f64> = (0..d).map(|k| u[(i, k)] / length).collect();
        let cosine = |other: &[f64]| row.iter().zip(other).map(|(a, b)| a * b).sum::<f64>();
        let parallel = found.iter().find(|(other, _)| 1.0 - cosine(other).abs() < PARALLEL);
        let (sign, integers) = if let Some((other, integers)) = parallel {
            (cosine(other).signum(), integers.clone())
        } else {
            let sum: f64 = row.iter().map(|x| x.abs()).sum();
            let integers: Vec<f64> = row.iter().map(|x| (x / sum * budget).round()).collect();
            found.push((row, integers.clone()));
            (1.0, integers)
        };
        for k in 0..d {
            rows[(i, k)] = sign * integers[k];
        }
    }
    rows
}

/// The row of unit i along a direction.
fn along(directions: &Mat<f64>, i: usize, point: &[f64]) -> f64 {
    point.iter().enumerate().map(|(j, x)| directions[(i, j)] * x).sum()
}

/// Directions of unit length, one of each pair z and -z: evenly spread for D = 1 and 2, seeded and random above.
pub(super) fn sphere(d: usize, count: usize) -> Vec<Vec<f64>> {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    (0..if d == 1 { 1 } else { count })
        .map(|k| {
            let angle = std::f64::consts::PI * k as f64 / count as f64;
            match d {
                1 => vec![1.0],
                2 => vec![angle.cos(), angle.sin()],
                _ => {
                    let x: Vec<f64> = StandardNormal.sample_iter(&mut rng).take(d).collect();
                    let length = x.iter().map(|x| x * x).sum::<f64>().sqrt();
                    x.iter().map(|x| x / length).collect()
                }
            }
        })
        .collect()
}

/// The scales nearest to `scale`, relatively, for which sum_i r_i V_i |U_i zeta| is least.
fn without_even_part(directions: &Mat<f64>, weights: &Mat<f64>, scale: &[f64]) -> Vec<f64> {
    let (n, sums) = (scale.len(), weights.ncols());
    let points = sphere(directions.ncols(), DIRECTIONS);
    let even = Mat::from_fn(points.len() * sums, n, |row, i| {
        let (point, k) = (&points[row / sums], row % sums);
        scale[i] * weights[(i, k)] * along(directions, i, point).abs()
    });
    let size = even.norm_l2() / (n as f64).sqrt();
    let target = Mat::from_fn(points.len() * sums + n, 1, |row, _| {
        if row < points.len() * sums { -(0..n).map(|i| even[(row, i)]).sum::<f64>() } else { 0.0 }
    });
    // As little pull towards the unrounded scales as keeps every scale positive.
    for pull in (-9..9).map(|exponent| 10.0_f64.powi(exponent)) {
        let system =
            Mat::from_fn(points.len() * sums + n, n, |row, i| match row.checked_sub(points.len() * sums) {
                None => even[(row, i)],
                Some(k) if k == i => pull * size,
                Some(_) => 0.0,
            });
        let change = system.qr().solve_lstsq(target.clone());
        if change.norm_max() < MOST_CHANGE {
            return (0..n).map(|i| scale[i] * (1.0 + change[(i, 0)])).collect();
        }
    }
    scale.to_vec()
}

fn singular() -> Error {
    Error::Numeric {
        what: "correction of the rounded network".into(),
        reason: "Vᵀ U is singular after rounding; more bits or neurons may help".into(),
    }
}

/// The largest |Vᵀ phi(U z) - Gamma z| / |z| over directions z of both signs.
fn deviation(u: &Mat<f64>, v: &Mat<f64>, relu: bool, task: &Integration) -> f64 {
    let d = task.channels();
    let mut worst: f64 = 0.0;
    for point in sphere(d, 4000) {
        for sign in [1.0, -1.0] {
            let z: Vec<f64> = point.iter().map(|x| sign * x).collect();
            let mut next = vec![0.0; d];
            for i in 0..u.nrows() {
                let p: f64 = (0..d).map(|j| u[(i, j)] * z[j]).sum();
                let phi = if relu { p.max(0.0) } else { p };
                (0..d).for_each(|j| next[j] += v[(i, j)] * phi);
            }
            let gone: f64 = (0..d).map(|j| (next[j] - task.decays[j] * z[j]).powi(2)).sum();
            worst = worst.max(gone.sqrt());
        }
    }
    worst
}
