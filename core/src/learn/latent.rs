//! Exact real-time recurrent learning in the latent of a network of rank R.

use crate::error::Field;
use crate::error::{Error, exactly};
use crate::linear::{add_column, add_dot};
use crate::network::{CopyChecked, State, Status, View};
use crate::scalar::{Arithmetic, Fused, MultiplyAdd, Scalar, Separate};
use crate::shape::Shape;

use super::dense::{phi, steepest};
use super::memory::{Memory, dot, squares};
use super::online::Rule;
use super::optimiser::{Nothing, Optimiser};
use super::params::{Groups, Params};
use crate::Activation;

/// What the input weights B depend on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tie<'e, T> {
    /// B = U, with I = R: inputs enter the latent as they are, as in the exact designs.
    Recurrent,
    /// B = U Vᵀ E, with E (n × I, row-major): the network of Fanthomme & Monasson 2021.
    Encoder(&'e [T]),
}

/// Exact RTRL of a network of rank R: its whole past is in the R latent variables, so influences are n R² numbers
/// instead of n³.
///
/// With p = b + U z + B x, phi = phi(p), D = diag(phi'(p)), J = keep I + alpha Vᵀ D U, G = Cᵀ D U and P = dz/dtheta:
///
/// dL/dtheta = gᵀ P + a_i d for theta in b_i, U_i, B_i; gᵀ P for V_i; dL/dC_io = e_o phi_i,
/// P' = J P + alpha V_i phi'_i d, and P' = J P + alpha phi_i 1_r for V_ir,
///
/// e = dL/dy, g = Gᵀ e, a_i = phi'_i C_i · e; d is 1, z_j or x_l. A [`Tie`] is differentiated as well: d = z_j + (M x)_j
/// for U_ij, with M = I or Vᵀ E, and P + (E_i · x) 1_r in place of P for V_ir. A leaky output carries dy/dtheta too:
/// Q' = keep Q + alpha (dy/dtheta of this step), dL/dtheta = eᵀ Q'.
///
/// Memory: [`LatentRtrl::memory_len`] words; n R (2 R) of them are P for U and V. Multiply-adds a step beyond the
/// forward one: n R (R + O) for J and G, then (R + 1)² or so for each parameter: 2 n R³ + O(n R²) for U and V.
/// Source: Williams & Zipser 1989 for the recursion; for rank R it closes because dh/dtheta enters through Vᵀ alone.
#[derive(Debug)]
pub struct LatentRtrl<'m, T> {
    groups: Groups,
    tie: Option<Tie<'m, T>>,
    error: &'m mut [T],
    /// phi, phi' and a, n each.
    phi: &'m mut [T],
    slope: &'m mut [T],
    back: &'m mut [T],
    /// z + M x before the step, R.
    zeta: &'m mut [T],
    /// M, R × I.
    mix: &'m mut [T],
    /// J, R × R.
    jacobian: &'m mut [T],
    /// G, O × R.
    gain: &'m mut [T],
    /// g, R, and the same times what an optimiser asks for.
    g: &'m mut [T],
    scaled: &'m mut [T],
    /// A small difference of states, R, and the same after a step.
    probe: &'m mut [T],
    next: &'m mut [T],
    /// P: R words for every learning word of a record but C.
    influence: &'m mut [T],
    /// Q of a leaky network: O words for each of these, one for each of C, c.
    outputs: &'m mut [T],
    /// ‖P‖² (and ‖Q‖²), ‖z‖² + ‖x‖² + 1, ‖phi‖².
    size: T,
    drive: T,
    active: T,
    growth: Growth<T>,
}

/// Mean growth of a difference of states, in windows of 64 steps.
#[derive(Clone, Copy, Debug)]
struct Growth<T> {
    steps: u32,
    last: Option<T>,
}

/// Learning words of a record that move z.
const fn entries(shape: &Shape, groups: Groups) -> usize {
    let Groups { recurrent, back, input, bias, .. } = groups;
    bias as usize + (recurrent as usize + back as usize) * shape.rank + input as usize * shape.inputs
}

