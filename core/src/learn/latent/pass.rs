//! Passes over the records of a network: forward, with what a gradient needs, and back.

use crate::linear::{add_column, add_dot};
use crate::network::{CopyChecked, View};
use crate::scalar::{MultiplyAdd, Scalar, Separate};

use crate::learn::dense::phi;

/// [`pass`] with R = I = O = `D` and ReLU, in registers.
#[inline(never)]
pub(super) fn square_pass<T: Scalar, A: MultiplyAdd, const D: usize>(
    view: &View<'_, T>,
    (z, x): (&[T], &[T]),
    (s, y, jacobian, gain): (&mut [T], &mut [T], &mut [T], &mut [T]),
    (phis, slopes): (&mut [T], &mut [T]),
) -> T {
    let (Some(&z), Some(&x), Some(y)) =
        (z.first_chunk::<D>(), x.first_chunk::<D>(), y.first_chunk_mut::<D>())
    else {
        return T::ZERO;
    };
    let (mut new_s, mut new_y, mut j, mut g) = ([T::ZERO; D], *y, [[T::ZERO; D]; D], [[T::ZERO; D]; D]);
    let units = phis.iter_mut().zip(slopes);
    let mut squared = T::ZERO;
    for (record, (kept_phi, kept_slope)) in view.layer.chunks_exact(1 + 4 * D).zip(units) {
        let Some((&bias, rest)) = record.split_first() else { break };
        let Some((u, rest)) = rest.split_first_chunk::<D>() else { break };
        let Some((b, rest)) = rest.split_first_chunk::<D>() else { break };
        let Some((v, rest)) = rest.split_first_chunk::<D>() else { break };
        let Some(c) = rest.first_chunk::<D>() else { break };
        let p = add_dot::<T, A>(add_dot::<T, A>(bias, u, &z), b, &x);
        // An inactive unit adds nothing; the slope of an active one is 1.
        if p < T::ZERO {
            (*kept_phi, *kept_slope) = (T::ZERO, T::ZERO);
            continue;
        }
        let value = p.relu();
        (*kept_phi, *kept_slope) = (value, T::ONE);
        squared = squared + value * value;
        add_column::<T, A>(&mut new_s, v, value);
        add_column::<T, A>(&mut new_y, c, value);
        for (row, &v) in j.iter_mut().zip(v) {
            row.iter_mut().zip(u).for_each(|(j, &u)| *j = *j + v * u);
        }
        for (row, &c) in g.iter_mut().zip(c) {
            row.iter_mut().zip(u).for_each(|(g, &u)| *g = *g + c * u);
        }
    }
    s.copy_from_slice_checked(&new_s);
    *y = new_y;
    jacobian.copy_from_slice_checked(j.as_flattened());
    gain.copy_from_slice_checked(g.as_flattened());
    squared
}

/// a_i = phi'_i C_i · e, C being at `first` of every record. Returns |a|².
#[inline(always)]
pub(super) fn back<'a, T: Scalar, const O: usize>(
    view: &View<'_, T>,
    first: usize,
    units: impl Iterator<Item = (&'a mut T, &'a T)>,
    dot: impl Fn(&[T; O]) -> T,
) -> T {
    let mut squared = T::ZERO;
    for ((a, &slope), record) in units.zip(view.layer.chunks_exact(view.shape.record().max(1))) {
        let c = record.get(first..).and_then(|c| c.first_chunk());
        *a = slope * c.map_or(T::ZERO, &dot);
        squared = squared + *a * *a;
    }
    squared
}

/// One pass over the records: s += Vᵀ phi, y += C phi, J = Vᵀ D U, G = Cᵀ D U; phi and phi' are kept. Returns |phi|².
#[inline(never)]
pub(super) fn pass<T: Scalar, A: MultiplyAdd>(
    view: &View<'_, T>,
    (z, x): (&[T], &[T]),
    (s, y, jacobian, gain): (&mut [T], &mut [T], &mut [T], &mut [T]),
    (phis, slopes): (&mut [T], &mut [T]),
) -> T {
    jacobian.fill(T::ZERO);
    gain.fill(T::ZERO);
    let mut squared = T::ZERO;
    let (rank, inputs) = (z.len(), x.len());
    let records = view.layer.chunks_exact((1 + 2 * rank + inputs + y.len()).max(1));
    for (record, (kept_phi, kept_slope)) in records.zip(phis.iter_mut().zip(slopes)) {
        let Some((&bias, record)) = record.split_first() else { break };
        let (u, record) = record.split_at_checked(rank).unwrap_or_default();
        let (b, record) = record.split_at_checked(inputs).unwrap_or_default();
        let (v, c) = record.split_at_checked(rank).unwrap_or_default();
        let p = add_dot::<T, A>(add_dot::<T, A>(bias, u, z), b, x);
        let (value, slope) = phi(&view.settings, p);
        (*kept_phi, *kept_slope) = (value, slope);
        squared = squared + value * value;
        // An inactive unit adds nothing.
        if value.is_zero() && slope.is_zero() {
            continue;
        }
        add_column::<T, A>(s, v, value);
        add_column::<T, A>(y, c, value);
        for (row, &v) in jacobian.chunks_exact_mut(rank.max(1)).zip(v) {
            add_column::<T, Separate>(row, u, v * slope);
        }
        for (row, &c) in gain.chunks_exact_mut(rank.max(1)).zip(c) {
            add_column::<T, Separate>(row, u, c * slope);
        }
    }
    squared
}
