//! Chip models of fixed point (`.tfld`): integers as the host holds them, to bytes and back.

use std::iter::zip;

use faer::Mat;
use tinyfold_core::fixed::pack::{Input, Matrices, Readout, pack};
use tinyfold_core::fixed::{Accumulator, Settings, Vector, View, Weight, dense, section_lens};
use tinyfold_core::pack::Weights;
use tinyfold_core::wire::fixed as wire;
use tinyfold_core::{Number, Shape};

use super::model::{Metadata, ModelBytes, refused};
use crate::network::{Activation, Channel, Form, Network, Recurrence};
use crate::task::Task;
use crate::{Error, Result};

/// The recurrent weights and the readout of a network of fixed point; matrices are row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Layers {
    /// W (n × n) and the scale r and bias of every output.
    Dense {
        /// W.
        w: Vec<i16>,
        /// r of every output.
        output_scale: Vec<i32>,
        /// b of every output.
        output_bias: Vec<i32>,
    },
    /// U, V (n × R) and the correction of the R + O sums.
    LowRank {
        /// U.
        u: Vec<i16>,
        /// V.
        v: Vec<i16>,
        /// M, (R + O) × (R + O).
        matrix: Vec<i32>,
        /// Shift of every row of M.
        shift: Vec<i32>,
        /// Bias of every row of M.
        bias: Vec<i32>,
    },
}

/// A network in integers, as [`tinyfold_core::fixed`] computes it.
#[derive(Clone, Debug)]
pub struct FixedNetwork {
    /// [`Number::I16`] or [`Number::I8`]: the size of the weights.
    pub number: Number,
    /// n, R, I, O.
    pub shape: Shape,
    /// Form, activation, leak, rates, sums.
    pub settings: Settings,
    /// W or U and V, and what follows their sums.
    pub layers: Layers,
    /// B, n × I.
    pub input: Vec<i16>,
    /// r, n.
    pub scale: Vec<i32>,
    /// b, n.
    pub bias: Vec<i32>,
    /// C, O × n.
    pub readout: Vec<i16>,
    /// Scaling of every input.
    pub input_scaling: Vec<Input>,
    /// Physical value of one unit of every output.
    pub output_units: Vec<f32>,
    /// Carried words at reset.
    pub initial: Vec<i32>,
    /// Value in network units of one unit of every carried word.
    pub carried_units: Vec<f64>,
    /// Input channels.
    pub inputs: Vec<Channel>,
    /// Output channels; their centers are added by the reader of the chip's integers.
    pub outputs: Vec<Channel>,
    /// What the network was made for.
    pub task: Option<Task>,
}

/// What a network of fixed point computed: integers, row-major by steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// T × O.
    pub outputs: Vec<i32>,
    /// T × carried.
    pub carried: Vec<i32>,
}

/// Weights that do not fit 8 bits are a bug of the quantiser, not of the user.
trait Narrow: Weight {
    fn narrow(value: i16) -> Self;
}

impl Narrow for i16 {
    fn narrow(value: i16) -> Self {
        value
    }
}

impl Narrow for i8 {
    fn narrow(value: i16) -> Self {
        value.try_into().expect("a weight of 8 bits")
    }
}

impl FixedNetwork {
    /// The bytes of the model.
    ///
    /// # Errors
    /// A size or a setting that a model cannot hold.
    pub fn export(&self) -> Result<ModelBytes> {
        match self.number {
            Number::I8 => self.export_as::<i8>(),
            _ => self.export_as::<i16>(),
        }
    }

