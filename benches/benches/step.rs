//! Times of one step, by criterion: `cargo bench -p tinyfold-benches`.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use tinyfold_benches::{Contender, contenders};

fn group(criterion: &mut Criterion, n: usize, contenders: Vec<Contender>) {
    let mut group = criterion.benchmark_group(format!("step, n = {n}"));
    for mut contender in contenders {
        group.bench_function(contender.name, |bencher| {
            bencher.iter(|| (contender.step)(black_box(&[0.5, -0.25])));
        });
    }
    group.finish();
}

fn steps(criterion: &mut Criterion) {
    group(criterion, 16, contenders::<16, 18>());
    group(criterion, 32, contenders::<32, 34>());
    group(criterion, 64, contenders::<64, 66>());
    group(criterion, 128, contenders::<128, 130>());
}

criterion_group!(benches, steps);
criterion_main!(benches);
