//! `tinyfold reproduce`: the claims of a paper hold for networks trained here, and are seen not to hold for others.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;
use tinyfold::dynamics::lyapunov::Watch;
use tinyfold::format::network::load;
use tinyfold::reproduce::fanthomme2021::claims::claims;
use tinyfold::reproduce::fanthomme2021::comparison::compare;
use tinyfold::reproduce::fanthomme2021::growth::Growth;
use tinyfold::reproduce::fanthomme2021::{Experiment, Found, Reference, Trained, experiments, run, run_all};
use tinyfold::train::folder::train_into_folder;
use tinyfold::train::{Control, End, Progress, Settings, Snapshot};

#[cfg(target_os = "linux")]
use crate::interrupt;

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reproduce").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

/// What `reproduce --quick` writes of a paper, all of whose claims hold: else the command fails.
fn reproduced(paper: &str, out: &Path) -> Value {
    let ran = Command::new(env!("CARGO_BIN_EXE_tinyfold"))
        .args(["reproduce", paper, "--quick", "--out"])
        .arg(out)
        .output()
        .expect("runs");
    let printed = String::from_utf8_lossy(&ran.stdout);
    println!("{printed}");
    assert!(ran.status.success(), "{printed}{}", String::from_utf8_lossy(&ran.stderr));
    serde_json::from_slice(&std::fs::read(out.join("results.json")).expect("written")).expect("JSON")
}

/// The whole command on small networks: it ends with 0 only if every claim holds.
#[test]
fn the_claims_hold_for_small_networks() {
    let out = folder("quick");
    let results = reproduced("fanthomme2021", &out);
    let listed = |key: &str| results[key].as_array().expect("a list").clone();
    assert_eq!(results["complete"], true);
    assert_eq!(listed("claims").len(), 12, "{results:#}");
    assert!(listed("claims").iter().all(|claim| claim["holds"] == true), "{results:#}");
    let sizes = results["growth"]["with_neurons"][0]["errors"].as_array().expect("errors");
    let sizes: Vec<Option<u64>> = sizes.iter().map(|error| error[0].as_u64()).collect();
    assert_eq!(sizes, [24, 48, 96].map(Some));
    for figure in ["error-time", "error-neurons"] {
        assert!(out.join(format!("figures/{figure}.svg")).exists(), "{figure}");
    }
    for network in listed("networks") {
        let folder = out.join(network["name"].as_str().expect("a name"));
        let unstable = network["unstable"].as_bool().expect("said");
        assert_eq!(unstable, network["name"] == "dale-adam", "{network:#}");
        assert!(unstable || folder.join("figures/spectrum.svg").exists(), "{network:#}");
        if let Some(exact) = network["exact"].as_object() {
            let error = |value: &Value| value.as_f64().expect("a number");
            let trained =
                network["error"].as_array().expect("channels").iter().map(error).fold(0.0, f64::max);
            assert!(error(&exact["error"]) < 1e-9 * trained, "{network:#}");
            if !unstable {
                same_vectors(&folder);
            }
        }
    }
}

/// The exact network beside a trained one has the same encoders and decoders, to f32.
fn same_vectors(folder: &Path) {
    let [exact, trained] = ["exact", "network"]
        .map(|name| load(&folder.join(format!("{name}.safetensors"))).expect("a network"));
    let encoder = |network: &tinyfold::network::Network| network.encoder.clone().expect("B = W E");
    assert!((encoder(&exact) - encoder(&trained)).norm_max() < 1e-7, "{}", folder.display());
    assert!((&exact.readout - &trained.readout).norm_max() < 1e-7, "{}", folder.display());
}

/// A network of the list, with other settings.
fn small(name: &str, change: impl Fn(Settings) -> Settings) -> Experiment {
    let all = experiments(false).expect("well-formed");
    let mut experiment = all.into_iter().find(|experiment| experiment.name == name).expect("there");
    experiment.settings = change(experiment.settings);
    experiment
}

