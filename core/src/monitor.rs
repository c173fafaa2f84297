//! The manifold monitor: tells when a running network is no longer the network, or no longer where it was
//! trained to be.
//!
//! | alarm | what is compared | what it finds |
//! |---|---|---|
//! | weights | an algebraic identity of the step, every few steps | flipped bits in W, B, b, U, V, C; faults of the arithmetic |
//! | manifold | distance of p from its manifold, every few steps | drift, states never seen |
//! | range | coordinates on the manifold, every few steps; z and x at low rank | inputs and states out of the range of training |
//! | readout | checksum of the readout, some words in the steps that check (at low rank: that look) | flipped bits in C and c (and in the layer at low rank) |
//!
//! A network that integrates D signals has pre-activations p close to an affine space of few dimensions. With
//! orthonormal columns Q (n × K) of that space and its mean m,
//!
//! c = Qᵀ p - Qᵀ m, d = max_i |p_i - m_i - (Q c)_i| / t_i,
//!
//! where t_i is the largest residual of neuron i in normal activity times a factor: d above 1 is an alarm. The
//! largest, not the sum: a wrong weight moves one neuron. In the same way |c_k - center_k| / half_k and every
//! residual below are at most 1 in normal activity.
//!
//! Whatever is on the manifold and what is not, p = b + W h + B x implies, for any row r of n numbers,
//!
//! r p = r b + (r W) h + (r B) x,
//!
//! whose right side costs n + I multiply-adds with r W, r B and r b stored (Huang & Abraham 1984, checksums of
//! matrix products). Only rounding separates the two sides, so a weight that matters cannot change unseen. In
//! current form the left side is r a' and the right side keep r a + alpha (r b + ..).
//!
//! A network of low rank never leaves the span of U; its state of R numbers obeys, if it integrates,
//!
//! z' = Γ z + E x + e, y = S z' + s
//!
//! and both are compared every few steps. A wrong weight can hide from them in a neuron that is silent in those steps and,
//! if the network does not integrate, in what they leave: the scrub, which at low rank reads the whole network, finds it
//! within two of its rounds. NaN and infinity anywhere raise the alarm of what they
//! are compared in.
//!
//! A wrong weight stays wrong, so the identity need not be checked in every step. Checks and looks at the manifold fall
//! on different steps where their periods allow it: the first look is in step 0, the first check in step 1. A step in
//! which nothing is due costs a comparison.
//!
//! The checksum of words w_1, w_2, .. is s_k = m (w_k xor s_{k-1} rotated by 5 bits) mod 2^32, m odd, from s_0 = 0: each
//! step of it can be undone, so two sequences that differ in one word alone have different checksums. It takes three
//! instructions a word, CRC-32 by table some ten a byte.
//!
//! Residuals are computed in separate arithmetic whatever the network's is. Cost of a dense network: (2 n + I) / check
//! (in current form 3 n + I, unless check is 1) and n (2 K + 2) / every multiply-adds beside n (n + I + O) of the step;
//! `docs/benchmarks.md` counts it. Source: K. Huang, J. Abraham, IEEE Trans. Comput. C-33 (1984) 518.

use crate::error::{Error, Expected, Field, between, exactly};
use crate::kernel::WIDEST;
use crate::linear::{add_column, add_dot};
use crate::network::{CopyChecked, Seen, Settings, State, Status, View, cut};
use crate::scalar::{Arithmetic, Fused, MultiplyAdd, Scalar, Separate};
use crate::shape::Form;

/// Sizes of a monitor and of the network that it watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Shape {
    /// The network.
    pub network: crate::Shape,
    /// K, the dimensions of the manifold of p, from 1 to [`Shape::MOST_DIMENSIONS`]; 0 for a network of low rank.
    pub dimensions: usize,
}

impl Shape {
    /// The most dimensions of a manifold.
    pub const MOST_DIMENSIONS: usize = WIDEST;

    /// Words of a neuron: m_i - (Q Qᵀ m)_i, Q_i, 1 / t_i.
    const fn record(&self) -> usize {
        self.dimensions + 2
    }

