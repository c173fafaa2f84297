//! Page, figures and data of a report: whole, self-contained, and drawn for any run that can be made.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;

use faer::Mat;
use indicatif::ProgressBar;
use tinyfold::adapt::{drift, zero};
use tinyfold::design::exact::{Spec, exact};
use tinyfold::manifold::LARGEST;
use tinyfold::network::{Activation, Channel, Recurrence};
use tinyfold::report::build::{TRACE, by_channel, describe, first_shown, raw_samples, source};
use tinyfold::report::learning::{Learning, Zero};
use tinyfold::report::linearised::{Linearised, held_inputs};
use tinyfold::report::slow::Outcome;
use tinyfold::report::{self, ChipReport, Report, SCHEMA};
use tinyfold::task::recording::{GYROSCOPE, bundled};
use tinyfold::task::{Dataset, Integration, Recording, Task, synthetic};
use tinyfold::verify::{Backend, Case, Core, Verification, verify};
use tinyfold::{Error, Network};

const STEPS: usize = 1000;

fn gaussian(samples: usize, names: &[&str]) -> Dataset {
    Dataset {
        inputs: names.iter().map(|name| Channel::plain(*name)).collect(),
        targets: Vec::new(),
        dt: Some(0.1),
        recordings: vec![Recording {
            name: "noise".into(),
            x: synthetic::gaussian(samples, names.len(), 5),
            target: None,
        }],
    }
}

fn task(channels: usize) -> Integration {
    let decay = |c: usize| 0.99 + 0.005 * c as f64 / channels.max(2) as f64;
    Integration { decays: (0..channels).map(decay).collect(), scales: vec![1.0; channels] }
}

/// An exact integrator, and the same as a dense network whose weights are off by 1e-4 of themselves.
fn networks(channels: usize) -> [(&'static str, Network); 2] {
    let spec = Spec {
        neurons: 16 * channels,
        task: task(channels),
        activation: Activation::Relu,
        seed: 1,
        encoder: None,
        decoder: None,
    };
    let designed = exact(&spec).expect("enough neurons").network;
    let weights = designed.weights();
    let noise = synthetic::gaussian(weights.nrows(), weights.ncols(), 2);
    let off = Mat::from_fn(weights.nrows(), weights.ncols(), |i, j| {
        weights[(i, j)] * (1.0 + 1e-4 * noise[i * weights.ncols() + j])
    });
    let mut trained = Network { recurrence: Recurrence::Dense(off), ..designed.clone() };
    trained.initial = trained.rest();
    [("exact", designed), ("trained", trained)]
}

fn verified(networks: &[(&str, Network)], data: &Dataset) -> Verification {
    let cases: Vec<Case> = networks
        .iter()
        .map(|(name, network)| {
            let samples = raw_samples(network, &data.joined(50));
            Case::of_network(*name, network.clone(), samples).expect("can be exported")
        })
        .collect();
    verify(&cases, &[&Core as &dyn Backend], &ProgressBar::hidden()).expect("core runs")
}

fn report_of(networks: &[(&str, Network)], data: &Dataset) -> Report {
    let task = networks[0].1.integration().cloned().expect("an integrator");
    let source = source("noise.csv", data);
    let first = first_shown(source.samples);
    let channels = task.channels();
    let recording = data.joined(first + TRACE);
    let shown = |values: &[f64]| by_channel(&values[first * channels..], channels);
    Report {
        schema: SCHEMA,
        title: "signals".into(),
        command: "tinyfold quickstart".into(),
        version: "0.1.0".into(),
        seed: 1,
        first,
        inputs: shown(&recording),
        targets: shown(&task.targets(&recording)),
        steps: STEPS,
        networks: networks
            .iter()
            .map(|(name, network)| describe(name, "a test", network, data, STEPS).expect("is analysed"))
            .collect(),
        verification: verified(networks, data),
        chips: vec![ChipReport {
            name: "qemu-m0".into(),
            core: "Cortex-M0".into(),
            flash: 38_432,
            static_ram: 2048,
            stack: 1376,
        }],
        missing: None,
        learning: None,
        recording: source,
        task,
    }
}

fn demo(channels: usize) -> Report {
    let names = ["gyro_x", "gyro_y", "gyro_z", "acc_x", "acc_y", "acc_z"];
    report_of(&networks(channels), &gaussian(2000, &names[..channels]))
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The same text, or where it first differs.
fn same(a: &str, b: &str, what: &str) {
    let at = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let near = |text: &str| text.chars().skip(at.saturating_sub(40)).take(100).collect::<String>();
    assert!(a == b, "{what} differs: {} and {}", near(a), near(b));
}

fn written(report: &Report) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    report::write(folder.path(), report).expect("is written");
    let page = text(&folder.path().join("report.html"));
    (folder, page)
}

/// Every element closed in order, every attribute quoted, no stray `&` or `<`: what an XML reader asks.
fn well_formed(xml: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = xml;
    while let Some(start) = rest.find('<') {
        let between = &rest[..start];
        for entity in between.split('&').skip(1) {
            let name = entity.split_once(';').expect("an entity ends").0;
            assert!(["amp", "lt", "gt", "quot", "apos"].contains(&name) || name.starts_with('#'), "&{name};");
        }
        let end = start + rest[start..].find('>').expect("a tag ends");
        let tag = &rest[start + 1..end];
        assert!(!tag.contains('<'), "< inside of <{tag}>");
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name.trim()));
        } else if !tag.starts_with(['?', '!']) {
            assert!(tag.matches('"').count().is_multiple_of(2), "<{tag}>");
            if !tag.ends_with('/') {
                open.push(tag.split_whitespace().next().expect("a name"));
            }
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
}

