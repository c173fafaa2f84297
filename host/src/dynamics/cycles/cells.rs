//! The linear regions of the iterates of a map of few dimensions and many gates, one after the other.
//!
//! G gates are G hyperplanes: they cut the space of R dimensions into at most sum over i <= R of (G over i)
//! regions, a few thousand where the choices of pieces are 2^G. A region is split by the border of one gate
//! after the other, and the image of a region by the gates of the next step, so each end of the tree is one
//! word of k regions that some points pass, on which the k-th iterate is linear.
//!
//! A region is a cone of points (z, w), w >= 0, and is kept as its extreme rays: vertices of the region (w > 0) and
//! the directions in which it has no end (w = 0). So nothing is cut off at any radius. A border splits a cone
//! that has rays beyond rounding on both sides of it; where borders are parallel, equal, or many through one
//! point, only regions that have an inside remain, and each fixed point is in the closure of one.
//!
//! Source: Motzkin, Raiffa, Thompson & Thrall 1953 (double description), for the rays of a cone that is cut.

use std::iter::zip;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::ProgressBar;
use rayon::prelude::*;

use super::cycle::BORDER;
use super::guess::least_rotation;
use super::search::solve;
use super::{Piece, Piecewise, Region, System};
use crate::dynamics::vector::{distance, largest};

/// Dimensions of maps whose regions are split.
pub(super) const DIMENSIONS: usize = 6;
/// A ray, its entries at most 1, is on a border that is nearer than this, relative to the border's numbers.
const ON: f64 = 1e-12;
/// Subtrees that are walked in parallel, about.
const PARTS: usize = 256;
/// A subtree may hold so many times its share of the regions.
const UNEVEN: u64 = 8;
/// The bar moves after so many regions.
const SHOWN: u64 = 256;
/// Singular words that are kept.
const SINGULAR: usize = 50_000;

/// What the regions of the k-th iterate hold.
#[derive(Debug, Default)]
pub(super) struct Cells {
    /// Words whose solution is, to rounding, in their regions.
    pub(super) hits: Vec<Hit>,
    /// Words with a singular system.
    pub(super) singular: Vec<Vec<Region>>,
    /// Linear systems solved: a region that a coordinate plane cuts is solved in each of its parts.
    pub(super) solved: u64,
    /// How many singular words there were, kept or not.
    pub(super) singular_count: u64,
    /// Whether all regions were looked at.
    pub(super) complete: bool,
}

/// A word with its orbit.
#[derive(Debug)]
pub(super) struct Hit {
    /// The word, as its least rotation.
    pub(super) word: Vec<Region>,
    orbit: Vec<Vec<f64>>,
    /// Points that are nearer to each other are one.
    near: f64,
    /// Whether a point is on a border, so that other words may have the same orbit.
    border: bool,
}

impl Cells {
    /// Keeps a hit; one on a border once, whatever regions meet there.
    fn keep(&mut self, hit: Hit) {
        let same = |z: &Vec<f64>| distance(z, &hit.orbit[0]) < hit.near;
        let known = |known: &Hit| known.border && known.orbit.iter().any(same);
        if !(hit.border && self.hits.iter().any(known)) {
            self.hits.push(hit);
        }
    }

    fn join(&mut self, other: Self) {
        self.solved += other.solved;
        self.singular_count += other.singular_count;
        other.hits.into_iter().for_each(|hit| self.keep(hit));
        self.singular.extend(other.singular);
        self.complete &= other.complete && self.singular.len() <= SINGULAR;
        self.singular.truncate(SINGULAR);
    }
}

/// The most regions that `gates` hyperplanes, `borders` to a gate, make in n dimensions.
pub(super) fn most(n: usize, gates: usize, borders: usize) -> f64 {
    let planes = (gates * borders) as f64;
    let mut term = 1.0;
    let mut sum = 1.0;
    for i in 0..n {
        term *= (planes - i as f64).max(0.0) / (i + 1) as f64;
        sum += term;
    }
    sum
}

