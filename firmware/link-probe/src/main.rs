//! Links only if core's step and model reader contain no panic path.
//!
//! The panic handler calls a function that does not exist. When every panic path of core has been
//! optimised away, so has the call; otherwise the linker names `tinyfold_core_must_not_panic`. Feature
//! `deliberate-panic` adds one, to show that the proof can fail. The program is linked, never run.
#![no_std]
#![no_main]

use core::hint::black_box;

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};
use tinyfold_core::bank::{Banks, Mapped};
use tinyfold_core::fixed::{self, Weight};
use tinyfold_core::learn::{
    Adam, Dale, Diagonal, Eprop, Follower, Groups, Guard, KfRtrl, LatentRls, LatentRtrl, Learner, Limits,
    Lms, Loss, Moment, Momentum, Online, Optimiser, Params, Rls, Rtrl, Rule, Sgd, Tape, Tbptt, Tie, Uoro,
};
use tinyfold_core::monitor::{self, Monitor};
use tinyfold_core::pack::{Matrices, Weights, pack};
use tinyfold_core::wire::{self, learned, lesson, trial};
use tinyfold_core::{Scalar, Settings, Shape, State, reduced};

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
    every_reduced_model::<f32>();
    every_reduced_model::<f64>();
    every_monitor::<f32>();
    every_monitor::<f64>();
    every_learner::<f32>();
    every_learner::<f64>();
    every_lesson();
    every_bank();
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

fn every_reduced_model<T: Scalar>() {
    let bytes: &[u8] = lend();
    if let Ok(model) = wire::reduced::read::<T>(bytes)
        && let Ok(mut state) = model.view.state(lend())
    {
        black_box(model.view.step(&mut state, lend()));
        model.view.reset(&mut state);
        black_box((state.z(), state.output(), state.input(), state.held(), state.outside()));
        black_box(model.view.interval(black_box(0)));
        black_box(wire::reduced::write(&model.view, model.metadata, lend()).is_ok());
    }
    black_box(wire::reduced::read_prefix::<T>(bytes).is_ok());
    let series: reduced::Series<'_, T> =
        reduced::Series { interval: lend(), initial: lend(), drift: lend(), gain: lend(), output: lend() };
    let none = reduced::Shape { dimensions: 1, inputs: 0, outputs: 1, drift: 0, gain: 0, output: 0 };
    let (shape, words): (_, &mut [T]) = (black_box(none), lend());
    black_box(reduced::pack(&shape, &series, words).is_ok());
    reduced::packed(&shape, |part, index| {
        black_box((part, index));
    });
    black_box(wire::kind(bytes));
    black_box(reduced::View::from_words(shape, black_box(tinyfold_core::Arithmetic::Fused), words).is_ok());
}

fn every_monitor<T: Scalar>() {
    let bytes: &[u8] = lend();
    let Ok(model) = wire::read::<T>(bytes) else { return };
    let Ok(mut state) = model.view.state(lend()) else { return };
    black_box(model.view.step_seen(&mut state, lend(), |seen| {
        black_box(seen);
    }));
    black_box(monitor::readout_checksum(&model.view));
    if let Ok(watcher) = wire::monitor::read_prefix::<T>(bytes)
        && let Ok(mut watch) = watcher.monitor.watch(&model.view, lend())
    {
        black_box(watcher.monitor.step(&model.view, &mut state, lend(), &mut watch));
        black_box((watch.alarms(), watcher.watches(&model)));
        black_box(wire::monitor::write(&watcher.monitor, black_box(0), lend()).is_ok());
    }
    black_box(wire::monitor::read::<T>(bytes).is_ok());
    let shape = black_box(monitor::Shape { network: model.view.shape(), dimensions: 1 });
    let plan = black_box(monitor::Plan { every: 1, check: 1, scrub: 0, readout: 0 });
    let words: &mut [T] = lend();
    black_box(Monitor::new(shape, plan, words).is_ok());
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

fn every_learner<T: Scalar>() {
    let (words, memory): (&mut [T], &mut [T]) = black_box((&mut [], &mut []));
    let shape = black_box(Shape { neurons: 1, rank: 1, inputs: 1, outputs: 1 });
    let settings: Settings<T> = black_box(Settings::new(tinyfold_core::Activation::Relu));
    let Ok(mut params) = Params::new(shape, settings, words) else { return };
    let Ok(mut state) = params.view().state(memory) else { return };
    let (params, state) = (&mut params, &mut state);
    let groups = black_box(Groups::ALL);
    if let Ok(dale) = Dale::new(&shape, lend()) {
        dale.project(params);
    }
    black_box(params.set(lend()).is_ok());
    optimisers(Rtrl::new(params, groups, lend()), params, state);
    optimisers(Diagonal::snap1(params, groups, lend()), params, state);
    optimisers(Diagonal::rflo(params, groups, lend()), params, state);
    optimisers(Eprop::new(params, groups, lend()), params, state);
    optimisers(Uoro::new(params, groups, black_box(1), lend()), params, state);
    optimisers(KfRtrl::new(params, groups, black_box(1), lend()), params, state);
    optimisers(Tbptt::new(params, groups, black_box(1), lend()), params, state);
    optimisers(Lms::new(params, groups, lend()), params, state);
    optimisers(Rls::new(params, groups, black_box(T::ONE), black_box(T::ONE), lend()), params, state);
    optimisers(LatentRtrl::new(params, groups, lend()), params, state);
    optimisers(LatentRtrl::tied(params, groups, black_box(Tie::Encoder(lend())), lend()), params, state);
    let ones = black_box([T::ONE; 2]);
    optimisers(LatentRls::new(params, groups, ones[0], ones[1], lend()), params, state);
}

fn every_lesson() {
    let bytes: &[u8] = lend();
    if let Ok(lesson) = lesson::read_prefix(bytes) {
        black_box((lesson.steps(), lesson.told()));
        black_box(lesson::write(&lesson, lend()).is_ok());
        let shape = black_box(Shape { neurons: 1, rank: 1, inputs: 1, outputs: 1 });
        let settings = black_box(Settings::new(tinyfold_core::Activation::Relu));
        let Ok(mut params) = Params::new(shape, settings, lend()) else { return };
        let Ok(mut state) = params.view().state(lend()) else { return };
        let Ok(mut rows) = lesson.plan.rows(&shape, lesson.rows) else { return };
        let outcome = lesson.plan.run(&mut params, &mut state, lend(), &mut rows, &mut Probe);
        black_box(outcome.is_ok());
    }
    if let Ok((taught, _)) = lesson::Taught::read_prefix(bytes) {
        black_box(taught.to_words());
    }
}

/// Remembers anything.
struct Probe;

impl Follower<f32> for Probe {
    type Error = tinyfold_core::Error;

    fn recall(&mut self) -> Option<learned::Memory<'_, f32>> {
        black_box(Some(learned::Memory { optimiser: learned::Optimiser::Rls, steps: 0, words: lend() }))
    }

    fn step(&mut self, moment: &Moment<'_, f32>) -> Result<(), tinyfold_core::Error> {
        black_box(moment);
        black_box(Ok(()))
    }
}

