//! The bench: its decoder and its models of time, its baseline, its documents, and all its counts.
//!
//! These tests need a compiler for Cortex-M and QEMU: scripts/embedded-toolchain gets both.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use assert_cmd::Command;
use indicatif::ProgressBar;
use tinyfold::bench::baseline::{self, Baseline};
use tinyfold::bench::chip::Bench;
use tinyfold::bench::thumb::{Instruction, Kind};
use tinyfold::bench::timing::{Counter, Model};
use tinyfold::bench::{Counts, case, count, table};
use tinyfold::verify::qemu::CHIPS;

/// Everything on every chip, counted once for all tests.
fn everything() -> &'static Counts {
    static COUNTS: OnceLock<Counts> = OnceLock::new();
    COUNTS.get_or_init(|| {
        let cases = case::cases(&[], &[]).expect("the list exports");
        let chips = CHIPS.map(|chip| Bench::new(chip.name).expect("toolchain and QEMU are there"));
        count(&cases, &chips, &ProgressBar::hidden()).expect("every case runs, checked")
    })
}

fn instructions(bytes: &[u8]) -> Vec<Instruction> {
    let halfword = |at: usize| bytes.get(at..at + 2).map_or(0, |pair| u16::from_le_bytes([pair[0], pair[1]]));
    let (mut at, mut all) = (0, Vec::new());
    while at < bytes.len() {
        let instruction = Instruction::decode(halfword(at), halfword(at + 2));
        at += usize::from(instruction.size);
        all.push(instruction);
    }
    all
}

