//! The one list of what is counted.
//!
//! A row names a kernel, what it is made of, its ranks and its number types; with the sizes it makes cases.
//! Networks are random with a fixed seed. Their biases are +1 and -1 in turn and outweigh the rest: half of
//! the units of a ReLU network are active at any step.

use faer::Mat;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tinyfold_core::fixed::pack::Input;
use tinyfold_core::fixed::{Accumulator, Rates, Settings};
use tinyfold_core::monitor::{self, Monitor};
use tinyfold_core::{Number as Tag, Shape, reduced, wire};

use super::learn::Learning;
use crate::Result;
use crate::dynamics::monitor as monitors;
use crate::format::fixed::{self, FixedNetwork, Layers};
use crate::format::model::{self, ModelBytes, shape_of};
use crate::format::reduced::Reduced;
use crate::network::{Activation, Arithmetic, Channel, Network, Recurrence, Variant};
use crate::verify::{Backend, Core};

/// How numbers are stored and added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// f32, products and sums rounded one by one.
    F32,
    /// f32, fused multiply-add.
    F32Fused,
    /// Weights and rates of 16 bits, sums of 32.
    I16,
    /// Weights and rates of 16 bits, sums of 64.
    I16Wide,
    /// Weights and rates of 8 bits.
    I8,
    /// Weights of 8 bits, rates of 16.
    I8I16,
}

impl Number {
    /// As tables and the baseline write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F32Fused => "f32 fused",
            Self::I16 => "i16",
            Self::I16Wide => "i16, sums of 64 bits",
            Self::I8 => "i8",
            Self::I8I16 => "i8 × i16",
        }
    }
}

/// What a kernel is: the numbers of `Kernel` in `firmware/bench/src/lib.rs`.
#[derive(Clone, Copy)]
enum Work {
    /// One step of a network of this leak.
    Step { leak: f64 },
    /// phi alone.
    Activation,
    /// The product W h of a dense network without inputs, alone.
    Product,
    /// A learning step.
    Learn(Learning),
    /// One step of a reduced model with so many inputs and a gain of at most this degree.
    Reduced { inputs: usize, gain: usize },
    /// One step of a network under a monitor that looks at the manifold, and checks its identity, every so many steps.
    Watched { every: u16, check: u16 },
}

/// A row of the list.
struct Row {
    kernel: &'static str,
    work: Work,
    phi: Activation<f64>,
    variant: Variant,
    ranks: &'static [usize],
    numbers: &'static [Number],
}

const STEP: Work = Work::Step { leak: 1.0 };
const LEAKY: Work = Work::Step { leak: 0.25 };
const CLIPPED: Activation<f64> = Activation::Clipped { lo: 0.0, hi: 2.0 };
const SIGMOID: Activation<f64> = Activation::Sigmoid { slope: 2.0, threshold: 0.25 };
const TWO_INPUTS: Work = Work::Reduced { inputs: 2, gain: 31 };
const FOUR_INPUTS: Work = Work::Reduced { inputs: 4, gain: 31 };
const SLOW_GAIN: Work = Work::Reduced { inputs: 4, gain: 4 };
// The step that is counted, the third, does nothing else than these say: see `monitor::Plan`.
const WATCHED: Work = Work::Watched { every: 16, check: 4 };
const CHECK: Work = Work::Watched { every: 16, check: 1 };
const LOOK: Work = Work::Watched { every: 1, check: 16 };
const DENSE: &[usize] = &[0];
const RANKS: &[usize] = &[1, 2, 3, 4];
const ALL: &[Number] =
    &[Number::F32, Number::F32Fused, Number::I16, Number::I16Wide, Number::I8, Number::I8I16];

