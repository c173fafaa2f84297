//! Truncated backpropagation through time, over a sliding window.

use crate::error::Field;
use crate::error::{Error, between};
use crate::linear::PANEL_ROWS;
use crate::network::{CopyChecked, State, Status, View};
use crate::scalar::Scalar;
use crate::shape::Shape;

use super::dense::{Cell, padded, steepest, transposed};
use super::memory::squares;
use super::online::Rule;
use super::optimiser::Optimiser;
use super::params::{Groups, Params};

/// Truncated BPTT: at every step, the exact gradient of its loss over the last K steps.
///
/// lambda_t = q; delta_s = D_s lambda_s, lambda_(s−1) = J_sᵀ lambda_s for s = t, t − 1 .. t − K + 1;
/// dL/d\[b | W | B\] = Σ_s delta_s (1, h, x)_sᵀ; dL/dC = dL/dy hᵀ. W is taken as it is now.
///
/// Memory: [`Tbptt::memory_len`] words: K (1 + n + I) inputs, 2 K n (n rounded up to 8) slopes and deltas. Multiply-adds
/// a step beyond the forward one: K n² back and K n (1 + n + I) for the sum. Source: Williams & Peng 1990 (Neural
/// Computation 2, 490), BPTT(h; 1).
#[derive(Debug)]
pub struct Tbptt<'m, T> {
    cell: Cell<'m, T>,
    window: usize,
    /// (1, h, x) of the last K steps, a ring.
    inputs: &'m mut [T],
    /// D of the last K steps, a ring.
    slopes: &'m mut [T],
    /// delta of the last K steps, a ring.
    deltas: &'m mut [T],
    /// lambda.
    back: &'m mut [T],
    /// Place in the ring of the newest step, and steps in it.
    newest: usize,
    filled: usize,
    /// Σ ‖(1, h, x)‖² of the ring.
    drive: T,
}

impl<'m, T: Scalar> Tbptt<'m, T> {
    /// Words of memory for a network of this shape and a window of K steps.
    #[must_use]
    pub const fn memory_len(shape: &Shape, window: usize) -> usize {
        Cell::<T>::memory_len(shape) + window * (shape.columns() + 2 * padded(shape)) + padded(shape)
    }

    /// A rule in `memory`, at rest; a window of 1 to 4096 steps.
    ///
    /// # Errors
    /// A network of low rank, a window out of range, memory too short.
    pub fn new(
        params: &Params<'_, T>,
        groups: Groups,
        window: usize,
        memory: &'m mut [T],
    ) -> Result<Self, Error> {
        between(Field::Steps, 1, Shape::MOST, window)?;
        let shape = params.shape();
        let (cell, mut memory) = Cell::new(params, groups, memory, Self::memory_len(&shape, window))?;
        let inputs = memory.cut(window * shape.columns());
        let [slopes, deltas] = [(); 2].map(|()| memory.cut(window * padded(&shape)));
        let back = memory.cut(padded(&shape));
        Ok(Self { cell, window, inputs, slopes, deltas, back, newest: 0, filled: 0, drive: T::ZERO })
    }

    /// Places in the ring, newest first.
    fn places(&self) -> impl Iterator<Item = usize> + use<T> {
        let (newest, window) = (self.newest, self.window);
        (0..self.filled).map(move |back| if back <= newest { newest - back } else { newest + window - back })
    }
}

/// The part of a ring that belongs to a place.
fn at<T>(ring: &[T], place: usize, words: usize) -> &[T] {
    ring.get(place * words..).and_then(|rest| rest.get(..words)).unwrap_or_default()
}

/// As [`at`], to be changed.
fn at_mut<T>(ring: &mut [T], place: usize, words: usize) -> &mut [T] {
    ring.get_mut(place * words..).and_then(|rest| rest.get_mut(..words)).unwrap_or_default()
}

impl<T: Scalar> Rule<T> for Tbptt<'_, T> {
    fn forward(&mut self, view: &View<'_, T>, state: &mut State<'_, T>, x: &[T]) -> Status {
        let status = self.cell.forward(view, state, x);
        self.newest = if self.newest + 1 < self.window { self.newest + 1 } else { 0 };
        self.filled = (self.filled + 1).min(self.window);
        let (columns, rows) = (view.shape.columns(), padded(&view.shape));
        at_mut(self.inputs, self.newest, columns).copy_from_slice_checked(self.cell.presynaptic);
        at_mut(self.slopes, self.newest, rows).copy_from_slice_checked(self.cell.slope);
        self.drive = squares(self.inputs);
        status
    }

    fn error(&mut self) -> &mut [T] {
        self.cell.error
    }

    fn prepare(&mut self, view: &View<'_, T>, state: &State<'_, T>) -> T {
        let rows = padded(&view.shape);
        self.cell.back(view);
        self.back.copy_from_slice_checked(self.cell.q);
        let mut sum = T::ZERO;
        for place in self.places() {
            let delta = at_mut(self.deltas, place, rows);
            let slope = at(self.slopes, place, rows);
            for ((delta, &slope), &back) in delta.iter_mut().zip(slope).zip(self.back.iter()) {
                *delta = slope * back;
            }
            sum = sum + squares(delta);
            transposed(view, delta, self.back);
        }
        // Cauchy-Schwarz over the window.
        sum * self.drive + self.cell.readout_bound(state)
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
        let (columns, rows) = (shape.columns().max(1), padded(&shape));
        let runs = self.cell.runs(&shape);
        for (words, number) in params.layer_mut().as_chunks_mut::<PANEL_ROWS>().0.iter_mut().zip(0..) {
            let (panel, column) = (number / columns, number % columns);
            if !runs.iter().any(|run| run.contains(&column)) {
                continue;
            }
            let mut sums = [T::ZERO; PANEL_ROWS];
            for place in self.places() {
                let input = at(self.inputs, place, columns).get(column).copied().unwrap_or(T::ZERO);
                let deltas = at(at(self.deltas, place, rows), panel, PANEL_ROWS);
                for (sum, &delta) in sums.iter_mut().zip(deltas) {
                    *sum = *sum + delta * input;
                }
            }
            for ((word, sum), row) in words.iter_mut().zip(sums).zip(0..) {
                *word = optimiser.word(PANEL_ROWS * number + row, *word, scale * sum);
            }
        }
        self.cell.visit_readout(params, state, optimiser, scale);
    }

    fn advance(&mut self, _: &mut Params<'_, T>, _: &State<'_, T>) {}

    fn size(&self) -> T {
        self.drive
    }

    fn reset(&mut self) {
        self.inputs.fill(T::ZERO);
        self.filled = 0;
        self.drive = T::ZERO;
    }

    fn lever(&self, view: &View<'_, T>) -> T {
        steepest(&view.settings)
    }
}
