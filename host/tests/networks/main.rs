//! Networks: exact, rounded, compressed, read from files of our own and of others.

mod activations;
mod compress;
mod decoder;
mod design;
mod foreign;
mod formats;
mod quantise;
mod recordings;
#[path = "../dynamics/references.rs"]
mod references;