fn lend<T>() -> &'static mut [T] {
    black_box(&mut [])
}

fn optimisers<T: Scalar, R: Rule<T>>(
    rule: Result<R, tinyfold_core::Error>,
    params: &mut Params<'_, T>,
    state: &mut State<'_, T>,
) {
    let Ok(rule) = rule else { return };
    let one = black_box(T::ONE);
    match black_box(0) {
        0 => learner(rule, Sgd::new(one).map(|sgd| sgd.clipped(one)), params, state),
        1 => {
            let momentum = Momentum::new(one, one, black_box(1), lend());
            let lawful = Dale::new(&params.shape(), lend()).and_then(|dale| Ok(dale.projected(momentum?)));
            learner(rule, lawful, params, state);
        }
        2 => learner(rule, Adam::new(one, [one; 2], one, black_box(1), lend()), params, state),
        _ => learner(rule, Ok(Tape(lend())), params, state),
    }
}

fn learner<T: Scalar, R: Rule<T>, O: Optimiser<T>>(
    rule: R,
    optimiser: Result<O, tinyfold_core::Error>,
    params: &mut Params<'_, T>,
    state: &mut State<'_, T>,
) {
    let (Ok(optimiser), one) = (optimiser, black_box(T::ONE)) else { return };
    let learner =
        Online::new(rule, optimiser, black_box(Loss::Square)).trusting(one).normalised(black_box(true));
    let limits = Limits { state: one, loss: one, growth: one, every: black_box(1) };
    let Ok(mut guard) = Guard::new(learner, limits, params, lend()) else { return };
    black_box(guard.step(params, state, lend(), black_box(Some(lend()))));
    black_box(guard.counts());
    guard.reset();
    guard.restart();
    black_box(guard.memory());
    let memory = learned::Memory { optimiser: learned::Optimiser::Adam, steps: black_box(1), words: lend() };
    black_box(guard.resume(black_box(&memory)).is_ok());
}

/// A flash that fails by itself, not in core.
struct Flash(&'static mut [u8]);

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, _: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        bytes.fill(black_box(0));
        black_box(Ok(()))
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 4096;

    fn erase(&mut self, _: u32, _: u32) -> Result<(), NorFlashErrorKind> {
        black_box(Ok(()))
    }

    fn write(&mut self, _: u32, _: &[u8]) -> Result<(), NorFlashErrorKind> {
        black_box(Ok(()))
    }
}

impl Mapped for Flash {
    fn bytes(&self) -> &[u8] {
        self.0
    }
}

fn every_bank() {
    let Ok(mut banks) = Banks::new(Flash(lend()), black_box(0..4096), black_box(4096..8192)) else { return };
    if let Ok(Some(record)) = banks.latest() {
        black_box(banks.read(&record, black_box(0), lend()).is_ok());
        let payload = banks.payload(&record);
        if let Ok(found) = learned::read::<f32>(payload) {
            black_box(learned::copy_words(&found.model.view, lend()).is_ok());
            if let Ok(pieces) = learned::pieces(&found.model.view, found.model.metadata, found.progress) {
                let mut other = Banks::new(Flash(lend()), black_box(0..4096), black_box(4096..8192));
                if let Ok(other) = &mut other {
                    black_box(other.store(pieces.iter()).is_ok());
                }
            }
        }
    }
}
