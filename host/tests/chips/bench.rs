//! The bench: its counts, its baseline, its document, its command.
//!
//! These tests need a compiler for Cortex-M and QEMU: scripts/embedded-toolchain gets both.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use assert_cmd::Command;
use indicatif::ProgressBar;
use tinyfold::bench::baseline::{self, Baseline};
use tinyfold::bench::chip::Bench;
use tinyfold::bench::{Counts, case, count, derived, table};
use tinyfold::verify::qemu::CHIPS;

/// Everything on every chip, counted once for all tests.
fn everything() -> &'static Counts {
    static COUNTS: OnceLock<Counts> = OnceLock::new();
    COUNTS.get_or_init(|| {
        let cases = case::cases(&[], &[]).expect("the list exports");
        let chips = CHIPS.map(|chip| Bench::new(chip.name, false).expect("toolchain and QEMU are there"));
        count(&cases, &chips, &ProgressBar::hidden()).expect("every case runs, checked")
    })
}

#[test]
fn counting_twice_gives_the_same_number() {
    let cases = case::cases(&["low-rank-relu".into(), "tanh".into()], &[16, 128]).expect("in the list");
    for name in CHIPS.map(|chip| chip.name) {
        let bench = Bench::new(name, false).expect("toolchain and QEMU are there");
        for case in cases.iter().filter(|case| bench.left_out(case).is_none()).step_by(5) {
            let [first, second] = [(); 2].map(|()| bench.count(case).expect("runs"));
            assert_eq!(first, second, "{} on {name}", case.name());
        }
    }
}

/// Counting checks the bits, so assembly and portable Rust agree.
#[test]
fn portable_rust_gives_the_bits_of_assembly_within_its_bound() {
    let cases = case::cases(&["product".into(), "low-rank-relu".into()], &[64]).expect("in the list");
    let (assembly, portable) = [false, true].map(|portable| Bench::new("qemu-m4f", portable)).into();
    let (assembly, portable) = (assembly.expect("toolchain and QEMU"), portable.expect("toolchain and QEMU"));
    let mut per_product = Vec::new();
    for case in &cases {
        let slower = portable.count(case).expect("runs").instructions;
        let faster = assembly.count(case).expect("runs").instructions;
        assert!(case.kernel != "product" || slower > faster, "{}", case.name());
        per_product.push(slower as f64 / (64.0 * 64.0));
    }
    println!("portable f32 product: {:.2} instructions per multiply-add", per_product[0]);
    let baseline = Baseline::load(&baseline::file()).expect("benches/baseline.tsv");
    if baseline.compiler == portable.program.compiler {
        let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
        let said = format!("the f32 product takes {:.2} i.", per_product[0]);
        assert!(std::fs::read_to_string(readme).expect("README.md").contains(&said), "{said}");
    }
    assert!(per_product[0] <= 3.3, "{}", cases[0].name());
}

#[test]
fn a_chip_that_computes_other_bits_is_not_counted() {
    let mut cases = case::cases(&["low-rank-relu".into()], &[16]).expect("in the list");
    let bench = Bench::new("qemu-m4f", false).expect("toolchain and QEMU are there");
    let case = &mut cases[0];
    *case.expected.last_mut().expect("words") ^= 1;
    let error = bench.count(case).expect_err("another bit").to_string();
    assert!(error.contains("not the bits of core on this host, first at word 1 of 2"), "{error}");
}

#[test]
fn every_case_is_counted_on_every_chip_or_left_out_with_a_reason() {
    let counts = everything();
    let cases = case::cases(&[], &[]).expect("the list exports");
    assert_eq!(counts.rows.len() + counts.left_out.len(), cases.len() * CHIPS.len());
    for row in &counts.rows {
        assert!(row.instructions > 0 && row.stack > 0 && row.ram > 0, "{row:?}");
        let modelled = !matches!(row.on.as_str(), "qemu-m7" | "qemu-m33");
        assert_eq!(row.cycles.is_some(), modelled, "{row:?}");
        // IT folds into the instruction before it.
        assert!(row.cycles.is_none_or(|cycles| 10 * cycles > 9 * row.instructions), "{row:?}");
    }
    // A step costs more with more units, and leak is not free.
    let find = |kernel: &str, n: usize| {
        let row = |row: &&tinyfold::bench::Row| {
            row.on == "qemu-m4f" && row.kernel == kernel && row.n == n && row.rank == 2 && row.number == "f32"
        };
        counts.rows.iter().find(row).expect("in the list").instructions
    };
    assert!(find("low-rank-relu", 16) < find("low-rank-relu", 32));
    assert!(find("low-rank-relu", 64) < find("low-rank-relu-leak", 64));
    for left in &counts.left_out {
        // Learners, monitors and reduced models need flash and RAM that small chips have not.
        let large = ["learn-", "watched-", "reduced-"].iter().any(|kind| left.case.starts_with(kind));
        let no_room = large && (left.on == "qemu-m0" || left.case.contains("n = 128"));
        assert!(left.case.contains("fused") || no_room, "{left:?}");
    }
}

