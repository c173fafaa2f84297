//! Quantisation that keeps the manifold: integers for an integrator of low rank whose decays stay exact.
//!
//! z' = Vᵀ phi(U (z + x)) with a ReLU is (odd part + even part) / 2. Rounding spoils both; an integrator
//! multiplies what is left by 1 / (1 - gamma).
//!
//! - Rows of U that are parallel share one direction of small integers, so they stay parallel; the scale r_i of
//!   a row has 32 bits.
//! - ReLU is positively homogeneous: a unit's V_i is rounded on a scale of its own, which joins r_i.
//! - The even part sum_i r_i V_i |U_i zeta| is linear in r. The r nearest to the unrounded ones for which
//!   it vanishes over a dense set of directions is a linear least-squares problem; where the rows fall into groups,
//!   as in an exact design, it vanishes to rounding.
//! - The odd part is a matrix. The correction M of 32 bits makes M times it exactly Gamma.
//! - y = S z' for an integrator: M reads outputs from the latent as well, and C is not stored (it is 0).
//!
//! Source: conditions of Fanthomme & Monasson 2021, section 3; rounding as `tinyfold_core::fixed` defines it.

use faer::Mat;
use faer::linalg::solvers::{DenseSolveCore, SolveLstsq};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use tinyfold_core::fixed::pack::Input;
use tinyfold_core::fixed::{Settings, mulh};
use tinyfold_core::{Number, Shape};

use crate::format::fixed::{FixedNetwork, Layers};
use crate::network::{Activation, Form, Network, Recurrence};
use crate::task::Integration;
use crate::{Error, Result};

/// Integers for a network, and what they cost.
#[derive(Clone, Debug)]
pub struct Quantised {
    /// The network in integers.
    pub network: FixedNetwork,
    /// Largest |f(z) - Gamma z| / |z| over a dense set of directions z, f being one step without input.
    pub deviation: f64,
    /// The deviation over 1 - the largest gamma: how far the integral of a constant may go astray, relative.
    pub drift: f64,
    /// Whether every direction shrinks: deviation < 1 - the largest gamma.
    pub stable: bool,
}

/// Directions that the even part is looked at in, for every latent dimension.
const DIRECTIONS: usize = 400;
/// Two rows are parallel if the cosine of their angle is this near to 1.
const PARALLEL: f64 = 1e-10;
/// A change of a scale by more than this fraction is too much.
const MOST_CHANGE: f64 = 0.8;

/// Rounds an integrator of low rank to weights of 16 or 8 bits.
///
/// `range`: the largest |z| that must not saturate, in network units; twice the largest integral expected leaves a
/// margin.
///
/// # Errors
/// A network that is not an integrator of rate form, without leak and biases, linear or ReLU, with
/// R = I = O = D; a range that is not positive; a singular Vᵀ U.
pub fn quantise(network: &Network, number: Number, range: f64) -> Result<Quantised> {
    let (task, u, v) = check(network, range)?;
    let (n, d) = (network.neurons(), task.channels());
    // Weights in units of 2^-15 of full scale: 256 of them are one unit of 8 bits.
    let unit = if number == Number::I8 { 256.0 } else { 1.0 };
    // |U_i| + |B_i| = 2 |U_i|_1 of such units must not exceed 2^16.
    let budget = 32_768.0 / unit - d as f64;
    let most = if number == Number::I8 { 127.0 } else { 32_767.0 };

    let directions = shared_directions(&u, budget);
    // Columns of V are first made of one size, so that none is rounded away.
    let sizes: Vec<f64> = (0..d).map(|k| v.col(k).norm_max().max(f64::MIN_POSITIVE)).collect();
    let mut scale = Vec::with_capacity(n);
    let mut weights = Mat::<f64>::zeros(n, d);
    for i in 0..n {
        let largest = (0..d).map(|k| (v[(i, k)] / sizes[k]).abs()).fold(0.0, f64::max);
        for k in 0..d {
            weights[(i, k)] = (v[(i, k)] / sizes[k] / largest.max(f64::MIN_POSITIVE) * most).round();
        }
        let length = directions.row(i).norm_l2();
        scale.push(u.row(i).norm_l2() / length.max(f64::MIN_POSITIVE) * largest);
    }
    if network.activation == Activation::Relu {
        scale = without_even_part(&directions, &weights, &scale, d);
    }
    assemble(network, &task, number, range, unit, &directions, &weights, &scale)
}

