//! An SSM as a reduced model for a chip.

use std::iter::zip;

use faer::{Mat, c64};
use rayon::prelude::*;
use tinyfold_core::reduced::Shape;
use tinyfold_core::{Arithmetic, Form};

use super::follow::Followed;
use super::series::Scalar;
use super::{Choice, Spectrum, Ssm, Style, held, line, pair, plane};
use crate::dynamics::slow_manifold::Degrees;
use crate::dynamics::slow_manifold::chebyshev::{self, Interval};
use crate::dynamics::spectrum::jacobian;
use crate::dynamics::{Family, Kind, Rnn};
use crate::error::require;
use crate::format::reduced::Reduced;
use crate::network::Network;
use crate::simulate::activate;
use crate::{Error, Result};

/// The SSM that `choice` names at a fixed point, as a reduced model for a chip, its numbers those of f32; and how it
/// follows the network.
///
/// A chip runs the network's own step, so the model is that of the map, also where `spectrum` is of the flow: the fixed
/// point and eigenvectors are the same, an eigenvalue lambda becomes 1 + alpha lambda. The manifold of Euler steps is
/// another than that of the flow, from the second order on.
///
/// The model's inputs are changes of the held input `u0` in those of the network's inputs that are `kept`; its box is
/// [`Ssm::inscribed`], for the residual `choice.tolerance` of a step, or of a time constant where `spectrum` is of the
/// flow. A seed draws the trials.
///
/// # Errors
/// As [`line()`], [`plane`], [`pair`] and [`Ssm::on_chip`]; a parameter as coordinate; inputs that the network does not
/// have.
pub fn for_chip(
    network: &Network,
    u0: &[f64],
    kept: &[usize],
    (spectrum, choice): (&Spectrum, &Choice),
    degrees: &Degrees,
    seed: u64,
) -> Result<(Reduced, Followed)> {
    require(!choice.moving, "SSM for a chip", "coordinates of the state alone", "a parameter")?;
    let first = spectrum.eigenvalue(choice.eigenvalue)?;
    let (network, u0) = &with_inputs(network, u0, kept)?;
    let family = held(Rnn::new(network, u0, Kind::Map)?);
    let map = Spectrum::new(&family, &spectrum.x, 0.0)?;
    let of_map = |index: usize| -> Result<usize> {
        let value = spectrum.eigenvalue(index)?;
        let value = if spectrum.kind == Kind::Map { value } else { 1.0 + network.alpha * value };
        let distance = |k: &usize| (map.eigenvalues[*k] - value).norm();
        let nearest = (0..map.eigenvalues.len()).min_by(|a, b| distance(a).total_cmp(&distance(b)));
        Ok(nearest.unwrap_or_default())
    };
    let index = of_map(choice.eigenvalue)?;
    let tolerance =
        if spectrum.kind == Kind::Map { choice.tolerance } else { network.alpha * choice.tolerance };
    let chip = Chip { network, rnn: &family.rnn, spectrum: &map, tolerance, degrees, seed };
    let (order, real) = (choice.order, first.im == 0.0);
    match choice.dimension {
        1 => line(&family, &map, index, order)?.followed(&chip),
        2 if real => plane(&family, &map, [index, of_map(choice.eigenvalue + 1)?], order)?.followed(&chip),
        2 => pair(&family, &map, index, Style::Graph, order)?.followed(&chip),
        other => Err(Error::input("dimension", "1 or 2", other.to_string())),
    }
}

/// What an SSM needs to become a model.
struct Chip<'a> {
    network: &'a Network,
    rnn: &'a Rnn,
    spectrum: &'a Spectrum,
    tolerance: f64,
    degrees: &'a Degrees,
    seed: u64,
}

/// The network with some of its inputs, the others held.
fn with_inputs(network: &Network, u0: &[f64], kept: &[usize]) -> Result<(Network, Vec<f64>)> {
    let inputs = network.input.ncols();
    require(u0.len() == inputs, "held input", format!("{inputs} numbers"), u0.len())?;
    require(kept.iter().all(|k| *k < inputs), "inputs", format!("below {inputs}"), format!("{kept:?}"))?;
    let mut bias = network.bias.clone();
    for k in (0..inputs).filter(|k| !kept.contains(k)) {
        zip(&mut bias, network.input.col_as_slice(k)).for_each(|(bias, b)| *bias += b * u0[k]);
    }
    let input = Mat::from_fn(network.input.nrows(), kept.len(), |i, k| network.input[(i, kept[k])]);
    let names = kept.iter().map(|k| network.inputs[*k].clone()).collect();
    let u0 = kept.iter().map(|k| u0[*k]).collect();
    Ok((Network { bias, input, inputs: names, ..network.clone() }, u0))
}