/// The gate: no count is more than 1 % above the baseline, and every case is in it.
#[test]
fn no_count_is_above_the_baseline() {
    let counts = everything();
    let baseline = Baseline::load(&baseline::file()).expect("benches/baseline.tsv");
    let problems = baseline.problems(counts, true).join("\n");
    if baseline.compiler == counts.compiler {
        assert!(problems.is_empty(), "see tinyfold bench --help for --accept\n{problems}");
    } else {
        let news = format!("{} made the baseline, {} these counts", baseline.compiler, counts.compiler);
        // Elsewhere another compiler is nobody's fault; in CI it would turn the gate off unseen.
        assert!(
            std::env::var_os("CI").is_none(),
            "{news}: accept them, see tinyfold bench --help\n{problems}"
        );
        println!("{news}:\n{problems}");
    }
}

/// A monitor costs at most a quarter of its step, its scrub included, a reduced model a hundredth of the network's step.
#[test]
fn monitors_and_reduced_models_keep_their_promise() {
    let counts = everything();
    let watched = derived::monitors(counts);
    let on = |chip: &str| watched.iter().filter(|watched| watched.step.on == chip).count();
    assert_eq!(["qemu-m3", "qemu-m4f", "qemu-m7", "qemu-m33"].map(on), [16, 20, 20, 20]);
    for watched in watched {
        assert!(watched.part <= 0.25, "{watched:?}");
    }
    let reduced = |row: &&tinyfold::bench::Row| {
        (row.on.as_str(), row.kernel.as_str(), row.rank) == ("qemu-m4f", "reduced-2-inputs", 1)
    };
    let saved: Vec<f64> =
        counts.rows.iter().filter(reduced).filter_map(|row| derived::saved(counts, row)).collect();
    assert_eq!(saved.len(), 4);
    assert!(saved.iter().all(|times| *times >= 100.0), "{saved:?}");
}

/// What the kernels are promised to cost at most: chip, kernel, n, R, number, instructions, modelled cycles, each per
/// multiply-add of a product and per step of everything else. The best existing libraries are in docs/benchmarks.md.
#[test]
fn every_kernel_keeps_its_promise() {
    const PROMISES: [(&str, &str, usize, usize, &str, f64, f64); 17] = [
        ("qemu-m4f", "product", 64, 0, "f32", 2.2, 3.4),
        ("qemu-m4f", "product", 64, 0, "f32 fused", 1.2, 4.4),
        ("qemu-m4f", "product", 64, 0, "i16", 1.05, 1.72),
        ("qemu-m4f", "product", 64, 0, "i16, sums of 64 bits", 1.55, 2.36),
        ("qemu-m4f", "product", 64, 0, "i8", 1.22, 1.77),
        ("qemu-m4f", "product", 64, 0, "i8 × i16", 1.6, 2.4),
        ("qemu-m3", "product", 64, 0, "i16", 2.5, 4.2),
        ("qemu-m3", "product", 64, 0, "i8", 2.5, 4.2),
        ("qemu-m0", "product", 32, 0, "i16", 4.2, 5.5),
        ("qemu-m4f", "low-rank-relu", 64, 2, "f32", 1300.0, 2300.0),
        ("qemu-m4f", "low-rank-relu-leak", 64, 2, "f32", 1300.0, 2300.0),
        ("qemu-m4f", "low-rank-relu", 64, 2, "i16", 1100.0, 1700.0),
        ("qemu-m4f", "low-rank-relu-leak", 64, 2, "i16", 1100.0, 1700.0),
        ("qemu-m4f", "learn-latent-rtrl", 64, 2, "f32", 12_000.0, 20_000.0),
        ("qemu-m4f", "learn-eprop-lms", 32, 0, "f32", 6_000.0, 10_000.0),
        ("qemu-m4f", "learn-snap1", 32, 0, "f32", 14_000.0, 22_000.0),
        ("qemu-m4f", "learn-lms-update", 32, 0, "f32", 450.0, 700.0),
    ];
    let counts = everything();
    for (on, kernel, n, rank, number, instructions, cycles) in PROMISES {
        let wanted = |row: &&tinyfold::bench::Row| {
            (row.on.as_str(), row.kernel.as_str(), row.n, row.rank, row.number.as_str())
                == (on, kernel, n, rank, number)
        };
        let row = counts.rows.iter().find(wanted).expect("in the list");
        let per = if kernel == "product" { row.operations as f64 } else { 1.0 };
        let found = [row.instructions as f64 / per, row.cycles.expect("modelled") as f64 / per];
        assert!(found[0] <= instructions && found[1] <= cycles, "{found:?} of {row:?}");
    }
}

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks.md")
}

