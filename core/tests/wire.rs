//! Model bytes: what is written is read; anything else is refused.

mod common;

use common::{Case, case};
use proptest::prelude::*;
use tinyfold_core::{Error, Expected, Field, Number, PANEL_ROWS, Scalar, Shape, View, wire};

/// Bytes at a 16-byte boundary, as flash holds them.
struct Aligned {
    words: Vec<u128>,
    length: usize,
}

impl Aligned {
    fn new(bytes: &[u8]) -> Self {
        let mut words = vec![0_u128; bytes.len().div_ceil(16)];
        bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
        Self { words, length: bytes.len() }
    }

    fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.length]
    }
}

fn write<T: Scalar>(view: &View<'_, T>, metadata: &str) -> Vec<u8> {
    let mut bytes = vec![0xaa; wire::length(&view.shape(), T::NUMBER, metadata)];
    let written = wire::write(view, metadata, &mut bytes).expect("the buffer is long enough");
    assert_eq!(written, bytes.len());
    bytes
}

fn file(case: &Case) -> Vec<u8> {
    case.with_view::<f32, _>(|view| write(&view, "{\"unit\":\"rad/s\"}"))
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: proptest::test_runner::RngSeed::Fixed(2),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn round_trip<T: Scalar>(case: &Case, metadata: &str) -> Result<(), TestCaseError> {
    let words = case.pack::<T>().expect("sizes fit");
    let view = View::from_words(case.shape, case.settings(), &words).expect("numbers are finite");
    let bytes = Aligned::new(&write(&view, metadata));
    let model = wire::read::<T>(bytes.bytes()).expect("just written");
    prop_assert_eq!(model.metadata, metadata);
    prop_assert_eq!(model.view.shape(), view.shape());
    prop_assert_eq!(model.view.settings(), view.settings());
    prop_assert_eq!(write(&model.view, metadata), bytes.bytes());
    prop_assert_eq!(wire::number(bytes.bytes()), Ok(T::NUMBER));
    let run = |view: View<'_, T>| {
        let mut memory = vec![T::ZERO; case.shape.state_len()];
        let mut state = view.state(&mut memory).expect("long enough");
        for x in &case.samples {
            view.step(&mut state, &common::cast::<T>(x));
        }
        (state.output().to_vec(), state.carried().to_vec())
    };
    prop_assert_eq!(run(model.view), run(view));
    Ok(())
}

/// The accessors find every matrix entry where `pack` put it.
fn entries(case: &Case) -> Result<(), TestCaseError> {
    let Shape { neurons: n, rank, inputs, outputs } = case.shape;
    case.with_view::<f64, _>(|view| {
        let collect = |rows: usize, columns: usize, entry: &dyn Fn(usize, usize) -> Option<f64>| {
            (0..rows * columns).map(|k| entry(k / columns, k % columns)).collect::<Option<Vec<f64>>>()
        };
        if rank == 0 {
            prop_assert_eq!(collect(n, n, &|i, j| view.recurrent(i, j)), Some(case.w.clone()));
        } else {
            prop_assert_eq!(collect(n, rank, &|i, r| view.u(i, r)), Some(case.u.clone()));
            prop_assert_eq!(collect(n, rank, &|i, r| view.v(i, r)), Some(case.v.clone()));
        }
        prop_assert_eq!(collect(n, inputs, &|i, k| view.input(i, k)), Some(case.input.clone()));
        prop_assert_eq!(collect(n, 1, &|i, _| view.bias(i)), Some(case.bias.clone()));
        prop_assert_eq!(collect(outputs, n, &|o, i| view.readout(o, i)), Some(case.readout.clone()));
        prop_assert_eq!(view.output_bias(), &case.output_bias);
        prop_assert_eq!([view.input_scaling(), view.output_scaling()].concat(), case.scaling.clone());
        prop_assert_eq!(view.initial(), &case.initial);
        prop_assert_eq!(view.bias(n), None);
        prop_assert_eq!(view.input(0, inputs), None);
        prop_assert_eq!(view.readout(outputs, 0), None);
        Ok(())
    })
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn bytes_round_trip(case in case(), metadata in ".{0,40}") {
        round_trip::<f32>(&case, &metadata)?;
        round_trip::<f64>(&case, &metadata)?;
        entries(&case)?;
    }

    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(wire::read::<f32>(Aligned::new(&bytes).bytes()).is_err());
    }

    /// Whatever stands behind magic, version and length, with a right checksum: refused, or a model that runs.
    #[test]
    fn a_right_checksum_excuses_nothing(
        case in case(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = file(&case);
        for (index, byte) in changes {
            // The header is small and holds most of what can be refused.
            let last = if byte % 4 == 0 { bytes.len() - 4 } else { wire::HEADER_LEN + 16 };
            let at = 6 + index.index(last - 6);
            if !(20..24).contains(&at) {
                bytes[at] = byte;
            }
        }
        mend(&mut bytes);
        let bytes = Aligned::new(&bytes);
        let fixed = wire::fixed::read::<i16>(bytes.bytes()).is_ok();
        prop_assert!(!fixed || wire::number(bytes.bytes()) == Ok(Number::I16));
        if let Ok(model) = wire::read::<f32>(bytes.bytes()) {
            let mut memory = vec![0.0; model.view.shape().state_len()];
            model.view.step(&mut model.view.state(&mut memory).expect("long enough"), &[1.0]);
        }
    }
}

