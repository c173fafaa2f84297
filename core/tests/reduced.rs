//! Reduced models: the stated order of operations to the bit, the polynomials they stand for, what they clamp,
//! and the bytes they are read from.

use proptest::prelude::*;
use tinyfold_core::reduced::{Series, Shape, View, pack};
use tinyfold_core::wire::reduced as wire;
use tinyfold_core::{Arithmetic, Error, Expected, Field, Scalar};

/// A model in f64 whose numbers f32 holds exactly.
#[derive(Clone, Debug)]
struct Case {
    shape: Shape,
    arithmetic: Arithmetic,
    interval: Vec<[f64; 2]>,
    initial: Vec<f64>,
    drift: Vec<f64>,
    gain: Vec<f64>,
    output: Vec<f64>,
    samples: Vec<Vec<f64>>,
}

fn cast<T: Scalar>(values: &[f64]) -> Vec<T> {
    values.iter().map(|&x| T::from_f64(x)).collect()
}

impl Case {
    fn pack<T: Scalar>(&self) -> Result<Vec<T>, Error> {
        let interval: Vec<[T; 2]> = self.interval.iter().map(|pair| pair.map(T::from_f64)).collect();
        let mut words = vec![T::ZERO; self.shape.parameter_len()];
        let series = Series {
            interval: &interval,
            initial: &cast(&self.initial),
            drift: &cast(&self.drift),
            gain: &cast(&self.gain),
            output: &cast(&self.output),
        };
        pack(&self.shape, &series, &mut words)?;
        Ok(words)
    }