impl<'m, T: Scalar> LatentRtrl<'m, T> {
    /// Words of memory for a network of this shape, `leaky` if alpha < 1.
    #[must_use]
    pub const fn memory_len(shape: &Shape, groups: Groups, leaky: bool) -> usize {
        let Shape { neurons, rank, inputs, outputs } = *shape;
        let small = outputs + rank * (5 + inputs + rank + outputs);
        let carried = if leaky { neurons * outputs * (entries(shape, groups) + 1) + outputs } else { 0 };
        small + 3 * neurons + neurons * entries(shape, groups) * rank + carried
    }

    /// A rule in `memory`, at rest; B is a parameter of its own.
    ///
    /// # Errors
    /// A dense network, memory too short.
    pub fn new(params: &Params<'_, T>, groups: Groups, memory: &'m mut [T]) -> Result<Self, Error> {
        let shape = params.shape();
        let Shape { neurons, rank, inputs, outputs } = shape;
        if rank == 0 {
            return Err(Error::new(Field::Rank, crate::Expected::AtLeast(1), 0));
        }
        let leaky = params.view().settings.leaky();
        let mut memory = Memory::new(memory, Self::memory_len(&shape, groups, leaky))?;
        let error = memory.cut(outputs);
        let [phi, slope, back] = [(); 3].map(|()| memory.cut(neurons));
        let [zeta, g, scaled, probe, next] = [(); 5].map(|()| memory.cut(rank));
        let mix = memory.cut(rank * inputs);
        let (jacobian, gain) = (memory.cut(rank * rank), memory.cut(outputs * rank));
        let entries = entries(&shape, groups);
        let influence = memory.cut(neurons * entries * rank);
        let outputs = memory.cut(if leaky { neurons * outputs * (entries + 1) + outputs } else { 0 });
        let growth = Growth { steps: 0, last: None };
        let mut rule = Self {
            groups,
            tie: None,
            error,
            phi,
            slope,
            back,
            zeta,
            mix,
            jacobian,
            gain,
            g,
            scaled,
            probe,
            next,
            influence,
            outputs,
            size: T::ZERO,
            drive: T::ZERO,
            active: T::ZERO,
            growth,
        };
        rule.reset();
        Ok(rule)
    }

    /// The same with B tied; B is set to what `tie` says, here and after every update.
    ///
    /// # Errors
    /// As [`LatentRtrl::new`]; I other than R or E of another length.
    pub fn tied(
        params: &mut Params<'_, T>,
        groups: Groups,
        tie: Tie<'m, T>,
        memory: &'m mut [T],
    ) -> Result<Self, Error> {
        let shape = params.shape();
        match tie {
            Tie::Recurrent => exactly(Field::Inputs, shape.rank, shape.inputs)?,
            Tie::Encoder(encoder) => exactly(Field::Buffer, shape.neurons * shape.inputs, encoder.len())?,
        }
        let mut rule = Self::new(params, Groups { input: false, ..groups }, memory)?;
        rule.tie = Some(tie);
        rule.fill_input(params);
        Ok(rule)
    }

    /// M = Vᵀ E of a tie to encoders.
    fn fill_mix(&mut self, layer: &[T], shape: Shape) {
        let Some(Tie::Encoder(encoder)) = self.tie else { return };
        let Shape { rank, inputs, .. } = shape;
        self.mix.fill(T::ZERO);
        for (record, e) in layer.chunks_exact(shape.record().max(1)).zip(encoder.chunks_exact(inputs.max(1)))
        {
            let v = record.get(1 + rank + inputs..).unwrap_or_default();
            for (row, &v) in self.mix.chunks_exact_mut(inputs.max(1)).zip(v) {
                add_column::<T, Separate>(row, e, v);
            }
        }
    }

    /// Sets B to what the tie says.
    fn fill_input(&mut self, params: &mut Params<'_, T>) {
        let shape = params.shape();
        let Shape { rank, inputs, .. } = shape;
        let Some(tie) = self.tie else { return };
        self.fill_mix(params.layer_mut(), shape);
        for record in params.layer_mut().chunks_exact_mut(shape.record().max(1)) {
            let (u, rest) =
                record.get_mut(1..).unwrap_or_default().split_at_mut_checked(rank).unwrap_or_default();
            let b = rest.get_mut(..inputs).unwrap_or_default();
            match tie {
                Tie::Recurrent => b.copy_from_slice_checked(u),
                Tie::Encoder(_) => {
                    b.fill(T::ZERO);
                    for (row, &u) in self.mix.chunks_exact(inputs.max(1)).zip(u.iter()) {
                        add_column::<T, Separate>(b, row, u);
                    }
                }
            }
        }
    }