/// How far beyond the ellipse around the box, in its radii, the series is still asked.
const MARGIN: f64 = 1.2;

/// Steps ahead that [`Ssm::covectors`] looks, at most.
const AHEAD: usize = 200;

impl<S: Scalar> Ssm<S> {
    /// The intervals of the box inscribed in an ellipse inside the domain, around p = 0.
    ///
    /// What turns in the ellipse leaves the box at a corner, but not the domain.
    #[must_use]
    pub fn inscribed(&self, family: &impl Family, tolerance: f64) -> Vec<[f64; 2]> {
        let domain = self.domain(family, tolerance);
        let dimension = self.dimension();
        let along = |d: usize| {
            let on_axis = domain.iter().filter(|side| side.direction[d].abs() > 0.999);
            on_axis.map(|side| side.distance).fold(f64::MAX, f64::min)
        };
        let radii: Vec<f64> = (0..dimension).map(along).collect();
        let inside = domain.iter().map(|side| {
            let scaled = zip(&side.direction, &radii).map(|(d, r)| (d / r).powi(2)).sum::<f64>().sqrt();
            side.distance * scaled
        });
        let part = inside.fold(1.0, f64::min) / (dimension as f64).sqrt();
        radii.into_iter().map(|r| [-part * r, part * r]).collect()
    }

    /// The model on a box.
    ///
    /// ```text
    /// z' = R(z) + sum_k g_k(z) u_k,   g_k(z) = L(R(z)) · df/du_k(W(z)),   y = C phi(W(z')) + c
    /// ```
    ///
    /// L(q), D × n, are the covectors at W(q) that do not see the fast directions there: a state W(q) + d runs together
    /// with W(q + L(q) d), but for d². So without inputs z is right to the order of the SSM, and with inputs to the
    /// first order in them, at every z. y leaves out what inputs hold in the fast directions.
    ///
    /// network: that of the SSM, a map. rnn: the same under the held input. interval: of every coordinate, around 0.
    /// Inputs are changes of the held input, inputs and outputs in units of the channels. The first state is that which
    /// the network's runs together with. The degree of f is at most the order, beyond which R has no terms.
    ///
    /// # Errors
    /// An SSM of a flow or with a parameter; a network without outputs; degrees beyond those of core; a step that
    /// cannot be undone on the box.
    ///
    /// Source: the fast fibres over an attracting manifold, Fenichel 1974.
    pub fn on_chip(
        &self,
        network: &Network,
        rnn: &Rnn,
        spectrum: &Spectrum,
        interval: &[[f64; 2]],
        degrees: &Degrees,
    ) -> Result<Reduced> {
        let dimensions = self.dimension();
        let state = self.kind == Kind::Map && !self.chart.moves();
        require(state, "SSM for a chip", "that of a map, in coordinates of the state", "another")?;
        require(interval.len() == dimensions, "box", format!("{dimensions} intervals"), interval.len())?;
        let (inputs, outputs) = (network.input.ncols(), network.readout.nrows());
        let most = Shape::MOST_CHANNELS;
        require(inputs <= most, "inputs of a reduced model", format!("at most {most}"), inputs)?;
        let some = (1..=most).contains(&outputs);
        require(some, "outputs of a reduced model", format!("1 to {most}"), outputs)?;
        let drift = degrees.drift.min(self.order());
        let gain = if inputs == 0 { 0 } else { degrees.gain.min(drift) };
        let highest = drift.max(degrees.output);
        require(highest <= Shape::MOST_DEGREE, "degree", format!("at most {}", Shape::MOST_DEGREE), highest)?;
        let fine = highest + 4;
        let places = places(interval, fine);
        let ahead = self.ahead(spectrum, interval, &places);
        let known: Result<Vec<Place>> =
            places.into_par_iter().map(|p| self.place(network, rnn, &p, ahead)).collect();
        let known = known?;
        let series = |degree: usize, value: &dyn Fn(&Place) -> f64| {
            let values: Vec<f64> = known.iter().map(value).collect();
            series(&values, fine, dimensions, degree)
        };
        let driven = (0..dimensions * inputs).flat_map(|k| series(gain, &|place| place.inputs[k]));
        Ok(Reduced {
            shape: Shape { dimensions, inputs, outputs, drift, gain, output: degrees.output },
            arithmetic: Arithmetic::Separate,
            interval: interval.to_vec(),
            initial: self.phase(network, rnn, interval, ahead)?,
            drift: (0..dimensions).flat_map(|d| series(drift, &|place| place.change[d])).collect(),
            gain: driven.collect(),
            output: (0..outputs).flat_map(|o| series(degrees.output, &|place| place.outputs[o])).collect(),
            inputs: network.inputs.clone(),
            outputs: network.outputs.clone(),
        })
    }