/// A claim looks at what was found: networks that have hardly learnt fail it.
#[test]
fn untrained_networks_fail_the_claims() {
    let small = |name: &str| {
        let experiment = small(name, |settings| Settings { neurons: 64, steps: 4, interval: 2, ..settings });
        let folder = folder(name);
        let found =
            run(&experiment, &folder, false, &Watch::default()).expect("runs").expect("was not stopped");
        same_vectors(&folder);
        found
    };
    let found: Vec<_> = ["linear", "sgd", "supports"].map(small).into_iter().collect();
    let claims = |found: &[Found]| claims(found, &Growth::of(found).expect("integrators"));
    let generalises = claims(&found).into_iter().find(|claim| claim.claim.contains("generalises"));
    assert!(!generalises.expect("all networks are there").holds, "{found:?}");
    // One without an analysis, or that is unstable in the end, fails every claim about it and drops none.
    let names = |found: &[Found]| {
        let claims = claims(found).into_iter().map(|claim| claim.claim);
        claims.filter(|claim| !claim.contains("stops growing")).collect::<Vec<_>>()
    };
    for analysed in [false, true] {
        let mut spoilt = found.clone();
        for network in &mut spoilt {
            network.trained.unstable = analysed;
            network.analysis = network.analysis.take().filter(|_| analysed);
        }
        assert_eq!(names(&spoilt), names(&found));
        let failed: Vec<_> =
            claims(&spoilt).into_iter().filter(|claim| claim.found.starts_with("not stable")).collect();
        let about: Vec<_> =
            failed.iter().map(|claim| claim.found.split(": ").nth(1).expect("names")).collect();
        let [all, plane] = ["linear, sgd, supports", "sgd"];
        assert_eq!(about, [all, all, all, all, plane, "supports"], "{failed:?}");
        assert!(failed.iter().all(|claim| !claim.holds), "{failed:?}");
    }
}

/// Losses and errors are compared in units of the spread between seeds, on both sides.
#[test]
fn a_difference_is_measured_by_the_spread_of_seeds() {
    let experiment = small("sgd", |settings| Settings { neurons: 16, steps: 2, interval: 2, ..settings });
    let mut found = run(&experiment, &folder("compared"), false, &Watch::default())
        .expect("runs")
        .expect("was not stopped");
    let reference = |loss: f64| Reference { loss: Some(loss), ..experiment.references[0].clone() };
    let with = |loss: f64| Trained { loss, ..found.trained.clone() };
    let e = std::f64::consts::E;
    (found.trained, found.others) = (with(1.0), vec![with(e * e)]);
    found.references = vec![reference(1.0), reference(e * e)];
    let alike = &compare(&[found.clone()])[0];
    // Both vary by the same: s² = (1 + 1 + 1 + 1) / 2.
    assert_eq!((alike.name, alike.networks[0].ratio), ("loss", 1.0));
    assert!((alike.spread.ln() - 2.0_f64.sqrt()).abs() < 1e-12 && alike.networks[0].z.abs() < 1e-12);
    found.references = vec![reference(1.0 / e), reference(e)];
    let larger = &compare(&[found.clone()])[0];
    assert!((larger.networks[0].z - 1.0 / 2.0_f64.sqrt()).abs() < 1e-12, "{larger:?}");
    assert!((larger.together - larger.networks[0].z).abs() < 1e-12);
    // One seed here: there is nothing to measure with.
    found.others = Vec::new();
    assert!(compare(&[found]).is_empty());
}

