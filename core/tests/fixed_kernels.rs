//! The kernels of fixed point against the table of `fixed`, computed again in 128 bits.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, RngSeed};
use tinyfold_core::fixed::pack::{Input, Matrices, Readout, pack};
use tinyfold_core::fixed::{Accumulator, Rates, Settings, Vector, View, Weight, dense, section_lens};
use tinyfold_core::pack::Weights;
use tinyfold_core::{Activation, Field, Form, Shape};

fn config(cases: u32) -> Config {
    Config {
        cases,
        rng_algorithm: RngAlgorithm::ChaCha,
        rng_seed: RngSeed::Fixed(3),
        failure_persistence: None,
        ..Config::default()
    }
}

/// The 32 low bits, as all sums of 32 bits wrap.
fn wrap(x: i128) -> i128 {
    i128::from(x as i32)
}

fn saturate(x: i128, bits: u32) -> i128 {
    let most = (1_i128 << (bits - 1)) - 1;
    x.clamp(-most - 1, most)
}

/// x / 2^shift, to the nearest, half up.
fn nearest(x: i128, shift: u32) -> i128 {
    (2 * x + (1 << shift)).div_euclid(2 << shift)
}

fn down(x: i128, shift: u32) -> i128 {
    x.div_euclid(1 << shift)
}

fn narrow(value: i128, shift: u32, kind: Rates) -> i128 {
    match kind {
        Rates::I16 => saturate(nearest(value, shift), 16),
        Rates::I8 => saturate(nearest(value, shift), 8).max(-127),
    }
}

/// Random numbers of so many bits, one in four of them as far from 0 as they go.
fn numbers(bits: u32, count: usize) -> impl Strategy<Value = Vec<i128>> {
    let most = (1_i128 << (bits - 1)) - 1;
    let number = prop_oneof![3 => -most - 1..=most, 1 => prop_oneof![Just(most), Just(-most - 1), Just(0)]];
    prop::collection::vec(number, count)
}

fn cut<T: TryFrom<i128>>(numbers: &[i128]) -> Vec<T> {
    numbers.iter().map(|&x| T::try_from(x).ok().expect("drawn with these bits")).collect()
}

#[derive(Clone, Debug)]
struct Case {
    shape: Shape,
    settings: Settings,
    /// W or U, V, B, C.
    weights: [Vec<i128>; 4],
    scale: Vec<i128>,
    bias: Vec<i128>,
    readout_scale: Vec<i128>,
    readout_bias: Vec<i128>,
    matrix: Vec<i128>,
    shift: Vec<i128>,
    center: Vec<i128>,
    multiplier: Vec<i128>,
    input_shift: Vec<i128>,
    initial: Vec<i128>,
    samples: Vec<Vec<i128>>,
}

fn settings(dense: bool, bits: u32) -> impl Strategy<Value = Settings> {
    let activation = prop_oneof![
        3 => Just(Activation::Relu),
        1 => Just(Activation::Linear),
        1 => Just(Activation::Clipped { lo: -(1 << 29), hi: 1 << 30 }),
    ];
    let accumulator =
        prop_oneof![Just(Accumulator::I32), (0_u8..32).prop_map(|shift| Accumulator::I64 { shift }),];
    let alpha = prop_oneof![Just(1_u32 << 31), 1_u32..=1 << 31];
    let rate_shift = prop_oneof![Just(16), Just(24), 0_u8..32];
    (any::<bool>(), any::<bool>(), activation, accumulator, alpha, rate_shift).prop_map(
        move |(current, narrow, activation, accumulator, alpha, rate_shift)| {
            let form = if current { Form::Current } else { Form::Rate };
            let rates = if dense && bits == 8 && narrow { Rates::I8 } else { Rates::I16 };
            let accumulator = if dense { accumulator } else { Accumulator::I32 };
            Settings { form, rates, accumulator, alpha, rate_shift, ..Settings::new(activation) }
        },
    )
}

