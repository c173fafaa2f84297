//! All cycles up to a period, and what was covered.

use std::collections::HashSet;
use std::iter::zip;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use indicatif::ProgressBar;
use rayon::prelude::*;
use serde::Serialize;

use super::cycle::{Cycle, cycle, digits, singular_powers};
use super::degenerate::{Degenerate, degenerate, sorted_out};
use super::latent::Latent;
use super::regions::{Graph, RADIUS};
use super::search::{Words, count_lyndon, is_singular, search_words};
use super::{Piecewise, Region, bounds, cells, guess};
use crate::Result;
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
    /// All regions of the k-th iterate that have an inside, in the latent of a map of low rank or in a space of
    /// few dimensions.
    Regions,
    /// All choices of pieces that bounds do not exclude (fixed points).
    Bounds,
    /// From random starts, since there is proved to be at most one fixed point and no other cycle.
    Unique,
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
    /// Words there are: Lyndon words of k letters, a letter one of all (pieces)^g regions; infinite, in JSON null, beyond
    /// the range of f64.
    pub candidates: f64,
    /// Linear systems solved; a word may be solved more than once from starts, and in the parts into which
    /// coordinate planes cut its region.
    pub solved: u64,
    /// Words left out, since no point passes their regions or none of those can repeat.
    pub pruned: f64,
    /// Words with a singular system, with those that repeat a shorter word.
    pub degenerate: u64,
    /// Whether no cycle can be missing: every candidate was solved or is proved to hold none, by the methods `All` and
    /// `Bounds` within [`RADIUS`] of the origin, by `Regions` but for regions as thin as rounding.
    pub complete: bool,
    /// Time that the words took, without that of the cycles found.
    #[serde(skip)]
    pub seconds: f64,
}

/// A count as people read it: digits as long as f64 holds them all.
#[must_use]
pub fn counted(count: f64) -> String {
    match count {
        ..1e15 => count.to_string(),
        f64::INFINITY => "more than 1e308".into(),
        _ => format!("{count:.1e}"),
    }
}

