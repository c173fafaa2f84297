//! Exact real-time recurrent learning of a dense network.

use crate::error::Error;
use crate::linear::PANEL_ROWS;
use crate::network::{State, Status, View};
use crate::scalar::Scalar;
use crate::shape::Shape;

use super::dense::{Cell, padded, steepest};
use super::memory::squares;
use super::online::Rule;
use super::optimiser::Optimiser;
use super::params::{Groups, Params};

/// Exact RTRL of a dense network: for small n.
///
/// M' = J M + D ⊗ (1, h, x), that is M'_k,ij = Σ_l J_kl M_l,ij + δ_ki D_i (1, h, x)_j; dL/d\[b | W | B\]_ij =
/// Σ_k q_k M'_k,ij; dL/dC = dL/dy hᵀ. J = keep I + diag(D) W.
///
/// M has one row of n words for every word of the layer (of n rounded up to 8 rows); D = alpha phi'(p); q = Cᵀ dL/dy.
///
/// Memory: [`Rtrl::memory_len`] words, about n² (1 + n + I) of them M. Multiply-adds a step beyond the forward
/// one: n³ (1 + n + I) + 2 n² (1 + n + I); inactive neurons of a ReLU network cost nothing. Source:
/// Williams & Zipser 1989 (Neural Computation 1, 270), eq. 6 and 7, with a leak.
#[derive(Debug)]
pub struct Rtrl<'m, T> {
    cell: Cell<'m, T>,
    /// For every word of the layer, its influence on h (n words).
    influence: &'m mut [T],
    /// n words.
    next: &'m mut [T],
    /// ‖M‖².
    size: T,
}

impl<'m, T: Scalar> Rtrl<'m, T> {
    /// Words of memory for a network of this shape.
    #[must_use]
    pub const fn memory_len(shape: &Shape) -> usize {
        Cell::<T>::memory_len(shape) + shape.layer_len() * shape.neurons + padded(shape)
    }

    /// A rule in `memory`, at rest.
    ///
    /// # Errors
    /// A network of low rank, memory too short.
    pub fn new(params: &Params<'_, T>, groups: Groups, memory: &'m mut [T]) -> Result<Self, Error> {
        let shape = params.shape();
        let (cell, mut memory) = Cell::new(params, groups, memory, Self::memory_len(&shape))?;
        let influence = memory.cut(shape.layer_len() * shape.neurons);
        let next = memory.cut(padded(&shape));
        Ok(Self { cell, influence, next, size: T::ZERO })
    }

    /// M' = J M + D ⊗ (1, h, x), and its size.
    fn transport(&mut self, view: &View<'_, T>) {
        let Shape { neurons, .. } = view.shape;
        let (columns, keep) = (view.shape.columns().max(1), view.settings.keep);
        self.size = T::ZERO;
        let runs = self.cell.runs(&view.shape);
        let learns = |column: usize| runs.iter().any(|run| run.contains(&column));
        for (column, influence) in self.influence.chunks_exact_mut((PANEL_ROWS * neurons).max(1)).enumerate()
        {
            let (panel, column) = (column / columns, column % columns);
            if !learns(column) {
                continue;
            }
            let a = self.cell.presynaptic.get(column).copied().unwrap_or(T::ZERO);
            for (influence, row) in influence.chunks_exact_mut(neurons.max(1)).zip(PANEL_ROWS * panel..) {
                if row >= neurons {
                    break;
                }
                times(view, influence, self.next);
                let rows = influence.iter_mut().zip(self.next.iter()).zip(self.cell.slope.iter());
                for (((m, &next), &slope), k) in rows.zip(0..) {
                    *m = keep * *m + slope * if k == row { next + a } else { next };
                }
                self.size = self.size + squares(influence);
            }
        }
    }
}

/// next = W m.
fn times<T: Scalar>(view: &View<'_, T>, m: &[T], next: &mut [T]) {
    let panels = view.layer.chunks_exact((PANEL_ROWS * view.shape.columns()).max(1));
    for (panel, next) in panels.zip(next.as_chunks_mut::<PANEL_ROWS>().0) {
        let columns = panel.as_chunks::<PANEL_ROWS>().0.get(1..).unwrap_or_default();
        let mut sums = [T::ZERO; PANEL_ROWS];
        for (column, &m) in columns.iter().zip(m) {
            if !m.is_zero() {
                sums.iter_mut().zip(column).for_each(|(sum, &w)| *sum = *sum + w * m);
            }
        }
        *next = sums;
    }
}

impl<T: Scalar> Rule<T> for Rtrl<'_, T> {
    fn forward(&mut self, view: &View<'_, T>, state: &mut State<'_, T>, x: &[T]) -> Status {
        let status = self.cell.forward(view, state, x);
        self.transport(view);
        status
    }

    fn error(&mut self) -> &mut [T] {
        self.cell.error
    }

    fn prepare(&mut self, view: &View<'_, T>, state: &State<'_, T>) -> T {
        self.cell.back(view);
        squares(self.cell.q) * self.size + self.cell.readout_bound(state)
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
        let runs = self.cell.runs(&shape);
        self.next.iter_mut().zip(self.cell.q.iter()).for_each(|(next, &q)| *next = scale * q);
        let words = params.layer_mut().as_chunks_mut::<PANEL_ROWS>().0;
        let influence = self.influence.chunks_exact((PANEL_ROWS * shape.neurons).max(1));
        for ((words, influence), number) in words.iter_mut().zip(influence).zip(0..) {
            if runs.iter().any(|run| run.contains(&(number % shape.columns().max(1)))) {
                let rows = words.iter_mut().zip(influence.chunks_exact(shape.neurons.max(1)));
                for ((word, influence), row) in rows.zip(0..) {
                    let gradient = super::memory::dot(influence, self.next);
                    *word = optimiser.word(PANEL_ROWS * number + row, *word, gradient);
                }
            }
        }
        self.cell.visit_readout(params, state, optimiser, scale);
    }

    fn advance(&mut self, _: &mut Params<'_, T>, _: &State<'_, T>) {}

    fn size(&self) -> T {
        self.size + self.cell.drive
    }

    fn reset(&mut self) {
        self.influence.fill(T::ZERO);
        self.size = T::ZERO;
    }

    fn lever(&self, view: &View<'_, T>) -> T {
        steepest(&view.settings)
    }
}