#[test]
fn the_page_tells_the_whole_story_and_loads_nothing() {
    let (_folder, page) = written(&demo(3));
    for heading in [
        "What the networks compute",
        "Error against time",
        "How many dimensions the weights use",
        "The manifold",
        "Decays",
        "Dynamics",
        "The same bits on every chip",
        "What a chip pays",
        "Make it again",
    ] {
        assert_eq!(page.matches(&format!("<h2>{heading}</h2>")).count(), 1, "{heading}");
    }
    for name in ["traces", "errors", "singular-values", "manifold", "coordinates", "dynamics"] {
        assert_eq!(page.matches(&format!("aria-label=\"Figure {name}\"")).count(), 1, "{name}");
    }
    for loads in ["src=", "<link", "@import", "@font-face", "url(http", "fetch(", "<iframe", "<object"] {
        assert!(!page.contains(loads), "{loads}");
    }
    // The only addresses are a name space and a link to read.
    let addresses: Vec<&str> = page.split("http").skip(1).map(|rest| &rest[..20]).collect();
    assert!(addresses.iter().all(|a| a.starts_with("://www.w3.org/") || a.starts_with("s://arxiv.org/abs")));
    assert!(page.len() < 1_500_000, "{} bytes", page.len());
}

#[test]
fn the_bundled_recording_fits_a_page() {
    let data = bundled(&GYROSCOPE).expect("the bundled file is good");
    let (_folder, page) = written(&report_of(&networks(3), &data));
    assert!(page.contains("time (s)") && page.contains("gyro_z") && page.contains("0.1 s between samples"));
    assert!(page.len() < 1_500_000, "{} bytes", page.len());
}

#[test]
fn the_numbers_of_the_run_are_on_the_page() {
    let mut report = demo(2);
    report.networks[0].recording = 3.2e-14;
    report.networks[1].recording = 0.0134;
    report.networks[1].decays[1] = 0.912_345;
    let core = &mut report.verification.backends[1];
    (core.words, core.max_abs) = (82_000, 9e-6);
    core.failures.push("exact: not bit-equal".into());
    report.chips[0].flash = 12_345;
    report.networks[0].model_bytes = 1000;
    let (_folder, page) = written(&report);
    for number in [
        "3.2\u{202f}×\u{202f}10⁻¹⁴",
        "1.3\u{a0}%",
        "0.912345",
        "82\u{202f}000",
        "9.0\u{202f}×\u{202f}10⁻⁶",
        "core: exact: not bit-equal",
        "12\u{202f}345",
        "13\u{202f}345",
        "at most 1.0\u{202f}×\u{202f}10⁻⁴",
        "1\u{202f}376",
    ] {
        assert!(page.contains(number), "{number}");
    }
}

