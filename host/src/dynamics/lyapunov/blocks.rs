//! Blocks of work on all cores, begun one after the other.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

/// work(0), work(1), ... on all cores, begun in this order: after an early end only the last ones are missing.
pub(super) fn in_order<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let one = |_| {
        let k = next.fetch_add(1, Ordering::Relaxed);
        (k, work(k))
    };
    let mut done: Vec<(usize, T)> = (0..count).into_par_iter().with_max_len(1).map(one).collect();
    done.sort_unstable_by_key(|done| done.0);
    done.into_iter().map(|done| done.1).collect()
}
