//! Folders of runs: one run each, whatever was killed when.

use std::path::Path;

use tinyfold::Result;
use tinyfold::train::folder::{snapshot_of, train_into_folder};
use tinyfold::train::optimiser::Method;
use tinyfold::train::{Control, Progress, Settings, Trained};

use crate::{slow, small};

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
    for name in ["dynamics.json", "notes.txt"] {
        std::fs::write(folder.join(name), "{}").expect("written");
    }
    assert!(files(folder).len() == 8 && snapshot_of(folder).expect("an interval").header.step == 60);

    let other = Settings { seed: 1, interval: 50, ..slow() };
    let mut message = String::new();
    let mut watch = |progress: &Progress<'_>| {
        if let Progress::Step { step: 1, .. } = progress {
            assert_eq!(files(folder), ["notes.txt", "run.json", "settings.toml"]);
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