fn case(bits: u32, shapes: impl Strategy<Value = Shape>) -> impl Strategy<Value = Case> {
    shapes.prop_flat_map(move |shape| (Just(shape), settings(shape.is_dense(), bits))).prop_flat_map(
        move |(shape, settings)| {
            let Shape { neurons: n, rank, inputs, outputs } = shape;
            let recurrent = if shape.is_dense() { n * n } else { n * rank };
            let sums = rank + outputs;
            let carried = shape.carried_len(settings.form, settings.leaky());
            let weights = (
                numbers(bits, recurrent),
                numbers(bits, n * rank),
                numbers(bits, n * inputs),
                numbers(bits, outputs * n),
            );
            let rows = (numbers(32, n), numbers(32, n), numbers(32, outputs), numbers(32, outputs));
            let shifts = |count| prop::collection::vec(0_i128..=62, count);
            let correction = (numbers(32, sums * sums), shifts(sums), numbers(32, sums));
            let scaling = (numbers(32, inputs), numbers(32, inputs), shifts(inputs));
            let runs = (numbers(32, carried), prop::collection::vec(numbers(32, inputs), 1..=4));
            (weights, rows, correction, scaling, runs).prop_map(
                move |((w, v, b, c), (scale, bias, out_scale, out_bias), correction, scaling, runs)| Case {
                    shape,
                    settings,
                    weights: [w, v, b, c],
                    scale,
                    bias,
                    readout_scale: out_scale,
                    readout_bias: if shape.is_dense() { out_bias } else { correction.2 },
                    matrix: correction.0,
                    shift: correction.1,
                    center: scaling.0,
                    multiplier: scaling.1,
                    input_shift: scaling.2,
                    initial: runs.0,
                    samples: runs.1,
                },
            )
        },
    )
}

/// Calls `test` with the packed network.
fn with_view<W: Weight + TryFrom<i128>, R>(case: &Case, test: impl FnOnce(View<'_, W>) -> R) -> R {
    let [w, v, b, c] = case.weights.each_ref().map(|weights| cut::<W>(weights));
    let [scale, bias, readout_scale, readout_bias, matrix, shift, initial] = [
        &case.scale,
        &case.bias,
        &case.readout_scale,
        &case.readout_bias,
        &case.matrix,
        &case.shift,
        &case.initial,
    ]
    .map(|numbers| cut::<i32>(numbers));
    let inputs: Vec<Input> = (0..case.shape.inputs)
        .map(|k| Input {
            center: case.center[k] as i32,
            multiplier: case.multiplier[k] as i32,
            shift: case.input_shift[k] as u8,
            unit: 1.0,
        })
        .collect();
    let dense = case.shape.is_dense();
    let matrices = Matrices {
        weights: if dense { Weights::Dense(&w) } else { Weights::LowRank { u: &w, v: &v } },
        input: &b,
        scale: &scale,
        bias: &bias,
        readout: if dense {
            Readout::Dense { weights: &c, scale: &readout_scale, bias: &readout_bias }
        } else {
            Readout::LowRank { weights: &c, matrix: &matrix, shift: &shift, bias: &readout_bias }
        },
        inputs: &inputs,
        output_units: &vec![1.0; case.shape.outputs],
        initial: &initial,
    };
    let lens = section_lens::<W>(&case.shape);
    let mut words = vec![0; lens.iter().sum()];
    pack(&case.shape, &matrices, &mut words).expect("sizes fit");
    let mut rest = words.as_slice();
    let sections = lens.map(|len| {
        let (section, after) = rest.split_at(len);
        rest = after;
        section
    });
    test(View::new(case.shape, case.settings, sections).expect("settings fit"))
}

/// The reference: carried words of the last step, to be stepped; gives the outputs.
struct Reference<'a> {
    case: &'a Case,
    /// 2^15 counts as 1 of weights of both sizes where they meet words of 32 bits.
    unit: i128,
    carried: Vec<i128>,
    sums: Vec<i128>,
}

