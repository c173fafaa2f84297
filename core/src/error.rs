//! What core refuses: the part, what was expected, what was found.

use core::fmt;

/// The part of a network or of its bytes that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Field {
    /// The first four bytes.
    Magic,
    /// Format version.
    Version,
    /// Number of bytes.
    Length,
    /// CRC-32.
    Checksum,
    /// Position and size of a flash bank.
    Bank,
    /// CRC-32 of a bank's commit record.
    Commit,
    /// CRC-32 of a bank's payload.
    Payload,
    /// Kind and words of an optimiser.
    Optimiser,
    /// Rule, loss and what learns.
    Rule,
    /// Number type.
    Number,
    /// Rate or current form.
    Form,
    /// Separate or fused arithmetic.
    Arithmetic,
    /// Activation function.
    Activation,
    /// Implementation of exp and tanh.
    Variant,
    /// Whether outputs are phi(C h + c): 1, or 0 for C h + c.
    Decoder,
    /// Bytes that must be zero.
    Reserved,
    /// Position of a section.
    Offset,
    /// Number of neurons n.
    Neurons,
    /// Rank R.
    Rank,
    /// Number of inputs I.
    Inputs,
    /// Number of outputs O.
    Outputs,
    /// Number of steps.
    Steps,
    /// Carried state words.
    Carried,
    /// Leak alpha and 1 - alpha.
    Leak,
    /// Parameters of the activation function.
    ActivationParameters,
    /// Recurrent layer: b, W or U and V, B.
    Layer,
    /// Readout: c, C.
    Readout,
    /// Input and output scaling.
    Scaling,
    /// Initial state.
    Initial,
    /// Metadata text.
    Metadata,
    /// Samples of a recording.
    Samples,
    /// Memory of a state.
    State,
    /// The buffer to write into.
    Buffer,
    /// Rate, decay or epsilon of an optimiser; found is which.
    Rate,
    /// Coordinates D of a reduced model.
    Dimensions,
    /// Degree of a series.
    Degree,
    /// lo < hi of a coordinate.
    Interval,
    /// Coefficients of f and g.
    Series,
    /// Mean, basis and scale of a monitor.
    Manifold,
}

/// What would have been right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Expected {
    /// This value.
    Exactly(u64),
    /// At least this value.
    AtLeast(u64),
    /// A value from the first to the second.
    Between(u64, u64),
    /// Memory aligned to this many bytes; found is the remainder.
    Aligned(u64),
    /// Finite numbers in range; found is the index of the first that is not.
    Finite,
    /// UTF-8 text; found is the index of the first byte that is not.
    Utf8,
}

/// A refusal: `field`, what was `expected`, what was `found`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Error {
    /// What was refused.
    pub field: Field,
    /// What would have been right.
    pub expected: Expected,
    /// What was there.
    pub found: u64,
}

impl Error {
    pub(crate) const fn new(field: Field, expected: Expected, found: u64) -> Self {
        Self { field, expected, found }
    }
}

/// `Ok` if `found` is `expected`.
pub(crate) fn exactly(field: Field, expected: usize, found: usize) -> Result<(), Error> {
    if expected == found {
        Ok(())
    } else {
        Err(Error::new(field, Expected::Exactly(expected as u64), found as u64))
    }
}

/// `Ok` if `found` is from `low` to `high`.
pub(crate) fn between(field: Field, low: usize, high: usize, found: usize) -> Result<(), Error> {
    if low <= found && found <= high {
        Ok(())
    } else {
        Err(Error::new(field, Expected::Between(low as u64, high as u64), found as u64))
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Magic => "magic",
            Self::Version => "format version",
            Self::Length => "length in bytes",
            Self::Checksum => "checksum",
            Self::Bank => "bank",
            Self::Commit => "checksum of the commit record",
            Self::Payload => "checksum of the payload",
            Self::Optimiser => "optimiser",
            Self::Rule => "rule",
            Self::Number => "number type",
            Self::Form => "form",
            Self::Arithmetic => "arithmetic",
            Self::Activation => "activation",
            Self::Variant => "activation variant",
            Self::Decoder => "nonlinear decoder",
            Self::Reserved => "reserved bytes",
            Self::Offset => "section offset",
            Self::Neurons => "neurons n",
            Self::Rank => "rank R",
            Self::Inputs => "inputs I",
            Self::Outputs => "outputs O",
            Self::Steps => "steps",
            Self::Carried => "carried words",
            Self::Leak => "leak alpha",
            Self::ActivationParameters => "activation parameters",
            Self::Layer => "recurrent layer",
            Self::Readout => "readout",
            Self::Scaling => "input and output scaling",
            Self::Initial => "initial state",
            Self::Metadata => "metadata",
            Self::Samples => "samples",
            Self::State => "state memory in words",
            Self::Buffer => "buffer",
            Self::Rate => "learning rate, decay or epsilon",
            Self::Dimensions => "dimensions D",
            Self::Degree => "degree",
            Self::Interval => "interval",
            Self::Series => "series",
            Self::Manifold => "manifold",
        })
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(value) => write!(f, "{value}"),
            Self::AtLeast(value) => write!(f, "at least {value}"),
            Self::Between(low, high) => write!(f, "{low} to {high}"),
            Self::Aligned(bytes) => write!(f, "an address that is a multiple of {bytes}"),
            Self::Finite => f.write_str("finite numbers in range"),
            Self::Utf8 => f.write_str("UTF-8 text"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, expected, found } = self;
        match (field, expected) {
            (Field::Magic | Field::Checksum | Field::Commit | Field::Payload, Expected::Exactly(value)) => {
                write!(f, "{field}: expected {value:#010x}, found {found:#010x}")
            }
            (_, Expected::Finite | Expected::Utf8) => {
                write!(f, "{field}: expected {expected}, found something else at index {found}")
            }
            // A leak is a number below 1.
            (Field::Leak, Expected::Exactly(_)) => write!(f, "{field}: expected {expected}, found less"),
            (_, Expected::Aligned(_)) => write!(f, "{field}: expected {expected}, found remainder {found}"),
            _ => write!(f, "{field}: expected {expected}, found {found}"),
        }
    }
}

impl core::error::Error for Error {}