/// Networks of several n and seeds: who is whose, and how the error depends on n.
#[test]
fn other_sizes_and_seeds_are_trained_and_drawn() {
    let mut experiment =
        small("linear", |settings| Settings { neurons: 32, steps: 60, interval: 60, ..settings });
    experiment.sizes = vec![16];
    let out = folder("sizes");
    let found = run_all(&[experiment], 2, &out, false, &Watch::default()).expect("runs");
    let sizes = |trained: &[Trained]| trained.iter().map(|one| (one.neurons, one.seed)).collect::<Vec<_>>();
    assert_eq!((sizes(&found[0].others), sizes(&found[0].sizes)), (vec![(32, 1)], vec![(16, 0), (16, 1)]));
    let growth = Growth::of(&found).expect("integrators");
    let errors = &growth.with_neurons[0].errors;
    assert_eq!(errors.errors.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [16, 16, 32, 32]);
    // Through the mean logarithms at both n.
    let mean =
        |of: usize| errors.errors.iter().filter(|(n, _)| *n == of).map(|(_, e)| e.ln()).sum::<f64>() / 2.0;
    let exponent = (mean(32) - mean(16)) / 2.0_f64.ln();
    assert!((errors.law.expect("two n").exponent - exponent).abs() < 1e-9, "{errors:?}");
    let figures = tinyfold::report::growth::figures(&growth);
    assert_eq!(figures.iter().map(|figure| figure.name).collect::<Vec<_>>(), ["error-time", "error-neurons"]);
    tinyfold::report::figures::write(&out, &figures).expect("drawn");
}

/// Stopped, what was trained until then is kept, and nothing that was cut short is judged.
#[test]
fn a_stop_keeps_the_networks_that_are_trained() {
    let short = small("linear", |settings| Settings { neurons: 32, steps: 4, interval: 2, ..settings });
    let endless = small("sgd", |settings| Settings { neurons: 32, steps: 100_000_000, ..settings });
    let (out, watch) = (folder("stopped"), Watch::default());
    // The last file of a network that is done.
    let done = out.join("linear/exact.safetensors");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("two threads");
    let found = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.exists() {
                std::thread::sleep(Duration::from_millis(5));
            }
            watch.stop.store(true, Ordering::Relaxed);
        });
        pool.install(|| run_all(&[endless, short], 1, &out, false, &watch)).expect("stops")
    });
    assert_eq!(found.iter().map(|found| found.name.as_str()).collect::<Vec<_>>(), ["linear"]);
    assert_eq!(found[0].trained.steps, 4);
    assert!(!out.join("sgd/exact.safetensors").exists() && out.join("sgd/settings.toml").exists());
}

/// A run that was ended goes on to the same network and the same numbers, and one that is done is not trained again.
#[test]
fn what_was_ended_goes_on_to_the_same_bits() {
    let experiment = small("sgd", |settings| Settings { neurons: 32, steps: 40, interval: 10, ..settings });
    let files = |folder: &Path| std::fs::read(folder.join("network.safetensors")).expect("a network");
    let go = |experiment: &Experiment, out: &Path, resume| {
        run(experiment, out, resume, &Watch::default()).expect("runs").expect("was not stopped")
    };
    let (whole, parts) = (folder("whole"), folder("parts"));
    let expected = go(&experiment, &whole, false);
    // As kill -9 after 20 updates leaves it.
    let settings = experiment.settings.clone();
    let ended = train_into_folder(&settings, None, &parts, None, &mut |progress| match progress {
        Progress::Interval { metrics, .. } if metrics.step == 20 => Control::Stop,
        _ => Control::Continue,
    });
    assert_eq!(ended.expect("stable").end, End::Stopped);
    std::fs::remove_file(parts.join("network.safetensors")).expect("removed");
    for _ in 0..2 {
        let found = go(&experiment, &parts, true);
        assert_eq!(files(&parts), files(&whole));
        let facts = |found: &Found| {
            let Trained { steps, loss, error, last_error, .. } = found.trained.clone();
            (steps, loss, error, last_error)
        };
        assert_eq!(facts(&found), facts(&expected));
    }
    let mut updates = 0;
    let snapshot = Snapshot::load(&parts.join("resume.safetensors")).expect("a snapshot");
    train_into_folder(&settings, None, &parts, Some(&snapshot), &mut |progress| {
        updates += usize::from(matches!(progress, Progress::Step { .. }));
        Control::Continue
    })
    .expect("done");
    assert_eq!(updates, 0);
    // Other settings begin again.
    let other = small("sgd", |settings| Settings { neurons: 32, steps: 20, interval: 10, ..settings });
    assert_eq!(go(&other, &parts, true).trained.steps, 20);
}

