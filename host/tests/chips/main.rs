//! Emulated chips compute what the host does, at the cost that is documented.

mod adapt;
mod bench;
mod boards;
mod models;
mod timing;