/// Bytes as llvm-mc 14 assembles the text for a Cortex-M4.
#[test]
#[rustfmt::skip]
fn the_decoder_knows_every_class() {
    let none = [None; 2];
    let table: [(&str, &[u8], Kind, [Option<u8>; 2]); 72] = [
        ("ldr r0, [r1, #4]", &[0x48, 0x68], Kind::Load { to: 0 }, [Some(1), None]),
        ("ldr r0, [r1, r2]", &[0x88, 0x58], Kind::Load { to: 0 }, [Some(1), Some(2)]),
        ("ldr r3, [pc, #276]", &[0x45, 0x4b], Kind::Load { to: 3 }, [Some(15), None]),
        ("ldr r8, [r1], #4", &[0x51, 0xf8, 0x04, 0x8b], Kind::Load { to: 8 }, [Some(1), None]),
        ("ldr.w r8, [r1, r2, lsl #2]", &[0x51, 0xf8, 0x22, 0x80], Kind::Load { to: 8 }, [Some(1), Some(2)]),
        ("ldr.w pc, [r1]", &[0xd1, 0xf8, 0x00, 0xf0], Kind::Load { to: 15 }, [Some(1), None]),
        ("ldrsh r0, [r1, r2]", &[0x88, 0x5e], Kind::Load { to: 0 }, [Some(1), Some(2)]),
        ("str r0, [sp, #4]", &[0x01, 0x90], Kind::Store { register_offset: false }, [Some(13), None]),
        ("str r0, [r1, r2]", &[0x88, 0x50], Kind::Store { register_offset: true }, [Some(1), Some(2)]),
        ("str.w r8, [r1, r2]", &[0x41, 0xf8, 0x02, 0x80], Kind::Store { register_offset: true }, [Some(1), Some(2)]),
        ("strb.w r8, [r1, #2000]", &[0x81, 0xf8, 0xd0, 0x87], Kind::Store { register_offset: false }, [Some(1), None]),
        ("ldm r0!, {r1-r3}", &[0x0e, 0xc8], Kind::LoadMany { words: 3, jumps: false }, none),
        ("ldm.w r0!, {r4-r11}", &[0xb0, 0xe8, 0xf0, 0x0f], Kind::LoadMany { words: 8, jumps: false }, none),
        ("push {r4, r5, lr}", &[0x30, 0xb5], Kind::StoreMany { words: 3 }, none),
        ("push.w {r4-r11, lr}", &[0x2d, 0xe9, 0xf0, 0x4f], Kind::StoreMany { words: 9 }, none),
        ("pop {r4, pc}", &[0x10, 0xbd], Kind::LoadMany { words: 2, jumps: true }, none),
        ("pop.w {r4-r11, pc}", &[0xbd, 0xe8, 0xf0, 0x8f], Kind::LoadMany { words: 9, jumps: true }, none),
        ("stm.w r0!, {r4-r7}", &[0xa0, 0xe8, 0xf0, 0x00], Kind::StoreMany { words: 4 }, none),
        ("ldrd r0, r1, [r2]", &[0xd2, 0xe9, 0x00, 0x01], Kind::Pair, none),
        ("strd r0, r1, [r2, #8]", &[0xc2, 0xe9, 0x02, 0x01], Kind::Pair, none),
        ("muls r0, r1, r0", &[0x48, 0x43], Kind::Multiply, none),
        ("mul r8, r9, r10", &[0x09, 0xfb, 0x0a, 0xf8], Kind::Multiply, none),
        ("mla r0, r1, r2, r3", &[0x01, 0xfb, 0x02, 0x30], Kind::MultiplyAdd, none),
        ("mls r0, r1, r2, r3", &[0x01, 0xfb, 0x12, 0x30], Kind::MultiplyAdd, none),
        ("smull r0, r1, r2, r3", &[0x82, 0xfb, 0x03, 0x01], Kind::LongMultiply, none),
        ("umlal r0, r1, r2, r3", &[0xe2, 0xfb, 0x03, 0x01], Kind::LongMultiply, none),
        ("smlald r0, r1, r2, r3", &[0xc2, 0xfb, 0xc3, 0x01], Kind::LongMultiply, none),
        ("sdiv r0, r1, r2", &[0x91, 0xfb, 0xf2, 0xf0], Kind::Divide, none),
        ("udiv r0, r1, r2", &[0xb1, 0xfb, 0xf2, 0xf0], Kind::Divide, none),
        ("smlad r0, r1, r2, r3", &[0x21, 0xfb, 0x02, 0x30], Kind::Plain, none),
        ("smlabb r0, r1, r2, r3", &[0x11, 0xfb, 0x02, 0x30], Kind::Plain, none),
        ("smmla r0, r1, r2, r3", &[0x51, 0xfb, 0x02, 0x30], Kind::Plain, none),
        ("smlawb r0, r1, r2, r3", &[0x31, 0xfb, 0x02, 0x30], Kind::Plain, none),
        ("uxtb16 r0, r1", &[0x3f, 0xfa, 0x81, 0xf0], Kind::Plain, none),
        ("adds r0, r1, r2", &[0x88, 0x18], Kind::Plain, none),
        ("add.w r0, r1, r2, lsl #3", &[0x01, 0xeb, 0xc2, 0x00], Kind::Plain, none),
        ("movw r0, #1234", &[0x40, 0xf2, 0xd2, 0x40], Kind::Plain, none),
        ("ubfx r0, r1, #3, #4", &[0xc1, 0xf3, 0xc3, 0x00], Kind::Plain, none),
        ("b", &[0xbb, 0xe7], Kind::Branch, none),
        ("b.w", &[0xff, 0xf7, 0xba, 0xbf], Kind::Branch, none),
        ("bl", &[0xff, 0xf7, 0xb8, 0xff], Kind::Call, none),
        ("bx lr", &[0x70, 0x47], Kind::Branch, none),
        ("blx r3", &[0x98, 0x47], Kind::Call, none),
        ("mov pc, r3", &[0x9f, 0x46], Kind::Branch, none),
        ("cbz r0", &[0x10, 0xb1], Kind::ConditionalBranch, none),
        ("beq", &[0xb2, 0xd0], Kind::ConditionalBranch, none),
        ("beq.w", &[0x3f, 0xf4, 0xb1, 0xaf], Kind::ConditionalBranch, none),
        ("tbb [pc, r0]", &[0xdf, 0xe8, 0x00, 0xf0], Kind::TableBranch, none),
        ("it eq", &[0x08, 0xbf], Kind::IfThen, none),
        ("nop", &[0x00, 0xbf], Kind::Plain, none),
        ("mov r10, r10", &[0xd2, 0x46], Kind::Begin, none),
        ("mov r11, r11", &[0xdb, 0x46], Kind::End, none),
        ("vldr s1, [r0, #4]", &[0xd0, 0xed, 0x01, 0x0a], Kind::FloatLoad, [Some(0), None]),
        ("vldr d1, [r0, #8]", &[0x90, 0xed, 0x02, 0x1b], Kind::Pair, [Some(0), None]),
        ("vstr s1, [r0, #4]", &[0xc0, 0xed, 0x01, 0x0a], Kind::FloatStore, [Some(0), None]),
        ("vstmia r0!, {s0-s3}", &[0xa0, 0xec, 0x04, 0x0a], Kind::StoreMany { words: 4 }, [Some(0), None]),
        ("vpush {d8-d15}", &[0x2d, 0xed, 0x10, 0x8b], Kind::StoreMany { words: 16 }, [Some(13), None]),
        ("vpop {d8-d11}", &[0xbd, 0xec, 0x08, 0x8b], Kind::LoadMany { words: 8, jumps: false }, [Some(13), None]),
        ("vadd.f32 s0, s1, s2", &[0x30, 0xee, 0x81, 0x0a], Kind::FloatOperation, none),
        ("vmul.f32 s0, s1, s2", &[0x20, 0xee, 0x81, 0x0a], Kind::FloatOperation, none),
        ("vmla.f32 s0, s1, s2", &[0x00, 0xee, 0x81, 0x0a], Kind::FloatMultiplyAdd, none),
        ("vfms.f32 s0, s1, s2", &[0xa0, 0xee, 0xc1, 0x0a], Kind::FloatMultiplyAdd, none),
        ("vdiv.f32 s0, s1, s2", &[0x80, 0xee, 0x81, 0x0a], Kind::FloatDivide, none),
        ("vsqrt.f32 s0, s1", &[0xb1, 0xee, 0xe0, 0x0a], Kind::FloatDivide, none),
        ("vneg.f32 s0, s1", &[0xb1, 0xee, 0x60, 0x0a], Kind::FloatMove, none),
        ("vmov.f32 s0, #1.0", &[0xb7, 0xee, 0x00, 0x0a], Kind::FloatMove, none),
        ("vmov r1, s0", &[0x10, 0xee, 0x10, 0x1a], Kind::FloatMove, none),
        ("vmov r1, r2, s0, s1", &[0x52, 0xec, 0x10, 0x1a], Kind::FloatMovePair, none),
        ("vcmp.f32 s0, s1", &[0xb4, 0xee, 0x60, 0x0a], Kind::FloatOperation, none),
        ("vmrs apsr_nzcv, fpscr", &[0xf1, 0xee, 0x10, 0xfa], Kind::FloatMove, none),
        ("vcvt.s32.f32 s0, s1", &[0xbd, 0xee, 0xe0, 0x0a], Kind::FloatOperation, none),
        ("vcvt.f32.s32 s0, s1", &[0xb8, 0xee, 0xe0, 0x0a], Kind::FloatOperation, none),
    ];
    for (text, bytes, kind, address) in table {
        let decoded = instructions(bytes);
        assert_eq!(decoded.len(), 1, "{text}");
        assert_eq!(usize::from(decoded[0].size), bytes.len(), "{text}");
        assert_eq!(decoded[0].kind, kind, "{text}");
        if address != none || matches!(kind, Kind::Load { .. } | Kind::Store { .. }) {
            assert_eq!(decoded[0].address, address, "{text}");
        }
    }
    let floats = |bytes: &[u8]| {
        let instruction = instructions(bytes)[0];
        (instruction.float_result, instruction.float_operands)
    };
    assert_eq!(floats(&[0xe7, 0xee, 0xa3, 0x5a]), (Some(11), [Some(15), Some(7)]), "vfma.f32 s11, s15, s7");
    assert_eq!(floats(&[0xb4, 0xee, 0x60, 0x0a]), (None, [Some(0), Some(1)]), "vcmp.f32 s0, s1");
    assert_eq!(floats(&[0xb5, 0xee, 0x40, 0x0a]), (None, [Some(0), None]), "vcmp.f32 s0, #0");
    assert_eq!(floats(&[0xc0, 0xed, 0x01, 0x0a]), (None, [Some(1), None]), "vstr s1, [r0, #4]");
    assert_eq!(floats(&[0x10, 0xee, 0x10, 0x1a]), (None, [Some(0), None]), "vmov r1, s0");
    assert_eq!(floats(&[0xf1, 0xee, 0x10, 0xfa]), (None, none), "vmrs");
    assert_eq!(floats(&[0xb7, 0xee, 0x00, 0x0a]), (None, none), "vmov.f32 s0, #1.0");
}

