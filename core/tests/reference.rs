//! core in f32 and f64 against a reference in f64 that knows nothing of panels, records or latents.

mod common;

use common::{Case, case};
use proptest::prelude::*;
use tinyfold_core::{Activation, Form, Scalar, Shape};

/// A number of the reference and a bound on |core - reference|.
#[derive(Clone, Copy, Debug)]
struct Bounded {
    value: f64,
    error: f64,
}

impl Bounded {
    const fn exact(value: f64) -> Self {
        Self { value, error: 0.0 }
    }

    /// Largest magnitude that core's number can have.
    fn size(self) -> f64 {
        self.value.abs() + self.error
    }
}

/// Unit roundoff of core's type, plus the reference's own.
fn roundoff<T: Scalar>() -> f64 {
    match T::NUMBER {
        tinyfold_core::Number::F32 => f64::powi(2.0, -24) + f64::powi(2.0, -53),
        _ => f64::powi(2.0, -52),
    }
}

/// start + sum_k w_k x_k. With m terms core rounds at most m products and m sums, so its error is at
/// most gamma(m + 1) · (|start| + sum |w_k| |x_k|), gamma(k) = k u / (1 - k u) (Higham, Accuracy and
/// Stability of Numerical Algorithms, 2nd ed., section 3.1), whatever the order and with or without
/// fused multiply-add, plus what the errors of start and x bring. 1e-40 covers underflow.
fn sum(start: Bounded, terms: impl Iterator<Item = (f64, Bounded)>, u: f64) -> Bounded {
    let (mut value, mut error, mut size, mut count) = (start.value, start.error, start.size(), 1.0);
    for (w, x) in terms {
        value += w * x.value;
        error += w.abs() * x.error;
        size += w.abs() * x.size();
        count += 1.0;
    }
    Bounded { value, error: error + count * u / (1.0 - count * u) * size + 1e-40 }
}

/// phi(p): |phi'| · error of p, plus core's own rounding of phi.
fn apply(activation: Activation<f64>, p: Bounded, u: f64) -> Bounded {
    let Bounded { value, error } = p;
    match activation {
        Activation::Linear => p,
        Activation::Relu => Bounded { value: value.max(0.0), error },
        Activation::Clipped { lo, hi } => Bounded { value: value.clamp(lo, hi), error },
        // |tanh'| <= 1; libm's tanh errs by less than 2 units in the last place, 4 u of a value below 1, and the
        // rational one by less than 2.1e-7, which is less than 4 u.
        Activation::Tanh => Bounded { value: value.tanh(), error: error + 4.0 * u },
        // |sigma'| <= slope / 4 and slope (p - threshold) carries two roundings, 2 u each at most with
        // their product; exp errs by less than 4 u relatively, which e / (1 + e)² <= 1/4 turns into u;
        // sum and quotient add one u each of values whose ratio is at most 1. The rational one, 1.3e-7 or less
        // than 3 u, has its own argument halved exactly.
        Activation::Sigmoid { slope, threshold } => {
            let argument = p.size() + threshold.abs();
            Bounded {
                value: 1.0 / (1.0 + (-slope * (value - threshold)).exp()),
                error: slope.abs() / 4.0 * (error + 4.0 * u * argument) + 4.0 * u,
            }
        }
    }
}

