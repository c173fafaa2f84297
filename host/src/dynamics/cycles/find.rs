//! All cycles up to a period, and what was covered.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use indicatif::ProgressBar;
use rayon::prelude::*;
use serde::Serialize;

use super::cycle::{BORDER, Cycle, Degenerate, cycle, degenerate, digits, singular_powers};
use super::regions::{Graph, RADIUS};
use super::search::{Words, count_lyndon, search_words};
use super::{Piecewise, Region, guess};
use crate::Result;
use crate::dynamics::vector::largest;
use crate::error::require;

/// How to search.
#[derive(Clone, Debug)]
pub struct Options {
    /// K, the largest period.
    pub period: usize,
    /// Leave out what can be proved impossible; without it every word is solved.
    pub prune: bool,
    /// A period with more words than this, after pruning, is searched from starts alone.
    pub most_words: f64,
    /// Starts of that search, per period.
    pub starts: usize,
    /// Solves per start.
    pub solves: usize,
    /// Its seed.
    pub seed: u64,
    /// Moved as words of a period are solved; its length is about their number.
    pub bar: ProgressBar,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            period: 1,
            prune: true,
            most_words: 1e8,
            starts: 200,
            solves: 100,
            seed: 0,
            bar: ProgressBar::hidden(),
        }
    }
}

/// How a period was searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// All words.
    All,
    /// From random starts: the regions of a word's solution are the next word.
    Starts,
}

/// What the search of one period covered.
#[derive(Clone, Debug, Serialize)]
pub struct Coverage {
    /// k.
    pub period: usize,
    /// How it was searched.
    pub method: Method,
    /// Words there are: Lyndon words of k letters, a letter one of all (pieces)^g regions.
    pub candidates: f64,
    /// Linear systems solved; from starts a word may be solved more than once.
    pub solved: u64,
    /// Words left out since a region in them is empty or a transition in them is impossible.
    pub pruned: f64,
    /// Words with a singular system, with those that repeat a shorter word.
    pub degenerate: u64,
    /// Whether every candidate was solved or is proved to hold no cycle within [`RADIUS`] of the origin.
    pub complete: bool,
    /// Time that the words took, without that of the cycles found.
    #[serde(skip)]
    pub seconds: f64,
}

/// A count as people read it: digits as long as f64 holds them all.
#[must_use]
pub fn counted(count: f64) -> String {
    if count < 1e15 { count.to_string() } else { format!("{count:.1e}") }
}

impl Coverage {
    /// One sentence for a reader.
    #[must_use]
    pub fn statement(&self) -> String {
        let Self { period, candidates, solved, pruned, degenerate, .. } = self;
        let candidates = counted(*candidates);
        match (self.method, self.complete) {
            (Method::All, complete) => format!(
                "period {period}: {candidates} words, {solved} solved, {} pruned, {degenerate} singular: {}",
                counted(*pruned),
                if complete { "complete" } else { "stopped before the end" },
            ),
            (Method::Starts, _) => {
                format!(
                    "period {period}: {candidates} words are too many, {solved} solved from starts: not complete"
                )
            }
        }
    }
}

/// Cycles of a map and what was covered in finding them.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// All cycles by period, then by regions.
    pub cycles: Vec<Cycle>,
    /// Singular words that hold orbits, and those looked at that do not.
    pub degenerate: Vec<Degenerate>,
    /// What was covered, a period each.
    pub coverage: Vec<Coverage>,
    /// (pieces)^g.
    pub regions: f64,
    /// Regions that words were made of; `None` if they are too many to list.
    pub regions_used: Option<usize>,
    /// Transitions between them.
    pub transitions: Option<usize>,
    /// Pruned is only what is proved to hold no cycle within this distance of the origin.
    pub radius: f64,
}

impl Found {
    /// The cycles of one period.
    pub fn of_period(&self, k: usize) -> impl Iterator<Item = &Cycle> {
        self.cycles.iter().filter(move |cycle| cycle.period == k)
    }
}

/// Singular words of one period that are looked at.
const LOOKED_AT: usize = 1000;

