//! Folders of runs: one run each, whatever was killed when.

use std::path::Path;

use clap::error::ErrorKind;
use clap::{Arg, Args as _, Command, Id};
use tinyfold::command::train::Args;
use tinyfold::task::Dataset;
use tinyfold::task::recording::{GYROSCOPE, RecordingArgs, bundled};
use tinyfold::train::folder::{read_metrics, snapshot_of, train_into_folder};
use tinyfold::train::optimiser::Method;
use tinyfold::train::{Control, End, Progress, Settings, Trained, resume};
use tinyfold::{Error, Result};

use super::{slow, small};

/// Trains into a folder without a recording.
fn into(folder: &Path, settings: &Settings) -> Result<Trained> {
    train_into_folder(settings, None, folder, None, &mut |_| Control::Continue)
}

/// All files, with folders.
fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// What a new run finds of the one before is gone before its first update: killed there, it has nothing to go on from.
#[test]
fn a_new_run_does_not_go_on_as_the_one_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    into(folder, &slow()).expect("trains");
    for name in ["dynamics.json", "notes.txt", ".tmpk", "rules.json"] {
        std::fs::write(folder.join(name), "{}").expect("written");
    }
    assert!(files(folder).len() == 11 && snapshot_of(folder).expect("an interval").header.step == 60);

    let other = Settings { seed: 1, interval: 50, ..slow() };
    let mut message = String::new();
    let mut watch = |progress: &Progress<'_>| {
        if let Progress::Step { step: 1, .. } = progress {
            // Nor does a second one write there at the same time.
            let refused = into(folder, &slow()).expect_err("a run that goes on").to_string();
            let expected = ": expected a folder without a run that goes on, found one that writes there";
            assert!(refused.ends_with(expected), "{refused}");
            assert_eq!(files(folder), ["lock", "notes.txt", "run.json", "settings.toml"]);
            message = snapshot_of(folder).expect_err("no interval").to_string();
        }
        Control::Continue
    };
    train_into_folder(&other, None, folder, None, &mut watch).expect("trains");
    let place = folder.display();
    let wanted = format!(
        "{place}: expected a run with an interval (of 50 updates) to go on from, found none yet; start it again: \
         tinyfold train --settings {place}/settings.toml --out {place} (and the same --input, if it had one)"
    );
    assert_eq!(message, wanted);
    assert_eq!(snapshot_of(folder).expect("an interval").header.settings, other);

    // One that diverges leaves no network beside its settings.
    let settings =
        Settings { method: Method::Sgd { momentum: 0.9 }, learning_rate: 1e6, clip: 1e9, ..small() };
    into(folder, &settings).expect_err("diverges");
    assert!(!folder.join("network.safetensors").exists());
    assert_eq!(Settings::load(&folder.join("settings.toml")).expect("settings"), settings);

    let empty = tempfile::tempdir().expect("a folder");
    let message = snapshot_of(empty.path()).expect_err("nothing").to_string();
    assert!(message.ends_with("a run of tinyfold train, found no resume.safetensors"), "{message}");
}

/// A run goes on with its own recording, or not at all.
#[test]
fn another_recording_is_refused() {
    let data = bundled(&GYROSCOPE[..2]).expect("the bundled recording");
    let folder = tempfile::tempdir().expect("a folder");
    let settings = slow();
    train_into_folder(&settings, Some(&data), folder.path(), None, &mut |_| Control::Continue)
        .expect("trains");
    let snapshot = snapshot_of(folder.path()).expect("an interval");
    let message = |data: Option<&Dataset>| match resume(&snapshot, data, &mut |_| Control::Continue) {
        Ok(_) => "goes on".to_owned(),
        Err(error) => error.to_string(),
    };
    let asked = "recording: expected that which the run began with: the same --input and options of reading it, found ";
    let mut others = [data.clone(), data.clone(), data.clone(), data.clone()];
    others[0].recordings[7].x[60] += 1e-12;
    others[1].recordings.swap(0, 1);
    others[2].inputs[1].gain *= 2.0;
    others[3] = bundled(&GYROSCOPE[1..]).expect("the bundled recording");
    for other in &others {
        assert_eq!(message(Some(other)), format!("{asked}another one"));
    }
    assert_eq!(message(None), format!("{asked}none"));
    assert_eq!(message(Some(&data)), "goes on");
}

