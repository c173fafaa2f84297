//! Fixed point: the table of operations, activations against f64, bytes, refusals.

use proptest::prelude::*;
use tinyfold_core::fixed::pack::{Input, Matrices, Readout, pack};
use tinyfold_core::fixed::{
    Accumulator, Rates, Settings, View, Weight, leak, mulh, mulw, round_shift, saturate, section_lens,
};
use tinyfold_core::pack::Weights;
use tinyfold_core::{Activation, Expected, Field, Form, Number, Shape, wire};

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: proptest::test_runner::RngSeed::Fixed(3),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_operation_is_what_the_table_says(a in any::<i32>(), b in any::<i32>(), w in any::<i16>(), wide in any::<i64>(), shift in 0_u32..62) {
        prop_assert_eq!(i128::from(mulw(a, w.into())), (i128::from(a) * i128::from(w)).div_euclid(1 << 16));
        prop_assert_eq!(i128::from(mulh(a, b)), (i128::from(a) * i128::from(b)).div_euclid(1 << 32));
        let clamp = |x: i128| x.clamp(i32::MIN.into(), i32::MAX.into());
        prop_assert_eq!(i128::from(saturate(wide)), clamp(wide.into()));
        let narrow = wide >> 2;
        let rounded = (2 * i128::from(narrow) + (1 << shift)).div_euclid(1 << (shift + 1));
        prop_assert_eq!(i128::from(round_shift(narrow, shift)), clamp(rounded));
        let alpha = a.unsigned_abs().clamp(1, 1 << 31);
        let keep = (1_u32 << 31) - alpha;
        let exact = i128::from(keep) * i128::from(a) + i128::from(alpha) * i128::from(b);
        prop_assert_eq!(i128::from(leak(keep, alpha, a, b)), clamp((exact + (1 << 30)).div_euclid(1 << 31)));
        prop_assert_eq!((i32::from(w), i32::from(w as i8) * 256), (w.wide(), (w as i8).wide()));
    }
}

/// One neuron without recurrence whose pre-activation is the input: the output is phi in its own units.
struct Probe {
    shape: Shape,
    settings: Settings,
    words: Vec<i32>,
}

impl Probe {
    fn new(activation: Activation<i32>, exponent: u8) -> Self {
        let shape = Shape { neurons: 1, rank: 1, inputs: 1, outputs: 1 };
        let settings = Settings { exponent, ..Settings::new(activation) };
        let matrices = Matrices::<i16> {
            weights: Weights::LowRank { u: &[0], v: &[0] },
            // mulw by 2^14, then mulh by 2^30: x 2^-4. The sum is phi 2^-2, and the correction gives 2^2.
            input: &[1 << 14],
            scale: &[1 << 30],
            bias: &[0],
            readout: Readout::LowRank {
                weights: &[1 << 14],
                matrix: &[0, 0, 0, 1 << 20],
                shift: &[0, 18],
                bias: &[0, 0],
            },
            inputs: &[Input { center: 0, multiplier: 1, shift: 0, unit: 1.0 }],
            output_units: &[1.0],
            initial: &[],
        };
        let mut words = vec![0; section_lens::<i16>(&shape).iter().sum()];
        pack(&shape, &matrices, &mut words).expect("sizes fit");
        Self { shape, settings, words }
    }

    fn view(&self) -> View<'_, i16> {
        View::new(self.shape, self.settings, sections(&self.shape, &self.words)).expect("good settings")
    }

    /// (p, phi) for a grid of inputs, in units.
    fn values(&self) -> Vec<(i32, i32)> {
        let (view, mut memory) = (self.view(), [0; 16]);
        let mut state = view.state(&mut memory).expect("room");
        (-20_000..20_000_i32)
            .map(|k| {
                let x = k * 107_374;
                view.step(&mut state, &[x]);
                (mulh(mulw(x, 1 << 14), 1 << 30), state.output()[0])
            })
            .collect()
    }
}

fn sections<'a>(shape: &Shape, words: &'a [i32]) -> [&'a [i32]; 4] {
    let mut rest = words;
    section_lens::<i16>(shape).map(|length| {
        let (section, after) = rest.split_at(length);
        rest = after;
        section
    })
}

