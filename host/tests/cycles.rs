//! Every cycle of the reference networks, and nothing else.

mod dynamics;

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use dynamics::{network, numbers, path};
use tinyfold::dynamics::cycles::{Options, Piecewise, find};
use tinyfold::dynamics::{Kind, Rnn, System};
use tinyfold::format::arrays::ArrayFile;

const GO: AtomicBool = AtomicBool::new(false);

fn reference() -> (ArrayFile, serde_json::Value) {
    let text = std::fs::read_to_string(path("plrnn_small_reference.json")).unwrap();
    (ArrayFile::open(&path("plrnn_small.safetensors")).unwrap(), serde_json::from_str(&text).unwrap())
}

/// All networks, all periods: the same counts, masks and orbits, the same multipliers; pruned and not.
#[test]
fn every_cycle_of_the_reference_and_no_other() {
    let (file, reference) = reference();
    for (name, net) in reference.as_object().unwrap() {
        let map = Piecewise::of_arrays(&file, &format!("{name}/")).unwrap();
        let brute = net["brute"].as_object().unwrap();
        for prune in [false, true] {
            let options = Options { period: brute.len(), prune, ..Options::default() };
            let begin = Instant::now();
            let found = find(&map, &options, &GO).unwrap();
            let seconds = begin.elapsed().as_secs_f64();
            let mut candidates = 0.0;
            for (coverage, k) in found.coverage.iter().zip(1..) {
                let known = &brute[&k.to_string()];
                assert_eq!(
                    found.of_period(k).count() as u64,
                    known["n"].as_u64().unwrap(),
                    "{name} period {k}"
                );
                assert_eq!(coverage.candidates, known["candidates"].as_f64().unwrap());
                assert_eq!(coverage.degenerate, 0);
                assert!(coverage.complete);
                assert_eq!(coverage.solved as f64 + coverage.pruned, coverage.candidates);
                assert!(prune || coverage.pruned == 0.0);
                candidates += coverage.candidates;
            }
            let solved: u64 = found.coverage.iter().map(|coverage| coverage.solved).sum();
            println!(
                "{name:<24} prune {prune:<5} {} cycles, {candidates} candidates, {solved} solved, {:.0} ns a candidate",
                found.cycles.len(),
                1e9 * seconds / candidates
            );
            let mut by_masks: HashMap<Vec<u64>, _> = HashMap::new();
            for cycle in &found.cycles {
                assert!(cycle.residual <= 1e-12 && cycle.margin > 0.0, "{name}: {}", cycle.residual);
                by_masks.insert(cycle.regions.iter().map(|region| region.mask()).collect(), cycle);
            }
            let known = net["cycles"].as_array().unwrap();
            assert_eq!(known.len(), by_masks.len());
            for known in known {
                let masks: Vec<u64> =
                    known["masks"].as_array().unwrap().iter().map(|m| m.as_u64().unwrap()).collect();
                let cycle = by_masks[&masks];
                let near = |found: f64, expected: f64, tolerance: f64| {
                    let error = (found - expected).abs() / expected.abs().max(1.0);
                    assert!(error < tolerance, "{name} {masks:?}: {found} {expected}");
                };
                cycle
                    .orbit
                    .iter()
                    .flatten()
                    .zip(numbers(&known["orbit"]))
                    .for_each(|(a, b)| near(*a, b, 1e-9));
                near(cycle.spectral_radius, known["rho"].as_f64().unwrap(), 1e-9);
                let sorted = |mut values: Vec<f64>| {
                    values.sort_by(f64::total_cmp);
                    values
                };
                let real = sorted(cycle.eigenvalues.iter().map(|value| value.0).collect());
                real.into_iter().zip(sorted(numbers(&known["eig_re"]))).for_each(|(a, b)| near(a, b, 1e-6));
                assert_eq!(cycle.stable, known["stable"].as_bool().unwrap());
            }
        }
    }
}

#[test]
fn the_tent_map_has_as_many_cycles_as_there_are_necklaces() {
    let (file, _) = reference();
    let map = Piecewise::of_arrays(&file, "plrnn_tent_mu2/").unwrap();
    let found = find(&map, &Options { period: 10, ..Options::default() }, &GO).unwrap();
    let counts: Vec<usize> = (1..=10).map(|k| found.of_period(k).count()).collect();
    println!("{counts:?}");
    assert_eq!(counts, [2, 1, 2, 3, 6, 9, 18, 30, 56, 99]);
}

#[test]
fn the_relu_integrator_has_one_fixed_point() {
    let rnn = Rnn::new(&network("relu_integrator_n64"), &[0.0, 0.0], Kind::Map).unwrap();
    let map = Piecewise::of_rnn(&rnn).unwrap();
    let begin = Instant::now();
    let found = find(&map, &Options::default(), &GO).unwrap();
    println!("{} in {:.0} ms", found.coverage[0].statement(), 1e3 * begin.elapsed().as_secs_f64());
    assert_eq!(found.cycles.len(), 1);
    assert!(found.cycles[0].orbit[0].iter().all(|z| z.abs() < 1e-12));
    assert!(!found.coverage[0].complete);
}

/// The map is the network, for every form and activation.
#[test]
fn the_map_is_that_of_the_network() {
    use tinyfold::network::{Activation, Form};
    let w = faer::Mat::from_fn(4, 4, |i, j| ((3 * i + 5 * j) % 7) as f64 / 3.0 - 1.0);
    for form in [Form::Rate, Form::Current] {
        for activation in [Activation::Linear, Activation::Relu, Activation::Clipped { lo: -0.3, hi: 0.5 }] {
            let drive = vec![0.3, -0.2, 0.1, 0.0];
            let rnn = Rnn { kind: Kind::Map, form, alpha: 0.4, activation, w: w.clone().into(), drive };
            let map = Piecewise::of_rnn(&rnn).unwrap();
            for x in [[0.4, -0.7, 1.3, -0.1], [-0.2, 0.9, 0.3, 2.0]] {
                let (mut ours, mut theirs) = ([0.0; 4], [0.0; 4]);
                map.value(&x, &mut ours);
                rnn.value(&x, &mut theirs);
                let affine = map.affine(&map.region(&x));
                let (mut a, mut b) = (faer::Mat::zeros(4, 4), faer::Mat::zeros(4, 4));
                map.jacobian(&x, a.as_mut());
                rnn.jacobian(&x, b.as_mut());
                assert!((a - b).norm_max() < 1e-14);
                for i in 0..4 {
                    let linear = affine[(i, 4)] + (0..4).map(|j| affine[(i, j)] * x[j]).sum::<f64>();
                    assert!((ours[i] - theirs[i]).abs() < 1e-14 && (linear - ours[i]).abs() < 1e-14);
                }
            }
        }
    }
}
