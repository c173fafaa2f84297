//! Rounding that looks at what the weights are multiplied with.

use faer::linalg::solvers::DenseSolveCore;
use faer::{Mat, Side};

/// Integers and the step of each: value ≈ integer · step.
pub(super) struct Rounded {
    /// items × targets.
    pub(super) integers: Mat<f64>,
    /// items × targets.
    pub(super) steps: Mat<f64>,
}

/// Integers q of at most `most`, for which the sums over items sum_i a_i (values_i - q_i step_i) stay small
/// on the activity a that is seen, not each weight by itself.
///
/// Items are rounded in turn; what that does to the sums, the later items make good as far as their activity is
/// correlated: values_j -= (values_i - q_i step_i) L_ji / L_ii, L Lᵀ = (H + damping mean(H) 1)⁻¹.
///
/// values: items × targets; gram: H = sum a aᵀ, items × items; damping > 0, infinite for nearest rounding;
/// step: of an item and target, from the item's row of values when its turn comes. `None` if H is not finite.
///
/// Source: optimal brain surgeon, Hassibi & Stork 1993, in the order of Frantar et al. 2022 (GPTQ).
pub(super) fn with_feedback(
    values: &Mat<f64>,
    gram: &Mat<f64>,
    damping: f64,
    most: f64,
    step: impl Fn(&[f64], usize) -> f64,
) -> Option<Rounded> {
    let (items, targets) = (values.nrows(), values.ncols());
    let mean = (0..items).map(|i| gram[(i, i)]).sum::<f64>() / items as f64;
    let feedback = if damping.is_finite() && mean > 0.0 {
        let damped =
            Mat::from_fn(items, items, |i, j| gram[(i, j)] + if i == j { damping * mean } else { 0.0 });
        let inverse = damped.llt(Side::Lower).ok()?.inverse();
        inverse.llt(Side::Lower).ok()?.L().to_owned()
    } else {
        Mat::identity(items, items)
    };
    let mut rest = values.clone();
    let (mut integers, mut steps) = (Mat::zeros(items, targets), Mat::zeros(items, targets));
    for i in 0..items {
        let row: Vec<f64> = (0..targets).map(|k| rest[(i, k)]).collect();
        for (k, &value) in row.iter().enumerate() {
            let step = step(&row, k);
            let integer = if step > 0.0 { (value / step).round().clamp(-most, most) } else { 0.0 };
            (integers[(i, k)], steps[(i, k)]) = (integer, step);
            let error = (value - integer * step) / feedback[(i, i)];
            for j in i + 1..items {
                rest[(j, k)] -= error * feedback[(j, i)];
            }
        }
    }
    Some(Rounded { integers, steps })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::design::random_frozen;

    /// 40 weights of 3 sums, read with activity of 6 dimensions, as on a manifold.
    #[test]
    fn feedback_moves_errors_to_where_nothing_is_active() {
        let (values, _) = random_frozen(40, 3, 1);
        let (mixing, states) = random_frozen(40, 6, 2);
        let (_, activity) = random_frozen(200, 6, 3);
        assert_eq!(states.nrows(), 6);
        let activity = mixing * activity;
        let gram = &activity * activity.transpose();
        let round = |damping| {
            let rounded = with_feedback(&values, &gram, damping, 127.0, |_, _| 0.004).expect("finite");
            let back = Mat::from_fn(40, 3, |i, k| rounded.integers[(i, k)] * rounded.steps[(i, k)]);
            ((values.transpose() - back.transpose()) * &activity).norm_l2()
        };
        let (nearest, fed_back) = (round(f64::INFINITY), round(1e-6));
        assert!(fed_back < 0.3 * nearest, "{fed_back:e} of {nearest:e}");
    }
}
