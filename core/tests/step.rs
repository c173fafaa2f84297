//! What a step promises besides its equation: held inputs, resets, rounding order, NaN, statics.

mod common;

use common::case;
use proptest::prelude::*;
use tinyfold_core::pack::{Matrices, Weights, pack};
use tinyfold_core::{
    Activation, Arithmetic, Error, Expected, Field, Network, Scalar, Settings, Shape, Status, Variant, View,
};

/// y = x₀ + 10 x₁ through two linear neurons.
const PASS: Shape = Shape { neurons: 2, rank: 1, inputs: 2, outputs: 1 };

fn pass_words() -> Vec<f32> {
    let mut words = vec![0.0; PASS.parameter_len()];
    let matrices = Matrices {
        weights: Weights::LowRank { u: &[0.0; 2], v: &[0.0; 2] },
        input: &[1.0, 0.0, 0.0, 1.0],
        bias: &[0.0; 2],
        readout: &[1.0, 10.0],
        output_bias: &[0.0],
        scaling: &[[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]],
        initial: &[],
    };
    pack(&PASS, &matrices, &mut words).expect("sizes fit");
    words
}

#[test]
fn a_sample_that_is_not_finite_holds_the_last_good_one_and_is_counted() {
    let words = pass_words();
    let view = View::from_words(PASS, Settings::new(Activation::Linear), &words).expect("valid");
    let mut memory = vec![0.0; PASS.state_len()];
    let mut state = view.state(&mut memory).expect("long enough");
    for (sample, held, output) in [
        (&[f32::NAN, 2.0][..], 1, 20.0),
        (&[1.0, 3.0], 0, 31.0),
        (&[f32::INFINITY, f32::NEG_INFINITY], 2, 31.0),
        (&[5.0], 1, 35.0),
        (&[], 2, 35.0),
        (&[1.0, 1.0, f32::NAN], 0, 11.0),
    ] {
        assert_eq!(view.step(&mut state, sample), Status { held }, "{sample:?}");
        assert_eq!(state.output(), [output], "{sample:?}");
    }
    assert_eq!(state.held(), 6);
    view.reset(&mut state);
    assert_eq!((state.held(), state.output(), state.input()), (0, &[0.0][..], &[0.0, 0.0][..]));
}

#[test]
fn a_finite_sample_that_overflows_in_scaling_is_held_too() {
    let mut words = pass_words();
    let gain = PASS.layer_len() + PASS.readout_len() + 1;
    words[gain] = 10.0;
    let view = View::from_words(PASS, Settings::new(Activation::Linear), &words).expect("valid");
    let mut memory = vec![0.0; PASS.state_len()];
    let mut state = view.state(&mut memory).expect("long enough");
    assert_eq!(view.step(&mut state, &[f32::MAX, 1.0]).held, 1);
    assert_eq!(state.output(), [10.0]);
}

/// p = 0 + 1·a + (-1)·a' where the products are exact only when fused.
#[test]
fn separate_and_fused_round_as_named() {
    let x = 1.0 + f32::EPSILON;
    let product = x * x;
    let exact = f64::from(x) * f64::from(x) - f64::from(product);
    assert!(exact != 0.0, "the square must not be representable");
    let shape = Shape { neurons: 1, rank: 0, inputs: 1, outputs: 1 };
    let mut words = vec![0.0_f32; shape.parameter_len()];
    let matrices = Matrices {
        weights: Weights::Dense(&[0.0]),
        input: &[x],
        bias: &[-product],
        readout: &[1.0],
        output_bias: &[0.0],
        scaling: &[[0.0, 1.0]; 2],
        initial: &[],
    };
    pack(&shape, &matrices, &mut words).expect("sizes fit");
    for (arithmetic, expected) in [(Arithmetic::Separate, 0.0), (Arithmetic::Fused, exact as f32)] {
        let settings = Settings { arithmetic, ..Settings::new(Activation::Linear) };
        let view = View::from_words(shape, settings, &words).expect("valid");
        let mut memory = vec![0.0; shape.state_len()];
        let mut state = view.state(&mut memory).expect("long enough");
        view.step(&mut state, &[x]);
        assert_eq!(state.output(), [expected], "{arithmetic:?}");
    }
}

