//! Reduced models for the chip: from Chebyshev coefficients in f64 to bytes, and the truth beside them.

use tinyfold_core::reduced::{Part, Series, Shape, View, pack, packed};
use tinyfold_core::wire::reduced as wire;
use tinyfold_core::{Arithmetic, Scalar};

use super::model::{Metadata, ModelBytes, refused};
use crate::error::require;
use crate::network::Channel;
use crate::{Error, Result};

/// A reduced model z' = z + f(z) + sum_i g_i(z) u_i, y = c(z'), in f64.
///
/// The terms of a series ascend, as in [`Series`]: a_0 .. a_K for one coordinate, a_00 .. a_0K, a_10 .. for two, of
/// Chebyshev polynomials in s = (z - center) / half-width.
#[derive(Clone, Debug, PartialEq)]
pub struct Reduced {
    /// D, I, O and the degrees.
    pub shape: Shape,
    /// How the chip adds products.
    pub arithmetic: Arithmetic,
    /// \[lo, hi\] of every coordinate (D).
    pub interval: Vec<[f64; 2]>,
    /// z before the first step (D).
    pub initial: Vec<f64>,
    /// f (D × terms).
    pub drift: Vec<f64>,
    /// g (D × I × terms).
    pub gain: Vec<f64>,
    /// c (O × terms).
    pub output: Vec<f64>,
    /// Names and units of the inputs, which come in these units; centers and gains are in g and f already.
    pub inputs: Vec<Channel>,
    /// Names and units of the outputs.
    pub outputs: Vec<Channel>,
}

/// What a reduced model did, step by step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trajectory {
    /// z, row-major T × D.
    pub z: Vec<f64>,
    /// y, row-major T × O.
    pub outputs: Vec<f64>,
    /// Steps in which z' was clamped.
    pub outside: usize,
}

impl Reduced {
    /// Every number rounded to T: what a chip works with.
    #[must_use]
    pub fn rounded<T: Scalar>(&self) -> Self {
        let round = |values: &[f64]| values.iter().map(|&x| T::from_f64(x).to_f64()).collect::<Vec<f64>>();
        Self {
            interval: self.interval.iter().map(|pair| pair.map(|x| T::from_f64(x).to_f64())).collect(),
            initial: round(&self.initial),
            drift: round(&self.drift),
            gain: round(&self.gain),
            output: round(&self.output),
            ..self.clone()
        }
    }

    /// The bytes for a chip, every number rounded once to T.
    ///
    /// # Errors
    /// A part of the wrong size, a number that is not finite in T, lo >= hi, an initial state outside.
    pub fn export<T: Scalar>(&self) -> Result<ModelBytes> {
        let refused = |error| refused("reduced model", error);
        let cast = |values: &[f64]| values.iter().map(|&x| T::from_f64(x)).collect::<Vec<T>>();
        let interval: Vec<[T; 2]> = self.interval.iter().map(|pair| pair.map(T::from_f64)).collect();
        let series = Series {
            interval: &interval,
            initial: &cast(&self.initial),
            drift: &cast(&self.drift),
            gain: &cast(&self.gain),
            output: &cast(&self.output),
        };
        let mut words = vec![T::ZERO; self.shape.parameter_len()];
        pack(&self.shape, &series, &mut words).map_err(refused)?;
        let view = View::from_words(self.shape, self.arithmetic, &words).map_err(refused)?;
        let metadata = Metadata::new(&self.inputs, &self.outputs, None).to_json();
        let mut bytes = vec![0; wire::length(&self.shape, T::NUMBER, &metadata)];
        wire::write(&view, &metadata, &mut bytes).map_err(refused)?;
        Ok(ModelBytes::new(&bytes))
    }