    /// J, R × R.
    pub(crate) const fn jacobian(&self) -> &[T] {
        self.jacobian
    }

    /// G, O × R.
    pub(crate) const fn gain(&self) -> &[T] {
        self.gain
    }

    /// The step of [`View::step`], with phi, phi', J and G.
    fn run<A: MultiplyAdd>(&mut self, view: &View<'_, T>, state: &mut State<'_, T>) {
        let Shape { rank, inputs, outputs, .. } = view.shape;
        let settings = view.settings;
        state.scratch.fill(T::ZERO);
        state.y.copy_from_slice_checked(view.readout_bias);
        let (z, carried_y) = state.carried.split_at_mut_checked(rank).unwrap_or_default();
        self.zeta.copy_from_slice_checked(z);
        let zx = (&*z, &*state.input);
        let sums = (&mut *state.scratch, &mut *state.y, &mut *self.jacobian, &mut *self.gain);
        let kept = (&mut *self.phi, &mut *self.slope);
        let square = settings.activation == Activation::Relu && rank == inputs && rank == outputs;
        self.active = match rank {
            1 if square => square_pass::<T, A, 1>(view, zx, sums, kept),
            2 if square => square_pass::<T, A, 2>(view, zx, sums, kept),
            3 if square => square_pass::<T, A, 3>(view, zx, sums, kept),
            _ => pass::<T, A>(view, zx, sums, kept),
        };
        self.drive = squares(z) + squares(state.input) + T::ONE;
        for (row, diagonal) in self.jacobian.chunks_exact_mut(rank.max(1)).zip(0..) {
            for (j, column) in row.iter_mut().zip(0..) {
                *j = settings.alpha * *j + if column == diagonal { settings.keep } else { T::ZERO };
            }
        }
        view.leak_all::<A>(z, state.scratch);
        if settings.leaky() {
            view.leak_all::<A>(carried_y, state.y);
            view.give_output(state.output, carried_y);
        } else {
            view.give_output(state.output, state.y);
        }
    }

    /// v = J v, and its growth once every 64 steps.
    fn grow(&mut self) {
        const SIXTY_FOURTH: u32 = 6;
        for (next, row) in self.next.iter_mut().zip(self.jacobian.chunks_exact(self.probe.len().max(1))) {
            *next = dot(row, self.probe);
        }
        self.probe.copy_from_slice_checked(self.next);
        self.growth.steps += 1;
        if self.growth.steps < 1 << SIXTY_FOURTH {
            return;
        }
        let length = squares(self.probe).sqrt();
        self.growth.last = Some((0..SIXTY_FOURTH).fold(length, |x, _| x.sqrt()));
        self.start_probe(length);
    }

    /// A probe of length 1 along itself, or along all axes if there is nothing of it.
    fn start_probe(&mut self, length: T) {
        self.growth.steps = 0;
        let tiny = T::from_f64(1e-30);
        if length > tiny && length <= T::ONE / tiny {
            self.probe.iter_mut().for_each(|v| *v = *v / length);
        }
        // What fades away must not hide what grows.
        let axes = T::ONE / T::from_f64(self.probe.len() as f64).sqrt();
        let rest = T::from_f64(1e-3) * axes;
        for v in self.probe.iter_mut() {
            let good = v.is_finite() && length > tiny && length <= T::ONE / tiny;
            *v = if good { *v + rest } else { axes };
        }
    }

