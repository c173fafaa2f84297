//! The commands as users meet them.

mod cli;
mod readme;
