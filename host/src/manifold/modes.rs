//! The modes of W, told from the bulk that training leaves.

use serde::{Deserialize, Serialize};

/// Part of the largest singular value that is added to all before ratios are taken: among values well above it
/// ratios decide, among values below it only differences, so that the tail of the bulk has no gaps.
const OFFSET: f64 = 1.0 / 3.0;
/// The same under Dale's law, where the signs leave D more values, at two fifths of the modes, above the bulk: of the
/// authors' network for D = 2 the first are 3.22, 2.37, 2.18, then 1.00, 0.84, then 0.22.
const OFFSET_OF_DALE: f64 = 2.0 / 3.0;
/// The least ratio that is a gap.
const LEAST_GAP: f64 = 1.25;
/// The large singular values and what is below them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Modes {
    /// Number of modes, 0 when no gap is there.
    pub count: usize,
    /// (sigma_k + f) / (sigma_{k+1} + f) at the gap, from 1 to 4; the largest ratio found when there is none.
    pub gap: f64,
    /// The largest singular value of the bulk.
    pub bulk: f64,
    /// The median singular value of the bulk.
    pub median_of_bulk: f64,
}

/// The modes among the singular values of an n × n matrix.
///
/// The gap is at the k that makes (sigma_k + f) / (sigma_{k+1} + f) largest, f = sigma_1 / 3, 1 <= k <= max(1, n / 2);
/// there are modes if that ratio is at least 1.25. A mode below sigma_1 / 12 is not seen: a channel of so small a scale
/// is taken for bulk.
///
/// structural: whether W obeys Dale's law; then sigma_1 is the structural mode, whatever its size, k > 1, and
/// f = 2 sigma_2 / 3, so that a mode below sigma_2 / 6 is not seen.
///
/// values: singular values, largest first; those of a low-rank matrix are followed by zeros up to n.
///
/// ```
/// use tinyfold::manifold::modes::of_values;
/// let modes = of_values(&[3.2, 2.4, 2.2, 1.0, 0.5, 0.2, 0.1, 0.0], 8, false);
/// assert_eq!((modes.count, modes.bulk), (3, 1.0));
/// assert_eq!(of_values(&[2.0, 1.9], 64, false).count, 2);
/// assert_eq!(of_values(&[1.0, 0.9, 0.8, 0.7], 4, false).count, 0);
/// let dale = [7.5, 3.0, 2.9, 2.6, 0.8, 0.7, 0.7, 0.6];
/// assert_eq!((of_values(&dale, 64, false).count, of_values(&dale, 64, true).count), (1, 4));
/// ```
#[must_use]
pub fn of_values(values: &[f64], n: usize, structural: bool) -> Modes {
    let value = |k: usize| values.get(k).copied().unwrap_or(0.0);
    let (first, part) = if structural { (1, OFFSET_OF_DALE) } else { (0, OFFSET) };
    let offset = part * value(first);
    if offset <= 0.0 {
        return Modes::default();
    }
    let ratio = |k: &usize| (value(k - 1) + offset) / (value(*k) + offset);
    let last = (n / 2).max(first + 1);
    let place = (first + 1..=last).max_by(|a, b| ratio(a).total_cmp(&ratio(b))).expect("one at least");
    let gap = ratio(&place);
    let count = if gap >= LEAST_GAP { place } else { 0 };
    Modes { count, gap, bulk: value(count), median_of_bulk: value(usize::midpoint(count, n)) }
}