    /// Gradient and transport of all words of the records, for any sizes, leak and tie.
    #[inline(never)]
    fn sweep<O: Optimiser<T>>(
        &mut self,
        params: &mut Params<'_, T>,
        input: &[T],
        optimiser: &mut O,
        (scale, last): (T, bool),
    ) {
        self.scaled.iter_mut().zip(self.g.iter()).for_each(|(scaled, &g)| *scaled = g * scale);
        let (jacobian, zeta, g) = (&*self.jacobian, &*self.zeta, &*self.scaled);
        let next = &mut *self.next;
        let (shape, settings) = (params.shape(), params.view().settings);
        let Shape { inputs, outputs, .. } = shape;
        let (record, rank, groups) = (shape.record().max(1), g.len(), self.groups);
        let mut influence = self.influence.chunks_exact_mut(rank.max(1));
        let mut carried = Carried {
            words: self.outputs.chunks_exact_mut(outputs.max(1)),
            gain: self.gain,
            error: self.error,
            leak: [settings.keep, settings.alpha],
            last,
            size: T::ZERO,
        };
        let leaky = settings.leaky();
        let mut size = T::ZERO;
        let neurons = self.phi.iter().zip(self.slope.iter()).zip(self.back.iter());
        let records = params.layer_mut().chunks_exact_mut(record).zip((0..).step_by(record));
        for (((words, first), ((&phi, &slope), &a)), neuron) in records.zip(neurons).zip(0..) {
            let (head, rest) = words.split_at_mut_checked(1 + rank + inputs).unwrap_or_default();
            let (v, c) = rest.split_at_mut_checked(rank).unwrap_or_default();
            let (a, steep) = (a * scale, settings.alpha * slope);
            // A word of b, U or B: what it does to this step is d along V_i and C_i.
            let mut enter = |word: &mut T, at: usize, d: T| {
                let Some(p) = influence.next() else { return };
                let gradient = if leaky {
                    scale * carried.gradient(p, |o, _| c.get(o).map_or(T::ZERO, |&c| c * slope * d))
                } else {
                    dot(p, g) + a * d
                };
                if last {
                    let along = steep * d;
                    size =
                        size + transport(jacobian, p, next, |next| add_column::<T, Separate>(next, v, along));
                }
                *word = optimiser.word(at, *word, gradient);
            };
            let (b, head) = head.split_at_mut_checked(1).unwrap_or_default();
            let (u, input_weights) = head.split_at_mut_checked(rank).unwrap_or_default();
            if groups.bias {
                for b in b {
                    enter(b, first, T::ONE);
                }
            }
            if groups.recurrent {
                for ((u, &zeta), at) in u.iter_mut().zip(zeta).zip(first + 1..) {
                    enter(u, at, zeta);
                }
            }
            if groups.input {
                for ((b, &x), at) in input_weights.iter_mut().zip(input).zip(first + 1 + rank..) {
                    enter(b, at, x);
                }
            }
            if groups.back {
                let place = first + 1 + rank + inputs;
                if let Some(Tie::Encoder(encoder)) = self.tie {
                    let e = encoder.get(neuron * inputs..).and_then(|e| e.get(..inputs)).unwrap_or_default();
                    let xi = dot(e, input);
                    let direct = settings.alpha * phi - settings.keep * xi;
                    for (v, r) in v.iter_mut().zip(0..) {
                        let Some(p) = influence.next() else { break };
                        if let Some(p) = p.get_mut(r).filter(|_| last) {
                            *p = *p + xi;
                        }
                        let unseen = if last { T::ZERO } else { xi };
                        let of = |row: &[T]| unseen * row.get(r).copied().unwrap_or(T::ZERO);
                        let gradient = if leaky {
                            scale * carried.gradient(p, |_, row| of(row))
                        } else {
                            dot(p, g) + of(g)
                        };
                        if last {
                            size = size + transport(jacobian, p, next, |next| add_at(next, r, direct));
                        }
                        *v = optimiser.word(place + r, *v, gradient);
                    }
                } else {
                    let direct = settings.alpha * phi;
                    for (v, r) in v.iter_mut().zip(0..) {
                        let Some(p) = influence.next() else { break };
                        let gradient =
                            if leaky { scale * carried.gradient(p, |_, _| T::ZERO) } else { dot(p, g) };
                        if last {
                            size = size + transport(jacobian, p, next, |next| add_at(next, r, direct));
                        }
                        *v = optimiser.word(place + r, *v, gradient);
                    }
                }
            }
            if groups.readout && leaky {
                let places = first + 1 + 2 * rank + inputs..;
                for ((c, (seen, e)), at) in c.iter_mut().zip(carried.own(phi)).zip(places) {
                    *c = optimiser.word(at, *c, scale * e * seen);
                }
            } else if groups.readout && !(O::SPARSE && phi.is_zero()) {
                let places = first + 1 + 2 * rank + inputs..;
                for ((c, &e), at) in c.iter_mut().zip(self.error.iter()).zip(places) {
                    *c = optimiser.word(at, *c, scale * e * phi);
                }
            }
        }
        if groups.output_bias && leaky {
            let (c, _, first) = params.readout_mut();
            for ((c, (seen, e)), at) in c.iter_mut().zip(carried.own(T::ONE)).zip(first..) {
                *c = optimiser.word(at, *c, scale * e * seen);
            }
        }
        if last {
            self.size = size + carried.size;
        }
        if !leaky {
            self.visit_output_bias(params, optimiser, scale);
        }
    }

