//! The value of a series, by Clenshaw's recurrence.

use crate::linear::add_dot;
use crate::scalar::{MultiplyAdd, Scalar};

/// A series in D coordinates, its coefficients moved by the inputs.
#[inline(always)]
pub(super) fn series<T: Scalar, A: MultiplyAdd, const D: usize>(
    words: &[T],
    [degree, gain]: [usize; 2],
    u: &[T],
    s: [T; D],
) -> T {
    match s[..] {
        [s] => line::<T, A>(words, [degree.saturating_sub(gain) as u8, gain as u8 + 1], u, s),
        [s1, s2] => {
            let (mut b1, mut b2, mut rest) = (T::ZERO, T::ZERO, words);
            for j in (0..=degree).rev() {
                let (terms, moved) = (degree + 1 - j, (gain + 1).saturating_sub(j));
                let (row, after) = rest.split_at_checked(terms + moved * u.len()).unwrap_or_default();
                let a = line::<T, A>(row, [terms.saturating_sub(moved) as u8, moved as u8], u, s2);
                (b1, b2, rest) = (A::mac(a - b2, s1 + s1, b1), b1, after);
            }
            A::mac(b1, -s1, b2)
        }
        _ => T::ZERO,
    }
}

/// sum_k (f_k + g_k u) T_k(s): `alone` coefficients f, then `moved` more, each followed by its g.
#[inline(always)]
pub(super) fn line<T: Scalar, A: MultiplyAdd>(words: &[T], [alone, moved]: [u8; 2], u: &[T], s: T) -> T {
    match T::line(A::ARITHMETIC, words, [alone, moved], u, s) {
        Some(value) => value,
        None => portable_line::<T, A>(words, [alone, moved], u, s),
    }
}

/// As [`line`], in Rust.
#[inline(never)]
fn portable_line<T: Scalar, A: MultiplyAdd>(words: &[T], [alone, moved]: [u8; 2], u: &[T], s: T) -> T {
    let (alone, rows) = words.split_at_checked(alone.into()).unwrap_or_default();
    let rows = rows.get(..usize::from(moved) * (1 + u.len())).unwrap_or_default();
    let twice = s + s;
    let b = clenshaw::<T, A, 1>(alone, u, twice, [T::ZERO; 2]);
    let [b0, b1] = match u.len() {
        0 => clenshaw::<T, A, 1>(rows, u, twice, b),
        1 => clenshaw::<T, A, 2>(rows, u, twice, b),
        2 => clenshaw::<T, A, 3>(rows, u, twice, b),
        3 => clenshaw::<T, A, 4>(rows, u, twice, b),
        4 => clenshaw::<T, A, 5>(rows, u, twice, b),
        _ => rows.chunks_exact((1 + u.len()).max(1)).fold(b, |[b1, b2], row| {
            let Some((&f, g)) = row.split_first() else { return [b1, b2] };
            [A::mac(add_dot::<T, A>(f, g, u) - b2, twice, b1), b1]
        }),
    };
    A::mac(b0, -s, b1)
}

/// Clenshaw's b_k and b_{k+1} after rows of 1 + I = W words each, from those before.
#[inline(always)]
fn clenshaw<T: Scalar, A: MultiplyAdd, const W: usize>(
    rows: &[T],
    u: &[T],
    twice: T,
    [mut b1, mut b2]: [T; 2],
) -> [T; 2] {
    let mut held = [T::ZERO; W];
    held.iter_mut().zip(u).for_each(|(held, &u)| *held = u);
    let next = |row: &[T; W], b1: T, b2: T| match row.split_first() {
        Some((&f, g)) => A::mac(add_dot::<T, A>(f, g, &held) - b2, twice, b1),
        None => b1,
    };
    // Four rows at a time, so that nothing moves between registers and degrees 3, 7, 11 .. have no rest.
    let (odd, fours) = rows.as_chunks::<W>().0.as_rchunks::<4>();
    for row in odd {
        (b1, b2) = (next(row, b1, b2), b1);
    }
    for [first, second, third, fourth] in fours {
        b2 = next(first, b1, b2);
        b1 = next(second, b2, b1);
        b2 = next(third, b1, b2);
        b1 = next(fourth, b2, b1);
    }
    [b1, b2]
}
