//! Unbiased online recurrent optimisation: an influence of rank one, by random signs.

use crate::error::Error;
use crate::linear::PANEL_ROWS;
use crate::network::{CopyChecked, State, Status, View};
use crate::scalar::Scalar;
use crate::shape::Shape;

use super::dense::{Cell, padded, steepest};
use super::memory::{dot, squares};
use super::online::Rule;
use super::optimiser::Optimiser;
use super::params::{Groups, Params};

/// UORO: M ≈ A Bᵀ, whose expectation over the signs nu is the exact influence.
///
/// A' = rho0 J A + rho1 nu; B'_ij = B_ij / rho0 + nu_i D_i (1, h, x)_j / rho1; dL/d\[b | W | B\]_ij = (q·A') B'_ij;
/// dL/dC = dL/dy hᵀ; rho0 = sqrt(‖B‖ / ‖J A‖), rho1 = sqrt(‖nu D ⊗ (1, h, x)‖ / ‖nu‖), each 1 where it would be 0
/// or not finite.
///
/// A has n words, B is packed like the layer; nu = ±1 with equal chance, from a generator whose state is a word of
/// the rule, or given by the caller; J = keep I + diag(D) W; D = alpha phi'(p); q = Cᵀ dL/dy.
///
/// Memory: [`Uoro::memory_len`] words, n (1 + n + I) of them B. Multiply-adds a step beyond the forward one: n² +
/// 4 n (1 + n + I) + 2 O n. Source: Tallec & Ollivier 2018 (ICLR), algorithm 1, the signs drawn per neuron.
#[derive(Debug)]
pub struct Uoro<'m, T> {
    cell: Cell<'m, T>,
    a: &'m mut [T],
    b: &'m mut [T],
    signs: &'m mut [T],
    next: &'m mut [T],
    /// ‖B‖².
    size: T,
    random: u32,
    given: bool,
}

impl<'m, T: Scalar> Uoro<'m, T> {
    /// Words of memory for a network of this shape.
    #[must_use]
    pub const fn memory_len(shape: &Shape) -> usize {
        Cell::<T>::memory_len(shape) + shape.layer_len() + 3 * padded(shape)
    }

    /// A rule in `memory`, at rest; its signs follow from `seed`.
    ///
    /// # Errors
    /// A network of low rank, memory too short.
    pub fn new(
        params: &Params<'_, T>,
        groups: Groups,
        seed: u32,
        memory: &'m mut [T],
    ) -> Result<Self, Error> {
        let shape = params.shape();
        let (cell, mut memory) = Cell::new(params, groups, memory, Self::memory_len(&shape))?;
        let b = memory.cut(shape.layer_len());
        let [a, signs, next] = [(); 3].map(|()| memory.cut(padded(&shape)));
        Ok(Self { cell, a, b, signs, next, size: T::ZERO, random: seed, given: false })
    }

    /// Gives the signs nu (n) of the next step.
    pub fn set_signs(&mut self, signs: &[T]) {
        self.signs.copy_from_slice_checked(signs);
        self.given = true;
    }

    /// Sets A (n) and B (packed like the layer).
    pub fn set_influence(&mut self, a: &[T], b: &[T]) {
        self.a.copy_from_slice_checked(a);
        self.b.copy_from_slice_checked(b);
        self.size = squares(self.b);
    }

    fn draw(&mut self, neurons: usize) {
        if !core::mem::take(&mut self.given) {
            for nu in self.signs.iter_mut().take(neurons) {
                *nu = sign(&mut self.random);
            }
        }
    }

    /// next = J A.
    fn carry(&mut self, view: &View<'_, T>) {
        let (columns, keep) = (view.shape.columns().max(1), view.settings.keep);
        let panels = view.layer.chunks_exact((PANEL_ROWS * columns).max(1));
        for (panel, next) in panels.zip(self.next.as_chunks_mut::<PANEL_ROWS>().0) {
            let mut sums = [T::ZERO; PANEL_ROWS];
            let columns = panel.as_chunks::<PANEL_ROWS>().0.get(1..).unwrap_or_default();
            for (column, &a) in columns.iter().zip(self.a.iter().take(view.shape.neurons)) {
                sums.iter_mut().zip(column).for_each(|(sum, &w)| *sum = *sum + w * a);
            }
            *next = sums;
        }
        let rows = self.next.iter_mut().zip(self.a.iter()).zip(self.cell.slope.iter());
        rows.for_each(|((next, &a), &slope)| *next = keep * a + slope * *next);
    }
}

