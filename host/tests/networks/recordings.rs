//! Reading recordings, and what is said of bad ones.

use std::path::Path;

use proptest::prelude::*;
use tinyfold::task::recording::{
    Detrend, GYROSCOPE, ReadOptions, RecordingArgs, SIX_AXES, Scale, bundled, parse_csv, read,
};

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
    assert_eq!(
        (data.recordings[0].name.as_str(), data.recordings[39].name.as_str()),
        ("0 standing", "39 badminton")
    );
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
        ("x,x\n1,2\n", raw(), "walk.csv: header: expected every column name once, found \"x\" twice"),
        ("x,y\n1,2\n", columns(&["z"]), "walk.csv: --columns: expected columns of the file (x, y), found z"),
        (&with_nan, raw(), "walk.csv: line 17, column x: expected a finite number, found \"NaN\""),
        ("x,y\n1,2\n3\n", raw(), "walk.csv: line 3: expected 2 fields, as the header has, found 1"),
        ("x,y\n1,2\n3,\n", raw(), "walk.csv: line 3, column y: expected a finite number, found nothing"),
        (
            "x\nfast\n",
            raw(),
            "walk.csv: columns: expected at least one with numbers that is not time or group, found none",
        ),
        (
            "t,x\n0,1\n0.1,2\n0.2,2\n0.5,3\n",
            raw(),
            "walk.csv: line 5: expected a time 0.1 s after the one before (or --dt), found a step of 0.3 s",
        ),
        (
            "t,x\n2,1\n1,2\n0,2\n",
            raw(),
            "walk.csv: line 3: expected times that grow within a recording (or --group, --dt), found a step of -1 s",
        ),
        ("x,y\n1,2\n", columns(&["x", "x"]), "--columns: expected every column once, found x twice"),
        (
            "x;y\n1;2\n",
            raw(),
            "walk.csv: columns: expected at least one with numbers that is not time or group, found none (are the fields separated by commas?)",
        ),
        // A column is not dropped because its first field is bad.
        ("x,y\n1,n/a\n1,2\n", raw(), "walk.csv: line 2, column y: expected a finite number, found \"n/a\""),
        // Blank lines, Windows line ends and fields over several lines count as an editor counts.
        (
            "x,y\r\n1,2\r\n\r\n3,bad\r\n",
            raw(),
            "walk.csv: line 4, column y: expected a finite number, found \"bad\"",
        ),
        ("x,y\n1,\"2\n\"\n\n\n3\n", raw(), "walk.csv: line 6: expected 2 fields, as the header has, found 1"),
        (
            "x\n1e200\n-1e200\n",
            ReadOptions::default(),
            "walk.csv: column x: expected values whose mean and spread fit 64-bit numbers, found values up to 1e200",
        ),
        (
            "x\n1\n",
            ReadOptions { dt: Some(-1.0), ..raw() },
            "--dt: expected a positive number of seconds, found -1",
        ),
    ];
    for (text, options, expected) in cases {
        assert_eq!(message(text, &options), expected);
    }
    let missing = read(Path::new("nowhere.csv"), &raw()).expect_err("no such file").to_string();
    assert!(missing.starts_with("nowhere.csv: cannot read: "), "{missing}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let latin = folder.path().join("latin.csv");
    std::fs::write(&latin, b"x\n1\n\xb5\n").expect("writable");
    let latin = read(&latin, &raw()).expect_err("Latin-1").to_string();
    assert!(latin.ends_with("latin.csv: line 3: expected UTF-8 text, found byte 0xb5"), "{latin}");
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
        format!(
            "{}: array x: expected number type float16, float32 or float64, found int32 (<i4)",
            path.display()
        )
    );
    let error = write(&|file| file.add_array("z", &x).expect("writable")).expect_err("no x");
    assert_eq!(
        error.to_string(),
        format!("{}: array x: expected to be in the file, found only z", path.display())
    );
    let error = write(&|file| file.add_array("x", &ndarray::arr1(&[1.0, f64::NAN])).expect("writable"))
        .expect_err("NaN");
    assert_eq!(
        error.to_string(),
        format!("{}: array x, entry [1]: expected a finite number, found NaN", path.display())
    );
}

#[test]
fn npz_channels_are_chosen_and_other_arrays_ignored() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("walk.npz");
    let mut file = ndarray_npy::NpzWriter::new(std::fs::File::create(&path).expect("writable"));
    file.add_array("x", &ndarray::arr2(&[[1.0, 2.0], [3.0, 4.0]])).expect("writable");
    file.add_array("labels", &ndarray::arr1(&[7_i64, 8])).expect("writable");
    file.finish().expect("writable");
    let columns =
        |names: &[&str]| ReadOptions { columns: names.iter().map(|&n| n.into()).collect(), ..raw() };
    let data = read(&path, &columns(&["x1"])).expect("labels are not asked for");
    assert_eq!(
        (data.inputs[0].name.as_str(), data.recordings[0].x.as_slice()),
        ("x1", [2.0, 4.0].as_slice())
    );
    let message = |options| read(&path, &options).expect_err("must be refused").to_string();
    let place = path.display();
    assert_eq!(
        message(columns(&["x2"])),
        format!("{place}: array x: --columns: expected columns of the file (x0, x1), found x2")
    );
    assert_eq!(
        message(ReadOptions { targets: vec!["y0".into()], ..raw() }),
        format!("{place}: --targets: expected an array y or target, found none")
    );
    assert!(
        message(ReadOptions { group: vec!["id".into()], ..raw() })
            .starts_with("--group: expected only with a CSV")
    );
}

