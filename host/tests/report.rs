//! The report: complete, self-contained, escaped, redrawn from its JSON.

use tinyfold::design::exact::{Spec, exact};
use tinyfold::network::Activation;
use tinyfold::report::build::{TRACE, by_channel, describe, first_shown, source};
use tinyfold::report::page::escape;
use tinyfold::report::{ChipReport, Report, SCHEMA, write};
use tinyfold::task::Integration;
use tinyfold::task::recording::{GYROSCOPE, bundled};
use tinyfold::verify::{Backend, Case, Core, verify};

/// The exact design on the bundled recording, under a name that must be escaped.
fn report() -> Report {
    let data = bundled(&GYROSCOPE).expect("the bundled file is good");
    let task = Integration { decays: vec![0.99, 0.9925, 0.995], scales: vec![1.0; 3] };
    let spec = Spec {
        neurons: 48,
        task: task.clone(),
        activation: Activation::Relu,
        seed: 0,
        encoder: None,
        decoder: None,
    };
    let mut network = exact(&spec).expect("enough neurons").network;
    network.inputs.clone_from(&data.inputs);
    let case = Case::of_network("exact", network.clone(), vec![0.5; 60]).expect("exports");
    let backends: [&dyn Backend; 1] = [&Core];
    let verification = verify(&[case], &backends, &indicatif::ProgressBar::hidden()).expect("runs");
    let source = source("<b>watch & \"co\"</b>", &data);
    let first = first_shown(source.samples);
    let x = data.joined(first + TRACE);
    let shown = |values: &[f64]| by_channel(&values[first * 3..], 3);
    Report {
        schema: SCHEMA,
        title: "Three <signals>".into(),
        command: "tinyfold quickstart".into(),
        version: "0".into(),
        seed: 0,
        recording: source,
        first,
        inputs: shown(&x),
        targets: shown(&task.targets(&x)),
        task,
        steps: 4000,
        networks: vec![describe("exact", "closed form", &network, &data, 4000).expect("an integrator")],
        verification,
        chips: vec![ChipReport {
            name: "qemu-m0".into(),
            core: "Cortex-M0".into(),
            flash: 1000,
            static_ram: 100,
            stack: 10,
        }],
        missing: Some("qemu-system-arm is not on this machine; type <this>".into()),
    }
}

#[test]
fn the_page_is_whole_self_contained_and_escaped() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let report = report();
    write(folder.path(), &report).expect("writable");
    let page = std::fs::read_to_string(folder.path().join("report.html")).expect("written");
    for section in [
        "What the networks compute",
        "Error against time",
        "How many dimensions the weights use",
        "The manifold",
        "Decays",
        "The same bits on every chip",
        "What a chip pays",
        "Make it again",
        "qemu-m0 (Cortex-M0)",
    ] {
        assert!(page.contains(section), "{section}");
    }
    assert!(page.contains(&escape(&report.title)) && !page.contains("Three <signals>"));
    assert!(page.contains("&lt;b&gt;watch &amp; &quot;co&quot;&lt;/b&gt;") && !page.contains("<b>watch"));
    assert!(page.contains("type &lt;this&gt;"), "what is missing is said");
    for loads in ["<link", "@import", "src=\"http", "url(http", "<script src", "<img"] {
        assert!(!page.contains(loads), "the page would load something: {loads}");
    }
    assert!(page.len() < 1_500_000, "{} bytes", page.len());

    for name in ["traces", "errors", "singular-values", "manifold", "coordinates"] {
        let file = |ending: &str| folder.path().join("figures").join(format!("{name}.{ending}"));
        let svg = std::fs::read_to_string(file("svg")).expect("written");
        assert!(
            svg.contains("<svg") && svg.contains("viewBox") && svg.trim_end().ends_with("</svg>"),
            "{name}"
        );
        assert!(!svg.contains("NaN"), "{name} draws a NaN");
        assert!(std::fs::read(file("png")).expect("written").starts_with(b"\x89PNG\r\n\x1a\n"), "{name}");
    }
}

#[test]
fn the_json_holds_all_that_the_page_shows() {
    let (a, b) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    write(a.path(), &report()).expect("writable");
    let read = |folder: &std::path::Path, file: &str| std::fs::read(folder.join(file)).expect("written");
    let again: Report = serde_json::from_slice(&read(a.path(), "report.json")).expect("a report");
    write(b.path(), &again).expect("writable");
    for file in ["report.json", "report.html", "figures/manifold.svg"] {
        assert!(read(a.path(), file) == read(b.path(), file), "{file} differs");
    }
}
