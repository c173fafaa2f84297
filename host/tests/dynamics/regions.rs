//! Fixed points and cycles of piecewise-linear networks with too many regions to list.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use faer::Mat;
use faer::prelude::Solve;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tinyfold::design::exact::{Spec, exact, paired};
use tinyfold::dynamics::cycles::{
    Coverage, Cycle, Found, Method, Options, Piecewise, Reach, find, of_saddles,
};
use tinyfold::dynamics::fixed_points::{self, of_network};
use tinyfold::dynamics::{Kind, Rnn, System};
use tinyfold::network::{Activation, Form, Network, Recurrence};
use tinyfold::task::Integration;

static GO: AtomicBool = AtomicBool::new(false);

const CLIPPED: Activation<f64> = Activation::Clipped { lo: -0.5, hi: 0.8 };

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn uniform(rng: &mut ChaCha8Rng, rows: usize, columns: usize, most: f64) -> Mat<f64> {
    Mat::from_fn(rows, columns, |_, _| most * rng.random_range(-1.0..1.0))
}

fn list(rng: &mut ChaCha8Rng, length: usize, most: f64) -> Vec<f64> {
    (0..length).map(|_| most * rng.random_range(-1.0..1.0)).collect()
}

/// A random network map of rank `rank`.
fn low_rank(seed: u64, [n, rank]: [usize; 2], form: Form, alpha: f64, activation: Activation<f64>) -> Rnn {
    let mut rng = rng(seed);
    let u = uniform(&mut rng, n, rank, 1.0);
    let v = uniform(&mut rng, n, rank, 6.0 / (n as f64).sqrt());
    let drive = list(&mut rng, n, 1.0);
    Rnn { kind: Kind::Map, form, alpha, activation, w: (u * v.transpose()).into(), drive }
}

/// The same with `more` neurons of the same rank that nothing depends on.
fn widened(rnn: &Rnn, more: usize) -> Rnn {
    let n = rnn.drive.len();
    let mut rng = rng(99);
    let mix = uniform(&mut rng, more, n, 0.4);
    let rows = &mix * rnn.w.as_ref();
    let w = Mat::from_fn(n + more, n + more, |i, j| match (i < n, j < n) {
        (true, true) => rnn.w[(i, j)],
        (false, true) => rows[(i - n, j)],
        _ => 0.0,
    });
    let mut drive = rnn.drive.clone();
    drive.extend(list(&mut rng, more, 1.0));
    Rnn { w: w.into(), drive, ..rnn.clone() }
}

fn searched(rnn: &Rnn, period: usize) -> (Piecewise, Found) {
    let map = Piecewise::of_rnn(rnn).unwrap();
    let found = find(&map, &Options { period, ..Options::default() }, &GO).unwrap();
    (map, found)
}

/// All points of all cycles, the first `n` numbers of each, with the period.
fn points(found: &Found, n: usize) -> Vec<(usize, Vec<f64>)> {
    let of = |cycle: &Cycle| -> Vec<(usize, Vec<f64>)> {
        cycle.orbit.iter().map(|z| (cycle.period, z[..n].to_vec())).collect()
    };
    found.cycles.iter().flat_map(of).collect()
}