impl Coverage {
    /// One sentence for a reader.
    #[must_use]
    pub fn statement(&self) -> String {
        let Self { period, candidates, solved, pruned, degenerate, complete, .. } = self;
        let end = if *complete { "complete" } else { "stopped before the end" };
        let singular = format!("{degenerate} singular");
        let what = match self.method {
            Method::All => format!("{solved} solved, {} pruned, {singular}: {end}", counted(*pruned)),
            Method::Regions => {
                format!("{solved} parts of regions that points pass solved, {singular}: {end}")
            }
            Method::Bounds => format!("{solved} solved, the others excluded by bounds, {singular}: {end}"),
            Method::Unique if *period > 1 => "none can repeat, the map contracts: complete".into(),
            Method::Unique => format!(
                "at most one holds a fixed point, {solved} solved from starts: {}",
                if *complete { "complete" } else { "not found" }
            ),
            Method::Starts => format!("too many, {solved} solved from starts: not complete"),
        };
        format!("period {period}: {} words, {what}", counted(*candidates))
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
    /// Dimension of the latent that holds all cycles, where regions were enumerated there.
    pub latent: Option<usize>,
}

impl Found {
    /// The cycles of one period.
    pub fn of_period(&self, k: usize) -> impl Iterator<Item = &Cycle> {
        self.cycles.iter().filter(move |cycle| cycle.period == k)
    }
}

/// Singular words of one period that are looked at, where all words are solved.
const LOOKED_AT: usize = 1000;
/// Regions that are enumerated at most.
const REGIONS: f64 = 4e6;

/// Finds the fixed points and cycles of all periods up to K; a period whose words are too many is searched
/// from starts, and its coverage says so. Once `stop` is true it ends with what it has.
///
/// # Errors
/// A period of 0; eigenvalues that do not converge.
pub fn find(map: &Piecewise, options: &Options, stop: &AtomicBool) -> Result<Found> {
    require(options.period > 0, "period", "at least 1", options.period)?;
    let search = Search::new(map, options, stop);
    let regions = (map.pieces.len() as f64).powi(map.r.len() as i32);
    let mut found = Found {
        cycles: Vec::new(),
        degenerate: Vec::new(),
        coverage: Vec::new(),
        regions,
        regions_used: search.graph.as_ref().map(|graph| graph.regions.len()),
        transitions: search.graph.as_ref().map(Graph::transitions),
        radius: RADIUS,
        latent: search.latent.as_ref().filter(|_| search.few).map(|latent| latent.map.n()),
    };
    let mut repeated: Vec<Vec<Region>> = Vec::new();
    for k in 1..=options.period {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let begin = Instant::now();
        let Parts { words, singular, coverage } = search.of_period(k, count_lyndon(regions, k));
        let seconds = begin.elapsed().as_secs_f64();
        let again: Vec<Vec<Region>> = repeated.iter().filter(|word| word.len() == k).cloned().collect();
        let degenerate = coverage.degenerate + again.len() as u64;
        let looked_at: Vec<&Vec<Region>> = singular.iter().chain(&again).collect();
        let holds = looked_at.par_iter().map(|word| search.degenerate(word)).collect::<Result<Vec<_>>>()?;
        // Singular by the one measure and not by the other: it has one solution.
        let regular = zip(&looked_at, &holds).filter(|(_, holds)| holds.is_none()).map(|(word, _)| *word);
        let words: Vec<&Vec<Region>> = words.iter().chain(regular).collect();
        let cycles = words.par_iter().map(|word| cycle(map, word)).collect::<Result<Vec<_>>>()?;
        let cycles = distinct(cycles.into_iter().flatten().collect());
        for cycle in &cycles {
            let powers = singular_powers(cycle, options.period);
            repeated.extend(powers.into_iter().map(|m| vec![cycle.regions.clone(); m].concat()));
        }
        found.degenerate.extend(holds.into_iter().flatten());
        let unique = coverage.method == Method::Unique && k == 1;
        let complete = if unique { !cycles.is_empty() } else { coverage.complete };
        found.coverage.push(Coverage { degenerate, complete, seconds, ..coverage });
        let cycles = cycles.into_iter().map(|cycle| cycle.of_all_sides(map)).collect::<Result<Vec<_>>>()?;
        found.cycles.extend(cycles);
    }
    found.degenerate = sorted_out(map, found.degenerate, &found.cycles);
    Ok(found)
}

/// Words of cycles and singular words of one period, with their coverage.
struct Parts {
    words: Vec<Vec<Region>>,
    singular: Vec<Vec<Region>>,
    coverage: Coverage,
}

/// The ways to search a map.
struct Search<'a> {
    map: &'a Piecewise,
    options: &'a Options,
    stop: &'a AtomicBool,
    /// The regions, where they can be listed.
    graph: Option<Graph>,
    latent: Option<Latent>,
    /// Whether regions are split in the latent, or in the map's own few dimensions.
    few: bool,
    contracts: bool,
}

impl<'a> Search<'a> {
    fn new(map: &'a Piecewise, options: &'a Options, stop: &'a AtomicBool) -> Self {
        let listed = Graph::listable(map);
        let latent = if options.prune && !listed { Latent::of(map) } else { None };
        let (gates, borders) = (map.r.len(), map.pieces.len() - 1);
        let n = latent.as_ref().map_or(map.n(), |latent| latent.map.n());
        let most = options.most_words.min(REGIONS);
        let few =
            options.prune && !listed && n <= cells::DIMENSIONS && cells::most(n, gates, borders) <= most;
        let graph = match options.prune {
            true if few => None,
            true => Graph::nonempty(map),
            false => Graph::whole(map),
        };
        // The table of transitions costs about what solving for all words of length 2 does.
        let graph =
            graph.map(|graph| if options.prune && options.period > 2 { graph.pruned(map) } else { graph });
        let contracts = options.prune && graph.is_none() && !few && bounds::contracts(map);
        Self { map, options, stop, graph, latent, few, contracts }
    }

    /// The map in as few dimensions as its regions are split in.
    fn small(&self) -> &Piecewise {
        self.latent.as_ref().map_or(self.map, |latent| &latent.map)
    }