    fn view<'a, T: Scalar>(&self, words: &'a [T]) -> View<'a, T> {
        View::from_words(self.shape, self.arithmetic, words).expect("packed")
    }

    /// z and y of every step, by core.
    fn run<T: Scalar>(&self) -> Vec<(Vec<T>, Vec<T>)> {
        let words = self.pack::<T>().expect("sizes fit");
        let view = self.view(&words);
        let mut memory = vec![T::ONE; self.shape.state_len()];
        let mut state = view.state(&mut memory).expect("long enough");
        let run = |u: &Vec<f64>| {
            view.step(&mut state, &cast(u));
            (state.z().to_vec(), state.output().to_vec())
        };
        self.samples.iter().map(run).collect()
    }

    /// Ascending terms (j, k) of a degree.
    fn indices(&self, degree: usize) -> Vec<(usize, usize)> {
        let most = if self.shape.dimensions == 1 { 0 } else { degree };
        (0..=most).flat_map(|j| (0..=degree - j).map(move |k| (j, k))).collect()
    }

    /// a_jk of a moved series, by the stated sum.
    fn moved<T: Scalar>(&self, mac: fn(T, T, T) -> T, d: usize, u: &[T]) -> Vec<((usize, usize), T)> {
        let Shape { inputs, drift, gain, .. } = self.shape;
        let (all, few) = (self.indices(drift), self.indices(gain));
        let coefficient = |at: usize| T::from_f64(self.drift[d * all.len() + at]);
        let term = |(at, &index): (usize, &(usize, usize))| {
            let place = few.iter().position(|&other| other == index);
            let a = (0..inputs).fold(coefficient(at), |a, i| match place {
                Some(place) => mac(a, T::from_f64(self.gain[(d * inputs + i) * few.len() + place]), u[i]),
                None => a,
            });
            (index, a)
        };
        all.iter().enumerate().map(term).collect()
    }

    /// The same run by the words of the documentation, term by term.
    fn by_the_book<T: Scalar>(&self, mac: fn(T, T, T) -> T) -> Vec<(Vec<T>, Vec<T>)> {
        let half = T::from_f64(0.5);
        let axis = |d: usize, z: T| {
            let [lo, hi] = self.interval[d].map(T::from_f64);
            let (center, inverse) = (half * lo + half * hi, T::ONE / (half * hi - half * lo));
            ((z - center) * inverse, lo, hi)
        };
        let clenshaw = |a: &[T], s: T| {
            let mut b = vec![T::ZERO; a.len() + 2];
            for k in (0..a.len()).rev() {
                b[k] = mac(a[k] - b[k + 2], s + s, b[k + 1]);
            }
            mac(b[0], -s, b[1])
        };
        let value = |terms: &[((usize, usize), T)], s: &[T]| {
            let row = |j: usize| {
                let of_row = |&((i, _), a): &((usize, usize), T)| (i == j).then_some(a);
                terms.iter().filter_map(of_row).collect::<Vec<T>>()
            };
            match *s {
                [s] => clenshaw(&row(0), s),
                [s1, s2] => {
                    let degree = terms.iter().map(|&((j, _), _)| j).max().unwrap_or(0);
                    clenshaw(&(0..=degree).map(|j| clenshaw(&row(j), s2)).collect::<Vec<T>>(), s1)
                }
                _ => unreachable!("one or two coordinates"),
            }
        };
        let mut z = cast::<T>(&self.initial);
        let step = |u: &Vec<f64>| {
            let u = cast::<T>(u);
            let s: Vec<T> = z.iter().enumerate().map(|(d, &z)| axis(d, z).0).collect();
            for (d, z) in z.iter_mut().enumerate() {
                let (_, lo, hi) = axis(d, *z);
                let next = *z + value(&self.moved(mac, d, &u), &s);
                *z = if next < lo {
                    lo
                } else if next > hi {
                    hi
                } else {
                    next
                };
            }
            let s: Vec<T> = z.iter().enumerate().map(|(d, &z)| axis(d, z).0).collect();
            let indices = self.indices(self.shape.output);
            let output = |a: &[f64]| {
                let terms: Vec<_> = indices.iter().copied().zip(cast::<T>(a)).collect();
                value(&terms, &s)
            };
            (z.clone(), self.output.chunks(indices.len()).map(output).collect())
        };
        self.samples.iter().map(step).collect()
    }

    /// z after one step from `z`, unclamped, by cosines: no recurrence at all.
    fn cosines(&self, z: &[f64], u: &[f64]) -> Vec<f64> {
        let s: Vec<f64> = z
            .iter()
            .zip(&self.interval)
            .map(|(z, [lo, hi])| ((z - (lo + hi) / 2.0) / ((hi - lo) / 2.0)).clamp(-1.0, 1.0))
            .collect();
        let chebyshev = |k: usize, s: f64| (k as f64 * s.acos()).cos();
        let basis = |(j, k): (usize, usize)| match s[..] {
            [s] => chebyshev(k, s),
            _ => chebyshev(j, s[0]) * chebyshev(k, s[1]),
        };
        let moved = |d| self.moved(|sum, a, b| sum + a * b, d, u);
        let change = |d| moved(d).into_iter().map(|(index, a): (_, f64)| a * basis(index)).sum::<f64>();
        z.iter().enumerate().map(|(d, z)| z + change(d)).collect()
    }
}

/// Numbers of `len` that f32 holds exactly.
fn numbers(len: usize, most: f32) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec((-most..=most).prop_map(f64::from), len)
}