/// Every option but those that say how to read the recording, how to judge and how to print.
#[test]
fn options_that_a_resumed_run_would_ignore_are_refused() {
    let mut command = Args::augment_args(Command::new("train"));
    command.build();
    let reading = RecordingArgs::augment_args(Command::new("reading"));
    let taken = reading.get_arguments().map(Arg::get_id).map(Id::as_str);
    let taken: Vec<&str> = taken.chain(["resume", "trial_steps", "json", "help"]).collect();
    for arg in command.get_arguments().filter(|arg| !["resume", "help"].contains(&arg.get_id().as_str())) {
        let option = format!("--{}", arg.get_long().expect("an option"));
        let value = arg.get_possible_values().first().map_or("1".into(), |value| value.get_name().to_owned());
        let takes = arg.get_action().takes_values();
        let words = ["train", "--resume", "runs/x", &option].map(str::to_owned);
        let words = words.into_iter().chain(takes.then_some(value));
        let parsed = command.clone().try_get_matches_from(words);
        if taken.contains(&arg.get_id().as_str()) {
            parsed.unwrap_or_else(|error| panic!("{option}: {error}"));
            continue;
        }
        let error = parsed.expect_err(&option);
        assert_eq!(error.kind(), ErrorKind::ArgumentConflict, "{error}");
        let text = error.to_string();
        let first = text.lines().next().expect("a line");
        assert!(first.contains("'--resume <FOLDER>'") && first.contains(&format!("'{option}")), "{text}");
    }
}

/// An error that is finite is not enough: 1e34 is no network to go on with.
#[test]
fn a_checkpoint_is_of_the_latest_stable_network() {
    let folder = tempfile::tempdir().expect("a folder");
    let read = || std::fs::read(folder.path().join("checkpoint.safetensors")).ok();
    let settings = Settings { interval: 1, ..small() };
    let (mut before, mut kept, mut judged) = (None, 0, Vec::new());
    let mut watch = |progress: &Progress<'_>| {
        if let Progress::Interval { metrics, .. } = progress {
            let now = read();
            assert_eq!(now != before, metrics.error() <= 2.0, "{metrics:?}");
            kept += usize::from(now != before);
            before = now;
            judged.push(metrics.error());
        }
        Control::Continue
    };
    let trained = train_into_folder(&settings, None, folder.path(), None, &mut watch).expect("trains");
    assert!(kept > 0 && judged.iter().any(|error| error.is_finite() && *error > 2.0), "{judged:?}");
    assert_eq!(trained.unstable(), judged.last().is_some_and(|error| *error > 2.0));
}

/// Weights that are no longer finite are no network and nothing to go on from, also when the loss did not see them.
#[test]
fn weights_that_overflow_end_a_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings { learning_rate: 1e39, interval: 1, ..small() };
    let error = into(folder.path(), &settings).expect_err("diverges");
    assert!(matches!(&error, Error::Numeric { what, .. } if what == "training"), "{error}");
    let metrics = read_metrics(folder.path()).expect("metrics");
    assert!(metrics.len() == 1 && metrics[0].loss.is_finite() && !metrics[0].error().is_finite());
    assert_eq!(files(folder.path()), ["lock", "metrics.jsonl", "run.json", "settings.toml"]);

    // The mean of squares leaves f32, while weights do not: Adam would never move again.
    let settings = Settings { clip: 1e30, ..slow() };
    let mut data = bundled(&GYROSCOPE[..2]).expect("the bundled recording");
    for recording in &mut data.recordings {
        recording.x[60] = 1e15;
    }
    let settings = Settings { from_recording: 0.5, ..settings };
    let trained = train_into_folder(&settings, Some(&data), folder.path(), None, &mut |_| Control::Continue);
    assert!(matches!(trained, Ok(Trained { end: End::Diverged, .. }) | Err(Error::Numeric { .. })));
    assert!(!folder.path().join("resume.safetensors").exists());
}
