//! A network in f64, as the host designs, trains and analyses it.

use faer::Mat;
use serde::{Deserialize, Serialize};
pub use tinyfold_core::{Activation, Arithmetic, Form, Variant};

use crate::task::{Integration, Task};
use crate::{Error, Result};

/// The recurrent weights.
#[derive(Clone, Debug, PartialEq)]
pub enum Recurrence {
    /// W, n × n; `W[(i, j)]` is the weight from neuron j to neuron i.
    Dense(Mat<f64>),
    /// W = U Vᵀ of rank R.
    LowRank {
        /// U, n × R.
        u: Mat<f64>,
        /// V, n × R.
        v: Mat<f64>,
    },
}

impl Recurrence {
    /// W m, in O(n R) a column at rank R.
    ///
    /// m: n × any number of columns.
    #[must_use]
    pub fn times(&self, m: &Mat<f64>) -> Mat<f64> {
        match self {
            Self::Dense(w) => w * m,
            Self::LowRank { u, v } => u * (v.transpose() * m),
        }
    }
}

/// One input or output channel: its name and its physical scale.
///
/// Input: x = (raw - center) · gain. Output: raw = y · gain + center.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Channel {
    /// Name, as the column of the recording.
    pub name: String,
    /// Physical unit; empty when unknown.
    pub unit: String,
    /// Physical value of 0.
    pub center: f64,
    /// Network units per physical unit (input), physical units per network unit (output).
    pub gain: f64,
}

impl Channel {
    /// A channel in network units: center 0, gain 1.
    #[must_use]
    pub fn plain(name: impl Into<String>) -> Self {
        Self { name: name.into(), unit: String::new(), center: 0.0, gain: 1.0 }
    }
}

/// A network with n neurons, I inputs, O outputs and leak alpha in (0, 1].
///
/// Rate form: h' = (1 - alpha) h + alpha phi(W h + B x + b), y = C h + c.
/// Current form: a' = (1 - alpha) a + alpha (W phi(a) + B x + b), y = C phi(a) + c.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Rate or current.
    pub form: Form,
    /// Leak alpha in (0, 1].
    pub alpha: f64,
    /// phi.
    pub activation: Activation<f64>,
    /// Which implementation of tanh and sigmoid the chip uses.
    pub variant: Variant,
    /// How the chip adds products.
    pub arithmetic: Arithmetic,
    /// W.
    pub recurrence: Recurrence,
    /// B, n × I.
    pub input: Mat<f64>,
    /// b, n.
    pub bias: Vec<f64>,
    /// C, O × n.
    pub readout: Mat<f64>,
    /// c, O.
    pub output_bias: Vec<f64>,
    /// Whether outputs are y = phi(C h + c) instead of C h + c. Chip models of fixed point and rules that learn on a chip
    /// have linear readouts alone.
    pub nonlinear_decoder: bool,
    /// Carried state at reset, in the words of [`Network::carried`].
    pub initial: Vec<f64>,
    /// I input channels.
    pub inputs: Vec<Channel>,
    /// O output channels.
    pub outputs: Vec<Channel>,
    /// E, n × D, when B = W E (the form of Fanthomme & Monasson).
    pub encoder: Option<Mat<f64>>,
    /// What the network was made for.
    pub task: Option<Task>,
    /// Of a network whose masked neurons were left out: the numbers that those which were kept had among all, ascending.
    pub kept: Option<Vec<usize>>,
}

impl Network {
    /// A network of rate form, alpha = 1, without biases, started at zero, with plain channels.
    #[must_use]
    pub fn plain(
        activation: Activation<f64>,
        recurrence: Recurrence,
        input: Mat<f64>,
        readout: Mat<f64>,
    ) -> Self {
        let (n, inputs, outputs) = (input.nrows(), input.ncols(), readout.nrows());
        let mut network = Self {
            form: Form::Rate,
            alpha: 1.0,
            activation,
            variant: Variant::Rational,
            arithmetic: Arithmetic::Separate,
            recurrence,
            input,
            bias: vec![0.0; n],
            readout,
            output_bias: vec![0.0; outputs],
            nonlinear_decoder: false,
            initial: Vec::new(),
            inputs: (0..inputs).map(|i| Channel::plain(format!("x{i}"))).collect(),
            outputs: (0..outputs).map(|i| Channel::plain(format!("y{i}"))).collect(),
            encoder: None,
            task: None,
            kept: None,
        };
        network.initial = network.rest();
        network
    }

    /// What the network was made to integrate; `None` when it does not say or was made for another task.
    #[must_use]
    pub fn integration(&self) -> Option<&Integration> {
        self.task.as_ref().and_then(Task::integration)
    }

