//! Every cycle of the reference networks, and nothing else.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crate::references::{network, numbers, path};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tinyfold::dynamics::cycles::{Degenerate, Method, Options, Piecewise, Reach, Region, find, manifolds};
use tinyfold::dynamics::lyapunov::{Plane, Watch, basins};
use tinyfold::dynamics::{Kind, Rnn, System};
use tinyfold::format::arrays::ArrayFile;
use tinyfold::network::{Activation, Form};

static GO: AtomicBool = AtomicBool::new(false);

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
                by_masks.insert(cycle.regions.iter().map(Region::mask).collect(), cycle);
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

/// Lozi's saddles: points of the stable manifold go to the saddle; images of the unstable one are on it, and
/// backwards it goes to the saddle; what the two share with the basins is the border between staying and
/// leaving.
#[test]
fn manifolds_of_lozi_saddles() {
    let (file, _) = reference();
    let map = Piecewise::of_arrays(&file, "plrnn_lozi_a1.7_b0.5/").unwrap();
    let found = find(&map, &Options { period: 2, ..Options::default() }, &GO).unwrap();
    let reach = Reach { radius: 3.0, segments: 3000 };
    for cycle in &found.cycles {
        let manifolds = manifolds(&map, cycle, &reach).unwrap();
        let [unstable, stable] = &manifolds[..] else { panic!("two manifolds, not {}", manifolds.len()) };
        assert!(!unstable.stable && stable.stable);
        println!(
            "period {}: {} unstable, {} stable",
            cycle.period,
            unstable.segments.len(),
            stable.segments.len()
        );
        let away = |z: &[f64]| cycle.orbit.iter().map(|c| distance(c, z)).fold(f64::INFINITY, f64::min);
        for segment in &stable.segments {
            let mut z = middle(segment);
            let mut nearest = away(&z);
            for _ in 0..40 {
                z = step(&map, &z);
                nearest = nearest.min(away(&z));
            }
            assert!(nearest < 1e-5, "{segment:?}: {nearest}");
        }
        // The images of early segments were followed.
        for segment in &unstable.segments[..300] {
            let z = step(&map, &middle(segment));
            let off = unstable
                .segments
                .iter()
                .map(|segment| from_segment(segment, &z))
                .fold(f64::INFINITY, f64::min);
            assert!(z.iter().any(|z| z.abs() > 3.0) || off < 1e-9, "{off}");
            // Backwards: z = (x, y), x = y' / 0.5, y = x' - 1 + 1.7 |x|.
            let mut z = middle(segment);
            let mut nearest = away(&z);
            for _ in 0..30 {
                let x = z[1] / 0.5;
                z = vec![x, z[0] - 1.0 + 1.7 * x.abs()];
                nearest = nearest.min(away(&z));
            }
            // Rounding grows by 3.9 a step backwards.
            assert!(nearest < 1e-2, "{nearest}");
        }
    }
    // The stable manifold of the left saddle is the border of what stays.
    let left = found.cycles.iter().find(|cycle| cycle.orbit[0][0] < 0.0 && cycle.period == 1).unwrap();
    let border = &manifolds(&map, left, &reach).unwrap()[1];
    let axes = [vec![1.0, 0.0], vec![0.0, 1.0]];
    let plane = Plane::new(vec![0.0; 2], axes, [(-1.99, 1.99); 2], [200; 2]).unwrap();
    let raster = basins(&map, &plane, &[], 400, 1.0, 1e6, &Watch::default()).unwrap();
    let leaves = |x: usize, y: usize| raster.escaped[y * 200 + x];
    let mut changes = 0;
    for y in 0..200 {
        for x in 1..200 {
            if leaves(x, y) != leaves(x - 1, y) {
                let (a, b) = (plane.point(y * 200 + x - 1), plane.point(y * 200 + x));
                let z = [f64::midpoint(a[0], b[0]), a[1]];
                let off = border
                    .segments
                    .iter()
                    .map(|segment| from_segment(segment, &z))
                    .fold(f64::INFINITY, f64::min);
                assert!(off < 0.011, "{z:?}: {off}");
                changes += 1;
            }
        }
    }
    assert!(changes > 100, "{changes}");
}

