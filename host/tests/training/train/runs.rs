//! Runs: the same bits, their end, and going on after they were stopped.

use tinyfold::Error;
use tinyfold::task::Task;
use tinyfold::task::recording::{GYROSCOPE, bundled};
use tinyfold::train::ablation::Ablation;
use tinyfold::train::optimiser::Method;
use tinyfold::train::settings::{Loss, Supports};
use tinyfold::train::{
    Control, End, Precision, Progress, Settings, Snapshot, Trained, parts_of, resume, train,
};

use super::{bits, quiet, slow, small};

#[test]
fn the_same_settings_give_the_same_bits_for_any_number_of_threads() {
    let data = bundled(&GYROSCOPE[..2]).expect("the bundled recording");
    let plain = Settings { batch: 300, from_recording: 0.3, train_bias: true, ..slow() };
    // Small networks in two parts, a large one in more of them and with products wide enough for every kernel.
    let large = Settings { neurons: 160, batch: 512, steps: 6, interval: 2, ..plain.clone() };
    assert_eq!((parts_of(300, 24).len(), parts_of(512, 160).len()), (2, 4));
    for base in [plain.clone(), Settings { rank: 3, ..plain }, large] {
        let rank = base.rank;
        let run = |threads: usize, seed: u64| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let settings = Settings { seed, ..base.clone() };
            let trained = pool.install(|| train(&settings, Some(&data), &mut |_| Control::Continue));
            let trained = trained.expect("trains");
            let losses = trained.history.iter().map(|m| (m.step, m.loss.to_bits(), m.rollout.to_bits()));
            (bits(&trained.network), losses.collect::<Vec<_>>())
        };
        let one = run(1, 5);
        assert_eq!(one.1.len(), 3, "an entry an interval");
        for threads in [2, 3, 7] {
            assert!(run(threads, 5) == one, "rank {rank}, {threads} threads");
        }
        assert!(run(1, 6) != one, "another seed");
    }
}

#[test]
fn divergence_is_an_error_that_says_what_to_try() {
    let settings =
        Settings { method: Method::Sgd { momentum: 0.9 }, learning_rate: 1e6, clip: 1e9, ..small() };
    let error = quiet(&settings).expect_err("diverges");
    assert!(matches!(error, Error::Numeric { .. }), "{error}");
    let text = error.to_string();
    assert!(text.starts_with("training: diverged") && text.contains("smaller learning rate"), "{text}");
}

/// Stopped before any network was stable is no divergence.
#[test]
fn a_run_that_is_stopped_before_it_is_stable_says_so() {
    let settings =
        Settings { method: Method::Sgd { momentum: 0.9 }, learning_rate: 1e6, clip: 1e9, ..small() };
    let error = train(&settings, None, &mut |_| Control::Stop).expect_err("no network");
    assert!(matches!(error, Error::Stopped { step: 1 }), "{error}");
}

/// Updates before the divergence are not lost.
#[test]
fn a_network_from_before_the_divergence_is_kept() {
    let mut data = bundled(&GYROSCOPE[..2]).expect("the bundled recording");
    let settings = Settings { from_recording: 0.1, interval: 2, steps: 400, ..small() };
    // One sample of a recording is beyond what f32 holds: sooner or later a window has it.
    data.recordings[7].x[60] = 1e30;
    let trained = train(&settings, Some(&data), &mut |_| Control::Continue);
    let trained = trained.expect("good before it met the sample");
    assert_eq!(trained.end, End::Diverged);
    let last = trained.history.last().expect("an entry");
    assert!(!last.loss.is_finite() && trained.best.step < last.step && trained.best.error().is_finite());
    assert!(bits(&trained.network).iter().all(|&b| f64::from_bits(b).is_finite()));
}