fn case() -> impl Strategy<Value = Case> {
    let shape = (1_usize..=2, 0_usize..=6, 1_usize..=3, 0_usize..=11, 0_usize..=11, 0_usize..=7).prop_map(
        |(dimensions, inputs, outputs, drift, gain, output)| {
            let gain = if inputs == 0 { 0 } else { gain.min(drift) };
            Shape { dimensions, inputs, outputs, drift, gain, output }
        },
    );
    let arithmetic = prop_oneof![Just(Arithmetic::Separate), Just(Arithmetic::Fused)];
    (shape, arithmetic).prop_flat_map(|(shape, arithmetic)| {
        let Shape { dimensions, inputs, outputs, drift, gain, output } = shape;
        let interval =
            (-3.0_f32..=0.0, 0.5_f32..=3.0).prop_map(|(lo, width)| [f64::from(lo), f64::from(lo + width)]);
        let interval = prop::collection::vec(interval, dimensions);
        let [drift, gain, output] = [drift, gain, output].map(|degree| shape.terms(degree));
        let parts = (
            interval,
            numbers(dimensions * drift, 0.1),
            numbers(dimensions * inputs * gain, 0.1),
            numbers(outputs * output, 1.0),
            prop::collection::vec(numbers(inputs, 1.0), 1..=12),
        );
        parts.prop_map(move |(interval, drift, gain, output, samples)| {
            let initial = interval.iter().map(|[lo, hi]| f64::from((0.75 * lo + 0.25 * hi) as f32)).collect();
            Case { shape, arithmetic, interval, initial, drift, gain, output, samples }
        })
    })
}

fn bits<T: Scalar>(run: &[(Vec<T>, Vec<T>)]) -> Vec<u64> {
    run.iter().flat_map(|(z, y)| z.iter().chain(y)).map(|x| x.to_f64().to_bits()).collect()
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: proptest::test_runner::RngSeed::Fixed(5),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn every_operation_has_its_stated_order(case in case()) {
        let [f32s, f64s] = match case.arithmetic {
            Arithmetic::Separate => [
                bits(&case.by_the_book::<f32>(|sum, a, b| sum + a * b)),
                bits(&case.by_the_book::<f64>(|sum, a, b| sum + a * b)),
            ],
            Arithmetic::Fused => [
                bits(&case.by_the_book::<f32>(|sum, a, b| a.mul_add(b, sum))),
                bits(&case.by_the_book::<f64>(|sum, a, b| a.mul_add(b, sum))),
            ],
        };
        prop_assert_eq!(bits(&case.run::<f32>()), f32s);
        prop_assert_eq!(bits(&case.run::<f64>()), f64s);
    }

    #[test]
    fn the_series_is_the_sum_of_cosines(case in case()) {
        // Where a step stays inside, it is the polynomial; the sum of |a| bounds the value and the error.
        let mut z = case.initial.clone();
        let mut narrow = case.run::<f32>().into_iter();
        for (u, (next, _)) in case.samples.iter().zip(case.run::<f64>()) {
            let (direct, size) = (case.cosines(&z, u), 1.0 + case.drift.len() as f64);
            let (single, _) = narrow.next().expect("as many");
            for d in 0..z.len() {
                let [lo, hi] = case.interval[d];
                prop_assert!((next[d] - direct[d].clamp(lo, hi)).abs() < 1e-13 * size, "{next:?} {direct:?}");
            }
            if z == case.initial {
                for d in 0..z.len() {
                    prop_assert!((f64::from(single[d]) - next[d]).abs() < 2e-6 * size);
                }
            }
            z = next;
        }
    }

    #[test]
    fn nothing_leaves_the_interval(
        case in case(),
        wild in prop::collection::vec(any::<f32>(), 0..40),
        huge in any::<bool>(),
    ) {
        let case = if huge {
            Case { drift: case.drift.iter().map(|a| a * f64::from(f32::MAX)).collect(), ..case }
        } else {
            case
        };
        let words = case.pack::<f32>().expect("sizes fit");
        let view = case.view(&words);
        let mut memory = vec![0.0; case.shape.state_len()];
        let mut state = view.state(&mut memory).expect("long enough");
        let mut outside = 0;
        for u in wild.chunks(3) {
            let supplied = u.iter().take(case.shape.inputs).filter(|u| u.is_finite()).count();
            let status = view.step(&mut state, u);
            prop_assert_eq!(status.held as usize, case.shape.inputs - supplied);
            outside += u32::from(status.outside);
            for (z, [lo, hi]) in state.z().iter().zip(&case.interval) {
                prop_assert!(f64::from(*z) >= *lo && f64::from(*z) <= f64::from(*hi as f32));
            }
        }
        prop_assert_eq!(state.outside(), outside);
    }

    #[test]
    fn a_state_of_any_bits_is_in_its_interval_after_a_step(
        case in case(),
        bits in prop_oneof![any::<[u32; 2]>(), any::<bool>().prop_map(|huge| {
            [if huge { f32::MAX } else { f32::NAN }.to_bits(); 2]
        })],
    ) {
        let words = case.pack::<f32>().expect("sizes fit");
        let view = case.view(&words);
        let mut memory = vec![0.0; case.shape.state_len()];
        let mut state = view.state(&mut memory).expect("long enough");
        for (z, bits) in state.z_mut().iter_mut().zip(bits) {
            *z = f32::from_bits(bits);
        }
        view.step(&mut state, &[]);
        for (d, z) in state.z().iter().enumerate() {
            let [lo, hi] = view.interval(d).expect("a coordinate");
            prop_assert!(lo <= *z && *z <= hi, "{z} of {lo} to {hi}");
        }
        prop_assert!(state.output().iter().all(|y| y.is_finite()));
    }

    #[test]
    fn what_is_written_is_read(case in case(), text in "[a-zµ]{0,20}") {
        fn check<T: Scalar>(case: &Case, text: &str) -> Result<(), TestCaseError> {
            let words = case.pack::<T>().expect("sizes fit");
            let bytes = write(&case.view(&words), text);
            let model = wire::read::<T>(bytes.bytes()).expect("just written");
            prop_assert_eq!((model.metadata, model.view.shape()), (text, case.shape));
            prop_assert_eq!(model.view.arithmetic(), case.arithmetic);
            let again = write(&model.view, text);
            prop_assert_eq!(again.bytes(), bytes.bytes());
            for d in 0..case.shape.dimensions {
                prop_assert_eq!(model.view.interval(d), Some(case.interval[d].map(T::from_f64)));
            }
            prop_assert_eq!(model.view.interval(case.shape.dimensions), None);
            Ok(())
        }
        check::<f32>(&case, &text)?;
        check::<f64>(&case, &text)?;
    }

    #[test]
    fn damaged_or_cut_bytes_are_refused(case in case(), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let words = case.pack::<f32>().expect("sizes fit");
        let whole = write(&case.view(&words), "x");
        let mut bytes = whole.bytes().to_vec();
        let at = at.index(bytes.len());
        prop_assert!(wire::read::<f32>(Aligned::new(&bytes[..at]).bytes()).is_err());
        prop_assert_eq!(wire::read::<f64>(whole.bytes()).unwrap_err().field, Field::Number);
        bytes[at] ^= 1 << bit;
        prop_assert!(wire::read::<f32>(Aligned::new(&bytes).bytes()).is_err());
    }
}

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