    fn visit_output_bias<O: Optimiser<T>>(&self, params: &mut Params<'_, T>, optimiser: &mut O, scale: T) {
        if self.groups.output_bias {
            let (c, _, first) = params.readout_mut();
            for ((c, &e), at) in c.iter_mut().zip(self.error.iter()).zip(first..) {
                *c = optimiser.word(at, *c, scale * e);
            }
        }
    }

    /// [`LatentRtrl::sweep`] for R = I = O = `D` without leak and encoders, with arrays that stay in registers; with
    /// `UV` for U and V alone;
    /// `false` if a slice is too short.
    #[inline(never)]
    fn square_sweep<O: Optimiser<T>, const D: usize, const UV: bool>(
        &mut self,
        params: &mut Params<'_, T>,
        input: &[T],
        optimiser: &mut O,
        (scale, last): (T, bool),
    ) -> bool {
        let (Some(zeta), Some(x), Some(g), Some(e), Some(&jacobian)) = (
            self.zeta.first_chunk::<D>(),
            input.first_chunk::<D>(),
            self.g.first_chunk::<D>(),
            self.error.first_chunk::<D>(),
            self.jacobian.as_chunks::<D>().0.first_chunk::<D>(),
        ) else {
            return false;
        };
        let (zeta, x, g, e) = (*zeta, *x, g.map(|g| g * scale), e.map(|e| e * scale));
        let groups = if UV { Groups::RECURRENT } else { self.groups };
        let mut influence = self.influence.as_chunks_mut::<D>().0.iter_mut();
        let mut size = T::ZERO;
        let neurons = self.phi.iter().zip(self.slope.iter()).zip(self.back.iter());
        let records = params.layer_mut().chunks_exact_mut(1 + 4 * D);
        for ((record, ((&phi, &slope), &a)), first) in records.zip(neurons).zip((0..).step_by(1 + 4 * D)) {
            let Some((bias, rest)) = record.split_first_mut() else { break };
            let Some((u, rest)) = rest.split_first_chunk_mut::<D>() else { break };
            let Some((b, rest)) = rest.split_first_chunk_mut::<D>() else { break };
            let Some((v, rest)) = rest.split_first_chunk_mut::<D>() else { break };
            let Some(c) = rest.first_chunk_mut::<D>() else { break };
            let a = a * scale;
            let along = v.map(|v| v * slope);
            let mut enter = |word: &mut T, at: usize, d: T| {
                let Some(p) = influence.next() else { return };
                let gradient = dot(p, &g) + a * d;
                if last {
                    let new = jacobian.map(|row| dot(&row, p));
                    p.iter_mut().zip(new.iter().zip(&along)).for_each(|(p, (&new, &v))| *p = new + v * d);
                    size = p.iter().fold(size, |size, &p| size + p * p);
                }
                *word = optimiser.word(at, *word, gradient);
            };
            if groups.bias {
                enter(bias, first, T::ONE);
            }
            if groups.recurrent {
                for ((u, &zeta), at) in u.iter_mut().zip(&zeta).zip(first + 1..) {
                    enter(u, at, zeta);
                }
            }
            if groups.input {
                for ((b, &x), at) in b.iter_mut().zip(&x).zip(first + 1 + D..) {
                    enter(b, at, x);
                }
            }
            if groups.back {
                for (v, r) in v.iter_mut().zip(0..) {
                    let Some(p) = influence.next() else { break };
                    let gradient = dot(p, &g);
                    if last {
                        *p = jacobian.map(|row| dot(&row, p));
                        add_at(p, r, phi);
                        size = p.iter().fold(size, |size, &p| size + p * p);
                    }
                    *v = optimiser.word(first + 1 + 2 * D + r, *v, gradient);
                }
            }
            if groups.readout && !(O::SPARSE && phi.is_zero()) {
                for ((c, &e), at) in c.iter_mut().zip(&e).zip(first + 1 + 3 * D..) {
                    *c = optimiser.word(at, *c, e * phi);
                }
            }
        }
        if last {
            self.size = size;
        }
        self.visit_output_bias(params, optimiser, scale);
        true
    }

