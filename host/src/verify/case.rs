//! Cases: a model, the samples it is run on, and the truth in f64.

use faer::Mat;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use tinyfold_core::fixed::pack::Input;
use tinyfold_core::fixed::{Accumulator, Rates, Settings};
use tinyfold_core::wire::{self, ALIGNMENT, Kind};
use tinyfold_core::{Number, Shape};

pub use super::suite::{reduced_suite, watched_suite};
use super::{Record, decoders};
use crate::format::fixed::{FixedNetwork, Layers};
use crate::format::model::{self, ModelBytes};
use crate::format::reduced::Reduced;
use crate::network::{Activation, Arithmetic, Channel, Form, Network, Recurrence, Variant};
use crate::{Error, Result, simulate};

/// A model and the raw samples it is run on.
#[derive(Clone)]
pub struct Case {
    /// What is special about it.
    pub name: String,
    /// The exported bytes: what every backend gets.
    pub model: ModelBytes,
    /// The bytes of the monitor that watches it.
    pub monitor: Option<ModelBytes>,
    /// Raw samples in physical units, row-major T × I.
    pub samples: Vec<f32>,
    /// I; 1 for a reduced model without inputs, which does not read it.
    pub inputs: usize,
    /// What the model holds.
    pub subject: Subject,
    /// The weights before they were rounded to f32, when known.
    pub original: Option<Network>,
}

/// What a model holds, in f64.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A network in floating point.
    Float(Network),
    /// A network of fixed point and what its integers stand for.
    Fixed(Box<FixedNetwork>, Network),
    /// A reduced model.
    Reduced(Reduced),
}

/// Its name, which tells how to make it again.
impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

/// What the independent f64 host computes for a case.
pub struct Truth {
    /// Outputs in physical units, row-major T × O.
    pub outputs: Vec<f64>,
    /// Carried words, row-major T × carried.
    pub carried: Vec<f64>,
}

impl Case {
    /// The case of a network: exports it and keeps the original beside.
    ///
    /// # Errors
    /// The network cannot be exported.
    pub fn of_network(name: impl Into<String>, network: Network, samples: Vec<f32>) -> Result<Self> {
        let model = model::export::<f32>(&network)?;
        let mut case = Self::of_model(name, model, samples, "export")?;
        case.original = Some(network);
        Ok(case)
    }

    /// The case of model bytes; `place` names the file in messages.
    ///
    /// # Errors
    /// The bytes are not a model of this version in f32 or fixed point.
    pub fn of_model(
        name: impl Into<String>,
        model: ModelBytes,
        samples: Vec<f32>,
        place: &str,
    ) -> Result<Self> {
        let subject = if wire::kind(model.bytes()) == Some(Kind::Reduced) {
            Subject::Reduced(Reduced::import::<f32>(&model, place)?)
        } else {
            match model.number().map_err(|error| model::refused(place, error))? {
                Number::I16 | Number::I8 => {
                    let network = FixedNetwork::import(&model, place)?;
                    let exported = network.dequantise();
                    Subject::Fixed(Box::new(network), exported)
                }
                Number::F32 => Subject::Float(model::import(&model::read::<f32>(&model, place)?, place)?),
                Number::F64 => {
                    return Err(Error::input(place, "f32 or fixed point (chips run no f64)", "f64"));
                }
            }
        };
        let inputs = match &subject {
            Subject::Float(network) | Subject::Fixed(_, network) => network.input.ncols(),
            Subject::Reduced(reduced) => reduced.shape.inputs.max(1),
        };
        Ok(Self { name: name.into(), model, monitor: None, samples, inputs, subject, original: None })
    }

    /// The same under a monitor; `place` names the file of its bytes in messages.
    ///
    /// # Errors
    /// The bytes are not a monitor, or that of another model.
    pub fn watched(mut self, monitor: ModelBytes, place: &str) -> Result<Self> {
        let refused = |error| model::refused(place, error);
        let other = match wire::kind(monitor.bytes()) {
            Some(Kind::Network) => "a network",
            Some(Kind::Reduced) => "a reduced model",
            Some(Kind::Monitor) => "",
            None => "a file of another kind",
        };
        crate::error::require(other.is_empty(), place, "a monitor (.tfmn)", other)?;
        let read = wire::monitor::read::<f32>(monitor.bytes()).map_err(refused)?;
        let model = model::read::<f32>(&self.model, &self.name)?;
        if !read.watches(&model) {
            let expected = format!("the monitor of {}, checksum {:#010x}", self.name, model.checksum);
            return Err(Error::input(place, expected, format!("that of {:#010x}", read.model)));
        }
        self.monitor = Some(monitor);
        Ok(self)
    }

