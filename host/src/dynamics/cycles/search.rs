//! Every word of regions, depth first: a word costs one small product and one small solve.

use std::iter::zip;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::ProgressBar;
use rayon::prelude::*;

use super::regions::Graph;
use super::{Piecewise, Region};
use crate::dynamics::vector::largest;

/// Words a search keeps of one kind; beyond it they are counted alone.
const KEPT: usize = 20_000;

/// The bar moves, and a stop is seen, after so many words.
const SHOWN: u64 = 4096;

/// What the search of all words of one length found.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    /// Words whose linear system was solved.
    pub(super) solved: u64,
    /// Words whose solution is, to rounding, in the regions of the word.
    pub(super) hits: Vec<Vec<u32>>,
    /// Words with a singular system.
    pub(super) singular: Vec<Vec<u32>>,
    /// How many hits and singular words there were, kept or not.
    pub(super) counts: [u64; 2],
    /// Whether a stop cut the search short.
    pub(super) stopped: bool,
}

impl Words {
    fn join(mut self, other: Self) -> Self {
        self.solved += other.solved;
        self.hits.extend(other.hits);
        self.singular.extend(other.singular);
        self.counts = [0, 1].map(|k| self.counts[k] + other.counts[k]);
        self.stopped |= other.stopped;
        self
    }
}

/// Lyndon words of length k over `letters` letters: (1 / k) sum_{d | k} mu(d) letters^(k / d); infinite beyond the range
/// of f64.
#[must_use]
pub fn count_lyndon(letters: f64, k: usize) -> f64 {
    if letters.powi(k as i32).is_infinite() {
        return f64::INFINITY;
    }
    let mobius = |d: usize| {
        let (mut rest, mut sign) = (d, 1.0);
        for prime in 2..=d {
            if rest.is_multiple_of(prime) {
                rest /= prime;
                sign = if rest.is_multiple_of(prime) { 0.0 } else { -sign };
            }
        }
        sign
    };
    let divisors = (1..=k).filter(|&d| k.is_multiple_of(d));
    divisors.map(|d| mobius(d) * letters.powi((k / d) as i32)).sum::<f64>() / k as f64
}

/// The map and its regions as plain numbers.
struct Table<'a> {
    n: usize,
    k: usize,
    /// \[A_R | b_R\] by rows, one region after the other.
    maps: Vec<f64>,
    /// \[Q | r\] by rows.
    gates: Vec<f64>,
    /// From and to of every gate, one region after the other.
    ranges: Vec<(f64, f64)>,
    graph: &'a Graph,
    bar: &'a ProgressBar,
    stop: &'a AtomicBool,
}

/// The numbers of a matrix, row after row.
pub(super) fn by_rows(m: &faer::Mat<f64>) -> Vec<f64> {
    m.row_iter().flat_map(|row| row.iter().copied().collect::<Vec<f64>>()).collect()
}

/// Solves for every Lyndon word of `k` regions of `graph` that its transitions allow.
///
/// The words are the leaves of the tree of prenecklaces (Ruskey, Savage & Wang 1992); a node shares the
/// product of its prefix with all words below it.
pub(super) fn search_words(
    map: &Piecewise,
    graph: &Graph,
    k: usize,
    bar: &ProgressBar,
    stop: &AtomicBool,
) -> Words {
    let n = map.n();
    let q = |i: usize, j: usize| if j < n { map.q[(i, j)] } else { map.r[i] };
    let range = |piece: &u8| {
        let piece = map.pieces[usize::from(*piece)];
        (piece.from, piece.to)
    };
    let table = Table {
        n,
        k,
        maps: graph.regions.iter().flat_map(|region| by_rows(&map.affine(region))).collect(),
        gates: by_rows(&faer::Mat::from_fn(map.r.len(), n + 1, q)),
        ranges: graph.regions.iter().flat_map(|Region(pieces)| pieces.iter().map(range)).collect(),
        graph,
        bar,
        stop,
    };
    match n {
        1 => table.search::<1>(),
        2 => table.search::<2>(),
        3 => table.search::<3>(),
        4 => table.search::<4>(),
        5 => table.search::<5>(),
        6 => table.search::<6>(),
        _ => table.search::<0>(),
    }
}