/// Ctrl-C: code 0, and JSON that says that it is not all; the rings of the second paper come first.
#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_keeps_what_was_found() {
    let stopped = |paper: &str, ready: &dyn Fn(&Path) -> bool| {
        let out = folder(&format!("ctrl-c-{paper}"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_tinyfold"));
        command.args(["reproduce", paper, "--quick", "--json", "--out"]).arg(&out);
        let output = interrupt::interrupted(&mut command, || ready(&out));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let value: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(value["complete"], false);
        let written = std::fs::read(out.join("results.json")).expect("written");
        assert_eq!(serde_json::from_slice::<Value>(&written).expect("JSON"), value);
        value
    };
    let found = stopped("fanthomme2021", &|out| out.join("sigmoid/settings.toml").exists());
    assert!(found["networks"].as_array().expect("networks").len() < 8 && found["claims"].is_array());
    let found = stopped("marraffa2025", &|_| true);
    assert!(found["claims"].as_array().expect("claims").len() < 9 && found["findings"]["ridges"].is_null());
}

/// Linear, ReLU, sigmoid and Dale, each with D = 1, 2, 5. Every network has metrics of the authors' code beside it, but the
/// remedy, which is ours, and those whose name ends in another D than their code was run with; some have n of about 1000.
#[test]
fn networks_of_the_paper_are_compared_with_those_of_the_authors() {
    let all = experiments(false).expect("well-formed");
    for experiment in &all {
        let ours = experiment.name == "dale-remedy"
            || ["-1", "-2", "-5"].iter().any(|channels| experiment.name.ends_with(channels));
        assert_eq!(experiment.references.is_empty(), ours, "{experiment:?}");
        experiment.settings.check(None).expect("settings in range");
        assert!([256, 1000, 1024].contains(&experiment.settings.neurons), "{experiment:?}");
    }
    let activations = |activation: &str| {
        let of = |experiment: &&Experiment| experiment.settings.activation == activation;
        all.iter().filter(of).map(|e| e.settings.neurons).max()
    };
    assert_eq!((activations("linear"), activations("relu")), (Some(1000), Some(1024)));
    for (activation, dale) in [("linear", false), ("relu", false), ("relu", true), ("sigmoid", false)] {
        for channels in [1, 2, 5] {
            let of = |settings: &Settings| {
                settings.activation == activation
                    && (settings.dale > 0.0) == dale
                    && settings.task.integration().is_some_and(|task| task.channels() == channels)
            };
            assert!(all.iter().any(|one| of(&one.settings)), "{activation}, Dale {dale}, D = {channels}");
        }
    }
    let quick = experiments(true).expect("well-formed");
    assert!(quick.len() == 11 && quick.iter().all(|experiment| experiment.references.is_empty()));
}

/// The second paper: every claim holds for the bundled context network and for ring networks.
#[test]
fn the_claims_about_dynamics_hold() {
    let out = folder("marraffa");
    let results = reproduced("marraffa2025", &out);
    let claims = results["claims"].as_array().expect("a list");
    assert!(claims.len() == 9 && claims.iter().all(|claim| claim["paper"] != ""), "{claims:#?}");
    assert!(
        results["networks"].as_str().expect("whose").starts_with("None of these networks is of the paper")
    );
    for figure in ["colour/bifurcations", "colour/ftle", "motion/slow-manifold-inputs", "ring-perturbed/ring"]
    {
        assert!(out.join(format!("figures/{figure}.svg")).exists(), "{figure}");
    }
}
