//! Fixed point: i16 or i8 weights, 32-bit state, the same integers on every target.
//!
//! Every operation on numbers is one row of this table; nothing else rounds or saturates.
//!
//! | name | value | rounds | when it does not fit |
//! |---|---|---|---|
//! | [`mulw`]`(a, w)` | a w / 2^16, w a weight of 16 bits | down | always fits |
//! | [`mulh`]`(a, r)` | a r / 2^32 | down | always fits |
//! | sums of products | exact, in 32 bits, or in 64 and shifted | down, by the shift | wraps: a model must keep its sums in range |
//! | pre-activation | b + [`mulh`]`(acc, r)` | as `mulh` | wraps: likewise |
//! | [`leak`] | (keep old + alpha new) / 2^31 | to nearest, half up | cannot overflow |
//! | correction | bias + (sum_k M_jk s_k) / 2^shift, the sum in 64 bits | to nearest, half up | the sum wraps, the value saturates |
//! | input | (raw - center) m / 2^shift, in 64 bits | to nearest, half up | raw - center and the value saturate |
//! | rate | phi / 2^rate_shift, in 16 or 8 bits | to nearest, half up | saturates; 8 bits: from -127 |
//! | dense input | x / 2^16 (i16) or x / 2^24 (i8) | to nearest, half up | saturates; 8 bits: from -127 |
//! | argument of tanh | p 2^(28 - exponent) | exact | saturates at 8 |
//! | argument of sigmoid | (p - threshold) slope / 2^16, in 64 bits | down | p - threshold and the value saturate |
//! | tanh, sigmoid | a table of 513 values, linear between them; sigmoid is (1 + tanh) / 2 | towards 0; down | cannot |
//!
//! A weight of 8 bits counts as 256 times itself: one unit of a weight is 2^-15 of its row's scale in both
//! sizes. Each row has its own scale r (32 bits) and bias b.
//!
//! Low rank, rate form: with sums over the latent z and the inputs x,
//!
//! acc = sum_j mulw(z_j, U_j) + sum_k mulw(x_k, B_k), p = b + mulh(acc, r), phi = phi(p),
//! s = sum_i mulw(phi_i, \[V_i | C_i\]), \[z'; y\] = correction(s), leaked.
//!
//! The correction M, (R + O) × (R + O), undoes on average what rounding U, V and C did: with it the
//! slow eigenvalues of an integrator are exact to 2^-31.
//!
//! Dense: acc = sum_j W_j h_j + sum_k B_k x_k over rates h and inputs x of 16 or 8 bits (256 times that
//! for rates of 8 bits), p = b + mulh(acc, r); the readout is one more such product.

mod activation;
mod dense;
#[cfg(any(test, tinyfold_thumb1, tinyfold_thumb2))]
mod halves;
#[cfg(not(tinyfold_portable))]
mod kernel;
mod latent;
mod network;
pub mod pack;

pub use dense::{Accumulator, Rates, Vector, dense, panel_len};
pub use network::{Settings, State, View, section_lens};

#[cfg(tinyfold_thumb1)]
use halves::mul;
#[cfg(tinyfold_thumb1)]
pub use halves::mulh;
#[cfg(any(tinyfold_thumb1, tinyfold_thumb2))]
pub use halves::mulw;

/// A weight of 16 or 8 bits.
pub trait Weight: Copy + core::fmt::Debug + bytemuck::Pod {
    /// The tag of this type in the bytes of a model.
    const NUMBER: crate::Number;
    /// Weights in a word of 32 bits.
    const IN_A_WORD: usize = size_of::<i32>() / size_of::<Self>();
    /// The integer that is stored.
    fn raw(self) -> i32;
    /// The weight that is stored as this integer.
    fn from_raw(raw: i32) -> Self;
    /// The weight in units of 2^-15 of its row's scale.
    fn wide(self) -> i32;
}

impl Weight for i16 {
    const NUMBER: crate::Number = crate::Number::I16;
    #[inline(always)]
    fn raw(self) -> i32 {
        self as i32
    }
    #[inline(always)]
    fn from_raw(raw: i32) -> Self {
        raw as Self
    }
    #[inline(always)]
    fn wide(self) -> i32 {
        self as i32
    }
}

impl Weight for i8 {
    const NUMBER: crate::Number = crate::Number::I8;
    #[inline(always)]
    fn raw(self) -> i32 {
        self as i32
    }
    #[inline(always)]
    fn from_raw(raw: i32) -> Self {
        raw as Self
    }
    #[inline(always)]
    fn wide(self) -> i32 {
        (self as i32) << 8
    }
}

/// floor(a w / 2^16) for a weight w of 16 bits: one SMLAWB with its addition.
#[cfg(not(any(tinyfold_thumb1, tinyfold_thumb2)))]
#[inline(always)]
#[must_use]
pub const fn mulw(a: i32, w: i32) -> i32 {
    ((a as i64 * w as i64) >> 16) as i32
}

/// floor(a r / 2^32): one SMMLA with its addition.
#[cfg(not(tinyfold_thumb1))]
#[inline(always)]
#[must_use]
pub const fn mulh(a: i32, r: i32) -> i32 {
    (mul(a, r) >> 32) as i32
}

/// a r in 64 bits.
#[cfg(not(tinyfold_thumb1))]
#[inline(always)]
const fn mul(a: i32, r: i32) -> i64 {
    a as i64 * r as i64
}

/// x / 2^shift to the nearest, half up, saturated to 32 bits.
#[inline(always)]
#[must_use]
pub const fn round_shift(x: i64, shift: u32) -> i32 {
    saturate(nearest(x, shift))
}

/// x / 2^shift to the nearest, half up.
#[inline(always)]
const fn nearest(x: i64, shift: u32) -> i64 {
    if shift == 0 {
        return x;
    }
    // A shift by less than 32 is half the work of one by less than 64.
    let doubled = if shift <= 32 { x >> ((shift - 1) & 31) } else { (x >> 32) >> ((shift - 33) & 31) };
    (doubled >> 1) + (doubled & 1)
}

/// The nearest number of 32 bits.
#[inline(always)]
#[must_use]
pub const fn saturate(x: i64) -> i32 {
    let low = x as i32;
    if low as i64 == x { low } else { (x >> 63) as i32 ^ i32::MAX }
}

/// (keep old + alpha new) / 2^31; keep and alpha are in units of 2^-31 and add to 2^31, which is 1.
#[inline(always)]
#[must_use]
pub const fn leak(keep: u32, alpha: u32, old: i32, new: i32) -> i32 {
    // Unless keep is 0, both fit 31 bits; a mean of two words needs no saturation.
    let sum = mul(keep as i32, old).wrapping_add(mul(alpha as i32, new));
    if keep == 0 { new } else { (sum.wrapping_add(1 << 30) >> 31) as i32 }
}
