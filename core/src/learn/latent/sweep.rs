//! Gradient and transport of every word that learns.

use crate::linear::add_column;
use crate::network::CopyChecked;
use crate::scalar::{Scalar, Separate};
use crate::shape::Shape;

use super::{LatentRtrl, Tie};
use crate::learn::memory::{dot, squares};
use crate::learn::optimiser::Optimiser;
use crate::learn::params::{Groups, Params};

impl<T: Scalar> LatentRtrl<'_, T> {
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
    pub(super) fn visit_records<O: Optimiser<T>>(
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