/// The reference: the equations of [`Form`] on whole vectors of n, with W = U Vᵀ multiplied out by
/// two products. Returns, for every step, outputs and the carried words.
fn reference(case: &Case, u: f64) -> Vec<(Vec<Bounded>, Vec<Bounded>)> {
    let Shape { neurons: n, rank, inputs, outputs } = case.shape;
    let settings = case.settings;
    let leaky = settings.alpha < 1.0;
    let leak = |old: Bounded, new: Bounded| {
        if leaky {
            // Two products and one sum: as a sum of two terms.
            sum(Bounded::exact(0.0), [(settings.keep, old), (settings.alpha, new)].into_iter(), u)
        } else {
            new
        }
    };
    let row = |matrix: &[f64], columns: usize, i: usize| -> Vec<f64> {
        matrix[i * columns..(i + 1) * columns].to_vec()
    };
    // What W is applied to: rates themselves, or their rank-R projection.
    let project = |phi: &[Bounded]| -> Vec<Bounded> {
        (0..rank)
            .map(|r| {
                let terms = (0..n).map(|i| (case.v[i * rank + r], phi[i]));
                sum(Bounded::exact(0.0), terms, u)
            })
            .collect()
    };
    let pre_activations = |recurrent: &[Bounded], x: &[Bounded]| -> Vec<Bounded> {
        let weights = if rank == 0 { &case.w } else { &case.u };
        (0..n)
            .map(|i| {
                let columns = if rank == 0 { n } else { rank };
                let terms = row(weights, columns, i).into_iter().zip(recurrent.iter().copied());
                let terms = terms.chain(row(&case.input, inputs, i).into_iter().zip(x.iter().copied()));
                sum(Bounded::exact(case.bias[i]), terms, u)
            })
            .collect()
    };
    let read = |phi: &[Bounded]| -> Vec<Bounded> {
        (0..outputs)
            .map(|o| {
                let terms = row(&case.readout, n, o).into_iter().zip(phi.iter().copied());
                sum(Bounded::exact(case.output_bias[o]), terms, u)
            })
            .collect()
    };
    let activate = |p: Vec<Bounded>| -> Vec<Bounded> {
        p.into_iter().map(|p| apply(settings.activation, p, u)).collect()
    };

    let mut carried: Vec<Bounded> = case.initial.iter().map(|&x| Bounded::exact(x)).collect();
    let mut result = Vec::new();
    for sample in &case.samples {
        let x: Vec<Bounded> = sample
            .iter()
            .zip(&case.scaling)
            .map(|(&raw, &[center, gain])| {
                let value = (raw - center) * gain;
                Bounded { value, error: 2.5 * u * value.abs() }
            })
            .collect();
        let y = match (settings.form, rank) {
            (Form::Rate, 0) => {
                let phi = activate(pre_activations(&carried, &x));
                carried = carried.iter().zip(phi).map(|(&h, phi)| leak(h, phi)).collect();
                read(&carried)
            }
            (Form::Current, 0) => {
                let phi = activate(carried.clone());
                let p = pre_activations(&phi, &x);
                carried = carried.iter().zip(p).map(|(&a, p)| leak(a, p)).collect();
                read(&activate(carried.clone()))
            }
            (Form::Rate, _) => {
                let phi = activate(pre_activations(&carried[..rank], &x));
                let (s, mut y) = (project(&phi), read(&phi));
                let mut next: Vec<Bounded> =
                    carried[..rank].iter().zip(s).map(|(&z, s)| leak(z, s)).collect();
                if leaky {
                    y = carried[rank..].iter().zip(y).map(|(&old, y)| leak(old, y)).collect();
                    next.extend(&y);
                }
                carried = next;
                y
            }
            (Form::Current, _) => {
                let phi = activate(pre_activations(&carried[..rank], &carried[rank..]));
                let s = project(&phi);
                carried =
                    carried.iter().zip(s.into_iter().chain(x)).map(|(&old, new)| leak(old, new)).collect();
                read(&activate(pre_activations(&carried[..rank], &carried[rank..])))
            }
        };
        let y = if settings.nonlinear_decoder { activate(y) } else { y };
        let output = y
            .into_iter()
            .zip(&case.scaling[inputs..])
            .map(|(y, &[center, gain])| sum(Bounded::exact(center), [(gain, y)].into_iter(), u))
            .collect();
        result.push((output, carried.clone()));
    }
    result
}

fn compare<T: Scalar>(case: &Case) -> Result<(), TestCaseError> {
    let reference = reference(case, roundoff::<T>());
    case.with_view::<T, _>(|view| {
        let mut memory = vec![T::ZERO; case.shape.state_len()];
        let mut state = view.state(&mut memory).expect("memory is long enough");
        for (t, (sample, (output, carried))) in case.samples.iter().zip(&reference).enumerate() {
            let status = view.step(&mut state, &common::cast::<T>(sample));
            prop_assert_eq!(status.held, 0);
            for (name, found, expected) in
                [("output", state.output(), output), ("carried", state.carried(), carried)]
            {
                prop_assert_eq!(found.len(), expected.len());
                for (k, (found, expected)) in found.iter().zip(expected).enumerate() {
                    let error = (found.to_f64() - expected.value).abs();
                    prop_assert!(
                        error <= expected.error,
                        "step {t}, {name} {k}: {found:?} differs from {} by {error:e}, more than {:e}",
                        expected.value,
                        expected.error
                    );
                }
            }
        }
        Ok(())
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        rng_seed: proptest::test_runner::RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn core_f32_stays_within_the_rounding_bound(case in case()) {
        compare::<f32>(&case)?;
    }

    #[test]
    fn core_f64_stays_within_the_rounding_bound(case in case()) {
        compare::<f64>(&case)?;
    }

    /// A low-rank network and its W = U Vᵀ multiplied out are the same network.
    #[test]
    fn low_rank_equals_dense(case in case().prop_filter("low rank", |case| case.shape.rank > 0)) {
        let Shape { neurons: n, rank, inputs, .. } = case.shape;
        let mut dense = case.clone();
        dense.shape.rank = 0;
        dense.w = (0..n * n)
            .map(|k| (0..rank).map(|r| case.u[k / n * rank + r] * case.v[k % n * rank + r]).sum())
            .collect();
        let leaky = case.settings.alpha < 1.0;
        let mut case = case;
        match case.settings.form {
            Form::Rate => {
                dense.initial = vec![0.0; n];
                case.initial = vec![0.0; rank];
                if leaky {
                    case.initial.extend(&case.output_bias);
                }
            }
            Form::Current => {
                dense.initial = case.bias.clone();
                case.initial = vec![0.0; rank + inputs];
            }
        }
        let run = |case: &Case| case.with_view::<f64, _>(|view| {
            let mut memory = vec![0.0; case.shape.state_len()];
            let mut state = view.state(&mut memory).expect("memory is long enough");
            case.samples.iter().flat_map(|x| { view.step(&mut state, x); state.output().to_vec() }).collect::<Vec<f64>>()
        });
        for (a, b) in run(&case).into_iter().zip(run(&dense)) {
            prop_assert!((a - b).abs() <= 1e-9 * (1.0 + a.abs()), "low rank {a}, dense {b}");
        }
    }
}
