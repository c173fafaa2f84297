//! The table of docs/activations.md: errors computed here, instructions from the baseline of the bench.
//!
//! `TINYFOLD_WRITE=1 cargo test --release -p tinyfold --test activations` writes it again.

use std::path::{Path, PathBuf};

use tinyfold_core::{Activation, Variant};

const SIGMOID: Activation<f32> = Activation::Sigmoid { slope: 1.0, threshold: 0.0 };
const CLIPPED: Activation<f32> = Activation::Clipped { lo: 0.0, hi: 2.0 };
/// Elements that the bench counts an activation over.
const ELEMENTS: f64 = 128.0;

type Row = (&'static str, &'static str, Activation<f32>, Variant, fn(f64) -> f64);

const ROWS: &[Row] = &[
    ("linear", "", Activation::Linear, Variant::Libm, |p| p),
    ("relu", "", Activation::Relu, Variant::Libm, |p| p.max(0.0)),
    ("clipped", "", CLIPPED, Variant::Libm, |p| p.clamp(0.0, 2.0)),
    ("tanh", "rational", Activation::Tanh, Variant::Rational, f64::tanh),
    ("tanh", "libm", Activation::Tanh, Variant::Libm, f64::tanh),
    ("tanh", "micromath", Activation::Tanh, Variant::Micromath, f64::tanh),
    ("sigmoid", "rational", SIGMOID, Variant::Rational, logistic),
    ("sigmoid", "libm", SIGMOID, Variant::Libm, logistic),
    ("sigmoid", "micromath", SIGMOID, Variant::Micromath, logistic),
];

fn logistic(p: f64) -> f64 {
    1.0 / (1.0 + (-p).exp())
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// Instructions per element of a kernel on a chip.
fn instructions(baseline: &str, on: &str, kernel: &str) -> String {
    let row = baseline
        .lines()
        .map(|line| line.split('\t').collect::<Vec<&str>>())
        .find(|row| row.starts_with(&[on, kernel]));
    let count: f64 = row.expect("every activation is in the bench")[5].parse().expect("a count");
    format!("{:.1}", count / ELEMENTS)
}

fn table() -> String {
    let baseline = std::fs::read_to_string(file("benches/baseline.tsv")).expect("committed");
    let mut table =
        String::from("| function | variant | M4F | M3 | M0 | largest error |\n|---|---|---|---|---|---|\n");
    for &(name, variant, phi, by, truth) in ROWS {
        let kernel =
            if matches!(variant, "" | "rational") { name.to_owned() } else { format!("{name}-{variant}") };
        let error = (-32768..=32768)
            .map(|k| k as f32 / 4096.0)
            .map(|p| (f64::from(phi.value(p, by)) - truth(p.into())).abs())
            .fold(0.0, f64::max);
        let error = if error == 0.0 { "0".to_owned() } else { format!("{error:.1e}") };
        let [m4f, m3, m0] = ["qemu-m4f", "qemu-m3", "qemu-m0"].map(|on| instructions(&baseline, on, &kernel));
        table += &format!("| {name} | {variant} | {m4f} | {m3} | {m0} | {error} |\n");
    }
    table
}

#[test]
fn the_table_of_the_document_is_the_one_computed() {
    const MARKS: [&str; 2] = ["<!-- made by host/tests/activations.rs -->\n", "<!-- end -->\n"];
    let place = file("docs/activations.md");
    let document = std::fs::read_to_string(&place).expect("committed");
    let (before, rest) = document.split_once(MARKS[0]).expect("the first mark");
    let (written, after) = rest.split_once(MARKS[1]).expect("the second mark");
    let table = table();
    if std::env::var_os("TINYFOLD_WRITE").is_some() {
        std::fs::write(&place, [before, MARKS[0], &table, MARKS[1], after].concat()).expect("written");
    } else {
        assert_eq!(written, table, "TINYFOLD_WRITE=1 writes it again");
    }
}
