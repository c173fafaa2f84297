//! Piecewise-linear maps, exactly: every fixed point and cycle, manifolds of saddles.
//!
//! z' = A z + P sigma(Q z + r) + s is linear wherever no gate p = Q z + r changes its piece of sigma: the
//! state space is cut into *regions*, one a choice of pieces, and z' = A_R z + b_R in region R. A cycle of
//! period k goes through a word of k regions, and the word gives it by one linear system, (I - A_Rk ⋯ A_R1) z
//! = b. So all cycles are found by solving for all words; a cycle is found once by the Lyndon words, the
//! least rotations of what repeats only as a whole. [`find`] does this and states what it covered:
//!
//! | map | what is complete |
//! |---|---|
//! | at most 4096 regions | all periods with no more words than [`Options::most_words`] |
//! | more, in at most 6 dimensions, or of rank at most 6 with a latent of as many | all periods: only regions that points pass are solved, at most 4 000 000 of a period |
//! | any, that contracts | all periods: one fixed point, nothing else |
//! | any other | fixed points, as far as bounds go: about 20 gates, fewer or more by the weights; for longer cycles starts alone |
//!
//! Source: Eisenmann, Monfared, Göring & Durstewitz 2023, Bifurcations and loss jumps in RNN training
//! (SCYFI), for the search where words are too many; the complete search, its pruning and the manifolds are
//! our own.

mod bounds;
mod cells;
mod cycle;
mod degenerate;
mod find;
mod guess;
mod latent;
mod manifolds;
mod mirror;
mod portrait;
mod regions;
mod search;

use std::fmt;
use std::iter::zip;

use faer::{Mat, MatMut};

pub use cycle::Cycle;
pub use degenerate::Degenerate;
pub use find::{Coverage, Found, Method, Options, counted, find};
pub use manifolds::{Manifold, OfCycle, Reach, manifolds, of_saddles};
pub use portrait::Portrait;
pub use regions::RADIUS;
pub use search::count_lyndon;

use super::linear::add_product;
use super::{Kind, Rnn, System};
use crate::error::require;
use crate::format::arrays::ArrayFile;
use crate::format::network::names;
use crate::network::{Activation, Form};
use crate::{Error, Result};

/// One linear piece of sigma: sigma(p) = slope · p + offset for from < p <= to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Piece {
    /// Slope.
    pub slope: f64,
    /// Value of the piece at p = 0.
    pub offset: f64,
    /// Lower end, -∞ of the first piece.
    pub from: f64,
    /// Upper end, ∞ of the last piece.
    pub to: f64,
}

/// The pieces of max(p, 0).
pub const RELU: [Piece; 2] = [
    Piece { slope: 0.0, offset: 0.0, from: f64::NEG_INFINITY, to: 0.0 },
    Piece { slope: 1.0, offset: 0.0, from: 0.0, to: f64::INFINITY },
];

/// A region: the piece of every gate, counted from 0. Of a ReLU 1 is open and 0 is shut.
///
/// It is written as its digits, gate 0 first.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Region(pub Vec<u8>);

impl Region {
    /// Bit i is set if gate i is on piece 1; of the first 64 gates.
    #[must_use]
    pub fn mask(&self) -> u64 {
        self.0.iter().take(64).enumerate().map(|(i, &piece)| u64::from(piece == 1) << i).sum()
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| write!(f, "{piece}"))
    }
}

impl serde::Serialize for Region {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A piecewise-linear map z' = A z + P sigma(Q z + r) + s of n numbers with g gates.
///
/// ```
/// use std::sync::atomic::AtomicBool;
/// use tinyfold::dynamics::cycles::{Options, Piecewise, find};
/// // The tent map z' = 1 - |2 z - 1|: as many cycles of period 1 to 6 as there are necklaces.
/// let one = |x: f64| faer::Mat::from_fn(1, 1, |_, _| x);
/// let tent = Piecewise::shallow(one(2.0), one(-4.0), one(1.0), vec![0.0], vec![-0.5])?;
/// let found = find(&tent, &Options { period: 6, ..Options::default() }, &AtomicBool::new(false))?;
/// let counts: Vec<usize> = (1..=6).map(|k| found.of_period(k).count()).collect();
/// assert_eq!(counts, [2, 1, 2, 3, 6, 9]);
/// assert!(found.coverage.iter().all(|coverage| coverage.complete));
/// # Ok::<(), tinyfold::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Piecewise {
    /// A, n × n.
    pub a: Mat<f64>,
    /// P, n × g.
    pub p: Mat<f64>,
    /// Q, g × n.
    pub q: Mat<f64>,
    /// r, g.
    pub r: Vec<f64>,
    /// s, n.
    pub s: Vec<f64>,
    /// The pieces of sigma, from -∞ to ∞; it is continuous.
    pub pieces: Vec<Piece>,
    /// Of every number of the state the neuron of the network that it is, and its mirror neuron, whose state is minus it
    /// and which is left out.
    pub neurons: Vec<(usize, Option<usize>)>,
}