#[test]
fn figures_are_svg_that_scales_and_png() {
    let (folder, _) = written(&demo(3));
    let figures = folder.path().join("figures");
    for name in ["traces", "errors", "singular-values", "manifold", "coordinates", "dynamics"] {
        let svg = text(&figures.join(format!("{name}.svg")));
        let head = &svg[..svg.find("<svg").map_or(0, |at| at + svg[at..].find('>').unwrap_or(0))];
        assert_eq!(head.matches("viewBox=\"0 0 ").count(), 1, "{name}: {head}");
        well_formed(&svg);
        assert!(!svg.contains("NaN"), "{name} draws a NaN");
        assert_eq!(svg.matches("<title>").count(), 1, "{name}: the caption");
        let png = std::fs::read(figures.join(format!("{name}.png"))).expect("a PNG");
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n", "{name}");
        assert_eq!(&png[png.len() - 8..png.len() - 4], b"IEND", "{name}");
        let width = u32::from_be_bytes(png[16..20].try_into().expect("4 bytes"));
        assert!(width > 1500, "{name}: {width} pixels");
    }
}

/// A drift on this host, with an integrator that learned from nothing.
fn learning() -> Learning {
    let settings = drift::Settings { decays: vec![0.95], samples: 4000, ..drift::Settings::default() };
    let (mut learning, _) = Learning::of_drift(&settings, &gaussian(500, &["x"]), None).expect("learns");
    let settings = zero::Settings { samples: 2000, ..zero::Settings::of_channels(1) };
    learning.zero.push(Zero::of(&settings, None).expect("learns").0);
    learning
}

#[test]
fn what_was_learned_is_a_chapter() {
    let mut report = demo(2);
    let mut learned = learning();
    learned.on = "qemu-m4f".into();
    learned.findings.adapting.before = 0.0123;
    learned.findings.adapting.recovered = Some(1750);
    learned.findings.frozen.recovered = None;
    learned.zero[0].error = 0.0456;
    learned.zero[0].cost.words = 98_765;
    report.learning = Some(learned.clone());
    let (folder, page) = written(&report);
    assert!(report::read(folder.path()).expect("is read back") == report, "a number changed on its way");
    for text in [
        "<h2>Learning on the chip</h2>",
        "Error over windows of 250 samples on qemu-m4f. At sample 2\u{202f}000",
        "has an error of 1.2\u{a0}% before and is back within 2 × of that 1\u{202f}750 samples later",
        "the frozen one beside it never does",
        "n = 32, D = 1",
        "4.6\u{a0}%",
        "98\u{202f}765",
    ] {
        assert!(page.contains(text), "{text}");
    }
    well_formed(&text(&folder.path().join("figures/drift.svg")));

    // Without recovery, without bounds.
    learned.findings.adapting.recovered = None;
    learned.findings.frozen.after = f64::NAN;
    learned.findings.adapting.windows[3] = f64::INFINITY;
    report.learning = Some(learned.clone());
    let (folder, page) = written(&report);
    assert!(page.contains("does not come back within 2 × of that") && page.contains("ends at diverged"));
    assert!(!text(&folder.path().join("figures/drift.svg")).contains("NaN"));
    learned.findings.adapting.windows.pop();
    report.learning = Some(learned);
    let error = report::write(folder.path(), &report).expect_err("windows are missing").to_string();
    assert!(error.contains("learning.findings.adapting.windows: expected 16, found 15"), "{error}");
}