/// z_1' = 1 + z_1 / 2 - 1.6 max(0, z_1) + max(0, z_2), z_2' = 0.6 max(0, z_1) - 0.2: where z_2 < 0 < z_1 the image is a line,
/// which the stable manifold of the saddle (8/15, 0.12) crosses at the image of where it leaves z_2 > 0, so that it goes on
/// straight down from there.
#[test]
fn a_stable_manifold_goes_on_where_the_map_squeezes_to_a_line() {
    let w = faer::Mat::from_fn(2, 2, |i, j| [[-1.6, 1.0], [0.6, 0.0]][i][j]);
    let map = Piecewise::plrnn(&[0.5, 0.0], w, vec![1.0, -0.2]).unwrap();
    let found = find(&map, &Options { period: 1, ..Options::default() }, &GO).unwrap();
    let reach = Reach { radius: 4.0, segments: 100 };
    let manifolds = manifolds(&map, &found.cycles[0], &reach).unwrap();
    let stable = manifolds.iter().find(|manifold| manifold.stable).unwrap();
    let downwards = [vec![8.0 / 15.0 - 0.08, 0.0], vec![8.0 / 15.0 - 0.08, -4.0]];
    let ends = |[a, b]: &[Vec<f64>; 2]| distance(a, &downwards[0]) + distance(b, &downwards[1]);
    let as_it = |segment: &&[Vec<f64>; 2]| {
        let [a, b] = *segment;
        ends(segment).min(ends(&[b.clone(), a.clone()])) < 1e-9
    };
    assert_eq!(stable.segments.iter().filter(as_it).count(), 1, "{:?}", stable.segments);
    assert!(stable.complete);
}

fn step(map: &Piecewise, z: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; z.len()];
    map.value(z, &mut out);
    out
}

fn middle([a, b]: &[Vec<f64>; 2]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| f64::midpoint(*a, *b)).collect()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

fn from_segment([a, b]: &[Vec<f64>; 2], z: &[f64]) -> f64 {
    let along: f64 = a.iter().zip(b).zip(z).map(|((a, b), z)| (b - a) * (z - a)).sum();
    let s = (along / distance(a, b).powi(2)).clamp(0.0, 1.0);
    distance(&a.iter().zip(b).map(|(a, b)| a + s * (b - a)).collect::<Vec<f64>>(), z)
}

/// Continua of cycles are singular words that hold points; singular words without points are told apart.
#[test]
fn degenerate_words_are_reported() {
    let one = |x: f64| faer::Mat::from_fn(1, 1, |_, _| x);
    // h' = relu(h): all h >= 0 are fixed points.
    let line = Piecewise::relu(one(1.0), vec![0.0]).unwrap();
    let found = find(&line, &Options::default(), &GO).unwrap();
    assert_eq!(found.degenerate.len(), 1);
    assert!(found.degenerate[0].dimension == 1 && found.degenerate[0].point.is_some());
    // h' = relu(h + 1) has none: the singular word has no solution.
    let drift = Piecewise::relu(one(1.0), vec![1.0]).unwrap();
    let found = find(&drift, &Options { period: 3, ..Options::default() }, &GO).unwrap();
    assert!(found.cycles.is_empty() && found.degenerate.iter().all(|word| word.point.is_none()));
    // z' = 3 - z: one fixed point, 1.5, and all other points have period 2, those of (0, 3) in the region of
    // the point.
    let flip = Piecewise::plrnn(&[-1.0], one(0.0), vec![3.0]).unwrap();
    let found = find(&flip, &Options { period: 4, ..Options::default() }, &GO).unwrap();
    assert_eq!(found.cycles.len(), 1);
    let open = Region(vec![1]);
    let inside = |word: &&Degenerate| word.period == 2 && word.regions.iter().all(|region| *region == open);
    assert!(
        found.degenerate.iter().find(inside).is_some_and(|word| word.point.is_some() && word.dimension == 1)
    );
}