fn apart(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// All words of the small network, and the regions of the iterates of a wide one that has the same cycles.
#[test]
fn regions_of_the_latent_give_the_cycles_that_all_words_give() {
    let (mut cycles, mut longer) = (0, 0);
    for seed in 0..6 {
        for (form, alpha, activation) in [
            (Form::Rate, 1.0, Activation::Relu),
            (Form::Rate, 0.6, Activation::Relu),
            (Form::Current, 1.0, Activation::Relu),
            (Form::Current, 0.6, Activation::Relu),
            (Form::Rate, 1.0, CLIPPED),
            (Form::Current, 0.7, CLIPPED),
        ] {
            let rank = 1 + seed as usize % 3;
            let clipped = activation == CLIPPED;
            let (n, period) = if clipped { (4, 2) } else { (5, 3) };
            let small = low_rank(seed, [n, rank.min(n)], form, alpha, activation);
            let wide = widened(&small, 8);
            let (_, expected) = searched(&small, period);
            let (map, found) = searched(&wide, period);
            assert!(expected.coverage.iter().all(|k| k.complete && k.method == Method::All));
            assert_eq!(found.latent, Some(rank), "{seed} {form:?}");
            for coverage in &found.coverage {
                assert!(coverage.complete && coverage.method == Method::Regions, "{coverage:?}");
            }
            let (expected, found) = (points(&expected, n), points(&found, map.n().min(n)));
            assert_eq!(expected.len(), found.len(), "{seed} {form:?} {alpha} {activation:?}");
            for (period, z) in &expected {
                let near = |point: &&(usize, Vec<f64>)| point.0 == *period && apart(&point.1, z) < 1e-8;
                assert_eq!(found.iter().filter(near).count(), 1, "{seed}: {period} {z:?} in {found:?}");
            }
            cycles += found.len();
            longer += found.iter().filter(|point| point.0 > 1).count();
        }
    }
    println!("{cycles} points of cycles, {longer} of them of period 2 and more");
    assert!(cycles > 30 && longer > 5);
}

/// Every region of p = W h + g by itself, without any of the program: h = sigma(p) for all fixed points.
fn brute(rnn: &Rnn) -> Vec<Vec<f64>> {
    let n = rnn.drive.len();
    let mut all: Vec<Vec<f64>> = Vec::new();
    for mask in 0_u32..1 << n {
        let open = |i: usize| mask >> i & 1 == 1;
        let system = Mat::from_fn(n, n, |i, j| {
            f64::from(u8::from(i == j)) - if open(i) { rnn.w[(i, j)] } else { 0.0 }
        });
        let right = Mat::from_fn(n, 1, |i, _| if open(i) { rnn.drive[i] } else { 0.0 });
        let h = system.partial_piv_lu().solve(right);
        let p = rnn.w.as_ref() * &h;
        let right_side = |i: usize| open(i) == (p[(i, 0)] + rnn.drive[i] > 0.0);
        if h.is_all_finite() && (0..n).all(right_side) {
            all.push(h.col_as_slice(0).to_vec());
        }
    }
    all
}

fn same(found: &Found, expected: &[Vec<f64>]) {
    assert_eq!(found.cycles.len(), expected.len());
    for h in expected {
        let nearest =
            found.cycles.iter().map(|cycle| apart(&cycle.orbit[0], h)).fold(f64::INFINITY, f64::min);
        assert!(nearest < 1e-8, "{nearest}");
    }
}

#[test]
fn fixed_points_of_low_rank_networks_are_those_of_brute_force() {
    for seed in 21..24 {
        let rnn = low_rank(seed, [13, 1 + seed as usize % 3], Form::Rate, 1.0, Activation::Relu);
        let (_, found) = searched(&rnn, 1);
        println!("{}", found.coverage[0].statement());
        assert!(found.coverage[0].complete && found.coverage[0].method == Method::Regions);
        same(&found, &brute(&rnn));
    }
}

#[test]
fn bounds_give_all_fixed_points_of_dense_networks() {
    let (mut points, mut several) = (0, 0);
    for seed in 0..5 {
        let mut rng = rng(seed);
        let (w, drive) = (uniform(&mut rng, 13, 13, 1.1), list(&mut rng, 13, 1.0));
        let (form, activation) = (Form::Rate, Activation::Relu);
        let rnn = Rnn { kind: Kind::Map, form, alpha: 1.0, activation, w: w.into(), drive };
        let (_, found) = searched(&rnn, 1);
        println!("{}; {} found", found.coverage[0].statement(), found.cycles.len());
        assert!(found.coverage[0].complete && found.coverage[0].method == Method::Bounds);
        let expected = brute(&rnn);
        same(&found, &expected);
        points += expected.len();
        several += usize::from(expected.len() > 1);
    }
    println!("{points} fixed points, {several} networks with several");
    assert!(points > 5 && several > 0);
}

fn as_network(rnn: &Rnn) -> Network {
    let n = rnn.drive.len();
    let mut network = Network::plain(
        rnn.activation,
        Recurrence::Dense(rnn.w.as_ref().clone()),
        Mat::zeros(n, 1),
        Mat::zeros(1, n),
    );
    network.bias.clone_from(&rnn.drive);
    (network.form, network.alpha) = (rnn.form, rnn.alpha);
    network.initial = network.rest();
    network
}

/// Larger networks: what a search by Newton's method and enrichment finds is among what is complete.
#[test]
fn what_enrichment_finds_is_among_all() {
    let mut points = 0;
    let dense = |seed: u64| {
        let mut rng = rng(seed);
        let (w, drive) = (uniform(&mut rng, 20, 20, 0.9), list(&mut rng, 20, 1.0));
        Rnn { w: w.into(), drive, ..low_rank(0, [20, 1], Form::Rate, 1.0, Activation::Relu) }
    };
    let low = |seed: u64| low_rank(seed, [48, 2 + seed as usize % 2], Form::Rate, 0.5, Activation::Relu);
    let clipped = |seed: u64| low_rank(seed, [24, 2], Form::Rate, 1.0, CLIPPED);
    for rnn in (40..42).map(low).chain((50..52).map(clipped)).chain((60..62).map(dense)) {
        let begin = Instant::now();
        let (_, found) = searched(&rnn, 1);
        println!(
            "{}; {} found in {:.0} ms",
            found.coverage[0].statement(),
            found.cycles.len(),
            1e3 * begin.elapsed().as_secs_f64()
        );
        assert!(found.coverage[0].complete);
        let options = fixed_points::Options { vectors: false, ..fixed_points::Options::default() };
        let enriched = of_network(&as_network(&rnn), &[0.0], Kind::Map, &options, &GO).unwrap();
        assert!(enriched.points.len() <= found.cycles.len());
        for point in &enriched.points {
            let nearest = found
                .cycles
                .iter()
                .map(|cycle| apart(&cycle.orbit[0], &point.state))
                .fold(f64::INFINITY, f64::min);
            assert!(nearest < 1e-7, "{nearest} from {:?}", &point.state[..4]);
        }
        points += found.cycles.len();
    }
    assert!(points > 6, "{points}");
}

/// Exact integrators have the one fixed point Gamma (1 - Gamma)^-1 x in their latent, whatever is held.
#[test]
fn exact_designs_have_one_fixed_point_and_no_other_cycle() {
    for n in [32, 128] {
        let task = Integration { decays: vec![0.9, 0.95], scales: vec![1.0; 2] };
        let spec =
            Spec { neurons: n, task, activation: Activation::Relu, seed: 0, encoder: None, decoder: None };
        let design = exact(&spec).unwrap();
        for network in [design.network.clone(), design.dense()] {
            let x = [0.3, -0.7];
            let rnn = Rnn::new(&network, &x, Kind::Map).unwrap();
            let begin = Instant::now();
            let (_, found) = searched(&rnn, 2);
            let coverage: Vec<String> = found.coverage.iter().map(Coverage::statement).collect();
            println!("n = {n}: {coverage:?} in {:.0} ms", 1e3 * begin.elapsed().as_secs_f64());
            assert!(found.coverage.iter().all(|k| k.complete && k.method == Method::Regions));
            assert_eq!((found.latent, found.cycles.len(), found.cycles[0].period), (Some(2), 1, 1));
            let y = &network.readout * Mat::from_fn(n, 1, |i, _| found.cycles[0].orbit[0][i]);
            for (k, (x, decay)) in x.iter().zip([0.9, 0.95]).enumerate() {
                assert!((y[(k, 0)] - decay / (1.0 - decay) * x).abs() < 1e-9, "{}", y[(k, 0)]);
            }
            assert!(found.degenerate.is_empty());
        }
    }
}

/// Decay 1 in one channel: a line of fixed points through many regions, all others of which touch it at most.
#[test]
fn a_line_of_fixed_points_is_one_of_dimension_one() {
    let task = Integration { decays: vec![0.5, 0.9], scales: vec![1.0; 2] };
    let spec =
        Spec { neurons: 64, task, activation: Activation::Relu, seed: 1, encoder: None, decoder: None };
    let mut network = paired(&spec).unwrap().network;
    let Recurrence::LowRank { u, mut v } = network.recurrence.clone() else { panic!("of low rank") };
    for v in v.col_as_slice_mut(0) {
        *v *= 2.0;
    }
    network.recurrence = Recurrence::LowRank { u, v };
    for held in [0.0, 0.2] {
        let (map, found) = searched(&Rnn::new(&network, &[0.0, held], Kind::Map).unwrap(), 1);
        println!("{}", found.coverage[0].statement());
        assert!(found.coverage[0].complete && found.coverage[0].degenerate > 60);
        assert!(found.cycles.is_empty(), "{:?}", found.cycles);
        let held: Vec<_> = found.degenerate.iter().filter(|word| word.point.is_some()).collect();
        assert!(held.len() >= 2, "{}", held.len());
        for word in held {
            let point = word.point.as_ref().unwrap();
            let mut next = vec![0.0; map.n()];
            map.value(point, &mut next);
            assert!(
                word.dimension == 1 && apart(point, &next) < 1e-9,
                "{} {}",
                word.dimension,
                apart(point, &next)
            );
            assert_eq!(map.region(point), word.regions[0], "inside of its region");
        }
    }
}

/// Borders that are equal, opposite and parallel, and all through one point.
#[test]
fn degenerate_arrangements_are_whole() {
    for (seed, rank) in [(1, 1), (2, 2), (3, 3)] {
        let mut base = low_rank(seed, [5, rank], Form::Rate, 1.0, Activation::Relu);
        for central in [false, true] {
            if central {
                base.drive.fill(0.0);
            }
            // Neuron i + 5 is neuron i again, i + 10 is its mirror image, i + 15 is parallel to it.
            let n = 20;
            let row = |i: usize| if i / 5 == 2 { -1.0 } else { 1.0 };
            let w = Mat::from_fn(n, n, |i, j| row(i) * base.w[(i % 5, j % 5)] / 4.0);
            let shift = |i: usize| if i >= 15 && !central { 0.4 } else { 0.0 };
            let drive = (0..n).map(|i| row(i) * base.drive[i % 5] + shift(i)).collect();
            let rnn = Rnn { w: w.into(), drive, ..base.clone() };
            let (_, found) = searched(&rnn, 1);
            println!("{}; {} found", found.coverage[0].statement(), found.cycles.len());
            assert!(found.coverage[0].complete);
            let options = fixed_points::Options { vectors: false, ..fixed_points::Options::default() };
            let enriched = of_network(&as_network(&rnn), &[0.0], Kind::Map, &options, &GO).unwrap();
            for point in &enriched.points {
                let near =
                    |cycle: &tinyfold::dynamics::cycles::Cycle| apart(&cycle.orbit[0], &point.state) < 1e-7;
                assert!(found.cycles.iter().any(near), "{point:?}");
            }
            if central {
                assert!(found.cycles.iter().any(|cycle| cycle.orbit[0].iter().all(|z| z.abs() < 1e-12)));
            }
        }
    }
}

#[test]
fn a_map_that_contracts_has_one_fixed_point_and_no_cycle() {
    let mut rng = rng(3);
    let (n, form, activation) = (40, Form::Rate, Activation::Relu);
    let (w, drive) = (uniform(&mut rng, n, n, 1.8 / n as f64), list(&mut rng, n, 1.0));
    let rnn = Rnn { kind: Kind::Map, form, alpha: 0.5, activation, w: w.into(), drive };
    let (_, found) = searched(&rnn, 3);
    println!("{:?}", found.coverage.iter().map(Coverage::statement).collect::<Vec<String>>());
    assert!(found.coverage.iter().all(|k| k.complete && k.method == Method::Unique));
    assert_eq!(found.cycles.len(), 1);
    // Not a contraction, but monotone: one fixed point; of cycles nothing is known.
    let skew = Mat::from_fn(n, n, |i, j| if i == j { 0.0 } else { (i as f64 - j as f64).signum() * 0.3 });
    let map = Piecewise::of_rnn(&Rnn { w: skew.into(), ..rnn }).unwrap();
    let found = find(&map, &Options { period: 2, starts: 4, ..Options::default() }, &GO).unwrap();
    let methods: Vec<Method> = found.coverage.iter().map(|k| k.method).collect();
    assert_eq!(methods, [Method::Unique, Method::Starts]);
    assert!(!found.coverage[1].complete);
}

/// A limit and a stop leave what was found, and say that it is not all.
#[test]
fn bounded_searches_say_so() {
    let rnn = low_rank(40, [48, 2], Form::Rate, 0.5, Activation::Relu);
    let map = Piecewise::of_rnn(&rnn).unwrap();
    let all = find(&map, &Options::default(), &GO).unwrap();
    let some = find(&map, &Options { most_words: 100.0, starts: 6, ..Options::default() }, &GO).unwrap();
    assert!(!some.coverage[0].complete && some.coverage[0].method == Method::Starts);
    assert!(some.cycles.len() <= all.cycles.len() && !some.cycles.is_empty());
    let stopped = find(&map, &Options::default(), &AtomicBool::new(true)).unwrap();
    assert!(stopped.coverage.is_empty() && stopped.cycles.is_empty());
}

/// Manifolds of saddles of a map with too many regions for preimages: unstable ones whole, stable ones where they are
/// straight; as JSON.
#[test]
fn manifolds_of_saddles_are_data() {
    let mut saddles = 0;
    for seed in 40..48 {
        let (map, found) = searched(&low_rank(seed, [24, 2], Form::Rate, 1.0, Activation::Relu), 2);
        let reach = Reach::around(&found.cycles, 200);
        for of in of_saddles(&map, &found.cycles, &reach, &GO).unwrap() {
            let json = serde_json::to_value(&of).unwrap();
            assert_eq!(json["cycle"], of.cycle);
            assert_eq!(json["segments"].as_array().unwrap().len(), of.manifold.segments.len());
            let cycle = &found.cycles[of.cycle];
            assert!(cycle.index > 0 && cycle.index < map.n() && !of.manifold.segments.is_empty());
            saddles += 1;
        }
    }
    assert!(saddles > 0);
}