    /// The network, if it is one.
    #[must_use]
    pub const fn network(&self) -> Option<&Network> {
        match &self.subject {
            Subject::Float(network) | Subject::Fixed(_, network) => Some(network),
            Subject::Reduced(_) => None,
        }
    }

    /// The network of fixed point, if it is one.
    #[must_use]
    pub const fn fixed(&self) -> Option<&FixedNetwork> {
        match &self.subject {
            Subject::Fixed(network, _) => Some(network),
            _ => None,
        }
    }

    /// The bytes of a chip's flash: the model, its monitor behind it.
    #[must_use]
    pub fn flash(&self) -> Vec<u8> {
        let mut flash = self.model.bytes().to_vec();
        if let Some(monitor) = &self.monitor {
            flash.resize(flash.len().next_multiple_of(ALIGNMENT), 0);
            flash.extend_from_slice(monitor.bytes());
        }
        flash
    }

    /// Words of a step behind the carried ones that have no truth: whether a reduced model was clamped; a monitor's
    /// alarms, residual, distance and range.
    const fn told(&self) -> usize {
        match (&self.subject, &self.monitor) {
            (Subject::Reduced(_), _) => 1,
            (_, Some(_)) => 4,
            _ => 0,
        }
    }

    /// The samples as the chip gets them, in physical units: rounded to raw integers for fixed point.
    fn physical(&self) -> Vec<f64> {
        let Some(network) = self.fixed() else { return self.samples.iter().map(|&x| x.into()).collect() };
        let units = network.input_scaling.iter().map(|input| f64::from(input.unit)).cycle();
        network.raw(&self.samples).iter().zip(units).map(|(&raw, unit)| f64::from(raw) * unit).collect()
    }

    /// Outputs in physical units and carried words in network units.
    #[must_use]
    pub fn values(&self, record: &Record) -> (Vec<f64>, Vec<f64>) {
        let Some(network) = self.fixed() else {
            let wide = |word: &u32| f64::from(f32::from_bits(*word));
            let width = (record.carried.len() / self.steps().max(1)).max(1);
            let known = width - self.told().min(width);
            let carried = record.carried.chunks(width).flat_map(|words| &words[..known.min(words.len())]);
            return (record.outputs.iter().map(wide).collect(), carried.map(wide).collect());
        };
        let integers = |words: &[u32]| words.iter().map(|&word| f64::from(word as i32)).collect::<Vec<f64>>();
        let channels = network.output_units.iter().zip(&network.outputs).cycle();
        let outputs = integers(&record.outputs)
            .iter()
            .zip(channels)
            .map(|(y, (&unit, channel))| y * f64::from(unit) + channel.center)
            .collect();
        let units = network.carried_units.iter().cycle();
        (outputs, integers(&record.carried).iter().zip(units).map(|(word, unit)| word * unit).collect())
    }

    /// The same bits; any NaN of floating point equals any NaN.
    pub(super) fn same_word(&self, a: u32, b: u32) -> bool {
        let nan = |word| f32::from_bits(word).is_nan();
        a == b || (self.fixed().is_none() && nan(a) && nan(b))
    }

