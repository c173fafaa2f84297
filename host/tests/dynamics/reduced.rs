//! The reduced model of the context network against the network, in the arithmetic of a chip.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use tinyfold::dynamics::slow_manifold::{Degrees, Driven, Frame, Options, SlowManifold, Trials};
use tinyfold::dynamics::{Kind, Rnn, fixed_points};
use tinyfold::format::model::ModelBytes;
use tinyfold::format::reduced::Reduced;
use tinyfold::network::Network;
use tinyfold::verify::suite::random_reduced;
use tinyfold::{reproduce::marraffa2025, simulate};
use tinyfold_core::Arithmetic;
use tinyfold_core::reduced::Shape;
use tinyfold_core::wire::reduced as wire;

/// The slow manifold of a context, its fixed points, and trials of its evidence.
fn context(network: &Network, context: usize) -> (Driven, Vec<Vec<f64>>, Trials) {
    let held: Vec<f64> = (0..4).map(|k| f64::from(u8::from(k == 2 + context))).collect();
    let rnn = Rnn::new(network, &held, Kind::Flow).unwrap();
    let stop = false.into();
    let found =
        fixed_points::of_network(network, &held, Kind::Flow, &fixed_points::Options::default(), &stop)
            .unwrap();
    let points: Vec<Vec<f64>> =
        found.points.into_iter().filter(|point| point.index <= 1).map(|point| point.state).collect();
    let frame = Frame::choose(&rnn, &points).unwrap();
    let line =
        SlowManifold::find(&rnn, &points, frame, &Options::of(Kind::Flow, network.alpha), &stop).unwrap();
    let trials = Trials {
        channel: context,
        distractor: Some(1 - context),
        strengths: vec![-0.2, -0.06, -0.02, 0.02, 0.06, 0.2],
        noise: 0.5,
        each: 20,
        steps: 250,
        seed: 7,
    };
    (Driven::new(network, &line, &held).unwrap(), points, trials)
}

/// Inputs of a trial: motion and colour, each a strength and noise.
fn trial(random: &mut ChaCha8Rng) -> Vec<f64> {
    let strengths = [-0.2, -0.06, -0.02, 0.02, 0.06, 0.2];
    let evidence = [0, 1].map(|_| strengths[random.random_range(0..6)]);
    (0..500).map(|k| evidence[k % 2] + 0.5 * random.sample::<f64, _>(StandardNormal)).collect()
}

/// With the inputs of the context.
fn whole(u: &[f64], context: usize) -> Vec<f64> {
    let held = [0, 1].map(|k| f64::from(u8::from(k == context)));
    u.chunks(2).flat_map(|u| [u[0], u[1], held[0], held[1]]).collect()
}

/// What core computes from the exported bytes, as a chip does.
fn run_core(model: &Reduced, u: &[f64]) -> Vec<f64> {
    let bytes = model.export::<f32>().unwrap();
    let read = wire::read::<f32>(bytes.bytes()).unwrap();
    let mut memory = vec![0.0; read.view.shape().state_len()];
    let mut state = read.view.state(&mut memory).unwrap();
    let step = |u: &[f64]| {
        read.view.step(&mut state, &[u[0] as f32, u[1] as f32]);
        f64::from(state.output()[0])
    };
    u.chunks(2).map(step).collect()
}

#[test]
fn the_reduced_model_on_a_chip_chooses_as_the_network() {
    let network = marraffa2025::bundled().unwrap();
    let outputs = |u: &[f64], context| simulate::run(&network, &whole(u, context), false).outputs;
    for context in 0..2 {
        let (driven, points, drawn) = self::context(&network, context);
        let (model, compared) =
            driven.for_trials(&network, &points, &drawn, &Degrees::default(), &false.into()).unwrap();
        println!("context {context}: {compared:?}");
        assert!(compared.trials == 120 && compared.agreement >= 0.95 && compared.nmte <= 0.05);
        // What the file holds is the model, in any number type.
        let read = Reduced::import::<f32>(&model.export::<f32>().unwrap(), "model").unwrap();
        assert_eq!(read, model);
        let mut random = ChaCha8Rng::seed_from_u64(99);
        let (mut same, mut nmte, trials) = (0, 0.0, 300);
        for _ in 0..trials {
            let u = trial(&mut random);
            let (truth, found) = (outputs(&u, context), run_core(&model, &u));
            same += usize::from((truth[249] > 0.0) == (found[249] > 0.0));
            let largest = truth.iter().fold(0.0_f64, |most, y| most.max(y.abs()));
            let error: f64 = truth.iter().zip(&found).map(|(a, b)| (a - b).abs()).sum();
            nmte += error / truth.len() as f64 / largest / f64::from(trials);
        }
        println!("context {context}: the same choice in {same} of {trials} held-out trials, NMTE {nmte:.4}");
        assert!(same * 100 >= 95 * trials as usize, "{same}");
        assert!(nmte <= 0.05, "{nmte}");
    }
}

/// Every coefficient comes back to its place, in one and two coordinates and in both number types.
#[test]
fn reduced_models_come_back_from_their_bytes() {
    let random = &mut ChaCha8Rng::seed_from_u64(3);
    for dimensions in [1, 2] {
        for (inputs, gain) in [(0, 0), (3, 2), (2, 5)] {
            let shape = Shape { dimensions, inputs, outputs: 2, drift: 5, gain, output: 3 };
            let model = random_reduced(shape, Arithmetic::Fused, random);
            let read = |bytes| Reduced::import::<f64>(&bytes, "model").unwrap();
            assert_eq!(read(model.export::<f64>().unwrap()), model);
            let narrow = model.rounded::<f32>();
            assert_eq!(Reduced::import::<f32>(&narrow.export::<f32>().unwrap(), "model").unwrap(), narrow);
        }
    }
    let error = Reduced::import::<f32>(&ModelBytes::new(b"TFRM, but no more"), "file.tfrm").unwrap_err();
    assert!(error.to_string().contains("file.tfrm: "), "{error}");
}