    /// The fastest sweep that there is.
    fn visit_records<O: Optimiser<T>>(
        &mut self,
        params: &mut Params<'_, T>,
        input: &[T],
        optimiser: &mut O,
        how: (T, bool),
    ) {
        let Shape { rank, inputs, outputs, .. } = params.shape();
        let simple = !params.view().settings.leaky() && !matches!(self.tie, Some(Tie::Encoder(_)));
        let done = match (rank, self.groups == Groups::RECURRENT) {
            _ if !simple || rank != inputs || rank != outputs => false,
            (1, true) => self.square_sweep::<O, 1, true>(params, input, optimiser, how),
            (2, true) => self.square_sweep::<O, 2, true>(params, input, optimiser, how),
            (3, true) => self.square_sweep::<O, 3, true>(params, input, optimiser, how),
            (1, _) => self.square_sweep::<O, 1, false>(params, input, optimiser, how),
            (2, _) => self.square_sweep::<O, 2, false>(params, input, optimiser, how),
            (3, _) => self.square_sweep::<O, 3, false>(params, input, optimiser, how),
            _ => false,
        };
        if !done {
            self.sweep(params, input, optimiser, how);
        }
    }
}

/// dy/dtheta of a leaky network.
struct Carried<'a, T> {
    words: core::slice::ChunksExactMut<'a, T>,
    gain: &'a [T],
    error: &'a [T],
    /// keep, alpha.
    leak: [T; 2],
    last: bool,
    size: T,
}

impl<T: Scalar> Carried<'_, T> {
    /// eᵀ Q' of the next word, Q' = keep Q + alpha (G p + direct(o, row o of G)).
    fn gradient(&mut self, p: &[T], direct: impl Fn(usize, &[T]) -> T) -> T {
        let [keep, alpha] = self.leak;
        let mut gradient = T::ZERO;
        let words = self.words.next().unwrap_or_default().iter_mut();
        let rows = self.gain.chunks_exact(p.len().max(1));
        for (((q, row), &e), o) in words.zip(rows).zip(self.error).zip(0..) {
            let new = keep * *q + alpha * (dot(row, p) + direct(o, row));
            gradient = gradient + e * new;
            if self.last {
                *q = new;
                self.size = self.size + new * new;
            }
        }
        gradient
    }

    /// Q' and e of C_io for every o, or of c with `phi` = 1.
    fn own(&mut self, phi: T) -> impl Iterator<Item = (T, T)> {
        let ([keep, alpha], last) = (self.leak, self.last);
        let words = self.words.next().unwrap_or_default().iter_mut();
        words.zip(self.error).map(move |(q, &e)| {
            let new = keep * *q + alpha * phi;
            if last {
                *q = new;
            }
            (new, e)
        })
    }
}

/// p = J p and what `add` adds; its squared size.
#[inline(always)]
fn transport<T: Scalar>(jacobian: &[T], p: &mut [T], next: &mut [T], add: impl Fn(&mut [T])) -> T {
    for (next, row) in next.iter_mut().zip(jacobian.chunks_exact(p.len().max(1))) {
        *next = dot(row, p);
    }
    add(next);
    p.copy_from_slice_checked(next);
    squares(p)
}

#[inline(always)]
fn add_at<T: Scalar>(words: &mut [T], at: usize, x: T) {
    if let Some(word) = words.get_mut(at) {
        *word = *word + x;
    }
}

