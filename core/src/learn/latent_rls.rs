//! Second-order learning of a low-rank network's latent: few numbers, learned as fast as they can be.

use crate::error::{Error, Expected, Field, between};
use crate::network::{CopyChecked, State, Status, View};
use crate::scalar::Scalar;
use crate::shape::Shape;
use crate::wire::learned::{self, Optimiser as Kind};

use super::LARGEST;
use super::latent::LatentRtrl;
use super::memory::{Memory, dot, recall_inverse, squares, trace};
use super::online::Rule;
use super::optimiser::Optimiser;
use super::params::{Groups, Params};

/// Recursive least squares on the latent maps of a network of rank R: z' = (I + A) Vᵀ phi, y = (I + M) Cᵀ phi + c.
///
/// With theta = (A, M, c), P = dz/dtheta, psi_o = dy_o/dtheta:
/// psi_o = G_o P + (Cᵀ phi)_q for M_oq + 1 for c_o; P' = J P + (Vᵀ phi)_q 1_r for A_rq; then for every output o:
///
/// k = S psi_o, g = k / (forget + psi_o·k), theta' = theta − g e_o, S' = S − g kᵀ; at the end of the step S' = S / forget.
///
/// After every step A and M go into the weights, V' = V (I + A)ᵀ and C' = C (I + M)ᵀ, and are 0 again: the network
/// keeps its shape. J = Vᵀ D U, G = Cᵀ D U as in [`LatentRtrl`]; S is K × K, K = R² + O² + O or less
/// ([`Groups::back`] is A, [`Groups::readout`] is M, [`Groups::output_bias`] is c). S starts at I / ridge; it
/// forgets with the factor `forget` a step while its trace is below the one it started with, so that it cannot grow
/// without end where the inputs teach nothing.
///
/// To be used with [`Sgd`](super::Sgd) and a rate of 1, or less to be slower. What a changed sensor gain or decay asks
/// for is in A and M, so it is learned in some tens of K samples, whatever the spectrum of the inputs.
///
/// Memory: [`LatentRls::memory_len`] words. Multiply-adds a step beyond the forward one: 2 n R (R + O) for J, G and the
/// weights, R³ (R + O) for P and psi, 2 O K² for S. Sources: the recursive prediction error method, Ljung & Söderström
/// 1983, eq. 3.67, with exact gradients; FORCE (Sussillo & Abbott 2009) is M alone.
#[derive(Debug)]
pub struct LatentRls<'m, T> {
    latent: LatentRtrl<'m, T>,
    groups: Groups,
    /// Cᵀ phi.
    read: &'m mut [T],
    /// P: R words for every entry of A.
    influence: &'m mut [T],
    next: &'m mut [T],
    /// psi: K words for every output.
    psi: &'m mut [T],
    inverse: &'m mut [T],
    k: &'m mut [T],
    /// g e, summed over the outputs.
    delta: &'m mut [T],
    ridge: T,
    forget: T,
    trace: T,
    /// ‖P‖² + ‖psi‖².
    size: T,
}

/// Entries of A, M and c.
const fn entries(shape: &Shape, groups: Groups) -> [usize; 3] {
    let (rank, outputs) = (shape.rank, shape.outputs);
    [
        if groups.back { rank * rank } else { 0 },
        if groups.readout { outputs * outputs } else { 0 },
        if groups.output_bias { outputs } else { 0 },
    ]
}

impl<'m, T: Scalar> LatentRls<'m, T> {
    /// Words of memory for a network of this shape.
    #[must_use]
    pub const fn memory_len(shape: &Shape, groups: Groups) -> usize {
        let [a, m, c] = entries(shape, groups);
        let all = a + m + c;
        let own = shape.outputs + shape.rank * (a + 1) + all * (shape.outputs + all + 2);
        own + LatentRtrl::<T>::memory_len(shape, Groups::NONE, false)
    }

