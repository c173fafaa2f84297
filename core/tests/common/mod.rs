//! Random networks for the tests of core.

use proptest::prelude::*;
use tinyfold_core::pack::{Matrices, Weights, pack};
use tinyfold_core::{Activation, Arithmetic, Error, Form, Scalar, Settings, Shape, Variant, View};

/// A network as matrices in f64 whose entries f32 holds exactly.
#[derive(Clone, Debug)]
pub struct Case {
    pub shape: Shape,
    pub settings: Settings<f64>,
    pub w: Vec<f64>,
    pub u: Vec<f64>,
    pub v: Vec<f64>,
    pub input: Vec<f64>,
    pub bias: Vec<f64>,
    pub readout: Vec<f64>,
    pub output_bias: Vec<f64>,
    pub scaling: Vec<[f64; 2]>,
    pub initial: Vec<f64>,
    pub samples: Vec<Vec<f64>>,
}

pub fn cast<T: Scalar>(values: &[f64]) -> Vec<T> {
    values.iter().map(|&x| T::from_f64(x)).collect()
}

impl Case {
    pub fn settings<T: Scalar>(&self) -> Settings<T> {
        let Settings { form, arithmetic, variant, activation, alpha, keep, nonlinear_decoder } =
            self.settings;
        let (alpha, keep) = (T::from_f64(alpha), T::from_f64(keep));
        Settings { form, arithmetic, variant, activation: activation.cast(), alpha, keep, nonlinear_decoder }
    }

    pub fn pack<T: Scalar>(&self) -> Result<Vec<T>, Error> {
        let (w, u, v) = (cast(&self.w), cast(&self.u), cast(&self.v));
        let scaling: Vec<[T; 2]> = self.scaling.iter().map(|pair| pair.map(T::from_f64)).collect();
        let mut words = vec![T::ZERO; self.shape.parameter_len()];
        let matrices = Matrices {
            weights: if self.shape.is_dense() {
                Weights::Dense(&w)
            } else {
                Weights::LowRank { u: &u, v: &v }
            },
            input: &cast(&self.input),
            bias: &cast(&self.bias),
            readout: &cast(&self.readout),
            output_bias: &cast(&self.output_bias),
            scaling: &scaling,
            initial: &cast(&self.initial),
        };
        pack(&self.shape, &matrices, &mut words)?;
        Ok(words)
    }

    /// Calls `test` with the view of the packed case.
    pub fn with_view<T: Scalar, R>(&self, test: impl FnOnce(View<'_, T>) -> R) -> R {
        let words = self.pack::<T>().expect("sizes fit");
        test(View::from_words(self.shape, self.settings(), &words).expect("numbers are finite"))
    }
}

/// Numbers from -`most` to `most` that f32 holds exactly.
fn numbers(len: usize, most: f32) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec((-most..=most).prop_map(f64::from), len)
}

fn settings() -> impl Strategy<Value = Settings<f64>> {
    let activation = prop_oneof![
        Just(Activation::Linear),
        Just(Activation::Relu),
        (-1.0_f32..=0.0, 0.0_f32..=1.0)
            .prop_map(|(lo, hi)| Activation::Clipped { lo: lo.into(), hi: hi.into() }),
        Just(Activation::Tanh),
        (0.1_f32..=2.0, -1.0_f32..=1.0).prop_map(|(slope, threshold)| Activation::Sigmoid {
            slope: slope.into(),
            threshold: threshold.into()
        }),
    ];
    let variant = prop_oneof![Just(Variant::Libm), Just(Variant::Rational)];
    let alpha = prop_oneof![Just(1.0_f32), (8_u8..248).prop_map(|k| f32::from(k) / 256.0)];
    (
        any::<bool>(),
        prop_oneof![Just(Form::Rate), Just(Form::Current)],
        prop_oneof![Just(Arithmetic::Separate), Just(Arithmetic::Fused)],
        (activation, variant),
        alpha,
    )
        .prop_map(|(nonlinear_decoder, form, arithmetic, (activation, variant), alpha)| Settings {
            form,
            arithmetic,
            variant,
            activation,
            alpha: f64::from(alpha),
            keep: f64::from(1.0 - alpha),
            nonlinear_decoder,
        })
}

/// Random shapes, weights, settings and inputs: every form, activation, arithmetic, decoder, with and
/// without leak, dense and low-rank.
pub fn case() -> impl Strategy<Value = Case> {
    let shape = (1_usize..=20, 0_usize..=3, 0_usize..=3, 1_usize..=3)
        .prop_map(|(neurons, rank, inputs, outputs)| Shape { neurons, rank, inputs, outputs });
    (shape, settings()).prop_flat_map(|(shape, settings)| {
        let Shape { neurons: n, rank, inputs, outputs } = shape;
        let carried = shape.carried_len(settings.form, settings.alpha < 1.0);
        let dense = if rank == 0 { n * n } else { 0 };
        let most = 2.0 / (n as f32).sqrt();
        let scale =
            prop::collection::vec((-0.5_f32..=0.5, 0.5_f32..=2.0), inputs + outputs).prop_map(|pairs| {
                pairs.into_iter().map(|(c, g)| [c.into(), g.into()]).collect::<Vec<[f64; 2]>>()
            });
        (
            (numbers(dense, most), numbers(n * rank, 1.0), numbers(n * rank, most), numbers(n * inputs, 1.0)),
            (numbers(n, 0.5), numbers(outputs * n, 1.0), numbers(outputs, 0.5), scale, numbers(carried, 1.0)),
            prop::collection::vec(numbers(inputs, 2.0), 1..=12),
        )
            .prop_map(
                move |((w, u, v, input), (bias, readout, output_bias, scaling, initial), samples)| Case {
                    shape,
                    settings,
                    w,
                    u,
                    v,
                    input,
                    bias,
                    readout,
                    output_bias,
                    scaling,
                    initial,
                    samples,
                },
            )
    })
}
