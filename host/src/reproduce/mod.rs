//! The results of the papers as commands: what is claimed, what is found here.

pub mod claims;
pub mod fanthomme2021;
pub mod marraffa2025;