fn write<T: Scalar>(view: &View<'_, T>, metadata: &str) -> Aligned {
    let mut bytes = vec![0xaa; wire::length(&view.shape(), T::NUMBER, metadata)];
    assert_eq!(wire::write(view, metadata, &mut bytes), Ok(bytes.len()));
    Aligned::new(&bytes)
}

const DOUBLE_WELL: Shape = Shape { dimensions: 1, inputs: 1, outputs: 1, drift: 3, gain: 0, output: 1 };

/// z' = z + (z - z³) / 8 + u / 4 on [-2, 2], y = z.
fn double_well() -> Vec<f32> {
    let series = Series {
        interval: &[[-2.0, 2.0]],
        initial: &[0.0],
        drift: &[0.0, -0.5, 0.0, -0.25],
        gain: &[0.25],
        output: &[0.0, 2.0],
    };
    let mut words = vec![0.0; DOUBLE_WELL.parameter_len()];
    pack(&DOUBLE_WELL, &series, &mut words).expect("sizes fit");
    words
}

#[test]
fn a_double_well_by_hand() {
    let words = double_well();
    assert_eq!(words, [-2.0, 2.0, 0.0, -0.25, 0.0, -0.5, 0.0, 0.25, 2.0, 0.0]);
    let view = View::from_words(DOUBLE_WELL, Arithmetic::Separate, &words).expect("valid");
    let mut memory = [0.0; 3];
    let mut state = view.state(&mut memory).expect("long enough");
    // Exact in f32: z = 1/4, then z + (z - z³) / 8 = 1/4 + 15/512.
    view.step(&mut state, &[1.0]);
    assert_eq!((state.z(), state.output()), (&[0.25][..], &[0.25][..]));
    view.step(&mut state, &[0.0]);
    assert_eq!(state.z(), [0.25 + 15.0 / 512.0]);
    // A held input goes on pushing, to the wall.
    let status = view.step(&mut state, &[1e9]);
    assert!(status.outside && status.held == 0);
    let status = view.step(&mut state, &[f32::NAN]);
    assert!(status.outside && status.held == 1);
    assert_eq!((state.z(), state.input(), state.held(), state.outside()), (&[2.0][..], &[1e9][..], 1, 2));
    // From the wall, 2 + (2 - 8) / 8 = 5/4.
    assert!(!view.step(&mut state, &[0.0]).outside);
    assert_eq!(state.output(), [1.25]);
    view.reset(&mut state);
    assert_eq!((state.z(), state.held(), state.outside()), (&[0.0][..], 0, 0));
}