/// Instructions and cycles of a loop body whose last instruction jumps back.
fn turn(model: Model, bytes: &[u8]) -> (u64, u64) {
    let mut counter = Counter::new(model);
    let mut address = 0x100;
    for instruction in instructions(bytes) {
        counter.execute(address, instruction);
        address += u32::from(instruction.size);
    }
    counter.arrive(0x100);
    (counter.instructions, counter.cycles)
}

/// Inner loops that the survey of existing libraries measured with another implementation of the model:
/// CMSIS-DSP's arm_mat_vec_mult_f32 (gcc) at 2.79 instructions and 6.54 cycles a multiply-add, n = 128,
/// and a VLDM-streamed fused kernel at 1.17 and 4.37; both have a little besides their inner loop.
#[test]
fn the_models_agree_with_hand_counts_and_the_survey() {
    // Five vldmia of one register (2 each), cmp, four vfma (3 each), bne taken (1 + 2).
    let cmsis = [
        0xf3, 0xec, 0x01, 0x3a, 0xfe, 0xec, 0x01, 0x7a, 0xb6, 0xec, 0x01, 0x4a, 0xf0, 0xec, 0x01, 0x4a, 0xbc,
        0xec, 0x01, 0x5a, 0x8b, 0x42, 0xe7, 0xee, 0xa3, 0x5a, 0xa7, 0xee, 0x84, 0x6a, 0xe7, 0xee, 0xa4, 0x6a,
        0xa7, 0xee, 0x85, 0x7a, 0xeb, 0xd1,
    ];
    assert_eq!(turn(Model::M4, &cmsis), (11, 5 * 2 + 1 + 4 * 3 + 3));
    let (per_mac, cycles) = (11.0 / 4.0, 26.0 / 4.0);
    assert!((2.79 - per_mac) / 2.79 < 0.02 && (6.54 - cycles) / 6.54 < 0.01);

    // vldm of 4 and 16, 16 vfma, vldm of 16, cmp, 16 vfma, bne taken.
    let fused = |bytes: &mut Vec<u8>, first: u8| {
        for k in 0..16_u8 {
            let odd = if k % 2 == 1 { 0x40 } else { 0 };
            let row = if k < 8 { 0xa4 } else { 0xa8 };
            bytes.extend([
                row | odd,
                0xee,
                if k < 8 { first } else { first + 0x20 },
                k % 8 / 2 * 0x10 | 0x0a,
            ]);
        }
    };
    let mut streamed = vec![0xbc, 0xec, 0x04, 0xca, 0xb0, 0xec, 0x10, 0x4a];
    fused(&mut streamed, 0x0c);
    streamed.extend([0xb0, 0xec, 0x10, 0x4a, 0x94, 0x45]);
    fused(&mut streamed, 0x0d);
    streamed.extend([0xb7, 0xd1]);
    assert_eq!(turn(Model::M4, &streamed), (37, 5 + 2 * 17 + 32 * 3 + 1 + 3));
    assert!((4.37 - 139.0 / 32.0) / 4.37 < 0.01);

    // ldr, ldr of what it loaded, ldr independent of it, mla, smull, adds, b.
    let integers = [
        0x48, 0x68, 0x42, 0x68, 0x0b, 0x68, 0x01, 0xfb, 0x02, 0x30, 0x82, 0xfb, 0x03, 0x01, 0x88, 0x18, 0xbb,
        0xe7,
    ];
    assert_eq!(turn(Model::M4, &integers), (7, 2 + 2 + 1 + 2 + 1 + 1 + 3));
    assert_eq!(turn(Model::M3, &integers), (7, 2 + 2 + 1 + 2 + 4 + 1 + 3));
    // ldr, str, ldm of 3, muls, pop {r4, pc}.
    let small = [0x48, 0x68, 0x01, 0x90, 0x0e, 0xc8, 0x48, 0x43, 0x10, 0xbd];
    assert_eq!(turn(Model::M0, &small), (5, 2 + 2 + 4 + 1 + 5));
    // vmul, vadd of its result; vfma whose sum is the result just computed.
    let hazards = [0x20, 0xee, 0x81, 0x0a, 0x30, 0xee, 0x81, 0x0a, 0x00, 0xee, 0x81, 0x0a];
    assert_eq!(turn(Model::M4, &hazards), (3, 1 + 1 + 3));
    let hazard = [0x20, 0xee, 0x81, 0x0a, 0x30, 0xee, 0x00, 0x0a];
    assert_eq!(turn(Model::M4, &hazard), (2, 1 + 1 + 1));
}