    /// The model in `bytes`, its numbers widened to f64; `place` names the file in messages.
    ///
    /// # Errors
    /// Bytes that are not those of a reduced model in T, metadata that is not tinyfold's.
    pub fn import<T: Scalar>(bytes: &ModelBytes, place: &str) -> Result<Self> {
        let read = wire::read::<T>(bytes.bytes()).map_err(|error| refused(place, error))?;
        let metadata = Metadata::read(read.metadata, place)?;
        let (view, shape) = (&read.view, read.view.shape());
        for (field, named, count) in
            [("inputs", &metadata.inputs, shape.inputs), ("outputs", &metadata.outputs, shape.outputs)]
        {
            let place = format!("{place}: metadata: {field}");
            require(named.len() == count, &place, format!("{count} channels"), named.len())?;
        }
        let [domain, drive, output] = view.sections();
        let words = domain.iter().chain(drive).chain(output).map(|x| x.to_f64());
        let mut places = Vec::new();
        packed(&shape, |part, index| places.push((part, index)));
        let mut parts = [Part::Interval, Part::Initial, Part::Drift, Part::Gain, Part::Output].map(|part| {
            let count = places.iter().filter(|(of, _)| *of == part).count();
            (part, vec![0.0; count])
        });
        for ((of, index), x) in places.into_iter().zip(words) {
            if let Some((_, values)) = parts.iter_mut().find(|(part, _)| *part == of) {
                values[index] = x;
            }
        }
        let [interval, initial, drift, gain, output] = parts.map(|(_, values)| values);
        Ok(Self {
            shape,
            arithmetic: view.arithmetic(),
            interval: interval.as_chunks().0.to_vec(),
            initial,
            drift,
            gain,
            output,
            inputs: metadata.inputs,
            outputs: metadata.outputs,
        })
    }

    /// Runs from the initial state on inputs `u`, row-major T × I, of `steps` steps: the truth, by upward recurrence
    /// T_{k+1} = 2 s T_k - T_{k-1}, which shares no code with core.
    ///
    /// # Errors
    /// Inputs that do not make `steps` steps.
    pub fn run(&self, u: &[f64], steps: usize) -> Result<Trajectory> {
        let inputs = self.shape.inputs;
        if u.len() != steps * inputs {
            let expected = format!("{steps} × {inputs} inputs");
            return Err(Error::input("reduced model", expected, u.len().to_string()));
        }
        let mut z = self.initial.clone();
        let mut trajectory = Trajectory::default();
        for t in 0..steps {
            let u = &u[t * inputs..(t + 1) * inputs];
            let (drift, gain) = (self.basis(self.shape.drift, &z), self.basis(self.shape.gain, &z));
            let mut outside = false;
            for (d, z) in z.iter_mut().enumerate() {
                let of = |coefficients: &[f64], basis: &[f64], row: usize| -> f64 {
                    coefficients[row * basis.len()..].iter().zip(basis).map(|(a, t)| a * t).sum()
                };
                let input = |(i, &u): (usize, &f64)| u * of(&self.gain, &gain, d * inputs + i);
                let next = *z + of(&self.drift, &drift, d) + u.iter().enumerate().map(input).sum::<f64>();
                let [lo, hi] = self.interval[d];
                outside |= !(lo <= next && next <= hi);
                *z = if next.is_nan() { *z } else { next.clamp(lo, hi) };
            }
            trajectory.outside += usize::from(outside);
            let basis = self.basis(self.shape.output, &z);
            let value = |c: &[f64]| c.iter().zip(&basis).map(|(c, t)| c * t).sum::<f64>();
            trajectory.outputs.extend(self.output.chunks_exact(basis.len()).map(value));
            trajectory.z.extend(&z);
        }
        Ok(trajectory)
    }

    /// The products of Chebyshev polynomials of a degree at z, in the order of the coefficients.
    fn basis(&self, degree: usize, z: &[f64]) -> Vec<f64> {
        let along = |(z, [lo, hi]): (&f64, &[f64; 2])| {
            let s = (z - (lo + hi) / 2.0) / ((hi - lo) / 2.0);
            let mut values = vec![1.0, s];
            (2..=degree).for_each(|k| values.push(2.0 * s * values[k - 1] - values[k - 2]));
            values
        };
        let lines: Vec<Vec<f64>> = z.iter().zip(&self.interval).map(along).collect();
        match &lines[..] {
            [line] => line[..=degree].to_vec(),
            [first, second, ..] => {
                (0..=degree).flat_map(|j| (0..=degree - j).map(move |k| first[j] * second[k])).collect()
            }
            [] => Vec::new(),
        }
    }
}
