//! Figures of dynamics.

pub mod continuation;
pub mod cycles;
pub mod fixed_points;
pub mod lyapunov;
pub mod slow_manifold;
pub mod ssm;
