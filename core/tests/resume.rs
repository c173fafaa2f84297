//! Learners that stop, are stored as bytes and go on: as if they had never stopped, bit for bit.

use tinyfold_core::learn::{
    Adam, Eprop, Follower, Groups, Kind, LatentRls, LatentRtrl, Learner, Loss, Moment, Momentum, Online,
    Params, Plan, Rls, Sgd,
};
use tinyfold_core::wire::learned::{self, Memory, Optimiser, Progress};
use tinyfold_core::{Activation, Error, Shape};

#[path = "common/learners.rs"]
mod learners;

use learners::{Random, lend, settings, words};

const DENSE: Shape = Shape { neurons: 6, rank: 0, inputs: 2, outputs: 2 };
const LATENT: Shape = Shape { neurons: 6, rank: 2, inputs: 2, outputs: 2 };

/// Steps of a sequence; the second sequence begins as the first one does, at rest.
const STEPS: usize = 40;

/// Bytes at a multiple of 16, as in flash.
fn aligned(bytes: &[u8]) -> Vec<u128> {
    let mut words = vec![0_u128; bytes.len().div_ceil(16)];
    bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
    words
}

/// A sequence of samples and targets, now and then without one.
fn sequence(learner: &mut impl Learner<f32>, params: &mut Params<'_, f32>, seed: u64) {
    let mut memory = vec![0.0; params.shape().state_len()];
    let mut state = params.view().state(&mut memory).expect("enough");
    let mut random = Random(seed);
    for step in 0..STEPS {
        let (x, target) = (random.list(2, 1.0), random.list(2, 1.0));
        learner.step(params, &mut state, &x, (step % 5 != 3).then_some(&target));
    }
}

/// Learns two sequences with one learner, and with one learner each, the second of which goes on with what the first
/// one left in bytes: the parameters and memories are the same bits.
fn goes_on<L: Learner<f32>>(shape: Shape, expected: Optimiser, make: impl Fn(&Params<'_, f32>) -> L) {
    let settings = settings(Activation::Tanh, false);
    let bits = |words: &[f32]| words.iter().map(|word| word.to_bits()).collect::<Vec<u32>>();

    let mut whole = words::<f32>(shape, 3);
    let mut params = Params::new(shape, settings, &mut whole).expect("good numbers");
    let mut learner = make(&params);
    sequence(&mut learner, &mut params, 1);
    learner.reset();
    let at_half = bits(learner.memory().words);
    sequence(&mut learner, &mut params, 2);
    let uninterrupted = (bits(params.words()), bits(learner.memory().words), learner.memory().steps);

    let mut first = words::<f32>(shape, 3);
    let mut params = Params::new(shape, settings, &mut first).expect("good numbers");
    let mut learner = make(&params);
    sequence(&mut learner, &mut params, 1);
    let mut bytes = Vec::new();
    let pieces = learned::pieces(&params.view(), "", Some(Progress { base: 0, memory: learner.memory() }))
        .expect("finite");
    pieces.iter().for_each(|piece| bytes.extend(piece));
    let stored = aligned(&bytes);
    let stored = learned::read::<f32>(&bytemuck::cast_slice(&stored)[..bytes.len()]).expect("just written");
    let Progress { memory, .. } = stored.progress.expect("just written");
    assert_eq!((memory.optimiser, bits(memory.words)), (expected, at_half));

    let mut second = vec![0.0; shape.parameter_len()];
    learned::copy_words(&stored.model.view, &mut second).expect("as many");
    let run = |memory: Option<&Memory<'_, f32>>| {
        let mut second = second.clone();
        let mut params = Params::new(shape, settings, &mut second).expect("good numbers");
        let mut learner = make(&params);
        if let Some(memory) = memory {
            learner.resume(memory).expect("its own");
        }
        sequence(&mut learner, &mut params, 2);
        (bits(params.words()), bits(learner.memory().words), learner.memory().steps)
    };
    assert_eq!(run(Some(&memory)), uninterrupted, "{expected:?}");
    // Without the memory, the second sequence teaches something else: the bytes hold what counts.
    assert_eq!(run(None).0 == uninterrupted.0, expected == Optimiser::Sgd, "{expected:?}");

    // What is no memory of this learner is refused and changes nothing.
    let mut scratch = words::<f32>(shape, 3);
    let params = Params::new(shape, settings, &mut scratch).expect("good numbers");
    let mut learner = make(&params);
    let before = bits(learner.memory().words);
    let mut longer = memory.words.to_vec();
    longer.push(0.0);
    let mut refuse = |memory: Memory<'_, f32>| {
        let error = learner.resume(&memory).expect_err("refused");
        assert_eq!(error.field, tinyfold_core::Field::Optimiser);
        assert_eq!(bits(learner.memory().words), before);
    };
    refuse(Memory { words: &longer, ..memory });
    let other = if expected == Optimiser::Adam { Optimiser::Momentum } else { Optimiser::Adam };
    refuse(Memory { optimiser: other, ..memory });
    for bad in [f32::NAN, f32::INFINITY, f32::MIN, 1e30] {
        let mut words = memory.words.to_vec();
        if let Some(word) = words.last_mut() {
            *word = bad;
            refuse(Memory { words: &words, ..memory });
        }
    }
}