#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row { kernel: "product", work: Work::Product, phi: Activation::Relu, variant: Variant::Libm, ranks: DENSE, numbers: ALL },
    Row { kernel: "dense-relu", work: STEP, phi: Activation::Relu, variant: Variant::Libm, ranks: DENSE, numbers: ALL },
    Row { kernel: "dense-tanh-libm", work: STEP, phi: Activation::Tanh, variant: Variant::Libm, ranks: DENSE, numbers: &[Number::F32] },
    Row { kernel: "dense-tanh", work: STEP, phi: Activation::Tanh, variant: Variant::Rational, ranks: DENSE, numbers: &[Number::F32, Number::I16] },
    Row { kernel: "dense-tanh-micromath", work: STEP, phi: Activation::Tanh, variant: Variant::Micromath, ranks: DENSE, numbers: &[Number::F32] },
    Row { kernel: "low-rank-relu", work: STEP, phi: Activation::Relu, variant: Variant::Libm, ranks: RANKS, numbers: &[Number::F32, Number::I16] },
    Row { kernel: "low-rank-relu", work: STEP, phi: Activation::Relu, variant: Variant::Libm, ranks: &[2], numbers: &[Number::F32Fused, Number::I8] },
    Row { kernel: "low-rank-relu-leak", work: LEAKY, phi: Activation::Relu, variant: Variant::Libm, ranks: RANKS, numbers: &[Number::F32] },
    Row { kernel: "low-rank-relu-leak", work: LEAKY, phi: Activation::Relu, variant: Variant::Libm, ranks: &[2], numbers: &[Number::I16] },
    Row { kernel: "learn-latent-rtrl", work: Work::Learn(Learning::Latent), phi: Activation::Relu, variant: Variant::Libm, ranks: &[1, 2, 3], numbers: &[Number::F32] },
    Row { kernel: "learn-latent-rls", work: Work::Learn(Learning::LatentRls), phi: Activation::Relu, variant: Variant::Libm, ranks: &[1, 2, 3], numbers: &[Number::F32] },
    Row { kernel: "learn-eprop-lms", work: Work::Learn(Learning::Eprop), phi: Activation::Relu, variant: Variant::Libm, ranks: DENSE, numbers: &[Number::F32] },
    Row { kernel: "learn-snap1", work: Work::Learn(Learning::Snap1), phi: Activation::Relu, variant: Variant::Libm, ranks: DENSE, numbers: &[Number::F32] },
    Row { kernel: "learn-lms-update", work: Work::Learn(Learning::Lms), phi: Activation::Relu, variant: Variant::Libm, ranks: DENSE, numbers: &[Number::F32] },
    Row { kernel: "watched-dense-relu", work: WATCHED, phi: Activation::Relu, variant: Variant::Libm, ranks: DENSE, numbers: &[Number::F32, Number::F32Fused] },
    Row { kernel: "watched-dense-relu-check", work: CHECK, phi: Activation::Relu, variant: Variant::Libm, ranks: DENSE, numbers: &[Number::F32, Number::F32Fused] },
    Row { kernel: "watched-dense-relu-look", work: LOOK, phi: Activation::Relu, variant: Variant::Libm, ranks: DENSE, numbers: &[Number::F32, Number::F32Fused] },
    Row { kernel: "watched-low-rank-relu", work: WATCHED, phi: Activation::Relu, variant: Variant::Libm, ranks: &[1, 2, 3], numbers: &[Number::F32] },
    Row { kernel: "watched-low-rank-relu-look", work: LOOK, phi: Activation::Relu, variant: Variant::Libm, ranks: &[1, 2, 3], numbers: &[Number::F32] },
    Row { kernel: "reduced-2-inputs", work: TWO_INPUTS, phi: Activation::Linear, variant: Variant::Libm, ranks: &[1, 2], numbers: &[Number::F32, Number::F32Fused] },
    Row { kernel: "reduced-4-inputs", work: FOUR_INPUTS, phi: Activation::Linear, variant: Variant::Libm, ranks: &[1, 2], numbers: &[Number::F32, Number::F32Fused] },
    Row { kernel: "reduced-4-inputs-gain-4", work: SLOW_GAIN, phi: Activation::Linear, variant: Variant::Libm, ranks: &[1, 2], numbers: &[Number::F32, Number::F32Fused] },
    Row { kernel: "linear", work: Work::Activation, phi: Activation::Linear, variant: Variant::Libm, ranks: DENSE, numbers: &[Number::F32] },
    Row { kernel: "relu", work: Work::Activation, phi: Activation::Relu, variant: Variant::Libm, ranks: DENSE, numbers: &[Number::F32] },
    Row { kernel: "clipped", work: Work::Activation, phi: CLIPPED, variant: Variant::Libm, ranks: DENSE, numbers: &[Number::F32] },
    Row { kernel: "tanh", work: Work::Activation, phi: Activation::Tanh, variant: Variant::Rational, ranks: DENSE, numbers: &[Number::F32] },
    Row { kernel: "tanh-libm", work: Work::Activation, phi: Activation::Tanh, variant: Variant::Libm, ranks: DENSE, numbers: &[Number::F32] },
    Row { kernel: "tanh-micromath", work: Work::Activation, phi: Activation::Tanh, variant: Variant::Micromath, ranks: DENSE, numbers: &[Number::F32] },
    Row { kernel: "sigmoid", work: Work::Activation, phi: SIGMOID, variant: Variant::Rational, ranks: DENSE, numbers: &[Number::F32] },
    Row { kernel: "sigmoid-libm", work: Work::Activation, phi: SIGMOID, variant: Variant::Libm, ranks: DENSE, numbers: &[Number::F32] },
    Row { kernel: "sigmoid-micromath", work: Work::Activation, phi: SIGMOID, variant: Variant::Micromath, ranks: DENSE, numbers: &[Number::F32] },
];

