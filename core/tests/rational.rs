//! Where the coefficients of the rational tanh come from, and its error over every f32.

#[path = "../src/rational.rs"]
#[allow(dead_code)]
mod rational;

use tinyfold_core::{Activation, Scalar, Variant};

/// Unknowns of the fit: a₁ a₂ and b₁ b₂ b₃ of tanh(y) = y (1 + a₁ v + a₂ v²) / (1 + b₁ v + b₂ v² + b₃ v³)
/// with v = y², and the error that alternates in sign between as many points.
const UNKNOWNS: usize = 6;
const RANGE: f64 = rational::LIMIT as f64 / 2.0;

struct Fit {
    a: [f64; 3],
    b: [f64; 4],
}

impl Fit {
    fn at(&self, y: f64) -> f64 {
        let polynomial = |c: &[f64]| c.iter().rev().fold(0.0, |sum, c| sum * y * y + c);
        y * polynomial(&self.a) / polynomial(&self.b)
    }

    /// Relative error of tanh(2 y) for the error of tanh(y), to first order.
    fn error(&self, y: f64) -> f64 {
        (self.at(y) - y.tanh()) / weight(y)
    }
}

fn weight(y: f64) -> f64 {
    let t = y.tanh();
    (2.0 * y).tanh() * (1.0 + t * t).powi(2) / (2.0 * (1.0 - t * t))
}

fn solve(mut rows: [[f64; UNKNOWNS + 1]; UNKNOWNS]) -> [f64; UNKNOWNS] {
    for k in 0..UNKNOWNS {
        let best = (k..UNKNOWNS).max_by(|&i, &j| rows[i][k].abs().total_cmp(&rows[j][k].abs())).unwrap();
        rows.swap(k, best);
        let pivot = rows[k].map(|x| x / rows[k][k]);
        rows[k] = pivot;
        for (i, row) in rows.iter_mut().enumerate() {
            if i != k {
                let factor = row[k];
                row.iter_mut().zip(pivot).for_each(|(x, p)| *x -= factor * p);
            }
        }
    }
    rows.map(|row| row[UNKNOWNS])
}

/// The best approximation in the largest error, by Remez' exchange of points.
fn remez() -> (Fit, f64) {
    const GRID: usize = 20_000;
    let grid = |i: f64| RANGE * (1.0 - (std::f64::consts::PI * i).cos()) / 2.0;
    let mut points: [f64; UNKNOWNS] = std::array::from_fn(|i| grid((2 * i + 1) as f64 / 12.0));
    let mut fit = Fit { a: [1.0, 0.0, 0.0], b: [1.0, 0.0, 0.0, 0.0] };
    let mut worst = 0.0;
    for _ in 0..20 {
        // y A - tanh(y) B = ± E weight(y) B, with the B of the turn before on the right.
        for _ in 0..20 {
            let rows = std::array::from_fn(|i| {
                let (y, v, sign) = (points[i], points[i] * points[i], [1.0, -1.0][i % 2]);
                let t = y.tanh();
                let b = fit.b[0] + v * (fit.b[1] + v * (fit.b[2] + v * fit.b[3]));
                [y * v, y * v * v, -t * v, -t * v * v, -t * v * v * v, -sign * weight(y) * b, t - y]
            });
            let [a1, a2, b1, b2, b3, _] = solve(rows);
            fit = Fit { a: [1.0, a1, a2], b: [1.0, b1, b2, b3] };
        }
        // The largest error of each run of one sign.
        let mut extremes: Vec<f64> = Vec::new();
        // Near 0 the error is smaller than f64 shows.
        for y in (GRID / 20..=GRID).map(|i| grid(i as f64 / GRID as f64)) {
            match extremes.last_mut() {
                Some(last) if fit.error(*last) * fit.error(y) > 0.0 => {
                    if fit.error(y).abs() > fit.error(*last).abs() {
                        *last = y;
                    }
                }
                _ => extremes.push(y),
            }
        }
        worst = extremes.iter().map(|&y| fit.error(y).abs()).fold(0.0, f64::max);
        points = extremes.try_into().expect("as many extremes as unknowns");
    }
    (fit, worst)
}

#[test]
fn the_coefficients_are_the_best_ones_rounded() {
    let (fit, worst) = remez();
    assert!(worst < 5.4e-9, "{worst:e}");
    let level = points_of_equal_error(&fit);
    assert!(level > 0.999 * worst, "the fit is not the best: {level:e} and {worst:e}");
    // P and Q are in x = 2 y, with 1 before x⁶.
    let scale = 64.0 / fit.b[3];
    let p: [f64; 3] = std::array::from_fn(|i| scale * fit.a[i] / 2.0 / 4_f64.powi(i as i32));
    let q: [f64; 3] = std::array::from_fn(|i| scale * fit.b[i] / 4_f64.powi(i as i32));
    for (found, expected) in rational::P.into_iter().zip(p).chain(rational::Q.into_iter().zip(q)) {
        assert!((f64::from(found) / expected - 1.0).abs() < 1e-6, "{found} is not {expected}");
    }
}