impl Piecewise {
    /// A map of its parts.
    ///
    /// # Errors
    /// Shapes that do not fit, numbers that are not finite, pieces with gaps or jumps.
    pub fn new(
        a: Mat<f64>,
        p: Mat<f64>,
        q: Mat<f64>,
        r: Vec<f64>,
        s: Vec<f64>,
        pieces: Vec<Piece>,
    ) -> Result<Self> {
        let (n, g) = (s.len(), r.len());
        require(n > 0, "n", "at least 1", n)?;
        let shape = |name: &str, found: (usize, usize), expected: (usize, usize)| {
            require(found == expected, name, format!("shape {expected:?}"), format!("{found:?}"))
        };
        shape("A", a.shape(), (n, n))?;
        shape("P", p.shape(), (n, g))?;
        shape("Q", q.shape(), (g, n))?;
        let finite = a.is_all_finite() && p.is_all_finite() && q.is_all_finite();
        let finite = finite && r.iter().chain(&s).all(|x| x.is_finite());
        require(finite, "piecewise-linear map", "finite numbers", "one that is not")?;
        let joined = pieces.windows(2).all(|pair| {
            let at = |piece: &Piece| piece.slope * pair[0].to + piece.offset;
            pair[0].to == pair[1].from
                && (at(&pair[0]) - at(&pair[1])).abs() < 1e-12 * (1.0 + at(&pair[0]).abs())
        });
        let whole = pieces.first().is_some_and(|piece| piece.from == f64::NEG_INFINITY)
            && pieces.last().is_some_and(|piece| piece.to == f64::INFINITY)
            && pieces.len() < 256;
        require(joined && whole, "pieces", "a continuous function from -∞ to ∞", format!("{pieces:?}"))?;
        let neurons = (0..n).map(|i| (i, None)).collect();
        Ok(Self { a, p, q, r, s, pieces, neurons })
    }

    /// h' = relu(W h + b).
    ///
    /// # Errors
    /// As [`Piecewise::new`].
    pub fn relu(w: Mat<f64>, b: Vec<f64>) -> Result<Self> {
        let n = b.len();
        Self::new(Mat::zeros(n, n), Mat::identity(n, n), w, b, vec![0.0; n], RELU.to_vec())
    }

    /// The PLRNN z' = A z + W relu(z) + h; A: its diagonal.
    ///
    /// # Errors
    /// As [`Piecewise::new`].
    pub fn plrnn(a: &[f64], w: Mat<f64>, h: Vec<f64>) -> Result<Self> {
        let n = a.len();
        Self::new(diagonal(a), w, Mat::identity(n, n), vec![0.0; n], h, RELU.to_vec())
    }

    /// The shallow PLRNN z' = A z + W1 relu(W2 z + h2) + h1.
    ///
    /// # Errors
    /// As [`Piecewise::new`].
    pub fn shallow(a: Mat<f64>, w1: Mat<f64>, w2: Mat<f64>, h1: Vec<f64>, h2: Vec<f64>) -> Result<Self> {
        Self::new(a, w1, w2, h2, h1, RELU.to_vec())
    }

    /// A network map whose activation is linear, ReLU or clipped.
    ///
    /// # Errors
    /// Another activation; a flow, whose periodic orbits are not found by words of regions.
    pub fn of_rnn(rnn: &Rnn) -> Result<Self> {
        require(rnn.kind == Kind::Map, "kind", "a map (its fixed points are those of the flow)", "a flow")?;
        let infinite = f64::INFINITY;
        let pieces = match rnn.activation {
            Activation::Linear => vec![Piece { slope: 1.0, offset: 0.0, from: -infinite, to: infinite }],
            Activation::Relu => RELU.to_vec(),
            Activation::Clipped { lo, hi } => vec![
                Piece { slope: 0.0, offset: lo, from: -infinite, to: lo },
                Piece { slope: 1.0, offset: 0.0, from: lo, to: hi },
                Piece { slope: 0.0, offset: hi, from: hi, to: infinite },
            ],
            other => {
                let expected = "linear, relu or clipped, which are piecewise linear";
                return Err(Error::input("activation", expected, names::activation(other).0));
            }
        };
        let (keep, gain) = rnn.factors();
        let n = rnn.drive.len();
        let (a, unit) = (diagonal(&vec![keep; n]), Mat::<f64>::identity(n, n));
        match rnn.form {
            Form::Rate => {
                let p = diagonal(&vec![gain; n]);
                Self::new(a, p, rnn.w.as_ref().clone(), rnn.drive.clone(), vec![0.0; n], pieces)
            }
            Form::Current if keep == 0.0 && pieces == RELU => mirror::folded(&rnn.w, &rnn.drive),
            Form::Current => {
                let p = faer::Scale(gain) * rnn.w.as_ref();
                let s = rnn.drive.iter().map(|g| gain * g).collect();
                Self::new(a, p, unit, vec![0.0; n], s, pieces)
            }
        }
    }