/// n of every kernel but activations.
pub const SIZES: [usize; 4] = [16, 32, 64, 128];
/// The step that reduced models are compared with, in f32: that of a network of n = 100 as the field trains them.
pub const REPLACED: (&str, usize) = ("dense-tanh", 100);
/// Elements that an activation is counted over, evenly spaced on [-8, 8].
pub const ELEMENTS: usize = 128;
/// Degrees of f and c of a reduced model, in the place of n; its D is in that of the rank.
pub const DEGREES: [usize; 2] = [7, 11];
/// Dimensions of the manifold of a watched dense network.
const MANIFOLD: usize = 4;
/// Inputs and outputs of a dense network; one of rank R has R of each.
const CHANNELS: usize = 2;
/// Steps that a step is run: the last one is counted.
const STEPS: usize = 3;

/// One thing to count.
pub struct Case {
    /// Name of the kernel.
    pub kernel: &'static str,
    /// n; elements of an activation.
    pub neurons: usize,
    /// R, 0 if dense.
    pub rank: usize,
    /// Number type.
    pub number: Number,
    /// Multiply-adds of a step; elements of an activation.
    pub operations: usize,
    /// What the chip gets.
    pub model: ModelBytes,
    /// Words of memory the kernel works in.
    pub memory: usize,
    /// The words that the chip must answer: what core computes on this host.
    pub expected: Vec<u32>,
    /// What the kernel works on: samples (T × I), or elements.
    pub words: Vec<u32>,
    work: Work,
}

/// The cases of the list, of the kernels and sizes asked for; all when nothing is.
///
/// # Errors
/// A name or a size that no row has.
pub fn cases(kernels: &[String], sizes: &[usize]) -> Result<Vec<Case>> {
    let known = || {
        let mut names: Vec<&str> = ROWS.iter().map(|row| row.kernel).collect();
        names.dedup();
        names
    };
    if let Some(unknown) = kernels.iter().find(|name| !known().contains(&name.as_str())) {
        let expected = format!("kernels among {}", known().join(", "));
        return Err(crate::Error::input("--kernel", expected, unknown));
    }
    if let Some(unknown) =
        sizes.iter().find(|n| !SIZES.contains(n) && !DEGREES.contains(n) && **n != REPLACED.1)
    {
        let expected = format!("sizes among {SIZES:?} and {}, degrees among {DEGREES:?}", REPLACED.1);
        return Err(crate::Error::input("-n", expected, unknown.to_string()));
    }
    let mut cases = Vec::new();
    for row in ROWS.iter().filter(|row| kernels.is_empty() || kernels.iter().any(|name| name == row.kernel)) {
        for &number in row.numbers {
            for &rank in row.ranks {
                let wanted = |n: &&usize| sizes.is_empty() || sizes.contains(n);
                let mut all = match row.work {
                    Work::Activation => vec![ELEMENTS],
                    Work::Reduced { .. } => DEGREES.to_vec(),
                    _ => SIZES.to_vec(),
                };
                if (row.kernel, number) == (REPLACED.0, Number::F32) {
                    all.push(REPLACED.1);
                }
                for &neurons in all.iter().filter(wanted) {
                    cases.push(row.case(neurons, rank, number)?);
                }
            }
        }
    }
    Ok(cases)
}