#[test]
fn tables_err_by_less_than_4e_5_and_stay_in_range() {
    let exponent = 24;
    let unit = |value: i32, exponent: i32| f64::from(value) * f64::from(-exponent).exp2();
    let mut worst: f64 = 0.0;
    for (p, phi) in Probe::new(Activation::Tanh, exponent).values() {
        let phi = unit(phi, 30);
        worst = worst.max((phi - unit(p, 24).tanh()).abs());
        assert!(phi.abs() <= 1.0 && (p == 0 || phi.signum() == f64::from(p).signum()));
    }
    println!("tanh: {worst:.1e}");
    assert!(worst > 1e-6 && worst < 4e-5, "{worst}");

    // Slope 3: half of it in units of 2^(24 - 44); threshold 0.5.
    let slope = (1.5 * 20.0_f64.exp2()) as i32;
    let sigmoid = Activation::Sigmoid { slope, threshold: 1 << 23 };
    let mut worst: f64 = 0.0;
    for (p, phi) in Probe::new(sigmoid, exponent).values() {
        let phi = unit(phi, 30);
        worst = worst.max((phi - 1.0 / (1.0 + (-3.0 * (unit(p, 24) - 0.5)).exp())).abs());
        assert!((0.0..=1.0).contains(&phi));
    }
    println!("sigmoid: {worst:.1e}");
    assert!(worst > 1e-6 && worst < 2e-5, "{worst}");
}

#[test]
fn piecewise_linear_activations_are_exact() {
    let up_to = |p: i32, phi: i32| (i64::from(p) - i64::from(phi)).abs() <= 4;
    let check = |activation, expected: &dyn Fn(i32) -> i32| {
        for (p, phi) in Probe::new(activation, 24).values() {
            // The probe's own products lose 2 bits.
            assert!(up_to(expected(p), phi), "{activation:?}: phi({p}) = {phi}");
        }
    };
    check(Activation::Linear, &|p| p);
    check(Activation::Relu, &|p| p.max(0));
    check(Activation::Clipped { lo: -1000, hi: 5_000_000 }, &|p| p.clamp(-1000, 5_000_000));
}

#[test]
fn a_sample_that_is_not_supplied_holds_the_last_one() {
    let probe = Probe::new(Activation::Linear, 24);
    let (view, mut memory) = (probe.view(), [0; 16]);
    let mut state = view.state(&mut memory).expect("room");
    assert_eq!(view.step(&mut state, &[1 << 20]).held, 0);
    let before = state.output()[0];
    assert_eq!(view.step(&mut state, &[]).held, 1);
    assert_eq!((state.output()[0], state.input(), state.held()), (before, &[1 << 20][..], 1));
    view.reset(&mut state);
    assert_eq!((state.output(), state.held()), (&[0][..], 0));
}

/// Aligned bytes of a dense model with 8-bit weights and rates.
fn file() -> Vec<u128> {
    let shape = Shape { neurons: 3, rank: 0, inputs: 1, outputs: 2 };
    let settings = Settings {
        form: Form::Current,
        rates: Rates::I8,
        rate_shift: 20,
        accumulator: Accumulator::I64 { shift: 3 },
        exponent: 22,
        alpha: 1 << 29,
        ..Settings::new(Activation::Clipped { lo: -7, hi: 9 })
    };
    let matrices = Matrices::<i8> {
        weights: Weights::Dense(&[1, -2, 3, -4, 5, -6, 7, -8, 9]),
        input: &[10, -11, 12],
        scale: &[13, 14, 15],
        bias: &[16, 17, 18],
        readout: Readout::Dense { weights: &[19, -20, 21, -22, 23, -24], scale: &[25, 26], bias: &[27, 28] },
        inputs: &[Input { center: 29, multiplier: 30, shift: 31, unit: 0.5 }],
        output_units: &[0.25, 0.125],
        initial: &[32, 33],
    };
    let lens = section_lens::<i8>(&shape);
    let mut words = vec![0; lens.iter().sum()];
    pack(&shape, &matrices, &mut words).expect("sizes fit");
    let mut rest = &words[..];
    let sections = lens.map(|length| {
        let (section, after) = rest.split_at(length);
        rest = after;
        section
    });
    let view = View::<i8>::new(shape, settings, sections).expect("good settings");
    let length = wire::fixed::length::<i8>(&shape, "three neurons");
    let mut file = vec![0_u128; length.div_ceil(16)];
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut file);
    assert_eq!(wire::fixed::write(&view, "three neurons", bytes), Ok(length));
    file
}