    /// The same bits everywhere.
    #[must_use]
    pub fn same_bits(&self, a: &Record, b: &Record) -> bool {
        let same =
            |a: &[u32], b: &[u32]| a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| self.same_word(a, b));
        a.held == b.held && same(&a.outputs, &b.outputs) && same(&a.carried, &b.carried)
    }

    /// Number of samples.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.samples.len() / self.inputs.max(1)
    }

    /// What the model does in f64.
    ///
    /// # Errors
    /// None in practice: the samples make whole steps.
    pub fn truth(&self) -> Result<Truth> {
        match &self.subject {
            Subject::Float(network) | Subject::Fixed(_, network) => Ok(self.truth_of(network)),
            Subject::Reduced(reduced) => {
                let inputs = reduced.shape.inputs;
                let u = self.held(|k, raw| (k < inputs).then_some(raw));
                let run = reduced.run(&u, self.steps())?;
                Ok(Truth { outputs: run.outputs, carried: run.z })
            }
        }
    }

    /// The samples, scaled, held where they are not finite; channels without a scale are left out.
    fn held(&self, scaled: impl Fn(usize, f64) -> Option<f64>) -> Vec<f64> {
        let mut held = vec![0.0; self.inputs];
        let mut x = Vec::with_capacity(self.samples.len());
        for sample in self.physical().chunks_exact(self.inputs.max(1)) {
            for (k, (held, &raw)) in held.iter_mut().zip(sample).enumerate() {
                let Some(scaled) = scaled(k, raw) else { continue };
                if scaled.is_finite() {
                    *held = scaled;
                }
                x.push(*held);
            }
        }
        x
    }

    /// The same samples through `network` in f64: scaled, held where not finite, simulated.
    #[must_use]
    pub fn truth_of(&self, network: &Network) -> Truth {
        let channel = |k: usize| network.inputs.get(k);
        let x = self.held(|k, raw| channel(k).map(|channel| (raw - channel.center) * channel.gain));
        let trajectory = simulate::run(network, &x, false);
        let outputs = trajectory
            .outputs
            .iter()
            .zip(network.outputs.iter().cycle())
            .map(|(y, channel)| y * channel.gain + channel.center)
            .collect();
        Truth { outputs, carried: trajectory.carried }
    }
}

/// Sizes of a suite network, dense or of this rank: no multiple of any panel's height.
const SIZES: Shape = Shape { neurons: 13, rank: 2, inputs: 3, outputs: 2 };
const RANK: usize = SIZES.rank;

/// Every case there is: [`float_suite`], [`decoders::suite`], [`fixed_suite`], [`reduced_suite`] and
/// [`watched_suite`].
///
/// # Errors
/// None in practice: the networks are exportable by construction.
pub fn suite(steps: usize) -> Result<Vec<Case>> {
    let suites = [float_suite, decoders::suite, fixed_suite, reduced_suite, watched_suite];
    Ok(suites.map(|suite| suite(steps)).into_iter().collect::<Result<Vec<Vec<Case>>>>()?.concat())
}

/// Every form × dense / low-rank × activation × arithmetic, with and without leak, every variant of tanh and
/// sigmoid: random stable networks (seeded) on random samples, some of which are not finite.
///
/// # Errors
/// None in practice: the networks are exportable by construction.
pub fn float_suite(steps: usize) -> Result<Vec<Case>> {
    let activations = [
        ("linear", Activation::Linear),
        ("relu", Activation::Relu),
        ("clipped", Activation::Clipped { lo: 0.0, hi: 0.5 }),
        ("tanh", Activation::Tanh),
        ("sigmoid", Activation::Sigmoid { slope: 2.0, threshold: 0.25 }),
    ];
    let mut cases = Vec::new();
    for (form, form_name) in [(Form::Rate, "rate"), (Form::Current, "current")] {
        for (rank, rank_name) in [(0, "dense"), (RANK, "rank 2")] {
            for (activation_name, activation) in activations {
                for (arithmetic, arithmetic_name) in
                    [(Arithmetic::Separate, "separate"), (Arithmetic::Fused, "fused")]
                {
                    for alpha in [1.0, 0.3] {
                        let transcendental =
                            matches!(activation, Activation::Tanh | Activation::Sigmoid { .. });
                        // The other variants once for each function, form and rank: the rest is the same code.
                        let all = transcendental && arithmetic == Arithmetic::Separate && alpha < 1.0;
                        let variants = [Variant::Rational, Variant::Libm, Variant::Micromath];
                        for &variant in if all { &variants[..] } else { &variants[..1] } {
                            let mut rng = ChaCha8Rng::seed_from_u64(cases.len() as u64);
                            let mut network = random_network(activation, Shape { rank, ..SIZES }, &mut rng);
                            network.form = form;
                            network.alpha = alpha;
                            network.arithmetic = arithmetic;
                            network.variant = variant;
                            network.initial = normal(network.carried(), 0.5, &mut rng);
                            let by = match variant {
                                Variant::Rational => "",
                                Variant::Libm => " libm",
                                Variant::Micromath => " micromath",
                            };
                            let name = format!(
                                "{form_name}, {rank_name}, {activation_name}{by}, {arithmetic_name}, alpha {alpha}"
                            );
                            cases.push(Case::of_network(
                                name,
                                network,
                                samples(steps * SIZES.inputs, &mut rng),
                            )?);
                        }
                    }
                }
            }
        }
    }
    Ok(cases)
}

