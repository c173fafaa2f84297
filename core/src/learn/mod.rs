//! Learning on the chip: exact or approximate gradients of every step, online, in memory lent once.
//!
//! A [`Rule`] runs the network and says the gradient of the step's loss; a [`Loss`] says what is small; an
//! [`Optimiser`] makes steps of gradients. [`Online`] joins the three into a [`Learner`]: one call a time step.
//!
//! | rule | gradient | words, dense n, m = 1 + n + I | multiply-adds a step |
//! |---|---|---|---|
//! | [`LatentRtrl`] | exact, rank R | n R (1 + 2 R + I) and small ones | 2 n R³ + O(n R²) for U and V |
//! | [`LatentRls`] | exact, D × D maps, second order | R³ + K² + small ones, K = R² + O² + O | 2 n R (R + O) + 2 O K² |
//! | [`Rtrl`] | exact, dense | n² m | n³ m |
//! | [`Diagonal`] | SnAp-1, RFLO | n m | 3 n m |
//! | [`Eprop`] | presynaptic trace | m | n m |
//! | [`Uoro`] | unbiased, noisy | 2 n m | n² + 3 n m |
//! | [`KfRtrl`] | unbiased, less noisy | 2 n² + m | n³ + n² + n m |
//! | [`Tbptt`] | exact within a window of K steps | K (3 n + I) | 2 K n² |
//! | [`Lms`] | readout alone | O | n O |
//! | [`Rls`] | readout alone, second order | (n + 1)² | 2 n² |
//!
//! Every number is computed with +, −, ·, / and a correctly rounded square root in a fixed order: the same
//! bits on every target. All learning arithmetic is `separate`, whatever the forward step's is.
//!
//! # What cannot happen
//! A word that is not finite: a gradient whose norm is not below [`LARGEST`] is rejected, and a smaller one moves
//! no word by half a unit in the last place of the largest number. An influence that stays too large: it is
//! reset. A state that is not finite is set to the initial one.
//!
//! ```
//! use tinyfold_core::learn::{Groups, Learner, Lms, Loss, Online, Params, Sgd};
//! use tinyfold_core::pack::{Matrices, Weights, pack};
//! use tinyfold_core::{Activation, Settings, Shape};
//!
//! let shape = Shape { neurons: 1, rank: 0, inputs: 1, outputs: 1 };
//! let matrices = Matrices {
//!     weights: Weights::Dense(&[0.0_f32]),
//!     input: &[1.0],
//!     bias: &[0.0],
//!     readout: &[0.0],
//!     output_bias: &[0.0],
//!     scaling: &[[0.0, 1.0]; 2],
//!     initial: &[],
//! };
//! let mut words = vec![0.0; shape.parameter_len()];
//! pack(&shape, &matrices, &mut words)?;
//! let mut params = Params::new(shape, Settings::new(Activation::Linear), &mut words)?;
//! let mut memory = vec![0.0; shape.state_len()];
//! let mut state = params.view().state(&mut memory)?;
//!
//! let mut memory = vec![0.0; Lms::<f32>::memory_len(&shape)];
//! let rule = Lms::new(&params, Groups::READOUT, &mut memory)?;
//! let mut learner = Online::new(rule, Sgd::new(0.1)?, Loss::Square);
//! for k in 0..200 {
//!     let x = if k % 2 == 0 { 1.0 } else { -1.0 };
//!     learner.step(&mut params, &mut state, &[x], Some(&[3.0 * x]));
//! }
//! assert!((state.output()[0] + 3.0).abs() < 1e-5);
//! # Ok::<(), tinyfold_core::Error>(())
//! ```

mod dense;
mod diagonal;
mod eprop;
mod guard;
mod kronecker;
mod latent;
mod latent_rls;
mod loss;
mod memory;
mod online;
mod optimiser;
mod params;
mod plan;
mod readout;
mod rtrl;
mod sign;
mod tbptt;
mod uoro;

pub use diagonal::{Diagonal, Influence};
pub use eprop::Eprop;
pub use guard::{Guard, Limits};
pub use kronecker::KfRtrl;
pub use latent::{LatentRtrl, Tie};
pub use latent_rls::LatentRls;
pub use loss::Loss;
pub use online::{Counts, Learner, Online, Outcome, Rule, Update};
pub use optimiser::{Adam, Momentum, Optimiser, Sgd, Tape};
pub use params::{Groups, Params};
pub use plan::{Follower, KINDS, Kind, Moment, Plan};
pub use readout::{Lms, Rls};
pub use rtrl::Rtrl;
pub use sign::Dale;
pub use tbptt::Tbptt;
pub use uoro::Uoro;

/// 2^32: the norm from which on a gradient, an influence or a state is not one to learn from.
pub const LARGEST: f64 = 4_294_967_296.0;