/// On a border several words give one cycle.
#[test]
fn a_cycle_on_a_border_is_found_once() {
    let w = faer::Mat::from_fn(3, 3, |i, j| [[0.3, -0.4, 0.2], [0.5, 0.1, -0.3], [-0.6, 0.2, 0.4]][i][j]);
    let a = [0.2, 0.1, 0.3];
    for k in 0..20 {
        // A fixed point with gate 1 on its border, but for rounding; all gates on it at k = 0.
        let z = [f64::from(k) / 7.0, 0.0, -f64::from(k) / 11.0];
        let h = (0..3).map(|i| z[i] - a[i] * z[i] - w[(i, 0)] * z[0]).collect();
        let map = Piecewise::plrnn(&a, w.clone(), h).unwrap();
        let found = find(&map, &Options { period: 4, ..Options::default() }, &GO).unwrap();
        assert_eq!(found.cycles.len(), 1, "{k}");
        let cycle = &found.cycles[0];
        assert!(cycle.margin < 1e-15 && cycle.border && cycle.period == 1);
        // Gate 1 on its border: of both sides the larger eigenvalues, whichever rounding is on. At k = 0 of some of all.
        let larger = ["100", "110"].map(|digits| {
            let region = Region(digits.bytes().map(|digit| digit - b'0').collect());
            let jacobian = map.affine(&region).subcols(0, 3).to_owned();
            jacobian.eigenvalues().unwrap().iter().map(|value| value.norm()).fold(0.0, f64::max)
        });
        let larger = larger[0].max(larger[1]);
        assert!(k == 0 || (cycle.spectral_radius - larger).abs() < 1e-12, "{k}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    /// Random maps of the plane, also with regions that are squeezed to a line: the map takes stable
    /// manifolds into themselves, and unstable ones that are whole.
    #[test]
    fn manifolds_are_invariant(seed in 0_u64..1000, form in 0_usize..3) {
        use rand::{RngExt, SeedableRng};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let w = faer::Mat::from_fn(2, 2, |_, _| rng.random_range(-3.0..3.0));
        let drive: Vec<f64> = (0..2).map(|_| rng.random_range(-1.0..1.0)).collect();
        let activation = if form == 2 { Activation::Clipped { lo: -0.4, hi: 0.6 } } else { Activation::Relu };
        let alpha = if form == 1 { 0.6 } else { 1.0 };
        let rnn = Rnn { kind: Kind::Map, form: Form::Rate, alpha, activation, w: w.into(), drive };
        let map = Piecewise::of_rnn(&rnn).unwrap();
        let found = find(&map, &Options { period: 3, ..Options::default() }, &GO).unwrap();
        for cycle in &found.cycles {
            let reach = Reach { radius: 10.0, segments: 300 };
            for manifold in manifolds(&map, cycle, &reach).unwrap() {
                for segment in manifold.segments.iter().filter(|_| manifold.stable || manifold.complete) {
                    let z = step(&map, &middle(segment));
                    let off = |segment| from_segment(segment, &z);
                    let off = manifold.segments.iter().map(off).fold(f64::INFINITY, f64::min);
                    prop_assert!(off < 1e-7 || z.iter().any(|z| z.abs() > 10.0), "{} {off} {cycle:?}", manifold.stable);
                }
            }
        }
    }

    /// Random maps of all forms: pruning loses nothing, and starts find nothing that all words do not.
    #[test]
    fn pruning_is_safe(seed in 0_u64..1000, form in 0_usize..4) {
        use rand::{RngExt, SeedableRng};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let mut draw = |rows: usize, columns: usize, scale: f64| {
            faer::Mat::from_fn(rows, columns, |_, _| scale * rng.random_range(-1.0..1.0))
        };
        let mut list = |length: usize| draw(length, 1, 1.0).col_as_slice(0).to_vec();
        let (b, h, a) = (list(3), list(4), list(3));
        let clipped = Activation::Clipped { lo: -0.4, hi: 0.6 };
        let map = match form {
            0 => Piecewise::relu(draw(3, 3, 2.0), b),
            1 => Piecewise::plrnn(&a, draw(3, 3, 2.0), b),
            2 => Piecewise::shallow(draw(3, 3, 0.5), draw(3, 4, 2.0), draw(4, 3, 1.0), b, h),
            _ => Piecewise::of_rnn(&Rnn {
                kind: Kind::Map,
                form: Form::Rate,
                alpha: 0.7,
                activation: clipped,
                w: draw(3, 3, 3.0).into(),
                drive: b,
            }),
        }
        .unwrap();
        let period = if form == 3 { 3 } else { 4 };
        let words = |prune: bool, most_words: f64| {
            let found = find(&map, &Options { period, prune, most_words, ..Options::default() }, &GO).unwrap();
            let words: Vec<String> = found.cycles.iter().map(|cycle| format!("{:?}", cycle.regions)).collect();
            (words, found.coverage)
        };
        let (all, coverage) = words(false, 1e9);
        prop_assert!(coverage.iter().all(|coverage| coverage.complete));
        prop_assert_eq!(&all, &words(true, 1e9).0);
        let (guessed, coverage) = words(true, 0.0);
        prop_assert!(coverage.iter().all(|coverage| coverage.method != Method::All));
        prop_assert!(guessed.iter().all(|word| all.contains(word)));
        let complete = coverage.iter().all(|coverage| coverage.complete);
        prop_assert!(!complete || guessed.len() == all.len(), "{coverage:?}");
    }
}

/// Prints what a candidate costs on one thread, best of several; pruning finds as many cycles, which is all it asserts.
#[test]
fn cost_of_a_candidate() {
    let (file, reference) = reference();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    for (name, net) in reference.as_object().unwrap() {
        let map = Piecewise::of_arrays(&file, &format!("{name}/")).unwrap();
        let period = net["brute"].as_object().unwrap().len();
        let cost = |prune: bool| {
            let options = Options { period, prune, ..Options::default() };
            let mut count = 0;
            let once = |_| {
                let begin = Instant::now();
                let found = pool.install(|| find(&map, &options, &GO)).unwrap();
                count = found.cycles.len();
                let candidates: f64 = found.coverage.iter().map(|coverage| coverage.candidates).sum();
                let words: f64 = found.coverage.iter().map(|coverage| coverage.seconds).sum();
                [words, begin.elapsed().as_secs_f64()].map(|seconds| 1e9 * seconds / candidates)
            };
            let least = (0..15).map(once).reduce(|a, b| [a[0].min(b[0]), a[1].min(b[1])]).unwrap();
            (least, count)
        };
        let (([words, whole], all), ([_, pruned], left)) = (cost(false), cost(true));
        assert_eq!(all, left, "{name}");
        println!(
            "{name:<24} K = {period:<2} ns a candidate: words {words:.0}, with cycles {whole:.0}, pruned {pruned:.0}"
        );
    }
}

#[derive(clap::Parser)]
struct Command {
    #[command(flatten)]
    args: tinyfold::command::dynamics::cycles::Args,
}

/// The command draws its figures and refuses what it cannot do, with a reason.
#[test]
fn the_command_draws_and_refuses() {
    use clap::Parser;
    let file = path("plrnn_small.safetensors");
    let run = |words: &[&str]| {
        let words = ["cycles", file.to_str().unwrap()].into_iter().chain(words.iter().copied());
        tinyfold::command::dynamics::cycles::run(&Command::try_parse_from(words).unwrap().args)
    };
    let folder = tempfile::tempdir().unwrap();
    let folder =
        std::env::var_os("CYCLES_FIGURES").map_or(folder.path().to_owned(), std::path::PathBuf::from);
    for (net, period) in
        [("lozi_a1.7_b0.5", "6"), ("relu_n3_seed8", "3"), ("sh_n2_g5_seed12", "3"), ("plrnn_n6_seed7", "2")]
    {
        let (prefix, folder) = (format!("plrnn_{net}/"), folder.join(net));
        run(&["--arrays", &prefix, "--period", period, "--figures", folder.to_str().unwrap()]).unwrap();
        assert!(folder.join("cycles.png").metadata().unwrap().len() > 10_000);
    }
    run(&["--arrays", "plrnn_tent_mu2/", "--json"]).unwrap();
    let refused = |words: &[&str], part: &str| {
        let message = run(words).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    };
    refused(&["--arrays", "plrnn_tent_mu2/", "--figures", "x"], "in 2 dimensions or more");
    refused(&["--arrays", "none/"], "none/W");
    refused(&["--arrays", "plrnn_tent_mu2/", "--period", "0"], "period");
    refused(&["--arrays", "plrnn_tent_mu2/", "--input", "1"], "--input");
    let tanh =
        Rnn::new(&network("ring_tanh_n64"), &vec![0.0; network("ring_tanh_n64").input.ncols()], Kind::Map);
    assert!(Piecewise::of_rnn(&tanh.unwrap()).unwrap_err().to_string().contains("piecewise linear"));
}

#[test]
fn a_count_beyond_the_digits_of_f64_is_rounded() {
    use tinyfold::dynamics::cycles::{count_lyndon, counted};
    assert_eq!((counted(65536.0), counted(2.0_f64.powi(64))), ("65536".into(), "1.8e19".into()));
    let words = count_lyndon(2.0_f64.powi(300), 4);
    assert_eq!((words, counted(words)), (f64::INFINITY, "more than 1e308".into()));
}
