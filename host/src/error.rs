//! One error type for the library and the command: it says where, what was expected, what was found.

use std::path::{Path, PathBuf};

/// What can go wrong. Exit codes of the command: 1 a check failed, 2 bad input.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: cannot {action}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried: "read", "write", "create folder" ...
        action: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Something in a file or an option is not what it should be.
    #[error("{place}: expected {expected}, found {found}")]
    Input {
        /// File and line, column or field; or the option.
        place: String,
        /// What would be right.
        expected: String,
        /// What is there.
        found: String,
    },
    /// An exact design needs more neurons.
    #[error(
        "n: expected at least {least} neurons for these encoders, decoders and D = {channels}, found n = {n}"
    )]
    TooFewNeurons {
        /// Neurons asked for.
        n: usize,
        /// Channels D.
        channels: usize,
        /// The least n that works.
        least: usize,
    },
    /// A tool that was asked for is not on this machine.
    #[error("{what} is not on this machine; {remedy}")]
    Missing {
        /// The tool.
        what: String,
        /// What to type to get it.
        remedy: String,
    },
    /// A numerical method did not deliver.
    #[error("{what}: {reason}")]
    Numeric {
        /// The computation.
        what: String,
        /// Why it failed and what to try.
        reason: String,
    },
    /// Training was stopped before it had a network that is stable over long roll-outs.
    #[error("training: stopped after update {step}; no stable network yet")]
    Stopped {
        /// Updates done.
        step: usize,
    },
    /// A verification or check ran and failed.
    #[error("{0}")]
    CheckFailed(String),
}

/// The library's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Shorthand for [`Error::Input`].
    pub fn input(place: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::Input { place: place.into(), expected: expected.into(), found: found.into() }
    }

    /// Shorthand for [`Error::File`], to be used in `map_err`.
    pub fn file(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, action, source }
    }

    /// The same in a larger place: `place` comes before that of [`Error::Input`].
    #[must_use]
    pub fn within(self, place: &str) -> Self {
        match self {
            Self::Input { place: inner, expected, found } => {
                Self::Input { place: format!("{place}: {inner}"), expected, found }
            }
            other => other,
        }
    }

    /// The exit code of the command for this error.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::CheckFailed(_) | Self::Numeric { .. } | Self::Stopped { .. } => 1,
            _ => 2,
        }
    }
}

/// Refuses what does not hold; `field` is what is wrong, `expected` what would be right.
///
/// # Errors
/// [`Error::Input`] unless it holds.
pub fn require(holds: bool, field: &str, expected: impl Into<String>, found: impl ToString) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::input(field, expected, found.to_string())) }
}
