//! Lyapunov exponents, finite-time Lyapunov exponents and basins on planes, and the dimension of a cloud of
//! states.
//!
//! | question | function |
//! |---|---|
//! | Chaos, a cycle or rest? How fast do trajectories part? | [`spectrum()`] |
//! | Where in state space does a small push decide the outcome? | [`field()`] on a [`Plane`] |
//! | Which attractor is reached from where? | [`attractors()`] finds them, [`basins()`] maps them |
//! | In how many directions does the state move? | [`intrinsic()`] |
//!
//! Exponents are in units of 1 / time. The time of a step is the caller's `dt`: the RK4 step of a flow; of a
//! map any unit, 1 for exponents per step, alpha of a network for exponents per time constant.

mod attractors;
mod basin;
mod blocks;
mod dimension;
mod ftle;
mod large;
mod plane;
mod run;
mod small;
mod spectrum;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::ProgressBar;

pub use attractors::{AttractingSet, Recurrence, attractors};
pub use basin::{Basins, basins, spread, visited};
pub use dimension::{Intrinsic, intrinsic};
pub use ftle::{Field, field};
pub use plane::Plane;
pub use spectrum::{Settings, Spectrum, kaplan_yorke, spectrum};

/// Who watches a long computation: a progress bar, and a flag that ends it.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Moved as steps or grid points are done.
    pub bar: ProgressBar,
    /// Set to end early.
    pub stop: Arc<AtomicBool>,
}

impl Watch {
    /// Whether to end early.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Nobody watches.
impl Default for Watch {
    fn default() -> Self {
        Self { bar: ProgressBar::hidden(), stop: Arc::default() }
    }
}
