//! The bytes of lessons: round trip, every truncation and every flipped bit refused, reasons.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;
use tinyfold_core::learn::{Counts, Groups, KINDS, Kind, Limits, Loss, Moment, Params, Plan, Source};
use tinyfold_core::wire::lesson::{HEADER_LEN, Lesson, Taught, is_lesson, length, read_prefix, write};
use tinyfold_core::{Activation, Error, Settings, Shape};

/// Bytes at a multiple of 16, as in flash.
fn aligned(bytes: &[u8]) -> Vec<u128> {
    let mut words = vec![0_u128; bytes.len().div_ceil(16)];
    bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
    words
}

#[derive(Clone, Debug)]
struct Owned {
    sizes: [usize; 2],
    plan: Plan<f32>,
    silent: u32,
    store: u32,
    rows: Vec<f32>,
}

impl Owned {
    fn lesson(&self) -> Lesson<'_> {
        let [inputs, outputs] = self.sizes;
        Lesson { inputs, outputs, plan: self.plan, silent: self.silent, store: self.store, rows: &self.rows }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0xaa; length(self.rows.len())];
        write(&self.lesson(), &mut bytes).expect("a good lesson");
        bytes
    }
}

fn lessons() -> impl Strategy<Value = Owned> {
    let sizes = (1_usize..5, 1_usize..5, 0_usize..6);
    let choices = (select(&KINDS[..]), any::<[bool; 6]>(), any::<bool>(), any::<bool>());
    let numbers = prop::array::uniform7(0.0_f32..100.0);
    (sizes, choices, numbers, any::<[u32; 5]>()).prop_map(
        |((inputs, outputs, count), choices, numbers, words)| {
            let (kind, [recurrent, back, input, bias, readout, output_bias], square, normalised) = choices;
            let [rate, start, end, forget, state, loss, growth] = numbers;
            let [passes, silent, episode, store, every] = words;
            let plan = Plan {
                kind,
                groups: Groups { recurrent, back, input, bias, readout, output_bias },
                loss: if square { Loss::Square } else { Loss::CrossEntropy },
                rate,
                forget,
                normalised,
                trust: [start, end],
                passes: passes.max(1),
                episode,
                limits: Limits { state, loss, growth, every },
            };
            let rows = (0..count * (inputs + outputs)).map(|k| k as f32 - 3.5).collect();
            Owned { sizes: [inputs, outputs], plan, silent, store, rows }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_round_trip(lesson in lessons()) {
        let bytes = lesson.bytes();
        prop_assert!(is_lesson(&bytes));
        // More may follow.
        let words = aligned(&[&bytes[..], &[1; 40]].concat());
        prop_assert_eq!(read_prefix(bytemuck::cast_slice(&words)), Ok(lesson.lesson()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_truncation_and_every_flipped_bit_is_refused(lesson in lessons()) {
        let bytes = lesson.bytes();
        let mut words = aligned(&bytes);
        for cut in 0..bytes.len() {
            prop_assert!(read_prefix(&bytemuck::cast_slice(&words)[..cut]).is_err(), "cut to {cut} bytes");
        }
        for bit in 0..8 * bytes.len() {
            let mask = 1_u128 << (bit % 128);
            words[bit / 128] ^= mask;
            prop_assert!(read_prefix(&bytemuck::cast_slice(&words)[..bytes.len()]).is_err(), "bit {bit} flipped");
            words[bit / 128] ^= mask;
        }
    }
}

#[test]
fn refusals_say_what_is_wrong() {
    let groups = Groups::RECURRENT;
    let good =
        Owned { sizes: [1, 1], plan: Plan::new(KINDS[0], groups), silent: 0, store: 0, rows: vec![0.5; 4] };
    let refused = |change: fn(&mut Owned), reason: &str| {
        let mut lesson = good.clone();
        change(&mut lesson);
        let mut bytes = vec![0; length(lesson.rows.len())];
        assert_eq!(write(&lesson.lesson(), &mut bytes).expect_err("refused").to_string(), reason);
    };
    refused(|lesson| lesson.plan.passes = 0, "steps: expected 1 to 4294967295, found 0");
    refused(
        |lesson| lesson.plan.rate = f32::NAN,
        "learning rate, decay or epsilon: expected finite numbers in range, found something else at index 32",
    );
    refused(|lesson| lesson.rows.truncate(3), "samples: expected 2, found 3");
    refused(|lesson| lesson.sizes = [0, 1], "inputs I: expected 1 to 4096, found 0");
    let error = write(&good.lesson(), &mut [0; HEADER_LEN]).expect_err("too short").to_string();
    assert_eq!(error, format!("buffer: expected {}, found {HEADER_LEN}", length(4)));
    assert!(read_prefix(b"TFLX").is_err() && !is_lesson(b"TFL"));
}

/// A sensor: nobody knows how many rows it gives.
struct Sensor<'a> {
    rows: std::slice::ChunksExact<'a, f32>,
}

impl Source<f32> for Sensor<'_> {
    fn row(&mut self) -> Option<&[f32]> {
        self.rows.next()
    }
}

/// Rows that come one by one teach the same bits as rows in memory; the trust region of a plan that does not know its
/// length is the last one. A row of another length ends the lesson.
#[test]
fn rows_may_come_from_anywhere() {
    let shape = Shape { neurons: 4, rank: 0, inputs: 1, outputs: 2 };
    let rows: Vec<f32> = (0..600).map(|k| (k as f32 * 0.7).sin()).collect();
    let learn = |trust: [f32; 2], passes: u32, source: Option<&mut dyn Source<f32>>| {
        let mut words: Vec<f32> = (0..shape.parameter_len()).map(|k| (k as f32 * 1.3).cos() / 2.0).collect();
        let mut params =
            Params::new(shape, Settings::new(Activation::Tanh), &mut words).expect("good numbers");
        let mut memory = vec![0.0; shape.state_len()];
        let mut state = params.view().state(&mut memory).expect("enough");
        let plan = Plan { rate: 0.1, trust, passes, ..Plan::new(Kind::Eprop, Groups::ALL) };
        let mut room = vec![0.0; plan.memory_len(&shape, false)];
        let mut own = plan.rows(&shape, &rows)?;
        let source: &mut dyn Source<f32> = match source {
            Some(source) => source,
            None => &mut own,
        };
        let mut steps = 0;
        plan.run(&mut params, &mut state, &mut room, source, &mut |moment: &Moment<'_, f32>| {
            steps = moment.step + 1;
            Ok::<(), Error>(())
        })?;
        Ok::<_, Error>((params.words().to_vec(), steps))
    };
    let sensor = |width: usize| Sensor { rows: rows.chunks_exact(width) };
    let learned = learn([0.0; 2], 1, None).expect("a good plan");
    assert_eq!(learned.1, 200);
    assert_eq!(learn([0.0; 2], 1, Some(&mut sensor(3))), Ok(learned.clone()));
    // Small enough to bind.
    let small = learn([1e-3; 2], 1, None).expect("a good plan");
    assert_ne!(small, learned);
    assert_eq!(learn([1.0, 1e-3], 1, Some(&mut sensor(3))), Ok(small));
    let twice = learn([0.0; 2], 2, None).expect("a good plan");
    assert_eq!(twice.1, 400);
    let mut two: Vec<f32> = rows.clone();
    two.extend(&rows);
    assert_eq!(learn([0.0; 2], 1, Some(&mut Sensor { rows: two.chunks_exact(3) })), Ok(twice));
    let error = learn([0.0; 2], 1, Some(&mut sensor(2))).expect_err("no row").to_string();
    assert_eq!(error, "samples: expected 3, found 2");
}

#[test]
fn what_was_taught_round_trips() {
    let counts =
        Counts { held: 1, bad_targets: 2, updates: 3, rejected: 4, resets: 5, restarts: 6, restored: 7 };
    let taught = Taught { words: 2, counts, records: [8, 9] };
    let mut bytes: Vec<u8> = taught.to_words().iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.extend([1, 0, 0, 0, 2, 0, 0, 0]);
    let packed = [[1, 0, 0, 0], [2, 0, 0, 0]];
    assert_eq!(Taught::read_prefix(&bytes), Ok((taught, &packed[..])));
    for cut in 0..bytes.len() {
        assert!(Taught::read_prefix(&bytes[..cut]).is_err());
    }
    bytes[0] ^= 1;
    assert!(Taught::read_prefix(&bytes).is_err());
}