#[test]
fn relu_is_defined_on_every_kind_of_number() {
    let nan = f32::from_bits(0xffc0_0000);
    for (p, expected) in [
        (1.5_f32, 1.5_f32),
        (0.0, 0.0),
        (-0.0, 0.0),
        (-1.0, 0.0),
        (-f32::from_bits(1), 0.0),
        (f32::from_bits(1), f32::from_bits(1)),
        (f32::INFINITY, f32::INFINITY),
        (f32::NEG_INFINITY, 0.0),
    ] {
        assert_eq!(p.relu().to_bits(), expected.to_bits(), "{p:?}");
        assert_eq!(f64::from(p).relu().to_bits(), f64::from(expected).to_bits(), "{p:?} in f64");
    }
    assert!(nan.relu().is_nan() && f32::NAN.relu().is_nan() && (-f64::NAN).relu().is_nan());
}

/// Clipping compares bits: the order of numbers, with −0 below +0, and NaN outside of it.
#[test]
fn clipped_relu_is_defined_on_every_kind_of_number() {
    let (tiny, most) = (f32::from_bits(1), f32::MAX);
    let numbers =
        [f32::NEG_INFINITY, -most, -1.5, -1.0, -tiny, -0.0, 0.0, tiny, 1.0, 1.5, most, f32::INFINITY];
    let finite = &numbers[1..numbers.len() - 1];
    for (i, &lo) in finite.iter().enumerate() {
        for &hi in &finite[i..] {
            for p in numbers {
                let expected = if p.total_cmp(&lo).is_lt() { lo } else { p };
                let expected = if expected.total_cmp(&hi).is_gt() { hi } else { expected };
                assert_eq!(p.clipped(lo, hi).to_bits(), expected.to_bits(), "{p:e} in [{lo:e}, {hi:e}]");
                let (p, lo, hi) = (f64::from(p), f64::from(lo), f64::from(hi));
                assert_eq!(p.clipped(lo, hi).to_bits(), f64::from(expected).to_bits(), "{p:e} in f64");
            }
            for nan in [0x7f80_0001, 0x7fc0_0000, 0x7fff_ffff, 0xff80_0001, 0xffc0_0000, 0xffff_ffff] {
                assert!(f32::from_bits(nan).clipped(lo, hi).is_nan(), "{nan:x} in [{lo:e}, {hi:e}]");
                assert!(f64::from(f32::from_bits(nan)).clipped(lo.into(), hi.into()).is_nan());
            }
        }
    }
}

#[test]
fn the_derivative_is_one_on_the_closed_interval() {
    let clipped = Activation::Clipped { lo: -1.0, hi: 2.0 };
    for (activation, p, expected) in [
        (Activation::Relu, 0.0, 1.0),
        (Activation::Relu, -1e-300, 0.0),
        (clipped, -1.0, 1.0),
        (clipped, 2.0, 1.0),
        (clipped, 2.1, 0.0),
        (Activation::Linear, -3.0, 1.0),
        (Activation::Tanh, 0.0, 1.0),
        (Activation::Sigmoid { slope: 4.0, threshold: 1.0 }, 1.0, 1.0),
    ] {
        assert_eq!(activation.derivative(p, Variant::Libm), expected, "{activation:?} at {p}");
    }
}