impl Case {
    /// All that distinguishes it, as messages say it.
    #[must_use]
    pub fn name(&self) -> String {
        let rank = if self.rank == 0 { String::new() } else { format!(", R = {}", self.rank) };
        format!("{}, n = {}{rank}, {}", self.kernel, self.neurons, self.number.name())
    }

    /// What is counted per: a step is divided by its multiply-adds, an activation by its elements, a reduced model by
    /// its coefficients.
    #[must_use]
    pub const fn operation(&self) -> &'static str {
        match self.work {
            Work::Step { .. } | Work::Product | Work::Learn(_) | Work::Watched { .. } => "multiply-add",
            Work::Activation => "element",
            Work::Reduced { .. } => "coefficient",
        }
    }

    /// Whether the bench image of a chip with little flash leaves it out.
    #[must_use]
    pub const fn rare(&self) -> bool {
        matches!(self.work, Work::Learn(_) | Work::Reduced { .. } | Work::Watched { .. })
    }

    /// Whether it needs a fused multiply-add.
    #[must_use]
    pub fn fused(&self) -> bool {
        self.number == Number::F32Fused
    }

    /// The bytes of the request, as `firmware/bench/src/lib.rs` reads them.
    #[must_use]
    pub fn request(&self) -> Vec<u8> {
        let kernel = match self.work {
            Work::Step { .. } => 1,
            Work::Activation => 2,
            Work::Product => 3,
            Work::Learn(_) => 4,
            Work::Reduced { .. } => 5,
            Work::Watched { .. } => 6,
        };
        [u32::from_le_bytes(*b"TFBN"), kernel, self.words.len() as u32]
            .iter()
            .chain(&self.words)
            .flat_map(|word| word.to_le_bytes())
            .collect()
    }
}