#[test]
fn the_readme_holds_what_the_command_prints() {
    let (counts, baseline) = (everything(), Baseline::load(&baseline::file()).expect("benches/baseline.tsv"));
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let written = table::read_part(&readme).expect("README.md");
    if baseline.compiler == counts.compiler {
        let expected = table::part_for(&readme, counts).expect("README.md");
        assert_eq!(written, expected, "write it again: tinyfold bench --write README.md");
    }
}

#[test]
fn the_document_holds_what_the_command_prints() {
    let (counts, written) = (everything(), table::read_part(&document()).expect("docs/benchmarks.md"));
    if written.contains(&counts.compiler) {
        let expected = table::markdown(counts);
        let differ = written.lines().zip(expected.lines()).find(|(a, b)| a != b);
        assert!(
            written == expected,
            "write it again: tinyfold bench --write docs/benchmarks.md; first of the lines that differ: {differ:?}"
        );
    }
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("benchmarks.md");
    std::fs::copy(document(), &copy).expect("copied");
    table::write_part(&copy, "changed\n").expect("has the lines");
    assert_eq!(table::read_part(&copy).expect("has the lines"), "changed\n");
    std::fs::write(&copy, "no lines").expect("written");
    assert!(table::write_part(&copy, "").is_err());
}

#[test]
fn the_baseline_names_what_is_worse_missing_or_gone() {
    let counts = everything();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("baseline.tsv");
    let mut baseline = Baseline::default();
    assert_eq!(baseline.accept(counts, true, "first").expect("complete"), counts.rows.len());
    baseline.save(&path).expect("written");
    let baseline = Baseline::load(&path).expect("as written");
    assert_eq!(baseline.problems(counts, true), Vec::<String>::new());

    let mut worse = counts.clone();
    let before = worse.rows[0].instructions;
    worse.rows[0].instructions = before + before / 100 + 1;
    let gone = worse.rows.remove(1);
    worse.rows[1].kernel = "new".into();
    let problems = baseline.problems(&worse, true);
    let now = worse.rows[0].instructions;
    assert!(
        problems[0].contains(&format!("{now} instructions")) && problems[0].contains(&before.to_string())
    );
    assert!(problems[1].starts_with("new, n = ") && problems[1].contains("not in the baseline"));
    let missing = |text: &String| {
        text.contains(&format!("in the baseline with {} instructions, not counted", gone.instructions))
    };
    assert!(problems.iter().any(missing), "{problems:?}");
    assert_eq!(baseline.problems(&worse, false).len(), 2);
    // 1 % is allowed.
    worse.rows[0].instructions = before + before / 100;
    assert_eq!(baseline.problems(&worse, false).len(), 1);

    // Accepting writes the reason beside what changed, and only there.
    let mut accepted = baseline.clone();
    worse.rows.truncate(1);
    assert_eq!(accepted.accept(&worse, false, "a reason\nof two lines").expect("same compiler"), 1);
    accepted.save(&path).expect("written");
    let text = std::fs::read_to_string(&path).expect("there");
    let changed: Vec<&str> = text.lines().filter(|line| line.ends_with("\ta reason of two lines")).collect();
    assert_eq!(changed.len(), 1);
    assert_eq!(text.lines().filter(|line| line.ends_with("\tfirst")).count(), counts.rows.len() - 1);
    worse.compiler = "rustc 0.0.0".into();
    assert!(accepted.accept(&worse, false, "part of another compiler").is_err());
}