/// The error of the micromath variant over [-8, 8], as its documentation states it.
#[test]
fn micromath_errs_by_less_than_three_thousandths() {
    let mut worst = [0.0_f64; 2];
    for k in -8000..=8000 {
        let x = f64::from(k) / 1000.0;
        worst[0] = worst[0].max((f64::from(Scalar::tanh(x as f32, Variant::Micromath)) - x.tanh()).abs());
        let sigmoid = Activation::Sigmoid { slope: 1.0, threshold: 0.0 };
        let found = f64::from(sigmoid.value(x as f32, Variant::Micromath));
        worst[1] = worst[1].max((found - 1.0 / (1.0 + (-x).exp())).abs());
    }
    assert!(worst.iter().all(|&worst| worst < 3e-3), "{worst:?}");
    assert!(worst.iter().all(|&worst| worst > 1e-5), "the fast variant is not libm's: {worst:?}");
    for extreme in [-1e30_f32, -200.0, 200.0, 1e30] {
        assert!((Scalar::tanh(extreme, Variant::Micromath) - extreme.signum()).abs() < 3e-3, "{extreme}");
    }
}

#[test]
fn state_memory_is_asked_for_in_words() {
    let words = pass_words();
    let view = View::from_words(PASS, Settings::new(Activation::Linear), &words).expect("valid");
    let need = PASS.state_len();
    let error = view.state(&mut vec![0.0; need - 1]).err();
    let expected = Expected::AtLeast(need as u64);
    assert_eq!(error, Some(Error { field: Field::State, expected, found: need as u64 - 1 }));
}

/// Flash: the parameters of a typed network are a `static`.
static TYPED: Network<f32, 2, 1, 2, 1, 22> = Network::new(
    Settings::new(Activation::Linear),
    [
        0.0, 0.0, 1.0, 0.0, 0.0, 1.0, //
        0.0, 0.0, 0.0, 1.0, 0.0, 10.0, //
        0.0,  //
        0.0, 1.0, 0.0, 1.0, 0.0, 1.0, //
        0.0, 0.0, 0.0,
    ],
);

#[test]
fn a_typed_network_lends_the_same_view() {
    assert_eq!(TYPED.validate(), Ok(()));
    let words = pass_words();
    let view = View::from_words(PASS, Settings::new(Activation::Linear), &words).expect("valid");
    let run = |view: View<'_, f32>| {
        let mut memory = [0.0; Network::<f32, 2, 1, 2, 1, 22>::STATE_LEN];
        let mut state = view.state(&mut memory).expect("long enough");
        view.step(&mut state, &[1.25, -3.0]);
        state.output().to_vec()
    };
    assert_eq!(run(TYPED.view()), run(view));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        rng_seed: proptest::test_runner::RngSeed::Fixed(3),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// A reset state is a new state: what was carried leaves no trace.
    #[test]
    fn reset_forgets(case in case()) {
        case.with_view::<f32, _>(|view| {
            let (mut used, mut fresh) = (vec![7.0; case.shape.state_len()], vec![0.0; case.shape.state_len()]);
            let mut used = view.state(&mut used).expect("long enough");
            for x in &case.samples {
                view.step(&mut used, &common::cast::<f32>(x));
            }
            view.reset(&mut used);
            let mut fresh = view.state(&mut fresh).expect("long enough");
            for x in &case.samples {
                let x = common::cast::<f32>(x);
                prop_assert_eq!(view.step(&mut used, &x), view.step(&mut fresh, &x));
                prop_assert_eq!(used.output(), fresh.output());
                prop_assert_eq!(used.carried(), fresh.carried());
            }
            Ok(())
        })?;
    }

    /// Whatever the input, a step returns.
    #[test]
    fn no_input_panics(case in case(), bits in prop::collection::vec(any::<u32>(), 0..40)) {
        case.with_view::<f32, _>(|view| {
            let mut memory = vec![0.0; case.shape.state_len()];
            let mut state = view.state(&mut memory).expect("long enough");
            for sample in bits.chunks(3) {
                let sample: Vec<f32> = sample.iter().map(|&bits| f32::from_bits(bits)).collect();
                view.step(&mut state, &sample);
                prop_assert!(state.input().iter().all(|x| x.is_finite()));
            }
            Ok(())
        })?;
    }
}
