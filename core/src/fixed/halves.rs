//! Long products from halves of 16 bits, for cores that multiply 32 bits to 32.

/// floor(a w / 2^16) for a weight w of 16 bits.
#[inline(always)]
#[must_use]
pub const fn mulw(a: i32, w: i32) -> i32 {
    ((a >> 16) * w).wrapping_add(((a & 0xffff) * w) >> 16)
}

/// floor(a r / 2^32).
#[cfg(any(test, tinyfold_thumb1))]
#[inline(always)]
#[must_use]
pub const fn mulh(a: i32, r: i32) -> i32 {
    let ([a_low, a_high], [r_low, r_high]) = (halves(a), halves(r));
    let low = (a_low as u32).wrapping_mul(r_low as u32) >> 16;
    let cross = a_high.wrapping_mul(r_low).wrapping_add(low as i32);
    let other = a_low.wrapping_mul(r_high).wrapping_add(cross & 0xffff);
    a_high.wrapping_mul(r_high).wrapping_add(cross >> 16).wrapping_add(other >> 16)
}

/// a r.
#[cfg(any(test, tinyfold_thumb1))]
#[inline(always)]
pub(super) const fn mul(a: i32, r: i32) -> i64 {
    (mulh(a, r) as i64) << 32 | a.wrapping_mul(r) as u32 as i64
}

#[cfg(any(test, tinyfold_thumb1))]
#[inline(always)]
const fn halves(x: i32) -> [i32; 2] {
    [x & 0xffff, x >> 16]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers at which halves carry or change sign.
    fn edges() -> impl Iterator<Item = i32> + Clone {
        let near = |x: i64| (x - 2..=x + 2).map(|x| x as i32);
        let powers = (0..32).flat_map(move |k| near(1 << k).chain(near(-1 << k)));
        powers.chain([0x1234_5678, -0x1234_5678, 0x7fff_8000, -0x7fff_8001])
    }

    #[test]
    fn halves_multiply_as_the_whole() {
        for a in edges() {
            for r in edges() {
                let whole = i64::from(a) * i64::from(r);
                assert_eq!(mul(a, r), whole);
                assert_eq!(mulh(a, r), (whole >> 32) as i32);
                let w = i32::from(r as i16);
                assert_eq!(mulw(a, w), ((i64::from(a) * i64::from(w)) >> 16) as i32);
            }
        }
    }
}