/// Solves for every word of k regions that points pass, at most about `limit` of them: no subtree goes beyond
/// [`UNEVEN`] times its share.
///
/// A map of at most [`DIMENSIONS`] dimensions.
pub(super) fn search(map: &Piecewise, k: usize, limit: u64, bar: &ProgressBar, stop: &AtomicBool) -> Cells {
    match map.n() {
        1 => Tree::<2>::new(map, k, bar, stop).search(limit),
        2 => Tree::<3>::new(map, k, bar, stop).search(limit),
        3 => Tree::<4>::new(map, k, bar, stop).search(limit),
        4 => Tree::<5>::new(map, k, bar, stop).search(limit),
        5 => Tree::<6>::new(map, k, bar, stop).search(limit),
        6 => Tree::<7>::new(map, k, bar, stop).search(limit),
        _ => Cells::default(),
    }
}

/// An extreme ray and the planes that it is on, in order.
#[derive(Clone)]
struct Ray<const M: usize> {
    at: [f64; M],
    on: Vec<u32>,
}

/// A cone, as its extreme rays; M = R + 1.
#[derive(Clone)]
struct Cone<const M: usize> {
    rays: Vec<Ray<M>>,
    /// The number of the next plane.
    next: u32,
}

impl<const M: usize> Cone<M> {
    /// The part of the space between coordinate planes, a side each: bit i of `signs` for negative z_i.
    fn orthant(signs: usize) -> Self {
        // Plane i is z_i = 0, plane M - 1 is w = 0.
        let ray = |i: usize| {
            let mut at = [0.0; M];
            at[i] = if i + 1 < M && signs >> i & 1 == 1 { -1.0 } else { 1.0 };
            Ray { at, on: (0..M as u32).filter(|&plane| plane as usize != i).collect() }
        };
        Self { rays: (0..M).map(ray).collect(), next: M as u32 }
    }

    /// row · (z, w) on all rays, with what of it may be rounding.
    fn values(&self, row: &[f64; M]) -> (impl Iterator<Item = f64> + use<'_, M>, f64) {
        let row = *row;
        (self.rays.iter().map(move |ray| product(&row, &ray.at)), ON * largest(&row))
    }

    /// Whether row · (z, w) is below and above 0 somewhere, by more than rounding.
    fn sides(&self, row: &[f64; M]) -> (bool, bool) {
        let (values, rounding) = self.values(row);
        values.fold((false, false), |(below, above), value| {
            (below || value < -rounding, above || value > rounding)
        })
    }

    /// The part where row · (z, w) is at most 0, and that where it is at least 0, of a cone that has both.
    fn cut(&self, row: &[f64; M]) -> [Self; 2] {
        let (values, rounding) = self.values(row);
        let values: Vec<f64> = values.collect();
        let side = |value: f64| (value > rounding) as i8 - (value < -rounding) as i8;
        let plane = self.next;
        let mut parts = [Vec::new(), Vec::new()];
        for (ray, &value) in self.rays.iter().zip(&values) {
            match side(value) {
                -1 => parts[0].push(ray.clone()),
                1 => parts[1].push(ray.clone()),
                _ => {
                    let mut ray = ray.clone();
                    ray.on.push(plane);
                    parts[0].push(ray.clone());
                    parts[1].push(ray);
                }
            }
        }
        for (i, low) in values.iter().enumerate().filter(|(_, value)| side(**value) < 0) {
            for (j, high) in values.iter().enumerate().filter(|(_, value)| side(**value) > 0) {
                let Some(mut on) = self.edge(i, j) else { continue };
                on.push(plane);
                let (a, b) = (&self.rays[i].at, &self.rays[j].at);
                let mut at: [f64; M] = std::array::from_fn(|m| high * a[m] - low * b[m]);
                let size = largest(&at);
                for x in &mut at {
                    *x /= size;
                }
                parts[0].push(Ray { at, on: on.clone() });
                parts[1].push(Ray { at, on });
            }
        }
        parts.map(|rays| Self { rays, next: plane + 1 })
    }

    /// The planes that two rays share, if the face between them has no other ray.
    fn edge(&self, i: usize, j: usize) -> Option<Vec<u32>> {
        let (a, b) = (&self.rays[i].on, &self.rays[j].on);
        let shared: Vec<u32> = a.iter().copied().filter(|plane| b.binary_search(plane).is_ok()).collect();
        let within = |ray: &Ray<M>| shared.iter().all(|plane| ray.on.binary_search(plane).is_ok());
        let others = || self.rays.iter().enumerate().filter(|(k, _)| *k != i && *k != j);
        (shared.len() + 2 >= M && !others().any(|(_, ray)| within(ray))).then_some(shared)
    }
}

fn product<const M: usize>(a: &[f64; M], b: &[f64; M]) -> f64 {
    (0..M).map(|m| a[m] * b[m]).sum()
}

