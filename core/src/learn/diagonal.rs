//! Influences that stay with their neuron: SnAp-1 and RFLO.

use crate::error::Error;
use crate::linear::PANEL_ROWS;
use crate::network::{State, Status, View};
use crate::scalar::Scalar;
use crate::shape::Shape;

use super::dense::{Cell, padded, steepest};
use super::online::Rule;
use super::optimiser::{Nothing, Optimiser};
use super::params::{Groups, Params};

/// What carries a neuron's influence on itself to the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Influence {
    /// SnAp-1: j_i = keep + D_i W_ii, the diagonal of J.
    Snap1,
    /// RFLO: j_i = keep.
    Rflo,
}

/// SnAp-1 and RFLO: exact RTRL with all influences but those of a neuron's weights on itself left out.
///
/// M'_ij = j_i M_ij + D_i (1, h, x)_j; dL/d\[b | W | B\]_ij = q_i M'_ij; dL/dC = dL/dy hᵀ.
///
/// M is n × (1 + n + I), packed like the layer; j as in [`Influence`]; D = alpha phi'(p); q = Cᵀ dL/dy.
///
/// Memory: [`Diagonal::memory_len`] words, n (1 + n + I) of them M. Multiply-adds a step beyond the forward one:
/// 3 n (1 + n + I) + 2 O n + O(n). Sources: SnAp-1: Menick et al. 2021 (ICLR), section 3.1, the diagonal case;
/// RFLO: Murray 2019 (eLife 8:e43299), eq. 6 to 8 with Bᵀ = C, and the network's own phi in the readout.
#[derive(Debug)]
pub struct Diagonal<'m, T> {
    cell: Cell<'m, T>,
    kind: Influence,
    influence: &'m mut [T],
    /// j, by rows.
    carry: &'m mut [T],
    /// An upper bound of the norm of each row of M: it grows as M can.
    most: &'m mut [T],
    size: T,
}

impl<'m, T: Scalar> Diagonal<'m, T> {
    /// Words of memory for a network of this shape.
    #[must_use]
    pub const fn memory_len(shape: &Shape) -> usize {
        Cell::<T>::memory_len(shape) + shape.layer_len() + 2 * padded(shape)
    }

    /// A rule in `memory`, at rest.
    ///
    /// # Errors
    /// A network of low rank, memory too short.
    pub fn new(
        params: &Params<'_, T>,
        groups: Groups,
        kind: Influence,
        memory: &'m mut [T],
    ) -> Result<Self, Error> {
        let shape = params.shape();
        let (cell, mut memory) = Cell::new(params, groups, memory, Self::memory_len(&shape))?;
        let influence = memory.cut(shape.layer_len());
        let (carry, most) = (memory.cut(padded(&shape)), memory.cut(padded(&shape)));
        Ok(Self { cell, kind, influence, carry, most, size: T::ZERO })
    }

    /// SnAp-1: see [`Diagonal::new`].
    ///
    /// # Errors
    /// As [`Diagonal::new`].
    pub fn snap1(params: &Params<'_, T>, groups: Groups, memory: &'m mut [T]) -> Result<Self, Error> {
        Self::new(params, groups, Influence::Snap1, memory)
    }

    /// RFLO: see [`Diagonal::new`].
    ///
    /// # Errors
    /// As [`Diagonal::new`].
    pub fn rflo(params: &Params<'_, T>, groups: Groups, memory: &'m mut [T]) -> Result<Self, Error> {
        Self::new(params, groups, Influence::Rflo, memory)
    }