    fn export_as<W: Narrow>(&self) -> Result<ModelBytes> {
        let refused = |error| refused("export", error);
        let narrow = |values: &[i16]| values.iter().map(|&value| W::narrow(value)).collect::<Vec<W>>();
        let (input, c) = (narrow(&self.input), narrow(&self.readout));
        let (first, second) = match &self.layers {
            Layers::Dense { w, .. } => (narrow(w), Vec::new()),
            Layers::LowRank { u, v, .. } => (narrow(u), narrow(v)),
        };
        let (weights, readout) = match &self.layers {
            Layers::Dense { output_scale, output_bias, .. } => (
                Weights::Dense(&first[..]),
                Readout::Dense { weights: &c[..], scale: output_scale, bias: output_bias },
            ),
            Layers::LowRank { matrix, shift, bias, .. } => (
                Weights::LowRank { u: &first[..], v: &second[..] },
                Readout::LowRank { weights: &c[..], matrix, shift, bias },
            ),
        };
        let matrices = Matrices {
            weights,
            input: &input,
            scale: &self.scale,
            bias: &self.bias,
            readout,
            inputs: &self.input_scaling,
            output_units: &self.output_units,
            initial: &self.initial,
        };
        let lens = section_lens::<W>(&self.shape);
        let mut words = vec![0; lens.iter().sum()];
        pack(&self.shape, &matrices, &mut words).map_err(refused)?;
        let mut rest = &words[..];
        let sections = lens.map(|length| {
            let (section, after) = rest.split_at(length);
            rest = after;
            section
        });
        let view = View::<W>::new(self.shape, self.settings, sections).map_err(refused)?;
        let metadata = Metadata {
            carried_units: Some(self.carried_units.clone()),
            ..Metadata::new(&self.inputs, &self.outputs, self.task.as_ref())
        };
        let metadata = metadata.to_json();
        let mut bytes = vec![0; wire::length::<W>(&self.shape, &metadata)];
        wire::write(&view, &metadata, &mut bytes).map_err(refused)?;
        Ok(ModelBytes::new(&bytes))
    }

    /// The integers that a model holds.
    ///
    /// # Errors
    /// Not a model of fixed point of this version; `place` names the file in the message.
    pub fn import(bytes: &ModelBytes, place: &str) -> Result<Self> {
        match bytes.number().map_err(|error| refused(place, error))? {
            Number::I8 => Self::import_as::<i8>(bytes, place),
            _ => Self::import_as::<i16>(bytes, place),
        }
    }

    fn import_as<W: Weight>(bytes: &ModelBytes, place: &str) -> Result<Self> {
        let model = wire::read::<W>(bytes.bytes()).map_err(|error| refused(place, error))?;
        let metadata = Metadata::read(model.metadata, place)?;
        let view = model.view;
        let (shape, settings) = (view.shape(), view.settings());
        let Shape { neurons: n, rank, inputs, outputs } = shape;
        let raw = |weight: Option<W>| weight.expect("an entry inside the shape").raw() as i16;
        let matrix = |rows: usize, columns: usize, entry: &dyn Fn(usize, usize) -> Option<W>| {
            let place = |k| (k / columns.max(1), k % columns.max(1));
            (0..rows * columns).map(place).map(|(i, j)| raw(entry(i, j))).collect::<Vec<i16>>()
        };
        let pairs = |pairs: Vec<[i32; 2]>| pairs.into_iter().map(|[r, b]| (r, b)).unzip();
        let head = |i| view.scale_and_bias(i).expect("a row of the layer");
        let (scale, bias) = pairs((0..n).map(head).collect());
        let (layers, input, readout) = if rank == 0 {
            let head = |o| view.readout_scale_and_bias(o).expect("a row of the readout");
            let (output_scale, output_bias) = pairs((0..outputs).map(head).collect());
            let w = matrix(n, n, &|i, j| view.entry(i, j));
            (
                Layers::Dense { w, output_scale, output_bias },
                matrix(n, inputs, &|i, k| view.entry(i, n + k)),
                matrix(outputs, n, &|o, j| view.readout_entry(o, j)),
            )
        } else {
            let rows = (0..rank + outputs).map(|j| view.correction(j).expect("a row of the correction"));
            let (mut bias, mut shift, mut m) = (Vec::new(), Vec::new(), Vec::new());
            for (b, s, row) in rows {
                bias.push(b);
                shift.push(s);
                m.extend(row);
            }
            let u = matrix(n, rank, &|i, j| view.record(i, j));
            let v = matrix(n, rank, &|i, j| view.record(i, rank + inputs + j));
            (
                Layers::LowRank { u, v, matrix: m, shift, bias },
                matrix(n, inputs, &|i, k| view.record(i, rank + k)),
                matrix(outputs, n, &|o, i| view.record(i, 2 * rank + inputs + o)),
            )
        };
        let [_, _, _, initial] = view.sections();
        let carried_units = metadata.carried_units.unwrap_or_default();
        let carried = view.carried_len();
        if [metadata.inputs.len(), metadata.outputs.len(), carried_units.len()] != [inputs, outputs, carried]
        {
            let place = format!("{place}: metadata");
            return Err(Error::input(place, "inputs, outputs and carried units of the model", "others"));
        }
        Ok(Self {
            number: W::NUMBER,
            shape,
            settings,
            layers,
            input,
            scale,
            bias,
            readout,
            input_scaling: view
                .input_scaling()
                .iter()
                .map(|&[center, multiplier, shift, unit]| Input {
                    center,
                    multiplier,
                    shift: shift as u8,
                    unit: f32::from_bits(unit as u32),
                })
                .collect(),
            output_units: view.output_units().collect(),
            initial: initial[..carried.min(initial.len())].to_vec(),
            carried_units,
            inputs: metadata.inputs,
            outputs: metadata.outputs,
            task: metadata.task,
        })
    }

