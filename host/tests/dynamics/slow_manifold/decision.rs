//! Decision networks in one dimension.

use std::iter::zip;

use tinyfold::dynamics::slow_manifold::{
    Degrees, Driven, Frame, Options, SlowManifold, Trials, psychometric,
};
use tinyfold::format::arrays::ArrayFile;

use tinyfold::dynamics::{Kind, Rnn};

use super::{best_of, mante};
use crate::references;

/// The Euler map of the network, a' = a + alpha F(a): the same fixed points and selection vectors, effects and speeds a
/// step instead of a time constant, the same choices.
#[test]
fn a_map_is_reduced_as_its_flow() {
    let network = references::network("mante_tanh_n100_graded");
    let file = ArrayFile::open(&references::path("mante_tanh_n100_graded.safetensors")).unwrap();
    let x0 = file.vector("x0", 100).unwrap();
    let alpha = network.alpha;
    for (context, channel) in [("ctx_motion", 0), ("ctx_colour", 1)] {
        let (flow, points) = mante(context);
        let map = Rnn { kind: Kind::Map, ..flow.clone() };
        let mut held = vec![0.0; 4];
        held[2 + channel] = 1.0;
        let [of_flow, of_map] = [&flow, &map].map(|rnn| {
            let frame = Frame::choose(&flow, &points).unwrap();
            let options = Options::of(rnn.kind, alpha);
            let line = SlowManifold::find(rnn, &points, frame, &options, &false.into()).unwrap();
            Driven::new(&network, &line, &held).unwrap()
        });
        // Exact at fixed points.
        for x in &points {
            let p = of_flow.line.frame.coordinate(x);
            for (a, b) in zip(of_flow.input(p), of_map.input(p)) {
                assert!((alpha * a - b).abs() < 1e-3 * alpha, "{p}: {a} {b}");
            }
            for (a, b) in zip(of_flow.output(p), of_map.output(p)) {
                assert!((a - b).abs() < 1e-6, "{p}: {a} {b}");
            }
        }
        // Between them the curves of both are a little apart.
        for p in of_flow.line.range.even(33) {
            let (a, b) = (of_flow.line.speed(p), of_map.line.speed(p));
            assert!((alpha * a - b).abs() < 2e-3 * alpha, "{p}: {a} {b}");
            for (a, b) in zip(of_flow.alignment(p), of_map.alignment(p)) {
                assert!((a - b).abs() < 0.02, "{p}: {a} {b}");
            }
        }
        let [a, b] = [&of_flow, &of_map].map(|driven| driven.phase(&map, &x0, 30.0));
        assert!((a - b).abs() < 0.02, "{a} {b}");
        let trials = Trials {
            channel,
            distractor: Some(1 - channel),
            strengths: vec![-0.2, -0.06, -0.02, 0.02, 0.06, 0.2],
            noise: 0.5,
            each: 100,
            steps: 250,
            seed: 5,
        };
        let [by_flow, by_map] = [&of_flow, &of_map]
            .map(|driven| psychometric(&network, driven, &trials, &x0, &false.into()).unwrap());
        println!(
            "{context}: the same choice {:.3} by flow, {:.3} by map",
            by_flow.agreement, by_map.agreement
        );
        assert!(by_map.agreement >= 0.95);
        for (a, b) in zip(&by_flow.rows, &by_map.rows) {
            assert!((a.reduced - b.reduced).abs() <= 0.02 && a.network == b.network, "{a:?} {b:?}");
        }
        // A model for a chip from either.
        let on_line: Vec<Vec<f64>> = points.clone();
        let (model, compared) = of_map
            .for_trials(
                &network,
                &on_line,
                &Trials { each: 20, ..trials },
                &Degrees::default(),
                &false.into(),
            )
            .unwrap();
        assert_eq!(model.shape.inputs, 2);
        assert!(compared.agreement >= 0.95 && compared.nmte < 0.05, "{compared:?}");
    }
}

#[test]
fn the_reduced_model_chooses_as_the_network() {
    let network = references::network("mante_tanh_n100_graded");
    let file = ArrayFile::open(&references::path("mante_tanh_n100_graded.safetensors")).unwrap();
    let x0 = file.vector("x0", 100).unwrap();
    for (context, channel) in [("ctx_motion", 0), ("ctx_colour", 1)] {
        let (rnn, points) = mante(context);
        let frame = Frame::choose(&rnn, &points).unwrap();
        let line = SlowManifold::find(&rnn, &points, frame, &Options::default(), &false.into()).unwrap();
        let mut held = vec![0.0; 4];
        held[2 + channel] = 1.0;
        let (time, driven) = best_of(3, || Driven::new(&network, &line, &held).unwrap());
        println!("{context}: {time:.1} ms; p, r, s(p), y");
        for p in line.range.even(9) {
            println!("  {p:.3} {:.5} {:.3?} {:.3?}", line.speed(p), driven.input(p), driven.output(p));
        }
        // At a fixed point the selection vector is the left eigenvector.
        for x in &points {
            let at = Frame::at(&rnn, x).unwrap();
            let p = line.frame.coordinate(x);
            let scale: f64 = zip(&at.left, line.tangent(p)).map(|(l, t)| l * t).sum();
            let found = driven.input(p);
            for (k, found) in found.into_iter().enumerate() {
                let exact =
                    zip(&at.left, network.input.col_as_slice(k)).map(|(l, b)| l * b).sum::<f64>() / scale;
                assert!((found - exact).abs() < 2e-3, "{found} {exact}");
            }
            let rates = rnn.rates(x);
            let output: f64 = rates.iter().enumerate().map(|(i, rate)| network.readout[(0, i)] * rate).sum();
            assert!((driven.output(p)[0] - output - network.output_bias[0]).abs() < 1e-6);
        }
        // The attended input moves the state, the other does not.
        for p in line.range.even(9) {
            let s = driven.input(p);
            assert!(s[channel].abs() > 0.5 && s[1 - channel].abs() < 0.06);
        }
        let quiet = Trials {
            channel,
            distractor: Some(1 - channel),
            strengths: vec![-0.2, -0.06, -0.02, 0.02, 0.06, 0.2],
            noise: 0.0,
            each: 6,
            steps: 250,
            seed: 5,
        };
        let noisy = Trials { noise: 0.5, each: 100, ..quiet.clone() };
        for (name, trials) in [("noise-free", quiet), ("noisy", noisy)] {
            let found = psychometric(&network, &driven, &trials, &x0, &false.into()).unwrap();
            let stopped = psychometric(&network, &driven, &trials, &x0, &true.into());
            assert!(stopped.unwrap_err().to_string().contains("stopped"));
            println!("  {name}: agreement {:.3}, output error {:.3}", found.agreement, found.output_error);
            assert!(found.agreement >= if trials.noise == 0.0 { 1.0 } else { 0.95 });
            for row in &found.rows {
                println!(
                    "    {:>6} network {:.2} reduced {:.2} same {:.2}",
                    row.strength, row.network, row.reduced, row.agreement
                );
            }
        }
    }
}
