//! Kronecker-factored real-time recurrent learning: an influence that is a Kronecker product, by random signs.

use crate::error::Error;
use crate::linear::PANEL_ROWS;
use crate::network::{CopyChecked, State, Status, View};
use crate::scalar::Scalar;
use crate::shape::Shape;

use super::dense::{Cell, padded, steepest, whole};
use super::memory::squares;
use super::online::Rule;
use super::optimiser::Optimiser;
use super::params::{Groups, Params};
use super::uoro::{ratio, sign};

/// KF-RTRL: M ≈ A ⊗ B, whose expectation over the signs nu is the exact influence.
///
/// A' = nu0 rho0 A + nu1 rho1 (1, h, x); B' = nu0 J B / rho0 + nu1 D / rho1; dL/d\[b | W | B\]_ij = (q B')_i A'_j;
/// dL/dC = dL/dy hᵀ; rho0 = sqrt(‖J B‖ / ‖A‖), rho1 = sqrt(‖D‖ / ‖(1, h, x)‖), each 1 where it would be 0 or not
/// finite.
///
/// A has 1 + n + I words in the order of the layer's columns, B is n × n; nu = ±1 with equal chance, from a generator
/// whose state is a word of the rule, or given by the caller; J = keep I + diag(D) W; D = alpha phi'(p);
/// q = Cᵀ dL/dy. Less noise than [`Uoro`](super::Uoro), at n³ multiply-adds a step: meant for a host.
///
/// Memory: [`KfRtrl::memory_len`] words, 2 n² of them for B. Multiply-adds a step beyond the forward one: n³ + 2 n² +
/// n (1 + n + I) + 2 O n. Source: Mujika, Meier & Steger 2018 (NeurIPS), algorithm 1.
#[derive(Debug)]
pub struct KfRtrl<'m, T> {
    cell: Cell<'m, T>,
    a: &'m mut [T],
    /// B, row-major n × n.
    b: &'m mut [T],
    next: &'m mut [T],
    /// q B.
    back: &'m mut [T],
    signs: [T; 2],
    /// ‖A‖² and ‖B‖².
    sizes: [T; 2],
    random: u32,
    given: bool,
}

impl<'m, T: Scalar> KfRtrl<'m, T> {
    /// Words of memory for a network of this shape.
    #[must_use]
    pub const fn memory_len(shape: &Shape) -> usize {
        let n = shape.neurons;
        Cell::<T>::memory_len(shape) + whole(shape) + 2 * n * n + padded(shape)
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
        let square = shape.neurons * shape.neurons;
        let (a, back) = (memory.cut(whole(&shape)), memory.cut(padded(&shape)));
        let [b, next] = [memory.cut(square), memory.cut(square)];
        let (signs, sizes) = ([T::ONE; 2], [T::ZERO; 2]);
        Ok(Self { cell, a, b, next, back, signs, sizes, random: seed, given: false })
    }

    /// Gives the signs nu0 and nu1 of the next step.
    pub const fn set_signs(&mut self, signs: [T; 2]) {
        self.signs = signs;
        self.given = true;
    }

    /// Sets A (1 + n + I, in the order of the layer's columns) and B (row-major n × n).
    pub fn set_influence(&mut self, a: &[T], b: &[T]) {
        self.a.fill(T::ZERO);
        self.a.copy_from_slice_checked(a);
        self.b.copy_from_slice_checked(b);
        self.sizes = [squares(self.a), squares(self.b)];
    }

    /// next = J B.
    fn carry(&mut self, view: &View<'_, T>) {
        let (n, keep) = (view.shape.neurons.max(1), view.settings.keep);
        let panels = view.layer.chunks_exact((PANEL_ROWS * view.shape.columns()).max(1));
        self.next.fill(T::ZERO);
        for (panel, rows) in panels.zip(self.next.chunks_mut((PANEL_ROWS * n).max(1))) {
            let columns = panel.as_chunks::<PANEL_ROWS>().0.get(1..).unwrap_or_default();
            for (column, b) in columns.iter().zip(self.b.chunks_exact(n)) {
                for (row, &w) in rows.chunks_exact_mut(n).zip(column) {
                    row.iter_mut().zip(b).for_each(|(next, &b)| *next = *next + w * b);
                }
            }
        }
        let rows = self.next.chunks_exact_mut(n).zip(self.b.chunks_exact(n));
        for ((next, b), &slope) in rows.zip(self.cell.slope.iter()) {
            next.iter_mut().zip(b).for_each(|(next, &b)| *next = keep * b + slope * *next);
        }
    }
}

impl<T: Scalar> Rule<T> for KfRtrl<'_, T> {
    fn forward(&mut self, view: &View<'_, T>, state: &mut State<'_, T>, x: &[T]) -> Status {
        let status = self.cell.forward(view, state, x);
        if !core::mem::take(&mut self.given) {
            self.signs = [sign(&mut self.random), sign(&mut self.random)];
        }
        self.carry(view);
        let first = ratio(squares(self.next), self.sizes[0]);
        let second = ratio(squares(self.cell.slope), self.cell.drive);
        let [nu0, nu1] = self.signs;
        let (old, new) = (nu0 * first, nu1 * second);
        for (a, &now) in self.a.iter_mut().zip(self.cell.presynaptic.iter()) {
            *a = old * *a + new * now;
        }
        let (old, new) = (nu0 / first, nu1 / second);
        self.b.iter_mut().zip(self.next.iter()).for_each(|(b, &next)| *b = old * next);
        let rows = self.b.chunks_exact_mut(view.shape.neurons.max(1)).zip(self.cell.slope.iter());
        for (i, (row, &slope)) in rows.enumerate() {
            row.iter_mut().skip(i).take(1).for_each(|b| *b = *b + new * slope);
        }
        self.sizes = [squares(self.a), squares(self.b)];
        status
    }

    fn error(&mut self) -> &mut [T] {
        self.cell.error
    }

    fn prepare(&mut self, view: &View<'_, T>, state: &State<'_, T>) -> T {
        self.cell.back(view);
        self.back.fill(T::ZERO);
        for (row, &q) in self.b.chunks_exact(view.shape.neurons.max(1)).zip(self.cell.q.iter()) {
            self.back.iter_mut().zip(row).for_each(|(back, &b)| *back = *back + q * b);
        }
        squares(self.back) * self.sizes[0] + self.cell.readout_bound(state)
    }

    fn visit<O: Optimiser<T>>(
        &mut self,
        params: &mut Params<'_, T>,
        state: &State<'_, T>,
        optimiser: &mut O,
        scale: T,
        _: bool,
    ) {
        self.cell.visit_outer(params, (self.back, self.a), optimiser, scale);
        self.cell.visit_readout(params, state, optimiser, scale);
    }

    fn advance(&mut self, _: &mut Params<'_, T>, _: &State<'_, T>) {}

    fn size(&self) -> T {
        self.sizes[0] + self.sizes[1] + self.cell.drive
    }

    fn reset(&mut self) {
        self.a.fill(T::ZERO);
        self.b.fill(T::ZERO);
        self.sizes = [T::ZERO; 2];
    }

    fn lever(&self, view: &View<'_, T>) -> T {
        steepest(&view.settings)
    }
}