#[test]
fn counting_thrice_gives_the_same_number() {
    let cases = case::cases(&["low-rank-relu".into(), "tanh".into()], &[16, 128]).expect("in the list");
    for name in ["qemu-m0", "qemu-m4f", "qemu-m7"] {
        let bench = Bench::new(name).expect("toolchain and QEMU are there");
        for case in cases.iter().filter(|case| bench.left_out(case).is_none()).step_by(5) {
            let first = bench.count(case).expect("runs");
            for _ in 0..2 {
                assert_eq!(bench.count(case).expect("runs"), first, "{} on {name}", case.name());
            }
        }
    }
}

#[test]
fn a_chip_that_computes_other_bits_is_not_counted() {
    let mut cases = case::cases(&["low-rank-relu".into()], &[16]).expect("in the list");
    let bench = Bench::new("qemu-m4f").expect("toolchain and QEMU are there");
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
        assert!(row.instructions > 0 && row.stack > 0 && row.ram >= 2048, "{row:?}");
        let modelled = !matches!(row.on.as_str(), "qemu-m7" | "qemu-m33");
        assert_eq!(row.cycles.is_some(), modelled, "{row:?}");
        assert!(row.cycles.is_none_or(|cycles| cycles > row.instructions), "{row:?}");
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
        assert!(left.case.contains("fused"), "{left:?}");
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
        println!("{} made the baseline, {} these counts:\n{problems}", baseline.compiler, counts.compiler);
    }
}

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks.md")
}

#[test]
fn the_document_holds_what_the_command_prints() {
    let (counts, written) = (everything(), table::read_part(&document()).expect("docs/benchmarks.md"));
    if written.contains(&counts.compiler) {
        assert_eq!(
            written,
            table::markdown(counts),
            "write it again: tinyfold bench --write docs/benchmarks.md"
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
    let with = |more: &[&str]| bench(&[&SMALL[..], &["--baseline", &file], more].concat());
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
