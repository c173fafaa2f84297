//! The commands: each parses its options, calls the library, prints and writes files.

pub mod analyse;
pub mod compress;
pub mod design;
pub mod export;
pub mod inspect;
pub mod quickstart;
pub mod report;
pub mod train;
pub mod verify;
