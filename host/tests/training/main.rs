//! Training: gradients, rules, tasks, runs that are killed, sweeps.

mod ablation;
#[cfg(target_os = "linux")]
#[path = "../interrupt/mod.rs"]
mod interrupt;
mod learn;
mod losses;
mod stopping;
mod sweep;
mod tasks;
mod train;