    pub(super) fn place(&self, network: &Network, rnn: &Rnn, p: &[f64], ahead: usize) -> Result<Place> {
        let (x, next) = (self.state(p), self.reduced(p));
        let slopes = rnn.slopes(&x);
        let covectors = self.covectors(rnn, next.clone(), ahead)?;
        let moved = |d: usize, k: usize| {
            let b = network.input.col_as_slice(k).iter().enumerate();
            let sum: f64 = match network.form {
                Form::Current => b.map(|(i, b)| covectors[(d, i)] * b).sum(),
                Form::Rate => b.map(|(i, b)| covectors[(d, i)] * slopes[i] * b).sum(),
            };
            network.alpha * network.inputs[k].gain * sum
        };
        let inputs = network.input.ncols();
        let read = zip(read(network, rnn, &x), &network.outputs);
        Ok(Place {
            change: zip(&next, p).map(|(next, p)| next - p).collect(),
            inputs: (0..p.len()).flat_map(|d| (0..inputs).map(move |k| moved(d, k))).collect(),
            outputs: read.map(|(y, channel)| y * channel.gain + channel.center).collect(),
        })
    }

    /// L(q), D × n.
    ///
    /// L(R(q)) Df(W(q)) = DR(q) L(q), and the eigenvectors l at 0, with which it begins `ahead` steps later: what is
    /// wrong of them there, fast / slow makes smaller at every step back.
    fn covectors(&self, rnn: &Rnn, q: Vec<f64>, ahead: usize) -> Result<Mat<f64>> {
        let path: Vec<Vec<f64>> =
            std::iter::successors(Some(q), |q| Some(self.reduced(q))).take(ahead).collect();
        let mut covectors = self.left_rows();
        for q in path.iter().rev() {
            let next = covectors * jacobian(rnn, &self.state(q));
            let [[a, b], [c, d]] = self.slope(q);
            covectors = if self.dimension() == 1 {
                Mat::from_fn(1, next.ncols(), |_, i| next[(0, i)] / a)
            } else {
                let determinant = a * d - b * c;
                Mat::from_fn(2, next.ncols(), |row, i| match row {
                    0 => (d * next[(0, i)] - b * next[(1, i)]) / determinant,
                    _ => (a * next[(1, i)] - c * next[(0, i)]) / determinant,
                })
            };
        }
        if covectors.is_all_finite() {
            return Ok(covectors);
        }
        let what = "effect of inputs on the SSM".into();
        Err(Error::Numeric {
            what,
            reason: "its step cannot be undone on the box; take a smaller one".into(),
        })
    }

    /// The left eigenvectors of the real coordinates, D × n.
    fn left_rows(&self) -> Mat<f64> {
        let n = self.manifold.n;
        Mat::from_fn(self.dimension(), n, |d, i| {
            if S::PARTS == 2 { self.left[0][d * n + i] } else { self.left[d][i] }
        })
    }