    /// A rule in `memory` with S = I / `ridge`; `ridge` in [1e-6, 1e6], `forget` in [0.5, 1].
    ///
    /// # Errors
    /// A dense or leaky network, a number out of range, memory too short.
    pub fn new(
        params: &Params<'_, T>,
        groups: Groups,
        ridge: T,
        forget: T,
        memory: &'m mut [T],
    ) -> Result<Self, Error> {
        let shape = params.shape();
        between(Field::Rank, 1, Shape::MOST, shape.rank)?;
        if params.view().settings.leaky() {
            return Err(Error::new(Field::Leak, Expected::Exactly(1), 0));
        }
        let numbers = T::from_f64(1e-6) <= ridge && ridge <= T::from_f64(1e6);
        if !(numbers && T::from_f64(0.5) <= forget && forget <= T::ONE) {
            return Err(Error::new(Field::Rate, Expected::Finite, 0));
        }
        let [a, m, c] = entries(&shape, groups);
        let all = a + m + c;
        let mut memory = Memory::new(memory, Self::memory_len(&shape, groups))?;
        let read = memory.cut(shape.outputs);
        let (influence, next) = (memory.cut(shape.rank * a), memory.cut(shape.rank));
        let (psi, inverse) = (memory.cut(shape.outputs * all), memory.cut(all * all));
        let [k, delta] = [memory.cut(all), memory.cut(all)];
        let latent = LatentRtrl::new(params, Groups::NONE, memory.rest())?;
        let (trace, size) = (T::ZERO, T::ZERO);
        let mut rule = Self {
            latent,
            groups,
            read,
            influence,
            next,
            psi,
            inverse,
            k,
            delta,
            ridge,
            forget,
            trace,
            size,
        };
        rule.reset();
        Ok(rule)
    }

    /// dy/dtheta of the last step, O × K.
    #[must_use]
    pub const fn sensitivity(&self) -> &[T] {
        self.psi
    }

    /// psi of this step from P before it.
    fn sense(&mut self, shape: &Shape) {
        let (rank, outputs) = (shape.rank.max(1), shape.outputs);
        let [a, m, _] = entries(shape, self.groups);
        self.psi.fill(T::ZERO);
        let rows = self.psi.chunks_exact_mut(self.k.len().max(1));
        for ((row, gain), o) in rows.zip(self.latent.gain().chunks_exact(rank)).zip(0..) {
            let (of_a, rest) = row.split_at_mut_checked(a).unwrap_or_default();
            let (of_m, of_c) = rest.split_at_mut_checked(m).unwrap_or_default();
            for (psi, p) in of_a.iter_mut().zip(self.influence.chunks_exact(rank)) {
                *psi = dot(gain, p);
            }
            of_m.get_mut(o * outputs..).unwrap_or_default().copy_from_slice_checked(self.read);
            of_c.iter_mut().skip(o).take(1).for_each(|psi| *psi = T::ONE);
        }
    }

    /// P' = J P + s_q 1_r.
    fn transport(&mut self, rank: usize, s: &[T]) {
        for (p, at) in self.influence.chunks_exact_mut(rank).zip(0..) {
            for (next, row) in self.next.iter_mut().zip(self.latent.jacobian().chunks_exact(rank)) {
                *next = dot(row, p);
            }
            p.copy_from_slice_checked(self.next);
            let (r, q) = (at / rank, at % rank);
            if let (Some(p), Some(&s)) = (p.get_mut(r), s.get(q)) {
                *p = *p + s;
            }
        }
    }

    /// The largest trace of S: it forgets by at most a half while it is below that of I / ridge.
    fn most(&self) -> T {
        T::from_f64(2.0 * self.k.len().max(1) as f64) / self.ridge
    }

    /// S = I / ridge.
    fn start(&mut self) {
        let all = self.k.len();
        self.inverse.fill(T::ZERO);
        let start = T::ONE / self.ridge;
        for (i, row) in self.inverse.chunks_exact_mut(all.max(1)).enumerate() {
            row.iter_mut().skip(i).take(1).for_each(|s| *s = start);
        }
        self.trace = start * T::from_f64(all as f64);
    }
}

