//! One kernel of tinyfold-core, run and counted on a chip.
//!
//! The model lies in the model's region of flash, a request in that of the trial. Request and result are
//! little-endian words of 32 bits; `host/src/bench/chip.rs` writes the one and reads the other.
//!
//! | request | |
//! |---|---|
//! | word 0 | magic `TFBN` |
//! | word 1 | the number of a [`Kernel`] |
//! | word 2 | words that follow |
//! | rest | what the kernel works on |
//!
//! | result | |
//! |---|---|
//! | word 0 | ticks of an empty region |
//! | word 1 | ticks of the last run of the kernel |
//! | word 2 | 1 if the clock ran out in either: the ticks mean nothing |
//! | word 3 | words of output |
//! | rest | the output, then the worst stack in bytes |
#![no_std]
#![forbid(unsafe_code)]

// A Cortex-M0, told by what it cannot do, has no flash for all of them.
#[cfg(target_has_atomic = "32")]
mod learn;
#[cfg(target_has_atomic = "32")]
mod watch;

#[cfg(target_has_atomic = "32")]
pub use learn::Learning;

use bytemuck::{cast_slice, cast_slice_mut};
use tinyfold_app::{Failure, Sink};
use tinyfold_core::fixed::{self, Weight};
use tinyfold_core::{Error, Expected, Field, Number, Shape, State, View, wire};

/// Ticks between two marks around a piece of work.
pub trait Clock {
    /// Runs `work` between the marks.
    fn measure(&mut self, work: impl FnOnce()) -> Ticks;
}

/// What a clock says of a piece of work.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ticks {
    /// Ticks, those of the marks included.
    pub ticks: u32,
    /// The clock ran out.
    pub over: bool,
}

/// What can be counted: a new kernel is one row here, one arm in [`run`] and one function below.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(u32)]
pub enum Kernel {
    /// Steps of the model on samples (T × I); the last one is counted. Output: outputs, carried words.
    Step = 1,
    /// phi of the model's activation on every word; the second of two runs is counted. Output: phi.
    Activation = 2,
    /// The product p = b + W h + B x of a dense network; the second of two runs is counted. Output: p.
    Product = 3,
    /// Steps of a learner: the number of a `Learning`, then samples and targets (T × (I + O)); the last
    /// step is counted. Output: outputs, all packed words.
    Learn = 4,
    /// Steps of a reduced model on samples (T × I); the last one is counted. Output: outputs, z.
    Reduced = 5,
    /// Steps of the model watched by a monitor: the monitor, then samples (T × I); the last step is counted.
    /// Output: outputs, the monitor's residual, distance and range.
    Watched = 6,
}

const MAGIC: u32 = u32::from_le_bytes(*b"TFBN");
const HEADER_LEN: usize = 3;

/// Does what `request` asks for with the model at the start of `model`, with `memory` for everything that
/// changes, and writes the result.
///
/// # Errors
/// A model or a request that is refused, memory that is too small, a sink that is full.
pub fn run(
    model: &[u8],
    request: &[u8],
    memory: &mut [u32],
    clock: &mut impl Clock,
    sink: &mut dyn Sink,
) -> Result<(), Failure> {
    let (kernel, words) = read(request).map_err(Failure::Trial)?;
    let mut bench = Bench { empty: last(&[0, 0], 1, clock, |_| ()), clock, sink };
    #[cfg(target_has_atomic = "32")]
    if kernel == Kernel::Reduced {
        return bench.reduced(model, words, cast_slice_mut(memory));
    }
    let number = wire::number(model).map_err(Failure::Model)?;
    match (kernel, number) {
        (Kernel::Step, Number::F32) => bench.step(model, words, cast_slice_mut(memory)),
        (Kernel::Step, Number::I16) => bench.fixed_step::<i16>(model, words, cast_slice_mut(memory)),
        (Kernel::Step, Number::I8) => bench.fixed_step::<i8>(model, words, cast_slice_mut(memory)),
        (Kernel::Activation, Number::F32) => bench.activation(model, words, cast_slice_mut(memory)),
        #[cfg(target_has_atomic = "32")]
        (Kernel::Learn, Number::F32) => bench.learn(model, words, cast_slice_mut(memory)),
        #[cfg(target_has_atomic = "32")]
        (Kernel::Watched, Number::F32) => bench.watched(model, words, cast_slice_mut(memory)),
        (Kernel::Product, Number::F32) => bench.product(model, words, cast_slice_mut(memory)),
        (Kernel::Product, Number::I16) => bench.fixed_product::<i16>(model, words, cast_slice_mut(memory)),
        (Kernel::Product, Number::I8) => bench.fixed_product::<i8>(model, words, cast_slice_mut(memory)),
        _ => Err(Failure::Model(Error {
            field: Field::Number,
            expected: Expected::Exactly(Number::F32 as u64),
            found: number as u64,
        })),
    }
}

