//! The sizes.

use crate::error::{Error, Field, between};

/// Sizes of a reduced model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Shape {
    /// D, 1 or 2.
    pub dimensions: usize,
    /// I, at most [`Shape::MOST_CHANNELS`].
    pub inputs: usize,
    /// O, from 1 to [`Shape::MOST_CHANNELS`].
    pub outputs: usize,
    /// K, at most [`Shape::MOST_DEGREE`].
    pub drift: usize,
    /// G, at most K; 0 without inputs.
    pub gain: usize,
    /// C, at most [`Shape::MOST_DEGREE`].
    pub output: usize,
}

impl Shape {
    /// The highest degree of a series.
    pub const MOST_DEGREE: usize = 31;
    /// The most inputs, and the most outputs.
    pub const MOST_CHANNELS: usize = 16;

    /// Coefficients of a series of this degree: K + 1 for one coordinate, (K + 1) (K + 2) / 2 for two.
    #[must_use]
    pub const fn terms(&self, degree: usize) -> usize {
        terms(self.dimensions, degree + 1)
    }

    /// Words of the domain: (lo, hi) of every coordinate, then the initial state.
    #[must_use]
    pub const fn domain_len(&self) -> usize {
        3 * self.dimensions
    }

    /// Words of f and g.
    #[must_use]
    pub const fn drive_len(&self) -> usize {
        self.dimensions * (self.terms(self.drift) + self.inputs * self.terms(self.gain))
    }

    /// Words of c.
    #[must_use]
    pub const fn output_len(&self) -> usize {
        self.outputs * self.terms(self.output)
    }

    /// Words of all parameters: domain, f and g, c.
    #[must_use]
    pub const fn parameter_len(&self) -> usize {
        self.domain_len() + self.drive_len() + self.output_len()
    }

    /// Words of memory that a [`State`](super::State) needs.
    #[must_use]
    pub const fn state_len(&self) -> usize {
        self.dimensions + self.inputs + self.outputs
    }

    /// Multiply-adds of one step; one of Clenshaw's for every coefficient.
    #[must_use]
    pub const fn multiply_adds(&self) -> usize {
        self.drive_len() + self.output_len()
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        between(Field::Dimensions, 1, 2, self.dimensions)?;
        between(Field::Inputs, 0, Self::MOST_CHANNELS, self.inputs)?;
        between(Field::Outputs, 1, Self::MOST_CHANNELS, self.outputs)?;
        between(Field::Degree, 0, Self::MOST_DEGREE, self.drift)?;
        between(Field::Degree, 0, if self.inputs == 0 { 0 } else { self.drift }, self.gain)?;
        between(Field::Degree, 0, Self::MOST_DEGREE, self.output)
    }
}

/// Terms with j + k < `orders`.
const fn terms(dimensions: usize, orders: usize) -> usize {
    if dimensions == 1 { orders } else { orders * (orders + 1) / 2 }
}
