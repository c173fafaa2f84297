//! Letters and shapes: how many words each part of a network takes.

use crate::linear::{PANEL_ROWS, panels};

/// Which variable is leaky: the rate h or the current a.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Form {
    /// h' = (1 - alpha) h + alpha phi(W h + B x + b), y = C h + c.
    Rate = 1,
    /// a' = (1 - alpha) a + alpha (W phi(a) + B x + b), y = C phi(a) + c.
    Current = 2,
}

/// Sizes of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Shape {
    /// n, 1 to [`Shape::MOST`].
    pub neurons: usize,
    /// R of W = U Vᵀ, or 0 for a dense W.
    pub rank: usize,
    /// I.
    pub inputs: usize,
    /// O, at least 1.
    pub outputs: usize,
}

impl Shape {
    /// The largest size in any dimension: byte offsets then fit 32 bits.
    pub const MOST: usize = 4096;

    /// Whether W is stored whole.
    #[must_use]
    pub const fn is_dense(&self) -> bool {
        self.rank == 0
    }

    /// Columns of a panel: b, W, B.
    pub(crate) const fn columns(&self) -> usize {
        1 + self.neurons + self.inputs
    }

    /// Words of a neuron's record in a low-rank layer: b_i, U_i, B_i, V_i, C_i.
    pub(crate) const fn record(&self) -> usize {
        1 + 2 * self.rank + self.inputs + self.outputs
    }

    /// Words of the recurrent layer: panels of \[b | W | B\] when dense, else n records.
    #[must_use]
    pub const fn layer_len(&self) -> usize {
        if self.is_dense() {
            panels(self.neurons) * PANEL_ROWS * self.columns()
        } else {
            self.neurons * self.record()
        }
    }

    /// Words of the readout: c, then the columns of C when dense (a low-rank layer holds C itself).
    #[must_use]
    pub const fn readout_len(&self) -> usize {
        self.outputs + if self.is_dense() { self.neurons * self.outputs } else { 0 }
    }

    /// Words of the scaling: (center, gain) of every input, then of every output.
    #[must_use]
    pub const fn scaling_len(&self) -> usize {
        2 * (self.inputs + self.outputs)
    }

    /// Words of the initial state: n, or R + max(I, O) with unused words zero.
    #[must_use]
    pub const fn initial_len(&self) -> usize {
        if self.is_dense() { self.neurons } else { self.rank + max(self.inputs, self.outputs) }
    }

    /// Words of all parameters: layer, readout, scaling, initial state.
    #[must_use]
    pub const fn parameter_len(&self) -> usize {
        self.layer_len() + self.readout_len() + self.scaling_len() + self.initial_len()
    }

    /// Words of memory a [`State`](crate::State) needs.
    #[must_use]
    pub const fn state_len(&self) -> usize {
        self.inputs + 2 * self.outputs + self.initial_len() + self.scratch_len()
    }

    pub(crate) const fn scratch_len(&self) -> usize {
        if self.is_dense() { self.neurons } else { self.rank }
    }

    /// Words that a step carries to the next one.
    ///
    /// | | rate, alpha = 1 | rate, alpha < 1 | current |
    /// |---|---|---|---|
    /// | dense | h (n) | h (n) | a (n) |
    /// | rank R | z = Vᵀh (R) | z (R), y (O) | kappa (R), nu (I) |
    #[must_use]
    pub const fn carried_len(&self, form: Form, leaky: bool) -> usize {
        match (self.is_dense(), form, leaky) {
            (true, _, _) => self.neurons,
            (false, Form::Current, _) => self.rank + self.inputs,
            (false, Form::Rate, true) => self.rank + self.outputs,
            (false, Form::Rate, false) => self.rank,
        }
    }

    /// Multiply-adds of one step: n (n + I + O) when dense, n (2 R + I + O) at rank R.
    #[must_use]
    pub const fn multiply_adds(&self) -> usize {
        let recurrent = if self.is_dense() { self.neurons } else { 2 * self.rank };
        self.neurons * (recurrent + self.inputs + self.outputs)
    }
}

const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}
