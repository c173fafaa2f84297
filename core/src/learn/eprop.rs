//! e-prop: the price of a forward step, one trace a presynaptic neuron.

use crate::error::Error;
use crate::network::{State, Status, View};
use crate::scalar::Scalar;
use crate::shape::Shape;

use super::dense::{Cell, steepest, whole};
use super::memory::squares;
use super::online::Rule;
use super::optimiser::Optimiser;
use super::params::{Groups, Params};

/// e-prop with presynaptic traces, and LMS for the readout.
///
/// ā' = keep ā + (1, h, x); dL/d\[b | W | B\]_ij = q_i D_i ā'_j with D = alpha phi'(p), q = Cᵀ dL/dy;
/// dL/dC = dL/dy hᵀ.
///
/// Exact but for the paths through other neurons, and for phi' of the past, which is replaced by that of now;
/// without leak the same as [`Diagonal::rflo`](super::Diagonal::rflo), at a lower price.
///
/// Memory: [`Eprop::memory_len`] words, 2 (1 + n + I) of them the trace and its input. Multiply-adds a step beyond the
/// forward one: n (1 + n + I) + 2 O n + O (n). Source: Bellec et al. 2020 (Nat. Commun. 11, 3625), eq. 4, 22
/// and 23 with the membrane's trace and a rate neuron.
#[derive(Debug)]
pub struct Eprop<'m, T> {
    cell: Cell<'m, T>,
    trace: &'m mut [T],
    size: T,
}

impl<'m, T: Scalar> Eprop<'m, T> {
    /// Words of memory for a network of this shape.
    #[must_use]
    pub const fn memory_len(shape: &Shape) -> usize {
        Cell::<T>::memory_len(shape) + whole(shape)
    }

    /// A rule in `memory`, at rest.
    ///
    /// # Errors
    /// A network of low rank, memory too short.
    pub fn new(params: &Params<'_, T>, groups: Groups, memory: &'m mut [T]) -> Result<Self, Error> {
        let shape = params.shape();
        let (cell, mut memory) = Cell::new(params, groups, memory, Self::memory_len(&shape))?;
        let trace = memory.cut(whole(&shape));
        Ok(Self { cell, trace, size: T::ZERO })
    }
}

impl<T: Scalar> Rule<T> for Eprop<'_, T> {
    fn forward(&mut self, view: &View<'_, T>, state: &mut State<'_, T>, x: &[T]) -> Status {
        let status = self.cell.forward(view, state, x);
        if view.settings.leaky() {
            let keep = view.settings.keep;
            for (trace, &now) in self.trace.iter_mut().zip(self.cell.presynaptic.iter()) {
                *trace = keep * *trace + now;
            }
            self.size = squares(self.trace);
        } else {
            core::mem::swap(&mut self.trace, &mut self.cell.presynaptic);
            self.size = self.cell.drive;
        }
        status
    }

    fn error(&mut self) -> &mut [T] {
        self.cell.error
    }

    fn prepare(&mut self, view: &View<'_, T>, state: &State<'_, T>) -> T {
        self.cell.back_through(view) * self.size + self.cell.readout_bound(state)
    }

    fn visit<O: Optimiser<T>>(
        &mut self,
        params: &mut Params<'_, T>,
        state: &State<'_, T>,
        optimiser: &mut O,
        scale: T,
        _: bool,
    ) {
        self.cell.visit_outer(params, (self.cell.q, self.trace), optimiser, scale);
        self.cell.visit_readout(params, state, optimiser, scale);
    }

    fn advance(&mut self, _: &mut Params<'_, T>, _: &State<'_, T>) {}

    fn size(&self) -> T {
        self.size
    }

    fn reset(&mut self) {
        self.trace.fill(T::ZERO);
        self.size = T::ZERO;
    }

    fn lever(&self, view: &View<'_, T>) -> T {
        steepest(&view.settings)
    }
}