/// Squares of a gradient leave f32 long before the gradient: its norm is clipped as any other.
#[test]
fn a_gradient_is_clipped_where_its_squares_overflow() {
    let mut data = bundled(&GYROSCOPE[..2]).expect("the bundled recording");
    for recording in &mut data.recordings {
        recording.x[60] = 1e15;
    }
    let settings = Settings { from_recording: 0.5, interval: 1, ..small() };
    let trained = train(&settings, Some(&data), &mut |_| Control::Continue).expect("trains");
    let most = trained.history.iter().map(|metrics| metrics.loss).fold(0.0, f64::max);
    assert!(most.is_finite() && most > 1e25, "met the sample: {most}");
    assert_eq!((trained.end, trained.history.len()), (End::Done, 60));
}

#[test]
fn the_watcher_sees_every_step_and_can_stop() {
    let mut steps = Vec::new();
    let trained = train(&small(), None, &mut |progress| match progress {
        Progress::Step { step, .. } => {
            steps.push(step);
            if step == 33 { Control::Stop } else { Control::Continue }
        }
        Progress::Interval { network, metrics, .. } => {
            assert_eq!((network.neurons(), metrics.recording), (24, None));
            Control::Continue
        }
    });
    let trained = trained.expect("stopped, not failed");
    assert_eq!(trained.end, End::Stopped);
    assert_eq!(steps, (1..=33).collect::<Vec<_>>());
    assert_eq!(trained.history.iter().map(|m| m.step).collect::<Vec<_>>(), [20, 33]);
}