impl<'a> Reference<'a> {
    fn new(case: &'a Case, bits: u32) -> Self {
        let carried = case.initial.clone();
        let mut reference = Self { case, unit: 1 << (16 - bits), carried, sums: Vec::new() };
        if !case.shape.is_dense() && case.settings.form == Form::Current {
            let (kappa, nu) = reference.carried.split_at(case.shape.rank);
            reference.sums = reference.pass(kappa, nu);
        }
        reference
    }

    fn activate(&self, p: i128) -> i128 {
        match self.case.settings.activation {
            Activation::Relu => p.max(0),
            Activation::Clipped { lo, hi } => p.clamp(lo.into(), hi.into()),
            _ => p,
        }
    }

    fn leak(&self, old: i128, new: i128) -> i128 {
        let alpha = i128::from(self.case.settings.alpha);
        saturate(nearest(((1 << 31) - alpha) * old + alpha * new, 31), 32)
    }

    /// p of rows of weights and the rates they meet.
    fn row(&self, terms: impl Iterator<Item = (i128, i128)>, scale: i128, bias: i128) -> i128 {
        let Settings { rates, accumulator, .. } = self.case.settings;
        let sum: i128 = terms.map(|(w, h)| w * h).sum::<i128>() * if rates == Rates::I8 { 256 } else { 1 };
        let acc = match accumulator {
            Accumulator::I32 => wrap(sum),
            Accumulator::I64 { shift } => wrap(down(sum, shift.into())),
        };
        wrap(bias + down(acc * scale, 32))
    }

    fn dense_step(&mut self, x: &[i128]) -> Vec<i128> {
        let Shape { neurons: n, inputs, outputs, .. } = self.case.shape;
        let Settings { form, rates: kind, rate_shift, .. } = self.case.settings;
        let [w, _, b, c] = &self.case.weights;
        let phi = |word: i128| if form == Form::Rate { word } else { self.activate(word) };
        let rates = |carried: &[i128]| -> Vec<i128> {
            carried.iter().map(|&word| narrow(phi(word), rate_shift.into(), kind)).collect()
        };
        let h = rates(&self.carried);
        let x: Vec<i128> = x.iter().map(|&x| narrow(x, 32 - kind.bits(), kind)).collect();
        let new: Vec<i128> = (0..n)
            .map(|i| {
                let recurrent = (0..n).map(|j| (w[i * n + j], h[j]));
                let input = (0..inputs).map(|k| (b[i * inputs + k], x[k]));
                let p = self.row(recurrent.chain(input), self.case.scale[i], self.case.bias[i]);
                let new = if form == Form::Rate { self.activate(p) } else { p };
                self.leak(self.carried[i], new)
            })
            .collect();
        let h = rates(&new);
        self.carried = new;
        (0..outputs)
            .map(|o| {
                let terms = (0..n).map(|j| (c[o * n + j], h[j]));
                self.row(terms, self.case.readout_scale[o], self.case.readout_bias[o])
            })
            .collect()
    }

    /// [V | C]ᵀ phi(b + r (U z + B x)).
    fn pass(&self, z: &[i128], x: &[i128]) -> Vec<i128> {
        let Shape { neurons, rank, inputs, outputs } = self.case.shape;
        let [u, v, b, c] = &self.case.weights;
        let mulw = |a: i128, w: i128| down(a * w * self.unit, 16);
        let mut sums = vec![0; rank + outputs];
        for i in 0..neurons {
            let latent = (0..rank).map(|j| mulw(z[j], u[i * rank + j]));
            let input = (0..inputs).map(|k| mulw(x[k], b[i * inputs + k]));
            let acc = wrap(latent.chain(input).sum());
            let phi = self.activate(wrap(self.case.bias[i] + down(acc * self.case.scale[i], 32)));
            for j in 0..rank {
                sums[j] = wrap(sums[j] + mulw(phi, v[i * rank + j]));
            }
            for o in 0..outputs {
                sums[rank + o] = wrap(sums[rank + o] + mulw(phi, c[o * neurons + i]));
            }
        }
        sums
    }

