//! Exact real-time recurrent learning in the latent of a network of rank R.

mod pass;
mod sweep;

use crate::error::Field;
use crate::error::{Error, exactly};
use crate::linear::add_column;
use crate::network::{CopyChecked, State, Status, View};
use crate::scalar::{Arithmetic, Fused, MultiplyAdd, Scalar, Separate};
use crate::shape::Shape;

use super::dense::steepest;
use super::memory::{Memory, dot, squares};
use super::online::Rule;
use super::optimiser::{Nothing, Optimiser};
use super::params::{Groups, Params};
use crate::Activation;
use pass::{back, pass, square_pass};

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