fn read(request: &[u8]) -> Result<(Kernel, &[u32]), Error> {
    let aligned = &request[..request.len() & !3];
    let refuse = |field, expected, found: u32| Err(Error { field, expected, found: found.into() });
    let Some((&[magic, kernel, length], rest)) = cast_slice(aligned).split_first_chunk::<HEADER_LEN>() else {
        return refuse(Field::Length, Expected::AtLeast(4 * HEADER_LEN as u64), request.len() as u32);
    };
    if magic != MAGIC {
        return refuse(Field::Magic, Expected::Exactly(MAGIC.into()), magic);
    }
    let kernels =
        [Kernel::Step, Kernel::Activation, Kernel::Product, Kernel::Learn, Kernel::Reduced, Kernel::Watched];
    match (kernels.into_iter().find(|&known| known as u32 == kernel), rest.get(..length as usize)) {
        (Some(kernel), Some(words)) => Ok((kernel, words)),
        (None, _) => refuse(Field::Version, Expected::Between(1, kernels.len() as u64), kernel),
        (_, None) => refuse(Field::Samples, Expected::Between(0, rest.len() as u64), length),
    }
}

/// Runs `work` on every chunk of `words`: what the last one took.
fn last<C: Clock>(words: &[u32], width: usize, clock: &mut C, mut work: impl FnMut(&[u32])) -> Ticks {
    words.chunks_exact(width.max(1)).fold(Ticks::default(), |_, chunk| clock.measure(|| work(chunk)))
}

/// Memory or samples too short.
fn too_small(need: usize, found: usize) -> Failure {
    Failure::Trial(Error {
        field: Field::State,
        expected: Expected::AtLeast(need as u64),
        found: found as u64,
    })
}

struct Bench<'a, C> {
    empty: Ticks,
    clock: &'a mut C,
    sink: &'a mut dyn Sink,
}