#[test]
fn two_coordinates_by_hand() {
    // z1' = z1 + z2 / 4, z2' = z2 - z1 / 4 + z1 u / 2 on [-4, 4]², y = z1 z2 = 16 T1(s1) T1(s2).
    let shape = Shape { dimensions: 2, inputs: 1, outputs: 1, drift: 1, gain: 1, output: 2 };
    let series = Series {
        interval: &[[-4.0, 4.0]; 2],
        initial: &[1.0, 2.0],
        // Terms 00, 01, 10.
        drift: &[0.0, 1.0, 0.0, 0.0, 0.0, -1.0],
        gain: &[0.0, 0.0, 0.0, 0.0, 0.0, 2.0],
        // Terms 00, 01, 02, 10, 11, 20.
        output: &[0.0, 0.0, 0.0, 0.0, 16.0, 0.0],
    };
    let mut words = vec![0.0_f64; shape.parameter_len()];
    pack(&shape, &series, &mut words).expect("sizes fit");
    let view = View::from_words(shape, Arithmetic::Fused, &words).expect("valid");
    let mut memory = [0.0; 4];
    let mut state = view.state(&mut memory).expect("long enough");
    view.step(&mut state, &[2.0]);
    assert_eq!((state.z(), state.output()), (&[1.5, 2.75][..], &[1.5 * 2.75][..]));
}

/// The double well with one byte changed and its checksum made right again.
fn patched(at: usize, value: &[u8]) -> Result<(), Error> {
    let words = double_well();
    let view = View::from_words(DOUBLE_WELL, Arithmetic::Separate, &words).expect("valid");
    let mut bytes = write(&view, "µ").bytes().to_vec();
    bytes[at..at + value.len()].copy_from_slice(value);
    let body = bytes.len() - 4;
    let checksum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&bytes[..body]);
    bytes[body..].copy_from_slice(&checksum.to_le_bytes());
    wire::read::<f32>(Aligned::new(&bytes).bytes()).map(|_| ())
}