fn check(network: &Network, range: f64) -> Result<(Integration, Mat<f64>, Mat<f64>)> {
    let refuse = |what: &str, found: String| {
        Err(Error::input(
            "network to quantise",
            format!(
                "an integrator in rate form, without leak and biases, linear or ReLU, with R = I = O = D ({what})"
            ),
            found,
        ))
    };
    let Some(task) = network.task.clone() else { return refuse("its task", "none".into()) };
    let Recurrence::LowRank { u, v } = &network.recurrence else {
        return refuse("low rank: compress --rank makes it so", "a dense W".into());
    };
    let d = task.channels();
    if [u.ncols(), network.input.ncols(), network.readout.nrows()] != [d; 3] {
        let found =
            format!("R = {}, I = {}, O = {}", u.ncols(), network.input.ncols(), network.readout.nrows());
        return refuse(&format!("D = {d}"), found);
    }
    if !matches!(network.activation, Activation::Linear | Activation::Relu) {
        return refuse("activation", format!("{:?}", network.activation));
    }
    if network.form != Form::Rate || network.alpha < 1.0 {
        return refuse("form and leak", format!("{:?}, alpha = {}", network.form, network.alpha));
    }
    if network.bias.iter().chain(&network.output_bias).chain(&network.initial).any(|&b| b != 0.0) {
        return refuse("biases and initial state", "some that are not 0".into());
    }
    if !(range > 0.0 && range.is_finite()) {
        return Err(Error::input("range", "a positive number", range.to_string()));
    }
    // B = U T: in the latent T z the inputs enter as they are.
    let t = u.as_ref().qr().solve_lstsq(network.input.clone());
    let outside = (u * &t - &network.input).norm_max();
    if outside > 1e-6 * network.input.norm_max() {
        return refuse("B within the span of U", format!("a part of {outside:.1e} outside"));
    }
    let inverse = t.as_ref().partial_piv_lu().inverse();
    Ok((task, u * &t, v * inverse.transpose()))
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

/// Directions of unit length, evenly spread for D = 1 and 2, seeded and random above.
fn sphere(d: usize, count: usize) -> Vec<Vec<f64>> {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    (0..count)
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
fn without_even_part(directions: &Mat<f64>, weights: &Mat<f64>, scale: &[f64], d: usize) -> Vec<f64> {
    let n = scale.len();
    let points = sphere(d, DIRECTIONS.min(if d == 1 { 1 } else { DIRECTIONS }));
    let sums = weights.ncols();
    let even = Mat::from_fn(points.len() * sums, n, |row, i| {
        let (point, k) = (&points[row / sums], row % sums);
        let along: f64 = (0..d).map(|j| directions[(i, j)] * point[j]).sum();
        scale[i] * weights[(i, k)] * along.abs()
    });
    let size = even.norm_l2() / (n as f64).sqrt();
    let target = Mat::from_fn(points.len() * sums + n, 1, |row, _| {
        if row < points.len() * sums { -(0..n).map(|i| even[(row, i)]).sum::<f64>() } else { 0.0 }
    });
    // As little pull towards the unrounded scales as keeps every scale positive.
    let mut pull = 1e-9;
    loop {
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
        pull *= 10.0;
    }
}

#[allow(clippy::too_many_arguments, reason = "the parts of one network")]
fn assemble(
    network: &Network,
    task: &Integration,
    number: Number,
    range: f64,
    unit: f64,
    directions: &Mat<f64>,
    weights: &Mat<f64>,
    scale: &[f64],
) -> Result<Quantised> {
    let (n, d) = (network.neurons(), task.channels());
    let sums = 2 * d;
    let half = if network.activation == Activation::Relu { 0.5 } else { 1.0 };
    // The odd part in integers, H: s = H (z + x), for scales r in units of 2^-32.
    let odd = |r: &[f64]| {
        Mat::from_fn(d, d, |k, j| {
            let sum: f64 = (0..n).map(|i| r[i] * weights[(i, k)] * unit * directions[(i, j)] * unit).sum();
            half * sum * (-64.0_f64).exp2()
        })
    };
    // z and x at full scale must leave every sum within 31 bits, and r within its 31.
    let reach =
        (0..d).map(|k| 2.0 * odd(scale).row(k).iter().map(|h| h.abs()).sum::<f64>()).fold(0.0, f64::max);
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
        Mat::from_fn(sums, sums, |j, k| if k < d { task.decays[j % d] * inverse[(j % d, k)] } else { 0.0 });
    let shift: Vec<i32> =
        (0..sums).map(|j| (29 - correction.row(j).norm_max().log2().ceil() as i32).clamp(0, 62)).collect();
    let matrix: Vec<i32> = (0..sums * sums)
        .map(|place| {
            (correction[(place / sums, place % sums)] * f64::from(shift[place / sums]).exp2()).round() as i32
        })
        .collect();
    // mulw rounds down: a unit that is active, every other one, takes half a unit from every sum on average.
    let lost = if network.activation == Activation::Relu { n as f64 / 4.0 } else { n as f64 / 2.0 };
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
        input_scaling: network
            .inputs
            .iter()
            .map(|channel| {
                let raw = (z_unit / channel.gain) as f32;
                let center = (channel.center / f64::from(raw)).round() as i32;
                Input { center, multiplier: if raw < 0.0 { -1 } else { 1 }, shift: 0, unit: raw.abs() }
            })
            .collect(),
        output_units: (0..d).map(|o| (z_unit * task.scales[o] * network.outputs[o].gain) as f32).collect(),
        initial: vec![0; d],
        carried_units: vec![z_unit; d],
        inputs: network.inputs.clone(),
        outputs: network.outputs.clone(),
        task: Some(task.clone()),
    };
    for (channel, input) in fixed.inputs.iter_mut().zip(&fixed.input_scaling) {
        channel.center = f64::from(input.center) * f64::from(input.unit);
    }
    let deviation = deviation(&fixed.dequantise(), task);
    let room = 1.0 - task.decays.iter().copied().fold(0.0, f64::max);
    Ok(Quantised { network: fixed, deviation, drift: deviation / room, stable: deviation < room })
}

fn singular() -> Error {
    Error::Numeric {
        what: "correction of the rounded network".into(),
        reason: "Vᵀ U is singular after rounding; more bits or neurons may help".into(),
    }
}

/// The largest |Vᵀ phi(U z) - Gamma z| / |z| over directions z of both signs.
fn deviation(network: &Network, task: &Integration) -> f64 {
    let Recurrence::LowRank { u, v } = &network.recurrence else { return f64::INFINITY };
    let d = task.channels();
    let mut worst: f64 = 0.0;
    for point in sphere(d, 4000) {
        for sign in [1.0, -1.0] {
            let z: Vec<f64> = point.iter().map(|x| sign * x).collect();
            let mut next = vec![0.0; d];
            for i in 0..u.nrows() {
                let p: f64 = (0..d).map(|j| u[(i, j)] * z[j]).sum();
                let phi = if network.activation == Activation::Relu { p.max(0.0) } else { p };
                (0..d).for_each(|j| next[j] += v[(i, j)] * phi);
            }
            let gone: f64 = (0..d).map(|j| (next[j] - task.decays[j] * z[j]).powi(2)).sum();
            worst = worst.max(gone.sqrt());
        }
    }
    worst
}

/// The network with every row of U, of Vᵀ and of C rounded on a scale of its own, and nothing else done.
#[must_use]
pub fn naive(network: &Network, number: Number) -> Network {
    let most = if number == Number::I8 { 127.0 } else { 32_767.0 };
    let rows = |matrix: &Mat<f64>| {
        Mat::from_fn(matrix.nrows(), matrix.ncols(), |i, j| {
            let largest = matrix.row(i).norm_max();
            if largest == 0.0 { 0.0 } else { (matrix[(i, j)] / largest * most).round() * largest / most }
        })
    };
    let mut rounded = network.clone();
    if let Recurrence::LowRank { u, v } = &network.recurrence {
        let v = rows(&v.transpose().to_owned()).transpose().to_owned();
        rounded.recurrence = Recurrence::LowRank { u: rows(u), v };
    }
    if let Recurrence::Dense(w) = &network.recurrence {
        rounded.recurrence = Recurrence::Dense(rows(w));
    }
    rounded.input = rows(&network.input);
    rounded.readout = rows(&network.readout);
    rounded
}