    /// Words of state memory on a chip.
    #[must_use]
    pub const fn state_words(&self) -> usize {
        self.settings.state_len(&self.shape)
    }

    /// Value of one unit of a pre-activation.
    #[must_use]
    pub fn pre_activation_unit(&self) -> f64 {
        (-f64::from(self.settings.exponent)).exp2()
    }

    /// Value of one unit of phi.
    #[must_use]
    pub fn rate_unit(&self) -> f64 {
        match self.settings.activation {
            Activation::Tanh | Activation::Sigmoid { .. } => (-30.0_f64).exp2(),
            _ => self.pre_activation_unit(),
        }
    }

    /// Value in network units of one unit of the scaled input k.
    #[must_use]
    pub fn input_unit(&self, k: usize) -> f64 {
        let Input { multiplier, shift, unit, .. } = self.input_scaling[k];
        f64::from(unit) * self.inputs[k].gain * f64::from(shift).exp2() / f64::from(multiplier)
    }

    /// Raw integers of physical samples (row-major T × I): round(x / unit), saturated; a sample that is not
    /// finite repeats the one before.
    #[must_use]
    pub fn raw(&self, samples: &[f32]) -> Vec<i32> {
        let width = self.shape.inputs.max(1);
        let mut raw: Vec<i32> = Vec::with_capacity(samples.len());
        for (t, &x) in samples.iter().enumerate() {
            let Input { center, unit, .. } = self.input_scaling[t % width];
            raw.push(if x.is_finite() {
                (f64::from(x) / f64::from(unit)).round() as i32
            } else if t < width {
                center
            } else {
                raw[t - width]
            });
        }
        raw
    }