impl Row {
    fn case(&self, neurons: usize, rank: usize, number: Number) -> Result<Case> {
        let rng = &mut ChaCha8Rng::seed_from_u64((neurons + rank) as u64);
        let (model, memory, operations, words, expected);
        match (self.work, number) {
            (Work::Activation, _) => {
                let network = self.float(1, 1, number, 1.0, rng);
                let points = (0..ELEMENTS).map(|k| 16.0 * k as f32 / (ELEMENTS - 1) as f32 - 8.0);
                let points: Vec<f32> = points.collect();
                let phi = |&p: &f32| network.activation.cast().value(p, network.variant).to_bits();
                model = model::export::<f32>(&network)?;
                (memory, operations) = (ELEMENTS, ELEMENTS);
                expected = points.iter().map(phi).collect();
                words = points.into_iter().map(f32::to_bits).collect();
            }
            (Work::Product, Number::F32 | Number::F32Fused) => {
                let network = self.float(neurons, rank, number, 1.0, rng);
                let count = neurons;
                let hx: Vec<f32> = (0..count).map(|_| rng.random_range(-1.0_f64..1.0) as f32).collect();
                model = model::export::<f32>(&network)?;
                let mut p = vec![0.0; neurons];
                let (h, x) = hx.split_at(neurons);
                let view = model::read::<f32>(&model, self.kernel)?.view;
                view.pre_activations(h, x, &mut p).map_err(|error| model::refused(self.kernel, error))?;
                expected = p.into_iter().map(f32::to_bits).collect();
                words = hx.into_iter().map(f32::to_bits).collect();
                (memory, operations) = (neurons, neurons * count);
            }
            (Work::Product, _) => {
                let network = self.fixed(neurons, rank, number, 1.0, rng);
                let (count, bits) = (neurons, network.settings.rates.bits());
                let most = (1 << (bits - 1)) - 1;
                let rates: Vec<i32> = (0..count).map(|_| rng.random_range(-most..=most)).collect();
                model = network.export()?;
                expected =
                    fixed::product(&model, &rates, self.kernel)?.into_iter().map(|p| p as u32).collect();
                words = rates.into_iter().map(|rate| rate as u32).collect();
                (memory, operations) = (neurons + count.next_multiple_of(4), neurons * count);
            }
            (Work::Learn(learning), _) => {
                let network = self.float(neurons, rank, number, 1.0, rng);
                let shape = shape_of(&network);
                let count = STEPS * (shape.inputs + shape.outputs);
                let samples: Vec<f32> = (0..count).map(|_| rng.random_range(-1.0_f64..1.0) as f32).collect();
                model = model::export::<f32>(&network)?;
                expected = learning.answer(&model, &samples, self.kernel)?;
                words = std::iter::once(learning as u32).chain(samples.iter().map(|x| x.to_bits())).collect();
                (memory, operations) = (learning.memory(&shape), shape.multiply_adds());
            }
            (Work::Reduced { inputs, gain }, _) => {
                let reduced = Self::reduced([rank, inputs, neurons, gain.min(neurons)], number, rng);
                let samples: Vec<f32> =
                    (0..STEPS * inputs).map(|_| rng.random_range(-1.0_f64..1.0) as f32).collect();
                model = reduced.export::<f32>()?;
                expected = reduced_answer(&model, &samples, self.kernel)?;
                words = samples.iter().map(|x| x.to_bits()).collect();
                (memory, operations) = (reduced.shape.state_len(), reduced.shape.multiply_adds());
            }
            (Work::Watched { every, check }, _) => {
                let network = self.float(neurons, rank, number, 1.0, rng);
                let shape = monitor::Shape {
                    network: shape_of(&network),
                    dimensions: if rank == 0 { MANIFOLD } else { 0 },
                };
                model = model::export::<f32>(&network)?;
                let settings = monitors::Settings::of(neurons, rank);
                let scrub = settings.scrub(&shape.network, settings.round);
                let plan = monitor::Plan { every, check, scrub, readout: 0 };
                let mut parameters: Vec<f32> =
                    (0..shape.parameter_len()).map(|_| rng.random_range(-0.5_f64..0.5) as f32).collect();
                shape.inverses().for_each(|at| parameters[at] = parameters[at].abs());
                let samples: Vec<f32> = (0..STEPS * shape.network.inputs)
                    .map(|_| rng.random_range(-1.0_f64..1.0) as f32)
                    .collect();
                let refused = |error| model::refused(self.kernel, error);
                let watcher = Monitor::new(shape, plan, &parameters).map_err(refused)?;
                let mut bytes = vec![0; wire::monitor::length(&shape, Tag::F32)];
                wire::monitor::write(&watcher, 0, &mut bytes).map_err(refused)?;
                expected = watched_answer(&model, &watcher, &samples, self.kernel)?;
                let monitor = bytes.as_chunks().0.iter().map(|&word| u32::from_le_bytes(word));
                words = monitor.chain(samples.iter().map(|x| x.to_bits())).collect();
                memory = shape.network.state_len() + shape.memory_len();
                operations = shape.network.multiply_adds();
            }
            (Work::Step { leak }, Number::F32 | Number::F32Fused) => {
                let network = self.float(neurons, rank, number, leak, rng);
                let (shape, inputs) = (shape_of(&network), network.input.ncols());
                let samples: Vec<f32> =
                    (0..STEPS * inputs).map(|_| rng.random_range(-1.0_f64..1.0) as f32).collect();
                words = samples.iter().map(|x| x.to_bits()).collect();
                let case = crate::verify::Case::of_network(self.kernel, network, samples)?;
                let record = &Core.run(&[&case])?[0];
                let last = |words: &[u32]| words[words.len() - words.len() / STEPS..].to_vec();
                expected = [last(&record.outputs), last(&record.carried)].concat();
                (model, memory, operations) = (case.model, shape.state_len(), shape.multiply_adds());
            }
            (Work::Step { leak }, _) => {
                let network = self.fixed(neurons, rank, number, leak, rng);
                let raw: Vec<i32> =
                    (0..STEPS * network.shape.inputs).map(|_| rng.random_range(-ONE..ONE)).collect();
                model = network.export()?;
                let trace = fixed::run(&model, &raw, self.kernel)?;
                let last = |words: &[i32]| words[words.len() - words.len() / STEPS..].to_vec();
                let answer = [last(&trace.outputs), last(&trace.carried)].concat();
                expected = answer.into_iter().map(|word| word as u32).collect();
                words = raw.into_iter().map(|word| word as u32).collect();
                (memory, operations) = (network.state_words(), network.shape.multiply_adds());
            }
        }
        let Self { kernel, work, .. } = *self;
        let neurons = if matches!(work, Work::Activation) { ELEMENTS } else { neurons };
        Ok(Case { kernel, neurons, rank, number, operations, model, memory, expected, words, work })
    }