/// ±1 from a 32-bit linear congruential generator (Numerical Recipes' constants), by its highest bit.
pub(crate) fn sign<T: Scalar>(random: &mut u32) -> T {
    *random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    if *random >> 31 == 0 { T::ONE } else { -T::ONE }
}

/// The root of the ratio of two norms, from their squares, or 1 where that is 0 or not finite.
pub(crate) fn ratio<T: Scalar>(of: T, by: T) -> T {
    let ratio = (of.sqrt() / by.sqrt()).sqrt();
    if ratio.is_finite() && ratio > T::ZERO { ratio } else { T::ONE }
}

impl<T: Scalar> Rule<T> for Uoro<'_, T> {
    fn forward(&mut self, view: &View<'_, T>, state: &mut State<'_, T>, x: &[T]) -> Status {
        let neurons = view.shape.neurons;
        let status = self.cell.forward(view, state, x);
        self.draw(neurons);
        self.carry(view);
        let first = ratio(self.size, squares(self.next));
        let second = ratio(squares(self.cell.slope) * self.cell.drive, T::from_f64(neurons as f64));
        let rows = self.a.iter_mut().zip(self.next.iter()).zip(self.signs.iter());
        rows.for_each(|((a, &next), &sign)| *a = first * next + second * sign);
        let rows = self.next.iter_mut().zip(self.signs.iter()).zip(self.cell.slope.iter());
        rows.for_each(|((f, &sign), &slope)| *f = sign * slope / second);
        let shrink = T::ONE / first;
        let panels = self.b.chunks_exact_mut((PANEL_ROWS * view.shape.columns()).max(1));
        self.size = T::ZERO;
        for (panel, f) in panels.zip(self.next.as_chunks::<PANEL_ROWS>().0) {
            let columns = panel.as_chunks_mut::<PANEL_ROWS>().0.iter_mut();
            for (column, &input) in columns.zip(self.cell.presynaptic.iter()) {
                for (b, &f) in column.iter_mut().zip(f) {
                    *b = shrink * *b + f * input;
                }
                self.size = self.size + squares(column);
            }
        }
        status
    }

    fn error(&mut self) -> &mut [T] {
        self.cell.error
    }

    fn prepare(&mut self, view: &View<'_, T>, state: &State<'_, T>) -> T {
        self.cell.back(view);
        let factor = dot(self.cell.q, self.a);
        factor * factor * self.size + self.cell.readout_bound(state)
    }

    fn visit<O: Optimiser<T>>(
        &mut self,
        params: &mut Params<'_, T>,
        state: &State<'_, T>,
        optimiser: &mut O,
        scale: T,
        _: bool,
    ) {
        let shape = params.shape();
        let factor = dot(self.cell.q, self.a) * scale;
        let runs = self.cell.runs(&shape);
        let columns = params.layer_mut().as_chunks_mut::<PANEL_ROWS>().0.iter_mut();
        for ((column, b), number) in columns.zip(self.b.as_chunks::<PANEL_ROWS>().0).zip(0..) {
            if runs.iter().any(|run| run.contains(&(number % shape.columns().max(1)))) {
                for ((word, &b), row) in column.iter_mut().zip(b).zip(0..) {
                    *word = optimiser.word(PANEL_ROWS * number + row, *word, factor * b);
                }
            }
        }
        self.cell.visit_readout(params, state, optimiser, scale);
    }

    fn advance(&mut self, _: &mut Params<'_, T>, _: &State<'_, T>) {}

    fn size(&self) -> T {
        self.size + squares(self.a) + self.cell.drive
    }

    fn reset(&mut self) {
        self.a.fill(T::ZERO);
        self.b.fill(T::ZERO);
        self.size = T::ZERO;
    }

    fn lever(&self, view: &View<'_, T>) -> T {
        steepest(&view.settings)
    }
}
