//! Reduced models: what the host exports, and core runs, is what the host computes in f64.

use tinyfold::format::reduced::Reduced;
use tinyfold::network::{Arithmetic, Channel};
use tinyfold_core::reduced::Shape;
use tinyfold_core::wire::reduced::read;

/// Two coordinates on an attracting ring, turned by one input: z' = z + (z (1 - r²) + u J z) / 8 on [-2, 2]².
fn ring(arithmetic: Arithmetic) -> Reduced {
    // s = z / 2; with T_1 = s and T_3 = 4 s³ - 3 s: z³ = 2 T_3 + 6 T_1; z_1 z_2² = 4 T_1 + 4 T_1 T_2.
    // z_1 - z_1³ - z_1 z_2² = 2 T_1 - 2 T_3 - 6 T_1 - 4 T_1 - 4 T_1 T_2 = -8 T_1 - 2 T_3 - 4 T_1 T_2.
    // Terms 00 01 02 03 10 11 12 20 21 30.
    let mut drift = vec![0.0; 20];
    (drift[4], drift[9], drift[6]) = (-1.0, -0.25, -0.5);
    (drift[11], drift[13], drift[18]) = (-1.0, -0.25, -0.5);
    // -z_2 / 8 and z_1 / 8, terms 00 01 10.
    let gain = vec![0.0, -0.25, 0.0, 0.0, 0.0, 0.25];
    Reduced {
        shape: Shape { dimensions: 2, inputs: 1, outputs: 1, drift: 3, gain: 1, output: 2 },
        arithmetic,
        interval: vec![[-2.0, 2.0]; 2],
        initial: vec![0.1, 0.0],
        drift,
        gain,
        // r² = 4 (s_1² + s_2²) = 4 + 2 T_2(s_1) + 2 T_2(s_2), terms 00 01 02 10 11 20.
        output: vec![4.0, 0.0, 2.0, 0.0, 0.0, 2.0],
        inputs: vec![Channel::plain("turn")],
        outputs: vec![Channel::plain("r²")],
    }
}

#[test]
fn core_is_the_truth_within_rounding() {
    for arithmetic in [Arithmetic::Separate, Arithmetic::Fused] {
        let ring = ring(arithmetic);
        let steps = 2000;
        let u: Vec<f64> = (0..steps).map(|t| (0.1 * (f64::from(t) * 0.01).sin()) as f32 as f64).collect();
        let truth = ring.rounded::<f32>().run(&u, steps as usize).expect("whole steps");
        let bytes = ring.export::<f32>().expect("valid");
        let view = read::<f32>(bytes.bytes()).expect("just written").view;
        let mut memory = vec![0.0; view.shape().state_len()];
        let mut state = view.state(&mut memory).expect("long enough");
        let mut worst = 0.0_f64;
        for (t, &u) in u.iter().enumerate() {
            assert!(!view.step(&mut state, &[u as f32]).outside);
            for (d, &z) in state.z().iter().enumerate() {
                worst = worst.max((f64::from(z) - truth.z[2 * t + d]).abs());
            }
            worst = worst.max((f64::from(state.output()[0]) - truth.outputs[t]).abs());
        }
        println!("{arithmetic:?}: {worst:.1e}");
        assert!(worst < 2e-5);
        // It is a ring: the last radius is 1, up to the step's own error of second order in the turn.
        assert!((truth.outputs[steps as usize - 1] - 1.0).abs() < 1e-2 && truth.outside == 0);
    }
}

#[test]
fn what_is_no_model_is_refused() {
    let right = ring(Arithmetic::Separate);
    assert!(right.export::<f64>().is_ok());
    assert!(Reduced { initial: vec![3.0, 0.0], ..right.clone() }.export::<f32>().is_err());
    assert!(Reduced { drift: vec![1e300; 20], ..right.clone() }.export::<f32>().is_err());
    assert!(Reduced { interval: vec![[1.0, 1.0 + 1e-9]; 2], ..right.clone() }.export::<f32>().is_err());
    assert!(Reduced { gain: vec![0.0; 5], ..right.clone() }.export::<f32>().is_err());
    assert!(right.run(&[0.0; 3], 2).is_err());
}