#[test]
fn options_hold_for_the_bundled_recording_too() {
    let options = raw();
    let data = RecordingArgs { input: None, options }.load().expect("the bundled file is good");
    assert_eq!(data.inputs.iter().map(|c| c.name.as_str()).collect::<Vec<&str>>(), GYROSCOPE);
    assert_eq!((data.recordings[0].x[0], data.inputs[0].gain), (0.351_565, 1.0));
}

#[test]
fn times_may_be_rounded_or_left_to_the_user() {
    // 30 Hz in milliseconds: steps of 33 and 34 ms.
    let rounded: String = (0..31).map(|k| format!("{:.3},{k}\n", f64::from(k) / 30.0)).collect();
    let data = parse_csv("walk.csv", &format!("t_s,x\n{rounded}"), &raw()).expect("even enough");
    assert_eq!(data.dt.map(|dt| (dt * 30.0 * 1e9).round()), Some(1e9));
    let days = "time,x\nMonday,1\nTuesday,2\n";
    assert!(message(days, &raw()).ends_with("column time: expected a finite number, found \"Monday\""));
    let data =
        parse_csv("walk.csv", days, &ReadOptions { dt: Some(86_400.0), ..raw() }).expect("dt is given");
    assert_eq!((data.dt, data.recordings.len(), data.recordings[0].x.len()), (Some(86_400.0), 1, 2));
}

#[test]
fn a_constant_channel_keeps_its_unit() {
    let text = format!("a,b\n{}", "0.1,5\n".repeat(1000));
    let data = parse_csv("walk.csv", &text, &ReadOptions::default()).expect("good");
    assert_eq!((data.inputs[0].gain, data.inputs[1].gain, data.inputs[1].center), (1.0, 1.0, 5.0));
    assert!(data.recordings[0].x.iter().all(|x| x.abs() < 1e-12));
}

#[test]
fn recordings_are_cut_and_divided_whole() {
    let text = "recording,x,y\n0,0,0\n0,1,10\n0,2,20\n0,3,30\n0,4,40\n1,5,50\n2,6,60\n2,7,70\n";
    let data =
        parse_csv("walk.csv", text, &ReadOptions { targets: vec!["y".into()], ..raw() }).expect("good");
    let windows = data.windows(2).expect("short enough");
    let parts: Vec<(&str, &[f64])> =
        windows.recordings.iter().map(|r| (r.name.as_str(), r.x.as_slice())).collect();
    assert_eq!(parts, [("0 [0..2]", &[0.0, 1.0][..]), ("0 [2..4]", &[2.0, 3.0]), ("2 [0..2]", &[6.0, 7.0])]);
    assert_eq!(windows.recordings[2].target, Some(vec![60.0, 70.0]));
    let message = data.windows(6).expect_err("too long").to_string();
    assert_eq!(message, "window: expected 1 to 5 samples, the longest recording, found 6");
    assert!(data.windows(0).is_err());

    let bundled = bundled(&GYROSCOPE).expect("the bundled file is good");
    let (training, test) = bundled.split(0.25, 1).expect("40 recordings");
    assert_eq!((training.recordings.len(), test.recordings.len()), (30, 10));
    let mut both = [training.recordings.clone(), test.recordings.clone()].concat();
    both.sort_by_key(|recording| bundled.recordings.iter().position(|known| known == recording));
    assert_eq!(both, bundled.recordings, "every recording is in one part");
    assert_eq!((training, test), bundled.split(0.25, 1).expect("40 recordings"), "the same seed");
    assert_ne!(bundled.split(0.25, 1).expect("").1, bundled.split(0.25, 2).expect("").1, "another seed");
    assert_eq!(data.split(0.01, 0).expect("3 recordings").1.recordings.len(), 1);
    assert!(data.split(1.0, 0).is_err() && data.split(f64::NAN, 0).is_err());
    assert!(data.windows(5).expect("one").split(0.5, 0).is_err(), "one recording");
}

#[test]
fn more_channels_than_the_file_has_are_refused() {
    let data = bundled(&SIX_AXES).expect("the bundled file is good");
    let two = data.first_inputs(2).expect("six are there");
    assert_eq!(two.recordings[1].x[2..4], data.recordings[1].x[6..8]);
    assert_eq!(two.inputs, data.inputs[..2]);
    assert_eq!(
        data.first_inputs(7).expect_err("six are there").to_string(),
        "channels D: expected 1 to 6, the inputs of the recording (accel_x, accel_y, accel_z, gyro_x, gyro_y, gyro_z), found 7"
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