fn bench(args: &[&str]) -> assert_cmd::assert::Assert {
    Command::cargo_bin("tinyfold").expect("built").arg("bench").args(args).assert()
}

const SMALL: [&str; 6] = ["--on", "qemu-m4f", "--kernel", "low-rank-relu", "-n", "16"];
/// A single case.
const ONE: [&str; 6] = ["--on", "qemu-m4f", "--kernel", "learn-eprop-lms", "-n", "16"];

#[test]
fn the_command_prints_and_checks() {
    let output = bench(&[&SMALL[..], &["--json"]].concat()).success().get_output().stdout.clone();
    let json: serde_json::Value = serde_json::from_slice(&output).expect("JSON");
    assert_eq!(json["schema"], 1);
    let rows = json["rows"].as_array().expect("rows");
    for field in [
        "kernel",
        "n",
        "rank",
        "number",
        "on",
        "instructions",
        "instructions_per_mac",
        "flash",
        "ram",
        "stack",
    ] {
        assert!(!rows[0][field].is_null(), "{field}");
    }
    assert!(json["models"][0]["model"].as_str().expect("text").contains("M4 TRM"));

    // What is printed is what the document says.
    let text = String::from_utf8(bench(&SMALL).success().get_output().stdout.clone()).expect("text");
    let written = table::read_part(&document()).expect("docs/benchmarks.md");
    if written.contains(json["compiler"].as_str().expect("text")) {
        let (_, part) = written.split_once("### qemu-m4f\n").expect("a part for the chip");
        for row in rows {
            let cell = format!(
                "| {} ({:.2} i, {:.2} c) |",
                row["instructions"],
                row["instructions_per_mac"].as_f64().expect("a number"),
                row["cycles_per_mac"].as_f64().expect("a number")
            );
            let start =
                format!("| low-rank-relu | {} | {} ", row["rank"], row["number"].as_str().expect("text"));
            assert!(
                part.lines().any(|line| line.starts_with(&start) && line.contains(&cell)),
                "{start} {cell}"
            );
            assert!(text.contains(&row["instructions"].to_string()));
        }
    }

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("baseline.tsv");
    let file = path.to_str().expect("text").to_owned();
    let with = |more: &[&str]| bench(&[&ONE[..], &["--baseline", &file], more].concat());
    let said = |assert: assert_cmd::assert::Assert| {
        String::from_utf8(assert.get_output().stderr.clone()).expect("text")
    };
    assert!(said(with(&["--check"]).code(2)).contains("cannot read"));
    with(&["--accept", "first counts"]).success();
    with(&["--check"]).success();
    let good = std::fs::read_to_string(&path).expect("there");
    assert!(good.lines().skip(2).all(|line| line.ends_with("\tfirst counts")));

    // A baseline 2 % lower fails, by another compiler it is only said.
    let line = good.lines().nth(2).expect("a row");
    let fields: Vec<&str> = line.split('\t').collect();
    let count: u64 = fields[5].parse().expect("a count");
    let lower = line.replace(&format!("\t{count}\t"), &format!("\t{}\t", count * 98 / 100));
    std::fs::write(&path, good.replace(line, &lower)).expect("written");
    let text = said(with(&["--check"]).code(1));
    assert!(
        text.contains(&format!("{count} instructions")) && text.contains(&(count * 98 / 100).to_string()),
        "{text}"
    );
    let (_, rest) = good.split_once('\n').expect("lines");
    std::fs::write(&path, format!("# rustc 1.0.0\n{}", rest.replace(line, &lower))).expect("written");
    let text = said(with(&["--check"]).success());
    assert!(
        text.contains("rustc 1.0.0") && text.contains("nothing fails") && text.contains(&count.to_string()),
        "{text}"
    );

    let text = said(bench(&["--kernel", "nothing"]).code(2));
    assert!(text.contains("dense-relu"), "{text}");
    assert!(said(bench(&["--on", "qemu-m9"]).code(2)).contains("qemu-m33"));
    assert!(said(bench(&["-n", "17"]).code(2)).contains("128"));
}
