//! Learning on the chip: exact or approximate gradients of every step, online, in memory lent once.
//!
//! A [`Rule`] runs the network and says the gradient of the step's loss; a [`Loss`] says what is small; an
//! [`Optimiser`] makes steps of gradients. [`Online`] joins the three into a [`Learner`]: one call a time step.
//!
//! | rule | gradient | words | multiply-adds a step |
//! |---|---|---|---|
//! | [`LatentRtrl`] | exact, rank R | n R (1 + 2 R + I) + 3 n + R (5 + I + R + O) + O | 2 n R³ + O(n R²) for U and V |
//! | [`LatentRls`] | exact, D × D maps, second order | K² + K (O + 2) + R³ + 3 n + R (6 + I + R + O) + 2 O | 2 n R (R + O) + 2 O K² |
//! | [`Rtrl`] | exact, dense | n² m + 3 n + m + O | n³ m |
//! | [`Diagonal`] | SnAp-1, RFLO | n m + 4 n + m + O | 3 n m |
//! | [`Eprop`] | presynaptic trace | 2 m + 2 n + O | n m |
//! | [`Uoro`] | unbiased, noisy | n m + 5 n + m + O | n² + 4 n m |
//! | [`KfRtrl`] | unbiased, less noisy | 2 n² + 3 n + 2 m + O | n³ + 2 n² + n m |
//! | [`Tbptt`] | exact within a window of K steps | K (2 n + m) + 3 n + m + O | 2 K n² |
//! | [`Lms`] | readout alone | O | n O |
//! | [`Rls`] | readout alone, second order | (n + 1)² + n + 1 + O | 2 n² |
//! | [`Guard`] | around any rule | two copies of all packed words | |
//!
//! m = 1 + n + I; dense rules round n up to 8 and m up to 4; at rank R everything learns, without leak and tie, and of
//! `LatentRls` K = R² + O² + O. Exactly, and in a constant: `memory_len` in words, `memory_bytes` in bytes.
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
//!
//! On a chip, memory is a static buffer whose size the compiler knows (here behind a lock of std):
//!
//! ```
//! use std::sync::Mutex;
//! use tinyfold_core::learn::{Groups, LatentRtrl, Params};
//! use tinyfold_core::{Activation, Settings, Shape};
//!
//! const SHAPE: Shape = Shape { neurons: 64, rank: 2, inputs: 2, outputs: 2 };
//! const WORDS: usize = LatentRtrl::<f32>::memory_len(&SHAPE, Groups::RECURRENT, false);
//! const { assert!(LatentRtrl::<f32>::memory_bytes(&SHAPE, Groups::RECURRENT, false) == 2912) };
//!
//! static PARAMETERS: Mutex<[f32; SHAPE.parameter_len()]> = Mutex::new([1.0; SHAPE.parameter_len()]);
//! static MEMORY: Mutex<[f32; WORDS]> = Mutex::new([0.0; WORDS]);
//!
//! let (mut words, mut memory) = (PARAMETERS.lock().unwrap(), MEMORY.lock().unwrap());
//! let params = Params::new(SHAPE, Settings::new(Activation::Relu), &mut words[..])?;
//! let rule = LatentRtrl::new(&params, Groups::RECURRENT, &mut memory[..])?;
//! # Ok::<(), tinyfold_core::Error>(())
//! ```

use crate::shape::Shape;

/// `memory_bytes` beside `memory_len`.
macro_rules! memory_bytes {
    ($($rule:ident($($argument:ident: $kind:ty),*)),* $(,)?) => {
        $(impl<T: crate::Scalar> $rule<'_, T> {
            /// Bytes of memory: those of [`Self::memory_len`] words.
            #[must_use]
            pub const fn memory_bytes($($argument: $kind),*) -> usize {
                Self::memory_len($($argument),*) * size_of::<T>()
            }
        })*
    };
}

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
mod source;
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
pub use sign::{Dale, Projected};
pub use source::{Rows, Source};
pub use tbptt::Tbptt;
pub use uoro::Uoro;

memory_bytes!(
    LatentRtrl(shape: &Shape, groups: Groups, leaky: bool),
    LatentRls(shape: &Shape, groups: Groups),
    Rtrl(shape: &Shape),
    Diagonal(shape: &Shape),
    Eprop(shape: &Shape),
    Uoro(shape: &Shape),
    KfRtrl(shape: &Shape),
    Tbptt(shape: &Shape, window: usize),
    Lms(shape: &Shape),
    Rls(shape: &Shape),
);

/// 2^32: the norm from which on a gradient, an influence or a state is not one to learn from.
pub const LARGEST: f64 = 4_294_967_296.0;