/// The smallest of the largest errors between two zeros of the error: equal to the largest at the optimum.
fn points_of_equal_error(fit: &Fit) -> f64 {
    let errors: Vec<f64> = (1_000..=100_000).map(|i| fit.error(RANGE * f64::from(i) / 1e5)).collect();
    let runs = errors.chunk_by(|a, b| a * b > 0.0);
    runs.map(|run| run.iter().fold(0.0_f64, |most, e| most.max(e.abs()))).fold(f64::MAX, f64::min)
}

/// Every positive f32 from 2^-12 to beyond the limit. Below, x² p₁ and x² q₁ are less than half a unit in the
/// last place of p₀ and q₀, so that tanh(x) is x p₀ 2 q₀ / (q₀² + (x p₀)²) with q₀ = 2 p₀, x in five
/// roundings; x itself is the value to within x³ / 3 < 5e-12.
#[test]
fn the_error_of_every_number_is_within_the_stated_bound() {
    let [first, last] = [2_f32.powi(-12), rational::LIMIT + 0.1].map(f32::to_bits);
    let middle = 2.0_f32.to_bits();
    let worst = |numbers: std::ops::Range<u32>| {
        let mut worst = [0.0_f64; 3];
        for x in numbers.map(f32::from_bits) {
            let (found, expected) = (Scalar::tanh(x, Variant::Rational), f64::from(x).tanh());
            let error = (f64::from(found) - expected).abs();
            // logistic(2 z) = (1 + tanh(z)) / 2, here with 2 z = ± 2 x exactly.
            let sides =
                [Scalar::logistic(x + x, Variant::Rational), Scalar::logistic(-x - x, Variant::Rational)];
            let logistic = (f64::from(sides[0]) - (0.5 + 0.5 * expected))
                .abs()
                .max((f64::from(sides[1]) - (0.5 - 0.5 * expected)).abs());
            assert!((0.0..=1.0).contains(&found) && sides.iter().all(|y| (0.0..=1.0).contains(y)), "{x}");
            assert!(Scalar::tanh(-x, Variant::Rational).to_bits() == (-found).to_bits(), "odd at {x}");
            worst = [worst[0].max(error), worst[1].max(error / expected), worst[2].max(logistic)];
        }
        worst
    };
    let [below, above] = std::thread::scope(|scope| {
        let below = scope.spawn(|| worst(first..middle));
        let above = worst(middle..last + 1);
        [below.join().expect("no panic"), above]
    });
    for (k, (name, bound)) in
        [("tanh", 2.1e-7), ("tanh, relative", 3.1e-7), ("logistic", 1.3e-7)].into_iter().enumerate()
    {
        let worst = below[k].max(above[k]);
        println!("{name}: {worst:.3e}");
        assert!(worst <= bound && worst > 0.9 * bound, "{name}: {worst:e} beside {bound:e}");
    }
}

#[test]
fn the_ends_of_the_range_are_exact() {
    let tanh = |x: f32| Scalar::tanh(x, Variant::Rational);
    for x in [rational::LIMIT, 20.0, f32::MAX, f32::INFINITY] {
        assert_eq!((tanh(x), tanh(-x)), (1.0, -1.0), "{x}");
    }
    assert!(tanh(f32::NAN).is_nan() && Scalar::logistic(-f32::NAN, Variant::Rational).is_nan());
    for x in [0.0, f32::from_bits(1), f32::MIN_POSITIVE, 1e-20] {
        assert_eq!((tanh(x).to_bits(), tanh(-x).to_bits()), (x.to_bits(), (-x).to_bits()), "{x:e}");
    }
    // It never falls by more than rounding.
    let rise = |x: f32| tanh(x.next_up()) - tanh(x);
    let least = (1..80_000).map(|k| rise(k as f32 * 1e-4)).fold(0.0, f32::min);
    assert!(least >= -2.4e-7, "{least:e}");
}

#[test]
fn f64_networks_use_libm_instead() {
    for x in [-3.0_f64, 0.1, 9.0] {
        assert_eq!(Scalar::tanh(x, Variant::Rational), libm::tanh(x));
    }
    let sigmoid = Activation::Sigmoid { slope: 2.0, threshold: 0.5 };
    assert_eq!(sigmoid.value(0.3_f64, Variant::Rational), sigmoid.value(0.3, Variant::Libm));
}