    /// Words of each part.
    ///
    /// | | dense | low rank |
    /// |---|---|---|
    /// | 0 | -Qᵀ m (K) | rows of z': e_r, Γ_r, E_r, 1 / t_r (R × (R + I + 2)) |
    /// | 1 | neurons: m_i - (Q Qᵀ m)_i, Q_i, 1 / t_i (n × (K + 2)) | rows of y: s_o, S_o, 1 / t_o (O × (R + 2)) |
    /// | 2 | r b, 1 / t, r (n), r W (n), r B (I) | |
    /// | 3 | (center, 1 / half) of c (2 K) | (center, 1 / half) of z, then of x (2 (R + I)) |
    #[must_use]
    pub const fn parts(&self) -> [usize; 4] {
        let crate::Shape { neurons, rank, inputs, outputs } = self.network;
        let k = self.dimensions;
        if self.network.is_dense() {
            [k, neurons * self.record(), 2 + 2 * neurons + inputs, 2 * k]
        } else {
            [rank * (rank + inputs + 2), outputs * (rank + 2), 0, 2 * (rank + inputs)]
        }
    }

    /// The places of the words that are one over a threshold or a half-width, ascending.
    pub fn inverses(&self) -> impl Iterator<Item = usize> + use<> {
        let (k, crate::Shape { neurons, rank, inputs, outputs }) = (self.dimensions, self.network);
        let [first, second, third, _] = self.parts();
        let ranges = first + second + third;
        // Rows that end with one: where they begin, their words, how many there are.
        let rows = if self.network.is_dense() {
            [(first, self.record(), neurons), (first + second, 2, 1), (ranges, 2, k)]
        } else {
            [(0, rank + inputs + 2, rank), (first, rank + 2, outputs), (ranges, 2, rank + inputs)]
        };
        rows.into_iter().flat_map(|(begin, words, count)| (1..=count).map(move |row| begin + row * words - 1))
    }

    /// Words of all parts.
    #[must_use]
    pub const fn parameter_len(&self) -> usize {
        let [a, b, c, d] = self.parts();
        a + b + c + d
    }

    /// Words of memory that a [`Watch`] needs.
    #[must_use]
    pub const fn memory_len(&self) -> usize {
        if self.network.is_dense() { 1 } else { self.network.rank }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        crate::network::check_shape(&self.network)?;
        let [low, high] = if self.network.is_dense() { [1, Self::MOST_DIMENSIONS] } else { [0, 0] };
        between(Field::Dimensions, low, high, self.dimensions)
    }
}

/// When and what a monitor compares besides its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Plan {
    /// Steps from one look at the manifold (at low rank: at anything) to the next, at least 1.
    pub every: u16,
    /// Steps from one check of the identity of a dense network to the next, at least 1.
    pub check: u16,
    /// Words of the readout that a check of a dense network adds to the checksum, at low rank words of the whole network
    /// that a look adds; 0: it is not watched.
    pub scrub: u16,
    /// Checksum of the readout: see [`readout_checksum`].
    pub readout: u32,
}

/// The parameters of a monitor, borrowed: checked once, so that a step cannot fail.
#[derive(Clone, Copy, Debug)]
pub struct Monitor<'a, T> {
    shape: Shape,
    plan: Plan,
    parts: [&'a [T]; 4],
}

/// What raised an alarm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Alarm {
    /// The algebraic identity of a step does not hold.
    pub weights: bool,
    /// p is far from its manifold.
    pub manifold: bool,
    /// A coordinate or an input is out of the range of training.
    pub range: bool,
    /// The checksum of the readout is not what it was.
    pub readout: bool,
}

impl Alarm {
    /// Whether there is any.
    #[must_use]
    pub const fn any(self) -> bool {
        self.bits() != 0
    }

    /// One bit an alarm: weights 1, manifold 2, range 4, readout 8.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.weights as u32
            | (self.manifold as u32) << 1
            | (self.range as u32) << 2
            | (self.readout as u32) << 3
    }
}