#[test]
fn every_optimiser_goes_on_where_it_stopped() {
    let all = Groups::ALL;
    let eprop = |p: &Params<'_, f32>| Eprop::new(p, all, lend(Eprop::<f32>::memory_len(&DENSE))).unwrap();
    let count = DENSE.parameter_len();
    let sgd = Sgd::new(0.02).expect("in range");
    goes_on(DENSE, Optimiser::Sgd, |p| Online::new(eprop(p), sgd, Loss::Square));
    goes_on(DENSE, Optimiser::Momentum, |p| {
        let momentum = Momentum::new(0.02, 0.9, count, lend(count)).expect("enough");
        Online::new(eprop(p), momentum, Loss::Square)
    });
    goes_on(DENSE, Optimiser::Adam, |p| {
        let adam = Adam::new(0.02, [0.9, 0.99], 1e-8, count, lend(2 * count)).expect("enough");
        Online::new(eprop(p), adam, Loss::Square)
    });
    let count = LATENT.parameter_len();
    goes_on(LATENT, Optimiser::Adam, |p| {
        let rule = LatentRtrl::new(p, all, lend(LatentRtrl::<f32>::memory_len(&LATENT, all, false)));
        let adam = Adam::new(0.02, [0.9, 0.99], 1e-8, count, lend(2 * count)).expect("enough");
        Online::new(rule.expect("enough"), adam, Loss::Square)
    });
    let one = Sgd::new(1.0).expect("in range");
    goes_on(DENSE, Optimiser::Rls, |p| {
        let rule = Rls::new(p, Groups::READOUT, 0.5, 0.99, lend(Rls::<f32>::memory_len(&DENSE)));
        Online::new(rule.expect("enough"), one, Loss::Square)
    });
    goes_on(LATENT, Optimiser::LatentRls, |p| {
        let rule = LatentRls::new(p, all, 0.5, 0.99, lend(LatentRls::<f32>::memory_len(&LATENT, all)));
        Online::new(rule.expect("enough"), one, Loss::Square)
    });
}

/// Why a run ends early.
#[derive(Debug, PartialEq)]
enum Cut {
    Power,
    Refused(Error),
}

impl From<Error> for Cut {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// Keeps what it saw last.
#[derive(Default)]
struct Kept {
    before: Option<(Optimiser, u64, Vec<f32>)>,
    last: Option<(Optimiser, u64, Vec<f32>)>,
    stop: Option<u32>,
}

impl Follower<f32> for Kept {
    type Error = Cut;

    fn recall(&mut self) -> Option<Memory<'_, f32>> {
        self.before.as_ref().map(|&(optimiser, steps, ref words)| Memory { optimiser, steps, words })
    }

    fn step(&mut self, moment: &Moment<'_, f32>) -> Result<(), Cut> {
        let Memory { optimiser, steps, words } = moment.memory;
        self.last = Some((optimiser, steps, words.to_vec()));
        if self.stop == Some(moment.step) { Err(Cut::Power) } else { Ok(()) }
    }
}

/// A plan in episodes that is cut at the end of one goes on with the bits of the whole, and counts all steps.
#[test]
fn a_plan_goes_on_where_it_stopped() {
    let kinds = [
        (Kind::Eprop, DENSE, 0.02, Optimiser::Sgd),
        (Kind::Rls, DENSE, 1.0, Optimiser::Rls),
        (Kind::LatentRls, LATENT, 1.0, Optimiser::LatentRls),
    ];
    for (kind, shape, rate, expected) in kinds {
        let settings = settings(Activation::Tanh, false);
        let plan = Plan { rate, forget: 0.99, episode: 20, ..Plan::new(kind, Groups::ALL) };
        let rows = Random(5).list::<f32>(60 * 4, 1.0);
        let run = |words: &mut [f32], rows: &[f32], kept: &mut Kept| {
            let mut params = Params::new(shape, settings, words).expect("good numbers");
            let mut memory = vec![0.0; shape.state_len()];
            let mut state = params.view().state(&mut memory).expect("enough");
            let mut room = vec![f32::NAN; plan.memory_len(&shape, false)];
            plan.run(&mut params, &mut state, &mut room, &mut plan.rows(&shape, rows)?, kept)
        };
        let mut whole = words::<f32>(shape, 3);
        let mut uninterrupted = Kept::default();
        run(&mut whole, &rows, &mut uninterrupted).expect("a good plan");

        let mut parts = words::<f32>(shape, 3);
        let mut first = Kept { stop: Some(39), ..Kept::default() };
        assert_eq!(run(&mut parts, &rows, &mut first), Err(Cut::Power));
        let mut second = Kept { before: first.last, ..Kept::default() };
        run(&mut parts, &rows[40 * 4..], &mut second).expect("a good plan");
        assert_eq!(parts, whole, "{kind:?}");
        assert_eq!(second.last, uninterrupted.last, "{kind:?}");
        assert_eq!(second.last.map(|(kind, steps, _)| (kind, steps)), Some((expected, 60)));

        // The memory of another plan counts by its steps alone.
        let mut again = words::<f32>(shape, 3);
        let mut other = Kept { before: Some((Optimiser::Momentum, 1000, vec![0.5])), ..Kept::default() };
        run(&mut again, &rows, &mut other).expect("a good plan");
        assert_eq!(again, whole, "{kind:?}");
        assert_eq!(other.last.map(|(_, steps, _)| steps), Some(1060));
    }
}