#[test]
fn the_dynamics_of_every_network_are_a_chapter() {
    let report = demo(3);
    let [exact, trained] = [0, 1].map(|k| report.networks[k].dynamics.as_ref().expect("small enough"));
    // V' relu'(p) U is the diagonal of the decays in every region.
    assert!(exact.off().expect("an integrator") < 1e-12 && exact.regions.expect("ReLU") > 3);
    let off = trained.off().expect("an integrator");
    assert!((1e-8..0.1).contains(&off), "{off}");
    assert!(trained.modulus(2).expect("three")[1] > 0.9 && trained.modulus(3).expect("four")[2] < 0.1);
    for network in [exact, trained] {
        assert_eq!((network.steps, network.multipliers.len()), (48, 48));
        assert!(network.wanted.iter().eq(report.task.decays.iter().rev()), "slowest first");
        let held = &network.held[0];
        // 0 is fixed, at the corner of every ReLU, and all states of the run come to it.
        assert_eq!((held.found, held.stable, held.points[0].index), (1, 0, None));
        assert!(held.points[0].norm < 1e-9 && held.settled == held.left_alone && held.settled > 0);
    }
    // Nothing moves slowly along a line of several integrals, but the exponents of an exact one are its decays.
    for network in [exact, trained] {
        let slow = network.held[0].slow_dynamics.as_ref().expect("small enough");
        assert!(matches!(&slow.curve, Outcome::Skipped(reason) if reason.contains("corners")));
        assert!(slow.reduced.found().is_none());
    }
    let exponents =
        exact.held[0].slow_dynamics.as_ref().and_then(|slow| slow.lyapunov.found()).expect("exponents");
    for ((found, _), decay) in exponents.exponents.iter().zip(&exact.wanted) {
        assert!((found - decay.ln()).abs() < 1e-3, "{found} {decay}");
    }
    let (_folder, page) = written(&report);
    assert!(page.contains("Kaplan-Yorke dimension") && page.contains("Figure slow-dynamics"));
    let wanted = "<td>0.9933<small>149 steps</small></td>";
    assert!(page.matches(wanted).count() >= 2, "asked for and exact");
    assert!(page.contains("not decided <small>at a corner</small>") && page.contains("8 of 8 <small>in"));

    // Three points of h' = tanh(1.05 h): eigenvalues are theirs, the middle one is unstable.
    let one = |x: f64| Mat::from_fn(1, 1, |_, _| x);
    let network = Network::plain(Activation::Tanh, Recurrence::Dense(one(1.05)), one(1.0), one(1.0));
    let none = [("no input".to_owned(), vec![0.0])];
    let x = synthetic::gaussian(200, 1, 3);
    let found = Linearised::of_network(&network, &[&x], &none, &AtomicBool::new(false))
        .expect("is analysed")
        .expect("one neuron");
    let held = &found.held[0];
    assert_eq!((held.found, held.stable, held.complete, held.settled), (3, 2, Some(true), 8));
    let multipliers: Vec<f64> = held.points.iter().map(|point| point.multipliers[0].0).collect();
    let at = held.points[0].norm;
    let known = 1.05 * (1.0 - at * at);
    assert!((at - (1.05 * at).tanh()).abs() < 1e-12);
    assert!(
        multipliers.iter().zip([known, known, 1.05]).all(|(a, b)| (a - b).abs() < 1e-9),
        "{multipliers:?}"
    );
    assert_eq!((found.regions, found.channels), (None, 0));
    // The segment between them is the slow line; states end at a stable point, at the rate of its eigenvalue.
    let slow = held.slow_dynamics.as_ref().expect("small enough");
    let curve = slow.curve.found().expect("three points on a line");
    assert!(!curve.attractor && curve.shape == "line" && (curve.length - 2.0 * at).abs() < 1e-9);
    let nodes: Vec<bool> = curve.points.iter().map(|point| point.1).collect();
    assert_eq!(nodes, [true, false, true]);
    for (place, speed) in &curve.profile {
        assert!((speed - ((1.05 * place).tanh() - place) / curve.length).abs() < 1e-6, "{place} {speed}");
    }
    let exponents = slow.lyapunov.found().expect("one neuron");
    assert!((exponents.exponents[0].0 - known.ln()).abs() < 1e-6 && exponents.kaplan_yorke == Some(0.0));
    let reduced = slow.reduced.found().expect("a line");
    assert!(reduced.dimension == 1 && reduced.nmte < 1e-2, "{reduced:?}");

    // Too large to wait for: told, with the command that does it.
    let mut report = demo(1);
    report.networks[1].dynamics = None;
    let (_folder, page) = written(&report);
    assert!(page.contains("<code>tinyfold dynamics fixed-points</code>"));
}

