//! The number types a network computes in, and the two arithmetics that combine them.

use core::fmt::Debug;
use core::ops::{Add, Div, Mul, Neg, Sub};

use crate::kernel::Kernels;
use crate::rational;

/// A floating-point number type of a network: `f32` on chips, `f64` where the chip or the host has it.
///
/// Every operation is IEEE 754 round-to-nearest-even with subnormals kept, so a result has the
/// same bits on every target. Any NaN equals any NaN: its sign and payload are not defined.
pub trait Scalar:
    Copy
    + Debug
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + bytemuck::Pod
    + Kernels
{
    /// Positive zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// The tag of this type in the bytes of a model.
    const NUMBER: Number;
    /// `round(self * b + c)`, rounded once.
    #[must_use]
    fn fused(self, b: Self, c: Self) -> Self;
    /// `1 / (1 + e^-self)` by the chosen implementation.
    #[must_use]
    fn logistic(self, variant: Variant) -> Self;
    /// Hyperbolic tangent by the chosen implementation.
    #[must_use]
    fn tanh(self, variant: Variant) -> Self;
    /// |self|.
    #[must_use]
    fn abs(self) -> Self;
    /// Whether ReLU lets it through: all but negative numbers and −0.
    #[must_use]
    fn active(self) -> bool;
    /// `max(self, 0)` on the bits: negative numbers and both zeros give +0, any NaN stays NaN.
    #[must_use]
    fn relu(self) -> Self;
    /// `min(max(self, lo), hi)` on the bits, in the order of numbers with −0 below +0: any NaN stays NaN.
    #[must_use]
    fn clipped(self, lo: Self, hi: Self) -> Self;
    /// The square root, correctly rounded.
    #[must_use]
    fn sqrt(self) -> Self;
    /// e^self by `libm`.
    #[must_use]
    fn exp(self) -> Self;
    /// The natural logarithm by `libm`.
    #[must_use]
    fn ln(self) -> Self;
    /// Neither infinite nor NaN.
    fn is_finite(self) -> bool;
    /// True for +0 and −0, by the bits.
    fn is_zero(self) -> bool;
    /// True for −0 only.
    fn is_negative_zero(self) -> bool;
    /// The nearest value of this type.
    fn from_f64(x: f64) -> Self;
    /// The same value in f64, which holds every value of both types.
    fn to_f64(self) -> f64;
}

/// The number type of a model, as its bytes name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Number {
    /// 32-bit IEEE 754.
    F32 = 1,
    /// 64-bit IEEE 754.
    F64 = 2,
    /// Weights of 16 bits with [fixed](crate::fixed) point.
    I16 = 3,
    /// Weights of 8 bits with [fixed](crate::fixed) point.
    I8 = 4,
}

impl Number {
    /// Bytes of one word of a model's sections; fixed point packs its weights into words of 32 bits.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 | Self::I16 | Self::I8 => 4,
        }
    }
}

/// Which implementation computes tanh and the logistic function. `docs/activations.md` has their errors and
/// costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Variant {
    /// `libm`: within about one unit in the last place.
    Libm = 1,
    /// `micromath`: absolute error about 1e-3. It is an f32 library: f64 values are rounded to f32 first.
    Micromath = 2,
    /// A rational function: a third of `libm`'s instructions, absolute error at most 2.1e-7. It is a function
    /// of f32: f64 networks use `libm`.
    Rational = 3,
}

/// How a product is added to a sum. Both are portable; a model names the one it was verified with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Arithmetic {
    /// `round(sum + round(a * b))`.
    Separate = 1,
    /// `round(sum + a * b)`, one fused multiply-add.
    Fused = 2,
}

/// The type-level twin of [`Arithmetic`], so that a kernel is compiled once for each.
pub(crate) trait MultiplyAdd {
    const ARITHMETIC: Arithmetic;
    fn mac<T: Scalar>(sum: T, a: T, b: T) -> T;
}

pub(crate) struct Separate;
pub(crate) struct Fused;

impl MultiplyAdd for Separate {
    const ARITHMETIC: Arithmetic = Arithmetic::Separate;
    #[inline(always)]
    fn mac<T: Scalar>(sum: T, a: T, b: T) -> T {
        sum + a * b
    }
}

impl MultiplyAdd for Fused {
    const ARITHMETIC: Arithmetic = Arithmetic::Fused;
    #[inline(always)]
    fn mac<T: Scalar>(sum: T, a: T, b: T) -> T {
        a.fused(b, sum)
    }
}

