//! Reading recordings, and what is said of bad ones.

use std::path::Path;

use proptest::prelude::*;
use tinyfold::task::recording::{Detrend, GYROSCOPE, ReadOptions, SIX_AXES, Scale, bundled, parse_csv, read};

fn raw() -> ReadOptions {
    ReadOptions { scale: Scale::None, detrend: Detrend::None, ..ReadOptions::default() }
}

fn message(text: &str, options: &ReadOptions) -> String {
    parse_csv("walk.csv", text, options).expect_err("must be refused").to_string()
}

#[test]
fn the_bundled_recording_is_whole() {
    let data = bundled(&SIX_AXES).expect("the bundled file is good");
    assert_eq!(data.recordings.len(), 40);
    assert!(data.recordings.iter().all(|recording| recording.x.len() == 100 * 6));
    assert_eq!(data.dt, Some(0.1));
    let gyroscope = bundled(&GYROSCOPE).expect("the bundled file is good");
    let joined = gyroscope.joined(10_000);
    assert_eq!(joined.len(), 30_000);
    assert_eq!(joined[..12_000], joined[12_000..24_000], "4000 samples, then again");
    for c in 0..3 {
        let channel: Vec<f64> = joined[..12_000].iter().skip(c).step_by(3).copied().collect();
        let mean = channel.iter().sum::<f64>() / 4000.0;
        let variance = channel.iter().map(|x| x * x).sum::<f64>() / 4000.0;
        assert!(mean.abs() < 1e-12 && (variance - 1.0).abs() < 1e-12, "{mean} {variance}");
    }
    // First value of gyro_x in the file, as the chip will scale it.
    let channel = &gyroscope.inputs[0];
    assert!((joined[0] - (0.351_565 - channel.center) * channel.gain).abs() < 1e-15);
}

#[test]
fn groups_targets_and_times_are_found() {
    let text = "recording,activity,t_s,a,b,wanted\n1,rest,0,1,2,10\n1,rest,0.5,3,4,20\n2,run,0,5,6,30\n2,run,0.5,7,8,40\n";
    let options = ReadOptions {
        targets: vec!["wanted".into()],
        group: vec!["recording".into(), "activity".into()],
        ..raw()
    };
    let data = parse_csv("walk.csv", text, &options).expect("good");
    assert_eq!(data.dt, Some(0.5));
    assert_eq!(data.recordings.iter().map(|r| r.name.as_str()).collect::<Vec<&str>>(), ["1 rest", "2 run"]);
    assert_eq!(data.recordings[1].x, [5.0, 6.0, 7.0, 8.0]);
    assert_eq!(data.recordings[0].target, Some(vec![10.0, 20.0]));
    assert_eq!(data.inputs.iter().map(|c| c.name.as_str()).collect::<Vec<&str>>(), ["a", "b"]);
}

#[test]
fn scaling_is_what_the_chip_can_repeat() {
    let text = "a\n1\n2\n3\n6\n";
    let read =
        |scale, detrend| parse_csv("walk.csv", text, &ReadOptions { scale, detrend, ..raw() }).expect("good");
    assert_eq!(read(Scale::None, Detrend::Mean).recordings[0].x, [-2.0, -1.0, 0.0, 3.0]);
    assert_eq!(read(Scale::Max, Detrend::None).recordings[0].x[3], 1.0);
    let unit = read(Scale::Unit, Detrend::Mean);
    assert!((unit.inputs[0].gain - 1.0 / 3.5_f64.sqrt()).abs() < 1e-15 && unit.inputs[0].center == 3.0);
    let linear = read(Scale::None, Detrend::Linear);
    assert!(linear.recordings[0].x.iter().sum::<f64>().abs() < 1e-12);
    assert_eq!(linear.inputs[0].center, 0.0);
}