/// What a watched step was found to be. Numbers are in units of their thresholds: above 1 is an alarm.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Verdict<T> {
    /// The alarms of this step.
    pub alarm: Alarm,
    /// The largest algebraic residual.
    pub residual: T,
    /// The distance from the manifold; 0 in steps that do not look at it, and at low rank.
    pub distance: T,
    /// The distance of the farthest coordinate from the center of its range; 0 in steps that do not look at it.
    pub range: T,
}

impl<T: Scalar> Verdict<T> {
    /// Of a step in which nothing is compared.
    const NONE: Self = Self {
        alarm: Alarm { weights: false, manifold: false, range: false, readout: false },
        residual: T::ZERO,
        distance: T::ZERO,
        range: T::ZERO,
    };
}

/// What a monitor remembers from one step to the next.
pub struct Watch<'m, T> {
    /// Dense: r a of current form. Low rank: z before the step.
    before: &'m mut [T],
    /// Dense, current form: `before` is of the last step.
    known: bool,
    /// Steps before anything is due.
    quiet: u16,
    /// Steps from then until the next look.
    until_look: u16,
    /// Steps from then until the next check.
    until_check: u16,
    /// Words in `sum`.
    scrubbed: usize,
    sum: u32,
    alarms: u32,
}

impl<T> Watch<'_, T> {
    /// Steps with an alarm since the start; stays at the largest u32.
    #[must_use]
    pub const fn alarms(&self) -> u32 {
        self.alarms
    }
}

impl<T> core::fmt::Debug for Watch<'_, T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Watch").field("alarms", &self.alarms).finish_non_exhaustive()
    }
}

/// A value that must be at most 1, and the largest of several: NaN is an alarm and never the largest.
#[derive(Clone, Copy)]
struct Worst<T> {
    most: T,
    over: bool,
}

impl<T: Scalar> Worst<T> {
    const NONE: Self = Self { most: T::ZERO, over: false };

    /// |value| · inverse.
    #[inline(always)]
    fn see(&mut self, value: T, inverse: T) {
        let size = value.abs() * inverse;
        if size > self.most {
            self.most = size;
        }
        // Infinity times 0 is NaN, which is not at most 1.
        let within = size <= T::ONE;
        self.over |= !within;
    }

    #[inline(always)]
    fn see_all(&mut self, ranges: &[[T; 2]], values: &[T]) {
        for (&value, &[center, inverse]) in values.iter().zip(ranges) {
            self.see(value - center, inverse);
        }
    }
}

/// The words that the checksum of the readout covers, in order.
fn scrubbed<'a, T: Scalar>(view: &View<'a, T>) -> [&'a [u32]; 3] {
    let [layer, bias, readout, ..] = view.sections();
    let layer = if view.shape().is_dense() { &[] } else { layer };
    // Numbers of 4 and of 8 bytes are whole words.
    [layer, bias, readout].map(|part| bytemuck::try_cast_slice(part).unwrap_or_default())
}

/// The checksum after more words.
fn summed(sum: u32, words: &[u32]) -> u32 {
    // Any odd number; this one is 2^32 over the golden ratio.
    const ODD: u32 = 0x9e37_79b1;
    let add = |sum: u32, &word: &u32| (sum.rotate_left(5) ^ word).wrapping_mul(ODD);
    let (fours, rest) = words.as_chunks::<4>();
    let sum = fours.iter().fold(sum, |sum, four| four.iter().fold(sum, add));
    rest.iter().fold(sum, add)
}

/// Checksum of c and C, and of the whole layer at low rank.
#[must_use]
pub fn readout_checksum<T: Scalar>(view: &View<'_, T>) -> u32 {
    scrubbed(view).into_iter().fold(0, summed)
}

/// What a step of a dense network is to do.
#[derive(Clone, Copy)]
struct Due {
    looks: bool,
    checks: bool,
    /// The next step checks, in current form.
    prepares: bool,
}