macro_rules! scalar {
    ($T:ident, $Bits:ident, $number:expr, $sign:expr, $fma:path, [$exp:path, $tanh:path, $ln:path, $sqrt:path], $rational:ident) => {
        impl Scalar for $T {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const NUMBER: Number = $number;
            #[inline]
            fn fused(self, b: Self, c: Self) -> Self {
                $fma(self, b, c)
            }
            #[inline(always)]
            fn logistic(self, variant: Variant) -> Self {
                match variant {
                    Variant::Libm => 1.0 / (1.0 + far($exp, -self)),
                    Variant::Micromath => 1.0 / (1.0 + far(fast_exp, -self as f32) as $T),
                    Variant::Rational => $rational::logistic(self),
                }
            }
            #[inline(always)]
            fn tanh(self, variant: Variant) -> Self {
                match variant {
                    Variant::Libm => far($tanh, self),
                    Variant::Micromath => far(fast_tanh, self as f32) as $T,
                    Variant::Rational => $rational::tanh(self),
                }
            }
            #[inline(always)]
            fn abs(self) -> Self {
                self.abs()
            }
            #[inline(always)]
            fn active(self) -> bool {
                // As signed integers, −0 to −infinity come first and NaN of both signs after them: NaN must
                // stay NaN, because x86 and Arm produce NaN with opposite signs.
                self.to_bits() as $Bits > Self::NEG_INFINITY.to_bits() as $Bits
            }
            #[inline(always)]
            fn relu(self) -> Self {
                Self::from_bits(if self.active() { self.to_bits() } else { 0 })
            }
            #[inline(always)]
            fn clipped(self, lo: Self, hi: Self) -> Self {
                // Bits as a signed integer in the order of the numbers; its own inverse.
                let order =
                    |bits: $Bits| bits ^ ((bits >> ($Bits::BITS - 1)).cast_unsigned() >> 1).cast_signed();
                let [x, lo, hi, least, most] = [self, lo, hi, Self::NEG_INFINITY, Self::INFINITY]
                    .map(|x| order(x.to_bits().cast_signed()));
                // x in [first, end); NaN is in neither interval: before the one, after the other.
                let within = |x: $Bits, first: $Bits, end: $Bits| {
                    x.wrapping_sub(first).cast_unsigned() < end.wrapping_sub(first).cast_unsigned()
                };
                let x = if within(x, least, lo) { lo } else { x };
                let x = if within(x, hi, most.wrapping_add(1)) { hi } else { x };
                Self::from_bits(order(x).cast_unsigned())
            }
            #[inline]
            fn sqrt(self) -> Self {
                $sqrt(self)
            }
            #[inline]
            fn exp(self) -> Self {
                far($exp, self)
            }
            #[inline]
            fn ln(self) -> Self {
                $ln(self)
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                self.is_finite()
            }
            #[inline(always)]
            fn is_zero(self) -> bool {
                self.to_bits() << 1 == 0
            }
            #[inline(always)]
            fn is_negative_zero(self) -> bool {
                self.to_bits() == $sign
            }
            #[inline]
            fn from_f64(x: f64) -> Self {
                x as $T
            }
            #[inline]
            fn to_f64(self) -> f64 {
                self as f64
            }
        }
    };
}

#[cfg(tinyfold_fpu)]
use crate::kernel::float::fma as fmaf;
#[cfg(not(tinyfold_fpu))]
use libm::fmaf;

scalar!(
    f32,
    i32,
    Number::F32,
    1u32 << 31,
    fmaf,
    [libm::expf, libm::tanhf, libm::logf, libm::sqrtf],
    rational
);
scalar!(
    f64,
    i64,
    Number::F64,
    1u64 << 63,
    libm::fma,
    [libm::exp, libm::tanh, libm::log, libm::sqrt],
    precise
);

/// What stands for [`rational`] in f64.
mod precise {
    pub(super) fn tanh(x: f64) -> f64 {
        super::far(libm::tanh, x)
    }

    pub(super) fn logistic(x: f64) -> f64 {
        1.0 / (1.0 + super::far(libm::exp, -x))
    }
}

/// f(x) by a call: f is long and needed in many places.
#[inline(never)]
fn far<T>(f: impl Fn(T) -> T, x: T) -> T {
    f(x)
}

fn fast_exp(x: f32) -> f32 {
    micromath::F32(x).exp().0
}

/// tanh(x) = 1 - 2 / (e^(2x) + 1), which cannot become infinity over infinity.
fn fast_tanh(x: f32) -> f32 {
    1.0 - 2.0 / (fast_exp(2.0 * x) + 1.0)
}