#[test]
fn bytes_round_trip_and_entries_are_found() {
    let file = file();
    let bytes: &[u8] = bytemuck::cast_slice(&file);
    assert_eq!(wire::number(bytes), Ok(Number::I8));
    let model = wire::fixed::read_prefix::<i8>(bytes).expect("just written");
    let view = model.view;
    assert_eq!(model.metadata, "three neurons");
    assert_eq!((view.entry(1, 2), view.entry(2, 3), view.entry(3, 0)), (Some(-6), Some(12), None));
    assert_eq!((view.scale_and_bias(2), view.readout_scale_and_bias(1)), (Some([15, 18]), Some([26, 28])));
    assert_eq!((view.readout_entry(1, 2), view.readout_entry(2, 0)), (Some(-24), None));
    assert_eq!(view.input_scaling(), [[29, 30, 31, 0.5_f32.to_bits() as i32]]);
    assert_eq!(view.output_units().collect::<Vec<f32>>(), [0.25, 0.125]);
    assert_eq!((view.sections()[3], view.record(0, 0), view.correction(0)), (&[32, 33, 0][..], None, None));
    let settings = view.settings();
    assert_eq!(
        (settings.rates, settings.rate_shift, settings.exponent, settings.alpha),
        (Rates::I8, 20, 22, 1 << 29)
    );
    assert_eq!(settings.accumulator, Accumulator::I64 { shift: 3 });
    assert_eq!((settings.form, settings.activation), (Form::Current, Activation::Clipped { lo: -7, hi: 9 }));
    let mut again = vec![0_u8; model.length];
    assert_eq!(wire::fixed::write(&view, model.metadata, &mut again), Ok(model.length));
    assert_eq!(again, bytes[..model.length]);
}

#[test]
fn every_truncation_and_every_flipped_bit_is_refused() {
    let mut file = file();
    let length = wire::fixed::read_prefix::<i8>(bytemuck::cast_slice(&file)).expect("good").length;
    for cut in 0..length {
        assert!(wire::fixed::read_prefix::<i8>(&bytemuck::cast_slice(&file)[..cut]).is_err(), "cut to {cut}");
    }
    for bit in 0..8 * length {
        file[bit / 128] ^= 1 << (bit % 128);
        assert!(wire::fixed::read_prefix::<i8>(bytemuck::cast_slice(&file)).is_err(), "bit {bit}");
        file[bit / 128] ^= 1 << (bit % 128);
    }
    let other = wire::fixed::read_prefix::<i16>(bytemuck::cast_slice(&file)).err().map(|error| error.field);
    assert_eq!(other, Some(Field::Number));
}

#[test]
fn settings_out_of_range_are_refused() {
    let probe = Probe::new(Activation::Linear, 24);
    let good = probe.settings;
    let refused = |settings: Settings| {
        View::<i16>::new(probe.shape, settings, sections(&probe.shape, &probe.words)).err().map(|e| e.field)
    };
    assert_eq!(refused(good), None);
    assert_eq!(refused(Settings { alpha: 0, ..good }), Some(Field::Leak));
    assert_eq!(refused(Settings { alpha: (1 << 31) + 1, ..good }), Some(Field::Leak));
    assert_eq!(refused(Settings { exponent: 29, ..good }), Some(Field::ActivationParameters));
    let crossed = Activation::Clipped { lo: 1, hi: 0 };
    assert_eq!(refused(Settings { activation: crossed, ..good }), Some(Field::ActivationParameters));
    assert_eq!(refused(Settings { rates: Rates::I8, ..good }), Some(Field::Arithmetic));
    assert_eq!(
        refused(Settings { accumulator: Accumulator::I64 { shift: 0 }, ..good }),
        Some(Field::Arithmetic)
    );
    assert_eq!(refused(Settings { rate_shift: 32, ..good }), Some(Field::Arithmetic));

    // The shift of the correction and that of the input.
    let [layer, readout, ..] = section_lens::<i16>(&probe.shape);
    for (place, field) in [(layer + 2, Field::Readout), (layer + readout + 2, Field::Scaling)] {
        let mut words = probe.words.clone();
        words[place] = 63;
        let error = View::<i16>::new(probe.shape, good, sections(&probe.shape, &words)).err();
        assert_eq!(
            error.map(|error| (error.field, error.expected)),
            Some((field, Expected::Finite)),
            "word {place}"
        );
    }
    let mut short = [0; 2];
    let error = probe.view().state(&mut short).err();
    assert_eq!(error.map(|error| error.expected), Some(Expected::AtLeast(7)));
}