    fn reduced(sizes: [usize; 4], number: Number, rng: &mut ChaCha8Rng) -> Reduced {
        let [dimensions, inputs, degree, gain] = sizes;
        let shape =
            reduced::Shape { dimensions, inputs, outputs: dimensions, drift: degree, gain, output: degree };
        let mut numbers = |series: usize, degree: usize| -> Vec<f64> {
            (0..series * shape.terms(degree)).map(|_| rng.random_range(-0.02..0.02)).collect()
        };
        Reduced {
            shape,
            arithmetic: if number == Number::F32Fused { Arithmetic::Fused } else { Arithmetic::Separate },
            interval: vec![[-1.0, 2.0]; dimensions],
            initial: vec![0.25; dimensions],
            drift: numbers(dimensions, degree),
            gain: numbers(dimensions * inputs, gain),
            output: numbers(dimensions, degree),
            inputs: (0..inputs).map(|k| Channel::plain(format!("u{k}"))).collect(),
            outputs: (0..dimensions).map(|k| Channel::plain(format!("y{k}"))).collect(),
        }
    }

    /// Outputs and inputs of a network of this rank; a product alone is one of n × n.
    const fn channels(&self, rank: usize) -> (usize, usize) {
        let channels = if rank == 0 { CHANNELS } else { rank };
        (channels, if matches!(self.work, Work::Product) { 0 } else { channels })
    }

    fn float(&self, n: usize, rank: usize, number: Number, leak: f64, rng: &mut ChaCha8Rng) -> Network {
        // Sums of n products of numbers below 1 stay below 1.
        let mut matrix = |rows: usize, columns: usize| {
            Mat::from_fn(rows, columns, |_, _| rng.random_range(-0.5..0.5) / n as f64)
        };
        let (channels, inputs) = self.channels(rank);
        let recurrence = if rank == 0 {
            Recurrence::Dense(matrix(n, n))
        } else {
            Recurrence::LowRank { u: matrix(n, rank), v: matrix(n, rank) }
        };
        let mut network = Network::plain(self.phi, recurrence, matrix(n, inputs), matrix(channels, n));
        network.bias = (0..n).map(|i| alternating(i).into()).collect();
        network.alpha = leak;
        network.variant = self.variant;
        network.arithmetic =
            if number == Number::F32Fused { Arithmetic::Fused } else { Arithmetic::Separate };
        network
    }

