//! Activation functions: value and derivative.

use crate::scalar::{Scalar, Variant};

/// The activation function phi of a network, applied to every pre-activation p.
///
/// | name | phi(p) | phi'(p) |
/// |---|---|---|
/// | linear | p | 1 |
/// | ReLU | max(p, 0) | 1 for p >= 0, else 0 |
/// | clipped ReLU | min(max(p, lo), hi) | 1 on the closed interval [lo, hi], else 0 |
/// | tanh | tanh(p) | 1 - phi² |
/// | sigmoid | 1 / (1 + exp(-slope (p - threshold))) | slope phi (1 - phi) |
///
/// phi'(0) of the ReLU counts as 1: training from W = 0, where every pre-activation is exactly 0,
/// would never start otherwise (Fanthomme & Monasson 2021 rely on it).
///
/// ```
/// use tinyfold_core::{Activation, Variant};
/// let phi = Activation::Clipped { lo: 0.0, hi: 1.0 };
/// assert_eq!(phi.value(1.5_f32, Variant::Libm), 1.0);
/// assert_eq!(phi.derivative(1.0_f32, Variant::Libm), 1.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Activation<T> {
    /// phi(p) = p.
    Linear,
    /// phi(p) = max(p, 0).
    Relu,
    /// phi(p) = min(max(p, lo), hi), with lo <= hi, both finite.
    Clipped {
        /// Least value.
        lo: T,
        /// Greatest value.
        hi: T,
    },
    /// phi(p) = tanh(p).
    Tanh,
    /// phi(p) = 1 / (1 + exp(-slope (p - threshold))).
    Sigmoid {
        /// Steepness, finite.
        slope: T,
        /// Pre-activation at which phi = 1/2, finite.
        threshold: T,
    },
}

impl<T: Scalar> Activation<T> {
    /// phi(p). NaN stays NaN; −0 becomes +0 under ReLU.
    #[inline(always)]
    #[must_use]
    pub fn value(self, p: T, variant: Variant) -> T {
        match self {
            Self::Linear => p,
            Self::Relu => p.relu(),
            Self::Clipped { lo, hi } => p.clipped(lo, hi),
            Self::Tanh => p.tanh(variant),
            Self::Sigmoid { slope, threshold } => (slope * (p - threshold)).logistic(variant),
        }
    }

    /// phi of every element, in place.
    // One loop for each function: to choose inside costs more than most.
    #[inline(never)]
    pub fn apply(self, elements: &mut [T], variant: Variant) {
        fn each<E: Copy>(elements: &mut [E], phi: impl Fn(E) -> E) {
            for element in elements {
                *element = phi(*element);
            }
        }
        match (self, variant) {
            (Self::Linear, _) => {}
            (Self::Relu, _) => {
                // Loaded and stored four at a time.
                let (fours, rest) = elements.as_chunks_mut::<4>();
                each(fours, |four| four.map(T::relu));
                each(rest, T::relu);
            }
            (Self::Tanh, Variant::Rational) => each(elements, |p| p.tanh(Variant::Rational)),
            _ => each(elements, |p| self.value(p, variant)),
        }
    }

    /// phi'(p), with the closed-interval rule of the table above.
    #[inline]
    #[must_use]
    pub fn derivative(self, p: T, variant: Variant) -> T {
        let inside = |yes: bool| if yes { T::ONE } else { T::ZERO };
        match self {
            Self::Linear => T::ONE,
            Self::Relu => inside(p >= T::ZERO),
            Self::Clipped { lo, hi } => inside(p >= lo && p <= hi),
            Self::Tanh => {
                let phi = p.tanh(variant);
                T::ONE - phi * phi
            }
            Self::Sigmoid { slope, .. } => {
                let phi = self.value(p, variant);
                slope * phi * (T::ONE - phi)
            }
        }
    }

    /// The same function in another number type.
    #[must_use]
    pub fn cast<S: Scalar>(self) -> Activation<S> {
        let cast = |x: T| S::from_f64(x.to_f64());
        match self {
            Self::Linear => Activation::Linear,
            Self::Relu => Activation::Relu,
            Self::Clipped { lo, hi } => Activation::Clipped { lo: cast(lo), hi: cast(hi) },
            Self::Tanh => Activation::Tanh,
            Self::Sigmoid { slope, threshold } => {
                Activation::Sigmoid { slope: cast(slope), threshold: cast(threshold) }
            }
        }
    }
}