#[test]
fn contexts_are_held_one_at_a_time() {
    let names = |task: &Task| held_inputs(Some(task), task.trials().inputs().len());
    let context = names(&Task::named("context").expect("a task"));
    assert_eq!(context[0], ("attend motion".to_owned(), vec![0.0, 0.0, 1.0, 0.0]));
    assert_eq!(context[1], ("attend colour".to_owned(), vec![0.0, 0.0, 0.0, 1.0]));
    let switch = names(&Task::named("switch").expect("a task"));
    assert_eq!((switch.len(), &switch[1].1[..]), (2, &[0.0, 0.0, 0.0, 1.0][..]));
    assert_eq!(names(&Task::named("sine").expect("a task")).len(), 1);
    assert_eq!(held_inputs(None, 2), [("no input".to_owned(), vec![0.0, 0.0])]);
}

#[test]
fn names_are_escaped_everywhere() {
    let evil = "<b>\"&'</script>";
    let mut report = demo(2);
    report.title = evil.into();
    report.command = evil.into();
    report.version = evil.into();
    report.recording.name = evil.into();
    report.recording.channels = vec![evil.into(); 2];
    report.networks[1].name = evil.into();
    report.networks[1].origin = evil.into();
    report.verification.backends[1].name = evil.into();
    report.verification.backends[1].failures = vec![evil.into()];
    report.chips[0].name = evil.into();
    report.chips[0].core = evil.into();
    report.missing = Some(evil.into());
    let (folder, page) = written(&report);
    assert!(!page.contains("<b>\"") && !page.contains("&'"));
    assert_eq!(page.matches("<script").count(), page.matches("</script>").count());
    assert_eq!(page.matches("</script>").count(), 2);
    for name in ["traces", "errors", "singular-values", "manifold", "coordinates", "dynamics"] {
        well_formed(&text(&folder.path().join(format!("figures/{name}.svg"))));
    }
}

#[test]
fn what_is_missing_is_said_with_what_adds_it() {
    let mut report = demo(2);
    report.chips.clear();
    report.missing = Some("no qemu; to get it, type: scripts/embedded-toolchain".into());
    report.networks.iter_mut().for_each(|network| network.manifold.clear());
    let (_folder, page) = written(&report);
    assert!(page.contains("No chip was emulated on this machine."));
    let then = format!("scripts/embedded-toolchain; then <code>{}</code> again.", report.command);
    assert_eq!(page.matches(&format!("No emulated chip ran: no qemu; to get it, type: {then}")).count(), 2);
    assert!(page.contains("No network has points on a manifold") && !page.contains("<canvas"));
}

#[test]
fn any_number_of_channels_is_drawn() {
    for channels in [1, 2, 6] {
        let (folder, page) = written(&demo(channels));
        assert_eq!(page.contains("<canvas"), channels > 1, "D = {channels}");
        let buttons = if channels > 1 { channels } else { 0 };
        assert_eq!(page.matches("data-integral=\"").count(), buttons, "D = {channels}");
        let svg = text(&folder.path().join("figures/coordinates.svg"));
        assert_eq!(svg.matches("R² = ").count(), channels, "D = {channels}");
    }
}

