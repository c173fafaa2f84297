//! Dynamics: fixed points, cycles, manifolds, bifurcations, exponents, and reduced models of them.

mod arrays;
mod commands;
mod continuation;
mod cycles;
mod fixed_points;
#[cfg(target_os = "linux")]
#[path = "../interrupt/mod.rs"]
mod interrupt;
mod lyapunov;
mod monitor;
mod reduced;
mod references;
mod regions;
mod slow_manifold;
mod ssm;
