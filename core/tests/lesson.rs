//! The bytes of lessons: round trip, every truncation and every flipped bit refused, reasons.

use proptest::prelude::*;
use proptest::sample::select;
use tinyfold_core::learn::{Counts, Groups, KINDS, Limits, Loss, Plan};
use tinyfold_core::wire::lesson::{HEADER_LEN, Lesson, Taught, is_lesson, length, read_prefix, write};

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
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

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
    #![proptest_config(ProptestConfig { cases: 10, failure_persistence: None, ..ProptestConfig::default() })]

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