impl<'a, T: Scalar> Monitor<'a, T> {
    /// The monitor of words packed as [`Shape::parts`] says, one part after the other.
    ///
    /// # Errors
    /// A size out of range, words of the wrong number, a number that is not finite, a start of a sum that is −0, one over a
    /// threshold that is not above 0 (it would never raise an alarm), `every` or `check` 0.
    pub fn new(shape: Shape, plan: Plan, words: &'a [T]) -> Result<Self, Error> {
        shape.check()?;
        for period in [plan.every, plan.check] {
            between(Field::Steps, 1, u16::MAX.into(), period.into())?;
        }
        exactly(Field::Manifold, shape.parameter_len(), words.len())?;
        if let Some(index) = words.iter().position(|x| !x.is_finite()) {
            return Err(Error::new(Field::Manifold, Expected::Finite, index as u64));
        }
        let blind = |&at: &usize| words.get(at).is_none_or(|&inverse| inverse <= T::ZERO);
        if let Some(at) = shape.inverses().find(blind) {
            return Err(Error::new(Field::Manifold, Expected::Finite, at as u64));
        }
        let mut rest = words;
        let parts = shape.parts().map(|length| {
            let (part, after) = rest.split_at_checked(length).unwrap_or_default();
            rest = after;
            part
        });
        let [first, ..] = parts;
        match first.iter().position(|x| x.is_negative_zero()) {
            Some(index) if shape.network.is_dense() => {
                Err(Error::new(Field::Manifold, Expected::Finite, index as u64))
            }
            _ => Ok(Self { shape, plan, parts }),
        }
    }

    /// Sizes.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// When and what is compared.
    #[must_use]
    pub const fn plan(&self) -> Plan {
        self.plan
    }

    /// The words, part by part: see [`Shape::parts`].
    #[must_use]
    pub const fn sections(&self) -> [&'a [T]; 4] {
        self.parts
    }

    /// Begins to watch networks of the shape of `view`. Of the memory, the first [`Shape::memory_len`] words are
    /// used. Begin again after a reset of the network, or when its state was set by hand.
    ///
    /// # Errors
    /// A network of other sizes, or of low rank in current form; memory too short.
    pub fn watch<'m>(&self, view: &View<'_, T>, memory: &'m mut [T]) -> Result<Watch<'m, T>, Error> {
        let (expected, found) = (self.shape.network, view.shape());
        for (field, expected, found) in [
            (Field::Neurons, expected.neurons, found.neurons),
            (Field::Rank, expected.rank, found.rank),
            (Field::Inputs, expected.inputs, found.inputs),
            (Field::Outputs, expected.outputs, found.outputs),
        ] {
            exactly(field, expected, found)?;
        }
        if !found.is_dense() {
            exactly(Field::Form, Form::Rate as usize, view.settings().form as usize)?;
        }
        let (need, found) = (self.shape.memory_len(), memory.len());
        let too_short = Error::new(Field::State, Expected::AtLeast(need as u64), found as u64);
        let (before, _) = cut(memory, need, too_short)?;
        before.fill(T::ZERO);
        Ok(Watch {
            before,
            known: false,
            quiet: 0,
            until_look: 0,
            until_check: u16::from(self.plan.check > 1),
            scrubbed: 0,
            sum: 0,
            alarms: 0,
        })
    }

    /// One watched step: [`View::step`], bit for bit, and what the monitor finds in it.
    ///
    /// `watch` must come from [`Monitor::watch`] for this network; else the verdict is meaningless, but nothing
    /// panics.
    pub fn step(
        &self,
        view: &View<'_, T>,
        state: &mut State<'_, T>,
        x: &[T],
        watch: &mut Watch<'_, T>,
    ) -> (Status, Verdict<T>) {
        if let Some(quiet) = watch.quiet.checked_sub(1) {
            watch.quiet = quiet;
            return (view.step(state, x), Verdict::NONE);
        }
        self.due(view, state, x, watch)
    }