    /// The network whose real weights are those that the integers stand for: the truth that a chip is
    /// compared to.
    ///
    /// U_ij = r_i u_ij 2^-48 (unit of p) / (unit of z_j); V and C are corrected ones,
    /// V_j = (unit of z_j) 2^-shift_j / 2^16 sum_k M_jk v_k / (unit of phi);
    /// W_ij = r_i w_ij 2^-(32 + rate_shift) (unit of p) / (unit of phi).
    #[must_use]
    pub fn dequantise(&self) -> Network {
        let Shape { neurons: n, rank, inputs, outputs } = self.shape;
        let (p_unit, phi_unit) = (self.pre_activation_unit(), self.rate_unit());
        let fine = if self.number == Number::I8 { 256.0 } else { 1.0 };
        let shrink = match self.settings.accumulator {
            Accumulator::I64 { shift } => f64::from(shift).exp2(),
            Accumulator::I32 => 1.0,
        };
        // Weights of 8 bits count 256 times at low rank, where mulw takes 16 bits away; products with rates of
        // 8 bits count 256 times, and inputs lose 16 bits or 24.
        let rates = f64::from(self.settings.rates.bits());
        let (of_input, of_rate) = if rank == 0 {
            ((-16.0_f64).exp2(), (16.0 - rates - f64::from(self.settings.rate_shift)).exp2())
        } else {
            (fine * (-16.0_f64).exp2(), fine * (-16.0_f64).exp2())
        };
        let row = |i: usize| f64::from(self.scale[i]) * (-32.0_f64).exp2() * p_unit / shrink;
        let input = Mat::from_fn(n, inputs, |i, k| {
            row(i) * of_input * f64::from(self.input[i * inputs + k]) / self.input_unit(k)
        });
        let gains = |o: usize| f64::from(self.output_units[o]) / self.outputs[o].gain;
        let (recurrence, readout, output_bias) = match &self.layers {
            Layers::Dense { w, output_scale, output_bias } => {
                let w = Mat::from_fn(n, n, |i, j| row(i) * of_rate * f64::from(w[i * n + j]) / phi_unit);
                let c = Mat::from_fn(outputs, n, |o, j| {
                    let scale = f64::from(output_scale[o]) * (-32.0_f64).exp2() * of_rate / shrink;
                    gains(o) * scale * f64::from(self.readout[o * n + j]) / phi_unit
                });
                let bias = zip(output_bias, 0..outputs).map(|(&b, o)| f64::from(b) * gains(o)).collect();
                (Recurrence::Dense(w), c, bias)
            }
            Layers::LowRank { u, v, matrix, shift, bias } => {
                let sums = rank + outputs;
                let stored = |i: usize, k: usize| match k.checked_sub(rank) {
                    None => f64::from(v[i * rank + k]),
                    Some(o) => f64::from(self.readout[o * n + i]),
                };
                let corrected = |i: usize, j: usize| {
                    let sum: f64 = (0..sums).map(|k| f64::from(matrix[j * sums + k]) * stored(i, k)).sum();
                    sum * fine * (-16.0 - f64::from(shift[j])).exp2() / phi_unit
                };
                let z_unit = |j: usize| self.carried_units[j];
                let u =
                    Mat::from_fn(n, rank, |i, j| row(i) * of_rate * f64::from(u[i * rank + j]) / z_unit(j));
                let v = Mat::from_fn(n, rank, |i, j| z_unit(j) * corrected(i, j));
                let c = Mat::from_fn(outputs, n, |o, i| gains(o) * corrected(i, rank + o));
                let bias = (0..outputs).map(|o| f64::from(bias[rank + o]) * gains(o)).collect();
                (Recurrence::LowRank { u, v }, c, bias)
            }
        };
        let mut network = Network::plain(self.real_activation(), recurrence, input, readout);
        network.form = self.settings.form;
        network.alpha = f64::from(self.settings.alpha) / 31.0_f64.exp2();
        network.bias = self.bias.iter().map(|&b| f64::from(b) * p_unit).collect();
        network.output_bias = output_bias;
        network.initial =
            zip(&self.initial, &self.carried_units).map(|(&word, unit)| f64::from(word) * unit).collect();
        network.inputs.clone_from(&self.inputs);
        network.outputs.clone_from(&self.outputs);
        network.task.clone_from(&self.task);
        network
    }