/// \[A | b\] after \[M | c\]: \[A M | A c + b\], all n × (n + 1) by rows.
#[inline(always)]
pub(super) fn compose(n: usize, map: &[f64], first: &[f64], out: &mut [f64]) {
    let m = n + 1;
    let (map, first, out) = (&map[..n * m], &first[..n * m], &mut out[..n * m]);
    for i in 0..n {
        for j in 0..m {
            let mut sum = if j == n { map[i * m + n] } else { 0.0 };
            for k in 0..n {
                sum += map[i * m + k] * first[k * m + j];
            }
            out[i * m + j] = sum;
        }
    }
}

/// Solves (I - M) z = c by elimination with pivots; `work` is n × (n + 1). False if it is singular to
/// rounding.
#[inline(always)]
pub(super) fn solve(n: usize, map: &[f64], work: &mut [f64], z: &mut [f64]) -> bool {
    let m = n + 1;
    let (map, work, z) = (&map[..n * m], &mut work[..n * m], &mut z[..n]);
    let mut size = 1.0_f64;
    for i in 0..n {
        for j in 0..n {
            let x = map[i * m + j];
            size = size.max(x.abs());
            work[i * m + j] = if i == j { 1.0 - x } else { -x };
        }
        work[i * m + n] = map[i * m + n];
    }
    for k in 0..n {
        let mut pivot = k;
        for i in k + 1..n {
            if work[i * m + k].abs() > work[pivot * m + k].abs() {
                pivot = i;
            }
        }
        // What is not a number is singular too.
        let regular = work[pivot * m + k].abs() > 1e-11 * size;
        if !regular {
            return false;
        }
        if pivot != k {
            for j in k..m {
                work.swap(k * m + j, pivot * m + j);
            }
        }
        let inverse = 1.0 / work[k * m + k];
        for i in k + 1..n {
            let factor = work[i * m + k] * inverse;
            for j in k + 1..m {
                work[i * m + j] -= factor * work[k * m + j];
            }
        }
        work[k * m + k] = inverse;
    }
    for i in (0..n).rev() {
        let mut sum = work[i * m + n];
        for j in i + 1..n {
            sum -= work[i * m + j] * z[j];
        }
        z[i] = sum * work[i * m + i];
    }
    true
}

/// Whether the linear system of a region alone is singular to rounding.
pub(super) fn is_singular(map: &Piecewise, region: &Region) -> bool {
    let (n, whole) = (map.n(), by_rows(&map.affine(region)));
    !solve(n, &whole, &mut vec![0.0; whole.len()], &mut vec![0.0; n])
}

impl Table<'_> {
    /// The search; N is n, or 0 where n is known at run time alone.
    fn search<const N: usize>(&self) -> Words {
        let letters = self.graph.regions.len();
        let starts: Vec<(usize, usize)> = (0..letters)
            .flat_map(|first| match self.k {
                1 => vec![(first, first)],
                _ => self.graph.after(first, first).map(|second| (first, second)).collect(),
            })
            .collect();
        let one = |walk: &mut Walk<'_, N>, &(first, second): &(usize, usize)| {
            if self.stop.load(Ordering::Relaxed) {
                return Words { stopped: true, ..Words::default() };
            }
            walk.start(first, second);
            self.bar.inc(walk.found.solved % SHOWN);
            std::mem::take(&mut walk.found)
        };
        let parts: Vec<Words> = starts.par_iter().with_min_len(8).map_init(|| Walk::new(self), one).collect();
        parts.into_iter().fold(Words::default(), Words::join)
    }
}

/// A walk through the tree of words.
struct Walk<'a, const N: usize> {
    table: &'a Table<'a>,
    word: Vec<u32>,
    /// Products of the prefixes, n × (n + 1) each, from length 1.
    products: Vec<f64>,
    work: Vec<f64>,
    z: Vec<f64>,
    next: Vec<f64>,
    found: Words,
}

impl<'a, const N: usize> Walk<'a, N> {
    fn new(table: &'a Table<'a>) -> Self {
        let (n, k) = (table.n, table.k);
        Self {
            table,
            word: vec![0; k],
            products: vec![0.0; k * n * (n + 1)],
            work: vec![0.0; n * (n + 1)],
            z: vec![0.0; n],
            next: vec![0.0; n],
            found: Words::default(),
        }
    }