// What is counted is a call of one of the functions that must not be inlined: with several callers'
// contexts around it, a kernel would differ from case to case.
impl<C: Clock> Bench<'_, C> {
    fn step(&mut self, model: &[u8], words: &[u32], memory: &mut [f32]) -> Result<(), Failure> {
        #[inline(never)]
        fn step(view: &View<'_, f32>, state: &mut State<'_, f32>, sample: &[f32]) {
            view.step(state, sample);
        }
        let view = wire::read_prefix(model).map_err(Failure::Model)?.view;
        let mut state = view.state(memory).map_err(Failure::Model)?;
        let counted = last(words, view.shape().inputs, self.clock, |sample| {
            step(&view, &mut state, cast_slice(sample));
        });
        self.finish(counted, [cast_slice(state.output()), cast_slice(state.carried())])
    }

    fn fixed_step<W: Weight>(
        &mut self,
        model: &[u8],
        words: &[u32],
        memory: &mut [i32],
    ) -> Result<(), Failure> {
        #[inline(never)]
        fn step<W: Weight>(view: &fixed::View<'_, W>, state: &mut fixed::State<'_>, sample: &[i32]) {
            view.step(state, sample);
        }
        let view = wire::fixed::read_prefix::<W>(model).map_err(Failure::Model)?.view;
        let mut state = view.state(memory).map_err(Failure::Model)?;
        let counted = last(words, view.shape().inputs, self.clock, |sample| {
            step(&view, &mut state, cast_slice(sample));
        });
        self.finish(counted, [cast_slice(state.output()), cast_slice(state.carried())])
    }

    fn activation(&mut self, model: &[u8], words: &[u32], memory: &mut [f32]) -> Result<(), Failure> {
        let settings = wire::read_prefix::<f32>(model).map_err(Failure::Model)?.view.settings();
        let found = memory.len();
        let to = memory.get_mut(..words.len()).ok_or(too_small(words.len(), found))?;
        let mut counted = Ticks::default();
        for _ in 0..2 {
            to.copy_from_slice(cast_slice(words));
            counted = self.clock.measure(|| settings.activation.apply(to, settings.variant));
        }
        self.finish(counted, [cast_slice(to), &[]])
    }

    fn product(&mut self, model: &[u8], words: &[u32], memory: &mut [f32]) -> Result<(), Failure> {
        #[inline(never)]
        fn product(view: &View<'_, f32>, h: &[f32], x: &[f32], p: &mut [f32]) -> Result<(), Error> {
            view.pre_activations(h, x, p)
        }
        let view = wire::read_prefix(model).map_err(Failure::Model)?.view;
        let n = view.shape().neurons;
        let (h, x) = words.split_at_checked(n).ok_or(too_small(n, words.len()))?;
        let found = memory.len();
        let p = memory.get_mut(..n).ok_or(too_small(n, found))?;
        let mut outcome = Ok(());
        let counted = last(&[0, 0], 1, self.clock, |_| {
            outcome = product(&view, cast_slice(h), cast_slice(x), p);
        });
        outcome.map_err(Failure::Trial)?;
        self.finish(counted, [cast_slice(p), &[]])
    }

    fn fixed_product<W: Weight>(
        &mut self,
        model: &[u8],
        words: &[u32],
        memory: &mut [i32],
    ) -> Result<(), Failure> {
        #[inline(never)]
        fn product<W: Weight>(
            view: &fixed::View<'_, W>,
            vector: fixed::Vector<'_>,
            p: &mut [i32],
        ) -> Result<(), Error> {
            let Shape { neurons, inputs, .. } = view.shape();
            fixed::dense::<W>(view.sections()[0], neurons + inputs, vector, view.settings().accumulator, p)
        }
        let view = wire::fixed::read_prefix::<W>(model).map_err(Failure::Model)?.view;
        let (Shape { neurons, inputs, .. }, settings) = (view.shape(), view.settings());
        let found = memory.len();
        let (p, rest) = memory.split_at_mut_checked(neurons).ok_or(too_small(neurons, found))?;
        let length = fixed::Vector::words(neurons + inputs);
        let room = rest.get_mut(..length).ok_or(too_small(neurons + length, found))?;
        let rates: &[i32] = cast_slice(words);
        let mut outcome = Ok(());
        let mut counted = Ticks::default();
        for _ in 0..2 {
            let mut vector = fixed::Vector::new(settings.rates, room);
            vector.fill(0, 0, rates.iter().copied());
            counted = self.clock.measure(|| outcome = product(&view, vector, p));
        }
        outcome.map_err(Failure::Trial)?;
        self.finish(counted, [cast_slice(p), &[]])
    }

    fn finish(&mut self, counted: Ticks, output: [&[u32]; 2]) -> Result<(), Failure> {
        let length = output[0].len() + output[1].len();
        let over = u32::from(self.empty.over || counted.over);
        let header = [self.empty.ticks, counted.ticks, over, length as u32];
        let words = [&header[..], output[0], output[1]];
        words.into_iter().try_for_each(|words| self.sink.write(cast_slice(words)))?;
        self.sink.write(&self.sink.worst_stack().to_le_bytes())
    }
}
