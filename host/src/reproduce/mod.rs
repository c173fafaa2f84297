//! The results of the papers as commands: what is claimed, what the paper says, what is found here.

pub mod fanthomme2021;
pub mod marraffa2025;

use serde::Serialize;

/// A statement, side by side: what the paper says of it, and what was found here.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Claim {
    /// What is claimed; "(tinyfold)" begins what is not of the paper.
    pub claim: &'static str,
    /// What the paper or its authors' code says, in our words, and what of it can be compared.
    pub paper: String,
    /// What holds if it is true here.
    pub criterion: String,
    /// What was found.
    pub found: String,
    /// Whether it holds.
    pub holds: bool,
}