    #[inline(always)]
    fn n(&self) -> usize {
        if N == 0 { self.table.n } else { N }
    }

    #[inline(always)]
    fn map(&self, region: u32) -> &'a [f64] {
        let size = self.n() * (self.n() + 1);
        &self.table.maps[region as usize * size..][..size]
    }

    /// All words that begin with two regions.
    fn start(&mut self, first: usize, second: usize) {
        let size = self.n() * (self.n() + 1);
        self.word[0] = first as u32;
        let map = self.map(first as u32);
        self.products[..size].copy_from_slice(map);
        if self.table.k == 1 {
            self.candidate();
        } else {
            self.place(1, second as u32, if second == first { 1 } else { 2 });
        }
    }

    /// Puts a letter at place t; `period` is that of the prefix up to it as a prenecklace.
    #[inline(always)]
    fn place(&mut self, t: usize, letter: u32, period: usize) {
        let last = t + 1 == self.table.k;
        // A prenecklace as long as its period is a Lyndon word; others repeat and belong to shorter words.
        if last && (period <= t || !self.table.graph.allows(letter, self.word[0])) {
            return;
        }
        self.word[t] = letter;
        let n = self.n();
        let size = n * (n + 1);
        let map = self.map(letter);
        let (done, rest) = self.products.split_at_mut(t * size);
        compose(n, map, &done[(t - 1) * size..], rest);
        if last {
            self.candidate();
        } else {
            self.extend(t + 1, period);
        }
    }

    fn extend(&mut self, t: usize, period: usize) {
        let least = self.word[t - period];
        let graph = self.table.graph;
        for letter in graph.after(self.word[t - 1] as usize, least as usize) {
            if self.found.stopped {
                return;
            }
            let letter = letter as u32;
            self.place(t, letter, if letter == least { period } else { t + 1 });
        }
    }

    /// Solves the word and looks whether its orbit is where the word says.
    #[inline(always)]
    fn candidate(&mut self) {
        let (n, k) = (self.n(), self.table.k);
        let size = n * (n + 1);
        self.found.solved += 1;
        if self.found.solved.is_multiple_of(SHOWN) {
            self.table.bar.inc(SHOWN);
            self.found.stopped = self.table.stop.load(Ordering::Relaxed);
        }
        let product = &self.products[(k - 1) * size..][..size];
        if !solve(n, product, &mut self.work, &mut self.z) {
            self.keep(1);
            return;
        }
        if self.inside() {
            self.keep(0);
        }
    }

    #[cold]
    #[inline(never)]
    fn keep(&mut self, kind: usize) {
        self.found.counts[kind] += 1;
        let kept = if kind == 0 { &mut self.found.hits } else { &mut self.found.singular };
        if kept.len() < KEPT {
            kept.push(self.word.clone());
        }
    }

    /// Whether the orbit of z is in the regions of the word, but for what rounding can do.
    #[inline(always)]
    fn inside(&mut self) -> bool {
        let (n, g) = (self.n(), self.table.gates.len() / (self.n() + 1));
        let mut slack = -1.0;
        for t in 0..self.table.k {
            let region = self.word[t];
            let ranges = &self.table.ranges[region as usize * g..][..g];
            let z = &self.z[..n];
            for (gate, &(from, to)) in self.table.gates.chunks_exact(n + 1).zip(ranges) {
                let mut p = gate[n];
                for j in 0..n {
                    p += gate[j] * z[j];
                }
                if p < from || p > to {
                    // Rounding in z grows along the orbit as the product does; most words fail by far more.
                    if slack < 0.0 {
                        slack = self.slack();
                    }
                    if p < from - slack || p > to + slack {
                        return false;
                    }
                }
            }
            let map = self.map(region);
            for i in 0..n {
                let row = &map[i * (n + 1)..][..=n];
                let mut sum = row[n];
                for (a, z) in zip(row, &self.z[..n]) {
                    sum += a * z;
                }
                self.next[i] = sum;
            }
            std::mem::swap(&mut self.z, &mut self.next);
        }
        true
    }

    fn slack(&self) -> f64 {
        let size = self.n() * (self.n() + 1);
        let most = largest(&self.products[(self.table.k - 1) * size..][..size]);
        (1e-10 + 1e-14 * most) * (1.0 + largest(&self.z))
    }
}
