//! Links only if core's step and model reader contain no panic path.
//!
//! The panic handler calls a function that does not exist. When every panic path of core has been
//! optimised away, so has the call; otherwise the linker names `tinyfold_core_must_not_panic`. Feature
//! `deliberate-panic` adds one, to show that the proof can fail. The program is linked, never run.
#![no_std]
#![no_main]

use core::hint::black_box;

use tinyfold_core::fixed::{self, Weight};
use tinyfold_core::pack::{Matrices, Weights, pack};
use tinyfold_core::wire::{self, trial};
use tinyfold_core::{Scalar, Shape};

unsafe extern "C" {
    fn tinyfold_core_must_not_panic() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: never executed: the symbol does not exist, so a program that needs it does not link.
    unsafe { tinyfold_core_must_not_panic() }
}

/// Entry point of the linker; reaches everything that a chip calls.
#[unsafe(no_mangle)]
pub extern "C" fn _start() -> ! {
    every_call::<f32>();
    every_call::<f64>();
    every_fixed_call::<i16>();
    every_fixed_call::<i8>();
    #[cfg(feature = "deliberate-panic")]
    assert!(black_box(0) == 1);
    loop {}
}

fn every_call<T: Scalar>() {
    let bytes: &[u8] = black_box(&[]);
    let memory: &mut [T] = black_box(&mut []);
    let sample: &[T] = black_box(&[]);
    let out: &mut [u8] = black_box(&mut []);
    if let Ok(model) = wire::read::<T>(bytes)
        && let Ok(mut state) = model.view.state(memory)
    {
        black_box(model.view.step(&mut state, sample));
        model.view.reset(&mut state);
        black_box((state.output(), state.carried(), state.held()));
        black_box(wire::write(&model.view, model.metadata, out).is_ok());
        black_box(model.view.recurrent(black_box(0), black_box(0)));
        black_box(model.view.readout(black_box(0), black_box(0)));
    }
    black_box(wire::read_prefix::<T>(bytes).is_ok());
    if let Ok(trial) = trial::read_prefix::<f32>(bytes) {
        black_box(trial::write(&trial, out).is_ok());
    }
    let shape = black_box(Shape { neurons: 1, rank: 1, inputs: 1, outputs: 1 });
    let matrices = Matrices {
        weights: black_box(Weights::Dense(sample)),
        input: sample,
        bias: sample,
        readout: sample,
        output_bias: sample,
        scaling: black_box(&[]),
        initial: sample,
    };
    black_box(pack(&shape, &matrices, memory).is_ok());
    let phi = black_box(tinyfold_core::Activation::<T>::Tanh);
    black_box(phi.derivative(black_box(T::ONE), black_box(tinyfold_core::Variant::Libm)));
}

fn every_fixed_call<W: Weight>() {
    let bytes: &[u8] = black_box(&[]);
    let memory: &mut [i32] = black_box(&mut []);
    let sample: &[i32] = black_box(&[]);
    let weights: &[W] = black_box(&[]);
    if let Ok(model) = wire::fixed::read::<W>(bytes)
        && let Ok(mut state) = model.view.state(memory)
    {
        black_box(model.view.step(&mut state, sample));
        model.view.reset(&mut state);
        black_box((state.output(), state.carried(), state.held()));
        black_box(wire::fixed::write(&model.view, model.metadata, black_box(&mut [])).is_ok());
        black_box(model.view.record(black_box(0), black_box(0)));
        black_box(model.view.entry(black_box(0), black_box(0)));
        black_box(model.view.correction(black_box(0)));
    }
    black_box(wire::fixed::read_prefix::<W>(bytes).is_ok());
    if let Ok(trial) = trial::read_prefix::<i32>(bytes) {
        black_box(trial::write(&trial, black_box(&mut [])).is_ok());
    }
    let shape = black_box(Shape { neurons: 1, rank: 1, inputs: 1, outputs: 1 });
    let matrices = fixed::pack::Matrices {
        weights: black_box(Weights::Dense(weights)),
        input: weights,
        scale: sample,
        bias: sample,
        readout: black_box(fixed::pack::Readout::Dense { weights, scale: sample, bias: sample }),
        inputs: black_box(&[]),
        output_units: black_box(&[]),
        initial: sample,
    };
    black_box(fixed::pack::pack(&shape, &matrices, black_box(&mut [])).is_ok());
}
