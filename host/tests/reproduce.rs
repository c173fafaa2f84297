//! `tinyfold reproduce`: the claims of a paper hold for networks trained here, and are seen not to hold for others.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tinyfold::reproduce::claims::claims;
use tinyfold::reproduce::fanthomme2021::{Found, experiments, run};
use tinyfold::train::Settings;

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
    assert_eq!(listed("claims").len(), 10, "{results:#}");
    assert!(listed("claims").iter().all(|claim| claim["holds"] == true), "{results:#}");
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
        }
    }
}

/// A claim looks at what was found: networks that have hardly learnt fail it.
#[test]
fn untrained_networks_fail_the_claims() {
    let small = |name: &str| {
        let mut experiment =
            experiments(true).expect("well-formed").into_iter().find(|e| e.name == name).expect("there");
        experiment.settings = Settings { steps: 4, interval: 2, ..experiment.settings };
        run(&experiment, &folder(name), &mut |_| ()).expect("runs")
    };
    let found: Vec<_> = ["linear", "sgd"].map(small).into_iter().collect();
    let generalises = claims(&found).into_iter().find(|claim| claim.claim.contains("generalises"));
    assert!(!generalises.expect("both networks are there").holds, "{found:?}");
    // One without an analysis, or that is unstable in the end, fails every claim about it and drops none.
    let names = |found: &[Found]| claims(found).iter().map(|claim| claim.claim).collect::<Vec<_>>();
    for analysed in [false, true] {
        let mut spoilt = found.clone();
        for network in &mut spoilt {
            network.unstable = analysed;
            network.analysis = network.analysis.take().filter(|_| analysed);
        }
        assert_eq!(names(&spoilt), names(&found));
        let about: Vec<_> =
            claims(&spoilt).into_iter().filter(|claim| !claim.claim.starts_with('(')).collect();
        assert!(about.len() >= 4 && about.iter().all(|claim| !claim.holds), "{about:?}");
        assert!(
            about.iter().all(|claim| claim.found.ends_with("linear, sgd") || claim.found.ends_with("sgd"))
        );
    }
}

/// At full size every network but the remedy, which is ours, has metrics of the authors' code beside it.
#[test]
fn networks_of_the_paper_are_compared_with_those_of_the_authors() {
    let all = experiments(false).expect("well-formed");
    for experiment in &all {
        assert_eq!(experiment.reference.is_none(), experiment.name == "dale-remedy", "{experiment:?}");
        experiment.settings.check(None).expect("settings in range");
        assert_eq!(experiment.settings.neurons, 256, "{experiment:?}");
    }
    assert_eq!(all.len(), 11);
    assert!(experiments(true).expect("well-formed").iter().all(|experiment| experiment.reference.is_none()));
}

/// The second paper: every claim holds for the bundled context network and for ring networks.
#[test]
fn the_claims_about_dynamics_hold() {
    let out = folder("marraffa");
    let results = reproduced("marraffa2025", &out);
    assert_eq!(results["claims"].as_array().expect("a list").len(), 9);
    for figure in ["colour/bifurcations", "colour/ftle", "motion/slow-manifold-inputs", "ring-perturbed/ring"]
    {
        assert!(out.join(format!("figures/{figure}.svg")).exists(), "{figure}");
    }
}
