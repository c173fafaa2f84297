//! Lines and surfaces of fixed points, as of a ring attractor: each of their points is singular.

use serde::{Deserialize, Serialize};

use super::newton::{Iterate, Known, SINGULAR, residual_jacobian};
use crate::dynamics::System;
use crate::dynamics::vector::{dot, moved, norm, square_distance};

/// Steps along the continuum that prove it.
const STEPS: usize = 5;
/// Length of a step, by 1 + |x|.
const STEP: f64 = 1e-2;
/// Most states that are kept.
pub(super) const KEPT: usize = 256;

/// A continuum of fixed points: the Jacobian of the residual is singular on it, and Newton's method ends at
/// another point of it from every start.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Continuum {
    /// Number of directions in which the residual's Jacobian is singular.
    pub dimension: usize,
    /// Some of its points, at most 256.
    pub states: Vec<Vec<f64>>,
    /// Number of starts from which a point of it was reached.
    pub reached: usize,
}

impl Continuum {
    /// Follows the null direction from a singular point; `None` if fixed points do not go on there.
    pub(super) fn from(system: &dyn System, known: &Known) -> Option<Self> {
        let mut states = vec![known.state.clone()];
        let mut direction = known.null.clone();
        let mut from = known.state.clone();
        for _ in 0..STEPS {
            let h = STEP * (1.0 + norm(&from));
            let mut at = Iterate::new(system, moved(&from, h, &direction));
            for _ in 0..20 {
                if at.rests() || !at.advance(&at.damped_step(), h) {
                    break;
                }
            }
            let next = at.accepted().filter(|next| next.degenerate)?;
            if !(0.5 * h..2.0 * h).contains(&square_distance(&next.state, &from).sqrt()) {
                return None;
            }
            let mut along = next.null;
            if dot(&along, &direction) < 0.0 {
                for x in &mut along {
                    *x = -*x;
                }
            }
            states.push(next.state.clone());
            (from, direction) = (next.state, along);
        }
        let values = residual_jacobian(system, &known.state).singular_values().ok()?;
        let small = SINGULAR * values.first().copied().unwrap_or(0.0).max(1.0);
        let dimension = values.iter().filter(|&&value| value <= 10.0 * small).count().max(1);
        Some(Self { dimension, states, reached: 1 })
    }
}
