//! Slow manifolds: the curve that everything falls on, what is slow along it, and whether it is an attractor.
//!
//! [`SlowManifold`] is the curve between fixed points and [`Ring`] the closed curve around one, of a network
//! whose equations are known, [`Surface`] the slow plane around one; [`Attractor`] is the verdict on each. [`DataManifold`] is learnt from
//! trajectories alone; [`Learnt`] chooses its degree and judges it. [`Driven`] adds inputs and outputs: a
//! decision network in one dimension.

mod attractor;
pub mod chebyshev;
mod chip;
mod curve;
mod data;
mod decision;
mod learnt;
mod lone;
mod order;
mod projection;
mod ring;
mod simulated;
mod surface;
mod through;

pub use attractor::{Attractor, Bounds, Drift, Point, Shape, Verdict};
pub use chip::{Beyond, Compared, Degrees, fit_output};
pub use curve::{Frame, Options, SlowManifold};
pub use data::{DataManifold, Domain, Fit, Target};
pub use decision::{Choices, Driven, Psychometric, Trials, psychometric};
pub use learnt::{Known, Learning, Learnt, LearntRoot};
pub use order::{Tried, choose_degree, nmte};
pub use projection::{Projection, delayed};
pub use ring::{Ring, RingOptions};
pub use simulated::Simulated;
pub use surface::Surface;