impl<T: Scalar> Rule<T> for LatentRls<'_, T> {
    fn forward(&mut self, view: &View<'_, T>, state: &mut State<'_, T>, x: &[T]) -> Status {
        let status = self.latent.forward(view, state, x);
        let shape = view.shape;
        for (read, (&y, &c)) in self.read.iter_mut().zip(state.y.iter().zip(view.readout_bias)) {
            *read = y - c;
        }
        self.sense(&shape);
        self.transport(shape.rank.max(1), state.carried);
        self.size = squares(self.influence) + squares(self.psi);
        status
    }

    fn error(&mut self) -> &mut [T] {
        self.latent.error()
    }

    fn prepare(&mut self, view: &View<'_, T>, _: &State<'_, T>) -> T {
        let all = self.k.len().max(1);
        self.delta.fill(T::ZERO);
        // S learns nothing from what will be rejected.
        if self.size > T::from_f64(LARGEST * LARGEST) {
            return self.size;
        }
        let mut good = true;
        for (psi, &error) in self.psi.chunks_exact(all).zip(self.latent.error().iter()) {
            // No target, or nothing to learn from it.
            if error.is_zero() {
                continue;
            }
            for (k, row) in self.k.iter_mut().zip(self.inverse.chunks_exact(all)) {
                *k = dot(row, psi);
            }
            let divisor = self.forget + dot(psi, self.k);
            // Rounding may have made S indefinite: then the divisor tells.
            good = good && divisor >= self.forget;
            let factor = T::ONE / divisor;
            let left = error - dot(psi, self.delta);
            for (row, &k) in self.inverse.chunks_exact_mut(all).zip(self.k.iter()) {
                // k_i k_j is the same as k_j k_i: S stays symmetric to the bit.
                row.iter_mut().zip(self.k.iter()).for_each(|(s, &other)| *s = *s - factor * (k * other));
            }
            for (delta, &k) in self.delta.iter_mut().zip(self.k.iter()) {
                *delta = *delta + factor * k * left;
            }
        }
        let most = T::from_f64(all as f64) / self.ridge;
        self.trace = trace(self.inverse, all);
        if !good {
            self.trace = T::from_f64(f64::NAN);
        } else if self.trace < most {
            let back = T::ONE / self.forget;
            self.inverse.iter_mut().for_each(|s| *s = *s * back);
        }
        // ‖delta V‖² ≤ ‖A‖² ‖V‖², and so for C.
        let weights = view.layer.iter().fold(T::ONE, |sum, &w| sum + w * w) + squares(view.readout);
        squares(self.delta) * weights
    }

    fn visit<O: Optimiser<T>>(
        &mut self,
        params: &mut Params<'_, T>,
        _: &State<'_, T>,
        optimiser: &mut O,
        scale: T,
        _: bool,
    ) {
        let shape = params.shape();
        let Shape { rank, inputs, outputs, .. } = shape;
        let [a, m, _] = entries(&shape, self.groups);
        let (of_a, rest) = self.delta.split_at_checked(a).unwrap_or_default();
        let (of_m, of_c) = rest.split_at_checked(m).unwrap_or_default();
        let record = shape.record().max(1);
        let mut turn = |words: &mut [T], first: usize, matrix: &[T]| {
            let width = words.len().max(1);
            // The old words are needed until the last new one is there.
            let old = &mut *self.k;
            old.copy_from_slice_checked(words);
            let old = old.get(..width).unwrap_or_default();
            for ((word, row), at) in words.iter_mut().zip(matrix.chunks_exact(width)).zip(first..) {
                *word = optimiser.word(at, *word, scale * dot(row, old));
            }
        };
        for (words, first) in params.layer_mut().chunks_exact_mut(record).zip((0..).step_by(record)) {
            let place = 1 + rank + inputs;
            let (v, c) =
                words.get_mut(place..).unwrap_or_default().split_at_mut_checked(rank).unwrap_or_default();
            turn(v, first + place, of_a);
            turn(c.get_mut(..outputs).unwrap_or_default(), first + place + rank, of_m);
        }
        let (c, _, first) = params.readout_mut();
        for ((c, &delta), at) in c.iter_mut().zip(of_c).zip(first..) {
            *c = optimiser.word(at, *c, scale * delta);
        }
    }

    fn advance(&mut self, _: &mut Params<'_, T>, _: &State<'_, T>) {}

    fn size(&self) -> T {
        self.size + self.trace * self.trace
    }

    fn reset(&mut self) {
        self.latent.reset();
        self.influence.fill(T::ZERO);
        self.psi.fill(T::ZERO);
        self.size = T::ZERO;
        let known = self.trace > T::ZERO && self.trace <= self.most();
        if !known {
            self.start();
        }
    }

    fn lever(&self, view: &View<'_, T>) -> T {
        self.latent.lever(view)
    }

    fn growth(&self) -> Option<T> {
        self.latent.growth()
    }

    fn restart(&mut self) {
        self.start();
        self.reset();
    }

    fn memory(&self) -> Option<learned::Memory<'_, T>> {
        Some(learned::Memory { optimiser: Kind::LatentRls, steps: 0, words: self.inverse })
    }

    fn resume(&mut self, memory: &learned::Memory<'_, T>) -> Result<(), Error> {
        let most = self.most();
        self.trace = recall_inverse(Kind::LatentRls, self.inverse, memory, self.k.len(), most)?;
        Ok(())
    }
}