/// Fixed point: form × dense / low-rank × activation × sizes of weights and rates × sums, with and without
/// leak: random integers whose network is stable, on random samples, some beyond every range.
///
/// # Errors
/// None in practice: the networks are exportable by construction.
pub fn fixed_suite(steps: usize) -> Result<Vec<Case>> {
    let activations = [
        ("linear", Activation::Linear),
        ("relu", Activation::Relu),
        ("clipped", Activation::Clipped { lo: 0, hi: 1 << 24 }),
        ("tanh", Activation::Tanh),
        ("sigmoid", Activation::Sigmoid { slope: 1 << 18, threshold: 1 << 24 }),
    ];
    let i64_sums = Accumulator::I64 { shift: 6 };
    let kinds = [
        ("dense, i16 × i16", Number::I16, 0, Rates::I16, Accumulator::I32),
        ("dense, i16 × i16, 64-bit sums", Number::I16, 0, Rates::I16, i64_sums),
        ("dense, i8 × i16", Number::I8, 0, Rates::I16, Accumulator::I32),
        ("dense, i8 × i8", Number::I8, 0, Rates::I8, Accumulator::I32),
        ("dense, i8 × i8, 64-bit sums", Number::I8, 0, Rates::I8, i64_sums),
        ("rank 2, i16", Number::I16, RANK, Rates::I16, Accumulator::I32),
        ("rank 2, i8", Number::I8, RANK, Rates::I16, Accumulator::I32),
    ];
    let mut cases = Vec::new();
    for (form, form_name) in [(Form::Rate, "rate"), (Form::Current, "current")] {
        for (kind, number, rank, rates, accumulator) in kinds {
            for (activation_name, activation) in activations {
                for alpha in [1.0, 0.3] {
                    // Full scale of rates: 1 for tanh and sigmoid, 4 (2^28 of exponent 26) for the others.
                    let unit =
                        if activation_name == "tanh" || activation_name == "sigmoid" { 31 } else { 29 };
                    let settings = Settings {
                        form,
                        rates,
                        rate_shift: unit - rates.bits() as u8,
                        accumulator,
                        activation,
                        exponent: 26,
                        alpha: (alpha * 31.0_f64.exp2()) as u32,
                    };
                    let mut rng = ChaCha8Rng::seed_from_u64(1000 + cases.len() as u64);
                    let network = random_fixed(number, Shape { rank, ..SIZES }, settings, &mut rng);
                    let name = format!("{form_name}, {kind}, {activation_name}, alpha {alpha}");
                    let samples = samples(steps * SIZES.inputs, &mut rng);
                    cases.push(Case::of_model(name, network.export()?, samples, "export")?);
                }
            }
        }
    }
    Ok(cases)
}