    fn real_activation(&self) -> Activation<f64> {
        let unit = self.pre_activation_unit();
        match self.settings.activation {
            Activation::Linear => Activation::Linear,
            Activation::Relu => Activation::Relu,
            Activation::Tanh => Activation::Tanh,
            Activation::Clipped { lo, hi } => {
                Activation::Clipped { lo: f64::from(lo) * unit, hi: f64::from(hi) * unit }
            }
            Activation::Sigmoid { slope, threshold } => Activation::Sigmoid {
                slope: 2.0 * f64::from(slope) * (f64::from(self.settings.exponent) - 44.0).exp2(),
                threshold: f64::from(threshold) * unit,
            },
        }
    }

    /// The unit of every carried word that the other units fix: rates, currents, outputs, inputs. `z` are the
    /// units of the R latent words, which are free.
    #[must_use]
    pub fn units_of_carried(&self, z: &[f64]) -> Vec<f64> {
        let output = |o: usize| f64::from(self.output_units[o]) / self.outputs[o].gain;
        match (self.shape.is_dense(), self.settings.form) {
            (true, Form::Rate) => vec![self.rate_unit(); self.shape.neurons],
            (true, Form::Current) => vec![self.pre_activation_unit(); self.shape.neurons],
            (false, Form::Current) => {
                z.iter().copied().chain((0..self.shape.inputs).map(|k| self.input_unit(k))).collect()
            }
            (false, Form::Rate) => {
                let leaky = if self.settings.leaky() { self.shape.outputs } else { 0 };
                z.iter().copied().chain((0..leaky).map(output)).collect()
            }
        }
    }
}

/// Runs a model of fixed point on raw integers from reset, by the arithmetic that every chip uses.
///
/// # Errors
/// Not a model of fixed point; `place` names it in the message.
pub fn run(bytes: &ModelBytes, raw: &[i32], place: &str) -> Result<Trace> {
    match bytes.number().map_err(|error| refused(place, error))? {
        Number::I8 => run_as::<i8>(bytes, raw, place),
        _ => run_as::<i16>(bytes, raw, place),
    }
}

fn run_as<W: Weight>(bytes: &ModelBytes, raw: &[i32], place: &str) -> Result<Trace> {
    let refused = |error| refused(place, error);
    let view = wire::read::<W>(bytes.bytes()).map_err(refused)?.view;
    let mut memory = vec![0; view.state_len()];
    let mut state = view.state(&mut memory).map_err(refused)?;
    let mut trace = Trace::default();
    for sample in raw.chunks_exact(view.shape().inputs.max(1)) {
        view.step(&mut state, sample);
        trace.outputs.extend(state.output());
        trace.carried.extend(state.carried());
    }
    Ok(trace)
}

/// p of the dense product of a model alone, for the rates of its n neurons and I inputs.
///
/// # Errors
/// Not a dense model of fixed point, or another number of rates; `place` names it in the message.
pub fn product(bytes: &ModelBytes, rates: &[i32], place: &str) -> Result<Vec<i32>> {
    match bytes.number().map_err(|error| refused(place, error))? {
        Number::I8 => product_as::<i8>(bytes, rates, place),
        _ => product_as::<i16>(bytes, rates, place),
    }
}

fn product_as<W: Weight>(bytes: &ModelBytes, rates: &[i32], place: &str) -> Result<Vec<i32>> {
    let refused = |error| refused(place, error);
    let view = wire::read::<W>(bytes.bytes()).map_err(refused)?.view;
    let (Shape { neurons, inputs, .. }, settings) = (view.shape(), view.settings());
    let mut memory = vec![0; Vector::words(neurons + inputs)];
    let mut vector = Vector::new(settings.rates, &mut memory);
    vector.fill(0, 0, rates.iter().copied());
    let mut p = vec![0; neurons];
    dense::<W>(view.sections()[0], neurons + inputs, vector, settings.accumulator, &mut p)
        .map_err(refused)?;
    Ok(p)
}