#[test]
fn a_right_checksum_does_not_excuse_wrong_contents() {
    let f = |x: f32| x.to_le_bytes();
    let field = |at, value: &[u8]| patched(at, value).expect_err("refused").field;
    assert_eq!(patched(0, b"TFRM"), Ok(()));
    assert_eq!(field(0, b"TFLD"), Field::Magic);
    assert_eq!(field(4, &[2]), Field::Version);
    assert_eq!(field(6, &[3]), Field::Number);
    assert_eq!(field(7, &[3]), Field::Arithmetic);
    for dimensions in [0, 3] {
        assert_eq!(field(8, &[dimensions]), Field::Dimensions);
    }
    assert_eq!(field(9, &[17]), Field::Inputs);
    assert_eq!(field(10, &[0]), Field::Outputs);
    assert_eq!(field(10, &[17]), Field::Outputs);
    for degree in [11, 13] {
        assert_eq!(field(degree, &[32]), Field::Degree);
    }
    // The gain's degree is above the drift's.
    assert_eq!(field(12, &[4]), Field::Degree);
    // Other sizes than the length tells of: one more input takes one more word, here a section more.
    assert_eq!(field(11, &[31]), Field::Length);
    assert_eq!(field(14, &[1]), Field::Reserved);
    assert_eq!(field(31, &[1]), Field::Reserved);
    assert_eq!(field(20, &[255; 4]), Field::Length);
    // lo = hi, lo > hi, a width without inverse, numbers that are not finite.
    assert_eq!(field(32, &f(2.0)), Field::Interval);
    assert_eq!(field(32, &f(3.0)), Field::Interval);
    assert_eq!(field(32, &f(2.0_f32.next_down())), Field::Initial);
    assert_eq!(field(32, &f(f32::NAN)), Field::Interval);
    assert_eq!(field(36, &f(f32::INFINITY)), Field::Interval);
    assert_eq!(field(36, &f(-2.0_f32.next_down())), Field::Initial);
    assert_eq!(field(40, &f(2.5)), Field::Initial);
    assert_eq!(field(48, &f(f32::NAN)), Field::Series);
    assert_eq!(field(80, &f(f32::NEG_INFINITY)), Field::Readout);
    assert_eq!(field(96, &[0xff]), Field::Metadata);
}

#[test]
fn unaligned_bytes_and_short_memory_are_refused() {
    let words = double_well();
    let view = View::from_words(DOUBLE_WELL, Arithmetic::Separate, &words).expect("valid");
    let whole = write(&view, "");
    let shifted = Aligned::new(&[&[0], whole.bytes()].concat());
    let error = wire::read::<f32>(&shifted.bytes()[1..]).expect_err("not aligned");
    assert_eq!((error.field, error.expected), (Field::Interval, Expected::Aligned(4)));
    let longer = Aligned::new(&[whole.bytes(), &[0]].concat());
    assert_eq!(wire::read::<f32>(longer.bytes()).expect_err("too long").field, Field::Length);
    assert!(wire::read_prefix::<f32>(longer.bytes()).is_ok());
    assert_eq!(view.state(&mut [0.0; 2]).expect_err("too short").field, Field::State);
    let mut short = vec![0; whole.bytes().len() - 1];
    assert_eq!(wire::write(&view, "", &mut short).expect_err("too short").field, Field::Buffer);
    for length in 0..words.len() {
        assert!(View::from_words(DOUBLE_WELL, Arithmetic::Separate, &words[..length]).is_err());
    }
}

#[test]
fn parts_of_the_wrong_size_are_refused() {
    let right = Series {
        interval: &[[-2.0_f32, 2.0]],
        initial: &[0.0],
        drift: &[0.0; 4],
        gain: &[0.0],
        output: &[0.0; 2],
    };
    let pack = |series| pack(&DOUBLE_WELL, &series, &mut [0.0; 10]).map_err(|error: Error| error.field);
    assert_eq!(pack(right), Ok(()));
    assert_eq!(pack(Series { interval: &[], ..right }), Err(Field::Interval));
    assert_eq!(pack(Series { initial: &[], ..right }), Err(Field::Initial));
    assert_eq!(pack(Series { drift: &[0.0; 3], ..right }), Err(Field::Series));
    assert_eq!(pack(Series { gain: &[0.0; 2], ..right }), Err(Field::Series));
    assert_eq!(pack(Series { output: &[0.0; 3], ..right }), Err(Field::Readout));
}
