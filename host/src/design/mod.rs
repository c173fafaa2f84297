//! Exact integrators in closed form, and compression to low rank.

pub mod compress;
pub mod dale;
pub mod exact;
mod groups;
mod nnls;
mod probe;
pub mod quantise;
mod refit;

pub use probe::Errors;

use faer::Mat;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Frozen random encoders E (n × D) and decoders C (D × n), entries N(0, 1/n).
///
/// Source: Fanthomme & Monasson 2021, section 2. The same seed gives the same matrices.
///
/// ```
/// let (e, c) = tinyfold::design::random_frozen(64, 3, 0);
/// assert_eq!((e.nrows(), e.ncols(), c.nrows(), c.ncols()), (64, 3, 3, 64));
/// ```
#[must_use]
pub fn random_frozen(neurons: usize, channels: usize, seed: u64) -> (Mat<f64>, Mat<f64>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let scale = 1.0 / (neurons as f64).sqrt();
    let mut normal = |_, _| {
        let x: f64 = StandardNormal.sample(&mut rng);
        x * scale
    };
    (Mat::from_fn(neurons, channels, &mut normal), Mat::from_fn(channels, neurons, &mut normal))
}

/// The least-norm X with A X = B, by QR of Aᵀ and one refinement; `None` when the rows of A are not
/// independent. A: equations × unknowns, with no more equations than unknowns.
fn least_norm(a: &Mat<f64>, b: &Mat<f64>) -> Option<Mat<f64>> {
    let (equations, unknowns) = (a.nrows(), a.ncols());
    if equations > unknowns {
        return None;
    }
    let qr = a.transpose().to_owned().qr();
    let (q, r) = (qr.compute_thin_Q(), qr.thin_R());
    let diagonal = (0..equations).map(|k| r[(k, k)].abs());
    let (least, most) =
        diagonal.fold((f64::INFINITY, 0.0_f64), |(least, most), x| (least.min(x), most.max(x)));
    if least.is_nan() || least <= 1e-9 * most {
        return None;
    }
    let solve = |b: Mat<f64>| {
        let mut y = b;
        faer::linalg::triangular_solve::solve_lower_triangular_in_place(
            r.transpose(),
            y.as_mut(),
            faer::Par::Seq,
        );
        &q * y
    };
    let x = solve(b.clone());
    let correction = solve(b - a * &x);
    Some(x + correction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_norm_solves_and_is_least() {
        let (a, _) = random_frozen(3, 8, 1);
        let (b, _) = random_frozen(3, 2, 2);
        let x = least_norm(&a, &b).expect("independent rows");
        assert!((&a * &x - &b).norm_l2() < 1e-14);
        // The least-norm solution lies in the row space: it is orthogonal to every null vector.
        let (other, _) = random_frozen(8, 1, 3);
        let null = &other - least_norm(&a, &(&a * &other)).expect("independent rows");
        assert!((&a * &null).norm_l2() < 1e-14 && null.norm_l2() > 0.1);
        assert!((x.transpose() * &null).norm_l2() < 1e-14);
    }

    #[test]
    fn dependent_rows_have_no_solution() {
        let a = Mat::from_fn(2, 4, |_, j| j as f64);
        assert!(least_norm(&a, &Mat::from_fn(2, 1, |i, _| i as f64)).is_none());
        assert!(least_norm(&Mat::<f64>::identity(4, 3), &Mat::zeros(4, 1)).is_none());
    }
}