    fn correct(&self, j: usize) -> i128 {
        let Case { matrix, shift, readout_bias, .. } = self.case;
        let total: i128 = self.sums.iter().zip(&matrix[j * self.sums.len()..]).map(|(s, m)| s * m).sum();
        // Totals have 64 bits, which three products of 2^62 can leave.
        let total = i128::from(total as i64);
        saturate(nearest(total, shift[j] as u32) + readout_bias[j], 32)
    }

    fn latent_step(&mut self, x: &[i128]) -> Vec<i128> {
        let Shape { rank, outputs, .. } = self.case.shape;
        let Settings { form, .. } = self.case.settings;
        let carry = |this: &Self, count: usize| -> Vec<i128> {
            (0..count).map(|j| this.leak(this.carried[j], this.correct(j))).collect()
        };
        match form {
            Form::Rate => {
                self.sums = self.pass(&self.carried[..rank], x);
                let new = carry(self, self.carried.len());
                let y = (0..outputs)
                    .map(|o| if new.len() > rank { new[rank + o] } else { self.correct(rank + o) })
                    .collect();
                self.carried = new;
                y
            }
            Form::Current => {
                let mut new = carry(self, rank);
                new.extend(x.iter().zip(&self.carried[rank..]).map(|(&x, &nu)| self.leak(nu, x)));
                self.carried = new;
                let (kappa, nu) = self.carried.split_at(rank);
                self.sums = self.pass(kappa, nu);
                (0..outputs).map(|o| self.correct(rank + o)).collect()
            }
        }
    }

    fn step(&mut self, raw: &[i128]) -> Vec<i128> {
        let Case { center, multiplier, input_shift, .. } = self.case;
        let x: Vec<i128> = raw
            .iter()
            .enumerate()
            .map(|(k, raw)| {
                saturate(nearest(saturate(raw - center[k], 32) * multiplier[k], input_shift[k] as u32), 32)
            })
            .collect();
        if self.case.shape.is_dense() { self.dense_step(&x) } else { self.latent_step(&x) }
    }
}

fn steps_equal_the_table<W: Weight + TryFrom<i128>>(case: &Case, bits: u32) {
    with_view::<W, _>(case, |view| {
        let mut memory = vec![0; view.state_len()];
        let mut state = view.state(&mut memory).expect("memory is long enough");
        let mut reference = Reference::new(case, bits);
        for sample in &case.samples {
            view.step(&mut state, &cut::<i32>(sample));
            let y = reference.step(sample);
            assert_eq!(state.carried(), cut::<i32>(&reference.carried));
            assert_eq!(state.output(), cut::<i32>(&y));
        }
    });
}

fn dense_shapes() -> impl Strategy<Value = Shape> {
    (1_usize..=21, 0_usize..=5, 1_usize..=6).prop_map(|(neurons, inputs, outputs)| Shape {
        neurons,
        rank: 0,
        inputs,
        outputs,
    })
}