/// A node: the points whose word begins as `word` says.
#[derive(Clone)]
struct Node<const M: usize> {
    cone: Cone<M>,
    /// The pieces of the gates of the first step, then those of the next.
    word: Vec<u8>,
    /// The state before the current step, as a function of the first, by rows.
    state: Vec<[f64; M]>,
    /// What is known of the state after it.
    next: Vec<[f64; M]>,
    /// Whether the region of this step is, so far, that of the first.
    tied: bool,
}

/// The tree of words.
struct Tree<'a, const M: usize> {
    map: &'a Piecewise,
    k: usize,
    bar: &'a ProgressBar,
    stop: &'a AtomicBool,
}

impl<'a, const M: usize> Tree<'a, M> {
    fn new(map: &'a Piecewise, k: usize, bar: &'a ProgressBar, stop: &'a AtomicBool) -> Self {
        Self { map, k, bar, stop }
    }

    fn search(&self, limit: u64) -> Cells {
        let mut front: Vec<Node<M>> = (0..1 << (M - 1)).map(|signs| self.root(signs)).collect();
        let mut found = Cells { complete: true, ..Cells::default() };
        // A few levels, for the parts that are walked in parallel.
        while !front.is_empty() && front.len() < PARTS {
            let mut later = Vec::new();
            for node in front {
                self.advance(node, &mut later, &mut found);
            }
            front = later;
        }
        let share = (UNEVEN * limit).div_ceil(front.len().max(1) as u64);
        let parts: Vec<Cells> = front.into_par_iter().map(|node| self.walk(node, share)).collect();
        for part in parts {
            found.join(part);
        }
        found
    }

    fn root(&self, signs: usize) -> Node<M> {
        let mut state = vec![[0.0; M]; M - 1];
        state.iter_mut().enumerate().for_each(|(i, row)| row[i] = 1.0);
        let next = self.linear(&state);
        Node { cone: Cone::orthant(signs), word: Vec::new(), state, next, tied: true }
    }

    /// A z + s.
    fn linear(&self, state: &[[f64; M]]) -> Vec<[f64; M]> {
        let row = |i: usize| {
            let mut row = [0.0; M];
            for (j, state) in state.iter().enumerate() {
                (0..M).for_each(|m| row[m] += self.map.a[(i, j)] * state[m]);
            }
            row[M - 1] += self.map.s[i];
            row
        };
        (0..M - 1).map(row).collect()
    }

    fn walk(&self, node: Node<M>, limit: u64) -> Cells {
        let mut found = Cells { complete: true, ..Cells::default() };
        let mut nodes = vec![node];
        while let Some(node) = nodes.pop() {
            if found.solved >= limit || self.stop.load(Ordering::Relaxed) {
                found.complete = false;
                break;
            }
            self.advance(node, &mut nodes, &mut found);
        }
        self.bar.inc(found.solved % SHOWN);
        found
    }

    /// Takes a node through its gates up to the first that splits it, or solves it when there is none left.
    fn advance(&self, mut node: Node<M>, later: &mut Vec<Node<M>>, found: &mut Cells) {
        let gates = self.map.r.len();
        while node.word.len() < self.k * gates {
            let gate = node.word.len() % gates;
            let mut row = [0.0; M];
            row[M - 1] = self.map.r[gate];
            for (j, state) in node.state.iter().enumerate() {
                (0..M).for_each(|m| row[m] += self.map.q[(gate, j)] * state[m]);
            }
            let mut parts = self.parts(&node.cone, &row);
            match parts.pop() {
                Some((piece, None)) => {
                    if !self.enter(&mut node, piece, &row) {
                        return;
                    }
                }
                last => {
                    for (piece, cone) in parts.into_iter().chain(last) {
                        let cone = cone.unwrap_or_else(|| node.cone.clone());
                        let mut child = Node { cone, word: node.word.clone(), ..node.clone() };
                        if self.enter(&mut child, piece, &row) {
                            later.push(child);
                        }
                    }
                    return;
                }
            }
        }
        self.solve(&node, found);
    }