    /// As [`Network::integration`], for what works with integrators alone.
    ///
    /// # Errors
    /// Another task or none; `place` names the network.
    pub fn integrator(&self, place: &str) -> Result<&Integration> {
        let found = self.task.as_ref().map_or("none", Task::name);
        let other = || Error::input(format!("{place}: task"), "decays and scales of an integrator", found);
        self.integration().ok_or_else(other)
    }

    /// Refuses a nonlinear decoder, for what works with linear readouts alone; `place` says what does.
    ///
    /// # Errors
    /// A nonlinear decoder.
    pub fn linear_readout(&self, place: &str) -> Result<()> {
        let found = "a nonlinear decoder, y = phi(C h + c)";
        crate::error::require(!self.nonlinear_decoder, place, "a linear readout, y = C h + c", found)
    }

    /// n.
    #[must_use]
    pub fn neurons(&self) -> usize {
        self.input.nrows()
    }

    /// The number of neuron `i` of this network among all that there were before some were masked.
    #[must_use]
    pub fn number(&self, i: usize) -> usize {
        self.kept.as_ref().map_or(i, |kept| kept[i])
    }

    /// R of a low-rank network, 0 for a dense one.
    #[must_use]
    pub fn rank(&self) -> usize {
        match &self.recurrence {
            Recurrence::Dense(_) => 0,
            Recurrence::LowRank { u, .. } => u.ncols(),
        }
    }

    /// Number of words a step carries to the next one.
    ///
    /// | | rate, alpha = 1 | rate, alpha < 1 | current |
    /// |---|---|---|---|
    /// | dense | h (n) | h (n) | a (n) |
    /// | rank R | z = Vᵀh (R) | z (R), y (O) | kappa (R), nu (I) |
    #[must_use]
    pub fn carried(&self) -> usize {
        match (&self.recurrence, self.form) {
            (Recurrence::Dense(_), _) => self.neurons(),
            (Recurrence::LowRank { u, .. }, Form::Current) => u.ncols() + self.input.ncols(),
            (Recurrence::LowRank { u, .. }, Form::Rate) if self.alpha < 1.0 => {
                u.ncols() + self.readout.nrows()
            }
            (Recurrence::LowRank { u, .. }, Form::Rate) => u.ncols(),
        }
    }

    /// The carried state of a network at rest: h = 0 in rate form, a = b in current form.
    #[must_use]
    pub fn rest(&self) -> Vec<f64> {
        let mut state = vec![0.0; self.carried()];
        match (&self.recurrence, self.form) {
            (Recurrence::Dense(_), Form::Current) => state.copy_from_slice(&self.bias),
            (Recurrence::LowRank { u, .. }, Form::Rate) if self.alpha < 1.0 => {
                state[u.ncols()..].copy_from_slice(&self.output_bias);
            }
            _ => {}
        }
        state
    }

    /// The state of the n neurons that a run starts from, h or a; at low rank, whose carried words do not tell it, that
    /// at rest.
    #[must_use]
    pub fn first_state(&self) -> Vec<f64> {
        match (&self.recurrence, self.form) {
            (Recurrence::Dense(_), _) => self.initial.clone(),
            (Recurrence::LowRank { .. }, Form::Rate) => vec![0.0; self.neurons()],
            (Recurrence::LowRank { .. }, Form::Current) => self.bias.clone(),
        }
    }

    /// Adds currents to the rates: a network at rest of rate form becomes the one of h' = (1 - alpha) h + alpha (beta +
    /// phi(W h + B x + b)), y = C h + c from h = 0, in the words of its own rates h - beta: b + W beta, c + C beta, and a
    /// start at -beta.
    ///
    /// beta: n × 1.
    ///
    /// Source: the bias currents of the code of Fanthomme & Monasson 2021.
    ///
    /// # Panics
    /// Another number of currents than n.
    pub fn add_current(&mut self, beta: &Mat<f64>) {
        let add = |bias: &mut [f64], more: Mat<f64>| {
            std::iter::zip(bias, more.col_as_slice(0)).for_each(|(bias, more)| *bias += more);
        };
        add(&mut self.bias, self.recurrence.times(beta));
        let start = match &self.recurrence {
            Recurrence::Dense(_) => faer::Scale(-1.0) * beta,
            Recurrence::LowRank { v, .. } => faer::Scale(-1.0) * (v.transpose() * beta),
        };
        add(&mut self.output_bias, &self.readout * beta);
        // The output that a leaky network of low rank carries at rest is C 0 + c all the same.
        self.initial[..start.nrows()].copy_from_slice(start.col_as_slice(0));
    }

    /// W as one n × n matrix.
    #[must_use]
    pub fn weights(&self) -> Mat<f64> {
        match &self.recurrence {
            Recurrence::Dense(w) => w.clone(),
            Recurrence::LowRank { u, v } => u * v.transpose(),
        }
    }
}