    fn fixed(&self, n: usize, rank: usize, number: Number, leak: f64, rng: &mut ChaCha8Rng) -> FixedNetwork {
        let (channels, inputs) = self.channels(rank);
        let shape = Shape { neurons: n, rank, inputs, outputs: channels };
        let narrow = matches!(number, Number::I8 | Number::I8I16);
        // Rows of W sum to less than 2^16 of 16 bits, or 2^8 of 8: sums of 32 bits cannot overflow.
        let most = if narrow { 1.max(200 / n as i16) } else { 30_000 / n as i16 };
        let mut weights =
            |count: usize| -> Vec<i16> { (0..count).map(|_| rng.random_range(-most..=most)).collect() };
        let (first, second) =
            if rank == 0 { (weights(n * n), Vec::new()) } else { (weights(n * rank), weights(n * rank)) };
        let (input, readout) = (weights(n * inputs), weights(channels * n));
        let sums = rank + channels;
        let layers = if rank == 0 {
            Layers::Dense { w: first, output_scale: vec![ONE; channels], output_bias: vec![0; channels] }
        } else {
            let matrix = (0..sums * sums).map(|_| rng.random_range(-ONE..ONE)).collect();
            Layers::LowRank { u: first, v: second, matrix, shift: vec![31; sums], bias: vec![0; sums] }
        };
        let settings = Settings {
            rates: if number == Number::I8 && rank == 0 { Rates::I8 } else { Rates::I16 },
            accumulator: match number {
                Number::I16Wide => Accumulator::I64 { shift: 1 },
                _ => Accumulator::I32,
            },
            alpha: (leak * 31_f64.exp2()) as u32,
            ..Settings::new(match self.phi {
                Activation::Tanh => Activation::Tanh,
                _ => Activation::Relu,
            })
        };
        // A short scale, 16 of whose bits are zero, as the quantiser gives to dense rows.
        let scale = (0..n).map(|_| rng.random_range(ONE / 2..ONE) & !0xffff).collect();
        FixedNetwork {
            number: if narrow { Tag::I8 } else { Tag::I16 },
            shape,
            settings,
            layers,
            input,
            scale,
            bias: (0..n).map(|i| i32::from(alternating(i)) * ONE).collect(),
            readout,
            input_scaling: vec![Input { center: 0, multiplier: 1, shift: 0, unit: 1.0 }; inputs],
            output_units: vec![1.0; channels],
            initial: Vec::new(),
            carried_units: vec![1.0; shape.carried_len(settings.form, settings.leaky())],
            inputs: (0..inputs).map(|k| Channel::plain(format!("x{k}"))).collect(),
            outputs: (0..channels).map(|k| Channel::plain(format!("y{k}"))).collect(),
            task: None,
        }
    }
}

/// Outputs and z of the last step.
fn reduced_answer(model: &ModelBytes, samples: &[f32], place: &str) -> Result<Vec<u32>> {
    let refused = |error| model::refused(place, error);
    let view = wire::reduced::read::<f32>(model.bytes()).map_err(refused)?.view;
    let mut memory = vec![0.0; view.shape().state_len()];
    let mut state = view.state(&mut memory).map_err(refused)?;
    for u in samples.chunks_exact(view.shape().inputs.max(1)) {
        view.step(&mut state, u);
    }
    Ok(state.output().iter().chain(state.z()).map(|word| word.to_bits()).collect())
}

/// Outputs and verdict of the last step.
fn watched_answer(
    model: &ModelBytes,
    monitor: &Monitor<'_, f32>,
    samples: &[f32],
    place: &str,
) -> Result<Vec<u32>> {
    let view = model::read::<f32>(model, place)?.view;
    let mut last = Vec::new();
    monitors::watch(&view, monitor, samples, |verdict, outputs| {
        let found = [verdict.residual, verdict.distance, verdict.range];
        last = outputs.iter().chain(&found).map(|word| word.to_bits()).collect();
        true
    })?;
    Ok(last)
}

/// 1 of a pre-activation in fixed point, with the exponent of `Settings::new`.
const ONE: i32 = 1 << 28;

/// +1 and -1 in turn.
fn alternating(i: usize) -> i8 {
    if i.is_multiple_of(2) { 1 } else { -1 }
}