proptest! {
    #![proptest_config(config(12))]

    #[test]
    fn every_truncation_and_every_flipped_bit_is_refused(case in case()) {
        let bytes = file(&case);
        let whole = Aligned::new(&bytes);
        prop_assert!(wire::read::<f32>(whole.bytes()).is_ok());
        for length in 0..bytes.len() {
            prop_assert!(wire::read::<f32>(&whole.bytes()[..length]).is_err(), "cut to {length} bytes");
        }
        let mut flipped = Aligned::new(&bytes);
        for bit in 0..8 * bytes.len() {
            let mask = 1_u128 << (bit % 128);
            flipped.words[bit / 128] ^= mask;
            prop_assert!(wire::read::<f32>(flipped.bytes()).is_err(), "bit {bit} flipped");
            prop_assert!(wire::read_prefix::<f32>(flipped.bytes()).is_err(), "bit {bit} flipped, prefix");
            flipped.words[bit / 128] ^= mask;
        }
    }
}

/// A small dense file, and the same with `bytes` put at `at` and the checksum made right again.
fn patched(at: usize, bytes: &[u8]) -> Aligned {
    let case = Case {
        shape: Shape { neurons: 2, rank: 0, inputs: 1, outputs: 1 },
        settings: tinyfold_core::Settings::new(tinyfold_core::Activation::Relu),
        w: vec![0.5; 4],
        u: vec![],
        v: vec![],
        input: vec![1.0; 2],
        bias: vec![0.0; 2],
        readout: vec![1.0; 2],
        output_bias: vec![0.0],
        scaling: vec![[0.0, 1.0]; 2],
        initial: vec![0.0; 2],
        samples: vec![],
    };
    let mut file = file(&case);
    file[at..at + bytes.len()].copy_from_slice(bytes);
    mend(&mut file);
    Aligned::new(&file)
}

/// Makes the checksum right.
fn mend(file: &mut [u8]) {
    let (body, checksum) = file.split_last_chunk_mut().expect("longer");
    *checksum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(body).to_le_bytes();
}

#[test]
fn a_refusal_names_field_expected_and_found() {
    const LAYER: usize = wire::HEADER_LEN + wire::ALIGNMENT;
    // One panel of b, two columns of W, one of B; then c, the columns of C, scaling, initial state.
    const READOUT: usize = LAYER + 4 * PANEL_ROWS * 4;
    // Readout, scaling, initial state and metadata take 16 bytes each.
    const LENGTH: u64 = (READOUT + 4 * 16 + 4) as u64;
    let nan = f32::NAN.to_le_bytes();
    let exactly = Expected::Exactly;
    let found = |bytes: &[u8]| u64::from(u32::from_le_bytes(bytes.try_into().expect("four bytes")));
    let cases: &[(usize, &[u8], Field, Expected, u64)] = &[
        (0, b"ELF\x7f", Field::Magic, exactly(found(b"TFLD")), found(b"ELF\x7f")),
        (4, &[1, 0], Field::Version, exactly(2), 1),
        (6, &[2], Field::Number, exactly(1), 2),
        (6, &[9], Field::Number, Expected::Between(1, 4), 9),
        (7, &[0], Field::Form, Expected::Between(1, 2), 0),
        (8, &[3], Field::Arithmetic, Expected::Between(1, 2), 3),
        (9, &[6], Field::Activation, Expected::Between(1, 5), 6),
        (10, &[7], Field::Variant, Expected::Between(1, 3), 7),
        (11, &[2], Field::Decoder, Expected::Between(0, 1), 2),
        (52, &[4], Field::Reserved, exactly(0), 4),
        (12, &[0, 0], Field::Neurons, Expected::Between(1, Shape::MOST as u64), 0),
        (14, &[255, 255], Field::Rank, Expected::Between(0, Shape::MOST as u64), 65_535),
        (18, &[0, 0], Field::Outputs, Expected::Between(1, Shape::MOST as u64), 0),
        (24, &[65], Field::Offset, exactly(64), 65),
        (64, &2.0_f32.to_le_bytes(), Field::Leak, Expected::Finite, 0),
        // Metadata longer than all, which 32 bits could not round up to a multiple of 16, counts as long as all.
        (
            48,
            &[0xf1, 0xff, 0xff, 0xff],
            Field::Length,
            exactly(LENGTH - 16 + LENGTH.next_multiple_of(16)),
            LENGTH,
        ),
        (LAYER + 4, &nan, Field::Layer, Expected::Finite, 1),
        (LAYER + 4, &(-0.0_f32).to_le_bytes(), Field::Layer, Expected::Finite, 1),
        (READOUT, &(-0.0_f32).to_le_bytes(), Field::Readout, Expected::Finite, 0),
    ];
    for &(at, bytes, field, expected, found) in cases {
        let file = patched(at, bytes);
        assert_eq!(
            wire::read::<f32>(file.bytes()).err(),
            Some(Error { field, expected, found }),
            "byte {at}"
        );
    }
    assert!(wire::read::<f32>(patched(0, b"T").bytes()).is_ok(), "an unchanged file is read");
    let file = patched(0, b"T");
    let nonlinear = patched(11, &[1]);
    assert!(wire::read::<f32>(nonlinear.bytes()).is_ok_and(|model| model.view.settings().nonlinear_decoder));
    let f64_asked = wire::read::<f64>(file.bytes()).err().map(|error| error.field);
    assert_eq!(f64_asked, Some(Field::Number));
}