    /// One pass over M and the weights.
    #[inline(always)]
    fn pass<O: Optimiser<T>>(&mut self, params: &mut Params<'_, T>, optimiser: &mut O, scale: T, last: bool) {
        let (shape, a) = (params.shape(), &*self.cell.presynaptic);
        let (runs, all) = (self.cell.runs(&shape), shape.columns());
        let rows = [&*self.carry, self.cell.slope, self.cell.q];
        if last && O::SUBTRACTS {
            let mut done = true;
            for run in &runs {
                let words = [params.layer_mut(), &mut *self.influence];
                done = done && T::diagonal(words, all, run, rows, a, scale);
            }
            if done {
                return;
            }
        }
        let words = (PANEL_ROWS * all).max(1);
        let panels = params.layer_mut().chunks_exact_mut(words).zip(self.influence.chunks_exact_mut(words));
        let [carry, slope, q] = rows.map(|rows| rows.as_chunks::<PANEL_ROWS>().0.iter());
        for (((panel, influence), ((carry, slope), q)), number) in
            panels.zip(carry.zip(slope).zip(q)).zip(0..)
        {
            let q = q.map(|q| q * scale);
            let (slope, carry) = (*slope, *carry);
            let panel = panel.as_chunks_mut::<PANEL_ROWS>().0;
            let influence = influence.as_chunks_mut::<PANEL_ROWS>().0;
            for run in &runs {
                let inputs = a.get(run.clone()).unwrap_or_default();
                let influence = influence.get_mut(run.clone()).unwrap_or_default();
                let columns = panel.get_mut(run.clone()).unwrap_or_default();
                let words = columns.iter_mut().zip(influence).zip(inputs);
                for (((column, influence), &a), at) in words.zip(number * all + run.start..) {
                    for row in 0..PANEL_ROWS {
                        let m = carry[row] * influence[row] + slope[row] * a;
                        if last {
                            influence[row] = m;
                        }
                        column[row] = optimiser.word(PANEL_ROWS * at + row, column[row], q[row] * m);
                    }
                }
            }
        }
    }
}

impl<T: Scalar> Rule<T> for Diagonal<'_, T> {
    fn forward(&mut self, view: &View<'_, T>, state: &mut State<'_, T>, x: &[T]) -> Status {
        let status = self.cell.forward(view, state, x);
        let (keep, drive) = (view.settings.keep, self.cell.drive.sqrt());
        let panels = view.layer.chunks_exact((PANEL_ROWS * view.shape.columns()).max(1));
        let rows = self.cell.slope.as_chunks::<PANEL_ROWS>().0.iter();
        let rows = rows.zip(self.carry.as_chunks_mut::<PANEL_ROWS>().0);
        let rows = rows.zip(self.most.as_chunks_mut::<PANEL_ROWS>().0);
        let mut size = self.cell.drive;
        for ((panel, ((slope, carry), most)), number) in panels.zip(rows).zip(0..) {
            // W_ii of row r is in column 1 + 8 number + r.
            let own = panel.get(PANEL_ROWS * (1 + PANEL_ROWS * number)..).unwrap_or_default();
            let own = own.iter().step_by(PANEL_ROWS + 1);
            let mut own = own.copied().chain(core::iter::repeat(T::ZERO));
            for ((&slope, carry), most) in slope.iter().zip(carry).zip(most) {
                *carry = match self.kind {
                    Influence::Rflo => keep,
                    Influence::Snap1 => keep + slope * own.next().unwrap_or(T::ZERO),
                };
                *most = carry.abs() * *most + slope.abs() * drive;
                size = size + *most * *most;
            }
        }
        self.size = size;
        status
    }

    fn error(&mut self) -> &mut [T] {
        self.cell.error
    }

    fn prepare(&mut self, view: &View<'_, T>, state: &State<'_, T>) -> T {
        self.cell.back(view);
        let rows = self.cell.q.iter().zip(self.most.iter());
        let bound = rows.fold(T::ZERO, |sum, (&q, &most)| sum + (q * most) * (q * most));
        bound + self.cell.readout_bound(state)
    }

    fn visit<O: Optimiser<T>>(
        &mut self,
        params: &mut Params<'_, T>,
        state: &State<'_, T>,
        optimiser: &mut O,
        scale: T,
        last: bool,
    ) {
        if last {
            self.pass(params, optimiser, scale, true);
        } else {
            self.pass(params, optimiser, scale, false);
        }
        self.cell.visit_readout(params, state, optimiser, scale);
    }

    fn advance(&mut self, params: &mut Params<'_, T>, _: &State<'_, T>) {
        self.pass(params, &mut Nothing, T::ZERO, true);
    }

    fn size(&self) -> T {
        self.size
    }

    fn reset(&mut self) {
        self.influence.fill(T::ZERO);
        self.most.fill(T::ZERO);
        self.size = T::ZERO;
    }

    fn lever(&self, view: &View<'_, T>) -> T {
        steepest(&view.settings)
    }
}
