//! What the module says of memory and of losses.

use tinyfold_core::learn::{
    Diagonal, Eprop, Groups, KfRtrl, LatentRls, LatentRtrl, Learner, Lms, Loss, Online, Optimiser as _,
    Params, Rls, Rtrl, Sgd, Tape, Tbptt, Uoro,
};
use tinyfold_core::pack::{Matrices, Weights, pack};
use tinyfold_core::{Activation, Error, Shape};

use crate::LATENT;
use crate::learners::{lend, settings, words};

/// What the table of the module says, and one word less is too little for every rule.
#[test]
fn memory_is_what_is_said() {
    let shape = Shape { neurons: 40, rank: 0, inputs: 3, outputs: 2 };
    let low = Shape { rank: 3, ..shape };
    let (n, r, i, o) = (40, 3, 3, 2);
    let (m, k) = (1 + n + i, r * r + o * o + o);
    let all = Groups::ALL;
    let fits = |shape: Shape,
                [said, length, bytes]: [usize; 3],
                make: &dyn Fn(&Params<'_, f32>, usize) -> Option<Error>| {
        assert_eq!((length, bytes), (said, 4 * said), "{shape:?}");
        let mut words = words::<f32>(shape, 3);
        let params = Params::new(shape, settings(Activation::Relu, false), &mut words).expect("good");
        assert_eq!(make(&params, length), None);
        let error = make(&params, length - 1).expect("too little");
        assert_eq!(error.to_string(), format!("buffer: expected at least {length}, found {}", length - 1));
    };
    macro_rules! fits {
        ($shape:expr, $said:expr, $rule:ident($($argument:expr),*), $make:expr) => {
            fits(
                $shape,
                [$said, $rule::<f32>::memory_len(&$shape $(, $argument)*), $rule::<f32>::memory_bytes(&$shape $(, $argument)*)],
                &|params, length| {
                    let make: fn(&Params<'_, f32>, &'static mut [f32]) -> Option<Error> = $make;
                    make(params, lend(length))
                },
            );
        };
    }
    fits!(shape, n * n * m + 3 * n + m + o, Rtrl(), |p, memory| Rtrl::new(p, Groups::ALL, memory).err());
    fits!(shape, n * m + 4 * n + m + o, Diagonal(), |p, memory| Diagonal::snap1(p, Groups::ALL, memory)
        .err());
    fits!(shape, n * m + 4 * n + m + o, Diagonal(), |p, memory| Diagonal::rflo(p, Groups::ALL, memory).err());
    fits!(shape, 2 * m + 2 * n + o, Eprop(), |p, memory| Eprop::new(p, Groups::ALL, memory).err());
    fits!(shape, n * m + 5 * n + m + o, Uoro(), |p, memory| Uoro::new(p, Groups::ALL, 1, memory).err());
    fits!(shape, 2 * n * n + 3 * n + 2 * m + o, KfRtrl(), |p, memory| KfRtrl::new(p, Groups::ALL, 1, memory)
        .err());
    fits!(shape, 7 * (2 * n + m) + 3 * n + m + o, Tbptt(7), |p, memory| Tbptt::new(
        p,
        Groups::ALL,
        7,
        memory
    )
    .err());
    fits!(shape, o, Lms(), |p, memory| Lms::new(p, Groups::ALL, memory).err());
    fits!(shape, (n + 1) * (n + 1) + n + 1 + o, Rls(), |p, memory| Rls::new(
        p,
        Groups::ALL,
        1.0,
        1.0,
        memory
    )
    .err());
    let latent = 3 * n + r * (5 + i + r + o) + o;
    fits!(low, n * r * (1 + 2 * r + i) + latent, LatentRtrl(all, false), |p, memory| {
        LatentRtrl::new(p, Groups::ALL, memory).err()
    });
    fits!(low, k * k + k * (o + 2) + r * r * r + r + o + latent, LatentRls(all), |p, memory| {
        LatentRls::new(p, Groups::ALL, 1.0, 1.0, memory).err()
    });

    let mut words = words::<f32>(LATENT, 3);
    let params = Params::new(LATENT, settings(Activation::Relu, false), &mut words).expect("good");
    let error = Rtrl::new(&params, Groups::ALL, &mut [0.0; 9]).expect_err("of low rank");
    assert_eq!(error.to_string(), "rank R: expected 0, found 2");
    let mut tape = [0.0; 4];
    assert_eq!(Tape(&mut tape).word(1, 2.0, 3.0), 2.0);
    assert_eq!(tape[1], 3.0);
}

/// L = ln Σ e^y − Σ t y from its definition, whether t sums up to 1 or not, and for outputs whose e^y is too large.
#[test]
fn cross_entropy_is_as_defined() {
    let shape = Shape { neurons: 1, rank: 0, inputs: 1, outputs: 3 };
    for (bias, targets) in [
        ([0.3, -1.0, 2.0], [0.2, 0.3, 0.5]),
        ([0.3, 1.0, -2.0], [1.0, 1.0, 0.0]),
        ([900.0, 0.0, 899.0], [0.5, 0.0, 0.1]),
    ] {
        let matrices = Matrices {
            weights: Weights::Dense(&[0.0]),
            input: &[0.0],
            bias: &[0.0],
            readout: &[0.0; 3],
            output_bias: &bias,
            scaling: &[[0.0, 1.0]; 4],
            initial: &[],
        };
        let mut packed = vec![0.0_f64; shape.parameter_len()];
        pack(&shape, &matrices, &mut packed).expect("right sizes");
        let mut params = Params::new(shape, settings(Activation::Linear, false), &mut packed).expect("good");
        let rule = Lms::new(&params, Groups::READOUT, lend(Lms::<f64>::memory_len(&shape))).expect("enough");
        let mut learner = Online::new(rule, Sgd::new(0.1).expect("in range"), Loss::CrossEntropy);
        let mut memory = vec![0.0; shape.state_len()];
        let mut state = params.view().state(&mut memory).expect("enough");
        let found = learner.step(&mut params, &mut state, &[0.0], Some(&targets)).loss;
        // e^900 is no number: 900 is taken out of it.
        let all: f64 = bias.iter().map(|y| (y - bias[0]).exp()).sum::<f64>().ln() + bias[0];
        let expected = all - bias.iter().zip(&targets).map(|(y, t)| y * t).sum::<f64>();
        assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{found} but {expected}");
    }
}