    /// A step in which something is due.
    #[inline(never)]
    fn due(
        &self,
        view: &View<'_, T>,
        state: &mut State<'_, T>,
        x: &[T],
        watch: &mut Watch<'_, T>,
    ) -> (Status, Verdict<T>) {
        let (settings, mut verdict) = (view.settings(), Verdict::NONE);
        let dense = view.shape().is_dense();
        let (looks, checks) = (watch.until_look == 0, dense && watch.until_check == 0);
        let look = if looks { self.plan.every } else { watch.until_look };
        let check = if watch.until_check == 0 { self.plan.check } else { watch.until_check };
        // Current form compares with the step before.
        let current = dense && settings.form == Form::Current;
        let prepares = current && check == 1;
        let next = if dense { check - u16::from(current && check > 1) } else { look };
        let elapsed = look.min(next);
        watch.quiet = elapsed.saturating_sub(1);
        (watch.until_look, watch.until_check) = (look.saturating_sub(elapsed), check.saturating_sub(elapsed));
        let status = if dense {
            let what = Due { looks, checks, prepares };
            view.step_seen(state, x, |seen| match settings.arithmetic {
                Arithmetic::Separate => {
                    self.look::<Separate>(&settings, seen, (watch, what), &mut verdict);
                }
                Arithmetic::Fused => {
                    self.look::<Fused>(&settings, seen, (watch, what), &mut verdict);
                }
            })
        } else {
            watch.before.copy_from_slice_checked(state.carried());
            let status = view.step(state, x);
            self.compare(state, watch, &mut verdict);
            status
        };
        if checks || !dense {
            verdict.alarm.readout = self.scrub(view, watch);
        }
        watch.alarms = watch.alarms.saturating_add(verdict.alarm.any().into());
        (status, verdict)
    }