    /// The pieces that a gate, row · (z, 1), takes in a cone, each with its part, `None` for all of it.
    fn parts(&self, cone: &Cone<M>, row: &[f64; M]) -> Vec<(u8, Option<Cone<M>>)> {
        let mut parts = Vec::new();
        let mut rest: Option<Cone<M>> = None;
        for (number, piece) in zip(0_u8.., &self.map.pieces) {
            let whole = rest.as_ref().unwrap_or(cone);
            let mut border = *row;
            border[M - 1] -= piece.to;
            match whole.sides(&border) {
                _ if piece.to == f64::INFINITY => parts.push((number, rest.take())),
                (true, true) => {
                    let [below, above] = whole.cut(&border);
                    parts.push((number, Some(below)));
                    rest = Some(above);
                }
                (false, true) => {}
                // On the border both pieces are the same.
                _ => {
                    parts.push((number, rest.take()));
                    break;
                }
            }
        }
        parts
    }

    /// Puts the next gate of a node on a piece; false if the words are not the least of their rotations.
    fn enter(&self, node: &mut Node<M>, piece: u8, row: &[f64; M]) -> bool {
        let gates = self.map.r.len();
        let gate = node.word.len() % gates;
        if node.tied && node.word.len() >= gates {
            if piece < node.word[gate] {
                return false;
            }
            node.tied = piece == node.word[gate];
        }
        node.word.push(piece);
        let Piece { slope, offset, .. } = self.map.pieces[usize::from(piece)];
        for (next, p) in zip(&mut node.next, self.map.p.col_as_slice(gate)) {
            (0..M).for_each(|m| next[m] += p * slope * row[m]);
            next[M - 1] += p * offset;
        }
        if gate + 1 == gates {
            let after = self.linear(&node.next);
            node.state = std::mem::replace(&mut node.next, after);
            node.tied = true;
        }
        true
    }

    /// Solves for the word of a node and looks whether its orbit is where the word says.
    fn solve(&self, node: &Node<M>, found: &mut Cells) {
        let n = M - 1;
        let gates = self.map.r.len();
        let turned = |d: usize| node.word[d * gates..] == node.word[..(self.k - d) * gates];
        if self.shorter().any(turned) {
            return;
        }
        found.solved += 1;
        if found.solved.is_multiple_of(SHOWN) {
            self.bar.inc(SHOWN);
        }
        let whole: Vec<f64> = node.state.iter().flatten().copied().collect();
        let (mut work, mut z) = (vec![0.0; n * M], vec![0.0; n]);
        if !solve(n, &whole, &mut work, &mut z) {
            found.singular_count += 1;
            if found.singular.len() < SINGULAR {
                found.singular.push(spelled(&node.word, gates));
            } else {
                found.complete = false;
            }
            return;
        }
        let slack = (1e-10 + 1e-14 * largest(&whole)) * (1.0 + largest(&z));
        if let Some(hit) = self.hit(&node.word, z, slack) {
            found.keep(hit);
        }
    }

    /// The lengths of the parts of a word that may repeat.
    fn shorter(&self) -> impl Iterator<Item = usize> + use<M> {
        let k = self.k;
        (1..k).filter(move |d| k.is_multiple_of(*d))
    }

    /// The orbit of z, if it is in the regions of the word but for `slack`, and not that of a shorter cycle.
    fn hit(&self, word: &[u8], z: Vec<f64>, slack: f64) -> Option<Hit> {
        let mut orbit = vec![z];
        let mut margin = f64::INFINITY;
        for pieces in word.chunks_exact(self.map.r.len()) {
            let z = &orbit[orbit.len() - 1];
            for (p, &piece) in zip(self.map.gates(z), pieces) {
                let Piece { from, to, .. } = self.map.pieces[usize::from(piece)];
                let inside = (p - from).min(to - p);
                if inside < -slack {
                    return None;
                }
                margin = margin.min(inside);
            }
            let mut next = vec![0.0; z.len()];
            self.map.value(z, &mut next);
            orbit.push(next);
        }
        orbit.truncate(self.k);
        let size = 1.0 + orbit.iter().map(|z| largest(z)).fold(0.0, f64::max);
        let repeats = self.shorter().any(|d| distance(&orbit[0], &orbit[d]) < BORDER * size);
        let word = least_rotation(spelled(word, self.map.r.len()));
        (!repeats).then_some(Hit { word, orbit, near: BORDER * size, border: margin < BORDER * size })
    }
}

/// The regions of a word.
fn spelled(word: &[u8], gates: usize) -> Vec<Region> {
    word.chunks_exact(gates).map(|pieces| Region(pieces.to_vec())).collect()
}