#[test]
fn every_refusal_names_place_expected_and_found() {
    let mut with_nan = String::from("x,y\n");
    for line in 2..30 {
        with_nan += if line == 17 { "NaN,1\n" } else { "1,2\n" };
    }
    let columns =
        |names: &[&str]| ReadOptions { columns: names.iter().map(|&n| n.into()).collect(), ..raw() };
    let cases = [
        ("", raw(), "walk.csv: expected a header line and rows, found an empty file"),
        ("x,y\n", raw(), "walk.csv: expected rows after the header, found none"),
        ("x,x\n1,2\n", raw(), "walk.csv: header: expected different names, found x twice"),
        ("x,y\n1,2\n", columns(&["z"]), "walk.csv: column: expected one of the columns x, y, found z"),
        (&with_nan, raw(), "walk.csv: line 17, column x: expected a finite number, found \"NaN\""),
        ("x,y\n1,2\n3\n", raw(), "walk.csv: line 3: expected 2 fields, found 1"),
        ("x,y\n1,2\n3,\n", raw(), "walk.csv: line 3, column y: expected a finite number, found nothing"),
        ("x\nfast\n", raw(), "walk.csv: columns: expected at least one numeric column, found none"),
        (
            "t,x\n0,1\n0.1,2\n0.4,3\n",
            raw(),
            "walk.csv: line 4: expected times that increase by 0.1 s like the first two, found 0.30000000000000004 s",
        ),
        (
            "x\n1\n",
            ReadOptions { dt: Some(-1.0), ..raw() },
            "walk.csv: dt: expected a positive number of seconds, found -1",
        ),
    ];
    for (text, options, expected) in cases {
        assert_eq!(message(text, &options), expected);
    }
    let missing = read(Path::new("nowhere.csv"), &raw()).expect_err("no such file").to_string();
    assert!(missing.starts_with("nowhere.csv: cannot read: "), "{missing}");
    let ending = read(Path::new("walk.wav"), &raw()).expect_err("no such format").to_string();
    assert_eq!(ending, "walk.wav: expected a recording ending in .csv or .npz, found .wav");
}

#[test]
fn npz_of_both_float_types_is_read_and_others_are_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("walk.npz");
    let write = |add: &dyn Fn(&mut ndarray_npy::NpzWriter<std::fs::File>)| {
        let mut file = ndarray_npy::NpzWriter::new(std::fs::File::create(&path).expect("writable"));
        add(&mut file);
        file.finish().expect("writable");
        read(&path, &raw())
    };
    let x = ndarray::Array3::from_shape_fn((2, 4, 3), |(k, t, c)| (100 * k + 10 * t + c) as f32);
    let data = write(&|file| {
        file.add_array("x", &x).expect("writable");
        file.add_array("y", &x.mapv(f64::from).slice(ndarray::s![.., .., ..1])).expect("writable");
        file.add_array("dt", &ndarray::arr1(&[0.25])).expect("writable");
    })
    .expect("good");
    assert_eq!(
        (data.recordings.len(), data.inputs.len(), data.targets.len(), data.dt),
        (2, 3, 1, Some(0.25))
    );
    assert_eq!(data.recordings[1].x[3..6], [110.0, 111.0, 112.0]);
    assert_eq!(data.recordings[1].target.as_ref().map(|y| y[1]), Some(110.0));

    let error =
        write(&|file| file.add_array("x", &x.mapv(|x| x as i32)).expect("writable")).expect_err("i32");
    assert_eq!(
        error.to_string(),
        format!("{}: array x: expected number type f4 or f8, found <i4", path.display())
    );
    let error = write(&|file| file.add_array("z", &x).expect("writable")).expect_err("no x");
    assert_eq!(
        error.to_string(),
        format!("{}: array x: expected to be in the file, found z", path.display())
    );
    let error = write(&|file| file.add_array("x", &ndarray::arr1(&[1.0, f64::NAN])).expect("writable"))
        .expect_err("NaN");
    assert_eq!(
        error.to_string(),
        format!("{}: array x, entry 1: expected a finite number, found NaN", path.display())
    );
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 100,
        rng_seed: proptest::test_runner::RngSeed::Fixed(4),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_written_is_read(rows in prop::collection::vec(prop::array::uniform2(-1e12_f64..1e12), 1..50)) {
        let text: String = std::iter::once("a,b\n".into()).chain(rows.iter().map(|[a, b]| format!("{a},{b}\n"))).collect();
        let data = parse_csv("walk.csv", &text, &raw()).expect("good");
        prop_assert_eq!(&data.recordings[0].x, &rows.concat());
    }
}