/// Random integers, scaled so that W has Frobenius norm 0.8 and inputs and outputs are of the order of 1.
#[must_use]
pub fn random_fixed(number: Number, shape: Shape, settings: Settings, rng: &mut ChaCha8Rng) -> FixedNetwork {
    let Shape { neurons, rank, inputs, outputs } = shape;
    // Twelve values of 2^30 times weights of 2^12 and sums of twelve dense products stay within 32 bits.
    let most = match (number, rank) {
        (Number::I8, 0) => 127,
        (Number::I8, _) => 15,
        _ => 4000,
    };
    let mut weights = |count: usize| (0..count).map(|_| rng.random_range(-most..=most)).collect::<Vec<i16>>();
    let (input, readout) = (weights(neurons * inputs), weights(outputs * neurons));
    let sums = rank + outputs;
    let layers = if rank == 0 {
        let w = weights(neurons * neurons);
        Layers::Dense { w, output_scale: vec![1 << 28; outputs], output_bias: vec![12_345; outputs] }
    } else {
        let (u, v) = (weights(neurons * rank), weights(neurons * rank));
        let matrix = (0..sums * sums).map(|_| rng.random_range(-(1 << 29)..1 << 29)).collect();
        // The latent has no bias in the real network.
        let bias = (0..sums).map(|j| if j < rank { 0 } else { -54_321 }).collect();
        Layers::LowRank { u, v, matrix, shift: vec![26; sums], bias }
    };
    let channels = |kind: &str, count| (0..count).map(|k| Channel::plain(format!("{kind}{k}"))).collect();
    let mut network = FixedNetwork {
        number,
        shape,
        settings,
        layers,
        input,
        scale: vec![1 << 30; neurons],
        bias: (0..neurons).map(|_| rng.random_range(-(1 << 24)..1 << 24)).collect(),
        readout,
        input_scaling: vec![Input { center: 100, multiplier: 3 << 20, shift: 13, unit: 1e-5 }; inputs],
        output_units: vec![1e-6; outputs],
        initial: Vec::new(),
        carried_units: Vec::new(),
        inputs: channels("x", inputs),
        outputs: channels("y", outputs),
        task: None,
    };
    for channel in &mut network.inputs {
        channel.center = 100.0 * f64::from(1e-5_f32);
    }
    network.carried_units = network.units_of_carried(&vec![(-24.0_f64).exp2(); rank]);
    let norm = network.dequantise().weights().norm_l2();
    for r in &mut network.scale {
        // Every other row with 16 low bits of zero, which the Cortex-M0 treats on its own.
        *r = (f64::from(*r) * (0.8 / norm).min(1.9)) as i32;
    }
    for r in network.scale.iter_mut().step_by(2) {
        *r &= !0xffff;
    }
    network.initial =
        (0..network.carried_units.len()).map(|_| rng.random_range(-(1 << 22)..1 << 22)).collect();
    network
}

pub(super) fn normal(count: usize, scale: f64, rng: &mut ChaCha8Rng) -> Vec<f64> {
    StandardNormal.sample_iter(rng).take(count).map(|x: f64| x * scale).collect()
}

fn matrix(rows: usize, columns: usize, scale: f64, rng: &mut ChaCha8Rng) -> Mat<f64> {
    let entries = normal(rows * columns, scale, rng);
    Mat::from_fn(rows, columns, |i, j| entries[i * columns + j])
}

/// Random weights whose W has Frobenius norm at most 0.8, so that rounding errors die out.
#[must_use]
pub fn random_network(activation: Activation<f64>, shape: Shape, rng: &mut ChaCha8Rng) -> Network {
    let Shape { neurons, rank, inputs, outputs } = shape;
    let shrink = |w: Mat<f64>, norm: f64| {
        let factor = 0.8 / norm;
        faer::Scale(factor) * w
    };
    let recurrence = if rank == 0 {
        let w = matrix(neurons, neurons, 1.0, rng);
        let norm = w.norm_l2();
        Recurrence::Dense(shrink(w, norm))
    } else {
        let (u, v) = (matrix(neurons, rank, 0.5, rng), matrix(neurons, rank, 0.5, rng));
        let norm = (&u * v.transpose()).norm_l2();
        Recurrence::LowRank { u: shrink(u, norm), v }
    };
    let (input, readout) = (matrix(neurons, inputs, 0.5, rng), matrix(outputs, neurons, 0.5, rng));
    let mut network = Network::plain(activation, recurrence, input, readout);
    network.bias = normal(neurons, 0.2, rng);
    network.output_bias = normal(outputs, 0.2, rng);
    let channel = |kind: &str, k: usize, rng: &mut ChaCha8Rng| Channel {
        center: rng.random_range(-0.5..0.5),
        gain: rng.random_range(0.5..2.0),
        ..Channel::plain(format!("{kind}{k}"))
    };
    network.inputs = (0..inputs).map(|k| channel("x", k, rng)).collect();
    network.outputs = (0..outputs).map(|k| channel("y", k, rng)).collect();
    network
}

/// Gaussian samples; now and then a sensor fails.
#[must_use]
pub fn samples(count: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    (0..count)
        .map(|k| match k % 97 {
            17 => f32::NAN,
            59 => f32::INFINITY,
            _ => StandardNormal.sample(rng),
        })
        .collect()
}