#[test]
fn length_alignment_and_buffer_are_refused_with_numbers() {
    let file = patched(0, b"T");
    let mut longer = file.bytes().to_vec();
    longer.extend([0; 7]);
    let longer = Aligned::new(&longer);
    let (length, found) = (file.length as u64, file.length as u64 + 7);
    assert_eq!(
        wire::read::<f32>(longer.bytes()).err(),
        Some(Error { field: Field::Length, expected: Expected::Exactly(length), found })
    );
    assert_eq!(wire::read_prefix::<f32>(longer.bytes()).map(|model| model.length), Ok(file.length));

    let shifted = Aligned::new(&[&[0], file.bytes()].concat());
    let error = wire::read::<f32>(&shifted.bytes()[1..]).err();
    assert_eq!(error.map(|error| error.expected), Some(Expected::Aligned(4)));

    let model = wire::read::<f32>(file.bytes()).expect("unchanged");
    let mut short = vec![0; file.length - 1];
    let error = wire::write(&model.view, model.metadata, &mut short).err();
    let expected = Error { field: Field::Buffer, expected: Expected::AtLeast(length), found: length - 1 };
    assert_eq!(error, Some(expected));
    assert_eq!(
        error.map(|error| error.to_string()),
        Some(format!("buffer: expected at least {length}, found {}", length - 1))
    );
    assert_eq!(wire::length(&model.view.shape(), Number::F32, model.metadata), file.length);
}

mod trials {
    use super::*;
    use tinyfold_core::wire::trial::{self, ResultHeader, Trial};

    fn bytes(trial: &Trial<'_>) -> Aligned {
        let mut bytes = vec![0xaa; trial::length(trial.samples.len())];
        trial::write(trial, &mut bytes).expect("the buffer fits");
        Aligned::new(&bytes)
    }

    #[test]
    fn a_trial_round_trips_inside_a_longer_region_and_nothing_damaged_is_read() {
        let samples = [1.0, -2.5, f32::INFINITY, 0.0, 3.0, f32::MIN_POSITIVE];
        let trial = Trial { inputs: 3, samples: &samples };
        let mut file = bytes(&trial);
        let region = Aligned::new(&[file.bytes(), &[0xff; 32]].concat());
        assert_eq!(trial::read_prefix::<f32>(region.bytes()), Ok(trial));
        for length in 0..file.length {
            assert!(trial::read_prefix::<f32>(&file.bytes()[..length]).is_err(), "cut to {length}");
        }
        let other = trial::read_prefix::<i32>(file.bytes()).err().map(|error| error.field);
        assert_eq!(other, Some(Field::Number), "samples of fixed point");
        for bit in 0..8 * file.length {
            file.words[bit / 128] ^= 1 << (bit % 128);
            assert!(trial::read_prefix::<f32>(file.bytes()).is_err(), "bit {bit}");
            file.words[bit / 128] ^= 1 << (bit % 128);
        }
    }

    #[test]
    fn ragged_samples_are_refused() {
        let trial = Trial { inputs: 2, samples: &[1.0, 2.0, 3.0] };
        let error = trial::write(&trial, &mut [0; 32]).err();
        let expected = Expected::Exactly(2);
        assert_eq!(error, Some(Error { field: Field::Samples, expected, found: 3 }));
    }

    #[test]
    fn a_result_is_read_whole_or_not_at_all() {
        let header = ResultHeader { outputs: 2, carried: 1, steps: 3 };
        let mut bytes = header.to_bytes().to_vec();
        bytes.extend((0..12_u32).flat_map(u32::to_le_bytes));
        bytes.extend(99_u32.to_le_bytes());
        let (found, words, stack) = ResultHeader::read(&bytes).expect("whole");
        assert_eq!((found, words.len(), words[11], stack), (header, 12, 11_u32.to_le_bytes(), 99));
        bytes.pop();
        assert_eq!(ResultHeader::read(&bytes).err().map(|error| error.field), Some(Field::Length));
    }
}