    /// Compares a step of a dense network, in the midst of it.
    #[inline(never)]
    fn look<A: MultiplyAdd>(
        &self,
        settings: &Settings<T>,
        seen: Seen<'_, T>,
        (watch, due): (&mut Watch<'_, T>, Due),
        verdict: &mut Verdict<T>,
    ) {
        if due.checks || due.prepares {
            self.check(settings, seen, (watch, due), verdict);
        }
        if due.looks {
            let [distance, range] = self.distance::<A>(seen.p);
            (verdict.distance, verdict.alarm.manifold) = (distance.most, distance.over);
            (verdict.range, verdict.alarm.range) = (range.most, range.over);
        }
    }

    /// Compares both sides of the identity; in current form, keeps r a for the next step.
    fn check(
        &self,
        settings: &Settings<T>,
        seen: Seen<'_, T>,
        (watch, due): (&mut Watch<'_, T>, Due),
        verdict: &mut Verdict<T>,
    ) {
        let [_, _, check, _] = self.parts;
        let Some((&[bias, inverse], rows)) = check.split_first_chunk() else { return };
        let (row, rest) = rows.split_at_checked(seen.p.len()).unwrap_or_default();
        let left = dot(T::ZERO, row, seen.p);
        let current = settings.form == Form::Current;
        if due.checks && (watch.known || !current) {
            let (of_h, of_x) = rest.split_at_checked(seen.h.len()).unwrap_or_default();
            let mut right = add_dot::<T, Separate>(dot(bias, of_h, seen.h), of_x, seen.x);
            if let Some(&before) = watch.before.first()
                && current
            {
                right = settings.leak::<Separate>(before, right);
            }
            let mut residual = Worst::NONE;
            residual.see(left - right, inverse);
            (verdict.residual, verdict.alarm.weights) = (residual.most, residual.over);
        }
        if current {
            watch.before.fill(left);
            watch.known = due.prepares;
        }
    }

    /// Distance of p from the manifold, and of its coordinates from their centers.
    fn distance<A: MultiplyAdd>(&self, p: &[T]) -> [Worst<T>; 2] {
        const UNITS: usize = 32;
        let ([start, records, _, ranges], k, record) =
            (self.parts, self.shape.dimensions, self.shape.record().max(1));
        let mut c = [T::ZERO; WIDEST];
        c.copy_from_slice_checked(start);
        if !T::write(A::ARITHMETIC, (records.get(1..).unwrap_or_default(), record), k, p, &mut c) {
            for (record, &p) in records.chunks_exact(record).zip(p) {
                let column = record.get(1..=k).unwrap_or_default();
                add_column::<T, A>(&mut c, column, p);
            }
        }
        let [mut distance, mut range] = [Worst::NONE; 2];
        let mut on = [T::ZERO; UNITS];
        for (records, p) in records.chunks((UNITS * record).max(1)).zip(p.chunks(UNITS)) {
            let on = on.get_mut(..p.len()).unwrap_or_default();
            let done = T::read(A::ARITHMETIC, (records, record), k, &c, on);
            for ((on, record), &p) in on.iter_mut().zip(records.chunks_exact(record)).zip(p) {
                let Some((&inverse, words)) = record.split_last() else { break };
                if !done && let Some((&m, row)) = words.split_first() {
                    *on = add_dot::<T, A>(m, row, &c);
                }
                distance.see(p - *on, inverse);
            }
        }
        range.see_all(ranges.as_chunks().0, &c);
        [distance, range]
    }

    /// Compares a step of a network of low rank, after it.
    #[inline(never)]
    fn compare(&self, state: &State<'_, T>, watch: &Watch<'_, T>, verdict: &mut Verdict<T>) {
        let crate::Shape { rank, inputs, .. } = self.shape.network;
        let [of_z, of_y, _, ranges] = self.parts;
        let (z, x) = (state.carried().get(..rank).unwrap_or_default(), state.input());
        let [mut residual, mut range] = [Worst::NONE; 2];
        let rows = of_z
            .chunks_exact((rank + inputs + 2).max(1))
            .zip(z)
            .map(|(row, z)| (row, z, (&*watch.before, x)));
        let outputs =
            of_y.chunks_exact((rank + 2).max(1)).zip(state.output()).map(|(row, y)| (row, y, (z, &x[..0])));
        for (row, &found, (first, second)) in rows.chain(outputs) {
            let (Some((&offset, row)), Some(&inverse)) = (row.split_first(), row.last()) else { break };
            let (row, rest) = row.split_at_checked(first.len()).unwrap_or_default();
            let expected = add_dot::<T, Separate>(add_dot::<T, Separate>(offset, row, first), rest, second);
            residual.see(found - expected, inverse);
        }
        let (of_z, of_x) = ranges.as_chunks().0.split_at_checked(rank).unwrap_or_default();
        range.see_all(of_z, z);
        range.see_all(of_x, x);
        (verdict.residual, verdict.alarm.weights) = (residual.most, residual.over);
        (verdict.range, verdict.alarm.range) = (range.most, range.over);
    }

    /// Adds some words of the readout to the checksum; whether it was found wrong at the end of them all.
    #[inline(never)]
    fn scrub(&self, view: &View<'_, T>, watch: &mut Watch<'_, T>) -> bool {
        let mut left = usize::from(self.plan.scrub);
        if left == 0 {
            return false;
        }
        let mut skip = watch.scrubbed;
        for part in scrubbed(view) {
            let here = part.get(skip.min(part.len())..).unwrap_or_default();
            let here = here.get(..left.min(here.len())).unwrap_or_default();
            watch.sum = summed(watch.sum, here);
            skip = skip.saturating_sub(part.len());
            (left, watch.scrubbed) = (left - here.len(), watch.scrubbed + here.len());
        }
        if watch.scrubbed < scrubbed(view).iter().map(|part| part.len()).sum() {
            return false;
        }
        watch.scrubbed = 0;
        core::mem::take(&mut watch.sum) != self.plan.readout
    }
}

/// start + sum_k row_k x_k, ascending.
#[inline(always)]
fn dot<T: Scalar>(start: T, row: &[T], x: &[T]) -> T {
    let ((rows, row), (xs, x)) = (row.as_chunks::<4>(), x.as_chunks::<4>());
    let sum = rows.iter().zip(xs).fold(start, |sum, (row, x)| add_dot::<T, Separate>(sum, row, x));
    add_dot::<T, Separate>(sum, row, x)
}