/// [`pass`] with R = I = O = `D` and ReLU, in registers.
#[inline(never)]
fn square_pass<T: Scalar, A: MultiplyAdd, const D: usize>(
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
fn back<'a, T: Scalar, const O: usize>(
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
fn pass<T: Scalar, A: MultiplyAdd>(
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

impl<T: Scalar> Rule<T> for LatentRtrl<'_, T> {
    fn forward(&mut self, view: &View<'_, T>, state: &mut State<'_, T>, x: &[T]) -> Status {
        let status = view.take_input(state, x);
        match view.settings.arithmetic {
            Arithmetic::Separate => self.run::<Separate>(view, state),
            Arithmetic::Fused => self.run::<Fused>(view, state),
        }
        match self.tie {
            None => {}
            Some(Tie::Recurrent) => add_column::<T, Separate>(self.zeta, state.input, T::ONE),
            Some(Tie::Encoder(_)) => {
                self.fill_mix(view.layer, view.shape);
                for (zeta, row) in self.zeta.iter_mut().zip(self.mix.chunks_exact(view.shape.inputs.max(1))) {
                    *zeta = *zeta + dot(row, state.input);
                }
            }
        }
        self.grow();
        status
    }

    fn error(&mut self) -> &mut [T] {
        self.error
    }

    fn prepare(&mut self, view: &View<'_, T>, _: &State<'_, T>) -> T {
        let Shape { rank, inputs, .. } = view.shape;
        self.g.fill(T::ZERO);
        for (row, &e) in self.gain.chunks_exact(rank.max(1)).zip(self.error.iter()) {
            add_column::<T, Separate>(self.g, row, e);
        }
        let first = 1 + 2 * rank + inputs;
        let units = self.back.iter_mut().zip(self.slope.iter());
        let a = match *self.error {
            [e] => back(view, first, units, |&[c]: &[T; 1]| c * e),
            [e, f] => back(view, first, units, |&[c, d]: &[T; 2]| c * e + d * f),
            [e, f, g] => back(view, first, units, |&[c, d, h]: &[T; 3]| c * e + d * f + h * g),
            _ => {
                for ((a, &slope), record) in units.zip(view.layer.chunks_exact(view.shape.record().max(1))) {
                    *a = slope * dot(record.get(first..).unwrap_or_default(), self.error);
                }
                squares(self.back)
            }
        };
        // (u + v + w)² <= 3 (u² + v² + w²), by parts of the gradient; an input of a tie enters through zeta.
        let (e, g) = (squares(self.error), squares(self.g));
        let reach = match self.tie {
            Some(Tie::Encoder(encoder)) => squares(encoder),
            _ => T::ONE,
        };
        let direct = a * (self.drive + squares(self.zeta));
        T::from_f64(3.0) * ((g + e) * self.size + direct + g * self.drive * reach)
            + e * (self.active + T::ONE)
    }

    fn visit<O: Optimiser<T>>(
        &mut self,
        params: &mut Params<'_, T>,
        state: &State<'_, T>,
        optimiser: &mut O,
        scale: T,
        last: bool,
    ) {
        self.visit_records(params, state.input, optimiser, (scale, last));
        if last && self.tie.is_some() {
            self.fill_input(params);
        }
    }

    fn advance(&mut self, params: &mut Params<'_, T>, state: &State<'_, T>) {
        self.visit_records(params, state.input, &mut Nothing, (T::ZERO, true));
    }

    fn size(&self) -> T {
        self.size + self.drive + self.active
    }

    fn reset(&mut self) {
        self.influence.fill(T::ZERO);
        self.outputs.fill(T::ZERO);
        self.size = T::ZERO;
        self.growth.last = None;
        self.start_probe(T::ZERO);
    }

    fn lever(&self, view: &View<'_, T>) -> T {
        let Shape { rank, inputs, .. } = view.shape;
        let mut sum = T::ZERO;
        for record in view.layer.chunks_exact(view.shape.record().max(1)) {
            sum = sum + squares(record.get(1..=rank).unwrap_or_default());
            sum = sum
                + squares(record.get(1 + rank + inputs..).and_then(|v| v.get(..rank)).unwrap_or_default());
        }
        steepest(&view.settings) * sum.sqrt()
    }

    fn growth(&self) -> Option<T> {
        self.growth.last
    }
}
