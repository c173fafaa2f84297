//! All cycles of small piecewise-linear maps.

use std::sync::atomic::AtomicBool;

use serde_json::json;
use tinyfold::dynamics::cycles::{Found, Options, Piecewise, find};
use tinyfold::format::arrays::ArrayFile;

use super::{Bench, known, number};

pub(super) fn rows(bench: &mut Bench) {
    bench.head("Cycles of maps of n <= 4, µs a word of regions", "NumPy, all words of a period at once");
    let file = ArrayFile::open(&known::path("plrnn_small.safetensors")).expect("the reference");
    let reference = known::json("plrnn_small_reference.json");
    let small = reference.as_object().expect("networks").iter().filter(|net| net.1["n"].as_u64() <= Some(4));
    let nets: Vec<(&String, Piecewise, usize, usize)> = small
        .map(|(name, net)| {
            let map = Piecewise::of_arrays(&file, &format!("{name}/")).expect("the reference");
            let longest = net["brute"].as_object().expect("periods").len();
            let period = if bench.quick { longest.min(3) } else { longest };
            let count = |k: usize| net["brute"][&k.to_string()]["n"].as_u64().expect("a count") as usize;
            (name, map, period, (1..=period).map(count).sum())
        })
        .collect();
    let names: Vec<(&String, usize)> = nets.iter().map(|net| (net.0, net.2)).collect();
    let expected: Vec<usize> = nets.iter().map(|net| net.3).collect();
    let total: usize = expected.iter().sum();
    for (quantity, prune) in [("every word solved", false), ("words that no orbit can follow pruned", true)] {
        let one = |(_, map, period, _): &(&String, Piecewise, usize, usize)| {
            let options = Options { period: *period, prune, ..Options::default() };
            find(map, &options, &AtomicBool::new(false)).expect("a search")
        };
        let request = json!({ "method": "brute_force_cycles", "networks": names });
        let timed = bench.time(1, || nets.iter().map(one).collect::<Vec<Found>>(), request);
        let counts: Vec<usize> = timed.found.iter().map(|found| found.cycles.len()).collect();
        assert_eq!(counts, expected);
        let coverage = timed.found.iter().flat_map(|found| &found.coverage);
        assert!(coverage.clone().all(|coverage| coverage.complete));
        let words: f64 = coverage.map(|coverage| coverage.candidates).sum();
        let found = format!("all {total} cycles of {} maps, none else; {words} words", nets.len());
        bench.row(quantity, Some(1.0), words / 1e3, &timed, &found, |answer| {
            let theirs = answer["cycles"].as_array().expect("counts").iter();
            let right = theirs.zip(&expected).filter(|(theirs, expected)| **theirs == **expected as u64);
            format!("{} maps right of {}; {} words", right.count(), nets.len(), number(answer, "candidates"))
        });
    }
}