    /// How many steps ahead the covectors begin: until l is right to 1e-10, as long as all places stay near the box;
    /// the same for all, since a series must be smooth. 0 where another direction is slower than the chosen ones.
    fn ahead(&self, spectrum: &Spectrum, interval: &[[f64; 2]], places: &[Vec<f64>]) -> usize {
        let mut others = spectrum.eigenvalues.clone();
        let chosen: Vec<c64> = self.eigenvalues.iter().map(|value| value.complex()).collect();
        for value in &chosen {
            let distance = |k: &usize| (others[*k] - value).norm();
            if let Some(k) = (0..others.len()).min_by(|a, b| distance(a).total_cmp(&distance(b))) {
                others.remove(k);
            }
        }
        let slow = chosen.iter().map(|value| value.norm()).fold(f64::MAX, f64::min);
        let fast = others.iter().map(|value| value.norm()).fold(0.0, f64::max);
        let ratio = fast / slow;
        if ratio.is_nan() || ratio >= 1.0 {
            return 0;
        }
        let most = (1e-10_f64.ln() / ratio.ln()).ceil().clamp(1.0, AHEAD as f64) as usize;
        let near = |q: &Vec<f64>| {
            let square: f64 = zip(q, interval).map(|(q, [_, high])| (q / high).powi(2)).sum();
            square <= MARGIN * MARGIN * interval.len() as f64
        };
        let steps = |p: &Vec<f64>| {
            let path = std::iter::successors(Some(self.reduced(p)), |q| Some(self.reduced(q)));
            path.take(most).take_while(near).count()
        };
        places.par_iter().map(steps).min().unwrap_or_default()
    }

    /// The place in the box that the network's first state runs together with; 0 where there is none.
    fn phase(&self, network: &Network, rnn: &Rnn, interval: &[[f64; 2]], ahead: usize) -> Result<Vec<f64>> {
        let first = network.first_state();
        let mut q = vec![0.0; self.dimension()];
        let mut far = 0.0;
        for _ in 0..20 {
            far = 0.0;
            let covectors = self.covectors(rnn, q.clone(), ahead)?;
            let off: Vec<f64> = zip(&first, self.state(&q)).map(|(a, b)| a - b).collect();
            for (d, (q, [low, high])) in zip(&mut q, interval).enumerate() {
                let step: f64 = off.iter().enumerate().map(|(i, off)| covectors[(d, i)] * off).sum();
                *q = (*q + step).clamp(*low, *high);
                far = step.abs().max(far);
            }
        }
        Ok(if far < 1e-6 { q } else { vec![0.0; q.len()] })
    }

    /// The model on its own box, in f32, and how it follows the network.
    fn followed(&self, chip: &Chip<'_>) -> Result<(Reduced, Followed)> {
        let Chip { network, rnn, spectrum, tolerance, degrees, seed } = *chip;
        let interval = self.inscribed(&held(rnn.clone()), tolerance);
        let wide = interval.iter().all(|[low, high]| low < high);
        require(wide, "tolerance", "a residual that some box stays below", format!("{tolerance:.1e}"))?;
        let model = self.on_chip(network, rnn, spectrum, &interval, degrees)?.rounded::<f32>();
        let followed = self.follow(network, rnn, &model, seed)?;
        Ok((model, followed))
    }
}

/// What is known at a place: R(p) - p, g (D × I), y.
pub(super) struct Place {
    change: Vec<f64>,
    pub inputs: Vec<f64>,
    outputs: Vec<f64>,
}

/// The outputs of a state, in network units.
pub(super) fn read(network: &Network, rnn: &Rnn, x: &[f64]) -> Vec<f64> {
    let rates = rnn.rates(x);
    let output = |o: usize| {
        let sum: f64 = rates.iter().enumerate().map(|(i, rate)| network.readout[(o, i)] * rate).sum();
        let y = sum + network.output_bias[o];
        if network.nonlinear_decoder { activate(network.activation, y) } else { y }
    };
    (0..network.readout.nrows()).map(output).collect()
}

/// Chebyshev nodes of the box, those of the last coordinate next to each other.
fn places(interval: &[[f64; 2]], fine: usize) -> Vec<Vec<f64>> {
    interval.iter().fold(vec![Vec::new()], |places, &[low, high]| {
        let nodes = Interval { low, high }.nodes(fine);
        places.iter().flat_map(|p| nodes.iter().map(|q| [&p[..], &[*q]].concat())).collect()
    })
}

/// The Chebyshev series of values at [`places`], cut off at a total degree, its terms in the order of core.
fn series(values: &[f64], fine: usize, dimensions: usize, degree: usize) -> Vec<f64> {
    let transform = chebyshev::transform(fine);
    let count = fine + 1;
    let values = Mat::from_fn(count, values.len() / count, |k, j| values[j * count + k]);
    let last = &transform * values;
    if dimensions == 1 {
        return last.col_as_slice(0)[..=degree].to_vec();
    }
    let both = last * transform.transpose();
    (0..=degree).flat_map(|j| both.col_as_slice(j)[..=degree - j].to_vec()).collect()
}