    fn of_period(&self, k: usize, candidates: f64) -> Parts {
        let options = self.options;
        if let Some(graph) = self.graph.as_ref().filter(|graph| graph.words(k) <= options.most_words) {
            begin_bar(&options.bar, graph.words(k) as u64, "words", k);
            return all_words(self.map, graph, k, candidates, &options.bar, self.stop);
        }
        let none = |method: Method, complete: bool| Coverage {
            period: k,
            method,
            candidates,
            solved: 0,
            pruned: 0.0,
            degenerate: 0,
            complete,
            seconds: 0.0,
        };
        if self.contracts && k > 1 {
            let coverage = Coverage { pruned: candidates, ..none(Method::Unique, true) };
            return Parts { words: Vec::new(), singular: Vec::new(), coverage };
        }
        let mut parts = if self.few {
            self.regions(k, none(Method::Regions, false))
        } else {
            let gates = if k == 1 && options.prune { bounds::Gates::of(self.map) } else { None };
            match gates {
                Some(gates) if self.contracts || gates.monotone() => {
                    Parts { words: Vec::new(), singular: Vec::new(), coverage: none(Method::Unique, false) }
                }
                Some(gates) => self.bounded(&gates, none(Method::Bounds, false)),
                None => {
                    Parts { words: Vec::new(), singular: Vec::new(), coverage: none(Method::Starts, false) }
                }
            }
        };
        if !parts.coverage.complete && !self.stop.load(Ordering::Relaxed) {
            begin_bar(&options.bar, options.starts as u64, "starts", k);
            let (words, solved) = guess::words(self.map, k, options, self.stop);
            parts.words.extend(words);
            parts.coverage.solved += solved;
            if parts.coverage.method != Method::Unique {
                parts.coverage.method = Method::Starts;
            }
        }
        parts
    }

    /// All regions of the k-th iterate.
    fn regions(&self, k: usize, coverage: Coverage) -> Parts {
        let map = self.small();
        let gates = k * map.r.len();
        let limit = self.options.most_words.min(REGIONS);
        let length = cells::most(map.n(), gates, map.pieces.len() - 1).min(limit);
        begin_bar(&self.options.bar, length as u64, "regions", k);
        let found = cells::search(map, k, limit as u64, &self.options.bar, self.stop);
        let coverage = Coverage {
            solved: found.solved,
            pruned: if found.complete { (coverage.candidates - found.solved as f64).max(0.0) } else { 0.0 },
            degenerate: found.singular_count,
            complete: found.complete,
            ..coverage
        };
        Parts {
            words: found.hits.into_iter().map(|hit| hit.word).collect(),
            singular: found.singular,
            coverage,
        }
    }

    /// All choices of pieces that bounds do not exclude.
    fn bounded(&self, gates: &bounds::Gates<'_>, coverage: Coverage) -> Parts {
        begin_bar(&self.options.bar, gates.most_tests(), "bounds", coverage.period);
        let found = gates.search(&self.options.bar, self.stop);
        let solved = found.regions.len() as u64;
        let (singular, words): (Vec<Region>, Vec<Region>) =
            found.regions.into_iter().partition(|region| is_singular(self.map, region));
        let one = |regions: Vec<Region>| regions.into_iter().map(|region| vec![region]).collect();
        let coverage = Coverage {
            solved,
            pruned: if found.complete { coverage.candidates - solved as f64 } else { 0.0 },
            degenerate: singular.len() as u64,
            complete: found.complete,
            ..coverage
        };
        Parts { words: one(words), singular: one(singular), coverage }
    }

    /// What a singular word holds, by its few numbers where there is a latent.
    fn degenerate(&self, word: &[Region]) -> Result<Option<Degenerate>> {
        let mut held = degenerate(self.small(), word)?;
        if let (Some(latent), Some(held)) = (&self.latent, &mut held) {
            held.point = held.point.as_ref().map(|y| latent.lift(self.map, y, word.len()));
        }
        Ok(held)
    }
}

fn begin_bar(bar: &ProgressBar, length: u64, of: &str, period: usize) {
    bar.set_position(0);
    bar.set_length(length);
    bar.set_message(format!("{of} of period {period}"));
}

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
    Parts { words: spelled(&hits), singular: spelled(&singular), coverage }
}

/// Sorted by regions, each once: on a border several words give one cycle.
fn distinct(cycles: Vec<Cycle>) -> Vec<Cycle> {
    let mut words = HashSet::new();
    let mut kept: Vec<Cycle> = Vec::with_capacity(cycles.len());
    for cycle in cycles {
        let new = words.insert(cycle.regions.clone());
        if new && !(cycle.border && kept.iter().any(|known| known.same(&cycle))) {
            kept.push(cycle);
        }
    }
    let key = |cycle: &Cycle| cycle.regions.iter().map(digits).collect::<Vec<_>>();
    kept.sort_by_cached_key(key);
    kept
}
