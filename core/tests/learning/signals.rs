//! Noise, spikes, NaN, infinities.

use tinyfold_core::learn::{
    Adam, Diagonal, Eprop, Groups, Guard, KfRtrl, LatentRls, LatentRtrl, Learner, Limits, Lms, Loss,
    Momentum, Online, Params, Rls, Rtrl, Rule, Sgd, Tbptt, Uoro, Update,
};
use tinyfold_core::{Activation, Shape};

use crate::learners::{Random, lend, settings, words};
use crate::{DENSE, LATENT, rough};

/// Steps a learner on rough signals; every word stays finite.
fn survives<L: Learner<f32>>(name: &str, learner: &mut L, shape: Shape, leaky: bool, steps: usize) {
    let start = words::<f32>(shape, 3);
    let mut words = start.clone();
    let settings = settings(Activation::Relu, leaky);
    let mut params = Params::new(shape, settings, &mut words).expect("good numbers");
    let mut memory = vec![0.0; shape.state_len()];
    let mut state = params.view().state(&mut memory).expect("enough");
    let mut random = Random(17);
    for step in 0..steps {
        let x: Vec<f32> = (0..shape.inputs).map(|_| rough(&mut random)).collect();
        let target: Vec<f32> = (0..shape.outputs).map(|_| rough(&mut random)).collect();
        let outcome = learner.step(&mut params, &mut state, &x, (step % 3 != 0).then_some(&target));
        if outcome.update == Update::Done {
            assert!(outcome.loss.is_finite(), "{name}, step {step}");
        }
        assert!(params.words().iter().all(|word| word.is_finite()), "{name}, step {step}");
    }
    assert_ne!(params.words(), start, "{name}");
    let counts = learner.counts();
    assert!(counts.held > 0 && counts.bad_targets > 0 && counts.updates > 0, "{name}: {counts:?}");
    println!("{name}: {counts:?}");
}

/// Every optimiser with a rule that `make` makes.
fn every_optimiser<R: Rule<f32>>(
    name: &str,
    shape: Shape,
    leaky: bool,
    make: impl Fn(&Params<'_, f32>) -> R,
) {
    let mut start = words::<f32>(shape, 3);
    let count = start.len();
    let params = Params::new(shape, settings(Activation::Relu, leaky), &mut start).expect("good numbers");
    let rule = || make(&params);
    let steps = 20_000;
    let sgd = Sgd::new(1e-2).expect("in range");
    let mut learner = Online::new(rule(), sgd, Loss::Square);
    survives(&format!("{name}, SGD"), &mut learner, shape, leaky, steps);
    let mut learner = Online::new(rule(), sgd.clipped(1.0), Loss::CrossEntropy).trusting(0.1);
    survives(&format!("{name}, SGD clipped, cross-entropy"), &mut learner, shape, leaky, steps);
    let mut memory = vec![0.0; count];
    let momentum = Momentum::new(1e-2, 0.9, count, &mut memory).expect("enough");
    let mut learner = Online::new(rule(), momentum, Loss::Square).trusting(0.5);
    survives(&format!("{name}, momentum"), &mut learner, shape, leaky, steps);
    let mut memory = vec![0.0; 2 * count];
    let adam = Adam::new(1e-2, [0.9, 0.999], 1e-8, count, &mut memory).expect("enough").clipped(1.0);
    let mut learner = Online::new(rule(), adam, Loss::Square);
    survives(&format!("{name}, Adam"), &mut learner, shape, leaky, steps);
}

#[test]
fn every_rule_and_optimiser_survives_rough_signals() {
    let all = Groups::ALL;
    for leaky in [false, true] {
        every_optimiser("RTRL", DENSE, leaky, |p| {
            Rtrl::new(p, all, lend(Rtrl::<f32>::memory_len(&DENSE))).unwrap()
        });
        every_optimiser("SnAp-1", DENSE, leaky, |p| {
            Diagonal::snap1(p, all, lend(Diagonal::<f32>::memory_len(&DENSE))).unwrap()
        });
        every_optimiser("RFLO", DENSE, leaky, |p| {
            Diagonal::rflo(p, all, lend(Diagonal::<f32>::memory_len(&DENSE))).unwrap()
        });
        every_optimiser("e-prop", DENSE, leaky, |p| {
            Eprop::new(p, all, lend(Eprop::<f32>::memory_len(&DENSE))).unwrap()
        });
        every_optimiser("UORO", DENSE, leaky, |p| {
            Uoro::new(p, all, 5, lend(Uoro::<f32>::memory_len(&DENSE))).unwrap()
        });
        every_optimiser("KF-RTRL", DENSE, leaky, |p| {
            KfRtrl::new(p, all, 5, lend(KfRtrl::<f32>::memory_len(&DENSE))).unwrap()
        });
        every_optimiser("BPTT", DENSE, leaky, |p| {
            Tbptt::new(p, all, 7, lend(Tbptt::<f32>::memory_len(&DENSE, 7))).unwrap()
        });
        every_optimiser("LMS", DENSE, leaky, |p| {
            Lms::new(p, all, lend(Lms::<f32>::memory_len(&DENSE))).unwrap()
        });
        every_optimiser("RLS", DENSE, leaky, |p| {
            Rls::new(p, all, 1.0, 0.999, lend(Rls::<f32>::memory_len(&DENSE))).unwrap()
        });
        every_optimiser("latent RTRL", LATENT, leaky, |p| {
            LatentRtrl::new(p, all, lend(LatentRtrl::<f32>::memory_len(&LATENT, all, leaky))).unwrap()
        });
    }
    every_optimiser("latent RLS", LATENT, false, |p| {
        LatentRls::new(p, all, 1.0, 0.99, lend(LatentRls::<f32>::memory_len(&LATENT, all))).unwrap()
    });
}

#[test]
fn a_million_rough_steps_leave_every_weight_finite() {
    const STEPS: usize = 1_000_000;
    let all = Groups::ALL;
    let start = words::<f32>(LATENT, 3);
    let mut same = start.clone();
    let params = Params::new(LATENT, settings(Activation::Relu, false), &mut same).expect("good numbers");
    let limits = Limits { state: 1e4, loss: 1e4, growth: 1.0, every: 50 };
    let copies = || lend(Guard::<(), f32>::memory_len(&LATENT));

    let length = LatentRtrl::<f32>::memory_len(&LATENT, all, false);
    let rtrl = || {
        let rule = LatentRtrl::new(&params, all, lend(length)).expect("enough");
        Online::new(rule, Sgd::new(3e-3).expect("in range"), Loss::Square).trusting(0.05)
    };
    survives("latent RTRL", &mut rtrl(), LATENT, false, STEPS);
    let mut guard = Guard::new(rtrl(), limits, &params, copies()).expect("enough");
    survives("guarded latent RTRL", &mut guard, LATENT, false, STEPS);
    assert!(guard.counts().restored > 0 && guard.good() != start);

    let length = LatentRls::<f32>::memory_len(&LATENT, all);
    let rls = || {
        let rule = LatentRls::new(&params, all, 1.0, 0.99, lend(length)).expect("enough");
        Online::new(rule, Sgd::new(1.0).expect("in range"), Loss::Square)
    };
    survives("latent RLS", &mut rls(), LATENT, false, STEPS);
    let mut guard = Guard::new(rls(), limits, &params, copies()).expect("enough");
    survives("guarded latent RLS", &mut guard, LATENT, false, STEPS);
    assert!(guard.counts().restored > 0 && guard.good() != start);
}
