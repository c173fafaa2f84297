//! A batch in parts, on all cores.

use std::hint::spin_loop;
use std::iter::zip;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire};
use std::time::{Duration, Instant};

use rayon::{Scope, ThreadPool, ThreadPoolBuilder};

use super::bptt::Workspace;
use super::parameters::{Parameters, Real};

/// How long a thread stays awake without work: waking one takes as long as its part of a small network.
const PATIENCE: Duration = Duration::from_micros(200);

/// Helpers of a thread outside of all pools, one less than cores are used: with as many as the global pool has, three
/// threads would share two cores, since one that sleeps is woken while the one that waits awake takes the work.
static HELPERS: LazyLock<Option<ThreadPool>> =
    LazyLock::new(|| ThreadPoolBuilder::new().num_threads(rayon::current_num_threads() - 1).build().ok());

/// Passes that have begun: what waiting threads watch.
static PASSES: AtomicUsize = AtomicUsize::new(0);

/// Waits awake until this is so, at most `PATIENCE`.
fn wait_until(so: impl Fn() -> bool) {
    let began = Instant::now();
    while !so() && began.elapsed() < PATIENCE {
        spin_loop();
    }
}

/// A scope of this pool, or of the one at hand.
fn scoped<'scope>(pool: Option<&ThreadPool>, all: impl FnOnce(&Scope<'scope>)) {
    match pool {
        Some(pool) => pool.in_place_scope(all),
        None => rayon::in_place_scope(all),
    }
}

/// Loss and gradient of a batch in parts: on all cores, added in the order of the parts; the memory of the gradient is
/// best given back to the first workspace.
///
/// This thread does its share, so that only the others may have to be woken. A thread of the pool does not wait awake, nor
/// keeps others so: it would hold up what else the pool has to do, its own parts among it.
///
/// # Panics
/// Without a part.
pub fn in_parts<T: Real, P: Send>(
    parts: &mut [(P, Workspace<T>)],
    each: impl Fn(&mut P, &mut Workspace<T>) -> (f64, Parameters<T>) + Send + Sync,
) -> (f64, Parameters<T>) {
    let threads = parts.len().min(rayon::current_num_threads());
    assert!(threads > 0, "a batch has at least one part");
    let share = parts.len().div_ceil(threads);
    let mut sums: Vec<Option<(f64, Parameters<T>)>> = parts.iter().map(|_| None).collect();
    let work = |(parts, sums): (&mut [(P, Workspace<T>)], &mut [Option<_>])| {
        for (k, sum) in sums.iter_mut().enumerate() {
            // The buffers are where the last pass left them, which before the first part is the last one.
            let last = k.checked_sub(1).unwrap_or(parts.len() - 1);
            if let Ok([last, next]) = parts.get_disjoint_mut([last, k]) {
                last.1.pass_on(&mut next.1);
            }
            let (part, workspace) = &mut parts[k];
            *sum = Some(each(part, workspace));
        }
    };
    let outside = threads > 1 && rayon::current_thread_index().is_none();
    let helpers = if outside { HELPERS.as_ref() } else { None };
    let alone = helpers.is_some();
    let pass = PASSES.fetch_add(1, AcqRel) + 1;
    let working = AtomicUsize::new(parts.len().div_ceil(share) - 1);
    scoped(helpers, |scope| {
        let mut shares = zip(parts.chunks_mut(share), sums.chunks_mut(share));
        let own = shares.next().expect("there is a part");
        for share in shares {
            scope.spawn(|_| {
                work(share);
                if alone {
                    rayon::spawn(move || wait_until(|| PASSES.load(Acquire) != pass));
                }
                // Last, so that who waits for it does not find this job unfinished and sleep.
                working.fetch_sub(1, AcqRel);
            });
        }
        work(own);
        if alone {
            wait_until(|| working.load(Acquire) == 0);
        }
    });
    let mut sums = zip(sums.into_iter().flatten(), parts);
    let (mut sum, _) = sums.next().expect("there is a part");
    for ((loss, gradient), (_, workspace)) in sums {
        sum.0 += loss;
        sum.1.add(&gradient);
        workspace.recycle(gradient);
    }
    sum
}