/// Ctrl-C in the middle of a run of the command: code 0, and every file of the run folder is usable.
#[cfg(unix)]
#[test]
fn an_interrupted_run_leaves_usable_files() {
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = Command::new(env!("CARGO_BIN_EXE_tinyfold"))
        .args(["train", "--neurons", "16", "--steps", "100000000", "--interval", "50", "--out"])
        .arg(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let began = std::time::Instant::now();
    while !folder.path().join("checkpoint.safetensors").exists() {
        assert!(began.elapsed().as_secs() < 600, "no checkpoint after ten minutes");
        assert!(child.try_wait().expect("a child").is_none(), "ended before it was stopped");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(sent.success());
    let output = child.wait_with_output().expect("ends");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("stopped by Ctrl-C after update"), "{text}");
    for name in ["network.safetensors", "checkpoint.safetensors"] {
        let network = tinyfold::format::network::load(&folder.path().join(name)).expect("a network");
        assert_eq!((network.neurons(), network.inputs.len()), (16, 3));
    }
    let read = |name| std::fs::read_to_string(folder.path().join(name)).expect("written");
    for line in read("metrics.jsonl").lines() {
        let metrics: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert!(metrics["step"].is_u64() && metrics["loss"].is_f64() && metrics["seconds"].is_f64());
    }
    let provenance: serde_json::Value = serde_json::from_str(&read("run.json")).expect("JSON");
    assert_eq!(provenance["tinyfold"], env!("CARGO_PKG_VERSION"));
    let settings = Settings::load(&folder.path().join("settings.toml")).expect("settings");
    assert_eq!((settings.neurons, settings.steps, settings.seed), (16, 100_000_000, 0));
}

/// A run that stops at some update and goes on from its snapshot ends with the bits of one that never stopped.
#[test]
fn a_resumed_run_ends_with_the_same_bits() {
    let plain = Settings { interval: 20, steps: 100, ..slow() };
    let variants = [
        Settings { rank: 2, train_bias: true, train_readout: true, threshold_spread: 0.1, ..plain.clone() },
        Settings { train_encoder: true, supports: Supports::Overlapping, ..plain.clone() },
        Settings { method: Method::Sgd { momentum: 0.9 }, learning_rate: 0.03, batch: 300, ..plain.clone() },
        Settings { loss: Loss::Proxy, dale: 0.25, ablation: Ablation::Fraction(0.25), ..plain.clone() },
        Settings { activation: "linear".into(), reduced: true, start_gain: 0.3, ..plain.clone() },
        Settings { proxy_weight: 0.1, free_input: false, precision: Precision::F64, ..plain },
        Settings {
            neurons: 12,
            rank: 2,
            dale: 0.25,
            interval: 20,
            steps: 100,
            ..Settings::of(Task::named("switch").expect("a task"))
        },
    ];
    // Stopped at an interval, and between two of them as by Ctrl-C.
    for (settings, stop) in variants.iter().flat_map(|settings| [(settings, 40), (settings, 47)]) {
        let whole = quiet(settings).expect("trains");
        let mut kept = None;
        train(settings, None, &mut |progress| match progress {
            Progress::Interval { snapshot: Some(snapshot), metrics, .. } if metrics.step == stop => {
                kept = Some(snapshot());
                Control::Stop
            }
            Progress::Step { step, .. } if step == stop => Control::Stop,
            _ => Control::Continue,
        })
        .expect("trains");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run.safetensors");
        kept.expect("an interval").save(&path).expect("written");
        let snapshot = Snapshot::load(&path).expect("read back");
        assert_eq!(snapshot.header.step, stop);
        let resumed = resume(&snapshot, None, &mut |_| Control::Continue).expect("trains");
        assert_eq!(bits(&resumed.network), bits(&whole.network), "{settings:?}");
        let losses = |trained: &Trained| -> Vec<(usize, u64, u64)> {
            trained.history.iter().map(|m| (m.step, m.loss.to_bits(), m.rollout.to_bits())).collect()
        };
        assert_eq!(losses(&resumed), losses(&whole), "{settings:?}");
    }
}

/// A snapshot of the update that ended a run early does not go on: the run may have been killed before it said so.
#[test]
fn a_run_that_had_ended_does_not_go_on() {
    let reached = Settings { stop_loss: 0.05, steps: 2000, interval: 1, ..small() };
    let stalled = Settings { patience: 3, steps: 2000, learning_rate: 1e-300, ..small() };
    for settings in [reached, stalled] {
        let mut last = None;
        let whole = train(&settings, None, &mut |progress| {
            if let Progress::Interval { snapshot: Some(snapshot), .. } = progress {
                last = Some(snapshot());
            }
            Control::Continue
        })
        .expect("trains");
        let resumed = resume(&last.expect("an interval"), None, &mut |_| Control::Continue).expect("trains");
        assert_eq!((resumed.end, resumed.history.len()), (whole.end, whole.history.len()));
        assert_eq!(bits(&resumed.network), bits(&whole.network));
    }
}

/// The driver is killed outright at some moment; what it wrote goes on to the file of a run that never was.
#[cfg(unix)]
#[test]
fn a_killed_run_loses_nothing_it_needs() {
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().expect("a folder");
    let tinyfold = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tinyfold"));
        command.current_dir(folder.path()).args(args).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let args =
        ["train", "--neurons", "16", "--steps", "3000", "--interval", "100", "--decays", "0.9", "--out"];
    let name = "network.safetensors";
    assert!(tinyfold(&[&args[..], &["whole"]].concat()).status().expect("runs").success());
    let mut child = tinyfold(&[&args[..], &["killed"]].concat()).spawn().expect("starts");
    while !folder.path().join("killed/resume.safetensors").exists() {
        assert!(child.try_wait().expect("a child").is_none(), "ended before it was killed");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    child.kill().expect("killed");
    assert_eq!(child.wait().expect("ended").code(), None, "it was killed");
    assert!(!folder.path().join("killed").join(name).exists(), "before its end");
    assert!(tinyfold(&["train", "--resume", "killed"]).status().expect("runs").success());
    let read = |run: &str| std::fs::read(folder.path().join(run).join(name)).expect("a network");
    assert_eq!(read("whole"), read("killed"));
}

#[test]
fn training_ends_where_it_was_asked_to() {
    let reached = quiet(&Settings { stop_loss: 0.05, steps: 2000, ..small() }).expect("trains");
    assert_eq!(reached.end, End::Reached);
    let last = reached.history.last().expect("an entry");
    assert!(last.loss <= 0.05 && last.step < 2000);
    // No learning rate, no better network.
    let settings = Settings { patience: 3, steps: 2000, learning_rate: 1e-300, ..small() };
    let stalled = quiet(&settings).expect("trains");
    assert_eq!((stalled.end, stalled.history.len()), (End::Stalled, 4));
}