#[test]
fn recordings_longer_and_shorter_than_what_is_drawn() {
    for samples in [1, TRACE, 30_000] {
        let report = report_of(&networks(1), &gaussian(samples, &["x"]));
        assert_eq!(report.networks[0].outputs[0].len(), TRACE);
        // The exact network's outputs lie on the targets, so the traces are of the same steps.
        let far = |(y, target): (&f64, &f64)| (y - target).abs() > 1e-9;
        assert!(!report.networks[0].outputs[0].iter().zip(&report.targets[0]).any(far), "{samples} samples");
        written(&report);
    }
}

#[test]
fn a_network_that_diverges_is_reported_and_read_back() {
    let mut networks = networks(2);
    let Recurrence::Dense(weights) = &mut networks[1].1.recurrence else { panic!("dense") };
    *weights = Mat::from_fn(weights.nrows(), weights.ncols(), |i, j| if i == j { 2.0 } else { 0.0 });
    let (folder, page) = written(&report_of(&networks, &gaussian(2000, &["x", "y"])));
    assert!(page.contains("trained diverged"));
    let again = report::read(folder.path()).expect("is read back");
    assert_eq!(again.networks[1].recording, LARGEST);
    report::write(folder.path(), &again).expect("is written again");
    same(&text(&folder.path().join("report.html")), &page, "the page");
}

#[test]
fn the_command_draws_the_same_page_again() {
    let report = demo(2);
    let (folder, page) = written(&report);
    assert!(report::read(folder.path()).expect("is read back") == report, "a number changed on its way");
    let files =
        ["report.json", "figures/traces.svg", "figures/manifold.svg"].map(|file| folder.path().join(file));
    let before = files.clone().map(|file| text(&file));
    std::fs::remove_file(folder.path().join("report.html")).expect("was there");
    let output = Command::new(env!("CARGO_BIN_EXE_tinyfold")).arg("report").arg(folder.path()).output();
    let output = output.expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for (file, before) in files.iter().zip(&before) {
        same(&text(file), before, &file.display().to_string());
    }
    same(&text(&folder.path().join("report.html")), &page, "the page");
}

/// A valid report.json with one change, refused by the command with this message and exit code 2.
fn refused(change: impl Fn(&mut serde_json::Value), message: &str) {
    let (folder, _) = written(&demo(1));
    let path = folder.path().join("report.json");
    let mut json: serde_json::Value = serde_json::from_str(&text(&path)).expect("JSON");
    change(&mut json);
    std::fs::write(&path, json.to_string()).expect("writable");
    let output = Command::new(env!("CARGO_BIN_EXE_tinyfold")).arg("report").arg(folder.path()).output();
    let output = output.expect("runs");
    let said = String::from_utf8_lossy(&output.stderr).trim().replace(&path.display().to_string(), "FILE");
    assert_eq!((output.status.code(), said.as_str()), (Some(2), format!("tinyfold: {message}").as_str()));
}

#[test]
fn a_report_that_does_not_fit_is_refused() {
    refused(|json| json["schema"] = 1.into(), "FILE: schema: expected 2, found 1");
    refused(
        |json| json["networks"][1]["decays"] = serde_json::json!([]),
        "FILE: networks, trained, length of decays: expected 1, found 0",
    );
    refused(
        |json| json["networks"][0]["outputs"][0] = serde_json::json!([1.0]),
        "FILE: networks, exact, outputs: steps: expected 200, found 1",
    );
    refused(|json| json["networks"] = serde_json::json!([]), "FILE: networks: expected at least 1, found 0");
    refused(
        |json| json["targets"] = serde_json::json!([]),
        "FILE: targets: expected traces of at least 1 step, found 0 steps",
    );
    refused(
        |json| json["networks"][0]["manifold"][3]["read"] = serde_json::json!([1, 2]),
        "FILE: networks, exact, manifold, integrals read: expected 1, found 2",
    );
    let folder = tempfile::tempdir().expect("a temporary folder");
    assert!(matches!(report::read(folder.path()), Err(Error::File { action: "read", .. })));
}
