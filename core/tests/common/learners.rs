//! Random networks and signals for learners.

use tinyfold_core::pack::{Matrices, Weights, pack};
use tinyfold_core::{Activation, Scalar, Settings, Shape};

/// Uniform in [-1, 1), from a seed.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1_u32 << 23) as f32 - 1.0
    }

    pub fn list<T: Scalar>(&mut self, count: usize, scale: f64) -> Vec<T> {
        (0..count).map(|_| T::from_f64(scale * f64::from(self.next()))).collect()
    }
}

/// Packed words of a random network.
pub fn words<T: Scalar>(shape: Shape, seed: u64) -> Vec<T> {
    let Shape { neurons: n, rank, inputs, outputs } = shape;
    let mut random = Random(seed);
    let scale = 1.0 / (n as f64).sqrt();
    let (w, v) = (random.list(n * if rank == 0 { n } else { rank }, scale), random.list(n * rank, scale));
    let matrices = Matrices {
        weights: if rank == 0 { Weights::Dense(&w) } else { Weights::LowRank { u: &w, v: &v } },
        input: &random.list::<T>(n * inputs, 1.0),
        bias: &random.list::<T>(n, 0.2),
        readout: &random.list::<T>(outputs * n, scale),
        output_bias: &random.list::<T>(outputs, 0.2),
        scaling: &vec![[T::ZERO, T::ONE]; inputs + outputs],
        initial: &[],
    };
    let mut words = vec![T::ZERO; shape.parameter_len()];
    pack(&shape, &matrices, &mut words).expect("right sizes");
    words
}

/// Without leak, or with alpha = 0.3.
pub fn settings<T: Scalar>(activation: Activation<T>, leaky: bool) -> Settings<T> {
    let [alpha, keep] = if leaky { [0.3, 0.7] } else { [1.0, 0.0] }.map(T::from_f64);
    Settings { alpha, keep, ..Settings::new(activation) }
}

/// Memory that a rule may keep.
pub fn lend<T: Scalar>(words: usize) -> &'static mut [T] {
    Box::leak(vec![T::from_f64(f64::NAN); words].into_boxed_slice())
}