/// Finds the fixed points and cycles of all periods up to K; a period whose words are too many is searched
/// from starts, and its coverage says so. Once `stop` is true it ends with what it has.
///
/// # Errors
/// A period of 0; eigenvalues that do not converge.
pub fn find(map: &Piecewise, options: &Options, stop: &AtomicBool) -> Result<Found> {
    require(options.period > 0, "period", "at least 1", options.period)?;
    let graph = if options.prune { Graph::nonempty(map) } else { Graph::whole(map) };
    // The table of transitions costs about what solving for all words of length 2 does.
    let graph =
        graph.map(|graph| if options.prune && options.period > 2 { graph.pruned(map) } else { graph });
    let regions = (map.pieces.len() as f64).powi(map.r.len() as i32);
    let mut found = Found {
        cycles: Vec::new(),
        degenerate: Vec::new(),
        coverage: Vec::new(),
        regions,
        regions_used: graph.as_ref().map(|graph| graph.regions.len()),
        transitions: graph.as_ref().map(Graph::transitions),
        radius: RADIUS,
    };
    let mut repeated: Vec<Vec<Region>> = Vec::new();
    for k in 1..=options.period {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let candidates = count_lyndon(regions, k);
        let begin = Instant::now();
        let (words, singular, coverage) = match &graph {
            Some(graph) if graph.words(k) <= options.most_words => {
                begin_bar(&options.bar, graph.words(k) as u64, "words", k);
                all_words(map, graph, k, candidates, &options.bar, stop)
            }
            _ => {
                begin_bar(&options.bar, options.starts as u64, "starts", k);
                let (words, solved) = guess::words(map, k, options, stop);
                let method = Method::Starts;
                let rest = Coverage {
                    period: k,
                    method,
                    candidates,
                    solved,
                    pruned: 0.0,
                    degenerate: 0,
                    complete: false,
                    seconds: 0.0,
                };
                (words, Vec::new(), rest)
            }
        };
        let seconds = begin.elapsed().as_secs_f64();
        let cycles = words.par_iter().map(|word| cycle(map, word)).collect::<Result<Vec<_>>>()?;
        let cycles = distinct(cycles.into_iter().flatten().collect());
        for cycle in &cycles {
            let powers = singular_powers(cycle, options.period);
            repeated.extend(powers.into_iter().map(|m| vec![cycle.regions.clone(); m].concat()));
        }
        let again = repeated.iter().filter(|word| word.len() == k);
        let looked_at: Vec<&Vec<Region>> = singular.iter().chain(again).collect();
        let holds = looked_at.par_iter().map(|word| degenerate(map, word)).collect::<Result<Vec<_>>>()?;
        found.degenerate.extend(holds.into_iter().flatten());
        let repeats = looked_at.len() - singular.len();
        found.coverage.push(Coverage {
            degenerate: coverage.degenerate + repeats as u64,
            seconds,
            ..coverage
        });
        found.cycles.extend(cycles);
    }
    Ok(found)
}

fn begin_bar(bar: &ProgressBar, length: u64, of: &str, period: usize) {
    bar.set_position(0);
    bar.set_length(length);
    bar.set_message(format!("{of} of period {period}"));
}

type Parts = (Vec<Vec<Region>>, Vec<Vec<Region>>, Coverage);

/// Words of cycles and singular words of length k, with their coverage.
fn all_words(
    map: &Piecewise,
    graph: &Graph,
    k: usize,
    candidates: f64,
    bar: &ProgressBar,
    stop: &AtomicBool,
) -> Parts {
    let Words { solved, hits, mut singular, counts, stopped } = search_words(map, graph, k, bar, stop);
    let spelled = |words: &[Vec<u32>]| -> Vec<Vec<Region>> {
        let spell = |word: &Vec<u32>| word.iter().map(|&i| graph.regions[i as usize].clone()).collect();
        words.iter().map(spell).collect()
    };
    singular.truncate(LOOKED_AT);
    let kept = hits.len() as u64 == counts[0] && singular.len() as u64 == counts[1];
    let coverage = Coverage {
        period: k,
        method: Method::All,
        candidates,
        solved,
        pruned: if stopped { 0.0 } else { candidates - solved as f64 },
        degenerate: counts[1],
        complete: kept && !stopped,
        seconds: 0.0,
    };
    (spelled(&hits), spelled(&singular), coverage)
}

/// Sorted by regions, each once: on a border several words give one cycle.
fn distinct(cycles: Vec<Cycle>) -> Vec<Cycle> {
    let mut words = HashSet::new();
    let mut kept: Vec<Cycle> = Vec::with_capacity(cycles.len());
    for cycle in cycles {
        let size = 1.0 + cycle.orbit.iter().map(|z| largest(z)).fold(0.0, f64::max);
        let border = cycle.margin < BORDER * size;
        let new = words.insert(cycle.regions.clone());
        if new && !(border && kept.iter().any(|known| known.same(&cycle))) {
            kept.push(cycle);
        }
    }
    let key = |cycle: &Cycle| cycle.regions.iter().map(digits).collect::<Vec<_>>();
    kept.sort_by_cached_key(key);
    kept
}