    /// The map whose arrays are `prefix` + W, b (ReLU), A, W, h (PLRNN) or A, W1, W2, h1, h2 (shallow PLRNN;
    /// A may be its diagonal alone).
    ///
    /// # Errors
    /// Arrays missing or of shapes that do not fit.
    pub fn of_arrays(file: &ArrayFile, prefix: &str) -> Result<Self> {
        let name = |part: &str| format!("{prefix}{part}");
        let matrix = |part: &str| file.matrix(&name(part), 0, 0);
        let vector = |part: &str| file.vector(&name(part), 0);
        if file.has(&name("W1")) {
            let a = name("A");
            let a = match file.array(&a)?.shape.len() {
                1 => diagonal(&file.vector(&a, 0)?),
                _ => file.matrix(&a, 0, 0)?,
            };
            return Self::shallow(a, matrix("W1")?, matrix("W2")?, vector("h1")?, vector("h2")?);
        }
        if file.has(&name("A")) {
            return Self::plrnn(&vector("A")?, matrix("W")?, vector("h")?);
        }
        Self::relu(matrix("W")?, vector("b")?)
    }

    /// n.
    #[must_use]
    pub fn n(&self) -> usize {
        self.s.len()
    }

    /// p = Q z + r.
    #[must_use]
    pub fn gates(&self, z: &[f64]) -> Vec<f64> {
        let mut p = self.r.clone();
        add_product(&mut p, &self.q, z);
        p
    }

    /// sigma of every gate.
    fn activated(&self, mut gates: Vec<f64>) -> Vec<f64> {
        for p in &mut gates {
            let Piece { slope, offset, .. } = self.pieces[usize::from(self.piece(*p))];
            *p = slope * *p + offset;
        }
        gates
    }

    /// The piece that p is on.
    fn piece(&self, p: f64) -> u8 {
        self.pieces[1..].iter().take_while(|piece| p > piece.from).count() as u8
    }

    /// The region of z; on a border the lower piece.
    #[must_use]
    pub fn region(&self, z: &[f64]) -> Region {
        Region(self.gates(z).into_iter().map(|p| self.piece(p)).collect())
    }

    /// \[A_R | b_R\], n × (n + 1): z' = A_R z + b_R in the region.
    #[must_use]
    pub fn affine(&self, region: &Region) -> Mat<f64> {
        let n = self.n();
        let mut map = Mat::from_fn(n, n + 1, |i, j| if j < n { self.a[(i, j)] } else { self.s[i] });
        for (k, &piece) in region.0.iter().enumerate() {
            let Piece { slope, offset, .. } = self.pieces[usize::from(piece)];
            for j in 0..=n {
                let q = if j < n { slope * self.q[(k, j)] } else { slope * self.r[k] + offset };
                if q != 0.0 {
                    zip(map.col_as_slice_mut(j), self.p.col_as_slice(k)).for_each(|(m, p)| *m += p * q);
                }
            }
        }
        map
    }

    /// The least distance of a gate from a border between two pieces.
    #[must_use]
    pub fn margin(&self, z: &[f64]) -> f64 {
        let gates = self.gates(z);
        let far = |p: f64| self.pieces[1..].iter().map(move |piece| (p - piece.from).abs());
        gates.into_iter().flat_map(far).fold(f64::INFINITY, f64::min)
    }
}

/// A matrix of its diagonal.
fn diagonal(values: &[f64]) -> Mat<f64> {
    Mat::from_fn(values.len(), values.len(), |i, j| if i == j { values[i] } else { 0.0 })
}

impl System for Piecewise {
    fn dimension(&self) -> usize {
        self.n()
    }

    fn kind(&self) -> Kind {
        Kind::Map
    }

    fn value(&self, x: &[f64], out: &mut [f64]) {
        out.copy_from_slice(&self.s);
        add_product(out, &self.a, x);
        add_product(out, &self.p, &self.activated(self.gates(x)));
    }

    fn jacobian(&self, x: &[f64], mut out: MatMut<'_, f64>) {
        let n = self.n();
        out.copy_from(self.affine(&self.region(x)).subcols(0, n));
    }
}