fn low_rank_shapes() -> impl Strategy<Value = Shape> {
    let equal = (1_usize..=13, 1_usize..=3).prop_map(|(neurons, d)| Shape {
        neurons,
        rank: d,
        inputs: d,
        outputs: d,
    });
    let any = (1_usize..=13, 1_usize..=4, 0_usize..=4, 1_usize..=4)
        .prop_map(|(neurons, rank, inputs, outputs)| Shape { neurons, rank, inputs, outputs });
    prop_oneof![equal, any]
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn a_dense_step_of_i16_weights_is_the_table(case in case(16, dense_shapes())) {
        steps_equal_the_table::<i16>(&case, 16);
    }

    #[test]
    fn a_dense_step_of_i8_weights_is_the_table(case in case(8, dense_shapes())) {
        steps_equal_the_table::<i8>(&case, 8);
    }

    #[test]
    fn a_low_rank_step_of_i16_weights_is_the_table(case in case(16, low_rank_shapes())) {
        steps_equal_the_table::<i16>(&case, 16);
    }

    #[test]
    fn a_low_rank_step_of_i8_weights_is_the_table(case in case(8, low_rank_shapes())) {
        steps_equal_the_table::<i8>(&case, 8);
    }

    #[test]
    fn packed_weights_are_read_back(case in case(8, dense_shapes())) {
        with_view::<i8, _>(&case, |view| {
            let Shape { neurons: n, inputs, outputs, .. } = case.shape;
            let [w, _, b, c] = &case.weights;
            for i in 0..n {
                let row = w[i * n..][..n].iter().chain(&b[i * inputs..][..inputs]);
                for (j, &weight) in row.enumerate() {
                    assert_eq!(view.entry(i, j).map(i128::from), Some(weight));
                }
                assert_eq!(view.entry(i, n + inputs), None);
                let pair = [case.scale[i], case.bias[i]];
                assert_eq!(view.scale_and_bias(i).map(|pair| pair.map(i128::from)), Some(pair));
            }
            for o in 0..outputs {
                for j in 0..n {
                    assert_eq!(view.readout_entry(o, j).map(i128::from), Some(c[o * n + j]));
                }
                let pair = [case.readout_scale[o], case.readout_bias[o]];
                assert_eq!(view.readout_scale_and_bias(o).map(|pair| pair.map(i128::from)), Some(pair));
            }
        });
    }
}

/// Sums that 32 bits cannot hold, on both sides of the number of columns up to which a kernel may use them.
#[test]
fn sums_of_64_bits_hold_what_32_do_not() {
    for (neurons, inputs) in [(4, 504), (4, 507), (4, 508), (4, 700)] {
        let shape = Shape { neurons, rank: 0, inputs, outputs: 1 };
        let accumulator = Accumulator::I64 { shift: 9 };
        let settings = Settings { accumulator, ..Settings::new(Activation::Linear) };
        let case = Case {
            shape,
            settings,
            weights: [vec![-128; 16], Vec::new(), vec![-128; 4 * inputs], vec![1; 4]],
            scale: vec![i32::MAX.into(); 4],
            bias: vec![0; 4],
            readout_scale: vec![1],
            readout_bias: vec![0],
            matrix: Vec::new(),
            shift: Vec::new(),
            center: vec![0; inputs],
            multiplier: vec![1; inputs],
            input_shift: vec![0; inputs],
            initial: vec![i32::MIN.into(); 4],
            samples: vec![vec![i32::MIN.into(); inputs]],
        };
        steps_equal_the_table::<i8>(&case, 8);
    }
}

/// A product alone: 2 rows of 3 columns, W = [[1, -2, 3], [-4, 5, -6]], h = [1000, 2000, -3000].
#[test]
fn a_product_alone() {
    let words = |low: i16, high: i16| i32::from(low) & 0xffff | i32::from(high) << 16;
    let columns = [words(1, -2), words(-4, 5), 0, 0, words(3, 0), words(-6, 0), 0, 0];
    let panel: Vec<i32> = columns.into_iter().chain([1 << 30, i32::MIN, 0, 0, 7, -7, 0, 0]).collect();
    let mut memory = vec![0; Vector::words(3)];
    let mut p = [0; 2];
    let product = |memory: &mut [i32], p: &mut [i32]| {
        let mut vector = Vector::new(Rates::I16, memory);
        vector.fill(0, 0, [1000, 2000, -3000]);
        dense::<i16>(&panel, 3, vector, Accumulator::I32, p)
    };
    product(&mut memory, &mut p).expect("lengths fit");
    assert_eq!(p, [-12_000 / 4 + 7, 24_000 / -2 - 7]);
    let refused = |result: Result<(), tinyfold_core::Error>| result.expect_err("a length is wrong").field;
    assert_eq!(refused(product(&mut memory, &mut [0; 5])), Field::Layer);
    assert_eq!(refused(product(&mut memory[..2], &mut p)), Field::State);
    let vector = Vector::new(Rates::I8, &mut memory);
    assert_eq!(refused(dense::<i16>(&panel, 3, vector, Accumulator::I32, &mut p)), Field::Variant);
}
