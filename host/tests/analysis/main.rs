//! Manifolds, theory, the papers, and the report.

#[cfg(target_os = "linux")]
#[path = "../interrupt/mod.rs"]
mod interrupt;
mod manifold;
mod paper;
mod report;
mod reproduce;
mod selectivity;
mod theory;
